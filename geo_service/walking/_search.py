"""Compiled loops of bounded search; `geo_service.walking` is the room that uses them.

Dial's bucket queue (1969) with wide buckets, label-correcting inside a bucket as in Cherkassky,
Goldberg and Radzik 1996. Distances are whole centimetres, so the answer is exact and no order of
work can change it. Only what was touched is reset: a search costs what it reaches.

A node that gets nearer is queued once more and its older entries are passed over when they come
up (their bucket is no longer the node's), so nothing is ever taken out of the middle. An arc that
leads nowhere nearer writes the same as one that does, only to where the next write goes: the
processor guesses neither wrongly. A search that branches takes three times as long.

A search's workspace is made once for many searches: the distance of every node, one more than the
limit where it was not reached; the last entry of each bucket; the entries, each a node and the
entry before it in the bucket; a list of the nodes that were touched.
"""

from __future__ import annotations

from typing import TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Workspace: TypeAlias = tuple[Ints, Ints, Longs, Ints]

FAR = 2**31 - 1
"""Farther than any limit."""

BUCKET_BITS = 10  # 10.24 m, near the shortest chains of a city: few nodes are looked at twice
_FIRST_ENTRIES = 1 << 14
LONGEST_CM = 2**30  # a walk and a street more still fit into int32
_EMPTY = 2**31 - 1
# The packing of contraction.Graph.arcs.
_CM_SHIFT, _CM_BITS, _HEAD_SHIFT = 4, 0x0FFFFFFF, 32
_STARTS_AT_TAIL, _DEAD_END = 4, 8
_LOW = 0x7FFFFFFF


def workspace(nodes: int, limit_cm: int) -> Workspace:
    """Make what searches work in: distances, buckets, entries, touched nodes.

    Made by numpy since each array filled inside a compiled loop costs half a second of compiling.
    """
    cm, entries = np.full(nodes, limit_cm + 1, np.int32), np.empty(_FIRST_ENTRIES, np.int64)
    return cm, empty_buckets(limit_cm), entries, np.empty(nodes + 1, np.int32)


def empty_buckets(limit_cm: int) -> Ints:
    """Make the buckets up to a limit, and one more for all beyond, which is never opened."""
    return np.full((limit_cm >> BUCKET_BITS) + 2, _EMPTY, np.int32)


@numba.njit(cache=True, nogil=True)
def _walk(
    arc_start: Ints, arcs: Longs, permit: int, seeds: Ints, seed_cm: Longs, limit_cm: int,
    cm: Ints, buckets: Ints, entries: Longs, touched: Ints,
) -> int:  # fmt: skip
    """Walk from the seeds as far as the limit; give how many nodes were reached.

    Indices are unsigned, since a signed one is first tested for counting from the end. Where the
    entries don't suffice, the workspace is left as it was found and -1 is given: making a longer
    array within the loop would cost each search a third of its time.
    """
    far = np.int64(limit_cm) + 1
    reached, used = 0, 0
    for s in range(seeds.size):
        node = np.uint64(seeds[s])
        known = np.int64(cm[node])
        if seed_cm[s] >= known:
            continue
        if known == far:
            touched[reached] = seeds[s]
            reached += 1
        cm[node] = seed_cm[s]
        if used == entries.size:
            return _given_up(limit_cm, cm, buckets, touched[:reached])
        bucket = np.uint64(seed_cm[s] >> BUCKET_BITS)
        entries[used] = (np.int64(node) << _HEAD_SHIFT) | np.int64(buckets[bucket])
        buckets[bucket] = used
        used += 1
    for opened in range((limit_cm >> BUCKET_BITS) + 1):
        here = np.uint64(opened)
        while buckets[here] != _EMPTY:
            entry = entries[np.uint64(buckets[here])]
            buckets[here] = entry & _LOW
            node = np.uint64(entry >> _HEAD_SHIFT)
            walked = np.int64(cm[node])
            if walked >> BUCKET_BITS != opened:
                continue
            first, last = np.uint64(arc_start[node]), np.uint64(arc_start[node + np.uint64(1)])
            if used + np.int64(last - first) >= entries.size:
                return _given_up(limit_cm, cm, buckets, touched[:reached])
            for slot in range(first, last):
                arc = arcs[slot]
                there = walked + ((arc >> _CM_SHIFT) & _CM_BITS)
                other = np.uint64(arc >> _HEAD_SHIFT)
                known = np.int64(cm[other])
                nearer = np.int64((there < known) & (arc & permit != 0))
                touched[np.uint64(reached)] = np.int32(other)
                reached += int(nearer & np.int64(known == far))
                cm[other] = there if nearer else known
                # A fourth of a city's nodes are dead ends and need not be queued.
                queued = nearer & np.int64(arc & _DEAD_END == 0)
                bucket = np.uint64(min(there, far) >> BUCKET_BITS)
                before = buckets[bucket]
                entries[np.uint64(used)] = (np.int64(other) << _HEAD_SHIFT) | np.int64(before)
                buckets[bucket] = used if queued else before
                used += int(queued)
    return reached


@numba.njit(cache=True, nogil=True)
def _search(
    arc_start: Ints, arcs: Longs, permit: int, seeds: Ints, seed_cm: Longs, limit_cm: int,
    cm: Ints, buckets: Ints, entries: Longs, touched: Ints,
) -> tuple[int, Longs]:  # fmt: skip
    """Walk as `_walk`, with as many entries as it takes; give how many were reached, and those."""
    while True:
        reached = _walk(
            arc_start, arcs, permit, seeds, seed_cm, limit_cm, cm, buckets, entries, touched
        )
        if reached >= 0:
            return reached, entries
        entries = np.empty(2 * entries.size, np.int64)


@numba.njit(cache=True, nogil=True)
def _given_up(limit_cm: int, cm: Ints, buckets: Ints, touched: Ints) -> int:
    """Clean the workspace of a search that is not finished."""
    for i in range(touched.size):
        cm[touched[i]] = limit_cm + 1
    for bucket in range(buckets.size):
        buckets[bucket] = _EMPTY
    return -1


@numba.njit(cache=True, nogil=True)
def _room_for(values: Ints, count: int) -> Ints:
    """Give the array itself, or a copy at least twice as long where `count` does not fit."""
    if count <= values.size:
        return values
    longer = np.empty(max(count, 2 * values.size), np.int32)
    for i in range(values.size):
        longer[i] = values[i]
    return longer


@numba.njit(cache=True, nogil=True)
def entered(
    edge: Longs, offset_cm: Longs, leg_cm: Longs, tail: Ints, head: Ints, length_cm: Ints,
    up: Flags, down: Flags,
) -> tuple[Ints, Longs]:  # fmt: skip
    """Give tail and head of the chain of each place, and the walk there; `FAR` where closed.

    Parameters
    ----------
    edge, offset_cm, leg_cm : shape (k,)
        Where the places meet the streets, see `streets.snapping.Snapped`.
    tail, head, length_cm, up, down : shape (e,)
        The chains, and whether each is open from its tail to its head, and back.
    """
    nodes, cm = np.empty(2 * edge.size, np.int32), np.full(2 * edge.size, FAR, np.int64)
    for k in range(edge.size):
        e = max(edge[k], 0)
        nodes[2 * k], nodes[2 * k + 1] = tail[e], head[e]
        if edge[k] >= 0 and (down[e] or offset_cm[k] == 0):
            cm[2 * k] = leg_cm[k] + offset_cm[k]
        if edge[k] >= 0 and (up[e] or offset_cm[k] == length_cm[e]):
            cm[2 * k + 1] = leg_cm[k] + length_cm[e] - offset_cm[k]
    return nodes, cm


@numba.njit(cache=True, nogil=True)
def reach_many(
    arc_start: Ints, arcs: Longs, permit: int, seed_start: Longs, seeds: Ints, seed_cm: Longs,
    limit_cm: int, cm: Ints, buckets: Ints, entries: Longs, touched: Ints,
) -> tuple[Longs, Ints, Ints]:  # fmt: skip
    """Search from many origins; give counts, then reached nodes and centimetres in a row.

    Parameters
    ----------
    arc_start, arcs
        The graph, see `contraction.Graph`.
    permit
        The bit an arc must have: `MAY_LEAVE`, or `MAY_ARRIVE` to search against the walk.
    seed_start : shape (k + 1,)
        Where the seeds of each origin begin in the arrays below.
    seeds, seed_cm
        Where an origin enters the graph, and what was walked till there; beyond the limit a seed
        does not count.
    limit_cm
        Nodes at just this distance are reached.
    cm, buckets, entries, touched
        A `workspace`, left as it was found.
    """
    counts = np.empty(seed_start.size - 1, np.int64)
    nodes = np.empty(1024, np.int32)
    walked = np.empty(1024, np.int32)
    used = 0
    for origin in range(counts.size):
        first, last = seed_start[origin], seed_start[origin + 1]
        reached, entries = _search(
            arc_start, arcs, permit, seeds[first:last], seed_cm[first:last], limit_cm,
            cm, buckets, entries, touched,
        )  # fmt: skip
        nodes = _room_for(nodes, used + reached)
        walked = _room_for(walked, used + reached)
        for i in range(reached):
            node = np.uint64(touched[i])
            nodes[used + i] = touched[i]
            walked[used + i] = cm[node]
            cm[node] = limit_cm + 1
        counts[origin] = reached
        used += reached
    return counts, nodes[:used], walked[:used]


@numba.njit(cache=True, nogil=True)
def total_rows(
    arc_start: Ints, arcs: Longs, permit: int, seed_start: Longs, seeds: Ints, seed_cm: Longs,
    limits_cm: Longs, weights: Floats, sums: Floats,
    cm: Ints, buckets: Ints, entries: Longs, touched: Ints,
) -> None:  # fmt: skip
    """Search from many origins and add up what the reached nodes carry.

    Parameters as in `reach_many`, and

    Parameters
    ----------
    limits_cm : shape (m,)
        Ascending; the workspace is made for the last.
    weights : shape (n, w)
        What each node carries.
    sums : shape (k, m, w)
        Receives the totals within each limit; comes as zeros.
    """
    longest = limits_cm[limits_cm.size - 1]
    for origin in range(seed_start.size - 1):
        first, last = seed_start[origin], seed_start[origin + 1]
        reached, entries = _search(
            arc_start, arcs, permit, seeds[first:last], seed_cm[first:last], longest,
            cm, buckets, entries, touched,
        )  # fmt: skip
        for i in range(reached):
            node = np.uint64(touched[i])
            walked = np.int64(cm[node])
            cm[node] = longest + 1
            ring = 0
            while walked > limits_cm[ring]:
                ring += 1
            for column in range(weights.shape[1]):
                sums[origin, ring, column] += weights[node, column]
        for ring in range(1, limits_cm.size):
            for column in range(weights.shape[1]):
                sums[origin, ring, column] += sums[origin, ring - 1, column]


@numba.njit(cache=True, nogil=True)
def nearest_seeds(
    arc_start: Ints, arcs: Longs, permit: int, seeds: Ints, seed_cm: Longs, limit_cm: int,
    labels: Ints, keys: Longs, buckets: Ints, entries: Longs,
) -> bool:  # fmt: skip
    """Find for every node its nearest seed, of equally near ones that of the lowest label.

    One search from all seeds at once. What is compared is distance and label in one number,
    distance << 32 | label, so ties need no care.

    Parameters
    ----------
    seeds, seed_cm, labels : shape (s,)
        Nodes, what was walked till there, and what each is called.
    keys : shape (n,)
        Receives distance and label; comes as ``(limit_cm + 1) << 32``, which stays where no seed
        is within the limit.
    buckets, entries
        Of a `workspace`; as they come.

    Returns
    -------
    bool
        False where the entries do not suffice: nothing of the answer holds then.
    """
    far = (np.int64(limit_cm) + 1) << 32
    used = 0
    for s in range(seeds.size):
        node = np.uint64(seeds[s])
        key = (seed_cm[s] << 32) | np.int64(labels[s])
        if key >= keys[node]:
            continue
        keys[node] = key
        if used == entries.size:
            return False
        bucket = np.uint64(seed_cm[s] >> BUCKET_BITS)
        entries[used] = (np.int64(node) << _HEAD_SHIFT) | np.int64(buckets[bucket])
        buckets[bucket] = used
        used += 1
    for opened in range((limit_cm >> BUCKET_BITS) + 1):
        here = np.uint64(opened)
        while buckets[here] != _EMPTY:
            entry = entries[np.uint64(buckets[here])]
            buckets[here] = entry & _LOW
            node = np.uint64(entry >> _HEAD_SHIFT)
            walked = keys[node]
            if walked >> (32 + BUCKET_BITS) != opened:
                continue
            first, last = np.uint64(arc_start[node]), np.uint64(arc_start[node + np.uint64(1)])
            if used + np.int64(last - first) >= entries.size:
                return False
            for slot in range(first, last):
                arc = arcs[slot]
                there = walked + (((arc >> _CM_SHIFT) & _CM_BITS) << 32)
                other = np.uint64(arc >> _HEAD_SHIFT)
                known = keys[other]
                nearer = np.int64((there < min(known, far)) & (arc & permit != 0))
                keys[other] = there if nearer else known
                bucket = np.uint64(min(there, far) >> (32 + BUCKET_BITS))
                before = buckets[bucket]
                entries[np.uint64(used)] = (np.int64(other) << _HEAD_SHIFT) | np.int64(before)
                buckets[bucket] = used if nearer else before
                used += int(nearer)
    return True


@numba.njit(cache=True, nogil=True)
def matrix_rows(
    arc_start: Ints, arcs: Longs, arc_edges: Ints, permit: int, seed_start: Longs, seeds: Ints,
    seed_cm: Longs, spots: Longs, up: Flags, down: Flags, limit_cm: int,
    target_start: Longs, targets: Longs, edge_cm: Ints, best: Ints, near: Ints,
    cm: Ints, buckets: Ints, entries: Longs, touched: Ints,
) -> tuple[Longs, Ints, Ints]:  # fmt: skip
    """Search from many sources; give the targets within the limit: counts, targets, centiwalks.

    Parameters
    ----------
    spots : shape (s / 2, 3)
        Edge, offset and leg of each place, which has two seeds, for walks that never leave the
        edge; a source may have many.
    up, down : shape (e,)
        Whether a search may run along an edge from its tail, and from its head.
    target_start, targets
        The targets of each edge; a row of `targets` is number, offset and leg.
    best, near
        Room for the distance of each target (all `FAR`) and for a list of them.
    cm, buckets, entries, touched
        A `workspace`.
    """
    counts = np.empty(seed_start.size - 1, np.int64)
    found = np.empty(1024, np.int32)
    walks = np.empty(1024, np.int32)
    used = 0
    for source in range(counts.size):
        first, last = seed_start[source], seed_start[source + 1]
        hits = 0
        for spot in range(first // 2, last // 2):
            edge, offset, leg = spots[spot, 0], spots[spot, 1], spots[spot, 2]
            for t in range(target_start[edge], target_start[edge + 1]):
                ahead = targets[t, 1] - offset
                if ahead == 0 or (ahead > 0 and up[edge]) or (ahead < 0 and down[edge]):
                    walk = abs(ahead) + leg + targets[t, 2]
                    if walk <= limit_cm and walk < best[t]:
                        if best[t] == FAR:
                            near[hits] = t
                            hits += 1
                        best[t] = walk
        reached, entries = _search(
            arc_start, arcs, permit, seeds[first:last], seed_cm[first:last], limit_cm,
            cm, buckets, entries, touched,
        )  # fmt: skip
        for i in range(reached):
            node = np.uint64(touched[i])
            walked = np.int64(cm[node])
            cm[node] = limit_cm + 1
            for slot in range(arc_start[node], arc_start[node + np.uint64(1)]):
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
        walks = _room_for(walks, used + hits)
        for i in range(hits):
            t = near[i]
            found[used + i] = targets[t, 0]
            walks[used + i] = best[t]
            best[t] = FAR
        counts[source] = hits
        used += hits
    return counts, found[:used], walks[:used]
