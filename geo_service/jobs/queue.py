"""The queue of jobs of one server: takes them in, has them run, ends them, takes up what is left.

Several servers over one store share the records: each is a keeper with a heartbeat. What a keeper
that is gone left waiting is taken over; what it left running is told as interrupted and can be
started again.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from geo_service.errors import CATALOGUE, ConflictError, MissingError, Phrase
from geo_service.jobs.records import FINISHED, Job, Records
from geo_service.jobs.running import RESULT, Result, run
from geo_service.jobs.seats import ProcessSeats

log = logging.getLogger("geo_service.jobs")

LOOK_EVERY_SECONDS = 0.5
_BEAT_SECONDS = 3.0
GRACE_SECONDS = 3.0
"""How long a job that shall end may take to hear of it before its process is ended."""
GONE_AFTER_SECONDS = 15.0
"""A keeper that was silent for so long is gone."""
MOST_WAITING = 20
KEPT = 500
"""Finished jobs that stay; older ones go with their results."""


class Queue:
    """Jobs over one folder of records.

    Parameters
    ----------
    folder : Path
        Of the records and the results.
    work : Mapping of str to str
        Process -> ``module:function`` (`geo_service.jobs.running.Work`).
    setting : Mapping of str to str
        What every job is told (`geo_service.jobs.running.Context`).
    executor : Executor, optional
        Where jobs run; by default `ProcessSeats`, made when first needed.
    seats : int
        How many of those.
    most_waiting : int
        Jobs that may wait or run; further ones are refused.
    """

    def __init__(
        self,
        folder: Path,
        work: Mapping[str, str],
        setting: Mapping[str, str],
        *,
        executor: Executor | None = None,
        seats: int = 2,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._records = Records(folder)
        self._work = work
        self._setting = dict(setting)
        self._given = executor
        self._made: ProcessSeats | None = None
        self._seats = seats
        self._most_waiting = most_waiting
        self._keeper = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._stop_asked: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._records.seen(self._keeper, time.time())
        self._take_up()
        self._watch = threading.Thread(target=self._keep_watch, name="jobs", daemon=True)
        self._watch.start()

    def submit(
        self,
        process: str,
        inputs: Mapping[str, Any],
        *,
        owner: str = "",
        fill: Callable[[Path], None] | None = None,
    ) -> Job:
        """Take a job in.

        Parameters
        ----------
        process : str
            What to compute.
        inputs : Mapping
            From what; plain data.
        owner : str
            Who asks.
        fill : callable, optional
            Puts the job's own files into the folder it is called with, before it starts.

        Raises
        ------
        MissingError
            ``process_unknown``.
        ConflictError
            ``queue_full``.
        """
        if process not in self._work:
            raise MissingError("process_unknown", process=process, known=", ".join(self._work))
        with self._lock:
            self._refuse_if_full()
            job = self._records.add(process, inputs, owner=owner, keeper=self._keeper)
        if fill is not None:
            folder = self._records.folder_of(job.id)
            folder.mkdir()
            try:
                fill(folder)
            except BaseException:
                self._records.ask_to_stop(job.id)
                self.forget(job.id)
                raise
        self._start(job)
        self._forget_oldest()
        return job

    def job(self, id: str) -> Job:
        """Give a job as it stands.

        Raises
        ------
        MissingError
            ``job_unknown``.
        """
        return self._records.get(id)

    def jobs(self, limit: int = 100) -> list[Job]:
        """Give the latest jobs, newest first."""
        return self._records.latest(limit=limit)

    def result(self, id: str) -> Result:
        """Give what a job found.

        Raises
        ------
        MissingError
            ``job_unknown``; ``job_not_ready`` where there is no result, or none yet.
        """
        job = self._records.get(id)
        path = self._records.folder_of(id) / RESULT
        if job.state != "successful" or job.media_type is None or not path.is_file():
            raise MissingError("job_not_ready", job=id, state=job.state)
        return Result(path.read_bytes(), job.media_type)

    def dismiss(self, id: str) -> Job:
        """End a job that waits or runs; forget a finished one and its result."""
        job = self._records.get(id)
        if job.state in FINISHED:
            self.forget(id)
            return job
        self._records.ask_to_stop(id)
        return self._records.get(id)

    def restart(self, id: str) -> Job:
        """Let a job that failed, was interrupted or dismissed run once more.

        Raises
        ------
        ConflictError
            ``job_not_restartable``, ``queue_full``.
        """
        job = self._records.get(id)
        with self._lock:
            self._refuse_if_full()
            if not self._records.again(id, self._keeper):
                raise ConflictError("job_not_restartable", job=id, state=job.state)
        self._stop_asked.pop(id, None)
        self._start(job)
        return self._records.get(id)

    def forget(self, id: str) -> None:
        """Remove a finished job and its files."""
        if self._records.remove(id):
            shutil.rmtree(self._records.folder_of(id), ignore_errors=True)

    def close(self) -> None:
        """End what runs, which is told as interrupted, and let the queue go."""
        self._closing.set()
        self._watch.join()
        if self._made is not None:
            self._made.shutdown(wait=False, cancel_futures=True)
        for job in self._records.latest(states=("running",), limit=1000):
            if job.keeper == self._keeper:
                self._interrupt(job)
        self._records.forget_keeper(self._keeper)

    def _executor(self) -> Executor:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._made is None:
                self._made = ProcessSeats(self._seats)
            return self._made

    def _refuse_if_full(self) -> None:
        if self._records.waiting() >= self._most_waiting:
            raise ConflictError("queue_full", limit=self._most_waiting)

    def _start(self, job: Job) -> None:
        folder = str(self._records.folder)
        future = self._executor().submit(
            run, folder, job.id, self._work[job.process], self._setting
        )
        future.add_done_callback(lambda done: self._ended(job.id, done))

    def _ended(self, id: str, done: Future[Any]) -> None:
        """A job notes its own end; this notes that of a process that died under it."""
        if self._closing.is_set() or done.cancelled() or done.exception() is None:
            return
        with suppress(MissingError):
            if not self._records.stopped(id):
                self._fail(id, "job_died")

    def _keep_watch(self) -> None:
        beaten = time.monotonic()
        while not self._closing.wait(LOOK_EVERY_SECONDS):
            try:
                self._end_the_deaf()
                if time.monotonic() - beaten >= _BEAT_SECONDS:
                    beaten = time.monotonic()
                    self._records.seen(self._keeper, time.time())
                    self._take_up()
            except Exception:  # a full disk or a locked file passes
                log.exception("looking after the jobs failed; trying again")

    def _end_the_deaf(self) -> None:
        """End the process of a job that was asked to stop and does not hear."""
        if self._made is None:
            return
        asked = {
            job.id: job
            for job in self._records.latest(states=("running",), limit=1000)
            if job.stop and job.keeper == self._keeper
        }
        now = time.monotonic()
        self._stop_asked = {id: self._stop_asked.get(id, now) for id in asked}
        for id, since in self._stop_asked.items():
            pid = asked[id].pid
            if now - since >= GRACE_SECONDS and pid is not None and pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _take_up(self) -> None:
        """See to what a keeper that is gone left behind."""
        seen, now = self._records.last_seen(), time.time()
        for job in self._records.latest(states=("running", "accepted"), limit=1000):
            if job.keeper == self._keeper or _alive(job.keeper, seen, now):
                continue
            if job.state == "running":
                self._interrupt(job)
            elif self._records.take_over(job.id, gone=job.keeper, keeper=self._keeper):
                self._start(job)
        for keeper in seen:
            if keeper != self._keeper and not _alive(keeper, seen, now):
                self._records.forget_keeper(keeper)

    def _interrupt(self, job: Job) -> None:
        if not (job.stop and self._records.stopped(job.id)):
            self._fail(job.id, "job_interrupted")

    def _fail(self, id: str, code: str) -> None:
        refusal = CATALOGUE[code]
        self._records.fail(id, code, refusal.status, Phrase(refusal.zh, refusal.en))

    def _forget_oldest(self) -> None:
        for job in self._records.latest(states=FINISHED, limit=KEPT + 50)[KEPT:]:
            self.forget(job.id)


def _alive(keeper: str, seen: Mapping[str, float], now: float) -> bool:
    """Whether a keeper was heard of lately, and its process is there (all run on this machine)."""
    if now - seen.get(keeper, 0.0) > GONE_AFTER_SECONDS:
        return False
    try:
        os.kill(int(keeper.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and alive
        return True
    return True
