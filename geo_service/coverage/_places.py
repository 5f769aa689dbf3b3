"""Faces of one kind joined to places, measured, with whoever borders them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from shapely.errors import GEOSException

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, GeometryArray, IntArray
from geo_service.coverage._faces import Faces, groups
from geo_service.coverage._ground import Ground
from geo_service.coverage._residual import Residual

DUST_M = 0.005
MANY_DUST, SHOWN_DUST = 1000, 100


@dataclass(frozen=True)
class Places:
    """Joined faces of one label: each a fault to be, unless it is mere rounding.

    Parameters
    ----------
    polygons : ndarray of geometry
        Relative to the faces' origin.
    area_m2, width_m : ndarray of float
        The width is 2 x area / perimeter.
    label : ndarray of int
        The label of their faces.
    first : ndarray of int
        The first of their faces.
    group : ndarray of int, shape (faces,)
        The place of each face; -1 where it belongs to none.
    real : ndarray of bool
        Whether a place is wider than the rounding of the coordinates.
    """

    polygons: GeometryArray
    area_m2: FloatArray
    width_m: FloatArray
    label: IntArray
    first: IntArray
    group: IntArray
    real: BoolArray

    @property
    def count(self) -> int:
        """Number of places."""
        return len(self.polygons)

    def without(self, places: IntArray) -> Places:
        """Give the places with some of them told elsewhere, as if they were not real."""
        real = self.real.copy()
        real[places] = False
        return replace(self, real=real)

    def told(self) -> tuple[IntArray, IntArray]:
        """The places to be told one by one, and those to be told as a sum.

        Where more than `MANY_DUST` places are narrower than `DUST_M` (two drawings of the same
        lines, rounded differently), only the largest `SHOWN_DUST` of them are told one by one.
        """
        real = np.flatnonzero(self.real)
        dust = real[self.width_m[real] < DUST_M]
        if len(dust) <= MANY_DUST:
            return real, real[:0]
        order = dust[np.argsort(-self.area_m2[dust], kind="stable")]
        return np.setdiff1d(real, order[SHOWN_DUST:]), order[SHOWN_DUST:]


def places_of(faces: Faces, label: IntArray, ground: Ground) -> Places:
    """Join the faces of each label (negative: none) that share a border, and measure them."""
    group = groups(faces, label)
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    members = np.split(order, cuts) if len(order) else []
    polygons = np.empty(len(members), object)
    polygons[:] = [joined(faces.polygons[m]) for m in members]
    first = np.array([m[0] for m in members], np.int64)
    area_m2, width_m = ground.measure(polygons, origin=faces.origin)
    real = width_m > 2.0 * ground.noise_m
    return Places(polygons, area_m2, width_m, label[first], first, group, real)


def joined(polygons: GeometryArray) -> Geometry:
    """Give faces as one geometry."""
    if len(polygons) == 1:
        return polygons[0]
    try:
        return shapely.coverage_union_all(polygons)
    except GEOSException:  # faces that touch within rounding
        return shapely.union_all(polygons)


@dataclass(frozen=True)
class Borders:
    """Who owns the border of each place, by length.

    Parameters
    ----------
    place, row : ndarray of int
        By place, then row; rows below 0 are parts of the outline.
    length : ndarray of float
        Shared length, in units of the coordinates.
    middle : ndarray of float, shape (pairs, 2)
        The middle of the shared border, relative to the faces' origin.
    """

    place: IntArray
    row: IntArray
    length: FloatArray
    middle: FloatArray

    def of(self, place: int) -> slice:
        """Where a place's neighbours stand."""
        first = self._first
        return slice(first[place], first[place + 1]) if place + 1 < len(first) else slice(0)

    @cached_property
    def _first(self) -> list[int]:
        """Where each place's pairs begin; asked place by place, of which there may be thousands."""
        count = int(self.place.max(initial=-1)) + 2
        return np.searchsorted(self.place, np.arange(count)).tolist()


class Lines:
    """The residual's segments in a tree, asked who runs along a place or past a vertex."""

    def __init__(self, left: Residual, origin: FloatArray, noise: float) -> None:
        self.left = left
        self.segments = left.segments - np.tile(origin, 2)
        self.noise = noise
        self._tree = shapely.STRtree(_arrays.lines_between(self.segments.reshape(-1, 2, 2)))
        self._first = np.searchsorted(left.of, np.arange(len(left.segments) + 1))

    def near(self, points: FloatArray) -> tuple[IntArray, IntArray]:
        """Pairs (place, segment) that lie within rounding of each other."""
        at = _arrays.points_at(points)
        place, segment = self._tree.query(at, predicate="dwithin", distance=self.noise)
        return place, segment

    def owners(self, segments: IntArray) -> tuple[IntArray, IntArray]:
        """Pairs (index into `segments`, row that owns it)."""
        size = self._first[segments + 1] - self._first[segments]
        which = np.repeat(np.arange(len(segments)), size)
        step = np.arange(len(which)) - np.repeat(np.cumsum(size) - size, size)
        return which, self.left.row[self._first[segments[which]] + step]


def borders_of(faces: Faces, places: Places, lines: Lines) -> Borders:
    """Tell who owns the border of each place.

    Every noded border segment lies on the segment it came from, so its middle tells the owners; no
    geometry is intersected.
    """
    mine = places.group[faces.edge_face]
    beside = np.where(faces.edge_beside >= 0, places.group[faces.edge_beside], -1)
    edges = np.flatnonzero((mine >= 0) & (mine != beside))
    ends = faces.nodes[faces.edge_ends[edges]]
    middle = ends.mean(axis=1)
    length = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    edge, segment = lines.near(middle)
    which, row = lines.owners(segment)
    edge = edge[which]
    if len(edge) == 0:
        nothing = np.empty(0, np.int64)
        return Borders(nothing, nothing, np.empty(0), np.empty((0, 2)))
    least = int(row.min())
    span = int(row.max()) - least + 1
    # An edge that two segments of one row share is that row's once.
    once = np.unique(np.column_stack([edge, row]), axis=0)
    edge, row = once[:, 0], once[:, 1]
    key, pair = np.unique(mine[edges[edge]] * span + row - least, return_inverse=True)
    total = _arrays.summed(pair, length[edge], len(key))
    weighed = [_arrays.summed(pair, length[edge] * middle[edge, k], len(key)) for k in (0, 1)]
    shared = total > 4.0 * lines.noise
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.column_stack(weighed) / total[:, None]
    key, total, centre = key[shared], total[shared], centre[shared]
    return Borders(key // span, key % span + least, total, centre)
