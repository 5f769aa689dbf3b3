"""The search for the fewest sites that cover everything, or enough, on a reduced problem."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from geo_service.siting import _bounds, _exact, _greedy, _swaps
from geo_service.siting._cover import Cover, reached, without_implied
from geo_service.siting._most_weight import (
    BOUND_STEPS_PER_SECOND,
    EXACT_ENTRIES_PER_SECOND,
)
from geo_service.siting.plans import Clock, IntArray, InUnits

# A model of whole covering is far easier than one of weights: ten times the size is closed.
_EXACT_ENTRIES_PER_SECOND_FOR_ALL = 10 * EXACT_ENTRIES_PER_SECOND
_SWAPS_PER_SECOND = 80_000  # for each number of sites that is tried


def for_all(
    cover: Cover,
    clock: Clock,
    seed: int,
    told: InUnits = lambda share, step, best, bound: None,
    *,
    enough: int = 0,
) -> tuple[IntArray, int]:
    """Cover all demand with few rows; give them and the least number possible.

    Where `enough` is given, stop as soon as so few are found, or shown to be too few.
    """
    whole, cover = cover, without_implied(cover)
    size, n_demand = cover.rows.shape
    chosen, _ = _greedy.choose(cover.rows, np.ones(n_demand, dtype=np.int64), size)
    if len(chosen) <= enough:
        return np.searchsorted(whole.candidates, cover.candidates[chosen]), 0
    told(0.1, "bound", len(chosen), 0)
    bound = _bounds.fewest_rows(
        cover,
        len(chosen),
        steps=int(BOUND_STEPS_PER_SECOND * clock.seconds),
        clock=clock,
        until=0.3,
    ).value
    if enough < len(chosen) and bound < len(chosen) and (bound <= enough or not enough):
        told(0.3, "swaps", len(chosen), min(bound, len(chosen)))
        steps = int(min(3000 * clock.seconds, 2e8 * clock.seconds / max(size + cover.rows.nnz, 1)))
        chosen = _swaps.thin_out(
            cover, chosen, steps=steps, seed=seed, clock=clock, until=0.7, fewest=max(bound, enough)
        )
    undecided = bound < len(chosen) > enough and (bound <= enough or not enough)
    if undecided and _provable(cover, _EXACT_ENTRIES_PER_SECOND_FOR_ALL, clock):
        told(0.7, "proof", len(chosen), bound)
        lower, upper = np.ones(n_demand), np.full(n_demand, np.inf)
        x = np.isin(np.arange(size), chosen).astype(float)
        solved = _exact.minimise(
            np.ones(size), sparse.csc_array(cover.rows.T), lower, upper, whole=size,
            seconds=clock.left() - 0.03 * clock.seconds, start=x, seed=seed,
        )  # fmt: skip
        chosen, bound = _better(cover, cover.total, chosen, bound, solved)
    told(1.0, "done", len(chosen), min(bound, len(chosen)))
    return np.searchsorted(whole.candidates, cover.candidates[chosen]), bound


def for_share(
    cover: Cover, target: int, clock: Clock, seed: int, told: InUnits
) -> tuple[IntArray, int]:
    """Cover `target` units with few rows; give them and the least number possible."""
    size, n_demand = cover.rows.shape
    chosen, _ = _greedy.choose(cover.rows, cover.weights, size, target=target)
    proposals = int(_SWAPS_PER_SECOND * clock.seconds)
    while len(chosen) > 1 and not clock.out_of_time(0.5):
        told(0.1, "swaps", len(chosen), 0)
        fewer = _swaps.anneal(
            cover,
            chosen[:-1],
            proposals=proposals,
            seed=seed,
            clock=clock,
            until=0.5,
            target=target,
        )
        if cover.covered(fewer) < target:
            break
        chosen = fewer
    told(0.6, "bound", len(chosen), 0)
    bound = _bounds.most_weight(
        cover, max(len(chosen) - 1, 1), target - 1,
        steps=int(BOUND_STEPS_PER_SECOND * clock.seconds), clock=clock, until=0.8,
    )  # fmt: skip
    least = _bounds.fewest_for(cover, target, bound)
    if least < len(chosen) and _provable(cover, EXACT_ENTRIES_PER_SECOND, clock):
        told(0.8, "proof", len(chosen), least)
        weigh = np.concatenate([np.zeros(size), cover.weights.astype(float) / target])
        body = sparse.vstack([_exact.cover_columns(cover.rows), sparse.csc_array(weigh[None, :])])
        lower = np.concatenate([np.zeros(n_demand), [1.0]])
        x = np.isin(np.arange(size), chosen).astype(float)
        solved = _exact.minimise(
            np.concatenate([np.ones(size), np.zeros(n_demand)]), sparse.csc_array(body),
            lower, np.full(n_demand + 1, np.inf), whole=size,
            seconds=clock.left() - 0.03 * clock.seconds, seed=seed,
            start=np.concatenate([x, reached(cover.rows, chosen).astype(float)]),
        )  # fmt: skip
        chosen, least = _better(cover, target, chosen, least, solved)
    told(1.0, "done", len(chosen), min(least, len(chosen)))
    return chosen, least


def _provable(cover: Cover, entries_per_second: float, clock: Clock) -> bool:
    """Tell whether the model is small enough for the time left."""
    return clock.left() > 0 and cover.rows.nnz <= entries_per_second * clock.seconds


def _better(
    cover: Cover, target: int, chosen: IntArray, least: int, solved: _exact.Solved
) -> tuple[IntArray, int]:
    """Take over what a run of HiGHS found and proved, after checking that it covers enough."""
    if solved.finished and solved.values is not None:
        found = _exact.opened(solved.values, cover.rows.shape[0])
        if len(found) < len(chosen) and cover.covered(found) >= target:
            chosen = found
    if np.isfinite(solved.bound):
        least = max(least, int(np.ceil(solved.bound - 1e-4)))
    return chosen, min(least, len(chosen))
