"""Coordinate systems a collection is offered in, named by URI, with the authority's axis order.

OGC API - Features, Part 2: coordinates are written in the order that the system's definition says.
CRS84 is longitude first; EPSG:4326 and EPSG:4490 are latitude first; the CGCS2000 zones (EPSG:4547,
EPSG:4526) are northing first; EPSG:3857 is easting first. Inside the service x is always east.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import crs
from geo_service.errors import InputError, Phrase

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/"
_MERCATOR_EPSG = 3857
_FIRST_PLAIN_ZONE, _LAST_PLAIN_ZONE, _TO_PREFIXED = 4534, 4554, -21
_EPSG_NAMED = re.compile(
    r"(?:https?://www\.opengis\.net/def/crs/EPSG/[\d.]+/|urn:ogc:def:crs:EPSG:[\d.]*:|\[?EPSG:)"
    r"(\d{4,6})\]?",
    re.IGNORECASE,
)
_CRS84_NAMED = re.compile(
    r"https?://www\.opengis\.net/def/crs/OGC/(?:1\.3|0)/CRS84|urn:ogc:def:crs:OGC:[\d.]*:CRS84"
    r"|\[?(?:OGC:)?CRS84\]?",
    re.IGNORECASE,
)

Geometries = npt.NDArray[np.object_]


@dataclass(frozen=True)
class System:
    """A coordinate system as clients name it.

    Parameters
    ----------
    uri : str
        As it stands in ``crs`` lists and the ``Content-Crs`` header.
    epsg : int
        Its EPSG number; that of CRS84 is 4326.
    north_first : bool
        Whether its first coordinate is a latitude or northing.
    """

    uri: str
    epsg: int
    north_first: bool

    def written(self, geometries: Geometries) -> Geometries:
        """Give geometries with x east as the system wants them written; also the way back."""
        if not self.north_first:
            return geometries
        return np.asarray(shapely.transform(geometries, lambda xy: xy[:, ::-1]))


@lru_cache(maxsize=64)
def of_epsg(number: int) -> System:
    """Give the system of an EPSG number.

    Examples
    --------
    >>> of_epsg(4547).north_first, of_epsg(3857).north_first
    (True, False)
    """
    first = crs.parse_crs(number).axis_info[0].direction
    return System(f"{_EPSG_URI}{number}", number, first == "north")


LONLAT = System(CRS84, crs.WGS84_EPSG, north_first=False)


@lru_cache(maxsize=64)
def offered(plane_epsg: int | None) -> dict[str, System]:
    """Give the systems a store's layers are offered in: CRS84 first, then its own plane.

    Parameters
    ----------
    plane_epsg : int or None
        The EPSG number of the store's plane.
    """
    numbers = [crs.WGS84_EPSG, crs.CGCS2000_EPSG, _MERCATOR_EPSG]
    if plane_epsg is not None:
        numbers = [plane_epsg, *(n for n in _other_zone_form(plane_epsg)), *numbers]
    found = {CRS84: LONLAT}
    for number in numbers:
        system = of_epsg(number)
        found.setdefault(system.uri, system)
    return found


def find(text: str, plane_epsg: int | None, *, name: str) -> System:
    """Give the offered system that a request names, by URI, URN or ``EPSG:4547``.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    there = offered(plane_epsg)
    if _CRS84_NAMED.fullmatch(text):
        return there[CRS84]
    number = _EPSG_NAMED.fullmatch(text)
    uri = f"{_EPSG_URI}{number[1]}" if number else ""
    if uri not in there:
        reason = Phrase("可用的有 " + ", ".join(there), "offered are " + ", ".join(there))
        raise InputError("parameter_invalid", name=name, value=text, reason=reason)
    return there[uri]


def _other_zone_form(number: int) -> list[int]:
    """The same CGCS2000 zone with or without its number before the easting (4547 and 4526)."""
    if _FIRST_PLAIN_ZONE <= number <= _LAST_PLAIN_ZONE:
        return [number + _TO_PREFIXED]
    if _FIRST_PLAIN_ZONE <= number - _TO_PREFIXED <= _LAST_PLAIN_ZONE:
        return [number - _TO_PREFIXED]
    return []
