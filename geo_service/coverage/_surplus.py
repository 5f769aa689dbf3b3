"""Ground that is covered too often: by two grids and more, or beyond the outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import BoolArray, FloatArray, Geometry, GeometryArray, IntArray
from geo_service.coverage._faces import Cover, Faces
from geo_service.coverage._faults import Fault
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import DUST_M, MANY_DUST, Places, places_of

LINE_M = 0.1
"""A place of many grids no wider than this is borders drawn twice, told pair by pair."""

_PILE = 12  # grids on one spot beyond which their pairs are not told apart: there are too many
_ALL = 1.0 - 1e-6  # share of a face that counts as all of it
_AT_ONCE = 100  # parts overlaid: twice as many thousands take GEOS seven times as long


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
    inside : ndarray of float
        The share of each place that lies inside the outline.
    """

    places: Places
    rows: list[tuple[int, ...]]
    inside: FloatArray


def surplus_of(
    faces: Faces, cover: Cover, inside: BoolArray, layer: Layer, outline: Outline | None
) -> Surplus:
    """Join and measure the faces that more grids cover than should."""
    asked = np.flatnonzero(cover.number - inside > 0)
    shapes = _arrays.absolute(faces.polygons[asked], faces.origin)
    # Of dust one place of each face has to do.
    _, width_m = layer.ground.measure(shapes)
    wide = width_m >= DUST_M if np.count_nonzero(width_m < DUST_M) > MANY_DUST else width_m >= 0.0
    at, row = _tried(shapes, wide, cover, asked, layer)
    known = np.isin(asked[at] * len(layer.codes) + row, cover.face * len(layer.codes) + cover.row)
    least = 2.0 * layer.ground.noise * shapely.length(shapes)
    common = _common(shapes, at[~known], layer, row[~known])
    known[~known] = common > least[at[~known]]
    at, row = at[known], row[known]
    order = np.lexsort((row, at))
    at, row = at[order], row[order]
    share = np.where(inside[asked], 1.0, 0.0)
    if outline is not None:
        near = np.flatnonzero(wide)[~outline.surely_contains(shapes[wide])]
        mine = np.isin(at, near)
        total = _arrays.summed(at[mine], _common(shapes, at[mine], layer, row[mine]), len(asked))
        winding = (cover.number - inside)[asked]
        share[near] = _inside_share(total, winding, shapely.area(shapes), least)[near]
    return _joined(faces, layer, asked, at, row, share)


def _tried(
    shapes: GeometryArray, wide: BoolArray, cover: Cover, asked: IntArray, layer: Layer
) -> tuple[IntArray, IntArray]:
    """Pairs (face asked, row) that may cover: by box where wide, else those at the face's place."""
    at, row = layer.near(shapes[wide])
    at = np.flatnonzero(wide)[at]
    number = np.full(len(cover.number), -1, np.int64)
    number[asked[~wide]] = np.flatnonzero(~wide)
    narrow = number[cover.face] >= 0
    return (
        np.concatenate([at, number[cover.face[narrow]]]),
        np.concatenate([row, cover.row[narrow]]),
    )


def _common(shapes: GeometryArray, at: IntArray, layer: Layer, row: IntArray) -> FloatArray:
    """The area that shapes and grids share; that most only touch is told in a third of the time."""
    mine, grids = shapes[at], layer.valid[row]
    met = np.flatnonzero(~shapely.touches(mine, grids))
    area = np.zeros(len(at))
    area[met] = shapely.area(_arrays.common(mine[met], grids[met], noise=layer.ground.noise))
    return area


def _inside_share(
    total: FloatArray, winding: IntArray, size: FloatArray, least: FloatArray
) -> FloatArray:
    """The share of faces inside the outline, told by the areas of all that covers them.

    The areas add up to the winding, times the face, and to once more where it is inside.
    """
    share = np.clip(total / np.maximum(size, 1e-300) - winding, 0.0, 1.0)
    share = np.where(np.abs(total - winding * size) < least, 0.0, share)
    return np.where(np.abs(total - (winding + 1) * size) < least, 1.0, share)


def _joined(
    faces: Faces, layer: Layer, asked: IntArray, at: IntArray, row: IntArray, share: FloatArray
) -> Surplus:
    """Join the faces that the same grids cover, on the same side of the outline."""
    number: dict[tuple[object, ...], int] = {}
    rows: list[tuple[int, ...]] = []
    label = np.full(faces.count, -1, np.int64)
    cuts = np.searchsorted(at, np.arange(len(asked) + 1)).tolist()
    covers = row.tolist()
    for k, face in enumerate(asked.tolist()):
        mine = tuple(covers[cuts[k] : cuts[k + 1]])
        side = share[k] if share[k] in (0.0, 1.0) else f"face {face}"
        label[face] = number.setdefault((side, mine), len(number))
        if label[face] == len(rows):
            rows.append(mine)
    places = places_of(faces, label, layer.ground)
    full = np.zeros(faces.count)
    full[asked] = share
    return Surplus(places, [rows[which] for which in places.label], full[places.first])


def faults(
    surplus: Surplus, faces: Faces, layer: Layer, outline: Outline | None, *, narrow_m: float
) -> list[Fault]:
    """Give the overlaps and overruns, relative to the faces' origin.

    One grid over some others, or several on one spot, is one place with all their codes, unless it
    is so narrow that it is borders drawn twice: then each pair is told of its own border.
    """
    found = []
    places = surplus.places
    for place in places.told()[0].tolist():
        shape, rows = places.polygons[place], surplus.rows[place]
        area_m2, width_m = float(places.area_m2[place]), float(places.width_m[place])
        if outline is not None and 0.0 < surplus.inside[place] < 1.0:
            found += _straddling(rows, shape, faces, layer, outline)
        elif outline is not None and surplus.inside[place] == 0.0:
            found.append(Fault("overrun", rows, shape, area_m2, width_m))
        elif len(rows) < 3 or (width_m > narrow_m and _covered_by_one(rows, shape, faces, layer)):
            found.append(Fault("overlap", rows, shape, area_m2, width_m))
        else:
            found += _pairs(rows, shape, faces, layer)
    return found


def _covered_by_one(rows: tuple[int, ...], shape: Geometry, faces: Faces, layer: Layer) -> bool:
    whole = _arrays.absolute(_arrays.array_of(shape), faces.origin)
    grids = layer.valid[list(rows)]
    whole = np.repeat(whole, len(grids))
    common = shapely.area(_arrays.common(whole, grids, noise=layer.ground.noise))
    return bool(common.max() > _ALL * shapely.area(whole)[0])


def _straddling(
    rows: tuple[int, ...], shape: Geometry, faces: Faces, layer: Layer, outline: Outline
) -> list[Fault]:
    """Cut a place at the outline: an overlap inside, an overrun beyond."""
    whole = _arrays.absolute(_arrays.array_of(shape), faces.origin)[0]
    x0, y0, x1, y1 = whole.bounds
    margin = max(x1 - x0, y1 - y0)
    near = outline.geometries[outline.tree.query(whole)]
    clipped = shapely.clip_by_rect(near, x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    area = shapely.union_all(shapely.make_valid(clipped))
    found = []
    for kind, piece in (
        ("overlap", shapely.intersection(whole, area)),
        ("overrun", shapely.difference(whole, area)),
    ):
        parts = shapely.get_parts(_arrays.areas(piece))
        chunk = np.arange(len(parts)) // _AT_ONCE
        some = cast("GeometryArray", shapely.multipolygons(parts, indices=chunk))
        at, row = (
            np.repeat(np.arange(len(some)), len(rows)),
            np.tile(np.arange(len(rows)), len(some)),
        )
        common = np.bincount(row, _common(some, at, layer, np.array(rows)[row]), len(rows))
        least = 2.0 * layer.ground.noise * shapely.length(piece)
        concerned = tuple(r for r, m in zip(rows, common, strict=True) if m > least)
        if concerned and shapely.area(piece) > least:
            relative = _arrays.relative(_arrays.array_of(piece), faces.origin)[0]
            found.append(_fault(kind, concerned, relative, faces, layer))
    return found


def _pairs(rows: tuple[int, ...], shape: Geometry, faces: Faces, layer: Layer) -> list[Fault]:
    """Cut a place where many grids lie over many others into what each pair shares.

    A pile of more than `_PILE` grids stays one place.
    """
    whole = _arrays.absolute(_arrays.array_of(shape), faces.origin)
    grids = layer.valid[list(rows)]
    parts = _arrays.common(np.repeat(whole, len(grids)), grids, noise=layer.ground.noise)
    if shapely.area(parts).sum() > _PILE * shapely.area(shape):
        return [_fault("overlap", rows, shape, faces, layer)]
    a, b = shapely.STRtree(parts).query(parts)
    a, b = a[a < b], b[a < b]
    common = _arrays.common(parts[a], parts[b], noise=layer.ground.noise)
    wide = shapely.area(common) > 2.0 * layer.ground.noise * shapely.length(common)
    relative = _arrays.relative(common[wide], faces.origin)
    pairs = zip(a[wide].tolist(), b[wide].tolist(), relative, strict=True)
    return [
        _fault("overlap", tuple(sorted((rows[i], rows[j]))), piece, faces, layer)
        for i, j, piece in pairs
    ]


def _fault(kind: str, rows: tuple[int, ...], shape: Geometry, faces: Faces, layer: Layer) -> Fault:
    areal = _arrays.areas(shape)
    area_m2, width_m = layer.ground.measure(_arrays.array_of(areal), origin=faces.origin)
    return Fault(kind, rows, areal, float(area_m2[0]), float(width_m[0]))
