"""Reports tell the same in every form and the same bytes, and what became of an old one."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service import coverage, profiles, registers, reports
from geo_service.demo_city import dirty
from geo_service.errors import InputError, MissingError
from geo_service.reports import Input, OldReport, Opinion, map_picture, words

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OFFICE = shutil.which("soffice")
FORMS = ("xlsx", "html", "gpkg", "json")


def boxes(*corners: tuple[float, ...], codes: list[str] | None = None) -> gpd.GeoDataFrame:
    names = codes or [f"4110020010010{n:02d}" for n in range(1, len(corners) + 1)]
    return gpd.GeoDataFrame(
        {"code": names}, geometry=[shapely.box(*corner) for corner in corners], crs=4547
    )


def checked(grids: gpd.GeoDataFrame, within: Any = None, **more: Any) -> Opinion:
    report = coverage.check(grids, within=within)
    return Opinion(report, "grids.gpkg", profiles.load(), grids=grids, outline=within, **more)


@pytest.fixture(scope="module")
def spoiled(small_city: Any) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    grids, _ = dirty.inject(small_city.grids, small_city.outline, seed=3, each=2)
    return grids, small_city.outline


@pytest.fixture(scope="module")
def opinion(spoiled: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]) -> Opinion:
    grids, outline = spoiled
    codes = grids["code"].tolist()
    register = pd.DataFrame({"code": [*codes[5:], "411099001001001"]})
    roster = pd.DataFrame(
        {"code": [*codes[3:], "999"], "姓名": "王建国", "phone": "13812340000", "role": "网格长"}
    )
    report = coverage.check(grids, within=outline, register=register)
    return Opinion(
        report,
        "grids.gpkg",
        profiles.load(),
        inputs=(Input("layer", "grids.gpkg", "ab" * 32),),
        grids=grids,
        outline=outline,
        reconciliation=registers.reconcile(register, grids),
        staffing=(staffing := registers.staff(roster, grids)),
        invariants=registers.check_invariants(grids, parents=outline, staffing=staffing),
        since=reports.recheck(report, OldReport.of(report, source="old.json")),
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_same_opinion_gives_the_same_bytes(
    opinion: Opinion, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = reports.write_check(opinion, tmp_path / f"one.{form}").read_bytes()
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    two = reports.write_check(opinion, tmp_path / f"two.{form}").read_bytes()
    assert one == two
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("form", FORMS)
def test_features_in_another_order_give_the_same_bytes(form: str, tmp_path: Path) -> None:
    grids = boxes((0, 0, 100, 100), (100.4, 0, 200, 100), (0, 100, 200, 200), (190, 50, 260, 90))
    area = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 250, 200)], crs=4547)
    turned = grids.iloc[::-1].reset_index(drop=True)
    one, two = (
        reports.write_check(checked(g, area), tmp_path / f"{n}.{form}").read_bytes()
        for n, g in enumerate((grids, turned))
    )
    assert one == two


def test_the_workbook_keeps_digits_and_tells_every_kind(opinion: Opinion, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(reports.write_check(opinion, tmp_path / "r.xlsx"))
    kinds = [words.KINDS_ZH[kind] for kind in opinion.report.counts]
    assert book.sheetnames[:3] == ["封面", "分组汇总", "问题清单"]
    assert book.sheetnames[3 : 3 + len(kinds)] == kinds
    assert {"登记核对", "网格缺人", "人员无网格"} <= set(book.sheetnames)
    for name, kind in zip(kinds, opinion.report.counts, strict=True):
        assert book[name].max_row - 1 == opinion.report.counts[kind]
    sheet = book["问题清单"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref[:3]) == ("A2", "A1:")
    assert sheet.page_setup.fitToHeight == 0
    assert sheet.print_title_rows == "$1:$1"
    columns = [cell.value for cell in sheet[1]]
    code = sheet.cell(2, columns.index("网格编码") + 1)
    assert (code.data_type, code.number_format) == ("s", "@")
    assert code.value == "、".join(opinion.report.faults["codes"].iloc[0])


def test_the_cover_tells_what_an_auditor_asks(opinion: Opinion, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(reports.write_check(opinion, tmp_path / "r.xlsx"))
    rows = {row[1].value: row[2].value for row in book["封面"].iter_rows(max_col=3)}
    assert rows["verdict"].startswith("有问题")
    assert rows["coverage"] == f"{opinion.report.coverage_percent} %"
    assert opinion.reconciliation is not None
    assert rows["on the map"] in {f"{opinion.on_map} %", opinion.reconciliation.mapped}
    assert (rows["profile"], rows["SHA-256"]) == ("default@1", "ab" * 32)
    assert rows["min_area_m2"] == "1e-06"
    assert rows["coordinate system"] == "EPSG:4547"
    assert rows["software"].startswith("Geo Service ")
    assert rows["grids without a person"] == 3


@pytest.mark.parametrize("form", FORMS)
def test_no_form_tells_a_phone_or_a_name(opinion: Opinion, form: str, tmp_path: Path) -> None:
    path = reports.write_check(opinion, tmp_path / f"r.{form}")
    if form == "xlsx":
        book = openpyxl.load_workbook(path)
        told = str([[cell.value for cell in row] for sheet in book for row in sheet.iter_rows()])
        assert "138****0000" in told
    else:
        told = path.read_bytes().decode("utf-8", "replace")
    assert "13812340000" not in told
    assert "建国" not in told


@pytest.mark.slow
@pytest.mark.skipif(OFFICE is None, reason="LibreOffice (soffice) is not installed")
def test_libreoffice_opens_the_workbook(opinion: Opinion, tmp_path: Path) -> None:
    path = reports.write_check(opinion, tmp_path / "r.xlsx")
    assert OFFICE is not None
    command = [OFFICE, f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless",
               "--convert-to", "ods", "--outdir", tmp_path, path]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    sheets = pd.read_excel(tmp_path / "r.ods", sheet_name=None, dtype=str, engine="calamine")
    faults = sheets["问题清单"]
    assert faults["网格编码"].tolist() == opinion.report.faults["codes"].map("、".join).tolist()


def test_the_layers_hold_every_fault_and_a_style(opinion: Opinion, tmp_path: Path) -> None:
    path = reports.write_check(opinion, tmp_path / "r.gpkg")
    layers = dict(pyogrio.list_layers(path).tolist())
    assert (layers["faults"], layers["fault_points"]) == ("MultiPolygon", "Point")
    areas, points = (
        pyogrio.read_dataframe(path, layer=name) for name in ("faults", "fault_points")
    )
    faults = opinion.report.faults
    assert areas["kind"].tolist() == faults["kind"].tolist()
    assert len(points) == np.isfinite(faults["x"]).sum()
    assert areas.crs.to_epsg() == points.crs.to_epsg() == 4547
    with sqlite3.connect(path) as database:
        styles = dict(database.execute("SELECT f_table_name, styleQML FROM layer_styles"))
    assert set(styles) == {"faults", "fault_points"}
    from xml.etree import ElementTree as ET

    for style in styles.values():
        categories = {c.get("value") for c in ET.fromstring(style).iter("category")}
        assert set(faults["kind"]) <= categories


def test_a_clean_check_writes_every_form(tmp_path: Path) -> None:
    clean = checked(boxes((0, 0, 9, 9)))
    for form in FORMS:
        assert reports.write_check(clean, tmp_path / f"r.{form}").stat().st_size > 500
    assert len(reports.read_old_report(tmp_path / "r.xlsx").faults) == 0
    assert len(reports.read_old_report(tmp_path / "r.gpkg").faults) == 0


def test_the_page_needs_nothing_from_outside(opinion: Opinion, tmp_path: Path) -> None:
    page = reports.write_check(opinion, tmp_path / "r.html").read_text("utf-8")
    assert not re.search(r"<script|<link|<img|@import|url\(|\bon\w+=", page)
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}
    for kind in opinion.report.counts:
        assert words.KINDS_ZH[kind] in page
        assert words.kind_en(kind) in page


def test_what_a_file_is_called_is_told_as_text(tmp_path: Path) -> None:
    grids = boxes((0, 0, 9, 9), (5, 0, 20, 9), codes=["<b>1</b>", "2"])
    named = Opinion(
        coverage.check(grids), "<script>alert(1)</script>.zip", profiles.load(), grids=grids
    )
    page = reports.write_check(named, tmp_path / "r.html").read_text("utf-8")
    assert "<script" not in page
    assert "<b>1" not in page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("alone", [True, False])
def test_the_page_prints_on_one_sheet_or_two(opinion: Opinion, alone: bool, tmp_path: Path) -> None:
    told = checked(boxes((0, 0, 9, 9), (8, 0, 20, 9))) if alone else opinion
    page = reports.write_check(told, tmp_path / "r.html")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            tab = browser.new_page()
            asked: list[str] = []
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto(page.as_uri())
            printed = tab.pdf(prefer_css_page_size=True)
        finally:
            browser.close()
    assert asked == [page.as_uri()]
    pages = int(re.findall(rb"/Count (\d+)", printed)[0])
    assert pages == 1 if alone else pages <= 2


def test_labels_of_the_map_do_not_lie_on_each_other() -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform((100, 100), (1700, 800), size=(40, 2))
    places[:6] = places[0]  # six faults of one place
    labels = map_picture._label_places(places, 880)
    apart = np.hypot(*(labels[:, None] - labels[None]).transpose(2, 0, 1))
    assert apart[~np.eye(40, dtype=bool)].min() > 2 * map_picture._LABEL


def test_a_large_layer_is_drawn_by_its_divisions() -> None:
    side = 50
    codes = [f"41100200{1 + i // 25}{1 + j // 25:03d}{i % 25 * 25 + j % 25:03d}"
             for i in range(side) for j in range(side)]  # fmt: skip
    grids = boxes(
        *(
            (i * 10.0, j * 10.0, i * 10.0 + 10, j * 10.0 + 10)
            for i in range(side)
            for j in range(side)
        ),
        codes=codes,
    )
    picture = map_picture.draw(grids, None, [])
    assert len(picture) < 3000
    assert "M" in picture


def test_the_map_shows_borders_of_multipolygons_and_of_a_single_grid() -> None:
    for grids in (boxes((0, 0, 90, 50), (90, 0, 200, 50)), boxes((0, 0, 9, 9))):
        multi = grids.set_geometry([shapely.multipolygons([g]) for g in grids.geometry], crs=4547)
        assert map_picture.draw(multi, None, []) == map_picture.draw(grids, None, [])
        assert 'stroke="#c9d3dc"' in map_picture.draw(grids, None, [])
        assert '<path d="" fill="none" stroke="#c9d3dc"' not in map_picture.draw(grids, None, [])


# --- re-checks


def faults_of(grids: gpd.GeoDataFrame, within: Any = None) -> OldReport:
    return OldReport.of(coverage.check(grids, within=within), source="old")


def counts(found: reports.Recheck) -> tuple[int, int, int]:
    return found.solved, found.left, found.new


OVERLAPS = [(0, 0, 101, 90), (100, 0, 201, 90), (200, 0, 301, 90), (300, 0, 400, 90)]


def test_solved_left_and_new() -> None:
    old = faults_of(boxes(*OVERLAPS))
    mended = [(0, 0, 100, 90), *OVERLAPS[1:], (390, 0, 500, 90)]
    found = reports.recheck(coverage.check(boxes(*mended)), old)
    assert counts(found) == (1, 2, 1)
    assert found.solved_faults["codes"].tolist() == [
        ["411002001001001"[:13] + "01", "4110020010010" + "02"]
    ]
    assert found.status.count("new") == 1
    assert "1 solved, 2 left, 1 new" in found.note.en
    assert "1 处已解决，2 处仍在，1 处新增" in found.note.zh


def test_the_same_file_again_is_all_left(opinion: Opinion) -> None:
    found = reports.recheck(opinion.report, OldReport.of(opinion.report))
    assert found.status == ("left",) * len(opinion.report.faults)
    assert counts(found) == (0, (opinion.report.faults["severity"] != "note").sum(), 0)


def test_renumbered_grids_keep_their_faults() -> None:
    old = faults_of(boxes(*OVERLAPS))
    renumbered = boxes(*OVERLAPS, codes=[f"4110020020020{n:02d}" for n in range(11, 15)])
    assert counts(reports.recheck(coverage.check(renumbered), old)) == (0, 3, 0)


def test_a_line_moved_a_little_keeps_its_fault() -> None:
    old = faults_of(boxes(*OVERLAPS))
    moved = boxes(*[(w + 0.3, s, e + 0.3, n - 2) for w, s, e, n in OVERLAPS])
    assert counts(reports.recheck(coverage.check(moved), old)) == (0, 3, 0)


def test_a_long_gap_closed_by_half_is_still_there() -> None:
    old = faults_of(boxes((0, 0, 2000, 100), (0, 100.5, 2000, 200)), shapely.box(0, 0, 2000, 200))
    upper = shapely.Polygon(
        [(0, 100.5), (1000, 100.5), (1000, 100), (2000, 100), (2000, 200), (0, 200)]
    )
    half = boxes((0, 0, 2000, 100), (0, 0, 1, 1))
    half.loc[1, "geometry"] = upper
    now = coverage.check(half, within=shapely.box(0, 0, 2000, 200))
    assert counts(reports.recheck(now, old)) == (0, 1, 0)


def test_a_missing_grid_drawn_too_small_is_left_as_a_gap() -> None:
    around = [(0, 0, 300, 100), (0, 100, 100, 200), (200, 100, 300, 200), (0, 200, 300, 300)]
    old = faults_of(boxes(*around))
    assert old.faults["kind"].tolist() == ["missing_grid"]
    now = coverage.check(boxes(*around, (100.5, 100, 200, 200)))
    assert "missing_grid" not in set(now.faults["kind"])
    found = reports.recheck(now, old)
    assert (found.solved, found.left) == (0, 1)


def test_codes_without_a_place_pair_by_code() -> None:
    grids = boxes((0, 0, 9, 9))
    old = OldReport.of(coverage.check(grids, register=["a", "b", grids["code"][0]]))
    now = coverage.check(grids, register=["b", "c", grids["code"][0]])
    found = reports.recheck(now, old)
    assert counts(found) == (1, 1, 1)
    assert found.solved_faults["codes"].tolist() == [["a"]]


@pytest.mark.parametrize("form", ["json", "xlsx", "gpkg"])
def test_an_old_report_comes_back_from_every_form(
    opinion: Opinion, form: str, tmp_path: Path
) -> None:
    path = reports.write_check(opinion, tmp_path / f"old.{form}")
    back = reports.read_old_report(path)
    told = OldReport.of(opinion.report)
    assert back.source == f"old.{form}"
    assert back.faults["codes"].tolist() == told.faults["codes"].tolist()
    pd.testing.assert_frame_equal(
        back.faults.drop(columns="codes"), told.faults.drop(columns="codes"), check_dtype=False
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_the_status(form: str, tmp_path: Path) -> None:
    old = faults_of(boxes(*OVERLAPS))
    grids = boxes((0, 0, 100, 90), *OVERLAPS[1:], (390, 0, 500, 90))
    report = coverage.check(grids)
    told = Opinion(
        report, "g.shp", profiles.load(), grids=grids, since=reports.recheck(report, old)
    )
    path = reports.write_check(told, tmp_path / f"r.{form}")
    if form == "json":
        told_json = json.loads(path.read_text("utf-8"))
        assert sorted(f["status"] for f in told_json["faults"]) == ["left", "left", "new"]
        assert told_json["since"]["solved"] == len(told_json["since"]["solved_faults"]) == 1
    elif form == "gpkg":
        points = pyogrio.read_dataframe(path, layer="fault_points")
        assert sorted(points["status"]) == ["left", "left", "new", "solved"]
        assert len(reports.read_old_report(path).faults) == 3
    elif form == "xlsx":
        book = openpyxl.load_workbook(path)
        status = [row[1].value for row in book["问题清单"].iter_rows(min_row=2)]
        assert sorted(status) == sorted(["仍在", "仍在", "新增"])
        assert book["已解决"].max_row == 2
    else:
        page = path.read_text("utf-8")
        assert "1 处已解决，2 处仍在，1 处新增" in page
        assert words.SOLVED_COLOUR in page


def test_refusals_name_the_report(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="nowhere"):
        reports.read_old_report(tmp_path / "nowhere.json")
    for name, content in (("a.json", "{}"), ("b.xlsx", "x"), ("c.gpkg", "x"), ("d.doc", "x")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError) as refused:
            reports.read_old_report(tmp_path / name)
        assert refused.value.code == "report_unreadable"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), kept=st.integers(0, 8), fresh=st.integers(0, 5))
def test_the_three_numbers_add_up(seed: int, kept: int, fresh: int) -> None:
    """Overlaps far from each other: what was kept is left, the rest solved, the fresh ones new."""
    draw = random.Random(seed)
    spots = draw.sample(range(60), 8 + fresh)

    def grids(which: list[int]) -> gpd.GeoDataFrame:
        rows = [(k * 500.0, 0.0, k * 500.0 + 100 + (k in which), 90.0) for k in range(60)]
        rows += [(k * 500.0 + 100, 0.0, k * 500.0 + 200, 90.0) for k in range(60)]
        numbers = [f"411002001{n:06d}" for n in range(120)]
        draw.shuffle(numbers)
        return boxes(*rows, codes=numbers)

    def only_overlaps(report: Any) -> Any:
        return report.faults["kind"].eq("overlap")

    old = coverage.check(grids(spots[:8]))
    now = coverage.check(grids([*spots[:kept], *spots[8:]]))
    found = reports.recheck(now, OldReport.of(old))
    status = pd.Series(found.status)[only_overlaps(now).to_numpy()]
    solved = found.solved_faults["kind"].eq("overlap").sum()
    assert (solved, (status == "left").sum(), (status == "new").sum()) == (8 - kept, kept, fresh)


@pytest.fixture
def unwritable(tmp_path: Path) -> Callable[[str], Path]:
    return lambda form: tmp_path / "no" / "such" / f"r.{form}"


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_is_not_there_is_refused(
    unwritable: Callable[[str], Path], form: str
) -> None:
    with pytest.raises(InputError) as refused:
        reports.write_check(checked(boxes((0, 0, 9, 9))), unwritable(form))
    assert refused.value.code == "output_unwritable"
