"""CQL2 filters (OGC 21-065r2) on a frame: parsed by the library `cql2`, evaluated by whole columns.

Comparison follows SQL: what is compared with a missing value is unknown, and a feature is given
only where the filter is true.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cql2
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.errors import ShapelyError

from geo_service.errors import InputError, Phrase

Language = Literal["cql2-text", "cql2-json"]
GEOMETRY = "geometry"
LONGEST = 4000
DEEPEST = 48
"""Brackets inside brackets; the parser recurses, and a stack that runs over ends the process."""

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "%": operator.mod, "div": operator.floordiv, "^": operator.pow,
}  # fmt: skip
_SPATIAL: Mapping[str, Callable[[Any, Any], Any]] = {
    "s_intersects": shapely.intersects, "s_disjoint": shapely.disjoint,
    "s_equals": shapely.equals, "s_touches": shapely.touches, "s_within": shapely.within,
    "s_overlaps": shapely.overlaps, "s_crosses": shapely.crosses, "s_contains": shapely.contains,
}  # fmt: skip
_SHAPES = {
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
}  # fmt: skip
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@dataclass(frozen=True)
class Table:
    """What a filter asks about.

    Parameters
    ----------
    columns : pandas.DataFrame
        Attributes by row.
    geometries : ndarray of shapely geometry
        In the filter's coordinate system, x east.
    literal : callable
        Brings a geometry of the filter, written in its system's axis order, to x east.
    """

    columns: pd.DataFrame
    geometries: npt.NDArray[np.object_]
    literal: Callable[[npt.NDArray[np.object_]], npt.NDArray[np.object_]]


def rows(text: str, table: Table, *, language: Language = "cql2-text") -> npt.NDArray[np.intp]:
    """Give the rows for which a filter is true, rising.

    Parameters
    ----------
    text : str
        The filter, at most `LONGEST` characters.
    table : Table
        What it asks about.
    language : str
        ``cql2-text`` or ``cql2-json``.

    Raises
    ------
    InputError
        ``filter_invalid``.
    """
    try:
        found = _evaluate(_parsed(text, language), table)
        return np.flatnonzero(_truth(found, table).fillna(False).to_numpy(bool))
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError, RecursionError, ShapelyError) as error:
        raise InputError("filter_invalid", reason=_short(error)) from error


def _parsed(text: str, language: Language) -> Any:
    if len(text) > LONGEST or _depth(text) > DEEPEST:
        reason = Phrase(
            f"超过 {LONGEST} 个字符，或括号超过 {DEEPEST} 层",
            f"longer than {LONGEST} characters, or brackets {DEEPEST} deep",
        )
        raise InputError("filter_invalid", reason=reason)
    try:
        parse = cql2.parse_text if language == "cql2-text" else cql2.parse_json
        return parse(text).to_json()
    except (cql2.ParseError, cql2.ValidationError, json.JSONDecodeError) as error:
        raise InputError("filter_invalid", reason=_short(error)) from error


def _depth(text: str) -> int:
    steps = np.array([_BRACKETS.get(letter, 0) for letter in text], int)
    return int(np.cumsum(steps).max(initial=0))


def _evaluate(node: Any, table: Table) -> Any:
    """A column of values, geometries or truths, or a plain value."""
    if not isinstance(node, dict):
        return node
    if "property" in node:
        return _property(str(node["property"]), table)
    if "op" in node:
        return _operation(str(node["op"]), node["args"], table)
    if "bbox" in node:
        x0, y0, x1, y1 = _flat_box(node["bbox"])
        return _literal(shapely.box(x0, y0, x1, y1), table)
    if node.get("type") in _SHAPES:
        return _literal(shapely.from_geojson(json.dumps(node)), table)
    for moment in ("date", "timestamp"):
        if moment in node:
            return pd.Timestamp(node[moment])
    raise InputError(
        "filter_invalid",
        reason=Phrase(
            f"此处看不懂 {json.dumps(node)[:80]}", f"{json.dumps(node)[:80]} is not understood here"
        ),
    )


def _operation(op: str, args: list[Any], table: Table) -> Any:
    name = op.lower()
    if name in {"and", "or"}:
        truths = [_truth(_evaluate(arg, table), table) for arg in args]
        joined = truths[0]
        for truth in truths[1:]:
            joined = joined & truth if name == "and" else joined | truth
        return joined
    if name == "not":
        return ~_truth(_evaluate(args[0], table), table)
    if name == "isnull":
        value = _evaluate(args[0], table)
        missing = shapely.is_missing(value) if isinstance(value, np.ndarray) else pd.isna(value)
        return _truth(missing, table)
    if name == "in":
        value = _evaluate(args[0], table)
        wanted = [_evaluate(item, table) for item in args[1]]
        found = _truth(False, table)
        for item in wanted:
            found = found | _truth(_comparable(value, item)[0] == item, table)
        return found
    values = [_evaluate(arg, table) for arg in args]
    if name in _COMPARISONS:
        return _COMPARISONS[name](*_comparable(*values))
    if name in _ARITHMETIC:
        return _arithmetic(name, values)
    if name in _SPATIAL:
        return _spatial(name, values)
    if name == "between":
        value, low, high = values
        return _truth(value >= low, table) & _truth(value <= high, table)
    if name == "like":
        return _like(values[0], values[1], table)
    if name == "casei":
        return _folded(values[0])
    raise InputError(
        "filter_invalid",
        reason=Phrase(
            f"没有函数或运算符“{op[:40]}”", f"there is no function or operator “{op[:40]}”"
        ),
    )


def _property(name: str, table: Table) -> Any:
    if name == GEOMETRY:
        return table.geometries
    if name not in table.columns:
        known = ", ".join((*table.columns, GEOMETRY))
        raise InputError("parameter_unknown", name=name, known=known)
    return table.columns[name].convert_dtypes()


def _literal(geometry: shapely.Geometry, table: Table) -> shapely.Geometry:
    return table.literal(np.array([geometry], dtype=object))[0]


def _flat_box(numbers: list[float]) -> list[float]:
    return numbers if len(numbers) == 4 else [*numbers[:2], *numbers[3:5]]


def _truth(value: Any, table: Table) -> pd.Series[Any]:
    """A column of true, false and unknown."""
    if isinstance(value, pd.Series) and not pd.api.types.is_bool_dtype(value.dtype):
        raise InputError(
            "filter_invalid",
            reason=Phrase("此处应为条件，却是一个值", "a value stands where a condition should"),
        )
    if not isinstance(value, pd.Series | np.ndarray | bool | np.bool_):
        raise InputError(
            "filter_invalid",
            reason=Phrase(f"“{str(value)[:40]}”不是条件", f"“{str(value)[:40]}” is no condition"),
        )
    return pd.Series(value, index=table.columns.index, dtype="boolean")


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Refuse what pandas would answer in silence: text equal to a number is never true."""
    kinds = {_kind(left), _kind(right)}
    if len(kinds) > 1:
        found = " / ".join(sorted(kinds))
        reason = Phrase(
            f"文字、数字和时间不能互相比较：{found}",
            f"text, numbers and times don't compare: {found}",
        )
        raise InputError("filter_invalid", reason=reason)
    return left, right


def _kind(value: Any) -> str:
    if isinstance(value, pd.Series):
        if pd.api.types.is_bool_dtype(value.dtype):
            return "boolean"
        if pd.api.types.is_numeric_dtype(value.dtype):
            return "number"
        return "time" if pd.api.types.is_datetime64_any_dtype(value.dtype) else "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, pd.Timestamp):
        return "time"
    if isinstance(value, str):
        return "text"
    raise InputError(
        "filter_invalid",
        reason=Phrase(
            "图形要用 S_INTERSECTS 等空间运算比较",
            "geometries are compared by S_INTERSECTS and others",
        ),
    )


def _arithmetic(name: str, values: list[Any]) -> Any:
    if len(values) == 1 and name == "-":
        return -values[0]
    if {_kind(value) for value in values} != {"number"}:
        raise InputError(
            "filter_invalid", reason=Phrase(f"“{name}”需要数字", f"“{name}” wants numbers")
        )
    # As floats: whole numbers of Python have no end, and 9^9^9^9 would never come back.
    left, right = (np.float64(v) if isinstance(v, int | float) else v for v in values)
    with np.errstate(all="ignore"):
        found = _ARITHMETIC[name](left, right)
    return float(found) if isinstance(found, np.floating) else found


def _spatial(name: str, values: list[Any]) -> Any:
    shapes = (np.ndarray, shapely.Geometry)
    if len(values) != 2 or not all(isinstance(value, shapes) for value in values):
        raise InputError(
            "filter_invalid",
            reason=Phrase(f"{name.upper()} 需要两个图形", f"{name.upper()} wants two geometries"),
        )
    for value in values:
        if isinstance(value, shapely.Geometry):
            shapely.prepare(value)
    found = _SPATIAL[name](*values)
    return bool(found) if isinstance(found, np.bool_) else found


def _like(value: Any, pattern: Any, table: Table) -> pd.Series[Any]:
    if _kind(value) != "text" or not isinstance(pattern, str):
        raise InputError("filter_invalid", reason=Phrase("LIKE 需要文字", "LIKE wants text"))
    matches = _like_pattern(pattern).fullmatch
    column = value if isinstance(value, pd.Series) else pd.Series(value, table.columns.index)
    found = [pd.NA if pd.isna(text) else matches(str(text)) is not None for text in column]
    return pd.Series(found, index=table.columns.index, dtype="boolean")


def _like_pattern(pattern: str) -> re.Pattern[str]:
    """``%`` any text, ``_`` one character, backslash before either: itself.

    Each ``%`` takes the nearest match of what follows and never looks back (an atomic group), which
    is enough for LIKE and keeps many of them from taking for ever.
    """
    parts: list[list[str]] = [[]]
    escaped = False
    for letter in pattern:
        if escaped or letter not in "%_\\":
            parts[-1].append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == "_":
            parts[-1].append(".")
        else:
            parts.append([])
    first, *rest = ("".join(part) for part in parts)
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    between = "".join(f"(?>.*?{part})" for part in middle if part)
    return re.compile(f"{first}{between}.*{last}", re.DOTALL)


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    if _kind(value) != "text":
        raise InputError("filter_invalid", reason=Phrase("CASEI 需要文字", "CASEI wants text"))
    return value.astype("string").map(str.casefold, na_action="ignore").astype("string")


def _short(error: Exception) -> Phrase:
    told = " ".join(str(error).split())[:200]
    return Phrase(f"程序原文“{told}”", told)
