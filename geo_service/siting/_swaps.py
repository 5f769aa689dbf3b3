"""Search by swapping one site for another, with gains kept exact after every step.

Two searches share the bookkeeping: annealing (for the most weight with a given number of sites) and
row weighting (for the fewest sites that cover everything; Gao, Weise and Li 2014).

For each candidate `gain` holds what opening it would add, or what closing it would lose. A demand
covered by one open site only is known by `keeper`: the sum of its open sites' numbers, which is
that site's own number while there is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from geo_service.siting._cover import Cover
from geo_service.siting.plans import BoolArray, Clock, IntArray

# Between two looks at the clock, under 0.1 s: a proposal looks at all demand of one candidate.
_CHUNK_LOOKS, _LEAST_CHUNK, _LARGEST_CHUNK = 2_000_000, 2_000, 50_000
_USUAL_SIZE = 60  # demand per candidate; where it is more, fewer proposals are made in a second
# Heat at the start and end as shares of the mean weight a site holds; from a grid of trials on the
# city instances of scripts/bench/siting; the third number is the share of proposals that move a
# site anywhere instead of nearby. Few sites want two searches in turn: hot and near, cool and far.
Heat = tuple[float, float, float]
USUAL: Heat = (0.05, 0.001, 0.2)
FEW_SITES: tuple[Heat, Heat] = ((0.1, 0.01, 0.2), (0.03, 0.01, 0.5))


@dataclass(eq=False)
class _State:
    """Open sites and the gains that follow from them."""

    weights: IntArray
    is_open: BoolArray
    times: IntArray
    keeper: IntArray
    gain: IntArray

    @classmethod
    def of(cls, cover: Cover, weights: IntArray, chosen: IntArray) -> _State:
        """Work out the bookkeeping of a choice afresh."""
        is_open = np.zeros(cover.rows.shape[0], dtype=bool)
        is_open[chosen] = True
        times = np.rint(cover.columns @ is_open.astype(float)).astype(np.int64)
        numbers = np.where(is_open, np.arange(len(is_open)), 0).astype(float)
        keeper = np.rint(cover.columns @ numbers).astype(np.int64)
        new = np.rint(cover.rows @ np.where(times == 0, weights, 0).astype(float))
        lost = np.rint(cover.rows @ np.where(times == 1, weights, 0).astype(float))
        gain = np.where(is_open, lost, new).astype(np.int64)
        return cls(weights, is_open, times, keeper, gain)

    def arrays(self) -> tuple[IntArray, BoolArray, IntArray, IntArray, IntArray]:
        """The arrays in the order the kernels take them."""
        return self.weights, self.is_open, self.times, self.keeper, self.gain


def anneal(
    cover: Cover,
    chosen: IntArray,
    *,
    proposals: int,
    seed: int,
    clock: Clock,
    until: float = 1.0,
    target: int | None = None,
    kind: Heat = USUAL,
) -> IntArray:
    """Improve a choice of rows by annealed swaps.

    Parameters
    ----------
    cover : Cover
    chosen : ndarray of int
        Rows to start from; as many are returned.
    proposals : int
        Swaps to try, over which the heat falls geometrically; fewer where candidates cover much.
    seed : int
        Seed of the proposals.
    clock : Clock
        Cuts the search short when `until` of its time is used.
    target : int, optional
        Stop as soon as so many units are covered.
    kind : tuple of float
        Heat at the start and the end, and share of far moves.

    Returns
    -------
    ndarray of int
        The best rows seen; never worse than `chosen`.
    """
    rows, columns = cover.rows, cover.columns
    if not 0 < len(chosen) < rows.shape[0]:
        return chosen
    if clock.out_of_time(until):
        return chosen
    size = max(1, rows.nnz // rows.shape[0])
    proposals = max(1000, int(proposals * min(1.0, _USUAL_SIZE / size)))
    chunk = max(_LEAST_CHUNK, min(_LARGEST_CHUNK, _CHUNK_LOOKS // size))
    state = _State.of(cover, cover.weights, chosen)
    value = int(cover.weights[state.times > 0].sum())
    current, best = chosen.astype(np.int64), chosen.astype(np.int64)
    tally = np.array([value, value, seed * 2654435761 + 88172645463325252], dtype=np.int64)
    mean_held = max(value / len(chosen), 1.0)
    hot, cold, far_share = kind
    heat = hot * mean_held
    cooling = (cold / hot) ** (1000.0 / max(proposals, 1000))
    start = 0
    while start < proposals:
        steps = min(chunk, proposals - start)
        heat = _anneal(
            rows.indptr, rows.indices, columns.indptr, columns.indices, *state.arrays(),
            current, best, tally, steps, heat, cooling, far_share,
        )  # fmt: skip
        start += steps
        if target is not None and tally[1] >= target:
            break
        if start < proposals and clock.out_of_time(until):
            # A hot search that is cut has not settled: let it cool in one last chunk.
            start, cooling = proposals - chunk, (cold * mean_held / heat) ** (1000.0 / chunk)
            until = math.inf
    return best


def thin_out(
    cover: Cover,
    chosen: IntArray,
    *,
    steps: int,
    seed: int,
    clock: Clock,
    until: float = 1.0,
    fewest: int = 0,
) -> IntArray:
    """Find fewer rows that cover everything, by row weighting.

    A site is closed as soon as everything is covered without it; then sites are swapped, and demand
    that stays uncovered grows heavier until it is served.

    Parameters
    ----------
    cover : Cover
    chosen : ndarray of int
        Rows that cover everything.
    steps : int
        Swaps to try.
    clock : Clock
        Cuts the search short when `until` of its time is used.
    fewest : int
        A number that can't be undercut: the search ends there.

    Returns
    -------
    ndarray of int
        The fewest rows seen that cover everything.
    """
    rows, columns = cover.rows, cover.columns
    state = _State.of(cover, np.ones(rows.shape[1], dtype=np.int64), chosen)
    best = state.is_open.copy()
    waiting = np.zeros(rows.shape[1], dtype=np.int64)
    place = np.full(rows.shape[1], -1, dtype=np.int64)
    last_change = np.zeros(rows.shape[0], dtype=np.int64)
    tally = np.array([0, 0, seed * 2654435761 + 88172645463325252], dtype=np.int64)
    chunk = max(1, min(2000, 20_000_000 // max(rows.shape[0], 1)))
    for start in range(0, steps, chunk):
        _weigh_rows(
            rows.indptr, rows.indices, columns.indptr, columns.indices, *state.arrays(),
            best, waiting, place, last_change, tally, min(chunk, steps - start),
        )  # fmt: skip
        if np.count_nonzero(best) <= fewest:
            break
        if start + chunk < steps and clock.out_of_time(until):
            break
    return np.flatnonzero(best)


@numba.njit(cache=True, nogil=True)
def _random(tally: IntArray) -> float:  # pragma: no cover
    """A number in (0, 1): xorshift64*, its state in ``tally[2]`` (Vigna 2016)."""
    x = np.uint64(tally[2])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    tally[2] = np.int64(x)
    top = (x * np.uint64(2685821657736338717)) >> np.uint64(11)
    return (np.int64(top) + 0.5) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)
def _open(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, row):  # type: ignore[no-untyped-def]  # numba infers
    lost_later = 0
    for at in range(starts[row], starts[row + 1]):
        i = demand[at]
        if times[i] == 0:
            for other in range(c_starts[i], c_starts[i + 1]):
                gain[c_rows[other]] -= weights[i]
            lost_later += weights[i]
        elif times[i] == 1:
            gain[keeper[i]] -= weights[i]
        times[i] += 1
        keeper[i] += row
    gain[row] = lost_later
    is_open[row] = True


@numba.njit(cache=True, nogil=True)
def _close(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, row):  # type: ignore[no-untyped-def]  # numba infers
    new_again = 0
    is_open[row] = False
    for at in range(starts[row], starts[row + 1]):
        i = demand[at]
        times[i] -= 1
        keeper[i] -= row
        if times[i] == 0:
            for other in range(c_starts[i], c_starts[i + 1]):
                gain[c_rows[other]] += weights[i]
            new_again += weights[i]
        elif times[i] == 1:
            gain[keeper[i]] += weights[i]
    gain[row] = new_again


@numba.njit(cache=True, nogil=True)
def _anneal(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain,
    current, best, tally, steps, heat, cooling, far_share,
):  # fmt: skip
    """Try `steps` swaps; ``tally`` holds the value now, the best value and the random state."""
    n_rows, count = len(gain), len(current)
    for step in range(steps):
        if step % 1000 == 999:
            heat *= cooling
        slot = int(_random(tally) * count)
        row = int(_random(tally) * n_rows)
        if _random(tally) < far_share:
            # The better of a few on both sides: a strong newcomer for a weak site.
            for _ in range(3):
                other = int(_random(tally) * n_rows)
                if is_open[row] or (not is_open[other] and gain[other] > gain[row]):
                    row = other
                rival = int(_random(tally) * count)
                if gain[current[rival]] < gain[current[slot]]:
                    slot = rival
            old = current[slot]
        else:
            # A neighbour: some other candidate of a demand that the site covers.
            old = current[slot]
            size = starts[old + 1] - starts[old]
            if size == 0:
                continue
            i = demand[starts[old] + int(_random(tally) * size)]
            row = c_rows[c_starts[i] + int(_random(tally) * (c_starts[i + 1] - c_starts[i]))]
        if is_open[row]:
            continue
        change = gain[row] - gain[old]
        least = heat * math.log(_random(tally))
        if gain[row] < least:
            continue
        for at in range(starts[row], starts[row + 1]):
            i = demand[at]
            if times[i] == 1 and keeper[i] == old:
                change += weights[i]
        if change < least:
            continue
        _close(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, old)
        _open(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, row)
        current[slot] = row
        tally[0] += change
        if tally[0] > tally[1]:
            tally[1] = tally[0]
            for place in range(count):  # a slice would compile three times as long
                best[place] = current[place]
    return heat


@numba.njit(cache=True, nogil=True)
def _weigh_rows(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain,
    best, waiting, place, last_change, tally, steps,
):  # fmt: skip
    """Swap `steps` times; ``tally``: steps so far, demand waiting, the random state."""
    n_rows = len(gain)
    barred = -1
    for _ in range(steps):
        tally[0] += 1
        swaps = tally[1] > 0
        if not swaps:  # everything is covered: keep this, and try with one site fewer
            for other in range(n_rows):
                best[other] = is_open[other]
        for turn in range(2 if swaps else 1):
            row = -1
            if turn == 0:  # close the site that loses least, the longest unchanged of equals
                for other in range(n_rows):
                    if not is_open[other] or (swaps and other == barred):
                        continue
                    if row < 0 or gain[other] < gain[row] or (
                        gain[other] == gain[row] and last_change[other] < last_change[row]
                    ):  # fmt: skip
                        row = other
                if row < 0:
                    return
                _close(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, row)
            else:  # open the best candidate of some waiting demand, but not the one just closed
                i = waiting[int(_random(tally) * tally[1])]
                for at in range(c_starts[i], c_starts[i + 1]):
                    other = c_rows[at]
                    if last_change[other] == tally[0] and c_starts[i + 1] - c_starts[i] > 1:
                        continue
                    if row < 0 or gain[other] > gain[row] or (
                        gain[other] == gain[row] and last_change[other] < last_change[row]
                    ):  # fmt: skip
                        row = other
                _open(starts, demand, c_starts, c_rows, weights, is_open, times, keeper, gain, row)
                barred = row
            last_change[row] = tally[0]
            for at in range(starts[row], starts[row + 1]):
                i = demand[at]
                if times[i] == 0 and place[i] < 0:
                    place[i] = tally[1]
                    waiting[tally[1]] = i
                    tally[1] += 1
                elif times[i] > 0 and place[i] >= 0:
                    tally[1] -= 1
                    moved = waiting[tally[1]]
                    waiting[place[i]] = moved
                    place[moved] = place[i]
                    place[i] = -1
        for at in range(tally[1]):
            i = waiting[at]
            weights[i] += 1
            for other in range(c_starts[i], c_starts[i + 1]):
                gain[c_rows[other]] += 1
    if tally[1] == 0:
        for other in range(n_rows):
            best[other] = is_open[other]
