"""The issue's measure: every injected fault located, its area and codes right, nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geo_service import boundary_files, cli, coverage, profiles
from geo_service.coverage import CoverageReport
from geo_service.demo_city import DemoCity, dirty
from geo_service.profiles import Profile

SEEDS = (1, 2, 3)
FAULT_KEYS = {"kind", "severity", "codes", "area_m2", "width_m", "at", "geometry", "message"}
REPORT_KEYS = {
    "verdict", "features", "expected", "crs", "profile", "coverage_percent", "on_map_percent",
    "counts", "faults",
}  # fmt: skip
HARMLESS = ("repeated_point", "edge_mismatch")
NAMES = list(dirty.VARIANTS)
# A city of 300 grids has room for about two dozen faults that keep apart.
BATCHES = (NAMES[:12], NAMES[12:24], NAMES[24:])

Spoiled = tuple[gpd.GeoDataFrame, pd.DataFrame]


def spoil(city: DemoCity, seed: int, names: list[str]) -> Spoiled:
    variants = {name: dirty.VARIANTS[name] for name in names}
    grids, truth = dirty.inject(city.grids, city.outline, seed=seed, each=1, variants=variants)
    assert set(truth["variant"]) == set(names)
    return grids, truth


@pytest.fixture(
    scope="module",
    params=[(seed, batch) for seed in SEEDS for batch in range(len(BATCHES))],
    ids=lambda param: f"seed {param[0]}, batch {param[1]}",
)
def spoiled(small_city: DemoCity, request: pytest.FixtureRequest) -> Spoiled:
    seed, batch = request.param
    return spoil(small_city, seed, BATCHES[batch])


def assert_all_found(truth: pd.DataFrame, report: CoverageReport) -> None:
    score = dirty.score(truth, report)
    assert score.false_alarms == 0, score.alarms.drop(columns="geometry").to_string()
    assert len(score.missed) == 0, score.missed.to_string()
    assert (score.located, score.area_right, score.codes_right) == (score.injected,) * 3
    assert score.injected == truth["real"].sum()
    harmless = report.faults[report.faults["kind"].isin(HARMLESS)]
    assert set(harmless["severity"]) <= {"note"}


def assert_clean(city: DemoCity) -> None:
    report = coverage.check(city.grids, within=city.outline, expect=len(city.grids))
    assert report.verdict == "clean"
    assert report.coverage_percent == "100.0000"
    assert len(report.faults) == 0


def test_clean_city_has_no_faults(small_city: DemoCity) -> None:
    assert_clean(small_city)


def test_every_fault_is_located(small_city: DemoCity, spoiled: Spoiled) -> None:
    grids, truth = spoiled
    assert_all_found(truth, coverage.check(grids, within=small_city.outline))


def test_harmless_ones_are_noted_where_they_are(small_city: DemoCity, spoiled: Spoiled) -> None:
    grids, truth = spoiled
    faults = coverage.check(grids, within=small_city.outline).faults
    notes = faults[faults["severity"] == "note"]
    due = truth[~truth["real"]]
    assert set(due["kind"]) <= {*HARMLESS, "none"}
    for row in due.itertuples():
        if row.kind == "none":  # an enclave that is filled: nothing at all to tell
            here = faults.geometry.intersects(shapely.Point(row.x, row.y))
            assert set(faults["kind"][here]) <= {"code_order"}
            continue
        away = notes.geometry[notes["kind"] == row.kind].distance(shapely.Point(row.x, row.y))
        assert away.min() <= dirty.NEAR_M


def test_harmless_ones_alone_leave_the_verdict_clean(small_city: DemoCity) -> None:
    grids, truth = spoil(small_city, 4, BATCHES[1] + BATCHES[0][-2:])
    held = truth[truth["kind"].isin(HARMLESS)]["codes"].map(list).explode()
    only = small_city.grids.set_index("code")
    spoilt = grids.set_index("code").geometry
    only.loc[held, "geometry"] = spoilt[held]
    report = coverage.check(only.reset_index(), within=small_city.outline)
    assert (report.verdict, report.coverage_percent) == ("clean", "100.0000")
    assert set(report.counts) == set(HARMLESS)


def test_score_sees_what_was_missed_and_what_was_made_up(
    small_city: DemoCity, spoiled: Spoiled
) -> None:
    grids, truth = spoiled
    clean = coverage.check(small_city.grids, within=small_city.outline)
    blind = dirty.score(truth, clean)
    assert (blind.located, len(blind.missed)) == (0, blind.injected)
    found = coverage.check(grids, within=small_city.outline)
    assert dirty.score(truth.head(0), found).false_alarms > 8
    shrunk = truth.assign(area_m2=truth["area_m2"] * 0.9)
    assert dirty.score(shrunk, found).area_right < dirty.score(truth, found).area_right


# --- the truth itself, by overlay ----------------------------------------------------------------


def test_truth_agrees_with_overlay(small_city: DemoCity, spoiled: Spoiled) -> None:
    grids, truth = spoiled
    before = small_city.grids.set_index("code").geometry
    after = grids.set_index("code").geometry
    outline = small_city.outline.geometry.union_all()
    compared = 0
    for row in truth[truth["area_m2"].notna()].itertuples():
        due = _area_by_overlay(row, before, after, outline)
        assert row.area_m2 == pytest.approx(due, rel=1e-6, abs=1e-5), row
        compared += 1
    assert compared >= 4


def _area_by_overlay(row: Any, before: gpd.GeoSeries, after: gpd.GeoSeries, outline: Any) -> float:
    held = after[list(row.codes)].to_numpy()
    if row.kind in {"gap", "rim_gap"}:
        was = shapely.union_all(before[before.index.isin(row.codes)].to_numpy())
        open_ = shapely.get_parts(was.difference(shapely.union_all(held)))
        return float(shapely.area(open_[shapely.distance(open_, _at(row)) == 0.0]).sum())
    if row.kind == "missing_grid":
        gone = before[before.contains(_at(row))].iloc[0]
        return float(gone.difference(shapely.union_all(held)).area)
    if row.kind == "overrun":
        return float(held[0].difference(outline).area)
    if row.kind == "outline_mismatch":
        return float(held[0].symmetric_difference(before[row.codes[0]]).area)
    if row.kind == "sliver":
        return float(held[0].area)
    assert row.kind in {"overlap", "duplicate_geometry"}
    if row.variant == "overlap_triple":  # the ground of exactly these
        others = after[~after.index.isin(row.codes)].to_numpy()
        common = shapely.intersection_all(held)
        return float(common.difference(shapely.union_all(others)).area)
    return float(shapely.area(held).sum() - shapely.union_all(held).area)


def _at(row: Any) -> shapely.Point:
    return shapely.Point(row.x, row.y)


def test_grids_outside_the_truth_are_untouched(small_city: DemoCity, spoiled: Spoiled) -> None:
    grids, truth = spoiled
    named = {code for codes in truth["codes"] for code in codes}
    before = small_city.grids.set_index("code").geometry.to_wkb()
    after = grids.drop_duplicates("code").set_index("code").geometry.to_wkb()
    shared = before.index.intersection(after.index)
    changed = set(shared[(before[shared] != after[shared]).to_numpy()])
    hosts_of_exclaves = 1
    assert len(changed - named) <= hosts_of_exclaves + len(truth[truth["kind"] == "sliver"])
    crossed = truth[truth["kind"] == "self_intersection"]["codes"].explode()
    assert set(after.index[~grids.drop_duplicates("code").geometry.is_valid.to_numpy()]) == set(
        crossed
    )


def test_the_same_seed_spoils_alike(small_city: DemoCity) -> None:
    one, told = dirty.inject(small_city.grids, small_city.outline, seed=1, each=1)
    two, told_again = dirty.inject(small_city.grids, small_city.outline, seed=1, each=1)
    assert (one.geometry.to_wkb() == two.geometry.to_wkb()).all()
    pd.testing.assert_frame_equal(told, told_again)
    other, _ = dirty.inject(small_city.grids, small_city.outline, seed=2, each=1)
    assert not np.array_equal(one.geometry.to_wkb().to_numpy(), other.geometry.to_wkb().to_numpy())


# --- what a register, a profile or the layer above brings to light ------------------------------


def asking() -> Profile:
    """The default rules with names required and sizes bounded."""
    return replace(profiles.load(), required_fields=("name",), households=dirty.HOUSEHOLDS)


def assert_records_found(city: DemoCity, seed: int, each: int) -> None:
    grids, truth = dirty.inject(
        city.grids, city.outline, seed=seed, each=each, variants=dirty.RECORD_VARIANTS
    )
    assert set(truth["variant"]) >= set(dirty.RECORD_VARIANTS) - {"code_order"}
    register = list(city.grids["code"])
    report = coverage.check(grids, within=city.outline, register=register, profile=asking())
    score = dirty.score(truth, report)
    assert (score.located, score.codes_right) == (score.injected,) * 2, score.missed.to_string()
    assert score.false_alarms == 0, score.alarms.to_string()
    order = report.faults[report.faults["kind"] == "code_order"]
    assert set(order["severity"]) <= {"note"}
    due = truth[truth["kind"] == "code_order"]["codes"].map(sorted).to_list()
    assert sorted(map(sorted, order["codes"])) == sorted(due)
    # Communities of three grids, as a small city has, are never plainly out of order.
    assert len(due) == (0 if len(city.grids) < 1000 else each)


def assert_parents_found(city: DemoCity, seed: int, each: int) -> None:
    grids, truth = dirty.inject(
        city.grids, city.outline, seed=seed, each=each, variants=dirty.PARENT_VARIANTS
    )
    assert len(truth) == each
    score = dirty.score(truth, coverage.check(grids, within=city.communities))
    assert score.false_alarms == 0, score.alarms.drop(columns="geometry").to_string()
    assert (score.located, score.area_right, score.codes_right) == (score.injected,) * 3
    within_outline = coverage.check(grids, within=city.outline)
    assert within_outline.verdict == "clean"  # the tiling itself is exact


@pytest.mark.parametrize("seed", SEEDS)
def test_records_are_judged(small_city: DemoCity, seed: int) -> None:
    assert_records_found(small_city, seed, each=2)


@pytest.mark.parametrize("seed", SEEDS)
def test_parents_are_judged(small_city: DemoCity, seed: int) -> None:
    assert_parents_found(small_city, seed, each=3)


# --- through the command line --------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(small_city: DemoCity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("truth")
    grids, truth = spoil(small_city, 1, BATCHES[0] + BATCHES[1][6:])
    return {
        "outline": boundary_files.write(small_city.outline, folder / "outline.gpkg"),
        "clean": boundary_files.write(small_city.grids, folder / "grids.gpkg"),
        **dirty.write(grids, truth, folder),
    }


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any, str]:
    """Exit code, the JSON document on stdout, and stderr."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    written = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(written.out), written.err


def test_command_line_on_the_dirty_city(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = run(capsys, "check", files["dirty"], "--within", files["outline"],
                        "--expect", 300, "--json")  # fmt: skip
    assert code == 1
    assert set(told) >= REPORT_KEYS
    assert told["verdict"] == "faults"
    assert told["expected"] == 300
    assert told["crs"] == "EPSG:4547"
    assert 99.0 < float(told["coverage_percent"]) < 100.0
    assert sum(told["counts"].values()) == len(told["faults"])
    for fault in told["faults"]:
        assert set(fault) == FAULT_KEYS
        assert set(fault["message"]) == {"zh", "en"}
        assert all(isinstance(code, str) for code in fault["codes"])
        lon, lat = fault["at"]
        assert 113.0 < lon < 115.0
        assert 33.0 < lat < 35.0


def test_command_line_tells_the_truth(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The truth file against the JSON document, without the program's own score."""
    _, told, _ = run(capsys, "check", files["dirty"], "--within", files["outline"], "--json")
    faults = pd.DataFrame(told["faults"])
    shapes = np.array([shapely.geometry.shape(g) for g in faults["geometry"]])
    for row in json.loads(files["truth"].read_text("utf-8")):
        alike = (faults["kind"] == row["kind"]).to_numpy()
        near = shapely.distance(shapes, shapely.Point(row["x"], row["y"])) <= dirty.NEAR_M
        named = faults["codes"].map(lambda codes, due=row["codes"]: set(due) <= set(codes))
        found = faults[alike & (near | named.to_numpy())]
        assert len(found), row
        if row["real"]:
            assert set(found["codes"].explode()) == set(row["codes"])
        if row["real"] and row["area_m2"] is not None:
            assert found["area_m2"].sum() == pytest.approx(
                row["area_m2"], rel=dirty.AREA_SHARE, abs=dirty.AREA_M2
            )


def test_command_line_on_the_clean_city(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, errors = run(capsys, "check", files["clean"], "--within", files["outline"],
                             "--expect", 300, "--json")  # fmt: skip
    assert (code, errors) == (0, "")
    assert (told["verdict"], told["features"]) == ("clean", 300)
    assert (told["coverage_percent"], told["counts"], told["faults"]) == ("100.0000", {}, [])


def test_command_line_refuses_what_it_cannot_read(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, errors = run(capsys, "check", tmp_path / "absent.gpkg", "--within",
                             files["outline"], "--json")  # fmt: skip
    assert code == 2
    assert told["error"]["code"] == "file_missing"
    assert len(errors.strip().splitlines()) == 1


# --- the whole city ------------------------------------------------------------------------------


@pytest.mark.slow
def test_full_city_is_clean(full_city: DemoCity) -> None:
    assert len(full_city.grids) == 18_936
    assert_clean(full_city)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_full_city_has_every_fault_located(full_city: DemoCity, seed: int) -> None:
    grids, truth = dirty.inject(full_city.grids, full_city.outline, seed=seed, each=7)
    assert truth["real"].sum() >= 250
    assert set(truth["variant"]) == set(dirty.VARIANTS)
    assert_all_found(truth, coverage.check(grids, within=full_city.outline))


@pytest.mark.slow
def test_full_city_has_records_and_parents_judged(full_city: DemoCity) -> None:
    assert_records_found(full_city, 1, each=7)
    assert_parents_found(full_city, 1, each=7)
