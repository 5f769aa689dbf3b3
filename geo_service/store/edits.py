"""Edits made in QGIS to a published layer's table: noticed, and taken in as a draft or put back.

Only a GeoPackage can be edited behind the store's back; a database refuses. What was published
stays what every reader sees: see `geopackage`.
"""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from geo_service.notes import Note
from geo_service.store import drafts, revisions
from geo_service.store.records import Edit
from geo_service.store.revisions import Shelf
from geo_service.store.rows import Column, Rows, content_hash, to_frame

SOURCE = "QGIS"


def found(shelf: Shelf) -> Edit | None:
    """Tell what was edited of a layer; ``None`` where its table is as published."""
    at = None if shelf.number == 0 else shelf.home.edited_at(shelf.connection, shelf.layer)
    if at is None:
        return None
    now, _ = _edited(shelf)
    before = revisions.current(shelf).rows
    _, leaves, comes = revisions.match_equal(before.digests(), now.digests())
    gone = Counter(before.codes[i] for i in leaves)
    born = Counter(now.codes[j] for j in comes)
    return Edit(
        layer=shelf.layer,
        at=at,
        added=tuple(sorted((born - gone).elements())),
        removed=tuple(sorted((gone - born).elements())),
        changed=tuple(sorted((gone & born).elements())),
    )


def take(shelf: Shelf, plane: str, *, author: str) -> int | None:
    """Make a draft of what was edited and put the published rows back; give its number.

    ``None`` where nothing is different: then the rows are only put back.
    """
    edit = found(shelf)
    if edit is None:
        return None
    rows, columns = _edited(shelf)
    put_back(shelf)
    if not edit.features:
        return None
    frame = to_frame(rows, columns, plane)
    arrived = drafts.arrive(frame, plane, source=SOURCE, replace_within=None)
    note = Note(
        "edited_outside",
        f"{edit.at[:16]} 在 GIS 软件中直接编辑：新增 {len(edit.added)}，删除 {len(edit.removed)}，"
        f"改动 {len(edit.changed)}。",
        f"Edited in a GIS program at {edit.at[:16]}: {len(edit.added)} added, "
        f"{len(edit.removed)} removed, {len(edit.changed)} changed.",
    )
    return drafts.put(
        shelf,
        arrived,
        notes=[note, *arrived.notes],
        source=SOURCE,
        sha256=content_hash(arrived.rows.digests()),
        author=author,
        replace_within=None,
    )


def put_back(shelf: Shelf) -> None:
    """Let go of what was edited; the table is as published again."""
    shelf.home.restore(shelf.connection, shelf.table)


def _edited(shelf: Shelf) -> tuple[Rows, tuple[Column, ...]]:
    """Read a layer's table as it stands, with the columns that were added."""
    added = shelf.home.added_columns(shelf.connection, shelf.table)
    named = {column.name for column in shelf.columns}
    columns = (*shelf.columns, *(c for c in added if c.name not in named))
    table = shelf.schema.layer_table(shelf.layer, columns)
    order = sa.select(*(table.c[c.name] for c in table.columns)).order_by(table.c.fid)
    fetched = shelf.connection.execute(order).all()
    return revisions.from_table(shelf, fetched, columns).rows, columns
