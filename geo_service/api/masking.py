"""What leaves the service shows no whole phone number and no whole name of a grid head."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from geo_service import layers, registers

_MOBILE = re.compile(r"(?<!\d)1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}(?!\d)")
_CODES = {"code", "parent_code", "geometry"}
_NAMES = {field.name: {field.name, *field.aliases} for field in layers.FIELDS}
_FIGURES = {"floating", "boolean"}


def masked(frame: Any) -> Any:
    """Give a table with phones and heads masked, and mobile numbers inside any other text.

    Codes are left alone: eleven digits of one may look like a phone number.

    Examples
    --------
    >>> table = pd.DataFrame({"code": ["13812340000"], "head": ["王建国"], "备注": ["13812340000"]})
    >>> masked(table).iloc[0].tolist()
    ['13812340000', '王**', '138****0000']
    """
    changed = {}
    for name in frame.columns:
        mask = _mask_of(str(name))
        if mask is not None and pd.api.types.infer_dtype(frame[name]) not in _FIGURES:
            changed[name] = [mask(value) for value in frame[name]]
    return frame.assign(**changed)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table as plain JSON values; missing ones are null."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def _mask_of(column: str) -> Callable[[Any], Any] | None:
    if column in _CODES:
        return None
    if column.lower() in _NAMES["phone"]:
        return lambda value: registers.mask_phone(_text(value))
    if column.lower() in _NAMES["head"]:
        return lambda value: registers.mask_name(_text(value))
    return _mask_mobile


def _mask_mobile(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _MOBILE.sub(lambda number: registers.mask_phone(number[0]), value)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
