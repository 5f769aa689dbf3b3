"""OGC API - Features, Part 1: published layers as collections of GeoJSON features.

Coordinates are WGS84 (CRS84: longitude first), derived from the store's plane. Pages are cut from
one revision: the ``next`` link names it, so that a publication in between shifts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import shapely
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from geo_service import codes, masking
from geo_service.api import state as states
from geo_service.api.as_of import DateTime, Revision, as_of
from geo_service.api.state import GEOMETRY, State, View
from geo_service.errors import InputError, MissingError

GEOJSON = "application/geo+json"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
MAX_LIMIT = 10_000
_RESERVED = {"bbox", "limit", "offset", "datetime", "revision", "f"}

router = APIRouter(tags=["collections"])

StateOf = Annotated[State, Depends(states.of)]


@router.get("/collections", summary="The published layers")
def collections(request: Request, state: StateOf) -> Response:
    """List the published layers, each with its extent and revision."""
    base = str(request.base_url)
    found = [_collection(state.view(name), base) for name in state.revisions()]
    return _json(
        {"collections": found, "links": [_link("self", f"{base}collections", "application/json")]}
    )


@router.get("/collections/{collection}", summary="One published layer")
def collection(request: Request, collection: str, state: StateOf) -> Response:
    """Tell what a layer is: its extent, its revision, its fields."""
    view = state.view(collection)
    described = _collection(view, str(request.base_url))
    fields = [name for name in view.frame.columns if name != GEOMETRY]
    return _json({**described, "fields": fields})


@router.get(
    "/collections/{collection}/items",
    summary="Features of a layer",
    response_class=Response,
    responses={200: {"content": {GEOJSON: {}}}},
)
def items(
    request: Request,
    collection: str,
    state: StateOf,
    bbox: Annotated[
        str | None,
        Query(description="west,south,east,north in degrees", examples=["113.8,34.0,113.9,34.1"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LIMIT}")] = 10,
    offset: Annotated[int, Query(ge=0, description="Features to pass over, by code")] = 0,
    datetime: DateTime = None,
    revision: Revision = None,
) -> Response:
    """Give features by rising code; any field of the layer is a filter (``?name=第一网格``)."""
    view = state.view(collection, at=as_of(revision, datetime))
    rows = _matching(view, bbox, _filters(request, view))
    limit = min(limit, MAX_LIMIT)
    page = rows[offset : offset + limit]
    links = [_link("self", str(request.url), GEOJSON)]
    if offset + limit < len(rows):
        onward = {**request.query_params, "revision": view.revision, "limit": limit,
                  "offset": offset + limit}  # fmt: skip
        onward.pop("datetime", None)
        links.append(_link("next", f"{request.url.replace(query='')}?{urlencode(onward)}", GEOJSON))
    body = {
        "type": "FeatureCollection",
        "numberMatched": len(rows),
        "numberReturned": len(page),
        "timeStamp": _now(),
        "revision": view.revision,
        "links": links,
        "features": features(view, page),
    }
    return _json(body, GEOJSON)


@router.get(
    "/collections/{collection}/items/{code}",
    summary="One feature by its code",
    response_class=Response,
    responses={200: {"content": {GEOJSON: {}}}},
)
def item(
    request: Request,
    collection: str,
    code: str,
    state: StateOf,
    datetime: DateTime = None,
    revision: Revision = None,
) -> Response:
    """Give one feature, as it is or as it was."""
    view = state.view(collection, at=as_of(revision, datetime))
    row = view.row_of.get(code)
    if row is None:
        raise MissingError("code_unknown", code=code, what=view.layer.zh)
    [feature] = features(view, np.array([row]))
    base = f"{request.base_url}collections/{collection}"
    links = [_link("self", str(request.url), GEOJSON),
             _link("collection", base, "application/json")]  # fmt: skip
    return _json({**feature, "revision": view.revision, "links": links}, GEOJSON)


def features(view: View, rows: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
    """Give rows of a view as GeoJSON features, ready for orjson."""
    geometries = shapely.to_geojson(view.lonlat[rows])
    table = masking.records(view.frame.drop(columns=GEOMETRY).iloc[rows])
    return [
        {
            "type": "Feature",
            "id": record["code"],
            "geometry": orjson.Fragment(geometry),
            "properties": record,
        }
        for record, geometry in zip(table, geometries, strict=True)
    ]


def _collection(view: View, base: str) -> dict[str, Any]:
    name = view.layer.name
    here = f"{base}collections/{name}"
    return {
        "id": name,
        "title": f"{view.layer.zh} {name.replace('_', ' ').capitalize()}",
        "itemType": "feature",
        "level": view.layer.level if view.layer.level in codes.LEVELS else None,
        "revision": view.revision,
        "features": len(view.frame),
        "extent": {
            "spatial": {"bbox": [view.bounds], "crs": CRS84},
            "temporal": {"interval": [[view.published_at, None]]},
        },
        "crs": [CRS84],
        "links": [
            _link("self", here, "application/json"),
            _link("items", f"{here}/items", GEOJSON),
            {**_link("item-tiles", f"{here}/tiles/{{z}}/{{x}}/{{y}}",
                     "application/vnd.mapbox-vector-tile"), "templated": True},
        ],
    }  # fmt: skip


def _matching(view: View, bbox: str | None, filters: Mapping[str, str]) -> npt.NDArray[np.intp]:
    """The rows that meet a box and all filters, rising."""
    rows = np.arange(len(view.frame))
    if bbox is not None:
        rows = np.sort(view.tree.query(shapely.box(*_box(bbox)), predicate="intersects"))
    for name, wanted in filters.items():
        column = view.frame[name].iloc[rows]
        if pd.api.types.is_numeric_dtype(column.dtype):
            number = pd.to_numeric(wanted, errors="coerce")
            rows = rows[(column == number).fillna(False).to_numpy(bool)]
        else:
            rows = rows[(column.astype(object) == wanted).to_numpy(bool)]
    return rows


def _box(text: str) -> tuple[float, float, float, float]:
    reason = "west,south,east,north in degrees, south below north"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError("parameter_invalid", name="bbox", value=text, reason=reason) from None
    if len(numbers) == 6:  # with heights, which flat features do not have
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise InputError("parameter_invalid", name="bbox", value=text, reason=reason)
    west, south, east, north = numbers
    if south > north or west > east:
        raise InputError("parameter_invalid", name="bbox", value=text, reason=reason)
    return west, south, east, north


def _filters(request: Request, view: View) -> dict[str, str]:
    given = {key: value for key, value in request.query_params.items() if key not in _RESERVED}
    fields = [name for name in view.frame.columns if name != GEOMETRY]
    for name in given:
        if name not in fields:
            raise InputError("parameter_unknown", name=name, known=", ".join(fields))
    return given


def _link(rel: str, href: str, media_type: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": media_type}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: Any, media_type: str = "application/json") -> Response:
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(data, media_type=media_type)
