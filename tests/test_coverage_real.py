"""The check on public layers whose faults are known."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geo_service import boundary_files, coverage

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def layers(real_data):
    return real_data / "coverages"


def read(path, **options):
    return gpd.read_file(path, **options)


def test_london_is_clean_but_for_rings_that_touch_themselves(layers):
    grids = read(layers / "london_oa.gpkg")
    report = coverage.check(grids)
    invalid = np.flatnonzero(~grids.is_valid)
    assert len(invalid) == report.counts["self_intersection"] == 14
    rows = report.faults[report.faults.kind == "self_intersection"].codes
    assert {code for codes in rows for code in codes} == {f"row {row + 1}" for row in invalid}
    tiling = {"overlap", "gap", "missing_grid", "detached", "duplicate_geometry"}
    assert not tiling & set(report.counts)
    assert report.coverage_percent == "100.0000"


def test_denver_precincts_before_and_after_their_published_repair(layers):
    before = coverage.check(read(layers / "DenverCo_precincts2020_orig.zip"))
    after = coverage.check(read(layers / "DenverCo_precincts2020_repaired.zip"))
    overlaps = before.faults[before.faults.kind == "overlap"]
    assert len(overlaps) == 17
    assert overlaps.area_m2.sum() == pytest.approx(12.98, abs=0.01)
    assert "overlap" not in after.counts

    def holes(report):
        listed = report.counts.get("gap", 0) + report.counts.get("missing_grid", 0)
        return listed + report.hidden.get("gap", {}).get("count", 0)

    assert holes(before) - holes(after) == 22


def test_denver_blocks_have_enclaves_not_errors(layers):
    blocks = read(layers / "DenverCo_blocks.zip")
    alone = coverage.check(blocks)
    holes = alone.faults[alone.faults.kind.isin(["missing_grid", "gap"])]
    assert len(holes) == 10
    assert holes.area_m2.sum() == pytest.approx(3.16e6, rel=0.02)
    assert holes.message_en.str.contains("give the outline with --within").all()
    assert set(alone.faults.severity) == {"warning"}
    assert alone.verdict == "clean"
    outline = shapely.coverage_union_all(blocks.geometry.to_numpy())
    report = coverage.check(blocks, within=gpd.GeoSeries([outline], crs=blocks.crs))
    assert report.verdict == "clean"
    assert report.coverage_percent == "100.0000"
    assert report.counts == {}
    (declared,) = (note for note in report.notes if note.code == "outline_holes")
    assert "10 enclosed places" in declared.en
    assert len(report.reference) == 0


def test_shenzhen_lacks_one_cell_and_one_is_detached(layers):
    cells = read(layers / "shenzhen_cells" / "grid.shp")
    assert shapely.coverage_is_valid(cells.geometry.to_numpy())
    report = coverage.check(cells)
    assert report.counts == {"missing_grid": 1, "detached": 1}
    missing = report.faults[report.faults.kind == "missing_grid"].iloc[0]
    assert missing.area_m2 == pytest.approx(249_409, rel=0.002)
    assert len(missing.codes) == 4
    (detached,) = report.faults[report.faults.kind == "detached"].codes
    row = int(detached[0].removeprefix("row ")) - 1
    others = cells.drop(index=row).geometry
    assert not others.touches(cells.geometry[row]).any()
    assert "crs_absent" in [note.code for note in report.notes]


def test_tainan_villages(real_data):
    villages = boundary_files.read(real_data / "uploads" / "10tnvillage.zip").frame
    report = coverage.check(villages)
    assert report.counts["overlap"] == 73
    gaps = report.faults[report.faults.kind == "gap"]
    assert len(gaps) == pytest.approx(190, abs=6)
    assert gaps.area_m2.max() == pytest.approx(17_216, abs=1)
    union = shapely.union_all(villages.geometry.to_numpy())
    holes = sum(
        shapely.Polygon(r).area for part in shapely.get_parts(union) for r in part.interiors
    )
    hidden = report.hidden.get("gap", {"area_m2": 0.0})["area_m2"]
    assert gaps.area_m2.sum() + hidden == pytest.approx(holes, abs=1e-3)
    json.dumps(report.to_dict())


def test_four_dirty_precinct_snippets(real_data):
    found = set()
    for path in sorted((real_data / "uploads" / "mapshaper").rglob("*.json")):
        precincts = read(path)
        if set(precincts.geom_type) <= {"Polygon", "MultiPolygon"}:
            found |= set(coverage.check(precincts).counts)
    assert {"overlap", "gap"} <= found
