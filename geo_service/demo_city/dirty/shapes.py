"""The few vertices that a fault moves, and the areas that follow from them alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from geo_service.demo_city.dirty.work import FloatArray, Work


def moved(work: Work, row: int, k: int, towards: FloatArray, by_m: float) -> FloatArray:
    """Vertex `k` of a grid, moved towards a place."""
    vertex = work.rings[row][k]
    way = towards - vertex
    return vertex + way / np.hypot(*way) * by_m


def with_vertex(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    """A polygon of a ring with one vertex replaced."""
    changed = ring.copy()
    changed[k] = vertex
    return shapely.polygons(changed)


def denser(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    """A polygon of a ring with one vertex more, after place `k`."""
    return shapely.polygons(np.insert(ring, k + 1, vertex, axis=0))


def quad(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    """What lies between a ring and itself with one vertex moved."""
    before, after = ring[k - 1], ring[(k + 1) % len(ring)]
    return shapely.polygons(np.array([before, ring[k], after, vertex]))


def area(polygon: Any) -> float:
    """Shoelace near the origin, where six-figure coordinates cost no digits."""
    ring = shapely.get_coordinates(polygon)
    x, y = (ring - ring[0]).T
    return abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2.0


def inner_point(polygon: Any) -> FloatArray:
    """A place inside a polygon."""
    return shapely.get_coordinates(shapely.point_on_surface(polygon))[0]


def square_inside(polygon: Any, share: float) -> Any:
    """A square around the middle of the largest circle inside, of a share of its radius."""
    radius = shapely.maximum_inscribed_circle(polygon, tolerance=1.0)
    (x, y), (ex, ey) = shapely.get_coordinates(radius)
    half = share * float(np.hypot(ex - x, ey - y))
    return shapely.box(x - half, y - half, x + half, y + half)
