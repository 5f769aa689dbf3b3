"""Covering models: the most people within reach of so many sites, or the fewest sites for so many.

Maximal covering (Church and ReVelle 1974)::

    maximise  sum_i w_i y_i   with   y_i <= sum of x_j over the candidates j that cover i,
                                     sum_j x_j = p,   x and y 0 or 1

Set covering (Toregas et al. 1971) minimises ``sum_j x_j`` until enough weight is covered.

Both go the same way: shrink the problem, choose greedily, improve by annealed swaps, bound by
Lagrangian relaxation, rule candidates out by that bound, and close what is left with HiGHS where it
is small. Each step does a fixed amount of work for a given input and `seconds`; the clock is only an
upper limit, and a plan that it cut short says so in its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError
from geo_service.siting import _bounds, _exact, _greedy, _swaps
from geo_service.siting._cover import (
    Cover,
    Units,
    indices,
    matrix,
    reached,
    reduce,
    without_implied,
)
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, Plan, Progress, judge

# Work per second promised. Set so that each step ends well before the clock on a machine half as
# fast as the two shared cores it was measured on.
_FIRST_SWAPS, _SWAPS_PER_SECOND = 200_000, 400_000
_FIRST_BOUND_STEPS, _BOUND_STEPS_PER_SECOND = 500, 180
# Entries of a reduced model up to which branch and cut is worth its time.
_EXACT_ENTRIES = 30_000


@dataclass(frozen=True, eq=False)
class _Task:
    """A maximal covering problem with everything given settled beforehand."""

    rows: sparse.csr_array
    units: Units
    covered: BoolArray
    free: IntArray
    must: IntArray
    count: int


def maximal_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int,
    *,
    existing: npt.ArrayLike = (),
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
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
    count : int
        Sites to choose, `must` among them.
    existing : array_like of int or of bool, optional
        Candidates that are open already; they cover, and don't count.
    covered : array_like of bool, shape (demand,), optional
        Demand that is covered already by something that is no candidate.
    must, never : array_like of int or of bool, optional
        Candidates that have to be, or may not be, chosen.
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
        Where fewer than `count` sites cover all that can be covered, the rest are filled up with the
        first candidates left.

    Raises
    ------
    InputError
        ``too_few_candidates``, ``parameter_invalid``, or ``plan_infeasible`` when `must` and `count`
        or `never` disagree.

    Examples
    --------
    >>> plan = maximal_cover([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], [5, 1, 2, 2], 2)
    >>> plan.sites.tolist(), plan.objective, plan.status
    ([0, 1], 10.0, 'optimal')
    """
    clock = Clock(seconds)
    task = _settle(coverage, weights, count, existing, covered, must, never)
    before = int(task.units.whole[task.covered].sum())
    held = task.covered | reached(task.rows, task.must)
    already = int(task.units.whole[held].sum())
    wanted = task.count - len(task.must)
    cover = reduce(task.rows[task.free], np.where(held, 0, task.units.whole), task.free)
    first, gains = _greedy.choose(cover.rows, cover.weights, wanted)
    found = _search(cover, first, wanted, clock=clock, seed=seed, on_progress=on_progress)
    sites, own = _in_order(task, cover.candidates[found.rows])
    objective = task.units.sum(task.covered | reached(task.rows, sites))
    curve = before + own
    by_greedy = already + np.cumsum(gains)
    at = np.arange(len(task.must), len(task.must) + len(by_greedy))
    curve[at] = np.maximum(curve[at], by_greedy)
    curve = np.maximum.accumulate(curve) / task.units.scale
    curve[-1:] = objective
    return judge(
        sites=sites,
        objective=objective,
        bound=task.units.upper(already + found.bound),
        curve=curve,
        proven=found.bound == found.value,
        clock=clock,
    )


def set_cover(
    coverage: Any,
    *,
    weights: npt.ArrayLike | None = None,
    cover_share: float = 1.0,
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
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
    covered : array_like of bool, shape (demand,), optional
        Demand that is covered already; it counts towards the share.
    must, never : array_like of int or of bool, optional
        Candidates that have to be, or may not be, chosen.
    seconds, seed, on_progress
        As for `maximal_cover`.

    Returns
    -------
    Plan
        ``objective`` is the number of sites, ``bound`` the least number any plan needs, ``curve`` the
        weight covered by the first sites (what is covered already included).

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
    clock = Clock(seconds)
    if not 0.0 < cover_share <= 1.0:
        reason = "must be above 0 and up to 1"
        raise InputError("parameter_invalid", name="cover_share", value=cover_share, reason=reason)
    rows = matrix(coverage)
    given = np.ones(rows.shape[1]) if weights is None else weights
    task = _settle(rows, given, None, (), covered, must, never)
    whole = task.units.whole
    held = task.covered | reached(task.rows, task.must)
    target = _target(whole, cover_share) - int(whole[held].sum())
    cover = reduce(task.rows[task.free], np.where(held, 0, whole), task.free)
    if target > cover.total:
        share = int(whole[held].sum() + cover.total) / max(int(whole.sum()), 1)
        reason = (
            f"{cover_share:.4%} is wanted, but all candidates together reach "
            f"{_truncated_percent(share)} %"
        )
        raise InputError("plan_infeasible", reason=reason)
    if target <= 0:
        chosen, bound = np.empty(0, dtype=np.int64), 0
    elif target == cover.total:
        chosen, bound = _fewest_for_all(cover, clock, seed, on_progress)
    else:
        chosen, bound = _fewest_for_share(cover, target, clock, seed, on_progress)
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
        reason = f"the coverage has {n_demand} demand columns"
        raise InputError("parameter_invalid", name="weights", value=len(units.whole), reason=reason)
    there = indices(existing, size, name="existing")
    demanded = indices(must, size, name="must")
    demanded = demanded[~np.isin(demanded, there)]
    forbidden = indices(never, size, name="never")
    clash = np.intersect1d(demanded, forbidden)
    if len(clash):
        reason = f"candidates {clash[:5].tolist()} are both demanded and forbidden"
        raise InputError("plan_infeasible", reason=reason)
    free = np.setdiff1d(np.arange(size), np.concatenate([there, demanded, forbidden]))
    done = reached(rows, there)
    if covered is not None:
        mask = np.asarray(covered, dtype=bool).ravel()
        if len(mask) != n_demand:
            reason = f"the coverage has {n_demand} demand columns"
            raise InputError("parameter_invalid", name="covered", value=len(mask), reason=reason)
        done |= mask
    wanted = len(demanded) if count is None else _count(count, len(demanded), len(free))
    return _Task(rows, units, done, free, demanded, wanted)


def _count(count: int, demanded: int, free: int) -> int:
    if int(count) != count or count < 0:
        reason = "must be a whole number, 0 or more"
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if count > demanded + free:
        raise InputError("too_few_candidates", count=int(count), candidates=demanded + free)
    if count < demanded:
        reason = f"{demanded} sites are demanded but only {int(count)} may be chosen"
        raise InputError("plan_infeasible", reason=reason)
    return int(count)


@dataclass(frozen=True, eq=False)
class _Found:
    """Rows of a reduced problem, the units they cover, and the bound."""

    rows: IntArray
    value: int
    bound: int


def _search(
    cover: Cover,
    first: IntArray,
    count: int,
    *,
    clock: Clock,
    seed: int,
    on_progress: Progress | None,
) -> _Found:
    """Improve a greedy choice and bound it, with more effort only while the two differ."""
    if len(first) < count or count == 0:  # fewer sites already cover all there is
        return _Found(first, cover.covered(first), cover.covered(first))
    told = _teller(on_progress)
    best = _swaps.anneal(
        cover, first, proposals=_FIRST_SWAPS, seed=seed, clock=clock, until=0.4, target=cover.total
    )
    value = cover.covered(best)
    told(0.1, "bound")
    bound = _bounds.most_weight(
        cover, count, value, steps=_FIRST_BOUND_STEPS, clock=clock, until=0.5
    )
    if value < bound.value:
        told(0.2, "proof")
        best, value, bound = _close(cover, count, best, bound, clock, share=0.5, seed=seed)
    if value < bound.value:
        told(0.4, "swaps")
        again = _search_core(cover, count, best, bound, clock=clock, seed=seed + 1)
        if cover.covered(again) > value:
            best, value = again, cover.covered(again)
        told(0.8, "bound")
        steps = int(_BOUND_STEPS_PER_SECOND * clock.seconds)
        better = _bounds.most_weight(
            cover, count, value, steps=steps, clock=clock, start=bound.multipliers, until=0.95
        )
        bound = better if better.value < bound.value else bound
    if value < bound.value:
        told(0.9, "proof")
        best, value, bound = _close(cover, count, best, bound, clock, share=1.0, seed=seed)
    told(1.0, "done")
    return _Found(best, value, bound.value)


def _search_core(
    cover: Cover, count: int, best: IntArray, bound: _bounds.Bound, *, clock: Clock, seed: int
) -> IntArray:
    """Anneal long and slowly among the rows that a better plan could hold."""
    never, always = _bounds.fixed_by(cover, count, bound, cover.covered(best))
    core = _Core.of(cover, count, never, always)
    start, _ = _greedy.choose(core.cover.rows, core.cover.weights, core.count)
    rows = _swaps.anneal(
        core.cover, start, proposals=int(_SWAPS_PER_SECOND * clock.seconds), seed=seed,
        clock=clock, until=0.8, target=bound.value - core.base,
    )  # fmt: skip
    return np.concatenate([core.always, core.cover.candidates[rows]])


def _close(
    cover: Cover,
    count: int,
    best: IntArray,
    bound: _bounds.Bound,
    clock: Clock,
    *,
    share: float,
    seed: int,
) -> tuple[IntArray, int, _bounds.Bound]:
    """Rule candidates out by the bound and close the rest by branch and cut, where that is small."""
    value = cover.covered(best)
    never, always = _bounds.fixed_by(cover, count, bound, value)
    seconds = min(share * clock.seconds, clock.left() - 0.03 * clock.seconds)
    core = _Core.of(cover, count, never, always)
    if len(core.cover.candidates) == 0:  # nothing is left that could do better
        return best, value, _bounds.Bound(value, bound.multipliers)
    if core.cover.rows.nnz > _EXACT_ENTRIES or seconds <= 0:
        return best, value, bound
    solved = _exact.minimise(
        *core.model(), whole=len(core.cover.candidates), seconds=seconds, seed=seed,
        start=core.start(best),
    )  # fmt: skip
    clock.cut = clock.cut or not solved.finished
    if solved.values is not None:
        picked = np.concatenate([core.always, core.rows(solved.values)])
        if cover.covered(picked) > value:
            best, value = picked, cover.covered(picked)
    # Whatever the core leaves out can't beat the plan that ruled it out.
    proved = value if solved.finished else core.base + int(np.floor(min(-solved.bound, 2.0**60)))
    proved = max(value, min(bound.value, proved))
    return best, value, _bounds.Bound(proved, bound.multipliers)


@dataclass(frozen=True, eq=False)
class _Core:
    """What stays open of a problem when some rows are ruled out and some are ruled in."""

    cover: Cover  # its `candidates` are rows of the whole problem
    always: IntArray
    base: int
    count: int

    @classmethod
    def of(cls, cover: Cover, count: int, never: BoolArray, always: BoolArray) -> _Core:
        """Take the ruled rows out; what the ruled-in ones cover is settled."""
        inside = np.flatnonzero(always)
        done = reached(cover.rows, inside)
        free = np.flatnonzero(~never & ~always)
        rest = reduce(cover.rows[free], np.where(done, 0, cover.weights), free)
        return cls(rest, inside, int(cover.weights[done].sum()), count - len(inside))

    def model(self) -> tuple[FloatArray, sparse.csc_array, FloatArray, FloatArray]:
        """Costs, matrix and row bounds: columns x then y; maximise the weight of y."""
        size, n_demand = self.cover.rows.shape
        cost = np.concatenate([np.zeros(size), -self.cover.weights.astype(float)])
        number = np.concatenate([np.ones(size), np.zeros(n_demand)])[None, :]
        body = sparse.vstack(
            [_exact.cover_columns(self.cover.rows), sparse.csc_array(number)], format="csc"
        )
        lower = np.zeros(n_demand + 1)
        upper = np.concatenate([np.full(n_demand, np.inf), [float(self.count)]])
        return cost, sparse.csc_array(body), lower, upper

    def start(self, best: IntArray) -> FloatArray | None:
        """The known plan as a solution of the model, if its rows all survived."""
        at = np.flatnonzero(np.isin(self.cover.candidates, best))
        if len(at) > self.count:
            return None
        x = np.zeros(self.cover.rows.shape[0])
        x[at] = 1.0
        return np.concatenate([x, reached(self.cover.rows, at).astype(float)])

    def rows(self, values: FloatArray) -> IntArray:
        """The rows of the whole problem that a solution opens."""
        return self.cover.candidates[_exact.opened(values, len(self.cover.candidates))]


def _fewest_for_all(
    cover: Cover, clock: Clock, seed: int, on_progress: Progress | None
) -> tuple[IntArray, int]:
    """Cover all demand with few rows; give them and the least number possible."""
    told = _teller(on_progress)
    whole, cover = cover, without_implied(cover)
    size, n_demand = cover.rows.shape
    chosen, _ = _greedy.choose(cover.rows, np.ones(n_demand, dtype=np.int64), size)
    told(0.1, "swaps")
    steps = int(min(3000 * clock.seconds, 2e8 * clock.seconds / max(size + cover.rows.nnz, 1)))
    chosen = _swaps.thin_out(cover, chosen, steps=steps, seed=seed, clock=clock)
    told(0.5, "bound")
    bound = _bounds.fewest_rows(
        cover, len(chosen), steps=int(_BOUND_STEPS_PER_SECOND * clock.seconds), clock=clock
    ).value
    if bound < len(chosen) and cover.rows.nnz <= 10 * _EXACT_ENTRIES and clock.left() > 0:
        told(0.7, "proof")
        lower, upper = np.ones(n_demand), np.full(n_demand, np.inf)
        x = np.isin(np.arange(size), chosen).astype(float)
        solved = _exact.minimise(
            np.ones(size), sparse.csc_array(cover.rows.T), lower, upper, whole=size,
            seconds=clock.left() - 0.03 * clock.seconds, start=x, seed=seed,
        )  # fmt: skip
        chosen, bound = _better(cover, cover.total, chosen, bound, solved)
        clock.cut = clock.cut or not solved.finished
    told(1.0, "done")
    return np.searchsorted(whole.candidates, cover.candidates[chosen]), bound


def _fewest_for_share(
    cover: Cover, target: int, clock: Clock, seed: int, on_progress: Progress | None
) -> tuple[IntArray, int]:
    """Cover `target` units with few rows; give them and the least number possible."""
    told = _teller(on_progress)
    size, n_demand = cover.rows.shape
    chosen, gains = _greedy.choose(cover.rows, cover.weights, size, target=target)
    proposals = int(0.2 * _SWAPS_PER_SECOND * clock.seconds)
    while len(chosen) > 1 and not clock.out_of_time(0.5):
        told(0.1, "swaps")
        fewer = _swaps.anneal(
            cover,
            chosen[:-1],
            proposals=proposals,
            seed=seed,
            clock=clock,
            until=0.5,
            target=target,
        )
        if cover.covered(fewer) < target:
            break
        chosen = fewer
    told(0.6, "bound")
    bound = _bounds.most_weight(
        cover, max(len(chosen) - 1, 1), target - 1,
        steps=int(_BOUND_STEPS_PER_SECOND * clock.seconds), clock=clock, until=0.8,
    )  # fmt: skip
    least = _bounds.fewest_for(cover, target, bound)
    if least < len(chosen) and cover.rows.nnz <= _EXACT_ENTRIES and clock.left() > 0:
        told(0.8, "proof")
        weigh = np.concatenate([np.zeros(size), cover.weights.astype(float) / target])
        body = sparse.vstack([_exact.cover_columns(cover.rows), sparse.csc_array(weigh[None, :])])
        lower = np.concatenate([np.zeros(n_demand), [1.0]])
        x = np.isin(np.arange(size), chosen).astype(float)
        solved = _exact.minimise(
            np.concatenate([np.ones(size), np.zeros(n_demand)]), sparse.csc_array(body),
            lower, np.full(n_demand + 1, np.inf), whole=size,
            seconds=clock.left() - 0.03 * clock.seconds, seed=seed,
            start=np.concatenate([x, reached(cover.rows, chosen).astype(float)]),
        )  # fmt: skip
        chosen, least = _better(cover, target, chosen, least, solved)
        clock.cut = clock.cut or not solved.finished
    told(1.0, "done")
    return chosen, least


def _better(
    cover: Cover, target: int, chosen: IntArray, least: int, solved: _exact.Solved
) -> tuple[IntArray, int]:
    """Take over what a run of HiGHS found and proved, after checking that it covers enough."""
    if solved.values is not None:
        found = _exact.opened(solved.values, cover.rows.shape[0])
        if len(found) < len(chosen) and cover.covered(found) >= target:
            chosen = found
    if np.isfinite(solved.bound):
        least = max(least, int(np.ceil(solved.bound - 1e-4)))
    return chosen, min(least, len(chosen))


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


def _teller(on_progress: Progress | None) -> Progress:
    return on_progress if on_progress is not None else lambda share, step: None
