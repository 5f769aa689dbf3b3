"""Proof by branch and bound with Lagrangian bounds: no rounding anywhere.

The bound of a node is that of `_bounds.most_weight` with some rows opened and some closed. Its
multipliers are whole numbers of a small part of a unit, kept in float64 far below 2**53, so every
sum of them is exact and a node is cut off only where no better plan can be below it. At each node a
few subgradient steps go on from the parent's multipliers; rows whose forcing would push the bound
under the best plan are fixed (Beasley 1993, "Lagrangean heuristics for location problems"); the
rows that the relaxation opens are tried as a plan at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from geo_service.siting._cover import Cover
from geo_service.siting.plans import Clock, FloatArray, IntArray

_EXACT = 2.0**51  # sums of whole float64 stay exact well below 2**53
_MOST_PARTS = 256.0
_DEPTH = 400
_MEMORY = 40_000_000  # numbers kept for the path from the root
_CHUNK = 4_000_000  # entries looked at between two looks at the clock, some hundredths of a second
FIRST_STEPS, NODE_STEPS = 400, 20


@dataclass(frozen=True, eq=False)
class Searched:
    """The best rows found, their units, and the bound that holds when the search ended."""

    rows: IntArray
    value: int
    bound: int
    nodes: int


def search(
    cover: Cover,
    count: int,
    best: IntArray,
    *,
    known: int,
    clock: Clock,
    until: float = 1.0,
    start: FloatArray | None = None,
    work: float = np.inf,
) -> Searched:
    """Look for the best `count` rows until that is proven, or until the time or the work ends.

    Parameters
    ----------
    cover : Cover
    count : int
        Rows to open.
    best : ndarray of int
        A plan to begin with.
    known : int
        Units that a better plan has to exceed (those of `best`, or of a plan that is not told).
    clock : Clock
        Cuts the search short when `until` of its time is used.
    start : ndarray, optional
        Multipliers, in units, to begin with.
    work : float
        Matrix entries to look at in all.
    """
    n_rows, n_demand = cover.rows.shape
    depth = int(min(_DEPTH, _MEMORY // max(n_demand + n_rows, 1)))
    value = max(known, cover.covered(best))
    if not 0 < count < n_rows or depth < 10:
        return Searched(best, value, cover.total, 0)
    parts = float(2.0 ** np.floor(np.log2(min(_MOST_PARTS, _EXACT / max(cover.total, 1)))))
    weights = cover.weights * parts
    status = np.zeros((depth, n_rows), dtype=np.int8)
    u = np.zeros((depth, n_demand))
    u[0] = np.rint(0.5 * weights if start is None else np.clip(start * parts, 0.0, weights))
    bounds = np.full(depth, cover.total * parts)
    stage = np.zeros(depth, dtype=np.int8)
    branch = np.zeros(depth, dtype=np.int64)
    opened = np.zeros(n_rows, dtype=np.bool_)
    opened[best] = True
    tally = np.array([0, 0, 0], dtype=np.int64)  # depth, nodes, work
    found = np.array([float(value)])
    while tally[0] >= 0:
        _explore(
            cover.rows.indptr, cover.rows.indices, cover.columns.indptr, cover.columns.indices,
            weights, parts, count, status, u, bounds, stage, branch, opened, found, tally,
            tally[2] + _CHUNK, FIRST_STEPS, NODE_STEPS,
        )  # fmt: skip
        if tally[2] >= work or (tally[0] >= 0 and clock.out_of_time(until)):
            break
    value = int(found[0])
    bound = value
    if tally[0] >= 0:  # what is still open could be as good as its bounds say
        bound = max(value, int(bounds[: int(tally[0]) + 1].max() // parts))
    return Searched(np.flatnonzero(opened), value, bound, int(tally[1]))


@numba.njit(cache=True, nogil=True)
def _explore(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_rows, weights, parts, count, status, u, bounds, stage, branch,
    opened, known, tally, limit, first_steps, node_steps,
):  # fmt: skip
    """Go on depth first until the tree is done (depth -1) or so much work is done."""
    n_rows, n_demand = len(starts) - 1, len(weights)
    sums = np.zeros(n_rows)
    best_sums = np.zeros(n_rows)
    times = np.zeros(n_demand, dtype=np.int64)
    settled = np.zeros(n_demand, dtype=np.bool_)
    direction = np.zeros(n_demand)
    now = np.zeros(n_demand)
    top = np.zeros(n_rows, dtype=np.bool_)
    often = np.zeros(n_rows)
    free = np.zeros(n_rows, dtype=np.int64)
    while tally[0] >= 0 and tally[2] < limit:
        level = tally[0]
        floor = (known[0] + 1.0) * parts  # a better plan is worth at least this
        if stage[level] == 2 or (stage[level] == 1 and bounds[level] < floor):
            tally[0] -= 1
            continue
        if stage[level] == 1:  # the other side of the branch
            stage[level] = 2
            row = branch[level]
            _copy(status, u, bounds, level)
            status[level + 1, row] = 1 if status[level, row] == 9 else -1
            status[level + 1, row] = -1 if status[level, row] == 8 else 1
            stage[level + 1] = 0
            tally[0] += 1
            continue
        tally[1] += 1
        steps = first_steps if level == 0 else node_steps
        mine = status[level]
        again = True
        rounds = 0
        left = 0
        n_free = 0
        while again:
            again = False
            rounds += 1
            left = count
            n_free = 0
            for row in range(n_rows):
                if mine[row] == 1:
                    left -= 1
                elif mine[row] == 0:
                    free[n_free] = row
                    n_free += 1
            if left < 0 or n_free < left:  # too many opened, or too few left to open
                bounds[level] = 0.0
                break
            for i in range(n_demand):
                settled[i] = False
            for row in range(n_rows):
                if mine[row] == 1:
                    for at in range(starts[row], starts[row + 1]):
                        settled[demand[at]] = True
            base = 0.0
            for i in range(n_demand):
                if settled[i]:
                    base += weights[i]
                    u[level, i] = 0.0
                now[i] = u[level, i]
                direction[i] = 0.0
            best_bound = np.inf
            length, stale = 0.6, 0
            for j in range(n_free):
                often[free[j]] = 0.0
            cut = False
            for step in range(steps):
                # Sums of the free rows, and the largest of them.
                for j in range(n_free):
                    row = free[j]
                    total = 0.0
                    for at in range(starts[row], starts[row + 1]):
                        total += now[demand[at]]
                    sums[row] = total
                    tally[2] += starts[row + 1] - starts[row]
                value = base
                for i in range(n_demand):
                    if not settled[i]:
                        value += weights[i] - now[i]
                    times[i] = 0
                _mark_largest(sums, free, n_free, left, top)
                for j in range(n_free):
                    row = free[j]
                    if top[row]:
                        value += sums[row]
                        for at in range(starts[row], starts[row + 1]):
                            times[demand[at]] += 1
                # What the relaxation opens is a plan.
                worth = 0.0
                for i in range(n_demand):
                    if settled[i] or times[i] > 0:
                        worth += weights[i]
                worth /= parts
                if worth > known[0]:
                    known[0] = worth
                    floor = (worth + 1.0) * parts
                    for row in range(n_rows):
                        opened[row] = mine[row] == 1 or (mine[row] == 0 and top[row])
                if value < best_bound:
                    stale = 0 if value < best_bound - 1e-5 * abs(best_bound) else stale + 1
                    best_bound = value
                    for i in range(n_demand):
                        u[level, i] = now[i]
                    for j in range(n_free):
                        best_sums[free[j]] = sums[free[j]]
                else:
                    stale += 1
                if best_bound < bounds[level]:
                    bounds[level] = best_bound
                if bounds[level] < floor:
                    cut = True
                    break
                if stale >= 5:
                    length, stale = length * 0.6, 0
                    for i in range(n_demand):
                        now[i] = u[level, i]
                    if length < 0.02:
                        break
                share = 0.35
                for j in range(n_free):
                    often[free[j]] += share * ((1.0 if top[free[j]] else 0.0) - often[free[j]])
                square = 0.0
                for i in range(n_demand):
                    if not settled[i]:
                        slope = 1.0 - times[i]
                        direction[i] += share * (slope - direction[i]) if step else slope
                        d = direction[i]
                        if not ((d > 0 and now[i] >= weights[i]) or (d < 0 and now[i] <= 0)):
                            square += d * d
                if square == 0.0:
                    break
                stride = length * (value - floor + parts) / square
                for i in range(n_demand):
                    if not settled[i]:
                        here = np.floor(now[i] + stride * direction[i] + 0.5)
                        now[i] = min(max(here, 0.0), weights[i])
            if cut or left == 0 or n_free == left:
                bounds[level] = 0.0  # cut off, or its only plan has just been tried
                break
            # Fix rows whose forcing would push the bound under the best plan.
            _mark_largest(best_sums, free, n_free, left, top)
            last_in, first_out = np.inf, -np.inf
            for j in range(n_free):
                row = free[j]
                if top[row]:
                    last_in = min(last_in, best_sums[row])
                else:
                    first_out = max(first_out, best_sums[row])
            fixed = 0
            for j in range(n_free):
                row = free[j]
                if top[row]:
                    if best_bound - best_sums[row] + first_out < floor:
                        mine[row] = 1
                        fixed += 1
                elif best_bound - last_in + best_sums[row] < floor:
                    mine[row] = -1
                    fixed += 1
            if fixed * 8 > n_free and rounds < 4:
                again = True
        if bounds[level] < floor:
            tally[0] -= 1
            continue
        # Branch on the row the relaxation is least sure about.
        row, doubt = -1, -1.0
        for j in range(n_free):
            other = free[j]
            if mine[other] != 0:
                continue
            unsure = min(often[other], 1.0 - often[other]) * best_sums[other]
            if unsure > doubt:
                row, doubt = other, unsure
        if row < 0 or level + 2 >= len(stage):
            if row < 0:  # all fixed by bounds: the one plan left
                worth = _worth(starts, demand, weights, mine) / parts
                chosen = 0
                for other in range(n_rows):
                    if mine[other] == 1:
                        chosen += 1
                if chosen == count and worth > known[0]:
                    known[0] = worth
                    for other in range(n_rows):
                        opened[other] = mine[other] == 1
                tally[0] -= 1
                continue
            return  # deeper than there is room for: end without a proof
        branch[level] = row
        stage[level] = 1
        _copy(status, u, bounds, level)
        first = often[row] >= 0.5
        status[level + 1, row] = 1 if first else -1
        status[level, row] = 8 if first else 9  # which side went first, until the other is begun
        stage[level + 1] = 0
        tally[0] += 1


@numba.njit(cache=True, nogil=True)
def _copy(status, u, bounds, level):  # type: ignore[no-untyped-def]  # numba infers
    """Give the next level its parent's state."""
    for row in range(status.shape[1]):
        status[level + 1, row] = status[level, row]
    for i in range(u.shape[1]):
        u[level + 1, i] = u[level, i]
    bounds[level + 1] = bounds[level]


@numba.njit(cache=True, nogil=True)
def _mark_largest(sums, free, n_free, count, top):  # type: ignore[no-untyped-def]  # numba infers
    """Mark the `count` largest sums among the free rows; of equals the first."""
    if count <= 0 or count >= n_free:
        for j in range(n_free):
            top[free[j]] = count > 0
        return
    some = np.empty(n_free)
    for j in range(n_free):
        some[j] = sums[free[j]]
    border = np.partition(some, n_free - count)[n_free - count]
    room = count
    for j in range(n_free):
        top[free[j]] = sums[free[j]] > border
        room -= sums[free[j]] > border
    for j in range(n_free):
        if room > 0 and sums[free[j]] == border:
            top[free[j]] = True
            room -= 1


@numba.njit(cache=True, nogil=True)
def _worth(starts, demand, weights, mine):  # type: ignore[no-untyped-def]  # numba infers
    seen = np.zeros(len(weights), dtype=np.bool_)
    worth = 0.0
    for row in range(len(mine)):
        if mine[row] == 1:
            for at in range(starts[row], starts[row + 1]):
                if not seen[demand[at]]:
                    seen[demand[at]] = True
                    worth += weights[demand[at]]
    return worth
