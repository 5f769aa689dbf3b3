"""What an answer must say of itself: pieces passed over, gates that are closed, why it is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geo_service.streets.contraction import CM_PER_M
from geo_service.streets.snapping import Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]

_WHOLE_SHARE = 0.95  # so much of a piece is all of it


@dataclass(frozen=True, slots=True)
class Note:
    """A remark in both languages; empty where there is nothing to say."""

    zh: str = ""
    en: str = ""

    def __add__(self, other: Note) -> Note:
        return Note(f"{self.zh}{other.zh}", f"{self.en} {other.en}".strip())


def pieces_km(network: WalkNetwork, snapped: Snapped) -> tuple[FloatArray, FloatArray]:
    """Give the length of the piece each place walks on, and of the nearer one passed over."""
    return _piece_km(network, snapped.edge), _piece_km(network, snapped.refused_edge)


def _piece_km(network: WalkNetwork, edge: npt.NDArray[np.int64]) -> FloatArray:
    graph, km = network.graph, np.full(edge.size, np.nan)
    there = edge >= 0
    if there.any():
        length_cm = graph.component_cm[graph.component[graph.tail[edge[there]]]]
        km[there] = np.round(length_cm / CM_PER_M / 1000.0, 3)
    return km


def too_far(place: Snapped, limit_m: float) -> Note:
    """Say that no street is near enough."""
    distance_m = float(place.snap_distance_m[0])
    return Note(
        f"{limit_m:g} 米内没有可步行的街道，最近的街道在 {distance_m:.0f} 米外。",
        f"No walkable street within {limit_m:g} m; the nearest is {distance_m:.0f} m away.",
    )


def of(
    network: WalkNetwork, place: Snapped, limit_cm: int, reached_m: float, closed_gates: int
) -> Note:
    """Explain one origin: a nearer piece that was passed over, and a reach that is small.

    A reach is small if less street is within it than a walk straight along one street would pass.
    """
    note = _passed_over(network, place)
    limit_m, leg_m = limit_cm / CM_PER_M, float(place.snap_distance_m[0])
    if leg_m >= limit_m:
        return note + Note(
            f"从起点到最近的街道就要走 {leg_m:.0f} 米，超过了 {limit_m:.0f} 米的步行范围。",
            f"The nearest street is {leg_m:.0f} m away, beyond the {limit_m:.0f} m of the walk.",
        )
    if reached_m >= 2.0 * limit_m:
        return note
    piece_m = float(_piece_km(network, place.edge)[0]) * 1000.0
    if reached_m >= _WHOLE_SHARE * piece_m and piece_m < 2.0 * limit_m:
        note += Note(
            f"这片街道只有 {piece_m / 1000:.1f} 公里，与其他街道不连通，已全部走到。",
            f"These streets are {piece_m / 1000:.1f} km long and connect to no others; "
            "all of them are reached.",
        )
    elif reached_m < limit_m - leg_m:
        note += Note(
            f"{limit_m:.0f} 米步行只到达 {reached_m:.0f} 米街道：附近街道很少或多为单向。",
            f"A walk of {limit_m:.0f} m reaches only {reached_m:.0f} m of street: "
            "few streets are near, or they are one-way.",
        )
    else:
        return note
    if closed_gates:
        note += Note(
            f"范围内有 {closed_gates} 处门或障碍对该类行人关闭。",
            f"{closed_gates} gates or barriers within reach are closed to this walker.",
        )
    return note


def _passed_over(network: WalkNetwork, place: Snapped) -> Note:
    if place.refused_edge[0] < 0:
        return Note()
    near_m, km = float(place.refused_distance_m[0]), _piece_km(network, place.refused_edge)[0]
    leg_m = float(place.snap_distance_m[0])
    return Note(
        f"{near_m:.0f} 米处有更近的街道，但它所在的 {km:.2f} 公里孤立路段不通向别处，"
        f"改用 {leg_m:.0f} 米处的街道。",
        f"A street {near_m:.0f} m away belongs to {km:.2f} km of paths that lead nowhere; "
        f"the street {leg_m:.0f} m away was taken.",
    )
