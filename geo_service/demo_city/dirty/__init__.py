"""Dirty copies of a clean tiling, with a table of the truth: what was spoiled, where and how much.

Areas of the truth are computed from the few vertices that were moved, never by the check they are
there to judge. Faults keep away from one another: no two touch the same grid or its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from geo_service import boundary_files
from geo_service.demo_city.dirty.records import HOUSEHOLDS
from geo_service.demo_city.dirty.scoring import AREA_M2, AREA_SHARE, NEAR_M, Score, score
from geo_service.demo_city.dirty.variants import (
    PARENT_VARIANTS,
    RECORD_VARIANTS,
    RIM_VARIANTS,
    VARIANTS,
)
from geo_service.demo_city.dirty.work import Spoil, Work

__all__ = [
    "AREA_M2",
    "AREA_SHARE",
    "HOUSEHOLDS",
    "NEAR_M",
    "PARENT_VARIANTS",
    "RECORD_VARIANTS",
    "VARIANTS",
    "Score",
    "inject",
    "score",
    "write",
]


def inject(
    grids: gpd.GeoDataFrame,
    outline: gpd.GeoDataFrame | Any,
    *,
    seed: int = 7,
    each: int = 5,
    variants: Mapping[str, Spoil] = VARIANTS,
) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Spoil a copy of a clean tiling.

    Parameters
    ----------
    grids : GeoDataFrame
        A clean tiling of polygons without holes, in metres, with columns code and parent_code.
    outline : GeoDataFrame or geometry
        What it tiles.
    seed : int
        Where the faults fall.
    each : int
        How many of every variant; fewer where the tiling is too small to keep them apart.
    variants : Mapping
        What is done; `RECORD_VARIANTS` and `PARENT_VARIANTS` need other things to be judged by.

    Returns
    -------
    dirty : GeoDataFrame
        The copy, with a column ``area`` (m2, as drawn).
    truth : DataFrame
        ``id``, ``kind``, ``variant``, ``codes`` (tuple), ``area_m2`` (NaN where none is due),
        ``x``, ``y`` (a point at the fault), ``real`` (``False``: only a note is due, and where
        the kind is ``none`` not even that).
    """
    work = Work.of(grids, outline, seed)
    for _ in range(each):
        for name, spoil in variants.items():
            work.place(name, spoil, on_rim=name in RIM_VARIANTS)
    return work.result()


def write(dirty: gpd.GeoDataFrame, truth: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Write a dirty copy and its truth: ``grids_dirty.gpkg``, ``truth.csv``, ``truth.json``."""
    folder.mkdir(exist_ok=True)
    layer = boundary_files.write(dirty, folder / "grids_dirty.gpkg")
    rows = truth.assign(codes=truth["codes"].map(list)).astype(object)
    records = rows.where(rows.notna(), None).to_dict("records")
    json_path = folder / "truth.json"
    json_path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")
    flat = truth.assign(codes=truth["codes"].map(" ".join))
    flat.to_csv(folder / "truth.csv", index=False, encoding="utf-8-sig")
    return {"dirty": layer, "truth": json_path}
