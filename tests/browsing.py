"""The map page open in a real browser, and what the browser reported of it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip
FIT_PADDING_PX, FIT_ZOOM, WORLD_PX = 48, 16.5, 512
SIZES = {1440: 900, 900: 1000, 390: 844}


@dataclass
class Seen:
    """What a browser reported while a page was open."""

    page: Any
    base: str
    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return " ".join(self.page.inner_text(selector).split())


@contextmanager
def opened(
    browser: Any, base: str, query: str, *, width: int, locale: str, key: str = ""
) -> Iterator[Seen]:
    """The page in a window of its own, once its map is drawn."""
    size = {"width": width, "height": SIZES[width]}
    context = browser.new_context(viewport=size, locale=locale, reduced_motion="reduce")
    if key:
        context.add_cookies([{"name": "geo_service_key", "value": key, "url": base}])
    seen = Seen(context.new_page(), base)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("console", lambda line: _note(seen, line))
    seen.page.on("request", lambda request: _trace(seen, request.url))
    seen.page.goto(f"{base}/map?{query}")
    seen.page.wait_for_selector("html[data-ready]", timeout=60_000)
    try:
        yield seen
    finally:
        context.close()


def fitted(seen: Seen, bounds: Any) -> Callable[[float, float], tuple[float, float]]:
    """Where a longitude and latitude stand on the screen, after the map was fitted to bounds."""
    box = seen.page.locator("#map").bounding_box()
    (west, north), (east, south) = _mercator(*bounds[[0, 3]]), _mercator(*bounds[[2, 1]])
    room = box["width"] - 2 * FIT_PADDING_PX, box["height"] - 2 * FIT_PADDING_PX
    world = min(room[0] / (east - west), room[1] / (south - north), WORLD_PX * 2**FIT_ZOOM)
    centre = (west + east) / 2, (north + south) / 2

    def pixel(lon: float, lat: float) -> tuple[float, float]:
        x, y = _mercator(lon, lat)
        return (
            box["x"] + box["width"] / 2 + (x - centre[0]) * world,
            box["y"] + box["height"] / 2 + (y - centre[1]) * world,
        )

    return pixel


def _mercator(lon: float, lat: float) -> tuple[float, float]:
    return lon / 360 + 0.5, 0.5 - math.asinh(math.tan(math.radians(lat))) / math.tau


def _note(seen: Seen, line: Any) -> None:
    if line.type in {"error", "warning"} and "GPU stall" not in line.text:
        seen.errors.append(line.text)


def _trace(seen: Seen, url: str) -> None:
    if not url.startswith((seen.base, "blob:", "data:")):
        seen.elsewhere.append(url)
