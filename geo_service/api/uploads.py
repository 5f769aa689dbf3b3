"""Uploaded files, read in a process of their own.

A file from outside meets GDAL's parsers in a process that has a limit on memory and time, holds
nothing else, and is gone afterwards. What comes back is a `BoundaryFile` or a refusal.
"""

from __future__ import annotations

import multiprocessing
import pickle
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from geo_service import _boundary_reader
from geo_service.boundary_files import BoundaryFile
from geo_service.boundary_files.limits import MOST_UNPACKED_MB
from geo_service.errors import ConflictError, GeoServiceError, InputError, Phrase

SECONDS = 120.0
"""How long reading one file may take."""

MEMORY_MB = 6144
"""Address space of a reader; GDAL, Arrow and their threads claim a fifth of it before they read."""

ANSWER_MB = 1024
AT_ONCE = 2
_LONGEST_NAME = 120
_UNSAFE = re.compile(r"[^\w.()\-（） ]+")

_seats = threading.BoundedSemaphore(AT_ONCE)
# Children of a fork server that has the reader loaded start in milliseconds; Windows has none.
_method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_context: Any = multiprocessing.get_context(_method)
_context.set_forkserver_preload(list(_boundary_reader.PRELOADED))


def prepare() -> None:
    """Start the server that readers are forked from, so that the first upload need not wait."""
    if _method == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def keep(upload: UploadFile, folder: Path) -> Path:
    """Write an upload into a folder, under its own name made harmless."""
    name = _UNSAFE.sub("_", Path(upload.filename or "").name).lstrip(".")[-_LONGEST_NAME:]
    path = folder / (name or "upload")
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return path


def read(path: Path, options: Mapping[str, Any], *, seconds: float = SECONDS) -> BoundaryFile:
    """Read a boundary file in a process of its own.

    Parameters
    ----------
    path : Path
        The file.
    options : Mapping
        Keyword arguments of `geo_service.boundary_files.read`.
    seconds : float
        The process is ended after this long.

    Raises
    ------
    InputError
        Whatever the reader refuses; ``reader_too_slow``, ``reader_too_big``; ``file_unreadable``
        where its process died.
    ConflictError
        ``busy`` where `AT_ONCE` files are being read already.
    """
    if not _seats.acquire(timeout=seconds):
        raise ConflictError("busy")
    limits = _boundary_reader.Limits(seconds, MEMORY_MB, MOST_UNPACKED_MB, ANSWER_MB)
    here, there = _context.Pipe(duplex=False)
    try:
        # What the reader unpacks is removed here: a process that is killed cleans nothing up.
        with tempfile.TemporaryDirectory(prefix="geo-service-") as scratch:
            question = (there, str(path), dict(options), limits, scratch)
            process = _context.Process(target=_boundary_reader.answer, args=question, daemon=True)
            try:
                process.start()
                there.close()
                return _answer(here, path, seconds)
            finally:
                process.kill()
                process.join()
    finally:
        here.close()
        _seats.release()


def _answer(here: Connection, path: Path, seconds: float) -> BoundaryFile:
    # The far end is closed when the process dies, which makes the pipe readable as well.
    if not here.poll(seconds):
        raise InputError("reader_too_slow", file=path.name, seconds=f"{seconds:g}")
    try:
        answer = pickle.loads(here.recv_bytes())
    except EOFError:
        reason = Phrase("读取程序中途停止", "its reader stopped")
        raise InputError("file_unreadable", file=path.name, reason=reason) from None
    if isinstance(answer, GeoServiceError):
        raise answer
    assert isinstance(answer, BoundaryFile)
    return answer
