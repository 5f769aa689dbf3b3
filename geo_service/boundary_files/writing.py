"""Write a layer in the format its ending names, whole or not at all."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from geo_service import crs
from geo_service.errors import InputError

_DBF_NAME_BYTES = 10


def write(frame: gpd.GeoDataFrame, path: str | Path, *, layer: str | None = None) -> Path:
    """Write a layer in the format its ending names.

    GeoJSON goes out in WGS84 as RFC 7946 demands, every other format in the frame's own system. A
    shapefile is written in GB18030 with names cut to ten bytes at a character's end, and a name map
    beside it. The file appears whole or not at all.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        What to write; lists become texts.
    path : str or Path
        Ending .gpkg, .geojson, .json, .fgb, .parquet, .shp or .zip (a zipped shapefile).
    layer : str, optional
        Name of the layer inside a GeoPackage; the file's stem unless given.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        reason = f"unknown ending {target.suffix or '—'}"
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=" ".join(WRITERS)
        )
    if not target.parent.is_dir():
        raise InputError(
            "output_unwritable",
            file=str(target),
            reason="no such folder 文件夹不存在",
            known=" ".join(WRITERS),
        )
    flat = _flat(frame)
    with tempfile.TemporaryDirectory(prefix=".geo-service-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        try:
            writer(flat, made, layer or target.stem)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                "output_unwritable", file=target.name, reason=error, known=" ".join(WRITERS)
            ) from error
        for part in sorted(Path(folder).iterdir()):
            part.replace(target.parent / part.name)
    return target


def to_wgs84(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give a layer in WGS84 longitude and latitude; equal vertices stay equal."""
    if frame.crs is None or crs.same(frame.crs, crs.WGS84_EPSG):
        return frame
    plane = crs.Plane.of(frame.crs)

    def unproject(xy: Any) -> Any:
        return np.column_stack(plane.inverse(xy[:, 0], xy[:, 1]))

    geometries = shapely.transform(frame.geometry.to_numpy(), unproject)
    return frame.set_geometry(gpd.GeoSeries(geometries, frame.index, crs=crs.WGS84_EPSG))


def _flat(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    lists = [
        column
        for column in frame.columns
        if column != frame.geometry.name
        and frame[column].dtype == object
        and frame[column].map(lambda v: isinstance(v, list | tuple)).any()
    ]
    return frame.assign(**{column: frame[column].map(_joined) for column in lists})


def _joined(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _write_gpkg(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(frame, path, layer=layer, driver="GPKG")


def _write_geojson(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(to_wgs84(frame), path, driver="GeoJSON", RFC7946="NO")


def _write_fgb(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(frame, path, driver="FlatGeobuf")


def _write_parquet(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    frame.to_parquet(path)


def _write_shapefile(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    names = _short_names(c for c in frame.columns if c != frame.geometry.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GDAL repeats the name map as chatter
        pyogrio.write_dataframe(frame.rename(columns=names), path, encoding="GB18030")
    full = pd.DataFrame({"field": list(names.values()), "name": list(names.keys())})
    full.to_csv(path.with_name(f"{path.stem}_fields.csv"), index=False, encoding="utf-8-sig")


def _write_zip(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        _write_shapefile(frame, Path(folder) / f"{path.stem}.shp", layer)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)


def _short_names(columns: Iterable[str]) -> dict[str, str]:
    """Names of at most ten GB18030 bytes, cut between characters and kept apart by a number."""
    short: dict[str, str] = {}
    for column in columns:
        name = _cut(str(column), _DBF_NAME_BYTES)
        number = 1
        while name in short.values():
            name = f"{_cut(str(column), _DBF_NAME_BYTES - len(str(number)))}{number}"
            number += 1
        short[str(column)] = name
    return short


def _cut(text: str, size: int) -> str:
    return text.encode("gb18030")[:size].decode("gb18030", "ignore")


WRITERS: Mapping[str, Callable[[gpd.GeoDataFrame, Path, str], None]] = {
    ".gpkg": _write_gpkg,
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".fgb": _write_fgb,
    ".parquet": _write_parquet,
    ".shp": _write_shapefile,
    ".zip": _write_zip,
}
"""Ending -> writer; a further format is one entry here."""
