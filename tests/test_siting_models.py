"""Every siting model against brute force on small random cases, and its refusals."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow

from geo_service.errors import InputError
from geo_service.siting import (
    Kind,
    Rules,
    _ruled,
    backup_cover,
    capacitated_cover,
    capacitated_set_cover,
    equitable_cover,
    joint_cover,
    maximal_cover,
    p_center,
    p_median,
    set_cover,
)
from geo_service.siting.plans import Step


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Kernels are compiled before any clock runs."""
    table = np.eye(6, 9) + np.eye(6, 9, 2)
    maximal_cover(table, np.ones(9), 2, seconds=60)
    set_cover(table[:, :8], rules=Rules(costs=np.ones(6), budget=6), seconds=60)
    many = np.random.default_rng(1).random((60, 240)) < 0.05
    for _ in range(3):  # its last loops too
        capacitated_cover(many, np.arange(240) % 19 + 1, 150, 12, seconds=1)
    p_center(np.random.default_rng(0).random((9, 40)), 2, seconds=60)


def refused(function, *args, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        function(*args, **options)
    return caught.value


class Town:
    """Nine candidates, two of them open, one of which may move; prices, communities, townships."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.table = random.random((9, 18)) < 0.3
        self.weights = random.integers(0, 30, 18)
        self.costs = random.integers(1, 10, 9) * 1.5
        self.community = random.integers(0, 5, 9).tolist() if seed % 2 else None
        self.township = random.integers(0, 3, 9).tolist() if seed % 5 < 3 else None
        self.must = [3] if seed % 3 == 0 else []
        self.never = [5] if seed % 2 else []
        self.budget = 15.0
        closing = np.zeros(9)
        closing[1] = [2.5, -3.0][seed % 2]
        self.closing = float(closing[1])
        self.rules = Rules(
            costs=self.costs,
            budget=self.budget,
            at_most_one=self.community,
            at_least_one=self.township,
            movable=[1],
            closing_costs=closing,
        )
        self.options = {"existing": [0, 1], "must": self.must, "never": self.never}

    def plans(self, count: int | None):
        """Every choice that keeps to the rules: new sites, whether 1 stays, open sites, money."""
        sets = itertools.chain.from_iterable(
            itertools.combinations(range(2, 9), size) for size in range(8)
        )
        for new, stays in itertools.product(sets, (True, False)):
            money = self.costs[list(new)].sum() + (0.0 if stays else self.closing)
            open_now = [0, *([1] if stays else []), *new]
            if set(self.never) & set(new) or not set(self.must) <= set(new):
                continue
            if money > self.budget or (count is not None and len(new) > count + (not stays)):
                continue
            if self.community is not None:
                labels = [self.community[site] for site in open_now]
                if len(set(labels)) < len(labels):
                    continue
            if self.township is not None and set(self.township) != {
                self.township[site] for site in open_now
            }:
                continue
            yield new, stays, open_now, money

    def worth(self, open_now, once: float = 1.0) -> float:
        times = self.table[open_now].sum(axis=0)
        twice, single = self.weights[times >= 2].sum(), self.weights[times == 1].sum()
        return float(twice + once * single)

    def check(self, plan, count: int | None) -> list[int]:
        """See that a plan keeps to the rules, and give what is open then."""
        stays = 1 not in plan.closed
        key = tuple(sorted(plan.sites.tolist())), stays
        known = {(new, kept): money for new, kept, _, money in self.plans(count)}
        assert key in known
        assert plan.cost == pytest.approx(known[key], abs=1e-9)
        return [0, *([1] if stays else []), *plan.sites.tolist()]


class TestRules:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), count=st.sampled_from([None, 2, 3]))
    def test_most_weight_and_backup(self, seed, count):
        town = Town(seed)
        plans = list(town.plans(count))
        for once in (1.0, 0.0, 0.25, 0.6):
            ask = {"rules": town.rules, "seconds": 5, **town.options}
            if once == 1.0:
                model, extra = maximal_cover, {}
            else:
                model, extra = backup_cover, {"once": once}
            if not plans:
                code = refused(model, town.table, town.weights, count, **ask, **extra).code
                assert code == "plan_infeasible"
                continue
            plan = model(town.table, town.weights, count, **ask, **extra)
            best = max(town.worth(open_now, once) for _, _, open_now, _ in plans)
            assert plan.proven
            assert plan.objective == pytest.approx(best, abs=1e-9)
            assert town.worth(town.check(plan, count), once) == pytest.approx(best, abs=1e-9)

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), by=st.sampled_from(["sites", "cost"]))
    def test_fewest_sites_and_least_money_for_a_share(self, seed, by):
        town = Town(seed)
        wanted = 0.7 * town.weights.sum()
        plans = [one for one in town.plans(None) if town.worth(one[2]) >= wanted]
        ask = {"weights": town.weights, "cover_share": 0.7, "rules": town.rules, "minimise": by}
        if not plans:
            error = refused(set_cover, town.table, seconds=5, **ask, **town.options)
            assert error.code == "plan_infeasible"
            return
        plan = set_cover(town.table, seconds=5, **ask, **town.options)
        best = min(len(new) + stays if by == "sites" else money for new, stays, _, money in plans)
        assert plan.proven
        assert plan.objective == pytest.approx(best, abs=1e-9)
        assert town.worth(town.check(plan, None)) >= wanted

    def test_refusals_say_what_would_do(self):
        table, weights = np.eye(4), np.ones(4)

        def said(count=2, **rules):
            options = {key: rules.pop(key) for key in ("must", "existing") if key in rules}
            error = refused(maximal_cover, table, weights, count, rules=Rules(**rules), **options)
            return error.code, error.message("en")

        code, text = said(costs=[5, 6, 7, 8], budget=4)
        assert code == "plan_infeasible"
        assert "the cheapest candidate costs 5" in text
        assert "cost 15" in said(costs=[5, 6, 7, 8], budget=12, must=[2, 3])[1]
        assert "no candidate to choose: x" in said(at_least_one=["a"] * 4, groups=["a", "x"])[1]
        assert "need 4 sites, the count allows 2" in said(at_least_one=list("abcd"))[1]
        costly = said(count=4, costs=[5, 5, 5, 5], budget=11, at_least_one=list("abcd"))[1]
        assert "cost 20, the budget leaves 11" in costly
        assert "“a” may have one site" in said(at_most_one=list("aabb"), must=[0, 1])[1]
        assert said(budget=3)[0] == said(costs=[1, -1, 1, 1])[0] == "parameter_invalid"
        assert said(costs=[1, 2])[0] == said(at_most_one=["a"])[0] == "parameter_invalid"
        assert said(movable=[0])[0] == "parameter_invalid"

    def test_a_share_out_of_reach_names_the_most_and_who_is_left(self):
        error = refused(set_cover, np.array([[1, 0, 1], [1, 0, 0]]), weights=[5, 3, 2])
        assert error.details["reachable_percent"] == 70.0
        assert error.details["uncoverable"] == [1]
        within = Rules(costs=[4, 4, 4], budget=8)
        error = refused(set_cover, np.eye(3), rules=within)
        assert error.details["reachable_percent"] == pytest.approx(66.6666)
        assert "66.6667 % at most" in error.message("en")


class TestSteps:
    """What every model tells while it works, and how much it tries."""

    @staticmethod
    def models():
        random = np.random.default_rng(4)
        table = random.random((40, 160)) < 0.08
        table[random.integers(0, 40, 160), np.arange(160)] = True
        weights = random.integers(1, 40, 160)
        walks = np.where(table, random.random((40, 160)), np.inf)
        groups = random.integers(0, 9, 160).tolist()
        rules = Rules(costs=random.integers(1, 9, 40), budget=25)
        kinds = [Kind(table, weights, 4), Kind(table[::-1], weights, 3)]
        return {
            "cover": lambda **how: maximal_cover(table, weights, 6, **how),
            "cover under rules": lambda **how: maximal_cover(
                table, weights, None, rules=rules, **how),
            "backup": lambda **how: backup_cover(table, weights, 6, once=0.3, **how),
            "fewest": lambda **how: set_cover(table, weights=weights, must=[1], **how),
            "fewest for a share": lambda **how: set_cover(
                table, weights=weights, cover_share=0.8, must=[1], **how),
            "cheapest": lambda **how: set_cover(
                table, weights=weights, cover_share=0.7, must=[1], minimise="cost",
                rules=Rules(costs=random.integers(1, 9, 40)), **how),
            "equity": lambda **how: equitable_cover(table, weights, 6, groups, **how),
            "center": lambda **how: p_center(walks, 25, **how),
            "median": lambda **how: p_median(walks, weights, 25, **how),
            "capacity": lambda **how: capacitated_cover(table, weights, 300, 9, **how),
            "fewest with capacity": lambda **how: capacitated_set_cover(
                table, weights, 300, cover_share=0.6, must=[1], **how),
            "joint": lambda **how: joint_cover(kinds, **how),
        }  # fmt: skip

    @pytest.mark.parametrize("name", list(models()))
    def test_steps_close_in_on_the_plan_and_end_with_it(self, name):
        told: list[tuple[float, Step]] = []
        plan = self.models()[name](seconds=3, on_progress=lambda *one: told.append(one))
        assert [share for share, _ in told] == sorted(share for share, _ in told)
        steps = [step for _, step in told if step.best is not None]
        assert (steps[-1], steps[-1].best, steps[-1].bound) == ("done", plan.objective, plan.bound)
        assert len({str(step) for step in steps}) > 1
        least = {"cheapest", "center", "median"}
        sign = -1 if name.startswith("fewest") or name in least else 1
        best = [sign * step.best for step in steps]
        assert best == sorted(best)
        for step in steps:
            if step.bound is not None:
                assert sign * step.bound >= sign * plan.bound
                assert sign * step.best <= sign * plan.objective

    @pytest.mark.parametrize("name", ["equity", "cover under rules"])
    def test_how_much_is_tried_does_not_follow_from_how_fast_it_went(self, name, monkeypatch):
        tried: list[int] = []
        anneal, bound = _ruled.anneal, _ruled.most_worth
        monkeypatch.setattr(_ruled, "_EASY_ENTRIES", 0)  # so that long searches are made,
        monkeypatch.setattr(_ruled, "_PROPOSALS_PER_SECOND", 1000)  # and no clock cuts them
        monkeypatch.setattr(
            _ruled, "anneal",
            lambda *one, **how: tried.append(how["proposals"]) or anneal(*one, **how),
        )  # fmt: skip
        monkeypatch.setattr(
            _ruled, "most_worth",
            lambda *one, **how: tried.append(how["steps"]) or bound(*one, **how),
        )  # fmt: skip
        fast = self.models()[name](seconds=60)
        first, tried[:] = tried.copy(), []
        slow = self.models()[name](seconds=60, on_progress=lambda *_: time.sleep(0.02))
        assert tried == first
        assert tried
        assert slow.sites.tolist() == fast.sites.tolist()


class TestJoint:
    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_two_kinds_share_premises_as_well_as_possible(self, seed):
        random = np.random.default_rng(seed)
        kinds = [
            Kind(
                random.random((5, 8)) < 0.4,
                random.integers(1, 20, 8),
                2,
                costs=random.integers(1, 4, 5),
                existing=[0] if seed % 2 else [],
                never=[4] if number and seed % 3 == 0 else [],
                share=[1, 0.5][number],
            )
            for number in range(2)
        ]
        premises = random.integers(2, 6, 5) + 0.25
        budget, most = [9, 14.5, 20][seed % 3], 1 if seed % 4 == 0 else None
        held = {0} if seed % 2 else set()
        best = 0.0
        few = [pair for size in range(3) for pair in itertools.combinations(range(5), size)]
        for choice in itertools.product(few, few):
            money, worth, barred = 0.0, 0.0, False
            for kind, sites in zip(kinds, choice, strict=True):
                barred |= bool(set(sites) & (set(kind.never) | set(kind.existing)))
                money += np.asarray(kind.costs)[list(sites)].sum()
                reach = np.asarray(kind.coverage)[[*sites, *kind.existing]].any(axis=0)
                worth += kind.share * np.asarray(kind.weights)[reach].sum()
            money += sum(premises[site] for site in set().union(*choice) - held)
            if most is not None:
                full = 2 if held else 0
                barred |= any(
                    sum(site in sites for sites in choice) > max(most - full * (site in held), 0)
                    for site in range(5)
                )
            if not barred and money <= budget:
                best = max(best, worth)
        plan = joint_cover(
            kinds, premise_costs=premises, budget=budget, per_premise=most, seconds=60
        )
        assert plan.proven
        assert plan.objective == pytest.approx(best)
        assert plan.cost <= budget

    def test_refusals(self):
        kind = Kind(np.eye(2), [1, 1], 1, costs=[3, 3])
        assert refused(joint_cover, [kind], budget=2).code == "plan_infeasible"
        other = Kind(np.eye(3), [1, 1, 1], 1)
        assert refused(joint_cover, [kind, other]).code == "parameter_invalid"


class TestEquity:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), part=st.sampled_from([0.0, 0.1, 0.3, 1.0]))
    def test_the_worst_served_part_gets_the_most_it_can(self, seed, part):
        random = np.random.default_rng(seed)
        table, weights = random.random((8, 20)) < 0.35, random.integers(0, 30, 20)
        group = random.integers(0, 6, 20)

        def worst(sites) -> float:
            reach = table[list(sites)].any(axis=0)
            rows = []
            for label in set(group.tolist()):
                size = weights[group == label].sum()
                if size:
                    rows.append((weights[(group == label) & reach].sum() / size, size))
            rows.sort()
            if part == 0.0:
                return rows[0][0]
            left, got = part * weights.sum(), 0.0
            for share, size in rows:
                taken = min(left, size)
                got, left = got + taken * share, left - taken
            return got / (part * weights.sum())

        best = max(worst((0, *sites)) for sites in itertools.combinations(range(1, 8), 3))
        plan = equitable_cover(table, weights, 3, group, worst_part=part, existing=[0], seconds=4)
        assert plan.proven
        assert plan.objective == pytest.approx(best, abs=1e-9)
        assert worst([0, *plan.sites]) == pytest.approx(best, abs=1e-9)

    def test_refusals(self):
        for options in ({"groups": ["a"]}, {"groups": ["a"] * 2, "worst_part": 2}):
            assert refused(equitable_cover, np.eye(2), [1, 1], 1, **options).code == (
                "parameter_invalid"
            )


class TestCenter:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), ruled=st.booleans())
    def test_the_longest_walk_is_as_short_as_it_can_be(self, seed, ruled):
        random = np.random.default_rng(seed)
        walks = random.integers(0, 99, (8, 20)).astype(float)
        walks[random.random((8, 20)) < 0.2] = np.inf
        best = min(
            walks[[0, *sites]].min(axis=0).max()
            for sites in itertools.combinations([1, 2, 3, 5, 6, 7], 2)
        )
        rules = Rules(costs=np.ones(8), budget=2) if ruled else None
        ask = {"existing": [0], "never": [4], "rules": rules, "seconds": 4}
        if not np.isfinite(best):
            assert refused(p_center, walks, 2, **ask).code == "plan_infeasible"
            return
        plan = p_center(walks, 2, **ask)
        assert plan.proven
        assert plan.objective == plan.bound == best == plan.curve[-1]
        assert walks[[0, *plan.sites]].min(axis=0).max() == best


class TestCapacity:
    @settings(max_examples=6, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_small_plans_serve_the_most_and_are_the_fewest(self, seed):
        random = np.random.default_rng(seed)
        table, weights = random.random((7, 12)) < 0.4, random.integers(0, 20, 12)
        room = random.integers(5, 45, 7)

        def served(sites) -> int:
            """A maximum flow, worked out afresh: source, sites, demand, sink."""
            graph = np.zeros((21, 21), dtype=np.int32)
            for site in sites:
                graph[0, 1 + site] = room[site]
                graph[1 + site, 8:20] = np.where(table[site], weights, 0)
            graph[8:20, 20] = weights
            return maximum_flow(sparse.csr_array(graph), 0, 20).flow_value

        ask = {"existing": [0], "never": [6]}
        plan = capacitated_cover(table, weights, room, 3, seconds=3, **ask)
        best = max(served((0, *sites)) for sites in itertools.combinations(range(1, 6), 3))
        assert plan.objective == served([0, *plan.sites]) == best == plan.bound
        assert plan.curve[-1] == best
        wanted = 0.6 * weights.sum()
        fewest = next(
            (
                size
                for size in range(8)
                if any(served(sites) >= wanted for sites in itertools.combinations(range(7), size))
            ),
            None,
        )
        options = {"cover_share": 0.6, "seconds": 3}
        if fewest is None:
            error = refused(capacitated_set_cover, table, weights, room, **options)
            assert error.details["reachable_percent"] < 60
            return
        plan = capacitated_set_cover(table, weights, room, **options)
        assert served(plan.sites) >= wanted
        assert plan.bound <= fewest <= plan.objective

    def test_riders_need_a_station_for_each_twenty_seven(self):
        random = np.random.default_rng(3)
        weights = np.bincount(random.integers(0, 40, 416), minlength=40)
        plan = capacitated_set_cover(np.ones((30, 40)), weights, 27, seconds=5)
        assert plan.objective == plan.bound == np.ceil(416 / 27)

    def test_refusals(self):
        for room in (0, -1, [1, 2, 3], np.nan):
            error = refused(capacitated_cover, np.eye(2), [1, 1], room, 1)
            assert error.code == "parameter_invalid"
        assert refused(capacitated_cover, np.eye(2), [1, 1], 5, 3).code == "too_few_candidates"


class TestMedian:
    @settings(max_examples=8, deadline=None)
    @given(seed=st.integers(0, 10**6), must=st.sampled_from([[], [3], [3, 5]]))
    def test_beside_what_exists_and_is_demanded(self, seed, must):
        random = np.random.default_rng(seed)
        walks = random.integers(0, 50, (8, 15)).astype(float)
        weights = random.integers(0, 9, 15)
        plan = p_median(walks, weights, 2, existing=[0], must=must, never=[7], seconds=2)
        best = min(
            float((walks[[0, *must, *rest]].min(axis=0) * weights).sum())
            for rest in itertools.combinations(
                [site for site in range(1, 7) if site not in must], 2 - len(must)
            )
        )
        assert plan.sites[: len(must)].tolist() == must
        assert plan.objective == best == plan.bound == plan.curve[-1]
        assert float((walks[[0, *plan.sites]].min(axis=0) * weights).sum()) == best
        assert len(plan.sites) == len(plan.curve) == 2

    def test_refusals(self):
        walks = np.ones((3, 3))
        assert refused(p_median, walks, None, 1, must=[1, 2]).code == "plan_infeasible"
        assert refused(p_median, walks, None, 1, must=[1], never=[1]).code == "plan_infeasible"
        assert refused(p_median, walks, None, 3, never=[1]).code == "too_few_candidates"


def test_nothing_of_the_solver_is_written_to_stdout(capfd):
    """Stdout belongs to the machine form of an answer."""
    made = "import numpy as np; from geo_service.siting import p_center; "
    made += "print(len(p_center(np.random.default_rng(0).random((9, 40)), 2, seconds=60).sites))"
    subprocess.run([sys.executable, "-c", made], check=True)
    assert capfd.readouterr().out == "2\n"
