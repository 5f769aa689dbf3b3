"""What drawings are refused by."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import shapely

from geo_service.errors import InputError, Phrase


def impossible(zh: str, en: str) -> InputError:
    """Give the refusal of what can't be drawn, with its reason."""
    return InputError("drawing_impossible", reason=Phrase(zh, en))


def overlap(shapes: npt.NDArray[Any], least_m2: float) -> tuple[int, int, float] | None:
    """Give the first two of some polygons that share more than so much, and how much that is."""
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < other
    one, other = one[pairs], other[pairs]
    shared = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    if not (shared > least_m2).any():
        return None
    at = int((shared > least_m2).argmax())
    return int(one[at]), int(other[at]), float(shared[at])
