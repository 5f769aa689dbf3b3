"""A small map of a layer and its faults, drawn as SVG: no tiles, no network, no scripts.

At the size of a printed page most vertices of a city fall on each other. So every vertex goes onto
a lattice of a tenth of a millimetre first, each piece of border is kept once, and what is left is
a few thousand short lines whatever the layer's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import codes as codes_
from geo_service import crs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WIDTH = 1800  # units: tenths of a millimetre on paper
_TALLEST, _FLATTEST = 880, 520
_MARGIN = 60
_SMOOTHED = 1.2  # units a border may be off its true line
_MOST_GRIDS = 1500  # drawn one by one; of more, the borders of communities or townships
_LEVELS = (15, 12, 9, 6)  # digits of codes, from the grid up
_MOST_DOTS = 1500
_LABEL = 26  # radius of a numbered mark
_TURNS = 16
_NICE = (1, 2, 5)
_EARTH_M_PER_DEGREE = 111_195.0


@dataclass(frozen=True)
class Spot:
    """A fault on the map.

    Parameters
    ----------
    x, y : float
        In the layer's own coordinates.
    colour : str
        ``#rrggbb``.
    number : int or None
        Of the fault in the list; ``None``: a dot only.
    ground : shapely geometry or None
        Drawn where it is large enough to be seen.
    """

    x: float
    y: float
    colour: str
    number: int | None = None
    ground: Any = None


def draw(grids: gpd.GeoDataFrame, outline: gpd.GeoDataFrame | None, spots: Sequence[Spot]) -> str:
    """Draw the layer, its outline and the spots as one ``<svg>`` element.

    Parameters
    ----------
    grids : GeoDataFrame
        Polygons; ``code`` tells which lines are drawn of a large layer.
    outline : GeoDataFrame or None
        In the same system.
    spots : sequence of Spot
    """
    frame = _Frame.around(grids, outline, spots)
    fine, coarse = _borders(grids, frame)
    land = _land(coarse, fine) if outline is None else frame.shapes(outline.geometry.to_numpy())
    numbered = [spot for spot in spots if spot.number is not None]
    others = [spot for spot in spots if spot.number is None][:_MOST_DOTS]
    drawn = [
        f'<svg class="map" viewBox="0 0 {WIDTH} {frame.height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg"><rect width="{WIDTH}" height="{frame.height}" '
        'fill="#f5f7f9"/>',
        f'<path d="{_areas_path(land)}" fill="#fffdf7" fill-rule="evenodd"/>',
        f'<path d="{_lines_path(fine)}" fill="none" stroke="#c9d3dc" stroke-width="1.6"/>',
        f'<path d="{_lines_path(coarse)}" fill="none" stroke="#93a5b5" stroke-width="2.6"/>',
        f'<path d="{_areas_path(land)}" fill="none" stroke="#41576b" stroke-width="4.5" '
        'stroke-linejoin="round"/>',
        *(_ground(spot, frame) for spot in spots),
        *(_dot(spot, frame) for spot in others),
        *_marks(numbered, frame),
        _scale_bar(frame, grids.crs),
        _north(),
        "</svg>",
    ]
    return "".join(drawn)


def height(grids: gpd.GeoDataFrame, outline: gpd.GeoDataFrame | None) -> int:
    """Units the picture will be high, give or take what faults beyond the rim add."""
    return _Frame.around(grids, outline, ()).height


@dataclass(frozen=True)
class _Frame:
    """From the layer's coordinates to the picture's."""

    left: float
    top: float
    x_scale: float
    y_scale: float
    x_offset: float
    y_offset: float
    height: int

    @classmethod
    def around(
        cls, grids: gpd.GeoDataFrame, outline: gpd.GeoDataFrame | None, spots: Sequence[Spot]
    ) -> _Frame:
        boxes = [grids.total_bounds]
        if outline is not None:
            boxes.append(outline.total_bounds)
        boxes += [np.array([s.x, s.y, s.x, s.y]) for s in spots]
        every = np.vstack(boxes)
        left, bottom = np.nanmin(every[:, 0]), np.nanmin(every[:, 1])
        right, top = np.nanmax(every[:, 2]), np.nanmax(every[:, 3])
        lonlat = grids.crs is not None and crs.is_lonlat(grids.crs)
        squeeze = float(np.cos(np.radians((bottom + top) / 2))) if lonlat else 1.0
        wide, high = max((right - left) * squeeze, 1e-9), max(top - bottom, 1e-9)
        inner = WIDTH - 2 * _MARGIN
        height = int(np.clip(high / wide * inner + 2 * _MARGIN, _FLATTEST, _TALLEST))
        scale = min(inner / wide, (height - 2 * _MARGIN) / high)
        return cls(
            left, top, scale * squeeze, scale,
            (WIDTH - wide * scale) / 2, (height - high * scale) / 2, height,
        )  # fmt: skip

    def place(self, xy: FloatArray) -> FloatArray:
        """Bring coordinates into the picture, y down."""
        return np.column_stack(
            [
                (xy[:, 0] - self.left) * self.x_scale + self.x_offset,
                (self.top - xy[:, 1]) * self.y_scale + self.y_offset,
            ]
        )

    def shapes(self, geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """Bring areas into the picture, with no more vertices than can be seen."""
        inside = shapely.transform(geometries, self.place)
        return shapely.simplify(inside, _SMOOTHED, preserve_topology=True)


def _borders(grids: gpd.GeoDataFrame, frame: _Frame) -> tuple[Any, Any]:
    """Lines of the finest level that can be shown, and of the level above it."""
    parts, of_part = shapely.get_parts(grids.geometry.to_numpy(), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    row = of_part[part]
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lattice = np.rint(frame.place(xy)).astype(np.int64)
    start, end = lattice[:-1], lattice[1:]
    kept = (ring[:-1] == ring[1:]) & (start != end).any(axis=1)
    start, end, owner = start[kept], end[kept], row[ring[:-1][kept]]
    levels = _levels(grids)
    fine = _lines(start, end, levels[0][owner])
    coarse = _lines(start, end, levels[1][owner]) if len(levels) > 1 else shapely.MultiLineString()
    return fine, coarse


def _levels(grids: gpd.GeoDataFrame) -> list[IntArray]:
    """Area numbers by row: of each grid or, of many, of the divisions they lie in; then one up."""
    each = np.arange(len(grids))
    if "code" not in grids.columns:
        return [each]
    named = np.array(codes_.texts(grids["code"]), dtype=str)
    if not len(named) or not np.all(np.char.str_len(named) == len(named[0])):
        return [each]
    found = [each] if len(grids) <= _MOST_GRIDS else []
    for digits in _LEVELS:
        if digits >= len(named[0]):
            continue
        prefix = named.astype(f"U{digits}")
        names, number = np.unique(prefix, return_inverse=True)
        if 1 < len(names) <= _MOST_GRIDS:
            found.append(number)
    return found[:2] or [each]


def _lines(start: IntArray, end: IntArray, area: IntArray) -> Any:
    """The pieces of border between two areas, or at the rim, each once, joined and smoothed."""
    first = (start[:, 0] < end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] < end[:, 1]))
    low, high = np.where(first[:, None], start, end), np.where(first[:, None], end, start)
    key = ((low[:, 0] * 4096 + low[:, 1]) * 4096 + high[:, 0]) * 4096 + high[:, 1]
    if not len(key):
        return shapely.MultiLineString()
    order = np.lexsort((area, key))
    key, area = key[order], area[order]
    head = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    last = np.r_[head[1:], len(key)] - 1
    # Within one area both sides cancel; a piece only one ring has is the rim.
    shown = (area[head] != area[last]) | (head == last)
    at = order[head[shown]]
    pieces: Any = shapely.linestrings(np.stack([low[at], high[at]], axis=1).astype(float))
    return shapely.simplify(shapely.line_merge(shapely.multilinestrings(pieces)), _SMOOTHED)


def _land(coarse: Any, fine: Any) -> npt.NDArray[np.object_]:
    """The ground the grids cover, where no outline was given."""
    lines = shapely.node(fine if shapely.is_empty(coarse) else coarse)
    faces = shapely.get_parts(shapely.polygonize([lines]))
    return np.array([shapely.union_all(faces)], dtype=object)


def _areas_path(areas: npt.NDArray[np.object_]) -> str:
    rings = shapely.get_rings(shapely.get_parts(areas))
    return "".join(f"{_polyline(ring)}z" for ring in rings)


def _lines_path(lines: Any) -> str:
    return "".join(_polyline(line) for line in shapely.get_parts(lines))


def _polyline(line: Any) -> str:
    """A path of whole units by steps, which is half as long as one by places."""
    xy = np.rint(shapely.get_coordinates(line)).astype(int)
    steps = np.diff(xy, axis=0)
    steps = steps[(steps != 0).any(axis=1)]
    if not len(steps):
        return ""
    return f"M{xy[0][0]} {xy[0][1]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps.tolist())


def _ground(spot: Spot, frame: _Frame) -> str:
    if spot.ground is None or shapely.get_dimensions(spot.ground) != 2:
        return ""
    box = shapely.bounds(shapely.transform(spot.ground, frame.place))
    if max(box[2] - box[0], box[3] - box[1]) < 4.0:
        return ""
    shape = frame.shapes(np.array([spot.ground], dtype=object))
    return (
        f'<path d="{_areas_path(shape)}" fill="{spot.colour}" fill-opacity=".32" '
        f'stroke="{spot.colour}" stroke-width="2.5"/>'
    )


def _dot(spot: Spot, frame: _Frame) -> str:
    x, y = frame.place(np.array([[spot.x, spot.y]]))[0]
    return (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="8" fill="{spot.colour}" stroke="#fff" '
        'stroke-width="2"/>'
    )


def _marks(spots: Sequence[Spot], frame: _Frame) -> list[str]:
    """Numbered marks beside their places, none upon another, each with a line to its place."""
    if not spots:
        return []
    places = frame.place(np.array([[spot.x, spot.y] for spot in spots]))
    labels = _label_places(places, frame.height)
    lines, marks = [], []
    for spot, (x, y), (u, v) in zip(spots, places, labels, strict=True):
        lines.append(
            f'<path d="M{x:.0f} {y:.0f}L{u:.0f} {v:.0f}" stroke="{spot.colour}" '
            f'stroke-width="3"/><circle cx="{x:.0f}" cy="{y:.0f}" r="8" fill="{spot.colour}" '
            'stroke="#fff" stroke-width="2"/>'
        )
        size = 30 if len(str(spot.number)) < 3 else 23
        marks.append(
            f'<circle cx="{u:.0f}" cy="{v:.0f}" r="{_LABEL}" fill="#fff" '
            f'stroke="{spot.colour}" stroke-width="4"/><text x="{u:.0f}" y="{v + size * 0.36:.0f}" '
            f'font-size="{size}" fill="{spot.colour}">{spot.number}</text>'
        )
    return [*lines, *marks]


def _label_places(places: FloatArray, height: int) -> FloatArray:
    """Give each label the nearest free place around its own, away from the middle first."""
    middle = np.array([WIDTH / 2, height / 2])
    turns = np.arange(_TURNS) * (2 * np.pi / _TURNS)
    taken: list[FloatArray] = []
    for place in places:
        outward = np.arctan2(*(place - middle)[::-1])
        steps = np.stack([np.cos(turns + outward), np.sin(turns + outward)], axis=1)
        # From straight outward alternately to both sides.
        steps = steps[
            np.argsort(np.minimum(np.arange(_TURNS), _TURNS - np.arange(_TURNS)), kind="stable")
        ]
        around = [place + step * far for far in (55, 80, 115, 160, 220, 300) for step in steps]
        found = next((spot for spot in around if _is_free(spot, places, taken, height)), around[0])
        taken.append(found)
    return np.array(taken)


def _is_free(
    spot: FloatArray, places: FloatArray, taken: Sequence[FloatArray], height: int
) -> bool:
    edge = _LABEL + 6
    if not (edge < spot[0] < WIDTH - edge and edge < spot[1] < height - edge):
        return False
    if spot[1] > height - 110 and spot[0] < 460:  # the scale bar stands there
        return False
    if (np.hypot(*(places - spot).T) < _LABEL + 10).any():
        return False
    return not taken or bool((np.hypot(*(np.array(taken) - spot).T) > 2 * _LABEL + 6).all())


def _scale_bar(frame: _Frame, system: Any) -> str:
    """A bar of a round length; none where the file named no coordinate system."""
    if system is None:
        return ""
    unit_m = _EARTH_M_PER_DEGREE if crs.is_lonlat(system) else crs.unit_m(system)
    metres_per_unit = unit_m / frame.y_scale
    longest_m = 360 * metres_per_unit
    power = 10.0 ** np.floor(np.log10(longest_m))
    length_m = max(nice * power for nice in _NICE if nice * power <= longest_m)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    x, y, wide = _MARGIN, frame.height - 40, length_m / metres_per_unit
    return (
        f'<path d="M{x} {y - 12}v12h{wide:.0f}v-12" fill="none" stroke="#41576b" '
        f'stroke-width="3.5"/><text class="bar" x="{x + wide / 2:.0f}" y="{y - 20}" '
        f'font-size="26" fill="#41576b">{escape(text)}</text>'
    )


def _north() -> str:
    x, y = WIDTH - 70, 50
    return (
        f'<path d="M{x} {y}l16 46l-16 -12l-16 12z" fill="#41576b"/>'
        f'<text x="{x}" y="{y + 76}" font-size="26" fill="#41576b">N</text>'
    )
