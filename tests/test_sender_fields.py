"""Columns named once with ``--map`` are remembered with their sender, shown, and forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import box

from geo_service import boundary_files, cli, coverage
from geo_service.store import open_store

CODES = ["411002001001001", "411002001001002"]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two grids whose columns no alias knows."""
    shapes = [box(486000, 3767000, 486500, 3767500), box(486500, 3767000, 487000, 3767500)]
    columns = {"XH": CODES, "MZ": ["第一网格", "第二网格"], "WGBM": ["1", "2"]}
    path = tmp_path / "odd.gpkg"
    gpd.GeoDataFrame(columns, geometry=shapes, crs=4547).to_file(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    with pytest.raises(SystemExit) as left:
        cli.main([*map(str, arguments), "--json"])
    assert left.value.code in (0, 1)
    return json.loads(capsys.readouterr().out)


def test_a_map_is_remembered_with_its_sender(
    odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "city.gpkg"
    common = ("import", odd, "--layer", "grids", "--store", store)
    run(capsys, *common, "--map", "code=XH", "--map", "name=MZ", "--author", "魏都区")
    assert run(capsys, "fields", "--store", store) == {"魏都区": {"code": "XH", "name": "MZ"}}

    again = run(capsys, *common, "--author", "魏都区")
    assert any(n["code"] == "fields" and "last time" in n["en"] for n in again["notes"])
    other = run(capsys, *common, "--author", "禹州市")  # another sender's WGBM is the code
    over = run(capsys, *common, "--author", "魏都区", "--map", "code=WGBM")
    with open_store(store) as opened:
        assert list(opened.draft_frame(again["id"])["code"]) == CODES
        assert list(opened.draft_frame(other["id"])["code"]) == ["1", "2"]
        assert list(opened.draft_frame(over["id"])["code"]) == ["1", "2"]
        assert opened.fields_of("魏都区") == {"code": "WGBM", "name": "MZ"}

    edited = run(capsys, "fields", "--sender", "魏都区", "--map", "code=XH", "--store", store)
    assert edited["魏都区"]["code"] == "XH"
    told = run(capsys, "check", odd, "--author", "魏都区", "--store", store)
    assert not told["counts"]
    assert run(capsys, "fields", "--sender", "魏都区", "--forget", "--store", store) == {}


def test_a_remembered_column_that_is_gone_is_passed_over(odd: Path) -> None:
    read = boundary_files.read(odd, remembered={"code": "LDBM", "name": "MZ"})
    assert read.fields == {"code": "WGBM", "name": "MZ"}


@pytest.mark.parametrize(
    ("unit_m2", "word"),
    [(1.0, None), (10_000.0 / 15.0, "mu"), (10_000.0, "hectares"), (1e6, "km²")],
)
def test_the_unit_of_an_area_column_is_told(odd: Path, unit_m2: float, word: str | None) -> None:
    grids = boundary_files.read(odd, fields={"code": "XH"}).layer_frame()
    grids["面积"] = grids.area / unit_m2
    report = coverage.check(grids)
    notes = [n for n in report.notes if n.code == "area_unit"]
    assert [word in n.en for n in notes if word] == ([True] if word else [])
    assert "area_mismatch" not in report.counts
