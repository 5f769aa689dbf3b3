"""The residual as a planar graph: its faces, who covers each, and what lies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely

from geo_service.coverage import _noding, _walk
from geo_service.coverage._arrays import (
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    components,
    points_at,
)
from geo_service.coverage._residual import Residual
from geo_service.wkb import Column

_INNER_SHARE = 1e-3  # of a face's width: nearer to its border a place says nothing
_TRIES = 6  # places tried for a face before it is taken as it is
_WEIGHTS = np.array([0.5126, 0.3041, 0.1833])  # of a triangle's corners; nothing regular


@dataclass(frozen=True)
class Faces:
    """The bounded faces that a residual encloses.

    Parameters
    ----------
    polygons : ndarray of Polygon
        In coordinates relative to `origin`; none overlap.
    origin : ndarray of float, shape (2,)
    points : ndarray of float, shape (faces, 2)
        A place inside each face, relative to `origin`.
    edge_face : ndarray of int, shape (edges,)
        The face on the left of each directed border segment.
    edge_ends : ndarray of int, shape (edges, 2)
        Its two nodes.
    edge_beside : ndarray of int, shape (edges,)
        The face on its other side; -1 where that is no bounded face.
    nodes : ndarray of float, shape (nodes, 2)
        Relative to `origin`.
    pieces : ndarray of int, shape (pieces, 2)
        The residual's lines broken wherever they meet, by their nodes: those between faces and
        those that bound none.
    """

    polygons: GeometryArray
    origin: FloatArray
    points: FloatArray
    edge_face: IntArray
    edge_ends: IntArray
    edge_beside: IntArray
    nodes: FloatArray
    pieces: IntArray

    @property
    def count(self) -> int:
        """Number of faces."""
        return len(self.polygons)


@dataclass(frozen=True)
class Cover:
    """Which features cover each face.

    Parameters
    ----------
    face, row : ndarray of int, shape (pairs,)
        By face, then row.
    number : ndarray of int, shape (faces,)
        How many features cover a face: its winding number in the sum of all chains.
    on_line : ndarray of bool, shape (faces,)
        Whether the place that was tried lies on a feature's border.
    """

    face: IntArray
    row: IntArray
    number: IntArray
    on_line: BoolArray

    def rows(self) -> list[tuple[int, ...]]:
        """Give the covering rows of every face."""
        cuts = np.cumsum(self.number)[:-1]
        return [tuple(part.tolist()) for part in np.split(self.row, cuts)]

    def replaced(self, faces: IntArray, theirs: Cover) -> Cover:
        """With what covers some faces told anew; `theirs` counts among those."""
        number, on_line = self.number.copy(), self.on_line.copy()
        number[faces], on_line[faces] = theirs.number, theirs.on_line
        stays = ~np.isin(self.face, faces)
        face = np.concatenate([self.face[stays], faces[theirs.face]])
        row = np.concatenate([self.row[stays], theirs.row])
        order = np.lexsort((row, face))
        return Cover(face[order], row[order], number, on_line)


def faces_of(left: Residual) -> Faces:
    """Node a residual and walk its planar graph.

    Coordinates are taken from a local origin, which is exact (whole units are subtracted) and lends
    the intersections all digits.
    """
    origin = np.floor(left.segments[:, :2].min(axis=0)) if not left.empty else np.zeros(2)
    nodes, pieces = _noding.noded(left.segments - np.tile(origin, 2))
    walked = _walk.walk(nodes, pieces)
    # Faces are numbered by their place, so that nothing hangs on the order of segments.
    box = shapely.bounds(walked.polygons)
    order = np.lexsort((shapely.area(walked.polygons), box[:, 1], box[:, 0]))
    rank = np.full(len(order) + 1, -1, np.int64)  # the last: no bounded face
    rank[order] = np.arange(len(order))
    polygons = walked.polygons[order]
    face = rank[np.concatenate([walked.left, walked.right])]
    beside = rank[np.concatenate([walked.right, walked.left])]
    ends = np.concatenate([pieces, pieces[:, ::-1]])
    mine = face >= 0
    return Faces(
        polygons, origin, _inner_points(polygons), face[mine], ends[mine], beside[mine], nodes,
        pieces,
    )  # fmt: skip


def _inner_points(polygons: GeometryArray) -> FloatArray:
    """A place well inside each face.

    Where a vertex lies within rounding of a border, a face may trail a strip of no width, and
    GEOS's point on the surface may lie in the strip, of which anything can be said.
    """
    inner = shapely.point_on_surface(polygons)
    points = shapely.get_coordinates(inner)
    width = 2.0 * shapely.area(polygons) / np.maximum(shapely.length(polygons), 1e-300)
    edge = shapely.distance(inner, shapely.boundary(polygons)) < _INNER_SHARE * width
    points[edge] = _other_points(polygons[edge], 0)
    return points


class Areas(Protocol):
    """Anything with polygons that tells which are near a shape."""

    @property
    def geometries(self) -> GeometryArray | Column: ...

    def near(self, shapes: GeometryArray) -> tuple[IntArray, IntArray]: ...


def covers(faces: Faces, *layers: Areas) -> list[Cover]:
    """Tell what covers each face, for several layers at once.

    One place decides for a face. Borders that cancelled may run through a face, so where the place
    lies on one, another is taken.
    """
    points = faces.points + faces.origin
    found = [cover(points, layer) for layer in layers]
    for attempt in range(_TRIES):
        unsure = np.flatnonzero(np.any([one.on_line for one in found], axis=0))
        if len(unsure) == 0:
            break
        points[unsure] = _other_points(faces.polygons[unsure], attempt) + faces.origin
        found = [
            one.replaced(unsure, cover(points[unsure], layer))
            for one, layer in zip(found, layers, strict=True)
        ]
    return found


def _other_points(polygons: GeometryArray, attempt: int) -> FloatArray:
    """Places inside polygons, others at each attempt: within their largest triangles."""
    places = np.empty((len(polygons), 2))
    for k, polygon in enumerate(polygons):
        triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(polygon))
        if len(triangles) == 0:
            places[k] = shapely.get_coordinates(polygon)[:1]
            continue
        largest = triangles[np.argsort(-shapely.area(triangles), kind="stable")]
        corners = shapely.get_coordinates(largest[attempt % len(largest)])[:3]
        places[k] = np.roll(_WEIGHTS, attempt) @ corners
    return places


def cover(points: FloatArray, areas: Areas) -> Cover:
    """Tell which features contain each place, by ray crossing (even-odd, so bow-ties too).

    Each place is tried against the few features whose box holds it: near-linear.
    """
    at, row = areas.near(points_at(points))
    near = np.unique(row)
    shapes = areas.geometries
    unprepared = shapes[near[~shapely.is_prepared(shapes[near])]]
    shapely.prepare(unprepared)
    holds = shapely.contains_xy(shapes[row], points[at, 0], points[at, 1])
    touches = shapely.intersects_xy(shapes[row], points[at, 0], points[at, 1]) & ~holds
    shapely.destroy_prepared(unprepared)
    on_line = np.bincount(at[touches], minlength=len(points)) > 0
    at, row = at[holds], row[holds]
    order = np.lexsort((row, at))
    number = np.bincount(at, minlength=len(points))
    return Cover(at[order], row[order].astype(np.int64), number.astype(np.int64), on_line)


def groups(faces: Faces, label: IntArray) -> IntArray:
    """Join faces of one label that share a border segment; give each face's group.

    Faces with a negative label belong to none (-1). Groups are numbered by their first face.
    """
    a, b = faces.edge_face, faces.edge_beside
    joined = (b >= 0) & (label[a] >= 0) & (label[a] == label[b])
    return components(len(label), a[joined], b[joined], label >= 0)
