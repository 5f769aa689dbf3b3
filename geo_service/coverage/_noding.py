"""A residual's segments broken wherever they meet: the nodes and edges of a planar graph."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numba
import numpy as np
import shapely
from shapely.errors import GEOSException

from geo_service.coverage._arrays import (
    FloatArray,
    Geometry,
    GeometryArray,
    IntArray,
    components,
    distinct,
    numbered,
)
from geo_service.coverage._segments import threads

_BATCH = 5_000  # segments noded at a time


def noded(segments: FloatArray) -> tuple[FloatArray, IntArray]:
    """Break segments wherever they meet.

    Parameters
    ----------
    segments : ndarray of float, shape (segments, 4)
        x and y of both ends.

    Returns
    -------
    nodes : ndarray of float, shape (nodes, 2)
    pieces : ndarray of int, shape (pieces, 2)
        The two nodes of every piece, each piece once.

    Notes
    -----
    Segments are strung to long lines first, of which GEOS nodes a few three times as fast as many
    short ones. Where plain noding fails on nearly coincident lines, its snapping overlay does it.
    """
    if len(segments) == 0:
        return np.empty((0, 2)), np.empty((0, 2), np.int64)
    places, number = numbered(segments.reshape(-1, 2))
    path, last = _strung(number.reshape(-1, 2), len(places))
    line = np.repeat(np.arange(len(last)), np.diff(last, prepend=0))
    lines = cast("GeometryArray", shapely.linestrings(places[path], indices=line))
    with ThreadPoolExecutor(threads()) as pool:
        pieces = list(pool.map(_broken, _batches(lines, np.diff(last, prepend=0))))
    return _numbered(np.concatenate(pieces))


@numba.njit(nogil=True, cache=True)
def _strung(ends: IntArray, nodes: int) -> Any:
    """String segments to lines that run on where just two meet: their nodes, and the ends."""
    count = len(ends)
    first = np.zeros(nodes + 1, np.int64)
    for k in range(count):
        first[ends[k, 0] + 1] += 1
        first[ends[k, 1] + 1] += 1
    first = np.cumsum(first)
    fill = first[:-1].copy()
    at = np.empty(2 * count, np.int64)
    for k in range(count):
        for side in range(2):
            at[fill[ends[k, side]]] = k
            fill[ends[k, side]] += 1
    used = np.zeros(count, np.bool_)
    path, last = np.empty(2 * count, np.int64), np.empty(count, np.int64)
    filled, lines = 0, 0
    for closed in range(2):  # first from where other than two meet; what is left runs in circles
        for start in range(nodes):
            if closed == 0 and first[start + 1] - first[start] == 2:
                continue
            for slot in range(first[start], first[start + 1]):
                segment, node = at[slot], start
                if used[segment]:
                    continue
                path[filled] = node
                filled += 1
                while not used[segment]:
                    used[segment] = True
                    node = ends[segment, 0] + ends[segment, 1] - node
                    path[filled] = node
                    filled += 1
                    if first[node + 1] - first[node] == 2:
                        segment = at[first[node]] + at[first[node] + 1] - segment
                last[lines] = filled
                lines += 1
    return path[:filled], last[:lines]


def _batches(lines: GeometryArray, size: IntArray) -> list[GeometryArray]:
    """Part lines into batches that surely do not meet, to be broken side by side."""
    if int(size.sum()) < _BATCH:
        return [lines]
    boxes = cast("GeometryArray", shapely.box(*shapely.bounds(lines).T))
    a, b = shapely.STRtree(boxes).query(boxes)
    cluster = components(len(lines), a, b, np.ones(len(lines), np.bool_))
    batch = (np.cumsum(np.bincount(cluster, size)) // _BATCH)[cluster]
    order = np.argsort(batch, kind="stable")
    return np.split(lines[order], np.flatnonzero(np.diff(batch[order])) + 1)


def _broken(lines: GeometryArray) -> FloatArray:
    """Break lines wherever they meet; give the pieces, shape (n, 2, 2)."""
    together = cast("Geometry", shapely.multilinestrings(lines))
    broken: Geometry
    try:
        broken = shapely.node(together)
    except GEOSException:
        broken = shapely.union_all(together)
    xy, line = shapely.get_coordinates(shapely.get_parts(broken), return_index=True)
    at = np.flatnonzero(line[1:] == line[:-1])
    return np.stack([xy[at], xy[at + 1]], axis=1)


def _numbered(pieces: FloatArray) -> tuple[FloatArray, IntArray]:
    """Number the ends of pieces; give every piece once, by its two nodes."""
    nodes, number = numbered(pieces.reshape(-1, 2))
    pair = np.sort(number.reshape(-1, 2), axis=1)
    pair = pair[pair[:, 0] != pair[:, 1]]
    key = distinct(pair[:, 0] * len(nodes) + pair[:, 1])
    return nodes, np.column_stack([key // len(nodes), key % len(nodes)])
