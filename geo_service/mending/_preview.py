"""What a repair would change, as a layer: the ground each grid gains and loses."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geo_service.coverage import _arrays, _layer
from geo_service.coverage._arrays import Geometry
from geo_service.mending._repair import Mended

_COLUMNS = (
    "code", "part", "kinds", "action_zh", "action_en", "area_m2", "moved_m", "geometry",
)  # fmt: skip


def preview(given: gpd.GeoDataFrame, mended: Mended) -> gpd.GeoDataFrame:
    """Give the difference between a layer and its mended self.

    Parameters
    ----------
    given : GeoDataFrame
        What `repair` was given.
    mended : Mended
        What it made of it.

    Returns
    -------
    GeoDataFrame
        One row for every grid and part: code, part (``gained``, ``lost``, or ``dropped`` for a row
        that is gone), kinds (of the faults mended), action_zh, action_en, area_m2, moved_m,
        geometry (the ground in question, in the layer's own system).

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> from geo_service.mending import repair
    >>> boxes = [shapely.box(0, 0, 100, 100), shapely.box(100.5, 0, 200, 100)]
    >>> grids = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=boxes, crs=4547)
    >>> mended = repair(grids, within=shapely.box(0, 0, 200, 100))
    >>> preview(grids, mended)[["code", "part", "area_m2"]].values.tolist()
    [['1', 'gained', 50.0]]
    """
    layer, _ = _layer.layer_of(given)
    after = dict(zip(mended.rows.tolist(), mended.grids.geometry.to_numpy(), strict=True))
    told = mended.changes.groupby("code")
    rows = []
    for row, old in enumerate(np.asarray(layer.geometries)):
        new = after.get(row)
        if new is old:
            continue
        code = layer.label(row)
        its = told.get_group(code) if code in told.groups else mended.changes.iloc[:0]
        for part, shape in _parts(old, new):
            if shape.is_empty:
                continue
            area_m2 = float(layer.ground.measure(_arrays.array_of(shape))[0][0])
            words = ["; ".join(dict.fromkeys(its[c])) for c in ("kind", "action_zh", "action_en")]
            moved_m = float(its["moved_m"].max()) if len(its) else 0.0
            rows.append((code, part, *words, area_m2, moved_m, shape))
    data: dict[str, Any] = {name: [values[k] for values in rows] for k, name in enumerate(_COLUMNS)}
    frame = gpd.GeoDataFrame(data, geometry="geometry", crs=given.crs)
    return frame.astype(dict.fromkeys(("area_m2", "moved_m"), float))


def _parts(old: Geometry, new: Geometry | None) -> list[tuple[str, Geometry]]:
    if new is None:
        return [("dropped", _polygons(old))]
    valid = shapely.make_valid(old)
    return [
        ("gained", _polygons(shapely.difference(new, valid))),
        ("lost", _polygons(shapely.difference(valid, new))),
    ]


def _polygons(shape: Geometry) -> Geometry:
    """The polygons of a shape, as one multipolygon."""
    parts = shapely.get_parts(_arrays.areas(shape))
    return shapely.MultiPolygon(list(parts[np.asarray(shapely.area(parts)) > 0.0]))
