"""Bounds by Lagrangian relaxation: what no plan can beat.

The volume method (Barahona and Anbil 2000, "The volume algorithm: producing primal solutions with a
subgradient method") finds good multipliers in floating point. Any multipliers give a valid bound,
so at the end they are rounded to whole 1/256 units and the bound is summed once more in whole
numbers: rounding errors can make it a little weaker, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geo_service.siting._cover import Cover
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray

FINE = 256  # parts of a unit that multipliers are rounded to
_LOOK_EVERY = 50  # steps between two looks at the clock


@dataclass(frozen=True, eq=False)
class Bound:
    """A proven bound and what follows from it.

    Parameters
    ----------
    value : int
        In units: nothing better than this exists.
    multipliers : ndarray
        The multipliers it was proven with.
    """

    value: int
    multipliers: FloatArray


def most_weight(
    cover: Cover,
    count: int,
    known: int,
    *,
    steps: int,
    clock: Clock,
    start: FloatArray | None = None,
    until: float = 1.0,
) -> Bound:
    """Bound the weight that `count` rows can cover.

    Relaxing "demand i counts only if one of its sites is open" with multipliers
    ``0 <= u_i <= w_i`` leaves ``sum(w - u) + (the count largest row sums of u)``.

    Parameters
    ----------
    cover : Cover
    count : int
        Rows that may be opened.
    known : int
        Units that a known plan covers.
    steps : int
        Steps of the subgradient method.
    start : ndarray, optional
        Multipliers to begin with; else half the weights.
    """
    weights = cover.weights.astype(float)
    ones = np.ones(len(weights))

    def relaxed(u: FloatArray) -> tuple[float, FloatArray]:
        sums = cover.rows @ u
        best = largest(sums, count)
        value = float((weights - u).sum() + sums[best].sum())
        return value, ones - cover.columns @ best.astype(float)

    u = volume(
        relaxed,
        0.5 * weights if start is None else start,
        upper=weights,
        known=float(known),
        steps=steps,
        clock=clock,
        until=until,
    )
    fine, sums = _fine_sums(cover, np.minimum(u, weights))
    top = sums[largest(sums, count)]
    value = int((cover.weights * FINE - fine).sum()) + _exact_sum(top)
    return Bound(min(value // FINE, cover.total), fine / FINE)


def fixed_by(cover: Cover, count: int, bound: Bound, known: int) -> tuple[BoolArray, BoolArray]:
    """Tell which rows no better plan than `known` opens, and which each better plan opens.

    Forcing a row in (or out) changes the relaxed optimum by the difference of its row sum to the
    last one in (or the first one out).

    Returns
    -------
    tuple of ndarray of bool
        Never, always.
    """
    fine, sums = _fine_sums(cover, bound.multipliers)
    never, always = np.zeros(len(sums), dtype=bool), np.zeros(len(sums), dtype=bool)
    if not 0 < count < len(sums):
        return never, always
    inside = largest(sums, count)
    value = int((cover.weights * FINE - fine).sum()) + _exact_sum(sums[inside])
    room = value - (known + 1) * FINE
    last_in, first_out = int(sums[inside].min()), int(sums[~inside].max())
    never = ~inside & (last_in - sums > room)
    always = inside & (sums - first_out > room)
    return never, always


def fewest_for(cover: Cover, target: int, bound: Bound) -> int:
    """The least number of rows whose bound reaches `target` units, by given multipliers."""
    fine, sums = _fine_sums(cover, bound.multipliers)
    rest = int((cover.weights * FINE - fine).sum())
    missing = target * FINE - rest
    if missing <= 0:
        return 0
    for number, reached in enumerate(_running_sums(np.sort(sums)[::-1]), start=1):
        if reached >= missing:
            return number
    return len(sums) + 1


def fewest_rows(cover: Cover, known: int, *, steps: int, clock: Clock, until: float = 1.0) -> Bound:
    """Bound the number of rows needed to cover everything.

    Relaxing "each demand is covered" with multipliers ``u >= 0`` leaves
    ``sum(u) + sum over rows of min(0, 1 - row sum of u)``.
    """
    ones = np.ones(cover.rows.shape[1])

    def relaxed(u: FloatArray) -> tuple[float, FloatArray]:
        over = cover.rows @ u - 1.0
        opened = over > 0.0
        value = float(over[opened].sum() - u.sum())
        return value, ones - cover.columns @ opened.astype(float)

    sizes = np.maximum(np.diff(cover.rows.indptr), 1)
    widest = np.maximum(
        _largest_per_column(cover, sizes.astype(float)), 1.0
    )  # a demand's share of its largest candidate
    u = volume(
        relaxed,
        1.0 / widest,
        upper=ones,
        known=-float(known),
        steps=steps,
        clock=clock,
        until=until,
        enough=1.0 - 1e-6,
    )
    # Whole numbers again: 2**32 parts of a site.
    part = 1 << 32
    fine = np.floor(np.minimum(u, 1.0) * part).astype(np.int64)
    over = cover.rows.astype(np.int64) @ fine - part
    value = _exact_sum(fine) - _exact_sum(over[over > 0])
    return Bound(max(-(-value // part), 1 if cover.rows.shape[1] else 0), fine / part)


def _largest_per_column(cover: Cover, values: FloatArray) -> FloatArray:
    """The largest value among the rows of each column."""
    starts = cover.columns.indptr[:-1]
    return np.asarray(np.maximum.reduceat(values[cover.columns.indices], starts), dtype=float)


def volume(
    relaxed: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    *,
    upper: FloatArray,
    known: float,
    steps: int,
    clock: Clock,
    until: float = 1.0,
    enough: float = 0.9,
    look_every: int = _LOOK_EVERY,
) -> FloatArray:
    """Minimise a relaxation over ``0 <= u <= upper``; give the best multipliers.

    Parameters
    ----------
    relaxed : callable
        Multipliers -> (value, the direction in which the value falls).
    known : float
        A value that can't be undercut; the step lengths follow the distance to it.
    enough : float
        Stop when the value is nearer than this to `known`.
    look_every : int
        Steps between two looks at the clock.
    """
    best_u, u = start.copy(), start.copy()
    best, direction = np.inf, np.zeros_like(start)
    length, stale = 0.1, 0
    for step in range(steps):
        value, slope = relaxed(u)
        if step == 0:
            best, direction = value, slope
        else:
            agree = _inner(slope, direction)
            if value < best - 1e-7 * abs(best):
                best, stale = value, 0
                best_u = u
                length = min(length * 1.1, 2.0) if agree > 0 else length
            else:
                if value < best:
                    best, best_u = value, u
                stale += 1
                if stale >= 20:
                    length, stale = max(length * 0.66, 1e-5), 0
            direction = _blend(direction, slope, agree, step)
        if best - known < enough or length < 2e-5:
            break
        if step % look_every == look_every - 1 and clock.out_of_time(until):
            break
        free = ~(((direction > 0) & (best_u >= upper)) | ((direction < 0) & (best_u <= 0)))
        square = _inner(direction[free], direction[free])
        if square == 0.0:
            break
        stride = length * max(best - known, 1e-3 * abs(best)) / square
        u = np.clip(best_u + stride * direction, 0.0, upper)
    return best_u


def _blend(direction: FloatArray, slope: FloatArray, agree: float, step: int) -> FloatArray:
    """Mix the running direction with the newest slope so that the mixture is shortest."""
    old, new = _inner(direction, direction), _inner(slope, slope)
    spread = new - 2.0 * agree + old
    most = max(0.005, 0.1 * 0.9995**step)
    share = (old - agree) / spread if spread > 1e-12 else 1.0
    share = min(max(share, most / 10.0), most)
    return share * slope + (1.0 - share) * direction


def _inner(a: FloatArray, b: FloatArray) -> float:
    """Inner product without BLAS: its threads stall on a busy machine and may round differently."""
    return float((a * b).sum())


def largest(sums: FloatArray | IntArray, count: int) -> BoolArray:
    """Mark the `count` largest."""
    inside = np.zeros(len(sums), dtype=bool)
    if count >= len(sums):
        inside[:] = True
    elif count > 0:
        inside[np.argpartition(sums, len(sums) - count)[len(sums) - count :]] = True
    return inside


def _fine_sums(cover: Cover, multipliers: FloatArray) -> tuple[IntArray, IntArray]:
    """Multipliers in whole 1/256 units, and their sum over each row."""
    fine = np.clip(np.rint(multipliers * FINE).astype(np.int64), 0, cover.weights * FINE)
    return fine, cover.rows.astype(np.int64) @ fine


def _exact_sum(values: IntArray) -> int:
    """A sum that can't overflow."""
    return sum(values.tolist())


def _running_sums(values: IntArray) -> list[int]:
    total = 0
    sums = []
    for value in values.tolist():
        total += value
        sums.append(total)
    return sums
