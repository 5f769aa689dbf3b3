"""Street segments to a graph of junctions and chains, as one profile may walk them.

A chain is a run of segments between two junctions with nothing to choose on the way. A barrier the
profile can't pass cuts every segment that ends there: each keeps a dead end of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.crs import Plane
from geo_service.streets import segments
from geo_service.streets.segments import FloatArray, IntArray, LongArray, Segments

BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]

CM_PER_M = 100
MAY_LEAVE, MAY_ARRIVE, STARTS_AT_TAIL, DEAD_END = 1, 2, 4, 8
"""Bits of an arc: it may be walked away from its node; towards it; its node is the chain's tail;
its other end has no other arc."""
ARC_HEAD_SHIFT, ARC_CM_SHIFT = 32, 4
"""An arc is one int64: node at the other end << 32 | centimetres << 4 | bits."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Junctions, chains and arcs.

    Parameters
    ----------
    node_osm_ids : ndarray of int64, shape (n,)
        OSM ids of the junctions; dead ends at one closed barrier share its id.
    node_x, node_y : ndarray of float64, shape (n,)
        Positions in the plane. Nodes are numbered along a Z-order curve, so that neighbours in the
        city are neighbours in memory.
    tail, head : ndarray of int32, shape (e,)
        Junctions at the chain's ends.
    length_cm : ndarray of int32, shape (e,)
        Length on the ground.
    forward, backward : ndarray of bool, shape (e,)
        Whether it may be walked from tail to head, and back.
    shape_start : ndarray of int64, shape (e + 1,)
        Where each chain's vertices begin in the arrays below.
    shape_x, shape_y : ndarray of float64, shape (v,)
        Vertices in the plane, both ends included.
    shape_cm : ndarray of int32, shape (v,)
        Walked length from the tail to the vertex.
    shape_segment : ndarray of int32, shape (v,)
        The row in `Segments` of the piece from each vertex to the next.
    shape_name : ndarray of int32, shape (v,)
        The row of `names` of the street from each vertex to the next.
    names : ndarray of str, shape (k,)
        Names of streets; the first is "".
    arc_start : ndarray of int32, shape (n + 1,)
        Where each node's arcs begin; every chain gives one arc to both its ends.
    arcs : ndarray of int64, shape (2 e,)
        Packed, see `ARC_HEAD_SHIFT`.
    arc_edges : ndarray of int32, shape (2 e,)
        The chain of each arc.
    component : ndarray of int32, shape (n,)
        The piece of the network each junction belongs to, numbered by falling length.
    component_cm : ndarray of int64, shape (c,)
        Length of each piece.
    """

    node_osm_ids: LongArray
    node_x: FloatArray
    node_y: FloatArray
    tail: IntArray
    head: IntArray
    length_cm: IntArray
    forward: BoolArray
    backward: BoolArray
    shape_start: LongArray
    shape_x: FloatArray
    shape_y: FloatArray
    shape_cm: IntArray
    shape_segment: IntArray
    shape_name: IntArray
    names: segments.TextArray
    arc_start: IntArray
    arcs: LongArray
    arc_edges: IntArray
    component: IntArray
    component_cm: LongArray


def contract(streets: Segments, *, mask: int, plane: Plane) -> Graph:
    """Build the graph of what a profile may walk.

    Parameters
    ----------
    streets : Segments
        All segments of the extract.
    mask : int
        The profile's classes of access.
    plane : Plane
        The metric plane of positions. Lengths don't depend on it.
    """
    forward, backward = (streets.forward & mask) != 0, (streets.backward & mask) != 0
    usable = np.flatnonzero(forward | backward)
    tail, head = streets.tail[usable].astype(np.int64), streets.head[usable].astype(np.int64)
    forward, backward = forward[usable], backward[usable]
    length_m = segments.ground_length_m(
        streets.lon[tail], streets.lat[tail], streets.lon[head], streets.lat[head]
    )
    if streets.stretch.size:
        length_m *= streets.stretch[usable]
    closed = streets.barriers[(streets.barrier_masks & mask) == 0]
    tail, head, row_of = _cut_at(closed, tail, head, streets.osm_ids.size)

    order, turned, starts = _chains(tail, head, forward, backward, row_of.size)
    begins, ends = _swapped(tail[order], head[order], turned)
    along, against = _swapped(forward[order], backward[order], turned)
    first, last = starts[:-1], starts[1:] - 1
    shape_start, vertices, shape_cm = _shapes(begins, ends, length_m[order], starts)

    x, y = plane.forward(streets.lon, streets.lat, datum="wgs84")
    junctions = np.union1d(begins[first], ends[last])
    junctions = junctions[_z_order(x[row_of[junctions]], y[row_of[junctions]])]
    number = np.full(row_of.size, -1, np.int32)
    number[junctions] = np.arange(junctions.size, dtype=np.int32)
    tails, heads = number[begins[first]], number[ends[last]]
    length_cm = shape_cm[shape_start[1:] - 1]
    arc_start, arcs, arc_edges = _arcs(
        tails, heads, length_cm, along[first], against[first], junctions.size
    )
    shape_segment = _from_vertex(usable[order], shape_start)
    component, component_cm = _components(tails, heads, length_cm, junctions.size)
    at = row_of[junctions]
    return Graph(
        node_osm_ids=streets.osm_ids[at], node_x=x[at], node_y=y[at],
        tail=tails, head=heads, length_cm=length_cm,
        forward=along[first], backward=against[first],
        shape_start=shape_start, shape_x=x[row_of[vertices]], shape_y=y[row_of[vertices]],
        shape_cm=shape_cm, shape_segment=shape_segment,
        shape_name=streets.name[shape_segment], names=streets.names,
        arc_start=arc_start, arcs=arcs, arc_edges=arc_edges,
        component=component, component_cm=component_cm,
    )  # fmt: skip


def _cut_at(
    closed: IntArray, tail: LongArray, head: LongArray, count: int
) -> tuple[LongArray, LongArray, LongArray]:
    """Give every segment end at a closed barrier a point of its own; also the row of each point."""
    ends = np.concatenate((tail, head))
    cut = np.flatnonzero(np.isin(ends, closed))
    row_of = np.concatenate((np.arange(count), ends[cut]))
    ends[cut] = count + np.arange(cut.size)
    return ends[: tail.size], ends[tail.size :], row_of


def _chains(
    tail: LongArray, head: LongArray, forward: BoolArray, backward: BoolArray, count: int
) -> tuple[LongArray, BoolArray, LongArray]:
    """String segments together: their order, which of them are turned, where each chain begins."""
    start, incident = _by_point(tail, head, count)
    segment = incident % max(tail.size, 1)
    leaving = np.concatenate((forward, backward))[incident]
    arriving = np.concatenate((backward, forward))[incident]

    through = np.flatnonzero(np.diff(start) == 2)
    one, other = start[through], start[through] + 1
    same = (arriving[one] == leaving[other]) & (arriving[other] == leaving[one])
    junction = np.ones(count, bool)
    junction[through[same]] = False
    return _walk_chains(start, segment, tail, head, junction)


@numba.njit(cache=True, nogil=True)
def _by_point(tail: LongArray, head: LongArray, count: int) -> tuple[LongArray, LongArray]:
    """Bucket the ends of segments by their point: where each bucket begins, and the ends.

    End ``i`` is the tail of segment ``i``; the heads come after the tails.
    """
    start = np.zeros(count + 2, np.int64)
    for i in range(tail.size):
        start[tail[i] + 2] += 1
        start[head[i] + 2] += 1
    for point in range(2, count + 2):
        start[point] += start[point - 1]
    ends = np.empty(2 * tail.size, np.int64)
    for i in range(tail.size):
        ends[start[tail[i] + 1]] = i
        start[tail[i] + 1] += 1
    for i in range(head.size):
        ends[start[head[i] + 1]] = tail.size + i
        start[head[i] + 1] += 1
    return start[:-1], ends


@numba.njit(cache=True, nogil=True)
def _walk_chains(
    start: LongArray, incident: LongArray, tail: LongArray, head: LongArray, junction: BoolArray
) -> tuple[LongArray, BoolArray, LongArray]:
    """Follow segments from every junction; a ring without one begins at its first point."""
    order = np.empty(tail.size, np.int64)
    turned = np.empty(tail.size, np.bool_)
    starts = np.empty(tail.size + 1, np.int64)
    used = np.zeros(tail.size, np.bool_)
    placed = 0
    chains = 0
    for rings in range(2):
        for point in range(junction.size):
            if rings == 0 and not junction[point]:
                continue
            for slot in range(start[point], start[point + 1]):
                segment = incident[slot]
                if used[segment]:
                    continue
                starts[chains] = placed
                chains += 1
                at = point
                while True:
                    used[segment] = True
                    order[placed] = segment
                    turned[placed] = head[segment] == at
                    at = tail[segment] if turned[placed] else head[segment]
                    placed += 1
                    if junction[at] or at == point:
                        break
                    step = start[at]
                    segment = incident[step + 1] if incident[step] == segment else incident[step]
    starts[chains] = placed
    return order, turned, starts[: chains + 1]


def _swapped(one: AnyArray, other: AnyArray, turned: BoolArray) -> tuple[AnyArray, AnyArray]:
    return np.where(turned, other, one), np.where(turned, one, other)


def _shapes(
    begins: LongArray, ends: LongArray, length_m: FloatArray, starts: LongArray
) -> tuple[LongArray, LongArray, IntArray]:
    """Give the vertices of chains: where each begins, the points, the walked centimetres.

    The running length is rounded at each vertex, never each segment, so a chain is right to half a
    centimetre however many vertices it has.
    """
    chains = starts.size - 1
    chain_of = np.repeat(np.arange(chains), np.diff(starts))
    shape_start = starts + np.arange(chains + 1)
    slot = np.arange(ends.size) + chain_of + 1
    points = np.empty(ends.size + chains, np.int64)
    points[shape_start[:-1]] = begins[starts[:-1]]
    points[slot] = ends
    walked_m = np.concatenate(([0.0], np.cumsum(length_m)))
    shape_cm = np.zeros(points.size, np.int32)
    shape_cm[slot] = np.rint((walked_m[1:] - walked_m[starts[chain_of]]) * CM_PER_M)
    last = shape_start[1:] - 1
    shape_cm[last] = np.maximum(shape_cm[last], 1)  # so that every step of a walk gets farther
    return shape_start, points, shape_cm


def _from_vertex(segment: LongArray, shape_start: LongArray) -> IntArray:
    """Give the segment from each vertex on; a chain's last vertex repeats the one before."""
    from_vertex = np.empty(int(shape_start[-1]), np.int32)
    last = shape_start[1:] - 1
    inner = np.ones(from_vertex.size, bool)
    inner[last] = False
    from_vertex[inner] = segment
    from_vertex[last] = from_vertex[last - 1]
    return from_vertex


def _z_order(x: FloatArray, y: FloatArray) -> LongArray:
    """Order points along a Z-order curve of one-metre cells; equal cells keep their order."""
    if x.size == 0:
        return np.empty(0, np.int64)
    code = _spread(x - x.min()) | (_spread(y - y.min()) << np.uint64(1))
    return np.argsort(code, kind="stable")


def _spread(metres: FloatArray) -> npt.NDArray[np.uint64]:
    """Put a zero bit between any two bits of 32."""
    v = metres.astype(np.uint64) & np.uint64(0xFFFFFFFF)
    for shift, kept in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        v = (v | (v << np.uint64(shift))) & np.uint64(kept)
    return v


def _arcs(
    tail: IntArray,
    head: IntArray,
    length_cm: IntArray,
    forward: BoolArray,
    backward: BoolArray,
    count: int,
) -> tuple[IntArray, LongArray, IntArray]:
    """Pack the arcs of every node side by side."""
    cost = length_cm.astype(np.int64) << ARC_CM_SHIFT
    dead_end = np.bincount(np.concatenate((tail, head)), minlength=count) == 1
    from_tail = (
        (head.astype(np.int64) << ARC_HEAD_SHIFT) | cost | STARTS_AT_TAIL
        | forward * MAY_LEAVE | backward * MAY_ARRIVE | dead_end[head] * DEAD_END
    )  # fmt: skip
    from_head = (
        (tail.astype(np.int64) << ARC_HEAD_SHIFT) | cost
        | backward * MAY_LEAVE | forward * MAY_ARRIVE | dead_end[tail] * DEAD_END
    )  # fmt: skip
    source = np.concatenate((tail, head))
    order = np.argsort(source, kind="stable")
    arc_start = np.searchsorted(source[order], np.arange(count + 1)).astype(np.int32)
    arcs = np.concatenate((from_tail, from_head))[order]
    return arc_start, arcs, (order % max(tail.size, 1)).astype(np.int32)


def _components(
    tail: IntArray, head: IntArray, length_cm: IntArray, count: int
) -> tuple[IntArray, LongArray]:
    """Number the pieces by falling length; walking direction apart, a piece is what connects."""
    links = sparse.coo_array((np.ones(tail.size, np.int8), (tail, head)), shape=(count, count))
    pieces, label = sparse.csgraph.connected_components(links, directed=False)
    total = np.bincount(label[tail], weights=length_cm, minlength=pieces).astype(np.int64)
    order = np.argsort(-total, kind="stable")
    rank = np.empty(pieces, np.int32)
    rank[order] = np.arange(pieces, dtype=np.int32)
    return rank[label], total[order]
