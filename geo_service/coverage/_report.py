"""What a check found: the verdict, every fault, and the sums of what is too small to list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import shapely

from geo_service import crs as crs_
from geo_service.coverage import _messages
from geo_service.coverage._faults import KINDS, Fault
from geo_service.coverage._layer import Layer
from geo_service.notes import Note
from geo_service.profiles import Profile

_COLUMNS = (
    "kind", "severity", "codes", "area_m2", "width_m", "x", "y",
    "message_zh", "message_en", "geometry",
)  # fmt: skip
_RANK = {"error": 0, "warning": 1, "note": 2}
_ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class CoverageReport:
    """The answer to whether grids fully cover an area, each place once.

    Parameters
    ----------
    verdict : {"clean", "faults"}
        ``faults`` where any fault is an error. Warnings and notes are listed, but refuse nothing.
    faults : GeoDataFrame
        In the grids' own system, errors first: kind, severity, codes (list of text), area_m2,
        width_m (2 x area / perimeter), x and y (a place at the fault, own coordinates), message_zh,
        message_en, geometry. Empty where there is nothing to tell.
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
    notes : tuple of Note
        What was found, assumed and left out.
    hidden : dict
        Fault kind -> ``{"count", "area_m2"}`` of what is told as a sum only: places below the
        profile's tolerance, and the rest of thousands of places narrower than 5 mm, of which the
        largest 100 are listed.
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
            "coverage_percent": self.coverage_percent,
            "on_map_percent": self.on_map_percent,
            "counts": self.counts,
            "faults": _plain(self.faults),
            "hidden": self.hidden,
            "notes": [{"code": n.code, "zh": n.zh, "en": n.en} for n in self.notes],
        }


def _plain(faults: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    x, y = faults["x"].to_numpy(float, copy=True), faults["y"].to_numpy(float, copy=True)
    placed = np.isfinite(x)
    if faults.crs is not None and placed.any():
        x[placed], y[placed] = crs_.Plane.of(faults.crs).inverse(x[placed], y[placed])
    return [
        {
            "kind": row.kind,
            "severity": row.severity,
            "codes": list(row.codes),
            "area_m2": _finite(row.area_m2),
            "width_m": _finite(row.width_m),
            "at": [round(float(x[k]), 8), round(float(y[k]), 8)] if placed[k] else None,
            "geometry": None if row.geometry is None else shapely.geometry.mapping(row.geometry),
            "message": {"zh": row.message_zh, "en": row.message_en},
        }
        for k, row in enumerate(faults.itertuples(index=False))
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


def faults_frame(faults: Sequence[Fault], layer: Layer, profile: Profile) -> gpd.GeoDataFrame:
    """Tell faults as a table, in an order that does not depend on the order of features."""
    names = [layer.label(row) for row in range(layer.rings.features)] if faults else []
    place = _places(faults)
    told = []
    for fault, (x, y) in zip(faults, place, strict=True):
        codes = sorted(names[row] for row in fault.rows) + sorted(fault.others)
        sorted_ = Fault(
            fault.kind, tuple(sorted(fault.rows, key=names.__getitem__)), fault.geometry,
            fault.area_m2, fault.width_m, fault.others, fault.facts,
        )  # fmt: skip
        message = _messages.message(sorted_, names)
        severity = profile.severity(fault.kind)
        values = (
            fault.kind, severity, codes, fault.area_m2, fault.width_m, float(x), float(y),
            message.zh, message.en, fault.geometry,
        )  # fmt: skip
        told.append(((_RANK[severity], _ORDER[fault.kind], codes, x, y), values))
    told.sort(key=lambda pair: pair[0])
    columns = list(zip(*(values for _, values in told), strict=True)) or [()] * len(_COLUMNS)
    data: dict[str, Any] = dict(zip(_COLUMNS, map(list, columns), strict=True))
    data |= {name: np.array(data[name], float) for name in ("area_m2", "width_m", "x", "y")}
    return gpd.GeoDataFrame(data, geometry="geometry", crs=layer.frame.crs)


def _places(faults: Sequence[Fault]) -> np.ndarray:
    """A place on every fault's geometry; NaN where it has none."""
    geometries = np.array([f.geometry for f in faults], dtype=object)
    points = shapely.point_on_surface(geometries)
    return np.column_stack([shapely.get_x(points), shapely.get_y(points)])


def counts_of(faults: Sequence[Fault]) -> dict[str, int]:
    """Count faults by kind, in the order of kinds."""
    count = Counter(fault.kind for fault in faults)
    return {kind: count[kind] for kind in KINDS if count[kind]}


def hidden_of(sums: Mapping[str, tuple[int, float]]) -> dict[str, dict[str, float]]:
    """Give sums by kind as plain data, in the order of kinds."""
    return {
        kind: {"count": sums[kind][0], "area_m2": sums[kind][1]} for kind in KINDS if kind in sums
    }


def verdict_of(faults: Sequence[Fault], profile: Profile) -> Literal["clean", "faults"]:
    """``faults`` where any fault is an error."""
    found: Mapping[str, int] = counts_of(faults)
    return "faults" if any(profile.severity(kind) == "error" for kind in found) else "clean"
