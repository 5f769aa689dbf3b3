"""Siting against its peers: gaps on city-sized covers, time to a proven optimum on small ones.

    python scripts/bench/siting.py                  # 3,000 x 500 head to head, then 18,936 x 2,000
    python scripts/bench/siting.py --candidates 5000 --seconds 10
    python scripts/bench/siting.py --only head-to-head --rounds 5

The city is generated: clustered grids with people, candidates near them, and coverage by straight
distance times a detour that differs from pair to pair. Ours and HiGHS (and spopt with the solver
of PuLP, where it is installed) solve the same matrix in turn, A B A B; ratios carry to another
machine, seconds don't.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from geo_service.siting import _cover, _exact, maximal_cover

GRIDS = 18_936
SIDE_M = 70_600.0  # a square of Xuchang's area
CORES = ((0.50, 0.51, 3000.0, 0.30), (0.21, 0.71, 1900.0, 0.065), (0.74, 0.79, 1900.0, 0.065),
         (0.79, 0.29, 1700.0, 0.06), (0.29, 0.21, 1700.0, 0.055),
         (0.60, 0.89, 1500.0, 0.045))  # fmt: skip
DETOUR = (1.05, 1.45)


def city(
    grids: int, candidates: int, *, radius_m: float = 1000.0, seed: int = 1
) -> tuple[sparse.csr_array, np.ndarray]:
    """Coverage (candidates x grids) and people of each grid."""
    random = np.random.default_rng(seed)
    scale = np.sqrt(grids / GRIDS)  # a smaller city is as dense
    side = SIDE_M * scale
    parts = []
    for x, y, spread, share in CORES:
        size = (int(grids * share), 2)
        parts.append(random.normal(0.0, spread * scale, size) + np.array([x, y]) * side)
    rest = grids - sum(map(len, parts))
    villages = random.uniform(0.0, side, (max(rest // 5, 1), 2))
    parts.append(
        villages[random.integers(0, len(villages), rest)] + random.normal(0, 200, (rest, 2))
    )
    where = np.concatenate(parts)
    people = np.maximum(5, np.rint(random.lognormal(np.log(190), 0.6, grids))).astype(np.int64)
    sites = where[random.integers(0, grids, candidates)] + random.normal(0, 130, (candidates, 2))
    pairs = cKDTree(sites).sparse_distance_matrix(
        cKDTree(where), radius_m / DETOUR[0], output_type="coo_matrix"
    )
    walk = pairs.data * random.uniform(*DETOUR, pairs.nnz)
    near = walk <= radius_m
    shape = (candidates, grids)
    coverage = sparse.csr_array((np.ones(near.sum()), (pairs.row[near], pairs.col[near])), shape)
    return coverage, people


def by_highs(
    coverage: sparse.csr_array, people: np.ndarray, count: int, seconds: float
) -> tuple[float, float]:
    """The textbook model to HiGHS as it stands: what is covered, and the bound."""
    size, n_demand = coverage.shape
    number = np.concatenate([np.ones(size), np.zeros(n_demand)])[None, :]
    body = sparse.vstack([_exact.cover_columns(coverage), sparse.csc_array(number)], format="csc")
    cost = np.concatenate([np.zeros(size), -people.astype(float)])
    lower = np.zeros(n_demand + 1)
    upper = np.concatenate([np.full(n_demand, np.inf), [float(count)]])
    solved = _exact.minimise(
        cost, sparse.csc_array(body), lower, upper, whole=size, seconds=seconds
    )
    if solved.values is None:
        return 0.0, -solved.bound
    value = float(people[_cover.reached(coverage, _exact.opened(solved.values, size))].sum())
    return value, value if solved.finished else -solved.bound


def by_us(
    coverage: sparse.csr_array, people: np.ndarray, count: int, seconds: float
) -> tuple[float, float]:
    """Ours."""
    plan = maximal_cover(coverage, people, count, seconds=seconds)
    return plan.objective, plan.bound


def by_spopt(
    coverage: sparse.csr_array, people: np.ndarray, count: int, seconds: float
) -> tuple[float, float]:
    """Spopt's model with PuLP's solver, from a table of costs (0 within reach, 2 beyond)."""
    import pulp
    from spopt.locate import MCLP

    costs = np.where(coverage.T.toarray() > 0, 0.0, 2.0)
    model = MCLP.from_cost_matrix(costs, people.astype(float), 1.0, count)
    model.solve(pulp.PULP_CBC_CMD(msg=False, timeLimit=seconds))
    value = float(pulp.value(model.problem.objective))
    return value, value


Solver = Callable[[sparse.csr_array, np.ndarray, int, float], tuple[float, float]]


def head_to_head(rounds: int, seconds: float) -> None:
    """Time to a proven optimum on 3,000 x 500, p = 30, a new city each round."""
    solvers: dict[str, Solver] = {"ours": by_us, "highs": by_highs}
    if importlib.util.find_spec("spopt"):
        solvers["spopt"] = by_spopt
    ratios: dict[str, list[float]] = {name: [] for name in solvers if name != "ours"}
    print(f"3,000 x 500, p = 30: seconds to the answer (gap), {rounds} rounds")
    for seed in range(1, rounds + 1):
        coverage, people = city(3000, 500, seed=seed)
        took, told = {}, []
        for name, solve in solvers.items():
            begun = time.process_time()
            value, bound = solve(coverage, people, 30, seconds)
            took[name] = time.process_time() - begun
            told.append(f"{name} {took[name]:7.2f} ({100 * (bound - value) / value:.3f} %)")
        for name, known in ratios.items():
            known.append(took[name] / took["ours"])
        print(f"  city {seed}: " + "   ".join(told), flush=True)
    for name, known in ratios.items():
        print(f"  {name} / ours: median {statistics.median(known):.1f}, "
              f"from {min(known):.1f} to {max(known):.1f}")  # fmt: skip


def whole_city(candidates: int, seconds: float, highs: bool) -> None:
    """Gaps after the promised seconds on the whole city."""
    begun = time.perf_counter()
    coverage, people = city(GRIDS, candidates)
    print(
        f"{GRIDS:,} x {candidates:,}, {coverage.nnz:,} pairs ({time.perf_counter() - begun:.1f} s)"
    )
    solvers: dict[str, Solver] = {"ours": by_us, "highs": by_highs} if highs else {"ours": by_us}
    for count in (155, 600):
        for name, solve in solvers.items():
            begun = time.perf_counter()
            value, bound = solve(coverage, people, count, seconds)
            gap = 100.0 * (bound - value) / value if value else float("inf")
            print(f"  p = {count}: {name:6} {value:12,.0f} of at most {bound:12,.0f}, "
                  f"gap {gap:7.3f} %, {time.perf_counter() - begun:5.1f} s",
                  flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("head-to-head", "city"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--with-highs", action="store_true", help="HiGHS alone on the city too")
    asked = parser.parse_args()
    by_us(*city(300, 50), 3, 1.0)  # kernels are compiled before any clock runs
    if asked.only != "city":
        head_to_head(asked.rounds, 120.0)
    if asked.only != "head-to-head":
        whole_city(asked.candidates, asked.seconds, asked.with_highs)


if __name__ == "__main__":
    main()
