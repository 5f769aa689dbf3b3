"""Compiled loops of bounded search; `geo_service.walking` is the room that uses them.

Dial's bucket queue (1969) with wide buckets, label-correcting inside a bucket as in Cherkassky,
Goldberg and Radzik 1996. Distances are whole centimetres, so the answer is exact and no order of
work can change it. Only what was touched is reset: a search costs what it reaches.

Two arrays are a search's workspace, made once for many searches. ``state`` holds for every node its
distance and its links in the queue side by side, so that a step touches one line of memory;
``buckets`` holds the first node of each bucket.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FAR = 2**31 - 1
"""Distance of a node that was not reached."""

BUCKET_BITS = 10  # 10.24 m, near the shortest chains of a city: few nodes are looked at twice
_CM, _NEXT, _BEFORE = 0, 1, 2  # columns of state
_NOBODY, _NOT_QUEUED = -1, -2
# The packing of contraction.Graph.arcs.
_CM_SHIFT, _CM_BITS, _HEAD_SHIFT = 4, 0x0FFFFFFF, 32
_STARTS_AT_TAIL, _DEAD_END = 4, 8


def workspace(nodes: int, limit_cm: int) -> tuple[Ints, Ints, Ints]:
    """Make what searches work in: state of the nodes, buckets, list of touched nodes.

    Made by numpy since each array filled inside a compiled loop costs half a second of compiling.
    """
    state = np.empty((nodes, 4), np.int32)  # the fourth column only rounds a node to 16 bytes
    state[:, _CM] = FAR
    state[:, _BEFORE] = _NOT_QUEUED
    buckets = np.full((limit_cm >> BUCKET_BITS) + 1, _NOBODY, np.int32)
    return state, buckets, np.empty(nodes, np.int32)


@numba.njit(inline="always")
def _put(node: np.int64, cm: np.int64, state: Ints, buckets: Ints) -> None:
    """Queue a node at a distance, before all others of its bucket."""
    first = buckets[cm >> BUCKET_BITS]
    state[node, _CM] = cm
    state[node, _NEXT] = first
    state[node, _BEFORE] = _NOBODY
    if first != _NOBODY:
        state[first, _BEFORE] = node
    buckets[cm >> BUCKET_BITS] = node


@numba.njit(inline="always")
def _take(node: np.int64, state: Ints, buckets: Ints) -> None:
    """Take a node out of the queue, wherever it stands."""
    after, before = state[node, _NEXT], state[node, _BEFORE]
    if before == _NOBODY:
        buckets[state[node, _CM] >> BUCKET_BITS] = after
    else:
        state[before, _NEXT] = after
    if after != _NOBODY:
        state[after, _BEFORE] = before
    state[node, _BEFORE] = _NOT_QUEUED


@numba.njit(inline="always")
def _take_first(node: np.int64, bucket: int, state: Ints, buckets: Ints) -> None:
    """Take the first node of a bucket; the same as `_take`, a tenth of the search faster."""
    after = state[node, _NEXT]
    buckets[bucket] = after
    if after != _NOBODY:
        state[after, _BEFORE] = _NOBODY
    state[node, _BEFORE] = _NOT_QUEUED


@numba.njit(cache=True, nogil=True)
def _search(
    arc_start: Ints, arcs: Longs, permit: int, seeds: Ints, seed_cm: Longs, limit_cm: int,
    state: Ints, buckets: Ints, touched: Ints,
) -> int:  # fmt: skip
    """Walk from the seeds as far as the limit; give how many nodes were reached.

    The queue is laid into the loop (``inline``): as calls it would take three times as long.
    """
    reached = 0
    for s in range(seeds.size):
        node = np.int64(seeds[s])
        if seed_cm[s] > limit_cm or seed_cm[s] >= state[node, _CM]:
            continue
        if state[node, _CM] == FAR:
            touched[reached] = node
            reached += 1
        else:
            _take(node, state, buckets)
        _put(node, seed_cm[s], state, buckets)
    for bucket in range((limit_cm >> BUCKET_BITS) + 1):
        while buckets[bucket] != _NOBODY:
            node = np.int64(buckets[bucket])
            _take_first(node, bucket, state, buckets)
            walked = np.int64(state[node, _CM])
            for slot in range(arc_start[node], arc_start[node + 1]):
                arc = arcs[slot]
                cm = walked + ((arc >> _CM_SHIFT) & _CM_BITS)
                other = arc >> _HEAD_SHIFT
                known = np.int64(state[other, _CM])
                if arc & permit == 0 or cm > limit_cm or cm >= known:
                    continue
                if known == FAR:
                    touched[reached] = other
                    reached += 1
                elif state[other, _BEFORE] != _NOT_QUEUED:
                    _take(other, state, buckets)
                if arc & _DEAD_END:  # a fourth of a city's nodes need not be queued
                    state[other, _CM] = cm
                else:
                    _put(other, cm, state, buckets)
    return reached


@numba.njit(cache=True, nogil=True)
def _room_for(values: Ints, count: int) -> Ints:
    """Give the array itself, or a copy at least twice as long where `count` does not fit."""
    if count <= values.size:
        return values
    longer = np.empty(max(count, 2 * values.size), np.int32)
    for i in range(values.size):  # an assigned slice would take four seconds to compile
        longer[i] = values[i]
    return longer


@numba.njit(cache=True, nogil=True)
def reach_many(
    arc_start: Ints, arcs: Longs, permit: int, seeds: Ints, seed_cm: Longs, limit_cm: int,
    state: Ints, buckets: Ints, touched: Ints,
) -> tuple[Longs, Ints, Ints]:  # fmt: skip
    """Search from many origins; give counts, then reached nodes and centimetres in a row.

    Parameters
    ----------
    arc_start, arcs
        The graph, see `contraction.Graph`.
    permit
        The bit an arc must have: `MAY_LEAVE`, or `MAY_ARRIVE` to search against the walk.
    seeds, seed_cm : shape (k, 2)
        Where each origin enters the graph, and what was walked till there; beyond the limit a seed
        does not count.
    limit_cm
        Nodes at just this distance are reached.
    state, buckets, touched
        A `workspace`, left as it was found.
    """
    counts = np.empty(seeds.shape[0], np.int64)
    nodes = np.empty(1024, np.int32)
    cm = np.empty(1024, np.int32)
    used = 0
    for origin in range(seeds.shape[0]):
        reached = _search(
            arc_start, arcs, permit, seeds[origin], seed_cm[origin], limit_cm,
            state, buckets, touched,
        )  # fmt: skip
        nodes = _room_for(nodes, used + reached)
        cm = _room_for(cm, used + reached)
        for i in range(reached):
            node = touched[i]
            nodes[used + i] = node
            cm[used + i] = state[node, _CM]
            state[node, _CM] = FAR
        counts[origin] = reached
        used += reached
    return counts, nodes[:used], cm[:used]


@numba.njit(cache=True, nogil=True)
def matrix_rows(
    arc_start: Ints, arcs: Longs, arc_edges: Ints, permit: int, seeds: Ints, seed_cm: Longs,
    spots: Longs, up: Flags, down: Flags, limit_cm: int,
    target_start: Longs, targets: Longs, edge_cm: Ints, best: Ints, near: Ints,
    state: Ints, buckets: Ints, touched: Ints,
) -> tuple[Longs, Ints, Ints]:  # fmt: skip
    """Search from many sources; give the targets within the limit: counts, targets, centimetres.

    Parameters
    ----------
    spots : shape (k, 3)
        The sources' edge, offset and leg, for walks that never leave the edge.
    up, down : shape (e,)
        Whether a search may run along an edge from its tail, and from its head.
    target_start, targets
        The targets of each edge; a row of `targets` is number, offset and leg.
    best, near
        Room for the distance of each target (all `FAR`) and for a list of them.
    state, buckets, touched
        A `workspace`.
    """
    counts = np.empty(seeds.shape[0], np.int64)
    found = np.empty(1024, np.int32)
    cm = np.empty(1024, np.int32)
    used = 0
    for source in range(seeds.shape[0]):
        edge, offset, leg = spots[source, 0], spots[source, 1], spots[source, 2]
        hits = 0
        for t in range(target_start[edge], target_start[edge + 1]):
            ahead = targets[t, 1] - offset
            if ahead == 0 or (ahead > 0 and up[edge]) or (ahead < 0 and down[edge]):
                walk = abs(ahead) + leg + targets[t, 2]
                if walk <= limit_cm:
                    best[t] = walk
                    near[hits] = t
                    hits += 1
        reached = _search(
            arc_start, arcs, permit, seeds[source], seed_cm[source], limit_cm,
            state, buckets, touched,
        )  # fmt: skip
        for i in range(reached):
            node = touched[i]
            walked = np.int64(state[node, _CM])
            state[node, _CM] = FAR
            for slot in range(arc_start[node], arc_start[node + 1]):
                e = arc_edges[slot]
                from_tail = arcs[slot] & _STARTS_AT_TAIL != 0
                for t in range(target_start[e], target_start[e + 1]):
                    along = targets[t, 1] if from_tail else edge_cm[e] - targets[t, 1]
                    walk = walked + along + targets[t, 2]
                    open_way = along == 0 or arcs[slot] & permit != 0
                    if open_way and walk <= limit_cm and walk < best[t]:
                        if best[t] == FAR:
                            near[hits] = t
                            hits += 1
                        best[t] = walk
        found = _room_for(found, used + hits)
        cm = _room_for(cm, used + hits)
        for i in range(hits):
            t = near[i]
            found[used + i] = targets[t, 0]
            cm[used + i] = best[t]
            best[t] = FAR
        counts[source] = hits
        used += hits
    return counts, found[:used], cm[:used]
