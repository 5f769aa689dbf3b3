"""The moment a question is asked about: a revision, a date, or a time as OGC API writes it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Depends, Query

from geo_service.errors import InputError, Phrase

_OPEN_END = ("", "..")


def as_of(
    revision: Annotated[
        int | None, Query(ge=1, description="A revision other than the current one")
    ] = None,
    at: Annotated[
        str | None, Query(description="The same, or a date: the layer at the end of that day")
    ] = None,
    datetime: Annotated[
        str | None,
        Query(description="An instant (RFC 3339) or interval: the layer at its end; `..` = now"),
    ] = None,
) -> int | str | None:
    """Give what a store's ``at`` takes; an interval asks about its end, nothing about now.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    if revision is not None:
        return revision
    if at is not None:
        return at
    if datetime is None:
        return None
    start, between, end = datetime.rpartition("/")
    if between and start not in _OPEN_END:
        begun = _instant(start)
        if end not in _OPEN_END and _moment(begun) > _moment(_instant(end)):
            reason = Phrase("区间的结束早于开始", "the interval ends before it begins")
            raise InputError("parameter_invalid", name="datetime", value=datetime, reason=reason)
    return None if end in _OPEN_END else _instant(end)


AsOf = Annotated[int | str | None, Depends(as_of)]


def _instant(text: str) -> str:
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        reason = Phrase(
            "请写时刻（如 2026-12-31T00:00:00Z）或区间",
            "an instant such as 2026-12-31T00:00:00Z, or an interval",
        )
        raise InputError("parameter_invalid", name="datetime", value=text, reason=reason) from None
    return instant.isoformat() if len(text) > 10 else text


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
