"""Topology against shapely, edits on a city sheet, and the quality of grids drawn anew.

    python scripts/bench/drawing.py [--grids 18936] [--points 16] [--edits 300] [--seeds 1]

Ratios carry between machines, seconds don't. The draw table needs $GEO_SERVICE_REAL_DATA; its
households are synthetic: Poisson places along the streets of an extract.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service import drawing, topology
from geo_service.errors import InputError

EXTRACTS = (
    ("beijing_tsinghua", 32650, 40_000),
    ("helsinki_center", 3067, 20_000),
    ("shenzhen_longgang", 32650, 80_000),
)
TARGET = (300, 500)
HOUSEHOLDS_A_PLACE = 12
SAMPLE_M = 4.0
REACH_M = np.array([5e3, 1e3])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--grids", type=int, default=18_936)
    options.add_argument("--points", type=int, default=16, help="vertices inside each border")
    options.add_argument("--edits", type=int, default=300)
    options.add_argument("--seeds", type=int, default=1)
    chosen = options.parse_args()
    grids = tilings().tiling(chosen.grids, 1, points=chosen.points)[0]
    bench_topology(np.asarray(grids.geometry.values, object))
    bench_sheet(np.asarray(grids.geometry.values, object), chosen.edits)
    bench_frame(grids)
    bench_draw(chosen.seeds)


def tilings() -> Any:
    """Load the tests' maker of tilings."""
    path = Path(__file__).resolve().parents[2] / "tests" / "tilings.py"
    spec = importlib.util.spec_from_file_location("tilings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def bench_sheet(shapes: np.ndarray, edits: int) -> None:
    start = time.process_time()
    sheet = drawing.Sheet(shapes)
    print(f"sheet of all grids opened in {time.process_time() - start:.2f} s")
    random = np.random.default_rng(1)
    area = shapely.area(shapes).sum()
    taken: dict[str, list[float]] = {"split": [], "merge": [], "undo": []}
    for _ in range(edits):
        face = int(random.integers(len(shapes)))
        spot = np.array(sheet.geometry(face).representative_point().coords[0])
        line = shapely.LineString([spot - REACH_M, spot + REACH_M])
        beside = list(sheet.neighbours(face))[:1]
        for name, work in (
            ("split", lambda f=face, cut=line: sheet.split(f, cut)),
            ("merge", lambda f=face, b=beside: sheet.merge([f, *b])),
        ):
            try:
                taken[name].append(cpu_seconds(work))
            except InputError:
                continue
    drift = sum(sheet.geometry(face).area for face in sheet.faces) - area
    for _ in range(len(taken["split"]) + len(taken["merge"])):
        taken["undo"].append(cpu_seconds(sheet.undo))
    same = all(sheet.geometry(face) is shape for face, shape in enumerate(shapes))
    for name, seconds in taken.items():
        half, late = np.quantile(np.array(seconds) * 1e3, [0.5, 0.99])
        print(f"  {name}: {len(seconds)} times, median {half:.2f} ms, p99 {late:.2f} ms")
    print(f"  drift {drift:.1e} m2; after undoing all: {'the same' if same else 'DIFFERENT'}")


def bench_frame(grids: gpd.GeoDataFrame) -> None:
    spot = grids.geometry[len(grids) // 2].representative_point()
    line = shapely.LineString([(spot.x - 5e3, spot.y), (spot.x + 5e3, spot.y)])
    code = grids.code[len(grids) // 2]
    cut = drawing.split(grids, code, line)
    split = cpu_seconds(lambda: drawing.split(grids, code, line))
    merge = cpu_seconds(lambda: drawing.merge(cut.grids, list(cut.created)))
    print(f"one edit of the whole frame: split {split * 1e3:.0f} ms, merge {merge * 1e3:.0f} ms")


def bench_draw(seeds: int) -> None:
    named = os.environ.get("GEO_SERVICE_REAL_DATA")
    if not named:
        print("draw: $GEO_SERVICE_REAL_DATA names no folder, left out")
        return
    print("extract seed grids in_range compact p10 on_street on_any_way main_inside drift_m2 cpu_s")
    for name, plane, total in EXTRACTS:
        path = Path(named) / "osm" / f"{name}.osm.pbf"
        lines = drawing.street_lines(path, None, crs=plane)
        area = outline(lines)
        for seed in range(seeds):
            people = synthetic_households(lines, total, seed)
            start = time.process_time()
            drawn = drawing.draw(area, streets=lines, households=people, target=TARGET, seed=seed)
            seconds = time.process_time() - start
            print(name, seed, *quality(drawn, area, lines).values(), f"{seconds:.1f}")
            for miss in drawn.misses:
                print("   ", miss)


def outline(lines: gpd.GeoDataFrame) -> Any:
    """A plausible outline: round the streets, 30 m in."""
    hull = shapely.concave_hull(lines[lines.kind != "water"].union_all(), 0.4).buffer(-30)
    return shapely.simplify(max(shapely.get_parts(hull), key=shapely.area), 5)


def synthetic_households(lines: gpd.GeoDataFrame, total: int, seed: int) -> gpd.GeoDataFrame:
    random = np.random.default_rng(seed)
    walk = lines[lines.kind.isin(["street", "minor", "major"])]
    length = walk.length.to_numpy()
    count = total // HOUSEHOLDS_A_PLACE
    on = walk.geometry.to_numpy()[random.choice(len(walk), count, p=length / length.sum())]
    spots = shapely.line_interpolate_point(on, random.random(count), normalized=True)
    xy = shapely.get_coordinates(spots) + random.normal(0, 25, (count, 2))
    return gpd.GeoDataFrame(
        {"households": random.poisson(HOUSEHOLDS_A_PLACE, count)},
        geometry=gpd.points_from_xy(*xy.T),
        crs=lines.crs,
    )


def quality(drawn: drawing.Drawn, area: Any, lines: gpd.GeoDataFrame) -> dict[str, str]:
    """Shares measured by a point every 4 m: borders within 1 m of a line, main ways 20 m inside."""
    grids = drawn.grids
    graph = topology.build(grids.geometry.values)
    inner = np.flatnonzero((graph.left >= 0) & (graph.right >= 0))
    arcs = np.array([shapely.LineString(graph.arc(int(k))) for k in inner], object)
    border, strong = sampled(arcs), lines[lines.kind != "minor"]
    main_ways = sampled(shapely.intersection(lines[lines.kind == "major"].geometry.values, area))
    compact = 4 * np.pi * grids.area / grids.length**2
    in_range = grids.households.between(*TARGET).mean()
    return {
        "grids": str(len(grids)),
        "in_range": f"{np.floor(1e4 * in_range) / 1e4:.4f}",
        "compact": f"{compact.median():.3f}",
        "p10": f"{compact.quantile(0.1):.3f}",
        "on_street": f"{near(border, strong.geometry.values, 1.0):.2f}",
        "on_any_way": f"{near(border, lines.geometry.values, 1.0):.2f}",
        "main_inside": f"{1 - near(main_ways, np.append(arcs, area.boundary), 20.0):.2f}",
        "drift_m2": f"{grids.area.sum() - area.area:.0e}",
    }


def sampled(lines: np.ndarray) -> np.ndarray:
    return np.asarray(shapely.points(shapely.get_coordinates(shapely.segmentize(lines, SAMPLE_M))))


def near(points: np.ndarray, lines: np.ndarray, metres: float) -> float:
    found = shapely.STRtree(lines).query(points, predicate="dwithin", distance=metres)[0]
    return float((np.bincount(found, minlength=len(points)) > 0).mean())


if __name__ == "__main__":
    main()
