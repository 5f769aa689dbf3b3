"""Models and conditions of proposals, against every choice there is of a few candidates."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geo_service.errors import InputError
from geo_service.siting import Conditions, propose_sites

spec = importlib.util.spec_from_file_location(
    "straight_lines", Path(__file__).parent / "straight_lines.py"
)
assert spec is not None
assert spec.loader is not None
straight_lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(straight_lines)
StraightLines, lonlat = straight_lines.StraightLines, straight_lines.lonlat

LIMIT_M = 800.0  # 10 minutes at 4.8 km/h


def spots(seed, count, prefix, **columns):
    random = np.random.default_rng(seed)
    x, y = random.random(count) * 2000, random.random(count) * 2000
    lon, lat = lonlat(x, y)
    ids = [f"{prefix}{k}" for k in range(count)]
    return pd.DataFrame({"id": ids, "lon": lon, "lat": lat, "x": x, "y": y, **columns})


@pytest.fixture(scope="module")
def town():
    random = np.random.default_rng(8)
    demand = spots(
        1, 40, "d", population=random.integers(1, 50, 40),
        code=[f"4110020010{k % 5 + 1:02d}{k // 5 + 1:03d}" for k in range(40)],
    )  # fmt: skip
    candidates = spots(
        2, 9, "c", fixed_cost=random.integers(1, 9, 9) * 100.0,
        code=[f"4110020010{k % 3 + 1:02d}" for k in range(9)],
    )  # fmt: skip
    return demand, candidates, spots(3, 2, "e", code=["411002001001", "411002001005"])


def walk(one, other):
    return math.hypot(one.x - other.x, one.y - other.y)


def times(demand, sites):
    """How many of the sites reach each demand."""
    return [sum(walk(d, s) <= LIMIT_M for s in sites) for d in demand.itertuples()]


def covered(demand, sites):
    return sum(w for w, n in zip(demand["population"], times(demand, sites), strict=True) if n)


def choices(candidates, most):
    rows = list(candidates.itertuples())
    for size in range(most + 1):
        yield from itertools.combinations(rows, size)


def ask(town, *, existing=True, **options):
    demand, candidates, standing = town
    return propose_sites(
        StraightLines(), demand, candidates, minutes=10, seconds=60,
        existing=standing if existing else None, weight_field="population", **options,
    )  # fmt: skip


def test_a_budget(town):
    demand, candidates, standing = town
    there = list(standing.itertuples())
    told = ask(town, conditions=Conditions(budget=900.0))
    best = max(
        covered(demand, [*some, *there])
        for some in choices(candidates, 9)
        if sum(c.fixed_cost for c in some) <= 900
    )
    assert told.proven
    assert told.objective == told.covered_after == best
    price = candidates.set_index("id")["fixed_cost"]
    assert told.cost == sum(price[s["id"]] for s in told.sites) <= 900


def test_at_most_one_a_community_counting_what_exists(town):
    demand, candidates, standing = town
    there = list(standing.itertuples())
    told = ask(town, count=4, conditions=Conditions(at_most_one="community"))
    best = max(
        covered(demand, [*some, *there])
        for some in choices(candidates, 4)
        if len({c.code for c in some}) == len(some) and "411002001001" not in {c.code for c in some}
    )
    assert (told.objective, told.proven) == (best, True)


def test_existing_ones_may_move(town):
    demand, candidates, standing = town
    told = ask(town, count=1, conditions=Conditions(movable=True))
    best = max(
        covered(demand, [*some, *stay])
        for closed in range(3)
        for stay in itertools.combinations(standing.itertuples(), 2 - closed)
        for some in choices(candidates, 1 + closed)
    )
    assert (told.objective, told.proven) == (best, True)
    assert told.covered_after == best
    gone = {c["id"] for c in told.closed}
    stays = [s for s in standing.itertuples() if s.id not in gone]
    sites = {s["id"] for s in told.sites}
    assert covered(demand, [*(c for c in candidates.itertuples() if c.id in sites), *stays]) == best
    assert told.covered_before == covered(demand, list(standing.itertuples()))


def test_two_within_reach(town):
    demand, candidates, standing = town
    told = ask(town, count=2, model="backup")
    best = max(
        sum(
            w
            for w, n in zip(
                demand["population"], times(demand, [*some, *standing.itertuples()]), strict=True
            )
            if n >= 2
        )
        for some in choices(candidates, 2)
    )
    assert (told.aim, told.objective, told.proven) == ("most_weight_twice", best, True)


def test_the_worst_served_tenth_is_what_is_told_beside_it(town):
    told = ask(town, count=2, model="equity")
    plain = ask(town, count=2)
    assert told.aim == "worst_tenth_share"
    assert told.objective == pytest.approx(told.equity["worst_tenth_share_after"])
    assert told.objective >= plain.equity["worst_tenth_share_after"] - 1e-12


def test_the_shortest_longest_walk(town):
    demand, candidates, _ = town
    told = ask(town, existing=False, count=4, model="center")
    reachable = [d for d in demand.itertuples()
                 if any(walk(d, c) <= LIMIT_M for c in candidates.itertuples())]  # fmt: skip
    best = min(
        max(min(walk(d, c) for c in some) for d in reachable)
        for some in choices(candidates, 4)
        if some
    )
    assert told.objective == pytest.approx(best, abs=0.01)


def test_the_least_walking(town):
    demand, candidates, _ = town
    told = ask(town, existing=False, count=4, model="median")
    reachable = [d for d in demand.itertuples()
                 if any(walk(d, c) <= LIMIT_M for c in candidates.itertuples())]  # fmt: skip
    best = min(
        sum(d.population * min(walk(d, c) for c in some) for d in reachable)
        for some in choices(candidates, 4)
        if len(some) == 4 and all(min(walk(d, c) for c in some) <= LIMIT_M for d in reachable)
    )
    assert told.objective == pytest.approx(best, rel=1e-4)


def test_the_least_walking_beside_what_stands(town):
    demand, candidates, standing = town
    told = ask(town, count=3, model="median", must=["c4"], never=["c1"])
    stand = list(standing.itertuples())
    some = candidates[candidates["id"] != "c1"]
    every = [*some.itertuples(), *stand]
    reachable = [d for d in demand.itertuples() if any(walk(d, s) <= LIMIT_M for s in every)]
    best = min(
        sum(d.population * min(walk(d, s) for s in [*new, *stand]) for d in reachable)
        for new in choices(some, 3)
        if len(new) == 3
        and "c4" in [s.id for s in new]
        and all(min(walk(d, s) for s in [*new, *stand]) <= LIMIT_M for d in reachable)
    )
    assert told.objective == pytest.approx(best, rel=1e-4)
    assert "c4" in [site["id"] for site in told.sites]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "code"),
        [({"count": 10}, "too_few_candidates"),
         ({"count": 2, "must": ["c1"], "never": ["c1"]}, "plan_infeasible"),
         ({"count": 1, "must": ["c1", "c2"]}, "plan_infeasible"),
         ({"count": 2, "capacity": 0}, "parameter_invalid"),
         ({"count": 2, "capacity": 5, "model": "equity"}, "parameter_invalid"),
         ({"cover_percent": 100}, "plan_infeasible"),
         ({"cover_percent": 50, "model": "equity"}, "parameter_invalid"),
         ({"count": 2, "model": "best"}, "parameter_invalid"),
         ({"conditions": Conditions(budget=50)}, "plan_infeasible"),
         ({"conditions": Conditions(budget=-1)}, "parameter_invalid"),
         ({"count": 2, "conditions": Conditions(at_most_one="ward")}, "field_missing"),
         ({}, "parameter_invalid")],
    )  # fmt: skip
    def test_each_has_its_code(self, town, options, code):
        demand, candidates, standing = town
        far = demand.copy()
        far.loc[0, ["lon", "lat"]] = [float(v) for v in lonlat(90_000, 90_000)]
        with pytest.raises(InputError) as refused:
            ask((far, candidates, standing), **options)
        assert refused.value.code == code

    def test_no_costs_no_budget(self, town):
        demand, candidates, standing = town
        with pytest.raises(InputError) as refused:
            ask((demand, candidates.drop(columns="fixed_cost"), standing),
                conditions=Conditions(budget=500))  # fmt: skip
        assert refused.value.code == "field_missing"

    def test_twins_and_lakes_are_told(self, town):
        demand, candidates, standing = town
        twin = candidates.iloc[[0]].assign(id="twin")
        lake = candidates.iloc[[1]].assign(id="lake")
        lake[["lon", "lat"]] = [float(v) for v in lonlat(-500, -500)]
        told = ask((demand, pd.concat([candidates, twin, lake]), standing), count=2)
        texts = " ".join(note["en"] for note in told.notes)
        assert "(lake) and reach nobody" in texts
        assert "very place of another one (twin)" in texts
