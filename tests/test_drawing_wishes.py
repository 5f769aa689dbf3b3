"""What a planner asks of a drawing beside the range: what stays, what stands apart, what is one."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import LineString, Point, Polygon, box

from geo_service import coverage, drawing
from geo_service.errors import InputError

PLANE = 4547
WEST, SOUTH = 478_000.0, 3_760_000.0
COMMUNITY = "411002001001"


def square(x: float, y: float, width: float, height: float) -> Polygon:
    return box(WEST + x, SOUTH + y, WEST + x + width, SOUTH + y + height)


def layer(shapes: list[Any], **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=PLANE)


TOWN = square(0, 0, 1000, 800)


@pytest.fixture(scope="module")
def streets() -> gpd.GeoDataFrame:
    x, y = WEST, SOUTH
    lines = [LineString([(x - 20, y + 97.3 * k), (x + 1020, y + 99.1 * k)]) for k in range(1, 9)]
    lines += [LineString([(x + 98.7 * k, y - 20), (x + 101.3 * k, y + 820)]) for k in range(1, 10)]
    return layer(lines, kind=["street"] * len(lines))


@pytest.fixture(scope="module")
def homes() -> gpd.GeoDataFrame:
    random = np.random.default_rng(1)
    xy = random.uniform((WEST, SOUTH), (WEST + 1000, SOUTH + 800), (800, 2))
    group = ((xy[:, 0] - WEST) // 250).astype(int) + 4 * (xy[:, 1] > SOUTH + 400)
    return gpd.GeoDataFrame(
        {"households": random.poisson(6, 800), "group": [f"{k + 1}组" for k in group]},
        geometry=gpd.points_from_xy(*xy.T), crs=PLANE,
    )  # fmt: skip


def draw(streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame, **asked: Any) -> drawing.Drawn:
    asked = {"target": (300, 500), "parent_code": COMMUNITY, **asked}
    return drawing.draw(TOWN, streets=streets, households=homes, **asked)


def assert_tiles(drawn: drawing.Drawn, area: Any = TOWN) -> None:
    shapes = np.asarray(drawn.grids.geometry.values, object)
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert coverage.certificate(shapes, shapely.coverage_union_all(shapes)).clean
    assert shapely.area(shapes).sum() == pytest.approx(area.area, abs=1e-5)
    assert drawn.grids.code.is_unique


def notes(drawn: drawing.Drawn) -> dict[str, str]:
    return {note.code: note.en for note in drawn.notes}


def test_fixed_grids_keep_every_byte_and_column_and_the_rest_tiles_around_them(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    corners = [(0, 0), (205, 0), (400, 20), (390, 130), (400, 280), (210, 300), (0, 290)]
    inside = [(600, 400), (700, 390), (810, 405), (800, 500), (790, 610), (690, 600), (595, 590)]
    shapes = [Polygon([(WEST + x, SOUTH + y) for x, y in each]) for each in (corners, inside)]
    fixed = layer(
        shapes, code=[f"{COMMUNITY}002", f"{COMMUNITY}007"], name=["甲", "乙"], leader=["李", "王"]
    )
    drawn = draw(streets, homes, fixed=fixed)
    assert_tiles(drawn)
    kept = drawn.grids.set_index("code").loc[fixed.code]
    assert kept.geometry.to_wkb().tolist() == fixed.geometry.to_wkb().tolist()
    assert kept.name.tolist() == ["甲", "乙"]
    assert kept.leader.tolist() == ["李", "王"]
    assert drawn.grids.households.sum() == homes.households.sum()
    new = drawn.grids[~drawn.grids.code.isin(fixed.code)]
    assert new.code.min() == f"{COMMUNITY}008"  # no code of today is given again
    assert new.name.iloc[0] == "第八网格"
    assert "2 fixed grids" in notes(drawn)["fixed_kept"]
    assert drawn.misses == ()


def test_all_grids_drawn_before_can_be_fixed(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    before = draw(streets, homes).grids
    all_kept = draw(streets, homes, fixed=before).grids
    assert all_kept.geometry.to_wkb().tolist() == before.geometry.to_wkb().tolist()
    some = before.iloc[::2]
    drawn = draw(streets, homes, fixed=some)
    assert_tiles(drawn)
    kept = drawn.grids.set_index("code").loc[some.code]
    assert kept.geometry.to_wkb().tolist() == some.geometry.to_wkb().tolist()


def test_every_seed_gets_a_grid_of_its_own(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    places = [(120, 120), (150, 150), (180, 120), (880, 700), (500, 400)]  # three in one block
    seeds = layer([Point(WEST + x, SOUTH + y) for x, y in places])
    drawn = draw(streets, homes, seeds=seeds)
    assert_tiles(drawn)
    assert drawn.misses == ()
    held = seeds.sjoin(drawn.grids)["code"]
    assert held.is_unique
    assert len(held) == 5
    assert len(drawn.grids) > 5


def test_premises_stand_apart_and_the_range_is_not_asked_of_them(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    market, school = square(430, 330, 90, 70), square(0, 600, 150, 120)
    drawn = draw(streets, homes, dedicated=layer([market, school], name=["大市场", "一中"]))
    assert_tiles(drawn)
    own = drawn.grids[drawn.grids.kind == "专属网格"].set_index("name").geometry
    for name, shape in (("大市场", market), ("一中", school)):
        assert own[name].symmetric_difference(shape).area < 1e-6
    assert drawn.misses == ()
    others = drawn.grids[drawn.grids.kind == "基础网格"]
    assert others.households.between(300, 500).all()
    assert "2 of them" in notes(drawn)["stand_alone"]


def villages() -> gpd.GeoDataFrame:
    shapes = [square(250 * (k % 4), 400 * (k // 4), 250, 400) for k in range(8)]
    return layer(shapes, name=[f"{k + 1}组" for k in range(8)])


def test_no_border_cuts_a_villagers_group(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    held = homes.groupby("group").households.sum()
    small = (int(held.min()), 2 * int(held.max()))
    drawn = draw(streets, homes, groups=villages(), target=small)
    assert_tiles(drawn)
    for group in villages().geometry:
        shares = drawn.grids.intersection(group).area / group.area
        assert shares.max() > 0.97  # but for slivers beside a street
    assert drawn.misses == ()
    each = draw(streets, homes, groups=villages(), one_grid_each=True, target=(5, 9))
    assert_tiles(each)
    assert len(each.grids) == 8
    assert sorted(each.grids.name) == sorted(villages().name)
    assert each.misses == ()
    large = draw(streets, homes, groups=villages(), target=(5, int(held.max()) - 1))
    assert any("the group" in miss.en for miss in large.misses)


def test_groups_by_the_homes_own_column(streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame) -> None:
    drawn = draw(streets, homes, groups="group", one_grid_each=True)
    assert_tiles(drawn)
    assert sorted(drawn.grids.name) == sorted(villages().name)
    placed = homes.sjoin(drawn.grids[["name", "geometry"]])
    right = placed.groupby("group").apply(lambda own: (own["name"] == own.name).mean())
    assert (placed["group"] == placed["name"]).mean() > 0.9
    assert right.notna().all()


def test_what_was_drawn_along_where_there_are_no_streets(homes: gpd.GeoDataFrame) -> None:
    river = layer([LineString([(WEST - 9, SOUTH + 390), (WEST + 1009, SOUTH + 410)])],
                  kind=["water"])  # fmt: skip
    drawn = draw(river, homes)
    assert_tiles(drawn)
    assert "rivers, straight lines between homes" in notes(drawn)["no_streets"]


def test_a_total_no_number_of_grids_can_hold_is_told(streets: gpd.GeoDataFrame) -> None:
    places = layer([Point(WEST + 50 + 90 * k, SOUTH + 400) for k in range(10)],
                   households=[57] * 10)  # fmt: skip
    drawn = draw(streets, places)
    assert "570 households in all: too many for 1 grids, too few for 2" in drawn.misses[0].en


def test_a_city_gives_each_community_its_own_wishes(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    areas = layer([square(0, 0, 500, 800), square(500, 0, 500, 800)], code=["411002001001",
                  "411002001002"])  # fmt: skip
    before = drawing.draw_all(areas, streets=streets, households=homes, target=(150, 300)).grids
    tower = square(450, 700, 45, 60)
    west = before[before.parent_code == "411002001001"]
    fixed = west[west.disjoint(tower)].iloc[:2]
    drawn = drawing.draw_all(
        areas, streets=streets, households=homes, target=(150, 300), fixed=fixed,
        seeds=layer([Point(WEST + 700, SOUTH + 90), Point(WEST + 740, SOUTH + 90)]),
        dedicated=layer([tower], name=["塔"]),
        groups=layer([square(500, 500, 200, 300)], name=["南组"]),
        taken=["411002001002009"],
    )  # fmt: skip
    assert_tiles(drawn)
    kept = drawn.grids.set_index("code").loc[fixed.code]
    assert kept.geometry.to_wkb().tolist() == fixed.geometry.to_wkb().tolist()
    assert drawn.grids[drawn.grids.kind == "专属网格"].name.tolist() == ["塔"]
    assert drawn.grids[drawn.grids.parent_code == "411002001002"].code.min() == "411002001002010"
    with pytest.raises(InputError, match="lies in none of the areas"):
        drawing.draw_all(
            areas, streets=streets, households=homes, seeds=layer([Point(WEST - 5, SOUTH)])
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": layer([Point(WEST - 5, SOUTH + 5)])}, "seed 1 at .* lies outside"),
        ({"seeds": layer([Point(WEST + 5, SOUTH + 5)] * 2)}, "two seeds are at one place"),
        ({"seeds": layer([Point(WEST + 9 * k, SOUTH + 5) for k in range(1, 40)])},
         "39 seeds, but .* make 1[0-9] grids of 300"),
        ({"fixed": layer([square(-50, 0, 100, 100)], code=["1"])}, "grid 1 has 5000 m2 outside"),
        ({"fixed": layer([square(0, 0, 100, 100), square(50, 0, 100, 100)], code=["1", "2"])},
         "grids 1 and 2 overlap by 5000 m2"),
        ({"fixed": layer([square(0, 0, 100, 100), square(100, 50, 80, 20)], code=["1", "2"])},
         "without common corners"),
        ({"dedicated": layer([square(-50, 0, 100, 100)], name=["一中"])}, "“一中” has 5000 m2"),
        ({"dedicated": layer([square(5, 5, 10, 10)], name=["塔"])}, "“塔” has 100 m2, less than"),
        ({"groups": layer([square(0, 0, 100, 100), square(50, 0, 100, 100)], name=["1", "2"])},
         "“1” and “2” overlap"),
        ({"households": layer([Point(113.8, 34.0)], households=[7])}, "all 7 households lie"),
    ],
)  # fmt: skip
def test_the_impossible_is_refused_in_a_sentence(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        drawing.draw(TOWN, **{"streets": streets, "households": homes, **asked})
    assert caught.value.code == "drawing_impossible"
    assert caught.value.message("zh") != caught.value.message("en")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"groups": "team"}, "field_missing"),
        ({"groups": layer([Point(WEST, SOUTH)], name=["1"])}, "not_polygons"),
        ({"fixed": layer([square(0, 0, 100, 100)], code=["1"]).to_crs(4490)}, "parameter_invalid"),
    ],
)
def test_wishes_that_can_not_be_read(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        draw(streets, homes, **asked)
    assert caught.value.code == code


def test_wishes_in_any_order_give_the_same_grids(
    streets: gpd.GeoDataFrame, homes: gpd.GeoDataFrame
) -> None:
    one = draw(streets, homes, groups=villages())
    other = draw(streets.iloc[::-1], homes.iloc[::-1], groups=villages().iloc[::-1])
    pd.testing.assert_series_equal(one.grids.geometry.to_wkb(), other.grids.geometry.to_wkb())
