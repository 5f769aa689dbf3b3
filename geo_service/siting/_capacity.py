"""Sites that can serve only so much: who goes where, and how many sites that takes.

A demand may be shared by several sites in reach. What a set of sites can serve is a maximum flow;
of the largest flows the one with the least walking is reported. Sites are chosen greedily, each
serving the most that is left (nearest people first) up to its capacity.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow

from geo_service.siting import _exact
from geo_service.siting.plans import FloatArray, IntArray

_DECIMALS = 6  # HiGHS keeps constraints within 1e-6; assigned amounts are rounded to it
_ROUND = 10.0**-_DECIMALS


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who is served where.

    Parameters
    ----------
    flows : csr_array, shape (sites, demand)
        Weight of each demand that each site serves.
    loads : ndarray
        Weight served by each site, at most its capacity.
    served : float
        Their sum.
    walking : float
        Weight times metres of all assigned walks.
    """

    flows: sparse.csr_array
    loads: FloatArray
    served: float
    walking: float

    def left(self, weights: FloatArray) -> FloatArray:
        """Weight of each demand that nobody serves."""
        taken = np.asarray(self.flows.sum(axis=0), dtype=float).ravel()
        return np.maximum(np.round(weights - taken, _DECIMALS), 0.0)


def assign(
    metres: sparse.csr_array,
    weights: FloatArray,
    capacities: FloatArray,
    *,
    seconds: float,
    shortest: bool = True,
) -> Assignment:
    """Serve as much as possible, and that with the least walking.

    Parameters
    ----------
    metres : csr_array, shape (sites, demand)
        Walks within reach.
    weights : ndarray, shape (demand,)
    capacities : ndarray, shape (sites,)
    seconds : float
        Time limit of either step; where it runs out, what is known so far stands.
    shortest : bool
        Look for the least walking; without it any largest flow is given.
    """
    if metres.nnz == 0:
        return _told(_with_data(metres, np.zeros(0)), metres)
    model = _flow_model(metres, weights, capacities)
    whole = np.array_equal(weights, np.rint(weights)) and np.array_equal(
        capacities, np.rint(capacities)
    )
    if whole and max(weights.sum(), capacities.sum()) < 2**31:
        most = _largest_flow(metres, weights, capacities)
    else:
        solved = _exact.minimise(-np.ones(metres.nnz), *model[:3], whole=0, seconds=seconds,
                                 ceiling=model[3])  # fmt: skip
        if solved.values is None or not solved.finished:
            return _told(_nearest_first(metres, weights, capacities), metres)
        most = _told(_with_data(metres, _rounded(solved.values, model[3])), metres)
    if not shortest:
        return most
    body, lower, upper, ceiling = model
    everyone = sparse.csc_array(np.ones((1, metres.nnz)))
    with_total: Any = sparse.vstack([body, everyone], format="csc")
    solved = _exact.minimise(
        metres.data / max(float(metres.data.max()), 1.0),
        sparse.csc_array(with_total),
        np.concatenate([lower, [round(most.served, _DECIMALS)]]),
        np.concatenate([upper, [np.inf]]),
        whole=0, seconds=seconds, ceiling=ceiling,
    )  # fmt: skip
    if solved.values is None or not solved.finished:
        return most
    return _told(_with_data(metres, _rounded(solved.values, ceiling)), metres)


def _flow_model(
    metres: sparse.csr_array, weights: FloatArray, capacities: FloatArray
) -> tuple[sparse.csc_array, FloatArray, FloatArray, FloatArray]:
    """A variable per walk: no site above its capacity, nobody served twice."""
    site = np.repeat(np.arange(metres.shape[0]), np.diff(metres.indptr))
    arcs, ones = np.arange(metres.nnz), np.ones(metres.nnz)
    by_site = sparse.csc_array((ones, (site, arcs)), shape=(metres.shape[0], metres.nnz))
    by_demand = sparse.csc_array((ones, (metres.indices, arcs)), shape=(len(weights), metres.nnz))
    body: Any = sparse.vstack([by_site, by_demand], format="csc")
    upper = np.concatenate([capacities, weights])
    ceiling = np.minimum(capacities[site], weights[metres.indices])
    return sparse.csc_array(body), np.full(len(upper), -np.inf), upper, ceiling


def _largest_flow(
    metres: sparse.csr_array, weights: FloatArray, capacities: FloatArray
) -> Assignment:
    """A maximum flow of whole numbers: source, sites, demand, sink."""
    n_sites, n_demand = metres.shape
    sink = 1 + n_sites + n_demand
    site = np.repeat(np.arange(n_sites), np.diff(metres.indptr))
    tails = np.concatenate([np.zeros(n_sites), 1 + site, 1 + n_sites + np.arange(n_demand)])
    heads = np.concatenate(
        [1 + np.arange(n_sites), 1 + n_sites + metres.indices, np.full(n_demand, sink)]
    )
    room = np.concatenate([capacities, weights[metres.indices], weights]).astype(np.int32)
    graph = sparse.csr_array(
        (room, (tails.astype(np.int32), heads.astype(np.int32))), shape=(sink + 1, sink + 1)
    )
    flow = sparse.csr_array(maximum_flow(graph, 0, sink).flow)
    between = flow[1 : 1 + n_sites][:, 1 + n_sites : sink].astype(float)
    return _told(sparse.csr_array(between), metres)


def _rounded(values: FloatArray, ceiling: FloatArray) -> FloatArray:
    return np.clip(np.round(values, _DECIMALS), 0.0, ceiling)


def choose(
    metres: sparse.csr_array,
    weights: FloatArray,
    capacities: FloatArray,
    *,
    count: int | None,
    target: float = math.inf,
    must: IntArray,
    banned: IntArray,
) -> IntArray:
    """Choose sites greedily, each serving the most weight that is left.

    Parameters
    ----------
    metres : csr_array, shape (candidates, demand)
    weights : ndarray
        Weight not served by existing facilities.
    capacities : ndarray, shape (candidates,)
    count : int or None
        Sites to choose; ``None``: until `target` is served.
    must, banned : ndarray of int
        Chosen first; never chosen.

    Returns
    -------
    ndarray of int
        The candidates in the order chosen.
    """
    left = weights.astype(float)
    ordered = _by_distance(metres)
    chosen: list[int] = []
    served = 0.0
    for row in must.tolist():
        served += _serve(ordered, left, row, capacities[row])
        chosen.append(row)
    barred = set(chosen) | set(banned.tolist())
    reachable = np.asarray(ordered.astype(bool).astype(float) @ left)
    heap = [
        (-min(float(capacities[row]), float(reachable[row])), row)
        for row in range(metres.shape[0])
        if row not in barred
    ]
    heapq.heapify(heap)
    while heap and (len(chosen) < count if count is not None else served < target - _ROUND):
        _, row = heapq.heappop(heap)
        span = slice(ordered.indptr[row], ordered.indptr[row + 1])
        gain = min(float(capacities[row]), float(left[ordered.indices[span]].sum()))
        if heap and (-gain, row) > heap[0]:
            heapq.heappush(heap, (-gain, row))
            continue
        if gain <= 0.0 and count is None:
            break
        served += _serve(ordered, left, row, capacities[row])
        chosen.append(row)
    return np.asarray(chosen, dtype=np.int64)


def _serve(ordered: sparse.csr_array, left: FloatArray, row: int, capacity: float) -> float:
    """Let a site serve the nearest first; `left` falls."""
    demand = ordered.indices[ordered.indptr[row] : ordered.indptr[row + 1]]
    taken = _fill(left[demand], capacity)
    left[demand] -= taken
    return float(taken.sum())


def _fill(amounts: FloatArray, capacity: float) -> FloatArray:
    """Take amounts one after the other until the capacity is used up."""
    before = np.concatenate([[0.0], np.cumsum(amounts)[:-1]])
    return np.clip(capacity - before, 0.0, amounts)


def _nearest_first(
    metres: sparse.csr_array, weights: FloatArray, capacities: FloatArray
) -> sparse.csr_array:
    ordered = _by_distance(metres)
    left = weights.astype(float)
    flows = np.zeros(ordered.nnz)
    for row in range(ordered.shape[0]):
        span = slice(ordered.indptr[row], ordered.indptr[row + 1])
        flows[span] = _fill(left[ordered.indices[span]], capacities[row])
        left[ordered.indices[span]] -= flows[span]
    return _with_data(ordered, flows)


def _by_distance(metres: sparse.csr_array) -> sparse.csr_array:
    """The same rows, each with its nearest demand first (of equals the first)."""
    row = np.repeat(np.arange(metres.shape[0]), np.diff(metres.indptr))
    order = np.lexsort((metres.indices, metres.data, row))
    return sparse.csr_array(
        (metres.data[order], metres.indices[order], metres.indptr), shape=metres.shape
    )


def _with_data(like: sparse.csr_array, data: FloatArray) -> sparse.csr_array:
    return sparse.csr_array((data, like.indices, like.indptr), shape=like.shape)


def _told(flows: sparse.csr_array, metres: sparse.csr_array) -> Assignment:
    flows = flows.copy()
    flows.eliminate_zeros()
    loads = np.asarray(flows.sum(axis=1), dtype=float).ravel()
    walking = float((flows * metres).sum())
    return Assignment(flows, loads, math.fsum(loads.tolist()), walking)
