"""One small file for each thing that goes wrong with boundary files on their way to the service.

`make_boundaries.py` writes them to ``boundaries/arrivals/``, runs ``check`` on each and puts what
the service says into the table of ``boundaries/README.md``.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
import xlsxwriter

from geo_service import boundary_files, crs, reports

_ZIPPED_AT = (2026, 1, 1, 0, 0, 0)
_SHAPEFILE = ("shp", "shx", "dbf", "prj", "cpg")
_WITHIN = "--within county.geojson"
_WITHIN_DEGREES = "--within county_wgs84.geojson"
NAMES = {"code": "网格编码", "name": "网格名称"}


@dataclass(frozen=True)
class Arrival:
    """A file as it may arrive.

    Parameters
    ----------
    what : str
        What is special about it.
    name : str
        Of the file.
    make : callable
        Gives the file's bytes from the county's grids (EPSG:4547).
    options : str
        Of the ``check`` it is run with.
    """

    what: str
    name: str
    make: Callable[[gpd.GeoDataFrame], bytes]
    options: str = _WITHIN


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip whose bytes depend on its members only."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIPPED_AT), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def shapefile(
    frame: gpd.GeoDataFrame, *, endings: Iterable[str] = _SHAPEFILE, stem: str = "grids"
) -> dict[str, bytes]:
    """Parts of a shapefile as the service writes it, in GB18030."""
    with tempfile.TemporaryDirectory() as folder:
        boundary_files.write(frame, Path(folder) / f"{stem}.shp")
        return {f"{stem}.{e}": _undated(Path(folder) / f"{stem}.{e}") for e in endings}


def _undated(path: Path) -> bytes:
    content = path.read_bytes()
    # Bytes 1 to 3 of a DBF are the day it was written.
    return content[:1] + b"\x7e\x01\x01" + content[4:] if path.suffix == ".dbf" else content


def _named(county: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return county[[*NAMES, "geometry"]].rename(columns=NAMES)


def geojson(frame: gpd.GeoDataFrame, *, member: str | None = None) -> bytes:
    """A FeatureCollection to the millimetre, with the ``crs`` member that QGIS writes."""
    digits = 1e-8 if frame.crs is None or crs.is_lonlat(frame.crs) else 1e-3
    columns = [c for c in frame.columns if c != frame.geometry.name]
    features = [
        {"type": "Feature", "properties": dict(zip(columns, row, strict=True)),
         "geometry": _rounded(shape, digits)}
        for *row, shape in frame[[*columns, frame.geometry.name]].itertuples(index=False)
    ]  # fmt: skip
    told = {"type": "FeatureCollection", "features": features}
    if member:
        told["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{member}"}}
    return json.dumps(told, ensure_ascii=False).encode()


def _rounded(shape: shapely.Geometry, digits: float) -> object:
    places = round(-np.log10(digits))
    plain = json.loads(shapely.to_geojson(shape))

    def cut(part: object) -> object:
        return [cut(p) for p in part] if isinstance(part, list) else round(part, places)

    return {**plain, "coordinates": cut(plain["coordinates"])}


def _lonlat(county: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return boundary_files.to_wgs84(_named(county))


def _utf8_cut(county: gpd.GeoDataFrame) -> bytes:
    """Written the way geopandas does it: UTF-8, and names cut at ten bytes inside a character."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grids.shp"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL stumbles over the cut itself
            pyogrio.write_dataframe(_named(county), path, encoding="UTF-8")
        return zipped({f"grids.{e}": _undated(path.with_suffix(f".{e}")) for e in _SHAPEFILE})


def _prefixed(county: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return _named(county).to_crs(4526)


def _wrong_zone(county: gpd.GeoDataFrame) -> bytes:
    parts = shapefile(_prefixed(county))
    parts["grids.prj"] = shapefile(_named(county))["grids.prj"]
    return zipped(parts)


def _swapped(county: gpd.GeoDataFrame) -> bytes:
    lonlat = _lonlat(county)
    turned = shapely.transform(lonlat.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    return geojson(lonlat.set_geometry(turned, crs=lonlat.crs))


def _elsewhere(county: gpd.GeoDataFrame) -> bytes:
    """Right shape, wrong place: 11 km to the north."""
    moved = _named(county)
    return geojson(moved.set_geometry(moved.translate(0.0, 11_000.0)), member="EPSG::4547")


def _garbled(county: gpd.GeoDataFrame) -> bytes:
    """GBK taken for Latin-1 somewhere on the way, and stored as UTF-8 then."""
    ruined = _lonlat(county)
    ruined["网格名称"] = [n.encode("gbk").decode("latin-1") for n in ruined["网格名称"]]
    return geojson(ruined)


def _table(county: gpd.GeoDataFrame, codes: Iterable[object]) -> bytes:
    plain = _lonlat(county)
    wkt = [shapely.to_wkt(g, rounding_precision=8) for g in plain.geometry]
    table = pd.DataFrame({"网格编码": list(codes), "网格名称": plain["网格名称"], "wkt": wkt})
    return table.to_csv(index=False).encode("gb18030")


def _kml(county: gpd.GeoDataFrame, *, head: str = "", name: str = "{name}") -> bytes:
    marks = []
    for row in _lonlat(county).itertuples(index=False):
        rings = [shapely.get_exterior_ring(p) for p in shapely.get_parts(row.geometry)]
        faces = "".join(
            "<Polygon><outerBoundaryIs><LinearRing><coordinates>"
            + " ".join(f"{x:.8f},{y:.8f}" for x, y in ring.coords)
            + "</coordinates></LinearRing></outerBoundaryIs></Polygon>"
            for ring in rings
        )
        told = name.format(name=row.网格名称)
        marks.append(
            f'<Placemark><name>{told}</name><ExtendedData><Data name="网格编码"><value>'
            f"{row.网格编码}</value></Data></ExtendedData>"
            f"<MultiGeometry>{faces}</MultiGeometry></Placemark>"
        )
    body = "".join(marks)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{body}</Document></kml>'
    ).encode()


def _dxf(county: gpd.GeoDataFrame) -> bytes:
    """Borders as a draughtsman draws them: lines, texts inside, one end that meets nothing."""
    union = shapely.line_merge(shapely.union_all(county.geometry.boundary.to_numpy()))
    lines = [np.asarray(line.coords)[:, :2] for line in shapely.get_parts(union)]
    middle = county.geometry.iloc[0].representative_point()
    lines.append(np.array([[middle.x, middle.y], [middle.x + 60.0, middle.y + 25.0]]))
    out = ["0", "SECTION", "2", "HEADER", "9", "$ACADVER", "1", "AC1015",
           "9", "$DWGCODEPAGE", "3", "ANSI_936", "0", "ENDSEC"]  # fmt: skip
    out += ["0", "SECTION", "2", "ENTITIES"]
    for xy in lines:
        out += ["0", "POLYLINE", "8", "网格线", "66", "1", "70", "0"]
        for x, y in xy:
            out += ["0", "VERTEX", "8", "网格线", "10", f"{x:.3f}", "20", f"{y:.3f}"]
        out += ["0", "SEQEND"]
    for code, shape in zip(county["code"], county.geometry, strict=True):
        spot = shape.representative_point()
        out += ["0", "TEXT", "8", "编码", "10", f"{spot.x:.3f}", "20", f"{spot.y:.3f}",
                "40", "30", "1", code]  # fmt: skip
    return ("\r\n".join([*out, "0", "ENDSEC", "0", "EOF"]) + "\r\n").encode("gb18030")


def _points(county: gpd.GeoDataFrame, *, header_zone: int = 38) -> bytes:
    """The land offices' list: northing first, the zone before the easting."""
    out = [
        "[属性描述]",
        "坐标系=2000国家大地坐标系",
        "几度分带=3",
        "投影类型=高斯克吕格",
        "计量单位=米",
        f"带号={header_zone}",
        "精度=0.001",
        "转换参数=,,,,,,",
        "[地块坐标]",
    ]
    for row in _prefixed(county).itertuples(index=False):
        ring = np.asarray(shapely.get_parts(row.geometry)[0].exterior.coords)
        hectares = shapely.area(row.geometry) / 1e4
        out.append(f"{len(ring)},{hectares:.4f},{row.网格编码},{row.网格名称},面,,,,@")
        names = [*range(1, len(ring)), 1]
        out += [f"J{n},1,{y:.3f},{x:.3f}" for n, (x, y) in zip(names, ring, strict=True)]
    return ("\r\n".join(out) + "\r\n").encode("gb18030")


def _two_layers(county: gpd.GeoDataFrame) -> bytes:
    half = _named(county).iloc[:5]
    return zipped({**shapefile(_named(county)), **shapefile(half, stem="old")})


def _merged_register(county: gpd.GeoDataFrame) -> bytes:
    """Titles, a header of two rows, cells merged over rows, full-width digits, a sum."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        book.set_properties({"created": dt.datetime(2000, 1, 1)})
        page, plain = book.add_worksheet("台账"), book.add_format()
        page.merge_range("A1:D1", "魏都区网格登记表", plain)
        page.merge_range("A2:A3", "街道", plain)
        page.merge_range("B2:B3", "网格编码", plain)
        page.merge_range("C2:D2", "网格员", plain)
        page.write_row("C3", ["姓名", "联系电话"])
        page.merge_range(3, 0, 2 + len(county), 0, "北大街道", plain)
        wide = str.maketrans("0123456789", "０１２３４５６７８９")
        for number, code in enumerate(county["code"]):
            text = code.translate(wide) if number == 1 else f"{code} "
            page.write_row(3 + number, 1, [text, "王某", "13800000000"])
        page.write_row(3 + len(county), 0, ["合 计", None, None, len(county)])
    return made.getvalue()


def _float_register(county: gpd.GeoDataFrame) -> bytes:
    """Micro-grid codes of 18 digits typed into cells that are no text."""
    codes = [float(f"{code}001") for code in county["code"]]
    names = county["name"].tolist()
    table = pd.DataFrame({"网格编码": codes, "网格名称": names})
    with tempfile.TemporaryDirectory() as folder:
        return reports.write_tables({"台账": table}, Path(folder) / "r.xlsx").read_bytes()


def _part(county: gpd.GeoDataFrame, ending: str) -> bytes:
    return shapefile(_named(county))[f"grids.{ending}"]


ARRIVALS = (
    Arrival("Shapefile as geopandas writes it: UTF-8, `网格编码` cut inside a character",
            "cut_names.zip", _utf8_cut),
    Arrival("Shapefile in zone 38, the zone before the easting (38 486 332)",
            "zone_38.zip", lambda c: zipped(shapefile(_prefixed(c))), ""),
    Arrival("The same without its .prj",
            "zone_38_no_prj.zip",
            lambda c: zipped(shapefile(_prefixed(c), endings=("shp", "shx", "dbf", "cpg")))),
    Arrival("The same under a .prj of the plane without zone numbers", "wrong_zone.zip",
            _wrong_zone),
    Arrival("Latitude before longitude", "swapped_axes.geojson", _swapped, _WITHIN_DEGREES),
    Arrival("Right shape, wrong place: 11 km off", "elsewhere.geojson", _elsewhere),
    Arrival("KML", "grids.kml", _kml, _WITHIN_DEGREES),
    Arrival("The same, against an outline in another system", "grids.kml", _kml),
    Arrival("CAD drawing: lines and texts, one line with a loose end", "lines.dxf", _dxf,
            f"{_WITHIN} --crs EPSG:4547"),
    Arrival("The land offices' boundary points, northing first", "points.txt", _points, ""),
    Arrival("The same, its header naming zone 39", "points_zone.txt",
            lambda c: _points(c, header_zone=39)),
    Arrival("CSV in GBK with the borders as WKT, longitude and latitude", "wkt.csv",
            lambda c: _table(c, c["code"]), f"{_WITHIN_DEGREES} --crs EPSG:4326"),
    Arrival("The same after Excel: codes as 4.11002E+14", "wkt_excel.csv",
            lambda c: _table(c, [f"{float(code):.5E}" for code in c["code"]]),
            f"{_WITHIN_DEGREES} --crs EPSG:4326"),
    Arrival("Names ruined on the way (GBK taken for Latin-1)", "garbled.geojson", _garbled,
            _WITHIN_DEGREES),
    Arrival("Two layers in one zip", "two_layers.zip", _two_layers),
    Arrival("A .shp without its .dbf", "no_dbf.zip",
            lambda c: zipped(shapefile(_named(c), endings=("shp", "shx", "prj")))),
    Arrival("Half a .shp", "half.zip",
            lambda c: zipped({**shapefile(_named(c)), "grids.shp": _part(c, "shp")[:3000]})),
    Arrival("A zip in a zip", "nested.zip",
            lambda c: zipped({"grids.zip": zipped(shapefile(_named(c)))})),
    Arrival("A zip that would write outside its folder", "escape.zip",
            lambda c: zipped({f"../../{n}": b for n, b in shapefile(_named(c)).items()})),
    Arrival("KML that declares XML entities", "entities.kml",
            lambda c: _kml(c, head='<!DOCTYPE k [<!ENTITY a "b">]>', name="&a;")),
    Arrival("AutoCAD's own format", "drawing.dwg", lambda c: b"AC1027" + bytes(58)),
    Arrival("An empty file", "empty.geojson", lambda c: b""),
)  # fmt: skip

REGISTERS = (
    Arrival("Register with titles, a header of two rows, merged cells, full-width digits, a sum",
            "merged.xlsx", _merged_register),
    Arrival("Register whose 18-digit codes Excel took for numbers", "floats.xlsx", _float_register),
)  # fmt: skip
