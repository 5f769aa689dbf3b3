"""The service as an operator runs it: processes, signals, TLS, tokens of a sign-in service."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from geo_service import api
from geo_service.api import connections, guard, serving
from geo_service.api import state as states
from geo_service.settings import Settings
from geo_service.store import create_store, open_store


@pytest.fixture(scope="module")
def city(
    tiling: Callable[..., Any], served: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("serving") / "city.gpkg"
    served.make_city(path, tiling(12, seed=9)[0], published=("city", "counties", "grids"))
    return path


@contextmanager
def running(store: Path, *options: str, **variables: str) -> Iterator[tuple[Any, str]]:
    """Run ``geo-service serve`` as its operator does; give the process and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "geo_service.cli", "serve", "--store", str(store),
               "--port", str(port), *options]  # fmt: skip
    log = store.with_suffix(".log").open("wb")
    process = subprocess.Popen(command, stderr=log, env={**os.environ, **variables})
    scheme = "https" if "GEO_SERVICE_TLS_KEY" in variables else "http"
    base = f"{scheme}://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, store.with_suffix(".log").read_text()
            try:
                httpx.get(f"{base}/healthz", verify=False, timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process, base
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def children(process: Any) -> list[int]:
    """The processes that answer."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == process.pid and b"spawn_main" in command:
            found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_several_processes_a_dead_one_and_the_end(city: Path, tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    with open_store(city) as store:
        store.backup(path)
    with open_store(path) as store:
        prefix, secret = (lambda made: (made[0].prefix, made[1]))(store.add_key("x", role="viewer"))
    sent = {"authorization": f"Bearer {secret}"}
    with running(path, "--workers", "2", GEO_SERVICE_LOG="json") as (process, base):
        for _ in range(40):
            assert httpx.get(f"{base}/conformance", headers=sent).status_code == 200
        metrics = httpx.get(f"{base}/metrics", headers=sent).text
        counted = 'geo_service_requests_total{method="GET",route="/conformance",status="200"} 40.0'
        assert counted in metrics  # by both together
        first = children(process)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        deadline = time.monotonic() + 90
        while len(set(children(process)) - set(first)) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with open_store(path) as store:
            store.revoke_key(prefix)
        time.sleep(2)
        for _ in range(20):  # whichever process answers
            assert httpx.get(f"{base}/conformance", headers=sent, timeout=60).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in path.with_suffix(".log").read_text().splitlines()]
    assert {"request", "ms", "status"} <= lines[-1].keys() | lines[len(lines) // 2].keys()


def test_what_publications_leave_in_memory_is_bounded(city: Path, tmp_path: Path) -> None:
    """A process that follows a busy store for weeks holds the current revisions and few others."""
    path = tmp_path / "city.gpkg"
    with open_store(city) as store:
        store.backup(path)
    state = states.State(open_store(path))
    compiled = []
    try:
        for turn in range(2 * states.KEPT_PAST):
            grids = state.store.frame("grids").assign(remark=f"第{turn}版")
            draft = state.store.create_draft("grids", grids)
            number = state.store.publish(draft.id, accept=("code_order",)).number
            state.look_again()
            assert state.view("grids").revision == number
            assert state.view("city").revision == 1
            compiled.append(len(state.store._home.engine._compiled_cache))
        past = [key for key in state._views if key not in {("grids", number), ("city", 1)}]
        assert past == [("grids", number - k) for k in range(states.KEPT_PAST, 0, -1)]
        assert compiled[-1] == compiled[states.KEPT_PAST]
    finally:
        state.close()


def test_a_request_under_way_is_finished_when_the_service_stops(city: Path) -> None:
    with running(city) as (process, base):
        host, port = base.rpartition("/")[2].split(":")
        body = json.dumps({"datum": "wgs84", "points": [[113.8, 34.0]] * 50}).encode()
        with socket.create_connection((host, int(port)), timeout=60) as link:
            head = f"POST /locate HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            link.sendall(head.encode() + body[:100])
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            link.sendall(body[100:])
            answer = b""
            while b"results" not in answer:
                heard = link.recv(65536)
                assert heard, answer
                answer += heard
        assert answer.startswith(b"HTTP/1.1 200")
        assert process.wait(60) in {0, -signal.SIGTERM}


def test_slow_and_broken_clients_hold_nobody_up(city: Path, served: ModuleType) -> None:
    with served.serving(city) as base:
        host, port = base.rpartition("/")[2].split(":")
        links = [socket.create_connection((host, int(port))) for _ in range(100)]
        halves = (
            b"GET /loc",
            b"POST /drafts HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc",
            b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
            b"\x16\x03\x01\x02\x00",
            b"\r\n\r\n",
        )
        for k, link in enumerate(links):
            link.sendall(halves[k % len(halves)])
        assert httpx.get(f"{base}/healthz", timeout=20).status_code == 200
        for link in links[::2]:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            link.close()
        assert httpx.get(f"{base}/conformance", timeout=20).status_code == 200
        for link in links[1::2]:
            link.close()


def answer_of(link: socket.socket) -> bytes:
    """One answer that is JSON, whole."""
    heard = link.recv(4096)
    while not heard.endswith(b"}"):
        more = link.recv(4096)
        assert more, heard
        heard += more
    return heard


def everything(link: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    return b"".join(iter(lambda: link.recv(4096), b""))


def test_slow_heads_are_answered_408_and_closed(
    city: Path, served: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.5)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 400
    with served.serving(city) as base:
        host, port = base.rpartition("/")[2].split(":")
        slow = [socket.create_connection((host, int(port)), timeout=20) for _ in range(50)]
        silent = socket.create_connection((host, int(port)), timeout=20)
        with ThreadPoolExecutor(len(slow) + 1) as readers:
            told = [readers.submit(everything, link) for link in [*slow, silent]]
            for at in range(len(head)):  # a byte at a time, for as long as the server listens
                assert httpx.get(f"{base}/healthz", timeout=20).status_code == 200
                for link in slow:
                    with suppress(OSError):
                        link.sendall(head[at : at + 1])
                if all(one.done() for one in told):
                    break
                time.sleep(0.02)
        assert at < len(head) - 1
        for one in told[:-1]:
            first, _, rest = one.result().partition(b"\r\n")
            assert first == b"HTTP/1.1 408 Request Timeout"
            assert json.loads(rest.partition(b"\r\n\r\n")[2])["code"] == "head_too_slow"
        assert told[-1].result() == b""  # who asked nothing is told nothing
        for link in [*slow, silent]:
            link.close()


def test_a_kept_link_is_bounded_too(
    city: Path, served: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with served.serving(city) as base:
        host, port = base.rpartition("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=20) as link:
            for _ in range(3):  # longer in all than one head may take
                link.sendall(whole)
                assert answer_of(link).startswith(b"HTTP/1.1 200")
                time.sleep(0.5)
            link.sendall(whole[:9])
            assert answer_of(link).startswith(b"HTTP/1.1 408")
            assert link.recv(10) == b""
        # Refused before its body came; the rest of the body may not be dripped for ever.
        head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as link:
            link.sendall(head)
            assert answer_of(link).startswith(b"HTTP/1.1 405")
            for _ in range(100):
                try:
                    link.sendall(b"a")
                except OSError:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("still listening")


def test_a_body_that_drips_is_refused(
    city: Path, served: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE_SECONDS", 1.0)
    head = b"POST /locate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with served.serving(city) as base:
        host, port = base.rpartition("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=0.1) as link:
            link.sendall(head + b"Content-Length: 999\r\n\r\n")
            answer = b""
            for _ in range(100):  # each piece comes well within the time a body may stand still
                try:
                    link.sendall(b" ")
                    answer = link.recv(1)
                    break
                except TimeoutError:
                    continue
            link.settimeout(20)
            answer += answer_of(link)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"body_too_slow" in answer


def test_an_answer_that_nobody_reads_is_let_go(
    city: Path, served: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 1.0)
    heard = 0
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with served.serving(city) as base:
        host, port = base.rpartition("/")[2].split(":")
        whole = len(httpx.get(f"{base}/openapi.json", timeout=60).content)
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect((host, int(port)))
            link.settimeout(20)
            for _ in range(100):
                link.sendall(ask)
            time.sleep(4)
            with suppress(ConnectionResetError):
                heard = sum(map(len, iter(lambda: link.recv(1 << 16), b"")))
        assert heard < 100 * whole  # let go before the end


def test_beyond_this_machine_only_with_keys(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    create_store(path).close()
    with pytest.raises(ValueError, match="Without API keys"):
        serving._refuse_open_doors(Settings(store=str(path), host="0.0.0.0"))
    with open_store(path) as store:
        key, _ = store.add_key("x", role="viewer")
    serving._refuse_open_doors(Settings(store=str(path), host="0.0.0.0"))
    with open_store(path) as store:
        store.revoke_key(key.prefix)
    with pytest.raises(ValueError, match="Without API keys"):
        serving._refuse_open_doors(Settings(store=str(path), host="::"))


def test_tls(city: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1).not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1)).add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    with running(city, GEO_SERVICE_TLS_CERTIFICATE=str(certificate),
                 GEO_SERVICE_TLS_KEY=str(private)) as (_, base):  # fmt: skip
        trusted = ssl.create_default_context(cafile=str(certificate))
        told = httpx.get(f"{base}/healthz", verify=trusted)
    assert told.json() == {"status": "ok"}
    assert told.headers["strict-transport-security"].startswith("max-age=")


# People, by OpenID Connect


class Issuer:
    """A sign-in service on this machine: its discovery document, its keys, its tokens."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked: list[str] = []
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                data = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path: str) -> dict[str, Any]:
        if path.startswith("/.well-known"):
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}
        algorithm = jwt.algorithms.RSAAlgorithm
        return {
            "keys": [
                {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
                for kid, key in self.keys.items()
            ]
        }

    def token(self, *, key: Any = None, kid: str = "one", algorithm: str = "RS256",
              **claims: Any) -> str:  # fmt: skip
        told = {
            "iss": self.address, "aud": "geo-service", "sub": "u1", "name": "王工",
            "exp": time.time() + 300, "geo_service_role": "viewer", **claims,
        }  # fmt: skip
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(told, key or self.keys[kid], algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_people_sign_in_by_tokens(city: Path, issuer: Issuer) -> None:
    app = api.create_app(city, settings=Settings(oidc_issuer=issuer.address))

    def ask(token: str | None, path: str = "/conformance") -> httpx.Response:
        async def once() -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                return await one.get(path, headers=headers)

        return asyncio.run(once())

    assert ask(None).json()["code"] == "key_missing"  # without keys, too
    assert ask(issuer.token()).status_code == 200
    assert ask(issuer.token(), "/drafts").json()["code"] == "role_insufficient"
    planner = issuer.token(
        geo_service_role=["viewer", "planner"], geo_service_areas="411002,411003"
    )
    assert ask(planner, "/drafts").status_code == 200
    assert ask(issuer.token(geo_service_role=None)).json()["code"] == "role_insufficient"
    assert ask(issuer.token(geo_service_role="king")).json()["code"] == "role_insufficient"
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = issuer.keys["one"].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    unsigned = jwt.encode({"sub": "u1"}, None, algorithm="none")
    forged = [
        issuer.token(exp=time.time() - 100),
        issuer.token(exp=None),
        issuer.token(aud="another"),
        issuer.token(iss="https://elsewhere.example"),
        issuer.token(sub=None),
        issuer.token(key=other),
        issuer.token(key=other, kid="two"),
        issuer.token(nbf=time.time() + 600),
        issuer.token() + "x",
        unsigned,
        "eyJhbGciOiJub25lIn0.e30.",
        "not a token",
    ]
    # Signed with the public key as if it were a shared secret; PyJWT itself refuses to make it.
    import base64
    import hmac

    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
    body = issuer.token().split(".")[1].encode()
    mark = hmac.new(public, head + b"." + body, "sha256").digest()
    forged.append(
        (head + b"." + body + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")).decode()
    )
    for token in forged:
        told = ask(token)
        assert (told.status_code, told.json()["code"]) == (401, "token_invalid"), token
    assert issuer.asked.count("/keys") == 1  # tokens with unknown keys don't make it ask again
    app.state.geo_service.close()
