"""The landing page, and the standards this service keeps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

import geo_service
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.ogc import forms, pages
from geo_service.api.state import State

_SPEC = "http://www.opengis.net/spec"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"
_CLASSES = {
    "ogcapi-common-1/1.0": ("core", "landing-page", "json", "html"),
    "ogcapi-common-2/1.0": ("collections", "json", "html"),
    "ogcapi-features-1/1.0": ("core", "geojson", "html"),
    "ogcapi-features-2/1.0": ("crs",),
    "ogcapi-features-3/1.0": (
        "queryables", "queryables-query-parameters", "filter", "features-filter",
    ),
    "ogcapi-tiles-1/1.0": ("core", "tileset", "tilesets-list", "geodata-tilesets", "mvt"),
    "tms/2.0": ("tilematrixset", "json-tilematrixset"),
    "ogcapi-processes-1/1.0": (
        "core", "ogc-process-description", "json", "html", "job-list", "dismiss",
    ),
    "cql2/1.0": (
        "cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators",
        "case-insensitive-comparison", "basic-spatial-functions", "basic-spatial-functions-plus",
        "spatial-functions", "property-property", "arithmetic",
    ),
}  # fmt: skip
CONFORMS_TO = [
    f"{_SPEC}/{standard}/conf/{name}" for standard, names in _CLASSES.items() for name in names
]
"""Declared is only what a client in the tests has proved (docs/http.md).

Not ``oas30``: the description of the API is OpenAPI 3.1.
"""

router = APIRouter(tags=["service"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]


@router.get("/", summary="Landing page: where everything is", response_class=Response)
def landing(request: Request, state: StateOf, f: forms.F = None) -> Response:
    """Give the links of the service; a browser is sent to the map."""
    form = forms.chosen(request, forms.PAGES, f)
    if form == forms.HTML and f is None:
        return RedirectResponse("/map")
    base = str(request.base_url)
    info = state.store.info()
    named = (
        ("self", "", form.media_type, "This page"),
        ("service-desc", "openapi.json", "application/vnd.oai.openapi+json;version=3.1", "The API"),
        ("service-doc", "?f=html", "text/html", "The service 网格服务"),
        ("conformance", "conformance", "application/json", "What is conformed to"),
        (f"{_REL}/processes", "processes", "application/json", "What can be computed"),
        (f"{_REL}/job-list", "jobs", "application/json", "The latest jobs"),
        (f"{_REL}/tiling-schemes", "tileMatrixSets", "application/json", "How tiles divide"),
        ("data", "collections", "application/json", "The layers"),
        ("alternate", "map", "text/html", "The map 地图"),
    )
    links = [forms.link(rel, base + path, kind, title) for rel, path, kind, title in named]
    body = {
        "title": info.title or "Geo Service 网格服务",
        "description": "Governance grids: published layers, lookup, walks, sites. 网格服务",
        "synthetic": info.synthetic,
        "version": geo_service.__version__,
        "links": links,
    }
    return pages.landing(request, body) if form == forms.HTML else forms.json(body)


@router.get("/conformance", summary="The standards this service conforms to")
async def conformance() -> dict[str, list[str]]:
    """Give the conformance classes."""
    return {"conformsTo": CONFORMS_TO}
