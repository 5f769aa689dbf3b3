"""Reading one boundary file at the far end of a pipe, in a process that is given up afterwards.

A room of its own, so that such a process loads the reader and nothing else of the product. Files
that come over HTTP are read here. The command line reads in its own process, by the same checks of
kind and size before GDAL sees a byte: the file is its user's own, a second process would cost a
second start of GDAL and Arrow, and a parser that dies takes nobody else's work with it.
"""

from __future__ import annotations

import contextlib
import errno
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from geo_service.errors import GeoServiceError, InputError

PRELOADED = ("geo_service._known_drivers_only", "geo_service.boundary_files", __name__)
"""What a fork server loads, in this order: drivers are chosen before GDAL starts."""

_MB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a reader may take.

    Parameters
    ----------
    seconds : float
        Of processor time.
    memory_mb : int
        Of address space.
    file_mb : int
        Of one file that it writes (unpacking a zip, say).
    answer_mb : int
        Of what it sends back.
    """

    seconds: float
    memory_mb: int
    file_mb: int
    answer_mb: int


def answer(
    there: Connection, path: str, options: Mapping[str, Any], limits: Limits, scratch: str
) -> None:
    """Read a file and send the `BoundaryFile`, or the refusal, through a pipe.

    Parameters
    ----------
    there : Connection
        The pipe's end that is written to.
    path : str
        The file.
    options : Mapping
        Keyword arguments of `geo_service.boundary_files.read`.
    limits : Limits
        What the process may take; where it takes more, reading fails.
    scratch : str
        A folder to unpack into, which outlives the process however that ends.
    """
    tempfile.tempdir = scratch
    _limit(limits)
    name = Path(path).name
    try:
        read = pickle.dumps(_read(path, options))
        if len(read) > limits.answer_mb * _MB:
            raise _too_big(name, f"{limits.answer_mb} MB")
    except GeoServiceError as error:
        read = pickle.dumps(error)
    except MemoryError:
        read = pickle.dumps(_too_big(name, f"{limits.memory_mb} MB"))
    except Exception as error:
        # Whatever a parser throws at a hostile file is that file's fault.
        full = isinstance(error, OSError) and error.errno in {errno.EFBIG, errno.ENOSPC}
        refusal = (
            _too_big(name, f"{limits.file_mb} MB")
            if full
            else InputError("file_unreadable", file=name, reason=type(error).__name__)
        )
        read = pickle.dumps(refusal)
    there.send_bytes(read)
    there.close()


def _read(path: str, options: Mapping[str, Any]) -> object:
    # In this order; in a child of the fork server both are loaded already.
    from geo_service import (
        _known_drivers_only,  # noqa: F401
        boundary_files,
    )

    read = boundary_files.read(path, **options)
    read.named()  # refused here, while the file's name is at hand
    _ = read.sha256  # goes with it: nobody else is to open a stranger's file
    return read


def _too_big(file: str, limit: str) -> InputError:
    return InputError("reader_too_big", file=file, limit=limit)


def _limit(limits: Limits) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limits
        import resource

        seconds = int(limits.seconds) + 1
        for what, most in (
            (resource.RLIMIT_AS, limits.memory_mb * _MB),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, limits.file_mb * _MB),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(what, (most, most))
