"""Bounded searches: every node within a distance of each origin."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError, Phrase
from geo_service.streets.contraction import CM_PER_M, MAY_ARRIVE, MAY_LEAVE, Graph
from geo_service.streets.snapping import Snapped
from geo_service.walking import _search

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
Rows = tuple[LongArray, IntArray, IntArray]
T = TypeVar("T")

_ORIGINS_A_TASK = 512  # a task makes its own workspace; 512 searches outweigh that 100-fold


@dataclass(frozen=True, eq=False)
class Reach:
    """What each origin reaches, as rows of a CSR table.

    Parameters
    ----------
    indptr : ndarray of int64, shape (k + 1,)
        Row `i` is ``nodes[indptr[i]:indptr[i + 1]]``.
    nodes : ndarray of int32
        Reached nodes, each once, in the order the search met them.
    centimetres : ndarray of int32
        Exact distance from the origin.
    """

    indptr: LongArray
    nodes: IntArray
    centimetres: IntArray

    @property
    def metres(self) -> FloatArray:
        """Distances in metres."""
        return self.centimetres / CM_PER_M


@dataclass(frozen=True, eq=False)
class Seeds:
    """Where searches enter the graph: two seeds for each place, some places for each origin.

    Parameters
    ----------
    start : ndarray of int64, shape (k + 1,)
        Seeds of origin `i` are ``start[i]:start[i + 1]``.
    nodes : ndarray of int32, shape (s,)
        Nodes where a search begins.
    cm : ndarray of int64, shape (s,)
        What is walked till there; beyond any limit where the way there is closed.
    """

    start: LongArray
    nodes: IntArray
    cm: LongArray

    def part(self, origins: slice) -> tuple[LongArray, IntArray, LongArray]:
        """Give the seeds of some origins, as the compiled searches take them."""
        start = self.start[origins.start : origins.stop + 1]
        seeds = slice(start[0], start[-1])
        return start - start[0], self.nodes[seeds], self.cm[seeds]

    @property
    def origins(self) -> int:
        """How many origins there are."""
        return self.start.size - 1


def reach(
    network: WalkNetwork,
    origins: npt.ArrayLike,
    limit_m: float = 1200.0,
    *,
    datum: str = "wgs84",
    against: bool = False,
    workers: int | None = None,
) -> Reach:
    """Find every node within a walking distance of each origin.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    origins : array_like
        Whole numbers, shape (k,): nodes. Else floats, shape (k, 2): longitudes and latitudes in
        `datum`; each walks its straight leg to the street first. An origin without a street within
        300 m reaches nothing.
    limit_m : float
        Metres; a node at just this distance is reached.
    datum : str
        Datum of longitudes and latitudes.
    against : bool
        Walk towards the origins instead of away from them.
    workers : int, optional
        Threads; by default one a processor core.

    Returns
    -------
    Reach

    Raises
    ------
    InputError
        ``parameter_invalid``: a limit that is not positive, a node that does not exist.
    """
    limit = limit_cm("limit_m", limit_m)
    seeds = seeds_of(network, origins, datum=datum, against=against)
    graph = network.graph
    permit = MAY_ARRIVE if against else MAY_LEAVE

    def task(part: slice) -> Rows:
        return search(graph, permit, *seeds.part(part), limit)

    return Reach(*rows_of(in_parts(task, seeds.origins, workers)))


def seeds_of(network: WalkNetwork, origins: npt.ArrayLike, *, datum: str, against: bool) -> Seeds:
    """Give the seeds of nodes, or of longitudes and latitudes, each an origin of its own."""
    asked = np.asarray(origins)
    if asked.ndim < 2 and np.issubdtype(asked.dtype, np.integer):
        nodes = _existing(network, np.atleast_1d(asked))
        return Seeds(np.arange(nodes.size + 1), nodes, np.zeros(nodes.size, np.int64))
    lonlat = pairs("origins", asked)
    snapped = network.snap_all(lonlat[:, 0], lonlat[:, 1], datum=datum)
    return entrances(network.graph, snapped, against=against)


def entrances(
    graph: Graph, snapped: Snapped, *, against: bool, group_start: LongArray | None = None
) -> Seeds:
    """Where snapped places enter the graph: the tail and the head of their edge, with the walk.

    A direction that is closed gives a seed too far for any limit, as does a place without a street.
    ``group_start`` makes one origin of several places.
    """
    up, down = (graph.backward, graph.forward) if against else (graph.forward, graph.backward)
    nodes, cm = _search.entered(
        snapped.edge, snapped.offset_cm, snapped.leg_cm, graph.tail, graph.head, graph.length_cm,
        up, down,
    )  # fmt: skip
    if group_start is None:
        group_start = np.arange(snapped.edge.size + 1)
    return Seeds(2 * group_start, nodes, cm)


def search(
    graph: Graph, permit: int, start: LongArray, nodes: IntArray, cm: LongArray, limit: int
) -> Rows:
    """Search from the seeds of each origin; give counts, then nodes and centimetres in a row."""
    room = _search.workspace(graph.node_x.size, limit)
    return _search.reach_many(graph.arc_start, graph.arcs, permit, start, nodes, cm, limit, *room)


def in_parts(task: Callable[[slice], T], count: int, workers: int | None) -> list[T]:
    """Run a task over parts of the origins, side by side; the results keep their order."""
    parts = [slice(at, min(at + _ORIGINS_A_TASK, count)) for at in range(0, count, _ORIGINS_A_TASK)]
    if len(parts) <= 1:
        return [task(slice(0, count))]
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(task, parts))


def rows_of(parts: list[Rows]) -> Rows:
    """Put the rows of all parts together as one CSR table."""
    counts = np.concatenate([part[0] for part in parts])
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return indptr, np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])


def pairs(name: str, values: npt.ArrayLike) -> FloatArray:
    """Give rows of longitude and latitude, or refuse."""
    lonlat = np.asarray(values, float)
    if lonlat.ndim != 2 or lonlat.shape[1] != 2:
        reason = Phrase("每行应为经度和纬度", "rows of longitude and latitude are needed")
        raise InputError("parameter_invalid", name=name, value=lonlat.shape, reason=reason)
    return lonlat


def limit_cm(name: str, metres: float) -> int:
    """Give a limit in whole centimetres, or refuse."""
    if not 0 < metres < 1e6:
        reason = Phrase("应为 0 到 1,000,000 米", "between 0 and 1,000,000 metres")
        raise InputError("parameter_invalid", name=name, value=metres, reason=reason)
    return int(metres * CM_PER_M + 1e-6)


def _existing(network: WalkNetwork, nodes: npt.NDArray[Any]) -> IntArray:
    wrong = nodes[(nodes < 0) | (nodes >= network.node_count)]
    if wrong.size:
        reason = Phrase(
            f"结点编号为 0 到 {network.node_count - 1}",
            f"nodes are numbered 0 to {network.node_count - 1}",
        )
        raise InputError("parameter_invalid", name="origins", value=int(wrong[0]), reason=reason)
    return nodes.astype(np.int32)
