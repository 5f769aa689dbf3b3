"""Proposals for several kinds of facility at once that may share premises, explained kind by kind.

What is best: the mean of the kinds' covered percent, so that riders and people over 60 need no
common unit. Premises are paid once however many kinds move in (see `joint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service.errors import InputError, Phrase
from geo_service.siting import _models
from geo_service.siting._case import Case, Text, gather
from geo_service.siting._cover import reached
from geo_service.siting.covering import maximal_cover
from geo_service.siting.joint import JointPlan, Kind, joint_cover
from geo_service.siting.plans import Clock, FloatArray, IntArray, Plan, Progress, Step
from geo_service.siting.proposals import Proposal, explained

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

_TOGETHER, _ALONE = 0.5, 0.3  # shares of the promised time: the joint plan, each kind's own bound


@dataclass(frozen=True, eq=False)
class Wish:
    """What one kind of facility asks for.

    Parameters
    ----------
    kind : str
        Its name.
    count : int
        The most sites of this kind.
    weight_field : str, optional
        Column of the demand that is weighed; by default as `propose_sites` takes it.
    existing : DataFrame, optional
        Facilities of this kind that are there already.
    profile : str, optional
        Who walks to it.
    """

    kind: str
    count: int
    weight_field: str | None = None
    existing: pd.DataFrame | None = None
    profile: str | None = None


@dataclass(frozen=True, eq=False)
class JointProposal:
    """Sites of several kinds, with what each brings.

    Parameters
    ----------
    kinds : dict of str to Proposal
        Each kind's own sites, in building order, explained as if proposed alone. Their ``bound`` is
        what that kind could cover at most on its own, with as many sites and no budget.
    premises : list of dict
        All premises used: ``id, name, lon, lat, kinds`` (those that move in), with a budget
        ``premises_cost``, ``fitting_cost`` and ``cost``.
    objective, bound : float
        The mean of the kinds' covered percent, and what no plan exceeds.
    gap_percent, proven, status, proof, seconds
        As in `Plan`.
    cost : float or None
        What everything costs, where a budget was given; ``cost_apart`` were no premises shared.
    budget : float or None
    notes : list of dict
        What was found and assumed, zh and en.
    """

    kinds: dict[str, Proposal]
    premises: list[dict[str, Any]]
    objective: float
    bound: float
    gap_percent: float
    proven: bool
    status: str
    proof: str
    seconds: float
    cost: float | None
    cost_apart: float | None
    budget: float | None
    notes: list[Text]

    @property
    def shared(self) -> int:
        """Premises that more than one kind moves into."""
        return sum(len(one["kinds"]) > 1 for one in self.premises)

    def __repr__(self) -> str:
        sites = ", ".join(f"{len(told.sites)} {kind}" for kind, told in self.kinds.items())
        return (
            f"<JointProposal {sites} in {len(self.premises)} premises, {self.shared} shared, "
            f"mean covered {self.objective:.4g} %, bound {self.bound:.4g} %, {self.status}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: each kind's proposal under its name."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told["kinds"] = {kind: one.to_dict() for kind, one in self.kinds.items()}
        return told | {"shared": self.shared}

    def sheets(self) -> dict[str, pd.DataFrame]:
        """The premises, then each kind's sheets under its name, in Chinese."""
        headers = {
            "id": "候选点编号", "name": "名称", "lon": "经度（WGS84）", "lat": "纬度（WGS84）",
            "kinds": "设施", "premises_cost": "场所费用", "fitting_cost": "配置费用",
            "cost": "费用",
        }  # fmt: skip
        flat = pd.DataFrame([one | {"kinds": "、".join(one["kinds"])} for one in self.premises])
        told = {"合用场所": flat.rename(columns=headers)}
        for kind, one in self.kinds.items():
            told |= {f"{kind}·{name}": sheet for name, sheet in one.sheets().items()}
        return told

    def to_frame(self) -> gpd.GeoDataFrame:
        """The premises as points, EPSG:4326, a row each."""
        flat = [one | {"kinds": ",".join(one["kinds"])} for one in self.premises]
        frame = pd.DataFrame(flat, columns=None if flat else ["id", "name", "lon", "lat", "kinds"])
        points = shapely.points(frame["lon"].astype(float), frame["lat"].astype(float))
        return gpd.GeoDataFrame(frame, geometry=points, crs="EPSG:4326")


def propose_together(
    streets: WalkNetwork,
    demand: pd.DataFrame,
    candidates: pd.DataFrame | None,
    wishes: Sequence[Wish],
    *,
    minutes: float = 15.0,
    budget: float | None = None,
    per_premises: int | None = None,
    never: pd.DataFrame | Sequence[Any] | None = None,
    speed_kmh: float | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> JointProposal:
    """Propose where several kinds of facility should go, premises shared where that is best.

    Parameters
    ----------
    streets, demand, candidates, minutes, never, speed_kmh, seconds, seed, on_progress
        As for `propose_sites`; `never` holds for every kind.
    wishes : sequence of Wish
        The kinds, each named once.
    budget : float, optional
        What may be spent, in the unit of the candidates' column ``fixed_cost``, which is paid once
        for premises; columns ``fitting_cost_KIND`` are paid for each kind beside it.
    per_premises : int, optional
        The most kinds that fit in one place.

    Returns
    -------
    JointProposal

    Raises
    ------
    InputError
        As `propose_sites`.
    """
    if len({wish.kind for wish in wishes}) < max(len(wishes), 1):
        reason = Phrase("每类设施写一次", "name each kind once")
        named = ",".join(wish.kind for wish in wishes)
        raise InputError("parameter_invalid", name="kind", value=named, reason=reason)
    clock = Clock(seconds)
    told = on_progress if on_progress is not None else lambda share, step: None
    told(0.0, "walk")
    asked = [_gathered(wish, streets, demand, candidates, never, minutes, speed_kmh)
             for wish in wishes]  # fmt: skip
    cases = [one.case for one in asked]
    shares = np.array([100.0 / (len(cases) * max(float(c.weights.sum()), 1e-300)) for c in cases])
    prices = _Prices.of(cases[0], [wish.kind for wish in wishes]) if budget is not None else None
    before = float(sum(share * case.weights[case.before].sum()
                       for share, case in zip(shares, cases, strict=True)))  # fmt: skip

    def tell(share: float, step: str) -> None:
        figures = [getattr(step, name, None) for name in ("best", "bound")]
        whole = [None if value is None else value + before for value in figures]
        told(0.2 + 0.4 * share, Step(step, *whole))

    plan = joint_cover(
        [Kind(case.metres, np.where(case.before, 0.0, case.weights), wish.count,
              costs=prices.fitting[wish.kind] if prices else None, never=case.never, share=share)
         for wish, case, share in zip(wishes, cases, shares, strict=True)],
        premise_costs=prices.premises if prices else None, budget=budget,
        per_premise=per_premises, seconds=_TOGETHER * seconds, seed=seed, on_progress=tell,
    )  # fmt: skip
    told(0.6, "explain")
    kinds = {
        wish.kind: replace(
            explained(one.case, _own_plan(one.case, wish, sites, _ALONE * seconds / len(wishes),
                                          seed),
                      None, one.field, one.walk, streets, one.notes, clock, by_count=False),
            kind=wish.kind,
        )
        for wish, one, sites in zip(wishes, asked, plan.sites, strict=True)
    }  # fmt: skip
    told(1.0, "done")
    objective = float(sum(share * kind.covered_after
                          for share, kind in zip(shares, kinds.values(), strict=True)))  # fmt: skip
    bound = objective if plan.proven else max(plan.bound + before, objective)
    premises = _premises(cases[0], [wish.kind for wish in wishes], plan, prices)
    return JointProposal(
        kinds=kinds, premises=premises, objective=objective, bound=bound,
        gap_percent=100.0 * (bound - objective) / max(objective, 1e-300), proven=plan.proven,
        status=plan.status, proof=plan.proof, seconds=clock.spent(), cost=plan.cost,
        cost_apart=prices.apart(premises) if prices else None, budget=budget,
        notes=[] if prices else [_NOT_LINKED],
    )  # fmt: skip


_NOT_LINKED: Text = {
    "zh": "没有预算时各类设施互不影响：各自放在最好的位置，合用只是碰巧；给出预算才会为省钱合用。",
    "en": "Without a budget the kinds don't touch one another: each goes where it is best, and "
    "premises are shared by chance; a budget makes sharing pay.",
}


@dataclass(frozen=True, eq=False)
class _Asked:
    """A wish with its places and walks."""

    field: str
    case: Case
    walk: dict[str, Any]
    notes: list[Text]


def _gathered(
    wish: Wish,
    streets: WalkNetwork,
    demand: pd.DataFrame,
    candidates: pd.DataFrame | None,
    never: pd.DataFrame | Sequence[Any] | None,
    minutes: float,
    speed_kmh: float | None,
) -> _Asked:
    walk = {"minutes": minutes, "speed_kmh": speed_kmh, "profile": wish.profile}
    notes: list[Text] = [{
        "zh": "界是这类设施单独选址、不限预算时最多能覆盖的。",
        "en": "The bound is what this kind could cover at most on its own, without a budget.",
    }]  # fmt: skip
    field, case = gather(streets, demand, candidates, wish.existing, None, never, walk, wish.kind,
                         wish.weight_field, notes)  # fmt: skip
    return _Asked(field, case, walk, notes)


def _own_plan(case: Case, wish: Wish, sites: IntArray, seconds: float, seed: int) -> Plan:
    """The sites of one kind in building order, and what this kind could have alone."""
    most = max(min(wish.count, len(case.premises) - len(case.never)), 0)
    alone = maximal_cover(case.metres, case.weights, most, covered=case.before, never=case.never,
                          seconds=seconds, seed=seed)  # fmt: skip
    ordered = maximal_cover(case.metres[sites], case.weights, len(sites), covered=case.before)
    objective = float(case.weights[case.before | reached(case.metres, sites)].sum())
    bound = max(alone.bound, objective)
    return replace(
        ordered, sites=sites[ordered.sites], objective=objective, bound=bound,
        gap_percent=100.0 * (bound - objective) / max(objective, 1e-300),
        proven=bound == objective, proof=alone.proof,
        status="optimal" if bound == objective else "bounded",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Prices:
    """What premises cost, whoever moves in, and what each kind costs beside it."""

    premises: FloatArray
    fitting: dict[str, FloatArray]

    @classmethod
    def of(cls, case: Case, kinds: Sequence[str]) -> _Prices:
        fitting = {
            kind: _models.money(case.premises, [f"fitting_cost_{kind}"], needed=False)
            for kind in kinds
        }
        return cls(_models.money(case.premises, _models.COSTS, needed=True), fitting)

    def apart(self, premises: list[dict[str, Any]]) -> float:
        """The cost if each kind paid for premises of its own."""
        return float(sum(one["fitting_cost"] + len(one["kinds"]) * one["premises_cost"]
                         for one in premises))  # fmt: skip


def _premises(
    case: Case, kinds: Sequence[str], plan: JointPlan, prices: _Prices | None
) -> list[dict[str, Any]]:
    rows = []
    for at in plan.premises.tolist():
        inside = [kind for kind, sites in zip(kinds, plan.sites, strict=True) if at in sites]
        row: dict[str, Any] = {
            "id": case.premises.ids[at], "name": case.premises.names[at],
            "lon": round(float(case.premises.lon[at]), 7),
            "lat": round(float(case.premises.lat[at]), 7), "kinds": inside,
        }  # fmt: skip
        if prices is not None:
            row["premises_cost"] = float(prices.premises[at])
            row["fitting_cost"] = float(sum(prices.fitting[kind][at] for kind in inside))
            row["cost"] = row["premises_cost"] + row["fitting_cost"]
        rows.append(row)
    return rows
