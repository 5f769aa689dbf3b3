"""Drawing on a draft: operations one by one, undone and redone, while others draw elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from geo_service import crs, masking
from geo_service.api import doors, draft_quality
from geo_service.api import state as states
from geo_service.api.drafts import OWN
from geo_service.api.state import GEOJSON, State
from geo_service.drawing import operations
from geo_service.store.records import DraftEdit

router = APIRouter(tags=["drawing"], dependencies=[doors.requires("planner")])

StateOf = Annotated[State, Depends(states.of)]
Author = Annotated[str, Query(description="Who draws; kept in the draft's history")]
Datum = Annotated[
    str | None,
    Query(
        description="Of the coordinates given and answered: wgs84, cgcs2000, gcj02, bd09 or "
        "EPSG:n; without it they are in the store's plane, where an edit is exact",
        examples=["wgs84"],
    ),
]
Fewest = Annotated[int, Query(ge=0, description="Fewest households wanted of a grid")]
Most = Annotated[int, Query(ge=1, description="Most households wanted of a grid")]


class Area(BaseModel):
    """What is to be drawn on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"layer": "grids", "within": "411002001", "author": "李"}]}
    )

    layer: str = "grids"
    within: str | None = None
    author: str = ""


@router.post("/drafts/open", status_code=201, summary="Make a draft of what is published")
def open_draft(area: Area, request: Request, state: StateOf) -> Response:
    """Take the published grids (of a county, township or community) as a draft, to draw on."""
    doors.admit_area(request, area.within)
    draft = state.store.open_draft(area.layer, within=area.within, author=area.author)
    where = {"Location": f"/drafts/{draft.id}"}
    return _json(draft.to_dict() | {"links": _links(draft.id)}, 201, where)


@router.post(
    "/drafts/{number}/edits",
    status_code=201,
    summary="Do an operation on a draft",
    dependencies=[OWN],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": operations.json_schema()}},
        }
    },
)
def edit(
    number: int,
    state: StateOf,
    operation: Annotated[Any, Body()],
    datum: Datum = None,
    author: Author = "",
) -> Response:
    """Split, merge, move, straighten …; what can't be is refused and changes nothing."""
    asked = operations.read(operation)
    if datum is not None:
        plane = crs.Plane.of(state.store.plane)
        asked = dict(
            operations.carried(asked, partial(plane.forward, datum=crs.parse_datum(datum)))
        )
    done = state.store.draw_on(number, asked, author=author)
    return _edited(state, number, done, [*done.changed, *done.created], datum, 201)


@router.post("/drafts/{number}/undo", summary="Take the last operation back", dependencies=[OWN])
def undo(number: int, state: StateOf, datum: Datum = None) -> Response:
    """Take the last operation on a draft back, to the byte."""
    done = state.store.undo(number)
    return _edited(state, number, done, [*done.changed, *done.retired], datum)


@router.post(
    "/drafts/{number}/redo",
    summary="Do the operation again that was taken back",
    dependencies=[OWN],
)
def redo(number: int, state: StateOf, datum: Datum = None) -> Response:
    """Do the operation again that was taken back last."""
    done = state.store.redo(number)
    return _edited(state, number, done, [*done.changed, *done.created], datum)


@router.get("/drafts/{number}/edits", summary="What was drawn on a draft", dependencies=[OWN])
def history(number: int, state: StateOf) -> Response:
    """List what was done to a draft, oldest first; what was taken back is told as such."""
    edits = [each.to_dict() for each in state.store.drawn_on(number)]
    return _json({"draft": number, "edits": edits, "links": _links(number)})


@router.get(
    "/drafts/{number}/grids",
    summary="The grids of a draft",
    dependencies=[OWN],
    responses={200: {"content": {GEOJSON: {}}}},
)
def grids(number: int, state: StateOf, datum: Datum = None) -> Response:
    """Give a draft's own grids as they are drawn now, for a map to draw on."""
    return Response(orjson.dumps(_features(state, number, None, datum)), media_type=GEOJSON)


@router.get("/drafts/{number}/quality", summary="How good a draft's grids are", dependencies=[OWN])
def quality(number: int, state: StateOf, low: Fewest = 300, high: Most = 500) -> Response:
    """Measure a draft's grids, each and all together, and against what is published there."""
    found = state.store.draft(number)
    return _json({"draft": number, **draft_quality.told(state, found, (low, high))})


def _edited(
    state: State,
    number: int,
    done: DraftEdit,
    codes: Sequence[str],
    datum: str | None,
    status: int = 200,
) -> Response:
    """Answer with the operation and the grids it left changed, for a map to take up."""
    body = {
        "draft": number,
        "edit": done.to_dict(),
        "grids": _features(state, number, codes, datum),
        "links": _links(number),
    }
    return _json(body, status)


def _features(
    state: State, number: int, codes: Sequence[str] | None, datum: str | None
) -> dict[str, Any]:
    """Give some of a draft's grids, or all, as GeoJSON in a datum or the store's plane."""
    grids = state.store.draft_grids(number, codes)
    shapes = np.asarray(grids.geometry.values, object)
    system = state.store.plane
    if datum is not None:
        system = crs.parse_datum(datum)
        inverse = partial(crs.Plane.of(state.store.plane).inverse, datum=system)
        shapes = shapely.transform(shapes, lambda xy: np.column_stack(inverse(*xy.T)))
    rows = masking.records(masking.masked(grids.drop(columns=grids.geometry.name)))
    features = [
        {
            "type": "Feature",
            "id": row["code"],
            "geometry": shapely.geometry.mapping(shape),
            "properties": row,
        }
        for shape, row in zip(shapes, rows, strict=True)
    ]
    return {"type": "FeatureCollection", "datum": system, "features": features}


def _links(number: int) -> dict[str, str]:
    names = ("grids", "edits", "undo", "redo", "quality", "check", "diff", "publish")
    return {name: f"/drafts/{number}/{name}" for name in names}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    return Response(data, status, headers, "application/json")
