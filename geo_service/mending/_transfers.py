"""Ground that lies with the wrong grid of an exact tiling: slivers, crumbs and spikes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from geo_service.coverage import _arrays, _shapes
from geo_service.coverage._arrays import FloatArray, Geometry, IntArray, turned
from geo_service.coverage._examined import Examined
from geo_service.coverage._layer import Layer
from geo_service.mending._chains import ring_segments
from geo_service.mending._distance import borders_of
from geo_service.mending._matching import distinct_pairs, first_equal
from geo_service.mending._plan import Move, Plan, Refusal, filled
from geo_service.mending._rules import Rules, name_of
from geo_service.mending._spots import Spot, is_wider, scale_at, shift

Sides = dict[tuple[float, ...], list[int]]
"""A directed segment -> the rows that have its reverse on their border."""


def transfers_of(examined: Examined, plan: Plan, rules: Rules) -> Iterator[Move | Refusal]:
    """Plan to give slivers, crumbs of several parts, and spikes to the grids beside them.

    Grids that the plan changes already are left for the next round.
    """
    layer, shapes = examined.layer, examined.shapes
    busy = {row for move in plan.moves for row in (*move.rows, move.keeps)}
    busy |= {*plan.twins, *plan.twins.values(), *shapes.invalid.tolist()}
    slivers = {fault.rows[0] for fault in _shapes.slivers(layer, shapes, rules.profile)}
    parted = set(np.flatnonzero(shapely.get_num_geometries(layer.geometries) > 1).tolist())
    spiked = set(layer.rings.row[examined.scan.spike >= 0].tolist())
    every = [row for row in (slivers | parted | spiked) - busy if not rules.fixed(layer, row)]
    if not every:
        return
    sides = _sides(examined, plan.origin, np.array(sorted(every), np.int64))
    for row in sorted(every, key=lambda row: name_of(layer, row)):
        if row in busy:  # by now
            continue
        if row in slivers:
            found = _sliver(examined, plan.origin, row, sides, busy, rules)
        else:
            found = []
            if row in parted:
                found += _crumbs(examined, plan.origin, row, sides, rules)
            if row in spiked and not any(isinstance(move, Move) for move in found):
                found += _spikes(examined, plan.origin, row, sides, rules)
        moves = [move for move in found if isinstance(move, Move)]
        if any(busy & set(move.rows) for move in moves):
            continue
        if row in slivers:  # a second sliver must not be given to the first
            busy |= {row for move in moves for row in move.rows}
        yield from found


def _sliver(
    examined: Examined,
    origin: FloatArray,
    row: int,
    sides: Sides,
    busy: set[int | None],
    rules: Rules,
) -> list[Move | Refusal]:
    """A sliver goes as a whole: its row is dropped; nothing while some would go to a busy grid."""
    found: list[Move | Refusal] = []
    for part in shapely.get_parts(examined.layer.geometries[row]):
        its = _gone(examined, origin, row, part, "sliver", sides, rules)
        if any(isinstance(move, Move) and move.gains in busy for move in its):
            return []
        found += its
    if all(isinstance(one, Move) for one in found):
        return found
    return [one for one in found if isinstance(one, Refusal)]


def _crumbs(
    examined: Examined, origin: FloatArray, row: int, sides: Sides, rules: Rules
) -> Iterator[Move | Refusal]:
    """Parts no wider than the limit go, but for the largest."""
    parts = shapely.get_parts(examined.layer.geometries[row])
    largest = int(np.argmax(shapely.area(parts)))
    for k, part in enumerate(parts):
        if k != largest:
            yield from _gone(examined, origin, row, part, "multipart", sides, rules)


def _gone(
    examined: Examined,
    origin: FloatArray,
    row: int,
    part: Geometry,
    kind: str,
    sides: Sides,
    rules: Rules,
) -> list[Move | Refusal]:
    """Give a whole part of a row to whoever is beside it."""
    spot = _spot(examined.layer, origin, row, part, sides)
    width_m = spot.width_m
    if not rules.allows(width_m) or is_wider(spot, rules.limit_m):
        return [Refusal(spot.polygon, width_m)]
    at = part.representative_point()
    takers = rules.takers(spot, examined.layer, examined.outline, at)
    return filled(spot, takers, kind, (row,), rules)


def _spot(layer: Layer, origin: FloatArray, row: int, polygon: Geometry, sides: Sides) -> Spot:
    """A part or corner of a row, with the grids that share its border exactly."""
    placed = _arrays.relative(_arrays.array_of(shapely.orient_polygons(polygon)), origin)
    _, edges = borders_of(placed)
    owners = [
        (k, other)
        for k, edge in enumerate((edges + 0.0).tolist())
        for other in sides.get(tuple(edge), ())
        if other != row
    ]
    of, rows = np.array(owners, np.int64).reshape(-1, 2).T
    scale = scale_at(layer.ground, float(shapely.bounds(polygon)[1]))
    return Spot(placed[0], edges, of, rows, scale)


def _sides(examined: Examined, origin: FloatArray, rows: IntArray) -> Sides:
    """Who is on the other side of these rows' segments."""
    layer = examined.layer
    _, near = layer.near(shapely.get_parts(layer.geometries[rows]))
    _, own = _directed(examined, origin, rows)
    other, ends = _directed(examined, origin, np.unique(near))
    at = first_equal(own, ends[:, [2, 3, 0, 1]])
    at, other = distinct_pairs(at[at >= 0], other[at >= 0])
    sides: Sides = {}
    for edge, beside in zip((own[at] + 0.0).tolist(), other.tolist(), strict=True):
        sides.setdefault(tuple(edge), []).append(beside)
    return sides


def _directed(
    examined: Examined, origin: FloatArray, rows: IntArray
) -> tuple[IntArray, FloatArray]:
    """The segments of rows, the inside on the left, and whose each is."""
    rings = examined.layer.rings
    ring, ends = ring_segments(rings, np.flatnonzero(np.isin(rings.row, rows)))
    ends = turned(ends, examined.scan.flip[ring])
    return rings.row[ring], ends - np.tile(origin, 2)


def _spikes(
    examined: Examined, origin: FloatArray, row: int, sides: Sides, rules: Rules
) -> list[Move | Refusal]:
    """Cut off what ends in a sharp outward corner, and give it to the grid around it.

    An inward spike is the outward spike of the grid that fills it.
    """
    layer = examined.layer
    scale = scale_at(layer.ground, float(shapely.bounds(layer.geometries[row])[1]))
    least = float(np.cos(np.radians(rules.profile.spike_degrees)))
    found: list[Move | Refusal] = []
    shape = shapely.orient_polygons(layer.geometries[row])
    for ring in shapely.get_rings(shapely.get_parts(shape)):
        xy = shapely.get_coordinates(ring)[:-1]
        ahead = (np.roll(xy, -1, axis=0) - xy) * scale
        back = (np.roll(xy, 1, axis=0) - xy) * scale
        size = np.hypot(*ahead.T) * np.hypot(*back.T)
        cosine = np.einsum("ik,ik->i", ahead, back) / np.where(size > 0.0, size, np.inf)
        left = ahead[:, 0] * back[:, 1] - ahead[:, 1] * back[:, 0] > 0.0
        for k in np.flatnonzero((cosine > least) & left).tolist():
            found += _cut_off(
                examined, origin, row, xy[[k - 1, k, (k + 1) % len(xy)]], sides, rules
            )
    return found


def _cut_off(
    examined: Examined,
    origin: FloatArray,
    row: int,
    corners: FloatArray,
    sides: Sides,
    rules: Rules,
) -> list[Move | Refusal]:
    triangle = shapely.Polygon(corners)
    layer = examined.layer
    if triangle.area >= layer.geometries[row].area:
        return []
    spot = _spot(layer, origin, row, triangle, sides)
    if spot.width_m <= layer.ground.noise_m:
        return []  # nothing but rounding: whoever got it would have the spike
    tip = corners[1] - origin
    beside_tip = np.flatnonzero((spot.edges.reshape(-1, 2, 2) == tip).all(axis=2).any(axis=1))
    rows = np.full(len(beside_tip), row)
    own = Spot(spot.polygon, spot.edges, beside_tip, rows, spot.scale)
    by = shift(own, row, rules.limit_m)
    if not rules.allows(by.moved_m):
        return [Refusal(spot.polygon, by.moved_m)]
    at = triangle.representative_point()
    takers = rules.takers(spot, layer, examined.outline, at)
    return filled(spot, takers, "spike", (row,), rules) if takers else []
