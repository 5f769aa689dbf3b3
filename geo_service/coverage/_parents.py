"""Grids that cross the line of their own parent, where the outline is a layer of parents."""

from __future__ import annotations

import numpy as np

from geo_service import codes as codes_
from geo_service.coverage import _arrays, _bundles, _faces, _residual, _tiling
from geo_service.coverage._arrays import IntArray
from geo_service.coverage._faults import Fault, Slip, remark
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._places import places_of
from geo_service.coverage._residual import Residual
from geo_service.coverage._segments import Scan
from geo_service.coverage._shapes import Shapes
from geo_service.notes import Note
from geo_service.profiles import Profile

_ELSEWHERE = 0.5  # a grid with more than this share outside its parent lies elsewhere


def faults(
    layer: Layer, scan: Scan, outline: Outline, shapes: Shapes, profile: Profile
) -> tuple[list[Fault], list[Slip], list[Note]]:
    """Give the grids that lie in part, or wholly, outside the parent their code names.

    And the parts too small to tell. A parent whose grids' chains cancel its own is tiled exactly;
    only the others are looked into.
    """
    if len(outline.geometries) < 2:
        return [], [], []
    notes = []
    parent, by_place = _parent_of(layer, outline)
    if by_place:
        notes.append(remark("parents_by_place"))
    found = _strangers(layer, outline, parent)
    open_ = _not_tiled(layer, scan, outline, parent)
    if len(open_) == 0:
        return found, [], notes
    part = np.append(np.isin(np.arange(len(outline.geometries)), open_), False)  # the last: none
    parts = [np.where(part[of], of, -1) for of in (parent[layer.rings.row], outline.rings.row)]
    both = [(layer.rings, scan), (outline.rings, outline.scan)]
    left = _residual.residual_by_part(both, parts)
    if left.empty:
        return found, [], notes
    crossing, slips = _crossing(layer, outline, parent, left, profile)
    return found + _elsewhere(layer, crossing, shapes), slips, notes


def _parent_of(layer: Layer, outline: Outline) -> tuple[IntArray, bool]:
    """Each grid's parent: by its parent column, by its code, or by where it lies."""
    known = {code: k for k, code in enumerate(outline.codes) if code}
    lengths = sorted({len(code) for code in known}, reverse=True)
    column = layer.column("parent_code")
    named = codes_.texts(column) if column is not None else [""] * len(layer.codes)

    def look_up(code: str, parent: str) -> int:
        if parent in known:
            return known[parent]
        return next((known[code[:n]] for n in lengths if code[:n] in known), -1)

    pairs = zip(layer.codes, named, strict=True)
    parent = np.array([look_up(*pair) for pair in pairs], np.int64)
    if (parent >= 0).any():
        return parent, False
    points = _arrays.inner_points(np.asarray(layer.geometries))
    cover = _faces.cover(points, outline)
    parent[cover.face[::-1]] = cover.row[::-1]  # the first parent wins
    return parent, True


def _strangers(layer: Layer, outline: Outline, parent: IntArray) -> list[Fault]:
    """Grids whose code names a direct parent that the outline has not.

    Further up an unknown code is no fault, nor is it in a functional zone: zones number their
    townships under a county code of their own and lie inside others.
    """
    lengths = {len(code) for code in outline.codes if code}
    direct = [
        len(codes_.parent(code) or "") in lengths and not codes_.in_functional_zone(code)
        for code in layer.codes
    ]
    rows = np.flatnonzero((parent < 0) & np.array(direct, np.bool_))
    points = _arrays.inner_points(layer.geometries[rows])
    cover = _faces.cover(points, outline)
    lies_in = {int(k): outline.codes[p] for k, p in zip(cover.face, cover.row, strict=True)}
    return [
        Fault(
            "code_parent_mismatch",
            (row,),
            layer.geometries[row],
            facts=_where(codes_.parent(layer.codes[row]) or "?", lies_in[k]),
        )
        for k, row in enumerate(rows.tolist())
        if k in lies_in
    ]


def _where(parent: str, other: str) -> dict[str, object]:
    return {"parent": parent, "zh_where": f"位于 {other} 内", "where": f"it lies in {other}"}


def _not_tiled(layer: Layer, scan: Scan, outline: Outline, parent: IntArray) -> IntArray:
    """Parents whose chain and their grids' chains do not sum to 0."""
    sums = np.zeros(len(outline.geometries) + 1, np.uint64)  # the last: grids without parent
    np.add.at(sums, parent[layer.rings.row], scan.sums)
    np.subtract.at(sums, outline.rings.row, outline.scan.sums)
    return np.flatnonzero(sums[:-1])


def _crossing(
    layer: Layer, outline: Outline, parent: IntArray, left: Residual, profile: Profile
) -> tuple[list[Fault], list[Slip]]:
    """Faces that a grid covers and its parent does not, though another parent does."""
    faces = _faces.faces_of(left)
    grids, parents = (one.rows() for one in _faces.covers(faces, layer, outline))
    label = np.full(faces.count, -1, np.int64)
    number: dict[tuple[int, int], int] = {}
    for face, (rows, inside) in enumerate(zip(grids, parents, strict=True)):
        astray = [r for r in rows if parent[r] >= 0 and inside and parent[r] not in inside]
        if astray:
            label[face] = number.setdefault((astray[0], inside[0]), len(number))
    places = places_of(faces, label, layer.ground)
    key = list(number)
    found, slips = [], []
    for k in np.flatnonzero(places.real).tolist():
        row, other = key[places.label[k]]
        facts = {
            "parent": outline.codes[parent[row]] or f"row {parent[row] + 1}",
            "other": outline.codes[other] or f"row {other + 1}",
        }
        size = float(places.area_m2[k]), float(places.width_m[k])
        if _bundles.small("parent_mismatch", *size, profile):
            at = faces.points[places.first[k]] + faces.origin
            slips.append(_bundles.slip("parent_mismatch", (row,), *size, at, profile))
            continue
        found.append(Fault("parent_mismatch", (row,), places.polygons[k], *size, facts=facts))
    return _tiling.placed(found, faces.origin), slips


def _elsewhere(layer: Layer, crossing: list[Fault], shapes: Shapes) -> list[Fault]:
    """Tell a grid that lies elsewhere as a whole by its code, not by the line it crosses."""
    outside: dict[int, float] = {}
    for fault in crossing:
        outside[fault.rows[0]] = outside.get(fault.rows[0], 0.0) + fault.area_m2
    astray = {row for row, m2 in outside.items() if m2 > _ELSEWHERE * shapes.area_m2[row]}
    kept = [f for f in crossing if f.rows[0] not in astray]
    told = {
        f.rows[0]: Fault(
            "code_parent_mismatch",
            f.rows,
            layer.geometries[f.rows[0]],
            facts=_where(str(f.facts["parent"]), str(f.facts["other"])),
        )
        for f in sorted(crossing, key=lambda f: f.area_m2)
        if f.rows[0] in astray
    }
    return kept + list(told.values())
