"""A store's place in a PostgreSQL database: making it, opening it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pyproj
import sqlalchemy as sa

from geo_service import crs
from geo_service.errors import ConflictError, InputError, MissingError, Phrase, because
from geo_service.store import _postgis_sql as sql
from geo_service.store.home import Fill
from geo_service.store.postgis import PostGIS
from geo_service.store.postgis_connection import Address, engine_of, parse, quoted, told
from geo_service.store.schema import refuse_foreign

OLDEST_SERVER = 120_000  # PostgreSQL 12
OLDEST_POSTGIS = (3, 0)
FIRST_FREE_SRID = 910_000  # PostGIS leaves 910000-998999 to its users


def create(url: str, settings: dict[str, str], *, fill: Fill | None = None) -> None:
    """Make an empty store: its schema, its tables, its guards; all of it, or nothing.

    Raises
    ------
    ConflictError
        ``store_exists``.
    InputError
        ``store_unreachable``, ``store_forbidden``, ``postgis_missing``, ``server_too_old``.
    """
    address = parse(url)
    engine = engine_of(address)
    try:
        with told(address.name), engine.begin() as connection:
            _require_server(connection, address)
            path = _postgis_path(connection, address)
            here = connection.exec_driver_sql("SELECT to_regclass(%s)", (_settings_table(address),))
            if here.scalar_one() is not None:
                raise ConflictError("store_exists", store=address.name)
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(address.schema)}")
            connection.exec_driver_sql(sql.SEARCH_PATH.format(path=path))
            srid = _srid(connection, settings["plane"])
            home = PostGIS(address, engine, srid, path)
            home.initialise(connection, {**settings, "srid": str(srid)})
            home.begin_writing(connection)
            if fill is not None:
                fill(home, connection)
    finally:
        engine.dispose()


def open_home(url: str) -> tuple[PostGIS, dict[str, str]]:
    """Open a store and read its settings.

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign``, ``store_newer``, ``store_unreachable``, ``store_forbidden``,
        ``postgis_missing``.
    """
    address = parse(url)
    engine = engine_of(address)
    with _disposed_on_error(engine), told(address.name), engine.begin() as connection:
        here = connection.exec_driver_sql("SELECT to_regclass(%s)", (_settings_table(address),))
        if here.scalar_one() is None:
            raise MissingError("store_missing", store=address.name)
        path = _postgis_path(connection, address)
        connection.exec_driver_sql(sql.SEARCH_PATH.format(path=path))
        found = connection.exec_driver_sql("SELECT key, value FROM gs_settings")
        settings = {row.key: row.value for row in found}
        refuse_foreign(settings, store=address.name)
        return PostGIS(address, engine, int(settings["srid"]), path), settings


@contextmanager
def _disposed_on_error(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _settings_table(address: Address) -> str:
    return f"{quoted(address.schema)}.gs_settings"


def _require_server(connection: sa.Connection, address: Address) -> None:
    number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if number < OLDEST_SERVER:
        found, needed = f"PostgreSQL {number // 10_000}", f"PostgreSQL {OLDEST_SERVER // 10_000}"
        raise InputError("server_too_old", store=address.name, found=found, needed=needed)
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        reason = Phrase(
            f"数据库编码是 {encoding}，请用 ENCODING 'UTF8' 新建",
            f"its encoding is {encoding}; make a database with ENCODING 'UTF8'",
        )
        raise InputError("store_unusable", store=address.name, reason=reason)


def _postgis_path(connection: sa.Connection, address: Address) -> str:
    """Give the search path: the store's schema, then the one PostGIS lies in.

    The extension is made where it is missing and the user may.
    """
    found = connection.exec_driver_sql(sql.POSTGIS_SCHEMA).first()
    if found is None:
        found = _make_extension(connection, address)
    version = tuple(int(part) for part in found.extversion.split(".")[:2])
    if version < OLDEST_POSTGIS:
        needed = f"PostGIS {'.'.join(map(str, OLDEST_POSTGIS))}"
        raise InputError(
            "server_too_old",
            store=address.name,
            found=f"PostGIS {found.extversion}",
            needed=needed,
        )
    return f"{quoted(address.schema)}, {quoted(found.nspname)}"


def _make_extension(connection: sa.Connection, address: Address) -> sa.Row[tuple[str, str]]:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION postgis")
    except sa.exc.DBAPIError as error:
        reason = because(error.orig) if error.orig else ""
        raise InputError("postgis_missing", store=address.name, reason=reason) from error
    return connection.exec_driver_sql(sql.POSTGIS_SCHEMA).one()


def _srid(connection: sa.Connection, plane: str) -> int:
    """Give the plane's number in this database; one without an EPSG number is entered."""
    system = crs.parse_crs(plane)
    number = crs.epsg(plane)
    if number is not None:
        known = connection.exec_driver_sql(
            "SELECT count(*) FROM spatial_ref_sys WHERE srid = %s", (number,)
        )
        if known.scalar_one():
            return number
    wkt = system.to_wkt(pyproj.enums.WktVersion.WKT1_GDAL)
    query = sql.FREE_SRID.format(first=FIRST_FREE_SRID)
    free = number or int(connection.exec_driver_sql(query, {"wkt": wkt}).scalar_one())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the short form says less; the long one stands beside it
        short = system.to_proj4()
    connection.exec_driver_sql(sql.ADD_SRID, (free, wkt, short))
    return free
