"""Work for the tests of jobs: as fast, slow, deaf or broken as they ask."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from geo_service.errors import InputError
from geo_service.jobs import Context, Result


def work(inputs: dict[str, Any], context: Context) -> Result:
    """Do what ``inputs`` say."""
    if "refuse" in inputs:
        raise InputError("datum_unknown", datum="x", known="y")
    if "crash" in inputs:
        raise RuntimeError("this is the bug")
    if "die" in inputs:
        os._exit(3)
    if "until" in inputs:
        while not Path(inputs["until"]).exists():
            context.tell(0.5, "等待", "Waiting")
            time.sleep(0.02)
    if "deaf" in inputs:
        time.sleep(300)
    for step in range(inputs.get("steps", 1)):
        context.tell(step / 10, f"第 {step} 步", f"step {step}")
    files = sorted(path.name for path in context.folder.iterdir())
    return Result(
        f"{inputs} {context.owner} {files} {context.setting['store']}".encode(), "text/plain"
    )


WORK = {"slow": "slow_work:work"}
