"""Drafts: what was uploaded, what it would make of its layer, and what forbids publishing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import sqlalchemy as sa

from geo_service import codes, crs
from geo_service.errors import ConflictError, MissingError
from geo_service.notes import Note
from geo_service.store import conversion, log, rebasing, register, revisions, times
from geo_service.store.rebasing import Rebased
from geo_service.store.records import Check, Clash, Draft, State, Told, told
from geo_service.store.revisions import Shelf
from geo_service.store.rows import RESERVED, Column, Rows, from_frame
from geo_service.store.schema import Schema

_SHOWN = 5  # codes named in one message
_STATES_ZH = {"published": "发布", "discarded": "作废"}

_MOST_NUMBER = 2**63 - 1  # what a database can compare with


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upload in the working plane, taken apart."""

    rows: Rows
    columns: tuple[Column, ...]
    crs: str
    notes: tuple[Note, ...]


def arrive(
    frame: gpd.GeoDataFrame, plane: str, *, source: str, replace_within: str | None
) -> Arrived:
    """Bring an upload into the plane and take it apart, noting what is left out."""
    converted, notes = conversion.into_plane(frame, plane, source=source)
    rows, columns = from_frame(converted, source=source)
    left_out = [str(c) for c in frame.columns if str(c) in RESERVED]
    if left_out:
        names = ", ".join(left_out)
        notes += (Note("columns_dropped", f"未保留列：{names}。", f"Columns left out: {names}."),)
    if replace_within is not None:
        rows, outside = _inside(rows, replace_within)
        notes += outside
    return Arrived(rows, columns, crs.name(frame.crs), notes)


def put(shelf: Shelf, arrived: Arrived, *, notes: Iterable[Note | Told], **record: Any) -> int:
    """Write a draft and its rows; give its number."""
    drafts = shelf.schema.drafts
    inserted = shelf.connection.execute(
        drafts.insert().values(
            layer=shelf.layer,
            state="open",
            base_revision=shelf.number,
            crs=arrived.crs,
            notes=[told(note) for note in notes],
            created_at=times.now(),
            features=len(arrived.rows),
            columns=log.columns_to(arrived.columns),
            **record,
        )
    )
    key = inserted.inserted_primary_key
    assert key is not None  # both homes give it
    number = int(key[0])
    rows = arrived.rows
    values = zip(
        [number] * len(rows),
        range(len(rows)),
        rows.codes,
        [attributes.decode() for attributes in rows.attributes],
        shelf.home.encode(rows),
        strict=True,
    )
    names = ["draft", "position", "code", "attributes", "geom"]
    shelf.home.insert(shelf.connection, shelf.schema.draft_features, names, list(values))
    return number


def listed(schema: Schema, connection: sa.Connection) -> list[Draft]:
    """Read every draft's record, oldest first."""
    found = connection.execute(sa.select(schema.drafts).order_by(schema.drafts.c.id))
    return [_draft(row) for row in found]


def get(schema: Schema, connection: sa.Connection, number: int) -> Draft:
    """Read one draft's record.

    Raises
    ------
    MissingError
        ``draft_unknown``.
    """
    query = sa.select(schema.drafts).where(schema.drafts.c.id == number)
    row = connection.execute(query).first() if abs(number) <= _MOST_NUMBER else None
    if row is None:
        raise MissingError("draft_unknown", draft=number)
    return _draft(row)


def require_open(draft: Draft) -> Draft:
    """Refuse a closed draft with ``draft_closed``."""
    if draft.state != "open":
        state = f"{_STATES_ZH[draft.state]} {draft.state}"
        raise ConflictError("draft_closed", draft=draft.id, state=state)
    return draft


def rebased(shelf: Shelf, draft: Draft) -> Rebased:
    """Give a draft's rows on the latest revision of its layer."""
    rows, _ = _content(shelf, draft.id)
    return rebasing.rebase(shelf, rows, base=draft.base_revision, area=draft.replace_within)


def whole_layer(shelf: Shelf, draft: Draft) -> tuple[Rows, tuple[Column, ...], tuple[Clash, ...]]:
    """Give the layer as it would be with a draft in it, and what forbids that."""
    _, columns = _content(shelf, draft.id)
    based = rebased(shelf, draft)
    if based.taken or draft.replace_within is not None:
        columns = _united(shelf.columns, columns)
    if draft.replace_within is None:
        return based.rows, columns, based.clashes
    published = revisions.current(shelf).rows
    around = [
        i
        for i, code in enumerate(published.codes)
        if not codes.is_within(code, draft.replace_within)
    ]
    return published.take(around) + based.rows, columns, based.clashes


def keep_check(schema: Schema, connection: sa.Connection, number: int, check: Check) -> None:
    """Keep a verdict with its draft."""
    connection.execute(
        schema.drafts.update().where(schema.drafts.c.id == number).values(check=check.to_dict())
    )


def close(
    schema: Schema, connection: sa.Connection, number: int, state: State, revision: int | None
) -> None:
    """Close a draft and let its rows go."""
    features, edits = schema.draft_features, schema.draft_edits
    connection.execute(features.delete().where(features.c.draft == number))
    # What was done stays told; the rows that undoing takes are let go with the others.
    connection.execute(edits.update().where(edits.c.draft == number).values(before=[], after=[]))
    connection.execute(
        schema.drafts.update()
        .where(schema.drafts.c.id == number)
        .values(state=state, revision=revision)
    )


def refuse_stale(shelf: Shelf, draft: Draft, clashes: Sequence[Clash]) -> None:
    """Refuse a draft that changes what was published differently since it was made.

    Raises
    ------
    ConflictError
        ``draft_stale``, naming the codes, who published them and when.
    """
    if not clashes:
        return
    shown = [*map(str, clashes[:_SHOWN]), *(["…"] if len(clashes) > _SHOWN else [])]
    raise ConflictError(
        "draft_stale",
        draft=draft.id,
        layer=shelf.layer,
        revision=shelf.number,
        count=len(clashes),
        codes=shown,
    )


def refuse_reused_codes(shelf: Shelf, rows: Rows) -> None:
    """Refuse codes that were retired.

    Raises
    ------
    ConflictError
        ``code_reused``.
    """
    reused = sorted(register.retired(shelf) & set(rows.codes))
    if reused:
        shown = [*reused[:_SHOWN], *(["…"] if len(reused) > _SHOWN else [])]
        raise ConflictError("code_reused", codes=shown, count=len(reused))


def _inside(rows: Rows, area: str) -> tuple[Rows, tuple[Note, ...]]:
    """Keep the rows of an area, and those without a code for the check to find."""
    kept = [i for i, code in enumerate(rows.codes) if not code or codes.is_within(code, area)]
    if len(kept) == len(rows):
        return rows, ()
    outside = sorted(set(rows.codes) - {rows.codes[i] for i in kept})
    shown = ", ".join(outside[:_SHOWN]) + (" …" if len(outside) > _SHOWN else "")
    count = len(rows) - len(kept)
    note = Note(
        "outside_area",
        f"{count} 个要素的编码不在 {area} 范围内，未纳入：{shown}。",
        f"{count} features have codes outside {area} and were left out: {shown}.",
    )
    return rows.take(kept), (note,)


def some(
    shelf: Shelf, draft: Draft, wanted: Sequence[str] | None
) -> tuple[Rows, tuple[Column, ...]]:
    """Give the rows of a draft, or those that have some codes."""
    if wanted is None:
        return _content(shelf, draft.id)
    return _content(shelf, draft.id, shelf.schema.draft_features.c.code.in_(wanted))


def _content(
    shelf: Shelf, number: int, *conditions: sa.ColumnElement[bool]
) -> tuple[Rows, tuple[Column, ...]]:
    drafts, features = shelf.schema.drafts, shelf.schema.draft_features
    stored = shelf.connection.execute(sa.select(drafts.c.columns).where(drafts.c.id == number))
    columns = log.columns_from(stored.scalar_one())
    query = (
        sa.select(features.c.code, features.c.attributes, features.c.geom)
        .where(features.c.draft == number, *conditions)
        .order_by(features.c.position)
    )
    found = shelf.connection.execute(query).all()
    rows = Rows(
        [row[0] for row in found],
        shelf.home.decode([row[2] for row in found]),
        [row[1].encode() for row in found],
    )
    return rows, columns


def _united(published: tuple[Column, ...], arrived: tuple[Column, ...]) -> tuple[Column, ...]:
    """Columns of both; where a column's types differ it becomes the wider one."""
    out = {column.name: column for column in published}
    for column in arrived:
        known = out.get(column.name)
        out[column.name] = column if known is None else replace(known, type=_wider(known, column))
    return tuple(out.values())


def _wider(one: Column, other: Column) -> str:
    if one.type == other.type:
        return one.type
    return "real" if {one.type, other.type} == {"integer", "real"} else "text"


def _draft(row: sa.Row[Any]) -> Draft:
    found = row._mapping
    return Draft(
        id=found["id"],
        layer=found["layer"],
        state=found["state"],
        base_revision=found["base_revision"],
        replace_within=found["replace_within"],
        source=found["source"],
        sha256=found["sha256"],
        crs=found["crs"],
        notes=tuple(found["notes"]),
        author=found["author"],
        created_at=found["created_at"],
        features=found["features"],
        check=log.check_from(found["check"]),
        revision=found["revision"],
    )
