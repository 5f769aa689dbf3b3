"""One layer of a file that GDAL reads, under limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

from geo_service import wkb
from geo_service.boundary_files import limits
from geo_service.errors import InputError


def read(
    path: Path,
    source: str,
    *,
    layer: str | None,
    encoding: str | None = None,
    sole: bool = False,
    columnar: bool = False,
) -> gpd.GeoDataFrame:
    """Read a file's one layer, or the layer named.

    Parameters
    ----------
    path : Path
        The file.
    source : str
        Its name for people.
    layer : str, optional
        Which layer, where there are several.
    encoding : str, optional
        What texts are decoded by; UTF-8 or what the format says unless given.
    sole : bool
        Whether the file is known to hold one layer: listing those of a GeoJSON reads all of it.
    columnar : bool
        Whether GDAL hands over whole columns, as its GeoPackage reader does in two thirds of the
        time.

    Returns
    -------
    geopandas.GeoDataFrame
        Whole numbers are ``Int64`` where some are missing: as floats long codes would lose digits.

    Raises
    ------
    InputError
        ``layer_choice``, ``layer_empty``, ``columns_too_many``, ``features_too_many``.
    """
    chosen = None if sole else _chosen(path, source, layer)
    told = _told(path, source, chosen, encoding)
    frame = pyogrio.read_dataframe(path, layer=chosen, encoding=encoding, use_arrow=columnar)
    for column, dtype in zip(told["fields"], told["dtypes"], strict=True):
        if dtype == "int64" and frame[column].dtype.kind == "f":
            frame[column] = _whole_numbers(_column(path, chosen, column, encoding))
    return frame


def read_columns(path: Path, source: str, *, layer: str | None) -> gpd.GeoDataFrame | wkb.Table:
    """Read a GeoPackage by whole columns, its geometries left in well-known binary.

    Parameters and refusals are those of `read`. Columns of dates and of JSON, and rows without a
    geometry, are left to `read`.
    """
    chosen = _chosen(path, source, layer)
    told = _told(path, source, chosen, None)
    if any(map(_is_parsed, told["dtypes"], told["ogr_subtypes"])) or not told["geometry_name"]:
        return read(path, source, layer=layer, columnar=True)
    meta, table = pyogrio.read_arrow(path, layer=chosen)
    geometry = meta["geometry_name"]
    column = wkb.Column.of_arrow(table[geometry])
    if column is None:
        return read(path, source, layer=layer, columnar=True)
    plain = table.drop([geometry])
    columns = plain.to_pandas()
    for name, dtype in zip(told["fields"], told["dtypes"], strict=True):
        if dtype == "int64" and columns[name].dtype.kind == "f":
            columns[name] = _whole_numbers(plain.column(name))
    return wkb.table(columns, column, "geometry", len(columns.columns), meta["crs"])


def _is_parsed(dtype: str, subtype: str) -> bool:
    """Whether GDAL hands over a column's texts for something else."""
    return str(dtype).startswith("datetime") or subtype == "OFSTJSON"


def require_columns(count: int, source: str) -> None:
    """Refuse a layer with more columns than anyone reads."""
    if count > limits.MOST_COLUMNS:
        raise InputError("columns_too_many", file=source, count=count, limit=limits.MOST_COLUMNS)


def require_features(count: int, source: str) -> None:
    """Refuse a layer with more features than any city has."""
    if count > limits.MOST_FEATURES:
        raise InputError("features_too_many", file=source, count=count, limit=limits.MOST_FEATURES)


def _chosen(path: Path, source: str, layer: str | None) -> str:
    found = pyogrio.list_layers(path)
    drawn = [str(name) for name, shape in found if shape is not None]
    names = drawn or [str(name) for name, _ in found]
    if layer is not None and layer in names:
        return layer
    if not names:
        raise InputError("layer_empty", file=source)
    if len(names) == 1 and layer is None:
        return names[0]
    raise InputError("layer_choice", file=source, layers=", ".join(names))


def _told(path: Path, source: str, layer: str | None, encoding: str | None) -> dict[str, Any]:
    """What GDAL tells of a layer before any of it is read."""
    told: dict[str, Any] = pyogrio.read_info(path, layer=layer, encoding=encoding)
    require_columns(len(told["fields"]), source)
    require_features(int(told["features"]), source)
    return told


def _column(path: Path, layer: str | None, column: str, encoding: str | None) -> Any:
    options = {"encoding": encoding} if encoding else {}
    _, table = pyogrio.read_arrow(
        path, layer=layer, columns=[column], read_geometry=False, **options
    )
    return table.column(column)


def _whole_numbers(column: Any) -> Any:
    return column.to_pandas(integer_object_nulls=True).astype("Int64")
