"""Compiled loops of catchments: cells to streets, walked distances of cells, and their outline."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
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
    run_start: Longs, run_chain: Ints, cells: Ints, offset: Singles, leg: Singles,
    leg_limit_m: float, chains: Ints, cm: Ints, origin: Longs, down: int, across: int,
    metres: Singles,
) -> None:  # fmt: skip
    """Give the metres walked to each cell by its nearest street, where there is one.

    Parameters
    ----------
    run_start, run_chain
        Where the cells of each chain begin in the arrays below, and the chain.
    cells, offset, leg
        The cells of a tile, row by row a number, by chain; and as `nearest_streets` gave them.
    chains : shape (e, 4)
        Tail, head, centimetres, and the ways it may be walked: `FORWARD`, `BACKWARD`.
    cm : shape (n,)
        Centimetres to each node, -1 where not reached.
    origin
        Chain, offset and leg of the origin, in centimetres.
    down, across
        Row and column of the tile's first cell in the window; below 0 where it begins outside.
    metres : shape (rows, columns)
        The window; comes as infinity.
    """
    rows, columns = metres.shape
    home, away = origin[1:], np.full(2, -1)
    for run in range(run_chain.size):
        e = run_chain[run]
        tail_cm, head_cm = cm[chains[e, 0]], cm[chains[e, 1]]
        if tail_cm < 0 and head_cm < 0 and e != origin[0]:
            continue
        length, ways = chains[e, 2], chains[e, 3]
        plain = e != origin[0] and ways == FORWARD | BACKWARD
        by_tail = tail_cm if tail_cm >= 0 else np.inf
        by_head = head_cm + length if head_cm >= 0 else np.inf
        at = home if e == origin[0] else away
        for k in range(run_start[run], run_start[run + 1]):
            j, i = (cells[k] >> _TILE_BITS) + down, (cells[k] & _IN_TILE) + across
            if j < 0 or j >= rows or i < 0 or i >= columns or leg[k] > leg_limit_m:
                continue
            if plain:
                walked = min(by_tail + offset[k], by_head - offset[k])
            else:
                walked = _walked_cm(offset[k], length, ways, tail_cm, head_cm, at)
            metres[j, i] = walked / 100.0 + leg[k]


@numba.njit(cache=True, nogil=True)
def any_walks(
    segments: Floats, edges: Ints, x0: float, y0: float, cell_m: float,
    leg_limit_m: float, chains: Ints, cm: Ints, origin: Longs, metres: Singles,
) -> None:  # fmt: skip
    """Give the metres walked to each cell by the best of all streets within the longest leg.

    Of every segment the point nearest to the cell counts. Parameters as in `nearest_streets` and
    `nearest_walks`.
    """
    rows, columns = metres.shape
    home, away = origin[1:], np.full(2, -1)
    for s in range(edges.size):
        e = edges[s]
        tail, head, length, ways = chains[e, 0], chains[e, 1], chains[e, 2], chains[e, 3]
        if cm[tail] < 0 and cm[head] < 0 and e != origin[0]:
            continue
        at = home if e == origin[0] else away
        ax, ay = segments[s, 0] - x0, segments[s, 1] - y0
        bx, by = ax + segments[s, 2], ay + segments[s, 3]
        i0 = max(0, math.ceil((min(ax, bx) - leg_limit_m) / cell_m))
        i1 = min(columns - 1, math.floor((max(ax, bx) + leg_limit_m) / cell_m))
        j0 = max(0, math.ceil((min(ay, by) - leg_limit_m) / cell_m))
        j1 = min(rows - 1, math.floor((max(ay, by) + leg_limit_m) / cell_m))
        for j in range(j0, j1 + 1):
            for i in range(i0, i1 + 1):
                off_m, share = _foot(i * cell_m - ax, j * cell_m - ay, segments[s])
                if off_m > leg_limit_m:
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
def outlines(
    metres: Singles, leg: Singles, level_m: float, leg_limit_m: float, jump_m: float, cases: Ints,
    following: Ints,
) -> tuple[Floats, Longs]:  # fmt: skip
    """Trace where walks cross a level, by marching squares; the inside lies on the left.

    Cells at the rim of the array must be outside. At a saddle the inside parts stay apart.

    Parameters
    ----------
    cases : shape (16, 4)
        For each set of inside corners up to two lines, from and to a side of the square (bottom,
        right, top, left), -1 where there is none.
    following : shape (2 x rows x columns,)
        Room for the next crossing after each; -1, left as it was found.

    Returns
    -------
    tuple of ndarray
        Column and row positions of the vertices, shape (v, 2), and where each ring begins (one
        more than rings). A ring ends with its first vertex.
    """
    rows, columns = metres.shape
    found = np.empty(1024, np.int64)
    crossings = 0
    sides = np.empty(4, np.int64)
    for j in range(rows - 1):
        left = np.int64(metres[j, 0] <= level_m) + 8 * np.int64(metres[j + 1, 0] <= level_m)
        for i in range(columns - 1):
            lower = np.int64(metres[j, i + 1] <= level_m)
            upper = np.int64(metres[j + 1, i + 1] <= level_m)
            case = left + 2 * lower + 4 * upper
            left = lower + 8 * upper
            if case in (0, 15):
                continue
            # A crossing is named by its cell and its direction: 2 x cell, + 1 upwards.
            cell = j * columns + i
            sides[0], sides[1] = 2 * cell, 2 * (cell + 1) + 1
            sides[2], sides[3] = 2 * (cell + columns), 2 * cell + 1
            if crossings + 2 > found.size:
                longer = np.empty(2 * found.size, np.int64)
                for k in range(crossings):
                    longer[k] = found[k]
                found = longer
            for line in range(0, 4, 2):
                if cases[case, line] >= 0:
                    begin = sides[cases[case, line]]
                    following[begin] = sides[cases[case, line + 1]]
                    found[crossings] = begin
                    crossings += 1
    places = np.empty((crossings + crossings // 4 + 1, 2))
    starts = np.empty(crossings // 4 + 2, np.int64)
    placed = 0
    rings = 0
    for k in range(crossings):
        at = found[k]
        if following[at] < 0:
            continue
        starts[rings] = placed
        while following[at] >= 0:
            j, i, upwards = at // 2 // columns, at // 2 % columns, at % 2
            share = _crossing(
                metres, leg, j, i, j + upwards, i + 1 - upwards, level_m, leg_limit_m, jump_m
            )
            places[placed, 0] = i + share * (1 - upwards)
            places[placed, 1] = j + share * upwards
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
def shells(places: Floats, starts: Longs) -> Ints:
    """Give for each ring the shell it is a hole of, -1 where it is a shell itself.

    Of all shells around a hole the smallest is its own. Shells run counter-clockwise.
    """
    count = starts.size - 1
    area = np.zeros(count)
    for ring in range(count):
        for k in range(starts[ring], starts[ring + 1] - 1):
            area[ring] += places[k, 0] * places[k + 1, 1] - places[k + 1, 0] * places[k, 1]
    shell_of = np.full(count, -1, np.int32)
    for hole in range(count):
        if area[hole] > 0.0:
            continue
        x, y = places[starts[hole], 0], places[starts[hole], 1]
        for shell in range(count):
            own = shell_of[hole]
            if area[shell] < -area[hole] or (own >= 0 and area[shell] >= area[own]):
                continue
            inside = False
            for k in range(starts[shell], starts[shell + 1] - 1):
                y0, y1 = places[k, 1], places[k + 1, 1]
                if (y0 > y) != (y1 > y):
                    x0, x1 = places[k, 0], places[k + 1, 0]
                    inside ^= x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            if inside:
                shell_of[hole] = shell
    return shell_of


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
