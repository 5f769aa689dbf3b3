"""Codes are text; a column that a spreadsheet or a number field has ruined is refused by row.

What can't be given back: digits beyond a float's 15 (411002001001001001 comes back as ...000 from
Excel and as ...024 from a float64), and zeros at the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service import codes
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

FIELDS = ("code", "parent_code", "phone")
"""Columns that are text whatever they hold."""

_EXACT_DIGITS = 15  # a float64 keeps every integer of as many
_MOST_EXACT_FLOAT = 2**53
_EXCEL_ZEROS = "000"  # Excel writes 0 for every digit after the fifteenth
_FROM_NINE = (9, 12, 15, 18)  # lengths at which a lost zero is told from a running number
_ROWS_TOLD = 5

_REASONS = {
    "scientific": ("已变成科学计数法", "it is in scientific notation"),
    "decimal": ("带有小数 .0", "it ends in .0"),
    "rounded": ("超过 15 位，第 16 位起已被 Excel 写成 0", "Excel wrote 0 from the 16th digit on"),
    "zero": ("比其他编码少一位，开头的 0 已丢失", "it is one digit short: a leading 0 is lost"),
}


def as_text(
    frame: gpd.GeoDataFrame, fields: Mapping[str, str], source: str, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Give the frame with its code columns as text.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        As read.
    fields : Mapping
        Our field name -> the frame's column.
    source : str
        The file's name, for refusals.
    notes : list of Note
        Gets what was assumed.

    Raises
    ------
    InputError
        ``code_is_a_float`` where a number lost its last digits, ``code_damaged`` for what a
        spreadsheet did to texts and whole numbers.
    """
    for ours in FIELDS:
        column = fields.get(ours)
        if column is None:
            continue
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        if not numeric:
            if ours != "phone":
                _require_whole(codes.texts(frame[column]), source, numeric=False)
            continue
        texts = _texts(frame[column], source)
        if ours != "phone":
            _require_whole(texts, source, numeric=True)
        frame = frame.assign(**{column: texts})
        notes.append(
            Note(
                "code_was_number",
                f"“{column}”列存的是数字，已按文本处理；开头的 0 可能已经丢失。",
                f"Column “{column}” holds numbers; taken as text. Leading zeros may be lost.",
            )
        )
    return frame


def _texts(column: pd.Series[Any], source: str) -> list[str]:
    if column.dtype.kind != "f":  # whole numbers of which some are missing are Int64
        return codes.texts(column)
    values = column.to_numpy()
    lost = np.abs(values) > _MOST_EXACT_FLOAT
    lost |= np.isfinite(values) & (values != np.floor(values))
    if lost.any():
        row = int(np.flatnonzero(lost)[0]) + 1
        raise InputError("code_is_a_float", file=source, row=row, value=values[row - 1])
    return ["" if not np.isfinite(v) else str(int(v)) for v in values]


def _require_whole(texts: Sequence[str], source: str, *, numeric: bool) -> None:
    plain = "".join(texts).isdigit()  # as nearly always, which is told at once
    odd = [] if plain else [row for row, text in enumerate(texts) if text and not text.isdigit()]
    scientific = [row for row in odd if codes.is_scientific(texts[row])]
    decimal = [row for row in odd if codes.is_decimal(texts[row])]
    for reason, rows in (("scientific", scientific), ("decimal", decimal)):
        if rows:
            raise _refusal(reason, rows, texts, source)
    long = []
    if max(map(len, texts), default=0) > _EXACT_DIGITS:
        long = [row for row, t in enumerate(texts) if len(t) > _EXACT_DIGITS and t.isdigit()]
    # One in a thousand ends so on its own.
    if long and all(texts[row].endswith(_EXCEL_ZEROS) for row in long):
        raise _refusal("rounded", long, texts, source)
    if numeric:
        short = _without_zero(texts)
        if len(short):
            raise _refusal("zero", short, texts, source)


def _without_zero(texts: Sequence[str]) -> npt.NDArray[np.intp]:
    """Rows one digit short of a code, where every other row is a code of that length or short."""
    length = np.array([len(text) for text in texts])
    present = set(length[length > 0].tolist())
    whole = next((n for n in _FROM_NINE if n - 1 in present and present <= {n - 1, n}), None)
    return np.flatnonzero(length == (whole or 0) - 1)


def _refusal(
    reason: str, rows: Sequence[int] | npt.NDArray[np.intp], texts: Sequence[str], source: str
) -> InputError:
    first = [int(row) + 1 for row in rows[:_ROWS_TOLD]]
    more = len(rows) - len(first)
    told = ", ".join(map(str, first))
    return InputError(
        "code_damaged",
        file=source,
        value=texts[first[0] - 1],
        rows=Phrase(
            told + (f" 等 {len(rows)} 行" if more else ""),
            told + (f" and {more} more" if more else ""),
        ),
        reason=Phrase(*_REASONS[reason]),
    )
