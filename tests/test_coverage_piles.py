"""Dozens of grids on one spot: told as one fault, and the rest of the layer judged beside it."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geo_service as gs
from geo_service.coverage import _layer, _piles, _residual, _segments
from geo_service.errors import InputError


def shifted(count: int, *, seed: int = 1, reach: float = 30.0) -> np.ndarray:
    """Squares of 100 m, each shifted by a little of its own."""
    x, y = np.random.default_rng(seed).random((2, count)) * reach
    return shapely.box(x, y, x + 100.0, y + 100.0)


def layer(*shapes: object) -> gpd.GeoDataFrame:
    codes = [f"41100200100{k:04d}" for k in range(len(shapes))]
    return gpd.GeoDataFrame({"code": codes}, geometry=list(shapes), crs=4547)


def test_a_pile_is_one_overlap_and_its_neighbours_are_judged_as_ever() -> None:
    beside = shapely.box(200, 0, 300, 100), shapely.box(300.5, 0, 400, 100)
    grids = layer(*shifted(10_000), *beside)
    report = gs.check_coverage(grids)
    overlap = report.faults[report.faults.kind == "overlap"]
    assert len(overlap) == 1
    assert len(overlap.codes.item()) == 10_000
    assert "10,000 grids lie on one spot" in overlap.message_en.item()
    assert any(note.code == "piled" for note in report.notes)
    gap = gs.check_coverage(grids, within=shapely.box(0, 0, 400, 130)).faults
    assert any(shapely.box(300.1, 1, 300.4, 99).within(shape) for shape in gap.geometry)


def test_what_a_pile_covers_twice_is_measured() -> None:
    shapes = shifted(60)
    (pile,) = _piles_of(shapes)
    reach = np.arange(0.5, 130, 1.0)
    x, y = (axis.ravel() for axis in np.meshgrid(reach, reach))
    often = np.sum([shapely.contains_xy(shape, x, y) for shape in shapes], axis=0)
    assert shapely.area(pile.twice) == pytest.approx(np.count_nonzero(often > 1), rel=0.02)
    assert shapely.area(pile.ground) == pytest.approx(np.count_nonzero(often > 0), rel=0.02)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    shapes = np.append(shifted(70), [shapely.box(135, 0, 200, 100)])
    grids = layer(*shapes)
    turned = grids.iloc[np.random.default_rng(seed).permutation(len(grids))]
    area = shapely.box(0, 0, 200, 130)
    one, two = (gs.check_coverage(g, within=area) for g in (grids, turned))
    assert one.faults.message_en.tolist() == two.faults.message_en.tolist()
    assert one.counts == two.counts


def test_copies_of_one_grid_are_no_pile() -> None:
    square = shapely.box(0, 0, 100, 100)
    report = gs.check_coverage(layer(*[square] * 200), within=square)
    assert report.counts == {"duplicate_geometry": 1}


def test_fewer_grids_are_told_one_by_one() -> None:
    shapes = shifted(_piles.DEPTH)
    assert not _piles_of(shapes)
    assert gs.check_coverage(layer(*shapes)).counts["overlap"] > 1


def test_two_spots_are_two_piles() -> None:
    far = shapely.transform(shifted(60, seed=2), lambda xy: xy + np.array([1000.0, 0.0]))
    report = gs.check_coverage(layer(*shifted(60), *far), within=shapely.box(0, 0, 1130, 130))
    assert report.counts["overlap"] == 2


def test_revisions_of_a_layer_in_one_file_are_a_pile_for_every_grid(tiling) -> None:
    grids, outline = tiling(40, seed=3)
    random = np.random.default_rng(1)
    every = [
        grids.set_geometry(grids.geometry.translate(*random.normal(0.0, 1.0, 2)))
        for _ in range(_piles.DEPTH + 2)
    ]
    report = gs.check_coverage(pd.concat(every, ignore_index=True), within=outline)
    overlaps = report.faults[report.faults.kind == "overlap"]
    piled = overlaps[overlaps.codes.map(len) > _piles.DEPTH]
    assert sorted(codes[0] for codes in piled.codes) == sorted(grids.code)
    assert all(set(codes) == {codes[0]} for codes in piled.codes)


def test_an_outline_may_have_a_pile_of_its_own() -> None:
    grids = layer(shapely.box(0, 0, 100, 130), shapely.box(100.5, 0, 200, 130))
    parts = np.append(shifted(500), [shapely.box(130, 0, 200, 130)])
    report = gs.check_coverage(grids, within=gpd.GeoSeries(parts, crs=4547))
    (message,) = report.reference[report.reference.kind == "overlap"].message_en
    assert "500 grids lie on one spot" in message
    assert any(note.code == "outline_faulty" for note in report.notes)
    gap = report.faults[report.faults.kind.isin(["gap", "rim_gap"])]
    assert any(shapely.box(100.1, 35, 100.4, 95).within(shape) for shape in gap.geometry)
    mended = gs.repair(grids, within=gpd.GeoSeries(parts, crs=4547))
    assert "gap" not in set(mended.left.kind)


def test_repair_refuses_to_choose_among_a_pile() -> None:
    with pytest.raises(InputError) as refused:
        gs.repair(layer(*shifted(60)))
    assert refused.value.code == "grids_piled"


def _piles_of(shapes: np.ndarray) -> list[_piles.Pile]:
    whole, _ = _layer.layer_of(layer(*shapes))
    left = _residual.residual([(whole.rings, _segments.scan(whole.rings))])
    return _piles.piles_of(whole, left, [])


def test_whole_revisions_in_one_file_are_told_spot_by_spot(tiling) -> None:
    grids, _ = tiling(60)
    moved = [grids.set_geometry(grids.translate(0.3 * k, 0.2 * k)) for k in range(5)]
    report = gs.check_coverage(pd.concat(moved, ignore_index=True))
    (note,) = (note for note in report.notes if note.code == "piled")
    assert "300 grids" in note.en
    assert "60 spots" in note.en
    piles = report.faults[report.faults["codes"].map(len) == 5]
    assert sorted({codes[0] for codes in piles["codes"]}) == sorted(grids["code"])


def test_a_county_and_a_city_among_their_grids_are_no_pile(tiling) -> None:
    grids, outline = tiling(60)
    above = gpd.GeoDataFrame(geometry=[outline, outline.buffer(1.0)], crs=grids.crs)
    report = gs.check_coverage(pd.concat([grids, above], ignore_index=True))
    assert "piled" not in {note.code for note in report.notes}
