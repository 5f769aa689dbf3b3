"""The queue of jobs of an application, and how a job is told over HTTP."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from geo_service.api import doors
from geo_service.api.errors import reader_language
from geo_service.jobs import Job, Queue
from geo_service.store import audit

ACTOR = "actor"
_RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"


log = logging.getLogger("geo_service.api")


class Desk:
    """Where work is handed in; its queue is opened when first needed.

    Parameters
    ----------
    folder : Path
        Of the records.
    work : Mapping of str to str
        As `geo_service.jobs.Queue` takes it.
    setting : Mapping of str to str
        What every job is told: ``store`` and ``streets``.
    executor : Executor, optional
        Where jobs run, instead of processes of this machine.
    """

    def __init__(
        self,
        folder: Path,
        work: Mapping[str, str],
        setting: Mapping[str, str],
        *,
        executor: Executor | None = None,
    ) -> None:
        self._folder = folder
        self._work = work
        self._setting = setting
        self._executor = executor
        self._lock = threading.Lock()
        self._queue: Queue | None = None

    @property
    def queue(self) -> Queue:
        """The queue."""
        with self._lock:
            if self._queue is None:
                self._queue = Queue(
                    self._folder, self._work, self._setting, executor=self._executor
                )
            return self._queue

    def open(self) -> None:
        """See to what an earlier run left behind, if there is anything."""
        if not self._folder.is_dir():
            return
        try:
            _ = self.queue
        except (OSError, sqlite3.Error):  # everything but jobs is served all the same
            log.exception("the records of jobs in %s can't be opened", self._folder)

    def close(self) -> None:
        """End what runs; it is told as interrupted."""
        with self._lock:
            if self._queue is not None:
                self._queue.close()


def of(connection: HTTPConnection) -> Desk:
    """Give the desk of the application a request came to (a FastAPI dependency)."""
    desk: Desk = connection.app.state.desk
    return desk


def preferences(request: Request) -> dict[str, str]:
    """Give what the ``Prefer`` header says (RFC 7240)."""
    found: dict[str, str] = {}
    for header in request.headers.getlist("prefer"):
        for part in header.split(","):
            name, _, value = part.split(";")[0].strip().partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def wants_job(request: Request) -> bool:
    """Tell whether a client would rather have a job than wait."""
    return "respond-async" in preferences(request)


def submit(
    request: Request,
    queue: Queue,
    process: str,
    inputs: Mapping[str, Any],
    fill: Callable[[Path], None] | None = None,
) -> Job:
    """Hand work in under the name of whoever asks: the audit log names them, not the queue."""
    handed = {**inputs, ACTOR: asdict(audit.current())}
    return queue.submit(process, handed, owner=doors.of(request).name, fill=fill)


def acting(inputs: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Let what a job writes stand under the name of whoever handed it in."""
    told = inputs.get(ACTOR)
    return audit.acting(audit.Actor(**told)) if told else nullcontext()


def accepted(request: Request, job: Job) -> Response:
    """Give the answer to work that was handed in."""
    headers = {
        "Location": f"{request.base_url}jobs/{job.id}",
        "Preference-Applied": "respond-async",
    }
    return Response(orjson.dumps(told(job, request)), 201, headers, "application/json")


def told(job: Job, request: Request) -> dict[str, Any]:
    """Give a job as OGC API - Processes' statusInfo, with its words in both languages."""
    here = f"{request.base_url}jobs/{job.id}"
    links = [
        {"rel": "self", "href": here, "type": "application/json"},
        {"rel": "alternate", "href": f"{here}?f=html", "type": "text/html"},
        {"rel": "monitor", "href": f"{here}/events", "type": "text/event-stream"},
    ]
    if job.state == "successful":
        links.append({"rel": _RESULTS, "href": f"{here}/results", "type": job.media_type or ""})
    chosen = reader_language(request.headers.get("accept-language"))
    body: dict[str, Any] = {
        "jobID": job.id,
        "processID": job.process,
        "type": "process",
        "status": job.state,
        "progress": job.percent,
        "message": job.message.zh if chosen == "zh" else job.message.en,
        "message_zh": job.message.zh,
        "message_en": job.message.en,
        "created": job.created,
        "updated": job.updated,
        "links": links,
    }
    if job.started:
        body["started"] = job.started
    if job.finished:
        body["finished"] = job.finished
    if job.error_code:
        body["code"] = job.error_code
        body["restart"] = f"/jobs/{job.id}/restart"
    return body
