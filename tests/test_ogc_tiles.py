"""OGC API - Tiles, TileJSON, styles and PMTiles, read by GDAL, QGIS, MapLibre and the library."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pyogrio
import pytest
import shapely
from pmtiles.reader import MmapSource, Reader, all_tiles

from geo_service.store import open_store
from geo_service.tiles import TileSource, archive, mvt, saved
from geo_service.tiles.pyramid import FINEST_ZOOM, Pyramid

COUNT = 60
QUAD = "WebMercatorQuad"


@pytest.fixture(scope="module")
def grids(service_grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return service_grids


@pytest.fixture(scope="module")
def http(service_client: httpx.Client) -> httpx.Client:
    return service_client


@pytest.fixture(scope="module")
def mercator(grids: gpd.GeoDataFrame) -> gpd.GeoSeries:
    return grids.set_index("code").geometry.to_crs(3857)


def tile_of(z: int, point: shapely.Point) -> tuple[int, int]:
    return mvt.tile_at(z, point.x, point.y)


def read_tile(data: bytes, folder: Path, layer: str) -> gpd.GeoDataFrame:
    path = folder / "tile.pbf"
    path.write_bytes(data)
    return pyogrio.read_dataframe(f"MVT:{path}", layer=layer, CLIP="NO")


def test_both_addresses_give_the_same_tile(
    http: httpx.Client, mercator: gpd.GeoSeries, tmp_path: Path
) -> None:
    x, y = tile_of(13, mercator.iloc[0].representative_point())
    short = http.get(f"/collections/grids/tiles/13/{x}/{y}")
    standard = http.get(f"/collections/grids/tiles/{QUAD}/13/{y}/{x}", params={"f": "mvt"})
    assert short.content == standard.content
    assert standard.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    tag = {"if-none-match": standard.headers["etag"]}
    assert http.get(f"/collections/grids/tiles/{QUAD}/13/{y}/{x}", headers=tag).status_code == 304
    read = read_tile(standard.content, tmp_path, "grids")
    box = shapely.box(*mvt.tile_box(13, x, y))
    inside = {code for code, shape in mercator.items() if shape.intersection(box).area > 100}
    assert inside <= set(read["code"])
    assert http.get("/collections/grids/tiles/Other/13/1/1").status_code == 404


def test_tilesets_lead_to_tiles(http: httpx.Client, mercator: gpd.GeoSeries) -> None:
    listed = http.get("/collections/grids/tiles").json()["tilesets"][0]
    about = http.get(next(k["href"] for k in listed["links"] if k["rel"] == "self")).json()
    assert about["dataType"] == "vector"
    west, south = about["boundingBox"]["lowerLeft"]
    east, north = about["boundingBox"]["upperRight"]
    assert np.allclose((west, south, east, north), mercator.to_crs(4326).total_bounds, atol=1e-7)
    [item] = [link for link in about["links"] if link["rel"] == "item"]
    x, y = tile_of(12, mercator.iloc[0].representative_point())
    address = item["href"].format(tileMatrix=12, tileRow=y, tileCol=x)
    assert http.get(address).status_code == 200
    matrices = http.get(f"/tileMatrixSets/{QUAD}").json()
    assert matrices["tileMatrices"][0]["scaleDenominator"] == pytest.approx(559082264.0287178)
    assert matrices["tileMatrices"][0]["cellSize"] == pytest.approx(156543.03392804097)
    assert http.get("/tileMatrixSets").json()["tileMatrixSets"][0]["id"] == QUAD


def test_tilejson_and_style_name_what_tiles_hold(http: httpx.Client) -> None:
    told = http.get(f"/collections/grids/tiles/{QUAD}", params={"f": "tilejson"}).json()
    assert told["tilejson"] == "3.0.0"
    assert [layer["id"] for layer in told["vector_layers"]] == ["grids", "grids_names"]
    assert told["vector_layers"][0]["fields"]["households"] == "Number"
    style = http.get("/collections/grids/style").json()
    assert style["sources"]["grids"]["tiles"] == told["tiles"]
    past = http.get("/collections/grids/style", params={"revision": 1}).json()
    assert past["sources"]["grids"]["tiles"][0].endswith("?at=1")
    assert http.get("/collections/streets/style").status_code == 200


def test_borders_stay_shared_at_every_zoom(tiling: Callable[..., Any], tmp_path: Path) -> None:
    """As GDAL reads them: on whole numbers, what features sum to is what they cover together."""
    grids, _ = tiling(200, points=30)
    with ThreadPoolExecutor(1) as executor:
        source = TileSource.of(grids, "grids", tiles=True, executor=executor)
        source.pyramid.build()
        for z in range(5, FINEST_ZOOM + 2):
            x, y = tile_of(z, shapely.box(*source.bounds).centroid)
            read = read_tile(source.tile(z, x, y), tmp_path, "grids")
            assert read.geometry.is_valid.all(), z
            together = read.geometry.buffer(0).union_all()
            assert read.geometry.area.sum() == pytest.approx(together.area), z


def test_qgis_draws_the_tiles(
    service: str, mercator: gpd.GeoSeries, qgis: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    x0, y0, x1, y1 = mercator.total_bounds
    wide = (x0 - 200, y0 - 200, x1 + 200, y1 + 200)
    told = qgis(service, "grids", *map(str, wide), "tiles", home=tmp_path)
    assert told["valid"]
    assert 3_000 < told["coloured"] < 10_000  # of 100 x 100 points; the corners stay paper


@pytest.mark.browser
def test_maplibre_draws_the_style(http: httpx.Client, service_store: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.is_file():
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    draw = """async (address) => {
        document.body.innerHTML = '<div id="m"></div>';
        const box = document.getElementById('m');
        box.style.width = '600px'; box.style.height = '400px';
        const bounds = (await (await fetch(address)).json()).sources.grids.bounds;
        const map = new maplibregl.Map({container: 'm', style: address, bounds});
        await new Promise((done) => map.once('idle', done));
        return map.queryRenderedFeatures({layers: ['grids-land']}).map((f) => f.properties.code);
    }"""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(chromium), args=arguments)
        page = browser.new_page()
        page.goto(f"{http.base_url}/map")
        page.wait_for_function("window.maplibregl !== undefined")
        codes = page.evaluate(draw, "/collections/grids/style")
        browser.close()
    assert len(set(codes)) == COUNT


# PMTiles


@pytest.fixture(scope="module")
def packed(service_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "grids.pmtiles"
    with open_store(service_store) as store, ThreadPoolExecutor(1) as executor:
        source = TileSource.of(store.frame("grids"), "grids", tiles=True, executor=executor)
        assert archive.write(source, path, finest_zoom=13) > 10
    return path


def test_pmtiles_hold_the_very_tiles(packed: Path, service_store: Path) -> None:
    with open_store(service_store) as store, ThreadPoolExecutor(1) as executor:
        source = TileSource.of(store.frame("grids"), "grids", tiles=True, executor=executor)
        source.pyramid.build()
    with packed.open("rb") as file:
        found = list(all_tiles(MmapSource(file)))
        header = Reader(MmapSource(file)).header()
        about = Reader(MmapSource(file)).metadata()
    assert {zxy[0] for zxy, _ in found} == set(range(14))
    for (z, x, y), data in found:
        assert gzip.decompress(data) == source.tile(z, x, y)
    assert header["max_zoom"] == 13
    assert [layer["id"] for layer in about["vector_layers"]] == ["grids", "grids_names"]


def test_gdal_reads_every_grid_from_pmtiles(packed: Path, grids: gpd.GeoDataFrame) -> None:
    read = pyogrio.read_dataframe(packed, layer="grids", ZOOM_LEVEL="13")
    assert set(read["code"]) == set(grids["code"])
    whole = read.dissolve("code").geometry.area
    true = grids.set_index("code").geometry.to_crs(3857).area
    assert np.allclose(whole.loc[true.index], true, rtol=0.02)


def test_export_writes_pmtiles(
    service_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from geo_service.cli import main

    out = tmp_path / "grids.pmtiles"
    with pytest.raises(SystemExit) as ended:
        main(["export", "grids", "-o", str(out), "--store", str(service_store), "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tiles"] > 10
    assert told["features"] == COUNT
    with out.open("rb") as file:
        about = Reader(MmapSource(file)).metadata()
    assert about["version"] == "1"


# saved tiles


@pytest.fixture
def own_store(
    service_store: Path, tmp_path: Path, served: ModuleType
) -> tuple[Path, Callable[[], Any]]:
    """A store of its own, and what serves it."""
    path = tmp_path / "own.gpkg"
    with open_store(service_store) as store:
        store.backup(path)

    @contextmanager
    def serving() -> Iterator[httpx.Client]:
        with served.serving(path) as base, httpx.Client(base_url=base, timeout=60) as client:
            yield client

    return path, serving


def saved_of(path: Path, layer: str = "grids") -> list[Path]:
    return sorted(path.with_suffix(".tiles").glob(f"{layer}-*.pmtiles"))


def wait_for(there: Callable[[], Any]) -> None:
    until = time.monotonic() + 60
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_restarted_service_gives_the_tiles_it_saved(
    own_store: tuple[Path, Callable[[], Any]], mercator: gpd.GeoSeries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path, serving = own_store
    paths = [
        f"/collections/grids/tiles/{z}/{x + dx}/{y}"
        for z in range(13)
        for x, y in [tile_of(z, mercator.union_all().centroid)]
        for dx in ((-1, 0, 1) if z > 3 else (0,))
    ]
    with serving() as http:
        wait_for(lambda: all(saved_of(path, name) for name in ("city", "communities", "grids")))
        [first] = saved_of(path)
        saved_tiles = [http.get(one) for one in paths]

    def refuse(*_: object) -> None:
        raise AssertionError("drawn although it was saved")

    with open_store(path) as store, ThreadPoolExecutor(1) as executor:
        source = TileSource.of(store.frame("grids"), "grids", tiles=True, executor=executor)
        source.pyramid.build()
        drawn = [source.tile(*map(int, one.split("/")[-3:])) for one in paths]
    with monkeypatch.context() as patched:
        patched.setattr(TileSource, "tile", refuse)
        patched.setattr(Pyramid, "build", refuse)
        with serving() as http:
            again = [http.get(one) for one in paths]
            stale = {"if-none-match": again[0].headers["etag"]}
            assert http.get(paths[0], headers=stale).status_code == 304
    assert [one.content for one in again] == [one.content for one in saved_tiles] == drawn
    assert [one.headers["etag"] for one in again] == [one.headers["etag"] for one in saved_tiles]
    assert any(one.status_code == 204 for one in again)
    assert saved_of(path) == [first]


def test_a_new_revision_takes_the_place_of_saved_tiles(
    own_store: tuple[Path, Callable[[], Any]], grids: gpd.GeoDataFrame, served: ModuleType
) -> None:
    path, serving = own_store
    with serving() as http:
        wait_for(lambda: saved_of(path))
        [first] = saved_of(path)
        with open_store(path) as store:
            served.publish(store, "grids", grids.assign(name="改了名"))
        wait_for(lambda: saved_of(path) not in ([], [first]) and len(saved_of(path)) == 1)
        told = http.get("/collections/grids/tiles/0/0/0")
        assert "改了名".encode() in told.content
        assert told.headers["etag"].startswith('"grids-2-')
        past = http.get("/collections/grids/tiles/0/0/0", params={"at": 1})
        assert "改了名".encode() not in past.content


@pytest.mark.parametrize("damage", [b"", b"not tiles", None])
def test_damaged_or_refused_saved_tiles_are_drawn(
    own_store: tuple[Path, Callable[[], Any]], damage: bytes | None
) -> None:
    path, serving = own_store
    folder = path.with_suffix(".tiles")
    if damage is None:
        folder.write_text("a file where the folder should be")
    else:
        with serving():
            wait_for(lambda: saved_of(path))
        [first] = saved_of(path)
        first.write_bytes(damage)
    with serving() as http:
        assert len(http.get("/collections/grids/tiles/0/0/0").content) > 1000
        if damage is not None:
            wait_for(lambda: first.stat().st_size > 1000)


def test_saved_tiles_stay_below_a_size(
    grids: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(1) as executor:
        source = TileSource.of(grids, "grids", tiles=True, executor=executor)
        whole = saved.save(source, tmp_path / "whole", "grids", "a")
        [size] = [one.stat().st_size for one in (tmp_path / "whole").glob("*.pmtiles")]
        monkeypatch.setattr(saved, "MOST_MB", size / 2e6)
        part = saved.save(source, tmp_path / "part", "grids", "a")
        [less] = [one.stat().st_size for one in (tmp_path / "part").glob("*.pmtiles")]
    assert whole is not None
    assert part is not None
    assert less <= size / 2
    assert part.finest_zoom < whole.finest_zoom == saved.FINEST_SAVED_ZOOM
    assert part.tile(0, 0, 0) == whole.tile(0, 0, 0) == source.tile(0, 0, 0)
