"""Places of the demo city: doors by the street, buildings, facilities, premises to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service import crs
from geo_service.demo_city._settlement import shares
from geo_service.demo_city._streets import Streets
from geo_service.demo_city._territory import PLANE_EPSG
from geo_service.demo_city._tiling import Tiling
from geo_service.locate import Locator

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CITY_GRIDS = 18_936
_SET_BACK, _SET_BACK_M = 0.12, 30.0  # of the way from the street to the grid's middle, and at most

# Kind, Chinese name, how many in the full city, share planned, share in built-up grids.
_FACILITIES: tuple[tuple[str, str, int, float, float], ...] = (
    ("rest_station", "爱心驿站", 60, 0.1, 0.95),
    ("canteen", "社区食堂", 45, 0.2, 0.9),
    ("market", "菜市场", 260, 0.05, 0.6),
    ("health_centre", "社区卫生服务中心", 210, 0.04, 0.5),
    ("kindergarten", "幼儿园", 620, 0.03, 0.5),
    ("primary_school", "小学", 520, 0.02, 0.4),
    ("pharmacy", "药店", 700, 0.0, 0.6),
    ("bus_stop", "公交站", 900, 0.02, 0.6),
    ("elder_daycare", "日间照料中心", 180, 0.25, 0.7),
    ("service_station", "党群服务中心", 640, 0.03, 0.4),
)
_CANDIDATES = (("党群服务中心", 90, 0.0), ("便利店", 60, 30_000.0), ("沿街门面", 90, 80_000.0))
_AMENITIES = ("rest_seat", "water", "heating", "cooling", "charging")


@dataclass(frozen=True)
class Doors:
    """A point by the street for every side of every grid.

    Parameters
    ----------
    xy : ndarray, shape (doors, 2)
        Metres in the working plane, inside their grid.
    grid : ndarray of int, shape (doors,)
        Row of the grid; rising.
    first : ndarray of int, shape (grids,)
        The first door of each grid.
    """

    xy: FloatArray
    grid: IntArray
    first: IntArray


def doors(
    streets: Streets, tiling: Tiling, grids: gpd.GeoDataFrame, rng: np.random.Generator
) -> Doors:
    """Put a door beside the middle of every street that borders a grid.

    A grid no street borders gets one at its middle: people live there too, and nobody's walk
    counts them.
    """
    middle = np.array([nodes[len(nodes) // 2] for _, nodes in streets.ways])
    at = streets.xy[middle[streets.arc_way]]
    cell = np.concatenate([tiling.left[streets.arc], tiling.right[streets.arc]])
    beside = np.concatenate([at, at])
    bare = np.setdiff1d(np.arange(len(grids)), cell)
    cell = np.concatenate([cell, bare])
    beside = np.concatenate([beside, tiling.seeds[bare]])
    order = np.lexsort((rng.random(len(cell)), cell))
    cell, beside = cell[order], beside[order]
    xy = set_back(beside, tiling.seeds[cell], share=_SET_BACK, most_m=_SET_BACK_M)
    # A street is straighter than the border it follows, so a door may stand across it.
    locator = Locator(grids)
    for share in (0.3, 0.6, 1.0):
        across = locator.rows_xy(xy[:, 0], xy[:, 1]) != cell
        xy[across] = set_back(beside[across], tiling.seeds[cell[across]], share=share)
    return Doors(xy, cell, np.searchsorted(cell, np.arange(len(grids))))


def set_back(
    street: FloatArray, middle: FloatArray, *, share: float, most_m: float = np.inf
) -> FloatArray:
    """Step from points on a street towards the middles of grids."""
    inward = middle - street
    far = np.maximum(np.hypot(inward[..., 0], inward[..., 1]), 1e-9)
    step: FloatArray = street + inward * np.minimum(share, most_m / far)[..., None]
    return step


def demand(grids: gpd.GeoDataFrame, doors: Doors) -> pd.DataFrame:
    """One point a grid, by one of its streets, with whom it stands for."""
    lon, lat = _lonlat(doors.xy[doors.first])
    columns = ["code", "name", "households", "population", "population_60", "riders"]
    return pd.DataFrame(grids[columns]).assign(lon=lon, lat=lat)


def buildings(grids: gpd.GeoDataFrame, doors: Doors, rng: np.random.Generator) -> pd.DataFrame:
    """Houses by every street of a grid, holding its households between them."""
    counts = np.bincount(doors.grid, minlength=len(grids))
    held = np.zeros(len(doors.grid), np.int64)
    households = grids["households"].to_numpy()
    weight = rng.uniform(0.5, 1.5, len(doors.grid))
    for row, (first, size) in enumerate(zip(doors.first.tolist(), counts.tolist(), strict=True)):
        mine = slice(first, first + size)
        held[mine] = shares(int(households[row]), weight[mine])
    lon, lat = _lonlat(doors.xy)
    code = grids["code"].to_numpy()[doors.grid]
    return pd.DataFrame({"code": code, "households": held, "lon": lon, "lat": lat})


def facilities(
    grids: gpd.GeoDataFrame,
    doors: Doors,
    built: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Facilities of ten kinds, most of them open, some only planned."""
    parts = []
    for kind, name, full, planned, in_town in _FACILITIES:
        count = max(4, round(full * len(grids) / _CITY_GRIDS))
        rows = _picked(grids, built, count, in_town, rng)
        part = _at(doors, rows, rng)
        part["id"] = [f"{kind}-{number:04d}" for number in range(1, len(rows) + 1)]
        part["name"] = [f"{name}{number}号" for number in range(1, len(rows) + 1)]
        part["kind"] = kind
        part["status"] = np.where(rng.random(len(rows)) < planned, "planned", "existing")
        part["grid_code"] = grids["code"].to_numpy()[rows]
        part["capacity"] = {"rest_station": 27, "canteen": 50}.get(kind)
        part["hours"] = np.where(rng.random(len(rows)) < 0.3, "24h", "08:00-20:00")
        part["amenities"] = _amenities(kind, len(rows), rng)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["capacity"] = table["capacity"].astype("Int64")
    first = ["id", "name", "kind", "status", "lon", "lat"]
    return table[[*first, *(c for c in table.columns if c not in first)]]


def candidates(
    grids: gpd.GeoDataFrame,
    doors: Doors,
    built: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Premises a station or canteen could go into: party-service centres, shops, shop fronts."""
    parts = []
    for kind, full, cost in _CANDIDATES:
        count = max(8, round(full * max(len(grids), 2_000) / _CITY_GRIDS))
        rows = _picked(grids, built, count, 0.8, rng)
        part = _at(doors, rows, rng)
        part["name"] = [f"{kind}{number}号" for number in range(1, len(rows) + 1)]
        part["premises"] = kind
        part["fixed_cost"] = np.round(cost * rng.uniform(0.7, 1.4, len(rows)), -2)
        part["capacity"] = rng.integers(20, 61, len(rows))
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "id", [f"candidate-{number:04d}" for number in range(1, len(table) + 1)])
    return table


def _picked(
    grids: gpd.GeoDataFrame,
    built: npt.NDArray[np.bool_],
    count: int,
    in_town: float,
    rng: np.random.Generator,
) -> IntArray:
    """Rows of grids, no two the same, so many of them built up, likelier where more people are."""
    weight = grids["population"].to_numpy(float)
    town = min(round(count * in_town), int(built.sum()))
    country = min(count - town, int((~built).sum()))
    picked: list[npt.NDArray[np.intp]] = []
    for pool, size in ((built, town), (~built, country)):
        rows = np.flatnonzero(pool)
        if size:
            share = weight[rows] / weight[rows].sum()
            picked.append(rng.choice(rows, size=size, replace=False, p=share))
    return np.sort(np.concatenate(picked)).astype(np.int64)


def _at(doors: Doors, rows: IntArray, rng: np.random.Generator) -> pd.DataFrame:
    """A door of each grid, a few metres aside, so that no two places share a point."""
    xy = doors.xy[doors.first[rows]] + rng.uniform(-2.0, 2.0, (len(rows), 2))
    lon, lat = _lonlat(xy)
    return pd.DataFrame({"lon": lon, "lat": lat})


def _amenities(kind: str, count: int, rng: np.random.Generator) -> Sequence[str]:
    if kind != "rest_station":
        return [""] * count
    has = rng.random((count, len(_AMENITIES))) < 0.9
    return [";".join(a for a, there in zip(_AMENITIES, row, strict=True) if there) for row in has]


def _lonlat(xy: FloatArray) -> tuple[FloatArray, FloatArray]:
    lon, lat = crs.Plane.of(PLANE_EPSG).inverse(xy[:, 0], xy[:, 1])
    return np.round(lon, 7), np.round(lat, 7)
