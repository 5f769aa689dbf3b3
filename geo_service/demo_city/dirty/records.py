"""Faults of codes and columns, and of grids that cross their parent's line."""

from __future__ import annotations

import numpy as np
import shapely

from geo_service.demo_city.dirty.shapes import area, inner_point, moved, quad, with_vertex
from geo_service.demo_city.dirty.work import Fault, Work

HOUSEHOLDS = (1, 5000)
"""Bounds within which every grid of the demo city lies."""


def same_code(work: Work, row: int) -> Fault | None:
    """Two grids of one community under one code."""
    mates = work.grids.index[work.grids["code"].str[:12] == work.code(row)[:12]]
    for mate in mates:
        if mate != row and not work.on_rim[mate]:
            return Fault("code_duplicate", (work.code(row),), inner_point(work.polygons[row]),
                          rows=(row, int(mate)),
                          columns={int(mate): {"code": work.code(row)}})  # fmt: skip
    return None


def bad_code(work: Work, row: int) -> Fault | None:
    """A code with a letter in it."""
    code = work.code(row)[:-2] + "X1"
    return Fault("code_malformed", (code,), inner_point(work.polygons[row]), rows=(row,),
                  columns={row: {"code": code}})  # fmt: skip


def wrong_parent(work: Work, row: int) -> Fault | None:
    """Another community in the parent's column than in the code."""
    own = work.grids["parent_code"].iloc[row]
    other = work.grids["parent_code"][work.grids["parent_code"] != own]
    return Fault("code_parent_mismatch", work.codes((row,)), inner_point(work.polygons[row]),
                  rows=(row,), columns={row: {"parent_code": other.iloc[0]}})  # fmt: skip


def wrong_area(work: Work, row: int) -> Fault | None:
    """A recorded area that is 5 % off."""
    stated = 1.05 * work.polygons[row].area
    return Fault("area_mismatch", work.codes((row,)), inner_point(work.polygons[row]),
                  rows=(row,), columns={row: {"area": stated}})  # fmt: skip


def empty_name(work: Work, row: int) -> Fault | None:
    """Judged where a profile requires the name."""
    return Fault("attribute_missing", work.codes((row,)), inner_point(work.polygons[row]),
                 rows=(row,), columns={row: {"name": ""}})  # fmt: skip


def too_many_households(work: Work, row: int) -> Fault | None:
    """Judged where a profile bounds them."""
    stated = {"households": 2 * HOUSEHOLDS[1]}
    return Fault("size_out_of_range", work.codes((row,)), inner_point(work.polygons[row]),
                 rows=(row,), columns={row: stated})  # fmt: skip


def renamed(work: Work, row: int) -> Fault | None:
    """Give a grid a code that no register knows: the old one is not on the map any more."""
    nowhere = np.array([np.nan, np.nan])
    gone = Fault("not_on_map", work.codes((row,)), nowhere)
    code = work.new_code(row)
    return Fault("not_in_register", (code,), inner_point(work.polygons[row]), rows=(row,),
                 columns={row: {"code": code}}, more=(gone,))  # fmt: skip


def numbered_backwards(work: Work, row: int) -> Fault | None:
    """Number a community's grids from its end; a note, for the height of a row is left open."""
    mates = np.flatnonzero((work.grids["code"].str[:12] == work.code(row)[:12]).to_numpy())
    rows = sorted(mates.tolist(), key=work.code, reverse=True)
    if len(rows) < 3:
        return None
    box = shapely.bounds(work.polygons[rows])
    side = np.sqrt(shapely.area(work.polygons[rows]))
    step = np.diff((box[:, :2] + box[:, 2:]) / 2, axis=0)
    east, north = (step / np.maximum(side[1:], side[:-1])[:, None]).T
    # What nobody can call a row: well over a grid back north, or a grid back north-west.
    if not ((north > 1.6) | ((east < -1.1) & (north > 0.6))).any():
        return None
    codes = sorted(work.code(mate) for mate in rows)
    columns = {mate: {"code": code} for mate, code in zip(rows, codes, strict=True)}
    return Fault("code_order", tuple(codes), inner_point(work.polygons[row]), real=False,
                 rows=tuple(rows), columns=columns)  # fmt: skip


def across_parents(work: Work, row: int) -> Fault | None:
    """Move a vertex on a community's line in both grids that share it: the tiling stays exact."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        rows = tuple(work.meeting(row, k))
        other = next(r for r in rows if r != row)
        if work.on_rim[other] or work.code(row)[:12] == work.code(other)[:12]:
            continue
        theirs = work.rings[other]
        j = int(np.flatnonzero((theirs == ring[k]).all(axis=1))[0])
        near = min(np.hypot(*(ring[k] - ring[n])) for n in (k - 1, (k + 1) % len(ring)))
        vertex = moved(work, row, k, 2.0 * ring[k] - middle, 0.3 * float(near))
        between = quad(ring, k, vertex)
        spoiled = {row: with_vertex(ring, k, vertex), other: with_vertex(theirs, j, vertex)}
        fine = shapely.is_valid([between, *spoiled.values()]).all()
        if fine and shapely.covers(work.polygons[other], between):
            return Fault("parent_mismatch", work.codes((row,)), inner_point(between),
                         area(between), rows=rows, geometry=spoiled)  # fmt: skip
    return None
