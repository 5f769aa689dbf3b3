"""Codes: levels, parents, what a spreadsheet ruins, and the numbering order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo_service import codes


@given(st.text("0123456789", min_size=18, max_size=18))
def test_the_chain_above_a_micro_grid(code: str) -> None:
    chain = [above for _, above in codes.ancestors(code)]
    assert all(codes.is_within(code, above) for above in chain)
    if not code[:6].endswith("00"):
        assert [codes.level_of(above) for above in chain] == list(codes.LEVELS[:-1])


@pytest.mark.parametrize("code", ["", "41", "4110X2", "41100200100100", "４１１００２"])
def test_malformed_codes_have_no_level(code: str) -> None:
    assert codes.level_of(code) is None


@pytest.mark.parametrize(
    ("value", "ruined"),
    [("411002001001001", False), ("411002001001001.0", True), ("4.11002E+14", True), (12, False),
     (411002001001001001, True), (4.1e14, True), (float("nan"), False), (None, False)],
)  # fmt: skip
def test_codes_a_spreadsheet_ruined(value: object, ruined: bool) -> None:
    assert codes.damaged(value) is ruined


def test_numbering_goes_west_to_east_then_north_to_south() -> None:
    x, y = np.meshgrid(np.arange(4) * 500.0, np.arange(3) * 500.0)
    order = codes.order_west_east(x.ravel(), y.ravel())
    assert list(order) == [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]
    assert list(codes.order_west_east([], [])) == []


def test_new_codes_never_repeat_a_retired_one() -> None:
    taken = ["411002001001001", "411002001001998"]
    assert codes.next_free("411002001001", taken, 1) == ["411002001001999"]
    with pytest.raises(ValueError, match="used up"):
        codes.next_free("411002001001", taken, 2)
    with pytest.raises(ValueError, match="no level below"):
        codes.next_free("411002001001001001", [], 1)


def test_duplicates_are_given_with_their_rows() -> None:
    assert codes.duplicates(["a", "b", "a", "", ""]) == {"a": [0, 2]}
