"""Catchments: what lies within some minutes of walking, as areas.

The city is laid out in small cells. A place belongs to a catchment if the walk to it is within the
limit: the straight leg from the origin to the street, the exact shortest way along streets, and the
straight leg from the street to the place, which is at most `LEG_LIMIT_M`. Two definitions differ in
the street: ``nearest`` takes the place's nearest one (its front door), ``any`` the best of all
within the longest leg. Outlines are traced on one field of walks (marching squares), so shorter
catchments lie inside longer ones by construction, and every area is valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import _catchment_cells, _walk_search, crs, walking
from geo_service.errors import InputError
from geo_service.streets.contraction import CM_PER_M, MAY_LEAVE
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Reachable = Literal["nearest", "any"]
FloatArray = npt.NDArray[np.float64]

LEG_LIMIT_M = 100.0
"""The longest straight leg from the street to a place; a deeper field or lake is not served."""
CELL_M = 10.0
_WIDEST_CELLS = 1200  # a wider window doubles its cells: 15 minutes need 250, an hour 900
_TILE_CELLS = 128
_TILES_KEPT = 256  # 12 bytes a cell: 50 MB
_JUMP_CELLS = 4  # walks of neighbouring cells on one street differ by less than 2 cell widths
_RIM_CELLS = 3

# Marching squares, corners 1 2 4 8 counted from the lower left, sides bottom right top left.
_CASES = np.full((16, 4), -1, np.int32)
for _corners, _lines in {
    1: (0, 3), 2: (1, 0), 3: (1, 3), 4: (2, 1), 5: (0, 3, 2, 1), 6: (2, 0), 7: (2, 3), 8: (3, 2),
    9: (0, 2), 10: (1, 0, 3, 2), 11: (1, 2), 12: (3, 1), 13: (0, 1), 14: (3, 0),
}.items():  # fmt: skip
    _CASES[_corners, : len(_lines)] = _lines


def catchment(
    network: WalkNetwork,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    *,
    minutes: float | Iterable[float] = (15,),
    datum: str = "wgs84",
    speed_kmh: float | None = None,
    profile: str | None = None,
    reach: Reachable = "nearest",
    cell_m: float | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> gpd.GeoDataFrame:
    """Give the areas within some minutes of walking from one place or many.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    lon, lat : float or array_like
        Degrees in `datum`.
    minutes : float or iterable of float
        One area each; those of one origin are nested.
    datum : str
        Datum of `lon` and `lat`.
    speed_kmh : float, optional
        Instead of the profile's speed.
    profile : str, optional
        Who walks, instead of the network's profile.
    reach : {"nearest", "any"}
        Which street serves a place, see the module.
    cell_m : float, optional
        Width of a cell; by default 10 m, and more for hours of walking.
    snap_limit_m : float
        The farthest street an origin may have.

    Returns
    -------
    GeoDataFrame
        WGS84, a row for each origin and minutes: ``origin`` (row of the place), ``minutes``,
        ``lon``, ``lat`` (WGS84), ``speed_kmh``, ``limit_m``, ``snap_distance_m``, ``reached_m``
        (length of street), ``area_m2`` (in the network's plane), ``geometry`` (MultiPolygon). Of
        many places, one without a street near has empty areas and its true snap distance.

    Raises
    ------
    InputError
        ``street_too_far`` for a single place; ``parameter_invalid``; ``lonlat_swapped`` and others
        of `WalkNetwork.to_plane`.
    """
    if profile is not None:
        network = network.with_profile(profile)
    if reach not in ("nearest", "any"):
        raise InputError("parameter_invalid", name="reach", value=reach, reason="nearest, any")
    each = _minutes(minutes)
    limits_cm = [network.limit_cm(m, speed_kmh=speed_kmh) for m in each]
    width_m = _cell_width_m(cell_m, max(limits_cm) / CM_PER_M)
    if np.ndim(lon) == 0 and np.ndim(lat) == 0:
        snapped = network.snap(float(lon), float(lat), datum=datum, limit_m=snap_limit_m)  # type: ignore[arg-type] # scalars by the test above
    else:
        snapped = network.snap_all(lon, lat, datum=datum, limit_m=snap_limit_m)

    areas: list[shapely.MultiPolygon] = []
    reached_m: list[float] = []
    for origin in range(snapped.edge.size):
        if not snapped.found[origin]:
            areas += [shapely.MultiPolygon()] * len(each)
            reached_m += [0.0] * len(each)
            continue
        field = _Field(network, snapped, origin, max(limits_cm), width_m=width_m, reach=reach)
        areas += [field.area(limit) for limit in limits_cm]
        reached_m += [field.reached_m(limit) for limit in limits_cm]

    origins = np.repeat(np.arange(snapped.edge.size), len(each))
    wgs_lon, wgs_lat = crs.to_wgs84(np.atleast_1d(lon), np.atleast_1d(lat), datum=datum)
    return gpd.GeoDataFrame(
        {
            "origin": origins,
            "minutes": np.tile(each, snapped.edge.size),
            "lon": wgs_lon.ravel()[origins],
            "lat": wgs_lat.ravel()[origins],
            "speed_kmh": network.speed_m_s(speed_kmh) * 3.6,
            "limit_m": np.tile(np.array(limits_cm) / CM_PER_M, snapped.edge.size),
            "snap_distance_m": snapped.snap_distance_m[origins],
            "reached_m": np.array(reached_m),
            "area_m2": shapely.area(areas),
        },
        geometry=_to_lonlat(network, areas),
        crs=crs.WGS84_EPSG,
    )


class _Field:
    """The walks from one origin to all cells around it."""

    def __init__(
        self,
        network: WalkNetwork,
        snapped: Snapped,
        origin: int,
        limit_cm: int,
        *,
        width_m: float,
        reach: Reachable,
    ) -> None:
        self._graph = graph = network.graph
        self._width_m = width_m
        self._spot = np.array(
            [snapped.edge[origin], snapped.offset_cm[origin], snapped.leg_cm[origin]]
        )
        # Cells just outside must be exact too: the outline is drawn between the two.
        slack_cm = math.ceil(_JUMP_CELLS * width_m * CM_PER_M)
        self._cm = self._search(limit_cm + slack_cm, snapped, origin)

        half = math.ceil(limit_cm / CM_PER_M * 1.001 / width_m) + _RIM_CELLS
        self._column = math.floor(snapped.x[origin] / width_m) - half
        self._row = math.floor(snapped.y[origin] / width_m) - half
        size = 2 * half + 2
        ends = np.column_stack((graph.tail, graph.head))
        ways = np.column_stack((graph.forward, graph.backward))
        walked = (ends, graph.length_cm, ways, self._cm, self._spot)
        table = _table(network, width_m)
        if reach == "any":
            box = (self._column, self._row, self._column + size - 1, self._row + size - 1)
            segments, edges = table.segments_in(tuple(v * width_m for v in box))
            self._leg = np.full((size, size), np.inf, np.float32)
            self._metres = _catchment_cells.any_walks(
                segments, edges, self._column * width_m, self._row * width_m, width_m,
                size, size, LEG_LIMIT_M, *walked,
            )  # fmt: skip
        else:
            edge, offset, self._leg = table.window(self._row, self._column, size)
            self._metres = _catchment_cells.nearest_walks(
                edge, offset, self._leg, LEG_LIMIT_M, *walked
            )

    def _search(self, limit_cm: int, snapped: Snapped, origin: int) -> npt.NDArray[np.int64]:
        """Give the centimetres walked to every node, -1 where beyond the limit."""
        graph = self._graph
        seeds, seed_cm = walking.entrances(graph, snapped, against=False)
        _, nodes, reached_cm = _walk_search.reach_many(
            graph.arc_start, graph.arcs, MAY_LEAVE, seeds[origin : origin + 1],
            seed_cm[origin : origin + 1], limit_cm,
        )  # fmt: skip
        self._nodes = nodes
        cm = np.full(graph.node_x.size, -1, np.int64)
        cm[nodes] = reached_cm
        return cm

    def area(self, limit_cm: int) -> shapely.MultiPolygon:
        """Give the area within a limit, in the network's plane."""
        x, y, starts = _catchment_cells.outlines(
            self._metres, self._leg, np.float32(limit_cm / CM_PER_M), LEG_LIMIT_M,
            _JUMP_CELLS * self._width_m, _CASES,
        )  # fmt: skip
        if starts.size == 1:
            return shapely.MultiPolygon()
        places = np.column_stack((x + self._column, y + self._row)) * self._width_m
        return _polygons(places, starts)

    def reached_m(self, limit_cm: int) -> float:
        """Give the length of street within a limit, each metre once."""
        graph, cm = self._graph, self._cm
        start, stop = graph.arc_start[self._nodes], graph.arc_start[self._nodes + 1]
        slots = np.repeat(stop - np.cumsum(stop - start), stop - start) + np.arange(
            (stop - start).sum()
        )
        home, home_offset, leg = (int(v) for v in self._spot)
        edges = np.setdiff1d(graph.arc_edges[slots], [home])
        length = graph.length_cm[edges].astype(np.int64)
        covered = self._from_ends(edges, limit_cm).sum(axis=1)
        total = int(np.minimum(length, covered).sum())

        up, down = (int(v) for v in self._from_ends(np.array([home]), limit_cm)[0])
        home_cm = int(graph.length_cm[home])
        left = max(limit_cm - leg, 0)
        low = max(home_offset - left, 0) if graph.backward[home] else home_offset
        high = min(home_offset + left, home_cm) if graph.forward[home] else home_offset
        # What both ends leave free of the origin's own chain, and how much of it the origin covers.
        free = max(home_cm - up - down, 0)
        inside = max(min(high, home_cm - down) - max(low, up), 0)
        return (total + home_cm - free + inside) / CM_PER_M

    def _from_ends(self, edges: npt.NDArray[Any], limit_cm: int) -> npt.NDArray[np.int64]:
        """Give how far chains are walked from tail and from head, in centimetres."""
        graph, cm = self._graph, self._cm
        ends = np.stack((graph.tail[edges], graph.head[edges]), axis=1)
        ways = np.stack((graph.forward[edges], graph.backward[edges]), axis=1)
        left = np.where((cm[ends] >= 0) & ways, limit_cm - cm[ends], 0)
        return np.clip(left, 0, graph.length_cm[edges].astype(np.int64)[:, None])


class _CellTable:
    """Nearest streets of all cells, made in square tiles when first asked for.

    The cells are anchored at multiples of their width, so every window sees the same ones.
    """

    def __init__(self, network: WalkNetwork, width_m: float) -> None:
        index, graph = network.index, network.graph
        self._width_m = width_m
        self._tree = index.tree
        a = index.begin[: index.accepted]
        self._segments = np.column_stack(
            (
                graph.shape_x[a], graph.shape_y[a],
                graph.shape_x[a + 1] - graph.shape_x[a], graph.shape_y[a + 1] - graph.shape_y[a],
                graph.shape_cm[a], graph.shape_cm[a + 1],
            )
        )  # fmt: skip
        self._edges = index.edge[: index.accepted].astype(np.int32)
        self._tile = lru_cache(maxsize=_TILES_KEPT)(self._make_tile)

    def segments_in(self, box: tuple[float, ...]) -> tuple[FloatArray, npt.NDArray[np.int32]]:
        """Give the segments within the longest leg of a box, in order, and their chains."""
        far_m = self._far_m
        west, south, east, north = box
        near = self._tree.query(
            shapely.box(west - far_m, south - far_m, east + far_m, north + far_m)
        )
        near.sort()
        return self._segments[near], self._edges[near]

    def window(self, row: int, column: int, size: int) -> tuple[npt.NDArray[Any], ...]:
        """Give edge, offset and leg of the cells of a square."""
        first, last = row // _TILE_CELLS, (row + size - 1) // _TILE_CELLS
        left, right = column // _TILE_CELLS, (column + size - 1) // _TILE_CELLS
        whole = (last - first + 1) * _TILE_CELLS, (right - left + 1) * _TILE_CELLS
        layers = [np.empty(whole, kind) for kind in (np.int32, np.float32, np.float32)]
        for down in range(first, last + 1):
            for across in range(left, right + 1):
                at = (
                    slice((down - first) * _TILE_CELLS, (down - first + 1) * _TILE_CELLS),
                    slice((across - left) * _TILE_CELLS, (across - left + 1) * _TILE_CELLS),
                )
                for layer, part in zip(layers, self._tile(down, across), strict=True):
                    layer[at] = part
        top, side = row - first * _TILE_CELLS, column - left * _TILE_CELLS
        cut = (slice(top, top + size), slice(side, side + size))
        return tuple(np.ascontiguousarray(layer[cut]) for layer in layers)

    @property
    def _far_m(self) -> float:
        # A cell just beyond the longest leg must know its leg: the outline is drawn by it.
        return LEG_LIMIT_M + 1.5 * self._width_m

    def _make_tile(self, down: int, across: int) -> tuple[npt.NDArray[Any], ...]:
        x0 = across * _TILE_CELLS * self._width_m
        y0 = down * _TILE_CELLS * self._width_m
        span = (_TILE_CELLS - 1) * self._width_m
        segments, edges = self.segments_in((x0, y0, x0 + span, y0 + span))
        return _catchment_cells.nearest_streets(
            segments, edges, x0, y0, self._width_m, _TILE_CELLS, self._far_m
        )


_TABLES: WeakKeyDictionary[WalkNetwork, dict[float, _CellTable]] = WeakKeyDictionary()


def _table(network: WalkNetwork, width_m: float) -> _CellTable:
    tables = _TABLES.setdefault(network, {})
    if width_m not in tables:
        tables[width_m] = _CellTable(network, width_m)
    return tables[width_m]


def _polygons(places: FloatArray, starts: npt.NDArray[np.int64]) -> shapely.MultiPolygon:
    """Put traced rings together: those that run counter-clockwise are areas, the others holes."""
    ring_of = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    rings = shapely.linearrings(places, indices=ring_of)
    outer = shapely.is_ccw(rings)
    shells, holes = rings[outer], rings[~outer]
    areas = shapely.polygons(shells)
    if holes.size == 0:
        return shapely.MultiPolygon(list(areas))
    hole, shell = shapely.STRtree(areas).query(shapely.get_point(holes, 0), predicate="within")
    # Of all shells around a hole the smallest is its own.
    order = np.lexsort((shapely.area(areas)[shell], hole))
    hole, shell = hole[order], shell[order]
    own = shell[np.append(True, hole[1:] != hole[:-1])]
    return shapely.MultiPolygon(
        [shapely.polygons(ring, holes[own == number]) for number, ring in enumerate(shells)]
    )


def _to_lonlat(
    network: WalkNetwork, areas: list[shapely.MultiPolygon]
) -> npt.NDArray[np.object_]:
    def turned(xy: FloatArray) -> FloatArray:
        return np.column_stack(network.to_lonlat(xy[:, 0], xy[:, 1]))

    return shapely.transform(np.array(areas, object), turned)


def _minutes(minutes: float | Iterable[float]) -> list[float]:
    each = [float(m) for m in np.atleast_1d(np.asarray(minutes, float)).ravel()]
    if not each:
        raise InputError("parameter_invalid", name="minutes", value="[]", reason="none given")
    return each


def _cell_width_m(cell_m: float | None, limit_m: float) -> float:
    if cell_m is not None:
        if not 1.0 <= cell_m <= LEG_LIMIT_M:
            reason = f"1 to {LEG_LIMIT_M:g} metres"
            raise InputError("parameter_invalid", name="cell_m", value=cell_m, reason=reason)
        return float(cell_m)
    width_m = CELL_M
    while 2.0 * limit_m / width_m > _WIDEST_CELLS:
        width_m *= 2.0
    return width_m
