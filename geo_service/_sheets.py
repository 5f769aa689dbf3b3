"""Cells of spreadsheets and CSV files, as they stand."""

from __future__ import annotations

import csv
import io
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geo_service import encodings
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.notes import Note

_DELIMITERS = (",", "\t", ";", "|")
_SNIFFED_LINES = 20
_LONGEST_CELL = 64 * 1024 * 1024  # a border as WKT is longer than the 128 KB the csv module takes
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class Sheet:
    """One sheet.

    Parameters
    ----------
    name : str
        "" for a CSV.
    cells : sequence of sequences
        Row by row: texts, numbers, dates or ``None``.
    formats : Mapping
        (row, column) from 0 -> number format, of cells that show leading zeros only.
    """

    name: str
    cells: Sequence[Sequence[Any]]
    formats: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """The sheets of one file, and what was found while reading."""

    sheets: tuple[Sheet, ...]
    notes: tuple[Note, ...]
    source: str


def read(path: str | os.PathLike[str], *, encoding: str | None, sheet: str | None) -> Book:
    """Read the cells of an XLSX or CSV file; its first bytes tell which it is.

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
    if data.startswith(_OLD_EXCEL):
        reason = "旧版 .xls，请另存为 .xlsx / the old .xls form: save it as .xlsx"
        raise InputError("file_unreadable", file=file.name, reason=reason)
    if data.startswith(b"PK"):
        return Book(tuple(_workbook(data, file.name, sheet)), (), file.name)
    text, note = _text(data, file.name, encoding)
    rows = _rows(text, file.name)
    return Book((Sheet("", rows),), (note,), file.name)


def _rows(text: str, source: str) -> list[list[str]]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise InputError("file_unreadable", file=source, reason=error) from error
    finally:
        csv.field_size_limit(before)


def _workbook(data: bytes, source: str, wanted: str | None) -> list[Sheet]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            # Missing styles and unknown extensions say nothing about the cells.
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        names = [wanted] if wanted else book.sheetnames
        if wanted and wanted not in book.sheetnames:
            raise InputError("layer_choice", file=source, layers=", ".join(book.sheetnames))
        return [_sheet(book[name]) for name in names]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, SyntaxError) as error:
        raise InputError("file_unreadable", file=source, reason=error) from error


def _sheet(sheet: Any) -> Sheet:
    cells, formats = [], {}
    for row, found in enumerate(sheet.iter_rows()):
        cells.append([cell.value for cell in found])
        for column, cell in enumerate(found):
            if isinstance(cell.value, int | float) and cell.number_format.startswith("00"):
                formats[row, column] = cell.number_format
    return Sheet(sheet.title, cells, formats)


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
