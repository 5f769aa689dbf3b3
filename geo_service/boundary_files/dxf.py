"""CAD drawings: lines that enclose areas become the areas, texts inside become their attributes.

Lines are noded where they cross and polygonised (GEOS ``polygonize_full``); what encloses nothing
is told with its position and the distance to the nearest other line, since most open ends miss it
by centimetres. Nothing is snapped here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from geo_service import encodings
from geo_service.boundary_files import decoding, gdal_layers
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

CODE, NAME = "网格编码", "网格名称"
"""Columns that texts inside an area go to."""

_CODE = re.compile(r"\d{6,20}\Z")
_TOLD_PLACES = 10
_LETTERS_ACROSS = 40  # letters that fit across an area of middling size
_UTF8_SINCE = "AC1021"  # AutoCAD 2007; before, texts are in the code page of the header
_HEADER = re.compile(rb"\$(ACADVER|DWGCODEPAGE)\s+[13]\s+(\S+)")
_CODE_PAGES = {"ANSI_936": "gb18030", "ANSI_950": "big5", "GB2312": "gb18030", "BIG5": "big5"}


def read(
    path: Path, source: str, *, layer: str | None, encoding: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Read the areas that the lines of a drawing enclose.

    Parameters
    ----------
    path : Path
        The DXF.
    source : str
        Its name for people.
    layer : str, optional
        The drawing's layers that hold the borders, separated by commas; needed where several hold
        lines. Texts are taken from all layers.
    encoding : str, optional
        Of the texts, as told by the sender.
    notes : list of Note
        Gets what was found: the open ends above all.

    Returns
    -------
    geopandas.GeoDataFrame
        `CODE`, `NAME` and ``Layer``; no coordinate system, since a drawing has none.

    Raises
    ------
    InputError
        ``layer_choice``, ``layer_empty``, ``lines_enclose_nothing``, ``encoding_unreadable``.
    """
    pyogrio.set_gdal_config_options({"DXF_ENCODING": _encoding_of(path, source, encoding, notes)})
    try:
        drawn = gdal_layers.read(path, source, layer=None)
    finally:
        pyogrio.set_gdal_config_options({"DXF_ENCODING": None})
    if not isinstance(drawn, gpd.GeoDataFrame) or drawn.empty:
        raise InputError("layer_empty", file=source)
    drawn = drawn[~drawn.geometry.isna() & ~drawn.geometry.is_empty].reset_index(drop=True)
    kinds = shapely.get_type_id(drawn.geometry.to_numpy())
    texts = drawn[np.isin(kinds, [0, 4]) & drawn["Text"].notna().to_numpy()]
    borders = _borders(drawn[~np.isin(kinds, [0, 4])], source, layer)
    return _areas(borders, texts, source, notes)


def _encoding_of(path: Path, source: str, given: str | None, notes: list[Note]) -> str:
    data = path.read_bytes()
    if given:
        return given
    if data.isascii():
        return "UTF-8"
    said = {key: value.decode("latin1") for key, value in _HEADER.findall(data)}
    named = _CODE_PAGES.get(said.get(b"DWGCODEPAGE", "").upper())
    if said.get(b"ACADVER", "") >= _UTF8_SINCE and encodings.fits(data, "utf-8"):
        found = encodings.Encoding("utf-8", Phrase("2007 版以后的 DXF", "a DXF since 2007"))
    elif named and encodings.fits(data, named):
        code_page = said[b"DWGCODEPAGE"]
        found = encodings.Encoding(
            named, Phrase(f"文件头 {code_page}", f"the header says {code_page}")
        )
    else:
        found = encodings.detect(data, file=source)
    notes.append(decoding.encoding_note(found))
    return found.name.removesuffix("-sig").upper()


def _borders(lines: gpd.GeoDataFrame, source: str, layer: str | None) -> gpd.GeoDataFrame:
    held = list(dict.fromkeys(lines["Layer"].fillna("0")))
    if not held:
        raise InputError("layer_empty", file=source)
    wanted = [name.strip() for name in layer.split(",")] if layer else held
    if (layer is None and len(held) > 1) or not set(wanted) <= set(held):
        raise InputError("layer_choice", file=source, layers=", ".join(sorted(held)))
    return lines[lines["Layer"].fillna("0").isin(wanted)]


def _areas(
    borders: gpd.GeoDataFrame, texts: gpd.GeoDataFrame, source: str, notes: list[Note]
) -> gpd.GeoDataFrame:
    shapes = shapely.force_2d(borders.geometry.to_numpy())
    lines = np.where(shapely.get_dimensions(shapes) == 2, shapely.boundary(shapes), shapes)
    noded = shapely.unary_union(lines)  # crossings become nodes, repeated lines fall together
    faces, cuts, dangles, _ = shapely.polygonize_full(shapely.get_parts(noded))
    areas = shapely.get_parts(faces)
    areas = areas[np.lexsort(shapely.bounds(areas).T)]  # whatever the order of lines
    loose = np.concatenate([shapely.get_parts(dangles), shapely.get_parts(cuts)])
    ends = _open_ends(loose, shapely.get_parts(noded))
    told = "; ".join(f"({x:.3f}, {y:.3f})" for x, y, _ in ends[:_TOLD_PLACES]) or "—"
    if len(areas) == 0:
        raise InputError("lines_enclose_nothing", file=source, lines=len(lines), ends=told)
    notes.append(
        Note(
            "lines_polygonised",
            f"由 {len(lines)} 条线围成 {len(areas)} 个面。",
            f"{len(areas)} areas were made of {len(lines)} lines.",
        )
    )
    if ends:
        notes.append(_told_ends(ends))
    columns = _labels(areas, texts, notes)
    columns["Layer"] = [", ".join(sorted(set(borders["Layer"].dropna())))] * len(areas)
    return gpd.GeoDataFrame(columns, geometry=areas, crs=None)


def _open_ends(loose: Any, every: Any) -> list[tuple[float, float, float]]:
    """Ends of lines that meet no other line: x, y and the distance to the nearest other one."""
    if len(loose) == 0:
        return []
    tips = shapely.get_point(np.concatenate([loose, loose]), np.repeat([0, -1], len(loose)))
    points, counts = np.unique(
        np.concatenate([shapely.get_coordinates(shapely.get_point(every, k)) for k in (0, -1)]),
        axis=0,
        return_counts=True,
    )
    alone = {tuple(point) for point in points[counts == 1].tolist()}
    tree = shapely.STRtree(every)
    ends = []
    for tip in np.unique(shapely.get_coordinates(tips), axis=0).tolist():
        if tuple(tip) not in alone:
            continue
        point = shapely.Point(tip)
        own = set(tree.query(point, predicate="intersects").tolist())
        others = np.delete(every, sorted(own))
        away = float(shapely.distance(point, others).min()) if len(others) else float("nan")
        ends.append((tip[0], tip[1], away))
    return sorted(ends)


def _told_ends(ends: list[tuple[float, float, float]]) -> Note:
    told = "; ".join(f"({x:.3f}, {y:.3f}) {away:.3f}" for x, y, away in ends[:_TOLD_PLACES])
    more = " …" if len(ends) > _TOLD_PLACES else ""
    return Note(
        "lines_open",
        f"{len(ends)} 个线端点悬挂、未闭合（坐标、与最近另一条线的距离）：{told}{more}。",
        f"{len(ends)} ends of lines meet no other line and enclose nothing "
        f"(position, distance to the nearest other line): {told}{more}.",
    )


def _labels(areas: Any, texts: gpd.GeoDataFrame, notes: list[Note]) -> dict[str, Any]:
    """Texts by the area they stand in: digits are its code, the others its name."""
    codes: list[list[str]] = [[] for _ in areas]
    names: list[list[str]] = [[] for _ in areas]
    places = texts.geometry.to_numpy()
    inside, at = shapely.STRtree(places).query(areas, predicate="contains")
    words = [_plain(text) for text in texts["Text"]]
    for area, text in sorted(zip(inside.tolist(), at.tolist(), strict=True)):
        for word in words[text].split("\n"):
            if word:
                (codes if _CODE.match(word) else names)[area].append(word)
    outside = [words[i] for i in sorted(set(range(len(words))) - set(at.tolist())) if words[i]]
    if outside:
        told = "、".join(outside[:_TOLD_PLACES])
        notes.append(
            Note(
                "texts_outside",
                f"{len(outside)} 处文字不在任何面内，未使用：{told}。",
                f"{len(outside)} texts stand in no area and were not used: {told}.",
            )
        )
    several = [i + 1 for i, found in enumerate(codes) if len(set(found)) > 1]
    if several:
        notes.append(
            Note(
                "texts_several_codes",
                f"第 {_listed(several)} 个面内有多个编码，可能漏画了界线。",
                f"Areas {_listed(several)} hold several codes; a border may be missing.",
            )
        )
    return {CODE: [" ".join(found) for found in codes], NAME: [" ".join(found) for found in names]}


def _listed(numbers: list[int]) -> str:
    more = " …" if len(numbers) > _TOLD_PLACES else ""
    return ", ".join(map(str, numbers[:_TOLD_PLACES])) + more


def _plain(text: object) -> str:
    """A text without MTEXT's formatting codes."""
    plain = re.sub(r"\\P", "\n", str(text))
    plain = re.sub(r"\\[A-Za-z][^;\\{}]*;", "", plain)
    return "\n".join(line.strip() for line in plain.replace("{", "").replace("}", "").split("\n"))


def write(frame: gpd.GeoDataFrame, path: Path, *, code: str | None, name: str | None) -> None:
    """Write borders as closed polylines, with codes and names as texts inside.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Polygons.
    path : Path
        The file.
    code, name : str, optional
        The columns that become texts.
    """
    from ezdxf.enums import TextEntityAlignment
    from ezdxf.filemanagement import new

    drawing = new("R2010")  # texts in UTF-8
    drawing.header["$INSUNITS"] = 6  # metres
    space = drawing.modelspace()
    shapes = frame.geometry.to_numpy()
    for ring in shapely.get_rings(shapely.get_parts(shapes)):
        points = shapely.get_coordinates(ring)[:-1].tolist()
        space.add_lwpolyline(points, close=True, dxfattribs={"layer": "BORDERS"})
    inside = shapely.point_on_surface(shapes)
    height = float(np.median(np.sqrt(shapely.area(shapes)))) / _LETTERS_ACROSS
    above, below = TextEntityAlignment.BOTTOM_CENTER, TextEntityAlignment.TOP_CENTER
    for column, kind, align in ((code, "CODES", above), (name, "NAMES", below)):
        if column is None:
            continue
        for label, point in zip(frame[column], inside, strict=True):
            if pd.isna(label) or shapely.is_empty(point):
                continue
            text = space.add_text(str(label), height=height, dxfattribs={"layer": kind})
            text.set_placement((point.x, point.y), align=align)
    drawing.saveas(path)
