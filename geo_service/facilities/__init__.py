"""Facilities of a city: what kinds there are, what a list of them says, when they are open.

Kinds and the amenities of a rest station are tables in ``defaults/``, each figure with its source
and whether that source was checked; a further kind is one more row, and a city may lay its own
table over them (`kinds_with`).
"""

from geo_service.facilities.duplicates import find as duplicates
from geo_service.facilities.hours import opening_minutes
from geo_service.facilities.kinds import (
    Amenity,
    Kind,
    Kinds,
    amenities,
    kinds,
    kinds_with,
    require_kind,
)
from geo_service.facilities.listing import (
    STATUSES,
    five_points,
    is_status,
    offering,
    open_at,
    parse,
    read,
)

__all__ = [
    "STATUSES",
    "Amenity",
    "Kind",
    "Kinds",
    "amenities",
    "duplicates",
    "five_points",
    "is_status",
    "kinds",
    "kinds_with",
    "offering",
    "open_at",
    "opening_minutes",
    "parse",
    "read",
    "require_kind",
]
