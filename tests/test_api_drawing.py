"""Drawing over HTTP: a planner's operations on a draft, by whoever knows only addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import pytest
import shapely

from geo_service import crs
from geo_service.drawing import operations
from geo_service.store import open_store


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(60, seed=11)[0]


@pytest.fixture
def served_city(
    grids: gpd.GeoDataFrame, served: ModuleType, tmp_path: Path
) -> Iterator[tuple[httpx.Client, Path]]:
    path = tmp_path / "city.gpkg"
    served.make_city(path, grids, published=("communities", "grids"))
    with served.serving(path) as base, httpx.Client(base_url=base, timeout=60) as client:
        yield client, path


def across(grids: gpd.GeoDataFrame, code: str) -> dict[str, Any]:
    spot = grids.geometry[grids.code == code].iloc[0].representative_point()
    line = [[spot.x - 2000, spot.y - 300], [spot.x + 2000, spot.y + 300]]
    return {"op": "split", "code": code, "line": line}


def test_a_planner_draws_undoes_redoes_and_publishes(
    served_city: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame
) -> None:
    http, path = served_city
    code = grids.code[20]
    opened = http.post("/drafts/open", json={"within": code[:12], "author": "李"})
    assert opened.status_code == 201
    links = opened.json()["links"]
    made = http.post(links["edits"], json=across(grids, code), params={"author": "李"})
    assert made.status_code == 201
    answer = made.json()
    assert answer["edit"]["retired"] == [code]
    assert answer["edit"]["notes"][0]["zh"]
    parts = [f for f in answer["grids"]["features"] if f["id"] in answer["edit"]["created"]]
    whole = grids.geometry[20]
    assert sum(shapely.geometry.shape(f["geometry"]).area for f in parts) == pytest.approx(
        whole.area, abs=1e-6
    )
    undone = http.post(links["undo"]).json()
    (feature,) = (f for f in undone["grids"]["features"] if f["id"] == code)
    assert shapely.geometry.shape(feature["geometry"]).equals_exact(whole, 0)
    assert http.post(links["undo"]).json()["code"] == "nothing_to_undo"
    assert http.post(links["redo"]).json()["edit"]["undone"] is False
    assert http.post(links["redo"]).status_code == 409
    edits = http.get(links["edits"]).json()["edits"]
    assert [(e["number"], e["author"], e["undone"]) for e in edits] == [(1, "李", False)]
    accepted = {"author": "李", "accept": ["code_order"], "reason": "-"}
    assert http.post(links["publish"], json=accepted).status_code == 201
    with open_store(path) as store:
        assert code not in set(store.frame("grids").code)


def test_coordinates_in_degrees(
    served_city: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame
) -> None:
    http, _ = served_city
    links = http.post("/drafts/open", json={}).json()["links"]
    plane = crs.Plane.of(4547)
    asked = across(grids, grids.code[20])
    asked["line"] = [
        [float(v) for v in plane.inverse(x, y, datum="gcj02")] for x, y in asked["line"]
    ]
    assert http.post(links["edits"], json=asked).status_code == 422  # degrees, unsaid: no cut
    answer = http.post(links["edits"], json=asked, params={"datum": "gcj02"}).json()
    assert answer["grids"]["datum"] == "gcj02"
    x, y = answer["grids"]["features"][0]["geometry"]["coordinates"][0][0]
    assert (round(x), round(y)) == (114, 34)
    assert http.post(links["undo"], params={"datum": "mars"}).status_code == 422


def test_two_planners_draw_in_different_places_at_once(
    served_city: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame
) -> None:
    http, path = served_city
    areas = sorted({code[:12] for code in grids.code})[:3]

    def draw(area: str) -> list[int]:
        links = http.post("/drafts/open", json={"within": area, "author": area}).json()["links"]
        codes = [c for c in grids.code if c.startswith(area)][:3]
        answers = [http.post(links["edits"], json=across(grids, code)) for code in codes]
        body = {"author": area, "accept": ["code_order"], "reason": "-"}
        answers.append(http.post(links["publish"], json=body))
        return [answer.status_code for answer in answers]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(draw, areas)) == [[201] * 4] * 3
    with open_store(path) as store:
        now = store.frame("grids")
    assert len(now) == 69
    assert shapely.area(now.geometry.values).sum() == pytest.approx(grids.area.sum(), abs=1e-5)


def test_a_drafts_grids_and_how_good_they_are(
    served_city: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame
) -> None:
    http, path = served_city
    code = grids.code[20]
    opened = http.post("/drafts/open", json={"within": code[:12]}).json()
    number, links = opened["id"], opened["links"]
    told = http.get(links["grids"], params={"datum": "wgs84"}).json()
    own = grids[grids.code.str[:12] == code[:12]]
    assert sorted(f["id"] for f in told["features"]) == sorted(own.code)
    assert (told["datum"], told["type"]) == ("wgs84", "FeatureCollection")
    assert {f["properties"]["phone"] for f in told["features"]} == {"138****5678"}
    exact = http.get(links["grids"]).json()["features"]
    with open_store(path) as store:
        kept = store.draft_grids(number).set_index("code").geometry
    assert all(shapely.geometry.shape(f["geometry"]).equals_exact(kept[f["id"]], 0) for f in exact)

    before = http.get(links["quality"], params={"low": 100, "high": 300}).json()
    assert before["quality"]["area_moved_percent"] == 0
    assert before["quality"]["households_moved_percent"] == 0
    assert before["before"]["quality"]["grids"] == len(own)
    sizes = {g["code"]: (g["households"], g["size"]) for g in before["grids"]}
    with open_store(path) as store:
        held = store.frame("grids").set_index("code").households[own.code]
    wanted = {"few": held < 100, "many": held > 300, "right": held.between(100, 300)}
    assert sizes == {
        c: (held[c], next(s for s, is_so in wanted.items() if is_so[c])) for c in held.index
    }
    assert before["quality"]["in_range"] == wanted["right"].sum()
    http.post(links["edits"], json=across(grids, code))
    after = http.get(links["quality"], params={"low": 100, "high": 300}).json()
    assert after["quality"]["grids"] == len(own) + 1
    assert 0 < after["quality"]["area_moved_percent"] < 100 / len(own)
    assert http.get(links["quality"], params={"low": 3, "high": 2}).status_code == 422
    http.delete(f"/drafts/{number}")
    assert http.get(links["quality"]).json()["code"] == "draft_closed"
    assert http.get(links["grids"]).json()["code"] == "draft_closed"


def test_what_reaches_beyond_the_grid_is_left_out_where_asked(
    served_city: tuple[httpx.Client, Path], grids: gpd.GeoDataFrame
) -> None:
    http, path = served_city
    code = grids.code[20]
    host = grids.geometry[20]
    opened = http.post("/drafts/open", json={"within": code[:12]}).json()
    west, south, _, north = host.bounds
    half = shapely.box(west - 50, south - 50, host.centroid.x, north + 50)
    ring = shapely.get_coordinates(half.exterior).tolist()
    asked = {"op": "cut_out", "code": code, "premises": ring, "name": "东方市场"}
    links = opened["links"]
    assert http.post(links["edits"], json=asked).json()["code"] == "drawing_impossible"
    made = http.post(links["edits"], json={**asked, "trim": True}).json()
    [new] = made["edit"]["created"]
    with open_store(path) as store:
        drawn = store.draft_grids(opened["id"]).set_index("code")
    premises, rest = drawn.geometry[new], drawn.geometry[code]
    assert shapely.symmetric_difference(premises, shapely.intersection(host, half)).area < 1e-3
    assert drawn.name[new] == "东方市场"
    assert premises.area + rest.area == pytest.approx(host.area, abs=1e-6)
    assert http.post(links["edits"], json={**asked, "trim": "yes"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"op": "merge", "codes": ["1", "2"]}, 404, "code_unknown"),
        ({"op": "explode"}, 422, "parameter_invalid"),
        ([1, 2], 422, "parameter_invalid"),
        ({"op": "split", "code": "1"}, 422, "parameter_missing"),
    ],
)
def test_what_is_refused_has_a_code(
    served_city: tuple[httpx.Client, Path], body: Any, status: int, code: str
) -> None:
    http, _ = served_city
    links = http.post("/drafts/open", json={}).json()["links"]
    answer = http.post(links["edits"], json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert http.get(links["edits"]).json()["edits"] == []
    assert http.post("/drafts/999/edits", json=body).status_code in (404, 422)
    assert http.post("/drafts/open", json={"within": "411099"}).status_code == 404


def test_the_document_names_every_operation(served_city: tuple[httpx.Client, Path]) -> None:
    http, _ = served_city
    document = http.get("/openapi.json").json()
    body = document["paths"]["/drafts/{number}/edits"]["post"]["requestBody"]
    named = {one["title"] for one in body["content"]["application/json"]["schema"]["oneOf"]}
    assert named == set(operations.FORMS)
