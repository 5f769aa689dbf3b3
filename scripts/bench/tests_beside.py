"""What the tests make tilings and edits with, for benches of the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def beside_the_tests(name: str) -> Any:
    """Load a module of the tests by its name."""
    path = Path(__file__).resolve().parents[2] / "tests" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
