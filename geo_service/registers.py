"""Registers of grids and staff, as XLSX or CSV, and their comparison with the map.

Codes are text from the first cell on. A code that a spreadsheet has turned into a rounded number is
refused with its row, since its last digits are gone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geo_service import _sheets, codes, layers, masking
from geo_service._sheets import Sheet
from geo_service.errors import InputError
from geo_service.notes import Note

_HEADER_WITHIN = 20  # rows looked at for the header: titles and remarks stand above it
_MOST_DIGITS = 10**15  # beyond, a spreadsheet's float has lost digits
_CODE_FIELDS = ("code", "parent_code")
_NUMBER_FIELDS = ("households", "population", "population_60", "area", "lon", "lat")
_SUMMARY = re.compile(r"(合计|总计|小计|共计|备注|说明|填表|审核|注[:：])")
_ZEROS = re.compile(r"0+\Z")
_SEVERAL = re.compile(r"[、,，;；/\s]+")
_ROLE_COLUMNS = ("role", "角色", "岗位", "人员类别", "人员类型", "职务", "网格员类型", "类别")


@dataclass(frozen=True)
class Register:
    """A register as read.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per entry, every column text except known numbers; columns under our field names
        where they are known (`geo_service.layers.FIELDS`). The index is the row in the file.
    notes : tuple of Note
        What was found and assumed.
    source : str
        The file's name.
    """

    frame: pd.DataFrame
    notes: tuple[Note, ...]
    source: str


@dataclass(frozen=True)
class Reconciliation:
    """A register against the map.

    Parameters
    ----------
    registered : int
        Distinct codes of the register, and its rows without a code.
    polygons : int
        Features on the map.
    mapped : int
        Registered codes that are on the map.
    on_map_percent : str
        `mapped` of `registered`, truncated to two decimals, never rounded up.
    coverage_percent : str or None
        The share of the ground covered, as the coverage check gave it; the two rates answer
        different questions and stand side by side.
    unmapped : tuple of str
        Registered and not on the map (未落图).
    unregistered : tuple of str
        On the map and not registered (无登记).
    register_duplicates, map_duplicates : Mapping
        Code -> how often, where more than once.
    rows_without_code : tuple of int
        Rows of the register's file without a code.
    polygons_without_code : int
        Features without one.
    """

    registered: int
    polygons: int
    mapped: int
    on_map_percent: str
    coverage_percent: str | None
    unmapped: tuple[str, ...]
    unregistered: tuple[str, ...]
    register_duplicates: Mapping[str, int]
    map_duplicates: Mapping[str, int]
    rows_without_code: tuple[int, ...]
    polygons_without_code: int

    @property
    def complete(self) -> bool:
        """Whether register and map name the same codes, each once."""
        return not (
            self.unmapped
            or self.unregistered
            or self.register_duplicates
            or self.map_duplicates
            or self.rows_without_code
            or self.polygons_without_code
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "registered": self.registered,
            "polygons": self.polygons,
            "mapped": self.mapped,
            "on_map_percent": self.on_map_percent,
            "coverage_percent": self.coverage_percent,
            "unmapped": list(self.unmapped),
            "unregistered": list(self.unregistered),
            "register_duplicates": dict(self.register_duplicates),
            "map_duplicates": dict(self.map_duplicates),
            "rows_without_code": list(self.rows_without_code),
            "polygons_without_code": self.polygons_without_code,
        }


@dataclass(frozen=True)
class Staffing:
    """A roster against the grids.

    Parameters
    ----------
    persons, grids : int
        Rows of the roster, and distinct grid codes.
    per_grid : pandas.Series
        Grid code -> persons.
    without_person : tuple of str
        Grids nobody is named for.
    unknown_grid : pandas.DataFrame
        Roster rows whose code is no grid's; names and phones masked.
    roles : Mapping
        Role -> persons, most first; empty where the roster has no such column.
    """

    persons: int
    grids: int
    per_grid: pd.Series[int]
    without_person: tuple[str, ...]
    unknown_grid: pd.DataFrame
    roles: Mapping[str, int]

    @property
    def one_to_one(self) -> bool:
        """Whether every grid has exactly one person and every person a grid (2,038 to 2,038)."""
        return bool((self.per_grid == 1).all()) and self.unknown_grid.empty

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; rows of the file instead of persons."""
        return {
            "persons": self.persons,
            "grids": self.grids,
            "without_person": list(self.without_person),
            "unknown_grid_rows": [int(row) for row in self.unknown_grid.index],
            "roles": dict(self.roles),
            "one_to_one": self.one_to_one,
        }


def read(
    path: str | Any,
    *,
    fields: Mapping[str, str] | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> Register:
    """Read a register.

    Parameters
    ----------
    path : str or path-like
        An XLSX or CSV file. The header row is found below titles; the encoding is told from the
        bytes.
    fields : Mapping, optional
        Our field name -> the file's column, instead of matching by name.
    encoding : str, optional
        Of a CSV.
    sheet : str, optional
        Of an XLSX; by default the first one with a code column.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``encoding_unreadable``, ``layer_choice``, ``field_missing``,
        ``code_is_a_float``.
    """
    book = _sheets.read(path, encoding=encoding, sheet=sheet)
    chosen, header, matched = _header(book.sheets, fields or {}, book.source)
    names = _names(chosen.cells[header], matched)
    frame, blank = _body(chosen, header, names)
    notes = list(book.notes)
    if len(book.sheets) > 1:
        notes.append(Note("sheet", f"工作表：{chosen.name}。", f"Sheet: {chosen.name}."))
    if header:
        zh, en = f"表头在第 {header + 1} 行。", f"The header stands in row {header + 1}."
        notes.append(Note("header", zh, en))
    for field in _CODE_FIELDS:
        if field in frame:
            frame[field] = _codes(frame[field], chosen, names.index(field), book.source)
    frame, dropped = _without_summaries(frame)
    if dropped:
        shown = ", ".join(map(str, dropped))
        notes.append(
            Note(
                "summary_rows",
                f"合计、备注行未计入：第 {shown} 行。",
                f"Not entries: rows {shown}.",
            )
        )
    if blank:
        notes.append(Note("blank_rows", f"跳过 {blank} 个空行。", f"{blank} blank rows skipped."))
    return Register(_texts_and_numbers(frame), tuple(notes), book.source)


def reconcile(
    register: Register | pd.DataFrame | Iterable[str],
    grids: pd.DataFrame,
    *,
    coverage_percent: str | None = None,
) -> Reconciliation:
    """Compare a register with the map, code by code.

    Parameters
    ----------
    register : Register, DataFrame or iterable of str
        With the column ``code``, or the codes themselves.
    grids : DataFrame
        The map, with the column ``code``.
    coverage_percent : str, optional
        Of the coverage check, to stand beside the on-map rate.

    Examples
    --------
    >>> import pandas as pd
    >>> found = reconcile(["001", "002", "003"], pd.DataFrame({"code": ["001", "003", "009"]}))
    >>> found.on_map_percent, found.unmapped, found.unregistered
    ('66.66', ('002',), ('009',))
    """
    entries = _entries(register)
    listed, drawn = Counter(codes.texts(entries)), Counter(codes.texts(grids["code"]))
    rows = [
        int(row) for row, code in zip(entries.index, codes.texts(entries), strict=True) if not code
    ]
    without_code = drawn.pop("", 0)
    listed.pop("", None)
    mapped = len(listed.keys() & drawn.keys())
    registered = len(listed) + len(rows)
    return Reconciliation(
        registered=registered,
        polygons=len(grids),
        mapped=mapped,
        on_map_percent=truncated_percent(mapped, registered),
        coverage_percent=coverage_percent,
        unmapped=tuple(sorted(listed.keys() - drawn.keys())),
        unregistered=tuple(sorted(drawn.keys() - listed.keys())),
        register_duplicates=_repeated(listed),
        map_duplicates=_repeated(drawn),
        rows_without_code=tuple(rows),
        polygons_without_code=without_code,
    )


def staff(
    roster: Register | pd.DataFrame, grids: pd.DataFrame, *, role_field: str | None = None
) -> Staffing:
    """Join a roster to the grids.

    A person may be named for several grids, their codes in one cell with ``、`` or the like between
    them; roles are open-ended.

    Parameters
    ----------
    roster : Register or DataFrame
        One row per person, with the column ``code``.
    grids : DataFrame
        With the column ``code``.
    role_field : str, optional
        The column of roles; found by its name otherwise.
    """
    frame = roster.frame if isinstance(roster, Register) else roster
    known = pd.Index(dict.fromkeys(code for code in codes.texts(grids["code"]) if code))
    named = pd.Series(codes.texts(frame["code"]), index=frame.index, dtype="str")
    each = named.str.split(_SEVERAL).explode()
    on_map = each.isin(known)
    counts = each[on_map].value_counts().reindex(known, fill_value=0)
    unknown = frame.loc[~on_map.groupby(level=0).any().reindex(frame.index).to_numpy(bool)]
    role = role_field or next((c for c in _ROLE_COLUMNS if c in frame.columns), None)
    roles = Counter([] if role is None else frame[role].fillna("").astype(str))
    return Staffing(
        persons=len(frame),
        grids=len(known),
        per_grid=counts.sort_index(),
        without_person=tuple(sorted(counts.index[counts == 0])),
        unknown_grid=masking.masked(unknown, persons=_persons(unknown)),
        roles=dict(sorted(roles.items(), key=lambda pair: (-pair[1], pair[0]))),
    )


def _persons(roster: pd.DataFrame) -> tuple[str, ...]:
    """In a roster without a column of its own for them, persons stand under ``name``."""
    return () if "姓名" in roster or "person" in roster else ("name",)


def truncated_percent(part: int, whole: int) -> str:
    """Give a share in percent with two decimals, cut off: 99.999 is 99.99.

    Examples
    --------
    >>> truncated_percent(18_931, 18_936), truncated_percent(5, 5), truncated_percent(0, 0)
    ('99.97', '100.00', '0.00')
    """
    hundredths = part * 10_000 // whole if whole else 0
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _header(
    sheets: Sequence[Sheet], fields: Mapping[str, str], source: str
) -> tuple[Sheet, int, dict[str, str]]:
    """Find the sheet and row that name the most fields, the code among them."""
    best: tuple[int, Sheet, int, dict[str, str]] | None = None
    for sheet in sheets:
        for row, cells in enumerate(sheet.cells[:_HEADER_WITHIN]):
            matched = _match([_text(cell) for cell in cells], fields)
            if "code" in matched and (best is None or len(matched) > best[0]):
                best = (len(matched), sheet, row, matched)
        if best is not None:
            return best[1:]
    fullest = max(
        (row for s in sheets for row in s.cells[:_HEADER_WITHIN]), key=_filled, default=()
    )
    found = ", ".join(text for cell in fullest if (text := _text(cell)))
    raise InputError("field_missing", file=source, field=fields.get("code", "code"), found=found)


def _match(names: Sequence[str], fields: Mapping[str, str]) -> dict[str, str]:
    named = {field: column for field, column in fields.items() if column in names}
    others = [name for name in names if name and name not in named.values()]
    matched = layers.match_fields(others)
    return {**{f: c for f, c in matched.items() if f not in fields}, **named}


def _names(cells: Sequence[Any], matched: Mapping[str, str]) -> list[str]:
    """Column names: ours where known, the file's elsewhere, each once."""
    ours = {column: field for field, column in matched.items()}
    names: list[str] = []
    for place, cell in enumerate(cells, start=1):
        text = _text(cell) or f"column_{place}"
        name = ours.pop(text, text)
        number = 2
        while name in names:
            name, number = f"{text}_{number}", number + 1
        names.append(name)
    return names


def _body(sheet: Sheet, header: int, names: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Rows below the header, indexed by their row in the file; blank ones are counted only."""
    below = list(enumerate(sheet.cells[header + 1 :], start=header + 2))
    kept = [(row, cells) for row, cells in below if _filled(cells)]
    width = len(names)
    data = [[*cells, *[None] * width][:width] for _, cells in kept]
    index = pd.Index([row for row, _ in kept], dtype="int64", name="row")
    last = max((row for row, _ in kept), default=0)
    blank = sum(1 for row, cells in below if row < last and not _filled(cells))
    return pd.DataFrame(data, columns=list(names), index=index, dtype="object"), blank


def _codes(column: pd.Series[Any], sheet: Sheet, place: int, source: str) -> list[str]:
    out = []
    for row, value in column.items():
        if _is_ruined(value):
            raise InputError("code_is_a_float", file=source, row=row, value=value)
        zeros = sheet.formats.get((int(str(row)) - 1, place), "")
        text = unicodedata.normalize("NFKC", _text(value)).strip("'’ ")
        out.append(text.zfill(len(zeros)) if _ZEROS.match(zeros) and text else text)
    return out


def _is_ruined(value: Any) -> bool:
    """Whether a cell's digits are lost; a whole number below 10^15 is still exact in a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is not None and codes.damaged(value)
    return not float(value).is_integer() or abs(value) >= _MOST_DIGITS


def _without_summaries(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """Leave out rows that sum up or remark: no code, and a first text that says so."""
    first = [next((t for cell in row if (t := _text(cell))), "") for row in frame.to_numpy()]
    code = frame["code"].tolist()
    told = [
        bool(_SUMMARY.match(text)) and not any(c.isdigit() for c in entry)
        for text, entry in zip(first, code, strict=True)
    ]
    dropped = [int(row) for row, out in zip(frame.index, told, strict=True) if out]
    return frame.loc[~np.array(told, dtype=bool)], dropped


def _texts_and_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    out = {}
    for name in frame.columns:
        column = frame[name]
        if name in _NUMBER_FIELDS:
            numbers = pd.to_numeric(column, errors="coerce")
            if numbers.notna().sum() == sum(bool(_text(value)) for value in column):
                out[name] = numbers
                continue
        out[name] = pd.Series([_text(value) for value in column], index=frame.index, dtype="str")
    return pd.DataFrame(out, index=frame.index)


def _entries(register: Register | pd.DataFrame | Iterable[str]) -> pd.Series[Any]:
    if isinstance(register, Register):
        return register.frame["code"]
    if isinstance(register, pd.DataFrame):
        return register["code"]
    return pd.Series(list(register), dtype="object")


def _repeated(counts: Counter[str]) -> dict[str, int]:
    return {code: count for code, count in sorted(counts.items()) if count > 1}


def _filled(cells: Sequence[Any]) -> int:
    return sum(1 for cell in cells if _text(cell))


def _text(value: Any) -> str:
    """Write a cell as text; a whole float as the integer that was typed."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_DIGITS:
        value = int(value)
    return codes.texts([value])[0]
