"""The check of a tiling: every kind of fault, alone and mixed, against shapely's own overlay."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo_service import coverage, profiles
from geo_service.errors import InputError

CRS = 4547
COMMON = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def city(tiling):
    return tiling(60, seed=3)


def edited(grids, **changes):
    """A copy of grids with the geometries of some rows replaced: edited(grids, r5=polygon)."""
    out = grids.copy()
    geometries = out.geometry.to_numpy().copy()
    for name, geometry in changes.items():
        geometries[int(name[1:])] = geometry
    return out.set_geometry(gpd.GeoSeries(geometries, index=out.index, crs=out.crs))


def moved(polygon, vertex, dx, dy):
    xy = shapely.get_coordinates(polygon)
    xy[vertex] += dx, dy
    return shapely.Polygon(xy)


def towards_centre(polygon, vertex, metres):
    """Move a vertex of a polygon towards (negative: away from) its centre."""
    xy = shapely.get_coordinates(polygon)
    centre = shapely.get_coordinates(polygon.centroid)[0]
    step = (centre - xy[vertex]) / np.hypot(*(centre - xy[vertex])) * metres
    return moved(polygon, vertex, *step)


def inner_rows(grids, outline):
    return np.flatnonzero(~grids.intersects(outline.exterior).to_numpy()).tolist()


def rim_rows(grids, outline):
    return np.flatnonzero(grids.intersects(outline.exterior).to_numpy()).tolist()


def communities(grids):
    """The parents that grids tile, by their codes, exactly."""
    own = grids[["geometry"]].assign(code=grids.code.str[:12])
    return own.dissolve("code", method="coverage").reset_index()


def wrong(report):
    return report.faults[report.faults.severity != "note"]


def only(report, kind):
    """The single fault of a report, which must be of a kind."""
    found = wrong(report)
    assert list(found.kind) == [kind], found[["kind", "codes", "area_m2"]].to_string()
    return found.iloc[0]


class TestCleanCity:
    def test_has_nothing_to_tell(self, city):
        grids, outline = city
        report = coverage.check(grids, within=outline, expect=60)
        assert report.verdict == "clean"
        assert report.counts == {}
        assert report.hidden == {}
        assert report.coverage_percent == "100.0000"
        assert report.on_map_percent == "100.0000"
        assert (report.features, report.expected) == (60, 60)
        assert (report.crs, report.profile) == ("EPSG:4547", "default@1")
        assert len(report.faults) == 0
        assert report.faults.crs == grids.crs

    def test_may_stand_in_degrees(self, tiling):
        grids, outline = tiling(40, crs=4490)
        assert coverage.check(grids, within=outline).verdict == "clean"

    def test_without_an_outline_says_that_the_rim_was_not_judged(self, city):
        report = coverage.check(city[0])
        assert report.verdict == "clean"
        assert [note.code for note in report.notes] == ["outline_absent"]

    def test_against_parents_that_tile(self, city):
        grids, _ = city
        parents = communities(grids)
        report = coverage.check(grids, within=parents)
        assert report.verdict == "clean"
        assert report.counts == {}

    def test_keeps_its_input(self, city):
        grids, outline = city
        before = grids.geometry.to_wkb()
        coverage.check(grids, within=outline)
        assert (grids.geometry.to_wkb() == before).all()


class TestPlacesBetweenGrids:
    def test_gap(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[4]
        whole = grids.geometry[row]
        pulled = towards_centre(whole, 5, 3.0)
        fault = only(coverage.check(edited(grids, **{f"r{row}": pulled}), within=outline), "gap")
        open_ = whole.difference(pulled)
        assert fault.area_m2 == pytest.approx(open_.area, rel=1e-6)
        assert fault.width_m == pytest.approx(2 * open_.area / open_.length, rel=1e-6)
        beside = grids[grids.intersects(open_.buffer(-1e-3).buffer(2e-3))]
        assert set(fault.codes) == set(beside.code)
        assert fault.geometry.contains(shapely.Point(fault.x, fault.y))

    def test_overlap(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[4]
        pushed = towards_centre(grids.geometry[row], 5, -3.0)
        changed = edited(grids, **{f"r{row}": pushed})
        fault = only(coverage.check(changed, within=outline), "overlap")
        others = changed.drop(index=row)
        common = others.intersection(pushed).area
        assert fault.area_m2 == pytest.approx(common.sum(), rel=1e-6)
        assert set(fault.codes) == {grids.code[row], *grids.code[common.index[common > 1e-6]]}

    def test_one_grid_over_many_is_one_place_with_all_codes(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[2]
        grown = grids.geometry[row].buffer(3.0, join_style="mitre")
        changed = edited(grids, **{f"r{row}": grown})
        fault = only(coverage.check(changed, within=outline), "overlap")
        common = changed.drop(index=row).intersection(grown).area
        assert set(fault.codes) == {grids.code[row], *grids.code[common.index[common > 1e-6]]}
        assert fault.area_m2 == pytest.approx(common.sum(), rel=1e-6)

    def test_missing_grid_names_its_neighbours_by_side(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        report = coverage.check(grids.drop(index=row), within=outline, register=list(grids.code))
        kinds = set(wrong(report).kind)
        assert kinds == {"missing_grid", "not_on_map"}
        fault = report.faults[report.faults.kind == "missing_grid"].iloc[0]
        hole = grids.geometry[row]
        assert fault.area_m2 == pytest.approx(hole.area, rel=1e-9)
        length = grids.drop(index=row).intersection(hole.boundary).length
        assert set(fault.codes) == set(grids.code[length.index[length > 0]])
        assert "邻" in fault.message_zh
        assert grids.code[row] in fault.message_zh  # the register's code that is not on the map
        assert report.expected == 60
        assert report.on_map_percent == "98.3333"

    def test_missing_grid_at_the_rim_is_no_rim_gap(self, city):
        grids, outline = city
        row = rim_rows(grids, outline)[0]
        only(coverage.check(grids.drop(index=row), within=outline), "missing_grid")

    def test_long_narrow_gap_is_no_missing_grid(self):
        boxes = [shapely.box(0, 0, 100, 60_000), shapely.box(100.8, 0, 200, 60_000)]
        grids = gpd.GeoDataFrame({"code": ["a", "b"]}, geometry=boxes, crs=CRS)
        few = [shapely.box(200, y, 400, y + 100) for y in range(0, 60_000, 100)]
        more = gpd.GeoDataFrame({"code": [f"c{k}" for k in range(600)]}, geometry=few, crs=CRS)
        report = coverage.check(
            pd.concat([grids, more], ignore_index=True), within=shapely.box(0, 0, 400, 60_000)
        )
        assert report.counts["gap"] == 1
        assert "missing_grid" not in report.counts

    def test_rim_gap_and_overrun(self, city):
        grids, outline = city
        row = rim_rows(grids, outline)[3]
        xy = shapely.get_coordinates(grids.geometry[row])
        on_rim = np.flatnonzero(shapely.dwithin(shapely.points(xy), outline.exterior, 1e-9))
        vertex = int(on_rim[len(on_rim) // 2])
        for metres, kind in ((4.0, "rim_gap"), (-4.0, "overrun")):
            shape = towards_centre(grids.geometry[row], vertex, metres)
            changed = edited(grids, **{f"r{row}": shape})
            fault = only(coverage.check(changed, within=outline), kind)
            apart = shape.symmetric_difference(grids.geometry[row])
            assert fault.area_m2 == pytest.approx(apart.area, rel=1e-6)
            assert fault.codes == [grids.code[row]]

    def test_overlap_that_runs_on_beyond_the_outline_is_cut_there(self, city):
        grids, outline = city
        row = rim_rows(grids, outline)[3]
        grown = grids.geometry[row].buffer(5.0, join_style="mitre")
        changed = edited(grids, **{f"r{row}": grown})
        found = wrong(coverage.check(changed, within=outline))
        assert sorted(found.kind) == ["overlap", "overrun"]
        area = dict(zip(found.kind, found.area_m2, strict=True))
        assert area["overrun"] == pytest.approx(grown.difference(outline).area, rel=1e-6)
        inside = grown.intersection(outline).difference(grids.geometry[row])
        assert area["overlap"] == pytest.approx(inside.area, rel=1e-6)

    def test_outline_digitised_apart_is_one_finding(self, city):
        grids, outline = city
        random = np.random.default_rng(0)
        xy = shapely.get_coordinates(outline)[:-1]
        report = coverage.check(grids, within=shapely.Polygon(xy + random.normal(0, 3, xy.shape)))
        assert set(wrong(report).kind) == {"outline_mismatch"}
        assert report.counts["outline_mismatch"] <= 3

    def test_vertex_on_a_straight_border_is_a_note(self):
        left = shapely.box(0, 0, 100, 100)
        right = shapely.Polygon([(100, 0), (200, 0), (200, 100), (100, 100), (100, 40)])
        grids = gpd.GeoDataFrame({"code": ["a", "b"]}, geometry=[left, right], crs=CRS)
        report = coverage.check(grids, within=shapely.union_all([left, right]))
        assert report.verdict == "clean"
        assert report.counts == {"edge_mismatch": 1}
        assert report.coverage_percent == "100.0000"
        note = report.faults.iloc[0]
        assert (note.severity, note.codes) == ("note", ["a", "b"])
        assert note.geometry.equals(shapely.Point(100, 40))

    @pytest.mark.parametrize("apart_m", [0.001, 0.01, 0.1])
    def test_vertex_off_the_border_is_a_fault(self, city, apart_m):
        grids, outline = city
        row = inner_rows(grids, outline)[6]
        xy = shapely.get_coordinates(grids.geometry[row])
        ahead = xy[8] - xy[7]
        off = (xy[7] + xy[8]) / 2 + np.array([-ahead[1], ahead[0]]) / np.hypot(*ahead) * apart_m
        shape = shapely.Polygon(np.insert(xy, 8, off, axis=0))
        report = coverage.check(edited(grids, **{f"r{row}": shape}), within=outline)
        fault = only(report, "gap")
        assert fault.area_m2 == pytest.approx(np.hypot(*ahead) * apart_m / 2, rel=1e-3)
        assert report.coverage_percent == "99.9999"

    def test_vertex_interpolated_on_a_slanted_border_is_rounding_only(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[6]
        xy = shapely.get_coordinates(grids.geometry[row])
        shape = shapely.Polygon(np.insert(xy, 8, xy[7] + 0.37 * (xy[8] - xy[7]), axis=0))
        report = coverage.check(edited(grids, **{f"r{row}": shape}), within=outline)
        assert report.verdict == "clean"
        assert report.counts == {"edge_mismatch": 1}
        assert report.coverage_percent == "100.0000"

    def test_a_hole_without_an_outline_asks_whether_it_is_meant(self, city):
        grids, outline = city
        report = coverage.check(grids.drop(index=inner_rows(grids, outline)[1]))
        hole = only(report, "missing_grid")
        assert "give the outline with --within" in hole.message_en
        assert hole.severity == "warning"  # an enclave is no error
        assert report.verdict == "clean"

    def test_detached_grid_is_named_without_an_outline(self):
        boxes = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(5, 0, 6, 1)]
        grids = gpd.GeoDataFrame({"code": ["a", "b", "c"]}, geometry=boxes, crs=CRS)
        report = coverage.check(grids)
        assert list(report.faults[report.faults.kind == "detached"].codes) == [["c"]]


class TestSingleGrids:
    def test_bow_tie_is_one_fault(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[5]
        xy = shapely.get_coordinates(grids.geometry[row])
        swaps = (np.r_[: k - 1, k + 1, k, k - 1, k + 2 : len(xy)] for k in range(2, len(xy) - 2))
        shapes = (shapely.Polygon(xy[swap]) for swap in swaps)
        shape = next(shape for shape in shapes if not shape.is_valid)
        report = coverage.check(edited(grids, **{f"r{row}": shape}), within=outline)
        fault = only(report, "self_intersection")
        assert fault.codes == [grids.code[row]]
        assert fault.area_m2 > 0
        moved = shapely.symmetric_difference(grids.geometry[row], shapely.make_valid(shape)).area
        assert f"leaves {moved:,.2f} m² open or doubled beside it" in fault.message_en

    def test_other_invalid_geometry(self):
        shape = shapely.Polygon(
            shapely.box(0, 0, 9, 9).exterior, [shapely.box(20, 20, 22, 22).exterior]
        )
        grids = gpd.GeoDataFrame({"code": ["a"]}, geometry=[shape], crs=CRS)
        assert coverage.check(grids).counts["invalid_geometry"] == 1

    @pytest.mark.parametrize("form", ["identical", "turned", "redrawn"])
    def test_duplicates_in_three_forms(self, city, form):
        grids, outline = city
        row = inner_rows(grids, outline)[3]
        xy = shapely.get_coordinates(grids.geometry[row])
        if form == "turned":
            xy = np.roll(xy[:-1], 5, axis=0)[::-1]
        if form == "redrawn":
            xy = np.insert(xy, 3, (xy[2] + xy[3]) / 2, axis=0)
        copy = grids.loc[[row]].assign(code="411002001099999").set_geometry([shapely.Polygon(xy)])
        report = coverage.check(
            pd.concat([grids, copy.set_crs(CRS, allow_override=True)], ignore_index=True),
            within=outline,
        )
        fault = only(report, "duplicate_geometry")
        assert set(fault.codes) == {grids.code[row], "411002001099999"}
        assert fault.area_m2 == pytest.approx(grids.geometry[row].area)

    def test_a_layer_loaded_twice_is_duplicates_only(self, tiling):
        grids, outline = tiling(12)
        twice = pd.concat([grids, grids], ignore_index=True)
        report = coverage.check(twice, within=outline)
        assert report.counts == {"duplicate_geometry": 12, "code_duplicate": 12}

    def test_repeated_point_and_spike(self, city):
        grids, outline = city
        first, second = inner_rows(grids, outline)[:2]
        xy = shapely.get_coordinates(grids.geometry[first])
        twice = shapely.Polygon(np.insert(xy, 4, xy[3], axis=0))
        report = coverage.check(edited(grids, **{f"r{first}": twice}), within=outline)
        assert report.counts == {"repeated_point": 1}
        assert report.verdict == "clean"
        xy = shapely.get_coordinates(grids.geometry[second])
        centre = shapely.get_coordinates(grids.geometry[second].centroid)[0]
        tip = xy[6] + (xy[6] - centre) * 0.1
        base = xy[6] + (xy[7] - xy[6]) * 0.002
        spiky = shapely.Polygon(np.insert(xy, 7, [tip, base], axis=0))
        report = coverage.check(edited(grids, **{f"r{second}": spiky}), within=outline)
        assert report.counts["spike"] == 1
        assert report.faults[report.faults.kind == "spike"].iloc[0].codes == [grids.code[second]]

    def test_multipart_is_a_warning(self, city):
        grids, outline = city
        rows = inner_rows(grids, outline)
        one, two = rows[0], rows[-1]
        both = shapely.MultiPolygon([grids.geometry[one], grids.geometry[two]])
        report = coverage.check(edited(grids, **{f"r{one}": both}).drop(index=two), within=outline)
        assert report.counts == {"multipart": 1}
        assert report.verdict == "clean"

    def test_sliver(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        whole = grids.geometry[row]
        x0, y0, x1, y1 = whole.bounds
        strip = shapely.box(x0 - 1, (y0 + y1) / 2, x1 + 1, (y0 + y1) / 2 + 0.3)
        sliver = whole.intersection(strip)
        parts = shapely.get_parts(whole.difference(strip))
        pieces = gpd.GeoDataFrame(
            {"code": ["411002001098001", "411002001098002", "411002001098003"], "name": ""},
            geometry=[sliver, *parts],
            crs=CRS,
        )
        report = coverage.check(
            pd.concat([grids.drop(index=row), pieces], ignore_index=True), within=outline
        )
        found = report.faults[report.faults.kind == "sliver"]
        assert list(found.codes) == [["411002001098001"]]


class TestAgainstOverlay:
    """Sums over a whole report equal what union and pairwise intersection give."""

    @COMMON
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
    def test_areas_of_random_damage(self, city, seed, count):
        grids, outline = city
        changed = _damaged(grids, outline, np.random.default_rng(seed), count)
        report = coverage.check(changed, within=outline)
        found = report.faults.groupby("kind").area_m2.sum().to_dict()
        shapes = changed.geometry.to_numpy()
        union = shapely.union_all(shapes)
        open_ = outline.difference(union).area
        beyond = union.difference(outline).area
        holes = sum(found.get(k, 0.0) for k in ("gap", "missing_grid", "rim_gap"))
        assert holes == pytest.approx(open_, abs=2e-3, rel=1e-6)
        assert found.get("overrun", 0.0) == pytest.approx(beyond, abs=2e-3, rel=1e-6)
        # Where no place is covered three times, overlaps add up to what is covered too much.
        surplus = shapely.area(shapes).sum() - union.area
        twice = found.get("overlap", 0.0) + found.get("duplicate_geometry", 0.0)
        a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        pairs = shapely.area(shapely.intersection(shapes[a[a < b]], shapes[b[a < b]])).sum()
        assert twice <= pairs + 2e-3
        assert (twice > 0) == (surplus > 2e-3)
        if open_ > 1e-3:
            assert float(report.coverage_percent) <= 100 * (1 - open_ / outline.area) + 1e-9

    @COMMON
    @given(seed=st.integers(0, 10**6))
    def test_answer_does_not_depend_on_the_order_of_anything(self, city, seed):
        grids, outline = city
        random = np.random.default_rng(seed)
        changed = _damaged(grids, outline, random, 4)
        report = coverage.check(changed, within=outline)
        shuffled = changed.sample(frac=1.0, random_state=seed)
        turned = [_turned(shape, random) for shape in shuffled.geometry]
        again = coverage.check(
            shuffled.set_geometry(turned, crs=CRS), within=_turned(outline, random)
        )
        columns = ["kind", "severity", "codes", "message_zh", "message_en"]
        pd.testing.assert_frame_equal(report.faults[columns], again.faults[columns])
        np.testing.assert_allclose(report.faults.area_m2, again.faults.area_m2, rtol=1e-9)
        assert report.coverage_percent == again.coverage_percent

    @COMMON
    @given(seed=st.integers(0, 10**6))
    def test_rasters_whose_lines_all_coincide(self, seed):
        random = np.random.default_rng(seed)
        cells = [
            shapely.box(x, y, x + 10, y + 10) for x in range(0, 60, 10) for y in range(0, 50, 10)
        ]
        for k in random.choice(len(cells), 3, replace=False):
            x0, y0, x1, y1 = cells[k].bounds
            dx0, dy0, dx1, dy1 = random.choice([-15, -10, -5, 0, 2, 5], 4)
            cells[k] = shapely.box(x0 + dx0, y0 + dy0, max(x1 - dx1, x0 + dx0 + 1), y1 + abs(dy1))
        grids = gpd.GeoDataFrame({"code": [str(k) for k in range(30)]}, geometry=cells, crs=CRS)
        outline = shapely.box(0, 0, 60, 50)
        found = coverage.check(grids, within=outline).faults.groupby("kind").area_m2.sum()
        union = shapely.union_all(cells)
        holes = sum(found.get(kind, 0.0) for kind in ("gap", "missing_grid", "rim_gap"))
        assert holes == pytest.approx(outline.difference(union).area, abs=1e-6)
        assert found.get("overrun", 0.0) == pytest.approx(union.difference(outline).area, abs=1e-6)
        assert not {"spike", "sliver"} & set(found.index)


def _damaged(grids, outline, random, count):
    """Grids with vertices moved, a grid grown, a grid gone: `count` of them."""
    out = grids
    for row in random.choice(len(grids), count, replace=False).tolist():
        shape = out.geometry[row]
        what = random.integers(4)
        if what < 3:
            vertex = int(random.integers(1, len(shapely.get_coordinates(shape)) - 1))
            shape = towards_centre(shape, vertex, float(random.choice([-6.0, -0.05, 0.05, 6.0])))
        else:
            shape = shape.buffer(float(random.choice([-2.0, 2.0])), join_style="mitre")
        if shape.is_valid:
            out = edited(out, **{f"r{row}": shape})
    if random.random() < 0.3:
        out = out.drop(index=int(random.integers(len(grids)))).reset_index(drop=True)
    return out


def _turned(polygon, random):
    xy = np.roll(shapely.get_coordinates(polygon)[:-1], int(random.integers(50)), axis=0)
    return shapely.Polygon(xy[::-1] if random.random() < 0.5 else xy)


class TestCodesAndColumns:
    def test_duplicate_and_malformed_codes(self, city):
        grids, outline = city
        codes = grids.code.to_numpy(object).copy()
        codes[5], codes[7] = codes[6], "4110X"
        report = coverage.check(grids.assign(code=codes), within=outline)
        assert report.counts["code_duplicate"] == 1
        assert report.counts["code_malformed"] == 1
        told = report.faults.set_index("kind")
        assert told.loc["code_duplicate"].codes == [codes[6], codes[6]]
        assert "4110X" in told.loc["code_malformed"].message_en

    def test_foreign_codes_are_one_note(self, city):
        grids, outline = city
        report = coverage.check(grids.assign(code=[f"E{k:08d}" for k in range(60)]), within=outline)
        assert report.verdict == "clean"
        assert report.counts == {}
        assert "codes_foreign" in [note.code for note in report.notes]

    def test_without_codes_rows_are_named(self, city):
        grids, outline = city
        bare = grids[["geometry"]].drop(index=inner_rows(grids, outline)[0])
        report = coverage.check(bare, within=outline)
        assert all(code.startswith("row ") for code in report.faults.iloc[0].codes)
        assert "row " not in report.faults.iloc[0].message_zh
        assert "第 " in report.faults.iloc[0].message_zh
        assert "codes_absent" in [note.code for note in report.notes]

    def test_codes_turned_into_numbers_are_told(self, city):
        grids, outline = city
        codes = grids.code.astype(float).astype(str)
        report = coverage.check(grids.assign(code=codes), within=outline)
        assert report.counts["code_malformed"] == 60
        assert "spreadsheet" in report.faults.iloc[0].message_en

    @pytest.mark.parametrize("share", [1, 60])
    def test_full_width_codes_are_told(self, city, share):
        grids, outline = city
        wide = str.maketrans("0123456789", "０１２３４５６７８９")
        codes = [c.translate(wide) if k < share else c for k, c in enumerate(grids.code)]
        report = coverage.check(grids.assign(code=codes), within=outline)
        assert report.counts["code_malformed"] == share
        assert "全角" in report.faults.iloc[0].message_zh

    def test_code_field_may_be_named(self, city):
        grids, outline = city
        renamed = grids.rename(columns={"code": "whatever"})
        assert "codes_absent" in [n.code for n in coverage.check(renamed, within=outline).notes]
        report = coverage.check(renamed, within=outline, code_field="whatever")
        assert "codes_absent" not in [n.code for n in report.notes]
        with pytest.raises(InputError) as refused:
            coverage.check(grids, code_field="nothing")
        assert refused.value.code == "field_missing"

    def test_numbering_that_goes_back(self, city):
        grids, outline = city
        community = grids.code.str[:12]
        members = grids.index[community == community.value_counts().index[0]]
        codes = grids.code.to_numpy(object).copy()
        codes[members] = codes[members][::-1]
        report = coverage.check(grids.assign(code=codes), within=outline)
        assert report.verdict == "clean"
        assert report.counts == {"code_order": 1}

    def test_register(self, city):
        grids, outline = city
        register = pd.DataFrame({"网格编码": [*grids.code[1:], "411002001001777"]})
        report = coverage.check(grids, within=outline, register=register)
        found = report.faults.set_index("kind").codes.to_dict()
        assert found == {"not_on_map": ["411002001001777"], "not_in_register": [grids.code[0]]}
        assert report.on_map_percent == "98.3333"

    def test_expected_number(self, city):
        grids, outline = city
        report = coverage.check(grids, within=outline, expect=18936)
        assert report.counts == {"not_on_map": 1}
        assert report.on_map_percent == "0.3168"
        report = coverage.check(grids, within=outline, expect=59)
        assert report.verdict == "clean"
        assert "more_than_expected" in [note.code for note in report.notes]

    def test_recorded_area_in_square_kilometres(self, city):
        grids, outline = city
        area = (grids.area / 1e6).to_numpy().copy()
        area[9] *= 1.05
        report = coverage.check(grids.assign(面积=area), within=outline)
        fault = only(report, "area_mismatch")
        assert fault.codes == [grids.code[9]]
        assert fault.severity == "warning"
        assert report.verdict == "clean"

    def test_required_fields_and_sizes(self, city):
        grids, outline = city
        rules = profiles.Profile(required_fields=("name", "head"), households=(300, 500))
        names = grids.name.to_numpy(object).copy()
        names[3] = ""
        households = np.full(60, 400)
        households[8] = 900
        report = coverage.check(
            grids.assign(name=names, 户数=households), within=outline, profile=rules
        )
        assert report.counts == {"attribute_missing": 2, "size_out_of_range": 1}

    def test_parent_column_against_the_code(self, city):
        grids, outline = city
        parents = grids.code.str[:12].to_numpy(object).copy()
        parents[4] = "411002001999"
        report = coverage.check(grids.assign(parent_code=parents), within=outline)
        assert only(report, "code_parent_mismatch").codes == [grids.code[4]]


class TestParents:
    def test_grid_across_its_parents_line(self, city):
        grids, _ = city
        parents = communities(grids)
        line = shapely.intersection(parents.geometry[0], parents.geometry[1])
        assert line.length > 0
        on_line = grids.intersection(line).length
        along = on_line.index[on_line > 100]
        mine = next(k for k in along if grids.code[k][:12] == parents.code[0])
        other = [k for k in along if grids.code[k][:12] == parents.code[1]]
        bite = line.buffer(4.0).intersection(grids.geometry[other].union_all())
        bite = bite.intersection(grids.geometry[mine].buffer(3.0))
        changed = grids.geometry.copy()
        changed[mine] = changed[mine].union(bite)
        changed[other] = changed[other].difference(bite)
        report = coverage.check(grids.set_geometry(changed), within=parents)
        crossing = report.faults[report.faults.kind == "parent_mismatch"]
        assert {code for codes in crossing.codes for code in codes} == {grids.code[mine]}
        assert crossing.area_m2.sum() == pytest.approx(bite.area, rel=1e-3)

    def test_grid_with_another_parents_code(self, city):
        grids, _ = city
        parents = communities(grids)
        codes = grids.code.to_numpy(object).copy()
        stranger = next(c for c in parents.code if c != codes[10][:12])
        codes[10] = stranger + "998"
        codes[20] = "411002009001001"  # no such parent
        report = coverage.check(grids.assign(code=codes), within=parents)
        found = report.faults[report.faults.kind == "code_parent_mismatch"]
        assert {c for codes_ in found.codes for c in codes_} == {codes[10], codes[20]}

    def test_faults_of_the_reference_are_told_as_a_note(self, city):
        grids, _ = city
        parents = communities(grids)
        shapes = parents.geometry.copy()
        shapes[0] = shapes[0].buffer(2.0)
        report = coverage.check(grids, within=parents.set_geometry(shapes))
        assert "outline_faulty" in [note.code for note in report.notes]


class TestUnits:
    def test_degrees_are_told_in_metres(self, tiling):
        grids, outline = tiling(30, crs=4326)
        row = inner_rows(grids, outline)[0]
        hole = gpd.GeoSeries([grids.geometry[row]], crs=4326)
        fault = only(coverage.check(grids.drop(index=row), within=outline), "missing_grid")
        assert fault.area_m2 == pytest.approx(hole.to_crs(CRS).area[0], rel=2e-3)
        assert 100 < fault.width_m < 500
        assert 113 < fault.x < 115

    def test_feet_are_told_in_metres(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        feet = grids.set_crs(2232, allow_override=True)
        fault = only(coverage.check(feet.drop(index=row), within=outline), "missing_grid")
        assert fault.area_m2 == pytest.approx(grids.geometry[row].area * 0.3048006096**2, rel=1e-9)

    def test_positions_are_longitude_and_latitude(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        told = coverage.check(grids.drop(index=row), within=outline).to_dict()["faults"][0]
        lon, lat = told["at"]
        back = gpd.GeoSeries.from_xy([lon], [lat], crs=4326).to_crs(CRS)[0]
        assert grids.geometry[row].contains(back)

    def test_heights_are_left_aside(self, city):
        grids, outline = city
        lifted = grids.set_geometry(shapely.force_3d(grids.geometry.to_numpy(), 5.0), crs=CRS)
        report = coverage.check(lifted, within=outline)
        assert report.verdict == "clean"
        assert "z_dropped" in [note.code for note in report.notes]


class TestReport:
    def test_is_the_contract_as_json(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        pulled = towards_centre(grids.geometry[row], 5, 3.0)
        report = coverage.check(edited(grids, **{f"r{row}": pulled}), within=outline, expect=60)
        plain = json.loads(json.dumps(report.to_dict()))
        assert plain["verdict"] == "faults"
        assert plain["counts"] == {"gap": 1}
        assert float(plain["coverage_percent"]) < 100
        (fault,) = plain["faults"]
        assert list(fault) == [
            "kind", "severity", "codes", "area_m2", "width_m", "at", "geometry", "message",
        ]  # fmt: skip
        assert fault["geometry"]["type"] == "Polygon"
        assert set(fault["message"]) == {"zh", "en"}

    def test_places_below_tolerance_are_summed(self, city):
        grids, outline = city
        row = inner_rows(grids, outline)[0]
        changed = edited(grids, **{f"r{row}": towards_centre(grids.geometry[row], 5, 0.02)})
        report = coverage.check(changed, within=outline, profile=profiles.Profile(min_area_m2=50.0))
        assert report.counts == {}
        assert report.hidden["gap"]["count"] == 1
        assert report.coverage_percent == "99.9999"
        assert report.hidden["gap"]["tolerated"] == 1
        assert "tolerated" in [note.code for note in report.notes]

    def test_thousands_of_ribbons_are_summed_and_the_largest_listed(self, tiling):
        grids, outline = tiling(200, seed=5)
        random = np.random.default_rng(0)
        shapes = []
        for shape in grids.geometry:
            xy = shapely.get_coordinates(shape)
            xy += random.normal(0, 1e-4, xy.shape)
            xy[-1] = xy[0]
            shapes.append(shapely.Polygon(xy))
        changed = grids.set_geometry(shapes, crs=CRS)
        report = coverage.check(changed, within=outline)
        assert report.verdict == "faults"
        assert len(report.faults) < 600
        assert report.hidden["gap"]["count"] > 1000
        union = shapely.union_all(shapes)
        told = report.faults.groupby("kind").area_m2.sum().to_dict()
        kinds = ("gap", "rim_gap", "overrun", "outline_mismatch")
        found = sum(
            told.get(kind, 0.0) + report.hidden.get(kind, {"area_m2": 0.0})["area_m2"]
            for kind in kinds
        )
        apart = outline.difference(union).area + union.difference(outline).area
        assert found == pytest.approx(apart, rel=1e-3)
        assert report.coverage_percent == "99.9999"

    def test_progress_is_told(self, city):
        seen: list[float] = []
        coverage.check(*city[:1], within=city[1], on_progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0

    def test_every_kind_has_its_sentences_and_severity(self):
        from geo_service.coverage import _messages

        assert set(_messages._SENTENCES) == set(coverage.KINDS)
        assert set(coverage.KINDS) <= set(profiles.load().severities)


def _with_vertex(value):
    shape = shapely.box(0, 0, 1, 1)
    xy = shapely.get_coordinates(shape)
    xy[2] = value
    return shapely.set_coordinates(shape, xy)


class TestRefusals:
    @pytest.mark.parametrize(
        ("geometry", "code"),
        [
            (None, "geometry_missing"),
            (shapely.Polygon(), "geometry_missing"),
            (shapely.Point(1, 1), "not_polygons"),
            (_with_vertex(np.nan), "coordinate_not_finite"),
            (_with_vertex(np.inf), "coordinate_not_finite"),
        ],
    )
    def test_name_the_row(self, city, geometry, code):
        grids, outline = city
        with pytest.raises(InputError) as refused:
            coverage.check(edited(grids, r16=geometry), within=outline)
        assert refused.value.code == code
        assert refused.value.details["row"] == 17

    def test_empty_layer(self, city):
        grids, outline = city
        with pytest.raises(InputError) as refused:
            coverage.check(grids.iloc[:0], within=outline)
        assert refused.value.code == "layer_empty"

    def test_other_coordinate_system(self, city):
        grids, outline = city
        with pytest.raises(InputError) as refused:
            coverage.check(grids, within=gpd.GeoSeries([outline], crs=4326))
        assert refused.value.code == "crs_differs"


class TestCertificate:
    def test_is_clean_for_a_tiling_only(self, city):
        grids, outline = city
        assert coverage.certificate(grids.geometry, outline).clean
        assert not coverage.certificate(grids.geometry[1:], outline).clean
        assert not coverage.certificate([*grids.geometry, grids.geometry[0]], outline).clean

    @COMMON
    @given(seed=st.integers(0, 10**6))
    def test_does_not_depend_on_order_nor_on_partition(self, city, seed):
        grids, outline = city
        random = np.random.default_rng(seed)
        shapes = [_turned(shape, random) for shape in grids.geometry]
        random.shuffle(shapes)
        cut = int(random.integers(1, len(shapes) - 1))
        parts = coverage.certificate(shapes[:cut], None) + coverage.certificate(
            shapes[cut:], outline
        )
        assert parts == coverage.certificate(grids.geometry, outline)
        assert parts.clean

    def test_follows_an_edit(self, city):
        grids, outline = city
        whole = coverage.certificate(grids.geometry, outline)
        row = inner_rows(grids, outline)[0]
        pulled = towards_centre(grids.geometry[row], 5, 1e-9)
        broken = whole.replaced(grids.geometry[row], pulled)
        assert not broken.clean
        assert broken == coverage.certificate(
            edited(grids, **{f"r{row}": pulled}).geometry, outline
        )
        assert broken.replaced([pulled], [grids.geometry[row]]) == whole

    def test_holes_are_filled_by_what_lies_in_them(self):
        inner = shapely.box(3, 3, 5, 5)
        outer = shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [inner.exterior])
        assert coverage.certificate([outer, inner], shapely.box(0, 0, 9, 9)).clean
        assert not coverage.certificate([outer], shapely.box(0, 0, 9, 9)).clean

    def test_places_at_the_origin_and_negative_zero_count(self):
        left, right = shapely.box(-1, -1, 0, 1), shapely.box(-0.0, -1, 1, 1)
        whole = shapely.Polygon([(-1, -1), (0, -1), (1, -1), (1, 1), (0, 1), (-1, 1)])
        assert coverage.certificate([left, right], whole).clean
        assert not coverage.certificate([shapely.box(0, 0, 1, 1)], shapely.box(0, 0, 2, 1)).clean


def test_jitter_is_measured_whole(tiling):
    """Where 5 % of grids are redrawn 3 mm apart, overlaps add up to what an overlay finds."""
    for count in (500, 2000):
        grids, outline = tiling(count, seed=2, points=16)
        random = np.random.default_rng(1)
        changes = {}
        for row in random.choice(count, count // 20, replace=False).tolist():
            xy = shapely.get_coordinates(grids.geometry[row])
            xy += random.normal(0, 0.003, xy.shape)
            xy[-1] = xy[0]
            changes[f"r{row}"] = shapely.Polygon(xy)
        changed = edited(grids, **changes)
        report = coverage.check(changed, within=outline)
        shapes = changed.geometry.to_numpy()
        found = report.faults.groupby("kind").area_m2.sum()
        hidden = report.hidden.get("overlap", {"area_m2": 0.0})["area_m2"]
        a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        common = shapely.area(shapely.intersection(shapes[a[a < b]], shapes[b[a < b]])).sum()
        assert found["overlap"] + hidden == pytest.approx(common, rel=1e-3)
