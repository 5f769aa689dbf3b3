"""Making and opening stores."""

from __future__ import annotations

import os
from pathlib import Path

from geo_service import crs
from geo_service.errors import InputError
from geo_service.store import geopackage, times
from geo_service.store.geopackage import GeoPackage
from geo_service.store.schema import APPLICATION, SCHEMA_VERSION, schema
from geo_service.store.store import Store


def create_store(
    path: str | os.PathLike[str],
    *,
    plane: str = "EPSG:4547",
    title: str = "",
    synthetic: bool = False,
    timezone: str = "Asia/Shanghai",
) -> Store:
    """Make a new, empty store.

    Parameters
    ----------
    path : str or path-like
        The GeoPackage file to make.
    plane : str
        The working plane: a projected system in metres, in which geometry is kept and checked.
    title : str
        What people call it.
    synthetic : bool
        Marks made-up data; every output says so.
    timezone : str
        Where a bare date in an as-of query ends its day.

    Raises
    ------
    ConflictError
        ``store_exists``.
    InputError
        ``parameter_invalid`` for a plane that is not one, ``output_unwritable``.
    """
    target = _file_path(path)
    system = crs.parse_crs(plane)
    if not system.is_projected or system.axis_info[0].unit_conversion_factor != 1.0:
        reason = "the working plane must be a projected system in metres, such as EPSG:4547"
        raise InputError("parameter_invalid", name="plane", value=plane, reason=reason)
    settings = {
        "application": APPLICATION,
        "schema": str(SCHEMA_VERSION),
        "plane": crs.name(system) if crs.epsg(system) else system.to_wkt(),
        "title": title,
        "synthetic": str(int(synthetic)),
        "timezone": times.zone(timezone).key,
        "created_at": times.now(),
    }
    metadata = schema(geopackage.Blob("BLOB")).metadata
    geopackage.create(target, settings["plane"], metadata, settings)
    return open_store(target)


def open_store(path_or_url: str | os.PathLike[str]) -> Store:
    """Open a store that exists.

    Parameters
    ----------
    path_or_url : str or path-like
        A GeoPackage made by `create_store`.

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign``, ``store_newer``, ``file_unreadable``.
    """
    path = _file_path(path_or_url)
    geopackage.check_file(path)
    settings = geopackage.settings_of(path)
    if settings.get("application") != APPLICATION:
        raise InputError("store_foreign", store=str(path))
    if int(settings["schema"]) > SCHEMA_VERSION:
        raise InputError("store_newer", store=str(path), schema=settings["schema"])
    return Store(GeoPackage(path, settings["plane"]), settings)


def _file_path(path_or_url: str | os.PathLike[str]) -> Path:
    text = os.fspath(path_or_url)
    if "://" in text:
        reason = "a store is a GeoPackage file, such as city.gpkg"
        raise InputError("parameter_invalid", name="store", value=text, reason=reason)
    return Path(text)
