"""Bounded search, routes and travel matrices against networkx, scipy and each other."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import networkx as nx
import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from geo_service import walking
from geo_service.errors import InputError, NoRouteError
from geo_service.streets import WalkNetwork, segments
from geo_service.walking import _search

STREET = {"highway": "residential"}
ONE_WAY = {"highway": "footway", "oneway:foot": "yes"}


@pytest.fixture(scope="module")
def town(street_plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> WalkNetwork:
    """A lattice of 20 by 20 blocks of 100 m."""
    path = street_plans.lattice(tmp_path_factory.mktemp("town") / "town.osm.pbf", 10)
    return WalkNetwork.from_pbf(path, profile="senior")


def random_network(seed: int, *, count: int = 80, one_way: float = 0.3) -> WalkNetwork:
    """Random streets between neighbours, three in ten of them one-way."""
    rng = np.random.default_rng(seed)
    lon, lat = 113.8 + rng.uniform(0, 0.02, count), 34.0 + rng.uniform(0, 0.02, count)
    near = np.argsort(np.hypot(lon[:, None] - lon, lat[:, None] - lat), axis=1)[:, 1:4]
    pairs = np.column_stack((np.repeat(np.arange(count), 3), near.ravel()))
    refs = pairs.ravel().astype(np.int64)
    back = (rng.random(len(pairs)) >= one_way).astype(np.uint8)
    return WalkNetwork(
        segments.join(
            refs, lon[refs], lat[refs], np.repeat(np.arange(len(pairs)), 2),
            np.ones(refs.size, np.uint8), np.repeat(back, 2),
            barrier_ids=np.empty(0, np.int64), barrier_masks=np.empty(0, np.uint8),
        ),
        plane=4547,
    )  # fmt: skip


def as_dict(reach: walking.Reach, row: int) -> dict[int, int]:
    part = slice(reach.indptr[row], reach.indptr[row + 1])
    nodes = reach.nodes[part].tolist()
    assert len(set(nodes)) == len(nodes)
    return dict(zip(nodes, reach.centimetres[part].tolist(), strict=True))


def test_ten_minutes_of_a_senior_on_a_lattice_are_a_diamond(
    town: WalkNetwork, street_plans: ModuleType
) -> None:
    # 10 min x 60 s x 1.0 m/s = 600 m; half a metre more since OSM rounds positions to a centimetre.
    reach = walking.reach(town, np.array([street_plans.lonlat(0, 0)]), limit_m=600.5)
    places = [street_plans.lonlat(100 * i, 100 * j) for i, j in diamond(6)]
    lonlat = town.node_lonlat[reach.nodes]
    assert len(reach.nodes) == len(places) == 85
    for lon, lat in places:
        assert np.hypot(lonlat[:, 0] - lon, lonlat[:, 1] - lat).min() < 1e-6
    assert reach.metres.max() == pytest.approx(600, abs=0.1)
    assert town.limit_cm(10) == 60_000


def diamond(steps: int) -> list[tuple[int, int]]:
    span = range(-steps, steps + 1)
    return [(i, j) for i in span for j in span if abs(i) + abs(j) <= steps]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([150.0, 600.0, 2500.0]), st.booleans())
def test_reach_equals_networkx(seed: int, limit_m: float, against: bool) -> None:
    network = random_network(seed)
    exported = network.to_networkx()
    if against:
        exported = exported.reverse()
    nodes = np.arange(network.node_count)
    reach = walking.reach(network, nodes, limit_m, against=against)
    for node in nodes.tolist():
        true = nx.single_source_dijkstra_path_length(
            exported, node, cutoff=limit_m * 100, weight="cm"
        )
        assert as_dict(reach, node) == true


def test_reach_equals_scipy() -> None:
    network = random_network(7, count=900)
    exported = nx.DiGraph()
    for a, b, data in network.to_networkx().edges(data=True):
        known = exported.edges.get((a, b), {"cm": np.inf})["cm"]
        exported.add_edge(a, b, cm=min(known, data["cm"]))
    matrix = nx.to_scipy_sparse_array(
        exported, nodelist=range(network.node_count), weight="cm", dtype=float
    )
    true = sparse.csgraph.dijkstra(matrix, limit=90_000)
    reach = walking.reach(network, np.arange(network.node_count), 900)
    ours = np.full(true.shape, np.inf)
    rows = np.repeat(np.arange(network.node_count), np.diff(reach.indptr))
    ours[rows, reach.nodes] = reach.centimetres
    np.testing.assert_array_equal(ours, true)


def test_workers_change_nothing() -> None:
    network = random_network(3, count=700)
    origins = np.tile(np.arange(network.node_count), 3)
    one = walking.reach(network, origins, 800, workers=1)
    four = walking.reach(network, origins, 800, workers=4)
    for name in ("indptr", "nodes", "centimetres"):
        np.testing.assert_array_equal(getattr(one, name), getattr(four, name))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([300.0, None]), st.booleans())
def test_the_nearest_place_of_every_node_equals_networkx(
    seed: int, limit_m: float | None, away: bool
) -> None:
    network = random_network(seed)
    exported = network.to_networkx()
    if not away:
        exported = exported.reverse()
    places = np.random.default_rng(seed).choice(network.node_count, 6)  # one may come twice
    found = walking.nearest(network, places, limit_m, away=away)
    walks = [
        nx.single_source_dijkstra_path_length(exported, int(node), weight="cm") for node in places
    ]
    for node in range(network.node_count):
        best = min((walk.get(node, np.inf), row) for row, walk in enumerate(walks))
        if best[0] > (limit_m or np.inf) * 100 or best[0] == np.inf:
            best = (-1, -1)
        assert (found.centimetres[node], found.places[node]) == best


def test_the_nearest_of_places_beside_streets(town: WalkNetwork, street_plans: ModuleType) -> None:
    places = [street_plans.lonlat(30, 20), street_plans.lonlat(9000, 0)]
    found = walking.nearest(town, places)
    at = np.hypot(*(town.node_lonlat - street_plans.lonlat(100, 0)).T).argmin()
    assert found.metres[at] == pytest.approx(90, abs=0.05)
    assert set(found.places.tolist()) == {0}  # the other place has no street near
    none = walking.nearest(town, places[1:])
    assert set(none.places.tolist()) == {-1}
    assert np.isnan(none.metres).all()


def test_totals_are_sums_over_what_is_reached() -> None:
    network = random_network(5, count=700)
    people = np.random.default_rng(5).integers(0, 90, (network.node_count, 2))
    for against in (False, True):
        sums = walking.totals(network, people, [200, 500, 900], against=against, workers=3)
        for ring, limit_m in enumerate((200, 500, 900)):
            reach = walking.reach(network, np.arange(network.node_count), limit_m, against=against)
            true = np.add.reduceat(people[reach.nodes], reach.indptr[:-1])
            np.testing.assert_array_equal(sums[:, ring], true)
    one = walking.totals(network, people[:, 0], 500.0, origins=np.array([3, 4]))
    assert one.tolist() == walking.totals(network, people, [500])[[3, 4], 0, 0].tolist()
    with pytest.raises(InputError, match="ascending"):
        walking.totals(network, people, [500, 200])
    with pytest.raises(InputError, match="a row for each"):
        walking.totals(network, people[1:], 500)


def test_a_long_queue_is_given_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(8, count=400)
    nodes = np.arange(network.node_count)
    plenty = [walking.reach(network, nodes, 2500), walking.nearest(network, nodes[::2])]
    monkeypatch.setattr(_search, "_FIRST_ENTRIES", 4)
    scarce = [walking.reach(network, nodes, 2500), walking.nearest(network, nodes[::2])]
    for one, other in zip(plenty, scarce, strict=True):
        for name in vars(one):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_place_walks_to_the_street_first(town: WalkNetwork, street_plans: ModuleType) -> None:
    reach = walking.reach(town, [street_plans.lonlat(30, 20)], limit_m=100)
    # 20 m to the street, then 30 m to one corner and 70 m to the other.
    assert sorted(reach.metres) == pytest.approx([50, 90], abs=0.05)
    far = walking.reach(town, [street_plans.lonlat(0, 5000)], limit_m=100)
    assert far.indptr.tolist() == [0, 0]


def test_one_way_streets_are_walked_one_way(street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {"a": (0, 0), "b": (600, 0), "c": (600, 300), "d": (0, 300)}
    path = street_plans.write(
        tmp_path / "loop.osm.pbf", spots, [("a b", ONE_WAY), ("b c d a", STREET)]
    )
    network = WalkNetwork.from_pbf(path)
    near_a, near_b = street_plans.lonlat(100, 0), street_plans.lonlat(500, 0)
    there, back = network.route(near_a, near_b), network.route(near_b, near_a)
    assert there.length_m == pytest.approx(400, abs=0.1)
    assert back.length_m == pytest.approx(100 + 300 + 600 + 300 + 100, abs=0.3)
    places = np.array([near_a, near_b])
    for origins, destinations in ((places, places), (np.repeat(places, 2, axis=0), places)):
        travel = network.time_matrix(origins, destinations, minutes=60).metres.toarray()
        step = len(origins) // 2
        assert travel[0, 1] == pytest.approx(there.length_m, abs=0.02)
        assert travel[step, 0] == pytest.approx(back.length_m, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_routes_are_shortest_and_drawn_in_full(seed: int) -> None:
    network = random_network(seed, count=120, one_way=0.2)
    exported = network.to_networkx()
    rng = np.random.default_rng(seed)
    geod = pyproj.Geod(ellps="WGS84")
    found = 0
    for a, b in rng.integers(0, network.node_count, (60, 2)).tolist():
        start, end = network.node_lonlat[[a, b]].tolist()
        true = nx.single_source_dijkstra_path_length(exported, a, weight="cm").get(b)
        if true is None:
            with pytest.raises((NoRouteError, InputError)):  # or from a piece too short
                network.route(start, end, snap_limit_m=0.01)
            continue
        walk = network.route(start, end, snap_limit_m=0.01)
        found += 1
        assert walk.length_m == pytest.approx(true / 100, abs=0.03)
        assert geod.geometry_length(walk.geometry) == pytest.approx(walk.length_m, abs=0.05)
        assert walk.minutes == pytest.approx(walk.length_m / 1.2 / 60)
        ends = np.array([walk.geometry.coords[0], walk.geometry.coords[-1]])
        np.testing.assert_allclose(ends, [start, end], atol=1e-8)
    assert found > 20


def test_a_route_names_both_legs(town: WalkNetwork, street_plans: ModuleType) -> None:
    walk = town.route(street_plans.lonlat(30, 20), street_plans.lonlat(250, -40), speed_kmh=4.8)
    assert walk.origin_leg_m == pytest.approx(20, abs=0.05)
    assert walk.destination_leg_m == pytest.approx(40, abs=0.05)
    assert walk.length_m == pytest.approx(20 + 220 + 40, abs=0.1)
    assert walk.minutes == pytest.approx(walk.length_m / 80)


def test_steps_tell_turns_streets_and_metres(street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {
        "a": (0, 0), "b": (300, 0), "c": (300, 200), "d": (600, 0), "e": (300, 500), "f": (280, 900)
    }  # fmt: skip
    named = {name: {**STREET, "name": name} for name in ("人民路", "建设路", "Long Lane")}
    path = street_plans.write(
        tmp_path / "named.osm.pbf", spots,
        [("a b d", named["人民路"]), ("b c e", named["建设路"]), ("e f", named["Long Lane"])],
    )  # fmt: skip
    network = WalkNetwork.from_pbf(path)
    walk = network.route(street_plans.lonlat(10, -20), street_plans.lonlat(300, 650))
    assert [(step.turn, step.street) for step in walk.steps] == [
        ("leave", ""), ("head", "人民路"), ("left", "建设路"), ("straight", "Long Lane"),
        ("arrive", ""),
    ]  # fmt: skip
    assert sum(step.metres for step in walk.steps) == pytest.approx(walk.length_m)
    assert walk.steps[1].zh == "沿人民路向东，走 290 米"
    assert walk.steps[1].en == "Walk east on 人民路 for 290 m"
    assert walk.steps[2].zh == "左转进入建设路，走 500 米"
    assert walk.steps[2].en == "Turn left onto 建设路 for 500 m"
    back = network.route(street_plans.lonlat(300, 650), street_plans.lonlat(590, 5))
    assert [step.turn for step in back.steps][1:-1] == ["head", "straight", "left"]
    feature = walk.feature()
    assert feature["properties"]["steps"][2]["street"] == "建设路"
    assert (feature["properties"]["steps"][2]["lon"], feature["properties"]["steps"][2]["lat"]) == (
        pytest.approx(street_plans.lonlat(300, 0), abs=1e-6)
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_metres_of_steps_add_up(seed: int) -> None:
    network = random_network(seed, count=120, one_way=0.2)
    rng = np.random.default_rng(seed)
    west, south = network.node_lonlat.min(axis=0)
    east, north = network.node_lonlat.max(axis=0)
    for _ in range(40):
        ends = rng.uniform([west, south], [east, north], (2, 2)).tolist()
        try:
            walk = network.route(*ends)
        except (NoRouteError, InputError):
            continue
        assert sum(step.metres for step in walk.steps) == pytest.approx(walk.length_m, abs=1e-6)
        assert [walk.steps[0].turn, walk.steps[-1].turn] == ["leave", "arrive"]


def test_routes_that_are_none(town: WalkNetwork, street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {"a": (0, 0), "b": (1500, 0), "c": (0, 200), "d": (1500, 200)}
    path = street_plans.write(tmp_path / "two.osm.pbf", spots, [("a b", STREET), ("c d", STREET)])
    network = WalkNetwork.from_pbf(path)
    with pytest.raises(NoRouteError) as refused:
        network.route(street_plans.lonlat(100, 0), street_plans.lonlat(100, 200))
    assert refused.value.code == "no_route"
    with pytest.raises(InputError, match="No walkable street"):
        town.route(street_plans.lonlat(0, 0), street_plans.lonlat(0, 9000))


@pytest.mark.parametrize("seed", range(3))
def test_the_travel_matrix_equals_single_routes(seed: int) -> None:
    network = random_network(seed)
    rng = np.random.default_rng(seed)
    west, south = network.node_lonlat.min(axis=0)
    east, north = network.node_lonlat.max(axis=0)
    places = np.column_stack((rng.uniform(west, east, 18), rng.uniform(south, north, 18)))
    places[5] = (west - 0.05, south)
    for origins, destinations in ((places[:7], places[7:]), (places[:12], places[11:])):
        travel = network.time_matrix(origins, destinations, minutes=20, speed_kmh=4.5)
        table = travel.metres.toarray()
        assert (travel.limit_m, travel.unsnapped_origins.tolist()) == (1500.0, [5])
        assert travel.metres.has_sorted_indices
        for i, origin in enumerate(origins.tolist()):
            for j, destination in enumerate(destinations.tolist()):
                try:
                    true = network.route(origin, destination).length_m
                except (NoRouteError, InputError):
                    true = np.inf
                expected = true if true <= 1500.0 else 0.0
                assert table[i, j] == pytest.approx(max(expected, 0.01 * (expected > 0)), abs=1e-6)


def test_a_walk_of_nothing_is_still_within(town: WalkNetwork) -> None:
    here = town.node_lonlat[:1]
    travel = town.time_matrix(here, here, minutes=1)
    assert travel.metres.nnz == 1
    assert travel.metres[0, 0] == 0.01


def test_profiles_change_the_minutes(town: WalkNetwork, street_plans: ModuleType) -> None:
    ends = street_plans.lonlat(0, 0), street_plans.lonlat(900, 0)
    minutes = [town.route(*ends, profile=p).minutes for p in ("senior", "adult", "courier")]
    assert minutes == pytest.approx([15.0, 12.5, 10.714], abs=0.01)
    lengths = [
        town.limit_cm(15),
        *(town.with_profile(p).limit_cm(15) for p in ("adult", "courier")),
    ]
    assert lengths == [90_000, 108_000, 126_000]


@pytest.mark.parametrize("limit_m", [0, -1, float("nan"), float("inf")])
def test_limits_that_are_none(town: WalkNetwork, limit_m: float) -> None:
    with pytest.raises(InputError, match="limit_m"):
        walking.reach(town, np.arange(2), limit_m)


def test_other_bad_input(town: WalkNetwork) -> None:
    with pytest.raises(InputError, match="nodes are numbered"):
        walking.reach(town, np.array([0, town.node_count]))
    with pytest.raises(InputError, match="rows of longitude and latitude"):
        walking.reach(town, np.zeros(4))
    here = town.node_lonlat[:2]
    for minutes in (0, -5, float("nan")):
        with pytest.raises(InputError, match="minutes"):
            town.time_matrix(here, here, minutes=minutes)
    for speed in (0, -1, float("nan"), 5e-324, 500):
        with pytest.raises(InputError, match="speed_kmh"):
            town.route(tuple(here[0]), tuple(here[1]), speed_kmh=speed)
    with pytest.raises(InputError, match="look swapped"):
        town.time_matrix(here[:, ::-1], here, minutes=5)


def test_nothing_asked_gives_nothing(town: WalkNetwork) -> None:
    assert walking.reach(town, np.empty(0, int)).indptr.tolist() == [0]
    travel = town.time_matrix(np.empty((0, 2)), town.node_lonlat[:3], minutes=5)
    assert travel.metres.shape == (0, 3)


@pytest.mark.real
def test_heidelberg_reach_equals_networkx(real_data: Path) -> None:
    network = WalkNetwork.from_pbf(real_data / "osm" / "heidelberg.osm.pbf")
    origins = np.random.default_rng(11).choice(network.node_count, 25, replace=False)
    reach = walking.reach(network, origins, 1200)
    exported = network.to_networkx()
    for row, node in enumerate(origins.tolist()):
        true = nx.single_source_dijkstra_path_length(exported, node, cutoff=120_000, weight="cm")
        assert as_dict(reach, row) == true
    assert all(a <= b for a, b in pairwise(reach.indptr.tolist()))


def test_what_doctor_warms_is_never_compiled_again(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    path = street_plans.lattice(tmp_path / "town.osm.pbf", 3)
    script = f"""
import pathlib
from geo_service.catchments import _cells
from geo_service.cli import operate
from geo_service.walking import _search
operate._walk_every_way(pathlib.Path({str(path)!r}))
loops = [v for m in (_cells, _search) for v in vars(m).values() if hasattr(v, "stats")]
print(sum(sum(loop.stats.cache_misses.values()) for loop in loops))
print(sum(bool(loop.signatures) for loop in loops))
"""
    for warmed in (False, True):
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        missed, used = map(int, ran.stdout.split())
        assert used >= 8
        assert missed == 0 or not warmed
