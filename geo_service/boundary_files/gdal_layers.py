"""One layer of a file that GDAL reads, under limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

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
    told = pyogrio.read_info(path, layer=chosen, encoding=encoding)
    require_columns(len(told["fields"]), source)
    require_features(int(told["features"]), source)
    frame = pyogrio.read_dataframe(path, layer=chosen, encoding=encoding, use_arrow=columnar)
    for column, dtype in zip(told["fields"], told["dtypes"], strict=True):
        if dtype == "int64" and frame[column].dtype.kind == "f":
            frame[column] = _whole_numbers(path, chosen, column, encoding)
    return frame


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


def _whole_numbers(path: Path, layer: str | None, column: str, encoding: str | None) -> Any:
    options = {"encoding": encoding} if encoding else {}
    _, table = pyogrio.read_arrow(
        path, layer=layer, columns=[column], read_geometry=False, **options
    )
    return table.column(column).to_pandas(integer_object_nulls=True).astype("Int64")
