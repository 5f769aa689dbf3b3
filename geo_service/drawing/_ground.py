"""Grids on a sheet by their codes: where each is, what it holds, and what must not be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import codes as grid_codes
from geo_service.drawing import counts
from geo_service.drawing.borders import NODE_SNAP_M
from geo_service.drawing.changes import Row
from geo_service.drawing.sheet import Sheet
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.notes import Note
from geo_service.topology import OUTSIDE

REACH_M = 1.0
"""How far from a point of an operation the border may lie, if it says nothing else."""


class Ground:
    """The sheet of a session, and the code and columns of each face.

    Parameters are those of `geo_service.drawing.Session`.
    """

    def __init__(
        self,
        codes: Sequence[str],
        geometries: Sequence[Any] | npt.NDArray[Any],
        rows: Sequence[Row] | None,
        *,
        taken: Iterable[str],
        metre: float,
        homes: gpd.GeoDataFrame | None,
    ) -> None:
        self.metre = metre
        self._homes = None if homes is None else _Homes(homes)
        self.sheet = Sheet(geometries, snap=NODE_SNAP_M * metre)
        self.face = {code: face for face, code in enumerate(codes)}
        if len(self.face) < len(codes):
            twice = next(c for face, c in enumerate(codes) if self.face[c] != face)
            reason = Phrase(f"有两个网格使用编码 {twice}", f"two grids have the code {twice}")
            raise InputError("drawing_impossible", reason=reason)
        self.code = dict(enumerate(codes))
        self.row: dict[str, Row] = dict(zip(codes, rows or [{}] * len(codes), strict=True))
        self.known: defaultdict[str | None, set[str]] = defaultdict(set)
        for code in chain(codes, taken):
            self.known[grid_codes.parent(code)].add(code)

    def face_of(self, code: str) -> int:
        face = self.face.get(code)
        if face is None:
            raise MissingError("code_unknown", code=code, what=Phrase("网格", "grid"))
        return face

    def reach(self, asked: Mapping[str, Any]) -> float:
        return float(asked.get("within_m", REACH_M)) * self.metre

    def vertex(self, at: tuple[float, float], asked: Mapping[str, Any]) -> int:
        reach = self.reach(asked)
        vertex = self.sheet.nearest_vertex(at, reach)
        if vertex is None:
            raise nothing_near(at, reach / self.metre)
        return vertex

    def is_free(self, vertex: int) -> bool:
        around = self.sheet.around(vertex)
        return OUTSIDE not in around and len({self.parent(self.code[f]) for f in around}) == 1

    def require_inner(self, faces: set[int]) -> None:
        """Refuse to move a border between communities; the sheet itself refuses the rim."""
        self.require_one_community([self.code[face] for face in sorted(faces - {OUTSIDE})])

    def require_one_community(self, codes: Sequence[str]) -> None:
        parents = {self.parent(code): code for code in codes}
        if len(parents) > 1:
            (one, a), (other, b), *_ = parents.items()
            reason = Phrase(
                f"{a} 属于 {one}，{b} 属于 {other}，社区界线不能动",
                f"{a} lies in {one} and {b} in {other}: a community line stays where it is",
            )
            raise InputError("drawing_impossible", reason=reason)

    def parent(self, code: str) -> str:
        return grid_codes.parent(code) or str(self.row.get(code, {}).get("parent_code") or "")

    def require_touching(self, block: int, taking: int, to: str) -> None:
        if taking not in self.sheet.neighbours(block):
            reason = Phrase(f"地块与 {to} 不相邻", f"the block does not touch {to}")
            raise InputError("drawing_impossible", reason=reason)

    def require_free(self, wanted: Sequence[str]) -> None:
        for code in wanted:
            if code in self.known[grid_codes.parent(code)] or wanted.count(code) > 1:
                reason = Phrase(f"编码 {code} 已被使用", f"the code {code} is taken")
                raise InputError("drawing_impossible", reason=reason)

    def new_codes(self, code: str, count: int, given: Sequence[str] | None) -> list[str]:
        if given is not None:
            if len(given) != count:
                reason = Phrase(
                    f"需要 {count} 个新编码：{'、'.join(given)}",
                    f"{count} new codes are needed: {', '.join(given)}",
                )
                raise InputError("drawing_impossible", reason=reason)
            self.require_free(given)
            return list(given)
        parent = grid_codes.parent(code)
        if parent is None:
            reason = Phrase(
                f"编码 {code} 没有上级，请指定新编码",
                f"{code} has no parent to number under; give codes",
            )
            raise InputError("drawing_impossible", reason=reason)
        try:
            return grid_codes.next_free(parent, self.known[parent], count)
        except ValueError as error:
            raise InputError("drawing_impossible", reason=error) from error

    def west_east(self, faces: list[int]) -> list[int]:
        centre = shapely.centroid([self.sheet.geometry(face) for face in faces])
        order = grid_codes.order_west_east(shapely.get_x(centre), shapely.get_y(centre))
        return [faces[i] for i in order]

    def rows_of_parts(
        self, code: str, parts: list[int]
    ) -> tuple[list[dict[str, Any]], tuple[Note, ...]]:
        """Give the columns of each part of a grid, its counts divided, and say by what."""
        row = self.row[code]
        shapes = np.array([self.sheet.geometry(part) for part in parts], object)
        lived = None if self._homes is None else self._homes.counted(shapes)
        if lived is None or not lived.any():
            return counts.divided(row, shapely.area(shapes)), counts.by_area_note(row)
        return counts.divided(row, lived), counts.by_homes_note(row, int(lived.sum()))


class _Homes:
    """Where people live, by place."""

    def __init__(self, homes: gpd.GeoDataFrame) -> None:
        self._count = homes["households"].fillna(0).to_numpy(float)
        self._by_place = shapely.STRtree(np.asarray(homes.geometry.values, object))

    def counted(self, shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        """Count the households in each shape; a home on a common border goes to the first."""
        rows, homes = self._by_place.query(shapes, predicate="intersects")
        homes, first = np.unique(homes, return_index=True)
        counted = np.bincount(rows[first], self._count[homes], minlength=len(shapes))
        return counted.astype(float)  # no home at all: bincount gives integers


def nothing_near(at: tuple[float, float], within_m: float) -> InputError:
    reason = Phrase(
        f"{within_m:g} 米内没有边界点", f"no border point within {within_m:g} m of {at}"
    )
    return InputError("drawing_impossible", reason=reason)
