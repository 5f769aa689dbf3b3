"""What a drawing tells its planner, and the names it gives, in Chinese and English."""

from __future__ import annotations

from dataclasses import dataclass

_DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")


@dataclass(frozen=True, slots=True)
class Note:
    """Something done or found while drawing, in the reader's two languages."""

    code: str
    zh: str
    en: str


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
        text += ("零" if gap else "") + _DIGITS[digit] + _UNITS[place]
        gap = False
    return text[1:] if 10 <= number <= 19 else text
