"""The search for the most weight that so many sites can cover, on a reduced problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from geo_service.siting import _bounds, _exact, _greedy, _swaps
from geo_service.siting._cover import Cover, reached, reduce
from geo_service.siting.plans import BoolArray, Clock, FloatArray, IntArray, Progress

# Work per second promised. Set so that each step ends well before the clock on a machine half as
# fast as the two shared cores it was measured on.
FIRST_SWAPS, SWAPS_PER_SECOND = 200_000, 400_000
FIRST_BOUND_STEPS, BOUND_STEPS_PER_SECOND = 500, 180
# Where the rest is small enough to be proven, more swaps than these only take the proof's time.
_SWAPS_BEFORE_PROOF = 4_000_000
# Entries of a reduced model up to which branch and cut is worth its time: before the long search,
# and after it for each second promised.
_EASY_ENTRIES, EXACT_ENTRIES_PER_SECOND = 10_000, 3_000


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
    told: Progress,
) -> Found:
    """Improve a greedy choice and bound it, with more effort only while the two differ."""
    if len(first) < count or count == 0:  # fewer sites already cover all there is
        return Found(first, cover.covered(first), cover.covered(first))
    best = _swaps.anneal(
        cover, first, proposals=FIRST_SWAPS, seed=seed, clock=clock, until=0.4, target=cover.total
    )
    value = cover.covered(best)
    told(0.1, "bound")
    bound = _bounds.most_weight(
        cover, count, value, steps=FIRST_BOUND_STEPS, clock=clock, until=0.5
    )
    if value < bound.value:
        told(0.2, "proof")
        best, value, bound = _close(
            cover, count, best, bound, clock, until=0.3, seed=seed, entries=_EASY_ENTRIES
        )
    if value < bound.value:
        told(0.4, "swaps")
        again = _search_core(cover, count, best, bound, clock=clock, seed=seed + 1)
        if cover.covered(again) > value:
            best, value = again, cover.covered(again)
        told(0.8, "bound")
        steps = int(BOUND_STEPS_PER_SECOND * clock.seconds)
        better = _bounds.most_weight(
            cover, count, value, steps=steps, clock=clock, start=bound.multipliers, until=0.95
        )
        bound = better if better.value < bound.value else bound
    if value < bound.value:
        told(0.9, "proof")
        best, value, bound = _close(
            cover,
            count,
            best,
            bound,
            clock,
            until=0.97,
            seed=seed,
            entries=EXACT_ENTRIES_PER_SECOND * clock.seconds,
        )
    told(1.0, "done")
    return Found(best, value, bound.value)


def _search_core(
    cover: Cover, count: int, best: IntArray, bound: _bounds.Bound, *, clock: Clock, seed: int
) -> IntArray:
    """Anneal long and slowly among the rows that a better plan could hold."""
    never, always = _bounds.fixed_by(cover, count, bound, cover.covered(best))
    core = _Core.of(cover, count, never, always)
    start, _ = _greedy.choose(core.cover.rows, core.cover.weights, core.count)
    proposals = int(SWAPS_PER_SECOND * clock.seconds)
    if core.cover.rows.nnz <= EXACT_ENTRIES_PER_SECOND * clock.seconds:
        proposals = min(proposals, _SWAPS_BEFORE_PROOF)
    rows = _swaps.anneal(
        core.cover, start, proposals=proposals, seed=seed,
        clock=clock, until=0.8, target=bound.value - core.base,
    )  # fmt: skip
    return np.concatenate([core.always, core.cover.candidates[rows]])


def _close(
    cover: Cover,
    count: int,
    best: IntArray,
    bound: _bounds.Bound,
    clock: Clock,
    *,
    until: float,
    seed: int,
    entries: float,
) -> tuple[IntArray, int, _bounds.Bound]:
    """Rule candidates out by the bound, and close the rest by branch and cut where it is small."""
    value = cover.covered(best)
    never, always = _bounds.fixed_by(cover, count, bound, value)
    seconds = until * clock.seconds - clock.spent()
    core = _Core.of(cover, count, never, always)
    if len(core.cover.candidates) == 0:  # nothing is left that could do better
        return best, value, _bounds.Bound(value, bound.multipliers)
    if core.cover.rows.nnz > entries or seconds <= 0:
        return best, value, bound
    solved = _exact.minimise(
        *core.model(), whole=len(core.cover.candidates), seconds=seconds, seed=seed,
        start=core.start(best),
    )  # fmt: skip
    # Only a finished run changes the plan: an unfinished one stands where the machine got to.
    if solved.finished and solved.values is not None:
        picked = np.concatenate([core.always, core.rows(solved.values)])
        if cover.covered(picked) > value:
            best, value = picked, cover.covered(picked)
    # Whatever the core leaves out can't beat the plan that ruled it out.
    proved = value if solved.finished else core.base + int(np.floor(min(-solved.bound, 2.0**60)))
    proved = max(value, min(bound.value, proved))
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

    def model(self) -> tuple[FloatArray, sparse.csc_array, FloatArray, FloatArray]:
        """Costs, matrix and row bounds: columns x then y; maximise the weight of y."""
        size, n_demand = self.cover.rows.shape
        cost = np.concatenate([np.zeros(size), -self.cover.weights.astype(float)])
        number = np.concatenate([np.ones(size), np.zeros(n_demand)])[None, :]
        body = sparse.vstack(
            [_exact.cover_columns(self.cover.rows), sparse.csc_array(number)], format="csc"
        )
        lower = np.zeros(n_demand + 1)
        upper = np.concatenate([np.full(n_demand, np.inf), [float(self.count)]])
        return cost, sparse.csc_array(body), lower, upper

    def start(self, best: IntArray) -> FloatArray | None:
        """The known plan as a solution of the model, if its rows all survived."""
        at = np.flatnonzero(np.isin(self.cover.candidates, best))
        if len(at) > self.count:
            return None
        x = np.zeros(self.cover.rows.shape[0])
        x[at] = 1.0
        return np.concatenate([x, reached(self.cover.rows, at).astype(float)])

    def rows(self, values: FloatArray) -> IntArray:
        """The rows of the whole problem that a solution opens."""
        return self.cover.candidates[_exact.opened(values, len(self.cover.candidates))]
