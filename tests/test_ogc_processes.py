"""OGC API - Processes: what the service computes, at once and as jobs, by OWSLib and by hand."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import pytest
import shapely

from geo_service.api import sites
from geo_service.siting.plans import Step
from geo_service.store import open_store

COUNT = 60
ASYNC = {"prefer": "respond-async"}
TYPES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"


@pytest.fixture(scope="module")
def grids(service_grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return service_grids


@pytest.fixture(scope="module")
def http(service_client: httpx.Client) -> httpx.Client:
    return service_client


@pytest.fixture(scope="module")
def places(grids: gpd.GeoDataFrame) -> list[list[float]]:
    inside = grids.geometry.representative_point().to_crs(4326)
    return [[p.x, p.y] for p in inside]


def finished(http: httpx.Client, job: str) -> dict[str, Any]:
    for _ in range(1200):
        told = http.get(f"/jobs/{job}").json()
        if told["status"] not in {"accepted", "running"}:
            return dict(told)
        time.sleep(0.05)
    raise AssertionError(told)


def started(http: httpx.Client, process: str, inputs: dict[str, Any], **more: Any) -> str:
    answer = http.post(
        f"/processes/{process}/execution", json={"inputs": inputs, **more}, headers=ASYNC
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["location"].endswith(f"/jobs/{answer.json()['jobID']}")
    return str(answer.json()["jobID"])


def computed(http: httpx.Client, process: str, inputs: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_owslib_finds_describes_and_executes(service: str, ogc_clients: ModuleType) -> None:
    listed, described, ran = ogc_clients.owslib(
        service,
        [
            ["Processes", "processes", [], {}],
            ["Processes", "process", ["check"], {}],
            ["Processes", "execute", ["check"], {"inputs": {"layer": "grids"}}],
        ],
    )
    assert {one["id"] for one in listed} == {
        "check", "repair", "catchments", "life-circles", "siting", "draw", "redraw",
    }  # fmt: skip
    assert described["inputs"]["layer"]["minOccurs"] == 0
    assert "async-execute" in described["jobControlOptions"]
    assert ran["result"]["verdict"] == "clean"
    assert ran["result"]["features"] == COUNT


def test_every_process_answers_as_its_route(
    http: httpx.Client, places: list[list[float]], grids: gpd.GeoDataFrame
) -> None:
    walk = {"datum": "wgs84", "points": places, "minutes": [5]}
    as_job = finished(http, job := started(http, "catchments", walk))
    assert (as_job["status"], as_job["progress"]) == ("successful", 100)
    found = http.get(f"/jobs/{job}/results")
    assert found.headers["content-type"] == "application/geo+json"
    at_once = http.post("/catchments", json=walk)
    assert found.json() == at_once.json()  # the places went through in two lots
    circles = computed(http, "life-circles", {})
    assert circles["circles"] == len({code[:12] for code in grids["code"]})
    sited = computed(http, "siting", {"kind": "rest_station", "count": 3, "seconds": 1})
    assert len(sited["sites"]) == 3
    assert http.get("/sites/latest").json()["sites"] == sited["sites"]


def test_drawing_gives_a_draft_that_can_be_checked(
    http: httpx.Client, grids: gpd.GeoDataFrame
) -> None:
    code = grids["code"].iloc[0][:12]
    told = computed(http, "draw", {"within": code, "target": [80, 200]})
    assert told["grids"] >= 2
    draft = told["draft"]["id"]
    checked = computed(http, "check", {"draft": draft})
    assert not {"gap", "overlap", "overrun", "rim_gap"} & set(checked["counts"])
    assert http.delete(f"/drafts/{draft}").status_code == 204


def test_a_township_is_drawn_with_what_stays_and_what_stands_apart(
    http: httpx.Client, grids: gpd.GeoDataFrame
) -> None:
    community = grids["code"].str[:12]
    own = grids[community == community.value_counts().idxmax()]
    fixed, host = own.iloc[0]["code"], own.geometry.iloc[[-1]].representative_point()
    lon, lat = host.to_crs(4490).iloc[0].coords[0]
    market = shapely.box(lon - 3e-4, lat - 3e-4, lon + 3e-4, lat + 3e-4)
    told = computed(
        http,
        "draw",
        {
            "within": fixed[:9],
            "target": [60, 200],
            "fixed": [fixed],
            "dedicated": [{"name": "大市场", "coordinates": [list(market.exterior.coords)]}],
            "datum": "wgs84",
        },
    )
    assert {"fixed_kept", "stand_alone"} <= {note["code"] for note in told["notes"]}
    checked = computed(http, "check", {"draft": told["draft"]["id"]})
    assert not {"gap", "overlap", "overrun", "rim_gap"} & set(checked["counts"])
    assert http.delete(f"/drafts/{told['draft']['id']}").status_code == 204


def test_redrawing_gives_a_draft_of_few_changes(
    http: httpx.Client, grids: gpd.GeoDataFrame
) -> None:
    township = grids["code"].iloc[0][:9]
    told = computed(http, "redraw", {"within": township, "target": [60, 100]})
    off = set(grids["code"][grids["code"].str.startswith(township)])  # 40 households in each
    assert set(told["touched"]) == off - {miss["code"] for miss in told["misses"]}
    assert told["touched"]
    assert told["draft"]["source"] == f"redraw {township}"
    draft = told["draft"]["id"]
    difference = http.get(f"/drafts/{draft}/diff").json()
    moved = {*difference["moved"], *difference["removed"]}
    assert moved >= set(told["touched"])
    checked = computed(http, "check", {"draft": draft})
    assert not {"gap", "overlap", "overrun", "rim_gap"} & set(checked["counts"])
    assert http.delete(f"/drafts/{draft}").status_code == 204
    nothing = computed(http, "redraw", {"within": township, "target": [1, 100_000]})
    assert (nothing["draft"], nothing["touched"]) == (None, [])


def test_an_upload_becomes_a_draft_and_is_mended(
    http: httpx.Client, grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    whole = grids.copy()
    whole.loc[0, "geometry"] = whole.geometry[0].buffer(0.4)  # over its neighbours
    whole.to_file(tmp_path / "grids.gpkg", layer="grids")
    with (tmp_path / "grids.gpkg").open("rb") as file:
        answer = http.post(
            "/drafts", files={"file": ("网格.gpkg", file)}, data={"layer": "grids"}, headers=ASYNC
        )
    assert answer.status_code == 201
    job = answer.json()["jobID"]
    assert finished(http, job)["status"] == "successful"
    draft = http.get(f"/jobs/{job}/results").json()
    assert draft["features"] == COUNT
    assert draft["source"] == "网格.gpkg"
    mended = computed(http, "repair", {"draft": draft["id"], "max_gap_m": 1.0})
    assert mended["changes"]
    checked = computed(http, "check", {"draft": mended["draft"]["id"]})
    assert not {"overlap", "overrun", "gap"} & set(checked["counts"])


def test_mending_a_part_leaves_its_neighbours_alone(
    http: httpx.Client, grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    area = grids["code"].iloc[0][:12]
    part = grids[grids["code"].str.startswith(area)].copy()
    part.iloc[0, part.columns.get_loc("geometry")] = part.geometry.iloc[0].buffer(0.4)
    part.to_file(tmp_path / "part.gpkg")
    with (tmp_path / "part.gpkg").open("rb") as file:
        draft = http.post(
            "/drafts", files={"file": ("part.gpkg", file)},
            data={"layer": "grids", "replace_within": area},
        ).json()  # fmt: skip
    mended = computed(http, "repair", {"draft": draft["id"], "max_gap_m": 1.0})
    assert {change["code"][:12] for change in mended["changes"]} == {area}
    assert mended["draft"]["replace_within"] == area
    checked = computed(http, "check", {"draft": mended["draft"]["id"]})
    assert not {"overlap", "overrun", "gap"} & set(checked["counts"])


def test_a_bad_upload_is_told_by_its_job(http: httpx.Client) -> None:
    answer = http.post(
        "/drafts", files={"file": ("x.zip", b"PK\x03\x04 no zip")}, data={"layer": "grids"},
        headers=ASYNC,
    )  # fmt: skip
    told = finished(http, answer.json()["jobID"])
    assert told["status"] == "failed"
    why = http.get(f"/jobs/{told['jobID']}/results")
    assert why.headers["content-type"] == "application/problem+json"
    assert why.json()["code"] == told["code"]
    assert why.status_code in {413, 422}
    assert told["message_zh"]
    assert told["message_en"]


def test_wait_gives_a_quick_job_finished(http: httpx.Client) -> None:
    answer = http.post(
        "/processes/check/execution", json={"inputs": {"layer": "city"}},
        headers={"prefer": "respond-async, wait=60"},
    )  # fmt: skip
    assert answer.json()["status"] == "successful"
    document = started(http, "check", {"layer": "city"}, response="document")
    finished(http, document)
    assert http.get(f"/jobs/{document}/results").json()["result"]["verdict"] == "clean"


def test_events_follow_a_job_to_its_end(http: httpx.Client, places: list[list[float]]) -> None:
    walk = {"datum": "wgs84", "points": places * 20, "minutes": [5]}
    job = started(http, "catchments", walk)
    told = []
    with http.stream("GET", f"/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [
            json.loads(line.removeprefix("data: "))
            for line in stream.iter_lines()
            if line.startswith("data: ")
        ]
    progress = [one["progress"] for one in told]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert any("个起点" in one["message_zh"] for one in told)


def test_a_siting_job_tells_its_steps(http: httpx.Client) -> None:
    job = started(http, "siting", {"kind": "rest_station", "count": 3, "seconds": 5})
    with http.stream("GET", f"/jobs/{job}/events") as stream:
        told = [
            json.loads(line.removeprefix("data: "))
            for line in stream.iter_lines()
            if line.startswith("data: ")
        ]
    assert told[-1]["status"] == "successful"
    progress = [one["progress"] for one in told]
    assert progress == sorted(progress)
    said = sites.words(Step("bound", 2182.0, 2194.0))
    assert said.zh == "正在求理论极限：目前最好 2,182，理论极限 2,194，相差 0.5 %"
    assert said.en.endswith("best so far 2,182, bound 2,194, 0.5 % apart")
    fair = sites.words(Step("swaps", 0.5, 0.625), "equity")
    assert fair.en.endswith("best so far 50.00 %, bound 62.50 %, 25.0 % apart")
    far = sites.words(Step("swaps", 812.0, 800.0), "center")
    assert far.zh == "正在改进方案：目前最好 812 m，理论极限 800 m，相差 1.5 %"


def test_a_job_is_dismissed_and_restarted(http: httpx.Client, places: list[list[float]]) -> None:
    walk = {"datum": "wgs84", "points": (places * 300)[:18_000], "minutes": [15]}
    job = started(http, "catchments", walk)
    while http.get(f"/jobs/{job}").json()["status"] == "accepted":
        time.sleep(0.05)
    assert http.delete(f"/jobs/{job}").status_code == 200
    assert finished(http, job)["status"] == "dismissed"
    not_there = http.get(f"/jobs/{job}/results")
    assert not_there.status_code == 404
    assert not_there.json()["type"] == f"{TYPES}result-not-ready"
    assert http.post(f"/jobs/{job}/restart").status_code == 201
    http.delete(f"/jobs/{job}")
    assert finished(http, job)["status"] == "dismissed"
    assert http.delete(f"/jobs/{job}").json()["status"] == "dismissed"
    gone = http.get(f"/jobs/{job}")
    assert (gone.status_code, gone.json()["type"]) == (404, f"{TYPES}no-such-job")


@pytest.mark.parametrize(
    ("process", "inputs", "status", "code"),
    [
        ("dance", {}, 404, "process_unknown"),
        ("check", {"colour": "red"}, 400, "parameter_unknown"),
        ("repair", {}, 400, "parameter_missing"),
        ("repair", {"draft": "x"}, 400, "parameter_invalid"),
        ("siting", {"kind": "rest_station", "count": 0}, 400, "parameter_invalid"),
        ("catchments", {"datum": "wgs84", "points": []}, 400, "parameter_invalid"),
        ("check", {}, 400, "parameter_missing"),
        ("check", {"layer": "rivers"}, 404, "layer_unknown"),
        ("draw", {"within": "411002999999"}, 404, "code_unknown"),
        ("draw", {"within": "411002001", "seeds": [[113.8, 34.0]]}, 400, "parameter_missing"),
        ("draw", {"within": "411002001", "fixed": ["411002999999001"]}, 404, "code_unknown"),
    ],
)
def test_bad_questions_are_refused(
    http: httpx.Client, process: str, inputs: dict[str, Any], status: int, code: str
) -> None:
    answer = http.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_pages_of_processes_and_jobs(http: httpx.Client) -> None:
    job = http.get("/jobs").json()["jobs"][0]["jobID"]
    for path, word in (("/processes", "生活圈"), ("/processes/draw", "每格户数"),
                       ("/jobs", "已完成"), (f"/jobs/{job}", "进度")):  # fmt: skip
        page = http.get(path, headers={"accept": "text/html", "accept-language": "zh"})
        assert page.status_code == 200
        assert word in page.text or path.startswith("/jobs/")
        assert "<script" not in page.text


def test_a_killed_server_tells_what_it_left(
    service_store: Path, tmp_path: Path, places: list[list[float]]
) -> None:
    path = tmp_path / "own.gpkg"
    with open_store(service_store) as store:
        store.backup(path)
        path.with_suffix(".streets").write_bytes(store.streets_path.read_bytes())
    walk = {"datum": "wgs84", "points": (places * 300)[:18_000], "minutes": [15]}
    with _server(path) as (server, http):
        job = started(http, "catchments", walk)
        while http.get(f"/jobs/{job}").json()["status"] == "accepted":
            time.sleep(0.05)
        server.send_signal(signal.SIGKILL)
        server.wait(20)
    with _server(path) as (server, http):
        told = http.get(f"/jobs/{job}").json()
        assert (told["status"], told["code"]) == ("failed", "job_interrupted")
        assert http.post(told["restart"]).status_code == 201
        assert http.delete(f"/jobs/{job}").status_code == 200


class _server:  # noqa: N801 - reads as a function
    """The service in a process of its own."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self._port = one.getsockname()[1]
        self._command = [
            sys.executable, "-m", "geo_service.cli", "serve", "--store", str(store),
            "--port", str(self._port),
        ]  # fmt: skip

    def __enter__(self) -> tuple[subprocess.Popen[bytes], httpx.Client]:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=60)
        for _ in range(600):
            try:
                if self._http.get("/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        return self._process, self._http

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait(30)
