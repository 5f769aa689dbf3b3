"""Who is to be served, and where: points, tables by grid or community code, stand-ins.

A row without a number is a row without data, never a row without demand: it keeps its place in the
table, is counted apart and told. Stand-ins made of OpenStreetMap (`proxy`) are only made when
asked for, and every table of them says so in its column ``proxy``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from geo_service import crs, layers, places
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.facilities import hours as opening
from geo_service.facilities import openstreetmap
from geo_service.streets import WalkNetwork

PROXIES = ("restaurants", "shops", "streets")
"""Stand-ins: places that sell meals, all shops, walkable street by length."""

_EATING = frozenset({"restaurant", "fast_food", "cafe", "food_court", "bar", "pub", "ice_cream"})
_TAGS: dict[str, dict[str, frozenset[str]]] = {
    "restaurants": {"amenity": _EATING},
    "shops": {"shop": frozenset()},
}
_SERVES = {"rest_station": "riders", "canteen": "population_60", "meal_point": "population_60"}
_LEVELS = ("micro_grids", "grids", "communities", "townships", "counties")
_HOUR_COLUMNS = ("hour", "小时", "时段")
_EXCEL_FLOAT = re.compile(r"^(\d+)\.0$")


def by_code(
    table: pd.DataFrame, areas: Mapping[str, gpd.GeoDataFrame], *, name: str = "demand"
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Put a table of figures on the map by the codes of grids, communities and so on.

    Parameters
    ----------
    table : DataFrame
        A code column and figures; with a column ``hour``, a row per code and hour, which becomes
        one column per figure and hour (``riders_08``).
    areas : mapping of GeoDataFrame
        The store's layers, each with ``code``; the level whose codes match most is taken.
    name : str
        What refusals call the table.

    Returns
    -------
    tuple
        A row per area of that layer, with its position (WGS84) inside the area, its name and the
        figures, missing where the table has no row; and notes: codes that are no area, areas
        without data.

    Raises
    ------
    InputError
        ``field_missing``, ``value_invalid`` (a code twice), ``demand_without_place``.
    """
    found = layers.match_fields(map(str, table.columns))
    column = "code" if "code" in table else found.get("code")
    if column is None:
        listed = ", ".join(map(str, table.columns))
        raise InputError("field_missing", file=name, field="lon, lat / code", found=listed)
    given = table.rename(columns={column: "code"})
    given["code"] = [_EXCEL_FLOAT.sub(r"\1", str(code).strip()) for code in given["code"]]
    given = _by_hour(given)
    twice = given["code"].duplicated()
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise InputError(
            "value_invalid", file=name, row=at + 1, field="code", value=given["code"].iloc[at],
            reason=Phrase("出现了两次", "stands twice"),
        )  # fmt: skip
    hits = {
        level: int(given["code"].isin(areas[level]["code"].astype(str)).sum())
        for level in _LEVELS
        if level in areas
    }
    level = max(hits, key=lambda one: hits[one], default="")
    if not hits or not hits[level]:
        raise InputError("demand_without_place", file=name, code=given["code"].iloc[0])
    area = areas[level]
    figures = given[[c for c in given if c not in ("lon", "lat", "name")]]
    joined = _inside(area)[["code", "name", "lon", "lat"]].merge(figures, on="code", how="left")
    unknown = given.loc[~given["code"].isin(area["code"].astype(str)), "code"].tolist()
    empty = int((~area["code"].astype(str).isin(given["code"])).sum())
    zh = layers.LAYERS[level].zh
    notes = [{"zh": f"按编码与{zh}图层相连：{hits[level]} 行。",
              "en": f"Joined with the layer {level} by code: {hits[level]} rows."}]  # fmt: skip
    if unknown:
        codes = "、".join(unknown[:5])
        notes.append({
            "zh": f"{len(unknown)} 行的编码不在该图层里，未计入（{codes}）。",
            "en": f"{len(unknown)} rows have codes that the layer lacks, left out ({codes}).",
        })  # fmt: skip
    if empty:
        notes.append({
            "zh": f"{empty} 个{zh}没有数据；没有数据不等于没有需求，单独列出。",
            "en": f"{empty} of the {level} have no data, which is not no demand; told apart.",
        })  # fmt: skip
    return joined, notes


def of_layer(area: gpd.GeoDataFrame) -> pd.DataFrame:
    """Take the figures a layer has itself: a row per area, its position inside it (WGS84)."""
    return _inside(area)


def proxy(path: str | Path, what: str) -> pd.DataFrame:
    """Make a stand-in for demand out of an OSM extract.

    Parameters
    ----------
    path : str or Path
        ``.osm.pbf``.
    what : str
        One of `PROXIES`.

    Returns
    -------
    DataFrame
        ``id, name, lon, lat`` (WGS84), ``weight`` (1 each; kilometres for streets) and ``proxy``,
        which names the stand-in.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``parameter_invalid``, ``pbf_unreadable``, ``layer_empty``.
    """
    if what not in PROXIES:
        reason = Phrase(f"可用 {', '.join(PROXIES)}", f"one of {', '.join(PROXIES)}")
        raise InputError("parameter_invalid", name="proxy", value=what, reason=reason)
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    table = _streets(file) if what == "streets" else openstreetmap.points_tagged(file, _TAGS[what])
    if table.empty:
        raise InputError("layer_empty", file=f"{file.name} ({what})")
    return table.assign(proxy=what)


def _by_hour(table: pd.DataFrame) -> pd.DataFrame:
    column = next((c for c in _HOUR_COLUMNS if c in table), None)
    if column is None:
        return table
    hours = pd.to_numeric(table[column], errors="coerce")
    wrong = ~hours.isin(range(24)).to_numpy(bool)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file="demand", row=at + 1, field=column,
            value=table[column].iloc[at],
            reason=Phrase("应为 0 到 23 的整点", "an hour from 0 to 23"),
        )  # fmt: skip
    figures = [c for c in table if c not in ("code", "name", column)]
    wide = table.assign(_hour=hours.astype(int)).pivot(
        index="code", columns="_hour", values=figures
    )
    of = zip(wide.columns.get_level_values(0), wide.columns.get_level_values(1), strict=True)
    wide.columns = pd.Index([f"{figure}_{int(hour):02d}" for figure, hour in of])
    return wide.reset_index()


def _inside(area: gpd.GeoDataFrame) -> pd.DataFrame:
    inside = area.geometry.representative_point()
    lon, lat = crs.Plane.of(area.crs).inverse(inside.x, inside.y)
    table = pd.DataFrame(area.drop(columns=area.geometry.name))
    return table.assign(code=table["code"].astype(str), lon=lon, lat=lat)


def _streets(file: Path) -> pd.DataFrame:
    """The middle of each stretch of street, weighing its length in kilometres."""
    network = WalkNetwork.from_pbf(file)
    graph = network.graph
    x = (graph.node_x[graph.tail] + graph.node_x[graph.head]) / 2.0
    y = (graph.node_y[graph.tail] + graph.node_y[graph.head]) / 2.0
    lon, lat = network.to_lonlat(x, y)
    km = graph.length_cm / 1e5
    return pd.DataFrame({
        "id": [f"street-{row}" for row in range(len(km))], "name": "", "lon": lon, "lat": lat,
        "weight": km,
    })  # fmt: skip


def at_hour(table: pd.DataFrame, field: str, hour: int) -> str | None:
    """Give the column that holds a figure at an hour of the day, ``None`` where there is none.

    Examples
    --------
    >>> at_hour(pd.DataFrame(columns=["riders", "riders_02"]), "riders", 2)
    'riders_02'
    """
    names = (f"{field}_{hour:02d}", f"{field}_{hour}", f"{field}_h{hour:02d}", f"{field}_h{hour}")
    return next((name for name in names if name in table), None)


def column_for(
    table: pd.DataFrame, kind: str, *, wished: str | None = None, at: str | None = None
) -> str | None:
    """Give the column of the demand that a kind of facility is sited by.

    Parameters
    ----------
    table : DataFrame
    kind : str
        Code of a kind: riders count for a rest station, people over 60 for a canteen.
    wished : str, optional
        A column to take instead.
    at : str, optional
        A time of the day; the column of that hour is taken where there is one.

    Returns
    -------
    str or None
        ``None`` where the table has no such column: each place counts 1.
    """
    serves = wished or _SERVES.get(kind, "population")
    if at is not None:
        hourly = at_hour(table, serves, opening.moment(at)[1] // 60)
        if hourly is not None:
            return hourly
    if wished is not None:
        return wished
    return next((c for c in (serves, "weight", "population") if c in table), None)


def read(
    table: pd.DataFrame,
    areas: Mapping[str, gpd.GeoDataFrame],
    *,
    datum: str = "wgs84",
    name: str = "demand",
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Bring a table of demand into one form: by its positions, else by its codes.

    Parameters
    ----------
    table : DataFrame
        ``lon`` and ``lat`` in `datum` and figures, or a code column and figures.
    areas : mapping of GeoDataFrame
        The store's layers, for a table without positions.
    datum, name
        Datum of the positions; what refusals call the table.

    Returns
    -------
    tuple
        The table with ``lon`` and ``lat`` in WGS84, and notes.

    Raises
    ------
    InputError
        As `by_code` and `geo_service.places.read`.
    """
    found = layers.match_fields(map(str, table.columns))
    found |= {field: field for field in ("lon", "lat") if field in table}
    if not {"lon", "lat"} <= set(found):
        return by_code(table, areas, name=name)
    placed = table.rename(columns={found["lon"]: "lon", found["lat"]: "lat"})
    lon, lat = places.positions(placed, name=name)
    lon, lat = crs.to_wgs84(lon, lat, datum=datum)
    return placed.assign(lon=lon, lat=lat), []
