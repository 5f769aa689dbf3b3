"""Faces of a noded planar graph, walked once along its half-edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
import shapely

from geo_service.coverage._arrays import (
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    points_at,
)

_FEW = 16  # half-edges at a node that are put in order one by one


@dataclass(frozen=True)
class Walked:
    """The bounded faces of a planar graph.

    Parameters
    ----------
    polygons : ndarray of Polygon
    left, right : ndarray of int, shape (edges,)
        The face on either side of each edge; -1 where that is no bounded face.
    """

    polygons: GeometryArray
    left: IntArray
    right: IntArray


def walk(nodes: FloatArray, ends: IntArray) -> Walked:
    """Walk a planar graph whose edges meet in nodes only.

    Parameters
    ----------
    nodes : ndarray of float, shape (nodes, 2)
    ends : ndarray of int, shape (edges, 2)
        The two nodes of each edge; no edge twice.

    Notes
    -----
    Half-edges are sorted by direction around every node; the next one of a face is the next
    clockwise from its own reverse. Edges that end nowhere, or have one face on both sides, bound
    nothing and are left out. A walk that comes back to a node closes a loop there: the loop that
    runs counter-clockwise is the face's shell, the others its holes. Walks without such a loop go
    around a connected part from outside: they are holes of the smallest shell around them.
    """
    kept = np.arange(len(ends))
    while True:
        kept = kept[_bounding(ends[kept], len(nodes))]
        face, loop_at, loop_end, loop_face = _walked(nodes, ends[kept])
        count = len(kept)
        bridge = face[:count] == face[count:]
        if not bridge.any():
            break
        kept = kept[~bridge]
    left = np.full(len(ends), -1, np.int64)
    right = np.full(len(ends), -1, np.int64)
    if count == 0:
        return Walked(np.empty(0, object), left, right)
    polygons, number = _polygons(nodes, loop_at, loop_end, loop_face)
    left[kept], right[kept] = number[face[:count]], number[face[count:]]
    return Walked(polygons, left, right)


def _bounding(ends: IntArray, nodes: int) -> IntArray:
    """The edges that are left when loose ends are taken away again and again."""
    kept = np.ones(len(ends), np.bool_)
    _peeled(ends, nodes, kept)
    return np.flatnonzero(kept)


@numba.njit(nogil=True, cache=True)
def _peeled(ends: IntArray, nodes: int, kept: BoolArray) -> None:
    """Follow every loose end back to where it leaves the rest, a node's edges added up in one."""
    degree, edges = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    for k in range(len(ends)):
        for side in range(2):
            degree[ends[k, side]] += 1
            edges[ends[k, side]] += k
    for first in range(nodes):
        node = first
        while degree[node] == 1:
            edge = edges[node]  # the only one left: the sum is its number
            kept[edge] = False
            other = ends[edge, 0] + ends[edge, 1] - node
            for end in (node, other):
                degree[end] -= 1
                edges[end] -= edge
            node = other


def _walked(nodes: FloatArray, ends: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Give each half-edge's face, and the loops (their nodes, where each ends, their face)."""
    start = np.concatenate([ends[:, 0], ends[:, 1]])
    stop = np.concatenate([ends[:, 1], ends[:, 0]])
    ahead = nodes[stop] - nodes[start]
    first = np.append(0, np.cumsum(np.bincount(start, minlength=len(nodes))))
    order = _around(start, np.arctan2(ahead[:, 1], ahead[:, 0]), first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    twin = np.roll(np.arange(len(order)), len(ends))
    # The half-edge before the reverse, around its node: the next one clockwise.
    before = rank[twin] - 1
    wrapped = before < first[stop]
    before[wrapped] = first[stop[wrapped] + 1] - 1
    return _loops(start, order[before], len(nodes))


@numba.njit(nogil=True, cache=True)
def _around(start: IntArray, angle: FloatArray, first: IntArray) -> IntArray:
    """Order half-edges by the node they start at, and by angle around it."""
    order = np.empty(len(start), np.int64)
    fill = first[:-1].copy()
    for half in range(len(start)):
        order[fill[start[half]]] = half
        fill[start[half]] += 1
    for node in range(len(first) - 1):
        its = order[first[node] : first[node + 1]]
        if len(its) > _FEW:
            its[:] = its[np.argsort(angle[its], kind="mergesort")]
            continue
        for k in range(1, len(its)):
            half, at = its[k], k
            while at > 0 and angle[its[at - 1]] > angle[half]:
                its[at] = its[at - 1]
                at -= 1
            its[at] = half
    return order


@numba.njit(nogil=True, cache=True)
def _loops(
    start: IntArray, following: IntArray, nodes: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Follow every half-edge; cut a walk into loops where it comes back to a node."""
    count = len(start)
    face = np.full(count, -1, np.int64)
    seen_at = np.full(nodes, -1, np.int64)
    path = np.empty(count + 1, np.int64)
    loop_node = np.empty(count, np.int64)
    loop_end = np.empty(count, np.int64)
    loop_face = np.empty(count, np.int64)
    loops, filled, faces = 0, 0, 0
    for first in range(count):
        if face[first] >= 0:
            continue
        depth, half = 0, first
        while face[half] < 0:
            face[half] = faces
            node = start[half]
            path[depth] = node
            seen_at[node] = depth
            depth += 1
            half = following[half]
            back = seen_at[start[half]]
            if back >= 0:
                for k in range(back, depth):
                    loop_node[filled] = path[k]
                    seen_at[path[k]] = -1
                    filled += 1
                loop_end[loops] = filled
                loop_face[loops] = faces
                loops += 1
                depth = back
        faces += 1
    return face, loop_node[:filled], loop_end[:loops], loop_face[:loops]


def _polygons(
    nodes: FloatArray, loop_at: IntArray, loop_end: IntArray, loop_face: IntArray
) -> tuple[GeometryArray, IntArray]:
    """Put loops together to polygons; give each walk's polygon, -1 for the unbounded face."""
    size = np.diff(loop_end, prepend=0)
    loop = np.repeat(np.arange(len(size)), size)
    rings = cast("GeometryArray", shapely.linearrings(nodes[loop_at], indices=loop))
    shell = shapely.is_ccw(rings)
    number = np.full(int(loop_face.max()) + 1, -1, np.int64)
    number[loop_face[shell]] = np.arange(int(shell.sum()))
    shells = cast("GeometryArray", shapely.polygons(rings[shell]))
    inside = number[loop_face[~shell]]
    outer = inside < 0
    # All loops of an outer walk lie in one face; any corner of one tells it.
    corner = nodes[loop_at[(loop_end - size)[~shell][outer]]]
    inside[outer] = _smallest_around(corner, shells)
    number[loop_face[~shell][outer]] = inside[outer]
    held = inside >= 0
    order = np.argsort(inside[held], kind="stable")
    holes = rings[~shell][held][order]
    polygons = shells.copy()
    which, first = np.unique(inside[held][order], return_index=True)
    for face, its in zip(which.tolist(), np.split(holes, first)[1:], strict=True):
        polygons[face] = shapely.polygons(rings[shell][face], holes=its)
    return polygons, number


def _smallest_around(corners: FloatArray, shells: GeometryArray) -> IntArray:
    """The smallest shell that holds each place, -1 where none does."""
    found = np.full(len(corners), -1, np.int64)
    if len(corners) == 0:
        return found
    at, shell = shapely.STRtree(shells).query(points_at(corners), predicate="within")
    order = np.lexsort((-shapely.area(shells)[shell], at))
    found[at[order]] = shell[order]  # the last one written is the smallest
    return found
