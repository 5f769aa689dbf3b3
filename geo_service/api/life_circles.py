"""Life circles: what is missing within a walk of communities, grids or any places."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import orjson
import pandas as pd
import shapely
from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from geo_service import crs, places
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.catchments import WalkerName
from geo_service.api.state import State
from geo_service.errors import InputError, MissingError

if TYPE_CHECKING:
    from geo_service.life_circles import LifeCircles

router = APIRouter(tags=["life circles"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]

MAX_CELLS = 60_000
"""Circles x categories of one request; a whole city is a job (``/processes/life-circles``)."""


class Centre(BaseModel):
    """The middle of a circle, or its gates."""

    model_config = ConfigDict(allow_inf_nan=False)

    code: str
    name: str = ""
    lon: float
    lat: float
    entrances: str = Field(default="", description="lon,lat of each gate, joined by “;” · 各出入口")
    population: float | None = Field(default=None, ge=0)
    population_60: float | None = Field(default=None, ge=0)


class Circles(BaseModel):
    """Life circles around the store's own communities or grids, or around given places."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"layer": "communities", "within": "411002001"}]},
    )

    layer: str = Field(default="communities", description="Whose centres · 以哪个图层为中心")
    codes: list[str] | None = Field(default=None, description="Only these · 只算这些编码")
    within: str | None = Field(default=None, description="Only codes that begin so · 编码开头")
    centres: list[Centre] | None = Field(default=None, description="Instead of a layer · 自定圈心")
    datum: str = Field(default="wgs84", description="Of the centres · 圈心的坐标基准")
    kinds: list[str] | None = Field(
        default=None, description="Only these categories · 只算这些类别"
    )
    at: str | None = Field(default=None, description="Only those open then: “02:00” · 此刻开放的")
    profile: WalkerName | None = Field(
        default=None, description="One walker for all categories · 谁在走"
    )
    speed_kmh: float | None = Field(default=None, gt=0, lt=30, description="km/h · 步速")


@router.post("/life-circles", summary="Judge life circles")
def judge(state: StateOf, question: Annotated[Circles, Body()]) -> Response:
    """Tell what each circle has and lacks, what is planned, what to do (缺项、未落地、行动计划)."""
    from geo_service import life_circles

    centres = centres_of(state, question)
    cells = len(centres) * len(life_circles.read_standard(_standard(question)))
    if cells > MAX_CELLS:
        raise InputError("too_many", limit=MAX_CELLS, count=cells)
    told = answer(state, question, centres).to_dict()
    return Response(
        orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )


def centres_of(state: State, question: Circles) -> pd.DataFrame:
    """A row per circle, positions in WGS84.

    Raises
    ------
    InputError
        ``layer_empty`` where nothing is left to judge.
    """
    if question.centres is not None:
        table = pd.DataFrame([centre.model_dump() for centre in question.centres])
        if len(table):
            table["lon"], table["lat"] = crs.to_wgs84(
                table["lon"], table["lat"], datum=question.datum
            )
            table["entrances"] = [
                places.shifted_gates(text, question.datum) for text in table["entrances"]
            ]
            table["name"] = table["name"].where(table["name"] != "", table["code"])
    else:
        view = state.view(question.layer)
        frame = view.frame
        if question.codes is not None:
            frame = frame[frame["code"].isin(question.codes)]
        if question.within is not None:
            frame = frame[frame["code"].str.startswith(question.within)]
        inside = shapely.get_coordinates(shapely.point_on_surface(view.lonlat[frame.index]))
        table = pd.DataFrame(frame.drop(columns="geometry"))
        table = table.assign(lon=inside[:, 0], lat=inside[:, 1])
    if table.empty:
        raise InputError("layer_empty", file=question.layer)
    return table


def answer(
    state: State,
    question: Circles,
    centres: pd.DataFrame,
    *,
    on_progress: Callable[[float, str], None] | None = None,
) -> LifeCircles:
    """Judge the circles by the store's facilities and candidates."""
    from geo_service import facilities, life_circles

    tables = state.store.tables()
    if "facilities" not in tables:
        raise MissingError("table_missing", table="facilities", known=", ".join(tables) or "-")
    listed = state.store.table("facilities")
    if question.at is not None:
        listed = facilities.open_at(listed, question.at)
    return life_circles.circles(
        state.network(), centres, listed, standard=_standard(question),
        candidates=state.store.table("candidates") if "candidates" in tables else None,
        speed_kmh=question.speed_kmh, profile=question.profile, on_progress=on_progress,
    )  # fmt: skip


def _standard(question: Circles) -> pd.DataFrame | None:
    return None if question.kinds is None else pd.DataFrame({"kind": question.kinds})
