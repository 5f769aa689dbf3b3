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
from geo_service.coverage import _arrays
from geo_service.coverage._arrays import BoolArray, FloatArray, GeometryArray, IntArray
from geo_service.coverage._ground import Ground
from geo_service.coverage._places import Lines

WIDEST_M = 1.0
"""Wider places are not asked: even a border of 5 km opens by no more than 0.4 m."""

_BEND = 1e-7  # 1/m: a border of length l opens by less than this times l^2; 1.3e-8 at Xuchang
_COLLAPSED = 0.1  # of its slenderness: what a place may keep in the system it was drawn in
_COLLAPSED_ALL = 0.05  # the same for all of them together: coordinates are rounded when saved
_FEW, _COLLAPSED_FEW = 3, 0.01  # fewer might do so by chance


def recognised(
    polygons: GeometryArray, lines: Lines, ground: Ground, origin: FloatArray
) -> tuple[str, BoolArray] | None:
    """Tell the system in which most of these narrow places have no width, and which of them.

    Corners of a place are vertices of the layer, or crossings of its segments. In another system
    only the vertices are known, so a corner is taken along its segment between the vertices.

    Parameters
    ----------
    polygons : ndarray of geometry
        Places of a layer no wider than `WIDEST_M`, relative to `origin`.
    lines : Lines
        The segments they lie between.

    Returns
    -------
    tuple of (str, ndarray of bool), or None
        ``None`` where there is no such system, or the layer's own is not known.
    """
    if len(polygons) == 0 or ground.crs is None:
        return None
    area_m2, width_m = ground.measure(polygons, origin=origin)
    length_m = area_m2 / np.maximum(width_m, 1e-300)  # half the perimeter
    if 2 * np.count_nonzero(width_m <= _BEND * length_m**2) <= len(polygons):
        return None  # before any system is built, which takes longer than the check
    xy, of = shapely.get_coordinates(polygons, return_index=True)
    if 2 * np.count_nonzero(_at_shared_vertex(xy, of, lines)) <= len(polygons):
        return None  # borders rounded grid by grid: what is converted keeps vertices together
    own = _slenderness(polygons, xy, of)
    start, end, along = _carriers(xy, lines)
    ends = np.concatenate([start, end]) + origin
    best: tuple[str, BoolArray] | None = None
    for system in _candidates(ground):
        try:
            towards = _between(crs_.parse_crs(ground.crs).to_wkt(), system)
            x, y = towards.transform(ends[:, 0], ends[:, 1], errcheck=True)
        except ProjError:
            continue
        a, b = np.split(np.column_stack([x, y]), 2)
        there = _slenderness(polygons, a + along[:, None] * (b - a), of)
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


def _at_shared_vertex(xy: FloatArray, of: IntArray, lines: Lines) -> BoolArray:
    """Tell which places have a corner where two rows have the very same vertex."""
    segment, row = lines.owners(np.arange(len(lines.segments)))
    ends = lines.segments[segment].reshape(-1, 2)
    _, number = _arrays.numbered(np.concatenate([ends, xy]))
    vertex, corner = np.split(number, [len(ends)])
    owner = np.unique(np.column_stack([vertex, np.repeat(row, 2)]), axis=0)
    several = np.bincount(owner[:, 0], minlength=len(number)) > 1
    return np.bincount(of, several[corner]) > 0


def _carriers(xy: FloatArray, lines: Lines) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The ends of a segment that each corner lies on, and how far along it, 0 to 1."""
    start, end, along = xy.copy(), xy.copy(), np.zeros(len(xy))
    corner, segment = lines.near(xy)
    corner, first = np.unique(corner, return_index=True)
    a, b = np.split(lines.segments[segment[first]], 2, axis=1)
    step = b - a
    start[corner], end[corner] = a, b
    along[corner] = ((xy[corner] - a) * step).sum(axis=1) / (step**2).sum(axis=1)
    return start, end, along


def _slenderness(polygons: GeometryArray, xy: FloatArray, of: IntArray) -> FloatArray:
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
