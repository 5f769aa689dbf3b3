"""Which grid holds a point, ten thousand points, or an address.

The single lookup is the service's busiest question, so its parameters are read by hand (FastAPI's
own parsing of floats costs a quarter of the throughput) and described by hand in the OpenAPI
document; both name the same parameters, which a test checks.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from geo_service import crs, masking
from geo_service.addresses import Address
from geo_service.api import doors, point_tables
from geo_service.api import state as states
from geo_service.api.point_tables import CSV, MAX_POINTS, PARQUET
from geo_service.api.state import State
from geo_service.errors import InputError, Phrase
from geo_service.roles import Caller

JSON = "application/json"
_DATUMS = ", ".join((*crs.DATUMS, "EPSG:…"))


def _parameter(name: str, kind: str, text: str, example: object) -> dict[str, Any]:
    schema = {"type": kind}
    return {"name": name, "in": "query", "schema": schema, "description": text, "example": example}


PARAMETERS = [
    _parameter("lon", "number", "Longitude in `datum`, degrees", 113.8522),
    _parameter("lat", "number", "Latitude in `datum`, degrees", 34.0281),
    _parameter("datum", "string", f"Required with lon and lat, never guessed: {_DATUMS}", "wgs84"),
    _parameter("address", "string", "An address of the city instead of coordinates", None),
    _parameter(
        "at", "string", "The grids as of a revision or a date; without it, as they are", None
    ),
    _parameter(
        "systems", "string", "Other grid systems to answer from too: layers, by comma", None
    ),
    _parameter("accuracy_m", "number", "Name every grid within this many metres too", 15),
]
for _described in PARAMETERS:
    if _described["example"] is None:
        del _described["example"]

router = APIRouter(tags=["locate"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]


class Points(BaseModel):
    """Many points of one datum."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"datum": "gcj02", "points": [[113.8583, 34.0266], [113.4712, 34.1542]]}]
        }
    )

    datum: str
    points: list[tuple[float, float]]


@router.get(
    "/locate",
    summary="The grid of a point or an address",
    openapi_extra={"parameters": PARAMETERS},
    responses={200: {"description": "The grid, or why there is none (`found`: false)"}},
)
async def locate(request: Request) -> Response:
    """Give the grid with its chain up to the city, the distance to its border, and neighbours."""
    request.scope.setdefault("route", DIRECT)  # what the request is counted under
    caller = doors.admit(request, "viewer")
    state = states.of(request)
    given = request.query_params
    accuracy_m = _number(given.get("accuracy_m"), "accuracy_m", least=0.0)
    at = given.get("at")
    gazetteer = state.gazetteer_at_hand() if at is None else None
    if gazetteer is None:
        gazetteer = await run_in_threadpool(state.gazetteer, at=at)
    if "address" in given:
        found = await run_in_threadpool(_find, state, given["address"])
        return _json(gazetteer.answer_address(found, accuracy_m=accuracy_m))
    lon, lat = _required(given.get("lon"), "lon"), _required(given.get("lat"), "lat")
    datum = given.get("datum")
    if not datum:
        raise InputError("datum_missing", known=_DATUMS)
    headers = {"ETag": f'"{gazetteer.tag}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    systems = [name for name in given.get("systems", "").split(",") if name]
    answer = gazetteer.answer(lon, lat, datum=datum, accuracy_m=accuracy_m, systems=systems)
    if answer["found"] and caller.sees_persons_of(answer["grid"]["code"]):
        answer = await run_in_threadpool(_with_persons, state, caller, answer)
        headers["Cache-Control"] = "no-store"
    return _json(answer, headers)


DIRECT = Route("/locate", locate, methods=["GET"])
"""The way past FastAPI's handling of parameters; the router above only describes the question."""


@router.post(
    "/locate",
    summary="The grids of up to 10,000 points",
    response_class=Response,
    openapi_extra={
        "parameters": [PARAMETERS[2], *(p for p in PARAMETERS if p["name"] == "at")],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": Points.model_json_schema()}, CSV: {}, PARQUET: {}},
        },
    },
    responses={200: {"content": {JSON: {}, CSV: {}, PARQUET: {}}}},
)
async def locate_many(request: Request) -> Response:
    """Give one answer per point, in the order asked.

    JSON, or a table (CSV, Parquet with ``lon`` and ``lat``, GeoParquet with points), whose rows
    come back with their grid and the reason where there is none.
    """
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    body, state = await request.body(), states.of(request)
    at, datum = request.query_params.get("at"), request.query_params.get("datum")
    answer = point_tables.answer if kind in point_tables.KINDS else _answer_json
    return await run_in_threadpool(answer, state, body, kind, at, datum)


def _answer_json(
    state: State, body: bytes, _kind: str, at: str | None, _datum: str | None
) -> Response:
    try:
        points = Points.model_validate_json(body or b"null")
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None
    if len(points.points) > MAX_POINTS:
        raise InputError("too_many", limit=MAX_POINTS, count=len(points.points))
    xy = np.array(points.points, dtype=float).reshape(-1, 2)
    gazetteer = state.gazetteer(at=at)
    columns = gazetteer.table(xy[:, 0], xy[:, 1], datum=crs.parse_datum(points.datum))
    names = list(columns)
    values = [np.asarray(columns[name]).tolist() for name in names]
    results = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return _json(
        {
            "datum": points.datum,
            "revision": gazetteer.revision,
            "valid_from": gazetteer.valid_from,
            "count": len(results),
            "found": sum(bool(result["grid_code"]) for result in results),
            "results": results,
        }
    )


@router.get("/addresses", summary="Completions of an address being typed")
def addresses(
    state: StateOf,
    q: Annotated[str, Query(description="What was typed so far", examples=["建设路1"])],
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> Response:
    """Give names of roads, compounds and communities, or house numbers, that go on so."""
    return _json({"suggestions": state.address_book().suggest(q, limit=limit)})


def _with_persons(state: State, caller: Caller, answer: dict[str, Any]) -> dict[str, Any]:
    """Give an answer with the people of its grid, to somebody who may see them."""
    current = answer["revision"] == state.revisions().get("grids")
    view = state.view("grids", at=None if current else answer["revision"])
    rows = np.array([view.row_of[answer["grid"]["code"]]])
    [seen] = masking.records(view.shown_to(caller, rows))
    grid = {name: seen.get(name, value) for name, value in answer["grid"].items()}
    return {**answer, "grid": grid}


def _find(state: State, text: str) -> Address:
    return state.address_book().find(text)


def _required(text: str | None, name: str) -> float:
    if not text:
        raise InputError("parameter_missing", name=name)
    value = _number(text, name)
    assert value is not None
    return value


def _number(text: str | None, name: str, *, least: float | None = None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InputError(
            "parameter_invalid", name=name, value=text, reason=Phrase("不是数字", "not a number")
        ) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError(
            "parameter_invalid",
            name=name,
            value=text,
            reason=Phrase("不是有限的数字", "not a finite number"),
        )
    if least is not None and value < least:
        raise InputError(
            "parameter_invalid",
            name=name,
            value=text,
            reason=Phrase(f"不能小于 {least:g}", f"at least {least:g}"),
        )
    return value


def _json(answer: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    data = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, media_type=JSON, headers=headers)
