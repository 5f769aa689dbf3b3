"""Merge, split and move: nothing else moves, and the tiling stays exact through any of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, box

from geo_service import drawing, topology
from geo_service.drawing import counts
from geo_service.errors import InputError, MissingError

Tiling = Callable[..., tuple[gpd.GeoDataFrame, Any]]


def row_of_four() -> gpd.GeoDataFrame:
    shapes = [box(100 * i, 0, 100 * i + 100, 100) for i in range(4)]
    codes = [f"41100200100100{i}" for i in range(1, 5)]
    return gpd.GeoDataFrame(
        {"code": codes, "name": ["第一网格", "第二网格", "第三网格", "和平里"],
         "households": [300, 301, 5, 7], "head": list("甲乙丙丁")},
        geometry=shapes, crs=4547,
    )  # fmt: skip


def untouched(before: gpd.GeoDataFrame, edited: drawing.Edited) -> list[str]:
    """Codes that the edit did not name; their bytes must be the same."""
    named = {*edited.changed, *edited.retired, *edited.created}
    old = dict(zip(before.code, shapely.to_wkb(before.geometry.values), strict=True))
    new = dict(zip(edited.grids.code, shapely.to_wkb(edited.grids.geometry.values), strict=True))
    rest = [code for code in old if code not in named]
    assert all(old[code] == new[code] for code in rest)
    assert set(new) == {*rest, *edited.changed, *edited.created}
    return rest


def assert_exact(grids: gpd.GeoDataFrame, outline: Any) -> None:
    shapes = np.asarray(grids.geometry.values, object)
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(outline.area, abs=1e-6)
    graph = topology.build(shapes)
    assert len(graph.doubled) == 0
    rim = graph.arc_lengths()[graph.open_arcs].sum()
    assert rim == pytest.approx(outline.length, abs=1e-6)  # vertex-matched: nothing else is open


def test_merge_adds_counts_and_keeps_the_first() -> None:
    grids = row_of_four()
    edited = drawing.merge(grids, [grids.code[1], grids.code[0]], name="合并网格")
    assert untouched(grids, edited) == list(grids.code[2:])
    assert edited.changed == {grids.code[1]: "merged"}
    assert (edited.retired, edited.created) == ((grids.code[0],), ())
    kept = edited.grids.set_index("code").loc[grids.code[1]]
    assert (kept.households, kept["name"], kept["head"]) == (601, "合并网格", "乙")
    assert kept.geometry.equals(box(0, 0, 200, 100))
    assert edited.grids.households.dtype == grids.households.dtype
    assert edited.grids.households.sum() == grids.households.sum()


def test_merge_under_a_new_code_retires_all() -> None:
    grids = row_of_four()
    edited = drawing.merge(grids, list(grids.code[:3]), code="411002001001009")
    assert edited.retired == tuple(grids.code[:3])
    assert edited.created == ("411002001001009",)
    assert edited.changed == {}
    with pytest.raises(InputError, match="taken"):
        drawing.merge(grids, list(grids.code[:2]), code=grids.code[3])


@pytest.mark.parametrize("rows", [(0, 2), (0, 1, 3), (2,)])
def test_merge_refuses_what_does_not_hang_together(rows: tuple[int, ...]) -> None:
    grids = row_of_four()
    with pytest.raises(InputError) as caught:
        drawing.merge(grids, [grids.code[r] for r in rows])
    assert caught.value.code == "drawing_impossible"


def test_grids_that_meet_in_a_point_are_not_adjacent() -> None:
    corner = [box(0, 0, 1, 1), box(1, 1, 2, 2)]
    grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=corner, crs=4547)
    with pytest.raises(InputError):
        drawing.merge(grids, ["1", "2"])


def test_merge_round_a_grid_leaves_it_as_a_hole() -> None:
    shapes = [box(x, y, x + 1, y + 1) for y in range(3) for x in range(3)]
    codes = [str(n) for n in range(9)]
    grids = gpd.GeoDataFrame({"code": codes}, geometry=shapes, crs=4547)
    edited = drawing.merge(grids, [c for c in codes if c != "4"])
    ring = edited.grids.set_index("code").geometry["0"]
    assert (ring.area, len(ring.interiors)) == (8.0, 1)
    assert_exact(edited.grids, box(0, 0, 3, 3))


def test_an_unknown_or_doubled_code_is_named() -> None:
    grids = row_of_four()
    with pytest.raises(MissingError) as caught:
        drawing.merge(grids, [grids.code[0], "999"])
    assert caught.value.code == "code_unknown"
    grids.loc[1, "code"] = grids.code[0]
    with pytest.raises(InputError, match="2 grids have the code"):
        drawing.split(grids, grids.code[0], LineString([(50, -1), (50, 101)]))


def test_split_divides_counts_and_puts_nodes_into_neighbours() -> None:
    top = shapely.Polygon([(0, 100), (100, 100), (200, 100), (200, 200), (0, 200)])
    shapes = [box(0, 0, 100, 100), box(100, 0, 200, 100), top]
    grids = gpd.GeoDataFrame(
        {"code": [f"41100200100100{i}" for i in (1, 2, 3)], "name": "第一网格", "households": 301},
        geometry=shapes, crs=4547,
    )  # fmt: skip
    edited = drawing.split(grids, grids.code[0], LineString([(30, -9), (30, 150)]))
    assert edited.retired == (grids.code[0],)
    assert edited.created == ("411002001001004", "411002001001005")
    assert edited.changed == {grids.code[2]: "node_inserted"}
    assert untouched(grids, edited) == [grids.code[1]]
    parts = edited.grids.set_index("code").loc[list(edited.created)]
    assert parts.households.tolist() == [90, 211]
    assert parts["name"].tolist() == ["第四网格", "第五网格"]
    assert parts.geometry.iloc[0].equals(box(0, 0, 30, 100))  # west first
    above = edited.grids.set_index("code").geometry[grids.code[2]]
    assert (30.0, 100.0) in above.exterior.coords[:]
    assert above.equals(top)  # a node, no land
    assert [note.code for note in edited.notes] == ["split", "divided_by_area"]
    assert_exact(edited.grids, box(0, 0, 200, 200))


def test_split_never_gives_a_code_of_the_past() -> None:
    grids = row_of_four()
    line = LineString([(350, -1), (350, 101)])
    edited = drawing.split(grids, grids.code[3], line, retired=["411002001001007"])
    assert edited.created == ("411002001001008", "411002001001009")
    assert set(edited.grids["name"]) >= {"和平里之一", "和平里之二"}
    given = drawing.split(grids, grids.code[3], line, codes=["W", "E"])
    assert given.created == ("W", "E")
    for wrong in (["W"], ["W", "W"], ["W", grids.code[0]]):
        with pytest.raises(InputError):
            drawing.split(grids, grids.code[3], line, codes=wrong)


def test_split_at_a_vertex_uses_it() -> None:
    grids = row_of_four()
    edited = drawing.split(grids, grids.code[1], LineString([(100, 0), (200, 100)]))
    assert edited.changed == {}
    coordinates = shapely.get_num_coordinates(edited.grids.geometry.values)
    assert sorted(coordinates) == [4, 4, 5, 5, 5]


def test_a_line_that_enters_twice_makes_three() -> None:
    u = shapely.Polygon(
        [(0, 0), (90, 0), (90, 90), (60, 90), (60, 30), (30, 30), (30, 90), (0, 90)]
    )
    grids = gpd.GeoDataFrame(
        {"code": ["411002001001001"], "population": [10]}, geometry=[u], crs=4547
    )
    edited = drawing.split(grids, grids.code[0], LineString([(-1, 60), (91, 60)]))
    assert len(edited.created) == 3
    assert edited.grids.population.sum() == 10
    assert_exact(edited.grids, u)


@pytest.mark.parametrize(
    "line",
    [
        LineString([(120, 50), (180, 50)]),  # inside
        LineString([(150, -10), (150, 50)]),  # comes in, ends inside
        LineString([(500, 0), (500, 90)]),  # elsewhere
        LineString([(100, 0), (200, 0)]),  # along the border
        LineString([(100, 200), (100, 100)]),  # touches a corner
    ],
)
def test_a_line_that_does_not_cut_is_refused(line: LineString) -> None:
    grids = row_of_four()
    with pytest.raises(InputError) as caught:
        drawing.split(grids, grids.code[1], line)
    assert caught.value.code == "drawing_impossible"


def test_a_cut_to_a_hole_and_on_round_it() -> None:
    hole = box(40, 40, 60, 60)
    ring = shapely.Polygon(box(0, 0, 100, 100).exterior, [hole.exterior])
    grids = gpd.GeoDataFrame(
        {"code": ["411002001001001", "411002001001002"]}, geometry=[ring, hole], crs=4547
    )
    with pytest.raises(InputError):  # from the outside to the hole: still one piece
        drawing.split(grids, grids.code[0], LineString([(-1, 50), (50, 50)]))
    edited = drawing.split(grids, grids.code[0], LineString([(-1, 50), (101, 50)]))
    assert len(edited.created) == 2
    assert edited.changed == {grids.code[1]: "node_inserted"}
    assert_exact(edited.grids, box(0, 0, 100, 100))


def test_move_node_moves_it_for_all() -> None:
    shapes = [box(x, y, x + 100, y + 100) for y in (0, 100) for x in (0, 100)]
    grids = gpd.GeoDataFrame({"code": list("abcd")}, geometry=shapes, crs=4547)
    edited = drawing.move_node(grids, (100.3, 99.8), (120, 90))
    assert edited.changed == dict.fromkeys("abcd", "node_moved")
    assert_exact(edited.grids, box(0, 0, 200, 200))
    assert edited.grids.geometry[0].area > 10_000
    for at, to in (((100, 100), (300, 100)), ((100, 0), (110, 0)), ((50, 50), (60, 60))):
        with pytest.raises(InputError):  # across a border; on the outline; no node there
            drawing.move_node(grids, at, to)


def test_overlapping_grids_are_refused() -> None:
    grids = row_of_four()
    grids.loc[1, "geometry"] = grids.geometry[0]
    with pytest.raises(InputError, match="overlaps"):
        drawing.merge(grids, list(grids.code[:2]))


def test_works_in_degrees(tiling: Tiling) -> None:
    grids, outline = tiling(30, 3, crs=4490)
    shape = grids.geometry[12]
    spot = shape.representative_point()
    line = LineString([(spot.x - 1, spot.y - 0.01), (spot.x + 1, spot.y + 0.01)])
    cut = drawing.split(grids, grids.code[12], line)
    whole = drawing.merge(cut.grids, list(cut.created))
    shapes = whole.grids.geometry.values
    assert shapely.area(shapes).sum() == pytest.approx(outline.area, abs=1e-15)
    assert shapely.coverage_is_valid(shapes)


def test_200_random_edits_leave_an_exact_tiling(tiling: Tiling) -> None:
    grids, outline = tiling(60, 7)
    grids["households"] = np.arange(60) * 7 + 100
    random = np.random.default_rng(5)
    start, retired, done = grids, set[str](), 0
    while done < 200:
        code = str(random.choice(grids.code))
        try:
            edited = random_edit(grids, code, retired, random)
        except InputError:
            continue
        untouched(grids, edited)
        retired |= set(edited.retired)
        grids, done = edited.grids, done + 1
    assert_exact(grids, outline)
    assert grids.households.sum() == start.households.sum()
    assert grids.code.is_unique
    assert not retired & set(grids.code)


def random_edit(
    grids: gpd.GeoDataFrame, code: str, retired: set[str], random: np.random.Generator
) -> drawing.Edited:
    shape = grids.geometry[grids.code == code].iloc[0]
    spot = np.array(shape.representative_point().coords[0])
    if random.random() < 0.5 or len(grids) < 20:
        turn = random.uniform(0, np.pi)
        reach = 1e4 * np.array([np.cos(turn), np.sin(turn)])
        line = LineString([spot - reach, spot + reach])
        return drawing.split(grids, code, line, retired=sorted(retired))
    beside = grids.code[shapely.relate_pattern(grids.geometry.values, shape, "****1****")]
    return drawing.merge(grids, [code, str(random.choice([c for c in beside if c != code]))])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), edits=st.lists(st.integers(0, 2), min_size=1, max_size=25))
def test_undo_gives_the_very_bytes_back(tiling: Tiling, seed: int, edits: list[int]) -> None:
    grids, outline = tiling(16, seed % 5)
    shapes = np.asarray(grids.geometry.values, object)
    sheet = drawing.Sheet(shapes)
    random = np.random.default_rng(seed)
    done = sum(sheet_edit(sheet, kind, random) for kind in edits)
    now = np.array([sheet.geometry(face) for face in sheet.faces], object)
    assert shapely.coverage_is_valid(now)
    assert shapely.area(now).sum() == pytest.approx(outline.area, abs=1e-6)
    for _ in range(done):
        assert sheet.undo()
    assert not sheet.undo()
    back = np.array([sheet.geometry(face) for face in sheet.faces], object)
    assert (shapely.to_wkb(back) == shapely.to_wkb(shapes)).all()


def sheet_edit(sheet: drawing.Sheet, kind: int, random: np.random.Generator) -> bool:
    """Try an edit; tell whether it was done. A refused edit leaves no trace."""
    face = int(random.choice(sheet.faces))
    spot = np.array(sheet.geometry(face).representative_point().coords[0])
    before = {f: sheet.geometry(f).wkb for f in sheet.faces}
    try:
        if kind == 0:
            reach = np.array([9e3, 1e3])
            sheet.split(face, LineString([spot - reach, spot + reach]))
        elif kind == 1:
            sheet.merge([face, *list(sheet.neighbours(face))[:2]])
        else:
            vertex = sheet.nearest_vertex((spot[0], spot[1]), 1e5)
            assert vertex is not None
            x, y = spot + random.normal(0, 100, 2)
            sheet.move({vertex: (x, y)})
    except InputError:
        assert before == {f: sheet.geometry(f).wkb for f in sheet.faces}
        return False
    return True


@given(
    total=st.integers(0, 10**6),
    weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20),
)
def test_whole_shares_add_up_and_are_fair(total: int, weights: list[float]) -> None:
    shares = counts.share_whole(total, weights)
    assert shares.sum() == total
    exact = total * np.array(weights) / sum(weights)
    assert (np.abs(shares - exact) <= 1.0 + 1e-6).all()
