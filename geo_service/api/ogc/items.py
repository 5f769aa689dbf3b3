"""OGC API - Features: the features of a published layer, page by page or as a whole file.

Pages are cut from one revision: the ``next`` link names it, so that a publication in between shifts
nothing. In the store's own system coordinates are given as they were published, in every other they
are derived from it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import orjson
import shapely
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from geo_service import masking
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.as_of import AsOf
from geo_service.api.ogc import cql2, forms, pages, selection, systems
from geo_service.api.ogc.selection import Question
from geo_service.api.ogc.systems import System
from geo_service.api.state import State, View
from geo_service.errors import MissingError
from geo_service.roles import Caller

MAX_LIMIT = 10_000
_USUAL_LIMIT = 10
_RESERVED = {
    "bbox", "bbox-crs", "crs", "limit", "offset", "datetime", "revision", "at", "f", "filter",
    "filter-lang", "filter-crs",
}  # fmt: skip
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {form.media_type: {} for form in forms.FEATURES}}
}

router = APIRouter(tags=["collections"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]
Crs = Annotated[
    str | None, Query(alias="crs", description="URI of the answer's system; CRS84 if not said")
]


@router.get(
    "/collections/{collection}/items",
    summary="Features of a layer",
    response_class=Response,
    responses=_ANSWERS,
)
def items(
    request: Request,
    collection: str,
    state: StateOf,
    at: AsOf,
    bbox: Annotated[
        str | None,
        Query(description="west,south,east,north", examples=["113.8,34.0,113.9,34.1"]),
    ] = None,
    bbox_crs: Annotated[
        str | None, Query(alias="bbox-crs", description="URI of the box's system")
    ] = None,
    wanted_crs: Crs = None,
    filter: Annotated[
        str | None, Query(description="CQL2", examples=["households > 300 AND name LIKE '第%'"])
    ] = None,
    filter_lang: Annotated[
        cql2.Language, Query(alias="filter-lang", description="How the filter is written")
    ] = "cql2-text",
    filter_crs: Annotated[
        str | None, Query(alias="filter-crs", description="URI of the system of its geometries")
    ] = None,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            description=f"Of a page: {_USUAL_LIMIT} unless said, at most {MAX_LIMIT}; "
            "files (csv, parquet, fgb) hold everything unless said",
        ),
    ] = None,
    offset: Annotated[int, Query(ge=0, description="Features to pass over, by code")] = 0,
    f: forms.F = None,
) -> Response:
    """Give features by rising code; any field of the layer is a filter (``?name=第一网格``)."""
    form = forms.chosen(request, forms.FEATURES, f)
    view, existed = _as_it_was(state, collection, at)
    system = _system(view, wanted_crs)
    named = {key: value for key, value in request.query_params.items() if key not in _RESERVED}
    question = Question(
        bbox=bbox, bbox_crs=bbox_crs, fields=selection.known_fields(named, view),
        filter=filter, filter_crs=filter_crs, filter_lang=filter_lang,
    )  # fmt: skip
    rows = selection.rows(view, question)
    rows = rows if existed else rows[:0]
    size = len(rows) if form in forms.FILES and limit is None else (limit or _USUAL_LIMIT)
    size = size if form in forms.FILES else min(size, MAX_LIMIT)
    page = rows[offset : offset + size]
    links = _links(request, view, form, offset=offset, size=size, matched=len(rows))
    counted = {"matched": len(rows), "returned": len(page)}
    if form in forms.FILES:
        return _file(request, view, page, system, form, links, counted)
    if form == forms.HTML:
        return pages.items(request, view, page, system, links, offset=offset, **counted)
    body = {
        "type": "FeatureCollection",
        "numberMatched": counted["matched"],
        "numberReturned": counted["returned"],
        "timeStamp": _now(),
        "revision": view.revision,
        "links": links,
        "features": features(view, page, system, doors.of(request)),
    }
    return forms.json(body, forms.GEOJSON, _told(view, system))


@router.get(
    "/collections/{collection}/items/{code}",
    summary="One feature by its code",
    response_class=Response,
    responses=_ANSWERS,
)
def item(
    request: Request,
    collection: str,
    code: str,
    state: StateOf,
    at: AsOf,
    wanted_crs: Crs = None,
    f: forms.F = None,
) -> Response:
    """Give one feature, as it is or as it was."""
    form = forms.chosen(request, forms.FEATURES, f)
    view = state.view(collection, at=at)
    system = _system(view, wanted_crs)
    row = view.row_of.get(code)
    if row is None:
        raise MissingError("code_unknown", code=code, what=view.layer.zh)
    rows = np.array([row])
    here = request.url.replace(query="")
    links = [
        forms.link("self", str(request.url), form),
        forms.link("collection", f"{request.base_url}collections/{collection}", forms.JSON),
        *_alternates(str(here), {"revision": view.revision}, form),
    ]
    if form in forms.FILES:
        return _file(request, view, rows, system, form, links, {"matched": 1, "returned": 1})
    if form == forms.HTML:
        return pages.item(request, view, row, links)
    [feature] = features(view, rows, system, doors.of(request))
    told = {**feature, "revision": view.revision, "links": links}
    return forms.json(told, forms.GEOJSON, _told(view, system))


def features(
    view: View, rows: npt.NDArray[np.intp], system: System, caller: Caller
) -> list[dict[str, Any]]:
    """Give rows of a view as GeoJSON features, ready for orjson."""
    geometries = shapely.to_geojson(system.written(view.in_system(system.epsg)[0][rows]))
    table = masking.records(view.shown_to(caller, rows))
    return [
        {
            "type": "Feature",
            "id": record["code"],
            "geometry": orjson.Fragment(geometry),
            "properties": record,
        }
        for record, geometry in zip(table, geometries, strict=True)
    ]


def _as_it_was(state: State, collection: str, at: int | str | None) -> tuple[View, bool]:
    """The layer at a moment; before its first revision the layer as it is, and that it was not."""
    try:
        return state.view(collection, at=at), True
    except MissingError as error:
        if error.code != "revision_unknown" or isinstance(at, int):
            raise
        return state.view(collection), False


def _system(view: View, named: str | None) -> System:
    if named is None:
        return systems.LONLAT
    return systems.find(named, selection.plane_epsg(view), name="crs")


def _file(
    request: Request,
    view: View,
    rows: npt.NDArray[np.intp],
    system: System,
    form: forms.Form,
    links: list[dict[str, str]],
    counted: dict[str, int],
) -> Response:
    geometries = view.in_system(system.epsg)[0][rows]
    frame = gpd.GeoDataFrame(
        view.shown_to(doors.of(request), rows).reset_index(drop=True),
        geometry=gpd.GeoSeries(geometries, crs=system.epsg),
    )
    linked = ", ".join(
        f'<{link["href"]}>; rel="{link["rel"]}"; type="{link["type"]}"'
        for link in links
        if link["rel"] in {"self", "next", "prev"}
    )
    headers = {
        **_told(view, system),
        "OGC-NumberMatched": str(counted["matched"]),
        "OGC-NumberReturned": str(counted["returned"]),
        "Link": linked,
    }
    return forms.file(frame, form, view.layer.name, headers)


def _links(
    request: Request, view: View, form: forms.Form, *, offset: int, size: int, matched: int
) -> list[dict[str, str]]:
    here = str(request.url.replace(query=""))
    asked = {k: v for k, v in request.query_params.items() if k not in {"datetime", "at", "f"}}
    asked |= {"revision": str(view.revision)}
    links = [forms.link("self", str(request.url), form), *_alternates(here, asked, form)]
    form_asked = {"f": form.name} if "f" in request.query_params else {}
    if offset + size < matched:
        onward = {**asked, **form_asked, "limit": size, "offset": offset + size}
        links.append(forms.link("next", f"{here}?{urlencode(onward)}", form))
    if offset > 0:
        back = {**asked, **form_asked, "limit": size, "offset": max(offset - size, 0)}
        links.append(forms.link("prev", f"{here}?{urlencode(back)}", form))
    return links


def _alternates(here: str, asked: dict[str, Any], form: forms.Form) -> list[dict[str, str]]:
    return [
        forms.link("alternate", f"{here}?{urlencode({**asked, 'f': other.name})}", other,
                   other.title)
        for other in forms.FEATURES
        if other != form
    ]  # fmt: skip


def _told(view: View, system: System) -> dict[str, str]:
    return {"Content-Crs": f"<{system.uri}>", "Geo-Service-Revision": str(view.revision)}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
