"""Read a register: find its header under titles, and keep every digit of its codes.

Codes are text from the first cell on. A code that a spreadsheet has turned into a rounded number is
refused with its rows, since its last digits are gone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geo_service import _sheets, codes, layers
from geo_service._sheets import Sheet
from geo_service.errors import InputError
from geo_service.notes import Note

_HEADER_WITHIN = 20  # rows looked at for the header: titles and remarks stand above it
_MOST_DIGITS = 10**15  # beyond, a spreadsheet's float has lost digits
_ROWS_NAMED = 20
_CODE_FIELDS = ("code", "parent_code")
_NUMBER_FIELDS = ("households", "population", "population_60", "area", "lon", "lat")
_SUMMARY = re.compile(r"(合计|总计|小计|共计|本页|备注|说明|填表|填报|制表|审核|注[:：])")
_ZEROS = re.compile(r"0+\Z")
_SPACES = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_SEVERAL_CODES = re.compile(r"\d{6,}(\s+\d{6,})+\Z")


@dataclass(frozen=True)
class Register:
    """A register as read.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per entry, every column text except known numbers; columns under our field names
        where they are known (`geo_service.layers.FIELDS`). The index is the row in the file, with
        its sheet before it (``北大街道!7``) where several were read.
    notes : tuple of Note
        What was found and assumed.
    source : str
        The file's name.
    continued : frozenset
        Rows whose code stands in a cell merged with the row above: the same entry goes on.
    """

    frame: pd.DataFrame
    notes: tuple[Note, ...]
    source: str
    continued: frozenset[Any] = frozenset()


@dataclass(frozen=True)
class _Header:
    """Where a sheet's columns are named, and which of ours they are."""

    sheet: Sheet
    row: int
    fields: dict[str, int]  # our field name -> column from 0

    def names(self) -> list[str]:
        """Column names: ours where known, the file's elsewhere, each once."""
        ours = {place: field for field, place in self.fields.items()}
        names: list[str] = []
        for place, cell in enumerate(self.sheet.cells[self.row]):
            text = _heading(cell) or f"column_{place + 1}"
            name, number = ours.get(place, text), 2
            while name in names or (place not in ours and name in self.fields):
                name, number = f"{text}_{number}", number + 1
            names.append(name)
        return names


def read(
    path: str | Any,
    *,
    fields: Mapping[str, str] | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    needs: Sequence[str] = ("code",),
) -> Register:
    """Read a register.

    Parameters
    ----------
    path : str or path-like
        A workbook (.xlsx, .xls, .et, .ods) or CSV. The header is found below titles; cells merged
        over rows stand in each of them; the encoding of a CSV is told from its bytes.
    fields : Mapping, optional
        Our field name -> the file's column, instead of matching by name.
    encoding : str, optional
        Of a CSV.
    sheet : str, optional
        Of a workbook; by default the first one that has the columns needed, and those after it
        that have the same ones (a sheet per township).
    needs : sequence of str
        Fields without which it is no such register.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``encoding_unreadable``, ``layer_choice``, ``field_missing``,
        ``code_is_a_float``.
    """
    book = _sheets.read(path, encoding=encoding, sheet=sheet)
    headers = [_header(s, fields or {}, needs) for s in book.sheets]
    first = next((found for found in headers if found is not None), None)
    if first is None:
        raise _no_columns(book.sheets, fields or {}, needs, book.source)
    alike = [h for h in headers if h is not None and h.fields.keys() == first.fields.keys()]
    notes = list(book.notes)
    if len(book.sheets) > 1:
        taken = ", ".join(h.sheet.name for h in alike)
        notes.append(Note("sheet", f"工作表：{taken}。", f"Sheets read: {taken}."))
    if first.row:
        zh, en = f"表头在第 {first.row + 1} 行。", f"The header stands in row {first.row + 1}."
        notes.append(Note("header", zh, en))
    bodies = [_body(h, book.source, several=len(alike) > 1) for h in alike]
    entries = pd.concat([body.frame for body in bodies])
    dropped = [row for body in bodies for row in body.dropped]
    blank = sum(body.blank for body in bodies)
    if dropped:
        shown = _listed(dropped)
        zh, en = f"合计、备注、重复表头行未计入：第 {shown} 行。", f"Not entries: rows {shown}."
        notes.append(Note("summary_rows", zh, en))
    if blank:
        notes.append(Note("blank_rows", f"跳过 {blank} 个空行。", f"{blank} blank rows skipped."))
    continued = frozenset(row for body in bodies for row in body.continued)
    return Register(_texts_and_numbers(entries), tuple(notes), book.source, continued)


def _header(sheet: Sheet, fields: Mapping[str, str], needs: Sequence[str]) -> _Header | None:
    """Find the row that names the most fields, what is needed among them.

    Of a header of two rows ("网格员" over "姓名" and "电话") the lower one wins: the cells of the
    upper that reach down are repeated in it.
    """
    best: _Header | None = None
    for row, cells in enumerate(sheet.cells[:_HEADER_WITHIN]):
        matched = _match([_heading(cell) for cell in cells], fields)
        if not set(needs) <= matched.keys():
            continue
        goes_on = best is not None and (row, matched[needs[0]]) in sheet.repeated
        if best is None or len(matched) > len(best.fields) or goes_on:
            best = _Header(sheet, row, matched)
    return best


def _match(names: Sequence[str], fields: Mapping[str, str]) -> dict[str, int]:
    """Our field name -> column; of columns named alike the first."""
    named = {f: names.index(_heading(c)) for f, c in fields.items() if _heading(c) in names}
    free = [n for place, n in enumerate(names) if n and place not in named.values()]
    matched = layers.match_fields(free)
    return {**{f: names.index(n) for f, n in matched.items() if f not in fields}, **named}


def _no_columns(
    sheets: Sequence[Sheet], fields: Mapping[str, str], needs: Sequence[str], source: str
) -> InputError:
    rows = (row for sheet in sheets for row in sheet.cells[:_HEADER_WITHIN])
    fullest = max(rows, key=_filled, default=())
    found = ", ".join(text for cell in fullest if (text := _text(cell)))
    wanted = ", ".join(fields.get(field, field) for field in needs)
    return InputError("field_missing", file=source, field=wanted, found=found)


@dataclass(frozen=True)
class _Body:
    frame: pd.DataFrame
    dropped: list[Any]
    continued: list[Any]
    blank: int


def _body(header: _Header, source: str, *, several: bool) -> _Body:
    """Rows below the header; blank ones are counted only."""
    sheet, names = header.sheet, header.names()
    below = range(header.row + 1, len(sheet.cells))
    kept = [row for row in below if _filled(sheet.cells[row])]
    width = len(names)
    data = [[*sheet.cells[row], *[None] * width][:width] for row in kept]
    places = [f"{sheet.name}!{row + 1}" if several else row + 1 for row in kept]
    frame = pd.DataFrame(data, columns=names, index=pd.Index(places, name="row"), dtype="object")
    for field in _CODE_FIELDS:
        if field in frame:
            frame[field] = _codes(frame[field], kept, sheet, header.fields[field], source)
    for field in _NUMBER_FIELDS:  # a number merged over rows is the sum of them, not each one's
        if field in frame:
            once = [(row, header.fields[field]) not in sheet.repeated for row in kept]
            frame[field] = frame[field].where(pd.Series(once, frame.index))
    told = _not_entries(frame, header)
    code = header.fields.get("code")
    goes_on = [
        place
        for place, row, out in zip(places, kept, told, strict=True)
        if (row, code) in sheet.repeated and not out
    ]
    dropped = [place for place, out in zip(places, told, strict=True) if out]
    last = max(kept, default=header.row)
    blank = last - header.row - len(kept)
    return _Body(frame.loc[~np.array(told, dtype=bool)], dropped, goes_on, blank)


def _codes(
    column: pd.Series[Any], rows: Sequence[int], sheet: Sheet, place: int, source: str
) -> list[str]:
    ruined = [(row, value) for row, value in column.items() if _is_ruined(value)]
    if ruined:
        shown = _listed([row for row, _ in ruined])
        raise InputError("code_is_a_float", file=source, row=shown, value=ruined[0][1])
    out = []
    for row, value in zip(rows, column, strict=True):
        zeros = sheet.formats.get((row, place), "")
        text = _one_code(unicodedata.normalize("NFKC", _text(value)).strip("'’ "))
        out.append(text.zfill(len(zeros)) if _ZEROS.match(zeros) and text else text)
    return out


def _one_code(text: str) -> str:
    """Take spaces out of a code, but leave them between several codes of one cell."""
    return text if _SEVERAL_CODES.match(text) else _SPACES.sub("", text)


def _is_ruined(value: Any) -> bool:
    """Whether a cell's digits are lost; a whole number below 10^15 is still exact in a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is not None and codes.damaged(value)
    return not float(value).is_integer() or abs(value) >= _MOST_DIGITS


def _not_entries(frame: pd.DataFrame, header: _Header) -> list[bool]:
    """Tell rows that repeat the header, sum up or remark (no code, a first text that says so)."""
    titles = [_heading(cell) for cell in header.sheet.cells[header.row]]
    cells = frame.to_numpy()
    first = [next((t for cell in row if (t := _heading(cell))), "") for row in cells]
    code = frame["code"].tolist() if "code" in frame else [""] * len(frame)
    return [
        (bool(_SUMMARY.match(text)) and not any(c.isdigit() for c in entry))
        or (text in titles and [_heading(cell) for cell in row][: len(titles)] == titles)
        for text, entry, row in zip(first, code, cells, strict=True)
    ]


def _texts_and_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    out = {}
    for name in frame.columns:
        texts = pd.Series([_text(value) for value in frame[name]], index=frame.index, dtype="str")
        if name in _NUMBER_FIELDS:
            plain = [
                unicodedata.normalize("NFKC", t).replace(",", "").strip("户人 ") for t in texts
            ]
            numbers = pd.to_numeric(pd.Series(plain, frame.index), errors="coerce")
            if numbers.notna().sum() == (texts != "").sum():
                out[name] = numbers
                continue
        out[name] = texts
    return pd.DataFrame(out, index=frame.index)


def _listed(rows: Sequence[Any]) -> str:
    more = len(rows) - _ROWS_NAMED
    return ", ".join(map(str, rows[:_ROWS_NAMED])) + (f" … (+{more})" if more > 0 else "")


def _filled(cells: Sequence[Any]) -> int:
    return sum(1 for cell in cells if _text(cell))


def _heading(value: Any) -> str:
    """A column's name without the breaks, spaces and stars that forms put into it."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", _text(value))).strip("*")


def _text(value: Any) -> str:
    """Write a cell as text; a whole float as the integer that was typed."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_DIGITS:
        value = int(value)
    return codes.texts([value])[0]
