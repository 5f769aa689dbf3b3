"""Straighter borders over open ground: cuts that met at odd angles leave notches nobody wants.

Atoms are cut one after the other, each along its own axis, so a border made of several cuts turns
left and right between them. A turn goes where no home changes hands and no building is cut; what
runs on a street or given line stays on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing._atoms import Homes
from geo_service.drawing.sheet import Sheet
from geo_service.errors import InputError

_ON_LINE_M = 1.0
_SNAP_M = 1e-6

FloatArray = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]


def straightened(shapes: Shapes, *, lines: Shapes, homes: Homes, walls: Shapes) -> Shapes:
    """Take turns out of the borders between shapes where they run on no line.

    Parameters
    ----------
    shapes : ndarray of shapely Polygon
        An exact, vertex-matched tiling; its outline stays.
    lines : ndarray of shapely lines
        What borders stay on.
    homes : Homes
        Each stays in its shape.
    walls : ndarray of shapely polygons
        Buildings that no border is led through.

    Returns
    -------
    ndarray of shapely Polygon
        In the same order; those no border of which changed are the same objects.
    """
    graph = topology.build(shapes)
    ground = _Ground(lines, homes, walls)
    sheet: Sheet | None = None
    for arc in np.flatnonzero((graph.left >= 0) & (graph.right >= 0)).tolist():
        xy = graph.arc(arc)
        if len(xy) < 3 or (xy[0] == xy[-1]).all():
            continue
        for first, last in ground.open_runs(xy):
            path = ground.shortened(xy[first : last + 1])
            if len(path) == last - first + 1:
                continue
            sheet = sheet or Sheet(shapes, snap=_SNAP_M)
            _lead(sheet, path, {int(graph.left[arc]), int(graph.right[arc])})
    if sheet is None:
        return shapes
    out = np.array([sheet.geometry(face) for face in range(len(shapes))], object)
    same = shapely.equals_identical(out, shapes)
    return np.where(same, shapes, shapely.orient_polygons(out))


def _lead(sheet: Sheet, path: FloatArray, between: set[int]) -> None:
    ends = [sheet.nearest_vertex(tuple(path[at]), _SNAP_M) for at in (0, -1)]
    if ends[0] is None or ends[1] is None:
        return
    try:
        sheet.reroute(ends[0], ends[1], path[1:-1], between=between)
    except InputError:
        return  # it would cross another border: the turn stays


class _Ground:
    """What lies on the ground that a border keeps to, or keeps clear of."""

    def __init__(self, lines: Shapes, homes: Homes, walls: Shapes) -> None:
        self._lines = shapely.STRtree(lines)
        self._homes = homes.by_place
        self._walls, self._near_walls = walls, shapely.STRtree(walls)

    def open_runs(self, xy: FloatArray) -> Iterator[tuple[int, int]]:
        """Give the stretches of several segments on no line, as first and last vertex."""
        middle = shapely.points((xy[1:] + xy[:-1]) / 2)
        on = self._lines.query(middle, predicate="dwithin", distance=_ON_LINE_M)[0]
        free = np.ones(len(xy) - 1, bool)
        free[on] = False
        edges = np.flatnonzero(np.diff(np.concatenate(([False], free, [False]))))
        for first, last in edges.reshape(-1, 2).tolist():
            if last - first > 1:
                yield first, last

    def shortened(self, xy: FloatArray) -> FloatArray:
        """Leave out turns, the smallest first, while no home or building is in the way."""
        kept = xy
        while len(kept) > 2:
            a, b, c = kept[:-2], kept[1:-1], kept[2:]
            size = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
            order = np.lexsort((b[:, 1], b[:, 0], size))
            at = next((k for k in order.tolist() if self._is_free(a[k], b[k], c[k])), None)
            if at is None:
                break
            kept = np.delete(kept, at + 1, axis=0)
        return kept

    def _is_free(self, a: FloatArray, b: FloatArray, c: FloatArray) -> bool:
        land = shapely.Polygon([a, b, c])
        if len(self._homes.query(land, predicate="intersects")):
            return False
        chord = shapely.LineString([a, c])
        near = self._near_walls.query(chord, predicate="intersects")
        crossed = shapely.length(shapely.intersection(self._walls[near], chord)).sum()
        return bool(crossed == 0.0)
