"""Over a dozen grids on one spot, told as one fault: their borders cross too often to be walked.

The planar graph of n shapes that lie over one another has up to n^2 nodes; of 10,000 shifted copies
it would never be done. So, before anything is noded, whatever lies that deep is joined: the first
grid of a pile stands for the ground of all of them, and the rest of the layer is judged beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.errors import GEOSException

from geo_service.coverage import _arrays, _rings
from geo_service.coverage._arrays import Geometry, GeometryArray, IntArray
from geo_service.coverage._faults import Fault, remark
from geo_service.coverage._layer import Layer
from geo_service.coverage._residual import Residual
from geo_service.notes import Note

DEPTH = 12
"""Grids drawn differently over one place that make it a pile.

Looked at: 14 revisions of a city in one file are 120 piles and read in a second; told pair by pair
they are tens of thousands of overlaps, or no answer at all. No real layer has such a place.
"""

_REVISIONS, _MOSTLY, _ALIKE = 3, 0.5, 0.5
"""Where most of the grids at fault lie on spots of as many grids or more, all of a size, the file
holds a layer several times over, and each spot is a pile: pair by pair, ten revisions of 300 grids
are 190,000 overlaps."""

_FIRST, _MOST = 16, 4096  # places tried at a time; each may lie in the box of every grid


@dataclass(frozen=True)
class Pile:
    """Grids that lie over one another on one spot.

    Parameters
    ----------
    rows : tuple of int
    ground : geometry
        What any of them covers.
    twice : geometry
        What two of them cover, or more.
    """

    rows: tuple[int, ...]
    ground: Geometry
    twice: Geometry


def piles_of(layer: Layer, left: Residual, copies: list[tuple[int, ...]]) -> list[Pile]:
    """Find the places that more than `DEPTH` grids cover which no copies of one another are.

    Or `_REVISIONS` and more, where the layer as a whole is drawn as often.

    Each grid at a fault is asked at one place inside it; grids of a pile that was found already are
    not asked again, so that the work does not grow with the square of their number. Where there is
    a pile every grid is asked: revisions that were shifted as a whole cancel but for their rims.
    """
    again = np.array([row for rows in copies for row in rows[1:]], np.int64)
    asked = np.setdiff1d(left.row[left.row >= 0], again)
    found = _deep(layer, asked) if len(asked) > DEPTH else []
    revised = len(found) > 0 and len(np.unique(np.concatenate(found))) > _MOSTLY * len(asked)
    if revised or any(len(rows) > DEPTH for rows in found):
        found = _deep(layer, np.setdiff1d(np.arange(layer.rings.features), again))
    if not revised:
        found = [rows for rows in found if len(rows) > DEPTH]
    return [_pile(layer, rows, copies) for rows in _met(found, layer.rings.features)]


def _deep(layer: Layer, asked: IntArray) -> list[IntArray]:
    """The grids over each of the places that may lie too deep, found a few places at a time.

    Those of over `DEPTH` grids, and those of `_REVISIONS` and more that are all of a size.
    """
    points = _arrays.inner_points(layer.valid[asked])
    order = np.lexsort((points[:, 1], points[:, 0]))  # not that of the features
    asked, points = asked[order], points[order]
    shapes = layer.valid[asked]
    tree = shapely.STRtree(shapes)
    unprepared = shapes[~shapely.is_prepared(shapes)]
    known = np.zeros(len(shapes), np.bool_)
    found = []
    first, step = 0, _FIRST
    while first < len(shapes):
        batch = first + np.flatnonzero(~known[first : first + step])
        first += step
        at, row = tree.query(_arrays.points_at(points[batch]))
        shapely.prepare(shapes[np.unique(row)])  # one of a million vertices may lie over all others
        x, y = points[batch][at].T
        holds = shapely.intersects_xy(shapes[row], x, y)
        at, row = at[holds], row[holds]
        deep = np.flatnonzero(np.bincount(at, minlength=len(batch)) >= _REVISIONS)
        step = min(2 * step, _MOST)
        for k in deep.tolist():
            its = row[at == k]
            if len(its) <= DEPTH and _of_a_size(layer, asked[its]):
                found.append(asked[its])
            elif len(its) > DEPTH:
                step = _FIRST
                if not known[batch[k]]:
                    found.append(asked[its])
                    known[its] = True
    shapely.destroy_prepared(unprepared)
    return found


def _of_a_size(layer: Layer, rows: IntArray) -> bool:
    """Whether grids are as large as one another: revisions are, a grid and its county are not."""
    low_x, low_y, high_x, high_y = layer.boxes[rows].T
    size = (high_x - low_x) * (high_y - low_y)
    return bool(size.min() > _ALIKE * size.max())


def _met(found: list[IntArray], count: int) -> list[IntArray]:
    """Join what shares a grid."""
    if not found:
        return []
    which = np.repeat(np.arange(len(found)), list(map(len, found)))
    rows = np.concatenate(found)
    everyone = np.ones(count + len(found), np.bool_)
    part = _arrays.components(len(everyone), rows, which + count, everyone)
    rows = np.unique(rows)
    return [rows[part[rows] == one] for one in np.unique(part[rows])]


def _pile(layer: Layer, rows: IntArray, copies: list[tuple[int, ...]]) -> Pile:
    mine = set(rows.tolist())
    for same in copies:
        if not mine.isdisjoint(same):
            mine.update(same)
    every = tuple(sorted(mine, key=lambda row: (layer.label(row), row)))
    shapes = layer.valid[list(every)]
    try:
        ground, twice = _stacked(shapes, None)
    except GEOSException:
        ground, twice = _stacked(shapes, layer.ground.noise)
    return Pile(every, ground, twice)


def _stacked(shapes: GeometryArray, grid: float | None) -> tuple[Geometry, Geometry]:
    """What any shape covers and what more than one does, by halves."""
    if len(shapes) == 1:
        return shapes[0], shapely.Polygon()
    half = len(shapes) // 2
    once, twice = _stacked(shapes[:half], grid)
    other, again = _stacked(shapes[half:], grid)
    both = _arrays.areas(shapely.intersection(once, other, grid_size=grid))
    return (
        _arrays.areas(shapely.union(once, other, grid_size=grid)),
        _arrays.areas(shapely.union_all([twice, again, both], grid_size=grid)),
    )


def flattened(layer: Layer, piles: list[Pile]) -> Layer:
    """Give the layer with the first grid of each pile covering what all of it does, alone."""
    geometries, valid = np.array(layer.geometries), np.array(layer.valid)
    boxes = layer.boxes.copy()
    for pile in piles:
        first = pile.rows[0]
        geometries[first] = valid[first] = pile.ground
        boxes[first] = shapely.bounds(pile.ground)
    under = np.array([row for pile in piles for row in pile.rows[1:]], np.int64)
    standing = np.setdiff1d(np.arange(len(geometries)), under)
    rings = _rings.rings_of(geometries[standing])
    rings = replace(rings, row=standing[rings.row], features=len(geometries))
    return replace(layer, geometries=geometries, valid=valid, rings=rings, boxes=boxes, under=under)


def faults(layer: Layer, piles: list[Pile]) -> list[Fault]:
    """Tell each pile as one overlap."""
    found = []
    for pile in piles:
        area_m2, width_m = layer.ground.measure(_arrays.array_of(pile.twice))
        size = float(area_m2[0]), float(width_m[0])
        found.append(Fault("overlap", pile.rows, pile.twice, *size, facts={"pile": True}))
    return found


def remarks(piles: list[Pile]) -> list[Note]:
    """Say that the grids of a pile are not told pair by pair."""
    if not piles:
        return []
    count, spots = sum(len(pile.rows) for pile in piles), len(piles)
    places = "1 spot" if spots == 1 else f"{spots} spots"
    return [remark("piled", count=f"{count:,}", spots=spots, places=places)]
