"""The outline is checked too, before anything is judged by it: its own faults, told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service.coverage import (
    _arrays,
    _layer,
    _messages,
    _piles,
    _report,
    _residual,
    _segments,
    _shapes,
    _tiling,
)
from geo_service.coverage._arrays import GeometryArray
from geo_service.coverage._examined import examine
from geo_service.coverage._faults import Fault, remark
from geo_service.coverage._layer import Layer, Outline
from geo_service.notes import Note
from geo_service.profiles import Profile, Severity

_SAME = 1e-6  # share of its area by which a hole may reach beyond the ring around it
_IN_HOLE = 0.5  # share of an overrun in a hole of the outline that makes it the outline's fault
_NAMED = 3  # faults told in words

# Parts, islands and thin ends are what outlines have.
_ASKED = {
    "invalid_geometry", "self_intersection", "duplicate_geometry", "overlap", "gap", "missing_grid",
}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """What the outline itself has wrong.

    Parameters
    ----------
    faults : list of Fault
        By rows of the outline; holes between its parts are gaps.
    declared : ndarray of Polygon
        Holes drawn as such in one polygon: ground that is meant to stay out.
    names : list of str
        What its rows are called.
    """

    faults: list[Fault]
    declared: GeometryArray
    names: list[str]

    def frame(self, profile: Profile, crs: Any | None) -> gpd.GeoDataFrame:
        """Give the faults as a table; they are warnings, for no grid is at fault."""
        softer: dict[str, Severity] = dict.fromkeys(_ASKED, "warning")
        rules = replace(profile, severities={**profile.severities, **softer})
        faults, at, _ = _report.listed(self.faults, self.names)
        return _report.faults_frame(faults, at, self.names, rules, crs)


NONE = Reference([], np.empty(0, object), [])


def outline_of(within: Any, layer: Layer) -> tuple[Outline, list[Note]]:
    """Take the outline apart, with one part in place of each pile of its own.

    Raises
    ------
    InputError
        As `_layer.outline_of`.
    """
    outline, notes = _layer.outline_of(within, layer)
    if len(outline.given) <= _piles.DEPTH:
        return outline, notes
    boxes = shapely.bounds(outline.geometries)
    shapes = outline.geometries
    own = Layer(layer.frame, shapes, shapes, outline.rings, boxes, {}, outline.codes, layer.ground)
    left = _residual.residual([(outline.rings, outline.scan)])
    piles = _piles.piles_of(own, left, [])
    if not piles:
        return outline, notes
    flat = _piles.flattened(own, piles)
    scan = _segments.scan(flat.rings)
    geometries = np.array(flat.geometries)
    geometries[flat.under] = shapely.Polygon()
    area_m2 = float(np.sum(_layer.ring_areas_m2(flat.rings, scan, layer.ground)))
    tree = shapely.STRtree(geometries)
    joined = replace(
        outline, geometries=geometries, rings=flat.rings, scan=scan, tree=tree, area_m2=area_m2
    )
    return joined, notes


def reference_of(outline: Outline, layer: Layer, profile: Profile) -> Reference:
    """Check the outline as a layer by itself.

    Raises
    ------
    InputError
        ``layer_tangled`` where too many of its parts lie over one another.
    """
    frame = gpd.GeoDataFrame(geometry=list(outline.given), crs=layer.frame.crs)
    frame.attrs["file"] = "within"
    own, _ = _layer.layer_of(frame)
    scan = _segments.scan(own.rings, squeeze=own.ground.squeeze)
    shapes = _shapes.shapes_of(own, scan)
    own = own.with_valid(shapes.invalid)
    faults = _shapes.faults(own, scan, shapes, profile)
    if own.rings.count > 1:  # one ring has nothing to lie beside
        examined = examine(own, None, scan, shapes)
        if examined.graph is not None:
            flat, graph = examined.flat, examined.graph
            faults += _tiling.tiling_of(flat, None, graph, examined.apart, profile).faults
        faults += _piles.faults(own, examined.piles)
    rings = _interiors(np.asarray(own.geometries))
    found, declared = [], []
    for fault in faults:
        if fault.kind not in {"gap", "missing_grid"}:
            found.append(fault)
        elif _drawn_as_hole(fault, rings):
            declared.append(fault.geometry)
        else:
            found.append(replace(fault, kind="gap", facts={"meant": False}))
    names = [code or f"row {k + 1}" for k, code in enumerate(outline.codes)]
    asked = [fault for fault in found if fault.kind in _ASKED]
    return Reference(asked, _arrays.array_of(*declared), names)


def _interiors(geometries: GeometryArray) -> shapely.STRtree:
    parts = shapely.get_parts(geometries)
    rings, part = shapely.get_rings(parts, return_index=True)
    first = np.append(True, part[1:] != part[:-1])
    return shapely.STRtree(shapely.polygons(rings[~first]))


def _drawn_as_hole(fault: Fault, rings: shapely.STRtree) -> bool:
    """Whether a hole lies within a ring that one polygon draws, islands left aside."""
    around = rings.geometries[rings.query(fault.geometry)]
    whole = np.repeat(_arrays.array_of(fault.geometry), len(around))
    common = shapely.area(_arrays.common(whole, around, noise=0.0))
    return bool((common >= (1.0 - _SAME) * shapely.area(fault.geometry)).any())


def remarks(reference: Reference, layer: Layer, profile: Profile) -> list[Note]:
    """Say in words what the outline leaves out, and what it has wrong."""
    notes = []
    if len(reference.declared):
        area_m2, _ = layer.ground.measure(reference.declared)
        count = len(reference.declared)
        notes.append(
            remark(
                "outline_holes",
                count=count,
                places="1 enclosed place" if count == 1 else f"{count} enclosed places",
                area=_messages.square_metres(float(area_m2.sum())),
            )
        )
    if reference.faults:
        told = reference.frame(profile, layer.frame.crs)
        more = len(told) - _NAMED
        notes.append(
            remark(
                "outline_faulty",
                zh_found="".join(told["message_zh"].head(_NAMED)),
                found=" ".join(told["message_en"].head(_NAMED)),
                zh_more=f"另有 {more} 条。" if more > 0 else "",
                more=f" {more} more." if more > 0 else "",
            )
        )
    return notes


def excused(faults: list[Fault], reference: Reference, layer: Layer) -> list[Fault]:
    """Say of grids in a hole between the outline's parts that the outline is open there."""
    holes = _arrays.array_of(*(f.geometry for f in reference.faults if f.kind == "gap"))
    if not len(holes):
        return faults
    tree = shapely.STRtree(holes)

    def told(fault: Fault) -> Fault:
        if fault.kind != "overrun":
            return fault
        near = tree.geometries[tree.query(fault.geometry)]
        mine = np.repeat(_arrays.array_of(fault.geometry), len(near))
        common = shapely.area(_arrays.common(mine, near, noise=layer.ground.noise)).sum()
        if common <= _IN_HOLE * shapely.area(fault.geometry):
            return fault
        return replace(fault, facts={**fault.facts, "in_hole": True}, mild=True)

    return [told(fault) for fault in faults]
