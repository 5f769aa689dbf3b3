"""Operations at random places of a session, of every kind; a good part of them is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from geo_service import drawing
from geo_service.drawing import operations

KINDS = tuple(operations.FORMS)

_ASIDE = np.array([60.0, -3.0])


def operation(
    session: drawing.Session, code: str, random: np.random.Generator, *, kind: str | None = None
) -> dict[str, Any]:
    """Give an operation at a grid; `kind` is one of `KINDS`, by chance where not given."""
    kind = kind or str(random.choice(KINDS))
    shape = shapely.get_parts(session.grid(code).geometry)[0]
    corners = shape.exterior.coords[:-1]
    at = int(random.integers(len(corners)))
    start, stop = corners[at], corners[(at + int(random.integers(2, 5))) % len(corners)]
    here = np.array(start)
    beside = sorted(session.neighbours(code))
    other = str(random.choice(beside)) if beside else code
    near = (here + random.normal(0, 3, 2)).tolist()
    fields: dict[str, Any] = {
        "split": {"line": _across(shape, random)},
        "merge": {"codes": [code, other]},
        "move_node": {"at": start, "to": near},
        "move_edge": {"at": (here + corners[(at + 1) % len(corners)]) / 2, "to": near},
        "straighten": {"from": start, "to": stop},
        "follow": {
            "from": start,
            "to": stop,
            "line": [start, ((here + stop) / 2 + random.normal(0, 4, 2)), stop],
        },
        "reassign": {"to": other, "block": _square(shape, here, random, clipped=True)},
        "cut_out": {"premises": _square(shape, here, random, clipped=random.random() < 0.3)},
        "snap": {"line": [here - _ASIDE, here + _ASIDE], "within_m": 5.0},
    }[kind]
    if kind in ("split", "reassign", "cut_out", "snap"):
        fields["code"] = code
    return {"op": kind} | {name: _plain(value) for name, value in fields.items()}


def _across(shape: Any, random: np.random.Generator) -> np.ndarray:
    spot = np.array(shape.representative_point().coords[0])
    turn = random.uniform(0, np.pi)
    reach = 5e3 * np.array([np.cos(turn), np.sin(turn)])
    return np.array([spot - reach, spot + reach])


def _square(shape: Any, here: np.ndarray, random: np.random.Generator, *, clipped: bool) -> Any:
    if not clipped:
        here = np.array(shape.representative_point().coords[0])
    size = random.uniform(3, 40)
    square = shapely.box(*(here - size), *(here + size))
    inside = shapely.intersection(square, shape) if clipped else square
    largest = max(shapely.get_parts(inside), key=shapely.area)
    return np.array(getattr(largest, "exterior", square.exterior).coords[:-1])


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    return float(value)
