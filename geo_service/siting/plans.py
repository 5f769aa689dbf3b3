"""What a siting model answers: the sites, what they reach, and what is proven about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError, Phrase

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and the name of the step (where figures are known, a `Step`),
again and again while a step runs; raise in it to stop the work."""

InUnits = Callable[[float, str, int, int], None]
"""The same in whole units: share done, step, worth of the best so far, what nothing exceeds."""

_BEFORE_THE_END = 0.99  # time that has passed is not yet an answer

Status = Literal["optimal", "bounded", "time_limit"]
Proof = Literal["whole_numbers", "branch_and_cut"]


@dataclass(frozen=True, eq=False)
class Plan:
    """A choice of sites with a proven bound.

    Parameters
    ----------
    sites : ndarray of int
        Chosen candidates, in the order they should be built: each next one adds the most
        (for a median: saves the most) to those before it; demanded sites (``must``) come first.
    objective : float
        Covered weight with everything that is open already (`maximal_cover`), number of sites
        (`set_cover`), or weighted cost (`p_median`).
    bound : float
        No plan whatever does better than this: an upper bound for covered weight, a lower bound for
        a number of sites or a cost.
    gap_percent : float
        ``100 |bound - objective| / objective``.
    curve : ndarray of float
        Entry ``k`` is the best objective known for ``k + 1`` sites; the last is `objective`. For
        `set_cover` it is the weight covered by the first ``k + 1`` sites.
    proven : bool
        The bound equals the objective: no plan is better. Weights that are not whole in binary
        (0.1) are proven to within 1e-9 of the objective.
    seconds : float
        Wall-clock time used.
    status : {"optimal", "bounded", "time_limit"}
        ``optimal`` is said only with proof. ``bounded``: the search ran in full, only the proof is
        open, and more seconds may close it. ``time_limit``: the clock cut the search
        short, so another machine may choose other sites.
    proof : {"whole_numbers", "branch_and_cut"}
        How `bound` was proven: by sums of whole numbers without any rounding, or by HiGHS in
        floating point, which keeps constraints to 1e-6.
    closed : ndarray of int
        Existing sites that the plan closes (only where rules let them move).
    cost : float or None
        Money the plan costs, where candidates have costs.
    """

    sites: IntArray
    objective: float
    bound: float
    gap_percent: float
    curve: FloatArray
    proven: bool
    seconds: float
    status: Status
    proof: Proof = "whole_numbers"
    closed: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    cost: float | None = None


class Step(str):
    """The name of a step of the work, with what is known by then.

    Parameters
    ----------
    name : str
        Of the step.
    best, bound : float, optional
        The best objective so far, and what no plan beats.
    """

    best: float | None
    bound: float | None

    def __new__(cls, name: str, best: float | None = None, bound: float | None = None) -> Step:
        """Name a step."""
        made = super().__new__(cls, name)
        made.best, made.bound = best, bound
        return made


class Clock:
    """How much of the promised time is left, and who is told how it is used.

    Parameters
    ----------
    seconds : float
        The time promised.
    on_progress : callable, optional
        Told of every step (`tell`), and at every look at the clock while one runs.
    """

    def __init__(self, seconds: float, on_progress: Progress | None = None) -> None:
        if not (np.isfinite(seconds) and seconds > 0):
            raise InputError(
                "parameter_invalid",
                name="seconds",
                value=seconds,
                reason=Phrase("应大于 0", "must be above 0"),
            )
        self.seconds = float(seconds)
        self.cut = False
        self._start = time.perf_counter()
        self._on_progress = on_progress
        self._share, self._step = 0.0, Step("")

    def tell(
        self, share: float, step: str, best: float | None = None, bound: float | None = None
    ) -> None:
        """Tell how far the work is; figures that are not said anew stay."""
        before = self._step
        self._step = Step(
            step, before.best if best is None else best, before.bound if bound is None else bound
        )
        self._share = max(self._share, share)
        if self._on_progress is not None:
            self._on_progress(self._share, self._step)

    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def left(self) -> float:
        """Seconds until the promise ends; negative when it is past."""
        return self.seconds - self.spent()

    def out_of_time(self, share: float = 1.0) -> bool:
        """Tell whether this share of the time is used up; if so, remember that the clock cut in."""
        spent = self.spent() / self.seconds
        self.cut = self.cut or spent >= share
        if self._step:
            self.tell(min(spent, _BEFORE_THE_END), self._step)
        return spent >= share


def judge(
    *,
    sites: IntArray,
    objective: float,
    bound: float,
    curve: FloatArray,
    proven: bool,
    clock: Clock,
    proof: Proof = "whole_numbers",
    closed: IntArray | None = None,
    cost: float | None = None,
) -> Plan:
    """Put a plan together, with its gap and what may be said of it."""
    gap = 0.0 if proven else 100.0 * abs(bound - objective) / max(abs(objective), 1e-300)
    status: Status = "optimal" if proven else "time_limit" if clock.cut else "bounded"
    return Plan(
        sites=sites,
        objective=objective,
        bound=objective if proven else bound,
        gap_percent=gap,
        curve=curve,
        proven=proven,
        seconds=clock.spent(),
        status=status,
        proof=proof,
        closed=np.empty(0, dtype=np.int64) if closed is None else closed,
        cost=cost,
    )
