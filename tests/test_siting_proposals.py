"""Proposals: every figure that is told is computed again by plain loops over straight lines."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geo_service.errors import InputError
from geo_service.siting import Wish, propose_sites, propose_together

spec = importlib.util.spec_from_file_location(
    "straight_lines", Path(__file__).parent / "straight_lines.py"
)
assert spec is not None
assert spec.loader is not None
straight_lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(straight_lines)
StraightLines, lonlat = straight_lines.StraightLines, straight_lines.lonlat


def places(seed: int, count: int, *, prefix: str, size_m: float = 3000.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x, y = random.random(count) * size_m, random.random(count) * size_m
    lon, lat = lonlat(x, y)
    ids = [f"{prefix}{k:04d}" for k in range(count)]
    return pd.DataFrame({"id": ids, "lon": lon, "lat": lat, "x": x, "y": y})


@pytest.fixture(scope="module")
def town():
    random = np.random.default_rng(7)
    demand = places(1, 300, prefix="d").assign(
        population=random.integers(0, 400, 300), riders=random.integers(0, 9, 300)
    )
    candidates = places(2, 60, prefix="c").assign(name=[f"场所{k}" for k in range(60)])
    return demand, candidates, places(3, 5, prefix="e")


def metres(one, other):
    return math.hypot(one.x - other.x, one.y - other.y)


def covered_by(demand, sites, limit_m):
    """Ids of the demand within the limit of some of the sites."""
    return {
        d.id
        for d in demand.itertuples()
        if any(metres(d, s) <= limit_m for s in sites.itertuples())
    }


def weight_of(demand, ids, column="population"):
    return float(demand.loc[demand["id"].isin(ids), column].sum())


class TestFigures:
    def test_each_figure_is_what_a_recount_gives(self, town):
        demand, candidates, existing = town
        told = propose_sites(
            StraightLines(), demand, candidates, count=6, minutes=5, existing=existing
        )
        limit = 400.0  # 5 minutes at 4.8 km/h
        assert told.limit_m == pytest.approx(limit)
        assert (told.minutes, told.speed_kmh, told.weight_field) == (5.0, 4.8, "population")
        assert told.total == float(demand["population"].sum())
        before = covered_by(demand, existing, limit)
        assert told.covered_before == weight_of(demand, before)
        chosen = candidates.set_index("id", drop=False).loc[[s["id"] for s in told.sites]]
        after = before | covered_by(demand, chosen, limit)
        assert told.covered_after == told.objective == weight_of(demand, after)
        assert told.bound >= told.objective
        assert told.curve[-1] == told.objective
        reached = set(before)
        for place, site in enumerate(told.sites):
            own = covered_by(demand, chosen.iloc[[place]], limit)
            others = before | covered_by(demand, chosen.drop(chosen.index[place]), limit)
            assert site["order"] == place + 1
            assert site["newly_covered"] == weight_of(demand, own - reached)
            assert site["only_here"] == weight_of(demand, own - others)
            reached |= own
            here = next(chosen.iloc[[place]].itertuples())
            nearest = min(existing.itertuples(), key=lambda e: metres(e, here))
            assert site["nearest_existing_id"] == nearest.id
            assert site["nearest_existing_m"] == pytest.approx(metres(nearest, here), abs=0.1)
            assert f"{site['newly_covered']:,.0f}" in site["reason"]["zh"]
            for other in site["alternatives"]:
                swapped = pd.concat([
                    chosen.drop(chosen.index[place]), candidates[candidates["id"] == other["id"]]
                ])  # fmt: skip
                worth = weight_of(demand, before | covered_by(demand, swapped, limit))
                assert other["change"] == worth - told.objective
                assert not told.proven or other["change"] <= 0
        everywhere = before | covered_by(demand, candidates, limit)
        beyond = set(demand.loc[demand["population"] > 0, "id"]) - everywhere
        assert {u["id"] for u in told.uncoverable} == beyond
        assert set(told.demand.loc[told.demand["covered_after"], "id"]) == after

    def test_the_answer_is_json_and_a_frame(self, town):
        demand, candidates, existing = town
        told = propose_sites(
            StraightLines(), demand, candidates, count=3, minutes=5, existing=existing,
            kind="rest_station",
        )  # fmt: skip
        plain = json.loads(json.dumps(told.to_dict(), allow_nan=False))
        assert plain["weight_field"] == "riders"
        assert {
            "objective", "bound", "gap_percent", "sites", "curve", "uncoverable", "covered_before",
            "covered_after", "total", "minutes", "speed_kmh", "notes",
        } <= set(plain)  # fmt: skip
        frame = told.to_frame()
        assert frame.crs == "EPSG:4326"
        assert frame["id"].tolist() == [s["id"] for s in plain["sites"]]
        assert frame.geometry.x.to_list() == frame["lon"].to_list()

    def test_fewest_sites_for_a_share(self, town):
        demand, candidates, _ = town
        told = propose_sites(
            StraightLines(), demand, candidates, cover_percent=60, minutes=8, seconds=5
        )
        assert told.aim == "fewest_sites"
        assert told.objective == len(told.sites) >= told.bound
        assert told.covered_after >= 0.6 * told.total
        chosen = candidates[candidates["id"].isin([s["id"] for s in told.sites])]
        assert told.covered_after == weight_of(demand, covered_by(demand, chosen, 640.0))
        fewer = propose_sites(
            StraightLines(), demand, candidates, count=int(told.bound) - 1, minutes=8, seconds=5
        )
        assert fewer.bound < 0.6 * told.total

    def test_the_same_question_has_the_same_answer(self, town):
        demand, candidates, _ = town
        one, other = (
            propose_sites(StraightLines(), demand, candidates, count=4, minutes=5).to_dict()
            for _ in range(2)
        )
        assert one | {"seconds": 0} == other | {"seconds": 0}


class TestQuestion:
    def test_must_and_never(self, town):
        demand, candidates, _ = town
        free = propose_sites(StraightLines(), demand, candidates, count=4, minutes=5)
        never = [s["id"] for s in free.sites][:2]
        told = propose_sites(
            StraightLines(), demand, candidates, count=4, minutes=5, must=["c0000"], never=never
        )
        ids = [s["id"] for s in told.sites]
        assert ids[0] == "c0000"
        assert not set(never) & set(ids)
        assert told.objective <= free.objective
        assert "指定必选" in told.sites[0]["reason"]["zh"]

    def test_a_demanded_site_that_is_no_candidate_becomes_one(self, town):
        demand, candidates, _ = town
        lon, lat = lonlat(1500.0, 1500.0)
        must = pd.DataFrame({"id": ["square"], "lon": [float(lon)], "lat": [float(lat)]})
        told = propose_sites(StraightLines(), demand, candidates, count=2, minutes=5, must=must)
        assert told.sites[0]["id"] == "square"
        assert any("加入" in note["zh"] for note in told.notes)

    def test_street_corners_stand_in_for_candidates_and_it_is_said(self, town):
        demand, _, _ = town
        told = propose_sites(StraightLines(), demand, None, count=3, minutes=5)
        assert all(s["id"].startswith("node-") for s in told.sites)
        assert any("路口" in note["zh"] and "corner" in note["en"] for note in told.notes)

    def test_demand_without_weights_counts_one_each(self, town):
        demand, candidates, _ = town
        bare = demand[["id", "lon", "lat"]]
        told = propose_sites(StraightLines(), bare, candidates, count=2, minutes=5)
        assert told.total == len(demand)
        assert any("权重" in note["zh"] for note in told.notes)

    def test_geometries_and_polygons_are_welcome(self, town):
        demand, candidates, _ = town
        x, y = demand["x"] + 500_000.0, demand["y"] + 3_767_000.0
        areas = gpd.GeoDataFrame(
            demand[["id", "population"]], geometry=shapely.points(x, y), crs="EPSG:4547"
        )
        areas.geometry = areas.geometry.buffer(5.0)
        one = propose_sites(StraightLines(), areas, candidates, count=3, minutes=5)
        other = propose_sites(StraightLines(), demand, candidates, count=3, minutes=5)
        assert one.objective == pytest.approx(other.objective, rel=0.02)

    def test_places_without_a_street_are_told(self, town):
        demand, candidates, _ = town
        lon, lat = lonlat(-5000.0, 100.0)
        far = pd.DataFrame({"id": ["far"], "lon": [float(lon)], "lat": [float(lat)]})
        far["population"] = 3
        told = propose_sites(
            StraightLines(), pd.concat([demand, far], ignore_index=True),
            pd.concat([candidates, far], ignore_index=True), count=2, minutes=5,
        )  # fmt: skip
        assert [u["reason"]["en"] for u in told.uncoverable if u["id"] == "far"] == [
            "no walkable street near"
        ]
        assert any("1 candidates have no walkable street" in note["en"] for note in told.notes)

    def test_walking_options_reach_the_streets(self, town):
        demand, candidates, _ = town
        streets = StraightLines()
        told = propose_sites(
            streets, demand, candidates, count=1, minutes=10, speed_kmh=3.6, profile="senior"
        )
        assert streets.asked[0] == {"minutes": 10, "speed_kmh": 3.6, "profile": "senior"}
        assert told.limit_m == pytest.approx(600.0)

    def test_refusals(self, town):
        demand, candidates, _ = town

        def refused(**options):
            with pytest.raises(InputError) as error:
                propose_sites(
                    StraightLines(), **({"demand": demand, "candidates": candidates} | options)
                )
            return error.value.code

        assert refused() == "parameter_invalid"
        assert refused(count=1, cover_percent=5) == "parameter_invalid"
        assert refused(cover_percent=101) == "parameter_invalid"
        assert refused(count=61) == "too_few_candidates"
        assert refused(count=1, must=["nobody"]) == "parameter_invalid"
        assert refused(count=1, must=["c0001", "c0002"]) == "plan_infeasible"
        assert refused(count=1, never=candidates.head(2).assign(id="x")) == "parameter_invalid"
        assert refused(count=1, weight_field="joy") == "field_missing"
        assert refused(count=1, demand=demand.assign(population=-1)) == "value_invalid"
        assert refused(count=1, candidates=candidates.assign(id="same")) == "value_invalid"
        assert refused(count=1, candidates=candidates[["id", "lat"]]) == "field_missing"
        swapped = candidates.rename(columns={"lon": "lat", "lat": "lon"})
        assert refused(count=1, candidates=swapped) == "lonlat_swapped"
        assert refused(count=1, demand=demand.head(0)) == "layer_empty"
        assert refused(cover_percent=99, minutes=1) == "plan_infeasible"
        assert refused(count=1, capacity=-1) == "parameter_invalid"
        assert refused(cover_percent=50, capacity=5e-324) == "parameter_invalid"


class TestTogether:
    """Several kinds at once: their lists, what sharing saves, and every figure counted again."""

    @staticmethod
    def asked(town, **options):
        demand, candidates, existing = town
        priced = candidates.assign(
            fixed_cost=[10.0 + k % 7 for k in range(60)],
            fitting_cost_canteen=[3.0 + k % 2 for k in range(60)],
        )
        wishes = [Wish("rest_station", 4, "riders", existing), Wish("canteen", 3, "population")]
        return priced, propose_together(
            StraightLines(), demand, priced, wishes, minutes=5, seconds=30, **options
        )

    def test_each_figure_is_what_a_recount_gives(self, town):
        demand, _, existing = town
        priced, told = self.asked(town, budget=60.0, never=["c0003"])
        at = priced.set_index("id", drop=False)
        fields = {"rest_station": ("riders", existing), "canteen": ("population", existing[:0])}
        percents, money, apart = [], 0.0, 0.0
        for kind, (field, standing) in fields.items():
            one = told.kinds[kind]
            ids = [site["id"] for site in one.sites]
            assert one.kind == kind
            assert one.weight_field == field
            assert ids == list(dict.fromkeys(ids))
            assert len(ids) <= {"rest_station": 4, "canteen": 3}[kind]
            assert {p["id"] for p in told.premises if kind in p["kinds"]} == set(ids)
            before = covered_by(demand, standing, 400.0)
            assert one.covered_before == weight_of(demand, before, field)
            reached, gains = set(before), []
            for site in one.sites:
                own = covered_by(demand, at.loc[[site["id"]]], 400.0)
                rest = at.loc[[other for other in ids if other != site["id"]]]
                others = before | covered_by(demand, rest, 400.0)
                assert site["newly_covered"] == weight_of(demand, own - reached, field)
                assert site["only_here"] == weight_of(demand, own - others, field)
                gains.append(site["newly_covered"])
                reached |= own
            assert gains == sorted(gains, reverse=True)
            after = weight_of(demand, reached, field)
            assert one.covered_after == one.objective == one.curve[-1] == after
            assert one.bound >= one.objective
            assert one.proven == (one.bound == one.objective)
            percents.append(100.0 * after / demand[field].sum())
        for premises in told.premises:
            row = at.loc[premises["id"]]
            fitting = row.fitting_cost_canteen if "canteen" in premises["kinds"] else 0.0
            assert premises["cost"] == row.fixed_cost + fitting
            assert premises["id"] != "c0003"
            money += row.fixed_cost + fitting
            apart += len(premises["kinds"]) * row.fixed_cost + fitting
        assert told.cost == pytest.approx(money)
        assert told.cost <= told.budget == 60.0
        assert told.cost_apart == pytest.approx(apart)
        assert told.shared == sum(len(one["kinds"]) == 2 for one in told.premises) >= 1
        assert told.objective == pytest.approx(sum(percents) / 2)
        assert told.bound >= told.objective
        json.dumps(told.to_dict(), default=float)
        assert told.to_frame()["kinds"].str.contains(",").sum() == told.shared
        assert list(told.sheets())[:2] == ["合用场所", "rest_station·建议点位"]

    def test_without_a_budget_each_kind_has_the_plan_it_would_have_alone(self, town):
        demand, candidates, existing = town
        _, told = self.asked(town)
        assert told.cost is None
        assert "fixed" not in str(told.premises)
        for kind, field, standing, count in [
            ("rest_station", "riders", existing, 4), ("canteen", "population", None, 3)
        ]:  # fmt: skip
            alone = propose_sites(
                StraightLines(), demand, candidates, count=count, minutes=5, existing=standing,
                weight_field=field, seconds=30,
            )  # fmt: skip
            assert told.kinds[kind].covered_after <= alone.bound
            if told.proven and alone.proven:
                assert told.kinds[kind].covered_after == alone.covered_after

    def test_steps_tell_the_mean_percent_and_its_bound(self, town):
        steps = []
        _, told = self.asked(town, budget=60.0, on_progress=lambda share, step: steps.append(step))
        told_steps = [step for step in steps if getattr(step, "best", None) is not None]
        assert told_steps
        for step in told_steps:
            assert step.best <= told.objective + 1e-9 <= step.bound + 2e-9

    def test_refusals(self, town):
        demand, candidates, _ = town
        for wishes, options, code in [
            ([Wish("canteen", 1), Wish("canteen", 2)], {}, "parameter_invalid"),
            ([], {}, "parameter_invalid"),
            ([Wish("canteen", 1), Wish("rest_station", 1)], {"budget": 9.0}, "field_missing"),
        ]:
            with pytest.raises(InputError) as refused:
                propose_together(StraightLines(), demand, candidates, wishes, **options)
            assert refused.value.code == code


class TestCapacity:
    def test_riders_need_at_least_so_many_stations(self):
        """4,163 riders at 27 a station: 155 stations at least, and nobody is served twice."""
        random = np.random.default_rng(3)
        demand = places(4, 200, prefix="d").assign(riders=random.multinomial(4163, [1 / 200] * 200))
        candidates = places(5, 400, prefix="c")
        told = propose_sites(
            StraightLines(), demand, candidates, cover_percent=100, minutes=15, capacity=27,
            weight_field="riders", seconds=8,
        )  # fmt: skip
        assert told.capacity is not None
        assert told.capacity["least_sites"] == 155
        assert told.bound >= 155
        assert told.objective == len(told.sites) >= 155
        loads = [site["load"] for site in told.sites]
        assert max(loads) <= 27
        assert sum(loads) == told.capacity["served"] == 4163
        assert told.capacity["unserved"] == 0

    def test_served_is_the_most_the_chosen_sites_can_serve(self, town):
        import networkx as nx

        demand, candidates, existing = town
        own = existing.assign(capacity=[100, 200, None, 0, 50])
        told = propose_sites(
            StraightLines(), demand, candidates, count=5, minutes=6, capacity=900, existing=own,
            weight_field="population",
        )  # fmt: skip
        chosen = candidates[candidates["id"].isin([s["id"] for s in told.sites])]
        graph = nx.DiGraph()
        rooms = [(s, 900) for s in chosen.itertuples()]
        rooms += [(e, 900 if math.isnan(e.capacity) else e.capacity) for e in own.itertuples()]
        for d in demand.itertuples():
            graph.add_edge("from", d.id, capacity=d.population)
            for site, room in rooms:
                graph.add_edge(site.id, "to", capacity=room)
                if metres(d, site) <= 480.0:
                    graph.add_edge(d.id, site.id)
        assert told.capacity is not None
        assert (
            told.objective == told.capacity["served"] == nx.maximum_flow_value(graph, "from", "to")
        )
        assert told.bound >= told.objective
        assert all(site["load"] <= 900 for site in told.sites)

    def test_too_little_room_is_refused_with_the_share_that_is_possible(self, town):
        demand, candidates, _ = town
        with pytest.raises(InputError) as refused:
            propose_sites(
                StraightLines(), demand, candidates, cover_percent=90, minutes=10, capacity=1,
                seconds=4,
            )  # fmt: skip
        assert refused.value.code == "plan_infeasible"
        assert "all candidates together serve" in refused.value.message("en")


@pytest.mark.real
@pytest.mark.slow
def test_porto_alegre_twenty_sites(real_data: Path):
    from geo_service.streets import WalkNetwork

    streets = WalkNetwork.from_pbf(real_data / "osm" / "porto_alegre.osm.pbf")
    hexagons = pd.read_csv(real_data / "siting" / "r5r" / "poa_hexgrid.csv")
    told = propose_sites(streets, hexagons, hexagons, count=20, minutes=15)
    assert told.gap_percent < 1.0
    assert len(told.sites) == 20
    assert 0.5 < told.covered_after / told.total < 0.75
    # Each site's walks once more, one by one, by the network's own search.
    walks = streets.time_matrix(
        hexagons[["lon", "lat"]], told.to_frame()[["lon", "lat"]], minutes=15
    )
    reached = (walks.metres > 0).sum(axis=1).A1 > 0
    assert told.covered_after == hexagons.loc[reached, "population"].sum()
