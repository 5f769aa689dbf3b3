"""Every format that planners send, in the forms it really comes in, and what is told of each."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from ezdxf.filemanagement import new as new_drawing
from shapely.geometry import box

from geo_service import boundary_files, crs
from geo_service.boundary_files import shapefiles
from geo_service.boundary_files.reading import BoundaryFile
from geo_service.errors import GeoServiceError
from geo_service.notes import Note

CODES = ["411002001001001", "411002001001002"]
NAMES = ["第一网格", "第二网格"]
Refused = Callable[..., GeoServiceError]


@pytest.fixture
def grids() -> gpd.GeoDataFrame:
    shapes = [box(486000, 3767000, 486500, 3767500), box(486500, 3767000, 487000, 3767500)]
    columns = {"网格编码": CODES, "网格名称": NAMES, "户数": [310, 402]}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4547)


@pytest.fixture
def lonlat(grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return boundary_files.to_wgs84(grids)


def refused(code: str, path: Path, **options: object) -> GeoServiceError:
    with pytest.raises(GeoServiceError) as caught:
        boundary_files.read(path, **options)  # type: ignore[arg-type]  # options vary by case
    assert caught.value.code == code
    for lang in ("zh", "en"):
        assert "Phrase" not in caught.value.message(lang)
    return caught.value


def note(read: BoundaryFile, code: str) -> Note:
    found = {n.code: n for n in read.notes}
    assert code in found, sorted(found)
    assert found[code].zh
    assert found[code].en
    return found[code]


def codes_of(read: BoundaryFile) -> list[str]:
    return sorted(read.layer_frame()["code"])


def zipped_by_windows(members: dict[str, bytes]) -> bytes:
    """A zip whose names are in GBK and not marked as UTF-8, as Python would not write it."""
    body, directory = b"", b""
    for name, content in members.items():
        raw = name.encode("gbk")
        head = struct.pack(
            "<HHHHHIIIHH", 20, 0, 0, 0, 0x5A21, zlib.crc32(content), len(content), len(content),
            len(raw), 0,
        )  # fmt: skip
        at = len(body)
        body += b"PK\x03\x04" + head + raw + content
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + head
        directory += struct.pack("<HHHII", 0, 0, 0, 0, at) + raw
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def parts(grids: gpd.GeoDataFrame, folder: Path, stem: str = "g") -> dict[str, bytes]:
    boundary_files.write(grids, folder / f"{stem}.shp")
    return {
        ending: (folder / f"{stem}.{ending}").read_bytes()
        for ending in ("shp", "shx", "dbf", "prj", "cpg")
    }


# --- shapefiles and zips -------------------------------------------------------------------------


def test_gbk_names_in_a_zip_are_read_and_told(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    made = parts(grids, tmp_path)
    members = {f"上报数据/许昌网格.{ending}": content for ending, content in made.items()}
    (tmp_path / "u.zip").write_bytes(zipped_by_windows(members))
    read = boundary_files.read(tmp_path / "u.zip")
    assert codes_of(read) == CODES
    assert read.source == "u.zip/许昌网格.shp"
    zipped(tmp_path / "utf8.zip", members)
    assert boundary_files.read(tmp_path / "utf8.zip").source == "utf8.zip/许昌网格.shp"


def test_one_of_several_shapefiles_is_chosen_by_name(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    made = parts(grids, tmp_path)
    members = {
        f"{stem}.{ending}": content
        for stem in ("城区/网格", "城区/社区")
        for ending, content in made.items()
    }
    path = zipped(tmp_path / "two.zip", members)
    error = refused("layer_choice", path)
    assert "城区/网格.shp" in error.message("zh")
    assert "城区/社区.shp" in error.message("zh")
    for said in ("网格", "城区/网格", "网格.shp"):
        read = boundary_files.read(path, layer=said)
        assert read.source == "two.zip/网格.shp"
    assert "社区" in note(read, "zip_others").zh
    refused("layer_choice", path, layer="街道")


def test_a_shapefile_without_its_index_is_read_and_nothing_is_written_beside_it(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    parts(grids, tmp_path)
    (tmp_path / "g.shx").unlink()
    before = sorted(tmp_path.iterdir())
    read = boundary_files.read(tmp_path / "g.shp")
    assert codes_of(read) == CODES
    note(read, "shx_rebuilt")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "g.shx").write_bytes(b"\0" * 30)
    note(boundary_files.read(tmp_path / "g.shp"), "shx_rebuilt")


def test_capital_endings_and_any_part_of_a_shapefile(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    made = parts(grids, tmp_path)
    (tmp_path / "old").mkdir()
    for ending, content in made.items():
        (tmp_path / "old" / f"GRIDS.{ending.upper()}").write_bytes(content)
    for picked in ("SHP", "DBF", "PRJ"):
        assert codes_of(boundary_files.read(tmp_path / "old" / f"GRIDS.{picked}")) == CODES


def test_half_a_shapefile_is_refused_by_the_part(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    made = parts(grids, tmp_path)
    for missing in ("dbf", "shp"):
        kept = {f"g.{ending}": content for ending, content in made.items() if ending != missing}
        (tmp_path / missing).mkdir()
        for name, content in kept.items():
            (tmp_path / missing / name).write_bytes(content)
        picked = "dbf" if missing == "shp" else "shp"
        error = refused("part_missing", tmp_path / missing / f"g.{picked}")
        assert f".{missing}" in error.message("zh")
        path = zipped(tmp_path / f"{missing}.zip", kept)
        refused("part_missing" if missing == "dbf" else "zip_without_boundaries", path)


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5", "utf-8"])
@pytest.mark.parametrize("said", [None, "cpg", "byte", "wrong cpg"])
def test_the_encoding_is_told_by_cpg_language_byte_or_content(
    grids: gpd.GeoDataFrame, tmp_path: Path, encoding: str, said: str | None
) -> None:
    names = (
        ["許昌市魏都區西大街道", "臺南市新營區"]
        if encoding == "big5"
        else ["西大街道第一网格", "文峰街道"]
    )
    named = grids[["geometry"]].assign(code=CODES, name=names)
    pyogrio.write_dataframe(named, tmp_path / "g.shp", encoding=encoding)
    cpg, dbf = tmp_path / "g.cpg", tmp_path / "g.dbf"
    cpg.unlink()
    data = bytearray(dbf.read_bytes())
    data[29] = (
        {"gbk": 0x4D, "gb18030": 0x4D, "big5": 0x4F, "utf-8": 0}[encoding] if said == "byte" else 0
    )
    dbf.write_bytes(data)
    if said == "cpg":
        cpg.write_text({"gbk": "936", "big5": "950"}.get(encoding, encoding.upper()))
    if said == "wrong cpg":
        cpg.write_text("UTF-8" if encoding != "utf-8" else "GBK")
    read = boundary_files.read(tmp_path / "g.shp")
    assert list(read.layer_frame()["name"]) == names
    why = note(read, "encoding").en
    if said == "cpg":
        assert ".cpg" in why
    elif said == "byte" and encoding != "utf-8":
        assert "0x4" in why
    if said == "wrong cpg":
        note(read, "encoding_claim_wrong")


def test_a_wrong_encoding_that_was_told_is_refused_or_doubted(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    grids[["geometry"]].assign(code=CODES, name=NAMES).to_file(tmp_path / "g.shp", encoding="GBK")
    refused("encoding_unreadable", tmp_path / "g.shp", encoding="utf-8")
    refused("encoding_unreadable", tmp_path / "g.shp", encoding="klingon")
    doubted = boundary_files.read(tmp_path / "g.shp", encoding="latin1")
    assert "gb18030" in note(doubted, "encoding_doubtful").en
    assert (
        boundary_files.read(tmp_path / "g.shp", encoding="GBK").layer_frame()["name"][0] == NAMES[0]
    )


@pytest.mark.filterwarnings("ignore:Normalized/laundered field name")
@pytest.mark.filterwarnings("ignore:Could not decode error message")
def test_names_that_are_alike_after_the_cut_stay_apart(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    alike = grids.assign(网格员联系电话="13800000000", x="毓达街1号")
    alike.to_file(tmp_path / "g.shp", encoding="UTF-8")
    data = (tmp_path / "g.dbf").read_bytes()
    field = b"x" + b"\0" * 10
    assert data.count(field) == 1
    (tmp_path / "g.dbf").write_bytes(data.replace(field, "网格员".encode() + b"\xe7\0"))
    read = boundary_files.read(tmp_path / "g.shp")
    assert {"网格员", "网格员_2"} <= set(read.frame.columns)
    assert "网格员" in note(read, "field_names_cut").zh
    assert "网格员_2" in note(read, "field_names_collide").zh


def test_a_shapefile_is_written_in_gb18030_with_its_name_map(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    long = grids.assign(网格员联系电话="13800000000", 网格名称=["䶮湾㑇桥", "𬭼桥村"])
    told = boundary_files.name_note(long, "out.zip")
    assert told is not None
    assert "网格员联系电话 → 网格员联系" in told.zh
    assert boundary_files.name_note(long, "out.gpkg") is None
    path = boundary_files.write(long, tmp_path / "out.zip")
    with zipfile.ZipFile(path) as archive:
        assert {"out.shp", "out.dbf", "out.prj", "out.cpg", "out_fields.csv"} <= set(
            archive.namelist()
        )
        assert archive.read("out.cpg") == b"GB18030"
        table = archive.read("out_fields.csv").decode("utf-8-sig")
    assert "网格员联系,网格员联系电话" in table
    assert set(boundary_files.read(path).layer_frame()["name"]) == {"䶮湾㑇桥", "𬭼桥村"}


def test_an_old_shapefile_with_a_wrong_record_length_is_read(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    parts(grids, tmp_path)
    data = bytearray((tmp_path / "g.shp").read_bytes())
    data[24:28] = struct.pack(">i", 50)  # the file's length, as some writers leave it
    (tmp_path / "g.shp").write_bytes(data)
    assert codes_of(boundary_files.read(tmp_path / "g.shp")) == CODES


def test_long_whole_numbers_with_a_blank_keep_their_digits(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    numbered = grids.assign(网格编码=[411002001001001001, 0])
    pyogrio.write_dataframe(numbered, tmp_path / "n.gpkg", layer="n", SPATIAL_INDEX="NO")
    with contextlib.closing(sqlite3.connect(tmp_path / "n.gpkg")) as database, database:
        database.execute('UPDATE n SET "网格编码" = NULL WHERE "网格编码" = 0')
    read = boundary_files.read(tmp_path / "n.gpkg")
    assert list(read.layer_frame()["code"]) == ["411002001001001001", ""]


# --- GeoJSON and TopoJSON ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["collection", "bare", "feature", "lines", "geometry", "bom", "gbk", "utf16"]
)
def test_geojson_in_every_form(lonlat: gpd.GeoDataFrame, tmp_path: Path, form: str) -> None:
    whole = json.loads(lonlat.to_json(drop_id=True))
    one = {"type": "Feature", "geometry": whole["features"][0]["geometry"]}
    documents = {
        "bare": whole["features"],
        "feature": {**one, "properties": whole["features"][0]["properties"]},
        "geometry": one["geometry"],
    }
    text = json.dumps(documents.get(form, whole), ensure_ascii=False)
    if form == "lines":
        text = "\n".join(json.dumps(f, ensure_ascii=False) for f in whole["features"])
    codec = {"bom": "utf-8-sig", "gbk": "gbk", "utf16": "utf-16"}.get(form, "utf-8")
    (tmp_path / "g.geojson").write_text(text, encoding=codec)
    read = boundary_files.read(tmp_path / "g.geojson")
    assert len(read.frame) == (1 if form in {"feature", "geometry"} else 2)
    assert read.frame.geometry.iloc[0].equals_exact(lonlat.geometry[0], 0)
    assert crs.same(read.frame.crs, 4326)
    if form != "geometry":
        assert read.layer_frame()["name"].iloc[0] == NAMES[0]
        assert {"gbk": "gb18030", "utf16": "utf-16"}.get(form, "utf-8") in note(read, "encoding").en


def test_the_old_crs_member_is_obeyed(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    document = json.loads(grids.to_json(drop_id=True))
    path = tmp_path / "g.geojson"
    for name in ("urn:ogc:def:crs:EPSG::4547", "EPSG:4547"):
        document["crs"] = {"type": "name", "properties": {"name": name}}
        path.write_text(json.dumps(document))
        assert crs.epsg(boundary_files.read(path).frame.crs) == 4547
    for unknown in (None, {"type": "name", "properties": {"name": "local"}}):
        document["crs"] = unknown
        path.write_text(json.dumps(document))
        refused("crs_missing", path)
    del document["crs"]
    path.write_text(json.dumps(document))
    assert "EPSG:4547" in refused("crs_missing", path).message("en")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ('{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline"}', "format_refused"),
        ('{"type": "FeatureCollection", "features": [{"type": "x"}]}', "file_unreadable"),
        ('{"type": "FeatureCollection", "features": []}', "layer_empty"),
        ('{"type": "FeatureCollection", "features": [', "file_unreadable"),
        ('{"name": "package", "version": "1.0"}', "format_refused"),
        ('{"type": "Topology"}', "file_unreadable"),
        ("[]", "layer_empty"),
    ],
)
def test_json_that_is_no_boundaries(tmp_path: Path, document: str, code: str) -> None:
    (tmp_path / "g.json").write_text(document)
    refused(code, tmp_path / "g.json")


def topology(scale: float) -> dict[str, object]:
    """Two squares that share an arc."""
    arcs = [
        [[1000, 0], [0, 1000]],
        [[1000, 1000], [-1000, 0], [0, -1000], [1000, 0]],
        [[1000, 0], [1000, 0], [0, 1000], [-1000, 0]],
    ]
    shapes = [
        {"type": "Polygon", "arcs": [[0, 1]], "properties": {"code": CODES[0], "name": NAMES[0]}},
        {"type": "Polygon", "arcs": [[2, -1]], "properties": {"code": CODES[1], "name": NAMES[1]}},
    ]
    return {
        "type": "Topology",
        "transform": {"scale": [scale, scale], "translate": [113.8, 34.0]},
        "objects": {"grids": {"type": "GeometryCollection", "geometries": shapes}},
        "arcs": arcs,
    }


def test_topojson(tmp_path: Path) -> None:
    path = tmp_path / "g.topojson"
    path.write_text(json.dumps(topology(1e-5)))
    read = boundary_files.read(path)
    assert codes_of(read) == CODES
    assert shapely.coverage_is_valid(read.frame.geometry.to_numpy())
    assert crs.same(read.frame.crs, 4326)
    note(read, "topojson_degrees")
    assert "1.11 m" in note(read, "topojson_rounded").en
    two = topology(1e-5)
    two["objects"] = {**two["objects"], "towns": two["objects"]["grids"]}  # type: ignore[dict-item, index]
    path.write_text(json.dumps(two))
    assert "towns" in refused("layer_choice", path).message("en")
    assert codes_of(boundary_files.read(path, layer="grids")) == CODES


# --- KML -----------------------------------------------------------------------------------------

RING = "113.85,34.03,0 113.86,34.03,0 113.86,34.04,0 113.85,34.03,0"
POLYGON = (
    f"<Polygon><outerBoundaryIs><LinearRing><coordinates>{RING}</coordinates></LinearRing>"
    "</outerBoundaryIs></Polygon>"
)
KML = f"""<?xml version="1.0" encoding="{{}}"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>许昌</name>
<Folder><name>北大街道</name><Folder><name>天宝社区</name>
<Placemark><name>第一网格</name><description><![CDATA[<table><tr><td>网格长</td><td>王建国</td></tr>
<tr><td>户数</td><td>310</td></tr></table>]]></description>
<ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="网格编码">{CODES[0]}</SimpleData>
</SchemaData></ExtendedData>{POLYGON}</Placemark></Folder></Folder>
<Folder><name>南大街道</name><Placemark><name>第二网格</name><ExtendedData>
<Data name="网格编码"><value>{CODES[1]}</value></Data><Data name="户数"><value>402</value></Data>
</ExtendedData><MultiGeometry>{POLYGON}{POLYGON.replace("113.8", "113.9")}</MultiGeometry>
</Placemark>
</Folder><NetworkLink><Link><href>http://example.com/a.kml</href></Link></NetworkLink>
</Document></kml>"""


@pytest.mark.parametrize(
    ("codec", "declared"), [("utf-8", "UTF-8"), ("gbk", "GBK"), ("gbk", "UTF-8")]
)
def test_kml_with_folders_and_attributes(tmp_path: Path, codec: str, declared: str) -> None:
    path = tmp_path / "g.kml"
    path.write_bytes(KML.format(declared).encode(codec))
    read = boundary_files.read(path)
    frame = read.layer_frame()
    assert list(frame["code"]) == CODES
    assert list(frame["folder"]) == ["北大街道/天宝社区", "南大街道"]
    assert frame["description"][0] == "网格长 王建国\n户数 310"
    assert list(frame.geometry.geom_type) == ["Polygon", "MultiPolygon"]
    assert "1" in note(read, "kml_links").en
    assert "gcj02" in note(read, "kml_wgs84").zh
    with zipfile.ZipFile(tmp_path / "g.kmz", "w") as archive:
        archive.writestr("doc.kml", path.read_bytes())
        archive.writestr("files/icon.png", b"\x89PNG")
    assert codes_of(boundary_files.read(tmp_path / "g.kmz")) == CODES


@pytest.mark.parametrize(
    "trap",
    [
        '<!DOCTYPE kml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE kml SYSTEM "http://example.com/kml.dtd">',
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_entities_in_kml_are_refused(tmp_path: Path, trap: str, codec: str) -> None:
    text = f'<?xml version="1.0"?>\n{trap}\n<kml><Placemark><name>&x;</name></Placemark></kml>'
    (tmp_path / "g.kml").write_bytes(text.encode(codec))
    error = refused("xml_declares_entities", tmp_path / "g.kml")
    assert "2" in error.message("en")


@pytest.mark.parametrize(
    "text",
    [
        '<OGRVRTDataSource><OGRVRTLayer name="a"/></OGRVRTDataSource>',
        '<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml" '
        'xsi:schemaLocation="a http://example.com/a.xsd"/>',
        "<html><body>404</body></html>",
    ],
)
@pytest.mark.parametrize("ending", [".kml", ".vrt", ".gml", ".shp", ".gpkg"])
def test_other_xml_is_refused_whatever_it_is_called(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"g{ending}"
    path.write_text(f"<?xml version='1.0'?><!-- <kml> -->{text}")
    refused("format_refused", path)


# --- drawings ------------------------------------------------------------------------------------


def drawing(path: Path, *, gap_m: float = 0.0, layer: str = "网格线") -> Path:
    """A rectangle cut by one line that stops short by `gap_m`, with codes and names."""
    made = new_drawing("R2010")
    space = made.modelspace()
    corners = [(0, 0), (200, 0), (200, 100), (0, 100), (0, 0)]
    for start, end in itertools.pairwise(corners):
        space.add_line(start, end, dxfattribs={"layer": "网格线"})
    space.add_line((100, -5), (100, 100 - gap_m), dxfattribs={"layer": layer})
    for x, code, name in ((50, CODES[0], NAMES[0]), (150, CODES[1], NAMES[1])):
        space.add_text(code, height=2, dxfattribs={"layer": "注记"}).set_placement((x, 50))
        space.add_mtext(name, dxfattribs={"layer": "注记"}).set_location((x, 40))
    space.add_text("比例尺 1:1000", height=2).set_placement((500, 500))
    made.saveas(path)
    return path


def test_lines_enclose_areas_and_texts_name_them(tmp_path: Path) -> None:
    read = boundary_files.read(drawing(tmp_path / "g.dxf"), crs="EPSG:4547")
    frame = read.layer_frame()
    assert list(frame["code"]) == CODES
    assert list(frame["name"]) == NAMES
    assert list(frame.geometry.area) == [10_000.0, 10_000.0]
    assert "2 areas" in note(read, "lines_polygonised").en
    assert "(100.000, -5.000)" in note(read, "lines_open").en  # what hangs out is told
    assert "比例尺" in note(read, "texts_outside").zh
    refused("crs_missing", tmp_path / "g.dxf")


def test_a_line_that_stops_short_is_told_with_its_gap(tmp_path: Path) -> None:
    read = boundary_files.read(drawing(tmp_path / "g.dxf", gap_m=0.03), crs="EPSG:4547")
    assert len(read.frame) == 1
    assert "(100.000, 99.970) 0.030" in note(read, "lines_open").en
    assert "1" in note(read, "texts_several_codes").en
    made = new_drawing("R2010")
    made.modelspace().add_line((0, 0), (100, 0))
    made.saveas(tmp_path / "open.dxf")
    assert "(100.000, 0.000)" in refused("lines_enclose_nothing", tmp_path / "open.dxf").message(
        "zh"
    )


def test_layers_of_a_drawing_are_chosen(tmp_path: Path) -> None:
    path = drawing(tmp_path / "g.dxf", layer="道路")
    assert "道路" in refused("layer_choice", path, crs=4547).message("zh")
    assert len(boundary_files.read(path, crs=4547, layer="网格线").frame) == 1
    assert len(boundary_files.read(path, crs=4547, layer="网格线, 道路").frame) == 2


def test_a_gbk_drawing_under_a_wrong_code_page(tmp_path: Path) -> None:
    section = "  0\nSECTION\n  2\n"
    head = section + "HEADER\n  9\n$ACADVER\n  1\nAC1015\n  9\n$DWGCODEPAGE\n  3\n{}\n  0\nENDSEC\n"
    text_at = "  0\nTEXT\n  8\n注记\n 10\n5e3\n 20\n5e3\n 40\n1\n  1\n西大街道第一网格\n"
    body = f"{section}ENTITIES\n{text_at}"
    ring = "  0\nLWPOLYLINE\n  8\n网格线\n 90\n4\n 70\n1\n" + "".join(
        f" 10\n{x}\n 20\n{y}\n" for x, y in ((0, 0), (1e4, 0), (1e4, 1e4), (0, 1e4))
    )
    for page in ("ANSI_936", "ANSI_1252"):
        text = head.format(page) + body + ring + "  0\nENDSEC\n  0\nEOF\n"
        (tmp_path / "g.dxf").write_bytes(text.encode("gbk"))
        read = boundary_files.read(tmp_path / "g.dxf", crs=4547)
        assert list(read.frame["网格名称"]) == ["西大街道第一网格"]
        assert "gb18030" in note(read, "encoding").en


# --- MapInfo -------------------------------------------------------------------------------------


def test_mapinfo_comes_in_gbk_and_its_zone_gets_its_number(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    boundary_files.write(grids.to_crs(4526), tmp_path / "g.tab")
    read = boundary_files.read(tmp_path / "g.tab")
    assert crs.epsg(read.frame.crs) == 4526
    assert "EPSG:4526" in note(read, "mapinfo_zone").zh
    made = boundary_files.write(grids, tmp_path / "n.mif")
    text = made.read_bytes().replace(b"WindowsSimpChinese", b"Neutral")
    made.write_bytes(text)
    neutral = boundary_files.read(made)
    assert list(neutral.layer_frame()["name"]) == NAMES
    assert "gb18030" in note(neutral, "encoding").en
    (tmp_path / "n.mid").unlink()
    assert ".mid" in refused("part_missing", made).message("zh")


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "gbk", "xlsx", "wkb", "title"])
def test_tables_of_wkt(lonlat: gpd.GeoDataFrame, tmp_path: Path, form: str) -> None:
    table = pd.DataFrame(lonlat.drop(columns="geometry"))
    shapes = (
        lonlat.geometry.to_wkb(hex=True)
        if form == "wkb"
        else shapely.to_wkt(lonlat.geometry.to_numpy(), rounding_precision=-1)
    )
    table["范围"] = list(shapes)
    path = tmp_path / ("g.xlsx" if form in {"xlsx", "title"} else "g.csv")
    if form == "title":
        table.to_excel(path, index=False, startrow=1)
        import openpyxl

        book = openpyxl.load_workbook(path)
        book.active["A1"] = "许昌市网格边界表"
        book.save(path)
    elif form == "xlsx":
        table.to_excel(path, index=False)
    else:
        table.to_csv(path, index=False, encoding="gbk" if form == "gbk" else "utf-8-sig")
    assert refused("datum_missing", path).message("zh")
    read = boundary_files.read(path, datum="wgs84")
    assert list(read.layer_frame()["code"]) == CODES
    assert list(read.frame["户数"]) == [310, 402]
    assert read.frame.geometry.iloc[0].equals_exact(lonlat.geometry[0], 1e-9)
    shifted = boundary_files.read(path, datum="gcj02").frame.to_crs(4547)
    assert 300 < shifted.centroid.distance(lonlat.to_crs(4547).centroid).max() < 700


def test_points_of_a_table_need_their_datum(tmp_path: Path) -> None:
    table = pd.DataFrame({"编码": CODES, "经度": ["113.85", "113.86"], "纬度": [34.03, 34.04]})
    path = tmp_path / "p.csv"
    table.to_csv(path, index=False, encoding="gbk")
    refused("datum_missing", path, shapes="point")
    refused("not_polygons", path, datum="wgs84")
    read = boundary_files.read(path, datum="wgs84", shapes="point")
    assert (read.frame.geometry.iloc[1].x, read.frame.geometry.iloc[1].y) == (113.86, 34.04)
    table.assign(经度=["113.85", "东经"]).to_csv(path, index=False)
    error = refused("value_invalid", path, datum="wgs84", shapes="point")
    assert (error.details["row"], error.details["value"]) == (3, "东经")
    table.drop(columns="纬度").to_csv(path, index=False)
    assert "经度" in refused("shapes_missing", path, datum="wgs84").message("zh")


def test_a_projected_table_and_one_with_srid(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    table = pd.DataFrame({"code": CODES, "wkt": list(grids.geometry.to_wkt())})
    table.to_csv(tmp_path / "g.csv", index=False)
    assert "EPSG:4547" in refused("crs_missing", tmp_path / "g.csv", datum="wgs84").message("en")
    assert codes_of(boundary_files.read(tmp_path / "g.csv", crs=4547)) == CODES
    table["wkt"] = "SRID=4547;" + table["wkt"]
    table.to_csv(tmp_path / "g.csv", index=False)
    assert crs.epsg(boundary_files.read(tmp_path / "g.csv").frame.crs) == 4547


def test_a_border_that_excel_cut_is_told(tmp_path: Path) -> None:
    ring = shapely.Point(113.85, 34.03).buffer(0.01, quad_segs=400)
    whole = shapely.to_wkt(ring, rounding_precision=-1)
    assert len(whole) > 32_767
    table = pd.DataFrame({"code": [CODES[0]], "wkt": [whole[:32_767]]})
    table.to_csv(tmp_path / "g.csv", index=False)
    assert "32767" in refused("value_invalid", tmp_path / "g.csv", datum="wgs84").message("zh")
    layer = gpd.GeoDataFrame({"code": [CODES[0]]}, geometry=[ring], crs=4326)
    with pytest.raises(GeoServiceError) as caught:
        boundary_files.write(layer, tmp_path / "out.xlsx")
    assert caught.value.code == "cell_too_long"
    assert not (tmp_path / "out.xlsx").exists()
    back = boundary_files.read(boundary_files.write(layer, tmp_path / "out.csv"))
    assert back.frame.geometry.iloc[0].equals_exact(ring, 0)


def test_a_name_like_a_formula_stays_a_text(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    sly = grids.assign(网格名称=["=1+1", "第二网格"])
    read = boundary_files.read(boundary_files.write(sly, tmp_path / "g.xlsx"))
    assert list(read.layer_frame()["name"]) == ["=1+1", "第二网格"]


# --- boundary points of the land offices ---------------------------------------------------------

TXT = """[属性描述]
格式版本号=1.01版本
坐标系=2000国家大地坐标系
几度分带=3
投影类型=高斯克吕格
计量单位=米
带号={zone}
精度=0.001
转换参数=,,,,,,
[地块坐标]
10,23.0000,411002001001001,第一网格,面,I49G001001,城镇用地,,@
J1,1,3767000.000,{prefix}486000.000
J2,1,3767500.000,{prefix}486000.000
J3,1,3767500.000,{prefix}486500.000
J4,1,3767000.000,{prefix}486500.000
J1,1,3767000.000,{prefix}486000.000
J5,2,3767100.000,{prefix}486100.000
J6,2,3767200.000,{prefix}486100.000
J7,2,3767200.000,{prefix}486300.000
J8,2,3767100.000,{prefix}486300.000
J5,2,3767100.000,{prefix}486100.000
4,25.0000,411002001001002,第二网格,面,,,,@
J1,1,3767000.000,{prefix}486500.000
J2,1,3767500.000,{prefix}486500.000
J3,1,3767500.000,{prefix}487000.000
J4,1,3767000.000,{prefix}487000.000
"""


@pytest.mark.parametrize(("prefix", "epsg"), [("38", 4526), ("", 4547)])
def test_boundary_points_north_first_with_holes(tmp_path: Path, prefix: str, epsg: int) -> None:
    path = tmp_path / "界址点.txt"
    path.write_bytes(TXT.format(zone=38, prefix=prefix).encode("gbk"))
    read = boundary_files.read(path)
    frame = read.layer_frame()
    assert crs.epsg(frame.crs) == epsg
    assert list(frame["code"]) == CODES
    assert list(frame["name"]) == NAMES
    assert [len(shape.interiors) for shape in frame.geometry] == [1, 0]
    assert list(frame.geometry.area) == [230_000.0, 250_000.0]
    assert frame.geometry[0].bounds[1] == 3767000.0
    note(read, "zone_header")
    with zipfile.ZipFile(tmp_path / "txt.zip", "w") as archive:
        archive.write(path, "界址点.txt")
        archive.writestr("说明.txt", "见附件")
    assert codes_of(boundary_files.read(tmp_path / "txt.zip")) == CODES


def test_the_zone_of_the_header_is_checked_against_the_digits(tmp_path: Path) -> None:
    path = tmp_path / "g.txt"
    path.write_text(TXT.format(zone=38, prefix=39), encoding="gbk")
    error = refused("zone_disagrees", path)
    assert (error.details["zone"], error.details["found"], error.details["row"]) == (38, 39, 12)
    assert crs.epsg(boundary_files.read(path, crs="EPSG:4527").frame.crs) == 4527
    path.write_text(TXT.format(zone="", prefix=""), encoding="gbk")
    refused("crs_missing", path)


def test_boundary_points_that_are_cut_turned_or_off(tmp_path: Path) -> None:
    path, whole = tmp_path / "g.txt", TXT.format(zone=38, prefix=38)
    path.write_text(whole[: whole.rindex("J4")], encoding="utf-8")
    error = refused("points_missing", path)
    assert (error.details["parcel"], error.details["expected"], error.details["count"]) == (
        CODES[1],
        4,
        3,
    )
    path.write_text(whole.replace("3767500.000,38486500", "3767500.00o,38486500"), encoding="utf-8")
    assert refused("value_invalid", path).details["row"] == 14
    turned = "\n".join(
        ",".join([*p[:2], p[3], p[2]]) if (p := line.split(","))[0].startswith("J") else line
        for line in whole.splitlines()
    )
    path.write_text(turned, encoding="utf-8")
    read = boundary_files.read(path)
    note(read, "east_first")
    assert read.frame.geometry[0].bounds[1] == 3767000.0
    path.write_text(whole.replace("25.0000", "26.0000"), encoding="utf-8")
    assert CODES[1] in note(boundary_files.read(path), "parcel_area_differs").zh


def test_boundary_points_are_written_in_a_zone_only(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    with pytest.raises(GeoServiceError) as caught:
        boundary_files.write(grids.to_crs(4326), tmp_path / "g.txt")
    assert caught.value.code == "crs_not_zone"
    holed = grids.copy()
    holed.geometry = [
        shapely.MultiPolygon([grids.geometry[0].difference(box(486100, 3767100, 486200, 3767200)),
                              box(480000, 3767000, 480100, 3767100)]),
        grids.geometry[1],
    ]  # fmt: skip
    back = boundary_files.read(boundary_files.write(holed.to_crs(4526), tmp_path / "g.txt"))
    assert crs.epsg(back.frame.crs) == 4526
    moved = holed.to_crs(4526).geometry
    assert all(
        a.normalize().equals_exact(b.normalize(), 0)
        for a, b in zip(back.frame.geometry, moved, strict=True)
    )


# --- garbled text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"), [("latin1", "utf-8"), ("gb18030", "utf-8"), ("latin1", "gb18030")]
)
def test_text_that_was_decoded_wrongly_before_is_restored_and_told(
    lonlat: gpd.GeoDataFrame, tmp_path: Path, wrong: str, right: str
) -> None:
    garbled = lonlat.assign(
        网格名称=[n.encode(right).decode(wrong) for n in ("天宝社区第一网格", "第二网格")]
    )
    garbled.to_file(tmp_path / "g.geojson", driver="GeoJSON")
    read = boundary_files.read(tmp_path / "g.geojson")
    assert list(read.layer_frame()["name"]) == ["天宝社区第一网格", "第二网格"]
    assert "→" in note(read, "text_redecoded").zh


@pytest.mark.parametrize("lost", ["锟斤拷锟斤拷", "????", "第\ufffd网格"])
def test_text_that_was_lost_is_refused_by_row(
    lonlat: gpd.GeoDataFrame, tmp_path: Path, lost: str
) -> None:
    path = tmp_path / "g.gpkg"
    lonlat.assign(网格名称=["第一网格", lost]).to_file(path)
    error = refused("text_garbled", path)
    assert (error.details["row"], error.details["column"]) == (2, "网格名称")
    many = pd.concat([lonlat] * 60, ignore_index=True)
    many.loc[7, "网格名称"] = lost
    many.to_file(path)
    assert "8" in note(boundary_files.read(path), "text_damaged").en


# --- the real ones -------------------------------------------------------------------------------


@pytest.mark.real
def test_real_uploads_say_what_they_are(real_data: Path) -> None:
    tainan = boundary_files.read(real_data / "uploads/10tnvillage.zip")
    assert len(tainan.frame) == 752
    assert list(tainan.frame["VILLAGE"][:3]) == ["內角里", "蓮潭里", "草店里"]
    assert "big5" in note(tainan, "encoding").en
    assert tainan.source == "10tnvillage.zip/10_tn-village.shp"
    heilongjiang = boundary_files.read(real_data / "uploads/geotools_chinese/chinese_poly.shp")
    assert list(heilongjiang.frame["NAME"]) == ["黑龙江省"]
    assert "gb18030" in note(heilongjiang, "encoding").en
    assert crs.same(heilongjiang.frame.crs, 4326)
    cells = boundary_files.read(real_data / "coverages/shenzhen_cells/grid.shp", crs=4326)
    assert len(cells.frame) == 9005
    assert ".cpg: UTF-8" in note(cells, "encoding").en


@pytest.mark.real
def test_a_real_language_byte_is_taken(real_data: Path) -> None:
    told: list[Note] = []
    path = real_data / "uploads/mapshaper/data/dbf/ldid/chinese.shp"
    frame = shapefiles.read(path, "chinese.shp", None, told)
    assert "0x7A" in told[0].en
    text = "".join(str(v) for c in frame.columns if c != "geometry" for v in frame[c])
    assert any("一" <= character <= "鿿" for character in text + "".join(map(str, frame.columns)))


@pytest.mark.real
def test_the_real_precinct_snippets(real_data: Path) -> None:
    folder = real_data / "uploads/mapshaper/data/features/clean"
    counts = {
        p.stem.split("_")[0]: len(boundary_files.read(p).frame) for p in folder.glob("*.json")
    }
    assert counts == {"ex22": 3, "ex23": 3, "ex5": 3, "ex9": 2}
    assert np.isfinite(
        boundary_files.read(folder / "ex9_FranklinTwoPrecinctsDetail.json").frame.total_bounds
    ).all()
