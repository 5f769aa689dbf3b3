"""Rings traced on a field of walks, as polygons, as smoother polygons, and as GeoJSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.catchments import _cells

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]

DEGREE_DECIMALS = 8  # a millimetre; outlines keep a centimetre apart, see _cells.CROSSING_STEPS


@dataclass(frozen=True, eq=False)
class Rings:
    """One area as closed rings.

    Parameters
    ----------
    places : ndarray of float64, shape (v, 2)
        Vertices, each ring ending with its first.
    starts : ndarray of int64, shape (r + 1,)
        Where each ring begins.
    shell_of : ndarray of int32, shape (r,)
        The ring each is a hole of, -1 for a shell.
    area_m2 : float
        What they enclose, in the plane they were made in.
    """

    places: FloatArray
    starts: LongArray
    shell_of: IntArray
    area_m2: float

    @classmethod
    def traced(cls, places: FloatArray, starts: LongArray) -> Rings:
        """Tell the shells, which run counter-clockwise, from the holes."""
        shell_of, area_m2 = _cells.shells(places, starts)
        return cls(places, starts, shell_of, float(area_m2.sum()))

    @classmethod
    def of(cls, area: shapely.MultiPolygon) -> Rings:
        """Take polygons apart; of each the shell comes before its holes."""
        lines: list[Any] = []
        shell_of: list[int] = []
        for part in area.geoms:
            shell = len(lines)
            lines += [part.exterior, *part.interiors]
            shell_of += [-1] + [shell] * len(part.interiors)
        places, ring_of = shapely.get_coordinates(lines, return_index=True)
        starts = np.searchsorted(ring_of, np.arange(len(lines) + 1))
        return cls(places, starts.astype(np.int64), np.array(shell_of, np.int32), area.area)

    def moved(self, places: FloatArray) -> Rings:
        """Give the same rings with other vertices."""
        return Rings(places, self.starts, self.shell_of, self.area_m2)

    def polygon(self) -> shapely.MultiPolygon:
        """Put shells and holes together."""
        return polygons([self])[0]

    def coordinates(self) -> bytes:
        """Give the coordinates of a GeoJSON MultiPolygon; the vertices are degrees."""
        return _cells.coordinates(self.places, self.starts, self.shell_of).tobytes()


def polygons(areas: list[Rings]) -> Any:
    """Put the shells and holes of many areas together, as an array of MultiPolygon."""
    places, sizes, holes, shells_of_area = [], [], [], []
    for area in areas:
        is_hole = area.shell_of >= 0
        number = np.arange(is_hole.size)
        order = np.lexsort((number, is_hole, np.where(is_hole, area.shell_of, number)))
        size = np.diff(area.starts)
        if (order == number).all():
            places.append(area.places)
        else:
            places += [area.places[area.starts[k] : area.starts[k + 1]] for k in order]
        sizes.append(size[order])
        holes.append(is_hole[order])
        shells_of_area.append(np.count_nonzero(~is_hole))
    if not sum(shells_of_area):
        return np.array([shapely.MultiPolygon() for _ in areas], object)
    hole = np.concatenate(holes)
    offsets = (
        np.concatenate(([0], np.cumsum(np.concatenate(sizes)))),
        np.append(np.flatnonzero(~hole), hole.size),
        np.concatenate(([0], np.cumsum(shells_of_area))),
    )
    kind = shapely.GeometryType.MULTIPOLYGON
    return np.asarray(shapely.from_ragged_array(kind, np.concatenate(places), offsets))


def smoothed(areas: list[Any], tolerance_m: float) -> list[Any]:
    """Simplify nested areas together, so that the steps of cells go and the nesting stays.

    The rings between one area and the next are a coverage: GEOS simplifies their shared borders
    once (Visvalingam-Whyatt), and none crosses another.

    Parameters
    ----------
    areas : list of MultiPolygon
        In metres, each inside the next.
    tolerance_m : float
        Corners whose triangle is smaller than the square of this are taken out.
    """
    filled = [number for number, area in enumerate(areas) if not area.is_empty]
    if not filled:
        return areas
    bands, inner = [], shapely.MultiPolygon()
    for number in filled:
        bands.append(shapely.difference(areas[number], inner))
        inner = areas[number]
    plain = shapely.coverage_simplify(np.array(bands, object), tolerance_m)
    result = list(areas)
    for place, number in enumerate(filled):
        result[number] = _parts(shapely.coverage_union_all(plain[: place + 1]))
    return result


def _parts(area: Any) -> shapely.MultiPolygon:
    return shapely.MultiPolygon(
        [part for part in shapely.get_parts(area) if part.geom_type == "Polygon"]
    )
