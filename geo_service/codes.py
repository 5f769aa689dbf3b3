"""Division and grid codes and names: levels, parents, patterns, numbering order.

Codes are text, always: eighteen digits do not survive a float, and a leading zero is part of the
code. The tree follows the 12-digit statistical code (6 county + 3 township + 3 community), the
15-digit grid code of DB11/T 2157-2023 (+ 3 sequence) and an 18-digit micro-grid code (+ 3).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

_CHINESE_DIGITS = "零一二三四五六七八九"
_CHINESE_UNITS = ("", "十", "百", "千")

LEVELS = ("city", "county", "township", "community", "grid", "micro_grid")
"""From the largest to the smallest."""

LENGTHS = {"city": 4, "county": 6, "township": 9, "community": 12, "grid": 15, "micro_grid": 18}
"""Digits of a code at each level. A city is written 411000, or by its 4 significant digits."""

_LEVEL_OF_LENGTH = {length: level for level, length in LENGTHS.items()}

# CJ/T 349-2010 puts 6 digits of object class before county, street and community, and numbers the
# grids of a community in 2 digits.
_CLASSED, _CLASS_DIGITS, _COMMUNITY_END = 20, 6, 18
_DIGITS = re.compile(r"[0-9]+\Z")  # full-width digits are not codes
_FLOAT_TAIL = re.compile(r"(\d+)\.0+\Z")
_NOTHING = {"<NA>", "nan", "None"}
_SCIENTIFIC = re.compile(r"\d(\.\d+)?[eE]\+?\d+\Z")


def level_of(code: str) -> str | None:
    """Give the level of a code, or ``None`` where its form belongs to none.

    Examples
    --------
    >>> level_of("411002001001003"), level_of("411000"), level_of("4110X")
    ('grid', 'city', None)
    """
    if not _DIGITS.match(code):
        return None
    if len(code) == 6 and code.endswith("00"):
        return "city"
    if len(code) == _CLASSED:
        return "grid"
    return _LEVEL_OF_LENGTH.get(len(code))


def parent(code: str) -> str | None:
    """Give the code one level up, or ``None`` for a city or a malformed code.

    Examples
    --------
    >>> parent("411002001001003")
    '411002001001'
    >>> parent("411002"), parent("01010041100200100103")
    ('411000', '411002001001')
    """
    level = level_of(code)
    if level is None or level == "city":
        return None
    if len(code) == _CLASSED:
        return code[_CLASS_DIGITS:_COMMUNITY_END]
    upper = LEVELS[LEVELS.index(level) - 1]
    return code[:4] + "00" if upper == "city" else code[: LENGTHS[upper]]


def ancestors(code: str) -> list[tuple[str, str]]:
    """Give the chain above a code as (level, code), city first.

    Examples
    --------
    >>> ancestors("411002001001")
    [('city', '411000'), ('county', '411002'), ('township', '411002001')]
    """
    chain: list[tuple[str, str]] = []
    above = parent(code)
    while above is not None:
        chain.append((level_of(above) or "", above))
        above = parent(above)
    return chain[::-1]


def is_within(code: str, area: str) -> bool:
    """Tell whether a code lies inside the area of another (or is it).

    Examples
    --------
    >>> is_within("411002001001003", "411000"), is_within("411081001", "411002")
    (True, False)
    """
    prefix = area[:4] if level_of(area) == "city" else area
    if len(code) == _CLASSED and len(area) < _CLASSED:
        return code[_CLASS_DIGITS:].startswith(prefix)
    return code.startswith(prefix)


def sequence_digits(code: str) -> int:
    """Give how many digits at a code's end number it below its parent.

    Examples
    --------
    >>> sequence_digits("411002001001003"), sequence_digits("01010041100200100103")
    (3, 2)
    """
    return 2 if len(code) == _CLASSED else 3


def in_functional_zone(code: str) -> bool:
    """Tell whether a code belongs to a functional zone (开发区, 示范区), which is no legal county.

    The statistical code list numbers such zones 71 to 79 where counties have their two digits
    (411071 许昌经济技术开发区). Their townships lie inside legal counties whose code they do not
    begin with, so only a ``parent_code`` column can say where they belong.

    Examples
    --------
    >>> in_functional_zone("411071400"), in_functional_zone("411002001")
    (True, False)
    """
    return code[4:5] == "7" and code[5:6] in set("123456789")


def damaged(value: object) -> bool:
    """Tell whether a code was ruined on its way through a spreadsheet.

    A float, a text such as ``4.11002E+14``, or an integer beyond 15 digits has lost digits that
    nobody can give back.

    Examples
    --------
    >>> damaged("4.11002E+14"), damaged(411002001001001.0), damaged("411002001001001")
    (True, True, False)
    """
    if isinstance(value, float):
        return not math.isnan(value)
    if isinstance(value, int):
        return value >= 10**15
    text = str(value).strip()
    return is_decimal(text) or is_scientific(text)


def is_decimal(text: str) -> bool:
    """Tell whether a code was written as a number with a fraction of zeros (``411002.0``)."""
    return bool(_FLOAT_TAIL.match(text))


def is_scientific(text: str) -> bool:
    """Tell whether a code was written in scientific notation (``4.11002E+14``)."""
    return bool(_SCIENTIFIC.match(text))


def is_full_width(text: str) -> bool:
    """Tell whether a code was typed with full-width characters (``４１１００２``).

    Examples
    --------
    >>> is_full_width("４１１００２"), is_full_width("411002")
    (True, False)
    """
    return unicodedata.normalize("NFKC", text) != text


def order_west_east(
    x: npt.ArrayLike, y: npt.ArrayLike, *, band_m: float | None = None
) -> npt.NDArray[np.intp]:
    """Give the numbering order of places: west to east, north to south.

    Rows are bands of latitude; the standards (DB11/T 2157, DB6101/T 3185) leave their height open,
    so it is the square root of the mean area a place takes.

    Parameters
    ----------
    x, y : array_like
        Positions in a metric plane.
    band_m : float, optional
        Height of a row, metres.

    Returns
    -------
    ndarray of int
        Row numbers of the places in the order they are to be numbered.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if xs.size == 0:
        return np.empty(0, np.intp)
    if band_m is None:
        extent = max(np.ptp(xs), 1.0) * max(np.ptp(ys), 1.0)
        band_m = math.sqrt(extent / xs.size)
    row = np.floor((ys.max() - ys) / band_m).astype(np.int64)
    return np.lexsort((ys, xs, row))


def next_free(parent_code: str, taken: Iterable[str], count: int) -> list[str]:
    """Give new child codes under a parent that were never used.

    Parameters
    ----------
    parent_code : str
        A code whose level has a level below it.
    taken : iterable of str
        Every code in use or retired.
    count : int
        How many codes are wanted.

    Raises
    ------
    ValueError
        Where the parent has no level below it, or its 999 numbers are used up.

    Examples
    --------
    >>> next_free("411002001001", ["411002001001001", "411002001001007"], 2)
    ['411002001001008', '411002001001009']
    """
    level = level_of(parent_code)
    if level is None or level == LEVELS[-1]:
        raise ValueError(f"{parent_code} has no level below it")
    width = LENGTHS[LEVELS[LEVELS.index(level) + 1]] - len(parent_code)
    used = [int(c[len(parent_code) :]) for c in taken if _is_child(c, parent_code, width)]
    first = max(used, default=0) + 1
    if first + count > 10**width:
        raise ValueError(f"the numbers under {parent_code} are used up")
    return [f"{parent_code}{number:0{width}d}" for number in range(first, first + count)]


def _is_child(code: str, parent_code: str, width: int) -> bool:
    tail = code[len(parent_code) :]
    return code.startswith(parent_code) and len(tail) == width and tail.isdigit()


def grid_name(number: int) -> str:
    """Give the usual name of a grid by its number.

    Examples
    --------
    >>> grid_name(1), grid_name(12), grid_name(110), grid_name(1005)
    ('第一网格', '第十二网格', '第一百一十网格', '第一千零五网格')
    """
    return f"第{chinese_number(number)}网格"


def chinese_number(number: int) -> str:
    """Write a number from 1 to 9999 in Chinese numerals.

    Examples
    --------
    >>> chinese_number(20), chinese_number(101), chinese_number(9999)
    ('二十', '一百零一', '九千九百九十九')
    """
    if not 1 <= number <= 9999:
        raise ValueError(f"{number} is not between 1 and 9999")
    text, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit == 0:
            gap = gap or bool(text)
            continue
        text += ("零" if gap else "") + _CHINESE_DIGITS[digit] + _CHINESE_UNITS[place]
        gap = False
    return text[1:] if 10 <= number <= 19 else text


def texts(values: Iterable[object]) -> list[str]:
    """Bring codes to clean text; missing ones become the empty text."""
    if isinstance(values, pd.Series):  # which gives its texts one by one at ten times the cost
        values = values.to_numpy(dtype=object)
    values = list(values)
    try:
        found = list(map(str.strip, cast("list[str]", values)))
    except TypeError:  # some are no texts
        found = [value.strip() if type(value) is str else _text(value) for value in values]
    if _NOTHING.isdisjoint(found):
        return found
    return ["" if text in _NOTHING else text for text in found]


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def duplicates(values: Sequence[str]) -> dict[str, list[int]]:
    """Give the codes that stand in more than one row, with the rows they stand in."""
    again = {code for code, times in Counter(values).items() if code and times > 1}
    rows: dict[str, list[int]] = {}
    for row, code in enumerate(values):
        if code in again:
            rows.setdefault(code, []).append(row)
    return rows
