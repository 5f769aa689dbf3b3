"""In which form an answer is wanted: ``f=`` where it is given, the ``Accept`` header otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import geopandas as gpd
import orjson
from fastapi import Query, Request
from starlette.responses import Response

from geo_service import boundary_files
from geo_service.errors import InputError


@dataclass(frozen=True)
class Form:
    """A form of an answer.

    Parameters
    ----------
    name : str
        As ``f=`` names it.
    media_type : str
        As the ``Content-Type`` header names it.
    ending : str
        Of a file in this form.
    title : str
        What a link says.
    """

    name: str
    media_type: str
    ending: str
    title: str


JSON = Form("json", "application/json", ".json", "JSON")
GEOJSON = Form("geojson", "application/geo+json", ".geojson", "GeoJSON")
HTML = Form("html", "text/html", ".html", "HTML")
CSV = Form("csv", "text/csv", ".csv", "CSV")
PARQUET = Form("parquet", "application/vnd.apache.parquet", ".parquet", "GeoParquet")
FLATGEOBUF = Form("fgb", "application/flatgeobuf", ".fgb", "FlatGeobuf")
SCHEMA = Form("json", "application/schema+json", ".json", "JSON Schema")

PAGES = (JSON, HTML)
"""The forms of whatever tells about the data."""

FEATURES = (GEOJSON, HTML, CSV, PARQUET, FLATGEOBUF)
"""The forms of the data; to all but the first two, whole files, nothing is cut off unasked."""

FILES = (CSV, PARQUET, FLATGEOBUF)

F = Annotated[
    str | None,
    Query(alias="f", description="json, geojson, html, csv, parquet, fgb: before any Accept"),
]


def chosen(request: Request, offered: tuple[Form, ...], named: str | None) -> Form:
    """Give the form a request wants; the first where it does not say.

    Parameters
    ----------
    request : Request
        Its ``Accept`` header is read.
    offered : tuple of Form
        What there is.
    named : str or None
        The ``f`` parameter.

    Raises
    ------
    InputError
        ``form_unknown``.
    """
    if named is not None:
        found = next((form for form in offered if named in {form.name, form.media_type}), None)
        if found is None and named == JSON.name and GEOJSON in offered:
            found = GEOJSON
        if found is None:
            known = ", ".join(form.name for form in offered)
            raise InputError("form_unknown", wanted=named, known=known)
        return found
    return _accepted(request.headers.get("accept", "*/*"), offered)


def _accepted(accept: str, offered: tuple[Form, ...]) -> Form:
    weighed = sorted(_weights(accept), key=lambda part: -part[1])
    for wanted, weight in weighed:
        if weight <= 0:
            continue
        for form in offered:
            if _meets(form, wanted):
                return form
    known = ", ".join(form.media_type for form in offered)
    raise InputError("form_unknown", wanted=accept, known=known)


def _weights(accept: str) -> Iterable[tuple[str, float]]:
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        yield media_type or "*/*", weight


def _meets(form: Form, wanted: str) -> bool:
    if wanted in {"*/*", form.media_type}:
        return True
    if wanted == JSON.media_type and form in {GEOJSON, SCHEMA}:
        return True
    kind, _, rest = wanted.partition("/")
    return rest == "*" and form.media_type.startswith(f"{kind}/")


def json(body: Any, form: Form = JSON, headers: dict[str, str] | None = None) -> Response:
    """Give plain data as JSON."""
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(data, headers={"Vary": "Accept", **(headers or {})}, media_type=form.media_type)


def file(frame: gpd.GeoDataFrame, form: Form, name: str, headers: dict[str, str]) -> Response:
    """Give a frame as a file of a form; its coordinates stand x first, as these files want it."""
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        path = boundary_files.write(frame, Path(folder) / f"{name}{form.ending}", layer=name)
        data = path.read_bytes()
    told = {
        "Content-Disposition": f'attachment; filename="{name}{form.ending}"',
        "Vary": "Accept",
        **headers,
    }
    return Response(data, headers=told, media_type=form.media_type)


def link(rel: str, href: str, form: Form | str, title: str | None = None) -> dict[str, str]:
    """Give a link object of OGC API."""
    media_type = form if isinstance(form, str) else form.media_type
    titled = {} if title is None else {"title": title}
    return {"rel": rel, "href": href, "type": media_type, **titled}
