"""Which place goes to which grid, and which places are left to people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely

from geo_service.coverage import (
    _arrays,
    _faces,
    _holes,
    _layer,
    _residual,
    _segments,
    _shapes,
    _surplus,
    _tiling,
)
from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, IntArray
from geo_service.coverage._faces import Faces
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import Borders, Lines, Places, borders_of, places_of
from geo_service.coverage._residual import Residual
from geo_service.coverage._rings import Rings
from geo_service.coverage._segments import Scan
from geo_service.coverage._shapes import Shapes
from geo_service.profiles import Profile


@dataclass(frozen=True)
class Move:
    """One place that changes hands.

    Parameters
    ----------
    kind : str
        The fault it mends: ``gap``, ``rim_gap``, ``overlap`` or ``overrun``.
    place : Geometry
        Relative to the faces' origin.
    gains : int or None
        The row that gets a place nobody had.
    loses : tuple of int
        The rows that give it up.
    keeps : int or None
        The row that keeps a place several had.
    """

    kind: str
    place: Geometry
    gains: int | None
    loses: tuple[int, ...]
    keeps: int | None = None

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows that change."""
        return self.loses if self.gains is None else (self.gains, *self.loses)


@dataclass(frozen=True)
class Plan:
    """Every move, and the noded lines they are made on."""

    moves: list[Move]
    faces: Faces
    lines: Lines


@dataclass(frozen=True)
class Sheet:
    """A layer as it lies on the table: taken apart and measured.

    Parameters
    ----------
    layer : Layer
    scan : Scan
    shapes : Shapes
    """

    layer: Layer
    scan: Scan
    shapes: Shapes


def sheet_of(frame: Any) -> Sheet:
    """Take a layer apart and measure it."""
    layer, _ = _layer.layer_of(frame)
    scan = _segments.scan(layer.rings, squeeze=layer.ground.squeeze)
    return Sheet(layer, scan, _shapes.shapes_of(layer, scan))


@dataclass(frozen=True)
class Limits:
    """What may be mended.

    Parameters
    ----------
    width_m : float
        Places wider than this (2 x area / perimeter) are left to people.
    crossings : dict
        Row -> where its rings crossed before they were taken apart (own coordinates): what lies
        there is the crossing's doing, whatever its width.
    """

    width_m: float
    crossings: dict[int, Geometry]


def plan_of(sheet: Sheet, outline: Outline | None, profile: Profile, limits: Limits) -> Plan | None:
    """Plan the mending of a layer; ``None`` where nothing is open and nothing too much."""
    layer, shapes = sheet.layer, sheet.shapes
    sums = [(layer.rings, sheet.scan)] + ([(outline.rings, outline.scan)] if outline else [])
    left = _residual.residual(sums)
    if left.empty:
        return None
    graph = _tiling.graph_of(layer, outline, left)
    told = _tiling.tiling_of(layer, outline, graph, shapes, profile)
    twins = {r for f in told.faults if f.kind == "duplicate_geometry" for r in f.rows}
    faces, lines = graph.faces, graph.lines
    more = _crossed(graph, layer, outline)
    if more is not None:
        left = _with_segments(left, *more)
        faces = _faces.faces_of(left)
        lines = Lines(left, faces.origin, graph.lines.noise)
    moves = _moves(sheet, outline, faces, lines, profile, limits)
    return Plan([move for move in moves if not twins & {*move.rows, move.keeps}], faces, lines)


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
    of = np.repeat(np.arange(rings.count), np.diff(rings.start))
    at = np.flatnonzero(chosen[of])
    at = at[at + 1 < rings.start[of[at] + 1]]
    a, b = rings.xy[at] + 0.0, rings.xy[at + 1] + 0.0
    low, high = np.minimum(a, b), np.maximum(a, b)
    hit, _ = tree.query(shapely.box(*low.T, *high.T))
    hit = np.unique(hit)
    row = rings.row[of[at[hit]]]
    return np.column_stack([a[hit], b[hit]]), row if sign > 0 else -1 - row


def _with_segments(left: Residual, segments: FloatArray, row: IntArray) -> Residual:
    """A residual with more segments, in its own order."""
    forward = (segments[:, 0] < segments[:, 2]) | (
        (segments[:, 0] == segments[:, 2]) & (segments[:, 1] < segments[:, 3])
    )
    segments = np.where(forward[:, None], segments, segments[:, [2, 3, 0, 1]])
    every, of = np.unique(np.concatenate([left.segments, segments]), axis=0, return_inverse=True)
    of = of.reshape(-1)
    owner = np.column_stack([np.concatenate([of[left.of], of[len(left.segments) :]]),
                             np.concatenate([left.row, row])])  # fmt: skip
    owner = np.unique(owner, axis=0)
    return Residual(every, owner[:, 1], owner[:, 0])


def _moves(
    sheet: Sheet,
    outline: Outline | None,
    faces: Faces,
    lines: Lines,
    profile: Profile,
    limits: Limits,
) -> list[Move]:
    layer = sheet.layer
    cover, *bounds = _faces.covers(faces, *((layer,) if outline is None else (layer, outline)))
    inside = bounds[0].number > 0 if bounds else np.ones(faces.count, np.bool_)
    covered_by = cover.rows()
    number: dict[tuple[int, ...], int] = {}
    label = np.array([number.setdefault(rows, len(number)) for rows in covered_by], np.int64)
    holes = places_of(faces, np.where(inside & (cover.number == 0), 0, -1), layer.ground)
    twice = places_of(faces, np.where(inside & (cover.number > 1), label, -1), layer.ground)
    beyond = places_of(faces, np.where(~inside & (cover.number > 0), label, -1), layer.ground)
    return [
        *_gained(holes, borders_of(faces, holes, lines), sheet, profile, faces, limits),
        *_kept(twice, borders_of(faces, twice, lines), covered_by, layer, faces, limits),
        *(
            Move("overrun", beyond.polygons[k], None, covered_by[beyond.first[k]])
            for k in _mendable(beyond, faces, limits)
        ),
    ]


def _mendable(places: Places, faces: Faces, limits: Limits) -> list[int]:
    """The places within the limits."""
    mendable = places.real & (places.width_m <= limits.width_m)
    if limits.crossings:
        crossings = np.array(list(limits.crossings.values()), dtype=object)
        tree = shapely.STRtree(_arrays.relative(crossings, faces.origin))
        near = 1e-9 * max(1.0, float(np.abs(faces.nodes).max(initial=0.0)))
        at, _ = tree.query(places.polygons, predicate="dwithin", distance=near)
        mendable[at] = places.real[at]
    return np.flatnonzero(mendable).tolist()


def _gained(
    holes: Places,
    borders: Borders,
    sheet: Sheet,
    profile: Profile,
    faces: Faces,
    limits: Limits,
) -> list[Move]:
    """Holes go to the grid with the longest border on them, the smallest code among equals."""
    moves = []
    for place in _mendable(holes, faces, limits):
        at = borders.of(place)
        rows, length = borders.row[at], borders.length[at]
        grids = rows >= 0
        if not grids.any():
            continue
        around_m2 = float(np.median(sheet.shapes.area_m2[rows[grids]]))
        grid_sized = holes.area_m2[place] >= profile.missing_grid_share * around_m2
        if grid_sized and holes.width_m[place] > profile.gap_width_m:
            continue  # a missing grid is nobody's to take
        owner = _first(rows[grids], length[grids], sheet.layer)
        kind = "rim_gap" if _holes.is_open(rows, length) else "gap"
        moves.append(Move(kind, holes.polygons[place], owner, ()))
    return moves


def _kept(
    twice: Places,
    borders: Borders,
    covered_by: list[tuple[int, ...]],
    layer: Layer,
    faces: Faces,
    limits: Limits,
) -> list[Move]:
    """Overlaps stay with the grid that goes on beyond the longest part of their border.

    A grid goes on beyond a part of the border where that part is not its own border. So what was
    pushed into a neighbour is drawn back, whichever of the two was pushed.
    """
    moves = []
    for place in _mendable(twice, faces, limits):
        at = borders.of(place)
        own = dict(zip(borders.row[at].tolist(), borders.length[at].tolist(), strict=True))
        rows = covered_by[twice.first[place]]
        beyond = np.array([-own.get(row, 0.0) for row in rows])
        owner = _first(np.array(rows), beyond, layer)
        others = tuple(row for row in rows if row != owner)
        moves.append(Move("overlap", twice.polygons[place], None, others, owner))
    return moves


def _first(rows: IntArray, length: FloatArray, layer: Layer) -> int:
    """The row with the greatest length; the smallest code among those equal to rounding."""
    best = length.max()
    equal = rows[length >= best - 1e-9 * max(abs(best), 1.0)].tolist()
    return min(equal, key=lambda row: (layer.codes[row], row))


def without(plan: Plan, dropped: set[int]) -> Plan:
    """The plan without some of its moves."""
    return replace(plan, moves=[m for k, m in enumerate(plan.moves) if k not in dropped])
