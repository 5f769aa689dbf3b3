"""Which kind of file it is, told by its first bytes; its ending must not say otherwise.

GDAL asks each of its eighty drivers in turn whether a file is theirs, and some of them open other
files, networks or programs that the file names (VRT, GDALG, WFS). So the kind is told here, and
only a file that begins as one of ours does is given to GDAL.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path

from geo_service.errors import InputError, Phrase

KNOWN = (
    "Shapefile, GeoPackage, GeoJSON, TopoJSON, KML, KMZ, FlatGeobuf, GeoParquet, DXF, "
    "MapInfo TAB/MIF, CSV, XLSX, TXT（界址点）, zip"
)
"""What is read, for people."""

_HEAD_BYTES = 8192
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x00\x00\x27\x0a", "shp"),
    (b"SQLite format 3\x00", "gpkg"),
    (b"fgb", "fgb"),
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
    (b"AutoCAD Binary DXF", "dxf"),
)
_ENDINGS: Mapping[str, frozenset[str]] = {
    "shp": frozenset({".shp"}),
    "gpkg": frozenset({".gpkg"}),
    "fgb": frozenset({".fgb"}),
    "parquet": frozenset({".parquet", ".geoparquet"}),
    "zip": frozenset({".zip", ".kmz", ".xlsx"}),
    "dxf": frozenset({".dxf"}),
    "tab": frozenset({".tab"}),
    "mif": frozenset({".mif"}),
    "json": frozenset({".json", ".geojson", ".topojson", ".geojsonl", ".geojsons", ".txt"}),
    "kml": frozenset({".kml", ".xml"}),
    "text": frozenset({".csv", ".txt", ".tsv"}),
}
_NAMES: Mapping[str, str] = {
    "shp": "Shapefile", "gpkg": "SQLite / GeoPackage", "fgb": "FlatGeobuf",
    "parquet": "GeoParquet", "zip": "zip", "dxf": "DXF", "tab": "MapInfo TAB", "mif": "MapInfo MIF",
    "json": "JSON", "kml": "KML", "text": "text",
}  # fmt: skip
_REPACK = Phrase("请解压后重新打包成 zip。", "Unpack it and zip the files.")
_AS_GEOPACKAGE = Phrase(
    "请导出为 GeoPackage 或 Shapefile。", "Export it as GeoPackage or shapefile."
)
_REFUSED: tuple[tuple[bytes, Phrase, Phrase], ...] = (
    (b"Rar!", Phrase("RAR 压缩包", "a RAR archive"), _REPACK),
    (b"7z\xbc\xaf", Phrase("7z 压缩包", "a 7z archive"), _REPACK),
    (b"\x1f\x8b", Phrase("gz 压缩包", "a gzip archive"), _REPACK),
    (
        b"AC10",
        Phrase(" AutoCAD DWG 图", "an AutoCAD DWG drawing"),
        Phrase("请在 CAD 中另存为 DXF。", "Save it as DXF."),
    ),
    (
        b"\xd0\xcf\x11\xe0",
        Phrase("旧版 Office 文件", "an old Office file"),
        Phrase("请另存为 .xlsx。", "Save it as .xlsx."),
    ),
    (b"%PDF", Phrase(" PDF", "a PDF"), _AS_GEOPACKAGE),
    (b"\x00\x01\x00\x00Standard", Phrase(" Access 数据库", "an Access database"), _AS_GEOPACKAGE),
)
_XML_ROOT = re.compile(rb"<(?![?!])(?:[\w.-]+:)?([\w.-]+)")
_DXF = re.compile(rb"\s*(?:999\r?\n[^\n]*\n\s*)*0\s*\r?\n\s*SECTION\s*\r?\n")
_JSON = re.compile(rb"\s*(?:\x1e?\s*\{|\[\s*[\{\]])")


def kind(path: Path, source: str) -> str:
    """Tell the kind of a file.

    Parameters
    ----------
    path : Path
        The file.
    source : str
        Its name as people know it.

    Returns
    -------
    str
        ``shp``, ``gpkg``, ``fgb``, ``parquet``, ``zip``, ``dxf``, ``tab``, ``mif``, ``json``,
        ``kml`` or ``text``.

    Raises
    ------
    InputError
        ``file_empty``, ``format_unknown``, ``format_refused``, ``format_differs``.
    """
    if path.is_dir():
        raise InputError("format_unknown", file=source, known=KNOWN)
    with path.open("rb") as content:
        head = content.read(_HEAD_BYTES)
    if not head:
        raise InputError("file_empty", file=source)
    for mark, found, advice in _REFUSED:
        if head.startswith(mark):
            raise InputError("format_refused", file=source, found=found, advice=advice)
    ending = path.suffix.lower()
    told = _by_magic(head) or _by_text(_plain(head), ending, source)
    if told is None:
        raise InputError("format_unknown", file=source, known=KNOWN)
    named = any(ending in endings for endings in _ENDINGS.values())
    if named and ending not in _ENDINGS[told]:
        raise InputError("format_differs", file=source, ending=ending, found=_NAMES[told])
    return told


def _by_magic(head: bytes) -> str | None:
    return next((told for mark, told in _MAGIC if head.startswith(mark)), None)


def _plain(head: bytes) -> bytes:
    """The beginning as one byte a character, without a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[: len(head) // 2 * 2].decode("utf-16", "ignore").encode("utf-8")
    return head.removeprefix(codecs.BOM_UTF8)


def _by_text(head: bytes, ending: str, source: str) -> str | None:
    if b"\0" in head:
        return None
    start = head.lstrip()
    if start.startswith(b"<"):
        return _by_root(start, source)
    if _JSON.match(head):
        return "json"
    if _DXF.match(head):
        return "dxf"
    if start[:6].lower() == b"!table":
        return "tab"
    if ending == ".mif" and start[:7].lower() == b"version":
        return "mif"
    return "text" if ending in _ENDINGS["text"] else None


def _by_root(start: bytes, source: str) -> str | None:
    root = _XML_ROOT.search(re.sub(rb"<!--[\s\S]*?(?:-->|$)", b"", start))
    name = root[1].lower().decode("ascii", "replace") if root else ""
    if name == "kml" or b"<!DOCTYPE" in start:  # whose entities its reader refuses by line
        return "kml"
    found = Phrase(f" XML（{name}）", f"XML of another kind ({name})")
    raise InputError("format_refused", file=source, found=found, advice=_AS_GEOPACKAGE)
