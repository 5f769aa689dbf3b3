"""Tables of points in a request: CSV, Parquet or GeoParquet in, the same with their grids out."""

from __future__ import annotations

import io
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
from starlette.responses import Response

from geo_service import crs, encodings
from geo_service.api.state import State
from geo_service.errors import InputError
from geo_service.locate import batch

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
KINDS = (CSV, PARQUET)
MAX_POINTS = 10_000
MAX_TABLE_MB = 64
"""What a compressed table may grow to."""


def answer(state: State, body: bytes, kind: str, at: str | None, datum: str | None) -> Response:
    """Answer a table in the form it came in.

    Raises
    ------
    InputError
        ``file_unreadable``, ``too_many``, ``field_missing``, ``datum_missing``, ``datum_unknown``.
    """
    rows, datum = _read_csv(body, datum) if kind == CSV else _read_parquet(body, datum)
    if len(rows) > MAX_POINTS:
        raise InputError("too_many", limit=MAX_POINTS, count=len(rows))
    gazetteer = state.gazetteer(at=at)
    found = batch.answer_rows(rows, gazetteer, datum=datum)
    headers = {"Geo-Service-Revision": str(gazetteer.revision)}
    if kind == CSV:
        text = found.to_csv(index=False, lineterminator="\n")
        return Response(text.encode(), media_type=f"{CSV}; charset=utf-8", headers=headers)
    out = io.BytesIO()
    found.to_parquet(out, index=False)
    return Response(out.getvalue(), media_type=PARQUET, headers=headers)


def _read_csv(body: bytes, datum: str | None) -> tuple[pd.DataFrame, str | None]:
    encoding = encodings.detect_encoding(body, file="CSV")
    try:
        text = io.BytesIO(body)
        return pd.read_csv(text, dtype=str, encoding=encoding, keep_default_na=False), datum
    except ValueError as error:
        raise InputError("file_unreadable", file="CSV", reason=error) from error


def _read_parquet(body: bytes, datum: str | None) -> tuple[pd.DataFrame, str | None]:
    """Read Parquet once its own account of its size is small; points become lon and lat."""
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > MAX_POINTS:
            raise InputError("too_many", limit=MAX_POINTS, count=file.metadata.num_rows)
        if sum(group.total_byte_size for group in groups) > MAX_TABLE_MB << 20:
            raise InputError("upload_too_large", limit_mb=MAX_TABLE_MB)
        if b"geo" not in (file.schema_arrow.metadata or {}):
            return file.read().to_pandas(), datum
        points = gpd.read_parquet(io.BytesIO(body))
    except (pa.ArrowException, ValueError, OSError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file="Parquet", reason=error) from error
    return _with_lonlat(points, datum)


def _with_lonlat(points: gpd.GeoDataFrame, datum: str | None) -> tuple[pd.DataFrame, str | None]:
    geometry = points.geometry
    if not (geometry.geom_type.dropna() == "Point").all():
        raise InputError("field_missing", file="GeoParquet", field="Point", found="geometry")
    plain: Any = pd.DataFrame(points.drop(columns=geometry.name))
    usable = ~(geometry.isna() | geometry.is_empty)
    x, y = (np.where(usable, values, np.nan) for values in (geometry.x, geometry.y))
    return plain.assign(lon=x, lat=y), datum or _declared(geometry.crs)


def _declared(system: pyproj.CRS | None) -> str | None:
    """The datum a file declares itself; GeoParquet's own default has no EPSG number."""
    if system is None:
        return None
    if system.equals("OGC:CRS84"):
        return "wgs84"
    number = crs.epsg(system)
    return f"EPSG:{number}" if number else None
