"""Siting beside its peers and on cities of the published family.

    python scripts/bench/siting                            # every row below, small
    python scripts/bench/siting --only head-to-head --rounds 5
    python scripts/bench/siting --only city --candidates 5000 --seconds 10
    python scripts/bench/siting --only capacity --seconds 60
    python scripts/bench/siting --only orlib --data FOLDER   # pmed*.txt and optima.txt

Head to head: 3,000 x 500, p = 30, a new city each round, ours and spopt (`pip install spopt`; with
its usual solver) in turn to the same proven optimum, in CPU seconds, those of solvers included.
On the whole city gaps are printed with the wall-clock seconds promised, the CPU seconds got and the
load of the machine: where others work beside, fewer CPU seconds stand behind the same promise.
Fewest: set covering beside a row-weighting local search of its own (`row_weights`).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import family
import numpy as np
import row_weights
from scipy.sparse.csgraph import floyd_warshall

from geo_service.siting import capacitated_cover, maximal_cover, p_median, set_cover

ROWS = ("head-to-head", "city", "capacity", "fewest", "orlib")


def cpu() -> float:
    """CPU seconds of this process and of the solvers it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def clocked(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What work gives, its CPU and wall-clock seconds."""
    began, started = cpu(), time.perf_counter()
    answer = work()
    return answer, cpu() - began, time.perf_counter() - started


def warm() -> None:
    """Compile every kernel before any clock runs."""
    town = family.make(60, grids=400, seed=9)
    maximal_cover(town.coverage, town.people, 5, seconds=120)
    capacitated_cover(town.coverage, town.people, 4000, 5, seconds=20)
    some = np.flatnonzero(np.diff(town.coverage.tocsc().indptr))
    set_cover(town.coverage[:, some], seconds=20)


def by_spopt(town: family.Town, count: int) -> float:
    """Spopt's model from its table of costs (0 within reach, 2 beyond)."""
    import pulp
    from spopt.locate import MCLP

    costs = np.where(town.coverage.T.toarray() > 0, 0.0, 2.0)
    model = MCLP.from_cost_matrix(costs, town.people.astype(float), 1.0, count)
    model.solve(pulp.PULP_CBC_CMD(msg=False))
    return float(pulp.value(model.problem.objective))


def head_to_head(rounds: int) -> None:
    with_peer = importlib.util.find_spec("spopt") is not None
    ratios = []
    for seed in range(1, rounds + 1):
        town = family.make(500, grids=3000, seed=seed)
        plan, ours, _ = clocked(lambda town=town: maximal_cover(
            town.coverage, town.people, 30, seconds=120))  # fmt: skip
        line = f"head-to-head {seed}: ours {plan.objective:,.0f} {plan.status} {ours:.2f} s CPU"
        if with_peer:
            value, theirs, _ = clocked(lambda town=town: by_spopt(town, 30))
            ratios.append(theirs / ours)
            line += f"; spopt {value:,.0f} {theirs:.1f} s CPU, {theirs / ours:.1f}x"
        print(line, flush=True)
    if ratios:
        print(f"head-to-head: median {statistics.median(ratios):.1f}x, from {min(ratios):.1f} to "
              f"{max(ratios):.1f} (target 20)")  # fmt: skip


def told(name: str, plan: Any, spent: float, took: float) -> None:
    print(f"{name}: {plan.objective:,.0f}, bound {plan.bound:,.0f}, gap {plan.gap_percent:.3f} %"
          f" ({plan.status}), {took:.1f} s, of it {spent:.1f} s CPU, load {os.getloadavg()[0]:.1f}",
          flush=True)  # fmt: skip


def city(candidates: int, seconds: float) -> None:
    town = family.make(candidates)
    for count in (155, 600):
        steps: list[str] = []
        began = time.perf_counter()
        plan, spent, took = clocked(lambda count=count, steps=steps, began=began: maximal_cover(
            town.coverage, town.people, count, seconds=seconds,
            on_progress=lambda share, step: steps.append(
                f"{time.perf_counter() - began:.1f} s {step}"),
        ))  # fmt: skip
        told(f"18,936 x {candidates:,}, p = {count}", plan, spent, took)
        print("   " + ", ".join(steps))


def capacity(seconds: float) -> None:
    town = family.make(2000)
    for count, room in ((155, 15_000), (600, 5000)):
        plan, spent, took = clocked(lambda count=count, room=room: capacitated_cover(
            town.coverage, town.people, room, count, seconds=seconds))  # fmt: skip
        told(f"capacity {room:,}, p = {count} (target 2 %)", plan, spent, took)


def fewest(candidates: int, seconds: float) -> None:
    """Set covering beside a row-weighting search that gets the CPU seconds ours took."""
    town = family.make(candidates)
    table = town.coverage[:, np.flatnonzero(np.diff(town.coverage.tocsc().indptr))]
    row_weights.fewest(table[:50, table[:50].indices[:1]], seconds=0.01, seed=0)  # compiled
    plan, spent, took = clocked(lambda: set_cover(table, seconds=seconds))
    told("fewest sites for all within reach", plan, spent, took)
    for seed in range(3):
        theirs = row_weights.fewest(table, seconds=spent, seed=seed)
        assert np.diff(table[theirs].tocsc().indptr).all()
        print(f"   row weighting, seed {seed}: {len(theirs)} sites, {spent:.1f} s CPU", flush=True)


def orlib(folder: Path, seconds: float) -> None:
    """The p-median problems of OR-Library (Beasley 1985) against their published optima."""
    optima = dict(line.split()[:2] for line in (folder / "optima.txt").read_text().splitlines())
    reached = 0
    files = sorted(folder.glob("pmed*.txt"), key=lambda file: int(file.stem[4:]))
    for file in files:
        (size, _, count), *edges = [
            list(map(int, line.split())) for line in file.read_text().split("\n") if line.strip()
        ]
        length = np.full((size, size), np.inf)
        np.fill_diagonal(length, 0.0)
        for one, other, cost in edges:  # of a repeated edge the last cost counts
            length[one - 1, other - 1] = length[other - 1, one - 1] = cost
        walks = floyd_warshall(length)
        plan, spent, took = clocked(lambda walks=walks, count=count: p_median(
            walks, None, count, seconds=seconds))  # fmt: skip
        reached += plan.objective == float(optima[file.stem])
        told(f"{file.stem} (optimum {optima[file.stem]})", plan, spent, took)
    print(f"orlib: {reached} of {len(files)} published optima reached")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--data", type=Path, help="folder of OR-Library's pmed files")
    asked = parser.parse_args()
    rows = asked.only or ROWS
    warm()
    if "head-to-head" in rows:
        head_to_head(asked.rounds)
    if "city" in rows:
        city(asked.candidates, asked.seconds)
    if "capacity" in rows:
        capacity(asked.seconds)
    if "fewest" in rows:
        fewest(asked.candidates, asked.seconds)
    if "orlib" in rows and asked.data:
        orlib(asked.data, asked.seconds)


if __name__ == "__main__":
    main()
