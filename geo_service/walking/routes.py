"""The shortest walk between two places, and how to walk it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo_service.errors import NoRouteError
from geo_service.streets.contraction import (
    ARC_CM_SHIFT,
    ARC_HEAD_SHIFT,
    CM_PER_M,
    MAY_ARRIVE,
    MAY_LEAVE,
    STARTS_AT_TAIL,
    Graph,
)
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped
from geo_service.walking import _search, instructions
from geo_service.walking.instructions import Path, Step
from geo_service.walking.reaching import FloatArray, IntArray, LongArray, entrances, search

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

_KMH_PER_M_S = 3.6
_SECONDS_PER_MINUTE = 60.0
_NO_CHOICE = 2  # arcs of a node where one only goes on
_ARC_CM_MASK = (1 << (ARC_HEAD_SHIFT - ARC_CM_SHIFT)) - 1


@dataclass(frozen=True, eq=False)
class Route:
    """The shortest walk between two places.

    Parameters
    ----------
    length_m : float
        Door to door: both straight legs and the streets between.
    minutes : float
        At the speed asked for.
    geometry : shapely.LineString
        The walk with both legs, WGS84 longitude and latitude.
    origin_leg_m, destination_leg_m : float
        The straight legs between the doors and the streets.
    speed_kmh : float
        The speed of `minutes`.
    steps : tuple of Step
        How to walk it; their metres add up to `length_m`.
    """

    length_m: float
    minutes: float
    geometry: shapely.LineString
    origin_leg_m: float
    destination_leg_m: float
    speed_kmh: float
    steps: tuple[Step, ...]

    def feature(self) -> dict[str, Any]:
        """Give the walk as a GeoJSON feature, its steps among the properties."""
        return {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(self.geometry),
            "properties": {
                "length_m": self.length_m,
                "minutes": self.minutes,
                "speed_kmh": self.speed_kmh,
                "origin_leg_m": self.origin_leg_m,
                "destination_leg_m": self.destination_leg_m,
                "steps": [step.record() for step in self.steps],
            },
        }


def route(
    network: WalkNetwork,
    origin: tuple[float, float],
    destination: tuple[float, float],
    *,
    datum: str = "wgs84",
    profile: str | None = None,
    speed_kmh: float | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> Route:
    """Find the shortest walk between two places.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    origin, destination : tuple of float
        Longitude and latitude in `datum`.
    datum : str
        Datum of both.
    profile : str, optional
        Who walks, instead of the network's profile.
    speed_kmh : float, optional
        Instead of the profile's speed.
    snap_limit_m : float
        The farthest street that is accepted.

    Returns
    -------
    Route

    Raises
    ------
    NoRouteError
        ``no_route``: the streets at both ends are not connected (in this direction).
    InputError
        ``street_too_far`` and others of `WalkNetwork.snap`.
    """
    if profile is not None:
        network = network.with_profile(profile)
    speed_m_s = network.speed_m_s(speed_kmh)
    start = network.snap(*origin, datum=datum, limit_m=snap_limit_m)
    end = network.snap(*destination, datum=datum, limit_m=snap_limit_m)
    path = _shortest(network.graph, start, end)
    if path is None:
        raise NoRouteError(
            "no_route", from_lon=origin[0], from_lat=origin[1],
            to_lon=destination[0], to_lat=destination[1],
        )  # fmt: skip
    first_x, first_y = network.to_plane(*origin, datum=datum)
    last_x, last_y = network.to_plane(*destination, datum=datum)
    lon, lat = network.to_lonlat(
        np.concatenate(([first_x], path.x, [last_x])), np.concatenate(([first_y], path.y, [last_y]))
    )
    legs = int(start.leg_cm[0]), int(end.leg_cm[0])
    length_m = float(path.walked_cm[-1] + sum(legs)) / CM_PER_M
    return Route(
        length_m=length_m,
        minutes=length_m / speed_m_s / _SECONDS_PER_MINUTE,
        geometry=shapely.LineString(np.column_stack((lon, lat))),
        origin_leg_m=float(start.snap_distance_m[0]),
        destination_leg_m=float(end.snap_distance_m[0]),
        speed_kmh=speed_m_s * _KMH_PER_M_S,
        steps=instructions.of(
            path, network.graph.names, np.column_stack((lon, lat)),
            origin_leg_m=legs[0] / CM_PER_M, destination_leg_m=legs[1] / CM_PER_M,
        ),
    )  # fmt: skip


def _shortest(graph: Graph, start: Snapped, end: Snapped) -> Path | None:
    """Give the shortest way between two spots on streets."""
    start_edge, end_edge = int(start.edge[0]), int(end.edge[0])
    offset, goal = int(start.offset_cm[0]), int(end.offset_cm[0])
    if graph.component[graph.tail[start_edge]] != graph.component[graph.tail[end_edge]]:
        return None
    direct = _along_one_edge(graph, start_edge, offset, goal) if start_edge == end_edge else None
    seeds = entrances(graph, start, against=False)
    seed_cm = seeds.cm - start.leg_cm
    exits = entrances(graph, end, against=True)
    exit_cm = exits.cm - end.leg_cm
    best, cm = _meet(graph, seeds.nodes, seed_cm, exits.nodes, exit_cm, direct)
    if best is None:
        return None
    if best == direct:
        return _joined([piece(graph, start_edge, offset, goal)], graph)
    walked = cm[exits.nodes].astype(np.int64) + exit_cm
    which = int(np.argmin(walked))
    pieces = [piece(graph, end_edge, 0 if which == 0 else int(graph.length_cm[end_edge]), goal)]
    node = int(exits.nodes[which])
    nodes = [node]
    while (entry := np.flatnonzero((seeds.nodes == node) & (seed_cm == cm[node]))).size == 0:
        edge, node, from_tail = _arc_into(graph, node, cm)
        length = int(graph.length_cm[edge])
        pieces.append(piece(graph, edge, *((0, length) if from_tail else (length, 0))))
        nodes.append(node)
    into = 0 if entry[0] == 0 else int(graph.length_cm[start_edge])
    pieces.append(piece(graph, start_edge, offset, into))
    return _joined(pieces[::-1], graph, nodes[::-1])


def _along_one_edge(graph: Graph, edge: int, offset: int, goal: int) -> int | None:
    if offset == goal or (graph.forward[edge] if goal > offset else graph.backward[edge]):
        return abs(goal - offset)
    return None


def _meet(
    graph: Graph,
    seeds: IntArray,
    seed_cm: LongArray,
    exits: IntArray,
    exit_cm: LongArray,
    direct: int | None,
) -> tuple[int | None, IntArray]:
    """Search in growing circles until the goal's ends are settled; give length and distances."""
    everything = min(int(graph.component_cm.max() + 2 * graph.length_cm.max()), _search.LONGEST_CM)
    gap_m = np.hypot(
        graph.node_x[seeds][:, None] - graph.node_x[exits],
        graph.node_y[seeds][:, None] - graph.node_y[exits],
    ).max()
    limit_cm = int(1.5 * gap_m * CM_PER_M) + 100 * CM_PER_M
    start = np.array([0, seeds.size])
    while True:
        limit_cm = min(limit_cm, everything)
        _, nodes, reached_cm = search(graph, MAY_LEAVE, start, seeds, seed_cm, limit_cm)
        cm = np.full(graph.node_x.size, _search.FAR, np.int32)
        cm[nodes] = reached_cm
        walked = int((cm[exits].astype(np.int64) + exit_cm).min())
        best = walked if direct is None else min(walked, direct)
        # A node beyond the limit can't give a shorter way than the limit.
        if best <= limit_cm:
            return best, cm
        if limit_cm == everything:
            return (best if best < _search.FAR else None), cm
        limit_cm *= 4


def _arc_into(graph: Graph, node: int, cm: IntArray) -> tuple[int, int, bool]:
    """Give the chain a shortest way comes by, where it comes from, and whether from its tail."""
    for slot in range(graph.arc_start[node], graph.arc_start[node + 1]):
        arc = int(graph.arcs[slot])
        other = arc >> ARC_HEAD_SHIFT
        length = (arc >> ARC_CM_SHIFT) & _ARC_CM_MASK
        if arc & MAY_ARRIVE and int(cm[other]) + length == int(cm[node]):
            edge = int(graph.arc_edges[slot])
            return edge, other, not arc & STARTS_AT_TAIL
    raise AssertionError(f"node {node} was reached by no arc")


_Piece = tuple[FloatArray, FloatArray, LongArray, IntArray]


def piece(graph: Graph, edge: int, begin_cm: int, end_cm: int) -> _Piece:
    """Give a chain between two offsets in walking order: vertices, walk, names from each on."""
    part = slice(graph.shape_start[edge], graph.shape_start[edge + 1])
    walked, x, y = graph.shape_cm[part], graph.shape_x[part], graph.shape_y[part]
    low, high = min(begin_cm, end_cm), max(begin_cm, end_cm)
    between = walked[(walked > low) & (walked < high)]
    at = np.concatenate(([low], between, [high])).astype(np.int64)
    piece_x, piece_y = np.interp(at, walked, x), np.interp(at, walked, y)
    name = graph.shape_name[part][np.searchsorted(walked, at[:-1], side="right") - 1]
    if begin_cm > end_cm:
        piece_x, piece_y, name = piece_x[::-1], piece_y[::-1], name[::-1]
        at = high - at[::-1] + low
    return piece_x, piece_y, at - low, name


def _joined(pieces: list[_Piece], graph: Graph, nodes: Sequence[int] = ()) -> Path:
    """Put pieces together; between two lies one of the nodes."""
    ends = np.cumsum([each[0].size - 1 for each in pieces])
    walked, before = [np.zeros(1, np.int64)], 0
    for each in pieces:
        walked.append(each[2][1:] + before)
        before += int(each[2][-1])
    fork = np.zeros(int(ends[-1]) + 1, bool)
    at = np.array(nodes, np.int64)
    fork[ends[:-1]] = (graph.arc_start[at + 1] - graph.arc_start[at]) > _NO_CHOICE
    return Path(
        x=np.concatenate([pieces[0][0][:1], *(p[0][1:] for p in pieces)]),
        y=np.concatenate([pieces[0][1][:1], *(p[1][1:] for p in pieces)]),
        walked_cm=np.concatenate(walked),
        name=np.concatenate([p[3] for p in pieces]),
        fork=fork,
    )
