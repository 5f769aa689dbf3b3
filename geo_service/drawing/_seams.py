"""Lines between areas that were drawn apart: both sides get the same nodes, to the bit.

Each side meets a common line at nodes of its own. Two that lie within `SAME_NODE_M` are one: the
area with the smaller row keeps its own and the other takes it. Then every node stands in the rings
on both sides, in its order along the line, so the whole shares every vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing._rings import distances

SAME_NODE_M = 0.01
"""Nodes of the two sides that are this near are one place: streets are noded on a grid of 1 cm."""

_ON_LINE_M = 1e-6

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]
Place = tuple[float, float]
Edge = tuple[Place, Place]


@dataclass
class _Line:
    """One straight stretch of the areas' own lines, and the nodes on it in order."""

    nodes: list[Place] = field(default_factory=list)
    rank: dict[tuple[int, Place], int] = field(default_factory=dict)


def matched(areas: Shapes) -> Shapes:
    """Put the vertices of its neighbours into the straight edges of an area where it lacks them.

    Areas that match vertex by vertex come back as they are.
    """
    graph = topology.build(areas)
    open_arcs = [graph.arc(arc) for arc in graph.open_arcs]
    if not open_arcs:
        return areas
    places = np.unique(np.concatenate(open_arcs), axis=0)
    tree = shapely.STRtree(areas)
    points = np.asarray(shapely.points(places))
    place, area = tree.query(points, predicate="dwithin", distance=_ON_LINE_M)
    out = areas.copy()
    order = np.lexsort((place, area))
    for which in np.split(order, np.flatnonzero(np.diff(area[order])) + 1):
        if len(which):
            row = int(area[which[0]])
            out[row] = with_nodes(out[row], places[place[which]])
    return out


def with_nodes(shape: Any, nodes: FloatArray) -> Any:
    """Put nodes into the border of a polygon where it lacks them; else it comes back as it is."""
    own = set(map(tuple, shapely.get_coordinates(shape).tolist()))
    lacking = [node for node in nodes if tuple(node.tolist()) not in own]
    if not lacking:
        return shape
    parts = [
        [shapely.get_coordinates(ring) for ring in [part.exterior, *part.interiors]]
        for part in shapely.get_parts(shape)
    ]
    for node in lacking:
        away = [
            (distances(ring, node), part, k)
            for part, rings in enumerate(parts)
            for k, ring in enumerate(rings)
        ]
        near, part, k = min(away, key=lambda each: each[0].min())
        parts[part][k] = np.insert(parts[part][k], int(near.argmin()) + 1, node, axis=0)
    built = [shapely.Polygon(rings[0], rings[1:]) for rings in parts]
    return built[0] if len(built) == 1 else shapely.MultiPolygon(built)


def share_nodes(
    shapes: Shapes, owner: IntArray, areas: Shapes, nodes: Sequence[FloatArray]
) -> tuple[Shapes, FloatArray]:
    """Give the grids of areas drawn apart the same nodes on both sides of their common lines.

    Parameters
    ----------
    shapes : ndarray of shapely polygons
        All grids; those of one area tile it exactly.
    owner : ndarray of int
        The area of each grid.
    areas : ndarray of shapely polygons
        The areas, matched vertex by vertex.
    nodes : sequence of ndarray, each of shape (n, 2)
        For each area the vertices its grids have on its outline beyond the outline's own.

    Returns
    -------
    shapes : ndarray of shapely polygons
        Grids on no such line keep their bytes. A node moves by `SAME_NODE_M` at most.
    nodes : ndarray, shape (n, 2)
        The nodes on the areas' lines now, in order.
    """
    at = _edges(areas, nodes)
    tree = shapely.STRtree(shapes)
    points = np.asarray(shapely.points(np.concatenate([np.empty((0, 2)), *nodes])))
    touched = np.unique(tree.query(points, predicate="dwithin", distance=_ON_LINE_M)[1])
    apart: set[Edge] = set()
    while True:
        lines = _lines(at, apart)
        out = shapes.copy()
        for row in touched.tolist():
            out[row] = _rebuilt(shapes[row], _Rim(int(owner[row]), at, lines).ring)
        broken = touched[~shapely.is_valid(out[touched])]
        crossed = _edges_of(shapes[broken], owner[broken], at) - apart
        if not crossed:
            kept = {node for line in lines.values() for node in line.nodes}
            return out, np.array(sorted(kept), float).reshape(-1, 2)
        apart |= crossed  # two corners fell together there: these nodes stay two


def _edges(areas: Shapes, nodes: Sequence[FloatArray]) -> dict[tuple[int, Place], Edge]:
    """Find the stretch of its area's outline that each node lies on."""
    found: dict[tuple[int, Place], Edge] = {}
    for row, (area, places) in enumerate(zip(areas, nodes, strict=True)):
        if not len(places):
            continue
        xy, ring = shapely.get_coordinates(
            shapely.get_rings(shapely.get_parts(area)), return_index=True
        )
        starts = np.flatnonzero(ring[1:] == ring[:-1])
        segments = np.stack([xy[starts], xy[starts + 1]], axis=1)
        tree = shapely.STRtree(np.asarray(shapely.linestrings(segments)))
        nearest = tree.query_nearest(np.asarray(shapely.points(places)), all_matches=False)[1]
        for (x, y), ends in zip(places.tolist(), segments[nearest].tolist(), strict=True):
            (x0, y0), (x1, y1) = sorted(ends)
            found[row, (x, y)] = (x0, y0), (x1, y1)
    return found


def _edges_of(shapes: Shapes, owner: IntArray, at: dict[tuple[int, Place], Edge]) -> set[Edge]:
    return {
        at[area, place]
        for shape, area in zip(shapes, owner.tolist(), strict=True)
        for place in map(tuple, shapely.get_coordinates(shape).tolist())
        if (area, place) in at
    }


def _lines(at: dict[tuple[int, Place], Edge], apart: set[Edge]) -> dict[Edge, _Line]:
    """Put the nodes of both sides in order along each stretch, those of one place as one."""
    on: dict[Edge, list[tuple[float, int, Place]]] = {}
    for (area, place), edge in at.items():
        (x0, y0), (x1, y1) = edge
        along = (place[0] - x0) * (x1 - x0) + (place[1] - y0) * (y1 - y0)
        on.setdefault(edge, []).append((along, area, place))
    lines = {}
    for edge, found in on.items():
        line = lines[edge] = _Line()
        found.sort()
        single: tuple[int, Place] | None = None  # a node that may still find its like
        for _, area, place in found:
            if single is not None and single[0] != area and _same(single[1], place, edge, apart):
                line.rank[area, place] = len(line.nodes) - 1
                if area < single[0]:
                    line.nodes[-1] = place
                single = None
                continue
            line.rank[area, place] = len(line.nodes)
            line.nodes.append(place)
            single = area, place
    return lines


def _same(one: Place, other: Place, edge: Edge, apart: set[Edge]) -> bool:
    if one == other:
        return True
    near = (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 <= SAME_NODE_M**2
    return near and edge not in apart


@dataclass(frozen=True)
class _Rim:
    """The lines of one area, as the rings of its grids run along them."""

    area: int
    at: dict[tuple[int, Place], Edge]
    lines: dict[Edge, _Line]

    def ring(self, xy: list[Place]) -> list[Place]:
        """Give a closed ring with the common nodes."""
        out: list[Place] = []
        for here, there in pairwise(xy):
            edge = self.at.get((self.area, here))
            out.append(here if edge is None else self._common(edge, here))
            out += self._between(here, there)
        return [*out, out[0]]

    def _common(self, edge: Edge, place: Place) -> Place:
        line = self.lines[edge]
        return line.nodes[line.rank[self.area, place]]

    def _between(self, here: Place, there: Place) -> list[Place]:
        """Give the nodes between two corners of a ring that follow each other along a line."""
        edge = self.at.get((self.area, here)) or self.at.get((self.area, there))
        if edge is None:
            edge = (here, there) if here < there else (there, here)
        line = self.lines.get(edge)
        if line is None:
            return []
        first, last = self._rank(edge, here), self._rank(edge, there)
        if first is None or last is None:
            return []
        if first < last:
            return line.nodes[first + 1 : last]
        return line.nodes[last + 1 : first][::-1]

    def _rank(self, edge: Edge, place: Place) -> int | None:
        if place == edge[0]:
            return -1
        if place == edge[1]:
            return len(self.lines[edge].nodes)
        return self.lines[edge].rank.get((self.area, place))


def _rebuilt(shape: Any, ring_of: Callable[[list[Place]], list[Place]]) -> Any:
    """Give a polygon with each ring made anew; the same object where none changes."""
    changed = False
    parts = []
    for part in shapely.get_parts(shape):
        rings = []
        for ring in [part.exterior, *part.interiors]:
            old = [tuple(xy) for xy in shapely.get_coordinates(ring).tolist()]
            new = ring_of(old)
            changed |= new != old
            rings.append(new)
        parts.append(shapely.Polygon(rings[0], rings[1:]))
    if not changed:
        return shape
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
