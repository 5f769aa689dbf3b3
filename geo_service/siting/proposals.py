"""From streets, people and premises to sites a planner can defend: proven, explained, checkable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import geopandas as gpd
import pandas as pd
import shapely

from geo_service.errors import InputError, Phrase
from geo_service.siting import _effects, _explanation, sheets
from geo_service.siting._case import Case, Text, gather, weigh
from geo_service.siting._cover import reached
from geo_service.siting._models import Conditions, Model, choose
from geo_service.siting._serving import Served, with_capacity
from geo_service.siting.plans import Clock, Plan, Progress

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Aim = Literal["most_weight", "fewest_sites", "most_weight_twice", "worst_tenth_share",
              "least_walking", "shortest_longest_walk"]  # fmt: skip
_AIMS: dict[str, Aim] = {
    "cover": "most_weight", "backup": "most_weight_twice", "equity": "worst_tenth_share",
    "median": "least_walking", "center": "shortest_longest_walk",
}  # fmt: skip
_AREAS_TOLD = 20
_SOLVER_SHARE = 0.8  # of the promised time; walking and explaining take the rest


@dataclass(frozen=True, eq=False)
class Proposal:
    """Sites with what they bring and what is proven about them.

    Parameters
    ----------
    kind : str
        Kind of facility, may be empty.
    aim : str
        What `objective` and `bound` count: ``most_weight`` covered (or, with capacities, served),
        ``fewest_sites``, ``most_weight_twice``, ``worst_tenth_share``, ``least_walking`` (weight
        times metres), ``shortest_longest_walk`` (metres).
    objective, bound, gap_percent, proven, status
        As in `Plan`.
    sites : list of dict
        In building order: ``id, name, lon, lat, order, newly_covered`` (weight the earlier ones and
        what exists don't cover), ``alone`` (the same, were it the only new site), ``only_here``
        (weight lost if this site alone is dropped; ``lost_percent`` of all), ``within_reach``,
        ``overlap`` (of which others reach too), ``longest_walk_m, mean_walk_m`` (of those within
        reach, the mean by weight), ``nearest_existing_id, nearest_existing_m,
        nearest_existing_minutes`` (on foot; ``None`` beyond an hour's walk), ``alternatives``
        (other premises for this site and what they change), ``equal_alternative`` (the nearest one
        that loses nothing, with the walk to it), ``reason``, and with capacities ``load, capacity,
        load_percent``.
    curve : list of float
        Best known covered weight with 1, 2, ... sites.
    uncoverable : list of dict
        Demand that neither a candidate nor an existing facility reaches: ``id, lon, lat, weight,
        reason``.
    covered_before, covered_after, total : float
        Weight within reach before and after, and all weight.
    minutes, speed_kmh, limit_m : float
        What within reach means: a walk on streets, door to door.
    proof : {"whole_numbers", "branch_and_cut"}
        How the bound was proven, see `Plan`.
    cost : float or None
        What the plan costs, where a budget was given.
    closed : list of dict
        Existing facilities the plan closes: ``id, name, lon, lat``.
    capacity : dict or None
        ``per_site, least_sites, served, unserved, bound``.
    people : dict
        For each column of people the demand has (`_effects.PEOPLE`): ``total, covered_before,
        covered_after, places_without_data``.
    areas : DataFrame
        A row per community (demand by grid), township (by community) or square kilometre: ``area,
        total, covered_before, covered_after, share_before, share_after``.
    equity : dict
        Gini coefficient of those shares and the mean share of the worst-served tenth of the weight,
        before and after.
    uncovered : list of dict
        The largest clusters left uncovered, and why.
    sensitivity : dict
        ``speed`` (the same sites at 0.8, 1.0 and 1.2 m/s), ``one_more``, ``one_fewer``.
    without_data : list of dict
        Demand whose weight is unknown: ``id, lon, lat, within_reach``.
    notes : list of dict
        What was found and assumed, zh and en.
    demand : DataFrame
        A row per demand: ``id, lon, lat, weight, covered_before, covered_after``.
    """

    kind: str
    aim: Aim
    objective: float
    bound: float
    gap_percent: float
    proven: bool
    status: str
    seconds: float
    sites: list[dict[str, Any]]
    curve: list[float]
    uncoverable: list[dict[str, Any]]
    covered_before: float
    covered_after: float
    total: float
    minutes: float
    speed_kmh: float
    limit_m: float
    weight_field: str
    proof: str
    cost: float | None
    closed: list[dict[str, Any]]
    capacity: dict[str, Any] | None
    people: dict[str, dict[str, float]]
    areas: pd.DataFrame
    equity: dict[str, Any]
    uncovered: list[dict[str, Any]]
    sensitivity: dict[str, Any]
    without_data: list[dict[str, Any]]
    notes: list[Text]
    demand: pd.DataFrame

    def __repr__(self) -> str:
        named = " ".join(part for part in (self.kind, self.aim) if part)
        return (
            f"<Proposal {named}: {len(self.sites)} sites, covered {self.covered_before:,.0f} → "
            f"{self.covered_after:,.0f} of {self.total:,.0f}, objective {self.objective:,.6g}, "
            f"bound {self.bound:,.6g}, {self.status}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON form: without the demand; of areas those that gain or are worst."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del told["demand"]
        live = self.areas[self.areas["total"] > 0].sort_values(["share_after", "area"])
        gain = live["covered_after"] > live["covered_before"]
        shown = pd.concat([live.head(_AREAS_TOLD), live[gain]]).drop_duplicates("area")
        told["areas"] = shown.to_dict("records")
        return told

    def sheets(self) -> dict[str, pd.DataFrame]:
        """All of it as sheets of a spreadsheet, in Chinese."""
        return sheets.of(self)

    def to_frame(self) -> gpd.GeoDataFrame:
        """The sites as points, EPSG:4326, a row each."""
        flat = [
            {key: value for key, value in site.items() if not isinstance(value, dict | list)}
            | {f"reason_{language}": text for language, text in site["reason"].items()}
            for site in self.sites
        ]
        frame = pd.DataFrame(flat, columns=None if flat else ["id", "name", "lon", "lat"])
        points = shapely.points(frame["lon"].astype(float), frame["lat"].astype(float))
        return gpd.GeoDataFrame(frame, geometry=points, crs="EPSG:4326")


def propose_sites(
    streets: WalkNetwork,
    demand: pd.DataFrame,
    candidates: pd.DataFrame | None,
    *,
    count: int | None = None,
    cover_percent: float | None = None,
    minutes: float = 15.0,
    existing: pd.DataFrame | None = None,
    capacity: float | None = None,
    must: pd.DataFrame | Sequence[Any] | None = None,
    never: pd.DataFrame | Sequence[Any] | None = None,
    speed_kmh: float | None = None,
    profile: str | None = None,
    kind: str | None = None,
    weight_field: str | None = None,
    model: Model = "cover",
    conditions: Conditions | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Proposal:
    """Propose where facilities should go.

    Parameters
    ----------
    streets : WalkNetwork
        The streets people walk.
    demand : DataFrame or GeoDataFrame
        Who is to be served: ``lon, lat`` (WGS84) or a geometry, and a weight column.
    candidates : DataFrame, GeoDataFrame or None
        Premises to choose from, with ``id`` (or ``code``) and ``name``. Without any, street corners
        stand in, and a note says so.
    count : int, optional
        Sites to choose. Give either this or `cover_percent`.
    cover_percent : float, optional
        Choose the fewest sites that bring so many percent of all weight within reach.
    minutes : float
        The longest walk.
    existing : DataFrame, optional
        Facilities that are there already.
    capacity : float, optional
        Weight one site (and one existing facility without a ``capacity`` of its own) can serve.
    must, never : DataFrame or list of ids, optional
        Candidates that have to be, or may not be, chosen. A row of `must` that is no candidate
        becomes one.
    speed_kmh, profile : optional
        Walking speed and who walks; by default those of `streets`.
    kind : str, optional
        Kind of facility: tells which weight column is meant where `weight_field` does not.
    weight_field : str, optional
        Column of `demand` that is weighed.
    model : {"cover", "backup", "equity", "median", "center"}
        What is best: most weight within reach; most with two sites within reach; the best served
        worst tenth of communities; least walking in all; the shortest longest walk (the last two of
        those whom some candidate reaches within `minutes`).
    conditions : Conditions, optional
        Budget, at most or at least one site per community or township, existing ones that may move.
        With these `count` is the most sites there may be, and may be left out beside a budget.
    seconds : float
        Time promised.
    seed : int
        Seed of the search.
    on_progress : callable, optional
        Called with the share done and the step's name.

    Returns
    -------
    Proposal

    Raises
    ------
    InputError
        ``parameter_invalid``, ``too_few_candidates``, ``plan_infeasible``, ``field_missing``,
        ``value_invalid``.
    """
    conditions = conditions or Conditions()
    given = (count is not None) + (cover_percent is not None)
    if given == 2 or (given == 0 and conditions.budget is None):
        reason = Phrase(
            "请在 count 与 cover_percent 中给出一个，或给 budget",
            "give one of count and cover_percent, or a budget",
        )
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if capacity is not None and (model != "cover" or conditions.any):
        reason = Phrase(
            "不能与其他模型、预算或分组同时用",
            "not together with another model, a budget or groups",
        )
        raise InputError("parameter_invalid", name="capacity", value=capacity, reason=reason)
    if cover_percent is not None and not 0.0 < cover_percent <= 100.0:
        reason = Phrase("应大于 0、不超过 100", "must be above 0 and up to 100")
        raise InputError(
            "parameter_invalid", name="cover_percent", value=cover_percent, reason=reason
        )
    clock = Clock(seconds)
    told = on_progress if on_progress is not None else lambda share, step: None
    notes: list[Text] = []
    told(0.0, "walk")
    walk = {"minutes": minutes, "speed_kmh": speed_kmh, "profile": profile}
    field, case = gather(
        streets, demand, candidates, existing, must, never, walk, kind, weight_field, notes
    )
    told(0.2, "choose")
    options: dict[str, Any] = {
        "seconds": _SOLVER_SHARE * seconds, "seed": seed,
        "on_progress": lambda share, step: told(0.2 + 0.6 * share, step),
    }  # fmt: skip
    served = None
    if capacity is not None:
        plan, served = with_capacity(case, capacity, count, cover_percent, clock=clock, **options)
    else:
        areas = _effects.areas_of(case)[0]
        plan, case = choose(case, model, conditions, count, cover_percent, areas, **options)
    told(0.9, "explain")
    by_count = model == "cover" and count is not None and not conditions.any
    proposal = explained(case, plan, served, field, walk, streets, notes, clock, by_count=by_count)
    told(1.0, "done")
    return replace(
        proposal,
        kind=kind or "",
        aim=_AIMS[model] if cover_percent is None else "fewest_sites",
    )


def explained(
    case: Case,
    plan: Plan,
    served: Served | None,
    field: str,
    walk: dict[str, Any],
    streets: WalkNetwork,
    notes: list[Text],
    clock: Clock,
    *,
    by_count: bool,
) -> Proposal:
    """Say what each site brings, what it would be missed for, and what nothing can reach."""
    before = case.before
    after = case.stays | reached(case.metres, plan.sites)
    sites = _explanation.sites(case, plan, served, field, walk, streets)
    effects = _effects.of(case, plan, streets, walk, by_count=by_count)
    idle = sum(site["newly_covered"] == 0 for site in sites)
    if idle:
        notes.append({
            "zh": f"其中 {idle} 处不新增覆盖：能覆盖的已全部覆盖，数量可以减少。",
            "en": f"{idle} of the sites cover nobody new: fewer sites do as well.",
        })  # fmt: skip
    if plan.status == "time_limit":
        notes.append({
            "zh": "计算到了时限：在另一台机器上结果可能不同；给更多秒数可得到可重复的结果。",
            "en": "The time ran out: another machine may answer differently; allow more seconds.",
        })  # fmt: skip
    told = pd.DataFrame({
        "id": case.demand.ids, "lon": case.demand.lon, "lat": case.demand.lat,
        "weight": case.weights, "covered_before": before, "covered_after": after,
    })  # fmt: skip
    return Proposal(
        kind="",
        aim="most_weight",
        objective=float(plan.objective),
        bound=float(plan.bound),
        gap_percent=float(plan.gap_percent),
        proven=plan.proven,
        status=plan.status,
        seconds=clock.spent(),
        sites=sites,
        curve=[float(value) for value in plan.curve],
        uncoverable=_explanation.uncoverable(case),
        covered_before=weigh(case, before),
        covered_after=weigh(case, after),
        total=math.fsum(case.weights.tolist()),
        minutes=float(walk["minutes"]),
        speed_kmh=case.speed_kmh,
        limit_m=case.limit_m,
        weight_field=field,
        proof=plan.proof,
        cost=plan.cost,
        closed=[
            {
                "id": case.standing.ids[k],
                "name": case.standing.names[k],
                "lon": float(case.standing.lon[k]),
                "lat": float(case.standing.lat[k]),
            }
            for k in case.closed.tolist()
        ],
        capacity=None if served is None else _explanation.capacity(case, served),
        people=effects.people,
        areas=effects.areas,
        equity=effects.equity,
        uncovered=effects.uncovered,
        sensitivity=effects.sensitivity,
        without_data=_explanation.without_data(case, after),
        notes=notes,
        demand=told,
    )
