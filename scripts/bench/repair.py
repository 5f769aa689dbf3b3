"""Mending the dirty demo city beside shapely.coverage_clean, in turn, and the promises measured.

    python scripts/bench/repair.py [--grids 18936] [--each 7] [--rounds 3] [--max-gap-m 100]

CPU seconds of all threads. Ours includes the check of the result. `maup.smart_repair` and
`quick_repair` are named only: the first does not finish on this city, the second needs coordinates
snapped beforehand. What each leaves is counted by our check.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service import coverage, demo_city, mending
from geo_service.demo_city import dirty
from geo_service.demo_city.city import FULL_CITY_GRIDS

LINES = ("self_intersection", "overlap", "gap", "rim_gap", "overrun", "outline_mismatch",
         "duplicate_geometry", "sliver", "spike", "missing_grid")  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--grids", type=int, default=FULL_CITY_GRIDS)
    options.add_argument("--each", type=int, default=7, help="faults of every variant")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--max-gap-m", type=float, default=100.0)
    chosen = options.parse_args()

    city = demo_city.make(grids=chosen.grids)
    grids, truth = dirty.inject(city.grids, city.outline, seed=11, each=chosen.each)
    shapes = grids.geometry.to_numpy()
    vertices = int(shapely.get_num_coordinates(shapes).sum())
    print(f"{len(grids):,} grids, {vertices:,} vertices, {int(truth['real'].sum())} faults")
    small = grids.iloc[:20]
    mending.repair(small)  # compiled once

    def ours() -> mending.Mended:
        return mending.repair(grids, within=city.outline, max_gap_m=chosen.max_gap_m)

    def theirs() -> Any:
        return shapely.coverage_clean(shapes, gap_width=chosen.max_gap_m)

    ratios = []
    for _ in range(chosen.rounds):
        mended, ours_s = timed(ours)
        cleaned, theirs_s = timed(theirs)
        _, check_s = timed(lambda: coverage.check(grids, within=city.outline))
        ratios.append(theirs_s / ours_s)
        print(
            f"  ours {ours_s:.3f} s  coverage_clean {theirs_s:.2f} s  ratio {ratios[-1]:.1f}"
            f"  (one check of the same layer {check_s:.3f} s)"
        )
    print(f"median ratio {np.median(ratios):.1f} (target 15)")
    same = shapely.to_wkb(shapes[mended.rows]) == shapely.to_wkb(mended.grids.geometry.to_numpy())
    named = set(mended.changes["code"])
    innocent = (~same & ~mended.grids["code"].isin(named).to_numpy()).sum()
    print(f"ours: {(~same).sum()} grids changed, {innocent} of them unnamed")
    print(f"  left {left(mended.grids, city.outline)}")
    print(f"  farthest {mended.changes['moved_m'].max():.2f} m, limit {chosen.max_gap_m:g} m")
    peer = grids.set_geometry(gpd.GeoSeries(cleaned, index=grids.index, crs=grids.crs))
    peer = peer[~shapely.is_empty(np.asarray(cleaned))]
    print(f"coverage_clean: left {left(peer, city.outline)}")


def left(grids: gpd.GeoDataFrame, outline: Any) -> dict[str, int]:
    counts = coverage.check(grids, within=outline).counts
    return {kind: counts[kind] for kind in LINES if kind in counts}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


if __name__ == "__main__":
    main()
