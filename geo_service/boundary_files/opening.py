"""Get the features out of a file: unpack zips, choose the layer, leave the driver to pyogrio."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import geopandas as gpd
import pyogrio

from geo_service.boundary_files import shapefiles
from geo_service.errors import InputError
from geo_service.notes import Note

ZIPPED = (".shp", ".gpkg", ".geojson", ".json", ".kml", ".fgb", ".parquet", ".tab", ".mif", ".gml")
"""Endings of the boundary files looked for inside a zip, the first found kind wins."""


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, str]]:
    """Give the file itself, or the boundary file inside a zip, unpacked for the time of reading."""
    if path.suffix.lower() != ".zip":
        yield path, path.name
        return
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                member = _member(archive, path.name)
                inner = _extract(archive, member, Path(folder))
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise InputError("file_unreadable", file=path.name, reason=error) from error
        yield inner, f"{path.name}/{PurePosixPath(_told_name(member)).name}"


def _member(archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
    for ending in ZIPPED:
        found = [m for m in members if m.filename.lower().endswith(ending)]
        if len(found) > 1:
            names = ", ".join(sorted(_told_name(m) for m in found))
            raise InputError("layer_choice", file=file, layers=names)
        if found:
            return found[0]
    names = ", ".join(sorted(_told_name(m) for m in members)) or "—"
    raise InputError("zip_without_boundaries", file=file, found=names)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    """Unpack a member and, for a shapefile, its companions under one plain name."""
    stem, _, ending = member.filename.rpartition(".")
    wanted = shapefiles.PARTS if ending.lower() == "shp" else (f".{ending.lower()}",)
    for info in archive.infolist():
        other_stem, _, other = info.filename.rpartition(".")
        if other_stem == stem and f".{other.lower()}" in wanted:
            target = folder / f"boundaries.{other.lower()}"
            with archive.open(info) as content:
                target.write_bytes(content.read())
    return folder / f"boundaries.{ending.lower()}"


def _told_name(member: zipfile.ZipInfo) -> str:
    """The name of a zip member; Windows writes GBK where the UTF-8 flag is off."""
    if member.flag_bits & 0x800:
        return member.filename
    raw = member.filename.encode("cp437", errors="replace")
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError:
        return member.filename


def features(
    path: Path, source: str, *, layer: str | None, encoding: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Give every feature of a file's one layer, or of the layer named."""
    kind = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            # GDAL's chatter about rings and truncation comes back as faults with a position.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            if kind == ".parquet":
                return gpd.read_parquet(path)
            if kind in shapefiles.PARTS:  # people pick any of the five
                return shapefiles.read(path.with_suffix(".shp"), source, encoding, notes)
            chosen = layer or _only_layer(path, source)
            return pyogrio.read_dataframe(path, layer=chosen)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # GDAL, Arrow and SQLite each raise their own
        told = str(error).replace(str(path), path.name).splitlines()[0]
        reason = told.rpartition(" failed: ")[2].partition(";")[0][:200]  # no SQL, nothing twice
        raise InputError("file_unreadable", file=source, reason=reason) from error


def _only_layer(path: Path, source: str) -> str:
    found = pyogrio.list_layers(path)
    drawn = [str(name) for name, shape in found if shape is not None]
    names = drawn or [str(name) for name, _ in found]
    if len(names) == 1:
        return names[0]
    if not names:
        raise InputError("layer_empty", file=source)
    raise InputError("layer_choice", file=source, layers=", ".join(names))
