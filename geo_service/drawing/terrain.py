"""What borders follow and keep clear of, prepared once for however many drawings of a city."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing import _given

_ON_WAY_M = 1.0

Shapes = npt.NDArray[np.object_]


class Terrain:
    """Streets, further lines and buildings in one plane, found by place.

    Parameters
    ----------
    crs : Any
        The metric plane of the grids, as geopandas takes it.
    streets, lines, buildings : geopandas.GeoDataFrame
        As `geo_service.drawing.draw` takes them.

    Raises
    ------
    InputError
        ``parameter_invalid``: a kind of line that is not known.
    """

    def __init__(
        self,
        crs: Any,
        streets: gpd.GeoDataFrame,
        *,
        lines: gpd.GeoDataFrame | None = None,
        buildings: gpd.GeoDataFrame | None = None,
    ) -> None:
        ways = _given.lines_in(crs, streets, lines)
        self.crs = crs
        self._ways = np.asarray(ways.geometry.values, object)
        self._minor = (ways["kind"] == "minor").to_numpy()
        self._buildings = _given.footprints(crs, buildings)
        self._ways_by_place = shapely.STRtree(self._ways)
        self._buildings_by_place = shapely.STRtree(self._buildings)

    def ways_in(self, shape: Any) -> tuple[Shapes, Shapes]:
        """Give the ways that meet a shape: those that always cut, and the minor ones."""
        near = np.sort(self._ways_by_place.query(shape, predicate="intersects"))
        minor = self._minor[near]
        return self._ways[near[~minor]], self._ways[near[minor]]

    def buildings_in(self, shape: Any) -> Shapes:
        """Give the buildings whose box meets that of a shape."""
        return self._buildings[np.sort(self._buildings_by_place.query(shape))]

    def carries(self, graph: topology.Topology) -> npt.NDArray[np.bool_]:
        """Tell the arcs that run on a way for more than half their segments."""
        arc, ends = graph.arc_segments()
        middle = shapely.points(ends.mean(axis=1))
        found = self._ways_by_place.query(middle, predicate="dwithin", distance=_ON_WAY_M)[0]
        on = np.bincount(arc[np.unique(found)], minlength=graph.arcs)
        return 2 * on > np.bincount(arc, minlength=graph.arcs)
