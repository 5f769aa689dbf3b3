"""Read a boundary file, and refuse in a sentence what can't be used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import crs, georeference, layers, wkb
from geo_service.boundary_files import code_columns, opening
from geo_service.errors import InputError, MissingError
from geo_service.notes import Note

Shapes = Literal["polygon", "point", "line", "any"]

_SHAPES: Mapping[str, frozenset[int]] = {
    "polygon": frozenset({3, 6}),
    "point": frozenset({0, 4}),
    "line": frozenset({1, 2, 5}),
}


@dataclass(frozen=True)
class BoundaryFile:
    """A boundary file as read.

    Parameters
    ----------
    layer : geopandas.GeoDataFrame or wkb.Table
        The features under the file's own column names, codes as text, in the file's coordinates;
        a table where the file held polygons in well-known binary that nobody had to look into.
    fields : Mapping
        Our field name -> the file's column (`layers.match_fields`).
    notes : tuple of Note
        What was found and assumed.
    source : str
        The file's name, with the member's name where it came out of a zip.
    path : Path
        The file as it was given.
    """

    layer: gpd.GeoDataFrame | wkb.Table
    fields: Mapping[str, str]
    notes: tuple[Note, ...]
    source: str
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Of the file as it was given: to be asked for before that is changed or removed."""
        if self.path.is_dir():
            return ""
        with self.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def __repr__(self) -> str:
        columns = self.layer.columns if isinstance(self.layer, wkb.Table) else self.layer
        return f"<BoundaryFile {self.source}: {len(columns)} features, {columns.crs}>"

    @cached_property
    def frame(self) -> gpd.GeoDataFrame:
        """`layer` with its geometries made."""
        return _made(self.layer)

    def layer_frame(self) -> gpd.GeoDataFrame:
        """The features as `named`, with their geometries made."""
        return _made(self.named())

    def named(self) -> gpd.GeoDataFrame | wkb.Table:
        """`layer` under our field names (``code``, ``name`` ...); other columns stay as named.

        Raises
        ------
        InputError
            ``field_missing`` where no column is the code.
        """
        columns = self.layer.columns if isinstance(self.layer, wkb.Table) else self.layer
        if "code" not in self.fields:
            found = ", ".join(c for c in columns.columns if c != columns.geometry.name)
            raise InputError(
                "field_missing", file=self.source, field="网格编码 / code", found=found
            )
        ours = {theirs: name for name, theirs in self.fields.items()}
        columns = columns.rename(columns=ours)
        if columns.geometry.name != "geometry":
            columns = columns.rename_geometry("geometry")
        return (
            replace(self.layer, columns=columns) if isinstance(self.layer, wkb.Table) else columns
        )


def read(
    path: str | Path,
    *,
    layer: str | None = None,
    crs: str | int | None = None,
    datum: str | None = None,
    swap_axes: bool = False,
    near: georeference.Box | None = None,
    encoding: str | None = None,
    fields: Mapping[str, str] | None = None,
    remembered: Mapping[str, str] | None = None,
    shapes: Shapes = "polygon",
) -> BoundaryFile:
    """Read a boundary file.

    Parameters
    ----------
    path : str or Path
        Any format of `geo_service.boundary_files.kinds`, zipped or not; or a folder that holds one
        shapefile, as they are often handed on.
    layer : str, optional
        Which layer, where the file holds several.
    crs : str or int, optional
        The coordinate system, where the file has none or a wrong one.
    datum : str, optional
        ``gcj02`` or ``bd09``: the shift the coordinates carry, which is undone; also in a plane
        that was projected from shifted longitudes and latitudes.
    swap_axes : bool
        Whether x and y stand in the wrong order and are to be exchanged.
    near : tuple of float, optional
        Longitudes and latitudes (min, min, max, max) of the place the file belongs to: with it,
        the zone of a file without a system can be proposed.
    encoding : str, optional
        The text encoding of a shapefile, where it can't be told.
    fields : Mapping, optional
        Our field name -> the file's column, where the names are unusual.
    remembered : Mapping, optional
        The same from an earlier file of this sender; a column that is absent now is passed over.
    shapes : {"polygon", "point", "line", "any"}
        What the features must be.

    Returns
    -------
    BoundaryFile

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``zip_without_boundaries``, ``layer_choice``, ``layer_empty``,
        ``crs_missing``, ``crs_unknown``, ``crs_digits_disagree``, ``datum_unknown``,
        ``lonlat_swapped``, ``axes_swapped``, ``geometry_missing``,
        ``coordinate_not_finite``, ``not_polygons``, ``encoding_unreadable``,
        ``field_missing``, ``code_is_a_float``, ``code_damaged``.
    """
    given = Path(path)
    if not given.exists():
        raise MissingError("file_missing", file=str(path))
    if given.is_dir():
        given, layer = _in_folder(given, layer), None
    notes: list[Note] = []
    told = opening.Told(layer, encoding, crs is not None, datum)
    with opening.unpacked(given, told, notes) as (inner, source, inside):
        found = opening.features(inner, source, inside, notes)
    as_it_is = datum is None and not swap_axes and shapes in {"polygon", "any"}
    if isinstance(found, wkb.Table) and not as_it_is:
        found = found.frame()
    table = found if isinstance(found, wkb.Table) else None
    frame = found.columns if isinstance(found, wkb.Table) else found
    _require_features(frame, source)
    if table is None:
        _require_shapes(frame, source, shapes)
    if swap_axes:
        frame = _exchanged(frame, notes)
    box = _box(frame.total_bounds if table is None else table.bounds)
    frame = _with_crs(frame, box, source, crs, near, notes)
    frame = _without_shift(frame, datum, notes)
    matched = _matched(frame, source, fields, remembered or {}, notes)
    frame = code_columns.as_text(frame, matched, source, notes)
    read = frame if table is None else replace(table, columns=frame)
    return BoundaryFile(read, matched, tuple(notes), source, given)


def _made(layer: gpd.GeoDataFrame | wkb.Table) -> gpd.GeoDataFrame:
    return layer.frame() if isinstance(layer, wkb.Table) else layer


def _in_folder(folder: Path, layer: str | None) -> Path:
    """The shapefile of a folder; the folder itself, which is refused as a file, where none is."""
    held = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".shp")
    chosen = [p for p in held if layer is None or p.stem == layer]
    if len(chosen) > 1 or (held and not chosen):
        raise InputError("layer_choice", file=folder.name, layers=", ".join(p.stem for p in held))
    return chosen[0] if chosen else folder


def read_area(path: str | Path, *, like: gpd.GeoDataFrame | None = None) -> gpd.GeoDataFrame:
    """Read the area that a layer is to fill: an outline of one feature or many.

    Parameters
    ----------
    path : str or Path
        A polygon file.
    like : geopandas.GeoDataFrame, optional
        The layer it will be compared with; both must be in one coordinate system. An area without
        one takes this layer's.

    Raises
    ------
    InputError
        As `read`, and ``crs_differs``.
    """
    try:
        area = read(path)
    except InputError as error:
        if error.code != "crs_missing" or like is None or like.crs is None:
            raise
        area = read(path, crs=like.crs.to_wkt())
    if like is not None and like.crs is not None and not crs.same(area.frame.crs, like.crs):
        raise InputError(
            "crs_differs",
            file=area.source,
            crs=crs.name(area.frame.crs),
            other_crs=crs.name(like.crs),
        )
    return area.layer_frame() if "code" in area.fields else area.frame


def _require_features(frame: Any, source: str) -> None:
    if not isinstance(frame, gpd.GeoDataFrame):
        if len(frame) == 0:
            raise InputError("layer_empty", file=source)
        raise InputError("geometry_missing", file=source, row=1)
    if len(frame) == 0:
        raise InputError("layer_empty", file=source)


def _require_shapes(frame: gpd.GeoDataFrame, source: str, shapes: Shapes) -> None:
    geometries = frame.geometry.to_numpy()
    absent = shapely.is_missing(geometries) | shapely.is_empty(geometries)
    if absent.any():
        raise InputError("geometry_missing", file=source, row=_first(absent))
    if shapes != "any":
        allowed = _SHAPES[shapes]
        wrong = ~np.isin(shapely.get_type_id(geometries), list(allowed))
        if wrong.any():
            found = geometries[_first(wrong) - 1].geom_type
            raise InputError("not_polygons", file=source, row=_first(wrong), found=found)
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(shapely.get_coordinates(geometries).sum()):
            return  # as nearly always; which row it is takes three times as long to tell
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    broken = ~np.isfinite(coordinates).all(axis=1)
    if broken.any():
        row = int(owner[np.flatnonzero(broken)[0]]) + 1
        raise InputError("coordinate_not_finite", file=source, row=row)


def _first(flags: Any) -> int:
    """Row number, counted from one as people do."""
    return int(np.flatnonzero(flags)[0]) + 1


def _box(bounds: npt.NDArray[np.float64]) -> georeference.Box:
    x0, y0, x1, y1 = map(float, bounds)
    return x0, y0, x1, y1


def _with_crs(
    frame: gpd.GeoDataFrame,
    box: georeference.Box,
    source: str,
    given: str | int | None,
    near: georeference.Box | None,
    notes: list[Note],
) -> gpd.GeoDataFrame:
    if given is not None:
        chosen = crs.parse_crs(given)
        if frame.crs is not None and not crs.same(frame.crs, chosen):
            notes.append(
                Note(
                    "crs_overridden",
                    f"文件自带坐标系 {crs.name(frame.crs)}，按您的说明改用 {crs.name(chosen)}。",
                    f"The file says {crs.name(frame.crs)}; {crs.name(chosen)} is used as told.",
                )
            )
        frame = frame.set_crs(chosen, allow_override=True)
    if frame.crs is None:
        found = georeference.candidates(box, near=near)
        raise InputError("crs_missing", file=source, **georeference.told(found))
    georeference.require_digits(box, frame.crs, source=source, near=near)
    name = crs.name(frame.crs)
    notes.append(Note("crs", f"坐标系：{name}。", f"Coordinate system: {name}."))
    notes.extend(georeference.remarks(frame.crs))
    return frame


def _exchanged(frame: gpd.GeoDataFrame, notes: list[Note]) -> gpd.GeoDataFrame:
    turned = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    zh, en = "已按您的说明对调 x、y。", "x and y were exchanged as told."
    notes.append(Note("axes_exchanged", zh, en))
    return frame.set_geometry(gpd.GeoSeries(turned, index=frame.index, crs=frame.crs))


def _without_shift(
    frame: gpd.GeoDataFrame, datum: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    if datum is None:
        return frame
    kind = crs.parse_datum(datum)
    if kind.startswith("EPSG:"):
        raise InputError("datum_unknown", datum=datum, known=", ".join(crs.DATUMS))
    if kind in {"wgs84", "cgcs2000"}:
        return frame
    plane = crs.Plane.of(frame.crs)

    def undo(xy: Any) -> Any:
        shifted = plane.inverse(xy[:, 0], xy[:, 1])
        lon, lat = crs.to_wgs84(*shifted, datum=kind)
        return np.column_stack(plane.forward(lon, lat, datum="wgs84"))

    # Equal vertices stay equal, so shared borders stay shared.
    moved = frame.set_geometry(shapely.transform(frame.geometry.to_numpy(), undo), crs=frame.crs)
    notes.append(
        Note("datum", f"已按 {kind} 还原到 WGS84。", f"The {kind} shift was undone (to WGS84).")
    )
    return moved


def _matched(
    frame: gpd.GeoDataFrame,
    source: str,
    given: Mapping[str, str] | None,
    remembered: Mapping[str, str],
    notes: list[Note],
) -> dict[str, str]:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    for theirs in (given or {}).values():
        if theirs not in columns:
            raise InputError("field_missing", file=source, field=theirs, found=", ".join(columns))
    known = {
        f: c for f, c in remembered.items() if c in columns and c not in (given or {}).values()
    }
    said = {**known, **(given or {})}
    taken = set(said.values())
    found = layers.match_fields(c for c in columns if c not in taken)
    matched = {**{f: c for f, c in found.items() if f not in said}, **said}
    unlike = {f: c for f, c in matched.items() if f != c}
    if unlike:
        told = ", ".join(f"{field} ← {column}" for field, column in unlike.items())
        zh = {field.name: field.zh for field in layers.FIELDS}
        told_zh = "、".join(f"{zh.get(f, f)}（{f}）← {column}" for f, column in unlike.items())
        how_zh = "，沿用上次的对应" if known else ""
        how = ", some as the last time" if known else ""
        notes.append(Note("fields", f"字段对应{how_zh}：{told_zh}。", f"Fields{how}: {told}."))
    return matched
