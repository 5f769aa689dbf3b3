"""The ground of the demo city: a crude outline, six counties and how densely people live.

Names, codes, areas, seats and census figures are facts of Xuchang; every line drawn from them is
invented. The ground is a raster, because all that follows needs of it is where to put generators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage

from geo_service import crs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PLANE_EPSG = 4547
"""CGCS2000 / 3-degree Gauss-Krueger CM 114E, the working plane of the demo."""

PIXEL_M = 200.0
OUTSIDE = -1

_CITY_AREA_KM2 = 4_987.6
# Lon, lat: drawn by hand around the box 113.06-114.32 E, 33.69-34.41 N. Not a survey of anything.
_OUTLINE = (
    (113.06, 34.17), (113.10, 34.26), (113.17, 34.33), (113.25, 34.37), (113.33, 34.41),
    (113.42, 34.37), (113.50, 34.33), (113.58, 34.29), (113.66, 34.31), (113.74, 34.33),
    (113.84, 34.345), (113.93, 34.325), (114.02, 34.31), (114.10, 34.27), (114.14, 34.22),
    (114.22, 34.23), (114.28, 34.17), (114.25, 34.09), (114.30, 34.02), (114.32, 33.93),
    (114.28, 33.84), (114.20, 33.78), (114.11, 33.79), (114.05, 33.85), (113.97, 33.83),
    (113.88, 33.79), (113.80, 33.82), (113.74, 33.78), (113.68, 33.72), (113.60, 33.69),
    (113.50, 33.71), (113.42, 33.75), (113.36, 33.82), (113.38, 33.90), (113.36, 33.97),
    (113.27, 34.01), (113.19, 34.05), (113.12, 34.09),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class County:
    """A county of Xuchang: facts, from the census of 2020 and measurements of public outlines."""

    code: str
    name: str
    kind: str
    area_km2: float
    population: int
    seat: tuple[float, float]
    centroid: tuple[float, float]


COUNTIES = (
    County("411002", "魏都区", "区", 88.2, 554_465, (113.8224, 34.0286), (113.8114, 34.0381)),
    County("411003", "建安区", "区", 995.1, 783_475, (113.8370, 34.0066), (113.8249, 34.0451)),
    County("411024", "鄢陵县", "县", 871.2, 547_411, (114.1826, 34.1018), (114.1911, 34.0082)),
    County("411025", "襄城县", "县", 923.3, 674_832, (113.4869, 33.8574), (113.5551, 33.8570)),
    County("411081", "禹州市", "县级市", 1466.3, 1_109_782, (113.4650, 34.1557),
           (113.3794, 34.1958)),
    County("411082", "长葛市", "县级市", 643.6, 710_033, (113.7628, 34.2206),
           (113.8415, 34.2321)),
)  # fmt: skip
"""Weidu first: it lies inside Jian'an, the second."""


@dataclass(frozen=True)
class Territory:
    """The ground as a raster in the working plane.

    Parameters
    ----------
    west_m, north_m : float
        The raster's upper left corner.
    county : ndarray of int, shape (rows, columns)
        Index into `COUNTIES`, or `OUTSIDE`.
    """

    west_m: float
    north_m: float
    county: IntArray

    @property
    def x(self) -> FloatArray:
        """Eastings of the pixel centres, one per column."""
        return self.west_m + (np.arange(self.county.shape[1], dtype=float) + 0.5) * PIXEL_M

    @property
    def y(self) -> FloatArray:
        """Northings of the pixel centres, one per row, north first."""
        return self.north_m - (np.arange(self.county.shape[0], dtype=float) + 0.5) * PIXEL_M


def seats() -> FloatArray:
    """Give the seats of the counties in the working plane, shape (6, 2), metres."""
    return _project([county.seat for county in COUNTIES])


def territory(rng: np.random.Generator) -> Territory:
    """Draw the counties inside the outline.

    Five counties are a power diagram of their centroids whose weights are tuned until the areas are
    right; Weidu is then cut out of Jian'an around its own centroid. Borders are bent by a smooth
    random field, so that none is straight.
    """
    outline = _outline()
    west, south, east, north = outline.bounds
    margin = 12_000.0
    columns = int(np.ceil((east - west + 2 * margin) / PIXEL_M))
    rows = int(np.ceil((north - south + 2 * margin) / PIXEL_M))
    ground = Territory(west - margin, north + margin, np.zeros((rows, columns), np.int64))
    x, y = np.meshgrid(ground.x, ground.y)
    inside = shapely.contains_xy(outline, x + _field(rng, x.shape), y + _field(rng, x.shape))
    bent = np.stack([x + _field(rng, x.shape), y + _field(rng, x.shape)], axis=-1)
    county = np.full(x.shape, OUTSIDE, np.int64)
    county[inside] = _power_cells(bent[inside])
    _cut_out_weidu(county, bent)
    return Territory(ground.west_m, ground.north_m, county)


def _outline() -> shapely.Polygon:
    """The hand-drawn outline, scaled to the city's area."""
    rough = shapely.Polygon(_project(_OUTLINE))
    scale = np.sqrt(_CITY_AREA_KM2 * 1e6 / rough.area)
    return shapely.affinity.scale(rough, scale, scale, origin="centroid")


def _power_cells(points: FloatArray) -> IntArray:
    """Give each point the county of its power cell (weights tuned by the areas)."""
    centres = _project([county.centroid for county in COUNTIES[1:]])
    shares = np.array([county.area_km2 for county in COUNTIES[1:]])
    shares[0] += COUNTIES[0].area_km2  # Weidu is cut out of Jian'an afterwards
    shares /= shares.sum()
    squared = ((points[:, None, :] - centres) ** 2).sum(axis=2)
    weights = np.zeros(len(centres))
    for step in np.geomspace(2e9, 2e7, 120):
        cell = (squared - weights).argmin(axis=1)
        weights += step * (shares - np.bincount(cell, minlength=len(shares)) / len(points))
    return (squared - weights).argmin(axis=1) + 1


def _cut_out_weidu(county: IntArray, points: FloatArray) -> None:
    centre = _project([COUNTIES[0].centroid])[0]
    distance = np.hypot(*np.moveaxis(points - centre, -1, 0))
    distance[county != 1] = np.inf
    pixels = round(COUNTIES[0].area_km2 * 1e6 / PIXEL_M**2)
    nearest = np.argpartition(distance, pixels, axis=None)[:pixels]
    county.flat[nearest] = 0


def _field(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """A smooth random field of about +-1 km, some 6 km from hill to hill."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 12.0, mode="nearest")
    return noise * (800.0 / noise.std())


def _project(lonlat: object) -> FloatArray:
    lon, lat = np.asarray(lonlat, float).T
    return np.column_stack(crs.Plane.of(PLANE_EPSG).forward(lon, lat, datum="wgs84"))
