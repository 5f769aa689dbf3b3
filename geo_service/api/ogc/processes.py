"""OGC API - Processes, Part 1: what can be computed, and computing it, at once or as a job."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from geo_service.api import desk, doors, work
from geo_service.api import state as states
from geo_service.api.errors import problem_told, reader_language
from geo_service.api.ogc import forms, pages
from geo_service.api.work import PROCESSES, Process
from geo_service.errors import MissingError
from geo_service.jobs import FINISHED, Job, Queue, Result

_VERSION = "1.0.0"
_LOOK_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 60.0
_EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"

router = APIRouter(tags=["processes"], dependencies=[doors.requires("viewer")])

DeskOf = Annotated[desk.Desk, Depends(desk.of)]


class Execution(BaseModel):
    """The inputs of a process, and how its result is wanted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": {"layer": "grids"}, "response": "document"}]}
    )

    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] | None = None
    response: Literal["raw", "document"] = "raw"


@router.get("/processes", summary="What can be computed", response_class=Response)
async def processes(request: Request, f: forms.F = None) -> Response:
    """List the processes."""
    form = forms.chosen(request, forms.PAGES, f)
    base = str(request.base_url)
    body = {
        "processes": [_summary(process, request) for process in PROCESSES.values()],
        "links": [forms.link("self", f"{base}processes", form)],
    }
    return pages.processes(request, body) if form == forms.HTML else forms.json(body)


@router.get("/processes/{process}", summary="What a process takes", response_class=Response)
async def process(request: Request, process: str, f: forms.F = None) -> Response:
    """Describe a process: its inputs and its output."""
    form = forms.chosen(request, forms.PAGES, f)
    body = _described(_process(process), request)
    return pages.process(request, body) if form == forms.HTML else forms.json(body)


@router.post(
    "/processes/{process}/execution",
    summary="Compute it",
    response_class=Response,
    responses={200: {"description": "The result"}, 201: {"description": "A job (async)"}},
)
async def execute(
    request: Request, process: str, execution: Annotated[Execution, Body()], desk_of: DeskOf
) -> Response:
    """Compute at once, or as a job with ``Prefer: respond-async`` (``wait=5`` waits a little)."""
    asked = _process(process)
    question = work.question_of(asked, execution.inputs)  # refused before it waits
    await run_in_threadpool(_admit, request, asked, question)
    handed = {"process": asked.id, "inputs": execution.inputs, "response": execution.response}
    queue = await run_in_threadpool(lambda: desk_of.queue)
    job = await run_in_threadpool(desk.submit, request, queue, asked.id, handed)
    preferred = desk.preferences(request)
    if "respond-async" not in preferred:
        return result(request, queue, await _done(request, queue, job, None))
    seconds = preferred.get("wait", "0")
    patience = min(float(seconds), _LONGEST_WAIT_SECONDS) if seconds.isdecimal() else 0.0
    job = await _done(request, queue, job, patience)
    return desk.accepted(request, job)


def _admit(request: Request, asked: Process, question: BaseModel) -> None:
    """Refuse whoever may not: what writes takes a planner, and the areas must be theirs."""
    draft, area = getattr(question, "draft", None), getattr(question, "within", None)
    if asked.writes or draft is not None:
        doors.admit(request, "planner")
    if draft is not None:
        area = states.of(request).store.draft(draft).replace_within
    if draft is not None or area is not None:
        doors.admit_area(request, area)


def result(request: Request, queue: Queue, job: Job) -> Response:
    """Give what a finished job found, as its execution asked for it; of a failed one, why.

    Raises
    ------
    MissingError
        ``job_not_ready``.
    """
    if job.error_code is not None:
        return problem_told(request, job.error_code, job.error_status or 500, job.message)
    found = queue.result(job.id)
    if job.inputs.get("response") == "document":
        found = Result(b'{"result":' + found.data + b"}")
    return Response(found.data, media_type=found.media_type)


async def _done(request: Request, queue: Queue, job: Job, seconds: float | None) -> Job:
    """Wait for a job, some seconds or for as long as somebody listens."""
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    while job.state not in FINISHED and (until is None or loop.time() < until):
        await asyncio.sleep(_LOOK_SECONDS)
        job = await run_in_threadpool(queue.job, job.id)
        if until is None and await request.is_disconnected():
            await run_in_threadpool(queue.dismiss, job.id)
            break
    return job


def _process(id: str) -> Process:
    if id not in PROCESSES:
        raise MissingError("process_unknown", process=id, known=", ".join(PROCESSES))
    return PROCESSES[id]


def _summary(process: Process, request: Request) -> dict[str, Any]:
    zh = reader_language(request.headers.get("accept-language")) == "zh"
    here = f"{request.base_url}processes/{process.id}"
    return {
        "id": process.id,
        "version": _VERSION,
        "title": process.title.zh if zh else process.title.en,
        "description": process.description.zh if zh else process.description.en,
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "links": [
            forms.link("self", here, forms.JSON),
            forms.link("alternate", f"{here}?f=html", forms.HTML),
            forms.link(_EXECUTE, f"{here}/execution", forms.JSON),
        ],
    }


def _described(process: Process, request: Request) -> dict[str, Any]:
    schema = process.question.model_json_schema()
    shared = {key: schema[key] for key in ("$defs",) if key in schema}
    needed = set(schema.get("required", ()))
    examples = schema.get("examples") or [{}]
    return {
        **_summary(process, request),
        "inputs": {
            name: {
                "title": name,
                "description": told.pop("description", name),
                "minOccurs": int(name in needed),
                "maxOccurs": 1,
                "schema": {**told, **(shared if "$ref" in str(told) else {})},
            }
            for name, told in schema["properties"].items()
        },
        "outputs": {
            "result": {
                "title": "result",
                "schema": {"type": "object", "contentMediaType": process.media_type},
            }
        },
        "example": {"inputs": examples[0]},
    }
