"""Who asks, and whether what they ask is open to them.

A route says what it takes: ``dependencies=[requires("planner")]``; `serve` does not start where one
says nothing. Who asks is told by an API key (``Authorization: Bearer``, ``X-API-Key``, or the
cookie that ``/login`` sets) or, where it is switched on, by a token of the city's sign-in service.

While a store has no keys, whoever is at this machine may do everything, and nobody else is let in.
From the first key on everybody needs one, also at this machine: a reverse proxy's requests come
from here as well. Keys are read again two and a half times a second, in every process, so that a
revoked one is shut out within a second.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from geo_service.errors import ConflictError, InputError
from geo_service.roles import NOBODY, Caller, Role
from geo_service.settings import Settings, is_loopback
from geo_service.store.keys import MARK, Key, digest

if TYPE_CHECKING:
    from geo_service.api.oidc import Tokens
    from geo_service.store import Store

COOKIE = "geo_service_key"
READ_EVERY_SECONDS = 0.4
TRUSTED_SECONDS = 60.0
"""How long the keys that were read last open doors while the database can't be reached."""

AT_THIS_MACHINE = Caller("local", "admin")
_PLACE = "geo_service.caller"

log = logging.getLogger("geo_service.api")


class Requires:
    """A route's word on whom it is open to; ``None``: anybody."""

    def __init__(self, role: Role | None) -> None:
        self.role = role

    async def __call__(self, request: Request) -> None:
        """Refuse whoever may not."""
        admit(request, self.role)


def requires(role: Role | None) -> Any:
    """Give the FastAPI dependency that lets a role, and those above it, in.

    Parameters
    ----------
    role : str or None
        One of `geo_service.roles.ROLES`; ``None``: anybody, also without a key.
    """
    return Depends(Requires(role))


def admit(request: Request, role: Role | None) -> Caller:
    """Let a request in, or refuse it.

    Raises
    ------
    InputError
        ``key_missing``, ``role_insufficient``.
    """
    caller = of(request)
    if role is None or caller.may(role):
        return caller
    if caller is NOBODY:
        raise InputError("key_missing")
    raise InputError("role_insufficient", needed=role, role=caller.role)


def admit_area(request: Request, code: str | None) -> Caller:
    """Let a planner change a part of a layer, or refuse it.

    Raises
    ------
    InputError
        ``area_foreign``.
    """
    caller = of(request)
    if not caller.may_change(code):
        raise InputError("area_foreign", area=code or "*", own=", ".join(caller.areas))
    return caller


def of(request: Request) -> Caller:
    """Tell who asks."""
    caller: Caller = request.scope.get(_PLACE, NOBODY)
    return caller


def seat(scope: Scope, caller: Caller) -> None:
    """Keep who asks with the request."""
    scope[_PLACE] = caller


def declared(router: APIRouter) -> dict[tuple[str, str], Role | str | None]:
    """Give what each route of a router takes, by method and path; ``""`` where it does not say."""
    found: dict[tuple[str, str], Role | str | None] = {}
    for route in router.routes:
        words = [d.dependency for d in getattr(route, "dependencies", ())]
        roles = [word.role for word in words if isinstance(word, Requires)]
        for method in getattr(route, "methods", None) or {"?"}:
            found[method, getattr(route, "path", "?")] = roles[-1] if roles else ""
    return found


def refuse_undeclared(*routers: APIRouter) -> None:
    """See that every route says whom it is open to."""
    silent = [
        " ".join(one) for router in routers for one, role in declared(router).items() if role == ""
    ]
    if silent:
        raise RuntimeError(
            f"no role is declared for {', '.join(sorted(silent))}: "
            "add dependencies=[doors.requires(...)]"
        )


class Doors:
    """Knows the keys of a store.

    Parameters
    ----------
    store : Store
        Whose.
    settings : Settings
        ``anonymous`` and those of OIDC.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._anonymous = Caller("anonymous", "viewer") if settings.anonymous else NOBODY
        self._keys: dict[str, tuple[Key, Caller, float]] = {}
        self._read_at = 0.0
        self._tokens: Tokens | None = None
        if settings.oidc_issuer:
            from geo_service.api.oidc import Tokens  # its libraries are an extra

            self._tokens = Tokens(settings)
        self.read()

    def read(self) -> None:
        """Read the keys again."""
        found = self._store.api_keys()
        self._keys = {key.sha256: (key, _holder(key), _until(key)) for key in found}
        self._read_at = time.monotonic()

    def follow(self, until: threading.Event) -> None:
        """Read the keys again and again until told."""
        failing = False
        while not until.wait(READ_EVERY_SECONDS):
            try:
                self.read()
                failing = False
            except Exception:  # a database that went away comes back
                if not failing:
                    log.exception("reading the keys failed; trying again")
                failing = True

    async def caller(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        """Tell who sent a request.

        Raises
        ------
        InputError
            ``key_unknown``, ``key_closed``, ``token_invalid``, ``keys_unreadable``.
        """
        given = _credential(headers)
        if not self._keys and self._tokens is None:
            return AT_THIS_MACHINE if given is None and _is_here(scope) else NOBODY
        if given is None:
            return self._anonymous
        if not given.startswith(MARK) and self._tokens is not None:
            return await run_in_threadpool(self._tokens.caller, given)
        if time.monotonic() - self._read_at > TRUSTED_SECONDS:
            raise ConflictError("keys_unreadable")
        return self.holder(given)

    def holder(self, secret: str) -> Caller:
        """Tell whose a key is.

        Raises
        ------
        InputError
            ``key_unknown``, ``key_closed``.
        """
        key, caller, until = self._keys.get(digest(secret), (None, NOBODY, 0.0))
        if key is None:
            raise InputError("key_unknown")
        if time.time() >= until:
            raise InputError("key_closed", prefix=key.prefix)
        return caller


def _holder(key: Key) -> Caller:
    return Caller(key.name, key.role, key.areas, seat=key.id, sees_persons=True)


def _until(key: Key) -> float:
    if key.revoked_at is not None:
        return 0.0
    if key.expires_at is None:
        return float("inf")
    return dt.datetime.fromisoformat(key.expires_at).timestamp()


def _credential(headers: Mapping[bytes, bytes]) -> str | None:
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    if b"x-api-key" in headers:
        return headers[b"x-api-key"].decode("latin-1").strip()
    if COOKIE.encode() not in headers.get(b"cookie", b""):
        return None
    try:
        morsel = SimpleCookie(headers[b"cookie"].decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and is_loopback(client[0])
