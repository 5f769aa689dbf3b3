"""Which place goes to which grid, and which places are left to people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from geo_service.coverage import _arrays, _faces, _holes, _surplus, _tiling
from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, IntArray, forward, turned
from geo_service.coverage._examined import Examined
from geo_service.coverage._faces import Faces
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import Lines, Places, places_of
from geo_service.coverage._residual import Residual
from geo_service.mending._chains import NONE_BROKEN, Chains, broken_of, ring_segments
from geo_service.mending._division import WAYS, divided
from geo_service.mending._matching import distinct_pairs, first_equal
from geo_service.mending._rules import Rules
from geo_service.mending._spots import Segments, Shift, Spot, segments_of, shift, spots_of
from geo_service.rings import Rings

_SAME_SHARE = 0.999  # two grids that share this much of both are one grid drawn twice
_TENTACLE = 4.0  # times its mean width: a spot that reaches further is divided among its grids


@dataclass(frozen=True)
class Move:
    """One spot that changes hands.

    Parameters
    ----------
    kind : str
        The fault it mends: ``gap``, ``rim_gap``, ``overlap``, ``overrun``, ``spike``, ``sliver`` or
        ``multipart``.
    place : Geometry
        Relative to the plan's origin.
    gains : int or None
        The row that gets it.
    loses : tuple of int
        The rows that give it up.
    keeps : int or None
        The row that keeps a place several had.
    shift : Shift
        How far a border moves at most.
    """

    kind: str
    place: Geometry
    gains: int | None
    loses: tuple[int, ...]
    keeps: int | None
    shift: Shift

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows that change."""
        return self.loses if self.gains is None else (self.gains, *self.loses)


@dataclass(frozen=True)
class Refusal:
    """A spot that is left, and how far a border would have to move; NaN where no rule decides."""

    place: Geometry
    shift_m: float


@dataclass(frozen=True)
class Plan:
    """Every move, and the noded lines they are made on.

    Parameters
    ----------
    origin : ndarray of float, shape (2,)
        Where the coordinates of the moves are counted from.
    chains : Chains
        The rows' borders, broken at the nodes of the planar graph.
    faces, lines, segments
        The planar graph the moves are made on; ``None`` where there is none.
    twins : dict
        Row to drop -> the row that stays, of grids drawn twice.
    """

    origin: FloatArray
    chains: Chains
    moves: list[Move] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    twins: dict[int, int] = field(default_factory=dict)
    faces: Faces | None = None
    lines: Lines | None = None
    segments: Segments | None = None


def plan_of(examined: Examined, rules: Rules) -> Plan:
    """Plan the mending of all that a layer leaves open or covers too often."""
    layer, outline, graph = examined.layer, examined.outline, examined.graph
    if graph is None:
        origin = np.floor(shapely.total_bounds(layer.geometries)[:2])
        return Plan(
            origin, Chains(layer, examined.scan, origin, NONE_BROKEN, np.empty(0, np.int64))
        )
    faces, lines, cover, inside = graph.faces, graph.lines, graph.cover, graph.inside
    more = _crossed(graph, layer, outline)
    if more is not None:
        left = _with_segments(examined.left, *more)
        faces = _faces.faces_of(left)
        lines = Lines(left, faces.origin, graph.lines.noise)
        cover, *bounds = _faces.covers(faces, *((layer,) if outline is None else (layer, outline)))
        inside = bounds[0].number > 0 if bounds else np.ones(faces.count, np.bool_)
    segments = segments_of(faces, lines)
    concerned = np.union1d(lines.left.row[lines.left.row >= 0], cover.row)
    broken = broken_of(faces, lines, segments)
    chains = Chains(layer, examined.scan, faces.origin, broken, concerned)
    plan = Plan(faces.origin, chains, faces=faces, lines=lines, segments=segments)
    covered_by = cover.rows()
    number: dict[tuple[int, ...], int] = {}
    label = np.array([number.setdefault(rows, len(number)) for rows in covered_by], np.int64)
    ground = layer.ground
    holes = places_of(faces, np.where(inside & (cover.number == 0), 0, -1), ground)
    twice = places_of(faces, np.where(inside & (cover.number > 1), label, -1), ground)
    beyond = places_of(faces, np.where(~inside & (cover.number > 0), label, -1), ground)
    plan = replace(plan, twins=_twins(twice, covered_by, examined, rules))
    found = [
        *_gaps(plan, holes, examined, rules),
        *_overlaps(plan, twice, covered_by, examined, rules),
        *_overruns(plan, beyond, covered_by, examined, rules),
    ]
    moves = [m for m in found if isinstance(m, Move)]
    return replace(plan, moves=moves, refused=[r for r in found if isinstance(r, Refusal)])


def _crossed(
    graph: _tiling.Graph, layer: Layer, outline: Outline | None
) -> tuple[FloatArray, IntArray] | None:
    """Borders that cancelled, yet run through a place: they must be noded with it."""
    surplus: _surplus.Surplus = graph.surplus
    number = graph.cover.number[surplus.places.first]
    several = [len(rows) for rows in surplus.rows] > number
    astride = (surplus.inside > 0.0) & (surplus.inside < 1.0)
    chosen = np.flatnonzero(several | astride)
    if len(chosen) == 0:
        return None
    tree = shapely.STRtree(_arrays.absolute(surplus.places.polygons[chosen], graph.faces.origin))
    rows = sorted({row for k in chosen for row in surplus.rows[k]})
    found = [_near(layer.rings, np.isin(layer.rings.row, rows), tree, sign=1)]
    if outline is not None and astride.any():
        everyone = np.ones(outline.rings.count, np.bool_)
        found.append(_near(outline.rings, everyone, tree, sign=-1))
    segments, owners = (np.concatenate(column) for column in zip(*found, strict=True))
    return segments, owners


def _near(
    rings: Rings, chosen: BoolArray, tree: shapely.STRtree, *, sign: int
) -> tuple[FloatArray, IntArray]:
    """Segments of the chosen rings whose box meets one of the tree's, and the rows they are of."""
    ring, ends = ring_segments(rings, np.flatnonzero(chosen))
    a, b = ends[:, :2], ends[:, 2:]
    hit, _ = tree.query(shapely.box(*np.minimum(a, b).T, *np.maximum(a, b).T))
    hit = np.unique(hit)
    row = rings.row[ring[hit]]
    return ends[hit], row if sign > 0 else -1 - row


def _with_segments(left: Residual, segments: FloatArray, row: IntArray) -> Residual:
    """A residual with more segments, in its own order."""
    both = np.concatenate([left.segments, turned(segments, ~forward(segments)) + 0.0])
    first = first_equal(both, both)
    once = np.flatnonzero(first == np.arange(len(both)))
    once = once[np.lexsort(both[once].T[::-1])]
    number = np.empty(len(both), np.int64)
    number[once] = np.arange(len(once))
    of = number[first[np.append(left.of, np.arange(len(left.segments), len(both)))]]
    of, row = distinct_pairs(of, np.append(left.row, row))
    return Residual(both[once], row, of)


def _twins(
    twice: Places, covered_by: list[tuple[int, ...]], examined: Examined, rules: Rules
) -> dict[int, int]:
    """Grids that all but wholly cover one another: one of them stays."""
    area_m2 = examined.shapes.area_m2
    found: dict[int, int] = {}
    for place in np.flatnonzero(twice.real).tolist():
        rows = covered_by[twice.first[place]]
        if len(rows) == 2 and twice.area_m2[place] >= _SAME_SHARE * area_m2[list(rows)].max():
            stays, goes = rules.elder(rows, examined.layer)
            if not rules.fixed(examined.layer, goes) and stays not in found:
                found[goes] = stays
    return found


def _spots(
    plan: Plan, places: Places, examined: Examined, *, covered: bool
) -> Iterator[tuple[int, Spot]]:
    """The spots of real places, but for those beside a grid that is about to go.

    Who covers a spot has it on the left of its border, as the spot itself has; others on the right.
    """
    assert plan.faces is not None
    assert plan.lines is not None
    assert plan.segments is not None

    def along(row: IntArray, ends: FloatArray) -> BoolArray:
        return plan.chains.along(row, ends if covered else ends[:, [2, 3, 0, 1]])

    spots = spots_of(
        plan.faces, places, np.flatnonzero(places.real), plan.lines, plan.segments,
        examined.layer.ground, along,
    )  # fmt: skip
    for place, spot in spots:
        if not any(row in plan.twins for row in spot.rows):
            yield place, spot


def _gaps(plan: Plan, holes: Places, examined: Examined, rules: Rules) -> Iterator[Move | Refusal]:
    assert plan.faces is not None
    layer = examined.layer
    for place, spot in _spots(plan, holes, examined, covered=False):
        length = spot.lengths
        beside = np.array(list(length), np.int64)
        metres = np.array(list(length.values()))
        if _holes.grid_sized(
            holes, place, beside[beside >= 0].tolist(), plan.faces, layer, rules.profile,
            area_m2=examined.shapes.area_m2,
        ):  # fmt: skip
            continue  # a missing grid is nobody's to take
        at = shapely.Point(plan.faces.points[holes.first[place]] + plan.origin)
        takers = rules.takers(spot, layer, examined.outline, at)
        kind = "rim_gap" if _holes.is_open(beside, metres) else "gap"
        yield from filled(spot, takers, kind, (), rules)


def filled(
    spot: Spot, takers: list[int], kind: str, loses: tuple[int, ...], rules: Rules
) -> list[Move | Refusal]:
    """Give a spot to the first of its takers, or divide it where it is longer than it is wide.

    `loses` are the rows it is taken from.
    """
    if not takers:
        return [Refusal(spot.polygon, np.nan)]
    width_m = spot.width_m
    if not rules.allows(width_m):
        return [Refusal(spot.polygon, width_m)]
    whole = shift(spot, takers[0], rules.limit_m)
    fits = rules.allows(whole.moved_m)
    if fits and whole.moved_m <= _TENTACLE * width_m:
        return [_given(spot, takers[0], kind, loses, whole)]
    divisions = []
    for way in WAYS if takers[1:] else ():
        parts = divided(spot, takers, way)
        by = {row: shift(part, row, rules.limit_m) for row, part in parts.items()}
        farthest_m = max((its.moved_m for its in by.values()), default=np.inf)
        if rules.allows(farthest_m) and farthest_m < whole.moved_m:
            return [_given(part, row, kind, loses, by[row]) for row, part in parts.items()]
        divisions.append((parts, by))
    if fits:
        return [_given(spot, takers[0], kind, loses, whole)]
    for row in takers[1:]:
        other = shift(spot, row, rules.limit_m)
        if rules.allows(other.moved_m):
            return [_given(spot, row, kind, loses, other)]
    if not loses:
        # What can be filled is; the rest is another round's, or people's.
        for parts, by in divisions:
            if any(rules.allows(its.moved_m) for its in by.values()):
                return [
                    _given(part, row, kind, loses, by[row])
                    if rules.allows(by[row].moved_m)
                    else Refusal(part.polygon, by[row].moved_m)
                    for row, part in parts.items()
                ]
    return [Refusal(spot.polygon, whole.moved_m)]


def _given(spot: Spot, row: int, kind: str, loses: tuple[int, ...], by: Shift) -> Move:
    kind = "spike" if by.drawn_m and not loses else kind
    return Move(kind, spot.polygon, row, loses, None, by)


def _overlaps(
    plan: Plan, twice: Places, covered_by: list[tuple[int, ...]], examined: Examined, rules: Rules
) -> Iterator[Move | Refusal]:
    layer = examined.layer
    for place, spot in _spots(plan, twice, examined, covered=True):
        rows = covered_by[twice.first[place]]
        if any(row in plan.twins for row in rows):
            continue
        width_m = float(twice.width_m[place])
        if not rules.allows(width_m):
            yield Refusal(spot.polygon, width_m)
            continue
        least_m = np.nan
        for keeper in rules.keepers(spot, rows, layer):
            others = tuple(row for row in rows if row != keeper)
            by = _lost(spot, others, plan, examined.layer, rules)
            if rules.allows(by.moved_m):
                kind = "spike" if by.drawn_m else "overlap"
                yield Move(kind, spot.polygon, None, others, keeper, by)
                break
            least_m = np.fmin(least_m, by.moved_m)
        else:
            yield Refusal(spot.polygon, float(least_m))


def _overruns(
    plan: Plan, beyond: Places, covered_by: list[tuple[int, ...]], examined: Examined, rules: Rules
) -> Iterator[Move | Refusal]:
    for place, spot in _spots(plan, beyond, examined, covered=True):
        rows = covered_by[beyond.first[place]]
        if any(row in plan.twins for row in rows):
            continue
        width_m = float(beyond.width_m[place])
        by = Shift(width_m)
        if rules.allows(width_m):
            by = _lost(spot, rows, plan, examined.layer, rules)
        if rules.allows(by.moved_m):
            yield Move("overrun", spot.polygon, None, rows, None, by)
        else:
            yield Refusal(spot.polygon, by.moved_m)


def _lost(spot: Spot, rows: tuple[int, ...], plan: Plan, layer: Layer, rules: Rules) -> Shift:
    """How far borders move when these rows lose a spot; NaN where one of them must not."""
    by = Shift(0.0)
    for row in rows:
        gone = spot.polygon.area >= layer.geometries[row].area * (1.0 - 1e-9)
        if gone or rules.fixed(layer, row):
            return Shift(np.nan)
        border = None if row in spot.lengths else plan.chains.border(row)
        its = shift(spot, row, rules.limit_m, border)
        by = Shift(max(by.moved_m, its.moved_m), max(by.drawn_m, its.drawn_m))
    return by
