"""Public partitioners on the atoms our own grids are drawn from: METIS, KaHIP, GerryChain, spopt.

Each gets the same households, neighbours, lengths and line costs as our own search, and the number
of grids that gives 400 households each. One that is not installed is left out with a sentence:

    pip install pymetis kahip gerrychain spopt
"""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import geopandas as gpd
import networkx
import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

_BALANCE = 0.25  # 300-500 round 400
_WEIGHT_STEPS = 100
_LEAST_WEIGHT = 0.1  # of the span of prices: a wanted border costs little, never nothing
_BURSTS, _BURST_STEPS = 10, 10


@dataclass(frozen=True)
class Graph:
    """Atoms and their borders, each border twice, as rows of a CSR matrix.

    Parameters
    ----------
    weight : ndarray of int
        Households.
    xy : ndarray, shape (n, 2)
        Middles.
    begin : ndarray of int, shape (n + 1,)
        Where the borders of each atom begin.
    other : ndarray of int
        The atom beyond each border.
    length : ndarray of float
        Metres.
    price : ndarray of float
        What a metre of it costs as a border of grids; may be below nothing.
    """

    weight: IntArray
    xy: npt.NDArray[np.float64]
    begin: IntArray
    other: IntArray
    length: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]

    @property
    def cut_weight(self) -> IntArray:
        """Give what cutting each border costs, above nothing, as METIS and KaHIP want it."""
        least, most = self.price.min(), self.price.max()
        span = max(most - least, 1e-9)
        scaled = self.length * ((self.price - least) / span + _LEAST_WEIGHT)
        return np.maximum(np.rint(scaled * _WEIGHT_STEPS), 1).astype(np.int64)

    def networkx(self) -> Any:
        graph = networkx.Graph()
        for atom, weight in enumerate(self.weight.tolist()):
            graph.add_node(atom, households=weight)
        rows = np.repeat(np.arange(len(self.weight)), np.diff(self.begin))
        for a, b, cut in zip(
            rows.tolist(), self.other.tolist(), self.cut_weight.tolist(), strict=True
        ):
            graph.add_edge(a, b, cut=cut)
        return graph


Peer = Callable[[Graph, int, int], IntArray]


def installed() -> Iterator[tuple[str, Peer]]:
    """Give the peers that are there; say which are not."""
    for name, (module, peer) in _PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name}: left out, `pip install {module}`")
        else:
            yield name, peer


def metis(graph: Graph, count: int, seed: int) -> IntArray:
    import pymetis

    options = pymetis.Options(seed=seed, contig=1, ufactor=int(1000 * _BALANCE))
    found = pymetis.part_graph(
        count,
        pymetis.CSRAdjacency(graph.begin.tolist(), graph.other.tolist()),
        vweights=graph.weight.tolist(),
        eweights=graph.cut_weight.tolist(),
        recursive=False,
        options=options,
    )
    return np.asarray(found.vertex_part)


def kahip(graph: Graph, count: int, seed: int) -> IntArray:
    import kahip as library

    lists = (graph.weight, graph.begin, graph.cut_weight, graph.other)
    vertices, begin, edges, other = (each.tolist() for each in lists)
    quiet = True
    _, label = library.kaffpa(
        vertices, begin, edges, other, count, _BALANCE, quiet, seed, library.ECO
    )
    return np.asarray(label)


def gerrychain(graph: Graph, count: int, seed: int) -> IntArray:
    """Cut recursive random trees, then the best of short bursts of recombination."""
    from gerrychain import Graph as Dual
    from gerrychain import Partition
    from gerrychain.optimization import SingleMetricOptimizer
    from gerrychain.partition import recursive_tree_part
    from gerrychain.proposals import recom
    from gerrychain.updaters import Tally

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - its own generator
    flat = graph.networkx()
    dual = Dual.from_networkx(flat)
    mean = graph.weight.sum() / count
    start = recursive_tree_part(dual, range(count), mean, "households", _BALANCE)
    cut = networkx.get_edge_attributes(flat, "cut")
    price = {frozenset(edge): cost for edge, cost in cut.items()}
    first = Partition(dual, start, {"households": Tally("households")})
    step = partial(recom, pop_col="households", pop_target=mean, epsilon=_BALANCE, node_repeats=0)

    def cost(plan: Any) -> float:
        edges = (dual.edge_id_to_nodes(e) if isinstance(e, int) else e for e in plan["cut_edges"])
        return float(sum(price[frozenset(edge)] for edge in edges))

    search = SingleMetricOptimizer(step, [], first, cost, maximize=False)
    for _ in search.short_bursts(_BURST_STEPS, _BURSTS):
        pass
    placed = dict(search.best_part.assignment.items())
    return np.array([placed[atom] for atom in range(len(graph.weight))])


def spopt(graph: Graph, count: int, seed: int) -> IntArray:
    """As many connected regions of at least 300 households as can be (max-p)."""
    from libpysal.weights import W
    from spopt.region import MaxPHeuristic

    np.random.seed(seed)  # noqa: NPY002 - its own generator
    ends = zip(graph.begin[:-1], graph.begin[1:], strict=True)
    near = {i: graph.other[a:b].tolist() for i, (a, b) in enumerate(ends)}
    frame = gpd.GeoDataFrame(
        {"x": graph.xy[:, 0], "y": graph.xy[:, 1], "households": graph.weight},
        geometry=gpd.points_from_xy(*graph.xy.T),
    )
    floor = round((1 - _BALANCE) * graph.weight.sum() / count)
    model = MaxPHeuristic(
        frame, W(near, silence_warnings=True), ["x", "y"], "households", floor, 2,
        max_iterations_construction=10, max_iterations_sa=2,
    )  # fmt: skip
    model.solve()
    return np.asarray(model.labels_)


_PEERS: dict[str, tuple[str, Peer]] = {
    "METIS": ("pymetis", metis),
    "KaHIP": ("kahip", kahip),
    "GerryChain": ("gerrychain", gerrychain),
    "spopt": ("spopt", spopt),
}


def partitioned(peer: Peer, graph: Graph, count: int, seed: int) -> IntArray | str:
    """Give the peer's grids numbered from 0, or what it died of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            label = peer(graph, count, seed)
    except Exception as error:  # whatever a peer dies of is its row
        return f"{type(error).__name__}: {error}"
    return np.unique(label, return_inverse=True)[1].astype(np.int64)
