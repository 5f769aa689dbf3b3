"""What the document describes is asked rightly and wrongly: a short run; `scripts/faults/openapi`
is the long one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "faults" / "openapi"


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)
def test_no_question_makes_the_service_fail() -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--examples", "3", "--seconds", "90"],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
