"""A hundred hostile uploads over HTTP: refused with a code or read safely, and nothing happens."""

from __future__ import annotations

import http.server
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import pytest

from geo_service.errors import CATALOGUE
from geo_service.store import open_store

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SECRET = "nobody-may-read-this-4711"
TOO_BUSY = {"reader_too_slow", "reader_too_big"}


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(12, seed=5)[0]


@pytest.fixture
def place(
    grids: gpd.GeoDataFrame, served: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Path, Path]]:
    """A service whose temporary files lie in a folder of their own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = tmp_path / "city.gpkg"
    served.make_city(path, grids, published=("city", "counties", "communities", "grids"))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with served.serving(path) as base:
        yield base, path, scratch


class Canary(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server that nothing may ask, and what it was asked."""
    asked: list[str] = []
    handler = type("Own", (Canary,), {"asked": asked, "do_HEAD": Canary.do_GET})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.slow
def test_a_hundred_hostile_uploads(
    place: tuple[str, Path, Path],
    canary: tuple[str, list[str]],
    hostile_uploads: ModuleType,
    tmp_path: Path,
) -> None:
    base, path, scratch = place
    secret = tmp_path / "secret.geojson"
    secret.write_text(SECRET)
    before = {name: os.environ[name] for name in sorted(os.environ)}
    count, taken = 0, 0
    with open_store(path) as store:
        stood = store.current_revisions()
    with httpx.Client(base_url=base, timeout=200) as client:
        for name, content in hostile_uploads.uploads(canary[0], secret):
            told = client.post(
                "/drafts", files={"file": (name, content)}, data={"layer": "grids", "crs": "4326"}
            )
            count += 1
            assert SECRET not in told.text, name
            if told.status_code == 201:
                taken += 1
                read_back(client, told.json()["id"])
                continue
            assert 400 <= told.status_code < 500, (name, told.status_code, told.text[:300])
            assert told.json()["code"] in CATALOGUE, name
            assert told.json()["code"] != "internal_error"
            assert client.get("/healthz").status_code == 200
    assert count >= 100
    assert taken < count / 2
    assert canary[1] == []
    assert not Path("/tmp/geo-escape").exists()
    assert not Path("/tmp/geo-escape.shp").exists()
    # What is left is the socket of the server that readers are forked from, while it runs.
    assert [left for left in scratch.iterdir() if not left.name.startswith("pymp-")] == []
    assert before == {name: os.environ[name] for name in sorted(os.environ)}
    with open_store(path) as store:
        store.verify()
        assert store.current_revisions() == stood


def read_back(client: httpx.Client, draft: int) -> None:
    """What was taken is told, checked, compared and let go like any draft."""
    for what in ("", "/check", "/diff"):
        told = client.get(f"/drafts/{draft}{what}")
        assert told.status_code < 500, told.text
        assert told.headers["content-type"].startswith("application/")
    assert client.delete(f"/drafts/{draft}").status_code == 204


@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed")
def test_html_in_the_data_never_runs(
    grids: gpd.GeoDataFrame, served: ModuleType, tmp_path: Path, hostile_uploads: ModuleType
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    texts = hostile_uploads.TEXTS
    path = tmp_path / "city.gpkg"
    spoilt = grids.assign(
        name=[texts[k % len(texts)] for k in range(len(grids))], note=texts[1], 四至=texts[2]
    )
    served.make_city(path, spoilt, published=("city", "counties", "communities", "grids"))
    point = grids.to_crs(4326).geometry.representative_point().iloc[1]
    with open_store(path) as store:
        draft = store.create_draft("grids", spoilt.drop(index=3), source=texts[0], author=texts[1])
        address = store.table("addresses").assign(address=f"许昌市魏都区{texts[1]}1号")
        store.put_table("addresses", address)
    with served.serving(path) as base, sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        page.on("dialog", lambda dialog: said.append(dialog.message))
        code = spoilt["code"].iloc[1]
        for where in (
            f"/map?lon={point.x}&lat={point.y}&datum=wgs84",
            f"/map?tab=faults&draft={draft.id}",
            "/collections?f=html",
            "/collections/grids?f=html",
            "/collections/grids/items?f=html&limit=50",
            f"/collections/grids/items/{code}?f=html",
            "/jobs?f=html",
            "/login?next=%2F%22%3E%3Cscript%3Edocument.title%3D'run'%3C%2Fscript%3E",
        ):
            page.goto(base + where)
            page.wait_for_timeout(700)
            assert page.title() != "run", where
            injected = "script:not([src]), svg[onload], img[onerror], [href^='javascript']"
            assert page.locator(injected).count() == 0, where
        assert said == []
        browser.close()
