"""How far one line lies from another at most: the Hausdorff distance, and where it is reached."""

from __future__ import annotations

import numba
import numpy as np
import shapely

from geo_service.coverage._arrays import FloatArray, GeometryArray, IntArray

PRECISION_M = 1e-6
"""Distances are too short by this many metres at most."""

_DEPTH = 60
_RUN, _FAN = 8, 32  # consecutive segments in a box, boxes in a larger one, at least


def borders_of(shapes: GeometryArray) -> tuple[IntArray, FloatArray]:
    """Give the segments of all rings of (multi)polygons, shape (n, 4), and whose each is."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    at = np.flatnonzero(ring[1:] == ring[:-1])
    return shape[part[ring[at]]], np.column_stack([xy[at], xy[at + 1]])


def farthest(lines: FloatArray, others: FloatArray) -> tuple[float, FloatArray]:
    """Give how far `lines` go from `others` at most, and a place where they do.

    Parameters
    ----------
    lines, others : ndarray of float, shape (n, 4)
        Segments in metres.

    Returns
    -------
    distance_m : float
        Too short by `PRECISION_M` at most; infinite where there is nothing to be far from.
    place : ndarray, shape (2,)

    Notes
    -----
    Branch and bound: the distance to one segment is convex along a line, so the greater of its
    values at the ends bounds the distance to the nearest segment everywhere between. A line whose
    bound is above what was found is halved. Runs of segments whose box is too far are skipped.
    """
    if len(lines) == 0:
        return 0.0, np.full(2, np.nan)
    if len(others) == 0:
        return np.inf, lines[0, :2]
    distance, x, y = _farthest(
        np.ascontiguousarray(lines), np.ascontiguousarray(others), PRECISION_M
    )
    return distance, np.array([x, y])


def farthest_each(
    lines: FloatArray, cuts: IntArray, others: FloatArray, other_cuts: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The same for several shapes at once.

    Shape k has ``lines[cuts[k]:cuts[k + 1]]`` and ``others[other_cuts[k]:other_cuts[k + 1]]``, none
    of which may be missing; one without lines is 0 far.
    """
    return _farthest_each(lines, cuts, others, other_cuts, PRECISION_M)


@numba.njit(nogil=True, cache=True)
def _farthest_each(
    lines: FloatArray,
    cuts: IntArray,
    others: FloatArray,
    other_cuts: IntArray,
    precision: float,
) -> tuple[FloatArray, FloatArray]:
    count = len(cuts) - 1
    distance, place = np.zeros(count), np.zeros((count, 2))
    for k in range(count):
        if cuts[k] < cuts[k + 1]:
            mine, theirs = lines[cuts[k] : cuts[k + 1]], others[other_cuts[k] : other_cuts[k + 1]]
            distance[k], place[k, 0], place[k, 1] = _farthest(mine, theirs, precision)
    return distance, place


@numba.njit(nogil=True, cache=True)
def _square_from(x: float, y: float, s: FloatArray) -> float:
    """The squared distance of a place from a segment."""
    dx, dy = s[2] - s[0], s[3] - s[1]
    square = dx * dx + dy * dy
    along = 0.0
    if square > 0.0:
        along = min(max(((x - s[0]) * dx + (y - s[1]) * dy) / square, 0.0), 1.0)
    dx, dy = x - s[0] - along * dx, y - s[1] - along * dy
    return dx * dx + dy * dy


@numba.njit(nogil=True, cache=True)
def _boxes(lines: FloatArray, run: int) -> FloatArray:
    """The boxes of runs of segments (or of boxes): least x and y, greatest x and y."""
    out = np.empty(((len(lines) + run - 1) // run, 4))
    for k in range(len(lines)):
        x0, x1 = min(lines[k, 0], lines[k, 2]), max(lines[k, 0], lines[k, 2])
        y0, y1 = min(lines[k, 1], lines[k, 3]), max(lines[k, 1], lines[k, 3])
        b = k // run
        if k % run:
            x0, y0 = min(x0, out[b, 0]), min(y0, out[b, 1])
            x1, y1 = max(x1, out[b, 2]), max(y1, out[b, 3])
        out[b, 0], out[b, 1], out[b, 2], out[b, 3] = x0, y0, x1, y1
    return out


@numba.njit(nogil=True, cache=True)
def _square_from_box(x: float, y: float, box: FloatArray) -> float:
    dx = max(box[0] - x, 0.0, x - box[2])
    dy = max(box[1] - y, 0.0, y - box[3])
    return dx * dx + dy * dy


@numba.njit(nogil=True, cache=True)
def _nearest(
    x: float,
    y: float,
    others: FloatArray,
    small: FloatArray,
    large: FloatArray,
    fan: int,
    hint: int,
) -> tuple[float, int]:
    """The squared distance of the nearest segment, and which it is; boxes too far are skipped."""
    best, at = _square_from(x, y, others[hint]), hint
    for i in range(len(large)):
        if _square_from_box(x, y, large[i]) >= best:
            continue
        for j in range(i * fan, min((i + 1) * fan, len(small))):
            if _square_from_box(x, y, small[j]) >= best:
                continue
            for k in range(j * _RUN, min((j + 1) * _RUN, len(others))):
                away = _square_from(x, y, others[k])
                if away < best:
                    best, at = away, k
    return best, at


@numba.njit(nogil=True, cache=True)
def _farthest(
    lines: FloatArray, others: FloatArray, precision: float
) -> tuple[float, float, float]:
    found, found_x, found_y = 0.0, lines[0, 0], lines[0, 1]
    stack = np.empty((_DEPTH + 2, 4))
    small = _boxes(others, _RUN)
    fan = max(_FAN, int(np.sqrt(len(small))))  # of a million segments, as many boxes as in each
    large = _boxes(small, fan)
    hint = 0
    for line in range(len(lines)):
        stack[0] = lines[line]
        top = 1
        while top > 0:
            top -= 1
            ax, ay, bx, by = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
            mx, my = (ax + bx) / 2.0, (ay + by) / 2.0
            bound = np.inf
            for x, y in ((ax, ay), (bx, by), (mx, my)):
                square, hint = _nearest(x, y, others, small, large, fan, hint)
                away = np.sqrt(square)
                if away > found:
                    found, found_x, found_y = away, x, y
                near = others[hint]
                ends = max(_square_from(ax, ay, near), _square_from(bx, by, near))
                bound = min(bound, np.sqrt(ends))
            if bound > found + precision and top < _DEPTH:
                stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3] = ax, ay, mx, my
                stack[top + 1, 0], stack[top + 1, 1] = mx, my
                stack[top + 1, 2], stack[top + 1, 3] = bx, by
                top += 2
    return found, found_x, found_y
