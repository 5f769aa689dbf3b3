"""What does not cancel in a layer, as a planar graph; piles are joined before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from geo_service.coverage import _piles, _residual, _segments, _tangle, _tiling
from geo_service.coverage._layer import Layer, Outline
from geo_service.coverage._piles import Pile
from geo_service.coverage._residual import Residual
from geo_service.coverage._segments import Scan
from geo_service.coverage._shapes import Shapes
from geo_service.coverage._tiling import Graph


@dataclass(frozen=True)
class Examined:
    """A layer taken apart and measured, with the planar graph of what did not cancel.

    Parameters
    ----------
    layer : Layer
    outline : Outline or None
    scan : Scan
    shapes : Shapes
    left : Residual
    graph : Graph or None
        ``None`` where everything cancelled.
    piles : list of Pile
        Grids on one spot, too many to walk the graph of.
    flat : Layer
        The layer with one grid in place of each pile, which `left` and `graph` are of.
    flat_scan : Scan
        Of `flat`.
    """

    layer: Layer
    outline: Outline | None
    scan: Scan
    shapes: Shapes
    left: Residual
    graph: Graph | None
    piles: list[Pile]
    flat: Layer
    flat_scan: Scan

    @property
    def apart(self) -> Shapes:
        """The shapes without the copies that lie in a pile, which is told as a whole."""
        piled = {row for pile in self.piles for row in pile.rows}
        copies = [rows for rows in self.shapes.copies if piled.isdisjoint(rows)]
        return replace(self.shapes, copies=copies)


def examine(layer: Layer, outline: Outline | None, scan: Scan, shapes: Shapes) -> Examined:
    """Find what of a scanned layer does not cancel, and what its faces are."""
    layer = layer.with_valid(shapes.invalid)
    around = [(outline.rings, outline.scan)] if outline else []
    left = _residual.residual([(layer.rings, scan), *around])
    piles = [] if left.empty else _piles.piles_of(layer, left, shapes.copies)
    flat, flat_scan = layer, scan
    if piles:
        flat = _piles.flattened(layer, piles)
        flat_scan = _segments.scan(flat.rings, squeeze=flat.ground.squeeze)
        left = _residual.residual([(flat.rings, flat_scan), *around])
    graph = None
    if not left.empty:
        _tangle.refuse(flat, left)
        graph = _tiling.graph_of(flat, outline, left)
    return Examined(layer, outline, scan, shapes, left, graph, piles, flat, flat_scan)
