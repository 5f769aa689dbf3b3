"""The sample uploads in ``boundaries/``: what their page says is what the service says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import shapely

from geo_service import boundary_files, coverage
from geo_service.demo_city import dirty

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "boundaries"
PAGE = (FOLDER / "README.md").read_text("utf-8")
RUNS = re.findall(r"```console\n\$ (.+)\n([\s\S]+?)\n```\nExit code (\d)\.", PAGE)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    path = ROOT / "scripts" / "make_boundaries.py"
    sys.path.insert(0, str(path.parent))  # where its neighbour lies
    spec = importlib.util.spec_from_file_location("make_boundaries", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look their types up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("command", "told", "code"), RUNS, ids=[run[0] for run in RUNS])
def test_the_page_quotes_real_runs(maker: ModuleType, command: str, told: str, code: str) -> None:
    left, said = maker.run(command)
    assert left == int(code)
    assert _verdict(said) == _verdict(told)
    assert _counts(said) == _counts(told)


def _verdict(said: str) -> str:
    """The line that says how it went, or the code of the refusal."""
    if refused := re.search(r"\[\w+\]", said):
        return refused[0]
    (line,) = re.findall(r"^\S+: (?:clean|faults found)[, ].*$", said, re.MULTILINE)
    return line.strip()


def _counts(said: str) -> list[tuple[str, str]]:
    return re.findall(r"│ (\w+) +│ (\d+) +│", said)


def test_the_table_quotes_real_runs(maker: ModuleType) -> None:
    _, kept = PAGE.split("## What arrives, what we say")
    _, told = maker.table().split("## What arrives, what we say")
    assert told.splitlines() == kept.splitlines()
    for arrival in (*maker.ARRIVALS, *maker.REGISTERS):
        assert (FOLDER / maker.ARRIVED / arrival.name).is_file()


def test_every_sample_is_on_the_page(maker: ModuleType) -> None:
    assert [run[0] for run in RUNS] == [sample.command for sample in maker.SAMPLES]
    assert {int(run[2]) for run in RUNS} == {0, 1, 2}
    assert "SYNTHETIC" in PAGE
    for path in FOLDER.iterdir():
        assert f"`{path.name}`" in PAGE or path.name in {"README.md", maker.ARRIVED}


def test_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2_000_000


def test_every_fault_of_the_truth_is_found() -> None:
    truth = pd.read_csv(FOLDER / "truth.csv")
    truth["codes"] = truth["codes"].astype(str).str.split()
    grids = boundary_files.read(FOLDER / "grids_dirty.gpkg").layer_frame()
    outline = boundary_files.read_area(FOLDER / "outline.geojson", like=grids)
    score = dirty.score(truth, coverage.check(grids, within=outline))
    assert (score.located, score.area_right, score.codes_right) == (score.injected,) * 3
    assert (score.injected, score.false_alarms) == (truth["real"].sum(), 0)


def test_the_datum_brings_the_shifted_grids_back() -> None:
    shifted = boundary_files.read(FOLDER / "grids_gcj02.geojson").layer_frame()
    undone = boundary_files.read(FOLDER / "grids_gcj02.geojson", datum="gcj02").layer_frame()
    drawn = boundary_files.read(FOLDER / "grids.gpkg").layer_frame()
    places = [
        frame.to_crs(4547).set_index("code").geometry[undone["code"]].to_numpy()
        for frame in (drawn, shifted, undone)
    ]
    drawn_, shifted_, undone_ = (shapely.get_coordinates(place) for place in places)
    assert abs(undone_ - drawn_).max() < 0.002
    assert abs(shifted_ - drawn_).max(axis=1).min() > 300.0


def test_the_upload_without_cpg_reads_as_chinese() -> None:
    upload = boundary_files.read(FOLDER / "grids_gbk.zip")
    assert upload.fields["code"] == "网格编码"
    assert upload.layer_frame()["name"].str.endswith("网格").all()


@pytest.mark.slow
def test_the_maker_makes_the_same_files(maker: ModuleType, tmp_path: Path) -> None:
    maker.make(tmp_path)
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        kept = FOLDER / path.relative_to(tmp_path)
        if path.suffix == ".gpkg":  # another release of GDAL or SQLite writes it differently
            one, two = (boundary_files.read(file).frame for file in (path, kept))
            pd.testing.assert_frame_equal(one, two)
        else:
            assert path.read_bytes() == kept.read_bytes(), path.name
