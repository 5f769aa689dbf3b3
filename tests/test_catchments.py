"""Catchments against drawn shapes and against brute force over many places."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service import catchments, cli
from geo_service.catchments import degrees, outlines
from geo_service.errors import InputError
from geo_service.streets import WalkNetwork

STREET = {"highway": "residential"}
SENIOR = 3.6  # km/h: one metre a second


@pytest.fixture(scope="module")
def town(street_plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> WalkNetwork:
    """Crooked streets with a park in the middle, a dead end, a one-way street, a way out."""
    span = range(-6, 7)
    rng = np.random.default_rng(2)
    shift = rng.normal(0, 18, (13, 13, 2))
    spots = {
        f"{i},{j}": (120 * i + shift[i, j, 0], 140 * j + shift[i, j, 1])
        for i in span for j in span if max(abs(i), abs(j)) > 1
    }  # fmt: skip
    spots |= {"far": (2200, 30), "end": (300, 340)}
    lines = [[f"{i},{j}" for i in span] for j in span] + [[f"{i},{j}" for j in span] for i in span]
    streets = []
    for number, line in enumerate(lines):
        tags = {"highway": "footway", "oneway:foot": "yes"} if number == 3 else STREET
        runs = " ".join(name if name in spots else "/" for name in line).split("/")
        streets += [(run.strip(), tags) for run in runs if len(run.split()) > 1]
    streets += [("6,0 far", STREET), ("2,2 end", STREET)]
    path = street_plans.write(tmp_path_factory.mktemp("town") / "t.osm.pbf", spots, streets)
    return WalkNetwork.from_pbf(path)


class Truth:
    """Walks from one place by networkx and shapely: the definition, place by place."""

    def __init__(self, network: WalkNetwork, lon: float, lat: float) -> None:
        self.graph, self.origin = network.graph, network.snap(lon, lat)
        self.edge, self.offset = int(self.origin.edge[0]), float(self.origin.offset_m[0])
        self.lengths = network.components
        exported = network.to_networkx()
        exported.add_node("origin")
        if self.graph.backward[self.edge]:
            exported.add_edge("origin", int(self.graph.tail[self.edge]), cm=100 * self.offset)
        if self.graph.forward[self.edge]:
            rest = self.graph.length_cm[self.edge] - 100 * self.offset
            exported.add_edge("origin", int(self.graph.head[self.edge]), cm=rest)
        self.cm = nx.single_source_dijkstra_path_length(exported, "origin", weight="cm")

    def on_street(self, edge: int, at: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Metres walked to spots of one chain."""
        graph, walk = self.graph, np.full(len(at), np.inf)
        if graph.forward[edge]:
            walk = np.minimum(walk, self.cm.get(int(graph.tail[edge]), np.inf) / 100 + at)
        if graph.backward[edge]:
            back = graph.length_cm[edge] / 100 - at
            walk = np.minimum(walk, self.cm.get(int(graph.head[edge]), np.inf) / 100 + back)
        if edge == self.edge:
            ahead = at - self.offset
            open_way = np.where(ahead >= 0, graph.forward[edge], graph.backward[edge])
            walk = np.where(open_way, np.minimum(walk, abs(ahead)), walk)
        return walk + float(self.origin.snap_distance_m[0])

    def at_places(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], *, reach: str
    ) -> npt.NDArray[np.float64]:
        """Metres walked to places in the plane, by streets of pieces that one may start from."""
        graph = self.graph
        starts = np.delete(np.arange(graph.shape_x.size - 1), graph.shape_start[1:-1] - 1)
        chain = np.repeat(np.arange(graph.tail.size), np.diff(graph.shape_start) - 1)
        long = self.lengths >= min(1000.0, self.lengths[0] / 10)
        kept = long[graph.component[graph.tail[chain]]]
        starts, chain = starts[kept], chain[kept]
        vertices = np.column_stack((graph.shape_x, graph.shape_y))
        lines = shapely.linestrings(np.stack((vertices[starts], vertices[starts + 1]), axis=1))
        places, tree = shapely.points(x, y), shapely.STRtree(lines)
        if reach == "nearest":
            asked, segment = tree.query_nearest(places, all_matches=False)
        else:
            asked, segment = tree.query(places, predicate="dwithin", distance=100.0)
        off_m = shapely.distance(places[asked], lines[segment])
        share = shapely.line_locate_point(lines[segment], places[asked], normalized=True)
        first, last = graph.shape_cm[starts[segment]], graph.shape_cm[starts[segment] + 1]
        at = (first + share * (last - first)) / 100
        total = np.full(len(asked), np.inf)
        for edge in np.unique(chain[segment]).tolist():
            here = chain[segment] == edge
            total[here] = self.on_street(edge, at[here]) + off_m[here]
        total[off_m > 100.0] = np.inf
        best = np.full(len(places), np.inf)
        np.minimum.at(best, asked, total)
        return best


def f1(
    network: WalkNetwork, lon: float, lat: float, *, reach: str, minutes: float = 15, seed: int = 0,
    count: int = 5000,
) -> float:  # fmt: skip
    """F1 of a catchment over random places around the origin."""
    area = network.catchment(lon, lat, minutes=minutes, reach=reach)
    limit = float(area.limit_m.iloc[0])
    polygon = area.to_crs(network.plane).geometry.iloc[0]
    x0, y0 = network.to_plane(lon, lat)
    rng = np.random.default_rng(seed)
    x = float(x0) + rng.uniform(-limit, limit, count)
    y = float(y0) + rng.uniform(-limit, limit, count)
    inside = shapely.contains_xy(polygon, x, y)
    true = Truth(network, lon, lat).at_places(x, y, reach=reach) <= limit
    return 2 * np.sum(inside & true) / (np.sum(inside) + np.sum(true))


def test_a_straight_street_gives_two_triangles_cut_at_a_hundred_metres(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    spots = {"a": (-1500, 0), "b": (1500, 0)}
    path = street_plans.write(tmp_path / "line.osm.pbf", spots, [("a b", STREET)])
    network = WalkNetwork.from_pbf(path, profile="senior")
    found = network.catchment(*street_plans.lonlat(0, 0), minutes=5)
    # |x| + |y| <= 300 m and |y| <= 100 m.
    corners = [(300, 0), (200, 100), (-200, 100), (-300, 0), (-200, -100), (200, -100)]
    true = shapely.Polygon([street_plans.lonlat(*corner) for corner in corners])
    drawn = found.geometry.iloc[0]
    assert drawn.symmetric_difference(true).area / true.area < 0.03
    assert found.area_m2.iloc[0] == pytest.approx(100_000, rel=0.01)
    assert found.reached_m.iloc[0] == pytest.approx(600, abs=0.1)
    assert found.limit_m.iloc[0] == 300


def test_the_frame(town: WalkNetwork, street_plans: ModuleType) -> None:
    lon, lat = street_plans.lonlat(360, 20)
    found = town.catchment(lon, lat, minutes=(5, 10, 15))
    assert isinstance(found, gpd.GeoDataFrame)
    assert found.crs == 4326
    assert list(found.columns) == [
        "origin", "minutes", "lon", "lat", "speed_kmh", "limit_m", "snap_distance_m", "reached_m",
        "area_m2", "piece_km", "refused_m", "refused_km", "closed_gates", "note_zh", "note_en",
        "geometry",
    ]  # fmt: skip
    assert found.minutes.tolist() == [5, 10, 15]
    assert found.limit_m.tolist() == [360, 720, 1080]
    assert set(found.geom_type) == {"MultiPolygon"}
    np.testing.assert_allclose(found.to_crs(town.plane).area, found.area_m2, rtol=1e-6)
    assert (found.speed_kmh == pytest.approx(4.32)) is True or found.speed_kmh.round(2).eq(
        4.32
    ).all()
    assert found.reached_m.is_monotonic_increasing


def test_street_reached_is_what_lies_within(town: WalkNetwork, street_plans: ModuleType) -> None:
    lon, lat = street_plans.lonlat(300, 10)
    found = town.catchment(lon, lat, minutes=(2, 7, 200))
    graph, truth = town.graph, Truth(town, lon, lat)
    reached = []
    for limit in found.limit_m:
        total = 0.0
        for e in range(town.edge_count):
            part = slice(graph.shape_start[e], graph.shape_start[e + 1])
            line = shapely.LineString(np.column_stack((graph.shape_x[part], graph.shape_y[part])))
            at = np.arange(0.5, line.length, 1.0)
            points = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
            walks = truth.on_street(e, at * graph.length_cm[e] / 100 / line.length)
            total += line.length * np.mean(walks <= limit) if len(points) else 0.0
        reached.append(total)
    assert found.reached_m.tolist() == pytest.approx(reached, rel=0.005)
    assert found.reached_m.iloc[2] == pytest.approx(town.length_m)


@pytest.mark.parametrize("minutes", [1, 4, 9, 200])
def test_reached_streets_are_lines_with_minutes(
    town: WalkNetwork, street_plans: ModuleType, minutes: float
) -> None:
    for spot in [(300, 10), (240, 300), (900, 20), (-360, -420)]:
        lon, lat = street_plans.lonlat(*spot)
        found = catchments.reached_edges(town, lon, lat, minutes=minutes, speed_kmh=SENIOR)
        area = town.catchment(lon, lat, minutes=minutes, speed_kmh=SENIOR).iloc[0]
        assert found.length_m.sum() == pytest.approx(area.reached_m, abs=0.02)
        np.testing.assert_allclose(found.to_crs(town.plane).length, found.length_m, atol=0.1)
        assert (found.minutes_from <= found.minutes_to).all()
        assert found.minutes_to.max() <= minutes + 1e-9
        truth = Truth(town, lon, lat)
        middle = found.to_crs(town.plane).interpolate(0.5, normalized=True)
        walks = truth.at_places(middle.x.to_numpy(), middle.y.to_numpy(), reach="nearest")
        said = 60 * (found.minutes_from + found.minutes_to) / 2
        np.testing.assert_allclose(said, walks, atol=0.15)


@pytest.mark.parametrize("reach", ["nearest", "any"])
def test_a_catchment_holds_the_places_it_should(
    town: WalkNetwork, street_plans: ModuleType, reach: str
) -> None:
    scores = [
        f1(town, *street_plans.lonlat(*spot), reach=reach, minutes=9, seed=seed)
        for seed, spot in enumerate([(310, 60), (-500, 420), (900, 20)])
    ]
    assert min(scores) > 0.985


def test_a_park_without_paths_is_a_hole(town: WalkNetwork, street_plans: ModuleType) -> None:
    found = town.catchment(*street_plans.lonlat(250, 0), minutes=20)
    park = shapely.Point(street_plans.lonlat(0, 0))
    assert any(
        shapely.Polygon(hole).contains(park)
        for part in found.geometry.iloc[0].geoms
        for hole in part.interiors
    )


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-700, 1500), y=st.floats(-700, 700),
    reach=st.sampled_from(["nearest", "any"]), speed=st.floats(1.0, 6.0),
)  # fmt: skip
def test_areas_are_valid_and_nested(
    town: WalkNetwork, street_plans: ModuleType, x: float, y: float, reach: str, speed: float
) -> None:
    lon, lat = street_plans.lonlat(x, y)
    try:
        found = town.catchment(lon, lat, minutes=(5, 10, 15), reach=reach, speed_kmh=speed)
    except InputError:
        return
    assert found.is_valid.all()
    small, middle, large = found.geometry
    assert small.is_empty or middle.covers(small)
    assert middle.is_empty or large.covers(middle)
    assert found.area_m2.is_monotonic_increasing


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(-700, 1200), y=st.floats(-250, 250), reach=st.sampled_from(["nearest", "any"])
)  # fmt: skip
def test_smooth_areas_are_valid_nested_and_true(
    town: WalkNetwork, street_plans: ModuleType, x: float, y: float, reach: str
) -> None:
    lon, lat = street_plans.lonlat(x, y)
    plain = town.catchment(lon, lat, minutes=(10, 5, 15), reach=reach)
    smooth = town.catchment(lon, lat, minutes=(10, 5, 15), reach=reach, smooth=True)
    assert smooth.is_valid.all()
    middle, small, large = smooth.geometry
    assert small.is_empty or middle.buffer(1e-9).covers(small)
    assert middle.is_empty or large.buffer(1e-9).covers(middle)
    for one, other in zip(plain.geometry, smooth.geometry, strict=True):
        both = one.intersection(other).area
        assert one.is_empty or 2 * both / (one.area + other.area) > 0.97
    assert (
        shapely.get_num_coordinates(smooth.geometry) <= shapely.get_num_coordinates(plain.geometry)
    ).all()
    np.testing.assert_allclose(smooth.to_crs(town.plane).area, smooth.area_m2, rtol=1e-6, atol=1)


@pytest.mark.parametrize("smooth", [False, True])
def test_geojson_says_the_same(town: WalkNetwork, street_plans: ModuleType, smooth: bool) -> None:
    places = np.array([street_plans.lonlat(*spot) for spot in [(250, 0), (9000, 0), (-400, 300)]])
    options = {"minutes": (5, 20), "smooth": smooth}
    frame = town.catchment(places[:, 0], places[:, 1], **options)
    body = json.loads(catchments.geojson(town, places[:, 0], places[:, 1], **options))
    read = gpd.GeoDataFrame.from_features(body, crs=4326)
    assert read.geometry.is_valid.all()
    assert [g.geom_type for g in read.geometry] == ["MultiPolygon"] * 6
    for one, other in zip(frame.geometry, read.geometry, strict=True):
        assert shapely.equals_exact(one.normalize(), other.normalize(), 2e-8)
    for name in frame.columns.drop("geometry"):
        assert read[name].isna().tolist() == frame[name].isna().tolist()
        kept = frame[name].notna()
        assert read[name][kept].tolist() == frame[name][kept].tolist()


def test_what_an_answer_says_of_itself(street_plans: ModuleType, tmp_path: Path) -> None:
    gate = {"barrier": "gate", "access": "private"}
    spots = {
        "a": (-1100, 0), "g": (0, 0, gate), "b": (3000, 0), "c": (0, 300), "d": (3000, 300),
        "e": (500, 100), "f": (800, 100), "h": (200, 2500), "i": (1400, 2500),
    }  # fmt: skip
    streets = [("a g", STREET), ("g b d c", STREET), ("e f", STREET), ("h i", STREET)]
    network = WalkNetwork.from_pbf(street_plans.write(tmp_path / "g.osm.pbf", spots, streets))

    def answer(x: float, y: float) -> Any:
        lon, lat = street_plans.lonlat(x, y)
        return network.catchment([lon], [lat]).iloc[0]

    open_street = answer(1500, 10)
    assert (open_street.piece_km, open_street.closed_gates) == (6.3, 0)
    assert open_street.note_en == ""
    assert np.isnan(open_street.refused_m)
    compound = answer(-900, 10)
    assert (compound.piece_km, compound.closed_gates) == (1.1, 1)
    assert "connect to no others" in compound.note_en
    assert "1 gates or barriers" in compound.note_en
    assert "1 处门" in compound.note_zh
    beside_island = answer(600, 90)
    assert beside_island.refused_m == pytest.approx(10, abs=0.1)
    assert beside_island.refused_km == pytest.approx(0.3, abs=0.001)
    assert "lead nowhere" in beside_island.note_en
    assert "孤立" in beside_island.note_zh
    assert "m away, beyond" in network.catchment(
        *street_plans.lonlat(1500, -150), minutes=2, speed_kmh=SENIOR
    ).note_en[0]  # fmt: skip
    assert "No walkable street within 300 m" in answer(0, 9000).note_en
    with pytest.raises(InputError) as refused:
        network.catchment(*street_plans.lonlat(700, 9000))
    assert refused.value.code == "street_too_far"
    assert refused.value.details["distance_m"] == pytest.approx(6500, abs=2)


@pytest.mark.parametrize("minutes", [0, -5, float("nan"), 1e6])
def test_minutes_that_are_none(town: WalkNetwork, street_plans: ModuleType, minutes: float) -> None:
    with pytest.raises(InputError, match="minutes"):
        town.catchment(*street_plans.lonlat(300, 0), minutes=minutes)


def test_ten_hours_reach_the_whole_town(town: WalkNetwork, street_plans: ModuleType) -> None:
    found = town.catchment(*street_plans.lonlat(300, 0), minutes=600).iloc[0]
    assert found.reached_m == pytest.approx(town.length_m)
    assert found.geometry.is_valid


@pytest.mark.parametrize("spread_m", [0.0, 400.0, 5000.0, 90_000.0])
def test_degrees_of_many_vertices_are_those_of_each(town: WalkNetwork, spread_m: float) -> None:
    rng = np.random.default_rng(int(spread_m))
    x, y = town.graph.node_x.mean(), town.graph.node_y.mean()
    places = np.array([x, y]) + rng.uniform(-spread_m, spread_m, (4000, 2))
    places[0] = np.floor(places.min(axis=0) / 1000) * 1000  # on a node of the lattice
    found = degrees.to_lonlat(town, places)
    np.testing.assert_allclose(found, np.column_stack(town.to_lonlat(*places.T)), atol=2e-10)
    for part in (slice(0, 5), slice(2000, 4000)):  # whatever comes with a vertex
        np.testing.assert_array_equal(found[part], degrees.to_lonlat(town, places[part]))
    assert degrees.to_lonlat(town, np.empty((0, 2))).shape == (0, 2)


def test_asking_for_more_minutes_changes_none(town: WalkNetwork, street_plans: ModuleType) -> None:
    place = street_plans.lonlat(360, 20)
    alone = town.catchment(*place, minutes=7).geometry.iloc[0]
    among = town.catchment(*place, minutes=(12, 7)).geometry.iloc[1]
    assert shapely.to_wkb(alone.normalize()) == shapely.to_wkb(among.normalize())


def test_many_places_at_once(town: WalkNetwork, street_plans: ModuleType) -> None:
    places = np.array([street_plans.lonlat(*spot) for spot in [(300, 0), (9000, 0), (-400, 300)]])
    found = town.catchment(places[:, 0], places[:, 1], minutes=(4, 8))
    assert found.origin.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.is_empty.tolist() == [False, False, True, True, False, False]
    assert found.snap_distance_m[2] == pytest.approx(6800, abs=50)
    one = town.catchment(*places[2], minutes=8)
    assert shapely.to_wkb(one.geometry.iloc[0]) == shapely.to_wkb(found.geometry.iloc[5])
    with pytest.raises(InputError, match="No walkable street"):
        town.catchment(*places[1])


def test_profile_and_speed_set_the_limit(town: WalkNetwork, street_plans: ModuleType) -> None:
    place = street_plans.lonlat(300, 0)
    senior = town.catchment(*place, minutes=10, profile="senior")
    assert senior.limit_m.iloc[0] == 600
    slow = town.catchment(*place, minutes=10, speed_kmh=SENIOR)
    assert shapely.to_wkb(slow.geometry.iloc[0]) == shapely.to_wkb(senior.geometry.iloc[0])
    assert town.catchment(*place, minutes=10, speed_kmh=4.67).limit_m.iloc[0] == 778.33


def test_long_walks_take_wider_cells(town: WalkNetwork, street_plans: ModuleType) -> None:
    hours = town.catchment(*street_plans.lonlat(300, 0), minutes=240)
    assert hours.reached_m.iloc[0] == pytest.approx(town.length_m)
    assert hours.is_valid.all()
    fine = town.catchment(*street_plans.lonlat(300, 0), minutes=30, cell_m=5)
    assert fine.area_m2.iloc[0] == pytest.approx(hours.area_m2.iloc[0], rel=0.1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"minutes": 0}, "minutes"),
        ({"minutes": (5, -1)}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"minutes": ()}, "minutes"),
        ({"speed_kmh": 0}, "speed_kmh"),
        ({"reach": "far"}, "reach"),
        ({"cell_m": 0.0}, "cell_m"),
    ],
)
def test_bad_parameters(
    town: WalkNetwork, street_plans: ModuleType, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(InputError, match=name):
        town.catchment(*street_plans.lonlat(300, 0), **options)


def test_the_longest_leg_is_named() -> None:
    assert catchments.LEG_LIMIT_M == 100.0


@pytest.mark.real
@pytest.mark.parametrize("name", ["ninghua_fujian", "guixi_jiangxi", "beijing_tsinghua"])
def test_real_catchments_hold_the_places_they_should(real_data: Path, name: str) -> None:
    network = WalkNetwork.from_pbf(real_data / "osm" / f"{name}.osm.pbf")
    main = np.flatnonzero(network.graph.component == 0)
    nodes = np.random.default_rng(6).choice(main, 6, replace=False)
    for reach, mean, worst in (("nearest", 0.99, 0.98), ("any", 0.98, 0.97)):
        scores = [
            f1(network, *(network.node_lonlat[node] + [4e-4, 2e-4]), reach=reach, seed=int(node))
            for node in nodes
        ]
        assert np.mean(scores) > mean
        assert min(scores) > worst


def test_many_origins_of_a_table_go_into_one_file_with_their_own_columns(
    street_plans: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spots = {"a": (0, 0), "b": (2000, 0)}
    extract = street_plans.write(tmp_path / "one.osm.pbf", spots, [("a b", STREET)])
    places = [street_plans.lonlat(*xy) for xy in [(200, 5), (900, 5), (900, 4000)]]
    rows = [f"00{n},格{n},{n},{lon},{lat}" for n, (lon, lat) in enumerate(places)]
    table = tmp_path / "points.csv"
    table.write_text("\n".join(["code,name,minutes,lon,lat", *rows]), encoding="utf-8")
    for file in (tmp_path / "areas.parquet", tmp_path / "areas.gpkg"):
        asked = ["catchment", "--csv", str(table), "--streets", str(extract), "-o", str(file)]
        with pytest.raises(SystemExit) as ended:
            cli.main([*asked, "--minutes", "5,10"])
        assert ended.value.code == 0
        assert "1 of 3 origins have no street" in capsys.readouterr().out
        read = gpd.read_parquet if file.suffix == ".parquet" else gpd.read_file
        found = read(file)
        assert found["code"].tolist() == ["000", "000", "001", "001", "002", "002"]
        assert found["origin_minutes"].tolist() == ["0", "0", "1", "1", "2", "2"]
        assert found.geometry.is_empty.tolist() == [False] * 4 + [True] * 2
        alone = WalkNetwork.from_pbf(extract).catchment(*places[1], minutes=(5, 10))
        assert found.geometry[2:4].reset_index(drop=True).geom_equals(alone.geometry).all()


def test_json_written_byte_by_byte_says_what_the_degrees_are() -> None:
    at = [0.0, 1e-8, -1e-8, -4e-9, 9.99999999, 10.0, 99.999999996, -179.99999999, 180.0, 8.1200001]
    places = np.array([(x, -x / 2) for x in at], float)
    rings = outlines.Rings(places, np.array([0, 4, 7, 10]), np.array([-1, 0, -1], np.int32), 0.0)
    first, hole, second = (np.round(places[a:b], 8).tolist() for a, b in ((0, 4), (4, 7), (7, 10)))
    assert json.loads(rings.coordinates()) == [[first, hole], [second]]
    nothing = outlines.Rings(places[:0], np.zeros(1, np.int64), np.empty(0, np.int32), 0.0)
    assert json.loads(nothing.coordinates()) == []
