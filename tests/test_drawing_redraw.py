"""After growth only what must change does; and the figures by which drawings are compared."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import LineString, Point, box

from geo_service import coverage, drawing
from geo_service.errors import InputError

PLANE = 4547
WEST, SOUTH = 478_000.0, 3_760_000.0
COMMUNITY = "411002001001"


def lattice(columns: int, rows: int) -> gpd.GeoDataFrame:
    x, y = WEST, SOUTH
    lines = [
        *(LineString([(x - 50, y + 100 * r), (x + 100 * columns + 50, y + 100 * r)])
          for r in range(rows + 1)),
        *(LineString([(x + 100 * c, y - 50), (x + 100 * c, y + 100 * rows + 50)])
          for c in range(columns + 1)),
    ]  # fmt: skip
    return gpd.GeoDataFrame({"kind": ["street"] * len(lines)}, geometry=lines, crs=PLANE)


def homes(places: list[tuple[float, float, int]]) -> gpd.GeoDataFrame:
    points = [Point(WEST + x, SOUTH + y) for x, y, _ in places]
    return gpd.GeoDataFrame({"households": [n for *_, n in places]}, geometry=points, crs=PLANE)


PEOPLE = homes(
    [(100 * c + x, 100 * r + y, 25) for c in range(8) for r in range(4)
     for x in (20, 80) for y in (20, 80)]
)  # fmt: skip
"""100 households in each block of an 8 x 4 town."""


@pytest.fixture(scope="module")
def town() -> gpd.GeoDataFrame:
    """8 grids of 2 x 2 blocks, 400 households each."""
    shapes = [
        box(WEST + 200 * c, SOUTH + 200 * r, WEST + 200 * c + 200, SOUTH + 200 * r + 200)
        for r in range(2) for c in range(4)
    ]  # fmt: skip
    codes = [f"{COMMUNITY}{n:03d}" for n in range(1, 9)]
    return gpd.GeoDataFrame({"code": codes, "name": "-"}, geometry=shapes, crs=PLANE)


def grown(*places: tuple[float, float, int]) -> gpd.GeoDataFrame:
    together = pd.concat([PEOPLE, homes(list(places))], ignore_index=True)
    return gpd.GeoDataFrame(together, crs=PLANE)


def assert_sound(redrawn: drawing.Redrawn, town: gpd.GeoDataFrame) -> None:
    shapes = np.asarray(redrawn.grids.geometry.values, object)
    whole = shapely.coverage_union_all(shapes)
    assert coverage.certificate(shapes, whole).clean
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).sum() == pytest.approx(town.area.sum(), abs=1e-6)
    old = dict(zip(town.code, town.geometry, strict=True))
    for code, shape in zip(redrawn.grids.code, redrawn.grids.geometry, strict=True):
        if code in old and code not in redrawn.touched:
            assert shape.equals(old[code])  # a node at most


def test_nothing_changes_where_nothing_must(town: gpd.GeoDataFrame) -> None:
    redrawn = drawing.redraw(town, streets=lattice(8, 4), households=PEOPLE)
    assert (redrawn.operations, redrawn.touched, redrawn.households_moved) == ((), (), 0)
    assert (redrawn.grids.geometry.to_wkb() == town.geometry.to_wkb()).all()
    assert (redrawn.grids.households == 400).all()


def test_a_new_house_sends_one_block_next_door(town: gpd.GeoDataFrame) -> None:
    people = grown((150, 150, 130))
    redrawn = drawing.redraw(town, streets=lattice(8, 4), households=people)
    assert redrawn.misses == ()
    assert [op["op"] for op in redrawn.operations] == ["reassign"]
    assert redrawn.operations[0]["code"] == f"{COMMUNITY}001"
    assert len(redrawn.touched) == 2
    assert 30 <= redrawn.households_moved <= 100
    assert redrawn.grids.households.between(300, 500).all()
    assert redrawn.grids.households.sum() == people.households.sum()
    assert_sound(redrawn, town)
    prepared = drawing.Terrain(PLANE, lattice(8, 4))
    again = drawing.redraw(town, streets=prepared, households=people)
    assert (again.grids.geometry.to_wkb() == redrawn.grids.geometry.to_wkb()).all()


def test_twice_as_many_make_two_grids(town: gpd.GeoDataFrame) -> None:
    more = [(100 * c + 50, 100 * r + 40, 100) for c in range(2) for r in range(2)]
    redrawn = drawing.redraw(town, streets=lattice(8, 4), households=grown(*more))
    assert redrawn.misses == ()
    assert len(redrawn.grids) == 9
    assert redrawn.grids.households.between(300, 500).all()
    assert_sound(redrawn, town)


def test_fewer_people_take_a_block_or_join(town: gpd.GeoDataFrame) -> None:
    gone = PEOPLE.copy()
    first = gone.intersects(town.geometry[0])
    gone.loc[first, "households"] = 15
    redrawn = drawing.redraw(town, streets=lattice(8, 4), households=gone)
    assert redrawn.misses == ()
    assert redrawn.grids.households.between(300, 500).all()
    assert_sound(redrawn, town)


def test_what_can_not_be_mended_is_named_and_left(town: gpd.GeoDataFrame) -> None:
    people = grown((150, 150, 9000))
    redrawn = drawing.redraw(town, streets=lattice(8, 4), households=people)
    (miss,) = redrawn.misses
    assert miss.code == f"{COMMUNITY}001"
    assert redrawn.operations == ()
    kept = drawing.redraw(
        town, streets=lattice(8, 4), households=grown((150, 150, 130)), fixed=[f"{COMMUNITY}001"]
    )
    assert (kept.operations, kept.misses) == ((), ())
    other = town.assign(code=[f"41100200100{1 + n % 2}{n:03d}" for n in range(8)])
    kinds = ["专属网格", *["基础网格"] * 7]
    alone = drawing.redraw(
        town.assign(kind=kinds), streets=lattice(8, 4), households=grown((150, 150, 130))
    )
    assert (alone.operations, alone.misses) == ((), ())
    apart = drawing.redraw(other, streets=lattice(8, 4), households=grown((150, 150, 130)))
    assert all(op.get("to", "")[:12] == other.code[0][:12] for op in apart.operations)
    with pytest.raises(InputError):
        drawing.redraw(town, streets=lattice(8, 4), households=PEOPLE, target=(500, 300))


def test_the_new_border_runs_along_a_street_where_one_runs() -> None:
    """A footpath down the middle is no place for more homes, but a better border than a meadow."""
    square = gpd.GeoDataFrame(
        {"code": [f"{COMMUNITY}001", f"{COMMUNITY}002"], "name": "-"},
        geometry=[box(WEST, SOUTH, WEST + 200, SOUTH + 200),
                  box(WEST + 200, SOUTH, WEST + 400, SOUTH + 200)], crs=PLANE,
    )  # fmt: skip
    lane = LineString([(WEST + 104, SOUTH - 9), (WEST + 104, SOUTH + 209)])
    rim = LineString([(WEST + 200, SOUTH - 9), (WEST + 200, SOUTH + 209)])
    streets = gpd.GeoDataFrame({"kind": ["street"] * 2}, geometry=[lane, rim], crs=PLANE)
    places = [(20.0 * c + 10, 20.0 * r + 10, 7) for c in range(10) for r in range(10)]
    people = homes([*places, *[(200 + x, y, 4) for x, y, _ in places]])
    redrawn = drawing.redraw(square, streets=streets, households=people)
    assert [op["op"] for op in redrawn.operations] == ["split"]
    assert redrawn.misses == ()
    cut = shapely.coverage_union_all(redrawn.grids.geometry.values[:1]).boundary
    assert shapely.length(shapely.intersection(cut, lane.buffer(0.01))) > 199


def test_the_figures_of_a_drawing(town: gpd.GeoDataFrame) -> None:
    grids = town.assign(households=[400] * 7 + [600])
    streets = lattice(8, 4)
    found = drawing.measure(grids, streets=streets)
    assert (found.grids, found.in_range) == (8, 7)
    assert (found.households_least, found.households_median, found.households_most) == (
        400, 400, 600,
    )  # fmt: skip
    assert found.compactness_median == pytest.approx(np.pi / 4)
    assert (found.border_on_street, found.border_on_line) == (1.0, 1.0)
    assert found.across_most_m == pytest.approx(200 * np.sqrt(2))
    assert (found.main_ways_inside, found.buildings_cut) == (0.0, None)
    assert set(found.to_dict()) == set(drawing.quality.WORDS)


def test_main_ways_inside_buildings_cut_and_what_changes_hands(town: gpd.GeoDataFrame) -> None:
    middle = LineString([(WEST + 100, SOUTH), (WEST + 100, SOUTH + 400)])
    on = LineString([(WEST + 200, SOUTH), (WEST + 200, SOUTH + 400)])
    streets = gpd.GeoDataFrame({"kind": ["major"] * 2}, geometry=[middle, on], crs=PLANE)
    cut = box(WEST + 190, SOUTH + 50, WEST + 210, SOUTH + 60)
    along = box(WEST + 200, SOUTH + 80, WEST + 210, SOUTH + 90)
    walls = gpd.GeoDataFrame(geometry=[cut, along], crs=PLANE)
    now = drawing.edit(
        town,
        {"op": "reassign", "code": town.code[0], "to": town.code[1],
         "block": [[WEST + 100, SOUTH], [WEST + 200, SOUTH], [WEST + 200, SOUTH + 100],
                   [WEST + 100, SOUTH + 100]]},
    ).grids  # fmt: skip
    before = drawing.measure(town, streets=streets, buildings=walls)
    assert 0.3 < (before.main_ways_inside or 0) < 0.5
    assert before.buildings_cut == 1
    after = drawing.measure(now, before=town, homes=PEOPLE)
    assert after.area_moved_percent == pytest.approx(100 / 32)
    assert after.households_moved_percent == pytest.approx(100 / 32)
