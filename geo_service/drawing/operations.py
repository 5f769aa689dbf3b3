"""The plain form of an edit: what a client sends, a draft keeps, and a session does.

An operation is a JSON object ``{"op": "split", "code": "…", "line": [[x, y], …]}``. Coordinates
are those of the layer; lines are lists of points, rings may be closed or not. A ring that reaches
beyond its grid is refused, unless ``trim`` says that what lies outside is not meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geo_service.errors import InputError, Phrase

Operation = Mapping[str, Any]

_MOST_POINTS = 100_000
_MOST_CODES = 1_000


@dataclass(frozen=True, slots=True)
class Form:
    """What an operation takes.

    Parameters
    ----------
    zh, en : str
        What it does, in words.
    takes : Mapping
        Field -> kind of value (a key of `KINDS`).
    may_take : Mapping
        The same, of fields that can be left out.
    """

    zh: str
    en: str
    takes: Mapping[str, str]
    may_take: Mapping[str, str]


FORMS: Mapping[str, Form] = {
    "split": Form(
        "沿线切分网格",
        "cut a grid along a line",
        {"code": "code", "line": "line"},
        {"codes": "codes"},
    ),
    "merge": Form(
        "合并相邻网格",
        "make one grid of several",
        {"codes": "codes"},
        {"code": "code", "name": "text"},
    ),
    "move_node": Form(
        "移动公共界点",
        "move a corner; all grids that meet there follow",
        {"at": "point", "to": "point"},
        {"within_m": "metres"},
    ),
    "move_edge": Form(
        "平移一段边界",
        "move a piece of border with both its ends",
        {"at": "point", "to": "point"},
        {"within_m": "metres"},
    ),
    "straighten": Form(
        "两点之间取直",
        "make the border between two of its points straight",
        {"from": "point", "to": "point"},
        {"between": "codes", "within_m": "metres"},
    ),
    "follow": Form(
        "两点之间改沿街道",
        "lead the border between two of its points along a street",
        {"from": "point", "to": "point", "line": "line"},
        {"between": "codes", "within_m": "metres"},
    ),
    "reassign": Form(
        "把地块划给邻格",
        "hand a block over to the grid next door",
        {"code": "code", "to": "code", "block": "ring"},
        {"trim": "flag"},
    ),
    "cut_out": Form(
        "划出专属网格",
        "cut a dedicated grid out of its host",
        {"code": "code", "premises": "ring"},
        {"new_code": "code", "name": "text", "kind": "text", "trim": "flag"},
    ),
    "snap": Form(
        "边界吸附到线上",
        "draw the border points of a grid onto a line near by",
        {"code": "code", "line": "line"},
        {"within_m": "metres"},
    ),
}
"""Every operation there is; `geo_service.drawing.session` does them."""


def read(given: Any) -> dict[str, Any]:
    """Read an operation, refusing what is missing, unknown or not of its kind.

    Parameters
    ----------
    given : Any
        As it came: parsed JSON.

    Returns
    -------
    dict
        The operation in plain types: points are pairs of float, rings are not closed.

    Raises
    ------
    InputError
        ``parameter_missing``, ``parameter_invalid``.

    Examples
    --------
    >>> read({"op": "move_node", "at": [1, 2], "to": [3, 4]})
    {'op': 'move_node', 'at': (1.0, 2.0), 'to': (3.0, 4.0)}
    """
    if not isinstance(given, Mapping):
        raise _invalid("operation", given, "应为对象", 'an object such as {"op": "split", …}')
    name = given.get("op")
    form = FORMS.get(name) if isinstance(name, str) else None
    if form is None:
        known = ", ".join(FORMS)
        raise _invalid("op", name, f"可用操作：{known}", f"one of {known}")
    kinds = {**form.takes, **form.may_take}
    for field in given:
        if field != "op" and field not in kinds:
            raise _invalid(
                str(field),
                given[field],
                f"{name} 只接受 {'、'.join(kinds)}",
                f"{name} takes {', '.join(kinds)}",
            )
    for field in form.takes:
        if given.get(field) is None:
            raise InputError("parameter_missing", name=field)
    fields = {f: v for f, v in given.items() if f != "op" and v is not None}
    return {"op": name} | {f: KINDS[kinds[f]](f, value) for f, value in fields.items()}


def places(operation: Operation) -> list[str]:
    """Name the fields of an operation that hold coordinates."""
    form = FORMS[operation["op"]]
    kinds = {**form.takes, **form.may_take}
    return [field for field in operation if kinds.get(field) in ("point", "line", "ring")]


def carried(operation: Operation, carry: Callable[[float, float], tuple[Any, Any]]) -> Operation:
    """Give an operation with its coordinates in another system.

    Parameters
    ----------
    operation : Mapping
        As `read` gives it.
    carry : callable
        (x, y) -> (x, y).
    """
    new = dict(operation)
    for field in places(operation):
        value = operation[field]
        one = isinstance(value, tuple)
        points = [tuple(map(float, carry(x, y))) for x, y in ([value] if one else value)]
        new[field] = points[0] if one else points
    return new


def json_schema() -> dict[str, Any]:
    """Describe every operation as JSON Schema, for the interface's own document."""
    return {"oneOf": [_schema_of(name, form) for name, form in FORMS.items()]}


def _schema_of(name: str, form: Form) -> dict[str, Any]:
    kinds = {**form.takes, **form.may_take}
    return {
        "title": name,
        "description": f"{form.zh} · {form.en}",
        "type": "object",
        "required": ["op", *form.takes],
        "properties": {"op": {"const": name}} | {f: _SCHEMAS[kind] for f, kind in kinds.items()},
    }


def _point(name: str, value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) != 2 or not all(_is_number(v) for v in numbers):
        raise _invalid(name, value, "应为 [x, y]", "a point [x, y]")
    return float(numbers[0]), float(numbers[1])


def _points(name: str, value: Any, least: int) -> list[tuple[float, float]]:
    if not isinstance(value, list | tuple) or not least <= len(value) <= _MOST_POINTS:
        raise _invalid(name, value, f"至少 {least} 个点", f"a list of {least} points or more")
    return [_point(name, each) for each in value]


def _line(name: str, value: Any) -> list[tuple[float, float]]:
    return _points(name, value, 2)


def _ring(name: str, value: Any) -> list[tuple[float, float]]:
    points = _points(name, value, 3)
    points = points[:-1] if points[0] == points[-1] else points
    if len(set(points)) < 3:
        raise _invalid(name, value, "至少三个不同的点", "three different points or more")
    return points


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _invalid(name, value, "应为文字", "text")
    return value.strip()


def _codes(name: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= _MOST_CODES:
        raise _invalid(name, value, "应为编码列表", "a list of codes")
    return [_text(name, each) for each in value]


def _metres(name: str, value: Any) -> float:
    if not _is_number(value) or not 0 < value <= 1000:
        raise _invalid(name, value, "应为 0 到 1000 米", "metres, above 0 and up to 1000")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _invalid(name, value, "应为 true 或 false", "true or false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _invalid(name: str, value: Any, zh: str, en: str) -> InputError:
    shown = str(value)
    shown = shown if len(shown) <= 60 else shown[:60] + "…"
    return InputError("parameter_invalid", name=name, value=shown, reason=Phrase(zh, en))


KINDS: Mapping[str, Callable[[str, Any], Any]] = {
    "code": _text, "text": _text, "codes": _codes, "point": _point, "line": _line, "ring": _ring,
    "metres": _metres, "flag": _flag,
}  # fmt: skip

_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_TEXT = {"type": "string", "minLength": 1}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "code": _TEXT, "text": _TEXT, "codes": {"type": "array", "items": _TEXT, "minItems": 1},
    "point": _POINT, "line": {"type": "array", "items": _POINT, "minItems": 2},
    "ring": {"type": "array", "items": _POINT, "minItems": 3},
    "metres": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
    "flag": {"type": "boolean"},
}  # fmt: skip
