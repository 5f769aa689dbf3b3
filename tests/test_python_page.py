"""The samples of docs/python.md give what the page shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from geo_service import cli

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_the_page_tells_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["demo", str(tmp_path), "--grids", "300", "--no-serve"])
    assert left.value.code in {0, None}
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8", optionflags=flags)
    assert found.attempted > 40
    assert found.failed == 0
