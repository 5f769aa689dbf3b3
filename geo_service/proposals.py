"""Proposals kept in the store, so that the terminal, the service and the map tell the same one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pandas as pd

from geo_service.errors import MissingError
from geo_service.store import Store

TABLE = "proposals"
"""The store's table: one row a proposal, oldest first, the answer as JSON."""

KEPT = 50
_COLUMNS = ("made_at", "kind", "sites", "answer")


def keep(store: Store, told: dict[str, Any]) -> None:
    """Keep a proposal; the oldest beyond `KEPT` goes.

    Parameters
    ----------
    store : Store
        Open.
    told : dict
        `geo_service.siting.Proposal.to_dict`.
    """
    row = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kind": told.get("kind") or "",
        "sites": len(told["sites"]),
        "answer": orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY).decode(),
    }

    def add(standing: pd.DataFrame | None) -> pd.DataFrame:
        kept = [] if standing is None else standing.to_dict("records")
        return pd.DataFrame([*kept, row][-KEPT:], columns=list(_COLUMNS))

    store.change_table(TABLE, add)


def latest(store: Store, kind: str | None = None) -> dict[str, Any]:
    """Give the proposal that was kept last, of one kind or of any.

    Raises
    ------
    MissingError
        ``not_found``.
    """
    kept = store.table(TABLE) if TABLE in store.tables() else pd.DataFrame(columns=list(_COLUMNS))
    if kind is not None:
        kept = kept[kept["kind"] == kind]
    if kept.empty:
        raise MissingError("not_found", what=f"{kind or ''} proposal 选址方案".strip())
    told: dict[str, Any] = orjson.loads(kept["answer"].iloc[-1])
    return told
