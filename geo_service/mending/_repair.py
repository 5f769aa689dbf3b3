"""Repair, as its steps in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service import profiles
from geo_service.coverage import CoverageReport, _arrays, _check, _reference
from geo_service.coverage._arrays import FloatArray, Geometry, GeometryArray, IntArray
from geo_service.coverage._faults import remark
from geo_service.coverage._layer import Layer, Outline
from geo_service.mending import _single, _words
from geo_service.mending._carrying import Carried, carried_out
from geo_service.mending._plan import Move, Refusal, plan_of
from geo_service.mending._rules import Rules
from geo_service.mending._sheet import Sheet, sheet_of
from geo_service.mending._transfers import transfers_of
from geo_service.profiles import Profile

_ROUNDS = 8  # what one round brings about the next one mends; what is left then is for people

_CHANGES = (
    "code", "kind", "action_zh", "action_en", "area_before_m2", "area_after_m2", "gained_m2",
    "lost_m2", "moved_m", "geometry",
)  # fmt: skip
_FIGURES = ("area_before_m2", "area_after_m2", "gained_m2", "lost_m2", "moved_m")


@dataclass(frozen=True)
class Mended:
    """A mended layer, with everything that was done and left.

    Parameters
    ----------
    grids : GeoDataFrame
        As it was given, but for the geometries of the grids in `changes`, and without the rows that
        were drawn twice or merged as slivers.
    changes : GeoDataFrame
        One row for every grid and place: code, kind (the fault mended), action_zh, action_en,
        area_before_m2, area_after_m2 (of the grid in that round; 0: the row is gone), gained_m2,
        lost_m2 (at the place), moved_m (how far a border moved at most; where ground between two
        banks closed, its width), geometry (the place).
    left : GeoDataFrame
        The errors and warnings that remain, as in `CoverageReport.faults`, with reason_zh and
        reason_en: why they were left.
    report : CoverageReport
        Of the mended layer.
    rows : ndarray of int
        For each of `grids`, its row in the layer that was given.
    """

    grids: gpd.GeoDataFrame
    changes: gpd.GeoDataFrame
    left: gpd.GeoDataFrame
    report: CoverageReport
    rows: IntArray

    def __repr__(self) -> str:
        changed = self.changes["code"].nunique()
        return f"<Mended {len(self.grids)} grids: {changed} changed, {len(self.left)} faults left>"

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
    gap_to: str | None = None,
    overlap_to: str | None = None,
    published: Iterable[str] = (),
) -> Mended:
    """Mend what may be mended without moving a border far; only grids at a fault change.

    Parameters
    ----------
    grids : GeoDataFrame
        Polygons and multipolygons.
    within : GeoDataFrame, GeoSeries, geometry or None
        What they must fill. It is never changed; with ``None`` the rim is left as it is.
    profile : str, Path or Profile
        The rules to judge by; also the limits and the rules of mending, unless given here.
    max_gap_m : float, optional
        No border moves further than this (metres), and no ground wider than this changes hands.
    snap_m : float, optional
        As `max_gap_m`, where it is the larger of the two.
    gap_to : str, optional
        Who gets a gap: ``longest_border``, the grid with most of the gap's border, or
        ``same_community``, first the community with most of it (where `within` is a layer of
        parents: the one the gap lies in), then its grid with most.
    overlap_to : str, optional
        Who keeps an overlap: ``smaller_code``, or ``drawn_back``, the grid that goes on beyond most
        of its border, so that what was pushed over a neighbour is drawn back.
    published : iterable of str, optional
        Codes of grids that must not change: they keep every overlap and get no gap.

    Returns
    -------
    Mended
        Everything that is not in its ``changes`` is byte-identical.

    Raises
    ------
    InputError
        As `geo_service.coverage.check`; ``parameter_invalid`` for a limit or rule that is none;
        ``grids_piled`` where more than a dozen grids lie on one spot.

    Notes
    -----
    Rows drawn twice are dropped but for the published one or the smallest code; repeated points go;
    crossed rings are taken apart by the even-odd rule, which moves no line. Then, in rounds: gaps
    are given and overlaps taken by the rules, whatever lies beyond the outline is cut off, slivers
    and crumbs go to the grid with the longest border on them, spikes are cut off.

    A border moves by the Hausdorff distance between its old and its new line. Ground that one grid
    all but surrounds (an inlet, a spike, a hole) and whose mouth is within the limit closes where
    it is no wider than the limit, however long it is: its banks meet. A gap that reaches along
    several grids is divided among them by its triangles. Missing grids and whatever exceeds the
    limit are left and said.

    Grids are changed as chains of directed segments: what one gains the other loses segment by
    segment, so shared borders stay shared exactly and mending opens no new gap.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = [shapely.box(0, 0, 100, 100), shapely.box(100.5, 0, 200, 100)]
    >>> grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=boxes, crs=4547)
    >>> mended = repair(grids, within=shapely.box(0, 0, 200, 100))
    >>> mended.changes["action_en"].item(), mended.report.coverage_percent
    ('1 gains a gap (50 m², 0.5 m wide on average)', '100.0000')
    """
    rules = Rules.of(
        profile if isinstance(profile, Profile) else profiles.load(profile),
        max_gap_m=max_gap_m,
        snap_m=snap_m,
        gap_to=gap_to,
        overlap_to=overlap_to,
        published=published,
    )
    sheet, notes = sheet_of(grids, rules.profile)
    outline: Outline | None = None
    if within is None:
        notes.append(remark("outline_absent"))
    else:
        outline, remarks = _reference.outline_of(within, sheet.layer)
        notes += remarks
    first = np.asarray(sheet.layer.geometries)
    sheet, changes = _cleaned(sheet, rules)
    for _ in range(_ROUNDS):
        examined = sheet.examined(outline)
        plan = plan_of(examined, rules)
        found = list(transfers_of(examined, plan, rules))
        plan = replace(
            plan,
            moves=[*plan.moves, *(move for move in found if isinstance(move, Move))],
            refused=[*plan.refused, *(left for left in found if isinstance(left, Refusal))],
        )
        carried = carried_out(sheet.layer, plan, first[sheet.given], rules)
        if not carried.fresh and not carried.dropped:
            break
        changes += _told(sheet.layer, carried)
        sheet = sheet.changed(carried.fresh, set(carried.dropped))
    else:
        examined = sheet.examined(outline)
    report = _check.report_of(examined, rules.profile, notes=notes)
    left = _left(report, carried, rules)
    mended = _with_geometries(grids, sheet) if changes else grids.copy()
    return Mended(mended, _table(changes, grids.crs), left, report, sheet.given)


def _cleaned(sheet: Sheet, rules: Rules) -> tuple[Sheet, list[dict[str, Any]]]:
    """Drop copies; take crossed rings apart; drop repeated points."""
    layer = sheet.layer
    dropped = _single.copies(sheet, rules)
    changes = [_gone(layer, row, stays) for row, stays in dropped.items()]
    fresh: dict[int, Geometry] = {}
    for kind, shapes in (
        ("self_intersection", _single.uncrossed(sheet, rules)),
        ("repeated_point", _single.without_repeated_points(sheet, rules)),
    ):
        for row, shape in shapes.items():
            if row in dropped or row in fresh:
                continue
            fresh[row] = shape
            ((before_m2, after_m2),) = _areas(layer, [row], {row: shape})
            changes.append(
                _change(
                    layer, row, kind, _words.ALONE[kind], shape, before_m2=before_m2,
                    after_m2=after_m2, gained_m2=max(after_m2 - before_m2, 0.0),
                    lost_m2=max(before_m2 - after_m2, 0.0),
                )
            )  # fmt: skip
    return (sheet.changed(fresh, set(dropped)), changes) if changes else (sheet, changes)


def _told(layer: Layer, carried: Carried) -> Iterator[dict[str, Any]]:
    """One change for every grid that a move concerns, and for every row that is gone."""
    plan = carried.plan
    for row, stays in plan.twins.items():
        yield _gone(layer, row, stays)
    rows = sorted({row for move in plan.moves for row in move.rows} | set(carried.vertices))
    areas_m2 = dict(zip(rows, _areas(layer, rows, carried.fresh), strict=True))
    relative = _arrays.array_of(*(move.place for move in plan.moves))
    area_m2, width_m = layer.ground.measure(relative, origin=plan.origin)
    places = zip(
        plan.moves, _arrays.absolute(relative, plan.origin), area_m2.tolist(), width_m.tolist(),
        strict=True,
    )  # fmt: skip
    for move, place, size_m2, wide_m in places:
        other = move.keeps if move.gains is None else move.gains
        for row in move.rows:
            gained = move.gains == row
            before_m2, after_m2 = areas_m2[row]
            words = _words.moved(
                move.kind,
                gained=gained,
                other=None if other in {None, row} else layer.label(other or 0),
                area_m2=size_m2,
                width_m=wide_m,
                drawn_m=move.shift.drawn_m,
            )
            yield _change(
                layer, row, move.kind, words, place, before_m2=before_m2, after_m2=after_m2,
                gained_m2=size_m2 * gained, lost_m2=size_m2 * (not gained),
                moved_m=move.shift.moved_m,
            )  # fmt: skip
    for row, vertices in carried.vertices.items():
        before_m2, after_m2 = areas_m2[row]
        words = _words.joined(len(shapely.get_parts(vertices)))
        old = shapely.boundary(layer.geometries[row])
        off = float(shapely.distance(shapely.get_parts(vertices), old).max())
        yield _change(
            layer, row, "edge_mismatch", words, vertices, before_m2=before_m2, after_m2=after_m2,
            moved_m=off * layer.ground.north_m,
        )  # fmt: skip


def _gone(layer: Layer, row: int, stays: int) -> dict[str, Any]:
    """A row that was drawn twice is dropped."""
    ((before_m2, _),) = _areas(layer, [row], {})
    words = _words.dropped(layer.label(stays), same_code=layer.label(stays) == layer.label(row))
    shape = layer.geometries[row]
    return _change(layer, row, "duplicate_geometry", words, shape, before_m2=before_m2)


def _areas(
    layer: Layer, rows: Sequence[int], fresh: Mapping[int, Geometry]
) -> Iterator[tuple[float, float]]:
    """The areas of rows as they are, and as they are redrawn; 0 for a row that is gone."""
    old = layer.geometries[list(rows)]
    new = _arrays.array_of(*(fresh.get(row) for row in rows))
    before_m2, after_m2 = (layer.ground.measure(shapes)[0] for shapes in (old, new))
    yield from zip(before_m2.tolist(), np.nan_to_num(after_m2).tolist(), strict=True)


def _change(
    layer: Layer,
    row: int,
    kind: str,
    words: tuple[str, str],
    place: Geometry,
    *,
    before_m2: float,
    after_m2: float = 0.0,
    gained_m2: float = 0.0,
    lost_m2: float = 0.0,
    moved_m: float = 0.0,
) -> dict[str, Any]:
    code = layer.label(row)
    figures = (before_m2, after_m2, gained_m2, lost_m2, moved_m)
    values = (code, kind, f"{code} {words[0]}", f"{code} {words[1]}", *figures, place)
    return dict(zip(_CHANGES, values, strict=True))


def _with_geometries(grids: gpd.GeoDataFrame, sheet: Sheet) -> gpd.GeoDataFrame:
    """The frame with the sheet's geometries; those that did not change are the same objects."""
    kept = grids if len(sheet.given) == len(grids) else grids.iloc[sheet.given]
    column = gpd.GeoSeries(np.asarray(sheet.layer.geometries), index=kept.index, crs=grids.crs)
    return kept.assign(**{grids.geometry.name: column})


def _table(changes: list[dict[str, Any]], crs: Any) -> gpd.GeoDataFrame:
    ordered = sorted(changes, key=lambda c: (c["kind"], c["code"], c["geometry"].bounds))
    frame = gpd.GeoDataFrame(ordered, columns=list(_CHANGES), geometry="geometry", crs=crs)
    return frame.astype(dict.fromkeys(_FIGURES, float))


def _left(report: CoverageReport, carried: Carried, rules: Rules) -> gpd.GeoDataFrame:
    """The faults that remain, but for notes, with the reason."""
    faults = report.faults[report.faults["severity"] != "note"].reset_index(drop=True)
    plan = carried.plan
    places = [r.place for r in plan.refused] + [move.place for move in carried.undone]
    shift_m = np.array([r.shift_m for r in plan.refused] + [0.0] * len(carried.undone))
    needed = _needed(faults.geometry.to_numpy(), places, shift_m, plan.origin)
    reasons = [
        _words.reason(kind, needed_m, rules.limit_m)
        for kind, needed_m in zip(faults["kind"], needed.tolist(), strict=True)
    ]
    return faults.assign(reason_zh=[zh for zh, _ in reasons], reason_en=[en for _, en in reasons])


def _needed(
    faults: GeometryArray, places: list[Geometry], shift_m: FloatArray, origin: FloatArray
) -> FloatArray:
    """For each fault, how far mending it would have moved a border; 0 where that was not asked."""
    needed = np.zeros(len(faults))
    if len(places) == 0 or len(faults) == 0:
        return needed
    tree = shapely.STRtree(_arrays.absolute(_arrays.array_of(*places), origin))
    valid = faults.copy()
    valid[~shapely.is_valid(faults)] = None
    fault, place = tree.query(valid, predicate="intersects")
    np.fmax.at(needed, fault, np.nan_to_num(shift_m[place], nan=np.inf, posinf=np.inf))
    return needed


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in row.items()
    }
