"""A whole city drawn: exact across community lines, the same by however many hands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely import LineString, Point, Polygon, box

from geo_service import coverage, drawing
from geo_service.drawing import _seams, whole
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
    assert shapely.coverage_is_valid(shapes)
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

    def refuse(area: object, given: object, **options: object) -> None:
        raise InputError("drawing_impossible", reason="tangled")

    monkeypatch.setattr(whole.anew, "drawn_in", refuse)
    left = drawing.draw_all(communities, streets=streets, households=homes)
    assert len(left.grids) == len(left.misses) == 3
    assert (left.grids.geometry.to_wkb() == communities.geometry.to_wkb()).all()
    assert "tangled" in left.misses[0].en


def strips(corner: np.ndarray, along: np.ndarray, across: np.ndarray, at: list[float]) -> list[Any]:
    """A parallelogram beside a line from `corner`, cut across at shares of the line."""
    shares = [0.0, *at, 1.0]
    return [
        Polygon([corner + p * along, corner + q * along,
                 corner + q * along + across, corner + p * along + across])
        for p, q in pairwise(shares)
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    west=st.lists(st.floats(0.01, 0.99), max_size=4, unique=True),
    east=st.lists(st.floats(0.01, 0.99), max_size=4, unique=True),
    nearly=st.lists(st.floats(-0.02, 0.02), max_size=4),
    turn=st.floats(0, 6.28),
)
def test_both_sides_of_a_line_get_the_same_nodes(
    west: list[float], east: list[float], nearly: list[float], turn: float
) -> None:
    """Whatever the direction, and however near two nodes of the two sides are (3e-7 m, 1 cm)."""
    length = 100.0
    west = sorted(west)
    east = sorted({*east, *(w + step / length for w, step in zip(west, nearly, strict=False))})
    start = np.array([WEST, SOUTH])
    along = length * np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]]) / 2
    sides = [strips(start, along, across, west), strips(start, along, -across, east)]
    areas = np.array([strips(start, along, a, [])[0] for a in (across, -across)], object)
    shapes = np.array([*sides[0], *sides[1]], object)
    assume(shapely.is_valid(shapes).all())  # two shares that round to one place are no tiling
    owner = np.repeat([0, 1], [len(side) for side in sides])
    nodes = [np.array([start + s * along for s in each]).reshape(-1, 2) for each in (west, east)]
    joined, placed = _seams.share_nodes(shapes, owner, areas, nodes)
    assert shapely.is_valid(joined).all()
    assert shapely.coverage_is_valid(joined)
    assert coverage.certificate(joined, shapely.coverage_union_all(joined)).clean
    assert shapely.hausdorff_distance(joined, shapes).max() <= _seams.SAME_NODE_M
    assert {tuple(node) for node in nodes[0].tolist()} <= {tuple(node) for node in placed.tolist()}
    assert len(placed) <= len(west) + len(east)


def test_nodes_within_a_centimetre_are_one_and_the_first_area_keeps_its_own() -> None:
    west = [box(0, 0, 1, 1), box(0, 1, 1, 2)]
    east = [box(1, 0, 2, 1.004), box(1, 1.004, 2, 2)]
    areas = np.array([box(0, 0, 1, 2), box(1, 0, 2, 2)], object)
    joined, placed = _seams.share_nodes(
        np.array([*west, *east], object), np.array([0, 0, 1, 1]), areas,
        [np.array([[1.0, 1.0]]), np.array([[1.0, 1.004]])],
    )  # fmt: skip
    assert placed.tolist() == [[1.0, 1.0]]
    assert joined[0] is west[0]
    assert (1.0, 1.0) in joined[2].exterior.coords[:]
    assert (1.0, 1.004) not in joined[2].exterior.coords[:]


def test_areas_that_lack_a_neighbours_corner_get_it() -> None:
    areas = np.array([box(0, 0, 2, 1), box(0, 1, 1, 2), box(1, 1, 2, 2)], object)
    below, *above = _seams.matched(areas)
    assert (1.0, 1.0) in below.exterior.coords[:]
    assert above == [areas[1], areas[2]]
    assert shapely.coverage_is_valid(np.array([below, *above], object))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_tiling_of_communities_stays_exact(seed: int) -> None:
    """Streets and lines of every slant: one coverage that keeps the lines' own vertices."""
    random = np.random.default_rng(seed)
    middles = shapely.MultiPoint(random.uniform((WEST, SOUTH), (WEST + 900, SOUTH + 700), (6, 2)))
    frame = box(WEST, SOUTH, WEST + 900, SOUTH + 700)
    cells = shapely.get_parts(shapely.voronoi_polygons(middles, extend_to=frame))
    areas = gpd.GeoDataFrame(
        {"code": [f"41100200100{k}" for k in range(1, 7)]},
        geometry=shapely.coverage_simplify(shapely.intersection(cells, frame), 0.0), crs=PLANE,
    )  # fmt: skip
    ends = random.uniform((WEST, SOUTH), (WEST + 900, SOUTH + 700), (14, 2, 2))
    streets = gpd.GeoDataFrame(
        {"kind": random.choice(["major", "street", "minor"], 14)},
        geometry=list(shapely.linestrings(ends)), crs=PLANE,
    )  # fmt: skip
    xy = random.uniform((WEST, SOUTH), (WEST + 900, SOUTH + 700), (600, 2))
    homes = gpd.GeoDataFrame(
        {"households": random.poisson(8, 600)}, geometry=gpd.points_from_xy(*xy.T), crs=PLANE
    )
    drawn = drawing.draw_all(areas, streets=streets, households=homes, target=(120, 220), seed=seed)
    shapes = np.asarray(drawn.grids.geometry.values, object)
    whole = shapely.coverage_union_all(shapes)
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert coverage.certificate(shapes, whole).clean
    corners = {tuple(xy) for xy in shapely.get_coordinates(shapes).tolist()}
    assert {tuple(xy) for xy in shapely.get_coordinates(areas.geometry.values).tolist()} <= corners
    outer = {tuple(xy) for xy in shapely.get_coordinates(whole).tolist()}
    own = {tuple(xy) for xy in shapely.get_coordinates(areas.geometry.values).tolist()}
    assert outer - own <= {tuple(xy) for xy in drawn.rim_nodes.tolist()}
    assert drawn.grids.households.sum() == homes.households.sum()
    for code, area in zip(areas.code, areas.geometry, strict=True):
        mine = drawn.grids.geometry[drawn.grids.parent_code == code]
        assert mine.area.sum() == pytest.approx(area.area, abs=0.01 * area.length)


def test_a_home_on_a_community_line_is_counted_once(
    communities: gpd.GeoDataFrame, streets: gpd.GeoDataFrame
) -> None:
    on_line = [(WEST + 300, SOUTH + 400.0), (WEST + 900, SOUTH + 400.0), (WEST - 99, SOUTH)]
    homes = gpd.GeoDataFrame(
        {"households": [100, 100, 7]}, geometry=[Point(xy) for xy in on_line], crs=PLANE
    )
    drawn = drawing.draw_all(communities, streets=streets, households=homes)
    assert drawn.grids.households.sum() == 200
    told = {note.code: note.en for note in drawn.notes}
    assert told["households_outside"].startswith("7 households")


def test_who_stops_listening_stops_the_drawing(
    communities: gpd.GeoDataFrame, streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise StoppedError

    with ThreadPoolExecutor(1) as pool, pytest.raises(StoppedError):
        drawing.draw_all(
            communities, streets=streets, households=homes, executor=pool, on_progress=stop
        )
