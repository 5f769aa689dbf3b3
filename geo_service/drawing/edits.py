"""Editing a layer held as a frame: one operation, and the whole frame as it is afterwards.

Each edit is done on a `Session` of the grids near by. What it does not have to change keeps its
geometry object, so its bytes; what it changes is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service.drawing import operations
from geo_service.drawing._ground import REACH_M
from geo_service.drawing.changes import Change
from geo_service.drawing.session import Session
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.notes import Note

_METRES_PER_DEGREE = 1e5


@dataclass(frozen=True)
class Edited:
    """A layer after an edit, and what the edit did to it.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The whole layer; grids that are not named below are byte-identical to what they were.
    changed : Mapping
        Code -> ``merged``, ``node_inserted`` (a vertex on a border, no land) or ``node_moved``.
    retired, created : tuple of str
        Codes that ended and began with this edit.
    notes : tuple of Note
        What was done, in words.
    """

    grids: gpd.GeoDataFrame
    changed: Mapping[str, str] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def edit(
    grids: gpd.GeoDataFrame,
    operation: operations.Operation,
    *,
    retired: Sequence[str] = (),
    homes: gpd.GeoDataFrame | None = None,
) -> Edited:
    """Do one operation on a layer.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The layer, with a column ``code``.
    operation : Mapping
        As `geo_service.drawing.operations` describes, in the layer's coordinates.
    retired : sequence of str
        Codes used in the past, never to be given again.
    homes : geopandas.GeoDataFrame, optional
        Where people live: points with a column ``households``. Counts are divided by them, by
        area where none are given.

    Returns
    -------
    Edited

    Raises
    ------
    MissingError
        ``code_unknown``.
    InputError
        ``parameter_missing``, ``parameter_invalid``, ``drawing_impossible``.
    """
    asked = operations.read(operation)
    metre = _metre(grids)
    near = _near(grids, asked, metre)
    columns = [c for c in grids.columns if c != grids.geometry.name]
    rows = grids.iloc[near][columns].to_dict("records")
    session = Session(
        [str(row.pop("code")) for row in rows],
        np.asarray(grids.geometry.values, object)[near],
        rows,
        taken=[*grids["code"].astype(str), *retired],
        metre=metre,
        homes=None if homes is None else homes.to_crs(grids.crs),
    )
    return applied(grids, session.apply(asked))


def merge(
    grids: gpd.GeoDataFrame,
    codes: Sequence[str],
    *,
    code: str | None = None,
    name: str | None = None,
) -> Edited:
    """Make one grid of several adjacent ones of a community.

    Only the merged grids change. Counts (`geo_service.drawing.counts`) are added up; other columns
    are those of the first grid named.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The layer, with a column ``code``.
    codes : sequence of str
        The grids to merge, two or more. The first lives on, the others retire.
    code : str, optional
        A new code for the merged grid; then all the old ones retire.
    name : str, optional
        A new name for the merged grid.

    Returns
    -------
    Edited

    Raises
    ------
    MissingError
        ``code_unknown``.
    InputError
        ``drawing_impossible`` where they do not hang together by common borders, or lie in two
        communities.
    """
    wanted = [str(each) for each in codes]
    return edit(grids, {"op": "merge", "codes": wanted, "code": code, "name": name})


def split(
    grids: gpd.GeoDataFrame,
    code: str,
    line: Any,
    *,
    codes: Sequence[str] | None = None,
    retired: Sequence[str] = (),
    homes: gpd.GeoDataFrame | None = None,
) -> Edited:
    """Cut a grid in parts along a line.

    Where the line meets the border a node is put into the neighbours' rings as well, so the tiling
    stays vertex-matched; those neighbours are named as changed, though no land of theirs is.
    Counts are divided by where people live, by area where that is not known, as whole numbers that
    add up (largest remainder).

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The layer, with a column ``code``.
    code : str
        The grid to cut; its code retires.
    line : shapely LineString
        In the layer's coordinates; it crosses the grid from border to border.
    codes : sequence of str, optional
        Codes of the parts, west to east and north to south. Default: the next free ones of the
        parent.
    retired : sequence of str
        Codes used in the past, never to be given again.
    homes : geopandas.GeoDataFrame, optional
        As `edit` takes them.

    Returns
    -------
    Edited

    Raises
    ------
    MissingError
        ``code_unknown``.
    InputError
        ``drawing_impossible`` where the line does not cut the grid apart, or no code is free.
    """
    points = shapely.get_coordinates(line).tolist()
    asked = {"op": "split", "code": str(code), "line": points}
    return edit(grids, {**asked, "codes": codes}, retired=retired, homes=homes)


def move_node(
    grids: gpd.GeoDataFrame,
    at: tuple[float, float],
    to: tuple[float, float],
    *,
    within_m: float = REACH_M,
) -> Edited:
    """Move a corner that several grids share; all of them follow.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The layer, with a column ``code``.
    at, to : tuple of float
        Where the corner is (about) and where it goes, in the layer's coordinates.
    within_m : float, default 1.0
        How far from ``at`` the corner may lie, metres.

    Returns
    -------
    Edited

    Raises
    ------
    InputError
        ``drawing_impossible``: no corner there, on the outline or on a community line, or borders
        would cross.
    """
    return edit(grids, {"op": "move_node", "at": at, "to": to, "within_m": within_m})


def _near(grids: gpd.GeoDataFrame, asked: Mapping[str, Any], metre: float) -> list[int]:
    """Give the rows an operation may change: those that meet the ones it names or its points."""
    named = [*asked.get("codes", ()), *asked.get("between", ())] if asked["op"] != "split" else []
    named += [asked[name] for name in ("code", "to") if isinstance(asked.get(name), str)]
    named = [c for c in named if not (asked["op"] == "merge" and c == asked.get("code"))]
    boxes = [grids.geometry.iloc[_row_of(grids, code)] for code in dict.fromkeys(named)]
    reach = float(asked.get("within_m", REACH_M)) * metre
    points = [asked[name] for name in ("at", "from", "to") if isinstance(asked.get(name), tuple)]
    around = [shapely.box(x - reach, y - reach, x + reach, y + reach) for x, y in points]
    found = np.unique(grids.sindex.query([*boxes, *around], predicate="intersects")[1])
    if not len(found):
        reason = Phrase(f"{points} 处没有网格", f"no grid lies at {points}")
        raise InputError("drawing_impossible", reason=reason)
    # A border's other neighbours hold it together: without them it would be the rim.
    boxes = shapely.box(*grids.geometry.iloc[found].bounds.to_numpy().T)
    near: list[int] = np.unique(grids.sindex.query(boxes)[1]).tolist()
    return near


def applied(grids: gpd.GeoDataFrame, change: Change) -> Edited:
    """Give the frame with a change in it: new grids stand where their land stood."""
    geometry = np.asarray(grids.geometry.values, object).copy()
    place = {code: row for row, code in enumerate(grids["code"].astype(str))}
    for code in change.changed:
        geometry[place[code]] = change.after[code].geometry
    frame = grids.copy()
    frame[frame.geometry.name] = gpd.GeoSeries(geometry, index=frame.index, crs=grids.crs)
    for code in change.changed:
        old, new = change.before[code].row, change.after[code].row
        for column in (c for c in new if new[c] is not old[c]):
            frame.iloc[place[code], frame.columns.get_loc(column)] = new[column]
    if not change.retired and not change.created:
        whole = frame.reset_index(drop=True)
        return Edited(whole, change.changed, notes=change.notes)
    kept = ~frame["code"].astype(str).isin(change.retired).to_numpy()
    parts = [frame[kept]]
    if change.created:
        at = place[next(iter(change.retired or change.changed))]
        kept_before, kept_after = kept.copy(), kept.copy()
        kept_before[at + 1 :] = kept_after[: at + 1] = False
        parts = [frame[kept_before], _created(grids, change), frame[kept_after]]
    whole = pd.concat(parts, ignore_index=True)
    return Edited(whole, change.changed, change.retired, change.created, change.notes)


def _created(grids: gpd.GeoDataFrame, change: Change) -> gpd.GeoDataFrame:
    columns = [c for c in grids.columns if c != grids.geometry.name]
    rows = [{**change.after[code].row, "code": code} for code in change.created]
    values = {c: [row[c] for row in rows] for c in columns}
    shapes = [change.after[code].geometry for code in change.created]
    values[grids.geometry.name] = gpd.GeoSeries(shapes, crs=grids.crs)
    piece = gpd.GeoDataFrame(values, geometry=grids.geometry.name)[list(grids.columns)]
    return piece.astype({c: grids[c].dtype for c in columns})


def _row_of(grids: gpd.GeoDataFrame, code: str) -> int:
    rows = np.flatnonzero(grids["code"].astype(str) == code)
    if len(rows) == 0:
        raise MissingError("code_unknown", code=code, what=Phrase("网格", "grid"))
    if len(rows) > 1:
        reason = Phrase(
            f"有 {len(rows)} 个网格使用编码 {code}", f"{len(rows)} grids have the code {code}"
        )
        raise InputError("drawing_impossible", reason=reason)
    return int(rows[0])


def _metre(grids: gpd.GeoDataFrame) -> float:
    geographic = grids.crs is not None and grids.crs.is_geographic
    return 1 / _METRES_PER_DEGREE if geographic else 1.0
