"""Kernels over every vertex of a layer: hashes of directed segments that cancel in a tiling.

Every place (x, y) is given two pseudo-random 64-bit numbers u and v. The directed segment from p
to q counts as ``u(p) v(q) - u(q) v(p)`` modulo 2^64: the reverse segment counts as its negative,
so the sum over a chain of segments is 0 wherever each segment meets its reverse. As a polynomial in
the u and v it is 0 for no other chain, so that (Schwartz 1980, Zippel 1979) another chain sums to 0
with a probability of about 2^-58. A certificate takes a second sum of other numbers w and z, which
makes 2^-116 of it: with numbers shortened to b = 6, 8 and 10 bits, both sums of a triangle were 0
at once in 2^-(2b - 3) of 3e7 trials. They guard against chance, not against a forger: the numbers
are no secret.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numba
import numpy as np

from geo_service.coverage._arrays import BoolArray, FloatArray, HashArray, IntArray
from geo_service.rings import Rings

T = TypeVar("T")

MODULUS = 2**64
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
_1 = np.uint64(1)


@numba.njit(nogil=True, cache=True)
def _mixed(x: np.uint64, y: np.uint64) -> Any:
    """Mix the 128 bits of a place into two other numbers w and z; -0.0 is the place 0.0."""
    x = np.uint64(0) if x == _NEGATIVE_ZERO else x
    y = np.uint64(0) if y == _NEGATIVE_ZERO else y
    p, q = (x ^ _PEPPER) * _A, (y + _PEPPER) * _B
    u = p ^ ((q << _S32) | (q >> _S32))
    v = q + ((p << _S31) | (p >> _S33))
    return (u ^ (u >> _S29)) * _C, (v ^ (v >> _S31)) * _D


@numba.njit(nogil=True, cache=True)
def _folded(w: np.uint64, z: np.uint64) -> Any:
    """Fold the high bits of a place's numbers into the low ones: u and v."""
    return w ^ (w >> _S32), z ^ (z >> _S29)


@numba.njit(nogil=True, cache=True)
def _digest(xy: FloatArray, bits: HashArray, start: IntArray, hole: BoolArray) -> Any:
    """Two 64-bit sums over all rings, each taken counter-clockwise (holes clockwise).

    And whether every coordinate was finite. Around a closed ring the sum of
    ``u(k) v(k + 1) - u(k + 1) v(k)`` is that of ``u(k) (v(k + 1) - v(k - 1))``, and so is its area.
    Numbers are made first and summed then, each loop plain enough for a compiler to do several
    vertices at once; `xy` and `bits` are flat.
    """
    most = _longest(start)
    u, v, w, z = (
        np.empty(most, np.uint64), np.empty(most, np.uint64),
        np.empty(most, np.uint64), np.empty(most, np.uint64),
    )  # fmt: skip
    first, second = np.uint64(0), np.uint64(0)
    finite = True
    for r in range(len(hole)):
        here, count = 2 * start[r], start[r + 1] - start[r]
        ring, place = xy[here : here + 2 * count], bits[here : here + 2 * count]
        for k in range(count):
            w[k], z[k] = _mixed(place[2 * k], place[2 * k + 1])
            u[k], v[k] = _folded(w[k], z[k])
        one, two = _around(u, v, count), _around(w, z, count)
        area, ox = 0.0, ring[0]
        for k in range(_1 + _1, np.uint64(2 * count - 2), _1 + _1):
            area += (ring[k] - ox) * (ring[k + _1 + _1 + _1] - ring[k - _1])
        finite = finite and math.isfinite(area)
        if (area < 0.0) != hole[r]:
            first -= one
            second -= two
        else:
            first += one
            second += two
    return first, second, finite


@numba.njit(nogil=True, cache=True)
def _longest(start: IntArray) -> int:
    """Vertices of the longest ring."""
    most = 0
    for r in range(len(start) - 1):
        most = max(most, start[r + 1] - start[r])
    return most


@numba.njit(nogil=True, cache=True)
def _around(u: HashArray, v: HashArray, count: int) -> Any:
    """The sum of ``u(k) (v(k + 1) - v(k - 1))`` around a ring whose last vertex is its first."""
    total = u[0] * (v[1] - v[count - 2])
    for k in range(_1, np.uint64(count - 1)):  # an index without a sign need not be looked at
        total += u[k] * (v[k + _1] - v[k - _1])
    return total


@numba.njit(nogil=True, cache=True)
def _digest_chain(bits: HashArray) -> Any:
    """Two 64-bit sums over the segments of one open chain, as it runs."""
    first, second = np.uint64(0), np.uint64(0)
    w, z = _mixed(bits[0, 0], bits[0, 1])
    u, v = _folded(w, z)
    for k in range(1, len(bits)):
        cw, cz = _mixed(bits[k, 0], bits[k, 1])
        cu, cv = _folded(cw, cz)
        first += u * cv - cu * v
        second += w * cz - cw * z
        u, v, w, z = cu, cv, cw, cz
    return first, second


@numba.njit(nogil=True, cache=True)
def _hashed(place: HashArray, hashes: HashArray, u: HashArray, v: HashArray) -> Any:
    """Hash the segments of one ring; give their sum. `place` is flat, `u` and `v` room to work."""
    for k in range(len(hashes)):
        u[k], v[k] = _folded(*_mixed(place[2 * k], place[2 * k + 1]))
    total = np.uint64(0)
    for k in range(np.uint64(len(hashes) - 1)):
        h = u[k] * v[k + _1] - u[k + _1] * v[k]
        hashes[k] = h
        total += h
    hashes[len(hashes) - 1] = 0
    return total


@numba.njit(nogil=True, cache=True)
def _measured(ring: FloatArray, squeeze: float, sharp: float) -> Any:
    """Twice the area of one ring, its perimeter, and a repeated and a sharp vertex or -1."""
    ox, oy = ring[0, 0], ring[0, 1]
    repeated, spike = -1, -1
    # The step before the first vertex, so that the closing vertex is judged too.
    back = len(ring) - 2
    while back > 0 and ring[back, 0] == ox and ring[back, 1] == oy:
        back -= 1
    ux, uy = (ox - ring[back, 0]) * squeeze, oy - ring[back, 1]
    twice, around, px, py = 0.0, 0.0, 0.0, 0.0
    for k in range(1, len(ring)):
        x, y = ring[k, 0] - ox, ring[k, 1] - oy
        dx, dy = (x - px) * squeeze, y - py
        twice += px * y - x * py
        px, py = x, y
        if dx == 0.0 and dy == 0.0:
            repeated = k
            continue
        dot, square = ux * dx + uy * dy, dx * dx + dy * dy
        around += math.sqrt(square)
        if dot < 0.0 and dot * dot > sharp * (ux * ux + uy * uy) * square:
            spike = k - 1
        ux, uy = dx, dy
    return twice, around, repeated, spike


@numba.njit(nogil=True, cache=True)
def _scan(
    xy: FloatArray,
    bits: HashArray,
    start: IntArray,
    hole: BoolArray,
    squeeze: float,
    sharp: float,
    hashes: HashArray,
    sums: HashArray,
    area: FloatArray,
    length: FloatArray,
    flip: BoolArray,
    repeated: IntArray,
    spike: IntArray,
) -> None:
    """Hash every segment; measure every ring; look for sharp and repeated vertices.

    `squeeze` is the length of one unit of x in units of y (a degree of longitude is shorter),
    `sharp` the squared cosine of the sharpest angle that is no spike.
    """
    most = _longest(start)
    u, v = np.empty(most, np.uint64), np.empty(most, np.uint64)
    for r in range(len(hole)):
        s, e = start[r], start[r + 1]
        total = _hashed(bits[2 * s : 2 * e], hashes[s:e], u, v)
        twice, around, again, turned_back = _measured(xy[s:e], squeeze, sharp)
        area[r], length[r] = twice / 2.0, around
        repeated[r] = -1 if again < 0 else s + again
        spike[r] = -1 if turned_back < 0 else s + turned_back
        flip[r] = (twice < 0.0) != hole[r]
        sums[r] = (~total + np.uint64(1)) if flip[r] else total


@numba.njit(nogil=True, cache=True)
def _binned(hashes: HashArray, start: IntArray, flip: BoolArray, bins: HashArray) -> None:
    """Add every segment's hash to its bin."""
    for r in range(len(flip)):
        for h in hashes[start[r] : start[r + 1]]:
            back = ~h + np.uint64(1)
            bins[min(h, back) >> _TOP] += back if flip[r] else h


@numba.njit(nogil=True, cache=True)
def _unmatched(hashes: HashArray, taken: BoolArray) -> IntArray:
    """Give the vertices whose segment falls into a bin that is not empty."""
    out = np.empty(len(hashes) + 1, np.int64)
    found = 0
    for k in range(len(hashes)):
        h = hashes[k]
        out[found] = k  # written always, kept by a sum: a branch would be guessed wrong
        found += taken[min(h, ~h + np.uint64(1)) >> _TOP] & (h != 0)
    return out[:found]


@dataclass(frozen=True)
class Scan:
    """What one pass over a layer's vertices tells.

    Parameters
    ----------
    start : ndarray of int, shape (rings + 1,)
        Where each ring begins among the vertices.
    hashes : ndarray of uint64, shape (vertices,)
        The hash of the segment that begins at each vertex; 0 at a ring's last vertex.
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

    start: IntArray
    hashes: HashArray
    sums: HashArray
    area: FloatArray
    length: FloatArray
    flip: BoolArray
    repeated: IntArray
    spike: IntArray

    @property
    def total(self) -> int:
        """The sum of all hashes modulo 2^64; 0 where every segment meets its reverse."""
        return int(self.sums.sum(dtype=np.uint64))

    @cached_property
    def bins(self) -> HashArray:
        """Sums of the hashes by hash, shape (2 ** BIN_BITS,); asked only where not all is 0."""
        bins = np.zeros(1 << BIN_BITS, np.uint64)
        _binned(self.hashes, self.start, self.flip, bins)
        return bins

    def unmatched(self, bins: HashArray) -> IntArray:
        """Give the vertices whose segment falls into a bin that is not empty."""
        return _unmatched(self.hashes, bins != 0)


def scan(rings: Rings, *, squeeze: float = 1.0, spike_degrees: float = 1.0) -> Scan:
    """Hash and measure every ring in one pass, on all processors.

    The sums are modular, so the answer does not depend on how the work is cut.
    """
    count = rings.count
    out = Scan(
        start=rings.start,
        hashes=np.empty(len(rings.xy), np.uint64),
        sums=np.empty(count, np.uint64),
        area=np.empty(count),
        length=np.empty(count),
        flip=np.empty(count, np.bool_),
        repeated=np.empty(count, np.int64),
        spike=np.empty(count, np.int64),
    )
    bits = rings.xy.ravel().view(np.uint64)
    sharp = np.cos(np.radians(spike_degrees)) ** 2

    def part(first: int, last: int) -> None:
        its = slice(first, last)
        _scan(
            rings.xy, bits, rings.start[first : last + 1], rings.hole[its], squeeze, sharp,
            out.hashes, out.sums[its], out.area[its], out.length[its],
            out.flip[its], out.repeated[its], out.spike[its],
        )  # fmt: skip

    in_parts(rings, part)
    return out


def digest(rings: Rings) -> tuple[int, int, bool]:
    """Sum the two hashes of all directed segments; tell whether all coordinates are finite."""
    flat = rings.xy.ravel()
    bits = flat.view(np.uint64)

    def part(first: int, last: int) -> tuple[int, int, bool]:
        one, two, finite = _digest(
            flat, bits, rings.start[first : last + 1], rings.hole[first:last]
        )
        return int(one), int(two), bool(finite)

    ones, twos, finite = zip(*in_parts(rings, part), strict=True)
    return sum(ones) % MODULUS, sum(twos) % MODULUS, all(finite)


def digest_chain(xy: FloatArray) -> tuple[int, int]:
    """Sum the two hashes of the directed segments of an open chain."""
    first, second = _digest_chain(xy.view(np.uint64))
    return int(first), int(second)


def threads() -> int:
    """How many threads share the work."""
    return min(os.cpu_count() or 1, 8)


def in_parts(rings: Rings, work: Callable[[int, int], T]) -> list[T]:
    """Run `work(first ring, last ring)` over all rings, cut into parts of like size.

    Threads serve because the kernels let go of the interpreter.
    """
    if len(rings.xy) < _SMALL:
        return [work(0, rings.count)]
    marks = np.linspace(0, len(rings.xy), threads() + 1)
    cuts = np.searchsorted(rings.start, marks).tolist()
    cuts[-1] = rings.count
    spans = [(a, b) for a, b in itertools.pairwise(cuts) if b > a]
    if len(spans) == 1:
        return [work(*spans[0])]
    with ThreadPoolExecutor(len(spans)) as pool:
        return list(pool.map(lambda span: work(*span), spans))
