"""OGC API - Tiles: vector tiles of every layer and of the streets, TileJSON, and a style.

One tile matrix set: WebMercatorQuad, the one of web maps. Beside the standard's order (zoom, row,
column) the short address takes zoom, x, y, as map programs write it.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.as_of import AsOf
from geo_service.api.ogc import forms
from geo_service.api.ogc.collections import MVT
from geo_service.api.state import State
from geo_service.errors import MissingError
from geo_service.tiles import TileSource, mvt, pyramid, styles
from geo_service.tiles.source import MAX_ZOOM

STREETS = "streets"
QUAD = "WebMercatorQuad"
_SET_URI = f"http://www.opengis.net/def/tilematrixset/OGC/1.0/{QUAD}"
_MERCATOR_URI = "http://www.opengis.net/def/crs/EPSG/0/3857"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"
_PIXEL_M = 0.00028  # OGC's standardised rendering pixel
_TILE_PIXELS = 256
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {MVT: {}}},
    204: {"description": "Nothing here"},
}

router = APIRouter(tags=["tiles"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]
Z = Annotated[int, Path(ge=0, le=MAX_ZOOM)]
At = Annotated[int, Path(ge=0)]


@router.get(
    "/collections/{collection}/tiles/{z}/{x}/{y}",
    summary="A vector tile of a layer: zoom, column, row",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra={"x-example": "/collections/grids/tiles/9/418/204"},
)
def tile(
    request: Request, collection: str, z: Z, x: At, y: At, state: StateOf, at: AsOf
) -> Response:
    """Give the features of a layer in a Web Mercator tile (north on top), as it is or was.

    A layer of names (``grids_names``) lies beside the features: one point inside each.
    ``streets`` holds the walk network's lines.
    """
    if x >= 2**z or y >= 2**z:
        raise MissingError("tile_outside", z=z, x=x, y=y)
    number, saved = state.saved_tiles(collection) if at is None else (0, None)
    if saved is not None and z <= saved.finest_zoom:
        tag, draw = f'"{collection}-{number}-{pyramid.wanted(z)}"', saved.tile
    else:
        source, version = _source(state, collection, at)
        tag, draw = f'"{collection}-{version}-{source.pyramid.level(z)}"', source.tile
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    data = draw(z, x, y)
    if not data:
        return Response(status_code=204, headers=headers)
    return Response(data, media_type=MVT, headers=headers)


@router.get(
    "/collections/{collection}/tiles/{matrix_set}/{z}/{row}/{column}",
    summary="A vector tile of a layer, as OGC API - Tiles orders it: zoom, row, column",
    response_class=Response,
    responses=_ANSWERS,
)
def ogc_tile(
    request: Request,
    collection: str,
    matrix_set: str,
    z: Z,
    row: At,
    column: At,
    state: StateOf,
    at: AsOf,
    f: Annotated[str | None, Query(description="mvt")] = None,
) -> Response:
    """Give the same tile under the standard's address."""
    _require_quad(matrix_set)
    if f is not None:
        forms.chosen(request, (_TILE,), f)
    return tile(request, collection, z, column, row, state, at)


@router.get("/collections/{collection}/tiles", summary="The tile sets of a layer")
def tilesets(request: Request, collection: str, state: StateOf, at: AsOf) -> Response:
    """List the tile sets of a layer: one."""
    source, _ = _source(state, collection, at)
    described = _tileset(request, source, collection, at)
    here = f"{request.base_url}collections/{collection}/tiles"
    return forms.json({"links": [forms.link("self", here, forms.JSON)], "tilesets": [described]})


@router.get("/collections/{collection}/tiles/{matrix_set}", summary="A tile set of a layer")
def tileset(
    request: Request,
    collection: str,
    matrix_set: str,
    state: StateOf,
    at: AsOf,
    f: Annotated[str | None, Query(description="json or tilejson")] = None,
) -> Response:
    """Describe a tile set, as the standard does or as TileJSON 3."""
    _require_quad(matrix_set)
    form = forms.chosen(request, (forms.JSON, _TILEJSON), f)
    source, version = _source(state, collection, at)
    if form == _TILEJSON:
        return forms.json(_tilejson(request, source, collection, version, at))
    return forms.json(_tileset(request, source, collection, at, whole=True))


@router.get("/collections/{collection}/style", summary="A MapLibre style of a layer")
def style(request: Request, collection: str, state: StateOf, at: AsOf) -> Response:
    """Give a style that draws the layer's tiles; MapLibre and QGIS read it."""
    source, version = _source(state, collection, at)
    described = _tilejson(request, source, collection, version, at)
    return forms.json(styles.style(source, described))


@router.get("/tileMatrixSets", summary="How tiles divide the world")
async def matrix_sets(request: Request) -> Response:
    """List the tile matrix sets: WebMercatorQuad."""
    here = f"{request.base_url}tileMatrixSets/{QUAD}"
    one = {
        "id": QUAD,
        "title": "Google Maps Compatible for the World",
        "uri": _SET_URI,
        "links": [forms.link("self", here, forms.JSON)],
    }
    return forms.json({"tileMatrixSets": [one]})


@router.get("/tileMatrixSets/{matrix_set}", summary="How one set divides the world")
async def matrix_set(matrix_set: str) -> Response:
    """Give a tile matrix set (OGC 17-083r4)."""
    _require_quad(matrix_set)
    x0, _, _, y1 = mvt.tile_box(0, 0, 0)
    matrices = []
    for z in range(MAX_ZOOM + 1):
        cell = mvt.pixel_m(z) * 512 / _TILE_PIXELS
        matrices.append({
            "id": str(z), "scaleDenominator": cell / _PIXEL_M, "cellSize": cell,
            "pointOfOrigin": [x0, y1], "tileWidth": _TILE_PIXELS, "tileHeight": _TILE_PIXELS,
            "matrixWidth": 2**z, "matrixHeight": 2**z,
        })  # fmt: skip
    return forms.json(
        {
            "id": QUAD,
            "title": "Google Maps Compatible for the World",
            "uri": _SET_URI,
            "crs": _MERCATOR_URI,
            "orderedAxes": ["X", "Y"],
            "wellKnownScaleSet": "http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
            "tileMatrices": matrices,
        }
    )


_TILE = forms.Form("mvt", MVT, ".mvt", "MVT")
_TILEJSON = forms.Form("tilejson", "application/vnd.mapbox.tile+json", ".json", "TileJSON")


def _source(state: State, collection: str, at: int | str | None) -> tuple[TileSource, str]:
    if collection != STREETS:
        view = state.view(collection, at=at)
        return view.tile_source, str(view.revision)
    stamp = state.streets_stamp()
    if stamp is None:
        raise MissingError("layer_unknown", layer=STREETS, known=", ".join(state.revisions()))
    return state.street_tiles(), stamp


def _require_quad(matrix_set: str) -> None:
    if matrix_set != QUAD:
        raise MissingError("not_found", what=f"tile matrix set “{matrix_set}”; there is {QUAD}")


def _template(request: Request, collection: str, address: str, at: int | str | None) -> str:
    asked = "" if at is None else f"?{urlencode({'at': at})}"
    return f"{request.base_url}collections/{collection}/tiles/{address}{asked}"


def _tilejson(
    request: Request, source: TileSource, collection: str, version: str, at: int | str | None
) -> dict[str, Any]:
    address = _template(request, collection, "{z}/{x}/{y}", at)
    # TileJSON wants a semantic version; ours counts revisions (streets: the state of the file).
    return styles.tilejson(source, address, title=collection, version=f"{version}.0.0")


def _tileset(
    request: Request,
    source: TileSource,
    collection: str,
    at: int | str | None,
    *,
    whole: bool = False,
) -> dict[str, Any]:
    here = f"{request.base_url}collections/{collection}/tiles/{QUAD}"
    address = _template(request, collection, f"{QUAD}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}", at)
    west, south, east, north = styles.lonlat_bounds(source)
    links = [
        forms.link("self", here, forms.JSON),
        forms.link("describedby", f"{here}?f=tilejson", _TILEJSON, "TileJSON"),
        forms.link("stylesheet", f"{request.base_url}collections/{collection}/style", forms.JSON),
        {**forms.link("item", address, MVT), "templated": True},
        forms.link(f"{_REL}/tiling-scheme", f"{request.base_url}tileMatrixSets/{QUAD}",
                   forms.JSON),
    ]  # fmt: skip
    described: dict[str, Any] = {
        "title": collection,
        "dataType": "vector",
        "crs": _MERCATOR_URI,
        "tileMatrixSetURI": _SET_URI,
        "links": links,
    }
    if whole:
        described["boundingBox"] = {
            "lowerLeft": [west, south],
            "upperRight": [east, north],
            "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        }
        described["layers"] = [
            {"id": layer["id"], "dataType": "vector"} for layer in styles.vector_layers(source)
        ]
    return described
