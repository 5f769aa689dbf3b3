"""Vector tiles: encoded, drawn coarser for each zoom with neighbours together, packed for offline.

`TileSource` draws a layer's tiles; `archive.write` puts all of them into one PMTiles file.
"""

from __future__ import annotations

from geo_service.tiles.source import DRAWN_FIELDS, TileSource

__all__ = ["DRAWN_FIELDS", "TileSource"]
