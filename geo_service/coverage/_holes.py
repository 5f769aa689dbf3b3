"""Ground that no grid covers: gaps, open rims, missing grids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import shapely

from geo_service.coverage._arrays import FloatArray, Geometry, IntArray
from geo_service.coverage._faces import Faces
from geo_service.coverage._faults import Fault
from geo_service.coverage._layer import Layer
from geo_service.coverage._places import Borders, Places
from geo_service.profiles import Profile

_OPEN_SHARE = 0.2  # a gap between grids that has more of its border on the outline is open to it
_WIDEST_STEP = 0.05  # precision of an inscribed circle, as a share of the width asked for


def faults(
    holes: Places,
    borders: Borders,
    faces: Faces,
    layer: Layer,
    profile: Profile,
    *,
    area_m2: FloatArray,
    bounded: bool,
) -> list[Fault]:
    """Tell every hole with the grids that border it, relative to the faces' origin.

    `area_m2` is that of every grid, `bounded` whether there is an outline. A hole is measured by
    the grids around it: what is a street's width in the hills is a grid in the town. Without an
    outline nobody can say whether a wide one is meant (a lake, an enclave), so it is a warning.
    """
    found = []
    for place in holes.told()[0].tolist():
        at = borders.of(place)
        beside, length = borders.row[at], borders.length[at]
        rows = tuple(beside[beside >= 0].tolist())
        kind = "rim_gap" if is_open(beside, length) else "gap"
        wide = holes.width_m[place] > profile.gap_width_m
        meant = bool(wide) and not bounded
        facts: dict[str, object] = {"meant": meant}
        if grid_sized(holes, place, rows, faces, layer, profile, area_m2=area_m2):
            kind, meant = "missing_grid", not bounded
            facts = {"meant": not bounded, "sides": _sides(borders, place, holes.polygons[place])}
        size = float(holes.area_m2[place]), float(holes.width_m[place])
        shape = holes.polygons[place]
        found.append(Fault(kind, rows, shape, *size, facts=facts, mild=meant))
    return found


def grid_sized(
    holes: Places,
    place: int,
    rows: Sequence[int],
    faces: Faces,
    layer: Layer,
    profile: Profile,
    *,
    area_m2: FloatArray,
) -> bool:
    """Whether a hole is as large as the grids (`rows`) around it, and no mere gap between them."""
    around = area_m2[list(rows)] if len(rows) else area_m2
    share = profile.missing_grid_share
    # The smallest grid, found in a tenth of the median's time, decides for nearly every gap.
    if holes.area_m2[place] < share * float(around.min()):
        return False
    if holes.area_m2[place] < share * float(np.median(around)):
        return False
    return bool(
        holes.width_m[place] > profile.gap_width_m
        or _widest_m(holes, place, faces, layer, profile) > profile.gap_width_m
    )


def is_open(beside: IntArray, length: FloatArray) -> bool:
    """Whether a hole is open at the outline rather than a gap between grids that reaches it.

    `beside` are the rows that border it (below 0: the outline), `length` how long each.
    """
    least = _OPEN_SHARE * float(length.sum()) if np.count_nonzero(beside >= 0) > 1 else 0.0
    return float(length[beside < 0].sum()) > least


def _widest_m(holes: Places, place: int, faces: Faces, layer: Layer, profile: Profile) -> float:
    """Diameter of the largest circle inside a hole."""
    shape = layer.ground.in_metres(holes.polygons[place : place + 1], origin=faces.origin)[0]
    circle = shapely.maximum_inscribed_circle(shape, tolerance=_WIDEST_STEP * profile.gap_width_m)
    return 2.0 * float(shapely.length(circle))


def _sides(borders: Borders, place: int, polygon: Geometry) -> dict[str, tuple[int, ...]]:
    """The grids on the east, south, west and north of a hole (四至), longest border first."""
    at = borders.of(place)
    centre = shapely.get_coordinates(shapely.centroid(polygon))[0]
    sides: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row, length, middle in zip(
        borders.row[at].tolist(), borders.length[at].tolist(), borders.middle[at], strict=True
    ):
        if row >= 0:
            dx, dy = middle - centre
            quarter = round(float(np.arctan2(dy, dx)) / (np.pi / 2)) % 4
            sides[("east", "north", "west", "south")[quarter]].append((-length, row))
    order = ("east", "south", "west", "north")
    return {side: tuple(r for _, r in sorted(sides[side])) for side in order if side in sides}
