"""The map page in a real browser: what a planner sees, types and clicks, by mouse and by keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import httpx
import pytest

if TYPE_CHECKING:
    from browsing import Seen

pytestmark = pytest.mark.browser

SIZES = (1440, 900, 390)
COUNT = 60


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(COUNT, seed=11)[0]


@pytest.fixture(scope="module")
def base(
    grids: gpd.GeoDataFrame, served: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    path = tmp_path_factory.mktemp("map") / "city.gpkg"
    levels = ("city", "counties", "townships", "communities", "grids")
    served.make_city(path, grids, published=levels)
    with served.serving(path) as address:
        yield address


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_opens_without_errors_and_asks_nobody_else(
    open_map: Callable[..., Seen], width: int, lang: str
) -> None:
    seen = open_map(f"lang={lang}", width=width)
    seen.page.wait_for_timeout(1500)
    assert seen.errors == []
    assert seen.elsewhere == []
    assert "SYNTHETIC" in seen.text("#synthetic")
    assert seen.page.is_visible("#synthetic")
    assert str(COUNT) in seen.text("#find-answer")
    wide = seen.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    chinese = re.compile(r"[\u4e00-\u9fff]")
    labels = seen.text("[role=tablist]") + seen.text("#layers summary") + seen.text("#find-form")
    assert bool(chinese.search(labels)) == (lang == "zh")


@pytest.mark.parametrize("width", SIZES)
def test_nothing_on_the_map_overlaps(open_map: Callable[..., Seen], width: int) -> None:
    seen = open_map(width=width)
    boxes = {
        name: seen.page.locator(name).bounding_box()
        for name in ("#layers", ".maplibregl-ctrl-top-right .maplibregl-ctrl-group",
                     ".maplibregl-ctrl-scale", "#foot", "#panel", ".bar")
    }  # fmt: skip
    for one in boxes:
        for other in boxes:
            assert one >= other or _apart(boxes[one], boxes[other]), (one, other)


def _apart(a: dict[str, float], b: dict[str, float]) -> bool:
    return (
        a["x"] + a["width"] <= b["x"] + 0.5
        or b["x"] + b["width"] <= a["x"] + 0.5
        or a["y"] + a["height"] <= b["y"] + 0.5
        or b["y"] + b["height"] <= a["y"] + 0.5
    )


def test_an_address_is_completed_and_a_street_shows_its_grids(
    open_map: Callable[..., Seen],
) -> None:
    seen = open_map()
    seen.page.fill("#find-text", "文峰路1")
    options = seen.page.locator("#find-completions option")
    options.first.wait_for(state="attached")
    assert options.first.get_attribute("value") == "文峰路1号"
    seen.page.fill("#find-text", "文峰路")
    seen.page.press("#find-text", "Enter")
    seen.page.wait_for_selector("#find-answer h3")
    assert "这条路经过的网格" in seen.text("#find-answer")
    assert seen.page.locator("#find-answer .list .code").count() == 8
    assert seen.errors == []


def test_targets_are_large_enough_for_a_finger(open_map: Callable[..., Seen]) -> None:
    seen = open_map(width=390)
    for target in seen.page.locator("button:visible, summary:visible, select:visible").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 40, target.inner_text()


def test_coordinates_need_to_say_where_they_come_from(
    open_map: Callable[..., Seen], grids: gpd.GeoDataFrame
) -> None:
    seen = open_map()
    point = grids.to_crs(4326).geometry.representative_point().iloc[3]
    seen.page.fill("#find-text", f"{point.x:.6f}, {point.y:.6f}")
    seen.page.click("#find-form button")
    assert "500" in seen.text("#find-answer .refused")  # what a wrong choice would cost
    seen.page.select_option("#find-datum", "wgs84")
    seen.page.press("#find-text", "Enter")
    seen.page.wait_for_selector("#find-answer .code")
    assert seen.text("#find-answer .code") == grids["code"].iloc[3]
    assert "魏都区" in seen.text("#find-answer")
    assert "138****5678" in seen.text("#find-answer")
    assert seen.errors == []


def test_a_click_on_the_map_finds_the_grid_and_the_walk_from_it(
    open_map: Callable[..., Seen],
) -> None:
    seen = open_map()
    seen.page.wait_for_timeout(1000)
    box = seen.page.locator("#map canvas").bounding_box()
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.wait_for_selector("#find-answer .code")
    seen.page.click("#find-answer .actions button >> nth=0")
    seen.page.wait_for_selector("#walk-answer .rings li >> nth=2")
    rings = [line.inner_text() for line in seen.page.locator("#walk-answer .rings li").all()]
    assert [re.search(r"\d+", ring).group() for ring in rings] == ["5", "10", "15"]
    assert all("平方公里" in ring and "人" in ring for ring in rings)
    areas = [float(re.search(r"[\d.]+(?= 平方公里)", ring).group()) for ring in rings]
    assert areas == sorted(areas)
    assert areas[0] < areas[2]
    assert seen.errors == []


def test_the_walk_of_a_senior_is_shorter(
    open_map: Callable[..., Seen], grids: gpd.GeoDataFrame
) -> None:
    point = grids.to_crs(4326).union_all().representative_point()
    seen = open_map(f"tab=walk&lon={point.x}&lat={point.y}")
    seen.page.wait_for_selector("#walk-answer .rings li >> nth=2")
    adult = seen.text("#walk-answer .rings")
    seen.page.click("#walk-profile label >> nth=1")
    seen.page.wait_for_function(
        "was => { const t = document.querySelector('#walk-answer .rings')?.innerText;"
        " return t && t.replace(/\\s+/g, ' ').trim() !== was }",
        arg=adult,
    )

    def area(text: str) -> float:
        return float(re.findall(r"([\d.]+) 平方公里", text)[-1])

    assert area(seen.text("#walk-answer .rings")) < area(adult)


def test_a_dirty_file_is_checked_in_the_browser(
    open_map: Callable[..., Seen], grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "漏一格.gpkg"
    grids.drop(index=grids.index[30]).to_file(path)
    seen = open_map("tab=faults")
    seen.page.set_input_files("#faults-file", path)
    seen.page.wait_for_selector("#faults-answer .faults .error", timeout=60_000)
    assert "1" in seen.text("#faults-answer h2")
    row = seen.page.locator("#faults-answer .faults button").first
    assert "没有网格" in row.inner_text()
    row.click()
    assert row.get_attribute("aria-current") == "true"
    seen.page.click("#language")
    assert seen.text("#faults-answer h2") == "Faults found: 1"
    assert seen.errors == []


def test_sites_are_computed_and_numbered(open_map: Callable[..., Seen]) -> None:
    seen = open_map("tab=sites")
    seen.page.fill("#sites-count", "3")
    seen.page.fill("#sites-minutes", "5")
    seen.page.click("#sites-form button")
    seen.page.wait_for_selector("#sites-progress")  # a job, which could be stopped
    assert seen.page.is_visible("#sites-stop")
    seen.page.wait_for_selector(".pin.site >> nth=2", timeout=60_000)
    numbers = [pin.inner_text() for pin in seen.page.locator(".pin.site").all()]
    assert numbers == ["1", "2", "3"]
    assert "已证明" in seen.text("#sites-answer")
    assert "名骑手" in seen.text("#sites-answer .sites")
    seen.page.locator(".pin.site").nth(1).press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "site-1"
    assert seen.errors == []


@pytest.mark.parametrize("width", SIZES)
def test_a_life_circle_says_what_is_there_and_what_is_missing(
    open_map: Callable[..., Seen], grids: gpd.GeoDataFrame, width: int
) -> None:
    point = grids.to_crs(4326).union_all().representative_point()
    seen = open_map(f"tab=circles&lon={point.x}&lat={point.y}", width=width)
    seen.page.wait_for_selector("#circles-missing li")
    code = seen.text("#circles-answer .code")
    asked = {"layer": "communities", "codes": [code]}
    told = httpx.post(f"{seen.base}/life-circles", json=asked, timeout=60).json()
    missing = seen.page.locator("#circles-missing li").all()
    assert [one.locator("strong").inner_text() for one in missing] == [
        cell["kind_zh"] for cell in told["missing"]
    ]
    assert f"缺项清单（{len(told['missing'])}）" in seen.text("#circles-answer")
    within = [cell for cell in told["matrix"] if cell["status"] == "within"]
    assert seen.page.locator("#circles-reached li").count() == len(within)
    assert seen.page.locator(".pin.place").count() == len(within)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    cut = seen.page.evaluate("""[...document.querySelectorAll('#circles *')]
        .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1
                && getComputedStyle(one).display !== 'inline').map((one) => one.className)""")
    assert cut == []
    seen.page.click("#language")
    assert [one.locator("strong").inner_text() for one in missing] == [
        cell["kind_en"].capitalize() for cell in told["missing"]
    ]
    seen.page.click("#circles-unit label >> nth=1")
    seen.page.wait_for_function(
        "code => document.querySelector('#circles-answer .code')?.innerText.startsWith(code)"
        " && document.querySelector('#circles-answer .code').innerText !== code",
        arg=code,
    )
    assert seen.errors == []


def test_a_life_circle_by_keys_alone(open_map: Callable[..., Seen]) -> None:
    seen = open_map()
    seen.page.wait_for_timeout(1000)
    seen.page.focus("#tab-find")
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate("document.activeElement.id") == "tab-circles"
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.name") == "unit"
    seen.page.focus("#map canvas")
    seen.page.keyboard.press("Enter")  # asks about the map's centre
    seen.page.wait_for_selector("#circles-missing li")
    code = seen.text("#circles-answer .code")
    assert len(code) == 12
    seen.page.focus("#circles-unit input:checked")
    seen.page.keyboard.press("ArrowRight")
    seen.page.wait_for_function(
        "() => document.querySelector('#circles-answer .code')?.innerText.length === 15"
    )
    seen.page.focus("#tab-circles")
    seen.page.keyboard.press("ArrowLeft")
    assert seen.page.locator(".pin.place").count() == 0
    assert seen.errors == []


def test_layers_switch_off(open_map: Callable[..., Seen]) -> None:
    seen = open_map()
    seen.page.click("#layers summary")
    labels = seen.page.locator("#layers-list label")
    assert labels.count() >= 6
    labels.filter(has_text="网格").first.click()
    assert not labels.filter(has_text="网格").first.locator("input").is_checked()
    seen.page.keyboard.press("Escape")
    assert not seen.page.is_visible("#layers-list")
    assert seen.errors == []


def test_everything_is_reached_by_keyboard(open_map: Callable[..., Seen]) -> None:
    seen = open_map()
    reached = set()
    for _ in range(14):
        seen.page.keyboard.press("Tab")
        reached.add(
            seen.page.evaluate("(document.activeElement.id || document.activeElement.className)")
        )
    assert {"language", "tab-find", "find-text", "maplibregl-canvas"} <= reached
    seen.page.focus("#tab-find")
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.is_visible("#walk")
    seen.page.keyboard.press("ArrowLeft")
    seen.page.focus(".maplibregl-canvas")
    seen.page.keyboard.press("Enter")  # asks about the map's centre
    seen.page.wait_for_selector("#find-answer .code")


def test_the_language_is_remembered(open_map: Callable[..., Seen]) -> None:
    seen = open_map(locale="en-GB")
    assert seen.text("#tab-find") == "Find"
    seen.page.click("#language")
    assert seen.text("#tab-find") == "查网格"
    seen.page.reload()
    seen.page.wait_for_selector("html[data-ready]")
    assert seen.text("#tab-find") == "查网格"
    assert seen.page.get_attribute("html", "lang") == "zh-CN"


def test_without_webgl_questions_are_still_answered(
    base: str, browser: Any, browsing: ModuleType
) -> None:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-3d-apis"]
    started = browser.browser_type.launch(executable_path=browsing.CHROMIUM, args=flags)
    page = started.new_page(locale="en-GB")
    page.goto(f"{base}/map?lon=110&lat=30")
    page.wait_for_selector("#find-answer .card", timeout=60_000)
    assert "no grid" in page.inner_text("#find-answer")
    assert "WebGL" in page.inner_text("#map")
    started.close()
