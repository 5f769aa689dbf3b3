"""The two-level cell index over the borders of a layer.

The layer's box is cut into square cells; a cell that some border enters is cut again into
`SPLIT` x `SPLIT` small cells. A cell without a border stores who holds it. A small cell with
borders stores those edges and which grids hold its *reference*, the lower left corner. Nothing is
assumed of the layer: grids may overlap, leave gaps, have holes and parts, or cross themselves
(even-odd).

Edges are undirected, kept once with the (up to two) grids whose ring they belong to. Walking from a
reference to a point and toggling the owners of each edge crossed gives the grids that hold the
point. Every walk is an L: along the reference's row, then along the point's column; and every
crossing is decided by the exact `orientation`, with the row and column moved up and right by an
infinitesimal (simulation of simplicity, Edelsbrunner and Muecke 1990), so a walk through a vertex
or along an edge counts right.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from geo_service.locate.orientation import crosses_row

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

SPLIT = 8
"""Small cells along the side of a cell."""

# 7 to 14 look up equally fast on a city of 100 vertices a grid; more cells only take more memory.
_CELLS_PER_GRID = 10.0
_CELLS_PER_EDGE = 0.2
_MOST_CELLS = 4_000_000

NOBODY = -1
"""Rank of no grid: the place is outside every one."""

CROWD = -(2**30)
"""A holder of ``CROWD - k`` means several grids: they stand in `Cells.crowds` from k on."""


class Cells(NamedTuple):
    """The index, as plain arrays that compiled loops read.

    Grids are named by *rank*: their place when the codes are sorted, so the smallest rank among
    several is the smallest code.

    Attributes
    ----------
    left, bottom, size : float
        Corner of the box and side of a cell, in the layer's unit.
    columns, rows : int
        Cells across and up.
    coarse : ndarray of int32, (rows * columns,)
        Who holds the cell: a rank, `NOBODY`, a `CROWD`, or ``-(k + 2)`` where borders enter it:
        block k.
    fine : ndarray of int32, (blocks * SPLIT * SPLIT,)
        The same of the small cells; ``-(k + 2)`` names page k.
    page_start : ndarray of int32, (pages + 1,)
        Where each page's edges begin in `page_edges`.
    page_edges : ndarray of int32
        Edge numbers, page after page.
    page_holder : ndarray of int32, (pages,)
        Who holds the page's reference: a rank, `NOBODY` or a `CROWD`.
    crowds : ndarray of int32
        Lists of ranks, each after its length.
    edges : ndarray of float64, (n, 4)
        Ends of each edge, the left one first (of a vertical one: the lower).
    owners : ndarray of int32, (n, 2)
        Ranks of the grids whose ring holds the edge; `NOBODY` where there is no second.
    """

    left: float
    bottom: float
    size: float
    columns: int
    rows: int
    coarse: IntArray
    fine: IntArray
    page_start: IntArray
    page_edges: IntArray
    page_holder: IntArray
    crowds: IntArray
    edges: FloatArray
    owners: IntArray

    @property
    def nbytes(self) -> int:
        """Memory the index takes, bytes."""
        return sum(part.nbytes for part in self if isinstance(part, np.ndarray))


def build(
    coordinates: FloatArray, ring_start: npt.NDArray[np.int64], ring_rank: IntArray, *, count: int
) -> Cells:
    """Build the index from the rings of a layer.

    Parameters
    ----------
    coordinates : ndarray of float64, (n, 2)
        Vertices of all rings, each ring closed.
    ring_start : ndarray of int64, (rings + 1,)
        Where each ring begins.
    ring_rank : ndarray of int32, (rings,)
        The rank of the grid each ring belongs to.
    count : int
        How many grids there are.
    """
    edges, owners = _edges(coordinates, ring_start, ring_rank)
    left, bottom, size, columns, rows = _frame(edges, count)
    walk = np.empty((4 * SPLIT * (columns + rows) + 64, 2), np.int32)
    unused = np.empty(0, np.int32)
    where = (edges, left, bottom, size / SPLIT, _reach(edges, size), columns, walk)
    coarse = np.full(rows * columns, NOBODY, np.int32)
    _list_edges(*where, coarse, unused, unused, unused, 0)
    entered = np.flatnonzero(coarse != NOBODY)
    coarse[entered] = -2 - np.arange(entered.size, dtype=np.int32)

    counts = np.zeros(entered.size * SPLIT * SPLIT, np.int32)
    _list_edges(*where, coarse, unused, counts, unused, 1)
    crossed = np.flatnonzero(counts)
    fine = np.full(counts.size, NOBODY, np.int32)
    fine[crossed] = -2 - np.arange(crossed.size, dtype=np.int32)

    page_start = np.zeros(crossed.size + 1, np.int32)
    np.cumsum(counts[crossed], out=page_start[1:])
    page_edges = np.empty(int(page_start[-1]), np.int32)
    _list_edges(*where, coarse, fine, page_start[:-1].copy(), page_edges, 2)

    page_holder = np.full(crossed.size, NOBODY, np.int32)
    cells = Cells(
        left, bottom, size, columns, rows, coarse, fine, page_start, page_edges, page_holder,
        np.empty(0, np.int32), edges, owners,
    )  # fmt: skip
    return _with_holders(cells, count)


def _with_holders(cells: Cells, count: int) -> Cells:
    """Fill in who holds each cell and reference, growing the room for crowds to what it takes."""
    held = np.empty(count + 1, np.int32)
    while True:
        needed = _sweep(cells, held)
        if needed <= cells.crowds.size:
            return cells
        cells = cells._replace(crowds=np.empty(needed, np.int32))


def _edges(
    coordinates: FloatArray, ring_start: npt.NDArray[np.int64], ring_rank: IntArray
) -> tuple[FloatArray, IntArray]:
    most = coordinates.shape[0]
    table = np.full(1 << max(4, math.ceil(math.log2(1.5 * most + 1))), -1, np.int32)
    edges = np.empty((most, 4))
    owners = np.empty((most, 2), np.int32)
    used = _join(coordinates, ring_start, ring_rank, table, edges, owners)
    return edges[:used].copy(), owners[:used].copy()


def _frame(edges: FloatArray, count: int) -> tuple[float, float, float, int, int]:
    """Box and cell size: a border of half a cell all round is empty, so rows begin outside."""
    if edges.shape[0] == 0:
        return 0.0, 0.0, 1.0, 1, 1
    x0, y0 = edges[:, 0].min(), min(edges[:, 1].min(), edges[:, 3].min())
    x1, y1 = edges[:, 2].max(), max(edges[:, 1].max(), edges[:, 3].max())
    wanted = min(max(_CELLS_PER_GRID * count, _CELLS_PER_EDGE * edges.shape[0]), _MOST_CELLS)
    width, height = float(x1 - x0), float(y1 - y0)
    # A long thin layer would ask for cells by its area alone; its length bounds them too.
    size = max(math.sqrt(width * height / wanted), max(width, height) / wanted)
    size = max(size, 1e-12 * max(abs(x0), abs(x1), abs(y0), abs(y1), 1e-300))
    columns, rows = int(width / size) + 2, int(height / size) + 2
    return float(x0) - 0.5 * size, float(y0) - 0.5 * size, size, columns, rows


def _reach(edges: FloatArray, size: float) -> float:
    """How far beyond a cell an edge still counts as entering it: covers all rounding."""
    return 1e-9 * size + 1e-13 * float(np.abs(edges).max(initial=0.0))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _join(
    coordinates: FloatArray,
    ring_start: npt.NDArray[np.int64],
    ring_rank: IntArray,
    table: IntArray,
    edges: FloatArray,
    owners: IntArray,
) -> int:
    """Gather undirected edges by hashing; a third owner of one makes a further record."""
    bits = coordinates.view(np.uint64)
    mask = table.size - 1
    used = 0
    for ring in range(ring_rank.size):
        for k in range(ring_start[ring], ring_start[ring + 1] - 1):
            a, b = k, k + 1
            if coordinates[b, 0] < coordinates[a, 0] or (
                coordinates[b, 0] == coordinates[a, 0] and coordinates[b, 1] < coordinates[a, 1]
            ):
                a, b = b, a
            lx, ly = coordinates[a, 0], coordinates[a, 1]
            hx, hy = coordinates[b, 0], coordinates[b, 1]
            if lx == hx and ly == hy:
                continue
            mixed = bits[a, 0] * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ bits[a, 1]) * np.uint64(0xC2B2AE3D27D4EB4F)
            mixed = (mixed ^ (mixed >> np.uint64(29)) ^ bits[b, 0]) * np.uint64(0x165667B19E3779F9)
            mixed = (mixed ^ bits[b, 1]) * np.uint64(0x9E3779B97F4A7C15)
            slot = np.int64(mixed >> np.uint64(32)) & mask
            while True:
                e = table[slot]
                if e < 0:
                    table[slot] = used
                    edges[used, 0], edges[used, 1] = lx, ly
                    edges[used, 2], edges[used, 3] = hx, hy
                    owners[used, 0], owners[used, 1] = ring_rank[ring], -1
                    used += 1
                    break
                known = edges[e, 0] == lx and edges[e, 1] == ly
                if known and owners[e, 1] < 0 and edges[e, 2] == hx and edges[e, 3] == hy:
                    owners[e, 1] = ring_rank[ring]
                    break
                slot = (slot + 1) & mask
    return used


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _walk(
    edges: FloatArray, e: int, left: float, bottom: float, size: float, reach: float, walk: IntArray
) -> int:
    """List the small cells (column, row) an edge enters or comes within `reach` of."""
    lx, ly, hx, hy = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
    low, high = (ly, hy) if ly <= hy else (hy, ly)
    first = int((low - reach - bottom) / size)
    last = int((high + reach - bottom) / size)
    slope = (hx - lx) / (hy - ly) if first != last and hy != ly else 0.0
    count = 0
    for row in range(first, last + 1):
        x0, x1 = lx, hx
        if first != last and hy != ly:
            # the piece of the edge between the row's lines
            a = lx + (bottom + row * size - reach - ly) * slope
            b = lx + (bottom + (row + 1) * size + reach - ly) * slope
            if a > b:
                a, b = b, a
            x0, x1 = max(lx, a), min(hx, b)
        for column in range(int((x0 - reach - left) / size), int((x1 + reach - left) / size) + 1):
            walk[count, 0] = column
            walk[count, 1] = row
            count += 1
    return count


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _list_edges(
    edges: FloatArray,
    left: float,
    bottom: float,
    size: float,
    reach: float,
    columns: int,
    walk: IntArray,
    coarse: IntArray,
    fine: IntArray,
    counts: IntArray,
    page_edges: IntArray,
    step: int,
) -> None:
    """Run over all edges and the small cells they enter, in one of three steps.

    0: mark the cells entered in `coarse`; 1: count edges per small cell in `counts`; 2: write edge
    numbers to `page_edges`, `counts` being where each page goes on.
    """
    for e in range(edges.shape[0]):
        for k in range(_walk(edges, e, left, bottom, size, reach, walk)):
            column, row = walk[k, 0], walk[k, 1]
            cell = (row // SPLIT) * columns + column // SPLIT
            if step == 0:
                coarse[cell] = 1
                continue
            small = -(coarse[cell] + 2) * SPLIT * SPLIT + (row % SPLIT) * SPLIT + column % SPLIT
            if step == 1:
                counts[small] += 1
                continue
            page = -(fine[small] + 2)
            page_edges[counts[page]] = e
            counts[page] += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def toggle(held: IntArray, count: int, rank: int) -> int:
    """Take a rank out of the list it is in, or put it in; gives the list's new length."""
    if rank < 0:
        return count
    for k in range(count):
        if held[k] == rank:
            held[k] = held[count - 1]
            return count - 1
    held[count] = rank
    return count + 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def smallest(held: IntArray, count: int) -> int:
    """Give the smallest of the first `count` ranks, or -1 where there is none."""
    if count == 0:
        return -1
    least = held[0]
    for k in range(1, count):
        least = min(least, held[k])
    return least


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sweep(cells: Cells, held: IntArray) -> int:
    """Walk every row of references from outside on, and write down who holds each.

    Returns
    -------
    int
        The room `crowds` takes; where that is more than there is, crowds were not written.
    """
    page_start, page_edges = cells.page_start, cells.page_edges
    edges, owners, crowds = cells.edges, cells.owners, cells.crowds
    coarse, fine, page_holder = cells.coarse, cells.fine, cells.page_holder
    small = cells.size / SPLIT
    room = 0
    for row in range(cells.rows * SPLIT):
        y = cells.bottom + row * small
        count = 0
        holder = NOBODY
        changed = False
        for column in range(cells.columns * SPLIT):
            cell = (row // SPLIT) * cells.columns + column // SPLIT
            block = coarse[cell]
            entered = CROWD < block < NOBODY
            if not entered and (row % SPLIT or column % SPLIT):
                continue
            if changed:
                changed = False
                holder = smallest(held, count)
                if count > 1:
                    holder = CROWD - room
                    if room + count < crowds.size:
                        crowds[room] = count
                        for k in range(count):
                            crowds[room + 1 + k] = held[k]
                    room += count + 1
            if not entered:
                coarse[cell] = holder
                continue
            at = -(block + 2) * SPLIT * SPLIT + (row % SPLIT) * SPLIT + column % SPLIT
            page = -(fine[at] + 2)
            if page < 0 or fine[at] <= CROWD:
                fine[at] = holder
                continue
            page_holder[page] = holder
            x0, x1 = cells.left + column * small, cells.left + (column + 1) * small
            for i in range(page_start[page], page_start[page + 1]):
                e = page_edges[i]
                if crosses_row(edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3], x0, x1, y):
                    count = toggle(held, count, owners[e, 0])
                    count = toggle(held, count, owners[e, 1])
                    changed = True
    return room
