"""The streets within a walk, as lines with the minutes at which they are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import shapely

from geo_service import crs, walking
from geo_service.streets.contraction import CM_PER_M, MAY_LEAVE
from geo_service.streets.snapping import SNAP_LIMIT_M

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Span = tuple[int, int, int, int]  # centimetres: from, to along the chain; walk at both

_SECONDS_PER_MINUTE = 60.0


def reached_edges(
    network: WalkNetwork,
    lon: float,
    lat: float,
    *,
    minutes: float = 15.0,
    datum: str = "wgs84",
    speed_kmh: float | None = None,
    profile: str | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> gpd.GeoDataFrame:
    """Give the streets within some minutes of walking from a place.

    A chain that is walked from both ends, or from the origin both ways, gives a line for each
    walk, so each line is walked in its own direction and the minutes along it only grow.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    lon, lat : float
        Degrees in `datum`.
    minutes : float
        The longest walk.
    datum, speed_kmh, profile, snap_limit_m
        As in `catchment`.

    Returns
    -------
    GeoDataFrame
        WGS84: ``edge`` (chain of the graph), ``street`` (its name where it begins, else ""),
        ``length_m``, ``minutes_from``, ``minutes_to``, ``geometry`` (LineString). Each metre once.

    Raises
    ------
    InputError
        As `catchment` of a single place.
    """
    if profile is not None:
        network = network.with_profile(profile)
    limit = network.limit_cm(minutes, speed_kmh=speed_kmh)
    origin = network.snap(lon, lat, datum=datum, limit_m=snap_limit_m)
    graph = network.graph
    seeds = walking.entrances(graph, origin, against=False)
    _, nodes, reached = walking.search(graph, MAY_LEAVE, seeds.start, seeds.nodes, seeds.cm, limit)
    cm = dict(zip(nodes.tolist(), reached.tolist(), strict=True))
    home, offset, leg = int(origin.edge[0]), int(origin.offset_cm[0]), int(origin.leg_cm[0])
    slots = [np.arange(graph.arc_start[n], graph.arc_start[n + 1]) for n in nodes]
    edges = np.unique(np.concatenate([[home], *(graph.arc_edges[s] for s in slots)]))
    cm_a_minute = network.speed_m_s(speed_kmh) * _SECONDS_PER_MINUTE * CM_PER_M
    columns: dict[str, list[float | int | str]] = {
        name: [] for name in ("edge", "street", "length_m", "minutes_from", "minutes_to")
    }
    lines = []
    for edge in edges.astype(int).tolist():
        tail = cm.get(int(graph.tail[edge]), limit) if graph.forward[edge] else limit
        head = cm.get(int(graph.head[edge]), limit) if graph.backward[edge] else limit
        length = int(graph.length_cm[edge])
        spans = _home_spans(
            graph.forward[edge], graph.backward[edge], length, offset, leg, tail, head, limit
        ) if edge == home else _spans(0, length, tail, head, limit)  # fmt: skip
        for begin, end, first, last in spans:
            x, y, _, name = walking.piece(graph, edge, begin, end)
            lines.append(np.column_stack(network.to_lonlat(x, y)))
            columns["edge"].append(edge)
            columns["street"].append(str(graph.names[name[0]]))
            columns["length_m"].append(abs(end - begin) / CM_PER_M)
            columns["minutes_from"].append(first / cm_a_minute)
            columns["minutes_to"].append(last / cm_a_minute)
    shapes = [shapely.LineString(line) for line in lines]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs.WGS84_EPSG)


def _spans(low: int, high: int, low_cm: int, high_cm: int, limit: int) -> list[Span]:
    """Give what is walked of a stretch from its two ends, up to where the walks meet."""
    ahead = min(max(limit - low_cm, 0), high - low)
    back = min(max(limit - high_cm, 0), high - low)
    if ahead + back > high - low:
        # Both come to the same place at the same time.
        ahead = min(max((high_cm - low_cm + high - low) // 2, 0), high - low)
        ahead, back = min(ahead, limit - low_cm), high - low - ahead
    spans = []
    if ahead > 0:
        spans.append((low, low + ahead, low_cm, low_cm + ahead))
    if back > 0:
        spans.append((high, high - back, high_cm, high_cm + back))
    return spans


def _home_spans(
    forward: bool, backward: bool, length: int, offset: int, leg: int, tail: int, head: int,
    limit: int,
) -> list[Span]:  # fmt: skip
    """Give what is walked of the origin's own chain, which is entered between its ends."""
    return _spans(0, offset, tail, leg if backward else limit, limit) + _spans(
        offset, length, leg if forward else limit, head, limit
    )
