"""OGC API - Processes, Part 1: jobs, how far they are, their results; and their events as a stream.

Beside the standard: ``/jobs/{id}/events`` (server-sent events, for a page), ``/jobs/{id}/restart``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from geo_service.api import desk, doors
from geo_service.api.ogc import forms, pages, processes
from geo_service.jobs import FINISHED, Job

_LOOK_SECONDS = 0.5
_SIGN_OF_LIFE_SECONDS = 15.0
"""A proxy closes a stream that is silent for long."""

router = APIRouter(tags=["processes"], dependencies=[doors.requires("viewer")])

DeskOf = Annotated[desk.Desk, Depends(desk.of)]


@router.get("/jobs", summary="The latest jobs", response_class=Response)
def jobs(
    request: Request,
    desk_of: DeskOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    f: forms.F = None,
) -> Response:
    """List the jobs, newest first."""
    form = forms.chosen(request, forms.PAGES, f)
    body = {
        "jobs": [
            desk.told(job, request) for job in desk_of.queue.jobs(limit) if _is_own(request, job)
        ],
        "links": [forms.link("self", f"{request.base_url}jobs", form)],
    }
    return pages.jobs(request, body) if form == forms.HTML else forms.json(body)


@router.get("/jobs/{job}", summary="How a job goes", response_class=Response)
def job(request: Request, job: str, desk_of: DeskOf, f: forms.F = None) -> Response:
    """Tell a job's state, its progress in percent and words, and where its result is."""
    form = forms.chosen(request, forms.PAGES, f)
    body = desk.told(desk_of.queue.job(job), request)
    return pages.job(request, body) if form == forms.HTML else forms.json(body)


@router.get("/jobs/{job}/results", summary="What a job found", response_class=Response)
def results(request: Request, job: str, desk_of: DeskOf) -> Response:
    """Give the result, as the execution asked for it; of a failed job, why."""
    return processes.result(request, desk_of.queue, desk_of.queue.job(job))


@router.delete("/jobs/{job}", summary="End a job, or forget a finished one")
def dismiss(request: Request, job: str, desk_of: DeskOf) -> Response:
    """Ask a waiting or running job to end; remove a finished one with its result."""
    _require_own(request, desk_of.queue.job(job))
    left = desk_of.queue.dismiss(job)
    told = desk.told(left, request)
    if left.state in FINISHED:
        told["status"] = "dismissed"
    return forms.json(told)


@router.post("/jobs/{job}/restart", status_code=201, summary="Run a job once more")
def restart(request: Request, job: str, desk_of: DeskOf) -> Response:
    """Run a job again that failed, was interrupted or was dismissed."""
    _require_own(request, desk_of.queue.job(job))
    return desk.accepted(request, desk_of.queue.restart(job))


@router.get(
    "/jobs/{job}/events",
    summary="How a job goes, as it goes",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, job: str, desk_of: DeskOf) -> StreamingResponse:
    """Send the job's state whenever it changes, until it has ended (server-sent events)."""
    await run_in_threadpool(lambda: desk_of.queue.job(job))  # refused before the stream begins
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = _events(request, job, desk_of)
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


def _is_own(request: Request, job: Job) -> bool:
    """Tell whether a job is listed to a caller, and theirs to end: publishers see everybody's."""
    caller = doors.of(request)
    return caller.may("publisher") or job.owner == caller.name


def _require_own(request: Request, job: Job) -> None:
    if not _is_own(request, job):
        doors.admit(request, "publisher")


async def _events(request: Request, id: str, desk_of: desk.Desk) -> AsyncIterator[bytes]:
    sent, silent = "", 0.0
    while True:
        job = await run_in_threadpool(desk_of.queue.job, id)
        if job.updated != sent:
            sent, silent = job.updated, 0.0
            data = orjson.dumps(desk.told(job, request))
            yield b"event: " + job.state.encode() + b"\ndata: " + data + b"\n\n"
        if job.state in FINISHED:
            return
        await asyncio.sleep(_LOOK_SECONDS)
        silent += _LOOK_SECONDS
        if silent >= _SIGN_OF_LIFE_SECONDS:
            silent = 0.0
            yield b": still there\n\n"
