"""Write a layer in the format its ending names, whole or not at all."""

from __future__ import annotations

import re
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

from geo_service import crs, layers
from geo_service.boundary_files import boundary_points, dxf, kml, mapinfo, tables
from geo_service.errors import GeoServiceError, InputError, Phrase
from geo_service.notes import Note

_DBF_NAME_BYTES = 10


def write(frame: gpd.GeoDataFrame, path: str | Path, *, layer: str | None = None) -> Path:
    """Write a layer in the format its ending names.

    GeoJSON and KML go out in WGS84 as they must, every other format in the frame's own system. A
    shapefile is written in GB18030 with names cut to ten bytes at a character's end, and a name map
    beside it. All parts of the file appear, each whole, or none does.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        What to write; lists become texts.
    path : str or Path
        Its ending is one of `WRITERS`; ``.zip`` is a zipped shapefile, ``.txt`` the boundary points
        of the land offices.
    layer : str, optional
        Name of the layer inside a GeoPackage; the file's stem unless given.

    Raises
    ------
    InputError
        ``output_unwritable``, ``crs_not_zone`` (.txt), ``cell_too_long`` (.xlsx).
    """
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        reason = Phrase(
            f"不认识扩展名 {target.suffix or '—'}", f"unknown ending {target.suffix or '—'}"
        )
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=" ".join(WRITERS)
        )
    if not target.parent.is_dir():
        raise InputError(
            "output_unwritable",
            file=str(target),
            reason=Phrase("文件夹不存在", "there is no such folder"),
            known=" ".join(WRITERS),
        )
    flat = _flat(frame)
    with tempfile.TemporaryDirectory(prefix=".geo-service-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's, on names it shortens
                writer(flat, made, layer or target.stem)
        except GeoServiceError:
            raise
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
    names = short_names(c for c in frame.columns if c != frame.geometry.name)
    pyogrio.write_dataframe(frame.rename(columns=names), path, encoding="GB18030")
    full = pd.DataFrame({"field": list(names.values()), "name": list(names.keys())})
    full.to_csv(path.with_name(f"{path.stem}_fields.csv"), index=False, encoding="utf-8-sig")


def _write_zip(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        _write_shapefile(frame, Path(folder) / f"{path.stem}.shp", layer)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)


def name_note(frame: gpd.GeoDataFrame, path: str | Path) -> Note | None:
    """Tell which names a format cuts, before or after writing; ``None`` where it cuts none.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        What is written.
    path : str or Path
        Where to.
    """
    if Path(path).suffix.lower() not in {".shp", ".zip"}:
        return None
    names = short_names(c for c in frame.columns if c != frame.geometry.name)
    cut = {full: short for full, short in names.items() if full != short}
    if not cut:
        return None
    told = "、".join(f"{full} → {short}" for full, short in cut.items())
    return Note(
        "field_names_shortened",
        f"Shapefile 字段名最多 10 字节，已缩短：{told}；对照表见同名 _fields.csv。",
        f"A shapefile's names hold 10 bytes; shortened: {told}; see the _fields.csv beside it.",
    )


def short_names(columns: Iterable[str]) -> dict[str, str]:
    """Give names of at most ten GB18030 bytes, cut between characters, kept apart by a number.

    Examples
    --------
    >>> short_names(["网格员联系电话", "网格员联系地址", "code"])
    {'网格员联系电话': '网格员联系', '网格员联系地址': '网格员联1', 'code': 'code'}
    """
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


def _write_kml(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    kml.write(to_wgs84(frame), path, layer=layer, name=_column(frame, "name"))


def _write_kmz(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        _write_kml(frame, Path(folder) / "doc.kml", layer)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(Path(folder) / "doc.kml", "doc.kml")


def _write_dxf(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    dxf.write(frame, path, code=_column(frame, "code"), name=_column(frame, "name"))


def _write_mapinfo(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    mapinfo.write(frame, path)


def _write_csv(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    tables.with_wkt(frame).to_csv(path, index=False, encoding="utf-8-sig")  # Excel needs the mark


def _write_xlsx(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    table = tables.with_wkt(frame)
    tables.require_cells_fit(table, path.name)
    title = re.sub(r"[\[\]:*?/\\]", "_", layer)[:31]
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        table.to_excel(book, index=False, sheet_name=title)
        for row in book.sheets[title].iter_rows():
            for cell in row:
                if isinstance(cell.value, str):  # a code stays text, a name with = no formula
                    cell.data_type, cell.number_format = "s", "@"


def _write_txt(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    code, name = _column(frame, "code"), _column(frame, "name")
    boundary_points.write(frame, path, code=code, name=name)


def _column(frame: gpd.GeoDataFrame, field: str) -> str | None:
    """The column of a layer that holds one of our fields."""
    return layers.match_fields(c for c in frame.columns if c != frame.geometry.name).get(field)


WRITERS: Mapping[str, Callable[[gpd.GeoDataFrame, Path, str], None]] = {
    ".gpkg": _write_gpkg,
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".fgb": _write_fgb,
    ".parquet": _write_parquet,
    ".shp": _write_shapefile,
    ".zip": _write_zip,
    ".kml": _write_kml,
    ".kmz": _write_kmz,
    ".dxf": _write_dxf,
    ".tab": _write_mapinfo,
    ".mif": _write_mapinfo,
    ".csv": _write_csv,
    ".xlsx": _write_xlsx,
    ".txt": _write_txt,
}
"""Ending -> writer; a further format is one entry here."""
