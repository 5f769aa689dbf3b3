"""Codes on their way through spreadsheets: kept as text, or refused with the rows."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import Point

from geo_service.boundary_files import code_columns
from geo_service.errors import InputError
from geo_service.notes import Note

GRID = "411002001001001"


def frame(values: list[Any]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"编码": values}, geometry=[Point(0, 0)] * len(values), crs=4547)


def told(values: list[Any]) -> tuple[list[str], list[Note]]:
    notes: list[Note] = []
    made = code_columns.as_text(frame(values), {"code": "编码"}, "g.xlsx", notes)
    return list(made["编码"]), notes


@pytest.mark.parametrize(
    ("values", "reason", "rows"),
    [
        ([GRID, "4.11002E+14", "4.11002E+14"], "scientific", "2, 3"),
        ([GRID, "411002001001002.0"], ".0", "2"),
        (["411002001001001000", "411002001001002000"], "16th digit", "1, 2"),
        ([411002001001001000, 411002001001001000], "16th digit", "1, 2"),
        ([110101001001001, 41002001001001, 41002001001002], "leading 0", "2, 3"),
        (["4.1E+14"] * 9, "scientific", "1, 2, 3, 4, 5 and 4 more"),
    ],
)
def test_what_excel_did_is_refused_by_row(values: list[Any], reason: str, rows: str) -> None:
    with pytest.raises(InputError) as caught:
        told(values)
    assert caught.value.code == "code_damaged"
    assert caught.value.details["rows"].en == rows  # type: ignore[attr-defined]
    assert reason in caught.value.message("en")
    assert "文本" in caught.value.message("zh")


@pytest.mark.parametrize("values", [[4.11002001001001e17], [411002.5, 411003.0], [1e16]])
def test_a_float_that_lost_digits_is_refused(values: list[Any]) -> None:
    with pytest.raises(InputError) as caught:
        told(values)
    assert caught.value.code == "code_is_a_float"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([GRID, ""], [GRID, ""]),
        ([float(GRID), float("nan")], [GRID, ""]),  # one blank made the column a float
        ([int(GRID)], [GRID]),
        (["041100"], ["041100"]),  # a leading zero is part of the code
        (["411002001001001001", "411002001001001000"], None),  # one alone may end in 000
        ([8, 9, 10, 11], ["8", "9", "10", "11"]),  # running numbers
    ],
)
def test_what_survived_is_text(values: list[Any], expected: list[str] | None) -> None:
    texts, notes = told(values)
    assert texts == (expected or values)
    number = isinstance(values[0], int | float)
    assert [note.code for note in notes] == (["code_was_number"] if number else [])
