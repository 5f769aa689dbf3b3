"""Compiled loops of catchments: cells to streets, walked distances of cells, and their outline."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Shorts = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

NO_EDGE = -1
FORWARD, BACKWARD = 1, 2
"""Bits of the ways a chain may be walked."""
_STARTS_AT_TAIL = 4  # of contraction.Graph.arcs
_TILE_BITS = 7
TILE_CELLS = 1 << _TILE_BITS
"""Cells of a row of a tile; a power of two, since division would take half of `nearest_walks`."""
_IN_TILE = TILE_CELLS - 1
_BLOCK = 8  # cells of a row that are passed over together
_M_PER_CM = 0.01
# Eight cells in a word, a byte each; the four corners of a square as bits of one byte.
_NO_CELLS, _ONE_CELL, _CORNERS = np.uint64(0), np.uint64(1), np.uint64(15)
_CELL_BITS, _LAST_CELL = np.uint64(8), np.uint64(56)
_RIGHT, _UPPER_RIGHT, _UPPER = np.uint64(1), np.uint64(2), np.uint64(3)
# Bytes of JSON; a vertex is at most "[-ddd.dddddddd,-dd.dddddddd],".
_ZERO, _POINT, _COMMA, _MINUS, _OPEN, _CLOSE = 48, 46, 44, 45, 91, 93
_VERTEX_BYTES = 32
_PAIRS = np.frombuffer("".join(f"{pair:02}" for pair in range(100)).encode(), np.uint8)
_TEN, _HUNDRED, _TEN_THOUSAND = np.uint32(10), np.uint32(100), np.uint32(10_000)
_SCALE = np.uint64(10**8)
CROSSING_STEPS = 1024
"""An outline crosses between two cells at a multiple of this part of a cell (1 cm at 10 m cells):
two outlines share a vertex or keep a clear distance, which keeps them valid and nested in degrees
as well."""


@numba.njit(inline="always")
def _foot(px: float, py: float, segment: Floats) -> tuple[float, float]:
    """Give the distance of a point from a segment and the share of the segment at its foot."""
    dx, dy = segment[2], segment[3]
    squared = dx * dx + dy * dy
    share = 0.0
    if squared > 0.0:
        share = min(1.0, max(0.0, (px * dx + py * dy) / squared))
    x, y = px - share * dx, py - share * dy
    return math.sqrt(x * x + y * y), share


@numba.njit(cache=True, nogil=True)
def nearest_streets(
    segments: Floats, edges: Ints, x0: float, y0: float, cell_m: float, far_m: float,
    edge: Ints, offset: Singles, leg: Singles,
) -> None:  # fmt: skip
    """Give each cell centre the nearest street: chain, centimetres along it, metres off.

    Parameters
    ----------
    segments : shape (k, 6)
        x and y of the beginning, difference to the end, and the walked centimetres at both.
    edges : shape (k,)
        The chain of each segment. Of equally near segments the first one counts.
    x0, y0, cell_m
        Centre of the first cell, width of a cell.
    far_m
        A street farther off does not count.
    edge, offset, leg : shape (rows, columns)
        Filled where there is a street; come as `NO_EDGE`, anything and infinity.
    """
    rows, columns = edge.shape
    for s in range(edges.size):
        ax, ay = segments[s, 0] - x0, segments[s, 1] - y0
        bx, by = ax + segments[s, 2], ay + segments[s, 3]
        i0 = max(0, math.ceil((min(ax, bx) - far_m) / cell_m))
        i1 = min(columns - 1, math.floor((max(ax, bx) + far_m) / cell_m))
        j0 = max(0, math.ceil((min(ay, by) - far_m) / cell_m))
        j1 = min(rows - 1, math.floor((max(ay, by) + far_m) / cell_m))
        for j in range(j0, j1 + 1):
            for i in range(i0, i1 + 1):
                off_m, share = _foot(i * cell_m - ax, j * cell_m - ay, segments[s])
                if off_m <= far_m and np.float32(off_m) < leg[j, i]:
                    edge[j, i] = edges[s]
                    offset[j, i] = segments[s, 4] + share * (segments[s, 5] - segments[s, 4])
                    leg[j, i] = off_m


@numba.njit(inline="always")
def _walked_cm(
    offset: float, length: int, ways: int, tail_cm: int, head_cm: int, home: Longs
) -> float:
    """Give the walk from the origin to a spot on a chain in centimetres, infinite where none.

    ``home`` holds offset and leg of the origin if it stands on this chain, else a negative offset.
    """
    walked = np.inf
    if tail_cm >= 0 and (ways & FORWARD or offset == 0.0):
        walked = tail_cm + offset
    if head_cm >= 0 and (ways & BACKWARD or offset == length):
        walked = min(walked, head_cm + length - offset)
    if home[0] >= 0:
        ahead = offset - home[0]
        if ahead == 0.0 or ways & (FORWARD if ahead > 0.0 else BACKWARD):
            walked = min(walked, abs(ahead) + home[1])
    return walked


@numba.njit(cache=True, nogil=True)
def nearest_walks(
    run: Shorts, offset: Singles, leg: Singles, run_chain: Ints, run_start: Longs, cells: Ints,
    chains: Ints, cm: Ints, origin: Longs, down: int, across: int, metres: Singles, legs: Singles,
) -> None:  # fmt: skip
    """Give the metres walked to each cell of a tile by its nearest street, infinite where none.

    Parameters
    ----------
    run, offset, leg : shape (rows, columns) of a tile
        Which of the tile's chains serves a cell (one more than there are where none does), and as
        `nearest_streets` gave them.
    run_chain, run_start, cells
        The tile's chains; where the cells of each begin; the cells chain by chain, numbered row by
        row.
    chains : shape (e, 4)
        Tail, head, centimetres, and the ways it may be walked: `FORWARD`, `BACKWARD`.
    cm : shape (n,)
        Centimetres to each node, -1 where not reached.
    origin
        Chain, offset and leg of the origin, in centimetres.
    down, across
        Row and column of the tile's first cell in the window; below 0 where it begins outside.
    metres, legs : shape (rows, columns)
        The window, filled as far as the tile goes.
    """
    rows, columns = metres.shape
    by_tail, by_head = np.full(run_chain.size + 1, np.inf), np.full(run_chain.size + 1, np.inf)
    special = np.empty(run_chain.size, np.int64)
    specials = 0
    for r in range(run_chain.size):
        e = run_chain[r]
        tail_cm, head_cm = cm[chains[e, 0]], cm[chains[e, 1]]
        if e == origin[0] or chains[e, 3] != FORWARD | BACKWARD:
            special[specials] = r
            specials += 1
            continue
        if tail_cm >= 0:
            by_tail[r] = tail_cm
        if head_cm >= 0:
            by_head[r] = head_cm + chains[e, 2]
    low, first = max(-down, 0), max(-across, 0)
    last = min(run.shape[1], columns - across)
    for j in range(low, min(run.shape[0], rows - down)):
        # Rows apart and no call of min: the loop takes half the time.
        of, at, off = run[j, first:last], offset[j, first:last], leg[j, first:last]
        walks, window = metres[j + down, first + across :], legs[j + down, first + across :]
        for i in range(of.size):
            ahead, back = by_tail[of[i]] + at[i], by_head[of[i]] - at[i]
            walked = ahead if ahead < back else back
            walks[i] = walked * _M_PER_CM + off[i]
            window[i] = off[i]
    home, away = origin[1:], np.full(2, -1)
    for k in range(specials):
        r = special[k]
        e = run_chain[r]
        tail_cm, head_cm = cm[chains[e, 0]], cm[chains[e, 1]]
        if tail_cm < 0 and head_cm < 0 and e != origin[0]:
            continue
        spot = home if e == origin[0] else away
        for c in range(run_start[r], run_start[r + 1]):
            row, column = cells[c] >> _TILE_BITS, cells[c] & _IN_TILE
            j, i = row + down, column + across
            if 0 <= j < rows and 0 <= i < columns:
                walked = _walked_cm(
                    offset[row, column], chains[e, 2], chains[e, 3], tail_cm, head_cm, spot
                )
                metres[j, i] = walked * _M_PER_CM + leg[row, column]


@numba.njit(cache=True, nogil=True)
def _highest(bound: Singles, rim: int) -> Singles:
    """Give the highest bound of each block of cells, and of so many cells around it."""
    rows, columns = bound.shape
    highest = np.empty(((rows - 1) // _BLOCK + 1, (columns - 1) // _BLOCK + 1), np.float32)
    for v in range(highest.shape[0]):
        for u in range(highest.shape[1]):
            top = np.float32(-np.inf)
            for j in range(max(v * _BLOCK - rim, 0), min((v + 1) * _BLOCK + rim, rows)):
                for i in range(max(u * _BLOCK - rim, 0), min((u + 1) * _BLOCK + rim, columns)):
                    top = max(top, bound[j, i])
            highest[v, u] = top
    return highest


@numba.njit(cache=True, nogil=True)
def any_walks(
    segments: Floats, edges: Ints, x0: float, y0: float, cell_m: float,
    leg_limit_m: float, chains: Ints, cm: Ints, origin: Longs, bound: Singles, least_m: float,
    metres: Singles,
) -> None:  # fmt: skip
    """Give the metres walked to each cell by the best of all streets within the longest leg.

    Of every segment the point nearest to the cell counts. Parameters as in `nearest_streets` and
    `nearest_walks`, and:

    Parameters
    ----------
    bound : shape (rows, columns)
        What no walk needs to exceed: that by the nearest street, or what is asked for at most. A
        street is tried only where it could stay below, which leaves a tenth of the work.
    least_m
        The lowest level: where this and the cells around are below by the nearest street, better
        walks change no outline, and the bound is given.
    metres : shape (rows, columns)
        The window; comes as infinity.
    """
    rows, columns = metres.shape
    home, away = origin[1:], np.full(2, -1)
    highest, around = _highest(bound, 0), _highest(bound, 1)
    for v in range(highest.shape[0]):
        for u in range(highest.shape[1]):
            if around[v, u] <= least_m:
                highest[v, u] = -np.inf
                j, i = v * _BLOCK, u * _BLOCK
                metres[j : j + _BLOCK, i : i + _BLOCK] = bound[j : j + _BLOCK, i : i + _BLOCK]
    for s in range(edges.size):
        e = edges[s]
        tail, head, length, ways = chains[e, 0], chains[e, 1], chains[e, 2], chains[e, 3]
        if cm[tail] < 0 and cm[head] < 0 and e != origin[0]:
            continue
        at = home if e == origin[0] else away
        # A walk along a segment is shortest at one of its ends, or where the origin stands.
        low = min(
            _walked_cm(segments[s, 4], length, ways, cm[tail], cm[head], at),
            _walked_cm(segments[s, 5], length, ways, cm[tail], cm[head], at),
        )
        low_m = 0.0 if e == origin[0] else low / 100.0
        ax, ay = segments[s, 0] - x0, segments[s, 1] - y0
        bx, by = ax + segments[s, 2], ay + segments[s, 3]
        west, east, south, north = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
        i0 = max(0, math.ceil((west - leg_limit_m) / cell_m))
        i1 = min(columns - 1, math.floor((east + leg_limit_m) / cell_m))
        j0 = max(0, math.ceil((south - leg_limit_m) / cell_m))
        j1 = min(rows - 1, math.floor((north + leg_limit_m) / cell_m))
        for v in range(j0 // _BLOCK, j1 // _BLOCK + 1):
            first_j, last_j = max(j0, v * _BLOCK), min(j1, v * _BLOCK + _BLOCK - 1)
            off_y = max(0.0, south - last_j * cell_m, first_j * cell_m - north)
            for u in range(i0 // _BLOCK, i1 // _BLOCK + 1):
                first_i, last_i = max(i0, u * _BLOCK), min(i1, u * _BLOCK + _BLOCK - 1)
                off_x = max(0.0, west - last_i * cell_m, first_i * cell_m - east)
                left_m = highest[v, u] - low_m
                if left_m <= 0.0 or off_x * off_x + off_y * off_y > left_m * left_m:
                    continue
                for j in range(first_j, last_j + 1):
                    for i in range(first_i, last_i + 1):
                        if low_m >= bound[j, i]:
                            continue
                        off_m, share = _foot(i * cell_m - ax, j * cell_m - ay, segments[s])
                        if off_m > leg_limit_m or low_m + off_m > bound[j, i]:
                            continue
                        offset = segments[s, 4] + share * (segments[s, 5] - segments[s, 4])
                        walked = _walked_cm(offset, length, ways, cm[tail], cm[head], at)
                        metres[j, i] = min(metres[j, i], np.float32(walked / 100.0 + off_m))


@numba.njit(cache=True, nogil=True)
def _crossing(
    metres: Singles, leg: Singles, j: int, i: int, v: int, u: int,
    level_m: float, leg_limit_m: float, jump_m: float,
) -> float:  # fmt: skip
    """Give the share of the way from cell (j, i) to its neighbour (v, u) where the outline crosses.

    Linear between cells of one street; where a cell lies beyond the longest leg, by the legs; in
    the middle where the walks jump, since there the two cells belong to different streets. Each
    case depends on the level not at all or monotonely: outlines of lower levels lie inside.
    """
    swapped = metres[j, i] > metres[v, u]
    if swapped:
        j, i, v, u = v, u, j, i
    inner, outer = metres[j, i], metres[v, u]
    share = 0.5
    if outer - inner <= jump_m:
        share = (level_m - inner) / (outer - inner)
    elif outer == np.inf and leg_limit_m < leg[v, u] < np.inf:
        share = (leg_limit_m - leg[j, i]) / (leg[v, u] - leg[j, i])
    step = min(CROSSING_STEPS - 16, max(16, round(share * CROSSING_STEPS)))
    return (CROSSING_STEPS - step if swapped else step) / CROSSING_STEPS


@numba.njit(cache=True, nogil=True)
def _mixed_squares(inside: Bytes) -> tuple[Ints, Bytes]:
    """Give the squares with corners inside and outside, row by row, and their inside corners.

    Eight cells are looked at in one go, since nearly all are all inside or all outside; where not,
    each is written and kept if it is mixed, since the processor can't guess which are.
    """
    eights = inside.view(np.uint64)  # little-endian: the first cell is the lowest byte
    rows, words = eights.shape
    squares, corners = np.empty(8 * rows * words, np.int32), np.empty(8 * rows * words, np.uint8)
    count = 0
    for j in range(rows - 1):
        lower, upper = eights[j, 0], eights[j + 1, 0]
        for word in range(words):
            next_lower, next_upper = _NO_CELLS, _NO_CELLS
            if word + 1 < words:
                next_lower, next_upper = eights[j, word + 1], eights[j + 1, word + 1]
            right = (lower >> _CELL_BITS) | (next_lower << _LAST_CELL)
            upper_right = (upper >> _CELL_BITS) | (next_upper << _LAST_CELL)
            mixed = (lower ^ right) | (lower ^ upper) | (lower ^ upper_right)
            if mixed != _NO_CELLS:
                case = lower | (right << _RIGHT) | (upper_right << _UPPER_RIGHT) | (upper << _UPPER)
                for i in range(8):
                    squares[count] = 8 * (j * words + word) + i
                    corners[count] = np.uint8(case & _CORNERS)
                    count += int(mixed & _ONE_CELL)
                    mixed, case = mixed >> _CELL_BITS, case >> _CELL_BITS
            lower, upper = next_lower, next_upper
    return squares[:count], corners[:count]


@numba.njit(cache=True, nogil=True)
def _lines(inside: Bytes, columns: int, cases: Ints) -> Longs:
    """Give the lines of marching squares, row by row: the crossings each begins and ends at.

    A crossing is named by its cell and its direction: 2 x cell, + 1 upwards.
    """
    squares, corners = _mixed_squares(inside)
    found = np.empty((2 * squares.size, 2), np.int64)
    lines = 0
    sides = np.empty(4, np.int64)
    for k in range(squares.size):
        cell = squares[k] // inside.shape[1] * columns + squares[k] % inside.shape[1]
        sides[0], sides[1] = 2 * cell, 2 * (cell + 1) + 1
        sides[2], sides[3] = 2 * (cell + columns), 2 * cell + 1
        for line in range(0, 4, 2):
            if cases[corners[k], line] >= 0:
                found[lines, 0] = sides[cases[corners[k], line]]
                found[lines, 1] = sides[cases[corners[k], line + 1]]
                lines += 1
    return found[:lines]


@numba.njit(cache=True, nogil=True)
def outlines(
    metres: Singles, leg: Singles, inside: Bytes, level_m: float, leg_limit_m: float, jump_m: float,
    cases: Ints, following: Ints, column: int, row: int, width_m: float,
) -> tuple[Floats, Longs]:  # fmt: skip
    """Trace where walks cross a level, by marching squares; the inside lies on the left.

    Cells at the rim of the array must be outside. At a saddle the inside parts stay apart.

    Parameters
    ----------
    inside : shape (rows, n)
        Whether each cell is within the level, and 0 up to a multiple of eight columns.
    cases : shape (16, 4)
        For each set of inside corners up to two lines, from and to a side of the square (bottom,
        right, top, left), -1 where there is none.
    following : shape (2 x rows x columns,)
        Room for the next crossing after each; comes and is left as anything.
    column, row, width_m
        Of the first cell in the plane, in cells; and the width of a cell.

    Returns
    -------
    tuple of ndarray
        Vertices in the plane, shape (v, 2), and where each ring begins (one more than rings). A
        ring ends with its first vertex.
    """
    columns = metres.shape[1]
    lines = _lines(inside, columns, cases)
    crossings = lines.shape[0]
    for k in range(crossings):
        following[lines[k, 0]] = lines[k, 1]
    places = np.empty((crossings + crossings // 4 + 1, 2))
    starts = np.empty(crossings // 4 + 2, np.int64)
    placed = 0
    rings = 0
    for k in range(crossings):
        at = lines[k, 0]
        if following[at] < 0:
            continue
        starts[rings] = placed
        while following[at] >= 0:
            j, i, upwards = at // 2 // columns, at // 2 % columns, at % 2
            share = _crossing(
                metres, leg, j, i, j + upwards, i + 1 - upwards, level_m, leg_limit_m, jump_m
            )
            places[placed, 0] = (i + share * (1 - upwards) + column) * width_m
            places[placed, 1] = (j + share * upwards + row) * width_m
            placed += 1
            after = following[at]
            following[at] = -1
            at = after
        places[placed, 0], places[placed, 1] = places[starts[rings], 0], places[starts[rings], 1]
        placed += 1
        rings += 1
    starts[rings] = placed
    return places[:placed], starts[: rings + 1]


@numba.njit(cache=True, nogil=True)
def shells(places: Floats, starts: Longs) -> tuple[Ints, Floats]:
    """Give for each ring the shell it is a hole of, -1 where it is a shell itself; and its area.

    Of all shells around a hole the smallest is its own. Shells run counter-clockwise: the area of a
    hole is negative.
    """
    count = starts.size - 1
    area = np.zeros(count)
    box = np.empty((count, 4))
    for ring in range(count):
        x0, y0 = places[starts[ring], 0], places[starts[ring], 1]
        west = east = south = north = 0.0
        for k in range(starts[ring], starts[ring + 1] - 1):
            x, y = places[k, 0] - x0, places[k, 1] - y0
            area[ring] += (x * (places[k + 1, 1] - y0) - (places[k + 1, 0] - x0) * y) / 2.0
            west, east = min(west, x), max(east, x)
            south, north = min(south, y), max(north, y)
        box[ring] = (x0 + west, x0 + east, y0 + south, y0 + north)
    shell_of = np.full(count, -1, np.int32)
    for hole in range(count):
        if area[hole] > 0.0:
            continue
        x, y = places[starts[hole], 0], places[starts[hole], 1]
        for shell in range(count):
            own = shell_of[hole]
            if (
                area[shell] < -area[hole]
                or (own >= 0 and area[shell] >= area[own])
                or not (box[shell, 0] <= x <= box[shell, 1] and box[shell, 2] <= y <= box[shell, 3])
            ):
                continue
            inside = False
            for k in range(starts[shell], starts[shell + 1] - 1):
                y0, y1 = places[k, 1], places[k + 1, 1]
                if (y0 > y) != (y1 > y):
                    x0, x1 = places[k, 0], places[k + 1, 0]
                    inside ^= x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            if inside:
                shell_of[hole] = shell
    return shell_of, area


@numba.njit(inline="always")
def _from_tail(chain: Ints, cm: Ints, limit_cm: int) -> int:
    """Give how far a chain is walked from its tail."""
    walked = cm[chain[0]]
    if walked < 0 or chain[3] & FORWARD == 0:
        return 0
    return max(0, min(chain[2], limit_cm - walked))


@numba.njit(inline="always")
def _from_head(chain: Ints, cm: Ints, limit_cm: int) -> int:
    """Give how far a chain is walked from its head."""
    walked = cm[chain[1]]
    if walked < 0 or chain[3] & BACKWARD == 0:
        return 0
    return max(0, min(chain[2], limit_cm - walked))


@numba.njit(cache=True, nogil=True)
def reached_cm(
    arc_start: Ints, arcs: Longs, arc_edges: Ints, chains: Ints, nodes: Ints, cm: Ints,
    origin: Longs, limit_cm: int,
) -> int:  # fmt: skip
    """Give the length of street within a limit, each centimetre once.

    Parameters as in `nearest_walks`; ``nodes`` are those with a distance in ``cm``.
    """
    home, home_offset = origin[0], origin[1]
    total = 0
    for i in range(nodes.size):
        node = nodes[i]
        for slot in range(arc_start[node], arc_start[node + 1]):
            e = arc_edges[slot]
            # Each chain once: from its tail, or from its head where the tail is not reached.
            from_tail = arcs[slot] & _STARTS_AT_TAIL != 0
            if e == home or not (from_tail or cm[chains[e, 0]] < 0):
                continue
            both = _from_tail(chains[e], cm, limit_cm) + _from_head(chains[e], cm, limit_cm)
            total += min(chains[e, 2], both)
    up, down = _from_tail(chains[home], cm, limit_cm), _from_head(chains[home], cm, limit_cm)
    length, ways, left = chains[home, 2], chains[home, 3], max(limit_cm - origin[2], 0)
    low = max(home_offset - left, 0) if ways & BACKWARD else home_offset
    high = min(home_offset + left, length) if ways & FORWARD else home_offset
    # What both ends leave free of the origin's own chain, and how much of it the origin covers.
    free = max(length - up - down, 0)
    return total + length - free + max(min(high, length - down) - max(low, up), 0)


@numba.njit(cache=True, nogil=True)
def interpolated(places: Floats, column: int, row: int, step_m: float, lattice: Floats) -> Floats:
    """Give the values at places between the nodes of a lattice, by squares of three by three nodes.

    Biquadratic: the values of neighbouring squares agree along their common side.

    Parameters
    ----------
    places : shape (v, 2)
        x and y in metres.
    column, row
        The lattice's first node lies at these multiples of the step; both are even.
    lattice : shape (rows, columns, 2)
        Two values at each node; rows and columns are odd.
    """
    values = np.empty_like(places)
    for k in range(places.shape[0]):
        # The same arithmetic whatever the lattice, so the same value to the last bit.
        east = 2.0 * math.floor(places[k, 0] / (2.0 * step_m))
        north = 2.0 * math.floor(places[k, 1] / (2.0 * step_m))
        s, t = places[k, 0] / step_m - east - 1.0, places[k, 1] / step_m - north - 1.0  # -1 to 1
        i, j = int(east) - column, int(north) - row
        across = (s * (s - 1.0) / 2.0, 1.0 - s * s, s * (s + 1.0) / 2.0)
        up = (t * (t - 1.0) / 2.0, 1.0 - t * t, t * (t + 1.0) / 2.0)
        for which in range(2):
            total = 0.0
            for b in range(3):
                for a in range(3):
                    total += up[b] * across[a] * lattice[j + b, i + a, which]
            values[k, which] = total
    return values


@numba.njit(cache=True, nogil=True)
def box(x: Floats, y: Floats) -> tuple[float, float, float, float]:
    """Give west, south, east and north of some vertices."""
    west = south = np.inf
    east = north = -np.inf
    for k in range(x.size):
        west, east = min(west, x[k]), max(east, x[k])
        south, north = min(south, y[k]), max(north, y[k])
    return west, south, east, north


@numba.njit(cache=True, nogil=True)
def window(
    nodes: Ints, reached_cm: Ints, x: Floats, y: Floats, limit_cm: int, stretch: float
) -> tuple[float, float, float, float]:
    """Give the box around all that is left of a walk at each node: west, south, east, north.

    Parameters
    ----------
    nodes, reached_cm
        The nodes that are reached, and the walk to each.
    x, y : shape (n,)
        Where all nodes are.
    stretch
        How much longer a metre may be in the plane than on the ground.
    """
    west = south = np.inf
    east = north = -np.inf
    for k in range(nodes.size):
        at_x, at_y = x[nodes[k]], y[nodes[k]]
        left_m = max(limit_cm - reached_cm[k], 0) / 100.0 * stretch
        west, east = min(west, at_x - left_m), max(east, at_x + left_m)
        south, north = min(south, at_y - left_m), max(north, at_y + left_m)
    return west, south, east, north


@numba.njit(inline="always")
def _write_pair(pair: np.uint32, to: Bytes, at: int) -> None:
    to[at], to[at + 1] = _PAIRS[2 * pair], _PAIRS[2 * pair + 1]


@numba.njit(inline="always")
def _write_number(value: float, to: Bytes, at: int) -> int:
    """Write a number below a thousand with up to eight decimals; give where the next byte goes."""
    scaled = np.uint64(np.rint(abs(value) * 1e8))  # unsigned: dividing by constants is cheap
    if value < 0.0 and scaled > 0:
        to[at] = _MINUS
        at += 1
    whole, part = np.uint32(scaled // _SCALE), np.uint32(scaled % _SCALE)
    if whole >= _TEN:
        if whole >= _HUNDRED:
            to[at] = _ZERO + whole // _HUNDRED
            at += 1
        _write_pair(whole % _HUNDRED, to, at)
        at += 2
    else:
        to[at] = _ZERO + whole
        at += 1
    to[at] = _POINT
    high, low = part // _TEN_THOUSAND, part % _TEN_THOUSAND
    _write_pair(high // _HUNDRED, to, at + 1)
    _write_pair(high % _HUNDRED, to, at + 3)
    _write_pair(low // _HUNDRED, to, at + 5)
    _write_pair(low % _HUNDRED, to, at + 7)
    last = at + 8
    while to[last] == _ZERO and last > at + 1:
        last -= 1
    return last + 1


@numba.njit(inline="always")
def _write_ring(places: Floats, begin: int, end: int, to: Bytes, at: int) -> int:
    to[at] = _OPEN
    at += 1
    for k in range(begin, end):
        to[at] = _OPEN
        at = _write_number(places[k, 0], to, at + 1)
        to[at] = _COMMA
        at = _write_number(places[k, 1], to, at + 1)
        to[at], to[at + 1] = _CLOSE, _COMMA
        at += 2
    to[at - 1] = _CLOSE
    return at


@numba.njit(cache=True, nogil=True)
def coordinates(places: Floats, starts: Longs, shell_of: Ints) -> Bytes:
    """Write the coordinates of a GeoJSON MultiPolygon: every shell with its holes.

    Eight decimals, as many as `outlines.DEGREE_DECIMALS`; without the zeros at their end.
    """
    rings = starts.size - 1
    to = np.empty(_VERTEX_BYTES * places.shape[0] + 4 * rings + 4, np.uint8)
    to[0] = _OPEN
    at = 1
    for shell in range(rings):
        if shell_of[shell] >= 0:
            continue
        to[at] = _OPEN
        at = _write_ring(places, starts[shell], starts[shell + 1], to, at + 1)
        for hole in range(rings):
            if shell_of[hole] == shell:
                to[at] = _COMMA
                at = _write_ring(places, starts[hole], starts[hole + 1], to, at + 1)
        to[at], to[at + 1] = _CLOSE, _COMMA
        at += 2
    if at == 1:
        at = 2
    to[at - 1] = _CLOSE
    return to[:at]
