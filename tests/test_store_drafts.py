"""Drafts of several planners: brought onto what was published, or refused with who and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from geo_service import coverage
from geo_service.errors import ConflictError, InputError
from geo_service.store import Store, create_store, rebasing
from geo_service.store.records import Acceptance


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(60, seed=3)[0].assign(head="", households=100)


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    with create_store(place) as made:
        yield made


@pytest.fixture
def published(store: Store, grids: gpd.GeoDataFrame) -> Store:
    publish(store, grids, author="甲")
    return store


def publish(store: Store, frame: gpd.GeoDataFrame, **options: Any) -> Any:
    return store.publish(store.create_draft("grids", frame).id, **options)


def with_values(grids: gpd.GeoDataFrame, **values: dict[int, Any]) -> gpd.GeoDataFrame:
    """The grids with some cells set: ``households={4: 150}``."""
    edited = grids.copy()
    for column, cells in values.items():
        for row, value in cells.items():
            edited.loc[row, column] = value
    return edited


# one behind the other


def test_a_draft_is_brought_onto_what_others_published(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    mine = published.create_draft("grids", with_values(grids, households={4: 150}))
    publish(published, with_values(grids, head={9: "李"}), author="乙")
    based = published.rebase(mine.id)
    assert (based.taken, based.clashes) == ((grids["code"][9],), ())
    revision = published.publish(mine.id)
    assert (revision.number, revision.changes) == (3, {"added": 0, "removed": 0, "changed": 1})
    found = published.frame("grids").set_index("code")
    assert found["households"][grids["code"][4]] == 150
    assert found["head"][grids["code"][9]] == "李"
    published.verify()


def test_what_both_changed_is_refused_with_who_and_when(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    mine = published.create_draft("grids", with_values(grids, households={4: 150, 5: 1}))
    made = publish(published, with_values(grids, households={4: 151, 9: 2}), author="乙")
    with pytest.raises(ConflictError) as refused:
        published.publish(mine.id)
    assert refused.value.code == "draft_stale"
    (clash,) = published.rebase(mine.id).clashes
    assert (clash.code, clash.revision, clash.who) == (grids["code"][4], 2, "乙")
    assert clash.when == made.published_at
    for said in (grids["code"][4], "乙", made.published_at[:16]):
        assert said in refused.value.message("zh")
        assert said in refused.value.message("en")
    assert grids["code"][5] not in refused.value.message("en")
    assert published.revision("grids").number == 2
    assert [d.id for d in published.drafts(state="open")] == [mine.id]


def test_the_same_change_twice_is_no_quarrel(published: Store, grids: gpd.GeoDataFrame) -> None:
    edited = with_values(grids, households={4: 150})
    mine = published.create_draft("grids", edited.assign())
    publish(published, edited)
    assert published.rebase(mine.id).clashes == ()
    assert published.publish(mine.id).changes == {"added": 0, "removed": 0, "changed": 0}


def test_a_retired_feature_that_was_edited_is_a_quarrel(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    mine = published.create_draft("grids", with_values(grids, households={10: 7}))
    gone = grids.drop(index=10)
    publish(published, gone, author="乙", accept=["missing_grid", "gap", "rim_gap"], reason="测试")
    (clash,) = published.rebase(mine.id).clashes
    assert (clash.code, clash.revision, clash.who) == (grids["code"][10], 2, "乙")


def test_a_part_is_brought_onto_a_change_inside_it(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    area = grids["code"][0][:12]
    rows = grids.index[grids["code"].str.startswith(area)]
    part = with_values(grids, head={rows[0]: "王"}).loc[rows]
    mine = published.create_draft("grids", part, replace_within=area)
    outside = next(i for i in grids.index if i not in rows)
    publish(published, with_values(grids, head={rows[1]: "李", outside: "赵"}))
    assert published.rebase(mine.id).taken == (grids["code"][rows[1]],)
    published.publish(mine.id)
    heads = published.frame("grids").set_index("code")["head"]
    assert [heads[grids["code"][i]] for i in (rows[0], rows[1], outside)] == ["王", "李", "赵"]


def test_a_moved_border_beside_a_moved_border_is_found_by_the_check(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    """Codes may not clash and the ground still does: the check has the last word."""
    one, other = grids.sindex.query(grids.geometry, predicate="touches")
    left, right = int(one[0]), int(other[0])
    grown = grids.copy()
    grown.loc[left, "geometry"] = grids.geometry[left].buffer(3)
    mine = published.create_draft("grids", with_values(grids, head={right: "李"}))
    publish(published, grown, author="乙", accept=coverage.KINDS, reason="测试")
    assert published.rebase(mine.id).clashes == ()
    with pytest.raises(ConflictError) as refused:
        published.publish(mine.id)
    assert refused.value.code == "draft_has_faults"


def test_rebasing_is_pure_set_arithmetic(published: Store, grids: gpd.GeoDataFrame) -> None:
    """Rows that neither side touched come back to the last bit, whatever their order."""
    mine = published.create_draft("grids", grids.sample(frac=1, random_state=2))
    publish(published, with_values(grids, head={3: "李"}))
    with published._home.reading() as connection:
        shelf = published._shelf(connection, "grids")
        based = rebasing.rebase(shelf, rebasing.revisions.at(shelf, 1).rows, base=1, area=None)
        now = rebasing.revisions.current(shelf).rows
        assert sorted(based.rows.digests()) == sorted(now.digests())
    assert published.publish(mine.id).changes["changed"] == 0


# seams


def test_a_fault_on_the_seam_is_shown_once_with_both_owners(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    area = grids["code"][0][:12]
    inside = grids[grids["code"].str.startswith(area)]
    other = grids.loc[~grids["code"].str.startswith(area)]
    touching = other[other.touches(inside.union_all())].iloc[0]
    bulging = inside.copy()
    near = bulging.geometry.distance(touching.geometry).idxmin()
    meeting = touching.geometry.boundary.intersection(bulging.geometry[near].boundary)
    bump = shapely.line_interpolate_point(shapely.line_merge(meeting), 0.5, normalized=True)
    bulging.loc[near, "geometry"] = bulging.geometry[near].union(bump.buffer(5))
    draft = published.create_draft("grids", bulging, replace_within=area, author="丁")
    report = published.check_draft(draft.id)
    seam = published.seam(draft.id, report)
    overlaps = seam[seam["kind"] == "overlap"]
    pairs = {(*ours, *theirs) for ours, theirs in zip(
        overlaps["draft_codes"], overlaps["published_codes"], strict=True)}  # fmt: skip
    assert (bulging["code"][near], touching["code"]) in pairs
    assert len(pairs) == len(overlaps)  # each once
    assert set(seam["who"]) == {"甲"}
    assert set(seam["revision"]) == {1}
    whole = published.create_draft("grids", grids)
    assert published.seam(whole.id, report).empty


# accepting


def faulty(store: Store, grids: gpd.GeoDataFrame) -> int:
    shapes = grids.copy()
    for row in (10, 30):
        shapes.loc[row, "geometry"] = grids.geometry[row].buffer(2)
    return store.create_draft("grids", shapes, author="绘图员").id


def test_acceptance_takes_a_name_and_a_reason(store: Store, grids: gpd.GeoDataFrame) -> None:
    draft = faulty(store, grids)
    store.check_draft(draft, author="检查员")
    kinds = dict(store.draft(draft).check.errors)
    for named in ({"author": "主任"}, {"reason": "界线待议"}, {"author": " ", "reason": "x"}):
        options = {"author": "", "reason": "", **named}
        if options["author"] == "":
            continue  # the draft's own author accepts then, so the name is known
        with pytest.raises(InputError) as refused:
            store.publish(draft, accept=list(kinds), **options)
        assert refused.value.code == "acceptance_unnamed"
    assert store.history("grids") == []
    made = store.publish(draft, accept=list(kinds), author="主任", reason="界线待议")
    assert made.accepted == tuple(
        Acceptance(kind, (), count, "主任", "界线待议") for kind, count in sorted(kinds.items())
    )
    assert (made.drawn_by, made.check.checked_by, made.author) == ("绘图员", "检查员", "主任")
    assert store.history("grids") == [made]


def test_single_faults_are_accepted_by_name(store: Store, grids: gpd.GeoDataFrame) -> None:
    draft = faulty(store, grids)
    store.check_draft(draft)
    names = store.draft(draft).check.error_faults
    assert len(names) == sum(store.draft(draft).check.errors.values())
    with pytest.raises(ConflictError) as refused:
        store.publish(draft, accept=names[1:], author="主任", reason="待议")
    assert "1 " in refused.value.message("en")
    made = store.publish(draft, accept=names, author="主任", reason="待议")
    assert {f"{a.kind}:{'+'.join(a.codes)}" for a in made.accepted} == set(names)


def test_rollback_keeps_what_was_accepted_and_by_whom(
    published: Store, grids: gpd.GeoDataFrame
) -> None:
    draft = faulty(published, grids)
    kinds = published.check_draft(draft).counts
    made = published.publish(draft, accept=list(kinds), author="主任", reason="待议")
    publish(published, grids)
    back = published.rollback("grids", made.number, author="丁")
    assert back.accepted == made.accepted
    assert (back.drawn_by, back.author) == ("绘图员", "丁")
    pd.testing.assert_series_equal(
        published.frame("grids").area, published.frame("grids", at=made.number).area
    )


# what became of codes


def test_old_and_new_codes_by_area_share(published: Store, grids: gpd.GeoDataFrame) -> None:
    one, other = grids.sindex.query(grids.geometry, predicate="touches")
    shared = shapely.length(
        shapely.intersection(grids.geometry.to_numpy()[one], grids.geometry.to_numpy()[other])
    )
    left, right = int(one[shared.argmax()]), int(other[shared.argmax()])
    merged = grids.loc[[left]].assign(
        code="411002001001900",
        geometry=[shapely.coverage_union(grids.geometry[left], grids.geometry[right])],
    )
    after = pd.concat([grids.drop(index=[left, right]), merged], ignore_index=True)
    publish(published, gpd.GeoDataFrame(after, crs=grids.crs))
    found = published.diff("grids", "1", "2")
    assert found.to_dict()["added"] == ["411002001001900"]
    table = found.successors()
    assert table["code_b"].tolist() == ["411002001001900"] * 2
    assert set(table["code_a"]) == set(grids["code"][[left, right]])
    assert table["share_a"].tolist() == pytest.approx([1.0, 1.0])
    assert table["share_b"].sum() == pytest.approx(1.0)
