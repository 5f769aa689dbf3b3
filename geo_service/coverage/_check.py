"""The check itself, as its steps in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from geo_service import crs as crs_
from geo_service import profiles
from geo_service.coverage import (
    _attributes,
    _groups,
    _layer,
    _messages,
    _parents,
    _piles,
    _reference,
    _report,
    _segments,
    _shapes,
    _tiling,
)
from geo_service.coverage._arrays import FloatArray
from geo_service.coverage._examined import Examined, examine
from geo_service.coverage._faults import Fault, Slip, remark
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._report import CoverageReport
from geo_service.notes import Note
from geo_service.profiles import Profile


def check(
    grids: Any,
    *,
    within: Any | None = None,
    profile: str | Path | Profile = "default",
    expect: int | None = None,
    code_field: str | None = None,
    register: Any | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> CoverageReport:
    """Prove that grids tile an area, or locate, measure and name every fault.

    Parameters
    ----------
    grids : GeoDataFrame or wkb.Table
        Polygons and multipolygons, judged in their own coordinate system. A table, as
        `boundary_files.read` gives it (``.layer``), spares making geometries nobody looks into.
    within : GeoDataFrame, GeoSeries, geometry or None
        What they must fill, in the same system: one outline, or a layer of parents. With ``None``
        only the inside is judged: holes count, the rim can't.
    profile : str, Path or Profile
        The rules to judge by.
    expect : int, optional
        How many grids there should be.
    code_field : str, optional
        Column of the code; found by its name otherwise.
    register : DataFrame or sequence of str, optional
        The codes that should be on the map (column ``code`` of a table).
    on_progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    CoverageReport

    Raises
    ------
    InputError
        ``layer_empty``, ``geometry_missing``, ``not_polygons``, ``coordinate_not_finite``,
        ``layer_tangled``, ``crs_differs``, ``field_missing``.
    MissingError
        ``profile_unknown``.

    Notes
    -----
    All rings are summed as chains of directed segments and the outline is subtracted; in an exact
    tiling everything cancels, by one pass over the vertices. What is left is noded and its planar
    graph walked: the winding number of each face says hole, overlap or overrun. The cost is linear
    in the vertices, plus near-linear in what is left; no union of the city is ever built.

    The answer depends neither on the order of the features, nor on where rings begin or which way
    they run, nor on the number of processors.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = [shapely.box(0, 0, 100, 100), shapely.box(100.5, 0, 200, 100)]
    >>> grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=boxes, crs=4547)
    >>> report = check(grids, within=shapely.box(0, 0, 200, 100))
    >>> report.verdict, report.counts["gap"], report.coverage_percent
    ('faults', 1, '99.7500')
    """
    advance = on_progress or (lambda share: None)
    rules = profile if isinstance(profile, Profile) else profiles.load(profile)
    layer, notes = _layer.layer_of(grids, code_field=code_field)
    outline: Outline | None = None
    if within is None:
        notes.append(remark("outline_absent"))
    else:
        outline, remarks = _reference.outline_of(within, layer)
        notes += remarks
    advance(0.1)
    scan = _segments.scan(
        layer.rings, squeeze=layer.ground.squeeze, spike_degrees=rules.spike_degrees
    )
    shapes = _shapes.shapes_of(layer, scan)
    advance(0.4)
    examined = examine(layer, outline, scan, shapes)
    advance(0.8)
    report = report_of(examined, rules, notes=notes, expect=expect, register=register)
    advance(1.0)
    return report


def report_of(
    examined: Examined,
    rules: Profile,
    *,
    notes: list[Note],
    expect: int | None = None,
    register: Any | None = None,
) -> CoverageReport:
    """Tell every fault of an examined layer; `notes` are those its reading gave."""
    layer, outline, shapes = examined.layer, examined.outline, examined.shapes
    notes = list(notes)
    faults = _shapes.faults(layer, examined.scan, shapes, rules)
    reference = _reference.NONE
    if outline is not None:
        reference = _reference.reference_of(outline, layer, rules)
        notes += _reference.remarks(reference, layer, rules)
    slips: list[Slip] = []
    uncovered_m2 = 0.0
    if examined.graph is not None:
        tiling = _tiling.tiling_of(examined.flat, outline, examined.graph, examined.apart, rules)
        faults = _shapes.with_ground_beside(faults, tiling.beside_m2)
        faults += _reference.excused(tiling.faults, reference, layer)
        slips, uncovered_m2 = tiling.slips, tiling.uncovered_m2
        if outline is None:
            faults += _tiling.detached(examined.flat, examined.graph)
    faults += _piles.faults(layer, examined.piles)
    notes += _piles.remarks(examined.piles)
    if outline is not None:
        crossing, tolerated, remarks = _parents.faults(
            examined.flat, examined.flat_scan, outline, shapes, rules
        )
        faults += crossing
        slips += tolerated
        notes += remarks
    told, remarks, absent = _attributes.faults(
        layer, shapes, rules, register=register, expect=expect
    )
    faults = _with_absent(_once(faults + told), absent, layer)
    names = layer.labels() if faults or slips else []
    verdict = _report.verdict_of(faults, rules)
    faults, at, unlisted = _report.listed(faults, names)
    slips += unlisted
    groups, explained = _groups.groups_of(faults, at, slips, layer, names, rules)
    crs = layer.frame.crs
    return CoverageReport(
        verdict=verdict,
        faults=_report.faults_frame(faults, at, names, rules, crs),
        counts=_report.counts_of(faults),
        coverage_percent=_covered(layer, outline, shapes.area_m2, uncovered_m2),
        on_map_percent=_on_map(layer, expect, register, absent),
        features=layer.rings.features,
        expected=_expected(expect, register),
        crs=None if layer.ground.crs is None else crs_.name(layer.ground.crs),
        profile=rules.label,
        profile_digest=rules.digest,
        notes=(*notes, *remarks, *explained, *_hidden_notes(slips)),
        hidden=_report.hidden_of(slips),
        groups=groups,
        reference=reference.frame(rules, crs),
    )


def _covered(
    layer: Layer, outline: Outline | None, area_m2: FloatArray, uncovered_m2: float
) -> str:
    whole_m2 = float(area_m2.sum()) + uncovered_m2 if outline is None else outline.area_m2
    return _report.truncated_percent(whole_m2 - uncovered_m2, whole_m2, full=uncovered_m2 == 0.0)


def _expected(expect: int | None, register: Any | None) -> int | None:
    if expect is not None or register is None:
        return expect
    return len(set(_attributes.register_codes(register)) - {""})


def _on_map(
    layer: Layer, expect: int | None, register: Any | None, absent: list[str]
) -> str | None:
    """The share of register rows, or of the expected number, that is on the map."""
    whole = _expected(None, register) if register is not None else expect
    if not whole:
        return None
    present = len(set(layer.codes) - {""}) if layer.coded else layer.rings.features
    on_map = whole - len(absent) if register is not None else min(present, whole)
    return _report.truncated_percent(on_map, whole, full=on_map == whole)


def _once(faults: list[Fault]) -> list[Fault]:
    """Tell a wrong parent once: by where the grid lies rather than by its row's own columns."""
    seen: set[tuple[int, ...]] = set()
    kept = []
    for fault in faults:
        if fault.kind == "code_parent_mismatch":
            if fault.rows in seen:
                continue
            seen.add(fault.rows)
        kept.append(fault)
    return kept


def _with_absent(faults: list[Fault], absent: list[str], layer: Layer) -> list[Fault]:
    """Name, at a missing grid, the codes of its neighbours' parent that are not on the map."""
    if not absent:
        return faults
    told = []
    for fault in faults:
        if fault.kind == "missing_grid":
            beside = {layer.codes[row][:-3] for row in fault.rows}
            near = [code for code in absent if code[:-3] in beside]
            fault = replace(fault, facts={**fault.facts, "absent": near})
        told.append(fault)
    return told


def _hidden_notes(slips: list[Slip]) -> list[Note]:
    """Say what is not listed: apart what the profile tolerates, and what is only too many."""
    tolerated = [slip for slip in slips if slip.tolerated]
    too_many = [slip for slip in slips if not slip.tolerated]
    return [
        _messages.hidden(code, kind, sums)
        for code, part in (("tolerated", tolerated), ("unlisted", too_many))
        for kind, sums in _report.hidden_of(part).items()
    ]
