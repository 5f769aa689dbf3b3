"""What no choice of sites with capacities can serve, by Lagrangian relaxation.

Multipliers pay for each demand; a site then earns what its best paying demand pays, as much as it
has room for. Whole numbers at the end, as in `_bounds`.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import sparse

from geo_service.siting import _bounds
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray

_FINE = 1 << 16  # parts of a unit of weight in the bound's multipliers
# Walks looked at in each promised second: less than is usual, so that the clock seldom cuts in and
# another machine finds the same.
_LOOKED_AT = 12e6


def bound(
    rows: sparse.csr_array,
    weights: IntArray,
    room: IntArray,
    fixed: IntArray,
    free: IntArray,
    count: int,
    known: int,
    *,
    clock: Clock,
    until: float,
) -> tuple[int, FloatArray, list[IntArray]]:
    """What no choice of `count` free sites beside the fixed ones serves, and where to look for one.

    Also given: what each site is worth to the bound, and two choices that come close to it.

    Any multipliers bound it; the best ones are rounded to whole parts and summed in integers.
    """
    starts, demand = rows.indptr.astype(np.int64), rows.indices.astype(np.int64)
    scale = weights.astype(float)
    some = scale > 0
    is_fixed = np.zeros(rows.shape[0], dtype=bool)
    is_fixed[fixed] = True
    usable = is_fixed.copy()
    usable[free] = True
    most = room.astype(float)
    taken = np.zeros(rows.nnz)
    often = np.zeros(rows.shape[0])

    def pick(sums: FloatArray) -> BoolArray:
        inside = is_fixed.copy()
        inside[free[_bounds.largest(sums[free], count)]] = True
        return inside

    def relaxed(paid: FloatArray) -> tuple[float, FloatArray]:
        u = np.divide(paid, scale, out=np.ones_like(paid), where=some)
        sums = _fill(starts, demand, scale, most, 1.0 - u, usable, taken)
        inside = pick(sums)
        often[:] += 0.01 * (inside - often)
        got = _add_up(starts, demand, inside, taken, len(scale))
        slope = np.divide(got - scale, scale, out=np.zeros_like(got), where=some)
        return float(paid.sum() + sums[inside].sum()), slope

    start = 0.3 * scale
    steps = int(min(max(_LOOKED_AT * clock.seconds / max(rows.nnz, 1), 300), 4000))
    paid = _bounds.volume(relaxed, start, upper=scale, known=float(known), steps=steps,
                          clock=clock, until=until, look_every=10)  # fmt: skip
    u = np.divide(paid, scale, out=np.ones_like(paid), where=some)
    fine = np.clip(np.rint(u * _FINE).astype(np.int64), 0, _FINE)
    none = np.zeros(rows.nnz, dtype=np.int64)
    sums = _fill(starts, demand, weights, room, _FINE - fine, usable, none)
    inside = pick(sums)
    value = sum((weights * fine).tolist()) + sum(sums[inside].tolist())
    likely = free[_bounds.largest(often[free], count)]
    last = np.setdiff1d(np.flatnonzero(inside), fixed)
    return value // _FINE, sums / _FINE, [likely, last]


def least_sites(
    room: IntArray, free: IntArray, target: int, fixed: IntArray, weights: IntArray,
    rows: sparse.csr_array,
) -> int:  # fmt: skip
    """So many sites are needed at least: the largest ones together serve no more than they can."""
    most = np.minimum(room, np.asarray(rows.astype(np.int64) @ weights))
    missing = target - int(most[fixed].sum())
    if missing <= 0:
        return 0
    sums = np.cumsum(np.sort(most[free])[::-1])
    return int(np.searchsorted(sums, missing)) + 1


@numba.njit(cache=True, nogil=True)
def _fill(starts, demand, weights, room, pay, usable, taken):  # type: ignore[no-untyped-def]  # numba infers
    """What each site earns by serving its best paying demand first; `taken`: how much of each."""
    sums = np.zeros(len(room), dtype=pay.dtype)
    line = np.empty(len(demand), dtype=np.int64)
    for site in range(len(room)):
        if not usable[site]:
            continue
        first, end = starts[site], starts[site + 1]
        total = room[site] - room[site]
        for at in range(first, end):
            i = demand[at]
            taken[at] = weights[i] if pay[i] > 0 else 0
            total += taken[at]
            sums[site] += taken[at] * pay[i]
        if total <= room[site]:
            continue
        sums[site] = _best_paying(demand, weights, pay, room[site], first, end, taken, line)
    return sums


@numba.njit(cache=True, nogil=True)
def _best_paying(demand, weights, pay, room, first, end, taken, line):  # type: ignore[no-untyped-def]  # numba infers
    """Fill `room` with the arcs that pay best, the last in part; what they pay.

    Quickselect by weight: of two halves around a pivot only one is looked at further.
    """
    size = 0
    for at in range(first, end):
        taken[at] = room - room
        if pay[demand[at]] > 0:
            line[size] = at
            size += 1
    earned = pay[0] - pay[0]
    low, high = 0, size
    while low < high and room > 0:
        pivot = pay[demand[line[(low + high) // 2]]]
        better, worse, here = low, high, low  # [low, better) pays more, [worse, high) less
        heavy = room - room
        while here < worse:
            at = line[here]
            rate = pay[demand[at]]
            if rate > pivot:
                line[here], line[better] = line[better], at
                heavy += weights[demand[at]]
                better += 1
                here += 1
            elif rate < pivot:
                worse -= 1
                line[here], line[worse] = line[worse], at
            else:
                here += 1
        if heavy >= room:
            high = better
            continue
        for place in range(low, worse):
            at = line[place]
            part = min(room, weights[demand[at]])
            taken[at] = part
            room -= part
            earned += part * pay[demand[at]]
        low = worse
    return earned


@numba.njit(cache=True, nogil=True)
def _add_up(starts, demand, inside, taken, size):  # type: ignore[no-untyped-def]  # numba infers
    """What the sites inside take of each demand, together."""
    got = np.zeros(size)
    for site in range(len(inside)):
        if inside[site]:
            for at in range(starts[site], starts[site + 1]):
                got[demand[at]] += taken[at]
    return got
