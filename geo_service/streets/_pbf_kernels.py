"""Loops over the bytes of a decoded PBF block: numbers, fields, strings.

The format is protobuf (wiki.openstreetmap.org/wiki/PBF_Format): a message is a row of fields, each
a number (varint) or a run of bytes. Blocks are decoded as they lie, without building objects.
Every kernel trusts nothing: bytes that can't be right end it with a status, and the buffer is
padded (`PADDING` zeros) so that reading one number too far stays inside.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Longs: TypeAlias = npt.NDArray[np.int64]

PADDING = 16
WHOLE, DAMAGED = 0, 1

NODE, DENSE, WAY, RELATION = 1, 2, 3, 4
"""Fields of a PrimitiveGroup."""

MESSAGE = 2
"""The wire type of a run of bytes."""

_KEY_BUCKETS = 256
_ALL_BITS_BUT_TOP = 0x7FFFFFFFFFFFFFFF


@numba.njit(cache=True, nogil=True, inline="always")
def varint(b: Any, p: int) -> Any:
    """Read a number: its 64 bits and what follows it; ``-1`` where it is longer than ten bytes."""
    byte = np.int64(b[p])
    p += 1
    if byte < 128:
        return byte, p
    value = byte & 127
    shift = 7
    while byte >= 128:
        if shift > 63:
            return np.int64(0), -1
        byte = np.int64(b[p])
        p += 1
        value |= (byte & 127) << shift
        shift += 7
    return value, p


@numba.njit(cache=True, nogil=True, inline="always")
def zigzag(value: int) -> Any:
    return ((value >> 1) & _ALL_BITS_BUT_TOP) ^ -(value & 1)


@numba.njit(cache=True, nogil=True)
def field(b: Any, p: int, end: int) -> Any:
    """Read a field's head: number, wire type, value, begin and end of its bytes.

    What follows the field is its ``end``; ``-1`` where the bytes can't be right.
    """
    tag, p = varint(b, p)
    number, wire = tag >> 3, tag & 7
    value = np.int64(0)
    begin = p
    if p < 0 or number < 1:
        return number, wire, value, begin, -1
    if wire == 0:
        value, p = varint(b, p)
    elif wire == MESSAGE:
        length, p = varint(b, p)
        begin = p
        p = p + length if 0 <= length <= end - p else -1
    elif wire == 1:
        p += 8
    elif wire == 5:
        p += 4
    else:
        p = -1
    return number, wire, value, begin, p if p <= end else -1


@numba.njit(cache=True, nogil=True)
def fields(b: Bytes, begin: int, end: int) -> Any:
    """List the fields of a message.

    Returns
    -------
    tuple
        Status, and an int64 array of rows (number, wire type, value, begin, end).
    """
    rows = np.empty((16, 5), np.int64)
    count = 0
    p = begin
    while p < end:
        number, wire, value, start, stop = field(b, p, end)
        if stop < 0:
            return DAMAGED, rows[:count]
        if count == len(rows):
            rows = grown(rows, count)
        rows[count, 0], rows[count, 1], rows[count, 2] = number, wire, value
        rows[count, 3], rows[count, 4] = start, stop
        count += 1
        p = stop
    return WHOLE, rows[:count]


@numba.njit(cache=True, nogil=True)
def grown(old: Any, count: int) -> Any:
    new = np.empty((2 * len(old), *old.shape[1:]), old.dtype)
    new[:count] = old[:count]
    return new


@numba.njit(cache=True, nogil=True)
def strings(b: Bytes, begin: int, end: int, keys: Bytes, key_at: Longs, buckets: Longs) -> Any:
    """Find the strings of a block, and which of them are telling keys.

    Parameters
    ----------
    keys, key_at, buckets
        The telling keys in a row, where each begins, and a hash table over them (`key_table`).

    Returns
    -------
    tuple
        Status; begin of each string, with one end more; number of the telling key, or -1.
    """
    count = 0
    p = begin
    while p < end:
        number, wire, _, _, p = field(b, p, end)
        if p < 0:
            return DAMAGED, np.empty((0, 2), np.int64), np.empty(0, np.int16)
        count += number == 1 and wire == MESSAGE
    at = np.empty((count, 2), np.int64)
    key = np.full(count, -1, np.int16)
    count = 0
    p = begin
    while p < end:
        number, wire, _, start, p = field(b, p, end)
        if number != 1 or wire != MESSAGE:
            continue
        at[count, 0], at[count, 1] = start, p
        if p > start:
            slot = (31 * (p - start) + 7 * np.int64(b[start]) + np.int64(b[p - 1])) % _KEY_BUCKETS
            for row in range(buckets[slot], buckets[slot + 1]):
                known = key_at[row]
                if key_at[row + 1] - known != p - start:
                    continue
                same = True
                for i in range(p - start):
                    if b[start + i] != keys[known + i]:
                        same = False
                        break
                if same:
                    key[count] = row
        count += 1
    return WHOLE, at, key


def key_table(keys: list[bytes]) -> tuple[list[bytes], Bytes, Longs, Longs]:
    """Lay telling keys out for `strings`: in the order of their buckets."""

    def bucket(key: bytes) -> int:
        return (31 * len(key) + 7 * key[0] + key[-1]) % _KEY_BUCKETS

    ordered = sorted(keys, key=lambda key: (bucket(key), key))
    at = np.concatenate(([0], np.cumsum([len(key) for key in ordered]))).astype(np.int64)
    buckets = np.searchsorted([bucket(k) for k in ordered], np.arange(_KEY_BUCKETS + 1))
    return ordered, np.frombuffer(b"".join(ordered), np.uint8), at, buckets.astype(np.int64)


@numba.njit(cache=True, nogil=True)
def visible(b: Any, p: int, end: int) -> Any:
    """Tell whether an object exists, by its Info message."""
    while 0 <= p < end:
        number, wire, value, _, p = field(b, p, end)
        if number == 6 and wire == 0:
            return value != 0
    return True


@numba.njit(cache=True, nogil=True)
def areas(b: Bytes, begin: int, end: int, kind_strings: Any, everything: bool) -> Any:
    """List the relations of a group that carry a telling key: status, begin and end of each.

    Parameters
    ----------
    kind_strings : ndarray of bool
        Which strings of the block are keys that make a relation a candidate.
    everything : bool
        List every relation: an extract with history tells so which ones were deleted.
    """
    found, count = np.empty((64, 2), np.int64), 0
    p = begin
    while p < end:
        number, wire, _, start, p = field(b, p, end)
        if p < 0:
            return DAMAGED, found[:0]
        if number != RELATION or wire != MESSAGE:
            continue
        wanted = everything
        q = start
        while q < p and not wanted:
            inner, inner_wire, _, at, q = field(b, q, p)
            if q < 0:
                return DAMAGED, found[:0]
            while inner == 2 and inner_wire == MESSAGE and at < q:
                string, at = varint(b, at)
                if at < 0 or string < 0 or string >= kind_strings.size:
                    return DAMAGED, found[:0]
                wanted = wanted or kind_strings[string]
        if wanted:
            if count == len(found):
                found = grown(found, count)
            found[count, 0], found[count, 1] = start, p
            count += 1
    return WHOLE, found[:count]
