"""What stands before every route: who asks, how much and how often; headers, counting, the log.

While the service has no keys it listens on this machine only; a page from elsewhere, opened in the
same browser, must still not be able to publish a draft or to read through a rebound DNS name.
Nothing here logs a query: it may hold an address or a phone number.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import re
import secrets
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geo_service.api import doors, errors, logs
from geo_service.api.health import Metrics
from geo_service.api.rates import Rates
from geo_service.errors import ConflictError, GeoServiceError, InputError
from geo_service.roles import NOBODY
from geo_service.settings import Settings
from geo_service.store import audit

UPLOAD_LIMIT_MB = 256
BODY_LIMIT_MB = 4
PATIENCE_SECONDS = 60.0
"""How long a body may be waited for beside what it needs at `SLOWEST_BYTES_PER_SECOND`."""
SLOWEST_BYTES_PER_SECOND = 2000
"""A mobile link at the edge of a village sends ten times as fast."""

_MB = 1024 * 1024
_READING = {"GET", "HEAD", "OPTIONS"}
_NUMBER = re.compile(rb"[\w.-]{1,64}\Z")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src blob:; child-src blob:; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _PAGE_POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(self), camera=(), microphone=()"),
]
_SECURED = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """The ASGI middleware around the application.

    Parameters
    ----------
    app : ASGIApp
        What is guarded.
    keys : doors.Doors
        Who may come in.
    metrics : Metrics
        Where requests are counted.
    rates : Rates
        How often one key may ask.
    settings : Settings
        Names the service answers to, pages that may call it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: doors.Doors,
        metrics: Metrics,
        rates: Rates,
        settings: Settings,
    ) -> None:
        self._app = app
        self._keys = keys
        self._metrics = metrics
        self._rates = rates
        self._hosts = frozenset(settings.hosts)
        self._origins = frozenset(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, told = time.perf_counter(), 500, NOBODY
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        number = given if _NUMBER.match(given) else secrets.token_hex(8).encode()
        ours = [*_HEADERS, (b"x-request-id", number)]
        ours += [_SECURED] if scope["scheme"] == "https" else []

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        try:
            refused = self._refusal(scope, headers)
            if refused is None:
                try:
                    told = await self._keys.caller(scope, headers)
                    refused = self._too_often(told.seat)
                except GeoServiceError as error:
                    refused = error if not _is_login(scope) else None
            if refused is not None:
                extra = {"retry_after_seconds": s} if (s := refused.details.get("seconds")) else {}
                answer = errors.problem(Request(scope), refused, **extra)
                await answer(scope, receive, send_guarded)
                return
            doors.seat(scope, told)
            origin = scope["client"][0] if scope.get("client") else ""
            actor = audit.Actor(told.name, told.role or "", origin, number.decode())
            with audit.acting(actor):
                if scope["method"] not in _READING:
                    receive = _limited(receive, _limit_mb(scope))
                await self._app(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began
            self._metrics.add(scope["method"], route, status, seconds)
            logs.request(
                {
                    "request": number.decode(), "method": scope["method"], "route": route,
                    "status": status, "ms": round(seconds * 1000, 1), "who": told.name,
                    "from": scope["client"][0] if scope.get("client") else "",
                }
            )  # fmt: skip

    def _too_often(self, seat: int | None) -> GeoServiceError | None:
        wait = self._rates.wait_seconds(seat) if seat is not None else 0.0
        if wait <= 0:
            return None
        seconds, most = math.ceil(wait), self._rates.per_minute
        return ConflictError("rate_limited", per_minute=most, seconds=seconds)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> GeoServiceError | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._own_name(host):
            return InputError("host_refused", host=host)
        if scope["method"] in _READING:
            return None
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin not in self._origins and _place(origin) != host:
            return InputError("origin_refused", origin=origin)
        declared = headers.get(b"content-length", b"0")
        limit = _limit_mb(scope)
        if declared.isdigit() and int(declared) > limit * _MB:
            return InputError("upload_too_large", limit_mb=limit)
        return None

    def _own_name(self, host: str) -> bool:
        """Tell whether a Host header can be this machine: an address, or a name without a dot.

        A page elsewhere can point its own DNS name here, and that name has a dot; those the
        service has are in its settings.
        """
        name = _host_name(host)
        if name is None:
            return False
        if name in self._hosts or ("." not in name and ":" not in name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _is_login(scope: Scope) -> bool:
    """Tell whether somebody signs in anew, perhaps with the cookie of a key that was revoked."""
    return scope["path"] in {"/login", "/logout"} or scope["path"].startswith("/web/")


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None


def _limit_mb(scope: Scope) -> int:
    return UPLOAD_LIMIT_MB if scope["path"] == "/drafts" else BODY_LIMIT_MB


def _limited(receive: Receive, limit_mb: int) -> Receive:
    """Count a body as it comes, whatever length it declared, and don't wait for it for ever."""
    got, waited, whole = 0, 0.0, False

    async def receive_limited() -> Message:
        nonlocal got, waited, whole
        if whole:  # what comes now is the client's going away
            return await receive()
        patience = PATIENCE_SECONDS + got / SLOWEST_BYTES_PER_SECOND - waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                message: dict[str, Any] = dict(await receive())
        except TimeoutError:
            waited += patience
            raise InputError("body_too_slow", seconds=f"{waited:.0f}") from None
        waited += time.monotonic() - began
        got += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if got > limit_mb * _MB:
            raise InputError("upload_too_large", limit_mb=limit_mb)
        return message

    return receive_limited
