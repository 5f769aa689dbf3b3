"""CSV and XLSX whose rows are shapes: a column of WKT (or WKB in hex), or longitude and latitude.

A table names no coordinate system, and degrees of two datums differ by 600 m: it must be told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyproj
import shapely

from geo_service import _sheets, crs, layers
from geo_service.boundary_files import archives, columns, gdal_layers
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_WKT = re.compile(
    r"\s*(?:SRID=(\d{4,6});)?\s*"
    r"((?:MULTI)?(?:POLYGON|LINESTRING|POINT)|GEOMETRYCOLLECTION)\s*(?:Z|M|ZM)?\s*(?:\(|EMPTY)",
    re.IGNORECASE,
)
_WKB = re.compile(r"0[01][0-9A-Fa-f]{40,}\Z")
_COLLECTION = re.compile(r"GEOMETRYCOLLECTION|0107000000|0000000007", re.IGNORECASE)
_DEEPEST = 50  # GEOS takes a level of its stack for each, and dies where it ends
_HEADER_WITHIN = 20
_LONGEST_CELL = 32_767  # characters in a cell of Excel, which cuts what is longer
WKT_COLUMN = "WKT"


def read(
    path: Path,
    source: str,
    *,
    layer: str | None,
    encoding: str | None,
    crs_told: bool,
    datum: str | None,
    notes: list[Note],
) -> gpd.GeoDataFrame:
    """Read a table of shapes.

    Parameters
    ----------
    path : Path
        The CSV or XLSX.
    source : str
        Its name for people.
    layer : str, optional
        Which sheet.
    encoding : str, optional
        Of a CSV, as told by its sender.
    crs_told : bool
        Whether the sender named a coordinate system.
    datum : str, optional
        The datum that the sender named; degrees are taken in it.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        ``shapes_missing``, ``datum_missing``, ``value_invalid``, ``layer_choice`` and what
        `_sheets.read` refuses.
    """
    if path.suffix.lower() == ".xlsx":
        archives.check_sizes(path, source)
    book = _sheets.read(path, encoding=encoding, sheet=layer)
    notes.extend(book.notes)
    found = [
        (sheet, header) for sheet in book.sheets if (header := _header(sheet.cells)) is not None
    ]
    if not found:
        first = next((row for sheet in book.sheets for row in sheet.cells if any(row)), ())
        told = ", ".join(str(cell)[:30] for cell in first if cell not in {None, ""})[:300]
        raise InputError("shapes_missing", file=source, found=told or "—")
    if len(found) > 1:
        names = ", ".join(sheet.name for sheet, _ in found)
        raise InputError("layer_choice", file=source, layers=names)
    sheet, header = found[0]
    frame = _body(sheet.cells, header, source)
    shaped = _shaped(frame, header, source)
    return _with_datum(shaped, source, crs_told, datum)


def _header(cells: Sequence[Sequence[Any]]) -> int | None:
    """The row above the first row of shapes, or the one that names longitude and latitude."""
    for row, values in enumerate(cells[: _HEADER_WITHIN + 1]):
        if row and any(_is_shape(value) for value in values):
            return row - 1
    for row, values in enumerate(cells[:_HEADER_WITHIN]):
        matched = layers.match_fields(str(v) for v in values if v not in {None, ""})
        if {"lon", "lat"} <= matched.keys():
            return row
    return None


def _is_shape(value: object) -> bool:
    return isinstance(value, str) and bool(_WKT.match(value) or _WKB.match(value))


def _body(cells: Sequence[Sequence[Any]], header: int, source: str) -> pd.DataFrame:
    names = ["" if name is None else str(name).strip() for name in cells[header]]
    gdal_layers.require_columns(len(names), source)
    gdal_layers.require_features(len(cells) - header - 1, source)
    width = len(names)
    rows = {
        number: [*row[:width], *[None] * (width - len(row))]
        for number, row in enumerate(cells[header + 1 :], header + 2)
        if any(cell not in {None, ""} for cell in row)
    }
    if not rows:
        raise InputError("layer_empty", file=source)
    frame = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    frame.columns = pd.Index(names)
    last = max((i for i, name in enumerate(names) if name), default=0)
    beyond = frame.iloc[:, last + 1 :].to_numpy()
    return frame if any(v not in {None, ""} for v in beyond.ravel()) else frame.iloc[:, : last + 1]


def _shaped(frame: pd.DataFrame, header: int, source: str) -> gpd.GeoDataFrame:
    at = next(
        (i for i in range(frame.shape[1]) if any(map(_is_shape, frame.iloc[:_HEADER_WITHIN, i]))),
        None,
    )
    if at is None:
        return _points(frame, source)
    shapes = frame.iloc[:, at]
    column = str(frame.columns[at])
    geometries = [_geometry(text, source, row, column) for row, text in shapes.items()]
    numbers = {
        int(found[1])
        for text in shapes
        if isinstance(text, str) and (found := _WKT.match(text)) and found[1]
    }
    numbers |= {n for n in map(int, shapely.get_srid(geometries)) if n > 0}
    chosen = crs.parse_crs(numbers.pop()) if len(numbers) == 1 else None
    rest = frame.iloc[:, [i for i in range(frame.shape[1]) if i != at]]
    return _typed(rest, geometries, chosen)


def _typed(frame: pd.DataFrame, geometries: Sequence[Any], chosen: Any) -> gpd.GeoDataFrame:
    plain = frame.reset_index(drop=True)
    if plain.columns.is_unique:
        plain = columns.counts_as_numbers(plain).infer_objects()
    plain.insert(plain.shape[1], "geometry", gpd.GeoSeries(list(geometries), crs=chosen), True)
    return gpd.GeoDataFrame(plain, geometry="geometry")


def _geometry(text: object, source: str, row: Any, column: str) -> Any:
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    told = str(text).strip()
    if _COLLECTION.search(told) and len(_COLLECTION.findall(told)) > _DEEPEST:
        reason = Phrase("图形嵌套过深", "its shapes are nested too deeply")
        raise InputError(
            "value_invalid", file=source, row=row, field=column, value=told[:60], reason=reason
        )
    try:
        if _WKB.match(told):
            return shapely.from_wkb(told)
        return shapely.from_wkt(told.partition(";")[2] if told[:5].upper() == "SRID=" else told)
    except shapely.errors.GEOSException as error:
        cut = len(told) >= _LONGEST_CELL
        reason = (
            Phrase(
                f"超过 Excel 单元格上限 {_LONGEST_CELL} 个字符，已被截断",
                f"Excel cut it at {_LONGEST_CELL} characters",
            )
            if cut
            else Phrase("不是完整的 WKT 图形", "it is no complete WKT shape")
        )
        raise InputError(
            "value_invalid", file=source, row=row, field=column, value=told[:60], reason=reason
        ) from error


def _points(frame: pd.DataFrame, source: str) -> gpd.GeoDataFrame:
    matched = layers.match_fields(map(str, frame.columns))
    pairs = [
        [
            _number(value, source, row, matched[field])
            for row, value in frame[matched[field]].items()
        ]
        for field in ("lon", "lat")
    ]
    points = [
        None if x is None or y is None else shapely.Point(x, y) for x, y in zip(*pairs, strict=True)
    ]
    return _typed(frame, points, None)


def _number(value: object, source: str, row: Any, column: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return float(str(value).strip())
    except ValueError as error:
        reason = Phrase("不是数字", "it is no number")
        raise InputError(
            "value_invalid",
            file=source,
            row=row,
            field=column,
            value=str(value)[:60],
            reason=reason,
        ) from error


def _with_datum(
    frame: gpd.GeoDataFrame, source: str, crs_told: bool, datum: str | None
) -> gpd.GeoDataFrame:
    if crs_told or frame.crs is not None:
        return frame
    west, south, east, north = map(float, frame.total_bounds)
    if not (-180 <= west <= east <= 180 and -180 <= south <= north <= 180):
        return frame  # metres, whose system the flow asks for
    if datum is None:
        raise InputError("datum_missing", known=", ".join(crs.DATUMS))
    return frame.set_crs(pyproj.CRS.from_epsg(crs.WGS84_EPSG))


def with_wkt(frame: gpd.GeoDataFrame) -> pd.DataFrame:
    """Give a layer as a table whose last column is WKT, every other as it is."""
    plain = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    name = WKT_COLUMN if WKT_COLUMN not in plain else f"{WKT_COLUMN}_"
    srid = crs.epsg(frame.crs) if frame.crs is not None else None
    prefix = f"SRID={srid};" if srid else ""
    shapes = frame.geometry.to_numpy()
    texts = shapely.to_wkt(shapes, rounding_precision=-1)
    return plain.assign(**{name: [f"{prefix}{t}" if t is not None else "" for t in texts]})


def require_cells_fit(table: pd.DataFrame, file: str) -> None:
    """Refuse to write a cell that Excel would cut.

    Raises
    ------
    InputError
        ``cell_too_long``.
    """
    for column in table.columns:
        for row, value in enumerate(table[column], 2):
            if isinstance(value, str) and len(value) > _LONGEST_CELL:
                raise InputError(
                    "cell_too_long", file=file, row=row, field=column, limit=_LONGEST_CELL
                )
