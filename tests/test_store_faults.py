"""The crash script, for a few moments of each kind; `scripts/faults/store` runs it for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "faults" / "store"


def run(kinds: str, moments: int) -> str:
    command = [sys.executable, str(SCRIPT), "--only", kinds, "--moments", str(moments)]
    done = subprocess.run([*command, "--grids", "24"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_file_loses_nothing() -> None:
    said = run("kill,power,full,locked,race", 3)
    assert said.count(" 0 losses") >= 4


def test_a_server_loses_nothing(postgis_url: str) -> None:
    """The session's own server is left alone: the script starts one that syncs."""
    assert run("client,server", 3).count(" 0 losses") == 2
