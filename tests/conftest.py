"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data, or a skip that says how to get it."""
    named = os.environ.get("GEO_SERVICE_REAL_DATA")
    if not named:
        pytest.skip("GEO_SERVICE_REAL_DATA names no folder of real data")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"GEO_SERVICE_REAL_DATA={named} is not a folder")
    return folder
