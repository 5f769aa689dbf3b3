"""Spots to be mended: their ground, who borders it, and how far a border would move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, IntArray, array_of
from geo_service.coverage._faces import Faces
from geo_service.coverage._ground import Ground
from geo_service.coverage._places import Lines, Places
from geo_service.mending._distance import PRECISION_M, farthest
from geo_service.mending._matching import distinct_pairs

_FINE = 0.03  # precision of a width, as a share of it


@dataclass(frozen=True)
class Spot:
    """A piece of ground that is to change hands.

    Parameters
    ----------
    polygon : Geometry
        Relative to an origin.
    edges : ndarray of float, shape (edges, 4)
        Its border, the ground on the left; relative to the same origin.
    of, row : ndarray of int
        Pairs (edge, row that has it on its own border), none twice; rows below 0 are parts of the
        outline.
    scale : ndarray of float, shape (2,)
        Metres of a unit of x and of y.
    """

    polygon: Geometry
    edges: FloatArray
    of: IntArray
    row: IntArray
    scale: FloatArray

    @property
    def rows(self) -> list[int]:
        """The grids along it."""
        return sorted({row for row in self.row.tolist() if row >= 0})

    @cached_property
    def metric(self) -> FloatArray:
        """Its border in metres."""
        return (self.edges.reshape(-1, 2) * self.scale).reshape(-1, 4)

    @cached_property
    def width_m(self) -> float:
        """Its mean width, 2 x area / perimeter: no more than where it is widest."""
        shape = scaled(self.polygon, self.scale)
        return 2.0 * float(shape.area) / max(float(shape.length), 1e-300)

    def own(self, row: int) -> BoolArray:
        """Which edges a row has on its border."""
        own = np.zeros(len(self.edges), np.bool_)
        own[self.of[self.row == row]] = True
        return own

    @cached_property
    def lengths(self) -> dict[int, float]:
        """How much of its border each row has, in metres."""
        size = lengths_of(self.metric).tolist()
        total = dict.fromkeys(sorted(self.row.tolist()), 0.0)
        for of, row in zip(self.of.tolist(), self.row.tolist(), strict=True):
            total[row] += size[of]
        return total


@dataclass(frozen=True)
class Shift:
    """How far a border moves.

    Parameters
    ----------
    moved_m : float
        Compared with the limit: the Hausdorff distance between the old and the new border; where
        banks meet, the width of the ground between them.
    drawn_m : float
        How far a spike or inlet that goes reaches; 0 where a border is merely moved.
    """

    moved_m: float
    drawn_m: float = 0.0


def shift(spot: Spot, row: int, limit_m: float, border: FloatArray | None = None) -> Shift:
    """Tell how far a row's border moves when a spot goes to it, or from it.

    Parameters
    ----------
    spot : Spot
    row : int
    limit_m : float
        Narrow ground that a row nearly surrounds (its mouth no wider than this) closes: its banks
        meet, each moves by its width at most, however far the inlet reaches.
    border : ndarray of float, shape (segments, 4), optional
        The whole of the row's, asked where it has none on the spot.
    """
    edges, own = spot.metric, spot.own(row)
    mine, rest = edges[own], edges[~own]
    if not own.any():
        if border is None:
            return Shift(np.inf)
        return Shift(farthest(rest, border * np.tile(spot.scale, 2))[0])
    far_m = max(farthest(mine, rest)[0], farthest(rest, mine)[0]) if len(rest) else np.inf
    if far_m <= limit_m or lengths_of(rest).sum() > limit_m:
        return Shift(far_m)
    width_m = widest_m(spot, limit_m)
    if len(rest) == 0:
        return Shift(width_m)
    return Shift(width_m, far_m) if width_m <= limit_m else Shift(far_m)


def widest_m(spot: Spot, limit_m: float) -> float:
    """Diameter of the largest circle inside a spot, rounded up unless it is above the limit."""
    low_m = spot.width_m
    if is_wider(spot, limit_m):
        shape = array_of(scaled(spot.polygon, spot.scale))
        radius = shapely.maximum_inscribed_circle(shape, tolerance=_FINE * low_m)
        return max(low_m, 2.0 * float(shapely.length(radius)[0]), limit_m + 2.0 * PRECISION_M)
    high_m = min(low_m, limit_m)
    while high_m < limit_m and is_wider(spot, high_m):
        low_m, high_m = high_m, min(1.5 * high_m, limit_m)
    while high_m > (1.0 + _FINE) * low_m + PRECISION_M:
        middle_m = (low_m + high_m) / 2.0
        low_m, high_m = (middle_m, high_m) if is_wider(spot, middle_m) else (low_m, middle_m)
    return high_m


def is_wider(spot: Spot, width_m: float) -> bool:
    """Whether a spot holds a circle of this diameter."""
    shape = scaled(spot.polygon, spot.scale)
    return not shapely.buffer(shape, -width_m / 2.0).is_empty


def scaled(shape: Geometry, scale: FloatArray) -> Geometry:
    """Give a shape in metres."""
    if (scale == 1.0).all():
        return shape
    return shapely.transform(shape, lambda xy: xy * scale)


def lengths_of(edges: FloatArray) -> FloatArray:
    """Lengths of segments."""
    return np.hypot(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1])


@dataclass(frozen=True)
class Segments:
    """On which of the residual's segments each piece of the planar graph lies.

    Parameters
    ----------
    piece, segment : ndarray of int
        Pairs, by piece.
    """

    piece: IntArray
    segment: IntArray


def segments_of(faces: Faces, lines: Lines) -> Segments:
    """Tell on which segments the pieces of the graph lie."""
    piece, segment = lines.near(faces.nodes[faces.pieces].mean(axis=1))
    order = np.lexsort((segment, piece))
    return Segments(piece[order], segment[order])


def spots_of(
    faces: Faces,
    places: Places,
    chosen: IntArray,
    lines: Lines,
    segments: Segments,
    ground: Ground,
    along: Callable[[IntArray, FloatArray], BoolArray],
) -> Iterator[tuple[int, Spot]]:
    """Give the spots of chosen places, with the places' numbers.

    `along` tells, of rows and edges, whether the row has the edge on its border indeed: others run
    within rounding of it.
    """
    mine = places.group[faces.edge_face]
    beside = np.where(faces.edge_beside >= 0, places.group[faces.edge_beside], -1)
    asked = np.zeros(places.count + 1, np.bool_)  # the last: no place
    asked[chosen] = True
    edges = np.flatnonzero((mine != beside) & asked[mine])
    edges = edges[np.argsort(mine[edges], kind="stable")]
    xy = faces.nodes[faces.edge_ends[edges]].reshape(-1, 4)
    of, row = _owners(lines, segments, _piece_of(faces, faces.edge_ends[edges]))
    kept = row < 0
    kept[~kept] = along(row[~kept], xy[of[~kept]])
    of, row = of[kept], row[kept]
    first = np.searchsorted(mine[edges], np.arange(places.count + 1))
    pair = np.searchsorted(of, first)
    for place in chosen.tolist():
        at = slice(int(first[place]), int(first[place + 1]))
        its = slice(int(pair[place]), int(pair[place + 1]))
        scale = scale_at(ground, float(xy[at.start, 1] + faces.origin[1]))
        yield place, Spot(places.polygons[place], xy[at], of[its] - at.start, row[its], scale)


def _owners(lines: Lines, segments: Segments, piece: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs (index into `piece`, row that owns a segment it lies on), none twice."""
    first, last = (np.searchsorted(segments.piece, piece, side) for side in ("left", "right"))
    size = last - first
    of = np.repeat(np.arange(len(piece)), size)
    step = np.arange(len(of)) - np.repeat(np.cumsum(size) - size, size)
    which, row = lines.owners(segments.segment[first[of] + step])
    return distinct_pairs(of[which], row)


def _piece_of(faces: Faces, ends: IntArray) -> IntArray:
    """The piece of each pair of nodes; pieces are sorted by their smaller node, then the other."""
    count = len(faces.nodes)
    low, high = ends.min(axis=1), ends.max(axis=1)
    return np.searchsorted(faces.pieces[:, 0] * count + faces.pieces[:, 1], low * count + high)


def scale_at(ground: Ground, y: float | FloatArray) -> FloatArray:
    """Metres of a unit of x and of y at y, shape (2,) or (n, 2)."""
    scale = np.empty((*np.shape(y), 2))
    scale[..., 1] = ground.north_m
    scale[..., 0] = ground.unit_area_m2(y) / ground.north_m
    return scale
