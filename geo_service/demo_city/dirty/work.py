"""The tiling while it is being spoiled: who meets where, who is taken, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

FloatArray = npt.NDArray[np.float64]

_TRIES = 400


@dataclass
class Fault:
    """What one variant does: geometries and columns changed, rows added and dropped, the truth."""

    kind: str
    codes: tuple[str, ...]
    at: FloatArray
    area_m2: float = float("nan")
    real: bool = True
    rows: tuple[int, ...] = ()
    geometry: dict[int, Any] = field(default_factory=dict)
    columns: dict[int, dict[str, Any]] = field(default_factory=dict)
    added: list[tuple[int, Any, str]] = field(default_factory=list)  # like row, geometry, code
    dropped: tuple[int, ...] = ()
    more: tuple[Fault, ...] = ()


Spoil = Callable[["Work", int], Fault | None]
"""Spoils a grid, or gives ``None`` where it does not fit."""


@dataclass
class Work:
    """The tiling being spoiled."""

    grids: gpd.GeoDataFrame
    polygons: npt.NDArray[np.object_]
    outline: Any
    rings: list[FloatArray]
    owners: dict[tuple[float, float], list[int]]
    neighbours: list[set[int]]
    on_rim: npt.NDArray[np.bool_]
    rim: set[tuple[float, ...]]
    order: list[int]
    rng: np.random.Generator
    taken: set[int] = field(default_factory=set)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    serial: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, grids: gpd.GeoDataFrame, outline: Any, seed: int) -> Work:
        """Learn who meets where."""
        rng = np.random.default_rng(seed)
        polygons = grids.geometry.to_numpy()
        rings = [shapely.get_coordinates(polygon.exterior)[:-1] for polygon in polygons]
        owners: dict[tuple[float, float], list[int]] = {}
        for row, ring in enumerate(rings):
            for x, y in ring.tolist():
                owners.setdefault((x, y), []).append(row)
        neighbours: list[set[int]] = [set() for _ in rings]
        for meeting in owners.values():
            for row in meeting:
                neighbours[row].update(meeting)
        area = outline.geometry.union_all() if hasattr(outline, "geometry") else outline
        rim = set(map(tuple, shapely.get_coordinates(area).tolist()))
        on_rim = np.array([any(tuple(v) in rim for v in ring.tolist()) for ring in rings])
        return cls(
            grids, polygons, area, rings, owners, neighbours, on_rim, rim,
            rng.permutation(len(rings)).tolist(), rng,
        )  # fmt: skip

    def place(self, variant: str, spoil: Spoil, *, on_rim: bool) -> None:
        """Spoil the next free grid that the variant fits."""
        tried = 0
        for row in self.order:
            if bool(self.on_rim[row]) != on_rim or not self._free((row,)):
                continue
            tried += 1
            fault = spoil(self, row)
            if fault is not None and self._free(fault.rows):
                self._take(fault.rows)
                self.faults.append((variant, fault))
                return
            if tried >= _TRIES:
                return

    def _free(self, rows: Iterable[int]) -> bool:
        return all(not (self.neighbours[row] | {row}) & self.taken for row in rows)

    def _take(self, rows: Iterable[int]) -> None:
        for row in rows:
            self.taken |= self.neighbours[row] | {row}

    def code(self, row: int) -> str:
        """The code of a row."""
        return str(self.grids["code"].iloc[row])

    def codes(self, rows: Iterable[int]) -> tuple[str, ...]:
        """The codes of rows, in order."""
        return tuple(sorted(self.code(row) for row in rows))

    def new_code(self, row: int) -> str:
        """A code of the row's community that nobody has."""
        parent = self.code(row)[:12]
        self.serial[parent] = self.serial.get(parent, 899) + 1
        return f"{parent}{self.serial[parent]:03d}"

    def shared(self, row: int, count: int) -> list[int]:
        """Places in a row's ring where exactly so many grids meet, in an order of chance."""
        ring = self.rings[row]
        found = [k for k, v in enumerate(ring.tolist()) if len(self.owners[tuple(v)]) == count]
        return self.rng.permutation(found).astype(int).tolist()

    def meeting(self, row: int, k: int) -> list[int]:
        """The rows that share a place of a row's ring, that row among them."""
        return self.owners[tuple(self.rings[row][k].tolist())]

    def result(self) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
        """The dirty copy and its truth."""
        geometry = self.polygons.copy()
        for _, fault in self.faults:
            for row, shape in fault.geometry.items():
                geometry[row] = shape
        dirty = self.grids.set_geometry(
            gpd.GeoSeries(geometry, self.grids.index, crs=self.grids.crs)
        )
        dirty["area"] = np.round(dirty.geometry.area, 2)
        added: list[dict[str, Any]] = []
        shapes: list[Any] = []
        dropped: set[int] = set()
        changed = {}
        for _, fault in self.faults:
            dropped |= set(fault.dropped)
            changed.update(fault.columns)
            for like, shape, code in fault.added:
                new = {**dirty.drop(columns="geometry").iloc[like].to_dict(), "code": code}
                added.append({**new, "area": round(shape.area, 2)})
                shapes.append(shape)
        for column in {name for values in changed.values() for name in values}:
            values = dirty[column].astype(object).to_numpy().copy()
            for row, new_values in changed.items():
                if column in new_values:
                    values[row] = new_values[column]
            dirty[column] = values
        kept = dirty[~np.isin(np.arange(len(dirty)), list(dropped))]
        if added:
            extra = gpd.GeoDataFrame(added, geometry=shapes, crs=dirty.crs)
            kept = pd.concat([kept, extra[kept.columns]], ignore_index=True)
        kept["area"] = kept["area"].astype(float)
        return gpd.GeoDataFrame(kept, geometry="geometry", crs=dirty.crs), self._truth()

    def _truth(self) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for variant, first in self.faults:
            for fault in (first, *first.more):
                rows.append(
                    {
                        "id": len(rows) + 1, "kind": fault.kind, "variant": variant,
                        "codes": fault.codes, "area_m2": fault.area_m2,
                        "x": float(fault.at[0]), "y": float(fault.at[1]), "real": fault.real,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)
