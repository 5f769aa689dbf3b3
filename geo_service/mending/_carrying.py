"""A plan carried out: grids redrawn, each within the limit of its first border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import FloatArray, Geometry, GeometryArray, forward, turned
from geo_service.coverage._layer import Layer
from geo_service.mending import _chains
from geo_service.mending._chains import Exchange
from geo_service.mending._distance import borders_of, farthest_each
from geo_service.mending._matching import first_equal
from geo_service.mending._plan import Move, Plan
from geo_service.mending._rules import Rules
from geo_service.mending._spots import scale_at


@dataclass(frozen=True)
class Carried:
    """What became of a plan.

    Parameters
    ----------
    plan : Plan
        Without the moves that could not be made.
    undone : list of Move
        Those: they would leave a grid broken, or its border beyond the limit.
    fresh : dict
        Row -> its new shape.
    dropped : dict
        Row that is gone -> the row its ground went to.
    vertices : dict
        Row -> the vertices it shares with mended neighbours from now on.
    """

    plan: Plan
    undone: list[Move]
    fresh: dict[int, Geometry]
    dropped: dict[int, int]
    vertices: dict[int, Geometry]


def carried_out(layer: Layer, plan: Plan, first: GeometryArray, rules: Rules) -> Carried:
    """Carry out a plan; a move that can't be made within the rules is not made.

    `first` are the rows' shapes as they were given, before any round.
    """
    undone: list[Move] = []
    known: dict[int, tuple[list[Move], _Redrawn]] = {}
    while True:
        moves = {
            row: [plan.moves[k] for k in numbers]
            for row, numbers in _chains.touched([move.rows for move in plan.moves]).items()
        }
        asked = {row: its for row, its in moves.items() if row not in known or known[row][0] != its}
        redrawn = _redrawn(asked, first, layer, plan, rules)
        known |= {row: (its, redrawn[row]) for row, its in asked.items()}
        failed = {id(move) for row in moves for move in known[row][1].failed}
        if not failed:
            break
        undone += [move for move in plan.moves if id(move) in failed]
        plan = replace(plan, moves=[move for move in plan.moves if id(move) not in failed])
    fresh: dict[int, Geometry] = {}
    dropped: dict[int, int] = {}
    for row, its in moves.items():
        shape = known[row][1].shape
        if shape.is_empty:
            dropped[row] = _heir(its)
        else:
            fresh[row] = shape
    vertices: dict[int, Geometry] = {}
    if plan.lines is not None and plan.moves:
        places, broken = [move.place for move in plan.moves], plan.chains.broken
        for row, which in _chains.beside(places, plan.lines, broken).items():
            if row not in moves and not rules.fixed(layer, row):
                fresh[row] = _chains.with_vertices(
                    layer.geometries[row], plan.origin, broken, which
                )
                added = np.concatenate([broken.places(k) for k in which.tolist()])
                vertices[row] = _arrays.multipoint(np.unique(added, axis=0) + plan.origin)
    return Carried(plan, undone, fresh, {**dropped, **plan.twins}, vertices)


@dataclass(frozen=True)
class _Redrawn:
    """A grid after its moves, empty where nothing is left, and the moves that can't be made."""

    shape: Geometry
    failed: list[Move]


def _heir(moves: Sequence[Move]) -> int:
    """Who got most of a row that is gone."""
    area: dict[int, float] = {}
    for move in moves:
        assert move.gains is not None
        area[move.gains] = area.get(move.gains, 0.0) + move.place.area
    return max(area, key=lambda row: (area[row], -row))


def _redrawn(
    asked: dict[int, list[Move]], first: GeometryArray, layer: Layer, plan: Plan, rules: Rules
) -> dict[int, _Redrawn]:
    """Redraw grids by their moves."""
    if not asked:
        return {}
    rows = np.array(sorted(asked), np.int64)
    old = layer.geometries[rows]
    exchanges = [
        Exchange(row, move.gains == row, move.place) for row, its in asked.items() for move in its
    ]
    border, broken = _chains.exchanged(plan.chains.of(rows), exchanges)
    corners, of = shapely.get_coordinates(old, return_index=True)
    begin = corners[np.searchsorted(of, np.arange(len(rows)))] - plan.origin
    shapes = _chains.enclosed(border, rows, begin, plan.origin)
    found: dict[int, _Redrawn] = {}
    whole = []
    for k, (row, shape) in enumerate(zip(rows.tolist(), shapes, strict=True)):
        moves = asked[row]
        if shape is None or row in broken or (shape.is_empty and moves[-1].gains is None):
            found[row] = _Redrawn(shapely.Polygon(), moves)
        elif shape.is_empty:
            found[row] = _Redrawn(shape, [])
        else:
            whole.append(k)
    drawn = _chains.oriented_as(_arrays.array_of(*(shapes[k] for k in whole)), old[whole])
    farthest_m, place = _moved(drawn, first[rows[whole]], layer, plan)
    for k, row in enumerate(rows[whole].tolist()):
        moves = asked[row]
        failed = []
        if not rules.allows(farthest_m[k] - layer.ground.noise_m):
            # Each move keeps to the limit by itself; those of several rounds may add up.
            at = shapely.Point(place[k])
            away = [move.place.distance(at) for move in moves]
            failed = [moves[int(np.argmin(away))]]
        found[row] = _Redrawn(drawn[k], failed)
    return found


def _moved(
    new: GeometryArray, old: GeometryArray, layer: Layer, plan: Plan
) -> tuple[FloatArray, FloatArray]:
    """How far the borders of shapes lie from their old ones at most, in metres, and where."""
    of, ends = borders_of(new)
    before, its = borders_of(old)
    theirs, ours = (turned(e, ~forward(e)) for e in (its, ends))
    fresh = first_equal(theirs, ours, table_of=before, asked_of=of) < 0
    of, ends = of[fresh], ends[fresh]
    number = np.arange(len(new) + 1)
    scale = scale_at(layer.ground, shapely.bounds(new)[:, 1])
    both, origin = np.tile(scale, 2), np.tile(plan.origin, 2)
    far_m, place = farthest_each(
        (ends - origin) * both[of],
        np.searchsorted(of, number),
        (its - origin) * both[before],
        np.searchsorted(before, number),
    )
    return far_m, place / scale
