"""What a plan changes: for whom, where, how fairly, what is left, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse, spatial

from geo_service import codes, crs, places
from geo_service.siting._case import Case, Text, weigh
from geo_service.siting._cover import matrix, reached
from geo_service.siting.plans import BoolArray, FloatArray, IntArray, Plan

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

PEOPLE = ("population", "population_60", "riders", "orders", "households")
"""Columns of the demand that are told before and after, whichever of them was weighed."""

SPEEDS_M_S = (0.8, 1.0, 1.2)
"""Slow, senior and adult walkers; sources stand in ``walk_profiles.toml``."""

WORST_PART = 0.1
_CLUSTER_M = 300.0  # uncovered places nearer to each other than a short block are one cluster
_CLUSTERS = 10
_CELL_M = 1000.0  # stands in for communities where the demand has no codes
_AREA_LEVELS = {"grid": "community", "micro_grid": "community", "community": "township"}


@dataclass(frozen=True, eq=False)
class Effects:
    """See `geo_service.siting.Proposal`, whose fields these are."""

    people: dict[str, dict[str, float]]
    areas: pd.DataFrame
    equity: dict[str, Any]
    uncovered: list[dict[str, Any]]
    sensitivity: dict[str, Any]


def of(
    case: Case, plan: Plan, streets: WalkNetwork, walk: dict[str, Any], *, by_count: bool
) -> Effects:
    """Work all of it out."""
    before = case.before
    after = case.stays | reached(case.metres, plan.sites)
    area, level = areas_of(case)
    table = _areas(case, area, before, after)
    return Effects(
        people=_people(case, before, after),
        areas=table,
        equity=_equity(table, level),
        uncovered=_uncovered(case, plan, after),
        sensitivity=_sensitivity(case, plan, after, streets, walk, by_count=by_count),
    )


def areas_of(case: Case) -> tuple[list[str], str]:
    """The community (of grids) or township (of communities) of each demand; else its km²."""
    frame = case.demand.frame
    if "code" in frame:
        listed = frame["code"].astype(str).tolist()
        level = codes.level_of(listed[0])
        upper = _AREA_LEVELS.get(level or "")
        if upper is not None and all(codes.level_of(code) == level for code in listed):
            width = {"community": 12, "township": 9}[upper]
            return [code[:width] for code in listed], upper
    lon, lat = case.demand.lon, case.demand.lat
    plane = crs.Plane.of(crs.plane_for(float(np.median(lon)), float(np.median(lat))))
    x, y = plane.forward(lon, lat, datum="wgs84")
    cells = np.floor(np.column_stack([x, y]) / _CELL_M).astype(np.int64)
    return [f"{east}:{north}" for east, north in cells.tolist()], "square_km"


def worst_share(size: FloatArray, share: FloatArray, part: float = WORST_PART) -> float:
    """Mean share of the worst-served part of all weight; the last area counts in part."""
    order = np.argsort(share, kind="stable")
    wanted = part * float(size.sum())
    if wanted <= 0.0:
        return 0.0
    taken = np.clip(wanted - np.concatenate([[0.0], np.cumsum(size[order])[:-1]]), 0.0, size[order])
    return float((taken * share[order]).sum() / wanted)


def gini(size: FloatArray, share: FloatArray) -> float:
    """Gini coefficient of the areas' covered share, each by its weight: 0 is even, 1 all in one.

    Twice the area between the Lorenz curve and the diagonal.
    """
    got = size * share
    if not got.sum() > 0.0:
        return 0.0
    order = np.argsort(share, kind="stable")
    people = np.concatenate([[0.0], np.cumsum(size[order])]) / size.sum()
    held = np.concatenate([[0.0], np.cumsum(got[order])]) / got.sum()
    under = float((np.diff(people) * (held[1:] + held[:-1])).sum())
    return max(0.0, 1.0 - under)


def _people(case: Case, before: BoolArray, after: BoolArray) -> dict[str, dict[str, float]]:
    told = {}
    for field in PEOPLE:
        if field not in case.demand.frame:
            continue
        numbers = pd.to_numeric(case.demand.frame[field], errors="coerce").to_numpy(float)
        known = np.nan_to_num(numbers)
        told[field] = {
            "total": math.fsum(known.tolist()),
            "covered_before": math.fsum(known[before].tolist()),
            "covered_after": math.fsum(known[after].tolist()),
            "places_without_data": int(np.isnan(numbers).sum()),
        }
    return told


def _areas(case: Case, area: list[str], before: BoolArray, after: BoolArray) -> pd.DataFrame:
    """A row per area: ``area, total, covered_before, covered_after, share_before, share_after``."""
    table = pd.DataFrame({
        "area": area, "total": case.weights,
        "covered_before": case.weights * before, "covered_after": case.weights * after,
    }).groupby("area", sort=True, as_index=False).sum()  # fmt: skip
    for name in ("before", "after"):
        with np.errstate(invalid="ignore"):
            table[f"share_{name}"] = table[f"covered_{name}"] / table["total"]
    return table


def _equity(table: pd.DataFrame, level: str) -> dict[str, Any]:
    live = table[table["total"] > 0]
    size = live["total"].to_numpy(float)
    told: dict[str, Any] = {"by": level, "areas": len(live), "worst_part": WORST_PART}
    for name in ("before", "after"):
        share = live[f"share_{name}"].to_numpy(float)
        told[f"gini_{name}"] = gini(size, share)
        told[f"worst_tenth_share_{name}"] = worst_share(size, share)
        told[f"areas_without_any_{name}"] = int((share == 0.0).sum())
    return told


def _uncovered(case: Case, plan: Plan, after: BoolArray) -> list[dict[str, Any]]:
    """The largest clusters of uncovered demand, and why each is left."""
    rows = np.flatnonzero(~after & (case.weights > 0))
    if not len(rows):
        return []
    lon, lat = case.demand.lon[rows], case.demand.lat[rows]
    plane = crs.Plane.of(crs.plane_for(float(np.median(lon)), float(np.median(lat))))
    xy = np.column_stack(plane.forward(lon, lat, datum="wgs84"))
    pairs = spatial.cKDTree(xy).query_pairs(_CLUSTER_M, output_type="ndarray")
    links = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(rows),) * 2)
    _, cluster = sparse.csgraph.connected_components(links, directed=False)
    size = np.bincount(cluster, weights=case.weights[rows])
    coverage = matrix(case.metres)
    free = np.setdiff1d(np.arange(len(case.premises)), np.concatenate([plan.sites, case.never]))
    told = []
    for at in np.lexsort((np.arange(len(size)), -size))[:_CLUSTERS].tolist():
        mine = rows[cluster == at]
        middle = mine[int(np.argmax(case.weights[mine]))]
        reach = np.asarray(coverage[free][:, mine] @ case.weights[mine]).ravel()
        best = int(np.argmax(reach)) if len(free) else -1
        gain = float(reach[best]) if len(free) else 0.0
        told.append({
            "lon": round(float(case.demand.lon[middle]), 7),
            "lat": round(float(case.demand.lat[middle]), 7),
            "nearest_id": case.demand.ids[middle], "places": len(mine),
            "weight": math.fsum(case.weights[mine].tolist()),
            "best_candidate_id": case.premises.ids[int(free[best])] if gain > 0 else None,
            "best_candidate_gain": gain,
            "why": _why(gain > 0, bool(case.no_street[mine].all()), case.limit_m),
        })  # fmt: skip
    return told


def _why(candidate: bool, no_street: bool, limit_m: float) -> Text:
    if no_street:
        return {"zh": "附近没有可步行的街道", "en": "no walkable street near"}
    if not candidate:
        return {
            "zh": f"步行 {limit_m:,.0f} 米内没有候选点",
            "en": f"no candidate within a walk of {limit_m:,.0f} m",
        }
    return {
        "zh": "有候选点，但数量、预算或容量不够，别处新增更多",
        "en": "a candidate reaches it, but the count, budget or capacity went where more are won",
    }


def _sensitivity(
    case: Case,
    plan: Plan,
    after: BoolArray,
    streets: WalkNetwork,
    walk: dict[str, Any],
    *,
    by_count: bool,
) -> dict[str, Any]:
    """The same sites for slower and faster walkers; one site more, one fewer."""
    told: dict[str, Any] = {"speed": _by_speed(case, plan, streets, walk)}
    open_demand = case.weights * ~after
    gains = matrix(case.metres) @ open_demand
    gains[np.concatenate([plan.sites, case.never])] = -1.0
    best = int(np.argmax(gains)) if len(gains) else -1
    one_more = None
    if best >= 0 and gains[best] >= 0.0:
        one_more = {"id": case.premises.ids[best], "gain": float(gains[best]),
                    "covered_after": weigh(case, after) + float(gains[best])}  # fmt: skip
    told["one_more"] = one_more
    if by_count and len(plan.curve) > 1:
        told["one_fewer"] = {"covered_after": float(plan.curve[-2]),
                             "loss": float(plan.curve[-1] - plan.curve[-2])}  # fmt: skip
    else:
        told["one_fewer"] = _cheapest_loss(case, plan, after)
    return told


def _cheapest_loss(case: Case, plan: Plan, after: BoolArray) -> dict[str, Any] | None:
    """The site whose loss costs least."""
    if not len(plan.sites):
        return None
    rows = matrix(case.metres)[plan.sites]
    lonely = (np.asarray(rows.sum(axis=0)).ravel() == 1) & ~case.stays
    losses = np.asarray(rows @ (case.weights * lonely)).ravel()
    at = int(np.argmin(losses))
    return {"id": case.premises.ids[int(plan.sites[at])], "loss": float(losses[at]),
            "covered_after": weigh(case, after) - float(losses[at])}  # fmt: skip


def _by_speed(
    case: Case, plan: Plan, streets: WalkNetwork, walk: dict[str, Any]
) -> list[dict[str, float]]:
    minutes = float(walk["minutes"])
    asked: dict[str, Any] = {"minutes": minutes, "speed_kmh": 3.6 * max(SPEEDS_M_S)}
    if walk.get("profile") is not None:
        asked["profile"] = walk["profile"]
    ends = _of(case.premises, plan.sites).also(_of(case.standing, case.open_standing))
    walks = places.walks(streets, case.demand, ends, **asked).metres
    nearest = np.full(len(case.demand), np.inf)
    row = np.repeat(np.arange(walks.shape[0]), np.diff(walks.indptr))
    np.minimum.at(nearest, row, walks.data)
    return [
        {
            "speed_m_s": speed,
            "limit_m": 60.0 * minutes * speed,
            "covered_after": weigh(case, nearest <= 60.0 * minutes * speed + 1e-6),
        }
        for speed in SPEEDS_M_S
    ]


def _of(premises: places.Places, rows: IntArray) -> places.Places:
    """Some of the places."""
    at = rows.tolist()
    return places.Places(
        [premises.ids[k] for k in at], [premises.names[k] for k in at],
        premises.lon[rows], premises.lat[rows],
        pd.DataFrame(premises.frame.iloc[rows]).reset_index(drop=True),
    )  # fmt: skip
