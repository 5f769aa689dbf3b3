"""Fixtures that several rooms share."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import pytest
from hypothesis import settings

from geo_service import demo_city
from geo_service.demo_city import DemoCity

collect_ignore = ["qgis_client.py"]  # run by QGIS's own Python

# CI judges a change by the same examples each time; elsewhere every run looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data, or a skip that says how to get it."""
    named = os.environ.get("GEO_SERVICE_REAL_DATA")
    if not named:
        pytest.skip("GEO_SERVICE_REAL_DATA names no folder of real data")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"GEO_SERVICE_REAL_DATA={named} is not a folder")
    return folder


@pytest.fixture(scope="session")
def tiling() -> Callable[..., Any]:
    """``tiling(count, seed=1, crs=4547) -> (grids, outline)``: a small exact tiling."""
    return beside("tilings").tiling


@pytest.fixture(scope="session")
def grid_systems() -> ModuleType:
    """The module that draws four grid systems over one city."""
    return beside("grid_systems")


@pytest.fixture(scope="session")
def postgis_server() -> ModuleType:
    """The module that runs a private PostGIS server."""
    return beside("postgis_server")


@pytest.fixture(scope="session")
def postgis_url(postgis_server: ModuleType) -> Iterator[str]:
    """A private PostGIS server's database, or a skip that says what to install."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (pip install 'psycopg[binary]')")
    programs = postgis_server.programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    with postgis_server.server(programs) as url:
        yield url


HOMES = ["geopackage", pytest.param("postgis", marks=pytest.mark.postgis)]


@pytest.fixture
def new_place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path | str]:
    """``new_place(home)``: where a store can be made, in either home."""

    def place(home: str) -> Path | str:
        name = f"t_{uuid.uuid4().hex}"
        if home == "geopackage":
            return tmp_path / f"{name}.gpkg"
        monkeypatch.setenv("GEO_SERVICE_CACHE", str(tmp_path / "cache"))
        return f"{request.getfixturevalue('postgis_url')}&schema={name}"

    return place


@pytest.fixture(params=HOMES)
def place(request: pytest.FixtureRequest, new_place: Callable[[str], Path | str]) -> Path | str:
    """Where a store can be made; the test runs once in each home."""
    return new_place(request.param)


@pytest.fixture(scope="session")
def served() -> ModuleType:
    """The module that makes a small city in a store and serves it."""
    return beside("served")


@pytest.fixture(scope="session")
def service_grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    """The sixty grids of the city behind `service`."""
    return tiling(60, seed=11)[0]


@pytest.fixture(scope="session")
def service_store(
    service_grids: gpd.GeoDataFrame, served: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its store, all levels published; tests may add drafts and jobs, and publish nothing."""
    path: Path = tmp_path_factory.mktemp("service") / "city.gpkg"
    levels = ("city", "counties", "townships", "communities", "grids")
    served.make_city(path, service_grids, published=levels)
    return path


@pytest.fixture(scope="session")
def service(service_store: Path, served: ModuleType) -> Iterator[str]:
    """The address of a small city's service that tests share."""
    with served.serving(service_store) as url:
        yield url


@pytest.fixture(scope="session")
def service_client(service: str) -> Iterator[httpx.Client]:
    """A client of `service`."""
    with httpx.Client(base_url=service, timeout=120) as client:
        yield client


@pytest.fixture
def qgis() -> Callable[..., dict[str, Any]]:
    """``qgis(url, collection, *box)``: what QGIS reads, or a skip that says what to install."""
    python = Path("/usr/bin/python3")  # QGIS brings its library to Debian's own Python only
    tried = python.is_file() and subprocess.run(
        [python, "-c", "import qgis.core"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    if not tried:
        pytest.skip("QGIS is not installed (apt-get install python3-qgis qgis-providers)")

    def read(*arguments: str, home: Path) -> dict[str, Any]:
        script = Path(__file__).parent / "qgis_client.py"
        done = subprocess.run(
            [python, script, *arguments], capture_output=True, text=True, timeout=100, check=False,
            env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        )  # fmt: skip
        told = [line for line in done.stdout.splitlines() if line.startswith("QGIS ")]
        assert told, done.stderr
        return dict(json.loads(told[0].removeprefix("QGIS ")))

    return read


@pytest.fixture(scope="session")
def ogc_clients() -> ModuleType:
    """The module that reads the service with other people's programs."""
    return beside("ogc_clients")


@pytest.fixture(scope="session")
def hostile_uploads() -> ModuleType:
    """The module that makes a hundred files nobody honest would send."""
    return beside("hostile_uploads")


@pytest.fixture(scope="session")
def street_plans() -> ModuleType:
    """The module that writes small street plans as OSM extracts."""
    return beside("street_plans")


@pytest.fixture(scope="session")
def small_city() -> DemoCity:
    """A synthetic city of 300 grids."""
    return demo_city.make(grids=300)


@pytest.fixture(scope="session")
def full_city() -> DemoCity:
    """The synthetic city of 18,936 grids: half a minute, for tests marked slow."""
    return demo_city.make()


@pytest.fixture(scope="session")
def browsing() -> ModuleType:
    """The module that opens the map page in a browser."""
    return beside("browsing")


@pytest.fixture(scope="module")
def browser(browsing: ModuleType) -> Iterator[Any]:
    """Headless Chromium, or a skip that says what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if browsing.CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_map(browsing: ModuleType, browser: Any, base: str) -> Iterator[Callable[..., Any]]:
    """``open_map(query, width=1440, locale="zh-CN")``: the page of the module's ``base``."""
    with ExitStack() as windows:

        def opened(query: str = "", *, width: int = 1440, locale: str = "zh-CN") -> Any:
            page = browsing.opened(browser, base, query, width=width, locale=locale)
            return windows.enter_context(page)

        yield opened


def beside(name: str) -> ModuleType:
    """Load a module that lies beside the tests."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
