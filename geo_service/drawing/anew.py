"""Draw an area anew: blocks along its streets, grouped to grids of a wanted size."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as grid_codes
from geo_service import topology
from geo_service.codes import grid_name
from geo_service.drawing import (
    _atoms,
    _blocks,
    _claims,
    _fixed,
    _given,
    _grouping,
    _premises,
    _seeds,
    _straight,
    _told,
)
from geo_service.drawing._given import Given
from geo_service.drawing._told import Miss, Names
from geo_service.drawing._wishes import NOTHING_ASKED, Wishes
from geo_service.drawing.kinds import ORDINARY
from geo_service.errors import InputError
from geo_service.notes import Note

_ATOM_SHARE = 0.1
"""How big an atom may be, of the upper bound. With atoms twice as big the grids of three real
extracts came out less compact, by 0.02-0.04 at the median."""

_TRIES = 5  # seeds, groups that are not cut and small areas leave few ways: other dice may find one
_FEW_ATOMS = 500  # more of them are not grouped again and again for one grid
_GROUP_SHARE = 0.05  # the same where groups are known by their homes, so that few atoms are mixed

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Drawn:
    """Grids drawn anew.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        ``code``, ``name``, ``parent_code``, ``households``, geometry; numbered west to east and
        north to south. They tile the area and share every vertex.
    misses : tuple of Miss
        Grids outside the wanted range, each with the reason.
    notes : tuple of Note
        What was done and found.
    rim_nodes : ndarray, shape (n, 2)
        Points put into the outline where a border meets it; its own vertices are all kept.
    """

    grids: gpd.GeoDataFrame
    misses: tuple[Miss, ...]
    notes: tuple[Note, ...]
    rim_nodes: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<Drawn {len(self.grids)} grids, {len(self.misses)} out of range>"


def draw(
    area: Any,
    *,
    streets: gpd.GeoDataFrame,
    households: gpd.GeoDataFrame,
    target: tuple[int, int] = (300, 500),
    lines: gpd.GeoDataFrame | None = None,
    buildings: gpd.GeoDataFrame | None = None,
    parent_code: str | None = None,
    seed: int = 0,
    crs: Any = None,
    fixed: gpd.GeoDataFrame | None = None,
    seeds: gpd.GeoDataFrame | None = None,
    dedicated: gpd.GeoDataFrame | None = None,
    groups: gpd.GeoDataFrame | str | None = None,
    one_grid_each: bool = False,
    taken: Iterable[str] = (),
) -> Drawn:
    """Draw the grids of an area along its streets, to a number of households.

    The area is cut into blocks by streets, rivers and railways; blocks that hold too many homes are
    cut by minor ways, then straight between homes; the pieces are grouped to connected grids within
    the range, compact, with borders on main streets rather than across open ground.

    Parameters
    ----------
    area : shapely Polygon or MultiPolygon
        What to draw, in the plane of ``crs``. Its outline stays as it is; where a border meets it,
        a node is added, told in `Drawn.rim_nodes`.
    streets : geopandas.GeoDataFrame
        LineStrings as `street_lines` gives them: a column ``kind`` (or OSM's ``highway``) tells
        main streets from minor ways.
    households : geopandas.GeoDataFrame
        Points; a column ``households`` (or ``population``) counts, else each point is one.
    target : tuple of int, default (300, 500)
        Fewest and most households of a grid.
    lines : geopandas.GeoDataFrame, optional
        Further lines to draw along, such as borders of today.
    buildings : geopandas.GeoDataFrame, optional
        Footprints that straight cuts keep clear of.
    parent_code : str, optional
        The community's code, to number the grids under.
    seed : int, default 0
        Same input and seed, same bytes.
    crs : Any, optional
        A metric plane; default that of ``streets``. The other layers are brought into it.
    fixed : geopandas.GeoDataFrame, optional
        Grids of today that stay as they are to the byte, in the plane, with a column ``code``. New
        borders end on their corners.
    seeds : geopandas.GeoDataFrame, optional
        Points that are each to lie in a grid of its own.
    dedicated : geopandas.GeoDataFrame, optional
        Premises (market, school, tower) that are each one grid (专属网格), whatever it holds; a
        column ``name`` names it.
    groups : geopandas.GeoDataFrame or str, optional
        Villagers' groups, which no border cuts: polygons, or the column of ``households`` that
        names the group of each place. Small ones are joined to the range.
    one_grid_each : bool, default False
        Make every group one grid, whatever it holds.
    taken : iterable of str
        Codes in use or retired, never to be given again.

    Returns
    -------
    Drawn

    Raises
    ------
    InputError
        ``parameter_invalid`` or ``drawing_impossible``: no range, fixed grids that overlap or lie
        outside, seeds outside or more of them than the households make grids, dedicated premises
        outside or too small, households that all lie outside.

    Notes
    -----
    A range can be impossible: too few homes in all, an island of few, a tower of many at one
    place. Such grids are drawn as near as can be and named in `Drawn.misses`.
    """
    target = _given.require_range(target)
    _given.require_area(area)
    plane = _given.require_plane(crs if crs is not None else streets.crs)
    given = Given(
        _given.lines_in(plane, streets, lines),
        _given.homes_of(households.to_crs(plane)),
        _given.footprints(plane, buildings),
    )
    wishes = Wishes.read(
        plane, households, fixed=fixed, seeds=seeds, dedicated=dedicated, groups=groups,
        one_grid_each=one_grid_each, taken=taken,
    )  # fmt: skip
    _given.require_homes(area, given.homes)
    return drawn_in(
        area, given, wishes=wishes, target=target, parent_code=parent_code, seed=seed, crs=plane
    )


@dataclass(frozen=True)
class _Plan:
    """A drawing before its borders are final.

    Parameters
    ----------
    atoms, label : ndarray
        What is grouped, and the grid of each.
    claim : ndarray of int
        The group each atom is, or -1.
    """

    atoms: Shapes
    label: npt.NDArray[np.int64]
    claim: npt.NDArray[np.int64]


def drawn_in(
    area: Any,
    given: Given,
    *,
    target: tuple[int, int],
    parent_code: str | None,
    seed: int,
    crs: Any,
    wishes: Wishes = NOTHING_ASKED,
    moves_per_atom: int | None = None,
) -> Drawn:
    """Draw an area from what is prepared already; parameters as of `draw`."""
    _given.require_area(area)
    rest, kept = area, np.empty(0, object)
    if wishes.fixed is not None:
        kept = np.asarray(wishes.fixed.geometry.values, object)
        rest = _fixed.around(area, wishes.fixed)
    everyone, lost = _given.inside(area, given.homes)
    homes = everyone if rest is area else _given.inside(rest, everyone)[0]
    land = np.empty(0, object)
    if wishes.premises is not None:
        rest, land = _premises.carve(rest, wishes.premises, kept)
    if wishes.seeds is not None:
        _seeds.require_inside(wishes.seeds, rest)
    shapes, group_of, moved = np.empty(0, object), np.empty(0, np.int64), np.empty(0)
    if not rest.is_empty:
        lines = _with_borders(given.lines, wishes.claims)
        around = homes if wishes.premises is None else _given.inside(rest, homes)[0]
        inside = Given(lines, around, given.walls)
        plan = _planned(rest, inside, wishes, target, seed, moves_per_atom)
        shapes, group_of = _atoms.dissolve(plan.atoms, plan.label), _group_of(plan)
        shapes = _straight.straightened(
            shapes,
            lines=np.asarray(lines.geometry.values, object),
            homes=_with_seeds(homes, wishes.seeds),
            walls=given.walls,
        )
        if len(kept):
            shapes, moved = _fixed.end_on_corners(
                shapes, rest, kept, lambda some: _households_off(some, homes, target)
            )
        shapes = _premises.put_back(shapes, rest, land) if len(land) else shapes
    else:
        shapes = land
    ways = np.asarray(given.lines.geometry.values, object)
    through = _told.through_notes(shapes, given.walls, ways)
    order = west_east(shapes)
    shapes = shapes[order]
    names = Names.of(group_of, wishes, order)
    grids = numbered(shapes, homes.weigh(shapes), parent_code, crs, taken=wishes.taken)
    grids = names.given_to(grids)
    misses = tuple(_told.misses(grids, homes, target, names))
    if wishes.fixed is not None:
        grids = _with_fixed(grids, wishes.fixed, given.homes, crs)
    nodes = _blocks.rim_nodes(area, np.asarray(grids.geometry.values, object))
    notes = _told.notes(grids, misses, nodes, lost, target)
    notes += through + _told.wish_notes(given.lines, area, moved, names, wishes)
    return Drawn(grids, misses, notes, nodes)


def _planned(
    area: Any,
    given: Given,
    wishes: Wishes,
    target: tuple[int, int],
    seed: int,
    moves_per_atom: int | None,
) -> _Plan:
    """Cut and group, round groups and seeds where there are any; homes are those in the area."""
    lines, homes, high = given.lines, given.homes, target[1]
    if wishes.claims is None and wishes.seeds is None:
        most = atom_size(target)
        atoms, label = drawn_from(
            area, given, target, seed, most=most, moves_per_atom=moves_per_atom
        )
        return _Plan(atoms, label, np.full(len(atoms), -1, np.int64))
    by_homes = wishes.claims is not None and len(wishes.claims.xy) > 0
    share = _GROUP_SHARE if by_homes else _ATOM_SHARE
    most = max(int(high * share), 1)
    atoms = _atoms.cut_big(_blocks_of(area, lines, homes, most), homes, most, given.walls)
    claim = np.full(len(atoms), -1, np.int64)
    alone = np.zeros(len(atoms), bool)
    if wishes.claims is not None:
        atoms, claim = _claims.gather(atoms, wishes.claims)
        alone = (claim >= 0) & wishes.claims.one_grid_each
    if wishes.seeds is not None:
        atoms, claim = _parted(atoms, claim, wishes.seeds)
        alone = (claim >= 0) & (wishes.claims is not None and wishes.claims.one_grid_each)
    free = np.flatnonzero(~alone)
    label = np.zeros(len(atoms), np.int64)
    if len(free):
        asked, wanted = homes.weigh(atoms)[free], target
        if wishes.seeds is not None:
            asked, wanted = _seeds.weigh(atoms[free], asked, wishes.seeds, target)
        tried = (
            _grouping.group(
                atoms[free], asked, lines, wanted, seed + k, moves_per_atom=moves_per_atom
            )
            for k in range(_TRIES)
        )
        label[free] = _best(tried, asked, wanted)
    label[alone] = label[free].max(initial=-1) + 1 + np.arange(int(alone.sum()))
    return _Plan(atoms, label, claim)


def _best(
    labels: Iterable[npt.NDArray[np.int64]], weight: npt.NDArray[np.int64], target: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Give the first grouping with every grid in the range, else the one that misses it least."""
    found = []
    for label in labels:
        off = _off(np.bincount(label, weight).astype(float), target).sum()
        if off == 0.0:
            return label
        found.append((float(off), label))
    return min(found, key=lambda each: each[0])[1]


def _with_borders(lines: gpd.GeoDataFrame, claims: _claims.Claims | None) -> gpd.GeoDataFrame:
    """Give the lines to draw along, the borders of groups among them."""
    if claims is None:
        return lines
    borders = shapely.get_parts(claims.borders())
    further = gpd.GeoDataFrame({"kind": ["line"] * len(borders)}, geometry=borders, crs=lines.crs)
    return pd.concat([lines, further], ignore_index=True)


def _with_seeds(homes: _atoms.Homes, seeds: npt.NDArray[np.float64] | None) -> _atoms.Homes:
    """Give the homes and the seeds: neither changes sides when a border is straightened."""
    if seeds is None:
        return homes
    nobody = np.zeros(len(seeds), np.int64)
    return _atoms.Homes(np.vstack([homes.xy, seeds]), np.append(homes.count, nobody))


def _parted(
    atoms: Shapes, claim: npt.NDArray[np.int64], seeds: npt.NDArray[np.float64]
) -> tuple[Shapes, npt.NDArray[np.int64]]:
    """Cut atoms between seeds; the parts are claimed by whoever claimed the whole."""
    parts = _seeds.part(atoms, seeds)
    if parts is atoms:
        return atoms, claim
    at = shapely.STRtree(atoms).query(shapely.point_on_surface(parts), predicate="within")[1]
    return parts, claim[at]


def _group_of(plan: _Plan) -> npt.NDArray[np.int64]:
    """Give the group that is all of a grid, or -1."""
    count = int(plan.label.max()) + 1
    least, most = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
    np.minimum.at(least, plan.label, plan.claim)
    np.maximum.at(most, plan.label, plan.claim)
    return np.where(least == most, most, -1)


def _with_fixed(
    grids: gpd.GeoDataFrame, fixed: gpd.GeoDataFrame, homes: _atoms.Homes, crs: Any
) -> gpd.GeoDataFrame:
    """Put the fixed grids behind the new ones, their households counted where they tell none."""
    shapes = np.asarray(fixed.geometry.values, object)
    kept = fixed.rename_geometry("geometry") if fixed.geometry.name != "geometry" else fixed
    if "households" not in kept:
        kept = kept.assign(households=_held(shapes, homes))
    together = pd.concat([grids, kept], ignore_index=True)
    return gpd.GeoDataFrame(together, geometry="geometry", crs=crs)


def atom_size(target: tuple[int, int]) -> int:
    """Give the households an atom may hold."""
    return max(int(target[1] * _ATOM_SHARE), 1)


def drawn_from(
    area: Any,
    given: Given,
    target: tuple[int, int],
    seed: int,
    *,
    most: int,
    moves_per_atom: int | None = None,
) -> tuple[Shapes, npt.NDArray[np.int64]]:
    """Cut an area into atoms of at most so many households and group them to grids.

    Where grids miss the range, their atoms and those of their neighbours are cut in two, as often
    as it helps, and few atoms are grouped by other dice. Only then the blocks near misses may be
    cut through buildings, if that helps.

    Returns
    -------
    ndarray of shapely Polygon
        The atoms.
    ndarray of int
        The grid of each.
    """
    homes = given.homes

    def grouped(atoms: Shapes, dice: int = seed) -> _Grouped:
        weight = homes.weigh(atoms)
        label = _grouping.group(
            atoms, weight, given.lines, target, dice, moves_per_atom=moves_per_atom
        )
        return _Grouped(atoms, label, _off(np.bincount(label, weight).astype(float), target))

    blocks = _blocks_of(area, given.lines, homes, most)
    best, finer = grouped(_atoms.cut_big(blocks, homes, most, given.walls)), most
    while best.off.any() and finer > 1:
        finer //= 2
        limit = np.where(_near_misses(best), finer, homes.count.sum())
        tried = grouped(_atoms.cut_big(best.atoms, homes, limit, given.walls))
        if tried.off.sum() >= best.off.sum():
            break
        best = tried
    for dice in range(seed + 1, seed + _TRIES) if len(best.atoms) < _FEW_ATOMS else ():
        if not best.off.any() or _hopeless(homes, target):
            break
        best = min(best, grouped(best.atoms, dice), key=lambda plan: plan.off.sum())
    if best.off.any() and len(given.walls):
        atoms, again = _whole_again(best, blocks)
        limit = np.where(again, most, homes.count.sum())
        tried = grouped(_atoms.cut_big(atoms, homes, limit, given.walls, through=True))
        best = tried if tried.off.sum() < best.off.sum() else best
    return best.atoms, best.label


class _Grouped(NamedTuple):
    """Atoms, the grid of each, and the households by which each grid misses the range."""

    atoms: Shapes
    label: npt.NDArray[np.int64]
    off: npt.NDArray[np.float64]


def _off(total: npt.NDArray[np.float64], target: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Give the households by which each grid misses the range."""
    low, high = target
    return np.maximum(np.maximum(low - total, total - high), 0.0)


def _households_off(shapes: Shapes, homes: _atoms.Homes, target: tuple[int, int]) -> float:
    """Give the households by which shapes, of more than these, miss the range."""
    return float(_off(_held(shapes, homes).astype(float), target).sum())


def _held(shapes: Shapes, homes: _atoms.Homes) -> npt.NDArray[np.int64]:
    """Give the households in each of some shapes, which need not hold all of them."""
    held = [homes.count[shapely.intersects_xy(each, homes.xy)].sum() for each in shapes]
    return np.array(held, np.int64)


def _hopeless(homes: _atoms.Homes, target: tuple[int, int]) -> bool:
    """Tell whether one place, or the sum of all, can't be had within the range."""
    low, high = target
    total = int(homes.count.sum())
    return bool(homes.count.max(initial=0) > high or -(-total // high) * low > total)


def _near_misses(plan: _Grouped) -> npt.NDArray[np.bool_]:
    """Choose the atoms of grids outside the range and of those next to them."""
    a, b = (plan.label[each] for each in topology.build(plan.atoms).neighbours()[:2])
    missed = plan.off > 0.0
    wider = missed.copy()
    wider[a[missed[b]]] = True
    wider[b[missed[a]]] = True
    return wider[plan.label]


def _whole_again(plan: _Grouped, blocks: Shapes) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """Undo the cuts of the blocks near misses; tell which of the atoms are those blocks."""
    of = _atoms.holders(plan.atoms, blocks)
    again = np.isin(of, of[_near_misses(plan)])
    whole = _atoms.dissolve(plan.atoms[again], np.unique(of[again], return_inverse=True)[1])
    atoms = np.concatenate([plan.atoms[~again], whole])
    return atoms, np.arange(len(atoms)) >= len(atoms) - len(whole)


def _blocks_of(area: Any, given: gpd.GeoDataFrame, homes: _atoms.Homes, most: int) -> Shapes:
    shapes = np.asarray(given.geometry.values, object)
    minor = (given["kind"] == "minor").to_numpy()
    return _atoms.blocks_of(area, lines=shapes[~minor], minor=shapes[minor], homes=homes, most=most)


def west_east(shapes: Shapes) -> npt.NDArray[np.intp]:
    """Give the order in which shapes are numbered: west to east, north to south."""
    centre = shapely.centroid(shapes)
    return grid_codes.order_west_east(shapely.get_x(centre), shapely.get_y(centre))


def numbered(
    shapes: Shapes,
    weight: npt.NDArray[np.int64],
    parent_code: str | None,
    crs: Any,
    *,
    taken: Collection[str] = (),
) -> gpd.GeoDataFrame:
    """Give shapes as a layer with new codes, in the order they come."""
    count = len(shapes)
    if parent_code is None:
        width = max(len(str(count)), 3)
        free = (
            code for number in itertools.count(1) if (code := f"{number:0{width}d}") not in taken
        )
        codes = list(itertools.islice(free, count))
    else:
        try:
            codes = grid_codes.next_free(parent_code, taken, count)
        except ValueError as error:
            raise InputError("drawing_impossible", reason=error) from error
    tail = 0 if parent_code is None else len(parent_code)
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "name": [grid_name(int(code[tail:])) for code in codes],
            "kind": ORDINARY,
            "parent_code": parent_code or "",
            "households": weight,
        },
        geometry=shapes,
        crs=crs,
    )
