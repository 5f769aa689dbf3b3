"""The demo city's address table: house numbers along its streets, and villages without streets."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import crs
from geo_service.demo_city._divisions import Divisions
from geo_service.demo_city._places import set_back
from geo_service.demo_city._streets import Streets
from geo_service.demo_city._territory import PLANE_EPSG
from geo_service.demo_city._tiling import Tiling
from geo_service.locate import Locator

FloatArray = npt.NDArray[np.float64]

FULL_CITY_ADDRESSES = 32_000

_CITY_GRIDS = 18_936
_URBAN_SHARE = 0.75
_COMPOUND_SHARE = 0.35
_HOUSE_EVERY_M = 14.0
_SET_BACK, _SET_BACK_M = 0.06, 20.0  # of the way from the street to the grid's middle, at most

_COMPOUNDS = tuple(
    f"{a}{b}"
    for a in (
        "锦绣",
        "阳光",
        "瑞贝卡",
        "金叶",
        "碧水",
        "莲城",
        "许都",
        "帝景",
        "文景",
        "祥瑞",
        "盛世",
        "学府",
    )
    for b in ("家园", "花园", "小区", "名邸", "苑", "公馆", "嘉园", "新城", "华府", "丽舍")
)


def make(
    grids: gpd.GeoDataFrame,
    divisions: Divisions,
    streets: Streets,
    tiling: Tiling,
    built: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Give the address table: full text, its parts, WGS84 position and grid.

    Every point lies in the grid it names; every text stands once.
    """
    total = max(400, round(FULL_CITY_ADDRESSES * len(grids) / _CITY_GRIDS))
    urban = _by_street(grids, divisions, streets, tiling, built, round(total * _URBAN_SHARE), rng)
    rural = _by_village(grids, divisions, streets, tiling, built, total - len(urban), rng)
    table = pd.concat([urban, rural], ignore_index=True).drop_duplicates("address")
    # A street is straighter than the border it follows, so a house may stand across it.
    held = Locator(grids).locate_xy(table["x"], table["y"], distances=False)
    table = table[held.codes == table["code"].to_numpy()]
    lon, lat = crs.Plane.of(PLANE_EPSG).inverse(table.pop("x"), table.pop("y"))
    table = table.assign(lon=np.round(lon, 7), lat=np.round(lat, 7))
    return table.sort_values("address", ignore_index=True)


def _by_street(
    grids: gpd.GeoDataFrame,
    divisions: Divisions,
    streets: Streets,
    tiling: Tiling,
    built: npt.NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Houses along named streets, numbers rising along each, odd on one side, even on the other."""
    named = np.array([bool(name) for name in streets.name])
    sides = [(tiling.left[streets.arc], 1), (tiling.right[streets.arc], 0)]
    options = [(row, side) for cells, side in sides
               for row in np.flatnonzero(named & built[cells]).tolist()]  # fmt: skip
    options.sort()
    if not options:
        return pd.DataFrame()
    row, side = np.array(options)[rng.choice(len(options), count, replace=len(options) < count)].T
    arc = streets.arc[row]
    cell = np.where(side == 1, tiling.left[arc], tiling.right[arc])
    lines = _street_lines(streets)[row]
    share = rng.uniform(0.15, 0.85, count)
    on_street = shapely.get_coordinates(
        shapely.line_interpolate_point(lines, share, normalized=True)
    )
    xy = set_back(on_street, tiling.seeds[cell], share=_SET_BACK, most_m=_SET_BACK_M)
    # A small city has the streets of a large one, only longer; its house numbers stay readable.
    spacing_m = _HOUSE_EVERY_M * np.sqrt(_CITY_GRIDS / len(grids))
    along = _number_along(streets, tiling)[row] + share * shapely.length(lines)
    number = 2 * (along / spacing_m).astype(int) + 1 + (side == 0)
    draw = rng.random(count)
    in_compound = draw < _COMPOUND_SHARE
    compound = np.array(_COMPOUNDS)[(cell * 7 + row) % len(_COMPOUNDS)]
    block, stair = (draw * 100).astype(int) % 12 + 1, (draw * 1000).astype(int) % 4 + 1
    building = [f"{b}号楼{u}单元" for b, u in zip(block.tolist(), stair.tolist(), strict=True)]
    table = _area_names(divisions, cell).assign(
        road=np.array(streets.name, object)[row],
        number=[f"{n}号" for n in number.tolist()],
        compound=np.where(in_compound, compound, ""),
        building=np.where(in_compound, building, ""),
        code=grids["code"].to_numpy()[cell],
        x=xy[:, 0],
        y=xy[:, 1],
    )
    # Half of a city's table names the community, half goes straight from street office to road.
    community = np.where(rng.random(len(table)) < 0.5, table["community"], "")
    text = "河南省许昌市" + table["county"] + table["township"] + community
    text += table["road"] + table["number"] + table["compound"] + table["building"]
    return table.assign(address=text).drop_duplicates(
        ["county", "township", "road", "number", "compound", "building"]
    )


def _by_village(
    grids: gpd.GeoDataFrame,
    divisions: Divisions,
    streets: Streets,
    tiling: Tiling,
    built: npt.NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Village houses: numbered through the village, no road named."""
    cell = rng.choice(np.flatnonzero(~built), size=count)
    xy = tiling.seeds[cell] + rng.uniform(-15.0, 15.0, (count, 2))
    table = _area_names(divisions, cell)
    step = pd.Series(rng.integers(1, 4, count)).groupby(divisions.community[cell]).cumsum()
    table = table.assign(
        road="",
        number=[f"{n}号" for n in step.tolist()],
        compound="",
        building="",
        code=grids["code"].to_numpy()[cell],
        x=xy[:, 0],
        y=xy[:, 1],
    )
    text = "河南省许昌市" + table["county"] + table["township"] + table["community"]
    return table.assign(address=text + table["number"])


def _area_names(divisions: Divisions, cell: npt.NDArray[np.int64]) -> pd.DataFrame:
    areas = (
        ("county", divisions.counties, divisions.county),
        ("township", divisions.townships, divisions.township),
        ("community", divisions.communities, divisions.community),
    )
    return pd.DataFrame(
        {level: table["name"].to_numpy(object)[of[cell]] for level, table, of in areas}
    )


def _street_lines(streets: Streets) -> npt.NDArray[np.object_]:
    """The line of each arc's street, metres in the working plane."""
    nodes = [streets.ways[way][1] for way in streets.arc_way.tolist()]
    size = [len(each) for each in nodes]
    lines: npt.NDArray[np.object_] = shapely.linestrings(
        streets.xy[np.concatenate(nodes)], indices=np.repeat(np.arange(len(nodes)), size)
    )
    return lines


def _number_along(streets: Streets, tiling: Tiling) -> FloatArray:
    """Metres from the beginning of its street at which each piece begins, west or south first."""
    length = np.hypot(*(tiling.nodes[tiling.start] - tiling.nodes[tiling.end]).T)[streets.arc]
    middle = (tiling.nodes[tiling.start] + tiling.nodes[tiling.end])[streets.arc] / 2.0
    begin = np.zeros(len(streets.arc))
    order = np.lexsort((middle[:, 1], middle[:, 0]))
    reached: dict[str, float] = {}
    for row in order.tolist():
        name = f"{streets.name[row]}"
        begin[row] = reached.get(name, 0.0)
        reached[name] = begin[row] + float(length[row])
    return begin
