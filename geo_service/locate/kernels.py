"""Compiled loops over points: who holds each, how far borders and other grids are."""

from __future__ import annotations

import math

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
from geo_service.locate.orientation import orientation, side, touches

# WGS84 (CGCS2000 differs in the tenth digit): axis in metres, first eccentricity squared.
_AXIS_M = 6378137.0
_E2 = 0.00669437999014


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


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _list(holder: int, crowds: IntArray, held: IntArray) -> int:
    """Write the ranks a holder stands for to `held`; gives their number."""
    if holder > CROWD:
        held[0] = holder
        return int(holder >= 0)
    for k in range(crowds[CROWD - holder]):
        held[k] = crowds[CROWD - holder + 1 + k]
    return int(crowds[CROWD - holder])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _smaller(rank: int, other: int) -> int:
    """The smaller of two ranks; -1 is none."""
    if rank < 0 or 0 <= other < rank:
        return other
    return rank


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
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
                touched = _smaller(_smaller(touched, owners[e, 0]), owners[e, 1])
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
        count = _list(page_holder[n], crowds, held)
        x0, y0 = left + i * small, bottom + j * small
        count, touched = _cross(
            edges, owners, listed, start[n], start[n + 1], x0, y0, x, y, held, count
        )
        holders[k] = _smaller(smallest(held, count), touched)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _holders(cells: Cells, x: float, y: float, held: IntArray) -> tuple[int, int]:
    """List all grids one point is inside of; returns as `_cross`."""
    holder, i, j = _small_cell(
        cells.left, cells.bottom, cells.size, cells.columns, cells.rows, cells.coarse, cells.fine,
        x, y,
    )  # fmt: skip
    if holder >= NOBODY or holder <= CROWD:
        return _list(holder, cells.crowds, held), NOBODY
    n = -(holder + 2)
    first, last = cells.page_start[n], cells.page_start[n + 1]
    count = _list(cells.page_holder[n], cells.crowds, held)
    small = cells.size / SPLIT
    x0, y0 = cells.left + i * small, cells.bottom + j * small
    return _cross(
        cells.edges, cells.owners, cells.page_edges, first, last, x0, y0, x, y, held, count
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scale(y: float, degrees: bool) -> tuple[float, float]:
    """Metres per unit of x and of y at a point: 1 in a plane, the ellipsoid's radii in degrees."""
    if not degrees:
        return 1.0, 1.0
    sine = math.sin(math.radians(y))
    w = 1.0 - _E2 * sine * sine
    across = _AXIS_M / math.sqrt(w)
    along = across * (1.0 - _E2) / w
    return math.radians(across * math.cos(math.radians(y))), math.radians(along)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _distance(
    edges: FloatArray, e: int, x: float, y: float, scale_x: float, scale_y: float
) -> float:
    """Distance from a point to an edge, metres; zero exactly where the point is on it."""
    ax, ay = (edges[e, 0] - x) * scale_x, (edges[e, 1] - y) * scale_y
    dx, dy = (edges[e, 2] - edges[e, 0]) * scale_x, (edges[e, 3] - edges[e, 1]) * scale_y
    t = min(max(-(ax * dx + ay * dy) / (dx * dx + dy * dy), 0.0), 1.0)
    if t == 1.0:
        # from the end itself, so that edges sharing it are equally far to the last bit
        gap = math.hypot((edges[e, 2] - x) * scale_x, (edges[e, 3] - y) * scale_y)
    else:
        gap = math.hypot(ax + t * dx, ay + t * dy)
    if gap < 1e-3 and touches(edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3], x, y):
        return 0.0
    return gap


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gap2(
    left: float, bottom: float, size: float, x: float, y: float, scale_x: float, scale_y: float
) -> float:
    """Square of the distance from a point to a square cell, square metres."""
    dx = max(left - x, x - (left + size), 0.0) * scale_x
    dy = max(bottom - y, y - (bottom + size), 0.0) * scale_y
    return (dx * dx + dy * dy) * (1.0 - 1e-9)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _search_cell(
    cells: Cells,
    column: int,
    row: int,
    x: float,
    y: float,
    scale_x: float,
    scale_y: float,
    own: int,
    best: tuple[float, int, float],
) -> tuple[float, int, float]:
    """Better a (border distance, other rank, its distance) by the edges entering one cell."""
    border, other, other_gap = best
    block = cells.coarse[row * cells.columns + column]
    if not CROWD < block < NOBODY:
        return best
    left, bottom = cells.left + column * cells.size, cells.bottom + row * cells.size
    limit = max(border, other_gap)
    if _gap2(left, bottom, cells.size, x, y, scale_x, scale_y) > limit * limit:
        return best
    small = cells.size / SPLIT
    for k in range(SPLIT * SPLIT):
        entered = cells.fine[-(block + 2) * SPLIT * SPLIT + k]
        if not CROWD < entered < NOBODY:
            continue
        page = -(entered + 2)
        x0, y0 = left + (k % SPLIT) * small, bottom + (k // SPLIT) * small
        limit = max(border, other_gap)
        if _gap2(x0, y0, small, x, y, scale_x, scale_y) > limit * limit:
            continue
        for n in range(cells.page_start[page], cells.page_start[page + 1]):
            e = cells.page_edges[n]
            gap = _distance(cells.edges, e, x, y, scale_x, scale_y)
            for rank in (cells.owners[e, 0], cells.owners[e, 1]):
                if rank == own and rank >= 0:
                    border = min(border, gap)
                elif rank >= 0 and (gap < other_gap or (gap == other_gap and rank < other)):
                    other, other_gap = rank, gap
    return border, other, other_gap


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _nearest_borders(
    cells: Cells, x: float, y: float, own: int, best: tuple[float, int, float], degrees: bool
) -> tuple[float, int, float]:
    """Search rings of cells around a point until nothing nearer can follow."""
    scale_x, scale_y = _scale(y, degrees)
    i = min(max(int((x - cells.left) / cells.size), 0), cells.columns - 1)
    j = min(max(int((y - cells.bottom) / cells.size), 0), cells.rows - 1)
    right, top = cells.left + cells.columns * cells.size, cells.bottom + cells.rows * cells.size
    away_x = max(cells.left - x, x - right, 0.0) * scale_x
    away_y = max(cells.bottom - y, y - top, 0.0) * scale_y
    for ring in range(max(cells.columns, cells.rows)):
        if ring > 0:
            # the nearest of the four sides that still have cells beyond
            x0, x1 = cells.left + (i - ring + 1) * cells.size, cells.left + (i + ring) * cells.size
            y0, y1 = (
                cells.bottom + (j - ring + 1) * cells.size,
                cells.bottom + (j + ring) * cells.size,
            )
            bound = np.inf
            if i >= ring:
                bound = min(bound, math.hypot((x - x0) * scale_x, away_y))
            if i + ring < cells.columns:
                bound = min(bound, math.hypot((x1 - x) * scale_x, away_y))
            if j >= ring:
                bound = min(bound, math.hypot((y - y0) * scale_y, away_x))
            if j + ring < cells.rows:
                bound = min(bound, math.hypot((y1 - y) * scale_y, away_x))
            if bound * (1.0 - 1e-9) > max(best[0], best[2]):
                break
        for row in range(max(j - ring, 0), min(j + ring, cells.rows - 1) + 1):
            step = 1 if abs(row - j) == ring else max(2 * ring, 1)
            for column in range(i - ring, i + ring + 1, step):
                if 0 <= column < cells.columns:
                    best = _search_cell(cells, column, row, x, y, scale_x, scale_y, own, best)
    return best


@numba.njit(cache=True, nogil=True, error_model="numpy")
def borders(
    cells: Cells,
    xs: FloatArray,
    ys: FloatArray,
    degrees: bool,
    held: IntArray,
    ranks: IntArray,
    border_m: FloatArray,
    others: IntArray,
    other_m: FloatArray,
) -> None:
    """Write who holds each point, how far its border is, the nearest other grid and its distance.

    Outside, the border distance is the distance to the nearest grid, which is also the other one.
    """
    for k in range(xs.size):
        x, y = xs[k], ys[k]
        ranks[k], others[k] = NOBODY, NOBODY
        border_m[k] = other_m[k] = np.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        count, touched = _holders(cells, x, y, held)
        own = _smaller(smallest(held, count), touched)
        other, other_gap = NOBODY, np.inf
        for n in range(count):
            if held[n] != own and (other < 0 or held[n] < other):
                other, other_gap = held[n], 0.0
        border = np.inf if own >= 0 else 0.0
        best = _nearest_borders(cells, x, y, own, (border, other, other_gap), degrees)
        ranks[k], others[k] = own, best[1]
        border_m[k] = best[0] if own >= 0 else best[2]
        other_m[k] = best[2]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def within(
    cells: Cells,
    xs: FloatArray,
    ys: FloatArray,
    radius_m: float,
    degrees: bool,
    held: IntArray,
    nearest_m: FloatArray,
    start: npt.NDArray[np.int64],
    ranks: IntArray,
    distances_m: FloatArray,
) -> int:
    """List the grids within a radius of each point; `nearest_m` must come in, and leaves, infinite.

    Returns
    -------
    int
        How many (point, grid) pairs there are; those beyond the room of `ranks` are not written.
    """
    reached = np.empty(nearest_m.size, np.int32)
    small = cells.size / SPLIT
    columns, rows = cells.columns * SPLIT, cells.rows * SPLIT
    total = 0
    for k in range(xs.size):
        start[k] = total
        x, y = xs[k], ys[k]
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        scale_x, scale_y = _scale(y, degrees)
        count, _ = _holders(cells, x, y, held)
        for n in range(count):
            nearest_m[held[n]] = 0.0
            reached[n] = held[n]
        across, up = radius_m / scale_x, radius_m / scale_y
        first_column = int(max((x - across - cells.left) / small - 1.0, 0.0))
        last_column = int(min((x + across - cells.left) / small + 1.0, columns - 1.0))
        first_row = int(max((y - up - cells.bottom) / small - 1.0, 0.0))
        last_row = int(min((y + up - cells.bottom) / small + 1.0, rows - 1.0))
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                block = cells.coarse[(row // SPLIT) * cells.columns + column // SPLIT]
                if not CROWD < block < NOBODY:
                    continue
                at = (-(block + 2) * SPLIT + row % SPLIT) * SPLIT + column % SPLIT
                if not CROWD < cells.fine[at] < NOBODY:
                    continue
                page = -(cells.fine[at] + 2)
                for n in range(cells.page_start[page], cells.page_start[page + 1]):
                    e = cells.page_edges[n]
                    gap = _distance(cells.edges, e, x, y, scale_x, scale_y)
                    if gap > radius_m:
                        continue
                    for rank in (cells.owners[e, 0], cells.owners[e, 1]):
                        if rank < 0:
                            continue
                        if nearest_m[rank] == np.inf:
                            reached[count] = rank
                            count += 1
                        nearest_m[rank] = min(nearest_m[rank], gap)
        for n in range(count):
            if total < ranks.size:
                ranks[total], distances_m[total] = reached[n], nearest_m[reached[n]]
            nearest_m[reached[n]] = np.inf
            total += 1
    start[xs.size] = total
    return total
