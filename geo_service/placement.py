"""Tell whether a layer lies where it should, or carries GCJ-02, BD-09 or a constant move.

The rim of the layer is sampled and its distance to the lines of a reference is measured, as it
stands and under each shift that planners' files carry. A shift is only ever told, never made.

Why distances of lines and not shared area: a shift of 580 m changes the shared area of a county by
5 %, as much as a careless border does; but it moves every rim point off its line by some 400 m,
where a careless border stays within tens of metres. So the one who asks gets two figures he can
judge, the median distance before and after.

Limits, and where they come from:

- `SHARPER` (4): the distance must fall to a quarter. A border drawn by hand with ribbons of 50 m
  falls to no less than 20 m under the wrong shift, since the shifts differ by hundreds of metres.
- `LEAST_GAIN_M` (20): what a shift must mend at least; the published shifts in China are 100 m to
  900 m (GCJ-02) and about 1,000 m more to less (BD-09), the old datums 30 m to 130 m.
- A layer may share only a part of its rim with the reference (a township's grids within the
  county's line), so quantiles of a half, a quarter and a tenth are tried, the smaller ones with a
  tighter `AFTER_M`: a tenth of a rim comes near another line by chance, but not within 10 m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import crs, georeference
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

FloatArray = npt.NDArray[np.float64]
Verdict = Literal["fits", "datum", "moved", "elsewhere", "untold"]

SHARPER = 4.0
LEAST_GAIN_M = 20.0
AFTER_M = {0.5: 60.0, 0.25: 30.0, 0.1: 10.0}
"""Part of the rim -> how near it must come."""

REFUSED_FROM_M = 1000.0
"""A layer that fits after a move of this length is in the wrong place, whatever moved it."""

SAME_SIZE = 0.03  # boxes of one shape differ by less: a border drawn anew moves them by metres
SAME_SHAPE = 0.002  # of the diagonal: how near three quarters of the rim must come
_SAMPLES = 800
_PROBE_M = 20.0  # a rim has ground on one side only, this far from the line
_REACH_M = 4000.0  # beyond the largest shift, BD-09's 1.3 km, by a good measure
_MOST_SEGMENTS = 300_000  # of a reference whose shapes are looked for elsewhere
_ROUNDS = 12
_NINE = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
_STRIDE = 1 << 20
_ODD = np.int64(-7046029254386353131)

_SHIFTS: dict[str, tuple[str, str]] = {
    "gcj02": ("layer", "gcj02"),
    "bd09": ("layer", "bd09"),
    "reference_gcj02": ("reference", "gcj02"),
    "reference_bd09": ("reference", "bd09"),
}
"""Hypotheses: who carries which shift. The circulating DataV outlines are in GCJ-02 themselves."""

_DATUM_NAMES = {"gcj02": "GCJ-02", "bd09": "BD-09"}


@dataclass(frozen=True)
class Placement:
    """Where a layer lies beside a reference.

    Parameters
    ----------
    verdict : {"fits", "datum", "moved", "elsewhere", "untold"}
        ``datum``: it fits sharply better without a GCJ-02 or BD-09 shift; ``moved``: after a
        constant move; ``elsewhere``: it shares no ground with the reference; ``untold``: too little
        of its rim runs along the reference's lines to tell.
    shift : str or None
        ``gcj02`` or ``bd09`` carried by the layer, ``reference_gcj02`` or ``reference_bd09``
        carried by the reference; ``None`` otherwise.
    before_m, after_m : float
        Distance of the rim from the reference's lines as it stands, and after the shift or move:
        the `part` quantile, metres on the ground.
    part : float
        The share of the rim that was compared: 0.5 is the median.
    move_m, bearing : float
        How far, and in which direction (degrees from north, clockwise), the layer lies from where
        it fits; for ``elsewhere`` from the middle of the reference. NaN where nothing moves.
    """

    verdict: Verdict
    shift: str | None = None
    before_m: float = math.nan
    after_m: float = math.nan
    part: float = 0.5
    move_m: float = math.nan
    bearing: float = math.nan

    @property
    def refused(self) -> bool:
        """Whether the layer is in the wrong place as a whole."""
        return self.verdict == "elsewhere" or (
            self.verdict == "moved" and self.move_m >= REFUSED_FROM_M
        )

    def note(self) -> Note | None:
        """What to tell the sender, or ``None`` where nothing is wrong."""
        if self.verdict == "datum":
            return self._datum_note()
        return self._moved_note() if self.verdict == "moved" else None

    def _datum_note(self) -> Note:
        assert self.shift is not None
        who, datum = _SHIFTS[self.shift]
        name = _DATUM_NAMES[datum]
        zh_part, part = _part(self.part)
        before, after = _m(self.before_m), _m(self.after_m)
        zh_fit = f"与参照界线的距离（{zh_part}）由 {before} 降到 {after}"
        fit = f"its distance from the reference's lines ({part}) falls from {before} to {after}"
        if who == "layer":
            return Note(
                "datum_suspected",
                f"疑似 {name} 坐标（偏移约 {self.move_m:.0f} 米）：还原后{zh_fit}。未作改动；"
                f"若确实如此，请加 --datum {datum}。",
                f"Probably in {name} (about {self.move_m:.0f} m off): with that shift undone "
                f"{fit}. Nothing was moved; if so, say --datum {datum}.",
            )
        return Note(
            "reference_datum_suspected",
            f"参照范围疑似 {name} 坐标（偏移约 {self.move_m:.0f} 米）：若图层也作同样偏移，"
            f"{zh_fit}。未作改动；请换用未偏移的参照范围。",
            f"The reference is probably in {name} (about {self.move_m:.0f} m off): with the layer "
            f"shifted alike {fit}. Nothing was moved; use a reference that is not shifted.",
        )

    def _moved_note(self) -> Note:
        zh_way, way = georeference.compass(self.bearing)
        hint_zh, hint = "", ""
        if self.move_m < 300.0:
            hint_zh = "西安80、北京54 坐标当作 CGCS2000 使用时常见这样的偏移。"
            hint = " Xi'an 1980 or Beijing 1954 coordinates taken for CGCS2000 look like this."
        return Note(
            "place_suspected",
            f"图形整体偏{zh_way} {_m(self.move_m)}：移回后与参照界线的距离由 {_m(self.before_m)} "
            f"降到 {_m(self.after_m)}。未作改动，请核对坐标系。{hint_zh}",
            f"The whole layer lies {_m(self.move_m)} to the {way}: moved back, its distance from "
            f"the reference's lines falls from {_m(self.before_m)} to {_m(self.after_m)}. Nothing "
            f"was moved; check its coordinate system.{hint}",
        )


def compare(layer: gpd.GeoDataFrame, reference: gpd.GeoDataFrame) -> Placement:
    """Tell whether a layer lies where a reference says it should.

    Parameters
    ----------
    layer : geopandas.GeoDataFrame
        Polygons, in any coordinate system that is known.
    reference : geopandas.GeoDataFrame
        The outline it fills, the parents it lies in, or its own published state; polygons or lines.

    Returns
    -------
    Placement
        The same whatever the order of features.

    Examples
    --------
    >>> county = gpd.GeoDataFrame(geometry=[shapely.box(113.8, 34.0, 113.9, 34.1)], crs=4490)
    >>> xy = shapely.get_coordinates(county.geometry)
    >>> drawn_on_amap = np.column_stack(crs.from_wgs84(*xy.T, datum="gcj02"))
    >>> grids = gpd.GeoDataFrame(geometry=[shapely.Polygon(drawn_on_amap)], crs=4490)
    >>> compare(grids, county).shift, compare(county, county).verdict
    ('gcj02', 'fits')
    """
    shapes = _shapes(layer)
    lonlat = _lonlat(rim_points(shapes, degrees=crs.is_lonlat(layer.crs)), layer.crs)
    if len(lonlat) == 0:
        return Placement("untold")
    ground = _Ground.of(reference)
    samples = ground.metres(lonlat)
    a, b, boxes = _segments(ground, reference)
    if not _shares_ground(layer, reference):
        return _moved(a, b, boxes, samples, None) or _elsewhere(samples)
    lines = _Lines.near(a, b, samples)
    stands = lines.nearest(samples)[0]
    if float(np.median(stands)) < LEAST_GAIN_M:
        return _as_it_stands(stands)
    found = _datum(lines, ground, lonlat, stands)
    return found or _moved(a, b, boxes, samples, stands) or _as_it_stands(stands)


def require_place(
    layer: gpd.GeoDataFrame, reference: gpd.GeoDataFrame, *, source: str
) -> tuple[Note, ...]:
    """Refuse a layer that lies in the wrong place; tell a shift that it seems to carry.

    Parameters
    ----------
    layer, reference : geopandas.GeoDataFrame
        As in `compare`; without a known system nothing is compared.
    source : str
        The layer's file, for refusals.

    Returns
    -------
    tuple of Note
        ``datum_suspected``, ``reference_datum_suspected`` or ``place_suspected``; empty where
        nothing is wrong.

    Raises
    ------
    InputError
        ``zone_wrong`` where another zone would put it into the reference, ``place_wrong`` where the
        shape is right and a move of a kilometre or more makes it fit, ``place_elsewhere`` where it
        shares no ground with the reference.
    """
    if layer.crs is None or reference.crs is None or len(layer) == 0 or len(reference) == 0:
        return ()
    found = compare(layer, reference)
    if not found.refused:
        note = found.note()
        return (note,) if note else ()
    way = Phrase(*georeference.compass(found.bearing))
    facts = {"file": source, "distance": _m(found.move_m), "way": way}
    other = _other_zone(layer, reference)
    if other is not None:
        raise InputError("zone_wrong", **facts, **other, crs=crs.name(layer.crs))
    if found.verdict == "moved":
        raise InputError("place_wrong", **facts, after=_m(found.after_m))
    raise InputError("place_elsewhere", **facts)


def _other_zone(layer: gpd.GeoDataFrame, reference: gpd.GeoDataFrame) -> dict[str, object] | None:
    """The system that puts the layer's numbers into the reference's box, and where it lies now."""
    x0, y0, x1, y1 = map(float, layer.total_bounds)
    r0, s0, r1, s1 = map(float, reference.total_bounds)
    near = georeference.lonlat_box((r0, s0, r1, s1), reference.crs)
    here = georeference.lonlat_box((x0, y0, x1, y1), layer.crs)
    if near is None or here is None or crs.is_lonlat(layer.crs):
        return None
    found = georeference.candidates((x0, y0, x1, y1), near=near)
    fitting = next((c for c in found if not c.swapped and not crs.same(c.crs, layer.crs)), None)
    if fitting is None:
        return None
    lon, lat = (here[0] + here[2]) / 2, (here[1] + here[3]) / 2
    there = Phrase(*georeference.whereabouts(lon, lat))
    return {"proposal": fitting.crs, "there": there}


def rim_points(
    shapes: npt.NDArray[np.object_], *, degrees: bool, count: int = _SAMPLES
) -> FloatArray:
    """Sample the rim of a layer of polygons without uniting them.

    Segments that no other ring runs along are candidates; a point on one is on the rim where there
    is ground of the layer on one side of it only, `_PROBE_M` away, so that slivers between two
    neighbours are no rim.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
    degrees : bool
        Whether coordinates are degrees.
    count : int
        How many points are tried; about half of them remain where every border is doubled.

    Returns
    -------
    ndarray of shape (n, 2)
        In the layer's own coordinates, evenly spread over the rim's length.
    """
    a, b = _lone_segments(shapes)
    if len(a) == 0:
        return np.empty((0, 2))
    length = np.hypot(*(b - a).T)
    order = np.lexsort((length, *((a + b).T)))
    a, b, length = a[order], b[order], length[order]
    along = np.cumsum(length)
    wanted = (np.arange(2 * count) + 0.5) / (2 * count) * along[-1]
    at = np.minimum(np.searchsorted(along, wanted), len(a) - 1)
    share = np.clip(1.0 - (along[at] - wanted) / length[at], 0.0, 1.0)[:, None]
    points = a[at] + share * (b[at] - a[at])
    normal = np.column_stack([a[at, 1] - b[at, 1], b[at, 0] - a[at, 0]]) / length[at, None]
    step = _PROBE_M / 1e5 if degrees else _PROBE_M
    tree = shapely.STRtree(shapes)
    left, right = (_covered(tree, points + side * step * normal) for side in (1.0, -1.0))
    return points[left != right]


def _covered(tree: shapely.STRtree, xy: FloatArray) -> npt.NDArray[np.bool_]:
    covered = np.zeros(len(xy), bool)
    covered[tree.query(shapely.points(xy), predicate="intersects")[0]] = True
    return covered


def _lone_segments(shapes: npt.NDArray[np.object_]) -> tuple[FloatArray, FloatArray]:
    """Segments whose middle no other segment has: all that is not drawn twice."""
    xy, ring = shapely.get_coordinates(_rings(shapes), return_index=True)
    starts = np.flatnonzero((ring[:-1] == ring[1:]) & (xy[:-1] != xy[1:]).any(axis=1))
    a, b = xy[starts], xy[starts + 1]
    lone = ~pd.Series(_key(a + b)).duplicated(keep=False).to_numpy()
    return a[lone], b[lone]


def _key(sums: FloatArray) -> npt.NDArray[np.int64]:
    """One integer for two floats; a clash, one in 10^19 pairs, would only cost a sample."""
    whole = np.ascontiguousarray(sums + 0.0).view(np.int64)
    mixed: npt.NDArray[np.int64] = whole[:, 0] * _ODD + whole[:, 1]
    return mixed


def _rings(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """The rings of polygons; lines as they are."""
    parts = shapely.get_parts(shapes)
    lines = parts[shapely.get_type_id(parts) == 1]
    rings: npt.NDArray[np.object_] = np.concatenate([shapely.get_rings(parts), lines])
    return rings


def _shapes(frame: gpd.GeoDataFrame) -> npt.NDArray[np.object_]:
    geometries = frame.geometry.to_numpy()
    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    drawn: npt.NDArray[np.object_] = shapely.force_2d(geometries[there])
    return drawn


def _lonlat(xy: FloatArray, system: Any) -> FloatArray:
    return np.column_stack(crs.Plane.of(system).inverse(xy[:, 0], xy[:, 1]))


@dataclass(frozen=True)
class _Ground:
    """Metres around a place: east and north of it, good to a percent over a city."""

    lon: float
    lat: float
    east_m: float
    north_m: float

    @classmethod
    def of(cls, reference: gpd.GeoDataFrame) -> _Ground:
        x0, y0, x1, y1 = reference.total_bounds
        lon, lat = crs.Plane.of(reference.crs).inverse([(x0 + x1) / 2], [(y0 + y1) / 2])
        phi = math.radians(float(lat[0]))
        return cls(float(lon[0]), float(lat[0]), 111_320.0 * math.cos(phi), 111_000.0)

    def metres(self, lonlat: FloatArray) -> FloatArray:
        return (lonlat - (self.lon, self.lat)) * (self.east_m, self.north_m)


@dataclass(frozen=True)
class _Lines:
    """Some of the reference's lines, in metres, as a tree of their segments."""

    tree: shapely.STRtree

    @classmethod
    def of(cls, a: FloatArray, b: FloatArray) -> _Lines:
        segments: Any = shapely.linestrings(np.stack([a, b], axis=1))
        return cls(shapely.STRtree(segments))

    @classmethod
    def near(cls, a: FloatArray, b: FloatArray, samples: FloatArray) -> _Lines:
        """Only the segments within reach of some sample: a rim is a line, a city is an area."""
        cells = np.floor(samples / _REACH_M).astype(np.int64)
        around = cells[:, None, :] + _NINE
        wanted = np.unique(around[..., 0] * _STRIDE + around[..., 1])
        middle = np.floor((a + b) / 2 / _REACH_M).astype(np.int64)
        near = np.isin(middle[:, 0] * _STRIDE + middle[:, 1], wanted)
        near |= np.hypot(*(b - a).T) > _REACH_M / 2  # its middle may lie far from where it passes
        return cls.of(a[near], b[near])

    def nearest(self, metres: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distance of each point, at most `_REACH_M`, and the vector to the place on the line."""
        points: Any = shapely.points(metres)
        at, line = self.tree.query_nearest(points, max_distance=_REACH_M, all_matches=False)
        distance, vector = np.full(len(metres), _REACH_M), np.zeros_like(metres)
        joins = shapely.shortest_line(points[at], self.tree.geometries[line])
        ends = shapely.get_coordinates(joins)
        vector[at] = ends[1::2] - ends[::2]
        distance[at] = np.hypot(*vector[at].T)
        return distance, vector


def _segments(
    ground: _Ground, reference: gpd.GeoDataFrame
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The reference's segments, each once, and its features' boxes, in metres."""
    shapes = _shapes(reference)
    bounds = _lonlat(shapely.bounds(shapes).reshape(-1, 2), reference.crs)
    boxes = ground.metres(bounds).reshape(-1, 4)
    xy, ring = shapely.get_coordinates(_rings(shapes), return_index=True)
    starts = np.flatnonzero(ring[:-1] == ring[1:])
    metres = ground.metres(_lonlat(xy, reference.crs))
    a, b = metres[starts], metres[starts + 1]
    once = ~pd.Series(_key(xy[starts] + xy[starts + 1])).duplicated().to_numpy()
    return a[once], b[once], boxes


def _shares_ground(layer: gpd.GeoDataFrame, reference: gpd.GeoDataFrame) -> bool:
    shapes = _shapes(layer)
    step = -(-len(shapes) // _SAMPLES)
    inner = shapely.get_coordinates(shapely.point_on_surface(shapely.make_valid(shapes[::step])))
    lonlat = _lonlat(inner, layer.crs)
    place = np.column_stack(
        crs.Plane.of(reference.crs).forward(lonlat[:, 0], lonlat[:, 1], datum="wgs84")
    )
    areas = _shapes(reference)
    if not (shapely.get_dimensions(areas) == 2).any():
        return True
    return bool(_covered(shapely.STRtree(areas), place).any())


def _datum(
    lines: _Lines, ground: _Ground, lonlat: FloatArray, stands: FloatArray
) -> Placement | None:
    """The shift that makes the rim fit sharply better than every other one, if there is one."""
    shifted = {
        name: np.column_stack(
            (crs.to_wgs84 if who == "layer" else crs.from_wgs84)(*lonlat.T, datum=datum)
        )
        for name, (who, datum) in _SHIFTS.items()
    }
    after = {name: lines.nearest(ground.metres(moved))[0] for name, moved in shifted.items()}
    for part, near_m in AFTER_M.items():
        level = {name: float(np.quantile(found, part)) for name, found in after.items()}
        best, second = sorted(level, key=lambda name: level[name])[:2]
        before_m = float(np.quantile(stands, part))
        sharp = level[best] * SHARPER <= min(before_m, level[second] * 2.0)
        if sharp and level[best] <= near_m and before_m - level[best] >= LEAST_GAIN_M:
            # Where a part of the rim already lies on the line, the rest is somebody else's border.
            if float(np.quantile(stands, 0.1)) <= level[best] * 1.5 + 1.0 and part > 0.1:
                return None
            vector = np.median(ground.metres(shifted[best]) - ground.metres(lonlat), axis=0)
            move_m, bearing = _polar(-vector)
            return Placement("datum", best, before_m, level[best], part, move_m, bearing)
    return None


def _moved(
    a: FloatArray,
    b: FloatArray,
    boxes: FloatArray,
    samples: FloatArray,
    stands: FloatArray | None,
) -> Placement | None:
    """The constant move that makes the whole rim fit, if there is one.

    `stands` are the distances as it stands; ``None`` where it shares no ground at all.
    """
    few = samples[:: max(len(samples) // 300, 1)]
    before_m = math.inf if stands is None else float(np.quantile(stands, 0.75))
    limit_m = max(5.0, SAME_SHAPE * float(np.hypot(*np.ptp(samples, axis=0))))
    for start in _starts(samples, boxes, near=stands is not None):
        if np.hypot(*start) > _REACH_M and len(a) > _MOST_SEGMENTS:
            continue
        lines = _Lines.near(a, b, samples + start)
        move = _settled(lines, few, start)
        move_m, bearing = _polar(-move)
        after = lines.nearest(samples + move)[0]
        after_m = float(np.quantile(after, 0.75))
        if move_m < LEAST_GAIN_M or after_m > limit_m or after_m * SHARPER > before_m:
            continue
        median_m = move_m if stands is None else float(np.median(stands))
        return Placement("moved", None, median_m, float(np.median(after)), 0.5, move_m, bearing)
    return None


def _starts(samples: FloatArray, boxes: FloatArray, *, near: bool) -> Iterator[FloatArray]:
    """Moves to try: none, and those that bring the layer's box onto one of the same size."""
    if near:
        yield np.zeros(2)
    low, high = samples.min(axis=0), samples.max(axis=0)
    whole = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    every = np.concatenate([whole[None, :], boxes]) if len(boxes) > 1 else boxes
    size = every[:, 2:] - every[:, :2]
    same = (np.abs(size - (high - low)) <= SAME_SIZE * (high - low) + 1.0).all(axis=1)
    for box in every[same][:8]:
        yield (box[:2] + box[2:] - low - high) / 2


def _settled(lines: _Lines, samples: FloatArray, move: FloatArray) -> FloatArray:
    """Improve a move by the mean way of the nearer four fifths of points to their line."""
    for _ in range(_ROUNDS):
        distance, vector = lines.nearest(samples + move)
        nearer = distance <= np.quantile(distance, 0.8)
        step = (
            vector[nearer].mean(axis=0) * 1.5
        )  # a point slides along its line: half the way is lost
        move = move + step
        if np.hypot(*step) < 0.05:
            break
    return move


def _as_it_stands(stands: FloatArray) -> Placement:
    for part, near_m in AFTER_M.items():
        level = float(np.quantile(stands, part))
        if level <= near_m:
            return Placement("fits", None, level, level, part)
    return Placement("untold", None, float(np.median(stands)), float(np.median(stands)))


def _elsewhere(samples: FloatArray) -> Placement:
    move_m, bearing = _polar((samples.min(axis=0) + samples.max(axis=0)) / 2)
    return Placement("elsewhere", None, move_m=move_m, bearing=bearing)


def _polar(vector: FloatArray) -> tuple[float, float]:
    east, north = float(vector[0]), float(vector[1])
    return math.hypot(east, north), math.degrees(math.atan2(east, north)) % 360.0


def _part(part: float) -> tuple[str, str]:
    if part == 0.5:
        return "中位数", "median"
    return f"最近的 {part:.0%} 以内", f"nearest {part:.0%}"


def _m(metres: float) -> str:
    if metres >= 10_000.0:
        return f"{metres / 1000:.1f} km"
    return f"{metres:.0f} m" if metres >= 10.0 else f"{metres:.1f} m"
