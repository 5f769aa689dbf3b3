"""What is known of every job, in one SQLite file: it outlives the process that runs them.

Every change is one transaction that names the state it starts from, so that two processes never
both take a job or bring a cancelled one back.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from geo_service.errors import MissingError, Phrase

State = Literal["accepted", "running", "successful", "failed", "dismissed"]
FINISHED: tuple[State, ...] = ("successful", "failed", "dismissed")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, process TEXT NOT NULL, inputs TEXT NOT NULL, owner TEXT NOT NULL,
  state TEXT NOT NULL, percent INTEGER NOT NULL DEFAULT 0,
  message_zh TEXT NOT NULL DEFAULT '', message_en TEXT NOT NULL DEFAULT '',
  error_code TEXT, error_status INTEGER,
  created TEXT NOT NULL, started TEXT, finished TEXT, updated TEXT NOT NULL,
  keeper TEXT NOT NULL, pid INTEGER, stop INTEGER NOT NULL DEFAULT 0, media_type TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE TABLE IF NOT EXISTS keepers (id TEXT PRIMARY KEY, seen REAL NOT NULL);
"""
_WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Parameters
    ----------
    id : str
        Not to be guessed: whoever knows it may read the result.
    process : str
        What is computed.
    inputs : dict
        From what.
    owner : str
        Who asked.
    state : str
        One of `State`.
    percent : int
        0 - 100.
    message : Phrase
        What is going on, or what went wrong.
    error_code, error_status : str or None, int or None
        Of the catalogue, where it failed.
    created, started, finished, updated : str
        UTC, ISO 8601; the middle two may be missing.
    keeper : str
        The queue that runs it.
    pid : int or None
        The process it runs in.
    stop : bool
        Whether somebody asked for its end.
    media_type : str or None
        Of its result.
    """

    id: str
    process: str
    inputs: dict[str, Any]
    owner: str
    state: State
    percent: int
    message: Phrase
    error_code: str | None
    error_status: int | None
    created: str
    started: str | None
    finished: str | None
    updated: str
    keeper: str
    pid: int | None
    stop: bool
    media_type: str | None


class Records:
    """The file of records; safe to share between threads and processes.

    Parameters
    ----------
    folder : Path
        Holds ``jobs.sqlite``, and a folder for each job that needs one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "jobs.sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        with self._writing() as connection:
            connection.executescript(_SCHEMA)

    def folder_of(self, id: str) -> Path:
        """Where a job's own files lie: what it was given, what it found."""
        return self.folder / id

    def add(self, process: str, inputs: Mapping[str, Any], *, owner: str, keeper: str) -> Job:
        """Enter a job that waits."""
        id, now = secrets.token_urlsafe(12), _now()
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO jobs (id, process, inputs, owner, state, created, updated, keeper)"
                " VALUES (?, ?, ?, ?, 'accepted', ?, ?, ?)",
                (id, process, orjson.dumps(inputs).decode(), owner, now, now, keeper),
            )
        return self.get(id)

    def get(self, id: str) -> Job:
        """Give a job.

        Raises
        ------
        MissingError
            ``job_unknown``.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise MissingError("job_unknown", job=id)
        return _job(row)

    def latest(self, *, states: tuple[State, ...] = (), limit: int = 100) -> list[Job]:
        """Give jobs, newest first; of some states, if any are named."""
        where = f"WHERE state IN ({','.join('?' * len(states))})" if states else ""
        query = f"SELECT * FROM jobs {where} ORDER BY created DESC, rowid DESC LIMIT ?"
        with self._reading() as connection:
            return [_job(row) for row in connection.execute(query, (*states, limit))]

    def waiting(self) -> int:
        """Count the jobs that wait or run."""
        with self._reading() as connection:
            query = "SELECT count(*) FROM jobs WHERE state IN ('accepted', 'running')"
            return int(connection.execute(query).fetchone()[0])

    def begin(self, id: str, pid: int) -> bool:
        """Take a waiting job; tell whether it was still there to take."""
        now = _now()
        return self._change(
            "UPDATE jobs SET state = 'running', pid = ?, started = ?, updated = ?, percent = 0"
            " WHERE id = ? AND state = 'accepted' AND stop = 0",
            (pid, now, now, id),
        )

    def tell(self, id: str, percent: int, message: Phrase) -> bool:
        """Note how far a running job is; tell whether it shall go on."""
        return self._change(
            "UPDATE jobs SET percent = max(percent, ?), message_zh = ?, message_en = ?,"
            " updated = ? WHERE id = ? AND state = 'running' AND stop = 0",
            (percent, message.zh, message.en, _now(), id),
        )

    def succeed(self, id: str, media_type: str) -> bool:
        """Note that a running job is done."""
        now = _now()
        return self._change(
            "UPDATE jobs SET state = 'successful', percent = 100, media_type = ?, finished = ?,"
            " updated = ?, message_zh = '已完成', message_en = 'Done'"
            " WHERE id = ? AND state = 'running'",
            (media_type, now, now, id),
        )

    def fail(self, id: str, code: str, status: int, message: Phrase) -> bool:
        """Note that a job ended without a result."""
        now = _now()
        return self._change(
            "UPDATE jobs SET state = 'failed', error_code = ?, error_status = ?, message_zh = ?,"
            " message_en = ?, finished = ?, updated = ?"
            " WHERE id = ? AND state IN ('accepted', 'running')",
            (code, status, message.zh, message.en, now, now, id),
        )

    def ask_to_stop(self, id: str) -> bool:
        """Ask a job to end: at once if it waits; tell whether it still runs."""
        now = _now()
        if self._change(
            "UPDATE jobs SET state = 'dismissed', stop = 1, finished = ?, updated = ?"
            " WHERE id = ? AND state = 'accepted'",
            (now, now, id),
        ):
            return False
        return self._change(
            "UPDATE jobs SET stop = 1, updated = ? WHERE id = ? AND state = 'running'", (now, id)
        )

    def stopped(self, id: str) -> bool:
        """Note that a job ended because it was asked to."""
        now = _now()
        return self._change(
            "UPDATE jobs SET state = 'dismissed', finished = ?, updated = ?"
            " WHERE id = ? AND state = 'running' AND stop = 1",
            (now, now, id),
        )

    def again(self, id: str, keeper: str) -> bool:
        """Let a job that failed or was dismissed wait once more; tell whether it could."""
        return self._change(
            "UPDATE jobs SET state = 'accepted', stop = 0, percent = 0, error_code = NULL,"
            " error_status = NULL, message_zh = '', message_en = '', started = NULL,"
            " finished = NULL, pid = NULL, updated = ?, keeper = ?"
            " WHERE id = ? AND state IN ('failed', 'dismissed')",
            (_now(), keeper, id),
        )

    def take_over(self, id: str, *, gone: str, keeper: str) -> bool:
        """Take a waiting job from a queue that is gone."""
        return self._change(
            "UPDATE jobs SET keeper = ?, updated = ? WHERE id = ? AND state = 'accepted'"
            " AND keeper = ?",
            (keeper, _now(), id, gone),
        )

    def remove(self, id: str) -> bool:
        """Forget a finished job."""
        return self._change(
            "DELETE FROM jobs WHERE id = ? AND state IN ('successful', 'failed', 'dismissed')",
            (id,),
        )

    def seen(self, keeper: str, at: float) -> None:
        """Note that a queue is alive, in seconds since 1970."""
        self._change("INSERT OR REPLACE INTO keepers VALUES (?, ?)", (keeper, at))

    def last_seen(self) -> dict[str, float]:
        """Give when each queue was last alive."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT id, seen FROM keepers").fetchall())

    def forget_keeper(self, keeper: str) -> None:
        """Drop a queue that was closed or is gone."""
        self._change("DELETE FROM keepers WHERE id = ?", (keeper,))

    def _change(self, statement: str, values: tuple[Any, ...]) -> bool:
        with self._writing() as connection:
            return connection.execute(statement, values).rowcount > 0

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        try:
            # Readers are asked every half second by every open page: they never wait for a writer.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose a percent
            with connection:
                yield connection
        finally:
            connection.close()


def _job(row: sqlite3.Row) -> Job:
    told = dict(row)
    message = Phrase(told.pop("message_zh"), told.pop("message_en"))
    inputs = orjson.loads(told.pop("inputs"))
    return Job(**{**told, "inputs": inputs, "message": message, "stop": bool(told["stop"])})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
