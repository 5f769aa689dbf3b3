"""Make the demo city: synthetic from its first vertex to its last address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service.codes import grid_name
from geo_service.demo_city import _addresses, _divisions, _micro_grids, _people, _places, _streets
from geo_service.demo_city._divisions import CITY_CODE, CITY_NAME, Divisions
from geo_service.demo_city._settlement import settle
from geo_service.demo_city._streets import Streets
from geo_service.demo_city._territory import PLANE_EPSG, territory
from geo_service.demo_city._tiling import Tiling, tiling
from geo_service.errors import InputError, Phrase

FULL_CITY_GRIDS = 18_936
"""Xuchang's own number ("科学划定市域全覆盖的网格18936个")."""

FEWEST_GRIDS = 120
"""Each of the 105 townships needs a grid, and the centre a few more."""

DEFAULT_SEED = 2026


@dataclass(frozen=True)
class DemoCity:
    """A synthetic city; every layer in EPSG:4547, every point table in WGS84 degrees.

    Parameters
    ----------
    outline, counties, townships, communities, grids, micro_grids : GeoDataFrame
        Columns code, name, kind, parent_code; from counties to grids also households, population,
        population_60, riders, whose sums agree at every level. Each layer tiles the one above it
        exactly, vertex by vertex.
    streets : Streets
        What `write` puts into an .osm.pbf.
    demand, buildings, facilities, candidates, addresses, register, staff : DataFrame
        Lists as a city keeps them.
    """

    outline: gpd.GeoDataFrame
    counties: gpd.GeoDataFrame
    townships: gpd.GeoDataFrame
    communities: gpd.GeoDataFrame
    grids: gpd.GeoDataFrame
    micro_grids: gpd.GeoDataFrame
    streets: Streets
    demand: pd.DataFrame
    buildings: pd.DataFrame
    facilities: pd.DataFrame
    candidates: pd.DataFrame
    addresses: pd.DataFrame
    register: pd.DataFrame
    staff: pd.DataFrame


def make(
    *,
    grids: int = FULL_CITY_GRIDS,
    seed: int = DEFAULT_SEED,
    on_progress: Callable[[float, str], None] | None = None,
) -> DemoCity:
    """Make a city of exactly so many grids; the same seed makes the same city.

    Parameters
    ----------
    grids : int
        From `FEWEST_GRIDS` on.
    seed : int
    on_progress : callable, optional
        Told the share done and what is being made.

    Raises
    ------
    InputError
        ``parameter_invalid`` for too few grids.
    """
    if grids < FEWEST_GRIDS:
        reason = Phrase(f"至少为 {FEWEST_GRIDS}", f"at least {FEWEST_GRIDS}")
        raise InputError("parameter_invalid", name="grids", value=grids, reason=reason)
    tell = on_progress or (lambda share, what: None)
    rng = np.random.default_rng(seed)

    tell(0.0, "borders")
    settled = settle(territory(rng), grids=grids, towns=_divisions.townships_per_county(), rng=rng)
    cells = tiling(settled.seeds, fixed=settled.guards, rng=rng)
    divisions = _divisions.divide(cells, settled, rng)
    frame = _grids(cells, divisions)
    outline, counties, townships, communities = _areas(cells, divisions)

    tell(0.4, "people")
    urban = _people.urban(frame, divisions)
    frame = _people.settle_people(frame, divisions, urban, rng)
    micro = _micro_grids.divide(frame, divisions, rng)

    tell(0.6, "streets")
    streets = _streets.lay(cells, divisions, urban, rng)
    doors = _places.doors(streets, cells, frame, rng)

    tell(0.8, "places")
    county, township, community = divisions.county, divisions.township, divisions.community
    return DemoCity(
        outline=outline,
        counties=_with_people(counties, frame, county),
        townships=_with_people(townships, frame, township),
        communities=_with_people(communities, frame, community),
        grids=frame,
        micro_grids=micro,
        streets=streets,
        demand=_places.demand(frame, doors),
        buildings=_places.buildings(frame, doors, rng),
        facilities=_places.facilities(frame, doors, urban, rng),
        candidates=_places.candidates(frame, doors, urban, rng),
        addresses=_addresses.make(frame, divisions, streets, cells, urban, rng),
        register=_people.register(frame, communities, rng),
        staff=_people.staff(frame, rng),
    )


def _grids(cells: Tiling, divisions: Divisions) -> gpd.GeoDataFrame:
    """The grids, in the order of their codes."""
    polygons = gpd.GeoSeries(cells.polygons(), crs=PLANE_EPSG)
    centroid = polygons.centroid
    middle = np.column_stack([centroid.x, centroid.y])
    upper = divisions.communities["code"].to_numpy()
    codes = _divisions.number(divisions.community, upper, middle)
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "name": [grid_name(int(code[-3:])) for code in codes],
            "kind": "基础网格",
            "parent_code": upper[divisions.community],
        },
        geometry=polygons,
    )


def _with_people(
    areas: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, area_of: npt.NDArray[np.int64]
) -> gpd.GeoDataFrame:
    """Give areas the sums of their grids, so that every level tells the same numbers."""
    columns = ["households", "population", "population_60", "riders"]
    sums = grids[columns].groupby(area_of).sum().reindex(range(len(areas)), fill_value=0)
    return areas.assign(**{column: sums[column].to_numpy() for column in columns})


def _areas(cells: Tiling, divisions: Divisions) -> tuple[gpd.GeoDataFrame, ...]:
    """City, counties, townships and communities, from the arcs between them."""
    city = pd.DataFrame(
        {"code": [CITY_CODE], "name": [CITY_NAME], "kind": ["地级市"], "parent_code": [""]}
    )
    whole = np.zeros(len(cells.seeds), np.int64)
    parts = (
        (city, whole),
        (divisions.counties, divisions.county),
        (divisions.townships, divisions.township),
        (divisions.communities, divisions.community),
    )
    return tuple(
        gpd.GeoDataFrame(table, geometry=cells.polygons(region), crs=PLANE_EPSG)
        for table, region in parts
    )
