"""A layer of polygons taken apart into its rings, or refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.coverage._arrays import FloatArray, Geometry, GeometryArray, IntArray
from geo_service.errors import InputError
from geo_service.rings import Rings

_POLYGON, _MULTIPOLYGON = 3, 6


def polygon_array(geometries: Any, *, source: str) -> GeometryArray:
    """Give geometries as an array of (multi)polygons, refusing whatever is not one.

    Parameters
    ----------
    geometries : array_like, GeoSeries, GeoDataFrame or geometry
        Polygons and multipolygons.
    source : str
        What a refusal calls the layer.

    Raises
    ------
    InputError
        ``layer_empty``, ``geometry_missing`` or ``not_polygons``, naming the first such row.
    """
    values = getattr(geometries, "geometry", geometries)
    if isinstance(values, Iterable) and not isinstance(values, np.ndarray):
        array = np.asarray(getattr(values, "values", values), dtype=object)
    else:
        array = np.atleast_1d(np.asarray(values, dtype=object))
    if array.size == 0:
        raise InputError("layer_empty", file=source)
    kinds = shapely.get_type_id(array)
    fine = (kinds == _POLYGON) | (kinds == _MULTIPOLYGON)
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        geometry = cast("Geometry | None", array[row])
        if geometry is None or geometry.is_empty:
            raise InputError("geometry_missing", file=source, row=row + 1)
        raise InputError("not_polygons", file=source, row=row + 1, found=geometry.geom_type)
    return array


def rings_of(geometries: GeometryArray, *, source: str = "grids", trusted: bool = False) -> Rings:
    """Take a layer apart into its rings.

    `trusted` leaves it to the caller to see that coordinates are finite.

    Raises
    ------
    InputError
        ``geometry_missing`` (an empty polygon) or ``coordinate_not_finite``, naming the first row.
    """
    sizes = shapely.get_num_coordinates(geometries)
    if not sizes.all():
        raise InputError("geometry_missing", file=source, row=int(np.argmin(sizes)) + 1)
    xy = shapely.get_coordinates(geometries)
    if not trusted:
        with np.errstate(invalid="ignore", over="ignore"):
            total = xy.sum()
        if not np.isfinite(total):
            _refuse_not_finite(xy, sizes, source)
    # Interior rings of a multipolygon read 0, so its kind is asked too.
    plain = shapely.get_type_id(geometries) == _POLYGON
    several = np.flatnonzero(~plain | (shapely.get_num_interior_rings(geometries) > 0))
    rows = np.arange(len(geometries))
    if not several.size:
        return Rings(xy, _offsets(sizes), rows, np.zeros(len(rows), np.bool_), len(rows))
    # Most grids are one ring each, which need not be taken out one by one.
    parts, part_of = shapely.get_parts(geometries[several], return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    ring_of = part_of[ring_part]
    count = np.ones(len(rows), np.int64)
    count[several] = np.bincount(ring_of, minlength=len(several))
    row = np.repeat(rows, count)
    theirs = np.zeros(len(rows), np.bool_)
    theirs[several] = True
    theirs = theirs[row]
    size = np.empty(len(row), np.int64)
    size[~theirs] = sizes[row[~theirs]]
    size[theirs] = shapely.get_num_coordinates(rings)
    hole = np.zeros(len(row), np.bool_)
    hole[theirs] = np.append(False, ring_part[1:] == ring_part[:-1])
    return Rings(xy, _offsets(size), row, hole, len(rows))


def _offsets(sizes: npt.NDArray[Any]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _refuse_not_finite(xy: FloatArray, sizes: npt.NDArray[Any], source: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if wrong.size:  # else the sum alone overflowed, which is no fault
        row = int(np.searchsorted(np.cumsum(sizes), wrong[0], side="right"))
        raise InputError("coordinate_not_finite", file=source, row=row + 1)
