"""Faults as a GeoPackage that QGIS opens in their colours and planners' words."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from geo_service import crs as crs_
from geo_service.reports import tables, words

if TYPE_CHECKING:
    from geo_service.reports.opinions import Opinion

AREAS, POINTS = "faults", "fault_points"
_UNDATED = "2000-01-01T00:00:00.000Z"  # the same bytes whenever it is written
_STYLES_SQL = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
  f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
  styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
  owner TEXT(30), ui TEXT(30), update_time DATETIME)"""


def write_fault_layers(opinion: Opinion, target: Path) -> Path:
    """Write the faults as two layers with their styles, whole or not at all.

    ``faults`` holds every fault, with its ground where it has an area; ``fault_points`` holds a
    point at every fault that has a place, so a gap of a millimetre is seen too, and the solved ones
    of an earlier report. Both are in the checked file's own system.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    rows = _rows(opinion)
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        made = Path(folder) / "faults.gpkg"
        before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _UNDATED})
        try:
            for layer, frame, kind in (
                (AREAS, _areas(rows), "MultiPolygon"),
                (POINTS, _points(rows, opinion), "Point"),
            ):
                pyogrio.write_dataframe(
                    frame,
                    made,
                    layer=layer,
                    driver="GPKG",
                    geometry_type=kind,
                    append=made.exists(),
                )
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
        with closing(sqlite3.connect(made)) as database, database:
            _add_styles(database, rows["kind"])
        content = made.read_bytes()
    return tables.put(target, content, known=(".gpkg",))


def _rows(opinion: Opinion) -> gpd.GeoDataFrame:
    faults = opinion.report.faults
    at = [fault["at"] or (None, None) for fault in opinion.report.to_dict()["faults"]]
    status = list(opinion.since.status) if opinion.since else [""] * len(faults)
    data = {
        "number": np.arange(1, len(faults) + 1),
        "kind": faults["kind"],
        "kind_zh": faults["kind"].map(words.kind_zh),
        "severity": faults["severity"],
        "status": status,
        "codes": faults["codes"].map(", ".join),
        "area_m2": faults["area_m2"],
        "width_m": faults["width_m"],
        "lon": [lon for lon, _ in at],
        "lat": [lat for _, lat in at],
        "x": faults["x"],
        "y": faults["y"],
        "message_zh": faults["message_zh"],
        "message_en": faults["message_en"],
    }
    table = pd.DataFrame(data).astype({"lon": float, "lat": float})
    return gpd.GeoDataFrame(table, geometry=faults.geometry.to_numpy(), crs=faults.crs)


def _areas(rows: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return rows.set_geometry([_multipolygon(g) for g in rows.geometry], crs=rows.crs)


def _multipolygon(geometry: Any) -> Any:
    if geometry is None or shapely.get_dimensions(geometry) != 2:
        return None
    parts = shapely.get_parts(geometry)
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == 3])


def _points(rows: gpd.GeoDataFrame, opinion: Opinion) -> gpd.GeoDataFrame:
    placed = rows[np.isfinite(rows["x"])]
    points = placed.set_geometry(shapely.points(placed["x"], placed["y"]), crs=rows.crs)
    if opinion.since is None:
        return points
    solved = opinion.since.solved_faults.dropna(subset=["lon", "lat"])
    x, y = solved["lon"].to_numpy(float), solved["lat"].to_numpy(float)
    if rows.crs is not None:
        x, y = crs_.Plane.of(rows.crs).forward(x, y, datum="wgs84")
    told = solved.assign(
        number=0, status="solved", kind_zh=solved["kind"].map(words.kind_zh),
        codes=solved["codes"].map(", ".join), x=x, y=y,
    )  # fmt: skip
    gone = gpd.GeoDataFrame(told, geometry=shapely.points(x, y), crs=rows.crs)
    both = pd.concat([points, gone[points.columns]], ignore_index=True) if len(gone) else points
    return gpd.GeoDataFrame(both, geometry="geometry", crs=rows.crs)


def _add_styles(database: sqlite3.Connection, kinds: pd.Series[str]) -> None:
    present = list(dict.fromkeys(kinds))
    database.execute(_STYLES_SQL)
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
        (_UNDATED,),
    )
    for layer, symbol, label in ((AREAS, _fill, False), (POINTS, _marker, True)):
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
            "ui, update_time) VALUES ('', '', ?, 'geom', '检查问题', ?, '', 1, ?, '', NULL, ?)",
            (
                layer,
                _qml(present, symbol, label=label),
                "问题按类别着色 · faults by kind",
                _UNDATED,
            ),
        )


def _qml(kinds: list[str], symbol: Callable[[str], str], *, label: bool) -> str:
    """A style of QGIS: one category a kind; points are labelled with the number in the list.

    Points of solved faults come first in the rules, so they are green whatever their kind was.
    """
    entries = [
        (k, f"{words.kind_zh(k)} · {words.kind_en(k)}", words.family(k).colour) for k in kinds
    ]
    attribute = "kind"
    if label:
        attribute = "if(\"status\" = 'solved', 'solved', \"kind\")"
        entries.append(("solved", "已解决 · solved", words.SOLVED_COLOUR))
    categories = "".join(
        f'<category render="true" value={quoteattr(kind)} label={quoteattr(text)} symbol="{n}"/>'
        for n, (kind, text, _) in enumerate(entries)
    )
    symbols = "".join(
        f'<symbol name="{n}" type="{"marker" if label else "fill"}" alpha="1" clip_to_extent="1" '
        f'force_rhr="0">{symbol(colour)}</symbol>'
        for n, (_, _, colour) in enumerate(entries)
    )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22.0" styleCategories="Symbology|Labeling">'
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(attribute)} enableorderby="0" '
        f'forceraster="0" symbollevels="0"><categories>{categories}</categories>'
        f"<symbols>{symbols}</symbols></renderer-v2>{_LABELS if label else ''}"
        f"<layerGeometryType>{0 if label else 2}</layerGeometryType></qgis>"
    )


def _fill(colour: str) -> str:
    return _symbol_layer(
        "SimpleFill",
        color=_rgba(colour, 90), outline_color=_rgba(colour, 255), outline_style="solid",
        outline_width="0.5", outline_width_unit="MM", style="solid", joinstyle="bevel",
    )  # fmt: skip


def _marker(colour: str) -> str:
    return _symbol_layer(
        "SimpleMarker",
        name="circle", color=_rgba(colour, 255), outline_color="255,255,255,255",
        outline_style="solid", outline_width="0.3", outline_width_unit="MM", size="2.6",
        size_unit="MM",
    )  # fmt: skip


def _symbol_layer(kind: str, **properties: str) -> str:
    props = "".join(f'<prop k="{k}" v={quoteattr(v)}/>' for k, v in properties.items())
    options = "".join(
        f'<Option type="QString" name="{k}" value={quoteattr(v)}/>' for k, v in properties.items()
    )
    return (
        f'<layer class="{kind}" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{options}</Option>{props}</layer>'
    )


_LABELS = (
    '<labeling type="simple"><settings calloutType="simple"><text-style fieldName='
    + quoteattr('if("number" > 0, "number", \'\')')
    + ' isExpression="1" fontSize="8" fontSizeUnit="Point" textColor="40,40,40,255">'
    '<text-buffer bufferDraw="1" bufferSize="0.8" bufferSizeUnits="MM" '
    'bufferColor="255,255,255,255"/></text-style>'
    '<placement placement="1" dist="1"/></settings></labeling>'
)


def _rgba(colour: str, alpha: int) -> str:
    return ",".join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5)) + f",{alpha}"
