"""XLSX, HTML, GeoPackage and GeoJSON of any result: what leaves the product on paper and disk.

Codes go into spreadsheets as text, so Excel and WPS leave their digits alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd
from jinja2 import Environment, select_autoescape
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from geo_service import boundary_files
from geo_service.errors import InputError

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

KINDS_ZH: Mapping[str, str] = {
    "invalid_geometry": "图形无效",
    "self_intersection": "自相交",
    "repeated_point": "重复点",
    "spike": "尖锐角",
    "multipart": "多部件",
    "duplicate_geometry": "重复图形",
    "sliver": "碎面",
    "overlap": "压盖",
    "gap": "缝隙",
    "missing_grid": "空洞（缺网格）",
    "rim_gap": "边缘未覆盖",
    "overrun": "越界",
    "outline_mismatch": "与外界线不一致",
    "reprojected": "坐标转换裂缝",
    "edge_mismatch": "共边结点不一致",
    "parent_mismatch": "与上级界不一致",
    "detached": "孤立图形",
    "code_duplicate": "编码重复",
    "code_malformed": "编码不合规",
    "code_parent_mismatch": "上级不符",
    "code_order": "编码顺序不符",
    "attribute_missing": "属性缺失",
    "area_mismatch": "面积不符",
    "size_out_of_range": "规模超限",
    "not_on_map": "未落图",
    "not_in_register": "无登记",
}
"""What planners call each fault kind."""

SEVERITIES_ZH: Mapping[str, str] = {"error": "错误", "warning": "警告", "note": "提示"}

_HEADER = PatternFill("solid", fgColor="DDE7F0")
_WIDEST_COLUMN = 60
_SAMPLED_ROWS = 200
_GROUPS_ON_PAGE = 50


def write_check(report: CoverageReport, path: str | Path, *, source: str) -> Path:
    """Write the report of a check.

    Parameters
    ----------
    report : CoverageReport
        What `geo_service.coverage.check` found.
    path : str or Path
        Ending .xlsx or .html for people; .gpkg, .geojson, .fgb, .parquet or .shp: the faults as a
        layer to open beside the data.
    source : str
        The name of what was checked.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    if target.suffix.lower() == ".xlsx":
        sheets = {"检查结果": _summary(report, source), "分组汇总": _group_list(report)}
        sheets["问题清单"] = _fault_list(report)
        if len(report.reference):
            sheets["外部范围自身问题"] = report.reference[["message_zh", "message_en"]]
        return write_tables(sheets, target)
    if target.suffix.lower() == ".html":
        return _write_text(target, _page(report, source))
    return boundary_files.write(report.faults, target, layer="faults")


def write_result(frame: gpd.GeoDataFrame, path: str | Path) -> Path:
    """Write a result that has places: as a spreadsheet without geometry, or as a layer."""
    target = Path(path)
    if target.suffix.lower() in {".xlsx", ".csv"}:
        return write_tables(
            {target.stem[:31]: pd.DataFrame(frame.drop(columns="geometry"))}, target
        )
    return boundary_files.write(frame, target)


def write_tables(tables: Mapping[str, pd.DataFrame], path: str | Path) -> Path:
    """Write tables as the sheets of one spreadsheet, or the first one as CSV.

    Texts stay texts (codes keep every digit), the header stays in view and filters are on.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    known = ".xlsx .csv"
    if target.suffix.lower() not in known.split():
        reason = f"unknown ending {target.suffix or '—'}"
        raise InputError("output_unwritable", file=target.name, reason=reason, known=known)
    made = target.with_name(f".{target.name}.part")
    try:
        if target.suffix.lower() == ".csv":
            next(iter(tables.values())).to_csv(made, index=False, encoding="utf-8-sig")
        else:
            _workbook(tables).save(made)
        made.replace(target)
    except OSError as error:
        made.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=known
        ) from error
    return target


def _workbook(tables: Mapping[str, pd.DataFrame]) -> Workbook:
    book = Workbook(write_only=True)
    for name, frame in tables.items():
        _fill(book.create_sheet(name[:31]), frame)
    return book


def _fill(sheet: Any, frame: pd.DataFrame) -> None:
    columns = [str(c) for c in frame.columns]
    for position, column in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(position)].width = _width(column, frame)
    sheet.freeze_panes = "A2"
    if columns:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{len(frame) + 1}"
    sheet.append([_head(sheet, column) for column in columns])
    for row in frame.itertuples(index=False):
        sheet.append([_cell(sheet, value) for value in row])


def _head(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font, cell.fill = Font(bold=True), _HEADER
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    return cell


def _cell(sheet: Any, value: Any) -> Any:
    if isinstance(value, list | tuple | set):
        value = "、".join(map(str, value))
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, str) or not (value.isdigit() or value.startswith("=")):
        return value
    # Digits stay text when somebody edits the cell, and a text that starts with "=" is a text.
    cell = WriteOnlyCell(sheet, value)
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def _width(column: str, frame: pd.DataFrame) -> float:
    shown = [column, *map(str, frame[column].head(_SAMPLED_ROWS))]
    longest = max(sum(2 if ord(c) > 0x2E7F else 1 for c in text) for text in shown)
    return min(longest + 2, _WIDEST_COLUMN)


def _summary(report: CoverageReport, source: str) -> pd.DataFrame:
    rows: list[tuple[str, str, Any]] = [
        ("检查对象", "checked", source),
        ("结论", "verdict", "通过" if report.verdict == "clean" else "有问题"),
        ("要素数", "features", report.features),
        ("应有数", "expected", report.expected),
        ("覆盖率 %（截断，不进位）", "coverage_percent", report.coverage_percent),
        ("落图率 %（截断，不进位）", "on_map_percent", report.on_map_percent),
        ("坐标系", "crs", report.crs),
        ("规则方案", "profile", report.profile),
    ]
    rows += [(KINDS_ZH.get(kind, kind), kind, n) for kind, n in report.counts.items()]
    rows += [("备注", "note", note) for note in _note_texts(report)]
    return pd.DataFrame(rows, columns=["项目", "item", "内容"])


def _note_texts(report: CoverageReport) -> list[str]:
    return [str(getattr(note, "zh", note)) for note in report.notes]


def _group_list(report: CoverageReport) -> pd.DataFrame:
    """A line for each pair of neighbours or stretch, the worst first: the list to work from."""
    groups = report.groups
    return pd.DataFrame(
        {
            "序号": range(1, len(groups) + 1),
            "问题": [KINDS_ZH.get(kind, kind) for kind in groups["kind"]],
            "级别": [SEVERITIES_ZH[severity] for severity in groups["severity"]],
            "相邻各方": groups["between"].map("、".join),
            "处数": groups["places"],
            "合计面积（平方米）": groups["area_m2"],
            "最宽（米）": groups["width_m"],
            "说明": groups["message_zh"],
            "kind": groups["kind"],
            "message": groups["message_en"],
        }
    )


def _fault_list(report: CoverageReport) -> pd.DataFrame:
    faults = report.faults
    at = [fault["at"] or (None, None) for fault in report.to_dict()["faults"]]
    return pd.DataFrame(
        {
            "序号": range(1, len(faults) + 1),
            "问题": [KINDS_ZH.get(kind, kind) for kind in faults["kind"]],
            "级别": [SEVERITIES_ZH[severity] for severity in faults["severity"]],
            "网格编码": faults["codes"].map("、".join),
            "面积（平方米）": faults["area_m2"],
            "宽度（米）": faults["width_m"],
            "说明": faults["message_zh"],
            "经度": [lon for lon, _ in at],
            "纬度": [lat for _, lat in at],
            "X": faults["x"],
            "Y": faults["y"],
            "kind": faults["kind"],
            "message": faults["message_en"],
        }
    )


def _page(report: CoverageReport, source: str) -> str:
    template = resources.files("geo_service") / "defaults" / "check_report.html"
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    faults = _fault_list(report)
    return environment.from_string(template.read_text("utf-8")).render(
        source=source,
        report=report,
        notes=_note_texts(report),
        groups=list(report.groups["message_zh"].head(_GROUPS_ON_PAGE)),
        kinds=[(KINDS_ZH.get(kind, kind), kind, n) for kind, n in report.counts.items()],
        columns=list(faults.columns[:9]),
        rows=faults.iloc[:, :9].itertuples(index=False),
        day=dt.date.today().isoformat(),
    )


def _write_text(target: Path, text: str) -> Path:
    made = target.with_name(f".{target.name}.part")
    try:
        made.write_text(text, encoding="utf-8")
        made.replace(target)
    except OSError as error:
        made.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=".html"
        ) from error
    return target
