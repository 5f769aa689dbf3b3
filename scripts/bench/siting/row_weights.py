"""A peer for set covering: row-weighting local search, written after its paper and sharing no code.

Gao, Weise and Li 2014, "An efficient local search heuristic with row weighting for the unicost set
covering problem" (RWLS): uncovered rows grow heavier with every step; the column that loses least
leaves, the one that serves a random uncovered row best enters; what has just entered may not leave,
and what has left may not come back before a column beside it has changed.
"""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np
from scipy import sparse

_STEPS_BETWEEN_LOOKS = 2000


def fewest(coverage: sparse.csr_array, *, seconds: float, seed: int) -> np.ndarray:
    """Columns (candidates) that cover every row (demand), as few as are found in these seconds."""
    table = sparse.csr_array(coverage)
    across = sparse.csr_array(table.T)
    size, rows = table.shape
    state: Any = (
        table.indptr.astype(np.int64), table.indices.astype(np.int64),
        across.indptr.astype(np.int64), across.indices.astype(np.int64),
        np.zeros(size, dtype=np.bool_), np.zeros(rows, dtype=np.int64),  # chosen, times covered
        np.ones(rows, dtype=np.int64), np.diff(table.indptr).astype(np.int64),  # weights, scores
        np.zeros(size, dtype=np.int64), np.ones(size, dtype=np.bool_),  # stamps, may enter
    )  # fmt: skip
    best = np.zeros(size, dtype=np.bool_)
    clock = np.zeros(2, dtype=np.int64)  # steps so far, the column that may not leave
    clock[1] = -1
    _cover_greedily(state)
    _seed(seed)
    until = time.process_time() + seconds
    while time.process_time() < until:
        _steps(state, best, clock, _STEPS_BETWEEN_LOOKS)
    return np.flatnonzero(best)


@numba.njit(cache=True)
def _seed(seed):  # type: ignore[no-untyped-def]  # numba infers
    np.random.seed(seed)  # noqa: NPY002  # the one numba knows


@numba.njit(cache=True)
def _enter(state, column):  # type: ignore[no-untyped-def]  # numba infers
    """Choose a column; of a chosen one the score is what leaving would lose, else what it wins."""
    starts, rows, r_starts, columns, chosen, times, weights, scores, _, may = state
    won = scores[column]
    for at in range(starts[column], starts[column + 1]):
        row = rows[at]
        for k in range(r_starts[row], r_starts[row + 1]):
            other = columns[k]
            may[other] = True
            if other == column:
                continue
            if times[row] == 0 or (times[row] == 1 and chosen[other]):
                scores[other] -= weights[row]
        times[row] += 1
    chosen[column] = True
    scores[column] = won


@numba.njit(cache=True)
def _leave(state, column):  # type: ignore[no-untyped-def]  # numba infers
    starts, rows, r_starts, columns, chosen, times, weights, _, _, may = state
    scores = state[7]
    chosen[column] = False
    for at in range(starts[column], starts[column + 1]):
        row = rows[at]
        times[row] -= 1
        for k in range(r_starts[row], r_starts[row + 1]):
            other = columns[k]
            may[other] = True
            if other == column:
                continue
            if times[row] == 0 or (times[row] == 1 and chosen[other]):
                scores[other] += weights[row]
    may[column] = False


@numba.njit(cache=True)
def _cover_greedily(state):  # type: ignore[no-untyped-def]  # numba infers
    chosen, times, scores = state[4], state[5], state[7]
    while (times == 0).any():
        best = -1
        for column in range(len(scores)):
            if not chosen[column] and (best < 0 or scores[column] > scores[best]):
                best = column
        _enter(state, best)


@numba.njit(cache=True)
def _least_loss(state, barred):  # type: ignore[no-untyped-def]  # numba infers
    """The chosen column whose leaving loses least; of equals the one unchanged for longest."""
    chosen, scores, stamps = state[4], state[7], state[8]
    best = -1
    for column in range(len(scores)):
        if not chosen[column] or column == barred:
            continue
        if best < 0 or scores[column] < scores[best] or (
            scores[column] == scores[best] and stamps[column] < stamps[best]
        ):  # fmt: skip
            best = column
    return best


@numba.njit(cache=True)
def _steps(state, best, clock, number):  # type: ignore[no-untyped-def]  # numba infers
    _, _, r_starts, columns, chosen, times, weights, scores, stamps, may = state
    for _ in range(number):
        open_rows = np.flatnonzero(times == 0)
        while len(open_rows) == 0:
            best[:] = chosen
            column = _least_loss(state, -1)
            _leave(state, column)
            stamps[column] = clock[0]
            open_rows = np.flatnonzero(times == 0)
        clock[0] += 1
        column = _least_loss(state, clock[1])
        if column >= 0:
            _leave(state, column)
            stamps[column] = clock[0]
            open_rows = np.flatnonzero(times == 0)
        row = open_rows[np.random.randint(len(open_rows))]  # noqa: NPY002
        entering = -1
        for k in range(r_starts[row], r_starts[row + 1]):
            other = columns[k]
            if not may[other] and r_starts[row + 1] - r_starts[row] > 1:
                continue
            if entering < 0 or scores[other] > scores[entering] or (
                scores[other] == scores[entering] and stamps[other] < stamps[entering]
            ):  # fmt: skip
                entering = other
        if entering >= 0:
            _enter(state, entering)
            stamps[entering] = clock[0]
            clock[1] = entering
        for row in np.flatnonzero(times == 0):
            weights[row] += 1
            for k in range(r_starts[row], r_starts[row + 1]):
                scores[columns[k]] += 1
