"""Equal rows of arrays found bit by bit, in time linear in their number."""

from __future__ import annotations

import numba
import numpy as np

from geo_service.coverage._arrays import FloatArray, HashArray, IntArray

_MIX, _FOLD = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


def first_equal(
    table: FloatArray,
    asked: FloatArray,
    *,
    table_of: IntArray | None = None,
    asked_of: IntArray | None = None,
) -> IntArray:
    """For each row of `asked`, the first row of `table` that equals it; -1 where none does.

    With `table_of` and `asked_of`, whose they are, only among those of the same owner.
    """
    bits = [np.ascontiguousarray(rows + 0.0).view(np.uint64) for rows in (table, asked)]  # not -0.0
    owners = [
        np.zeros(len(rows), np.uint64) if of is None else of.astype(np.uint64)
        for of, rows in ((table_of, table), (asked_of, asked))
    ]
    return _first_equal(*bits, *owners)


def distinct_pairs(a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of numbers in order, each once."""
    least = int(b.min(initial=0))
    span = int(b.max(initial=0)) - least + 1
    once = np.unique(a * span + b - least)
    return once // span, once % span + least


@numba.njit(nogil=True, cache=True)
def _hashes(rows: HashArray, of: HashArray) -> HashArray:
    out = np.empty(len(rows), np.uint64)
    for k in range(len(rows)):
        mixed = (of[k] + _MIX) * _MIX
        for column in range(rows.shape[1]):
            mixed = (mixed ^ rows[k, column]) * _MIX
            mixed ^= mixed >> _FOLD
        out[k] = mixed
    return out


@numba.njit(nogil=True, cache=True)
def _equal(rows: HashArray, k: int, others: HashArray, j: int) -> bool:
    same = True
    for column in range(rows.shape[1]):
        same = same and rows[k, column] == others[j, column]
    return same


@numba.njit(nogil=True, cache=True)
def _first_equal(
    table: HashArray, asked: HashArray, table_of: HashArray, asked_of: HashArray
) -> IntArray:
    size = 4
    while size < 2 * len(table):
        size *= 2
    last = np.uint64(size - 1)
    slots = np.full(size, -1, np.int64)
    known, hashes = _hashes(table, table_of), _hashes(asked, asked_of)
    for k in range(len(table)):
        at = np.int64(known[k] & last)
        while slots[at] >= 0:
            j = slots[at]
            if known[j] == known[k] and table_of[j] == table_of[k] and _equal(table, j, table, k):
                break
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = k
    found = np.full(len(asked), -1, np.int64)
    for k in range(len(asked)):
        at = np.int64(hashes[k] & last)
        while slots[at] >= 0:
            j = slots[at]
            if known[j] == hashes[k] and table_of[j] == asked_of[k] and _equal(table, j, asked, k):
                found[k] = j
                break
            at = (at + 1) & (size - 1)
    return found
