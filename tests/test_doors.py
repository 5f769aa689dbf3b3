"""Who is let in, to what, how often, and what is written down of it."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import pytest

from geo_service import api, settings
from geo_service.api import doors, logs, rates
from geo_service.errors import InputError
from geo_service.roles import ROLES
from geo_service.settings import Settings
from geo_service.store import create_store, open_store

LEVELS = ("city", "counties", "townships", "communities", "grids")
COUNT = 20
# Every route that is not a viewer's. A new one is a viewer's to read, or is named here.
TAKES: dict[tuple[str, str], str | None] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/problems/{code}"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("POST", "/logout"): None,
    ("GET", "/drafts"): "planner",
    ("POST", "/drafts"): "planner",
    ("GET", "/drafts/{number}"): "planner",
    ("DELETE", "/drafts/{number}"): "planner",
    ("GET", "/drafts/{number}/check"): "planner",
    ("GET", "/drafts/{number}/diff"): "planner",
    ("POST", "/drafts/{number}/publish"): "publisher",
    ("POST", "/edits/{layer}"): "publisher",
    ("POST", "/drafts/open"): "planner",
    ("POST", "/drafts/{number}/edits"): "planner",
    ("GET", "/drafts/{number}/edits"): "planner",
    ("GET", "/drafts/{number}/grids"): "planner",
    ("GET", "/drafts/{number}/quality"): "planner",
    ("GET", "/map/areas"): "planner",
    ("POST", "/drafts/{number}/undo"): "planner",
    ("POST", "/drafts/{number}/redo"): "planner",
    ("DELETE", "/edits/{layer}"): "publisher",
    ("POST", "/sites"): "planner",
    ("GET", "/audit"): "admin",
}


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(COUNT, seed=3)[0]


@pytest.fixture(scope="module")
def city(grids: gpd.GeoDataFrame, served: ModuleType, tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("doors") / "city.gpkg"
    served.make_city(path, grids, published=LEVELS)
    return path


@pytest.fixture(scope="module")
def keyed(city: Path, tmp_path_factory: Any) -> tuple[Path, dict[str, str]]:
    """A store with a key of every role; the planner's area is 411002."""
    path = tmp_path_factory.mktemp("doors") / "keyed.gpkg"
    with open_store(city) as store:
        store.backup(path)
    with open_store(path) as store:
        secrets = {
            role: store.add_key(
                f"{role} 王工", role=role, areas=["411002"] if role == "planner" else []
            )[1]
            for role in ROLES
        }
    return path, secrets


@pytest.fixture(scope="module")
def http(keyed: tuple[Path, dict[str, str]], served: ModuleType) -> Iterator[httpx.Client]:
    with served.serving(keyed[0]) as base, httpx.Client(base_url=base, timeout=60) as client:
        yield client


@pytest.fixture
def own(
    keyed: tuple[Path, dict[str, str]], served: ModuleType, tmp_path: Path
) -> Iterator[tuple[httpx.Client, Path]]:
    """A service of its own, for tests that write; its keys are those of `keyed`."""
    path = tmp_path / "own.gpkg"
    with open_store(keyed[0]) as store:
        store.backup(path)
    with served.serving(path) as base, httpx.Client(base_url=base, timeout=60) as client:
        yield client, path


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def upload(http: httpx.Client, frame: gpd.GeoDataFrame, secret: str, **data: str) -> httpx.Response:
    file = io.BytesIO(frame.to_json(to_wgs84=False).encode())
    given = {"layer": "grids", "crs": "EPSG:4547", **data}
    return http.post("/drafts", files={"file": ("grids.geojson", file)}, data=given,
                     headers=bearer(secret))  # fmt: skip


# The matrix


def routes() -> dict[tuple[str, str], Any]:
    return {one: role for room in api.ROOMS for one, role in doors.declared(room.router).items()}


def test_every_route_says_whom_it_is_open_to() -> None:
    found = routes()
    assert "" not in found.values()
    assert {one: role for one, role in found.items() if role != "viewer"}.items() >= TAKES.items()
    writing = {one for one, role in found.items() if one[0] != "GET" and role == "viewer"}
    for method, path in writing - {("DELETE", "/jobs/{job}")}:  # their own
        assert method == "POST", (method, path)  # they ask, with more than fits into an address


def test_a_route_that_says_nothing_is_refused() -> None:
    from fastapi import APIRouter

    router = APIRouter()
    router.add_api_route("/open", lambda: "everything")
    with pytest.raises(RuntimeError, match="GET /open"):
        doors.refuse_undeclared(router)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_the_matrix_holds_over_the_real_service(
    http: httpx.Client, keyed: tuple[Path, dict[str, str]], role: str | None
) -> None:
    headers = bearer(keyed[1][role]) if role else {}
    rank = ROLES.index(role) if role else -1
    for (method, path), needed in routes().items():
        # Numbers and names that nothing has: whoever is let in changes nothing.
        asked = re.sub(r"\{[^}]*\}", "999", path)
        told = http.request(method, asked, headers=headers)
        if needed is None:
            assert told.status_code != 403, (method, path)
            assert path == "/login" or told.status_code != 401, (method, path)
        elif rank >= ROLES.index(needed):
            assert told.status_code not in {401, 403}, (method, path, told.text)
        else:
            assert told.status_code == (403 if role else 401), (method, path, told.text)
            assert told.json()["code"] == ("role_insufficient" if role else "key_missing")


# Keys


def test_a_key_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    with create_store(path) as store:
        key, secret = store.add_key("热线", role="viewer", expires_at="2099-12-31")
    assert secret.startswith(f"gsk_{key.prefix}_")
    assert len(secret.partition(f"{key.prefix}_")[2]) >= 43  # 256 bits
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secret.encode() not in content
    assert secret.rpartition("_")[2].encode() not in content
    assert key.sha256.encode() in content
    with open_store(path) as store:
        [kept] = store.api_keys()
        assert kept.expires_at == "2099-12-31T23:59:59.999Z"
        assert "sha256" not in kept.to_dict()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"role": "king"}, "parameter_invalid"),
        ({"role": "planner"}, "key_areas_wrong"),
        ({"role": "viewer", "areas": ["411002"]}, "key_areas_wrong"),
        ({"role": "planner", "areas": ["魏都"]}, "parameter_invalid"),
        ({"role": "viewer", "expires_at": "2001-01-01"}, "parameter_invalid"),
        ({"role": "viewer", "expires_at": "tomorrow"}, "parameter_invalid"),
    ],
)
def test_keys_that_make_no_sense_are_refused(
    tmp_path: Path, given: dict[str, Any], code: str
) -> None:
    with create_store(tmp_path / "city.gpkg") as store:
        with pytest.raises(InputError) as refused:
            store.add_key("x", **given)
        assert refused.value.code == code
        assert store.api_keys() == []


def test_a_key_opens_by_each_way_it_can_be_sent(
    http: httpx.Client, keyed: tuple[Path, dict[str, str]]
) -> None:
    secret = keyed[1]["viewer"]
    for headers in (
        bearer(secret),
        {"x-api-key": secret},
        {"cookie": f"a=b; {doors.COOKIE}={secret}"},
    ):
        assert http.get("/collections", headers=headers).status_code == 200
    wrong = http.get("/collections", headers=bearer(secret[:-1] + "x"))
    assert (wrong.status_code, wrong.json()["code"]) == (401, "key_unknown")
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert http.get(f"/collections?key={secret}").status_code == 401  # addresses end up in logs


def test_a_revoked_key_is_shut_out_within_a_second(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]]
) -> None:
    http, path = own
    secret = keyed[1]["viewer"]
    assert http.get("/collections", headers=bearer(secret)).status_code == 200
    with open_store(path) as store:
        store.revoke_key(secret)
    deadline = time.monotonic() + 10  # a busy machine; the bound is READ_EVERY_SECONDS
    while (told := http.get("/conformance", headers=bearer(secret))).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert told.json()["code"] == "key_closed"
    assert doors.READ_EVERY_SECONDS < 1.0


def test_an_expired_key_is_shut_out(city: Path, tmp_path: Path, served: ModuleType) -> None:
    path = tmp_path / "city.gpkg"
    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=4)).isoformat()
    with create_store(path) as store:
        _, secret = store.add_key("x", role="viewer", expires_at=soon)
    with served.serving(path) as base:
        assert httpx.get(f"{base}/conformance", headers=bearer(secret)).status_code == 200
        time.sleep(4)
        told = httpx.get(f"{base}/conformance", headers=bearer(secret))
    assert (told.status_code, told.json()["code"]) == (401, "key_closed")


def test_the_last_key_revoked_opens_no_door(tmp_path: Path, served: ModuleType) -> None:
    path = tmp_path / "city.gpkg"
    with create_store(path) as store:
        store.revoke_key(store.add_key("x", role="admin")[0].prefix)
    with served.serving(path) as base:
        assert httpx.get(f"{base}/conformance").status_code == 401


def test_without_keys_only_this_machine_is_let_in(city: Path) -> None:
    app = api.create_app(city)

    async def ask(client: str) -> int:
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
            return (await one.get("/conformance")).status_code

    import asyncio

    assert asyncio.run(ask("127.0.0.1")) == 200
    assert asyncio.run(ask("10.0.0.9")) == 401  # a proxy's client, by X-Forwarded-For
    app.state.geo_service.close()


# A planner's own county


def test_a_planner_changes_their_own_areas_only(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]], grids: gpd.GeoDataFrame
) -> None:
    http, path = own
    _, secrets = keyed
    assert upload(http, grids, secrets["planner"]).json()["code"] == "area_foreign"
    foreign = upload(http, grids, secrets["planner"], replace_within="411081")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "area_foreign")
    mine = upload(http, grids, secrets["planner"], replace_within="411002")
    assert mine.status_code == 201, mine.text
    number = mine.json()["id"]
    with open_store(path) as store:
        other = store.create_draft("grids", grids, source="x").id
    planner, publisher = bearer(secrets["planner"]), bearer(secrets["publisher"])
    assert [d["id"] for d in http.get("/drafts", headers=planner).json()["drafts"]] == [number]
    everybodys = {d["id"] for d in http.get("/drafts", headers=publisher).json()["drafts"]}
    assert {number, other} < everybodys
    for what in ("", "/check", "/diff"):
        assert http.get(f"/drafts/{number}{what}", headers=planner).status_code == 200
        assert http.get(f"/drafts/{other}{what}", headers=planner).status_code == 403
    assert http.get(f"/faults?draft={other}", headers=planner).status_code == 403
    assert http.get(f"/faults?draft={number}", headers=planner).status_code == 200
    assert http.delete(f"/drafts/{other}", headers=planner).status_code == 403
    refused = http.post(f"/drafts/{number}/publish", headers=planner)
    assert refused.json()["code"] == "role_insufficient"
    made = http.post(f"/drafts/{number}/publish", headers=publisher)
    assert made.status_code == 201, made.text
    assert http.delete(f"/drafts/{other}", headers=publisher).status_code == 204


def test_persons_are_shown_by_role(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]], grids: gpd.GeoDataFrame
) -> None:
    http, path = own
    with open_store(path) as store:
        _, elsewhere = store.add_key("长葛", role="planner", areas=["411082"])
    time.sleep(2 * doors.READ_EVERY_SECONDS)
    code = grids["code"].iloc[0]
    point = grids.to_crs(4326).geometry.representative_point().iloc[0]
    asked = f"/locate?lon={point.x}&lat={point.y}&datum=wgs84"
    for secret, whole in (
        (keyed[1]["viewer"], False),
        (elsewhere, False),
        (keyed[1]["planner"], True),
        (keyed[1]["publisher"], True),
    ):
        for address in (
            f"/collections/grids/items/{code}",
            "/collections/grids/items?limit=1",
            "/collections/grids/items?f=csv",
            "/collections/grids/items?f=json&revision=1",
            asked,
        ):
            told = http.get(address, headers=bearer(secret)).text
            assert ("13812345678" in told) == whole, address
            assert ("王建国" in told) == whole, address
            assert "138****5678" in told or whole
    # The page shows nobody's: it stands on screens that others see too.
    page = http.get(f"/collections/grids/items/{code}?f=html", headers=bearer(keyed[1]["admin"]))
    assert "13812345678" not in page.text


# The audit log


def test_every_write_stands_in_the_audit_log(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]], grids: gpd.GeoDataFrame
) -> None:
    http, path = own
    _, secrets = keyed
    renamed = grids.assign(name="新名")
    draft = upload(http, renamed, secrets["planner"], replace_within="411002").json()["id"]
    sent = {**bearer(secrets["publisher"]), "x-request-id": "case-2026-7"}
    made = http.post(f"/drafts/{draft}/publish", headers=sent, json={"message": "改名"}).json()
    lines = http.get("/audit", headers=bearer(secrets["admin"])).json()["audit"]
    told = [(e["action"], e["what"], e["who"], e["role"], e["origin"]) for e in lines]
    assert ("draft", "grids", "planner 王工", "planner", "127.0.0.1") in told
    published = next(e for e in lines if e["action"] == "publish" and e["what"] == "grids"
                     and e["request"])  # fmt: skip
    assert published["request"] == "case-2026-7"
    assert published["who"] == "publisher 王工"
    assert published["before"]["number"] == 1
    assert published["after"]["number"] == made["number"] == 2
    assert published["after"]["sha256"] == made["sha256"] != published["before"]["sha256"]
    assert published["after"]["message"] == "改名"
    by_planner = http.get("/audit?who=planner 王工", headers=bearer(secrets["admin"])).json()
    assert {e["action"] for e in by_planner["audit"]} == {"draft"}
    # What was made before the service ran, in the terminal, stands there too.
    assert {"table", "streets", "key add"} <= {e["action"] for e in lines}
    with open_store(path) as store:
        store.verify()


def test_the_audit_log_can_only_be_added_to(place: Path | str) -> None:
    with create_store(place) as store:
        store.add_key("one", role="admin")
        store.add_key("two", role="admin")
        with pytest.raises(Exception, match=r"只能追加|store_forbidden"), \
                store._home.writing() as connection:  # fmt: skip
            connection.exec_driver_sql("UPDATE gs_audit SET who = 'nobody'")
        with pytest.raises(Exception, match=r"只能追加|store_forbidden"), \
                store._home.writing() as connection:  # fmt: skip
            connection.exec_driver_sql("DELETE FROM gs_audit")
        assert [line.after["name"] for line in store.audit_log() if line.after] == ["one", "two"]
        store.verify()


def test_a_line_changed_behind_the_store_is_found(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    with create_store(path) as store:
        for name in ("one", "two", "three"):
            store.add_key(name, role="admin")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER gs_audit_DELETE")
        raw.execute("DELETE FROM gs_audit WHERE id = 2")
        raw.commit()
    with open_store(path) as store, pytest.raises(InputError) as refused:
        store.verify()
    assert "audit: line 3" in refused.value.message("en")


def test_a_refused_write_leaves_no_line(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]], grids: gpd.GeoDataFrame
) -> None:
    http, path = own
    with open_store(path) as store:
        before = len(store.audit_log())
    holed = grids.drop(index=grids.index[7])
    draft = upload(http, holed, keyed[1]["publisher"]).json()["id"]
    refused = http.post(f"/drafts/{draft}/publish", headers=bearer(keyed[1]["publisher"]))
    assert refused.status_code == 409
    with open_store(path) as store:
        new = [line.action for line in store.audit_log()[before:]]
    assert new == ["draft", "check"]


# How often


def test_rates_are_kept_per_key(keyed: tuple[Path, dict[str, str]]) -> None:
    import asyncio

    app = api.create_app(keyed[0], settings=Settings(rate_per_minute=60))

    async def ask() -> tuple[list[httpx.Response], httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
            many = [
                await one.get("/conformance", headers=bearer(keyed[1]["viewer"])) for _ in range(12)
            ]
            other = await one.get("/conformance", headers=bearer(keyed[1]["admin"]))
            return many, other

    many, other = asyncio.run(ask())
    app.state.geo_service.close()
    assert [told.status_code for told in many[:6]] == [200] * 6
    refused = many[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert other.status_code == 200


def test_processes_count_together() -> None:
    with rates.shared():
        one, other = rates.Rates(60), rates.Rates(60)
        waits = [(one, other)[k % 2].wait_seconds(5) for k in range(8)]
        assert waits[:6] == [0.0] * 6
        assert all(wait > 0 for wait in waits[6:])
        assert one.wait_seconds(6) == 0.0
        one.close()
        other.close()


# What a page may do


def test_cors_is_closed_unless_opened(keyed: tuple[Path, dict[str, str]]) -> None:
    import asyncio

    async def ask(app: Any, method: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        headers = {"origin": "https://map.example.cn", "access-control-request-method": "POST"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
            return await one.request(method, "/healthz", headers=headers)

    for origins, allowed in (((), None), (("https://map.example.cn",), "https://map.example.cn")):
        app = api.create_app(keyed[0], settings=Settings(origins=origins))
        told = asyncio.run(ask(app, "GET"))
        assert told.headers.get("access-control-allow-origin") == allowed
        asked = asyncio.run(ask(app, "OPTIONS"))
        assert (asked.status_code == 200) == bool(origins)
        app.state.geo_service.close()


def test_every_answer_carries_its_number_and_the_headers(http: httpx.Client) -> None:
    for path in ("/healthz", "/nowhere", "/collections", "/web/map.css"):
        told = http.get(path).headers
        assert re.fullmatch(r"[0-9a-f]{16}", told["x-request-id"])
        assert told["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in told["content-security-policy"]
        assert "unsafe" not in told["content-security-policy"]
        assert "server" not in told or told["server"] == "uvicorn"
    odd = http.get("/healthz", headers={"x-request-id": "a\tb"}).headers
    assert odd["x-request-id"] != "a\tb"


def test_a_browser_signs_in_and_out(http: httpx.Client, keyed: tuple[Path, dict[str, str]]) -> None:
    page = {"accept": "text/html"}
    sent_on = http.get("/map", headers=page)
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/login?next=%2Fmap")
    assert 'type="password"' in http.get("/login").text
    wrong = http.post("/login", data={"key": "gsk_wrong"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    right = http.post("/login", data={"key": keyed[1]["viewer"], "next": "/map?tab=walk"})
    assert (right.status_code, right.headers["location"]) == (303, "/map?tab=walk")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert http.get("/map", headers={**page, "cookie": cookie.split(";")[0]}).status_code == 200
    http.cookies.clear()
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "map"):
        told = http.post("/login", data={"key": keyed[1]["viewer"], "next": elsewhere})
        assert told.headers["location"] == "/map"
        http.cookies.clear()
    quoted = http.get("/login", params={"next": '/"><script>alert(1)</script>'}).text
    assert "<script>" not in quoted


# The log


def test_secrets_and_persons_are_never_logged(
    own: tuple[httpx.Client, Path], keyed: tuple[Path, dict[str, str]], grids: gpd.GeoDataFrame
) -> None:
    http, _ = own
    _, secrets = keyed
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(logs.Json())
    ours = [logging.getLogger(name) for name in ("geo_service", "uvicorn")]
    for logger in ours:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        secret = secrets["publisher"]
        http.get("/collections", headers=bearer(secret))
        http.get(f"/collections?key={secret}&phone=13812345678", headers={"x-api-key": secret})
        http.get("/locate?address=魏都区文峰路1号王建国13812345678", headers=bearer(secret))
        http.get(f"/nowhere/{secret}")
        http.post("/login", data={"key": secret})
        upload(http, grids, secret, author="王建国 13812345678")
        logging.getLogger("geo_service.api").error(
            "connecting to postgresql://gis:s3cret@db/x with %s failed", secret
        )
        try:
            raise RuntimeError(f"key {secret} of 13812345678")
        except RuntimeError:
            logging.getLogger("geo_service.api").exception("failed")
    finally:
        for logger in ours:
            logger.removeHandler(handler)
    said = heard.getvalue()
    assert said.count("\n") >= 7
    for hidden in (*secrets.values(), secrets["publisher"][13:], "s3cret", "13812345678", "王建国",
                   "文峰路"):  # fmt: skip
        assert hidden not in said
    lines = [json.loads(line) for line in said.splitlines()]
    asked = [line for line in lines if line["logger"] == "geo_service.requests"]
    assert {"request", "method", "route", "status", "ms", "who", "from"} <= asked[0].keys()
    assert {line["route"] for line in asked} >= {"/collections", "/locate", "/drafts", "other"}


# Settings, serving


def test_settings_are_typed_and_told() -> None:
    given = {"GEO_SERVICE_PORT": "9000", "GEO_SERVICE_ORIGINS": "https://a.cn, https://b.cn"}
    found = settings.read(given)
    assert (found.port, found.origins) == (9000, ("https://a.cn", "https://b.cn"))
    for name, value in (
        ("PORT", "x"), ("PORT", "70000"), ("WORKERS", "0"), ("LOG", "xml"), ("ANONYMOUS", "admin"),
        ("ORIGINS", "*"), ("TLS_KEY", "/nowhere.pem"), ("OIDC_ISSUER", "http://sso.example.cn"),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            settings.read({f"GEO_SERVICE_{name}": value})
        assert refused.value.code == "setting_invalid"
        assert name in refused.value.message("en")
    assert settings.unknown({"GEO_SERVICE_PROT": "1", "HOME": "/"}) == {
        "GEO_SERVICE_PROT": "GEO_SERVICE_PORT"
    }


def test_the_page_of_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "settings.md"
    assert page.read_text() == settings.page(), "python -m geo_service.settings > docs/settings.md"


def test_a_store_without_doors_gets_them_when_opened(place: Path | str) -> None:
    with create_store(place) as store, store._home.writing() as connection:
        for table in ("gs_keys", "gs_audit"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP FUNCTION gs_append_only")
        connection.exec_driver_sql("UPDATE gs_settings SET value = '3' WHERE key = 'schema'")
    with open_store(place) as store:
        store.add_key("x", role="admin")
        assert [line.action for line in store.audit_log()] == ["key add"]
        assert store._home.unguarded([]) == []
