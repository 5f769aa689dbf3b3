"""A choice of sites that can serve only so many, and who is served where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from geo_service.errors import InputError
from geo_service.siting import _capacity
from geo_service.siting._case import Case, weigh
from geo_service.siting._cover import matrix, reached
from geo_service.siting.plans import Clock, FloatArray, IntArray, Plan

_MOVES, _MOVES_FROM, _MOVES_TO = 400, 4, 4  # moves tried in all, and looked at in each round
_MOVES_UNTIL = 0.85  # of the promised time


@dataclass(frozen=True, eq=False)
class Served:
    """What sites with capacities serve, chosen ones first, then existing ones."""

    per_site: float
    least_sites: int
    assignment: _capacity.Assignment
    bound: float


def with_capacity(
    case: Case,
    plan: Plan,
    capacity: float,
    count: int | None,
    cover_percent: float | None,
    clock: Clock,
) -> tuple[Plan, Served]:
    """Choose again with capacities, and keep the choice that serves more."""
    if not (math.isfinite(capacity) and capacity > 0):
        raise InputError(
            "parameter_invalid", name="capacity", value=capacity, reason="must be above 0"
        )
    own = _standing_capacities(case, capacity)

    def serve(sites: IntArray, shortest: bool = False) -> _capacity.Assignment:
        metres: Any = sparse.vstack([case.metres[sites], case.standing_metres], format="csr")
        room = np.concatenate([np.full(len(sites), float(capacity)), own])
        limit = max(0.5 * clock.left(), 0.5)
        return _capacity.assign(
            sparse.csr_array(metres), case.weights, room, seconds=limit, shortest=shortest
        )

    now = serve(np.empty(0, dtype=np.int64))
    total = math.fsum(case.weights.tolist())
    target = total if cover_percent is None else cover_percent / 100.0 * total
    greedy = _capacity.choose(
        case.metres, now.left(case.weights), np.full(len(case.premises), float(capacity)),
        count=count, target=target - now.served, must=case.must, banned=case.never,
    )  # fmt: skip
    least_sites = max(0, math.ceil((target - now.served) / capacity - 1e-9))
    if count is not None:
        best, served = max(
            ((sites, serve(sites)) for sites in (greedy, plan.sites)), key=lambda one: one[1].served
        )
        best, served = _move_idle(case, best, served, serve, capacity, clock)
        # What exists serves no more when others open; each new site serves its capacity at most.
        bound = min(plan.bound, round(now.served + count * capacity, 6))
        objective = served.served
    else:
        best, served = _enough(case, greedy, serve, target, capacity)
        best, served = _drop_idle(best, served, serve, target, set(case.must.tolist()))
        bound, objective = max(plan.bound, float(least_sites)), float(len(best))
    served = serve(best, shortest=True)
    proven = bound == objective
    gap = 0.0 if proven else 100.0 * abs(bound - objective) / max(objective, 1e-300)
    again = replace(
        plan, sites=best, objective=objective, bound=bound, gap_percent=gap, proven=proven,
        status="optimal" if proven else plan.status if plan.status != "optimal" else "bounded",
        curve=_curve(case, best),
    )  # fmt: skip
    return again, Served(capacity, least_sites, served, bound)


def _move_idle(
    case: Case,
    sites: IntArray,
    served: _capacity.Assignment,
    serve: Callable[[IntArray], _capacity.Assignment],
    capacity: float,
    clock: Clock,
) -> tuple[IntArray, _capacity.Assignment]:
    """Move the least used sites to where most people are left, as long as more are served."""
    fixed = np.isin(sites, case.must)
    tries = 0
    while tries < _MOVES and not clock.out_of_time(_MOVES_UNTIL):
        left = served.left(case.weights)
        loads = np.where(fixed, np.inf, served.loads[: len(sites)])
        gains = np.minimum(matrix(case.metres) @ left, capacity)
        gains[np.concatenate([sites, case.never])] = -1.0
        idle = np.argsort(loads, kind="stable")[:_MOVES_FROM]
        new = np.argsort(-gains, kind="stable")[:_MOVES_TO]
        pairs = [(out, row) for out in idle for row in new if gains[row] > 0.0 and not fixed[out]]
        for out, row in pairs:
            tries += 1
            if clock.out_of_time(_MOVES_UNTIL):
                return sites, served
            moved = sites.copy()
            moved[out] = row
            tried = serve(moved)
            if tried.served > served.served + 1e-9:
                sites, served = moved, tried
                break
        else:
            return sites, served
    return sites, served


def _enough(
    case: Case,
    greedy: IntArray,
    serve: Callable[[IntArray], _capacity.Assignment],
    target: float,
    capacity: float,
) -> tuple[IntArray, _capacity.Assignment]:
    """The greedy choice if it serves the target, else all candidates; refuse if they don't."""
    served = serve(greedy)
    if served.served >= target - 1e-6:
        return greedy, served
    others = np.setdiff1d(np.arange(len(case.premises)), np.concatenate([greedy, case.never]))
    everyone = np.concatenate([greedy, others])
    served = serve(everyone)
    if served.served < target - 1e-6:
        share = math.floor(1e4 * served.served / math.fsum(case.weights.tolist())) / 1e2
        reason = f"with capacity {capacity:g} all candidates together serve {share:.2f} %"
        raise InputError("plan_infeasible", reason=reason)
    return everyone, served


def _drop_idle(
    sites: IntArray,
    served: _capacity.Assignment,
    serve: Callable[[IntArray], _capacity.Assignment],
    target: float,
    kept: set[int],
) -> tuple[IntArray, _capacity.Assignment]:
    """Drop last sites that turn out not to be needed once everyone is assigned anew."""
    while len(sites) and int(sites[-1]) not in kept:
        fewer = serve(sites[:-1])
        if fewer.served < target - 1e-6:
            return sites, served
        sites, served = sites[:-1], fewer
    return sites, served


def _standing_capacities(case: Case, capacity: float) -> FloatArray:
    """What each existing facility can serve: its own capacity, else the given one."""
    if "capacity" not in case.standing.frame:
        return np.full(len(case.standing), float(capacity))
    own = pd.to_numeric(case.standing.frame["capacity"], errors="coerce").to_numpy(float)
    return np.where(np.isfinite(own), own, float(capacity))


def _curve(case: Case, sites: IntArray) -> FloatArray:
    covered = case.before.copy()
    curve = np.zeros(len(sites))
    for place, site in enumerate(sites.tolist()):
        covered |= reached(case.metres, np.array([site]))
        curve[place] = weigh(case, covered)
    return curve
