"""Stores made by an older version, brought up to this one's schema in one transaction.

A step upgrades from the version it is listed under to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from geo_service.store import log, revisions
from geo_service.store.home import Home
from geo_service.store.schema import SCHEMA_VERSION


def upgrade(home: Home, settings: Mapping[str, str]) -> dict[str, str]:
    """Upgrade a store where it is older; give its settings as they are then.

    Readers see the old state or the new one; two programs that open it at once upgrade it once.
    """
    if int(settings["schema"]) >= SCHEMA_VERSION:
        return dict(settings)
    table = home.schema.settings
    with home.writing() as connection:
        version = sa.select(table.c.value).where(table.c.key == "schema")
        for old in range(int(connection.execute(version).scalar_one()), SCHEMA_VERSION):
            _STEPS[old](home, connection)
        connection.execute(
            table.update().where(table.c.key == "schema").values(value=str(SCHEMA_VERSION))
        )
    return {**settings, "schema": str(SCHEMA_VERSION)}


def _roles_and_edits(home: Home, connection: sa.Connection) -> None:
    """From 1: who drew a revision, who accepted what; layers that QGIS may edit."""
    schema = home.schema
    log_table, drafts = schema.revisions, schema.drafts
    connection.exec_driver_sql(
        "ALTER TABLE gs_revisions ADD COLUMN drawn_by TEXT NOT NULL DEFAULT ''"
    )
    drawn: dict[int, str] = {
        row.id: row.author for row in connection.execute(sa.select(drafts.c.id, drafts.c.author))
    }
    stored = connection.execute(
        sa.select(log_table.c.id, log_table.c.author, log_table.c.draft, log_table.c.verdict)
        .add_columns(log_table.c.accepted)
        .order_by(log_table.c.id)
    ).all()
    for row in stored:
        errors = (row.verdict or {}).get("errors", {})
        accepted = [  # version 1 kept no reasons
            {"kind": k, "codes": [], "count": errors.get(k, 0), "by": row.author, "reason": ""}
            for k in row.accepted
        ]
        connection.execute(
            log_table.update()
            .where(log_table.c.id == row.id)
            .values(drawn_by=drawn.get(row.draft, ""), accepted=accepted)
        )
    for layer in log.numbers(schema, connection):
        revisions.rewrite(revisions.open_shelf(home, schema, connection, layer))


def _draft_edits(home: Home, connection: sa.Connection) -> None:
    """From 2: what was drawn on a draft."""
    home.schema.draft_edits.create(connection, checkfirst=True)


def _keys_and_audit(home: Home, connection: sa.Connection) -> None:
    """From 3: API keys; what was written, by whom and from where."""
    for table in (home.schema.keys, home.schema.audit):
        home.adopt(connection, table)


_STEPS: Mapping[int, Callable[[Home, sa.Connection], None]] = {
    1: _roles_and_edits,
    2: _draft_edits,
    3: _keys_and_audit,
}
