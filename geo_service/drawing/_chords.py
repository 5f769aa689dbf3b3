"""Where lines run through a polygon from border to border, or close a ring inside it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

FloatArray = npt.NDArray[np.float64]


def chords(polygon: Any, line: Any) -> list[FloatArray]:
    """Give the stretches of a line that run through a polygon from border to border.

    A closed stretch that stays inside is given closed, its first point repeated.

    Parameters
    ----------
    polygon : shapely Polygon or MultiPolygon
        What the line crosses.
    line : shapely LineString, LinearRing or MultiLineString
        Dead ends, and what runs along the border, are left out.

    Returns
    -------
    list of ndarray, each of shape (n, 2)
    """
    border = polygon.boundary
    touch = max(1e-9, 1e-12 * float(np.abs(polygon.bounds).max()))
    found = []
    inside = shapely.intersection(line, polygon)
    if inside.geom_type != "LineString":
        inside = shapely.line_merge(inside)
    for part in shapely.get_parts(inside):
        if shapely.get_dimensions(part) != 1 or part.is_empty:
            continue
        xy = shapely.get_coordinates(part)
        touches = np.flatnonzero(shapely.distance(shapely.points(xy), border) <= touch)
        if (xy[0] == xy[-1]).all():
            if len(touches) == 0:
                found.append(xy)
                continue
            xy = np.concatenate([xy[touches[0] : -1], xy[: touches[0] + 1]])
            touches = np.flatnonzero(shapely.distance(shapely.points(xy), border) <= touch)
        for i, j in pairwise(touches):
            middle = shapely.LineString(xy[i : j + 1]).interpolate(0.5, normalized=True)
            if shapely.distance(middle, border) > touch:
                found.append(xy[i : j + 1])
    return found
