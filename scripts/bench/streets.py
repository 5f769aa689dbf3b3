"""Import of an extract against pyosmium and osmnx, side by side; opening a saved network; memory.

    python scripts/bench/streets.py EXTRACT.osm.pbf [--rounds 3] [--osmnx]

In turn (A B C A B C), in processor time: our import, from file to a graph that routes; a pass of
pyosmium that hands every node and way to an empty Python handler; one whose handler looks at every
position and at every tag and node of ways; one that does what our import does up to the segments
(the reader `_osmium` and the tag rules); with ``--osmnx`` also ``osmnx.graph_from_xml`` on its
streets as XML, once. Ratios are theirs over ours. The segments of both readers are compared; a
difference ends with exit code 1. Peak memory is that of a fresh process that only imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import osmium

from geo_service.streets import WalkNetwork, _osmium, extracts
from geo_service.streets.segments import names


def main() -> int:
    """Run it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("extract", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--osmnx", action="store_true")
    options.add_argument("--only-import", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.only_import:
        return tell_memory(chosen.extract)

    path = str(chosen.extract)
    WalkNetwork.from_pbf(path)  # compile before anything is timed
    contestants: dict[str, Callable[[], Any]] = {
        "ours: file to graph": lambda: WalkNetwork.from_pbf(path),
        "pyosmium, empty handler": lambda: Empty().apply_file(path),
        "pyosmium, handler that looks": lambda: Looking().apply_file(path),
        "pyosmium to segments": lambda: by_pyosmium(chosen.extract),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(chosen.rounds):
        for name, run in contestants.items():
            times[name].append(timed(run))
    ours, *_ = medians = {name: statistics.median(took) for name, took in times.items()}
    for name, took in medians.items():
        print(f"{name:32} {took:8.3f} s  {took / medians[ours]:7.1f} x")
    if chosen.osmnx:
        took = time_osmnx(chosen.extract)
        print(f"{'osmnx.graph_from_xml':32} {took:8.3f} s  {took / medians[ours]:7.1f} x")
    time_opening(path)
    sys.stdout.flush()
    subprocess.run([sys.executable, __file__, path, "--only-import"], check=True)
    return compare(chosen.extract)


class Empty(osmium.SimpleHandler):
    """Does nothing with every node and way."""

    def node(self, _: Any) -> None:
        pass

    def way(self, _: Any) -> None:
        pass


class Looking(osmium.SimpleHandler):
    """Looks at every position, and at the tags and nodes of every street."""

    def __init__(self) -> None:
        super().__init__()
        self.lon = self.nodes = 0.0

    def node(self, node: Any) -> None:
        self.lon += node.location.lon

    def way(self, way: Any) -> None:
        if "highway" in way.tags:
            for node in way.nodes:
                self.nodes += node.ref


def by_pyosmium(path: Path) -> Any:
    return extracts.streets_of(_osmium.read(path, "osm.pbf", extracts.rules()))


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def time_osmnx(extract: Path) -> float:
    import osmnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.osm"
        with osmium.SimpleWriter(str(path)) as writer:
            kinds = osmium.osm.NODE | osmium.osm.WAY
            for entity in osmium.FileProcessor(str(extract), kinds).with_locations():
                if entity.is_node() or _whole_street(entity):
                    writer.add(entity)
        return timed(lambda: osmnx.graph_from_xml(path, bidirectional=True, retain_all=True))


def _whole_street(way: Any) -> bool:
    """Tell whether osmnx can take a way: it fails on those whose nodes are missing."""
    return "highway" in way.tags and all(node.location.valid() for node in way.nodes)


def time_opening(path: str) -> None:
    network = WalkNetwork.from_pbf(path)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "x.streets"
        network.save(saved)
        for profile in ("adult", "courier", "resident"):
            start = time.perf_counter()
            WalkNetwork.load(saved, profile=profile)
            took = (time.perf_counter() - start) * 1000
            print(f"saved network opened, {profile:9} {took:8.1f} ms")
        print(f"saved network                    {saved.stat().st_size / 2**20:8.1f} MiB")


def tell_memory(extract: Path) -> int:
    WalkNetwork.from_pbf(extract)
    # The kernel's own mark of this process: ru_maxrss would begin at that of the parent.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    print(f"peak memory of a process that imports {peak_kib / 1024:8.0f} MiB")
    return 0


def compare(extract: Path) -> int:
    one, _ = extracts.read(extract)
    other, _ = by_pyosmium(extract)
    differ = [n for n in names() if not np.array_equal(getattr(one, n), getattr(other, n))]
    print("segments equal to pyosmium's" if not differ else f"segments differ: {differ}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
