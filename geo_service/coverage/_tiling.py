"""Faults of grids towards each other and towards the outline, told from the residual's faces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import shapely

from geo_service.coverage import _arrays, _faces, _harmless, _holes, _surplus
from geo_service.coverage._arrays import FloatArray
from geo_service.coverage._faces import Cover, Faces
from geo_service.coverage._faults import Fault
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import Borders, Lines, Places, borders_of, joined, places_of
from geo_service.coverage._residual import Residual
from geo_service.coverage._shapes import Shapes
from geo_service.coverage._surplus import Surplus
from geo_service.profiles import Profile

_SAME_SHARE = 0.999  # two grids that share this much of both are one grid drawn twice
_STRETCH = 10  # places in a row along the outline that are one outline drawn apart
_MANY_GAPS = 1000  # gaps beyond which those along one border are told as one


Hidden = dict[str, tuple[int, float]]
"""Fault kind -> number and area (m2) of what is told as a sum."""


@dataclass(frozen=True)
class Graph:
    """The residual's faces with who covers them, and the places they make up.

    Parameters
    ----------
    faces : Faces
    cover : Cover
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
    holes: Places
    borders: Borders
    surplus: Surplus
    lines: Lines


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
    return Graph(faces, cover, holes, borders, surplus, lines)


@dataclass(frozen=True)
class Tiling:
    """How a layer tiles.

    Parameters
    ----------
    faults : list of Fault
    hidden : dict
        Fault kind -> number and area (m2) of what is told as a sum.
    uncovered_m2 : float
        Everything inside that no grid covers, listed or not.
    """

    faults: list[Fault]
    hidden: Hidden
    uncovered_m2: float


def tiling_of(
    layer: Layer, outline: Outline | None, graph: Graph, shapes: Shapes, profile: Profile
) -> Tiling:
    """Tell every gap, overlap, overrun, copy and harmless vertex."""
    holes = _holes.faults(
        graph.holes,
        graph.borders,
        graph.faces,
        layer,
        profile,
        area_m2=shapes.area_m2,
        bounded=outline is not None,
    )
    surplus = _surplus.faults(graph.surplus, graph.faces, layer, outline, narrow_m=profile.snap_m)
    copies, surplus = _copies(layer, surplus, shapes)
    origin = graph.faces.origin
    places = _folded([*holes, *surplus], origin, shapes, 4.0 * layer.ground.noise)
    places = _stretches(places) if outline is not None else places
    places = _ribbons(places, profile.snap_m)
    hidden = _hidden(graph, [f for f in places if small(f, profile)])
    listed = placed([f for f in places if not small(f, profile)], origin)
    harmless = _harmless.faults(graph.lines, graph.faces, [graph.holes, graph.surplus.places])
    uncovered_m2 = float(graph.holes.area_m2[graph.holes.real].sum())
    return Tiling([*listed, *copies, *harmless], hidden, uncovered_m2)


def _hidden(graph: Graph, small_ones: list[Fault]) -> Hidden:
    """Sum what is below tolerance, and the dust that is not told one by one."""
    sums: Hidden = {}

    def add(kind: str, count: int, area_m2: float) -> None:
        if count:
            before = sums.get(kind, (0, 0.0))
            sums[kind] = before[0] + count, before[1] + area_m2

    for fault in small_ones:
        add(fault.kind, 1, fault.area_m2)
    _, dust = graph.holes.told()
    add("gap", len(dust), float(graph.holes.area_m2[dust].sum()))
    _, dust = graph.surplus.places.told()
    beyond = graph.surplus.inside[dust] == 0.0
    area_m2 = graph.surplus.places.area_m2[dust]
    add("overlap", int((~beyond).sum()), float(area_m2[~beyond].sum()))
    add("overrun", int(beyond.sum()), float(area_m2[beyond].sum()))
    return sums


def small(fault: Fault, profile: Profile) -> bool:
    """Whether a place lies below the profile's tolerance."""
    return fault.area_m2 < profile.min_area_m2 or fault.width_m < profile.min_width_m


def placed(faults: list[Fault], origin: FloatArray) -> list[Fault]:
    """Bring faults from the faces' origin to the layer's own coordinates."""
    shapes = np.array([fault.geometry for fault in faults], dtype=object)
    told = zip(faults, _arrays.absolute(shapes, origin), strict=True)
    return [replace(fault, geometry=shape) for fault, shape in told]


def _copies(layer: Layer, surplus: list[Fault], shapes: Shapes) -> tuple[list[Fault], list[Fault]]:
    """Tell grids drawn twice from overlaps: the same rings, or all but the same area."""
    form: dict[tuple[int, ...], str] = {}
    twin: set[frozenset[int]] = set()
    for rows in shapes.copies:
        same = shapely.equals_exact(layer.geometries[rows[0]], layer.geometries[list(rows)], 0.0)
        form[rows] = "identical" if same.all() else "turned"
        twin |= _surplus.pair_set(rows)
    for fault in surplus:
        if fault.kind != "overlap" or len(fault.rows) != 2 or frozenset(fault.rows) in twin:
            continue
        if fault.area_m2 >= _SAME_SHARE * shapes.area_m2[list(fault.rows)].max():
            form[fault.rows] = "redrawn"
            twin.add(frozenset(fault.rows))
    copies = []
    for rows, how in form.items():
        geometry = layer.geometries[rows[0]]
        area_m2, width_m = layer.ground.measure(layer.geometries[[rows[0]]])
        size = float(area_m2[0]), float(width_m[0])
        copies.append(Fault("duplicate_geometry", rows, geometry, *size, facts={"form": how}))
    left = [f for f in surplus if f.kind != "overlap" or not _surplus.pair_set(f.rows) <= twin]
    return copies, left


def _folded(faults: list[Fault], origin: FloatArray, shapes: Shapes, near: float) -> list[Fault]:
    """Leave out what a self-crossing grid brings about where it crosses: that is one fault."""
    if not shapes.crossings:
        return faults
    places = np.array(list(shapes.crossings.values()), dtype=object)
    crossing = dict(zip(shapes.crossings, _arrays.relative(places, origin), strict=True))

    def explained(fault: Fault) -> bool:
        return fault.kind != "missing_grid" and any(
            row in crossing and shapely.dwithin(fault.geometry, crossing[row], near)
            for row in fault.rows
        )

    return [fault for fault in faults if not explained(fault)]


def _stretches(faults: list[Fault]) -> list[Fault]:
    """Gather rim gaps and overruns that follow one another along an outline drawn apart."""
    rim = [k for k, f in enumerate(faults) if f.kind in {"rim_gap", "overrun"}]
    if len(rim) < _STRETCH:
        return faults
    xy, of = shapely.get_coordinates([faults[k].geometry for k in rim], return_index=True)
    _, node = _arrays.numbered(xy)
    everyone = np.ones(len(rim) + int(node.max()) + 1, np.bool_)
    group = _faces.components(len(everyone), of, node + len(rim), everyone)[: len(rim)]
    gathered: list[Fault] = []
    gone: set[int] = set()
    for which in np.flatnonzero(np.bincount(group) >= _STRETCH):
        members = [rim[k] for k in np.flatnonzero(group == which)]
        gone.update(members)
        gathered.append(_gathered([faults[k] for k in members], "outline_mismatch"))
    return [*(f for k, f in enumerate(faults) if k not in gone), *gathered]


def _ribbons(faults: list[Fault], narrow_m: float) -> list[Fault]:
    """Gather narrow places of one kind along the border of the same grids: a line drawn twice.

    Overlaps of the same grids are one finding always; gaps stay apart until there are too many to
    read.
    """
    kinds = {"overlap"}
    for kind in ("gap", "rim_gap", "overrun"):
        if sum(f.kind == kind for f in faults) > _MANY_GAPS:
            kinds.add(kind)
    ribbons: dict[tuple[str, tuple[int, ...]], list[Fault]] = defaultdict(list)
    found = []
    for fault in faults:
        if fault.width_m <= narrow_m and fault.kind in kinds:
            ribbons[fault.kind, fault.rows].append(fault)
        else:
            found.append(fault)
    return found + [_gathered(places, kind) for (kind, _), places in ribbons.items()]


def _gathered(faults: list[Fault], kind: str) -> Fault:
    """One fault of several places: areas add up, the width is the mean over all of them."""
    if len(faults) == 1 and faults[0].kind == kind:
        return faults[0]
    area_m2 = sum(f.area_m2 for f in faults)
    perimeter_m = sum(2.0 * f.area_m2 / f.width_m for f in faults)
    shape = _arrays.multipolygon(np.array([f.geometry for f in faults], dtype=object))
    rows = tuple(sorted({row for f in faults for row in f.rows}))
    by_kind = {k: sum(f.area_m2 for f in faults if f.kind == k) for k in ("rim_gap", "overrun")}
    facts = {**faults[0].facts, "places": len(faults), **by_kind}
    return Fault(kind, rows, shape, area_m2, 2.0 * area_m2 / perimeter_m, facts=facts)


def detached(layer: Layer, graph: Graph) -> list[Fault]:
    """Parts of the layer that share not even a corner with its largest part.

    Asked only where no outline tells which parts there should be.
    """
    faces = graph.faces
    covered = np.flatnonzero(graph.cover.number > 0)
    if len(covered) == 0:
        return []
    mine = np.isin(faces.edge_face, covered)
    everyone = np.ones(faces.count + len(faces.nodes), np.bool_)
    part = _faces.components(
        len(everyone), faces.edge_face[mine], faces.edge_ends[mine, 0] + faces.count, everyone
    )[covered]
    main = int(np.argmax(np.bincount(part, shapely.area(faces.polygons[covered]))))
    inner = _arrays.points_at(_arrays.inner_points(layer.geometries) - faces.origin)
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
