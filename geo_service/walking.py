"""Walking on the network: what can be reached, the shortest walk, and all walks between two sets.

Every distance is the exact shortest one in whole centimetres (`contraction.Graph`), the same on any
machine and with any number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy import sparse

from geo_service import _walk_search
from geo_service.errors import InputError, NoRouteError
from geo_service.streets.contraction import (
    ARC_CM_SHIFT,
    ARC_HEAD_SHIFT,
    CM_PER_M,
    MAY_ARRIVE,
    MAY_LEAVE,
    STARTS_AT_TAIL,
    Graph,
)
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]

_ORIGINS_A_TASK = 512  # a task makes its own workspace; 512 searches outweigh that 100-fold
_LONGEST_CM = 2**30  # distances are int32
_KMH_PER_M_S = 3.6
_SECONDS_PER_MINUTE = 60.0
_ARC_CM_MASK = (1 << (ARC_HEAD_SHIFT - ARC_CM_SHIFT)) - 1


@dataclass(frozen=True, eq=False)
class Reach:
    """What each origin reaches, as rows of a CSR table.

    Parameters
    ----------
    indptr : ndarray of int64, shape (k + 1,)
        Row `i` is ``nodes[indptr[i]:indptr[i + 1]]``.
    nodes : ndarray of int32
        Reached nodes, each once, in the order the search met them.
    centimetres : ndarray of int32
        Exact distance from the origin.
    """

    indptr: LongArray
    nodes: IntArray
    centimetres: IntArray

    @property
    def metres(self) -> FloatArray:
        """Distances in metres."""
        return self.centimetres / CM_PER_M


@dataclass(frozen=True, eq=False)
class Route:
    """The shortest walk between two places.

    Parameters
    ----------
    length_m : float
        Door to door: both straight legs and the streets between.
    minutes : float
        At the speed asked for.
    geometry : shapely.LineString
        The walk with both legs, WGS84 longitude and latitude.
    origin_leg_m, destination_leg_m : float
        The straight legs between the doors and the streets.
    speed_kmh : float
        The speed of `minutes`.
    """

    length_m: float
    minutes: float
    geometry: shapely.LineString
    origin_leg_m: float
    destination_leg_m: float
    speed_kmh: float


@dataclass(frozen=True, eq=False)
class TravelMatrix:
    """All walks between two sets of places within a limit.

    Parameters
    ----------
    metres : scipy.sparse.csr_matrix, shape (origins, destinations)
        Length of the walk, door to door, where it is within the limit; no entry elsewhere. A walk
        below a centimetre is stored as one, since a sparse zero reads as "not within".
    unsnapped_origins, unsnapped_destinations : ndarray of int64
        Rows and columns without a street near; they are empty.
    limit_m, speed_kmh : float
        What "within" means.
    """

    metres: sparse.csr_matrix
    unsnapped_origins: LongArray
    unsnapped_destinations: LongArray
    limit_m: float
    speed_kmh: float


def reach(
    network: WalkNetwork,
    origins: npt.ArrayLike,
    limit_m: float = 1200.0,
    *,
    datum: str = "wgs84",
    against: bool = False,
    workers: int | None = None,
) -> Reach:
    """Find every node within a walking distance of each origin.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    origins : array_like
        Whole numbers, shape (k,): nodes. Else floats, shape (k, 2): longitudes and latitudes in
        `datum`; each walks its straight leg to the street first. An origin without a street within
        300 m reaches nothing.
    limit_m : float
        Metres; a node at just this distance is reached.
    datum : str
        Datum of longitudes and latitudes.
    against : bool
        Walk towards the origins instead of away from them.
    workers : int, optional
        Threads; by default one a processor core.

    Returns
    -------
    Reach

    Raises
    ------
    InputError
        ``parameter_invalid``: a limit that is not positive, a node that does not exist.
    """
    limit_cm = _limit_cm(limit_m)
    asked = np.asarray(origins)
    if asked.ndim < 2 and np.issubdtype(asked.dtype, np.integer):
        seeds, seed_cm = _node_seeds(network, asked)
    else:
        lonlat = _pairs("origins", asked)
        snapped = network.snap_all(lonlat[:, 0], lonlat[:, 1], datum=datum)
        seeds, seed_cm = entrances(network.graph, snapped, against=against)
    graph = network.graph
    permit = MAY_ARRIVE if against else MAY_LEAVE

    def task(part: slice) -> tuple[LongArray, IntArray, IntArray]:
        return search(graph, permit, seeds[part], seed_cm[part], limit_cm)

    return Reach(*_in_parts(task, len(seeds), workers))


def route(
    network: WalkNetwork,
    origin: tuple[float, float],
    destination: tuple[float, float],
    *,
    datum: str = "wgs84",
    profile: str | None = None,
    speed_kmh: float | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> Route:
    """Find the shortest walk between two places.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    origin, destination : tuple of float
        Longitude and latitude in `datum`.
    datum : str
        Datum of both.
    profile : str, optional
        Who walks, instead of the network's profile.
    speed_kmh : float, optional
        Instead of the profile's speed.
    snap_limit_m : float
        The farthest street that is accepted.

    Returns
    -------
    Route

    Raises
    ------
    NoRouteError
        ``no_route``: the streets at both ends are not connected (in this direction).
    InputError
        ``street_too_far`` and others of `WalkNetwork.snap`.
    """
    if profile is not None:
        network = network.with_profile(profile)
    speed_m_s = network.speed_m_s(speed_kmh)
    start = network.snap(*origin, datum=datum, limit_m=snap_limit_m)
    end = network.snap(*destination, datum=datum, limit_m=snap_limit_m)
    path = _shortest(network.graph, start, end)
    if path is None:
        raise NoRouteError(
            "no_route", from_lon=origin[0], from_lat=origin[1],
            to_lon=destination[0], to_lat=destination[1],
        )  # fmt: skip
    walked_cm, x, y = path
    first_x, first_y = network.to_plane(*origin, datum=datum)
    last_x, last_y = network.to_plane(*destination, datum=datum)
    lon, lat = network.to_lonlat(
        np.concatenate(([first_x], x, [last_x])), np.concatenate(([first_y], y, [last_y]))
    )
    length_m = float(walked_cm + start.leg_cm[0] + end.leg_cm[0]) / CM_PER_M
    return Route(
        length_m=length_m,
        minutes=length_m / speed_m_s / _SECONDS_PER_MINUTE,
        geometry=shapely.LineString(np.column_stack((lon, lat))),
        origin_leg_m=float(start.snap_distance_m[0]),
        destination_leg_m=float(end.snap_distance_m[0]),
        speed_kmh=speed_m_s * _KMH_PER_M_S,
    )


def time_matrix(
    network: WalkNetwork,
    origins: npt.ArrayLike,
    destinations: npt.ArrayLike,
    *,
    minutes: float,
    speed_kmh: float | None = None,
    datum: str = "wgs84",
    profile: str | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
    workers: int | None = None,
) -> TravelMatrix:
    """Find all walks from origins to destinations within some minutes.

    One search for each member of the smaller set; from destinations it runs against the walk, so
    one-way streets count in their direction.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    origins : array_like, shape (n, 2)
        Longitudes and latitudes in `datum`.
    destinations : array_like, shape (m, 2)
        The same.
    minutes : float
        The longest walk, door to door.
    speed_kmh : float, optional
        Instead of the profile's speed.
    datum, profile, snap_limit_m, workers
        As in `route` and `reach`.

    Returns
    -------
    TravelMatrix
    """
    if profile is not None:
        network = network.with_profile(profile)
    limit_cm = network.limit_cm(minutes, speed_kmh=speed_kmh)
    from_lonlat, to_lonlat = _pairs("origins", origins), _pairs("destinations", destinations)
    starts = network.snap_all(*from_lonlat.T, datum=datum, limit_m=snap_limit_m)
    ends = network.snap_all(*to_lonlat.T, datum=datum, limit_m=snap_limit_m)

    against = len(to_lonlat) < len(from_lonlat)
    sources, targets = (ends, starts) if against else (starts, ends)
    indptr, indices, cm = _matrix(
        network.graph, sources, targets, limit_cm, against=against, workers=workers
    )
    table = sparse.csr_matrix(
        (np.maximum(cm, 1) / CM_PER_M, indices, indptr),
        shape=(sources.edge.size, targets.edge.size),
    )
    table = sparse.csr_matrix(table.T) if against else table
    table.sort_indices()
    return TravelMatrix(
        metres=table,
        unsnapped_origins=np.flatnonzero(~starts.found),
        unsnapped_destinations=np.flatnonzero(~ends.found),
        limit_m=limit_cm / CM_PER_M,
        speed_kmh=network.speed_m_s(speed_kmh) * _KMH_PER_M_S,
    )


def _matrix(
    graph: Graph,
    sources: Snapped,
    targets: Snapped,
    limit_cm: int,
    *,
    against: bool,
    workers: int | None,
) -> tuple[LongArray, IntArray, IntArray]:
    """Search from every source; give the targets within the limit as CSR arrays."""
    seeds, seed_cm = entrances(graph, sources, against=against)
    # A source without a street has no seed within any limit; edge 0 with a far leg stands for it.
    leg = np.where(sources.found, sources.leg_cm, _walk_search.FAR)
    spots = np.stack((np.maximum(sources.edge, 0), sources.offset_cm, leg), axis=1)
    near = np.flatnonzero(targets.found)
    near = near[np.argsort(targets.edge[near], kind="stable")]
    table = np.stack((near, targets.offset_cm[near], targets.leg_cm[near]), axis=1)
    table_start = np.searchsorted(targets.edge[near], np.arange(graph.tail.size + 1))
    up, down = (graph.backward, graph.forward) if against else (graph.forward, graph.backward)
    permit = MAY_ARRIVE if against else MAY_LEAVE

    def task(part: slice) -> tuple[LongArray, IntArray, IntArray]:
        best = np.full(near.size, _walk_search.FAR, np.int32)
        return _walk_search.matrix_rows(
            graph.arc_start, graph.arcs, graph.arc_edges, permit, seeds[part], seed_cm[part],
            spots[part], up, down, limit_cm, table_start, table, graph.length_cm,
            best, np.empty_like(best), *_walk_search.workspace(graph.node_x.size, limit_cm),
        )  # fmt: skip

    return _in_parts(task, len(seeds), workers)


def _in_parts(
    task: Callable[[slice], tuple[LongArray, IntArray, IntArray]], count: int, workers: int | None
) -> tuple[LongArray, IntArray, IntArray]:
    """Run a task over parts of the origins, side by side, and put the rows together in order."""
    parts = [slice(at, at + _ORIGINS_A_TASK) for at in range(0, count, _ORIGINS_A_TASK)]
    if len(parts) <= 1:
        rows = [task(slice(0, count))]
    else:
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            rows = list(pool.map(task, parts))
    counts = np.concatenate([row[0] for row in rows])
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return indptr, np.concatenate([row[1] for row in rows]), np.concatenate([r[2] for r in rows])


def entrances(graph: Graph, snapped: Snapped, *, against: bool) -> tuple[IntArray, LongArray]:
    """Where snapped places enter the graph: the tail and the head of their edge, with the walk.

    A direction that is closed gives a seed too far for any limit, as does a place without a street.
    """
    edge = np.maximum(snapped.edge, 0)
    length_cm = graph.length_cm[edge].astype(np.int64)
    offset_cm, leg_cm = snapped.offset_cm, snapped.leg_cm
    up, down = (graph.backward, graph.forward) if against else (graph.forward, graph.backward)
    to_tail = snapped.found & (down[edge] | (offset_cm == 0))
    to_head = snapped.found & (up[edge] | (offset_cm == length_cm))
    seeds = np.stack((graph.tail[edge], graph.head[edge]), axis=1)
    walked = np.stack((leg_cm + offset_cm, leg_cm + length_cm - offset_cm), axis=1)
    return seeds, np.where(np.stack((to_tail, to_head), axis=1), walked, _walk_search.FAR)


def search(
    graph: Graph, permit: int, seeds: IntArray, seed_cm: LongArray, limit_cm: int
) -> tuple[LongArray, IntArray, IntArray]:
    """Search from each row of seeds; give counts, then nodes and centimetres in a row."""
    room = _walk_search.workspace(graph.node_x.size, limit_cm)
    return _walk_search.reach_many(
        graph.arc_start, graph.arcs, permit, seeds, seed_cm, limit_cm, *room
    )


def _node_seeds(network: WalkNetwork, nodes: npt.NDArray[Any]) -> tuple[IntArray, LongArray]:
    flat = np.atleast_1d(nodes)
    wrong = flat[(flat < 0) | (flat >= network.node_count)]
    if wrong.size:
        reason = f"nodes are numbered 0 to {network.node_count - 1}"
        raise InputError("parameter_invalid", name="origins", value=int(wrong[0]), reason=reason)
    seeds = np.repeat(flat.astype(np.int32)[:, None], 2, axis=1)
    return seeds, np.zeros(seeds.shape, np.int64)


def _shortest(
    graph: Graph, start: Snapped, end: Snapped
) -> tuple[int, FloatArray, FloatArray] | None:
    """Give the length and the vertices of the shortest way between two spots on streets."""
    start_edge, end_edge = int(start.edge[0]), int(end.edge[0])
    offset, goal = int(start.offset_cm[0]), int(end.offset_cm[0])
    if graph.component[graph.tail[start_edge]] != graph.component[graph.tail[end_edge]]:
        return None
    direct = _along_one_edge(graph, start_edge, offset, goal) if start_edge == end_edge else None
    seeds, seed_cm = entrances(graph, start, against=False)
    seed_cm = seed_cm - start.leg_cm[:, None]
    exits, exit_cm = entrances(graph, end, against=True)
    exit_cm = exit_cm - end.leg_cm[:, None]
    best, cm = _meet(graph, seeds, seed_cm, exits[0], exit_cm[0], direct)
    if best is None:
        return None
    if best == direct:
        return (best, *_piece(graph, start_edge, offset, goal))
    walked = cm[exits[0]].astype(np.int64) + exit_cm[0]
    which = int(np.argmin(walked))
    pieces = [_piece(graph, end_edge, 0 if which == 0 else int(graph.length_cm[end_edge]), goal)]
    node = int(exits[0][which])
    while (entry := np.flatnonzero((seeds[0] == node) & (seed_cm[0] == cm[node]))).size == 0:
        edge, node, from_tail = _arc_into(graph, node, cm)
        length = int(graph.length_cm[edge])
        pieces.append(_piece(graph, edge, *((0, length) if from_tail else (length, 0))))
    into = 0 if entry[0] == 0 else int(graph.length_cm[start_edge])
    pieces.append(_piece(graph, start_edge, offset, into))
    pieces.reverse()
    return best, np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])


def _along_one_edge(graph: Graph, edge: int, offset: int, goal: int) -> int | None:
    if offset == goal or (graph.forward[edge] if goal > offset else graph.backward[edge]):
        return abs(goal - offset)
    return None


def _meet(
    graph: Graph,
    seeds: IntArray,
    seed_cm: LongArray,
    exits: IntArray,
    exit_cm: LongArray,
    direct: int | None,
) -> tuple[int | None, IntArray]:
    """Search in growing circles until the goal's ends are settled; give length and distances."""
    everything = min(int(graph.component_cm.max() + 2 * graph.length_cm.max()), _LONGEST_CM)
    gap_m = np.hypot(
        graph.node_x[seeds[0]][:, None] - graph.node_x[exits],
        graph.node_y[seeds[0]][:, None] - graph.node_y[exits],
    ).max()
    limit_cm = int(1.5 * gap_m * CM_PER_M) + 100 * CM_PER_M
    while True:
        limit_cm = min(limit_cm, everything)
        _, nodes, reached_cm = search(graph, MAY_LEAVE, seeds, seed_cm, limit_cm)
        cm = np.full(graph.node_x.size, _walk_search.FAR, np.int32)
        cm[nodes] = reached_cm
        walked = int((cm[exits].astype(np.int64) + exit_cm).min())
        best = walked if direct is None else min(walked, direct)
        # A node beyond the limit can't give a shorter way than the limit.
        if best <= limit_cm:
            return best, cm
        if limit_cm == everything:
            return (best if best < _walk_search.FAR else None), cm
        limit_cm *= 4


def _arc_into(graph: Graph, node: int, cm: IntArray) -> tuple[int, int, bool]:
    """Give the chain a shortest way comes by, where it comes from, and whether from its tail."""
    for slot in range(graph.arc_start[node], graph.arc_start[node + 1]):
        arc = int(graph.arcs[slot])
        other = arc >> ARC_HEAD_SHIFT
        length = (arc >> ARC_CM_SHIFT) & _ARC_CM_MASK
        if arc & MAY_ARRIVE and int(cm[other]) + length == int(cm[node]):
            edge = int(graph.arc_edges[slot])
            return edge, other, not arc & STARTS_AT_TAIL
    raise AssertionError(f"node {node} was reached by no arc")


def _piece(graph: Graph, edge: int, begin_cm: int, end_cm: int) -> tuple[FloatArray, FloatArray]:
    """Give the vertices of a chain between two offsets, in walking order."""
    part = slice(graph.shape_start[edge], graph.shape_start[edge + 1])
    walked, x, y = graph.shape_cm[part], graph.shape_x[part], graph.shape_y[part]
    low, high = min(begin_cm, end_cm), max(begin_cm, end_cm)
    between = walked[(walked > low) & (walked < high)]
    at = np.concatenate(([low], between, [high]))
    piece_x, piece_y = np.interp(at, walked, x), np.interp(at, walked, y)
    return (piece_x, piece_y) if begin_cm <= end_cm else (piece_x[::-1], piece_y[::-1])


def _pairs(name: str, values: npt.ArrayLike) -> FloatArray:
    lonlat = np.asarray(values, float)
    if lonlat.ndim != 2 or lonlat.shape[1] != 2:
        reason = "rows of longitude and latitude are needed"
        raise InputError("parameter_invalid", name=name, value=lonlat.shape, reason=reason)
    return lonlat


def _limit_cm(limit_m: float) -> int:
    if not 0 < limit_m < 1e6:
        reason = "between 0 and 1,000,000 metres"
        raise InputError("parameter_invalid", name="limit_m", value=limit_m, reason=reason)
    return int(limit_m * CM_PER_M + 1e-6)
