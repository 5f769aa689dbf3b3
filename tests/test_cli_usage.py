"""A wrong command line is told in the reader's language; nothing given is forgotten in silence."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from geo_service import cli
from geo_service.cli import _terminal as terminal

WRONG = (
    ["nonsense"],
    ["check", "--foo"],
    ["check", "--layr", "grids"],
    ["check", "x.gpkg", "--expect", "abc"],
    ["check", "x.gpkg", "--within"],
    ["check", "x.gpkg", "y.gpkg"],
    ["import"],
    ["import", "x.gpkg"],
    ["locate", "--lon", "abc"],
    ["locate", "--json=1"],
    ["repair", "x.gpkg"],
    ["route", "--from", "113", "--to", "114,34"],
)


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_told_in_chinese(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GEO_SERVICE_LANG", "zh")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    told = capsys.readouterr()
    assert (left.value.code, told.out) == (2, "")
    sentence = told.err.partition("] ")[2]
    words = re.sub(r"geo-service [a-z ]*--help|[-\w./]*[-./][-\w./]*", "", sentence)
    assert re.findall(r"[A-Za-z]{4,}", words) in ([], ["nonsense"], ["file"]), sentence


def test_an_option_given_twice_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEO_SERVICE_LANG", "en")
    with pytest.raises(SystemExit) as left:
        cli.main(["check", "x.gpkg", "-o", "a.xlsx", "--output=a.html"])
    assert left.value.code == 2
    assert "--output is given twice" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    command = [sys.executable, "-m", "geo_service.cli", "profile"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        assert shown.stdout
        assert shown.stderr
        shown.stdout.close()  # as head does
        said = shown.stderr.read()
    assert (shown.returncode, said) == (0, b"")


def test_heads_of_tables_are_in_the_reader_s_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_SERVICE_LANG", "zh")
    assert terminal.heads(["layer", "households", "canteen"])[:2] == ["图层", "户数"]
    assert not re.search(r"[a-z]", "".join(terminal.heads(["published_at", "canteen", "market"])))
    monkeypatch.setenv("GEO_SERVICE_LANG", "en")
    assert terminal.heads(["published_at"]) == ["published at"]
