"""The moment a question is asked about: a revision, or a time, as OGC API writes it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Query

from geo_service.errors import InputError

_OPEN_END = ("", "..")

Revision = Annotated[int | None, Query(ge=1, description="A revision other than the current one")]
DateTime = Annotated[
    str | None, Query(description="An instant (RFC 3339): the layer as it was then; `..` = now")
]


def as_of(revision: int | None, moment: str | None) -> int | str | None:
    """Give what a store's ``at`` takes; an interval asks about its end, nothing about now.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    if revision is not None or moment is None:
        return revision
    end = moment.rpartition("/")[2]
    if end in _OPEN_END:
        return None
    try:
        instant = dt.datetime.fromisoformat(end)
    except ValueError:
        reason = "an instant such as 2026-12-31T00:00:00Z, or an interval"
        raise InputError(
            "parameter_invalid", name="datetime", value=moment, reason=reason
        ) from None
    return instant.isoformat() if len(end) > 10 else end
