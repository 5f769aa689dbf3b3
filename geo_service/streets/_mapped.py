"""One file of named arrays that opens without being read: the saved walk network.

Layout: `MAGIC`; eight bytes with the length of the head; the head, JSON with what is said of the
file and type, shape and place of each array; the arrays, each on a multiple of `ALIGNMENT` bytes.
Texts stand in the head. Opened, the arrays are views of the mapped file (private: what a program
writes there never reaches the disk).
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

MAGIC = b"geo-service arrays 1\n\x00\x00\x00"
ALIGNMENT = 64
_TYPES = {"<i8", "<i4", "<i2", "|i1", "|u1", "<f8", "<f4", "|b1"}


def write(path: Path, about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a file; the same content gives the same bytes.

    Parameters
    ----------
    about : mapping
        Anything JSON can say.
    arrays : mapping of str to ndarray
        Numbers, truth values or texts of one dimension.
    """
    places: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            places[name] = {"texts": array.tolist()}
            continue
        kind = array.dtype.newbyteorder("<").str
        places[name] = {"type": kind, "size": array.size, "at": offset}
        offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    head = orjson.dumps({"about": about, "arrays": places, "bytes": offset})
    begin = len(MAGIC) + 8 + len(head)
    with path.open("wb") as stream:
        stream.write(MAGIC)
        stream.write(len(head).to_bytes(8, "little"))
        stream.write(head)
        stream.write(bytes(-begin % ALIGNMENT))
        for name, place in places.items():
            if "texts" in place:
                continue
            data = np.ascontiguousarray(arrays[name]).astype(place["type"], copy=False)
            stream.write(data.tobytes())
            stream.write(bytes(-data.nbytes % ALIGNMENT))


def is_one(path: Path) -> bool:
    """Tell by its first bytes whether a file is of this kind."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Open a file that `write` made.

    Raises
    ------
    ValueError
        For one that is cut or damaged.
    """
    with path.open("rb") as stream:
        begin = len(MAGIC) + 8
        start = stream.read(begin)
        length = int.from_bytes(start[len(MAGIC) :], "little")
        size = path.stat().st_size
        if start[: len(MAGIC)] != MAGIC or begin + length > size:
            raise ValueError("the file is cut or damaged")
        head = orjson.loads(stream.read(length))
        data = -(-(begin + length) // ALIGNMENT) * ALIGNMENT
        if not isinstance(head, dict) or data + head["bytes"] != size:
            raise ValueError("the file is cut or damaged")
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays = {}
    for name, place in head["arrays"].items():
        if "texts" in place:
            arrays[name] = np.array(place["texts"], np.str_)
            continue
        if place["type"] not in _TYPES or place["at"] < 0 or place["size"] < 0:
            raise ValueError("the file is damaged")
        # Longer than the file is a ValueError of numpy's.
        arrays[name] = np.frombuffer(mapped, place["type"], place["size"], data + place["at"])
    return head["about"], arrays
