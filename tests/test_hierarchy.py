"""纵向到底、横向到边: every injected failure is told, once, in its direction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest

import geo_service as gs
from geo_service import boundary_files, cli, codes, hierarchy
from geo_service.demo_city import DemoCity
from geo_service.errors import InputError

Levels = dict[str, gpd.GeoDataFrame]


@pytest.fixture
def levels(small_city: DemoCity) -> Levels:
    names = ("city", "counties", "townships", "communities", "grids")
    frames = (small_city.outline, *(getattr(small_city, name) for name in names[1:]))
    return {name: frame.copy() for name, frame in zip(names, frames, strict=True)}


def kinds(report: hierarchy.HierarchyReport) -> dict[str, int]:
    wrong = report.faults[report.faults["severity"] == "error"]
    return dict(wrong["kind"].value_counts())


def test_a_whole_city_nests_tiles_and_adds_up(levels: Levels) -> None:
    report = gs.check_hierarchy(levels)
    assert (report.verdict, report.counts) == ("clean", {"horizontal": 0, "vertical": 0})
    assert len(report.rollups) == 0
    assert report.levels["layer"].tolist() == list(levels)
    for field in ("households", "population"):
        assert report.levels[field].dropna().nunique() == 1  # the same total on every level
    assert set(report.levels["grids"]) == {300}
    assert report.levels["area_m2"].max() - report.levels["area_m2"].min() < 1e-3
    assert set(report.levels["coverage_percent"].dropna()) == {"100.0000"}


def test_levels_may_be_left_out_and_named_either_way(levels: Levels) -> None:
    few = {"grid": levels["grids"], "county": levels["counties"]}
    assert gs.check_hierarchy(few).verdict == "clean"


def test_a_deleted_grid_breaks_the_horizontal_and_the_sums(levels: Levels) -> None:
    gone = levels["grids"].iloc[17]
    levels["grids"] = levels["grids"].drop(index=levels["grids"].index[17])
    report = gs.check_hierarchy(levels)
    assert report.counts["horizontal"] >= 1
    off = report.rollups
    assert set(off["field"]) == {"households", "population", "population_60", "area_m2"}
    assert set(off["code"]) == {gone["parent_code"]}
    people = off[off["field"] == "population"].iloc[0]
    assert people["difference"] == -gone["population"]


def test_a_moved_number_is_listed_to_the_person(levels: Levels) -> None:
    grids = levels["grids"]
    row = grids.index[5]
    grids.loc[row, "population"] += 1
    report = gs.check_hierarchy(levels)
    (off,) = report.rollups.itertuples()
    assert (off.layer, off.field, off.difference) == ("communities", "population", 1)
    assert kinds(report) == {"rollup_mismatch": 1}
    assert report.counts == {"horizontal": 0, "vertical": 1}
    assert "人口" in report.faults["message_zh"].iloc[0]


def test_a_grid_under_the_wrong_parent_breaks_the_vertical(levels: Levels) -> None:
    grids = levels["grids"]
    parent = grids["parent_code"].iloc[0]
    other = next(c for c in grids["parent_code"] if c[:6] != parent[:6])
    grids.loc[grids.index[0], ["code", "parent_code"]] = [other + "999", other]
    report = gs.check_hierarchy(levels)
    assert kinds(report)["code_parent_mismatch"] == 1
    wrong = report.faults[report.faults["kind"] == "code_parent_mismatch"].iloc[0]
    assert (wrong["direction"], wrong["layer"]) == ("vertical", "grids")
    assert {"rollup_mismatch"} < set(kinds(report))


def test_orphans_and_childless_parents_are_named(levels: Levels) -> None:
    lost = levels["communities"]["code"].iloc[3]
    levels["communities"] = levels["communities"][levels["communities"]["code"] != lost]
    report = gs.check_hierarchy(levels)
    orphans = report.faults[report.faults["kind"] == "orphan"]
    children = levels["grids"][levels["grids"]["parent_code"] == lost]
    assert sorted(code for (code,) in orphans["codes"]) == sorted(children["code"])
    assert set(orphans["direction"]) == {"vertical"}

    levels["grids"] = levels["grids"][~levels["grids"]["code"].isin(children["code"])]
    levels["communities"] = pd.concat(
        [levels["communities"], levels["communities"].iloc[:1].assign(code="411002001999")]
    )
    childless = gs.check_hierarchy(levels).faults
    assert ["411002001999"] in childless[childless["kind"] == "childless"]["codes"].tolist()


def test_micro_grids_nest_without_filling(small_city: DemoCity) -> None:
    few = small_city.micro_grids.iloc[: len(small_city.micro_grids) // 2]
    report = gs.check_hierarchy({"grids": small_city.grids, "micro_grids": few})
    assert report.verdict == "clean"


def test_gaps_in_numbering_are_told_and_no_fault(levels: Levels) -> None:
    grids = levels["grids"]
    busy = grids["parent_code"].value_counts().index[0]
    rows = grids.index[grids["parent_code"] == busy]
    last = grids.loc[rows, "code"].max()
    grids.loc[grids["code"] == last, "code"] = busy + "950"
    report = gs.check_hierarchy(levels)
    (gap,) = report.numbering.itertuples()
    assert gap.parent == busy
    assert gap.missing == list(range(len(rows), 950))
    assert not {"orphan", "rollup_mismatch"} & set(kinds(report))


def test_codes_of_cjt_349_nest_too() -> None:
    code = "01010041100200100103"
    assert codes.level_of(code) == "grid"
    assert codes.parent(code) == "411002001001"
    assert codes.is_within(code, "411002001")
    assert not codes.is_within(code, "411081")
    assert codes.ancestors(code)[0] == ("city", "411000")


@pytest.mark.parametrize(
    "given", [{}, {"grids": None}, {"grids": None, "compounds": None}], ids=str
)
def test_what_is_no_hierarchy_is_refused(given: Any, levels: Levels) -> None:
    frames = dict.fromkeys(given, levels["grids"])
    with pytest.raises(InputError) as caught:
        hierarchy.check(frames)
    assert caught.value.code == "parameter_invalid"


def test_the_command_says_which_direction_breaks(
    levels: Levels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels["grids"].loc[levels["grids"].index[5], "households"] += 3
    for name in ("counties", "grids"):
        boundary_files.write(levels[name], tmp_path / f"{name}.gpkg")
    pairs = [f"{name}={tmp_path / name}.gpkg" for name in ("counties", "grids")]
    with pytest.raises(SystemExit) as left:
        cli.main(["hierarchy", *pairs, "-o", str(tmp_path / "levels.xlsx"), "--json"])
    assert left.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"horizontal": 0, "vertical": 1}
    assert told["rollups"][0]["difference"] == 3
    book = pd.read_excel(tmp_path / "levels.xlsx", sheet_name=None, engine="openpyxl", dtype=str)
    assert {"levels", "faults", "rollups"} <= set(book)
    with pytest.raises(SystemExit):
        cli.main(["hierarchy", *pairs])
    assert "1 vertical" in capsys.readouterr().out
