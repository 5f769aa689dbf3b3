"""Layers read as bytes (as Latin-1, a byte a character), brought to the text they were meant as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import geopandas as gpd
import pandas as pd

from geo_service import encodings
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_SAMPLED_VALUES = 500  # of each column
_SHORTEST_CUT = 10  # bytes of a column name of a DBF
_MOST_CUT = 3  # bytes that are left of a character of UTF-8


def text_columns(frame: gpd.GeoDataFrame) -> list[str]:
    """The columns that hold texts."""
    return [
        c for c in frame.columns if c != "geometry" and not pd.api.types.is_numeric_dtype(frame[c])
    ]


def sample(frame: gpd.GeoDataFrame) -> bytes:
    """The names and the first different values of a layer, as they stand in the file."""
    values = (v for c in text_columns(frame) for v in frame[c].dropna().unique()[:_SAMPLED_VALUES])
    texts = [*map(str, frame.columns), *map(str, values)]
    return b"\n".join(_uncut(text.encode("latin1", "replace")) for text in texts)


def _uncut(raw: bytes) -> bytes:
    """A text without the bytes of a character that its column's width cut."""
    if raw.isascii() or len(raw) < _SHORTEST_CUT:
        return raw
    whole = raw.decode("utf-8", "ignore").encode("utf-8")
    if not whole.isascii() and len(raw) - len(whole) <= _MOST_CUT:
        return whole
    try:
        raw[:-1].decode("gb18030")
    except UnicodeDecodeError:
        return raw
    return raw[:-1]


def decoded(
    frame: gpd.GeoDataFrame, found: encodings.Encoding, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Decode the names and texts of a layer and tell by what.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Read as Latin-1.
    found : Encoding
        What it is in.
    notes : list of Note
        Gets the encoding, and names that were cut or are alike.
    """
    notes.append(encoding_note(found))
    texts = {column: _values(frame[column], found.name) for column in text_columns(frame)}
    return frame.assign(**texts).rename(columns=_names(frame.columns, found.name, notes))


def text(data: bytes, source: str, encoding: str | None, notes: list[Note]) -> str:
    """Decode a text file by what its sender says, or else by its content, and tell which.

    Raises
    ------
    InputError
        ``encoding_unreadable``.
    """
    if encoding is None:
        found = encodings.detect(data, file=source)
    else:
        found = encodings.Encoding(encoding, Phrase("按您的说明", "as told"))
    try:
        decoded_text = data.decode(found.name, "strict" if encoding else "replace")
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError("encoding_unreadable", file=source, tried=found.name) from error
    notes.append(encoding_note(found))
    return decoded_text


def encoding_note(found: encodings.Encoding) -> Note:
    """Tell which encoding was taken and why."""
    return Note(
        "encoding",
        f"文字编码按 {found.name} 读取（{found.why.zh}）。",
        f"Text read as {found.name} ({found.why.en}).",
    )


def _values(column: pd.Series[Any], codec: str) -> pd.Series[Any]:
    def decode(value: object) -> object:
        if not isinstance(value, str) or value.isascii():
            return value
        # A DBF cuts a text at its column's width, also inside a character.
        return value.encode("latin1", "replace").decode(codec, "replace").rstrip("\ufffd")

    return column.map(decode)


def _names(columns: Iterable[object], codec: str, notes: list[Note]) -> dict[str, str]:
    """Column names as they were meant; cut ones end at a whole character and stay apart."""
    names: dict[str, str] = {}
    cut: list[str] = []
    alike: list[str] = []
    for column in map(str, columns):
        raw = column.encode("latin1", "replace")
        try:
            name = raw.decode(codec)
        except UnicodeDecodeError:
            name = raw.decode(codec, "ignore")
            cut.append(name)
        plain, number = name, 2
        while name in names.values():
            name, number = f"{plain}_{number}", number + 1
        if name != plain:
            alike.append(name)
        names[column] = name
    if cut:
        notes.append(
            Note(
                "field_names_cut",
                f"字段名在 10 字节处被截断：{'、'.join(cut)}。",
                f"Field names were cut at 10 bytes: {', '.join(cut)}.",
            )
        )
    if alike:
        notes.append(
            Note(
                "field_names_collide",
                f"截断后字段重名，已加序号区分：{'、'.join(alike)}。请核对各列内容。",
                f"Field names are alike after the cut and were numbered: {', '.join(alike)}. "
                "Check what each column holds.",
            )
        )
    return names
