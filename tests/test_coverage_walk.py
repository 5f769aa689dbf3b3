"""The walk of a planar graph, against GEOS's polygonizer and against looking at each side."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service.coverage._arrays import numbered
from geo_service.coverage._walk import walk


def graph(seed, *, loose):
    """Noded lines of random boxes, with loose ends and bridges where wanted."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(int(random.integers(1, 12))):
        if loose and random.random() < 0.5:
            lines.append(shapely.LineString(random.integers(0, 12, (3, 2)).astype(float)))
        else:
            (x, y), (w, h) = random.integers(0, 12, 2), random.integers(1, 6, 2)
            lines.append(shapely.box(x, y, x + w, y + h).exterior)
    noded = shapely.union_all(lines)
    xy, line = shapely.get_coordinates(shapely.get_parts(noded), return_index=True)
    at = np.flatnonzero(line[1:] == line[:-1])
    nodes, number = numbered(xy)
    pairs = np.sort(np.column_stack([number[at], number[at + 1]]), axis=1)
    return noded, nodes, np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_faces_are_those_of_the_polygonizer(seed):
    noded, nodes, ends = graph(seed, loose=True)
    wanted = shapely.get_parts(shapely.polygonize([noded]))
    found = walk(nodes, ends).polygons
    assert sorted(shapely.to_wkt(shapely.normalize(found), rounding_precision=9)) == sorted(
        shapely.to_wkt(shapely.normalize(wanted), rounding_precision=9)
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_sides_of_every_edge(seed):
    _, nodes, ends = graph(seed, loose=False)
    walked = walk(nodes, ends)
    middle = nodes[ends].mean(axis=1)
    ahead = nodes[ends[:, 1]] - nodes[ends[:, 0]]
    aside = np.column_stack([-ahead[:, 1], ahead[:, 0]]) / np.hypot(*ahead.T)[:, None] * 1e-3
    for face, place in ((walked.left, middle + aside), (walked.right, middle - aside)):
        at, polygon = shapely.STRtree(walked.polygons).query(shapely.points(place), "within")
        seen = np.full(len(ends), -1)
        seen[at] = polygon
        np.testing.assert_array_equal(face, seen)


def test_nothing_has_no_faces():
    walked = walk(np.empty((0, 2)), np.empty((0, 2), np.int64))
    assert len(walked.polygons) == 0
    loose = walk(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0, 1]]))
    assert len(loose.polygons) == 0
    assert loose.left.tolist() == loose.right.tolist() == [-1]
