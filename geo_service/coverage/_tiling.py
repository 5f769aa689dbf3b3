"""Faults of grids towards each other and towards the outline, told from the residual's faces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import shapely

from geo_service.coverage import (
    _arrays,
    _bundles,
    _faces,
    _harmless,
    _holes,
    _reprojected,
    _surplus,
)
from geo_service.coverage._arrays import BoolArray, FloatArray
from geo_service.coverage._bundles import Bundle
from geo_service.coverage._faces import Cover, Faces
from geo_service.coverage._faults import Fault, Slip
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import Borders, Lines, Places, borders_of, joined, places_of
from geo_service.coverage._residual import Residual
from geo_service.coverage._shapes import Shapes
from geo_service.coverage._surplus import Surplus
from geo_service.profiles import Profile

_SAME_SHARE = 0.999  # two grids that share this much of both are one grid drawn twice
_NEAR_M = 0.1  # a part of the layer that lies nearer to another is not detached


@dataclass(frozen=True)
class Graph:
    """The residual's faces with who covers them, and the places they make up.

    Parameters
    ----------
    faces : Faces
    cover : Cover
    inside : ndarray of bool
        Which faces lie inside the outline; all where there is none.
    holes : Places
        Covered by no grid, inside.
    borders : Borders
        Of the holes.
    surplus : Surplus
        Covered too often.
    lines : Lines
    """

    faces: Faces
    cover: Cover
    inside: BoolArray
    holes: Places
    borders: Borders
    surplus: Surplus
    lines: Lines

    def beside(self, hole: int) -> tuple[int, ...]:
        """The grids that border a hole."""
        rows = self.borders.row[self.borders.of(hole)]
        return tuple(rows[rows >= 0].tolist())


def graph_of(layer: Layer, outline: Outline | None, left: Residual) -> Graph:
    """Walk the residual's planar graph and tell what each face is.

    A face's winding number in the sum of all chains is the number of grids that cover it, less one
    inside the outline: -1 is a hole, +k an overlap or, beyond the outline, an overrun.
    """
    faces = _faces.faces_of(left)
    cover, *bounds = _faces.covers(faces, *((layer,) if outline is None else (layer, outline)))
    inside = bounds[0].number > 0 if bounds else np.ones(faces.count, np.bool_)
    holes = places_of(faces, np.where(inside & (cover.number == 0), 0, -1), layer.ground)
    lines = Lines(left, faces.origin, 4.0 * layer.ground.noise)
    borders = borders_of(faces, holes, lines)
    surplus = _surplus.surplus_of(faces, cover, inside, layer, outline)
    return Graph(faces, cover, inside, holes, borders, surplus, lines)


@dataclass(frozen=True)
class Tiling:
    """How a layer tiles.

    Parameters
    ----------
    faults : list of Fault
    slips : list of Slip
        What is told as a sum.
    uncovered_m2 : float
        Everything inside that no grid covers, listed or not.
    beside_m2 : dict
        Row of a self-crossing grid -> ground that lies open or doubled beside it where it crosses:
        told with that fault, no fault of its own.
    """

    faults: list[Fault]
    slips: list[Slip]
    uncovered_m2: float
    beside_m2: dict[int, float]


def tiling_of(
    layer: Layer, outline: Outline | None, graph: Graph, shapes: Shapes, profile: Profile
) -> Tiling:
    """Tell every gap, overlap, overrun, copy and harmless vertex."""
    origin, bounded = graph.faces.origin, outline is not None
    bent, graph_left = _bent(graph, layer)
    holes = _holes.faults(
        graph_left.holes,
        graph.borders,
        graph.faces,
        layer,
        profile,
        area_m2=shapes.area_m2,
        bounded=bounded,
    )
    surplus = _surplus.faults(
        graph_left.surplus, graph.faces, layer, outline, narrow_m=_surplus.LINE_M
    )
    copies, surplus = _copies(layer, surplus, shapes)
    places, beside_m2 = _folded([*holes, *surplus], origin, shapes, 4.0 * layer.ground.noise)
    bundles = _bundles.bundled(places, bounded=bounded, profile=profile)
    if bent is not None:
        bundles.append(bent)
    told, slips = _bundles.told(bundles, origin, profile)
    slips += _dust(graph_left, profile)
    harmless = _harmless.faults(graph.lines, graph.faces, [graph.holes, graph.surplus.places])
    uncovered_m2 = float(graph.holes.area_m2[graph.holes.real].sum())
    return Tiling([*placed(told, origin), *copies, *harmless], slips, uncovered_m2, beside_m2)


def _bent(graph: Graph, layer: Layer) -> tuple[Bundle | None, Graph]:
    """Take the slivers that a change of coordinate system has opened out of a graph."""
    holes, surplus = graph.holes, graph.surplus
    narrow = [
        np.flatnonzero(p.real & (p.width_m <= _reprojected.WIDEST_M))
        for p in (holes, surplus.places)
    ]
    shapes = np.concatenate([holes.polygons[narrow[0]], surplus.places.polygons[narrow[1]]])
    found = _reprojected.recognised(shapes, graph.lines, layer.ground, graph.faces.origin)
    if found is None:
        return None, graph
    system, gone = found
    cut = len(narrow[0])
    open_, twice = narrow[0][gone[:cut]], narrow[1][gone[cut:]]
    members = [
        Fault("gap", graph.beside(k), holes.polygons[k], holes.area_m2[k], holes.width_m[k])
        for k in open_.tolist()
    ] + [
        Fault(
            "overlap" if surplus.inside[k] else "overrun", surplus.rows[k],
            surplus.places.polygons[k], surplus.places.area_m2[k], surplus.places.width_m[k],
        )
        for k in twice.tolist()
    ]  # fmt: skip
    left = replace(
        graph,
        holes=holes.without(open_),
        surplus=replace(surplus, places=surplus.places.without(twice)),
    )
    return Bundle("reprojected", members, {"system": system}), left


def _dust(graph: Graph, profile: Profile) -> list[Slip]:
    """The places too many and too narrow to be made faults of."""
    faces, holes, surplus = graph.faces, graph.holes, graph.surplus
    found = []
    for k in holes.told()[1].tolist():
        at = graph.borders.of(k)
        beside, length = graph.borders.row[at], graph.borders.length[at]
        kind = "rim_gap" if _holes.is_open(beside, length) else "gap"
        found.append((kind, graph.beside(k), holes, k))
    for k in surplus.places.told()[1].tolist():
        kind = "overlap" if surplus.inside[k] else "overrun"
        found.append((kind, surplus.rows[k], surplus.places, k))
    return [
        _bundles.slip(
            kind, rows, float(p.area_m2[k]), float(p.width_m[k]),
            faces.points[p.first[k]] + faces.origin, profile,
        )
        for kind, rows, p, k in found
    ]  # fmt: skip


def placed(faults: list[Fault], origin: FloatArray) -> list[Fault]:
    """Bring faults from the faces' origin to the layer's own coordinates."""
    shapes = np.array([fault.geometry for fault in faults], dtype=object)
    told = zip(faults, _arrays.absolute(shapes, origin), strict=True)
    return [replace(fault, geometry=shape) for fault, shape in told]


def _copies(layer: Layer, surplus: list[Fault], shapes: Shapes) -> tuple[list[Fault], list[Fault]]:
    """Tell grids drawn twice from overlaps: the same rings, or all but the same area."""
    form: dict[tuple[int, ...], str] = {}
    copied: dict[int, int] = {}  # row -> a row it is a copy of

    def first(row: int) -> int:
        while row in copied:
            row = copied[row]
        return row

    def alike(rows: tuple[int, ...]) -> bool:
        return len(set(map(first, rows))) == 1

    for rows in shapes.copies:
        same = shapely.equals_exact(layer.geometries[rows[0]], layer.geometries[list(rows)], 0.0)
        form[rows] = "identical" if same.all() else "turned"
        copied |= dict.fromkeys(rows[1:], rows[0])
    for fault in surplus:
        if fault.kind != "overlap" or len(fault.rows) != 2 or alike(fault.rows):
            continue
        if fault.area_m2 >= _SAME_SHARE * shapes.area_m2[list(fault.rows)].max():
            form[fault.rows] = "redrawn"
            one, two = map(first, fault.rows)
            copied[two] = one
    copies = []
    for rows, how in form.items():
        geometry = layer.geometries[rows[0]]
        area_m2, width_m = layer.ground.measure(layer.geometries[[rows[0]]])
        size = float(area_m2[0]), float(width_m[0])
        copies.append(Fault("duplicate_geometry", rows, geometry, *size, facts={"form": how}))
    left = [f for f in surplus if f.kind != "overlap" or not alike(f.rows)]
    return copies, left


def _folded(
    faults: list[Fault], origin: FloatArray, shapes: Shapes, near: float
) -> tuple[list[Fault], dict[int, float]]:
    """Leave out what a self-crossing grid brings about where it crosses: that is one fault.

    Give the others, and by row of such a grid the area (m2) of what was left out.
    """
    if not shapes.crossings:
        return faults, {}
    places = np.array(list(shapes.crossings.values()), dtype=object)
    crossing = dict(zip(shapes.crossings, _arrays.relative(places, origin), strict=True))

    def explains(row: int, fault: Fault) -> bool:
        return row in crossing and bool(shapely.dwithin(fault.geometry, crossing[row], near))

    kept: list[Fault] = []
    beside_m2: dict[int, float] = defaultdict(float)
    for fault in faults:
        row = next((row for row in fault.rows if explains(row, fault)), None)
        if row is None or fault.kind == "missing_grid":
            kept.append(fault)
        else:
            beside_m2[row] += fault.area_m2
    return kept, dict(beside_m2)


def detached(layer: Layer, graph: Graph) -> list[Fault]:
    """Parts of the layer that share not even a corner with its largest part.

    Asked only where no outline tells which parts there should be. A hairline does not detach.
    """
    faces = graph.faces
    covered = np.flatnonzero(graph.cover.number > 0)
    if len(covered) == 0:
        return []
    mine = np.isin(faces.edge_face, covered)
    everyone = np.ones(faces.count + len(faces.nodes), np.bool_)
    face, node = faces.edge_face[mine], faces.edge_ends[mine, 0] + faces.count
    size = shapely.area(faces.polygons[covered])
    part = _arrays.components(len(everyone), face, node, everyone)[covered]
    main = int(np.argmax(np.bincount(part, size)))
    loose = covered[part != main]
    if len(loose) == 0:
        return []
    a, b = shapely.STRtree(faces.polygons[covered]).query(
        faces.polygons[loose], predicate="dwithin", distance=_NEAR_M / layer.ground.north_m
    )
    face, node = np.append(face, loose[a]), np.append(node, covered[b])
    part = _arrays.components(len(everyone), face, node, everyone)[covered]
    main = int(np.argmax(np.bincount(part, size)))
    inner = _arrays.points_at(_arrays.inner_points(np.asarray(layer.geometries)) - faces.origin)
    tree = shapely.STRtree(inner)
    found = []
    for which in np.unique(part[part != main]):
        shapes = faces.polygons[covered[part == which]]
        _, inside = tree.query(shapes, predicate="contains")
        rows = tuple(np.unique(inside).tolist())
        if rows:
            shape = joined(shapes)
            area_m2, width_m = layer.ground.measure(_arrays.array_of(shape), origin=faces.origin)
            found.append(Fault("detached", rows, shape, float(area_m2[0]), float(width_m[0])))
    return placed(found, faces.origin)
