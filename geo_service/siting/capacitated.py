"""Covering with capacities: a site serves no more weight than it can, and only within reach.

For candidates j with capacity C_j::

    maximise  sum_ij f_ij     f_ij <= w_i x_j within reach,   sum_j f_ij <= w_i,
                              sum_i f_ij <= C_j x_j,   sum_j x_j = p

A demand may be shared by several sites, so what a choice of sites serves is a maximum flow. The
search keeps that flow and repairs it by augmenting paths after each swap; the bound relaxes
``sum_j f_ij <= w_i`` with multipliers ``0 <= u_i <= 1`` (a site then serves its best paying
demand first), and is summed in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _exact, _flow_bounds, _flows
from geo_service.siting._cover import indices, matrix
from geo_service.siting.covering import maximal_cover
from geo_service.siting.plans import Clock, FloatArray, IntArray, Plan, Progress, judge

_PARTS = 1_000_000  # parts of a unit that weights and capacities may need
_EXACT_WALKS = 3_000  # up to so many walks HiGHS proves what the search found
_PLAIN_SHARE = 0.1  # of the promised time, for a choice that heeds no capacity
_TOTAL = 2.0**38  # so that sums times the multipliers' parts stay far below 2**63


@dataclass(frozen=True, eq=False)
class _Task:
    rows: sparse.csr_array  # candidates x demand
    weights: IntArray
    room: IntArray
    parts: float
    there: IntArray
    must: IntArray
    free: IntArray


def capacitated_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    capacities: npt.ArrayLike,
    count: int,
    *,
    existing: npt.ArrayLike = (),
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose `count` sites that serve the most weight within their capacities.

    Parameters
    ----------
    coverage : sparse matrix or array, shape (candidates, demand)
        Nonzero where a candidate reaches a demand.
    weights : array_like, shape (demand,)
        Weight of each demand, 0 or more, in at most six decimals.
    capacities : float or array_like, shape (candidates,)
        What each candidate (and existing site) can serve, above 0.
    count, existing, must, never, seconds, seed, on_progress
        As for `maximal_cover`.

    Returns
    -------
    Plan
        ``objective`` and ``bound`` are served weight, that of existing sites included.

    Examples
    --------
    >>> plan = capacitated_cover([[1, 1, 0], [0, 1, 1]], [20, 20, 20], 27, 2)
    >>> plan.objective, plan.proven
    (54.0, True)
    """
    clock = Clock(seconds, on_progress)
    task = _settle(coverage, weights, capacities, existing, must, never)
    wanted = _wanted(count, task)
    chosen, served, bound = _most_served(task, wanted, clock, seed)
    bound = max(bound, served)
    clock.tell(1.0, "done", served / task.parts, bound / task.parts)
    sites, curve = _in_order(task, chosen)
    return judge(
        sites=sites, objective=served / task.parts, bound=bound / task.parts,
        curve=curve, proven=bound <= served, clock=clock,
    )  # fmt: skip


def capacitated_set_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    capacities: npt.ArrayLike,
    *,
    cover_share: float = 1.0,
    existing: npt.ArrayLike = (),
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose the fewest sites that serve a share of the weight within their capacities.

    Parameters
    ----------
    coverage, weights, capacities, existing, must, never, seconds, seed, on_progress
        As for `capacitated_cover`.
    cover_share : float
        The share of all weight to be served, above 0 and up to 1.

    Returns
    -------
    Plan
        ``objective`` is the number of sites, ``bound`` the least number any plan needs.

    Raises
    ------
    InputError
        ``plan_infeasible`` when all candidates together don't serve the share.

    Examples
    --------
    >>> capacitated_set_cover([[1, 1, 1], [1, 1, 1], [1, 1, 1]], [10, 10, 10], 15).objective
    2.0
    """
    clock = Clock(seconds, on_progress)
    if not 0.0 < cover_share <= 1.0:
        reason = Phrase("应大于 0 且不超过 1", "must be above 0 and up to 1")
        raise InputError("parameter_invalid", name="cover_share", value=cover_share, reason=reason)
    task = _settle(coverage, weights, capacities, existing, must, never)
    total = int(task.weights.sum())
    target = min(total, int(np.ceil(total * cover_share * (1.0 - 1e-12))))
    everyone = _served(task, np.concatenate([task.must, task.free]))
    if everyone < target:
        share = np.floor(1e6 * everyone / max(total, 1)) / 1e4
        reason = Phrase(
            f"按给定容量，所有候选点合计只能服务 {share:.4f} %",
            f"with these capacities all candidates together serve {share:.4f} %",
        )
        raise InputError("plan_infeasible", reason=reason, reachable_percent=float(share))
    chosen, least = _fewest(task, target, clock, seed)
    least = min(least, len(chosen))
    clock.tell(1.0, "done", float(len(chosen)), float(least))
    sites, curve = _in_order(task, chosen)
    return judge(
        sites=sites, objective=float(len(sites)), bound=float(least),
        curve=curve, proven=least >= len(sites), clock=clock,
    )  # fmt: skip


def _settle(
    coverage: Any, weights: npt.ArrayLike, capacities: npt.ArrayLike, existing: npt.ArrayLike,
    must: npt.ArrayLike, never: npt.ArrayLike,
) -> _Task:  # fmt: skip
    rows = matrix(coverage)
    size, n_demand = rows.shape
    weigh = _amounts(weights, n_demand, name="weights", least=0.0)
    room = _amounts(capacities, size, name="capacities", least=np.nextafter(0.0, 1.0))
    total = max(float(weigh.sum()), float(room.max(initial=1.0)), 1.0)
    parts = next(
        (10.0**power for power in range(7)
         if all(np.allclose(one * 10.0**power, np.rint(one * 10.0**power), rtol=0, atol=1e-6)
                for one in (weigh, room)) or total * 10.0 ** (power + 1) > _TOTAL),
        float(_PARTS),
    )  # fmt: skip
    there = indices(existing, size, name="existing")
    demanded = indices(must, size, name="must")
    demanded = demanded[~np.isin(demanded, there)]
    barred = indices(never, size, name="never")
    clash = np.intersect1d(demanded, barred)
    if len(clash):
        shown = clash[:5].tolist()
        reason = Phrase(f"候选点 {shown} 既必选又禁选",
                        f"candidates {shown} are both demanded and forbidden")  # fmt: skip
        raise InputError("plan_infeasible", reason=reason)
    free = np.setdiff1d(np.arange(size), np.concatenate([there, demanded, barred]))
    whole = np.rint(weigh * parts).astype(np.int64)
    # More room than everybody weighs is no use, and might overflow.
    full = np.minimum(np.floor(room * parts + 1e-6), float(whole.sum())).astype(np.int64)
    return _Task(rows, whole, full, parts, there, demanded, free)


def _amounts(values: npt.ArrayLike, size: int, *, name: str, least: float) -> FloatArray:
    try:
        given = np.broadcast_to(np.asarray(values, dtype=float), (size,))
    except ValueError:
        reason = Phrase(f"应为 {size} 个数字", f"must be {size} numbers")
        raise InputError(
            "parameter_invalid", name=name, value=str(values)[:40], reason=reason
        ) from None
    wrong = ~((given >= least) & np.isfinite(given))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        rule = ("大于 0", "above 0") if least > 0 else ("不小于 0", "0 or more")
        reason = Phrase(f"第 {at} 项应{rule[0]}", f"position {at} must be {rule[1]}")
        raise InputError("parameter_invalid", name=name, value=float(given[at]), reason=reason)
    return given


def _wanted(count: int, task: _Task) -> int:
    if int(count) != count or count < 0:
        reason = Phrase("应为不小于 0 的整数", "must be a whole number, 0 or more")
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if count > len(task.must) + len(task.free):
        raise InputError("too_few_candidates", count=int(count),
                         candidates=len(task.must) + len(task.free))  # fmt: skip
    if count < len(task.must):
        reason = Phrase(
            f"必选 {len(task.must)} 处，数量只允许 {count} 处",
            f"{len(task.must)} sites are demanded, the count allows {count}",
        )
        raise InputError("plan_infeasible", reason=reason)
    return int(count) - len(task.must)


def _served(task: _Task, sites: IntArray) -> int:
    """What existing sites and these serve: a maximum flow."""
    flow = _flows.Flow(task.rows, task.weights, task.room)
    for site in np.concatenate([task.there, sites]).tolist():
        flow.open(site)
    return flow.served


def _most_served(
    task: _Task, wanted: int, clock: Clock, seed: int, until: float = 0.97
) -> tuple[IntArray, int, int]:
    """New sites, what is served with them, and what nothing exceeds."""
    fixed = np.concatenate([task.there, task.must])
    clock.tell(0.05, "swaps")
    flow = _flows.Flow(task.rows, task.weights, task.room)
    for site in fixed.tolist():
        flow.open(site)
    chosen = _flows.greedy(flow, task.free, wanted)
    ceiling = min(_reachable(task), flow.ceiling(task.free, wanted, fixed))
    if flow.served >= ceiling:
        return np.concatenate([task.must, chosen]), flow.served, ceiling
    clock.tell(0.2, "bound", flow.served / task.parts, ceiling / task.parts)
    small = task.rows.nnz <= _EXACT_WALKS
    bound, worth, near = _flow_bounds.bound(
        task.rows, task.weights, task.room, fixed, task.free, wanted, flow.served, clock=clock,
        until=0.2 if small else 0.45,
    )  # fmt: skip
    bound = min(bound, ceiling)
    if not small:  # where there is room for all, the choice that needs none is the better one
        plain = maximal_cover(
            task.rows, task.weights, wanted + len(task.must), existing=task.there, must=task.must,
            never=np.setdiff1d(np.arange(len(task.room)), np.concatenate([fixed, task.free])),
            seconds=_PLAIN_SHARE * clock.seconds, seed=seed,
        )  # fmt: skip
        bound = min(bound, int(plain.bound))
        near.append(np.setdiff1d(plain.sites, task.must))
    for tried in near:
        other = _flows.Flow(task.rows, task.weights, task.room)
        for site in np.concatenate([fixed, tried]).tolist():
            other.open(site)
        if other.served > flow.served:
            flow, chosen = other, tried
    clock.tell(0.5, "swaps", flow.served / task.parts, bound / task.parts)
    if flow.served < bound:
        chosen = _flows.swap(flow, chosen, task.free, worth, bound, seed=seed, clock=clock,
                             until=0.3 if small else until)  # fmt: skip
    everyone = np.concatenate([task.must, chosen])
    if flow.served < bound and small:
        clock.tell(0.9, "proof", flow.served / task.parts)
        return _prove(task, wanted, everyone, flow.served, bound, clock, seed)
    return everyone, flow.served, bound


def _prove(
    task: _Task, wanted: int, best: IntArray, served: int, bound: int, clock: Clock, seed: int
) -> tuple[IntArray, int, int]:
    """The whole model by HiGHS: columns x, then what each walk carries (of its demand's weight)."""
    seconds = 0.97 * clock.seconds - clock.spent()
    if seconds <= 0.05:
        return best, served, bound
    size, n_demand = task.rows.shape
    walks = np.arange(task.rows.nnz)
    site = np.repeat(np.arange(size), np.diff(task.rows.indptr))
    weight = task.weights[task.rows.indices].astype(float)
    largest = np.minimum(weight, task.room[site])
    blocks: Any = [
        [-sparse.csc_array((largest, (walks, site)), shape=(len(walks), size)),
         sparse.eye_array(len(walks))],
        [-sparse.diags_array(task.room.astype(float)),
         sparse.csc_array((np.ones(len(walks)), (site, walks)), shape=(size, len(walks)))],
        [None, sparse.csc_array((np.ones(len(walks)), (task.rows.indices, walks)),
                                shape=(n_demand, len(walks)))],
        [sparse.csc_array(np.isin(np.arange(size), task.free).astype(float)[None, :]), None],
    ]  # fmt: skip
    table = sparse.csc_array(sparse.block_array(blocks, format="csc"))
    upper = np.concatenate([
        np.zeros(len(walks) + size), task.weights.astype(float), [float(wanted)]
    ])  # fmt: skip
    floor = np.zeros(size + len(walks))
    ceiling = np.concatenate([np.zeros(size), weight])
    floor[:size][np.concatenate([task.there, task.must])] = 1.0
    ceiling[:size][np.concatenate([task.there, task.must, task.free])] = 1.0
    solved = _exact.minimise(
        np.concatenate([np.zeros(size), -np.ones(len(walks))]), table,
        np.full(len(upper), -np.inf), upper, whole=size, seconds=seconds, seed=seed,
        floor=floor, ceiling=ceiling,
    )  # fmt: skip
    if solved.values is not None:
        opened = np.flatnonzero(solved.values[:size] > 0.5)
        tried = np.concatenate([task.must, np.intersect1d(opened, task.free)])
        if len(tried) <= wanted + len(task.must) and _served(task, tried) > served:
            best, served = tried, _served(task, tried)
    told = -solved.value if solved.finished else -solved.bound
    if np.isfinite(told):
        bound = max(served, min(bound, int(np.floor(told + 1e-4))))
    return best, served, bound


def _reachable(task: _Task) -> int:
    """All weight within reach of a site that is or may be opened."""
    mask = np.zeros(len(task.weights), dtype=bool)
    mask[task.rows[np.concatenate([task.there, task.must, task.free])].indices] = True
    return int(task.weights[mask].sum())


def _fewest(task: _Task, target: int, clock: Clock, seed: int) -> tuple[IntArray, int]:
    """Sites that serve the target, one fewer at a time while swaps make up for it."""
    fixed = np.concatenate([task.there, task.must])
    clock.tell(0.05, "swaps")
    flow = _flows.Flow(task.rows, task.weights, task.room)
    for site in fixed.tolist():
        flow.open(site)
    chosen = _flows.greedy(flow, task.free, len(task.free), target=target)
    least = 0 if len(chosen) == 0 else 1
    while len(chosen) > least:
        at = len(chosen) - 1
        clock.tell(0.1 + 0.8 * min(clock.spent() / clock.seconds, 1.0), "bound",
                   float(len(task.must) + len(chosen)), float(len(task.must) + least))  # fmt: skip
        until = clock.spent() / clock.seconds + 0.25
        bound, worth, _ = _flow_bounds.bound(
            task.rows, task.weights, task.room, fixed, task.free, at, target - 1, clock=clock,
            until=min(until, 0.9),
        )  # fmt: skip
        bound = min(bound, flow.ceiling(task.free, at, fixed))
        if bound < target:
            least = len(chosen)
            break
        before = chosen.copy()
        flow.close(int(chosen[-1]))
        chosen = _flows.swap(
            flow, chosen[:-1], task.free, worth, target, seed=seed, clock=clock,
            until=min(clock.spent() / clock.seconds + 0.25, 0.95),
        )  # fmt: skip
        if flow.served < target:
            chosen = before
            break
    if least < len(chosen):
        least = max(least, _flow_bounds.least_sites(task.room, task.free, target, fixed,
                                              task.weights, task.rows))  # fmt: skip
    return np.concatenate([task.must, chosen]), least + len(task.must)


def _in_order(task: _Task, chosen: IntArray) -> tuple[IntArray, FloatArray]:
    """Demanded sites, then the rest by what each adds; what the first 1, 2, ... serve."""
    flow = _flows.Flow(task.rows, task.weights, task.room)
    for site in task.there.tolist():
        flow.open(site)
    curve = []
    for site in task.must.tolist():
        flow.open(site)
        curve.append(flow.served / task.parts)
    served: list[int] = []
    order = _flows.greedy(flow, np.setdiff1d(chosen, task.must), len(chosen), served=served)
    curve += [amount / task.parts for amount in served]
    return np.concatenate([task.must, order]), np.asarray(curve, dtype=float)
