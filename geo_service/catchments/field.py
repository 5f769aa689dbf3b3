"""The walks from one origin to all cells around it, and the cells' streets."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from geo_service import walking
from geo_service.catchments import _cells
from geo_service.catchments._cells import TILE_CELLS
from geo_service.streets.contraction import CM_PER_M, MAY_LEAVE
from geo_service.streets.snapping import Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Reachable = Literal["nearest", "any"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
SingleArray = npt.NDArray[np.float32]
ShortArray = npt.NDArray[np.uint16]

LEG_LIMIT_M = 100.0
"""The longest straight leg from the street to a place; a deeper field or lake is not served."""
_TILES_KEPT = 256  # 14 bytes a cell: 59 MB
_ROOM_CELLS = 1 << 18  # 4 MB a thread: half an hour of walking
_JUMP_CELLS = 4  # walks of neighbouring cells on one street differ by less than 2 cell widths
_ROUNDED_M = np.float32(0.05)  # more than offsets kept as singles can be wrong by
_RIM_CELLS = 3
_PLANE_STRETCH = 1.001  # lengths in a zone's plane exceed those on the ground by less

# Marching squares, corners 1 2 4 8 counted from the lower left, sides bottom right top left.
_CASES = np.full((16, 4), -1, np.int32)
for _corners, _lines in {
    1: (0, 3), 2: (1, 0), 3: (1, 3), 4: (2, 1), 5: (0, 3, 2, 1), 6: (2, 0), 7: (2, 3), 8: (3, 2),
    9: (0, 2), 10: (1, 0, 3, 2), 11: (1, 2), 12: (3, 1), 13: (0, 1), 14: (3, 0),
}.items():  # fmt: skip
    _CASES[_corners, : len(_lines)] = _lines


class Room(threading.local):
    """Arrays in which the fields of a thread are laid out, one after another.

    New ones would come from the system page by page, which costs more than filling them.
    """

    def __init__(self) -> None:
        self._cells = 0

    def of(self, rows: int, columns: int) -> tuple[SingleArray, SingleArray, IntArray]:
        """Give the walks and legs of a window and the crossings after each, as they were left."""
        cells = rows * columns
        if cells > _ROOM_CELLS:
            return _arrays(rows, columns)
        if cells > self._cells:
            self._cells = min(2 * cells, _ROOM_CELLS)
            self._metres, self._leg, self._following = _arrays(1, self._cells)
        return (
            self._metres.ravel()[:cells].reshape(rows, columns),
            self._leg.ravel()[:cells].reshape(rows, columns),
            self._following[: 2 * cells],
        )


def _arrays(rows: int, columns: int) -> tuple[SingleArray, SingleArray, IntArray]:
    shape = (rows, columns)
    return (
        np.empty(shape, np.float32), np.empty(shape, np.float32),
        np.empty(2 * rows * columns, np.int32),
    )  # fmt: skip


class Field:
    """The walks from one origin to all cells around it.

    Parameters
    ----------
    table : CellTable
        The network's cells.
    snapped : Snapped
        The origin, alone.
    limits_cm : sequence of int
        The walks asked for.
    reach : {"nearest", "any"}
        Which street serves a place.
    room : Room
        Where it is laid out; the next field there takes the place of this one.
    """

    def __init__(
        self,
        table: CellTable,
        snapped: Snapped,
        limits_cm: Sequence[int],
        reach: Reachable,
        room: Room,
    ) -> None:
        limit_cm = max(limits_cm)
        self._table, self._graph, self._width_m = table, table.graph, table.width_m
        spot = (snapped.edge[0], snapped.offset_cm[0], snapped.leg_cm[0])
        self._spot = np.array(spot, np.int64)
        # Cells just outside must be exact too: the outline is drawn between the two.
        slack_cm = math.ceil(_JUMP_CELLS * table.width_m * CM_PER_M)
        seeds = walking.entrances(self._graph, snapped, against=False)
        _, self.nodes, reached_cm = walking.search(
            self._graph, MAY_LEAVE, seeds.start, seeds.nodes, seeds.cm, limit_cm + slack_cm
        )
        self.cm = np.full(self._graph.node_x.size, -1, np.int32)
        self.cm[self.nodes] = reached_cm
        shape = self._lay_out(snapped, limit_cm, reached_cm)
        self._metres, self._leg, self._following = room.of(*shape)
        table.walk_nearest(self._row, self._column, self.cm, self._spot, self._metres, self._leg)
        if reach == "any":
            self._walk_any(min(limits_cm) / CM_PER_M, (limit_cm + slack_cm) / CM_PER_M)

    def _lay_out(self, snapped: Snapped, limit_cm: int, reached_cm: IntArray) -> tuple[int, int]:
        """Find the window of cells that may be within the limit; give its rows and columns.

        What is reached by a node lies within what is left of the limit there; what is reached
        along the origin's own chain lies within the limit and beside that chain.
        """
        graph, width_m = self._graph, self._width_m
        west, south, east, north = _cells.window(
            self.nodes, reached_cm, graph.node_x, graph.node_y, limit_cm, _PLANE_STRETCH
        )
        far_m = limit_cm / CM_PER_M * _PLANE_STRETCH
        home = slice(*graph.shape_start[self._spot[0] : self._spot[0] + 2])
        beside = _cells.box(graph.shape_x[home], graph.shape_y[home])
        spot_x, spot_y = float(snapped.x[0]), float(snapped.y[0])
        west = min(west, max(beside[0] - LEG_LIMIT_M, spot_x - far_m))
        south = min(south, max(beside[1] - LEG_LIMIT_M, spot_y - far_m))
        east = max(east, min(beside[2] + LEG_LIMIT_M, spot_x + far_m))
        north = max(north, min(beside[3] + LEG_LIMIT_M, spot_y + far_m))
        self._column = math.floor(west / width_m) - _RIM_CELLS
        self._row = math.floor(south / width_m) - _RIM_CELLS
        right, top = math.ceil(east / width_m) + _RIM_CELLS, math.ceil(north / width_m) + _RIM_CELLS
        return top - self._row + 1, right - self._column + 1

    def _walk_any(self, least_m: float, most_m: float) -> None:
        """Replace the walks by the nearest street, which bound them, by the best of all.

        Walks farther than the slack beyond the longest limit draw no outline, see `_crossing`.
        """
        rows, columns = self._metres.shape
        bound = np.minimum(self._metres + _ROUNDED_M, np.float32(most_m + _ROUNDED_M))
        self._metres.fill(np.inf)
        self._leg.fill(np.inf)
        west, south = self._column * self._width_m, self._row * self._width_m
        segments, edges = self._table.segments_in(
            west, south, west + (columns - 1) * self._width_m, south + (rows - 1) * self._width_m
        )
        _cells.any_walks(
            segments, edges, west, south, self._width_m, LEG_LIMIT_M,
            self._table.chains, self.cm, self._spot, bound, least_m, self._metres,
        )  # fmt: skip

    def rings(self, limit_cm: int) -> tuple[FloatArray, LongArray]:
        """Give the rings of the area within a limit, in the network's plane: vertices, starts."""
        level_m = limit_cm / CM_PER_M
        rows, columns = self._metres.shape
        inside = np.zeros((rows, 8 * (columns // 8 + 1)), np.uint8)
        inside[:, :columns] = self._metres <= _single_within(level_m)
        return _cells.outlines(
            self._metres, self._leg, inside, level_m, LEG_LIMIT_M, _JUMP_CELLS * self._width_m,
            _CASES, self._following, self._column, self._row, self._width_m,
        )  # fmt: skip

    def reached_m(self, limit_cm: int) -> float:
        """Give the length of street within a limit, each metre once."""
        graph = self._graph
        reached = _cells.reached_cm(
            graph.arc_start, graph.arcs, graph.arc_edges, self._table.chains, self.nodes,
            self.cm, self._spot, limit_cm,
        )  # fmt: skip
        return int(reached) / CM_PER_M

    def closed_gates(self, limit_cm: int) -> int:
        """Give how many barriers that are closed to the walker are met within a limit."""
        met = self.nodes[self._table.at_closed_gate[self.nodes]]
        met = met[self.cm[met] <= limit_cm]
        return np.unique(self._graph.node_osm_ids[met]).size if met.size else 0


class CellTable:
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
        ways = graph.forward * _cells.FORWARD + graph.backward * _cells.BACKWARD
        self.chains = np.column_stack((graph.tail, graph.head, graph.length_cm, ways)).astype(
            np.int32
        )
        a = index.begin[: index.accepted]
        x, y, cm = graph.shape_x, graph.shape_y, graph.shape_cm
        self._segments: FloatArray = np.column_stack(
            (x[a], y[a], x[a + 1] - x[a], y[a + 1] - y[a], cm[a], cm[a + 1])
        ).astype(float)
        self._edges = index.edge[: index.accepted].astype(np.int32)
        self._index = index
        # A cell just beyond the longest leg must know its leg: the outline is drawn by it.
        self._far_m = LEG_LIMIT_M + 1.5 * width_m
        # Only the dead ends at one closed barrier share an OSM id, see contraction.Graph.
        _, barrier, ends = np.unique(graph.node_osm_ids, return_inverse=True, return_counts=True)
        self.at_closed_gate: npt.NDArray[np.bool_] = ends[barrier] > 1
        self.room = Room()
        self._tile = lru_cache(maxsize=_TILES_KEPT)(self._made_tile)

    def segments_in(
        self, west: float, south: float, east: float, north: float
    ) -> tuple[FloatArray, IntArray]:
        """Give the segments within the longest leg of a box, in order, and their chains."""
        far_m = self._far_m
        near = self._index.within(west - far_m, south - far_m, east + far_m, north + far_m)
        return self._segments[near], self._edges[near]

    def walk_nearest(
        self,
        row: int,
        column: int,
        cm: IntArray,
        spot: LongArray,
        metres: SingleArray,
        legs: SingleArray,
    ) -> None:
        """Fill a window of cells with the walks by their nearest streets; see `_cells`."""
        rows, columns = metres.shape
        for down in range(row // TILE_CELLS, (row + rows - 1) // TILE_CELLS + 1):
            for across in range(column // TILE_CELLS, (column + columns - 1) // TILE_CELLS + 1):
                tile = self._tile(down, across)
                top, left = down * TILE_CELLS - row, across * TILE_CELLS - column
                _cells.nearest_walks(
                    tile.run, tile.offset, tile.leg, tile.run_chain, tile.run_start, tile.cells,
                    self.chains, cm, spot, top, left, metres, legs,
                )  # fmt: skip

    def _made_tile(self, down: int, across: int) -> _Tile:
        width_m, shape = self.width_m, (TILE_CELLS, TILE_CELLS)
        west, south = across * TILE_CELLS * width_m, down * TILE_CELLS * width_m
        span = (TILE_CELLS - 1) * width_m
        edge = np.full(shape, _cells.NO_EDGE, np.int32)
        offset, leg = np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
        streets = self.segments_in(west, south, west + span, south + span)
        _cells.nearest_streets(*streets, west, south, width_m, self._far_m, edge, offset, leg)
        return _Tile.of(edge, offset, leg)


@dataclass(frozen=True, eq=False)
class _Tile:
    """The nearest streets of the cells of a square, see `_cells.nearest_walks`."""

    run: ShortArray
    offset: SingleArray
    leg: SingleArray
    run_chain: IntArray
    run_start: LongArray
    cells: IntArray

    @classmethod
    def of(cls, edge: IntArray, offset: SingleArray, leg: SingleArray) -> _Tile:
        served = np.where(leg <= LEG_LIMIT_M, edge, _cells.NO_EDGE).ravel()
        cells = np.argsort(served, kind="stable").astype(np.int32)
        cells = cells[np.count_nonzero(served == _cells.NO_EDGE) :]  # which is below any chain
        chain, start = np.unique(served[cells], return_index=True)
        start = np.append(start, cells.size)
        run = np.full(edge.size, chain.size, np.uint16)
        run[cells] = np.repeat(np.arange(chain.size), np.diff(start))
        return cls(run.reshape(edge.shape), offset, leg, chain, start, cells)


def _single_within(metres: float) -> np.float32:
    """Give the largest single that is not more: the cells' walks are compared as singles."""
    single = np.float32(metres)
    return single if float(single) <= metres else np.nextafter(single, np.float32(0.0))


_TABLES: WeakKeyDictionary[WalkNetwork, dict[float, CellTable]] = WeakKeyDictionary()


def table(network: WalkNetwork, width_m: float) -> CellTable:
    """Give the cells of a network, made once for each width."""
    tables = _TABLES.setdefault(network, {})
    if width_m not in tables:
        tables[width_m] = CellTable(network, width_m)
    return tables[width_m]
