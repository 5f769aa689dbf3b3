"""Which grid holds a point, ten thousand points, or an address.

The single lookup is the service's busiest question, so its parameters are read by hand (FastAPI's
own parsing of floats costs a quarter of the throughput) and described by hand in the OpenAPI
document; both name the same parameters, which a test checks.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from geo_service import crs
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.errors import InputError

MAX_POINTS = 10_000
_DATUMS = ", ".join((*crs.DATUMS, "EPSG:…"))


def _parameter(name: str, kind: str, text: str, example: object) -> dict[str, Any]:
    schema = {"type": kind}
    return {"name": name, "in": "query", "schema": schema, "description": text, "example": example}


PARAMETERS = [
    _parameter("lon", "number", "Longitude in `datum`, degrees", 113.8522),
    _parameter("lat", "number", "Latitude in `datum`, degrees", 34.0281),
    _parameter("datum", "string", f"Required with lon and lat, never guessed: {_DATUMS}", "wgs84"),
    _parameter("address", "string", "An address of the city instead of coordinates", None),
    _parameter("accuracy_m", "number", "Name every grid within this many metres too", 15),
]
for _described in PARAMETERS:
    if _described["example"] is None:
        del _described["example"]

router = APIRouter(tags=["locate"])

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
    state = states.of(request)
    given = request.query_params
    accuracy_m = _number(given.get("accuracy_m"), "accuracy_m", least=0.0)
    if "address" in given:
        answer = await run_in_threadpool(_by_address, state, given["address"], accuracy_m)
        return _json(answer)
    lon, lat = _required(given.get("lon"), "lon"), _required(given.get("lat"), "lat")
    datum = given.get("datum")
    if not datum:
        raise InputError("datum_missing", known=_DATUMS)
    gazetteer = state.gazetteer_if_current()
    if gazetteer is None:
        gazetteer = await run_in_threadpool(state.gazetteer)
    return _json(gazetteer.answer(lon, lat, datum=datum, accuracy_m=accuracy_m))


DIRECT = Route("/locate", locate, methods=["GET"])
"""The way past FastAPI's handling of parameters; the router above only describes the question."""


@router.post("/locate", summary="The grids of up to 10,000 points")
def locate_many(points: Annotated[Points, Body()], state: StateOf) -> Response:
    """Give one answer per point, in the order asked."""
    if len(points.points) > MAX_POINTS:
        raise InputError("too_many", limit=MAX_POINTS, count=len(points.points))
    xy = np.array(points.points, dtype=float).reshape(-1, 2)
    gazetteer = state.gazetteer()
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


def _by_address(state: State, text: str, accuracy_m: float | None) -> dict[str, Any]:
    found = state.address_book().find(text)
    return state.gazetteer().answer_address(found, accuracy_m=accuracy_m)


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
        raise InputError("parameter_invalid", name=name, value=text, reason="…") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError("parameter_invalid", name=name, value=text, reason="NaN / ∞")
    if least is not None and value < least:
        raise InputError("parameter_invalid", name=name, value=text, reason=f"< {least:g}")
    return value


def _json(answer: dict[str, Any]) -> Response:
    data = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, media_type="application/json")
