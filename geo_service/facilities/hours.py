"""Opening hours: what planners write, and the part of OpenStreetMap's syntax that cities use.

Read are ``24h``, ``24/7``, ``全天``, spans ``08:00-22:00`` (several joined by a comma, also past
midnight) and rules ``Mo-Fr 08:00-18:00; Sa 09:00-12:00; Su off``, also 周一至周五 or 每天. As in
OpenStreetMap a later rule replaces an earlier one on its days; rules for public holidays (PH) and
school holidays (SH) don't change the ordinary week. Months, weeks and sunset are refused.
"""

from __future__ import annotations

import datetime
import re

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError, Phrase

DAY_MINUTES = 24 * 60
_WEEK = range(7)

_DAYS = {
    name: day
    for names in ("mo tu we th fr sa su", "一 二 三 四 五 六 日")
    for day, name in enumerate(names.split())
} | {"天": 6}
_DAY = r"(?:mo|tu|we|th|fr|sa|su|周[一二三四五六日天]|星期[一二三四五六日天])"
_DAY_LIST = re.compile(rf"^{_DAY}(?:\s*[-–~～至到,，、]\s*{_DAY})*(?![a-z])\s*:?\s*", re.IGNORECASE)
_NEXT_RULE = re.compile(rf"[;；\n]+|(?<=[\ddf]),\s*(?={_DAY}\b)", re.IGNORECASE)
_EVERY_DAY = re.compile(r"^(每天|每日|daily)\s*:?\s*", re.IGNORECASE)
_HOLIDAY = re.compile(r"^(PH|SH)\b", re.IGNORECASE)
_ALL_DAY = re.compile(r"^(24\s*(h|hours?|小时)?(开放|营业)?|24/7|全天(24小时)?(开放|营业)?)$", re.I)
_SHUT = re.compile(r"^(off|closed|休息|不开放|闭馆)$", re.IGNORECASE)
_SPAN = re.compile(r"^(\d{1,2})[:：](\d{2})\s*[-–—~～至到]\s*(次日)?(\d{1,2})[:：](\d{2})$")


def week(hours: str) -> npt.NDArray[np.bool_]:
    """Give for every minute of an ordinary week, from Monday 00:00 on, whether it is open.

    Parameters
    ----------
    hours : str
        See the module.

    Returns
    -------
    ndarray of bool, shape (7, 1440)

    Raises
    ------
    ValueError
        For a text that isn't opening hours.

    Examples
    --------
    >>> week("Mo-Fr 08:00-18:00; Sa 09:00-12:00").sum(axis=1).tolist()
    [600, 600, 600, 600, 600, 180, 0]
    """
    # A span past midnight belongs to the day it begins on, so rules are kept as spans by day.
    spans: dict[int, list[tuple[int, int]]] = {}
    rules = [rule.strip() for rule in _NEXT_RULE.split(hours) if rule.strip()]
    if not rules:
        raise ValueError("no opening hours")
    for rule in rules:
        if _HOLIDAY.match(rule):
            continue
        days, rest = _days(rule)
        found = _spans(rest)
        # Spans without days add to one another: planners join them by a semicolon too.
        replaces = len(days) < len(_WEEK)
        for day in days:
            spans[day] = found if replaces else spans.get(day, []) + found
    open_now = np.zeros(7 * DAY_MINUTES, dtype=bool)
    for day, found in spans.items():
        for begin, end in found:
            minutes = np.arange(day * DAY_MINUTES + begin, day * DAY_MINUTES + end)
            open_now[minutes % open_now.size] = True
    return open_now.reshape(7, DAY_MINUTES)


def opening_minutes(hours: str, *, day: int = 0) -> list[tuple[int, int]]:
    """Read opening hours as spans of minutes of a day.

    Parameters
    ----------
    hours : str
        See the module.
    day : int
        0 is Monday.

    Returns
    -------
    list of (int, int)
        Begin (inclusive) and end (exclusive); a span past midnight comes as two.

    Raises
    ------
    ValueError
        For a text that isn't opening hours.

    Examples
    --------
    >>> opening_minutes("08:00-12:00、22:00-06:00")
    [(0, 360), (480, 720), (1320, 1440)]
    """
    steps = np.diff(week(hours)[day].astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def moment(text: datetime.time | str) -> tuple[int | None, int]:
    """Read a time of the day, with a day of the week before it or without.

    Returns
    -------
    tuple
        The day (0 is Monday, ``None`` where any is meant), the minute of the day.

    Raises
    ------
    InputError
        ``parameter_invalid``.

    Examples
    --------
    >>> moment("02:00"), moment("Sa 18:30"), moment("周日 08:00")
    ((None, 120), (5, 1110), (6, 480))
    """
    if isinstance(text, datetime.time):
        return None, text.hour * 60 + text.minute
    asked = text.strip()
    match = _DAY_LIST.match(asked)
    days, clock = _days(asked) if match else (list(_WEEK), asked)
    try:
        of_day = datetime.time.fromisoformat(clock.zfill(5))
        if match and len(days) != 1:
            raise ValueError("one day")
    except ValueError as error:
        reason = Phrase("请写成 02:00 或 Sa 02:00（周六）", "write it as 02:00 or Sa 02:00")
        raise InputError("parameter_invalid", name="time", value=text, reason=reason) from error
    return (days[0] if match else None), of_day.hour * 60 + of_day.minute


def is_open(hours: str, day: int | None, minute: int) -> bool:
    """Tell whether a place is open; without a day, whether it is on every day of the week."""
    open_now = week(hours)[:, minute]
    return bool(open_now.all() if day is None else open_now[day])


def _days(rule: str) -> tuple[list[int], str]:
    """The days a rule is for, and what is left of it."""
    every = _EVERY_DAY.match(rule)
    if every:
        return list(_WEEK), rule[every.end() :]
    match = _DAY_LIST.match(rule)
    if match is None:
        return list(_WEEK), rule
    found: list[int] = []
    for part in re.split(r"\s*[,，、]\s*", match[0].rstrip(" :")):
        ends = [
            _DAYS[end.strip().lower()[-2:].lstrip("周期")] for end in re.split("[-–~～至到]", part)
        ]
        span = (ends[-1] - ends[0]) % 7
        found += [(ends[0] + step) % 7 for step in range(span + 1)]
    return found, rule[match.end() :]


def _spans(text: str) -> list[tuple[int, int]]:
    plain = text.strip()
    if _SHUT.match(plain):
        return []
    if _ALL_DAY.match(plain):
        return [(0, DAY_MINUTES)]
    spans = []
    for part in re.split(r"[,、，]+", plain):
        match = _SPAN.match(part.strip())
        if match is None:
            raise ValueError(f"not opening hours: {part!r}")
        begin, end = _minute(match[1], match[2]), _minute(match[4], match[5])
        spans.append((begin, end if begin < end else end + DAY_MINUTES))
    return spans


def _minute(hour: str, minute: str) -> int:
    of_day = int(hour) * 60 + int(minute)
    if int(minute) > 59 or of_day > DAY_MINUTES:
        raise ValueError(f"no time of day: {hour}:{minute}")
    return of_day
