"""The demo city: a synthetic, Xuchang-like city, and dirty copies of it whose faults are known.

Names, codes and totals of Xuchang are facts; every line, person, house and number is invented.
"""

from geo_service.demo_city.city import (
    DEFAULT_SEED,
    FEWEST_GRIDS,
    FULL_CITY_GRIDS,
    DemoCity,
    make,
)
from geo_service.demo_city.files import LABEL, MARKER, write

__all__ = [
    "DEFAULT_SEED",
    "FEWEST_GRIDS",
    "FULL_CITY_GRIDS",
    "LABEL",
    "MARKER",
    "DemoCity",
    "make",
    "write",
]
