"""``draw``, ``redraw``: grids drawn anew, and brought back into the range after growth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import read_points
from geo_service.errors import InputError, MissingError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.drawing import Drawn, Miss, Quality, Redrawn


_SHOWN = 20  # misses and steps told on the terminal; all are in the machine form
_STEPS = {
    "reassign": ("划转地块", "a block goes over:"),
    "split": ("拆分", "split:"),
    "merge": ("并入", "joined by:"),
}


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("draw")(draw)
    app.command("redraw")(redraw)


Streets = Annotated[Path, typer.Option(help="街道 · An .osm.pbf extract")]
Households = Annotated[
    Path | None, typer.Option(help="户数点 · Points with a households column (CSV, GPKG)")
]
Target = Annotated[str, typer.Option(help="每格户数 · Households a grid")]


def draw(
    within: Annotated[
        str, typer.Option(help="范围：文件或区划编码 · A file, or a code of the store")
    ],
    streets: Streets,
    households: Households = None,
    target: Target = "300-500",
    seed: Annotated[int, typer.Option(help="随机种子 · Seed of the search")] = 0,
    against: Annotated[
        int | None,
        typer.Option(help="与另一种子的方案并列比较 · Compare with the drawing of another seed"),
    ] = None,
    fixed: Annotated[
        str | None,
        typer.Option(
            help="原样保留的网格：文件，或编码（逗号分隔） · Grids that stay: a file, or codes"
        ),
    ] = None,
    seeds: Annotated[
        Path | None, typer.Option(help="种子点，各在一格 · Points, each to have its own grid")
    ] = None,
    dedicated: Annotated[
        Path | None,
        typer.Option(help="专属网格：市场、学校、楼宇的范围 · Premises, each a grid of its own"),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            help="村民小组，不切开：文件，或户数表的列名 · Groups, never cut: file or column"
        ),
    ] = None,
    one_grid_each: Annotated[
        bool, typer.Option("--one-grid-each", help="一组一格，不论户数 · A grid a group")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="进程数 · Processes")] = 1,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """划网格 · Draw communities into grids along their streets, to a household target."""
    from geo_service import boundary_files, drawing

    low, high = _range(target)
    areas = _areas(within, store)
    lines = drawing.street_lines(streets, areas.geometry.union_all(), crs=areas.crs)
    homes = households_at(households, areas, store)
    wishes = {
        "fixed": _fixed(fixed, areas, store),
        "seeds": _layer(seeds, areas, shapes="point"),
        "dedicated": _layer(dedicated, areas),
        "groups": _layer(Path(groups), areas) if groups and Path(groups).exists() else groups,
        "one_grid_each": one_grid_each,
    }
    drawings = [
        _draw(areas, lines, homes, (low, high), each, workers, wishes, quiet=as_json)
        for each in ([seed] if against is None else [seed, against])
    ]
    drawn = drawings[0]
    measured = [drawing.measure(each.grids, streets=lines, target=(low, high)) for each in drawings]
    if output is not None:
        boundary_files.write(drawn.grids, output)
    if as_json:
        told = {
            "grids": len(drawn.grids),
            "in_range": measured[0].in_range,
            "target": [low, high],
            "misses": [asdict(miss) for miss in drawn.misses],
            "notes": [asdict(note) for note in drawn.notes],
            "quality": measured[0].to_dict(),
            "written": str(output or ""),
        }
        if against is not None:
            told["against"] = {"seed": against, "quality": measured[1].to_dict()}
        terminal.print_json(told)
    else:
        _say(drawn, measured, [seed, against])
    return terminal.FOUND_FAULTS if drawn.misses else 0


def redraw(
    within: Annotated[
        str, typer.Option(help="网格：文件或区划编码 · Grids: a file, or a code of the store")
    ],
    streets: Streets,
    households: Households = None,
    target: Target = "300-500",
    fixed: Annotated[
        str, typer.Option(help="原样保留的网格编码，逗号分隔 · Codes of grids that stay, by comma")
    ] = "",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """调整网格 · Bring grids back into the range after growth; only what must change does."""
    from geo_service import boundary_files, drawing

    target_range = _range(target)
    grids, retired = _grids(within, store)
    lines = drawing.street_lines(streets, grids.geometry.union_all(), crs=grids.crs)
    redrawn = drawing.redraw(
        grids, streets=lines, households=households_at(households, grids, store),
        target=target_range, fixed=terminal.codes(fixed), retired=retired,
    )  # fmt: skip
    if output is not None:
        boundary_files.write(redrawn.grids, output)
    if as_json:
        told = {"grids": len(redrawn.grids), **redrawn.to_dict(), "written": str(output or "")}
        terminal.print_json(told)
    else:
        _say_redrawn(redrawn)
    return terminal.FOUND_FAULTS if redrawn.misses else 0


def _draw(
    areas: gpd.GeoDataFrame,
    lines: gpd.GeoDataFrame,
    homes: gpd.GeoDataFrame,
    target: tuple[int, int],
    seed: int,
    workers: int,
    wishes: Mapping[str, Any],
    *,
    quiet: bool,
) -> Drawn:
    from concurrent.futures import ProcessPoolExecutor
    from contextlib import nullcontext
    from multiprocessing import get_context

    from geo_service import drawing

    with terminal.progress("划分", "drawing", quiet=quiet) as tell:
        if len(areas) == 1:
            return drawing.draw(
                areas.geometry.iloc[0],
                streets=lines,
                households=homes,
                target=target,
                parent_code=areas["code"].iloc[0] or None,
                seed=seed,
                crs=areas.crs,
                **wishes,
            )
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        with pool if workers > 1 else nullcontext() as executor:
            return drawing.draw_all(
                areas,
                streets=lines,
                households=homes,
                target=target,
                seed=seed,
                executor=executor,
                on_progress=lambda done, total: tell(done / total, f"{done}/{total}"),
                **wishes,
            )


def _say(drawn: Drawn, measured: Sequence[Quality], seeds: Sequence[int | None]) -> None:
    """Tell what was drawn, the misses, and the figures: of two drawings side by side."""
    from geo_service.drawing.quality import WORDS

    say, console = terminal.say, terminal.out()
    count, right = len(drawn.grids), measured[0].in_range
    zh = f"划出 {count} 个网格，{right} 个在户数范围内"
    en = f"{count} grids drawn, {right} of them hold as many households as wanted"
    console.print(say(zh, en), style="bold")
    figures = [each.to_dict() for each in measured]
    rows = [
        (say(*WORDS[name]), *(_figure(each[name]) for each in figures))
        for name in WORDS
        if figures[0][name] is not None
    ]
    named = [say(f"种子 {seed}", f"seed {seed}") for seed in seeds[: len(measured)]]
    console.print(terminal.table(say("方案", "drawing"), (say("指标", "figure"), *named), rows))
    for note in drawn.notes[1:]:
        console.print(f"· {say(note.zh, note.en)}", markup=False)
    _say_misses(drawn.misses)


def _say_redrawn(redrawn: Redrawn) -> None:
    say, console = terminal.say, terminal.out()
    for note in redrawn.notes:
        console.print(say(note.zh, note.en), markup=False)
    _say_each([_step(operation) for operation in redrawn.operations])
    _say_misses(redrawn.misses)


def _step(operation: Mapping[str, Any]) -> str:
    named = (operation.get("code"), operation.get("to"), *operation.get("codes", ()))
    codes = dict.fromkeys(code for code in named if code)
    return f"{terminal.say(*_STEPS[operation['op']])} {' → '.join(codes)}"


def _say_misses(misses: Sequence[Miss]) -> None:
    _say_each([f"{miss.code} {terminal.say(miss.zh, miss.en)}" for miss in misses])


def _say_each(lines: Sequence[str]) -> None:
    console = terminal.out()
    for line in lines[:_SHOWN]:
        console.print(f"· {line}", markup=False)
    if len(lines) > _SHOWN:
        more = len(lines) - _SHOWN
        console.print(terminal.say(f"…… 还有 {more} 个", f"… and {more} more"))


def _figure(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*[-–~]\s*(\d+)\s*", text)
    if not found or int(found[1]) > int(found[2]):
        reason = Phrase("应写作 最少-最多，如 300-500", "write it as LOW-HIGH, e.g. 300-500")
        raise InputError("parameter_invalid", name="--target", value=text, reason=reason)
    return int(found[1]), int(found[2])


def _areas(within: str, store: str | None) -> gpd.GeoDataFrame:
    """The polygons to draw inside, with codes: of a file, or what the store holds under a code.

    Under a township, county or city these are its communities, where they are published.
    """
    from geo_service import boundary_files, codes
    from geo_service.layers import LAYERS
    from geo_service.store import open_store

    if Path(within).exists():
        read = boundary_files.read(within)
        frame = read.layer_frame() if "code" in read.fields else read.frame.assign(code="")
        if "code" not in read.fields and len(frame) > 1:
            frame = frame.dissolve().reset_index(drop=True)
        return frame[["code", "geometry"]]
    level = codes.level_of(within)
    layer = next((x.name for x in LAYERS.values() if x.level == level), None)
    if layer is None:
        raise MissingError("file_missing", file=within)
    with open_store(terminal.store_path(store)) as opened:
        frame = opened.frame(layer)
        if level != "community" and "communities" in opened.layers():
            frame = opened.frame("communities")
    found = frame[[codes.is_within(code, within) for code in frame["code"]]]
    if not len(found):
        raise MissingError("code_unknown", code=within, what=layer)
    return found[["code", "geometry"]].reset_index(drop=True)


def _grids(within: str, store: str | None) -> tuple[gpd.GeoDataFrame, list[str]]:
    """The grids of a file, or of the store under a code, and the codes they can't be given."""
    from geo_service import boundary_files, codes
    from geo_service.store import open_store

    if Path(within).exists():
        return boundary_files.read(within).layer_frame(), []
    with open_store(terminal.store_path(store)) as opened:
        frame, retired = opened.frame("grids"), sorted(opened.retired_codes("grids"))
    found = frame[[codes.is_within(code, within) for code in frame["code"]]]
    if not len(found):
        raise MissingError("code_unknown", code=within, what="grids")
    return found.reset_index(drop=True), retired


def _fixed(asked: str | None, areas: gpd.GeoDataFrame, store: str | None) -> Any:
    """Grids that stay: of a file, or those of the store with these codes."""
    from geo_service import boundary_files
    from geo_service.store import open_store

    if asked is None:
        return None
    if Path(asked).exists():
        return boundary_files.read(asked).layer_frame()
    with open_store(terminal.store_path(store)) as opened:
        return opened.features("grids", terminal.codes(asked))


def _layer(
    path: Path | None, areas: gpd.GeoDataFrame, *, shapes: Literal["point", "polygon"] = "polygon"
) -> Any:
    """A layer of points or polygons in the plane, with our names for its columns."""
    from geo_service import boundary_files

    if path is None:
        return None
    read = boundary_files.read(path, shapes=shapes)
    frame = read.frame.rename(columns={theirs: name for name, theirs in read.fields.items()})
    return frame.to_crs(areas.crs)


def households_at(path: Path | None, area: gpd.GeoDataFrame, store: str | None) -> gpd.GeoDataFrame:
    """Points with households: of a table or a point layer, else those of the store in the area."""
    from geo_service import boundary_files, crs

    if path is not None and path.suffix.lower() not in {".csv", ".xlsx"}:
        read = boundary_files.read(path, shapes="point")
        points = read.layer_frame() if "code" in read.fields else read.frame
        ours = {theirs: name for name, theirs in read.fields.items()}
        return points.rename(columns=ours).to_crs(area.crs)
    from geo_service.store import open_store

    if path is not None:
        table: Any = read_points(path)
    else:
        with open_store(terminal.store_path(store)) as opened:
            table = opened.table("buildings") if "buildings" in opened.tables() else None
        if table is None:
            reason = Phrase(
                "请给出带 households（户数）列的点文件",
                "name a file of points with a households column",
            )
            raise InputError("parameter_invalid", name="--households", value="", reason=reason)
    if "households" not in table:
        raise InputError(
            "field_missing", file=str(path), field="户数 / households", found=", ".join(table)
        )
    table["households"] = table["households"].astype(float).astype(int)
    places = crs.placed(table, area.crs, datum="wgs84")
    if path is not None:
        return places  # all of them: what lies outside is told
    inside = places.sindex.query(area.geometry.union_all(), predicate="intersects", sort=True)
    return places.iloc[inside]
