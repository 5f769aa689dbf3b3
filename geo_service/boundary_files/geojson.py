"""GeoJSON in every form that is sent around, and TopoJSON.

A FeatureCollection, a bare array of features, one feature, one geometry, or a feature a line; with
a byte order mark or in GBK; with the ``crs`` member that RFC 7946 took away. All are brought to one
FeatureCollection before GDAL sees them: it reads fewer forms, and a JSON that names a pipeline for
it to run (GDALG) must not reach it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import orjson
import shapely

from geo_service import crs
from geo_service.boundary_files import decoding, gdal_layers
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_GEOMETRIES = frozenset(
    {
        "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
        "GeometryCollection",
    }
)  # fmt: skip
_DEGREE_M = 111_320.0


def read(
    path: Path, source: str, *, layer: str | None, encoding: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Read GeoJSON or TopoJSON.

    Parameters
    ----------
    path : Path
        The file.
    source : str
        Its name for people.
    layer : str, optional
        Which object of a TopoJSON that holds several.
    encoding : str, optional
        As told by its sender; else told by its content.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        ``file_unreadable``, ``format_refused``, ``layer_choice``, ``encoding_unreadable``.
    """
    found = _parsed(_as_utf8(path.read_bytes(), source, encoding, notes), source)
    if isinstance(found, dict) and found.get("type") == "Topology":
        return _topology(found, source, layer, notes)
    features = _features(found, source, notes)
    for number, feature in enumerate(features, 1):
        _require_feature(feature, number, source)
    gdal_layers.require_features(len(features), source)
    named = found.get("crs", _SILENT) if isinstance(found, dict) else _SILENT
    if not features:
        raise InputError("layer_empty", file=source)
    frame = _through_gdal({"type": "FeatureCollection", "features": features}, source, None)
    return _with_crs(frame, named, notes)


_SILENT: Any = object()


def _as_utf8(data: bytes, source: str, encoding: str | None, notes: list[Note]) -> bytes:
    if data.isascii():
        return data
    return decoding.text(data, source, encoding, notes).removeprefix("\ufeff").encode("utf-8")


def _parsed(data: bytes, source: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        lines = [line.strip(b"\x1e \r\t") for line in data.split(b"\n")]
        if len(lines) > 1 and lines[0].endswith(b"}"):  # perhaps a feature a line
            try:
                return [orjson.loads(line) for line in lines if line]
            except orjson.JSONDecodeError:
                pass
        reason = Phrase(
            f"第 {error.lineno} 行第 {error.colno} 个字符处 JSON 中断",
            f"its JSON breaks off in line {error.lineno}, column {error.colno}",
        )
        raise InputError("file_unreadable", file=source, reason=reason) from error


def _features(found: Any, source: str, notes: list[Note]) -> list[Any]:
    """The features of a document of any form."""
    if isinstance(found, list):
        if found and all(_type(item) in _GEOMETRIES for item in found):
            return [_feature(item) for item in found]
        if len(found) == 1 and _type(found[0]) == "FeatureCollection":
            return _features(found[0], source, notes)
        notes.append(
            Note(
                "geojson_bare",
                "文件是一组要素，没有 FeatureCollection 外壳，已按要素读取。",
                "The file is a bare list of features without a FeatureCollection; read as such.",
            )
        )
        return found
    kind = _type(found)
    if kind == "FeatureCollection" and isinstance(found.get("features"), list):
        return list(found["features"])
    if kind == "Feature":
        return [found]
    if kind in _GEOMETRIES:
        return [_feature(found)]
    told = str(kind or "?")[:40]
    raise InputError(
        "format_refused",
        file=source,
        found=Phrase(f" JSON（type：{told}），不是 GeoJSON", f"JSON of type {told}, no GeoJSON"),
        advice=Phrase("请导出为 GeoJSON 的 FeatureCollection。", "Export a FeatureCollection."),
    )


def _type(item: Any) -> Any:
    return item.get("type") if isinstance(item, dict) else None


def _feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def _through_gdal(document: Mapping[str, Any], source: str, layer: str | None) -> Any:
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        path = Path(folder) / "boundaries.json"
        path.write_bytes(orjson.dumps(document))
        sole = document["type"] == "FeatureCollection"
        return gdal_layers.read(path, source, layer=layer, sole=sole)


def _require_feature(feature: Any, number: int, source: str) -> None:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if (
        _type(feature) == "Feature"
        and (geometry is None or _type(geometry) in _GEOMETRIES)
        and (properties is None or isinstance(properties, dict))
    ):
        return
    reason = Phrase(f"第 {number} 个要素不是 Feature", f"feature {number} is no Feature")
    raise InputError("file_unreadable", file=source, reason=reason)


def _with_crs(frame: Any, named: Any, notes: list[Note]) -> gpd.GeoDataFrame:
    """Give the system that a file names in its old ``crs`` member, or WGS84 where it is silent."""
    if not isinstance(frame, gpd.GeoDataFrame):
        return frame
    if named is _SILENT:
        return frame if _in_degrees(frame) else frame.set_crs(None, allow_override=True)
    told = named.get("properties") if isinstance(named, Mapping) else None
    name = told.get("name") if isinstance(told, Mapping) else None
    if not isinstance(name, str):
        return frame.set_crs(None, allow_override=True)  # null: "not known", so it is asked for
    try:
        chosen = crs.parse_crs(name)
    except InputError:
        notes.append(
            Note(
                "crs_member_unknown",
                f"文件里写的坐标系“{name[:60]}”无法识别。",
                f"The coordinate system that the file names (“{name[:60]}”) is not known.",
            )
        )
        return frame.set_crs(None, allow_override=True)
    return frame.set_crs(chosen, allow_override=True)


def _in_degrees(frame: gpd.GeoDataFrame) -> bool:
    west, south, east, north = frame.total_bounds
    # Empty and not finite bounds are refused later, in their own words.
    return bool(not np.isfinite(west) or max(abs(west), abs(south), abs(east), abs(north)) <= 180)


def _topology(
    found: Mapping[str, Any], source: str, layer: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    objects, arcs = found.get("objects"), found.get("arcs")
    if not isinstance(objects, dict) or not isinstance(arcs, list):
        reason = Phrase("TopoJSON 缺少 objects 或 arcs", "its TopoJSON lacks objects or arcs")
        raise InputError("file_unreadable", file=source, reason=reason)
    # GDAL tells TopoJSON by the beginning of a file, so its type must stand first.
    plain = {"type": "Topology", **{k: v for k, v in found.items() if k not in {"type", "crs"}}}
    frame = _through_gdal(plain, source, layer)
    if not isinstance(frame, gpd.GeoDataFrame):
        return frame
    if "id" in frame and frame["id"].isna().all():
        frame = frame.drop(columns="id")
    if _in_degrees(frame):
        frame = frame.set_crs(crs.WGS84_EPSG, allow_override=True)
        notes.append(
            Note(
                "topojson_degrees",
                "TopoJSON 不带坐标系，坐标是度，按 WGS84 读取。",
                "TopoJSON names no coordinate system; its degrees are taken as WGS84.",
            )
        )
    notes.extend(_rounding(found.get("transform"), frame))
    return frame


def _rounding(transform: Any, frame: gpd.GeoDataFrame) -> Sequence[Note]:
    """What a quantised TopoJSON lost: its points lie on a lattice."""
    scale = transform.get("scale") if isinstance(transform, Mapping) else None
    if not isinstance(scale, list) or not all(isinstance(v, int | float) for v in scale):
        return ()
    step = max((abs(float(v)) for v in scale), default=0.0)
    if frame.crs is not None and crs.is_lonlat(frame.crs):
        step *= _DEGREE_M
    if step < 0.001 or shapely.is_empty(frame.geometry.to_numpy()).all():
        return ()
    return (
        Note(
            "topojson_rounded",
            f"TopoJSON 的坐标取整到约 {step:.3g} 米的格点，界线可能偏移这么多。",
            f"The TopoJSON rounds its points to about {step:.3g} m; borders may be off by as much.",
        ),
    )
