"""Compiled loops over points: how far borders and other grids are."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from geo_service.locate.cells import CROWD, NOBODY, SPLIT, Cells, FloatArray, IntArray
from geo_service.locate.kernels import holders, look_up, settle
from geo_service.locate.orientation import touches

# WGS84 (CGCS2000 differs in the tenth digit): axis in metres, first eccentricity squared.
_AXIS_M = 6378137.0
_E2 = 0.00669437999014
_ROUNDING = 1.0 - 1e-9  # bounds are drawn in by this, so rounding never hides an edge


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
def _gap2(
    lx: float, ly: float, hx: float, hy: float, x: float, y: float, scale_x: float, scale_y: float
) -> float:
    """Squared distance from a point to an edge, square metres; exactly zero where it is on it."""
    ax, ay = (lx - x) * scale_x, (ly - y) * scale_y
    bx, by = (hx - x) * scale_x, (hy - y) * scale_y
    dx, dy = (hx - lx) * scale_x, (hy - ly) * scale_y
    along = -(ax * dx + ay * dy)
    length2 = dx * dx + dy * dy
    # beyond an end from the end itself, so that edges sharing it are equally far to the last bit
    if along <= 0.0:
        gap2 = ax * ax + ay * ay
    elif along >= length2:
        gap2 = bx * bx + by * by
    else:
        t = along / length2
        gap2 = (ax + t * dx) ** 2 + (ay + t * dy) ** 2
    if gap2 < 1e-6 and touches(lx, ly, hx, hy, x, y):
        return 0.0
    return gap2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _square_gap2(
    left: float, bottom: float, size: float, x: float, y: float, scale_x: float, scale_y: float
) -> float:
    """Squared distance from a point to a square cell, square metres."""
    dx = max(left - x, x - (left + size), 0.0) * scale_x
    dy = max(bottom - y, y - (bottom + size), 0.0) * scale_y
    return (dx * dx + dy * dy) * _ROUNDING


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _search_block(
    fine: IntArray,
    start: IntArray,
    listed: IntArray,
    edges: FloatArray,
    owners: IntArray,
    first: int,
    left: float,
    bottom: float,
    small: float,
    x: float,
    y: float,
    scale_x: float,
    scale_y: float,
    own: int,
    border2: float,
    other: int,
    other2: float,
) -> tuple[float, int, float]:
    """Better the border's and the other grid's squared distance by the edges of one block."""
    for k in range(SPLIT * SPLIT):
        entered = fine[first + k]
        if entered >= NOBODY or entered <= CROWD:
            continue
        x0, y0 = left + (k % SPLIT) * small, bottom + (k // SPLIT) * small
        if _square_gap2(x0, y0, small, x, y, scale_x, scale_y) > max(border2, other2):
            continue
        for n in range(start[-(entered + 2)], start[-(entered + 1)]):
            e = listed[n]
            gap2 = _gap2(edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3], x, y, scale_x, scale_y)
            if gap2 > max(border2, other2):
                continue
            for side in range(2):
                rank = owners[e, side]
                if rank < 0:
                    continue
                if rank == own:
                    border2 = min(border2, gap2)
                elif gap2 < other2 or (gap2 == other2 and rank < other):
                    other, other2 = int(rank), gap2
    return border2, other, other2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _beyond(
    at: int, ring: int, count: int, origin: float, size: float, x: float, scale: float, away: float
) -> float:
    """The least distance to cells `ring` or more columns (rows) away, squared; infinite if none."""
    bound2 = np.inf
    if at >= ring:
        bound2 = ((x - (origin + (at - ring + 1) * size)) * scale) ** 2
    if at + ring < count:
        bound2 = min(bound2, ((origin + (at + ring) * size - x) * scale) ** 2)
    return (bound2 + away * away) * _ROUNDING


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
    """Write how far each point's border is, the nearest other grid and its distance.

    `ranks` says who holds each point. Outside, the border distance is the distance to the nearest
    grid, which is also the other one. Rings of cells around a point are searched until nothing
    nearer can follow.
    """
    left, bottom, size = cells.left, cells.bottom, cells.size
    columns, rows, coarse, fine = cells.columns, cells.rows, cells.coarse, cells.fine
    start, listed = cells.page_start, cells.page_edges
    edges, owners = cells.edges, cells.owners
    for k in range(xs.size):
        x, y, own = xs[k], ys[k], int(ranks[k])
        others[k] = NOBODY
        border_m[k] = other_m[k] = np.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        border2, other, other2 = (np.inf if own >= 0 else 0.0), int(NOBODY), np.inf
        count, _ = holders(cells, x, y, held)
        for n in range(count):
            if held[n] != own and (other < 0 or held[n] < other):
                other, other2 = int(held[n]), 0.0
        scale_x, scale_y = _scale(y, degrees)
        i = int(min(max((x - left) / size, 0.0), columns - 1.0))
        j = int(min(max((y - bottom) / size, 0.0), rows - 1.0))
        away_x = max(left - x, x - (left + columns * size), 0.0) * scale_x
        away_y = max(bottom - y, y - (bottom + rows * size), 0.0) * scale_y
        for ring in range(max(columns, rows)):
            if ring > 0:
                bound2 = min(
                    _beyond(i, ring, columns, left, size, x, scale_x, away_y),
                    _beyond(j, ring, rows, bottom, size, y, scale_y, away_x),
                )
                if bound2 > max(border2, other2):
                    break
            for row in range(max(j - ring, 0), min(j + ring, rows - 1) + 1):
                step = 1 if abs(row - j) == ring else max(2 * ring, 1)
                for column in range(i - ring, i + ring + 1, step):
                    if column < 0 or column >= columns:
                        continue
                    block = coarse[row * columns + column]
                    if block >= NOBODY or block <= CROWD:
                        continue
                    x0, y0 = left + column * size, bottom + row * size
                    gap2 = _square_gap2(x0, y0, size, x, y, scale_x, scale_y)
                    if gap2 > max(border2, other2):
                        continue
                    border2, other, other2 = _search_block(
                        fine, start, listed, edges, owners, -(block + 2) * SPLIT * SPLIT, x0, y0,
                        size / SPLIT, x, y, scale_x, scale_y, own, border2, other, other2,
                    )  # fmt: skip
        others[k] = other
        other_m[k] = math.sqrt(other2)
        border_m[k] = math.sqrt(border2) if own >= 0 else other_m[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def one(
    cells: Cells, x: float, y: float, degrees: bool, held: IntArray
) -> tuple[int, float, int, float]:
    """Give the rank that holds one point, the border's distance, the other grid and its distance.

    All steps in one call: crossing from Python into compiled code costs more than each of them.
    """
    xs, ys = np.array([x]), np.array([y])
    ranks, others = np.empty(1, np.int32), np.empty(1, np.int32)
    border_m, other_m = np.empty(1), np.empty(1)
    look_up(cells, xs, ys, ranks)
    if ranks[0] < NOBODY:
        settle(cells, xs, ys, np.zeros(1, np.intp), held, ranks)
    borders(cells, xs, ys, degrees, held, ranks, border_m, others, other_m)
    return int(ranks[0]), border_m[0], int(others[0]), other_m[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def within(
    cells: Cells,
    xs: FloatArray,
    ys: FloatArray,
    radius_m: float,
    degrees: bool,
    held: IntArray,
    nearest2: FloatArray,
    reached: IntArray,
    start: npt.NDArray[np.int64],
    ranks: IntArray,
    distances_m: FloatArray,
) -> int:
    """List the grids within a radius of each point; `nearest2` must come in, and leaves, infinite.

    Returns
    -------
    int
        How many (point, grid) pairs there are; those beyond the room of `ranks` are not written.
    """
    small = cells.size / SPLIT
    columns, rows = cells.columns * SPLIT, cells.rows * SPLIT
    coarse, fine, pages, listed = cells.coarse, cells.fine, cells.page_start, cells.page_edges
    edges, owners = cells.edges, cells.owners
    total = 0
    for k in range(xs.size):
        start[k] = total
        x, y = xs[k], ys[k]
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        scale_x, scale_y = _scale(y, degrees)
        count, _ = holders(cells, x, y, held)
        for n in range(count):
            nearest2[held[n]] = 0.0
            reached[n] = held[n]
        across, up = radius_m / scale_x, radius_m / scale_y
        first_column = int(min(max((x - across - cells.left) / small - 1.0, 0.0), columns * 1.0))
        last_column = int(max(min((x + across - cells.left) / small + 1.0, columns - 1.0), -1.0))
        first_row = int(min(max((y - up - cells.bottom) / small - 1.0, 0.0), rows * 1.0))
        last_row = int(max(min((y + up - cells.bottom) / small + 1.0, rows - 1.0), -1.0))
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                block = coarse[(row // SPLIT) * cells.columns + column // SPLIT]
                if block >= NOBODY or block <= CROWD:
                    continue
                entered = fine[(-(block + 2) * SPLIT + row % SPLIT) * SPLIT + column % SPLIT]
                if entered >= NOBODY or entered <= CROWD:
                    continue
                for n in range(pages[-(entered + 2)], pages[-(entered + 1)]):
                    e = listed[n]
                    gap2 = _gap2(
                        edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3], x, y, scale_x, scale_y
                    )
                    if math.sqrt(gap2) > radius_m:
                        continue
                    for side in range(2):
                        rank = owners[e, side]
                        if rank < 0:
                            continue
                        if nearest2[rank] == np.inf:
                            reached[count] = rank
                            count += 1
                        nearest2[rank] = min(nearest2[rank], gap2)
        for n in range(count):
            if total < ranks.size:
                ranks[total] = reached[n]
                distances_m[total] = math.sqrt(nearest2[reached[n]])
            nearest2[reached[n]] = np.inf
            total += 1
    start[xs.size] = total
    return total
