"""A layer drawn coarser for each zoom, neighbours staying neighbours.

A polygon simplified alone parts from its neighbours: a proven tiling would be drawn with gaps. So
the whole coverage is simplified at once (`shapely.coverage_simplify`, Visvalingam-Whyatt on shared
edges), each zoom from the one below it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.tiles import mvt

FINEST_ZOOM = 13
"""From this zoom on geometry is drawn as it is: a pixel is 8 m of ground."""

COARSEST_ZOOM = 4
"""Below this zoom nothing gets coarser."""

Geometries = npt.NDArray[np.object_]


def wanted(z: int) -> int:
    """Give the zoom whose geometries zoom `z` is drawn with, once they are made."""
    return min(max(z, COARSEST_ZOOM), FINEST_ZOOM)


class Pyramid:
    """A layer's geometries by zoom, made when first needed and kept.

    While a zoom is being made its tiles are drawn from the finest geometry: larger, never wrong.

    Parameters
    ----------
    geometries : ndarray of shapely geometry
        In Web Mercator metres.
    tiles : bool
        Whether they are a coverage; others are simplified one by one.
    executor : Executor
        Where the coarser zooms are made.
    """

    def __init__(self, geometries: Geometries, *, tiles: bool, executor: Executor) -> None:
        self._levels: dict[int, Geometries] = {FINEST_ZOOM: geometries}
        self._trees: dict[int, shapely.STRtree] = {}
        self._tiles = tiles
        self._executor = executor
        self._started = False
        self._lock = threading.Lock()

    def cut(self, box: mvt.Box, z: int) -> tuple[npt.NDArray[np.intp], Geometries]:
        """Give the rows that touch a box, and their geometries at a zoom cut to it.

        Parameters
        ----------
        box : tuple of float
            Web Mercator metres.
        z : int
            Zoom of the tile.

        Returns
        -------
        tuple of ndarray
            Row numbers in rising order, and the cut geometries.
        """
        level = self.level(z)
        rows = np.sort(self._tree(level).query(shapely.box(*box)))
        cut = shapely.clip_by_rect(self._levels[level][rows], *box)
        drawn = ~shapely.is_empty(cut)
        return rows[drawn], cut[drawn]

    def level(self, z: int) -> int:
        """Give the zoom whose geometries are there to draw zoom `z` with."""
        if (level := wanted(z)) in self._levels:
            return level
        with self._lock:
            if not self._started:
                self._started = True
                self._executor.submit(self.build)
        return FINEST_ZOOM

    def build(self) -> None:
        """Make every zoom, from the finest down."""
        for z in range(FINEST_ZOOM - 1, COARSEST_ZOOM - 1, -1):
            if z not in self._levels:
                self._levels[z] = self._coarser(self._levels[z + 1], mvt.pixel_m(z))

    def _coarser(self, geometries: Geometries, tolerance_m: float) -> Geometries:
        if not self._tiles:
            return np.asarray(shapely.simplify(geometries, tolerance_m / 2))
        return np.asarray(shapely.coverage_simplify(geometries, tolerance_m))

    def _tree(self, level: int) -> shapely.STRtree:
        if level not in self._trees:
            self._trees[level] = shapely.STRtree(self._levels[level])
        return self._trees[level]
