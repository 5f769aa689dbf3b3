"""15-minute life circles against a table of standards: what is missing, planned, and to be done.

A circle is a centre (a community, a compound gate) and what can be walked from it; it is never a
disk. For each circle and each category of the standard the nearest facility on foot is found; it
counts when the walk is no longer than the category's threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from geo_service import _sheets, encodings, places
from geo_service import facilities as listing
from geo_service.errors import InputError, MissingError

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Progress = Callable[[float, str], None]
FloatArray = npt.NDArray[np.float64]

CIRCLE_MINUTES = 15.0
"""The life circle itself: a planned facility within it is listed, whatever its own threshold."""

_CATEGORY_COLUMNS = ("kind", "kind_zh", "kind_en", "tier_minutes", "threshold_m", "target")
_SEARCH_MINUTES = 30.0  # the nearest facility is told up to here, also where it is too far
_CENTRES_A_TIME = 500

HEADERS_ZH: dict[str, str] = {
    "circle_code": "生活圈编码",
    "circle_name": "生活圈名称",
    "kind": "类别代码",
    "kind_zh": "设施类别",
    "kind_en": "设施类别（英文）",
    "target": "服务对象",
    "tier_minutes": "圈层（分钟）",
    "threshold_m": "步行距离上限（米）",
    "status": "状态",
    "nearest_id": "最近现有设施编号",
    "nearest_name": "最近现有设施",
    "metres": "步行距离（米）",
    "minutes": "步行时间（分钟）",
    "planned_id": "规划设施编号",
    "planned_name": "规划设施",
    "planned_metres": "到规划设施步行距离（米）",
    "flag": "标记",
    "id": "设施编号",
    "name": "设施名称",
    "lon": "经度",
    "lat": "纬度",
    "circles": "所在生活圈",
    "fills_gap": "可补缺项的生活圈数",
    "proposed_site_id": "建议点位编号",
    "proposed_site": "建议点位",
    "people_served": "服务人数",
    "responsible_unit": "责任单位",
    "deadline": "期限",
}
"""Chinese headers of every column, for export."""

STATUS_ZH = {"within": "达标", "missing": "缺项", "missing_planned": "缺项·已规划"}
"""Status of a cell of the matrix, and how planners say it."""


@dataclass(frozen=True, eq=False)
class LifeCircles:
    """What each circle has and lacks.

    Parameters
    ----------
    matrix : DataFrame
        A row per circle and category: ``circle_code, circle_name, kind, kind_zh, kind_en,
        tier_minutes, threshold_m, target, status, nearest_id, nearest_name, metres, minutes,
        planned_id, planned_name, planned_metres``. ``metres`` is the walk to the nearest existing
        facility, NaN where none is found within half an hour; ``status`` a key of `STATUS_ZH`.
    missing : DataFrame
        缺项清单: the cells without an existing facility within the threshold, with ``flag`` 缺项 or
        缺项·已规划.
    unbuilt : DataFrame
        未落地设施清单: planned facilities inside some circle, a row each, with the ``circles`` they
        are in and how many of those it would give what they lack (``fills_gap``).
    action_plan : DataFrame
        项目行动计划表: a row per missing cell with the planned facility or the nearest candidate
        within the threshold, the people of the circle, and columns to fill in: responsible unit,
        deadline, status.
    notes : list of dict
        What was found and assumed, zh and en.
    """

    matrix: pd.DataFrame
    missing: pd.DataFrame
    unbuilt: pd.DataFrame
    action_plan: pd.DataFrame
    notes: list[dict[str, str]]

    def table(self) -> pd.DataFrame:
        """The matrix as a sheet: a row per circle, a column per category, Chinese status inside."""
        order = list(dict.fromkeys(self.matrix["kind_zh"]))
        wide = self.matrix.assign(status=self.matrix["status"].map(STATUS_ZH)).pivot_table(
            index=["circle_code", "circle_name"], columns="kind_zh", values="status",
            aggfunc="first", sort=False,
        )  # fmt: skip
        return wide.reindex(columns=order).reset_index().rename_axis(columns=None)

    def sheets(self) -> dict[str, pd.DataFrame]:
        """The four tables under their Chinese names and headers, for a spreadsheet."""
        told = {
            "生活圈矩阵": self.table(),
            "缺项清单": self.missing.drop(columns=["status", "kind_en"]),
            "未落地设施清单": self.unbuilt,
            "项目行动计划表": self.action_plan,
            "步行明细": self.matrix.assign(status=self.matrix["status"].map(STATUS_ZH)),
        }
        return {name: frame.rename(columns=HEADERS_ZH) for name, frame in told.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts, ``None`` where nothing is known."""
        return {
            "circles": int(self.matrix["circle_code"].nunique()),
            "categories": int(self.matrix["kind"].nunique()),
            "cells": len(self.matrix),
            "matrix": _records(self.matrix),
            "missing": _records(self.missing),
            "unbuilt": _records(self.unbuilt),
            "action_plan": _records(self.action_plan),
            "notes": self.notes,
        }


def circles(
    network: WalkNetwork,
    centres: pd.DataFrame,
    facilities: pd.DataFrame,
    *,
    standard: pd.DataFrame | str | Path | None = None,
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
        geometry), optionally ``population`` and ``population_60``.
    facilities : DataFrame
        Facilities, as `geo_service.facilities.parse` takes them.
    standard : DataFrame, path or None
        The categories judged: ``kind`` (or ``code``), and optionally ``tier_minutes`` and
        ``threshold_m``, which replace the default table's. ``None``: all kinds of that table.
    candidates : DataFrame, optional
        Premises a missing facility could go into, for the action plan.
    speed_kmh, profile : optional
        Walking speed and who walks; by default those of `network`.
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
    known = listing.parse(facilities)
    premises = places.read(candidates, name="candidates")
    walk = {"speed_kmh": speed_kmh, "profile": profile}
    asked = {key: value for key, value in walk.items() if value is not None}
    told(0.05, "walk")
    targets = np.vstack([known[["lon", "lat"]].to_numpy(float), premises.lonlat])
    reach = _walks(network, around, targets, judged, asked, told)
    metres, speed_m_per_minute = reach.metres, reach.speed_m_per_minute
    judged = judged.assign(
        threshold_m=judged["threshold_m"].fillna(judged["tier_minutes"] * speed_m_per_minute)
    )
    told(0.8, "judge")
    matrix = _judge(around, judged, known, metres, speed_m_per_minute)
    missing = _missing(matrix)
    unbuilt = _unbuilt(around, known, metres, matrix, CIRCLE_MINUTES * speed_m_per_minute)
    plan = _action_plan(around, missing, premises, metres[:, len(known) :])
    told(1.0, "done")
    return LifeCircles(matrix, missing, unbuilt, plan, _notes(around, known, reach))


def read_standard(standard: pd.DataFrame | str | Path | None = None) -> pd.DataFrame:
    """Read a table of categories and thresholds.

    Returns
    -------
    DataFrame
        ``kind, kind_zh, kind_en, tier_minutes, threshold_m, target``; ``threshold_m`` is NaN where
        only the minutes are set.

    Raises
    ------
    InputError
        ``kind_unknown``, ``field_missing``, ``value_invalid``.

    Examples
    --------
    >>> read_standard(pd.DataFrame({"kind": ["canteen", "药店"]}))["threshold_m"].tolist()
    [1000.0, nan]
    """
    known = listing.kinds()
    if standard is None:
        given = pd.DataFrame({"kind": list(known)})
    elif isinstance(standard, pd.DataFrame):
        given = standard
    else:
        given = _read_table(Path(standard))
    column = next((c for c in ("kind", "code", "类别", "设施类别") if c in given), None)
    if column is None:
        found = ", ".join(map(str, given.columns))
        raise InputError("field_missing", file="standard", field="kind", found=found)
    kinds = [known[listing.require_kind(text)] for text in given[column]]
    table = pd.DataFrame({
        "kind": [kind.code for kind in kinds],
        "kind_zh": [kind.zh for kind in kinds],
        "kind_en": [kind.en for kind in kinds],
        "tier_minutes": [kind.tier_minutes for kind in kinds],
        "threshold_m": [math.nan if k.threshold_m is None else k.threshold_m for k in kinds],
        "target": [kind.target for kind in kinds],
    })  # fmt: skip
    minutes = _own(given, ("tier_minutes", "tier_min", "minutes", "分钟"), table["tier_minutes"])
    own_minutes = minutes.ne(table["tier_minutes"])
    # A table that sets its own minutes and no metres means those minutes on foot.
    fallback = table["threshold_m"].mask(own_minutes)
    table["threshold_m"] = _own(given, ("threshold_m", "metres", "米"), fallback)
    table["tier_minutes"] = minutes
    return table.drop_duplicates("kind").reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Reach:
    """Walks from each centre to each facility and candidate."""

    metres: sparse.csr_array
    speed_m_per_minute: float
    off_street: list[str]
    facilities_off_street: npt.NDArray[np.int64]


def _walks(
    network: WalkNetwork,
    around: places.Places,
    targets: FloatArray,
    judged: pd.DataFrame,
    asked: dict[str, Any],
    told: Progress,
) -> _Reach:
    minutes = max(_SEARCH_MINUTES, float(judged["tier_minutes"].max()))
    probe = network.time_matrix(around.lonlat[:1], targets[:1], minutes=minutes, **asked)
    speed = float(probe.speed_kmh) * 1000.0 / 60.0
    longest = float(judged["threshold_m"].max())
    if np.isfinite(longest):
        minutes = max(minutes, longest / speed)
    parts, off_street = [], []
    off_facilities = np.empty(0, dtype=np.int64)
    for start in range(0, len(around), _CENTRES_A_TIME):
        some = around.lonlat[start : start + _CENTRES_A_TIME]
        travel = network.time_matrix(some, targets, minutes=minutes, **asked)
        parts.append(sparse.csr_array(travel.metres))
        off_street += [around.ids[start + at] for at in travel.unsnapped_origins]
        off_facilities = np.asarray(travel.unsnapped_destinations, dtype=np.int64)
        told(0.05 + 0.75 * min(1.0, (start + len(some)) / len(around)), "walk")
    metres = sparse.csr_array(sparse.vstack(parts, format="csr"))
    return _Reach(metres, speed, off_street, off_facilities)


def _judge(
    around: places.Places,
    judged: pd.DataFrame,
    known: pd.DataFrame,
    metres: sparse.csr_array,
    speed_m_per_minute: float,
) -> pd.DataFrame:
    """A row per circle and category."""
    existing = listing.is_status(known, "existing")
    planned = listing.is_status(known, "planned") | listing.is_status(known, "proposed")
    ids, names = known["id"].to_numpy(object), known["name"].to_numpy(object)
    blocks = []
    for category in judged.to_dict("records"):
        limit_m = category["threshold_m"]
        same = (known["kind"] == category["kind"]).to_numpy(bool)
        at, walk = _nearest(metres, np.flatnonzero(same & existing))
        plan_at, plan_walk = _nearest(metres, np.flatnonzero(same & planned))
        within = walk <= limit_m
        plan_within = plan_walk <= limit_m
        status = np.where(within, "within", np.where(plan_within, "missing_planned", "missing"))
        blocks.append(pd.DataFrame({
            "circle_code": around.ids, "circle_name": around.names,
            **{name: category[name] for name in _CATEGORY_COLUMNS}, "status": status,
            "nearest_id": _pick(ids, at), "nearest_name": _pick(names, at),
            "metres": np.round(walk, 1), "minutes": np.round(walk / speed_m_per_minute, 1),
            "planned_id": np.where(plan_within, _pick(ids, plan_at), ""),
            "planned_name": np.where(plan_within, _pick(names, plan_at), ""),
            "planned_metres": np.round(np.where(plan_within, plan_walk, np.nan), 1),
        }))  # fmt: skip
    matrix = pd.concat(blocks, ignore_index=True)
    by_circle = np.arange(len(matrix)).reshape(len(judged), len(around)).T.ravel()
    return matrix.iloc[by_circle].reset_index(drop=True)


def _nearest(
    metres: sparse.csr_array, columns: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], FloatArray]:
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


def _pick(texts: npt.NDArray[Any], at: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if not len(texts):
        return np.full(len(at), "", dtype=object)
    return np.where(at >= 0, texts[at], "")


def _missing(matrix: pd.DataFrame) -> pd.DataFrame:
    """缺项清单."""
    cells = matrix[matrix["status"] != "within"].reset_index(drop=True)
    return cells.assign(flag=cells["status"].map(STATUS_ZH))


def _unbuilt(
    around: places.Places,
    known: pd.DataFrame,
    metres: sparse.csr_array,
    matrix: pd.DataFrame,
    circle_m: float,
) -> pd.DataFrame:
    """未落地设施清单: a row per planned facility inside some circle, nearest circle first."""
    lacks = set(
        matrix.loc[matrix["status"] != "within", ["circle_code", "kind"]].itertuples(
            index=False, name=None
        )
    )
    thresholds = matrix.groupby("kind")["threshold_m"].first().to_dict()
    kinds = listing.kinds()
    columns = sparse.csc_array(metres)
    rows = []
    for at in np.flatnonzero(listing.is_status(known, "planned")).tolist():
        span = slice(columns.indptr[at], columns.indptr[at + 1])
        centres, walks = columns.indices[span], columns.data[span]
        kind = str(known["kind"].iloc[at])
        threshold_m = float(thresholds.get(kind, circle_m))
        near = [
            (float(walk), around.ids[centre])
            for walk, centre in zip(walks, centres, strict=True)
            if walk <= max(circle_m, threshold_m)
        ]
        if not near:
            continue
        near.sort()
        codes = [code for _, code in near]
        rows.append({
            "id": known["id"].iloc[at], "name": known["name"].iloc[at], "kind": kind,
            "kind_zh": kinds[kind].zh, "lon": known["lon"].iloc[at], "lat": known["lat"].iloc[at],
            "circle_code": codes[0], "metres": round(near[0][0], 1), "circles": ";".join(codes),
            "fills_gap": sum(w <= threshold_m and (c, kind) in lacks for w, c in near),
        })  # fmt: skip
    columns_told = ["id", "name", "kind", "kind_zh", "lon", "lat", "circle_code", "metres",
                    "circles", "fills_gap"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns_told)


def _action_plan(
    around: places.Places,
    missing: pd.DataFrame,
    premises: places.Places,
    metres: sparse.csr_array,
) -> pd.DataFrame:
    """项目行动计划表: a row per missing cell."""
    at, walk = _nearest(metres, np.arange(len(premises)))
    place = {code: row for row, code in enumerate(around.ids)}
    people, elderly = (_people(around, field) for field in ("population", "population_60"))
    columns = ["circle_code", "circle_name", "kind", "kind_zh", "flag", "proposed_site_id",
               "proposed_site", "people_served", "responsible_unit", "deadline",
               "status"]  # fmt: skip
    rows = []
    for cell in missing.to_dict("records"):
        circle = place[cell["circle_code"]]
        site_id, site, status = cell["planned_id"], cell["planned_name"], "已规划"
        if not cell["planned_id"]:
            status = "待选址"
            if at[circle] >= 0 and walk[circle] <= cell["threshold_m"]:
                site_id, site = premises.ids[at[circle]], premises.names[at[circle]]
                status = "待建"
        served = elderly[circle] if cell["target"].startswith("elderly") else people[circle]
        rows.append({
            **{name: cell[name] for name in columns[:5]},
            "proposed_site_id": site_id, "proposed_site": site, "people_served": served,
            "responsible_unit": "", "deadline": "", "status": status,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _people(around: places.Places, field: str) -> FloatArray:
    """A column of people; where it is missing, the whole population stands in, else NaN."""
    for column in (field, "population"):
        if column in around.frame:
            return pd.to_numeric(around.frame[column], errors="coerce").to_numpy(float)
    return np.full(len(around), np.nan)


def _notes(around: places.Places, known: pd.DataFrame, reach: _Reach) -> list[dict[str, str]]:
    notes = []
    if reach.off_street:
        codes = "、".join(reach.off_street[:5])
        notes.append({
            "zh": f"{len(reach.off_street)} 个圈心附近没有可步行的街道（{codes}），"
            "其各项都记为缺项。",
            "en": f"{len(reach.off_street)} centres have no walkable street near ({codes}); "
            "everything counts as missing there.",
        })  # fmt: skip
    lost = int(np.count_nonzero(reach.facilities_off_street < len(known)))
    if lost:
        notes.append({
            "zh": f"{lost} 处设施附近没有可步行的街道，走不到。",
            "en": f"{lost} facilities have no walkable street near and can't be walked to.",
        })  # fmt: skip
    return notes


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise MissingError("file_missing", file=str(path))
    if path.suffix.lower() == ".xlsx":
        return _sheets.first_sheet(path)
    encoding = encodings.detect_encoding(path.read_bytes(), file=path.name)
    return pd.read_csv(path, encoding=encoding)


def _own(given: pd.DataFrame, names: tuple[str, ...], default: pd.Series) -> pd.Series:
    """A numeric column of the given table, filled up with the default's."""
    column = next((name for name in names if name in given), None)
    if column is None:
        return default
    values = pd.to_numeric(given[column], errors="coerce").reset_index(drop=True)
    wrong = (values <= 0) | (values.isna() & given[column].reset_index(drop=True).notna())
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file="standard", row=at + 1, field=column,
            value=given[column].iloc[at], reason="must be a number above 0",
        )  # fmt: skip
    return values.fillna(default)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
