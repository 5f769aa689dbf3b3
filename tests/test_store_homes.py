"""A store moves between its homes whole; doctor tells what is wrong with one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from geo_service.errors import ConflictError, InputError, MissingError
from geo_service.store import Store, create_store, health, open_store, store_exists

Place = Path | str
PAIRS = [
    pytest.param(one, other, marks=[pytest.mark.postgis] if "postgis" in (one, other) else [])
    for one in ("geopackage", "postgis")
    for other in ("geopackage", "postgis")
]


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    found, _ = tiling(60, seed=3)
    return found.assign(households=100)


@pytest.fixture
def store(place: Place, grids: gpd.GeoDataFrame) -> Iterator[Store]:
    with create_store(place) as made:
        publish(made, grids)
        yield made


def publish(store: Store, frame: gpd.GeoDataFrame, layer: str = "grids") -> int:
    return store.publish(store.create_draft(layer, frame).id).number


class Walks:
    """What writes itself to a file, as a walk network does."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.content)


def lived_in(place: Place, grids: gpd.GeoDataFrame) -> Store:
    """A store with a past: three revisions, a retired code, drafts, tables, streets."""
    store = create_store(place, title="许昌", synthetic=True)
    publish(store, grids)
    publish(store, grids.iloc[1:].assign(households=200, 备注="䶮㑇𬭼"))
    store.rollback("grids", 1)
    store.create_draft("grids", grids.assign(households=7))
    store.discard(store.create_draft("grids", grids).id)
    facts = {"id": ["001", "2"], "ok": [True, None], "n": [1.5, None]}
    store.put_table("facilities", pd.DataFrame(facts))
    store.put_table("nothing", pd.DataFrame({"id": pd.Series([], dtype="str")}))
    store.keep_streets(Walks(bytes(range(256)) * 40_000))  # more than one part
    return store


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_copy_in_another_home_is_the_same_store(
    one: str, other: str, new_place: Callable[[str], Place], grids: gpd.GeoDataFrame
) -> None:
    there = new_place(other)
    assert not store_exists(there)
    with lived_in(new_place(one), grids) as store:
        store.copy_to(there)
        with open_store(there) as copy:
            copy.verify()
            assert copy.history("grids") == store.history("grids")
            assert copy.drafts() == store.drafts()
            for number in (1, 2, 3):
                old, new = store.frame("grids", at=number), copy.frame("grids", at=number)
                assert (shapely.to_wkb(old.geometry) == shapely.to_wkb(new.geometry)).all()
                pd.testing.assert_frame_equal(pd.DataFrame(old), pd.DataFrame(new))
            for name in ("facilities", "nothing"):
                pd.testing.assert_frame_equal(copy.table(name), store.table(name))
            told, expected = copy.info().to_dict(), store.info().to_dict()
            assert {**told, "store": ""} == {**expected, "store": ""}
            assert copy.streets_path.read_bytes() == store.streets_path.read_bytes()
            code = grids["code"].iloc[0]
            assert copy.find_code(code).valid_from == store.find_code(code).valid_from
            waiting = [draft.id for draft in copy.drafts(state="open")]
            assert copy.publish(waiting[0]).number == 4
            assert copy.create_draft("grids", grids).id == len(store.drafts()) + 1
        with pytest.raises(ConflictError) as refused:
            store.copy_to(there)
    assert refused.value.code == "store_exists"


def test_a_copy_that_fails_leaves_nothing(
    new_place: Callable[[str], Place], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr("geo_service.store.copying._copy_layer", fail)
    there = new_place("geopackage" if "postgresql" in store.name else "postgis")
    with pytest.raises(OSError, match="power cut"):
        store.copy_to(there)
    assert not store_exists(there)


def test_a_backup_is_named_after_the_store(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    made = store.backup(folder)
    assert made.parent == folder
    assert made.suffix == ".gpkg"
    with open_store(made) as copy:
        assert copy.history("grids") == store.history("grids")


def test_streets_are_kept_whole_and_replaced(store: Store) -> None:
    assert store.streets_stamp() is None
    store.keep_streets(Walks(b"first"))
    assert store.streets_path.read_bytes() == b"first"
    before = store.streets_stamp()

    class Broken:
        def save(self, path: str | Path) -> None:
            Path(path).write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.keep_streets(Broken())
    assert (store.streets_stamp(), store.streets_path.read_bytes()) == (before, b"first")
    store.keep_streets(Walks(b"second"))
    assert store.streets_path.read_bytes() == b"second"


# doctor


def findings(place: Place, **options: Any) -> dict[str, health.Finding]:
    return {finding.what: finding for finding in health.examine(place, **options)}


def test_a_sound_store_has_nothing_wrong(store: Store, place: Place) -> None:
    store.close()
    wrong = {name for name, finding in findings(place).items() if not finding.ok}
    assert wrong <= {"server"}  # the tests' server trades safety for speed, which is told
    assert "grids r1" in findings(place)["content"].en


def test_lost_guards_are_told_and_mended(store: Store, place: Place) -> None:
    lose = {
        "geopackage": 'DROP TRIGGER "grids_keep_update"',
        "postgis": "ALTER TABLE grids DISABLE TRIGGER gs_guard",
    }
    home = "postgis" if "://" in str(place) else "geopackage"
    with store._home.writing() as connection:
        connection.exec_driver_sql(lose[home])
    told = findings(place)["guards"]
    assert not told.ok
    assert "grids" in told.zh
    assert "--mend" in told.en
    assert findings(place, mend=True)["guards"].ok
    assert findings(place)["guards"].ok


def test_changed_content_is_told(store: Store, place: Place) -> None:
    with store._home.writing() as connection, store._home.editing(connection, "grids", (0,) * 4):
        connection.exec_driver_sql("UPDATE grids SET households = 1")
    told = findings(place)["content"]
    assert not told.ok
    assert "content differs from revision 1" in told.en


def test_a_store_of_a_newer_version_is_told(store: Store, place: Place) -> None:
    settings = store._schema.settings
    with store._home.writing() as connection:
        connection.execute(settings.update().where(settings.c.key == "schema").values(value="99"))
    told = findings(place)["store"]
    assert not told.ok
    assert "Upgrade" in told.en
    assert "升级" in told.zh


def test_a_missing_store_is_told(new_place: Callable[[str], Place]) -> None:
    told = findings(new_place("geopackage"))["store"]
    assert (told.ok, "--store" in told.en) == (False, True)


def test_a_full_disk_a_network_drive_and_a_closed_folder_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "city.gpkg"
    create_store(path).close()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/share {tmp_path} nfs4 rw 0 0\nnone / ext4 rw 0 0\n")
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(health, "_MOUNTS", mounts)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(health.os, "access", lambda *_: False)  # root may write anywhere
    found = findings(path)
    assert {name for name, told in found.items() if not told.ok} == {"disk", "drive", "rights"}
    assert "nfs4" in found["drive"].zh
    assert "postgresql://" in found["drive"].en
    assert str(path) in found["rights"].en


def test_damage_of_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    create_store(path).close()
    path.write_bytes(path.read_bytes()[:5000])
    assert not findings(path)["store"].ok


# bad input


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\0b"},
        {"name": pd.Series(["\udce4"] * 60, dtype="object")},
        {"code": "4110\0001"},
        {"code": "4" * 2000},
        {"na\0me": "x"},
    ],
)
def test_what_no_home_can_keep_is_refused_in_every_home(
    store: Store, grids: gpd.GeoDataFrame, change: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as refused:
        store.create_draft("grids", grids.assign(**change))
    assert refused.value.code in {"value_invalid", "parameter_invalid"}
    assert store.drafts(state="open") == []


def test_awkward_names_and_texts_are_kept(store: Store, grids: gpd.GeoDataFrame) -> None:
    long = "非常长的列名" * 10
    frame = grids.assign(**{
        long: "one", long + "二": "two", "100%": "%s %(x)s", 'quote"d': "'; DROP TABLE grids; --",
        "Name": "case", "name": "䶮 㑇 𬭼 🙂 \x01\x1f\u202e", "megabyte": "大" * 350_000,
    })  # fmt: skip
    frame = frame.iloc[:3].assign(code=["A1", "a1", "Ａ1"])
    number = publish(store, frame, "compounds")
    found = store.frame("compounds", at=number)
    expected = frame.sort_values("code", ignore_index=True)[list(found.columns)]
    pd.testing.assert_frame_equal(
        pd.DataFrame(found.drop(columns="geometry")),
        pd.DataFrame(expected.drop(columns="geometry")),
    )
    store.verify()


def test_a_store_without_write_access_is_read_and_refuses_to_write(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        open_store(tmp_path / "none.gpkg")
    with sqlite3.connect(tmp_path / "other.gpkg") as other:
        other.execute("CREATE TABLE gs_settings (key TEXT, value TEXT)")
    other.close()
    with pytest.raises(InputError) as refused:
        open_store(tmp_path / "other.gpkg")
    assert refused.value.code == "store_foreign"
