"""One spot among several grids: by its triangles, whose corners are vertices that are there."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Literal

import numpy as np
import shapely

from geo_service.coverage._arrays import FloatArray, Geometry
from geo_service.mending._spots import Spot

Corner = tuple[float, float]


Way = Literal["corner", "beside", "edge"]
WAYS: tuple[Way, ...] = ("corner", "beside", "edge")
"""A triangle goes to the first of the takers that has a corner of it; that has an edge of it or of
a triangle beside it, so that a strip between two grids goes to one of them; that has an edge."""


def divided(spot: Spot, takers: list[int], way: Way) -> dict[int, Spot]:
    """Divide a spot among grids along it, in the order of `takers`.

    Parameters
    ----------
    spot : Spot
    takers : list of int
        First choice first.
    way : str
        One of `WAYS`; in the later ones, triangles without an edge go by their corners.

    Returns
    -------
    dict of Spot
        Row -> its part; empty where some of it would be nobody's.

    Notes
    -----
    The triangulation is constrained (Chew 1989, in GEOS) and adds no vertex, so no line between the
    parts ends in the middle of a grid's border. A strip along several grids that went to one of
    them would be a tentacle of it between the others.
    """
    triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(spot.polygon))
    if len(triangles) == 0:
        return {}
    rank = {row: k for k, row in enumerate(takers)}
    edges, corners = _owners(spot, rank)
    xy = shapely.get_coordinates(shapely.orient_polygons(triangles)).reshape(-1, 4, 2)
    sides: list[list[tuple[Corner, Corner]]] = [
        list(pairwise((float(x), float(y)) for x, y in corners)) for corners in xy.tolist()
    ]
    nobody = len(takers)
    by_edge = [min((edges.get(side, nobody) for side in its), default=nobody) for its in sides]
    if way == "beside":
        beside = _beside(sides)
        by_edge = [min([rank, *(by_edge[n] for n in beside[k])]) for k, rank in enumerate(by_edge)]
    ranks = [
        min(corners.get(a, nobody) for a, _ in its) if way == "corner" or rank == nobody else rank
        for its, rank in zip(sides, by_edge, strict=True)
    ]
    if not _spread(_beside(sides), ranks, nobody):
        return {}
    owner = np.array(ranks)
    return {
        takers[which]: _part(spot, triangles[owner == which], xy[owner == which])
        for which in np.unique(owner).tolist()
    }


def _owners(
    spot: Spot, rank: dict[int, int]
) -> tuple[dict[tuple[Corner, Corner], int], dict[Corner, int]]:
    """The first of the takers at each edge and at each corner of the spot."""
    edges: dict[tuple[Corner, Corner], int] = {}
    corners: dict[Corner, int] = {}
    ends = spot.edges.reshape(-1, 2, 2).tolist()
    for of, row in zip(spot.of.tolist(), spot.row.tolist(), strict=True):
        if row in rank:
            a, b = (tuple(end) for end in ends[of])
            edges[a, b] = min(rank[row], edges.get((a, b), rank[row]))
            for corner in (a, b):
                corners[corner] = min(rank[row], corners.get(corner, rank[row]))
    return edges, corners


def _beside(sides: list[list[tuple[Corner, Corner]]]) -> list[list[int]]:
    """The triangles that share a side with each."""
    at = {side: k for k, its in enumerate(sides) for side in its}
    return [[at[b, a] for a, b in its if (b, a) in at] for its in sides]


def _spread(beside: list[list[int]], ranks: list[int], nobody: int) -> bool:
    """Give triangles that touch no grid to the first of their neighbours', inwards."""
    while nobody in ranks:
        given = {
            k: min(ranks[n] for n in beside[k])
            for k, rank in enumerate(ranks)
            if rank == nobody and any(ranks[n] < nobody for n in beside[k])
        }
        if not given:
            return False
        for k, rank in given.items():
            ranks[k] = rank
    return True


def _part(spot: Spot, triangles: FloatArray, xy: FloatArray) -> Spot:
    """A part of a spot: its triangles joined, with the owners of the edges it has of the spot."""
    rims: dict[tuple[Corner, Corner], None] = {}
    for corners in xy.tolist():
        for k in range(3):
            a, b = tuple(corners[k]), tuple(corners[k + 1])
            if (b, a) in rims:
                del rims[b, a]
            else:
                rims[a, b] = None
    edges = np.array([(*a, *b) for a, b in rims])
    owners: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for of, row in zip(spot.of.tolist(), spot.row.tolist(), strict=True):
        owners[tuple(spot.edges[of].tolist())].append(row)
    pairs = [(k, row) for k, edge in enumerate(edges.tolist()) for row in owners[tuple(edge)]]
    of_row = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    return Spot(_joined(triangles), edges, of_row[:, 0], of_row[:, 1], spot.scale)


def _joined(triangles: FloatArray) -> Geometry:
    return triangles[0] if len(triangles) == 1 else shapely.coverage_union_all(triangles)
