"""Draw governance grids, prove their coverage, find the grid of any point, site what they need.

The names below are the library's front door; each is loaded when first used, so importing the
package costs nothing. One level down, modules are rooms named by the field's own word:
``geo_service.coverage``, ``geo_service.walking``, ``geo_service.siting``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geo_service import coverage, siting, walking
    from geo_service.coverage import check as check_coverage
    from geo_service.hierarchy import check as check_hierarchy
    from geo_service.locate import Locator
    from geo_service.mending import repair
    from geo_service.siting import propose_sites
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

__all__ = [
    "Locator",
    "WalkNetwork",
    "check_coverage",
    "check_hierarchy",
    "coverage",
    "open_store",
    "propose_sites",
    "repair",
    "siting",
    "walking",
]

try:
    __version__ = version("geo-service")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"

_ROOMS = {"coverage", "siting", "walking"}
_DOORS = {
    "Locator": ("geo_service.locate", "Locator"),
    "WalkNetwork": ("geo_service.streets", "WalkNetwork"),
    "check_coverage": ("geo_service.coverage", "check"),
    "check_hierarchy": ("geo_service.hierarchy", "check"),
    "open_store": ("geo_service.store", "open_store"),
    "propose_sites": ("geo_service.siting", "propose_sites"),
    "repair": ("geo_service.mending", "repair"),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"geo_service.{name}")
    if name in _DOORS:
        module, attribute = _DOORS[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'geo_service' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
