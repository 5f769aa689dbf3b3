"""The engine of the check: sums that cancel, rings that are simple, work that stays in bounds."""

from __future__ import annotations

import subprocess
import sys

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo_service import coverage
from geo_service.coverage import (
    _arrays,
    _examined,
    _layer,
    _noding,
    _residual,
    _rings,
    _segments,
    _shapes,
    _simple,
    _walk,
)

CRS = 4547
COMMON = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def city(tiling):
    return tiling(40, seed=5)


def layer_of(shapes):
    codes = [f"{k:06d}" for k in range(len(shapes))]
    return gpd.GeoDataFrame({"code": codes}, geometry=list(shapes), crs=CRS)


def examined(shapes, within=None):
    layer, _ = _layer.layer_of(layer_of(shapes))
    outline = None if within is None else _layer.outline_of(within, layer)[0]
    scan = _segments.scan(layer.rings)
    return _examined.examine(layer, outline, scan, _shapes.shapes_of(layer, scan))


class TestCertificate:
    @COMMON
    @given(data=st.data())
    def test_parts_in_any_order_add_up_to_the_whole(self, city, data):
        grids, outline = city
        shapes = grids.geometry.to_numpy()
        part = np.array(data.draw(st.lists(st.integers(0, 4), min_size=40, max_size=40)))
        order = data.draw(st.permutations(range(5)))
        total = coverage.certificate([], outline)
        for which in order:
            total = total + coverage.certificate(shapes[part == which], None)
        assert total == coverage.certificate(shapes, outline)
        assert total.clean

    @COMMON
    @given(seed=st.integers(0, 10**6), edits=st.integers(1, 5))
    def test_after_edits_equals_a_fresh_one_and_agrees_with_the_check(self, city, seed, edits):
        grids, outline = city
        random = np.random.default_rng(seed)
        shapes = grids.geometry.to_numpy().copy()
        kept = coverage.certificate(shapes, outline)
        original = shapes.copy()
        for _ in range(edits):
            row = int(random.integers(len(shapes)))
            new = original[row]  # now and then a grid is put back as it was
            if random.random() < 0.6:
                xy = shapely.get_coordinates(new)
                xy[random.integers(1, len(xy) - 1)] += random.choice([1e-6, 0.01, 0.5], 2)
                new = shapely.Polygon(xy)
            kept = kept.replaced(shapes[row], new)
            shapes[row] = new
        assert kept == coverage.certificate(shapes, outline)
        report = coverage.check(grids.set_geometry(gpd.GeoSeries(shapes, crs=CRS)), within=outline)
        found = report.counts.keys() | report.hidden.keys()
        assert kept.clean == (not found)

    def test_neither_start_nor_direction_nor_the_sign_of_zero_matters(self):
        ring = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (1.0, 5.0), (0.0, 0.0)])
        one = coverage.certificate(shapely.Polygon(ring), None)
        turned = np.roll(ring[:-1], 2, axis=0)[::-1]
        assert coverage.certificate(shapely.Polygon(turned), None) == one
        assert coverage.certificate(shapely.Polygon(np.where(ring == 0.0, -0.0, ring)), None) == one

    def test_on_a_lattice_equal_areas_do_not_cancel(self):
        # Whole numbers leave most bits of a float empty, and all these cells have one area.
        whole = shapely.box(0, 0, 16, 16)
        cells = [shapely.box(x, y, x + 1, y + 1) for x in range(16) for y in range(16)]
        sums = {
            (found.first, found.second)
            for k in range(256)
            for found in [coverage.certificate([*cells[:k], *cells[k + 1 :]], whole)]
        }
        assert len(sums) == 256
        assert not any(0 in pair for pair in sums)

    def test_is_the_same_for_polygons_and_for_flat_arrays(self, city):
        shapes = city[0].geometry.to_numpy()
        flat = coverage.certificate(_rings.rings_of(shapes), city[1])
        assert flat == coverage.certificate(shapes, city[1])


class TestSimpleRings:
    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 10**6), count=st.integers(3, 90), rough=st.floats(0.0, 1.5))
    def test_no_ring_that_meets_itself_passes(self, seed, count, rough):
        random = np.random.default_rng(seed)
        angle = np.sort(random.random(count)) * 2 * np.pi
        xy = np.column_stack([np.cos(angle), np.sin(angle)]) * 100
        xy += random.normal(0, 1, xy.shape) * rough * 2 * np.pi * 100 / count
        ring = shapely.Polygon(np.round(xy, 2))
        rings = _rings.rings_of(_arrays.array_of(ring))
        scan = _segments.scan(rings)
        told = bool(_simple.suspects(rings)[0]) or scan.spike[0] >= 0 or scan.repeated[0] >= 0
        assert told or shapely.is_valid(ring)

    def test_hardly_any_simple_ring_is_suspected(self, city):
        rings = _rings.rings_of(city[0].geometry.to_numpy())
        assert not _simple.suspects(rings).any()

    def test_a_ring_that_runs_round_twice_is_seen(self):
        turn = np.linspace(0, 4 * np.pi, 40, endpoint=False)
        reach = 10 + 3 * np.sin(turn / 2)  # never turns back, and crosses itself once
        ring = shapely.Polygon(np.column_stack([np.cos(turn), np.sin(turn)]) * reach[:, None])
        assert not ring.is_valid
        assert _simple.suspects(_rings.rings_of(_arrays.array_of(ring)))[0]

    def test_a_figure_of_eight_is_seen_however_it_begins(self):
        eight = np.array([(0, 0), (2, 2), (4, 0), (6, 2), (6, 4), (4, 2), (2, 0), (0, 2)], float)
        for turn in range(8):
            ring = shapely.Polygon(np.roll(eight, turn, axis=0))
            assert _simple.suspects(_rings.rings_of(_arrays.array_of(ring)))[0]


class TestGraph:
    @COMMON
    @given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=60))
    def test_places_are_numbered_in_order(self, places):
        xy = np.array(places, float)
        found, number = _arrays.numbered(xy)
        expected, inverse = np.unique(xy, axis=0, return_inverse=True)
        assert (found == expected).all()
        assert (number == inverse.reshape(-1)).all()

    @COMMON
    @given(
        st.sets(
            st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda e: e[0] < e[1]),
            min_size=1,
        )
    )
    def test_strung_lines_are_the_segments_once_each(self, edges):
        ends = np.array(sorted(edges), np.int64)
        path, last = _noding._strung(ends, 10)
        strung = [
            tuple(sorted(pair))
            for line in np.split(path, last[:-1])
            for pair in np.column_stack([line[:-1], line[1:]]).tolist()
        ]
        assert sorted(strung) == sorted(edges)

    def test_a_long_loose_end_goes_and_the_loop_stays(self):
        tail = [(k, k + 1) for k in range(500)]
        ends = np.array([*tail, (500, 501), (501, 502), (502, 500)], np.int64)
        assert _walk._bounding(ends, 503).tolist() == [500, 501, 502]


class TestBounds:
    """Counts of work, not seconds: what grows with the square of the input shows in them."""

    def test_grids_that_meet_in_one_node(self):
        count = 400
        angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
        rim = np.column_stack([np.cos(angle), np.sin(angle)]) * 1000.0
        rim = np.concatenate([rim, rim[:1]])
        slices = [shapely.Polygon([(0, 0), rim[k], rim[k + 1]]) for k in range(count)]
        whole = shapely.Polygon(rim)
        assert examined(slices, whole).graph is None
        slices[0] = shapely.Polygon([(2.0, 0.001), rim[0], rim[1]])
        left = examined(slices, whole)
        assert len(left.left.segments) <= 6
        assert left.graph.faces.count <= 6

    def test_identical_polygons_are_one_finding(self):
        report = coverage.check(layer_of([shapely.box(0, 0, 9, 9)] * 300))
        assert report.counts == {"duplicate_geometry": 1}
        assert len(report.faults.codes.iloc[0]) == 300

    def test_a_pile_of_grids_is_not_told_pair_by_pair(self):
        boxes = [shapely.box(k / 8, 0, 50 + k / 8, 50) for k in range(24)]
        report = coverage.check(layer_of(boxes))
        assert set(report.counts) == {"overlap"}
        assert report.counts["overlap"] < 24 * 23 / 2
        surplus = report.faults.area_m2.sum()
        assert surplus >= shapely.intersection(boxes[0], boxes[-1]).area

    def test_one_border_of_many_segments(self):
        x = np.linspace(0.0, 1000.0, 5_000)
        line = np.column_stack([x, 50.0 + np.sin(x) * 5.0])
        low = shapely.Polygon(np.concatenate([[(0, 0)], [(1000, 0)], line[::-1]]))
        high = shapely.Polygon(np.concatenate([line, [(1000, 100)], [(0, 100)]]))
        left = examined([low, high]).left
        assert len(left.segments) == 6
        moved = examined([low, shapely.transform(high, lambda xy: xy - [0.0, 0.001])])
        assert len(moved.graph.faces.pieces) <= 2.1 * len(x)

    def test_a_ring_of_many_vertices_is_not_asked_of_geos(self, monkeypatch):
        angle = np.linspace(0.0, 2 * np.pi, 50_000, endpoint=False)
        far = 1000.0 + 50.0 * np.sin(97 * angle)
        xy = np.column_stack([far * np.cos(angle), far * np.sin(angle)])
        rings = _rings.rings_of(_arrays.array_of(shapely.Polygon(xy)))
        assert not _simple.suspects(rings).any()

    def test_a_clean_layer_sorts_no_hashes_into_bins(self, city, monkeypatch):
        def refuse(*_):
            raise AssertionError("asked for bins")

        monkeypatch.setattr(_segments, "_binned", refuse)
        layer, _ = _layer.layer_of(city[0])
        outline, _ = _layer.outline_of(city[1], layer)
        both = [(layer.rings, _segments.scan(layer.rings)), (outline.rings, outline.scan)]
        assert _residual.residual(both).empty


KERNELS = """
import importlib, pkgutil, sys
from numba.core.registry import CPUDispatcher
from geo_service import coverage, mending

def kernels():
    found = {}
    for room in (coverage, mending):
        for module in pkgutil.iter_modules(room.__path__):
            inside = importlib.import_module(f"{room.__name__}.{module.name}")
            for name, one in vars(inside).items():
                if isinstance(one, CPUDispatcher):
                    found[f"{one.py_func.__module__}.{name}"] = one
    return found
"""

WARM = (
    KERNELS
    + """
from geo_service import demo_city
from geo_service.cli import operate
from geo_service.demo_city import dirty

operate._warm()
before = {name: sorted(map(str, one.signatures)) for name, one in kernels().items()}
city = demo_city.make(grids=demo_city.FEWEST_GRIDS, seed=3)
spoilt, _ = dirty.inject(city.grids, city.outline, seed=3)
for within in (city.outline, city.communities, None):
    coverage.check(spoilt, within=within)
coverage.certificate(city.grids.geometry, city.outline.geometry.iloc[0])
mending.repair(spoilt, within=city.outline, max_gap_m=50.0)
after = {name: sorted(map(str, one.signatures)) for name, one in kernels().items()}
new = {name: after[name] for name in after if after[name] != before.get(name)}
assert not new, new
assert any(before.values())
"""
)


def test_every_kernel_is_kept_on_disk():
    scope: dict = {}
    exec(KERNELS, scope)
    without = [
        name for name, one in scope["kernels"]().items() if type(one._cache).__name__ == "NullCache"
    ]
    assert without == []


@pytest.mark.slow
def test_after_warming_up_no_check_and_no_repair_compiles():
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@given(st.data())
def test_boxes_that_meet_others_are_all_told(data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from([1e-9, 1.0, 1e7]))
    place = st.integers(-6, 6).map(lambda k: k * unit)

    def boxes(least: int) -> np.ndarray:
        drawn = data.draw(st.lists(st.tuples(*[place] * 4), min_size=least, max_size=12))
        ends = np.array(drawn, float).reshape(-1, 2, 2)
        return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)

    ours, others = boxes(1), boxes(0)
    apart = (ours[:, None, :2] > others[None, :, 2:]).any(axis=2)
    apart |= (ours[:, None, 2:] < others[None, :, :2]).any(axis=2)
    assert set(np.flatnonzero(~apart.all(axis=1))) <= set(_arrays.met(ours, others).tolist())


def test_few_boxes_come_in_question() -> None:
    xy = np.stack(np.meshgrid(np.arange(100.0), np.arange(100.0)), axis=2).reshape(-1, 2)
    boxes = np.concatenate([xy, xy + 1.0], axis=1)
    others = np.array([[0.5, 0.5, 0.5, 0.5], [99.5, 99.5, 99.5, 99.5], [20.5, 70.5, 20.5, 70.5]])
    assert len(_arrays.met(boxes, others)) < 20
