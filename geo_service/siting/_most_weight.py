"""The search for the most weight that so many sites can cover, on a reduced problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geo_service.siting import _bounds, _greedy, _swaps, _tree
from geo_service.siting._cover import Cover, reached, reduce
from geo_service.siting.plans import BoolArray, Clock, IntArray, InUnits

# Work per second promised. Set so that each step ends well before the clock on a machine half as
# fast as the two shared cores it was measured on.
FIRST_SWAPS, SWAPS_PER_SECOND = 200_000, 1_200_000
FIRST_BOUND_STEPS, BOUND_STEPS_PER_SECOND = 500, 180
# Up to so many entries short searches and a proof come before a long search.
_SMALL_ENTRIES, _TURNS = 60_000, 5
_ROUNDS = 4  # of the bound, each on the rows that the one before left over
_TREE_ENTRIES = 400_000  # of what the bound leaves open, for a proof to be tried
EXACT_ENTRIES_PER_SECOND = 3_000  # of a model of weights that HiGHS may close


@dataclass(frozen=True, eq=False)
class Found:
    """Rows of a reduced problem, the units they cover, and the bound."""

    rows: IntArray
    value: int
    bound: int


def search(
    cover: Cover,
    first: IntArray,
    count: int,
    *,
    clock: Clock,
    seed: int,
    told: InUnits,
) -> Found:
    """Improve a greedy choice and bound it, with more effort only while the two differ."""
    if len(first) < count or count == 0:  # fewer sites already cover all there is
        return Found(first, cover.covered(first), cover.covered(first))
    best = _swaps.anneal(
        cover, first, proposals=FIRST_SWAPS, seed=seed, clock=clock, until=0.4, target=cover.total
    )
    value = cover.covered(best)
    told(0.1, "bound", value, cover.total)
    bound = _bounds.most_weight(
        cover, count, value, steps=FIRST_BOUND_STEPS, clock=clock, until=0.5
    )
    if value < bound.value and cover.rows.nnz <= _SMALL_ENTRIES:
        told(0.2, "swaps", value, bound.value)
        best, bound = _try_again(cover, count, first, best, bound, clock=clock, seed=seed)
        value = cover.covered(best)
    elif value < bound.value:
        told(0.4, "swaps", value, bound.value)
        again = _search_core(cover, count, best, bound, clock=clock, seed=seed + 1)
        if cover.covered(again) > value:
            best, value = again, cover.covered(again)
        told(0.7, "bound", value, bound.value)
        bound = _tighten(cover, count, value, bound, clock=clock, until=0.9)
    if value < bound.value:
        told(0.9, "proof", value, bound.value)
        best, value, bound = _close(cover, count, best, bound, clock, until=0.97)
    told(1.0, "done", value, bound.value)
    return Found(best, value, bound.value)


def _try_again(
    cover: Cover,
    count: int,
    first: IntArray,
    best: IntArray,
    bound: _bounds.Bound,
    *,
    clock: Clock,
    seed: int,
) -> tuple[IntArray, _bounds.Bound]:
    """Short searches of two kinds in turn, and more steps of the bound, for a small problem."""
    for turn in range(_TURNS):
        again = _swaps.anneal(
            cover, first, proposals=FIRST_SWAPS, seed=seed + 1 + turn, clock=clock, until=0.5,
            target=bound.value, kind=_swaps.FEW_SITES[turn % 2],
        )  # fmt: skip
        best = max(best, again, key=cover.covered)
        if cover.covered(best) >= bound.value:
            return best, bound
    return best, _tighten(cover, count, cover.covered(best), bound, clock=clock, until=0.6)


def _tighten(
    cover: Cover, count: int, value: int, bound: _bounds.Bound, *, clock: Clock, until: float
) -> _bounds.Bound:
    """Go on with the bound, on the rows that a better plan could still hold."""
    steps = max(int(BOUND_STEPS_PER_SECOND * clock.seconds), 1500) // _ROUNDS
    begun = clock.spent() / clock.seconds
    for turn in range(1, _ROUNDS + 1):
        never, _ = _bounds.fixed_by(cover, count, bound, value)
        if len(never) - np.count_nonzero(never) < count:
            return _bounds.Bound(value, bound.multipliers)
        cover = cover.only(~never)
        better = _bounds.most_weight(
            cover, count, value, steps=steps, clock=clock, start=bound.multipliers,
            until=begun + (until - begun) * turn / _ROUNDS,
        )  # fmt: skip
        # What was left out beats no known plan, so the larger of the two bounds everything.
        proved = max(value, better.value)
        if proved >= bound.value:  # another round would take the same steps
            break
        bound = _bounds.Bound(proved, better.multipliers)
        if bound.value <= value or clock.out_of_time(until):
            break
    return bound


def _search_core(
    cover: Cover, count: int, best: IntArray, bound: _bounds.Bound, *, clock: Clock, seed: int
) -> IntArray:
    """Anneal long and slowly among the rows that a better plan could hold."""
    never, always = _bounds.fixed_by(cover, count, bound, cover.covered(best))
    core = _Core.of(cover, count, never, always)
    start, _ = _greedy.choose(core.cover.rows, core.cover.weights, core.count)
    proposals = int(SWAPS_PER_SECOND * clock.seconds)
    rows = _swaps.anneal(
        core.cover, start, proposals=proposals, seed=seed,
        clock=clock, until=0.7, target=bound.value - core.base,
    )  # fmt: skip
    return np.concatenate([core.always, core.cover.candidates[rows]])


def _close(
    cover: Cover, count: int, best: IntArray, bound: _bounds.Bound, clock: Clock, *, until: float
) -> tuple[IntArray, int, _bounds.Bound]:
    """Rule rows out by the bound, and search what is left by branch and bound."""
    value = cover.covered(best)
    never, always = _bounds.fixed_by(cover, count, bound, value)
    core = _Core.of(cover, count, never, always)
    if len(core.cover.candidates) == 0:  # nothing is left that could do better
        return best, value, _bounds.Bound(value, bound.multipliers)
    if core.cover.rows.nnz > _TREE_ENTRIES or clock.spent() >= until * clock.seconds:
        return best, value, bound
    # A plan to begin with: the known one where its rows all survived, else a greedy one.
    start = np.flatnonzero(np.isin(core.cover.candidates, best))
    if len(start) != core.count:
        start, _ = _greedy.choose(core.cover.rows, core.cover.weights, core.count)
    known = value - core.base
    inner = _bounds.most_weight(core.cover, core.count, known, steps=600, clock=clock, until=until)
    searched = _tree.search(
        core.cover, core.count, start, known=known, start=inner.multipliers, clock=clock,
        until=until,
    )  # fmt: skip
    if searched.value > known:
        best = np.concatenate([core.always, core.cover.candidates[searched.rows]])
        value = cover.covered(best)
    # Whatever the core leaves out can't beat the plan that ruled it out.
    proved = max(value, min(bound.value, core.base + searched.bound))
    return best, value, _bounds.Bound(proved, bound.multipliers)


@dataclass(frozen=True, eq=False)
class _Core:
    """What stays open of a problem when some rows are ruled out and some are ruled in."""

    cover: Cover  # its `candidates` are rows of the whole problem
    always: IntArray
    base: int
    count: int

    @classmethod
    def of(cls, cover: Cover, count: int, never: BoolArray, always: BoolArray) -> _Core:
        """Take the ruled rows out; what the ruled-in ones cover is settled."""
        inside = np.flatnonzero(always)
        done = reached(cover.rows, inside)
        free = np.flatnonzero(~never & ~always)
        rest = reduce(cover.rows[free], np.where(done, 0, cover.weights), free)
        return cls(rest, inside, int(cover.weights[done].sum()), count - len(inside))
