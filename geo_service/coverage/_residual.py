"""What is left of a layer's border segments when every one has met its reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geo_service.coverage._arrays import (
    BoolArray,
    FloatArray,
    HashArray,
    IntArray,
    forward,
    numbered,
    turned,
)
from geo_service.coverage._segments import MODULUS, Scan
from geo_service.rings import Rings


@dataclass(frozen=True)
class Residual:
    """Segments that no reverse meets, in the order of their coordinates.

    Parameters
    ----------
    segments : ndarray of float, shape (segments, 4)
        x and y of both ends, the smaller end first: the boundary of (sum of grids - outline).
    row : ndarray of int, shape (owners,)
        The rows that own a segment; ``-1 - k`` stands for part k of the outline.
    of : ndarray of int, shape (owners,)
        The segment each of `row` owns.
    """

    segments: FloatArray
    row: IntArray
    of: IntArray

    @property
    def empty(self) -> bool:
        """Whether everything cancelled."""
        return len(self.segments) == 0


def residual(layers: Sequence[tuple[Rings, Scan]]) -> Residual:
    """Sum the first layer's chains, subtract the second's (the outline), and give what is left.

    Parameters
    ----------
    layers : sequence of (Rings, Scan)
        The grids, and the outline where there is one.

    Notes
    -----
    Where the hashes sum to 0 as a whole, nothing is left. Otherwise they are summed in bins, and
    bins that sum to 0 are done with. In the others (all of a small faulty part, a few strays
    elsewhere) segments are matched by their 64-bit hashes.
    """
    scans = [scan for _, scan in layers]
    if (scans[0].total - sum(scan.total for scan in scans[1:])) % MODULUS == 0:
        nothing = np.empty(0, np.int64)
        return Residual(np.empty((0, 4)), nothing, nothing)
    bins = scans[0].bins.copy()
    for scan in scans[1:]:
        bins -= scan.bins
    return _left(layers, [scan.unmatched(bins) for scan in scans], None)


def residual_by_part(layers: Sequence[tuple[Rings, Scan]], parts: Sequence[IntArray]) -> Residual:
    """Give what is left of several sums, each over the rings of one part, all of them together.

    Parameters
    ----------
    layers : sequence of (Rings, Scan)
        The grids and the outline.
    parts : sequence of ndarray of int
        By layer: the part each ring belongs to, negative for none.
    """
    chosen = [
        np.flatnonzero((np.repeat(part, np.diff(rings.start)) >= 0) & (scan.hashes != 0))
        for (rings, scan), part in zip(layers, parts, strict=True)
    ]
    return _left(layers, chosen, parts)


def _left(
    layers: Sequence[tuple[Rings, Scan]],
    chosen: Sequence[IntArray],
    parts: Sequence[IntArray] | None,
) -> Residual:
    """Match the chosen segments of all layers (by the vertex each begins at)."""
    keys, backward, ring = [], [], []
    for k, ((rings, scan), at) in enumerate(zip(layers, chosen, strict=True)):
        of = np.searchsorted(rings.start, at, "right") - 1
        hashes = scan.hashes[at]
        key = np.minimum(hashes, ~hashes + np.uint64(1))
        backward.append((hashes == key) == (scan.flip[of] != (k > 0)))
        keys.append(key if parts is None else key ^ _salt(parts[k][of]))
        ring.append(of)
    outline = np.arange(sum(map(len, chosen))) >= len(chosen[0])
    kept, group = _not_cancelled(np.concatenate(keys), np.concatenate(backward), outline)
    return _sorted(*_gathered(layers, chosen, ring, kept), group)


def _salt(part: IntArray) -> HashArray:
    """Another number for each part, so that segments of two parts never match."""
    return (part.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


def _not_cancelled(
    key: HashArray, backward: BoolArray, outline: BoolArray
) -> tuple[IntArray, IntArray]:
    """Give the segments whose equals do not sum to 0, equal ones together, and their groups.

    Where the parts of the outline cancel among themselves (two parents side by side) there is no
    outline, so they own nothing of what is left.
    """
    order = np.argsort(key)  # equal ones are one segment, whichever comes first
    new = np.append(True, key[order][1:] != key[order][:-1])
    group = np.cumsum(new) - 1
    sign = np.where(backward[order], -1.0, 1.0)
    net = np.bincount(group, sign)
    rim = np.bincount(group, np.where(outline[order], sign, 0.0))
    kept = (net[group] != 0.0) & (~outline[order] | (rim[group] != 0.0))
    return order[kept], group[kept]


def _gathered(
    layers: Sequence[tuple[Rings, Scan]],
    chosen: Sequence[IntArray],
    ring: Sequence[IntArray],
    kept: IntArray,
) -> tuple[FloatArray, IntArray]:
    """Ends (the smaller first) and rows of the segments at `kept`, counted through all layers."""
    ends, rows = np.empty((len(kept), 4)), np.empty(len(kept), np.int64)
    first = 0
    for k, ((rings, _), at, of) in enumerate(zip(layers, chosen, ring, strict=True)):
        mine = (kept >= first) & (kept < first + len(at))
        here = kept[mine] - first
        ends[mine] = np.column_stack([rings.xy[at[here]], rings.xy[at[here] + 1]]) + 0.0
        row = rings.row[of[here]]
        rows[mine] = -1 - row if k else row
        first += len(at)
    return turned(ends, ~forward(ends)), rows


def _sorted(ends: FloatArray, row: IntArray, group: IntArray) -> Residual:
    """Order by coordinates, so that nothing downstream depends on the order of features."""
    first = np.append(True, group[1:] != group[:-1]) if len(group) else np.empty(0, np.bool_)
    segments, of = ends[first], np.cumsum(first) - 1
    nodes, number = numbered(segments.reshape(-1, 2))
    order = np.argsort(number[::2] * len(nodes) + number[1::2])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    owned = np.lexsort((row, place[of]))
    return Residual(segments[order], row[owned], place[of][owned])
