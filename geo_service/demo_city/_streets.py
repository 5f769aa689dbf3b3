"""Streets of the demo city: along the borders of its grids, across rivers only at bridges.

Streets follow the tiling's arcs, the wider the higher the area they part. Two rivers run along
arcs; streets end before them except at a bridge. Urban grids get footways through, and compounds
with gates of every kind. A motorway crosses everything and touches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import osmium
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree

from geo_service import crs
from geo_service.demo_city._divisions import Divisions
from geo_service.demo_city._territory import OUTSIDE, PLANE_EPSG, FloatArray, IntArray
from geo_service.demo_city._tiling import Tiling

Tags = dict[str, str]

RESIDENTIAL, TERTIARY, SECONDARY = range(3)
_HIGHWAYS = ("residential", "tertiary", "secondary")
_KEPT_RESIDENTIAL = 0.6  # beyond what keeps every corner reachable
_BENDS = 4  # a street takes every fourth vertex of its arc
_BRIDGES, _BRIDGE_EVERY = 15, 9  # at least so many a river, else one in so many corners
_TIMESTAMP = "2026-01-01T00:00:00Z"

_FIRST = "文建八新永和长平东西南北光兴望毓春许天龙颍禹葛鄢汝首金玉明德仁义礼智信福祥瑞康泰"
_SECOND = "昌设一华安兴乐宁城园湖山岭河桥泉林苑阳辉耀盛隆裕达通顺庆丰源泽润清秀丽景"
_ENDINGS = ("路", "路", "路", "街", "街", "大道", "巷")

# What stands at a compound's gate, and how often.
_GATES: tuple[tuple[float, Tags], ...] = (
    (0.35, {"barrier": "gate"}),
    (0.35, {"barrier": "gate", "access": "private"}),
    (0.15, {"barrier": "gate", "locked": "yes"}),
    (0.15, {"barrier": "lift_gate", "foot": "yes"}),
)


@dataclass(frozen=True)
class Streets:
    """The map's nodes and ways.

    Parameters
    ----------
    xy : ndarray, shape (nodes, 2)
        Metres in the working plane.
    node_tags : dict
        Node -> tags, for gates.
    ways : list of (Tags, ndarray of int)
        Tags and the nodes they run through.
    arc, arc_way : ndarray of int
        Which arcs of the tiling carry a street, and the way it is.
    name : list of str
        Of each such arc's street; empty where it has none.
    """

    xy: FloatArray
    node_tags: dict[int, Tags]
    ways: list[tuple[Tags, IntArray]]
    arc: IntArray
    arc_way: IntArray
    name: list[str]


class _Sheet:
    """Nodes and ways while they are drawn."""

    def __init__(self, xy: FloatArray) -> None:
        self.xy = [*xy]
        self.node_tags: dict[int, Tags] = {}
        self.ways: list[tuple[Tags, IntArray]] = []

    def node(self, xy: FloatArray, **tags: str) -> int:
        self.xy.append(xy)
        if tags:
            self.node_tags[len(self.xy) - 1] = tags
        return len(self.xy) - 1

    def way(self, nodes: list[int], **tags: str) -> int:
        self.ways.append((tags, np.array(nodes, np.int64)))
        return len(self.ways) - 1


def lay(
    tiling: Tiling, divisions: Divisions, urban: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Streets:
    """Lay the streets of a city.

    Parameters
    ----------
    tiling : Tiling
    divisions : Divisions
    urban : ndarray of bool, shape (grids,)
        Which grids are built up.
    rng : numpy.random.Generator
    """
    sheet = _Sheet(tiling.nodes)
    rank = _ranks(tiling, divisions)
    rivers = _rivers(tiling, rank, rng)
    bridges = _bridges(tiling, rank, rivers)
    blocked = np.zeros(len(tiling.nodes), bool)  # corners where a street ends at the water
    for river in rivers:
        blocked[tiling.start[river]] = blocked[tiling.end[river]] = True
    blocked[tiling.start[bridges]] = blocked[tiling.end[bridges]] = False
    dry = rank >= 0
    dry[np.concatenate(rivers)] = False
    dry[bridges] = True
    carried = _carried(tiling, rank, dry, blocked, urban, rng)
    names = _names(tiling, carried, rank, divisions, urban, rng)
    arc_way = _draw_arcs(sheet, tiling, carried, rank, blocked, bridges, names)
    for river, name in zip(rivers, ("清潩河", "颍河"), strict=False):
        _draw_river(sheet, tiling, river, name)
    streets_and_rivers = len(sheet.ways)
    _draw_urban(sheet, tiling, carried, arc_way, urban, rng)
    _drop_across_water(sheet, streets_and_rivers)
    _draw_motorway(sheet, tiling)
    return Streets(np.array(sheet.xy), sheet.node_tags, sheet.ways, carried, arc_way, names)


def write_pbf(streets: Streets, path: str | Path) -> None:
    """Write the streets as an OSM extract; the same streets give the same file."""
    target = Path(path)
    target.unlink(missing_ok=True)
    lon, lat = crs.Plane.of(PLANE_EPSG).inverse(streets.xy[:, 0], streets.xy[:, 1])
    place = np.round(np.column_stack([lon, lat]), 7).tolist()
    header = osmium.io.Header()
    header.set("generator", "geo-service demo SYNTHETIC")
    with osmium.SimpleWriter(str(target), header=header) as writer:
        for node, location in enumerate(place):
            writer.add_node(
                osmium.osm.mutable.Node(
                    id=node + 1, version=1, timestamp=_TIMESTAMP, location=location,
                    tags=streets.node_tags.get(node),
                )
            )  # fmt: skip
        for way, (tags, nodes) in enumerate(streets.ways):
            writer.add_way(
                osmium.osm.mutable.Way(
                    id=way + 1, version=1, timestamp=_TIMESTAMP, nodes=(nodes + 1).tolist(),
                    tags=tags,
                )
            )  # fmt: skip


def _ranks(tiling: Tiling, divisions: Divisions) -> IntArray:
    """The street class of each arc by what it parts; -1 on the rim."""
    inner = (tiling.left != OUTSIDE) & (tiling.right != OUTSIDE)
    rank = np.where(inner, RESIDENTIAL, -1)
    for group, higher in ((divisions.community, TERTIARY), (divisions.township, SECONDARY)):
        rank[inner & (group[tiling.left] != group[tiling.right])] = higher
    return rank


def _lengths(tiling: Tiling) -> FloatArray:
    return np.hypot(*(tiling.nodes[tiling.start] - tiling.nodes[tiling.end]).T)


def _rivers(tiling: Tiling, rank: IntArray, rng: np.random.Generator) -> list[IntArray]:
    """Two chains of arcs from rim to rim: north to south, and west to east below the middle."""
    usable = np.flatnonzero(rank >= 0)
    cost = _lengths(tiling)[usable] * np.where(rank[usable] > RESIDENTIAL, 1.0, 2.5)
    cost *= rng.uniform(0.7, 1.3, len(usable))
    count = len(tiling.nodes)
    graph = coo_array(
        (cost, (tiling.start[usable], tiling.end[usable])), shape=(count, count)
    ).tocsr()
    arc_of = {frozenset((int(tiling.start[arc]), int(tiling.end[arc]))): int(arc) for arc in usable}
    low, high = tiling.nodes.min(axis=0), tiling.nodes.max(axis=0)
    corner = np.unique(np.concatenate([tiling.start[usable], tiling.end[usable]]))
    courses = (((0.62, 1.0), (0.58, 0.0)), ((0.0, 0.62), (1.0, 0.12)))
    rivers: list[IntArray] = []
    for source, mouth in courses:
        first, last = (
            int(corner[np.hypot(*(tiling.nodes[corner] - (low + end * (high - low))).T).argmin()])
            for end in (np.array(source), np.array(mouth))
        )
        back = dijkstra(graph, directed=False, indices=[first], return_predecessors=True)[1][0]
        chain = []
        while last != first and back[last] >= 0:
            chain.append(arc_of[frozenset((int(back[last]), last))])
            last = int(back[last])
        rivers.append(np.array(chain[::-1], np.int64))
    return rivers


def _bridges(tiling: Tiling, rank: IntArray, rivers: list[IntArray]) -> IntArray:
    """River arcs that a street takes to the other bank.

    Three arcs meet at a corner: the river takes two, and the third leads to one bank. So a bridge
    stands where the third arcs at both ends of a river arc lie on different banks.
    """
    wet = np.concatenate(rivers)
    banks = _third_arcs(tiling, rank, wet)
    bridges: list[int] = []
    for river in rivers:
        every = max(2, min(_BRIDGE_EVERY, len(river) // _BRIDGES))
        since = every // 2
        for arc in river.tolist():
            since += 1
            ends = int(tiling.start[arc]), int(tiling.end[arc])
            if since < every or not all(end in banks for end in ends):
                continue
            along = tiling.nodes[ends[1]] - tiling.nodes[ends[0]]
            turns = [float(along[0] * banks[e][1] - along[1] * banks[e][0]) for e in ends]
            if turns[0] * turns[1] < 0:
                bridges.append(arc)
                since = 0
    return np.array(bridges, np.int64)


def _third_arcs(tiling: Tiling, rank: IntArray, wet: IntArray) -> dict[int, FloatArray]:
    """Corner on a river -> direction of the one arc there that is no river."""
    on_river = np.zeros(len(tiling.nodes), bool)
    on_river[tiling.start[wet]] = on_river[tiling.end[wet]] = True
    dry = np.setdiff1d(np.flatnonzero(rank >= 0), wet)
    found: dict[int, FloatArray] = {}
    for one, other in ((tiling.start, tiling.end), (tiling.end, tiling.start)):
        for arc in dry[on_river[one[dry]]].tolist():
            found[int(one[arc])] = tiling.nodes[other[arc]] - tiling.nodes[one[arc]]
    return found


def _carried(
    tiling: Tiling,
    rank: IntArray,
    dry: npt.NDArray[np.bool_],
    blocked: npt.NDArray[np.bool_],
    urban: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> IntArray:
    """Arcs that carry a street: every main one, and of the others enough to reach all corners."""
    open_ = np.flatnonzero(dry & ~(blocked[tiling.start] & blocked[tiling.end]))
    joins = open_[~(blocked[tiling.start] | blocked[tiling.end])[open_]]
    weight = 4.0 - rank[joins] + rng.random(len(joins))
    count = len(tiling.nodes)
    graph = coo_array((weight, (tiling.start[joins], tiling.end[joins])), shape=(count, count))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    in_tree = set(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
    needed = np.array(
        [(a, b) in in_tree or (b, a) in in_tree
         for a, b in zip(tiling.start[open_].tolist(), tiling.end[open_].tolist(), strict=True)]
    )  # fmt: skip
    dense = urban[tiling.left[open_]] | urban[tiling.right[open_]]
    extra = rng.random(len(open_)) < np.where(dense, 0.85, _KEPT_RESIDENTIAL)
    return open_[needed | (rank[open_] > RESIDENTIAL) | extra]


def _names(
    tiling: Tiling,
    carried: IntArray,
    rank: IntArray,
    divisions: Divisions,
    urban: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> list[str]:
    """Name streets that run straight on under one name; no name twice in a county."""
    street = _runs(tiling, carried, rank)
    named = (rank[carried] > RESIDENTIAL) | urban[tiling.left[carried]]
    county = divisions.county[tiling.left[carried]]
    pools = [_name_pool(rng) for _ in range(int(divisions.county.max()) + 1)]
    taken: dict[int, str] = {}
    names: list[str] = []
    for run, here, has_name in zip(street.tolist(), county.tolist(), named.tolist(), strict=True):
        if has_name and run not in taken:
            taken[run] = pools[here].pop()
        names.append(taken[run] if has_name else "")
    return names


def _name_pool(rng: np.random.Generator) -> list[str]:
    every = [a + b for a in _FIRST for b in _SECOND]
    picked = rng.permutation(len(every))
    pool = [every[i] + _ENDINGS[i % len(_ENDINGS)] for i in picked.tolist()]
    # Where a county has more streets than names, lanes are numbered.
    return [f"{name}{k}巷" for k in range(30, 0, -1) for name in pool] + pool


def _runs(tiling: Tiling, carried: IntArray, rank: IntArray) -> IntArray:
    """Number the streets: at each corner the two straightest arcs of one class are one street."""
    ends: dict[int, list[tuple[int, FloatArray]]] = {}
    for row, arc in enumerate(carried.tolist()):
        a, b = int(tiling.start[arc]), int(tiling.end[arc])
        way = tiling.nodes[b] - tiling.nodes[a]
        way = way / np.hypot(*way)
        ends.setdefault(a, []).append((row, way))
        ends.setdefault(b, []).append((row, -way))
    root = list(range(len(carried)))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for meeting in ends.values():
        turns = [
            (float(one @ other), i, j)
            for position, (i, one) in enumerate(meeting)
            for j, other in meeting[position + 1 :]
            if rank[carried[i]] == rank[carried[j]]
        ]
        if turns and min(turns)[0] < -0.3:
            _, i, j = min(turns)
            root[find(i)] = find(j)
    return np.array([find(row) for row in range(len(carried))])


def _draw_arcs(
    sheet: _Sheet,
    tiling: Tiling,
    carried: IntArray,
    rank: IntArray,
    blocked: npt.NDArray[np.bool_],
    bridges: IntArray,
    names: list[str],
) -> IntArray:
    ways = []
    over_water = set(bridges.tolist())
    for arc, name in zip(carried.tolist(), names, strict=True):
        first, last = int(tiling.offsets[arc]), int(tiling.offsets[arc + 1])
        bends = tiling.points[first + _BENDS : last - 1 : _BENDS]
        if not len(bends) or arc in over_water:
            bends = tiling.points[[first, last - 1]].mean(axis=0, keepdims=True)
        nodes = [sheet.node(xy) for xy in bends]
        start, end = int(tiling.start[arc]), int(tiling.end[arc])
        if not blocked[start]:
            nodes.insert(0, start)
        if not blocked[end]:
            nodes.append(end)
        tags: Tags = {"highway": _HIGHWAYS[rank[arc]]}
        if arc in over_water:
            tags["bridge"] = "yes"
        ways.append(sheet.way(nodes, **tags, **({"name": name} if name else {})))
    return np.array(ways, np.int64)


def _draw_river(sheet: _Sheet, tiling: Tiling, river: IntArray, name: str) -> None:
    for arc in river.tolist():
        points = tiling.points[tiling.offsets[arc] : tiling.offsets[arc + 1] : 2]
        if len(points) > 1:
            sheet.way([sheet.node(xy) for xy in points], waterway="river", name=name)


def _draw_urban(
    sheet: _Sheet,
    tiling: Tiling,
    carried: IntArray,
    arc_way: IntArray,
    urban: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Footways through built-up grids, and compounds behind gates."""
    doors = _doors(tiling, carried, arc_way, sheet)
    chance = np.cumsum([share for share, _ in _GATES])
    for cell in np.flatnonzero(urban).tolist():
        at = doors.get(cell, [])
        if len(at) < 2:
            continue
        seed = tiling.seeds[cell]
        draw = rng.random(4)
        if draw[0] < 0.45:
            _draw_footway(sheet, at, seed, draw[1], rng)
        else:
            _, gate = _GATES[min(int(np.searchsorted(chance, draw[1])), len(_GATES) - 1)]
            _draw_compound(sheet, at[int(draw[2] * len(at))], seed, gate, draw[3])


def _doors(
    tiling: Tiling, carried: IntArray, arc_way: IntArray, sheet: _Sheet
) -> dict[int, list[int]]:
    """Cell -> nodes of the streets around it, one a street."""
    doors: dict[int, list[int]] = {}
    for arc, way in zip(carried.tolist(), arc_way.tolist(), strict=True):
        nodes = sheet.ways[way][1]
        for cell in (int(tiling.left[arc]), int(tiling.right[arc])):
            doors.setdefault(cell, []).append(int(nodes[len(nodes) // 2]))
    return doors


def _draw_footway(
    sheet: _Sheet, at: list[int], seed: FloatArray, draw: float, rng: np.random.Generator
) -> None:
    first, last = rng.choice(len(at), size=2, replace=False).tolist()
    middle = sheet.node(seed)
    if draw < 0.1:
        sheet.way([at[first], middle], highway="footway")
        sheet.way([middle, at[last]], highway="steps")
    elif draw < 0.15:
        sheet.way([at[first], middle, at[last]], highway="footway", **{"oneway:foot": "yes"})
    else:
        sheet.way([at[first], middle, at[last]], highway="path" if draw > 0.8 else "footway")


def _draw_compound(sheet: _Sheet, door: int, seed: FloatArray, gate: Tags, draw: float) -> None:
    outside = np.asarray(sheet.xy[door])
    at_gate = sheet.node(outside + 0.15 * (seed - outside), **gate)
    inside = sheet.node(seed)
    aside = np.array([-(seed - outside)[1], (seed - outside)[0]]) * 0.2
    lane = {"highway": "service", "service": "driveway"}
    if draw < 0.15:
        lane["access"] = "private"
    sheet.way([door, at_gate, inside], **lane)
    sheet.way([sheet.node(seed + aside), inside, sheet.node(seed - aside)], **lane)


def _drop_across_water(sheet: _Sheet, first: int) -> None:
    """Drop the ways from one on that would cross a river without a bridge."""
    xy = np.array(sheet.xy)
    lines = np.array([shapely.LineString(xy[nodes]) for _, nodes in sheet.ways], object)
    wet = [row for row, (tags, _) in enumerate(sheet.ways) if "waterway" in tags]
    later, _ = shapely.STRtree(lines[wet]).query(lines[first:], predicate="crosses")
    for row in sorted(set(later.tolist()), reverse=True):
        del sheet.ways[first + row]


def _draw_motorway(sheet: _Sheet, tiling: Tiling) -> None:
    low, high = tiling.nodes.min(axis=0), tiling.nodes.max(axis=0)
    share = np.linspace(0.02, 0.98, 60)
    x = low[0] + share * (high[0] - low[0])
    y = low[1] + (0.55 + 0.05 * np.sin(share * 7.0)) * (high[1] - low[1])
    nodes = [sheet.node(xy) for xy in np.column_stack([x, y])]
    tags = {"highway": "motorway", "bridge": "yes", "layer": "1", "name": "许昌绕城高速"}
    sheet.way(nodes, **tags)
