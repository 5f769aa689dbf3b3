"""Atoms as a graph, with the borders between them priced by the lines they run on."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing import _objective, _partition
from geo_service.drawing._resplit import Table

BORDER_COST = {"major": -0.95, "rail": -0.43, "water": -0.43, "line": -0.95, "street": -0.24,
               "minor": 0.24, "none": 0.58}  # fmt: skip
"""What a border costs by the line it runs on, per length of a mean grid's outline.

Below nothing: wanted. ``none`` is a straight cut on open ground.
"""

TREE_BIAS = 0.6
"""How much the first trees heed what a border costs."""

_ON_LINE_M = 1.0

Shapes = npt.NDArray[np.object_]


def group(
    atoms: Shapes,
    weight: npt.NDArray[np.int64],
    given: gpd.GeoDataFrame,
    target: tuple[int, int],
    seed: int,
    *,
    moves_per_atom: int | None = None,
) -> npt.NDArray[np.int64]:
    """Partition the graph of the atoms; give the grid of each."""
    table, borders = graph_of(atoms, weight, given, target)
    rules = _objective.Rules(float(target[0]), float(target[1]))
    if moves_per_atom is not None:
        rules = rules._replace(moves_per_atom=moves_per_atom)
    return _partition.partition(table, borders, rules, seed=seed)


def graph_of(
    atoms: Shapes,
    weight: npt.NDArray[np.int64],
    given: gpd.GeoDataFrame,
    target: tuple[int, int],
) -> tuple[Table, Table]:
    """Give the atoms and the borders between them as `_partition.partition` takes them."""
    graph = topology.build(atoms)
    length = graph.arc_lengths()
    cost = _arc_costs(graph, given) * length
    low, high = np.minimum(graph.left, graph.right), np.maximum(graph.left, graph.right)
    inner = low >= 0
    pairs, pair = np.unique(low[inner] * len(atoms) + high[inner], return_inverse=True)
    a, b = np.divmod(pairs, len(atoms))
    shared = np.bincount(pair, length[inner], minlength=len(pairs))
    paid = np.bincount(pair, cost[inner], minlength=len(pairs))

    source, sink = np.append(a, b), np.append(b, a)
    order = np.lexsort((sink, source))
    bounds = np.searchsorted(source[order], np.arange(len(atoms) + 1))
    outline_m = 4 * np.sqrt(shapely.area(atoms).sum() / max(weight.sum() / np.mean(target), 1.0))
    each = np.append(np.arange(len(a)), np.arange(len(a)))[order]
    borders = np.zeros(len(each), _partition.BORDER)
    borders["other"] = sink[order]
    borders["length"] = shared[each]
    borders["cost"] = 2 * paid[each] / outline_m
    borders["apart"] = -TREE_BIAS * (paid / shared)[each]
    table = np.zeros(len(atoms), _partition.ATOM)
    table["weight"] = weight
    table["area"] = shapely.area(atoms)
    table["rim"] = np.bincount(high[~inner], length[~inner], minlength=len(atoms))
    table["x"], table["y"] = shapely.get_coordinates(shapely.centroid(atoms)).T
    table["begin"], table["end"] = bounds[:-1], bounds[1:]
    return table, borders


def _arc_costs(graph: topology.Topology, given: gpd.GeoDataFrame) -> npt.NDArray[np.float64]:
    """Give the border cost of each arc, the mean over its segments by the best line on each."""
    arc, ends = graph.arc_segments()
    middle = np.asarray(shapely.points(ends.mean(axis=1)))
    long = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    tree = shapely.STRtree(given.geometry.values)
    segment, line = tree.query(middle, predicate="dwithin", distance=_ON_LINE_M)
    price = given["kind"].map(BORDER_COST).to_numpy(float)
    best = np.full(len(middle), BORDER_COST["none"])
    np.minimum.at(best, segment, price[line])
    total = np.bincount(arc, long, minlength=graph.arcs)
    return np.bincount(arc, best * long, minlength=graph.arcs) / np.maximum(total, 1e-9)
