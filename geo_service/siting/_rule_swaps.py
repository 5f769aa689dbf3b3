"""Search by swapping under rules: each proposal opens one place and closes what the rules then ask.

Only how often each demand is covered is kept; what a move is worth is summed over the demand it
touches, in whole numbers, so the value never drifts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from scipy import sparse

from geo_service.siting._swaps import _random
from geo_service.siting.plans import BoolArray, Clock, IntArray
from geo_service.siting.rules import Rows

_CHUNK = 20_000  # proposals between two looks at the clock, some hundredths of a second
_HOT, _COLD = 0.1, 0.001  # heat as shares of the mean worth of an open place
_FAR_SHARE = 0.3  # proposals that open any place instead of a neighbour


@dataclass(frozen=True, eq=False)
class Game:
    """A covering problem whose demand is worth something each time it is covered.

    Parameters
    ----------
    rows, columns : csr_array
        Places x demand, and its transpose.
    weights : ndarray of int
    base : ndarray of int
        Times each demand is covered already.
    worth : ndarray of int
        Worth of a unit of weight covered 0, 1, 2, ... times; more often counts as the last.
    rules : Rows
    needs : ndarray of int
        A place that has to be open with each place (shared premises), -1 for none.
    """

    rows: sparse.csr_array
    columns: sparse.csr_array
    weights: IntArray
    base: IntArray
    worth: IntArray
    rules: Rows
    needs: IntArray

    def times(self, is_open: BoolArray) -> IntArray:
        """How often each demand is covered."""
        chosen = self.rows[np.flatnonzero(is_open)].indices
        return self.base + np.bincount(chosen, minlength=len(self.weights))

    def value(self, is_open: BoolArray) -> int:
        """What a choice is worth."""
        times = np.minimum(self.times(is_open), len(self.worth) - 1)
        return int((self.weights * self.worth[times]).sum())

    @property
    def total(self) -> int:
        """What it would be worth to open everything."""
        return self.value(np.ones(self.rows.shape[0], dtype=bool))


def anneal(
    game: Game,
    is_open: BoolArray,
    *,
    proposals: int,
    seed: int,
    clock: Clock,
    until: float = 1.0,
    target: int | None = None,
) -> BoolArray:
    """Improve a choice that keeps to the rules; the best one seen, never worse.

    Parameters
    ----------
    game : Game
    is_open : ndarray of bool
    proposals : int
        Moves to try, over which the heat falls geometrically.
    seed : int
    clock : Clock
        Cuts the search short when `until` of its time is used.
    target : int, optional
        Stop as soon as so much is reached.
    """
    if not len(is_open) or game.rows.nnz == 0:
        return is_open
    is_open, best = is_open.copy(), is_open.copy()
    times = game.times(is_open)
    value = game.value(is_open)
    acts = game.rules.sums(is_open)
    by_place = sparse.csr_array(game.rules.table.T)
    uses = np.bincount(game.needs[is_open & (game.needs >= 0)], minlength=len(is_open))
    opened = np.full(len(is_open), -1, dtype=np.int64)
    place = np.full(len(is_open), -1, dtype=np.int64)
    chosen = np.flatnonzero(is_open)
    opened[: len(chosen)], place[chosen] = chosen, np.arange(len(chosen))
    own = game.value(np.zeros(len(is_open), dtype=bool))
    mean = max((value - own) / max(len(chosen), 1), 1.0)
    heat = _HOT * mean
    cooling = (_COLD / _HOT) ** (1000.0 / max(proposals, 1000))
    tally = np.array(
        [value, value, seed * 2654435761 + 88172645463325252, len(chosen)], dtype=np.int64
    )
    for start in range(0, proposals, _CHUNK):
        heat = _play(
            game.rows.indptr, game.rows.indices, game.columns.indptr, game.columns.indices,
            game.weights, game.worth, times, is_open, opened, place, game.needs, uses,
            by_place.indptr, by_place.indices, by_place.data.astype(np.int64),
            game.rules.table.indptr, game.rules.table.indices,
            game.rules.table.data.astype(np.int64), game.rules.low, game.rules.high, acts,
            best, tally, min(_CHUNK, proposals - start), heat, cooling, _FAR_SHARE,
        )  # fmt: skip
        if target is not None and tally[1] >= target:
            break
        if clock.out_of_time(until):
            break
    return best


@numba.njit(cache=True, nogil=True)
def _flip(  # type: ignore[no-untyped-def]  # numba infers
    row, starts, demand, weights, worth, times, is_open, opened, place, needs, uses,
    p_starts, p_rules, p_entries, acts, tally,
):  # fmt: skip
    """Open a closed place or close an open one, with what it needs; the change of the value."""
    change = 0
    top = len(worth) - 1
    step = -1 if is_open[row] else 1
    for at in range(starts[row], starts[row + 1]):
        i = demand[at]
        before = min(times[i], top)
        times[i] += step
        change += weights[i] * (worth[min(times[i], top)] - worth[before])
    while row >= 0:
        for at in range(p_starts[row], p_starts[row + 1]):
            acts[p_rules[at]] += step * p_entries[at]
        is_open[row] = step > 0
        if step > 0:
            opened[tally[3]] = row
            place[row] = tally[3]
            tally[3] += 1
        else:
            tally[3] -= 1
            moved = opened[tally[3]]
            opened[place[row]] = moved
            place[moved] = place[row]
            place[row] = -1
        row = needs[row]
        if row >= 0:
            uses[row] += step
            if uses[row] != (1 if step > 0 else 0):
                row = -1
    return change


@numba.njit(cache=True, nogil=True)
def _victim(  # type: ignore[no-untyped-def]  # numba infers
    rule, newcomer, neighbour, is_open, opened, needs, uses,
    p_starts, p_rules, p_entries, r_starts, r_places, r_entries, tally,
):  # fmt: skip
    """An open place whose closing lowers a rule's sum: the neighbour if it does, else any."""
    for turn in range(24):
        if turn == 0 and neighbour >= 0 and is_open[neighbour]:
            row = neighbour
        elif r_starts[rule + 1] - r_starts[rule] <= 24:
            at = r_starts[rule] + (tally[2] + turn) % (r_starts[rule + 1] - r_starts[rule])
            row = r_places[at]
        else:
            row = opened[int(_random(tally) * tally[3])]
        if row == newcomer or not is_open[row] or uses[row] > 0:
            continue
        for at in range(p_starts[row], p_starts[row + 1]):
            if p_rules[at] == rule and p_entries[at] > 0:
                return row
    return -1


@numba.njit(cache=True, nogil=True)
def _play(  # type: ignore[no-untyped-def]  # numba infers
    starts, demand, c_starts, c_rows, weights, worth, times, is_open, opened, place, needs, uses,
    p_starts, p_rules, p_entries, r_starts, r_places, r_entries, low, high, acts,
    best, tally, steps, heat, cooling, far_share,
):  # fmt: skip
    """Try moves; ``tally``: value now, best value, random state, places open."""
    n_rows = len(is_open)
    top = len(worth) - 1
    moved = np.empty(8, dtype=np.int64)
    for step in range(steps):
        if step % 1000 == 999:
            heat *= cooling
        old = -1
        row = int(_random(tally) * n_rows)
        if tally[3] > 0 and _random(tally) >= far_share:
            old = opened[int(_random(tally) * tally[3])]
            size = starts[old + 1] - starts[old]
            if size > 0:
                i = demand[starts[old] + int(_random(tally) * size)]
                row = c_rows[c_starts[i] + int(_random(tally) * (c_starts[i + 1] - c_starts[i]))]
        if is_open[row]:
            continue
        least = heat * math.log(_random(tally))
        gain = 0
        for at in range(starts[row], starts[row + 1]):
            i = demand[at]
            gain += weights[i] * (worth[min(times[i] + 1, top)] - worth[min(times[i], top)])
        if gain < least:
            continue
        change = _flip(row, starts, demand, weights, worth, times, is_open, opened, place,
                       needs, uses, p_starts, p_rules, p_entries, acts, tally)  # fmt: skip
        moved[0], count, fits = row, 1, True
        turn = 0
        while turn < count and fits:  # the rules of everything moved so far
            at = p_starts[moved[turn]]
            ends = p_starts[moved[turn] + 1]
            partner = needs[moved[turn]]
            while fits:
                if at == ends:  # then those of the premises it needs
                    if partner < 0:
                        break
                    at, ends, partner = p_starts[partner], p_starts[partner + 1], -1
                    continue
                rule = p_rules[at]
                while acts[rule] > high[rule]:
                    out = -1
                    if count < 5:
                        out = _victim(rule, row, old, is_open, opened, needs, uses, p_starts,
                                      p_rules, p_entries, r_starts, r_places, r_entries,
                                      tally)  # fmt: skip
                    if out < 0:
                        fits = False
                        break
                    change += _flip(out, starts, demand, weights, worth, times, is_open, opened,
                                    place, needs, uses, p_starts, p_rules, p_entries, acts,
                                    tally)  # fmt: skip
                    moved[count] = out
                    count += 1
                if acts[rule] < low[rule]:
                    fits = False
                at += 1
            turn += 1
        if not fits or change < least:
            for back in range(count - 1, -1, -1):
                _flip(moved[back], starts, demand, weights, worth, times, is_open, opened, place,
                      needs, uses, p_starts, p_rules, p_entries, acts, tally)  # fmt: skip
            continue
        tally[0] += change
        if tally[0] > tally[1]:
            tally[1] = tally[0]
            for at in range(n_rows):
                best[at] = is_open[at]
    return heat
