"""Sites that can serve only so much: which to open, and who is served where.

A demand may be shared by several sites in reach. What a set of sites can serve is a maximum flow;
of the largest flows the one with the least walking is reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow

from geo_service.errors import InputError, Phrase
from geo_service.siting import _exact
from geo_service.siting._case import Case, weigh
from geo_service.siting._cover import reached
from geo_service.siting.capacitated import capacitated_cover, capacitated_set_cover
from geo_service.siting.plans import Clock, FloatArray, Plan, Progress

_DECIMALS = 6  # HiGHS keeps constraints within 1e-6; assigned amounts are rounded to it
_MOST_SITES = 1e9


@dataclass(frozen=True, eq=False)
class Served:
    """What sites with capacities serve, chosen ones first, then existing ones."""

    per_site: float
    least_sites: int
    assignment: Assignment
    bound: float


def with_capacity(
    case: Case,
    capacity: float,
    count: int | None,
    cover_percent: float | None,
    *,
    clock: Clock,
    seconds: float,
    seed: int,
    on_progress: Progress,
) -> tuple[Plan, Served]:
    """Choose sites by what they can serve, and say who is served where with the least walking."""
    if not (math.isfinite(capacity) and capacity > 0):
        reason = Phrase("应大于 0", "must be above 0")
        raise InputError("parameter_invalid", name="capacity", value=capacity, reason=reason)
    total = math.fsum(case.weights.tolist())
    if total / _MOST_SITES > capacity:
        reason = Phrase(f"与总需求 {total:g} 相比太小", f"too small beside the demand of {total:g}")
        raise InputError("parameter_invalid", name="capacity", value=capacity, reason=reason)
    own = _standing_capacities(case, capacity)
    able = np.flatnonzero(own > 0)  # a facility that serves nobody is no site
    size = len(case.premises)
    rows: Any = sparse.vstack([case.metres, case.standing_metres[able]], format="csr")
    options: dict[str, Any] = {
        "existing": np.arange(size, size + len(able)), "must": case.must, "never": case.never,
        "seconds": seconds, "seed": seed, "on_progress": on_progress,
    }  # fmt: skip
    room = np.concatenate([np.full(size, float(capacity)), own[able]])
    share = 1.0 if cover_percent is None else cover_percent / 100.0
    if count is not None:
        plan = capacitated_cover(rows, case.weights, room, count, **options)
    else:
        plan = capacitated_set_cover(rows, case.weights, room, cover_share=share, **options)
    standing = assign(
        case.standing_metres, case.weights, own, seconds=max(0.2 * clock.left(), 0.5),
        shortest=False,
    )  # fmt: skip
    missing = share * total - standing.served
    both: Any = sparse.vstack([case.metres[plan.sites], case.standing_metres], format="csr")
    assignment = assign(
        both, case.weights, np.concatenate([np.full(len(plan.sites), float(capacity)), own]),
        seconds=max(0.5 * clock.left(), 0.5),
    )  # fmt: skip
    served = Served(capacity, max(0, math.ceil(missing / capacity - 1e-9)), assignment, plan.bound)
    return replace(plan, curve=_curve(case, plan)), served


def _standing_capacities(case: Case, capacity: float) -> FloatArray:
    """What each existing facility can serve: its own capacity, else the given one."""
    if "capacity" not in case.standing.frame:
        return np.full(len(case.standing), float(capacity))
    own = pd.to_numeric(case.standing.frame["capacity"], errors="coerce").to_numpy(float)
    return np.where(np.isfinite(own), own, float(capacity))


def _curve(case: Case, plan: Plan) -> FloatArray:
    """Weight within reach after each site, as for plans without capacities."""
    covered = case.before.copy()
    curve = np.zeros(len(plan.sites))
    for place, site in enumerate(plan.sites.tolist()):
        covered |= reached(case.metres, np.array([site]))
        curve[place] = weigh(case, covered)
    return curve


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
