"""Faults by pair of neighbours and by stretch: the few lines a person can act on, worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geo_service.coverage import _messages, _units
from geo_service.coverage._faults import KINDS, Fault, Slip, remark
from geo_service.coverage._layer import Layer
from geo_service.coverage._units import Parting, Unit
from geo_service.notes import Note
from geo_service.profiles import Profile, Severity

COLUMNS = (
    "kind", "severity", "between", "places", "area_m2", "width_m", "x", "y",
    "message_zh", "message_en",
)  # fmt: skip
RANK: Mapping[Severity, int] = {"error": 0, "warning": 1, "note": 2}

_MOST = 300  # lines somebody still reads; beyond, they are gathered by a coarser unit
_MEMBERS = 20  # grids of a part: with fewer, most borders lie between parts anyway
_APART, _APART_SHARE = 20, 0.95  # places, and the share of them between parts, that tell
_BETWEEN = {"gap", "overlap", "missing_grid"}
_HAIR_M, _MANY_HAIRS, _HAIR_SHARE = 0.05, 1000, 0.95  # hairlines everywhere are rounding
_BOTH_SHARE = 0.2  # rounding opens about as many places as it closes


@dataclass(frozen=True)
class _Found:
    kind: str
    severity: Severity
    rows: tuple[int, ...]
    places: int
    area_m2: float
    width_m: float
    at: tuple[float, float]


def severity_of(fault: Fault, profile: Profile) -> Severity:
    """What the profile says of a fault's kind, softened where the fault is mild."""
    severity = profile.severity(fault.kind)
    return "warning" if fault.mild and severity == "error" else severity


def groups_of(
    faults: Sequence[Fault],
    at: np.ndarray,
    slips: Sequence[Slip],
    layer: Layer,
    names: Sequence[str],
    profile: Profile,
) -> tuple[pd.DataFrame, list[Note]]:
    """Gather everything that was found above tolerance, with remarks on what explains it.

    By pairs of grids where that gives few enough lines, else by communities, townships, counties or
    any column of the file that parts the layer. Where faults lie between parts only, those were
    drawn separately, and that is what they are gathered by.

    Parameters
    ----------
    faults : sequence of Fault
    at : ndarray of float, shape (faults, 2)
        A place at each.
    slips : sequence of Slip
    layer : Layer
    names : sequence of str
        What each row is called.
    profile : Profile
    """
    found = [
        _Found(
            f.kind, severity_of(f, profile), f.rows, f.places, _number(f.area_m2),
            _number(f.at_most_m), (float(x), float(y)),
        )
        for f, (x, y) in zip(faults, at, strict=True)
    ] + [
        _Found(
            s.kind, profile.severity(s.kind), s.rows, s.places, _number(s.area_m2),
            _number(s.width_m), s.at,
        )
        for s in slips
        if not s.tolerated
    ]  # fmt: skip
    if not found:
        return pd.DataFrame({name: [] for name in COLUMNS}), []
    partings = _units.partings_of(layer)
    apart, inside = _drawn_apart(found, partings, layer)
    notes = [] if apart is None else [_apart_remark(found, apart, inside)]
    notes += _rounded(found)
    keys = _keys(found, apart or Unit("", np.arange(len(names)), names))
    if apart is None and len(set(keys)) > _MOST:
        whole = Unit("", np.zeros(len(names), np.int64), [""])
        for unit in [*_units.units_of(partings, layer), whole]:
            keys = _keys(found, unit)
            if len(set(keys)) <= _MOST:
                break
    gathered: dict[tuple[Any, ...], list[_Found]] = defaultdict(list)
    for key, one in zip(keys, found, strict=True):
        gathered[key].append(one)
    rows = [_row(key, members) for key, members in gathered.items()]
    order = {kind: place for place, kind in enumerate(KINDS)}
    rows.sort(key=lambda r: (RANK[r[1]], -_steady(r[4]), order[r[0]], -r[3], r[2]))
    return pd.DataFrame(rows, columns=list(COLUMNS)), notes


def _number(value: float) -> float:
    return value if np.isfinite(value) else 0.0


def _steady(value: float) -> float:
    """A value to sort by that the order of features does not change in its last digits."""
    return float(f"{value:.6g}")


def _keys(found: Sequence[_Found], unit: Unit) -> list[tuple[Any, ...]]:
    return [
        (one.severity, one.kind, tuple(sorted({unit.of(row) for row in one.rows}))) for one in found
    ]


def _row(key: tuple[Any, ...], members: Sequence[_Found]) -> tuple[Any, ...]:
    severity, kind, between = key
    worst = max(members, key=lambda one: (_steady(one.area_m2), one.at))
    places = sum(one.places for one in members)
    area_m2 = sum(one.area_m2 for one in members)
    widest_m = max(one.width_m for one in members)
    message = _messages.group(kind, between, places, area_m2, widest_m)
    return (
        kind, severity, list(between), places, area_m2, widest_m, *worst.at,
        message.zh, message.en,
    )  # fmt: skip


def _drawn_apart(
    found: Sequence[_Found], partings: Sequence[Parting], layer: Layer
) -> tuple[Unit | None, int]:
    """The coarsest parting of the layer between whose parts the faults lie, hardly any inside.

    Asked of the faults' own grids first: that rules out nearly all, and no layer is parted for it.
    """
    asked = [one for one in found if one.kind in _BETWEEN and len(one.rows) > 1]
    places = sum(one.places for one in asked)
    if places < _APART:
        return None, 0
    rows = np.unique([row for one in asked for row in one.rows])

    def inside(part: Callable[[int], str]) -> int:
        return sum(one.places for one in asked if len({part(row) for row in one.rows}) == 1)

    few = (1.0 - _APART_SHARE) * places
    likely = [
        parting
        for parting in partings
        if inside(dict(zip(rows.tolist(), parting.of(rows), strict=True)).__getitem__) <= few
    ]
    for unit in reversed(_units.units_of(likely, layer)):
        if len(unit.part) >= _MEMBERS * len(unit.names):
            return unit, inside(unit.of)
    return None, 0


def _apart_remark(found: Sequence[_Found], unit: Unit, inside: int) -> Note:
    asked = [one for one in found if one.kind in _BETWEEN and len(one.rows) > 1]
    parts = {unit.of(row) for one in asked for row in one.rows}
    return remark(
        "drawn_apart",
        places=f"{sum(one.places for one in asked) - inside:,}",
        parts=len(parts),
        zh_by=f"（按“{unit.field}”列）" if unit.field else "",
        by=f" (by column “{unit.field}”)" if unit.field else "",
        zh_inside=f"只有 {inside} 处" if inside else "没有一处",
        inside=f"only {inside} lie" if inside else "none lies",
        example=" / ".join(sorted(parts)[:2]),
    )


def _rounded(found: Sequence[_Found]) -> list[Note]:
    """Say where borders everywhere are a hair apart: coordinates were rounded grid by grid."""
    lines = [one for one in found if one.kind in {"gap", "overlap"}]
    hairs = [one for one in lines if one.width_m < _HAIR_M]
    count = sum(one.places for one in hairs)
    twice = sum(one.places for one in hairs if one.kind == "overlap")
    both = min(twice, count - twice) >= _BOTH_SHARE * count
    everywhere = count >= _HAIR_SHARE * sum(one.places for one in lines)
    if count < _MANY_HAIRS or not (both and everywhere):
        return []
    widest_m = max(one.width_m for one in hairs)
    return [
        remark(
            "rounded_apart",
            count=f"{count:,}",
            width=_messages.metres(widest_m),
            area=_messages.square_metres(sum(one.area_m2 for one in hairs)),
            snap=f"{max(2.0 * widest_m, 0.001):.3f}",
        )
    ]
