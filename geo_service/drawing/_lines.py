"""Street, river and railway lines of an OSM extract, as borders to draw along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import osmium
import pandas as pd
import shapely

from geo_service.errors import InputError, MissingError

KIND_OF_HIGHWAY = {
    **dict.fromkeys(
        ("motorway", "motorway_link", "trunk", "trunk_link", "primary", "primary_link",
         "secondary", "secondary_link", "tertiary", "tertiary_link"), "major"),
    **dict.fromkeys(
        ("residential", "unclassified", "living_street", "road", "pedestrian"), "street"),
    **dict.fromkeys(
        ("service", "footway", "path", "track", "steps", "cycleway", "bridleway",
         "platform", "corridor"), "minor"),
}  # fmt: skip
"""What an OSM highway class is to a grid border."""

_WATERWAYS = frozenset({"river", "canal", "stream", "ditch", "drain"})
_RAILWAYS = frozenset({"rail", "light_rail", "narrow_gauge", "tram"})
_WATER_AREAS = frozenset({"water", "coastline"})
_KEYS = ("highway", "waterway", "railway", "natural")

WGS84_EPSG = 4326


def street_lines(pbf_path: str | Path, within: Any, *, crs: Any) -> gpd.GeoDataFrame:
    """Read the lines of an OSM extract that a grid border may follow.

    Tunnels and culverts are left out: nobody sees them on the ground.

    Parameters
    ----------
    pbf_path : str or Path
        An ``.osm.pbf`` extract.
    within : shapely geometry or None
        Only lines that meet it, in the plane of ``crs``; ``None``: the whole extract.
    crs : Any
        The plane of the drawing, as geopandas takes it.

    Returns
    -------
    geopandas.GeoDataFrame
        Columns ``osm_id``, ``kind`` (``major``, ``street``, ``minor``, ``water``, ``rail``),
        ``tag`` (the OSM class), ``name``, LineStrings in ``crs``; sorted by ``osm_id``.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``pbf_unreadable``.
    """
    path = Path(pbf_path)
    if not path.is_file():
        raise MissingError("file_missing", file=path.name)
    rows, lines = [], []
    try:
        wanted = osmium.filter.KeyFilter(*_KEYS)
        wanted.enable_for(osmium.osm.WAY)
        entities = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY)
        for way in entities.with_locations().with_filter(wanted):
            if not isinstance(way, osmium.osm.Way):
                continue
            kind, tag = _kind(way.tags)
            if not kind:
                continue
            for line in _runs(way):
                rows.append((way.id, kind, tag, way.tags.get("name", "")))
                lines.append(line)
    except RuntimeError as error:
        raise InputError("pbf_unreadable", file=path.name, reason=error) from error
    table = pd.DataFrame(rows, columns=["osm_id", "kind", "tag", "name"])
    frame = gpd.GeoDataFrame(table, geometry=lines, crs=WGS84_EPSG).to_crs(crs)
    if within is not None:
        frame = frame.iloc[np.sort(frame.sindex.query(within, predicate="intersects"))]
    return frame.sort_values("osm_id", kind="stable").reset_index(drop=True)


def _kind(tags: Any) -> tuple[str, str]:
    """Give what a way is to a border, and its OSM class; empty where it is no border."""
    if tags.get("tunnel", "no") != "no" or tags.get("area") == "yes":
        return "", ""
    highway = tags.get("highway", "")
    if highway in KIND_OF_HIGHWAY:
        return KIND_OF_HIGHWAY[highway], highway
    if tags.get("railway") in _RAILWAYS:
        return "rail", tags["railway"]
    if tags.get("waterway") in _WATERWAYS:
        return "water", tags["waterway"]
    if tags.get("natural") in _WATER_AREAS:
        return "water", tags["natural"]
    return "", ""


def _runs(way: Any) -> list[Any]:
    """Give the lines of a way, broken where the extract lacks a node."""
    lines: list[Any] = []
    run: list[tuple[float, float]] = []
    for node in way.nodes:
        if node.location.valid():
            run.append((node.lon, node.lat))
            continue
        lines.append(run)
        run = []
    lines.append(run)
    return [shapely.LineString(points) for points in lines if len(points) > 1]


def kinds_of(lines: gpd.GeoDataFrame) -> npt.NDArray[np.object_]:
    """Tell the kind of every line from a column ``kind`` or ``highway``; else all are streets."""
    if "kind" in lines:
        return lines["kind"].to_numpy(object)
    if "highway" in lines:
        return lines["highway"].map(KIND_OF_HIGHWAY).fillna("street").to_numpy(object)
    return np.full(len(lines), "street", object)
