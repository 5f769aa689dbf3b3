"""The audit log: who wrote what, from where, with the state before and after.

Each line is written in the transaction that does what it tells, so that neither is without the
other. Lines are only ever added: triggers of the database refuse anything else, and each line
carries a hash over itself and the line before it, which `broken` recomputes.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from geo_service.store import times
from geo_service.store.records import Check, Draft, DraftEdit, Revision
from geo_service.store.schema import Schema

_TOLD = ("at", "who", "role", "origin", "request", "action", "what", "before", "after")


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever writes.

    Parameters
    ----------
    who, role : str
        The holder of a key and its role; in the terminal, the machine's user.
    origin : str
        The network address they came from, or ``terminal``.
    request : str
        The request's number, as it stands in the service's log.
    """

    who: str
    role: str
    origin: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: `Actor`'s fields, when, what was done to what, before and after."""

    id: int
    at: str
    who: str
    role: str
    origin: str
    request: str
    action: str
    what: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let everything written inside stand under somebody's name."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def current() -> Actor:
    """Tell who writes now."""
    return _actor.get() or Actor(_user(), "", "terminal")


def note(
    schema: Schema,
    connection: sa.Connection,
    action: str,
    what: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write a line, in the transaction that does what it tells.

    Parameters
    ----------
    schema, connection
        The writer's.
    action : str
        ``publish``, ``discard``, ``key add`` ...
    what : str
        To what: ``grids``, ``draft 7`` ...
    before, after : dict, optional
        The state, as plain JSON.
    """
    table = schema.audit
    actor = current()
    last = connection.execute(sa.select(table.c.chain).order_by(table.c.id.desc()).limit(1))
    line = {
        "at": times.now(), **asdict(actor), "action": action, "what": what,
        "before": before, "after": after,
    }  # fmt: skip
    chain = _linked(last.scalar_one_or_none() or "", line)
    connection.execute(table.insert().values(**line, chain=chain))


def read(
    schema: Schema,
    connection: sa.Connection,
    *,
    since: str | None = None,
    who: str | None = None,
    limit: int = 1000,
) -> list[Entry]:
    """Read the latest lines, oldest first."""
    table = schema.audit
    query = sa.select(*(table.c[name] for name in ("id", *_TOLD))).order_by(table.c.id.desc())
    if since is not None:
        query = query.where(table.c.at >= since)
    if who is not None:
        query = query.where(table.c.who == who)
    found = connection.execute(query.limit(limit)).all()
    return [Entry(**row._mapping) for row in reversed(found)]


def broken(schema: Schema, connection: sa.Connection) -> str | None:
    """Tell the first line that is not as it was written, or that follows a missing one."""
    table = schema.audit
    before = ""
    for row in connection.execute(sa.select(table).order_by(table.c.id)):
        line = {name: row._mapping[name] for name in _TOLD}
        if _linked(before, line) != row.chain:
            return f"audit: line {row.id} is not what was written after the line before it"
        before = row.chain
    return None


def draft(made: Draft) -> dict[str, Any]:
    """What the audit log says of a draft."""
    told = ("id", "layer", "state", "replace_within", "source", "sha256", "author", "features")
    return {name: getattr(made, name) for name in told}


def revision(made: Revision) -> dict[str, Any]:
    """What the audit log says of a layer's state."""
    told = ("number", "author", "drawn_by", "message", "features", "sha256", "draft")
    accepted = [acceptance.to_dict() for acceptance in made.accepted]
    return {name: getattr(made, name) for name in told} | {
        "changes": dict(made.changes),
        "accepted": accepted,
    }


def operation(edit: DraftEdit) -> dict[str, Any]:
    """What the audit log says of an operation; all of it stands with the draft."""
    told = {"number": edit.number, "author": edit.author, "changed": dict(edit.changed)}
    return told | {"retired": list(edit.retired), "created": list(edit.created)}


def verdict(check: Check) -> dict[str, Any]:
    """What the audit log says of a check."""
    return {"verdict": check.verdict, "errors": dict(check.errors), "profile": check.profile}


def _linked(before: str, line: dict[str, Any]) -> str:
    told = orjson.dumps([before, *(line[name] for name in _TOLD)])
    return hashlib.sha256(told).hexdigest()


def _user() -> str:
    with contextlib.suppress(KeyError, OSError, ImportError):  # a container's user has no name
        return getpass.getuser()
    return ""
