"""Ground that is covered too often: by two grids and more, or beyond the outline."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import shapely

from geo_service.coverage import _rings
from geo_service.coverage._faces import Cover, Faces
from geo_service.coverage._faults import Fault
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import Places, places_of
from geo_service.coverage._rings import BoolArray, FloatArray, GeometryArray, IntArray

_ALL = 1.0 - 1e-6  # share of a face that counts as all of it


@dataclass(frozen=True)
class Surplus:
    """Places of positive winding, with every grid that covers a part of them.

    Borders that cancelled are not in the residual, so a face may run on from one covering grid to
    the next, and from inside the outline to beyond it: what covers it is measured over the whole
    face, not at one place of it.

    Parameters
    ----------
    places : Places
    rows : list of tuple of int
        By place.
    share : list of tuple of float
        The share of the place that each of `rows` covers.
    inside : ndarray of float
        The share of each place that lies inside the outline.
    """

    places: Places
    rows: list[tuple[int, ...]]
    share: list[tuple[float, ...]]
    inside: FloatArray


def surplus_of(faces: Faces, cover: Cover, inside: BoolArray, layer: Layer) -> Surplus:
    """Join and measure the faces that more grids cover than should."""
    winding = cover.number - inside
    asked = np.flatnonzero(winding > 0)
    shapes = _absolute(faces.polygons[asked], faces.origin)
    size = shapely.area(shapes)
    at, row = layer.tree.query(shapes)
    order = np.lexsort((row, at))
    at, row = at[order], row[order]
    common = shapely.area(shapely.intersection(shapes[at], layer.valid[row]))
    least = 2.0 * layer.ground.noise * shapely.length(shapes)
    known = np.isin(asked[at] * len(layer.codes) + row, cover.face * len(layer.codes) + cover.row)
    covers = known | (common > least[at])
    at, row, common = at[covers], row[covers], common[covers]
    # The areas of all covers add up to the winding everywhere, and once more inside the outline.
    total = np.bincount(at, common, minlength=len(asked))
    within = np.clip(total / np.maximum(size, 1e-300) - winding[asked], 0.0, 1.0)
    within = np.where(np.abs(total - winding[asked] * size) < least, 0.0, within)
    within = np.where(np.abs(total - (winding[asked] + 1) * size) < least, 1.0, within)
    return _joined(faces, layer, asked, at, row, common, size, within)


def _joined(
    faces: Faces,
    layer: Layer,
    asked: IntArray,
    at: IntArray,
    row: IntArray,
    common: FloatArray,
    size: FloatArray,
    within: FloatArray,
) -> Surplus:
    number: dict[tuple[object, ...], int] = {}
    label = np.full(faces.count, -1, np.int64)
    cuts = np.searchsorted(at, np.arange(len(asked) + 1))
    for k, face in enumerate(asked.tolist()):
        side = "in" if within[k] == 1.0 else ("out" if within[k] == 0.0 else k)
        key = (side, *row[cuts[k] : cuts[k + 1]].tolist())
        label[face] = number.setdefault(key, len(number))
    places = places_of(faces, label, layer.ground)
    key_of = list(number)
    rows = [tuple(int(str(r)) for r in key_of[which][1:]) for which in places.label]
    group = places.group[asked]
    whole = np.bincount(group, size, minlength=places.count)
    inside = np.bincount(group, within * size, minlength=places.count) / np.maximum(whole, 1e-300)
    share: list[dict[int, float]] = [dict.fromkeys(which, 0.0) for which in rows]
    for place, r, area in zip(group[at].tolist(), row.tolist(), common.tolist(), strict=True):
        share[place][r] += area / max(whole[place], 1e-300)
    return Surplus(places, rows, [tuple(s.values()) for s in share], inside)


def faults(
    surplus: Surplus, faces: Faces, layer: Layer, outline: Outline | None, *, narrow_m: float
) -> list[Fault]:
    """Give the overlaps and overruns, relative to the faces' origin.

    One grid over some others, or several on one spot, is one place with all their codes, unless it
    is so narrow that it is borders drawn twice: then each pair is told of its own border.
    """
    found = []
    for place in np.flatnonzero(surplus.places.real).tolist():
        shape = surplus.places.polygons[place]
        rows = surplus.rows[place]
        if outline is not None and surplus.inside[place] == 0.0:
            found.append(_fault("overrun", rows, shape, faces, layer))
        elif outline is not None and surplus.inside[place] < 1.0:
            found += _straddling(rows, shape, faces, layer, outline)
        elif len(rows) < 3 or (
            max(surplus.share[place]) > _ALL and surplus.places.width_m[place] > narrow_m
        ):
            found.append(_fault("overlap", rows, shape, faces, layer))
        else:
            found += _pairs(rows, shape, faces, layer)
    return found


def _straddling(
    rows: tuple[int, ...], shape: shapely.Geometry, faces: Faces, layer: Layer, outline: Outline
) -> list[Fault]:
    """Cut a place at the outline: an overlap inside, an overrun beyond."""
    absolute = _absolute(np.array([shape], dtype=object), faces.origin)[0]
    x0, y0, x1, y1 = absolute.bounds
    margin = max(x1 - x0, y1 - y0)
    near = outline.geometries[outline.tree.query(absolute)]
    clipped = shapely.clip_by_rect(near, x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    area = shapely.union_all(shapely.make_valid(clipped))
    found = []
    for kind, piece in (
        ("overlap", shapely.intersection(absolute, area)),
        ("overrun", shapely.difference(absolute, area)),
    ):
        common = shapely.area(shapely.intersection(piece, layer.valid[list(rows)]))
        least = 2.0 * layer.ground.noise * shapely.length(piece)
        concerned = tuple(r for r, m in zip(rows, common, strict=True) if m > least)
        if concerned and shapely.area(piece) > least:
            relative = _absolute(np.array([piece], dtype=object), -faces.origin)[0]
            found.append(_fault(kind, concerned, relative, faces, layer))
    return found


def _pairs(
    rows: tuple[int, ...], shape: shapely.Geometry, faces: Faces, layer: Layer
) -> list[Fault]:
    """Cut a place where many grids lie over many others into what each pair shares."""
    absolute = _absolute(np.array([shape], dtype=object), faces.origin)
    parts = shapely.intersection(absolute, layer.valid[list(rows)])
    a, b = shapely.STRtree(parts).query(parts)
    a, b = a[a < b], b[a < b]
    common = shapely.intersection(parts[a], parts[b])
    wide = shapely.area(common) > 2.0 * layer.ground.noise * shapely.length(common)
    relative = _absolute(common[wide], -faces.origin)
    pairs = zip(a[wide].tolist(), b[wide].tolist(), relative, strict=True)
    return [
        _fault("overlap", tuple(sorted((rows[i], rows[j]))), piece, faces, layer)
        for i, j, piece in pairs
    ]


def _fault(
    kind: str, rows: tuple[int, ...], shape: shapely.Geometry, faces: Faces, layer: Layer
) -> Fault:
    areal = _rings.areas(shape)
    area_m2, width_m = layer.ground.measure(np.array([areal], dtype=object), origin=faces.origin)
    return Fault(kind, rows, areal, float(area_m2[0]), float(width_m[0]))


def _absolute(shapes: GeometryArray, origin: FloatArray) -> GeometryArray:
    return shapely.transform(shapes, lambda xy: xy + origin)


def pair_set(rows: tuple[int, ...]) -> set[frozenset[int]]:
    """Give all pairs of rows."""
    return {frozenset(pair) for pair in itertools.combinations(rows, 2)}
