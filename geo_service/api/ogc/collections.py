"""Which layers are published, what each holds, and what one can filter by."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from geo_service import codes, layers
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.as_of import AsOf
from geo_service.api.ogc import forms, pages, selection, systems
from geo_service.api.state import State, View

MVT = "application/vnd.mapbox-vector-tile"
_QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
_SHAPES = {
    "Point": "point", "LineString": "linestring", "Polygon": "polygon",
    "MultiPoint": "multipoint", "MultiLineString": "multilinestring",
    "MultiPolygon": "multipolygon",
}  # fmt: skip
_FIELDS_ZH = {field.name: field.zh for field in layers.FIELDS}

router = APIRouter(tags=["collections"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]


@router.get("/collections", summary="The published layers", response_class=Response)
def collections(request: Request, state: StateOf, f: forms.F = None) -> Response:
    """List the published layers, each with its extent and revision."""
    form = forms.chosen(request, forms.PAGES, f)
    base = str(request.base_url)
    views = [state.view(name) for name in state.revisions()]
    body = {
        "collections": [described(view, base) for view in views],
        "crs": list(systems.offered(selection.plane_epsg(views[0]))) if views else [],
        "links": _own_links(f"{base}collections", form),
    }
    if form == forms.HTML:
        return pages.collections(request, body)
    return forms.json(body)


@router.get("/collections/{collection}", summary="One published layer", response_class=Response)
def collection(
    request: Request, collection: str, state: StateOf, at: AsOf, f: forms.F = None
) -> Response:
    """Tell what a layer is: its extent, its revision, its fields."""
    form = forms.chosen(request, forms.PAGES, f)
    view = state.view(collection, at=at)
    body = {**described(view, str(request.base_url)), "fields": selection.fields(view)}
    if form == forms.HTML:
        history = [r.to_dict() for r in reversed(state.store.history(collection))]
        return pages.collection(request, body, _properties(view), history)
    return forms.json(body)


@router.get(
    "/collections/{collection}/queryables",
    summary="What one can filter a layer by",
    response_class=Response,
)
def queryables(
    request: Request, collection: str, state: StateOf, at: AsOf, f: forms.F = None
) -> Response:
    """Give the fields and their types as a JSON Schema."""
    return _schema(request, state.view(collection, at=at), f, "queryables")


@router.get(
    "/collections/{collection}/schema", summary="The fields of a layer", response_class=Response
)
def schema(
    request: Request, collection: str, state: StateOf, at: AsOf, f: forms.F = None
) -> Response:
    """Give the fields of the features and their types as a JSON Schema."""
    return _schema(request, state.view(collection, at=at), f, "schema")


def described(view: View, base: str) -> dict[str, Any]:
    """Describe a layer as OGC API - Features does."""
    name = view.layer.name
    here = f"{base}collections/{name}"
    offered = systems.offered(selection.plane_epsg(view))
    own = selection.plane_epsg(view)
    storage = {} if own is None else {"storageCrs": systems.of_epsg(own).uri}
    return {
        "id": name,
        "title": f"{view.layer.zh} {name.replace('_', ' ').capitalize()}",
        "description": f"{view.layer.zh}，第 {view.revision} 版。Revision {view.revision}.",
        "itemType": "feature",
        "level": view.layer.level if view.layer.level in codes.LEVELS else None,
        "revision": view.revision,
        "features": len(view.frame),
        "extent": {
            "spatial": {"bbox": [view.bounds], "crs": systems.CRS84},
            "temporal": {"interval": [[view.published_at, None]]},
        },
        "crs": list(offered),
        **storage,
        "links": [
            forms.link("self", here, forms.JSON),
            forms.link("alternate", f"{here}?f=html", forms.HTML),
            *(
                forms.link("items", f"{here}/items?f={form.name}", form, form.title)
                for form in forms.FEATURES
            ),
            forms.link(_QUERYABLES, f"{here}/queryables", forms.SCHEMA),
            forms.link("describedby", f"{here}/schema", forms.SCHEMA),
            forms.link(_TILESETS, f"{here}/tiles", forms.JSON),
            {**forms.link("item-tiles", f"{here}/tiles/{{z}}/{{x}}/{{y}}", MVT),
             "templated": True},
        ],
    }  # fmt: skip


def _schema(request: Request, view: View, named: str | None, what: str) -> Response:
    form = forms.chosen(request, (forms.SCHEMA, forms.HTML), named)
    here = f"{request.base_url}collections/{view.layer.name}/{what}"
    body = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": here,
        "type": "object",
        "title": f"{view.layer.zh} {view.layer.name}",
        "properties": _properties(view),
        "additionalProperties": False,
    }
    if form == forms.HTML:
        return pages.fields(request, body)
    return forms.json(body, forms.SCHEMA)


def _properties(view: View) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(selection.fields(view), 1):
        found[name] = {
            "title": _FIELDS_ZH.get(name, name),
            **_type(view.frame[name]),
            "x-ogc-propertySeq": place,
        }
    found["code"] |= {"x-ogc-role": "id"}
    kinds = {_SHAPES.get(kind, "any") for kind in set(view.frame.geometry.geom_type)}
    kind = kinds.pop() if len(kinds) == 1 else "any"
    found["geometry"] = {"format": f"geometry-{kind}", "x-ogc-role": "primary-geometry"}
    return found


def _type(column: pd.Series[Any]) -> dict[str, str]:
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return {"type": "boolean"}
    if pd.api.types.is_integer_dtype(kind):
        return {"type": "integer"}
    if pd.api.types.is_numeric_dtype(kind):
        return {"type": "number"}
    if pd.api.types.is_datetime64_any_dtype(kind):
        return {"type": "string", "format": "date-time"}
    return {"type": "string"}


def _own_links(here: str, form: forms.Form) -> list[dict[str, str]]:
    other = forms.HTML if form == forms.JSON else forms.JSON
    return [
        forms.link("self", here, form),
        forms.link("alternate", f"{here}?f={other.name}", other),
    ]
