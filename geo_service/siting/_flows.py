"""What open sites with capacities serve: a maximum flow that follows each opening and closing.

All amounts are whole numbers. A site that opens serves what is left within reach, then takes over
demand from neighbours that can make up for it elsewhere (augmenting paths); a site that closes
hands its demand on the same way. Either keeps the flow a maximum one.
"""

from __future__ import annotations

import heapq
from typing import Any

import numba
import numpy as np
from scipy import sparse

from geo_service.siting import _bounds
from geo_service.siting._cover import cover_of
from geo_service.siting._swaps import _random
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray

_FINE = 1 << 16  # parts of a unit of weight in the bound's multipliers
_CHUNK = 20  # swaps between two looks at the clock
_HOT, _COLD = 0.05, 0.0005  # heat as shares of the mean load


class Flow:
    """Who is served where by the sites that are open now.

    Parameters
    ----------
    rows : csr_array
        Candidates x demand within reach.
    weights, room : ndarray of int
        What each demand weighs, and each candidate can serve.
    """

    def __init__(self, rows: sparse.csr_array, weights: IntArray, room: IntArray) -> None:
        cover = cover_of(rows, weights, np.arange(rows.shape[0]))
        self.rows, self.weights, self.capacity = rows, weights, room
        order = np.argsort(rows.indices, kind="stable")  # arcs by demand, then by site
        self._arcs = (
            rows.indptr.astype(np.int64), rows.indices.astype(np.int64),
            cover.columns.indptr.astype(np.int64), cover.columns.indices.astype(np.int64), order,
        )  # fmt: skip
        self.flow = np.zeros(rows.nnz, dtype=np.int64)
        self.left = weights.astype(np.int64).copy()
        self.room = np.zeros(rows.shape[0], dtype=np.int64)
        self.is_open = np.zeros(rows.shape[0], dtype=np.bool_)
        self._seen = np.full(max(rows.shape), -1, dtype=np.int64)
        self._stamp = np.zeros(1, dtype=np.int64)

    @property
    def served(self) -> int:
        """Weight served."""
        return int(self.weights.sum() - self.left.sum())

    def open(self, site: int) -> int:
        """Open a site; the weight served more."""
        return int(_open(*self._arcs, self.capacity, self.flow, self.left, self.room, self.is_open,
                         self._seen, self._stamp, site))  # fmt: skip

    def close(self, site: int) -> int:
        """Close a site; the weight served less."""
        return int(_close(*self._arcs, self.flow, self.left, self.room, self.is_open, self._seen,
                          self._stamp, site))  # fmt: skip

    def state(self) -> tuple[Any, ...]:
        """The arrays in the order the kernels take them."""
        return (*self._arcs, self.capacity, self.flow, self.left, self.room, self.is_open,
                self._seen, self._stamp)  # fmt: skip

    def ceiling(self, free: IntArray, count: int, fixed: IntArray) -> int:
        """No choice serves more than its `count` largest sites could, and all there is."""
        most = np.minimum(self.capacity, np.asarray(self.rows.astype(np.int64) @ self.weights))
        largest = np.sort(most[free])[::-1][:count]
        return min(int(most[fixed].sum() + largest.sum()), int(self.weights.sum()))


def greedy(
    flow: Flow,
    free: IntArray,
    count: int,
    *,
    target: int | None = None,
    served: list[int] | None = None,
) -> IntArray:
    """Open sites one by one, each the one that can take most of what is left; give them in order.

    What is served after each is noted in `served`, where that is given.
    """
    rows, left = flow.rows, flow.left
    most = np.minimum(flow.capacity, np.asarray(rows.astype(np.int64) @ left))
    heap = [(-int(most[site]), site) for site in free.tolist()]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < count and (target is None or flow.served < target):
        _, site = heapq.heappop(heap)
        reach = rows.indices[rows.indptr[site] : rows.indptr[site + 1]]
        gain = min(int(flow.capacity[site]), int(left[reach].sum()))
        if heap and (-gain, site) > heap[0]:
            heapq.heappush(heap, (-gain, site))
            continue
        flow.open(site)
        chosen.append(site)
        if served is not None:
            served.append(flow.served)
    return np.asarray(chosen, dtype=np.int64)


def swap(
    flow: Flow,
    chosen: IntArray,
    free: IntArray,
    worth: FloatArray,
    target: int,
    *,
    seed: int,
    clock: Clock,
    until: float,
) -> IntArray:
    """Improve the choice by annealed swaps until `target` is served; leaves `flow` at the best."""
    if not 0 < len(chosen) < len(free):
        return chosen
    current, best = chosen.copy(), chosen.copy()
    best_flow = [one.copy() for one in (flow.flow, flow.left, flow.room, flow.is_open)]
    tally = np.array([flow.served, flow.served, seed * 2654435761 + 88172645463325252],
                     dtype=np.int64)  # fmt: skip
    others = np.zeros(len(flow.capacity), dtype=np.bool_)
    others[free] = True
    mean = max(flow.served / len(chosen), 1.0)
    spans = max(until * clock.seconds - clock.spent(), 1e-3)
    begun = clock.spent()
    while tally[1] < target and not clock.out_of_time(until):
        heat = mean * _HOT * (_COLD / _HOT) ** min((clock.spent() - begun) / spans, 1.0)
        top = int(tally[1])
        further = (current, others, free, worth, tally, _CHUNK, heat, best, *best_flow)
        _swap_some(*flow.state(), *further)
        if tally[1] == top and tally[0] < top - 30 * mean:  # lost: go on from the best
            flow.flow[:], flow.left[:], flow.room[:], flow.is_open[:] = best_flow
            current[:] = best
            tally[0] = top
    flow.flow[:], flow.left[:], flow.room[:], flow.is_open[:] = best_flow
    return best


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
    steps: int = 1200,
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
    is_free = np.zeros(rows.shape[0], dtype=bool)
    is_free[free] = True
    taken = np.zeros(rows.nnz)
    often = np.zeros(rows.shape[0])

    def pick(sums: FloatArray) -> BoolArray:
        inside = is_fixed.copy()
        inside[free[_bounds.largest(sums[free], count)]] = True
        return inside

    def relaxed(paid: FloatArray) -> tuple[float, FloatArray]:
        u = np.divide(paid, scale, out=np.ones_like(paid), where=some)
        sums = _fill(starts, demand, scale, room.astype(float), 1.0 - u, is_fixed | is_free, taken)
        inside = pick(sums)
        often[:] += 0.01 * (inside - often)
        got = _add_up(starts, demand, inside, taken, len(scale))
        slope = np.divide(got - scale, scale, out=np.zeros_like(got), where=some)
        return float(paid.sum() + sums[inside].sum()), slope

    start = 0.3 * scale
    paid = _bounds.volume(relaxed, start, upper=scale, known=float(known), steps=steps,
                          clock=clock, until=until, look_every=10)  # fmt: skip
    u = np.divide(paid, scale, out=np.ones_like(paid), where=some)
    fine = np.clip(np.rint(u * _FINE).astype(np.int64), 0, _FINE)
    sums = _fill(starts, demand, weights, room, _FINE - fine, is_fixed | is_free,
                 np.zeros(rows.nnz, dtype=np.int64))  # fmt: skip
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
def _open(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_sites, c_arcs, capacity, flow, left, room, is_open, seen, stamp,
    site,
):  # fmt: skip
    is_open[site] = True
    room[site] = capacity[site]
    gained = 0
    for at in range(starts[site], starts[site + 1]):
        moved = min(room[site], left[demand[at]])
        flow[at] += moved
        left[demand[at]] -= moved
        room[site] -= moved
        gained += moved
    if room[site] == 0:
        return gained
    # Sites reached from this one by taking over a demand; `came`: the arc given up there.
    queue = np.empty(len(capacity), dtype=np.int64)
    came = np.empty(len(capacity), dtype=np.int64)
    via = np.empty(len(capacity), dtype=np.int64)
    while room[site] > 0:
        stamp[0] += 1
        queue[0], head, tail = site, 0, 1
        seen[site] = stamp[0]
        last, end = -1, -1
        while head < tail and end < 0:
            here = queue[head]
            head += 1
            for at in range(starts[here], starts[here + 1]):
                i = demand[at]
                if left[i] > 0:
                    last, end = here, at
                    break
                for k in range(c_starts[i], c_starts[i + 1]):
                    other = c_sites[k]
                    if is_open[other] and seen[other] != stamp[0] and flow[c_arcs[k]] > 0:
                        seen[other] = stamp[0]
                        came[other] = c_arcs[k]
                        via[other] = at
                        queue[tail] = other
                        tail += 1
        if end < 0:
            return gained
        amount = min(room[site], left[demand[end]])
        here = last
        while here != site:
            amount = min(amount, flow[came[here]])
            here = _owner(starts, via[here])
        left[demand[end]] -= amount
        flow[end] += amount
        here = last
        while here != site:
            flow[came[here]] -= amount
            flow[via[here]] += amount
            here = _owner(starts, via[here])
        room[site] -= amount
        gained += amount
    return gained


@numba.njit(cache=True, nogil=True)
def _owner(starts, arc):  # type: ignore[no-untyped-def]  # numba infers
    """The site of an arc."""
    return np.searchsorted(starts, arc, side="right") - 1


@numba.njit(cache=True, nogil=True)
def _close(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_sites, c_arcs, flow, left, room, is_open, seen, stamp, site,
):  # fmt: skip
    is_open[site] = False
    room[site] = 0
    lost = 0
    queue = np.empty(len(left), dtype=np.int64)
    came = np.empty(len(left), dtype=np.int64)
    via = np.empty(len(left), dtype=np.int64)
    closed_off = np.full(len(room), -1, dtype=np.int64)
    for at in range(starts[site], starts[site + 1]):
        i = demand[at]
        lost += flow[at]
        left[i] += flow[at]
        flow[at] = 0
    # Demand from which no room can be reached stays so while others are handed on: it is closed
    # under what can be reached from it. Only what a successful search saw is looked at again.
    stamp[0] += 1
    for at in range(starts[site], starts[site + 1]):
        source = demand[at]
        while left[source] > 0 and seen[source] != stamp[0]:
            queue[0], head, tail = source, 0, 1
            seen[source] = stamp[0]
            last, end = -1, -1
            while head < tail and end < 0:
                i = queue[head]
                head += 1
                for k in range(c_starts[i], c_starts[i + 1]):
                    other = c_sites[k]
                    if not is_open[other]:
                        continue
                    if room[other] > 0:
                        last, end = i, k
                        break
                    if closed_off[other] == stamp[0]:
                        continue
                    closed_off[other] = stamp[0]
                    for arc in range(starts[other], starts[other + 1]):
                        j = demand[arc]
                        if flow[arc] > 0 and seen[j] != stamp[0]:
                            seen[j] = stamp[0]
                            came[j] = arc  # given up by `other` ...
                            via[j] = k  # ... which serves the demand before it instead
                            queue[tail] = j
                            tail += 1
            if end < 0:
                break
            for k in range(tail):
                i = queue[k]
                seen[i] = -1
                for arc in range(c_starts[i], c_starts[i + 1]):
                    closed_off[c_sites[arc]] = -1
            amount = min(left[source], room[c_sites[end]])
            i = last
            while i != source:
                amount = min(amount, flow[came[i]])
                i = demand[c_arcs[via[i]]]
            room[c_sites[end]] -= amount
            flow[c_arcs[end]] += amount
            i = last
            while i != source:
                flow[came[i]] -= amount
                flow[c_arcs[via[i]]] += amount
                i = demand[c_arcs[via[i]]]
            left[source] -= amount
            lost -= amount
    return lost


@numba.njit(cache=True, nogil=True)
def _swap_some(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_sites, c_arcs, capacity, flow, left, room, is_open, seen, stamp,
    current, is_free, free, worth, tally, steps, heat, best, best_flow, best_left, best_room,
    best_open,
):  # fmt: skip
    """Try swaps; ``tally``: served now, best, random state."""
    kept_flow, kept_left, kept_room = flow.copy(), left.copy(), room.copy()
    for _ in range(steps):
        slot = int(_random(tally) * len(current))
        for _ in range(2):  # of three the one with the least load
            rival = int(_random(tally) * len(current))
            if (capacity[current[rival]] - room[current[rival]]
                    < capacity[current[slot]] - room[current[slot]]):  # fmt: skip
                slot = rival
        old = current[slot]
        new = -1
        if _random(tally) < 0.6:  # the best of a few for what is left
            most = -1.0
            for _ in range(12):
                tried = free[int(_random(tally) * len(free))]
                if is_open[tried]:
                    continue
                rest = 0
                for at in range(starts[tried], starts[tried + 1]):
                    rest += left[demand[at]]
                gain = min(capacity[tried], rest) + 0.1 * worth[tried]
                if gain > most:
                    new, most = tried, gain
        elif starts[old] < starts[old + 1]:  # a neighbour
            i = demand[starts[old] + int(_random(tally) * (starts[old + 1] - starts[old]))]
            new = c_sites[c_starts[i] + int(_random(tally) * (c_starts[i + 1] - c_starts[i]))]
        if new < 0 or is_open[new] or not is_free[new]:
            continue
        change = -_close(starts, demand, c_starts, c_sites, c_arcs, flow, left, room, is_open,
                         seen, stamp, old)  # fmt: skip
        change += _open(starts, demand, c_starts, c_sites, c_arcs, capacity, flow, left, room,
                        is_open, seen, stamp, new)  # fmt: skip
        if change < heat * np.log(_random(tally)):
            is_open[new] = False
            is_open[old] = True
            flow[:] = kept_flow
            left[:] = kept_left
            room[:] = kept_room
            continue
        current[slot] = new
        tally[0] += change
        kept_flow[:] = flow
        kept_left[:] = left
        kept_room[:] = room
        if tally[0] > tally[1]:
            tally[1] = tally[0]
            best[:] = current
            best_flow[:] = flow
            best_left[:] = left
            best_room[:] = room
            best_open[:] = is_open


@numba.njit(cache=True, nogil=True)
def _fill(starts, demand, weights, room, pay, usable, taken):  # type: ignore[no-untyped-def]  # numba infers
    """What each site earns by serving its best paying demand first; `taken`: how much of each."""
    sums = np.zeros(len(room), dtype=pay.dtype)
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
        rates = np.empty(end - first, dtype=pay.dtype)
        for at in range(first, end):
            rates[at - first] = -pay[demand[at]]
        left = room[site]
        sums[site] = 0
        order = np.argsort(rates)
        for k in range(len(order)):
            at = first + order[k]
            i = demand[at]
            part = min(left, weights[i]) if pay[i] > 0 else left - left
            taken[at] = part
            left -= part
            sums[site] += part * pay[i]
    return sums


@numba.njit(cache=True, nogil=True)
def _add_up(starts, demand, inside, taken, size):  # type: ignore[no-untyped-def]  # numba infers
    """What the sites inside take of each demand, together."""
    got = np.zeros(size)
    for site in range(len(inside)):
        if inside[site]:
            for at in range(starts[site], starts[site + 1]):
                got[demand[at]] += taken[at]
    return got
