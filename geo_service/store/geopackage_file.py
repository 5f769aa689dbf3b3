"""Making a store's GeoPackage file, and looking at one before SQLite touches it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyproj

from geo_service import crs
from geo_service.errors import ConflictError, InputError, MissingError, Phrase
from geo_service.store import _geopackage_sql as gpkg
from geo_service.store import geopackage
from geo_service.store.geopackage import GeoPackage
from geo_service.store.home import Fill
from geo_service.store.schema import refuse_foreign

_SQLITE_MAGIC = b"SQLite format 3\0"


def create(path: Path, settings: dict[str, str], *, fill: Fill | None = None) -> None:
    """Write a new store file: whole under its name, or not there at all.

    Raises
    ------
    ConflictError
        ``store_exists``.
    InputError
        ``output_unwritable``.
    """
    if path.exists():
        raise ConflictError("store_exists", store=str(path))
    if not path.parent.is_dir():
        reason = Phrase(f"没有文件夹 {path.parent}", f"no folder {path.parent}")
        raise InputError("output_unwritable", file=str(path), reason=reason, known=".gpkg")
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    home = GeoPackage(unfinished, settings["plane"])
    try:
        _initialise(home, settings, fill)
        home.close()
        unfinished.rename(path)
    finally:
        home.engine.dispose()
        unfinished.unlink(missing_ok=True)


def open_home(path: Path) -> tuple[GeoPackage, dict[str, str]]:
    """Open a store's file and read its settings.

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign``, ``store_newer``, ``file_unreadable``.
    """
    check_file(path)
    settings = _settings_of(path)
    refuse_foreign(settings, store=str(path))
    return GeoPackage(path, settings["plane"]), settings


def check_file(path: Path) -> None:
    """Refuse what is not a whole SQLite file before SQLite touches it.

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign`` or ``file_unreadable``.
    """
    if not path.is_file():
        raise MissingError("store_missing", store=str(path))
    if geopackage.is_open_here(path):
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        raise InputError("file_unreadable", file=str(path), reason=Phrase("0 字节", "0 bytes"))
    if not head.startswith(_SQLITE_MAGIC[: len(head)]):
        raise InputError("store_foreign", store=str(path))
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        return  # pages may still be in the log: SQLite replays it
    page = int.from_bytes(head[16:18], "big") or 0
    expected = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if size < 100 or size < expected:
        reason = Phrase(f"应有 {expected} 字节，只有 {size} 字节", f"{size} of {expected} bytes")
        raise InputError("file_unreadable", file=str(path), reason=reason)


def _settings_of(path: Path) -> dict[str, str]:
    """Read the settings of a store file.

    Raises
    ------
    InputError
        ``store_foreign`` where it has none, ``file_unreadable``.
    """
    try:
        where, patience = geopackage.address(path), geopackage.BUSY_SECONDS
        with closing(sqlite3.connect(where, uri=True, timeout=patience)) as connection:
            return dict(connection.execute("SELECT key, value FROM gs_settings"))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise InputError("store_foreign", store=str(path)) from error
        raise InputError("file_unreadable", file=str(path), reason=error) from error
    except sqlite3.DatabaseError as error:
        raise InputError("file_unreadable", file=str(path), reason=error) from error


def _initialise(home: GeoPackage, settings: dict[str, str], fill: Fill | None) -> None:
    with closing(home.engine.raw_connection()) as raw:
        raw.execute(f"PRAGMA application_id = {gpkg.APPLICATION_ID}")
        raw.execute(f"PRAGMA user_version = {gpkg.USER_VERSION}")
        raw.execute("PRAGMA journal_mode = WAL")
    with home.writing() as connection:
        for statement in gpkg.CORE_TABLES:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(
            gpkg.INSERT_SRS, [*gpkg.REQUIRED_SYSTEMS, _system(settings["plane"], home.srid)]
        )
        home.schema.metadata.create_all(connection)
        connection.execute(
            home.schema.settings.insert(),
            [{"key": key, "value": value} for key, value in settings.items()],
        )
        if fill is not None:
            fill(home, connection)
        # One registered attribute table keeps GDAL from listing the unregistered ones.
        connection.exec_driver_sql(
            gpkg.REGISTER_LAYER, ("gs_revisions", "attributes", "修订记录 revisions", None)
        )


def _system(plane: str, srid: int) -> tuple[str, int, str, int, str, str | None]:
    system = crs.parse_crs(plane)
    organization = "EPSG" if crs.epsg(plane) else "NONE"
    definition = system.to_wkt(pyproj.enums.WktVersion.WKT1_GDAL)
    return (system.name, srid, organization, srid, definition, None)
