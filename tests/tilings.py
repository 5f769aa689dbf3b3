"""Small exact tilings with wiggly shared borders, for tests of everything that stands on a tiling.

Cells are Voronoi cells; each border is drawn once, inside the kite spanned by its two ends and the
two seeds beside it, and used by both neighbours. Kites do not overlap, so borders never cross.
"""

from __future__ import annotations

from itertools import pairwise

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import Voronoi

from geo_service import codes

CELL_M = 513.0  # the mean grid of Xuchang is a square of this side
ORIGIN = (478_000.0, 3_760_000.0)


def tiling(
    count: int, seed: int = 1, crs: object = 4547, *, points: int = 8, per_community: int = 12
) -> tuple[gpd.GeoDataFrame, shapely.Polygon]:
    """Give `count` grids that tile an outline exactly, with codes in numbering order.

    `points` is the number of vertices drawn on each border between its ends. A geographic `crs`
    gets the same tiling near Xuchang in degrees (1e5 m to the degree: the shape is what matters).
    """
    random = np.random.default_rng(seed)
    columns = max(round(count**0.5), 1)
    width, height = columns * CELL_M, count / columns * CELL_M
    seeds = random.random((count, 2)) * (width, height)
    for _ in range(2):  # Lloyd steps: no slivers among the cells
        seeds = _centres(_voronoi(seeds, width, height), count)
    diagram = _voronoi(seeds, width, height)
    vertices = np.round(diagram.vertices + ORIGIN, 3)
    if crs is not None and gpd.GeoSeries([], crs=crs).crs.is_geographic:
        vertices = (vertices - ORIGIN) / 1e5 + (113.8, 34.0)
        seeds = seeds / 1e5 + (113.8, 34.0)
    else:
        seeds = seeds + ORIGIN
    borders = {}
    for (left, right), (a, b) in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if min(left, right) < count and a >= 0 and b >= 0:
            inner = [seeds[side] for side in (left, right) if side < count]
            borders[a, b] = _wiggle(random, vertices[a], vertices[b], inner, points)
    cells = [_ring(_around(diagram, cell), borders) for cell in range(count)]
    rim = [
        ends
        for ends, sides in zip(diagram.ridge_vertices, diagram.ridge_points, strict=True)
        if (sides[0] < count) != (sides[1] < count)
    ]
    outline = shapely.Polygon(_ring(_chained(rim), borders))
    geometry = shapely.orient_polygons(shapely.polygons([shapely.linearrings(c) for c in cells]))
    grids = gpd.GeoDataFrame({"code": _codes(seeds, per_community)}, geometry=geometry, crs=crs)
    grids["name"] = ["第" + code[-3:].lstrip("0") + "网格" for code in grids["code"]]
    return grids[["code", "name", "geometry"]], shapely.orient_polygons(outline)


def _voronoi(seeds: np.ndarray, width: float, height: float) -> Voronoi:
    """Cells bounded by a rectangle: the seeds mirrored over its four sides hold them in."""
    x, y = seeds.T
    mirrored = [(-x, y), (2 * width - x, y), (x, -y), (x, 2 * height - y)]
    return Voronoi(np.concatenate([seeds, *(np.column_stack(m) for m in mirrored)]))


def _around(diagram: Voronoi, cell: int) -> list[tuple[int, int]]:
    region = diagram.regions[diagram.point_region[cell]]
    x, y = (diagram.vertices[region] - diagram.points[cell]).T
    turned = [region[k] for k in np.argsort(np.arctan2(y, x))]
    return list(pairwise([*turned, turned[0]]))


def _centres(diagram: Voronoi, count: int) -> np.ndarray:
    rings = [[a for a, _ in _around(diagram, cell)] for cell in range(count)]
    return np.array(
        [shapely.centroid(shapely.Polygon(diagram.vertices[r])).coords[0] for r in rings]
    )


def _wiggle(
    random: np.random.Generator, a: np.ndarray, b: np.ndarray, inner: list[np.ndarray], points: int
) -> np.ndarray:
    along = np.linspace(0.0, 1.0, points + 2)[1:-1, None]
    on_line = a + along * (b - a)
    # A step towards a seed stays in its half of the kite wherever the seed lies; steps under
    # half the spacing keep the points in order, so that the line can't cross itself.
    towards = np.array(inner)[random.integers(len(inner), size=points)] - on_line
    length = np.hypot(*(b - a))
    towards *= np.minimum(1.0, length / np.hypot(*towards.T))[:, None]
    most = min(0.3, 0.9 / (points + 1))
    bent = on_line + most * random.random((points, 1)) * np.minimum(along, 1 - along) * towards
    if length < 1e-2 * CELL_M * _unit(a):
        return np.array([a, b])
    return np.concatenate([[a], bent, [b]])


def _unit(place: np.ndarray) -> float:
    """Units to a metre: degrees where the numbers are that small."""
    return 1e-5 if np.abs(place).max() < 180 else 1.0


def _ring(ends: list[tuple[int, int]], borders: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    lines = [borders[e] if e in borders else borders[e[::-1]][::-1] for e in ends]
    return np.concatenate([lines[0][:1], *(line[1:] for line in lines)])


def _chained(edges: list[list[int]]) -> list[tuple[int, int]]:
    beside: dict[int, list[int]] = {}
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    start = min(beside)
    walk, before = [start], None
    while len(walk) == 1 or walk[-1] != start:
        here = walk[-1]
        before, step = here, next(n for n in beside[here] if n != before)
        walk.append(step)
    return list(pairwise(walk))


def _codes(seeds: np.ndarray, per_community: int) -> list[str]:
    """Codes of square-ish communities, numbered west to east, north to south inside each."""
    count = len(seeds)
    across = max(round((count / per_community) ** 0.5), 1)
    span = np.ptp(seeds, axis=0) + 1e-9
    cell = np.floor((seeds - seeds.min(axis=0)) / span * across).astype(int)
    community = cell[:, 1] * across + cell[:, 0]
    found = [""] * count
    for which in np.unique(community):
        members = np.flatnonzero(community == which)
        order = codes.order_west_east(*seeds[members].T)
        for number, member in enumerate(members[order], start=1):
            found[member] = f"411002{which // 999 + 1:03d}{which % 999 + 1:03d}{number:03d}"
    return found
