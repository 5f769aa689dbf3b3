"""Making and opening stores."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from geo_service import crs
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.store import geopackage_file, times, upgrading
from geo_service.store.home import Fill, Home
from geo_service.store.schema import APPLICATION, SCHEMA_VERSION
from geo_service.store.store import Store

Where = str | os.PathLike[str]
"""A GeoPackage file, or a ``postgresql://`` URL."""


def create_store(
    where: Where,
    *,
    plane: str = "EPSG:4547",
    title: str = "",
    synthetic: bool = False,
    timezone: str = "Asia/Shanghai",
) -> Store:
    """Make a new, empty store.

    Parameters
    ----------
    where : str or path-like
        The GeoPackage file to make, or ``postgresql://user:password@host/database``; of a
        database, ``?schema=name`` names the schema (default ``geo_service``), so that it may hold
        several stores.
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
        ``parameter_invalid`` for a plane that is not one, ``output_unwritable``; of a database
        ``store_unreachable``, ``store_forbidden``, ``postgis_missing`` and others.
    """
    system = crs.parse_crs(plane)
    if not system.is_projected or system.axis_info[0].unit_conversion_factor != 1.0:
        reason = Phrase(
            "工作平面须是以米为单位的投影坐标系，如 EPSG:4547",
            "the working plane must be a projected system in metres, such as EPSG:4547",
        )
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
    make_home(where, settings)
    return open_store(where)


def make_home(where: Where, settings: dict[str, str], *, fill: Fill | None = None) -> None:
    """Make a store with the very settings given, and with what `fill` puts into it, at once."""
    if is_url(where):
        _require_driver()
        from geo_service.store import postgis_database

        postgis_database.create(os.fspath(where), settings, fill=fill)
    else:
        geopackage_file.create(Path(where), settings, fill=fill)


def open_store(where: Where) -> Store:
    """Open a store that exists.

    Parameters
    ----------
    where : str or path-like
        What `create_store` made: a GeoPackage, or a ``postgresql://`` URL.

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign``, ``store_newer``, ``file_unreadable``; of a database
        ``store_unreachable``, ``store_forbidden``.
    """
    return Store(*open_home(where))


def open_home(where: Where) -> tuple[Home, dict[str, str]]:
    """Open the home of a store that exists, upgraded where it is older, and read its settings."""
    home: Home
    if is_url(where):
        _require_driver()
        from geo_service.store import postgis_database  # files need no database driver

        home, settings = postgis_database.open_home(os.fspath(where))
    else:
        home, settings = geopackage_file.open_home(Path(where))
    return home, upgrading.upgrade(home, settings)


def store_exists(where: Where) -> bool:
    """Whether a store, or another file of its name, is there."""
    if not is_url(where):
        return Path(where).exists()
    try:
        open_store(where).close()
    except MissingError:
        return False
    return True


def is_url(where: Where) -> bool:
    """Whether a store is named by a URL, not by a file."""
    return "://" in os.fspath(where)


def _require_driver() -> None:
    if importlib.util.find_spec("psycopg") is None:
        raise InputError("postgis_driver_missing")
