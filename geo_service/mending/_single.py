"""Faults of single rows that are mended without moving a line."""

from __future__ import annotations

import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import Geometry
from geo_service.mending._rules import Rules
from geo_service.mending._sheet import Sheet


def copies(sheet: Sheet, rules: Rules) -> dict[int, int]:
    """Rows with the very rings of another -> the row that stays."""
    layer = sheet.layer
    found: dict[int, int] = {}
    for rows in sheet.shapes.copies:
        stays, *others = rules.elder(rows, layer)
        found.update({row: stays for row in others if not rules.fixed(layer, row)})
    return found


def uncrossed(sheet: Sheet, rules: Rules) -> dict[int, Geometry]:
    """Rings that cross or touch themselves taken apart by the even-odd rule.

    A shape that holds no ground at all is left.
    """
    layer = sheet.layer
    found: dict[int, Geometry] = {}
    for row in sheet.shapes.invalid.tolist():
        shape = _arrays.areas(shapely.make_valid(layer.geometries[row]))
        if not shape.is_empty and not rules.fixed(layer, row):
            found[row] = shape
    return found


def without_repeated_points(sheet: Sheet, rules: Rules) -> dict[int, Geometry]:
    """Rings without vertices that repeat the one before."""
    layer = sheet.layer
    found: dict[int, Geometry] = {}
    for row in sorted(set(layer.rings.row[sheet.scan.repeated >= 0].tolist())):
        shape = shapely.remove_repeated_points(layer.geometries[row], 0.0)
        if shape.is_valid and not rules.fixed(layer, row):
            found[row] = shape
    return found
