"""Point -> grid: `Locator` answers which grid holds a point, exactly, and how sure that is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from geo_service import codes, crs, georeference
from geo_service.errors import InputError, Phrase
from geo_service.locate import cells, kernels
from geo_service.locate import distances as far

FloatArray = npt.NDArray[np.float64]

_POLYGONS = {3: "Polygon", 6: "MultiPolygon"}  # shapely's type numbers


@dataclass(frozen=True, slots=True)
class Located:
    """Which grid holds each of some points; a single point is an array of one.

    Parameters
    ----------
    rows : ndarray of int64
        Row of the grid in the layer the locator was made of; -1 outside.
    codes : ndarray of str
        Its code; ``""`` outside.
    border_distance_m : ndarray of float64
        Metres to the nearest border of that grid; outside, to the nearest grid. Empty where
        distances were not asked for.
    runner_up : ndarray of str
        Code of the nearest other grid: what the answer would be if the point were wrong.
    runner_up_distance_m : ndarray of float64
        Metres to the runner-up; 0 on a shared border and where grids overlap.
    """

    rows: npt.NDArray[np.int64]
    codes: npt.NDArray[np.str_]
    border_distance_m: FloatArray
    runner_up: npt.NDArray[np.str_]
    runner_up_distance_m: FloatArray

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Whether some grid holds each point."""
        return self.rows >= 0

    def __len__(self) -> int:
        return int(self.rows.size)


class Locator:
    """The grids of a layer, indexed for lookup by point.

    Exact at every point of the plane: a two-level cell index narrows a point to the few edges near
    it, and an exact orientation test decides. A point on a border belongs to the touching grid with
    the smallest code in text order, whatever the order of the features. In a faulty layer the
    smallest code among overlapping grids answers, and a gap is outside.

    Distances are planar in the layer's plane; in a layer of longitudes and latitudes they are taken
    in the tangent plane of the ellipsoid at the point (error below 1e-3 of the distance within
    10 km).

    Parameters
    ----------
    grids : GeoDataFrame
        Polygons or multipolygons with a code column and a coordinate system.
    code_field : str
        The column of codes.

    Raises
    ------
    InputError
        ``crs_missing``, ``field_missing``, ``not_polygons`` or ``coordinate_not_finite``.

    Examples
    --------
    >>> import geopandas, shapely
    >>> grids = geopandas.GeoDataFrame(
    ...     {"code": ["A", "B"]},
    ...     geometry=[shapely.box(113.0, 34.0, 113.1, 34.1), shapely.box(113.1, 34.0, 113.2, 34.1)],
    ...     crs="EPSG:4490",
    ... )
    >>> found = Locator(grids).locate([113.05, 113.1, 113.15, 113.3], 34.05)
    >>> found.codes.tolist()
    ['A', 'A', 'B', '']
    >>> found.border_distance_m.round(1).tolist()
    [4616.5, 0.0, 4616.5, 9233.1]
    """

    def __init__(self, grids: Any, *, code_field: str = "code") -> None:
        self.crs = _crs_of(grids)
        if code_field not in grids.columns:
            found = ", ".join(map(str, grids.columns))
            raise InputError("field_missing", file="grids", field=code_field, found=found)
        texts = np.array([*codes.texts(grids[code_field]), ""], dtype=np.str_)
        # Stable, so that rows sharing a code keep their order.
        order = np.argsort(texts[:-1], kind="stable")
        self._row_of = np.append(order, -1)
        self._code_of = np.append(texts[:-1][order], "")
        self._cells = _index(np.asarray(grids.geometry.values), order)
        self._degrees = crs.is_lonlat(self.crs)
        self._plane = crs.Plane.of(self.crs)

    def __len__(self) -> int:
        return self._row_of.size - 1

    def __repr__(self) -> str:
        return f"<Locator {len(self)} grids, {self.crs}>"

    @property
    def nbytes(self) -> int:
        """Memory the index takes, bytes."""
        return self._cells.nbytes + self._row_of.nbytes + self._code_of.nbytes

    def locate(
        self,
        lon: npt.ArrayLike,
        lat: npt.ArrayLike,
        *,
        datum: str | None = None,
        distances: bool = True,
    ) -> Located:
        """Tell which grid holds each point.

        Parameters
        ----------
        lon, lat : float or array_like
            Degrees; one may be a single value beside an array.
        datum : str, optional
            Datum of the points (`geo_service.crs.parse_datum`). By default that of the layer, which
            for CGCS2000 and WGS84 is one and the same.
        distances : bool
            Whether to measure distances too, which takes several times as long as the answer.

        Returns
        -------
        Located

        Raises
        ------
        InputError
            ``lonlat_swapped``, ``lonlat_out_of_range`` or ``datum_unknown``.
        """
        return self.locate_xy(*self._project(lon, lat, datum), distances=distances)

    def locate_lonlat(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str, distances: bool = True
    ) -> Located:
        """Do as `locate`, with the datum always named."""
        return self.locate(lon, lat, datum=datum, distances=distances)

    def locate_xy(self, x: npt.ArrayLike, y: npt.ArrayLike, *, distances: bool = True) -> Located:
        """Tell which grid holds each point given in the layer's own coordinates.

        A coordinate that is not a finite number is outside, at no distance from anything.
        """
        if distances and np.ndim(x) == np.ndim(y) == 0:
            return self._locate_one(float(x), float(y))  # type: ignore[arg-type]
        xs, ys = _points(x, y)
        ranks = self._ranks(xs, ys)
        if not distances:
            nothing = np.empty(0)
            return Located(
                self._row_of[ranks], self._code_of[ranks], nothing, self._code_of[:0], nothing
            )
        border_m, others, other_m = self._distances(xs, ys, ranks)
        return Located(
            self._row_of[ranks], self._code_of[ranks], border_m, self._code_of[others], other_m
        )

    def _locate_one(self, x: float, y: float) -> Located:
        """Locate a single point, a fifth of the way through arrays: what every request asks."""
        held = np.empty(len(self) + 1, np.int32)
        rank, border_m, other, other_m = far.one(self._cells, x, y, self._degrees, held)
        return Located(
            self._row_of[rank : rank + 1] if rank >= 0 else self._row_of[-1:],
            self._code_of[rank : rank + 1] if rank >= 0 else self._code_of[-1:],
            np.array([border_m]),
            self._code_of[other : other + 1] if other >= 0 else self._code_of[-1:],
            np.array([other_m]),
        )

    def rows_xy(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Give only the row of the grid that holds each point (-1 outside), at full speed."""
        rows: npt.NDArray[np.int64] = self._row_of[self._ranks(*_points(x, y))]
        return rows

    def _distances(
        self, xs: FloatArray, ys: FloatArray, ranks: npt.NDArray[np.int32]
    ) -> tuple[FloatArray, npt.NDArray[np.int32], FloatArray]:
        """Metres to the border, the nearest other grid and metres to it, of points and holders."""
        # Grid by grid, since neighbours look at the same edges: twice as fast as in any order.
        order = np.argsort(ranks, kind="stable")
        held = np.empty(len(self) + 1, np.int32)
        sorted_border, sorted_other_m = np.empty(xs.size), np.empty(xs.size)
        sorted_others = np.empty(xs.size, np.int32)
        far.borders(
            self._cells, xs[order], ys[order], self._degrees, held, ranks[order], sorted_border,
            sorted_others, sorted_other_m,
        )  # fmt: skip
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        return sorted_border[back], sorted_others[back], sorted_other_m[back]

    def _ranks(self, xs: FloatArray, ys: FloatArray) -> npt.NDArray[np.int32]:
        ranks = np.empty(xs.size, np.int32)
        kernels.look_up(self._cells, xs, ys, ranks)
        waiting = np.flatnonzero(ranks < cells.NOBODY)
        # By page: neighbouring points then meet the same edges while those are in the cache, which
        # halves the time of a million points.
        waiting = waiting[np.argsort(ranks[waiting])]
        kernels.settle(self._cells, xs, ys, waiting, np.empty(len(self) + 1, np.int32), ranks)
        return ranks

    def alternatives(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, radius_m: float, *, datum: str | None = None
    ) -> list[list[tuple[str, float]]]:
        """List the grids within the accuracy circle of each point.

        Parameters
        ----------
        lon, lat, datum
            As for `locate`.
        radius_m : float
            Radius of the circle, metres; a grid that touches it counts.

        Returns
        -------
        list of list of (str, float)
            For each point the codes and distances (metres; 0 where the grid holds the point),
            nearest first, equal distances by code.
        """
        return self.alternatives_xy(*self._project(lon, lat, datum), radius_m)

    def alternatives_xy(
        self, x: npt.ArrayLike, y: npt.ArrayLike, radius_m: float
    ) -> list[list[tuple[str, float]]]:
        """Do as `alternatives`, with points in the layer's own coordinates."""
        if not (np.isfinite(radius_m) and radius_m >= 0.0):
            raise InputError(
                "parameter_invalid",
                name="radius_m",
                value=radius_m,
                reason=Phrase("应大于或等于 0", ">= 0"),
            )
        xs, ys = _points(x, y)
        start, ranks, distances_m = self._within(xs, ys, float(radius_m))
        of_point = np.repeat(np.arange(xs.size), np.diff(start))
        order = np.lexsort((ranks, distances_m, of_point))
        names = self._code_of[ranks[order]].tolist()
        pairs = list(zip(names, distances_m[order].tolist(), strict=True))
        return [pairs[a:b] for a, b in itertools.pairwise(start)]

    def _within(
        self, xs: FloatArray, ys: FloatArray, radius_m: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], FloatArray]:
        held = np.empty(len(self) + 1, np.int32)
        nearest2, reached = np.full(len(self), np.inf), np.empty(len(self), np.int32)
        start = np.empty(xs.size + 1, np.int64)
        room = 8 * xs.size
        while True:
            ranks, distances_m = np.empty(room, np.int32), np.empty(room)
            needed = far.within(
                self._cells, xs, ys, radius_m, self._degrees, held, nearest2, reached, start,
                ranks, distances_m,
            )  # fmt: skip
            if needed <= room:
                return start, ranks[:needed], distances_m[:needed]
            room = needed

    def nearest(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str | None = None
    ) -> list[tuple[str, float]]:
        """Give the code and distance (metres) of the nearest grid of each point; 0 within one."""
        return self.nearest_xy(*self._project(lon, lat, datum))

    def nearest_xy(self, x: npt.ArrayLike, y: npt.ArrayLike) -> list[tuple[str, float]]:
        """Do as `nearest`, with points in the layer's own coordinates."""
        located = self.locate_xy(x, y)
        names = np.where(located.found, located.codes, located.runner_up)
        distances_m = np.where(located.found, 0.0, located.runner_up_distance_m)
        return list(zip(names.tolist(), distances_m.tolist(), strict=True))

    def _project(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, datum: str | None
    ) -> tuple[FloatArray, FloatArray]:
        if datum is not None:
            return self._plane.forward(lon, lat, datum=datum)
        geodetic = self.crs.geodetic_crs
        if geodetic is None or geodetic.to_epsg() in {crs.WGS84_EPSG, crs.CGCS2000_EPSG}:
            return self._plane.forward(lon, lat, datum="wgs84")
        crs.check_lonlat(lon, lat)
        if self._degrees:
            return np.asarray(lon, float), np.asarray(lat, float)
        flat = pyproj.Transformer.from_crs(geodetic, self.crs, always_xy=True)
        lons, lats = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
        x, y = flat.transform(lons, lats)
        return np.asarray(x, float), np.asarray(y, float)


def _crs_of(grids: Any) -> pyproj.CRS:
    if grids.crs is None:
        x0, y0, x1, y1 = map(float, grids.total_bounds)
        found = georeference.candidates((x0, y0, x1, y1))
        raise InputError("crs_missing", file="grids", **georeference.told(found))
    return crs.parse_crs(grids.crs)


def _points(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    xs, ys = np.broadcast_arrays(
        np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    )
    return np.ascontiguousarray(xs).ravel(), np.ascontiguousarray(ys).ravel()


def _index(geometries: npt.NDArray[np.object_], order: npt.NDArray[np.intp]) -> cells.Cells:
    """Index geometries whose ranks are their places in `order`; missing ones hold nothing."""
    kinds = shapely.get_type_id(geometries)
    bad = ~np.isin(kinds, [*_POLYGONS, -1]) & ~shapely.is_empty(geometries)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        found = geometries[row].geom_type
        raise InputError("not_polygons", file="grids", row=row + 1, found=found)
    ranked = geometries[order]
    rings, of_ring = _rings(ranked)
    coordinates, ring_of = shapely.get_coordinates(rings, return_index=True)
    if not np.isfinite(coordinates).all():
        ring = ring_of[~np.isfinite(coordinates).all(axis=1)][0]
        row = int(order[of_ring[ring]]) + 1
        raise InputError("coordinate_not_finite", file="grids", row=row)
    start = np.searchsorted(ring_of, np.arange(of_ring.size + 1)).astype(np.int64)
    return cells.build(coordinates, start, of_ring, count=geometries.size)


def _rings(
    geometries: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]:
    parts, of_part = shapely.get_parts(geometries, return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    return rings, of_part[of_ring].astype(np.int32)
