"""Walk networks from and to osmnx's street graphs.

osmnx keeps a network as a ``networkx.MultiDiGraph`` in degrees, an edge for every direction, with
``osmid``, ``name``, ``highway``, ``length`` (metres), ``oneway``, ``reversed`` and, where it bends,
``geometry``. What comes out here can be routed, plotted and saved by osmnx; what comes in may be
walked as the graph says: its edges are taken for streets that somebody chose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo_service import crs
from geo_service.errors import InputError, Phrase
from geo_service.streets import segments, tag_rules
from geo_service.streets.contraction import CM_PER_M, Graph
from geo_service.streets.segments import Barriers, Segments, Ways

if TYPE_CHECKING:
    import networkx as nx

LONLAT = "epsg:4326"
SEVERAL = " / "
"""Between the names of a street that has several, as an edge that osmnx drew together from many."""


def export(graph: Graph, streets: Segments, lonlat: Any, node_lonlat: Any) -> nx.MultiDiGraph:
    """Give osmnx's form of a graph.

    Parameters
    ----------
    graph : Graph
        What a profile may walk.
    streets : Segments
        What it was made of.
    lonlat : ndarray of float64, shape (v, 2)
        The vertices of its chains in degrees.
    node_lonlat : ndarray of float64, shape (n, 2)
        Its nodes in degrees.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes by OSM id, and dead ends at a shut gate by negative numbers, with the gate's id as
        ``osmid_gate``. Lengths are ours, on the ellipsoid.
    """
    import networkx as nx

    made = nx.MultiDiGraph(crs=LONLAT, simplified=True, created_with="geo-service")
    names = _node_names(graph)
    degree = np.bincount(np.concatenate((graph.tail, graph.head)), minlength=len(names))
    for node, (lon, lat) in enumerate(node_lonlat.tolist()):
        about: dict[str, Any] = {"x": lon, "y": lat, "street_count": int(degree[node])}
        if names[node] < 0 and graph.node_osm_ids[node] > 0:
            about["osmid_gate"] = int(graph.node_osm_ids[node])
        made.add_node(names[node], **about)
    start = graph.shape_start.tolist()
    for edge in range(graph.tail.size):
        part = slice(start[edge], start[edge + 1])
        pieces = graph.shape_segment[part][:-1]
        about = {
            "osmid": _one_or_list(streets.way_ids[pieces].tolist()),
            "length": int(graph.length_cm[edge]) / CM_PER_M,
            "oneway": not (graph.forward[edge] and graph.backward[edge]),
        }
        for key, texts in (
            ("highway", streets.kinds[streets.kind[pieces]]),
            ("name", streets.names[streets.name[pieces]]),
        ):
            if said := [one for text in texts.tolist() if text for one in text.split(SEVERAL)]:
                about[key] = _one_or_list(said)
        line = shapely.LineString(lonlat[part])
        tail, head = names[graph.tail[edge]], names[graph.head[edge]]
        if graph.forward[edge]:
            made.add_edge(tail, head, **about, reversed=False, geometry=line)
        if graph.backward[edge]:
            made.add_edge(head, tail, **about, reversed=True, geometry=line.reverse())
    return made


def _node_names(graph: Graph) -> list[int]:
    """Give every node a number of its own: its OSM id, unless another dead end has it too."""
    ids, count = np.unique(graph.node_osm_ids, return_counts=True)
    names = graph.node_osm_ids.astype(np.int64).copy()
    shared = np.isin(names, ids[count > 1])
    lowest = min(0, int(ids[0])) if ids.size else 0
    names[shared] = lowest - 1 - np.arange(np.count_nonzero(shared))
    return names.tolist()


def _one_or_list(values: list[Any]) -> Any:
    """Give the different values in order of their first appearance; one alone as itself."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else different


def import_graph(graph: nx.MultiDiGraph) -> Segments:
    """Give the streets of an osmnx graph.

    Every edge may be walked by everybody in its direction; two edges with the same line are one
    street walked both ways. The lengths that edges state are kept. Parallel edges, loops and
    bends stay; a bend has no OSM id, so it gets one above all others.

    Parameters
    ----------
    graph : networkx.MultiDiGraph
        In degrees, or in the system its ``crs`` names.

    Raises
    ------
    InputError
        ``streets_empty``; ``value_invalid`` names a node without a position.
    """
    nodes = list(graph.nodes)
    x, y = (_positions(graph, nodes, axis) for axis in ("x", "y"))
    system = graph.graph.get("crs", LONLAT)
    if not crs.is_lonlat(system):
        x, y = _to_lonlat(x, y, system)
    row = {node: at for at, node in enumerate(nodes)}
    streets: dict[tuple[Any, ...], list[Any]] = {}
    for tail, head, about in graph.edges(data=True):
        line = _line(about, system)
        inner = line[1:-1] if line is not None else np.empty((0, 2))
        forth, back = (
            (row[tail], row[head], inner.tobytes()),
            (row[head], row[tail], inner[::-1].tobytes()),
        )
        key, turned = (forth, False) if forth <= back else (back, True)
        bends = inner[::-1] if turned else inner
        found = streets.setdefault(key, [bends, 0, 0, about])
        found[1 + turned] = tag_rules.OPEN
    return _cut(nodes, x, y, sorted(streets.items(), key=lambda item: item[0]))


def _positions(graph: nx.MultiDiGraph, nodes: list[Any], axis: str) -> Any:
    found = np.array([graph.nodes[node].get(axis, np.nan) for node in nodes], np.float64)
    if np.isnan(found).any():
        node = nodes[int(np.isnan(found).argmax())]
        raise InputError(
            "value_invalid",
            file="osmnx",
            row=node,
            field=axis,
            value="",
            reason=Phrase("没有坐标", "no position"),
        )
    return found


def _line(about: dict[str, Any], system: Any) -> Any:
    line = about.get("geometry")
    if line is None:
        return None
    found = shapely.get_coordinates(line)
    if crs.is_lonlat(system):
        return found
    return np.column_stack(_to_lonlat(found[:, 0], found[:, 1], system))


def _to_lonlat(x: Any, y: Any, system: Any) -> tuple[Any, Any]:
    return crs.Plane.of(system).inverse(x, y)


def _cut(nodes: list[Any], x: Any, y: Any, streets: list[Any]) -> Segments:
    """Cut streets at their bends, and stretch their pieces to the lengths they state."""
    whole = [node for node in nodes if isinstance(node, int)]
    highest = max([0, *whole])
    # Nodes that are no whole numbers, and bends, get ids above all others: a ring without a
    # junction begins at its smallest id, and so at a node of the graph.
    others = [at for at, node in enumerate(nodes) if not isinstance(node, int)]
    ids = np.array([node if isinstance(node, int) else 0 for node in nodes], np.int64)
    ids[others] = highest + 1 + np.arange(len(others))
    bends = np.concatenate([np.empty((0, 2)), *(found[0] for _, found in streets)])
    bend_ids = highest + 1 + len(others) + np.arange(len(bends))
    ids = np.concatenate((ids, bend_ids))
    lon, lat = np.concatenate((x, bends[:, 0])), np.concatenate((y, bends[:, 1]))
    order = np.argsort(ids, kind="stable")
    number = np.empty(order.size, np.int64)
    number[order] = np.arange(order.size)

    rows, start, bend = [], [0], len(nodes)
    for (tail, head, _), (inner, *_) in streets:
        rows.append(np.concatenate(([tail], np.arange(bend, bend + len(inner)), [head])))
        bend += len(inner)
        start.append(start[-1] + len(inner) + 2)
    if not rows:
        raise InputError("streets_empty", file="osmnx")
    abouts = [found[3] for _, found in streets]
    called, kinds = ([_text(about.get(key)) for about in abouts] for key in ("name", "highway"))
    names, sorts = sorted({"", *called}), sorted({"", *kinds})
    along = number[np.concatenate(rows)]
    ways = Ways(
        np.arange(len(streets)), np.array(start, np.int64), along,
        np.array([found[1] for _, found in streets], np.uint8),
        np.array([found[2] for _, found in streets], np.uint8),
        np.array([names.index(name) for name in called], np.int64),
        np.array([sorts.index(kind) for kind in kinds], np.int64), names, sorts,
    )  # fmt: skip
    lon, lat = lon[order], lat[order]
    nobody = Barriers(np.empty(0, np.int64), np.empty(0, np.uint8), [])
    found = segments.cut(ids[order], lon, lat, ways, nobody)
    drawn = segments.ground_length_m(
        found.lon[found.tail], found.lat[found.tail], found.lon[found.head], found.lat[found.head]
    )
    street = found.way_ids  # until now the number of the street
    total = np.bincount(street, weights=drawn, minlength=len(streets))
    stated = np.array([_number(about.get("length")) for about in abouts])
    with np.errstate(divide="ignore", invalid="ignore"):
        stretch = np.where((total > 0) & (stated > 0), stated / total, 1.0)[street]
    osm_ids = np.array([_first_id(about.get("osmid")) for about in abouts], np.int64)
    return replace(found, way_ids=osm_ids[street], stretch=stretch)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        value = SEVERAL.join(text for text in value if isinstance(text, str))
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value == value else 0.0


def _first_id(value: Any) -> int:
    if isinstance(value, list | tuple):
        value = min(value, default=0)
    return int(value) if isinstance(value, int | float) else 0
