"""Which faces lie near a place, while they change: their boxes on a raster of cells.

An R-tree takes 0.13 ms to let a box go, of which one edit changes two to ten; a cell takes 1 us.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely

Box = tuple[float, float, float, float]
Cell = tuple[int, int]

_MOST_CELLS = 64  # a face over more of them is asked about every place
_EVERYWHERE: Cell = (2**62, 2**62)


class Nearby:
    """Faces by their boxes; what changed is entered anew before the next question.

    Parameters
    ----------
    shapes : Mapping
        Face -> polygon. It is kept and read again, not copied.
    """

    def __init__(self, shapes: Mapping[int, Any]) -> None:
        self._shapes = shapes
        self._boxes: dict[int, Box] = {}
        self._cells: defaultdict[Cell, set[int]] = defaultdict(set)
        self._changed = set(shapes)
        self._side = 0.0

    def changed(self, face: int) -> None:
        """Tell that a face has another shape now, or is gone."""
        self._changed.add(face)

    def meeting(self, box: Box) -> list[int]:
        """Give the faces whose box meets a box, in order."""
        self._bring_up_to_date()
        x0, y0, x1, y1 = box
        cells = self._cells_of(box)
        found: Iterable[int] = self._boxes
        if cells != [_EVERYWHERE]:
            found = set().union(*(self._cells.get(cell, ()) for cell in [*cells, _EVERYWHERE]))
        return sorted(face for face in found if _meet(self._boxes[face], x0, y0, x1, y1))

    def _bring_up_to_date(self) -> None:
        for face in self._changed:
            for cell in self._cells_of(self._boxes.pop(face)) if face in self._boxes else ():
                self._cells[cell].discard(face)
        here = [face for face in self._changed if self._shapes.get(face) is not None]
        self._changed.clear()
        if not here:
            return
        bounds = shapely.bounds([self._shapes[face] for face in here])
        if self._side == 0.0:
            self._side = float(np.median(bounds[:, 2:] - bounds[:, :2])) or 1.0
        for face, (x0, y0, x1, y1) in zip(here, bounds.tolist(), strict=True):
            self._boxes[face] = box = (x0, y0, x1, y1)
            for cell in self._cells_of(box):
                self._cells[cell].add(face)

    def _cells_of(self, box: Box) -> list[Cell]:
        side = self._side or 1.0
        x0, y0, x1, y1 = (int(value // side) for value in box)
        if (x1 - x0 + 1) * (y1 - y0 + 1) > _MOST_CELLS:
            return [_EVERYWHERE]
        return [(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]


def _meet(box: Box, x0: float, y0: float, x1: float, y1: float) -> bool:
    return box[0] <= x1 and box[2] >= x0 and box[1] <= y1 and box[3] >= y0
