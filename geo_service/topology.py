"""Shared edges and nodes of a tiling: the planar graph that drawing stands on.

Polygons store every common border twice; here each stretch of border (*arc*) is stored once, with
the face on its left and on its right, and a polygon is a list of arcs walked forward or backward.
Vertices match by their exact coordinates: nothing is snapped, so the polygons come back byte for
byte. A border that two polygons digitised differently is not shared, and is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import shapely

from geo_service.errors import InputError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

OUTSIDE = -1
"""The face number of everything no polygon covers."""


@dataclass(frozen=True)
class Topology:
    """The planar graph of a layer of polygons.

    An arc reference ``k`` in `ring_arcs` means arc ``k`` walked forward, ``~k`` (that is, ``-1-k``)
    the same arc walked backward. Rings stand in the order of the polygons, shell before holes.

    Parameters
    ----------
    xy : ndarray, shape (vertices, 2)
        Every distinct vertex once, in the polygons' own coordinates.
    arc_vertices, arc_offsets : ndarray of int
        Arc ``k`` runs through ``arc_vertices[arc_offsets[k]:arc_offsets[k + 1]]``, ends included.
    left, right : ndarray of int
        The face (row of the input) on either side of each arc, or `OUTSIDE`.
    ring_arcs, ring_offsets : ndarray of int
        Signed arc references of each ring.
    ring_face, ring_part : ndarray of int
        The face and the polygon part (numbered through the layer) a ring belongs to.
    ring_start : ndarray of int
        At which vertex of the unrolled ring the polygon's own ring begins.
    is_node : ndarray of bool, shape (vertices,)
        Vertices where three or more arcs meet, or where a lone ring is anchored.
    is_multipart : ndarray of bool, shape (faces,)
        Which inputs were multipolygons.
    doubled : ndarray, shape (n, 2)
        (arc, face) where a further face claims a side that is taken already: overlaps.
    """

    xy: FloatArray
    arc_vertices: IntArray
    arc_offsets: IntArray
    left: IntArray
    right: IntArray
    ring_arcs: IntArray
    ring_offsets: IntArray
    ring_face: IntArray
    ring_part: IntArray
    ring_start: IntArray
    is_node: npt.NDArray[np.bool_]
    is_multipart: npt.NDArray[np.bool_]
    doubled: IntArray

    @property
    def faces(self) -> int:
        """How many polygons the layer has."""
        return len(self.is_multipart)

    @property
    def arcs(self) -> int:
        """How many arcs there are."""
        return len(self.left)

    @property
    def nodes(self) -> IntArray:
        """Vertex numbers of the nodes."""
        return np.flatnonzero(self.is_node)

    @property
    def open_arcs(self) -> IntArray:
        """Arcs with a face on one side only.

        In an exact, vertex-matched tiling these are its rim and nothing else; any other arc here
        is a border the two sides drew differently, or the edge of a gap.
        """
        return np.flatnonzero((self.left == OUTSIDE) | (self.right == OUTSIDE))

    def arc(self, number: int) -> FloatArray:
        """Give the coordinates of one arc, shape (vertices, 2)."""
        return self.xy[self.arc_vertices[self.arc_offsets[number] : self.arc_offsets[number + 1]]]

    def arc_lengths(self) -> FloatArray:
        """Give the length of every arc, in the unit of the coordinates."""
        points = self.xy[self.arc_vertices]
        steps = np.hypot(*(points[1:] - points[:-1]).T)
        steps[self.arc_offsets[1:-1] - 1] = 0.0  # from one arc's end to the next one's beginning
        total = np.concatenate(([0.0], np.cumsum(steps)))
        return total[self.arc_offsets[1:] - 1] - total[self.arc_offsets[:-1]]

    def arc_segments(self) -> tuple[IntArray, FloatArray]:
        """Give the segments of all arcs: the arc of each, and its ends, shape (segments, 2, 2)."""
        points = self.xy[self.arc_vertices]
        arc = np.repeat(np.arange(self.arcs), np.diff(self.arc_offsets))
        within = arc[1:] == arc[:-1]  # not from one arc's end to the next one's beginning
        return arc[:-1][within], np.stack([points[:-1][within], points[1:][within]], axis=1)

    def neighbours(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Give the pairs of faces with a common border.

        Returns
        -------
        a, b : ndarray of int
            Faces, ``a < b``, each pair once, sorted.
        length : ndarray of float
            Length of the border they share.
        """
        shared = (self.left != OUTSIDE) & (self.right != OUTSIDE) & (self.left != self.right)
        low = np.minimum(self.left, self.right)[shared]
        high = np.maximum(self.left, self.right)[shared]
        keys, pair = np.unique(low * self.faces + high, return_inverse=True)
        length = np.bincount(pair, self.arc_lengths()[shared], minlength=len(keys))
        a, b = np.divmod(keys, max(self.faces, 1))
        return a, b, length.astype(np.float64)

    def to_geometries(self) -> npt.NDArray[np.object_]:
        """Give the polygons back, byte for byte as they came (two dimensions)."""
        vertices, offsets = _unroll(
            self.ring_arcs, self.ring_offsets, self.ring_start, self.arc_vertices, self.arc_offsets
        )
        ring_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        rings = np.asarray(shapely.linearrings(self.xy[vertices], indices=ring_of))
        parts = np.asarray(shapely.polygons(rings, indices=self.ring_part))
        first_ring = np.flatnonzero(np.diff(self.ring_part, prepend=-1))
        face_of_part = self.ring_face[first_ring]
        geometries = np.empty(self.faces, object)
        single = ~self.is_multipart[face_of_part]
        geometries[face_of_part[single]] = parts[single]
        if self.is_multipart.any():
            number = np.cumsum(self.is_multipart) - 1
            multi = shapely.multipolygons(parts[~single], indices=number[face_of_part[~single]])
            geometries[self.is_multipart] = multi
        return geometries


def build(geometries: Sequence[Any] | npt.NDArray[np.object_]) -> Topology:
    """Find the shared arcs and nodes of a layer of polygons.

    One pass numbers the distinct vertices (open-addressing hash on the exact coordinates), one
    finds the nodes, one walks every ring and stores each arc the first time it is met; linear in
    the number of vertices.

    Parameters
    ----------
    geometries : sequence of shapely Polygon or MultiPolygon
        The layer; a GeoSeries or an array. A third dimension is not kept.

    Returns
    -------
    Topology

    Raises
    ------
    InputError
        ``geometry_missing`` or ``not_polygons``, naming the row (from 1).

    Examples
    --------
    >>> from shapely import box
    >>> graph = build([box(0, 0, 1, 1), box(1, 0, 2, 1)])
    >>> graph.arcs, len(graph.nodes), len(graph.open_arcs)
    (3, 2, 2)
    """
    layer = np.asarray(geometries, dtype=object)
    _require_polygons(layer)
    parts, face_of_part = shapely.get_parts(layer, return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    starts = np.searchsorted(ring_of, np.arange(len(rings) + 1))
    is_shell = np.diff(part_of_ring, prepend=-1) != 0
    interior_left = shapely.is_ccw(rings) == is_shell
    ring_face = face_of_part[part_of_ring]

    xy = np.ascontiguousarray(xy)
    vertex, first = _number_vertices((xy + 0.0).view(np.uint64))  # + 0.0 turns -0.0 into 0.0
    is_node = _find_nodes(vertex, starts, len(first))
    arcs = _walk_rings(vertex, starts, is_node, interior_left, ring_face)
    return Topology(
        xy[first], *arcs[:6], ring_face, part_of_ring, arcs[6], is_node,
        shapely.get_type_id(layer) == shapely.GeometryType.MULTIPOLYGON, arcs[7],
    )  # fmt: skip


def _require_polygons(layer: npt.NDArray[np.object_]) -> None:
    kind = shapely.get_type_id(layer)
    empty = shapely.is_missing(layer) | shapely.is_empty(layer)
    if empty.any():
        row = int(np.argmax(empty)) + 1
        raise InputError("geometry_missing", file="geometries", row=row)
    wrong = (kind != shapely.GeometryType.POLYGON) & (kind != shapely.GeometryType.MULTIPOLYGON)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError("not_polygons", file="geometries", row=row + 1, found=layer[row].geom_type)


@numba.njit(cache=True, nogil=True)
def _number_vertices(bits: npt.NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
    """Number the distinct coordinate pairs in the order they are met; where each is met first."""
    count = bits.shape[0]
    size = 16
    while size < 2 * count:
        size *= 2
    mask = np.uint64(size - 1)
    table = np.full(size, -1, np.int32)
    vertex = np.empty(count, np.int64)
    first = np.empty(count, np.int64)
    found = 0
    for i in range(count):
        key = (bits[i, 0] ^ (bits[i, 1] << np.uint64(32)) ^ (bits[i, 1] >> np.uint64(32))) * (
            np.uint64(0x9E3779B97F4A7C15)
        )
        slot = (key ^ (key >> np.uint64(31))) & mask
        while True:
            number = table[slot]
            if number < 0:
                table[slot] = found
                first[found] = i
                vertex[i] = found
                found += 1
                break
            at = first[number]
            if bits[at, 0] == bits[i, 0] and bits[at, 1] == bits[i, 1]:
                vertex[i] = number
                break
            slot = (slot + np.uint64(1)) & mask
    return vertex, first[:found].copy()


@numba.njit(cache=True, nogil=True)
def _find_nodes(vertex: IntArray, starts: IntArray, count: int) -> npt.NDArray[np.bool_]:
    """Tell the vertices with more than two distinct neighbours; anchor rings that have none."""
    one = np.full(count, -1, np.int64)
    two = np.full(count, -1, np.int64)
    is_node = np.zeros(count, np.bool_)
    for ring in range(len(starts) - 1):
        for i in range(starts[ring], starts[ring + 1] - 1):
            for here, there in ((vertex[i], vertex[i + 1]), (vertex[i + 1], vertex[i])):
                if one[here] < 0:
                    one[here] = there
                elif one[here] != there and two[here] < 0:
                    two[here] = there
                elif one[here] != there and two[here] != there:
                    is_node[here] = True
    for ring in range(len(starts) - 1):
        anchor = vertex[starts[ring]]
        lone = True
        for i in range(starts[ring], starts[ring + 1]):
            lone = lone and not is_node[vertex[i]]
            anchor = min(anchor, vertex[i])
        if lone:
            is_node[anchor] = True
    return is_node


@numba.njit(cache=True, nogil=True)
def _walk_rings(
    vertex: IntArray,
    starts: IntArray,
    is_node: npt.NDArray[np.bool_],
    interior_left: npt.NDArray[np.bool_],
    ring_face: IntArray,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Walk every ring from node to node; an arc met before is found again by its first step.

    From a node and the next vertex the rest of an arc follows, for every vertex on the way has just
    two neighbours. So the two ends of each stored arc, chained at their node, tell it.
    """
    visits = 0
    for i in range(len(vertex)):
        visits += is_node[vertex[i]]
    rings = len(starts) - 1
    arc_vertices = np.empty(len(vertex) + visits, np.int64)
    arc_offsets = np.zeros(visits + 1, np.int64)
    left = np.full(visits, -1, np.int64)
    right = np.full(visits, -1, np.int64)
    ring_arcs = np.empty(visits, np.int64)
    ring_offsets = np.zeros(rings + 1, np.int64)
    ring_start = np.zeros(rings, np.int64)
    doubled = np.empty((visits, 2), np.int64)
    chain = np.full(len(is_node), -1, np.int64)  # vertex -> its newest arc end: 2 arc + which end
    chained = np.full(2 * visits, -1, np.int64)
    arcs = filled = references = twice = 0
    for ring in range(rings):
        begin = starts[ring]
        length = starts[ring + 1] - 1 - begin
        offset = 0
        while not is_node[vertex[begin + offset]]:
            offset += 1
        ring_start[ring] = (length - offset) % length
        i = 0
        while i < length:
            here = vertex[begin + (offset + i) % length]
            there = vertex[begin + (offset + i + 1) % length]
            end = chain[here]
            while end >= 0:
                a, b = arc_offsets[end >> 1], arc_offsets[(end >> 1) + 1]
                second = arc_vertices[a + 1] if end & 1 == 0 else arc_vertices[b - 2]
                if second == there:
                    break
                end = chained[end]
            if end < 0:  # a new arc
                j = i
                while True:
                    arc_vertices[filled] = vertex[begin + (offset + j) % length]
                    filled += 1
                    if j > i and is_node[arc_vertices[filled - 1]]:
                        break
                    j += 1
                end = 2 * arcs
                for which, node in ((0, here), (1, arc_vertices[filled - 1])):
                    chained[end + which] = chain[node]
                    chain[node] = end + which
                arcs += 1
                arc_offsets[arcs] = filled
            arc = end >> 1
            forward = end & 1 == 0
            side = left if forward == interior_left[ring] else right
            if side[arc] < 0:
                side[arc] = ring_face[ring]
            else:
                doubled[twice, 0] = arc
                doubled[twice, 1] = ring_face[ring]
                twice += 1
            ring_arcs[references] = arc if forward else ~arc
            references += 1
            i += arc_offsets[arc + 1] - arc_offsets[arc] - 1
        ring_offsets[ring + 1] = references
    return (
        arc_vertices[:filled].copy(), arc_offsets[: arcs + 1].copy(), left[:arcs].copy(),
        right[:arcs].copy(), ring_arcs[:references].copy(), ring_offsets, ring_start,
        doubled[:twice].copy(),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _unroll(
    ring_arcs: IntArray,
    ring_offsets: IntArray,
    ring_start: IntArray,
    arc_vertices: IntArray,
    arc_offsets: IntArray,
) -> tuple[IntArray, IntArray]:
    """Give the vertices of every ring, closed, from its own first vertex on."""
    rings = len(ring_start)
    offsets = np.zeros(rings + 1, np.int64)
    for ring in range(rings):
        total = 1
        for r in range(ring_offsets[ring], ring_offsets[ring + 1]):
            arc = max(ring_arcs[r], ~ring_arcs[r])
            total += arc_offsets[arc + 1] - arc_offsets[arc] - 1
        offsets[ring + 1] = offsets[ring] + total
    vertices = np.empty(offsets[rings], np.int64)
    for ring in range(rings):
        begin = offsets[ring]
        length = offsets[ring + 1] - begin - 1
        at = (length - ring_start[ring]) % length
        for r in range(ring_offsets[ring], ring_offsets[ring + 1]):
            signed = ring_arcs[r]
            arc = max(signed, ~signed)
            a, b = arc_offsets[arc], arc_offsets[arc + 1]
            for step in range(b - a - 1):
                source = a + step if signed >= 0 else b - 1 - step
                vertices[begin + at] = arc_vertices[source]
                at = (at + 1) % length
        vertices[begin + length] = vertices[begin]
    return vertices, offsets
