"""Communities, townships and counties as groups of grids, with their codes and names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from geo_service import codes
from geo_service.demo_city._settlement import Settlement
from geo_service.demo_city._territory import COUNTIES, FloatArray, IntArray
from geo_service.demo_city._tiling import Tiling

CITY_CODE, CITY_NAME = "411000", "许昌市"
MICRO_GRID_TOWNSHIP = "411002010"  # 文峰街道

# The two subdistricts coded 411071 belong to a functional zone: real for residents, not a legal
# county. They lie in Jian'an here; their parent_code says so, their codes stay as they are.
_ZONE_PREFIX, _ZONE_COUNTY = "411071", "411003"
_GRIDS_PER_COMMUNITY = 6.0
_REGION_ROUNDS = 12
_FIRST_VILLAGE = 200  # statistical codes: 001-199 residents' committees, 200-399 villages

_SURNAMES = (
    "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
    "苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史"
    "顾侯邵孟龙万段钱汤尹黎易常武乔贺赖龚文"
)
_VILLAGE_ENDS = ("庄", "楼", "寨", "营", "店", "湾", "岗", "沟", "桥", "铺", "堂", "集", "坡", "洼")
_ESTATES = [
    "文峰",
    "莲城",
    "建设",
    "许继",
    "春秋",
    "灞陵",
    "曹魏",
    "八一",
    "七一",
    "五一",
    "新兴",
    "健康",
    "光明",
    "和平",
    "胜利",
    "解放",
    "友谊",
    "团结",
    "幸福",
    "向阳",
    "前进",
    "永昌",
    "隆昌",
    "兴业",
    "创业",
    "学府",
    "书院",
    "钟楼",
    "清潩",
    "北海",
    "西湖",
    "东湖",
    "天宝",
    "许都",
    "魏武",
    "建安",
    "劳动",
    "工农",
    "延安",
    "毓秀",
    "望田",
    "三里",
    "五里",
    "七里",
    "半截河",
    "大同",
    "祥和",
    "康乐",
    "安居",
    "宏腾",
    "瑞贝卡",
    "帝豪",
    "金叶",
    "天平",
    "碧水",
    "滨河",
    "翠园",
    "兰亭",
    "锦绣",
    "阳光",
    "世纪",
    "时代",
    "花溪",
    "龙泉",
    "凤凰",
    "颍河",
    "双洎",
    "禹王",
    "钧台",
    "夏都",
    "葛天",
    "长社",
    "鄢陵花都",
    "首山",
    "汝河",
]


@dataclass(frozen=True)
class Divisions:
    """Which community each grid belongs to, and upwards, with codes and names.

    Parameters
    ----------
    community, township, county : ndarray of int, shape (grids,)
        Rows of the tables below.
    counties, townships, communities : DataFrame
        Columns code, name, kind, parent_code.
    """

    community: IntArray
    township: IntArray
    county: IntArray
    counties: pd.DataFrame
    townships: pd.DataFrame
    communities: pd.DataFrame


def township_table() -> pd.DataFrame:
    """Give the 105 townships: code, name, kind, parent_code (the legal county)."""
    path = resources.files("geo_service") / "defaults" / "xuchang_townships.csv"
    with path.open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=str)
    parent = table["county_code"].replace(_ZONE_PREFIX, _ZONE_COUNTY)
    kind = [_township_kind(name) for name in table["name"]]
    return pd.DataFrame(
        {"code": table["code"], "name": table["name"], "kind": kind, "parent_code": parent}
    )


def townships_per_county() -> IntArray:
    """Give how many townships lie in each of `COUNTIES`."""
    counted = township_table()["parent_code"].value_counts()
    return np.array([counted[county.code] for county in COUNTIES])


def divide(tiling: Tiling, settled: Settlement, rng: np.random.Generator) -> Divisions:
    """Group grids into townships and communities, each connected, and name them."""
    townships = township_table()
    apart = _graph(tiling, settled.county)
    sources = [_sources(tiling.seeds, settled, k) for k in range(len(COUNTIES))]
    found, centres = _regions(apart, tiling.seeds, np.concatenate(sources))
    township = _by_closeness_to_seat(found, tiling.seeds[centres], settled, townships)
    community, table = _communities(tiling, township, townships, rng)
    counties = pd.DataFrame(
        {
            "code": [county.code for county in COUNTIES],
            "name": [county.name for county in COUNTIES],
            "kind": [county.kind for county in COUNTIES],
            "parent_code": CITY_CODE,
        }
    )
    return Divisions(community, township, settled.county, counties, townships, table)


def number(parent: IntArray, parent_codes: FloatArray, xy: FloatArray) -> list[str]:
    """Number the children of each parent west to east, north to south: parent code + 3 digits."""
    result = np.empty(len(parent), object)
    order = np.argsort(parent, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(parent[order])) + 1):
        ranked = rows[codes.order_west_east(xy[rows, 0], xy[rows, 1])]
        for position, row in enumerate(ranked, start=1):
            result[row] = f"{parent_codes[parent[row]]}{position:03d}"
    return result.tolist()


def _township_kind(name: str) -> str:
    for ending, kind in (("街道", "街道"), ("镇", "镇"), ("乡", "乡")):
        if name.endswith(ending):
            return kind
    return "功能区"


def _graph(tiling: Tiling, label: IntArray) -> csr_array:
    """Cells as a graph, cut between cells of different labels; metres from seed to seed."""
    one, other = tiling.neighbours()
    same = label[one] == label[other]
    one, other = one[same], other[same]
    metres = np.hypot(*(tiling.seeds[one] - tiling.seeds[other]).T)
    count = len(tiling.seeds)
    return csr_array((metres, (one, other)), shape=(count, count))


def _sources(seeds: FloatArray, settled: Settlement, county: int) -> IntArray:
    """Give each town centre the nearest grid that no other town has taken."""
    cells = np.flatnonzero(settled.county == county)
    taken: list[int] = []
    for town in settled.towns[county]:
        near = cells[np.argsort(np.hypot(*(seeds[cells] - town).T), kind="stable")]
        taken.append(next(int(cell) for cell in near if cell not in taken))
    return np.array(taken)


def _regions(graph: csr_array, xy: FloatArray, sources: IntArray) -> tuple[IntArray, IntArray]:
    """Grow connected regions around sources, and move the sources to the regions' middles.

    A region is what has its shortest way to the source: always connected, and never empty.
    """
    region = np.empty(len(xy), np.int64)
    for last in (*[False] * _REGION_ROUNDS, True):
        _, _, nearest = dijkstra(
            graph, directed=False, indices=sources, return_predecessors=True, min_only=True
        )
        rank = np.empty(len(xy), np.int64)
        rank[sources] = np.arange(len(sources))
        region = rank[nearest]
        if not last:
            sources = _middles(region, xy, len(sources))
    return region, sources


def _middles(region: IntArray, xy: FloatArray, count: int) -> IntArray:
    """The cell of each region that is nearest to the mean of its cells."""
    size = np.bincount(region, minlength=count)
    mean = np.column_stack([np.bincount(region, xy[:, k], count) / size for k in (0, 1)])
    off = np.hypot(*(xy - mean[region]).T)
    order = np.lexsort((off, region))
    return order[np.searchsorted(region[order], np.arange(count))]


def _by_closeness_to_seat(
    region: IntArray, centres: FloatArray, settled: Settlement, townships: pd.DataFrame
) -> IntArray:
    """Give regions their rows in the table: subdistricts to those nearest the county seat."""
    rank = {"街道": 0, "功能区": 1, "镇": 2, "乡": 3}
    row_of = np.empty(len(centres), np.int64)
    first = 0
    for k, county in enumerate(COUNTIES):
        mine = np.arange(first, first + len(settled.towns[k]))
        first += len(mine)
        rows = townships.index[townships["parent_code"] == county.code].to_numpy()
        rows = rows[np.argsort([rank[kind] for kind in townships["kind"][rows]], kind="stable")]
        away = np.hypot(*(centres[mine] - settled.towns[k][0]).T)
        row_of[mine[np.argsort(away, kind="stable")]] = rows
    return row_of[region]


def _communities(
    tiling: Tiling, township: IntArray, townships: pd.DataFrame, rng: np.random.Generator
) -> tuple[IntArray, pd.DataFrame]:
    size = np.bincount(township, minlength=len(townships))
    wanted = np.maximum(1, np.round(size / _GRIDS_PER_COMMUNITY)).astype(int)
    sources = [
        rng.choice(np.flatnonzero(township == row), size=count, replace=False)
        for row, count in enumerate(wanted)
    ]
    region, centres = _regions(_graph(tiling, township), tiling.seeds, np.concatenate(sources))
    parent = np.repeat(np.arange(len(wanted)), wanted)
    middle = np.array([tiling.seeds[township == row].mean(axis=0) for row in range(len(wanted))])
    return region, _community_table(tiling.seeds[centres], parent, middle, townships, rng)


def _community_table(
    centres: FloatArray,
    parent: IntArray,
    middle: FloatArray,
    townships: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Number and name communities: residents' committees in the middle, villages around it."""
    code, name, kind = (np.empty(len(parent), object) for _ in range(3))
    for row in range(len(middle)):
        mine = np.flatnonzero(parent == row)
        mine = mine[np.argsort(np.hypot(*(centres[mine] - middle[row]).T), kind="stable")]
        share = {"街道": 1.0, "功能区": 1.0, "镇": 0.2, "乡": 0.1}[townships["kind"][row]]
        urban = max(1, round(share * len(mine)))
        estates = rng.permutation(_ESTATES)
        villages = _village_names(rng, len(mine))
        for position, community in enumerate(mine):
            is_urban = position < urban
            serial = position + 1 if is_urban else _FIRST_VILLAGE + position - urban
            code[community] = f"{townships['code'][row]}{serial:03d}"
            kind[community] = "社区" if is_urban else "村"
            own = estates[position] if position < len(estates) else villages[position]
            name[community] = f"{own}社区" if is_urban else f"{villages[position]}村"
    upper = townships["code"].to_numpy()[parent]
    return pd.DataFrame({"code": code, "name": name, "kind": kind, "parent_code": upper})


def _village_names(rng: np.random.Generator, count: int) -> list[str]:
    """Names such as 小李庄, none twice."""
    fronts = ("", "", "", "大", "小", "东", "西", "前", "后")
    every = len(fronts[2:]) * len(_SURNAMES) * len(_VILLAGE_ENDS)
    picked = rng.choice(every, size=count, replace=False)
    front, rest = np.divmod(picked, len(_SURNAMES) * len(_VILLAGE_ENDS))
    surname, end = np.divmod(rest, len(_VILLAGE_ENDS))
    names = zip(front, surname, end, strict=True)
    return [f"{fronts[2:][f]}{_SURNAMES[s]}{_VILLAGE_ENDS[e]}" for f, s, e in names]
