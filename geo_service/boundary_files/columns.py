"""Columns of any format: named, decoded, and no larger than anyone reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geo_service import encodings, layers
from geo_service.boundary_files import gdal_layers, limits
from geo_service.errors import InputError
from geo_service.notes import Note

_COUNT = re.compile(r"(?:0|-?[1-9]\d{0,8})\Z")  # what could be a code has more digits or a 0 first
_CODES = ("code", "parent_code", "phone")
_MOST_LOST = 0.02  # of a column's texts: a few were damaged before, and are told by row
_TOLD = 5


def checked(frame: gpd.GeoDataFrame, source: str, notes: list[Note]) -> gpd.GeoDataFrame:
    """Refuse nameless, alike and oversized columns; undo garbled texts, or refuse them.

    Text that was once decoded wrongly and can be read rightly is, with a note; text that was lost
    is refused, or told by row where it is next to nothing.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        As read.
    source : str
        The file's name for people.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        ``column_unnamed``, ``column_repeated``, ``columns_too_many``, ``attributes_too_large``,
        ``text_garbled``.
    """
    geometry = frame.geometry.name if isinstance(frame, gpd.GeoDataFrame) else None
    plain = [c for c in frame.columns if c != geometry]
    frame = frame.drop(columns=_require_names(frame, plain, source))
    texts = {
        c: _together(frame[c])
        for c in plain
        if c in frame and not pd.api.types.is_numeric_dtype(frame[c])
    }
    _require_size(texts, source)
    mended: list[str] = []
    for column, text in texts.items():
        if encodings.may_be_garbled(text):
            frame = _values_checked(frame, column, source, notes, mended)
    renamed = {c: told for c in plain if (told := encodings.undone(str(c))) is not None}
    mended += [f"{old} → {new}" for old, new in renamed.items()]
    if mended:
        told = "；".join(mended[:_TOLD])
        notes.append(
            Note(
                "text_redecoded",
                f"有文字曾按错误的编码转换（乱码），已还原：{told}。请核对。",
                f"Text had been decoded wrongly before (mojibake) and was restored: {told}. "
                "Check it.",
            )
        )
    lost = next((str(c) for c in plain if encodings.is_lost(str(c))), None)
    if lost is not None:
        raise InputError("text_garbled", file=source, row=0, column=lost, value=lost)
    return frame.rename(columns=renamed)


def counts_as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn texts that are counts into numbers; codes and phones stay text.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of texts and missing values.
    """
    matched = layers.match_fields(frame.columns)
    kept = {matched[field] for field in _CODES if field in matched}
    numbers = {c: _numbers(frame[c]) for c in frame.columns if c not in kept}
    return frame.assign(**{str(c): column for c, column in numbers.items() if column is not None})


def _numbers(column: pd.Series[Any]) -> Any:
    present = [value for value in column if isinstance(value, str) and value]
    if not present or not all(_COUNT.match(value) for value in present):
        return None
    whole = pd.to_numeric(column.where(column != "", None)).astype("Int64")
    return whole.astype("int64") if whole.notna().all() else whole


def _require_names(frame: pd.DataFrame, plain: list[Any], source: str) -> list[Any]:
    """The nameless columns that are empty as well; a nameless one with values is refused."""
    gdal_layers.require_columns(len(plain), source)
    name, times = next(iter(Counter(map(str, plain)).most_common(1)), ("", 0))
    if times > 1 and name.strip():
        raise InputError("column_repeated", file=source, column=name)
    nameless = [c for c in plain if not str(c).strip(" \0\ufeff")]
    for column in nameless:
        if times > 1 or any(not pd.isna(v) and str(v).strip() for v in frame[column]):
            raise InputError("column_unnamed", file=source, column=plain.index(column) + 1)
    return nameless


def _together(column: pd.Series[Any]) -> str:
    """All texts of a column as one."""
    if not isinstance(column.dtype, pd.StringDtype):
        return "".join(v for v in column if isinstance(v, str))
    if len(column) == 0:
        return ""
    import pyarrow as pa

    # As Arrow holds them, one after another: made one by one they would cost ten times as much.
    arrow = pa.array(column, pa.large_string())
    arrow = arrow.combine_chunks() if isinstance(arrow, pa.ChunkedArray) else arrow
    _, marks, content = arrow.buffers()
    ends = np.frombuffer(marks, np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    return bytes(memoryview(content or b"")[ends[0] : ends[-1]]).decode()


def _require_size(texts: Mapping[Any, str], source: str) -> None:
    sizes = {column: len(text.encode("utf-8", "replace")) for column, text in texts.items()}
    size = sum(sizes.values())
    if size > limits.MOST_ATTRIBUTES_MB * limits.MB:
        raise InputError(
            "attributes_too_large",
            file=source,
            size_mb=size // limits.MB,
            limit_mb=limits.MOST_ATTRIBUTES_MB,
            column=max(sizes, key=lambda c: sizes[c]),
        )


def _values_checked(
    frame: gpd.GeoDataFrame,
    column: Any,
    source: str,
    notes: list[Note],
    mended: list[str],
) -> gpd.GeoDataFrame:
    texts = frame[column].tolist()
    values = {v for v in texts if isinstance(v, str) and v}
    redecoded = {v: told for v in values if (told := encodings.undone(v)) is not None}
    lost = {v for v in values - redecoded.keys() if encodings.is_lost(v)}
    if lost:
        rows = [row for row, v in enumerate(texts, 1) if isinstance(v, str) and v in lost]
        if len(rows) > _MOST_LOST * len(frame):
            value = texts[rows[0] - 1][:40]
            raise InputError("text_garbled", file=source, row=rows[0], column=column, value=value)
        told = ", ".join(map(str, rows[:_TOLD]))
        notes.append(
            Note(
                "text_damaged",
                f"“{column}”列第 {told} 行的文字已损坏（乱码），请补正。",
                f"Column “{column}” holds damaged text in rows {told}; write it anew.",
            )
        )
    if not redecoded:
        return frame
    example = min(redecoded)
    mended.append(f"{example[:20]} → {redecoded[example][:20]}")
    return frame.assign(**{column: frame[column].map(lambda v: redecoded.get(v, v))})
