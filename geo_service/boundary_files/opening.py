"""Get the features out of a file: out of its zip, by the reader of its kind."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import pandas as pd

from geo_service import wkb
from geo_service.boundary_files import (
    archives,
    boundary_points,
    columns,
    decoding,
    dxf,
    gdal_layers,
    geojson,
    kinds,
    kml,
    mapinfo,
    parquet,
    shapefiles,
    tables,
)
from geo_service.errors import GeoServiceError, InputError, because
from geo_service.notes import Note

_COMPANIONS = frozenset(
    {".dbf", ".shx", ".prj", ".cpg", ".sbn", ".sbx", ".qpj", ".qix"}
)  # people pick any file of a shapefile
_TOLD_FILES = 5


@dataclass(frozen=True)
class Told:
    """What the sender says about a file, where it does not speak for itself."""

    layer: str | None = None
    encoding: str | None = None
    crs: bool = False
    datum: str | None = None


@contextmanager
def unpacked(path: Path, told: Told, notes: list[Note]) -> Iterator[tuple[Path, str, Told]]:
    """Give the file itself, or the boundary file inside a zip, unpacked for the time of reading.

    Raises
    ------
    InputError
        What `archives.unpack` refuses.
    """
    if path.suffix.lower() in _COMPANIONS or _kind(path, path.name) != "zip":
        yield path, path.name, told
        return
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        found = archives.unpack(path, Path(folder), path.name, layer=told.layer)
        if found.others:
            files = ", ".join(found.others[:_TOLD_FILES])
            notes.append(
                Note(
                    "zip_others",
                    f"压缩包里的其他图层未读取：{files}。",
                    f"Other layers of the zip were not read: {files}.",
                )
            )
        inside = Told(None if found.chosen else told.layer, told.encoding, told.crs, told.datum)
        if _kind(found.path, f"{path.name}/{found.name}") == "zip":  # a KMZ in a zip
            deeper = Path(folder) / "kmz"
            deeper.mkdir()
            found = archives.unpack(found.path, deeper, found.name, layer=None, inner=True)
        yield found.path, f"{path.name}/{found.name}", inside


def features(
    path: Path, source: str, told: Told, notes: list[Note]
) -> gpd.GeoDataFrame | wkb.Table:
    """Give every feature of a file's one layer, or of the layer named.

    As a table where the file holds plain polygons in well-known binary, none of them made.

    Parameters
    ----------
    path : Path
        A file that is no zip, but for a workbook.
    source : str
        Its name for people.
    told : Told
        What its sender says of it.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        What the reader of its kind refuses; ``file_unreadable`` for whatever GDAL, Arrow or SQLite
        say of a damaged file.
    """
    try:
        with warnings.catch_warnings():
            # GDAL's and GEOS's chatter about rings comes back as faults with a position.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            frame = _read(path, source, told, notes)
            if isinstance(frame, wkb.Table) and frame.geometries.drawn is None:
                frame = frame.frame()
        if isinstance(frame, wkb.Table):
            return replace(frame, columns=columns.checked(frame.columns, source, notes))
        return columns.checked(frame, source, notes) if isinstance(frame, pd.DataFrame) else frame
    except (GeoServiceError, MemoryError):
        raise
    except Exception as error:  # GDAL, Arrow and SQLite each raise their own
        lines = str(error).replace(str(path), path.name).splitlines() or [type(error).__name__]
        reason = (
            lines[0].rpartition(" failed: ")[2].partition(";")[0][:200]
        )  # no SQL, nothing twice
        raise InputError(
            "file_unreadable", file=source, reason=because(ValueError(reason))
        ) from error


def _read(path: Path, source: str, told: Told, notes: list[Note]) -> gpd.GeoDataFrame | wkb.Table:
    if path.suffix.lower() in _COMPANIONS:
        return shapefiles.read(path, source, told.encoding, notes)
    kind = _kind(path, source)
    if kind == "shp":
        return shapefiles.read(path, source, told.encoding, notes)
    if kind in {"tab", "mif"}:
        return mapinfo.read(path, source, encoding=told.encoding, notes=notes)
    if kind == "json":
        return geojson.read(path, source, layer=told.layer, encoding=told.encoding, notes=notes)
    if kind == "kml":
        return kml.read(path, source, encoding=told.encoding, notes=notes)
    if kind == "dxf":
        return dxf.read(path, source, layer=told.layer, encoding=told.encoding, notes=notes)
    if kind == "parquet":
        return parquet.read(path, source)
    if kind == "gpkg":
        return gdal_layers.read_columns(path, source, layer=told.layer)
    if kind == "fgb":
        return gdal_layers.read(path, source, layer=told.layer)
    return _read_table(path, source, told, notes)


def _kind(path: Path, source: str) -> str:
    kind = kinds.kind(path, source)
    return "workbook" if kind == "zip" and archives.is_workbook(path) else kind


def _read_table(path: Path, source: str, told: Told, notes: list[Note]) -> gpd.GeoDataFrame:
    if path.suffix.lower() == ".txt":
        heard: list[Note] = []
        text = decoding.text(path.read_bytes(), source, told.encoding, heard)
        if boundary_points.is_one(text):
            notes.extend(heard)
            return boundary_points.read(text, source, crs_told=told.crs, notes=notes)
    return tables.read(
        path,
        source,
        layer=told.layer,
        encoding=told.encoding,
        crs_told=told.crs,
        datum=told.datum,
        notes=notes,
    )
