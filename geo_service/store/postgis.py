"""The server home: one schema of a PostgreSQL database with PostGIS.

Layers are plain spatial tables with a GiST index. Readers read one snapshot (REPEATABLE READ) and
are not held up by a publication; writers take turns by an advisory lock. Published tables carry
guard triggers, as in a GeoPackage. Rows come in by binary COPY. The walk network is kept in the
database and read from a local copy under ``$GEO_SERVICE_CACHE``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

from geo_service.store import _postgis_sql as sql
from geo_service.store.home import Extent
from geo_service.store.postgis_connection import (
    Address,
    literal,
    plainly,
    quoted,
    together,
    told,
)
from geo_service.store.rows import Column, Rows
from geo_service.store.schema import Schema, schema

LONGEST_NAME_BYTES = 63
STREETS = "streets"
_UNFINISHED = "gs_new_"
_BETWEEN_TRIES_SECONDS = 0.05
_PART_BYTES = 8 << 20
_HAS_SRID = 0x20
_COPIED_AS = {sa.Integer: "int4", sa.BigInteger: "int8", sa.Double: "float8", sa.Boolean: "bool"}


class Geometry(UserDefinedType[bytes]):
    """A geometry column, written as EWKB and read as WKB: the same doubles there and back."""

    cache_ok = True

    def __init__(self, kind: str, srid: int) -> None:
        self.kind, self.srid = kind, srid

    def get_col_spec(self, **_: Any) -> str:
        """Give the declared type, such as geometry(POLYGON,4547)."""
        return f"geometry({self.kind},{self.srid})"

    def column_expression(self, column: Any) -> sa.ColumnElement[Any]:
        """Read as little-endian WKB."""
        return sa.func.ST_AsBinary(column, "NDR")


class PostGIS:
    """A store's schema in a database: connections, geometry, spatial tables, the streets' file.

    Parameters
    ----------
    address : Address
        Where.
    engine : sqlalchemy.Engine
        Its connections.
    srid : int
        The working plane's number in the database.
    path : str
        The search path, quoted: the store's schema, then the one of PostGIS.
    """

    def __init__(self, address: Address, engine: sa.Engine, srid: int, path: str) -> None:
        self.address = address
        self.engine = engine
        self.srid = srid
        self._search_path = sql.SEARCH_PATH.format(path=path)
        self.schema: Schema = schema(
            lambda kind: Geometry(kind, srid),
            history=Geometry("GEOMETRY", srid),
            draft=sa.LargeBinary(),  # PostGIS refuses rings that an upload may well have
            longest_name_bytes=LONGEST_NAME_BYTES,
        )

    @property
    def name(self) -> str:
        """What people call this store."""
        return self.address.name

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One snapshot: what is read inside belongs together, whatever is published meanwhile."""
        with told(self.name), self.engine.connect() as plain:
            connection = plain.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            with connection.begin():
                together(connection, self._search_path, sql.BEGIN_READING)
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give the one writer's transaction: all of it happens, or nothing."""
        with told(self.name), self.engine.begin() as connection:
            self.begin_writing(connection)
            yield connection

    def begin_writing(self, connection: sa.Connection) -> None:
        """Wait for the writer's turn in this transaction, and pass the guards."""
        begin = sql.BEGIN_WRITING.format(
            seconds=sql.BUSY_SECONDS,
            number=sql.LOCK_CLASS,
            schema=literal(quoted(self.address.schema)),
        )
        together(connection, self._search_path, begin)

    def initialise(self, connection: sa.Connection, settings: dict[str, str]) -> None:
        """Make the tables and guards of a new store."""
        self.schema.metadata.create_all(connection, checkfirst=False)
        for statement in (sql.FILES_TABLE, sql.HISTORY_INDEX, sql.GUARD_FUNCTION):
            connection.exec_driver_sql(statement)
        connection.execute(
            self.schema.settings.insert(),
            [{"key": key, "value": value} for key, value in settings.items()],
        )
        for table in sql.GUARDED:
            connection.exec_driver_sql(sql.GUARD.format(table=table))

    def adopt(self, connection: sa.Connection, table: sa.Table) -> None:
        """Make one of the store's own tables in a store that is older than it, guarded."""
        table.create(connection, checkfirst=False)
        plainly(connection, sql.GUARD.format(table=table.name))

    def settle(self) -> None:
        """Let the rows of closed drafts go now: they would stand until the server's own round."""
        table = f"{quoted(self.address.schema)}.gs_draft_features"
        with contextlib.suppress(sa.exc.DBAPIError), self.engine.connect() as plain:
            plainly(plain.execution_options(isolation_level="AUTOCOMMIT"), f"VACUUM {table}")

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()

    def encode(self, rows: Rows) -> list[bytes]:
        """Stamp the WKB of each row with the plane's number (EWKB)."""
        srid = self.srid.to_bytes(4, "little")
        return [wkb[:4] + bytes((wkb[4] | _HAS_SRID,)) + srid + wkb[5:] for wkb in rows.wkb]

    def decode(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Give the WKB of what was read, stamped or not."""
        return [
            blob[:4] + bytes((blob[4] & ~_HAS_SRID,)) + blob[9:] if blob[4] & _HAS_SRID else blob
            for blob in blobs
        ]

    def within_bbox(self, table: sa.Table, bbox: Extent) -> sa.ColumnElement[bool]:
        """Give the condition for features whose box (rounded outward to float32) meets a box."""
        box = sa.func.ST_MakeEnvelope(*bbox, self.srid)
        return sa.type_coerce(table.c.geom, sa.types.NullType()).op("&&")(box)

    def within_past(
        self, connection: sa.Connection, bbox: Extent, *conditions: sa.ColumnElement[bool]
    ) -> sa.ColumnElement[bool]:
        """Give the same for rows of the history that meet conditions."""
        return self.within_bbox(self.schema.history, bbox)

    def declared_kind(self, connection: sa.Connection, layer: str) -> str:
        """Give the geometry type a layer's table is declared with."""
        return str(connection.exec_driver_sql(sql.DECLARED_KIND, (layer,)).scalar_one())

    def edited_at(self, connection: sa.Connection, layer: str) -> str | None:
        """Nobody can: the guards refuse."""
        return None

    def published(self, connection: sa.Connection, table: sa.Table) -> sa.FromClause:
        """Give where the published rows of a layer stand: in its table."""
        return table

    def added_columns(self, connection: sa.Connection, table: sa.Table) -> list[Column]:
        """Nobody can add any: the guards refuse."""
        return []

    def restore(self, connection: sa.Connection, table: sa.Table) -> None:
        """Nothing to do: the guards refuse edits."""

    @contextmanager
    def editing(self, connection: sa.Connection, layer: str, extent: Extent) -> Iterator[None]:
        """Let the writer at a guarded layer: the guards know it by its transaction."""
        yield

    @contextmanager
    def replacing(
        self,
        connection: sa.Connection,
        layer: str,
        columns: Sequence[Column],
        *,
        kind: str,
        identifier: str,
        extent: Extent,
    ) -> Iterator[sa.Table]:
        """Give a new table to fill under another name; at the end it takes the old one's place.

        The place is taken when nobody reads, so that no reader finds another table than the one
        its snapshot speaks of; the filling, which takes long, keeps nobody waiting.
        """
        table = self.schema.layer_table(_UNFINISHED + layer, columns, kind)
        connection.execute(sa.schema.CreateTable(table))
        yield table
        name = quoted(table.name)
        for statement in (
            f"CREATE INDEX ON {name} USING gist (geom)",
            f"CREATE INDEX ON {name} (code)",
            f"COMMENT ON TABLE {name} IS {literal(identifier)}",
            sql.GUARD.format(table=table.name),
        ):
            plainly(connection, statement)
        self._take_place(connection, layer)

    @contextmanager
    def replacing_table(
        self, connection: sa.Connection, name: str, columns: Sequence[Column]
    ) -> Iterator[sa.Table]:
        """Give a new attribute table to fill; at the end it takes the old one's place."""
        table = self.schema.attribute_table(_UNFINISHED + name, columns)
        connection.execute(sa.schema.CreateTable(table))
        yield table
        self._take_place(connection, name)

    def insert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        columns: Sequence[str],
        values: Sequence[tuple[Any, ...]],
    ) -> None:
        """Copy many rows in."""
        if not values:
            return
        names = ", ".join(map(quoted, columns))
        statement = f"COPY {quoted(table.name)} ({names}) FROM STDIN (FORMAT BINARY)"
        cursor = connection.connection.cursor()
        with cursor.copy(statement) as copy:
            copy.set_types([_copied_as(table.c[column].type) for column in columns])
            for row in values:
                copy.write_row(row)

    def index(
        self,
        connection: sa.Connection,
        table: sa.Table,
        fids: Sequence[int],
        bounds: npt.NDArray[np.float64],
    ) -> None:
        """Nothing to do: the server keeps its indexes."""

    def remove_rows(self, connection: sa.Connection, table: sa.Table, fids: Sequence[int]) -> None:
        """Delete features."""
        if fids:
            statement = f"DELETE FROM {quoted(table.name)} WHERE fid = ANY(%s)"
            connection.exec_driver_sql(statement, (list(fids),))

    def go_on_counting(self, connection: sa.Connection) -> None:
        """Number new rows after those that were put in with their numbers."""
        for table in self.schema.metadata.sorted_tables:
            key = table.autoincrement_column
            if key is not None:
                counter = sa.func.pg_get_serial_sequence(quoted(table.name), key.name)
                last = sa.select(sa.func.max(key)).scalar_subquery()
                connection.execute(sa.select(sa.func.setval(counter, last)))

    @property
    def streets_path(self) -> Path:
        """The local copy of the walk network, fetched first if another one is current."""
        stamp = self.streets_stamp()
        path = cache_folder() / f"{stamp or 'none'}.streets"
        if stamp is None or path.is_file():
            return path
        with self.reading() as connection:
            query = "SELECT content FROM gs_files WHERE name = %s ORDER BY part"
            parts = connection.exec_driver_sql(query, (STREETS,)).scalars().all()
        if hashlib.sha256(b"".join(parts)).hexdigest() != stamp:
            return self.streets_path  # another one was kept meanwhile
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.writelines(parts)
        Path(file.name).replace(path)
        return path

    @property
    def jobs_path(self) -> Path:
        """Where this machine keeps the records of jobs over this database."""
        return self._cached(".jobs")

    @property
    def tiles_path(self) -> Path:
        """Where this machine keeps drawn tiles of this database; safe to delete."""
        return self._cached(".tiles")

    def _cached(self, suffix: str) -> Path:
        return cache_folder() / f"{hashlib.sha256(self.name.encode()).hexdigest()[:16]}{suffix}"

    def streets_stamp(self) -> str | None:
        """Give the hash of the walk network; ``None`` where there is none."""
        with self.reading() as connection:
            query = "SELECT sha256 FROM gs_files WHERE name = %s LIMIT 1"
            return connection.exec_driver_sql(query, (STREETS,)).scalar()

    def keep_streets(self, save: Callable[[Path], object]) -> None:
        """Keep the walk network that `save` writes to a path, whole or not at all."""
        with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
            file = Path(folder) / STREETS
            save(file)
            content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        parts = [content[at : at + _PART_BYTES] for at in range(0, len(content), _PART_BYTES)]
        with self.writing() as connection:
            connection.exec_driver_sql("DELETE FROM gs_files WHERE name = %s", (STREETS,))
            statement = "INSERT INTO gs_files VALUES (%s, %s, %s, %s)"
            for number, part in enumerate(parts):
                connection.exec_driver_sql(statement, (STREETS, sha256, number, part))

    @property
    def file_name(self) -> str:
        """What a copy of the store in a GeoPackage is called: after its database and schema."""
        return self.address.file_name

    def unguarded(self, layers: Sequence[str]) -> list[str]:
        """Name published tables whose guards are missing or disabled."""
        with self.reading() as connection:
            found = connection.exec_driver_sql(sql.UNGUARDED, ([*layers, *sql.GUARDED],))
            return list(found.scalars())

    def guard(self, tables: Sequence[str]) -> None:
        """Set the guards of published tables again."""
        with self.writing() as connection:
            for table in tables:
                plainly(connection, sql.UNGUARD.format(table=table))
                plainly(connection, sql.GUARD.format(table=table))

    def faults(self, layers: Sequence[str]) -> list[str]:
        """Look for layers without a sound spatial index."""
        with self.reading() as connection:
            found = connection.exec_driver_sql(sql.UNINDEXED, (list(layers),)).scalars()
            return [f"no valid spatial index on {layer}" for layer in found]

    def _take_place(self, connection: sa.Connection, name: str) -> None:
        """Put a filled table in the place of another, in a moment in which nobody reads."""
        new, old = quoted(_UNFINISHED + name), quoted(name)
        plainly(connection, f"ANALYZE {new}")
        there = connection.exec_driver_sql("SELECT to_regclass(%s)", (old,)).scalar_one()
        if there is not None:
            _wait_for_readers(connection, old)
            plainly(connection, f"DROP TABLE {old}")
        plainly(connection, f"ALTER TABLE {new} RENAME TO {old}")


def _wait_for_readers(connection: sa.Connection, table: str) -> None:
    """Wait for a moment in which nobody reads, in short tries: readers must not queue long."""
    until = time.monotonic() + sql.BUSY_SECONDS
    while True:
        try:
            with connection.begin_nested():
                together(connection, sql.SWAP_WAIT, sql.SWAP_LOCK.format(table=table))
            return
        except sa.exc.OperationalError as error:
            busy = isinstance(error.orig, psycopg.errors.LockNotAvailable)
            if not busy or time.monotonic() > until:
                raise
            time.sleep(_BETWEEN_TRIES_SECONDS)


def cache_folder() -> Path:
    """Give the folder for local copies: ``$GEO_SERVICE_CACHE``, else one under ``~/.cache``."""
    named = os.environ.get("GEO_SERVICE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named) if named else home / "geo-service"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _copied_as(kind: Any) -> str:
    if isinstance(kind, Geometry | sa.LargeBinary):
        return "bytea"  # COPY's binary form of a geometry is its EWKB
    return next((name for type_, name in _COPIED_AS.items() if type(kind) is type_), "text")
