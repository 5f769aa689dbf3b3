"""Compiled loops over points: who holds each."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from geo_service.locate.cells import (
    CROWD,
    NOBODY,
    SPLIT,
    Cells,
    FloatArray,
    IntArray,
    smallest,
    toggle,
)
from geo_service.locate.orientation import orientation, side


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _small_cell(
    left: float,
    bottom: float,
    size: float,
    columns: int,
    rows: int,
    coarse: IntArray,
    fine: IntArray,
    x: float,
    y: float,
) -> tuple[int, int, int]:
    """Who holds the cell of a point (or which page it has), and the small cell's column and row."""
    column, row = (x - left) / size, (y - bottom) / size
    if not (0.0 <= column < columns and 0.0 <= row < rows):
        return NOBODY, 0, 0
    i, j = int(column), int(row)
    holder = coarse[j * columns + i]
    if holder >= NOBODY or holder <= CROWD:
        return int(holder), i * SPLIT, j * SPLIT
    i = i * SPLIT + min(int((column - i) * SPLIT), SPLIT - 1)
    j = j * SPLIT + min(int((row - j) * SPLIT), SPLIT - 1)
    return int(fine[(-(holder + 2) * SPLIT + j % SPLIT) * SPLIT + i % SPLIT]), i, j


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _list(holder: int, crowds: IntArray, held: IntArray) -> int:
    """Write the ranks a holder stands for to `held`; gives their number."""
    if holder > CROWD:
        held[0] = holder
        return int(holder >= 0)
    for k in range(crowds[CROWD - holder]):
        held[k] = crowds[CROWD - holder + 1 + k]
    return int(crowds[CROWD - holder])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def smaller(rank: int, other: int) -> int:
    """The smaller of two ranks; -1 is none."""
    if rank < 0 or 0 <= other < rank:
        return other
    return rank


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cross(
    edges: FloatArray,
    owners: IntArray,
    listed: IntArray,
    first: int,
    last: int,
    x0: float,
    y0: float,
    x: float,
    y: float,
    held: IntArray,
    count: int,
) -> tuple[int, int]:
    """Walk from a reference (x0, y0), which `held` lists the holders of, to a point.

    Returns
    -------
    tuple of int
        How many grids `held` then lists; and the smallest rank whose border the point is on, or -1.
        A grid whose border the point is on may or may not be in the list.
    """
    low, high = min(y, y0), max(y, y0)
    west, east = min(x, x0), max(x, x0)
    touched = NOBODY
    for k in range(first, last):
        e = listed[k]
        lx, ly, hx, hy = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        up = lx <= x <= hx and (ly <= high or hy <= high) and (ly >= low or hy >= low)
        along = (ly <= y0) != (hy <= y0) and lx <= east and hx >= west
        if not (up or along):
            continue
        at_corner = side(lx, ly, hx, hy, x, y0)
        crossed = along and side(lx, ly, hx, hy, x0, y0) != at_corner
        if up:
            on_it = False
            if x < hx:
                turn = orientation(lx, ly, hx, hy, x, y)
                on_it = turn == 0.0
                if not on_it and (turn > 0.0) != at_corner:
                    crossed = not crossed
            else:
                on_it = y == hy or (lx == hx and ly <= y <= hy)
            if on_it:
                touched = smaller(smaller(touched, int(owners[e, 0])), int(owners[e, 1]))
        if crossed:
            count = toggle(held, count, owners[e, 0])
            count = toggle(held, count, owners[e, 1])
    return count, touched


@numba.njit(cache=True, nogil=True, error_model="numpy")
def look_up(cells: Cells, xs: FloatArray, ys: FloatArray, holders: IntArray) -> None:
    """Write who holds the small cell of each point: a rank, `NOBODY`, a `CROWD` or a page."""
    # Fields are taken out once: handing the whole tuple to a function costs 80 ns of counting
    # references to its arrays, ten times the lookup of a point away from borders.
    left, bottom, size = cells.left, cells.bottom, cells.size
    columns, rows, coarse, fine = cells.columns, cells.rows, cells.coarse, cells.fine
    for k in range(xs.size):
        holders[k] = _small_cell(left, bottom, size, columns, rows, coarse, fine, xs[k], ys[k])[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def settle(
    cells: Cells,
    xs: FloatArray,
    ys: FloatArray,
    waiting: npt.NDArray[np.intp],
    held: IntArray,
    holders: IntArray,
) -> None:
    """Replace the page or crowd of the points `waiting` by the smallest rank that holds each."""
    left, bottom, size, small = cells.left, cells.bottom, cells.size, cells.size / SPLIT
    columns, rows, coarse, fine = cells.columns, cells.rows, cells.coarse, cells.fine
    crowds, edges, owners = cells.crowds, cells.edges, cells.owners
    start, listed, page_holder = cells.page_start, cells.page_edges, cells.page_holder
    for k in waiting:
        x, y = xs[k], ys[k]
        holder, i, j = _small_cell(left, bottom, size, columns, rows, coarse, fine, x, y)
        if holder <= CROWD:
            holders[k] = smallest(held, _list(holder, crowds, held))
            continue
        n = -(holder + 2)
        count = _list(int(page_holder[n]), crowds, held)
        x0, y0 = left + i * small, bottom + j * small
        count, touched = _cross(
            edges, owners, listed, start[n], start[n + 1], x0, y0, x, y, held, count
        )
        holders[k] = smaller(smallest(held, count), touched)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def holders(cells: Cells, x: float, y: float, held: IntArray) -> tuple[int, int]:
    """List all grids one point is inside of; returns as `_cross`."""
    holder, i, j = _small_cell(
        cells.left, cells.bottom, cells.size, cells.columns, cells.rows, cells.coarse, cells.fine,
        x, y,
    )  # fmt: skip
    if holder >= NOBODY or holder <= CROWD:
        return _list(holder, cells.crowds, held), NOBODY
    n = -(holder + 2)
    first, last = cells.page_start[n], cells.page_start[n + 1]
    count = _list(int(cells.page_holder[n]), cells.crowds, held)
    small = cells.size / SPLIT
    x0, y0 = cells.left + i * small, cells.bottom + j * small
    return _cross(
        cells.edges, cells.owners, cells.page_edges, first, last, x0, y0, x, y, held, count
    )
