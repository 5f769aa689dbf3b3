"""A whole city drawn: exact across community lines, the same by however many hands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import LineString, Polygon, box

from geo_service import coverage, drawing
from geo_service.drawing import whole
from geo_service.errors import InputError

PLANE = 4547
WEST, SOUTH = 478_000.0, 3_760_000.0


@pytest.fixture(scope="module")
def communities() -> gpd.GeoDataFrame:
    """Two wide ones with a slanted line between them, over one that reaches below both."""
    low, high = SOUTH + 400.0, SOUTH + 1000.0
    middle, top = (WEST + 601.7, low), (WEST + 613.3, high)
    shapes = [
        Polygon([(WEST, low), middle, top, (WEST, high)]),
        Polygon([middle, (WEST + 1200, low), (WEST + 1200, high), top]),
        Polygon([(WEST, SOUTH), (WEST + 1200, SOUTH), (WEST + 1200, low), middle, (WEST, low)]),
    ]
    codes = ["411002001001", "411002001002", "411002001003"]
    return gpd.GeoDataFrame({"code": codes}, geometry=shapes, crs=PLANE)


@pytest.fixture(scope="module")
def streets() -> gpd.GeoDataFrame:
    x, y = WEST, SOUTH
    lines = [LineString([(x - 20, y + 97.3 * k), (x + 1220, y + 99.1 * k)]) for k in range(1, 11)]
    lines += [LineString([(x + 98.7 * k, y - 20), (x + 101.3 * k, y + 1020)]) for k in range(1, 12)]
    return gpd.GeoDataFrame({"kind": ["street"] * len(lines)}, geometry=lines, crs=PLANE)


@pytest.fixture(scope="module")
def homes() -> gpd.GeoDataFrame:
    random = np.random.default_rng(1)
    xy = random.uniform((WEST, SOUTH), (WEST + 1200, SOUTH + 1000), (1200, 2))
    return gpd.GeoDataFrame(
        {"households": random.poisson(10, 1200)}, geometry=gpd.points_from_xy(*xy.T), crs=PLANE
    )


def test_no_grid_crosses_a_community_line_and_all_share_every_vertex(
    communities: gpd.GeoDataFrame, streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    told: list[tuple[int, int]] = []
    drawn = drawing.draw_all(
        communities, streets=streets, households=homes,
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    grids = drawn.grids
    shapes = np.asarray(grids.geometry.values, object)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert drawn.misses == ()
    assert grids.households.between(300, 500).all()
    assert grids.households.sum() == homes.households.sum()
    assert coverage.certificate(shapes, shapely.coverage_union_all(shapes)).clean
    assert shapely.is_valid(shapes).all()
    for code, area in zip(communities.code, communities.geometry, strict=True):
        own = grids.geometry[grids.parent_code == code]
        assert own.area.sum() == pytest.approx(area.area, abs=1e-6)
        assert own.within(area.buffer(1e-6)).all()
    session = drawing.Session(list(grids.code), shapes)  # so it can be drawn on at once
    assert session.certificate.clean


def test_the_answer_does_not_depend_on_who_draws_it(
    communities: gpd.GeoDataFrame, streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    alone = drawing.draw_all(communities, streets=streets, households=homes, seed=4)
    with ThreadPoolExecutor(3) as pool:
        shuffled = drawing.draw_all(
            communities.iloc[[2, 0, 1]], streets=streets.iloc[::-1], households=homes.iloc[::-1],
            seed=4, executor=pool,
        )  # fmt: skip
    assert (alone.grids.geometry.to_wkb() == shuffled.grids.geometry.to_wkb()).all()
    assert alone.grids.code.tolist() == shuffled.grids.code.tolist()
    other = drawing.draw_all(communities, streets=streets, households=homes, seed=5)
    assert (
        len(other.grids) != len(alone.grids)
        or (other.grids.geometry.to_wkb() != alone.grids.geometry.to_wkb()).any()
    )


def test_areas_that_can_not_be_drawn_are_one_grid_and_named(
    communities: gpd.GeoDataFrame, streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    few = homes[~homes.intersects(communities.geometry[1])]
    empty = drawing.draw_all(communities, streets=streets, households=few)
    (miss,) = empty.misses
    assert (miss.code, miss.households) == ("411002001002001", 0)

    def refuse(area: object, **options: object) -> None:
        raise InputError("drawing_impossible", reason="tangled")

    monkeypatch.setattr(whole.anew, "draw", refuse)
    left = drawing.draw_all(communities, streets=streets, households=homes)
    assert len(left.grids) == len(left.misses) == 3
    assert (left.grids.geometry.to_wkb() == communities.geometry.to_wkb()).all()
    assert "tangled" in left.misses[0].en


def test_a_shared_node_goes_into_the_grid_across_the_line() -> None:
    west, east = box(0, 0, 1, 2), box(1, 0, 2, 2)
    shapes = np.array([west, east], object)
    joined = whole._with_shared_nodes(
        shapes, np.array([0, 1]), [np.array([[1.0, 0.5], [1.0, 2.0]]), np.empty((0, 2))]
    )
    assert joined[0] is west
    assert (1.0, 0.5) in joined[1].exterior.coords[:]
    assert len(joined[1].exterior.coords) == 6  # the corner was there
