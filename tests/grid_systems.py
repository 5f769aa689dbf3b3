"""Four grid systems over one city, each digitised by somebody else, with the truth beside them.

The counts are those published for Huludao: 1,230 Party-building ("red") grids, 219 security grids,
756 compounds, 40 property service networks. The last two are partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import cKDTree

HULUDAO = {"red": 1230, "security_grids": 219, "compounds": 756, "property_networks": 40}
LEAST_M, MOST_M = 1.0, 5.0
"""How far apart two lines lie that mean the same border."""


@dataclass(frozen=True)
class GridSystems:
    """The layers, and the compounds that a border of the red grids truly cuts."""

    layers: dict[str, gpd.GeoDataFrame]
    cut_compounds: frozenset[str]


def four_systems(tiling: Any, counts: dict[str, int] = HULUDAO, *, seed: int = 1) -> GridSystems:
    """Draw the systems; only the red grids stand exactly where the truth is."""
    random = np.random.default_rng(seed)
    red, _ = tiling(counts["red"], seed=seed)
    red["households"] = random.integers(100, 500, len(red))
    spots = shapely.get_coordinates(shapely.point_on_surface(red.geometry.to_numpy()))
    security = _security(red, spots, counts["security_grids"], random)
    compounds, cut = _compounds(red, spots, counts["compounds"], random)
    networks = _networks(compounds, counts["property_networks"], random)
    return GridSystems(
        {
            "red": red,
            "security_grids": apart(security, 1),
            "compounds": apart(compounds, 2),
            "property_networks": apart(networks, 3),
        },
        cut,
    )


def apart(layer: gpd.GeoDataFrame, which: int) -> gpd.GeoDataFrame:
    """Draw a layer anew, every vertex 1 to 5 m off; a smooth shift keeps a tiling a tiling."""

    def shift(xy: np.ndarray) -> np.ndarray:
        x, y = xy.T
        turn = 2 * np.pi * np.sin(x / 611 + which) * np.cos(y / 733 - which) + which
        far = (LEAST_M + MOST_M) / 2 + (MOST_M - LEAST_M) / 2 * np.sin(x / 397 + y / 449 + which)
        return xy + np.column_stack([np.cos(turn), np.sin(turn)]) * far[:, None]

    return layer.set_geometry(shapely.transform(layer.geometry.to_numpy(), shift)).set_crs(
        layer.crs
    )


def _security(
    red: gpd.GeoDataFrame, spots: np.ndarray, count: int, random: np.random.Generator
) -> gpd.GeoDataFrame:
    seeds = spots[np.sort(random.choice(len(red), count, replace=False))]
    owner = cKDTree(seeds).query(spots)[1]
    shapes = red.geometry.to_numpy()
    unions = [shapely.coverage_union_all(shapes[owner == k]) for k in range(count)]
    return gpd.GeoDataFrame(
        {"code": [f"S{k:04d}" for k in range(count)]}, geometry=unions, crs=red.crs
    )


def _compounds(
    red: gpd.GeoDataFrame, spots: np.ndarray, count: int, random: np.random.Generator
) -> tuple[gpd.GeoDataFrame, frozenset[str]]:
    """Place rectangles: nine in ten well inside a grid, the others across a border."""
    shapes = red.geometry.to_numpy()
    one, other = shapely.STRtree(shapes).query(shapes, predicate="touches")
    order = random.permutation(np.flatnonzero(one < other))
    placed: list[Any] = []
    cut = set()
    for k in order:
        if len(placed) >= count // 10:
            break
        line = shapely.line_merge(shapely.intersection(shapes[one[k]], shapes[other[k]]))
        if shapely.length(line) < 200:
            continue
        middle = shapely.line_interpolate_point(line, 0.5, normalized=True)
        x, y = shapely.get_coordinates(middle)[0]
        home = shapely.box(x - 45, y - 40, x + 45, y + 40)
        shares = [
            shapely.area(shapely.intersection(home, shapes[g])) / home.area
            for g in (one[k], other[k])
        ]
        if min(shares) > 0.25 and _free(home, placed):
            cut.add(f"C{len(placed):04d}")
            placed.append(home)
    inner = shapely.buffer(shapes, -8)
    for grid in np.tile(random.permutation(len(red)), 4):
        if len(placed) == count:
            break
        x, y = spots[grid] + random.uniform(-120, 120, 2)
        half = random.uniform(25, 60, 2)
        home = shapely.box(x - half[0], y - half[1], x + half[0], y + half[1])
        if shapely.contains(inner[grid], home) and _free(home, placed):
            placed.append(home)
    assert len(placed) == count
    names = [f"C{k:04d}" for k in range(count)]
    return gpd.GeoDataFrame({"code": names}, geometry=placed, crs=red.crs), frozenset(cut)


def _free(home: Any, placed: list[Any]) -> bool:
    return not placed or float(np.min(shapely.distance(placed, home))) > 15


def _networks(
    compounds: gpd.GeoDataFrame, count: int, random: np.random.Generator
) -> gpd.GeoDataFrame:
    """Three neighbouring compounds are one property company's network."""
    spots = np.column_stack([compounds.centroid.x, compounds.centroid.y])
    free, shapes, networks = set(range(len(compounds))), compounds.geometry.to_numpy(), []
    for start in random.permutation(len(compounds)).tolist():
        near = [k for k in cKDTree(spots).query(spots[start], 12)[1].tolist() if k in free][:3]
        if start in free and len(near) == 3:
            networks.append(shapely.union_all(shapes[near]))
            free -= set(near)
        if len(networks) == count:
            break
    names = [f"P{k:03d}" for k in range(count)]
    return gpd.GeoDataFrame({"code": names}, geometry=networks, crs=compounds.crs)
