"""Micro-grids: one subdistrict's grids cut by chords between their own corners.

A chord joins two vertices a grid already has, so micro-grids tile their grid exactly and leave its
border untouched.
"""

from __future__ import annotations

import heapq

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service.codes import grid_name
from geo_service.demo_city._divisions import MICRO_GRID_TOWNSHIP, Divisions, number
from geo_service.demo_city._settlement import shares

FULL_CITY_MICRO_GRIDS = 2_038
"""Yongxing subdistrict's own number ("科学划分微网格2038个")."""

_CITY_GRIDS = 18_936
_CHORDS_TRIED = 12  # at a time
_CHORD_PIECES = 6

FloatArray = npt.NDArray[np.float64]


def divide(
    grids: gpd.GeoDataFrame, divisions: Divisions, rng: np.random.Generator
) -> gpd.GeoDataFrame:
    """Give the micro-grids of the subdistrict that has them."""
    upper = divisions.townships["code"].to_numpy()[divisions.township]
    rows = np.flatnonzero(upper == MICRO_GRID_TOWNSHIP)
    total = max(2 * len(rows), round(FULL_CITY_MICRO_GRIDS * len(grids) / _CITY_GRIDS))
    area = grids.geometry.area.to_numpy()[rows]
    pieces: list[shapely.Polygon] = []
    owner: list[int] = []
    for place, (row, wanted) in enumerate(
        zip(rows.tolist(), shares(total, area, least=1).tolist(), strict=True)
    ):
        cut = _cut(grids.geometry.iloc[row], wanted)
        pieces += cut
        owner += [place] * len(cut)
    polygons = gpd.GeoSeries(pieces, crs=grids.crs)
    centroid = polygons.centroid
    parents = grids["code"].to_numpy()[rows]
    of = np.array(owner)
    codes = number(of, parents, np.column_stack([centroid.x, centroid.y]))
    households = np.zeros(len(pieces), np.int64)
    for place, row in enumerate(rows.tolist()):
        mine = np.flatnonzero(of == place)
        weight = rng.uniform(0.7, 1.3, len(mine))
        households[mine] = shares(int(grids["households"].iloc[row]), weight)
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "name": [grid_name(int(code[-3:])).replace("网格", "微网格") for code in codes],
            "kind": "微网格",
            "parent_code": parents[of],
            "households": households,
        },
        geometry=polygons,
    )


def _cut(polygon: shapely.Polygon, wanted: int) -> list[shapely.Polygon]:
    """Cut the largest piece in two until there are as many as wanted."""
    heap = [(-polygon.area, 0, polygon)]
    made = 1
    while len(heap) < wanted:
        _, _, largest = heapq.heappop(heap)
        for piece in _halves(largest):
            heapq.heappush(heap, (-piece.area, made, piece))
            made += 1
    return [piece for _, _, piece in sorted(heap, key=lambda entry: entry[1])]


def _halves(polygon: shapely.Polygon) -> tuple[shapely.Polygon, shapely.Polygon]:
    """Cut a polygon by the shortest chord between two vertices that leaves fair halves."""
    ring = shapely.get_coordinates(polygon.exterior)[:-1]
    shapely.prepare(polygon)
    every_i, every_j = _fair_chords(ring)
    for first in range(0, len(every_i), _CHORDS_TRIED):
        i, j = (pairs[first : first + _CHORDS_TRIED] for pairs in (every_i, every_j))
        chords = shapely.linestrings(np.stack([ring[i], ring[j]], axis=1))
        met = shapely.intersection(chords, polygon.exterior)
        free = shapely.covers(polygon, chords) & (shapely.get_num_geometries(met) == 2)
        free &= shapely.get_type_id(met) == shapely.GeometryType.MULTIPOINT
        if free.any():
            k = int(np.flatnonzero(free)[0])
            a, b = int(i[k]), int(j[k])
            chord = _vertices_between(ring[a], ring[b])
            return (
                shapely.Polygon(np.concatenate([ring[a : b + 1], chord[::-1]])),
                shapely.Polygon(np.concatenate([ring[b:], ring[: a + 1], chord])),
            )
    raise RuntimeError("no chord cuts a grid of the demo city")


def _vertices_between(a: FloatArray, b: FloatArray) -> FloatArray:
    """Vertices of a new border, which later chords may start from; to the millimetre."""
    share = np.linspace(0.0, 1.0, _CHORD_PIECES + 1)[1:-1, None]
    vertices: FloatArray = np.round(a + share * (b - a), 3)
    return vertices


def _fair_chords(ring: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of vertices that part the area 35:65 or better, shortest first; others after them."""
    count = len(ring)
    local = ring - ring[0]
    ahead = np.roll(local, -1, axis=0)
    swept = np.concatenate(
        [[0.0], np.cumsum(local[:, 0] * ahead[:, 1] - local[:, 1] * ahead[:, 0])]
    )
    i, j = np.triu_indices(count, 2)
    wraps = (i == 0) & (j == count - 1)
    i, j = i[~wraps], j[~wraps]
    closing = local[j, 0] * local[i, 1] - local[j, 1] * local[i, 0]
    share = np.abs((swept[j] - swept[i] + closing) / swept[-1])
    unfair = (share < 0.35) | (share > 0.65)
    length = np.hypot(*(ring[i] - ring[j]).T)
    order = np.lexsort((length, np.where(unfair, np.abs(share - 0.5), 0.0)))
    return i[order], j[order]
