"""Faults of codes and other columns, and the reconciliation with a register."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from geo_service import codes as codes_
from geo_service import layers
from geo_service.coverage import _arrays
from geo_service.coverage._arrays import FloatArray, IntArray
from geo_service.coverage._faults import Fault, remark
from geo_service.coverage._layer import Layer
from geo_service.coverage._messages import square_metres
from geo_service.coverage._shapes import Shapes
from geo_service.notes import Note
from geo_service.profiles import Profile

_MANY = 200  # rows beyond which one fault of a kind tells them all
_M2_OF_MU = 10_000.0 / 15.0
_FIELDS_ZH = {field.name: field.zh for field in layers.FIELDS}


def faults(
    layer: Layer, shapes: Shapes, profile: Profile, *, register: Any | None, expect: int | None
) -> tuple[list[Fault], list[Note], list[str]]:
    """Give the faults of columns, remarks, and the register's codes that are not on the map."""
    found, notes = _form_of_codes(layer, profile, shapes.area_m2) if layer.coded else ([], [])
    found += _empty(layer, profile)
    wrong, told = _areas(layer, shapes, profile)
    found += wrong
    notes += told
    found += _sizes(layer, "households", profile)
    found += _sizes(layer, "population", profile)
    absent: list[str] = []
    if register is not None:
        listed = register_codes(register)
        present = set(layer.codes)
        absent = sorted(set(listed) - present - {""})
        found += [*_not_on_map(absent), *_not_in_register(layer, set(listed))]
    elif expect is not None:
        missing = expect - layer.rings.features
        if missing > 0:
            found.append(Fault("not_on_map", (), facts={"count": missing, "expected": expect}))
        if missing < 0:
            count = layer.rings.features
            notes.append(
                remark("more_than_expected", expected=expect, features=count, more=-missing)
            )
    return found, notes, absent


def register_codes(register: Any) -> list[str]:
    """Give the codes of a register: a table with a column of codes, or the codes themselves."""
    if not isinstance(register, pd.DataFrame):
        return codes_.texts(register)
    column = (
        "code"
        if "code" in register.columns
        else layers.match_fields(map(str, register.columns)).get("code")
    )
    return codes_.texts(register[column if column is not None else register.columns[0]])


def _form_of_codes(
    layer: Layer, profile: Profile, area_m2: FloatArray
) -> tuple[list[Fault], list[Note]]:
    """Codes: unique, of the profile's form, under their parent, numbered in order."""
    coded = np.fromiter(map(bool, layer.codes), bool, len(layer.codes))
    found = [
        _at(layer, "code_duplicate", rows, code=code, count=len(rows), lines=_lines(rows))
        for code, rows in _duplicates(layer.codes).items()
    ]
    empty = np.flatnonzero(~coded)
    found += _by_row(layer, "attribute_missing", empty, fields=layer.fields["code"])
    form = re.compile(profile.code_pattern, re.ASCII)  # full-width digits are not codes
    fits = np.fromiter(map(bool, map(form.match, layer.codes)), bool, len(coded))
    if fits.any():
        found += _malformed(layer, np.flatnonzero(~fits & coded), profile)
        found += _under_parent(layer, fits)
        found += _order(layer, np.flatnonzero(fits), area_m2)
        return found, []
    if not coded.any():
        return found, []
    damaged = np.array(
        [codes_.damaged(code) or codes_.is_full_width(code) for code in layer.codes], bool
    )
    if damaged.any():
        return found + _malformed(layer, np.flatnonzero(damaged), profile), []
    example = min(code for code in layer.codes if code)
    return found, [remark("codes_foreign", pattern=profile.code_pattern, example=example)]


def _duplicates(codes: list[str]) -> dict[str, list[int]]:
    return codes_.duplicates(codes) if len(set(codes)) < len(codes) else {}


def _malformed(layer: Layer, rows: Any, profile: Profile) -> list[Fault]:
    given = [layer.codes[row] for row in rows]
    damage = ""
    if any(map(codes_.damaged, given)):
        damage = "number"
    elif any(map(codes_.is_full_width, given)):
        damage = "full_width"
    return _by_row(layer, "code_malformed", rows, pattern=profile.code_pattern, damage=damage)


def _under_parent(layer: Layer, fits: np.ndarray) -> list[Fault]:
    """Codes that do not begin with the parent's code of their own row.

    A functional zone's code begins with no legal county's; below the county it must.
    """
    column = layer.column("parent_code")
    if column is None:
        return []
    parents = codes_.texts(column)
    under = map(str.startswith, layer.codes, parents)
    astray = ~np.fromiter(under, bool, len(parents))
    return [
        _at(
            layer,
            "code_parent_mismatch",
            [row],
            parent=codes_.parent(layer.codes[row]),
            zh_where=f"上级编码列写的是 {parents[row]}",
            where=f"its row names the parent {parents[row]}",
        )
        for row in np.flatnonzero(fits & astray).tolist()
        if parents[row]
        and not codes_.is_within(layer.codes[row], parents[row])
        and not (
            codes_.level_of(parents[row]) == "county"
            and codes_.in_functional_zone(layer.codes[row])
        )
    ]


def _order(layer: Layer, rows: IntArray, area_m2: FloatArray) -> list[Fault]:
    """Parents whose grids are not numbered west to east, north to south.

    The standards leave the height of a row open. So a step from one number to the next is wrong
    only where it clearly goes back: north by more than a grid and a half, or west by more than one
    while it goes north too.
    """
    box = layer.boxes[rows]
    side = np.sqrt(area_m2[rows]) / layer.ground.north_m
    x, y = (box[:, 0] + box[:, 2]) / 2 * layer.ground.squeeze, (box[:, 1] + box[:, 3]) / 2
    codes = np.array(layer.codes)[rows]
    sequence = codes_.sequence_digits(str(codes[0]))
    parent = codes.astype(f"U{max(codes.dtype.itemsize // 4 - sequence, 1)}")
    order = np.argsort(codes, kind="stable")
    one, two = order[:-1], order[1:]
    size = np.maximum(np.maximum(side[one], side[two]), 1e-300)
    north, west = (y[two] - y[one]) / size, (x[one] - x[two]) / size
    back = np.flatnonzero((north > 1.5) | ((west > 1.0) & (north > 0.5)))
    wrong = np.unique(parent[one[back]][parent[one[back]] == parent[two[back]]])
    if len(wrong) > _MANY:
        every = rows[np.isin(parent, wrong)].tolist()
        return [Fault("code_order", tuple(every), facts={"parents": wrong.tolist()})]
    first, last = (np.searchsorted(parent[order], wrong, side) for side in ("left", "right"))
    return [
        _at(layer, "code_order", np.sort(rows[order[a:b]]).tolist(), parents=[which])
        for which, a, b in zip(wrong.tolist(), first, last, strict=True)
    ]


def _empty(layer: Layer, profile: Profile) -> list[Fault]:
    """Required fields that are absent or empty."""
    found = []
    for field in profile.required_fields:
        column = layer.column(field)
        if column is None and field in layer.frame.columns:
            column = layer.frame[field]
        if field == "code" and layer.coded:
            continue  # told with the form of codes
        if column is None:
            found.append(Fault("attribute_missing", (), facts={"fields": field}))
            continue
        rows = [row for row, text in enumerate(codes_.texts(column)) if not text]
        found += _by_row(layer, "attribute_missing", rows, fields=str(column.name))
    return found


def _areas(layer: Layer, shapes: Shapes, profile: Profile) -> tuple[list[Fault], list[Note]]:
    """Recorded areas that differ from the drawn ones; the column's unit is told by the ratio."""
    column = layer.column("area")
    if column is None:
        return [], []
    recorded = pd.to_numeric(column, errors="coerce").to_numpy(float)
    known = np.flatnonzero(np.isfinite(recorded) & (recorded > 0.0))
    if len(known) == 0:
        return [], []
    ratio = float(np.median(shapes.area_m2[known] / recorded[known]))
    own = float(np.median(layer.ground.unit_area_m2()))
    units = np.array([1.0, 1e6, 1e4, _M2_OF_MU, own])
    unit_m2 = units[np.argmin(np.abs(np.log(ratio / units)))]
    notes = _unit_told(str(column.name), float(unit_m2), ratio)
    recorded_m2 = recorded[known] * unit_m2
    off_m2 = np.abs(recorded_m2 - shapes.area_m2[known])
    percent = 100.0 * off_m2 / np.maximum(shapes.area_m2[known], 1e-9)
    rounded_m2 = _half_last_decimal(recorded[known]) * unit_m2
    wrong = np.flatnonzero((percent > profile.area_mismatch_percent) & (off_m2 > rounded_m2))
    if len(wrong) > max(_MANY, len(known) // 2):
        return [], notes  # another quantity, or another age of the layer: no row's own fault
    return [
        _at(
            layer,
            "area_mismatch",
            [int(known[k])],
            recorded=square_metres(recorded_m2[k]),
            drawn=square_metres(shapes.area_m2[known[k]]),
            percent=f"{percent[k]:.1f}",
        )
        for k in wrong.tolist()
    ], notes


def _unit_told(column: str, unit_m2: float, ratio: float) -> list[Note]:
    """Tell the unit an area column seems to be in, where it is not square metres."""
    units = {1e6: ("平方公里", "km²"), 1e4: ("公顷", "hectares"), _M2_OF_MU: ("亩", "mu (亩)")}
    if unit_m2 not in units:
        return []
    zh_unit, unit = units[unit_m2]
    return [remark("area_unit", column=column, zh_unit=zh_unit, unit=unit, ratio=f"{ratio:,.4g}")]


def _half_last_decimal(values: FloatArray) -> float:
    """Half of the last decimal that most values are kept to: what rounding alone may put off."""
    decimals = [np.abs(np.round(values, d) - values) > 1e-12 * (1.0 + values) for d in range(6)]
    return 0.5 * 10.0 ** -float(np.median(np.sum(decimals, axis=0)))


def _sizes(layer: Layer, field: str, profile: Profile) -> list[Fault]:
    """Grids whose households or people are out of the bounds of their type, or of all types."""
    column = layer.column(field)
    general: tuple[int, int] | None = getattr(profile, field)
    by_type = {kind: getattr(sizes, field) for kind, sizes in profile.sizes.items()}
    if column is None or (general is None and not any(by_type.values())):
        return []
    value = pd.to_numeric(column, errors="coerce").to_numpy(float)
    types = layer.column("kind")
    kinds = codes_.texts(types) if types is not None else [""] * len(value)
    bounds = [by_type.get(kind, general) or (-np.inf, np.inf) for kind in kinds]
    low, high = np.array(bounds, float).T
    return [
        _at(
            layer,
            "size_out_of_range",
            [row],
            field=field,
            zh_field=_FIELDS_ZH[field],
            value=f"{value[row]:g}",
            low=f"{low[row]:g}",
            high=f"{high[row]:g}",
        )
        for row in np.flatnonzero((value < low) | (value > high)).tolist()
    ]


def _not_on_map(absent: Sequence[str]) -> list[Fault]:
    if len(absent) > _MANY:
        return [Fault("not_on_map", (), others=tuple(absent))]
    return [Fault("not_on_map", (), others=(code,)) for code in absent]


def _not_in_register(layer: Layer, listed: set[str]) -> list[Fault]:
    rows = [row for row, code in enumerate(layer.codes) if code not in listed]
    return _by_row(layer, "not_in_register", rows)


def _by_row(layer: Layer, kind: str, rows: Sequence[int] | Any, **facts: object) -> list[Fault]:
    """One fault a row; beyond many rows one fault for all of them."""
    rows = [int(row) for row in rows]
    if len(rows) > _MANY:
        example = sorted(layer.label(row) for row in rows)[0]
        return [Fault(kind, tuple(rows), facts={"code": f"{example} …", **facts})]
    return [_at(layer, kind, [row], code=layer.codes[row], **facts) for row in rows]


def _at(layer: Layer, kind: str, rows: Sequence[int], **facts: object) -> Fault:
    """A fault of whole grids, placed at a point inside each."""
    place = _arrays.multipoint(_arrays.inner_points(layer.geometries[list(rows)]))
    return Fault(kind, tuple(rows), place, facts=facts)


def _lines(rows: Sequence[int]) -> str:
    return ", ".join(str(row + 1) for row in rows)
