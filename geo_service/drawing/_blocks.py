"""From an area and its street lines to blocks: polygons that tile the area exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.errors import InputError, Phrase

GRID_SIZE_M = 0.01
"""Street lines meet on a grid of 1 cm; the outline keeps its own coordinates."""

RIM_SNAP_M = 0.5
"""A street that meets the outline this close to one of its vertices meets it there."""

_AREA_DRIFT_M2 = 1e-6
_ON_RIM_M = 1e-6

FloatArray = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]


def cut_by_lines(area: Any, lines: Shapes) -> Shapes:
    """Cut an area into the faces its lines make; dead ends cut nothing.

    The lines are noded on a 1 cm grid, clipped, and their ends put into the outline as nodes (or
    moved to an outline vertex near by). The faces are then polygonised from segments that meet at
    exact coordinates, so they tile the area without gap or overlap and share every vertex.

    Parameters
    ----------
    area : shapely Polygon or MultiPolygon
        In a metric plane. Its own vertices are all kept.
    lines : ndarray of shapely lines
        In the same plane; they may cross each other and leave the area.

    Returns
    -------
    ndarray of shapely Polygon

    Raises
    ------
    InputError
        ``drawing_impossible`` where the lines can't be noded without changing the area.
    """
    for grid_size in (GRID_SIZE_M, 5 * GRID_SIZE_M, 50 * GRID_SIZE_M):
        faces = _faces(area, lines, grid_size)
        drift = abs(float(shapely.area(faces).sum()) - area.area)
        if drift <= max(_AREA_DRIFT_M2, 1e-13 * area.area) and shapely.is_valid(faces).all():
            return faces
    reason = Phrase("街道线在外边界处纠缠", "the street lines tangle at the outline")
    raise InputError("drawing_impossible", reason=reason)


def rim_nodes(area: Any, shapes: Shapes) -> FloatArray:
    """Give the vertices that shapes have on an area's outline beyond the outline's own.

    Returns
    -------
    ndarray, shape (n, 2)
    """
    edges = shapely.get_coordinates(shapely.boundary(shapely.coverage_union_all(shapes)))
    own = {tuple(xy) for xy in shapely.get_coordinates(area).tolist()}
    extra = sorted({tuple(xy) for xy in edges.tolist()} - own)
    return np.array(extra, float).reshape(-1, 2)


def _faces(area: Any, lines: Shapes, grid_size: float) -> Shapes:
    clipped = _clip(area, lines, grid_size)
    segments = _segments(clipped)
    rim = _segments(shapely.get_parts(shapely.boundary(area)))
    if len(segments):
        segments, rim = _meet_rim(segments, rim)
    edges = _distinct(np.concatenate([segments, rim]))
    polygons = shapely.get_parts(shapely.polygonize(np.asarray(shapely.linestrings(edges))))
    return polygons[shapely.contains(area, shapely.point_on_surface(polygons))]


def _clip(area: Any, lines: Shapes, grid_size: float) -> Shapes:
    shapely.prepare(area)
    near = lines[shapely.intersects(area, lines)]
    noded = shapely.union_all(near, grid_size=grid_size)
    parts = shapely.get_parts(shapely.intersection(shapely.get_parts(noded), area))
    return parts[(shapely.get_dimensions(parts) == 1) & (shapely.length(parts) > 0)]


def _segments(lines: Shapes) -> FloatArray:
    """Give the segments of lines, shape (n, 2, 2)."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    same = line[1:] == line[:-1]
    return np.stack([xy[:-1][same], xy[1:][same]], axis=1)


def _distinct(segments: FloatArray) -> FloatArray:
    """Drop segments of no length, and all but one of those between the same two points."""
    order = np.lexsort((segments[:, :, 1], segments[:, :, 0]))
    ordered = np.take_along_axis(segments, order[:, :, None], axis=1)
    ordered = ordered[(ordered[:, 0] != ordered[:, 1]).any(axis=1)]
    return np.unique(ordered.reshape(-1, 4), axis=0).reshape(-1, 2, 2)


def _meet_rim(segments: FloatArray, rim: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Make the ends of clipped lines nodes of the outline; drop what runs along it."""
    tree = shapely.STRtree(np.asarray(shapely.linestrings(rim)))
    points, inverse = np.unique(segments.reshape(-1, 2), axis=0, return_inverse=True)
    hit, edge = tree.query(shapely.points(points), predicate="dwithin", distance=_ON_RIM_M)
    hit, unique = np.unique(hit, return_index=True)
    edge = edge[unique]

    ends = rim[edge]
    away = np.hypot(*(ends - points[hit][:, None]).transpose(2, 0, 1))
    nearest = away.argmin(axis=1)
    snapped = away[np.arange(len(hit)), nearest] <= RIM_SNAP_M
    points[hit[snapped]] = ends[snapped, nearest[snapped]]

    on_rim = np.zeros(len(points), bool)
    on_rim[hit] = True
    corner = inverse.reshape(-1, 2)
    segments = points[corner]
    along = np.flatnonzero(on_rim[corner].all(axis=1))
    middle = shapely.points(segments[along].mean(axis=1))
    away = tree.query_nearest(middle, all_matches=False, return_distance=True)[1]
    along = along[away <= 10 * _ON_RIM_M]
    new = hit[~snapped]
    return np.delete(segments, along, axis=0), _with_nodes(rim, edge[~snapped], points[new])


def _with_nodes(rim: FloatArray, edge: npt.NDArray[np.intp], nodes: FloatArray) -> FloatArray:
    """Break outline segments at nodes."""
    offset = np.hypot(*(nodes - rim[edge, 0]).T)
    order = np.lexsort((offset, edge))
    edge, nodes = edge[order], nodes[order]
    starts = np.concatenate([rim[:, 0], nodes])
    owner = np.concatenate([np.arange(len(rim)), edge])
    chain = np.argsort(owner, kind="stable")  # an edge's own start, then its nodes in order
    starts, owner = starts[chain], owner[chain]
    is_last = np.append(owner[1:] != owner[:-1], True)
    stops = np.empty_like(starts)
    stops[:-1] = starts[1:]
    stops[is_last] = rim[owner[is_last], 1]
    return np.stack([starts, stops], axis=1)
