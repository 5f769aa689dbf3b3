"""Mending: nothing but the grids at a fault changes, every change is listed, the rest is said."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from geo_service import boundary_files, coverage, mending
from geo_service.demo_city import dirty
from geo_service.errors import InputError

CRS = 4547
COMMON = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller seed is no smaller case
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def city(tiling):
    return tiling(60, seed=3)


def edited(grids, changes):
    geometries = grids.geometry.to_numpy().copy()
    for row, geometry in changes.items():
        geometries[row] = geometry
    return grids.set_geometry(gpd.GeoSeries(geometries, index=grids.index, crs=grids.crs))


def pulled(polygon, vertex, metres):
    """Move a vertex of a polygon towards (negative: away from) its centre."""
    xy = shapely.get_coordinates(polygon)
    centre = shapely.get_coordinates(polygon.centroid)[0]
    xy[vertex] += (centre - xy[vertex]) / np.hypot(*(centre - xy[vertex])) * metres
    return shapely.Polygon(xy)


def damaged(grids, random, count):
    changes = {}
    for row in random.choice(len(grids), count, replace=False).tolist():
        shape = grids.geometry[row]
        for _ in range(int(random.integers(1, 4))):
            vertex = int(random.integers(1, len(shapely.get_coordinates(shape)) - 1))
            shape = pulled(
                shape, vertex, float(random.choice([-8.0, -0.4, -0.003, 0.003, 0.4, 8.0]))
            )
        if random.random() < 0.3:
            shape = shape.buffer(float(random.choice([-1.5, 1.5])), join_style="mitre")
        if shape.is_valid and shape.geom_type == "Polygon":
            changes[row] = shape
    return edited(grids, changes)


def inner_row(grids, outline, nth=0):
    return int(np.flatnonzero(~grids.intersects(outline.exterior))[nth])


def bytes_of(frame):
    return dict(zip(frame["code"], shapely.to_wkb(frame.geometry.to_numpy()), strict=True))


def sampled(border, step):
    return shapely.points(shapely.get_coordinates(shapely.segmentize(border, step)))


def assert_promises_kept(given, mended, limit_m, *, within=None, step_m=None):
    """What repair promises, measured by shapely alone: nothing of its own arithmetic is asked."""
    step = step_m or max(limit_m / 8.0, 0.05)
    near = limit_m + 2e-6
    before = given.geometry.to_numpy()[mended.rows]
    after = mended.grids.geometry.to_numpy()
    codes = mended.grids["code"].to_numpy()
    places = {code: part.geometry.to_numpy() for code, part in mended.changes.groupby("code")}
    changed = shapely.to_wkb(before) != shapely.to_wkb(after)
    assert set(codes[changed]) <= set(places), "a grid that no change names is not the same"
    for old, new, code in zip(before[changed], after[changed], codes[changed], strict=True):
        assert new.is_valid
        old_line, new_line = shapely.boundary(old), shapely.boundary(new)
        away = shapely.distance(sampled(new_line, step), old_line)
        assert away.max() <= near, f"{code}: a border moved {away.max()} m"
        # What is drawn back further is ground no wider than the limit, and is listed.
        points = sampled(old_line, step)
        gone = points[shapely.distance(points, new_line) > near]
        listed = places[code][shapely.get_dimensions(places[code]) == 2]
        narrow = listed[shapely.is_empty(shapely.buffer(listed, -near / 2.0 * 1.001))]
        at = shapely.STRtree(narrow).query(gone, predicate="dwithin", distance=1e-6)[0]
        assert len(set(at.tolist())) == len(gone), f"{code}: its border went without a word"
        # All ground that changed hands is listed.
        moved = shapely.symmetric_difference(shapely.make_valid(old), new)
        told = shapely.union_all(shapely.buffer(listed, 1e-5))
        assert moved.difference(told).area < 1e-6 * (1.0 + new.length)
    lost = np.setdiff1d(np.arange(len(given)), mended.rows)
    kinds = mended.changes.groupby("code")["kind"].agg(set)
    for row in lost.tolist():
        assert kinds[given["code"].iloc[row]] & {"duplicate_geometry", "sliver"}
    report = coverage.check(mended.grids, within=within)
    remaining = report.faults[report.faults["severity"] != "note"]
    assert list(remaining["message_en"]) == list(mended.left["message_en"])
    assert all(mended.left["reason_en"])
    assert all(mended.left["reason_zh"])


class TestWhatIsMended:
    @COMMON
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
    def test_everything_within_the_limits(self, city, seed, count):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(seed), count)
        mended = mending.repair(dirty, within=outline, max_gap_m=30.0)
        assert_promises_kept(dirty, mended, 30.0, within=outline)
        shapes = mended.grids.geometry.to_numpy()
        assert shapely.is_valid(shapes).all()
        thin = mended.left.kind == "spike"  # as thin as rounding: whoever got it would have it
        if len(mended.left):
            assert mended.left.reason_en[~thin].str.contains("above the limit").all()
        else:
            assert mended.report.coverage_percent == "100.0000"
            assert shapely.area(shapes).sum() == pytest.approx(outline.area, abs=1e-3)
            assert outline.symmetric_difference(shapely.union_all(shapes)).area < 1e-3
        before, after = bytes_of(dirty), bytes_of(mended.grids)
        changed = {code for code in before if before[code] != after[code]}
        assert changed == set(mended.changes.code)
        beside = coverage.check(dirty, within=outline).faults.codes
        assert changed <= {code for codes in beside for code in codes}

    @COMMON
    @given(seed=st.integers(0, 10**6))
    def test_a_second_time_there_is_nothing_to_do(self, city, seed):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(seed), 5)
        once = mending.repair(dirty, within=outline)
        twice = mending.repair(once.grids, within=outline)
        assert len(twice.changes) == 0
        assert bytes_of(once.grids) == bytes_of(twice.grids)

    @COMMON
    @given(seed=st.integers(0, 10**6))
    def test_the_order_of_grids_does_not_matter(self, city, seed):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(seed), 5)
        one = mending.repair(dirty, within=outline, max_gap_m=30.0)
        other = mending.repair(
            dirty.sample(frac=1.0, random_state=seed), within=outline, max_gap_m=30.0
        )
        columns = ["code", "kind", "action_zh"]
        pd.testing.assert_frame_equal(one.changes[columns], other.changes[columns])
        theirs = other.grids.set_index("code").geometry
        for code, shape in zip(one.grids.code, one.grids.geometry, strict=True):
            assert shape.normalize().equals_exact(theirs[code].normalize(), 1e-9)

    @pytest.mark.parametrize("metres", [-1.5, 1.5])
    def test_what_was_pushed_or_pulled_is_put_back(self, metres):
        line = [(100, y) for y in range(0, 101, 10)]
        left = shapely.Polygon([*line, (0, 100), (0, 0)])
        right = shapely.Polygon([*line[::-1], (200, 0), (200, 100)])
        bent = [(100 + metres, y) if y == 50 else (x, y) for x, y in line]
        shapes = [left, shapely.Polygon([*bent[::-1], (200, 0), (200, 100)])]
        grids = gpd.GeoDataFrame({"code": ["a", "b"]}, geometry=shapes, crs=CRS)
        mended = mending.repair(grids, within=shapely.box(0, 0, 200, 100))
        assert list(mended.changes.code) == ["b"]
        assert mended.grids.geometry[1].equals(right)
        assert mended.changes.moved_m.item() == pytest.approx(1.5)

    def test_rim(self, city):
        grids, outline = city
        row = int(np.flatnonzero(grids.intersects(outline.exterior))[3])
        xy = shapely.get_coordinates(grids.geometry[row])
        on_rim = np.flatnonzero(shapely.dwithin(shapely.points(xy), outline.exterior, 1e-9))
        vertex = int(on_rim[len(on_rim) // 2])
        for metres, kind in ((2.0, "rim_gap"), (-2.0, "overrun")):
            dirty = edited(grids, {row: pulled(grids.geometry[row], vertex, metres)})
            mended = mending.repair(dirty, within=outline)
            assert list(mended.changes.kind) == [kind]
            assert mended.grids.geometry[row].equals(grids.geometry[row])

    def test_crossed_ring_and_its_surroundings(self, city):
        grids, outline = city
        row = inner_row(grids, outline, 5)
        xy = shapely.get_coordinates(grids.geometry[row])
        swaps = (np.r_[: k - 1, k + 1, k, k - 1, k + 2 : len(xy)] for k in range(2, len(xy) - 2))
        shapes = (shapely.Polygon(xy[swap]) for swap in swaps)
        crossed = next(shape for shape in shapes if not shape.is_valid)
        dirty = edited(grids, {row: crossed})
        mended = mending.repair(dirty, within=outline, max_gap_m=20.0, overlap_to="drawn_back")
        assert_promises_kept(dirty, mended, 20.0, within=outline)
        assert mended.report.verdict == "clean"
        assert "self_intersection" in set(mended.changes.kind)
        assert mended.grids.geometry[row].symmetric_difference(grids.geometry[row]).area < 1e-6

    def test_one_grid_over_many(self, city):
        grids, outline = city
        row = inner_row(grids, outline, 2)
        grown = grids.geometry[row].buffer(1.5, join_style="mitre")
        mended = mending.repair(edited(grids, {row: grown}), within=outline)
        assert mended.report.verdict == "clean"
        assert set(mended.changes.kind) <= {"overlap", "edge_mismatch", "gap", "spike", "multipart"}

    def test_same_row_twice_is_dropped_once(self, city):
        grids, outline = city
        dirty = pd.concat([grids, grids.iloc[[7]]], ignore_index=True)
        mended = mending.repair(dirty, within=outline)
        assert len(mended.grids) == 60
        assert list(mended.changes.kind) == ["duplicate_geometry"]
        assert mended.report.verdict == "clean"

    def test_one_place_under_two_codes_is_kept_once(self, city):
        grids, outline = city
        copy = grids.iloc[[7]].assign(code="411002001099999")
        dirty = pd.concat([copy, grids], ignore_index=True)
        mended = mending.repair(dirty, within=outline)
        assert list(mended.grids.code) == list(grids.code)
        assert mended.report.verdict == "clean"
        assert list(mended.changes.kind) == ["duplicate_geometry"]
        told = mended.changes.action_en.item()
        assert "411002001099999" in told
        assert grids.code[7] in told
        kept = mending.repair(dirty, within=outline, published=["411002001099999"])
        assert "411002001099999" in set(kept.grids.code)
        assert grids.code[7] not in set(kept.grids.code)

    def test_repeated_points_go(self, city):
        grids, outline = city
        xy = shapely.get_coordinates(grids.geometry[7])
        dirty = edited(grids, {7: shapely.Polygon(np.insert(xy, 5, xy[5], axis=0))})
        mended = mending.repair(dirty, within=outline)
        assert list(mended.changes.kind) == ["repeated_point"]
        assert bytes_of(mended.grids) == bytes_of(grids)

    def test_degrees(self, tiling):
        grids, outline = tiling(30, crs=4490)
        row = inner_row(grids, outline)
        dirty = edited(grids, {row: pulled(grids.geometry[row], 6, 1e-5)})
        mended = mending.repair(dirty, within=outline)
        assert mended.report.verdict == "clean"
        assert mended.changes.moved_m.item() == pytest.approx(1.0, rel=0.3)


class TestWhatIsLeft:
    def test_clean_city_comes_back_as_it_was(self, city):
        grids, outline = city
        mended = mending.repair(grids, within=outline)
        assert len(mended.changes) == len(mended.left) == 0
        assert bytes_of(mended.grids) == bytes_of(grids)

    def test_wide_places_with_the_limit(self, city):
        grids, outline = city
        row = inner_row(grids, outline)
        dirty = edited(grids, {row: pulled(grids.geometry[row], 6, 30.0)})
        mended = mending.repair(dirty, within=outline)
        assert len(mended.changes) == 0
        assert bytes_of(mended.grids) == bytes_of(dirty)
        assert "above the limit of 2 m" in mended.left.reason_en.item()
        assert mending.repair(dirty, within=outline, max_gap_m=40.0).report.verdict == "clean"

    def test_narrow_places_are_mended_up_to_snap(self, city):
        grids, outline = city
        row = inner_row(grids, outline)
        dirty = edited(grids, {row: pulled(grids.geometry[row], 6, 0.1)})
        assert len(mending.repair(dirty, within=outline, max_gap_m=0.0, snap_m=0.0).left) == 1
        assert len(mending.repair(dirty, within=outline, max_gap_m=0.0, snap_m=0.1).left) == 0

    def test_missing_grid_whatever_the_limit(self, city):
        grids, outline = city
        dirty = grids.drop(index=inner_row(grids, outline))
        mended = mending.repair(dirty, within=outline, max_gap_m=1e6)
        assert list(mended.left.kind) == ["missing_grid"]
        assert "drawn" in mended.left.reason_en.item()
        assert bytes_of(mended.grids) == bytes_of(dirty)

    def test_codes_are_not_touched(self, city):
        grids, outline = city
        codes = grids.code.to_numpy(object).copy()
        codes[3] = "4110X"
        mended = mending.repair(grids.assign(code=codes), within=outline)
        assert list(mended.left.kind) == ["code_malformed"]
        assert list(mended.grids.code) == list(codes)


class TestResult:
    def test_is_plain_data_too(self, city):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(4), 6)
        mended = mending.repair(dirty, within=outline)
        plain = json.loads(json.dumps(mended.to_dict()))
        assert plain["changed"] == mended.changes.code.nunique()
        assert len(plain["changes"]) == len(mended.changes)
        assert plain["report"]["coverage_percent"] == mended.report.coverage_percent

    def test_columns_and_index_stay(self, city):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(4), 6).set_index("name", drop=False)
        mended = mending.repair(dirty, within=outline)
        assert list(mended.grids.columns) == list(dirty.columns)
        assert list(mended.grids.index) == list(dirty.index)
        assert mended.grids.crs == dirty.crs

    def test_bad_input_is_refused(self, city):
        grids, outline = city
        with pytest.raises(InputError):
            mending.repair(edited(grids, {3: None}), within=outline)


class TestRules:
    """Who gets a gap, who keeps an overlap."""

    @pytest.mark.parametrize(
        ("rules", "taker"),
        [
            ({}, "411002001002001"),
            ({"gap_to": "same_community"}, "411002001001002"),
            ({"published": ["411002001002001"]}, "411002001001002"),
        ],
    )
    def test_gap(self, rules, taker):
        strip = shapely.box(99, 40, 100, 120)
        shapes = [
            shapely.box(0, 0, 100, 120).difference(shapely.box(0, 60, 100, 120)).difference(strip),
            shapely.box(0, 60, 99, 120),
            shapely.Polygon([(100, 0), (200, 0), (200, 120), (100, 120), (100, 60), (100, 40)]),
        ]
        codes = ["411002001001001", "411002001001002", "411002001002001"]
        grids = gpd.GeoDataFrame({"code": codes}, geometry=shapes, crs=CRS)
        mended = mending.repair(grids, within=shapely.box(0, 0, 200, 120), **rules)
        assert mended.report.coverage_percent == "100.0000"
        gained = mended.changes[mended.changes.gained_m2 > 0]
        assert gained.sort_values("gained_m2").code.iloc[-1] == taker

    @pytest.mark.parametrize(
        ("rules", "keeper"),
        [
            ({}, "1"),
            ({"overlap_to": "drawn_back"}, "2"),
            ({"published": ["2"]}, "2"),
            ({"overlap_to": "drawn_back", "published": ["1"]}, "1"),
        ],
    )
    def test_overlap(self, rules, keeper):
        pushed = shapely.Polygon([(0, 0), (100, 0), (101, 50), (100, 100), (0, 100)])
        shapes = [pushed, shapely.box(100, 0, 200, 100)]
        grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=shapes, crs=CRS)
        mended = mending.repair(grids, within=shapely.box(0, 0, 200, 100), **rules)
        assert mended.report.coverage_percent == "100.0000"
        assert "overlap" not in set(mended.left.kind)
        assert list(mended.changes.code) == ["2" if keeper == "1" else "1"]
        assert mended.changes.moved_m.item() == pytest.approx(1.0, abs=1e-5)

    def test_profile_names_the_rule(self, tmp_path):
        path = tmp_path / "own.toml"
        path.write_text('overlap_to = "drawn_back"', encoding="utf-8")
        shapes = [
            shapely.Polygon([(0, 0), (100, 0), (101, 50), (100, 100), (0, 100)]),
            shapely.box(100, 0, 200, 100),
        ]
        grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=shapes, crs=CRS)
        mended = mending.repair(grids, within=shapely.box(0, 0, 200, 100), profile=path)
        assert list(mended.changes.code) == ["1"]

    @pytest.mark.parametrize(
        "wrong", [{"gap_to": "nobody"}, {"overlap_to": "me"}, {"max_gap_m": -1.0},
                  {"snap_m": float("nan")}]
    )  # fmt: skip
    def test_what_is_no_rule_is_refused(self, city, wrong):
        grids, outline = city
        with pytest.raises(InputError) as caught:
            mending.repair(grids, within=outline, **wrong)
        assert caught.value.code == "parameter_invalid"


class TestDemoCity:
    @pytest.mark.parametrize(("seed", "limit_m"), [(1, 2.0), (2, 30.0), (3, 100.0)])
    def test_promises_are_kept(self, small_city, seed, limit_m):
        grids, _ = dirty.inject(small_city.grids, small_city.outline, seed=seed, each=1)
        mended = mending.repair(grids, within=small_city.outline, max_gap_m=limit_m)
        assert_promises_kept(grids, mended, limit_m, within=small_city.outline)
        assert not set(mended.left.kind) & {"self_intersection", "duplicate_geometry", "sliver"}
        # Three grids over one spot, whose lines run within rounding of each other, are told apart.
        assert not mended.left.reason_en.str.contains("too close").any()
        again = mending.repair(mended.grids, within=small_city.outline, max_gap_m=limit_m)
        assert len(again.changes) == 0
        assert (again.grids.geometry.to_wkb() == mended.grids.geometry.to_wkb()).all()

    @pytest.mark.slow
    def test_whole_city(self, full_city):
        grids, _ = dirty.inject(full_city.grids, full_city.outline, seed=11, each=7)
        mended = mending.repair(grids, within=full_city.outline, max_gap_m=100.0)
        assert_promises_kept(grids, mended, 100.0, within=full_city.outline)
        assert not set(mended.left.kind) & {"gap", "rim_gap", "overrun", "spike", "sliver"}


@pytest.mark.real
class TestRealLayers:
    @pytest.mark.parametrize(
        "path", ["coverages/DenverCo_precincts2020_orig.zip", "uploads/10tnvillage.zip"]
    )
    def test_dirty_layers_tile_afterwards(self, real_data, path):
        dirty = boundary_files.read(real_data / path).frame
        mended = mending.repair(dirty)
        assert not {"overlap", "self_intersection"} & set(mended.left.kind)
        gaps = mended.left[mended.left.kind == "gap"]
        assert (gaps.width_m > 2.0).all()
        apart = shapely.coverage_invalid_edges(mended.grids.geometry.to_numpy())
        # Denver has one spike of three lines within 1e-8 m of each other, which is left.
        assert shapely.length(apart).sum() < 50.0
        same = shapely.to_wkb(dirty.geometry.to_numpy()) == shapely.to_wkb(
            mended.grids.geometry.to_numpy()
        )
        assert (~same).sum() == mended.changes.code.nunique()
        assert mended.changes.moved_m.max() <= 2.0

    def test_london_rings_are_taken_apart_and_the_tiling_stays(self, real_data):
        grids = boundary_files.read(real_data / "coverages" / "london_oa.gpkg").frame
        mended = mending.repair(grids)
        assert list(mended.changes.kind) == ["self_intersection"] * 14
        assert mended.report.verdict == "clean"
        np.testing.assert_allclose(
            mended.changes.area_before_m2, mended.changes.area_after_m2, rtol=1e-9
        )
