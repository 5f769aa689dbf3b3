"""Draw a whole city: each community by itself, and its neighbours given the nodes they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.drawing import _given, _seams, _told, anew
from geo_service.drawing._given import Given
from geo_service.drawing._told import Miss
from geo_service.drawing._wishes import Wishes
from geo_service.drawing.anew import Drawn
from geo_service.errors import GeoServiceError, InputError, Phrase
from geo_service.notes import Note

_MOVES_PER_ATOM = 1000
"""Half of what one area drawn by itself takes: the communities of a city are many and small."""

_WORDS = {
    "not_drawn": (
        "{} 个区域未能划分，各为一个网格。",
        "{} areas could not be drawn and are one grid each.",
    ),
    "no_streets": (
        "{} 个区域没有街道，沿其他线或住户之间划分。",
        "{} areas have no streets and were drawn along other lines or between homes.",
    ),
    "buildings_cut": (
        "{} 个区域有建筑被界线穿过，不穿过户数就不能达标。",
        "In {} areas borders run through buildings, without which the range can't be had.",
    ),
    "stand_alone": (
        "{} 个区域有专属网格或整组成格。",
        "{} areas have dedicated grids or groups that are one grid each.",
    ),
    "fixed_kept": (
        "{} 个区域的固定网格原样保留。",
        "In {} areas fixed grids were kept as they are.",
    ),
}
"""What is told of the areas by their number."""

Shapes = npt.NDArray[np.object_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Task:
    """What one community is drawn from; small enough to send to another process."""

    code: str
    area: Any
    given: Given
    wishes: Wishes
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
    fixed: gpd.GeoDataFrame | None = None,
    seeds: gpd.GeoDataFrame | None = None,
    dedicated: gpd.GeoDataFrame | None = None,
    groups: gpd.GeoDataFrame | str | None = None,
    one_grid_each: bool = False,
    taken: Iterable[str] = (),
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
    fixed, seeds, dedicated, groups, one_grid_each, taken
        As `draw` takes them; each goes to the area it lies in.
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
    target = _given.require_range(target)
    _given.require_plane(areas.crs)
    ordered = areas.assign(code=areas["code"].astype(str)).sort_values("code", kind="stable")
    outlines = _seams.matched(np.asarray(ordered.geometry.values, object))
    homes = _given.homes_of(households.to_crs(areas.crs))
    given = Given(
        _given.lines_in(areas.crs, streets, lines), homes, _given.footprints(areas.crs, buildings)
    )
    wishes = Wishes.read(
        areas.crs, households, fixed=fixed, seeds=seeds, dedicated=dedicated, groups=groups,
        one_grid_each=one_grid_each, taken=taken,
    )  # fmt: skip
    parts, lost = _parts(outlines, given)
    if len(homes.count) and lost == homes.count.sum():
        raise _told.all_outside(lost)
    own = _wishes_of(outlines, wishes)
    tasks = [
        _Task(code, area, part, wish, target, _own_seed(seed, code), areas.crs)
        for code, area, part, wish in zip(ordered["code"], outlines, parts, own, strict=True)
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
    return Drawn(whole, misses, _notes(whole, drawn, target, lost), rim)


def _own_seed(seed: int, code: str) -> int:
    """Give an area a seed of its own, so that no area's grids hang on those drawn before it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{code}".encode()).digest()[:4], "big")


def _parts(areas: Shapes, given: Given) -> tuple[Iterator[Given], int]:
    """Give each area its part of what is given, and tell how many households lie in none.

    A home on a line between areas counts in the first of them.
    """
    homes = given.homes
    area, place = homes.by_place.query(areas, predicate="intersects")
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
            homes.some(own),
            given.walls[wall_of(row)],
        )

    return map(part, range(len(areas))), lost


def _wishes_of(areas: Shapes, wishes: Wishes) -> Iterator[Wishes]:
    """Give each area the wishes that lie in it, refusing those that lie in none."""
    nothing = np.empty(0, np.int64)
    fixed_in = grown_in = nothing
    if wishes.fixed is not None:
        names = wishes.fixed["code"].astype(str).tolist()
        fixed_in = _holders(
            areas,
            shapely.point_on_surface(np.asarray(wishes.fixed.geometry.values, object)),
            lambda row: (f"固定网格 {names[row]}", f"the fixed grid {names[row]}"),
        )
    if wishes.seeds is not None:
        grown_in = _holders(
            areas,
            np.asarray(shapely.points(wishes.seeds), object),
            lambda row: (f"第 {row + 1} 个种子点", f"seed {row + 1}"),
        )
    apart = wishes.premises
    land_in = nothing
    if apart is not None:
        land_in = _holders(
            areas,
            shapely.point_on_surface(apart.shape),
            lambda row: (f"专属网格“{apart.name[row]}”", f"the dedicated grid “{apart.name[row]}”"),
        )
    for row, area in enumerate(areas):
        fixed, seeds = fixed_in == row, grown_in == row
        yield Wishes(
            wishes.fixed[fixed] if wishes.fixed is not None and fixed.any() else None,
            wishes.seeds[seeds] if wishes.seeds is not None and seeds.any() else None,
            None if apart is None else apart.only(land_in == row),
            None if wishes.claims is None else wishes.claims.within(area),
            wishes.taken,
        )


def _holders(areas: Shapes, points: Shapes, name: Callable[[int], tuple[str, str]]) -> IntArray:
    """Give the first area each point lies in."""
    area, at = shapely.STRtree(points).query(areas, predicate="intersects")
    found = np.full(len(points), len(areas), np.int64)
    np.minimum.at(found, at, area)
    if (found == len(areas)).any():
        zh, en = name(int(found.argmax()))
        reason = Phrase(
            f"{zh}不在要划分的任何区域内", f"{en} lies in none of the areas to be drawn"
        )
        raise InputError("drawing_impossible", reason=reason)
    return found


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
            wishes=task.wishes,
            target=task.target,
            parent_code=task.code,
            seed=task.seed,
            crs=task.crs,
            moves_per_atom=_MOVES_PER_ATOM,
        )
    except GeoServiceError as error:
        if task.wishes.fixed is not None:
            raise  # as one grid the area would lie over those that are to stay
        return _as_it_is(task, error)


def _as_it_is(task: _Task, error: GeoServiceError) -> Drawn:
    """Make one grid of an area that can't be drawn, and say why."""
    total = np.array([int(task.given.homes.count.sum())])
    grids = anew.numbered(np.array([task.area], object), total, task.code, task.crs)
    miss = Miss(grids["code"].iloc[0], int(total[0]), error.message("zh"), error.message("en"))
    note = Note("not_drawn", f"{task.code}：{miss.zh}", f"{task.code}: {miss.en}")
    return Drawn(grids, (miss,), (note,), np.empty((0, 2)))


def _notes(
    grids: gpd.GeoDataFrame, drawn: Sequence[Drawn], target: tuple[int, int], lost: int
) -> tuple[Note, ...]:
    low, high = target
    right = int(grids["households"].between(low, high).sum())
    areas = len(drawn)
    zh = f"{areas} 个区域共划出 {len(grids)} 个网格，{right} 个在 {low}–{high} 户之间。"
    en = (
        f"{len(grids)} grids were drawn in {areas} areas, {right} of them with {low}-{high} "
        "households."
    )
    notes = [Note("drawn", zh, en)]
    for code, (zh, en) in _WORDS.items():
        count = sum(any(note.code == code for note in each.notes) for each in drawn)
        if count:
            notes.append(Note(code, zh.format(count), en.format(count)))
    if lost:
        notes.append(_told.outside_note(lost))
    return tuple(notes)
