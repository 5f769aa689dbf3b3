"""Reading one boundary file at the far end of a pipe, in a process that is given up afterwards.

A room of its own, so that such a process loads the reader and nothing else of the product.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from geo_service import boundary_files
from geo_service.errors import GeoServiceError, InputError


def answer(there: Connection, path: str, options: Mapping[str, Any], memory_bytes: int) -> None:
    """Read a file and send the `BoundaryFile`, or the refusal, through a pipe.

    Parameters
    ----------
    there : Connection
        The pipe's end that is written to.
    path : str
        The file.
    options : Mapping
        Keyword arguments of `geo_service.boundary_files.read`.
    memory_bytes : int
        What the process may take; where it takes more, reading fails.
    """
    _limit(memory_bytes)
    read: boundary_files.BoundaryFile | GeoServiceError
    try:
        read = boundary_files.read(path, **options)
        read.layer_frame()  # refused here, while the file's name is at hand
    except GeoServiceError as error:
        read = error
    except (Exception, MemoryError) as error:
        # Whatever a parser throws at a hostile file is that file's fault.
        reason = type(error).__name__
        read = InputError("file_unreadable", file=Path(path).name, reason=reason)
    there.send(read)
    there.close()


def _limit(memory_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
