"""From blocks to atoms: no sliver among them, and none with more households than a grid can take.

A street block is the wrong unit to draw with: most households of a dense city live in blocks that
are too big for one grid. So big blocks are cut by minor ways first, and then straight across,
between homes and clear of buildings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo_service import topology
from geo_service.drawing import _blocks, _splits, _walls

SLIVER_AREA_M2 = 200.0
SLIVER_WIDTH_M = 8.0
"""Below either, a face is what lies between two carriageways, not a block."""

STRIP_WIDTH_M = 15.0
"""Below it, what minor ways cut off a block is the strip between a road and its pavement."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]

_WELD_ROUNDS = 8
_SHARES = np.array([0.0, 0.04, -0.04, 0.08, -0.08, 0.13, -0.13, 0.18, -0.18])
_BUILDING_COST_PER_M = 0.25
_IMBALANCE_COST = 2.0
_LONG_BLOCK = 1.6
_LEAST_SHARE = 0.02
_WIND_FROM = (
    5  # cuts that wind are for what holds so many atoms' households; a straight border is wanted
)
_SHORTEST_CUT_M = 0.1


@dataclass(frozen=True)
class Homes:
    """Where people live.

    Parameters
    ----------
    xy : ndarray, shape (n, 2)
        Places, in the plane of the drawing.
    count : ndarray of int
        Households at each place.
    """

    xy: FloatArray
    count: IntArray

    @cached_property
    def by_place(self) -> shapely.STRtree:
        """A tree of the places."""
        return shapely.STRtree(np.asarray(shapely.points(self.xy), object))

    def within(self, shapes: Shapes) -> IntArray:
        """Give the shape each place lies in (the first of several, the nearest of none).

        Asked from the side of the shapes, which GEOS prepares: twice as fast as from the places'.
        """
        shape, place = self.by_place.query(shapes, predicate="intersects")
        found = np.full(len(self.xy), len(shapes), np.int64)
        np.minimum.at(found, place, shape)
        lost = found == len(shapes)
        if lost.any():
            found[lost] = shapely.STRtree(shapes).nearest(shapely.points(self.xy[lost]))
        return found

    def some(self, places: npt.NDArray[Any]) -> Homes:
        """Give some of the homes, by row or by mask."""
        return Homes(self.xy[places], self.count[places])

    def divided(self, parts: Sequence[Any]) -> list[Homes]:
        """Give the homes in each part of a shape that holds them all."""
        held, left = [], self
        for part in parts[:-1]:
            inside = shapely.intersects_xy(part, left.xy)
            held.append(left.some(inside))
            left = left.some(~inside)
        return [*held, left]

    def weigh(self, shapes: Shapes) -> IntArray:
        """Give the households of every shape."""
        total = np.bincount(self.within(shapes), self.count, minlength=len(shapes))
        return np.rint(total).astype(np.int64)


def cut(
    area: Any, *, lines: Shapes, minor: Shapes, homes: Homes, most: int, buildings: Shapes
) -> Shapes:
    """Cut an area into blocks and these into atoms; parameters as of `blocks_of` and `cut_big`."""
    blocks = blocks_of(area, lines=lines, minor=minor, homes=homes, most=most)
    return cut_big(blocks, homes, most, buildings)


def blocks_of(area: Any, *, lines: Shapes, minor: Shapes, homes: Homes, most: int) -> Shapes:
    """Cut an area into blocks along its lines.

    Parameters
    ----------
    area : shapely Polygon or MultiPolygon
        What to cut, in a metric plane.
    lines, minor : ndarray of shapely lines
        What cuts everywhere, and what cuts only blocks that hold too many households.
    homes : Homes
        Where people live.
    most : int
        The households a block may hold before minor ways cut it.

    Returns
    -------
    ndarray of shapely Polygon
        They tile the area and share every vertex.
    """
    blocks = weld(_blocks.cut_by_lines(area, lines))
    big = blocks[homes.weigh(blocks) > most]
    if not len(big) or not len(minor):
        return blocks
    inside = shapely.get_parts(shapely.intersection(shapely.union_all(minor), big))
    pieces = _blocks.cut_by_lines(area, np.concatenate([lines, inside]))
    return weld(pieces, of=holders(pieces, blocks), width_m=STRIP_WIDTH_M)


def weld(shapes: Shapes, *, of: IntArray | None = None, width_m: float = SLIVER_WIDTH_M) -> Shapes:
    """Join slivers to the neighbour they share most border with, of the same block if told."""
    if of is None:
        of = np.zeros(len(shapes), np.int64)
    for _ in range(_WELD_ROUNDS):
        area, length = shapely.area(shapes), shapely.length(shapes)
        sliver = (area < SLIVER_AREA_M2) | (2 * area / length < width_m)
        a, b, shared = topology.build(shapes).neighbours()
        a, b, shared = np.append(a, b), np.append(b, a), np.append(shared, shared)
        joins = sliver[a] & (of[a] == of[b])
        if not joins.any():
            break
        a, b, shared = a[joins], b[joins], shared[joins]
        best = np.lexsort((b, -shared, a))
        a, at = np.unique(a[best], return_index=True)
        b = b[best][at]
        links = coo_array((np.ones(len(a)), (a, b)), shape=(len(shapes), len(shapes)))
        label = connected_components(links, directed=False)[1]
        shapes, of = dissolve(shapes, label), of[np.unique(label, return_index=True)[1]]
    return shapes


def holders(pieces: Shapes, blocks: Shapes) -> IntArray:
    """Give the block each piece of one lies in."""
    inside = shapely.point_on_surface(pieces)
    return np.asarray(shapely.STRtree(blocks).nearest(inside), np.int64)


def dissolve(shapes: Shapes, label: npt.NDArray[np.integer[Any]]) -> Shapes:
    """Make one shape of all with the same label, labels in order; no vertex is moved."""
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    groups = np.split(shapes[order], starts[1:])
    joined = [g[0] if len(g) == 1 else shapely.coverage_union_all(g) for g in groups]
    return shapely.orient_polygons([shapely.get_parts(s)[0] if _single(s) else s for s in joined])


def _single(shape: Any) -> bool:
    return int(shapely.get_num_geometries(shape)) == 1


def cut_big(
    blocks: Shapes,
    homes: Homes,
    most: int | npt.NDArray[Any],
    buildings: Shapes,
    *,
    through: bool = False,
) -> Shapes:
    """Cut blocks straight until none holds more households than it may, as far as cuts can help.

    Parameters
    ----------
    blocks : ndarray of shapely Polygon
        A vertex-matched tiling.
    homes : Homes
        Where people live.
    most : int or ndarray of int
        The households each may hold.
    buildings : ndarray of shapely polygons
        What cuts keep clear of, winding between them where none is straight.
    through : bool, default False
        Cut straight through a building before winding.

    Returns
    -------
    ndarray of shapely Polygon
        They tile what the blocks tile and share every vertex.
    """
    limit = np.broadcast_to(np.asarray(most, np.int64), len(blocks))
    places = homes.within(blocks)
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(blocks) + 1))
    near = shapely.STRtree(buildings)
    nodes: _splits.Nodes = {}
    whole = []
    waiting = [
        (block, homes.some(order[bounds[i] : bounds[i + 1]]), int(limit[i]))
        for i, block in enumerate(blocks)
    ]
    while waiting:
        shape, here, may = waiting.pop()
        parts: list[tuple[Any, Homes]] = []
        if len(here.count) > 1 and here.count.sum() > may:
            parts = _cut_once(shape, here, may, buildings[near.query(shape)], nodes, through)
        waiting += [(part, held, may) for part, held in parts]
        if not parts:
            whole.append(shape)
    return np.array([_splits.with_nodes(shape, nodes) for shape in whole], object)


def _cut_once(
    shape: Any, homes: Homes, most: int, avoid: Shapes, nodes: _splits.Nodes, through: bool
) -> list[tuple[Any, Homes]]:
    """Cut a block by the best line that leaves homes on both sides; give the parts and theirs."""
    for chords, clear in _cuts(shape, homes, most, avoid, through):
        cut = _splits.split(shape, chords, nodes)
        if not cut.parts or (clear and len(_walls.crossed(avoid, cut.along))):
            continue
        held = homes.divided(cut.parts)
        if sorted(each.count.sum() for each in held)[-2] >= _LEAST_SHARE * homes.count.sum():
            nodes.update(cut.nodes)
            return list(zip(cut.parts, held, strict=True))
    return []


def _cuts(
    shape: Any, homes: Homes, most: int, avoid: Shapes, through: bool
) -> Iterator[tuple[Shapes, bool]]:
    """Give cuts, the best first, and whether each keeps clear of buildings.

    Straight ones keep clear, or else go through if they may; others wind between buildings.
    """
    for chords in _cuts_across(shape, homes, most, avoid, clear=True):
        yield chords, True
    if through and len(avoid):
        for chords in _cuts_across(shape, homes, most, avoid, clear=False):
            yield chords, False
    pieces = -(-int(homes.count.sum()) // most)
    if len(avoid) and pieces >= _WIND_FROM:
        goal = (pieces // 2) / pieces
        for chords in _walls.cuts_between(shape, homes.xy, homes.count, avoid, goal):
            yield chords, True


def _cuts_across(
    shape: Any, homes: Homes, most: int, avoid: Shapes, *, clear: bool
) -> list[Shapes]:
    """Give straight cuts between homes, the best first: short, even, clear of buildings."""
    corner = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    sides = np.array([corner[1] - corner[0], corner[2] - corner[1]])
    lengths = np.hypot(*sides.T)
    total = int(homes.count.sum())
    pieces = -(-total // most)
    goal = (pieces // 2) / pieces
    ends, uneven = [], []
    for along, across, length in zip(sides, sides[::-1], lengths, strict=True):
        if length * _LONG_BLOCK < lengths.max():
            continue
        unit, reach = along / length, 2 * lengths.max() * across / np.hypot(*across)
        for share, base in _between_homes(homes.xy @ unit, homes.count / total, goal):
            middle = corner[0] + unit * (base - corner[0] @ unit)
            ends.append([middle - reach, middle + reach])
            uneven.append(abs(share - goal))
    if not ends:
        return []
    lines = np.asarray(shapely.linestrings(ends))
    chords, line = shapely.get_parts(shapely.intersection(lines, shape), return_index=True)
    long = shapely.length(chords) > _SHORTEST_CUT_M
    chords, line = chords[long], line[long]
    cost = shapely.length(chords) / np.sqrt(shape.area) + _IMBALANCE_COST * np.array(uneven)[line]
    if len(avoid):
        crossed = shapely.length(shapely.intersection(chords[:, None], avoid)).sum(axis=1)
        cost += np.where(crossed > 0.0, np.inf if clear else _BUILDING_COST_PER_M * crossed, 0.0)
    found = [(cost[k], k, chords[k : k + 1]) for k in range(len(chords))]
    if shapely.get_num_interior_rings(shape):
        # Round a hole one chord cuts nothing apart: there a line is taken whole too.
        found += [
            (cost[line == k].sum(), len(chords) + k, chords[line == k]) for k in np.unique(line)
        ]
    found.sort(key=lambda each: each[:2])
    return [each for price, _, each in found if price < np.inf]


def _between_homes(
    position: FloatArray, share: FloatArray, goal: float
) -> list[tuple[float, float]]:
    """Give places to cut, between neighbouring homes along an axis, with the share before each."""
    order = np.argsort(position, kind="stable")
    before = np.cumsum(share[order])[:-1]
    gap = np.diff(position[order])
    places = []
    for wanted in np.clip(goal + _SHARES, 0.02, 0.98):
        away = np.abs(before - wanted)
        away[gap <= 0.0] = np.inf
        at = int(away.argmin()) if len(away) else 0
        if len(away) and np.isfinite(away[at]):
            places.append((float(before[at]), float(position[order][at] + gap[at] / 2)))
    return list(dict.fromkeys(places))
