"""The four invariants of grid work, counted: 网中有格、格中有人、人在格上、事在格里."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service import codes, crs
from geo_service.errors import InputError
from geo_service.registers.reading import Register
from geo_service.registers.roster import Staffing


@dataclass(frozen=True)
class Invariants:
    """What breaks each of the four; ``None`` where nothing was given to judge it by.

    Parameters
    ----------
    grids_without_parent : tuple of str, or None
        网中有格: grids that lie in no area of the net above.
    grids_without_person : tuple of str, or None
        格中有人: grids nobody is named for.
    persons_without_grid : tuple, or None
        人在格上: rows of the roster whose grid is empty or unknown.
    events_without_grid : tuple, or None
        事在格里: rows of the event list that lie in no grid.
    """

    grids_without_parent: tuple[str, ...] | None
    grids_without_person: tuple[str, ...] | None
    persons_without_grid: tuple[Any, ...] | None
    events_without_grid: tuple[Any, ...] | None

    @property
    def complete(self) -> bool:
        """Whether nothing that was judged is broken."""
        return not any(found for _, _, found in self.counters())

    def counters(self) -> list[tuple[str, str, tuple[Any, ...] | None]]:
        """The four as (Chinese, English, what breaks it)."""
        return [
            ("网中有格", "grids without a parent", self.grids_without_parent),
            ("格中有人", "grids without a person", self.grids_without_person),
            ("人在格上", "persons without a grid", self.persons_without_grid),
            ("事在格里", "events without a grid", self.events_without_grid),
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: how many break each, and which."""
        names = ("grids_without_parent", "grids_without_person", "persons_without_grid",
                 "events_without_grid")  # fmt: skip
        return {
            name: None if found is None else {"count": len(found), "which": list(found)}
            for name, (_, _, found) in zip(names, self.counters(), strict=True)
        }


def check_invariants(
    grids: gpd.GeoDataFrame,
    *,
    parents: gpd.GeoDataFrame | None = None,
    staffing: Staffing | None = None,
    events: Register | pd.DataFrame | None = None,
    datum: str | None = None,
) -> Invariants:
    """Count what breaks the four invariants.

    Parameters
    ----------
    grids : GeoDataFrame
        With the column ``code``.
    parents : GeoDataFrame, optional
        The level above, in the same system. A grid has a parent where a point inside it lies in
        one, and where the parent its code names (if parents of that length of code are there) is
        among them.
    staffing : Staffing, optional
        The roster against these grids.
    events : Register or DataFrame, optional
        One row per event, with ``code`` of the grid, or ``lon`` and ``lat``.
    datum : str, optional
        Of the events' ``lon`` and ``lat``; a member of `geo_service.crs.DATUMS`.

    Raises
    ------
    InputError
        ``datum_missing``, ``datum_unknown``.
    """
    persons = None
    if staffing is not None:
        rows = [*staffing.unknown_grid.index, *staffing.without_grid.index]
        persons = tuple(sorted(rows, key=lambda row: (isinstance(row, str), row)))
    return Invariants(
        grids_without_parent=None if parents is None else _orphans(grids, parents),
        grids_without_person=None if staffing is None else staffing.without_person,
        persons_without_grid=persons,
        events_without_grid=None if events is None else _strays(events, grids, datum),
    )


def _orphans(grids: gpd.GeoDataFrame, parents: gpd.GeoDataFrame) -> tuple[str, ...]:
    tree = shapely.STRtree(parents.geometry.to_numpy())
    inside = shapely.point_on_surface(grids.geometry.to_numpy())
    found, _ = tree.query(inside, predicate="within")
    orphan = np.ones(len(grids), dtype=bool)
    orphan[found] = False
    named = codes.texts(grids["code"])
    if "code" in parents.columns:
        above = set(codes.texts(parents["code"])) - {""}
        lengths = {len(code) for code in above}
        for row, code in enumerate(named):
            parent = codes.parent(code) or ""
            if len(parent) in lengths and parent not in above:
                orphan[row] = True
    labels = (code or f"row {row + 1}" for row, code in enumerate(named))
    return tuple(sorted(code for code, alone in zip(labels, orphan, strict=True) if alone))


def _strays(
    events: Register | pd.DataFrame, grids: gpd.GeoDataFrame, datum: str | None
) -> tuple[Any, ...]:
    frame = events.frame if isinstance(events, Register) else events
    if {"lon", "lat"} <= set(frame.columns):
        if datum is None:
            raise InputError("datum_missing", known=", ".join(crs.DATUMS))
        inside = _in_any(frame, grids, datum)
    else:
        inside = pd.Series(codes.texts(frame["code"]), frame.index).isin(
            set(codes.texts(grids["code"])) - {""}
        )
    return tuple(frame.index[~inside])


def _in_any(frame: pd.DataFrame, grids: gpd.GeoDataFrame, datum: str) -> pd.Series[bool]:
    """Tell which events lie in or on the border of a grid; one without a place lies in none."""
    lon, lat = (pd.to_numeric(frame[c], errors="coerce").to_numpy(float) for c in ("lon", "lat"))
    placed = np.isfinite(lon) & np.isfinite(lat)
    x, y = crs.Plane.of(grids.crs).forward(lon[placed], lat[placed], datum=crs.parse_datum(datum))
    tree = shapely.STRtree(grids.geometry.to_numpy())
    hit, _ = tree.query(shapely.points(x, y), predicate="intersects")
    inside = np.zeros(len(frame), dtype=bool)
    inside[np.flatnonzero(placed)[np.unique(hit)]] = True
    return pd.Series(inside, frame.index, dtype=bool)
