"""Signing in from a browser: a key goes in once, a cookie that no script can read goes out.

A page elsewhere can't use the cookie: it is sent to pages of this service only (``SameSite``), and
writing takes the service's own ``Origin`` besides (`guard`).
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

import geo_service
from geo_service.api import doors
from geo_service.errors import GeoServiceError

_PAGE = Path(geo_service.__file__).parent / "web" / "login.html"
_REFUSED = '<p role="alert">密钥无效、已停用或已过期。 · This key is not valid.</p>'
_COOKIE_SECONDS = 12 * 3600
"""A working day; the key behind it may be revoked before."""

router = APIRouter(tags=["service"])


@router.get("/login", include_in_schema=False, dependencies=[doors.requires(None)])
def login_page(next: str = "/map") -> Response:
    """Give the page that asks for a key."""
    return _page("", 200, next)


@router.post("/login", include_in_schema=False, dependencies=[doors.requires(None)])
async def login(request: Request) -> Response:
    """Take a key, and go on to the page that was wanted."""
    keys: doors.Doors = request.app.state.doors
    async with request.form(max_files=0, max_fields=2) as form:
        secret, wanted = form.get("key", ""), form.get("next", "")
    if isinstance(secret, UploadFile) or isinstance(wanted, UploadFile):
        return _page(_REFUSED, 401, "/map")
    try:
        keys.holder(secret.strip())
    except GeoServiceError:
        return _page(_REFUSED, 401, wanted)
    answer = RedirectResponse(_own_page(wanted), 303)
    answer.set_cookie(
        doors.COOKIE,
        secret.strip(),
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout", include_in_schema=False, dependencies=[doors.requires(None)])
def logout() -> Response:
    """Let the cookie go."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(doors.COOKIE)
    return answer


def _page(said: str, status: int, wanted: str) -> Response:
    onward = f'<input type="hidden" name="next" value="{escape(_own_page(wanted))}">'
    page = _PAGE.read_text(encoding="utf-8")
    page = page.replace("<!--said-->", said).replace("<!--next-->", onward)
    return Response(page, status, {"Cache-Control": "no-store"}, "text/html")


def _own_page(wanted: str) -> str:
    """Give a path of this service, never another's address."""
    parts = urlsplit(wanted)
    own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc
    return wanted if own and wanted.isprintable() else "/map"
