"""Faults of three grids and more, faults that touch, enclaves, exclaves, the outline's corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from geo_service.demo_city.dirty.shapes import area, inner_point, moved, quad, square_inside
from geo_service.demo_city.dirty.work import Fault, FloatArray, Work

LANE_M = 0.3
"""Half the width of a lane left out between grids."""

_GROWN_M = 0.4
_RING_M = 0.2  # between an enclave and the hole that was meant for it
_RIBBON = 14  # vertices in a row along the outline
_RUN = np.arange(5)


def gap_round_node(work: Work, row: int) -> Fault | None:
    """Draw every grid that meets at a node back from it."""
    for k in work.shared(row, 3):
        rows = tuple(work.meeting(row, k))
        if any(work.on_rim[r] for r in rows):
            continue
        spoiled, quads = {}, []
        for r in rows:
            ring = work.rings[r]
            j = _place_of(ring, work.rings[row][k])
            vertex = _drawn_back(work, r, j)
            between = quad(ring, j, vertex)
            spoiled[r] = _with(ring, {j: vertex})
            if shapely.is_valid(between) and shapely.covers(work.polygons[r], between):
                quads.append(between)
        if len(quads) == len(rows) and shapely.is_valid(list(spoiled.values())).all():
            return Fault("gap", work.codes(rows), inner_point(quads[0]), sum(map(area, quads)),
                         rows=rows, geometry=spoiled)  # fmt: skip
    return None


def _drawn_back(work: Work, row: int, k: int) -> FloatArray:
    """A vertex moved towards the middle, by less than its distance to the next ones."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    near = min(np.hypot(*(ring[k] - ring[j])) for j in (k - 1, (k + 1) % len(ring)))
    return moved(work, row, k, middle, 0.3 * float(near))


def gap_lane(work: Work, row: int) -> Fault | None:
    """Leave a lane out along a whole border: a gap of all grids that meet at its ends too."""
    for k in work.shared(row, 2)[:3]:
        pair = work.meeting(row, k)
        border = shapely.line_merge(shapely.intersection(*work.polygons[pair]))
        lane = shapely.buffer(border, LANE_M, quad_segs=3)
        if border.geom_type != "LineString" or lane.geom_type != "Polygon":
            continue
        rows = _covering(work, row, lane)
        if len(rows) < 4 or len(lane.interiors) or any(work.on_rim[r] for r in rows):
            continue
        spoiled = {r: shapely.difference(work.polygons[r], lane) for r in rows}
        if all(shape.geom_type == "Polygon" for shape in spoiled.values()):
            return Fault("gap", work.codes(rows), inner_point(lane), area(lane), rows=rows,
                         geometry=spoiled)  # fmt: skip
    return None


def _covering(work: Work, row: int, shape: Any) -> tuple[int, ...]:
    """The grids around one that a shape takes ground of."""
    around = sorted(set[int]().union(*(work.neighbours[r] for r in work.neighbours[row])))
    common = shapely.area(shapely.intersection(work.polygons[around], shape))
    return tuple(r for r, m2 in zip(around, common.tolist(), strict=True) if m2 > 1e-3)


def overlap_triple(work: Work, row: int) -> Fault | None:
    """Let two grids reach over the node they share with a third: there three lie on one spot."""
    for k in work.shared(row, 3):
        rows = work.meeting(row, k)
        if any(work.on_rim[r] for r in rows):
            continue
        at = work.rings[row][k]
        third = next(r for r in rows if r != row)
        second = next(r for r in rows if r not in (row, third))
        patch = shapely.box(*(at - 1.5), *(at + 1.5))
        if _covering(work, row, patch) != tuple(sorted(rows)):
            continue
        spoiled = {r: shapely.union(work.polygons[r], patch) for r in (row, second)}
        pieces = {r: shapely.intersection(work.polygons[r], patch) for r in rows}
        if any(s.geom_type != "Polygon" for s in (*spoiled.values(), *pieces.values())):
            continue
        if any(len(shape.interiors) for shape in spoiled.values()):
            continue
        twice = Fault("overlap", work.codes((row, second)), inner_point(pieces[row]),
                      area(pieces[row]) + area(pieces[second]))  # fmt: skip
        return Fault("overlap", work.codes(rows), inner_point(pieces[third]), area(pieces[third]),
                     rows=tuple(rows), geometry=spoiled, more=(twice,))  # fmt: skip
    return None


def overlap_all_round(work: Work, row: int) -> Fault | None:
    """Let a grid reach over all of its neighbours."""
    grown = shapely.buffer(work.polygons[row], _GROWN_M, join_style="mitre")
    rows = _covering(work, row, grown)
    if grown.geom_type != "Polygon" or len(grown.interiors) or any(work.on_rim[r] for r in rows):
        return None
    beyond = shapely.difference(grown, work.polygons[row])
    return Fault("overlap", work.codes(rows), inner_point(beyond),
                 area(grown) - area(work.polygons[row]), rows=rows,
                 geometry={row: grown})  # fmt: skip


def enclave(work: Work, row: int) -> Fault | None:
    """A grid in a hole of another that it fills exactly: no fault at all."""
    inner = square_inside(work.polygons[row], 0.3)
    return Fault("none", work.codes((row,)), inner_point(inner), real=False, rows=(row,),
                 geometry={row: _holed(work, row, inner)},
                 added=[(row, inner, work.new_code(row))])  # fmt: skip


def enclave_too_small(work: Work, row: int) -> Fault | None:
    """A grid in a hole of another that leaves a ring of ground open around it."""
    hole = square_inside(work.polygons[row], 0.3)
    x0, y0, x1, y1 = hole.bounds
    inner = shapely.box(x0 + _RING_M, y0 + _RING_M, x1 - _RING_M, y1 - _RING_M)
    code = work.new_code(row)
    at = np.array([x0 + _RING_M / 2, (y0 + y1) / 2])
    return Fault("gap", tuple(sorted((work.code(row), code))), at, area(hole) - area(inner),
                 rows=(row,), geometry={row: _holed(work, row, hole)},
                 added=[(row, inner, code)])  # fmt: skip


def _holed(work: Work, row: int, hole: Any) -> Any:
    return shapely.polygons(work.rings[row], [shapely.get_coordinates(hole)])


def exclave_over(work: Work, row: int) -> Fault | None:
    """Give a grid a piece of another that goes on holding it: two parts, and an overlap."""
    beyond = set[int]().union(*(work.neighbours[r] for r in work.neighbours[row]))
    for host in sorted(beyond - work.neighbours[row] - {row}):
        if work.on_rim[host]:
            continue
        piece = square_inside(work.polygons[host], 0.3)
        both = shapely.multipolygons([work.polygons[row], piece])
        over = Fault("overlap", work.codes((row, host)), inner_point(piece), area(piece))
        return Fault("multipart", work.codes((row,)), inner_point(work.polygons[row]),
                     rows=(row, host), geometry={row: both}, more=(over,))  # fmt: skip
    return None


def touching(work: Work, row: int, *, second_inward: bool) -> Fault | None:
    """Move two vertices with one between them that stays: two places that touch at it."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        run = (k + _RUN) % len(ring)
        rows = tuple(work.meeting(row, k))
        if any(tuple(work.meeting(row, int(j))) != rows for j in run):
            continue
        if any(work.on_rim[r] for r in rows):
            continue
        one, two = int(run[1]), int(run[3])
        steps = [0.3 * float(np.hypot(*(ring[j] - ring[j - 1]))) for j in (one, two)]
        away = middle if second_inward else 2.0 * ring[two] - middle
        fresh = {
            one: moved(work, row, one, middle, steps[0]),
            two: moved(work, row, two, away, steps[1]),
        }
        spoiled = _with(ring, fresh)
        first, second = (quad(ring, j, vertex) for j, vertex in fresh.items())
        other = next(r for r in rows if r != row)
        ground = work.polygons[row if second_inward else other]
        fine = shapely.is_valid([spoiled, first, second]).all()
        if not fine or not shapely.covers(work.polygons[row], first):
            continue
        if not shapely.covers(ground, second) or shapely.overlaps(first, second):
            continue
        kind = "gap" if second_inward else "overlap"
        beside = Fault(kind, work.codes(rows), inner_point(second), area(second))
        return Fault("gap", work.codes(rows), inner_point(first), area(first), rows=rows,
                     geometry={row: spoiled}, more=(beside,))  # fmt: skip
    return None


def rim_gap_at_node(work: Work, row: int) -> Fault | None:
    """Draw a grid back from the place where it meets its neighbour on the outline."""
    ring = work.rings[row]
    for k in work.shared(row, 2):
        if tuple(ring[k].tolist()) not in work.rim:
            continue
        vertex = _drawn_back(work, row, k)
        between, spoiled = quad(ring, k, vertex), _with(ring, {k: vertex})
        if not shapely.is_valid([between, spoiled]).all():
            continue
        if not shapely.covers(work.polygons[row], between):
            continue
        along = shapely.length(shapely.intersection(between.exterior, work.outline.exterior))
        if along > 0.25 * shapely.length(between):  # less: a gap that reaches the outline
            rows = tuple(work.meeting(row, k))
            return Fault("rim_gap", work.codes(rows), inner_point(between), area(between),
                         rows=rows, geometry={row: spoiled})  # fmt: skip
    return None


def ribbon(work: Work, row: int) -> Fault | None:
    """Draw a grid's stretch of the outline once more, a little to the left and to the right."""
    ring = work.rings[row]
    count = len(ring)
    for k in range(count):
        run = (k + np.arange(_RIBBON)) % count
        if any(len(work.meeting(row, int(j))) != 1 for j in run):
            continue
        steps = ring[run[1:]] - ring[run[:-1]]
        off = 0.1 * float(np.hypot(*steps.T).min())
        along = ring[run[2:]] - ring[run[:-2]]
        normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
        side = np.where(np.arange(len(along)) % 2, off, -off)[:, None]
        fresh = ring[run[1:-1]] + side * normal
        spoiled = ring.copy()
        spoiled[run[1:-1]] = fresh
        polygon = shapely.polygons(spoiled)
        places = _between(ring[run], np.vstack([ring[run[:1]], fresh, ring[run[-1:]]]))
        if shapely.is_valid(polygon) and shapely.is_valid(places).all():
            at = inner_point(max(places, key=area))
            return Fault("outline_mismatch", work.codes((row,)), at, sum(map(area, places)),
                         rows=(row,), geometry={row: polygon})  # fmt: skip
    return None


def _between(old: FloatArray, new: FloatArray) -> list[Any]:
    """The places between two lines whose vertices lie on alternate sides of each other."""
    crossings = [old[0]]
    for k in range(1, len(old) - 2):
        p, r = old[k], old[k + 1] - old[k]
        q, s = new[k], new[k + 1] - new[k]
        t = np.linalg.solve(np.column_stack([r, -s]), q - p)[0]
        crossings.append(p + t * r)
    crossings.append(old[-1])
    return [
        shapely.polygons(np.array([crossings[k - 1], old[k], crossings[k], new[k]]))
        for k in range(1, len(old) - 1)
    ]


def _place_of(ring: FloatArray, vertex: FloatArray) -> int:
    return int(np.flatnonzero((ring == vertex).all(axis=1))[0])


def _with(ring: FloatArray, fresh: dict[int, FloatArray]) -> Any:
    """A polygon of a ring with some vertices replaced."""
    changed = ring.copy()
    for k, vertex in fresh.items():
        changed[k] = vertex
    return shapely.polygons(changed)
