"""The part of a store that knows people: who may use it, who wrote what, how they name columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from geo_service.store import audit, keys, senders
from geo_service.store.reader import Reader


class Admission(Reader):
    """API keys, the audit log, senders; `geo_service.store.Store` adds the writing of layers."""

    def api_keys(self) -> list[keys.Key]:
        """Give all API keys, oldest first, also those that are closed."""
        with self._home.reading() as connection:
            return keys.listed(self._schema, connection)

    def audit_log(
        self, *, since: str | None = None, who: str | None = None, limit: int = 1000
    ) -> list[audit.Entry]:
        """Give the latest lines of the audit log, oldest first.

        Parameters
        ----------
        since : str, optional
            A date or a moment (UTC, ISO 8601).
        who : str, optional
            Only what one person wrote.
        limit : int
            At most so many.
        """
        with self._home.reading() as connection:
            return audit.read(self._schema, connection, since=since, who=who, limit=limit)

    def add_key(
        self,
        name: str,
        *,
        role: str,
        areas: Iterable[str] = (),
        expires_at: str | None = None,
    ) -> tuple[keys.Key, str]:
        """Make an API key; give what is kept of it, and the key, which nobody can show again.

        Parameters
        ----------
        name : str
            Who gets it.
        role : str
            One of `geo_service.roles.ROLES`.
        areas : iterable of str
            Codes of the counties and townships that a planner draws.
        expires_at : str, optional
            A date, or a moment (ISO 8601).

        Raises
        ------
        InputError
            ``parameter_invalid``, ``parameter_missing``, ``key_areas_wrong``.
        """
        with self._home.writing() as connection:
            key, secret = keys.add(
                self._schema,
                connection,
                name=name,
                role=role,
                areas=tuple(areas),
                expires_at=expires_at,
            )
            self._note(connection, "key add", f"key {key.prefix}", after=key.to_dict())
        return key, secret

    def revoke_key(self, prefix: str) -> keys.Key:
        """Close an API key for good.

        Raises
        ------
        MissingError
            ``key_not_found``.
        """
        with self._home.writing() as connection:
            key = keys.revoke(self._schema, connection, prefix)
            told = {"state": key.state, "revoked_at": key.revoked_at}
            self._note(connection, "key revoke", f"key {key.prefix}", after=told)
        return key

    def remember_fields(self, sender: str, fields: Mapping[str, str]) -> None:
        """Remember how a sender names the columns; with none, forget the sender.

        Parameters
        ----------
        sender : str
            A person or department, as given at import.
        fields : Mapping
            Our field name -> the file's column. It replaces what was remembered.
        """
        with self._home.writing() as connection:
            before = senders.listed(self._schema, connection).get(sender)
            senders.put(self._schema, connection, sender, fields)
            self._note(connection, "fields", sender, before=before, after=dict(fields))

    def _note(self, connection: sa.Connection, action: str, what: str, **told: Any) -> None:
        audit.note(self._schema, connection, action, what, **told)
