"""The p-center model: sites such that the longest walk to the nearest one is as short as can be.

Minieka 1970: some radius among the costs is the answer, and a radius will do exactly when `count`
sites cover everything within it. So the radii are halved between one that is proven too short and
one that a plan reaches; each is a set covering problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting.covering import fits, maximal_cover
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, Plan, Progress, judge
from geo_service.siting.rules import Rules


def p_center(
    cost: Any,
    count: int | None,
    *,
    weights: npt.ArrayLike | None = None,
    existing: npt.ArrayLike = (),
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    rules: Rules | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose `count` sites with the shortest longest walk.

    Parameters
    ----------
    cost : array or sparse matrix, shape (candidates, demand)
        Walks, 0 or more; as for `p_median`.
    count : int or None
        The most sites; ``None`` only where a budget limits them.
    weights : array_like, shape (demand,), optional
        Demand of weight 0 is left out; other weights don't matter.
    existing, must, never, rules, seconds, seed, on_progress
        As for `maximal_cover`.

    Returns
    -------
    Plan
        ``objective`` is the longest walk, ``bound`` one that no plan undercuts, ``curve`` the
        longest walk with the first 1, 2, ... sites.

    Raises
    ------
    InputError
        ``plan_infeasible`` when not even all walks together let `count` sites reach everyone.

    Examples
    --------
    >>> plan = p_center([[0, 4, 9], [4, 0, 5], [9, 5, 0]], 1)
    >>> plan.sites.tolist(), plan.objective, plan.status
    ([1], 5.0, 'optimal')
    """
    clock = Clock(seconds, on_progress)
    walks = stored_walks(cost, weights)
    radii = np.unique(walks.data)
    options: dict[str, Any] = {"existing": existing, "must": must, "never": never}

    def within(radius: float) -> sparse.csr_array:
        near = walks.data <= radius
        row = np.repeat(np.arange(walks.shape[0]), np.diff(walks.indptr))[near]
        return sparse.csr_array((np.ones(len(row)), (row, walks.indices[near])), shape=walks.shape)

    def decide(radius: float, share: float) -> tuple[Plan | None, bool]:
        """A plan for this radius or None, and whether None is proven."""
        left = max(share * clock.left(), 0.02 * clock.seconds)
        if rules is None and count is not None:
            return fits(within(radius), count, seconds=left, seed=seed, **options)
        ones = np.ones(walks.shape[1])
        plan = maximal_cover(
            within(radius), ones, count, rules=rules, seconds=left, seed=seed, **options
        )
        return (plan, False) if plan.objective == len(ones) else (None, plan.bound < len(ones))

    best, proven = decide(float(radii[-1]), 0.3) if len(radii) else (None, True)
    if best is None:
        reason = Phrase("没有方案能让每处需求都有可达的站点", "no plan lets everyone reach a site")
        if not proven:
            reason = Phrase("时限内没有找到可行方案", "no plan was found in the time given")
        raise InputError("plan_infeasible", reason=reason)
    high = _reached_at(walks, best, existing)
    floor = _nearest_possible(walks)  # nobody walks less than to the nearest candidate
    low = int(np.searchsorted(radii, floor))
    failed = low - 1
    while True:
        top = int(np.searchsorted(radii, high))
        middle = (max(failed, low - 1) + top) // 2
        if middle <= max(failed, low - 1) or clock.out_of_time(0.95):
            break
        shortest = min(float(radii[min(low, len(radii) - 1)]), high)
        clock.tell(min(0.95, clock.spent() / clock.seconds), f"{radii[middle]:g}", high, shortest)
        plan, surely = decide(float(radii[middle]), 1.0 / (2 + np.log2(top - failed)))
        if plan is not None:
            best, high = plan, min(_reached_at(walks, plan, existing), float(radii[middle]))
        else:
            failed = middle
            low = middle + 1 if surely else low
    bound = min(float(radii[min(low, len(radii) - 1)]), high)
    clock.tell(1.0, "done", high, bound)
    return judge(
        sites=best.sites, objective=high, bound=bound,
        curve=_longest(walks, best, existing), proven=bound >= high, clock=clock,
        proof="branch_and_cut" if bound > floor else "whole_numbers",
        closed=best.closed, cost=best.cost,
    )  # fmt: skip


def stored_walks(cost: Any, weights: npt.ArrayLike | None) -> sparse.csr_array:
    """Walks as a sparse table: what is stored can be walked, zeros included."""
    if sparse.issparse(cost):
        given: Any = sparse.csr_array(cost)  # type: ignore[call-overload]  # issparse narrows too far
        table = sparse.csr_array(
            (given.data.astype(float), given.indices, given.indptr), shape=given.shape
        )
    else:
        dense = np.asarray(cost, dtype=float)
        if dense.ndim != 2:
            raise InputError("parameter_invalid", name="cost", value=dense.shape,
                             reason=Phrase("不是二维表", "not a table"))  # fmt: skip
        row, demand = np.nonzero(~np.isposinf(dense))
        table = sparse.csr_array((dense[row, demand], (row, demand)), shape=dense.shape)
    if not (np.isfinite(table.data) & (table.data >= 0)).all():
        worst = table.data[~(np.isfinite(table.data) & (table.data >= 0))][0]
        reason = Phrase("应不小于 0", "must be 0 or more")
        raise InputError("parameter_invalid", name="cost", value=float(worst), reason=reason)
    table.sort_indices()
    if weights is None:
        return table
    given = np.asarray(weights, dtype=float)
    if given.shape != (table.shape[1],) or not (np.isfinite(given) & (given >= 0)).all():
        reason = Phrase(f"应为 {table.shape[1]} 个不小于 0 的数",
                        f"must be {table.shape[1]} numbers, 0 or more")  # fmt: skip
        raise InputError(
            "parameter_invalid", name="weights", value=str(weights)[:40], reason=reason
        )
    return sparse.csr_array(table[:, np.flatnonzero(given > 0)])


def _open(walks: sparse.csr_array, plan: Plan, existing: npt.ArrayLike) -> IntArray:
    there = np.asarray(existing)
    there = np.flatnonzero(there) if there.dtype == bool else there.astype(np.int64)
    return np.concatenate([np.setdiff1d(there, plan.closed), plan.sites]).astype(np.int64)


def _nearest(walks: sparse.csr_array, sites: IntArray) -> FloatArray:
    """Each demand's shortest walk to some of the candidates; infinite where there is none."""
    shortest = np.full(walks.shape[1], np.inf)
    some = walks[sites]
    np.minimum.at(shortest, some.indices, some.data)
    return shortest


def _nearest_possible(walks: sparse.csr_array) -> float:
    return float(_nearest(walks, np.arange(walks.shape[0])).max(initial=0.0))


def _reached_at(walks: sparse.csr_array, plan: Plan, existing: npt.ArrayLike) -> float:
    return float(_nearest(walks, _open(walks, plan, existing)).max(initial=0.0))


def _longest(walks: sparse.csr_array, plan: Plan, existing: npt.ArrayLike) -> FloatArray:
    stays = _open(walks, plan, existing)[: -len(plan.sites) or None]
    shortest = _nearest(walks, stays if len(plan.sites) else _open(walks, plan, existing))
    longest = []
    for site in plan.sites.tolist():
        shortest = np.minimum(shortest, _nearest(walks, np.array([site])))
        longest.append(float(shortest.max(initial=0.0)))
    return np.asarray(longest)


__all__ = ["BoolArray", "p_center", "stored_walks"]
