"""Walk reach against scipy and networkx on the same network, and the time of catchments.

    python scripts/bench/catchment.py EXTRACT.osm.pbf [--origins 400] [--limit-m 1200] [--seed 1]

Reach: the nodes within a distance of each origin, by our search, by scipy's csgraph.dijkstra
with a limit and by networkx with a cutoff, in turn (A B C A B C), in processor time. Sets and
distances are compared on every origin; a difference ends with exit code 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse

from geo_service import walking
from geo_service.streets import WalkNetwork

ROUNDS = 5
NETWORKX_SHARE = 16  # networkx walks from one origin in so many, since it takes that much longer
AREAS = 100

Nodes = np.typing.NDArray[np.int64]
Rows = list[dict[int, int]]  # node -> centimetres, for each origin


def main() -> int:
    """Run it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("extract", type=Path)
    options.add_argument("--origins", type=int, default=400)
    options.add_argument("--limit-m", type=float, default=1200.0)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()

    walking.reach(  # compile before anything is timed
        WalkNetwork.from_pbf(chosen.extract), np.zeros(1, np.int64), chosen.limit_m
    )
    start = time.process_time()
    network = WalkNetwork.from_pbf(chosen.extract)
    print(f"{network!r}\nimport {time.process_time() - start:.2f} s")
    rng = np.random.default_rng(chosen.seed)
    count = min(chosen.origins, network.node_count)
    origins = rng.choice(network.node_count, count, replace=False)
    same = compare_reach(network, origins, chosen.limit_m)
    time_areas(network, rng)
    return 0 if same else 1


def compare_reach(network: WalkNetwork, origins: Nodes, limit_m: float) -> bool:
    """Print how long each takes and whether all found the same."""
    few = origins[::NETWORKX_SHARE]
    peers = {
        "ours": (ours(network, limit_m), origins),
        "scipy": (with_scipy(network, limit_m), origins),
        "networkx": (with_networkx(network, limit_m), few),
    }
    spent: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, ((run, _), asked) in peers.items():
            start = time.process_time()
            run(asked)
            spent[name].append((time.process_time() - start) / len(asked))
    each = {name: statistics.median(seconds) for name, seconds in spent.items()}
    for name, seconds in each.items():
        print(f"{name:10}{seconds * 1e6:10.1f} us an origin {seconds / each['ours']:8.1f}x ours")

    def rows(name: str, asked: Nodes) -> Rows:
        run, read = peers[name][0]
        return read(run(asked))

    found = rows("ours", origins)
    same = rows("scipy", origins) == found
    same &= rows("networkx", few) == found[::NETWORKX_SHARE]
    print(f"nodes an origin: {statistics.fmean(map(len, found)):.0f}")
    print(f"identical sets: {'yes' if same else 'no'}")
    return same


Peer = tuple[Callable[[Nodes], Any], Callable[[Any], Rows]]


def ours(network: WalkNetwork, limit_m: float) -> Peer:
    """Search in one thread, and read what it found."""

    def read(reach: walking.Reach) -> Rows:
        parts = [slice(*ends) for ends in zip(reach.indptr, reach.indptr[1:], strict=False)]
        return [
            dict(zip(reach.nodes[p].tolist(), reach.centimetres[p].tolist(), strict=True))
            for p in parts
        ]

    return lambda asked: walking.reach(network, asked, limit_m, workers=1), read


def with_scipy(network: WalkNetwork, limit_m: float) -> Peer:
    """The same with scipy, whose answer is a dense row for each origin."""
    graph = network.graph
    tail = np.concatenate((graph.tail[graph.forward], graph.head[graph.backward]))
    head = np.concatenate((graph.head[graph.forward], graph.tail[graph.backward]))
    cm = np.concatenate((graph.length_cm[graph.forward], graph.length_cm[graph.backward]))
    order = np.lexsort((cm, head, tail))
    tail, head, cm = tail[order], head[order], cm[order]
    best = np.append(True, (np.diff(tail) != 0) | (np.diff(head) != 0))  # of parallel chains
    size = network.node_count
    table = sparse.csr_array((cm[best].astype(float), (tail[best], head[best])), (size, size))

    def run(asked: Nodes) -> list[Any]:
        limit = limit_m * 100
        return [
            sparse.csgraph.dijkstra(table, indices=asked[at : at + 64], limit=limit)
            for at in range(0, len(asked), 64)
        ]

    def read(found: list[Any]) -> Rows:
        return [
            {int(n): int(row[n]) for n in np.flatnonzero(np.isfinite(row))}
            for part in found
            for row in part
        ]

    return run, read


def with_networkx(network: WalkNetwork, limit_m: float) -> Peer:
    """The same with networkx."""
    exported = network.to_networkx()

    def run(asked: Nodes) -> Rows:
        return [
            nx.single_source_dijkstra_path_length(exported, n, cutoff=limit_m * 100, weight="cm")
            for n in asked.tolist()
        ]

    return run, lambda found: found


def time_areas(network: WalkNetwork, rng: np.random.Generator) -> None:
    """Print how long a 15-minute area takes once the cells around are known."""
    main_piece = np.flatnonzero(network.graph.component == 0)
    lon, lat = network.node_lonlat[rng.choice(main_piece, AREAS)].T
    for reach in ("nearest", "any"):
        network.catchment(lon, lat, reach=reach)
        start = time.process_time()
        areas = network.catchment(lon, lat, reach=reach)
        each = (time.process_time() - start) / AREAS
        valid = "all valid" if areas.is_valid.all() else "NOT ALL VALID"
        print(f"15-minute area, {reach}: {each * 1e3:.1f} ms, {valid}")


if __name__ == "__main__":
    sys.exit(main())
