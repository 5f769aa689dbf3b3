"""What a plan changes: each figure again by plain loops, none taken from the code it checks."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geo_service.siting import propose_sites

spec = importlib.util.spec_from_file_location(
    "straight_lines", Path(__file__).parent / "straight_lines.py"
)
assert spec is not None
assert spec.loader is not None
straight_lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(straight_lines)
StraightLines, lonlat = straight_lines.StraightLines, straight_lines.lonlat

LIMIT_M = 400.0  # 5 minutes at 4.8 km/h


def spots(seed, count, prefix, **columns):
    random = np.random.default_rng(seed)
    x, y = random.random(count) * 3000, random.random(count) * 3000
    lon, lat = lonlat(x, y)
    ids = [f"{prefix}{k:04d}" for k in range(count)]
    return pd.DataFrame({"id": ids, "lon": lon, "lat": lat, "x": x, "y": y, **columns})


@pytest.fixture(scope="module")
def town():
    """200 grids of 20 communities; some people unknown."""
    random = np.random.default_rng(3)
    n = 200
    people = random.integers(0, 400, n).astype(float)
    people[[5, 50]] = np.nan
    demand = spots(
        21, n, "d",
        code=[f"4110020010{k % 20 + 1:02d}{k // 20 + 1:03d}" for k in range(n)],
        population=people, population_60=random.integers(0, 90, n),
        riders=random.integers(0, 9, n),
    )  # fmt: skip
    return demand, spots(22, 50, "c"), spots(23, 4, "e")


@pytest.fixture(scope="module")
def told(town):
    demand, candidates, existing = town
    return propose_sites(
        StraightLines(), demand, candidates, count=6, minutes=5, existing=existing,
        weight_field="population",
    )  # fmt: skip


def away(one, other):
    return math.hypot(one["x"] - other["x"], one["y"] - other["y"])


def reached(demand, sites, limit_m=LIMIT_M):
    """Rows of the demand within the limit of some of the sites."""
    return {
        row
        for row, d in enumerate(demand.to_dict("records"))
        if any(away(d, s) <= limit_m for s in sites)
    }


def weigh(demand, rows, field="population"):
    values = demand[field].tolist()
    return sum(values[r] for r in rows if not math.isnan(values[r]))


@pytest.fixture(scope="module")
def open_now(town, told):
    """Chosen and existing sites as plain dicts, in building order."""
    _, candidates, existing = town
    by_id = {c["id"]: c for c in candidates.to_dict("records")}
    return [by_id[s["id"]] for s in told.sites], existing.to_dict("records")


def test_each_site(town, told, open_now):
    demand, candidates, _ = town
    chosen, standing = open_now
    before = reached(demand, standing)
    total = weigh(demand, range(len(demand)))
    for place, site in enumerate(told.sites):
        mine = reached(demand, [chosen[place]])
        others = before | reached(demand, chosen[:place] + chosen[place + 1 :])
        assert site["alone"] == weigh(demand, mine - before)
        assert site["within_reach"] == weigh(demand, mine)
        assert site["overlap"] == weigh(demand, mine & others)
        assert site["lost_percent"] == math.floor(1e4 * weigh(demand, mine - others) / total) / 100
        walks = [
            (away(demand.iloc[r], chosen[place]), demand["population"].iloc[r])
            for r in mine
            if demand["population"].iloc[r] > 0
        ]
        assert site["longest_walk_m"] == pytest.approx(max(w for w, _ in walks), abs=0.06)
        mean = sum(w * n for w, n in walks) / sum(n for _, n in walks)
        assert site["mean_walk_m"] == pytest.approx(mean, abs=0.06)
        minutes = site["nearest_existing_m"] / (4800 / 60)
        assert site["nearest_existing_minutes"] == pytest.approx(minutes, abs=0.051)
        # The nearest other premises that lose nothing.
        taken = {c["id"] for c in chosen}
        full = weigh(demand, before | reached(demand, chosen))
        equal = [
            (away(c, chosen[place]), c["id"])
            for c in candidates.to_dict("records")
            if c["id"] not in taken
            and weigh(demand, others | reached(demand, [c])) >= full
        ]  # fmt: skip
        if not equal:
            assert site["equal_alternative"] is None
            continue
        assert site["equal_alternative"]["id"] == min(equal)[1]
        assert site["equal_alternative"]["metres"] == pytest.approx(min(equal)[0], abs=0.06)


def test_people_before_and_after(town, told, open_now):
    demand, _, _ = town
    chosen, standing = open_now
    before, after = reached(demand, standing), reached(demand, chosen + standing)
    assert set(told.people) == {"population", "population_60", "riders"}
    for field, figures in told.people.items():
        assert figures["covered_before"] == weigh(demand, before, field)
        assert figures["covered_after"] == weigh(demand, after, field)
        assert figures["total"] == weigh(demand, range(len(demand)), field)
    assert told.people["population"]["places_without_data"] == 2
    assert [d["id"] for d in told.without_data] == ["d0005", "d0050"]
    assert [d["within_reach"] for d in told.without_data] == [5 in after, 50 in after]
    assert any("2 places have no data" in note["en"] for note in told.notes)


def test_communities_and_equity(town, told, open_now):
    demand, _, _ = town
    chosen, standing = open_now
    for name, rows in (
        ("before", reached(demand, standing)),
        ("after", reached(demand, chosen + standing)),
    ):
        shares = []
        for row in told.areas.to_dict("records"):
            mine = {r for r, code in enumerate(demand["code"]) if code[:12] == row["area"]}
            size, got = weigh(demand, mine), weigh(demand, mine & rows)
            assert (row["total"], row[f"covered_{name}"]) == (size, got)
            shares.append((got / size, size))
        assert len(shares) == 20
        # A Gini coefficient by its definition: mean difference of every pair of people.
        total, mean = sum(n for _, n in shares), sum(s * n for s, n in shares)
        apart = sum(n * m * abs(s - t) for s, n in shares for t, m in shares)
        assert told.equity[f"gini_{name}"] == pytest.approx(apart / (2 * total * mean), abs=1e-9)
        left, got = 0.1 * total, 0.0
        for share, size in sorted(shares):
            taken = min(left, size)
            got, left = got + taken * share, left - taken
        assert told.equity[f"worst_tenth_share_{name}"] == pytest.approx(got / (0.1 * total))
        assert told.equity[f"areas_without_any_{name}"] == sum(s == 0 for s, _ in shares)
    assert told.equity["by"] == "community"


def test_clusters_left_uncovered(town, told, open_now):
    demand, candidates, _ = town
    chosen, standing = open_now
    covered = reached(demand, chosen + standing)
    left = {r for r in range(len(demand)) if r not in covered and demand["population"].iloc[r] > 0}
    clusters = []
    while left:
        cluster, edge = set(), {min(left)}
        while edge:
            cluster |= edge
            edge = {
                r
                for r in left - cluster
                if any(away(demand.iloc[r], demand.iloc[c]) <= 300.0 for c in edge)
            }
        left -= cluster
        clusters.append(cluster)
    sizes = sorted((weigh(demand, c) for c in clusters), reverse=True)
    assert [c["weight"] for c in told.uncovered] == sizes[:10]
    for cluster in told.uncovered:
        mine = next(c for c in clusters if demand["id"].tolist().index(cluster["nearest_id"]) in c)
        assert cluster["places"] == len(mine)
        gains = {c["id"]: weigh(demand, mine & reached(demand, [c]))
                 for c in candidates.to_dict("records")}  # fmt: skip
        assert cluster["best_candidate_gain"] == max(gains.values())
        assert ("no candidate" in cluster["why"]["en"]) == (max(gains.values()) == 0)


def test_slower_walkers_one_more_and_one_fewer(town, told, open_now):
    demand, candidates, _ = town
    chosen, standing = open_now
    for row in told.sensitivity["speed"]:
        limit = 300.0 * row["speed_m_s"]
        assert row["limit_m"] == pytest.approx(limit)
        assert row["covered_after"] == weigh(demand, reached(demand, chosen + standing, limit))
    covered = reached(demand, chosen + standing)
    taken = {c["id"] for c in chosen}
    more = max(
        weigh(demand, covered | reached(demand, [c]))
        for c in candidates.to_dict("records")
        if c["id"] not in taken
    )
    assert told.sensitivity["one_more"]["covered_after"] == more
    assert told.sensitivity["one_fewer"]["covered_after"] == told.curve[-2]


def test_no_codes_means_square_kilometres_and_the_answer_is_json(town):
    demand, candidates, existing = town
    told = propose_sites(
        StraightLines(), demand.drop(columns="code"), candidates, cover_percent=40, minutes=8,
        existing=existing, weight_field="riders",
    )  # fmt: skip
    assert told.equity["by"] == "square_km"
    assert told.sensitivity["one_fewer"]["loss"] >= 0
    json.dumps(told.to_dict(), allow_nan=False)


def test_gates_lengthen_the_walk(town):
    demand, candidates, _ = town
    home = demand.iloc[[0]].assign(population=10.0)
    hall = candidates.iloc[[0]]
    lon, lat = lonlat(home["x"] + 350, home["y"])
    near = hall.assign(lon=float(lon[0]), lat=float(lat[0]))
    west, east = (
        "{},{}".format(*lonlat(home["x"].iloc[0] + step, home["y"].iloc[0])) for step in (-100, 100)
    )
    walks = []
    for gates in (f"{west}; {east}", f"{west}; {east} closed"):
        plan = propose_sites(
            StraightLines(), home.assign(entrances=gates), near, count=1, minutes=6,
            weight_field="population",
        )  # fmt: skip
        walks.append(plan.sites[0]["longest_walk_m"])
    assert walks == [pytest.approx(250.0, abs=0.1), pytest.approx(450.0, abs=0.1)]
