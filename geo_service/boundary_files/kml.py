"""KML and KMZ: placemarks in folders, with attributes in ExtendedData or in a description's table.

Read by our own expat handler: GDAL turns a Chinese attribute name of ``Data`` into underscores, and
makes a layer of each folder. Document types and entities are refused, links are not followed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service import crs, encodings
from geo_service.boundary_files import columns, decoding, gdal_layers
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)["'][^>]*\?>""")
_DEEPEST = 100  # elements inside elements; real KML stays below 20


def read(path: Path, source: str, *, encoding: str | None, notes: list[Note]) -> gpd.GeoDataFrame:
    """Read all placemarks of a KML as one layer, in WGS84 as its standard says.

    Parameters
    ----------
    path : Path
        The KML.
    source : str
        Its name for people.
    encoding : str, optional
        As told by its sender; else as declared, if the text fits.
    notes : list of Note
        Gets what was found.

    Returns
    -------
    geopandas.GeoDataFrame
        Columns ``name``, ``folder`` and ``description`` where they are used, and one for each
        attribute.

    Raises
    ------
    InputError
        ``xml_declares_entities``, ``file_unreadable``, ``layer_empty``, ``encoding_unreadable``,
        ``columns_too_many``.
    """
    document = _Document(source)
    document.parse(_as_utf8(path.read_bytes(), source, encoding, notes))
    if not document.rows:
        raise InputError("layer_empty", file=source)
    gdal_layers.require_features(len(document.rows), source)
    names = list(dict.fromkeys(name for row in document.rows for name in row))
    gdal_layers.require_columns(len(names), source)
    frame = pd.DataFrame(document.rows, columns=names, dtype=object)
    frame = columns.counts_as_numbers(frame.where(frame.notna(), None))
    geometries = [_geometry(parts, source, row) for row, parts in enumerate(document.shapes, 1)]
    if document.links:
        notes.append(
            Note(
                "kml_links",
                f"KML 里有 {document.links} 个网络链接（NetworkLink），未读取其内容。",
                f"The KML links to {document.links} other files; these were not read.",
            )
        )
    notes.append(
        Note(
            "kml_wgs84",
            "KML 按标准为 WGS84；如果是在高德或百度底图上画的，请指明基准 gcj02 或 bd09。",
            "KML is WGS84 by its standard; if it was drawn on AMap or Baidu, say the datum.",
        )
    )
    return gpd.GeoDataFrame(frame, geometry=geometries, crs=crs.WGS84_EPSG)


def _as_utf8(data: bytes, source: str, encoding: str | None, notes: list[Note]) -> bytes:
    """Bring the text to UTF-8, whatever it declares: expat knows neither GBK nor Big5."""
    declared = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf"))
    said = declared[1].decode("ascii") if declared else None
    if encoding is not None:
        found = encodings.Encoding(encoding, Phrase("按您的说明", "as told"))
    elif said and said.lower() not in {"utf-8", "utf8"} and _fits(data, said):
        found = encodings.Encoding(said.lower(), Phrase(f"XML 声明 {said}", f"declared: {said}"))
    else:
        found = encodings.detect(data, file=source)
    if found.name == "utf-8" and data.isascii():
        return data
    try:
        text = data.decode(found.name, "strict" if encoding else "replace")
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError("encoding_unreadable", file=source, tried=found.name) from error
    notes.append(decoding.encoding_note(found))
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff")).encode("utf-8")


def _fits(data: bytes, name: str) -> bool:
    try:
        return encodings.fits(data, name)
    except LookupError:
        return False


class _Document:
    """Collects placemarks while expat walks through the file."""

    def __init__(self, source: str) -> None:
        self.rows: list[dict[str, str]] = []
        self.shapes: list[list[Any]] = []
        self.links = 0
        self._source = source
        self._path: list[str] = []
        self._folders: list[str] = []
        self._text: list[str] = []
        self._placemark: dict[str, str] | None = None
        self._parts: list[Any] = []
        self._rings: list[str] = []
        self._attribute = ""

    def parse(self, data: bytes) -> None:
        parser = expat.ParserCreate("utf-8" if data[:2] not in {b"\xff\xfe", b"\xfe\xff"} else None)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append

        def refuse(*_: object) -> int:
            raise InputError(
                "xml_declares_entities", file=self._source, line=parser.CurrentLineNumber
            )

        parser.StartDoctypeDeclHandler = refuse
        parser.EntityDeclHandler = refuse
        parser.ExternalEntityRefHandler = refuse
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = Phrase(
                f"第 {error.lineno} 行处 XML 中断", f"its XML breaks off in line {error.lineno}"
            )
            raise InputError("file_unreadable", file=self._source, reason=reason) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            reason = Phrase("XML 嵌套过深", "its XML is nested too deeply")
            raise InputError("file_unreadable", file=self._source, reason=reason)
        self._text.clear()
        if name == "Folder":
            self._folders.append("")
        elif name == "Placemark":
            self._placemark, self._parts = {}, []
        elif name in {"Data", "SimpleData"}:
            self._attribute = attributes.get("name", "")
        elif name == "NetworkLink":
            self.links += 1
        elif name == "Polygon":
            self._rings = []

    def _end(self, tag: str) -> None:
        name, text = self._path.pop(), "".join(self._text).strip()
        parent = self._path[-1] if self._path else ""
        self._text.clear()
        if name == "Folder":
            self._folders.pop()
        elif name == "Placemark" and self._placemark is not None:
            folder = "/".join(f for f in self._folders if f)
            row = {"folder": folder} if folder else {}
            self.rows.append({**self._placemark, **row})
            self.shapes.append(self._parts)
            self._placemark = None
        elif self._placemark is None:
            if name == "name" and parent == "Folder":
                self._folders[-1] = text
        else:
            self._end_in_placemark(name, parent, text)

    def _end_in_placemark(self, name: str, parent: str, text: str) -> None:
        assert self._placemark is not None
        if parent == "Placemark" and name in {"name", "description"} and text:
            self._placemark[name] = _plain(text) if name == "description" else text
        elif name == "SimpleData" or (name == "value" and parent == "Data"):
            self._placemark[self._attribute] = text
        elif name == "coordinates":
            if parent == "LinearRing" and "Polygon" in self._path:
                self._rings.append(text)
            else:
                self._parts.append((parent, text))
        elif name == "Polygon":
            self._parts.append(("Polygon", self._rings))


def _geometry(parts: list[Any], source: str, row: int) -> Any:
    shapes: list[Any] = []
    for kind, text in parts:
        try:
            if kind == "Polygon":
                rings = [_points(ring) for ring in text]
                shapes.append(shapely.Polygon(rings[0], rings[1:]) if rings else shapely.Polygon())
            elif kind == "Point":
                shapes.append(shapely.Point(_points(text)[0]))
            else:
                shapes.append(shapely.LineString(_points(text)))
        except (ValueError, IndexError, shapely.errors.GEOSException) as error:
            reason = Phrase(
                f"第 {row} 个地标的坐标不完整", f"placemark {row} has broken coordinates"
            )
            raise InputError("file_unreadable", file=source, reason=reason) from error
    if not shapes:
        return None
    if len(shapes) == 1:
        return shapes[0]
    kinds = {shape.geom_type for shape in shapes}
    if kinds == {"Polygon"}:
        return shapely.MultiPolygon(shapes)
    if kinds == {"LineString"}:
        return shapely.MultiLineString(shapes)
    return shapely.GeometryCollection(shapes)


def _points(text: str) -> np.ndarray[Any, Any]:
    # "lon,lat[,height]" by white space; heights say nothing about borders.
    return np.array([[float(v) for v in point.split(",")[:2]] for point in text.split()])


class _Words(HTMLParser):
    """The words of a description, a table's row a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent += tag in {"style", "script"}
        if tag in {"tr", "br", "p", "div", "li"}:
            self.words.append("\n")
        elif tag in {"td", "th"}:
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"style", "script"} and self._silent:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)


def _plain(text: str) -> str:
    if "<" not in text:
        return html.unescape(text)
    words = _Words()
    words.feed(text)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.words).splitlines())
    return "\n".join(line for line in lines if line)


def write(frame: gpd.GeoDataFrame, path: Path, *, layer: str, name: str | None) -> None:
    """Write a layer, which is in WGS84 already, as KML.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        In WGS84.
    path : Path
        The file.
    layer : str
        Name of the document.
    name : str, optional
        The column that placemarks are called by.
    """
    names = [c for c in frame.columns if c != frame.geometry.name]
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        out.write('<kml xmlns="http://www.opengis.net/kml/2.2"><Document>')
        out.write(f"<name>{escape(layer)}</name>\n")
        for row, shape in zip(
            frame[names].to_dict("records"), frame.geometry.to_numpy(), strict=True
        ):
            title = f"<name>{escape(str(row[name]))}</name>" if name else ""
            data = "".join(_data(column, row[column]) for column in names)
            out.write(f"<Placemark>{title}<ExtendedData>{data}</ExtendedData>")
            out.write(_written(shape))
            out.write("</Placemark>\n")
        out.write("</Document></kml>\n")


def _data(column: object, value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    return f"<Data name={quoteattr(str(column))}><value>{escape(str(value))}</value></Data>"


def _written(shape: Any) -> str:
    if shape is None or shape.is_empty:
        return ""
    if shape.geom_type == "Polygon":
        outer = f"<outerBoundaryIs>{_ring(shape.exterior)}</outerBoundaryIs>"
        holes = (f"<innerBoundaryIs>{_ring(hole)}</innerBoundaryIs>" for hole in shape.interiors)
        return f"<Polygon>{outer}{''.join(holes)}</Polygon>"
    if shape.geom_type in {"Point", "LineString"}:
        return f"<{shape.geom_type}>{_coordinates(shape)}</{shape.geom_type}>"
    parts: Iterable[Any] = shape.geoms
    return f"<MultiGeometry>{''.join(map(_written, parts))}</MultiGeometry>"


def _ring(ring: Any) -> str:
    return f"<LinearRing>{_coordinates(ring)}</LinearRing>"


def _coordinates(shape: Any) -> str:
    points = " ".join(f"{x!r},{y!r}" for x, y in shapely.get_coordinates(shape).tolist())
    return f"<coordinates>{points}</coordinates>"
