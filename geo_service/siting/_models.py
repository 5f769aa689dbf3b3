"""Which model answers a question of siting, and with which rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from geo_service import codes
from geo_service.errors import InputError, Phrase
from geo_service.places import Places
from geo_service.siting._case import Case
from geo_service.siting.center import p_center
from geo_service.siting.covering import backup_cover, maximal_cover, set_cover
from geo_service.siting.equity import equitable_cover
from geo_service.siting.median import p_median
from geo_service.siting.plans import IntArray, Plan
from geo_service.siting.rules import Rules

Model = Literal["cover", "backup", "equity", "median", "center"]
MODELS = ("cover", "backup", "equity", "median", "center")
"""Most weight within reach; twice within reach; most for the worst-served tenth of communities;
least walking in all; shortest longest walk."""

COSTS = ("fixed_cost", "cost", "费用", "固定成本", "建设费用")
_CLOSING_COSTS = ("closing_cost", "关闭费用")
_CODES = ("code", "grid_code", "community_code")
_WIDTHS = {"community": 12, "township": 9, "county": 6}


@dataclass(frozen=True)
class Conditions:
    """What a choice must keep to beside its count.

    Parameters
    ----------
    budget : float, optional
        What may be spent, in the unit of the candidates' column ``fixed_cost``.
    at_most_one, at_least_one : str, optional
        ``community``, ``township`` or ``county`` (by the candidates' code), or any of their
        columns: how often each of these may, or must, have an open site.
    movable : bool
        Existing facilities may be closed; each one closed lets one more be opened.
    """

    budget: float | None = None
    at_most_one: str | None = None
    at_least_one: str | None = None
    movable: bool = False

    @property
    def any(self) -> bool:
        """Tell whether there is anything to keep to."""
        return self != Conditions()


def choose(
    case: Case,
    model: Model,
    conditions: Conditions,
    count: int | None,
    cover_percent: float | None,
    areas: Sequence[str],
    **options: Any,
) -> tuple[Plan, Case]:
    """Solve; give the plan over the premises, and the case without what the plan closes.

    Raises
    ------
    InputError
        ``parameter_invalid``, ``field_missing``, ``plan_infeasible``, ``too_few_candidates``.
    """
    if model not in MODELS:
        reason = Phrase(f"可用 {', '.join(MODELS)}", f"one of {', '.join(MODELS)}")
        raise InputError("parameter_invalid", name="model", value=model, reason=reason)
    fixed: dict[str, Any] = {"must": case.must, "never": case.never, **options}
    if model == "median":
        return _median(case, conditions, count, **options), case
    if model == "cover" and not conditions.any:
        if count is not None:
            chosen = maximal_cover(case.metres, case.weights, count, covered=case.before, **fixed)
            return chosen, case
        share = (cover_percent or 0.0) / 100.0
        chosen = set_cover(
            case.metres, weights=case.weights, cover_share=share, covered=case.before, **fixed
        )
        return chosen, case
    size = len(case.premises)
    rows = sparse.csr_array(sparse.vstack([case.metres, case.standing_metres], format="csr"))
    fixed["existing"] = np.arange(size, rows.shape[0])
    fixed["rules"] = _rules(case, conditions) if conditions.any else None
    if model == "cover" and count is None and cover_percent is not None:
        plan = set_cover(rows, weights=case.weights, cover_share=cover_percent / 100.0, **fixed)
    elif cover_percent is not None:
        needs = Phrase(f"模型 {model} 需要 count", f"the model {model} needs a count")
        raise InputError(
            "parameter_invalid", name="cover_percent", value=cover_percent, reason=needs
        )
    elif model == "cover":
        plan = maximal_cover(rows, case.weights, count, **fixed)
    elif model == "backup":
        plan = backup_cover(rows, case.weights, count, **fixed)
    elif model == "equity":
        plan = equitable_cover(rows, case.weights, count, areas, **fixed)
    else:
        within = np.asarray(rows.sum(axis=0)).ravel() > 0
        plan = p_center(rows, count, weights=case.weights * within, **fixed)
    return plan, replace(case, closed=plan.closed - size)


def _median(case: Case, conditions: Conditions, count: int | None, **options: Any) -> Plan:
    """The least walking of everyone whom some premises, or what stands, can reach at all."""
    if count is None or conditions.any:
        reason = Phrase(
            "p-中位只接受 count，不能同时有预算、分组或可撤并的设施",
            "the p-median takes a count, no budget, groups or movable facilities",
        )
        raise InputError("parameter_invalid", name="model", value="median", reason=reason)
    rows = sparse.csr_array(sparse.vstack([case.metres, case.standing_metres], format="csr"))
    allowed = np.setdiff1d(np.arange(rows.shape[0]), case.never)
    reached_by = np.asarray(rows[allowed].sum(axis=0)).ravel()
    within = np.flatnonzero((reached_by > 0) & (case.weights > 0))
    return p_median(
        sparse.csr_array(rows[:, within]), case.weights[within], count,
        existing=np.arange(len(case.premises), rows.shape[0]), must=case.must, never=case.never,
        **options,
    )  # fmt: skip


def _rules(case: Case, conditions: Conditions) -> Rules:
    """The conditions as arrays over premises and then what stands."""
    size, standing = len(case.premises), len(case.standing)
    costs = closing = None
    if conditions.budget is not None:
        if not (np.isfinite(conditions.budget) and conditions.budget >= 0):
            reason = Phrase("应不小于 0", "must be 0 or more")
            raise InputError(
                "parameter_invalid", name="budget", value=conditions.budget, reason=reason
            )
        own = money(case.premises, COSTS, needed=True)
        costs = np.concatenate([own, np.zeros(standing)])
        closing = np.concatenate([np.zeros(size), money(case.standing, _CLOSING_COSTS)])
    one = _labels(case, conditions.at_most_one)
    each = _labels(case, conditions.at_least_one)
    movable: IntArray = np.arange(size, size + standing) if conditions.movable else np.arange(0)
    return Rules(
        costs=costs, budget=conditions.budget, at_most_one=one, at_least_one=each,
        movable=movable, closing_costs=closing,
    )  # fmt: skip


def money(some: Places, columns: Sequence[str], *, needed: bool = False) -> Any:
    column = next((c for c in columns if c in some.frame), None)
    if column is None:
        if needed:
            found = ", ".join(map(str, some.frame.columns))
            raise InputError("field_missing", file="candidates", field=columns[0], found=found)
        return np.zeros(len(some))
    values = pd.to_numeric(some.frame[column], errors="coerce").to_numpy(float)
    wrong = ~np.isfinite(values)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file="candidates", row=at + 1, field=column,
            value=some.frame[column].iloc[at], reason=Phrase("应为数字", "must be a number"),
        )  # fmt: skip
    return values


def _labels(case: Case, by: str | None) -> list[Any] | None:
    """The group of each premise and of each standing facility."""
    if by is None:
        return None
    ours = _labels_of(case.premises, by)
    if ours is None:
        found = ", ".join(map(str, case.premises.frame.columns))
        raise InputError("field_missing", file="candidates", field=by, found=found)
    theirs = _labels_of(case.standing, by)
    return ours + (theirs if theirs is not None else [None] * len(case.standing))


def _labels_of(some: Places, by: str) -> list[Any] | None:
    if not len(some):
        return []
    if by in some.frame:
        return [value if pd.notna(value) and value != "" else None for value in some.frame[by]]
    column = next((c for c in _CODES if c in some.frame), None)
    if by not in _WIDTHS or column is None:
        return None
    listed = some.frame[column].astype(str)
    return [code[: _WIDTHS[by]] if codes.level_of(code) is not None else None for code in listed]
