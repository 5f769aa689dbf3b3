"""Extract to walk network: tag rules, barriers, contraction, snapping, the file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx
import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service.crs import Plane
from geo_service.errors import InputError, MissingError, NoRouteError
from geo_service.streets import WalkNetwork, contraction, profiles, segments, tag_rules

BOTH, UP, DOWN, NONE = (1, 1), (1, 0), (0, 1), (0, 0)
STREET = {"highway": "residential"}


def tags(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


WAYS = {
    "highway=residential": BOTH,
    "highway=living_street": BOTH,
    "highway=service": BOTH,
    "highway=track": BOTH,
    "highway=steps": BOTH,
    "highway=corridor indoor=yes": BOTH,
    "highway=pedestrian area=yes": BOTH,
    "highway=platform": BOTH,
    "railway=platform": BOTH,
    "public_transport=platform": BOTH,
    "man_made=pier": BOTH,
    "man_made=pier access=private": NONE,
    "highway=primary oneway=yes": BOTH,
    "highway=motorway": NONE,
    "highway=motorway sidewalk=both": NONE,
    "highway=motorway foot=yes": BOTH,
    "highway=trunk": NONE,
    "highway=trunk foot=yes": BOTH,
    "highway=trunk sidewalk=right": BOTH,
    "highway=trunk sidewalk:left=yes": BOTH,
    "highway=trunk sidewalk=no": NONE,
    "highway=trunk sidewalk=both foot=no": NONE,
    "highway=primary motorroad=yes": NONE,
    "highway=primary motorroad=yes sidewalk=both": BOTH,
    "highway=motorway motorroad=yes sidewalk=both": NONE,
    "highway=cycleway": NONE,
    "highway=cycleway foot=designated": BOTH,
    "highway=busway": NONE,
    "highway=construction": NONE,
    "highway=proposed foot=yes": NONE,
    "highway=footway abandoned=yes": NONE,
    "highway=residential route=ferry": NONE,
    "route=ferry foot=yes": NONE,
    "railway=rail": NONE,
    "waterway=river": NONE,
    "barrier=wall": NONE,
    "highway=residential foot=no": NONE,
    "highway=residential foot=use_sidepath": NONE,
    "highway=residential access=no": NONE,
    "highway=residential access=no foot=yes": BOTH,
    "highway=residential access=private": NONE,
    "highway=residential access=private foot=permissive": BOTH,
    "highway=service service=private": NONE,
    "highway=residential access=destination": BOTH,
    "highway=residential access=permissive": BOTH,
    "highway=residential access=unheard_of": BOTH,
    "highway=residential motor_vehicle=no": BOTH,
    "highway=residential vehicle=private": BOTH,
    "highway=service access=military": NONE,
    "highway=footway oneway:foot=yes": UP,
    "highway=footway oneway:foot=-1": DOWN,
    "highway=footway foot:backward=no": UP,
    "highway=footway foot:forward=no": DOWN,
    "highway=steps conveying=forward": UP,
    "highway=steps conveying=backward": DOWN,
    "highway=steps conveying=yes": UP,
    "highway=steps conveying=reversible": BOTH,
    "highway=footway oneway=yes": UP,
    "highway=footway oneway=yes oneway:foot=no": BOTH,
    "highway=footway oneway=yes bicycle=designated": BOTH,
    "highway=path oneway=yes": BOTH,
    "highway=residential oneway=yes oneway:foot=yes": UP,
}

BARRIERS = {
    "barrier=gate": True,
    "barrier=gate access=private": False,
    "barrier=gate access=no": False,
    "barrier=gate access=no foot=yes": True,
    "barrier=gate locked=yes": False,
    "barrier=gate locked=no": True,
    "barrier=gate foot=no": False,
    "barrier=gate access=customers": True,
    "barrier=lift_gate": True,
    "barrier=lift_gate motor_vehicle=private": True,
    "barrier=bollard": True,
    "barrier=kissing_gate": True,
    "barrier=full-height_turnstile": True,
    "barrier=entrance foot=no": False,
    "barrier=block": True,
    "barrier=wall": False,
    "barrier=fence": False,
    "barrier=fence foot=yes": True,
    "barrier=unheard_of": True,
}


@pytest.mark.parametrize(("text", "who"), WAYS.items())
def test_ways_adults_may_walk(text: str, who: tuple[int, int]) -> None:
    mask = tag_rules.profile("adult").mask
    passage = tag_rules.way_passage(tags(text))
    assert (int(passage.forward & mask > 0), int(passage.backward & mask > 0)) == who


@pytest.mark.parametrize(("text", "passes"), BARRIERS.items())
def test_barriers_adults_may_pass(text: str, passes: bool) -> None:
    mask = tag_rules.profile("adult").mask
    assert (tag_rules.barrier_mask(tags(text)) & mask > 0) == passes


def test_doors_open_by_profile() -> None:
    private = tag_rules.barrier_mask({"barrier": "gate", "access": "private"})
    goods = tag_rules.barrier_mask({"barrier": "gate", "access": "delivery"})
    shut = tag_rules.barrier_mask({"barrier": "gate", "access": "no"})
    known = profiles()
    assert {n for n, p in known.items() if private & p.mask} == {"resident"}
    assert {n for n, p in known.items() if goods & p.mask} == {"courier", "resident"}
    assert not {n for n, p in known.items() if shut & p.mask}
    assert [known[n].speed_m_s for n in ("adult", "senior", "courier")] == [1.2, 1.0, 1.4]


# Spots a to e in a row, 400 m apart; c stands in the middle.
ROW = {"a": (0, 0), "b": (400, 0), "c": (800, 0), "d": (1200, 0), "e": (1600, 0)}


def crossing_allowed(
    plans: ModuleType, folder: Path, middle: dict[str, str], way: dict[str, str], **options: Any
) -> bool:
    """Tell whether one can walk from a to e over a tagged spot c and a tagged way b-c-d."""
    spots = {**ROW, "c": (800, 0, middle)}
    path = plans.write(
        folder / "row.osm.pbf", spots, [("a b", STREET), ("b c d", way), ("d e", STREET)]
    )
    network = WalkNetwork.from_pbf(path, **options)
    try:
        walk = network.route(plans.lonlat(0, 0), plans.lonlat(1600, 0))
    except NoRouteError:
        return False
    assert walk.length_m == pytest.approx(1600, abs=0.5)
    return True


@pytest.mark.parametrize(
    ("middle", "way", "passes"),
    [
        ("", "highway=footway", True),
        ("barrier=gate", "highway=footway", True),
        ("barrier=gate access=private", "highway=footway", False),
        ("barrier=gate locked=yes", "highway=footway", False),
        ("barrier=wall", "highway=footway", False),
        ("barrier=bollard", "highway=footway", True),
        ("", "highway=footway foot=no", False),
        ("", "highway=steps", True),
        ("", "highway=motorway", False),
        ("", "highway=trunk foot=yes", True),
        ("", "route=ferry", False),
        ("", "highway=footway oneway:foot=-1", False),
        ("", "highway=steps conveying=forward", True),
    ],
)
def test_what_stops_a_walk(
    street_plans: ModuleType, tmp_path: Path, middle: str, way: str, passes: bool
) -> None:
    assert crossing_allowed(street_plans, tmp_path, tags(middle), tags(way)) == passes


def test_a_private_gate_opens_to_residents(street_plans: ModuleType, tmp_path: Path) -> None:
    gate = {"barrier": "gate", "access": "private"}
    way = {"highway": "footway"}
    assert not crossing_allowed(street_plans, tmp_path, gate, way, profile="courier")
    assert crossing_allowed(street_plans, tmp_path, gate, way, profile="resident")
    public = WalkNetwork.from_pbf(tmp_path / "row.osm.pbf")
    ends = street_plans.lonlat(0, 0), street_plans.lonlat(1600, 0)
    assert public.route(*ends, profile="resident").length_m == pytest.approx(1600, abs=0.5)
    with pytest.raises(NoRouteError):
        public.route(*ends)
    assert public.with_profile("resident") is public.with_profile("resident")
    assert public.with_profile("resident").with_profile("adult") is public


def test_a_closed_gate_stops_a_walk_at_a_crossroads_too(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    spots = {**ROW, "c": (800, 0, {"barrier": "wall"}), "n": (800, 600), "s": (800, -600)}
    path = street_plans.write(
        tmp_path / "x.osm.pbf", spots, [("a b c d e", STREET), ("n c s", STREET)]
    )
    network = WalkNetwork.from_pbf(path)
    assert len(network.components) == 4
    assert network.length_m == pytest.approx(2800, abs=1)


def test_the_edge_of_a_plaza_relation_is_walked(street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {**ROW, "n": (800, 300)}
    path = street_plans.write(
        tmp_path / "plaza.osm.pbf",
        spots,
        [("a b", STREET), ("b n d", {}), ("d c b", {"source": "survey"}), ("d e", STREET)],
        areas=[([2, 3], {"highway": "pedestrian"})],
    )
    network = WalkNetwork.from_pbf(path)
    assert network.length_m == pytest.approx(800 + 1000 + 800, abs=1)
    assert len(network.components) == 1


def test_a_way_is_broken_where_the_extract_lacks_a_node(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    path = street_plans.write(tmp_path / "cut.osm.pbf", ROW, [("a b c d e", STREET)], missing=["c"])
    network = WalkNetwork.from_pbf(path)
    assert network.length_m == pytest.approx(800, abs=0.5)
    assert len(network.components) == 2
    assert network.source["nodes_missing"] == 1


def test_the_network_does_not_depend_on_the_order_of_ways(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    span = range(5)
    spots = {f"{i},{j}": (90.0 * i + 7 * j, 80.0 * j) for i in span for j in span}
    rows = [(" ".join(f"{i},{j}" for i in span), STREET) for j in span]
    columns = [(" ".join(f"{i},{j}" for j in span), {"highway": "footway"}) for i in span]
    back = [(" ".join(reversed(line.split())), tags) for line, tags in columns]
    one = WalkNetwork.from_pbf(street_plans.write(tmp_path / "1.osm.pbf", spots, rows + columns))
    two = WalkNetwork.from_pbf(street_plans.write(tmp_path / "2.osm.pbf", spots, back + rows))
    for name in contraction.Graph.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.graph, name), getattr(two.graph, name), name)


def test_lengths_are_those_on_the_ground() -> None:
    rng = np.random.default_rng(4)
    lon, lat = rng.uniform(73, 135, 500), rng.uniform(-65, 65, 500)
    other_lon, other_lat = lon + rng.normal(0, 0.01, 500), lat + rng.normal(0, 0.01, 500)
    ours = segments.ground_length_m(lon, lat, other_lon, other_lat)
    *_, true = pyproj.Geod(ellps="WGS84").inv(lon, lat, other_lon, other_lat)
    np.testing.assert_allclose(ours, true, rtol=1e-6)


@st.composite
def plans(draw: st.DrawFn) -> segments.Segments:
    """Random street segments, some one-way, some points with a closed barrier."""
    count = draw(st.integers(2, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pairs = rng.integers(0, count, (draw(st.integers(1, 24)), 2))
    refs = pairs.ravel().astype(np.int64)
    masks = rng.choice([0, 1], (len(pairs), 2), p=[0.2, 0.8]).astype(np.uint8)
    lon = 113.8 + rng.uniform(0, 0.01, count)
    lat = 34.0 + rng.uniform(0, 0.01, count)
    closed = np.flatnonzero(rng.random(count) < 0.1)
    return segments.join(
        refs, lon[refs], lat[refs], np.repeat(np.arange(len(pairs)), 2),
        np.repeat(masks[:, 0], 2), np.repeat(masks[:, 1], 2),
        barrier_ids=closed.astype(np.int64), barrier_masks=np.zeros(closed.size, np.uint8),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(plans())
def test_contraction_keeps_every_distance(streets: segments.Segments) -> None:
    plain = nx.DiGraph()
    length = segments.ground_length_m(
        streets.lon[streets.tail], streets.lat[streets.tail],
        streets.lon[streets.head], streets.lat[streets.head],
    )  # fmt: skip
    for a, b, up, down, metres in zip(
        streets.tail, streets.head, streets.forward, streets.backward, length, strict=True
    ):
        if up:
            plain.add_edge(int(a), int(b), m=metres)
        if down:
            plain.add_edge(int(b), int(a), m=metres)
    for closed in streets.barriers.tolist():
        if closed in plain:
            plain.remove_node(closed)

    graph = contraction.contract(streets, mask=1, plane=Plane.of(4547))
    walked = nx.MultiDiGraph()
    walked.add_nodes_from(range(graph.node_x.size))
    for a, b, up, down, cm in zip(
        graph.tail, graph.head, graph.forward, graph.backward, graph.length_cm, strict=True
    ):
        if up:
            walked.add_edge(int(a), int(b), cm=int(cm))
        if down:
            walked.add_edge(int(b), int(a), cm=int(cm))
    row = np.searchsorted(streets.osm_ids, graph.node_osm_ids)
    shut = set(streets.barriers.tolist())
    for node in walked:
        if int(row[node]) in shut:
            continue
        ours = nx.single_source_dijkstra_path_length(walked, node, weight="cm")
        true = nx.single_source_dijkstra_path_length(plain, int(row[node]), weight="m")
        open_ends = {int(row[n]): cm for n, cm in ours.items() if int(row[n]) not in shut}
        junctions = {int(row[n]) for n in walked} & true.keys()
        assert open_ends.keys() == junctions
        for there, cm in open_ends.items():
            assert cm / 100 == pytest.approx(true[there], abs=0.006 * graph.tail.size)
    usable = (streets.forward | streets.backward) > 0
    assert graph.length_cm.sum() / 100 == pytest.approx(
        length[usable].sum(), abs=0.006 * graph.tail.size
    )


@pytest.fixture(scope="module")
def town(street_plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> WalkNetwork:
    """A lattice of 12 by 12 streets, and a courtyard of 40 m that leads nowhere."""
    return WalkNetwork.from_pbf(
        street_plans.lattice(tmp_path_factory.mktemp("town") / "town.osm.pbf", 6)
    )


def test_facts_of_a_lattice(town: WalkNetwork) -> None:
    assert (town.node_count, town.plane, town.profile) == (169 - 4, "EPSG:4547", "adult")
    assert town.edge_count == 2 * 12 * 13 - 4
    assert town.length_m == pytest.approx(2 * 13 * 1200, rel=1e-5)
    assert town.components.tolist() == [town.length_m]
    assert set(town.graph.component.tolist()) == {0}
    assert town.source["ways_walkable"] == 26


def test_snapping(town: WalkNetwork, street_plans: ModuleType) -> None:
    spot = town.snap(*street_plans.lonlat(30, 12))
    assert spot.snap_distance_m[0] == pytest.approx(12, abs=0.02)
    edge = int(spot.edge[0])
    ends = sorted((spot.offset_m[0], town.graph.length_cm[edge] / 100 - spot.offset_m[0]))
    assert ends == pytest.approx([30, 70], abs=0.03)
    with pytest.raises(InputError, match="No walkable street lies within 300") as refused:
        town.snap(*street_plans.lonlat(0, 1000))
    assert refused.value.details["distance_m"] == 400
    assert town.snap(*street_plans.lonlat(0, 1000), limit_m=500).found.all()
    many = town.snap_all(*zip(street_plans.lonlat(0, 0), street_plans.lonlat(0, 2000), strict=True))
    assert many.found.tolist() == [True, False]


def test_places_in_other_datums_snap_to_the_same_spot(
    town: WalkNetwork, street_plans: ModuleType
) -> None:
    from geo_service import crs

    lon, lat = street_plans.lonlat(130, 12)
    here = town.snap(lon, lat)
    for datum in ("gcj02", "bd09", "EPSG:4547"):
        x, y = crs.from_wgs84(lon, lat, datum=datum)
        there = town.snap(float(x), float(y), datum=datum)
        assert (there.edge[0], there.offset_m[0]) == pytest.approx(
            (here.edge[0], here.offset_m[0]), abs=0.02
        )


def test_a_courtyard_that_leads_nowhere_is_no_way_in(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    spots = {"a": (0, 0), "b": (12_000, 0), "c": (500, 40), "d": (900, 40)}
    path = street_plans.write(tmp_path / "yard.osm.pbf", spots, [("a b", STREET), ("c d", STREET)])
    network = WalkNetwork.from_pbf(path)
    spot = network.snap(*street_plans.lonlat(700, 45))
    assert spot.snap_distance_m[0] == pytest.approx(45, abs=0.1)
    assert spot.refused_distance_m[0] == pytest.approx(5, abs=0.1)
    assert np.isnan(network.snap(*street_plans.lonlat(700, 5)).refused_distance_m[0])


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [
        (34.03, 113.85, "lonlat_swapped"),
        (float("nan"), 34.03, "lonlat_out_of_range"),
        (486000, 3767000, "lonlat_out_of_range"),
    ],
)
def test_places_that_are_none(town: WalkNetwork, lon: float, lat: float, code: str) -> None:
    with pytest.raises(InputError) as refused:
        town.snap(lon, lat)
    assert refused.value.code == code


def test_save_and_load(town: WalkNetwork, tmp_path: Path) -> None:
    town.save(tmp_path / "streets")
    town.save(tmp_path / "again.npz")
    assert (tmp_path / "streets").read_bytes() == (tmp_path / "again.npz").read_bytes()
    back = WalkNetwork.load(tmp_path / "streets")
    assert (back.source, back.plane, back.profile) == (town.source, town.plane, town.profile)
    for name in contraction.Graph.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back.graph, name), getattr(town.graph, name), name)
    assert WalkNetwork.load(tmp_path / "streets", profile="senior").speed_m_s() == 1.0


def test_files_that_are_refused(
    town: WalkNetwork, street_plans: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(MissingError, match=r"none\.osm\.pbf"):
        WalkNetwork.from_pbf(tmp_path / "none.osm.pbf")
    (tmp_path / "bad.osm.pbf").write_bytes(b"this is no extract" * 20)
    with pytest.raises(InputError, match="not a readable OSM PBF"):
        WalkNetwork.from_pbf(tmp_path / "bad.osm.pbf")
    whole = street_plans.lattice(tmp_path / "whole.osm.pbf", 3).read_bytes()
    (tmp_path / "half.osm.pbf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable OSM PBF"):
        WalkNetwork.from_pbf(tmp_path / "half.osm.pbf")
    motorway = street_plans.write(tmp_path / "m.osm.pbf", ROW, [("a e", {"highway": "motorway"})])
    with pytest.raises(InputError, match="no walkable street"):
        WalkNetwork.from_pbf(motorway)
    with pytest.raises(MissingError, match="no profile"):
        WalkNetwork.from_pbf(motorway, profile="bird")
    with pytest.raises(InputError, match="not in metres"):
        WalkNetwork.from_pbf(street_plans.lattice(tmp_path / "x.osm.pbf", 2), plane=4490)
    with pytest.raises(MissingError):
        WalkNetwork.load(tmp_path / "none")
    with pytest.raises(InputError, match="can't be read"):
        WalkNetwork.load(tmp_path / "bad.osm.pbf")
    with pytest.raises(InputError, match="can't be written"):
        town.save(tmp_path / "no folder" / "x")


def test_progress_rises_to_one(street_plans: ModuleType, tmp_path: Path) -> None:
    told: list[float] = []
    WalkNetwork.from_pbf(street_plans.lattice(tmp_path / "p.osm.pbf", 3), on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "kilometres", "share"),
    [("ninghua_fujian", 18.7, 1.0), ("guixi_jiangxi", 115.5, 0.99), ("beijing_tsinghua", 108, 0.9)],
)
def test_real_extracts(real_data: Path, name: str, kilometres: float, share: float) -> None:
    network = WalkNetwork.from_pbf(real_data / "osm" / f"{name}.osm.pbf")
    assert network.length_m / 1000 == pytest.approx(kilometres, rel=0.02)
    assert network.components[0] / network.length_m >= share


@pytest.mark.real
def test_a_city_saved_and_opened(real_data: Path, tmp_path: Path) -> None:
    network = WalkNetwork.from_pbf(real_data / "osm" / "heidelberg.osm.pbf")
    # 3,585 km of ways, and 65 km straight across plazas and car parks.
    assert network.length_m / 1000 == pytest.approx(3650, rel=0.01)
    network.save(tmp_path / "streets")
    for walker in profiles():
        opened = WalkNetwork.load(tmp_path / "streets", profile=walker)
        built = network.with_profile(walker)
        for name in contraction.Graph.__dataclass_fields__:
            np.testing.assert_array_equal(
                getattr(opened.graph, name), getattr(built.graph, name), name
            )
        assert not isinstance(opened.graph.arcs.base, np.ndarray)  # mapped, not read
