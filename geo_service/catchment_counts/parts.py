"""Finished parts of a long run, kept so that one that was cut off can go on."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError


class KeptParts:
    """Numbered arrays in a folder named by what was asked; without a folder nothing is kept.

    A part is written beside its place and then renamed, so a killed run leaves whole parts only.
    Parts of another question in the same folder are left alone.

    Parameters
    ----------
    folder : str or Path or None
        Where to keep parts.
    asked : iterable of ndarray
        All that the parts depend on.
    """

    def __init__(self, folder: str | Path | None, asked: Iterable[npt.NDArray[Any]]) -> None:
        self.found = 0
        self._place: Path | None = None
        if folder is None:
            return
        digest = hashlib.sha256()
        for values in asked:
            digest.update(f"{values.dtype.str}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        self._place = Path(folder) / digest.hexdigest()[:16]
        try:
            self._place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                "output_unwritable", file=str(folder), reason=error, known="a folder"
            ) from error

    def get(self, number: int) -> npt.NDArray[np.float64] | None:
        """Give a finished part, or nothing."""
        if self._place is None:
            return None
        try:
            part: npt.NDArray[np.float64] = np.load(self._name(number), allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        self.found += 1
        return part

    def put(self, number: int, part: npt.NDArray[np.float64]) -> None:
        """Keep a finished part."""
        if self._place is None:
            return
        name = self._name(number)
        made = name.with_name(f".{name.name}.{os.getpid()}")
        with made.open("wb") as stream:
            np.save(stream, part)
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(name)

    def _name(self, number: int) -> Path:
        assert self._place is not None
        return self._place / f"part_{number:05d}.npy"
