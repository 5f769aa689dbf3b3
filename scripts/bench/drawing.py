"""Topology against shapely, edits on a city sheet, and the quality of grids drawn anew.

    python scripts/bench/drawing.py [--grids 18936] [--edits 5000] [--seeds 1] [--growths 8]

Ratios carry between machines, seconds don't. Drawing anew, beside the peers, is a bench of its own,
`drawing_anew.py`, run here as well; it needs $GEO_SERVICE_REAL_DATA, as the redraws do.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawing_anew
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from drawing_anew import EXTRACTS, HOUSEHOLDS_A_PLACE, TARGET, outline, synthetic_households
from tests_beside import beside_the_tests

from geo_service import drawing, topology
from geo_service.errors import InputError


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--grids", type=int, default=18_936)
    options.add_argument("--points", type=int, default=16, help="vertices inside each border")
    options.add_argument("--edits", type=int, default=5000)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--growths", type=int, default=8, help="new compounds per extract")
    chosen = options.parse_args()
    grids = beside_the_tests("tilings").tiling(chosen.grids, 1, points=chosen.points)[0]
    bench_topology(np.asarray(grids.geometry.values, object))
    bench_edits(grids, chosen.edits)
    bench_frame(grids)
    drawing_anew.bench(range(chosen.seeds))
    bench_redraw(chosen.growths)


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def bench_topology(shapes: np.ndarray) -> None:
    topology.build(shapes[:2]).to_geometries()  # compile
    build, peer, back = [], [], []
    graph = topology.build(shapes)
    for _ in range(3):  # in turn, so that a busy machine harms both
        build.append(cpu_seconds(lambda: topology.build(shapes)))
        peer.append(cpu_seconds(lambda: shapely.coverage_is_valid(shapes)))
        back.append(cpu_seconds(graph.to_geometries))
    same = (shapely.to_wkb(graph.to_geometries()) == shapely.to_wkb(shapes)).all()
    print(
        f"topology: {len(shapes)} grids, {shapely.get_num_coordinates(shapes).sum()} vertices, "
        f"{graph.arcs} arcs in {min(build):.3f} s = {min(build) / min(peer):.2f} x "
        f"coverage_is_valid ({min(peer):.2f} s); back in {min(back):.2f} s, "
        f"{'byte-identical' if same else 'DIFFERENT'}"
    )


def bench_edits(grids: gpd.GeoDataFrame, edits: int) -> None:
    """Operations of every kind at random places, all undone: speed, drift, bytes."""
    shapes = np.asarray(grids.geometry.values, object)
    codes, random = list(grids.code), np.random.default_rng(1)
    maker = beside_the_tests("random_edits")
    start = time.process_time()
    session = drawing.Session(codes, shapes)
    print(f"session of all grids opened in {time.process_time() - start:.2f} s")
    taken: dict[str, list[float]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for _ in range(edits):
        code = codes[int(random.integers(len(codes)))]
        while code not in session:
            code = codes[int(random.integers(len(codes)))]
        # Merges hold the number of grids about level; half of all tries are of the other kinds.
        kind = "merge" if random.random() < 0.4 else None
        operation = maker.operation(session, code, random, kind=kind)
        begin = time.process_time()
        try:
            change = session.apply(operation)
        except InputError:
            refused[operation["op"]] += 1
            continue
        taken[operation["op"]].append(time.process_time() - begin)
        codes += change.created
    now = np.array([grid.geometry for _, grid in session.grids()], object)
    drift = shapely.area(now).sum() - shapely.area(shapes).sum()
    sound = session.certificate.clean and shapely.is_valid(now).all()
    while True:
        begin = time.process_time()
        if session.undo() is None:
            break
        taken["undo"].append(time.process_time() - begin)
    back = np.array([session.grid(code).geometry for code in grids.code], object)
    same = (shapely.to_wkb(back) == shapely.to_wkb(shapes)).all()
    for name, seconds in taken.items():
        half, late = np.quantile(np.array(seconds) * 1e3, [0.5, 0.99])
        print(f"  {name}: {len(seconds)} done, {refused[name]} refused, "
              f"median {half:.2f} ms, p99 {late:.2f} ms")  # fmt: skip
    print(f"  drift {drift:.1e} m2, certificate {'clean' if sound else 'NOT CLEAN'}; "
          f"after undoing all: {'the same bytes' if same else 'DIFFERENT'}")  # fmt: skip


def bench_frame(grids: gpd.GeoDataFrame) -> None:
    spot = grids.geometry[len(grids) // 2].representative_point()
    line = shapely.LineString([(spot.x - 5e3, spot.y), (spot.x + 5e3, spot.y)])
    code = grids.code[len(grids) // 2]
    cut = drawing.split(grids, code, line)
    split = cpu_seconds(lambda: drawing.split(grids, code, line))
    merge = cpu_seconds(lambda: drawing.merge(cut.grids, list(cut.created)))
    print(f"one edit of the whole frame: split {split * 1e3:.0f} ms, merge {merge * 1e3:.0f} ms")


def bench_redraw(growths: int) -> None:
    """A new compound of 60-400 households somewhere: what changes, and how long it takes."""
    named = os.environ.get("GEO_SERVICE_REAL_DATA")
    if not named:
        return
    print("redraw: extract new_households touched moved_percent out_of_range cpu_ms")
    for name, plane, total in EXTRACTS:
        lines = drawing.street_lines(Path(named) / "osm" / f"{name}.osm.pbf", None, crs=plane)
        area, people = outline(lines), synthetic_households(lines, total, 0)
        grids = drawing.draw(
            area, streets=lines, households=people, target=TARGET, parent_code="411002001001"
        ).grids
        random = np.random.default_rng(0)
        terrain = drawing.Terrain(plane, lines)
        for _ in range(growths):
            together = pd.concat([people, compound(grids, random)], ignore_index=True)
            grown = gpd.GeoDataFrame(together, crs=people.crs)
            start = time.process_time()
            redrawn = drawing.redraw(grids, streets=terrain, households=grown, target=TARGET)
            seconds = time.process_time() - start
            new = int(grown.households.sum() - people.households.sum())
            moved = 100 * redrawn.households_moved / grown.households.sum()
            print(name, new, len(redrawn.touched), f"{moved:.2f}", len(redrawn.misses),
                  f"{seconds * 1e3:.0f}")  # fmt: skip


def compound(grids: gpd.GeoDataFrame, random: np.random.Generator) -> gpd.GeoDataFrame:
    spot = grids.geometry.iloc[int(random.integers(len(grids)))].representative_point()
    count = int(random.integers(60, 400)) // HOUSEHOLDS_A_PLACE
    xy = np.array([spot.x, spot.y]) + random.normal(0, 60, (count, 2))
    held = np.full(count, HOUSEHOLDS_A_PLACE)
    return gpd.GeoDataFrame({"households": held}, geometry=gpd.points_from_xy(*xy.T), crs=grids.crs)


if __name__ == "__main__":
    main()
