"""Several kinds of facility at once that may share premises.

For kinds k with coverage a, weights w and candidates j::

    maximise  sum_k share_k sum_i w_ki y_ki      y_ki <= sum_j a_kij x_kj,   x_kj <= z_j
    with      sum_j x_kj <= count_k,   sum_k x_kj <= per_premise,
              sum_kj cost_kj x_kj + sum_j premise_cost_j z_j <= budget

so premises are paid once, however many kinds move in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting import _ruled
from geo_service.siting._cover import Units, cover_of, indices, matrix, reached
from geo_service.siting._rule_swaps import Game
from geo_service.siting.plans import (
    BoolArray,
    Clock,
    FloatArray,
    IntArray,
    Progress,
    Proof,
    Status,
)
from geo_service.siting.rules import NO_LIMIT, Rows, whole_prices


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of facility. All kinds choose among the same candidates (premises).

    Parameters
    ----------
    coverage : sparse matrix or array, shape (candidates, demand of this kind)
    weights : array_like
        Weight of each demand of this kind.
    count : int
        The most sites of this kind.
    costs : array_like, optional
        Price of fitting out each candidate for this kind, beside that of the premises.
    existing : array_like of int or of bool
        Candidates that hold this kind already.
    never : array_like of int or of bool
        Candidates unfit for this kind.
    share : float
        How much a unit of this kind's weight counts beside the other kinds'.
    """

    coverage: Any
    weights: npt.ArrayLike
    count: int
    costs: npt.ArrayLike | None = None
    existing: npt.ArrayLike = ()
    never: npt.ArrayLike = ()
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class JointPlan:
    """Sites of every kind.

    Parameters
    ----------
    sites : list of ndarray of int
        Candidates chosen for each kind, ascending.
    premises : ndarray of int
        All candidates that are used, ascending.
    covered : ndarray of float
        Weight of each kind that is covered.
    objective, bound, gap_percent, proven, seconds, status, proof
        As in `Plan`; the objective is ``sum share * covered``.
    cost : float or None
        Money spent, where there are costs.
    """

    sites: list[IntArray]
    premises: IntArray
    covered: FloatArray
    objective: float
    bound: float
    gap_percent: float
    proven: bool
    seconds: float
    status: Status
    proof: Proof
    cost: float | None = field(default=None)


def joint_cover(
    kinds: Sequence[Kind],
    *,
    premise_costs: npt.ArrayLike | None = None,
    budget: float | None = None,
    per_premise: int | npt.ArrayLike | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> JointPlan:
    """Choose sites of several kinds at once; premises that are shared are paid once.

    Parameters
    ----------
    kinds : sequence of Kind
    premise_costs : array_like, shape (candidates,), optional
        Price of each candidate's premises, whatever moves in; 0 without it. Premises that hold an
        existing site of some kind are free.
    budget : float, optional
        What may be spent in all.
    per_premise : int or array_like of int, optional
        The most kinds in one place, existing ones included; no limit without it.
    seconds, seed, on_progress
        As for `maximal_cover`.

    Returns
    -------
    JointPlan

    Raises
    ------
    InputError
        ``parameter_invalid``; ``plan_infeasible`` when the budget allows nothing.

    Examples
    --------
    >>> rest = Kind([[1, 1], [0, 1]], [4, 5], 1, costs=[2, 2])
    >>> meals = Kind([[1, 0], [1, 1]], [3, 3], 1, costs=[2, 2])
    >>> plan = joint_cover([rest, meals], premise_costs=[5, 5], budget=9)
    >>> [sites.tolist() for sites in plan.sites], plan.objective, plan.cost
    ([[0], [0]], 12.0, 9.0)
    """
    clock = Clock(seconds, on_progress)
    case = _Case.of(kinds, premise_costs, budget, per_premise)

    def tell(share: float, step: str, value: int, bound: int) -> None:
        clock.tell(share, step, value / case.units.scale, case.units.upper(bound))

    found = _ruled.search(case.game, clock=clock, seed=seed, told=tell)
    sites = case.sites(found.is_open)
    covered = case.covered(sites)
    objective = float(sum(kind.share * value for kind, value in zip(kinds, covered, strict=True)))
    proven = found.bound == found.value
    bound = objective if proven else max(case.units.upper(found.bound), objective)
    clock.tell(1.0, "done", objective, bound)
    status: Status = "optimal" if proven else "time_limit" if clock.cut else "bounded"
    return JointPlan(
        sites=sites, premises=np.unique(np.concatenate(sites)) if sites else np.empty(0, int),
        covered=covered, objective=objective, bound=bound,
        gap_percent=100.0 * (bound - objective) / max(objective, 1e-300), proven=proven,
        seconds=clock.spent(), status=status, proof=found.proof,
        cost=case.money(found.is_open) if case.priced else None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Case:
    """The stacked problem: places are pairs of kind and candidate, then premises."""

    kinds: list[Kind]
    tables: list[sparse.csr_array]
    there: list[IntArray]
    kind_of: IntArray  # per pair
    candidate_of: IntArray  # per pair
    costs: IntArray  # per place
    units: Units
    game: Game
    priced: bool
    parts: float

    @classmethod
    def of(
        cls,
        kinds: Sequence[Kind],
        premise_costs: npt.ArrayLike | None,
        budget: float | None,
        per_premise: int | npt.ArrayLike | None,
    ) -> _Case:
        tables = [matrix(kind.coverage) for kind in kinds]
        size = _same_size(tables)
        there = [indices(kind.existing, size, name="existing") for kind in kinds]
        barred = [indices(kind.never, size, name="never") for kind in kinds]
        weights = [_weights(kind, table) for kind, table in zip(kinds, tables, strict=True)]
        pairs = [np.setdiff1d(np.arange(size), np.concatenate([one, other]))
                 for one, other in zip(there, barred, strict=True)]  # fmt: skip
        kind_of = np.repeat(np.arange(len(kinds)), [len(one) for one in pairs])
        candidate_of = np.concatenate(pairs)
        own = [
            whole_prices(kind.costs if kind.costs is not None else 0.0, size)[0] for kind in kinds
        ]
        premises, parts = whole_prices(premise_costs if premise_costs is not None else 0.0, size)
        premises = premises.copy()
        premises[np.unique(np.concatenate(there))] = 0
        paid = np.flatnonzero(premises > 0)
        fitting = np.concatenate([price[one] for price, one in zip(own, pairs, strict=True)])
        costs = np.concatenate([fitting, premises[paid]])
        units = Units.of(np.concatenate(weights), name="weights")
        rows = sparse.csr_array(sparse.block_diag(
            [table[one] for table, one in zip(tables, pairs, strict=True)], format="csr"
        ))  # fmt: skip
        rows = sparse.csr_array(
            (rows.data, rows.indices, np.append(rows.indptr, [rows.indptr[-1]] * len(paid))),
            shape=(len(costs), rows.shape[1]),
        )
        base = np.concatenate([reached(table, one).astype(np.int64)
                               for table, one in zip(tables, there, strict=True)])  # fmt: skip
        at = np.full(size, -1, dtype=np.int64)
        at[paid] = len(candidate_of) + np.arange(len(paid))
        needs = np.concatenate([at[candidate_of], np.full(len(paid), -1)])
        rules = _rules(kinds, kind_of, candidate_of, needs, costs, there, size, budget, per_premise,
                       parts)  # fmt: skip
        cover = cover_of(rows, units.whole, np.arange(len(costs)))
        game = Game(cover.rows, cover.columns, units.whole, base, np.array([0, 1]), rules, needs)
        priced = premise_costs is not None or any(kind.costs is not None for kind in kinds)
        return cls(list(kinds), tables, there, kind_of, candidate_of, costs, units, game, priced,
                   parts)  # fmt: skip

    def sites(self, is_open: BoolArray) -> list[IntArray]:
        chosen = is_open[: len(self.kind_of)]
        return [self.candidate_of[chosen & (self.kind_of == at)] for at in range(len(self.kinds))]

    def covered(self, sites: list[IntArray]) -> FloatArray:
        told = []
        for kind, table, there, own in zip(self.kinds, self.tables, self.there, sites, strict=True):
            mask = reached(table, np.concatenate([there, own]))
            told.append(Units.of(kind.weights, name="weights").sum(mask))
        return np.asarray(told)

    def money(self, is_open: BoolArray) -> float:
        used = is_open.copy()
        pairs = np.flatnonzero(is_open[: len(self.kind_of)])
        used[len(self.kind_of) :] = False
        partner = self.game.needs[pairs]
        used[partner[partner >= 0]] = True
        return float(int(self.costs[used].sum()) / self.parts)


def _same_size(tables: list[sparse.csr_array]) -> int:
    sizes = {table.shape[0] for table in tables}
    if len(sizes) != 1:
        reason = Phrase(
            "各类设施须共用同一份候选点表", "all kinds must share one list of candidates"
        )
        raise InputError("parameter_invalid", name="kinds", value=sorted(sizes), reason=reason)
    return sizes.pop()


def _weights(kind: Kind, table: sparse.csr_array) -> FloatArray:
    given = Units.of(kind.weights, name="weights").given
    if len(given) != table.shape[1]:
        reason = Phrase(f"应有 {table.shape[1]} 项", f"must have {table.shape[1]} entries")
        raise InputError("parameter_invalid", name="weights", value=len(given), reason=reason)
    if not (np.isfinite(kind.share) and kind.share >= 0):
        reason = Phrase("应不小于 0", "must be 0 or more")
        raise InputError("parameter_invalid", name="share", value=kind.share, reason=reason)
    if int(kind.count) != kind.count or kind.count < 0:
        reason = Phrase("应为不小于 0 的整数", "must be a whole number, 0 or more")
        raise InputError("parameter_invalid", name="count", value=kind.count, reason=reason)
    return given * kind.share


def _rules(
    kinds: Sequence[Kind],
    kind_of: IntArray,
    candidate_of: IntArray,
    needs: IntArray,
    costs: IntArray,
    there: list[IntArray],
    size: int,
    budget: float | None,
    per_premise: int | npt.ArrayLike | None,
    parts: float,
) -> Rows:
    n_pairs, n_places = len(kind_of), len(costs)
    table, high, names = [], [], []
    for at, kind in enumerate(kinds):
        entries = np.zeros(n_places, dtype=np.int64)
        entries[:n_pairs][kind_of == at] = 1
        table.append(sparse.csr_array(entries[None, :]))
        high.append(int(kind.count))
        names.append("count")
    if budget is not None:
        if not (np.isfinite(budget) and budget >= 0):
            reason = Phrase("应为不小于 0 的金额", "must be an amount, 0 or more")
            raise InputError("parameter_invalid", name="budget", value=budget, reason=reason)
        allowed = int(np.floor(round(budget * parts, 3)))
        cheapest = int((costs[:n_pairs] + np.where(needs[:n_pairs] >= 0, costs[needs[:n_pairs]], 0))
                       .min(initial=allowed + 1))  # fmt: skip
        if n_pairs and cheapest > allowed:
            reason = Phrase(
                f"预算 {budget:g} 什么也建不了，最便宜的一处要 {cheapest / parts:g}",
                f"a budget of {budget:g} allows nothing: the cheapest site costs "
                f"{cheapest / parts:g}",
            )
            raise InputError("plan_infeasible", reason=reason, cheapest=cheapest / parts)
        table.append(sparse.csr_array(costs[None, :]))
        high.append(allowed)
        names.append("budget")
    if per_premise is not None:
        held = np.bincount(np.concatenate(there).astype(np.int64), minlength=size)
        room = np.maximum(np.broadcast_to(np.asarray(per_premise), (size,)) - held, 0)
        members = sparse.csr_array(
            (np.ones(n_pairs, np.int64), (candidate_of, np.arange(n_pairs))), shape=(size, n_places)
        )
        tight = np.flatnonzero(np.diff(members.indptr) > room)
        table.append(members[tight])
        high += room[tight].astype(int).tolist()
        names += ["premise"] * len(tight)
    linked = np.flatnonzero(needs >= 0)
    if len(linked):
        ones, rows = np.ones(len(linked), np.int64), np.arange(len(linked))
        data, places = np.concatenate([ones, -ones]), np.concatenate([linked, needs[linked]])
        table.append(sparse.csr_array(
            (data, (np.concatenate([rows, rows]), places)), shape=(len(linked), n_places)
        ))  # fmt: skip
        high += [0] * len(linked)
        names += ["premise"] * len(linked)
    stacked: Any = sparse.vstack(table, format="csr")
    upper = np.asarray(high, dtype=np.int64)
    return Rows(sparse.csr_array(stacked), np.full(len(upper), -NO_LIMIT), upper, names)
