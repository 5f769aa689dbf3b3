"""A plan carried out: grids redrawn, each within the limit of its first border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import Geometry, GeometryArray
from geo_service.coverage._layer import Layer
from geo_service.mending import _chains
from geo_service.mending._distance import border_of, farthest
from geo_service.mending._plan import Move, Plan
from geo_service.mending._rules import Rules
from geo_service.mending._spots import scale_at, scaled


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
    known: dict[tuple[int, tuple[int, ...]], Geometry | None] = {}
    while True:
        fresh: dict[int, Geometry] = {}
        dropped: dict[int, int] = {}
        failed: set[int] = set()
        for row, numbers in _chains.touched([move.rows for move in plan.moves]).items():
            moves = [plan.moves[k] for k in numbers]
            key = row, tuple(id(move) for move in moves)
            if key not in known:
                known[key] = _redrawn(row, moves, layer, plan)
            shape = known[key]
            if shape is None or (shape.is_empty and moves[-1].gains is None):
                failed.update(numbers)
            elif shape.is_empty:
                dropped[row] = _heir(moves)
            else:
                beyond = _beyond(shape, first[row], moves, layer, plan, rules)
                failed.update(numbers[k] for k in beyond)
                fresh[row] = shape
        if not failed:
            break
        undone += [plan.moves[k] for k in sorted(failed)]
        plan = plan.without(failed)
    vertices: dict[int, Geometry] = {}
    if plan.lines is not None:
        places = [move.place for move in plan.moves]
        for row, its in sorted(_chains.beside(places, plan.lines, plan.chains.broken).items()):
            if row not in fresh and row not in dropped and not rules.fixed(layer, row):
                fresh[row] = _chains.with_vertices(layer.geometries[row], plan.origin, its)
                added = sorted({place for walk in its.values() for place in walk[1:-1]})
                vertices[row] = _arrays.multipoint(np.array(added) + plan.origin)
    return Carried(plan, undone, fresh, {**dropped, **plan.twins}, vertices)


def _heir(moves: Sequence[Move]) -> int:
    """Who got most of a row that is gone."""
    area: dict[int, float] = {}
    for move in moves:
        assert move.gains is not None
        area[move.gains] = area.get(move.gains, 0.0) + move.place.area
    return max(area, key=lambda row: (area[row], -row))


def _redrawn(row: int, moves: list[Move], layer: Layer, plan: Plan) -> Geometry | None:
    """Give a grid after its moves, empty where nothing is left; ``None`` if they can't be made."""
    old = layer.geometries[row]
    corner = shapely.get_coordinates(old)[0] - plan.origin
    if not plan.chains.of(row):
        return None
    try:
        chain = plan.chains.of(row).copy()
        for move in moves:
            change = _chains.give if move.gains == row else _chains.take
            change(chain, move.place)
        shape = _chains.enclosed(chain, plan.origin, (float(corner[0]), float(corner[1])))
    except _chains.BrokenChainError:
        return None
    if shape is None:
        return shapely.Polygon()
    clockwise = not bool(np.all(shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(old)))))
    return shapely.orient_polygons(shape, exterior_cw=clockwise)


def _beyond(
    shape: Geometry, first: Geometry, moves: list[Move], layer: Layer, plan: Plan, rules: Rules
) -> list[int]:
    """The moves that together brought a border further than the limit from where it was first.

    Each move keeps to the limit by itself; those of several rounds may add up.
    """
    scale = scale_at(layer.ground, float(shapely.bounds(shape)[1]))
    both = np.tile(plan.origin, 2), np.tile(scale, 2)
    new, old = ((border_of(one) - both[0]) * both[1] for one in (shape, first))
    far_m, place = farthest(new, old)
    if rules.allows(far_m - layer.ground.noise_m):
        return []
    spot = shapely.Point(place)
    away = [scaled(move.place, scale).distance(spot) for move in moves]
    return [int(np.argmin(away))]
