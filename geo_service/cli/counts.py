"""``catchment-counts``: people, households and facilities within walks of every grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import Speed, Streets, WalkProfile, network_of, read_points

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from geo_service.catchment_counts import Within

_PLAIN_DOORS = ("inside", "streets")


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("catchment-counts")(catchment_counts)


def catchment_counts(
    grids: Annotated[
        str, typer.Option(help="网格：图层文件，或 store（库中的）· A boundary file, or “store”")
    ] = "store",
    minutes: Annotated[str, typer.Option(help="分钟 · Minutes, e.g. 5,10,15")] = "5,10,15",
    doors: Annotated[
        str,
        typer.Option(
            help="从哪里出发：inside 网格内一点，streets 网格内全部路口，或出入口表（CSV）"
            " · A point inside, all street nodes, or a table of entrances"
        ),
    ] = "inside",
    facilities: Annotated[
        Path | None, typer.Option(help="设施表；默认用库中的 · Facilities; by default the store's")
    ] = None,
    demand: Annotated[
        Path | None,
        typer.Option(help="人口点表；默认用网格的人口 · People as points; by default the grids'"),
    ] = None,
    streets: Streets = "store",
    profile: WalkProfile = None,
    speed_kmh: Speed = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="存放已完成部分的文件夹，中断后可续算 · Folder to go on from if cut off"),
    ] = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """全部网格步行可达的人口与设施 · What lies within walks of every grid and community."""
    from geo_service import catchment_counts, reports

    layer = _grids(grids, store)
    network = network_of(streets, store, profile=profile, quiet=as_json)
    with terminal.progress("逐网格步行", "walking from every grid", quiet=as_json) as advance:
        found = catchment_counts.within(
            network, layer, minutes=terminal.numbers(minutes, name="--minutes"),
            doors=doors if doors in _PLAIN_DOORS else read_points(Path(doors)),
            demand=None if demand is None else read_points(demand),
            served_by=_facilities(facilities, store), speed_kmh=speed_kmh, keep=keep,
            on_progress=advance,
        )  # fmt: skip
    if output is not None:
        tables = {"grids": found.by_grid, "communities": found.by_community}
        reports.write_tables(tables, output)
        if output.suffix.lower() == ".csv":  # a CSV holds one table
            beside = output.with_name(f"{output.stem}_communities.csv")
            reports.write_tables({"communities": found.by_community}, beside)
    if as_json:
        terminal.print_json({
            "grids": found.by_grid.to_dict("records"),
            "communities": found.by_community.to_dict("records"),
            **found.notes,
        })  # fmt: skip
    else:
        _show(found, output)


def _grids(wished: str, store: str | None) -> gpd.GeoDataFrame:
    from geo_service import boundary_files
    from geo_service.store import open_store

    if wished != "store":
        return boundary_files.read(Path(wished)).layer_frame()
    with open_store(terminal.store_path(store)) as opened:
        return opened.frame("grids")


def _facilities(file: Path | None, store: str | None) -> pd.DataFrame | None:
    from geo_service import facilities
    from geo_service.store import open_store, store_exists

    if file is not None:
        return facilities.read(file)
    path = terminal.store_path(store)
    if not store_exists(path):
        return None
    with open_store(path) as opened:
        if "facilities" not in opened.tables():
            return None
        return facilities.parse(opened.table("facilities"))


def _show(found: Within, output: Path | None) -> None:
    """Print the mean of each column by minutes: what the middle of the city can count on."""
    console, say = terminal.out(), terminal.say
    table = found.by_grid
    columns = table.columns.tolist()
    names = columns[columns.index("snap_distance_m") + 1 :]
    means = table.groupby("minutes")[names].mean()
    rows: list[tuple[Any, ...]] = [
        (word, *(f"{value:,.2f}" for value in means[name]))
        for word, name in zip(terminal.heads(names), names, strict=True)
    ]
    head = ("", *(say(f"{m:g} 分钟", f"{m:g} minutes") for m in means.index))
    grids = table["code"].nunique()
    title = say(f"{grids} 个网格，每格平均", f"{grids} grids, mean of each")
    console.print(terminal.table(title, head, rows))
    if lost := len(found.notes["grids_without_street"]):
        zh = f"{lost} 个网格附近没有可步行的街道，按 0 计。"
        en = f"{lost} grids have no walkable street near and count 0."
        console.print(say(zh, en), style="yellow")
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)
