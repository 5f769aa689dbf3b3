"""Grids that stay as they are, to the byte, while the rest of their area is drawn around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service.drawing import _blocks, _seams
from geo_service.drawing._refusals import impossible, overlap

_ON_LINE_M = 1e-6
_SAME_M2 = 1e-6

FloatArray = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]


def around(area: Any, fixed: gpd.GeoDataFrame) -> Any:
    """Give what is left of an area to be drawn, the corners of fixed grids in its outline.

    Raises
    ------
    InputError
        ``drawing_impossible`` where fixed grids lie outside, overlap, or share no corners where
        they touch.
    """
    shapes = np.asarray(fixed.geometry.values, object)
    names = fixed["code"].astype(str).tolist()
    corners = np.unique(shapely.get_coordinates(shapes), axis=0)
    on_line = shapely.dwithin(np.asarray(shapely.points(corners)), area.boundary, _ON_LINE_M)
    outline = _seams.with_nodes(area, corners[on_line])
    for name, shape in zip(names, shapes, strict=True):
        if not shapely.covers(outline, shape):
            over = float(shapely.area(shapely.difference(shape, outline)))
            raise impossible(
                f"固定网格 {name} 有 {over:.4g} 平方米在范围之外",
                f"the fixed grid {name} has {over:.4g} m2 outside the area",
            )
    _require_apart(names, shapes)
    rest = shapely.difference(outline, shapely.union_all(shapes))
    parts = shapely.get_parts(rest)
    if not shapely.coverage_is_valid(np.concatenate([parts, shapes])):
        raise impossible(
            "固定网格之间或与外边界之间没有共同的界点，请先检查修复",
            "fixed grids touch each other or the outline without common corners; "
            "check and repair them first",
        )
    return parts[0] if len(parts) == 1 else rest


def end_on_corners(
    shapes: Shapes, rest: Any, fixed: Shapes, off: Callable[[Shapes], float]
) -> tuple[Shapes, FloatArray]:
    """Lead borders that meet a fixed grid between two of its corners to one of them.

    A node between them would change the fixed grid's bytes.

    Parameters
    ----------
    shapes : ndarray of shapely Polygon
        What was drawn; it tiles `rest`.
    rest : shapely Polygon or MultiPolygon
        The area without the fixed grids.
    fixed : ndarray of shapely polygons
        The fixed grids.
    off : callable
        By how many households some shapes miss the range; of the two corners beside it a border
        takes the one where that is least, else the nearer.

    Returns
    -------
    shapes : ndarray of shapely Polygon
    moved_m : ndarray
        How far each such end went.
    """
    nodes = _blocks.rim_nodes(rest, shapes)
    lines = shapely.union_all(shapely.boundary(fixed))
    nodes = nodes[shapely.dwithin(np.asarray(shapely.points(nodes)), lines, _ON_LINE_M)]
    rings = shapely.get_rings(shapely.get_parts(rest))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(ring[1:] == ring[:-1])
    edges = shapely.STRtree(
        np.asarray(shapely.linestrings(np.stack([xy[starts], xy[starts + 1]], 1)))
    )
    moved = []
    for node in nodes:
        edge = starts[edges.nearest(shapely.Point(node))]
        sound = [led for end in xy[[edge, edge + 1]] if (led := _led(shapes, node, end, off))]
        found = min(sound, key=lambda led: led[:2], default=None)
        if found is None:
            x, y = node
            raise impossible(
                f"固定网格在 ({x:.1f}, {y:.1f}) 附近没有新界线可接的界点，请在那里加一个界点",
                f"near ({x:.1f}, {y:.1f}) a fixed grid has no corner a new border could end on; "
                "put one there",
            )
        moved.append(found[1])
        shapes = found[2]
    return shapes, np.array(moved)


def _led(
    shapes: Shapes, node: FloatArray, end: FloatArray, off: Callable[[Shapes], float]
) -> tuple[float, float, Shapes] | None:
    """Lead the borders that come to a node to another end, if all stays sound.

    Gives the households by which the shapes there miss the range then, the metres, all shapes.
    """
    at = np.flatnonzero(shapely.dwithin(shapes, shapely.Point(node), 0.0))
    near = np.flatnonzero(shapely.dwithin(shapes, shapely.Point(end), 0.0))
    before = shapely.area(shapes[at]).sum()
    out = shapes.copy()
    for row in at.tolist():
        out[row] = shapely.remove_repeated_points(
            shapely.transform(
                shapes[row], lambda xy: np.where((xy == node).all(axis=1)[:, None], end, xy)
            )
        )
    touched = out[np.union1d(at, near)]
    sound = (
        shapely.is_valid(touched).all()
        and abs(shapely.area(out[at]).sum() - before) <= 1e-6 * before
        and shapely.coverage_is_valid(touched)
    )
    return (off(out[at]), float(np.hypot(*(end - node))), out) if sound else None


def _require_apart(names: list[str], shapes: Shapes) -> None:
    found = overlap(shapes, _SAME_M2)
    if found is not None:
        a, b, area_m2 = found
        raise impossible(
            f"固定网格 {names[a]} 与 {names[b]} 重叠 {area_m2:.4g} 平方米",
            f"the fixed grids {names[a]} and {names[b]} overlap by {area_m2:.4g} m2",
        )
