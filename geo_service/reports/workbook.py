"""The report of a check as a workbook: a cover, every fault, one sheet per kind, the registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from geo_service.reports import words
from geo_service.reports.old_reports import FAULT_SHEET
from geo_service.reports.tables import Spreadsheet, for_print

if TYPE_CHECKING:
    from geo_service.reports.opinions import Opinion

_COVER = "封面"
_FORMATS = {
    "面积（平方米）": "#,##0.00####", "合计面积（平方米）": "#,##0.00####",
    "最宽（米）": "0.00####", "宽度（米）": "0.00####", "经度": "0.0000000",
    "纬度": "0.0000000", "X": "0.000####", "Y": "0.000####",
}  # fmt: skip
_GOOD, _BAD, _CALM = "#DFF0E2", "#F9E1DC", "#EEF2F6"


def check_workbook(opinion: Opinion) -> bytes:
    """Give the workbook's bytes."""
    faults = opinion.fault_table()
    footer = f"{opinion.source} · {opinion.profile.label}"
    with Spreadsheet() as book:
        sheet = book.book.add_worksheet(book.sheet_name(_COVER))
        printed = list(faults.columns).index("说明") + 1

        def add_faults(name: str, rows: pd.DataFrame) -> str:
            sheet = book.add_table(name, rows, footer=footer, formats=_FORMATS, printed=printed)
            return sheet.name

        book.add_table("分组汇总", _groups(opinion), footer=footer, formats=_FORMATS, printed=8)
        add_faults(FAULT_SHEET, faults)
        names = {
            kind: add_faults(words.kind_zh(kind), faults[faults["kind"] == kind])
            for kind in opinion.report.counts
        }
        for name, table in _further(opinion).items():
            book.add_table(name, table, footer=footer)
        _Cover(book, sheet).fill(opinion, names)
        for_print(sheet, footer=footer, landscape=False)
    return book.content


def _groups(opinion: Opinion) -> pd.DataFrame:
    """A line for each pair of neighbours or stretch, the worst first: the list to work from."""
    groups = opinion.report.groups
    return pd.DataFrame(
        {
            "序号": range(1, len(groups) + 1),
            "问题": groups["kind"].map(words.kind_zh),
            "级别": groups["severity"].map(words.SEVERITIES_ZH),
            "相邻各方": groups["between"].map("、".join),
            "处数": groups["places"],
            "合计面积（平方米）": groups["area_m2"],
            "最宽（米）": groups["width_m"],
            "说明": groups["message_zh"],
            "kind": groups["kind"],
            "message": groups["message_en"],
        }
    )


def _further(opinion: Opinion) -> dict[str, pd.DataFrame]:
    """What stands beside the faults: solved ones, the register's and the roster's lists."""
    out: dict[str, pd.DataFrame] = {}
    if opinion.since is not None and len(opinion.since.solved_faults):
        solved = opinion.since.solved_faults
        out["已解决"] = pd.DataFrame(
            {
                "问题": solved["kind"].map(words.kind_zh),
                "状态": words.STATUSES_ZH["solved"],
                "级别": solved["severity"].map(words.SEVERITIES_ZH),
                "网格编码": solved["codes"].map("、".join),
                "说明": solved["message_zh"],
                "经度": solved["lon"],
                "纬度": solved["lat"],
                "kind": solved["kind"],
                "message": solved["message_en"],
            }
        )
    reference = opinion.report.reference
    if len(reference):
        out["外界线自身问题"] = pd.DataFrame(
            {
                "问题": reference["kind"].map(words.kind_zh),
                "说明": reference["message_zh"],
                "X": reference["x"],
                "Y": reference["y"],
                "message": reference["message_en"],
            }
        )
    register = opinion.reconciliation
    if register is not None and not register.complete:
        rows = [("未落图", "not_on_map", code, "") for code in register.unmapped]
        rows += [("无登记", "not_in_register", code, "") for code in register.unregistered]
        rows += [
            ("登记重复", "register_duplicate", code, ", ".join(map(str, at)))
            for code, at in register.register_duplicates.items()
        ]
        rows += [("登记无编码", "no_code", "", str(row)) for row in register.rows_without_code]
        columns = ["问题", "kind", "网格编码", "登记表行"]
        out["登记核对"] = pd.DataFrame(rows, columns=columns)
    if register is not None and len(register.differences):
        named = {"code": "网格编码", "row": "登记表行", "field_zh": "字段", "register": "登记表",
                 "layer": "图层", "field": "field"}  # fmt: skip
        out["属性不一致"] = register.differences[list(named)].rename(columns=named)
    if opinion.staffing is not None:
        out |= _staff(opinion)
    return out


def _staff(opinion: Opinion) -> dict[str, pd.DataFrame]:
    staffing = opinion.staffing
    assert staffing is not None
    grids = [
        (zh, en, code)
        for zh, en, codes in (
            ("格中无人", "no person", staffing.without_person),
            ("无网格长", "no head", staffing.without_head),
            ("无专职网格员", "no full-time member", staffing.without_full_time),
        )
        for code in codes
    ]
    persons = pd.concat(
        [
            table.reset_index(names="花名册行").assign(问题=zh)
            for zh, table in (
                ("网格编码不在图上", staffing.unknown_grid),
                ("没有网格", staffing.without_grid),
            )
        ]
    )
    tables = {}
    if grids:
        tables["网格缺人"] = pd.DataFrame(grids, columns=["问题", "problem", "网格编码"])
    if len(persons):
        columns = ["问题", *(c for c in persons.columns if c != "问题")]
        tables["人员无网格"] = persons[columns].rename(columns=_PLAIN)
    if len(staffing.overloaded):
        tables["一人多格"] = staffing.overloaded.rename(
            columns={"person": "姓名", "phone": "联系电话", "grids": "网格数", "codes": "网格编码",
                     "rows": "花名册行"}
        )  # fmt: skip
    return tables


_PLAIN = {"code": "网格编码", "name": "名称", "head": "网格长", "phone": "联系电话", "kind": "类型"}


class _Cover:
    """The first sheet: what was found, from what, by which rules."""

    def __init__(self, book: Spreadsheet, sheet: Any) -> None:
        self.book, self.sheet, self.row = book, sheet, 0
        add = book.book.add_format
        base = {"font_name": "Microsoft YaHei", "font_size": 10, "valign": "top"}
        self.title = add({**base, "font_size": 20, "bold": True})
        self.section = add({**base, "bold": True, "font_size": 11, "bottom": 1,
                            "bottom_color": "#9DB2C4", "font_color": "#24435E"})  # fmt: skip
        self.key = add({**base, "font_color": "#4B5A68"})
        self.english = add({**base, "font_color": "#7A8894"})
        self.value = add({**base, "text_wrap": True, "num_format": "@"})
        self.number = add({**base, "align": "left"})
        self.link = add({**base, "font_color": "#1F5E99", "underline": 1})
        self.big = {
            colour: add({**base, "bold": True, "font_size": 14, "bg_color": colour})
            for colour in (_GOOD, _BAD, _CALM)
        }

    def fill(self, opinion: Opinion, names: dict[str, str]) -> None:
        """Write it all."""
        report, sheet = opinion.report, self.sheet
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 26)
        sheet.set_column(2, 2, 72)
        sheet.hide_gridlines(2)
        sheet.set_row(0, 32)
        sheet.write_string(0, 0, "检查意见书", self.title)
        sheet.write_string(1, 0, "Check report", self.english)
        self.row = 3
        zh, en = words.VERDICTS[report.verdict]
        colour = _GOOD if report.verdict == "clean" else _BAD
        self._big("结论", "verdict", f"{zh} · {en}", colour)
        self._big("覆盖率", "coverage", f"{report.coverage_percent} %", _CALM)
        if opinion.on_map is not None:
            self._big("落图率", "on the map", f"{opinion.on_map} %", _CALM)
        self._line("", "", "两个百分率均截断，不进位。 Both rates are cut off, never rounded up.")
        if opinion.since is not None:
            self._line("复查", "re-check", opinion.since.note.zh)
            self._line("", "", opinion.since.note.en)
        self._section("检查对象", "what was checked")
        self._line("文件", "file", opinion.source)
        self._line("要素数", "features", report.features)
        self._line("应有数", "expected", report.expected)
        register = opinion.reconciliation
        if register is not None:
            self._line("登记数", "registered", register.registered)
            self._line("已落图", "on the map", register.mapped)
        self._line("坐标系", "coordinate system", report.crs)
        self._section("问题", "faults")
        for kind, count in report.counts.items():
            self._kind(kind, count, names[kind], report.faults)
        for kind, sums in report.hidden.items():
            told = f"{sums['count']:,.0f}（{sums['area_m2']:.4g} m²）"
            self._line(
                f"{words.kind_zh(kind)}（未逐条列出）", f"{words.kind_en(kind)}, as a sum", told
            )
        if not report.counts and not report.hidden:
            self._line("无", "none", "")
        if opinion.invariants is not None:
            self._section("四项要求", "the four invariants")
            for zh, en, found in opinion.invariants.counters():
                self._line(zh, en, "未检查 not judged" if found is None else len(found))
        self._section("说明", "remarks")
        for note in opinion.notes:
            self._line("", "", note.zh)
            self._line("", "", note.en)
        self._section("依据", "how it was made")
        from geo_service import __version__

        self._line("规则方案", "profile", report.profile)
        self._line("规则摘要", "profile digest", report.profile_digest)
        for zh, name, value in opinion.rules():
            self._line(zh, name, value)
        for given in opinion.inputs:
            self._line(given.role_zh, given.role, given.name)
            self._line("", "SHA-256", given.sha256)
        self._line("软件", "software", f"Geo Service {__version__}")

    def _section(self, zh: str, en: str) -> None:
        self.row += 1
        for place, text in enumerate((zh, en, "")):
            self.sheet.write_string(self.row, place, text, self.section)
        self.row += 1

    def _line(self, zh: str, en: str, value: Any) -> None:
        if value is None:
            return
        self.sheet.write_string(self.row, 0, zh, self.key)
        self.sheet.write_string(self.row, 1, en, self.english)
        if isinstance(value, int):
            self.sheet.write_number(self.row, 2, value, self.number)
        else:
            self.sheet.write_string(self.row, 2, str(value), self.value)
        self.row += 1

    def _big(self, zh: str, en: str, text: str, colour: str) -> None:
        self.sheet.set_row(self.row, 24)
        for place, cell in enumerate((zh, en, text)):
            self.sheet.write_string(self.row, place, cell, self.big[colour])
        self.row += 1

    def _kind(self, kind: str, count: int, name: str, faults: pd.DataFrame) -> None:
        severity = faults.loc[faults["kind"] == kind, "severity"].iloc[0]
        target = f"internal:'{name}'!A1"
        self.sheet.write_url(self.row, 0, target, self.link, words.kind_zh(kind))
        self.sheet.write_string(self.row, 1, words.kind_en(kind), self.english)
        text = f"{count:,}　{words.SEVERITIES_ZH[severity]} {severity}"
        self.sheet.write_string(self.row, 2, text, self.value)
        self.row += 1
