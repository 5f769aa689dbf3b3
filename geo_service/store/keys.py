"""API keys: shown once when made, kept as a hash, known again by the few characters in front.

A key is ``gsk_``, eight characters to know it by, and 256 random bits. What can't be guessed needs
no slow hash: SHA-256 tells it at the door in a microsecond, and the key can't be found from it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from geo_service import codes
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.roles import ROLES
from geo_service.store import times
from geo_service.store.schema import Schema

MARK = "gsk_"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of an API key; the key itself is not.

    Parameters
    ----------
    id : int
        Its number.
    prefix : str
        What it begins with after ``gsk_``, to know it by.
    sha256 : str
        Of the whole key.
    name : str
        Who has it.
    role : str
        One of `geo_service.roles.ROLES`.
    areas : tuple of str
        Division codes that a planner may change.
    created_at, expires_at, revoked_at : str or None
        UTC, ISO 8601.
    """

    id: int
    prefix: str
    sha256: str
    name: str
    role: Any
    areas: tuple[str, ...]
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    @property
    def state(self) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        over = self.expires_at is not None and self.expires_at <= times.now()
        return "expired" if over else "valid"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without the hash."""
        return {k: v for k, v in asdict(self).items() if k != "sha256"} | {"state": self.state}


def digest(secret: str) -> str:
    """Give what is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def listed(schema: Schema, connection: sa.Connection) -> list[Key]:
    """Read all keys, oldest first."""
    found = connection.execute(sa.select(schema.keys).order_by(schema.keys.c.id))
    return [Key(**{**row._mapping, "areas": tuple(row.areas)}) for row in found]


def add(
    schema: Schema,
    connection: sa.Connection,
    *,
    name: str,
    role: str,
    areas: Sequence[str],
    expires_at: str | None,
) -> tuple[Key, str]:
    """Make a key; give what is kept, and the key itself.

    Raises
    ------
    InputError
        ``parameter_invalid`` for an unknown role, an area that is no division code, an expiry that
        is past; ``key_areas_wrong`` for a planner without areas or another role with some.
    """
    if role not in ROLES:
        reason = Phrase(f"可用 {', '.join(ROLES)}", f"one of {', '.join(ROLES)}")
        raise InputError("parameter_invalid", name="role", value=role, reason=reason)
    if (role == "planner") != bool(areas):
        raise InputError("key_areas_wrong", role=role)
    for area in areas:
        if codes.level_of(area) is None:
            reason = Phrase("不是区划代码（如 411081）", "not a division code, such as 411081")
            raise InputError("parameter_invalid", name="area", value=area, reason=reason)
    if not name.strip():
        raise InputError("parameter_missing", name="name")
    prefix = secrets.token_hex(4)
    secret = f"{MARK}{prefix}_{secrets.token_urlsafe(32)}"
    made = connection.execute(
        schema.keys.insert().values(
            prefix=prefix,
            sha256=digest(secret),
            name=name.strip(),
            role=role,
            areas=list(areas),
            created_at=times.now(),
            expires_at=_instant(expires_at),
        )
    )
    assert made.inserted_primary_key is not None
    number = made.inserted_primary_key[0]
    return next(key for key in listed(schema, connection) if key.id == number), secret


def revoke(schema: Schema, connection: sa.Connection, prefix: str) -> Key:
    """Close a key for good; one that is closed already stays as it is.

    Raises
    ------
    MissingError
        ``key_not_found``.
    """
    short = prefix.removeprefix(MARK).partition("_")[0]
    key = next((k for k in listed(schema, connection) if k.prefix == short), None)
    if key is None:
        raise MissingError("key_not_found", prefix=short)
    if key.revoked_at is None:
        table = schema.keys
        connection.execute(
            table.update().where(table.c.id == key.id).values(revoked_at=times.now())
        )
    return next(k for k in listed(schema, connection) if k.id == key.id)


def _instant(given: str | None) -> str | None:
    """Give a moment as the store writes it; a date ends with its day, UTC."""
    if given is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(given)
    except ValueError:
        reason = Phrase("请写日期，如 2027-12-31", "a date such as 2027-12-31")
        raise InputError("parameter_invalid", name="expires", value=given, reason=reason) from None
    if len(given) <= len("2027-12-31"):
        moment = dt.datetime.combine(moment, dt.time.max)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    text = moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if text <= times.now():
        reason = Phrase("已经过去", "it is past")
        raise InputError("parameter_invalid", name="expires", value=given, reason=reason)
    return text
