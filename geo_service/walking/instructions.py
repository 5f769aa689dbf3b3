"""How to walk a route, said in steps: which way, on which street, how far.

A new step begins where the name of the street changes, and at a fork where the walk turns. A street
that bends without a choice needs no word, nor does one that bends a little under the same name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.streets.contraction import CM_PER_M
from geo_service.streets.segments import FloatArray, IntArray, LongArray, TextArray

_LOOK_M = 12.0  # a turn is judged by where one stands so far before and after it
_STRAIGHT_DEG, _SLIGHT_DEG, _SHARP_DEG, _BACK_DEG = 25.0, 50.0, 130.0, 165.0
_COMPASS = (
    ("东", "east"), ("东北", "north-east"), ("北", "north"), ("西北", "north-west"),
    ("西", "west"), ("西南", "south-west"), ("南", "south"), ("东南", "south-east"),
)  # fmt: skip
_TURNS = {
    "straight": ("直行", "Go straight on"),
    "slight_left": ("稍向左转", "Bear left"),
    "left": ("左转", "Turn left"),
    "sharp_left": ("向左急转", "Turn sharp left"),
    "slight_right": ("稍向右转", "Bear right"),
    "right": ("右转", "Turn right"),
    "sharp_right": ("向右急转", "Turn sharp right"),
    "back": ("掉头", "Turn back"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk.

    Parameters
    ----------
    turn : str
        ``leave`` (from the door to the street), ``head`` (the first street), ``arrive`` (from the
        street to the door), or the turn: ``straight``, ``slight_left``, ``left``, ``sharp_left``,
        the same to the right, ``back``.
    street : str
        Its name, "" where it has none.
    metres : float
        How far the step goes.
    lon, lat : float
        Where it begins, WGS84.
    zh, en : str
        The step in words.
    """

    turn: str
    street: str
    metres: float
    lon: float
    lat: float
    zh: str
    en: str

    def record(self) -> dict[str, Any]:
        """Give the step as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class Path:
    """A walk along streets.

    Parameters
    ----------
    x, y : ndarray of float64, shape (v,)
        Vertices in walking order, metres in the network's plane.
    walked_cm : ndarray of int64, shape (v,)
        What is walked to each.
    name : ndarray of int32, shape (v - 1,)
        Name of the street from each vertex to the next.
    fork : ndarray of bool, shape (v,)
        Whether there is a choice of ways.
    """

    x: FloatArray
    y: FloatArray
    walked_cm: LongArray
    name: IntArray
    fork: npt.NDArray[np.bool_]


def of(
    path: Path,
    names: TextArray,
    lonlat: FloatArray,
    *,
    origin_leg_m: float,
    destination_leg_m: float,
) -> tuple[Step, ...]:
    """Give the steps of a walk.

    Parameters
    ----------
    path : Path
        The walk along streets.
    names : ndarray of str
        The names `path.name` counts in.
    lonlat : ndarray of float64, shape (v + 2, 2)
        The door it starts from, the vertices, the door it ends at.
    origin_leg_m, destination_leg_m : float
        The straight legs between doors and streets.
    """
    walked_m = path.walked_cm / CM_PER_M
    begins, turns = [0], ["head"]
    for vertex in range(1, path.name.size):
        renamed = path.name[vertex] != path.name[vertex - 1]
        if not (renamed or path.fork[vertex]):
            continue
        turn = _turn(_bend_deg(path, walked_m, vertex))
        follows = turn == "straight" or (path.name[vertex] > 0 and turn.startswith("slight"))
        if renamed or not follows:
            begins.append(vertex)
            turns.append(turn)
    ends = [*begins[1:], path.name.size]
    steps = [_leave(origin_leg_m, lonlat[0])]
    for begin, end, turn in zip(begins, ends, turns, strict=True):
        metres = float(walked_m[end] - walked_m[begin])
        if metres == 0.0:
            continue
        street = str(names[path.name[begin]])
        said = _heading(path, walked_m, street) if turn == "head" else _onto(turn, street)
        steps.append(_step(turn, street, metres, lonlat[begin + 1], *said))
    steps.append(_arrive(destination_leg_m, lonlat[-2]))
    return tuple(steps)


def _step(turn: str, street: str, metres: float, at: FloatArray, zh: str, en: str) -> Step:
    far = _far(metres)
    return Step(
        turn, street, metres, float(at[0]), float(at[1]), f"{zh}，走 {far} 米", f"{en} for {far} m"
    )


def _leave(leg_m: float, at: FloatArray) -> Step:
    far = _far(leg_m)
    zh, en = f"从起点走 {far} 米到街道", f"Walk {far} m from the door to the street"
    return Step("leave", "", leg_m, float(at[0]), float(at[1]), zh, en)


def _arrive(leg_m: float, at: FloatArray) -> Step:
    far = _far(leg_m)
    zh, en = f"离开街道走 {far} 米到达终点", f"Walk {far} m from the street to the door"
    return Step("arrive", "", leg_m, float(at[0]), float(at[1]), zh, en)


def _far(metres: float) -> str:
    return f"{metres:,.0f}"


def _heading(path: Path, walked_m: FloatArray, street: str) -> tuple[str, str]:
    x, y = _at(path, walked_m, min(_LOOK_M, float(walked_m[-1])))
    octant = round(math.degrees(math.atan2(y - path.y[0], x - path.x[0])) / 45.0) % 8
    zh, en = _COMPASS[octant]
    if street:
        return f"沿{street}向{zh}", f"Walk {en} on {street}"
    return f"向{zh}", f"Walk {en}"


def _onto(turn: str, street: str) -> tuple[str, str]:
    zh, en = _TURNS[turn]
    if street:
        return f"{zh}进入{street}", f"{en} onto {street}"
    return zh, en


def _bend_deg(path: Path, walked_m: FloatArray, vertex: int) -> float:
    """Give the change of direction at a vertex: to the left above 0, at most 180 either way."""
    here = float(walked_m[vertex])
    before_x, before_y = _at(path, walked_m, max(here - _LOOK_M, 0.0))
    after_x, after_y = _at(path, walked_m, min(here + _LOOK_M, float(walked_m[-1])))
    x, y = float(path.x[vertex]), float(path.y[vertex])
    came = math.atan2(y - before_y, x - before_x)
    goes = math.atan2(after_y - y, after_x - x)
    return (math.degrees(goes - came) + 180.0) % 360.0 - 180.0


def _at(path: Path, walked_m: FloatArray, metres: float) -> tuple[float, float]:
    return float(np.interp(metres, walked_m, path.x)), float(np.interp(metres, walked_m, path.y))


def _turn(bend_deg: float) -> str:
    size, side = abs(bend_deg), "left" if bend_deg > 0 else "right"
    if size < _STRAIGHT_DEG:
        return "straight"
    if size < _SLIGHT_DEG:
        return f"slight_{side}"
    if size < _SHARP_DEG:
        return side
    return f"sharp_{side}" if size < _BACK_DEG else "back"
