"""Mend a tiling within stated limits, change nothing else, and list every change."""

from geo_service.mending._preview import preview
from geo_service.mending._repair import Mended, repair
from geo_service.mending._rules import GAP_RULES, OVERLAP_RULES

__all__ = ["GAP_RULES", "OVERLAP_RULES", "Mended", "preview", "repair"]
