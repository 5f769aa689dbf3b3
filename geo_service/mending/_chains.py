"""Grids as chains of directed segments, to which faces are added and from which they are taken.

Borders are shared segment by segment, so what one grid gains and the other loses cancels exactly:
nothing is overlaid, and no new gap can open.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import FloatArray, Geometry, numbered
from geo_service.coverage._faces import Faces
from geo_service.coverage._layer import Layer
from geo_service.coverage._places import Lines
from geo_service.coverage._walk import walk
from geo_service.mending._spots import Segments, Spot

Place = tuple[float, float]
Chain = set[tuple[Place, Place]]
"""Directed segments; none together with its reverse."""

Broken = dict[tuple[Place, Place], list[Place]]
"""A segment (the smaller end first) -> the places noding put on it, its ends included."""


_NOISE_ULPS = 8.0


class BrokenChainError(Exception):
    """A chain that is not the border of anything: lines too close to be told apart."""


def paths(faces: Faces, lines: Lines, segments: Segments) -> Broken:
    """Give the nodes that noding put on each of the residual's segments, its ends included.

    Segments that were not broken are left out. Keys run from the smaller end to the larger.
    """
    several = np.bincount(segments.segment, minlength=len(lines.segments)) > 1
    chosen = several[segments.segment]
    edge, segment = segments.piece[chosen], segments.segment[chosen]
    if len(edge) == 0:
        return {}
    edges = faces.nodes[faces.pieces]
    ends = lines.segments.reshape(-1, 2, 2)
    ahead = ends[:, 1] - ends[:, 0]
    along = np.einsum("ik,ik->i", edges[edge].mean(axis=1) - ends[segment, 0], ahead[segment])
    order = np.lexsort((along, segment))
    edge, segment = edge[order], segment[order]
    # Each piece in the direction of its segment.
    pieces = edges[edge]
    step = pieces[:, 1] - pieces[:, 0]
    back = np.einsum("ik,ik->i", step, ahead[segment]) < 0
    pieces[back] = pieces[back][:, ::-1]
    found: Broken = {}
    cuts = np.flatnonzero(np.diff(segment)) + 1
    for part in np.split(np.arange(len(segment)), cuts):
        if len(part) < 2:
            continue
        start, end = (tuple(place) for place in ends[segment[part[0]]].tolist())
        walk = [tuple(pieces[part[0], 0].tolist())]
        walk += [tuple(place) for place in pieces[part, 1].tolist()]
        joined = (pieces[part[:-1], 1] == pieces[part[1:], 0]).all()
        if joined and walk[0] == start and walk[-1] == end:
            found[start, end] = walk
    return found


def chain_of(geometry: Geometry, origin: FloatArray, broken: Broken) -> Chain:
    """Give a grid's border as directed segments, the inside on the left, broken at the nodes."""
    turned = shapely.orient_polygons(geometry)
    steps: list[tuple[Place, Place]] = []
    for ring in shapely.get_rings(shapely.get_parts(turned)):
        xy = shapely.get_coordinates(ring) - origin
        steps += pairwise(map(tuple, xy.tolist()))
    chain: Chain = set(steps)
    plain = len(chain) == len(steps) and not any(
        a == b or (b, a) in chain or (a, b) in broken or (b, a) in broken for a, b in steps
    )
    if plain:
        return chain
    chain = set()
    for a, b in steps:
        _add_walk(chain, _walk(a, b, broken))
    return chain


def _walk(a: Place, b: Place, broken: Broken) -> list[Place]:
    if a <= b:
        return broken.get((a, b), [a, b])
    return broken.get((b, a), [b, a])[::-1]


class Chains:
    """The chains of a layer's rows, each made when it is first asked for."""

    def __init__(self, layer: Layer, origin: FloatArray, broken: Broken) -> None:
        self.broken = broken
        self._layer = layer
        self._origin = origin
        self._made: dict[int, Chain] = {}

    def of(self, row: int) -> Chain:
        """Give a row's chain, to be read only; empty where its segments run over one another."""
        if row not in self._made:
            try:
                chain = chain_of(self._layer.geometries[row], self._origin, self.broken)
            except BrokenChainError:
                chain = set()
            self._made[row] = chain
        return self._made[row]

    def along(self, spot: Spot, *, ahead: bool) -> Spot:
        """The spot with those of its neighbours only whose border it is indeed.

        Lines within rounding of each other are told apart by the way they run: `ahead` for grids
        that cover the spot, whose border has it on the left as its own has.
        """
        ends = spot.edges.tolist()
        kept = np.ones(len(spot.row), np.bool_)
        for k, (of, row) in enumerate(zip(spot.of.tolist(), spot.row.tolist(), strict=True)):
            if row >= 0:
                x0, y0, x1, y1 = ends[of]
                a, b = ((x0, y0), (x1, y1)) if ahead else ((x1, y1), (x0, y0))
                kept[k] = (a, b) in self.of(row)
        return replace(spot, of=spot.of[kept], row=spot.row[kept])


def beside(places: list[Geometry], lines: Lines, broken: Broken) -> dict[int, Broken]:
    """Give, for each row, its segments along these places that were broken."""
    rings = shapely.get_rings(shapely.get_parts(places))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    at = np.flatnonzero(ring[1:] == ring[:-1])
    _, segment = lines.near((xy[at] + xy[at + 1]) / 2.0)
    segment = np.unique(segment)
    which, row = lines.owners(segment)
    found: dict[int, Broken] = defaultdict(dict)
    for index, owner in zip(segment[which].tolist(), row.tolist(), strict=True):
        x0, y0, x1, y1 = lines.segments[index].tolist()
        key = (x0, y0), (x1, y1)
        if owner >= 0 and key in broken:
            found[owner][key] = broken[key]
    return found


def with_vertices(geometry: Geometry, origin: FloatArray, broken: Broken) -> Geometry:
    """Give a grid with the places of its broken segments as vertices; all else as it was."""

    def ring_with(ring: Geometry) -> list[Place]:
        xy = shapely.get_coordinates(ring)
        out = [tuple(xy[0].tolist())]
        relative = [tuple(place) for place in (xy - origin).tolist()]
        for k, (a, b) in enumerate(pairwise(relative), start=1):
            out += [(x + origin[0], y + origin[1]) for x, y in _walk(a, b, broken)[1:-1]]
            out.append(tuple(xy[k].tolist()))
        return out

    parts = [
        shapely.Polygon(ring_with(part.exterior), [ring_with(hole) for hole in part.interiors])
        for part in shapely.get_parts(geometry)
    ]
    whole = parts[0] if geometry.geom_type == "Polygon" else shapely.MultiPolygon(parts)
    return shapely.remove_repeated_points(whole, 0.0)


def give(chain: Chain, face: Geometry) -> None:
    """Add a face to what a chain encloses."""
    for ring in _rings(face):
        _add_walk(chain, ring)


def take(chain: Chain, face: Geometry) -> None:
    """Take a face away from what a chain encloses."""
    for ring in _rings(face):
        _add_walk(chain, ring[::-1])


def _rings(face: Geometry) -> list[list[Place]]:
    turned = shapely.orient_polygons(face)
    rings = shapely.get_rings(shapely.get_parts(turned))
    return [[tuple(p) for p in shapely.get_coordinates(ring).tolist()] for ring in rings]


def _add_walk(chain: Chain, walk: list[Place]) -> None:
    for a, b in pairwise(walk):
        if a == b:
            continue
        if (b, a) in chain:
            chain.remove((b, a))
        elif (a, b) in chain:
            raise BrokenChainError
        else:
            chain.add((a, b))


def enclosed(chain: Chain, origin: FloatArray, begin: Place) -> Geometry | None:
    """Give what a chain encloses, or ``None`` where it is empty.

    A single ring begins at `begin` where that is still on it.

    Raises
    ------
    BrokenChainError
        Where the segments do not close, or close to what is not valid.
    """
    if not chain:
        return None
    ring = _single_ring(chain, begin)
    if ring is not None:
        return _placed(shapely.Polygon(ring), origin)
    nodes, number = numbered(np.array(sorted(chain)).reshape(-1, 2))
    walked = walk(nodes, number.reshape(-1, 2))
    # The inside is on the left of every segment, and on the right of none.
    inside = np.unique(walked.left)
    if inside[0] < 0 or np.isin(walked.right, inside).any():
        raise BrokenChainError
    parts = walked.polygons[inside]
    return _placed(parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts)), origin)


def _single_ring(chain: Chain, begin: Place) -> list[Place] | None:
    """The chain as one ring around its inside, or ``None`` where it is not that plain."""
    following = dict(chain)
    if len(following) != len(chain):
        return None
    here = begin if begin in following else min(following)
    ring = [here]
    while len(ring) <= len(chain):
        there = following.get(here)
        if there is None:
            raise BrokenChainError
        ring.append(there)
        here = there
        if here == ring[0]:
            break
    whole = len(ring) == len(chain) + 1
    return ring if whole and shapely.is_ccw(shapely.LinearRing(ring)) else None


def _placed(shape: Geometry, origin: FloatArray) -> Geometry:
    """Bring a grid to its own coordinates; mend what their rounding makes cross or touch."""
    placed = shapely.transform(shape, lambda xy: xy + origin)
    placed = shapely.remove_repeated_points(placed, 0.0)
    if placed.is_valid:
        return placed
    least = _NOISE_ULPS * float(np.spacing(np.abs(placed.bounds).max())) * placed.length
    kept = []
    for part in shapely.get_parts(_arrays.areas(shapely.make_valid(placed))):
        holes = [hole for hole in part.interiors if shapely.Polygon(hole).area > least]
        if part.area > least:
            kept.append(shapely.Polygon(part.exterior, holes))
    whole = kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept)
    if not whole.is_valid or abs(whole.area - placed.area) > least:
        raise BrokenChainError
    return whole


def touched(moves: list[tuple[int, ...]]) -> dict[int, list[int]]:
    """Give the numbers of the moves that concern each row."""
    found: dict[int, list[int]] = defaultdict(list)
    for number, rows in enumerate(moves):
        for row in rows:
            found[row].append(number)
    return found
