"""Drawing an area anew: towns with a known answer, impossible ones named, and real streets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, Point, Polygon, box

from geo_service import drawing
from geo_service.drawing import _atoms, _blocks, _given, _splits, _straight, anew
from geo_service.errors import InputError, MissingError

PLANE = 4547
WEST, SOUTH = 478_000.0, 3_760_000.0


def at(x: float, y: float) -> tuple[float, float]:
    return WEST + x, SOUTH + y


def square(x: float, y: float, width: float, height: float) -> Polygon:
    return box(*at(x, y), *at(x + width, y + height))


def lattice(columns: int, rows: int, step: float = 100.0, kind: str = "street") -> gpd.GeoDataFrame:
    """Streets every `step` metres, reaching beyond a town of columns x rows blocks."""
    across = [
        LineString([at(-50, step * r), at(step * columns + 50, step * r)]) for r in range(rows + 1)
    ]
    along = [
        LineString([at(step * c, -50), at(step * c, step * rows + 50)]) for c in range(columns + 1)
    ]
    lines = [*across, *along]
    return gpd.GeoDataFrame({"kind": [kind] * len(lines)}, geometry=lines, crs=PLANE)


def homes(places: list[tuple[float, float, int]]) -> gpd.GeoDataFrame:
    points = [Point(at(x, y)) for x, y, _ in places]
    return gpd.GeoDataFrame({"households": [n for *_, n in places]}, geometry=points, crs=PLANE)


def scattered(count: int, area: Polygon, seed: int, mean: int = 10) -> gpd.GeoDataFrame:
    random = np.random.default_rng(seed)
    x0, y0, x1, y1 = area.bounds
    xy = random.uniform((x0, y0), (x1, y1), (4 * count, 2))
    inside = xy[shapely.contains_xy(area, xy)][:count]
    counts = random.poisson(mean, len(inside))
    return gpd.GeoDataFrame(
        {"households": counts}, geometry=gpd.points_from_xy(*inside.T), crs=PLANE
    )


def assert_tiles(drawn: drawing.Drawn, area: Any, households: gpd.GeoDataFrame) -> None:
    """Exact tiling, connected grids, every home counted, the outline's own vertices in place."""
    shapes = np.asarray(drawn.grids.geometry.values, object)
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON).all()
    assert shapely.area(shapes).sum() == pytest.approx(area.area, abs=2e-6)
    within = households.intersects(area)
    assert drawn.grids.households.sum() == households.households[within].sum()
    corners = {tuple(xy) for xy in shapely.get_coordinates(shapes).tolist()}
    own = {tuple(xy) for xy in shapely.get_coordinates(area).tolist()}
    assert own <= corners
    rim = {tuple(xy) for xy in shapely.get_coordinates(shapely.coverage_union_all(shapes)).tolist()}
    assert rim - own == {tuple(xy) for xy in drawn.rim_nodes.tolist()}


def test_a_lattice_town_is_drawn_from_whole_blocks() -> None:
    area = square(0, 0, 800, 600)
    streets = lattice(8, 6)
    people = homes([(50 + 100 * c, 50 + 100 * r, 100) for c in range(8) for r in range(6)])
    drawn = drawing.draw(area, streets=streets, households=people, parent_code="411002001001")
    grids = drawn.grids
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()
    assert grids.households.between(300, 500).all()
    assert grids.area.to_numpy() / 1e4 == pytest.approx(grids.households.to_numpy() / 100)
    borders = shapely.union_all(shapely.boundary(grids.geometry.values))
    assert shapely.difference(borders, streets.union_all().buffer(1e-6)).length == 0.0
    assert grids.code.tolist() == [f"411002001001{n:03d}" for n in range(1, len(grids) + 1)]
    assert grids.name.tolist()[:2] == ["第一网格", "第二网格"]
    assert (grids.parent_code == "411002001001").all()
    assert grids.total_bounds == pytest.approx(area.bounds)


def test_four_blocks_a_grid_is_the_compact_answer() -> None:
    area = square(0, 0, 400, 400)
    people = homes([(50 + 100 * c, 50 + 100 * r, 100) for c in range(4) for r in range(4)])
    drawn = drawing.draw(area, streets=lattice(4, 4), households=people, target=(400, 400))
    assert sorted(g.bounds for g in drawn.grids.geometry) == sorted(
        square(x, y, 200, 200).bounds for x in (0, 200) for y in (0, 200)
    )


def test_borders_take_the_main_street() -> None:
    area = square(0, 0, 600, 400)
    streets = lattice(6, 4, kind="street")
    main = LineString([at(300, -50), at(300, 450)])
    lines = gpd.GeoDataFrame({"kind": ["major"]}, geometry=[main], crs=PLANE)
    people = homes([(50 + 100 * c, 50 + 100 * r, 100) for c in range(6) for r in range(4)])
    drawn = drawing.draw(area, streets=drawing_concat(streets, lines), households=people)
    crossing = drawn.grids.crosses(shapely.intersection(main, area))
    assert not crossing.any()


def drawing_concat(*frames: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    shapes = np.concatenate([f.geometry.values for f in frames])
    kinds = np.concatenate([f["kind"] for f in frames])
    return gpd.GeoDataFrame({"kind": kinds}, geometry=shapes, crs=PLANE)


def test_a_block_without_streets_is_cut_between_homes() -> None:
    area = Polygon([at(0, 0), at(900, 100), at(1000, 700), at(500, 400), at(-100, 800)])
    people = scattered(300, area, 1)
    streets = lattice(0, 0).iloc[:0]
    drawn = drawing.draw(area, streets=streets, households=people)
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()
    assert drawn.grids.households.between(300, 500).all()
    assert (4 * np.pi * drawn.grids.area / drawn.grids.length**2).median() > 0.4
    (note,) = (note for note in drawn.notes if note.code == "no_streets")
    assert "no " in note.en


def test_cuts_keep_clear_of_buildings() -> None:
    area = square(0, 0, 600, 600)
    people = homes([(x, y, 25) for x in range(30, 600, 60) for y in range(30, 600, 60)])
    shapes = [Point(p.x, p.y).buffer(22, cap_style="square") for p in people.geometry]
    buildings = gpd.GeoDataFrame(geometry=shapes, crs=PLANE)
    streets = lattice(0, 0).iloc[:0]
    drawn = drawing.draw(area, streets=streets, households=people, buildings=buildings)
    borders = shapely.union_all(shapely.boundary(drawn.grids.geometry.values))
    assert shapely.intersection(borders, buildings.union_all()).length == 0.0
    assert drawn.misses == ()


def test_a_building_is_cut_only_where_the_range_can_not_be_had_without() -> None:
    """A wall across a block of 480 households leaves it whole; one of 960 is cut through it."""
    area = square(0, 0, 300, 300)
    wall = gpd.GeoDataFrame(geometry=[square(20, 145, 260, 10)], crs=PLANE)
    cross = gpd.GeoDataFrame(geometry=[square(145, 20, 10, 260)], crs=PLANE)
    buildings = gpd.GeoDataFrame(pd.concat([wall, cross], ignore_index=True))
    streets = lattice(0, 0).iloc[:0]
    cut = []
    for held in (120, 240):
        people = homes([(x, y, held) for x in (75, 225) for y in (75, 225)])
        drawn = drawing.draw(area, streets=streets, households=people, buildings=buildings)
        assert drawn.misses == ()
        cut.append(drawing.measure(drawn.grids, buildings=buildings).buildings_cut)
        told = [note.en for note in drawn.notes if note.code == "buildings_cut"]
        assert [f"through {cut[-1]} buildings" in note for note in told] == [True] * bool(cut[-1])
    assert cut[0] == 0
    assert cut[1] > 0


def test_a_border_winds_between_buildings_no_straight_one_keeps_clear_of() -> None:
    """Two hooks that grip each other leave a bent lane between them, and no straight one."""
    area = square(0, 0, 300, 300)
    lower = shapely.union_all([square(10, 10, 280, 30), square(140, 10, 40, 180)])
    upper = shapely.union_all(
        [square(10, 260, 280, 30), *(square(x, 110, 40, 180) for x in (70, 210))]
    )
    buildings = gpd.GeoDataFrame(geometry=[lower, upper], crs=PLANE)
    places = [(20 + 20 * k, y, 24) for k in range(14) for y in (20, 275)]
    people = homes(places)
    streets = lattice(0, 0).iloc[:0]
    drawn = drawing.draw(area, streets=streets, households=people, buildings=buildings)
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()
    assert len(drawn.grids) == 2
    assert drawing.measure(drawn.grids, buildings=buildings).buildings_cut == 0


def test_the_pavement_of_a_main_street_is_no_border_beside_it() -> None:
    """Strips between a road and the footway beside it belong to the block, not to the far side."""
    area = square(0, 0, 800, 400)
    streets = lattice(2, 1, step=400.0, kind="major")
    beside = [LineString([at(x, -50), at(x, 450)]) for x in (392, 408)]
    further = gpd.GeoDataFrame({"kind": ["minor"] * 2}, geometry=beside, crs=PLANE)
    streets = gpd.GeoDataFrame(pd.concat([streets, further], ignore_index=True))
    people = homes([(x, y, 20) for x in range(50, 800, 100) for y in range(50, 400, 100)])
    drawn = drawing.draw(area, streets=streets, households=people, target=(300, 340))
    borders = shapely.intersection(*drawn.grids.geometry)
    assert shapely.dwithin(
        shapely.line_merge(borders), LineString([at(400, 0), at(400, 400)]), 0.01
    )
    assert borders.length == pytest.approx(400.0)


def test_atoms_are_cut_smaller_only_where_grids_miss_the_range() -> None:
    """Blocks of 290 households fit no range of 300-500 whole: two are 580."""
    area = square(0, 0, 600, 400)
    places = [(x + 25, y + 25, 29) for x in range(0, 600, 100) for y in range(0, 400, 100)]
    places = [(x + dx, y + dy, n) for x, y, n in places for dx in (0, 50) for dy in (0, 50)]
    people = homes([*places, *((x + 20, y + 20, 29) for x, y, _ in places[::4] for _ in range(6))])
    given = _given.Given(
        _given.lines_in(PLANE, lattice(6, 4), None), _given.homes_of(people), np.empty(0, object)
    )
    atoms, label = anew.drawn_from(area, given, (300, 500), 0, most=300)
    held = np.bincount(label, given.homes.weigh(atoms))
    assert len(atoms) > 24
    assert ((held >= 300) & (held <= 500)).all()
    assert shapely.coverage_is_valid(atoms)


def test_a_part_is_cut_where_a_hole_touches_its_outline() -> None:
    ring = [(0, 0), (50, 0), (100, 0), (100, 100), (0, 100)]
    shape = Polygon(ring, [[(50, 0), (70, 40), (30, 40)]])
    line = shapely.intersection(LineString([(-1, 20), (101, 20)]), shape)
    cut = _splits.split(shape, shapely.get_parts(line), {})
    parts, nodes = cut.parts, cut.nodes
    assert sorted(shapely.area(parts)) == pytest.approx([900.0, 900.0, 7400.0])
    assert len(nodes) == 4
    beside = _splits.with_nodes(square(0, 0, 1, 1), nodes)
    assert beside.equals(square(0, 0, 1, 1))
    neighbour = _splits.with_nodes(box(100, 0, 150, 100), nodes)
    assert (100.0, 20.0) in neighbour.exterior.coords
    assert shapely.coverage_is_valid([*parts, neighbour])


def test_the_same_input_in_any_order_gives_the_same_bytes() -> None:
    area = square(0, 0, 700, 500).buffer(20)
    streets = lattice(7, 5)
    streets.loc[::3, "kind"] = "minor"
    people = scattered(500, area, 2)
    first = drawing.draw(area, streets=streets, households=people, seed=3)
    shuffled = drawing.draw(
        area,
        streets=streets.sample(frac=1, random_state=1),
        households=people.sample(frac=1, random_state=2),
        seed=3,
    )
    assert first.grids.geometry.to_wkb().tolist() == shuffled.grids.geometry.to_wkb().tolist()
    assert first.grids.households.tolist() == shuffled.grids.households.tolist()


def notched() -> np.ndarray:
    """Two rectangles whose border makes a step of 40 m on its way north."""
    turns = [at(200, 0), at(200, 150), at(240, 150), at(240, 190), at(200, 190), at(200, 400)]
    west = Polygon([at(0, 0), *turns, at(0, 400)])
    east = Polygon([*turns[::-1], at(400, 0), at(400, 400)])
    return np.array([shapely.orient_polygons(each) for each in (west, east)], object)


@pytest.mark.parametrize(
    ("lines", "places", "walls", "straight"),
    [
        ([], [(20, 20, 9)], [], True),
        ([], [(225, 170, 9)], [], False),  # somebody lives in the step
        ([LineString([at(200, 150), at(240, 150), at(240, 190), at(200, 190)])], [], [], False),
        ([], [], [square(195, 160, 10, 10)], False),  # a building where it would run
    ],
)
def test_turns_over_open_ground_are_taken_out(
    lines: list[Any], places: list[tuple[float, float, int]], walls: list[Any], straight: bool
) -> None:
    before, buildings = notched(), np.array(walls, object)
    xy = np.array([at(x, y) for x, y, _ in places]).reshape(-1, 2)
    after = _straight.straightened(
        before,
        lines=np.array(lines, object),
        homes=_atoms.Homes(xy, np.ones(len(xy), np.int64)),
        walls=buildings,
    )
    assert shapely.coverage_is_valid(after)
    assert shapely.area(after).sum() == pytest.approx(400 * 400)
    border = shapely.intersection(*after)
    assert (border.length == pytest.approx(400)) == straight
    for x, y in xy:
        assert after[0].contains(Point(x, y)) == before[0].contains(Point(x, y))
    cut_before = shapely.length(shapely.intersection(shapely.intersection(*before), buildings))
    assert (shapely.length(shapely.intersection(border, buildings)) <= cut_before).all()


def test_too_few_homes_are_told() -> None:
    area = square(0, 0, 200, 200)
    drawn = drawing.draw(area, streets=lattice(2, 2), households=homes([(50, 50, 120)]))
    assert len(drawn.grids) == 1
    (miss,) = drawn.misses
    assert (miss.code, miss.households) == ("001", 120)
    assert "120" in miss.en
    assert "120" in miss.zh


def test_a_tower_and_an_island_are_named_and_the_rest_is_right() -> None:
    town, island = square(0, 0, 800, 400), square(2000, 0, 100, 100)
    area = shapely.MultiPolygon([town, island])
    places = [(50 + 100 * c, 50 + 100 * r, 100) for c in range(8) for r in range(4)]
    places[5] = (places[5][0], places[5][1], 900)
    people = homes([*places, (2050, 50, 40)])
    drawn = drawing.draw(area, streets=lattice(8, 4), households=people)
    assert_tiles(drawn, area, people)
    found = {miss.households: miss.en for miss in drawn.misses}
    assert "900 households" in found.pop(max(found))
    assert "part of its own" in found.pop(40)
    assert found == {}


def test_an_outline_with_a_hole_and_homes_outside() -> None:
    lake = square(320, 180, 130, 90)
    area = Polygon(square(0, 0, 800, 500).exterior, [lake.exterior])
    people = homes([(30 + 20 * c, 30 + 20 * r, 5) for c in range(38) for r in range(23)])
    drawn = drawing.draw(area, streets=lattice(8, 5), households=people)
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()
    assert "households_outside" in [note.code for note in drawn.notes]


def test_a_street_along_the_outline_adds_nothing() -> None:
    area = square(0, 0, 400, 400)
    faces = _blocks.cut_by_lines(area, np.asarray(lattice(4, 4).geometry.values, object))
    assert len(faces) == 16
    assert len(_blocks.rim_nodes(area, faces)) == 12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 25))
def test_blocks_tile_any_area_under_any_lines(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(0, 2 * np.pi, 12))
    radius = random.uniform(200, 500, 12)
    ring = np.column_stack([radius * np.cos(corners), radius * np.sin(corners)])
    area = Polygon(ring + at(600, 600))
    if not area.is_valid:
        return
    ends = random.uniform(0, 1200, (count, 3, 2)) + at(0, 0)
    faces = _blocks.cut_by_lines(area, np.asarray(shapely.linestrings(ends)))
    assert shapely.coverage_is_valid(faces)
    assert shapely.area(faces).sum() == pytest.approx(area.area, abs=1e-6)
    rim = {tuple(p) for p in shapely.get_coordinates(shapely.coverage_union_all(faces)).tolist()}
    assert {tuple(p) for p in shapely.get_coordinates(area).tolist()} <= rim


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_scattered_town_is_drawn_right(seed: int) -> None:
    area = square(0, 0, 1000, 800)
    random = np.random.default_rng(seed)
    ends = random.uniform((0, 0), (1000, 800), (12, 2, 2)) + at(0, 0)
    kinds = random.choice(["major", "street", "minor"], 12)
    streets = gpd.GeoDataFrame({"kind": kinds}, geometry=list(shapely.linestrings(ends)), crs=PLANE)
    people = scattered(400, area, seed)
    drawn = drawing.draw(area, streets=streets, households=people, seed=seed)
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"target": (500, 300)}, "parameter_invalid"),
        ({"target": (0, 300)}, "parameter_invalid"),
        ({"crs": 4490}, "parameter_invalid"),
        ({"area": LineString([(0, 0), (1, 1)])}, "not_polygons"),
        ({"area": Polygon([at(0, 0), at(9, 9), at(9, 0), at(0, 9)])}, "drawing_impossible"),
        ({"streets": lattice(2, 2, kind="canyon")}, "parameter_invalid"),
        ({"households": homes([(5, 5, -3)])}, "value_invalid"),
        ({"parent_code": "411002001001003001"}, "drawing_impossible"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], code: str) -> None:
    given = {"area": square(0, 0, 200, 200), "streets": lattice(2, 2),
             "households": homes([(50, 50, 400)]), **change}  # fmt: skip
    area = given.pop("area")
    with pytest.raises(InputError) as caught:
        drawing.draw(area, **given)
    assert caught.value.code == code


def test_a_missing_or_broken_extract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        drawing.street_lines(tmp_path / "none.osm.pbf", None, crs=PLANE)
    broken = tmp_path / "broken.osm.pbf"
    broken.write_bytes(b"no such thing")
    with pytest.raises(InputError) as caught:
        drawing.street_lines(broken, None, crs=PLANE)
    assert caught.value.code == "pbf_unreadable"


@pytest.mark.real
def test_lines_of_a_real_extract(real_data: Path) -> None:
    path = real_data / "osm" / "beijing_tsinghua.osm.pbf"
    lines = drawing.street_lines(path, None, crs=32650)
    assert set(lines["kind"]) == {"major", "street", "minor", "water", "rail"}
    assert 30e3 < lines[lines.kind == "major"].length.sum() < 40e3
    near = lines.geometry.iloc[0].buffer(100)
    some = drawing.street_lines(path, near, crs=32650)
    assert 0 < len(some) < len(lines)
    assert some.intersects(near).all()


@pytest.mark.real
def test_real_streets_are_drawn_right(real_data: Path) -> None:
    lines = drawing.street_lines(real_data / "osm" / "beijing_tsinghua.osm.pbf", None, crs=32650)
    walk = lines[lines.kind != "water"]
    area = shapely.simplify(shapely.concave_hull(walk.union_all(), 0.4).buffer(-30), 5)
    random = np.random.default_rng(0)
    on = walk.sample(3000, replace=True, weights=walk.length, random_state=0).geometry.values
    spots = shapely.line_interpolate_point(on, random.random(3000), normalized=True)
    xy = shapely.get_coordinates(spots) + random.normal(0, 25, (3000, 2))
    people = gpd.GeoDataFrame(
        {"households": random.poisson(12, 3000)}, geometry=gpd.points_from_xy(*xy.T), crs=32650
    )
    drawn = drawing.draw(area, streets=lines, households=people)
    assert_tiles(drawn, area, people)
    assert drawn.misses == ()
    assert (4 * np.pi * drawn.grids.area / drawn.grids.length**2).median() > 0.5


@pytest.mark.real
def test_figures_of_quality_are_those_of_plain_geometry(real_data: Path) -> None:
    """Every figure again from buffers, unions and hulls, none of it by way of arcs or samples."""
    lines = drawing.street_lines(real_data / "osm" / "beijing_tsinghua.osm.pbf", None, crs=32650)
    area = shapely.convex_hull(lines.union_all()).buffer(-900)
    random = np.random.default_rng(0)
    x0, y0, x1, y1 = area.bounds
    xy = random.uniform((x0, y0), (x1, y1), (3000, 2))
    people = gpd.GeoDataFrame(
        {"households": random.poisson(8, 3000)}, geometry=gpd.points_from_xy(*xy.T), crs=32650
    )
    corners = random.uniform((x0, y0), (x1, y1), (400, 2))
    sheds = gpd.GeoDataFrame(geometry=[box(x, y, x + 30, y + 12) for x, y in corners], crs=32650)
    grids = drawing.draw(area, streets=lines, households=people).grids
    found = drawing.measure(grids, streets=lines, buildings=sheds)

    every = shapely.union_all(shapely.boundary(grids.geometry.values))
    borders = shapely.difference(every, area.boundary.buffer(1e-6))
    strong = lines[lines.kind != "minor"].union_all().buffer(1.0)
    assert found.border_on_street == pytest.approx(
        borders.intersection(strong).length / borders.length, abs=0.01
    )
    assert found.border_on_line == pytest.approx(
        borders.intersection(lines.union_all().buffer(1.0)).length / borders.length, abs=0.01
    )
    main = [way.intersection(area) for way in lines[lines.kind == "major"].geometry]
    inside = sum(way.difference(every.buffer(20.0)).length for way in main)
    assert found.main_ways_inside == pytest.approx(
        inside / sum(way.length for way in main), abs=0.01
    )
    cut = [borders.intersection(shed).length > 0.5 for shed in sheds.geometry]
    assert found.buildings_cut == pytest.approx(sum(cut), abs=2)
    across = [
        2 * max(point.distance(shapely.Point(c)) for c in grid.exterior.coords)
        for grid in grids.geometry
        for point in [shapely.minimum_bounding_circle(grid).centroid]
    ]
    assert found.across_median_m == pytest.approx(np.median(across), rel=0.01)
    assert found.across_most_m == pytest.approx(max(across), rel=0.01)
    compact = [4 * np.pi * g.area / g.exterior.length**2 for g in grids.geometry if not g.interiors]
    assert len(compact) == len(grids)
    assert found.compactness_median == pytest.approx(np.median(compact))
    held = [people.households[people.within(grid)].sum() for grid in grids.geometry]
    assert (found.households_least, found.households_most) == (min(held), max(held))
    assert found.in_range == sum(300 <= each <= 500 for each in held)
