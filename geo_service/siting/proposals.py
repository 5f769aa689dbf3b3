"""From streets, people and premises to sites a planner can defend: proven, explained, checkable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy import sparse

from geo_service import crs, places
from geo_service.errors import InputError
from geo_service.places import Places
from geo_service.siting import _capacity
from geo_service.siting._cover import matrix, reached
from geo_service.siting.covering import maximal_cover, set_cover
from geo_service.siting.plans import BoolArray, FloatArray, IntArray, Plan, Progress

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Text = dict[str, str]
"""A sentence in ``zh`` and ``en``."""

_WEIGHTS_BY_KIND = {"rest_station": "riders", "canteen": "population_60"}
_WEIGHTS = ("weight", "population", "households")
_UNITS = {
    "riders": ("名骑手", "riders"),
    "population_60": ("名老人", "people over 60"),
    "population": ("人", "people"),
    "households": ("户", "households"),
}
_STREET_NODES = 4000  # candidates taken from the streets where none are given
_EXISTING_WITHIN_MINUTES = 60.0  # how far the nearest existing facility is looked for
_SOLVER_SHARE = 0.8  # of the promised time; walking and explaining take the rest


@dataclass(frozen=True, eq=False)
class Proposal:
    """Sites with what they bring and what is proven about them.

    Parameters
    ----------
    kind : str
        Kind of facility, may be empty.
    aim : {"most_weight", "fewest_sites"}
        What `objective` and `bound` count: weight covered (or, with capacities, served), or sites.
    objective, bound, gap_percent, proven, status
        As in `Plan`.
    sites : list of dict
        In building order: ``id, name, lon, lat, order, newly_covered`` (weight the earlier ones and
        what exists don't cover), ``only_here`` (weight lost if this site alone is dropped),
        ``nearest_existing_id, nearest_existing_m`` (on foot; ``None`` beyond an hour's walk),
        ``alternatives`` (other premises for this site and what they change), ``reason``, and with
        capacities ``load``.
    curve : list of float
        Best known covered weight with 1, 2, ... sites.
    uncoverable : list of dict
        Demand that neither a candidate nor an existing facility reaches: ``id, lon, lat, weight,
        reason``.
    covered_before, covered_after, total : float
        Weight within reach before and after, and all weight.
    minutes, speed_kmh, limit_m : float
        What within reach means: a walk on streets, door to door.
    capacity : dict or None
        ``per_site, least_sites, served, unserved, bound``.
    notes : list of dict
        What was found and assumed, zh and en.
    demand : DataFrame
        A row per demand: ``id, lon, lat, weight, covered_before, covered_after``.
    """

    kind: str
    aim: Literal["most_weight", "fewest_sites"]
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
    capacity: dict[str, Any] | None
    notes: list[Text]
    demand: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON form: every field but the table of demand."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del told["demand"]
        return told

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


@dataclass(frozen=True, eq=False)
class _Case:
    """Everything a choice of sites depends on."""

    demand: Places
    weights: FloatArray
    premises: Places
    standing: Places
    must: IntArray
    never: IntArray
    metres: sparse.csr_array  # premises x demand
    standing_metres: sparse.csr_array  # standing x demand
    no_street: BoolArray  # per demand
    speed_kmh: float
    limit_m: float

    @property
    def before(self) -> BoolArray:
        """Demand within reach of what exists."""
        return reached(self.standing_metres, np.arange(len(self.standing)))


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
    if (count is None) == (cover_percent is None):
        reason = "give one of count and cover_percent"
        raise InputError("parameter_invalid", name="count", value=count, reason=reason)
    if cover_percent is not None and not 0.0 < cover_percent <= 100.0:
        reason = "must be above 0 and up to 100"
        raise InputError(
            "parameter_invalid", name="cover_percent", value=cover_percent, reason=reason
        )
    told = on_progress if on_progress is not None else lambda share, step: None
    notes: list[Text] = []
    told(0.0, "walk")
    walk = {"minutes": minutes, "speed_kmh": speed_kmh, "profile": profile}
    field, case = _gather(
        streets, demand, candidates, existing, must, never, walk, kind, weight_field, notes
    )
    told(0.2, "choose")
    plan = _solve(
        case, count, cover_percent, seconds=_SOLVER_SHARE * seconds, seed=seed,
        on_progress=lambda share, step: told(0.2 + 0.6 * share, step),
    )  # fmt: skip
    served = None
    if capacity is not None:
        plan, served = _with_capacity(case, plan, capacity, count, cover_percent, seconds)
    told(0.9, "explain")
    proposal = _explain(case, plan, served, field, walk, streets, notes)
    told(1.0, "done")
    return replace(
        proposal,
        kind=kind or "",
        aim="most_weight" if count is not None else "fewest_sites",
    )


def _gather(
    streets: WalkNetwork,
    demand: pd.DataFrame,
    candidates: pd.DataFrame | None,
    existing: pd.DataFrame | None,
    must: pd.DataFrame | Sequence[Any] | None,
    never: pd.DataFrame | Sequence[Any] | None,
    walk: dict[str, Any],
    kind: str | None,
    weight_field: str | None,
    notes: list[Text],
) -> tuple[str, _Case]:
    """Read the tables and walk the streets between them."""
    wanted = places.read(demand, name="demand")
    if not len(wanted):
        raise InputError("layer_empty", file="demand")
    field = weight_field or _weight_field(wanted, kind)
    if not field:
        notes.append({
            "zh": "需求表没有权重列，每处按 1 计。",
            "en": "The demand has no weight column; each place counts 1.",
        })  # fmt: skip
    standing = places.read(existing, name="existing")
    premises = _premises(streets, candidates, wanted, notes)
    demanded, further = places.choose(must, premises, name="must")
    if len(further):
        start = len(premises)
        premises = premises.also(further)
        demanded = np.concatenate([demanded, np.arange(start, len(premises))])
        notes.append({
            "zh": f"必选点中有 {len(further)} 处不在候选表里，已作为候选点加入。",
            "en": f"{len(further)} of the demanded sites were no candidates and were added.",
        })  # fmt: skip
    forbidden, unknown = places.choose(never, premises, name="never")
    if len(unknown):
        reason = "no candidate has this id"
        raise InputError("parameter_invalid", name="never", value=unknown.ids[0], reason=reason)
    places.require_distinct(premises, name="candidates")
    asked = {key: value for key, value in walk.items() if value is not None}
    travel = streets.time_matrix(wanted.lonlat, premises.also(standing).lonlat, **asked)
    metres = sparse.csr_array(sparse.csr_array(travel.metres).T)
    metres.sort_indices()
    no_street = np.zeros(len(wanted), dtype=bool)
    no_street[travel.unsnapped_origins] = True
    lost = int(np.count_nonzero(np.asarray(travel.unsnapped_destinations) < len(premises)))
    if lost:
        notes.append({
            "zh": f"{lost} 处候选点附近没有可步行的街道，选了也覆盖不到任何人。",
            "en": f"{lost} candidates have no walkable street near and reach nobody.",
        })  # fmt: skip
    case = _Case(
        demand=wanted,
        weights=places.weights(wanted, field or None, name="demand"),
        premises=premises,
        standing=standing,
        must=demanded,
        never=forbidden,
        metres=metres[np.arange(len(premises))],
        standing_metres=metres[np.arange(len(premises), len(premises) + len(standing))],
        no_street=no_street,
        speed_kmh=float(travel.speed_kmh),
        limit_m=float(travel.limit_m),
    )
    return field, case


def _weight_field(demand: Places, kind: str | None) -> str:
    wished = (_WEIGHTS_BY_KIND.get(kind or "", ""), *_WEIGHTS)
    return next((name for name in wished if name in demand.frame), "")


def _premises(
    streets: WalkNetwork, candidates: pd.DataFrame | None, demand: Places, notes: list[Text]
) -> Places:
    if candidates is not None:
        premises = places.read(candidates, name="candidates")
        if not len(premises):
            raise InputError("layer_empty", file="candidates")
        return premises
    corners = street_corners(streets, demand)
    notes.append({
        "zh": f"没有候选点表：以 {len(corners)} 个街道路口代替。"
        "路口不是房屋，请换成可用的场所后再算。",
        "en": f"No candidates were given: {len(corners)} street corners stand in. A corner is no "
        "building; list real premises and run again.",
    })  # fmt: skip
    return corners


def street_corners(streets: WalkNetwork, demand: Places) -> Places:
    """Take street nodes as candidates, spread evenly over the area of the demand.

    One node (the first) of each cell of a square grid; the cells grow until there are few enough.
    """
    plane = crs.Plane.of(streets.plane)
    x, y = np.asarray(streets.graph.node_x), np.asarray(streets.graph.node_y)
    to_x, to_y = plane.forward(demand.lon, demand.lat, datum="wgs84")
    inside = (x >= to_x.min()) & (x <= to_x.max()) & (y >= to_y.min()) & (y <= to_y.max())
    nodes = np.flatnonzero(inside) if inside.any() else np.arange(len(x))
    cell_m = 50.0
    kept = nodes
    while len(kept) > _STREET_NODES:
        cells = np.column_stack([x[nodes], y[nodes]]) // cell_m
        _, first = np.unique(cells, axis=0, return_index=True)
        kept = nodes[np.sort(first)]
        cell_m *= 1.25
    lon, lat = plane.inverse(x[kept], y[kept])
    ids = [f"node-{node}" for node in kept.tolist()]
    return Places(ids, ids, lon, lat, pd.DataFrame({"id": ids, "lon": lon, "lat": lat}))


def _solve(
    case: _Case,
    count: int | None,
    cover_percent: float | None,
    *,
    seconds: float,
    seed: int,
    on_progress: Progress,
) -> Plan:
    options: dict[str, Any] = {
        "covered": case.before,
        "must": case.must,
        "never": case.never,
        "seconds": seconds,
        "seed": seed,
        "on_progress": on_progress,
    }
    if count is not None:
        return maximal_cover(case.metres, case.weights, count, **options)
    share = (cover_percent or 0.0) / 100.0
    return set_cover(case.metres, weights=case.weights, cover_share=share, **options)


@dataclass(frozen=True, eq=False)
class _Served:
    """What sites with capacities serve, chosen ones first, then existing ones."""

    per_site: float
    least_sites: int
    assignment: _capacity.Assignment
    bound: float


def _with_capacity(
    case: _Case,
    plan: Plan,
    capacity: float,
    count: int | None,
    cover_percent: float | None,
    seconds: float,
) -> tuple[Plan, _Served]:
    """Choose again with capacities, and keep the choice that serves more."""
    if not (math.isfinite(capacity) and capacity > 0):
        raise InputError(
            "parameter_invalid", name="capacity", value=capacity, reason="must be above 0"
        )
    limit = max(0.2 * seconds, 1.0)
    own = _standing_capacities(case, capacity)
    now = _capacity.assign(case.standing_metres, case.weights, own, seconds=limit)
    left = np.maximum(case.weights - np.asarray(now.flows.sum(axis=0)).ravel(), 0.0)
    total = math.fsum(case.weights.tolist())
    target = math.inf if cover_percent is None else cover_percent / 100.0 * total
    room = np.full(len(case.premises), float(capacity))
    greedy = _capacity.choose(
        case.metres, left, room, count=count, target=target - now.served, must=case.must,
        banned=case.never,
    )  # fmt: skip

    def serve(sites: IntArray) -> _capacity.Assignment:
        open_metres = sparse.vstack([case.metres[sites], case.standing_metres], format="csr")
        capacities = np.concatenate([room[sites], own])
        return _capacity.assign(
            sparse.csr_array(open_metres), case.weights, capacities, seconds=limit
        )

    missing = (total if cover_percent is None else target) - now.served
    least_sites = max(0, math.ceil(missing / capacity - 1e-9))
    best, served = greedy, serve(greedy)
    if count is not None:
        other = serve(plan.sites)
        if other.served > served.served:
            best, served = plan.sites, other
        bound = min(plan.bound, math.fsum(own.tolist()) + count * capacity)
        objective = served.served
    else:
        if served.served < target - 1e-6:
            share = f"{math.floor(1e4 * served.served / total) / 1e2:.2f} %"
            reason = f"with capacity {capacity:g} all candidates together serve {share}"
            raise InputError("plan_infeasible", reason=reason)
        best, served = _drop_idle(best, served, serve, target, set(case.must.tolist()))
        bound, objective = max(plan.bound, float(least_sites)), float(len(best))
    proven = bound == objective
    gap = 0.0 if proven else 100.0 * abs(bound - objective) / max(objective, 1e-300)
    again = replace(
        plan, sites=best, objective=objective, bound=bound, gap_percent=gap, proven=proven,
        status="optimal" if proven else plan.status if plan.status != "optimal" else "bounded",
        curve=_curve(case, best),
    )  # fmt: skip
    return again, _Served(capacity, least_sites, served, bound)


def _drop_idle(
    sites: IntArray,
    served: _capacity.Assignment,
    serve: Any,
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


def _standing_capacities(case: _Case, capacity: float) -> FloatArray:
    """What each existing facility can serve: its own capacity, else the given one."""
    if "capacity" not in case.standing.frame:
        return np.full(len(case.standing), float(capacity))
    own = pd.to_numeric(case.standing.frame["capacity"], errors="coerce").to_numpy(float)
    return np.where(np.isfinite(own), own, float(capacity))


def _curve(case: _Case, sites: IntArray) -> FloatArray:
    covered = case.before.copy()
    curve = np.zeros(len(sites))
    for place, site in enumerate(sites.tolist()):
        covered |= reached(case.metres, np.array([site]))
        curve[place] = _weigh(case, covered)
    return curve


def _explain(
    case: _Case,
    plan: Plan,
    served: _Served | None,
    field: str,
    walk: dict[str, Any],
    streets: WalkNetwork,
    notes: list[Text],
) -> Proposal:
    """Say what each site brings, what it would be missed for, and what nothing can reach."""
    before = case.before
    after = before | reached(case.metres, plan.sites)
    sites = _told_sites(case, plan, served, field, walk, streets)
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
        seconds=float(plan.seconds),
        sites=sites,
        curve=[float(value) for value in plan.curve],
        uncoverable=_uncoverable(case),
        covered_before=_weigh(case, before),
        covered_after=_weigh(case, after),
        total=math.fsum(case.weights.tolist()),
        minutes=float(walk["minutes"]),
        speed_kmh=case.speed_kmh,
        limit_m=case.limit_m,
        weight_field=field,
        capacity=None if served is None else _told_capacity(case, served),
        notes=notes,
        demand=told,
    )


def _told_sites(
    case: _Case,
    plan: Plan,
    served: _Served | None,
    field: str,
    walk: dict[str, Any],
    streets: WalkNetwork,
) -> list[dict[str, Any]]:
    rows = matrix(case.metres)[plan.sites]
    times = np.asarray(rows.sum(axis=0)).ravel()
    covered = case.before.copy()
    others = _alternatives(case, plan.sites, times)
    near = _nearest_existing(case, plan.sites, streets, walk)
    told = []
    for place, site in enumerate(plan.sites.tolist()):
        reach = rows.indices[rows.indptr[place] : rows.indptr[place + 1]]
        new = math.fsum(case.weights[reach[~covered[reach]]].tolist())
        alone = reach[(times[reach] == 1) & ~case.before[reach]]
        only = math.fsum(case.weights[alone].tolist())
        covered[reach] = True
        entry: dict[str, Any] = {
            "id": case.premises.ids[site],
            "name": case.premises.names[site],
            "lon": round(float(case.premises.lon[site]), 7),
            "lat": round(float(case.premises.lat[site]), 7),
            "order": place + 1,
            "newly_covered": new,
            "only_here": only,
            "nearest_existing_id": near[place][0],
            "nearest_existing_m": near[place][1],
            "alternatives": others[place],
        }
        if served is not None:
            entry["load"] = round(float(served.assignment.loads[place]), 6)
        entry["reason"] = _reason(entry, field, locked=site in case.must)
        told.append(entry)
    return told


def _alternatives(
    case: _Case, sites: IntArray, times: npt.NDArray[Any]
) -> list[list[dict[str, Any]]]:
    """For each site the two premises that could best replace it, and what that changes."""
    coverage = matrix(case.metres)
    weighted = coverage.multiply(case.weights[None, :]).tocsr()
    open_demand = ~case.before & (times == 0)
    gain = np.asarray(weighted @ open_demand.astype(float)).ravel()
    lonely = ~case.before & (times == 1)
    single = coverage[sites].multiply(lonely[None, :].astype(float)).tocsr()
    lost = np.asarray(weighted[sites] @ lonely.astype(float)).ravel()
    shared = sparse.csc_array(weighted @ single.T)
    allowed = np.ones(len(case.premises), dtype=bool)
    allowed[sites] = False
    allowed[case.never] = False
    numbers = np.flatnonzero(allowed)
    told = []
    for place in range(len(sites)):
        change = gain.copy()
        span = slice(shared.indptr[place], shared.indptr[place + 1])
        change[shared.indices[span]] += shared.data[span]
        change -= lost[place]
        best = numbers[np.lexsort((numbers, -change[numbers]))[:2]]
        ids = [case.premises.ids[k] for k in best.tolist()]
        changes = [round(float(change[k]), 6) for k in best.tolist()]
        told.append([{"id": i, "change": c} for i, c in zip(ids, changes, strict=True)])
    return told


def _nearest_existing(
    case: _Case, sites: IntArray, streets: WalkNetwork, walk: dict[str, Any]
) -> list[tuple[str | None, float | None]]:
    """The nearest existing facility of each site, on foot, within an hour."""
    if not len(case.standing) or not len(sites):
        return [(None, None)] * len(sites)
    asked = {key: value for key, value in walk.items() if value is not None}
    asked["minutes"] = max(_EXISTING_WITHIN_MINUTES, float(walk["minutes"]))
    travel = streets.time_matrix(case.premises.lonlat[sites], case.standing.lonlat, **asked)
    metres = sparse.csr_array(travel.metres)
    told: list[tuple[str | None, float | None]] = []
    for row in range(len(sites)):
        span = slice(metres.indptr[row], metres.indptr[row + 1])
        if span.start == span.stop:
            told.append((None, None))
            continue
        at = int(np.lexsort((metres.indices[span], metres.data[span]))[0])
        nearest = int(metres.indices[span][at])
        told.append((case.standing.ids[nearest], round(float(metres.data[span][at]), 1)))
    return told


def _reason(site: dict[str, Any], field: str, *, locked: bool) -> Text:
    zh_unit, en_unit = _UNITS.get(field, ("（权重）", "(weight)"))
    new, only = f"{site['newly_covered']:,.10g}", f"{site['only_here']:,.10g}"
    zh = f"第 {site['order']} 处：新覆盖 {new} {zh_unit}；去掉它会失去 {only}"
    en = f"No. {site['order']}: newly covers {new} {en_unit}; without it {only} would be lost"
    if locked:
        zh, en = f"（指定必选）{zh}", f"(demanded) {en}"
    if site["nearest_existing_m"] is not None:
        zh += f"；步行 {site['nearest_existing_m']:,.0f} 米到最近的现有设施"
        en += f"; the nearest existing facility is {site['nearest_existing_m']:,.0f} m on foot"
    return {"zh": zh + "。", "en": en + "."}


def _uncoverable(case: _Case) -> list[dict[str, Any]]:
    allowed = np.setdiff1d(np.arange(len(case.premises)), case.never)
    beyond = ~case.before & ~reached(case.metres, allowed) & (case.weights > 0)
    told = []
    for at in np.flatnonzero(beyond).tolist():
        reason = {
            "zh": f"{case.limit_m:,.0f} 米步行范围内没有候选点",
            "en": f"no candidate within a walk of {case.limit_m:,.0f} m",
        }
        if case.no_street[at]:
            reason = {"zh": "附近没有可步行的街道", "en": "no walkable street near"}
        told.append({
            "id": case.demand.ids[at], "lon": round(float(case.demand.lon[at]), 7),
            "lat": round(float(case.demand.lat[at]), 7), "weight": float(case.weights[at]),
            "reason": reason,
        })  # fmt: skip
    return told


def _told_capacity(case: _Case, served: _Served) -> dict[str, Any]:
    total = math.fsum(case.weights.tolist())
    return {
        "per_site": float(served.per_site),
        "least_sites": served.least_sites,
        "served": round(served.assignment.served, 6),
        "unserved": round(total - served.assignment.served, 6),
        "bound": float(served.bound),
    }


def _weigh(case: _Case, chosen: BoolArray) -> float:
    return math.fsum(case.weights[chosen].tolist())
