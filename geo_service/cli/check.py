"""``check`` and ``repair``: prove a tiling, or locate every fault and mend what may be mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.columns import Map, Sender, mapping, remembered
from geo_service.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service import boundary_files
    from geo_service.coverage import CoverageReport
    from geo_service.georeference import Box
    from geo_service.notes import Note

Within = Annotated[
    Path | None,
    typer.Option("--within", help="应铺满的范围 · The area the layer is to fill"),
]
CodeField = Annotated[str | None, typer.Option("--code-field", help="编码列 · Column of the code")]
Crs = Annotated[str | None, typer.Option("--crs", help="坐标系，如 EPSG:4547 · Coordinate system")]
Datum = Annotated[
    str | None, typer.Option("--datum", help="gcj02 或 bd09 · Undo this shift of lon/lat")
]
SwapAxes = Annotated[
    bool, typer.Option("--swap-axes", help="x、y 写反，对调 · x and y are exchanged: turn them")
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="文字编码 · Text encoding")]
LayerInFile = Annotated[
    str | None, typer.Option("--file-layer", help="文件中的图层 · Which layer of the file")
]

_FAULTS_SHOWN = 40
_SHOWN_OF_ONE_KIND = 2
_GROUPS_SHOWN = 15


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("check")(check)
    app.command("repair")(repair)


def check(
    file: Annotated[Path | None, typer.Argument(help="边界文件 · A boundary file")] = None,
    within: Within = None,
    layer: Annotated[str | None, typer.Option(help="库中的图层 · A layer of the store")] = None,
    draft: Annotated[int | None, typer.Option(help="草稿编号 · A draft of that layer")] = None,
    at: Annotated[str | None, typer.Option(help="修订号或日期 · As of a revision or date")] = None,
    expect: Annotated[
        int | None, typer.Option(help="应有网格数 · How many there should be")
    ] = None,
    register_file: Annotated[
        Path | None, typer.Option("--register", help="登记表 · Register to reconcile with")
    ] = None,
    code_field: CodeField = None,
    map_: Map = None,
    author: Sender = "",
    crs: Crs = None,
    datum: Datum = None,
    swap_axes: SwapAxes = False,
    encoding: Encoding = None,
    file_layer: LayerInFile = None,
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """检查覆盖 · Check a boundary file, or a layer the store holds."""
    from geo_service import reports

    with terminal.progress("检查", "checking", quiet=as_json) as advance:
        if layer is not None or draft is not None:
            report, source = _check_stored(store, layer, draft, at, profile)
            notes: Sequence[Note] = ()
        elif file is not None:
            from geo_service import coverage

            grids, area, notes, source = _read(
                file, within, crs=crs, datum=datum, swap_axes=swap_axes, encoding=encoding,
                layer=file_layer, code_field=code_field, fields=mapping(map_),
                known=remembered(terminal.store_path(store), author),
            )  # fmt: skip
            report = coverage.check(
                grids,
                within=area,
                profile=profile,
                expect=expect,
                code_field=_code_field(grids, code_field),
                register=_register_codes(register_file),
                on_progress=advance,
            )
        else:
            reason = "give a FILE, or --layer (with --draft or --at)"
            raise InputError("parameter_invalid", name="FILE", value="", reason=reason)
    if output is not None:
        reports.write_check(report, output, source=source)
    if as_json:
        read = [{"code": n.code, "zh": n.zh, "en": n.en} for n in notes]
        terminal.print_json({**report.to_dict(), "source": source, "read": read})
    else:
        _show(report, notes, source, output)
    return terminal.FOUND_FAULTS if report.verdict != "clean" else 0


def repair(
    file: Annotated[Path, typer.Argument(help="边界文件 · A boundary file")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="写到文件 · Write to this file")
    ] = None,
    within: Within = None,
    code_field: CodeField = None,
    max_gap_m: Annotated[
        float | None, typer.Option(help="最多修补的缝隙宽度（米）· Widest gap to close, m")
    ] = None,
    snap_m: Annotated[
        float | None, typer.Option(help="结点最多移动（米）· Farthest a vertex may move, m")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="只列出改动 · List the changes, write nothing")
    ] = False,
    crs: Crs = None,
    datum: Datum = None,
    swap_axes: SwapAxes = False,
    encoding: Encoding = None,
    file_layer: LayerInFile = None,
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    as_json: terminal.AsJson = False,
) -> int:
    """修复 · Mend gaps and overlaps; only grids at a fault change, each change is listed."""
    from geo_service import boundary_files, mending

    if output is None and not dry_run:
        reason = "say where to write (-o FILE), or --dry-run"
        raise InputError("parameter_invalid", name="--output", value="", reason=reason)
    grids, area, _, source = _read(
        file, within, crs=crs, datum=datum, swap_axes=swap_axes, encoding=encoding,
        layer=file_layer, code_field=code_field,
    )  # fmt: skip
    with terminal.progress("修复", "mending", quiet=as_json):
        mended = mending.repair(
            grids, within=area, profile=profile, max_gap_m=max_gap_m, snap_m=snap_m
        )
    if output is not None and not dry_run:
        boundary_files.write(mended.grids, output)
    if as_json:
        terminal.print_json({**mended.to_dict(), "source": source, "written": str(output or "")})
    else:
        _show_mended(mended, source, output if not dry_run else None)
    return terminal.FOUND_FAULTS if len(mended.left) else 0


def _read(
    file: Path,
    within: Path | None,
    *,
    code_field: str | None,
    crs: str | None,
    datum: str | None,
    swap_axes: bool,
    encoding: str | None,
    layer: str | None,
    fields: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None, Sequence[Note], str]:
    from geo_service import boundary_files, placement

    given = {**(fields or {}), **({"code": code_field} if code_field else {})}
    read = read_near(
        file, lambda: _box_of(within), crs=crs, datum=datum, swap_axes=swap_axes,
        encoding=encoding, layer=layer, fields=given, remembered=known,
    )  # fmt: skip
    grids = read.layer_frame() if "code" in read.fields else read.frame
    if within is None:
        return grids, None, read.notes, read.source
    area = boundary_files.read_area(within, like=grids)
    placed = placement.require_place(grids, area, source=read.source)
    return grids, area, (*placed, *read.notes), read.source


def read_near(
    file: Path, place: Callable[[], Box | None], **options: Any
) -> boundary_files.BoundaryFile:
    """Read a boundary file; where its system can't be told, propose one for the place it is for."""
    from geo_service import boundary_files

    try:
        return boundary_files.read(file, **options)
    except InputError as error:
        near = place() if error.code in {"crs_missing", "crs_digits_disagree"} else None
        if near is None:
            raise
    return boundary_files.read(file, **options, near=near)


def _box_of(within: Path | None) -> Box | None:
    from geo_service import boundary_files, georeference

    if within is None:
        return None
    area = boundary_files.read_area(within)
    x0, y0, x1, y1 = map(float, area.total_bounds)
    return georeference.lonlat_box((x0, y0, x1, y1), area.crs)


def _code_field(grids: gpd.GeoDataFrame, given: str | None) -> str | None:
    # The column was renamed when the file was read.
    return "code" if "code" in grids.columns else given


def _register_codes(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    from geo_service import registers

    return list(registers.read(path).frame["code"])


def _check_stored(
    store: str | None, layer: str | None, draft: int | None, at: str | None, profile: str
) -> tuple[CoverageReport, str]:
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        if draft is not None:
            return opened.check_draft(draft, profile=profile), f"draft {draft}"
        assert layer is not None
        revision = opened.revision(layer, at=at)
        return opened.check(layer, at=at, profile=profile), f"{layer} r{revision.number}"


def _show(report: CoverageReport, notes: Sequence[Note], source: str, output: Path | None) -> None:
    from geo_service.reports import KINDS_ZH, SEVERITIES_ZH

    say, console = terminal.say, terminal.out()
    for note in notes:
        console.print(f"· {say(note.zh, note.en)}", style="dim", markup=False)
    console.print(_headline(report, source), style="bold", markup=False)
    for line in report.notes:
        console.print(f"· {say(line.zh, line.en)}", markup=False)
    if report.counts:
        _show_counts(report)
    if len(report.groups) > 1 and int(report.groups["places"].sum()) > _FAULTS_SHOWN:
        _show_groups(report)
    faults = report.faults
    shown = faults.groupby("kind", sort=False).head(_SHOWN_OF_ONE_KIND).head(_FAULTS_SHOWN)
    rows: list[tuple[Any, ...]] = [
        (
            say(SEVERITIES_ZH[fault.severity], fault.severity),
            say(KINDS_ZH.get(fault.kind, fault.kind), fault.kind),
            say(fault.message_zh, fault.message_en),
        )
        for fault in shown.itertuples()
    ]
    if rows:
        columns3 = (say("级别", "severity"), say("问题", "fault"), say("说明", "what and where"))
        console.print(terminal.table("", columns3, rows))
    if more := len(faults) - len(shown):
        console.print(say(f"……另有 {more} 条，用 -o 写出全部。", f"… {more} more; -o writes all."))
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


def _show_counts(report: CoverageReport) -> None:
    """What there is of each kind: how many faults, and how many places at how large a width."""
    from geo_service.coverage import metres, square_metres
    from geo_service.reports import KINDS_ZH

    say, kinds = terminal.say, report.groups.groupby("kind", sort=False)
    places, area_m2, width_m = kinds["places"].sum(), kinds["area_m2"].sum(), kinds["width_m"].max()
    rows = [
        (
            say(KINDS_ZH.get(kind, kind), kind),
            count,
            f"{places[kind]:,}",
            square_metres(area_m2[kind]) if area_m2[kind] else "",
            metres(width_m[kind]) if width_m[kind] else "",
        )
        for kind, count in report.counts.items()
    ]
    columns = (
        say("问题", "fault"),
        say("数量", "count"),
        say("处", "places"),
        say("合计面积", "area in all"),
        say("最宽", "widest"),
    )
    terminal.out().print(terminal.table("", columns, rows))


def _show_groups(report: CoverageReport) -> None:
    """The worst groups, a line each."""
    from geo_service.reports import SEVERITIES_ZH

    say, groups = terminal.say, report.groups
    shown = groups[["severity", "message_zh", "message_en"]].head(_GROUPS_SHOWN).to_numpy()
    rows = [(say(SEVERITIES_ZH[severity], severity), say(zh, en)) for severity, zh, en in shown]
    columns = (say("级别", "severity"), say("分组（最严重的在前）", "group, the worst first"))
    terminal.out().print(terminal.table("", columns, rows))
    if (more := len(groups) - len(rows)) > 0:
        terminal.out().print(say(f"……另有 {more} 组。", f"… {more} more groups."))


def _headline(report: CoverageReport, source: str) -> str:
    clean = report.verdict == "clean"
    warnings = int((report.faults["severity"] == "warning").sum())
    zh_warned, warned = "", ""
    if clean and warnings:
        zh_warned = f"（{warnings} 条警告）"
        warned = f" ({warnings} warning{'s' if warnings > 1 else ''})"
    zh = f"{source}：{'通过' if clean else '有问题'}{zh_warned}，{report.features} 个图形"
    en = f"{source}: {'clean' if clean else 'faults found'}{warned}, {report.features} features"
    if report.expected:
        zh, en = f"{zh}（应有 {report.expected}）", f"{en} (expected {report.expected})"
    if report.coverage_percent is not None:
        zh, en = (
            f"{zh}，覆盖率 {report.coverage_percent} %",
            f"{en}, coverage {report.coverage_percent} %",
        )
    if report.on_map_percent is not None:
        zh, en = (
            f"{zh}，落图率 {report.on_map_percent} %",
            f"{en}, on the map {report.on_map_percent} %",
        )
    return terminal.say(zh, en)


def _show_mended(mended: Any, source: str, output: Path | None) -> None:
    say, console = terminal.say, terminal.out()
    changed, left = len(mended.changes), len(mended.left)
    console.print(
        say(
            f"{source}：{changed} 处改动，{left} 处留待人工",
            f"{source}: {changed} changes, {left} left",
        ),
        style="bold",
        markup=False,
    )
    rows = [
        (c.code, say(c.action_zh, c.action_en), f"{c.area_before_m2:.3f}", f"{c.area_after_m2:.3f}")
        for c in mended.changes.head(_FAULTS_SHOWN).itertuples()
    ]
    columns = (
        say("编码", "code"),
        say("改动", "change"),
        say("原面积 m²", "m² before"),
        say("现面积 m²", "m² after"),
    )
    if rows:
        console.print(terminal.table("", columns, rows))
    for fault in mended.left.itertuples():
        console.print(f"· {say(fault.message_zh, fault.message_en)}", markup=False)
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)
