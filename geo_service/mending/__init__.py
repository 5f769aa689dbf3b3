"""Mend a tiling within stated limits, change nothing else, and list every change."""

from geo_service.mending._repair import Mended, repair

__all__ = ["Mended", "repair"]
