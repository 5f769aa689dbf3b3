"""Grids as chains of directed segments, to which faces are added and from which they are taken.

Borders are shared segment by segment, so what one grid gains and the other loses cancels exactly:
nothing is overlaid, and no new gap can open. All grids that change are worked on at once, as arrays
of segments.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import (
    BoolArray,
    FloatArray,
    Geometry,
    GeometryArray,
    IntArray,
    forward,
    turned,
)
from geo_service.coverage._faces import Faces
from geo_service.coverage._layer import Layer
from geo_service.coverage._places import Lines
from geo_service.coverage._segments import Scan
from geo_service.coverage._walk import walk
from geo_service.mending._distance import borders_of
from geo_service.mending._matching import first_equal
from geo_service.mending._spots import Segments
from geo_service.rings import Rings

_NOISE_ULPS = 8.0


class BrokenChainError(Exception):
    """A chain that is not the border of anything: lines too close to be told apart."""


@dataclass(frozen=True)
class Broken:
    """Segments of the residual that noding broke, and the places it put on them.

    Parameters
    ----------
    ends : ndarray of float, shape (segments, 4)
        The smaller end first.
    first : ndarray of int, shape (segments + 1,)
        The places of segment k are ``xy[first[k]:first[k + 1]]``, from its smaller end on.
    xy : ndarray of float, shape (places, 2)
    """

    ends: FloatArray
    first: IntArray
    xy: FloatArray

    def on(self, ends: FloatArray) -> IntArray:
        """Which of them each segment is, whichever way it runs; -1 for one that is whole."""
        return first_equal(self.ends, turned(ends, ~forward(ends)))

    def places(self, which: int) -> FloatArray:
        """The places on one of them."""
        return self.xy[self.first[which] : self.first[which + 1]]


NONE_BROKEN = Broken(np.empty((0, 4)), np.zeros(1, np.int64), np.empty((0, 2)))


def broken_of(faces: Faces, lines: Lines, segments: Segments) -> Broken:
    """Tell which of the residual's segments noding broke, and where."""
    several = np.bincount(segments.segment, minlength=len(lines.segments)) > 1
    chosen = several[segments.segment]
    piece, segment = segments.piece[chosen], segments.segment[chosen]
    if len(piece) == 0:
        return NONE_BROKEN
    start, end = lines.segments[:, :2], lines.segments[:, 2:]
    ahead = (end - start)[segment]
    nodes = faces.pieces[piece]
    middle = faces.nodes[nodes].mean(axis=1) - start[segment]
    order = np.lexsort((np.einsum("ik,ik->i", middle, ahead), segment))
    segment, nodes, ahead = segment[order], nodes[order], ahead[order]
    # Each piece in the direction of its segment.
    step = faces.nodes[nodes[:, 1]] - faces.nodes[nodes[:, 0]]
    back = np.einsum("ik,ik->i", step, ahead) < 0
    nodes[back] = nodes[back][:, ::-1]
    new = np.append(True, segment[1:] != segment[:-1])
    first, last = np.flatnonzero(new), np.append(np.flatnonzero(new)[1:], len(segment)) - 1
    joined = new | np.append(True, nodes[1:, 0] == nodes[:-1, 1])
    joined &= ~new | (faces.nodes[nodes[:, 0]] == start[segment]).all(axis=1)
    joined[last] &= (faces.nodes[nodes[last, 1]] == end[segment[last]]).all(axis=1)
    whole = np.logical_and.reduceat(joined, first)
    ways = [
        nodes[a + 1 : b + 1, 0] if plain else _way(faces.nodes, nodes[a : b + 1], lines.segments[k])
        for a, b, plain, k in zip(
            first.tolist(), last.tolist(), whole.tolist(), segment[first].tolist(), strict=True
        )
    ]
    size = np.array([len(way) for way in ways])
    cuts = np.append(0, np.cumsum(size[size > 0]))
    return Broken(lines.segments[segment[first]][size > 0], cuts, faces.nodes[np.concatenate(ways)])


def _way(nodes: FloatArray, pieces: IntArray, segment: FloatArray) -> IntArray:
    """The nodes on a segment near which run other pieces than its own; none if it is not found.

    Those pieces lie within rounding of it, between vertices of its neighbours; noding broke it at
    its own crossings only, so its way is the one of the fewest pieces.
    """
    beside: dict[int, set[int]] = defaultdict(set)
    for a, b in pieces.tolist():
        beside[a].add(b)
        beside[b].add(a)
    start, end = (
        next((k for k in beside if tuple(nodes[k]) == tuple(place)), -1)
        for place in (segment[:2], segment[2:])
    )
    before, queue = {start: start}, deque([start])
    while queue and end not in before:
        here = queue.popleft()
        for there in sorted(beside.get(here, ())):
            if there not in before:
                before[there] = here
                queue.append(there)
    way, here = [], before.get(end, start)
    while here != start:
        way.append(here)
        here = before[here]
    return np.array(way[::-1], np.int64)


@dataclass(frozen=True)
class Border:
    """Directed segments of rows, the inside on the left; none together with its reverse.

    Parameters
    ----------
    row : ndarray of int, shape (segments,)
        In order.
    ends : ndarray of float, shape (segments, 4)
    """

    row: IntArray
    ends: FloatArray


class Chains:
    """The borders of a layer's rows, broken at the nodes; each made when it is first asked for."""

    def __init__(
        self, layer: Layer, scan: Scan, origin: FloatArray, broken: Broken, rows: IntArray
    ) -> None:
        self.broken = broken
        self._rings, self._flip, self._origin = layer.rings, scan.flip, origin
        self._rows = rows
        self._border = self._made(rows)

    def of(self, rows: IntArray) -> Border:
        """Give the borders of rows; a row whose segments run over one another has none."""
        self._make(rows)
        mine = np.isin(self._border.row, rows)
        return Border(self._border.row[mine], self._border.ends[mine])

    def border(self, row: int) -> FloatArray:
        """Give the segments of one row."""
        self._make(np.array([row]))
        first, last = np.searchsorted(self._border.row, [row, row + 1])
        return self._border.ends[first:last]

    def along(self, row: IntArray, ends: FloatArray) -> BoolArray:
        """Tell which of these directed segments are on the border of the row beside them.

        Lines within rounding of each other are told apart by the way they run.
        """
        border = self.of(np.unique(row))
        found = first_equal(border.ends, ends, table_of=border.row, asked_of=row)
        return found >= 0

    def _make(self, rows: IntArray) -> None:
        """Make the borders of those rows that were not asked for yet."""
        missing = np.setdiff1d(rows, self._rows)
        if len(missing) == 0:
            return
        more = self._made(missing)
        row = np.concatenate([self._border.row, more.row])
        order = np.argsort(row, kind="stable")
        ends = np.concatenate([self._border.ends, more.ends])
        self._rows = np.union1d(self._rows, missing)
        self._border = Border(row[order], ends[order])

    def _made(self, rows: IntArray) -> Border:
        ring, ends = ring_segments(self._rings, np.flatnonzero(np.isin(self._rings.row, rows)))
        ends = turned(ends - np.tile(self._origin, 2), self._flip[ring])
        row, ends, over = netted(*_cut(self._rings.row[ring], ends, self.broken))
        plain = ~np.isin(row, over)
        return Border(row[plain], ends[plain])


def ring_segments(rings: Rings, chosen: IntArray) -> tuple[IntArray, FloatArray]:
    """The segments of some rings, as they run, and the ring of each."""
    size = np.diff(rings.start)[chosen] - 1
    of = np.repeat(np.arange(len(chosen)), size)
    step = np.arange(len(of)) - np.repeat(np.cumsum(size) - size, size)
    at = rings.start[chosen[of]] + step
    return chosen[of], np.column_stack([rings.xy[at], rings.xy[at + 1]])


def _cut(row: IntArray, ends: FloatArray, broken: Broken) -> tuple[IntArray, FloatArray]:
    """Segments with those that noding broke in their pieces."""
    which = broken.on(ends)
    pieces = np.append(np.diff(broken.first), 0)[which] + 1  # which is -1 for a whole one
    of = np.repeat(np.arange(len(row)), pieces)
    k = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    out = ends[of]
    ahead = forward(ends)[of]
    inner = k > 0  # begins at a place within
    at = np.where(ahead, broken.first[which[of]] + k - 1, broken.first[which[of] + 1] - k)
    out[inner, :2] = broken.xy[at[inner]]
    inner = k < pieces[of] - 1  # ends at one
    at = np.where(ahead, at + 1, at - 1)
    out[inner, 2:] = broken.xy[at[inner]]
    return row[of], out


def netted(row: IntArray, ends: FloatArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Let segments of a row that run both ways cancel; tell the rows where one is left twice.

    Rows are in order.
    """
    moved = (ends[:, :2] != ends[:, 2:]).any(axis=1)
    row, ends = row[moved], ends[moved]
    ahead = forward(ends)
    key = turned(ends, ~ahead)
    first = first_equal(key, key, table_of=row, asked_of=row)
    if (first == np.arange(len(row))).all():
        return row, ends, row[:0]
    total = np.bincount(first, np.where(ahead, 1.0, -1.0), len(row))
    kept = np.flatnonzero(total != 0.0)
    over = np.unique(row[kept[np.abs(total[kept]) > 1.0]])
    return row[kept], turned(ends[kept], ahead[kept] != (total[kept] > 0.0)), over


@dataclass(frozen=True)
class Exchange:
    """A face that is added to what rows enclose, or taken from it.

    Parameters
    ----------
    row : int
    gains : bool
    face : Geometry
        Relative to the chains' origin.
    """

    row: int
    gains: bool
    face: Geometry


def exchanged(border: Border, exchanges: Sequence[Exchange]) -> tuple[Border, set[int]]:
    """Add faces to what rows enclose and take others away; tell the rows that fail.

    A face that is taken from where it is not, or added where it is, leaves a segment twice.
    """
    faces = shapely.orient_polygons(_arrays.array_of(*(one.face for one in exchanges)))
    of, ends = borders_of(faces)
    row = np.array([one.row for one in exchanges], np.int64)[of]
    gains = np.array([one.gains for one in exchanges], np.bool_)[of]
    row = np.concatenate([border.row, row])
    ends = np.concatenate([border.ends, turned(ends, ~gains)])
    order = np.argsort(row, kind="stable")
    row, ends, over = netted(row[order], ends[order])
    failed = set(over.tolist()) | {one.row for one in exchanges} - set(border.row.tolist())
    return Border(row, ends), failed


def enclosed(
    border: Border, rows: IntArray, begin: FloatArray, origin: FloatArray
) -> list[Geometry | None]:
    """Give what the segments of each row enclose: empty where there are none.

    A single ring begins at its row's `begin` where that is still on it. ``None`` where segments do
    not close, or close to what is not valid.
    """
    shapes: list[Geometry | None] = [None] * len(rows)
    cuts = np.searchsorted(border.row, rows), np.searchsorted(border.row, rows, "right")
    plain = _single_rings(border, rows, begin)
    for k, (row, first, last) in enumerate(zip(rows.tolist(), *cuts, strict=True)):
        if first == last:
            shapes[k] = shapely.Polygon()
        elif row in plain:
            shapes[k] = plain[row]
        else:
            shapes[k] = _walked(border.ends[first:last])
    return _placed(shapes, origin)


def _single_rings(border: Border, rows: IntArray, begin: FloatArray) -> dict[int, Geometry]:
    """The rows whose segments make up one ring around the inside."""
    row, starts, ends = border.row, border.ends[:, :2], border.ends[:, 2:]
    following = first_equal(starts, ends, table_of=row, asked_of=row)
    once = first_equal(starts, starts, table_of=row, asked_of=row) == np.arange(len(row))
    first, last = np.searchsorted(border.row, rows), np.searchsorted(border.row, rows, "right")
    at = first_equal(starts, begin, table_of=row, asked_of=rows)
    for k in np.flatnonzero((at < 0) & (last > first)).tolist():
        its = border.ends[first[k] : last[k], :2]
        at[k] = first[k] + np.lexsort(its.T[::-1])[0]
    path, whole = _followed(following, once, first, last, at)
    size = (last - first)[whole]
    if len(size) == 0:
        return {}
    cuts = np.repeat(np.arange(len(size)), size)
    rings = cast("GeometryArray", shapely.linearrings(border.ends[path, :2], indices=cuts))
    ccw = shapely.is_ccw(rings)
    polygons = cast("GeometryArray", shapely.polygons(rings[ccw]))
    return dict(zip(rows[whole][ccw].tolist(), polygons, strict=True))


@numba.njit(nogil=True, cache=True)
def _followed(
    following: IntArray, once: BoolArray, first: IntArray, last: IntArray, begin: IntArray
) -> tuple[IntArray, BoolArray]:
    """Follow the segments of each row from one on; tell which rows that brings around, once."""
    path = np.empty(len(following), np.int64)
    whole = np.zeros(len(first), np.bool_)
    filled = 0
    for k in range(len(first)):
        size = last[k] - first[k]
        if size == 0 or not once[first[k] : last[k]].all():
            continue
        here, steps = begin[k], 0
        while here >= 0 and steps < size:
            path[filled + steps] = here
            steps += 1
            here = following[here]
            if here == begin[k]:
                break
        if here == begin[k] and steps == size:
            whole[k] = True
            filled += size
    return path[:filled], whole


def _walked(ends: FloatArray) -> Geometry | None:
    """What segments enclose that are more than one ring, or touch."""
    nodes, number = _arrays.numbered(ends.reshape(-1, 2))
    walked = walk(nodes, number.reshape(-1, 2))
    # The inside is on the left of every segment, and on the right of none.
    inside = np.unique(walked.left)
    if inside[0] < 0 or np.isin(walked.right, inside).any():
        return None
    parts = walked.polygons[inside]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))


def _placed(shapes: list[Geometry | None], origin: FloatArray) -> list[Geometry | None]:
    """Bring grids to their own coordinates; mend what their rounding makes cross or touch."""
    placed = _arrays.absolute(_arrays.array_of(*shapes), origin)
    placed = shapely.remove_repeated_points(placed, 0.0)
    for k in np.flatnonzero(~shapely.is_valid(placed)).tolist():
        if placed[k] is not None:
            placed[k] = _mended(placed[k])
    return list(placed)


def _mended(placed: Geometry) -> Geometry | None:
    least = _NOISE_ULPS * float(np.spacing(np.abs(placed.bounds).max())) * placed.length
    kept = []
    for part in shapely.get_parts(_arrays.areas(shapely.make_valid(placed))):
        holes = [hole for hole in part.interiors if shapely.Polygon(hole).area > least]
        if part.area > least:
            kept.append(shapely.Polygon(part.exterior, holes))
    whole = kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept)
    return whole if whole.is_valid and abs(whole.area - placed.area) <= least else None


def beside(places: list[Geometry], lines: Lines, broken: Broken) -> dict[int, IntArray]:
    """Give, for each row, which of its segments along these places are broken."""
    _, ends = borders_of(_arrays.array_of(*places))
    _, segment = lines.near((ends[:, :2] + ends[:, 2:]) / 2.0)
    segment = np.unique(segment)
    which, row = lines.owners(segment)
    index = broken.on(lines.segments[segment])[which]
    mine = (index >= 0) & (row >= 0)
    index, row = index[mine], row[mine]
    return {int(owner): np.unique(index[row == owner]) for owner in np.unique(row)}


def with_vertices(
    geometry: Geometry, origin: FloatArray, broken: Broken, its: IntArray
) -> Geometry:
    """Give a grid with the places on some of its broken segments as vertices; all else stays."""

    def ring_with(ring: Geometry) -> FloatArray:
        xy = shapely.get_coordinates(ring)
        ends = np.column_stack([xy[:-1], xy[1:]]) - np.tile(origin, 2)
        which = broken.on(ends)
        ahead = forward(ends)
        out, done = [], 0
        for k in np.flatnonzero(np.isin(which, its)).tolist():
            places = broken.places(which[k]) + origin
            out += [xy[done : k + 1], places if ahead[k] else places[::-1]]
            done = k + 1
        return np.concatenate([*out, xy[done:]])

    parts = [
        shapely.Polygon(ring_with(part.exterior), [ring_with(hole) for hole in part.interiors])
        for part in shapely.get_parts(geometry)
    ]
    whole = parts[0] if geometry.geom_type == "Polygon" else shapely.MultiPolygon(parts)
    return shapely.remove_repeated_points(whole, 0.0)


def oriented_as(shapes: GeometryArray, old: GeometryArray) -> GeometryArray:
    """Give shapes whose shells run as the old ones did: clockwise where one of them did."""
    parts, of = shapely.get_parts(old, return_index=True)
    clockwise = np.bincount(of, ~shapely.is_ccw(shapely.get_exterior_ring(parts)), len(old)) > 0
    out = shapes.copy()
    for way in (False, True):
        mine = clockwise == way
        out[mine] = shapely.orient_polygons(shapes[mine], exterior_cw=way)
    return out


def touched(moves: list[tuple[int, ...]]) -> dict[int, list[int]]:
    """Give the numbers of the moves that concern each row."""
    found: dict[int, list[int]] = defaultdict(list)
    for number, rows in enumerate(moves):
        for row in rows:
            found[row].append(number)
    return found
