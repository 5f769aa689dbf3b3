"""What a check found: the verdict, every fault, and the sums of what is too small to list."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service import crs as crs_
from geo_service.coverage import _messages
from geo_service.coverage._arrays import FloatArray
from geo_service.coverage._faults import KINDS, Fault, Slip
from geo_service.coverage._groups import RANK, severity_of
from geo_service.notes import Note
from geo_service.profiles import Profile

_COLUMNS = (
    "kind", "severity", "codes", "area_m2", "width_m", "x", "y",
    "message_zh", "message_en", "geometry",
)  # fmt: skip
LISTED = 1000
"""Faults of a kind that are listed one by one, the largest first; `groups` tells of all."""

_ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class CoverageReport:
    """The answer to whether grids fully cover an area, each place once.

    Parameters
    ----------
    verdict : {"clean", "faults"}
        ``faults`` where any fault is an error. Warnings and notes are listed, but refuse nothing.
    faults : GeoDataFrame
        In the grids' own system, errors first, by kind, the largest first: kind, severity, codes
        (list of text), area_m2, width_m (2 x area / perimeter), x and y (a place at the fault, own
        coordinates), message_zh, message_en, geometry. Of each kind at most `LISTED`. Empty where
        there is nothing to tell.
    groups : DataFrame
        The same and all that is not listed but for what the profile tolerates, one line for each
        pair of neighbours (grids, or parts of the layer where there are too many), the worst first:
        kind, severity, between (list of text), places, area_m2, width_m (of the widest place), x
        and y (at the largest), message_zh, message_en.
    counts : dict of int
        Fault kind -> number of listed faults.
    coverage_percent : str
        Covered area in percent of the outline (without one: of the area the layer encloses), cut
        after four decimals and never rounded up: ``100.0000`` only where nothing is open.
    on_map_percent : str or None
        Register rows (or expected grids) that are on the map, likewise; ``None`` without either.
    features : int
    expected : int or None
    crs : str or None
        Name of the grids' system.
    profile : str
        ``default@1``.
    profile_digest : str
        Twelve hex digits of the SHA-256 of its rules.
    notes : tuple of Note
        What was found, assumed and left out.
    hidden : dict
        Fault kind -> ``{"count", "area_m2", "width_m", "tolerated"}`` of the places that are not
        listed, with the width of the widest: how many of them lie below the profile's tolerance,
        the others being only too many. Of thousands narrower than 5 mm the largest 100 are listed.
    reference : GeoDataFrame
        What the outline itself has wrong, in the form of `faults`; empty without an outline.
    """

    verdict: Literal["clean", "faults"]
    faults: gpd.GeoDataFrame
    counts: dict[str, int]
    coverage_percent: str
    on_map_percent: str | None
    features: int
    expected: int | None
    crs: str | None
    profile: str
    notes: tuple[Note, ...]
    hidden: dict[str, dict[str, float]]
    groups: pd.DataFrame
    reference: gpd.GeoDataFrame
    profile_digest: str = ""

    def __repr__(self) -> str:
        return (
            f"<CoverageReport {self.verdict}: {self.features} features, {len(self.faults)} listed, "
            f"coverage {self.coverage_percent} %, {self.profile}, {self.crs}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain data, the form that ``check --json`` prints.

        ``at`` is a longitude and latitude in WGS84 where the grids' system is known, else a place
        in the file's own coordinates; ``None`` for a fault without a place.
        """
        return {
            "verdict": self.verdict,
            "features": self.features,
            "expected": self.expected,
            "crs": self.crs,
            "profile": self.profile,
            "profile_digest": self.profile_digest,
            "coverage_percent": self.coverage_percent,
            "on_map_percent": self.on_map_percent,
            "counts": self.counts,
            "faults": _plain(self.faults),
            "groups": _plain_groups(self.groups, self.faults.crs),
            "hidden": self.hidden,
            "reference": _plain(self.reference),
            "notes": [{"code": n.code, "zh": n.zh, "en": n.en} for n in self.notes],
        }


def _at(table: pd.DataFrame, crs: Any | None) -> list[list[float] | None]:
    """Longitude and latitude of each line's place, or own coordinates in an unknown system."""
    x, y = table["x"].to_numpy(float, copy=True), table["y"].to_numpy(float, copy=True)
    placed = np.isfinite(x)
    if crs is not None and placed.any():
        x[placed], y[placed] = crs_.Plane.of(crs).inverse(x[placed], y[placed])
    return [
        [round(float(x[k]), 8), round(float(y[k]), 8)] if placed[k] else None for k in range(len(x))
    ]


def _plain_groups(groups: pd.DataFrame, crs: Any | None) -> list[dict[str, Any]]:
    columns = ("kind", "severity", "between", "places", "area_m2", "width_m")
    told = zip(groups["message_zh"], groups["message_en"], _at(groups, crs), strict=True)
    return [
        {**dict(zip(columns, row, strict=True)), "at": at, "message": {"zh": zh, "en": en}}
        for row, (zh, en, at) in zip(
            groups[list(columns)].itertuples(index=False, name=None), told, strict=True
        )
    ]


def _plain(faults: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    return [
        {
            "kind": row.kind,
            "severity": row.severity,
            "codes": list(row.codes),
            "area_m2": _finite(row.area_m2),
            "width_m": _finite(row.width_m),
            "at": at,
            "geometry": None if row.geometry is None else shapely.geometry.mapping(row.geometry),
            "message": {"zh": row.message_zh, "en": row.message_en},
        }
        for row, at in zip(faults.itertuples(index=False), _at(faults, faults.crs), strict=True)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def truncated_percent(part: float, whole: float, *, full: bool) -> str:
    """Give a percentage with four decimals, cut and never rounded up.

    Examples
    --------
    >>> truncated_percent(18935, 18936, full=False), truncated_percent(1.0, 1.0, full=True)
    ('99.9947', '100.0000')
    """
    if full:
        return "100.0000"
    share = min(max(part / whole, 0.0), 1.0) if whole > 0.0 else 0.0
    ten_thousandths = min(int(share * 1e6), 999_999)
    return f"{ten_thousandths // 10_000}.{ten_thousandths % 10_000:04d}"


def listed(
    faults: Sequence[Fault], names: Sequence[str]
) -> tuple[list[Fault], FloatArray, list[Slip]]:
    """Keep the largest `LISTED` faults of each kind, with their places; the rest become slips."""
    at = _places(faults)

    def rank(k: int) -> tuple[Any, ...]:
        fault = faults[k]
        codes = sorted(names[row] for row in fault.rows) + sorted(fault.others)
        return -_steady(fault.area_m2), codes, *at[k]

    by_kind: dict[str, list[int]] = defaultdict(list)
    for k, fault in enumerate(faults):
        by_kind[fault.kind].append(k)
    kept: list[int] = []
    slips = []
    for which in by_kind.values():
        order = sorted(which, key=rank) if len(which) > LISTED else which
        kept += order[:LISTED]
        for k in order[LISTED:]:
            f, (x, y) = faults[k], at[k]
            slips.append(
                Slip(f.kind, f.rows, f.area_m2, f.at_most_m, (float(x), float(y)), False, f.places)
            )
    kept.sort()
    return [faults[k] for k in kept], at[kept], slips


def faults_frame(
    faults: Sequence[Fault],
    place: FloatArray,
    names: Sequence[str],
    profile: Profile,
    crs: Any | None,
) -> gpd.GeoDataFrame:
    """Tell faults as a table, in an order that does not depend on the order of features."""
    told = []
    figures = _messages.places(_at(pd.DataFrame(place, columns=["x", "y"]), crs), crs)
    for fault, (x, y), figure in zip(faults, place, figures, strict=True):
        codes = sorted(names[row] for row in fault.rows) + sorted(fault.others)
        ordered = replace(fault, rows=tuple(sorted(fault.rows, key=names.__getitem__)))
        message = _messages.message(ordered, names, figure, profile.messages.get(fault.kind))
        severity = severity_of(fault, profile)
        values = (
            fault.kind, severity, codes, fault.area_m2, fault.width_m, float(x), float(y),
            message.zh, message.en, fault.geometry,
        )  # fmt: skip
        key = RANK[severity], _ORDER[fault.kind], -_steady(fault.area_m2), codes, x, y
        told.append((key, values))
    told.sort(key=lambda pair: pair[0])
    columns = list(zip(*(values for _, values in told), strict=True)) or [()] * len(_COLUMNS)
    data: dict[str, Any] = dict(zip(_COLUMNS, map(list, columns), strict=True))
    data |= {name: np.array(data[name], float) for name in ("area_m2", "width_m", "x", "y")}
    return gpd.GeoDataFrame(data, geometry="geometry", crs=crs)


def _steady(area_m2: float) -> float:
    """An area to sort by that the order of features does not change in its last digits."""
    return float(f"{area_m2:.6g}") if np.isfinite(area_m2) else 0.0


def _places(faults: Sequence[Fault]) -> FloatArray:
    """A place on every fault's geometry; NaN where it has none."""
    geometries = np.array([f.geometry for f in faults], dtype=object)
    points = shapely.point_on_surface(geometries)
    return np.column_stack([shapely.get_x(points), shapely.get_y(points)])


def counts_of(faults: Sequence[Fault]) -> dict[str, int]:
    """Count faults by kind, in the order of kinds."""
    count = Counter(fault.kind for fault in faults)
    return {kind: count[kind] for kind in KINDS if count[kind]}


def hidden_of(slips: Sequence[Slip]) -> dict[str, dict[str, float]]:
    """Sum what is not listed by kind, in the order of kinds."""
    sums = {}
    for kind in KINDS:
        mine = [slip for slip in slips if slip.kind == kind]
        if mine:
            sums[kind] = {
                "count": sum(slip.places for slip in mine),
                "area_m2": float(np.nansum([slip.area_m2 for slip in mine])),
                "width_m": float(
                    max((slip.width_m for slip in mine if slip.width_m > 0), default=0)
                ),
                "tolerated": sum(slip.places for slip in mine if slip.tolerated),
            }
    return sums


def verdict_of(faults: Sequence[Fault], profile: Profile) -> Literal["clean", "faults"]:
    """``faults`` where any fault is an error."""
    wrong = any(severity_of(fault, profile) == "error" for fault in faults)
    return "faults" if wrong else "clean"
