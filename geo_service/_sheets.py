"""Cells of spreadsheets and CSV files, as they stand."""

from __future__ import annotations

import csv
import io
import os
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import python_calamine

from geo_service import encodings
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.notes import Note

_DELIMITERS = (",", "\t", ";", "|")
_SNIFFED_LINES = 20
_LONGEST_CELL = 64 * 1024 * 1024  # a border as WKT is longer than the 128 KB the csv module takes
_ZIP, _OLE = b"PK", b"\xd0\xcf\x11\xe0"  # .xlsx and the like; .xls, or a workbook with a password
_MOST_BYTES = 1 << 30  # of an unpacked workbook: two hundred times the register of a city
_SHOWS_ZEROS = re.compile(rb'formatCode="0{2,}"')  # a number shown with leading zeros


@dataclass(frozen=True)
class Sheet:
    """One sheet.

    Parameters
    ----------
    name : str
        "" for a CSV.
    cells : sequence of sequences
        Row by row: texts, numbers, dates; ``""`` or ``None`` where nothing stands. A cell merged
        over several rows is repeated in each of them.
    repeated : set of tuple
        (row, column) from 0 of those repetitions.
    formats : Mapping
        (row, column) from 0 -> number format, of cells that show leading zeros only.
    """

    name: str
    cells: Sequence[Sequence[Any]]
    repeated: Set[tuple[int, int]] = frozenset()
    formats: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """The sheets of one file, and what was found while reading."""

    sheets: tuple[Sheet, ...]
    notes: tuple[Note, ...]
    source: str


def read(path: str | os.PathLike[str], *, encoding: str | None, sheet: str | None) -> Book:
    """Read the cells of a workbook (.xlsx, .xls, .et, .ods) or a CSV; its first bytes tell which.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``encoding_unreadable``, ``layer_choice``.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    data = file.read_bytes()
    if data.startswith((_ZIP, _OLE)):
        return _workbook(data, file.name, sheet)
    text, note = _text(data, file.name, encoding)
    return Book((Sheet("", _rows(text, file.name)),), (note,), file.name)


def _rows(text: str, source: str) -> list[list[str]]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise InputError("file_unreadable", file=source, reason=error) from error
    finally:
        csv.field_size_limit(before)


def _workbook(data: bytes, source: str, wanted: str | None) -> Book:
    try:
        zeros = data.startswith(_ZIP) and _shows_zeros(data, source)
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        pages = [
            s for s in book.sheets_metadata if s.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
        names = [page.name for page in pages]
        if wanted and wanted not in names:
            raise InputError("layer_choice", file=source, layers=", ".join(names))
        shown = [p.name for p in pages if p.visible == python_calamine.SheetVisibleEnum.Visible]
        formats = _zero_formats(data) if zeros else {}
        taken = [wanted] if wanted else shown or names
        sheets = tuple(_sheet(book.get_sheet_by_name(n), n, formats.get(n, {})) for n in taken)
    except python_calamine.PasswordError as error:
        reason = Phrase("有密码，请去掉密码后另存", "it has a password: save it without")
        raise InputError("file_unreadable", file=source, reason=reason) from error
    except (python_calamine.CalamineError, zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError("file_unreadable", file=source, reason=error) from error
    notes: tuple[Note, ...] = ()
    if hidden := [name for name in names if name not in shown and name not in taken]:
        listed = ", ".join(hidden)
        notes = (Note("sheets_hidden", f"未读隐藏的工作表：{listed}。", f"Hidden: {listed}."),)
    return Book(sheets, notes, source)


def _sheet(page: Any, name: str, formats: Mapping[tuple[int, int], str]) -> Sheet:
    cells = page.to_python(skip_empty_area=False)
    repeated = set()
    for (top, column), (bottom, _) in page.merged_cell_ranges or ():
        for row in range(top + 1, min(bottom + 1, len(cells))):
            cells[row][column] = cells[top][column]
            repeated.add((row, column))
    return Sheet(name, cells, repeated, formats)


def _shows_zeros(data: bytes, source: str) -> bool:
    """Tell whether any number is shown with leading zeros; refuse what unpacks without end."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_BYTES:
            reason = Phrase(
                f"解压后超过 {_MOST_BYTES >> 20} MB", f"more than {_MOST_BYTES >> 20} MB unpacked"
            )
            raise InputError("file_unreadable", file=source, reason=reason)
        styles = [n for n in archive.namelist() if n == "xl/styles.xml"]
        return any(_SHOWS_ZEROS.search(archive.read(name)) for name in styles)


def _zero_formats(data: bytes) -> dict[str, dict[tuple[int, int], str]]:
    """Find the cells whose number is shown with leading zeros, sheet by sheet.

    calamine gives values without their formats, so only a workbook that has such a format is read
    a second time, eight times slower.
    """
    import openpyxl

    with warnings.catch_warnings():
        # Missing styles and unknown extensions say nothing about the cells.
        warnings.simplefilter("ignore", UserWarning)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        return {
            sheet.title: {
                (row, column): cell.number_format
                for row, found in enumerate(sheet.iter_rows())
                for column, cell in enumerate(found)
                if isinstance(cell.value, int | float) and cell.number_format.startswith("00")
            }
            for sheet in book.worksheets
        }


def _text(data: bytes, source: str, encoding: str | None) -> tuple[str, Note]:
    found = (
        encodings.Encoding(encoding, Phrase("按您的说明", "as said"))
        if encoding
        else encodings.detect(data, file=source)
    )
    try:
        text = data.decode(found.name, "strict" if encoding else "replace")
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError("encoding_unreadable", file=source, tried=found.name) from error
    zh = f"文字编码按 {found.name} 读取（{found.why.zh}）。"
    en = f"Text read as {found.name} ({found.why.en})."
    return text, Note("encoding", zh, en)


def _delimiter(text: str) -> str:
    """Give the delimiter that splits the first lines into the most cells."""
    lines = text.splitlines()[:_SNIFFED_LINES]
    return max(_DELIMITERS, key=lambda mark: sum(line.count(mark) for line in lines))


def first_sheet(path: Path, **options: Any) -> pd.DataFrame:
    """Read the first sheet of a workbook that has its header in its first row.

    Parameters
    ----------
    path : Path
        The workbook.
    **options
        Of `pandas.read_excel`.

    Raises
    ------
    InputError
        ``file_unreadable``.
    """
    try:
        return pd.read_excel(path, engine="calamine", **options)
    except (python_calamine.CalamineError, ValueError, OSError, KeyError) as error:
        raise InputError("file_unreadable", file=path.name, reason=error) from error
