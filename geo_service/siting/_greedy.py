"""Lazy greedy choice: the gain of a candidate only falls, so most are never looked at again.

Minoux 1978, "Accelerated greedy algorithms for maximizing submodular set functions". The choice is
exactly that of the plain greedy; of equal gains the first candidate is taken.
"""

from __future__ import annotations

import heapq

import numpy as np
from scipy import sparse

from geo_service.siting.plans import IntArray


def choose(
    rows: sparse.csr_array, weights: IntArray, count: int, *, target: int | None = None
) -> tuple[IntArray, IntArray]:
    """Choose rows one by one, each covering the most weight that is not covered yet.

    Parameters
    ----------
    rows : csr_array
        Candidates x demand.
    weights : ndarray of int
        Units per demand.
    count : int
        Most rows to choose; the choice ends earlier when nothing more is gained.
    target : int, optional
        Stop when so many units are covered.

    Returns
    -------
    tuple of ndarray of int
        The rows in the order chosen, and the units each added.
    """
    open_weight = weights.astype(np.int64, copy=True)
    starts, demand = rows.indptr, rows.indices
    first_gain = np.rint(rows @ weights.astype(float)).astype(np.int64)
    heap = [(-gain, row) for row, gain in enumerate(first_gain.tolist())]
    heapq.heapify(heap)
    asked = np.zeros(rows.shape[0], dtype=np.int64)  # the first gains are fresh in round 0
    chosen: list[int] = []
    gains: list[int] = []
    covered = 0
    while heap and len(chosen) < count and (target is None or covered < target):
        minus_gain, row = heapq.heappop(heap)
        if minus_gain == 0:
            break
        reach = demand[starts[row] : starts[row + 1]]
        if asked[row] == len(chosen):
            chosen.append(row)
            gains.append(-minus_gain)
            covered -= minus_gain
            open_weight[reach] = 0
            continue
        asked[row] = len(chosen)
        heapq.heappush(heap, (-int(open_weight[reach].sum()), row))
    return np.asarray(chosen, dtype=np.int64), np.asarray(gains, dtype=np.int64)
