"""Sites that can serve only so much: who goes where, and how many sites that takes.

A demand may be shared by several sites in reach. What a set of sites can serve is a maximum flow;
of the largest flows the one with the least walking is reported. Sites are chosen greedily, each
serving the most that is left (nearest people first) up to its capacity.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from geo_service.siting import _exact
from geo_service.siting.plans import FloatArray, IntArray

_ROUND = 1e-6  # HiGHS keeps constraints within this; assigned amounts are rounded to it


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


def assign(
    metres: sparse.csr_array, weights: FloatArray, capacities: FloatArray, *, seconds: float
) -> Assignment:
    """Serve as much as possible, and that with the least walking.

    Parameters
    ----------
    metres : csr_array, shape (sites, demand)
        Walks within reach.
    weights : ndarray, shape (demand,)
    capacities : ndarray, shape (sites,)
    seconds : float
        Time limit of either step; when it runs out, the greedy assignment stands.
    """
    fallback = _nearest_first(metres, weights, capacities)
    if metres.nnz == 0:
        return _told(fallback, metres)
    site = np.repeat(np.arange(metres.shape[0]), np.diff(metres.indptr))
    arcs = np.arange(metres.nnz)
    ones = np.ones(metres.nnz)
    by_site = sparse.csc_array((ones, (site, arcs)), shape=(metres.shape[0], metres.nnz))
    by_demand = sparse.csc_array((ones, (metres.indices, arcs)), shape=(len(weights), metres.nnz))
    body = sparse.csc_array(sparse.vstack([by_site, by_demand]))
    upper = np.concatenate([capacities, weights])
    ceiling = np.minimum(capacities[site], weights[metres.indices])
    most = _exact.minimise(
        -ones, body, np.full(len(upper), -np.inf), upper, whole=0, seconds=seconds, ceiling=ceiling
    )
    if most.values is None or not most.finished:
        return _told(fallback, metres)
    least = float(most.values.sum()) - _ROUND
    shortest = _exact.minimise(
        metres.data / max(float(metres.data.max()), 1.0),
        sparse.csc_array(sparse.vstack([body, ones[None, :]])),
        np.concatenate([np.full(len(upper), -np.inf), [least]]),
        np.concatenate([upper, [np.inf]]),
        whole=0, seconds=seconds, ceiling=ceiling,
    )  # fmt: skip
    done = shortest.values is not None and shortest.finished
    values = shortest.values if done and shortest.values is not None else most.values
    rounded = np.minimum(np.round(values / _ROUND) * _ROUND, ceiling)
    return _told(_with_data(metres, np.round(rounded, 9)), metres)


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
