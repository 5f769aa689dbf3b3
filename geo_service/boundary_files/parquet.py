"""GeoParquet: its columns as they stand in the file, geometries left in well-known binary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd

from geo_service import wkb
from geo_service.boundary_files import gdal_layers, limits
from geo_service.errors import InputError


def read(path: Path, source: str) -> gpd.GeoDataFrame | wkb.Table:
    """Read a GeoParquet file.

    Parameters
    ----------
    path : Path
        The file.
    source : str
        Its name for people.

    Raises
    ------
    InputError
        ``columns_too_many``, ``features_too_many``, ``file_too_large``.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        _require_size(file.metadata, source)
        geometry = _sole_geometry(file.schema_arrow.metadata or {})
        if geometry is None:
            return gpd.read_parquet(path)  # which reads, or refuses, whatever else there is
        table = file.read()
    name, crs = geometry
    column = wkb.Column.of_arrow(table[name])
    if column is None:
        return gpd.read_parquet(path)
    order = list(table.slice(0, 0).to_pandas().columns)  # without those of the index
    return wkb.table(table.drop([name]).to_pandas(), column, name, order.index(name), crs)


def _require_size(told: Any, source: str) -> None:
    gdal_layers.require_columns(told.num_columns, source)
    gdal_layers.require_features(told.num_rows, source)
    size = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
    if size > limits.MOST_UNPACKED_MB * limits.MB:
        raise InputError(
            "file_too_large",
            file=source,
            size_mb=size // limits.MB,
            limit_mb=limits.MOST_UNPACKED_MB,
        )


def _sole_geometry(told: dict[bytes, bytes]) -> tuple[str, Any] | None:
    """Name and system of a file's one geometry column; ``None`` where there is more to heed."""
    try:
        geo = json.loads(told.get(b"geo", b"{}"))
        ((name, column),) = geo["columns"].items()
        plain = geo["primary_column"] == name and column["encoding"] == "WKB"
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    if not plain or "covering" in column or b"PANDAS_ATTRS" in told:
        return None
    return name, column.get("crs", "OGC:CRS84")  # GeoParquet 1.1: what a missing one means
