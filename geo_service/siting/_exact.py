"""Proof by branch and cut: HiGHS, with the model handed over as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import highspy
import numpy as np
from scipy import sparse

from geo_service.siting.plans import FloatArray, IntArray

# HiGHS treats constraints as kept within 1e-6; a bound is moved outwards by as much of itself.
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Solved:
    """What a run proved and found.

    Parameters
    ----------
    values : ndarray or None
        The variables of the best solution found; ``None`` when none was.
    bound : float
        Dual bound of the minimised objective, moved outwards; ``-inf`` when there is none.
    finished : bool
        The search came to its end: the solution is optimal, or there is none.
    value : float
        Objective of the solution; ``inf`` when there is none.
    """

    values: FloatArray | None
    bound: float
    finished: bool
    value: float = math.inf


def minimise(
    cost: FloatArray,
    matrix: sparse.csc_array,
    lower: FloatArray,
    upper: FloatArray,
    *,
    whole: int,
    seconds: float,
    start: FloatArray | None = None,
    floor: FloatArray | None = None,
    ceiling: FloatArray | None = None,
    gap: float = 0.0,
    seed: int = 0,
) -> Solved:
    """Minimise ``cost x`` with ``lower <= matrix x <= upper`` and ``floor <= x <= ceiling``.

    Parameters
    ----------
    cost : ndarray, shape (n,)
    matrix : csc_array, shape (m, n)
    lower, upper : ndarray, shape (m,)
    whole : int
        The first so many variables are whole numbers; the rest are continuous.
    seconds : float
        Time limit.
    start : ndarray, optional
        A known solution.
    floor, ceiling : ndarray, optional
        Bounds of the variables, default 0 and 1.
    gap : float
        Relative distance to the bound at which a solution is good enough.

    Returns
    -------
    Solved
    """
    model = _model(cost, matrix, lower, upper, floor, ceiling)
    if whole:
        kinds = [highspy.HighsVarType.kInteger] * whole
        model.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (len(cost) - whole)
    solver = _solver(seed)
    solver.setOptionValue("time_limit", max(seconds, 0.01))
    solver.setOptionValue("mip_rel_gap", gap)
    solver.setOptionValue("mip_abs_gap", 1e-6)
    solver.passModel(model)
    if start is not None and whole:
        known = highspy.HighsSolution()
        known.col_value = start.tolist()
        solver.setSolution(known)
    solver.run()
    return _read(solver, whole=whole)


def relaxed(
    cost: FloatArray, matrix: sparse.csc_array, lower: FloatArray, upper: FloatArray
) -> highspy.Highs:
    """A solver that holds ``lower <= matrix x <= upper``, ``0 <= x <= 1`` with continuous x."""
    solver = _solver(0)
    solver.passModel(_model(cost, matrix, lower, upper, None, None))
    return solver


class _Quiet(highspy.Highs):
    """A solver that leaves stdout to the machine form: switching callbacks on writes its header."""

    def enableCallbacks(self) -> None:  # noqa: N802  # its name
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]


def _solver(seed: int) -> highspy.Highs:
    solver = _Quiet()  # type: ignore[no-untyped-call]  # highspy carries no types here
    for name, value in {"threads": 1, "random_seed": seed}.items():
        solver.setOptionValue(name, value)
    return solver


def _model(
    cost: FloatArray,
    matrix: sparse.csc_array,
    lower: FloatArray,
    upper: FloatArray,
    floor: FloatArray | None,
    ceiling: FloatArray | None,
) -> highspy.HighsLp:
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(lower)
    model.col_cost_ = cost
    model.col_lower_ = np.zeros(len(cost)) if floor is None else floor
    model.col_upper_ = np.ones(len(cost)) if ceiling is None else ceiling
    model.row_lower_, model.row_upper_ = lower, upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    model.a_matrix_.index_ = matrix.indices.astype(np.int32)
    model.a_matrix_.value_ = matrix.data.astype(float)
    return model


def _read(solver: highspy.Highs, *, whole: int) -> Solved:
    status, info = solver.getModelStatus(), solver.getInfo()
    finished = status in {highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible}
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    values = np.asarray(solver.getSolution().col_value, dtype=float) if feasible else None
    if whole:
        bound = float(info.mip_dual_bound)
    else:
        bound = float(info.objective_function_value) if finished and feasible else -math.inf
    if math.isfinite(bound):
        bound -= _TOLERANCE * max(1.0, abs(bound))
    value = float(info.objective_function_value) if feasible else math.inf
    return Solved(values, bound, finished, value)


def cover_columns(rows: sparse.csr_array) -> sparse.csc_array:
    """Rows ``y_i <= sum of x_j over the candidates j of i`` of a covering model, columns (x, y)."""
    n_demand = rows.shape[1]
    minus = sparse.csc_array((-np.ones(n_demand), (np.arange(n_demand),) * 2))
    return sparse.csc_array(sparse.hstack([sparse.csc_array(rows.T), minus], format="csc"))


def opened(values: FloatArray, count: int) -> IntArray:
    """The first `count` variables that stand at 1."""
    return np.flatnonzero(values[:count] > 0.5)
