"""Walking beside its peers: searches, catchment areas, and their truth.

    python scripts/bench/walking EXTRACT.osm.pbf ... [--only reach|areas] [--origins 400]
        [--limit-m 1200] [--areas 20] [--seed 1] [--valhalla PYTHON]

Reach: nodes within a distance of each origin, the nearest place of every node, people within a walk
of every node; by ours, scipy, networkx, and pandana where it is installed. A difference ends with
exit code 1. Areas: F1 of 15-minute areas against the definition, place by place, and the processor
time of one, beside the osmnx recipe and Valhalla; the latter runs in a Python of its own that holds
the pyvalhalla wheel.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import areas
import reach

from geo_service import walking
from geo_service.streets import WalkNetwork


def main() -> int:
    """Run it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("extracts", type=Path, nargs="+")
    options.add_argument("--only", choices=["reach", "areas"])
    options.add_argument("--origins", type=int, default=400)
    options.add_argument("--limit-m", type=float, default=1200.0)
    options.add_argument("--areas", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--valhalla", help="a Python that holds pyvalhalla")
    chosen = options.parse_args()
    same = True
    for path in chosen.extracts:
        start = time.process_time()
        network = WalkNetwork.from_pbf(path)
        print(f"{network!r}, imported in {time.process_time() - start:.2f} s")
        walking.reach(network, np.zeros(1, np.int64), chosen.limit_m)  # compile
        if chosen.only != "areas":
            rng = np.random.default_rng(chosen.seed)
            count = min(chosen.origins, network.node_count)
            origins = rng.choice(network.node_count, count, replace=False)
            same &= reach.compare(network, origins, chosen.limit_m)
        if chosen.only != "reach":
            areas.compare(path, network, chosen.areas, chosen.seed, chosen.valhalla)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
