"""Files that lie, bomb or break off: each is read or refused in words, and the parent lives."""

from __future__ import annotations

import json
import random
import stat
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from geo_service import _boundary_reader, boundary_files
from geo_service.api import uploads
from geo_service.boundary_files import BoundaryFile, archives, limits
from geo_service.errors import CATALOGUE, GeoServiceError

CODES = ["411002001001001", "411002001001002"]


@pytest.fixture(scope="module")
def grids() -> gpd.GeoDataFrame:
    shapes = [box(486000, 3767000, 486500, 3767500), box(486500, 3767000, 487000, 3767500)]
    columns = {"网格编码": CODES, "网格名称": ["第一网格", "第二网格"], "户数": [310, 402]}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4547)


@pytest.fixture(scope="module")
def shapefile(
    grids: gpd.GeoDataFrame, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("shapefile")
    boundary_files.write(grids, folder / "g.shp")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".csv"}


def refused(code: str, path: Path, **options: object) -> GeoServiceError:
    with pytest.raises(GeoServiceError) as caught:
        boundary_files.read(path, **options)  # type: ignore[arg-type]  # options vary by case
    assert caught.value.code == code
    return caught.value


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# --- zips ---


def test_a_zip_bomb_is_refused_by_its_ratio(tmp_path: Path, shapefile: dict[str, bytes]) -> None:
    bomb = b"\0" * (limits.FREE_OF_RATIO_MB * limits.MB + 1)
    path = zipped(tmp_path / "bomb.zip", {**shapefile, "g.dbf": bomb})
    assert path.stat().st_size < limits.MB
    error = refused("zip_too_large", path)
    assert str(limits.MOST_RATIO) in error.message("en")
    assert "倍" in error.message("zh")


def claimed(path: Path, size: int) -> Path:
    """Rewrite the sizes that a zip's directory claims for its first member."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


def test_sizes_that_are_claimed_are_believed_upwards_and_checked_downwards(
    tmp_path: Path, shapefile: dict[str, bytes]
) -> None:
    large = claimed(zipped(tmp_path / "claim.zip", shapefile), 0xFFFF_FFF0)  # 4 GB
    assert "4,096 MB" in refused("zip_too_large", large).message("en")
    small = claimed(zipped(tmp_path / "small.zip", {"g.shp": shapefile["g.shp"], **shapefile}), 10)
    with pytest.raises(GeoServiceError):
        boundary_files.read(small)


def test_a_zip64_that_claims_ten_gigabytes(tmp_path: Path, shapefile: dict[str, bytes]) -> None:
    path = tmp_path / "ten.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("g.shp", shapefile["g.shp"])
        archive.infolist()[0].file_size = 10 * 2**30  # written into the directory on closing
    assert "10,240 MB" in refused("zip_too_large", path).message("en")


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/g.shp", "/etc/g.shp", "a/../../g.shp", "C:/g.shp"]
)
def test_paths_that_climb_out_are_refused(
    tmp_path: Path, shapefile: dict[str, bytes], name: str
) -> None:
    path = zipped(tmp_path / "climb.zip", {**shapefile, name: b"x"})
    assert name in refused("zip_unsafe", path).message("zh")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["climb.zip"]


def test_links_in_a_zip_are_refused(tmp_path: Path, shapefile: dict[str, bytes]) -> None:
    path = zipped(tmp_path / "link.zip", shapefile)
    link = zipfile.ZipInfo("g.qix")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "g.qix" in refused("zip_unsafe", path).message("en")


def test_a_zip_in_a_zip_is_read_once_and_no_deeper(
    tmp_path: Path, shapefile: dict[str, bytes]
) -> None:
    one = zipped(tmp_path / "one.zip", shapefile).read_bytes()
    two = zipped(tmp_path / "two.zip", {"许昌/网格.zip": one, "说明.txt": b"x"})
    read = boundary_files.read(two)
    assert len(read.frame) == 2
    assert read.source == "two.zip/许昌/网格.zip/g.shp"
    refused("zip_nested", zipped(tmp_path / "three.zip", {"two.zip": two.read_bytes()}))
    both = refused("zip_nested", zipped(tmp_path / "both.zip", {"a.zip": one, "b.zip": one}))
    assert "a.zip, b.zip" in both.message("en")


def test_locked_zips_and_odd_compression(tmp_path: Path, shapefile: dict[str, bytes]) -> None:
    path = zipped(tmp_path / "locked.zip", shapefile)
    whole = path.read_bytes()
    data = bytearray(whole)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            data[at + flags] |= 1
    path.write_bytes(data)
    assert "密码" in refused("zip_locked", path).message("zh")
    data = bytearray(whole)
    for mark, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            data[at + method] = 9  # Deflate64
    path.write_bytes(data)
    refused("zip_locked", path)


def test_ten_thousand_members(
    tmp_path: Path, shapefile: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_MEMBERS", 50)
    many = {f"{i}.txt": b"" for i in range(60)}
    assert "65" in refused(
        "zip_too_large", zipped(tmp_path / "m.zip", {**shapefile, **many})
    ).message("en")


def test_a_workbook_that_unpacks_without_end(tmp_path: Path) -> None:
    path = tmp_path / "g.xlsx"
    members = {
        "xl/workbook.xml": b"<workbook/>",
        "xl/worksheets/sheet1.xml": b" " * (65 * limits.MB),
    }
    refused("zip_too_large", zipped(path, members))


# --- kinds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"", "file_empty"),
        (b"Rar!\x1a\x07", "format_refused"),
        (b"7z\xbc\xaf\x27\x1c", "format_refused"),
        (b"AC1032", "format_refused"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "format_refused"),
        (b"%PDF-1.7", "format_refused"),
        (b"\x1f\x8b\x08", "format_refused"),
        (b"\x7fELF\x02\x01\x01\0", "format_unknown"),
        (b'{"type": "FeatureCollection"}', "format_differs"),
        (b"<OGRVRTDataSource></OGRVRTDataSource>", "format_refused"),
    ],
)
@pytest.mark.parametrize("ending", [".shp", ".gpkg", ".zip", ".fgb"])
def test_wrong_magic(tmp_path: Path, head: bytes, code: str, ending: str) -> None:
    path = tmp_path / f"网格{ending}"
    path.write_bytes(head)
    error = refused(code, path)
    assert f"网格{ending}" in error.message("zh")
    assert "Phrase" not in error.message("en")


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://example.com/a.gpkg", "WFS:http://example.com", "PG:dbname=x"]
)
def test_network_names_are_only_names(name: str) -> None:
    refused("file_missing", Path(name))


def test_only_the_drivers_of_boundary_files_are_left() -> None:
    here, there = uploads._context.Pipe(duplex=False)
    process = uploads._context.Process(target=_drivers, args=(there,))
    process.start()
    left, allowed = here.recv()
    assert set(left) == allowed
    process.join()


def _drivers(there: object) -> None:
    from geo_service import _known_drivers_only  # imported here it would shut drivers for all tests

    told = list(pyogrio.list_drivers()), _known_drivers_only.ALLOWED
    there.send(told)  # type: ignore[attr-defined]


# --- too much ------------------------------------------------------------------------------------


def test_two_thousand_columns(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "wide.geojson"
    ring = json.loads(shapely.to_geojson(grids.geometry[0]))
    properties = {f"c{i}": i for i in range(2000)}
    path.write_text(json.dumps({"type": "Feature", "properties": properties, "geometry": ring}))
    assert "2000" in refused("columns_too_many", path, crs=4547).message("zh")
    wide = ",".join(["wkt", *properties])
    (tmp_path / "wide.csv").write_text(f'{wide}\n"POINT (1 2)"{",1" * 2000}\n')
    refused("columns_too_many", tmp_path / "wide.csv", crs=4326)


def test_a_hundred_megabytes_of_attributes(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    text = "备注" * (9 * limits.MB)  # 54 MB each
    grids.assign(备注=[text, text + "x"]).to_parquet(path)
    error = refused("attributes_too_large", path)
    assert "备注" in error.message("en")
    assert "108 MB" in error.message("en")


def test_nameless_and_repeated_columns(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text('code,,wkt\n1,x,"POINT (1 2)"\n')
    assert refused("column_unnamed", path, crs=4326, shapes="any").details["column"] == 2
    path.write_text('code,,wkt\n1,,"POINT (1 2)"\n')
    assert len(boundary_files.read(path, crs=4326, shapes="any").frame) == 1
    path.write_text('code,备注,备注,wkt\n1,x,y,"POINT (1 2)"\n')
    assert "备注" in refused("column_repeated", path, crs=4326, shapes="any").message("zh")


def test_too_many_features(
    grids: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_FEATURES", 1)
    for ending in (".gpkg", ".geojson", ".parquet", ".csv", ".kml", ".shp"):
        path = boundary_files.write(grids, tmp_path / f"g{ending}")
        refused("features_too_many", path)


@pytest.mark.parametrize("count", [0x7FFF_FFFF, 0xFFFF_FFFF, 0, 10_000_000])
def test_absurd_counts_in_headers(tmp_path: Path, shapefile: dict[str, bytes], count: int) -> None:
    for name, at, order in (
        ("g.dbf", 4, "<I"),
        ("g.shp", 24, ">I"),
        ("g.shp", 100 + 44, "<I"),
        ("g.shx", 24, ">I"),
    ):
        for other, content in shapefile.items():
            (tmp_path / other).write_bytes(content)
        data = bytearray(shapefile[name])
        data[at : at + 4] = struct.pack(order, count)
        (tmp_path / name).write_bytes(data)
        told(tmp_path / "g.shp")


def test_half_a_shp_is_told_by_its_bytes(tmp_path: Path, shapefile: dict[str, bytes]) -> None:
    for name, content in shapefile.items():
        (tmp_path / name).write_bytes(
            content[: len(content) * 2 // 3] if name == "g.shp" else content
        )
    error = refused("file_unreadable", tmp_path / "g.shp")
    assert f"{len(shapefile['g.shp']):,}" in error.message("zh")


def test_deep_nesting_breaks_no_parser(tmp_path: Path) -> None:
    deep = 50_000
    (tmp_path / "deep.json").write_text("[" * deep + "]" * deep)
    (tmp_path / "deep.kml").write_text("<kml>" + "<Folder>" * deep + "</Folder>" * deep + "</kml>")
    nested = "GEOMETRYCOLLECTION(" * deep + "POINT(1 2)" + ")" * deep
    (tmp_path / "deep.csv").write_text(f'code,wkt\n1,"{nested}"\n')
    collection = '{"type":"GeometryCollection","geometries":['
    inside = collection * 200 + '{"type":"Point","coordinates":[1,2]}' + "]}" * 200
    (tmp_path / "shapes.json").write_text(
        f'{{"type":"Feature","properties":{{}},"geometry":{inside}}}'
    )
    for path in sorted(tmp_path.iterdir()):
        told(path, crs="EPSG:4326", shapes="any")


# --- the process that reads ----------------------------------------------------------------------


def told(path: Path, **options: object) -> BoundaryFile | str:
    """What a reader in its own process makes of a file: a layer, or the code of its refusal."""
    refusal = None
    try:
        return uploads.read(path, options)
    except GeoServiceError as error:
        refusal = error
    assert refusal.code in CATALOGUE
    assert refusal.status in {404, 413, 422}
    assert "reader stopped" not in refusal.message("en")
    assert all(refusal.message(lang) for lang in ("zh", "en"))
    return refusal.code


def test_a_reader_that_takes_too_much_memory_is_stopped(
    grids: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = boundary_files.write(grids, tmp_path / "g.gpkg")
    monkeypatch.setattr(uploads, "MEMORY_MB", 64)
    assert told(path) in {"reader_too_big", "file_unreadable"}
    monkeypatch.undo()
    monkeypatch.setattr(uploads, "ANSWER_MB", 0)
    assert told(path) == "reader_too_big"
    monkeypatch.undo()
    assert isinstance(told(path), BoundaryFile)


def test_what_a_reader_unpacks_is_limited_and_removed(
    shapefile: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    noise = random.Random(1).randbytes(3 * limits.MB)
    path = zipped(tmp_path / "g.zip", {**shapefile, "g.dbf": noise})
    monkeypatch.setattr(uploads, "MOST_UNPACKED_MB", 1)
    assert told(path) in {"reader_too_big", "file_unreadable"}
    with pytest.raises(GeoServiceError):
        uploads.read(path, {}, seconds=0.001)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_reader_that_dies_is_told(
    grids: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_boundary_reader, "answer", _die)
    path = boundary_files.write(grids, tmp_path / "g.gpkg")
    with pytest.raises(GeoServiceError, match="reader stopped"):
        uploads.read(path, {})


def _die(*_: object) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def spoilers() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Truncations at any byte, flipped bits and overwritten stretches."""

    def cut(share: float) -> Callable[[bytes], bytes]:
        return lambda data: data[: int(len(data) * share)]

    def flip(places: list[tuple[float, int]]) -> Callable[[bytes], bytes]:
        def flipped(data: bytes) -> bytes:
            spoiled = bytearray(data)
            for share, bit in places:
                spoiled[int(len(spoiled) * share)] ^= 1 << bit
            return bytes(spoiled)

        return flipped

    def overwrite(share: float, noise: bytes) -> Callable[[bytes], bytes]:
        def overwritten(data: bytes) -> bytes:
            at = int(len(data) * share)
            return data[:at] + noise + data[at + len(noise) :]

        return overwritten

    shares = st.floats(0, 0.999)
    places = st.lists(st.tuples(shares, st.integers(0, 7)), min_size=1, max_size=20)
    return st.one_of(
        shares.map(cut),
        places.map(flip),
        st.builds(overwrite, shares, st.binary(min_size=1, max_size=64)),
    )


ENDINGS = [e for e in boundary_files.WRITERS if e not in {".json", ".kmz"}]


@pytest.fixture(scope="module", params=ENDINGS)
def whole(
    request: pytest.FixtureRequest,
    grids: gpd.GeoDataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("whole")
    return boundary_files.write(grids, folder / f"g{request.param}")


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spoil=spoilers(), which=st.integers(0, 7))
def test_no_damage_ends_the_parent(
    whole: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], which: int
) -> None:
    parts = sorted(whole.parent.iterdir())
    chosen = parts[which % len(parts)]
    for part in parts:
        data = part.read_bytes()
        (tmp_path / part.name).write_bytes(spoil(data) if part is chosen else data)
    told(tmp_path / whole.name, crs="EPSG:4547")


def test_every_kind_is_opened_from_a_zip_too(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    for ending in ENDINGS:
        if ending == ".zip":
            continue
        folder = tmp_path / ending[1:]
        folder.mkdir()
        boundary_files.write(grids, folder / f"g{ending}")
        wanted = archives.PARTS.get(ending, (ending,))
        made = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in wanted}
        read = boundary_files.read(
            zipped(tmp_path / f"{ending[1:]}.zip", made), crs=None if ending != ".dxf" else 4547
        )
        assert len(read.frame) == 2, ending
