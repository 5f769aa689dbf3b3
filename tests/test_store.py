"""A draft is proven and becomes a revision; history, differences and rollback hold."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geo_service as gs
from geo_service.errors import ConflictError, InputError, MissingError
from geo_service.layers import LAYERS
from geo_service.notes import Note
from geo_service.store import Store, checking, create_store, open_store, times

Place = Path | str
"""A GeoPackage, or a URL."""

AWKWARD = {
    "网格长": ["王䶮", None, 'O\'Brien "x"', "李,梅\n二行"],
    "leading": ["001", "0", "", "00000000000000000012"],
    "households": [312, 0, -1, 2**53],
    "population": [1.0, np.nan, 3.0, 4.0],
    "rate": [0.1, 1 / 3, -0.0, 1e300],
    "active": [True, False, True, True],
    "since": pd.to_datetime(
        ["2025-01-01", None, "2026-11-21 08:00:00.123", "1999-12-31"], format="ISO8601"
    ),
    "Name": ["case", "differs", "from", "name"],
}


@pytest.fixture(scope="module")
def city(tiling: Callable[..., Any]) -> dict[str, gpd.GeoDataFrame]:
    """60 grids, the communities and the city they tile exactly."""
    grids, _ = tiling(60, seed=3)
    community = grids["code"].str[:12]
    unions = {
        code: shapely.coverage_union_all(part.geometry.to_numpy())
        for code, part in grids.groupby(community)
    }
    communities = gpd.GeoDataFrame(
        {"code": list(unions), "name": list(unions)}, geometry=list(unions.values()), crs=grids.crs
    )
    outline = shapely.coverage_union_all(grids.geometry.to_numpy())
    whole = gpd.GeoDataFrame({"code": ["411000"]}, geometry=[outline], crs=grids.crs)
    return {"grids": grids, "communities": communities, "city": whole}


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with create_store(place, title="许昌", synthetic=True) as made:
        yield made


def publish(store: Store, layer: str, frame: gpd.GeoDataFrame, **options: Any) -> Any:
    return store.publish(store.create_draft(layer, frame).id, **options)


def same_content(one: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> None:
    other = other.sort_values("code", ignore_index=True)[list(one.columns)]
    assert (shapely.to_wkb(one.geometry) == shapely.to_wkb(other.geometry)).all()
    pd.testing.assert_frame_equal(
        pd.DataFrame(one.drop(columns="geometry")), pd.DataFrame(other.drop(columns="geometry"))
    )


# opening


def test_a_new_store(store: Store) -> None:
    told = store.info()
    assert (told.title, told.plane, told.synthetic) == ("许昌", "EPSG:4547", True)
    assert (told.layers, told.tables, told.open_drafts, told.streets) == ({}, {}, 0, False)
    assert store.plane == "EPSG:4547"
    assert not store.streets_path.exists()
    assert store.streets_stamp() is None
    assert store.layers() == []
    assert store.current_revisions() == {}
    store.verify()


def test_the_front_door_opens_it(store: Store, place: Place) -> None:
    with gs.open_store(str(place)) as opened:
        assert opened.info() == store.info()


def test_what_is_not_a_store_is_refused(tmp_path: Path, city: dict[str, Any]) -> None:
    with pytest.raises(MissingError) as missing:
        open_store(tmp_path / "none.gpkg")
    assert missing.value.code == "store_missing"
    city["grids"].to_file(tmp_path / "foreign.gpkg")
    (tmp_path / "text.gpkg").write_text("not a database, though long enough to be taken for one")
    (tmp_path / "empty.gpkg").touch()
    codes = {}
    for name in ("foreign", "text", "empty"):
        with pytest.raises(InputError) as refused:
            open_store(tmp_path / f"{name}.gpkg")
        codes[name] = refused.value.code
    assert codes == {
        "foreign": "store_foreign",
        "text": "store_foreign",
        "empty": "file_unreadable",
    }


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_store_is_unreadable(
    tmp_path: Path, city: dict[str, Any], share: float
) -> None:
    path = tmp_path / "city.gpkg"
    with create_store(path) as made:
        publish(made, "grids", city["grids"])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError) as refused:
        open_store(path)
    assert refused.value.code == "file_unreadable"


def test_an_existing_store_is_not_overwritten(store: Store, place: Place) -> None:
    with pytest.raises(ConflictError) as refused:
        create_store(place)
    assert refused.value.code == "store_exists"


def test_a_store_of_a_newer_version_is_refused(store: Store, place: Place) -> None:
    settings = store._schema.settings
    with store._home.writing() as connection:
        connection.execute(settings.update().where(settings.c.key == "schema").values(value="99"))
    with pytest.raises(InputError) as refused:
        open_store(place)
    assert refused.value.code == "store_newer"


@pytest.mark.parametrize("plane", ["EPSG:4326", "EPSG:2227"])
def test_a_plane_is_metric(tmp_path: Path, plane: str) -> None:
    with pytest.raises(InputError) as refused:
        create_store(tmp_path / "c.gpkg", plane=plane)
    assert refused.value.code == "parameter_invalid"
    assert list(tmp_path.iterdir()) == []


# round trip


def test_what_is_published_comes_back_to_the_last_bit(store: Store, city: dict[str, Any]) -> None:
    revision = publish(store, "grids", city["grids"], message="第一版", author="李")
    assert (revision.number, revision.layer, revision.features) == (1, "grids", 60)
    assert (revision.author, revision.message, revision.profile) == ("李", "第一版", "default@1")
    assert revision.changes == {"added": 60, "removed": 0, "changed": 0}
    frame = store.frame("grids")
    same_content(frame, city["grids"])
    assert frame.crs.to_epsg() == 4547
    assert frame.attrs == {"layer": "grids", "revision": 1}


def test_awkward_attributes_survive(store: Store, city: dict[str, Any]) -> None:
    frame = city["grids"].iloc[:4].assign(**AWKWARD)
    publish(store, "compounds", frame)
    found = store.frame("compounds")
    same_content(found, frame)
    assert "00000000000000000012" in found["leading"].tolist()


def test_nullable_lists_and_mixed_columns_survive(store: Store, city: dict[str, Any]) -> None:
    frame = city["grids"].iloc[:3].copy()
    frame["count"] = pd.array([1, None, 3], dtype="Int64")
    frame["sure"] = pd.array([True, None, False], dtype="boolean")
    frame["roles"] = [["网格长", "党员"], [], {"a": 1}]
    frame["mixed"] = ["12", 12, None]
    frame["day"] = [datetime.date(2026, 11, 21), None, None]
    publish(store, "compounds", frame)
    found = store.frame("compounds").set_index("code").loc[frame["code"]]
    assert found["count"].tolist()[::2] == [1, 3]
    assert found["count"].isna().tolist() == [False, True, False]
    assert found["sure"].isna().tolist() == [False, True, False]
    assert found["roles"].tolist() == [["网格长", "党员"], [], {"a": 1}]
    assert found["mixed"].tolist()[:2] == ["12", "12"]
    assert found["day"].tolist()[0] == "2026-11-21"


def test_every_kind_of_geometry_is_kept(store: Store) -> None:
    shapes = [
        shapely.box(0, 0, 1, 1),
        shapely.MultiPolygon([shapely.box(5, 5, 6, 6), shapely.box(8, 8, 9, 9)]),
        shapely.box(20, 20, 30, 30).difference(shapely.box(22, 22, 24, 24)),
    ]
    frame = gpd.GeoDataFrame({"code": ["a", "b", "c"]}, geometry=shapes, crs=4547)
    publish(store, "compounds", frame)
    same_content(store.frame("compounds"), frame)


def test_the_files_own_columns_of_reserved_names_are_left_out_and_said(
    store: Store, city: dict[str, Any]
) -> None:
    draft = store.create_draft("grids", city["grids"].assign(fid=1, valid_from=2))
    assert [note["code"] for note in draft.notes] == ["columns_dropped"]
    assert "fid" not in store.draft_frame(draft.id)


def test_heights_are_left_out_and_said(store: Store, city: dict[str, Any]) -> None:
    high = city["grids"].set_geometry(shapely.force_3d(city["grids"].geometry.to_numpy(), 7.0))
    draft = store.create_draft("grids", high.set_crs(4547))
    assert "heights_dropped" in {note["code"] for note in draft.notes}
    assert not store.draft_frame(draft.id).has_z.any()


def test_bbox_gives_what_meets_the_box(store: Store, city: dict[str, Any]) -> None:
    publish(store, "grids", city["grids"])
    x0, y0, x1, y1 = city["grids"].total_bounds
    box = (x0 + 100.1, y0 + 100.1, (x0 + x1) / 2, (y0 + y1) / 2)
    bounds = city["grids"].bounds
    meets = (
        (bounds.minx <= box[2])
        & (bounds.maxx >= box[0])
        & (bounds.miny <= box[3])
        & (bounds.maxy >= box[1])
    )
    expected = sorted(city["grids"].loc[meets, "code"])
    assert store.frame("grids", bbox=box)["code"].tolist() == expected
    assert 0 < len(expected) < 60
    assert store.frame("grids", bbox=(0.0, 0.0, 1.0, 1.0)).empty


# drafts


def test_a_draft_keeps_where_it_came_from(store: Store, city: dict[str, Any]) -> None:
    note = Note("encoding", "编码：GB18030。", "Encoding: GB18030.")
    draft = store.create_draft(
        "grids", city["grids"], source="wangge.zip", sha256="ab" * 32, notes=[note], author="王"
    )
    assert (draft.state, draft.base_revision, draft.features) == ("open", 0, 60)
    assert (draft.source, draft.sha256, draft.author) == ("wangge.zip", "ab" * 32, "王")
    assert draft.notes == ({"code": "encoding", "zh": "编码：GB18030。", "en": note.en},)
    assert store.drafts() == [draft] == [store.draft(draft.id)]
    assert store.drafts(state="published") == []
    frame = store.draft_frame(draft.id)
    assert frame["code"].tolist() == city["grids"]["code"].tolist()  # the file's order


def test_bad_input_is_refused_before_anything_is_written(
    store: Store, city: dict[str, Any]
) -> None:
    grids = city["grids"]
    holes = grids.copy()
    holes.loc[3, "geometry"] = None
    broken = grids.copy()
    broken["code"] = broken["code"].astype(object)
    broken.loc[5, "code"] = 4.11002e14
    nan = grids.copy()
    nan.loc[7, "geometry"] = shapely.Polygon([(0, 0), (1, np.inf), (1, 1), (0, 0)])
    cases = {
        "layer_unknown": ("cities", grids),
        "crs_missing": ("grids", grids.set_crs(None, allow_override=True)),
        "layer_empty": ("grids", grids[:0]),
        "geometry_missing": ("grids", holes),
        "code_is_a_float": ("grids", broken),
        "coordinate_not_finite": ("grids", nan),
    }
    for code, (layer, frame) in cases.items():
        with pytest.raises((InputError, MissingError)) as refused:
            store.create_draft(layer, frame)
        assert refused.value.code == code
    assert store.drafts() == []


def test_a_check_is_kept_with_its_draft(store: Store, city: dict[str, Any]) -> None:
    draft = store.create_draft("grids", city["grids"].drop(index=10))
    publish(store, "city", city["city"])
    report = store.check_draft(draft.id)
    assert report.verdict == "faults"
    kept = store.draft(draft.id).check
    assert kept is not None
    assert kept.verdict == "faults"
    assert kept.errors.keys() & {"missing_grid", "rim_gap", "gap"}
    assert kept.against == {
        "grids": 0, "communities": 0, "townships": 0, "counties": 0, "city": 1,
    }  # fmt: skip
    assert [note["code"] for note in kept.notes] == ["outline_above"]


def test_discarded_drafts_are_closed(store: Store, city: dict[str, Any]) -> None:
    draft = store.create_draft("grids", city["grids"])
    assert store.discard(draft.id).state == "discarded"
    for call in (store.discard, store.draft_frame, store.check_draft, store.publish):
        with pytest.raises(ConflictError) as refused:
            call(draft.id)
        assert refused.value.code == "draft_closed"
    with pytest.raises(MissingError) as missing:
        store.draft(99)
    assert missing.value.code == "draft_unknown"


# publishing


def test_faults_forbid_publishing_until_accepted_by_name(
    store: Store, city: dict[str, Any]
) -> None:
    publish(store, "city", city["city"])
    publish(store, "communities", city["communities"])
    draft = store.create_draft("grids", city["grids"].drop(index=10))
    with pytest.raises(ConflictError) as refused:
        store.publish(draft.id)
    assert refused.value.code == "draft_has_faults"
    kinds = list(store.draft(draft.id).check.errors)
    assert all(kind in str(refused.value) for kind in kinds)
    assert store.history("grids") == []
    revision = store.publish(draft.id, accept=[*kinds, "overlap"], author="李", reason="河道待测")
    assert [acceptance.kind for acceptance in revision.accepted] == sorted(kinds)
    assert {(a.by, a.reason) for a in revision.accepted} == {("李", "河道待测")}
    assert revision.check.verdict == "faults"


def test_the_chain_of_layers_is_published_clean(store: Store, city: dict[str, Any]) -> None:
    for layer in ("city", "communities", "grids"):
        revision = publish(store, layer, city[layer])
        assert revision.check.errors == {}
    assert store.layers() == ["city", "communities", "grids"]
    assert store.current_revisions() == {"city": 1, "communities": 1, "grids": 1}
    assert store.history("grids")[0].check.coverage_percent == "100.0000"
    assert store.check("grids").verdict == "clean"
    store.verify()


def test_a_check_is_repeated_when_the_parent_has_moved_on(
    store: Store, city: dict[str, Any]
) -> None:
    publish(store, "city", city["city"])
    draft = store.create_draft("grids", city["grids"])
    store.check_draft(draft.id)
    larger = city["city"].copy()
    larger["geometry"] = larger.geometry.buffer(500.0)
    publish(store, "city", larger)
    with pytest.raises(ConflictError) as refused:
        store.publish(draft.id)
    assert refused.value.code == "draft_has_faults"
    assert store.draft(draft.id).check.against["city"] == 2


def test_a_draft_of_an_older_state_is_stale(store: Store, city: dict[str, Any]) -> None:
    late = store.create_draft("grids", city["grids"].assign(head="王"))
    publish(store, "grids", city["grids"])
    with pytest.raises(ConflictError) as refused:
        store.publish(late.id)
    assert refused.value.code == "draft_stale"


def test_retired_codes_are_not_used_again(store: Store, city: dict[str, Any]) -> None:
    grids = city["grids"]
    code = grids["code"][10]
    publish(store, "grids", grids)
    publish(store, "grids", grids.drop(index=10), accept=checking_kinds(), **NAMED)
    draft = store.create_draft("grids", grids)
    with pytest.raises(ConflictError) as refused:
        store.publish(draft.id)
    assert refused.value.code == "code_reused"
    assert code in str(refused.value)


# one area of a layer


def test_a_part_is_replaced_and_checked_with_its_neighbours(
    store: Store, city: dict[str, Any]
) -> None:
    grids, communities = city["grids"], city["communities"]
    area = communities["code"][1]
    publish(store, "communities", communities)
    publish(store, "grids", grids)
    part = grids[grids["code"].str.startswith(area)].assign(households=300)
    draft = store.create_draft("grids", part, replace_within=area)
    assert draft.features == len(part) < 60
    whole = store.draft_frame(draft.id)
    assert sorted(whole["code"]) == sorted(grids["code"])
    assert store.check_draft(draft.id).verdict == "clean"
    revision = store.publish(draft.id)
    assert revision.changes == {"added": 0, "removed": 0, "changed": len(part)}
    found = store.frame("grids")
    assert found["households"].notna().sum() == len(part)


def test_rows_outside_the_area_are_left_out_and_said(store: Store, city: dict[str, Any]) -> None:
    area = city["communities"]["code"][0]
    draft = store.create_draft("grids", city["grids"], replace_within=area)
    assert draft.features < 60
    assert [note["code"] for note in draft.notes] == ["outside_area"]
    with pytest.raises(InputError) as refused:
        store.create_draft("grids", city["grids"], replace_within="魏都区")
    assert refused.value.code == "parameter_invalid"


def test_areas_side_by_side_do_not_make_each_other_stale(
    store: Store, city: dict[str, Any]
) -> None:
    grids, codes = city["grids"], city["communities"]["code"]
    publish(store, "grids", grids)
    inside = [grids[grids["code"].str.startswith(code)] for code in codes[:2]]
    drafts = [
        store.create_draft("grids", part.assign(head=code), replace_within=code)
        for part, code in zip(inside, codes[:2], strict=True)
    ]
    again = store.create_draft("grids", inside[0].assign(head="王"), replace_within=codes[0])
    for draft in drafts:
        store.publish(draft.id)
    assert store.frame("grids")["head"].nunique() == 2
    with pytest.raises(ConflictError) as refused:
        store.publish(again.id)
    assert refused.value.code == "draft_stale"


def test_a_part_that_leaves_the_seam_open_is_found(store: Store, city: dict[str, Any]) -> None:
    grids, area = city["grids"], city["communities"]["code"][1]
    publish(store, "communities", city["communities"])
    publish(store, "grids", grids)
    part = grids[grids["code"].str.startswith(area)]
    shrunk = part.set_geometry(part.geometry.buffer(-0.5))
    draft = store.create_draft("grids", shrunk, replace_within=area)
    assert store.check_draft(draft.id).verdict == "faults"


# history


@pytest.fixture
def edited(store: Store, city: dict[str, Any]) -> tuple[Store, list[gpd.GeoDataFrame]]:
    """Three revisions: as drawn; one attribute, one corner; two grids merged into a new code."""
    first = city["grids"].assign(households=100)
    second = first.copy()
    second.loc[4, "households"] = 150
    corner = shapely.get_coordinates(first.geometry[20])[1]
    moved = [
        shapely.transform(g, lambda xy: np.where((xy == corner).all(1)[:, None], xy + 1.5, xy))
        for g in first.geometry
    ]
    second["geometry"] = moved
    left, right = _neighbours(second)
    new_code = second["code"][left][:12] + "900"
    merged = second.loc[[left]].assign(
        code=new_code,
        geometry=[shapely.coverage_union(second.geometry[left], second.geometry[right])],
    )
    third = gpd.GeoDataFrame(
        pd.concat([second.drop(index=[left, right]), merged], ignore_index=True), crs=4547
    )
    for frame, author in zip((first, second, third), "甲乙丙", strict=True):
        publish(store, "grids", frame, author=author, accept=checking_kinds(), reason="历史数据")
    return store, [first, second, third]


NAMED = {"author": "李", "reason": "合并前的空地"}


def checking_kinds() -> list[str]:
    from geo_service import coverage

    return list(coverage.KINDS)


def _neighbours(grids: gpd.GeoDataFrame) -> tuple[int, int]:
    one, other = grids.sindex.query(grids.geometry, predicate="touches")
    shared = shapely.length(
        shapely.intersection(grids.geometry.to_numpy()[one], grids.geometry.to_numpy()[other])
    )
    pair = int(np.argmax(shared))
    return int(one[pair]), int(other[pair])


def test_every_revision_comes_back_as_it_was(edited: tuple[Store, list[Any]]) -> None:
    store, frames = edited
    for number, frame in enumerate(frames, start=1):
        same_content(store.frame("grids", at=number), frame)
        same_content(store.frame("grids", at=str(number)), frame)
    assert [r.number for r in store.history("grids")] == [1, 2, 3]
    assert [r.author for r in store.history("grids")] == ["甲", "乙", "丙"]
    assert len({r.sha256 for r in store.history("grids")}) == 3
    store.verify()


def test_bbox_of_an_earlier_revision(edited: tuple[Store, list[Any]]) -> None:
    store, frames = edited
    x0, y0, x1, y1 = frames[0].total_bounds
    box = (x0, y0, (x0 + x1) / 2, (y0 + y1) / 2)
    bounds = frames[0].bounds
    meets = (bounds.minx <= box[2]) & (bounds.miny <= box[3])
    found = store.frame("grids", at=1, bbox=box)
    assert found["code"].tolist() == sorted(frames[0].loc[meets, "code"])


def test_differences_name_what_moved_by_how_much_and_who(edited: tuple[Store, list[Any]]) -> None:
    store, (first, second, _) = edited
    diff = store.diff("grids", 1, 2)
    assert diff.added.empty
    assert diff.removed.empty
    changed = diff.changed.set_index("code")
    old, new = (f.set_index("code").geometry.loc[changed.index] for f in (first, second))
    expected = shapely.area(shapely.symmetric_difference(old.to_numpy(), new.to_numpy()))
    np.testing.assert_allclose(changed["moved_area_m2"], expected, rtol=1e-12)
    assert changed.loc[first["code"][4], "attributes"] == {"households": [100, 150]}
    assert set(changed["who"]) == {"乙"}
    assert (changed["moved_area_m2"] > 0).sum() >= 2  # a shared corner moves every grid at it
    diff = store.diff("grids", 2, 3)
    assert len(diff.added) == 1
    assert len(diff.removed) == 2
    assert diff.changed.empty
    backwards = store.diff("grids", 3, 2)
    assert len(backwards.added) == 2
    assert store.diff("grids", 1).after == 3
    assert store.diff("grids", 2, 2).empty
    told = store.diff("grids", 1, 3).to_dict()
    assert len(told["added"]) == 1
    assert told["removed"] == sorted(told["removed"])


def test_rollback_is_a_new_revision_and_brings_codes_back(edited: tuple[Store, list[Any]]) -> None:
    store, (first, _, _) = edited
    made = store.rollback("grids", 1, author="丁")
    assert (made.number, made.author, made.draft) == (4, "丁", None)
    assert made.sha256 == store.history("grids")[0].sha256
    same_content(store.frame("grids"), first)
    assert store.diff("grids", 1, 4).empty
    gone = store.diff("grids", 3, 4).removed["code"][0]
    assert store.find_code(gone).status == "retired"
    assert store.find_code(first["code"][0]).status == "current"
    with pytest.raises(InputError):
        store.rollback("grids", 4)
    with pytest.raises(MissingError) as missing:
        store.rollback("grids", 9)
    assert missing.value.code == "revision_unknown"
    store.verify()


def test_retired_codes_still_resolve(edited: tuple[Store, list[Any]]) -> None:
    store, (_, second, _) = edited
    diff = store.diff("grids", 2, 3)
    for code in diff.removed["code"]:
        found = store.find_code(code)
        assert (found.status, found.valid_from, found.valid_to) == ("retired", 1, 3)
        assert found.successors[0][0] == diff.added["code"][0]
        assert found.successors[0][1] == pytest.approx(1.0)
        expected = second.set_index("code").geometry[code]
        assert found.feature.geometry[0].equals_exact(expected, 0.0)
    current = store.find_code(diff.added["code"][0], layer="grids")
    assert (current.status, current.valid_to, current.successors) == ("current", None, ())
    with pytest.raises(MissingError) as missing:
        store.find_code("000000000000000")
    assert missing.value.code == "code_unknown"


def test_moments(edited: tuple[Store, list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = edited
    log = store.history("grids")
    days = ["2026-06-01T02:00:00.000Z", "2026-12-30T17:30:00.000Z", "2026-12-31T16:30:00.000Z"]
    dated = [
        type(r)(**{**{f: getattr(r, f) for f in r.__slots__}, "published_at": day})
        for r, day in zip(log, days, strict=True)
    ]

    def pick(at: Any) -> int:
        return times.pick(dated, at, "Asia/Shanghai").number

    assert pick(None) == 3
    assert pick(2) == pick("2") == pick("r2") == 2
    # 2026-12-30T17:30Z is the 31st in Xuchang; 16:30Z on the 31st is New Year's Day there.
    assert pick("2026-12-30") == 1
    assert pick("2026-12-31") == pick(datetime.date(2026, 12, 31)) == 2
    assert pick("2027-01-01") == 3
    assert pick("2026-12-30T17:30:00Z") == 2
    assert pick("2026-12-31T01:29:00") == 1  # local time
    assert pick(datetime.datetime(2026, 12, 31, 16, 0, tzinfo=datetime.UTC)) == 2
    for unknown in (0, 9, "2026-05-31"):
        with pytest.raises(MissingError):
            pick(unknown)
    with pytest.raises(InputError):
        pick("yesterday")


def test_nothing_published_is_said(store: Store) -> None:
    assert store.history("grids") == []
    for call in (store.frame, store.revision):
        with pytest.raises(MissingError) as missing:
            call("grids")
        assert missing.value.code == "layer_unknown"


def test_the_content_hash_ignores_order_columns_and_dtypes(
    tmp_path: Path, city: dict[str, Any]
) -> None:
    frame = city["grids"].assign(households=7, note=None)
    shuffled = frame.sample(frac=1.0, random_state=1)[
        ["note", "households", "geometry", "name", "code"]
    ].astype({"households": float})
    found = []
    for name, given in (("a", frame), ("b", shuffled), ("c", frame.assign(households=8))):
        with create_store(tmp_path / f"{name}.gpkg") as made:
            found.append(publish(made, "grids", given).sha256)
    assert found[0] == found[1] != found[2]


# contracts


def test_contracts_turn_what_they_do_not_ask_into_notes() -> None:
    def errors(layer: str) -> set[str]:
        rules = checking.rules_for(LAYERS[layer], "default")
        return {k for k in ("gap", "overlap", "missing_grid", "invalid_geometry", "overrun")
                if rules.severity(k) == "error"}  # fmt: skip

    assert errors("grids") == {"gap", "overlap", "missing_grid", "invalid_geometry", "overrun"}
    assert errors("micro_grids") == {"overlap", "invalid_geometry", "overrun"}
    assert errors("security_grids") == {"overlap", "invalid_geometry", "overrun"}
    assert errors("compounds") == {"invalid_geometry"}
    patterns = {n: checking.rules_for(LAYERS[n], "default").code_pattern for n in LAYERS}
    assert patterns["townships"] == r"^\d{9}$"
    assert patterns["micro_grids"] == r"^\d{18}$"


def test_micro_grids_nest_with_open_ground_between(store: Store, city: dict[str, Any]) -> None:
    publish(store, "grids", city["grids"])
    inner = city["grids"].assign(code=city["grids"]["code"] + "001")
    inner["geometry"] = inner.geometry.buffer(-20.0)
    revision = publish(store, "micro_grids", inner)
    assert revision.check.errors == {}
    across = inner.copy()
    across.loc[0, "geometry"] = across.geometry[0].buffer(60.0)
    draft = store.create_draft("micro_grids", across)
    assert store.check_draft(draft.id).verdict == "faults"


# tables


def test_tables_round_trip(store: Store) -> None:
    table = pd.DataFrame(
        {
            "address": ["建设路1号", "许继大道2号", None],
            "lon": [113.85, 113.86, 113.87],
            "lat": [34.03, 34.04, 34.05],
            "code": ["001", "002", "003"],
            "riders": [1, 2, 3],
        }
    )
    store.put_table("addresses", table)
    pd.testing.assert_frame_equal(store.table("addresses"), table)
    store.put_table("addresses", table.iloc[::-1])
    assert store.table("addresses")["riders"].tolist() == [3, 2, 1]
    assert store.tables() == {"addresses": 3}
    store.put_table("demand", table.iloc[:0])
    assert list(store.table("demand").columns) == list(table.columns)


def test_points_become_lon_and_lat(store: Store) -> None:
    places = gpd.GeoDataFrame(
        {"id": ["a"]}, geometry=[shapely.Point(486332.0, 3767775.0)], crs=4547
    )
    store.put_table("candidates", places)
    found = store.table("candidates")
    assert list(found.columns) == ["id", "lon", "lat"]
    assert 113.8 < found["lon"][0] < 113.9
    assert 34.0 < found["lat"][0] < 34.1


def test_whoever_changes_a_table_loses_nobody_elses_change(place: Place) -> None:
    create_store(place).close()

    def write(writer: int) -> None:
        with open_store(place) as mine:
            for k in range(6):
                row = pd.DataFrame({"by": [10 * writer + k]})
                mine.change_table("notes", lambda old, row=row: pd.concat([old, row]))

    writers = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    with open_store(place) as store:
        kept = store.table("notes")["by"].tolist()
        store.verify()
    assert sorted(kept) == sorted(10 * writer + k for writer in range(4) for k in range(6))
    for writer in range(4):  # each one's in its own order
        own = [by for by in kept if by // 10 == writer]
        assert own == sorted(own)


def test_missing_and_misnamed_tables(store: Store) -> None:
    with pytest.raises(MissingError) as missing:
        store.table("addresses")
    assert missing.value.code == "addresses_missing"
    with pytest.raises(MissingError) as missing:
        store.table("demand")
    assert missing.value.code == "table_missing"
    for name in ("grids", "gs_settings", "gpkg_contents", "Ü", "a b", "x;drop"):
        with pytest.raises(InputError):
            store.put_table(name, pd.DataFrame({"a": [1]}))


# care


def test_backup_is_a_whole_store(store: Store, city: dict[str, Any], tmp_path: Path) -> None:
    publish(store, "grids", city["grids"])
    store.backup(tmp_path / "copy.gpkg")
    with open_store(tmp_path / "copy.gpkg") as copy:
        assert copy.history("grids") == store.history("grids")
        same_content(copy.frame("grids"), city["grids"])
        copy.verify()
    with pytest.raises(ConflictError):
        store.backup(tmp_path / "copy.gpkg")


def test_readers_see_the_old_revision_until_the_new_one_is_whole(
    store: Store, city: dict[str, Any], place: Place
) -> None:
    grids = city["grids"]
    publish(store, "grids", grids.assign(version=0))
    seen: list[set[int]] = []
    done = threading.Event()

    def read() -> None:
        with open_store(place) as reader:
            while not done.is_set():
                frame = reader.frame("grids")
                seen.append({len(frame), *frame["version"].unique().tolist()})

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 6):
        publish(store, "grids", grids.assign(version=version))
    done.set()
    reader.join(timeout=30)
    assert seen
    assert all(len(found) == 2 for found in seen)  # 60 rows, all of one version


def test_two_writers_take_turns(store: Store, city: dict[str, Any], place: Place) -> None:
    errors: list[Exception] = []

    def bring(author: str) -> None:
        try:
            with open_store(place) as own:
                for _ in range(5):
                    own.create_draft("grids", city["grids"], author=author)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=bring, args=(name,)) for name in "甲乙"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    assert len(store.drafts()) == 10


def test_a_held_lock_is_told_as_busy(
    store: Store, city: dict[str, Any], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geo_service.store.geopackage.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("geo_service.store._postgis_sql.BUSY_SECONDS", 1)
    with open_store(place) as impatient:
        with store._home.writing(), pytest.raises(ConflictError) as refused:
            impatient.create_draft("grids", city["grids"])
        assert refused.value.code == "store_busy"
        assert impatient.create_draft("grids", city["grids"]).id
