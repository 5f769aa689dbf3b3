"""The embedded home: one GeoPackage file in WAL mode, opened by QGIS and GDAL as it is.

Format: OGC GeoPackage 1.4 (12-128r19) with the R-tree extension. A published layer carries guard
triggers, so that an edit from outside can't change a proven revision behind the history's back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

from geo_service import crs
from geo_service.errors import ConflictError, InputError, MissingError
from geo_service.store import _geopackage_sql as gpkg
from geo_service.store.rows import Rows

SRID_WITHOUT_EPSG = 100_000
"""The number a working plane has inside the file when it has none in the EPSG registry."""

BUSY_SECONDS = 30.0
_HEADER = np.dtype(
    [("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("srid", "<i4"), ("envelope", "<f8", 4)]
)
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)  # by the three envelope bits of the flags
_SQLITE_MAGIC = b"SQLite format 3\0"


class Blob(UserDefinedType[bytes]):
    """A geometry column; its declared type is the one GeoPackage registers for it."""

    cache_ok = True

    def __init__(self, kind: str = "GEOMETRY") -> None:
        self.kind = kind

    def get_col_spec(self, **_: Any) -> str:
        """Give the declared type: POLYGON, MULTIPOLYGON, GEOMETRY..."""
        return self.kind


class GeoPackage:
    """A store's GeoPackage file: connections, geometry blobs, spatial tables, file-level care.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    plane : str
        The working plane; what blobs are stamped with.
    """

    def __init__(self, path: Path, plane: str) -> None:
        self.path = path
        self.srid = crs.epsg(plane) or SRID_WITHOUT_EPSG
        self.engine = _engine(path)

    @property
    def name(self) -> str:
        """What people call this store."""
        return str(self.path)

    @property
    def streets_path(self) -> Path:
        """Where the walk network of this city is kept, beside the file."""
        return self.path.with_suffix(".streets")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One snapshot: what is read inside belongs together, whatever is published meanwhile."""
        with _told(self.name), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give the one writer's transaction: all of it happens, or nothing."""
        with _told(self.name), self.engine.connect() as plain:
            connection = plain.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def geometry_type(self, kind: str = "GEOMETRY") -> Blob:
        """Give the column type of geometries."""
        return Blob(kind)

    def encode(self, rows: Rows) -> list[bytes]:
        """Put the GeoPackage header (with its envelope) before the WKB of each row."""
        header = np.zeros(len(rows), _HEADER)
        header["magic"], header["srid"] = b"GP", self.srid
        header["flags"] = 0b00000011  # little-endian, envelope of x and y
        header["envelope"] = rows.bounds[:, [0, 2, 1, 3]]
        heads, size = header.tobytes(), _HEADER.itemsize
        return [heads[i * size : (i + 1) * size] + body for i, body in enumerate(rows.wkb)]

    def decode(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Give the WKB inside GeoPackage blobs."""
        return [blob[8 + _ENVELOPE_BYTES[blob[3] >> 1 & 7] :] for blob in blobs]

    def create_layer(
        self, connection: sa.Connection, table: sa.Table, kind: str, identifier: str
    ) -> None:
        """Make the empty spatial table of a layer and register it with its R-tree."""
        table.create(connection)
        name = table.name
        connection.exec_driver_sql(gpkg.create_rtree(name))
        connection.exec_driver_sql(gpkg.REGISTER_LAYER, (name, "features", identifier, self.srid))
        connection.exec_driver_sql(gpkg.REGISTER_GEOMETRY, (name, kind, self.srid))
        connection.exec_driver_sql(gpkg.REGISTER_RTREE, (name,))

    def declared_kind(self, connection: sa.Connection, layer: str) -> str:
        """Give the geometry type a layer's table is registered with."""
        query = "SELECT geometry_type_name FROM gpkg_geometry_columns WHERE table_name = ?"
        return str(connection.exec_driver_sql(query, (layer,)).scalar_one())

    def drop_layer(self, connection: sa.Connection, table: sa.Table) -> None:
        """Remove a layer's spatial table, its R-tree and their registrations."""
        name = table.name
        connection.exec_driver_sql(gpkg.drop_rtree(name))
        table.drop(connection)
        for registry in ("gpkg_extensions", "gpkg_geometry_columns", "gpkg_contents"):
            connection.exec_driver_sql(f"DELETE FROM {registry} WHERE table_name = ?", (name,))

    def create_table(self, connection: sa.Connection, table: sa.Table, identifier: str) -> None:
        """Make an attribute table and register it."""
        table.create(connection)
        connection.exec_driver_sql(
            gpkg.REGISTER_LAYER, (table.name, "attributes", identifier, None)
        )

    def drop_table(self, connection: sa.Connection, table: sa.Table) -> None:
        """Remove an attribute table."""
        table.drop(connection)
        connection.exec_driver_sql("DELETE FROM gpkg_contents WHERE table_name = ?", (table.name,))

    @contextmanager
    def unguarded(
        self, connection: sa.Connection, layer: str, extent: tuple[float, float, float, float]
    ) -> Iterator[None]:
        """Lift the triggers of a layer inside the writer's transaction, then set them again.

        The R-tree triggers call functions that only GIS programs bring, so the writer keeps the
        R-tree itself (`index`, `remove_rows`).

        Parameters
        ----------
        connection : sqlalchemy.Connection
            The writer's.
        layer : str
            Whose triggers.
        extent : tuple of float
            Min x, min y, max x, max y the layer has afterwards.
        """
        for name in gpkg.trigger_names(layer):
            connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{name}"')
        yield
        for statement in gpkg.triggers(layer):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(gpkg.TOUCH, (*extent, layer))

    def insert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        columns: Sequence[str],
        values: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert many rows; SQLAlchemy's own way takes longer over them than SQLite does."""
        if not values:
            return
        quote = connection.dialect.identifier_preparer.quote
        names, places = ", ".join(map(quote, columns)), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({places})"
        connection.exec_driver_sql(statement, list(values))

    def index(
        self,
        connection: sa.Connection,
        table: sa.Table,
        fids: Sequence[int],
        bounds: npt.NDArray[np.float64],
    ) -> None:
        """Enter inserted features into the R-tree; `bounds` as `Rows.bounds`."""
        if not fids:
            return
        boxes = bounds[:, [0, 2, 1, 3]].tolist()
        entries = [(fid, *box) for fid, box in zip(fids, boxes, strict=True)]
        connection.exec_driver_sql(gpkg.insert_rtree(table.name), entries)

    def remove_rows(self, connection: sa.Connection, table: sa.Table, fids: Sequence[int]) -> None:
        """Delete features and their index entries."""
        if not fids:
            return
        keys = [(fid,) for fid in fids]
        connection.exec_driver_sql(f'DELETE FROM "{table.name}" WHERE fid = ?', keys)
        connection.exec_driver_sql(f'DELETE FROM "{gpkg.rtree(table.name)}" WHERE id = ?', keys)

    def within_bbox(
        self, table: sa.Table, bbox: tuple[float, float, float, float]
    ) -> sa.ColumnElement[bool]:
        """Give the condition for features whose box (rounded outward to float32) meets a box."""
        x0, y0, x1, y1 = bbox
        index = sa.table(
            gpkg.rtree(table.name), *(sa.column(c) for c in ("id", "minx", "maxx", "miny", "maxy"))
        )
        meets = sa.select(index.c.id).where(
            index.c.minx <= x1, index.c.maxx >= x0, index.c.miny <= y1, index.c.maxy >= y0
        )
        return table.c.fid.in_(meets)

    def settle(self) -> None:
        """Bring the write-ahead log into the file, as far as readers allow."""
        with closing(sqlite3.connect(self.path, timeout=0.1)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Settle and let the file go."""
        self.settle()
        self.engine.dispose()

    def backup(self, path: Path) -> None:
        """Copy the whole store, consistent while others read and write."""
        if path.exists():
            raise ConflictError("store_exists", store=str(path))
        if not path.parent.is_dir():
            reason = f"no folder {path.parent}"
            raise InputError("output_unwritable", file=str(path), reason=reason, known=".gpkg")
        with (
            closing(self.engine.raw_connection()) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.driver_connection.backup(target)  # type: ignore[union-attr] # sqlite3's own

    def faults(self, layers: Sequence[str]) -> list[str]:
        """Look for damage of the file itself: pages, references, R-trees.

        Returns
        -------
        list of str
            What SQLite reports; empty for a sound file.
        """
        found = []
        with self.reading() as connection:
            for row in connection.exec_driver_sql("PRAGMA integrity_check"):
                found += [] if row[0] == "ok" else [f"integrity_check: {row[0]}"]
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                found.append(f"foreign_key_check: {tuple(row)}")
            for layer in layers:
                check = connection.exec_driver_sql("SELECT rtreecheck(?)", (gpkg.rtree(layer),))
                answer = check.scalar_one()
                found += [] if answer == "ok" else [f"{gpkg.rtree(layer)}: {answer}"]
        return found


def create(path: Path, plane: str, metadata: sa.MetaData, settings: dict[str, str]) -> None:
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
        reason = f"no folder {path.parent}"
        raise InputError("output_unwritable", file=str(path), reason=reason, known=".gpkg")
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    home = GeoPackage(unfinished, plane)
    try:
        _initialise(home, plane, metadata, settings)
        home.close()
        unfinished.rename(path)
    finally:
        home.engine.dispose()
        unfinished.unlink(missing_ok=True)


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
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        raise InputError("file_unreadable", file=str(path), reason="0 bytes")
    if not head.startswith(_SQLITE_MAGIC[: len(head)]):
        raise InputError("store_foreign", store=str(path))
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        return  # pages may still be in the log: SQLite replays it
    page = int.from_bytes(head[16:18], "big") or 0
    expected = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if size < 100 or size < expected:
        reason = f"{size} of {expected} bytes"
        raise InputError("file_unreadable", file=str(path), reason=reason)


def settings_of(path: Path) -> dict[str, str]:
    """Read the settings of a store file.

    Raises
    ------
    InputError
        ``store_foreign`` where it has none, ``file_unreadable``.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            return dict(connection.execute("SELECT key, value FROM gs_settings"))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise InputError("store_foreign", store=str(path)) from error
        raise InputError("file_unreadable", file=str(path), reason=error) from error
    except sqlite3.DatabaseError as error:
        raise InputError("file_unreadable", file=str(path), reason=error) from error


def _initialise(
    home: GeoPackage, plane: str, metadata: sa.MetaData, settings: dict[str, str]
) -> None:
    with closing(home.engine.raw_connection()) as raw:
        raw.execute(f"PRAGMA application_id = {gpkg.APPLICATION_ID}")
        raw.execute(f"PRAGMA user_version = {gpkg.USER_VERSION}")
        raw.execute("PRAGMA journal_mode = WAL")
    with home.writing() as connection:
        for statement in gpkg.CORE_TABLES:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(
            gpkg.INSERT_SRS, [*gpkg.REQUIRED_SYSTEMS, _system(plane, home.srid)]
        )
        metadata.create_all(connection)
        connection.execute(
            metadata.tables["gs_settings"].insert(),
            [{"key": key, "value": value} for key, value in settings.items()],
        )
        # One registered attribute table keeps GDAL from listing the unregistered ones.
        connection.exec_driver_sql(
            gpkg.REGISTER_LAYER, ("gs_revisions", "attributes", "修订记录 revisions", None)
        )


def _system(plane: str, srid: int) -> tuple[str, int, str, int, str, str | None]:
    system = crs.parse_crs(plane)
    organization = "EPSG" if crs.epsg(plane) else "NONE"
    definition = system.to_wkt(pyproj.enums.WktVersion.WKT1_GDAL)
    return (system.name, srid, organization, srid, definition, None)


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def configure(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # transactions begin where we say, DDL included
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA synchronous = FULL")  # a published revision survives a power cut

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


@contextmanager
def _told(store: str) -> Iterator[None]:
    """Turn SQLite's refusals into ours."""
    try:
        yield
    except sa.exc.OperationalError as error:
        reason = str(error.orig)
        if "locked" in reason or "busy" in reason:
            raise ConflictError("store_busy", store=store, seconds=int(BUSY_SECONDS)) from error
        raise InputError("store_unusable", store=store, reason=reason) from error
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            raise  # ours, not the file's
        raise InputError("file_unreadable", file=store, reason=error.orig) from error
