"""Every refusal over HTTP as RFC 9457 problem details, in the reader's language.

A problem carries the stable ``code`` of the catalogue, its sentence in the language that
``Accept-Language`` prefers (``detail``), and the same sentence in both (``detail_zh``,
``detail_en``). ``type`` is an address on this server that tells what the code means.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from geo_service import errors
from geo_service.api import doors
from geo_service.errors import GeoServiceError, InputError, Language, MissingError, Phrase

MEDIA_TYPE = "application/problem+json"

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}

log = logging.getLogger("geo_service.api")
router = APIRouter(tags=["service"], dependencies=[doors.requires(None)])

# What FastAPI's validation finds, said in Chinese; its own words serve for English.
_REASONS_ZH = {
    "missing": "缺少这一项",
    "int_parsing": "不是整数",
    "int_type": "不是整数",
    "float_type": "不是数字",
    "string_type": "不是文字",
    "bool_type": "不是 true 或 false",
    "list_type": "不是列表",
    "dict_type": "不是对象",
    "model_type": "不是对象",
    "model_attributes_type": "不是对象",
    "extra_forbidden": "没有这个参数",
    "string_pattern_mismatch": "格式不符，应符合 {pattern}",
    "int_from_float": "不是整数",
    "float_parsing": "不是数字",
    "finite_number": "不是有限的数字",
    "bool_parsing": "不是 true 或 false",
    "greater_than": "必须大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than": "必须小于 {lt}",
    "less_than_equal": "不能大于 {le}",
    "string_too_short": "太短",
    "string_too_long": "太长",
    "literal_error": "只能是 {expected}",
    "enum": "只能是 {expected}",
    "json_invalid": "不是有效的 JSON",
    "too_short": "项数太少",
    "too_long": "项数太多",
}
# What a standard's paths answer to parameters that are no good, where the rest says 422.
_STANDARD_PATHS = ("/collections", "/conformance", "/processes", "/jobs")
# Where a standard wants a type of its own for a problem.
_PROCESSES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_TYPES = {
    "process_unknown": f"{_PROCESSES}/no-such-process",
    "job_unknown": f"{_PROCESSES}/no-such-job",
    "job_not_ready": f"{_PROCESSES}/result-not-ready",
}
_RETRY_SECONDS = {429: 10, 503: 5}
_CODE_OF_STATUS = {404: "page_unknown", 405: "method_unknown"}


def install(app: FastAPI) -> None:
    """Make every error of an app a problem, whatever raised it."""
    app.add_exception_handler(GeoServiceError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OSError, _on_system)
    app.add_exception_handler(Exception, _on_failure)


def reader_language(accept: str | None) -> Language:
    """Give the language a reader prefers, from an ``Accept-Language`` header.

    Examples
    --------
    >>> reader_language("zh-CN,zh;q=0.9,en;q=0.8"), reader_language("de, en;q=0.5, zh;q=0.4")
    ('zh', 'en')
    >>> reader_language(None)
    'en'
    """
    weights: dict[str, float] = {}
    for part in (accept or "").split(","):
        tag, _, rest = part.strip().partition(";")
        text = rest.strip().removeprefix("q=")
        try:
            weight = float(text) if text else 1.0
        except ValueError:
            weight = 0.0
        primary = tag.strip().lower().split("-")[0]
        weights[primary] = max(weight, weights.get(primary, 0.0))
    return "zh" if weights.get("zh", 0.0) > weights.get("en", 0.0) else "en"


def problem(request: Request, error: GeoServiceError, **extra: object) -> Response:
    """Give the answer that tells a refusal.

    Parameters
    ----------
    request : Request
        Whose reader is spoken to.
    error : GeoServiceError
        What is refused.
    **extra : object
        Further members, such as every field a validation found wrong.
    """
    return _respond(
        request, error.code, error.status, error.message("zh"), error.message("en"), extra
    )


def problem_told(request: Request, code: str, status: int, message: Phrase) -> Response:
    """Give the answer that tells a refusal whose sentences were made elsewhere, as by a job."""
    return _respond(request, code, status, message.zh, message.en, {})


@router.get("/problems/{code}", summary="What an error code means")
def meaning(code: str) -> Response:
    """Tell a code of the catalogue: its status and its sentences, with the places left open."""
    refusal = errors.CATALOGUE.get(code)
    if refusal is None:
        raise MissingError("not_found", what=f"error code “{code}”")
    body = {"code": code, "title": _title(code), "status": refusal.status}
    return Response(
        orjson.dumps({**body, "zh": refusal.zh, "en": refusal.en}), media_type="application/json"
    )


def _respond(
    request: Request, code: str, status: int, zh: str, en: str, extra: Mapping[str, object]
) -> Response:
    chosen = reader_language(request.headers.get("accept-language"))
    if code.startswith("parameter_") and request.url.path.startswith(_STANDARD_PATHS):
        status = 400  # OGC API - Common, Part 1, 8.5
    body = {
        "type": _TYPES.get(code, f"/problems/{code}"),
        "title": _title(code),
        "status": status,
        "code": code,
        "detail": zh if chosen == "zh" else en,
        "detail_zh": zh,
        "detail_en": en,
        "instance": request.url.path,
        **extra,
    }
    headers = {"Content-Language": "zh-CN" if chosen == "zh" else "en", "Vary": "Accept-Language"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in _RETRY_SECONDS:
        headers["Retry-After"] = str(extra.get("retry_after_seconds", _RETRY_SECONDS[status]))
    return Response(_encoded(body), status, headers, MEDIA_TYPE)


def _encoded(body: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(body, default=str)
    except TypeError:  # what was asked holds half a character, and the answer repeats it
        return json.dumps(body, default=str).encode()


def _title(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GeoServiceError)
    if error.code == "key_missing" and _is_page(request):
        query = urlencode({"next": request.url.path})
        return RedirectResponse(f"/login?{query}", 303)
    return problem(request, error)


def _is_page(request: Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_finding(item) for item in error.errors()]
    first = found[0]
    if first["missing"]:
        return problem(request, InputError("parameter_missing", name=first["name"]), errors=found)
    reason = Phrase(first["reason_zh"], first["reason_en"])
    refused = InputError(
        "parameter_invalid", name=first["name"], value=first["value"], reason=reason
    )
    return problem(request, refused, errors=found)


def _finding(item: Mapping[str, Any]) -> dict[str, Any]:
    """One thing the validation of a request found, in both languages."""
    place = [str(part) for part in item["loc"] if part not in {"query", "path", "body"}]
    reason = found_by_validation(item)
    value = item.get("input")
    return {
        "name": ".".join(place) or "body",
        "value": value if isinstance(value, str | int | float) else None,
        "missing": item["type"] == "missing",
        "reason_zh": reason.zh,
        "reason_en": reason.en,
    }


def found_by_validation(item: Mapping[str, Any]) -> Phrase:
    """Tell in both languages what pydantic found wrong with one value."""
    context = {key: str(value) for key, value in (item.get("ctx") or {}).items()}
    zh = _REASONS_ZH.get(item["type"])
    told = zh.format_map(context) if zh else f"程序原文“{item['msg']}”"
    return Phrase(told, item["msg"])


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, GeoServiceError):  # raised while the body came in
        return problem(request, error.__cause__)
    code = _CODE_OF_STATUS.get(error.status_code)
    refused = InputError(
        code or "request_malformed",
        path=request.url.path,
        method=request.method,
        reason=error.detail,
    )
    response = _respond(
        request, refused.code, error.status_code, refused.message("zh"), refused.message("en"), {}
    )
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _on_system(request: Request, error: Exception) -> Response:
    """Tell a full disk as what it is: the operator can mend it, and nothing was half-written."""
    if isinstance(error, OSError) and error.errno in _FULL:
        log.error("%s %s: the disk is full", request.method, request.url.path)
        return problem(request, InputError("disk_full"))
    return _on_failure(request, error)


def _on_failure(request: Request, error: Exception) -> Response:
    # The path only: a query may hold a phone number or an address.
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(request, InputError("internal_error"))
