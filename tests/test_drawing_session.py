"""Operations by code: each does what it says and no more, is undone to the byte, or is refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from geo_service import coverage, drawing
from geo_service.drawing import operations
from geo_service.drawing.counts import COUNT_FIELDS
from geo_service.errors import InputError, MissingError

Tiling = Callable[..., tuple[gpd.GeoDataFrame, Any]]

A, B, C, D, E = (f"41100200100100{i}" for i in range(1, 6))
"""A 2 x 2 of grids of one community (A B over C D), and one of the next community beside B, D."""
ELSEWHERE = "411002001002001"


def session(homes: gpd.GeoDataFrame | None = None) -> drawing.Session:
    shapes = [
        shapely.Polygon([(0, 100), (50, 104), (100, 100), (100, 200), (0, 200)]),
        box(100, 100, 200, 200),
        shapely.Polygon([(0, 0), (100, 0), (100, 100), (50, 104), (0, 100)]),
        box(100, 0, 200, 100),
        shapely.Polygon([(200, 0), (300, 0), (300, 200), (200, 200), (200, 100)]),
    ]
    codes = [A, B, C, D, ELSEWHERE]
    rows = [{"name": f"第{i}网格", "kind": "基础网格", "households": 400 + i} for i in range(5)]
    return drawing.Session(codes, shapes, rows, homes=homes)


def bytes_of(session: drawing.Session) -> dict[str, tuple[bytes, str]]:
    return {code: (g.geometry.wkb, json.dumps(g.row)) for code, g in session.grids()}


def whole_certificate(session: drawing.Session, outline: Any) -> bool:
    """Judge from the polygons alone, as a reader would; the outline gets the nodes on the rim."""
    now = np.array([grid.geometry for _, grid in session.grids()], object)
    return bool(
        shapely.is_valid(now).all()
        and shapely.coverage_is_valid(now)
        and abs(shapely.area(now).sum() - outline.area) < 1e-6
        and session.certificate == coverage.certificate(now, shapely.coverage_union_all(now))
        and session.certificate.clean
    )


OPERATIONS: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "split": (
        {"op": "split", "code": A, "line": [[30, 90], [30, 210]]},
        {C: "node_inserted"}, (A,), (E, E[:-1] + "6"),
    ),
    "merge": ({"op": "merge", "codes": [A, B]}, {A: "merged"}, (B,), ()),
    "merge, new code": (
        {"op": "merge", "codes": [A, B], "code": E, "name": "合并"}, {}, (A, B), (E,),
    ),
    "move_node": (
        {"op": "move_node", "at": [100.2, 99.7], "to": [110, 95]},
        dict.fromkeys((A, B, C, D), "node_moved"), (), (),
    ),
    "move_edge": (
        {"op": "move_edge", "at": [75, 102], "to": [75, 92]},
        dict.fromkeys((A, B, C, D), "node_moved"), (), (),
    ),
    "straighten": (
        {"op": "straighten", "from": [0, 100], "to": [100, 100]},
        dict.fromkeys((A, C), "border_moved"), (), (),
    ),
    "follow": (
        {"op": "follow", "from": [100, 100], "to": [50, 104], "between": [A, C],
         "line": [[120, 100], [100, 100], [80, 120], [60, 120], [50, 104], [40, 100]]},
        dict.fromkeys((A, C), "border_moved"), (), (),
    ),
    "reassign": (
        {"op": "reassign", "code": A, "to": B,
         "block": [[80, 200], [80, 150], [100, 150], [100, 200]]},
        {A: "land_given", B: "land_taken"}, (), (),
    ),
    "cut_out inside": (
        {"op": "cut_out", "code": D, "premises": [[120, 20], [150, 20], [150, 60], [120, 60]],
         "name": "万达广场"},
        {D: "land_given"}, (), (E,),
    ),
    "cut_out at the border": (
        {"op": "cut_out", "code": D, "premises": [[100, 20], [150, 20], [150, 60], [100, 60]]},
        {D: "land_given", C: "node_inserted"}, (), (E,),
    ),
    "snap": (
        {"op": "snap", "code": A, "line": [[20, 105], [80, 105]], "within_m": 2.0},
        dict.fromkeys((A, C), "node_moved"), (), (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_changes_what_it_names_and_is_undone_to_the_byte(name: str) -> None:
    operation, changed, retired, created = OPERATIONS[name]
    grids = session()
    before = bytes_of(grids)
    change = grids.apply(operation)
    assert (change.changed, change.retired, change.created) == (changed, retired, created)
    after = bytes_of(grids)
    named = {*changed, *retired, *created}
    assert {c: b for c, b in after.items() if c not in named} == {
        c: b for c, b in before.items() if c not in named
    }
    assert set(after) == set(before) - set(retired) | set(created)
    assert whole_certificate(grids, box(0, 0, 300, 200))
    total = sum(grid.row["households"] for _, grid in grids.grids())
    assert total == sum(range(400, 405))
    assert change.notes[0].zh
    assert change.notes[0].en
    json.dumps(change.operation)  # plain, to be kept in a draft

    back = grids.undo()
    assert back is not None
    assert (back.retired, back.created) == (created, retired)
    assert bytes_of(grids) == before
    assert grids.undo() is None
    assert grids.redo() == change
    assert bytes_of(grids) == after
    assert grids.redo() is None
    again = session()
    again.apply(json.loads(json.dumps(change.operation)))  # as it was done: the same again
    assert bytes_of(again) == after


def test_what_each_does() -> None:
    grids = session()
    grids.apply(OPERATIONS["follow"][0])
    assert grids.grid(A).geometry.covers(shapely.Point(70, 121))
    assert grids.grid(C).geometry.covers(shapely.Point(70, 119))
    grids.apply(OPERATIONS["cut_out inside"][0])
    host, premises = grids.grid(D), grids.grid(E)
    assert premises.geometry.equals(box(120, 20, 150, 60))
    assert (premises.row["kind"], premises.row["name"]) == ("专属网格", "万达广场")
    assert host.row["households"] + premises.row["households"] == 403
    assert len(host.geometry.interiors) == 1
    grids.apply({"op": "merge", "codes": [D, E]})
    assert grids.grid(D).geometry.equals(box(100, 0, 200, 100))
    assert [change.operation["op"] for change in grids.history] == ["follow", "cut_out", "merge"]


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ({"op": "split", "code": A, "line": [[10, 120], [90, 120]]}, "not cut"),
        ({"op": "split", "code": A, "line": [[500, 0], [600, 0]]}, "not cut"),
        ({"op": "split", "code": A, "line": [[30, 90], [30, 210]], "codes": [E]}, "2 new codes"),
        ({"op": "split", "code": A, "line": [[30, 90], [30, 210]], "codes": [E, B]}, "taken"),
        ({"op": "merge", "codes": [A, D]}, "no common border"),
        ({"op": "merge", "codes": [A]}, "no common border"),
        ({"op": "merge", "codes": [B, ELSEWHERE]}, "community line"),
        ({"op": "move_node", "at": [100, 100], "to": [350, 100]}, "cross"),
        ({"op": "move_node", "at": [100, 100], "to": [50, 104]}, "together"),
        ({"op": "move_node", "at": [200, 100], "to": [205, 100]}, "community line"),
        ({"op": "move_node", "at": [100, 0], "to": [105, 0]}, "outline"),
        ({"op": "move_node", "at": [60, 50], "to": [61, 50]}, "no border point"),
        ({"op": "move_edge", "at": [50, 0], "to": [50, 5]}, "outline"),
        ({"op": "straighten", "from": [0, 100], "to": [200, 100]}, "single border"),
        ({"op": "straighten", "from": [200, 0], "to": [200, 100]}, "community line"),
        ({"op": "straighten", "from": [0, 0], "to": [100, 0]}, "outline"),
        ({"op": "follow", "from": [0, 100], "to": [100, 100],
          "line": [[0, 100], [50, 300], [100, 100]]}, "cross"),
        ({"op": "follow", "from": [0, 100], "to": [100, 100], "line": [[0, 0], [0, 10]]},
         "does not run between"),
        ({"op": "reassign", "code": A, "to": A, "block": [[0, 150], [9, 150], [9, 200]]},
         "already"),
        ({"op": "reassign", "code": A, "to": D, "block": [[0, 150], [9, 150], [9, 200], [0, 200]]},
         "does not touch"),
        ({"op": "cut_out", "code": D, "premises": [[90, 20], [150, 20], [150, 60]]}, "beyond"),
        ({"op": "cut_out", "code": D, "premises": [[110, 20], [150, 60], [150, 20], [110, 60]]},
         "crosses itself"),
        ({"op": "cut_out", "code": D, "premises": [[110, 0], [150, 0], [150, 100], [110, 100]]},
         "2 pieces"),
        ({"op": "snap", "code": A, "line": [[0, 150], [90, 150]]}, "no border point"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_in_a_sentence_and_changes_nothing(
    operation: dict[str, Any], says: str
) -> None:
    grids = session()
    before = bytes_of(grids)
    with pytest.raises(InputError, match=says) as caught:
        grids.apply(operation)
    assert caught.value.code == "drawing_impossible"
    assert bytes_of(grids) == before
    assert grids.certificate.clean
    assert grids.undo() is None
    grids.apply(OPERATIONS["split"][0])  # and it goes on


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (None, "parameter_invalid"),
        ([], "parameter_invalid"),
        ({}, "parameter_invalid"),
        ({"op": "explode"}, "parameter_invalid"),
        ({"op": "split", "code": A}, "parameter_missing"),
        ({"op": "split", "code": A, "line": [[1, 2]]}, "parameter_invalid"),
        ({"op": "split", "code": A, "line": [[1, 2], [3, float("nan")]]}, "parameter_invalid"),
        ({"op": "split", "code": A, "line": [[1, 2], [3, True]]}, "parameter_invalid"),
        ({"op": "split", "code": 7, "line": [[1, 2], [3, 4]]}, "parameter_invalid"),
        ({"op": "split", "code": A, "lime": [[1, 2], [3, 4]]}, "parameter_invalid"),
        ({"op": "merge", "codes": []}, "parameter_invalid"),
        ({"op": "move_node", "at": [1, 2], "to": [1, 2], "within_m": 0}, "parameter_invalid"),
        ({"op": "cut_out", "code": A, "premises": [[1, 2], [3, 4], [1, 2]]}, "parameter_invalid"),
        ({"op": "merge", "codes": [A, "999"]}, "code_unknown"),
    ],
)
def test_a_malformed_operation_is_refused(operation: Any, code: str) -> None:
    grids = session()
    with pytest.raises((InputError, MissingError)) as caught:
        grids.apply(operation)
    assert caught.value.code == code


def test_codes_are_never_given_twice() -> None:
    grids = session()
    first = grids.apply(OPERATIONS["split"][0])
    grids.undo()
    assert grids.apply(OPERATIONS["split"][0]).created == first.created  # it never was
    east = grids.apply({"op": "merge", "codes": list(first.created)})
    line = [[60, 90], [60, 210]]
    again = grids.apply({"op": "split", "code": east.operation["code"], "line": line})
    assert not {*first.created} & {*again.created}
    with pytest.raises(InputError, match="taken"):
        grids.apply({"op": "merge", "codes": [B, D], "code": A})


HOMES = gpd.GeoDataFrame(
    {"households": [300, 60, 40]},  # 400 in A, nearly all of them in its west
    geometry=gpd.points_from_xy([20, 40, 90], [150, 150, 150]),
)


@pytest.mark.parametrize(
    ("operation", "held"),
    [
        ({"op": "split", "code": A, "line": [[30, 90], [30, 210]]}, {E: 300, E[:-1] + "6": 100}),
        ({"op": "cut_out", "code": A, "premises": [[80, 120], [99, 120], [99, 160], [80, 160]]},
         {A: 360, E: 40}),
        ({"op": "reassign", "code": A, "to": B,
          "block": [[80, 200], [80, 120], [100, 120], [100, 200]]}, {A: 360, B: 441}),
    ],
)  # fmt: skip
def test_counts_go_with_the_homes(operation: dict[str, Any], held: dict[str, int]) -> None:
    grids = session(homes=HOMES)
    change = grids.apply(operation)
    assert {code: grids.grid(code).row["households"] for code in held} == held
    assert change.notes[1].code == "divided_by_homes"
    assert "400 households live" in change.notes[1].en
    assert "check" not in change.notes[1].en
    unknown = session()
    assert unknown.apply(operation).notes[1].code == "divided_by_area"


def test_homes_that_do_not_agree_with_the_count_are_told() -> None:
    grids = session(homes=HOMES.assign(households=[30, 10, 0]))
    change = grids.apply({"op": "split", "code": A, "line": [[30, 90], [30, 210]]})
    assert [grids.grid(code).row["households"] for code in change.created] == [300, 100]
    assert "said to hold 400" in change.notes[1].en
    assert "登记为 400 户" in change.notes[1].zh
    nobody = session(homes=HOMES)
    assert nobody.apply(OPERATIONS["cut_out inside"][0]).notes[1].code == "divided_by_area"


@settings(max_examples=60, deadline=None)
@given(
    turn=st.floats(0.0, 3.2),
    corners=st.lists(st.floats(0.0, 6.2), min_size=3, max_size=6, unique_by=lambda t: round(t, 1)),
)
def test_no_grid_is_laid_flat(turn: float, corners: list[float]) -> None:
    """All corners of a small grid onto one line: rounding decides which way such a grid winds.

    GEOS calls it valid either way, and its land is too little for areas to show.
    """
    middle = np.array((478_150.0, 3_760_150.0))
    small = shapely.Polygon([middle + 3 * heading(each) for each in sorted(corners)])
    host = shapely.Polygon(box(*(middle - 50), *(middle + 50)).exterior, [small.exterior])
    grids = drawing.Session([A, B], [host, small])
    before = bytes_of(grids)
    line = [(middle + reach * heading(turn)).tolist() for reach in (-50, 50)]
    with pytest.raises(InputError, match=r"left without land|fall together|cross"):
        grids.apply({"op": "snap", "code": B, "line": line, "within_m": 5.0})
    assert bytes_of(grids) == before


def heading(turn: float) -> Any:
    return np.array((np.cos(turn), np.sin(turn)))


def test_two_alike_codes_and_overlaps_are_refused() -> None:
    with pytest.raises(InputError, match="two grids have the code A"):
        drawing.Session(["A", "A"], [box(0, 0, 1, 1), box(1, 0, 2, 1)])
    with pytest.raises(InputError, match="overlaps"):
        drawing.Session(["A", "B"], [box(0, 0, 1, 1), box(0, 0, 1, 1)])


def test_every_form_says_what_it_takes() -> None:
    assert {name.split(",")[0].split()[0] for name in OPERATIONS} == set(operations.FORMS)
    for form in operations.FORMS.values():
        assert form.zh
        assert form.en
        assert {*form.takes.values(), *form.may_take.values()} <= set(operations.KINDS)
    assert operations.places(OPERATIONS["follow"][0]) == ["from", "to", "line"]


def test_random_operations_keep_certificate_area_and_codes(tiling: Tiling) -> None:
    edit_at_random(tiling, grids=60, edits=600, look_every=60)


@pytest.mark.slow
def test_10000_random_operations_keep_certificate_area_and_codes(tiling: Tiling) -> None:
    edit_at_random(tiling, grids=1000, edits=10_000, look_every=1000)


def edit_at_random(tiling: Tiling, *, grids: int, edits: int, look_every: int) -> None:
    frame, outline = tiling(grids, 5, points=6)
    frame["households"] = np.arange(grids) * 7 + 100
    shapes = np.asarray(frame.geometry.values, object)
    rows = frame[["name", "households"]].to_dict("records")
    session = drawing.Session(list(frame.code), shapes, rows)
    start = bytes_of(session)
    random, maker = np.random.default_rng(11), random_edits()
    total = frame.households.sum()
    gone: set[str] = set()
    done = 0
    while done < edits:
        code = str(random.choice(session.codes))
        kind = "merge" if len(session.codes) > 1.3 * grids else None
        try:
            change = session.apply(maker.operation(session, code, random, kind=kind))
        except InputError:
            continue
        done += 1
        assert not gone & set(change.created)
        gone |= set(change.retired)
        if done % look_every == 0:
            assert whole_certificate(session, outline)
            assert total_of(session, COUNT_FIELDS) == total
    end = bytes_of(session)
    for _ in range(edits):
        assert session.undo() is not None
    assert session.undo() is None
    assert bytes_of(session) == start
    for _ in range(edits):
        assert session.redo() is not None
    assert bytes_of(session) == end
    assert session.certificate.clean


def total_of(session: drawing.Session, fields: Sequence[str]) -> int:
    return sum(int(g.row.get(field, 0)) for _, g in session.grids() for field in fields)


def random_edits() -> ModuleType:
    path = Path(__file__).with_name("random_edits.py")
    spec = importlib.util.spec_from_file_location("random_edits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
