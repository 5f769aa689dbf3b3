"""A certificate that polygons tile an outline: two numbers that are 0 if, and only if, they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geo_service.coverage import _rings, _segments
from geo_service.coverage._arrays import FloatArray
from geo_service.rings import Rings


@dataclass(frozen=True, slots=True)
class Certificate:
    """The sum of all directed border segments, hashed to 128 bits.

    Certificates of the parts of a city add up to the certificate of the city in any order, and one
    is brought up to date after an edit by the edited grids alone.

    Parameters
    ----------
    first, second : int
        Two sums modulo 2^64, of other numbers of each place.
    features : int
        Number of polygons summed.

    Examples
    --------
    >>> import shapely
    >>> left, right = shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)
    >>> outline = shapely.Polygon([(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)])
    >>> whole = certificate([left, right], outline)
    >>> whole.clean
    True
    >>> certificate([left], outline) + certificate([right], None) == whole
    True
    >>> whole.replaced(right, shapely.box(1, 0, 2, 1.001)).clean
    False
    """

    first: int
    second: int
    features: int = 0

    @property
    def clean(self) -> bool:
        """Whether every segment meets its reverse: no gap, no overlap, nothing outside.

        True means so up to a chance of about 2^-116 (see `_segments`), not against a forger. False
        may also mean a harmless vertex that only one of two neighbours has, which `check` tells
        apart. Whether each ring is simple is another question, which `check` answers too.
        """
        return self.first == 0 and self.second == 0

    def __add__(self, other: Certificate) -> Certificate:
        """The certificate of both sets of polygons together."""
        return Certificate(
            (self.first + other.first) % _segments.MODULUS,
            (self.second + other.second) % _segments.MODULUS,
            self.features + other.features,
        )

    def __sub__(self, other: Certificate) -> Certificate:
        """The certificate without the other's polygons."""
        return Certificate(
            (self.first - other.first) % _segments.MODULUS,
            (self.second - other.second) % _segments.MODULUS,
            self.features - other.features,
        )

    def replaced(self, old: Any, new: Any) -> Certificate:
        """Give the certificate after an edit, from the edited polygons alone.

        Parameters
        ----------
        old, new : geometry or sequence of geometries
            The polygons that went and the ones that came; either may be empty.
        """
        return self - _of(old) + _of(new)


def certificate(geometries: Any, outline: Any | None) -> Certificate:
    """Certify that polygons tile an outline, in one pass over their vertices.

    Parameters
    ----------
    geometries : array_like, GeoSeries or Rings
        Polygons and multipolygons, in any order and ring direction.
    outline : geometry, sequence of geometries, or None
        What they must tile: its vertices must include those of the polygons along it. ``None``
        for one part of a city, whose certificate is added to the others'.

    Returns
    -------
    Certificate
        `Certificate.clean` is the answer.

    Raises
    ------
    InputError
        ``layer_empty``, ``geometry_missing``, ``not_polygons`` or ``coordinate_not_finite``.

    Notes
    -----
    Every ring is summed as a chain of directed segments and the outline is subtracted; in an exact
    tiling everything cancels. Linear in the number of vertices; no geometry is built.

    Coordinates are compared bit by bit, as they stand.
    """
    covered = _of(geometries)
    if outline is None:
        return covered
    hull = _of(outline)
    return covered - Certificate(hull.first, hull.second, 0)


def chain(xy: FloatArray) -> Certificate:
    """Sum the directed segments of an open chain, as it runs.

    For whoever keeps an outline up to date: where a vertex is put into it, the chain over the new
    vertex takes the place of the segment.

    Parameters
    ----------
    xy : ndarray, shape (n, 2)
        The chain; the tiling lies on its left.

    Returns
    -------
    Certificate
        Of no features.
    """
    first, second = _segments.digest_chain(np.ascontiguousarray(xy, float))
    return Certificate(first, second, 0)


def _of(geometries: Any) -> Certificate:
    if isinstance(geometries, Rings):
        first, second, _ = _segments.digest(geometries)
        return Certificate(first, second, geometries.features)
    if not hasattr(geometries, "geom_type") and len(geometries) == 0:
        return Certificate(0, 0, 0)
    array = _rings.polygon_array(geometries, source="geometries")
    rings = _rings.rings_of(array, source="geometries", trusted=True)
    first, second, finite = _segments.digest(rings)
    if not finite:
        _rings.rings_of(array, source="geometries")  # refuses, naming the row
    return Certificate(first, second, rings.features)
