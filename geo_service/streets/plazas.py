"""Straight ways across plazas and platforms.

Of an area the edge is walked as a way is. Who crosses it walks straight, so between any two places
where streets meet its edge (and the inward corners one walks around) goes a chord, wherever it
stays inside: it meets no edge of the area or of a hole in it. Of these as few are kept as make
every walk across at most `SLACK` times as long as the straightest (a greedy spanner: Althofer et
al., On sparse spanners of weighted graphs, 1993). What stands on a plaza without being a hole in
its outline (a fountain, a stall) stops nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from geo_service.streets.segments import IntArray, LongArray

SLACK = 1.02
MOST_CORNERS = 120
"""Areas with more entries and inward corners keep to their entries, and beyond that to the edge."""


def chords(rings: Iterable[LongArray], x: IntArray, y: IntArray, met: LongArray) -> LongArray:
    """Give the chords of one area.

    Parameters
    ----------
    rings : iterable of ndarray
        The rows of the nodes of its outlines, in order: closed rings, or runs that close together.
    x, y : ndarray of int32
        Positions of all nodes, in 1e-7 degrees.
    met : ndarray of int64
        In how many walkable ways each node stands, see `uses`; one that stands in others than the
        outlines is an entry.

    Returns
    -------
    ndarray of int64, shape (k, 2)
        Rows of the nodes of each chord.
    """
    runs = list(rings)
    around = np.concatenate(runs)
    starts = np.concatenate(([0], np.cumsum([run.size for run in runs])))
    nodes, begin, end, outlines = _edges(around, starts)
    door = met[nodes] > outlines
    if np.count_nonzero(door) < 2:
        return np.empty((0, 2), np.int64)
    px, py = x[nodes].astype(np.int64), y[nodes].astype(np.int64)
    corner = door | _inward(begin, end, px, py)
    if np.count_nonzero(corner) > MOST_CORNERS:
        corner = door
    if np.count_nonzero(corner) > MOST_CORNERS:
        return np.empty((0, 2), np.int64)
    corners = np.flatnonzero(corner)
    pairs = _visible_pairs(corners, begin, end, px, py)
    level = math.cos(math.radians(float(py.mean()) * 1e-7))  # east against north
    kept = _spanner(corners, pairs, begin, end, px * level, py.astype(np.float64))
    return nodes[corners[kept]]


@numba.njit(cache=True, nogil=True)
def _edges(around: LongArray, starts: LongArray) -> Any:
    """Number the nodes of outlines anew: nodes, both ends of each edge, outlines of each node."""
    order = np.argsort(around)
    number = np.empty(around.size, np.int64)
    nodes = np.empty(around.size, np.int64)
    count = 0
    for at in order:
        if count == 0 or nodes[count - 1] != around[at]:
            nodes[count] = around[at]
            count += 1
        number[at] = count - 1
    edges = around.size - (starts.size - 1)
    begin, end = np.empty(edges, np.int64), np.empty(edges, np.int64)
    outlines, last = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    edge = 0
    for run in range(starts.size - 1):
        for at in range(starts[run], starts[run + 1]):
            if last[number[at]] != run:
                outlines[number[at]] += 1
                last[number[at]] = run
            if at > starts[run]:
                begin[edge], end[edge] = number[at - 1], number[at]
                edge += 1
    return nodes[:count], begin, end, outlines


@numba.njit(cache=True, nogil=True)
def uses(start: LongArray, rows: LongArray, walkable: Any, count: int) -> LongArray:
    """Count the walkable ways in which each node stands."""
    met = np.zeros(count, np.int64)
    last = np.full(count, -1, np.int64)
    for way in range(walkable.size):
        if not walkable[way]:
            continue
        for at in range(start[way], start[way + 1]):
            row = rows[at]
            if row >= 0 and last[row] != way:
                met[row] += 1
                last[row] = way
    return met


@numba.njit(cache=True, nogil=True)
def _inward(begin: LongArray, end: LongArray, x: LongArray, y: LongArray) -> Any:
    """Tell the corners one walks around: a step towards both neighbours' middle leads outside."""
    count, touching = x.size, np.zeros(x.size, np.int64)
    beside = np.zeros((count, 2), np.int64)
    for edge in range(begin.size):
        for node, other in ((begin[edge], end[edge]), (end[edge], begin[edge])):
            if touching[node] < 2:
                beside[node, touching[node]] = other
            touching[node] += 1
    inward = np.zeros(count, np.bool_)
    for node in range(count):
        if touching[node] != 2:
            continue
        one, other = beside[node]
        # 1/32 of the way from the corner to the middle of its neighbours, in doubled coordinates.
        near_x = (62 * x[node] + x[one] + x[other]) / 32.0
        near_y = (62 * y[node] + y[one] + y[other]) / 32.0
        inward[node] = not _inside(near_x, near_y, begin, end, x, y)
    return inward


@numba.njit(cache=True, nogil=True)
def _inside(px: float, py: float, begin: Any, end: Any, x: Any, y: Any) -> Any:
    """Tell by counting crossings whether a point, in doubled coordinates, lies in the area."""
    within = False
    for i in range(begin.size):
        ay, by = 2 * y[begin[i]], 2 * y[end[i]]
        if (ay > py) != (by > py):
            ax, bx = 2 * x[begin[i]], 2 * x[end[i]]
            if px < ax + (py - ay) / (by - ay) * (bx - ax):
                within = not within
    return within


@numba.njit(cache=True, nogil=True)
def _side(ax: int, ay: int, bx: int, by: int, cx: int, cy: int) -> Any:
    return np.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))


@numba.njit(cache=True, nogil=True)
def _visible_pairs(corners: LongArray, begin: LongArray, end: LongArray, x: Any, y: Any) -> Any:
    """Give the pairs (i, j) of corners whose line stays inside; exact, in whole 1e-7 degrees.

    A line that touches a corner on its way counts as stopped there: two shorter ones replace it.
    """
    pairs = np.empty((corners.size * corners.size, 2), np.int64)
    count = 0
    for i in range(corners.size):
        for j in range(i + 1, corners.size):
            a, b = corners[i], corners[j]
            ax, ay, bx, by = x[a], y[a], x[b], y[b]
            free = ax != bx or ay != by
            for e in range(begin.size):
                c, d = begin[e], end[e]
                cx, cy, dx, dy = x[c], y[c], x[d], y[d]
                if (c == a and d == b) or (c == b and d == a):
                    free = False  # the edge itself is a way already
                if not free:
                    break
                if max(cx, dx) < min(ax, bx) or min(cx, dx) > max(ax, bx):
                    continue
                if max(cy, dy) < min(ay, by) or min(cy, dy) > max(ay, by):
                    continue
                one, other = _side(ax, ay, bx, by, cx, cy), _side(ax, ay, bx, by, dx, dy)
                if one * other > 0:
                    continue
                if c in (a, b) or d in (a, b):
                    far = d if c in (a, b) else c
                    towards = one if far == c else other
                    before = (x[far] - ax) * (x[far] - bx) + (y[far] - ay) * (y[far] - by) < 0
                    free = not (towards == 0 and before)
                    continue
                if _side(cx, cy, dx, dy, ax, ay) * _side(cx, cy, dx, dy, bx, by) <= 0:
                    free = False
            if free and _inside(float(ax + bx), float(ay + by), begin, end, x, y):
                pairs[count, 0], pairs[count, 1] = i, j
                count += 1
    return pairs[:count]


@numba.njit(cache=True, nogil=True)
def _spanner(
    corners: LongArray, pairs: LongArray, begin: LongArray, end: LongArray, x: Any, y: Any
) -> LongArray:
    """Keep a chord only where the edge and shorter chords are no way to speak of; by length."""
    count = corners.size
    between = np.full((count, count), np.inf)
    for i in range(count):
        between[i, i] = 0.0
    _along_edges(between, corners, begin, end, x, y)
    length = np.empty(len(pairs))
    for at in range(len(pairs)):
        i, j = corners[pairs[at, 0]], corners[pairs[at, 1]]
        length[at] = math.hypot(x[i] - x[j], y[i] - y[j])
    kept, placed = np.empty_like(pairs), 0
    for at in np.argsort(length, kind="mergesort"):
        i, j = pairs[at, 0], pairs[at, 1]
        if between[i, j] <= SLACK * length[at]:
            continue
        kept[placed] = pairs[at]
        placed += 1
        _shorten(between, i, j, length[at])
    return kept[:placed]


@numba.njit(cache=True, nogil=True)
def _along_edges(
    between: Any, corners: LongArray, begin: LongArray, end: LongArray, x: Any, y: Any
) -> None:
    """Enter the ways along the outlines, from corner to corner.

    Edges stand in the order of their outlines, so a run from one corner to the next is a run of
    edges; one that starts between two corners begins at its outline's first corner.
    """
    number = np.full(x.size, -1, np.int64)
    number[corners] = np.arange(corners.size)
    last = first = -1
    walked = until_first = 0.0
    for edge in range(begin.size):
        a, b = begin[edge], end[edge]
        if edge == 0 or end[edge - 1] != a:
            last, first, walked, start = -1, -1, 0.0, a
            if number[a] >= 0:
                last = first = number[a]
                until_first = 0.0
        walked += math.hypot(x[a] - x[b], y[a] - y[b])
        if number[b] >= 0:
            if last >= 0:
                _shorten(between, last, number[b], walked)
            else:
                first, until_first = number[b], walked
            last, walked = number[b], 0.0
        if b == start and last >= 0 and number[b] < 0:
            _shorten(between, last, first, walked + until_first)


@numba.njit(cache=True, nogil=True)
def _shorten(between: Any, i: int, j: int, length: float) -> None:
    """Enter a way between two corners in the table of shortest ways."""
    if between[i, j] <= length:
        return
    for a in range(len(between)):
        to_i, to_j = between[a, i], between[a, j]
        for b in range(len(between)):
            through = min(to_i + length + between[j, b], to_j + length + between[i, b])
            between[a, b] = min(between[a, b], through)
