"""A draft under the pen: operations done on its rows, each kept with what it changed.

The rows of a draft are always as the last operation left them, so a check or a publication sees
them as any other draft's. Beside them stands what each operation found and what it left, row by
row: taking it back puts those very bytes back, in whichever process, and redoing puts them forth.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import geopandas as gpd
import orjson
import shapely
import sqlalchemy as sa

from geo_service import codes, crs
from geo_service.errors import ConflictError, GeoServiceError, MissingError
from geo_service.store import drafts, register, revisions, tables, times
from geo_service.store.records import Draft, DraftEdit, told
from geo_service.store.revisions import Shelf
from geo_service.store.rows import Rows, canonical, content_hash

if TYPE_CHECKING:
    from geo_service.drawing import Change, Session

SOURCE = "drawing"

HOMES = "buildings"
"""The table that tells where people live: ``lon``, ``lat`` (WGS 84), ``households``."""

_KEPT = 8

KeptRow = tuple[int, str, str, str]
"""Position, code, attributes and WKB (base64) of one row of a draft."""


@dataclass
class Pen:
    """A draft's rows open for drawing: the session, and where each code stands.

    `token` is that of the last operation its rows have seen, so it tells the state they are in.
    """

    session: Session
    positions: dict[str, int]
    token: str


class Pens:
    """The pens of the drafts drawn on last; one that another process left behind is not given."""

    def __init__(self) -> None:
        self._pens: OrderedDict[int, Pen] = OrderedDict()
        self._lock = Lock()

    def take(self, draft: int, token: str) -> Pen | None:
        """Take a draft's pen out, if it is at the state of a token."""
        with self._lock:
            pen = self._pens.pop(draft, None)
        return pen if pen is not None and pen.token == token else None

    def keep(self, draft: int, pen: Pen) -> None:
        """Keep a draft's pen for the next operation."""
        with self._lock:
            self._pens[draft] = pen
            while len(self._pens) > _KEPT:
                self._pens.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _State:
    """Where a draft's log stands: its last number, and the last operation not taken back."""

    last: int
    done: int
    token: str


def open_draft(shelf: Shelf, plane: str, *, within: str | None, author: str) -> int:
    """Make a draft of the published rows (of an area), to be drawn on; give its number.

    Raises
    ------
    MissingError
        ``code_unknown`` where the layer has nothing there.
    """
    rows = revisions.current(shelf).rows
    if within is not None:
        rows = rows.take(i for i, code in enumerate(rows.codes) if codes.is_within(code, within))
    if not len(rows):
        raise MissingError("code_unknown", code=within or "", what=shelf.layer)
    return drafts.put(
        shelf,
        drafts.Arrived(rows, shelf.columns, plane, ()),
        notes=(),
        source=SOURCE,
        sha256=content_hash(rows.digests()),
        author=author,
        replace_within=within,
    )


def do(
    shelf: Shelf, draft: Draft, pens: Pens, operation: Any, *, plane: str, author: str
) -> DraftEdit:
    """Do an operation on a draft; what was taken back before can't be redone after it."""
    table = shelf.schema.draft_edits
    state = _state(shelf, draft.id)
    pen = pens.take(draft.id, state.token) or _open(shelf, draft, state.token, plane)
    try:
        change = pen.session.apply(operation)
    except GeoServiceError:
        pens.keep(draft.id, pen)  # refused: nothing has changed
        raise
    number = state.done + 1
    undone = (table.c.draft == draft.id) & (table.c.number >= number)
    shelf.connection.execute(table.delete().where(undone))
    before = _stored(shelf, draft.id, [pen.positions[code] for code in change.before])
    after = _rows_after(pen, change)
    pen.token = uuid4().hex
    shelf.connection.execute(
        table.insert().values(
            draft=draft.id, number=number, token=pen.token, operation=dict(change.operation),
            changed=dict(change.changed), retired=change.retired, created=change.created,
            notes=[told(note) for note in change.notes], author=author, made_at=times.now(),
            undone=0, before=before, after=after,
        )
    )  # fmt: skip
    _exchange(shelf, draft, before, after)
    _carry(pen, before, after)
    pens.keep(draft.id, pen)
    return _read(shelf, draft.id, number)


def undo(shelf: Shelf, draft: Draft, pens: Pens) -> DraftEdit:
    """Take the last operation back.

    Raises
    ------
    ConflictError
        ``nothing_to_undo``.
    """
    state = _state(shelf, draft.id)
    if state.done == 0:
        raise ConflictError("nothing_to_undo", draft=draft.id)
    gone, come = _kept(shelf, draft.id, state.done)
    _exchange(shelf, draft, come, gone)
    edit = _mark(shelf, draft.id, state.done, undone=True)
    pen = pens.take(draft.id, state.token)
    if pen is not None and pen.session.undo() is not None:
        _carry(pen, come, gone)
        pen.token = _state(shelf, draft.id).token
        pens.keep(draft.id, pen)
    return edit


def redo(shelf: Shelf, draft: Draft, pens: Pens) -> DraftEdit:
    """Do the operation again that was taken back last.

    Raises
    ------
    ConflictError
        ``nothing_to_redo``.
    """
    state = _state(shelf, draft.id)
    if state.last == state.done:
        raise ConflictError("nothing_to_redo", draft=draft.id)
    gone, come = _kept(shelf, draft.id, state.done + 1)
    _exchange(shelf, draft, gone, come)
    # No pen is asked: another process may have taken back something else than it has.
    return _mark(shelf, draft.id, state.done + 1, undone=False)


def history(shelf: Shelf, draft: int) -> list[DraftEdit]:
    """Read what was done to a draft, oldest first; what was taken back is told as such."""
    table = shelf.schema.draft_edits
    query = _told_of(shelf).where(table.c.draft == draft).order_by(table.c.number)
    return [_edit(row) for row in shelf.connection.execute(query)]


def _kept(shelf: Shelf, draft: int, number: int) -> tuple[list[KeptRow], list[KeptRow]]:
    """Give the rows an operation found and those it left."""
    table = shelf.schema.draft_edits
    which = (table.c.draft == draft) & (table.c.number == number)
    query = sa.select(table.c.before, table.c.after).where(which)
    before, after = shelf.connection.execute(query).one()
    return before, after


def _mark(shelf: Shelf, draft: int, number: int, *, undone: bool) -> DraftEdit:
    table = shelf.schema.draft_edits
    which = (table.c.draft == draft) & (table.c.number == number)
    shelf.connection.execute(table.update().where(which).values(undone=int(undone)))
    return _read(shelf, draft, number)


def _carry(pen: Pen, gone: Sequence[KeptRow], come: Sequence[KeptRow]) -> None:
    for _, code, *_ in gone:
        del pen.positions[code]
    pen.positions |= {code: position for position, code, _, _ in come}


def _open(shelf: Shelf, draft: Draft, token: str, plane: str) -> Pen:
    from geo_service.drawing import Session  # compiled loops: only whoever draws waits for them

    features = shelf.schema.draft_features
    query = (
        sa.select(features.c.position, features.c.code, features.c.attributes, features.c.geom)
        .where(features.c.draft == draft.id)
        .order_by(features.c.position)
    )
    found = shelf.connection.execute(query).all()
    own = [row.code for row in found]
    wkb = shelf.home.decode([row.geom for row in found])
    taken = [*revisions.current(shelf).rows.codes, *register.retired(shelf)]
    session = Session(
        own,
        Rows(own, wkb, [b""] * len(own)).geometries,
        [orjson.loads(row.attributes) for row in found],
        taken=taken,
        homes=_homes(shelf, plane),
    )
    return Pen(session, {row.code: row.position for row in found}, token)


def _homes(shelf: Shelf, plane: str) -> gpd.GeoDataFrame | None:
    """Give the houses with their households, where the store has a table of them."""
    if HOMES not in tables.sizes(shelf.schema, shelf.connection):
        return None
    houses = tables.get(shelf.schema, shelf.connection, HOMES)
    if not {"lon", "lat", "households"} <= set(houses):
        return None
    return crs.placed(houses, plane, datum="wgs84")


def _state(shelf: Shelf, draft: int) -> _State:
    table = shelf.schema.draft_edits
    query = (
        sa.select(table.c.number, table.c.token, table.c.undone)
        .where(table.c.draft == draft)
        .order_by(table.c.number)
    )
    rows = shelf.connection.execute(query).all()
    done = [row for row in rows if not row.undone]
    last = rows[-1].number if rows else 0
    return _State(last, done[-1].number, done[-1].token) if done else _State(last, 0, "")


def _stored(shelf: Shelf, draft: int, positions: Sequence[int]) -> list[KeptRow]:
    features = shelf.schema.draft_features
    query = (
        sa.select(features.c.position, features.c.code, features.c.attributes, features.c.geom)
        .where(features.c.draft == draft, features.c.position.in_(positions))
        .order_by(features.c.position)
    )
    found = shelf.connection.execute(query).all()
    wkb = shelf.home.decode([row.geom for row in found])
    return [
        (row.position, row.code, row.attributes, b64encode(each).decode())
        for row, each in zip(found, wkb, strict=True)
    ]


def _rows_after(pen: Pen, change: Change) -> list[KeptRow]:
    new = iter(range(max(pen.positions.values()) + 1, 2**62))
    rows = []
    for code, grid in change.after.items():
        position = pen.positions[code] if code in pen.positions else next(new)
        wkb = shapely.to_wkb(grid.geometry, byte_order=1, flavor="iso")
        attributes = canonical(dict(grid.row)).decode()
        rows.append((position, code, attributes, b64encode(wkb).decode()))
    return rows


def _exchange(shelf: Shelf, draft: Draft, gone: Sequence[KeptRow], come: Sequence[KeptRow]) -> None:
    """Put rows of a draft in the place of others; its check no longer holds."""
    features, table = shelf.schema.draft_features, shelf.schema.drafts
    positions = [row[0] for row in gone]
    shelf.connection.execute(
        features.delete().where(features.c.draft == draft.id, features.c.position.in_(positions))
    )
    wkb = [b64decode(row[3]) for row in come]
    rows = Rows([row[1] for row in come], wkb, [row[2].encode() for row in come])
    blobs = shelf.home.encode(rows)
    values = [(draft.id, *row[:3], blob) for row, blob in zip(come, blobs, strict=True)]
    names = ["draft", "position", "code", "attributes", "geom"]
    shelf.home.insert(shelf.connection, features, names, values)
    shelf.connection.execute(
        table.update()
        .where(table.c.id == draft.id)
        .values(features=table.c.features + len(come) - len(gone), check=None)
    )


def _read(shelf: Shelf, draft: int, number: int) -> DraftEdit:
    table = shelf.schema.draft_edits
    which = (table.c.draft == draft) & (table.c.number == number)
    return _edit(shelf.connection.execute(_told_of(shelf).where(which)).one())


def _told_of(shelf: Shelf) -> sa.Select[Any]:
    table = shelf.schema.draft_edits
    return sa.select(*(c for c in table.c if c.name not in ("before", "after")))


def _edit(row: sa.Row[Any]) -> DraftEdit:
    found = row._mapping
    return DraftEdit(
        number=found["number"],
        operation=found["operation"],
        changed=found["changed"],
        retired=tuple(found["retired"]),
        created=tuple(found["created"]),
        notes=tuple(found["notes"]),
        author=found["author"],
        made_at=found["made_at"],
        undone=bool(found["undone"]),
    )
