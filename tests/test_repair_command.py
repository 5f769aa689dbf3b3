"""``geo-service repair`` on the demo city's dirty files: what it writes, lists and leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
import shapely

from geo_service import boundary_files, cli
from geo_service.demo_city import DemoCity, dirty


@pytest.fixture(scope="module")
def files(small_city: DemoCity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("repair")
    grids, _ = dirty.inject(small_city.grids, small_city.outline, seed=1, each=1)
    named = grids.rename(columns={"code": "网格编码", "name": "网格名称"})
    outline = boundary_files.write(small_city.outline, folder / "outline.gpkg")
    return {
        "outline": outline,
        "gpkg": boundary_files.write(named, folder / "grids.gpkg"),
        "shp": boundary_files.write(named, folder / "grids.zip"),
    }


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as left:
        cli.main([*map(str, arguments), "--json"])
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("source", "ending"), [("gpkg", ".gpkg"), ("shp", ".zip")])
def test_out_has_the_columns_and_the_system_of_the_file(
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    ending: str,
) -> None:
    out = tmp_path / f"out{ending}"
    code, told = run(capsys, "repair", files[source], "--within", files["outline"], "-o", out)
    assert code == 1  # what is above the limits is left
    assert told["written"] == str(out)
    before, after = boundary_files.read(files[source]), boundary_files.read(out)
    assert list(after.frame.columns) == list(before.frame.columns)
    assert after.frame.crs == before.frame.crs
    changed = {change["code"] for change in told["changes"]}
    kept = before.frame[before.frame["网格编码"].isin(after.frame["网格编码"])]
    innocent = ~kept["网格编码"].isin(changed)
    theirs = after.frame.set_index("网格编码").loc[kept["网格编码"][innocent]]
    assert innocent.sum() > 280
    same = shapely.to_wkb(kept.geometry[innocent].values) == shapely.to_wkb(theirs.geometry.values)
    assert same.all()
    assert list(kept["网格名称"][innocent]) == list(theirs["网格名称"])


def test_dry_run_tells_the_same_and_writes_a_preview_only(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("repair", files["gpkg"], "--within", files["outline"], "--max-gap-m", "30")
    _, told = run(capsys, *given, "-o", tmp_path / "out.gpkg")
    (tmp_path / "out.gpkg").unlink()
    _, dry = run(capsys, *given, "--dry-run", "-o", tmp_path / "preview.gpkg")
    assert [path.name for path in tmp_path.iterdir()] == ["preview.gpkg"]
    assert dry["changes"] == told["changes"]
    assert dry["left"] == told["left"]
    preview = gpd.read_file(tmp_path / "preview.gpkg")
    assert set(preview["part"]) == {"gained", "lost", "dropped"}
    assert set(preview["code"]) <= {change["code"] for change in told["changes"]}
    assert pyogrio.read_info(tmp_path / "preview.gpkg")["crs"] == "EPSG:4547"
    gained = preview.loc[preview["part"] == "gained", "area_m2"].sum()
    assert gained == pytest.approx(sum(c["gained_m2"] for c in told["changes"]), rel=1e-3)


def test_nothing_is_written_where_it_is_refused(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in (
        ("--dry-run", "-o", tmp_path / "preview.xlsx"),
        ("-o", tmp_path / "out.gpkg", "--gap-to", "nobody"),
        ("-o", tmp_path / "out.gpkg", "--max-gap-m", "-1"),
        ("-o", tmp_path / "absent" / "out.gpkg"),
        (),
    ):
        code, told = run(capsys, "repair", files["gpkg"], *more)
        assert code == 2
        assert told["error"]["code"] in {"parameter_invalid", "output_unwritable"}
    assert list(tmp_path.iterdir()) == []
