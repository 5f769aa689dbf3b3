"""Demand: by position, by code, by hour; what is unknown stays unknown, stand-ins say so."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geo_service import demand, places
from geo_service.errors import InputError


def areas(prefix: str) -> gpd.GeoDataFrame:
    """Four squares of 500 m in a row."""
    east, north = 500_000, 3_767_000
    squares = [shapely.box(e, north, e + 500, north + 500) for e in range(east, east + 2000, 500)]
    return gpd.GeoDataFrame(
        {"code": [f"{prefix}{k}" for k in range(4)], "name": [f"区{k}" for k in range(4)]},
        geometry=squares, crs=4547,
    )  # fmt: skip


AREAS = {"grids": areas("41100200100100"), "communities": areas("41100200100")}


def test_a_table_by_community_code_stands_inside_its_communities():
    table = pd.DataFrame({"社区编码": ["411002001001", "411002001003"], "requests": ["3", "0"]})
    found, notes = demand.read(table.rename(columns={"社区编码": "code"}), AREAS)
    assert found["code"].tolist() == [f"41100200100{k}" for k in range(4)]
    weights = places.weights(places.read(found, name="demand"), "requests", name="demand")
    assert weights[[1, 3]].tolist() == [3.0, 0.0]
    assert np.isnan(weights[[0, 2]]).all()  # not 0
    assert "2 of the communities have no data" in notes[-1]["en"]
    lon, lat = found["lon"].iloc[1], found["lat"].iloc[1]
    inside = gpd.GeoSeries([shapely.Point(lon, lat)], crs=4326).to_crs(4547)[0]
    assert AREAS["communities"].geometry[1].contains(inside)


def test_codes_that_are_no_area_are_told_and_all_wrong_ones_refused():
    table = pd.DataFrame({"code": ["411002001009", "999"], "people": [1, 2]})
    with pytest.raises(InputError) as refused:
        demand.read(table, AREAS)
    assert refused.value.code == "demand_without_place"
    table["code"] = ["411002001002", "999"]
    _, notes = demand.read(table, AREAS)
    assert any("999" in note["en"] for note in notes)


def test_rows_by_hour_become_columns():
    code = "411002001001002"
    table = pd.DataFrame({"code": [code] * 2, "hour": [2, 18], "riders": [5, 40]})
    found, _ = demand.read(table.assign(code="411002001002"), AREAS)
    row = found.set_index("code").loc["411002001002"]
    assert (row["riders_02"], row["riders_18"]) == (5, 40)
    assert demand.at_hour(found, "riders", 18) == "riders_18"
    assert demand.at_hour(found, "riders", 3) is None
    with pytest.raises(InputError) as refused:
        demand.read(table.assign(hour=[2, 25]), AREAS)
    assert refused.value.code == "value_invalid"


@pytest.mark.parametrize("table", [{"code": ["1", "1"], "n": [1, 2]}, {"n": [1]}])
def test_refusals(table):
    with pytest.raises(InputError):
        demand.read(pd.DataFrame(table), AREAS)


@pytest.mark.parametrize("value", ["-1", "many", "inf"])
def test_a_weight_that_is_no_weight_is_refused_by_row(value):
    table = pd.DataFrame({"lon": 113.8, "lat": 34.0, "people": ["3", value]})
    with pytest.raises(InputError) as refused:
        places.weights(places.read(table, name="demand"), "people", name="demand")
    assert (refused.value.code, refused.value.details["row"]) == ("value_invalid", 2)


def test_a_stand_in_says_that_it_is_one(tmp_path):
    from osmium import SimpleWriter
    from osmium.osm.mutable import Node, Way

    file = tmp_path / "some.osm.pbf"
    with SimpleWriter(str(file)) as writer:
        for number, tags in ((1, {"amenity": "restaurant"}), (2, {"shop": "bakery"}), (3, {})):
            writer.add_node(Node(id=number, location=(113.8 + number / 100, 34.0), tags=tags))
        writer.add_way(Way(id=4, nodes=[1, 2, 3], tags={"highway": "residential"}))
    restaurants, shops = demand.proxy(file, "restaurants"), demand.proxy(file, "shops")
    assert (restaurants["id"].tolist(), shops["id"].tolist()) == (["node/1"], ["node/2"])
    assert set(restaurants["proxy"]) == {"restaurants"}
    streets = demand.proxy(file, "streets")
    assert streets["weight"].sum() == pytest.approx(1.847, abs=0.005)  # 0.02 degrees of longitude
    with pytest.raises(InputError) as refused:
        demand.proxy(file, "income")
    assert refused.value.code == "parameter_invalid"
