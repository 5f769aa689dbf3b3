"""On which side of an edge a point lies, exactly, and what follows from it.

A floating-point filter answers nearly always; in doubt the determinant is computed without error,
so the sign is that of the real numbers the doubles stand for.

Sources: Shewchuk 1997, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric
Predicates" (filter bound, grow-expansion);
Dekker 1971 (product); Knuth 1969 (sum). Exact while no product under- or overflows, which holds for
coordinates between 1e-70 and 1e70.
"""

from __future__ import annotations

import numba
import numpy as np

_SPLITTER = 134217729.0  # 2^27 + 1
_FILTER = 3.3306690738754716e-16  # (3 + 16 eps) eps with eps = 2^-53


@numba.njit(cache=True, nogil=True, error_model="numpy")
def orientation(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> float:
    """Give a number with the sign of det(b - a, p - a).

    Positive: p lies left of the line from a to b; negative: right; zero: on it, exactly.
    """
    left = (ax - px) * (by - py)
    right = (ay - py) * (bx - px)
    det = left - right
    if abs(det) >= _FILTER * (abs(left) + abs(right)):
        return det
    return _exact_sign(ax, ay, bx, by, px, py)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def side(lx: float, ly: float, hx: float, hy: float, x: float, y: float) -> bool:
    """Tell whether the point just right of, and still less above, (x, y) is left of an edge.

    The edge runs from its left end (lx, ly) to its right one; a vertical edge runs up.
    """
    turn = orientation(lx, ly, hx, hy, x, y)
    if turn != 0.0:
        return turn > 0.0
    # On its line, a step right leads out of every edge but a level one, and a step up out of that.
    return hy <= ly


@numba.njit(cache=True, nogil=True, error_model="numpy")
def crosses_row(lx: float, ly: float, hx: float, hy: float, x0: float, x1: float, y: float) -> bool:
    """Tell whether an edge crosses the way from (x0, y) to (x1, y), both moved as in `side`."""
    if (ly <= y) == (hy <= y) or (lx > x0 and lx > x1) or (hx < x0 and hx < x1):
        return False
    return side(lx, ly, hx, hy, x0, y) != side(lx, ly, hx, hy, x1, y)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def touches(lx: float, ly: float, hx: float, hy: float, x: float, y: float) -> bool:
    """Tell whether a point lies on an edge, ends included."""
    if x < lx or x > hx or (y < ly and y < hy) or (y > ly and y > hy):
        return False
    return orientation(lx, ly, hx, hy, x, y) == 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _exact_sign(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> float:
    apx, apy, bpx, bpy = ax - px, ay - py, bx - px, by - py
    if (
        _lost(ax, px, apx) == 0.0
        and _lost(ay, py, apy) == 0.0
        and _lost(bx, px, bpx) == 0.0
        and _lost(by, py, bpy) == 0.0
    ):
        # Differences of near coordinates are exact (Sterbenz). Rounding keeps order, so unequal
        # products compare as the true ones do; equal ones by what rounding took from them.
        left, right = apx * bpy, apy * bpx
        if left != right:
            return left - right
        return _product_error(apx, bpy, left) - _product_error(apy, bpx, right)
    return _expanded_sign((ax, -ax, -px, -ay, ay, py), (by, py, by, bx, px, bx))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lost(a: float, b: float, difference: float) -> float:
    """What rounding took from a - b (Knuth's two-difference)."""
    virtual = a - difference
    return (a - (difference + virtual)) + (virtual - b)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _product_error(a: float, b: float, product: float) -> float:
    """What rounding took from a * b (Dekker's product)."""
    high = _SPLITTER * a
    a_high = high - (high - a)
    a_low = a - a_high
    high = _SPLITTER * b
    b_high = high - (high - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _expanded_sign(
    first: tuple[float, float, float, float, float, float],
    second: tuple[float, float, float, float, float, float],
) -> float:
    """Sum six products as one expansion (Shewchuk's grow-expansion); its largest part decides."""
    expansion = np.zeros(12)
    parts = 0
    for k in range(6):
        product = first[k] * second[k]
        for addend in (_product_error(first[k], second[k], product), product):
            total = addend
            for i in range(parts):
                grown = total + expansion[i]
                virtual = grown - total
                expansion[i] = (total - (grown - virtual)) + (expansion[i] - virtual)
                total = grown
            expansion[parts] = total
            parts += 1
    for i in range(parts - 1, -1, -1):
        if expansion[i] != 0.0:
            return expansion[i]
    return 0.0
