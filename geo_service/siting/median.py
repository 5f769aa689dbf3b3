"""The p-median model: sites such that everyone's walk to the nearest one is short on the whole.

Hakimi 1964; ReVelle and Swain 1970::

    minimise  sum_ij w_i d_ij x_ij   with   sum_j x_ij = 1,   x_ij <= y_j,   sum_j y_j = p

Solved by lazy greedy choice, best swaps (Whitaker 1983, all swaps of a candidate in one pass),
restarts from shaken plans (Hansen and Mladenovic 1997), a Lagrangian bound on "everyone goes
somewhere" (Cornuejols, Fisher and Nemhauser 1977), and HiGHS on what that bound leaves open. The
whole table of costs is held in memory: candidates x demand x 8 bytes, two or three times.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _bounds, _exact
from geo_service.siting._cover import Units, indices
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, Plan, Progress, judge

_SHAKES_PER_SECOND = 12
_BOUND_STEPS_PER_SECOND = 200
_BLOCK_ENTRIES = 400_000  # costs looked at in one step of a pass over all swaps
_EXACT_ARCS = 60_000
_WHOLE_LIMIT = 2.0**52  # sums of costs stay exact in float64


@dataclass(frozen=True, eq=False)
class _Costs:
    """Weighted costs as whole numbers in float64.

    Parameters
    ----------
    whole : ndarray, shape (candidates, demand)
        Units; a pair that can't be served costs `apart`.
    apart : float
        More than any plan without such a pair costs.
    scale, slack : float
        As in `Units`.
    given : ndarray
        The caller's cost times weight, infinite where there is none.
    """

    whole: FloatArray
    apart: float
    scale: float
    slack: float
    given: FloatArray


def p_median(
    cost: Any,
    weights: npt.ArrayLike | None,
    count: int,
    *,
    existing: npt.ArrayLike = (),
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose `count` sites with the least total weighted cost of everyone's nearest site.

    Parameters
    ----------
    cost : array or sparse matrix, shape (candidates, demand)
        Cost of serving a demand from a candidate, 0 or more. In a sparse matrix a stored zero is a
        cost of 0 and a pair that isn't stored can't be served; in an array infinity says so.
    weights : array_like, shape (demand,), or None
        Weight of each demand; 1 each for ``None``.
    count : int
        Sites to choose, 1 or more, `must` among them.
    existing, must, never : array_like of int or of bool, optional
        Candidates that are open already and don't count, that have to be chosen, that may not be.
    seconds : float
        Time promised.
    seed : int
        Seed of the search.
    on_progress : callable, optional
        Called with the share done and the step's name.

    Returns
    -------
    Plan
        ``curve`` is the least cost known for 1, 2, ... sites (infinite where someone is left out).

    Raises
    ------
    InputError
        ``too_few_candidates``, ``parameter_invalid``, ``plan_infeasible`` when no plan was found
        that serves everyone.

    Examples
    --------
    >>> plan = p_median([[0, 1, 9], [1, 0, 8], [9, 8, 0]], None, 2)
    >>> plan.sites.tolist(), plan.objective, plan.status
    ([1, 2], 1.0, 'optimal')
    """
    if any(np.size(given) for given in (existing, must, never)):
        return _beside(cost, weights, count, existing, must, never, seconds, seed, on_progress)
    clock = Clock(seconds, on_progress)
    costs = _read(cost, weights)
    n_rows, n_demand = costs.whole.shape
    if int(count) != count or count < 1:
        reason = Phrase("应为 1 或更大的整数", "must be a whole number, 1 or more")
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if count > n_rows:
        raise InputError("too_few_candidates", count=int(count), candidates=n_rows)
    greedy = _greedy(costs.whole, int(count))
    clock.tell(0.1, "swaps")
    best = _improve(costs.whole, greedy, seed=seed, clock=clock)
    value = _value(costs.whole, best)
    whole = value < costs.apart  # else somebody is served by nobody yet
    clock.tell(0.5, "bound", _own_value(costs, best) if whole else None)
    bound = _lagrange(costs.whole, best, value, clock)
    if bound.value < value:
        clock.tell(0.7, "proof", bound=(bound.value - costs.slack) / costs.scale)
        best, value, bound = _close(costs.whole, best, value, bound, clock, seed)
    if value >= costs.apart:
        nobody = int(np.count_nonzero(costs.whole[best].min(axis=0) >= costs.apart))
        reason = Phrase(
            f"选 {int(count)} 处时，{n_demand} 处需求中仍有 {nobody} 处服务不到",
            f"with {int(count)} sites {nobody} of {n_demand} demands stay unserved",
        )
        raise InputError("plan_infeasible", reason=reason)
    sites = np.sort(best)[_greedy(costs.whole[np.sort(best)], len(best))]
    objective = _own_value(costs, sites)
    curve = np.minimum(_curve(costs, greedy), _curve(costs, sites))
    curve[-1] = objective
    low = (bound.value - costs.slack) / costs.scale
    low = low if not costs.slack else max(0.0, math.nextafter(low, -math.inf))
    clock.tell(1.0, "done", objective, objective if bound.value == value else low)
    return judge(
        sites=sites,
        objective=objective,
        bound=low,
        curve=curve,
        proven=bound.value == value,
        clock=clock,
    )


def _beside(
    cost: Any,
    weights: npt.ArrayLike | None,
    count: int,
    existing: npt.ArrayLike,
    must: npt.ArrayLike,
    never: npt.ArrayLike,
    seconds: float,
    seed: int,
    on_progress: Progress | None,
) -> Plan:
    """Settle what is given: nobody walks further than to the nearest site that is open anyway."""
    clock = Clock(seconds, on_progress)
    table = _dense(cost)
    size = len(table)
    there = indices(existing, size, name="existing")
    demanded = np.setdiff1d(indices(must, size, name="must"), there)
    barred = indices(never, size, name="never")
    clash = np.intersect1d(demanded, barred)
    if len(clash):
        shown = clash[:5].tolist()
        reason = Phrase(f"候选点 {shown} 既必选又禁选",
                        f"candidates {shown} are both demanded and forbidden")  # fmt: skip
        raise InputError("plan_infeasible", reason=reason)
    free = np.setdiff1d(np.arange(size), np.concatenate([there, demanded, barred]))
    wanted = int(count) - len(demanded)
    if wanted < 0:
        reason = Phrase(
            f"必选 {len(demanded)} 处，数量只允许 {count} 处",
            f"{len(demanded)} sites are demanded, the count allows {count}",
        )
        raise InputError("plan_infeasible", reason=reason)
    if wanted > len(free):
        raise InputError(
            "too_few_candidates", count=int(count), candidates=len(free) + len(demanded)
        )
    nearest = table[there].min(axis=0, initial=np.inf)
    nearer = np.minimum.accumulate(np.vstack([nearest, table[demanded]]), axis=0)
    # With no site left to choose, one that helps nobody stands in for what is open.
    open_to_choice = np.minimum(table[free], nearer[-1]) if wanted else nearer[-1:]
    plan = p_median(open_to_choice, weights, max(wanted, 1), seconds=max(clock.left(), 0.01),
                    seed=seed, on_progress=on_progress)  # fmt: skip
    weigh = np.ones(table.shape[1]) if weights is None else np.asarray(weights, dtype=float)
    live = weigh > 0
    curve = (nearer[1:, live] * weigh[live]).sum(axis=1)
    sites = np.concatenate([demanded, free[plan.sites] if wanted else demanded[:0]])
    return replace(plan, sites=sites, seconds=clock.spent(),
                   curve=np.concatenate([curve, plan.curve if wanted else curve[:0]]))  # fmt: skip


def _dense(cost: Any) -> FloatArray:
    """Costs as a full table, infinite where a pair can't be served."""
    if not sparse.issparse(cost):
        return np.array(cost, dtype=float)
    table: Any = sparse.csr_array(cost).tocoo()  # type: ignore[call-overload]  # issparse narrows too far
    dense = np.full(table.shape, np.inf)
    dense[table.coords] = table.data
    return dense


def _read(cost: Any, weights: npt.ArrayLike | None) -> _Costs:
    """Check costs and weights and turn their products into whole numbers."""
    dense = _dense(cost)
    if dense.ndim != 2 or 0 in dense.shape:
        raise InputError(
            "parameter_invalid",
            name="cost",
            value=dense.shape,
            reason=Phrase("不是二维表", "not a table"),
        )
    if np.isnan(dense).any() or (dense < 0).any():
        reason = Phrase(
            "应为 0 或更大；服务不到的一对写无穷大",
            "must be 0 or more, or infinite where a pair can't be served",
        )
        worst = dense[np.isnan(dense) | (dense < 0)][0]
        raise InputError("parameter_invalid", name="cost", value=worst, reason=reason)
    weigh = Units.of(np.ones(dense.shape[1]) if weights is None else weights, name="weights").given
    if len(weigh) != dense.shape[1]:
        reason = Phrase(
            f"成本表有 {dense.shape[1]} 列需求", f"the cost has {dense.shape[1]} demand columns"
        )
        raise InputError("parameter_invalid", name="weights", value=len(weigh), reason=reason)
    served = np.isfinite(dense)
    dense[:, weigh == 0.0] = 0.0
    served[:, weigh == 0.0] = True
    dense[served] *= np.broadcast_to(weigh, dense.shape)[served]
    most = float(np.where(served, dense, 0.0).max(axis=0).sum())
    room = _WHOLE_LIMIT / (1.0 if served.all() else dense.shape[1] + 1.0)
    whole = np.where(served, dense, 0.0)
    scale, slack = 1.0, 0.0
    if most > room or not np.array_equal(whole, np.rint(whole)):
        scale = 2.0 ** math.floor(math.log2(room / max(most, 1e-300)) - 1)
        whole = np.rint(whole * scale)
        slack = 0.5 * dense.shape[1]
    apart = float(whole.max(axis=0).sum()) + 1.0
    whole[~served] = apart
    return _Costs(whole, apart, scale, slack, dense)


def _greedy(costs: FloatArray, count: int) -> IntArray:
    """Choose rows one by one, each lowering the sum of column minima most (of equals the first)."""
    now = costs.max(axis=0)
    heap = [(-float(np.sum(now - row)), at) for at, row in enumerate(costs)]
    heapq.heapify(heap)
    asked = np.zeros(len(costs), dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < count:
        _, row = heapq.heappop(heap)
        if asked[row] == len(chosen):
            chosen.append(row)
            now = np.minimum(now, costs[row])
            continue
        asked[row] = len(chosen)
        gain = float(np.maximum(now - costs[row], 0.0).sum())
        heapq.heappush(heap, (-gain, row))
    return np.asarray(chosen, dtype=np.int64)


def _improve(costs: FloatArray, start: IntArray, *, seed: int, clock: Clock) -> IntArray:
    """Swap until no swap helps; then shake the best plan ever harder and swap again."""
    random = np.random.default_rng(seed)
    best = _descend(costs, start, clock)
    if len(best) == len(costs):
        return best
    value = _value(costs, best)
    hardest = max(2, min(len(best), len(costs) - len(best), 12))
    strength = 1
    for _ in range(max(1, int(_SHAKES_PER_SECOND * clock.seconds))):
        if clock.out_of_time(0.5):
            break
        strength = min(strength, len(best), len(costs) - len(best))
        closed = np.setdiff1d(np.arange(len(costs)), best)
        shaken = best.copy()
        out = random.choice(len(best), strength, replace=False)
        shaken[out] = random.choice(closed, strength, replace=False)
        tried = _descend(costs, shaken, clock)
        if _value(costs, tried) < value:
            best, value, strength = tried, _value(costs, tried), 1
        else:
            strength = strength % hardest + 1
    return best


def _descend(costs: FloatArray, chosen: IntArray, clock: Clock) -> IntArray:
    """Make the best swap of each block of candidates until a whole round finds none."""
    chosen = chosen.copy()
    n_rows, n_demand = costs.shape
    size = max(1, _BLOCK_ENTRIES // n_demand)
    blocks = [np.arange(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]
    idle, turn = 0, 0
    while idle < len(blocks) and not clock.out_of_time(0.6):
        block = blocks[turn % len(blocks)]
        turn += 1
        saving, slot, row = _best_swap(costs, chosen, block)
        if saving <= 0.0:
            idle += 1
            continue
        chosen[slot] = row
        idle = 0
    return chosen


def _best_swap(costs: FloatArray, chosen: IntArray, block: IntArray) -> tuple[float, int, int]:
    """The swap that saves most: what is saved, the slot that closes, the row that opens.

    Opening row j saves ``max(0, d1 - c_j)``; closing the slot that serves a demand sends it to the
    new row or its second nearest, whichever is nearer.
    """
    block = block[~np.isin(block, chosen)]
    if len(block) == 0:
        return 0.0, 0, 0
    mine = costs[chosen]
    nearest = mine.argmin(axis=0)
    columns = np.arange(costs.shape[1])
    first = mine[nearest, columns]
    second = np.full(costs.shape[1], costs.max() if len(chosen) == 1 else 0.0)
    if len(chosen) > 1:
        second = np.partition(mine, 1, axis=0)[1]
    some = costs[block]
    saved = np.maximum(first - some, 0.0).sum(axis=1)
    lost = np.maximum(np.minimum(some, second) - first, 0.0)
    by_slot = sparse.csr_array(
        (np.ones(len(columns)), (nearest, columns)), shape=(len(chosen), len(columns))
    )
    net = saved[:, None] - (by_slot @ lost.T).T
    at = int(net.argmax())
    row, slot = divmod(at, len(chosen))
    return float(net[row, slot]), slot, int(block[row])


def _lagrange(costs: FloatArray, best: IntArray, known: float, clock: Clock) -> _bounds.Bound:
    """Bound the cost from below: ``sum u + (the p smallest of sum_i min(0, c_ij - u_i))``."""
    count = len(best)
    columns = costs.shape[1]

    def relaxed(u: FloatArray) -> tuple[float, FloatArray]:
        below = np.minimum(costs - u, 0.0)
        sums = below.sum(axis=1)
        inside = _bounds.largest(-sums, count)
        value = -float(u.sum() + sums[inside].sum())
        return value, np.ones(columns) - (below[inside] < 0.0).sum(axis=0)

    mine = np.sort(costs[best], axis=0)
    start = mine[min(1, count - 1)].copy()
    u = _bounds.volume(
        relaxed,
        start,
        upper=costs.max(axis=0),
        known=-known,
        steps=int(_BOUND_STEPS_PER_SECOND * clock.seconds),
        clock=clock,
        until=0.8,
        enough=0.999,
    )
    # Summed once more in whole 1/256 units, so that the bound holds whatever the roundings were.
    fine = np.rint(u * _bounds.FINE).astype(np.int64)
    sums = _fine_sums(costs, fine)
    total = sum(fine.tolist()) + sum(sums[_bounds.largest(-sums, count)].tolist())
    return _bounds.Bound(max(0, -(-total // _bounds.FINE)), fine / _bounds.FINE)


def _fine_sums(costs: FloatArray, fine: IntArray) -> IntArray:
    """``sum_i min(0, c_ij - u_i)`` of each row in whole 1/256 units."""
    return np.array(
        [
            np.minimum(row.astype(np.int64) * _bounds.FINE - fine, 0).sum(dtype=np.int64)
            for row in costs
        ],
        dtype=np.int64,
    )


def _close(
    costs: FloatArray, best: IntArray, value: float, bound: _bounds.Bound, clock: Clock, seed: int
) -> tuple[IntArray, float, _bounds.Bound]:
    """Rule out candidates and walks by the bound; prove the rest with HiGHS where it is small."""
    u = bound.multipliers
    sums = np.minimum(costs - u, 0.0).sum(axis=1)
    inside = _bounds.largest(-sums, len(best))
    total = float(u.sum() + sums[inside].sum())
    room = value - 1.0 - total + 1e-3  # a better plan costs at least one unit less
    rows = np.flatnonzero(inside | (sums - sums[inside].max() <= room))
    usable = np.maximum(costs[rows] - u, 0.0) <= room
    seconds = clock.left() - 0.03 * clock.seconds
    if usable.sum() > _EXACT_ARCS or seconds <= 0:
        return best, value, bound
    if not usable.any(axis=0).all():  # some demand has no walk left: nothing better exists
        return best, value, _bounds.Bound(int(value), u)
    solved = _exact.minimise(
        *_model(costs[rows], usable, len(best)), whole=len(rows), seconds=seconds, seed=seed
    )
    if solved.finished and solved.values is not None:
        picked = rows[_exact.opened(solved.values, len(rows))]
        if len(picked) == len(best) and _value(costs, picked) < value:
            best, value = picked, _value(costs, picked)
    if solved.finished:
        return best, value, _bounds.Bound(int(value), u)
    proved = math.ceil(solved.bound - 1e-4) if math.isfinite(solved.bound) else bound.value
    return best, value, _bounds.Bound(min(int(value), max(bound.value, proved)), u)


def _model(
    costs: FloatArray, usable: BoolArray, count: int
) -> tuple[FloatArray, sparse.csc_array, FloatArray, FloatArray]:
    """Costs, matrix and bounds; columns y (open) then x (served from), an arc per usable pair."""
    row, demand = np.nonzero(usable)
    n_rows, n_demand, n_arcs = len(costs), costs.shape[1], len(row)
    arcs = np.arange(n_arcs)
    ones = np.ones(n_arcs)
    everyone = sparse.csc_array((ones, (demand, n_rows + arcs)), shape=(n_demand, n_rows + n_arcs))
    only_open = sparse.csc_array(
        (
            np.concatenate([ones, -ones]),
            (np.concatenate([arcs, arcs]), np.concatenate([row, n_rows + arcs])),
        ),
        shape=(n_arcs, n_rows + n_arcs),
    )
    number = sparse.csc_array(np.concatenate([np.ones(n_rows), np.zeros(n_arcs)])[None, :])
    lower = np.concatenate([np.ones(n_demand), np.zeros(n_arcs), [float(count)]])
    upper = np.concatenate([np.ones(n_demand), np.full(n_arcs, np.inf), [float(count)]])
    body = sparse.csc_array(sparse.vstack([everyone, only_open, number], format="csc"))
    return np.concatenate([np.zeros(n_rows), costs[row, demand]]), body, lower, upper


def _value(costs: FloatArray, chosen: IntArray) -> float:
    return float(costs[chosen].min(axis=0).sum())


def _own_value(costs: _Costs, chosen: IntArray) -> float:
    """The cost in the caller's own numbers, rounded once."""
    return math.fsum(costs.given[chosen].min(axis=0).tolist())


def _curve(costs: _Costs, chosen: IntArray) -> FloatArray:
    """Cost of the first 1, 2, ... sites."""
    now = np.full(costs.given.shape[1], np.inf)
    curve = np.empty(len(chosen))
    for place, row in enumerate(chosen.tolist()):
        now = np.minimum(now, costs.given[row])
        curve[place] = now.sum()
    return curve
