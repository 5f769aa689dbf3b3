"""Read a report written before: its faults, from JSON, XLSX or GeoPackage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import python_calamine

from geo_service.errors import InputError, MissingError
from geo_service.reports import words

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

COLUMNS = (
    "kind",
    "severity",
    "codes",
    "area_m2",
    "width_m",
    "lon",
    "lat",
    "message_zh",
    "message_en",
)
FAULT_SHEET = "问题清单"
FAULT_TABLE = "faults"
_NUMBERS = ("area_m2", "width_m", "lon", "lat")
_XLSX_COLUMNS = {
    "kind": "kind", "severity": "级别", "codes": "网格编码", "area_m2": "面积（平方米）",
    "width_m": "宽度（米）", "lon": "经度", "lat": "纬度", "message_zh": "说明",
    "message_en": "message",
}  # fmt: skip


@dataclass(frozen=True)
class OldReport:
    """The faults of a report.

    Parameters
    ----------
    faults : pandas.DataFrame
        kind, severity, codes (list), area_m2, width_m, lon and lat (WGS84; the file's own
        coordinates where it named no system), message_zh, message_en.
    source : str
        The report's name.
    """

    faults: pd.DataFrame
    source: str

    @classmethod
    def of(cls, report: CoverageReport, *, source: str = "") -> OldReport:
        """Take the faults of a report at hand."""
        return _told(report.to_dict(), source)


def read_old_report(path: str | Path) -> OldReport:
    """Read a report that ``check`` wrote: ``--json``, or ``-o`` with .json, .xlsx or .gpkg.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``report_unreadable``.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError("report_unreadable", file=file.name, known=" ".join(_READERS))
    try:
        return reader(file)
    except (ValueError, KeyError, TypeError, OSError, sqlite3.Error, IndexError,
            python_calamine.CalamineError) as error:  # fmt: skip
        raise InputError("report_unreadable", file=file.name, known=" ".join(_READERS)) from error


def _read_json(file: Path) -> OldReport:
    return _told(json.loads(file.read_text("utf-8-sig")), file.name)


def _told(told: Mapping[str, Any], source: str) -> OldReport:
    rows = [
        (
            fault["kind"],
            fault["severity"],
            list(fault["codes"]),
            fault["area_m2"],
            fault["width_m"],
            *(fault["at"] or (None, None)),
            fault["message"]["zh"],
            fault["message"]["en"],
        )
        for fault in told["faults"]
    ]
    return OldReport(_frame(rows), source)


def _read_xlsx(file: Path) -> OldReport:
    book = python_calamine.CalamineWorkbook.from_path(file)
    cells: list[list[Any]] = book.get_sheet_by_name(FAULT_SHEET).to_python(skip_empty_area=False)
    head, *rows = cells
    places = [head.index(name) for name in _XLSX_COLUMNS.values()]
    severity = {zh: name for name, zh in words.SEVERITIES_ZH.items()}
    told = []
    for row in rows:
        kind, level, codes, *numbers, zh, en = (row[place] for place in places)
        values = [None if value == "" else float(value) for value in numbers]
        listed = [code for code in str(codes).split("、") if code]
        told.append((kind, severity[level], listed, *values, zh, en))
    return OldReport(_frame(told), file.name)


def _read_gpkg(file: Path) -> OldReport:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        query = (
            f"SELECT {', '.join(COLUMNS)} FROM {FAULT_TABLE} WHERE status <> 'solved' ORDER BY fid"
        )
        rows = database.execute(query).fetchall()
    told = [(*row[:2], [c for c in row[2].split(", ") if c], *row[3:]) for row in rows]
    return OldReport(_frame(told), file.name)


def _frame(rows: list[Any]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(_NUMBERS, np.float64))


_READERS: dict[str, Callable[[Path], OldReport]] = {
    ".json": _read_json,
    ".xlsx": _read_xlsx,
    ".gpkg": _read_gpkg,
}
"""Ending -> reader; a further form is one entry here."""
