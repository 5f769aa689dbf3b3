"""Phone numbers never leave whole: 13800000000 is served as 138****0000."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from geo_service import layers

_MOBILE = re.compile(r"(?<!\d)(1[3-9]\d)[\s-]?\d{4}[\s-]?(\d{4})(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)(0\d{2,3}-?\d)\d{3,4}(\d{3})(?!\d)")
_CODES = {"code", "parent_code"}
_PHONE_NAMES = {
    "phone", *next(field.aliases for field in layers.FIELDS if field.name == "phone")
}  # fmt: skip


def mask_text(text: str) -> str:
    """Mask the mobile numbers inside a text.

    Examples
    --------
    >>> mask_text("网格长 13812340000，办公室 0374-2965000")
    '网格长 138****0000，办公室 0374-2965000'
    """
    return _MOBILE.sub(r"\1****\2", text)


def mask_phone(value: object) -> str:
    """Mask what stands in a phone column, mobile or not.

    Examples
    --------
    >>> mask_phone(13812340000), mask_phone("0374-2965000"), mask_phone("12345"), mask_phone(None)
    ('138****0000', '0374-2****000', '***45', '')
    """
    if value is None or value != value:
        return ""
    text = str(value).strip()
    masked = _LANDLINE.sub(r"\1****\2", mask_text(text))
    if masked != text or not any(letter.isdigit() for letter in text):
        return masked
    return "*" * (len(text) - 2) + text[-2:]


def masked(frame: Any) -> Any:
    """Give a table with its phone columns masked, and phone-like texts in every other column.

    Codes are left alone: eleven digits of one may look like a phone number.
    """
    changed = {}
    for name in frame.columns:
        column = frame[name]
        if str(name).lower() in _PHONE_NAMES:
            changed[name] = column.map(mask_phone)
        elif name not in _CODES and (
            column.dtype == object or pd.api.types.is_string_dtype(column.dtype)
        ):
            changed[name] = column.map(lambda v: mask_text(v) if isinstance(v, str) else v)
    return frame.assign(**changed)
