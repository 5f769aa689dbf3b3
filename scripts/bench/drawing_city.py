"""A whole city: the partition beside METIS on the same blocks, and the demo city drawn.

    python scripts/bench/drawing_city.py [--blocks 150000] [--moves 60] [--seed 0]
    python scripts/bench/drawing_city.py --draw [--workers 2] [--target 60-110]

The first needs pymetis and is D7: grids out of range, seconds and line cost, ours over METIS'. Line
cost is what borders cost by the lines they run on, per metre as `_grouping.BORDER_COST` says: below
nothing on wanted lines. METIS takes no such weights, so it minimises the cost moved up until a main
street costs nothing; both are told. The second draws every community of the demo city and counts
what is out of range, and why.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from tests_beside import beside_the_tests

from geo_service import crs, demo_city, drawing, topology
from geo_service.drawing import _grouping, _objective, _partition

GRIDS = 18_936
TARGET = (60, 110)
_SUPERBLOCKS, _QUARTERS = 8, 60  # blocks to a superblock round which streets run; main streets


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--blocks", type=int, default=150_000)
    options.add_argument("--moves", type=int, default=60, help="moves per block")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--draw", action="store_true", help="draw the demo city instead")
    options.add_argument("--grids", type=int, default=GRIDS, help="size of the demo city")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--target", default="60-110")
    chosen = options.parse_args()
    if chosen.draw:
        low, high = map(int, chosen.target.split("-"))
        draw_city(chosen.grids, (low, high), chosen.workers, chosen.seed)
    else:
        beside_metis(chosen.blocks, chosen.moves, chosen.seed)


def beside_metis(blocks: int, moves: int, seed: int) -> None:
    atoms, weight, lines = city_blocks(blocks, seed)
    table, borders = _grouping.graph_of(atoms, weight, lines, TARGET)
    rules = _objective.Rules(*map(float, TARGET), moves_per_atom=moves)
    _partition.partition(table[:1], borders[:0], rules, seed=0)
    small = _grouping.graph_of(atoms[:50], weight[:50], lines, TARGET)
    _partition.partition(*small, rules, seed=0)  # compile
    count = round(2 * weight.sum() / sum(TARGET))
    print(f"{blocks} blocks, {weight.sum()} households, about {count} grids of {TARGET}")
    shown = {}
    for name, work in (
        ("geo-service", lambda: _partition.partition(table, borders, rules, seed=seed)),
        ("METIS", lambda: metis(table, borders, count, seed)),
    ):
        start = time.process_time()
        label = np.asarray(work())
        seconds = time.process_time() - start
        shown[name] = seconds, *(line_cost(table, borders, label, up=up) for up in (False, True))
        print(name, told(table, borders, label, weight), f"cpu {seconds:.1f} s",
              f"line cost {shown[name][1] / 1e3:.0f} km, moved up {shown[name][2] / 1e3:.0f} km",
              flush=True)  # fmt: skip
    ours, theirs = shown.values()
    print(
        f"ours / METIS: {ours[0] / theirs[0]:.2f}x time, {ours[1] / theirs[1]:.2f}x line cost, "
        f"{ours[2] / theirs[2]:.2f}x moved up"
    )


def city_blocks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, gpd.GeoDataFrame]:
    """Blocks of a synthetic city, their households, and lines of every kind on their borders."""
    random = np.random.default_rng(seed)
    grids, _ = beside_the_tests("tilings").tiling(count, seed + 1, points=0)
    atoms = np.asarray(grids.geometry.values, object)
    weight = random.poisson(GRIDS * np.mean(TARGET) / count, count)
    graph = topology.build(atoms)
    middle = shapely.get_coordinates(shapely.centroid(atoms))
    inner = (graph.left >= 0) & (graph.right >= 0)
    kind = np.where(random.random(graph.arcs) < 0.5, "minor", "none").astype(object)
    for blocks, name in ((_SUPERBLOCKS, "street"), (_QUARTERS, "major")):
        centres = middle[random.choice(count, count // blocks, replace=False)]
        of = shapely.STRtree(np.asarray(shapely.points(centres))).nearest(shapely.points(middle))
        kind[inner & (of[graph.left] != of[graph.right])] = name
    drawn = np.flatnonzero(inner & (kind != "none"))
    arcs = [shapely.LineString(graph.arc(arc)) for arc in drawn]
    return atoms, weight, gpd.GeoDataFrame({"kind": kind[drawn]}, geometry=arcs, crs=4547)


def metis(table: Any, borders: Any, count: int, seed: int) -> list[int]:
    import pymetis

    starts = np.append(table["begin"], len(borders))
    graph = pymetis.CSRAdjacency(adj_starts=starts, adjacent=borders["other"])
    scale = 1000 / max(borders["length"].max(), 1.0)
    cost = np.maximum(np.rint(scale * paid(borders, up=True)).astype(int), 1)
    options = pymetis.Options(seed=seed)
    return pymetis.part_graph(
        count, graph, vweights=table["weight"].astype(int),
        eweights=cost, options=options, recursive=False,
    )[1]  # fmt: skip


def paid(borders: Any, *, up: bool) -> np.ndarray:
    """What each border costs by its length, moved up so that a main street costs nothing."""
    per_metre = -borders["apart"] / _grouping.TREE_BIAS
    return borders["length"] * (per_metre - up * min(_grouping.BORDER_COST.values()))


def line_cost(table: Any, borders: Any, label: np.ndarray, *, up: bool) -> float:
    source = np.repeat(np.arange(len(table)), table["end"] - table["begin"])
    return float(paid(borders, up=up)[label[source] != label[borders["other"]]].sum() / 2)


def told(table: Any, borders: Any, label: np.ndarray, weight: np.ndarray) -> str:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    held = np.bincount(label, weight)
    used = np.bincount(label) > 0
    off = used & ((held < TARGET[0]) | (held > TARGET[1]))
    source = np.repeat(np.arange(len(table)), table["end"] - table["begin"])
    same = label[source] == label[borders["other"]]
    links = csr_array((np.ones(same.sum()), (source[same], borders["other"][same])),
                      (len(table),) * 2)  # fmt: skip
    pieces = connected_components(links, directed=False)[0]
    return (
        f"{used.sum()} grids, {off.sum()} out of range, {(~used).sum()} empty, "
        f"{pieces - used.sum()} pieces too many;"
    )


def draw_city(grids: int, target: tuple[int, int], workers: int, seed: int) -> None:
    city = demo_city.make(grids=grids)
    with TemporaryDirectory() as folder:
        from geo_service.demo_city import _streets

        _streets.write_pbf(city.streets, Path(folder) / "streets.osm.pbf")
        lines = drawing.street_lines(Path(folder) / "streets.osm.pbf", None, crs=4547)
    homes = city.buildings
    x, y = crs.Plane.of(4547).forward(homes.lon, homes.lat, datum="wgs84")
    homes = gpd.GeoDataFrame(homes, geometry=gpd.points_from_xy(x, y), crs=4547)
    start = time.perf_counter()
    tell = progress(start)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        drawn = drawing.draw_all(
            city.communities, streets=lines, households=homes, target=target, seed=seed,
            executor=pool, on_progress=tell,
        )  # fmt: skip
    seconds = time.perf_counter() - start
    shapes = np.asarray(drawn.grids.geometry.values, object)
    drift = shapely.area(shapes).sum() - city.communities.area.sum()
    print(
        f"{len(shapes)} grids of {target} in {len(city.communities)} communities, "
        f"{seconds:.0f} s by {workers} workers; coverage_is_valid: "
        f"{shapely.coverage_is_valid(shapes)}, drift {drift:.0e} m2"
    )
    print(drawing.measure(drawn.grids, streets=lines, target=target).to_dict())
    why = Counter(re.sub(r"\d+", "N", miss.en) for miss in drawn.misses)
    print(f"{len(drawn.misses)} out of range:")
    for reason, count in why.most_common():
        print(f"  {count}: {reason}")


def progress(start: float) -> Any:
    def tell(done: int, total: int) -> None:
        if done % max(total // 20, 1) == 0:
            print(f"  {done}/{total} communities, {time.perf_counter() - start:.0f} s", flush=True)

    return tell


if __name__ == "__main__":
    main()
