"""Drawing on the map page: by mouse and by keys, and what stands in the store afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import httpx
import pytest
import shapely

from geo_service import cli
from geo_service.store import open_store

if TYPE_CHECKING:
    from browsing import Seen

pytestmark = pytest.mark.browser

COMMUNITY = "411002001001"
SIZES = (1440, 900, 390)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo city's store, as `geo-service demo` makes it."""
    folder = tmp_path_factory.mktemp("drawn") / "city"
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", str(folder), "--grids", "600", "--no-serve", "--json"])
    assert not ended.value.code
    return folder / "city.gpkg"


@pytest.fixture(scope="module")
def base(demo: Path, served: ModuleType) -> Iterator[str]:
    with served.serving(demo) as address:
        yield address


class Desk:
    """A community's draft opened on the page, and the same draft in the store."""

    def __init__(self, seen: Seen, browsing: ModuleType, store: Path) -> None:
        self.seen, self.page, self.path = seen, seen.page, store
        self.page.click("#draw-start")
        self.page.wait_for_selector("#draw-quality table")
        self.draft = int(self.page.url.split("draft=")[1])
        lonlat = self.grids().to_crs(4326)
        self.pixel = browsing.fitted(seen, lonlat.total_bounds)

    def grids(self) -> gpd.GeoDataFrame:
        with open_store(self.path) as store:
            return store.draft_grids(self.draft).sort_values("code", ignore_index=True)

    def edits(self) -> list[tuple[str, bool]]:
        with open_store(self.path) as store:
            return [(e.operation["op"], e.undone) for e in store.drawn_on(self.draft)]

    def click(self, point: shapely.Point, **how: Any) -> None:
        self.page.mouse.click(*self.screen(point), **how)

    def screen(self, point: shapely.Point) -> tuple[float, float]:
        place = gpd.GeoSeries([point], crs=4547).to_crs(4326).iloc[0]
        return self.pixel(place.x, place.y)

    def choose(self, code: str) -> None:
        """By a click on the map."""
        grids = self.grids()
        self.click(grids.geometry[grids.code == code].iloc[0].representative_point())
        self.page.wait_for_selector(f"#grid-{code}[aria-pressed=true]")

    def told(self) -> str:
        return self.seen.text("#draw-told")


@pytest.fixture
def desk(
    open_map: Callable[..., Seen], browsing: ModuleType, demo: Path
) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def opened(**how: Any) -> Desk:
        seen = open_map(f"tab=draw&within={COMMUNITY}", **how)
        seen.page.wait_for_function(
            f"() => document.querySelector('#draw-community')?.value === '{COMMUNITY}'"
        )
        desks.append(Desk(seen, browsing, demo))
        return desks[-1]

    yield opened
    with open_store(demo) as store:
        for one in desks:
            if store.draft(one.draft).state == "open":
                store.discard(one.draft)


def across(shape: shapely.Polygon) -> tuple[shapely.Point, shapely.Point]:
    """Two points outside a grid, with a line between them that cuts it in two."""
    west, _, east, _ = shape.bounds
    y = shape.centroid.y
    return shapely.Point(west - 150, y), shapely.Point(east + 150, y)


def test_a_grid_is_cut_joined_undone_and_redone(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    code, shape = before.code[4], before.geometry[4]
    at.choose(code)
    at.page.click("#tool-split")
    start, stop = across(shape)
    at.click(start)
    at.click(stop, click_count=2)
    at.page.wait_for_function("() => !document.querySelector('#draw-undo').disabled")
    after = at.grids()
    parts = sorted(set(after.code) - set(before.code))
    assert set(before.code) - set(after.code) == {code}
    assert len(parts) == 2
    assert after.area.sum() == pytest.approx(before.area.sum(), abs=1e-6)
    assert after.households.sum() == before.households.sum()
    assert f"{code} 切分为" in at.told()
    chosen = [
        b.get_attribute("id") for b in at.page.locator("#draw-grids [aria-pressed=true]").all()
    ]
    assert chosen == [f"grid-{part}" for part in parts]

    at.page.click("#tool-merge")
    at.page.wait_for_function("() => document.querySelectorAll('#draw-history li').length === 2")
    assert parts[1] not in set(at.grids().code)
    joined = at.grids().set_index("code").geometry[parts[0]]
    assert shapely.symmetric_difference(joined, shape).area < 1e-6

    at.page.keyboard.press("Control+z")
    at.page.wait_for_selector("#draw-history li.undone")
    at.page.keyboard.press("Control+z")
    at.page.wait_for_selector("#draw-undo:disabled")
    assert at.edits() == [("split", True), ("merge", True)]
    assert same(at.grids(), before)
    at.page.keyboard.press("Control+Shift+Z")
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    at.page.click("#draw-redo")
    at.page.wait_for_selector("#draw-redo:disabled")
    assert at.edits() == [("split", False), ("merge", False)]
    assert at.seen.errors == []


def same(one: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> bool:
    shapes = (shapely.to_wkb(frame.geometry.to_numpy()).tolist() for frame in (one, other))
    return one.code.tolist() == other.code.tolist() and next(shapes) == next(shapes)


def test_what_cannot_be_drawn_is_told_where_it_was_drawn(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    at.page.click("#tool-split")
    assert "先选好一个" in at.told()
    code, shape = before.code[0], before.geometry[0]
    at.choose(code)
    at.page.click("#tool-split")
    inside = shape.centroid
    at.click(inside)
    at.click(shapely.Point(inside.x + 60, inside.y))
    at.page.keyboard.press("Enter")
    at.page.wait_for_selector("#sketch .refused")
    assert "没有把网格切开" in at.seen.text("#sketch .refused")
    at.page.keyboard.press("Escape")
    assert not at.page.is_visible("#sketch")
    far = before.geometry.distance(shape).idxmax()
    at.page.click(f"#grid-{before.code[far]}")
    at.page.click("#tool-merge")
    at.page.wait_for_selector("#draw-told .refused")
    assert "无法这样划分" in at.told()
    at.page.click("#language")
    assert "can't be drawn" in at.told()
    assert at.edits() == []
    assert same(at.grids(), before)
    assert [e for e in at.seen.errors if "422" not in e] == []


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_desk_fits_its_window(
    open_map: Callable[..., Seen], browsing: ModuleType, demo: Path, width: int, lang: str
) -> None:
    seen = open_map(f"tab=draw&lang={lang}&within={COMMUNITY}", width=width)
    seen.page.wait_for_selector("#draw-start")
    begun = overflowing(seen)
    at = Desk(seen, browsing, demo)
    seen.page.click("#tool-move")
    seen.page.wait_for_selector("#sketch")
    assert begun + overflowing(seen) == []
    sketch, drawn_on = (seen.page.locator(f).bounding_box() for f in ("#sketch", ".map"))
    assert sketch["x"] >= 0
    assert sketch["x"] + sketch["width"] <= width
    assert width > 700 or sketch["y"] >= drawn_on["y"] + drawn_on["height"]  # the map stays free
    for target in seen.page.locator("#draw button:visible, #sketch button:visible").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 40, target.inner_text()
    assert seen.errors == []
    httpx.delete(f"{seen.base}/drafts/{at.draft}")


def overflowing(seen: Seen) -> list[str]:
    """What is wider than the place it has."""
    wide = seen.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    cut = seen.page.evaluate("""[...document.querySelectorAll('#draw *, #sketch *, .tabs *')]
        .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1
                && getComputedStyle(one).display !== 'inline')
        .map((one) => `${one.id} ${one.tagName} ${one.className}`)""")
    return ["the page"] * wide + cut
