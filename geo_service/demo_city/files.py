"""The demo city as the files a city would send: layers, streets, lists, and a dirty upload."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd

from geo_service import boundary_files, reports
from geo_service.demo_city import _streets, dirty
from geo_service.demo_city.city import DemoCity

LABEL = "SYNTHETIC 演示数据（虚构）"
"""Stands wherever the demo city is shown."""

MARKER = "SYNTHETIC.txt"
"""The file that marks a folder as made here."""

_PLANNER_NAMES = {
    "code": "网格编码",
    "name": "网格名称",
    "households": "户数",
    "population": "人口",
}
_UPLOAD_COUNTY = "411002"


def write(
    city: DemoCity, folder: Path, *, on_progress: Callable[[float, str], None] | None = None
) -> dict[str, Path]:
    """Write a city's files into a folder that exists.

    Parameters
    ----------
    city : DemoCity
    folder : Path
    on_progress : callable, optional
        Told the share done and what is being written.

    Returns
    -------
    dict of Path
        What -> where: ``outline``, ``counties``, ``townships``, ``communities``, ``grids``,
        ``micro_grids`` (GeoPackages), ``upload`` (a planner's zipped GBK shapefile of one county,
        no .cpg), ``streets`` (.osm.pbf), ``addresses``, ``facilities``, ``candidates``, ``demand``,
        ``buildings``, ``staff`` (CSV), ``register`` (XLSX), ``dirty`` (GeoPackage), ``truth``
        (JSON), ``readme``.
    """
    tell = on_progress or (lambda share, what: None)
    readme = folder / MARKER
    readme.write_text(_README, encoding="utf-8")
    files = {"readme": readme}
    layers = folder / "boundaries"
    layers.mkdir(exist_ok=True)
    for name in ("outline", "counties", "townships", "communities", "grids", "micro_grids"):
        frame: gpd.GeoDataFrame = getattr(city, name)
        files[name] = boundary_files.write(frame, layers / f"{name}.gpkg")
    files["upload"] = _write_upload(city, layers / "grids_gbk.zip")
    tell(0.3, "streets")
    files["streets"] = folder / "streets.osm.pbf"
    _streets.write_pbf(city.streets, files["streets"])
    tell(0.6, "lists")
    for name in ("addresses", "facilities", "candidates", "demand", "buildings", "staff"):
        files[name] = reports.write_tables({name: getattr(city, name)}, folder / f"{name}.csv")
    files["register"] = reports.write_tables({"台账": city.register}, folder / "register.xlsx")
    tell(0.9, "dirty copy")
    spoiled, truth = dirty.inject(city.grids, city.outline)
    files |= dirty.write(spoiled, truth, folder / "dirty")
    return files


def _write_upload(city: DemoCity, path: Path) -> Path:
    """One county as planners send it: GBK, Chinese field names, no .cpg."""
    county = city.grids[city.grids["code"].str.startswith(_UPLOAD_COUNTY)]
    named = county[[*_PLANNER_NAMES, "geometry"]].rename(columns=_PLANNER_NAMES)
    with tempfile.TemporaryDirectory() as folder:
        boundary_files.write(named, Path(folder) / "grids.shp")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in ("shp", "shx", "dbf", "prj"):
                archive.write(Path(folder) / f"grids.{part}", f"grids.{part}")
    return path


_README = f"""{LABEL}

This folder was made by `geo-service demo` and is remade by it: keep nothing here.
本文件夹由 geo-service demo 生成，再次运行会重建，请勿在此保存文件。

Names and codes of divisions and the totals of people are facts of Xuchang;
every border, street, house, person and telephone number is invented.
区划名称、代码和人口总数为真实数据；所有界线、街道、房屋、人名和电话均为虚构。
"""
