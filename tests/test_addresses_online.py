"""`geo_service.addresses.online`: a stub that serves recorded answers stands for the service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from geo_service import crs
from geo_service.addresses import AddressBook, online
from geo_service.errors import ConflictError, InputError

pytest.importorskip("geopy", reason="geopy is not installed (extra: geocoders)")

LON, LAT = 113.8522, 34.0281
BOX = [LAT - 1e-4, LAT + 1e-4, LON - 1e-4, LON + 1e-4]


def answers(name: str, text: str) -> Any:
    """What each service says of a door, of a county, and of nothing, in its own datum and form."""
    lon, lat = (float(v) for v in crs.from_wgs84(LON, LAT, datum=online.SERVICES[name].datum))
    area, nothing = text == "魏都区", text == "无此地"
    if name == "amap":
        level = "区县" if area else "门牌号"
        place = {"formatted_address": text, "location": f"{lon:.9f},{lat:.9f}", "level": level}
        return {"status": "1", "geocodes": [] if nothing else [place]}
    if name == "tianditu":
        if nothing:
            return {"status": "404", "msg": "none"}
        place = {"lon": str(lon), "lat": str(lat), "level": "区县" if area else "门址"}
        return {"status": "0", "location": {**place, "keyWord": text}}
    if name == "baidu":
        if nothing:
            return {"status": 1, "msg": "无相关结果"}
        place = {"location": {"lng": lon, "lat": lat}, "precise": 0 if area else 1}
        return {"status": 0, "result": {**place, "level": "区县" if area else "门址"}}
    box = [33.9, 34.1, 113.7, 113.9] if area else BOX
    place = {"lat": str(lat), "lon": str(lon), "display_name": text, "boundingbox": box}
    return [] if nothing else [place]


@pytest.fixture
def stub() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Stub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = urlsplit(self.path)
            said = parse_qs(at.query)
            asked.append(self.path)
            name = next(n for n in online.SERVICES if at.path.startswith(f"/{n}"))
            text = json.loads(said["ds"][0])["keyWord"] if "ds" in said else (
                said.get("address") or said.get("q"))[0]  # fmt: skip
            body = json.dumps(answers(name, text)).encode()
            self.send_response(500 if text == "坏了" else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def made(name: str, base: str, monkeypatch: pytest.MonkeyPatch) -> online.OnlineGeocoder:
    """A geocoder whose questions reach the stub instead of the service's own host."""
    from geopy.geocoders.base import Geocoder

    ask = Geocoder._call_geocoder

    def here(self: Any, url: str, *rest: Any, **more: Any) -> Any:
        return ask(self, f"{base}/{name}?{urlsplit(url).query}", *rest, **more)

    monkeypatch.setattr(Geocoder, "_call_geocoder", here)
    return online.OnlineGeocoder(name, "secret-key")


@pytest.mark.parametrize("name", online.SERVICES)
def test_answers_are_wgs84_and_labelled(name, stub, monkeypatch):
    found = made(name, stub[0], monkeypatch).find("建设路10号")
    assert (found.status, found.source) == ("found", name)
    assert (found.lon, found.lat) == pytest.approx((LON, LAT), abs=1e-7)
    assert found.radius_m >= 20
    assert found.to_dict()["source"] == name


@pytest.mark.parametrize("name", online.SERVICES)
@pytest.mark.parametrize("text", ["魏都区", "无此地"])
def test_an_area_or_nothing_is_no_address(name, text, stub, monkeypatch):
    assert made(name, stub[0], monkeypatch).find(text).status == "not_found"


@pytest.mark.parametrize("name", online.SERVICES)
def test_a_failure_is_told_without_the_key(name, stub, monkeypatch):
    with pytest.raises(ConflictError) as failed:
        made(name, stub[0], monkeypatch).find("坏了")
    assert failed.value.code == "geocoder_failed"
    assert "secret" not in failed.value.message("zh") + failed.value.message("en")


def test_only_what_the_table_lacks_is_asked(stub, monkeypatch):
    book = AddressBook(pd.DataFrame({"address": ["建设路10号"], "lon": [113.8], "lat": [34.0]}))
    both = online.WithOnline(book, made("amap", stub[0], monkeypatch))
    assert both.find("建设路10号").source == ""
    assert both.find("?毕宄强h").status == "unreadable"
    assert stub[1] == []
    assert both.find("和平路7号").source == "amap"
    assert len(stub[1]) == 1


def test_it_is_switched_on_by_the_environment(monkeypatch):
    book = AddressBook(pd.DataFrame({"address": ["建设路10号"], "lon": [113.8], "lat": [34.0]}))
    monkeypatch.delenv(online.SETTING, raising=False)
    assert online.with_online(book) is book
    monkeypatch.setenv(online.SETTING, "tianditu:abc")
    assert isinstance(online.with_online(book), online.WithOnline)
    for wrong in ("gugle:abc", "amap"):
        monkeypatch.setenv(online.SETTING, wrong)
        with pytest.raises(InputError) as refused:
            online.with_online(book)
        assert refused.value.code == "geocoder_unknown"
