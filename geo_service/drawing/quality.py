"""How good drawn grids are: the figures a planner compares two alternatives by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing import _walls, kinds
from geo_service.drawing._lines import kinds_of

SAMPLE_M = 4.0
"""Lengths are told in pieces of at most so many metres, each by its middle."""

ON_LINE_M = 1.0
"""A border this near a street, river or given line runs on it."""

INSIDE_M = 20.0
"""A main way further than this from every border lies inside a grid."""

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Quality:
    """What a drawing is like.

    Parameters
    ----------
    grids : int
        How many there are.
    dedicated : int
        How many of them are dedicated (专属网格), which hold whatever they hold.
    in_range : int or None
        How many of the others hold as many households as wanted; ``None`` where households are
        unknown.
    households_least, households_median, households_most : int or None
        Per grid that is not dedicated.
    compactness_median, compactness_p10 : float
        Polsby-Popper, ``4 pi A / P^2``: a disc has 1.
    border_on_street, border_on_line : float or None
        Share of the borders between grids on streets, rivers and railways; on any way or given
        line.
    main_ways_inside : float or None
        Share of the main ways' length that lies inside grids.
    buildings_cut : int or None
        Buildings that a border cuts.
    across_median_m, across_most_m : float
        The longest straight way across a grid.
    area_moved_percent : float or None
        Land that is in another grid than before, of all.
    households_moved_percent : float or None
        Households that are.
    """

    grids: int
    dedicated: int
    in_range: int | None
    households_least: int | None
    households_median: int | None
    households_most: int | None
    compactness_median: float
    compactness_p10: float
    border_on_street: float | None
    border_on_line: float | None
    main_ways_inside: float | None
    buildings_cut: int | None
    across_median_m: float
    across_most_m: float
    area_moved_percent: float | None = None
    households_moved_percent: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


WORDS: Mapping[str, tuple[str, str]] = {
    "grids": ("网格数", "grids"),
    "dedicated": ("其中专属网格", "of them dedicated"),
    "in_range": ("户数在范围内", "with as many households as wanted"),
    "households_least": ("最少户数", "fewest households"),
    "households_median": ("户数中位", "median households"),
    "households_most": ("最多户数", "most households"),
    "compactness_median": ("紧凑度中位", "median compactness"),
    "compactness_p10": ("紧凑度 10 分位", "compactness, 10th percentile"),
    "border_on_street": ("界线沿街沿河", "of the borders on streets and water"),
    "border_on_line": ("界线沿任一线", "of the borders on any line"),
    "main_ways_inside": ("主干道穿越", "of the main ways inside grids"),
    "buildings_cut": ("切割建筑", "buildings cut"),
    "across_median_m": ("跨度中位（米）", "median way across, m"),
    "across_most_m": ("最大跨度（米）", "longest way across, m"),
    "area_moved_percent": ("换格面积 %", "% of the land in another grid"),
    "households_moved_percent": ("换格户数 %", "% of the households in another grid"),
}
"""The Chinese and English name of every figure."""


def measure(
    grids: gpd.GeoDataFrame,
    *,
    streets: gpd.GeoDataFrame | None = None,
    lines: gpd.GeoDataFrame | None = None,
    buildings: gpd.GeoDataFrame | None = None,
    target: tuple[int, int] = (300, 500),
    before: gpd.GeoDataFrame | None = None,
    homes: gpd.GeoDataFrame | None = None,
) -> Quality:
    """Measure grids.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        An exact tiling in a metric plane; a column ``households`` counts, and ``kind`` tells which
        are dedicated (专属网格).
    streets, lines, buildings : geopandas.GeoDataFrame, optional
        As `geo_service.drawing.draw` takes them; in the plane of the grids.
    target : tuple of int, default (300, 500)
        Fewest and most households of a grid.
    before : geopandas.GeoDataFrame, optional
        The grids of today, to tell how much changes hands: each new grid is taken for the one of
        today that it shares most land with.
    homes : geopandas.GeoDataFrame, optional
        Points with ``households``, to tell how many of them change hands.

    Returns
    -------
    Quality
    """
    shapes = np.asarray(grids.geometry.values, object)
    graph = topology.build(shapes)
    inner = np.flatnonzero((graph.left >= 0) & (graph.right >= 0))
    arcs = np.array([shapely.LineString(graph.arc(int(k))) for k in inner], object)
    compact = 4 * np.pi * shapely.area(shapes) / shapely.length(shapes) ** 2
    across = 2 * shapely.minimum_bounding_radius(shapes)
    apart = kinds.dedicated(grids)
    held = grids["households"].to_numpy(float)[~apart] if "households" in grids else np.empty(0)
    walls = None if buildings is None else np.asarray(buildings.geometry.values, object)
    street, any_line, inside = _along(arcs, shapes, streets, lines)
    area, moved = _change(grids, before, homes) if before is not None else (None, None)
    return Quality(
        grids=len(grids),
        dedicated=int(apart.sum()),
        in_range=int(((held >= target[0]) & (held <= target[1])).sum()) if len(held) else None,
        households_least=int(held.min()) if len(held) else None,
        households_median=int(np.median(held)) if len(held) else None,
        households_most=int(held.max()) if len(held) else None,
        compactness_median=float(np.median(compact)),
        compactness_p10=float(np.quantile(compact, 0.1)),
        border_on_street=street,
        border_on_line=any_line,
        main_ways_inside=inside,
        buildings_cut=None if walls is None else len(_walls.crossed(walls, arcs)),
        across_median_m=float(np.median(across)),
        across_most_m=float(across.max()),
        area_moved_percent=area,
        households_moved_percent=moved,
    )


def _along(
    arcs: Shapes,
    shapes: Shapes,
    streets: gpd.GeoDataFrame | None,
    lines: gpd.GeoDataFrame | None,
) -> tuple[float | None, float | None, float | None]:
    """Give the shares of border on strong lines and on any, and of main ways inside."""
    if streets is None:
        return None, None, None
    ways, kind = np.asarray(streets.geometry.values, object), kinds_of(streets)
    further = np.empty(0, object) if lines is None else np.asarray(lines.geometry.values, object)
    area = shapely.coverage_union_all(shapes)
    shapely.prepare(area)
    strong = np.concatenate([ways[kind != "minor"], further])
    every = np.concatenate([ways, further])
    borders = _pieces(arcs)
    major = _pieces(ways[kind == "major"])
    major = major.some(shapely.intersects_xy(area, major.middle))
    all_borders = np.array([*arcs, area.boundary], object)
    inside = 1 - major.near(all_borders, INSIDE_M) if len(major.length) else 0.0
    return borders.near(strong, ON_LINE_M), borders.near(every, ON_LINE_M), inside


@dataclass(frozen=True)
class _Pieces:
    """Lines cut into short pieces: where the middle of each lies, and how long it is, metres."""

    middle: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]

    def some(self, chosen: npt.NDArray[np.bool_]) -> _Pieces:
        return _Pieces(self.middle[chosen], self.length[chosen])

    def near(self, lines: Shapes, metres: float) -> float:
        """Give the share of the length that lies near lines."""
        if not self.length.sum():
            return 0.0
        box = shapely.bounds(lines)
        low, high = self.middle.min(axis=0) - metres, self.middle.max(axis=0) + metres
        close = ((box[:, 2:] >= low) & (box[:, :2] <= high)).all(axis=1)
        # By segments: the box of a line as long as the city's outline has every place in it.
        xy, row = shapely.get_coordinates(shapely.get_parts(lines[close]), return_index=True)
        ends = np.stack([xy[:-1], xy[1:]], axis=1)[row[1:] == row[:-1]]
        tree = shapely.STRtree(shapely.linestrings(ends))
        places = shapely.points(self.middle)
        found = tree.query(places, predicate="dwithin", distance=metres)[0]
        return float(self.length[np.unique(found)].sum() / self.length.sum())


def _pieces(lines: Shapes) -> _Pieces:
    short = shapely.segmentize(shapely.get_parts(lines), SAMPLE_M)
    xy, row = shapely.get_coordinates(short, return_index=True)
    joined = row[1:] == row[:-1]
    length = np.hypot(*(xy[1:] - xy[:-1])[joined].T)
    return _Pieces(((xy[1:] + xy[:-1]) / 2)[joined], length)


def _change(
    grids: gpd.GeoDataFrame, before: gpd.GeoDataFrame, homes: gpd.GeoDataFrame | None
) -> tuple[float, float | None]:
    """Give the shares of land and of households, percent, in another grid than before."""
    now = np.asarray(grids.geometry.values, object)
    old = np.asarray(before.geometry.values, object)
    new_row, old_row = shapely.STRtree(old).query(now, predicate="intersects")
    shared = shapely.area(shapely.intersection(now[new_row], old[old_row]))
    heir = _heirs(new_row, old_row, shared, len(old))
    kept = shared[heir[old_row] == new_row].sum()
    area = 100 * max(0.0, float(1 - kept / shared.sum()))
    if homes is None:
        return area, None
    points = np.asarray(homes.geometry.values, object)
    count = homes["households"].to_numpy(float) if "households" in homes else np.ones(len(points))
    was, is_now = _holder(points, old), _holder(points, now)
    stays = (was >= 0) & (is_now >= 0) & (heir[was] == is_now)
    held = (was >= 0) | (is_now >= 0)  # those who live elsewhere do not move
    return area, 100 * float(1 - count[stays].sum() / max(count[held].sum(), 1.0))


def _heirs(
    new_row: npt.NDArray[np.intp],
    old_row: npt.NDArray[np.intp],
    shared: npt.NDArray[np.float64],
    count: int,
) -> npt.NDArray[np.int64]:
    """Give the new grid that each old one lives on in: the largest shares first, one heir each."""
    heir = np.full(count, -1, np.int64)
    taken: set[int] = set()
    for k in np.argsort(-shared, kind="stable").tolist():
        old, new = int(old_row[k]), int(new_row[k])
        if heir[old] < 0 and new not in taken:
            heir[old] = new
            taken.add(new)
    return heir


def _holder(points: Shapes, shapes: Shapes) -> npt.NDArray[np.int64]:
    found = np.full(len(points), -1, np.int64)
    point, shape = shapely.STRtree(shapes).query(points, predicate="intersects")
    found[point] = shape
    return found
