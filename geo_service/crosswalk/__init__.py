"""Several grid systems into one (多格合一): shares between layers, one base layer of all."""

from __future__ import annotations

from geo_service.crosswalk.shares import WEIGHT_FIELDS, conflicts, crosswalk
from geo_service.crosswalk.systems import Combined, combine

__all__ = ["WEIGHT_FIELDS", "Combined", "combine", "conflicts", "crosswalk"]
