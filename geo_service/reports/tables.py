"""Tables as spreadsheets, and places as layers."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import pandas as pd
import xlsxwriter

from geo_service import boundary_files
from geo_service.errors import InputError, Phrase

ENDINGS = (".xlsx", ".csv")
_WIDEST_COLUMN = 60
_NARROWEST_COLUMN = 6
_SAMPLED_ROWS = 200
_SURELY_FITS = 10  # characters of a cell that no column is too narrow for
_LINE_POINTS, _MOST_LINES = 15.5, 12
_MOST_CHARACTERS = 32_000  # of a cell; Excel takes 32,767
_A4 = 9
_UNDATED = dt.datetime(2000, 1, 1)  # the same bytes whenever it is written
_NOT_IN_A_NAME = re.compile(r"[\[\]:*?/\\']")
_FONT = {"font_name": "Microsoft YaHei", "font_size": 10, "valign": "top"}


def write_result(frame: gpd.GeoDataFrame, path: str | Path) -> Path:
    """Write a result that has places: as a spreadsheet without geometry, or as a layer."""
    target = Path(path)
    if target.suffix.lower() in ENDINGS:
        return write_tables({target.stem: pd.DataFrame(frame.drop(columns="geometry"))}, target)
    return boundary_files.write(frame, target)


def write_tables(tables: Mapping[str, pd.DataFrame], path: str | Path) -> Path:
    """Write tables as the sheets of one spreadsheet, or the first one as CSV.

    Texts stay texts (codes keep every digit), the header stays in view and filters are on; a sheet
    prints on pages of its own width. The same tables give the same bytes.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    if target.suffix.lower() == ".csv":
        text = next(iter(tables.values())).to_csv(index=False)
        return put(target, text.encode("utf-8-sig"), known=ENDINGS)
    if target.suffix.lower() != ".xlsx":
        reason = Phrase(
            f"不认识扩展名 {target.suffix or '—'}", f"unknown ending {target.suffix or '—'}"
        )
        known = " ".join(ENDINGS)
        raise InputError("output_unwritable", file=target.name, reason=reason, known=known)
    with Spreadsheet() as book:
        for name, frame in tables.items():
            book.add_table(name, frame)
    return put(target, book.content, known=ENDINGS)


def put(target: Path, content: bytes, *, known: tuple[str, ...]) -> Path:
    """Write a file whole or not at all.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    made = target.with_name(f".{target.name}.part")
    try:
        made.write_bytes(content)
        made.replace(target)
    except OSError as error:
        made.unlink(missing_ok=True)
        reason = error
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=" ".join(known)
        ) from error
    return target


class Spreadsheet:
    """A workbook under way; its `content` is there when the ``with`` block has ended."""

    def __init__(self) -> None:
        self._made = io.BytesIO()
        options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
                   "nan_inf_to_errors": True, "default_format_properties": dict(_FONT)}  # fmt: skip
        self.book = xlsxwriter.Workbook(self._made, options)
        self.book.set_properties({"created": _UNDATED, "author": "Geo Service"})
        self.text = self.book.add_format({**_FONT, "num_format": "@", "text_wrap": True})
        self.plain = self.book.add_format(_FONT)
        self.head = self.book.add_format(
            {**_FONT, "bold": True, "bg_color": "#DDE7F0", "text_wrap": True, "bottom": 1,
             "bottom_color": "#9DB2C4"}
        )  # fmt: skip
        self._names: set[str] = set()

    def __enter__(self) -> Spreadsheet:
        return self

    def __exit__(self, *_: object) -> None:
        self.book.close()

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return self._made.getvalue()

    def sheet_name(self, wanted: str) -> str:
        """A name that Excel takes and no other sheet has."""
        plain = _NOT_IN_A_NAME.sub("_", wanted)[:31] or "Sheet"
        name, number = plain, 2
        while name.lower() in self._names:
            name, number = f"{plain[:28]}_{number}", number + 1
        self._names.add(name.lower())
        return name

    def add_table(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        footer: str = "",
        formats: Mapping[str, str] = MappingProxyType({}),
        printed: int | None = None,
    ) -> Any:
        """Add a table as a sheet of its own.

        Parameters
        ----------
        name : str
            Of the sheet.
        frame : DataFrame
        footer : str
            At the foot of every printed page.
        formats : Mapping
            Column -> number format.
        printed : int, optional
            How many columns are printed; those behind are for machines.
        """
        sheet = self.book.add_worksheet(self.sheet_name(name))
        columns = [str(c) for c in frame.columns]
        widths = [_width(column, frame.iloc[:, k]) for k, column in enumerate(columns)]
        numbers = [self._number(formats.get(column)) for column in columns]
        for place, column in enumerate(columns):
            sheet.set_column(place, place, widths[place], self.plain)
            sheet.write_string(0, place, column, self.head)
        for row, values in enumerate(frame.itertuples(index=False), start=1):
            lines = 1
            for place, value in enumerate(values):
                text = self._write(sheet, row, place, value, numbers[place])
                if len(text) > _SURELY_FITS:
                    lines = max(lines, -(-_spread(text) // int(widths[place])))
            if lines > 1:  # not every program makes a row as high as its text
                sheet.set_row(row, min(lines, _MOST_LINES) * _LINE_POINTS)
        if printed is not None:
            sheet.print_area(0, 0, len(frame), printed - 1)
        sheet.freeze_panes(1, 0)
        if columns:
            sheet.autofilter(0, 0, max(len(frame), 1), len(columns) - 1)
            sheet.repeat_rows(0)
        for_print(sheet, footer=footer)
        return sheet

    def _number(self, form: str | None) -> Any:
        return self.book.add_format({**_FONT, "num_format": form}) if form else self.plain

    def _write(self, sheet: Any, row: int, place: int, value: Any, number: Any) -> str:
        """Write a cell and give its text, empty where it is none."""
        if isinstance(value, list | tuple | set):
            value = "、".join(map(str, value))
        if value is None or (not isinstance(value, str) and pd.isna(value)):
            return ""
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, bool):
            sheet.write_boolean(row, place, value)
        elif isinstance(value, int | float):
            sheet.write_number(row, place, value, number)
        else:
            # Marked as text, digits stay digits when somebody edits the cell.
            text = _fitting(str(value))
            sheet.write_string(row, place, text, self.text)
            return text
        return ""


def for_print(sheet: Any, *, footer: str = "", landscape: bool = True) -> None:
    """Set a sheet up for A4: as many pages as it needs, each as wide as the sheet."""
    sheet.set_paper(_A4)
    if landscape:
        sheet.set_landscape()
    sheet.set_margins(left=0.5, right=0.5, top=0.6, bottom=0.7)
    sheet.fit_to_pages(1, 0)
    sheet.set_footer(f"&L&8{footer.replace('&', '&&')}&R&8&P / &N")


def _fitting(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"


def _spread(text: str) -> int:
    """Width of a text in half-width characters."""
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


def _width(name: str, column: pd.Series[Any]) -> float:
    shown = [name, *map(str, column.head(_SAMPLED_ROWS))]
    longest = max(map(_spread, shown))
    return min(max(longest + 2, _NARROWEST_COLUMN), _WIDEST_COLUMN)
