"""The service over HTTP: a real server, a real store, a client that knows nothing but addresses."""

from __future__ import annotations

import http.client as http_client
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely

from geo_service import api
from geo_service.api import guard, locate, uploads
from geo_service.api.errors import MEDIA_TYPE
from geo_service.errors import CATALOGUE, InputError
from geo_service.store import open_store
from geo_service.streets import WalkNetwork, segments

LEVELS = ("city", "counties", "townships", "communities", "grids")
COUNT = 60


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(COUNT, seed=11)[0]


@pytest.fixture(scope="module")
def store_path(
    grids: gpd.GeoDataFrame, served: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("store") / "city.gpkg"
    served.make_city(path, grids, published=LEVELS)
    return path


@pytest.fixture(scope="module")
def http(store_path: Path, served: ModuleType) -> Iterator[httpx.Client]:
    with served.serving(store_path) as base, httpx.Client(base_url=base, timeout=60) as client:
        yield client


@pytest.fixture
def own(
    store_path: Path, served: ModuleType, tmp_path: Path
) -> Iterator[tuple[httpx.Client, Path]]:
    """A service of its own, for tests that publish."""
    path = tmp_path / "own.gpkg"
    with open_store(store_path) as store:
        store.backup(path)
        shutil.copy2(store.streets_path, path.with_suffix(store.streets_path.suffix))
    with served.serving(path) as base, httpx.Client(base_url=base, timeout=60) as client:
        yield client, path


@pytest.fixture(scope="module")
def inside(grids: gpd.GeoDataFrame) -> dict[str, tuple[float, float]]:
    """Code -> longitude and latitude of a point inside, by pyproj."""
    points = grids.geometry.representative_point()
    to = pyproj.Transformer.from_crs(4547, 4326, always_xy=True)
    lon, lat = to.transform(points.x.to_numpy(), points.y.to_numpy())
    return dict(zip(grids["code"], zip(lon, lat, strict=True), strict=True))


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is the problem expected; give it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    told = response.json()
    assert told["code"] == code
    assert told["status"] == status
    assert told["detail_zh"]
    assert told["detail_en"]
    assert "{" not in told["detail_zh"] + told["detail_en"]
    return told


# Landing, collections, items


def test_landing_is_json_for_clients_and_the_map_for_browsers(http: httpx.Client) -> None:
    told = http.get("/").json()
    assert told["synthetic"] is True
    assert {"self", "service-desc", "conformance", "data"} <= {k["rel"] for k in told["links"]}
    browser = http.get("/", headers={"accept": "text/html,application/xhtml+xml"})
    assert browser.headers["location"] == "/map"


def test_collections_tell_extent_and_revision(http: httpx.Client, grids: gpd.GeoDataFrame) -> None:
    told = {c["id"]: c for c in http.get("/collections").json()["collections"]}
    assert list(told) == list(LEVELS)
    [bbox] = told["grids"]["extent"]["spatial"]["bbox"]
    assert np.allclose(bbox, grids.to_crs(4326).total_bounds, atol=1e-6)
    assert told["grids"]["revision"] == 1
    assert told["grids"]["features"] == COUNT


def test_pages_are_whole_and_name_their_revision(http: httpx.Client) -> None:
    seen, url = [], "/collections/grids/items?limit=13"
    while url:
        page = http.get(url).json()
        seen += [feature["id"] for feature in page["features"]]
        url = next((k["href"] for k in page["links"] if k["rel"] == "next"), "")
        assert not url or "revision=1" in url
    assert seen == sorted(set(seen))
    assert len(seen) == COUNT


def test_bbox_and_filters(
    http: httpx.Client, grids: gpd.GeoDataFrame, inside: dict[str, tuple[float, float]]
) -> None:
    code = grids["code"].iloc[7]
    lon, lat = inside[code]
    box = f"{lon - 1e-6},{lat - 1e-6},{lon + 1e-6},{lat + 1e-6}"
    found = http.get("/collections/grids/items", params={"bbox": box}).json()
    assert [feature["id"] for feature in found["features"]] == [code]
    households = http.get("/collections/grids/items", params={"households": 140, "limit": 99})
    assert {f["properties"]["households"] for f in households.json()["features"]} == {140}
    assert households.json()["numberMatched"] == sum(np.arange(COUNT) % 7 == 1)
    problem(http.get("/collections/grids/items?colour=red"), 400, "parameter_unknown")
    problem(http.get("/collections/grids/items?bbox=1,2,3"), 400, "parameter_invalid")


def test_one_item(http: httpx.Client, grids: gpd.GeoDataFrame) -> None:
    code = grids["code"].iloc[0]
    assert http.get(f"/collections/grids/items/{code}").json()["properties"]["code"] == code
    problem(http.get("/collections/grids/items/411002999999999"), 404, "code_unknown")
    problem(http.get("/collections/rivers"), 404, "layer_unknown")


def test_phones_and_heads_are_masked_everywhere(
    http: httpx.Client, inside: dict[str, tuple[float, float]]
) -> None:
    code, (lon, lat) = next(iter(inside.items()))
    answers = [
        http.get(f"/collections/grids/items/{code}").text,
        http.get("/collections/grids/items?limit=1000").text,
        http.get("/locate", params={"lon": lon, "lat": lat, "datum": "wgs84"}).text,
        http.get("/map/facilities").text,
    ]
    for answer in answers:
        assert "13812345678" not in answer
        assert "13912345678" not in answer
        assert "王建国" not in answer
        assert "2331234" not in answer
    assert "138****5678" in answers[0]


# Tiles


def test_tiles_hold_every_grid_and_change_with_the_revision(http: httpx.Client) -> None:
    tile = http.get("/collections/grids/tiles/10/835/408")
    [bbox] = http.get("/collections/grids").json()["extent"]["spatial"]["bbox"]
    x = int((bbox[0] + 180) / 360 * 2**10)
    y = int((1 - np.arcsinh(np.tan(np.radians(bbox[3]))) / np.pi) / 2 * 2**10)
    tile = http.get(f"/collections/grids/tiles/10/{x}/{y}")
    assert tile.status_code == 200
    assert tile.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    again = http.get(
        f"/collections/grids/tiles/10/{x}/{y}", headers={"if-none-match": tile.headers["etag"]}
    )
    assert again.status_code == 304
    assert http.get("/collections/grids/tiles/10/0/0").status_code == 204
    assert http.get(f"/collections/streets/tiles/12/{4 * x + 1}/{4 * y + 1}").status_code in {
        200,
        204,
    }
    problem(http.get("/collections/grids/tiles/3/9/0"), 404, "tile_outside")
    problem(http.get("/collections/rivers/tiles/3/0/0"), 404, "layer_unknown")


# Lookup


def test_locate_answers_in_the_words_of_the_contract(
    http: httpx.Client, inside: dict[str, tuple[float, float]]
) -> None:
    for code, (lon, lat) in list(inside.items())[:20]:
        told = http.get("/locate", params={"lon": lon, "lat": lat, "datum": "wgs84"}).json()
        assert told["found"] is True
        assert told["grid"]["code"] == code
        assert [step["level"] for step in told["chain"]] == [
            "city", "county", "township", "community", "grid",
        ]  # fmt: skip
        assert told["chain"][1]["name"] == "魏都区"
        assert told["revision"] == 1
        assert told["border_distance_m"] > 0


def test_locate_outside_says_so_and_names_the_nearest(http: httpx.Client) -> None:
    told = http.get("/locate?lon=110&lat=30&datum=wgs84").json()
    assert told["found"] is False
    assert told["reason"] == "outside"
    assert told["nearest"]["distance_m"] > 1e5


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("lon=113.8&lat=34", "datum_missing", None),
        ("lat=34&datum=wgs84", "parameter_missing", "lon"),
        ("lon=113.8&datum=wgs84", "parameter_missing", "lat"),
        ("lon=abc&lat=34&datum=wgs84", "parameter_invalid", "lon"),
        ("lon=nan&lat=34&datum=wgs84", "parameter_invalid", "lon"),
        ("lon=34&lat=113.8&datum=wgs84", "lonlat_swapped", None),
        ("lon=113.8&lat=34&datum=wgs 84", "datum_unknown", None),
        ("lon=113.8&lat=34&datum=wgs84&accuracy_m=-1", "parameter_invalid", "accuracy_m"),
    ],
)
def test_locate_refuses_what_it_would_have_to_guess(
    http: httpx.Client, query: str, code: str, name: str | None
) -> None:
    told = problem(http.get(f"/locate?{query}"), 422, code)
    assert name is None or name in told["detail_en"]


def test_a_street_alone_gives_its_grids_by_their_doors(http: httpx.Client) -> None:
    told = http.get("/locate", params={"address": "魏都区文峰路"}).json()
    assert (told["found"], told["reason"]) == (False, "address_ambiguous")
    assert len(told["grids"]) == COUNT  # one door in each
    assert sum(grid["doors"] for grid in told["grids"]) == COUNT
    assert sum(grid["share"] for grid in told["grids"]) == pytest.approx(1, abs=0.01)


def test_addresses_are_completed(http: httpx.Client) -> None:
    def asked(text: str) -> list[str]:
        return http.get("/addresses", params={"q": text}).json()["suggestions"]

    assert asked("文峰") == ["文峰路"]
    assert asked("文峰路1") == [f"文峰路{n}号" for n in (1, 11, 13, 15, 17, 19, 101, 103)]
    assert asked("和平") == []
    problem(http.get("/addresses"), 422, "parameter_missing")


def test_locate_many_equals_locate_one(
    http: httpx.Client, inside: dict[str, tuple[float, float]]
) -> None:
    points = [*inside.values(), (110.0, 30.0)]
    told = http.post("/locate", json={"datum": "wgs84", "points": points}).json()
    assert [result["grid_code"] for result in told["results"]] == [*inside, ""]
    assert told["revision"] == 1
    assert told["found"] == COUNT
    crowd = {"datum": "wgs84", "points": [[113.8, 34.0]] * (locate.MAX_POINTS + 1)}
    problem(http.post("/locate", json=crowd), 413, "too_many")
    problem(http.post("/locate", json={"points": [[1, 2]]}), 422, "parameter_missing")
    problem(http.post("/locate", content=b"{"), 422, "parameter_invalid")


def test_tables_come_back_with_their_grids(
    http: httpx.Client, inside: dict[str, tuple[float, float]]
) -> None:
    places = pd.DataFrame([*inside.values()], columns=["经度", "纬度"]).assign(工单="0012")
    places.loc[1, "经度"] = np.nan
    table = places.to_csv(index=False).encode("gb18030")
    told = http.post("/locate?datum=wgs84", content=table, headers={"content-type": "text/csv"})
    answered = pd.read_csv(io.BytesIO(told.content), dtype=str, keep_default_na=False)
    assert told.headers["geo-service-revision"] == "1"
    assert answered["工单"].tolist() == ["0012"] * COUNT
    expected = [code if k != 1 else "" for k, code in enumerate(inside)]
    assert answered["grid_code"].tolist() == expected
    assert answered["reason"][1] == "no_position"

    def post(frame: pd.DataFrame, query: str = "") -> httpx.Response:
        held = io.BytesIO()
        frame.to_parquet(held)
        kind = {"content-type": "application/vnd.apache.parquet"}
        return http.post(f"/locate{query}", content=held.getvalue(), headers=kind)

    numbers = pd.DataFrame([*inside.values()], columns=["lon", "lat"])
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(numbers.lon, numbers.lat), crs=4326)
    for answer in (post(numbers, "?datum=wgs84"), post(points), post(points.to_crs(4547))):
        assert pd.read_parquet(io.BytesIO(answer.content))["grid_code"].tolist() == [*inside]
    problem(post(numbers), 422, "datum_missing")
    problem(
        post(points.to_crs(4547).set_geometry(points.to_crs(4547).buffer(9))), 422, "field_missing"
    )
    many = pd.DataFrame({"lon": np.zeros(locate.MAX_POINTS + 1), "lat": 0.0})
    problem(post(many, "?datum=wgs84"), 413, "too_many")
    kind = {"content-type": "application/vnd.apache.parquet"}
    problem(http.post("/locate", content=b"PAR1", headers=kind), 422, "file_unreadable")


def test_locate_answers_as_of_a_revision_and_says_what_has_not_changed(
    own: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame, served: ModuleType
) -> None:
    http, path = own
    point = grids.to_crs(4326).geometry.representative_point().iloc[0]
    query = {"lon": point.x, "lat": point.y, "datum": "wgs84"}
    first = http.get("/locate", params=query)
    tag = {"if-none-match": first.headers["etag"]}
    assert http.get("/locate", params=query, headers=tag).status_code == 304
    with open_store(path) as store:
        served.publish(store, "grids", grids.assign(name="新名"))
    deadline = time.monotonic() + 10
    while http.get("/locate", params=query, headers=tag).status_code == 304:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.get("/locate", params=query).json()["grid"]["name"] == "新名"
    before = http.get("/locate", params={**query, "at": 1}).json()
    assert (before["revision"], before["grid"]["name"]) == (1, first.json()["grid"]["name"])
    points = {"datum": "wgs84", "points": [[point.x, point.y]]}
    assert http.post("/locate?at=1", json=points).json()["revision"] == 1
    problem(http.get("/locate", params={**query, "at": 9}), 404, "revision_unknown")
    problem(http.get("/locate", params={**query, "at": "1999-01-01"}), 404, "revision_unknown")


def test_other_grid_systems_answer_on_request(
    own: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame, served: ModuleType
) -> None:
    http, path = own
    half = grids.iloc[:5].assign(code=[f"S{k}" for k in range(5)], name="锦绣家园")
    with open_store(path) as store:
        served.publish(store, "compounds", half)
    deadline = time.monotonic() + 10
    while "compounds" not in {c["id"] for c in http.get("/collections").json()["collections"]}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    points = grids.to_crs(4326).geometry.representative_point()

    def asked(k: int, systems: str = "compounds") -> httpx.Response:
        query = {"lon": points.iloc[k].x, "lat": points.iloc[k].y, "datum": "wgs84"}
        return http.get("/locate", params={**query, "systems": systems})

    while "systems" not in asked(2).json():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert asked(2).json()["systems"]["compounds"]["code"] == "S2"
    assert asked(2).json()["grid"]["code"] == grids["code"].iloc[2]
    assert asked(9).json()["systems"] == {"compounds": None}
    problem(asked(2, "rivers"), 404, "layer_unknown")


def test_gcj02_is_undone(http: httpx.Client, inside: dict[str, tuple[float, float]]) -> None:
    from geo_service import crs

    code, (lon, lat) = next(iter(inside.items()))
    shifted = crs.from_wgs84(lon, lat, datum="gcj02")
    query = {"lon": float(shifted[0]), "lat": float(shifted[1])}
    assert http.get("/locate", params={**query, "datum": "gcj02"}).json()["grid"]["code"] == code
    wrong = http.get("/locate", params={**query, "datum": "wgs84"}).json()
    assert wrong.get("grid", {}).get("code") != code


def test_openapi_describes_what_is_read_by_hand(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    described = document["paths"]["/locate"]["get"]["parameters"]
    names = {"lon", "lat", "datum", "address", "at", "systems", "accuracy_m"}
    assert {p["name"] for p in described} == names
    query = {p["name"]: p["example"] for p in described if "example" in p}
    assert http.get("/locate", params=query).status_code == 200
    assert "multipart/form-data" in document["paths"]["/drafts"]["post"]["requestBody"]["content"]


# Walks and sites


def test_rings_lie_inside_each_other(
    http: httpx.Client, store_path: Path, inside: dict[str, tuple[float, float]]
) -> None:
    lon, lat = inside[sorted(inside)[COUNT // 2]]
    asked = {"lon": lon, "lat": lat, "datum": "wgs84", "minutes": "5,10,15", "people": True}
    rings = http.get("/catchments", params=asked).json()["features"]
    shapes = {f["properties"]["minutes"]: shapely.geometry.shape(f["geometry"]) for f in rings}
    assert shapes[15].covers(shapes[10])
    assert shapes[10].covers(shapes[5])
    people = {f["properties"]["minutes"]: f["properties"]["people"] for f in rings}
    assert 0 < people[5] < people[10] < people[15] <= (np.arange(COUNT) % 5 * 100 + 200).sum()
    many = {"datum": "wgs84", "points": [[lon, lat]] * 2, "minutes": [15]}
    assert len(http.post("/catchments", json=many).json()["features"]) == 2
    far = {**many, "points": [[lon, lat]] * 3 + [[0.0, 0.0]] * 50}
    told = http.post("/catchments", json=far)
    as_job = http.post("/processes/catchments/execution", json={"inputs": far})
    assert as_job.content == told.content  # whose parts are put together
    network = WalkNetwork.load(next(store_path.parent.glob("*.streets")))
    frame = network.catchment(*np.array(far["points"]).T, minutes=[15])
    read = gpd.GeoDataFrame.from_features(told.json(), crs=4326)
    assert read.geometry.is_valid.all()
    for one, other in zip(frame.geometry, read.geometry, strict=True):
        assert shapely.equals_exact(one.normalize(), other.normalize(), 2e-8)
    assert read["origin"].tolist() == frame["origin"].tolist() == list(range(53))
    assert read["area_m2"].tolist() == frame["area_m2"].tolist()
    problem(http.get("/catchments", params={**asked, "minutes": "x"}), 422, "parameter_invalid")
    problem(http.get("/catchments", params={**asked, "lon": 0.0}), 422, "street_too_far")
    problem(http.get("/catchments?lon=1&lat=2"), 422, "parameter_missing")


def test_route_on_a_lattice_is_as_long_as_its_legs(
    http: httpx.Client, grids: gpd.GeoDataFrame, served: ModuleType
) -> None:
    x0, y0 = grids.total_bounds[:2]
    corners = np.array([[x0, y0], [x0 + 5 * served.STREETS_M, y0 + 3 * served.STREETS_M]])
    lon, lat = served.PLANE.inverse(*corners.T)
    asked = {"from_lon": lon[0], "from_lat": lat[0], "to_lon": lon[1], "to_lat": lat[1]}
    walk = http.get("/routes", params={**asked, "datum": "wgs84"}).json()
    assert walk["properties"]["length_m"] == pytest.approx(8 * served.STREETS_M, rel=2e-3)


def test_sites_are_proposed_proven_and_kept(own: tuple[httpx.Client, Path]) -> None:
    http, path = own
    problem(http.get("/sites/latest"), 404, "not_found")
    answer = http.post("/sites", json={"kind": "rest_station", "count": 3, "minutes": 5})
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert len(plan["sites"]) == 3
    assert plan["bound"] >= plan["objective"]
    assert plan["covered_after"] > plan["covered_before"]
    assert http.get("/sites/latest").json() == plan
    assert http.get("/sites/latest?kind=rest_station").json() == plan
    problem(http.get("/sites/latest?kind=canteen"), 404, "not_found")
    problem(http.post("/sites", json={"kind": "castle", "count": 3}), 422, "kind_unknown")
    with open_store(path) as store:
        assert store.tables()["proposals"] == 1


def test_every_finished_siting_job_is_kept(own: tuple[httpx.Client, Path]) -> None:
    http, path = own
    told = http.post("/sites", json={"kind": "rest_station", "count": 1, "seconds": 1})
    assert told.status_code == 200
    asked = {
        http.post(
            "/processes/siting/execution", headers={"prefer": "respond-async"},
            json={"inputs": {"kind": "rest_station", "count": count, "seconds": 1}},
        ).json()["jobID"]: count
        for count in range(2, 14)
    }  # fmt: skip
    left = set(asked)
    with open_store(path) as store:
        while left:
            for job in sorted(left):
                if http.get(f"/jobs/{job}").json()["status"] == "successful":
                    left.remove(job)  # told as done: it must be there for every reader
                    assert asked[job] in store.table("proposals")["sites"].tolist()
            assert len(http.get("/sites/latest").json()["sites"]) in range(1, 14)
        assert sorted(store.table("proposals")["sites"]) == list(range(1, 14))


def test_life_circles_of_communities_and_of_given_gates(own: tuple[httpx.Client, Path]) -> None:
    http, _ = own
    question = {"within": "411002", "kinds": ["canteen", "market"]}
    told = http.post("/life-circles", json=question).json()
    assert told["cells"] == 2 * told["circles"] == len(told["matrix"]) > 0
    assert {row["circle_code"][:6] for row in told["matrix"]} == {"411002"}
    assert {row["walker"] for row in told["matrix"]} == {"senior", "adult"}
    for row in told["matrix"]:
        within = row["metres"] is not None and row["metres"] <= row["threshold_m"]
        assert (row["status"] == "within") == within
    centre = {"code": "a", "lon": 113.85, "lat": 34.03, "population": 10}
    mine = http.post("/life-circles", json={"centres": [centre], "kinds": ["market"]}).json()
    assert (mine["circles"], mine["cells"]) == (1, 1)
    problem(http.post("/life-circles", json={"kinds": ["castle"]}), 422, "kind_unknown")
    problem(http.post("/life-circles", json={"centres": []}), 422, "layer_empty")
    at_night = http.post("/life-circles", json={**question, "at": "02:00"}).json()
    assert len(at_night["missing"]) >= len(told["missing"])


def test_sites_by_budget_and_by_share(own: tuple[httpx.Client, Path]) -> None:
    http, _ = own
    unpriced = http.post("/sites", json={"kind": "canteen", "budget": 60_000})
    assert problem(unpriced, 422, "field_missing")["detail_en"].count("fixed_cost") == 1
    share = http.post("/sites", json={"kind": "canteen", "cover_percent": 1}).json()
    assert share["aim"] == "fewest_sites"
    problem(http.post("/sites", json={"kind": "canteen"}), 422, "parameter_invalid")


# Drafts


def as_file(frame: gpd.GeoDataFrame, path: Path) -> dict[str, Any]:
    frame.to_file(path)
    return {"file": (path.name, path.read_bytes())}


def test_from_upload_to_revision_without_a_restart(
    own: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    http, _ = own
    renamed = grids.assign(name="新名")
    made = http.post(
        "/drafts", files=as_file(renamed, tmp_path / "网格.gpkg"), data={"layer": "grids"}
    )
    assert made.status_code == 201, made.text
    draft = made.json()
    assert draft["source"] == "网格.gpkg"
    where = made.headers["location"]
    assert where == f"/drafts/{draft['id']}"
    assert http.get(f"{where}/check").json()["verdict"] == "clean"
    assert http.get(f"{where}/diff").json()["moved"] == []
    assert http.get("/collections/grids").json()["revision"] == 1
    published = http.post(f"{where}/publish", json={"message": "改名"})
    assert published.status_code == 201, published.text
    assert published.json()["number"] == 2
    code = grids["code"].iloc[0]
    assert http.get(f"/collections/grids/items/{code}").json()["properties"]["name"] == "新名"
    old = http.get(f"/collections/grids/items/{code}?revision=1").json()
    assert old["properties"]["name"] != "新名"
    point = grids.to_crs(4326).geometry.representative_point().iloc[0]
    found = http.get("/locate", params={"lon": point.x, "lat": point.y, "datum": "wgs84"}).json()
    assert found["revision"] == 2
    assert found["grid"]["name"] == "新名"
    z, x, y = 10, int((point.x + 180) / 360 * 2**10), 408
    tiles = f"/collections/grids/tiles/{z}/{x}"
    [y] = [k for k in range(380, 440) if http.get(f"{tiles}/{k}").status_code == 200][:1]
    now, then = http.get(f"{tiles}/{y}"), http.get(f"{tiles}/{y}?revision=1")
    assert "新名".encode() in now.content
    assert "新名".encode() not in then.content
    assert now.headers["etag"] != then.headers["etag"]
    problem(http.get(f"{tiles}/{y}?datetime=1999-01-01T00:00:00Z"), 404, "revision_unknown")
    assert [r["number"] for r in http.get("/history/grids").json()["revisions"]] == [1, 2]
    changed = http.get("/history/grids/diff?a=1&b=2").json()
    assert len(changed["changed"]) == COUNT
    problem(http.post(f"{where}/publish"), 409, "draft_closed")


def test_a_revision_published_elsewhere_is_picked_up(
    own: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame, served: ModuleType
) -> None:
    http, path = own
    assert http.get("/collections/grids").json()["revision"] == 1
    with open_store(path) as store:
        served.publish(store, "grids", grids.assign(name="别处"))
    deadline = time.monotonic() + 5
    while http.get("/collections/grids").json()["revision"] == 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert http.get("/collections/grids/items?limit=1").json()["revision"] == 2


def test_a_profile_is_named_never_a_file_of_the_server(http: httpx.Client, tmp_path: Path) -> None:
    """Or whoever may ask could tell which files there are, and read what is wrong in them."""
    there, absent = tmp_path / "there.toml", tmp_path / "absent.toml"
    there.write_text("[secret]\nkey = 1\n")
    walk = {"datum": "wgs84", "points": [[113.8, 34.0]]}
    for file in (there, absent):
        name = str(file)
        asked = [
            http.get("/faults", params={"layer": "grids", "profile": name}),
            http.get("/catchments", params={"lon": 113.8, "lat": 34, "datum": "wgs84",
                                            "profile": name}),
            http.post("/catchments", json={**walk, "profile": name}),
            http.post("/life-circles", json={"layer": "communities", "profile": name}),
            *(http.post(f"/processes/{process}/execution", json={"inputs": {**inputs,
                                                                           "profile": name}})
              for process, inputs in (("check", {"layer": "grids"}), ("repair", {"draft": 1}),
                                      ("catchments", walk), ("life-circles", {}))),
        ]  # fmt: skip
        for answer in asked:
            problem(answer, 404, "profile_unknown")
    assert http.get("/faults?layer=grids&profile=default").status_code == 200


def test_faults_of_a_draft_are_features_with_messages(
    own: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    http, _ = own
    holed = grids.drop(index=grids.index[len(grids) // 2])
    draft = http.post(
        "/drafts", files=as_file(holed, tmp_path / "holed.gpkg"), data={"layer": "grids"}
    ).json()
    told = http.get("/faults", params={"draft": draft["id"]}).json()
    assert told["verdict"] == "faults"
    [hole] = [f for f in told["features"] if f["properties"]["kind"] == "missing_grid"]
    missing = grids.to_crs(4326).geometry.iloc[len(grids) // 2]
    assert missing.buffer(1e-9).covers(shapely.Point(hole["properties"]["at"]))
    assert hole["properties"]["message"]["zh"]
    refused = problem(http.post(f"/drafts/{draft['id']}/publish"), 409, "draft_has_faults")
    assert "missing_grid" in refused["detail"]
    assert http.delete(f"/drafts/{draft['id']}").status_code == 204
    assert http.get(f"/drafts/{draft['id']}").json()["state"] == "discarded"
    assert http.get("/faults?layer=grids").json()["verdict"] == "clean"
    problem(http.get("/faults"), 422, "parameter_missing")
    problem(http.get("/drafts/999"), 404, "draft_unknown")


def test_hostile_uploads_are_refused_in_a_sentence(http: httpx.Client) -> None:
    def post(name: str, content: bytes, layer: str = "grids") -> httpx.Response:
        return http.post("/drafts", files={"file": (name, content)}, data={"layer": layer})

    problem(post("grids.zip", b"PK\x03\x04 not a zip"), 422, "file_unreadable")
    assert post("../../etc/passwd", b"root:x:0:0").status_code == 422
    assert post("empty.geojson", b"").status_code == 422
    problem(post("grids.gpkg", b"x", layer="rivers"), 404, "layer_unknown")
    problem(http.post("/drafts", data={"layer": "grids"}), 422, "parameter_missing")
    problem(http.post("/drafts", content=b"no form"), 422, "parameter_missing")


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, grids: gpd.GeoDataFrame) -> None:
    path = tmp_path / "grids.gpkg"
    grids.to_file(path)
    with pytest.raises(InputError) as refused:
        uploads.read(path, {}, seconds=0.001)
    assert refused.value.code == "reader_too_slow"
    assert len(uploads.read(path, {}).frame) == COUNT


def test_too_large_is_refused_before_it_is_read(http: httpx.Client) -> None:
    link = http_client.HTTPConnection(http.base_url.host, http.base_url.port, timeout=30)
    link.putrequest("POST", "/locate")
    link.putheader("content-length", str((guard.BODY_LIMIT_MB + 1) << 20))
    link.endheaders()
    assert link.getresponse().status == 413
    link.close()

    def without_end() -> Iterator[bytes]:
        for _ in range(guard.BODY_LIMIT_MB + 1):
            yield b" " * (1 << 20)

    problem(http.post("/locate", content=without_end()), 413, "upload_too_large")


# What stands before every route


def test_errors_speak_the_readers_language(http: httpx.Client) -> None:
    zh = problem(
        http.get("/drafts/999", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}),
        404, "draft_unknown",
    )  # fmt: skip
    assert zh["detail"] == zh["detail_zh"]
    en = problem(http.get("/drafts/999", headers={"accept-language": "en"}), 404, "draft_unknown")
    assert en["detail"] == en["detail_en"]
    meaning = http.get(en["type"]).json()
    assert meaning["zh"] == CATALOGUE["draft_unknown"].zh


def test_unknown_addresses_and_methods_are_problems_too(http: httpx.Client) -> None:
    problem(http.get("/nowhere"), 404, "page_unknown")
    problem(http.delete("/collections"), 405, "method_unknown")
    problem(http.get("/collections/grids/items?limit=0"), 400, "parameter_invalid")
    problem(http.get("/drafts/abc"), 422, "parameter_invalid")


def test_foreign_pages_and_foreign_names_are_refused(http: httpx.Client) -> None:
    foreign = {"origin": "https://example.com"}
    problem(http.delete("/drafts/1", headers=foreign), 403, "origin_refused")
    problem(http.get("/", headers={"host": "example.com:8000"}), 421, "host_refused")
    assert http.get("/healthz", headers={"host": "localhost"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_the_service_does_not_listen_beyond_this_machine(host: str, store_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        api.serve(store_path, host=host)
    assert refused.value.code == "not_loopback"


def test_health_and_metrics(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    deadline = time.monotonic() + 30
    while (ready := http.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.1)
    assert ready.json()["layers"]["grids"] == 1
    http.get("/locate?lon=113.8&lat=34&datum=wgs84")
    counted = http.get("/metrics").text
    assert 'geo_service_requests_total{method="GET",route="/locate",status="200"}' in counted
    assert "113.8" not in counted


def ready_after_loading(base: str) -> dict[str, Any]:
    """What /readyz tells once loading is through, well or not."""
    deadline = time.monotonic() + 60
    while True:
        told = httpx.get(f"{base}/readyz", timeout=20)
        if told.status_code == 200 or told.json()["problem"]:
            return {**told.json(), "status_code": told.status_code}
        assert time.monotonic() < deadline, told.text
        time.sleep(0.1)


def test_readyz_tells_of_an_old_and_of_a_damaged_walk_network(
    store_path: Path, served: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "own.gpkg"
    with open_store(store_path) as store:
        store.backup(path)
        network = WalkNetwork.load(store.streets_path)
    streets = path.with_suffix(".streets")
    about = {"format": "geo-service streets 1", "profile": "adult", "plane": "EPSG:4547",
             "source": {}}  # fmt: skip
    with streets.open("wb") as file:
        np.savez(file, about=json.dumps(about), **segments.arrays(network._streets))
    with served.serving(path) as base:
        told = ready_after_loading(base)
        assert told["status_code"] == 200
        [note] = told["notes"]
        assert note["code"] == "streets_old_format"
        assert "streets import" in note["zh"]
    network.save(streets)
    with served.serving(path) as base:
        assert ready_after_loading(base)["notes"] == []
    streets.write_bytes(streets.read_bytes()[:5000])
    with served.serving(path) as base:
        told = ready_after_loading(base)
        assert (told["status_code"], told["problem"]) == (503, "file_unreadable")
        assert "own.streets" in told["problem_en"]


def test_many_clients_at_once_get_the_answers_of_one(
    http: httpx.Client, inside: dict[str, tuple[float, float]]
) -> None:
    def ask(place: tuple[str, tuple[float, float]]) -> bool:
        code, (lon, lat) = place
        told = http.get("/locate", params={"lon": lon, "lat": lat, "datum": "wgs84"}).json()
        item = http.get(f"/collections/grids/items/{code}").json()
        return told["grid"]["code"] == code == item["id"]

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(ask, inside.items()))
