"""What a planner saves from QGIS is a draft; what is published stays, for every reader."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely

from geo_service.errors import ConflictError, MissingError
from geo_service.store import Store, create_store, open_store

SYSTEM_PYTHON = Path("/usr/bin/python3")
OLD = Path(__file__).parent / "stores" / "schema_1.gpkg"


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(24, seed=5)[0].assign(households=100, 网格长="王䶮", **{'a "b"': 1})


@pytest.fixture
def path(tmp_path: Path, grids: gpd.GeoDataFrame) -> Path:
    """A closed store with two revisions of the grids."""
    with create_store(tmp_path / "city.gpkg") as store:
        publish(store, grids.assign(households=0))
        publish(store, grids)
    return tmp_path / "city.gpkg"


def publish(store: Store, frame: gpd.GeoDataFrame) -> Any:
    return store.publish(store.create_draft("grids", frame).id)


def as_published(store: Store, grids: gpd.GeoDataFrame) -> None:
    """Every way of reading gives what was published, and nothing is damaged."""
    found, expected = store.frame("grids"), grids.sort_values("code", ignore_index=True)
    assert found["code"].tolist() == expected["code"].tolist()
    assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(expected.geometry)).all()
    assert found["households"].tolist() == expected["households"].tolist()
    assert set(store.frame("grids", at=1)["households"]) == {0}
    box = tuple(expected.total_bounds)
    assert len(store.frame("grids", bbox=box)) == len(expected)
    assert store.find_code(expected["code"][0]).status == "current"
    store.verify()


def edit(path: Path, *statements: str) -> None:
    """Edit as GDAL does: plain SQL, with the functions that the R-tree triggers call."""
    connection = sqlite3.connect(path)
    for place, name in enumerate(("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")):
        connection.create_function(name, 1, lambda b, k=place: struct.unpack("<4d", b[8:40])[k])
    connection.create_function("ST_IsEmpty", 1, lambda blob: 0)
    connection.execute("PRAGMA foreign_keys = ON")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def moved(path: Path, code: str) -> shapely.Geometry:
    """Move one grid by 5 m through GDAL's own driver, as QGIS does; give the new shape."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip("no system Python")
    script = """
import sys
from osgeo import gdal, ogr
gdal.UseExceptions()
data = gdal.OpenEx(sys.argv[1], gdal.OF_UPDATE | gdal.OF_VECTOR)
layer = data.GetLayerByName("grids")
layer.SetAttributeFilter("code = '%s'" % sys.argv[2])
data.StartTransaction()
feature = layer.GetNextFeature()
shape = feature.GetGeometryRef().Clone()
ring = shape.GetGeometryRef(0)
for k in range(ring.GetPointCount()):
    ring.SetPoint_2D(k, ring.GetX(k) + 5.0, ring.GetY(k))
feature.SetGeometry(shape)
feature.SetField("households", 123)
assert layer.SetFeature(feature) == 0
data.CommitTransaction()
print(shape.ExportToIsoWkb().hex())
data = None
"""
    run = subprocess.run(
        [str(SYSTEM_PYTHON), "-c", script, str(path), code], capture_output=True, text=True
    )
    if "No module named" in run.stderr:
        pytest.skip("python3-gdal is not installed")
    assert run.returncode == 0, run.stderr
    return shapely.from_wkb(run.stdout.strip())


def test_an_untouched_layer_has_no_edits(path: Path, grids: gpd.GeoDataFrame) -> None:
    with open_store(path) as store:
        assert store.edits() == []
        for call in (store.take_edits, store.discard_edits):
            with pytest.raises(MissingError) as refused:
                call("grids")
            assert refused.value.code == "edits_missing"


def test_a_shape_moved_by_gdal_becomes_a_draft(path: Path, grids: gpd.GeoDataFrame) -> None:
    code = grids["code"][7]
    shape = moved(path, code)
    assert pyogrio.read_dataframe(path, where=f"code = '{code}'", layer="grids")[
        "households"
    ].tolist() == [123]  # the planner sees what was saved
    with open_store(path) as store:
        as_published(store, grids)
        (found,) = store.edits()
        assert (found.layer, found.changed, found.added, found.removed) == (
            "grids", (code,), (), (),
        )  # fmt: skip
        draft = store.take_edits("grids", author="王")
        assert (draft.source, draft.author, draft.base_revision) == ("QGIS", "王", 2)
        assert "edited_outside" in {note["code"] for note in draft.notes}
        waiting = store.draft_frame(draft.id).set_index("code")
        assert waiting.geometry[code].equals(shape)
        assert waiting["households"][code] == 123
        assert store.edits() == []
        as_published(store, grids)
        with pytest.raises(ConflictError) as refused:  # it overlaps: not published unproven
            store.publish(draft.id)
        assert refused.value.code == "draft_has_faults"
    shown = pyogrio.read_dataframe(path, layer="grids")
    assert set(shown["households"]) == {100}


def test_rows_added_deleted_and_renumbered(path: Path, grids: gpd.GeoDataFrame) -> None:
    codes = grids["code"].tolist()
    fids = dict(read(path, "SELECT code, fid FROM grids"))
    edit(
        path,
        f"DELETE FROM grids WHERE code = '{codes[0]}'",
        f"UPDATE grids SET households = 7, 网格长 = '李' WHERE code = '{codes[1]}'",
        f"UPDATE grids SET households = 100 WHERE code = '{codes[2]}'",  # no change
        f"UPDATE grids SET fid = 900 WHERE code = '{codes[3]}'",
        f"UPDATE grids SET code = '{codes[4]}9' WHERE code = '{codes[4]}'",
        f"INSERT OR REPLACE INTO grids (fid, geom, code) SELECT {fids[codes[5]]}, geom, 'new-5' "
        f"FROM grids WHERE code = '{codes[6]}'",
    )
    one = grids.iloc[[8]].assign(code="appended")
    pyogrio.write_dataframe(one, path, layer="grids", append=True)
    with open_store(path) as store:
        as_published(store, grids)
        (found,) = store.edits()
        assert set(found.added) == {f"{codes[4]}9", "new-5", "appended"}
        assert set(found.removed) == {codes[0], codes[4], codes[5]}
        assert found.changed == (codes[1],)
        draft = store.take_edits("grids")
        assert draft.features == len(grids)  # 24 - 1 deleted + 1 appended
        as_published(store, grids)
    assert dict(read(path, "SELECT code, fid FROM grids")) == fids


def test_a_second_edit_keeps_the_first_original(path: Path, grids: gpd.GeoDataFrame) -> None:
    code = grids["code"][3]
    for value in (1, 2, 3):
        edit(path, f"UPDATE grids SET households = {value} WHERE code = '{code}'")
    edit(path, f"DELETE FROM grids WHERE code = '{code}'")
    with open_store(path) as store:
        as_published(store, grids)
        assert store.edits()[0].removed == (code,)
        store.discard_edits("grids")
        assert store.edits() == []
        as_published(store, grids)
    assert read(path, f"SELECT households FROM grids WHERE code = '{code}'") == [(100,)]


def test_everything_deleted_is_still_published(path: Path, grids: gpd.GeoDataFrame) -> None:
    edit(path, "DELETE FROM grids")
    with open_store(path) as store:
        as_published(store, grids)
        assert len(store.edits()[0].removed) == len(grids)
        store.discard_edits("grids")
    assert len(pyogrio.read_dataframe(path, layer="grids")) == len(grids)


def test_a_column_added_in_qgis_comes_along(path: Path, grids: gpd.GeoDataFrame) -> None:
    code = grids["code"][2]
    edit(
        path,
        "ALTER TABLE grids ADD COLUMN 备注 TEXT(20)",
        "ALTER TABLE grids ADD COLUMN 人数 INTEGER",
        f"UPDATE grids SET 备注 = '拆迁', 人数 = 12 WHERE code = '{code}'",
    )
    with open_store(path) as store:
        as_published(store, grids)
        draft = store.take_edits("grids")
        row = store.draft_frame(draft.id).set_index("code").loc[code]
        assert (row["备注"], row["人数"]) == ("拆迁", 12)
        assert "备注" not in store.frame("grids")
        store.publish(draft.id)
        assert store.frame("grids").set_index("code")["备注"][code] == "拆迁"
        store.verify()


def test_a_publication_sets_edits_aside_as_a_draft(path: Path, grids: gpd.GeoDataFrame) -> None:
    edit(path, f"UPDATE grids SET households = 7 WHERE code = '{grids['code'][1]}'")
    with open_store(path) as store:
        publish(store, grids.assign(households=200))
        assert set(store.frame("grids")["households"]) == {200}
        (draft,) = store.drafts(state="open")
        assert draft.source == "QGIS"
        clashes = store.rebase(draft.id).clashes
        assert [clash.code for clash in clashes] == [grids["code"][1]]
        edit(path, f"UPDATE grids SET households = 8 WHERE code = '{grids['code'][2]}'")
        store.rollback("grids", 2)
        assert len(store.drafts(state="open")) == 2
        as_published(store, grids)


@pytest.mark.parametrize("how", ["delete", "overwrite"])
def test_gdal_cannot_drop_a_published_layer(path: Path, grids: gpd.GeoDataFrame, how: str) -> None:
    if how == "overwrite":
        with pytest.raises(pyogrio.errors.DataLayerError):
            pyogrio.write_dataframe(grids.iloc[:3], path, layer="grids")
    else:
        with pytest.raises(sqlite3.IntegrityError):
            edit(path, "DROP TABLE grids")
    with open_store(path) as store:
        as_published(store, grids)


# stores made by the version before


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLD, tmp_path / "old.gpkg"))


def test_an_older_store_is_upgraded(old: Path) -> None:
    assert read(old, "SELECT value FROM gs_settings WHERE key = 'schema'") == [("1",)]
    with open_store(old) as store:
        store.verify()
        one, two = store.history("grids")
        assert (one.drawn_by, one.author, one.accepted) == ("王", "李", ())
        assert (two.drawn_by, two.author) == ("赵", "李")
        assert [(a.kind, a.by, a.reason) for a in two.accepted] == [
            ("overlap", "李", ""), ("overrun", "李", ""),
        ][: len(two.accepted)]  # fmt: skip
        assert sum(a.count for a in two.accepted) == sum(two.check.errors.values()) > 0
        assert store.content_sha256("grids", at=1) == one.sha256
        assert store.content_sha256("grids", at=2) == two.sha256
        assert store.origins("grids")[1] == 4
        (draft,) = store.drafts(state="open")
        assert store.publish(draft.id, author="孙").number == 3
        store.verify()
    assert read(old, "SELECT value FROM gs_settings WHERE key = 'schema'") == [("4",)]


def test_an_upgraded_store_takes_edits(old: Path) -> None:
    open_store(old).close()
    edit(old, "UPDATE grids SET households = 7 WHERE fid = 1")
    with open_store(old) as store:
        assert len(store.edits()[0].changed) == 1
        store.discard_edits("grids")
        store.verify()


def test_an_upgrade_that_fails_leaves_the_old_store(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pd.DataFrame(read(old, "SELECT * FROM gs_revisions"))

    def fails(*_: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("geo_service.store.revisions.rewrite", fails)
    with pytest.raises(RuntimeError):
        open_store(old)
    pd.testing.assert_frame_equal(pd.DataFrame(read(old, "SELECT * FROM gs_revisions")), before)
    monkeypatch.undo()
    with open_store(old) as store:
        store.verify()


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
