"""Lookup against shapely's STRtree: the same points, in turn (A B A B), 10 % of them on borders.

    python scripts/bench/locate.py [--grids 18936] [--points 1000000] [--rounds 3]
    python scripts/bench/locate.py --layer FILE [--code-field F] --points 10000000 --rounds 1

Prints points a second, the ratio of each round, and differing answers, which must be none.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rtree
import shapely
from tests_beside import beside_the_tests

from geo_service.locate import Locator


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--grids", type=int, default=18_936)
    options.add_argument("--points", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--layer", type=Path, help="a boundary file instead of a made-up tiling")
    options.add_argument("--code-field")
    given = options.parse_args()

    grids = _layer(given.layer, given.code_field) if given.layer else _tiling(given.grids)
    vertices = int(shapely.get_num_coordinates(grids.geometry.values).sum())
    Locator(grids.iloc[:10]).rows_xy(0.0, 0.0)  # compile
    locator, built_s = _timed(lambda: Locator(grids))
    tree, tree_s = _timed(lambda: shapely.STRtree(grids.geometry.values))
    print(f"{len(grids):,} grids, {vertices:,} vertices, {given.points:,} points, 10 % on borders")
    print(f"build   ours {built_s:.2f} s, {locator.nbytes / 1e6:.0f} MB;  STRtree {tree_s:.2f} s")

    x, y = _points(grids, given.points)
    ratios = []
    for _ in range(given.rounds):
        ours, ours_s = _timed(lambda: locator.rows_xy(x, y))
        theirs, theirs_s = _timed(lambda: _by_tree(tree, grids, x, y))
        ratios.append(theirs_s / ours_s)
        print(
            f"lookup  ours {x.size / ours_s / 1e6:.2f} M/s;  STRtree {x.size / theirs_s / 1e6:.3f}"
            f" M/s;  ratio {ratios[-1]:.1f};  differences {int((ours != theirs).sum())}"
        )
    few = slice(0, min(x.size, 200_000))
    for name, peer in (("sjoin", _by_sjoin), ("rtree + prepared", _by_rtree)):
        part = slice(0, min(x.size, 50_000))
        theirs, theirs_s = _timed(functools.partial(peer, grids, x[part], y[part]))
        ours, ours_s = _timed(lambda part=part: locator.rows_xy(x[part], y[part]))
        differing = int((ours != theirs).sum())
        print(f"{name:17} {theirs.size / theirs_s / 1e6:.3f} M/s; ratio {theirs_s / ours_s:.0f}; "
              f"differences {differing}")  # fmt: skip
    _, full_s = _timed(lambda: locator.locate_xy(x[few], y[few]))
    print(f"with distances and runner-up {x[few].size / full_s / 1e6:.2f} M/s")
    print(f"median ratio {np.median(ratios):.1f} (target 20)")


def _by_tree(tree: shapely.STRtree, grids: Any, x: Any, y: Any) -> Any:
    """Row of the smallest code among the grids that meet each point, -1 outside."""
    order = np.argsort(grids["code"].to_numpy().astype(str), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    points, hits = tree.query(shapely.points(x, y), predicate="intersects")
    least = np.full(x.size, order.size)
    np.minimum.at(least, points, rank[hits])
    return np.append(order, -1)[least]


def _by_sjoin(grids: Any, x: Any, y: Any) -> Any:
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=grids.crs)
    met = points.sjoin(grids[["code", "geometry"]], predicate="intersects")
    least = met.sort_values("code").groupby(level=0)["index_right"].first()
    return least.reindex(range(len(points)), fill_value=-1).to_numpy()


def _by_rtree(grids: Any, x: Any, y: Any) -> Any:
    shapes = grids.geometry.to_numpy()
    shapely.prepare(shapes)
    boxes = shapely.bounds(shapes)
    index = rtree.index.Index((k, box, None) for k, box in enumerate(boxes.tolist()))
    codes = grids["code"].to_numpy().astype(str)
    rows = np.full(x.size, -1)
    for k, place in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        near = [n for n in index.intersection((*place, *place))
                if shapely.intersects_xy(shapes[n], *place)]  # fmt: skip
        rows[k] = min(near, key=lambda n: codes[n], default=-1)
    return rows


def _points(grids: Any, count: int) -> Any:
    """Places all over the box; every tenth a vertex or the middle of an edge."""
    random = np.random.default_rng(0)
    x0, y0, x1, y1 = grids.total_bounds
    places = random.uniform((x0, y0), (x1, y1), (count, 2))
    ends = shapely.get_coordinates(grids.geometry.values)
    at = random.integers(0, len(ends) - 1, count // 20)
    places[::20][: at.size] = ends[at]
    at = random.integers(0, len(ends) - 1, count // 20)
    places[10::20][: at.size] = ((ends[at] + ends[at + 1]) / 2)[: len(places[10::20])]
    return np.ascontiguousarray(places[:, 0]), np.ascontiguousarray(places[:, 1])


def _layer(file: Path, code_field: str | None) -> Any:
    grids = gpd.read_file(file)
    codes = grids[code_field].astype(str) if code_field else [f"{k:06d}" for k in range(len(grids))]
    return grids.assign(code=codes).to_crs(grids.estimate_utm_crs())


def _tiling(count: int) -> Any:
    return beside_the_tests("tilings").tiling(count, 1, points=16)[0]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and the CPU seconds it took."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


if __name__ == "__main__":
    main()
