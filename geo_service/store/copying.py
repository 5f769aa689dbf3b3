"""A whole store copied into another home: every revision, draft and code with its number and hash.

What is copied is one snapshot; others may read and publish meanwhile. The copy stands whole under
its name, or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from geo_service.store import log, opening, revisions
from geo_service.store.geopackage import GeoPackage
from geo_service.store.home import Home
from geo_service.store.opening import Where
from geo_service.store.rows import Rows
from geo_service.store.schema import Json

_AT_ONCE = 5_000  # rows held in memory


def copy(source: Home, where: Where) -> None:
    """Copy a store.

    Parameters
    ----------
    source : Home
        What is copied.
    where : str or path-like
        The GeoPackage file to make, or the ``postgresql://`` URL of a place without a store.

    Raises
    ------
    ConflictError
        ``store_exists``.
    InputError
        What `geo_service.store.create_store` raises.
    """
    if isinstance(source, GeoPackage) and not opening.is_url(where):
        source.backup(Path(where))  # page by page: styles and whatever else the file holds come too
    else:
        table = source.schema.settings
        with source.reading() as connection:
            found = connection.execute(sa.select(table.c.key, table.c.value))
            settings = {key: value for key, value in found if key != "srid"}  # of that database
            opening.make_home(where, settings, fill=partial(_fill, source, connection))
    streets = source.streets_path
    if streets.is_file():
        target, _ = opening.open_home(where)
        target.keep_streets(partial(shutil.copyfile, streets))
        target.close()


def _fill(source: Home, reading: sa.Connection, target: Home, writing: sa.Connection) -> None:
    for table in source.schema.metadata.sorted_tables:
        if table is not source.schema.settings:
            _copy_rows(source, reading, target, writing, table)
    for layer in log.numbers(source.schema, reading):
        _copy_layer(source, reading, target, writing, layer)
    stored = source.schema.tables
    for name, kept in reading.execute(sa.select(stored.c.name, stored.c.columns)).all():
        columns = log.columns_from(kept)
        table = source.schema.attribute_table(name, columns)
        with target.replacing_table(writing, name, columns) as into:
            _copy_rows(source, reading, target, writing, table, into)
    target.go_on_counting(writing)


def _copy_rows(
    source: Home,
    reading: sa.Connection,
    target: Home,
    writing: sa.Connection,
    table: sa.Table,
    into: sa.Table | None = None,
) -> None:
    """Copy rows as they are, geometries in the target's own form."""
    own = into is None  # not a plain table, which may have a column called geom
    into = target.schema.metadata.tables[table.name] if into is None else into
    names = [column.name for column in into.columns]
    geometry = names.index("geom") if own and "geom" in names else None
    for rows in _read(reading, table):
        if geometry is not None:
            wkb = source.decode([row[geometry] for row in rows])
            blobs = target.encode(Rows([""] * len(wkb), wkb, [b""] * len(wkb)))
            rows = [
                (*row[:geometry], blob, *row[geometry + 1 :])
                for row, blob in zip(rows, blobs, strict=True)
            ]
        target.insert(writing, into, names, rows)


def _read(reading: sa.Connection, table: sa.Table) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Read a table by the order of its key, JSON as the text it is kept as."""
    columns = [sa.type_coerce(c, sa.Text) if isinstance(c.type, Json) else c for c in table.columns]
    query = sa.select(*columns).order_by(*table.primary_key.columns)
    found = reading.execution_options(yield_per=_AT_ONCE).execute(query)
    for part in found.partitions():
        yield [tuple(row) for row in part]


def _copy_layer(
    source: Home, reading: sa.Connection, target: Home, writing: sa.Connection, layer: str
) -> None:
    there = revisions.open_shelf(source, source.schema, reading, layer)
    here = revisions.open_shelf(target, target.schema, writing, layer)
    lived = revisions.current(there)
    kind = source.declared_kind(reading, layer)
    revisions.fill(here, lived.rows, there.columns, lived.valid_from, kind=kind)
