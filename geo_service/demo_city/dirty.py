"""Dirty copies of a clean tiling, with a table of the truth: what was spoiled, where and how much.

Areas of the truth are computed from the few vertices that were moved, never by the check they are
there to judge. Faults keep away from one another: no two touch the same grid or its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import boundary_files

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

FloatArray = npt.NDArray[np.float64]

NEAR_M = 1.0
"""A fault is located when its geometry comes this near to the point of the truth."""

AREA_SHARE, AREA_M2 = 0.01, 2e-3
"""An area is right within this share, or within these square metres."""

_T_JUNCTION_M = (0.001, 0.01, 0.1)
_SLIVER_WIDTH_M = 0.03
_TRIES = 400


@dataclass(frozen=True)
class Score:
    """How a report did against the truth.

    Parameters
    ----------
    injected, located, area_right, codes_right : int
        Real faults: in all, found, and of those found with the right area and the right codes.
    false_alarms : int
        Errors and warnings that no injected fault explains.
    missed, alarms : DataFrame
        The rows behind the shortfall.
    """

    injected: int
    located: int
    area_right: int
    codes_right: int
    false_alarms: int
    missed: pd.DataFrame
    alarms: pd.DataFrame


def inject(
    grids: gpd.GeoDataFrame, outline: gpd.GeoDataFrame | Any, *, seed: int = 7, each: int = 5
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

    Returns
    -------
    dirty : GeoDataFrame
        The copy, with a column ``area`` (m2, as drawn).
    truth : DataFrame
        ``id``, ``kind``, ``variant``, ``codes`` (tuple), ``area_m2`` (NaN where none is due),
        ``x``, ``y`` (a point at the fault), ``real`` (``False``: only a note is due).
    """
    work = _Work.of(grids, outline, seed)
    for _ in range(each):
        for variant in VARIANTS:
            work.place(variant)
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


def score(truth: pd.DataFrame | Sequence[dict[str, Any]], report: CoverageReport) -> Score:
    """Judge a report by the truth.

    Parameters
    ----------
    truth : DataFrame or sequence of dict
        From `inject`, or read back from ``truth.json``.
    report : CoverageReport
        Of the dirty copy, within its outline.
    """
    wanted = pd.DataFrame(truth).reset_index(drop=True)
    faults = report.faults.reset_index(drop=True)
    matches = [_match(row, faults) for row in wanted.itertuples()]
    real = wanted["real"].to_numpy(bool)
    pairs = list(zip(wanted.itertuples(), matches, strict=True))
    located = np.array([bool(found) for found in matches], bool)
    areas = np.array([_area_right(row, faults, found) for row, found in pairs], bool)
    codes = np.array([_codes_right(row, faults, found) for row, found in pairs], bool)
    explained = set[int]().union(*(set(found) for found in matches))
    alarms = [
        at
        for at in range(len(faults))
        if at not in explained
        and faults["severity"].iloc[at] != "note"
        and not _is_consequence(faults.iloc[at], wanted)
    ]
    short = real & ~(located & areas & codes)
    return Score(
        injected=int(real.sum()),
        located=int((real & located).sum()),
        area_right=int((real & located & areas).sum()),
        codes_right=int((real & located & codes).sum()),
        false_alarms=len(alarms),
        missed=wanted[short].assign(located=located[short]),
        alarms=faults.iloc[alarms],
    )


# --- judging -------------------------------------------------------------------------------------


def _match(row: Any, faults: gpd.GeoDataFrame) -> list[int]:
    """Faults of the row's kind at its place, or for its codes where it has no place."""
    same = faults["kind"].to_numpy() == row.kind
    if row.kind.startswith("code_") or row.kind in {"attribute_missing", "area_mismatch"}:
        held = faults["codes"].map(lambda codes: set(row.codes) <= set(codes)).to_numpy(bool)
        return np.flatnonzero(same & held).tolist()
    far = shapely.distance(faults.geometry.to_numpy(), shapely.Point(row.x, row.y))
    return np.flatnonzero(same & (far <= NEAR_M)).tolist()


def _area_right(row: Any, faults: gpd.GeoDataFrame, found: list[int]) -> bool:
    if row.area_m2 is None or np.isnan(row.area_m2):
        return True
    area = float(faults["area_m2"].iloc[found].sum())
    return abs(area - row.area_m2) <= max(AREA_SHARE * row.area_m2, AREA_M2)


def _codes_right(row: Any, faults: gpd.GeoDataFrame, found: list[int]) -> bool:
    told = set[str]().union(*(set(faults["codes"].iloc[at]) for at in found))
    return told == set(row.codes)


def _is_consequence(fault: Any, truth: pd.DataFrame) -> bool:
    """A crossed ring is sharp, and leaves slips of gap and overlap; a sliver ends in points."""
    if fault["kind"] == "spike":
        sharp = truth["codes"][truth["kind"].isin(["sliver", "self_intersection"])]
        return any(set(fault["codes"]) <= set(codes) for codes in sharp)
    crossed = truth[truth["kind"] == "self_intersection"]
    if fault["kind"] not in {"gap", "overlap"} or not len(crossed):
        return False
    places = shapely.points(crossed["x"].to_numpy(float), crossed["y"].to_numpy(float))
    return bool((shapely.distance(fault.geometry, places) <= NEAR_M).any())


# --- spoiling ------------------------------------------------------------------------------------


@dataclass
class _Fault:
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
    more: tuple[_Fault, ...] = ()


@dataclass
class _Work:
    """The tiling being spoiled."""

    grids: gpd.GeoDataFrame
    polygons: npt.NDArray[np.object_]
    outline: Any
    rings: list[FloatArray]
    owners: dict[tuple[float, float], list[int]]
    neighbours: list[set[int]]
    on_rim: npt.NDArray[np.bool_]
    order: list[int]
    rng: np.random.Generator
    taken: set[int] = field(default_factory=set)
    faults: list[tuple[str, _Fault]] = field(default_factory=list)
    serial: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, grids: gpd.GeoDataFrame, outline: Any, seed: int) -> _Work:
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
            grids, polygons, area, rings, owners, neighbours, on_rim,
            rng.permutation(len(rings)).tolist(), rng,
        )  # fmt: skip

    def place(self, variant: str) -> None:
        """Spoil the next free grid that the variant fits."""
        wants_rim = variant in {"overrun", "rim_gap"}
        tried = 0
        for row in self.order:
            if bool(self.on_rim[row]) != wants_rim or not self._free((row,)):
                continue
            tried += 1
            fault = VARIANTS[variant](self, row)
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
        return str(self.grids["code"].iloc[row])

    def codes(self, rows: Iterable[int]) -> tuple[str, ...]:
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
        return self.owners[tuple(self.rings[row][k].tolist())]

    def other(self, row: int, k: int) -> int:
        return next(r for r in self.meeting(row, k) if r != row)

    def result(self) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
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


def _moved(work: _Work, row: int, k: int, towards: FloatArray, by_m: float) -> FloatArray:
    vertex = work.rings[row][k]
    way = towards - vertex
    return vertex + way / np.hypot(*way) * by_m


def _with_vertex(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    changed = ring.copy()
    changed[k] = vertex
    return shapely.polygons(changed)


def _denser(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    """A polygon of a ring with one vertex more, after place `k`."""
    return shapely.polygons(np.insert(ring, k + 1, vertex, axis=0))


def _quad(ring: FloatArray, k: int, vertex: FloatArray) -> Any:
    """What lies between a ring and itself with one vertex moved."""
    before, after = ring[k - 1], ring[(k + 1) % len(ring)]
    return shapely.polygons(np.array([before, ring[k], after, vertex]))


def _area(polygon: Any) -> float:
    """Shoelace near the origin, where six-figure coordinates cost no digits."""
    ring = shapely.get_coordinates(polygon)
    x, y = (ring - ring[0]).T
    return abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2.0


def _inner_point(polygon: Any) -> FloatArray:
    return shapely.get_coordinates(shapely.point_on_surface(polygon))[0]


def _pull(work: _Work, row: int, *, meeting: int, inward: bool) -> _Fault | None:
    """Move one shared vertex of one grid: inward leaves a gap, outward an overlap."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, meeting):
        rows = tuple(work.meeting(row, k))
        if any(work.on_rim[r] for r in rows):
            continue
        by_m = float(work.rng.uniform(0.15, 0.3)) * np.hypot(*(middle - ring[k])) * 0.3
        towards = middle if inward else 2.0 * ring[k] - middle
        vertex = _moved(work, row, k, towards, by_m)
        spoiled, between = _with_vertex(ring, k, vertex), _quad(ring, k, vertex)
        if not (shapely.is_valid(spoiled) and shapely.is_valid(between)):
            continue
        ground = (
            work.polygons[row]
            if inward
            else shapely.union_all(work.polygons[[r for r in rows if r != row]])
        )
        if not shapely.covers(ground, between):
            continue
        if not inward and meeting == 3 and not _over_both(work, row, rows, between):
            continue
        return _Fault(
            "gap" if inward else "overlap", work.codes(rows), _inner_point(between),
            _area(between), rows=rows, geometry={row: spoiled},
        )  # fmt: skip
    return None


def _over_both(work: _Work, row: int, rows: tuple[int, ...], between: Any) -> bool:
    others = work.polygons[[r for r in rows if r != row]]
    return bool((shapely.area(shapely.intersection(others, between)) > 0.5).all())


def _hole(work: _Work, row: int) -> _Fault | None:
    hole = _square_inside(work.polygons[row], 0.12)
    polygon = shapely.polygons(work.rings[row], [shapely.get_coordinates(hole)])
    return _Fault(
        "gap", work.codes((row,)), _inner_point(hole), _area(hole), rows=(row,),
        geometry={row: polygon},
    )  # fmt: skip


def _square_inside(polygon: Any, share: float) -> Any:
    """A square around the middle of the largest circle inside, of a share of its radius."""
    radius = shapely.maximum_inscribed_circle(polygon, tolerance=1.0)
    (x, y), (ex, ey) = shapely.get_coordinates(radius)
    half = share * float(np.hypot(ex - x, ey - y))
    return shapely.box(x - half, y - half, x + half, y + half)


def _inside(work: _Work, row: int) -> _Fault | None:
    small = _square_inside(work.polygons[row], 0.3)
    code = work.new_code(row)
    return _Fault(
        "overlap", tuple(sorted((work.code(row), code))), _inner_point(small), _area(small),
        rows=(row,), added=[(row, small, code)],
    )  # fmt: skip


def _sliver(work: _Work, row: int) -> _Fault | None:
    """Cut a strip of 3 cm off along a border: the tiling stays exact, the strip is a grid."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        run = [(k + step) % len(ring) for step in range(5)]
        if {tuple(work.meeting(row, j)) for j in run} != {tuple(work.meeting(row, k))}:
            continue
        inner = np.array([_moved(work, row, j, middle, _SLIVER_WIDTH_M) for j in run[1:-1]])
        strip = shapely.polygons(np.concatenate([ring[run], inner[::-1]]))
        rest = ring.copy()
        rest[run[1:-1]] = inner
        if shapely.is_valid(strip) and shapely.is_valid(shapely.polygons(rest)):
            code = work.new_code(row)
            return _Fault(
                "sliver", (code,), _inner_point(strip), _area(strip),
                rows=tuple(work.meeting(row, k)),
                geometry={row: shapely.polygons(rest)}, added=[(row, strip, code)],
            )  # fmt: skip
    return None


def _duplicate(form: str) -> Callable[[_Work, int], _Fault | None]:
    def spoil(work: _Work, row: int) -> _Fault | None:
        ring = work.rings[row]
        if form == "turned":
            ring = np.roll(ring[::-1], 7, axis=0)
        if form == "denser":
            exact = _exact_middles(ring)
            if not exact:
                return None
            ring = np.insert(ring, exact[0] + 1, (ring[exact[0]] + ring[exact[0] + 1]) / 2, axis=0)
        code = work.new_code(row)
        return _Fault(
            "duplicate_geometry", tuple(sorted((work.code(row), code))),
            _inner_point(work.polygons[row]), _area(work.polygons[row]),
            rows=(row,), added=[(row, shapely.polygons(ring), code)],
        )  # fmt: skip

    return spoil


def _exact_middles(ring: FloatArray) -> list[int]:
    """Segments whose middle is a pair of doubles exactly on the line."""
    found = []
    for k in range(len(ring) - 1):
        exact = all(
            (Fraction(a) + Fraction(b)) / 2 == Fraction((a + b) / 2)
            for a, b in zip(ring[k].tolist(), ring[k + 1].tolist(), strict=True)
        )
        if exact:
            found.append(k)
    return found


def _bow_tie(work: _Work, row: int) -> _Fault | None:
    ring = work.rings[row]
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        if work.meeting(row, k) != work.meeting(row, after):
            continue
        crossed = ring.copy()
        crossed[[k, after]] = crossed[[after, k]]
        polygon = shapely.polygons(crossed)
        if not shapely.is_valid(polygon):
            at = (ring[k] + ring[after]) / 2.0
            return _Fault("self_intersection", work.codes((row,)), at,
                          rows=tuple(work.meeting(row, k)), geometry={row: polygon})  # fmt: skip
    return None


def _repeat(work: _Work, row: int) -> _Fault | None:
    ring = work.rings[row]
    k = len(ring) // 3
    polygon = shapely.polygons(np.insert(ring, k, ring[k], axis=0))
    return _Fault("repeated_point", work.codes((row,)), ring[k], real=False, rows=(row,),
                  geometry={row: polygon})  # fmt: skip


def _spike(work: _Work, row: int) -> _Fault | None:
    """A needle into the grid: a spike of its ring, and a gap as long."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        length = float(np.hypot(*(ring[after] - ring[k])))
        if work.meeting(row, k) != work.meeting(row, after) or length < 4.0:
            continue
        foot = ring[k] + (ring[after] - ring[k]) * (0.1 / length)
        tip = _moved(work, row, k, middle, 0.4 * float(np.hypot(*(middle - ring[k]))))
        needle = shapely.polygons(np.array([ring[k], tip, foot]))
        polygon = shapely.polygons(np.insert(ring, k + 1, [tip, foot], axis=0))
        if shapely.is_valid(polygon) and shapely.covers(work.polygons[row].buffer(1e-6), needle):
            rows = tuple(work.meeting(row, k))
            gap = _Fault("gap", work.codes(rows), _inner_point(needle), _area(needle))
            return _Fault("spike", work.codes((row,)), tip, rows=rows, geometry={row: polygon},
                          more=(gap,))  # fmt: skip
    return None


def _exclave(work: _Work, row: int) -> _Fault | None:
    """Give a grid a piece of another: the tiling stays exact, the grid has two parts."""
    beyond = set[int]().union(*(work.neighbours[r] for r in work.neighbours[row]))
    for host in sorted(beyond - work.neighbours[row] - {row}):
        if work.on_rim[host]:
            continue
        piece = _square_inside(work.polygons[host], 0.3)
        holed = shapely.polygons(work.rings[host], [shapely.get_coordinates(piece)])
        both = shapely.multipolygons([work.polygons[row], piece])
        return _Fault("multipart", work.codes((row,)), _inner_point(work.polygons[row]),
                      rows=(row, host), geometry={row: both, host: holed})  # fmt: skip
    return None


def _t_junction(work: _Work, row: int) -> _Fault | None:
    """A vertex of one side only, a millimetre to ten centimetres off the line."""
    ring = work.rings[row]
    off_m = _T_JUNCTION_M[len(work.faults) % len(_T_JUNCTION_M)]
    inward = bool(work.rng.random() < 0.5)
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        along = ring[after] - ring[k]
        length = float(np.hypot(*along))
        if work.meeting(row, k) != work.meeting(row, after) or length < 5.0:
            continue
        left = np.array([-along[1], along[0]]) / length
        side = 1.0 if shapely.is_ccw(shapely.linearrings(ring)) == inward else -1.0
        vertex = (ring[k] + ring[after]) / 2.0 + side * off_m * left
        triangle = shapely.polygons(np.array([ring[k], vertex, ring[after]]))
        rows = tuple(work.meeting(row, k))
        return _Fault("gap" if inward else "overlap", work.codes(rows), _inner_point(triangle),
                      _area(triangle), rows=rows,
                      geometry={row: _denser(ring, k, vertex)})  # fmt: skip
    return None


def _harmless(work: _Work, row: int) -> _Fault | None:
    """A vertex of one side only, exactly on the line."""
    ring = work.rings[row]
    for k in _exact_middles(ring):
        rows = tuple(work.meeting(row, k))
        if len(rows) != 2 or tuple(work.meeting(row, k + 1)) != rows:
            continue
        vertex = (ring[k] + ring[k + 1]) / 2.0
        return _Fault("edge_mismatch", work.codes(rows), vertex, real=False, rows=rows,
                      geometry={row: _denser(ring, k, vertex)})  # fmt: skip
    return None


def _rim(work: _Work, row: int, *, inward: bool) -> _Fault | None:
    """Move a rim vertex: inward leaves the rim open, outward overruns it."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 1):
        neighbours = [(k - 1) % len(ring), (k + 1) % len(ring)]
        if any(len(work.meeting(row, j)) != 1 for j in neighbours):
            continue
        by_m = 0.1 * float(np.hypot(*(middle - ring[k])))
        vertex = _moved(work, row, k, middle if inward else 2.0 * ring[k] - middle, by_m)
        spoiled, between = _with_vertex(ring, k, vertex), _quad(ring, k, vertex)
        if not (shapely.is_valid(spoiled) and shapely.is_valid(between)):
            continue
        clear = (
            shapely.covers(work.polygons[row], between)
            if inward
            else shapely.area(shapely.intersection(work.outline, between)) == 0.0
        )
        if clear:
            return _Fault("rim_gap" if inward else "overrun", work.codes((row,)),
                          _inner_point(between), _area(between), rows=(row,),
                          geometry={row: spoiled})  # fmt: skip
    return None


def _missing(work: _Work, row: int) -> _Fault | None:
    around = work.neighbours[row] - {row}
    if any(work.on_rim[r] for r in around):
        return None
    return _Fault("missing_grid", work.codes(around), _inner_point(work.polygons[row]),
                  _area(work.polygons[row]), rows=(row, *sorted(around)),
                  dropped=(row,))  # fmt: skip


def _same_code(work: _Work, row: int) -> _Fault | None:
    """Two grids of one community under one code."""
    mates = work.grids.index[work.grids["code"].str[:12] == work.code(row)[:12]]
    for mate in mates:
        if mate != row and not work.on_rim[mate]:
            return _Fault("code_duplicate", (work.code(row),), _inner_point(work.polygons[row]),
                          rows=(row, int(mate)),
                          columns={int(mate): {"code": work.code(row)}})  # fmt: skip
    return None


def _bad_code(work: _Work, row: int) -> _Fault | None:
    code = work.code(row)[:-2] + "X1"
    return _Fault("code_malformed", (code,), _inner_point(work.polygons[row]), rows=(row,),
                  columns={row: {"code": code}})  # fmt: skip


def _wrong_parent(work: _Work, row: int) -> _Fault | None:
    own = work.grids["parent_code"].iloc[row]
    other = work.grids["parent_code"][work.grids["parent_code"] != own]
    return _Fault("code_parent_mismatch", work.codes((row,)), _inner_point(work.polygons[row]),
                  rows=(row,), columns={row: {"parent_code": other.iloc[0]}})  # fmt: skip


def _wrong_area(work: _Work, row: int) -> _Fault | None:
    stated = 1.05 * work.polygons[row].area
    return _Fault("area_mismatch", work.codes((row,)), _inner_point(work.polygons[row]),
                  rows=(row,), columns={row: {"area": stated}})  # fmt: skip


VARIANTS: dict[str, Callable[[_Work, int], _Fault | None]] = {
    "gap_at_edge": lambda work, row: _pull(work, row, meeting=2, inward=True),
    "gap_in_one": _hole,
    "gap_at_node": lambda work, row: _pull(work, row, meeting=3, inward=True),
    "overlap_at_edge": lambda work, row: _pull(work, row, meeting=2, inward=False),
    "overlap_over_two": lambda work, row: _pull(work, row, meeting=3, inward=False),
    "overlap_inside": _inside,
    "sliver": _sliver,
    "duplicate_same": _duplicate("same"),
    "duplicate_turned": _duplicate("turned"),
    "duplicate_denser": _duplicate("denser"),
    "bow_tie": _bow_tie,
    "repeated_point": _repeat,
    "spike": _spike,
    "exclave": _exclave,
    "t_junction": _t_junction,
    "t_junction_again": _t_junction,
    "t_junction_harmless": _harmless,
    "overrun": lambda work, row: _rim(work, row, inward=False),
    "rim_gap": lambda work, row: _rim(work, row, inward=True),
    "missing_grid": _missing,
    "code_duplicate": _same_code,
    "code_malformed": _bad_code,
    "code_parent_mismatch": _wrong_parent,
    "area_mismatch": _wrong_area,
}
"""Name of a variant -> how it spoils a grid; a further one is one entry here."""
