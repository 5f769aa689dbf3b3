"""A layer as it lies on the table: taken apart, measured, and brought up to date by its changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely

from geo_service.coverage import _check, _layer, _rings, _segments, _shapes
from geo_service.coverage._arrays import BoolArray, Geometry, IntArray, array_of
from geo_service.coverage._check import Examined
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._segments import Scan
from geo_service.coverage._shapes import Shapes
from geo_service.errors import InputError
from geo_service.notes import Note
from geo_service.profiles import Profile
from geo_service.rings import Rings


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
            ``grids_piled`` where dozens lie on one spot: no rule says which of them is right.
        """
        examined = _check.examine(self.layer, outline, self.scan, self.shapes)
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
        rings = _spliced(layer.rings, geometries, rows, kept)
        geometries = geometries[kept]
        layer = replace(
            layer,
            frame=layer.frame if kept.all() else layer.frame[kept],
            geometries=geometries,
            valid=geometries,
            rings=rings,
            boxes=boxes[kept],
            codes=[layer.codes[row] for row in np.flatnonzero(kept).tolist()],
        )
        scan = _scanned(layer, self.rules)
        shapes = _shapes.shapes_of(layer, scan, valid=valid[kept])
        return Sheet(layer, scan, shapes, self.rules, self.given[kept])


def sheet_of(grids: Any, rules: Profile) -> tuple[Sheet, list[Note]]:
    """Take a layer apart and measure it, with notes on what was found and assumed."""
    layer, notes = _layer.layer_of(grids)
    scan = _scanned(layer, rules)
    given = np.arange(len(layer.geometries))
    return Sheet(layer, scan, _shapes.shapes_of(layer, scan), rules, given), notes


def _scanned(layer: Layer, rules: Profile) -> Scan:
    return _segments.scan(
        layer.rings, squeeze=layer.ground.squeeze, spike_degrees=rules.spike_degrees
    )


def _spliced(rings: Rings, geometries: Any, fresh: IntArray, kept: BoolArray) -> Rings:
    """The rings with those of some rows replaced and others gone; rows are numbered anew."""
    new = _rings.rings_of(geometries[fresh]) if len(fresh) else None
    stays = kept.copy()
    stays[fresh] = False
    old = np.flatnonzero(stays[rings.row])
    size = np.diff(rings.start)
    parts = [(rings.row[old], rings.hole[old], rings.start[old], size[old], 0)]
    if new is not None:
        chosen = np.flatnonzero(kept[fresh[new.row]])
        its_size = np.diff(new.start)[chosen]
        parts.append((fresh[new.row[chosen]], new.hole[chosen], new.start[chosen], its_size, 1))
    row, hole, begin, size = (np.concatenate([part[k] for part in parts]) for k in range(4))
    source = np.repeat([part[4] for part in parts], [len(part[0]) for part in parts])
    order = np.argsort(row, kind="stable")
    row, hole, begin, size, source = (a[order] for a in (row, hole, begin, size, source))
    # Rings that stay side by side are copied as one run.
    breaks = (begin[1:] != begin[:-1] + size[:-1]) | (source[1:] != source[:-1])
    first = np.concatenate([[0], np.flatnonzero(breaks) + 1]).astype(np.int64)
    last = np.append(first[1:], len(row)) - 1
    sources = (rings.xy, rings.xy if new is None else new.xy)
    runs = zip(source[first], begin[first], begin[last] + size[last], strict=True)
    xy = np.concatenate([sources[which][a:b] for which, a, b in runs])
    start = np.concatenate([[0], np.cumsum(size)])
    number = np.cumsum(kept) - 1
    return Rings(xy, start, number[row], hole, int(kept.sum()))
