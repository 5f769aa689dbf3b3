"""Solvers on plain arrays, against brute force, planted optima and published ones."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import floyd_warshall

from geo_service.errors import InputError
from geo_service.siting import (
    Plan,
    _bounds,
    _cover,
    _greedy,
    _swaps,
    maximal_cover,
    p_median,
    set_cover,
)
from geo_service.siting.plans import Clock, Step


def random_cover(seed: int, *, candidates: int = 9, demand: int = 20, share: float = 0.25):
    random = np.random.default_rng(seed)
    table = random.random((candidates, demand)) < share
    return table, random.integers(0, 30, demand)


def city(seed: int, *, demand: int, candidates: int, radius: float):
    """Clustered demand and candidates in a square of side 1; straight-line coverage."""
    random = np.random.default_rng(seed)
    hubs = random.random((12, 2))
    near = hubs[random.integers(0, 12, demand)] + random.normal(0, 0.04, (demand, 2))
    sites = near[random.integers(0, demand, candidates)] + random.normal(0, 0.01, (candidates, 2))
    apart = np.hypot(*(sites[:, None, :] - near[None, :, :]).transpose(2, 0, 1))
    weights = np.maximum(1, np.rint(random.lognormal(5, 0.6, demand))).astype(int)
    return sparse.csr_array((apart <= radius).astype(float)), weights, apart


def covered_weight(table, weights, sites, *, before=None):
    table = np.asarray(table.todense() if sparse.issparse(table) else table, dtype=bool)
    mask = np.zeros(table.shape[1], bool) if before is None else np.asarray(before, bool).copy()
    for site in sites:
        mask |= table[site]
    return sum(float(w) for w, reached in zip(weights, mask, strict=True) if reached)


def best_by_trying(table, weights, count, **options):
    choices = itertools.combinations(range(len(table)), count)
    return max(covered_weight(table, weights, sites, **options) for sites in choices)


def check(plan: Plan) -> None:
    """What holds for every plan for the most weight."""
    assert len(set(plan.sites.tolist())) == len(plan.sites)
    assert plan.bound >= plan.objective
    assert plan.proven == (plan.gap_percent == 0.0) == (plan.status == "optimal")
    assert (np.diff(plan.curve) >= 0).all()
    if len(plan.sites):
        assert plan.curve[-1] == plan.objective


class TestMaximalCover:
    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 4))
    def test_small_plans_are_the_best_there_are(self, seed, count):
        table, weights = random_cover(seed)
        plan = maximal_cover(table, weights, count)
        check(plan)
        assert len(plan.sites) == count
        assert plan.proven
        assert plan.objective == best_by_trying(table, weights, count)
        assert plan.objective == covered_weight(table, weights, plan.sites)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_existing_covered_must_and_never(self, seed):
        table, weights = random_cover(seed, candidates=10)
        before = np.random.default_rng(seed).random(20) < 0.15
        plan = maximal_cover(
            table, weights, 3, existing=[4], covered=before, must=[7], never=[0, 1]
        )
        check(plan)
        there = before | table[4]
        assert plan.sites[0] == 7
        assert not {0, 1, 4} & set(plan.sites.tolist())
        best = max(
            covered_weight(table, weights, (7, *pair), before=there)
            for pair in itertools.combinations([2, 3, 5, 6, 8, 9], 2)
        )
        assert plan.objective == best == plan.bound

    def test_existing_may_be_a_mask(self):
        table, weights = random_cover(3)
        mask = np.isin(np.arange(9), [2, 5])
        by_mask = maximal_cover(table, weights, 2, existing=mask)
        by_number = maximal_cover(table, weights, 2, existing=[2, 5])
        assert by_mask.objective == by_number.objective
        assert by_mask.sites.tolist() == by_number.sites.tolist()

    def test_weights_that_are_not_whole(self):
        table, _ = random_cover(11)
        weights = np.random.default_rng(1).random(20) / 3.0
        plan = maximal_cover(table, weights, 3)
        assert plan.objective == pytest.approx(best_by_trying(table, weights, 3), rel=1e-12)
        assert plan.bound >= plan.objective
        assert plan.proven

    def test_ten_times_the_weights_is_the_same_choice(self):
        coverage, weights, _ = city(5, demand=300, candidates=60, radius=0.06)
        once = maximal_cover(coverage, weights, 6)
        tenfold = maximal_cover(coverage, weights * 10, 6)
        assert once.sites.tolist() == tenfold.sites.tolist()
        assert tenfold.objective == 10 * once.objective

    def test_weight_elsewhere_moves_the_sites(self):
        coverage, weights, _ = city(5, demand=300, candidates=60, radius=0.06)
        before = set(maximal_cover(coverage, weights, 4).sites.tolist())
        elsewhere = np.where(np.arange(300) % 7 == 0, weights * 50, weights // 50)
        assert before != set(maximal_cover(coverage, elsewhere, 4).sites.tolist())

    def test_coverage_never_falls_with_one_more_site(self):
        coverage, weights, _ = city(8, demand=400, candidates=80, radius=0.05)
        reached = [maximal_cover(coverage, weights, k, seconds=3).objective for k in range(1, 8)]
        assert (np.diff(reached) >= 0).all()

    def test_a_planted_optimum_is_found_and_proven(self):
        """40 disjoint good sites among 400 that each cover a part of one of them."""
        random = np.random.default_rng(2)
        good = np.kron(np.eye(40), np.ones(25)) > 0
        parts = good[random.integers(0, 40, 360)] & (random.random((360, 1000)) < 0.7)
        weights = random.integers(1, 100, 1000)
        order = random.permutation(400)
        table = np.vstack([good, parts])[order]
        best = np.sort(good @ weights)[::-1][:15].sum()
        plan = maximal_cover(sparse.csr_array(table), weights, 15)
        assert plan.objective == best == plan.bound

    def test_a_city_is_solved_the_same_again_and_to_a_small_gap(self):
        coverage, weights, _ = city(1, demand=1500, candidates=250, radius=0.05)
        plans = [maximal_cover(coverage, weights, 20, seconds=6, seed=4) for _ in range(2)]
        check(plans[0])
        assert plans[0].gap_percent < 1.0
        if all(plan.status != "time_limit" for plan in plans):
            assert plans[0].sites.tolist() == plans[1].sites.tolist()

    def test_the_order_of_demand_does_not_matter(self):
        coverage, weights, _ = city(9, demand=200, candidates=40, radius=0.06)
        order = np.random.default_rng(0).permutation(200)
        one = maximal_cover(coverage, weights, 4)
        other = maximal_cover(coverage[:, order], weights[order], 4)
        assert one.proven
        assert one.objective == other.objective

    def test_sites_come_in_building_order(self):
        coverage, weights, _ = city(4, demand=300, candidates=50, radius=0.07)
        plan = maximal_cover(coverage, weights, 5)
        sums = [covered_weight(coverage, weights, plan.sites[:k]) for k in range(1, 6)]
        gains = np.diff([0.0, *sums])
        assert (np.diff(gains) <= 0).all()
        assert (plan.curve >= np.array(sums)).all()

    def test_more_sites_than_are_useful_fill_up_the_count(self):
        plan = maximal_cover(np.eye(5)[:, :2], [3, 4], 4)
        assert plan.sites.tolist()[:2] == [1, 0]
        assert len(plan.sites) == 4
        assert plan.objective == 7.0
        assert plan.proven

    @pytest.mark.parametrize("shape", [(3, 0), (3, 4)])
    def test_nothing_to_cover(self, shape):
        plan = maximal_cover(np.zeros(shape), np.ones(shape[1]), 2)
        assert plan.objective == plan.bound == 0.0
        assert len(plan.sites) == 2

    def test_no_site_wanted(self):
        plan = maximal_cover(np.eye(3), [1, 2, 3], 0, existing=[1])
        assert plan.sites.tolist() == []
        assert plan.objective == plan.bound == 2.0

    def test_refusals(self):
        with pytest.raises(InputError) as refused:
            maximal_cover(np.eye(3), [1, 1, 1], 4)
        assert refused.value.code == "too_few_candidates"
        for weights in ([1, -1, 1], [1, np.nan, 1], [1, np.inf, 1], [1, 1]):
            with pytest.raises(InputError) as refused:
                maximal_cover(np.eye(3), weights, 1)
            assert refused.value.code == "parameter_invalid"
        for options in ({"must": [3]}, {"never": [-1]}, {"seconds": 0}, {"covered": [True]}):
            with pytest.raises(InputError) as refused:
                maximal_cover(np.eye(3), [1, 1, 1], 1, **options)
            assert refused.value.code == "parameter_invalid"
        for options in ({"must": [0, 1]}, {"must": [0], "never": [0]}):
            with pytest.raises(InputError) as refused:
                maximal_cover(np.eye(3), [1, 1, 1], 1, **options)
            assert refused.value.code == "plan_infeasible"

    def test_the_promised_time_is_kept_and_a_cut_is_said(self):
        coverage, weights, _ = city(3, demand=4000, candidates=1200, radius=0.05)
        maximal_cover(coverage[:30], weights, 3, seconds=1)  # compiled before the clock runs
        begun = time.perf_counter()
        plan = maximal_cover(coverage, weights, 60, seconds=0.3)
        assert time.perf_counter() - begun < 6.0
        check(plan)
        assert plan.objective == covered_weight(coverage, weights, plan.sites)

    def test_progress_is_told_and_can_stop_the_work(self):
        coverage, weights, _ = city(3, demand=500, candidates=100, radius=0.05)

        def stop(share: float, step: str) -> None:
            assert 0.0 <= share <= 1.0
            raise KeyboardInterrupt(step)

        with pytest.raises(KeyboardInterrupt):
            maximal_cover(coverage, weights, 20, on_progress=stop)

    def test_steps_tell_the_best_and_its_bound_while_they_run(self):
        coverage, weights, _ = city(3, demand=4000, candidates=1200, radius=0.05)
        told: list[tuple[float, Step]] = []
        plan = maximal_cover(
            coverage, weights, 60, seconds=3, on_progress=lambda *one: told.append(one)
        )
        assert [share for share, _ in told] == sorted(share for share, _ in told)
        assert told[-1] == (1.0, "done")
        steps = [step for _, step in told if step.best is not None]
        assert {"swaps", "bound"} <= set(steps)
        for step in steps:  # nothing told on the way is better, or bounded tighter, than the end
            assert step.best <= plan.objective <= plan.bound <= step.bound
        best = [step.best for step in steps]
        assert best == sorted(best)
        assert len(told) > len(set(told))  # a step is told again while it runs

    def test_work_stops_in_the_middle_of_a_step(self):
        coverage, weights, _ = city(3, demand=4000, candidates=1200, radius=0.05)
        told: list[str] = []

        def stop(share: float, step: str) -> None:
            if told.count("swaps") == 3:
                raise KeyboardInterrupt
            told.append(step)

        with pytest.raises(KeyboardInterrupt):
            maximal_cover(coverage, weights, 60, seconds=20, on_progress=stop)
        assert told[-1] == "swaps"


class TestSteps:
    def test_reducing_keeps_what_every_choice_is_worth(self):
        for seed in range(30):
            table, weights = random_cover(seed, candidates=12, demand=40, share=0.2)
            table[5] = table[2] & table[7]  # dominated
            table[:, 9] = table[:, 3]  # twins
            rows = _cover.matrix(table)
            cover = _cover.reduce(rows, weights, np.arange(12))
            assert 5 not in cover.candidates
            for pair in itertools.combinations(range(len(cover.candidates)), 2):
                told = cover.covered(np.array(pair))
                assert told == covered_weight(table, weights, cover.candidates[list(pair)])
            assert cover.total == covered_weight(table, weights, range(12))

    def test_lazy_greedy_is_the_plain_greedy(self):
        for seed in range(20):
            table, weights = random_cover(seed, candidates=15, demand=30)
            order, gains = _greedy.choose(_cover.matrix(table), weights, 6)
            left = weights.astype(float).copy()
            for row, gain in zip(order, gains, strict=True):
                worth = table @ left
                assert worth.argmax() == row
                assert worth.max() == gain
                left[table[row]] = 0

    def test_any_multipliers_bound_the_best_plan(self):
        for seed in range(20):
            table, weights = random_cover(seed)
            cover = _cover.reduce(_cover.matrix(table), weights, np.arange(9))
            for steps in (1, 5, 200):
                bound = _bounds.most_weight(cover, 2, 0, steps=steps, clock=Clock(10))
                assert bound.value >= best_by_trying(table, weights, 2)

    def test_ruled_out_candidates_are_in_no_better_plan(self):
        for seed in range(20):
            table, weights = random_cover(seed)
            cover = _cover.reduce(_cover.matrix(table), weights, np.arange(9))
            if len(cover.candidates) < 4:
                continue
            bound = _bounds.most_weight(cover, 2, 0, steps=200, clock=Clock(10))
            known = int(best_by_trying(table, weights, 2)) - 1  # so one plan is better
            never, always = _bounds.fixed_by(cover, 2, bound, known)
            for pair in itertools.combinations(range(len(cover.candidates)), 2):
                if cover.covered(np.array(pair)) > known:
                    assert not never[list(pair)].any()
                    assert set(np.flatnonzero(always)) <= set(pair)

    def test_swaps_keep_the_books_and_never_make_it_worse(self):
        coverage, weights, _ = city(2, demand=600, candidates=120, radius=0.05)
        cover = _cover.reduce(_cover.matrix(coverage), weights, np.arange(120))
        start, _ = _greedy.choose(cover.rows, cover.weights, 15)
        better = _swaps.anneal(cover, start, proposals=30_000, seed=1, clock=Clock(20))
        assert len(set(better.tolist())) == 15
        assert cover.covered(better) >= cover.covered(start)
        # The search stops at a target by its own books: they must agree with a recount.
        target = cover.covered(better)
        reached = _swaps.anneal(
            cover, start, proposals=30_000, seed=1, clock=Clock(20), target=target
        )
        assert cover.covered(reached) >= target


class TestSetCover:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_small_covers_are_the_fewest(self, seed):
        table, _ = random_cover(seed, share=0.3)
        table = table[:, table.any(axis=0)]
        plan = set_cover(table)
        assert table[plan.sites].any(axis=0).all()
        fewest = next(
            count
            for count in range(1, 10)
            if any(
                table[list(c)].any(axis=0).all() for c in itertools.combinations(range(9), count)
            )
        )
        assert plan.objective == plan.bound == len(plan.sites) == fewest
        assert plan.status == "optimal"

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), share=st.floats(0.2, 0.9))
    def test_a_share_of_the_weight(self, seed, share):
        table, weights = random_cover(seed, share=0.3)
        weights = np.where(table.any(axis=0), weights + 1, 0)
        plan = set_cover(table, weights=weights, cover_share=share)
        wanted = share * weights.sum()
        assert covered_weight(table, weights, plan.sites) >= wanted * (1 - 1e-12)
        fewest = next(
            count for count in range(1, 10) if best_by_trying(table, weights, count) >= wanted
        )
        assert plan.objective == plan.bound == fewest

    def test_a_city_needs_no_more_than_greedy_and_a_bound_says_how_many(self):
        coverage, _, _ = city(6, demand=800, candidates=200, radius=0.06)
        coverage = coverage[:, np.flatnonzero(coverage.sum(axis=0) > 0)]
        plan = set_cover(coverage, seconds=6)
        greedy, _ = _greedy.choose(coverage, np.ones(coverage.shape[1], dtype=np.int64), 200)
        assert len(plan.sites) <= len(greedy)
        assert (coverage[plan.sites].sum(axis=0) > 0).all()
        assert plan.bound <= plan.objective <= 1.05 * plan.bound

    def test_covered_must_and_never(self):
        table = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
        assert set_cover(table).sites.tolist() == [3]
        assert sorted(set_cover(table, never=[3]).sites.tolist()) == [0, 2]
        assert set_cover(table, covered=[True] * 3 + [False], never=[3]).sites.tolist() == [2]
        assert set_cover(table, must=[1]).sites.tolist() == [1, 3]
        assert set_cover(table, covered=[True] * 4).sites.tolist() == []

    def test_refusals(self):
        with pytest.raises(InputError) as refused:
            set_cover(np.array([[1, 0], [1, 0]]))
        assert refused.value.code == "plan_infeasible"
        assert "50.0000 %" in refused.value.message("en")
        with pytest.raises(InputError) as refused:
            set_cover(np.eye(2), cover_share=0)
        assert refused.value.code == "parameter_invalid"


class TestMedian:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 4))
    def test_small_medians_are_the_best(self, seed, count):
        random = np.random.default_rng(seed)
        cost = random.integers(0, 50, (8, 15)).astype(float)
        weights = random.integers(0, 9, 15)
        plan = p_median(cost, weights, count, seconds=2)
        best = min(
            float((cost[list(c)].min(axis=0) * weights).sum())
            for c in itertools.combinations(range(8), count)
        )
        assert plan.objective == best == plan.bound
        assert plan.objective == float((cost[plan.sites].min(axis=0) * weights).sum())
        assert (np.diff(plan.curve) <= 0).all()
        assert plan.curve[-1] == plan.objective

    def test_costs_that_are_not_whole(self):
        _, weights, apart = city(2, demand=120, candidates=30, radius=0.05)
        plan = p_median(apart, weights, 5, seconds=4)
        assert plan.bound <= plan.objective
        assert plan.gap_percent < 1.0
        assert plan.objective == pytest.approx((apart[plan.sites].min(axis=0) * weights).sum())

    def test_a_pair_that_is_not_stored_cannot_be_served(self):
        rows, columns = [0, 0, 1, 1, 2], [0, 1, 1, 2, 2]
        cost = sparse.csr_array(([0.0, 1.0, 0.0, 5.0, 0.0], (rows, columns)), shape=(3, 3))
        plan = p_median(cost, None, 2)
        assert sorted(plan.sites.tolist()) == [0, 2]
        assert plan.objective == 1.0
        with pytest.raises(InputError) as refused:
            p_median(cost, None, 1)
        assert refused.value.code == "plan_infeasible"

    def test_refusals(self):
        with pytest.raises(InputError) as refused:
            p_median(np.ones((2, 2)), None, 3)
        assert refused.value.code == "too_few_candidates"
        for cost, count in (([[1, -1]], 1), ([[np.nan]], 1), ([[1.0]], 0)):
            with pytest.raises(InputError) as refused:
                p_median(cost, None, count)
            assert refused.value.code == "parameter_invalid"

    @pytest.mark.real
    @pytest.mark.slow
    @pytest.mark.parametrize("number", [1, 2, 5, 6, 10, 15, 20])
    def test_published_optima_are_reached(self, real_data: Path, number: int):
        folder = real_data / "siting" / "orlib"
        optima = dict(line.split()[:2] for line in (folder / "optima.txt").read_text().splitlines())
        lines = (folder / f"pmed{number}.txt").read_text().split("\n")
        (n_nodes, _, count), *edges = [list(map(int, x.split())) for x in lines if x.strip()]
        length = np.full((n_nodes, n_nodes), np.inf)
        np.fill_diagonal(length, 0.0)
        for one, other, cost in edges:  # of a repeated edge the last cost counts
            length[one - 1, other - 1] = length[other - 1, one - 1] = cost
        walks = floyd_warshall(length)
        plan = p_median(walks, None, count)
        assert plan.objective == float(optima[f"pmed{number}"])
        assert plan.objective == walks[plan.sites].min(axis=0).sum()
        assert plan.bound <= plan.objective
        assert plan.gap_percent < 0.5
