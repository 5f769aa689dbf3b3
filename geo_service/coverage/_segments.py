"""Kernels over every vertex of a layer: hashes of directed segments that cancel in a tiling.

Every place (x, y) is given two pseudo-random 64-bit numbers u and v. The directed segment from p
to q counts as ``u(p) v(q) - u(q) v(p)`` modulo 2^64: the reverse segment counts as its negative,
so the sum over a chain of segments is 0 wherever each segment meets its reverse. As a polynomial in
the u and v it is 0 for no other chain, so that (Schwartz 1980, Zippel 1979) another chain sums to 0
with a probability of about 2^-58 for one such sum and 2^-116 for two.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numba
import numpy as np

from geo_service.coverage._arrays import BoolArray, FloatArray, HashArray, IntArray
from geo_service.coverage._rings import Rings

T = TypeVar("T")

BIN_BITS = 18
"""Sums are kept in 2^18 bins: 2 MB, which stays in the cache of one core."""

_SMALL = 50_000  # vertices below which a second thread costs more than it brings

_A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_C, _D = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xFF51AFD7ED558CCD)
# Never 0: the place (0, 0) must not hash to 0.
_PEPPER = np.uint64(0x8EBC6AF09C88C6E3)
_NEGATIVE_ZERO = np.uint64(1 << 63)
_S29, _S31, _S32, _S33 = np.uint64(29), np.uint64(31), np.uint64(32), np.uint64(33)
_TOP = np.uint64(64 - BIN_BITS)


@numba.njit(nogil=True, cache=True)
def _place(x: np.uint64, y: np.uint64) -> Any:
    """Mix the 128 bits of a place into two other numbers; -0.0 is the place 0.0."""
    x = np.uint64(0) if x == _NEGATIVE_ZERO else x
    y = np.uint64(0) if y == _NEGATIVE_ZERO else y
    p, q = (x ^ _PEPPER) * _A, (y + _PEPPER) * _B
    u = p ^ ((q << _S32) | (q >> _S32))
    v = q + ((p << _S31) | (p >> _S33))
    u, v = (u ^ (u >> _S29)) * _C, (v ^ (v >> _S31)) * _D
    return u ^ (u >> _S32), v ^ (v >> _S29)


@numba.njit(nogil=True, cache=True)
def _again(u: np.uint64, v: np.uint64) -> Any:
    """Mix a place's numbers once more, for a second sum that owes nothing to the first."""
    u, v = u * _B, v * _A
    return u ^ (u >> _S32), v ^ (v >> _S29)


@numba.njit(nogil=True, cache=True)
def _digest(xy: FloatArray, bits: HashArray, start: IntArray, hole: BoolArray) -> Any:
    """Two 64-bit sums over all rings, each taken counter-clockwise (holes clockwise).

    And whether every coordinate was finite.
    """
    first, second = np.uint64(0), np.uint64(0)
    finite = True
    for r in range(len(hole)):
        ring, place = xy[start[r] : start[r + 1]], bits[start[r] : start[r + 1]]
        ox, oy = ring[0, 0], ring[0, 1]
        area, px, py = 0.0, 0.0, 0.0
        au, av = _place(place[0, 0], place[0, 1])
        bu, bv = _again(au, av)
        one, two = np.uint64(0), np.uint64(0)
        for k in range(1, len(ring)):
            x, y = ring[k, 0] - ox, ring[k, 1] - oy
            area += px * y - x * py
            px, py = x, y
            cu, cv = _place(place[k, 0], place[k, 1])
            du, dv = _again(cu, cv)
            one += au * cv - cu * av
            two += bu * dv - du * bv
            au, av, bu, bv = cu, cv, du, dv
        finite = finite and math.isfinite(area)
        if (area < 0.0) != hole[r]:
            first -= one
            second -= two
        else:
            first += one
            second += two
    return first, second, finite


@numba.njit(nogil=True, cache=True)
def _scan(
    xy: FloatArray,
    bits: HashArray,
    start: IntArray,
    hole: BoolArray,
    squeeze: float,
    sharp: float,
    hashes: HashArray,
    bins: HashArray,
    sums: HashArray,
    area: FloatArray,
    length: FloatArray,
    flip: BoolArray,
    repeated: IntArray,
    spike: IntArray,
) -> None:
    """Hash every segment into its bin; measure every ring; look for sharp and repeated vertices.

    `squeeze` is the length of one unit of x in units of y (a degree of longitude is shorter),
    `sharp` the squared cosine of the sharpest angle that is no spike.
    """
    for r in range(len(hole)):
        s, e = start[r], start[r + 1]
        ox, oy = xy[s, 0], xy[s, 1]
        twice, around, px, py = 0.0, 0.0, 0.0, 0.0
        au, av = _place(bits[s, 0], bits[s, 1])
        total = np.uint64(0)
        # The step before the first vertex, so that the closing vertex is judged too.
        back = e - 2
        while back > s and xy[back, 0] == ox and xy[back, 1] == oy:
            back -= 1
        ux, uy = (ox - xy[back, 0]) * squeeze, oy - xy[back, 1]
        for k in range(s + 1, e):
            x, y = xy[k, 0] - ox, xy[k, 1] - oy
            dx, dy = (x - px) * squeeze, y - py
            twice += px * y - x * py
            px, py = x, y
            cu, cv = _place(bits[k, 0], bits[k, 1])
            h = au * cv - cu * av
            au, av = cu, cv
            hashes[k - 1] = h
            total += h
            if dx == 0.0 and dy == 0.0:
                repeated[r] = k
                continue
            dot, square = ux * dx + uy * dy, dx * dx + dy * dy
            around += math.sqrt(square)
            if dot < 0.0 and dot * dot > sharp * (ux * ux + uy * uy) * square:
                spike[r] = k - 1
            ux, uy = dx, dy
        hashes[e - 1] = 0
        area[r] = twice / 2.0
        length[r] = around
        turned = (twice < 0.0) != hole[r]
        flip[r] = turned
        sums[r] = (~total + np.uint64(1)) if turned else total
        for k in range(s, e - 1):
            h = hashes[k]
            back_h = ~h + np.uint64(1)
            bin_ = min(h, back_h) >> _TOP
            bins[bin_] += back_h if turned else h


@numba.njit(nogil=True, cache=True)
def _unmatched(hashes: HashArray, bins: HashArray) -> IntArray:
    """Give the vertices whose segment falls into a bin that is not empty."""
    found = 0
    for k in range(len(hashes)):
        h = hashes[k]
        if h != 0 and bins[min(h, ~h + np.uint64(1)) >> _TOP] != 0:
            found += 1
    out = np.empty(found, np.int64)
    found = 0
    for k in range(len(hashes)):
        h = hashes[k]
        if h != 0 and bins[min(h, ~h + np.uint64(1)) >> _TOP] != 0:
            out[found] = k
            found += 1
    return out


@dataclass(frozen=True)
class Scan:
    """What one pass over a layer's vertices tells.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (vertices,)
        The hash of the segment that begins at each vertex; 0 at a ring's last vertex.
    bins : ndarray of uint64, shape (2 ** BIN_BITS,)
        Sums of the hashes, by hash; all 0 where every segment meets its reverse.
    sums : ndarray of uint64, shape (rings,)
        Each ring's sum: equal for rings of the same segments, wherever they begin.
    area : ndarray of float, shape (rings,)
        Signed area in square units of the coordinates.
    length : ndarray of float, shape (rings,)
        Perimeter in units of y.
    flip : ndarray of bool, shape (rings,)
        Whether the ring runs the other way (shells count counter-clockwise).
    repeated, spike : ndarray of int, shape (rings,)
        A vertex that repeats the one before it, or turns back sharply; -1 where there is none.
    """

    hashes: HashArray
    bins: HashArray
    sums: HashArray
    area: FloatArray
    length: FloatArray
    flip: BoolArray
    repeated: IntArray
    spike: IntArray

    def unmatched(self, bins: HashArray) -> IntArray:
        """Give the vertices whose segment falls into a bin that is not empty."""
        return _unmatched(self.hashes, bins)


def scan(rings: Rings, *, squeeze: float = 1.0, spike_degrees: float = 1.0) -> Scan:
    """Hash and measure every ring in one pass, on all processors.

    The sums are modular, so the answer does not depend on how the work is cut.
    """
    count = rings.count
    out = Scan(
        hashes=np.empty(len(rings.xy), np.uint64),
        bins=np.zeros(1 << BIN_BITS, np.uint64),
        sums=np.empty(count, np.uint64),
        area=np.empty(count),
        length=np.empty(count),
        flip=np.empty(count, np.bool_),
        repeated=np.full(count, -1, np.int64),
        spike=np.full(count, -1, np.int64),
    )
    bits = rings.xy.view(np.uint64)
    sharp = np.cos(np.radians(spike_degrees)) ** 2

    def part(first: int, last: int) -> HashArray:
        bins = np.zeros(1 << BIN_BITS, np.uint64)
        its = slice(first, last)
        _scan(
            rings.xy, bits, rings.start[first : last + 1], rings.hole[its], squeeze, sharp,
            out.hashes, bins, out.sums[its], out.area[its], out.length[its],
            out.flip[its], out.repeated[its], out.spike[its],
        )  # fmt: skip
        return bins

    for bins in in_parts(rings, part):
        np.add(out.bins, bins, out=out.bins)
    return out


def digest(rings: Rings) -> tuple[int, int, bool]:
    """Sum the two hashes of all directed segments; tell whether all coordinates are finite."""
    bits = rings.xy.view(np.uint64)

    def part(first: int, last: int) -> tuple[int, int, bool]:
        one, two, finite = _digest(
            rings.xy, bits, rings.start[first : last + 1], rings.hole[first:last]
        )
        return int(one), int(two), bool(finite)

    ones, twos, finite = zip(*in_parts(rings, part), strict=True)
    return sum(ones) % 2**64, sum(twos) % 2**64, all(finite)


def threads() -> int:
    """How many threads share the work."""
    return min(os.cpu_count() or 1, 8)


def in_parts(rings: Rings, work: Callable[[int, int], T]) -> list[T]:
    """Run `work(first ring, last ring)` over all rings, cut into parts of like size.

    Threads serve because the kernels let go of the interpreter.
    """
    count = 1 if len(rings.xy) < _SMALL else threads()
    marks = np.linspace(0, len(rings.xy), count + 1)
    cuts = np.searchsorted(rings.start, marks).tolist()
    cuts[-1] = rings.count
    spans = [(a, b) for a, b in itertools.pairwise(cuts) if b > a]
    if len(spans) == 1:
        return [work(*spans[0])]
    with ThreadPoolExecutor(len(spans)) as pool:
        return list(pool.map(lambda span: work(*span), spans))
