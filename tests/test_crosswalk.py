"""Shares between layers and the common base layer, against plain overlays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from geo_service import crosswalk
from geo_service.errors import InputError

Tiling = Callable[..., tuple[gpd.GeoDataFrame, Any]]


def layer(**shapes: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"code": list(shapes)}, geometry=list(shapes.values()), crs=4547)


def assert_shares_add_up(table: pd.DataFrame, a: gpd.GeoDataFrame, b: gpd.GeoDataFrame) -> None:
    for side, source in (("a", a), ("b", b)):
        real = table[table[f"code_{side}"] != ""]
        total = real.groupby(f"code_{side}")[f"share_{side}"].sum()
        assert set(total.index) == set(source["code"])
        assert total.to_numpy() == pytest.approx(1.0, abs=1e-9)
        assert table.loc[table[f"code_{side}"] == "", f"share_{side}"].isna().all()


def test_shares_areas_and_what_lies_outside() -> None:
    a = layer(A=box(0, 0, 10, 10), B=box(10, 0, 20, 10))
    b = layer(X=box(0, 0, 15, 10), Y=box(18, 0, 30, 10))
    table = crosswalk.crosswalk(a, b)
    rows = table[["code_a", "code_b", "area_m2"]].values.tolist()
    assert rows == [
        ["", "Y", 100.0], ["A", "X", 100.0], ["B", "", 30.0], ["B", "X", 50.0], ["B", "Y", 20.0],
    ]  # fmt: skip
    assert_shares_add_up(table, a, b)


def test_areas_of_a_layer_in_feet_are_square_metres() -> None:
    feet = layer(A=box(0, 0, 100, 100)).set_crs(2232, allow_override=True)
    [area_m2] = crosswalk.crosswalk(feet, feet)["area_m2"]
    assert area_m2 == pytest.approx((100 * 1200 / 3937) ** 2, rel=1e-12)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 50), dx=st.floats(-900, 900), dy=st.floats(-900, 900))
def test_any_two_tilings(tiling: Tiling, seed: int, dx: float, dy: float) -> None:
    a, outline = tiling(25, seed)
    b, _ = tiling(9, seed + 1)
    b["geometry"] = b.translate(dx, dy)
    table = crosswalk.crosswalk(a, b)
    assert_shares_add_up(table, a, b)
    assert table.loc[table.code_a != "", "area_m2"].sum() == pytest.approx(outline.area, rel=1e-12)
    expected = gpd.overlay(a[["code", "geometry"]], b[["code", "geometry"]])
    areas = expected.area.groupby([expected.code_1, expected.code_2]).sum()
    both = table[(table.code_a != "") & (table.code_b != "")].set_index(["code_a", "code_b"])
    large = areas[areas > 1.0]
    assert both.area_m2.reindex(large.index).to_numpy() == pytest.approx(large.to_numpy())


def test_the_same_layer_is_the_identity(tiling: Tiling) -> None:
    grids, _ = tiling(40, 2)
    table = crosswalk.crosswalk(grids, grids.sample(frac=1, random_state=3))
    assert (table.code_a == table.code_b).all()
    assert len(table) == 40
    assert len(crosswalk.conflicts(table)) == 0


def test_weights_by_points_and_by_columns() -> None:
    a = layer(A=box(0, 0, 10, 10))
    a["households"] = [7]
    b = layer(X=box(0, 0, 5, 10), Y=box(5, 0, 10, 10))
    spots = gpd.GeoDataFrame(
        {"households": [3, 1, 50]}, geometry=gpd.points_from_xy([1, 9, 99], [5, 5, 5]), crs=4547
    )
    table = crosswalk.crosswalk(a, b, weights=spots)
    assert table.weight.tolist() == [3.0, 1.0]
    assert table.weight_share_a.tolist() == [0.75, 0.25]
    assert table.weight_share_b.tolist() == [1.0, 1.0]
    divided = crosswalk.crosswalk(a, b, weights=["households"])
    assert divided.households.sum() == 7
    with pytest.raises(InputError, match="riders"):
        crosswalk.crosswalk(a, b, weights=["riders"])


def test_a_point_on_a_border_counts_once() -> None:
    a = layer(A=box(0, 0, 10, 10), B=box(10, 0, 20, 10))
    spots = gpd.GeoDataFrame(geometry=gpd.points_from_xy([10], [5]), crs=4547)
    table = crosswalk.crosswalk(a, a, weights=spots)
    assert table.weight.sum() == 1.0


def test_a_compound_cut_by_two_grids_is_a_conflict() -> None:
    grids = layer(G1=box(0, 0, 10, 10), G2=box(10, 0, 20, 10))
    compounds = layer(cut=box(6, 2, 14, 8), whole=box(1, 1, 5, 5), hair=box(10.05, 0, 19, 10))
    compounds.loc[2, "geometry"] = box(9.95, 0, 19, 10)
    found = crosswalk.conflicts(crosswalk.crosswalk(compounds, grids))
    assert found.code_a.tolist() == ["cut"]
    assert found.codes_b[0] in (["G1", "G2"], ["G2", "G1"])
    assert found.shares[0] == pytest.approx([0.5, 0.5])
    strict = crosswalk.conflicts(crosswalk.crosswalk(compounds, grids), above=0.001)
    assert strict.code_a.tolist() == ["cut", "hair"]


def test_layers_without_code_or_crs_are_refused() -> None:
    a = layer(A=box(0, 0, 1, 1))
    with pytest.raises(InputError) as caught:
        crosswalk.crosswalk(a, a.drop(columns="code"))
    assert caught.value.code == "field_missing"
    with pytest.raises(InputError) as caught:
        crosswalk.crosswalk(a, a.set_crs(None, allow_override=True))
    assert caught.value.code == "crs_missing"


def test_an_overlapping_layer_still_adds_up() -> None:
    a = layer(A=box(0, 0, 10, 10))
    b = layer(X=box(0, 0, 10, 10), Y=box(5, 0, 10, 10))
    table = crosswalk.crosswalk(a, b)
    assert_shares_add_up(table, a, b)
    assert table.share_a.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_base_layer_names_its_sources() -> None:
    red = layer(R1=box(0, 0, 10, 10), R2=box(10, 0, 20, 10))
    compounds = layer(C1=box(5, 2, 15, 8))
    base = crosswalk.combine({"red": red, "compounds": compounds}).base
    assert base.sources.tolist() == [
        "red:R1", "red:R1;compounds:C1", "red:R2;compounds:C1", "red:R2",
    ]  # fmt: skip
    assert base.code.tolist() == ["000001", "000002", "000003", "000004"]
    assert base.area_m2.sum() == 200.0
    assert shapely.coverage_is_valid(base.geometry.values)


def test_four_systems_become_one(tiling: Tiling) -> None:
    red, outline = tiling(60, 4)
    security, _ = tiling(12, 9)
    security["geometry"] = security.intersection(outline)
    random = np.random.default_rng(0)
    spots = np.array([p.coords[0] for p in red.representative_point()])
    corner = spots + random.normal(0, 60, spots.shape)
    compounds = layer(
        **{f"c{i}": box(x, y, x + 90, y + 70) for i, (x, y) in enumerate(corner[:30])}
    )
    layers = {"red": red, "security": security, "compounds": compounds}
    base = crosswalk.combine(layers).base
    union = shapely.union_all(np.concatenate([f.geometry.values for f in layers.values()]))
    assert base.area.sum() == pytest.approx(union.area, abs=1e-3)
    for name, source in layers.items():
        area = base.area.groupby(base[name]).sum().drop("", errors="ignore")
        assert area.to_numpy() == pytest.approx(source.set_index("code").area[area.index], abs=1e-3)
        assert set(area.index) == set(source["code"])
    shuffled = {name: f.sample(frac=1, random_state=1) for name, f in layers.items()}
    again = crosswalk.combine(shuffled).base
    assert again.sources.tolist() == base.sources.tolist()


def test_degrees_give_square_metres() -> None:
    shape = box(113.80, 34.00, 113.81, 34.005)
    a = gpd.GeoDataFrame({"code": ["A"]}, geometry=[shape], crs=4490)
    truth = abs(a.crs.get_geod().geometry_area_perimeter(shape)[0])
    table = crosswalk.crosswalk(a, a)
    assert table.area_m2.tolist() == pytest.approx([truth], rel=2e-6)
    assert crosswalk.combine({"a": a}).base.area_m2.sum() == pytest.approx(truth, rel=2e-6)


def test_no_layer_is_refused() -> None:
    with pytest.raises(InputError):
        crosswalk.combine({})


def test_counts_are_shared_out_too() -> None:
    red = layer(R1=box(0, 0, 10, 10), R2=box(10, 0, 20, 10))
    red["households"] = [7, 5]
    homes = layer(C=box(5, 0, 15, 10))
    shares = crosswalk.combine({"red": red, "homes": homes}).shares
    own = shares[shares.system == "red"]
    assert own.groupby("code").households.sum().tolist() == [7, 5]
    assert own.groupby("code").households_share.sum().tolist() == pytest.approx([1, 1])
    assert shares[shares.system == "homes"].households.isna().all()
    spots = gpd.GeoDataFrame(
        {"population": [3, 1, 50]}, geometry=gpd.points_from_xy([1, 9, 99], [5, 5, 5]), crs=4547
    )
    found = crosswalk.combine({"red": red, "homes": homes}, weights=spots)
    assert found.base.population.tolist() == [3, 1, 0, 0]
    one = found.shares[(found.shares.code == "R1")]
    assert one.population_share.tolist() == [0.75, 0.25]


def test_a_sliver_goes_where_the_strongest_border_stays() -> None:
    red = layer(R1=box(0, 0, 100, 100), R2=box(100, 0, 200, 100))
    security = layer(S1=box(0, 0, 103, 100), S2=box(103, 0, 200, 100))
    found = crosswalk.combine({"red": red, "security": security}, sliver_width_m=5)
    assert found.base.sources.tolist() == ["red:R1;security:S1", "red:R2;security:S2"]
    assert found.base.geometry[0].equals(red.geometry[0])
    assert found.moved.values.tolist() == [["security", "S1", "S2", 300.0, 1]]
    assert len(found.conflicts) == 0
    assert found.shares.groupby(["system", "code"]).share.sum().tolist() == [1, 1, 1, 1]
    turned = crosswalk.combine({"security": security, "red": red}, sliver_width_m=5)
    assert turned.base.geometry[0].equals(security.geometry[0])
    assert turned.moved.values.tolist() == [["red", "R2", "R1", 300.0, 1]]
    assert len(crosswalk.combine({"red": red, "security": security}, sliver_width_m=2.9).moved) == 0


def test_a_grid_that_is_all_sliver_does_not_vanish() -> None:
    red = layer(R=box(0, 0, 100, 100))
    lane = layer(L=box(20, 0, 22, 100))
    found = crosswalk.combine({"red": red, "lane": lane}, sliver_width_m=5)
    assert "red:R;lane:L" in found.base.sources.tolist()


@pytest.fixture(scope="module")
def huludao(tiling: Tiling, grid_systems: Any) -> Any:
    return grid_systems.four_systems(tiling)


def test_the_four_systems_of_a_city_become_one(huludao: Any) -> None:
    """2,245 inputs, two of the systems partial, every border drawn again 1 to 5 m off."""
    found = crosswalk.combine(huludao.layers, sliver_width_m=5)
    assert found.systems.grids.tolist() == [1230, 219, 756, 40]
    shares = found.shares.groupby(["system", "code"]).share.sum()
    assert len(shares) == 2245
    assert shares.to_numpy() == pytest.approx(1.0, abs=1e-9)
    assert found.union_out_m2 == pytest.approx(found.union_in_m2, rel=1e-12)
    shapes = found.base.geometry.to_numpy()
    assert shapely.area(shapes).sum() == pytest.approx(found.union_in_m2, rel=1e-12)
    assert shapely.coverage_is_valid(shapes)
    named = found.base[list(huludao.layers)].stack()
    assert set(named[named != ""]) == set(found.shares.code)  # no source has vanished
    cut = found.conflicts[
        (found.conflicts.system == "compounds") & (found.conflicts.cut_by == "red")
    ]
    assert set(cut.code) == huludao.cut_compounds
    assert all(sum(shares) == pytest.approx(1.0) for shares in cut.shares)
    # What was moved is slivers along borders: under 5 m by their length.
    borders_m = shapely.length(huludao.layers["security_grids"].geometry.to_numpy()).sum()
    assert 0 < found.moved.area_m2.sum() < 5 * borders_m
    unsnapped = crosswalk.combine(huludao.layers)
    assert len(unsnapped.moved) == 0
    assert len(unsnapped.base) > 2 * len(found.base)
