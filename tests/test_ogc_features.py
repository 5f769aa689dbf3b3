"""OGC API - Features, read by programs that others wrote: GDAL, OWSLib, QGIS, GeoPandas."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely

from geo_service.api.ogc import cql2
from geo_service.errors import InputError
from geo_service.store import create_store, open_store

COUNT = 60
LEVELS = ("city", "counties", "townships", "communities", "grids")
URI = "http://www.opengis.net/def/crs/EPSG/0/"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
FIELDS = ["code", "name", "households", "population"]
ITEMS = "/collections/grids/items"


@pytest.fixture(scope="module")
def http(service_client: httpx.Client) -> httpx.Client:
    return service_client


@pytest.fixture(scope="module")
def published(service_store: Path) -> gpd.GeoDataFrame:
    with open_store(service_store) as store:
        return store.frame("grids").set_index("code", drop=False)


def apart(read: gpd.GeoDataFrame, published: gpd.GeoDataFrame, epsg: int) -> float:
    """The largest difference of coordinates, in the system's unit, over every feature."""
    wanted = published.geometry.to_crs(epsg)
    found = read.set_index("code").geometry.loc[published["code"]]
    one, other = (shapely.get_coordinates(part.to_numpy()) for part in (found, wanted))
    return float(np.abs(one - other).max())


def everything(frame: gpd.GeoDataFrame) -> list[tuple[object, ...]]:
    return sorted(map(tuple, frame[FIELDS].astype(object).to_numpy().tolist()))


# GDAL


@pytest.mark.parametrize("epsg", [4547, 4526, 4490, 4326, 3857])
def test_gdal_reads_every_feature_in_every_system(
    service: str, published: gpd.GeoDataFrame, epsg: int, ogc_clients: ModuleType, tmp_path: Path
) -> None:
    system = "OGC:CRS84" if epsg == 4326 else f"EPSG:{epsg}"
    read = ogc_clients.gdal(service, tmp_path, PAGE_SIZE="17", CRS=system)
    assert everything(read) == everything(published)
    # As it was stored: to the bit. Elsewhere: what pyproj gives, to a hundredth of a millimetre.
    allowed = {4547: 0.0, 4490: 1e-10, 4326: 1e-10}.get(epsg, 1e-5)
    assert apart(read, published, epsg) <= allowed


def test_gdal_takes_the_stored_system_where_nothing_is_asked(
    service: str, published: gpd.GeoDataFrame, ogc_clients: ModuleType, tmp_path: Path
) -> None:
    read = ogc_clients.gdal(service, tmp_path)
    assert read.crs.to_epsg() == 4547
    assert apart(read, published, 4547) == 0.0


def test_gdal_asks_for_a_box_and_a_condition(
    service: str, published: gpd.GeoDataFrame, ogc_clients: ModuleType, tmp_path: Path
) -> None:
    x, y = published.geometry.iloc[30].representative_point().coords[0]
    box = (x - 300, y - 200, x + 300, y + 200)
    read = ogc_clients.gdal(service, tmp_path, bbox=box)
    assert set(read["code"]) == set(published.index[published.intersects(shapely.box(*box))])
    read = ogc_clients.gdal(service, tmp_path, where="households > 200 AND name LIKE '第1%'")
    named = published["name"].str.startswith("第1") & (published["households"] > 200)
    assert set(read["code"]) == set(published.index[named])


@pytest.mark.parametrize("home", ["geopackage", pytest.param("postgis", marks=pytest.mark.postgis)])
def test_both_homes_give_gdal_the_same_and_run_jobs(
    home: str,
    new_place: Callable[[str], Path | str],
    tiling: Callable[..., Any],
    served: ModuleType,
    ogc_clients: ModuleType,
    tmp_path: Path,
) -> None:
    grids = tiling(40, seed=3)[0]
    place = new_place(home)
    with create_store(place, title="许昌市") as store:
        for layer, digits in (("city", 4), ("counties", 6)):
            served.publish(store, layer, served.above(grids, digits))
        served.publish(store, "grids", grids)
        frame = store.frame("grids").set_index("code", drop=False)
    with served.serving(place) as url:
        asked = {"inputs": {"layer": "grids"}}
        job = httpx.post(f"{url}/processes/check/execution", json=asked, timeout=120).json()
        assert job["verdict"] == "clean"
        for system in ("EPSG:4547", "EPSG:4490"):
            read = ogc_clients.gdal(url, tmp_path, CRS=system, PAGE_SIZE="15")
            assert apart(read, frame, int(system[5:])) <= 1e-10


def test_as_of_a_time_gives_the_layer_as_it_was(
    tiling: Callable[..., Any], served: ModuleType, tmp_path: Path
) -> None:
    grids = tiling(20, seed=4)[0]
    path = tmp_path / "city.gpkg"
    renamed = grids.assign(name="改名")
    with create_store(path) as store:
        served.publish(store, "grids", grids)
        served.publish(store, "grids", renamed)
        first, second = (revision.published_at for revision in store.history("grids"))
    with served.serving(path) as url, httpx.Client(base_url=url) as http:
        for asked, name in (
            ({"datetime": first}, "第1网格"), ({"datetime": f"../{first}"}, "第1网格"),
            ({"datetime": f"{first}/{second}"}, "改名"), ({"datetime": f"{second}/.."}, "改名"),
            ({"revision": 1}, "第1网格"), ({"at": "1"}, "第1网格"), ({}, "改名"),
        ):  # fmt: skip
            answer = http.get(ITEMS, params={"limit": 1, **asked}).json()
            assert answer["features"][0]["properties"]["name"] == name, asked
            assert http.get("/collections/grids", params=asked).json()["revision"] in {1, 2}
        before = http.get(ITEMS, params={"datetime": "1999-01-01T00:00:00Z"})
        assert before.status_code == 200
        assert before.json()["numberMatched"] == 0
        wrong = http.get(ITEMS, params={"datetime": f"{second}/{first}"})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "parameter_invalid")
        assert http.get(ITEMS, params={"revision": 9}).status_code == 404


# OWSLib, QGIS


def test_owslib_finds_its_way(
    service: str, published: gpd.GeoDataFrame, ogc_clients: ModuleType
) -> None:
    names, conforms, about, queryables, some = ogc_clients.owslib(
        service,
        [
            ["Features", "feature_collections", [], {}],
            ["Features", "conformance", [], {}],
            ["Features", "collection", ["grids"], {}],
            ["Features", "collection_queryables", ["grids"], {}],
            ["Features", "collection_items", ["grids"], {"limit": 99, "filter": "households>200"}],
        ],
    )
    assert names == list(LEVELS)
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in conforms["conformsTo"]
    assert about["storageCrs"] == f"{URI}4547"
    assert queryables["properties"]["households"]["type"] == "integer"
    assert {f["id"] for f in some["features"]} == set(
        published.index[published["households"] > 200]
    )


def test_qgis_reads_every_feature(
    service: str, published: gpd.GeoDataFrame, qgis: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    told = qgis(service, "grids", home=tmp_path)
    assert told["valid"], told["error"]
    read = gpd.GeoDataFrame(
        told["features"], geometry=shapely.from_wkt([f["wkt"] for f in told["features"]])
    )
    assert len(read) == COUNT
    assert apart(read, published, 4326) < 1e-11
    by_code = read.set_index("code")
    assert by_code.loc[published["code"], "name"].tolist() == published["name"].tolist()
    assert by_code.loc[published["code"], "households"].tolist() == (
        published["households"].tolist()
    )


def test_qgis_reads_what_its_window_shows(
    service: str, published: gpd.GeoDataFrame, qgis: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    lonlat = published.geometry.to_crs(4326)
    lon, lat = lonlat.iloc[30].representative_point().coords[0]
    box = (lon - 0.003, lat - 0.002, lon + 0.003, lat + 0.002)
    told = qgis(service, "grids", *map(str, box), home=tmp_path)
    wanted = set(published.index[lonlat.intersects(shapely.box(*box)).to_numpy()])
    assert {feature["code"] for feature in told["features"]} == wanted


# Systems and axis order, by hand


def test_coordinates_stand_in_the_authoritys_order(
    http: httpx.Client, published: gpd.GeoDataFrame
) -> None:
    code = published["code"].iloc[0]
    lon, lat = shapely.get_coordinates(published.geometry.to_crs(4326).iloc[0])[0]
    east, north = shapely.get_coordinates(published.geometry.iloc[0])[0]
    wanted = {
        CRS84: (lon, lat), f"{URI}4326": (lat, lon), f"{URI}4490": (lat, lon),
        f"{URI}4547": (north, east), f"{URI}4526": (north, east + 38e6),
    }  # fmt: skip
    for uri, first in wanted.items():
        answer = http.get(f"{ITEMS}/{code}", params={"crs": uri})
        assert answer.headers["content-crs"] == f"<{uri}>"
        found = answer.json()["geometry"]["coordinates"][0][0]
        assert np.allclose(found, first, rtol=0, atol=1e-6 if first[0] > 360 else 1e-10)
    assert http.get(f"{ITEMS}/{code}").headers["content-crs"] == f"<{CRS84}>"
    for named in ("EPSG:4547", "[EPSG:4547]", "urn:ogc:def:crs:EPSG::4547"):
        crs = http.get(f"{ITEMS}/{code}", params={"crs": named}).headers["content-crs"]
        assert crs == f"<{URI}4547>"
    refused = http.get(ITEMS, params={"crs": f"{URI}2432"})
    assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")


def test_boxes_are_read_in_the_order_of_their_system(
    http: httpx.Client, published: gpd.GeoDataFrame
) -> None:
    x, y = published.geometry.iloc[30].representative_point().coords[0]
    box = shapely.box(x - 250, y - 150, x + 250, y + 150)
    x0, y0, x1, y1 = box.bounds
    asked = {"bbox": f"{y0},{x0},{y1},{x1}", "bbox-crs": f"{URI}4547", "limit": 99}
    found = {f["id"] for f in http.get(ITEMS, params=asked).json()["features"]}
    assert found == set(published.index[published.intersects(box)])
    polygon = f"POLYGON(({y0} {x0},{y0} {x1},{y1} {x1},{y1} {x0},{y0} {x0}))"
    by_filter = {
        "filter": f"S_INTERSECTS(geometry,{polygon})",
        "filter-crs": f"{URI}4547",
        "limit": 99,
    }
    assert {f["id"] for f in http.get(ITEMS, params=by_filter).json()["features"]} == found


# Forms


def test_files_hold_everything_and_read_back(
    http: httpx.Client, published: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    asked = {"crs": f"{URI}4547"}
    parquet = http.get(ITEMS, params={**asked, "f": "parquet"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    assert parquet.headers["ogc-numberreturned"] == str(COUNT)
    read = gpd.read_parquet(io.BytesIO(parquet.content))
    assert everything(read) == everything(published)
    assert read.crs.to_epsg() == 4547
    assert apart(read, published, 4547) == 0.0
    fgb = http.get(ITEMS, params=asked, headers={"accept": "application/flatgeobuf"})
    (tmp_path / "read.fgb").write_bytes(fgb.content)
    read = pyogrio.read_dataframe(tmp_path / "read.fgb")
    assert everything(read) == everything(published)
    assert apart(read, published, 4547) == 0.0
    csv = http.get(ITEMS, params={**asked, "limit": 7}, headers={"accept": "text/csv"})
    table = pd.read_csv(io.BytesIO(csv.content), dtype={"code": str})
    assert len(table) == 7
    assert 'rel="next"' in csv.headers["link"]
    assert table["code"].tolist() == sorted(published.index)[:7]


def test_accept_and_f_choose_the_form(http: httpx.Client) -> None:
    for accept, kind in (
        ("*/*", "application/geo+json"), ("application/json", "application/geo+json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/geo+json;q=0.5, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ("text/html;q=0, */*", "application/geo+json"),
    ):  # fmt: skip
        answer = http.get(ITEMS, headers={"accept": accept})
        assert answer.headers["content-type"] == kind, accept
        assert "Accept" in answer.headers["vary"]
    assert http.get(ITEMS, params={"f": "json"}).headers["content-type"] == "application/geo+json"
    for refused in (http.get(ITEMS, params={"f": "gif"}),
                    http.get(ITEMS, headers={"accept": "image/gif"})):  # fmt: skip
        assert (refused.status_code, refused.json()["code"]) == (406, "form_unknown")


@pytest.mark.parametrize(
    "path",
    ["/?f=html", "/collections", "/collections/grids", "/collections/grids/queryables", ITEMS,
     f"{ITEMS}/{{code}}"],
)  # fmt: skip
def test_pages_speak_the_readers_language_and_link_on(
    http: httpx.Client, published: gpd.GeoDataFrame, path: str
) -> None:
    path = path.replace("{code}", published["code"].iloc[0])
    for language, word in (("zh-CN", "图层"), ("en", "Layers")):
        page = http.get(path, headers={"accept": "text/html", "accept-language": language})
        assert page.status_code == 200
        assert word in page.text
        assert "<script" not in page.text
        assert "13812345678" not in page.text


def test_stored_html_is_text_on_the_page(
    tiling: Callable[..., Any], served: ModuleType, tmp_path: Path
) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    grids = tiling(10, seed=5)[0].assign(name=hostile)
    path = tmp_path / "city.gpkg"
    with create_store(path, title=hostile) as store:
        served.publish(store, "grids", grids)
    with served.serving(path) as url, httpx.Client(base_url=url) as http:
        for page in ("/?f=html", "/collections?f=html", f"{ITEMS}?f=html",
                     f"{ITEMS}/{grids['code'].iloc[0]}?f=html"):  # fmt: skip
            text = http.get(page).text
            assert "<script>" not in text
            assert "<img" not in text
            assert "default-src 'none'" in http.get(page).headers["content-security-policy"]


# CQL2


TABLE = cql2.Table(
    pd.DataFrame(
        {
            "name": ["第一网格", "第二网格", "Third", None],
            "households": pd.array([300, 120, None, 50], dtype="Int64"),
            "share": [0.5, 0.25, np.nan, 1.0],
            "open": [True, False, True, False],
        }
    ),
    np.array([shapely.box(k, 0, k + 1, 1) for k in range(4)], dtype=object),
    lambda shapes: shapes,
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("name = '第一网格'", [0]),
        ("name <> '第一网格'", [1, 2]),  # unknown is not unequal
        ("NOT (name = '第一网格')", [1, 2]),
        ("households > 100", [0, 1]),
        ("NOT (households > 100)", [3]),
        ("households > 100 OR name = 'Third'", [0, 1, 2]),
        ("households IS NULL", [2]),
        ("name IS NOT NULL AND households IS NOT NULL", [0, 1]),
        ("name LIKE '第%网格'", [0, 1]),
        ("name LIKE '第_网格'", [0, 1]),
        ("name NOT LIKE '第%'", [2]),
        ("CASEI(name) LIKE CASEI('THI%')", [2]),
        ("households BETWEEN 50 AND 120", [1, 3]),
        ("households IN (300, 50)", [0, 3]),
        ("name IN ('Third', 'x')", [2]),
        ("households NOT IN (300)", [1, 3]),
        ("households * 2 - 40 >= 200", [0, 1]),
        ("share * 2 = 1", [0]),
        ("households / share > 400", [0, 1]),
        ("open", [0, 2]),
        ("open = false", [1, 3]),
        ("S_INTERSECTS(geometry, POINT(1.5 0.5))", [1]),
        ("S_INTERSECTS(geometry, BBOX(0.5, 0, 1.5, 1))", [0, 1]),
        ("S_WITHIN(geometry, POLYGON((-1 -1,2 -1,2 2,-1 2,-1 -1)))", [0, 1]),
        ("S_TOUCHES(geometry, POLYGON((0 0,1 0,1 1,0 1,0 0)))", [1]),
        ("S_DISJOINT(geometry, POINT(0.5 0.5))", [1, 2, 3]),
    ],
)
def test_filters_mean_what_cql2_says(text: str, rows: list[int]) -> None:
    assert cql2.rows(text, TABLE).tolist() == rows


def test_like_agrees_with_a_plain_reading() -> None:
    """Every text and pattern of up to four letters, beside the definition."""

    def like(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "%":
            return any(like(text[k:], pattern[1:]) for k in range(len(text) + 1))
        return bool(text) and pattern[0] in {"_", text[0]} and like(text[1:], pattern[1:])

    for length in range(5):
        for pattern in map("".join, itertools.product("ab%_", repeat=length)):
            matches = cql2._like_pattern(pattern).fullmatch
            for size in range(5):
                for text in map("".join, itertools.product("ab", repeat=size)):
                    assert (matches(text) is not None) == like(text, pattern), (text, pattern)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name = ", "filter_invalid"),
        ("colour = 'red'", "parameter_unknown"),
        ("name > 3", "filter_invalid"),
        ("households", "filter_invalid"),
        ("name LIKE 3", "filter_invalid"),
        ("S_INTERSECTS(name, POINT(1 2))", "filter_invalid"),
        ("households + name > 3", "filter_invalid"),
        ("drop_table(name)", "filter_invalid"),
        ("(" * 3000 + "open" + ")" * 3000, "filter_invalid"),
        ("NOT " * 900 + "open", "filter_invalid"),
        ("households = 9^9^9^9^9^9^9", ""),
        ("households / 0 > 1", ""),
        ("name LIKE '" + "%a" * 300 + "'", ""),
    ],
)
def test_filters_that_are_no_good_are_refused_and_none_hangs(text: str, code: str) -> None:
    if not code:
        cql2.rows(text, TABLE)
        return
    with pytest.raises(InputError) as caught:
        cql2.rows(text, TABLE)
    assert caught.value.code == code


def test_filters_by_address_and_as_json(http: httpx.Client, published: gpd.GeoDataFrame) -> None:
    many = set(published.index[published["households"] > 200])
    as_json = json.dumps({"op": ">", "args": [{"property": "households"}, 200]})
    for asked in (
        {"filter": "households > 200"},
        {"filter": as_json, "filter-lang": "cql2-json"},
    ):
        answer = http.get(ITEMS, params={**asked, "limit": 1000}).json()
        assert {feature["id"] for feature in answer["features"]} == many
    page = http.get(ITEMS, params={"filter": "households > 200", "limit": 5}).json()
    onward = next(link["href"] for link in page["links"] if link["rel"] == "next")
    assert http.get(onward).json()["numberMatched"] == len(many)
    wrong = http.get(ITEMS, params={"filter": "households >"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "filter_invalid")
