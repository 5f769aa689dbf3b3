"""The demo city: exact, complete, the same every time, and plainly synthetic."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import pytest
import shapely

from geo_service import boundary_files, coverage, crs, demo_city
from geo_service.demo_city import DemoCity
from geo_service.errors import InputError
from geo_service.streets import WalkNetwork

LEVELS = ("outline", "counties", "townships", "communities", "grids")
WALKED = {"residential", "tertiary", "secondary", "footway", "path", "steps", "service"}


@pytest.fixture(scope="module", params=(120, 300, 1000))
def city(request: pytest.FixtureRequest) -> Iterator[DemoCity]:
    if request.param == 300:
        yield request.getfixturevalue("small_city")
    else:
        yield demo_city.make(grids=request.param)


@pytest.fixture(scope="module")
def files(small_city: DemoCity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return demo_city.write(small_city, tmp_path_factory.mktemp("demo"))


# --- the tiling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [120, 121, 137])
def test_there_are_exactly_as_many_grids_as_asked(count: int) -> None:
    made = demo_city.make(grids=count).grids
    assert len(made) == count
    assert made["code"].is_unique


def test_fewer_grids_than_townships_need_are_refused() -> None:
    with pytest.raises(InputError, match="120"):
        demo_city.make(grids=119)


def test_every_level_tiles_the_one_above(city: DemoCity) -> None:
    outline = city.outline.geometry.union_all()
    for level in LEVELS[1:]:
        polygons = getattr(city, level).geometry.to_numpy()
        assert shapely.is_valid(polygons).all()
        assert shapely.coverage_is_valid(polygons)
        assert shapely.area(polygons).sum() == pytest.approx(outline.area, abs=1e-3)
        assert coverage.certificate(polygons, outline).clean


def test_every_parent_is_tiled_by_its_own_children(city: DemoCity) -> None:
    for upper, lower in itertools.pairwise(LEVELS):
        children = getattr(city, lower)
        for parent in getattr(city, upper).itertuples():
            mine = children[children["parent_code"] == parent.code]
            assert len(mine) >= 1, parent.code
            assert coverage.certificate(mine.geometry.to_numpy(), parent.geometry).clean


def test_vertices_of_parents_are_vertices_of_children(city: DemoCity) -> None:
    for upper, lower in itertools.pairwise(LEVELS):
        above, below = (_vertices(getattr(city, level)) for level in (upper, lower))
        assert above <= below


def test_micro_grids_tile_their_grids(city: DemoCity) -> None:
    township = city.townships[city.townships["name"] == "文峰街道"]["code"].iloc[0]
    cut = city.grids[city.grids["code"].str.startswith(township)]
    assert set(city.micro_grids["parent_code"]) == set(cut["code"])
    assert city.micro_grids["code"].is_unique
    for grid in cut.itertuples():
        mine = city.micro_grids[city.micro_grids["parent_code"] == grid.code]
        assert coverage.certificate(mine.geometry.to_numpy(), grid.geometry).clean
        assert mine["households"].sum() == grid.households
        assert mine["code"].str.startswith(grid.code).all()


def test_every_layer_passes_its_own_check(city: DemoCity) -> None:
    for level in (*LEVELS[1:], "micro_grids"):
        within = None if level == "micro_grids" else city.outline
        report = coverage.check(getattr(city, level), within=within)
        assert report.verdict == "clean", report.faults[["kind", "message_en"]].to_string()


def test_borders_bend_as_real_ones_do(city: DemoCity) -> None:
    vertices = city.grids.geometry.count_coordinates()
    assert vertices.between(60, 150).mean() > 0.8
    assert city.grids.geometry.geom_type.eq("Polygon").all()


# --- names and codes -----------------------------------------------------------------------------


def test_counties_and_townships_are_the_real_ones(city: DemoCity) -> None:
    path = resources.files("geo_service") / "defaults" / "xuchang_townships.csv"
    with path.open(encoding="utf-8") as file:
        real = pd.read_csv(file, dtype=str)
    assert len(city.townships) == len(real) == 105
    named = dict(zip(city.townships["code"], city.townships["name"], strict=True))
    assert named == dict(zip(real["code"], real["name"], strict=True))
    assert dict(zip(city.counties["code"], city.counties["name"], strict=True)) == {
        "411002": "魏都区", "411003": "建安区", "411024": "鄢陵县",
        "411025": "襄城县", "411081": "禹州市", "411082": "长葛市",
    }  # fmt: skip


def test_codes_say_their_parents(city: DemoCity) -> None:
    for level, digits in (("communities", 12), ("grids", 15), ("micro_grids", 18)):
        layer = getattr(city, level)
        assert layer["code"].str.fullmatch(rf"\d{{{digits}}}").all()
        assert (layer["code"].str[:-3] == layer["parent_code"]).all()
    named = city.communities.groupby("parent_code")["name"].nunique()
    assert (named == city.communities.groupby("parent_code").size()).all()


def test_the_same_seed_makes_the_same_city(small_city: DemoCity) -> None:
    again = demo_city.make(grids=300)
    for level in (*LEVELS, "micro_grids"):
        one, two = getattr(small_city, level), getattr(again, level)
        assert (one.geometry.to_wkb() == two.geometry.to_wkb()).all()
        pd.testing.assert_frame_equal(one.drop(columns="geometry"), two.drop(columns="geometry"))
    for table in ("demand", "buildings", "facilities", "candidates", "addresses", "staff"):
        pd.testing.assert_frame_equal(getattr(small_city, table), getattr(again, table))
    other = demo_city.make(grids=300, seed=1)
    assert not _vertices(other.grids) & _vertices(small_city.grids)


# --- people and places ---------------------------------------------------------------------------


def test_people_add_up(city: DemoCity) -> None:
    grids, share = city.grids, len(city.grids) / demo_city.FULL_CITY_GRIDS
    # Census of 2020: 4,379,998 people in the city.
    assert grids["population"].sum() == pytest.approx(4_379_998 * share, rel=0.02)
    assert grids["population"].sum() / grids["households"].sum() == pytest.approx(2.83, rel=0.02)
    assert grids["population_60"].sum() / grids["population"].sum() == pytest.approx(
        0.205, abs=0.01
    )
    assert (grids["population_60"] <= grids["population"]).all()
    assert (grids[["households", "population"]] > 0).all(axis=None)
    held = city.buildings.groupby("code")["households"].sum()
    assert held.to_dict() == dict(zip(grids["code"], grids["households"], strict=True))
    assert city.demand["population"].sum() == grids["population"].sum()
    assert set(city.register["网格编码"]) == set(grids["code"]) == set(city.staff["网格编码"])


@pytest.mark.parametrize(
    ("table", "column"),
    [("demand", "code"), ("buildings", "code"), ("addresses", "code"), ("facilities", "grid_code")],
)
def test_points_lie_in_the_grids_they_name(city: DemoCity, table: str, column: str) -> None:
    rows = getattr(city, table)
    x, y = crs.Plane.of(4547).forward(rows["lon"], rows["lat"], datum="wgs84")
    grids = city.grids.set_index("code").geometry[rows[column]].to_numpy()
    away = shapely.distance(grids, shapely.points(x, y))
    assert away.max() < 0.02  # degrees are kept to 7 places: a centimetre


def test_addresses_are_unique_and_whole(city: DemoCity) -> None:
    table = city.addresses
    assert len(table) > 300
    assert table["address"].is_unique
    assert table["address"].str.startswith("河南省许昌市").all()
    parts = ["county", "township", "community", "road", "number", "compound", "building"]
    whole = "河南省许昌市" + table[parts].agg("".join, axis=1)
    without_community = "河南省许昌市" + table[parts].drop(columns="community").agg("".join, axis=1)
    assert ((table["address"] == whole) | (table["address"] == without_community)).all()
    unnamed = table["road"] == ""  # a village's houses are numbered through the village
    assert (table["address"] == whole)[unnamed].all()


def test_nobody_can_be_called(city: DemoCity) -> None:
    phones = pd.concat([city.staff["联系电话"], city.register["联系电话"]])
    assert phones.str.fullmatch(r"1380000\d{4}").all()  # no block in use


def test_facilities_and_candidates_are_of_every_kind(city: DemoCity) -> None:
    assert {"rest_station", "canteen"} <= set(city.facilities["kind"])
    assert set(city.facilities["status"]) <= {"existing", "planned"}
    assert city.facilities["id"].is_unique
    assert city.candidates["id"].is_unique
    assert (city.candidates["capacity"] > 0).all()


# --- the files -----------------------------------------------------------------------------------


def test_files_are_labelled_synthetic(files: dict[str, Path]) -> None:
    assert demo_city.LABEL in files["readme"].read_text("utf-8")
    assert "SYNTHETIC" in demo_city.LABEL
    header = osmium.io.Reader(str(files["streets"])).header()
    assert "SYNTHETIC" in header.get("generator")
    assert all(path.is_file() for path in files.values())


def test_files_hold_the_city(files: dict[str, Path], small_city: DemoCity) -> None:
    grids = boundary_files.read(files["grids"]).layer_frame()
    assert list(grids["code"]) == list(small_city.grids["code"])
    assert (grids.geometry.to_wkb() == small_city.grids.geometry.to_wkb()).all()
    upload = boundary_files.read(files["upload"]).layer_frame()
    county = small_city.grids[small_city.grids["code"].str.startswith("411002")]
    assert set(zip(upload["code"], upload["name"], strict=True)) == set(
        zip(county["code"], county["name"], strict=True)
    )


# --- the streets ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(files: dict[str, Path]) -> WalkNetwork:
    return WalkNetwork.from_pbf(files["streets"], plane=4547)


@pytest.fixture(scope="module")
def ways(files: dict[str, Path]) -> gpd.GeoDataFrame:
    """Every way of the extract as a line in the working plane, read by osmium alone."""
    tags, lines = [], []
    for way in osmium.FileProcessor(str(files["streets"])).with_locations():
        if isinstance(way, osmium.osm.Way):
            tags.append({**dict(way.tags)})
            lines.append(np.array([(node.lon, node.lat) for node in way.nodes]))
    size = [len(line) for line in lines]
    x, y = crs.Plane.of(4547).forward(*np.concatenate(lines).T, datum="wgs84")
    geometry = shapely.linestrings(
        np.column_stack([x, y]), indices=np.repeat(range(len(size)), size)
    )
    return gpd.GeoDataFrame(pd.DataFrame(tags), geometry=geometry, crs=4547)


def test_streets_hang_together(network: WalkNetwork) -> None:
    pieces_m = network.components
    assert pieces_m[0] > 0.9 * network.length_m
    assert network.length_m > 500_000


def test_streets_hold_what_makes_walking_hard(
    files: dict[str, Path], ways: gpd.GeoDataFrame
) -> None:
    assert {"motorway", "steps", "footway", "service"} <= set(ways["highway"])
    assert set(ways["waterway"].dropna()) == {"river"}
    assert ways["oneway:foot"].eq("yes").any()
    assert ways["access"].eq("private").any()
    nodes = [
        dict(node.tags)
        for node in osmium.FileProcessor(str(files["streets"]), osmium.osm.NODE)
        if len(node.tags)
    ]
    assert {node["barrier"] for node in nodes} == {"gate", "lift_gate"}
    assert any(node.get("access") == "private" for node in nodes)
    assert any(node.get("locked") == "yes" for node in nodes)


def test_motorway_is_not_walked(network: WalkNetwork, ways: gpd.GeoDataFrame) -> None:
    motorway = ways[ways["highway"] == "motorway"].geometry.iloc[0]
    corners = gpd.GeoSeries(gpd.points_from_xy(network.graph.node_x, network.graph.node_y))
    bends = shapely.points(shapely.get_coordinates(motorway))
    assert shapely.distance(bends[:, None], corners.to_numpy()[None, :]).min() > 0.05
    walkable_m = ways[ways["highway"].isin(WALKED)].length.sum()
    assert network.length_m <= walkable_m * 1.001


def test_rivers_are_crossed_at_bridges_only(ways: gpd.GeoDataFrame) -> None:
    river = ways[ways["waterway"] == "river"].geometry.union_all()
    walked = ways[ways["highway"].isin(WALKED)]
    bridge = walked["bridge"].eq("yes")
    assert bridge.sum() >= 5
    assert not walked[~bridge].crosses(river).any()


def test_street_names_are_the_addresses_roads(ways: gpd.GeoDataFrame, small_city: DemoCity) -> None:
    roads = set(small_city.addresses["road"]) - {""}
    assert roads <= set(ways["name"].dropna())
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+\d*[路街道巷]", road) for road in roads)


def _vertices(layer: gpd.GeoDataFrame) -> set[tuple[float, float]]:
    return set(map(tuple, shapely.get_coordinates(layer.geometry.to_numpy()).tolist()))
