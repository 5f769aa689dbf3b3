"""Metres and square metres of shapes that stand in a file's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from geo_service import crs as crs_
from geo_service.coverage._arrays import FloatArray, GeometryArray

# WGS 84 (EPSG:7030); CGCS2000 differs by a tenth of a millimetre.
_AXIS_M = 6_378_137.0
_E2 = 0.0066943799901413165
_NOISE_ULPS = 8.0


@dataclass(frozen=True)
class Ground:
    """How a file's coordinates relate to the ground.

    In a plane, lengths are planar, times the metres of its unit. Degrees are measured by the radii
    of the ellipsoid at each shape's own latitude, so areas are true ellipsoidal areas to the second
    order of the shape's size.

    Parameters
    ----------
    crs : Any or None
        The coordinate system, where it is known.
    lonlat : bool
        Whether the coordinates are degrees.
    unit_m : float
        Metres of one unit of a plane.
    centre : tuple of float
        The middle of the layer, in its coordinates.
    noise : float
        The rounding of its coordinates: nothing narrower can be told from nothing.
    """

    crs: Any | None
    lonlat: bool
    unit_m: float
    centre: tuple[float, float]
    noise: float

    @classmethod
    def of(cls, crs: Any | None, bounds: FloatArray) -> Ground:
        """The ground of a layer with these bounds; without a system, the digits tell degrees."""
        x0, y0, x1, y1 = (float(v) for v in bounds)
        if crs is None:
            lonlat = -180.0 <= x0 <= x1 <= 180.0 and -90.0 <= y0 <= y1 <= 90.0
            unit_m = 1.0
        else:
            lonlat = crs_.is_lonlat(crs)
            unit_m = 1.0 if lonlat else crs_.unit_m(crs)
        noise = _NOISE_ULPS * float(np.spacing(np.abs(bounds).max()))
        return cls(crs, lonlat, unit_m, ((x0 + x1) / 2, (y0 + y1) / 2), noise)

    def unit_area_m2(self, y: Any = None) -> Any:
        """Square metres of one square unit at y."""
        if not self.lonlat:
            return self.unit_m**2
        east, north = _degree_m(self.centre[1] if y is None else y)
        return east * north

    @property
    def squeeze(self) -> float:
        """Length of a unit of x in units of y at the layer's middle."""
        if not self.lonlat:
            return 1.0
        east, north = _degree_m(self.centre[1])
        return float(east / north)

    @property
    def north_m(self) -> float:
        """Metres of one unit of y."""
        return float(_degree_m(self.centre[1])[1]) if self.lonlat else self.unit_m

    @property
    def noise_m(self) -> float:
        """`noise` in metres."""
        return self.noise * self.north_m

    def in_metres(self, shapes: GeometryArray, *, origin: Any = (0.0, 0.0)) -> GeometryArray:
        """Give shapes with coordinates in metres, each from its own middle.

        `origin` is where the shapes' coordinates are counted from.
        """
        if not self.lonlat and self.unit_m == 1.0:
            return shapes
        box = shapely.bounds(shapes)
        middle = (box[:, :2] + box[:, 2:]) / 2
        scale = np.full_like(middle, self.unit_m)
        if self.lonlat:
            scale = np.column_stack(_degree_m(middle[:, 1] + origin[1]))
        xy, of = shapely.get_coordinates(shapes, return_index=True)
        return shapely.set_coordinates(shapes.copy(), (xy - middle[of]) * scale[of])

    def measure(
        self, shapes: GeometryArray, *, origin: Any = (0.0, 0.0)
    ) -> tuple[FloatArray, FloatArray]:
        """Give areas (m2) and mean widths (m): 2 x area / perimeter."""
        metric = self.in_metres(shapes, origin=origin)
        area, perimeter = shapely.area(metric), shapely.length(metric)
        return area, 2.0 * area / np.where(perimeter > 0.0, perimeter, 1.0)


def _degree_m(latitude: Any) -> tuple[FloatArray, FloatArray]:
    """Metres of a degree of longitude and of latitude (radii N cos(phi) and M of the ellipsoid)."""
    phi = np.radians(np.asarray(latitude, float))
    w2 = 1.0 - _E2 * np.sin(phi) ** 2
    east = _AXIS_M / np.sqrt(w2) * np.cos(phi)
    north = _AXIS_M * (1.0 - _E2) / (w2 * np.sqrt(w2))
    return np.radians(1.0) * east, np.radians(1.0) * north
