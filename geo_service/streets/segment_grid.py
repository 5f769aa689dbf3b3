"""Segments laid out in square cells: the nearest to a place, and those in a box.

A place looks through its own cell and then the rings of cells around it, until none of those left
could hold anything nearer: a microsecond, where a tree of geometries takes fifty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]

CELL_M = 64.0
_CELLS_A_SEGMENT = 8  # in wide, empty country the cells are made larger


@dataclass(frozen=True, eq=False)
class SegmentGrid:
    """Segments by the cells their boxes meet.

    Parameters
    ----------
    ends : ndarray of float64, shape (s, 4)
        x and y of the beginning, x and y of the end.
    west, south, cell_m : float
        Corner of the first cell, width of a cell.
    start : ndarray of int64, shape (rows x columns + 1,)
        Where the members of each cell begin, row by row.
    members : ndarray of int32
        The segments, in order within each cell.
    columns : int
        Cells of a row.
    """

    ends: FloatArray
    west: float
    south: float
    cell_m: float
    start: LongArray
    members: IntArray
    columns: int

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, begin: LongArray) -> SegmentGrid:
        """Lay out the segments that lead from vertices to the next ones."""
        ends = np.column_stack((x[begin], y[begin], x[begin + 1], y[begin + 1]))
        if not begin.size:
            nothing = np.empty(0, np.int32)
            return cls(ends, 0.0, 0.0, CELL_M, np.zeros(1, np.int64), nothing, 0)
        west, south = ends[:, 0::2].min(), ends[:, 1::2].min()
        wide, high = ends[:, 0::2].max() - west, ends[:, 1::2].max() - south
        cell_m = max(CELL_M, math.sqrt(wide * high / (_CELLS_A_SEGMENT * begin.size)),
                     max(wide, high) / (_CELLS_A_SEGMENT * begin.size))  # fmt: skip
        columns, rows = int(wide / cell_m) + 1, int(high / cell_m) + 1
        start, members = _laid_out(ends, west, south, cell_m, columns, rows)
        return cls(ends, float(west), float(south), cell_m, start, members, columns)

    def nearest(self, x: FloatArray, y: FloatArray, below_m: FloatArray) -> LongArray:
        """Give the nearest segment of each place that is nearer than some distance, else -1.

        Of equally near segments the first one counts.
        """
        return _nearest(
            x, y, below_m, self.ends, self.west, self.south, self.cell_m, self.columns, self.start,
            self.members,
        )  # fmt: skip

    def within(self, west: float, south: float, east: float, north: float) -> LongArray:
        """Give the segments whose boxes meet a box, in order."""
        return _within(
            west, south, east, north, self.ends, self.west, self.south, self.cell_m, self.columns,
            self.start, self.members,
        )  # fmt: skip


@numba.njit(inline="always")
def _cell(value: float, origin: float, cell_m: float, count: int) -> int:
    """Give the row or column a coordinate falls into, kept inside the grid."""
    return int(min(max(math.floor((value - origin) / cell_m), 0.0), count - 1.0))


@numba.njit(cache=True, nogil=True)
def _laid_out(
    ends: FloatArray, west: float, south: float, cell_m: float, columns: int, rows: int
) -> tuple[LongArray, IntArray]:
    start = np.zeros(rows * columns + 1, np.int64)
    members = np.empty(0, np.int32)
    for filling in range(2):  # counted, then put in
        for s in range(ends.shape[0]):
            x0, x1 = min(ends[s, 0], ends[s, 2]), max(ends[s, 0], ends[s, 2])
            y0, y1 = min(ends[s, 1], ends[s, 3]), max(ends[s, 1], ends[s, 3])
            first, last = _cell(x0, west, cell_m, columns), _cell(x1, west, cell_m, columns)
            for j in range(_cell(y0, south, cell_m, rows), _cell(y1, south, cell_m, rows) + 1):
                for i in range(first, last + 1):
                    cell = j * columns + i
                    if filling:
                        members[start[cell]] = s
                        start[cell] += 1
                    else:
                        start[cell + 1] += 1
        if not filling:
            start[:] = np.cumsum(start)
            members = np.empty(start[-1], np.int32)
    start[1:] = start[:-1].copy()
    start[0] = 0
    return start, members


@numba.njit(inline="always")
def _squared(x: float, y: float, ends: FloatArray, s: int) -> float:
    """Give the squared distance of a place from a segment; exact ends, so that neighbours tie."""
    dx, dy = ends[s, 2] - ends[s, 0], ends[s, 3] - ends[s, 1]
    along, squared = (x - ends[s, 0]) * dx + (y - ends[s, 1]) * dy, dx * dx + dy * dy
    if along <= 0.0 or squared == 0.0:
        off_x, off_y = x - ends[s, 0], y - ends[s, 1]
    elif along >= squared:
        off_x, off_y = x - ends[s, 2], y - ends[s, 3]
    else:
        share = along / squared
        off_x, off_y = x - (ends[s, 0] + share * dx), y - (ends[s, 1] + share * dy)
    return off_x * off_x + off_y * off_y


@numba.njit(cache=True, nogil=True)
def _nearest(
    x: FloatArray, y: FloatArray, below_m: FloatArray, ends: FloatArray, west: float, south: float,
    cell_m: float, columns: int, start: LongArray, members: IntArray,
) -> LongArray:  # fmt: skip
    found = np.full(x.size, -1, np.int64)
    rows = (start.size - 1) // max(columns, 1)
    for k in range(x.size):
        best = below_m[k] * below_m[k]
        # Cells and rings as floats: a place may be any distance off.
        at_x, at_y = (x[k] - west) / cell_m, (y[k] - south) / cell_m
        column, row = math.floor(at_x), math.floor(at_y)
        ring = max(0.0, -column, column - columns + 1, -row, row - rows + 1)
        last = max(column, columns - 1 - column, row, rows - 1 - row)
        # How far the place is from the sides of its own cell.
        inner = min(at_x - column, column + 1 - at_x, at_y - row, row + 1 - at_y)
        while ring <= last:
            j0, j1 = int(max(row - ring, 0)), int(min(row + ring, rows - 1))
            i0, i1 = int(max(column - ring, 0)), int(min(column + ring, columns - 1))
            for j in range(j0, j1 + 1):
                whole = abs(j - row) == ring
                step = 1 if whole or ring == 0.0 else max(int(2 * ring), 1)
                i = i0 if whole or i0 == column - ring else int(column + ring)
                while i <= i1:
                    for m in range(start[j * columns + i], start[j * columns + i + 1]):
                        s = members[m]
                        squared = _squared(x[k], y[k], ends, s)
                        if squared < best or (squared == best and 0 <= s < found[k]):
                            best, found[k] = squared, s
                    i += step
            beyond = (ring + inner) * cell_m
            if best < beyond * beyond:
                break
            ring += 1.0
    return found


@numba.njit(cache=True, nogil=True)
def _within(
    west: float, south: float, east: float, north: float, ends: FloatArray, x0: float, y0: float,
    cell_m: float, columns: int, start: LongArray, members: IntArray,
) -> LongArray:  # fmt: skip
    rows = (start.size - 1) // max(columns, 1)
    found = np.empty(64, np.int64)
    count = 0
    if columns == 0:
        return found[:0]
    i0, i1 = _cell(west, x0, cell_m, columns), _cell(east, x0, cell_m, columns)
    j0, j1 = _cell(south, y0, cell_m, rows), _cell(north, y0, cell_m, rows)
    for j in range(j0, j1 + 1):
        for i in range(i0, i1 + 1):
            for m in range(start[j * columns + i], start[j * columns + i + 1]):
                s = members[m]
                low_x, low_y = min(ends[s, 0], ends[s, 2]), min(ends[s, 1], ends[s, 3])
                # A segment is told in the first of its cells that lie in the box.
                if (
                    i != max(_cell(low_x, x0, cell_m, columns), i0)
                    or j != max(_cell(low_y, y0, cell_m, rows), j0)
                    or low_x > east or max(ends[s, 0], ends[s, 2]) < west
                    or low_y > north or max(ends[s, 1], ends[s, 3]) < south
                ):  # fmt: skip
                    continue
                if count == found.size:
                    longer = np.empty(2 * count, np.int64)
                    longer[:count] = found
                    found = longer
                found[count] = s
                count += 1
    return np.sort(found[:count])


@numba.njit(cache=True, nogil=True)
def feet(
    begin: LongArray, x: FloatArray, y: FloatArray, shape_x: FloatArray, shape_y: FloatArray,
    shape_cm: IntArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Give the spots of segments nearest to places, and their whole centimetres along the chain.

    Compiled for the single place, which numpy would keep waiting.
    """
    spot_x, spot_y, walked = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for k in range(x.size):
        a = begin[k]
        dx, dy = shape_x[a + 1] - shape_x[a], shape_y[a + 1] - shape_y[a]
        squared, share = dx * dx + dy * dy, 0.0
        if squared > 0.0:
            share = ((x[k] - shape_x[a]) * dx + (y[k] - shape_y[a]) * dy) / squared
            share = min(max(share, 0.0), 1.0)
        spot_x[k], spot_y[k] = shape_x[a] + share * dx, shape_y[a] + share * dy
        walked[k] = np.rint(shape_cm[a] + share * (shape_cm[a + 1] - shape_cm[a]))
    return spot_x, spot_y, walked
