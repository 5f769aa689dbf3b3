"""The ways of a decoded PBF block: which may be streets, their nodes and telling tags."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from geo_service.streets._pbf_kernels import (
    DAMAGED,
    MESSAGE,
    WAY,
    WHOLE,
    Bytes,
    Longs,
    field,
    grown,
    varint,
    visible,
    zigzag,
)

_SET_SLOTS = 4096
_LONGEST_ROW = 128  # telling tags of one object: there are fewer telling keys than that


@numba.njit(cache=True, nogil=True)
def _set_number(row: Any, size: int, slots: Any, start: Any, sets: Any, count: int) -> Any:
    """Find a set of tags among those known, or the free slot for it: (number or -1, slot)."""
    code = np.int64(size)
    for i in range(size):
        code = (code * 1_000_003) ^ (row[i, 0] * 7919 + row[i, 1])
    slot = code & (_SET_SLOTS - 1)
    while slots[slot] >= 0:
        known = slots[slot]
        if start[known + 1] - start[known] == size:
            same = True
            for i in range(size):
                at = start[known] + i
                if sets[at, 0] != row[i, 0] or sets[at, 1] != row[i, 1]:
                    same = False
                    break
            if same:
                return known, slot
        slot = (slot + 1) & (_SET_SLOTS - 1)
    return -1, slot


@numba.njit(cache=True, nogil=True)
def ways(
    b: Bytes, begin: int, end: int, key: Any, kind_keys: Any, name_key: int, wanted: Longs,
    everything: bool,
) -> Any:  # fmt: skip
    """Decode the ways of a group that may be streets.

    Parameters
    ----------
    key : ndarray of int16
        The telling key of each string of the block, or -1.
    kind_keys : ndarray of bool
        Which telling keys make a way a candidate.
    name_key : int
        The telling key ``name``.
    wanted : ndarray of int64
        Ids of ways that are candidates whatever their tags, ascending.
    everything : bool
        Whether all ways are (an extract with history: a way may have ceased to be a street).

    Returns
    -------
    tuple
        Status; id, tag set, name's string (or -1), visible and number of nodes of each way; the
        nodes in a row; where each tag set begins; its pairs (telling key, string of the value).
    """
    ids, kind = np.empty(1024, np.int64), np.empty(1024, np.int32)
    name, exists = np.empty(1024, np.int32), np.empty(1024, np.bool_)
    sizes, refs = np.empty(1024, np.int32), np.empty(16384, np.int64)
    slots, set_start = np.full(_SET_SLOTS, -1, np.int32), np.zeros(_SET_SLOTS + 1, np.int64)
    sets, row = np.empty((1024, 2), np.int32), np.empty((_LONGEST_ROW, 2), np.int32)
    found = placed = set_count = hashed = 0
    status = WHOLE
    p = begin
    while p < end:
        number, wire, _, q, p = field(b, p, end)
        if p < 0:
            status = DAMAGED
            break
        if number != WAY or wire != MESSAGE:
            continue
        way_id = np.int64(0)
        shown = True
        key_at = key_end = value_at = value_end = ref_at = ref_end = 0
        while q < p:
            inner, kind_of_field, value, start, q = field(b, q, p)
            if q < 0:
                status = DAMAGED
                break
            if inner == 1 and kind_of_field == 0:
                way_id = value
            elif kind_of_field != MESSAGE:
                continue
            elif inner == 2:
                key_at, key_end = start, q
            elif inner == 3:
                value_at, value_end = start, q
            elif inner == 4:
                shown = visible(b, start, q)
            elif inner == 8:
                ref_at, ref_end = start, q
        if status != WHOLE:
            break
        size = 0
        candidate = everything
        called = -1
        while key_at < key_end and key_at >= 0:
            if value_at >= value_end:
                status = DAMAGED
                break
            string, key_at = varint(b, key_at)
            value, value_at = varint(b, value_at)
            outside = string < 0 or string >= len(key) or value < 0 or value >= len(key)
            if outside or key_at < 0 or value_at < 0:
                status = DAMAGED
                break
            telling = key[string]
            if telling < 0:
                continue
            if telling == name_key:
                called = value
            elif size < _LONGEST_ROW:
                row[size, 0], row[size, 1] = telling, value
                size += 1
                candidate = candidate or kind_keys[telling]
        if status != WHOLE:
            break
        if not candidate and wanted.size:
            at = np.searchsorted(wanted, way_id)
            listed = at < wanted.size and wanted[at] == way_id
        else:
            listed = False
        if not (candidate or listed):
            continue
        this, slot = _set_number(row, size, slots, set_start, sets, set_count)
        if this < 0:
            if hashed > _SET_SLOTS // 2:  # begin anew: a set may then stand twice, which is no harm
                slots[:] = -1
                hashed = 0
                this, slot = _set_number(row, size, slots, set_start, sets, set_count)
            if set_count + 1 >= len(set_start):
                set_start = grown(set_start, len(set_start))
            this = set_count
            slots[slot] = this
            hashed += 1
            at = set_start[this]
            while at + size > len(sets):
                sets = grown(sets, at)
            sets[at : at + size] = row[:size]
            set_count += 1
            set_start[set_count] = at + size
        if found == len(ids):
            ids, kind, name = grown(ids, found), grown(kind, found), grown(name, found)
            exists, sizes = grown(exists, found), grown(sizes, found)
        before = placed
        ref = np.int64(0)
        while ref_at < ref_end:
            delta, ref_at = varint(b, ref_at)
            if ref_at < 0 or ref_at > ref_end:
                status = DAMAGED
                break
            ref += zigzag(delta)
            if placed == len(refs):
                refs = grown(refs, placed)
            refs[placed] = ref
            placed += 1
        if status != WHOLE:
            break
        ids[found], kind[found], name[found] = way_id, this, called
        exists[found], sizes[found] = shown, placed - before
        found += 1
    return (
        status, ids[:found], kind[:found], name[:found], exists[:found], sizes[:found],
        refs[:placed], set_start[: set_count + 1], sets[: set_start[set_count]],
    )  # fmt: skip
