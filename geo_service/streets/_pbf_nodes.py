"""The nodes of a decoded PBF block: positions of those that streets need, and barriers."""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from geo_service.streets._pbf_kernels import (
    DAMAGED,
    MESSAGE,
    NODE,
    WHOLE,
    Bytes,
    Longs,
    field,
    grown,
    varint,
    visible,
    zigzag,
)

Ints: TypeAlias = npt.NDArray[np.int32]

NO_POSITION = np.int32(2**31 - 1)
NANODEGREES = 100  # positions are kept as whole 1e-7 degrees, as OpenStreetMap itself does
HALF_TURN, QUARTER_TURN = 1_800_000_000, 900_000_000


@numba.njit(cache=True, nogil=True)
def dense(b: Bytes, begin: int, end: int, key: Any) -> Any:
    """Decode a DenseNodes message.

    Parameters
    ----------
    key : ndarray of int16
        The telling key of each string of the block, or -1.

    Returns
    -------
    tuple
        Status; ids; x and y in units of the block; whether each exists; rows (node, telling key,
        value's string) of the tags that matter.
    """
    spans = np.zeros((5, 2), np.int64)  # ids, x, y, tags, visible
    p = begin
    status = WHOLE
    while p < end:
        number, wire, _, start, p = field(b, p, end)
        if p < 0:
            status = DAMAGED
            break
        if wire != MESSAGE:
            continue
        if number == 1:
            spans[0] = start, p
        elif number == 9:
            spans[1] = start, p
        elif number == 8:
            spans[2] = start, p
        elif number == 10:
            spans[3] = start, p
        elif number == 5:
            q = start
            while q < p:
                inner, inner_wire, _, at, q = field(b, q, p)
                if q < 0:
                    status = DAMAGED
                    break
                if inner == 6 and inner_wire == MESSAGE:
                    spans[4] = at, q
    count = 0
    for at in range(spans[0, 0], spans[0, 1]):
        count += b[at] < 128  # the last byte of a number
    ids, x, y = _sums(b, spans[0], count), _sums(b, spans[1], count), _sums(b, spans[2], count)
    exists = np.ones(count, np.bool_)
    at = spans[4, 0]
    for i in range(count):
        if at >= spans[4, 1] or at < 0:
            break
        value, at = varint(b, at)
        exists[i] = value != 0
    tags, tags_status = _dense_tags(b, spans[3, 0], spans[3, 1], key)
    if tags_status != WHOLE or not (ids.size == x.size == y.size == count):
        status = DAMAGED
    return status, ids, x, y, exists, tags


@numba.njit(cache=True, nogil=True)
def _sums(b: Any, span: Any, count: int) -> Any:
    """Unpack numbers written as differences; empty where there aren't as many as said."""
    values = np.empty(count, np.int64)
    at, end, total = span[0], span[1], np.int64(0)
    for i in range(count):
        if at >= end:
            return values[:0]
        delta, at = varint(b, at)
        if at < 0:
            return values[:0]
        total += zigzag(delta)
        values[i] = total
    return values if at == end else values[:0]


@numba.njit(cache=True, nogil=True)
def _dense_tags(b: Any, at: int, end: int, key: Any) -> Any:
    rows, count, node = np.empty((256, 3), np.int64), 0, 0
    while at < end:
        string, at = varint(b, at)
        if at < 0:
            return rows[:0], DAMAGED
        if string == 0:
            node += 1
            continue
        value, at = varint(b, at)
        if at < 0 or at > end or not (0 < string < key.size and 0 <= value < key.size):
            return rows[:0], DAMAGED
        if key[string] >= 0:
            if count == len(rows):
                rows = grown(rows, count)
            rows[count, 0], rows[count, 1], rows[count, 2] = node, key[string], value
            count += 1
    return rows[:count], WHOLE


@numba.njit(cache=True, nogil=True)
def plain(b: Bytes, begin: int, end: int, key: Any) -> Any:
    """Decode the Node messages of a group; see `dense` for what it gives."""
    numbers, exists = np.zeros((64, 3), np.int64), np.ones(64, np.bool_)
    rows, count, placed = np.empty((256, 3), np.int64), 0, 0
    status = WHOLE
    p = begin
    while p < end and status == WHOLE:
        number, wire, _, q, p = field(b, p, end)
        if p < 0:
            status = DAMAGED
            break
        if number != NODE or wire != MESSAGE:
            continue
        if count == len(numbers):
            numbers, exists = grown(numbers, count), grown(exists, count)
        numbers[count], exists[count] = 0, True
        key_at = key_end = value_at = value_end = 0
        while q < p:
            inner, inner_wire, value, start, q = field(b, q, p)
            if q < 0:
                status = DAMAGED
                break
            if inner_wire == 0 and inner == 1:
                numbers[count, 0] = zigzag(value)
            elif inner_wire == 0 and (inner == 8 or inner == 9):
                numbers[count, 2 if inner == 8 else 1] = zigzag(value)
            elif inner_wire == MESSAGE and inner == 2:
                key_at, key_end = start, q
            elif inner_wire == MESSAGE and inner == 3:
                value_at, value_end = start, q
            elif inner_wire == MESSAGE and inner == 4:
                exists[count] = visible(b, start, q)
        while key_at < key_end and status == WHOLE:
            string, key_at = varint(b, key_at)
            value, value_at = varint(b, value_at)
            inside = 0 <= string < key.size and 0 <= value < key.size
            if key_at < 0 or value_at < 0 or value_at > value_end or not inside:
                status = DAMAGED
            elif key[string] >= 0:
                if placed == len(rows):
                    rows = grown(rows, placed)
                rows[placed, 0], rows[placed, 1], rows[placed, 2] = count, key[string], value
                placed += 1
        count += 1
    ids, x, y = numbers[:count, 0].copy(), numbers[:count, 1].copy(), numbers[:count, 2].copy()
    return status, ids, x, y, exists[:count], rows[:placed]


@numba.njit(cache=True, nogil=True)
def keep(
    ids: Longs, x: Longs, y: Longs, exists: Any, tags: Longs, kind_keys: Any, scale: Longs,
    stamp: int, wanted: Longs, kept_x: Ints, kept_y: Ints, kept_stamp: Ints,
) -> Any:  # fmt: skip
    """Keep the positions of nodes that streets need.

    Of a node that stands twice the one that comes later in the file counts.

    Parameters
    ----------
    ids, x, y, exists, tags
        What `dense` and `plain` give.
    kind_keys : ndarray of bool
        Which telling keys make a node a barrier.
    scale : ndarray of int64, shape (3,)
        Granularity, offset of longitude, offset of latitude (nanodegrees).
    stamp : int
        The number of the block in the file.
    wanted : ndarray of int64
        Ids of the nodes of streets, ascending.
    kept_x, kept_y, kept_stamp : ndarray of int32
        Filled in: positions in 1e-7 degrees, and the block each came from.

    Returns
    -------
    tuple
        How many stood twice; how many ids are negative; rows (place among the wanted, first tag,
        end of tags) of nodes whose tags matter.
    """
    twice = negative = count = at = tag = 0
    previous = np.int64(-(2**62))
    tagged = np.empty((64, 3), np.int64)
    for i in range(ids.size):
        node = ids[i]
        negative += node < 0
        if node < previous or i == 0:
            at = np.searchsorted(wanted, node)
        previous = node
        while at < wanted.size and wanted[at] < node:
            at += 1
        first = tag
        matters = False
        while tag < len(tags) and tags[tag, 0] == i:
            matters = matters or kind_keys[tags[tag, 1]]
            tag += 1
        if at >= wanted.size or wanted[at] != node or kept_stamp[at] > stamp:
            continue
        again = kept_stamp[at] >= 0
        twice += again
        kept_stamp[at] = stamp
        lon, lat = _unit(x[i], scale[0], scale[1]), _unit(y[i], scale[0], scale[2])
        shown = exists[i] and abs(lon) <= HALF_TURN and abs(lat) <= QUARTER_TURN
        kept_x[at] = lon if shown else NO_POSITION
        kept_y[at] = lat if shown else NO_POSITION
        if matters or again:
            if count == len(tagged):
                tagged = grown(tagged, count)
            tagged[count, 0], tagged[count, 1], tagged[count, 2] = at, first, tag
            count += 1
    return twice, negative, tagged[:count]


@numba.njit(cache=True, nogil=True)
def _unit(value: int, granularity: int, offset: int) -> Any:
    """Nanodegrees to whole 1e-7 degrees, cut towards zero as libosmium does."""
    nano = offset + value * granularity
    return nano // NANODEGREES if nano >= 0 else -((-nano) // NANODEGREES)
