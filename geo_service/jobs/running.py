"""One job, run wherever an executor put it: a process, a thread, another machine."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_service.errors import GeoServiceError, InputError, Phrase
from geo_service.jobs.records import Records

log = logging.getLogger("geo_service.jobs")

TELL_EVERY_SECONDS = 0.25
RESULT = "result"


class Dismissed(Exception):  # noqa: N818 - nothing went wrong
    """Somebody asked for this job's end."""


@dataclass(frozen=True)
class Result:
    """What a job found.

    Parameters
    ----------
    data : bytes
        As it is given to whoever asks.
    media_type : str
        Of `data`.
    """

    data: bytes
    media_type: str = "application/json"


@dataclass(frozen=True)
class Context:
    """What work may use beside its inputs.

    Parameters
    ----------
    setting : Mapping of str to str
        What the queue was made with: the store's address and the like.
    folder : Path
        The job's own files.
    owner : str
        Who asked.
    tell : callable
        ``tell(share, zh, en)``: how far it is (0 - 1), and in words; raises `Dismissed` where the
        job shall end. Call it often: it is cheap.
    """

    setting: Mapping[str, str]
    folder: Path
    owner: str
    tell: Callable[[float, str, str], None]


Work = Callable[[dict[str, Any], Context], Result]


def run(folder: str, id: str, work: str, setting: Mapping[str, str]) -> None:
    """Run a job and note how it ended; nothing is raised.

    Parameters
    ----------
    folder : str
        Of the records.
    id : str
        The job.
    work : str
        ``module:function``, a `Work`.
    setting : Mapping of str to str
        For `Context`.
    """
    records = Records(Path(folder))
    if not records.begin(id, os.getpid()):
        return
    try:
        result = _result(records, id, work, setting)
        _keep(records.folder_of(id), result)
        if not records.succeed(id, result.media_type):
            records.stopped(id)
    except Dismissed:
        records.stopped(id)
    except GeoServiceError as error:
        _fail(records, id, error)
    except Exception:
        log.exception("job %s failed", id)
        _fail(records, id, InputError("internal_error"))


def _result(records: Records, id: str, work: str, setting: Mapping[str, str]) -> Result:
    job = records.get(id)
    module, _, name = work.partition(":")
    function: Work = getattr(importlib.import_module(module), name)
    folder = records.folder_of(id)
    folder.mkdir(exist_ok=True)
    teller = _Teller(records, id)
    return function(job.inputs, Context(setting, folder, job.owner, teller.tell))


def _fail(records: Records, id: str, error: GeoServiceError) -> None:
    message = Phrase(error.message("zh"), error.message("en"))
    records.fail(id, error.code, error.status, message)


def _keep(folder: Path, result: Result) -> None:
    part = folder / f"{RESULT}.part"
    part.write_bytes(result.data)
    part.replace(folder / RESULT)


class _Teller:
    """Passes progress on, four times a second at most."""

    def __init__(self, records: Records, id: str) -> None:
        self._records = records
        self._id = id
        self._told_at = 0.0
        self._words = ("", "")

    def tell(self, share: float, zh: str, en: str) -> None:
        """Note how far it is."""
        now = time.monotonic()
        if (zh, en) == self._words and now - self._told_at < TELL_EVERY_SECONDS:
            return
        self._told_at, self._words = now, (zh, en)
        percent = min(max(int(share * 100), 0), 99)
        if not self._records.tell(self._id, percent, Phrase(zh, en)):
            raise Dismissed
