"""Drawing on the map page: by mouse and by keys, and what stands in the store afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import httpx
import numpy as np
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


def at_area(open_map: Callable[..., Seen], area: str, **how: Any) -> Seen:
    """The page with an area chosen to be drawn."""
    seen = open_map(f"tab=draw&within={area}", **how)
    seen.page.wait_for_function(
        f"() => document.querySelector('#draw-community')?.value === '{area}'"
    )
    return seen


def ask_for(seen: Seen, low: int, high: int) -> None:
    """Fill in the households wanted of a grid."""
    seen.page.fill("#anew-low", str(low))
    seen.page.fill("#anew-high", str(high))
    seen.page.press("#anew-high", "Tab")


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
        desks.append(Desk(at_area(open_map, COMMUNITY, **how), browsing, demo))
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


def test_a_corner_is_dragged_and_its_neighbours_follow(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    corner, around = junction(before)
    goal = elsewhere(before[before.code.isin(around)], corner)
    at.page.click("#draw-snaps")
    at.page.click("#tool-move")
    at.page.mouse.move(*at.screen(corner))
    at.page.mouse.down()
    at.page.mouse.move(*at.screen(goal), steps=4)
    at.page.mouse.up()
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    after = at.grids()
    moved = [
        c
        for c, a, b in zip(before.code, before.geometry, after.geometry, strict=True)
        if not a.equals_exact(b, 0)
    ]
    assert moved == around
    assert all(shape.distance(goal) < 6 for shape in after.geometry[after.code.isin(around)])
    assert after.area.sum() == pytest.approx(before.area.sum(), abs=1e-6)
    assert at.page.get_attribute("#tool-move", "aria-pressed") == "true"  # the next corner, at once
    at.page.mouse.click(*at.screen(goal))  # by two clicks, as a finger does
    at.page.mouse.click(*at.screen(corner))
    at.page.wait_for_function("() => document.querySelectorAll('#draw-history li').length === 2")
    assert at.edits() == [("move_node", False)] * 2
    assert at.seen.errors == []


def elsewhere(grids: gpd.GeoDataFrame, corner: shapely.Point, away_m: float = 40) -> shapely.Point:
    """A place a corner can go to without folding a grid."""
    for turn in np.arange(0, 2 * np.pi, np.pi / 8):
        goal = np.array([corner.x + away_m * np.cos(turn), corner.y + away_m * np.sin(turn)])

        def carried(xy: Any, goal: Any = goal) -> Any:
            return np.where((xy == [corner.x, corner.y]).all(axis=1)[:, None], goal, xy)

        moved = shapely.transform(grids.geometry.to_numpy(), carried)
        if shapely.is_valid(moved).all() and shapely.coverage_is_valid(moved):
            return shapely.Point(goal)
    raise AssertionError("every way folds a grid")


def junction(grids: gpd.GeoDataFrame) -> tuple[shapely.Point, list[str]]:
    """A corner where three grids meet, and their codes."""
    xy, row = shapely.get_coordinates(grids.geometry.to_numpy(), return_index=True)
    pairs = np.unique(np.column_stack([xy, row]), axis=0)
    places, count = np.unique(pairs[:, :2], axis=0, return_counts=True)
    place = places[count == 3][0]
    own = pairs[(pairs[:, :2] == place).all(axis=1), 2].astype(int)
    return shapely.Point(place), sorted(grids.code.iloc[own])


def test_land_goes_to_the_neighbour_and_a_market_is_cut_out(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    at.page.click("#draw-snaps")
    shared = shapely.length(
        shapely.intersection(before.geometry[0], before.geometry[1:].to_numpy())
    )
    giver, taker = before.code[0], before.code[1 + int(shared.argmax())]
    border = before.geometry[0].intersection(before.set_index("code").geometry[taker])
    middle = shapely.line_interpolate_point(shapely.line_merge(border), 0.5, normalized=True)
    at.choose(giver)
    at.choose(taker)
    at.page.click("#tool-reassign")
    ring(at, middle, 90)
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    after = at.grids().set_index("code")
    was = before.set_index("code").geometry
    assert after.geometry[giver].area < was[giver].area
    assert after.geometry[taker].area > was[taker].area
    assert shapely.difference(was[taker], after.geometry[taker]).area < 1e-6

    at.page.click("#draw-none")
    host = before.code[4]
    at.choose(host)
    at.page.click("#tool-cut_out")
    at.page.fill("#sketch-name", "东方市场")
    ring(at, was[host].representative_point(), 60)
    at.page.wait_for_function("() => document.querySelectorAll('#draw-history li').length === 2")
    drawn = at.grids()
    market = drawn[~drawn.code.isin(before.code)].iloc[0]
    assert (market["name"], market["kind"]) == ("东方市场", "专属网格")
    assert drawn.area.sum() == pytest.approx(before.area.sum(), abs=1e-6)
    assert not at.page.is_visible(f"#grid-{market.code} .held .line")  # right whatever it holds
    assert at.seen.errors == []


def ring(at: Desk, middle: shapely.Point, reach_m: float) -> None:
    """Draw a square on the map, ended with the button."""
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        at.click(shapely.Point(middle.x + x * reach_m, middle.y + y * reach_m))
    at.page.click("#sketch button >> nth=0")


def test_a_border_is_straightened_between_two_corners(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    _, around = junction(before)
    one, other = (before.set_index("code").geometry[c] for c in around[:2])
    border = shapely.line_merge(one.intersection(other))
    ends = [shapely.Point(border.coords[k]) for k in (0, -1)]
    at.page.click("#tool-straighten")
    for end in ends:
        at.click(end)
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    after = at.grids().set_index("code").geometry
    straight = shapely.LineString(ends)
    assert shapely.difference(straight, after[around[0]].boundary.buffer(0.01)).length < 0.1
    assert after.area.sum() == pytest.approx(before.area.sum(), abs=1e-6)
    assert at.seen.errors == []


def test_a_grid_is_cut_by_keys_alone(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    keys = at.page.keyboard
    centre = shapely.box(*before.to_crs(3857).total_bounds).centroid
    code = before.code[before.to_crs(3857).contains(centre)].iloc[0]
    at.page.focus(f"#grid-{code}")
    keys.press("Space")
    assert at.page.evaluate("document.activeElement.id") == f"grid-{code}"
    assert at.page.get_attribute(f"#grid-{code}", "aria-pressed") == "true"
    at.page.focus("#tool-split")
    keys.press("Enter")
    assert at.page.evaluate("document.activeElement.className") == "maplibregl-canvas"
    for step, times in (("ArrowLeft", 3), ("ArrowRight", 6)):
        for _ in range(times):
            keys.press(step)
            at.page.wait_for_timeout(150)
        keys.press("Space")
    keys.press("Enter")
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    assert at.edits() == [("split", False)]
    assert len(at.grids()) == len(before) + 1
    assert at.page.evaluate("document.activeElement.id") == "tool-split"
    at.page.focus("#draw-undo")
    keys.press("Enter")
    at.page.wait_for_selector("#draw-undo:disabled")
    assert same(at.grids(), before)
    assert at.seen.errors == []


def test_a_community_is_drawn_anew_and_published(open_map: Callable[..., Seen], demo: Path) -> None:
    area = "411002005001"
    with open_store(demo) as store:
        revision, drafts = store.current_revisions()["grids"], len(store.drafts())
    seen = at_area(open_map, area)
    ask_for(seen, 60, 110)
    seen.page.click("#anew-start")
    seen.page.wait_for_selector("#anew-take", timeout=120_000)
    heads = [one.inner_text() for one in seen.page.locator("#draw-anew thead th").all()]
    assert heads == ["指标", f"现行（{revision} 版）", "方案 1", "方案 2"]
    with open_store(demo) as store:
        made = store.drafts()[drafts:]
        plans = [store.draft_grids(one.id) for one in made]
    told = seen.page.locator("#draw-anew tbody tr").nth(1).inner_text().split("\t")
    right = [(plan.households.between(60, 110).sum(), len(plan)) for plan in plans]
    assert sorted(told[-2:]) == sorted(f"{inside} / {count}" for inside, count in right)
    seen.page.click("#anew-which label >> nth=1")
    seen.page.click("#anew-take")
    seen.page.wait_for_selector("#draw-quality table")
    taken = int(seen.page.url.split("draft=")[1])
    with open_store(demo) as store:
        states = {one.id: store.draft(one.id).state for one in made}
        wanted = store.draft_grids(taken)
    assert sorted(states.values()) == ["discarded", "open"]
    assert states[taken] == "open"
    seen.page.click("#draw-check")
    seen.page.wait_for_selector("#publish-form")
    for box in seen.page.locator("#publish-form [name=accept]").all():
        box.check()
        seen.page.fill("#publish-reason", "重新划分")
    seen.page.fill("#publish-message", "按户数重新划分")
    seen.page.click("#draw-publish-now")
    seen.page.wait_for_selector("#draw-published", timeout=60_000)
    assert f"第 {revision + 1} 版" in seen.text("#foot")
    with open_store(demo) as store:
        now = store.frame("grids")
        assert store.history("grids")[-1].message == "按户数重新划分"
    now = now[now.code.str.startswith(area)]
    assert same(now.sort_values("code"), wanted.sort_values("code"))
    assert seen.errors == []


def test_grids_are_brought_back_into_the_range_after_growth(
    open_map: Callable[..., Seen], demo: Path
) -> None:
    with open_store(demo) as store:
        revision, now = store.current_revisions()["grids"], store.frame("grids")
    own = now[now.code.str.startswith(COMMUNITY)]
    most = int(own.households.max()) - 1
    seen = at_area(open_map, COMMUNITY)
    ask_for(seen, 1, 100_000)
    seen.page.click("#growth-start")
    seen.page.wait_for_selector("#growth-nothing", timeout=60_000)
    assert "没有作改动" in seen.text("#growth-nothing")
    ask_for(seen, 1, most)
    seen.page.click("#growth-start")
    seen.page.wait_for_selector("#anew-take", timeout=60_000)
    heads = [one.inner_text() for one in seen.page.locator("#draw-anew thead th").all()]
    assert heads == ["指标", f"现行（{revision} 版）", "调整后"]
    seen.page.click("#anew-take")
    seen.page.wait_for_selector("#draw-quality table")
    taken = int(seen.page.url.split("draft=")[1])
    with open_store(demo) as store:
        after = store.draft_grids(taken)
        store.discard(taken)
    assert after.households.max() <= most
    assert after.households.sum() == own.households.sum()
    assert seen.errors == []


def test_a_conflict_with_another_planner_is_told_in_words(
    desk: Callable[..., Desk], base: str
) -> None:
    at = desk()
    before = at.grids()
    other = httpx.post(f"{base}/drafts/open", json={"within": COMMUNITY, "author": "李工"}).json()
    at.page.reload()
    at.page.wait_for_selector("#draw-head .mind")
    assert f"{other['id']}（李工）" in at.seen.text("#draw-head .mind")
    touching = before.geometry.touches(before.geometry[0])
    pair = [before.code[0], before.code[touching].iloc[0]]
    merge = {"op": "merge", "codes": pair, "name": "李工的"}
    assert httpx.post(f"{base}{other['links']['edits']}", json=merge).is_success
    body = {"author": "李工", "accept": ["code_order"], "reason": "-"}
    assert httpx.post(f"{base}{other['links']['publish']}", json=body, timeout=60).is_success
    for code in pair:
        at.page.click(f"#grid-{code}")
    at.page.click("#tool-merge")
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    at.page.click("#draw-check")
    at.page.wait_for_selector("#publish-form")
    for box in at.page.locator("#publish-form [name=accept]").all():
        box.check()
        at.page.fill("#publish-reason", "-")
    at.page.click("#draw-publish-now")
    at.page.wait_for_selector("#draw-publish .refused")
    told = at.seen.text("#draw-publish .refused")
    assert "双方都改了" in told
    assert "李工" in told
    assert len(at.grids()) == len(before) - 1  # the draft is as it was


def test_names_are_never_run(open_map: Callable[..., Seen], demo: Path, base: str) -> None:
    name = "<img src=x onerror=\"document.title='run'\"><b>网格"
    area = "411002002001"
    draft = httpx.post(f"{base}/drafts/open", json={"within": area, "author": name}).json()
    with open_store(demo) as store:
        grids = store.draft_grids(draft["id"])
    near = grids.code[grids.geometry.touches(grids.geometry[0])].iloc[0]
    asked = {"op": "merge", "codes": [grids.code[0], near], "name": name}
    url = f"{base}{draft['links']['edits']}"
    assert httpx.post(url, json=asked, params={"author": name}).is_success
    seen = open_map(f"tab=draw&draft={draft['id']}")
    seen.page.wait_for_selector("#draw-quality table")
    assert name in seen.text("#draw-grids")
    assert seen.page.locator("#draw img, #draw b, .map img").count() == 0
    seen.page.click("#draw-leave")
    seen.page.wait_for_selector("#draw-drafts li")
    assert seen.page.title() == "网格地图"
    assert seen.errors == []
    httpx.delete(f"{base}/drafts/{draft['id']}")


def test_each_role_is_offered_what_it_may_do(
    browsing: ModuleType, browser: Any, demo: Path, served: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "keyed.gpkg"
    with open_store(demo) as store:
        store.backup(path)
    with open_store(path) as store:
        viewer = store.add_key("看", role="viewer", areas=[])[1]
        planner = store.add_key("画", role="planner", areas=["411002"])[1]
    window = {"width": 1440, "locale": "zh-CN"}
    with served.serving(path) as base:
        with browsing.opened(browser, base, "tab=draw", key=viewer, **window) as seen:
            seen.page.wait_for_selector("#draw-begin .mind")
            assert "只能查看" in seen.text("#draw-begin")
            assert seen.page.locator("#draw-start").count() == 0
        with browsing.opened(browser, base, "tab=draw", key=planner, **window) as seen:
            seen.page.wait_for_selector("#draw-start")
            codes = seen.page.locator("#draw-township option").evaluate_all(
                "all => all.map(o => o.value)"
            )
            assert codes
            assert all(code.startswith("411002") for code in codes)
            seen.page.click("#draw-start")
            seen.page.wait_for_selector("#draw-quality table")
            seen.page.click("#draw-check")
            seen.page.wait_for_selector("#draw-verdict")
            assert seen.page.locator("#publish-form").count() == 0
            assert "请有发布权限的同事" in seen.text("#draw-publish")
            assert seen.errors == []


def test_a_border_follows_a_street(desk: Callable[..., Desk]) -> None:
    at = desk()
    before = at.grids()
    _, around = junction(before)
    one, other = (before.set_index("code").geometry[code] for code in around[:2])
    border = shapely.line_merge(one.intersection(other))
    start, stop = (shapely.Point(border.coords[k]) for k in (0, -1))
    middle = border.interpolate(0.5, normalized=True)
    bend = shapely.Point(middle.x + 60, middle.y + 45)
    at.page.click("#draw-snaps")
    at.page.click("#tool-follow")
    at.click(start)
    at.click(bend)
    at.click(stop)
    at.page.keyboard.press("Enter")
    at.page.wait_for_selector("#draw-undo:not(:disabled)")
    after = at.grids().set_index("code").geometry
    assert after[around[0]].boundary.distance(bend) < 6  # a pixel is four metres here
    assert after[around[0]].intersection(after[around[1]]).distance(bend) < 6
    assert after.area.sum() == pytest.approx(before.area.sum(), abs=1e-6)
    assert at.edits() == [("follow", False)]
    assert at.seen.errors == []


def test_what_one_tab_shows_does_not_stand_in_another(open_map: Callable[..., Seen]) -> None:
    seen = open_map("tab=sites")
    seen.page.wait_for_selector(".pin.site")
    seen.page.click("#tab-draw")
    seen.page.wait_for_selector("#draw-start")
    assert not seen.page.is_visible(".pin.site")
    seen.page.click("#tab-sites")
    assert seen.page.is_visible(".pin.site")
    assert seen.errors == []
