"""Covering models: the most people within reach of so many sites, or the fewest sites for so many.

Maximal covering (Church and ReVelle 1974)::

    maximise  sum_i w_i y_i   with   y_i <= sum of x_j over the candidates j that cover i,
                                     sum_j x_j = p,   x and y 0 or 1

Set covering (Toregas et al. 1971) minimises ``sum_j x_j`` until enough weight is covered.

Both go the same way: shrink the problem, choose greedily, improve by annealed swaps, bound by
Lagrangian relaxation, rule candidates out by that bound, and close what is left with HiGHS where
it is small. Each step does a fixed amount of work for a given input and `seconds`; the clock is
only an upper limit, and a plan that it cut short says so in its status.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _fewest_sites, _greedy, _most_weight, _under_rules
from geo_service.siting._cover import Units, indices, matrix, reached, reduce
from geo_service.siting.plans import BoolArray, Clock, IntArray, Plan, Progress, judge
from geo_service.siting.rules import Rules


def maximal_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int | None,
    *,
    existing: npt.ArrayLike = (),
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    rules: Rules | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose `count` sites that cover the most weight.

    Parameters
    ----------
    coverage : sparse matrix or array, shape (candidates, demand)
        Nonzero where a candidate covers a demand.
    weights : array_like, shape (demand,)
        Weight of each demand, 0 or more.
    count : int or None
        Sites to choose, `must` among them. ``None`` only where a budget limits them.
    existing : array_like of int or of bool, optional
        Candidates that are open already; they cover, and don't count.
    covered : array_like of bool, shape (demand,), optional
        Demand that is covered already by something that is no candidate.
    must, never : array_like of int or of bool, optional
        Candidates that have to be, or may not be, chosen.
    rules : Rules, optional
        Budget, at most or at least one per group, existing sites that may move. With rules `count`
        is the most sites there may be.
    seconds : float
        Time promised.
    seed : int
        Seed of the search; the same seed gives the same plan.
    on_progress : callable, optional
        Called with the share done and the step's name.

    Returns
    -------
    Plan
        ``objective`` and ``bound`` count all covered weight, what is covered already included.
        Where fewer than `count` sites cover all that can be covered, the first candidates left
        fill up the count.

    Raises
    ------
    InputError
        ``too_few_candidates``, ``parameter_invalid``, or ``plan_infeasible`` when `must`
        disagrees with `count` or `never`.

    Examples
    --------
    >>> plan = maximal_cover([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], [5, 1, 2, 2], 2)
    >>> plan.sites.tolist(), plan.objective, plan.status
    ([0, 1], 10.0, 'optimal')
    """
    clock = Clock(seconds, on_progress)
    if rules is not None:
        question = asked(coverage, weights, count, existing, covered, must, never, rules)
        return _under_rules.most_worth(question, clock=clock, seed=seed)
    task = _settle(coverage, weights, count, existing, covered, must, never)
    before = int(task.units.whole[task.covered].sum())
    held = task.covered | reached(task.rows, task.must)
    already = int(task.units.whole[held].sum())
    wanted = task.count - len(task.must)
    cover = reduce(task.rows[task.free], np.where(held, 0, task.units.whole), task.free)
    first, gains = _greedy.choose(cover.rows, cover.weights, wanted)

    def told(share: float, step: str, value: int, bound: int) -> None:
        best = (already + value) / task.units.scale
        clock.tell(share, step, best, task.units.upper(already + bound))

    found = _most_weight.search(cover, first, wanted, clock=clock, seed=seed, told=told)
    sites, own = _in_order(task, cover.candidates[found.rows])
    objective = task.units.sum(task.covered | reached(task.rows, sites))
    curve = before + own
    by_greedy = already + np.cumsum(gains)
    at = np.arange(len(task.must), len(task.must) + len(by_greedy))
    curve[at] = np.maximum(curve[at], by_greedy)
    best_known = np.maximum.accumulate(curve) / task.units.scale
    best_known[-1:] = objective
    return judge(
        sites=sites,
        objective=objective,
        bound=task.units.upper(already + found.bound),
        curve=best_known,
        proven=found.bound == found.value,
        clock=clock,
    )


def set_cover(
    coverage: Any,
    *,
    weights: npt.ArrayLike | None = None,
    cover_share: float = 1.0,
    existing: npt.ArrayLike = (),
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    rules: Rules | None = None,
    minimise: Literal["sites", "cost"] = "sites",
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose the fewest sites that cover everything, or a share of the weight.

    Parameters
    ----------
    coverage : sparse matrix or array, shape (candidates, demand)
        Nonzero where a candidate covers a demand.
    weights : array_like, shape (demand,), optional
        Weight of each demand; every demand weighs 1 without it. Demand of weight 0 need not be
        covered.
    cover_share : float
        The share of all weight to be covered, above 0 and up to 1.
    existing : array_like of int or of bool, optional
        Candidates that are open already; they cover, and don't count.
    covered : array_like of bool, shape (demand,), optional
        Demand that is covered already; it counts towards the share.
    must, never : array_like of int or of bool, optional
        Candidates that have to be, or may not be, chosen.
    rules : Rules, optional
        As for `maximal_cover`; movable existing sites count as sites while they stay.
    minimise : {"sites", "cost"}
        What is to be least: the number of sites, or what they cost (``rules.costs``).
    seconds, seed, on_progress
        As for `maximal_cover`.

    Returns
    -------
    Plan
        ``objective`` is the number of sites, ``bound`` the least number any plan needs, ``curve``
        the weight covered by the first sites (what is covered already included).

    Raises
    ------
    InputError
        ``plan_infeasible`` when all candidates together don't reach the share;
        ``parameter_invalid``.

    Examples
    --------
    >>> set_cover([[1, 1, 0], [0, 1, 1], [0, 0, 1]]).sites.tolist()
    [0, 1]
    """
    clock = Clock(seconds, on_progress)
    if not 0.0 < cover_share <= 1.0:
        reason = Phrase("应大于 0、不超过 1", "must be above 0 and up to 1")
        raise InputError("parameter_invalid", name="cover_share", value=cover_share, reason=reason)
    rows = matrix(coverage)
    given = np.ones(rows.shape[1]) if weights is None else weights
    if rules is not None or minimise == "cost":
        return _fewest_under_rules(
            asked(rows, given, None, existing, covered, must, never, rules or Rules()),
            cover_share, minimise, clock, seed,
        )  # fmt: skip
    task = _settle(rows, given, None, existing, covered, must, never)
    whole = task.units.whole
    held = task.covered | reached(task.rows, task.must)
    target = _target(whole, cover_share) - int(whole[held].sum())
    cover = reduce(task.rows[task.free], np.where(held, 0, whole), task.free)
    if target > cover.total:
        raise _out_of_reach(rows, whole, cover_share, held | reached(task.rows, task.free))

    def told(share: float, step: str, number: int, bound: int) -> None:
        clock.tell(share, step, float(number + len(task.must)), float(bound + len(task.must)))

    if target <= 0:
        chosen, bound = np.empty(0, dtype=np.int64), 0
    elif target == cover.total:
        chosen, bound = _fewest_sites.for_all(cover, clock, seed, told)
    else:
        chosen, bound = _fewest_sites.for_share(cover, target, clock, seed, told)
    sites, own = _in_order(task, cover.candidates[chosen])
    least = bound + len(task.must)
    return judge(
        sites=sites,
        objective=float(len(sites)),
        bound=float(least),
        curve=(int(whole[task.covered].sum()) + own) / task.units.scale,
        proven=least == len(sites),
        clock=clock,
    )


def backup_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int | None,
    *,
    once: float = 0.0,
    existing: npt.ArrayLike = (),
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    rules: Rules | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose sites so that the most weight has two of them within reach.

    Hogan and ReVelle 1986, "Concepts and applications of backup coverage": a demand within reach of
    two open sites counts in full, one within reach of a single site counts `once` of its weight.

    Parameters
    ----------
    coverage, weights, count, existing, must, never, rules, seconds, seed, on_progress
        As for `maximal_cover`; `count` is the most sites there may be.
    once : float
        What a demand with one site within reach counts, 0 to 1, in thousandths. From 0.5 on second
        sites are worth no more than first ones, which makes the proof easier.
    covered : array_like of bool, optional
        Demand that one site other than a candidate covers.

    Returns
    -------
    Plan
        ``objective`` is ``sum w (2 or more in reach) + once * sum w (exactly 1 in reach)``.

    Examples
    --------
    >>> plan = backup_cover([[1, 1, 0], [0, 1, 1], [1, 1, 0]], [3, 1, 9], 2)
    >>> sorted(plan.sites.tolist()), plan.objective
    ([0, 2], 4.0)
    """
    clock = Clock(seconds, on_progress)
    if not 0.0 <= once <= 1.0:
        reason = Phrase("应在 0 到 1 之间", "must be from 0 to 1")
        raise InputError("parameter_invalid", name="once", value=once, reason=reason)
    question = asked(coverage, weights, count, existing, covered, must, never, rules or Rules())
    question = replace(question, worth=np.array([0, round(1000 * once), 1000]), worth_parts=1000)
    return _under_rules.most_worth(question, clock=clock, seed=seed)


def fits(
    coverage: Any,
    count: int,
    *,
    existing: npt.ArrayLike,
    must: npt.ArrayLike,
    never: npt.ArrayLike,
    seconds: float,
    seed: int,
) -> tuple[Plan | None, bool]:
    """Whether `count` sites can cover everything: a plan or None, and whether None is proven."""
    clock = Clock(seconds)
    rows = matrix(coverage)
    task = _settle(rows, np.ones(rows.shape[1]), count, existing, None, must, never)
    held = task.covered | reached(task.rows, task.must)
    if not (held | reached(task.rows, task.free)).all():
        return None, True
    cover = reduce(task.rows[task.free], np.where(held, 0, task.units.whole), task.free)
    wanted = task.count - len(task.must)
    chosen, bound = np.empty(0, dtype=np.int64), 0
    if cover.total:
        chosen, bound = _fewest_sites.for_all(cover, clock, seed, enough=wanted)
    if len(chosen) > wanted:
        return None, bound > wanted
    sites, own = _in_order(task, cover.candidates[chosen])
    plan = judge(sites=sites, objective=float(len(sites)), bound=float(bound),
                 curve=own.astype(float), proven=False, clock=clock)  # fmt: skip
    return plan, False


def asked(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int | None,
    existing: npt.ArrayLike,
    covered: npt.ArrayLike | None,
    must: npt.ArrayLike,
    never: npt.ArrayLike,
    rules: Rules,
) -> _under_rules.Question:
    """Check the input of a question with rules."""
    task = _settle(coverage, weights, None, existing, covered, must, never)
    size = task.rows.shape[0]
    there = indices(existing, size, name="existing")
    movable = indices(rules.movable, size, name="movable")
    forbidden = indices(never, size, name="never")
    free = np.setdiff1d(task.free, np.concatenate([there, forbidden]))
    if count is not None:
        moving = len(np.intersect1d(movable, there))
        _count(count, len(task.must), max(len(free) + moving, count - len(task.must)))
    mask = np.zeros(task.rows.shape[1], dtype=bool)
    if covered is not None:
        mask |= np.asarray(covered, dtype=bool).ravel()
    return _under_rules.Question(
        rows=task.rows, units=task.units, covered=mask, there=there, must=task.must, free=free,
        count=None if count is None else int(count), rules=rules, worth=np.array([0, 1]),
    )  # fmt: skip


def _fewest_under_rules(
    question: _under_rules.Question,
    cover_share: float,
    minimise: str,
    clock: Clock,
    seed: int,
) -> Plan:
    if minimise == "cost" and question.rules.costs is None:
        reason = Phrase("须给出费用 costs", "needs costs")
        raise InputError("parameter_invalid", name="minimise", value=minimise, reason=reason)
    whole = question.units.whole
    target = _target(whole, cover_share)
    everyone = np.concatenate([question.there, question.must, question.free])
    mask = question.covered | reached(question.rows, everyone)
    if target > int(whole[mask].sum()):
        raise _out_of_reach(question.rows, whole, cover_share, mask)
    return _under_rules.cheapest(
        question, target, by_cost=minimise == "cost", clock=clock, seed=seed
    )


def _out_of_reach(
    rows: sparse.csr_array, whole: IntArray, share: float, reachable: BoolArray
) -> InputError:
    """Say the largest share that can be reached, and which demand never can."""
    largest = int(whole[reachable].sum()) / max(int(whole.sum()), 1)
    never = np.flatnonzero(~reachable & (whole > 0))
    shown = never[:5].tolist()
    percent = _truncated_percent(largest)
    reason = Phrase(
        f"要求覆盖 {share:.4%}，所有候选点合计只能覆盖 {percent} %；"
        f"{len(never)} 处需求谁也覆盖不到（序号 {shown} 等）",
        f"{share:.4%} is wanted, but all candidates together reach {percent} %; "
        f"{len(never)} demands can never be covered (positions {shown} first)",
    )
    return InputError(
        "plan_infeasible", reason=reason, reachable_percent=float(percent),
        uncoverable=never.tolist(),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Task:
    """A maximal covering problem with everything given settled beforehand."""

    rows: sparse.csr_array
    units: Units
    covered: BoolArray
    free: IntArray
    must: IntArray
    count: int


def _settle(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int | None,
    existing: npt.ArrayLike,
    covered: npt.ArrayLike | None,
    must: npt.ArrayLike,
    never: npt.ArrayLike,
) -> _Task:
    """Check the input and settle what is given: open sites, demanded ones, forbidden ones."""
    rows = matrix(coverage)
    size, n_demand = rows.shape
    units = Units.of(weights, name="weights")
    if len(units.whole) != n_demand:
        reason = Phrase(
            f"覆盖矩阵有 {n_demand} 列需求", f"the coverage has {n_demand} demand columns"
        )
        raise InputError("parameter_invalid", name="weights", value=len(units.whole), reason=reason)
    there = indices(existing, size, name="existing")
    demanded = indices(must, size, name="must")
    demanded = demanded[~np.isin(demanded, there)]
    forbidden = indices(never, size, name="never")
    clash = np.intersect1d(demanded, forbidden)
    if len(clash):
        reason = Phrase(
            f"候选点 {clash[:5].tolist()} 既要求必选又禁止选",
            f"candidates {clash[:5].tolist()} are both demanded and forbidden",
        )
        raise InputError("plan_infeasible", reason=reason)
    free = np.setdiff1d(np.arange(size), np.concatenate([there, demanded, forbidden]))
    done = reached(rows, there)
    if covered is not None:
        mask = np.asarray(covered, dtype=bool).ravel()
        if len(mask) != n_demand:
            reason = Phrase(
                f"覆盖矩阵有 {n_demand} 列需求", f"the coverage has {n_demand} demand columns"
            )
            raise InputError("parameter_invalid", name="covered", value=len(mask), reason=reason)
        done |= mask
    wanted = len(demanded) if count is None else _count(count, len(demanded), len(free))
    return _Task(rows, units, done, free, demanded, wanted)


def _count(count: int, demanded: int, free: int) -> int:
    if int(count) != count or count < 0:
        reason = Phrase("应为 0 或更大的整数", "must be a whole number, 0 or more")
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if count > demanded + free:
        raise InputError("too_few_candidates", count=int(count), candidates=demanded + free)
    if count < demanded:
        reason = Phrase(
            f"要求必选 {demanded} 处，却只能选 {int(count)} 处",
            f"{demanded} sites are demanded but only {int(count)} may be chosen",
        )
        raise InputError("plan_infeasible", reason=reason)
    return int(count)


def _in_order(task: _Task, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Put sites in building order, fill up to the count, and add up what the first ones cover.

    Returns
    -------
    tuple of ndarray of int
        Sites; units newly covered by the first 1, 2, ... of them.
    """
    whole = np.where(task.covered, 0, task.units.whole)
    must_gains = []
    for row in task.must:
        reach = task.rows.indices[task.rows.indptr[row] : task.rows.indptr[row + 1]]
        must_gains.append(int(whole[reach].sum()))
        whole[reach] = 0
    picked = np.sort(chosen)
    order, gains = _greedy.choose(task.rows[picked], whole, len(picked))
    idle = np.setdiff1d(picked, picked[order])
    spare = np.setdiff1d(task.free, picked)
    fill = spare[: max(0, task.count - len(task.must) - len(picked))]
    sites = np.concatenate([task.must, picked[order], idle, fill])
    added = np.zeros(len(sites), dtype=np.int64)
    added[: len(must_gains)] = must_gains
    added[len(must_gains) : len(must_gains) + len(gains)] = gains
    return sites, np.cumsum(added)


def _target(whole: IntArray, share: float) -> int:
    """The fewest units that are at least a share of all; all of them for a share of 1."""
    total = int(whole.sum())
    if share == 1.0:
        return total
    return min(total, int(np.ceil(total * share * (1.0 - 1e-12))))


def _truncated_percent(share: float) -> str:
    """A percentage as text, never rounded up."""
    return f"{np.floor(share * 1e6) / 1e4:.4f}"
