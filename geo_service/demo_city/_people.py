"""People of the demo city: households, people, the old, riders, and who answers for each grid.

Totals follow the census of 2020 and the communiqué of 2022 (2.83 people a household, 20.5 % of 60
and over); where they live inside a county is invented. Names and telephone numbers are made up.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service.demo_city._divisions import Divisions
from geo_service.demo_city._settlement import shares
from geo_service.demo_city._territory import COUNTIES

_CITY_GRIDS = 18_936
_HOUSEHOLD = 2.83
_OLD_SHARE = 0.205
_RIDERS = 4_163  # Huludao's count of riders on file; Xuchang's own is not published
_URBAN_DENSITY_KM2 = 1.6  # grids a km2 that make a place built up, in units of the county's mean

_FAMILY = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国志红"


def urban(grids: gpd.GeoDataFrame, divisions: Divisions) -> npt.NDArray[np.bool_]:
    """Tell which grids are built up: in a residents' committee's area, or as dense as one."""
    kind = divisions.communities["kind"].to_numpy()[divisions.community]
    area = grids.geometry.area.to_numpy()
    built: npt.NDArray[np.bool_] = (kind == "社区") & (area < _URBAN_DENSITY_KM2 * np.median(area))
    return built


def settle_people(
    grids: gpd.GeoDataFrame,
    divisions: Divisions,
    built: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> gpd.GeoDataFrame:
    """Give each grid households, population, people of 60 and over, and riders."""
    population = np.zeros(len(grids), np.int64)
    spread = rng.lognormal(0.0, 0.35, len(grids)) * np.where(built, 1.5, 1.0)
    for row, county in enumerate(COUNTIES):
        here = np.flatnonzero(divisions.county == row)
        total = round(county.population * len(grids) / _CITY_GRIDS)
        population[here] = shares(total, spread[here], least=10)
    households = np.maximum(1, np.round(population / _HOUSEHOLD)).astype(np.int64)
    old_share = np.clip(rng.normal(np.where(built, 0.17, 0.22), 0.04), 0.05, 0.5)
    old = shares(round(population.sum() * _OLD_SHARE), population * old_share)
    riders = shares(
        round(_RIDERS * len(grids) / _CITY_GRIDS),
        population.astype(float) * np.where(built, 6.0, 1.0),
    )
    return grids.assign(
        households=households,
        population=population,
        population_60=np.minimum(old, population),
        riders=riders,
    )


def register(
    grids: gpd.GeoDataFrame, communities: gpd.GeoDataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """The city's register of grids (台账), under a planner's headings."""
    community = dict(zip(communities["code"], communities["name"], strict=True))
    return pd.DataFrame(
        {
            "网格编码": grids["code"].to_numpy(),
            "网格名称": grids["name"].to_numpy(),
            "所属社区": grids["parent_code"].map(community).to_numpy(),
            "户数": grids["households"].to_numpy(),
            "人口": grids["population"].to_numpy(),
            "网格长": _names(len(grids), rng),
            "联系电话": _phones(len(grids), rng),
        }
    ).sort_values("网格编码", ignore_index=True)


def staff(grids: gpd.GeoDataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The roster: a head and two or three more people for each grid."""
    size = rng.choice([2, 3, 4], p=[0.15, 0.53, 0.32], size=len(grids))  # 3.17 a grid on average
    row = np.repeat(np.arange(len(grids)), size)
    place = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    roles = np.array(["网格长", "专职网格员", "兼职网格员", "网格指导员"])
    return pd.DataFrame(
        {
            "网格编码": grids["code"].to_numpy()[row],
            "姓名": _names(len(row), rng),
            "岗位": roles[place],
            "联系电话": _phones(len(row), rng),
        }
    )


def _names(count: int, rng: np.random.Generator) -> list[str]:
    family, first, second = (
        rng.integers(0, len(pool), count).tolist() for pool in (_FAMILY, _GIVEN, _GIVEN)
    )
    return [
        f"{_FAMILY[a]}{_GIVEN[b]}{_GIVEN[c]}" for a, b, c in zip(family, first, second, strict=True)
    ]


def _phones(count: int, rng: np.random.Generator) -> list[str]:
    # 138 0000 xxxx is no block in use.
    return [f"1380000{number:04d}" for number in rng.integers(0, 10_000, count).tolist()]
