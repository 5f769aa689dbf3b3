"""Moments: when something was published, and which revision a date or number means."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from geo_service.errors import InputError, MissingError, Phrase
from geo_service.store.records import Revision

Moment = int | str | datetime.date | datetime.datetime
"""A revision's number, or a point in time."""

_SHORTEST_DATE = 8  # 20261231; shorter digits are a revision's number


def now() -> str:
    """Give the present moment, UTC, as the store writes it."""
    moment = datetime.datetime.now(datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def zone(name: str) -> ZoneInfo:
    """Give the time zone of a name.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        reason = Phrase("不是时区（如 Asia/Shanghai）", "not a time zone, such as Asia/Shanghai")
        raise InputError("parameter_invalid", name="timezone", value=name, reason=reason) from error


def pick(log: Sequence[Revision], at: Moment | None, timezone: str) -> Revision:
    """Pick the revision that a moment means.

    Parameters
    ----------
    log : sequence of Revision
        Of one layer, oldest first, at least one.
    at : int, str, date, datetime or None
        A number (also as text); a date means the end of that day; a time without an offset is in
        `timezone`; ``None``: the latest.
    timezone : str
        Of the store.

    Raises
    ------
    MissingError
        ``revision_unknown``.
    """
    if at is None:
        return log[-1]
    number = _number(at)
    if number is not None:
        found = [revision for revision in log if revision.number == number]
    else:
        until = _instant(at, zone(timezone))
        found = [r for r in log if datetime.datetime.fromisoformat(r.published_at) <= until]
    if not found:
        known = ", ".join(f"{r.number} ({r.published_at[:10]})" for r in log)
        raise MissingError("revision_unknown", layer=log[0].layer, revision=at, known=known)
    return found[-1]


def moment_of(revision: Revision, at: Moment) -> Moment:
    """Give the time a moment stands for; of a revision's number, the time it was published."""
    return revision.published_at if _number(at) is not None else at


def _number(at: Moment) -> int | None:
    if isinstance(at, str):
        text = at.strip().removeprefix("r")
        return int(text) if text.isdecimal() and len(text) < _SHORTEST_DATE else None
    return None if isinstance(at, datetime.date) else int(at)


def _instant(at: Moment, where: ZoneInfo) -> datetime.datetime:
    if isinstance(at, str):
        at = _parsed(at)
    if isinstance(at, datetime.datetime):
        return at if at.tzinfo else at.replace(tzinfo=where)
    assert isinstance(at, datetime.date)  # numbers were told apart before
    return datetime.datetime.combine(at, datetime.time.max, tzinfo=where)


def _parsed(text: str) -> datetime.date:
    for kind in (datetime.date, datetime.datetime):
        try:
            return kind.fromisoformat(text.strip())
        except ValueError:
            continue
    reason = Phrase(
        "既不是修订号，也不是日期（如 2026-12-31）",
        "neither a revision's number nor a date such as 2026-12-31",
    )
    raise InputError("parameter_invalid", name="at", value=text, reason=reason)
