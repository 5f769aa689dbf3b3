"""The embedded home: one GeoPackage file in WAL mode, opened by QGIS and GDAL as it is.

Format: OGC GeoPackage 1.4 (12-128r19) with the R-tree extension. A GIS program may edit the table
of a published layer: triggers copy each published row away before it is first changed, so that
readers of the store go on seeing what was published, and the edits can be taken in as a draft
(`edits`).
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

from geo_service import crs
from geo_service.errors import ConflictError, InputError, Phrase
from geo_service.store import _geopackage_sql as gpkg
from geo_service.store.home import Extent
from geo_service.store.rows import Column, Rows
from geo_service.store.schema import Schema, schema

SRID_WITHOUT_EPSG = 100_000
"""The number a working plane has inside the file when it has none in the EPSG registry."""

BUSY_SECONDS = 30.0
_HEADER = np.dtype(
    [("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("srid", "<i4"), ("envelope", "<f8", 4)]
)
_MOST_NAMED = 10_000  # rows named one by one in a statement; SQLite takes three times as many
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)  # by the three envelope bits of the flags


_OPEN: weakref.WeakSet[GeoPackage] = weakref.WeakSet()


class Blob(UserDefinedType[bytes]):
    """A geometry column; its declared type is the one GeoPackage registers for it."""

    cache_ok = True

    def __init__(self, kind: str = "GEOMETRY") -> None:
        self.kind = kind

    def get_col_spec(self, **_: Any) -> str:
        """Give the declared type: POLYGON, MULTIPOLYGON, GEOMETRY..."""
        return self.kind


def tables() -> Schema:
    """Describe the store's tables as a GeoPackage has them."""
    return schema(Blob, history=Blob("BLOB"), draft=Blob("BLOB"))


def is_open_here(path: Path) -> bool:
    """Tell whether this process has a store's file open.

    Then nothing but SQLite may touch it: POSIX drops all locks a process holds on a file as soon as
    any of its descriptors of that file is closed. Another process would take itself for the last
    one, remove the log, and what is written here afterwards would be lost.
    """
    return any(home.path.exists() and home.path.samefile(path) for home in tuple(_OPEN))


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
        self.schema = tables()
        _OPEN.add(self)

    @property
    def name(self) -> str:
        """What people call this store."""
        return str(self.path)

    @property
    def file_name(self) -> str:
        """What a copy of the store is called."""
        return self.path.name

    @property
    def streets_path(self) -> Path:
        """Where the walk network of this city is kept, beside the file."""
        return self.path.with_suffix(".streets")

    @property
    def jobs_path(self) -> Path:
        """Where the records of jobs over this city are kept, beside the file."""
        return self.path.with_suffix(".jobs")

    @property
    def tiles_path(self) -> Path:
        """Where drawn tiles of this city are kept, beside the file; safe to delete."""
        return self.path.with_suffix(".tiles")

    def streets_stamp(self) -> str | None:
        """Tell which state of the walk network is current; ``None`` where there is none."""
        try:
            return str(self.streets_path.stat().st_mtime_ns // 1_000_000)
        except OSError:
            return None

    def keep_streets(self, save: Callable[[Path], object]) -> None:
        """Keep the walk network that `save` writes to a path, whole or not at all."""
        unfinished = self.streets_path.with_name(f".{self.streets_path.name}.{os.getpid()}")
        try:
            save(unfinished)
            unfinished.replace(self.streets_path)
        finally:
            unfinished.unlink(missing_ok=True)

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

    def adopt(self, connection: sa.Connection, table: sa.Table) -> None:
        """Make one of the store's own tables in a store that is older than it."""
        table.create(connection)

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

    def declared_kind(self, connection: sa.Connection, layer: str) -> str:
        """Give the geometry type a layer's table is registered with."""
        query = "SELECT geometry_type_name FROM gpkg_geometry_columns WHERE table_name = ?"
        return str(connection.exec_driver_sql(query, (layer,)).scalar_one())

    @contextmanager
    def editing(self, connection: sa.Connection, layer: str, extent: Extent) -> Iterator[None]:
        """Lift the triggers of a layer inside the writer's transaction, then set them again.

        The R-tree triggers call functions that only GIS programs bring, so the writer keeps the
        R-tree itself (`index`, `remove_rows`).
        """
        _drop_triggers(connection, layer)
        for statement in gpkg.end_keeping(layer):
            connection.exec_driver_sql(statement)
        yield
        for statement in gpkg.begin_keeping(layer):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        self._create_triggers(connection, layer)
        connection.exec_driver_sql(gpkg.TOUCH, (*extent, layer))

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
        """Give the layer's new table to fill, registered with its R-tree; the old one goes."""
        self._drop_layer(connection, layer)
        table = self.schema.layer_table(layer, columns, kind)
        table.create(connection)
        connection.exec_driver_sql(gpkg.create_rtree(layer))
        connection.exec_driver_sql(gpkg.REGISTER_LAYER, (layer, "features", identifier, self.srid))
        connection.exec_driver_sql(gpkg.REGISTER_GEOMETRY, (layer, kind, self.srid))
        connection.exec_driver_sql(gpkg.REGISTER_RTREE, (layer,))
        with self.editing(connection, layer, extent):
            yield table

    @contextmanager
    def replacing_table(
        self, connection: sa.Connection, name: str, columns: Sequence[Column]
    ) -> Iterator[sa.Table]:
        """Give an attribute table to fill, registered; the old one goes."""
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')
        connection.exec_driver_sql("DELETE FROM gpkg_contents WHERE table_name = ?", (name,))
        table = self.schema.attribute_table(name, columns)
        table.create(connection)
        connection.exec_driver_sql(gpkg.REGISTER_LAYER, (name, "attributes", name, None))
        yield table

    def edited_at(self, connection: sa.Connection, layer: str) -> str | None:
        """Tell when a GIS program last edited a layer's table; ``None``: it is as published."""
        query = "SELECT at FROM gs_edited WHERE layer = ?"
        return connection.exec_driver_sql(query, (layer,)).scalar()

    def published(self, connection: sa.Connection, table: sa.Table) -> sa.FromClause:
        """Give where the published rows of a layer stand: in its table, unless it was edited."""
        if self.edited_at(connection, table.name) is None:
            return table
        fids = sa.select(sa.table(gpkg.published(table.name), sa.column("fid")).c.fid)
        kept = self._originals(table)
        untouched = sa.select(table).where(
            table.c.fid.in_(fids), table.c.fid.not_in(sa.select(kept.c.fid))
        )
        return untouched.union_all(sa.select(kept)).subquery()

    def added_columns(self, connection: sa.Connection, table: sa.Table) -> list[Column]:
        """Name the columns that a GIS program added to a layer's table."""
        known = {column.name for column in table.columns}
        found = self._columns(connection, table.name)
        return [Column(name, _kind_of(kind)) for name, kind in found if name not in known]

    def restore(self, connection: sa.Connection, table: sa.Table) -> None:
        """Put the published rows of a layer back in the place of what was made of them."""
        layer, names = table.name, [column.name for column in table.columns]
        source = self.published(connection, table)
        before = connection.execute(sa.select(*(source.c[n] for n in names))).all()
        wkb = self.decode([row.geom for row in before])
        rows = Rows([row.code for row in before], wkb, [b"{}"] * len(before))
        added = self.added_columns(connection, table)
        quoted = connection.dialect.identifier_preparer.quote_identifier
        with self.editing(connection, layer, rows.extent):
            for column in added:
                drop = f'ALTER TABLE "{layer}" DROP COLUMN {quoted(column.name)}'
                connection.exec_driver_sql(drop, execution_options={"no_parameters": True})
            connection.exec_driver_sql(f'DELETE FROM "{layer}"')
            connection.exec_driver_sql(f'DELETE FROM "{gpkg.rtree(layer)}"')
            self.insert(connection, table, names, [tuple(row) for row in before])
            self.index(connection, table, [row.fid for row in before], rows.bounds)

    def _columns(self, connection: sa.Connection, layer: str) -> list[tuple[str, str]]:
        found = connection.exec_driver_sql(f'PRAGMA table_info("{layer}")')
        return [(row[1], row[2]) for row in found]

    def _originals(self, table: sa.Table) -> sa.TableClause:
        columns = [sa.column(column.name, column.type) for column in table.columns]
        return sa.table(gpkg.originals(table.name), *columns)

    def go_on_counting(self, connection: sa.Connection) -> None:
        """Nothing to do: SQLite goes on after the largest number by itself."""

    def _drop_layer(self, connection: sa.Connection, layer: str) -> None:
        for statement in gpkg.end_keeping(layer):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{gpkg.rtree(layer)}"')
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{layer}"')
        for registry in ("gpkg_extensions", "gpkg_geometry_columns", "gpkg_contents"):
            connection.exec_driver_sql(f"DELETE FROM {registry} WHERE table_name = ?", (layer,))

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
        quoted = connection.dialect.identifier_preparer.quote
        names, places = ", ".join(map(quoted, columns)), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({places})"
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

    def within_bbox(self, table: sa.Table, bbox: Extent) -> sa.ColumnElement[bool]:
        """Give the condition for features whose box (rounded outward to float32) meets a box."""
        x0, y0, x1, y1 = bbox
        index = sa.table(
            gpkg.rtree(table.name), *(sa.column(c) for c in ("id", "minx", "maxx", "miny", "maxy"))
        )
        meets = sa.select(index.c.id).where(
            index.c.minx <= x1, index.c.maxx >= x0, index.c.miny <= y1, index.c.maxy >= y0
        )
        return table.c.fid.in_(meets)

    def within_past(
        self, connection: sa.Connection, bbox: Extent, *conditions: sa.ColumnElement[bool]
    ) -> sa.ColumnElement[bool]:
        """Give the condition for rows of the history whose box meets a box.

        The history has no R-tree: it is small beside the layer, and each blob's header tells its
        box without being decoded further.
        """
        history = self.schema.history
        head = sa.func.substr(history.c.geom, 1, _HEADER.itemsize)
        found = connection.execute(sa.select(history.c.id, head).where(*conditions)).all()
        heads = np.frombuffer(b"".join(row[1] for row in found), _HEADER)
        x0, x1, y0, y1 = heads["envelope"].T
        meets = (x0 <= bbox[2]) & (x1 >= bbox[0]) & (y0 <= bbox[3]) & (y1 >= bbox[1])
        ids = [found[i][0] for i in np.flatnonzero(meets).tolist()]
        return history.c.id.in_(ids) if len(ids) < _MOST_NAMED else sa.true()

    def settle(self) -> None:
        """Bring the write-ahead log into the file, as far as readers allow."""
        # A full disk or a file one may only read is no failure here: what was published is synced.
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(self.path, timeout=0.1)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Settle and let the file go."""
        self.settle()
        self.engine.dispose()
        _OPEN.discard(self)

    def backup(self, path: Path) -> None:
        """Copy the whole store, consistent while others read and write."""
        if path.exists():
            raise ConflictError("store_exists", store=str(path))
        if not path.parent.is_dir():
            reason = Phrase(f"没有文件夹 {path.parent}", f"no folder {path.parent}")
            raise InputError("output_unwritable", file=str(path), reason=reason, known=".gpkg")
        with (
            closing(self.engine.raw_connection()) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.driver_connection.backup(target)  # type: ignore[union-attr] # sqlite3's own

    def unguarded(self, layers: Sequence[str]) -> list[str]:
        """Name layers whose triggers are missing, the R-tree's or the guards."""
        with self.reading() as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            there = set(connection.exec_driver_sql(query).scalars())
        return [layer for layer in layers if not there.issuperset(gpkg.trigger_names(layer))]

    def guard(self, tables: Sequence[str]) -> None:
        """Set every trigger of layers again."""
        with self.writing() as connection:
            for layer in tables:
                _drop_triggers(connection, layer)
                self._create_triggers(connection, layer)

    def _create_triggers(self, connection: sa.Connection, layer: str) -> None:
        quoted = connection.dialect.identifier_preparer.quote_identifier
        published = self._columns(connection, gpkg.originals(layer))
        columns = ", ".join(quoted(name) for name, _ in published)
        for statement in gpkg.triggers(layer, columns):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

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


def _kind_of(declared: str) -> str:
    """Give our name of a GeoPackage column type."""
    kinds = {"BOOLEAN": "boolean", "FLOAT": "real", "DOUBLE": "real", "REAL": "real"}
    return kinds.get(declared.upper(), "integer" if "INT" in declared.upper() else "text")


def address(path: Path) -> str:
    """Give SQLite's address of a file.

    Who may not write can't join the write-ahead log; a file whose log is settled is whole without
    it, and is read as one that nobody changes.
    """
    log = path.with_name(path.name + "-wal")
    settled = not log.exists() or log.stat().st_size == 0
    own = not path.exists() or os.access(path, os.W_OK)
    may_write = own and os.access(path.absolute().parent, os.W_OK)
    plain = f"file:{quote(str(path.absolute()))}"
    return plain if may_write or not settled else f"{plain}?mode=ro&immutable=1"


def _drop_triggers(connection: sa.Connection, layer: str) -> None:
    for name in (*gpkg.trigger_names(layer), *gpkg.former_trigger_names(layer)):
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{name}"')


def _engine(path: Path) -> sa.Engine:
    path = path.absolute()  # whatever folder the program goes to
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            address(path), uri=True, timeout=BUSY_SECONDS, check_same_thread=False
        ),
        poolclass=sa.pool.QueuePool,
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
        raise InputError("store_unusable", store=store, reason=error.orig) from error
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            raise  # ours, not the file's
        raise InputError("file_unreadable", file=store, reason=error.orig) from error
