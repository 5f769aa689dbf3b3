"""Places to the nearest street that leads somewhere.

A place snaps only to pieces of the network with at least `MIN_PIECE_M` of path: an isolated
staircase or a mapped courtyard behind a locked gate is no way into the city. In an extract too
small for that rule a tenth of its largest piece is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_service.streets import segment_grid
from geo_service.streets.contraction import CM_PER_M, Graph
from geo_service.streets.segment_grid import SegmentGrid
from geo_service.streets.segments import FloatArray, LongArray

MIN_PIECE_M = 1000.0
MIN_PIECE_SHARE = 0.1
SNAP_LIMIT_M = 300.0


@dataclass(frozen=True, eq=False)
class Snapped:
    """Where places meet the streets; every field has the shape of what was asked.

    Parameters
    ----------
    edge : ndarray of int64
        The chain; -1 where no street lies within the limit.
    offset_m : ndarray of float64
        Walked length from the chain's tail to the spot, to the centimetre.
    snap_distance_m : ndarray of float64
        From the place to the spot (to the nearest accepted street also where `edge` is -1).
    x, y : ndarray of float64
        The spot, in the network's plane.
    refused_distance_m : ndarray of float64
        Distance of a nearer street in a piece too short to start from; NaN where there is none.
    refused_edge : ndarray of int64
        The chain of that street; -1 where there is none.
    """

    edge: LongArray
    offset_m: FloatArray
    snap_distance_m: FloatArray
    x: FloatArray
    y: FloatArray
    refused_distance_m: FloatArray
    refused_edge: LongArray

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Whether there is a street within the limit."""
        return self.edge >= 0

    def one(self, place: int) -> Snapped:
        """Give one of the places alone."""
        row = slice(place, place + 1)
        return Snapped(*(getattr(self, name)[row] for name in self.__dataclass_fields__))

    @property
    def offset_cm(self) -> LongArray:
        """The offset in whole centimetres."""
        return np.rint(self.offset_m * CM_PER_M).astype(np.int64)

    @property
    def leg_cm(self) -> LongArray:
        """The straight leg between place and street in whole centimetres."""
        return np.rint(self.snap_distance_m * CM_PER_M).astype(np.int64)


class StreetIndex:
    """Finds the nearest segment of a graph; built once, then shared by all threads.

    Parameters
    ----------
    graph : Graph
        What is snapped to.

    Attributes
    ----------
    begin, edge : ndarray of int64, shape (s,)
        First vertex and chain of the accepted segments; those of refused pieces come after.
    accepted : int
        How many segments belong to accepted pieces.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        inner = np.ones(max(graph.shape_x.size - 1, 0), bool)
        inner[graph.shape_start[1:-1] - 1] = False  # from one chain's last vertex to the next chain
        begin = np.flatnonzero(inner)
        edge = np.repeat(np.arange(graph.tail.size), np.diff(graph.shape_start) - 1)
        short = graph.component_cm < least_piece_cm(graph)
        refused = short[graph.component[graph.tail[edge]]]
        order = np.argsort(refused, kind="stable")
        self.begin: LongArray = begin[order]
        self.edge: LongArray = edge[order]
        self.accepted = int(np.count_nonzero(~refused))
        ends = graph.shape_x, graph.shape_y
        self._served = SegmentGrid.of(*ends, self.begin[: self.accepted])
        self._refused = SegmentGrid.of(*ends, self.begin[self.accepted :])

    def within(self, west: float, south: float, east: float, north: float) -> LongArray:
        """Give the accepted segments whose boxes meet a box, in order."""
        return self._served.within(west, south, east, north)

    def snap(self, x: FloatArray, y: FloatArray, *, limit_m: float) -> Snapped:
        """Snap places given in the plane; of equally near segments the first one counts.

        Parameters
        ----------
        x, y : ndarray of float64, shape (k,)
            Metres in the network's plane.
        limit_m : float
            The farthest street that is accepted.
        """
        graph, anywhere = self._graph, np.full(x.size, np.inf)
        shapes = graph.shape_x, graph.shape_y, graph.shape_cm
        segment = self._served.nearest(x, y, anywhere)
        spot_x, spot_y, offset_cm = segment_grid.feet(self.begin[segment], x, y, *shapes)
        distance_m = np.hypot(spot_x - x, spot_y - y)
        refused_m, refused = np.full(x.size, np.nan), np.full(x.size, -1)
        other = self._refused.nearest(x, y, distance_m)
        nearer = np.flatnonzero(other >= 0)
        if nearer.size:
            member = other[nearer] + self.accepted
            other_x, other_y, _ = segment_grid.feet(
                self.begin[member], x[nearer], y[nearer], *shapes
            )
            refused_m[nearer] = np.hypot(other_x - x[nearer], other_y - y[nearer])
            refused[nearer] = self.edge[member]
        near = distance_m <= limit_m
        return Snapped(
            np.where(near, self.edge[segment], -1), offset_cm / CM_PER_M, distance_m,
            spot_x, spot_y, refused_m, refused,
        )  # fmt: skip


def least_piece_cm(graph: Graph) -> float:
    """Give the length of the shortest piece that places snap to, in centimetres."""
    largest = float(graph.component_cm.max(initial=0))
    return min(MIN_PIECE_M * CM_PER_M, MIN_PIECE_SHARE * largest)
