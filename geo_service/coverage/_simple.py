"""Which rings may touch or cross themselves: a fast filter before the exact judge (GEOS)."""

from __future__ import annotations

import numba
import numpy as np

from geo_service.coverage._arrays import BoolArray, FloatArray, IntArray
from geo_service.coverage._segments import in_parts
from geo_service.rings import Rings

_LEAF = 8  # segments in the smallest box
_FAN = 4  # boxes in a box; `_meets_itself` shifts by its two bits
_FEW = 8  # vertices whose mean is taken for the middle of a ring
# Shewchuk 1997, "Adaptive precision floating-point arithmetic", bound A of orient2d
# (and of a dot product).
_ERROR = 3.3306690738754716e-16


@numba.njit(nogil=True, cache=True)
def _beside(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> int:
    """The side of line a-b that c surely lies on: 1, -1, or 0 where rounding may hide it."""
    left, right = (ax - cx) * (by - cy), (ay - cy) * (bx - cx)
    turn, error = left - right, _ERROR * (abs(left) + abs(right))
    if turn > error:
        return 1
    return -1 if turn < -error else 0


@numba.njit(nogil=True, cache=True)
def _boxes(xy: FloatArray, box: FloatArray, level: IntArray) -> int:
    """Fill `box` with the boxes of runs of segments, then of runs of boxes; give the levels."""
    n = len(xy) - 1
    leaves = (n + _LEAF - 1) // _LEAF
    for b in range(leaves):
        x0, y0 = xy[b * _LEAF, 0], xy[b * _LEAF, 1]
        x1, y1 = x0, y0
        for k in range(b * _LEAF + 1, min((b + 1) * _LEAF, n) + 1):
            x, y = xy[k, 0], xy[k, 1]
            x0, x1 = x if x < x0 else x0, x if x > x1 else x1
            y0, y1 = y if y < y0 else y0, y if y > y1 else y1
        box[b, 0], box[b, 1], box[b, 2], box[b, 3] = x0, y0, x1, y1
    level[0], level[1] = 0, leaves
    depth, below = 1, leaves
    while below > 1:
        at, here = level[depth], (below + _FAN - 1) // _FAN
        for b in range(here):
            first = level[depth - 1] + b * _FAN
            x0, y0, x1, y1 = box[first, 0], box[first, 1], box[first, 2], box[first, 3]
            for k in range(first + 1, min(first + _FAN, at)):
                x0, y0 = min(x0, box[k, 0]), min(y0, box[k, 1])
                x1, y1 = max(x1, box[k, 2]), max(y1, box[k, 3])
            box[at + b, 0], box[at + b, 1], box[at + b, 2], box[at + b, 3] = x0, y0, x1, y1
        depth += 1
        level[depth] = at + here
        below = here
    return depth


@numba.njit(nogil=True, cache=True)
def _apart(box: FloatArray, i: int, j: int) -> bool:
    return (
        box[i, 0] > box[j, 2]
        or box[j, 0] > box[i, 2]
        or box[i, 1] > box[j, 3]
        or box[j, 1] > box[i, 3]
    )


@numba.njit(nogil=True, cache=True)
def _forward(xy: FloatArray, first: int, last: int, past: int) -> bool:
    """Whether all segments from one vertex to another surely go forward along their chord.

    Then no two of them meet. `past` more of them stand at the ring's beginning.
    """
    end = past if past else last
    dx, dy = xy[end, 0] - xy[first, 0], xy[end, 1] - xy[first, 1]
    return _all_along(xy[first : last + 1], dx, dy) and _all_along(xy[: past + 1], dx, dy)


@numba.njit(nogil=True, cache=True)
def _all_along(xy: FloatArray, dx: float, dy: float) -> bool:
    for k in range(len(xy) - 1):
        along, up = (xy[k + 1, 0] - xy[k, 0]) * dx, (xy[k + 1, 1] - xy[k, 1]) * dy
        if along + up <= _ERROR * (abs(along) + abs(up)):
            return False
    return True


@numba.njit(nogil=True, cache=True)
def _leaves_meet(xy: FloatArray, box: FloatArray, i: int, j: int) -> bool:
    """Whether a segment of leaf i may meet one of leaf j that does not follow it."""
    n = len(xy) - 1
    for k in range(i * _LEAF, min(i * _LEAF + _LEAF, n)):
        ax, ay, bx, by = xy[k, 0], xy[k, 1], xy[k + 1, 0], xy[k + 1, 1]
        x0, x1, y0, y1 = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
        if x0 > box[j, 2] or x1 < box[j, 0] or y0 > box[j, 3] or y1 < box[j, 1]:
            continue
        for t in range(max(j * _LEAF, k + 2), min(j * _LEAF + _LEAF, n)):
            if k == 0 and t == n - 1:
                continue
            cx, cy, dx, dy = xy[t, 0], xy[t, 1], xy[t + 1, 0], xy[t + 1, 1]
            if min(cx, dx) > x1 or max(cx, dx) < x0 or min(cy, dy) > y1 or max(cy, dy) < y0:
                continue
            if _beside(ax, ay, bx, by, cx, cy) * _beside(ax, ay, bx, by, dx, dy) > 0:
                continue
            if _beside(cx, cy, dx, dy, ax, ay) * _beside(cx, cy, dx, dy, bx, by) > 0:
                continue
            return True
    return False


@numba.njit(nogil=True, cache=True)
def _meets_itself(xy: FloatArray, box: FloatArray, level: IntArray, stack: IntArray) -> bool:
    """Whether two segments of a ring may meet, by boxes that overlap, from the largest down."""
    n = len(xy) - 1
    depth = _boxes(xy, box, level)
    top = 1
    stack[0, 0], stack[0, 1], stack[0, 2] = depth - 1, level[depth - 1], level[depth - 1]
    while top > 0:
        top -= 1
        at, i, j = stack[top, 0], stack[top, 1], stack[top, 2]
        base, size = level[at], _LEAF << (2 * at)
        first, last = (i - base) * size, min((j - base + 1) * size, n)
        if j <= i + 1 and _forward(xy, first, last, 0):
            continue
        if i == base < j == level[at + 1] - 1 and _forward(xy, (j - base) * size, n, size):
            continue  # the ring's last run and its first
        if at == 0:
            if _leaves_meet(xy, box, i, j):
                return True
            continue
        below = level[at - 1]
        for p in range(below + (i - base) * _FAN, min(below + (i - base + 1) * _FAN, base)):
            if _apart(box, p, j):
                continue
            for q in range(
                p if i == j else below + (j - base) * _FAN,
                min(below + (j - base + 1) * _FAN, base),
            ):
                if p == q or not _apart(box, p, q):
                    stack[top, 0], stack[top, 1], stack[top, 2] = at - 1, p, q
                    top += 1
    return False


@numba.njit(nogil=True, cache=True)
def _star_shaped(xy: FloatArray) -> bool:
    """Whether a ring surely runs once around the mean of a few of its vertices, never turning back.

    Then no two of its segments meet. Most grids are such.
    """
    n, ox, oy = len(xy) - 1, 0.0, 0.0
    for k in range(_FEW):
        ox, oy = ox + xy[k * n // _FEW, 0] / _FEW, oy + xy[k * n // _FEW, 1] / _FEW
    ax, ay = xy[0, 0] - ox, xy[0, 1] - oy
    turn = 1.0 if ax * (xy[1, 1] - oy) > ay * (xy[1, 0] - ox) else -1.0
    passes = 0  # through the line to the east and west
    for k in range(1, n + 1):
        bx, by = xy[k, 0] - ox, xy[k, 1] - oy
        left, right = ax * by, ay * bx
        if turn * (left - right) <= _ERROR * (abs(left) + abs(right)):
            return False
        passes += (ay < 0.0) != (by < 0.0)
        ax, ay = bx, by
    return passes == 2


@numba.njit(nogil=True, cache=True)
def _suspects(xy: FloatArray, start: IntArray, found: BoolArray) -> None:
    most = 1
    for r in range(len(found)):
        most = max(most, start[r + 1] - start[r])
    box = np.empty((2 * (most // _LEAF) + 64, 4))
    level = np.empty(64, np.int64)
    stack = np.empty((64 * _FAN * _FAN, 3), np.int64)
    for r in range(len(found)):
        ring = xy[start[r] : start[r + 1]]
        simple = len(ring) >= 4 and _star_shaped(ring)
        found[r] = not simple and (len(ring) < 4 or _meets_itself(ring, box, level, stack))


def suspects(rings: Rings) -> BoolArray:
    """Tell which rings may touch or cross themselves.

    A ring that is not told is simple for certain, but for sharp turns back on itself, which
    `_segments.Scan.spike` tells. One that is told is to be judged exactly. Boxes over runs of
    consecutive segments, in a tree, make it near-linear; a run that goes forward along its chord
    (as nearly all do) is not looked into, nor is a ring that is star-shaped around its middle.
    """
    found = np.empty(rings.count, np.bool_)

    def part(first: int, last: int) -> None:
        _suspects(rings.xy, rings.start[first : last + 1], found[first:last])

    in_parts(rings, part)
    return found
