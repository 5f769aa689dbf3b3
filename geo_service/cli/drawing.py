"""``draw``, ``split``, ``merge``: grids drawn anew and edited."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import read_points
from geo_service.errors import InputError, MissingError

if TYPE_CHECKING:
    import geopandas as gpd


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("draw")(draw)


def draw(
    within: Annotated[
        str, typer.Option(help="范围：文件或区划编码 · A file, or a code of the store")
    ],
    streets: Annotated[Path, typer.Option(help="街道 · An .osm.pbf extract")],
    households: Annotated[
        Path | None, typer.Option(help="户数点 · Points with a households column (CSV, GPKG)")
    ] = None,
    target: Annotated[str, typer.Option(help="每格户数 · Households a grid")] = "300-500",
    seed: Annotated[int, typer.Option(help="随机种子 · Seed of the search")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="写到文件 · Write to this file")
    ] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """划网格 · Draw a community into grids along its streets, to a household target."""
    from geo_service import boundary_files, drawing

    low, high = _range(target)
    area, code = _area(within, store)
    lines = drawing.street_lines(streets, area.geometry.union_all(), crs=area.crs)
    homes = _households(households, area, store)
    with terminal.progress("划分", "drawing", quiet=as_json):
        drawn = drawing.draw(
            area.geometry.union_all(),
            streets=lines,
            households=homes,
            target=(low, high),
            parent_code=code,
            seed=seed,
        )
    if output is not None:
        boundary_files.write(drawn.grids, output)
    in_range = int(drawn.grids["households"].between(low, high).sum())
    if as_json:
        terminal.print_json(
            {
                "grids": len(drawn.grids),
                "in_range": in_range,
                "target": [low, high],
                "misses": [asdict(miss) for miss in drawn.misses],
                "written": str(output or ""),
            }
        )
    else:
        say, console = terminal.say, terminal.out()
        zh = f"划出 {len(drawn.grids)} 个网格，{in_range} 个在 {low}-{high} 户之间"
        en = f"{len(drawn.grids)} grids drawn, {in_range} of them hold {low}-{high} households"
        console.print(say(zh, en), style="bold")
        for miss in drawn.misses:
            console.print(f"· {miss.code} {say(miss.zh, miss.en)}", markup=False)
    return terminal.FOUND_FAULTS if drawn.misses else 0


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*[-–~]\s*(\d+)\s*", text)
    if not found or int(found[1]) > int(found[2]):
        reason = "write it as LOW-HIGH, e.g. 300-500"
        raise InputError("parameter_invalid", name="--target", value=text, reason=reason)
    return int(found[1]), int(found[2])


def _area(within: str, store: str | None) -> tuple[gpd.GeoDataFrame, str | None]:
    """The polygon to draw inside: a file, or whatever the store holds under a code."""
    from geo_service import boundary_files, codes
    from geo_service.layers import LAYERS
    from geo_service.store import open_store

    if Path(within).exists():
        frame = boundary_files.read(within)
        column = frame.fields.get("code")
        code = str(frame.frame[column].iloc[0]) if column and len(frame.frame) == 1 else None
        return frame.frame, code
    level = codes.level_of(within)
    layer = next((x.name for x in LAYERS.values() if x.level == level), None)
    if layer is None:
        raise MissingError("file_missing", file=within)
    with open_store(terminal.store_path(store)) as opened:
        frame = opened.frame(layer)
    found = frame[frame["code"] == within]
    if not len(found):
        raise MissingError("code_unknown", code=within, what=layer)
    return found, within


def _households(path: Path | None, area: gpd.GeoDataFrame, store: str | None) -> gpd.GeoDataFrame:
    """Points with households: a table, a point layer, or the published grids' own counts."""
    import geopandas as gpd

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
            reason = "name a file of points with a households column"
            raise InputError("parameter_invalid", name="--households", value="", reason=reason)
    if "households" not in table:
        raise InputError(
            "field_missing", file=str(path), field="户数 / households", found=", ".join(table)
        )
    table["households"] = table["households"].astype(float).astype(int)
    x, y = crs.Plane.of(area.crs).forward(table["lon"], table["lat"], datum="wgs84")
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x, y), crs=area.crs)
