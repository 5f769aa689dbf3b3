"""A layer as it lies on the table: taken apart, measured, and brought up to date by its changes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.coverage import _layer, _rings, _segments, _shapes
from geo_service.coverage._arrays import BoolArray, Geometry, GeometryArray, IntArray, array_of
from geo_service.coverage._examined import Examined, examine
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._segments import Scan
from geo_service.coverage._shapes import Shapes
from geo_service.errors import InputError
from geo_service.notes import Note
from geo_service.profiles import Profile
from geo_service.rings import Rings

T = TypeVar("T", bound=np.generic)

_NO_RINGS = Rings(
    np.empty((0, 2)), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_), 0
)


@dataclass(frozen=True)
class Sheet:
    """A layer, scanned.

    Parameters
    ----------
    layer : Layer
    scan : Scan
    shapes : Shapes
    rules : Profile
    given : ndarray of int
        For each row, the row of the given layer it comes from.
    """

    layer: Layer
    scan: Scan
    shapes: Shapes
    rules: Profile
    given: IntArray

    def examined(self, outline: Outline | None) -> Examined:
        """Find what of it does not tile.

        Raises
        ------
        InputError
            ``grids_piled`` where more than a dozen lie on one spot: no rule says which is right.
        """
        examined = examine(self.layer, outline, self.scan, self.shapes)
        if examined.piles:
            rows = max(examined.piles, key=lambda pile: len(pile.rows)).rows
            codes = ", ".join(sorted(map(self.layer.label, rows))[:3])
            raise InputError("grids_piled", count=len(rows), codes=codes)
        return examined

    def changed(self, fresh: dict[int, Geometry], dropped: set[int]) -> Sheet:
        """The sheet with some rows redrawn and others gone; only the redrawn are judged anew."""
        layer = self.layer
        kept = np.ones(len(layer.geometries), np.bool_)
        kept[sorted(dropped)] = False
        rows = np.array(sorted(fresh), np.int64)
        valid = np.ones(len(kept), np.bool_)
        valid[self.shapes.invalid] = False
        valid[rows] = False
        geometries = np.array(layer.geometries)
        geometries[rows] = array_of(*(fresh[row] for row in rows.tolist()))
        boxes = layer.boxes.copy()
        boxes[rows] = shapely.bounds(geometries[rows])
        rings, scan = _spliced(self, geometries, rows, kept)
        geometries = geometries[kept]
        layer = replace(
            layer,
            frame=layer.frame if kept.all() else layer.frame[kept],
            geometries=geometries,
            valid=geometries,
            rings=rings,
            boxes=boxes[kept],
            codes=list(itertools.compress(layer.codes, kept.tolist())),
        )
        shapes = _shapes.shapes_of(layer, scan, valid=valid[kept])
        return Sheet(layer, scan, shapes, self.rules, self.given[kept])


def sheet_of(grids: Any, rules: Profile) -> tuple[Sheet, list[Note]]:
    """Take a layer apart and measure it, with notes on what was found and assumed."""
    layer, notes = _layer.layer_of(grids)
    scan = _scanned(layer.rings, layer, rules)
    given = np.arange(len(layer.geometries))
    return Sheet(layer, scan, _shapes.shapes_of(layer, scan), rules, given), notes


def _scanned(rings: Rings, layer: Layer, rules: Profile) -> Scan:
    return _segments.scan(rings, squeeze=layer.ground.squeeze, spike_degrees=rules.spike_degrees)


def _spliced(
    sheet: Sheet, geometries: GeometryArray, fresh: IntArray, kept: BoolArray
) -> tuple[Rings, Scan]:
    """The rings and their scan with those of some rows replaced and others gone.

    Rows are numbered anew; only the new rings are scanned.
    """
    old, old_scan = sheet.layer.rings, sheet.scan
    new = _rings.rings_of(geometries[fresh]) if len(fresh) else _NO_RINGS
    new_scan = _scanned(new, sheet.layer, sheet.rules)
    stays = kept.copy()
    stays[fresh] = False
    row = np.concatenate([old.row, fresh[new.row]])
    chosen = np.append(stays[old.row], kept[fresh[new.row]])
    ring = np.flatnonzero(chosen)
    ring = ring[np.argsort(row[ring], kind="stable")]
    source = ring >= old.count

    def of_ring(before: npt.NDArray[T], after: npt.NDArray[T]) -> npt.NDArray[T]:
        return np.concatenate([before, after])[ring]

    begin = of_ring(old.start[:-1], new.start[:-1])
    size = of_ring(np.diff(old.start), np.diff(new.start))
    # Rings that stay side by side are copied as one run.
    breaks = (begin[1:] != begin[:-1] + size[:-1]) | (source[1:] != source[:-1])
    first = np.append(0, np.flatnonzero(breaks) + 1)
    last = np.append(first[1:], len(ring)) - 1
    runs = list(zip(source[first], begin[first], begin[last] + size[last], strict=True))
    xy = np.concatenate([(new if which else old).xy[a:b] for which, a, b in runs])
    hashes = np.concatenate([(new_scan if which else old_scan).hashes[a:b] for which, a, b in runs])
    start = np.append(0, np.cumsum(size))

    def of_vertex(before: IntArray, after: IntArray) -> IntArray:
        at = of_ring(before, after)
        return np.where(at >= 0, at + start[:-1] - begin, -1)

    scan = Scan(
        start=start,
        hashes=hashes,
        sums=of_ring(old_scan.sums, new_scan.sums),
        area=of_ring(old_scan.area, new_scan.area),
        length=of_ring(old_scan.length, new_scan.length),
        flip=of_ring(old_scan.flip, new_scan.flip),
        repeated=of_vertex(old_scan.repeated, new_scan.repeated),
        spike=of_vertex(old_scan.spike, new_scan.spike),
    )
    number = np.cumsum(kept) - 1
    hole = of_ring(old.hole, new.hole)
    return Rings(xy, start, number[row[ring]], hole, int(kept.sum())), scan
