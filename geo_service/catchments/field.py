"""The walks from one origin to all cells around it, and the cells' streets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import shapely

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

LEG_LIMIT_M = 100.0
"""The longest straight leg from the street to a place; a deeper field or lake is not served."""
_TILES_KEPT = 256  # 16 bytes a cell: 67 MB
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


class Field:
    """The walks from one origin to all cells around it.

    Parameters
    ----------
    table : CellTable
        The network's cells.
    snapped : Snapped
        The origin, alone.
    limit_cm : int
        The longest walk asked for.
    reach : {"nearest", "any"}
        Which street serves a place.
    """

    def __init__(self, table: CellTable, snapped: Snapped, limit_cm: int, reach: Reachable) -> None:
        self._table, self._graph, self._width_m = table, table.graph, table.width_m
        self._spot = np.concatenate((snapped.edge, snapped.offset_cm, snapped.leg_cm))
        # Cells just outside must be exact too: the outline is drawn between the two.
        slack_cm = math.ceil(_JUMP_CELLS * table.width_m * CM_PER_M)
        seeds = walking.entrances(self._graph, snapped, against=False)
        _, self.nodes, reached_cm = walking.search(
            self._graph, MAY_LEAVE, seeds.start, seeds.nodes, seeds.cm, limit_cm + slack_cm
        )
        self.cm = np.full(self._graph.node_x.size, -1, np.int32)
        self.cm[self.nodes] = reached_cm
        shape = self._lay_out(snapped, limit_cm, reached_cm)
        self._metres = np.full(shape, np.inf, np.float32)
        self._leg = np.full(shape, np.inf, np.float32)
        if reach == "any":
            self._walk_any()
        else:
            table.walk_nearest(
                self._row, self._column, self.cm, self._spot, self._metres, self._leg
            )
        self._following = np.full(2 * self._metres.size, -1, np.int32)

    def _lay_out(self, snapped: Snapped, limit_cm: int, reached_cm: IntArray) -> tuple[int, int]:
        """Find the window of cells that may be within the limit; give its rows and columns.

        What is reached by a node lies within what is left of the limit there; what is reached
        along the origin's own chain lies within the limit and beside that chain.
        """
        graph, width_m = self._graph, self._width_m
        far_m = limit_cm / CM_PER_M * _PLANE_STRETCH
        left_m = np.maximum(limit_cm - reached_cm, 0) / CM_PER_M * _PLANE_STRETCH
        home = slice(*graph.shape_start[self._spot[0] : self._spot[0] + 2])
        lows, highs = [], []
        for spot, nodes, shapes in (
            (snapped.x[0], graph.node_x, graph.shape_x),
            (snapped.y[0], graph.node_y, graph.shape_y),
        ):
            at, chain = nodes[self.nodes], shapes[home]
            beside = max(chain.min() - LEG_LIMIT_M, spot - far_m)
            lows.append(min((at - left_m).min(initial=np.inf), beside))
            beside = min(chain.max() + LEG_LIMIT_M, spot + far_m)
            highs.append(max((at + left_m).max(initial=-np.inf), beside))
        self._column, self._row = (math.floor(v / width_m) - _RIM_CELLS for v in lows)
        right, top = (math.ceil(v / width_m) + _RIM_CELLS for v in highs)
        return top - self._row + 1, right - self._column + 1

    def _walk_any(self) -> None:
        rows, columns = self._metres.shape
        west, south = self._column * self._width_m, self._row * self._width_m
        segments, edges = self._table.segments_in(
            west, south, west + (columns - 1) * self._width_m, south + (rows - 1) * self._width_m
        )
        _cells.any_walks(
            segments, edges, west, south, self._width_m, LEG_LIMIT_M,
            self._table.chains, self.cm, self._spot, self._metres,
        )  # fmt: skip

    def rings(self, limit_cm: int) -> tuple[FloatArray, LongArray]:
        """Give the rings of the area within a limit, in the network's plane: vertices, starts."""
        places, starts = _cells.outlines(
            self._metres, self._leg, limit_cm / CM_PER_M, LEG_LIMIT_M,
            _JUMP_CELLS * self._width_m, _CASES, self._following,
        )  # fmt: skip
        places += (self._column, self._row)
        places *= self._width_m
        return places, starts

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
        return np.unique(self._graph.node_osm_ids[met[self.cm[met] <= limit_cm]]).size


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
        self._tree = index.tree
        # A cell just beyond the longest leg must know its leg: the outline is drawn by it.
        self._far_m = LEG_LIMIT_M + 1.5 * width_m
        # Only the dead ends at one closed barrier share an OSM id, see contraction.Graph.
        _, barrier, ends = np.unique(graph.node_osm_ids, return_inverse=True, return_counts=True)
        self.at_closed_gate: npt.NDArray[np.bool_] = ends[barrier] > 1
        self._tile = lru_cache(maxsize=_TILES_KEPT)(self._made_tile)

    def segments_in(
        self, west: float, south: float, east: float, north: float
    ) -> tuple[FloatArray, IntArray]:
        """Give the segments within the longest leg of a box, in order, and their chains."""
        far_m = self._far_m
        box = shapely.box(west - far_m, south - far_m, east + far_m, north + far_m)
        near = np.sort(self._tree.query(box))
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
                low, first = max(top, 0), max(left, 0)
                part = tile.leg[low - top : rows - top, first - left : columns - left]
                legs[low : low + part.shape[0], first : first + part.shape[1]] = part
                _cells.nearest_walks(
                    tile.run_start, tile.run_chain, tile.cells, tile.offset, tile.leg_by_chain,
                    LEG_LIMIT_M, self.chains, cm, spot, top, left, metres,
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
    """The cells of a square that have a street near, chain by chain.

    A catchment walks some of a tile's chains; only their cells are looked at.
    """

    run_start: LongArray
    run_chain: IntArray
    cells: IntArray
    offset: SingleArray
    leg_by_chain: SingleArray
    leg: SingleArray

    @classmethod
    def of(cls, edge: IntArray, offset: SingleArray, leg: SingleArray) -> _Tile:
        flat = edge.ravel()
        cells = np.argsort(flat, kind="stable").astype(np.int32)
        cells = cells[np.count_nonzero(flat == _cells.NO_EDGE) :]  # which is below any chain
        chain, start = np.unique(flat[cells], return_index=True)
        return cls(
            np.append(start, cells.size), chain, cells, offset.ravel()[cells], leg.ravel()[cells],
            leg,
        )  # fmt: skip


_TABLES: WeakKeyDictionary[WalkNetwork, dict[float, CellTable]] = WeakKeyDictionary()


def table(network: WalkNetwork, width_m: float) -> CellTable:
    """Give the cells of a network, made once for each width."""
    tables = _TABLES.setdefault(network, {})
    if width_m not in tables:
        tables[width_m] = CellTable(network, width_m)
    return tables[width_m]
