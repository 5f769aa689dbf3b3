"""What tolerance hides, what is told as one, and what the outline itself has wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo_service import coverage, profiles
from geo_service.coverage import _reprojected
from geo_service.errors import InputError
from geo_service.profiles import Tolerance

CRS = 4547
RULES = profiles.load()
TILING = ("gap", "overlap", "rim_gap", "overrun", "missing_grid", "outline_mismatch")


@pytest.fixture(scope="module")
def city(tiling):
    return tiling(40, seed=3)


def spoilt(grids, seed, *, share=0.5):
    """Grids with many vertices moved by very different lengths."""
    random = np.random.default_rng(seed)
    shapes = []
    for shape in grids.geometry:
        xy = shapely.get_coordinates(shape)
        chosen = random.random(len(xy)) < share * random.random()
        length = 10.0 ** random.uniform(-5, 0.5, len(xy))
        step = random.normal(0, 1, xy.shape) * (chosen * length)[:, None]
        moved = xy + step
        moved[-1] = moved[0]
        fresh = shapely.Polygon(moved)
        shapes.append(fresh if fresh.is_valid else shape)
    return grids.set_geometry(shapes, crs=grids.crs)


def listed(report):
    return {kind: report.counts.get(kind, 0) for kind in TILING}


def places_and_area(report):
    """All places of the tiling, listed or not, and their area."""
    groups = report.groups[report.groups["kind"].isin(TILING)]
    tolerated = sum(sums["tolerated"] for sums in report.hidden.values())
    hidden_m2 = sum(sums["area_m2"] for k, sums in report.hidden.items() if k in TILING)
    faults = report.faults[report.faults["kind"].isin(TILING)]
    return groups["places"].sum() + tolerated, faults["area_m2"].sum() + hidden_m2


@st.composite
def tolerances(draw):
    """Two profiles, the second nowhere stricter than the first."""
    size = st.floats(0.0, 5.0)
    rules = []
    low = draw(st.tuples(size, size, size, size))
    more = draw(st.tuples(size, size, size, size))
    for general_m2, general_m, gap_m2, gap_m in (low, np.add(low, more).tolist()):
        gap = Tolerance(gap_m2, gap_m)
        rules.append(
            replace(
                RULES,
                min_area_m2=general_m2 / 10,
                min_width_m=general_m / 100,
                tolerances={"gap": replace(gap, width_m=gap_m / 100)},
            )
        )
    snap = draw(st.floats(0.01, 0.5)), draw(st.floats(0.0, 0.5))
    return replace(rules[0], snap_m=snap[0]), replace(rules[1], snap_m=sum(snap))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**6), rules=tolerances(), bounded=st.booleans())
def test_a_larger_tolerance_never_shows_more(city, seed, rules, bounded):
    grids, outline = city
    grids = spoilt(grids, seed)
    within = outline if bounded else None
    exact = coverage.check(grids, within=within, profile=replace(RULES, min_area_m2=0.0))
    strict, loose = (coverage.check(grids, within=within, profile=one) for one in rules)
    for kind in TILING:
        assert loose.counts.get(kind, 0) <= strict.counts.get(kind, 0), kind
    assert len(loose.faults) <= len(strict.faults)
    # What is hidden is counted and summed: nothing is lost on the way.
    for report in (strict, loose):
        places, area_m2 = places_and_area(report)
        assert (places, area_m2) == (
            places_and_area(exact)[0],
            pytest.approx(places_and_area(exact)[1], rel=1e-9),
        )
        assert report.coverage_percent == exact.coverage_percent
        assert all(sums["tolerated"] == sums["count"] for sums in report.hidden.values())


def test_tolerances_of_a_kind_stand_in_a_profile(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\nmin_area_m2 = 0.5\n[tolerances.gap]\nwidth_m = 0.02\n')
    rules = profiles.load(path)
    assert rules.tolerance("gap") == Tolerance(0.5, 0.02)
    assert rules.tolerance("overlap") == Tolerance(0.5, 0.0)
    for wrong in ("[tolerances.gap]\nwide = 1\n", "[tolerances]\ngap = 1\n"):
        path.write_text(wrong)
        with pytest.raises(InputError) as refused:
            profiles.load(path)
        assert refused.value.code == "parameter_invalid"


class TestConversion:
    """A straight border is straight in one plane only."""

    @staticmethod
    def bricks(crs, side, origin, rows=5, columns=5):
        """Rows of bricks, every other shifted by half: a T-junction on every long border."""
        shapes = []
        for r in range(rows):
            half = 0.5 * (r % 2)
            cuts = [0.0, *((k + half) * side for k in range(1, columns)), columns * side]
            y0, y1 = (origin[1] + n * side / 2 for n in (r, r + 1))
            shapes += [
                shapely.box(origin[0] + a, y0, origin[0] + b, y1)
                for a, b in itertools.pairwise(cuts)
            ]
        return gpd.GeoDataFrame(geometry=shapes, crs=crs)

    @pytest.mark.parametrize(
        ("drawn", "saved", "side", "origin"),
        [
            (4547, 4490, 1000.0, (480_000, 3_760_000)),
            (4547, 4326, 300.0, (480_000, 3_760_000)),
            (4490, 4547, 0.01, (113.7, 34.0)),
            (4326, 4526, 0.01, (113.7, 34.0)),
        ],
    )
    def test_is_told_as_one(self, drawn, saved, side, origin):
        drawn_ = self.bricks(drawn, side, origin)
        assert coverage.check(drawn_).verdict == "clean"
        report = coverage.check(drawn_.to_crs(saved))
        assert report.counts == {"reprojected": 1}
        fault = report.faults.iloc[0]
        known = {4326: 4490}.get(drawn, drawn)  # one datum
        assert f"EPSG:{known}" in fault.message_en
        assert fault.severity == "error"  # ground is open there: it can't be published so
        assert report.groups["places"].sum() > 10

    def test_coordinates_may_be_rounded(self):
        lonlat = self.bricks(4547, 1000.0, (480_000, 3_760_000)).to_crs(4490)
        rounded = shapely.set_precision(lonlat.geometry.to_numpy(), 1e-8, mode="pointwise")
        report = coverage.check(lonlat.set_geometry(rounded, crs=4490))
        assert set(report.counts) == {"reprojected"}

    def test_real_faults_stay_apart(self):
        lonlat = self.bricks(4547, 1000.0, (480_000, 3_760_000)).to_crs(4490)
        shapes = lonlat.geometry.to_numpy().copy()
        x0, y0 = shapes[12].bounds[:2]
        shapes[12] = shapes[12].difference(
            shapely.box(x0 + 0.004, y0 + 0.002, x0 + 0.0041, y0 + 0.0021)
        )
        shapes[7] = shapes[7].union(shapes[8].intersection(shapes[7].buffer(1e-5)))
        report = coverage.check(lonlat.set_geometry(shapes, crs=4490))
        assert report.counts["reprojected"] == 1
        assert report.counts["gap"] == 1
        assert report.counts["overlap"] >= 1

    def test_is_not_asked_where_borders_were_rounded_grid_by_grid(self, tiling, monkeypatch):
        """Building the systems takes longer than the check."""
        grids, _ = tiling(300, seed=4, points=10)
        random = np.random.default_rng(2)
        shapes = []
        for shape in grids.geometry:
            off = random.random(2) * 0.001
            xy = np.round((shapely.get_coordinates(shape) + off) / 0.001) * 0.001 - off
            shapes.append(shapely.Polygon(xy))
        asked = []
        monkeypatch.setattr(_reprojected, "_candidates", lambda ground: asked.append(ground) or [])
        report = coverage.check(grids.set_geometry(shapes, crs=CRS))
        assert sum(report.counts.values()) > 100
        assert asked == []
        coverage.check(self.bricks(4547, 1000.0, (480_000, 3_760_000)).to_crs(4490))
        assert len(asked) == 1

    def test_hairlines_of_another_origin_are_none(self, city):
        grids, outline = city
        report = coverage.check(spoilt(grids, 5), within=outline)
        assert "reprojected" not in report.counts


class TestOutline:
    def test_drawn_a_hair_apart_is_a_warning_with_the_figure(self, city):
        grids, outline = city
        random = np.random.default_rng(1)
        xy = shapely.get_coordinates(outline)[:-1]
        apart = shapely.Polygon(xy + random.normal(0, 3e-4, xy.shape))
        report = coverage.check(grids, within=apart)
        assert report.verdict == "clean"
        assert set(report.counts) == {"outline_mismatch"}
        assert set(report.faults["severity"]) == {"warning"}
        assert " mm wide at most" in report.faults["message_en"].iloc[0]
        strict = coverage.check(grids, within=apart, profile=replace(RULES, outline_slack_m=0.0))
        assert strict.verdict == "faults"

    def test_its_own_faults_are_told_apart(self):
        """As the outlines that circulate: a hole between the parts of one county."""
        whole = shapely.box(0, 0, 9000, 9000)
        hole = shapely.box(4000, 4000, 4330, 4330)
        west = shapely.box(0, 0, 4165, 9000).difference(hole)
        east = shapely.box(4165, 0, 9000, 9000).difference(hole)
        county = gpd.GeoDataFrame({"code": ["411003", "411002"]}, geometry=[west, east], crs=CRS)
        cells = [shapely.box(x, y, x + 500, y + 500).intersection(whole)
                 for x in range(0, 9000, 500) for y in range(0, 9000, 500)]  # fmt: skip
        grids = gpd.GeoDataFrame(geometry=cells, crs=CRS)
        report = coverage.check(grids, within=county)
        assert list(report.reference["kind"]) == ["gap"]
        assert report.reference["area_m2"].item() == pytest.approx(330**2)
        (note,) = (n for n in report.notes if n.code == "outline_faulty")
        assert "411002 and 411003" in note.en
        assert "108,900 m²" in note.zh
        told = report.faults[report.faults["kind"] == "overrun"]
        assert set(told["severity"]) == {"warning"}  # no grid is at fault
        assert told["message_en"].str.contains("outline itself has a hole").all()
        assert "reference" in report.to_dict()

    def test_a_hole_drawn_as_one_is_meant(self, city):
        grids, outline = city
        inner = grids.geometry.to_numpy()[~grids.intersects(outline.exterior).to_numpy()][0]
        holed = outline.difference(inner)
        kept = grids[~grids.geometry.geom_equals(inner)]
        report = coverage.check(kept, within=holed)
        assert report.verdict == "clean"
        assert "outline_holes" in [note.code for note in report.notes]
        assert len(report.reference) == 0


class TestGroups:
    def test_districts_drawn_separately_are_named(self, tiling):
        """Each district's rim simplified by itself: faults between districts, none inside."""
        grids, _ = tiling(400, seed=9, points=10)
        districts = []
        middle = grids.geometry.centroid
        west, south = middle.x < middle.x.median(), middle.y < middle.y.median()
        part = np.where(west, "W", "E") + pd.Series(np.where(south, "S", "N"))
        for which, members in grids.groupby(part.to_numpy()):
            step = 20.0 + 5 * len(districts)
            shapes = shapely.coverage_simplify(
                members.geometry.to_numpy(), step, simplify_boundary=True
            )
            districts.append(members.assign(layer=which).set_geometry(shapes, crs=CRS))
        merged = pd.concat(districts, ignore_index=True).drop(columns="code")
        report = coverage.check(merged)
        (note,) = (n for n in report.notes if n.code == "drawn_apart")
        assert "none lies inside" in note.en
        assert "“layer”" in note.zh
        lines = report.groups[report.groups["kind"].isin(["gap", "overlap"])]
        assert len(lines) <= 20  # pairs, and the four that meet in the middle
        assert all(len(between) > 1 for between in lines["between"])
        errors = report.groups[report.groups["severity"] == "error"]
        assert errors["area_m2"].is_monotonic_decreasing
        found = report.faults[report.faults["kind"].isin(["gap", "overlap"])]
        assert lines["area_m2"].sum() == pytest.approx(found["area_m2"].sum(), rel=1e-9)

    def test_rounding_everywhere_is_one_remark(self, tiling):
        grids, _ = tiling(300, seed=4, points=10)
        random = np.random.default_rng(2)
        shapes = []
        for shape in grids.geometry:
            off = random.random(2) * 0.01
            xy = np.round((shapely.get_coordinates(shape) + off) / 0.01) * 0.01 - off
            shapes.append(shapely.Polygon(xy))
        report = coverage.check(grids.set_geometry(shapes, crs=CRS))
        (note,) = (n for n in report.notes if n.code == "rounded_apart")
        assert "repair --snap-m" in note.en
        assert len(report.faults) <= 2200
        assert len(report.groups) <= 300
        everything = report.groups["places"].sum()
        assert everything > 1500
        hidden = sum(sums["count"] - sums["tolerated"] for sums in report.hidden.values())
        assert hidden > 0
        plain = report.to_dict()
        assert set(plain["groups"][0]) == {
            "kind", "severity", "between", "places", "area_m2", "width_m", "at", "message",
        }  # fmt: skip

    def test_a_name_that_returns_all_over_parts_nothing(self, tiling):
        """Hardly two neighbours are both “grid 3”, and yet nobody drew the “grids 3” separately."""
        grids, _ = tiling(600, seed=4, points=10)
        random = np.random.default_rng(2)
        shapes = [
            shapely.Polygon(shapely.get_coordinates(shape) + random.random(2) * 0.01)
            for shape in grids.geometry
        ]
        named = grids.drop(columns="code").set_geometry(shapes, crs=CRS)
        named["name"] = [f"grid {k}" for k in random.integers(1, 25, len(named))]
        named["town"] = pd.qcut(named.geometry.centroid.x, 5, labels=list("ABCDE")).astype(str)
        report = coverage.check(named)
        assert "drawn_apart" not in {note.code for note in report.notes}
        assert set().union(*report.groups["between"]) == set("ABCDE")

    def test_no_kind_lists_more_than_a_thousand(self):
        cells = [
            shapely.box(x, y, x + 9.0, y + 10.5)
            for x in range(0, 500, 10)
            for y in range(0, 500, 10)
        ]
        grids = gpd.GeoDataFrame(geometry=cells, crs=CRS)
        report = coverage.check(grids, within=shapely.box(0, 0, 500, 501))
        assert max(report.counts.values()) <= 1000
        assert report.hidden["overlap"]["count"] > 1000
        assert report.hidden["overlap"]["tolerated"] == 0
        assert report.verdict == "faults"
        assert "unlisted" in [note.code for note in report.notes]
        total = report.groups["places"][report.groups["kind"] == "overlap"].sum()
        assert total == report.counts["overlap"] + report.hidden["overlap"]["count"]
