"""Repair, as its steps in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service import coverage, profiles
from geo_service.coverage import CoverageReport, _arrays, _layer
from geo_service.coverage._arrays import FloatArray, Geometry, GeometryArray
from geo_service.coverage._layer import Layer
from geo_service.mending import _chains, _words
from geo_service.mending._plan import Limits, Move, Plan, Sheet, plan_of, sheet_of, without
from geo_service.profiles import Profile

_ROUNDS = 3  # what the first round brings about, the second mends; more is for people

_MENDED = ("gap", "rim_gap", "overlap", "overrun")

_CHANGES = (
    "code", "kind", "action_zh", "action_en", "area_before_m2", "area_after_m2", "moved_m",
    "geometry",
)  # fmt: skip


@dataclass(frozen=True)
class Mended:
    """A mended layer, with everything that was done and left.

    Parameters
    ----------
    grids : GeoDataFrame
        As it was given, but for the geometries of the grids in `changes` (and rows that stood
        there twice, geometry and code, which are gone).
    changes : GeoDataFrame
        One row for every grid and place: code, kind (the fault mended), action_zh, action_en,
        area_before_m2, area_after_m2 (of the grid), moved_m (how far its border moved at most),
        geometry (the place).
    left : GeoDataFrame
        The errors and warnings that remain, as in `CoverageReport.faults`, with reason_zh and
        reason_en: why they were left.
    report : CoverageReport
        Of the mended layer.
    """

    grids: gpd.GeoDataFrame
    changes: gpd.GeoDataFrame
    left: gpd.GeoDataFrame
    report: CoverageReport

    def to_dict(self) -> dict[str, Any]:
        """Give what was done and left as plain data."""
        changes = self.changes.drop(columns="geometry").to_dict("records")
        left = self.left.drop(columns=["geometry", "x", "y"]).to_dict("records")
        return {
            "changed": int(self.changes["code"].nunique()),
            "changes": [_without_nan(row) for row in changes],
            "left": [_without_nan(row) for row in left],
            "report": self.report.to_dict(),
        }


def repair(
    grids: gpd.GeoDataFrame,
    *,
    within: Any | None = None,
    profile: str | Path | Profile = "default",
    max_gap_m: float | None = None,
    snap_m: float | None = None,
) -> Mended:
    """Mend gaps, overlaps, overruns and crossed rings; only grids at a fault change.

    Parameters
    ----------
    grids : GeoDataFrame
        Polygons and multipolygons.
    within : GeoDataFrame, GeoSeries, geometry or None
        What they must fill. It is never changed; with ``None`` the rim is left as it is.
    profile : str, Path or Profile
        The rules to judge by; also the limits, unless given here.
    max_gap_m : float, optional
        Gaps, overlaps and overruns wider than this (2 x area / perimeter, metres) are left.
    snap_m : float, optional
        Those up to this width are mended in any case, even where `max_gap_m` is smaller.

    Returns
    -------
    Mended
        Everything that is not in its ``changes`` is byte-identical.

    Raises
    ------
    InputError
        As `geo_service.coverage.check`.

    Notes
    -----
    A gap goes to the grid with the longest border on it; an overlap stays with the grid that goes
    on beyond the longest part of its border; the smallest code decides among equals. What lies
    beyond the outline is cut off. A crossed ring is taken apart by the even-odd rule, which keeps
    its area. Missing grids, grids drawn twice under two codes, and whatever exceeds the limits are
    left and said. Where a ring crossed itself its surroundings are mended whatever their width.

    Grids are changed as chains of directed segments: what one gains the other loses segment by
    segment, so mending opens no new gap. It is done in up to three rounds.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = [shapely.box(0, 0, 100, 100), shapely.box(100.5, 0, 200, 100)]
    >>> grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=boxes, crs=4547)
    >>> mended = repair(grids, within=shapely.box(0, 0, 200, 100))
    >>> mended.changes["action_en"].item(), mended.report.coverage_percent
    ('1 gains a gap (50 m², 0.5 m wide on average)', '100.0000')
    """
    rules = profile if isinstance(profile, Profile) else profiles.load(profile)
    limit_m = max(
        rules.max_gap_m if max_gap_m is None else max_gap_m,
        rules.snap_m if snap_m is None else snap_m,
    )
    sheet = sheet_of(grids)
    frame, changes = _untwinned(grids, sheet)
    sheet = sheet_of(frame) if changes else sheet
    limits = Limits(limit_m, sheet.shapes.crossings)
    outline = None if within is None else _layer.outline_of(within, sheet.layer)[0]
    if len(sheet.shapes.invalid):
        frame, uncrossed = _uncrossed(frame, sheet)
        changes += uncrossed
        sheet = sheet_of(frame)
    for _ in range(_ROUNDS):
        plan = plan_of(sheet, outline, rules, limits)
        moved: list[dict[str, Any]] = []
        if plan is not None and plan.moves:
            frame, moved = _carried_out(frame, sheet.layer, plan)
            changes += moved
        report = coverage.check(frame, within=within, profile=rules)
        if not moved or not _mendable(report, limit_m):
            break
        sheet = sheet_of(frame)
    return Mended(frame, _table(changes, grids.crs), _left(report, limit_m), report)


def _mendable(report: CoverageReport, limit_m: float) -> bool:
    """Whether anything is left that another round might mend."""
    faults = report.faults
    within = faults["kind"].isin(_MENDED) & (faults["width_m"] <= limit_m)
    return bool(within.any() or report.hidden)


def _untwinned(
    grids: gpd.GeoDataFrame, sheet: Sheet
) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """Drop rows whose geometry and code both stand there already, byte for byte."""
    layer = sheet.layer
    changes = []
    seen: set[tuple[str, bytes]] = set()
    kept = np.ones(len(grids), np.bool_)
    for row in sorted(row for rows in sheet.shapes.copies for row in rows):
        key = (layer.codes[row], shapely.to_wkb(layer.geometries[row]))
        if key in seen and layer.codes[row]:
            kept[row] = False
            words = _words.dropped(layer.label(row))
            area_m2 = float(sheet.shapes.area_m2[row])
            shape = layer.geometries[row]
            changes.append(
                _change(layer, row, "duplicate_geometry", words, area_m2, 0.0, 0.0, shape)
            )
        seen.add(key)
    return (grids[kept], changes) if changes else (grids, [])


def _uncrossed(
    grids: gpd.GeoDataFrame, sheet: Sheet
) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """Take crossed rings apart by the even-odd rule."""
    layer = sheet.layer
    fresh: dict[int, Geometry] = {}
    changes = []
    for row in sheet.shapes.invalid.tolist():
        shape = _arrays.areas(shapely.make_valid(layer.geometries[row]))
        if shape.is_empty:
            continue
        fresh[row] = shape
        (before, after), _ = layer.ground.measure(_arrays.array_of(layer.geometries[row], shape))
        words = _words.uncrossed(layer.label(row))
        changes.append(
            _change(layer, row, "self_intersection", words, float(before), float(after), 0.0, shape)
        )
    return _with_geometries(grids, fresh), changes


def _carried_out(
    frame: gpd.GeoDataFrame, layer: Layer, plan: Plan
) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """Carry out a plan; a move that would leave a grid broken or empty is not made."""
    broken = _chains.paths(plan.faces, plan.lines)
    while True:
        fresh: dict[int, Geometry] = {}
        failed: set[int] = set()
        for row, numbers in _chains.touched([move.rows for move in plan.moves]).items():
            shape = _redrawn(row, [plan.moves[k] for k in numbers], layer, plan, broken)
            if shape is None:
                failed.update(numbers)
            else:
                fresh[row] = shape
        if not failed:
            break
        plan = without(plan, failed)
    changes = [change for move in plan.moves for change in _told(move, layer, plan, fresh)]
    places = [move.place for move in plan.moves]
    for row, its in sorted(_chains.beside(places, plan.lines, broken).items()):
        if row not in fresh:
            fresh[row] = _chains.with_vertices(layer.geometries[row], plan.faces.origin, its)
            changes.append(_joined(layer, row, fresh[row], its, plan))
    return _with_geometries(frame, fresh), changes


def _redrawn(
    row: int,
    moves: list[Move],
    layer: Layer,
    plan: Plan,
    broken: _chains.Broken,
) -> Geometry | None:
    """Give a grid after its moves, or ``None`` where they can't be made."""
    old = layer.geometries[row]
    try:
        chain = _chains.chain_of(old, plan.faces.origin, broken)
        for move in moves:
            change = _chains.give if move.gains == row else _chains.take
            change(chain, move.place)
        shape = _chains.enclosed(chain, plan.faces.origin)
    except _chains.BrokenChainError:
        return None
    if shape is None:
        return None
    clockwise = not bool(np.all(shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(old)))))
    return shapely.orient_polygons(shape, exterior_cw=clockwise)


def _told(
    move: Move, layer: Layer, plan: Plan, fresh: dict[int, Geometry]
) -> Iterator[dict[str, Any]]:
    """One change for every grid that a move concerns."""
    place = _arrays.absolute(_arrays.array_of(move.place), plan.faces.origin)[0]
    size = layer.ground.measure(_arrays.array_of(move.place), origin=plan.faces.origin)
    for row in move.rows:
        before, after = layer.ground.measure(_arrays.array_of(layer.geometries[row], fresh[row]))[0]
        keeper = None if move.keeps is None else layer.label(move.keeps)
        words = _words.moved(
            layer.label(row), move.kind, gained=move.gains == row, keeper=keeper,
            area_m2=float(size[0][0]), width_m=float(size[1][0]),
        )  # fmt: skip
        far_m = _reach_m(place, layer.geometries[row], fresh[row], layer)
        yield _change(layer, row, move.kind, words, float(before), float(after), far_m, place)


def _joined(
    layer: Layer, row: int, shape: Geometry, broken: _chains.Broken, plan: Plan
) -> dict[str, Any]:
    """The change of a grid that got its mended neighbours' vertices on its own border."""
    fresh = sorted({place for walk in broken.values() for place in walk[1:-1]})
    places = _arrays.multipoint(np.array(fresh) + plan.faces.origin)
    (before, after), _ = layer.ground.measure(_arrays.array_of(layer.geometries[row], shape))
    words = _words.joined(layer.label(row), len(fresh))
    old = shapely.boundary(layer.geometries[row])
    far_m = float(shapely.distance(shapely.get_parts(places), old).max()) * layer.ground.north_m
    return _change(layer, row, "edge_mismatch", words, float(before), float(after), far_m, places)


def _reach_m(place: Geometry, old: Geometry, new: Geometry, layer: Layer) -> float:
    """How far the border moves at most: from the corners of the place to the other border."""
    corners = _arrays.points_at(shapely.get_coordinates(place))
    from_old, from_new = (
        float(shapely.distance(corners, shapely.boundary(shape)).max()) for shape in (old, new)
    )
    x0, y0, x1, y1 = place.bounds  # a filled hole is far from any border but its own
    return min(max(from_old, from_new), float(np.hypot(x1 - x0, y1 - y0))) * layer.ground.north_m


def _change(
    layer: Layer,
    row: int,
    kind: str,
    words: tuple[str, str],
    before_m2: float,
    after_m2: float,
    moved_m: float,
    place: Geometry,
) -> dict[str, Any]:
    values = (layer.label(row), kind, *words, before_m2, after_m2, moved_m, place)
    return dict(zip(_CHANGES, values, strict=True))


def _with_geometries(frame: gpd.GeoDataFrame, fresh: dict[int, Geometry]) -> gpd.GeoDataFrame:
    """Give a frame with some rows' geometries replaced; the others are the same objects."""
    geometries: GeometryArray = np.array(frame.geometry.array, dtype=object)
    for row, shape in fresh.items():
        geometries[row] = shape
    column = gpd.GeoSeries(geometries, index=frame.index, crs=frame.crs)
    out = frame.copy()
    out[frame.geometry.name] = column
    return out


def _table(changes: list[dict[str, Any]], crs: Any) -> gpd.GeoDataFrame:
    ordered = sorted(changes, key=lambda c: (c["kind"], c["code"], c["geometry"].bounds))
    frame = gpd.GeoDataFrame(ordered, columns=list(_CHANGES), geometry="geometry", crs=crs)
    return frame.astype(dict.fromkeys(("area_before_m2", "area_after_m2", "moved_m"), float))


def _left(report: CoverageReport, limit_m: float) -> gpd.GeoDataFrame:
    """The faults that remain, but for notes, with the reason."""
    faults = report.faults[report.faults["severity"] != "note"].reset_index(drop=True)
    widths: FloatArray = faults["width_m"].to_numpy(float)
    reasons = [
        _words.reason(kind, width, limit_m)
        for kind, width in zip(faults["kind"], widths, strict=True)
    ]
    return faults.assign(reason_zh=[zh for zh, _ in reasons], reason_en=[en for _, en in reasons])


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in row.items()
    }
