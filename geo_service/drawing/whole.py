"""Draw a whole city: each community by itself, and its neighbours given the nodes they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.drawing import _seams, anew
from geo_service.drawing._atoms import Homes
from geo_service.drawing.anew import Drawn, Given, Miss
from geo_service.errors import GeoServiceError
from geo_service.notes import Note

_MOVES_PER_ATOM = 1000
"""A third of what one area drawn by itself takes: at three times the moves the communities of the
demo city come out alike (compactness, borders on streets, grids in range) at twice the time."""

Shapes = npt.NDArray[np.object_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Task:
    """What one community is drawn from; small enough to send to another process."""

    code: str
    area: Any
    given: Given
    target: tuple[int, int]
    seed: int
    crs: Any


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
    target = anew.require_range(target)
    anew.require_plane(areas.crs)
    ordered = areas.assign(code=areas["code"].astype(str)).sort_values("code", kind="stable")
    outlines = _seams.matched(np.asarray(ordered.geometry.values, object))
    homes = anew.homes_of(households.to_crs(areas.crs))
    given = Given(
        anew.lines_in(areas.crs, streets, lines), homes, anew.footprints(areas.crs, buildings)
    )
    parts, lost = _parts(outlines, given)
    tasks = [
        _Task(code, area, part, target, _own_seed(seed, code), areas.crs)
        for code, area, part in zip(ordered["code"], outlines, parts, strict=True)
    ]
    drawn: list[Drawn] = []
    with closing(_each_drawn(tasks, executor)) as found:
        for each in found:
            drawn.append(each)
            if on_progress is not None:
                on_progress(done=len(drawn), total=len(tasks))
    grids = pd.concat([each.grids for each in drawn], ignore_index=True)
    owner = np.repeat(np.arange(len(drawn)), [len(each.grids) for each in drawn])
    shapes, rim = _seams.share_nodes(
        np.asarray(grids.geometry.values, object),
        owner,
        outlines,
        [each.rim_nodes for each in drawn],
    )
    whole = gpd.GeoDataFrame(grids.drop(columns="geometry"), geometry=shapes, crs=areas.crs)
    misses = tuple(miss for each in drawn for miss in each.misses)
    return Drawn(whole, misses, _notes(whole, misses, len(drawn), target, lost), rim)


def _own_seed(seed: int, code: str) -> int:
    """Give an area a seed of its own, so that no area's grids hang on those drawn before it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{code}".encode()).digest()[:4], "big")


def _parts(areas: Shapes, given: Given) -> tuple[Iterator[Given], int]:
    """Give each area its part of what is given, and tell how many households lie in none.

    A home on a line between areas counts in the first of them.
    """
    homes = given.homes
    points = np.asarray(shapely.points(homes.xy), object)
    area, place = shapely.STRtree(points).query(areas, predicate="intersects")
    first = np.lexsort((area, place))
    place, at = np.unique(place[first], return_index=True)
    area = area[first][at]
    lost = int(homes.count.sum() - homes.count[place].sum())
    line_of = _meeting(areas, np.asarray(given.lines.geometry.values, object))
    wall_of = _meeting(areas, given.walls)
    by_area = np.argsort(area, kind="stable")
    bounds = np.searchsorted(area[by_area], np.arange(len(areas) + 1))

    def part(row: int) -> Given:
        own = place[by_area[bounds[row] : bounds[row + 1]]]
        return Given(
            given.lines.iloc[line_of(row)],
            Homes(homes.xy[own], homes.count[own]),
            given.walls[wall_of(row)],
        )

    return map(part, range(len(areas))), lost


def _meeting(areas: Shapes, layer: Shapes) -> Callable[[int], npt.NDArray[np.intp]]:
    """Tell which of a layer meet an area, in their own order."""
    area, at = shapely.STRtree(layer).query(areas, predicate="intersects")
    order = np.lexsort((at, area))
    area, at = area[order], at[order]
    bounds = np.searchsorted(area, np.arange(len(areas) + 1))
    return lambda row: at[bounds[row] : bounds[row + 1]]


def _each_drawn(tasks: Sequence[_Task], executor: Executor | None) -> Generator[Drawn, None, None]:
    """Draw the areas; who stops asking leaves those not begun undone."""
    if executor is None:
        yield from map(_draw_one, tasks)
        return
    waiting = [executor.submit(_draw_one, task) for task in tasks]
    try:
        for each in waiting:
            yield each.result()
    finally:
        for each in waiting:
            each.cancel()


def _draw_one(task: _Task) -> Drawn:
    try:
        return anew.drawn_in(
            task.area,
            task.given,
            target=task.target,
            parent_code=task.code,
            seed=task.seed,
            crs=task.crs,
            moves_per_atom=_MOVES_PER_ATOM,
        )
    except GeoServiceError as error:
        return _as_it_is(task, error)


def _as_it_is(task: _Task, error: GeoServiceError) -> Drawn:
    """Make one grid of an area that can't be drawn, and say why."""
    total = np.array([int(task.given.homes.count.sum())])
    grids = anew.numbered(np.array([task.area], object), total, task.code, task.crs)
    miss = Miss(grids["code"].iloc[0], int(total[0]), error.message("zh"), error.message("en"))
    note = Note("not_drawn", f"{task.code}：{miss.zh}", f"{task.code}: {miss.en}")
    return Drawn(grids, (miss,), (note,), np.empty((0, 2)))


def _notes(
    grids: gpd.GeoDataFrame,
    misses: Sequence[Miss],
    areas: int,
    target: tuple[int, int],
    lost: int,
) -> tuple[Note, ...]:
    low, high = target
    right = len(grids) - len(misses)
    zh = f"{areas} 个区域共划出 {len(grids)} 个网格，{right} 个在 {low}–{high} 户之间。"
    en = (
        f"{len(grids)} grids were drawn in {areas} areas, {right} of them with {low}-{high} "
        "households."
    )
    drawn = Note("drawn", zh, en)
    return (drawn, anew.outside_note(lost)) if lost else (drawn,)
