"""What each proposed site brings, what it would be missed for, and what nothing can reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service import crs
from geo_service.siting._case import Case, Text
from geo_service.siting._cover import matrix, reached
from geo_service.siting._serving import Served
from geo_service.siting.plans import IntArray, Plan

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

_UNITS = {
    "riders": ("名骑手", "riders"),
    "population_60": ("名老人", "people over 60"),
    "population": ("人", "people"),
    "households": ("户", "households"),
}
_EXISTING_WITHIN_MINUTES = 60.0  # how far the nearest existing facility is looked for


def sites(
    case: Case,
    plan: Plan,
    served: Served | None,
    field: str,
    walk: dict[str, Any],
    streets: WalkNetwork,
) -> list[dict[str, Any]]:
    rows = matrix(case.metres)[plan.sites]
    times = np.asarray(rows.sum(axis=0)).ravel()
    covered = case.stays.copy()
    total = math.fsum(case.weights.tolist())
    others, equal = _alternatives(case, plan.sites, times)
    equals = _on_foot(case, plan.sites, equal, streets, walk)
    walks = [_walks_to(case, site) for site in plan.sites.tolist()]
    near = _nearest_existing(case, plan.sites, streets, walk)
    told = []
    for place, site in enumerate(plan.sites.tolist()):
        reach = rows.indices[rows.indptr[place] : rows.indptr[place + 1]]
        new = math.fsum(case.weights[reach[~covered[reach]]].tolist())
        alone = reach[(times[reach] == 1) & ~case.stays[reach]]
        only = math.fsum(case.weights[alone].tolist())
        covered[reach] = True
        whole = math.fsum(case.weights[reach].tolist())
        first = math.fsum(case.weights[reach[~case.stays[reach]]].tolist())
        entry: dict[str, Any] = {
            "id": case.premises.ids[site],
            "name": case.premises.names[site],
            "lon": round(float(case.premises.lon[site]), 7),
            "lat": round(float(case.premises.lat[site]), 7),
            "order": place + 1,
            "newly_covered": new,
            "alone": first,
            "only_here": only,
            "within_reach": whole,
            "overlap": whole - only,
            "lost_percent": _truncated(100.0 * only / total) if total else 0.0,
            "longest_walk_m": walks[place][0],
            "mean_walk_m": walks[place][1],
            "nearest_existing_id": near[place][0],
            "nearest_existing_m": near[place][1],
            "nearest_existing_minutes": _minutes(near[place][1], case.speed_kmh),
            "alternatives": others[place],
            "equal_alternative": equals[place],
        }
        if served is not None:
            entry["load"] = round(float(served.assignment.loads[place]), 6)
            entry["capacity"] = float(served.per_site)
            entry["load_percent"] = _truncated(100.0 * entry["load"] / served.per_site)
        entry["reason"] = _reason(entry, field, locked=site in case.must)
        told.append(entry)
    return told


def _alternatives(
    case: Case, sites: IntArray, times: npt.NDArray[Any]
) -> tuple[list[list[dict[str, Any]]], list[int]]:
    """For each site the two premises that could best replace it, and what that changes.

    Beside them, for each site, the row of the nearest premise (straight) that loses nothing, -1
    without one.
    """
    coverage = matrix(case.metres)
    weighted = coverage.multiply(case.weights[None, :]).tocsr()
    open_demand = ~case.stays & (times == 0)
    gain = np.asarray(weighted @ open_demand.astype(float)).ravel()
    lonely = ~case.stays & (times == 1)
    single = coverage[sites].multiply(lonely[None, :].astype(float)).tocsr()
    lost = np.asarray(weighted[sites] @ lonely.astype(float)).ravel()
    shared = sparse.csc_array(weighted @ single.T)
    allowed = np.ones(len(case.premises), dtype=bool)
    allowed[sites] = False
    allowed[case.never] = False
    numbers = np.flatnonzero(allowed)
    plane = crs.Plane.of(crs.plane_for(float(case.premises.lon[0]), float(case.premises.lat[0])))
    xy = np.column_stack(plane.forward(case.premises.lon, case.premises.lat, datum="wgs84"))
    told, equal = [], []
    for place in range(len(sites)):
        change = gain.copy()
        span = slice(shared.indptr[place], shared.indptr[place + 1])
        change[shared.indices[span]] += shared.data[span]
        change -= lost[place]
        best = numbers[np.lexsort((numbers, -change[numbers]))[:2]]
        ids = [case.premises.ids[k] for k in best.tolist()]
        changes = [round(float(change[k]), 6) for k in best.tolist()]
        told.append([{"id": i, "change": c} for i, c in zip(ids, changes, strict=True)])
        as_good = numbers[change[numbers] >= -1e-9]
        away = np.hypot(*(xy[as_good] - xy[sites[place]]).T)
        equal.append(int(as_good[np.argmin(away)]) if len(as_good) else -1)
    return told, equal


def _on_foot(
    case: Case, sites: IntArray, other: list[int], streets: WalkNetwork, walk: dict[str, Any]
) -> list[dict[str, Any] | None]:
    """The other premises with the walk to them, ``None`` where there are none."""
    asked = {key: value for key, value in walk.items() if value is not None}
    asked["minutes"] = max(_EXISTING_WITHIN_MINUTES, float(walk["minutes"]))
    rows = np.array(sorted({k for k in other if k >= 0}), dtype=np.int64)
    if not len(rows):
        return [None] * len(sites)
    travel = streets.time_matrix(case.premises.lonlat[sites], case.premises.lonlat[rows], **asked)
    metres = sparse.csr_array(travel.metres)
    told: list[dict[str, Any] | None] = []
    for place, row in enumerate(other):
        if row < 0:
            told.append(None)
            continue
        walked = float(metres[place, int(np.searchsorted(rows, row))])
        told.append({
            "id": case.premises.ids[row], "name": case.premises.names[row],
            "metres": round(walked, 1) if walked > 0 else None,
        })  # fmt: skip
    return told


def _walks_to(case: Case, site: int) -> tuple[float | None, float | None]:
    """The longest walk to a site within reach of it, and the mean one by weight."""
    span = slice(case.metres.indptr[site], case.metres.indptr[site + 1])
    weights, walked = case.weights[case.metres.indices[span]], case.metres.data[span]
    if not weights.sum() > 0:
        return None, None
    counted = walked[weights > 0]
    mean = math.fsum((weights * walked).tolist()) / math.fsum(weights.tolist())
    return round(float(counted.max()), 1), round(mean, 1)


def _minutes(metres: float | None, speed_kmh: float) -> float | None:
    return None if metres is None else round(metres / (speed_kmh / 3.6) / 60.0, 1)


def _truncated(percent: float) -> float:
    return math.floor(100.0 * percent + 1e-9) / 100.0


def _nearest_existing(
    case: Case, sites: IntArray, streets: WalkNetwork, walk: dict[str, Any]
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


def uncoverable(case: Case) -> list[dict[str, Any]]:
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


def capacity(case: Case, served: Served) -> dict[str, Any]:
    total = math.fsum(case.weights.tolist())
    return {
        "per_site": float(served.per_site),
        "least_sites": served.least_sites,
        "served": round(served.assignment.served, 6),
        "unserved": round(total - served.assignment.served, 6),
        "bound": float(served.bound),
    }


def without_data(case: Case, after: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Demand whose weight is unknown: it counts nowhere, and is told with whether it is reached."""
    return [
        {
            "id": case.demand.ids[at],
            "lon": round(float(case.demand.lon[at]), 7),
            "lat": round(float(case.demand.lat[at]), 7),
            "within_reach": bool(after[at]),
        }
        for at in np.flatnonzero(case.no_data).tolist()
    ]
