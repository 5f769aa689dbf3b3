"""Faults of single grids: invalid or self-crossing rings, spikes, parts, slivers, copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely

from geo_service.coverage import _arrays, _simple
from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, IntArray
from geo_service.coverage._faults import Fault
from geo_service.coverage._layer import Layer, ring_areas_m2
from geo_service.coverage._segments import Scan
from geo_service.profiles import Profile

_CROSSED = frozenset({"self_intersection", "invalid_geometry"})


@dataclass(frozen=True)
class Shapes:
    """What each grid is in itself.

    Parameters
    ----------
    area_m2, perimeter_m : ndarray of float, shape (rows,)
    invalid : ndarray of int
        Rows whose geometry is not valid.
    crossings : dict
        Row -> where its rings cross or touch themselves (a MultiPoint, own coordinates).
    copies : list of tuple of int
        Rows with the same rings, wherever they begin and whichever way they run.
    """

    area_m2: FloatArray
    perimeter_m: FloatArray
    invalid: IntArray
    crossings: dict[int, Geometry]
    copies: list[tuple[int, ...]]


def shapes_of(layer: Layer, scan: Scan, *, valid: BoolArray | None = None) -> Shapes:
    """Measure every grid, judge its validity, and find copies; `valid` rows are known to be so."""
    rings = layer.rings
    area_m2 = _arrays.summed(rings.row, ring_areas_m2(rings, scan, layer.ground), rings.features)
    invalid = _invalid(layer, scan) if valid is None else _invalid_among(layer, ~valid)
    crossings = {int(row): _crossings(layer.geometries[row]) for row in invalid}
    sums = np.zeros(rings.features, np.uint64)
    np.add.at(sums, rings.row, scan.sums)
    perimeter_m = _arrays.summed(rings.row, scan.length, rings.features) * layer.ground.north_m
    return Shapes(area_m2, perimeter_m, invalid, crossings, _copies(sums, area_m2))


def _invalid(layer: Layer, scan: Scan) -> IntArray:
    """Rows that GEOS finds invalid, asked only where a ring may meet itself or another ring."""
    rings = layer.rings
    suspect = _simple.suspects(rings) | (scan.spike >= 0) | (scan.area == 0.0)
    asked = np.bincount(rings.row, minlength=rings.features) > 1
    asked[rings.row[suspect]] = True
    rows = np.flatnonzero(asked)
    return rows[~shapely.is_valid(layer.geometries[rows])]


def _invalid_among(layer: Layer, asked: BoolArray) -> IntArray:
    rows = np.flatnonzero(asked)
    return rows[~shapely.is_valid(layer.geometries[rows])]


def _crossings(geometry: Geometry) -> Geometry:
    """Where the rings of a geometry cross or touch: the nodes that noding brings about."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    own = shapely.get_coordinates([shapely.LineString(r.coords[:-1]) for r in rings])
    noded = shapely.get_coordinates(shapely.get_parts(shapely.node(shapely.union_all(rings))))
    places, times = np.unique(own, axis=0, return_counts=True)
    fresh = np.unique(noded[~_arrays.among(noded, places)], axis=0)
    return shapely.MultiPoint(np.concatenate([places[times > 1], fresh]))


def _copies(sums: np.ndarray, area_m2: FloatArray) -> list[tuple[int, ...]]:
    _, number, times = np.unique(sums, return_inverse=True, return_counts=True)
    rows = np.flatnonzero((times[number] > 1) & (area_m2 > 0.0))
    groups: dict[int, list[int]] = defaultdict(list)
    for row in rows.tolist():
        groups[int(number[row])].append(row)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def faults(layer: Layer, scan: Scan, shapes: Shapes, profile: Profile) -> list[Fault]:
    """Give the faults of single grids."""
    strips = slivers(layer, shapes, profile)
    thin = {fault.rows for fault in strips}
    spikes = _vertices(layer, scan, "spike", scan.spike, degrees=profile.spike_degrees)
    return [
        *_validity(layer, shapes),
        *_vertices(layer, scan, "repeated_point", scan.repeated),
        *(fault for fault in spikes if fault.rows not in thin),  # a sliver ends in spikes
        *_parts(layer, shapes),
        *strips,
    ]


def with_ground_beside(faults: list[Fault], beside_m2: Mapping[int, float]) -> list[Fault]:
    """Tell with self-crossing grids how much ground lies open or doubled beside them for it."""

    def told(fault: Fault) -> Fault:
        area_m2 = beside_m2.get(fault.rows[0], 0.0) if fault.rows else 0.0
        if fault.kind not in _CROSSED or area_m2 == 0.0:
            return fault
        return replace(fault, facts={**fault.facts, "beside_m2": area_m2})

    return [told(fault) for fault in faults]


def _validity(layer: Layer, shapes: Shapes) -> list[Fault]:
    found = []
    reasons = shapely.is_valid_reason(layer.geometries[shapes.invalid])
    for row, reason in zip(shapes.invalid.tolist(), reasons, strict=True):
        what = str(reason).split("[")[0].strip()
        kind = "self_intersection" if "elf-intersection" in what else "invalid_geometry"
        folded = _folded(layer.geometries[row])
        area_m2, width_m = layer.ground.measure(_arrays.array_of(folded))
        places = shapes.crossings[row]
        place = folded if area_m2[0] > 0 else places
        if place.is_empty:
            place = shapely.box(*shapely.bounds(layer.geometries[row]))
        facts = {"reason": what, "count": len(shapely.get_parts(places))}
        found.append(Fault(kind, (row,), place, float(area_m2[0]), float(width_m[0]), facts=facts))
    return found


def _folded(geometry: Geometry) -> Geometry:
    """The loops of a shell that wind otherwise than the shell as a whole."""
    loops = []
    for part in shapely.get_parts(geometry):
        shell = np.array(part.exterior.coords)[:, :2]
        faces = shapely.get_parts(shapely.polygonize([shapely.node(part.exterior)]))
        if len(faces) > 1:
            inner = shapely.get_coordinates(shapely.point_on_surface(faces))
            turns = [_turns(shell - place) for place in inner]
            main = turns[int(np.argmax(shapely.area(faces)))]
            loops += [f for f, t in zip(faces, turns, strict=True) if t not in (0, main)]
    return shapely.union_all(loops) if loops else shapely.MultiPolygon()


def _turns(ring: FloatArray) -> int:
    """How often a ring winds around the origin."""
    angle = np.arctan2(ring[:, 1], ring[:, 0])
    step = np.diff(angle)
    return round(float(np.sum(np.mod(step + np.pi, 2 * np.pi) - np.pi)) / (2 * np.pi))


def _vertices(
    layer: Layer, scan: Scan, kind: str, vertex: IntArray, **facts: object
) -> list[Fault]:
    """One fault a row, at the vertex the scan saw."""
    rings = np.flatnonzero(vertex >= 0)
    rows, first = np.unique(layer.rings.row[rings], return_index=True)
    points = _arrays.points_at(layer.rings.xy[vertex[rings[first]]])
    return [
        Fault(kind, (row,), point, facts=facts)
        for row, point in zip(rows.tolist(), points, strict=True)
    ]


def _parts(layer: Layer, shapes: Shapes) -> list[Fault]:
    shells = np.bincount(layer.rings.row[~layer.rings.hole], minlength=layer.rings.features)
    return [
        Fault(
            "multipart",
            (row,),
            layer.geometries[row],
            float(shapes.area_m2[row]),
            facts={"count": int(shells[row])},
        )
        for row in np.flatnonzero(shells > 1).tolist()
    ]


def slivers(layer: Layer, shapes: Shapes, profile: Profile) -> list[Fault]:
    """Grids that are no grids: tiny, or thinner than the profile allows (4 pi A / P^2)."""
    thinness = 4.0 * np.pi * shapes.area_m2 / np.maximum(shapes.perimeter_m**2, 1e-300)
    thin = (shapes.area_m2 < profile.sliver_area_m2) | (thinness < profile.sliver_thinness)
    return [
        Fault(
            "sliver",
            (row,),
            layer.geometries[row],
            float(shapes.area_m2[row]),
            float(2.0 * shapes.area_m2[row] / max(shapes.perimeter_m[row], 1e-300)),
            facts={"thinness": float(thinness[row])},
        )
        for row in np.flatnonzero(thin).tolist()
    ]
