"""The store's own tables, in SQLAlchemy Core; both homes (GeoPackage, PostGIS) have the same.

Beside them every published layer is one plain spatial table under the layer's name, with real
columns, holding its current revision: what QGIS shows. Rows that a later revision replaced move to
``gs_history``; rows of drafts wait in ``gs_draft_features``, and what was drawn on them stands in
``gs_draft_edits``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

from geo_service.errors import InputError
from geo_service.store.rows import Column

APPLICATION = "geo-service"
SCHEMA_VERSION = 4
TABLES_KEPT = 64
"""Descriptions of layers' and plain tables that are kept.

SQLAlchemy keeps what it compiled by the table it was compiled for: one described anew at every
question is compiled anew, and kept beside hundreds of its like.
"""

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # GeoPackage knows no BIGINT
_TYPES: dict[str, TypeEngine[Any]] = {
    "integer": _INTEGER,
    "real": sa.Double(),
    "boolean": sa.Boolean(),
}


def _ddl(dialect: str, statement: str) -> Any:
    made: Any = sa.DDL(statement)  # type: ignore[no-untyped-call] # SQLAlchemy has none here
    return made.execute_if(dialect=dialect)


_NEVER = "审计记录只能追加 / the audit log is only added to"
_APPEND_ONLY = (
    *(
        _ddl(
            "sqlite",
            f"CREATE TRIGGER gs_audit_{event} BEFORE {event} ON gs_audit"
            f" BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END",
        )
        for event in ("UPDATE", "DELETE")
    ),
    _ddl(
        "postgresql",
        "CREATE FUNCTION gs_append_only() RETURNS trigger LANGUAGE plpgsql AS $only$"
        f" BEGIN RAISE EXCEPTION '{_NEVER}' USING ERRCODE = 'insufficient_privilege'; END $only$",
    ),
    _ddl(
        "postgresql",
        "CREATE TRIGGER gs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gs_audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION gs_append_only()",
    ),
)
"""What keeps the audit log from being changed by anybody, ourselves included."""


class Json(TypeDecorator[Any]):
    """Plain data as JSON text: a column that every GIS program can show."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Write plain data."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Read plain data."""
        return None if value is None else orjson.loads(value)


@dataclass(frozen=True)
class Schema:
    """The tables of one store, in the types of its home.

    `geometry` gives the home's column type for a kind of geometry (``POLYGON``, ``GEOMETRY`` ...);
    `longest_name_bytes` is how long a column's name may be there, in UTF-8.
    """

    geometry: Callable[[str], TypeEngine[Any]]
    longest_name_bytes: int | None
    metadata: sa.MetaData
    settings: sa.Table
    revisions: sa.Table
    drafts: sa.Table
    draft_features: sa.Table
    draft_edits: sa.Table
    history: sa.Table
    codes: sa.Table
    tables: sa.Table
    keys: sa.Table
    audit: sa.Table

    def layer_table(self, name: str, columns: Sequence[Column], kind: str = "GEOMETRY") -> sa.Table:
        """Describe the table of a layer's current revision."""
        return _layer_table(self.geometry, self.longest_name_bytes, name, tuple(columns), kind)

    def attribute_table(self, name: str, columns: Sequence[Column]) -> sa.Table:
        """Describe a table of plain rows: addresses, facilities, candidates, demand."""
        return _attribute_table(self.longest_name_bytes, name, tuple(columns))


@lru_cache(maxsize=TABLES_KEPT)
def _layer_table(
    geometry: Callable[[str], TypeEngine[Any]],
    longest_name_bytes: int | None,
    name: str,
    columns: tuple[Column, ...],
    kind: str,
) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("fid", sa.Integer, primary_key=True),
        sa.Column("geom", geometry(kind), nullable=False),
        sa.Column("code", sa.Text, nullable=False, server_default=""),
        *_attributes(columns, longest_name_bytes),
        sa.Column("valid_from", sa.Integer, nullable=False, server_default="0"),
        sa.Index(f"{name}_code", "code"),
        quote=True,  # a name may be a word of SQL
        sqlite_autoincrement=True,
    )


@lru_cache(maxsize=TABLES_KEPT)
def _attribute_table(
    longest_name_bytes: int | None, name: str, columns: tuple[Column, ...]
) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("fid", sa.Integer, primary_key=True),
        *_attributes(columns, longest_name_bytes),
        quote=True,  # a name may be a word of SQL
        sqlite_autoincrement=True,
    )


def schema(
    geometry: Callable[[str], TypeEngine[Any]],
    *,
    history: TypeEngine[Any],
    draft: TypeEngine[Any],
    longest_name_bytes: int | None = None,
) -> Schema:
    """Describe a store's own tables for a home.

    Parameters
    ----------
    geometry : callable
        Kind of geometry -> the column type of a layer's table.
    history, draft : sqlalchemy type
        The column types of geometries that are not current any more, or not yet: a draft may hold
        what no published layer would.
    longest_name_bytes : int, optional
        How long a column's name may be; ``None``: any length.
    """
    json, key = Json(), _INTEGER
    metadata = sa.MetaData()
    settings = sa.Table(
        "gs_settings",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    revisions = sa.Table(
        "gs_revisions",
        metadata,
        sa.Column("id", key, primary_key=True),
        sa.Column("layer", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("published_at", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("features", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("changes", json, nullable=False),
        sa.Column("columns", json, nullable=False),
        sa.Column("verdict", json),
        sa.Column("accepted", json, nullable=False),
        sa.Column("draft", sa.Integer),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_sha256", sa.Text, nullable=False),
        sa.Column("drawn_by", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("layer", "number"),
    )
    drafts = sa.Table(
        "gs_drafts",
        metadata,
        sa.Column("id", key, primary_key=True),
        sa.Column("layer", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("base_revision", sa.Integer, nullable=False),
        sa.Column("replace_within", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("crs", sa.Text, nullable=False),
        sa.Column("notes", json, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("features", sa.Integer, nullable=False),
        sa.Column("columns", json, nullable=False),
        sa.Column("check", json),
        sa.Column("revision", sa.Integer),
        sqlite_autoincrement=True,  # a discarded draft's number is not given again
    )
    draft_features = sa.Table(
        "gs_draft_features",
        metadata,
        sa.Column("draft", key, sa.ForeignKey(drafts.c.id), primary_key=True),
        sa.Column("position", key, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("geom", draft, nullable=False),
    )
    draft_edits = sa.Table(
        "gs_draft_edits",
        metadata,
        sa.Column("draft", key, sa.ForeignKey(drafts.c.id), primary_key=True),
        sa.Column("number", key, primary_key=True),
        sa.Column("token", sa.Text, nullable=False),  # no two operations have the same
        sa.Column("operation", json, nullable=False),
        sa.Column("changed", json, nullable=False),
        sa.Column("retired", json, nullable=False),
        sa.Column("created", json, nullable=False),
        sa.Column("notes", json, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("undone", sa.Integer, nullable=False),
        sa.Column("before", json, nullable=False),  # rows as the operation found them
        sa.Column("after", json, nullable=False),  # and as it left them
    )
    past = sa.Table(
        "gs_history",
        metadata,
        sa.Column("id", key, primary_key=True),
        sa.Column("layer", sa.Text, nullable=False),
        sa.Column("valid_from", sa.Integer, nullable=False),
        sa.Column("valid_to", sa.Integer, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("geom", history, nullable=False),
        sa.Index("gs_history_validity", "layer", "valid_to", "valid_from"),
        sa.Index("gs_history_code", "code"),
    )
    codes = sa.Table(
        "gs_codes",
        metadata,
        sa.Column("layer", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("since", sa.Integer, nullable=False),
        sa.Column("retired", sa.Integer),
        sa.Index("gs_codes_code", "code"),
    )
    tables = sa.Table(
        "gs_tables",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("columns", json, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )
    keys = sa.Table(
        "gs_keys",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False, unique=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("areas", json, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Text),
        sa.Column("revoked_at", sa.Text),
    )
    audit = sa.Table(
        "gs_audit",
        metadata,
        sa.Column("id", key, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("before", json),
        sa.Column("after", json),
        sa.Column("chain", sa.Text, nullable=False),
    )
    for statement in _APPEND_ONLY:
        sa.event.listen(audit, "after_create", statement)
    return Schema(
        geometry=geometry,
        longest_name_bytes=longest_name_bytes,
        metadata=metadata,
        settings=settings,
        revisions=revisions,
        drafts=drafts,
        draft_features=draft_features,
        draft_edits=draft_edits,
        history=past,
        codes=codes,
        tables=tables,
        keys=keys,
        audit=audit,
    )


def refuse_foreign(settings: Mapping[str, str], *, store: str) -> None:
    """Refuse a store that is another program's, or a newer version's.

    Raises
    ------
    InputError
        ``store_foreign``, ``store_newer``.
    """
    if settings.get("application") != APPLICATION:
        raise InputError("store_foreign", store=store)
    if int(settings["schema"]) > SCHEMA_VERSION:
        raise InputError("store_newer", store=store, schema=settings["schema"])


def _attributes(columns: Sequence[Column], longest_name_bytes: int | None) -> list[sa.Column[Any]]:
    """Real columns; a name that differs from another in case only gets a number behind it."""
    taken = {"fid", "geom", "code", "valid_from"}
    out = []
    for column in columns:
        name, number = _cut(column.name, longest_name_bytes), 1
        while name.casefold() in taken:
            number += 1
            end = f"_{number}"
            room = None if longest_name_bytes is None else longest_name_bytes - len(end)
            name = _cut(column.name, room) + end
        taken.add(name.casefold())
        out.append(sa.Column(name, _TYPES.get(column.type, sa.Text()), quote=True))
    return out


def _cut(name: str, length_bytes: int | None) -> str:
    """Shorten a name between two characters, not within one."""
    return name.encode()[:length_bytes].decode(errors="ignore")
