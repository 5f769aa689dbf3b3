"""The search for the best choice under rules, with its bound.

A choice is worth ``sum_i w_i F(k_i)``, where ``k_i`` says how often demand i is covered and F what
that is worth. The bound relaxes "k_i is what the open places say" with multipliers ``u_i >= 0``::

    sum_i max over m of (w_i F(m) - u_i (m - base_i))  +  max of sum_j (sum of u over j) x_j

and the maximum over x, which keeps to the rules, is bounded by the rules' own multipliers v::

    sum_j max(0, s_j - v R_j) + v high   (v low where v is negative)

Both are found in floating point, by the volume method and by HiGHS, then rounded to whole parts and
summed in whole numbers: whatever multipliers were found, the bound is valid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import highspy
import numpy as np
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _bounds, _exact
from geo_service.siting._cover import cover_of
from geo_service.siting._rule_swaps import Game, anneal
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, InUnits, Proof
from geo_service.siting.rules import NO_LIMIT, Rows, as_floats

_FINE, _FINER = 1 << 8, 1 << 40  # parts of a unit in u, and in v
_PROPOSALS_PER_SECOND, _STEPS_PER_SECOND = 150_000, 60
_LARGEST_COST = 2.0**30  # in a model: HiGHS closes gaps to 1e-6, so below this units stay apart
_EASY_ENTRIES = 3_000  # of a model that HiGHS closes sooner than a long search ends
_MOST_ENTRIES = 4_000_000  # of a model handed to HiGHS


@dataclass(frozen=True, eq=False)
class Found:
    """A choice, what it is worth, and what nothing exceeds."""

    is_open: BoolArray
    value: int
    bound: int
    proof: Proof


def reduced(game: Game) -> Game:
    """Drop demand that nothing changes, and join demand that the same places cover."""
    live = (game.weights > 0) & (np.diff(game.columns.indptr) > 0)
    live &= game.base < len(game.worth) - 1
    if not live.any():
        size = (game.rows.shape[0], 0)
        none = sparse.csr_array(size)
        return replace(game, rows=none, columns=sparse.csr_array(none.T),
                       weights=game.weights[:0], base=game.base[:0])  # fmt: skip
    columns = game.columns[np.flatnonzero(live)]
    keys = np.random.default_rng(0).integers(1, 2**62, (game.rows.shape[0], 2))
    owner = np.repeat(np.arange(columns.shape[0]), np.diff(columns.indptr))
    marks = np.zeros((columns.shape[0], 3), dtype=np.int64)
    for at in range(2):
        np.add.at(marks[:, at], owner, keys[columns.indices, at])
    marks[:, 2] = game.base[live]
    _, first, group = np.unique(marks, axis=0, return_index=True, return_inverse=True)
    twins = columns[first][group.ravel()]
    if not np.array_equal(twins.indices, columns.indices):  # marks that only look alike
        return replace(game, rows=sparse.csr_array(columns.T), columns=columns,
                       weights=game.weights[live], base=game.base[live])  # fmt: skip
    weights = np.zeros(len(first), dtype=np.int64)
    np.add.at(weights, group.ravel(), game.weights[live])
    cover = cover_of(sparse.csr_array(columns[first].T), weights, np.arange(game.rows.shape[0]))
    return replace(game, rows=cover.rows, columns=cover.columns, weights=weights,
                   base=game.base[live][first])  # fmt: skip


def search(
    game: Game,
    *,
    clock: Clock,
    seed: int,
    told: InUnits = lambda share, step, best, bound: None,
    until: float = 1.0,
    part: float = 1.0,
    target: int | None = None,
) -> Found:
    """Find the best choice that keeps to the rules, and bound it.

    Parameters
    ----------
    game : Game
    clock : Clock
    seed : int
    told : callable, optional
    until : float
        Share of the clock's time that may have passed at the end.
    part : float
        Share of the clock's time whose work is to be done: it sets how many steps are tried, so
        that they don't depend on how fast the work before went.
    target : int, optional
        Stop when so much is reached, or is shown to be out of reach.

    Raises
    ------
    InputError
        ``plan_infeasible`` when no choice keeps to the rules.
    """
    whole = game
    settled = whole.value(np.zeros(whole.rows.shape[0], dtype=bool))
    game = reduced(whole)
    base = game.value(np.zeros(game.rows.shape[0], dtype=bool))
    apart = settled - base  # worth that no choice changes
    best = feasible(game)
    begun, span = clock.spent(), max(until * clock.seconds - clock.spent(), 0.05)
    effort = part * clock.seconds

    def share(part: float) -> float:
        return (begun + part * span) / clock.seconds

    def tell(share: float, step: str, bound: int) -> None:
        told(share, step, game.value(best) + apart, min(bound, most) + apart)

    def result(bound: int, proof: Proof) -> Found:
        value = whole.value(best)
        return Found(best, value, max(bound + apart, value), proof)

    most = game.total
    aim = most if target is None else min(most, target - apart)
    if game.rows.nnz == 0:
        return result(most, "whole_numbers")
    easy = game.rows.nnz <= _EASY_ENTRIES
    tell(0.1, "swaps", most)
    proposals = 20_000 + (0 if easy else int(0.3 * _PROPOSALS_PER_SECOND * effort))
    best = anneal(game, best, proposals=proposals, seed=seed,
                  clock=clock, until=share(0.2), target=aim)  # fmt: skip
    value = game.value(best)
    if value >= aim:
        return result(most, "whole_numbers")
    tell(0.2, "bound", most)
    inner = Inner(game.rules)
    bound = most_worth(game, inner, value, steps=int(_STEPS_PER_SECOND * effort) + 100, clock=clock,
                       until=share(0.5))  # fmt: skip
    if value < bound.value and not easy and (target is None or bound.value >= aim):
        tell(0.5, "swaps", bound.value)
        again = anneal(game, best, proposals=int(_PROPOSALS_PER_SECOND * effort), seed=seed + 1,
                       clock=clock, until=share(0.7), target=min(aim, bound.value))  # fmt: skip
        if game.value(again) > value:
            best, value = again, game.value(again)
    if value >= bound.value or value >= aim or (target is not None and bound.value < aim):
        return result(bound.value, "whole_numbers")
    tell(0.7, "proof", bound.value)
    seconds = share(0.97) * clock.seconds - clock.spent()
    best, proved = _close(game, best, bound, clock=clock, seconds=seconds, seed=seed)
    if proved < bound.value:
        return result(proved, "branch_and_cut")
    return result(bound.value, "whole_numbers")


def feasible(game: Game) -> BoolArray:
    """A choice that keeps to the rules: of those, the one whose places cover most one by one.

    Raises
    ------
    InputError
        ``plan_infeasible``; its detail `proven` tells whether there surely is none.
    """
    worth = int(game.worth[-1])
    gains = np.asarray(game.rows @ (game.weights * worth).astype(float))
    found, surely = _by_rules(game.rules, gains + 1e-9 * max(float(gains.max(initial=1.0)), 1.0))
    if found is None:
        reason = why_not(game.rules) if surely else Phrase("条件太紧，未能找到", "none was found")
        raise InputError("plan_infeasible", reason=reason, proven=surely)
    return found


def _by_rules(rules: Rows, gains: FloatArray) -> tuple[BoolArray | None, bool]:
    """The choice of most gain that keeps to the rules or ``None``, and if None is proven."""
    size = rules.table.shape[1]
    if not size:
        keeps = rules.kept(np.zeros(0, dtype=bool))
        return (np.zeros(0, dtype=bool), False) if keeps else (None, True)
    scaled, low, high = _even(rules)
    solved = _exact.minimise(
        -gains / max(float(np.abs(gains).max()), 1e-300), scaled, low, high, whole=size,
        seconds=5.0, gap=0.02,
    )  # fmt: skip
    if solved.values is None:
        return None, solved.finished
    is_open = solved.values > 0.5
    # HiGHS keeps a rule to 1e-6 only: a choice beyond it proves nothing either way.
    return (is_open, False) if rules.kept(is_open) else (None, False)


def _even(rules: Rows) -> tuple[sparse.csc_array, FloatArray, FloatArray]:
    """Rules as HiGHS likes them: common factors taken out, bounds cut to what sums can reach.

    Each row is then divided by its largest entry.
    """
    low, high = as_floats(rules.low), as_floats(rules.high)
    largest = np.ones(len(low))
    for rule in range(len(low)):
        entries = rules.table.data[rules.table.indptr[rule] : rules.table.indptr[rule + 1]]
        if not entries.any():
            continue
        factor = int(np.gcd.reduce(np.abs(entries)))
        largest[rule] = float(np.abs(entries).max())
        if np.isfinite(low[rule]):
            low[rule] = float(-(-int(rules.low[rule]) // factor) * factor)
        if np.isfinite(high[rule]):
            high[rule] = float(int(rules.high[rule]) // factor * factor)
    table: Any = sparse.diags_array(1.0 / largest) @ rules.table.astype(float)
    return sparse.csc_array(table), low / largest, high / largest


def why_not(rules: Rows) -> Phrase:
    """Say which rule makes a choice impossible, and what it would have to be."""
    size = rules.table.shape[1]
    for name in ("count", "budget"):
        if name not in rules.names:
            continue
        at = rules.names.index(name)
        entries = np.asarray(rules.table[[at]].todense()).ravel()
        cheapest, _ = _by_rules(rules.but(dropped=name), -entries.astype(float))
        if cheapest is None:
            continue
        least, allowed = int(entries[cheapest].sum()), int(rules.high[at])
        if name == "count":
            return Phrase(
                f"其他条件至少需要 {least} 处，数量只允许 {allowed} 处",
                f"the other conditions need {least} sites, the count allows {allowed}",
            )
        return Phrase(
            f"其他条件至少需要 {least / 1e6:g}，预算只剩 {allowed / 1e6:g}",
            f"the other conditions cost {least / 1e6:g}, the budget leaves {allowed / 1e6:g}",
        )
    low = {name for name, low in zip(rules.names, rules.low, strict=True) if low > -NO_LIMIT}
    told = "、".join(sorted(low)), ", ".join(sorted(low))
    return Phrase(
        f"各分组的条件互相矛盾（{told[0]}，共 {size} 个候选点）",
        f"the conditions on groups contradict each other ({told[1]}; {size} candidates)",
    )


class Inner:
    """The best relaxed choice for given gains, asked again and again: HiGHS keeps its basis."""

    def __init__(self, rules: Rows) -> None:
        self.rules = rules
        self._count = int(rules.high[0]) if rules.names == ["count"] else None
        if self._count is None:
            scaled, low, high = _even(rules)
            largest = np.asarray(abs(rules.table).max(axis=1).todense()).ravel()
            self._scale = np.maximum(largest, 1).astype(float)
            self._solver = _exact.relaxed(np.zeros(rules.table.shape[1]), scaled, low, high)

    def best(self, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shares opened (0 to 1), and the multiplier of each rule."""
        size = len(gains)
        if self._count is not None:
            inside = _bounds.largest(gains, self._count)
            last = float(gains[inside].min(initial=np.inf)) if self._count < size else 0.0
            return inside.astype(float), np.array([max(last, 0.0) if np.isfinite(last) else 0.0])
        scale = max(float(np.abs(gains).max()), 1e-300)
        solver = self._solver
        solver.changeColsCost(size, np.arange(size, dtype=np.int32), -gains / scale)
        solver.run()
        told = solver.getSolution()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return np.zeros(size), np.zeros(len(self._scale))
        duals = -np.asarray(told.row_dual) * scale / self._scale
        return np.asarray(told.col_value), duals


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound in units of worth, and the bound's change when a place is forced the other way."""

    value: int
    multipliers: FloatArray
    reduced_gains: FloatArray
    exact: float


def most_worth(
    game: Game,
    inner: Inner,
    known: int,
    *,
    steps: int,
    clock: Clock,
    until: float,
    start: FloatArray | None = None,
) -> Bound:
    """Bound what any choice that keeps to the rules is worth."""
    weights, base = game.weights.astype(float), game.base.astype(float)
    worth = game.worth.astype(float)
    steepest = float(np.max(np.diff(worth)))
    often = np.arange(len(worth), dtype=float)
    # Open places may be covered already: more often than base counts only from base on.
    table = weights[:, None] * worth[None, :]
    table[often[None, :] < base[:, None]] = -np.inf

    def relaxed(u: FloatArray) -> tuple[float, FloatArray]:
        sums = game.rows @ u
        x, v = inner.best(sums)
        offers = table - u[:, None] * (often[None, :] - base[:, None])
        at = offers.argmax(axis=1)
        value = float(offers[np.arange(len(u)), at].sum()) + _rule_value(inner.rules, sums, v)
        return value, at - base - game.columns @ x

    u = _bounds.volume(
        relaxed, 0.5 * steepest * weights if start is None else start, upper=steepest * weights,
        known=float(known), steps=steps, clock=clock, until=until, look_every=10,
    )  # fmt: skip
    fine = np.rint(u * _FINE).astype(np.int64)
    sums = game.rows.astype(np.int64) @ fine
    _, v = inner.best(sums / _FINE)
    whole_often = np.arange(len(worth))
    offers = _FINE * game.weights[:, None] * game.worth[None, :] - fine[:, None] * (
        whole_often[None, :] - game.base[:, None]
    )
    offers[whole_often[None, :] < game.base[:, None]] = np.iinfo(np.int64).min
    own = sum(offers.max(axis=1).tolist())
    rule_value, gains = _whole_rule_value(inner.rules, sums, v)
    total = own * _FINER + rule_value
    unit = _FINE * _FINER
    return Bound(min(total // unit, game.total), fine / _FINE, gains, total / unit)


def _rule_value(rules: Rows, sums: FloatArray, v: FloatArray) -> float:
    bounded = np.where(v >= 0, as_floats(rules.high), as_floats(rules.low))
    left = sums - rules.table.T @ v
    return float(np.maximum(left, 0.0).sum() + (v * np.where(v == 0.0, 0.0, bounded)).sum())


def _whole_rule_value(rules: Rows, sums: IntArray, v: FloatArray) -> tuple[int, FloatArray]:
    """The bound on ``sum s_j x_j`` in parts of 1 / (_FINE * _FINER), in Python's integers."""
    multipliers = []
    total = 0
    for value, low, high in zip(v.tolist(), rules.low.tolist(), rules.high.tolist(), strict=True):
        whole = round(value * _FINE * _FINER)
        if (whole > 0 and high >= NO_LIMIT) or (whole < 0 and low <= -NO_LIMIT):
            whole = 0
        multipliers.append(whole)
        total += whole * (high if whole > 0 else low if whole < 0 else 0)
    left = [value * _FINER for value in sums.tolist()]
    table = rules.table.tocoo()
    for rule, place, entry in zip(*(part.tolist() for part in (*table.coords, table.data)),
                                  strict=True):  # fmt: skip
        left[place] -= multipliers[rule] * entry
    total += sum(value for value in left if value > 0)
    return total, np.array([value / (_FINE * _FINER) for value in left])


def _close(
    game: Game, best: BoolArray, bound: Bound, *, clock: Clock, seconds: float, seed: int
) -> tuple[BoolArray, int]:
    """Fix places by their reduced gains and hand the rest to HiGHS."""
    value = game.value(best)
    size = game.rows.shape[0]
    steps = len(game.worth) - 1
    if seconds <= 0.05 or game.rows.nnz * steps > _MOST_ENTRIES:
        return best, bound.value
    room = bound.exact - (value + 1) + 1e-6 * max(1.0, abs(bound.exact))
    closed, kept = bound.reduced_gains < -room, bound.reduced_gains > room
    model = program(game, closed=closed, kept=kept)
    start = model.start(best) if not (best & closed).any() and best[kept].all() else None
    solved = _exact.minimise(
        model.cost, model.table, model.low, model.high, whole=model.whole, seconds=seconds,
        start=start, seed=seed, floor=model.floor, ceiling=model.ceiling,
    )  # fmt: skip
    fits = False
    if solved.values is not None:
        tried = solved.values[:size] > 0.5
        fits = game.rules.kept(tried)
        if fits and game.value(tried) > value:
            best, value = tried, game.value(tried)
            clock.cut |= not solved.finished  # a faster machine would have found more
    proved = bound.value
    if solved.finished:  # a plan that keeps a rule to HiGHS's tolerance only still counts as better
        proved = value if fits or solved.values is None else round(-solved.value * model.unit)
        proved = min(bound.value, proved)
    elif np.isfinite(solved.bound):
        proved = min(bound.value, int(np.floor(-solved.bound * model.unit)))
    return best, max(proved, value)


@dataclass(frozen=True, eq=False)
class Program:
    """A model for HiGHS: columns x, then how often each demand is covered."""

    cost: FloatArray
    table: sparse.csc_array
    low: FloatArray
    high: FloatArray
    floor: FloatArray
    ceiling: FloatArray
    whole: int
    unit: float
    game: Game

    def start(self, is_open: BoolArray) -> FloatArray:
        """A known choice as a solution."""
        top = len(self.game.worth) - 1
        times = np.minimum(self.game.times(is_open), top)
        levels = [(times >= level).astype(float) for level in range(1, top + 1)]
        return np.concatenate([is_open.astype(float), *levels])


def program(
    game: Game, *, closed: BoolArray | None = None, kept: BoolArray | None = None
) -> Program:
    """The model in full: ``sum_m y_im <= base_i + sum_j x_j``, ``y_i1 >= y_i2``, and the rules.

    Where being covered once more is worth more than the time before, y are whole numbers too.
    """
    size, n_demand = game.rows.shape
    top = len(game.worth) - 1
    gains = np.diff(game.worth)
    concave = bool((np.diff(gains) <= 0).all())
    columns = sparse.csc_array(game.columns.astype(float))
    eye = sparse.eye_array(n_demand, format="csc")
    blocks: list[list[Any]] = [[columns] + [-eye] * top]
    lows, highs = [-game.base.astype(float)], [np.full(n_demand, np.inf)]
    for level in range(top - 1):
        row: list[Any] = [sparse.csc_array((n_demand, size))]
        row += [eye if at == level else -eye if at == level + 1 else
                sparse.csc_array((n_demand, n_demand)) for at in range(top)]  # fmt: skip
        blocks.append(row)
        lows.append(np.zeros(n_demand))
        highs.append(np.full(n_demand, np.inf))
    scaled, low, high = _even(game.rules)
    if len(low):
        blocks.append([scaled] + [sparse.csc_array((len(low), n_demand))] * top)
        lows.append(low)
        highs.append(high)
    unit = max(float((game.weights * game.worth[-1]).sum()) / _LARGEST_COST, 1.0)
    cost = np.concatenate([np.zeros(size), *[-(game.weights * gain) / unit for gain in gains]])
    floor, ceiling = np.zeros(len(cost)), np.ones(len(cost))
    if closed is not None:
        ceiling[:size][closed] = 0.0
    if kept is not None:
        floor[:size][kept] = 1.0
    table: Any = sparse.block_array(blocks, format="csc")
    whole = size if concave else len(cost)
    return Program(cost, sparse.csc_array(table), np.concatenate(lows), np.concatenate(highs),
                   floor, ceiling, whole, unit, game)  # fmt: skip
