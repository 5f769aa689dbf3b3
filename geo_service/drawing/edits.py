"""Editing by hand: merge grids, split one along a line, move a corner; the tiling stays exact.

Each edit is done on a `Sheet` of the grids near by. What it does not have to change keeps its
geometry object, so its bytes; what it changes is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as grid_codes
from geo_service.codes import chinese_number, grid_name
from geo_service.drawing.sheet import NODE_SNAP_M, Sheet
from geo_service.errors import InputError, MissingError
from geo_service.notes import Note

COUNT_FIELDS = ("households", "population", "population_60", "riders")
"""Whole numbers that add up: summed by a merge, divided by a split."""

MERGED, NODE_INSERTED, NODE_MOVED = "merged", "node_inserted", "node_moved"

_METRES_PER_DEGREE = 1e5
_USUAL_NAME = re.compile(r"第(\d+|[零一二三四五六七八九十百千]+)网格\Z")


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


def merge(
    grids: gpd.GeoDataFrame,
    codes: Sequence[str],
    *,
    code: str | None = None,
    name: str | None = None,
) -> Edited:
    """Make one grid of several adjacent ones.

    Only the merged grids change. Counts (`COUNT_FIELDS`) are added up; other columns are those of
    the first grid named.

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
        ``drawing_impossible`` where they do not hang together by common borders.
    """
    wanted = list(dict.fromkeys(map(str, codes)))
    rows = [_row_of(grids, each) for each in wanted]
    new = code is not None and code not in wanted
    if new and code in set(grids["code"]):
        raise InputError("drawing_impossible", reason=f"{code} is taken / {code} 已被使用")

    near, sheet = _sheet_around(grids, rows)
    face = sheet.merge([near.index(row) for row in rows])

    keep = rows[0]
    kept_code = wanted[0] if code is None else code
    values: dict[str, Any] = {"code": kept_code}
    if name is not None and "name" in grids:
        values["name"] = name
    for column in _count_fields(grids):
        values[column] = grids[column].iloc[rows].sum(min_count=1)
    merged = _with_rows(grids, {keep: sheet.geometry(face)}, {keep: values}).drop(
        grids.index[rows[1:]]
    )
    retired = tuple(each for each in wanted if each != kept_code)
    note = Note(
        "merged",
        f"{'、'.join(wanted)} 合并为 {kept_code}，其余网格未动。",
        f"{', '.join(wanted)} became {kept_code}; no other grid was touched.",
    )
    changed = {} if new else {kept_code: MERGED}
    created = (kept_code,) if new else ()
    return Edited(merged.reset_index(drop=True), changed, retired, created, (note,))


def split(
    grids: gpd.GeoDataFrame,
    code: str,
    line: Any,
    *,
    codes: Sequence[str] | None = None,
    retired: Sequence[str] = (),
) -> Edited:
    """Cut a grid in parts along a line.

    Where the line meets the border a node is put into the neighbours' rings as well, so the tiling
    stays vertex-matched; those neighbours are named as changed, though no land of theirs is.
    Counts are divided by area, as whole numbers that add up (largest remainder).

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The layer, with a column ``code``.
    code : str
        The grid to cut; its code retires.
    line : shapely LineString or MultiLineString
        In the layer's coordinates; it crosses the grid from border to border.
    codes : sequence of str, optional
        Codes of the parts, west to east and north to south. Default: the next free ones of the
        parent.
    retired : sequence of str
        Codes used in the past, never to be given again.

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
    row = _row_of(grids, str(code))
    near, sheet = _sheet_around(grids, [row])
    faces = sheet.split(near.index(row), line)
    parts = [sheet.geometry(face) for face in faces]

    centre = shapely.centroid(parts)
    order = grid_codes.order_west_east(shapely.get_x(centre), shapely.get_y(centre))
    parts = [parts[i] for i in order]
    given = _part_codes(str(code), len(parts), grids, codes, retired)
    values = _divided(grids, row, parts, given)

    touched = {near[face] for face in sheet.changed() if face < len(near)} - {row}
    nodes = {other: sheet.geometry(near.index(other)) for other in sorted(touched)}
    rest = _with_rows(grids, nodes, {})
    piece = gpd.GeoDataFrame(values, geometry=parts, crs=grids.crs)[list(grids.columns)]
    piece = piece.astype({c: grids[c].dtype for c in grids.columns if c != "geometry"})
    cut = pd.concat([rest.iloc[:row], piece, rest.iloc[row + 1 :]], ignore_index=True)
    neighbours = {str(grids["code"].iloc[other]): NODE_INSERTED for other in sorted(touched)}
    return Edited(cut, neighbours, (str(code),), tuple(given), _split_notes(code, given, values))


def move_node(
    grids: gpd.GeoDataFrame,
    at: tuple[float, float],
    to: tuple[float, float],
    *,
    within_m: float = 1.0,
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
        ``drawing_impossible``: no corner there, on the outline, or borders would cross.
    """
    reach = _in_units(grids, within_m)
    rows = grids.sindex.query(shapely.Point(at).buffer(reach)).tolist()
    if rows:
        near, sheet = _sheet_around(grids, rows)
        vertex, distance = sheet.nearest_vertex(*at)
    if not rows or distance > reach:
        reason = f"no border point within {within_m} m of {at} / {within_m} 米内没有边界点"
        raise InputError("drawing_impossible", reason=reason)
    faces = sorted(sheet.move(vertex, to))
    moved = _with_rows(grids, {near[face]: sheet.geometry(face) for face in faces}, {})
    changed = {str(grids["code"].iloc[near[face]]): NODE_MOVED for face in faces}
    names = list(changed)
    note = Note(
        "node_moved",
        f"{'、'.join(names)} 的公共界点已移动。",
        f"A corner of {', '.join(names)} was moved.",
    )
    return Edited(moved, changed, notes=(note,))


def share_whole(total: int, weights: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Divide a whole number by weights into whole numbers that add up to it (largest remainder).

    Examples
    --------
    >>> share_whole(10, [1, 1, 1]).tolist()
    [4, 3, 3]
    """
    weight = np.asarray(weights, float)
    exact = total * weight / weight.sum()
    shares = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(shares - exact, kind="stable")
    shares[by_remainder[: total - int(shares.sum())]] += 1
    return shares


def _row_of(grids: gpd.GeoDataFrame, code: str) -> int:
    rows = np.flatnonzero(grids["code"].astype(str) == code)
    if len(rows) == 0:
        raise MissingError("code_unknown", code=code, what="grid / 网格")
    if len(rows) > 1:
        reason = f"{len(rows)} grids have the code {code} / 有 {len(rows)} 个网格使用编码 {code}"
        raise InputError("drawing_impossible", reason=reason)
    return int(rows[0])


def _sheet_around(grids: gpd.GeoDataFrame, rows: list[int]) -> tuple[list[int], Sheet]:
    """Open a sheet of the grids that may touch some; face ``i`` is row ``near[i]``."""
    boxes = shapely.box(*grids.geometry.iloc[rows].bounds.to_numpy().T)
    near = np.unique(grids.sindex.query(boxes)[1]).tolist()
    shapes = np.asarray(grids.geometry.values, object)[near]
    return near, Sheet(shapes, snap=_in_units(grids, NODE_SNAP_M))


def _in_units(grids: gpd.GeoDataFrame, metres: float) -> float:
    geographic = grids.crs is not None and grids.crs.is_geographic
    return metres / _METRES_PER_DEGREE if geographic else metres


def _with_rows(
    grids: gpd.GeoDataFrame, shapes: dict[int, Any], values: dict[int, dict[str, Any]]
) -> gpd.GeoDataFrame:
    """Copy a layer with some geometries and values replaced; all other geometries are the same."""
    geometry = np.asarray(grids.geometry.values, object).copy()
    for row, shape in shapes.items():
        geometry[row] = shape
    frame = grids.copy()
    frame[frame.geometry.name] = gpd.GeoSeries(geometry, index=frame.index, crs=grids.crs)
    for row, columns in values.items():
        for column, value in columns.items():
            frame.iloc[row, frame.columns.get_loc(column)] = value
    return frame


def _count_fields(grids: gpd.GeoDataFrame) -> list[str]:
    return [c for c in COUNT_FIELDS if c in grids and pd.api.types.is_numeric_dtype(grids[c])]


def _part_codes(
    code: str,
    count: int,
    grids: gpd.GeoDataFrame,
    given: Sequence[str] | None,
    retired: Sequence[str],
) -> list[str]:
    taken = set(grids["code"].astype(str)) | set(retired)
    if given is not None:
        if len(set(given)) != count or taken & set(given):
            reason = f"{count} new codes are needed / 需要 {count} 个新的、未用过的编码"
            raise InputError("drawing_impossible", reason=f"{reason}: {', '.join(given)}")
        return [str(each) for each in given]
    parent = grid_codes.parent(code)
    if parent is None:
        reason = (
            f"{code} has no parent to number under; give codes / 编码 {code} 没有上级，请指定新编码"
        )
        raise InputError("drawing_impossible", reason=reason)
    try:
        return grid_codes.next_free(parent, taken, count)
    except ValueError as error:
        raise InputError("drawing_impossible", reason=error) from error


def _divided(
    grids: gpd.GeoDataFrame, row: int, parts: list[Any], codes: list[str]
) -> dict[str, list[Any]]:
    """Give the columns of the parts of a grid, counts divided by area."""
    old = grids.iloc[row]
    values = {c: [old[c]] * len(parts) for c in grids.columns if c != grids.geometry.name}
    values["code"] = list(codes)
    if "name" in values:
        values["name"] = _part_names(str(old["name"]), codes)
    for column in _count_fields(grids):
        if pd.notna(old[column]):
            values[column] = share_whole(int(old[column]), shapely.area(parts)).tolist()
    return values


def _part_names(name: str, codes: list[str]) -> list[str]:
    """Number the parts by their codes where the grid was; else tell them apart by a suffix."""
    usual = _USUAL_NAME.match(name)
    numbers = [int(code[-3:]) if code[-3:].isdigit() else 0 for code in codes]
    if usual is None or not all(numbers):
        return [f"{name}之{chinese_number(i)}" for i in range(1, len(codes) + 1)]
    if usual[1].isdigit():
        return [f"第{number}网格" for number in numbers]
    return [grid_name(number) for number in numbers]


def _split_notes(code: str, created: list[str], values: dict[str, list[Any]]) -> tuple[Note, ...]:
    notes = [
        Note(
            "split",
            f"{code} 切分为 {'、'.join(created)}，原编码停用。",
            f"{code} was cut into {', '.join(created)}; its code is retired.",
        )
    ]
    counts = [c for c in COUNT_FIELDS if c in values]
    if counts:
        notes.append(
            Note(
                "divided_by_area",
                f"{'、'.join(counts)} 按面积比例分摊，请按实际核对。",
                f"{', '.join(counts)} were divided by area; check them against the register.",
            )
        )
    return tuple(notes)
