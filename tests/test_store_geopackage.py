"""The store's file is a GeoPackage that GDAL reads as it is, and survives being killed."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely

from geo_service.errors import InputError
from geo_service.store import Store, create_store, open_store


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    frame, _ = tiling(80, seed=5)
    return frame.assign(households=np.arange(80), 网格长="王䶮", rate=np.linspace(0, 1, 80))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, grids: gpd.GeoDataFrame) -> Path:
    """A closed store with two revisions of the grids and a table."""
    path = tmp_path_factory.mktemp("store") / "city.gpkg"
    with create_store(path) as store:
        publish(store, grids.assign(households=0))
        publish(store, grids)
        store.put_table("addresses", pd.DataFrame({"address": ["建设路"], "lon": [1.5]}))
    return path


def publish(store: Store, frame: gpd.GeoDataFrame) -> None:
    store.publish(store.create_draft("grids", frame).id)


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the functions that GIS programs bring along."""
    connection = sqlite3.connect(path)
    for place, name in enumerate(("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")):
        connection.create_function(name, 1, lambda b, k=place: struct.unpack("<4d", b[8:40])[k])
    connection.create_function("ST_IsEmpty", 1, lambda blob: 0)
    return connection


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_gdal_reads_the_current_revision(path: Path, grids: gpd.GeoDataFrame) -> None:
    assert ["grids", "Polygon"] in pyogrio.list_layers(path).tolist()
    found = pyogrio.read_dataframe(path, layer="grids")
    assert found.crs.to_epsg() == 4547
    found = found.sort_values("code", ignore_index=True)
    expected = grids.sort_values("code", ignore_index=True)
    assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(expected.geometry)).all()
    pd.testing.assert_frame_equal(
        pd.DataFrame(found[["code", "name", "households", "网格长", "rate"]]),
        pd.DataFrame(expected.drop(columns="geometry")),
    )
    # Row 0 has 0 households in both revisions, so it lives on from the first.
    assert found["valid_from"].tolist().count(1) == 1
    assert set(found["valid_from"]) == {1, 2}


def test_gdal_filters_by_box_and_by_attribute(path: Path, grids: gpd.GeoDataFrame) -> None:
    x0, y0, x1, y1 = grids.total_bounds
    box = (x0, y0, (x0 + x1) / 2, (y0 + y1) / 2)
    found = pyogrio.read_dataframe(path, layer="grids", bbox=box)
    expected = grids[grids.intersects(shapely.box(*box))]
    assert set(expected["code"]) <= set(found["code"])
    assert len(found) < len(grids)
    one = pyogrio.read_dataframe(path, layer="grids", where=f"code = '{grids['code'][3]}'")
    assert len(one) == 1


def test_gdal_lists_layers_and_tables_but_not_the_stores_own(path: Path) -> None:
    names = set(pyogrio.list_layers(path)[:, 0])
    assert names == {"grids", "addresses", "gs_revisions"}
    info = pyogrio.read_info(path, layer="grids")
    assert info["features"] == 80
    np.testing.assert_allclose(
        info["total_bounds"], pyogrio.read_dataframe(path, layer="grids").total_bounds, rtol=1e-15
    )


def test_the_file_is_a_geopackage(path: Path) -> None:
    assert rows(path, "PRAGMA application_id") == [(0x47504B47,)]
    assert rows(path, "PRAGMA user_version") == [(10400,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    assert rows(path, "SELECT rtreecheck('rtree_grids_geom')") == [("ok",)]
    systems = rows(path, "SELECT srs_id, definition FROM gpkg_spatial_ref_sys ORDER BY srs_id")
    assert [number for number, _ in systems] == [-1, 0, 4326, 4547]
    assert systems[3][1].startswith('PROJCS["CGCS2000 / 3-degree Gauss-Kruger CM 114E"')
    contents = "SELECT table_name, data_type, srs_id FROM gpkg_contents ORDER BY table_name"
    assert rows(path, contents) == [
        ("addresses", "attributes", None),
        ("grids", "features", 4547),
        ("gs_revisions", "attributes", None),
    ]
    assert rows(path, "SELECT * FROM gpkg_geometry_columns") == [
        ("grids", "geom", "POLYGON", 4547, 0, 0)
    ]
    assert rows(path, "SELECT table_name, extension_name, scope FROM gpkg_extensions") == [
        ("grids", "gpkg_rtree_index", "write-only")
    ]
    # Every registered table has one integer primary key and only types GeoPackage names.
    for (table,) in rows(path, "SELECT table_name FROM gpkg_contents"):
        columns = rows(path, f'PRAGMA table_info("{table}")')
        assert [c[2] for c in columns if c[5]] == ["INTEGER"]
        allowed = {"INTEGER", "TEXT", "DOUBLE", "BOOLEAN", "POLYGON"}
        assert {c[2] for c in columns} <= allowed


def test_blobs_have_the_standards_header(path: Path) -> None:
    for blob, x0, x1 in rows(
        path, "SELECT geom, minx, maxx FROM grids JOIN rtree_grids_geom ON id = fid LIMIT 5"
    ):
        magic, version, flags, srid, *box = struct.unpack("<2sBBi4d", blob[:40])
        assert (magic, version, flags, srid) == (b"GP", 0, 3, 4547)
        geometry = shapely.from_wkb(blob[40:])
        west, south, east, north = geometry.bounds
        assert box == [west, east, south, north]
        assert x0 <= west <= east <= x1


def test_all_triggers_of_the_rtree_extension_are_there(path: Path) -> None:
    found = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type='trigger'")}
    suffixes = ("insert", "update2", "update4", "update5", "update6", "update7", "delete")
    assert {f"rtree_grids_geom_{suffix}" for suffix in suffixes} <= found


def test_a_plane_without_an_epsg_number(tmp_path: Path, grids: gpd.GeoDataFrame) -> None:
    plane = "+proj=tmerc +lat_0=0 +lon_0=113.9 +k=1 +x_0=500000 +y_0=0 +datum=WGS84 +units=m"
    with create_store(tmp_path / "own.gpkg", plane=plane) as store:
        publish(store, grids)
    found = pyogrio.read_dataframe(tmp_path / "own.gpkg", layer="grids")
    assert "113.9" in found.crs.to_wkt()
    with open_store(tmp_path / "own.gpkg") as store:
        assert len(store.frame("grids")) == 80


def test_new_columns_and_mixed_geometries_change_the_table(
    tmp_path: Path, grids: gpd.GeoDataFrame
) -> None:
    path = tmp_path / "city.gpkg"
    several = grids.assign(head="李").drop(columns="rate")
    several.loc[0, "geometry"] = shapely.MultiPolygon([several.geometry[0]])
    with create_store(path) as store:
        publish(store, grids)
        publish(store, several)
        kept = store.frame("grids", at=1)
        assert list(kept.columns) == list(grids.columns[[0, 1, 3, 4, 5, 2]])
        assert kept["rate"].notna().all()
        store.verify()
    kind = rows(path, "SELECT geometry_type_name FROM gpkg_geometry_columns")
    assert kind == [("GEOMETRY",)]
    found = pyogrio.read_dataframe(path, layer="grids")
    assert "head" in found
    assert "rate" not in found
    assert sorted(set(found.geom_type)) == ["MultiPolygon", "Polygon"]


def test_unchanged_rows_stay_where_they_are(tmp_path: Path, grids: gpd.GeoDataFrame) -> None:
    path = tmp_path / "city.gpkg"
    edited = grids.copy()
    edited.loc[7, "households"] = 999
    with create_store(path) as store:
        publish(store, grids)
        before = rows(path, "SELECT fid, code FROM grids ORDER BY code")
        publish(store, edited)
    after = dict(rows(path, "SELECT code, fid FROM grids"))
    moved = [code for fid, code in before if after[code] != fid]
    assert moved == [grids["code"][7]]
    assert rows(path, "SELECT code, valid_from, valid_to FROM gs_history") == [
        (grids["code"][7], 1, 2)
    ]


def test_names_that_differ_in_case_only_become_two_columns(
    tmp_path: Path, grids: gpd.GeoDataFrame
) -> None:
    path = tmp_path / "city.gpkg"
    with create_store(path) as store:
        publish(store, grids.assign(NAME="other", **{'quoted " name': 1}))
        assert {"name", "NAME", 'quoted " name'} <= set(store.frame("grids").columns)
    assert {"name", "NAME_2"} <= set(pyogrio.read_dataframe(path, layer="grids").columns)


def test_verify_finds_changed_content_and_a_broken_index(
    path: Path, tmp_path: Path, grids: gpd.GeoDataFrame
) -> None:
    copy = tmp_path / "city.gpkg"
    shutil.copy(path, copy)
    connection = connect(copy)
    connection.execute("DROP TRIGGER grids_keep_update")
    connection.execute("UPDATE grids SET households = -1 WHERE fid = 100")
    connection.commit()
    connection.close()
    with open_store(copy) as store, pytest.raises(InputError, match="content differs") as damaged:
        store.verify()
    assert damaged.value.code == "store_damaged"
    connection = sqlite3.connect(copy)
    connection.execute("DELETE FROM rtree_grids_geom_rowid WHERE rowid = 100")
    connection.commit()
    connection.close()
    with open_store(copy) as store, pytest.raises(InputError, match="rtree_grids_geom"):
        store.verify()


CHILD = """
import sys
from geo_service.store import open_store
with open_store(sys.argv[1]) as store:
    (draft,) = store.drafts(state="open")
    print("ready", flush=True)
    sys.stdin.readline()
    store.publish(draft.id)
    print("done", flush=True)
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_in_the_middle(path: Path, log_bytes: int) -> bool:
    """Publish the open draft in a child, kill it once it has written so much; had it finished?

    The write-ahead log grows while the transaction runs, so its size says how far it has come,
    whatever the machine is busy with.
    """
    child = start(path)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.stdin.write("go\n")
    child.stdin.flush()
    log = path.with_name(path.name + "-wal")
    while child.poll() is None and (not log.exists() or log.stat().st_size < log_bytes):
        time.sleep(0.0005)
    child.kill()  # SIGKILL: no clean-up of any kind
    finished = "done" in child.stdout.read()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    return finished


def waiting_store(folder: Path, grids: gpd.GeoDataFrame) -> Path:
    """A store with one revision and a checked draft that changes every grid."""
    path = folder / "city.gpkg"
    with create_store(path) as store:
        publish(store, grids)
        moved = grids.set_geometry(grids.geometry.translate(1.0, 1.0)).assign(households=1)
        store.check_draft(store.create_draft("grids", moved).id)
    return path


def killed_stores_are_whole(folder: Path, grids: gpd.GeoDataFrame, shares: list[float]) -> int:
    """Kill after writing shares of the store's size; how many were killed before the end."""
    path = waiting_store(folder, grids)
    with open_store(path) as store:
        old = store.frame("grids")
        (draft,) = store.drafts(state="open")
        new = store.draft_frame(draft.id).sort_values("code", ignore_index=True)
    interrupted = 0
    for k, share in enumerate(shares):
        copy = folder / f"killed{k}.gpkg"
        shutil.copy(path, copy)
        finished = kill_in_the_middle(copy, int(share * path.stat().st_size))
        with open_store(copy) as store:
            store.verify()
            number = store.revision("grids").number
            expected = old if number == 1 else new
            assert not finished or number == 2
            found = store.frame("grids")
            assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(expected.geometry)).all()
            assert found["households"].tolist() == expected["households"].tolist()
            if number == 1:
                interrupted += 1
                assert [d.id for d in store.drafts(state="open")] == [draft.id]
                assert len(store.draft_frame(draft.id)) == len(grids)
                assert store.publish(draft.id).number == 2  # and it can go on from here
        found = pyogrio.read_dataframe(copy, layer="grids")
        assert len(found) == len(grids)
    return interrupted


def test_killed_while_publishing_the_old_revision_stands(
    tmp_path: Path, tiling: Callable[..., Any]
) -> None:
    grids, _ = tiling(300, seed=6, points=40)
    interrupted = killed_stores_are_whole(tmp_path, grids.assign(households=0), [0.0, 0.3])
    assert interrupted


@pytest.mark.slow
def test_killed_at_any_moment_of_a_large_publication(
    tmp_path: Path, tiling: Callable[..., Any]
) -> None:
    small, _ = tiling(400, seed=6, points=40)
    width = small.total_bounds[2] - small.total_bounds[0] + 1000.0
    copies = [
        small.set_geometry(small.geometry.translate(k * width)).assign(
            code=f"4110{k:02d}" + small["code"].str[6:]
        )
        for k in range(8)
    ]
    grids = gpd.GeoDataFrame(pd.concat(copies, ignore_index=True), crs=4547).assign(households=0)
    shares = [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9]
    assert killed_stores_are_whole(tmp_path, grids, shares) >= 5


def test_a_store_opened_twice_in_a_process_keeps_its_locks(path: Path, tmp_path: Path) -> None:
    """What another process writes is seen, and what is written here afterwards is kept."""
    own = tmp_path / "own.gpkg"
    shutil.copy(path, own)
    write = (
        "import sys, pandas as pd; from geo_service.store import open_store\n"
        "with open_store(sys.argv[1]) as store: store.put_table(sys.argv[2], "
        "pd.DataFrame({'a': [1]}))"
    )
    with open_store(own) as store:
        store.layers()
        with open_store(own) as again:
            again.layers()
        subprocess.run([sys.executable, "-c", write, own, "theirs"], check=True)
        assert "theirs" in store.tables()
        store.put_table("ours", pd.DataFrame({"a": [2]}))
        subprocess.run([sys.executable, "-c", write, own, "later"], check=True)
        assert {"theirs", "ours", "later"} <= set(store.tables())
    with open_store(own) as store:
        assert {"theirs", "ours", "later"} <= set(store.tables())
