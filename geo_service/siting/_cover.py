"""A covering problem as the solvers share it: whole weights, no twin demand, no useless site."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geo_service.errors import InputError, Phrase
from geo_service.siting.plans import BoolArray, FloatArray, IntArray

# Sums of weights stay far below 2**63 even when multipliers carry 8 more bits (see _bounds).
_TOTAL_UNITS = 2.0**50
# Finding dominated candidates multiplies the matrix with itself: worth it up to this many products.
_PRODUCTS = 30_000_000


@dataclass(frozen=True, eq=False)
class Units:
    """Weights as whole numbers.

    ``whole = weight * scale`` rounded to the nearest, `scale` a power of two: counts of people and
    halves of them are exact. `slack` is the most that rounding can have changed any sum, in units.
    """

    given: FloatArray
    whole: IntArray
    scale: float
    slack: float

    @classmethod
    def of(cls, values: npt.ArrayLike, *, name: str) -> Units:
        """Check weights and turn them into whole numbers.

        Raises
        ------
        InputError
            ``parameter_invalid`` for a negative, infinite or missing value.
        """
        given = np.asarray(values, dtype=float).ravel()
        wrong = ~(np.isfinite(given) & (given >= 0.0))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            reason = Phrase(
                f"第 {at} 个：应为 0 或更大的数", f"position {at}: must be a number, 0 or more"
            )
            raise InputError("parameter_invalid", name=name, value=given[at], reason=reason)
        total = float(given.sum())
        if total == 0.0:
            return cls(given, given.astype(np.int64), 1.0, 0.0)
        finest = math.floor(math.log2(_TOTAL_UNITS / total))
        for power in range(min(finest, 20) + 1):
            scaled = given * 2.0**power
            if np.array_equal(scaled, np.rint(scaled)):
                return cls(given, scaled.astype(np.int64), 2.0**power, 0.0)
        scaled = np.rint(given * 2.0**finest)
        return cls(given, scaled.astype(np.int64), 2.0**finest, 0.5 * len(given))

    def upper(self, whole: int) -> float:
        """A number that a sum of weights known to be at most `whole` units can't exceed."""
        if not self.slack:
            return whole / self.scale
        return math.nextafter((whole + self.slack) / self.scale, math.inf)

    def sum(self, chosen: BoolArray) -> float:
        """The weight of some of the demand, in the caller's own numbers, rounded once."""
        return math.fsum(self.given[chosen].tolist())


@dataclass(frozen=True, eq=False)
class Cover:
    """A reduced covering problem.

    Parameters
    ----------
    rows : csr_array
        Candidates x demand, all entries 1.0.
    columns : csr_array
        Its transpose.
    weights : ndarray of int
        Units per demand group.
    candidates : ndarray of int
        The caller's number of each row.
    """

    rows: sparse.csr_array
    columns: sparse.csr_array
    weights: IntArray
    candidates: IntArray

    @property
    def total(self) -> int:
        """All weight that some candidate covers, in units."""
        return int(self.weights.sum())

    def covered(self, chosen: IntArray) -> int:
        """Units covered by some of the rows."""
        return int(self.weights[reached(self.rows, chosen)].sum())

    def only(self, kept: BoolArray) -> Cover:
        """The same problem with some of the candidates."""
        return cover_of(self.rows[np.flatnonzero(kept)], self.weights, self.candidates[kept])


def matrix(coverage: Any, *, name: str = "coverage") -> sparse.csr_array:
    """Read a coverage matrix: sparse or dense, candidates x demand, nonzero = covers.

    Returns
    -------
    csr_array
        Sorted, without duplicates, all entries 1.0.
    """
    read = sparse.csr_array(coverage, dtype=float, copy=True)
    if read.ndim != 2:
        raise InputError(
            "parameter_invalid",
            name=name,
            value=read.shape,
            reason=Phrase("不是矩阵", "not a matrix"),
        )
    read.sum_duplicates()
    read.eliminate_zeros()
    read.data = np.ones(read.nnz)
    return read


def indices(chosen: Any, size: int, *, name: str) -> IntArray:
    """Read a choice among `size` things: indices or a boolean mask; kept in the order given."""
    given = np.asarray(list(chosen) if not isinstance(chosen, np.ndarray) else chosen)
    if given.dtype == bool and given.shape == (size,):
        return np.flatnonzero(given)
    whole = given.astype(np.int64)
    if given.size and (not np.array_equal(whole, given) or whole.min() < 0 or whole.max() >= size):
        reason = Phrase(
            f"应为 0 到 {size - 1} 的整数", f"must be whole numbers from 0 to {size - 1}"
        )
        raise InputError("parameter_invalid", name=name, value=given[:5].tolist(), reason=reason)
    return np.asarray(list(dict.fromkeys(whole.tolist())), dtype=np.int64)


def reached(rows: sparse.csr_array, chosen: IntArray) -> BoolArray:
    """Tell which demand is covered by some of the rows."""
    mask = np.zeros(rows.shape[1], dtype=bool)
    mask[rows[chosen].indices] = True
    return mask


def cover_of(rows: sparse.csr_array, weights: IntArray, candidates: IntArray) -> Cover:
    """Put a cover together from its rows."""
    columns = sparse.csr_array(rows.T)
    columns.sort_indices()
    return Cover(rows, columns, weights, candidates)


def reduce(rows: sparse.csr_array, weights: IntArray, candidates: IntArray) -> Cover:
    """Shrink a covering problem without changing its best plans' worth.

    Demand that the same candidates cover becomes one; demand without weight or candidate goes; a
    candidate that covers nothing but what another covers too goes (of equals the first stays).

    Parameters
    ----------
    rows : csr_array
        Candidates x demand, entries 1.0, sorted.
    weights : ndarray of int
    candidates : ndarray of int
        Numbers the rows are known by.
    """
    merged, merged_weights = _merge_twins(
        rows[:, np.flatnonzero(weights > 0)], weights[weights > 0]
    )
    cover = cover_of(merged, merged_weights, candidates)
    useless = _dominated(cover.rows, cover.columns)
    if not useless.any():
        return cover
    kept = cover.only(~useless)
    return cover_of(*_merge_twins(kept.rows, kept.weights), kept.candidates)


def without_implied(cover: Cover) -> Cover:
    """Drop demand that is covered whenever some other demand is, and candidates useless after that.

    Only for covering everything: the weights of what is dropped are lost.
    """
    while True:
        nested = _nested(cover.columns, cover.rows)
        if nested is None or not len(nested[1]):
            return cover
        stays = np.ones(cover.rows.shape[1], dtype=bool)
        stays[nested[1]] = False
        cover = reduce(cover.rows[:, np.flatnonzero(stays)], cover.weights[stays], cover.candidates)


def _dominated(rows: sparse.csr_array, columns: sparse.csr_array) -> BoolArray:
    """Tell which rows lie within another row (of equal ones all but the first)."""
    useless: BoolArray = np.diff(rows.indptr) == 0
    nested = _nested(rows, columns)
    if nested is not None:
        useless[nested[0]] = True
    return useless


def _nested(rows: sparse.csr_array, columns: sparse.csr_array) -> tuple[IntArray, IntArray] | None:
    """Pairs (k, j) of rows where row k lies within row j; of equal rows the first is the outer one.

    Row k lies in row j when they share as many entries as k has. ``None`` where the product of the
    matrix with its transpose would cost too much.
    """
    if float((np.diff(columns.indptr).astype(float) ** 2).sum()) > _PRODUCTS:
        return None
    sizes = np.diff(rows.indptr)
    shared = sparse.coo_array(rows @ columns)
    k, j = shared.coords
    inside = (shared.data == sizes[k]) & (
        (sizes[j] > sizes[k]) | ((sizes[j] == sizes[k]) & (j < k))
    )
    return k[inside], j[inside]


def _merge_twins(rows: sparse.csr_array, weights: IntArray) -> tuple[sparse.csr_array, IntArray]:
    """Join demand columns with the same candidates; drop those without any."""
    columns = sparse.csr_array(rows.T)
    columns.sort_indices()
    sizes = np.diff(columns.indptr)
    keys = np.random.default_rng(0).random((rows.shape[0], 2))
    marks = columns @ keys  # equal columns sum in the same order, so their marks are equal bits
    covered = np.flatnonzero(sizes > 0)
    order = covered[np.lexsort((marks[covered, 1], marks[covered, 0], sizes[covered]))]
    if len(order) == 0:
        return sparse.csr_array((rows.shape[0], 0)), weights[:0]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (sizes[order[1:]] != sizes[order[:-1]]) | (
        marks[order[1:]] != marks[order[:-1]]
    ).any(axis=1)
    _split_false_twins(columns, order, fresh)
    group = np.cumsum(fresh) - 1
    first = np.minimum.reduceat(order, np.flatnonzero(fresh))
    weight = np.bincount(group, weights=weights[order], minlength=len(first))
    in_place = np.argsort(first)
    kept = sparse.csr_array(columns[first[in_place]].T)
    kept.sort_indices()
    return kept, np.rint(weight[in_place]).astype(np.int64)


def _split_false_twins(columns: sparse.csr_array, order: IntArray, fresh: BoolArray) -> None:
    """Mark columns as different that only their marks make equal (so merging stays exact)."""
    starts = columns.indptr
    for size in np.unique(np.diff(starts)[order[~fresh]]):
        at = np.flatnonzero(~fresh & (np.diff(starts)[order] == size))
        span = np.arange(size)
        here = columns.indices[starts[order[at]][:, None] + span]
        before = columns.indices[starts[order[at - 1]][:, None] + span]
        fresh[at[(here != before).any(axis=1)]] = True
