"""Streets from a server: a local stub answers as recorded from an extract; updates of a store."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import osmium
import osmnx
import pytest
import shapely

from geo_service import cli
from geo_service.errors import ConflictError, InputError, MissingError
from geo_service.store import create_store, open_store
from geo_service.streets import WalkNetwork, contraction, downloads, updates

STREET = {"highway": "residential", "name": "建设路"}


class Stub:
    """An Overpass and a Nominatim server that know one extract and one place."""

    def __init__(self, extract: Path) -> None:
        self.answer = {"elements": [recorded(e) for e in osmium.FileProcessor(str(extract))]}
        self.places: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.status = 200
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                stub.asked.append(parse_qs(body)["data"][0])
                self._say(stub.answer, stub.status)

            def do_GET(self) -> None:
                stub.asked.append(self.path)
                self._say(stub.places)

            def _say(self, what: Any, status: int = 200) -> None:
                said = json.dumps(what).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def recorded(entity: Any) -> dict[str, Any]:
    """An element as Overpass writes it."""
    about: dict[str, Any] = {"id": entity.id}
    if tags := {tag.k: tag.v for tag in entity.tags}:
        about["tags"] = tags
    if entity.is_node():
        return {"type": "node", "lon": entity.location.lon, "lat": entity.location.lat, **about}
    if entity.is_way():
        return {"type": "way", "nodes": [node.ref for node in entity.nodes], **about}
    kinds = {"n": "node", "w": "way", "r": "relation"}
    members = [{"type": kinds[m.type], "ref": m.ref, "role": m.role} for m in entity.members]
    return {"type": "relation", "members": members, **about}


@pytest.fixture
def extract(street_plans: ModuleType, tmp_path: Path) -> Path:
    gate = {"barrier": "gate", "access": "private"}
    spots = {
        "a": (0, 0), "b": (900, 0), "c": (1800, 0, gate), "d": (2700, 0), "n": (900, 300),
        "m": (1200, 200),
    }  # fmt: skip
    streets = [("a b c d", STREET), ("b n m", {}), ("m b", {})]
    return street_plans.write(
        tmp_path / "town.osm.pbf", spots, streets, areas=[([2, 3], {"highway": "pedestrian"})]
    )


@pytest.fixture
def stub(extract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    made = Stub(extract)
    monkeypatch.setenv("GEO_SERVICE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(downloads.OVERPASS_VARIABLE, made.url)
    monkeypatch.setenv(downloads.NOMINATIM_VARIABLE, made.url)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def command(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code


AREA = shapely.box(113.8, 34.0, 113.9, 34.1)


def assert_same_network(one: WalkNetwork, other: WalkNetwork) -> None:
    for name in contraction.Graph.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.graph, name), getattr(other.graph, name), name)


def test_a_download_gives_what_the_file_gives(stub: Stub, extract: Path) -> None:
    streets, found = downloads.read(AREA)
    assert_same_network(WalkNetwork(streets), WalkNetwork.from_pbf(extract))
    assert found["barriers"] == 1
    [asked] = stub.asked
    assert 'way["highway"~"^(motorway|' in asked
    assert 'rel["type"="multipolygon"]["railway"~"^(platform)$"](poly:"34.' in asked
    downloads.read(AREA)
    assert len(stub.asked) == 1  # the second answer came from the cache


@pytest.mark.real
def test_a_real_district(real_data: Path, tmp_path: Path, stub: Stub) -> None:
    path = real_data / "osm" / "beijing_tsinghua.osm.pbf"
    stub.answer = {"elements": [recorded(e) for e in osmium.FileProcessor(str(path))]}
    streets, _ = downloads.read(AREA)
    assert_same_network(WalkNetwork(streets), WalkNetwork.from_pbf(path))


def test_places_by_name(stub: Stub) -> None:
    ring = shapely.geometry.mapping(AREA)
    stub.places = [
        {"lat": "34.05", "lon": "113.85", "boundingbox": ["34.0", "34.1", "113.8", "113.9"],
         "geojson": ring, "display_name": "许昌", "importance": 0.5, "place_id": 1}
    ]  # fmt: skip
    assert downloads.outline("许昌").equals(AREA)
    stub.places = []
    with pytest.raises(MissingError) as refused:
        downloads.outline("不存在的地方")
    assert refused.value.code == "place_unknown"


def test_without_a_network_one_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEO_SERVICE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ConflictError, match="streets import") as refused:
        downloads.read(AREA, overpass="http://127.0.0.1:9")
    assert refused.value.code == "streets_download_failed"


@pytest.mark.parametrize("status", [429, 504])
def test_a_server_that_stays_busy_is_not_waited_for_without_end(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    pauses: list[float] = []
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    stub.status = status
    before = dict(osmnx.settings.requests_kwargs)
    with monkeypatch.context() as asleep:
        asleep.setattr(time, "sleep", sleep)
        with pytest.raises(ConflictError, match=f"HTTP {status}") as refused:
            downloads.read(AREA)
    assert refused.value.code == "streets_download_failed"
    assert 180 <= sum(pauses) < 240
    del refused
    gc.collect()  # an answer left open would be told here
    assert len(stub.asked) == 5
    assert osmnx.settings.requests_kwargs == before
    stub.status = 200
    assert downloads.read(AREA)[1]["barriers"] == 1  # nothing of it was kept


def test_answers_that_hold_no_street(stub: Stub) -> None:
    stub.answer = {"elements": []}
    with pytest.raises(InputError, match="no walkable street"):
        downloads.read(AREA)
    with pytest.raises(InputError, match="no surface"):
        downloads.read(shapely.Point(1, 2))


def test_the_command(
    stub: Stub, extract: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "city.gpkg")
    create_store(store).close()
    box = "113.8,34.0,113.9,34.1"
    assert command(["streets", "download", "--bbox", box, "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"]["barriers"] == 1
    with open_store(store) as opened:
        assert_same_network(WalkNetwork.load(opened.streets_path), WalkNetwork.from_pbf(extract))
    assert command(["streets", "download", "--store", store]) == 2
    assert command(["streets", "download", "--bbox", "1,2", "--store", store]) == 2


def test_snaps_that_hold_move_or_are_lost(street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {"a": (0, 0), "b": (2000, 0), "c": (0, 900), "d": (2000, 900)}
    streets = [("a b", STREET), ("c d", STREET), ("a c", STREET)]
    old = WalkNetwork.from_pbf(street_plans.write(tmp_path / "1.osm.pbf", spots, streets))
    spots["b"] = (2000, -100)
    new = WalkNetwork.from_pbf(street_plans.write(tmp_path / "2.osm.pbf", spots, streets[:1]))
    places = [street_plans.lonlat(*xy) for xy in ((0, -5), (2000, 5), (1900, 905), (9000, 9000))]
    found = updates.compare_snaps(old, new, *zip(*places, strict=True))
    assert found["state"].tolist() == ["unchanged", "moved", "lost", "none"]
    assert found["moved_m"].iloc[1] == pytest.approx(100, abs=1)
    assert found["new_distance_m"].iloc[1] == pytest.approx(105, abs=1)
    assert updates.compare_snaps(new, old, *zip(*places, strict=True))["state"].iloc[2] == "gained"


def test_a_newer_extract_tells_what_happens_to_facilities(
    street_plans: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "city.gpkg")
    create_store(store).close()
    spots = {"a": (0, 0), "b": (2000, 0), "c": (0, 900), "d": (2000, 900)}
    streets = [("a b", STREET), ("c d", STREET), ("a c", STREET)]
    one = street_plans.write(tmp_path / "1.osm.pbf", spots, streets)
    two = street_plans.write(tmp_path / "2.osm.pbf", spots, streets[:1])
    assert command(["streets", "import", str(one), "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["updates"] is None
    table = tmp_path / "stations.csv"
    rows = [("甲", *street_plans.lonlat(500, 9)), ("乙", *street_plans.lonlat(1900, 905))]
    text = "\n".join(f"{name},rest_station,{lon},{lat}" for name, lon, lat in rows)
    table.write_text(f"name,kind,lon,lat\n{text}\n", encoding="utf-8")
    assert command(["facilities", "import", str(table), "--store", store, "--json"]) == 0
    capsys.readouterr()
    assert command(["streets", "import", str(two), "--store", store, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["updates"]
    assert (told["unchanged"], told["moved"], told["lost"]) == (1, 0, 1)
    assert [(row["name"], row["state"]) for row in told["places"]] == [("乙", "lost")]
