"""Revisions of layers: how rows live from one to another, and what is different between two.

A row of a layer carries the revision it came in with (``valid_from``) and, once another revision
dropped or changed it, that revision's number (``valid_to``, exclusive). Unchanged rows stay where
they are, so a revision costs what it changes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from geo_service.layers import LAYERS
from geo_service.store import log
from geo_service.store.home import Home
from geo_service.store.rows import Column, Rows, canonical, content_hash, from_cell, to_cell
from geo_service.store.schema import Schema


@dataclass(frozen=True)
class Shelf:
    """One layer inside one transaction: where its rows lie and what they look like.

    Parameters
    ----------
    home : Home
        The store's home.
    schema : Schema
        Its tables.
    connection : sqlalchemy.Connection
        The transaction.
    layer : str
        The layer's name.
    number : int
        Its latest revision; 0 where nothing is published.
    columns : tuple of Column
        Of the latest revision.
    """

    home: Home
    schema: Schema
    connection: sa.Connection
    layer: str
    number: int
    columns: tuple[Column, ...]

    @property
    def table(self) -> sa.Table:
        """The table of the current revision."""
        return self.schema.layer_table(self.layer, self.columns)


@dataclass(frozen=True, slots=True)
class Lived:
    """Rows with the revisions they lived from and to (`alive`: still current)."""

    rows: Rows
    valid_from: list[int]
    valid_to: list[int]
    fids: list[int]


Box = tuple[float, float, float, float]
"""Min x, min y, max x, max y in the working plane."""

ALIVE = 2**31 - 1
"""The ``valid_to`` of a current row."""


def open_shelf(home: Home, schema: Schema, connection: sa.Connection, layer: str) -> Shelf:
    """Find a layer's latest revision."""
    revisions = schema.revisions
    query = (
        sa.select(revisions.c.number, revisions.c.columns)
        .where(revisions.c.layer == layer)
        .order_by(revisions.c.number.desc())
        .limit(1)
    )
    found = connection.execute(query).first()
    if found is None:
        return Shelf(home, schema, connection, layer, 0, ())
    return Shelf(home, schema, connection, layer, found[0], log.columns_from(found[1]))


def current(
    shelf: Shelf,
    *,
    bbox: Box | None = None,
    code: str | None = None,
    since: tuple[int, int] | None = None,
) -> Lived:
    """Read the current rows: of a box (by their boxes), of a code, born after and up to two."""
    if shelf.number == 0:
        return Lived(Rows([], [], []), [], [], [])
    table = shelf.table
    stands = shelf.home.published(shelf.connection, table)
    query = sa.select(*(stands.c[column.name] for column in table.columns))
    if bbox is not None and stands is table:
        query = query.where(shelf.home.within_bbox(table, bbox))
    if code is not None:
        query = query.where(stands.c.code == code)
    if since is not None:
        query = query.where(stands.c.valid_from > since[0], stands.c.valid_from <= since[1])
    fetched = shelf.connection.execute(query.order_by(stands.c.fid)).all()
    return from_table(shelf, fetched, shelf.columns)


def from_table(shelf: Shelf, fetched: Sequence[Any], columns: Sequence[Column]) -> Lived:
    """Put together what was read of a layer's table: fid, geometry, code, columns, valid_from."""
    fids, blobs, codes, *attributes, valid_from = _by_column(fetched, len(columns) + 4)
    rows = Rows(codes, shelf.home.decode(blobs), _canonical(attributes, columns, len(codes)))
    return Lived(rows, valid_from, [ALIVE] * len(codes), fids)


def at(shelf: Shelf, number: int, *, bbox: Box | None = None) -> Lived:
    """Read the rows of a revision: of a box if one is given (at least all that meet it)."""
    if number == shelf.number:
        return current(shelf, bbox=bbox)
    history = shelf.schema.history
    then = [history.c.valid_from <= number, history.c.valid_to > number]
    if bbox is not None:
        of_layer = history.c.layer == shelf.layer
        then.append(shelf.home.within_past(shelf.connection, bbox, of_layer, *then))
    before = past(shelf, *then)
    return joined(current(shelf, bbox=bbox, since=(0, number)), before)


def damage(shelf: Shelf) -> str:
    """Hash the current rows again; say where they are not what was published, "" if they are."""
    revisions = shelf.schema.revisions
    query = sa.select(revisions.c.sha256).where(
        revisions.c.layer == shelf.layer, revisions.c.number == shelf.number
    )
    published = shelf.connection.execute(query).scalar_one()
    if content_hash(current(shelf).rows.digests()) == published:
        return ""
    return f"content differs from revision {shelf.number}"


def versions_between(shelf: Shelf, before: int, after: int) -> tuple[Lived, Lived]:
    """Row versions that lived at `before` and not at `after`, and the other way round."""
    history = shelf.schema.history
    gone = past(
        shelf,
        history.c.valid_from <= before,
        history.c.valid_to > before,
        history.c.valid_to <= after,
    )
    born_now = current(shelf, since=(before, after))
    born = past(
        shelf,
        history.c.valid_from > before,
        history.c.valid_from <= after,
        history.c.valid_to > after,
    )
    return gone, joined(born_now, born)


def write(shelf: Shelf, rows: Rows, columns: tuple[Column, ...]) -> tuple[dict[str, int], str]:
    """Make rows the layer's next revision (`shelf.number` + 1).

    Returns
    -------
    dict
        How many were ``added``, ``removed`` and ``changed``.
    str
        The content hash.
    """
    number = shelf.number + 1
    old = current(shelf)
    digests = rows.digests()
    stays, leaves, comes = match_equal(old.rows.digests(), digests)
    _to_history(shelf, some(old, leaves), number)
    kind = rows.geometry_kind
    if (
        shelf.number
        and columns == shelf.columns
        and kind == shelf.home.declared_kind(shelf.connection, shelf.layer)
    ):
        with shelf.home.editing(shelf.connection, shelf.layer, rows.extent):
            table = shelf.table
            shelf.home.remove_rows(shelf.connection, table, [old.fids[i] for i in leaves])
            first = max(old.fids, default=0) + 1
            _add(shelf, table, columns, rows.take(comes), [number] * len(comes), first)
    else:
        since = [number] * len(rows)
        for old_row, new_row in stays:
            since[new_row] = old.valid_from[old_row]
        fill(shelf, rows, columns, since, kind=kind)
    return _changes(old.rows, rows, leaves, comes), content_hash(digests)


def fill(
    shelf: Shelf, rows: Rows, columns: tuple[Column, ...], since: list[int], *, kind: str
) -> None:
    """Make rows, with the revisions they came in with, the whole of a new table of the layer."""
    with shelf.home.replacing(
        shelf.connection,
        shelf.layer,
        columns,
        kind=kind,
        identifier=_identifier(shelf.layer),
        extent=rows.extent,
    ) as table:
        _add(shelf, table, columns, rows, since, 1)


def rewrite(shelf: Shelf) -> None:
    """Write a layer's table anew, as this version makes it; not a revision."""
    now = _all_of_table(shelf)
    with shelf.home.replacing(
        shelf.connection,
        shelf.layer,
        shelf.columns,
        kind=now.rows.geometry_kind,
        identifier=_identifier(shelf.layer),
        extent=now.rows.extent,
    ) as table:
        _add(shelf, table, shelf.columns, now.rows, now.valid_from, 1)


def _all_of_table(shelf: Shelf) -> Lived:
    """Read a layer's table as it stands, without asking whether somebody edited it."""
    columns = shelf.table.columns
    query = sa.select(*columns).order_by(columns["fid"])
    return from_table(shelf, shelf.connection.execute(query).all(), shelf.columns)


def match_equal(
    old: list[bytes], new: list[bytes]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Match equal rows one to one: (old, new) pairs, old rows left over, new rows left over."""
    waiting: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(old):
        waiting[digest].append(i)
    stays, comes = [], []
    for j, digest in enumerate(new):
        if waiting.get(digest):
            stays.append((waiting[digest].pop(0), j))
        else:
            comes.append(j)
    return stays, sorted(i for left in waiting.values() for i in left), comes


def _changes(old: Rows, new: Rows, leaves: list[int], comes: list[int]) -> dict[str, int]:
    before = Counter(old.codes[i] for i in leaves)
    after = Counter(new.codes[j] for j in comes)
    changed = (before & after).total() - min(before[""], after[""])
    return {
        "added": after.total() - changed,
        "removed": before.total() - changed,
        "changed": changed,
    }


def _to_history(shelf: Shelf, lived: Lived, number: int) -> None:
    count = len(lived.rows)
    if not count:
        return
    values = zip(
        [shelf.layer] * count,
        lived.valid_from,
        [number] * count,
        lived.rows.codes,
        [attributes.decode() for attributes in lived.rows.attributes],
        shelf.home.encode(lived.rows),
        strict=True,
    )
    names = ["layer", "valid_from", "valid_to", "code", "attributes", "geom"]
    shelf.home.insert(shelf.connection, shelf.schema.history, names, list(values))


def past(shelf: Shelf, *conditions: sa.ColumnElement[bool]) -> Lived:
    """Read rows that are not current any more, in the order they were retired."""
    history = shelf.schema.history
    query = (
        sa.select(
            history.c.id,
            history.c.valid_from,
            history.c.valid_to,
            history.c.code,
            history.c.attributes,
            history.c.geom,
        )
        .where(history.c.layer == shelf.layer, *conditions)
        .order_by(history.c.id)
    )
    fetched = shelf.connection.execute(query).all()
    fids, valid_from, valid_to, codes, attributes, blobs = _by_column(fetched, 6)
    rows = Rows(codes, shelf.home.decode(blobs), [text.encode() for text in attributes])
    return Lived(rows, valid_from, valid_to, fids)


def _add(
    shelf: Shelf,
    table: sa.Table,
    columns: Sequence[Column],
    rows: Rows,
    since: list[int],
    first_fid: int,
) -> None:
    if not len(rows):
        return
    fids = list(range(first_fid, first_fid + len(rows)))
    plain = [orjson.loads(attributes) for attributes in rows.attributes]
    cells = [[to_cell(row.get(c.name), c.type) for row in plain] for c in columns]
    names = [column.name for column in table.columns]
    values = zip(fids, shelf.home.encode(rows), rows.codes, *cells, since, strict=True)
    shelf.home.insert(shelf.connection, table, names, list(values))
    shelf.home.index(shelf.connection, table, fids, rows.bounds)


def _canonical(values: list[list[Any]], columns: Sequence[Column], count: int) -> list[bytes]:
    plain = [
        [from_cell(value, column.type) for value in column_values]
        for column, column_values in zip(columns, values, strict=True)
    ]
    names = [column.name for column in columns]
    by_row = zip(*plain, strict=True) if plain else iter([()] * count)
    return [canonical(dict(zip(names, row, strict=True))) for row in by_row]


def _by_column(fetched: Sequence[Any], width: int) -> list[list[Any]]:
    if not fetched:
        return [[] for _ in range(width)]
    return [list(values) for values in zip(*fetched, strict=True)]


def some(lived: Lived, where: list[int]) -> Lived:
    """Take the rows at positions."""
    return Lived(
        lived.rows.take(where),
        [lived.valid_from[i] for i in where],
        [lived.valid_to[i] for i in where],
        [lived.fids[i] for i in where],
    )


def joined(one: Lived, other: Lived) -> Lived:
    """Put two lots of rows one after the other."""
    return Lived(
        one.rows + other.rows,
        one.valid_from + other.valid_from,
        one.valid_to + other.valid_to,
        one.fids + other.fids,
    )


def _identifier(layer: str) -> str:
    return f"{LAYERS[layer].zh} {layer}"
