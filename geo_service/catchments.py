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
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import _catchment_cells, crs, walking
from geo_service.errors import InputError
from geo_service.streets.contraction import CM_PER_M, MAY_LEAVE
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Reachable = Literal["nearest", "any"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
_Cells: TypeAlias = tuple[IntArray, npt.NDArray[np.float32], npt.NDArray[np.float32]]

LEG_LIMIT_M = 100.0
"""The longest straight leg from the street to a place; a deeper field or lake is not served."""
CELL_M = 10.0
_WIDEST_CELLS = 1200  # a wider window doubles its cells: 15 minutes need 250, an hour 900
_TILE_CELLS = 128
_TILES_KEPT = 256  # 12 bytes a cell: 50 MB
_JUMP_CELLS = 4  # walks of neighbouring cells on one street differ by less than 2 cell widths
_RIM_CELLS = 3
_PLANE_STRETCH = 1.001  # lengths in a zone's plane exceed those on the ground by less

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

    table = _table(network, width_m)
    areas: list[shapely.MultiPolygon] = []
    reached_m: list[float] = []
    for origin in range(snapped.edge.size):
        if not snapped.found[origin]:
            areas += [shapely.MultiPolygon()] * len(each)
            reached_m += [0.0] * len(each)
            continue
        field = _Field(table, snapped.one(origin), max(limits_cm), reach)
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
    """The walks from one origin to all cells around it.

    Parameters
    ----------
    table : _CellTable
        The network's cells.
    snapped : Snapped
        The origin, alone.
    limit_cm : int
        The longest walk asked for.
    reach : {"nearest", "any"}
        Which street serves a place.
    """

    def __init__(
        self, table: _CellTable, snapped: Snapped, limit_cm: int, reach: Reachable
    ) -> None:
        self._graph, self._width_m = table.graph, table.width_m
        self._spot = np.concatenate((snapped.edge, snapped.offset_cm, snapped.leg_cm))
        # Cells just outside must be exact too: the outline is drawn between the two.
        slack_cm = math.ceil(_JUMP_CELLS * table.width_m * CM_PER_M)
        seeds = walking.entrances(self._graph, snapped, against=False)
        _, self._nodes, reached_cm = walking.search(
            self._graph, MAY_LEAVE, seeds.start, seeds.nodes, seeds.cm, limit_cm + slack_cm
        )
        self._cm = np.full(self._graph.node_x.size, -1, np.int32)
        self._cm[self._nodes] = reached_cm

        half = math.ceil(limit_cm / CM_PER_M * _PLANE_STRETCH / table.width_m) + _RIM_CELLS
        self._column = math.floor(snapped.x[0] / table.width_m) - half
        self._row = math.floor(snapped.y[0] / table.width_m) - half
        size = 2 * half + 2
        self._metres = np.full((size, size), np.inf, np.float32)
        if reach == "any":
            self._leg = np.full((size, size), np.inf, np.float32)
            west, south = self._column * table.width_m, self._row * table.width_m
            span = (size - 1) * table.width_m
            segments, edges = table.segments_in(west, south, west + span, south + span)
            _catchment_cells.any_walks(
                segments, edges, west, south, table.width_m, LEG_LIMIT_M,
                table.chains, self._cm, self._spot, self._metres,
            )  # fmt: skip
        else:
            edge, offset, self._leg = table.window(self._row, self._column, size)
            _catchment_cells.nearest_walks(
                edge, offset, self._leg, LEG_LIMIT_M,
                table.chains, self._cm, self._spot, self._metres,
            )  # fmt: skip
        self._following = np.full(2 * size * size, -1, np.int32)

    def area(self, limit_cm: int) -> shapely.MultiPolygon:
        """Give the area within a limit, in the network's plane."""
        x, y, starts = _catchment_cells.outlines(
            self._metres, self._leg, limit_cm / CM_PER_M, LEG_LIMIT_M,
            _JUMP_CELLS * self._width_m, _CASES, self._following,
        )  # fmt: skip
        if starts.size == 1:
            return shapely.MultiPolygon()
        places = np.column_stack((x + self._column, y + self._row)) * self._width_m
        return _polygons(places, starts)

    def reached_m(self, limit_cm: int) -> float:
        """Give the length of street within a limit, each metre once."""
        graph = self._graph
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
        left = np.where((cm[ends] >= 0) & ways, limit_cm - cm[ends].astype(np.int64), 0)
        return np.clip(left, 0, graph.length_cm[edges].astype(np.int64)[:, None])


class _CellTable:
    """Nearest streets of all cells, made in square tiles when first asked for.

    The cells are anchored at multiples of their width, so every window sees the same ones.

    Parameters
    ----------
    network : WalkNetwork
        The streets; those of pieces too short to start from serve no place either.
    width_m : float
        Width of a cell.
    """

    def __init__(self, network: WalkNetwork, width_m: float) -> None:
        index, self.graph = network.index, network.graph
        graph, self.width_m = self.graph, width_m
        ways = graph.forward * _catchment_cells.FORWARD + graph.backward * _catchment_cells.BACKWARD
        self.chains = np.column_stack((graph.tail, graph.head, graph.length_cm, ways)).astype(
            np.int32
        )
        a = index.begin[: index.accepted]
        x, y, cm = graph.shape_x, graph.shape_y, graph.shape_cm
        self._segments: FloatArray = np.column_stack(
            (x[a], y[a], x[a + 1] - x[a], y[a + 1] - y[a], cm[a], cm[a + 1])
        ).astype(float)
        self._edges = index.edge[: index.accepted].astype(np.int32)
        self._tree = index.tree
        # A cell just beyond the longest leg must know its leg: the outline is drawn by it.
        self._far_m = LEG_LIMIT_M + 1.5 * width_m
        self._tile = lru_cache(maxsize=_TILES_KEPT)(self._made_tile)

    def segments_in(
        self, west: float, south: float, east: float, north: float
    ) -> tuple[FloatArray, IntArray]:
        """Give the segments within the longest leg of a box, in order, and their chains."""
        far_m = self._far_m
        box = shapely.box(west - far_m, south - far_m, east + far_m, north + far_m)
        near = np.sort(self._tree.query(box))
        return self._segments[near], self._edges[near]

    def window(self, row: int, column: int, size: int) -> _Cells:
        """Give edge, offset and leg of the cells of a square."""
        down = range(row // _TILE_CELLS, (row + size - 1) // _TILE_CELLS + 1)
        across = range(column // _TILE_CELLS, (column + size - 1) // _TILE_CELLS + 1)
        tiles = [[self._tile(j, i) for i in across] for j in down]
        top, left = row - down[0] * _TILE_CELLS, column - across[0] * _TILE_CELLS

        def layer(which: int) -> npt.NDArray[Any]:
            whole = np.block([[tile[which] for tile in line] for line in tiles])
            return np.ascontiguousarray(whole[top : top + size, left : left + size])

        return layer(0), layer(1), layer(2)

    def _made_tile(self, down: int, across: int) -> _Cells:
        width_m, shape = self.width_m, (_TILE_CELLS, _TILE_CELLS)
        west, south = across * _TILE_CELLS * width_m, down * _TILE_CELLS * width_m
        span = (_TILE_CELLS - 1) * width_m
        edge = np.full(shape, _catchment_cells.NO_EDGE, np.int32)
        offset, leg = np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
        streets = self.segments_in(west, south, west + span, south + span)
        _catchment_cells.nearest_streets(
            *streets, west, south, width_m, self._far_m, edge, offset, leg
        )
        return edge, offset, leg


_TABLES: WeakKeyDictionary[WalkNetwork, dict[float, _CellTable]] = WeakKeyDictionary()


def _table(network: WalkNetwork, width_m: float) -> _CellTable:
    tables = _TABLES.setdefault(network, {})
    if width_m not in tables:
        tables[width_m] = _CellTable(network, width_m)
    return tables[width_m]


def _polygons(places: FloatArray, starts: npt.NDArray[np.int64]) -> shapely.MultiPolygon:
    """Put traced rings together: those that run counter-clockwise are areas, the others holes."""
    ring_of = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    rings = np.asarray(shapely.linearrings(places, indices=ring_of))
    outer = np.asarray(shapely.is_ccw(rings))
    shells, holes = rings[outer], rings[~outer]
    areas = np.asarray(shapely.polygons(shells))
    # Of all shells around a hole the smallest is its own.
    hole, shell = shapely.STRtree(areas).query(shapely.get_point(holes, 0), predicate="within")
    order = np.lexsort((np.asarray(shapely.area(areas))[shell], hole))
    hole, first = np.unique(hole[order], return_index=True)
    own = shell[order][first]
    for number in np.unique(own):
        areas[number] = shapely.Polygon(shells[number], holes[hole[own == number]])
    return shapely.MultiPolygon(list(areas))


def _to_lonlat(network: WalkNetwork, areas: list[shapely.MultiPolygon]) -> npt.NDArray[np.object_]:
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
