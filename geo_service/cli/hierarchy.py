"""``hierarchy``: do all levels nest, tile and add up (纵向到底、横向到边)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.hierarchy import HierarchyReport

_SHOWN = 40


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("hierarchy")(hierarchy)


def hierarchy(
    levels: Annotated[
        list[str] | None,
        typer.Argument(help="图层=文件；不给则查库中已发布的 · layer=FILE; none: the store's own"),
    ] = None,
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """纵横检查 · Check that every level nests in, tiles and adds up to the one above."""
    from geo_service import hierarchy as levels_
    from geo_service import reports

    frames = _read(levels) if levels else _published(store)
    with terminal.progress("纵横检查", "checking the levels", quiet=as_json) as advance:
        report = levels_.check(frames, profile=profile, on_progress=advance)
    if output is not None:
        missing = [_listed(numbers) for numbers in report.numbering["missing"]]
        tables = {
            "levels": report.levels,
            "faults": _plain(report),
            "rollups": report.rollups,
            "numbering": report.numbering.assign(missing=missing),
        }
        reports.write_tables(tables, output)
    if as_json:
        terminal.print_json(report.to_dict())
    else:
        _show(report)
    return terminal.FOUND_FAULTS if report.verdict != "clean" else 0


def _read(levels: list[str]) -> dict[str, gpd.GeoDataFrame]:
    from geo_service import boundary_files, layers

    frames = {}
    for pair in levels:
        name, sign, file = pair.partition("=")
        if not sign or not file:
            reason = Phrase(
                "请写成 图层=文件，如 grids=grids.gpkg",
                "write it as layer=FILE, e.g. grids=grids.gpkg",
            )
            raise InputError("parameter_invalid", name="levels", value=pair, reason=reason)
        level_names = {layer.level: layer.name for layer in reversed(layers.LAYERS.values())}
        layers.layer(level_names.get(name, name))
        frames[name] = boundary_files.read(Path(file)).layer_frame()
    return frames


def _published(store: str | None) -> dict[str, gpd.GeoDataFrame]:
    from geo_service.hierarchy import CHAIN
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        return {name: opened.frame(name) for name in opened.layers() if name in CHAIN}


def _plain(report: HierarchyReport) -> Any:
    listed = [", ".join(codes) for codes in report.faults["codes"]]
    return report.faults.drop(columns=["geometry"]).assign(codes=listed)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _show(report: HierarchyReport) -> None:
    say, console = terminal.say, terminal.out()
    clean = report.verdict == "clean"
    across, down = report.counts["horizontal"], report.counts["vertical"]
    console.print(
        say(
            f"{'通过' if clean else '有问题'}：横向 {across} 处，纵向 {down} 处"
            f"（{report.profile} {report.profile_digest}）",
            f"{'clean' if clean else 'faults found'}: {across} horizontal, {down} vertical "
            f"({report.profile} {report.profile_digest})",
        ),
        style="bold",
        markup=False,
    )
    figures = report.levels.astype(object).where(report.levels.notna(), "")
    rows = [[_cell(value) for value in row] for row in figures.to_numpy().tolist()]
    console.print(terminal.table(say("各级", "levels"), terminal.heads(figures.columns), rows))
    ways = {"horizontal": "横向", "vertical": "纵向", "": ""}
    told = [
        (say(ways[f.direction], f.direction), f.layer, say(f.message_zh, f.message_en))
        for f in report.faults.head(_SHOWN).itertuples()
    ]
    if told:
        columns = [say("方向", "breaks"), say("图层", "layer"), say("说明", "what and where")]
        console.print(terminal.table("", columns, told))
    if more := len(report.faults) - len(told):
        console.print(say(f"……另有 {more} 条，用 -o 写出全部。", f"… {more} more; -o writes all."))
    if len(report.numbering):
        first, count = report.numbering.iloc[0], len(report.numbering)
        missing = _listed(first["missing"][:9])
        console.print(
            say(
                f"· {count} 个上级内编号不连续，如 {first['parent']} 缺 {missing}"
                "（停用的编码也会留下空号）。",
                f"· Numbers are left out below {count} parents, e.g. {missing} below "
                f"{first['parent']} (retired codes do so too).",
            ),
            markup=False,
        )


def _cell(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, float) else str(value)
