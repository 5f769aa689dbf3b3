"""Premises that are a grid of their own (专属网格): carved out, and the rest drawn around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service.drawing import _atoms, _blocks, _claims, _seams
from geo_service.drawing._refusals import impossible

_OUTSIDE_M = 0.5  # how far premises may reach over the outline: they are digitised apart from it

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Premises:
    """Names and land of premises, in the plane of the drawing."""

    name: tuple[str, ...]
    shape: Shapes

    def only(self, own: npt.NDArray[np.bool_]) -> Premises | None:
        """Give some of them."""
        if not own.any():
            return None
        return Premises(
            tuple(n for n, here in zip(self.name, own, strict=True) if here), self.shape[own]
        )


def read(plane: Any, dedicated: gpd.GeoDataFrame | None) -> Premises | None:
    """Read premises, refusing those that overlap or are too small for a grid."""
    if dedicated is None or not len(dedicated):
        return None
    names, shapes = _claims.polygons_of(dedicated, plane, "dedicated")
    small = shapely.area(shapes) < _atoms.SLIVER_AREA_M2
    if small.any():
        name, area = names[int(small.argmax())], float(shapely.area(shapes[small][0]))
        least = _atoms.SLIVER_AREA_M2
        raise impossible(
            f"专属网格“{name}”只有 {area:.4g} 平方米，小于可单独成格的 {least:g} 平方米",
            f"the dedicated grid “{name}” has {area:.4g} m2, less than the {least:g} m2 it needs",
        )
    return Premises(tuple(names), shapes)


def carve(area: Any, premises: Premises, fixed: Shapes) -> tuple[Any, Shapes]:
    """Give what is left of an area, and the land of the premises in it.

    Crumbs too small or thin to be drawn go to the premises they touch.
    """
    wide = shapely.buffer(area, _OUTSIDE_M)
    for name, shape in zip(premises.name, premises.shape, strict=True):
        if not shapely.covers(wide, shape):
            over = float(shapely.area(shapely.difference(shape, area)))
            raise impossible(
                f"专属网格“{name}”有 {over:.4g} 平方米在范围之外或在固定网格里",
                f"the dedicated grid “{name}” has {over:.4g} m2 outside the area or in fixed grids",
            )
    land = np.asarray(shapely.intersection(premises.shape, area), object)
    parts = shapely.get_parts(shapely.difference(area, shapely.union_all(land)))
    size, length = shapely.area(parts), shapely.length(parts)
    crumb = (size < _atoms.SLIVER_AREA_M2) | (2 * size < _atoms.SLIVER_WIDTH_M * length)
    for each in parts[crumb]:
        shared = shapely.length(shapely.intersection(land, shapely.boundary(each)))
        at = int(shared.argmax())
        land[at] = shapely.union_all([land[at], each])
    if crumb.all():
        return shapely.MultiPolygon(), land
    rest, *land_of = _seams.matched(np.array([shapely.multipolygons(parts[~crumb]), *land], object))
    land = np.array(land_of, object)
    if len(fixed) and not shapely.coverage_is_valid([*land, *shapely.get_parts(rest), *fixed]):
        raise impossible(
            "专属网格与固定网格相接处没有共同的界点",
            "dedicated grids touch fixed ones without common corners",
        )
    return rest, land


def put_back(shapes: Shapes, rest: Any, land: Shapes) -> Shapes:
    """Put the premises behind what was drawn around them, with the nodes on their borders."""
    owner = np.concatenate([np.zeros(len(shapes), int), 1 + np.arange(len(land))])
    together = np.concatenate([shapes, land])
    if not len(shapes):
        return together
    nodes = [_blocks.rim_nodes(rest, shapes), *[np.empty((0, 2))] * len(land)]
    areas = np.array([rest, *land], object)
    return _seams.share_nodes(together, owner, areas, nodes)[0]
