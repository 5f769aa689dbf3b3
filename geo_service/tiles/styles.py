"""What map programs want to know of tiles: TileJSON, and a style to draw them with."""

from __future__ import annotations

from typing import Any

import numpy as np

from geo_service import crs
from geo_service.tiles.source import TileSource

TILEJSON = "3.0.0"
FINEST_SERVED = 16
"""From here on a unit of a tile is 15 cm; programs draw closer zooms from it."""

# Colour and width of borders, as the map page draws them.
_BORDERS = {
    "city": ("#5b3f63", 2.6), "counties": ("#7a4f86", 2.0), "townships": ("#8c6a97", 1.5),
    "communities": ("#7d8ea3", 1.1), "grids": ("#6d7f92", 0.8),
}  # fmt: skip
_OTHER_BORDER = ("#6d7f92", 0.8)
_LAND, _PAPER = "#f6f2e9", "#ffffff"
_MERCATOR = crs.Plane.of("EPSG:3857")


def lonlat_bounds(source: TileSource) -> tuple[float, float, float, float]:
    """West, south, east, north of a source in degrees."""
    x0, y0, x1, y1 = source.bounds
    lon, lat = _MERCATOR.inverse(np.array([x0, x1]), np.array([y0, y1]))
    return float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1])


def vector_layers(source: TileSource) -> list[dict[str, Any]]:
    """Describe the layers inside a source's tiles, as TileJSON does."""
    kinds = {
        name: "Number" if np.issubdtype(column.dtype, np.number) else "String"
        for name, column in source.columns.items()
    }
    found = [{"id": source.name, "fields": kinds}]
    if source.columns:
        named = {name: kind for name, kind in kinds.items() if name in {"code", "name"}}
        found.append({"id": f"{source.name}_names", "fields": named})
    return found


def tilejson(source: TileSource, address: str, *, title: str, version: str) -> dict[str, Any]:
    """Describe a source as TileJSON 3.

    Parameters
    ----------
    source : TileSource
        What is described.
    address : str
        Of its tiles, with ``{z}``, ``{x}`` and ``{y}``.
    title : str
        For people.
    version : str
        Of the data.
    """
    return {
        "tilejson": TILEJSON,
        "name": title,
        "version": version,
        "scheme": "xyz",
        "tiles": [address],
        "minzoom": 0,
        "maxzoom": FINEST_SERVED,
        "bounds": list(lonlat_bounds(source)),
        "vector_layers": vector_layers(source),
    }


def style(source: TileSource, described: dict[str, Any]) -> dict[str, Any]:
    """Give a MapLibre style that draws a source's areas and borders.

    Names are left to the program: they need fonts, which this service does not serve.
    """
    colour, width = _BORDERS.get(source.name, _OTHER_BORDER)
    name = source.name
    west, south, east, north = described["bounds"]
    tiles = {key: described[key] for key in ("tiles", "minzoom", "maxzoom", "bounds")}
    is_area = ["==", ["geometry-type"], "Polygon"]
    return {
        "version": 8,
        "name": described["name"],
        "center": [(west + east) / 2, (south + north) / 2],
        "zoom": 9,
        "sources": {name: {"type": "vector", **tiles, "promoteId": "code"}},
        "layers": [
            {"id": "paper", "type": "background", "paint": {"background-color": _PAPER}},
            {"id": f"{name}-land", "type": "fill", "source": name, "source-layer": name,
             "filter": is_area, "paint": {"fill-color": _LAND}},
            {"id": f"{name}-border", "type": "line", "source": name, "source-layer": name,
             "layout": {"line-join": "round"},
             "paint": {"line-color": colour, "line-width": width}},
        ],
    }  # fmt: skip
