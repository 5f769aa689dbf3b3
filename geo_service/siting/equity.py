"""Fair covers: sites that raise the share of people covered where that share is lowest.

Weight lies in groups (communities). The share of group g is its covered weight over its weight.
What is maximised is the mean share of the worst-served part (a tenth) of all weight: groups in
order of their share, from the lowest up, until they hold that part; the last one counts in part.
With a part of 0 it is the lowest share of all.

That mean equals the least ``sum_g q_g share_g`` over all ``q`` with ``sum q = 1`` and
``0 <= q_g <= weight of g / (part * all weight)`` (the dual form of conditional value at risk;
Rockafellar and Uryasev 2000). So any q turns the question into a maximal cover with weights
``q_g w_i / W_g`` whose bound holds here too; q follows the groups that come off worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _exact, _ruled, _under_rules
from geo_service.siting._rule_swaps import Game
from geo_service.siting.covering import asked
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, Plan, Progress, judge
from geo_service.siting.rules import Rules

_UNIT = 2.0**40  # parts of a share
_ROUNDS, _PLAY = 8, 0.6  # questions of most weight, and the share of the time they take
_MOST_ENTRIES = 150_000  # of a model handed to HiGHS


def equitable_cover(
    coverage: Any,
    weights: npt.ArrayLike,
    count: int | None,
    groups: Sequence[Any] | npt.NDArray[Any],
    *,
    worst_part: float = 0.1,
    existing: npt.ArrayLike = (),
    covered: npt.ArrayLike | None = None,
    must: npt.ArrayLike = (),
    never: npt.ArrayLike = (),
    rules: Rules | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """Choose sites so that the worst-served part of the weight has the largest share covered.

    Parameters
    ----------
    coverage, weights, count, existing, covered, must, never, rules, seconds, seed, on_progress
        As for `maximal_cover`; `count` is the most sites there may be.
    groups : sequence, shape (demand,)
        The group (community) of each demand.
    worst_part : float
        The part of all weight that is looked at, from 0 (the worst group alone) to 1 (all weight,
        which is `maximal_cover`).

    Returns
    -------
    Plan
        ``objective`` and ``bound`` are shares from 0 to 1, ``curve`` the same for the first sites.

    Examples
    --------
    >>> plan = equitable_cover([[1, 1, 0], [0, 0, 1]], [9, 9, 1], 1, ["a", "a", "b"], worst_part=0)
    >>> plan.objective, plan.proven
    (0.0, True)
    """
    clock = Clock(seconds, on_progress)
    if not 0.0 <= worst_part <= 1.0:
        reason = Phrase("应在 0 到 1 之间", "must be from 0 to 1")
        raise InputError("parameter_invalid", name="worst_part", value=worst_part, reason=reason)
    question = asked(coverage, weights, count, existing, covered, must, never, rules or Rules())
    shares = Shares.of(question.units.given, groups, worst_part)
    settled, game = _under_rules.game_of(question)
    best, bound, proof = _play(game, shares, clock, seed)
    value = shares.worst(game.times(best) > 0)
    if bound > value and game.rows.nnz <= _MOST_ENTRIES:
        clock.tell(_PLAY, "proof", value, bound)
        best, bound, proof = _prove(game, shares, best, bound, clock, seed, proof)
    plan = _under_rules.told(question, settled, best)
    objective = shares.worst(game.times(best) > 0)
    bound = max(bound, objective)
    clock.tell(1.0, "done", objective, bound)
    growing = _growing(question, plan.sites, plan.closed)
    return judge(
        sites=plan.sites, objective=objective, bound=bound,
        curve=np.array([shares.worst(mask) for mask in growing]),
        proven=bound <= objective * (1.0 + 1e-9) + 1e-12, clock=clock, proof=proof,
        closed=plan.closed, cost=plan.cost,
    )  # fmt: skip


class Shares:
    """Groups of demand, and what the worst-served part of them gets."""

    def __init__(self, weights: FloatArray, group: IntArray, part: float) -> None:
        self.weights, self.group = weights, group
        self.size = np.bincount(group, weights=weights)
        self.all = max(float(self.size.sum()), 1e-300)
        self.live = self.size > 0
        if part == 0.0:
            self.most = self.live.astype(float)
        else:
            self.most = np.minimum(self.size / (part * self.all), 1.0)

    @classmethod
    def of(cls, weights: FloatArray, groups: Any, part: float) -> Shares:
        """Read labels, one a demand."""
        labels = np.asarray(groups, dtype=object)
        if labels.shape != weights.shape:
            reason = Phrase(f"应有 {len(weights)} 项", f"must have {len(weights)} entries")
            raise InputError("parameter_invalid", name="groups", value=len(labels), reason=reason)
        known: dict[Any, int] = {}
        group = np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)
        return cls(weights, group, part)

    def shares(self, covered: BoolArray) -> FloatArray:
        """Covered share of each group; 1 where a group weighs nothing."""
        got = np.bincount(self.group, weights=self.weights * covered, minlength=len(self.size))
        return np.where(self.live, got / np.where(self.live, self.size, 1.0), 1.0)

    def attention(self, covered: BoolArray) -> FloatArray:
        """The q that makes this cover look worst: as much as allowed on the lowest shares."""
        order = np.argsort(self.shares(covered), kind="stable")
        before = np.concatenate([[0.0], np.cumsum(self.most[order])[:-1]])
        q = np.zeros(len(self.size))
        q[order] = np.clip(1.0 - before, 0.0, self.most[order])
        return q

    def worst(self, covered: BoolArray) -> float:
        """The mean share of the worst-served part."""
        if not self.live.any():
            return 1.0
        return float((self.attention(covered) * self.shares(covered)).sum())

    def units(self, q: FloatArray) -> IntArray:
        """Weights of a maximal cover for given attention, in parts of a share, rounded up."""
        per_weight = np.where(self.live, q / np.where(self.live, self.size, 1.0), 0.0)
        exact = self.weights * per_weight[self.group] * _UNIT
        return np.where(exact > 0, np.ceil(exact * (1.0 + 1e-15)) + 1.0, 0.0).astype(np.int64)


def _play(game: Game, shares: Shares, clock: Clock, seed: int) -> tuple[BoolArray, float, Any]:
    """Answer one attention after the other; it moves to what the last answers neglect."""
    q = shares.size / shares.all
    best, value, bound, proof = None, -1.0, 1.0, "whole_numbers"
    for turn in range(_ROUNDS):
        clock.tell(_PLAY * turn / _ROUNDS, "swaps", None if best is None else value, bound)
        begun = clock.spent() / clock.seconds
        until = begun + (_PLAY - begun) / (_ROUNDS - turn)
        found = _ruled.search(
            replace(game, weights=shares.units(q)), clock=clock, seed=seed + turn, until=until,
            part=_PLAY / _ROUNDS,
        )  # fmt: skip
        proved = min(found.bound / _UNIT, 1.0)
        if proved < bound:
            bound, proof = proved, found.proof
        covered = game.times(found.is_open) > 0
        if shares.worst(covered) > value:
            best, value = found.is_open, shares.worst(covered)
        if value >= bound or clock.out_of_time(_PLAY):
            break
        step = 2.0 / (turn + 2.0)
        q = (1.0 - step) * q + step * shares.attention(covered)
    if best is None:  # pragma: no cover - there is always a first round
        raise AssertionError
    return best, bound, proof


def _prove(
    game: Game, shares: Shares, best: BoolArray, bound: float, clock: Clock, seed: int, proof: Any
) -> tuple[BoolArray, float, Any]:
    """The whole model by HiGHS: ``max t - sum_g most_g d_g`` with ``d_g >= t - share_g``."""
    seconds = 0.97 * clock.seconds - clock.spent()
    if seconds <= 0.05:
        return best, bound, proof
    model = _ruled.program(game)
    size, n_demand = game.rows.shape
    live = np.flatnonzero(shares.live)
    per_demand = shares.weights / np.where(shares.live, shares.size, 1.0)[shares.group]
    share_rows = sparse.csc_array(
        (per_demand, (shares.group, np.arange(n_demand))), shape=(len(shares.size), n_demand)
    )[live]
    n_live = len(live)
    ones = sparse.csc_array(np.ones((n_live, 1)))
    blocks: Any = [
        [model.table, None, None],
        [sparse.hstack([sparse.csc_array((n_live, size)), share_rows]), -ones,
         sparse.eye_array(n_live)],
    ]  # fmt: skip
    table = sparse.csc_array(sparse.block_array(blocks, format="csc"))
    cost = np.concatenate([np.zeros(size + n_demand), [-1.0], shares.most[live]])
    whole_shares = shares.shares(game.times(best) > 0)[live]
    level = float(whole_shares[shares.attention(game.times(best) > 0)[live] > 0].max(initial=0.0))
    start = np.concatenate([model.start(best), [level], np.maximum(level - whole_shares, 0.0)])
    solved = _exact.minimise(
        cost, table, np.concatenate([model.low, np.zeros(n_live)]),
        np.concatenate([model.high, np.full(n_live, np.inf)]), whole=size, seconds=seconds,
        start=start, seed=seed,
    )  # fmt: skip
    fits = False
    if solved.values is not None:
        tried = solved.values[:size] > 0.5
        fits = game.rules.kept(tried)
        if fits and shares.worst(game.times(tried) > 0) > shares.worst(game.times(best) > 0):
            best = tried
            clock.cut |= not solved.finished
    proved = -solved.value if solved.finished else -solved.bound
    if solved.finished and fits:  # HiGHS's own sum is inexact; the shares are counted afresh
        proved = shares.worst(game.times(best) > 0)
    if np.isfinite(proved) and proved < bound:
        return best, proved, "branch_and_cut"
    return best, bound, proof


def _growing(question: _under_rules.Question, sites: IntArray, closed: IntArray) -> list[BoolArray]:
    """What is covered with the first 1, 2, ... sites."""
    stays = np.setdiff1d(question.there, closed)
    mask = question.covered.copy()
    mask[question.rows[stays].indices] = True
    masks = []
    for site in sites.tolist():
        mask = mask.copy()
        mask[question.rows.indices[question.rows.indptr[site] : question.rows.indptr[site + 1]]] = (
            True
        )
        masks.append(mask)
    return masks
