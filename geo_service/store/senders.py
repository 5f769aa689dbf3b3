"""How each sender names the columns: said once with ``--map``, remembered in the settings."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import sqlalchemy as sa

from geo_service.store.schema import Schema

_PREFIX = "fields:"


def listed(schema: Schema, connection: sa.Connection) -> dict[str, dict[str, str]]:
    """Give each sender's fields: our name -> the column."""
    table = schema.settings
    query = sa.select(table.c.key, table.c.value).where(table.c.key.startswith(_PREFIX))
    found = connection.execute(query.order_by(table.c.key))
    return {key.removeprefix(_PREFIX): orjson.loads(value) for key, value in found}


def put(schema: Schema, connection: sa.Connection, sender: str, fields: Mapping[str, str]) -> None:
    """Remember a sender's fields, instead of what was known; none: forget the sender."""
    table, key = schema.settings, _PREFIX + sender
    connection.execute(table.delete().where(table.c.key == key))
    if fields:
        value = orjson.dumps(dict(fields)).decode()
        connection.execute(table.insert().values(key=key, value=value))
