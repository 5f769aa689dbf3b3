"""Judge a report by the truth: what was found, how well, and what was never there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

NEAR_M = 1.0
"""A fault is located when its geometry comes this near to the point of the truth."""

AREA_SHARE, AREA_M2 = 0.01, 2e-3
"""An area is right within this share, or within these square metres."""


@dataclass(frozen=True)
class Score:
    """How a report did against the truth.

    Parameters
    ----------
    injected, located, area_right, codes_right : int
        Real faults: in all, found, and of those found with the right area and the right codes.
    false_alarms : int
        Errors and warnings that no injected fault explains.
    missed, alarms : DataFrame
        The rows behind the shortfall.
    """

    injected: int
    located: int
    area_right: int
    codes_right: int
    false_alarms: int
    missed: pd.DataFrame
    alarms: pd.DataFrame


def score(truth: pd.DataFrame | Sequence[dict[str, Any]], report: CoverageReport) -> Score:
    """Judge a report by the truth.

    Parameters
    ----------
    truth : DataFrame or sequence of dict
        From `inject`, or read back from ``truth.json``.
    report : CoverageReport
        Of the dirty copy, within its outline.
    """
    wanted = pd.DataFrame(truth).reset_index(drop=True)
    faults = report.faults.reset_index(drop=True)
    matches = [_match(row, faults) for row in wanted.itertuples()]
    real = wanted["real"].to_numpy(bool)
    pairs = list(zip(wanted.itertuples(), matches, strict=True))
    located = np.array([bool(found) for found in matches], bool)
    areas = np.array([_area_right(row, faults, found) for row, found in pairs], bool)
    codes = np.array([_codes_right(row, faults, found) for row, found in pairs], bool)
    explained = set[int]().union(*(set(found) for found in matches))
    alarms = [
        at
        for at in range(len(faults))
        if at not in explained
        and faults["severity"].iloc[at] != "note"
        and not _is_consequence(faults.iloc[at], wanted)
    ]
    short = real & ~(located & areas & codes)
    return Score(
        injected=int(real.sum()),
        located=int((real & located).sum()),
        area_right=int((real & located & areas).sum()),
        codes_right=int((real & located & codes).sum()),
        false_alarms=len(alarms),
        missed=wanted[short].assign(located=located[short]),
        alarms=faults.iloc[alarms],
    )


_BY_CODE = {
    "attribute_missing", "area_mismatch", "size_out_of_range", "not_on_map", "not_in_register",
}  # fmt: skip


def _match(row: Any, faults: gpd.GeoDataFrame) -> list[int]:
    """Faults of the row's kind at its place, or for its codes where it has no place.

    Where faults touch one another, those that cover the place count, and of these the ones with the
    very codes, if there are any.
    """
    same = faults["kind"].to_numpy() == row.kind
    if row.kind.startswith("code_") or row.kind in _BY_CODE:
        held = faults["codes"].map(lambda codes: set(row.codes) <= set(codes)).to_numpy(bool)
        return np.flatnonzero(same & held).tolist()
    far = shapely.distance(faults.geometry.to_numpy(), shapely.Point(row.x, row.y))
    near = np.flatnonzero(same & (far <= NEAR_M))
    covering = near[far[near] == 0.0]
    found = covering if len(covering) else near
    exact = [at for at in found.tolist() if set(faults["codes"].iloc[at]) == set(row.codes)]
    return exact or found.tolist()


def _area_right(row: Any, faults: gpd.GeoDataFrame, found: list[int]) -> bool:
    if row.area_m2 is None or np.isnan(row.area_m2):
        return True
    area = float(faults["area_m2"].iloc[found].sum())
    return abs(area - row.area_m2) <= max(AREA_SHARE * row.area_m2, AREA_M2)


def _codes_right(row: Any, faults: gpd.GeoDataFrame, found: list[int]) -> bool:
    told = set[str]().union(*(set(faults["codes"].iloc[at]) for at in found))
    return told == set(row.codes)


def _is_consequence(fault: Any, truth: pd.DataFrame) -> bool:
    """A crossed ring is sharp, and leaves slips of gap and overlap; a sliver ends in points."""
    if fault["kind"] == "spike":
        sharp = truth["codes"][truth["kind"].isin(["sliver", "self_intersection"])]
        return any(set(fault["codes"]) <= set(codes) for codes in sharp)
    crossed = truth[truth["kind"] == "self_intersection"]
    if fault["kind"] not in {"gap", "overlap"} or not len(crossed):
        return False
    places = shapely.points(crossed["x"].to_numpy(float), crossed["y"].to_numpy(float))
    return bool((shapely.distance(fault.geometry, places) <= NEAR_M).any())
