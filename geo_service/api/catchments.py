"""How far one can walk: catchments as GeoJSON, and the walk between two places."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Body, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.responses import Response

from geo_service import catchments as catchments_room
from geo_service import crs
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.state import GEOJSON, State
from geo_service.errors import InputError, Phrase
from geo_service.streets import tag_rules

MAX_ORIGINS = 500
MAX_RINGS = 12
MAX_MINUTES = 120.0
_PEOPLE = "population"

router = APIRouter(tags=["walks"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]
Reach = Literal["nearest", "any"]
Datum = Annotated[
    str, Query(description="wgs84, cgcs2000, gcj02, bd09 or EPSG:n", examples=["wgs84"])
]
WalkerName = Annotated[str, AfterValidator(tag_rules.shipped)]
Walker = Annotated[WalkerName, Query(description="adult, senior or courier")]
Speed = Annotated[float | None, Query(gt=0, lt=30, description="km/h, instead of the walker's")]


class Origins(BaseModel):
    """Many places to walk from."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {"datum": "wgs84", "points": [[113.8522, 34.0281]], "minutes": [5, 10, 15]}
            ]
        },
    )

    datum: str
    points: list[tuple[float, float]]
    minutes: list[float] = [15.0]
    profile: WalkerName = "adult"
    speed_kmh: float | None = None
    reach: Reach = "nearest"
    smooth: bool = False
    people: bool = False


@router.get("/catchments", summary="Where a walk of some minutes reaches", response_class=Response,
            responses={200: {"content": {GEOJSON: {}}}})  # fmt: skip
def catchment(
    state: StateOf,
    lon: Annotated[float, Query(examples=[113.8522])],
    lat: Annotated[float, Query(examples=[34.0281])],
    datum: Datum,
    minutes: Annotated[str, Query(description="One or more", examples=["5,10,15"])] = "15",
    profile: Walker = "adult",
    speed_kmh: Speed = None,
    reach: Annotated[Reach, Query(description="By the nearest street, or any near")] = "nearest",
    smooth: Annotated[bool, Query(description="Without the steps of cells")] = False,
    people: Annotated[bool, Query(description="Count the people of the grids within")] = False,
) -> Response:
    """Give one area per number of minutes, each inside the next."""
    origins = Origins(
        datum=datum, points=[(lon, lat)], minutes=_minutes(minutes), profile=profile,
        speed_kmh=speed_kmh, reach=reach, smooth=smooth, people=people,
    )  # fmt: skip
    # One place without a street near it is refused; among many it is told by an empty area.
    state.network(profile).snap(lon, lat, datum=crs.parse_datum(datum))
    return _answer(state, origins)


@router.post("/catchments", summary="The same from many places", response_class=Response,
             responses={200: {"content": {GEOJSON: {}}}})  # fmt: skip
def catchments(state: StateOf, origins: Annotated[Origins, Body()]) -> Response:
    """Give the areas of up to 500 places; ``origin`` is the place's number in the question."""
    if len(origins.points) > MAX_ORIGINS:
        raise InputError("too_many", limit=MAX_ORIGINS, count=len(origins.points))
    if not origins.points:
        raise InputError("parameter_missing", name="points")
    return _answer(state, origins)


@router.get("/routes", summary="The walk between two places", response_class=Response,
            responses={200: {"content": {GEOJSON: {}}}})  # fmt: skip
def route(
    state: StateOf,
    from_lon: Annotated[float, Query(examples=[113.8522])],
    from_lat: Annotated[float, Query(examples=[34.0281])],
    to_lon: Annotated[float, Query(examples=[113.8601])],
    to_lat: Annotated[float, Query(examples=[34.0335])],
    datum: Datum,
    profile: Walker = "adult",
    speed_kmh: Speed = None,
) -> Response:
    """Give the way as a line, with its metres, its minutes and the steps to walk it."""
    network = state.network(profile)
    walk = network.route((from_lon, from_lat), (to_lon, to_lat), datum=datum, speed_kmh=speed_kmh)
    feature = walk.feature()
    feature["properties"]["profile"] = profile
    return Response(orjson.dumps(feature, option=orjson.OPT_SERIALIZE_NUMPY), media_type=GEOJSON)


def _answer(state: State, origins: Origins) -> Response:
    found = feature_collection([features_of(state, origins)], origins.profile)
    return Response(found, media_type=GEOJSON)


def features_of(state: State, origins: Origins, *, first: int = 0) -> bytes:
    """Give the catchments of many places as a JSON list of GeoJSON features.

    Parameters
    ----------
    state : State
        The streets, and the grids whose people are counted.
    origins : Origins
        The places.
    first : int
        Number of the first of them in the whole question.

    Raises
    ------
    InputError
        ``parameter_invalid``, ``datum_unknown`` and others of `WalkNetwork.catchment`.
    """
    if not 0 < len(origins.minutes) <= MAX_RINGS or max(origins.minutes) > MAX_MINUTES:
        reason = Phrase(
            f"请给 1 到 {MAX_RINGS} 个数，每个不超过 {MAX_MINUTES:g}",
            f"1 - {MAX_RINGS} numbers, each at most {MAX_MINUTES:g}",
        )
        raise InputError("parameter_invalid", name="minutes", value=origins.minutes, reason=reason)
    network = state.network(origins.profile)
    xy = np.array(origins.points, dtype=float)
    options: dict[str, Any] = {
        "minutes": origins.minutes, "datum": crs.parse_datum(origins.datum),
        "speed_kmh": origins.speed_kmh, "reach": origins.reach, "smooth": origins.smooth,
    }  # fmt: skip
    found = catchments_room.features(network, xy[:, 0], xy[:, 1], **options)
    if origins.people:
        for feature, people in zip(found, _people(state, found), strict=True):
            feature["properties"]["people"] = people
    for feature in found:
        feature["properties"]["origin"] += first
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def feature_collection(parts: list[bytes], profile: str) -> bytes:
    """Put lists of features together as one GeoJSON."""
    features = b"[" + b",".join(part[1:-1] for part in parts) + b"]"
    body = {"type": "FeatureCollection", "profile": profile, "features": orjson.Fragment(features)}
    return orjson.dumps(body)


def _people(state: State, areas: list[dict[str, Any]]) -> list[float | None]:
    """People of the grids inside each area; a grid cut by its edge counts by its share of area."""
    if "grids" not in state.revisions():
        return [None] * len(areas)
    view = state.view("grids")
    if _PEOPLE not in view.frame.columns:
        return [None] * len(areas)
    grids, weight = view.frame.geometry.to_numpy(), view.frame[_PEOPLE].fillna(0).to_numpy(float)
    inside = crs.Plane.of(view.frame.crs)

    def project(xy: Any) -> Any:
        return np.column_stack(inside.forward(xy[:, 0], xy[:, 1], datum="wgs84"))

    found: list[float | None] = []
    for feature in areas:
        area = shapely.transform(_shape(feature), project)
        shapely.prepare(area)
        rows = view.plane_tree.query(area, predicate="intersects")
        part = shapely.area(shapely.intersection(grids[rows], area)) / shapely.area(grids[rows])
        found.append(round(float((part * weight[rows]).sum()), 1))
    return found


def _shape(feature: dict[str, Any]) -> shapely.Geometry:
    """The geometry of a feature of `catchments.features`."""
    return shapely.from_geojson(
        orjson.dumps(feature["geometry"], option=orjson.OPT_SERIALIZE_NUMPY)
    )


def _minutes(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace("，", ",").split(",")]
    except ValueError:
        reason = Phrase("请写数字，如 5,10,15", "numbers such as 5,10,15")
        raise InputError("parameter_invalid", name="minutes", value=text, reason=reason) from None
