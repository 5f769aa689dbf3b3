"""Where the next stations and canteens should stand, with the proven bound and the reasons."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
import pandas as pd
from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from geo_service import demand as demands
from geo_service import facilities, proposals
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.errors import ConflictError, MissingError, Phrase
from geo_service.store import Store

MAX_SECONDS = 30.0

_STEPS = {
    "walk": Phrase("正在计算步行距离", "Working out the walks"),
    "choose": Phrase("正在选址", "Choosing sites"),
    "swaps": Phrase("正在改进方案", "Improving the choice"),
    "bound": Phrase("正在求理论极限", "Bounding what any choice can do"),
    "proof": Phrase("正在证明", "Proving"),
    "explain": Phrase("正在说明每个点的理由", "Working out the reasons"),
    "done": Phrase("方案已选定", "The choice is made"),
}

_FIGURES = {"equity": (100.0, "{:.2f} %"), "center": (1.0, "{:,.0f} m")}
"""How a model's objective is told, where it is not a number of people or sites."""

router = APIRouter(tags=["sites"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]
_one_at_a_time = threading.Lock()


class Question(BaseModel):
    """How many sites of which kind, within how many minutes."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"kind": "rest_station", "count": 5, "minutes": 15}]},
    )

    kind: str = Field(description="A kind of facility · 设施类别")
    count: int | None = Field(default=None, ge=1, le=5000)
    cover_percent: float | None = Field(default=None, gt=0, le=100)
    minutes: float = Field(default=15.0, gt=0, le=60)
    capacity: float | None = Field(default=None, gt=0)
    speed_kmh: float | None = Field(default=None, gt=0, lt=30)
    weight: str | None = Field(default=None, description="Column of the demand · 需求列")
    model: Literal["cover", "backup", "equity", "median", "center"] = "cover"
    budget: float | None = Field(default=None, ge=0)
    at_most_one: str | None = Field(default=None, description="Per community, township, county")
    at_least_one: str | None = Field(default=None, description="Per community, township, county")
    movable: bool = False
    must: list[str] | None = None
    never: list[str] | None = None
    at: str | None = Field(default=None, description="Open, and demand, at “02:00” · 时刻")
    seconds: float = Field(default=5.0, gt=0, le=MAX_SECONDS)
    seed: int = 0


@router.post("/sites", summary="Propose sites", dependencies=[doors.requires("planner")])
def propose(state: StateOf, question: Annotated[Question, Body()]) -> Response:
    """Choose among the store's candidates; the answer is kept and shown on the map."""
    if not _one_at_a_time.acquire(blocking=False):
        raise ConflictError("busy")
    try:
        told = answer(state, question)
    finally:
        _one_at_a_time.release()
    return Response(
        orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )


@router.get("/sites/latest", summary="The latest proposal")
def latest(
    state: StateOf,
    kind: Annotated[str | None, Query(description="Of one kind", examples=["canteen"])] = None,
) -> Response:
    """Give the proposal that was computed last, here or in the terminal."""
    return Response(
        orjson.dumps(proposals.latest(state.store, kind)), media_type="application/json"
    )


def answer(
    state: State, question: Question, on_progress: Callable[[float, str], None] | None = None
) -> dict[str, Any]:
    """Choose sites, and keep the proposal in the store."""
    from geo_service import siting  # the solver loads when first needed

    kind = facilities.require_kind(question.kind)
    walker = facilities.kinds()[kind].walker
    tables = state.store.tables()
    if "demand" not in tables:
        raise MissingError("table_missing", table="demand", known=", ".join(tables) or "-")
    demand = state.store.table("demand")
    proposal = siting.propose_sites(
        state.network(walker),
        demand,
        state.store.table("candidates") if "candidates" in tables else None,
        count=question.count,
        cover_percent=question.cover_percent,
        must=question.must,
        never=question.never,
        model=question.model,
        conditions=siting.Conditions(
            question.budget, question.at_most_one, question.at_least_one, question.movable
        ),
        minutes=question.minutes,
        existing=_existing(state.store, kind, question.at) if "facilities" in tables else None,
        capacity=question.capacity,
        speed_kmh=question.speed_kmh,
        profile=walker,
        weight_field=demands.column_for(demand, kind, wished=question.weight, at=question.at),
        kind=kind,
        seconds=question.seconds,
        seed=question.seed,
        on_progress=on_progress,
    )
    told = proposal.to_dict()
    proposals.keep(state.store, told)
    return told


def words(step: str, model: str = "cover") -> Phrase:
    """Say what a step of `answer` for a model does, with what it knows by then."""
    said = _STEPS.get(step, _STEPS["choose"])
    best, bound = getattr(step, "best", None), getattr(step, "bound", None)
    if best is None:
        return said
    scale, form = _FIGURES.get(model, (1.0, "{:,.0f}"))
    found = form.format(best * scale)
    if bound is None or bound == best:
        return Phrase(f"{said.zh}：目前最好 {found}", f"{said.en}: best so far {found}")
    limit = form.format(bound * scale)
    apart = 100.0 * abs(bound - best) / max(abs(best), 1.0 / scale)
    return Phrase(
        f"{said.zh}：目前最好 {found}，理论极限 {limit}，相差 {apart:.1f} %",
        f"{said.en}: best so far {found}, bound {limit}, {apart:.1f} % apart",
    )


def _existing(store: Store, kind: str, at: str | None) -> pd.DataFrame:
    found = store.table("facilities")
    status = found.get("status", pd.Series("existing", index=found.index))
    found = found[(found["kind"] == kind) & (status == "existing")]
    return found if at is None else facilities.open_at(found, at)
