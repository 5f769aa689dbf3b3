"""Vector tiles of every layer, and of the streets beneath them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import shapely
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from geo_service.api import mvt
from geo_service.api import state as states
from geo_service.api.as_of import AsOf
from geo_service.api.state import State, View
from geo_service.errors import MissingError

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"
MAX_ZOOM = 22
STREETS = "streets"
_NAMED_BY = {"code", "name"}

router = APIRouter(tags=["collections"])


@router.get(
    "/collections/{collection}/tiles/{z}/{x}/{y}",
    summary="A vector tile of a layer",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}}, 204: {"description": "Nothing here"}},
    openapi_extra={"x-example": "/collections/grids/tiles/9/418/204"},
)
def tile(
    request: Request,
    collection: str,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
    state: Annotated[State, Depends(states.of)],
    at: AsOf,
) -> Response:
    """Give the features of a layer in a Web Mercator tile (z/x/y, north on top), as it is or was.

    A layer of names (``grids_names``) lies beside the features: one point inside each.
    ``streets`` holds the walk network's lines.
    """
    if x >= 2**z or y >= 2**z:
        raise MissingError("tile_outside", z=z, x=x, y=y)
    if collection == STREETS:
        stamp = state.streets_stamp()
        if stamp is None:
            raise MissingError("layer_unknown", layer=STREETS, known=", ".join(state.revisions()))
        pyramid, version, view = state.street_lines(), stamp, None
    else:
        view = state.view(collection, at=at)
        pyramid, version = view.pyramid, str(view.revision)
    tag = f'"{collection}-{version}-{pyramid.level(z)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    box = mvt.tile_box(z, x, y)
    rows, geometries = pyramid.cut(mvt.clip_box(box), z)
    layers = [mvt.TileLayer(collection, geometries, _shown(view, rows))]
    if view is not None:
        layers.append(_names(view, box))
    data = mvt.encode(layers, box)
    if not data:
        return Response(status_code=204, headers=headers)
    return Response(data, media_type=MEDIA_TYPE, headers=headers)


def _shown(view: View | None, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[Any]]:
    return {} if view is None else {name: view.drawn[name][rows] for name in view.drawn}


def _names(view: View, box: mvt.Box) -> mvt.TileLayer:
    """The points of names that fall inside the tile itself, so that none is drawn twice."""
    rows = np.sort(view.name_tree.query(shapely.box(*box)))
    points = view.name_points[rows]
    x, y = shapely.get_x(points), shapely.get_y(points)
    rows = rows[(box[0] <= x) & (x < box[2]) & (box[1] < y) & (y <= box[3])]
    named = {name: column[rows] for name, column in view.drawn.items() if name in _NAMED_BY}
    return mvt.TileLayer(f"{view.layer.name}_names", view.name_points[rows], named)
