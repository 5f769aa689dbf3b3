"""Tiles of coarse zooms kept on disk: one file per layer, of its current revision.

A coarse tile shows half the city, and drawing it wants the whole city simplified first: ten seconds
for 18,936 grids, at every start. Read back from a file it takes milliseconds. A file is named by
the digest of the revision's content and of the program that drew it, so it is never out of date.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import shapely
from pmtiles.reader import MmapSource, Reader

from geo_service.errors import InputError
from geo_service.tiles import archive
from geo_service.tiles.source import TileSource

fcntl: Any
try:
    import fcntl as _fcntl
except ImportError:  # Windows: two processes may then draw the same tiles, the last file stays
    fcntl = None
else:
    fcntl = _fcntl

FINEST_SAVED_ZOOM = 12
"""Closer tiles show a few hundred grids and are drawn when they are asked for."""
MOST_MB = 64
"""Of one file; where it would be larger, its finest zooms are left out."""

_DIGITS = 20
_SUFFIX = ".pmtiles"

log = logging.getLogger("geo_service.tiles")


class SavedTiles:
    """The saved tiles of a layer's revision.

    Parameters
    ----------
    path : Path
        A PMTiles file.

    Raises
    ------
    Exception
        Whatever the reader of a file that is none stumbles over.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._reader: Any = Reader(MmapSource(file))
        self.finest_zoom: int = self._reader.header()["max_zoom"]

    def tile(self, z: int, x: int, y: int) -> bytes:
        """Give a tile of a zoom up to `finest_zoom`; empty where nothing is."""
        data = self._reader.get(z, x, y)
        return gzip.decompress(data) if data else b""


def opened(folder: Path, layer: str, digest: str) -> SavedTiles | None:
    """Open the tiles of a layer's content, if they were saved."""
    path = _path(folder, layer, digest)
    if not path.is_file():
        return None
    try:
        return SavedTiles(path)
    except Exception:  # damaged by whatever; they are drawn again
        log.exception("%s can't be read", path.name)
        return None


def save(source: TileSource, folder: Path, layer: str, digest: str) -> SavedTiles | None:
    """Draw a layer's coarse tiles and keep them in the place of those of its other revisions.

    Of several processes one draws; the others wait for it and take what it made.

    Parameters
    ----------
    source : TileSource
        Of the layer.
    folder : Path
        Where tiles of one store lie; made if need be.
    layer, digest : str
        Whose, and of which content.

    Returns
    -------
    SavedTiles or None
        ``None`` where nothing could be written: a full disk, a folder of somebody else's.
    """
    path = _path(folder, layer, digest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f"{layer}.lock"):
            found = opened(folder, layer, digest)
            if found is None:
                _write(source, path)
                found = opened(folder, layer, digest)
            for other in folder.glob(f"{layer}-*{_SUFFIX}"):
                if other != path:
                    other.unlink(missing_ok=True)
    except (OSError, InputError) as error:
        log.warning("the tiles of %s are not saved: %s", layer, error)
        return None
    return found


def _write(source: TileSource, path: Path) -> None:
    for finest in range(FINEST_SAVED_ZOOM, -1, -1):
        archive.write(source, path, finest_zoom=finest)
        if path.stat().st_size <= MOST_MB * 1_000_000:
            return


def _path(folder: Path, layer: str, digest: str) -> Path:
    whole = hashlib.sha256(f"{digest} {_drawn_by()}".encode()).hexdigest()
    return folder / f"{layer}-{whole[:_DIGITS]}{_SUFFIX}"


@cache
def _drawn_by() -> str:
    """The digest of what tiles depend on beside the content: this room, masking, GEOS."""
    room = Path(__file__).parent
    digest = hashlib.sha256(shapely.geos_version_string.encode())
    for path in [*sorted(room.glob("*.py")), room.parent / "masking.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time in; the system opens the door again when one dies."""
    if fcntl is None:
        yield
        return
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
