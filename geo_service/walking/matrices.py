"""All walks between two sets of places within a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.streets.contraction import CM_PER_M, MAY_ARRIVE, MAY_LEAVE, Graph
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped
from geo_service.walking import _search
from geo_service.walking.reaching import LongArray, Rows, entrances, in_parts, pairs, rows_of

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

_KMH_PER_M_S = 3.6


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
    from_lonlat, to_lonlat = pairs("origins", origins), pairs("destinations", destinations)
    starts = network.snap_all(*from_lonlat.T, datum=datum, limit_m=snap_limit_m)
    ends = network.snap_all(*to_lonlat.T, datum=datum, limit_m=snap_limit_m)

    against = len(to_lonlat) < len(from_lonlat)
    sources, targets = (ends, starts) if against else (starts, ends)
    indptr, indices, cm = matrix(
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


def matrix(
    graph: Graph,
    sources: Snapped,
    targets: Snapped,
    limit_cm: int,
    *,
    against: bool = False,
    group_start: LongArray | None = None,
    workers: int | None = None,
) -> Rows:
    """Search from every source; give the targets within the limit as CSR arrays.

    ``group_start`` makes one source of several places: the shortest walk from any of them counts.
    """
    seeds = entrances(graph, sources, against=against, group_start=group_start)
    # A source without a street has no seed within any limit; edge 0 with a far leg stands for it.
    leg = np.where(sources.found, sources.leg_cm, _search.FAR)
    spots = np.stack((np.maximum(sources.edge, 0), sources.offset_cm, leg), axis=1)
    near = np.flatnonzero(targets.found)
    near = near[np.argsort(targets.edge[near], kind="stable")]
    table = np.stack((near, targets.offset_cm[near], targets.leg_cm[near]), axis=1)
    table_start = np.searchsorted(targets.edge[near], np.arange(graph.tail.size + 1))
    up, down = (graph.backward, graph.forward) if against else (graph.forward, graph.backward)
    permit = MAY_ARRIVE if against else MAY_LEAVE

    def task(part: slice) -> Rows:
        start, nodes, cm = seeds.part(part)
        places = spots[seeds.start[part.start] // 2 : seeds.start[part.stop] // 2]
        best = np.full(near.size, _search.FAR, np.int32)
        return _search.matrix_rows(
            graph.arc_start, graph.arcs, graph.arc_edges, permit, start, nodes, cm,
            places, up, down, limit_cm, table_start, table, graph.length_cm,
            best, np.empty_like(best), *_search.workspace(graph.node_x.size, limit_cm),
        )  # fmt: skip

    return rows_of(in_parts(task, seeds.origins, workers))
