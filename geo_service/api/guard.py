"""What stands before every route: size limits, foreign origins, headers, counting.

Until the service has keys it listens on this machine only; a page from elsewhere, opened in the
same browser, must still not be able to publish a draft or to read through a rebound DNS name.
Nothing here logs a query: it may hold an address or a phone number.
"""

from __future__ import annotations

import ipaddress
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geo_service.api import errors
from geo_service.api.health import Metrics
from geo_service.errors import GeoServiceError, InputError

UPLOAD_LIMIT_MB = 256
BODY_LIMIT_MB = 4
_MB = 1024 * 1024
_READING = {"GET", "HEAD", "OPTIONS"}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src blob:; child-src blob:; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _PAGE_POLICY.encode()),
]


class Guard:
    """The ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            refused = _refusal(scope)
            if refused is not None:
                await errors.problem(Request(scope), refused)(scope, receive, send_guarded)
            elif scope["method"] in _READING:
                await self._app(scope, receive, send_guarded)
            else:
                await self._app(scope, _limited(receive, _limit_mb(scope)), send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.add(scope["method"], route, status, time.perf_counter() - began)


def _refusal(scope: Scope) -> GeoServiceError | None:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    if not _own_name(host):
        return InputError("host_refused", host=host)
    if scope["method"] in _READING:
        return None
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and urlsplit(origin).netloc != host:
        return InputError("origin_refused", origin=origin)
    declared = headers.get(b"content-length", b"0")
    limit = _limit_mb(scope)
    if declared.isdigit() and int(declared) > limit * _MB:
        return InputError("upload_too_large", limit_mb=limit)
    return None


@lru_cache(maxsize=256)
def _own_name(host: str) -> bool:
    """Tell whether a Host header can be this machine: an address, or a name without a dot.

    A page elsewhere can point its own DNS name here, and that name has a dot.
    """
    name = urlsplit(f"//{host}").hostname or ""
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _limit_mb(scope: Scope) -> int:
    return UPLOAD_LIMIT_MB if scope["path"] == "/drafts" else BODY_LIMIT_MB


def _limited(receive: Receive, limit_mb: int) -> Receive:
    """Count a body as it comes, whatever length it declared."""
    got = 0

    async def receive_limited() -> Message:
        nonlocal got
        message: dict[str, Any] = dict(await receive())
        got += len(message.get("body", b""))
        if got > limit_mb * _MB:
            raise InputError("upload_too_large", limit_mb=limit_mb)
        return message

    return receive_limited
