"""What leaves the product shows no whole phone number and no whole name of a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from geo_service import layers

_MOBILE = re.compile(r"(?<!\d)((?:\+?86[\s-]?)?1[3-9]\d)[\s.-]?\d{4}[\s.-]?(\d{4})(?!\d)")
# GB 11643: 6 county + birthday + 3 serial + check digit
_ID_NUMBER = re.compile(r"(?<!\d)([1-9]\d{5})((?:19|20)\d{2}[01]\d[0-3]\d)(\d{3}[\dXx])(?![\dXx])")
_ID_WEIGHTS, _ID_CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
_DIGIT_RUN = re.compile(r"\d{7,}")
_PERSONS = {"姓名", "人员姓名", "网格员", "网格员姓名", "person"}
ID_NUMBERS = ("id_number", "身份证号", "身份证号码", "身份证", "公民身份号码", "证件号码", "sfzh")
"""Names of columns that hold ID numbers."""

_CODES = {"code", "parent_code", "geometry"}
_NAMES = {field.name: {field.name, *field.aliases} for field in layers.FIELDS}
_FIGURES = {"floating", "boolean"}


def mask_phone(text: str) -> str:
    """Hide the middle of phone numbers in a text.

    Examples
    --------
    >>> mask_phone("13812340000"), mask_phone("0374-2331234"), mask_phone("")
    ('138****0000', '0374-***1234', '')
    """
    hidden = _MOBILE.sub(r"\1****\2", text)
    return _DIGIT_RUN.sub(lambda run: "*" * (len(run[0]) - 4) + run[0][-4:], hidden)


def mask_text(text: str) -> str:
    """Hide mobile numbers and ID numbers inside a text; codes and other figures stay.

    Examples
    --------
    >>> mask_text("13812340000 in 411002001001003")
    '138****0000 in 411002001001003'
    """
    without_ids = _ID_NUMBER.sub(_masked_id, text)
    return _MOBILE.sub(lambda number: mask_phone(number[0]), without_ids)


def mask_id_number(text: str) -> str:
    """Hide all of an ID number but the county's digits and the last four.

    Examples
    --------
    >>> mask_id_number("411002199003074517"), mask_id_number("12345")
    ('411002********4517', '*2345')
    """
    plain = text.strip()
    if len(plain) > 10:
        return plain[:6] + "*" * (len(plain) - 10) + plain[-4:]
    return "*" * (len(plain) - 4) + plain[-4:]


def mask_name(text: str) -> str:
    """Leave the family name of a person.

    Examples
    --------
    >>> mask_name("王建国"), mask_name("")
    ('王**', '')
    """
    return text[:1] + "*" * (len(text) - 1)


def masked(frame: Any, *, persons: Iterable[str] = ()) -> Any:
    """Give a table with phones, ID numbers and persons masked, the numbers inside any text too.

    Codes are left alone: eleven digits of one may look like a phone number.

    Examples
    --------
    >>> table = pd.DataFrame({"code": ["13812340000"], "head": ["王建国"], "备注": ["13812340000"]})
    >>> masked(table).iloc[0].tolist()
    ['13812340000', '王**', '138****0000']
    """
    named = {*_PERSONS, *persons}
    changed = {}
    for name in frame.columns:
        mask = _mask_of(str(name), named)
        if mask is not None and pd.api.types.infer_dtype(frame[name]) not in _FIGURES:
            changed[name] = [mask(value) for value in frame[name]]
    return frame.assign(**changed)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table as plain JSON values; missing ones are null."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def _mask_of(column: str, persons: set[str]) -> Callable[[Any], Any] | None:
    if column in _CODES:
        return None
    if column.lower() in _NAMES["phone"]:
        return lambda value: mask_phone(_text(value))
    if column.lower() in _NAMES["head"] | persons:
        return lambda value: mask_name(_text(value))
    if column.lower() in ID_NUMBERS:
        return lambda value: mask_id_number(_text(value))
    return _mask_numbers


def _mask_numbers(value: Any) -> Any:
    return mask_text(value) if isinstance(value, str) else value


def _masked_id(found: re.Match[str]) -> str:
    """Mask what the check digit proves an ID number; else it may be a code of eighteen digits."""
    total = sum(int(d) * w for d, w in zip(found[0][:17], _ID_WEIGHTS, strict=True))
    genuine = _ID_CHECKS[total % 11] == found[0][17].upper()
    return mask_id_number(found[0]) if genuine else found[0]


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
