"""Polygons of a tiling cut apart by chords, each neighbour given the nodes it shares.

A chord ends on a border that another polygon may share. Its end becomes a node of that one too:
every segment knows the node that was put into it, and a polygon takes up the nodes of its segments
before it is cut, and at the end. That is all the topology thousands of cuts need; a `Sheet`, which
proves every edit and can undo it, takes five times as long.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.drawing._blocks import RIM_SNAP_M
from geo_service.drawing._rings import distances

Point = tuple[float, float]
Nodes = dict[tuple[Point, Point], Point]
"""The node put into a segment (its ends in order), which thereby became two."""

Ring = list[Point]

_CRUMB_M2 = 1.0  # what a chord cuts off that all but runs along the border
_AREA_DRIFT_M2 = 1e-6
_AREA_DRIFT = 1e-12  # of the area: what its sum is rounded by


@dataclass(frozen=True)
class Cut:
    """A polygon cut apart.

    Parameters
    ----------
    parts : list of shapely Polygon
        By decreasing area; none where the chords don't cut it apart cleanly.
    along : list of shapely LineString
        The chords, their ends where they met the border.
    nodes : Nodes
        What the cut put into segments.
    """

    parts: list[Any]
    along: list[Any]
    nodes: Nodes


def split(shape: Any, chords: npt.NDArray[np.object_], nodes: Nodes) -> Cut:
    """Cut a polygon by chords that each run from border to border.

    Parameters
    ----------
    shape : shapely Polygon
        In a metric plane.
    chords : ndarray of shapely LineString
        An end within `RIM_SNAP_M` of a vertex is moved there.
    nodes : Nodes
        Put into segments so far.
    """
    rings = [taken_up(ring, nodes) for ring in _rings_of(shape)]
    added: Nodes = {}
    lines = []
    for chord in chords:
        a, *turns, b = shapely.get_coordinates(chord)
        ends = [_met(rings, a, added), _met(rings, b, added)]
        if ends[0] != ends[1]:
            lines.append([ends[0], *map(tuple, turns), ends[1]])
    met = Counter(point for ring in rings for point in ring[1:])
    marks = {point for point, rings_there in met.items() if rings_there > 1}
    marks.update(end for line in lines for end in (line[0], line[-1]))
    paths = [path for ring in rings for path in _between_marks(ring, marks)]
    along = [shapely.linestrings(line) for line in lines]
    noded = [shapely.linestrings(path) for path in paths]
    parts = shapely.get_parts(shapely.polygonize([*noded, *along]))
    if len(rings) > 1:
        parts = parts[shapely.contains(shape, shapely.point_on_surface(parts))]
    area = shapely.area(parts)
    drift = abs(float(area.sum()) - shape.area)
    allowed = max(_AREA_DRIFT_M2, _AREA_DRIFT * shape.area)
    clean = len(parts) > 1 and drift <= allowed and float(area.min()) > _CRUMB_M2
    if not clean or not shapely.is_valid(parts).all():
        return Cut([], [], {})
    return Cut(list(parts[np.argsort(-area, kind="stable")]), along, added)


def with_nodes(shape: Any, nodes: Nodes) -> Any:
    """Put into a polygon's border the nodes its neighbours' cuts have there."""
    rings = _rings_of(shape)
    full = [taken_up(ring, nodes) for ring in rings]
    if all(len(old) == len(new) for old, new in zip(rings, full, strict=True)):
        return shape
    return shapely.Polygon(full[0], full[1:])


def taken_up(ring: Ring, nodes: Nodes) -> Ring:
    """Give a closed ring with the nodes put into its segments."""
    full = [ring[0]]
    for a, b in pairwise(ring):
        if (a, b) in nodes or (b, a) in nodes:
            full += _inside(a, b, nodes)
        full.append(b)
    return full


def _inside(a: Point, b: Point, nodes: Nodes) -> Iterable[Point]:
    node = nodes.get(_segment(a, b))
    if node is None:
        return []
    return [*_inside(a, node, nodes), node, *_inside(node, b, nodes)]


def _segment(a: Point, b: Point) -> tuple[Point, Point]:
    return (a, b) if a < b else (b, a)


def _rings_of(shape: Any) -> list[Ring]:
    rings = [shape.exterior, *shape.interiors]
    return [list(map(tuple, shapely.get_coordinates(ring).tolist())) for ring in rings]


def _met(rings: list[Ring], end: npt.NDArray[np.float64], added: Nodes) -> Point:
    """Give the vertex at the end of a chord; where there is none, put one into the ring."""
    away = [distances(np.array(ring), end) for ring in rings]
    nearest = int(np.argmin([each.min() for each in away]))
    ring, at = rings[nearest], int(away[nearest].argmin())
    corner = min((ring[at], ring[at + 1]), key=lambda point: math.dist(point, end))
    if math.dist(corner, end) <= RIM_SNAP_M:
        return corner
    node = (float(end[0]), float(end[1]))
    added[_segment(ring[at], ring[at + 1])] = node
    ring.insert(at + 1, node)
    return node


def _between_marks(ring: Ring, marks: set[Point]) -> list[Ring]:
    """Give a ring as paths that meet at the marked vertices."""
    at = [i for i, point in enumerate(ring[:-1]) if point in marks]
    if not at:
        return [ring]
    turned = [*ring[at[0] : -1], *ring[: at[0] + 1]]
    cuts = [*(i - at[0] for i in at), len(turned) - 1]
    return [turned[i : j + 1] for i, j in pairwise(cuts)]
