"""`geo_service.locate` against exact rational arithmetic and against shapely."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service import crs
from geo_service.errors import InputError
from geo_service.locate import Locator, chain_of, describe
from geo_service.locate.orientation import orientation


def layer(geometries, codes=None, system=4547):
    codes = [f"{k:03d}" for k in range(len(geometries))] if codes is None else codes
    return gpd.GeoDataFrame({"code": codes}, geometry=list(geometries), crs=system)


# references ---------------------------------------------------------------------------------


def exact_owner(grids, x, y):
    """Smallest code of the grids that hold or touch a point, by rational arithmetic, even-odd."""
    holding = [
        code
        for code, geometry in zip(grids["code"], grids.geometry, strict=True)
        if _holds(geometry, Fraction(x), Fraction(y))
    ]
    return min(holding, default="")


def _holds(geometry, x, y):
    inside = False
    for ring in shapely.get_rings(shapely.get_parts(geometry)):
        points = [(Fraction(a), Fraction(b)) for a, b in shapely.get_coordinates(ring).tolist()]
        for (ax, ay), (bx, by) in pairwise(points):
            turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            level = min(ay, by) <= y <= max(ay, by)
            if turn == 0 and level and min(ax, bx) <= x <= max(ax, bx):
                return True
            if (ay > y) != (by > y) and (turn > 0) == (by > ay):
                inside = not inside
    return inside


def shapely_owner(grids, x, y):
    rank = np.argsort(np.argsort(grids["code"].to_numpy().astype(str)))
    points, hits = shapely.STRtree(grids.geometry.values).query(
        shapely.points(x, y), predicate="intersects"
    )
    least = np.full(len(x), len(grids))
    np.minimum.at(least, points, rank[hits])
    return np.append(np.sort(grids["code"].to_numpy().astype(str)), "")[least]


def probes(grids, count, seed=0):
    """Points all over, on vertices, on edges as far as doubles reach, and just beside both."""
    random = np.random.default_rng(seed)
    x0, y0, x1, y1 = grids.total_bounds
    pad = 0.1 * max(x1 - x0, y1 - y0)
    places = random.uniform((x0 - pad, y0 - pad), (x1 + pad, y1 + pad), (count, 2))
    ends = shapely.get_coordinates(grids.geometry.values)
    vertices = ends[random.integers(0, len(ends), count)]
    at = random.integers(0, len(ends) - 1, count)
    middles = (ends[at] + ends[at + 1]) / 2
    beside = np.nextafter(vertices, random.uniform((x0, y0), (x1, y1), (count, 2)))
    return np.concatenate([places, vertices, middles, beside]).T


# who holds a point --------------------------------------------------------------------------


def test_a_clean_tiling_equals_shapely_at_every_point(tiling):
    grids, _ = tiling(300, seed=3)
    x, y = probes(grids, 25_000)
    answers = Locator(grids).locate_xy(x, y, distances=False).codes
    differing = np.flatnonzero(answers != shapely_owner(grids, x, y))
    assert differing.size == 0, (x[differing[:3]], y[differing[:3]])


def test_points_one_by_one_equal_all_at_once(tiling):
    grids, _ = tiling(60, seed=4)
    x, y = probes(grids, 150)
    locator = Locator(grids)
    together = locator.locate_xy(np.append(x, np.nan), np.append(y, 0.0))
    for k, (one_x, one_y) in enumerate(zip([*x, np.nan], [*y, 0.0], strict=True)):
        alone = locator.locate_xy(float(one_x), float(one_y))
        assert len(alone) == 1
        for field in ("rows", "codes", "border_distance_m", "runner_up", "runner_up_distance_m"):
            np.testing.assert_array_equal(getattr(alone, field)[0], getattr(together, field)[k])


coordinate = st.integers(0, 6) | st.sampled_from([0.1, 1 / 3, 2.7, 1e-9, 5.999999999])


@st.composite
def faulty_layers(draw):
    """Overlapping, gaping, crossing, holed, multipart things on a coarse lattice."""
    shapes = []
    for _ in range(draw(st.integers(1, 6))):
        points = draw(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=7))
        if len(set(points)) < 3:
            points = [(0, 0), (1, 0), (0, 1)]
        shapes.append(shapely.Polygon(points))
    if draw(st.booleans()):
        shapes.append(shapely.box(0, 0, 6, 6).difference(shapely.box(1, 1, 3, 3)))
        shapes.append(shapely.MultiPolygon([shapely.box(1, 1, 2, 2), shapely.box(4, 4, 5, 5.5)]))
    codes = draw(st.permutations([f"{k}" for k in range(8, 8 + len(shapes))]))
    return layer(shapes, list(codes))


@settings(max_examples=40, deadline=None)
@given(faulty_layers(), st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=12))
def test_faulty_layers_equal_exact_arithmetic(grids, places):
    ends = shapely.get_coordinates(grids.geometry.values)[:24].tolist()
    middles = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(ends)]
    x, y = np.array([*places, *ends, *middles]).T
    answers = Locator(grids).locate_xy(x, y, distances=False).codes.tolist()
    assert answers == [exact_owner(grids, *place) for place in zip(x, y, strict=True)]


def test_many_grids_stacked_on_one_place_answer_by_the_smallest_code():
    boxes = [shapely.box(k * 0.01, 0, 10 + k * 0.01, 10) for k in range(200)]
    grids = layer(boxes, [f"{999 - k}" for k in range(200)])
    x = np.array([0.005, 1.985, 5.0, 11.985, 12.0])
    found = Locator(grids).locate_xy(x, np.full(5, 5.0))
    assert found.codes.tolist() == ["999", "801", "800", "800", ""]
    assert found.runner_up.tolist() == ["998", "802", "801", "801", "800"]
    assert found.runner_up_distance_m.tolist() == pytest.approx([0.005, 0, 0, 0.005, 0.01])


def test_shared_borders_go_to_the_smallest_code_whatever_the_feature_order(tiling):
    grids, _ = tiling(130, seed=5)
    ends = shapely.get_coordinates(grids.geometry.values)
    x, y = ends[np.random.default_rng(1).integers(0, len(ends), 1300)].T
    first = Locator(grids).locate_xy(x, y)
    assert (first.codes <= first.runner_up).mean() > 0.9  # the outline's vertices have one owner
    assert np.array_equal(first.codes, shapely_owner(grids, x, y))
    for seed in range(10):
        again = Locator(grids.sample(frac=1, random_state=seed)).locate_xy(x, y)
        assert np.array_equal(again.codes, first.codes)
        assert np.array_equal(again.runner_up, first.runner_up)
        assert np.array_equal(again.border_distance_m, first.border_distance_m)


def test_one_polygon_of_many_vertices_and_a_layer_far_from_the_origin():
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    radius = 1000 + 200 * np.sin(17 * angle)
    star = shapely.Polygon(
        np.column_stack([38_486_000 + radius * np.cos(angle), 3_767_000 + radius * np.sin(angle)])
    )
    grids = layer([star, shapely.box(38_486_000, 3_767_000, 38_488_000, 3_768_000)], system=4526)
    x, y = probes(grids, 3000, seed=2)
    assert np.array_equal(Locator(grids).locate_xy(x, y).codes, shapely_owner(grids, x, y))


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6), st.sampled_from([1.0, 1e-3, 4e5]))
def test_orientation_has_the_sign_of_exact_arithmetic(steps, base):
    ax, ay, bx, by, px, py = (base + 0.1 + k * np.spacing(base) for k in steps)
    exact = (Fraction(bx) - Fraction(ax)) * (Fraction(py) - Fraction(ay)) - (
        Fraction(by) - Fraction(ay)
    ) * (Fraction(px) - Fraction(ax))
    assert np.sign(orientation(ax, ay, bx, by, px, py)) == np.sign(float(np.sign(exact)))


@given(*[st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda v: abs(v) > 1e-30)] * 2)
def test_orientation_is_exact_where_differences_are_not(small, large):
    a, b, p = (small * 1e-9, small), (large, large * 1e9), (large * 3, small * 7)
    exact = (Fraction(b[0]) - Fraction(a[0])) * (Fraction(p[1]) - Fraction(a[1])) - (
        Fraction(b[1]) - Fraction(a[1])
    ) * (Fraction(p[0]) - Fraction(a[0]))
    sign = (exact > 0) - (exact < 0)
    assert np.sign(orientation(*a, *b, *p)) == sign


# distances ----------------------------------------------------------------------------------


def test_distances_equal_shapely(tiling):
    grids, _ = tiling(120, seed=7)
    x, y = probes(grids, 400, seed=4)
    found = Locator(grids).locate_xy(x, y)
    points = shapely.points(x, y)
    rank = {code: row for row, code in enumerate(grids["code"])}
    geometries = grids.geometry.values
    for k in range(len(x)):
        gaps = shapely.distance(geometries, points[k])
        own = rank.get(found.codes[k], -1)
        if own >= 0:
            border = shapely.distance(geometries[own].boundary, points[k])
            assert found.border_distance_m[k] == pytest.approx(border, abs=1e-6)
            gaps[own] = np.inf
        else:
            assert found.border_distance_m[k] == pytest.approx(gaps.min(), abs=1e-6)
        assert found.runner_up_distance_m[k] == pytest.approx(gaps.min(), abs=1e-6)
        assert gaps[rank[found.runner_up[k]]] == pytest.approx(gaps.min(), abs=1e-6)


def test_alternatives_equal_shapely_within_the_radius(tiling):
    grids, _ = tiling(60, seed=8)
    x, y = probes(grids, 60, seed=5)
    locator = Locator(grids)
    for radius_m in (0.0, 30.0, 400.0):
        answers = locator.alternatives_xy(x, y, radius_m)
        for point, answer in zip(shapely.points(x, y), answers, strict=True):
            gaps = shapely.distance(grids.geometry.values, point)
            clear = np.abs(gaps - radius_m) > 1e-6
            wanted = set(grids["code"][(gaps <= radius_m) & clear])
            assert wanted <= {code for code, _ in answer}
            assert answer == sorted(answer, key=lambda pair: (pair[1], pair[0]))
            told = dict(answer)
            for code, gap in zip(grids["code"], gaps, strict=True):
                if code in told:
                    assert told[code] == pytest.approx(gap, abs=1e-6)


def test_a_far_point_and_a_lone_grid():
    lone = Locator(layer([shapely.box(0, 0, 100, 100)], ["A"]))
    found = lone.locate_xy([50.0, 3e6, np.nan], [50.0, 100.0, 0.0])
    assert found.codes.tolist() == ["A", "", ""]
    assert found.border_distance_m[:2].tolist() == [50.0, 3e6 - 100]
    assert np.isnan(found.border_distance_m[2])
    assert found.runner_up.tolist() == ["", "A", ""]
    assert lone.nearest_xy(0.0, -25.0) == [("A", 25.0)]


def test_distances_in_a_layer_of_degrees_are_metres():
    lon, lat = 113.85, 34.03
    grids = layer([shapely.box(lon - 0.01, lat - 0.01, lon, lat + 0.01)], ["A"], system=4490)
    east = 250.0 / 92_400  # about 250 m of longitude here
    found = Locator(grids).locate(lon + east, lat)
    plane = crs.Plane.of(4547)
    (x0, x1), (y0, y1) = plane.forward([lon, lon + east], [lat, lat], datum="cgcs2000")
    assert found.border_distance_m[0] == pytest.approx(np.hypot(x1 - x0, y1 - y0), rel=1e-3)


# coordinates and refusals -------------------------------------------------------------------


def test_longitudes_and_latitudes_reach_a_projected_layer(tiling):
    grids, _ = tiling(30, seed=2)
    inner = grids.geometry.representative_point()
    locator = Locator(grids)
    lon, lat = crs.Plane.of(4547).inverse(inner.x, inner.y)
    assert locator.locate(lon, lat).codes.tolist() == grids["code"].tolist()
    there = crs.from_wgs84(lon, lat, datum="gcj02")
    assert locator.locate_lonlat(*there, datum="gcj02").codes.tolist() == grids["code"].tolist()
    assert locator.locate(*there).codes.tolist() != grids["code"].tolist()
    one = locator.locate(lon[0], lat[0])
    assert len(one) == 1
    assert one.codes.tolist() == [grids["code"][0]]


def test_a_layer_of_another_datum_takes_its_own_longitudes():
    grids = layer([shapely.box(160_000, 2_540_000, 161_000, 2_541_000)], ["A"], system=3826)
    lon, lat = pyproj.Transformer.from_crs(3826, 3824, always_xy=True).transform(160_500, 2_540_500)
    assert Locator(grids).locate(lon, lat).codes.tolist() == ["A"]


def test_refusals_say_what_is_wrong():
    square = shapely.box(0, 0, 1, 1)
    with pytest.raises(InputError) as refused:
        Locator(gpd.GeoDataFrame({"code": ["A"]}, geometry=[square]))
    assert refused.value.code == "crs_missing"
    with pytest.raises(InputError) as refused:
        Locator(layer([square]).rename(columns={"code": "wgbm"}))
    assert refused.value.code == "field_missing"
    with pytest.raises(InputError) as refused:
        Locator(layer([square, shapely.Point(0, 0)]))
    assert (refused.value.code, refused.value.details["row"]) == ("not_polygons", 2)
    with pytest.raises(InputError) as refused:
        Locator(layer([square])).locate(486_000.0, 3_767_000.0)
    assert refused.value.code == "lonlat_out_of_range"


def test_missing_and_empty_geometries_hold_nothing():
    grids = layer([None, shapely.Polygon(), shapely.box(0, 0, 1, 1)], ["A", "B", "C"])
    assert Locator(grids).locate_xy([0.5, 2.0], 0.5).codes.tolist() == ["C", ""]
    empty = Locator(layer([]))
    assert empty.locate_xy(0.0, 0.0).codes.tolist() == [""]
    assert empty.alternatives_xy(0.0, 0.0, 5.0) == [[]]


# the answer in words ------------------------------------------------------------------------


def test_the_answer_names_the_chain_and_the_reason():
    codes = ["411002001001001", "411002001001002"]
    grids = layer([shapely.box(0, 0, 100, 100), shapely.box(100, 0, 200, 100)], codes)
    locator = Locator(grids)
    names = {
        "county": {"411002": "魏都区", "411071": "经开区"},
        "township": {"411002001": "西大街道"},
        "grid": dict(zip(codes, ["第一网格", "第二网格"], strict=True)),
    }
    found = locator.locate_xy(70.0, 50.0)
    near = locator.alternatives_xy(70.0, 50.0, 40.0)[0]
    answer = describe(found, names, alternatives=near, revision=7, grid={"households": 300})
    assert answer["grid"] == {"code": codes[0], "name": "第一网格", "households": 300}
    levels = [step["level"] for step in answer["chain"]]
    assert levels == ["city", "county", "township", "community", "grid"]
    assert answer["chain"][1]["name"] == "魏都区"
    assert answer["alternatives"] == [{"code": codes[1], "distance_m": 30.0}]
    assert (answer["revision"], answer["border_distance_m"]) == (7, 30.0)
    assert answer["why"] == {"zh": "在网格内，距边界 30 米", "en": "inside; 30 m from the border"}

    on_border = describe(locator.locate_xy(100.0, 50.0), names)
    assert on_border["grid"]["code"] == codes[0]
    assert codes[1] in on_border["why"]["en"]

    outside = describe(locator.locate_xy(230.0, 50.0), names)
    assert outside["found"] is False
    assert outside["reason"] == "outside"
    assert outside["nearest"] == {"code": codes[1], "distance_m": 30.0}

    zone = chain_of(codes[0], names, parents={"411002001": "411071"})
    assert [step["name"] for step in zone[1:3]] == ["经开区", "西大街道"]


@pytest.mark.real
@pytest.mark.parametrize(
    "path",
    ["coverages/DenverCo_blocks.zip", "coverages/DenverCo_precincts2020_orig.zip"],
)
def test_real_layers_with_enclaves_and_overlaps_equal_shapely(real_data, path):
    grids = gpd.read_file(real_data / path)
    grids = grids.assign(code=[f"{k:06d}" for k in range(len(grids))])
    grids = grids.sample(frac=1, random_state=1, ignore_index=True)
    x, y = probes(grids, 5000)
    answers = Locator(grids).locate_xy(x, y, distances=False).codes
    assert np.array_equal(answers, shapely_owner(grids, x, y))
