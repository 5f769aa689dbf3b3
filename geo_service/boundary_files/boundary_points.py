"""The boundary-point TXT of the land offices (勘测定界界址点): parcels as numbered points.

A header of ``[属性描述]`` names the system, the zone and its width; ``[地块坐标]`` gives each
parcel a line that ends in ``@`` (points, hectares, number, name, shape, sheet, use, class) and then
its points, ``J1,1,northing,easting``. The second figure is the ring: what lies inside an earlier
ring is a hole. Northing stands first; some files have it the other way round, which their digits
tell, since no northing of China has the size of an easting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service import crs
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

NUMBER, NAME, AREA = "地块编号", "地块名称", "地块面积"
"""Columns of a parcel; its area is in hectares."""

_COLUMNS = (NUMBER, NAME, "图形属性", "图幅号", "地块用途", "地类编码")
_SECTION = re.compile(r"\[(属性描述|地块坐标)\]")
_NORTHING_M = (1_800_000.0, 6_000_000.0)

_ZONES = {3: (25, 45), 6: (13, 23)}
# First EPSG numbers of the zones, with the zone before the easting and without.
_SYSTEMS: Mapping[tuple[str, int], tuple[int, int]] = {
    ("2000", 3): (4513, 4534),
    ("2000", 6): (4491, 4502),
    ("1980", 3): (2349, 2370),
    ("1980", 6): (2327, 2338),
    ("1954", 3): (2401, 2422),
    ("1954", 6): (21413, 21453),
}
_AREA_DIFFERS = 0.01
_HECTARE_M2 = 10_000.0
_TOLD = 5


@dataclass
class _Parcel:
    line: int
    attributes: Sequence[str]
    rings: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    points: int = 0


def is_one(text: str) -> bool:
    """Whether a text is a list of boundary points."""
    return bool(_SECTION.search(text))


def read(text: str, source: str, *, crs_told: bool, notes: list[Note]) -> gpd.GeoDataFrame:
    """Read the parcels of a list of boundary points.

    Parameters
    ----------
    text : str
        The file's text.
    source : str
        Its name for people.
    crs_told : bool
        Whether the sender named a coordinate system, which then decides instead of the header.
    notes : list of Note
        Gets what was found.

    Returns
    -------
    geopandas.GeoDataFrame
        `NUMBER`, `NAME`, `AREA` (hectares) and what else the parcels' lines hold.

    Raises
    ------
    InputError
        ``layer_empty``, ``value_invalid``, ``points_missing``, ``zone_disagrees``.
    """
    header, parcels = _parsed(text, source)
    if not parcels:
        raise InputError("layer_empty", file=source)
    for parcel in parcels:
        _require_points(parcel, source)
    east_first = _oriented(parcels, source, notes)
    chosen = None if crs_told else _system(header, parcels, east_first, source, notes)
    geometries = [_polygon(parcel, east_first, source) for parcel in parcels]
    rows = [[*parcel.attributes[2:8], *[""] * 6][:6] for parcel in parcels]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object)
    frame.insert(2, AREA, [_hectares(parcel.attributes[1]) for parcel in parcels])
    frame = frame.loc[:, [c for c in frame if c in {NUMBER, NAME} or frame[c].ne("").any()]]
    parcels_frame = gpd.GeoDataFrame(frame, geometry=geometries, crs=chosen)
    _compare_areas(parcels_frame, notes)
    return parcels_frame


def _parsed(text: str, source: str) -> tuple[dict[str, str], list[_Parcel]]:
    header: dict[str, str] = {}
    parcels: list[_Parcel] = []
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().replace("，", ",")
        if found := _SECTION.match(line):
            section = found[1]
        elif section == "属性描述" and "=" in line:
            key, _, value = line.partition("=")
            header[key.strip()] = value.strip()
        elif section == "地块坐标" and line.endswith("@"):
            attributes = [part.strip() for part in line.rstrip("@").split(",")]
            parcels.append(_Parcel(number, [*attributes, "", ""]))
        elif section == "地块坐标" and line:
            _add_point(parcels, line, number, source)
    return header, parcels


def _add_point(parcels: list[_Parcel], line: str, number: int, source: str) -> None:
    parts = [part.strip() for part in line.split(",")]
    try:
        ring, first, second = parts[1], float(parts[2]), float(parts[3])
        if not np.isfinite([first, second]).all():
            raise ValueError
        parcel = parcels[-1]
    except (ValueError, IndexError) as error:
        reason = Phrase(
            "应为“点号,圈号,北坐标,东坐标”，并列在地块行（以 @ 结尾）之后",
            "it should be point, ring, northing, easting, below a parcel's line that ends in @",
        )
        raise InputError(
            "value_invalid", file=source, row=number, field="界址点", value=line[:60], reason=reason
        ) from error
    parcel.rings.setdefault(ring, []).append((first, second))
    parcel.points += 1


def _require_points(parcel: _Parcel, source: str) -> None:
    said = parcel.attributes[0]
    # A ring's first point may be counted again where it closes the ring.
    closing = sum(ring[0] == ring[-1] for ring in parcel.rings.values() if len(ring) > 1)
    expected = int(said) if said.isdecimal() and len(said) < 10 else parcel.points
    short = any(len(set(ring)) < 3 for ring in parcel.rings.values()) or not parcel.rings
    if short or not parcel.points - closing <= expected <= parcel.points:
        raise InputError(
            "points_missing",
            file=source,
            row=parcel.line,
            parcel=_called(parcel),
            expected=max(expected, 3),
            count=parcel.points,
        )


def _called(parcel: _Parcel) -> str:
    return next((text for text in parcel.attributes[2:4] if text), "?")


def _oriented(parcels: list[_Parcel], source: str, notes: list[Note]) -> bool:
    """Whether eastings stand first, against the rule; told by their size."""
    points = np.array([p for parcel in parcels for ring in parcel.rings.values() for p in ring])
    north = [_within(points[:, k], _NORTHING_M) for k in (0, 1)]
    if not north[0] and north[1]:
        notes.append(
            Note(
                "east_first",
                "界址点写成了先东后北（应先北后东），已按数值大小识别。",
                "The points give the easting first (northing is due first); told by their size.",
            )
        )
        return True
    if not any(north):
        first, second = points[0]
        reason = Phrase("北坐标应有 7 位", "a northing has 7 digits")
        raise InputError(
            "value_invalid",
            file=source,
            row=parcels[0].line + 1,
            field="界址点",
            value=f"{first:g}, {second:g}",
            reason=reason,
        )
    return False


def _within(values: Any, limits: tuple[float, float]) -> bool:
    return bool(((values >= limits[0]) & (values <= limits[1])).all())


def _system(
    header: Mapping[str, str],
    parcels: list[_Parcel],
    east_first: bool,
    source: str,
    notes: list[Note],
) -> Any:
    """The system that a header names, cross-checked with the digits; ``None`` to be asked for."""
    width = 6 if header.get("几度分带", "3").strip().startswith("6") else 3
    said = header.get("带号", "").strip()
    zone = int(said) if said.isdecimal() else None
    at, easting = _first_prefixed(parcels, east_first)
    prefix = int(easting // 1_000_000) or None
    if zone is not None and prefix is not None and zone != prefix:
        told = f"{easting:.3f}"
        raise InputError(
            "zone_disagrees", file=source, zone=zone, row=at, easting=told, found=prefix
        )
    zone = zone or prefix
    system = header.get("坐标系", "")
    year = next((y for y in ("2000", "1980", "1954") if y in system), None)
    if year is None and "80" in system:
        year = "1980"
    elif year is None and "54" in system:
        year = "1954"
    first, last = _ZONES[width]
    if year is None or zone is None or not first <= zone <= last:
        return None
    epsg = _SYSTEMS[year, width][0 if prefix else 1] + zone - first
    notes.append(
        Note(
            "zone_header",
            f"按文件头：{system}，{width} 度带，带号 {zone}，"
            f"东坐标{'带' if prefix else '不带'}带号。",
            f"By the header: {year} system, {width}-degree zone {zone}, eastings "
            f"{'with' if prefix else 'without'} the zone before them.",
        )
    )
    return crs.parse_crs(epsg)


def _first_prefixed(parcels: list[_Parcel], east_first: bool) -> tuple[int, float]:
    """The line and easting that tell the zone: the first one of the file."""
    parcel = parcels[0]
    point = next(iter(parcel.rings.values()))[0]
    return parcel.line + 1, point[0] if east_first else point[1]


def _polygon(parcel: _Parcel, east_first: bool, source: str) -> Any:
    """Outer rings and holes: a ring that lies inside an earlier one is its hole."""
    outer: list[tuple[Any, list[Any]]] = []
    for points in parcel.rings.values():
        ring = np.array(points if east_first else [(e, n) for n, e in points])
        face = shapely.Polygon(ring)
        inside = face.representative_point() if face.is_valid else shapely.Point(ring[0])
        holder = next((holes for shell, holes in outer if shell.contains(inside)), None)
        if holder is None:
            outer.append((face, []))
        else:
            holder.append(ring)
    parts = [shapely.Polygon(shell.exterior, holes) for shell, holes in outer]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _hectares(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _compare_areas(parcels: gpd.GeoDataFrame, notes: list[Note]) -> None:
    drawn = shapely.area(parcels.geometry.to_numpy()) / _HECTARE_M2
    said = parcels[AREA].to_numpy(float) if AREA in parcels else np.full(len(parcels), np.nan)
    with np.errstate(invalid="ignore"):
        off = np.flatnonzero((said > 0) & (abs(said - drawn) > _AREA_DIFFERS * drawn))
    if len(off) == 0:
        return
    told = "; ".join(
        f"{parcels[NUMBER].iloc[i] or i + 1}: {said[i]:g} / {drawn[i]:.4f}" for i in off[:_TOLD]
    )
    notes.append(
        Note(
            "parcel_area_differs",
            f"{len(off)} 个地块的登记面积与图形相差超过 1 %（公顷，登记 / 图形）：{told}。",
            f"{len(off)} parcels state an area more than 1 % off (hectares, said / drawn): {told}.",
        )
    )


def write(frame: gpd.GeoDataFrame, path: Path, *, code: str | None, name: str | None) -> None:
    """Write a layer in a CGCS2000 Gauss-Krueger zone as a list of boundary points, in GB18030.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Polygons in one of the zones EPSG:4513-4554 or 4491-4512.
    path : Path
        The file.
    code, name : str, optional
        The columns that become the parcels' number and name.

    Raises
    ------
    InputError
        ``crs_not_zone``.
    """
    header = _header(frame.crs, path.name)
    lines = ["[属性描述]", *(f"{key}={value}" for key, value in header.items()), "[地块坐标]"]
    hectares = shapely.area(frame.geometry.to_numpy()) / _HECTARE_M2
    labels = frame[[c for c in (code, name) if c]].astype("string").fillna("")
    for row, shape in enumerate(frame.geometry.to_numpy()):
        rings = [ring for part in shapely.get_parts(shape) for ring in shapely.get_rings(part)]
        texts = [str(labels[c].iloc[row]) if c else "" for c in (code, name)]
        number, title = (re.sub(r"[,，@\r\n]", " ", text) for text in texts)
        count = sum(shapely.get_num_coordinates(ring) for ring in rings)
        lines.append(f"{count},{hectares[row]:.4f},{number},{title},面,,,,@")
        for at, ring in enumerate(rings, 1):
            points = shapely.get_coordinates(ring).tolist()
            for turn, (easting, northing) in enumerate(points):
                point = turn % (len(points) - 1) + 1  # the last is the first again
                lines.append(f"J{point},{at},{northing!r},{easting!r}")
    path.write_text("\r\n".join(lines) + "\r\n", encoding="gb18030", newline="")


def _header(system: Any, file: str) -> dict[str, str]:
    epsg = crs.epsg(system) if system is not None else None
    for (year, width), firsts in _SYSTEMS.items():
        low, high = _ZONES[width]
        for first in firsts:
            if year == "2000" and epsg is not None and first <= epsg <= first + high - low:
                return {
                    "坐标系": "2000国家大地坐标系",
                    "几度分带": str(width),
                    "投影类型": "高斯克吕格",
                    "计量单位": "米",
                    "带号": str(low + epsg - first),
                }
    name = crs.name(system) if system is not None else "—"
    raise InputError("crs_not_zone", file=file, crs=name)
