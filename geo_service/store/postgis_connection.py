"""Reaching a store's database: its address, its connections, its refusals in our words.

An address is a ``postgresql://`` URL as libpq takes it (``PGPASSWORD``, ``~/.pgpass`` and
``sslmode=`` work too), with one parameter of ours: ``schema``, by default ``geo_service``. Each
schema holds one store. A password never leaves this module: whatever is shown or told says
``***`` in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from geo_service.errors import ConflictError, InputError, Phrase, because
from geo_service.store import _postgis_sql as sql

DEFAULT_SCHEMA = "geo_service"
_LONGEST_SCHEMA_BYTES = 63
_SECRETS = frozenset({"password", "sslpassword", "passfile"})
_UNLESS_ASKED = {
    "connect_timeout": 10,
    "application_name": "geo-service",
    "keepalives_idle": 30,  # a writer whose machine is gone does not keep its lock for hours
}


@dataclass(frozen=True, repr=False)
class Address:
    """Where a store lies in which database.

    Parameters
    ----------
    url : sqlalchemy.URL
        How to connect.
    schema : str
        The schema that holds the store.
    """

    url: sa.URL
    schema: str

    @property
    def name(self) -> str:
        """The address as people may see it: without its secrets."""
        shown = self.url.set(drivername="postgresql")
        secret = _SECRETS & shown.query.keys()
        shown = shown.update_query_dict(dict.fromkeys(secret, "***"))
        if self.schema != DEFAULT_SCHEMA:
            shown = shown.update_query_dict({"schema": self.schema})
        return shown.render_as_string(hide_password=True)

    @property
    def file_name(self) -> str:
        """The name of a GeoPackage after the database and, where it says more, the schema."""
        names = [self.url.database or "city"]
        names += [self.schema] if self.schema != DEFAULT_SCHEMA else []
        return "".join(c if c.isalnum() or c in "-_" else "_" for c in "-".join(names)) + ".gpkg"

    def __repr__(self) -> str:
        return f"<Address {self.name}>"


def parse(url: str) -> Address:
    """Take a store's URL apart.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    scheme = url.partition("://")[0]
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        reason = Phrase(
            "库是一个文件（如 city.gpkg），或 postgresql://user@host/database",
            "a store is a file, such as city.gpkg, or postgresql://user@host/database",
        )
        raise InputError("parameter_invalid", name="store", value=f"{scheme}://…", reason=reason)
    try:
        parsed = sa.make_url("postgresql+psycopg" + url[len(scheme) :])
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is None:  # outside of the except: what was raised shows the password
        reason = Phrase(
            "不是 postgresql://user:password@host:5432/database 这样的地址",
            "not a URL such as postgresql://user:password@host:5432/database",
        )
        raise InputError("parameter_invalid", name="store", value=f"{scheme}://…", reason=reason)
    schema = parsed.query.get("schema", DEFAULT_SCHEMA)
    if (
        not isinstance(schema, str)
        or not 0 < len(schema.encode()) <= _LONGEST_SCHEMA_BYTES
        or schema.startswith("pg_")
        or schema == "information_schema"
        or "\0" in schema
    ):
        reason = Phrase(
            "应为一个名称，最多 63 字节，不以 pg_ 开头",
            "one name of at most 63 bytes that does not begin with pg_",
        )
        raise InputError("parameter_invalid", name="schema", value=str(schema), reason=reason)
    return Address(parsed.difference_update_query(["schema"]), schema)


def engine_of(address: Address) -> sa.Engine:
    """Give an engine that finds its way back after the server was away."""
    asked = address.url.query.keys()
    return sa.create_engine(
        address.url,
        pool_pre_ping=True,
        hide_parameters=True,  # what people are called has no place in a log
        connect_args={
            "client_encoding": "utf8",
            "prepare_threshold": None,  # tables are replaced, and poolers keep no statements
            **{name: value for name, value in _UNLESS_ASKED.items() if name not in asked},
        },
    )


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def told(store: str) -> Iterator[None]:
    """Turn the server's refusals into ours."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _refusal(store, error.orig, lost=error.connection_invalidated) from error
    except psycopg.Error as error:
        raise _refusal(store, error) from error
    except sa.exc.TimeoutError as error:  # every connection of the pool is taken
        raise ConflictError("store_busy", store=store, seconds=sql.BUSY_SECONDS) from error


def _refusal(
    store: str, error: BaseException | None, *, lost: bool = False
) -> InputError | ConflictError:
    reason = because(error) if error else ""
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return ConflictError("store_busy", store=store, seconds=sql.BUSY_SECONDS)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return InputError("store_forbidden", store=store, reason=reason)
    away = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    shut = isinstance(error, psycopg.errors.AdminShutdown | psycopg.errors.CannotConnectNow)
    if lost or away or shut:
        return InputError("store_unreachable", store=store, reason=reason)
    return InputError("store_unusable", store=store, reason=reason)


def together(connection: sa.Connection, *statements: str) -> None:
    """Run statements in one message to the server."""
    plainly(connection, ";".join(statements))


def plainly(connection: sa.Connection, statement: str) -> None:
    """Run a statement in which ``%`` means itself."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
