"""What a choice of sites keeps to besides its number: money, one per community, what may move.

Every rule becomes a row ``low <= sum_j a_j x_j <= high`` of whole numbers over the places that are
open to choice, so solvers compare and sum them exactly. Costs count to six decimals; finer ones are
rounded up, so that a plan never exceeds its budget.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting._cover import indices
from geo_service.siting.plans import BoolArray, FloatArray, IntArray

NO_LIMIT = 2**62  # a bound that no sum reaches
_PARTS = 1_000_000  # parts of a unit of money that costs are counted in
_MOST_MONEY = 2.0**40  # so that sums of parts stay far below 2**63


@dataclass(frozen=True, eq=False)
class Rules:
    """Conditions on a choice of candidates. Arrays have an entry per candidate.

    Parameters
    ----------
    costs : array_like of float, optional
        Price of opening each candidate, 0 or more.
    budget : float, optional
        What may be spent: prices of the chosen candidates, ``must`` included, and closing costs.
    at_most_one : sequence of labels, optional
        The group (community) of each candidate; no group gets more than one open site. What exists
        and stays counts. ``None``, NaN or ``""``: no group.
    at_least_one : sequence of labels, optional
        The group (township) of each candidate; each gets an open site; what exists
        and stays counts.
    groups : sequence of labels, optional
        All groups that need one, also those no candidate lies in; by default those that
        `at_least_one` names.
    movable : array_like of int or of bool, optional
        Existing sites that may be closed. Each one closed lets one more be opened.
    closing_costs : array_like of float, optional
        Price of closing each movable site; a negative one is money saved. 0 without it.
    """

    costs: npt.ArrayLike | None = None
    budget: float | None = None
    at_most_one: Sequence[Any] | None = None
    at_least_one: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None
    movable: npt.ArrayLike = ()
    closing_costs: npt.ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """Rules as rows of whole numbers.

    Parameters
    ----------
    table : csr_array of int, shape (rules, places)
    low, high : ndarray of int
        Bounds of each rule; ``NO_LIMIT`` either way where there is none.
    names : list of str
        ``count``, ``budget``, ``at_most_one``, ``at_least_one``, ``premise``, for reasons.
    """

    table: sparse.csr_array
    low: IntArray
    high: IntArray
    names: list[str]

    def sums(self, is_open: BoolArray) -> IntArray:
        """What each rule adds up to."""
        return np.asarray(self.table @ is_open.astype(np.int64), dtype=np.int64)

    def kept(self, is_open: BoolArray) -> bool:
        """Tell whether a choice keeps to all of them."""
        sums = self.sums(is_open)
        return bool(((sums >= self.low) & (sums <= self.high)).all())

    def but(self, *, high: dict[int, int] | None = None, dropped: str = "") -> Rows:
        """The same rules with other upper bounds, or without those of a name."""
        upper = self.high.copy()
        for at, value in (high or {}).items():
            upper[at] = value
        kept = [at for at, name in enumerate(self.names) if name != dropped]
        names = [self.names[at] for at in kept]
        return Rows(self.table[np.asarray(kept, dtype=int)], self.low[kept], upper[kept], names)

    def also(self, entries: IntArray, low: int, high: int, name: str) -> Rows:
        """One rule more: its entry for each place, and its bounds."""
        row = sparse.csr_array(entries[None, :].astype(np.int64))
        table: Any = sparse.vstack([self.table, row], format="csr")
        return Rows(
            sparse.csr_array(table), np.append(self.low, low), np.append(self.high, high),
            [*self.names, name],
        )  # fmt: skip

    @classmethod
    def none(cls, size: int) -> Rows:
        """No rules over so many places."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(sparse.csr_array((0, size), dtype=np.int64), nothing, nothing, [])


@dataclass(frozen=True, eq=False)
class Settled:
    """What is open to choice once existing, demanded and forbidden sites are settled.

    Parameters
    ----------
    places : ndarray of int
        Candidates to decide on: free ones, then movable existing ones.
    is_new : ndarray of bool
        Which of them are free candidates.
    fixed : ndarray of int
        Candidates that are open whatever is chosen: existing ones that stay, and demanded ones.
    rows : Rows
        Rules over `places`.
    costs : ndarray of int
        Parts of money each place adds when open (negative: what closing it costs).
    spent : int
        Parts of money spent before anything is chosen.
    """

    places: IntArray
    is_new: BoolArray
    fixed: IntArray
    rows: Rows
    costs: IntArray
    spent: int

    def money(self, is_open: BoolArray) -> float:
        """What a choice costs in all."""
        return (self.spent + int(self.costs[is_open].sum())) / _PARTS


def settle(
    rules: Rules,
    size: int,
    *,
    count: int | None,
    there: IntArray,
    must: IntArray,
    free: IntArray,
) -> Settled:
    """Turn rules into rows over the places that are open to choice.

    Parameters
    ----------
    rules : Rules
    size : int
        Number of candidates.
    count : int or None
        Most sites to open, those of `must` among them.
    there, must, free : ndarray of int
        Candidates that exist, are demanded, and may be chosen: disjoint.
    """
    movable = indices(rules.movable, size, name="movable")
    strange = np.setdiff1d(movable, there)
    if len(strange):
        reason = Phrase("只有现有设施才可迁移或关闭", "only an existing site can move or be closed")
        raise InputError("parameter_invalid", name="movable", value=int(strange[0]), reason=reason)
    places = np.concatenate([free, movable])
    is_new = np.arange(len(places)) < len(free)
    fixed = np.concatenate([np.setdiff1d(there, movable), must])
    price = _money(rules.costs, size, name="costs", least=0.0)
    closing = _money(rules.closing_costs, size, name="closing_costs", least=-_MOST_MONEY)
    costs = np.where(is_new, price[places], -closing[places])
    spent = int(price[must].sum() + closing[movable].sum())
    rows = Rows.none(len(places))
    if count is not None:
        ones = np.ones(len(places), dtype=np.int64)
        rows = rows.also(ones, -NO_LIMIT, count - len(must) + len(movable), "count")
    if rules.budget is not None:
        allowed = _budget(rules, price, free, must)
        rows = rows.also(costs, -NO_LIMIT, allowed - spent, "budget")
    for label, members in _groups(rules.at_most_one, size, name="at_most_one").items():
        demanded = np.intersect1d(members, must)
        stays = np.intersect1d(members, fixed)
        if len(demanded) and len(stays) > 1:
            raise InputError("plan_infeasible", reason=_two_in_one(label, stays), group=str(label))
        entries = np.isin(places, members).astype(np.int64)
        if entries.any():
            rows = rows.also(entries, -NO_LIMIT, 1 - min(len(stays), 1), "at_most_one")
    return Settled(places, is_new, fixed, _at_least(rules, rows, places, fixed), costs, spent)


def _at_least(rules: Rules, rows: Rows, places: IntArray, fixed: IntArray) -> Rows:
    """Add a rule for each group that needs a site; refuse when one can have none."""
    if rules.at_least_one is None:
        return rows
    size = len(rules.at_least_one)
    groups = _groups(rules.at_least_one, size, name="at_least_one")
    wanted = list(groups) if rules.groups is None else list(dict.fromkeys(rules.groups))
    empty = []
    for label in wanted:
        members = groups.get(label, np.empty(0, dtype=np.int64))
        if len(np.intersect1d(members, fixed)):
            continue
        entries = np.isin(places, members).astype(np.int64)
        if not entries.any():
            empty.append(str(label))
            continue
        rows = rows.also(entries, 1, NO_LIMIT, "at_least_one")
    if empty:
        named = "、".join(empty[:5]), ", ".join(empty[:5])
        reason = Phrase(
            f"{len(empty)} 个须设站的分组没有可选的候选点：{named[0]}",
            f"{len(empty)} groups that need a site have no candidate to choose: {named[1]}",
        )
        raise InputError("plan_infeasible", reason=reason, groups=empty)
    return rows


def _money(values: Any, size: int, *, name: str, least: float) -> IntArray:
    """Amounts of money as whole parts, rounded up."""
    if values is None:
        return np.zeros(size, dtype=np.int64)
    try:
        given = np.broadcast_to(np.asarray(values, dtype=float), (size,))
    except ValueError:
        reason = Phrase(f"应为 {size} 个数字", f"must be {size} numbers")
        raise InputError(
            "parameter_invalid", name=name, value=_shown(values), reason=reason
        ) from None
    wrong = ~((given >= least) & (given <= _MOST_MONEY))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        reason = Phrase(f"第 {at} 项不是允许的金额", f"position {at} is no amount that is allowed")
        raise InputError("parameter_invalid", name=name, value=float(given[at]), reason=reason)
    nearest = np.rint(given * _PARTS)
    exact = nearest / _PARTS == given
    return np.where(exact, nearest, np.ceil(given * _PARTS)).astype(np.int64)


def _shown(values: Any) -> str:
    return str(values)[:40]


def _budget(rules: Rules, price: IntArray, free: IntArray, must: IntArray) -> int:
    budget = rules.budget
    if budget is None or rules.costs is None:
        reason = Phrase("有预算时须给出费用 costs", "a budget needs costs")
        raise InputError("parameter_invalid", name="budget", value=budget, reason=reason)
    if not 0.0 <= budget <= _MOST_MONEY:
        reason = Phrase("应为不小于 0 的金额", "must be an amount, 0 or more")
        raise InputError("parameter_invalid", name="budget", value=budget, reason=reason)
    nearest = round(budget * _PARTS)
    allowed = nearest if nearest / _PARTS == budget else math.floor(budget * _PARTS)
    needed = int(price[must].sum())
    if needed > allowed:
        reason = Phrase(
            f"必选点共需 {needed / _PARTS:g}，预算只有 {budget:g}",
            f"the demanded sites cost {needed / _PARTS:g} and the budget is {budget:g}",
        )
        raise InputError("plan_infeasible", reason=reason, needed=needed / _PARTS)
    if not len(must) and len(free) and int(price[free].min()) > allowed:
        cheapest = int(price[free].min()) / _PARTS
        reason = Phrase(
            f"预算 {budget:g} 买不起任何候选点，最便宜的要 {cheapest:g}",
            f"a budget of {budget:g} allows nothing: the cheapest candidate costs {cheapest:g}",
        )
        raise InputError("plan_infeasible", reason=reason, cheapest=cheapest)
    return allowed


def _groups(labels: Sequence[Any] | None, size: int, *, name: str) -> dict[Hashable, IntArray]:
    """Members of each group, in the order groups first appear."""
    if labels is None:
        return {}
    if len(labels) != size:
        reason = Phrase(
            f"应有 {size} 项，每个候选点一项", f"must have {size} entries, one a candidate"
        )
        raise InputError("parameter_invalid", name=name, value=len(labels), reason=reason)
    members: dict[Hashable, list[int]] = {}
    for at, label in enumerate(labels):
        if label is None or label == "" or label != label:
            continue
        members.setdefault(label, []).append(at)
    return {label: np.asarray(found, dtype=np.int64) for label, found in members.items()}


def _two_in_one(label: Hashable, stays: IntArray) -> Phrase:
    shown = stays[:5].tolist()
    return Phrase(
        f"分组“{label}”最多一处，但 {shown} 都已设或必选",
        f"group “{label}” may have one site, but {shown} are all open or demanded",
    )


def whole_prices(costs: npt.ArrayLike, size: int) -> tuple[IntArray, float]:
    """Prices as whole parts, and the number of parts in a unit."""
    return _money(costs, size, name="costs", least=0.0), float(_PARTS)


def as_floats(values: IntArray) -> FloatArray:
    """Bounds for a solver: ``NO_LIMIT`` becomes infinite."""
    told = values.astype(float)
    told[values >= NO_LIMIT] = np.inf
    told[values <= -NO_LIMIT] = -np.inf
    return told
