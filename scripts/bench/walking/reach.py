"""Searches beside scipy, pandana and networkx on the same network, in processor time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from geo_service import walking
from geo_service.streets import WalkNetwork

ROUNDS = 5
NETWORKX_SHARE = 16  # networkx walks from one origin in so many, since it takes that much longer
PLACES = 200

Nodes = npt.NDArray[np.int64]
Rows = list[dict[int, int]]  # node -> centimetres, for each origin


def compare(network: WalkNetwork, origins: Nodes, limit_m: float) -> bool:
    """Print how long each takes and whether all found the same."""
    few = origins[::NETWORKX_SHARE]
    peers: dict[str, tuple[Callable[[Nodes], Any], Nodes]] = {
        "ours": (lambda asked: walking.reach(network, asked, limit_m, workers=1), origins),
        "scipy": (with_scipy(network, limit_m), origins),
        "networkx": (with_networkx(network, limit_m), few),
    }
    pandana = pandana_network(network, limit_m)
    if pandana is not None:
        peers["pandana range"] = (lambda asked: pandana.nodes_in_range(asked, limit_m), few)
    table(peers, "an origin")
    found = read_ours(walking.reach(network, origins, limit_m))
    same = read_scipy(peers["scipy"][0](origins)) == found
    same &= peers["networkx"][0](few) == found[::NETWORKX_SHARE]
    print(f"  nodes an origin: {statistics.fmean(map(len, found)):.0f}")
    print(f"  sets and distances identical to scipy's and networkx's: {'yes' if same else 'NO'}")
    return same & compare_everywhere(network, pandana, limit_m)


def compare_everywhere(network: WalkNetwork, pandana: Any, limit_m: float) -> bool:
    """The nearest of some places for every node, and people within a walk of every node."""
    rng = np.random.default_rng(3)
    places = rng.choice(network.node_count, PLACES, replace=False)
    people = rng.integers(0, 60, network.node_count).astype(float)
    exported = network.to_networkx().reverse()

    def by_networkx(_: Nodes) -> dict[int, int]:
        return nx.multi_source_dijkstra_path_length(exported, set(places.tolist()), weight="cm")

    everywhere = np.arange(network.node_count)
    peers: dict[str, tuple[Callable[[Nodes], Any], Nodes]] = {
        "nearest": (lambda _: walking.nearest(network, places), everywhere),
        "networkx multi-source": (by_networkx, everywhere),
    }
    table(peers, "a node")
    found, true = walking.nearest(network, places), by_networkx(everywhere)
    same = {n: cm for n, cm in enumerate(found.centimetres.tolist()) if cm >= 0} == true
    print(f"  walks identical to networkx's: {'yes' if same else 'NO'}")
    if pandana is None:
        return same

    def aggregated(_: Nodes) -> Any:
        fresh = pandana_network(network, limit_m)
        fresh.set(pd.Series(everywhere), variable=pd.Series(people), name="people")
        return fresh.aggregate(limit_m, type="sum", decay="flat", name="people")

    def kept(_: Nodes) -> Any:
        return pandana.aggregate(limit_m, type="sum", decay="flat", name="people")

    pandana.set(pd.Series(everywhere), variable=pd.Series(people), name="people")
    peers = {
        "totals": (lambda _: walking.totals(network, people, limit_m, workers=1), everywhere),
        "pandana.aggregate fresh": (aggregated, everywhere),
        "pandana.aggregate kept": (kept, everywhere),
    }
    table(peers, "a node")
    ours, theirs = walking.totals(network, people, limit_m), kept(everywhere).to_numpy()
    # pandana walks all streets both ways.
    agree = np.isclose(ours, theirs, rtol=0.01).mean()
    print(f"  within 1 % of pandana's total at {100 * agree:.1f} % of nodes")
    return same


def table(peers: dict[str, tuple[Callable[[Nodes], Any], Nodes]], each: str) -> None:
    """Run the peers in turn and print the median of each, beside that of the first."""
    spent: dict[str, list[float]] = {name: [] for name in peers}
    for number in range(ROUNDS + 1):
        for name, (run, asked) in peers.items():
            start = time.process_time()
            run(asked)
            if number:  # the first round compiles and fills caches
                spent[name].append((time.process_time() - start) / len(asked))
    median = {name: statistics.median(seconds) for name, seconds in spent.items()}
    ours = next(iter(median.values()))
    for name, seconds in median.items():
        print(f"  {name:26}{seconds * 1e6:10.2f} us {each} {seconds / ours:8.1f}x")


def read_ours(reach: walking.Reach) -> Rows:
    """Give rows as dictionaries."""
    parts = [slice(*ends) for ends in zip(reach.indptr, reach.indptr[1:], strict=False)]
    return [
        dict(zip(reach.nodes[p].tolist(), reach.centimetres[p].tolist(), strict=True))
        for p in parts
    ]


def read_scipy(found: list[Any]) -> Rows:
    """Give dense rows as dictionaries."""
    return [
        {int(n): int(row[n]) for n in np.flatnonzero(np.isfinite(row))}
        for part in found
        for row in part
    ]


def with_scipy(network: WalkNetwork, limit_m: float) -> Callable[[Nodes], list[Any]]:
    """Search with scipy, whose answer is a dense row for each origin."""
    tail, head, cm = directed(network)
    order = np.lexsort((cm, head, tail))
    tail, head, cm = tail[order], head[order], cm[order]
    best = np.append(True, (np.diff(tail) != 0) | (np.diff(head) != 0))  # of parallel chains
    size = network.node_count
    links = sparse.csr_array((cm[best].astype(float), (tail[best], head[best])), (size, size))
    return lambda asked: [
        sparse.csgraph.dijkstra(links, indices=asked[at : at + 64], limit=limit_m * 100)
        for at in range(0, len(asked), 64)
    ]


def with_networkx(network: WalkNetwork, limit_m: float) -> Callable[[Nodes], Rows]:
    """Search with networkx."""
    exported = network.to_networkx()
    return lambda asked: [
        nx.single_source_dijkstra_path_length(exported, n, cutoff=limit_m * 100, weight="cm")
        for n in asked.tolist()
    ]


def pandana_network(network: WalkNetwork, limit_m: float) -> Any:
    """The network as pandana's, with its range prepared; ``None`` where it is not installed."""
    try:
        import pandana
    except ImportError:
        print("  (pandana is not installed)")
        return None
    graph = network.graph
    made = pandana.Network(
        pd.Series(graph.node_x), pd.Series(graph.node_y), pd.Series(graph.tail),
        pd.Series(graph.head), pd.DataFrame({"m": graph.length_cm / 100.0}),
    )  # fmt: skip
    made.precompute(limit_m)
    return made


def directed(network: WalkNetwork) -> tuple[Any, Any, Any]:
    """Tail, head and centimetres of every way a chain may be walked."""
    graph = network.graph
    return (
        np.concatenate((graph.tail[graph.forward], graph.head[graph.backward])),
        np.concatenate((graph.head[graph.forward], graph.tail[graph.backward])),
        np.concatenate((graph.length_cm[graph.forward], graph.length_cm[graph.backward])),
    )
