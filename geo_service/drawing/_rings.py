"""Rings out of signed arcs: walks with their face on the left, simple rings, areas with holes.

An arc reference ``k`` is arc ``k`` walked forward, ``~k`` the same arc walked backward.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import shapely

Ring = tuple[int, ...]
Arcs = Mapping[int, npt.NDArray[np.int64]]
FloatArray = npt.NDArray[np.float64]


def arc_of(k: int) -> int:
    """Give the arc of a signed reference."""
    return k if k >= 0 else ~k


def first(arcs: Arcs, k: int) -> int:
    """Give the vertex a signed arc leaves from."""
    return int(arcs[k][0]) if k >= 0 else int(arcs[~k][-1])


def last(arcs: Arcs, k: int) -> int:
    """Give the vertex a signed arc comes to."""
    return int(arcs[k][-1]) if k >= 0 else int(arcs[~k][0])


def vertices(arcs: Arcs, ring: Iterable[int]) -> npt.NDArray[np.int64]:
    """Give the vertices of a ring in its direction, the first not repeated."""
    return np.concatenate([arcs[k][:-1] if k >= 0 else arcs[~k][:0:-1] for k in ring])


def signed_area(xy: FloatArray, arcs: Arcs, ring: Ring) -> float:
    """Give the area of a ring, positive where it runs counter-clockwise."""
    return float(_shoelace(xy, vertices(arcs, ring)))


def distances(line: FloatArray, point: FloatArray) -> FloatArray:
    """Give the distance of a point from every segment of a line, shape (vertices - 1,)."""
    start, step = line[:-1], line[1:] - line[:-1]
    along = ((point - start) * step).sum(1) / np.maximum((step * step).sum(1), 1e-300)
    away = start + np.clip(along, 0.0, 1.0)[:, None] * step - point
    return np.hypot(away[:, 0], away[:, 1])


def nearest(
    xy: FloatArray, runs: Sequence[npt.NDArray[np.int64]], point: FloatArray
) -> tuple[int, int, float]:
    """Give the run of vertices nearest to a point, the segment in it, and the distance."""
    ends = np.fromiter(accumulate(map(len, runs)), np.int64, len(runs))
    run, segment, distance = _nearest(xy, np.concatenate(runs), ends, point[0], point[1])
    return int(run), int(segment), float(distance)


@numba.njit(cache=True, nogil=True)
def _shoelace(xy: FloatArray, ring: npt.NDArray[np.int64]) -> float:
    x0, y0 = xy[ring[0]]
    total = 0.0
    for i in range(1, len(ring) - 1):
        a, b = ring[i], ring[i + 1]
        total += (xy[a, 0] - x0) * (xy[b, 1] - y0) - (xy[b, 0] - x0) * (xy[a, 1] - y0)
    return 0.5 * total


@numba.njit(cache=True, nogil=True)
def _nearest(
    xy: FloatArray, vertices: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], x: float, y: float
) -> tuple[int, int, float]:
    best = (0, 0, np.inf)
    begin = 0
    for run in range(len(ends)):
        for k in range(begin, ends[run] - 1):
            ax, ay = xy[vertices[k]]
            dx, dy = xy[vertices[k + 1], 0] - ax, xy[vertices[k + 1], 1] - ay
            along = ((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-300)
            along = min(max(along, 0.0), 1.0)
            away = math.hypot(ax + along * dx - x, ay + along * dy - y)
            if away < best[2]:
                best = (run, k - begin, away)
        begin = ends[run]
    return best


def walks(xy: FloatArray, arcs: Arcs, references: Iterable[int]) -> list[list[int]]:
    """Chain signed arcs to closed walks, their face on the left.

    Where several go on from a node, the sharpest turn to the left keeps to the same face.
    """
    leaving: dict[int, list[int]] = defaultdict(list)
    waiting = dict.fromkeys(references)
    for k in waiting:
        leaving[first(arcs, k)].append(k)
    found = []
    while waiting:
        k = next(iter(waiting))
        walk = []
        while k in waiting:
            del waiting[k]
            walk.append(k)
            onward = leaving[last(arcs, k)]
            k = onward[0] if len(onward) == 1 else _sharpest_left(xy, arcs, k, onward)
        found.append(walk)
    return found


def simple_rings(arcs: Arcs, walks: Iterable[Sequence[int]]) -> list[Ring]:
    """Give simple rings: a walk that passes a node twice is taken apart there."""
    rings: list[Ring] = []
    for walk in walks:
        open_walk: list[int] = []
        passed: list[int] = []
        for k in walk:
            open_walk.append(k)
            passed.append(first(arcs, k))
            end = last(arcs, k)
            if end in passed:
                at = passed.index(end)
                rings.append(tuple(open_walk[at:]))
                del open_walk[at:], passed[at:]
    return rings


def pieces(xy: FloatArray, arcs: Arcs, walks: Iterable[Sequence[int]]) -> list[list[Ring]]:
    """Group closed walks to connected areas: each a shell followed by its holes."""
    rings = simple_rings(arcs, walks)
    if len(rings) == 1:
        return [rings]
    area = [signed_area(xy, arcs, ring) for ring in rings]
    shells = sorted((r for r, a in enumerate(area) if a > 0), key=lambda r: area[r])
    grouped = {shell: [rings[shell]] for shell in shells}
    if len(shells) == 1:
        grouped[shells[0]] += [ring for r, ring in enumerate(rings) if r != shells[0]]
        return list(grouped.values())
    for hole in (r for r, a in enumerate(area) if a <= 0):
        spot = _plain(xy, arcs, rings[hole]).representative_point()
        larger = (s for s in shells if area[s] > -area[hole])
        home = next((s for s in larger if _plain(xy, arcs, rings[s]).contains(spot)), None)
        if home is not None:
            grouped[home].append(rings[hole])
    return list(grouped.values())


def polygons(xy: FloatArray, arcs: Arcs, faces: Sequence[tuple[Ring, ...]]) -> list[Any]:
    """Build the Polygon or MultiPolygon of each face from its rings."""
    runs = [vertices(arcs, rings[0]) for rings in faces if len(rings) == 1]
    plain: Iterator[Any] = iter(())
    if runs:  # in one call: each costs as much as a polygon
        of_run = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
        shells = shapely.linearrings(xy[np.concatenate(runs)], indices=of_run)
        plain = iter(np.asarray(shapely.polygons(shells), object))
    return [next(plain) if len(rings) == 1 else _compound(xy, arcs, rings) for rings in faces]


def _compound(xy: FloatArray, arcs: Arcs, rings: tuple[Ring, ...]) -> Any:
    parts = []
    for shell, *holes in pieces(xy, arcs, walks(xy, arcs, [k for ring in rings for k in ring])):
        inner = [xy[vertices(arcs, hole)] for hole in holes]
        parts.append(shapely.Polygon(xy[vertices(arcs, shell)], inner))
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _plain(xy: FloatArray, arcs: Arcs, ring: Ring) -> Any:
    return shapely.polygons(xy[vertices(arcs, ring)])


def _sharpest_left(xy: FloatArray, arcs: Arcs, k: int, onward: list[int]) -> int:
    back = _heading(xy, arcs, ~k)
    full = 2 * math.pi
    turns = [((back - _heading(xy, arcs, n)) % full or full, n) for n in onward]
    return min(turns)[1]


def _heading(xy: FloatArray, arcs: Arcs, k: int) -> float:
    """Direction in which a signed arc leaves its first vertex."""
    a, b = (arcs[k][0], arcs[k][1]) if k >= 0 else (arcs[~k][-1], arcs[~k][-2])
    return math.atan2(xy[b, 1] - xy[a, 1], xy[b, 0] - xy[a, 0])
