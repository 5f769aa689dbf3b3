"""For every node of the network: its nearest place, and what lies within a walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError, Phrase
from geo_service.streets.contraction import CM_PER_M, MAY_ARRIVE, MAY_LEAVE
from geo_service.walking import _search
from geo_service.walking.reaching import (
    FloatArray,
    IntArray,
    in_parts,
    limit_cm,
    seeds_of,
)

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest place of every node.

    Parameters
    ----------
    places : ndarray of int32, shape (n,)
        Row of the nearest place, of equally near ones the first; -1 where none is within the limit.
    centimetres : ndarray of int32, shape (n,)
        Exact walk, the place's straight leg included; -1 where there is none.
    """

    places: IntArray
    centimetres: IntArray

    @property
    def metres(self) -> FloatArray:
        """Walks in metres, NaN where there is none."""
        return np.where(self.places >= 0, self.centimetres / CM_PER_M, np.nan)


def nearest(
    network: WalkNetwork,
    places: npt.ArrayLike,
    limit_m: float | None = None,
    *,
    datum: str = "wgs84",
    away: bool = False,
) -> Nearest:
    """Find the nearest of some places for every node, by one search from all of them.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    places : array_like
        Whole numbers, shape (k,): nodes. Else longitudes and latitudes, shape (k, 2).
    limit_m : float, optional
        The longest walk; by default any.
    datum : str
        Datum of longitudes and latitudes.
    away : bool
        Walk from the places to the nodes; by default people walk from the nodes to a place.

    Returns
    -------
    Nearest
    """
    graph = network.graph
    seeds = seeds_of(network, places, datum=datum, against=not away)
    longest = int(graph.component_cm.max()) + int(seeds.cm[seeds.cm < _search.FAR].max(initial=0))
    limit = min(longest, _search.LONGEST_CM)
    if limit_m is not None:
        limit = min(limit, limit_cm("limit_m", limit_m))
    labels = np.repeat(np.arange(seeds.origins, dtype=np.int32), np.diff(seeds.start))
    permit, room, done = MAY_LEAVE if away else MAY_ARRIVE, 4, False
    while not done:
        keys = np.full(network.node_count, (limit + 1) << 32, np.int64)
        entries = np.empty(room * (network.node_count + labels.size), np.int64)
        done = _search.nearest_seeds(
            graph.arc_start, graph.arcs, permit, seeds.nodes, seeds.cm, limit, labels,
            keys, _search.empty_buckets(limit), entries,
        )  # fmt: skip
        room *= 2
    cm, place = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
    there = cm <= limit
    return Nearest(np.where(there, place, -1), np.where(there, cm, -1).astype(np.int32))


def totals(
    network: WalkNetwork,
    weights: npt.ArrayLike,
    limits_m: npt.ArrayLike,
    *,
    origins: npt.ArrayLike | None = None,
    datum: str = "wgs84",
    against: bool = False,
    workers: int | None = None,
) -> FloatArray:
    """Add up what the nodes within walking distances carry, such as people.

    Nothing is kept of a search but its sums, so every node of a large city may be an origin.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    weights : array_like, shape (n,) or (n, w)
        What each node carries. Summed in the order of a search: totals of fractions may differ in
        the last digit from another order, but never between two runs.
    limits_m : float or array_like, shape (m,)
        Distances in metres, ascending.
    origins : array_like, optional
        As in `reach`; by default every node.
    datum, against, workers
        As in `reach`.

    Returns
    -------
    ndarray of float64, shape (origins, m, w)
        Without the axes that were not given.
    """
    carried = np.asarray(weights, float)
    if carried.shape[:1] != (network.node_count,) or carried.ndim > 2:
        reason = Phrase(
            f"{network.node_count} 个结点每个需要一行",
            f"a row for each of {network.node_count} nodes is needed",
        )
        raise InputError("parameter_invalid", name="weights", value=carried.shape, reason=reason)
    each = np.array([limit_cm("limits_m", m) for m in np.atleast_1d(limits_m)], np.int64)
    if each.size == 0 or (np.diff(each) <= 0).any():
        reason = Phrase("距离应由小到大", "ascending distances are needed")
        raise InputError("parameter_invalid", name="limits_m", value=limits_m, reason=reason)
    if origins is None:
        origins = np.arange(network.node_count)
    seeds = seeds_of(network, origins, datum=datum, against=against)
    graph, permit = network.graph, MAY_ARRIVE if against else MAY_LEAVE
    table = np.ascontiguousarray(carried.reshape(network.node_count, -1))
    sums = np.zeros((seeds.origins, each.size, table.shape[1]))

    def task(part: slice) -> None:
        start, nodes, cm = seeds.part(part)
        _search.total_rows(
            graph.arc_start, graph.arcs, permit, start, nodes, cm, each, table, sums[part],
            *_search.workspace(graph.node_x.size, int(each[-1])),
        )  # fmt: skip

    in_parts(task, seeds.origins, workers)
    if carried.ndim == 1:
        sums = sums[:, :, 0]
    return sums if np.ndim(limits_m) else sums[:, 0]
