"""What open sites with capacities serve: a maximum flow that follows each opening and closing.

All amounts are whole numbers. A site that opens serves what is left within reach, then takes over
demand from neighbours that can make up for it elsewhere; a site that closes hands its demand on the
same way. Either keeps the flow a maximum one: chains of sites are searched shortest first, all of
one length at a time (Dinic 1970).
"""

from __future__ import annotations

import heapq
from typing import Any

import numba
import numpy as np
from scipy import sparse

from geo_service.siting._cover import cover_of
from geo_service.siting._swaps import _random
from geo_service.siting.plans import Clock, FloatArray, IntArray

_CHUNK = 20  # swaps between two looks at the clock
# Walks looked at in each promised second: less than is usual, so that the clock seldom cuts in and
# another machine finds the same.
_LOOKED_AT = 40e6
_LEVELS = 1 << 20  # more than any chain has
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
        size, n_demand = rows.shape
        self.rows, self.weights, self.capacity = rows, weights, room
        starts = rows.indptr.astype(np.int64)
        self._graph = (
            starts, rows.indices.astype(np.int64), np.repeat(np.arange(size), np.diff(starts)),
            cover.columns.indptr.astype(np.int64), cover.columns.indices.astype(np.int64),
            np.argsort(rows.indices, kind="stable"),  # arcs by demand, then by site
            room.astype(np.int64),
        )  # fmt: skip
        self.flow = np.zeros(rows.nnz, dtype=np.int64)
        self.left = weights.astype(np.int64)
        self.room = np.zeros(size, dtype=np.int64)
        self.is_open = np.zeros(size, dtype=np.bool_)
        # Levels and places looked at next (sites, demand), a queue, a chain; where levels start,
        # and how many walks were looked at.
        self._search = _zeros(size, n_demand, size, n_demand, max(size, n_demand), 2 * size + 2, 2)
        # Arcs changed in the last swap, what they carried before, when noted; that swap, how many.
        self._journal = _zeros(rows.nnz, rows.nnz, rows.nnz, 2)
        self._journal[3][0] = 1

    @property
    def served(self) -> int:
        """Weight served."""
        return int(self.weights.sum() - self.left.sum())

    @property
    def looked_at(self) -> int:
        """Walks looked at so far: the work done, whatever the machine."""
        return int(self._search[-1][1])

    def open(self, site: int) -> int:
        """Open a site; the weight served more."""
        return int(_open(self.state(), site))

    def close(self, site: int) -> int:
        """Close a site; the weight served less."""
        return int(_close(self.state(), site))

    def exchange(self, old: IntArray, new: IntArray) -> None:
        """Close some sites and open others."""
        for site in np.setdiff1d(old, new).tolist():
            self.close(site)
        for site in np.setdiff1d(new, old).tolist():
            self.open(site)

    def state(self) -> tuple[Any, ...]:
        """The arrays in the order the kernels take them."""
        return (self._graph, self.flow, self.left, self.room, self.is_open, self._search,
                self._journal)  # fmt: skip

    def ceiling(self, free: IntArray, count: int, fixed: IntArray) -> int:
        """No choice serves more than its `count` largest sites could, and all there is."""
        most = np.minimum(self.capacity, np.asarray(self.rows.astype(np.int64) @ self.weights))
        largest = np.sort(most[free])[::-1][:count]
        return min(int(most[fixed].sum() + largest.sum()), int(self.weights.sum()))


def _zeros(*lengths: int) -> tuple[IntArray, ...]:
    return tuple(np.zeros(length, dtype=np.int64) for length in lengths)


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
    """Improve the choice by annealed swaps until `target` is served; leaves `flow` at the best.

    How many are tried follows from the seconds promised, not from the machine: work is counted in
    walks looked at. Only where the clock cuts in before does another machine answer differently.
    """
    if not 0 < len(chosen) < len(free):
        return chosen
    current, best = chosen.copy(), chosen.copy()
    tally = np.array([flow.served, flow.served, seed * 2654435761 + 88172645463325252],
                     dtype=np.int64)  # fmt: skip
    others = np.zeros(len(flow.capacity), dtype=np.bool_)
    others[free] = True
    mean = max(flow.served / len(chosen), 1.0)
    begun, limit = flow.looked_at, _LOOKED_AT * clock.seconds
    while tally[1] < target and not clock.out_of_time(until):
        done = (flow.looked_at - begun) / limit
        if done >= 1.0:
            break
        heat = mean * _HOT * (_COLD / _HOT) ** done
        top = int(tally[1])
        _swap_some(flow.state(), current, others, free, worth, best, tally, _CHUNK, heat)
        if tally[1] == top and tally[0] < top - 30 * mean:  # lost: go on from the best
            flow.exchange(current, best)
            current[:] = best
            tally[0] = top
    flow.exchange(current, best)
    return best


@numba.njit(cache=True, nogil=True)
def _shift(state, at, amount):  # type: ignore[no-untyped-def]  # numba infers
    """Let the site of an arc serve so much more of its demand; what it served before is noted."""
    (_, demand, owner, _, _, _, _), flow, left, room, _, _, (arcs, before, noted, pen) = state
    if noted[at] != pen[0]:
        noted[at] = pen[0]
        arcs[pen[1]], before[pen[1]] = at, flow[at]
        pen[1] += 1
    flow[at] += amount
    left[demand[at]] -= amount
    room[owner[at]] -= amount


@numba.njit(cache=True, nogil=True)
def _open(state, site):  # type: ignore[no-untyped-def]  # numba infers
    """Open a site and give it all it can take; the weight served more."""
    (starts, demand, _, _, _, _, capacity), _, left, room, is_open, _, _ = state
    is_open[site] = True
    room[site] = capacity[site]
    for at in range(starts[site], starts[site + 1]):
        amount = min(room[site], left[demand[at]])
        if amount > 0:
            _shift(state, at, amount)
    while room[site] > 0 and _layers_to_demand(state, site):
        _take_over(state, site)
    return capacity[site] - room[site]


@numba.njit(cache=True, nogil=True)
def _layers_to_demand(state, site):  # type: ignore[no-untyped-def]  # numba infers
    """Number sites and demand by how many hands weight passes from `site` to demand left over."""
    (starts, demand, _, c_starts, c_sites, c_arcs, _), flow, left, _, is_open, search, _ = state
    of_site, of_demand, next_arc, next_site, queue, _, stamps = search
    stamps[0] += _LEVELS
    stamp = stamps[0]
    of_site[site], next_arc[site] = stamp, starts[site]
    queue[0], head, tail = site, 0, 1
    last = -1
    while head < tail:
        here = queue[head]
        head += 1
        level = of_site[here]
        if last >= 0 and level > last:
            break
        stamps[1] += starts[here + 1] - starts[here]
        for at in range(starts[here], starts[here + 1]):
            i = demand[at]
            if of_demand[i] >= stamp:
                continue
            of_demand[i], next_site[i] = level, c_starts[i]
            if left[i] > 0:
                last = level
            if last >= 0:
                continue
            stamps[1] += c_starts[i + 1] - c_starts[i]
            for k in range(c_starts[i], c_starts[i + 1]):
                other = c_sites[k]
                if is_open[other] and of_site[other] < stamp and flow[c_arcs[k]] > 0:
                    of_site[other], next_arc[other] = level + 1, starts[other]
                    queue[tail] = other
                    tail += 1
    return last >= 0


@numba.njit(cache=True, nogil=True)
def _take_over(state, site):  # type: ignore[no-untyped-def]  # numba infers
    """Along shortest chains only: `site` takes demand from others, which take what is left over."""
    (starts, demand, owner, c_starts, c_sites, c_arcs, _), flow, left, room, _, search, _ = state
    of_site, of_demand, next_arc, next_site, _, path, _ = search
    depth, here = 0, site
    while room[site] > 0:
        if next_arc[here] == starts[here + 1]:
            if depth == 0:
                return
            depth -= 2  # nothing behind this site: back to the demand before it
            next_site[demand[path[depth]]] += 1
            here = owner[path[depth]]
            continue
        at = next_arc[here]
        i = demand[at]
        if of_demand[i] != of_site[here]:
            next_arc[here] += 1
            continue
        if left[i] > 0:
            amount = min(room[site], left[i])
            for k in range(1, depth, 2):
                amount = min(amount, flow[path[k]])
            _shift(state, at, amount)
            for k in range(0, depth, 2):
                _shift(state, path[k + 1], -amount)
                _shift(state, path[k], amount)
            depth, here = 0, site
            continue
        k = next_site[i]
        if k == c_starts[i + 1]:
            next_arc[here] += 1
            continue
        other = c_sites[k]
        if of_site[other] != of_site[here] + 1 or flow[c_arcs[k]] == 0:
            next_site[i] += 1
            continue
        path[depth], path[depth + 1] = at, c_arcs[k]
        depth += 2
        here = other


@numba.njit(cache=True, nogil=True)
def _close(state, site):  # type: ignore[no-untyped-def]  # numba infers
    """Close a site and hand on all that others can take; the weight served less."""
    (starts, demand, _, _, _, _, _), flow, left, room, is_open, _, _ = state
    lost = 0
    for at in range(starts[site], starts[site + 1]):
        if flow[at] > 0:
            lost += flow[at]
            _shift(state, at, -flow[at])
    is_open[site] = False
    room[site] = 0
    while lost > 0 and _layers_to_room(state, site):
        for at in range(starts[site], starts[site + 1]):
            if left[demand[at]] > 0:
                lost -= _hand_on(state, demand[at])
    return lost


@numba.njit(cache=True, nogil=True)
def _layers_to_room(state, site):  # type: ignore[no-untyped-def]  # numba infers
    """Number demand and sites by how many hands what `site` served passes to a site with room."""
    (starts, demand, _, c_starts, c_sites, _, _), flow, left, room, is_open, search, _ = state
    of_site, of_demand, next_arc, next_site, queue, _, stamps = search
    stamps[0] += _LEVELS
    stamp = stamps[0]
    head, tail, last = 0, 0, -1
    for at in range(starts[site], starts[site + 1]):
        i = demand[at]
        if left[i] > 0:
            of_demand[i], next_site[i] = stamp, c_starts[i]
            queue[tail] = i
            tail += 1
    while head < tail:
        i = queue[head]
        head += 1
        level = of_demand[i]
        if last >= 0 and level > last:
            break
        stamps[1] += c_starts[i + 1] - c_starts[i]
        for k in range(c_starts[i], c_starts[i + 1]):
            other = c_sites[k]
            if not is_open[other] or of_site[other] >= stamp:
                continue
            of_site[other], next_arc[other] = level, starts[other]
            if room[other] > 0:
                last = level
            if last >= 0:
                continue
            stamps[1] += starts[other + 1] - starts[other]
            for at in range(starts[other], starts[other + 1]):
                j = demand[at]
                if of_demand[j] < stamp and flow[at] > 0:
                    of_demand[j], next_site[j] = level + 1, c_starts[j]
                    queue[tail] = j
                    tail += 1
    return last >= 0


@numba.njit(cache=True, nogil=True)
def _hand_on(state, source):  # type: ignore[no-untyped-def]  # numba infers
    """Along shortest chains only: others take `source` and give up what sites with room take."""
    (starts, demand, owner, c_starts, c_sites, c_arcs, _), flow, left, room, _, search, _ = state
    of_site, of_demand, next_arc, next_site, _, path, _ = search
    depth, i, moved = 0, source, 0
    while left[source] > 0:
        k = next_site[i]
        if k == c_starts[i + 1]:
            if depth == 0:
                break
            depth -= 2  # nothing behind this demand: back to the site that would give it up
            next_arc[owner[path[depth]]] += 1
            i = demand[path[depth]]
            continue
        other = c_sites[k]
        if of_site[other] != of_demand[i]:
            next_site[i] += 1
            continue
        if room[other] > 0:
            amount = min(left[source], room[other])
            for step in range(1, depth, 2):
                amount = min(amount, flow[path[step]])
            _shift(state, c_arcs[k], amount)
            for step in range(0, depth, 2):
                _shift(state, path[step + 1], -amount)
                _shift(state, path[step], amount)
            moved += amount
            depth, i = 0, source
            continue
        at = next_arc[other]
        if at == starts[other + 1]:
            next_site[i] += 1
            continue
        j = demand[at]
        if flow[at] == 0 or of_demand[j] != of_demand[i] + 1:
            next_arc[other] += 1
            continue
        path[depth], path[depth + 1] = c_arcs[k], at
        depth += 2
        i = j
    return moved


@numba.njit(cache=True, nogil=True)
def _swap_some(state, current, is_free, free, worth, best, tally, swaps, heat):  # type: ignore[no-untyped-def]  # numba infers
    """Try swaps; ``tally``: served now, best, random state."""
    graph, flow, left, room, is_open, search, (arcs, before, _, pen) = state
    starts, demand, owner, c_starts, c_sites, _, capacity = graph
    for _ in range(swaps):
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
                search[6][1] += starts[tried + 1] - starts[tried]
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
        pen[0] += 1
        pen[1] = 0
        kept = room[old]
        change = -_close(state, old)
        change += _open(state, new)
        if change < heat * np.log(_random(tally)):
            for k in range(pen[1]):
                at = arcs[k]
                back = before[k] - flow[at]
                flow[at] += back
                left[demand[at]] -= back
                room[owner[at]] -= back
            is_open[new], room[new] = False, 0
            is_open[old], room[old] = True, kept
            continue
        current[slot] = new
        tally[0] += change
        if tally[0] > tally[1]:
            tally[1] = tally[0]
            best[:] = current
