"""15-minute life circles against a table of standards: what is missing, planned, and to be done.

A circle is a centre (a community, a grid, the gates of a compound) and what can be walked from it;
it is never a disk. For each circle and each category of the standard the nearest facility on foot
is found, at the speed and through the doors of those whom it serves. It counts when the walk is no
longer than the category's own threshold: a facility of the 15-minute level stands in for none of
the 5-minute level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from geo_service import facilities as listing
from geo_service import places
from geo_service.errors import InputError
from geo_service.life_circles.answers import LifeCircles
from geo_service.life_circles.standards import kinds_of, read_standard
from geo_service.life_circles.words import STATUS_ZH

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Progress = Callable[[float, str], None]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CIRCLE_MINUTES = 15.0
"""The life circle itself: a planned facility within it is listed, whatever its own threshold."""

THRESHOLDS_MINUTES = (5.0, 10.0, 15.0)
"""Told of every cell beside the category's own threshold."""

_SEARCH_MINUTES = 30.0  # the nearest facility is told up to here, also where it is too far
_SAME_M = 1e-6
_CATEGORY_COLUMNS = ("kind", "kind_zh", "kind_en", "tier_minutes", "counts", "walker", "target")


def circles(
    network: WalkNetwork,
    centres: pd.DataFrame,
    facilities: pd.DataFrame,
    *,
    standard: pd.DataFrame | str | Path | None = None,
    thresholds_minutes: Sequence[float] = THRESHOLDS_MINUTES,
    candidates: pd.DataFrame | None = None,
    speed_kmh: float | None = None,
    profile: str | None = None,
    on_progress: Progress | None = None,
) -> LifeCircles:
    """Judge life circles by a table of standards.

    Parameters
    ----------
    network : WalkNetwork
        The streets people walk.
    centres : DataFrame or GeoDataFrame
        A row per circle: ``code`` (or ``id``), ``name``, a position (WGS84 ``lon``, ``lat``, or a
        geometry), optionally ``entrances`` (`geo_service.places.gates`), ``population`` and
        ``population_60``.
    facilities : DataFrame
        Facilities, as `geo_service.facilities.parse` takes them.
    standard : DataFrame, path or None
        The categories judged, see `read_standard`. ``None``: all kinds of the default table.
    thresholds_minutes : sequence of float
        Times on foot that are told of every cell.
    candidates : DataFrame, optional
        Premises a missing facility could go into, for the action plan.
    speed_kmh, profile : optional
        One walking speed, and who walks, for every category; by default each category's own.
    on_progress : callable, optional
        Called with the share done and the step's name.

    Returns
    -------
    LifeCircles

    Raises
    ------
    InputError
        ``kind_unknown``, ``field_missing``, ``value_invalid``, ``layer_empty``.
    """
    told = on_progress if on_progress is not None else lambda share, step: None
    judged = read_standard(standard)
    around = places.read(centres, name="centres")
    if not len(around):
        raise InputError("layer_empty", file="centres")
    places.require_distinct(around, name="centres")
    known = listing.parse(facilities, known=kinds_of(standard))
    order = np.argsort(known["id"].to_numpy(str), kind="stable")  # of equal walks the first id
    known = known.iloc[order].reset_index(drop=True)
    premises = places.read(candidates, name="candidates")
    walk = _Walk(network, around, premises, speed_kmh, profile)
    blocks, unbuilt, plans = [], [], []
    for step, category in enumerate(judged.to_dict("records")):
        told(0.05 + 0.9 * step / len(judged), str(category["kind"]))
        judge = _Category(walk, category, known, tuple(thresholds_minutes))
        blocks.append(judge.cells())
        unbuilt.append(judge.unbuilt())
        plans.append(judge.plan())
    told(0.95, "lists")
    matrix = _by_circle(blocks, len(around))
    plan = pd.concat(plans, ignore_index=True)
    plan = plan.iloc[np.lexsort((plan["_place"], plan["_circle"]))]
    found = LifeCircles(
        matrix=matrix,
        missing=_missing(matrix),
        unbuilt=pd.concat(unbuilt, ignore_index=True),
        action_plan=plan.drop(columns=["_circle", "_place"]).reset_index(drop=True),
        standard=judged,
        centres=_centres(around),
        notes=_notes(around, known, judged, walk),
    )
    told(1.0, "done")
    return found


class _Walk:
    """Walks from the circles, one network and one speed for each kind of walker."""

    def __init__(
        self,
        network: WalkNetwork,
        around: places.Places,
        premises: places.Places,
        speed_kmh: float | None,
        profile: str | None,
    ) -> None:
        self.around, self.premises = around, premises
        self._network, self._speed_kmh, self._profile = network, speed_kmh, profile
        self._premises: dict[str, sparse.csr_array] = {}
        self._speeds: dict[str, float] = {}
        self.off_street: set[int] = set()
        self.facilities_off_street = 0

    def speed_m_s(self, walker: str) -> float:
        """Metres a second of a walker."""
        if walker not in self._speeds:
            nobody = places.read(None, name="facilities")
            self._speeds[walker] = self._walks(nobody, walker, 1.0).speed_kmh / 3.6
        return self._speeds[walker]

    def to(self, ends: places.Places, walker: str, limit_m: float) -> sparse.csr_array:
        """Metres from each circle to each of the ends."""
        found = self._walks(ends, walker, self._minutes(walker, limit_m))
        self.off_street.update(found.off_street_origins.tolist())
        self.facilities_off_street += len(found.off_street_destinations)
        return found.metres

    def to_premises(self, walker: str, limit_m: float) -> sparse.csr_array:
        """Metres from each circle to each candidate."""
        if walker not in self._premises:
            minutes = self._minutes(walker, limit_m)
            self._premises[walker] = self._walks(self.premises, walker, minutes).metres
        return self._premises[walker]

    def _minutes(self, walker: str, limit_m: float) -> float:
        return max(_SEARCH_MINUTES, 1.001 * limit_m / (60.0 * self.speed_m_s(walker)))

    def _walks(self, ends: places.Places, walker: str, minutes: float) -> places.Walks:
        asked: dict[str, Any] = {"profile": self._profile or walker, "minutes": minutes}
        if self._speed_kmh is not None:
            asked["speed_kmh"] = self._speed_kmh
        return places.walks(self._network, self.around, ends, **asked)


class _Category:
    """One category of the standard in all circles."""

    def __init__(
        self,
        walk: _Walk,
        category: dict[Any, Any],
        known: pd.DataFrame,
        thresholds: tuple[float, ...],
    ) -> None:
        self.walk, self.category, self.thresholds = walk, category, thresholds
        self.walker = str(category["walker"])
        self.speed_m_s = walk.speed_m_s(self.walker)
        self.limit_m = float(category["threshold_m"])
        if category["counts"] == "minutes":
            self.limit_m = float(category["tier_minutes"]) * 60.0 * self.speed_m_s
        same = (known["kind"] == category["kind"]).to_numpy(bool)
        self.mine = known[same & (known["status"] != "closed").to_numpy(bool)]
        ends = places.read(self.mine, name="facilities")
        self.metres = walk.to(ends, self.walker, self.limit_m)
        stands = np.flatnonzero(listing.is_status(self.mine, "existing"))
        comes = np.flatnonzero(~listing.is_status(self.mine, "existing"))
        self.at, self.nearest_m = _nearest(self.metres, stands)
        self.plan_at, self.plan_m = _nearest(self.metres, comes)
        self.within = self._reached(self.nearest_m)
        self.planned = ~self.within & self._reached(self.plan_m)
        self.plan_at = np.where(self._reached(self.plan_m), self.plan_at, -1)

    def _reached(self, metres: FloatArray) -> BoolArray:
        return np.asarray(metres <= self.limit_m + _SAME_M, dtype=bool)

    def cells(self) -> pd.DataFrame:
        """A row per circle."""
        ids, names = (self.mine[c].to_numpy(object) for c in ("id", "name"))
        status = np.where(
            self.within, "within", np.where(self.planned, "missing_planned", "missing")
        )
        metres_a_minute = 60.0 * self.speed_m_s
        levels = {
            f"within_{minutes:g}": self.nearest_m <= minutes * metres_a_minute + _SAME_M
            for minutes in self.thresholds
        }
        told = self.category | {"threshold_m": self.limit_m}
        return pd.DataFrame({
            "circle_code": self.walk.around.ids, "circle_name": self.walk.around.names,
            **{name: told[name] for name in (*_CATEGORY_COLUMNS, "threshold_m")},
            "status": status,
            "nearest_id": _pick(ids, self.at), "nearest_name": _pick(names, self.at),
            "metres": np.round(self.nearest_m, 1),
            "minutes": np.round(self.nearest_m / metres_a_minute, 1), **levels,
            "planned_id": _pick(ids, self.plan_at), "planned_name": _pick(names, self.plan_at),
            "planned_metres": np.round(np.where(self.plan_at >= 0, self.plan_m, np.nan), 1),
        })  # fmt: skip

    def unbuilt(self) -> pd.DataFrame:
        """未落地设施清单: a row per planned facility inside some circle, nearest circle first."""
        circle_m = max(CIRCLE_MINUTES * 60.0 * self.speed_m_s, self.limit_m) + _SAME_M
        columns = sparse.csc_array(self.metres)
        rows = []
        for at in np.flatnonzero(listing.is_status(self.mine, "planned")).tolist():
            span = slice(columns.indptr[at], columns.indptr[at + 1])
            circles, walks = columns.indices[span], columns.data[span]
            near = np.lexsort((circles, walks))
            near = near[walks[near] <= circle_m]
            if not len(near):
                continue
            row = self.mine.iloc[at]
            circles, walks = circles[near], walks[near]
            fills = ~self.within[circles] & (walks <= self.limit_m + _SAME_M)
            codes = [self.walk.around.ids[circle] for circle in circles.tolist()]
            rows.append({
                "id": row["id"], "name": row["name"], "kind": row["kind"],
                "kind_zh": self.category["kind_zh"], "lon": row["lon"], "lat": row["lat"],
                "circle_code": codes[0], "metres": round(float(walks[0]), 1),
                "circles": ";".join(codes), "fills_gap": int(fills.sum()),
            })  # fmt: skip
        told = ["id", "name", "kind", "kind_zh", "lon", "lat", "circle_code", "metres", "circles",
                "fills_gap"]  # fmt: skip
        return pd.DataFrame(rows, columns=told)

    def plan(self) -> pd.DataFrame:
        """项目行动计划表: a row per circle that lacks this category."""
        lacks = np.flatnonzero(~self.within)
        people = self._people()
        around, premises = self.walk.around, self.walk.premises
        by_plan = self.plan_at[lacks] >= 0
        to_premises = sparse.csr_array((len(around), 0))
        if len(premises):
            to_premises = self.walk.to_premises(self.walker, self.limit_m)
        candidate, walk = _nearest(to_premises, np.arange(len(premises)))
        candidate = np.where(self._reached(walk), candidate, -1)[lacks]
        candidate = np.where(by_plan, -1, candidate)
        mine = {c: self.mine[c].to_numpy(object) for c in ("id", "name", "lon", "lat")}
        free = {"id": np.array(premises.ids, object), "name": np.array(premises.names, object),
                "lon": premises.lon, "lat": premises.lat}  # fmt: skip
        where = {
            c: np.where(by_plan, _pick(mine[c], self.plan_at[lacks]), _pick(free[c], candidate))
            for c in mine
        }
        planned = self._newly_served(self.metres, self.plan_at[lacks], people)
        proposed = self._newly_served(to_premises, candidate, people)
        served = np.where(by_plan, planned, np.where(candidate >= 0, proposed, 0.0))
        status = np.where(by_plan, "已规划", np.where(candidate >= 0, "待建", "待选址"))
        at_site = by_plan | (candidate >= 0)
        return pd.DataFrame({
            "circle_code": np.array(around.ids, object)[lacks],
            "circle_name": np.array(around.names, object)[lacks],
            "kind": self.category["kind"], "kind_zh": self.category["kind_zh"],
            "flag": np.where(by_plan, STATUS_ZH["missing_planned"], STATUS_ZH["missing"]),
            "proposed_site_id": where["id"], "proposed_site": where["name"],
            "people_served": people[lacks], "people_newly_served": served,
            "responsible_unit": "", "deadline": "", "status": status,
            "lon": np.where(at_site, where["lon"], around.lon[lacks]).astype(float).round(7),
            "lat": np.where(at_site, where["lat"], around.lat[lacks]).astype(float).round(7),
            "_circle": lacks, "_place": list(range(len(lacks))),
        })  # fmt: skip

    def _newly_served(
        self, metres: sparse.csr_array, sites: IntArray, people: FloatArray
    ) -> FloatArray:
        """People of all circles that lack this category and come within reach of each site."""
        if not metres.shape[1]:
            return np.zeros(len(sites))
        reach = sparse.csc_array(metres)
        reach.data = (reach.data <= self.limit_m + _SAME_M).astype(float)
        if np.isnan(people).all():
            return np.full(len(sites), np.nan)
        gained = np.asarray(reach.T @ np.where(self.within, 0.0, np.nan_to_num(people))).ravel()
        return np.asarray(gained[np.maximum(sites, 0)], dtype=float)

    def _people(self) -> FloatArray:
        """People of each circle that the category serves; NaN where the table does not say."""
        old = str(self.category["target"]).startswith("elderly")
        frame = self.walk.around.frame
        for column in ("population_60", "population") if old else ("population",):
            if column in frame:
                return pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
        return np.full(len(self.walk.around), np.nan)


def _nearest(metres: sparse.csr_array, columns: IntArray) -> tuple[IntArray, FloatArray]:
    """For each row the column (of those given) with the shortest walk; -1 and NaN without one."""
    some = sparse.csr_array(metres[:, columns])
    at = np.full(some.shape[0], -1, dtype=np.int64)
    walk = np.full(some.shape[0], np.nan)
    row = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
    order = np.lexsort((some.indices, some.data, row))
    first = np.unique(row[order], return_index=True)[1]
    at[row[order][first]] = columns[some.indices[order][first]]
    walk[row[order][first]] = some.data[order][first]
    return at, walk


def _pick(values: npt.NDArray[Any], at: IntArray) -> npt.NDArray[Any]:
    if not len(values):
        return np.full(len(at), "", dtype=object)
    return np.where(at >= 0, values[at], "")


def _by_circle(blocks: list[pd.DataFrame], circles: int) -> pd.DataFrame:
    """All categories of the first circle, then those of the second."""
    order = np.arange(len(blocks) * circles).reshape(len(blocks), circles).T.ravel()
    return pd.concat(blocks, ignore_index=True).iloc[order].reset_index(drop=True)


def _missing(matrix: pd.DataFrame) -> pd.DataFrame:
    """缺项清单."""
    cells = matrix[matrix["status"] != "within"].reset_index(drop=True)
    return cells.assign(flag=cells["status"].map(STATUS_ZH))


def _centres(around: places.Places) -> pd.DataFrame:
    told = {"circle_code": around.ids, "circle_name": around.names,
            "lon": around.lon, "lat": around.lat}  # fmt: skip
    people = {
        c: pd.to_numeric(around.frame[c], errors="coerce").to_numpy(float)
        for c in ("population", "population_60")
        if c in around.frame
    }
    return pd.DataFrame(told | people)


def _notes(
    around: places.Places, known: pd.DataFrame, judged: pd.DataFrame, walk: _Walk
) -> list[dict[str, str]]:
    notes = []
    if walk.off_street:
        codes = "、".join(around.ids[row] for row in sorted(walk.off_street)[:5])
        notes.append({
            "zh": f"{len(walk.off_street)} 个圈心附近没有可步行的街道（{codes}），"
            "其各项都记为缺项。",
            "en": f"{len(walk.off_street)} centres have no walkable street near ({codes}); "
            "everything counts as missing there.",
        })  # fmt: skip
    if walk.facilities_off_street:
        notes.append({
            "zh": f"{walk.facilities_off_street} 处设施附近没有可步行的街道，走不到。",
            "en": f"{walk.facilities_off_street} facilities have no walkable street near and can't "
            "be walked to.",
        })  # fmt: skip
    empty = judged.loc[~judged["kind"].isin(known["kind"]), "kind_zh"].tolist()
    if empty:
        listed = "、".join(empty)
        notes.append({
            "zh": f"设施表里一处也没有：{listed}。没有数据不等于没有设施，请核对后再下结论。",
            "en": f"The list holds none at all of: {listed}. No data is not no facility.",
        })  # fmt: skip
    unknown = judged.loc[judged["verified"].str.startswith(("memory", "no")), "kind_zh"].tolist()
    if unknown:
        notes.append({
            "zh": f"{len(unknown)} 类的标准尚未核对原文（见“标准”表）：{'、'.join(unknown)}。",
            "en": f"The figures of {len(unknown)} categories are not checked against the text of "
            f"the standard (see its table): {'、'.join(unknown)}.",
        })  # fmt: skip
    return notes
