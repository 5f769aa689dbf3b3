"""What the service computes as a job: each process with its question, its words and its function.

A function runs in a process of its own, over a store it opens itself; it answers in the words of
the route of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geo_service import layers
from geo_service.api import catchments, desk, drafts, draw_anew, life_circles, redraw, sites
from geo_service.api import errors as problems
from geo_service.api.life_circles import Circles
from geo_service.api.state import GEOJSON, State
from geo_service.errors import InputError, Phrase
from geo_service.jobs import Context, Result
from geo_service.store.checking import parents_named

MOST_ORIGINS = 20_000
_ORIGINS_AT_ONCE = 50


class Check(BaseModel):
    """A published layer as it is or was, or an open draft."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"layer": "grids"}]})

    layer: str | None = Field(default=None, description="A published layer · 已发布的图层")
    draft: int | None = Field(default=None, description="Or an open draft · 或一个草稿")
    at: int | str | None = Field(default=None, description="A revision or a date · 版本或日期")
    profile: drafts.RuleProfile = Field(default="default", description="Rule profile · 规则方案")


class Repair(BaseModel):
    """An open draft, and how far its borders may move."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"draft": 1, "max_gap_m": 1.0, "dry_run": True}]}
    )

    draft: int = Field(description="An open draft · 一个草稿")
    max_gap_m: float | None = Field(
        default=None, gt=0, le=50, description="No border moves further, m · 边界最多移动（米）"
    )
    gap_to: Literal["longest_border", "same_community"] | None = Field(
        default=None, description="Who gets a gap · 缝隙归谁"
    )
    overlap_to: Literal["smaller_code", "drawn_back"] | None = Field(
        default=None, description="Who keeps an overlap · 压盖归谁"
    )
    profile: drafts.RuleProfile = Field(default="default", description="Rule profile · 规则方案")
    dry_run: bool = Field(default=False, description="List the changes only · 只列出改动")


class Origins(catchments.Origins):
    """Places to walk from; many more than one request answers at once."""

    points: list[tuple[float, float]] = Field(min_length=1, max_length=MOST_ORIGINS)


Answer = Callable[[State, Any, Context], Result]


@dataclass(frozen=True)
class Process:
    """One entry of the catalogue.

    Parameters
    ----------
    id : str
        Its name in addresses.
    title, description : Phrase
        For people.
    question : type of BaseModel
        What it takes.
    answer : callable
        ``answer(state, question, context)``.
    media_type : str
        Of the result.
    writes : bool
        Whether it makes a draft or keeps a proposal.
    """

    id: str
    title: Phrase
    description: Phrase
    question: type[BaseModel]
    answer: Answer
    media_type: str = "application/json"
    writes: bool = False


def _check(state: State, question: Check, context: Context) -> Result:
    if (question.layer is None) == (question.draft is None):
        raise InputError("parameter_missing", name="layer | draft")

    def advance(share: float, *_: object) -> None:
        context.tell(share, "正在检查", "Checking")

    advance(0.0)
    if question.draft is not None:
        report = state.store.check_draft(
            question.draft, profile=question.profile, author=context.owner, on_progress=advance
        )
    else:
        assert question.layer is not None
        report = state.store.check(
            question.layer, at=question.at, profile=question.profile, on_progress=advance
        )
    return _json({"draft": question.draft, "layer": question.layer, **report.to_dict()})


def _repair(state: State, question: Repair, context: Context) -> Result:
    from geo_service import codes, mending

    draft = state.store.draft(question.draft)
    context.tell(0.05, "正在读取草稿", "Reading the draft")
    frame = state.store.draft_frame(question.draft)
    parent = layers.layer(draft.layer).parent
    above = state.store.frame(parent) if parent in state.revisions() else None
    if above is not None:
        above = parents_named(frame, above)
    area = draft.replace_within
    own = [area is None or codes.is_within(code, area) for code in frame["code"]]
    context.tell(0.1, "正在修复", "Mending")
    mended = mending.repair(
        frame, within=above, profile=question.profile, max_gap_m=question.max_gap_m,
        gap_to=question.gap_to, overlap_to=question.overlap_to,
        published=[code for code, mine in zip(frame["code"], own, strict=True) if not mine],
    )  # fmt: skip
    told: dict[str, Any] = {**mended.to_dict(), "dry_run": question.dry_run, "draft": None}
    if not question.dry_run and len(mended.changes):
        context.tell(0.9, "正在保存为新草稿", "Keeping it as a new draft")
        kept = [area is None or codes.is_within(code, area) for code in mended.grids["code"]]
        made = state.store.create_draft(
            draft.layer, mended.grids[kept], source=f"{draft.source} (修复 mended)",
            author=context.owner, replace_within=area,
        )  # fmt: skip
        told["draft"] = drafts.told(made)
    return _json(told)


def _catchments(state: State, question: Origins, context: Context) -> Result:
    parts: list[bytes] = []
    count = len(question.points)
    for first in range(0, count, _ORIGINS_AT_ONCE):
        context.tell(
            first / count, f"已算 {first} / {count} 个起点", f"{first} of {count} places done"
        )
        some = question.model_copy(
            update={"points": question.points[first : first + _ORIGINS_AT_ONCE]}
        )
        parts.append(catchments.features_of(state, some, first=first))
    return Result(catchments.feature_collection(parts, question.profile), GEOJSON)


def _life_circles(state: State, question: Circles, context: Context) -> Result:
    def advance(share: float, step: str) -> None:
        context.tell(share, "正在评定", f"Judging {step}")

    centres = life_circles.centres_of(state, question)
    return _json(life_circles.answer(state, question, centres, on_progress=advance).to_dict())


def _siting(state: State, question: sites.Question, context: Context) -> Result:
    def advance(share: float, step: str) -> None:
        said = sites.words(step, question.model)
        context.tell(share, said.zh, said.en)

    return _json(sites.answer(state, question, advance))


def _draw(state: State, question: draw_anew.Question, context: Context) -> Result:
    told = draw_anew.answer(state, question, context)
    return _json(told | {"draft": drafts.told(told["draft"])})


def _redraw(state: State, question: redraw.Question, context: Context) -> Result:
    told = redraw.answer(state, question, context)
    made = told["draft"]
    return _json(told | {"draft": None if made is None else drafts.told(made)})


PROCESSES: dict[str, Process] = {
    process.id: process
    for process in (
        Process(
            "check", Phrase("检查", "Check"),
            Phrase("证明一个图层或草稿无缝无压，或列出每一处问题。",
                   "Prove that a layer or draft tiles its area, or locate every fault."),
            Check, _check,
        ),
        Process(
            "repair", Phrase("修复", "Repair"),
            Phrase("在限定的移动距离内修复草稿，得到一个新草稿，并列出每一处改动。",
                   "Mend a draft within a limit into a new draft; every change is listed."),
            Repair, _repair, writes=True,
        ),
        Process(
            "catchments", Phrase("步行范围", "Catchments"),
            Phrase("从许多地点出发，若干分钟步行可达的范围。",
                   "Where a walk of some minutes reaches, from many places."),
            Origins, _catchments, media_type=GEOJSON,
        ),
        Process(
            "life-circles", Phrase("生活圈", "Life circles"),
            Phrase("十五分钟生活圈：缺项、未落地和行动计划。",
                   "15-minute circles: what is missing, what is unbuilt, and an action plan."),
            Circles, _life_circles,
        ),
        Process(
            "siting", Phrase("选点", "Siting"),
            Phrase("从候选点中选出驿站或食堂，并给出经证明的上界。",
                   "Choose stations or canteens among the candidates, with a proven bound."),
            sites.Question, _siting, writes=True,
        ),
        Process(
            "draw", Phrase("划网格", "Draw grids"),
            Phrase("沿街道把一个社区（或其上级的每个社区）划成户数合适的网格，得到一个草稿。",
                   "Draw a community, or every one of what holds it, into grids along its streets "
                   "to a household target: a draft."),
            draw_anew.Question, _draw, writes=True,
        ),
        Process(
            "redraw", Phrase("调整网格", "Redraw grids"),
            Phrase("人口变化后，只改动必须改的网格，使户数回到范围内，得到一个草稿。",
                   "After growth, bring grids back into the range of households and change as few "
                   "as can be: a draft."),
            redraw.Question, _redraw, writes=True,
        ),
    )
}  # fmt: skip
"""What is offered under ``/processes``; a further one is one entry here."""

WORK = {
    **dict.fromkeys(PROCESSES, f"{__name__}:run"),
    drafts.UPLOAD: f"{__name__}:upload",
}
"""Process -> what runs it, as `geo_service.jobs.Queue` takes it."""


def question_of(process: Process, inputs: dict[str, Any]) -> BaseModel:
    """Read a process's inputs.

    Raises
    ------
    InputError
        ``parameter_invalid`` with the first that is wrong, ``parameter_unknown``.
    """
    known = process.question.model_fields
    for name in inputs:
        if name not in known:
            raise InputError("parameter_unknown", name=name, known=", ".join(known))
    try:
        return process.question.model_validate(inputs)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise InputError("parameter_missing", name=name) from None
        value = first.get("input")
        shown = value if isinstance(value, str | int | float) else ""
        raise InputError(
            "parameter_invalid", name=name, value=shown, reason=problems.found_by_validation(first)
        ) from None


def run(inputs: dict[str, Any], context: Context) -> Result:
    """Run a process of the catalogue (`geo_service.jobs.running.Work`)."""
    process = PROCESSES[inputs["process"]]
    question = question_of(process, inputs["inputs"])
    with desk.acting(inputs):
        return process.answer(_state(context), question, context)


def upload(inputs: dict[str, Any], context: Context) -> Result:
    """Take an uploaded file in as a draft, and check it (`geo_service.jobs.running.Work`)."""
    state = _state(context)
    context.tell(0.05, "正在读取文件", "Reading the file")
    [file] = (context.folder / drafts.UPLOAD).iterdir()
    with desk.acting(inputs):
        draft = drafts.take_in(state, file, inputs)
    file.unlink()  # the draft holds it now
    return _json(drafts.told(draft))


def _state(context: Context) -> State:
    return _open(context.setting["store"], context.setting.get("streets") or None)


@lru_cache(maxsize=1)
def _open(address: str, streets: str | None) -> State:
    """The store, opened once for all jobs of a seat."""
    from geo_service.store import open_store

    return State(open_store(address), streets=Path(streets) if streets else None)


def _json(body: dict[str, Any]) -> Result:
    return Result(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY, default=str))
