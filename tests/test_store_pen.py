"""Operations on a draft: kept with what they changed, undone in any process, published as usual."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from geo_service.errors import ConflictError, InputError, MissingError
from geo_service.store import Store, create_store, open_store


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(60, seed=3)[0].assign(households=100)


@pytest.fixture
def store(place: Path | str, grids: gpd.GeoDataFrame) -> Iterator[Store]:
    with create_store(place) as made:
        made.publish(made.create_draft("grids", grids).id)
        yield made


def rows(store: Store, draft: int) -> dict[str, tuple[bytes, int]]:
    frame = store.draft_frame(draft)
    shapes = shapely.to_wkb(frame.geometry.values)
    return dict(zip(frame["code"], zip(shapes, frame["households"], strict=True), strict=True))


def across(grids: gpd.GeoDataFrame, code: str) -> dict[str, Any]:
    spot = grids.geometry[grids.code == code].iloc[0].representative_point()
    line = [[spot.x - 2000, spot.y - 300], [spot.x + 2000, spot.y + 300]]
    return {"op": "split", "code": code, "line": line}


def test_a_draft_is_drawn_on_undone_redone_and_published(
    store: Store, grids: gpd.GeoDataFrame
) -> None:
    draft = store.open_draft("grids", author="李")
    start = rows(store, draft.id)
    assert len(start) == 60
    code = grids.code[20]
    first = store.draw_on(draft.id, across(grids, code), author="李")
    assert (first.number, first.author, first.retired) == (1, "李", (code,))
    second = store.draw_on(draft.id, {"op": "merge", "codes": list(first.created)})
    end = rows(store, draft.id)
    assert end[first.created[0]][1] == 100
    assert store.undo(draft.id).number == 2
    assert store.undo(draft.id).number == 1
    assert rows(store, draft.id) == start
    with pytest.raises(ConflictError) as caught:
        store.undo(draft.id)
    assert caught.value.code == "nothing_to_undo"
    assert store.redo(draft.id).created == first.created
    assert store.redo(draft.id).number == second.number
    assert rows(store, draft.id) == end
    with pytest.raises(ConflictError) as caught:
        store.redo(draft.id)
    assert caught.value.code == "nothing_to_redo"
    report = store.check_draft(draft.id)
    assert not report.faults["severity"].eq("error").any()
    revision = store.publish(draft.id)
    assert revision.features == 60
    assert [e.operation["op"] for e in store.drawn_on(draft.id)] == ["split", "merge"]
    with pytest.raises(ConflictError):
        store.draw_on(draft.id, across(grids, grids.code[21]))


def test_another_process_goes_on_where_the_first_stopped(
    store: Store, grids: gpd.GeoDataFrame, place: Path | str
) -> None:
    draft = store.open_draft("grids").id
    start = rows(store, draft)
    store.draw_on(draft, across(grids, grids.code[20]))
    with open_store(place) as other:
        other.undo(draft)
        mine = other.draw_on(draft, across(grids, grids.code[30]))
        assert mine.number == 1
    # The first store's pen is of a state that is gone; so is what it could have redone.
    theirs = store.draw_on(draft, across(grids, grids.code[31]))
    assert theirs.number == 2
    assert {grids.code[30], grids.code[31]}.isdisjoint(rows(store, draft))
    assert grids.code[20] in rows(store, draft)
    store.undo(draft)
    with open_store(place) as other:
        other.undo(draft)
        assert rows(other, draft) == start
        assert [edit.undone for edit in other.drawn_on(draft)] == [True, True]
    assert store.redo(draft).number == 1


def test_two_planners_draw_in_different_communities_at_once(
    store: Store, grids: gpd.GeoDataFrame
) -> None:
    one, other = sorted({code[:12] for code in grids.code})[:2]
    mine = store.open_draft("grids", within=one, author="甲").id
    yours = store.open_draft("grids", within=other, author="乙").id
    a = next(c for c in grids.code if c.startswith(one))
    b = next(c for c in grids.code if c.startswith(other))
    store.draw_on(mine, across(grids, a))
    store.draw_on(yours, across(grids, b))
    store.publish(mine, accept=["code_order"], author="甲", reason="-")
    store.publish(yours, accept=["code_order"], author="乙", reason="-")
    now = store.frame("grids")
    assert len(now) == 62
    assert {a, b}.isdisjoint(now.code)
    assert now.households.sum() == 6000
    with pytest.raises(MissingError):
        store.open_draft("grids", within="411099")


def test_what_is_refused_leaves_the_draft_as_it_was(store: Store, grids: gpd.GeoDataFrame) -> None:
    draft = store.open_draft("grids").id
    start = rows(store, draft)
    apart = [grids.code[0], grids.code[59]]
    with pytest.raises(InputError) as caught:
        store.draw_on(draft, {"op": "merge", "codes": apart})
    assert caught.value.code == "drawing_impossible"
    assert (rows(store, draft), store.drawn_on(draft)) == (start, [])
    retired = store.draw_on(draft, across(grids, grids.code[20]))
    store.publish(draft, accept=["code_order"], author="甲", reason="-")
    again = store.open_draft("grids").id
    new = store.draw_on(again, across(store.draft_frame(again), retired.created[0]))
    assert not {*new.created} & {grids.code[20], *retired.created}


def test_an_edit_changes_the_check(store: Store, grids: gpd.GeoDataFrame) -> None:
    draft = store.open_draft("grids").id
    store.check_draft(draft)
    assert store.draft(draft).check is not None
    store.draw_on(draft, across(grids, grids.code[20]))
    assert store.draft(draft).check is None
    assert store.draft(draft).features == 61


def test_counts_are_divided_by_the_store_s_own_houses(
    store: Store, grids: gpd.GeoDataFrame
) -> None:
    code = grids.code[20]
    asked = across(grids, code)
    draft = store.open_draft("grids").id
    assert store.draw_on(draft, asked).notes[1]["code"] == "divided_by_area"
    store.undo(draft)
    line = shapely.LineString(asked["line"])
    north = shapely.offset_curve(line, 20.0).intersection(grids.geometry[20]).centroid
    house = gpd.GeoSeries([north], crs=store.plane).to_crs(4326)[0]
    frame = pd.DataFrame({"lon": [house.x], "lat": [house.y], "households": [100]})
    store.put_table("buildings", frame)
    other = store.open_draft("grids").id
    made = store.draw_on(other, asked)
    assert made.notes[1]["code"] == "divided_by_homes"
    held = {c: r[1] for c, r in rows(store, other).items() if c in made.created}
    assert sorted(held.values()) == [0, 100]
