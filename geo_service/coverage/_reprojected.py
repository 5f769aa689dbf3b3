"""Slivers that only a change of coordinate system has opened.

A straight border is straight in one plane only. Where one of two neighbours has a vertex on a
border that the other draws as one long line (a T-junction), an exact tiling that is saved in
another system opens: 13 mm on a border of 1 km between EPSG:4490 and EPSG:4547. Such a place has no
width in the system it was drawn in, and that is how it is known.
"""

from __future__ import annotations

import functools

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import ProjError

from geo_service import crs as crs_
from geo_service.coverage._arrays import BoolArray, FloatArray, GeometryArray
from geo_service.coverage._ground import Ground

WIDEST_M = 1.0
"""Wider places are not asked: even a border of 5 km opens by no more than 0.4 m."""

_COLLAPSED = 0.1  # of its slenderness: what a place may keep in the system it was drawn in
_COLLAPSED_ALL = 0.05  # the same for all of them together: coordinates are rounded when saved
_FEW, _COLLAPSED_FEW = 3, 0.01  # fewer might do so by chance


def recognised(
    polygons: GeometryArray, ground: Ground, origin: FloatArray
) -> tuple[str, BoolArray] | None:
    """Tell the system in which most of these narrow places have no width, and which of them.

    Parameters
    ----------
    polygons : ndarray of geometry
        Places of a layer no wider than `WIDEST_M`, relative to `origin`.

    Returns
    -------
    tuple of (str, ndarray of bool), or None
        ``None`` where there is no such system, or the layer's own is not known.
    """
    if len(polygons) == 0 or ground.crs is None:
        return None
    xy, of = shapely.get_coordinates(polygons, return_index=True)
    own = _slenderness(polygons, xy, of)
    best: tuple[str, BoolArray] | None = None
    for system in _candidates(ground):
        try:
            along = _between(crs_.parse_crs(ground.crs).to_wkt(), system)
            x, y = along.transform(xy[:, 0] + origin[0], xy[:, 1] + origin[1], errcheck=True)
        except ProjError:
            continue
        there = _slenderness(polygons, np.column_stack([x, y]), of)
        kept = there / np.maximum(own, 1e-300)
        gone = kept <= (_COLLAPSED_FEW if len(polygons) < _FEW else _COLLAPSED)
        found = int(gone.sum())
        if 2 * found <= len(polygons) or there[gone].sum() > _COLLAPSED_ALL * own[gone].sum():
            continue
        if best is None or found > best[1].sum():
            best = system, gone
    return best


@functools.cache
def _between(own: str, other: str) -> pyproj.Transformer:
    """The way between two systems; finding one takes pyproj longer than the rest of a check."""
    return pyproj.Transformer.from_crs(own, other, always_xy=True)


def _slenderness(polygons: GeometryArray, xy: FloatArray, of: np.ndarray) -> FloatArray:
    """Area by squared perimeter of polygons of these coordinates: no unit, no digits lost."""
    first = xy[np.searchsorted(of, np.arange(len(polygons)))]
    here = shapely.set_coordinates(polygons.copy(), xy - first[of])
    slender: FloatArray = shapely.area(here) / np.maximum(shapely.length(here), 1e-300) ** 2
    return slender


def _candidates(ground: Ground) -> list[str]:
    """Systems a layer may have been drawn in: degrees, the zones around it, web maps."""
    own = crs_.parse_crs(ground.crs)
    base = own.geodetic_crs
    lon, lat = ground.centre
    if not ground.lonlat:
        if base is None:
            return []
        down = _between(own.to_wkt(), base.to_wkt())
        lon, lat = down.transform(lon, lat)
    planes = [crs_.plane_for(lon + east, lat) for east in (0.0, -3.0, 3.0)]
    found = [f"EPSG:{number}" for number in (4490, 4326, 3857, *planes)]
    return [system for system in dict.fromkeys(found) if not crs_.same(system, own)]
