"""The revision log: one line for every state a layer was published in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from geo_service.store.records import Acceptance, Check, Revision
from geo_service.store.rows import Column
from geo_service.store.schema import Schema


def numbers(schema: Schema, connection: sa.Connection) -> dict[str, int]:
    """Give each published layer's latest revision."""
    table = schema.revisions
    query = sa.select(table.c.layer, sa.func.max(table.c.number)).group_by(table.c.layer)
    return {row[0]: row[1] for row in connection.execute(query)}


def glance(
    schema: Schema, connection: sa.Connection, layers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Give the essentials of each layer's latest revision."""
    latest = [revisions(schema, connection, layer)[-1] for layer in layers]
    return {
        revision.layer: {
            "revision": revision.number,
            "features": revision.features,
            "published_at": revision.published_at,
            "sha256": revision.sha256,
        }
        for revision in latest
    }


def revisions(schema: Schema, connection: sa.Connection, layer: str) -> list[Revision]:
    """Read a layer's revisions, oldest first."""
    table = schema.revisions
    query = sa.select(table).where(table.c.layer == layer).order_by(table.c.number)
    return [_revision(row._mapping) for row in connection.execute(query)]


def columns_at(
    schema: Schema, connection: sa.Connection, layer: str, number: int
) -> tuple[Column, ...]:
    """Read the attribute columns a revision has."""
    table = schema.revisions
    query = sa.select(table.c.columns).where(table.c.layer == layer, table.c.number == number)
    return columns_from(connection.execute(query).scalar_one())


def columns_from(stored: Sequence[Sequence[str]]) -> tuple[Column, ...]:
    """Columns as the store keeps them."""
    return tuple(Column(name, kind) for name, kind in stored)


def columns_to(columns: Sequence[Column]) -> list[list[str]]:
    """Columns for the store to keep."""
    return [[column.name, column.type] for column in columns]


def check_from(stored: Mapping[str, Any] | None) -> Check | None:
    """A verdict as the store keeps it."""
    if stored is None:
        return None
    named = tuple(stored.get("error_faults", ()))
    return Check(**{**stored, "notes": tuple(stored["notes"]), "error_faults": named})


def _revision(found: Mapping[Any, Any]) -> Revision:
    return Revision(
        layer=found["layer"],
        number=found["number"],
        published_at=found["published_at"],
        author=found["author"],
        message=found["message"],
        features=found["features"],
        sha256=found["sha256"],
        changes=found["changes"],
        check=check_from(found["verdict"]),
        accepted=tuple(Acceptance(**{**a, "codes": tuple(a["codes"])}) for a in found["accepted"]),
        draft=found["draft"],
        source=found["source"],
        source_sha256=found["source_sha256"],
        drawn_by=found["drawn_by"],
    )
