"""Doors of grids, what their people and facilities carry, and the totals within walks.

Each grid has doors: a point inside it, entrances that were given, or all street nodes in it. What
is within so many minutes of any of its doors counts once, by the shortest walk, door to door; the
community is asked the same with the doors of all its grids, so nothing is counted twice there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from geo_service import crs, facilities, layers, places, walking
from geo_service.catchment_counts.parts import KeptParts
from geo_service.errors import InputError, Phrase
from geo_service.streets.contraction import CM_PER_M
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]
LongArray = npt.NDArray[np.int64]

COUNTED = ("population", "population_60", "households")
_GRIDS_A_PART = 1024


@dataclass(frozen=True, eq=False)
class Doors:
    """Where people of each group leave it.

    Parameters
    ----------
    start : ndarray of int64, shape (g + 1,)
        Doors of group `i` are ``start[i]:start[i + 1]``.
    lon, lat : ndarray of float64, shape (d,)
        WGS84 degrees.
    """

    start: LongArray
    lon: FloatArray
    lat: FloatArray

    @property
    def group(self) -> LongArray:
        """The group of each door."""
        return np.repeat(np.arange(self.start.size - 1), np.diff(self.start))

    def regrouped(self, group_of: LongArray, count: int) -> tuple[LongArray, LongArray]:
        """Give the doors of larger groups, one after the other, and where each group begins."""
        larger = group_of[self.group]
        order = np.argsort(larger, kind="stable")
        return order, np.searchsorted(larger[order], np.arange(count + 1))


@dataclass(frozen=True, eq=False)
class Within:
    """What lies within walks.

    Parameters
    ----------
    by_grid : DataFrame
        A row for each grid and minutes: ``code, name, parent_code, minutes, limit_m, doors,
        snap_distance_m`` (the nearest street of its doors), a column for each of the counted
        (people, households) and for each kind of facility: how many are within.
    by_community : DataFrame
        The same for the doors of all grids of a community, with ``grids``, and for each kind
        ``grids_with_…`` and ``people_with_…``: how many of its own grids, and of their people, have
        at least one within.
    notes : dict
        ``grids_without_street`` (codes), ``demand_without_street``, ``facilities_without_street``
        (rows), ``resumed_parts``.
    """

    by_grid: pd.DataFrame
    by_community: pd.DataFrame
    notes: dict[str, Any]


def within(
    network: WalkNetwork,
    grids: gpd.GeoDataFrame,
    *,
    minutes: Iterable[float] = (5, 10, 15),
    doors: str | pd.DataFrame = "inside",
    demand: pd.DataFrame | None = None,
    served_by: pd.DataFrame | None = None,
    speed_kmh: float | None = None,
    profile: str | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
    keep: str | Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Within:
    """Count people, households and facilities within walks of every grid and community.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    grids : GeoDataFrame
        Polygons with ``code``, ``parent_code`` (the community), and the fields of `COUNTED` that
        are known.
    minutes : iterable of float
        Lengths of the walks.
    doors : {"inside", "streets"} or DataFrame
        A point inside each grid; all street nodes within it; or entrances with ``code`` of the
        grid and ``lon``, ``lat``. A grid without any street node or entrance takes its inside.
    demand : DataFrame, optional
        Where people are: ``lon``, ``lat`` and fields of `COUNTED`. By default the grids' own
        numbers, evenly at the grids' doors.
    served_by : DataFrame, optional
        Facilities as `facilities.parse` gives them; open ones count, by kind.
    speed_kmh, profile, snap_limit_m, workers
        As in `catchment` and `walking.reach`.
    keep : str or Path, optional
        A folder for finished parts. A run that was cut off goes on from there; one that asks
        something else begins anew.
    on_progress : callable, optional
        Called with the share done.
    cancelled : callable, optional
        Asked before each part whether to stop.

    Returns
    -------
    Within

    Raises
    ------
    InputError
        ``field_missing``, ``crs_missing``, ``parameter_invalid``.
    CancelledError
        Where `cancelled` said so; finished parts are kept.
    """
    if profile is not None:
        network = network.with_profile(profile)
    each = sorted({float(m) for m in minutes})
    if not each:
        raise InputError(
            "parameter_invalid", name="minutes", value="[]", reason=Phrase("没有给出", "none given")
        )
    limits = np.array([network.limit_cm(m, speed_kmh=speed_kmh) for m in each])
    table = _grids(grids)
    exits = _doors(network, grids, table, doors)
    snapped = network.snap_all(exits.lon, exits.lat, limit_m=snap_limit_m)
    targets = _targets(table, exits, demand, served_by)
    ends = network.snap_all(targets.lon, targets.lat, limit_m=snap_limit_m)

    parents, community = np.unique(table["parent_code"].to_numpy(str), return_inverse=True)
    order, community_start = exits.regrouped(community, parents.size)
    jobs = [
        (snapped, part) for part in _parts(exits.start)
    ] + [(_rows(snapped, order), part) for part in _parts(community_start)]  # fmt: skip
    asked = (
        network.graph.length_cm, network.graph.tail, network.graph.head, snapped.edge,
        snapped.offset_m, snapped.snap_distance_m, exits.start, community, ends.edge, ends.offset_m,
        ends.snap_distance_m, targets.weights, limits,
    )  # fmt: skip
    kept = KeptParts(keep, asked)
    sums = []
    for number, (places_, group_start) in enumerate(jobs):
        if cancelled is not None and cancelled():
            raise CancelledError
        found = kept.get(number)
        if found is None:
            found = _counted(network, places_, group_start, ends, targets.weights, limits, workers)
            kept.put(number, found)
        sums.append(found)
        if on_progress:
            on_progress((number + 1) / len(jobs))
    counts = np.concatenate(sums)
    ours, theirs = counts[: len(table)], counts[len(table) :]
    by_grid = _by_grid(table, exits, snapped, each, limits, ours, targets.names)
    lost = table["code"].to_numpy()[np.isnan(_nearest_m(exits.start, snapped))]
    return Within(
        by_grid=by_grid,
        by_community=_by_community(table, parents, community, each, limits, ours, theirs, targets),
        notes={
            "grids_without_street": lost.tolist(),
            "demand_without_street": int((~ends.found[: targets.people]).sum()),
            "facilities_without_street": int((~ends.found[targets.people :]).sum()),
            "resumed_parts": kept.found,
        },
    )


@dataclass(frozen=True, eq=False)
class _Targets:
    """Where people are, then facilities; what each carries."""

    lon: FloatArray
    lat: FloatArray
    weights: FloatArray
    names: list[str]
    people: int

    @property
    def kinds(self) -> list[str]:
        return [name for name in self.names if name not in COUNTED]


def _grids(grids: gpd.GeoDataFrame) -> pd.DataFrame:
    """Give the plain columns of the grids under our names."""
    if grids.crs is None:
        raise InputError("crs_missing", file="grids", proposal="EPSG:4326")
    plain = pd.DataFrame(grids.drop(columns=grids.geometry.name)).reset_index(drop=True)
    known = layers.match_fields(map(str, plain.columns))
    plain = plain.rename(columns={theirs: ours for ours, theirs in known.items()})
    if "code" not in plain:
        raise InputError(
            "field_missing", file="grids", field="code", found=", ".join(map(str, plain.columns))
        )
    plain["code"] = plain["code"].astype(str)
    if "parent_code" not in plain:
        plain["parent_code"] = plain["code"].str[:12]
    if "name" not in plain:
        plain["name"] = ""
    return plain


def _doors(
    network: WalkNetwork, grids: gpd.GeoDataFrame, table: pd.DataFrame, wished: str | pd.DataFrame
) -> Doors:
    inside = grids.geometry.representative_point()
    lon, lat = crs.to_wgs84(inside.x, inside.y, datum=crs.name(grids.crs))
    if isinstance(wished, pd.DataFrame):
        given = places.read(wished, name="doors")
        row_of = {code: row for row, code in enumerate(table["code"])}
        row = np.array([row_of.get(code, -1) for code in _codes_of(given)], np.int64)
        unknown = np.flatnonzero(row < 0)
        if unknown.size:
            at = int(unknown[0])
            raise InputError(
                "value_invalid", file="doors", row=at + 1, field="code", value=given.ids[at],
                reason=Phrase("没有这个编码的网格", "no grid has this code"),
            )  # fmt: skip
        door_lon, door_lat = given.lon, given.lat
    elif wished == "streets":
        nodes = gpd.GeoSeries(
            gpd.points_from_xy(*network.node_lonlat.T), crs=crs.WGS84_EPSG
        ).to_crs(grids.crs)
        node, row = grids.sindex.query(nodes.to_numpy(), predicate="intersects")
        # A node on a border is a door of the grids on both sides.
        door_lon, door_lat = network.node_lonlat[node].T
    elif wished == "inside":
        row, door_lon, door_lat = np.empty(0, np.int64), np.empty(0), np.empty(0)
    else:
        reason = Phrase(
            "可用 inside、streets，或一张出入口表", "inside, streets, or a table of entrances"
        )
        raise InputError("parameter_invalid", name="doors", value=wished, reason=reason)
    bare = np.setdiff1d(np.arange(len(table)), row)
    row = np.concatenate((row, bare))
    order = np.argsort(row, kind="stable")
    return Doors(
        np.searchsorted(row[order], np.arange(len(table) + 1)),
        np.concatenate((door_lon, lon[bare]))[order],
        np.concatenate((door_lat, lat[bare]))[order],
    )


def _codes_of(given: places.Places) -> list[str]:
    """The grid of each entrance: its ``grid_code``, else its ``code``."""
    for column in ("grid_code", "code"):
        if column in given.frame:
            return given.frame[column].astype(str).tolist()
    return given.ids


def _targets(
    table: pd.DataFrame, doors: Doors, demand: pd.DataFrame | None, served_by: pd.DataFrame | None
) -> _Targets:
    if demand is None:
        lon, lat, frame = doors.lon, doors.lat, table.iloc[doors.group].reset_index(drop=True)
        share = 1.0 / np.diff(doors.start)[doors.group]
    else:
        people = places.read(demand, name="demand")
        lon, lat, frame, share = people.lon, people.lat, people.frame, np.ones(len(people))
    counted = [name for name in COUNTED if name in frame]
    carried = frame[counted].apply(pd.to_numeric, errors="coerce").fillna(0.0).to_numpy(float)
    weights = carried * share[:, None]
    if served_by is None:
        return _Targets(lon, lat, weights, counted, lon.size)
    open_ones = served_by[(served_by["status"] == "existing").to_numpy()]
    known = open_ones["kind"].to_numpy(str)
    kinds = [kind for kind in facilities.kinds() if kind in set(known)]
    ones = (known[:, None] == np.array(kinds, dtype=str)).astype(float)
    whole = np.zeros((lon.size + len(open_ones), len(counted) + len(kinds)))
    whole[: lon.size, : len(counted)] = weights
    whole[lon.size :, len(counted) :] = ones
    return _Targets(
        np.concatenate((lon, open_ones["lon"])), np.concatenate((lat, open_ones["lat"])),
        whole, counted + kinds, lon.size,
    )  # fmt: skip


def _parts(start: LongArray) -> list[LongArray]:
    """Cut groups into parts of equal count; each part is where its groups begin."""
    cuts = range(0, start.size - 1, _GRIDS_A_PART)
    return [start[cut : cut + _GRIDS_A_PART + 1] for cut in cuts]


def _rows(snapped: Snapped, rows: LongArray) -> Snapped:
    return Snapped(*(getattr(snapped, name)[rows] for name in Snapped.__dataclass_fields__))


def _counted(
    network: WalkNetwork,
    snapped: Snapped,
    group_start: LongArray,
    ends: Snapped,
    weights: FloatArray,
    limits: LongArray,
    workers: int | None,
) -> FloatArray:
    """Give the totals of one part, shape (groups, limits, weights)."""
    doors = _rows(snapped, np.arange(group_start[0], group_start[-1]))
    indptr, indices, cm = walking.matrix(
        network.graph, doors, ends, int(limits[-1]),
        group_start=group_start - group_start[0], workers=workers,
    )  # fmt: skip
    shape = (group_start.size - 1, ends.edge.size)
    totals = np.empty((shape[0], limits.size, weights.shape[1]))
    # Rows in the order of targets, so that sums of fractions don't depend on the search.
    table = sparse.csr_array((cm, indices, indptr), shape=shape)
    table.sort_indices()
    for ring, limit in enumerate(limits):
        inside = sparse.csr_array(
            ((table.data <= limit).astype(float), table.indices, table.indptr), shape=shape
        )
        totals[:, ring] = inside @ weights
    return totals


def _nearest_m(start: LongArray, snapped: Snapped) -> FloatArray:
    """Give the distance of each group's nearest street, NaN where all its doors are too far."""
    metres = np.where(snapped.found, snapped.snap_distance_m, np.inf)
    nearest = np.minimum.reduceat(metres, start[:-1]) if metres.size else np.empty(0)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _by_grid(
    table: pd.DataFrame,
    doors: Doors,
    snapped: Snapped,
    minutes: list[float],
    limits: LongArray,
    counts: FloatArray,
    names: list[str],
) -> pd.DataFrame:
    rings = len(minutes)
    repeated = table[["code", "name", "parent_code"]].loc[table.index.repeat(rings)]
    found = repeated.reset_index(drop=True)
    found["minutes"] = np.tile(minutes, len(table))
    found["limit_m"] = np.tile(limits / CM_PER_M, len(table))
    found["doors"] = np.repeat(np.diff(doors.start), rings)
    found["snap_distance_m"] = np.repeat(_nearest_m(doors.start, snapped).round(1), rings)
    return pd.concat([found, _columns(counts, names)], axis=1)


def _by_community(
    table: pd.DataFrame,
    parents: npt.NDArray[np.str_],
    community: LongArray,
    minutes: list[float],
    limits: LongArray,
    by_grid: FloatArray,
    counts: FloatArray,
    targets: _Targets,
) -> pd.DataFrame:
    rings = len(minutes)
    found = pd.DataFrame({
        "code": np.repeat(parents, rings),
        "minutes": np.tile(minutes, parents.size),
        "limit_m": np.tile(limits / CM_PER_M, parents.size),
        "grids": np.repeat(np.bincount(community, minlength=parents.size), rings),
    })  # fmt: skip
    people = np.zeros(len(table))
    if "population" in table:
        people = pd.to_numeric(table["population"], errors="coerce").fillna(0).to_numpy(float)
    owned = sparse.csr_array(
        (np.ones(len(table)), (community, np.arange(len(table)))), (parents.size, len(table))
    )
    served: dict[str, npt.NDArray[Any]] = {}
    for kind in targets.kinds:
        has = (by_grid[:, :, targets.names.index(kind)] > 0).astype(float)
        served[f"grids_with_{kind}"] = np.asarray(owned @ has, np.int64).ravel()
        served[f"people_with_{kind}"] = np.asarray(owned @ (has * people[:, None])).ravel().round(1)
    own_people = np.asarray(owned @ people[:, None]).ravel()
    own = pd.DataFrame({"population_own": np.repeat(own_people, rings), **served})
    return pd.concat([found, _columns(counts, targets.names), own], axis=1)


def _columns(counts: FloatArray, names: list[str]) -> pd.DataFrame:
    """Give the totals as columns; whole numbers stay whole."""
    flat = counts.reshape(-1, len(names))
    whole = (flat == np.rint(flat)).all(axis=0)
    return pd.DataFrame({
        name: flat[:, at].astype(np.int64) if whole[at] else flat[:, at].round(1)
        for at, name in enumerate(names)
    })  # fmt: skip
