"""The grid of segments against shapely's tree, which asks every geometry."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service.streets.segment_grid import SegmentGrid


def laid_out(seed: int, count: int, spread_m: float) -> tuple[SegmentGrid, np.ndarray]:
    """Chains of short segments, whose neighbours share their ends, and some long ones."""
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.normal(0, spread_m, (2, count + 1)), axis=1)
    begin = np.arange(count)
    grid = SegmentGrid.of(x, y, begin)
    ends = np.stack((np.column_stack((x, y))[:-1], np.column_stack((x, y))[1:]), axis=1)
    return grid, np.asarray(shapely.linestrings(ends))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 300),
    spread_m=st.sampled_from([0.5, 20.0, 3000.0]), far=st.sampled_from([1.0, 3.0, 1000.0]),
)  # fmt: skip
def test_nearest_is_the_nearest(seed: int, count: int, spread_m: float, far: float) -> None:
    grid, lines = laid_out(seed, count, spread_m)
    rng = np.random.default_rng(seed + 1)
    x, y = rng.normal(0, far * spread_m * count**0.5, (2, 40))
    places = shapely.points(x, y)
    found = grid.nearest(x, y, np.full(40, np.inf))
    all_m = shapely.distance(places[:, None], lines[None, :])
    np.testing.assert_allclose(all_m[np.arange(40), found], all_m.min(axis=1), rtol=1e-12)
    assert (grid.nearest(x, y, all_m.min(axis=1) * 0.999) == -1).all()
    np.testing.assert_array_equal(grid.nearest(x, y, all_m.min(axis=1) * 1.001), found)


def test_of_segments_that_meet_at_the_nearest_vertex_the_first_counts() -> None:
    # Both meet at (0.1, 0.3), from where the place lies away from each.
    x, y = np.array([-7.7, 0.1, -5.3]), np.array([0.3, 0.3, 9.1])
    grid = SegmentGrid.of(x, y, np.array([1, 0]))
    assert grid.nearest(np.array([50.0]), np.array([-3.0]), np.array([np.inf])).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), spread_m=st.sampled_from([0.5, 20.0, 3000.0]))
def test_within_gives_the_boxes_that_meet(seed: int, spread_m: float) -> None:
    grid, lines = laid_out(seed, 200, spread_m)
    rng = np.random.default_rng(seed + 1)
    for _ in range(10):
        (west, east), (south, north) = np.sort(rng.normal(0, 10 * spread_m, (2, 2)), axis=1)
        expected = np.sort(shapely.STRtree(lines).query(shapely.box(west, south, east, north)))
        np.testing.assert_array_equal(grid.within(west, south, east, north), expected)


@pytest.mark.parametrize("place", [(0.0, 0.0), (1e7, -1e9)])
def test_no_segments_have_no_nearest(place: tuple[float, float]) -> None:
    grid = SegmentGrid.of(np.zeros(1), np.zeros(1), np.empty(0, np.int64))
    x, y = np.array([place[0]]), np.array([place[1]])
    assert grid.nearest(x, y, np.array([np.inf])).tolist() == [-1]
    assert grid.within(-1.0, -1.0, 1.0, 1.0).size == 0
