"""Covering plans under rules: from the question to a game of whole numbers, and back to a plan."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _exact, _ruled
from geo_service.siting._cover import Units, cover_of
from geo_service.siting._rule_swaps import Game
from geo_service.siting.plans import (
    BoolArray,
    Clock,
    FloatArray,
    IntArray,
    Plan,
    Proof,
    judge,
)
from geo_service.siting.rules import NO_LIMIT, Rules, Settled, settle

_EXACT: Proof = "whole_numbers"
_PART_OF_A_CAP = 0.12  # of the promised time, for each cap that is tried


@dataclass(frozen=True, eq=False)
class Question:
    """A covering problem as it was asked, checked.

    Parameters
    ----------
    rows : csr_array
        All candidates x demand.
    units : Units
    covered : ndarray of bool
        Demand that something other than a candidate covers.
    there, must, free : ndarray of int
        Candidates that exist, are demanded, may be chosen: disjoint.
    count : int or None
    rules : Rules
    worth : ndarray of int
        As in `Game`.
    worth_parts : int
        What a unit of weight is worth when it counts in full.
    """

    rows: sparse.csr_array
    units: Units
    covered: BoolArray
    there: IntArray
    must: IntArray
    free: IntArray
    count: int | None
    rules: Rules
    worth: IntArray
    worth_parts: int = 1


def most_worth(question: Question, *, clock: Clock, seed: int) -> Plan:
    """The choice worth most that keeps to the rules."""
    settled, game = game_of(question)
    parts = question.units.scale * question.worth_parts

    def upper(whole: int) -> float:
        return question.units.upper(-(-whole // question.worth_parts))

    def tell(share: float, step: str, value: int, bound: int) -> None:
        clock.tell(share, step, value / parts, upper(bound))

    found = _ruled.search(game, clock=clock, seed=seed, told=tell)
    plan = told(question, settled, found.is_open)
    objective = float(plan.curve[-1]) if len(plan.sites) else game.value(found.is_open) / parts
    bound = max(upper(found.bound), objective)
    clock.tell(1.0, "done", objective, bound)
    return judge(
        sites=plan.sites, objective=objective, bound=bound, curve=plan.curve,
        proven=found.bound == found.value, clock=clock, proof=found.proof,
        closed=plan.closed, cost=plan.cost,
    )  # fmt: skip


def cheapest(question: Question, target: int, *, by_cost: bool, clock: Clock, seed: int) -> Plan:
    """The fewest sites (or the least money) that reach `target` units and keep to the rules.

    The cap on sites or money is halved between what is known to be too little and the best plan;
    each cap is a question of the most weight.
    """
    settled, game = game_of(question)
    price = settled.costs if by_cost else np.ones(len(settled.places), dtype=np.int64)
    spent = settled.spent if by_cost else int(np.isin(question.must, settled.fixed).sum())
    parts = 1e6 if by_cost else 1.0
    capped = replace(game, rules=game.rules.also(price, -NO_LIMIT, NO_LIMIT, "cap"))
    cap = len(capped.rules.names) - 1
    best = _enough(question, capped, target, clock, seed)
    low, proof = _least_cap(capped, target), _EXACT
    failed = low - 1  # the largest cap that was tried without finding or ruling out a plan
    for _ in range(60):
        high = int(price[best].sum())
        tried = max(low, (max(failed, low - 1) + high) // 2)
        if tried >= high or clock.out_of_time(0.6):
            break
        clock.tell(0.1 + 0.5 * clock.spent() / clock.seconds, "swaps",
                   (spent + high) / parts, (spent + low) / parts)  # fmt: skip
        asked = replace(capped, rules=capped.rules.but(high={cap: tried}))
        until = clock.spent() / clock.seconds + _PART_OF_A_CAP
        try:
            found = _ruled.search(
                asked, clock=clock, seed=seed, until=until, part=_PART_OF_A_CAP, target=target
            )
        except InputError as refusal:  # so little money or so few sites keep to no rule
            failed = max(failed, tried)
            low = max(low, tried + 1) if refusal.details["proven"] else low
            continue
        if found.value >= target:
            best = found.is_open
        elif found.bound < target:
            low, failed = max(low, tried + 1), max(failed, tried)
            proof = found.proof
        else:
            failed = tried
    if low < int(price[best].sum()):
        clock.tell(0.6, "proof", (spent + int(price[best].sum())) / parts, (spent + low) / parts)
        best, low, proof = _prove(capped, price, best, target, low, clock, seed, proof)
    plan = told(question, settled, best)
    value = int(price[best].sum())
    objective = (spent + value) / parts
    bound = min((spent + low) / parts, objective)
    clock.tell(1.0, "done", objective, bound)
    return judge(
        sites=plan.sites, objective=objective, bound=bound,
        curve=plan.curve, proven=low >= value, clock=clock, proof=proof,
        closed=plan.closed, cost=plan.cost,
    )  # fmt: skip


def game_of(question: Question) -> tuple[Settled, Game]:
    settled = settle(
        question.rules, question.rows.shape[0], count=question.count, there=question.there,
        must=question.must, free=question.free,
    )  # fmt: skip
    rows = question.rows[settled.places]
    cover = cover_of(rows, question.units.whole, settled.places)
    fixed = question.rows[settled.fixed].indices
    base = np.bincount(fixed, minlength=rows.shape[1]) + np.where(question.covered, 1, 0)
    base = np.minimum(base, len(question.worth) - 1)
    needs = np.full(rows.shape[0], -1, dtype=np.int64)
    game = Game(cover.rows, cover.columns, question.units.whole, base, question.worth,
                settled.rows, needs)  # fmt: skip
    return settled, game


def _enough(question: Question, game: Game, target: int, clock: Clock, seed: int) -> BoolArray:
    """A choice that reaches the target; refuse with the most that can be reached."""
    clock.tell(0.0, "swaps")
    until = clock.spent() / clock.seconds + 0.2
    found = _ruled.search(game, clock=clock, seed=seed, until=until, part=0.2, target=target)
    if found.value >= target:
        return found.is_open
    total = max(int(question.units.whole.sum()), 1)
    best, bound = 100.0 * found.value / total, 100.0 * found.bound / total
    reached_best = np.floor(best * 1e4) / 1e4
    if found.bound < target:
        reason = Phrase(
            f"在这些条件下最多覆盖 {np.ceil(bound * 1e4) / 1e4:.4f} %，已找到 {reached_best:.4f} %",
            f"these conditions allow {np.ceil(bound * 1e4) / 1e4:.4f} % at most; "
            f"{reached_best:.4f} % was found",
        )
    else:
        reason = Phrase(
            f"时限内只找到覆盖 {reached_best:.4f} % 的方案，尚不能证明没有更好的；请给更多秒数",
            f"in the time given {reached_best:.4f} % was reached, and no proof that more is "
            "impossible; allow more seconds",
        )
    raise InputError("plan_infeasible", reason=reason, reachable_percent=float(reached_best))


def _least_cap(game: Game, target: int) -> int:
    """A cap below which no choice lies whatever it reaches: nothing, or what closing saves."""
    entries = np.asarray(game.rules.table[[len(game.rules.names) - 1]].todense()).ravel()
    short = game.value(np.zeros(len(entries), dtype=bool)) < target
    positive = entries[entries > 0]
    least = int(entries[entries < 0].sum())
    return least + (int(positive.min()) if short and least == 0 and len(positive) else 0)


def _prove(
    game: Game,
    price: IntArray,
    best: BoolArray,
    target: int,
    low: int,
    clock: Clock,
    seed: int,
    proof: Proof,
) -> tuple[BoolArray, int, Proof]:
    """Minimise the price itself by branch and cut, with the target as one more row."""
    seconds = 0.97 * clock.seconds - clock.spent()
    small = _ruled.reduced(game)
    apart = game.value(best) - small.value(best)
    if seconds <= 0.05 or small.rows.nnz > 400_000:
        return best, low, proof
    model = _ruled.program(small)
    size = len(best)
    weight = -model.cost * model.unit
    wanted = float(target - apart)
    scale = max(wanted, 1.0)
    table = sparse.vstack([model.table, sparse.csc_array((weight / scale)[None, :])], format="csc")
    unit = float(max(np.gcd.reduce(np.abs(price)), 1)) if len(price) else 1.0
    cost = np.concatenate([price / unit, np.zeros(len(model.cost) - size)])
    solved = _exact.minimise(
        cost, sparse.csc_array(table), np.append(model.low, wanted / scale),
        np.append(model.high, np.inf), whole=model.whole, seconds=seconds, seed=seed,
        start=model.start(best),
    )  # fmt: skip
    value = int(price[best].sum())
    if solved.values is not None:
        tried = solved.values[:size] > 0.5
        fits = game.rules.kept(tried) and game.value(tried) >= target
        if fits and int(price[tried].sum()) < value:
            best, value = tried, int(price[tried].sum())
            clock.cut |= not solved.finished
    told = solved.value if solved.finished else solved.bound
    if np.isfinite(told):
        proved = int(np.ceil(told - 1e-4) * unit)
        if proved > low:
            return best, min(proved, value), "branch_and_cut"
    return best, low, proof


def _in_order(
    question: Question, settled: Settled, is_open: BoolArray
) -> tuple[IntArray, FloatArray]:
    """Sites in building order, demanded ones first, and what the first 1, 2, ... are worth."""
    kept = settled.places[is_open & ~settled.is_new]
    stays = np.concatenate([np.setdiff1d(settled.fixed, question.must), kept])
    times = np.bincount(question.rows[stays].indices, minlength=question.rows.shape[1])
    times = times + np.where(question.covered, 1, 0)
    top = len(question.worth) - 1
    given, parts = question.units.given, question.worth_parts

    def gain(row: int) -> float:
        reach = question.rows.indices[question.rows.indptr[row] : question.rows.indptr[row + 1]]
        now = np.minimum(times[reach], top)
        later = np.minimum(times[reach] + 1, top)
        return float((given[reach] * (question.worth[later] - question.worth[now])).sum())

    sites: list[int] = []
    worth: list[float] = []

    def build(row: int) -> None:
        reach = question.rows.indices[question.rows.indptr[row] : question.rows.indptr[row + 1]]
        times[reach] += 1
        sites.append(row)
        levels = question.worth[np.minimum(times, top)]
        if parts == 1 and top == 1:
            worth.append(question.units.sum(levels > 0))
        else:
            worth.append(float((given * levels).sum()) / parts)

    for row in question.must.tolist():
        build(row)
    chosen = np.sort(settled.places[is_open & settled.is_new])
    heap = [(-gain(row), row) for row in chosen.tolist()]
    heapq.heapify(heap)
    while heap:
        _, row = heapq.heappop(heap)
        now = -gain(row)
        if heap and (now, row) > heap[0]:
            heapq.heappush(heap, (now, row))
            continue
        build(row)
    return np.asarray(sites, dtype=np.int64), np.asarray(worth, dtype=float)


@dataclass(frozen=True, eq=False)
class Told:
    """A choice in the caller's numbers: sites in building order, what the first ones are worth."""

    sites: IntArray
    curve: FloatArray
    closed: IntArray
    cost: float | None


def told(question: Question, settled: Settled, is_open: BoolArray) -> Told:
    """Put a choice into the caller's numbers."""
    sites, curve = _in_order(question, settled, is_open)
    priced = question.rules.costs is not None or question.rules.closing_costs is not None
    return Told(sites, curve, np.sort(settled.places[~is_open & ~settled.is_new]),
                settled.money(is_open) if priced else None)  # fmt: skip
