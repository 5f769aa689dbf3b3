"""A stand-in for the walk network in tests: walks along straight lines on a metric plane.

Only what siting and life circles ask of a network; the real one has tests of its own. A place more
than `street_limit_m` from the box of streets has no street near.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from geo_service import crs

PLANE = "EPSG:4547"
ORIGIN = (500_000.0, 3_767_000.0)


def lonlat(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of a place so many metres east and north of the corner."""
    return crs.Plane.of(PLANE).inverse(np.asarray(x) + ORIGIN[0], np.asarray(y) + ORIGIN[1])


class Travel(NamedTuple):
    metres: sparse.csr_matrix
    unsnapped_origins: np.ndarray
    unsnapped_destinations: np.ndarray
    limit_m: float
    speed_kmh: float


class StraightLines:
    """Walks as the crow flies, inside a box."""

    plane = PLANE

    def __init__(self, size_m: float = 100_000.0, *, speed_kmh: float = 4.8) -> None:
        self.size_m = size_m
        self.speed_kmh = speed_kmh
        self.asked: list[dict[str, Any]] = []
        steps = np.arange(0.0, min(size_m, 3000.0) + 1.0, 500.0)
        x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
        self.graph = SimpleNamespace(node_x=x + ORIGIN[0], node_y=y + ORIGIN[1])

    def time_matrix(
        self, origins: Any, destinations: Any, *, minutes: float,
        speed_kmh: float | None = None, profile: str | None = None, datum: str = "wgs84",
    ) -> Travel:  # fmt: skip
        self.asked.append({"minutes": minutes, "speed_kmh": speed_kmh, "profile": profile})
        speed = speed_kmh or self.speed_kmh
        limit = minutes * speed * 1000.0 / 60.0
        ends = [
            np.column_stack(crs.Plane.of(PLANE).forward(*np.asarray(p, float).T, datum=datum))
            for p in (origins, destinations)
        ]
        off = [
            np.flatnonzero(((p - ORIGIN < -1.0) | (p - ORIGIN > self.size_m)).any(axis=1))
            for p in ends
        ]
        apart = np.hypot(*(ends[0][:, None, :] - ends[1][None, :, :]).transpose(2, 0, 1))
        apart[off[0]] = np.inf
        apart[:, off[1]] = np.inf
        apart = np.maximum(np.round(apart, 2), 0.01)  # a stored zero would read as "not within"
        near = np.where(apart <= limit, apart, 0.0)
        return Travel(sparse.csr_matrix(near), off[0], off[1], limit, speed)
