"""Coordinate systems: CGCS2000 zones, GCJ-02 and BD-09, and telling which one a file is in.

Longitude always comes before latitude and easting before northing here, whatever the authority's
axis order says (EPSG:4490, 4526 and 4547 are northing-first). WGS84 and CGCS2000 differ by less
than the width of any border line and are taken as one datum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyproj

from geo_service.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

DATUMS = ("wgs84", "cgcs2000", "gcj02", "bd09")
"""Datums of longitude and latitude that a query may name."""

WGS84_EPSG = 4326
CGCS2000_EPSG = 4490

# The box the public GCJ-02 formula shifts inside; outside it GCJ-02 equals WGS84.
_CHINA_BOX = (72.004, 0.8293, 137.8347, 55.8271)
# Krasovsky 1940, as in the public formula.
_GCJ_AXIS_M = 6378245.0
_GCJ_E2 = 0.00669342162296594323
_BD_TURN = math.pi * 3000.0 / 180.0

# 3-degree Gauss-Krueger zones of CGCS2000: zone 25 (75 E) .. zone 45 (135 E).
_FIRST_ZONE, _LAST_ZONE = 25, 45
_EPSG_ZONE_25_PREFIXED = 4513
_EPSG_CM_75 = 4534


def parse_datum(text: str) -> str:
    """Give the datum that a text names.

    Parameters
    ----------
    text : str
        One of `DATUMS` in any case, also ``gcj-02`` or ``bd-09``, or an EPSG code (``EPSG:4547``).

    Returns
    -------
    str
        A member of `DATUMS`, or ``EPSG:<code>``.

    Raises
    ------
    InputError
        ``datum_unknown``.

    Examples
    --------
    >>> parse_datum("GCJ-02")
    'gcj02'
    """
    plain = text.strip().lower().replace("-", "").replace("_", "")
    if plain in DATUMS:
        return plain
    if plain in {"epsg:4326", "4326"}:
        return "wgs84"
    if plain in {"epsg:4490", "4490"}:
        return "cgcs2000"
    if plain.startswith("epsg:"):
        return name(parse_crs(plain))
    raise InputError("datum_unknown", datum=text, known=", ".join((*DATUMS, "EPSG:…")))


def parse_crs(crs: Any) -> pyproj.CRS:
    """Give the coordinate system that a text, a number or a CRS object names.

    Raises
    ------
    InputError
        ``crs_unknown``.
    """
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise InputError("crs_unknown", crs=crs) from error


@lru_cache(maxsize=256)
def _epsg(wkt: str) -> int | None:
    crs = pyproj.CRS.from_wkt(wkt)
    number = crs.to_epsg(min_confidence=20)
    # An authority's own WKT is matched at once; a .prj by resemblance, which needs a second look.
    if number is None or crs.to_epsg(min_confidence=100) == number:
        return number
    return number if _same_numbers(crs, pyproj.CRS.from_epsg(number)) else None


def _same_numbers(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Tell whether two systems project by the same constants from the same ellipsoid."""
    mine, theirs = _constants(one), _constants(other)
    return mine.keys() == theirs.keys() and all(
        math.isclose(value, theirs[name], rel_tol=1e-8, abs_tol=1e-9)
        for name, value in mine.items()
    )


def _constants(crs: pyproj.CRS) -> dict[str, float]:
    """Ellipsoid and projection in metres and degrees, by name."""
    ellipsoid = crs.ellipsoid
    shape = (ellipsoid.semi_major_metre, ellipsoid.inverse_flattening) if ellipsoid else ()
    operation = crs.coordinate_operation
    projection = {} if operation is None else {p.name: float(p.value) for p in operation.params}
    return {
        **dict(zip(("semi-major axis", "inverse flattening"), shape, strict=False)),
        **projection,
    }


def epsg(crs: Any) -> int | None:
    """Give the EPSG number of a coordinate system, or ``None``.

    Systems must be compared by this number: an ESRI .prj of CM 114E resolves to 4547 and yet is not
    equal to ``CRS(4547)``, whose axes are the other way round.
    """
    return _epsg(parse_crs(crs).to_wkt())


def unit_m(crs: Any) -> float:
    """Metres in a unit of a projected system: 1, or 0.3048 and the like for feet.

    Examples
    --------
    >>> unit_m("EPSG:4547"), round(unit_m("EPSG:2232"), 6)
    (1.0, 0.304801)
    """
    axes = parse_crs(crs).axis_info
    return float(axes[0].unit_conversion_factor) if axes else 1.0


def name(crs: Any) -> str:
    """Name a coordinate system for people and answers: ``EPSG:4547`` where it has a number.

    Examples
    --------
    >>> name(4547)
    'EPSG:4547'
    """
    number = epsg(crs)
    return f"EPSG:{number}" if number else parse_crs(crs).name


def same(one: Any, other: Any) -> bool:
    """Tell whether two coordinate systems are one for drawing purposes (axis order apart)."""
    first, second = parse_crs(one), parse_crs(other)
    if first.equals(second, ignore_axis_order=True):
        return True
    left, right = epsg(first), epsg(second)
    if left is not None and left == right:
        return True
    return {left, right} == {WGS84_EPSG, CGCS2000_EPSG}


def is_lonlat(crs: Any) -> bool:
    """Tell whether coordinates are longitudes and latitudes in degrees."""
    return bool(parse_crs(crs).is_geographic)


def gauss_kruger(lon: float, *, prefixed: bool = False) -> int:
    """Give the EPSG number of the CGCS2000 3-degree zone of a longitude.

    Parameters
    ----------
    lon : float
        Longitude in degrees.
    prefixed : bool
        The zone with its number before the easting (4526) instead of the plain one (4547).

    Examples
    --------
    >>> gauss_kruger(113.85), gauss_kruger(113.85, prefixed=True)
    (4547, 4526)
    """
    zone = min(max(round(lon / 3.0), _FIRST_ZONE), _LAST_ZONE)
    first = _EPSG_ZONE_25_PREFIXED if prefixed else _EPSG_CM_75
    return first + zone - _FIRST_ZONE


def plane_for(lon: float, lat: float) -> int:
    """Give the EPSG number of a metric plane good for one city at a place.

    Inside China it is the CGCS2000 3-degree zone, elsewhere the UTM zone of WGS84.
    """
    west, south, east, north = 73.5, 3.0, 136.5, 54.0
    if west <= lon <= east and south <= lat <= north:
        return gauss_kruger(lon)
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    return (32600 if lat >= 0 else 32700) + zone


def swapped(bounds: tuple[float, float, float, float]) -> bool:
    """Tell whether x and y of a layer's bounds look exchanged (latitude first, in China)."""
    x0, y0, x1, y1 = bounds
    return 3 <= x0 <= x1 <= 54 and 73 <= y0 <= y1 <= 136


def check_lonlat(lon: npt.ArrayLike, lat: npt.ArrayLike) -> None:
    """Refuse what can't be a longitude and latitude, naming the first offender.

    Raises
    ------
    InputError
        ``lonlat_swapped`` where exchanging the two would mend it, else ``lonlat_out_of_range``.
    """
    if isinstance(lon, float) and isinstance(lat, float) and abs(lon) <= 180 and abs(lat) <= 90:
        return  # one point, the common question, at a tenth of the price of arrays
    x, y = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    with np.errstate(invalid="ignore"):
        wrong = ~((np.abs(x) <= 180.0) & (np.abs(y) <= 90.0))
    if not wrong.any():
        return
    at = int(np.flatnonzero(wrong)[0])
    mendable = abs(y[at]) <= 180.0 and abs(x[at]) <= 90.0
    raise InputError(
        "lonlat_swapped" if mendable else "lonlat_out_of_range", x=float(x[at]), y=float(y[at])
    )


def to_wgs84(
    lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str
) -> tuple[FloatArray, FloatArray]:
    """Bring longitudes and latitudes of a datum to WGS84 (= CGCS2000).

    Parameters
    ----------
    lon, lat : array_like
        Degrees, in `datum`. For an EPSG datum: its x and y.
    datum : str
        A member of `DATUMS`, or an EPSG code.

    Returns
    -------
    tuple of ndarray
        Longitudes and latitudes, WGS84. GCJ-02 and BD-09 are inverted by iteration to 1e-12 degree.
    """
    x, y = np.asarray(lon, float), np.asarray(lat, float)
    kind = parse_datum(datum)
    if kind.startswith("EPSG:"):
        to = _transformer(kind, f"EPSG:{WGS84_EPSG}")
        east, north = to.transform(x, y)
        return np.asarray(east, float), np.asarray(north, float)
    check_lonlat(lon, lat)
    if kind == "bd09":
        x, y = _bd09_to_gcj02(x, y)
    if kind in {"bd09", "gcj02"}:
        return _gcj02_to_wgs84(x, y)
    return x, y


def from_wgs84(
    lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str
) -> tuple[FloatArray, FloatArray]:
    """Bring WGS84 longitudes and latitudes to a datum; the inverse of `to_wgs84`."""
    x, y = np.asarray(lon, float), np.asarray(lat, float)
    kind = parse_datum(datum)
    if kind.startswith("EPSG:"):
        east, north = _transformer(f"EPSG:{WGS84_EPSG}", kind).transform(x, y)
        return np.asarray(east, float), np.asarray(north, float)
    if kind in {"bd09", "gcj02"}:
        x, y = _wgs84_to_gcj02(x, y)
    return _gcj02_to_bd09(x, y) if kind == "bd09" else (x, y)


def placed(table: pd.DataFrame, plane: Any, *, datum: str) -> gpd.GeoDataFrame:
    """Give a table with ``lon`` and ``lat`` as points in a plane.

    Parameters
    ----------
    table : DataFrame
        Degrees of `datum`; its other columns stay.
    plane : Any
        What names a metric coordinate system.
    datum : str
        As `Plane.forward` takes it.
    """
    import geopandas as gpd  # most of those who convert a coordinate have no use for it

    x, y = Plane.of(plane).forward(table["lon"], table["lat"], datum=datum)
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x, y), crs=plane)


@dataclass(frozen=True)
class Plane:
    """A metric plane, and the fast way from longitude and latitude into it.

    Any transverse Mercator system (Gauss-Krueger zones, UTM) is projected by the Krueger series to
    the sixth order, which agrees with pyproj to better than 1e-6 m within 10 degrees of the central
    meridian; every other system goes through pyproj.

    Parameters
    ----------
    crs : pyproj.CRS
        The system of the plane. A geographic one is taken as a plane of degrees.
    """

    crs: pyproj.CRS

    @classmethod
    def of(cls, crs: Any) -> Plane:
        """The plane of anything that names a coordinate system."""
        return _plane(parse_crs(crs).to_wkt())

    @property
    def name(self) -> str:
        """``EPSG:4547`` or the like."""
        return name(self.crs)

    def forward(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str
    ) -> tuple[FloatArray, FloatArray]:
        """Bring coordinates of a datum into this plane.

        Parameters
        ----------
        lon, lat : array_like
            Degrees in `datum`; for an EPSG datum its x and y.
        datum : str
            A member of `DATUMS`, or an EPSG code.

        Returns
        -------
        tuple of ndarray
            x (easting) and y (northing), in the plane's unit.
        """
        if datum.upper().startswith("EPSG:") and same(datum, self.crs):
            return np.asarray(lon, float), np.asarray(lat, float)
        x, y = to_wgs84(lon, lat, datum=datum)
        if self._lonlat:
            return x, y
        series = self._series
        if series is None:
            east, north = _transformer(f"EPSG:{WGS84_EPSG}", self.crs.to_wkt()).transform(x, y)
            return np.asarray(east, float), np.asarray(north, float)
        from geo_service._gauss_kruger import forward

        flat_x, flat_y = np.ascontiguousarray(x).ravel(), np.ascontiguousarray(y).ravel()
        east, north = forward(flat_x, flat_y, series)
        return east.reshape(x.shape), north.reshape(y.shape)

    def inverse(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, datum: str = "wgs84"
    ) -> tuple[FloatArray, FloatArray]:
        """Bring coordinates of this plane to longitudes and latitudes of a datum."""
        easting, northing = np.asarray(x, float), np.asarray(y, float)
        if datum.upper().startswith("EPSG:") and same(datum, self.crs):
            return easting, northing
        if not self._lonlat:
            back = _transformer(self._wkt, f"EPSG:{WGS84_EPSG}")
            lon, lat = back.transform(easting, northing)
            easting, northing = np.asarray(lon, float), np.asarray(lat, float)
        return from_wgs84(easting, northing, datum=datum)

    # Asking pyproj again would cost a single lookup more than the lookup itself.

    @cached_property
    def _wkt(self) -> str:
        return self.crs.to_wkt()

    @cached_property
    def _lonlat(self) -> bool:
        return is_lonlat(self.crs)

    @cached_property
    def _series(self) -> FloatArray | None:
        return _krueger(self.crs.to_wkt())


@lru_cache(maxsize=64)
def _plane(wkt: str) -> Plane:
    return Plane(pyproj.CRS.from_wkt(wkt))


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=64)
def _krueger(wkt: str) -> FloatArray | None:
    """Series constants of a transverse Mercator system, or ``None`` where it is another projection.

    [lon0 in degrees, scaled rectifying radius, eccentricity, false easting, false northing,
    alpha_1 .. alpha_6]; Karney 2011, "Transverse Mercator with an accuracy of a few nanometers",
    equation 35.
    """
    crs = pyproj.CRS.from_wkt(wkt)
    if (
        crs.coordinate_operation is None
        or crs.coordinate_operation.method_name != "Transverse Mercator"
    ):
        return None
    # Only datums that coincide with WGS84 to a few centimetres may skip the datum shift.
    if crs.geodetic_crs is None or crs.geodetic_crs.to_epsg() not in {WGS84_EPSG, CGCS2000_EPSG}:
        return None
    values = {p.name: float(p.value) for p in crs.coordinate_operation.params}
    if values["Latitude of natural origin"] != 0.0 or crs.ellipsoid is None:
        return None
    f = 1.0 / crs.ellipsoid.inverse_flattening
    n = f / (2.0 - f)
    radius = crs.ellipsoid.semi_major_metre / (1.0 + n) * (1.0 + n**2 / 4 + n**4 / 64 + n**6 / 256)
    alpha = (
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180 - 127 * n**5 / 288
        + 7891 * n**6 / 37800,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440 + 281 * n**5 / 630
        - 1983433 * n**6 / 1935360,
        61 * n**3 / 240 - 103 * n**4 / 140 + 15061 * n**5 / 26880 + 167603 * n**6 / 181440,
        49561 * n**4 / 161280 - 179 * n**5 / 168 + 6601661 * n**6 / 7257600,
        34729 * n**5 / 80640 - 3418889 * n**6 / 1995840,
        212378941 * n**6 / 319334400,
    )  # fmt: skip
    scale = values["Scale factor at natural origin"]
    return np.array(
        [
            values["Longitude of natural origin"],
            scale * radius,
            math.sqrt(f * (2.0 - f)),
            values["False easting"],
            values["False northing"],
            *alpha,
        ]
    )


def _gcj_shift(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Degrees that GCJ-02 adds to a WGS84 position (the public formula)."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    wave = (20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave
    north += (20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi / 3.0 * y)) * 2.0 / 3.0
    north += (160.0 * np.sin(np.pi / 12.0 * y) + 320.0 * np.sin(np.pi / 30.0 * y)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave
    east += (20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi / 3.0 * x)) * 2.0 / 3.0
    east += (150.0 * np.sin(np.pi / 12.0 * x) + 300.0 * np.sin(np.pi / 30.0 * x)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _GCJ_E2 * np.sin(phi) ** 2
    d_lat = north * 180.0 / (_GCJ_AXIS_M * (1.0 - _GCJ_E2) / (magic * np.sqrt(magic)) * np.pi)
    d_lon = east * 180.0 / (_GCJ_AXIS_M / np.sqrt(magic) * np.cos(phi) * np.pi)
    west, south, east_end, north_end = _CHINA_BOX
    inside = (west <= lon) & (lon <= east_end) & (south <= lat) & (lat <= north_end)
    return np.where(inside, d_lon, 0.0), np.where(inside, d_lat, 0.0)


def _wgs84_to_gcj02(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    d_lon, d_lat = _gcj_shift(lon, lat)
    return lon + d_lon, lat + d_lat


def _gcj02_to_wgs84(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, y = lon, lat
    for _ in range(12):  # contracts about 100-fold a round: 12 rounds pass double precision
        d_lon, d_lat = _gcj_shift(x, y)
        next_x, next_y = lon - d_lon, lat - d_lat
        moved = max(np.abs(next_x - x).max(initial=0.0), np.abs(next_y - y).max(initial=0.0))
        x, y = next_x, next_y
        if moved < 1e-12:
            break
    return x, y


def _gcj02_to_bd09(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    z = np.sqrt(lon * lon + lat * lat) + 0.00002 * np.sin(lat * _BD_TURN)
    theta = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_TURN)
    return z * np.cos(theta) + 0.0065, z * np.sin(theta) + 0.006


def _bd09_to_gcj02(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, y = lon - 0.0065, lat - 0.006
    for _ in range(12):
        back_lon, back_lat = _gcj02_to_bd09(x, y)
        d_lon, d_lat = lon - back_lon, lat - back_lat
        x, y = x + d_lon, y + d_lat
        if max(np.abs(d_lon).max(initial=0.0), np.abs(d_lat).max(initial=0.0)) < 1e-12:
            break
    return x, y
