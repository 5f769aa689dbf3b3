"""What the tiles of one layer are drawn from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.tiles import mvt
from geo_service.tiles.pyramid import Pyramid

MAX_ZOOM = 22
DRAWN_FIELDS = ("code", "name", "kind", "parent_code", "households", "population")
"""What tiles carry of a feature, where the layer has it."""

KEPT_MB = 32
"""Drawn tiles of a layer that are kept."""

_NAMED_BY = {"code", "name"}


class TileSource:
    """The geometries of a layer by zoom, with the columns that tiles carry.

    Parameters
    ----------
    name : str
        Of the layer inside a tile.
    geometries : ndarray of shapely geometry
        In Web Mercator metres.
    executor : Executor
        Where coarser zooms are made.
    tiles : bool
        Whether they are a coverage: then it is simplified as one, and borders stay shared.
    columns : Mapping of str to ndarray
        By row.
    name_points : ndarray of shapely Point, optional
        A point inside each feature, Web Mercator: where its name stands.
    """

    def __init__(
        self,
        name: str,
        geometries: npt.NDArray[np.object_],
        *,
        executor: Executor,
        tiles: bool = False,
        columns: Mapping[str, npt.NDArray[Any]] | None = None,
        name_points: npt.NDArray[np.object_] | None = None,
    ) -> None:
        self.name = name
        self.columns = dict(columns or {})
        self.pyramid = Pyramid(geometries, tiles=tiles, executor=executor)
        self._geometries = geometries
        # Tiles of coarse zooms hold the whole city; a revision never changes, nor do its tiles.
        self._kept: OrderedDict[tuple[int, int, int, int], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._name_points = np.array([], dtype=object) if name_points is None else name_points

    @classmethod
    def of(
        cls, frame: gpd.GeoDataFrame, name: str, *, tiles: bool, executor: Executor
    ) -> TileSource:
        """Make the source of a layer's frame, in any coordinate system."""
        geometries = frame.geometry.to_numpy()
        present = [field for field in DRAWN_FIELDS if field in frame.columns]
        return cls(
            name,
            mvt.to_mercator(geometries, frame.crs),
            executor=executor,
            tiles=tiles,
            columns={field: _plain_column(frame[field]) for field in present},
            name_points=mvt.to_mercator(shapely.point_on_surface(geometries), frame.crs),
        )

    @cached_property
    def bounds(self) -> mvt.Box:
        """Min x, min y, max x, max y, Web Mercator metres."""
        x0, y0, x1, y1 = map(float, shapely.total_bounds(self._geometries))
        return x0, y0, x1, y1

    def tile(self, z: int, x: int, y: int) -> bytes:
        """Draw a tile (north on top); empty where nothing is.

        The features lie in a layer of the source's name; beside it, where there are names,
        ``<name>_names`` holds one point inside each feature.
        """
        key = (self.pyramid.level(z), z, x, y)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = self._draw(z, x, y)
        with self._lock:
            self._kept_bytes += len(data) - len(self._kept.get(key, b""))
            self._kept[key] = data
            while self._kept_bytes > KEPT_MB * 1_000_000:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped)
        return data

    def _draw(self, z: int, x: int, y: int) -> bytes:
        box = mvt.tile_box(z, x, y)
        rows, geometries = self.pyramid.cut(mvt.clip_box(box), z)
        shown = {field: column[rows] for field, column in self.columns.items()}
        layers = [mvt.TileLayer(self.name, geometries, shown)]
        if len(self._name_points):
            layers.append(self._names(box))
        return mvt.encode(layers, box)

    @cached_property
    def _name_tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._name_points)

    def _names(self, box: mvt.Box) -> mvt.TileLayer:
        """The points of names that fall inside the tile itself, so that none is drawn twice."""
        points = self._name_points
        rows = np.sort(self._name_tree.query(shapely.box(*box)))
        x, y = shapely.get_x(points[rows]), shapely.get_y(points[rows])
        rows = rows[(box[0] <= x) & (x < box[2]) & (box[1] < y) & (y <= box[3])]
        named = {name: column[rows] for name, column in self.columns.items() if name in _NAMED_BY}
        return mvt.TileLayer(f"{self.name}_names", points[rows], named)


def _plain_column(column: pd.Series[Any]) -> npt.NDArray[Any]:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype(object).where(column.notna(), None).to_numpy()
    whole = column.notna().all() and (column % 1 == 0).all()
    return column.to_numpy(dtype=np.int64 if whole else np.float64)
