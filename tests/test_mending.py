"""Mending: nothing but the grids at a fault changes, every change is listed, the rest is said."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo_service import boundary_files, coverage, mending
from geo_service.errors import InputError

CRS = 4547
COMMON = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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


class TestWhatIsMended:
    @COMMON
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
    def test_everything_within_the_limits(self, city, seed, count):
        grids, outline = city
        dirty = damaged(grids, np.random.default_rng(seed), count)
        mended = mending.repair(dirty, within=outline, max_gap_m=30.0)
        assert mended.report.coverage_percent == "100.0000"
        assert not set(mended.left.kind) - {"spike", "multipart", "sliver"}
        shapes = mended.grids.geometry.to_numpy()
        assert shapely.is_valid(shapes).all()
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
        mended = mending.repair(edited(grids, {row: crossed}), within=outline)
        assert mended.report.verdict == "clean"
        assert "self_intersection" in set(mended.changes.kind)
        assert mended.grids.geometry[row].symmetric_difference(grids.geometry[row]).area < 1e-6

    def test_one_grid_over_many(self, city):
        grids, outline = city
        row = inner_row(grids, outline, 2)
        grown = grids.geometry[row].buffer(1.5, join_style="mitre")
        mended = mending.repair(edited(grids, {row: grown}), within=outline)
        assert mended.report.verdict == "clean"
        assert set(mended.changes.kind) <= {"overlap", "edge_mismatch"}

    def test_same_row_twice_is_dropped_once(self, city):
        grids, outline = city
        dirty = pd.concat([grids, grids.iloc[[7]]], ignore_index=True)
        mended = mending.repair(dirty, within=outline)
        assert len(mended.grids) == 60
        assert list(mended.changes.kind) == ["duplicate_geometry"]
        assert mended.report.verdict == "clean"

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

    def test_one_place_under_two_codes(self, city):
        grids, outline = city
        dirty = pd.concat(
            [grids, grids.iloc[[7]].assign(code="411002001099999")], ignore_index=True
        )
        mended = mending.repair(dirty, within=outline, max_gap_m=1e6)
        assert len(mended.grids) == 61
        assert len(mended.changes) == 0
        assert list(mended.left.kind) == ["duplicate_geometry"]

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
        assert shapely.coverage_is_valid(mended.grids.geometry.to_numpy())
        same = shapely.to_wkb(dirty.geometry.to_numpy()) == shapely.to_wkb(
            mended.grids.geometry.to_numpy()
        )
        assert (~same).sum() == mended.changes.code.nunique()
        assert mended.changes.moved_m.max() < 10.0

    def test_london_rings_are_taken_apart_and_the_tiling_stays(self, real_data):
        grids = boundary_files.read(real_data / "coverages" / "london_oa.gpkg").frame
        mended = mending.repair(grids)
        assert list(mended.changes.kind) == ["self_intersection"] * 14
        assert mended.report.verdict == "clean"
        np.testing.assert_allclose(
            mended.changes.area_before_m2, mended.changes.area_after_m2, rtol=1e-9
        )
