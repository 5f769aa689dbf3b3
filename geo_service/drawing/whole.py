"""Draw a whole city: each community by itself, and its neighbours given the nodes they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.drawing import anew
from geo_service.drawing._rings import distances
from geo_service.drawing.anew import Drawn, Miss
from geo_service.errors import GeoServiceError
from geo_service.notes import Note

_ON_LINE_M = 1e-6

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class _Task:
    """What one community is drawn from; small enough to send to another process."""

    code: str
    area: Any
    streets: gpd.GeoDataFrame
    households: gpd.GeoDataFrame
    lines: gpd.GeoDataFrame | None
    buildings: gpd.GeoDataFrame | None
    target: tuple[int, int]
    seed: int


def draw_all(
    areas: gpd.GeoDataFrame,
    *,
    streets: gpd.GeoDataFrame,
    households: gpd.GeoDataFrame,
    target: tuple[int, int] = (300, 500),
    lines: gpd.GeoDataFrame | None = None,
    buildings: gpd.GeoDataFrame | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    on_progress: Callable[..., None] | None = None,
) -> Drawn:
    """Draw the grids of many areas, such as all communities of a city.

    No grid crosses a line between areas. Each area is drawn from its own part of the input with a
    seed of its own, so the answer does not depend on how many processes share the work, nor on what
    else is drawn. Where a border meets the line between two areas, its node is put into the grids
    on the other side too, so that the whole is vertex-matched.

    Parameters
    ----------
    areas : geopandas.GeoDataFrame
        An exact tiling with a column ``code``: the areas' own codes, to number the grids under.
    streets, households, lines, buildings : geopandas.GeoDataFrame
        As `draw` takes them, for all areas at once.
    target : tuple of int, default (300, 500)
        Fewest and most households of a grid.
    seed : int, default 0
        Same input and seed, same bytes.
    executor : concurrent.futures.Executor, optional
        Who does the work; by default this process.
    on_progress : callable, optional
        Called with ``done`` and ``total`` areas.

    Returns
    -------
    Drawn
        `Drawn.misses` names every grid out of the range, and areas nothing could be drawn in: those
        are one grid each.
    """
    tasks = _tasks(areas, streets, households, lines, buildings, target, seed)
    drawn: list[Drawn] = []
    found = map(_draw_one, tasks) if executor is None else executor.map(_draw_one, tasks)
    for each in found:
        drawn.append(each)
        if on_progress is not None:
            on_progress(done=len(drawn), total=len(tasks))
    grids = pd.concat([each.grids for each in drawn], ignore_index=True)
    owner = np.repeat(np.arange(len(drawn)), [len(each.grids) for each in drawn])
    nodes = [each.rim_nodes for each in drawn]
    shapes = _with_shared_nodes(np.asarray(grids.geometry.values, object), owner, nodes)
    whole = gpd.GeoDataFrame(grids.drop(columns="geometry"), geometry=shapes, crs=areas.crs)
    misses = tuple(miss for each in drawn for miss in each.misses)
    rim = np.concatenate([np.empty((0, 2)), *nodes])
    return Drawn(whole, misses, _notes(whole, misses, len(drawn), target), rim)


def _tasks(
    areas: gpd.GeoDataFrame,
    streets: gpd.GeoDataFrame,
    households: gpd.GeoDataFrame,
    lines: gpd.GeoDataFrame | None,
    buildings: gpd.GeoDataFrame | None,
    target: tuple[int, int],
    seed: int,
) -> list[_Task]:
    ordered = areas.assign(code=areas["code"].astype(str)).sort_values("code", kind="stable")
    parts = [_parts(ordered, layer) for layer in (streets, households, lines, buildings)]
    tasks = []
    for row, (code, area) in enumerate(zip(ordered["code"], ordered.geometry, strict=True)):
        ways, homes, further, walls = (each(row) for each in parts)
        assert ways is not None
        assert homes is not None
        # Its own seed, so that no area's grids hang on those drawn before it.
        own = int.from_bytes(hashlib.sha256(f"{seed}:{code}".encode()).digest()[:4], "big")
        tasks.append(_Task(code, area, ways, homes, further, walls, target, own))
    return tasks


def _parts(
    areas: gpd.GeoDataFrame, layer: gpd.GeoDataFrame | None
) -> Callable[[int], gpd.GeoDataFrame | None]:
    """Give the part of a layer that meets each area."""
    if layer is None:
        return lambda row: None
    own = layer.to_crs(areas.crs)
    area, at = own.sindex.query(areas.geometry.values, predicate="intersects", sort=True)
    bounds = np.searchsorted(area, np.arange(len(areas) + 1))
    return lambda row: own.iloc[at[bounds[row] : bounds[row + 1]]]


def _draw_one(task: _Task) -> Drawn:
    try:
        return anew.draw(
            task.area,
            streets=task.streets,
            households=task.households,
            target=task.target,
            lines=task.lines,
            buildings=task.buildings,
            parent_code=task.code,
            seed=task.seed,
        )
    except GeoServiceError as error:
        return _as_it_is(task, error)


def _as_it_is(task: _Task, error: GeoServiceError) -> Drawn:
    """Make one grid of an area that can't be drawn, and say why."""
    homes, _ = anew.homes_in(task.area, task.households)
    total = np.array([int(homes.count.sum())])
    grids = anew.numbered(np.array([task.area], object), total, task.code, task.streets.crs)
    miss = Miss(grids["code"].iloc[0], int(total[0]), error.message("zh"), error.message("en"))
    note = Note("not_drawn", f"{task.code}：{miss.zh}", f"{task.code}: {miss.en}")
    return Drawn(grids, (miss,), (note,), np.empty((0, 2)))


def _with_shared_nodes(
    shapes: Shapes, owner: npt.NDArray[np.int64], nodes: Sequence[npt.NDArray[np.float64]]
) -> Shapes:
    """Put the nodes that an area has on its outline into the grids of its neighbours there."""
    from_area = np.repeat(np.arange(len(nodes)), [len(each) for each in nodes])
    places = np.concatenate([np.empty((0, 2)), *nodes])
    tree = shapely.STRtree(shapes)
    node, grid = tree.query(
        np.asarray(shapely.points(places)), predicate="dwithin", distance=_ON_LINE_M
    )
    across = owner[grid] != from_area[node]
    node, grid = node[across], grid[across]
    order = np.lexsort((node, grid))
    out = shapes.copy()
    for which in np.split(order, np.flatnonzero(np.diff(grid[order])) + 1):
        if len(which):
            row = int(grid[which[0]])
            out[row] = _with_nodes(out[row], places[node[which]])
    return out


def _with_nodes(shape: Any, nodes: npt.NDArray[np.float64]) -> Any:
    """Put nodes into the border of a polygon where it lacks them."""
    rings = [shapely.get_coordinates(ring) for ring in [shape.exterior, *shape.interiors]]
    for node in nodes:
        if any((ring == node).all(axis=1).any() for ring in rings):
            continue
        away = [distances(ring, node) for ring in rings]
        which = int(np.argmin([each.min() for each in away]))
        at = int(away[which].argmin()) + 1
        rings[which] = np.insert(rings[which], at, node, axis=0)
    return shapely.Polygon(rings[0], rings[1:])


def _notes(
    grids: gpd.GeoDataFrame, misses: Sequence[Miss], areas: int, target: tuple[int, int]
) -> tuple[Note, ...]:
    low, high = target
    right = len(grids) - len(misses)
    zh = f"{areas} 个区域共划出 {len(grids)} 个网格，{right} 个在 {low}–{high} 户之间。"
    en = (
        f"{len(grids)} grids were drawn in {areas} areas, {right} of them with {low}-{high} "
        "households."
    )
    return (Note("drawn", zh, en),)
