"""What is checked, and against what: a layer and its outline, refused where unfit to judge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as codes_
from geo_service import crs as crs_
from geo_service import layers, wkb
from geo_service.coverage import _arrays, _rings, _segments
from geo_service.coverage._arrays import FloatArray, GeometryArray, IntArray
from geo_service.coverage._faults import remark
from geo_service.coverage._ground import Ground
from geo_service.errors import InputError
from geo_service.notes import Note
from geo_service.rings import Rings


@dataclass(frozen=True)
class Layer:
    """A layer of grids, taken apart.

    Parameters
    ----------
    frame : GeoDataFrame
        As it was given; its geometries are those of `geometries`, whatever it holds itself.
    geometries : ndarray of (Multi)Polygon, or Column
        By row. A column makes those that are asked for by row, and all for `numpy.asarray`.
    valid : ndarray of (Multi)Polygon, or Column
        The same, made valid where `with_valid` was told that they are not.
    rings : Rings
    boxes : ndarray of float, shape (rows, 4)
        Least x and y, greatest x and y.
    fields : dict of str
        Our field name -> the frame's column.
    codes : list of str
        By row; empty where a row has none.
    ground : Ground
    under : ndarray of int
        Rows that lie in a pile and for whose ground its first row stands (`_piles.flattened`).
    """

    frame: gpd.GeoDataFrame
    geometries: GeometryArray | wkb.Column
    valid: GeometryArray | wkb.Column
    rings: Rings
    boxes: FloatArray
    fields: dict[str, str]
    codes: list[str]
    ground: Ground
    under: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def near(self, shapes: GeometryArray) -> tuple[IntArray, IntArray]:
        """Pairs of a shape and a row whose boxes meet, but for rows `under`.

        A tree of the few rows that come in question at all: of every row it would cost more than
        all that is asked of it.
        """
        rows = np.setdiff1d(_arrays.met(self.boxes, shapely.bounds(shapes)), self.under)
        # A box's diagonal has the same bounds, and is made in a fifth of the time.
        tree = shapely.STRtree(_arrays.lines_between(self.boxes[rows].reshape(-1, 2, 2)))
        at, found = tree.query(shapes)
        return at, rows[found]

    @property
    def coded(self) -> bool:
        """Whether the layer has a column of codes."""
        return "code" in self.fields

    def with_valid(self, invalid: IntArray) -> Layer:
        """The layer with `valid` mended at these rows."""
        mended = [_arrays.areas(g) for g in shapely.make_valid(self.geometries[invalid])]
        if isinstance(self.geometries, wkb.Column):
            return replace(self, valid=self.geometries.replaced(invalid, mended))
        valid = self.geometries.copy()
        valid[invalid] = mended
        return replace(self, valid=valid)

    def label(self, row: int) -> str:
        """What a row is called in faults: its code, else ``row 17`` (counted from 1)."""
        return self.codes[row] or f"row {row + 1}"

    def labels(self) -> list[str]:
        """What every row is called."""
        return [code or f"row {row + 1}" for row, code in enumerate(self.codes)]

    def column(self, field: str) -> pd.Series | None:
        """The frame's column of one of our fields, or ``None``."""
        return self.frame[self.fields[field]] if field in self.fields else None


@dataclass(frozen=True)
class Outline:
    """What a layer must fill: one area, or several parents side by side.

    Parameters
    ----------
    given : ndarray of (Multi)Polygon
        As it was given.
    geometries : ndarray of (Multi)Polygon
        Made valid where they were not.
    rings : Rings
    scan : Scan
    tree : STRtree
    codes : list of str
        Of the parents; empty texts where there are none.
    area_m2 : float
    """

    given: GeometryArray
    geometries: GeometryArray
    rings: Rings
    scan: _segments.Scan
    tree: shapely.STRtree
    codes: list[str]
    area_m2: float

    def near(self, shapes: GeometryArray) -> tuple[IntArray, IntArray]:
        """Pairs of a shape and an area whose boxes meet."""
        at, area = self.tree.query(shapes)
        return at, area

    def surely_contains(self, shapes: GeometryArray) -> npt.NDArray[np.bool_]:
        """Tell which shapes lie inside one of the areas without touching its line."""
        at, area = self.tree.query(shapes)
        shapely.prepare(self.geometries)
        within = shapely.contains_properly(self.geometries[area], shapes[at])
        shapely.destroy_prepared(self.geometries)
        return np.bincount(at[within], minlength=len(shapes)) > 0


def layer_of(grids: Any, *, code_field: str | None = None) -> tuple[Layer, list[Note]]:
    """Take a layer (or a `wkb.Table`) apart, with notes on what was found and assumed.

    Raises
    ------
    InputError
        ``layer_empty``, ``geometry_missing``, ``not_polygons``, ``coordinate_not_finite`` or
        ``field_missing``.
    """
    frame, geometries, drawn = _drawn(grids)
    boxes = drawn.boxes
    ground = Ground.of(frame.crs, np.append(boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)))
    fields = layers.match_fields(c for c in frame.columns if c != frame.geometry.name)
    if code_field is not None:
        if code_field not in frame.columns:
            found = ", ".join(map(str, frame.columns))
            raise InputError("field_missing", file=_source(frame), field=code_field, found=found)
        fields["code"] = code_field
    codes = [""] * len(frame)
    if "code" in fields:
        codes = codes_.texts(frame[fields["code"]])
    layer = Layer(frame, geometries, geometries, drawn.rings, boxes, fields, codes, ground)
    return layer, _notes(layer, has_z=drawn.has_z)


def _drawn(grids: Any) -> tuple[gpd.GeoDataFrame, GeometryArray | wkb.Column, wkb.Drawn]:
    """Give a layer's columns, its geometries, and what is drawn in them."""
    if isinstance(grids, wkb.Table):
        if grids.geometries.drawn is not None:
            return grids.columns, grids.geometries, grids.geometries.drawn
        grids = grids.frame()
    frame = grids if isinstance(grids, gpd.GeoDataFrame) else gpd.GeoDataFrame(geometry=grids)
    source = _source(frame)
    geometries = _rings.polygon_array(frame, source=source)
    rings = _rings.rings_of(geometries, source=source)
    has_z = bool(shapely.has_z(geometries).any())
    return frame, geometries, wkb.Drawn(rings, shapely.bounds(geometries), has_z)


def _source(frame: gpd.GeoDataFrame) -> str:
    return str(frame.attrs.get("file", "grids"))


def _notes(layer: Layer, *, has_z: bool) -> list[Note]:
    notes = []
    if not layer.coded:
        notes.append(remark("codes_absent"))
    if has_z:
        notes.append(remark("z_dropped"))
    if layer.ground.crs is None:
        seen = "degrees" if layer.ground.lonlat else "metres"
        notes.append(remark("crs_absent", zh_unit="度" if seen == "degrees" else "米", unit=seen))
    elif layer.ground.lonlat:
        notes.append(remark("degrees_measured"))
    return notes


def outline_of(within: Any, layer: Layer) -> tuple[Outline, list[Note]]:
    """Take the outline apart.

    Raises
    ------
    InputError
        ``crs_differs`` where it stands in another system than the layer, and as `layer_of`.
    """
    crs = getattr(within, "crs", None)
    if crs is not None and layer.ground.crs is not None and not crs_.same(crs, layer.ground.crs):
        raise InputError(
            "crs_differs", file="within", crs=crs_.name(crs),
            other_crs=crs_.name(layer.ground.crs),
        )  # fmt: skip
    given = _rings.polygon_array(within, source="within")
    _rings.rings_of(given, source="within")  # refuses what is not finite
    notes = []
    invalid = ~shapely.is_valid(given)
    geometries = given.copy()
    if invalid.any():
        notes.append(remark("outline_invalid", count=int(invalid.sum())))
        geometries[invalid] = [_arrays.areas(g) for g in shapely.make_valid(given[invalid])]
    rings = _rings.rings_of(geometries, source="within")
    scan = _segments.scan(rings)
    codes = _parent_codes(within, len(geometries))
    area_m2 = float(np.sum(ring_areas_m2(rings, scan, layer.ground)))
    tree = shapely.STRtree(geometries)
    return Outline(given, geometries, rings, scan, tree, codes, area_m2), notes


def _parent_codes(within: Any, count: int) -> list[str]:
    if not isinstance(within, gpd.GeoDataFrame):
        return [""] * count
    column = layers.match_fields(within.columns).get("code")
    return codes_.texts(within[column]) if column else [""] * count


def ring_areas_m2(rings: Rings, scan: _segments.Scan, ground: Ground) -> FloatArray:
    """Areas of rings in square metres; negative for holes."""
    size = np.abs(scan.area) * ground.unit_area_m2(rings.xy[rings.start[:-1], 1])
    return np.where(rings.hole, -size, size)
