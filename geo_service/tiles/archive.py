"""All tiles of a layer in one PMTiles file, for maps without a server.

Source: PMTiles specification, version 3; written by the library `pmtiles`.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from geo_service.errors import InputError
from geo_service.tiles import mvt, styles
from geo_service.tiles.source import TileSource

FINEST_ZOOM = 14
"""A unit of a tile is 0.6 m there; programs draw closer zooms from it."""

_E7 = 10_000_000


def write(
    source: TileSource,
    path: str | Path,
    *,
    finest_zoom: int = FINEST_ZOOM,
    about: Mapping[str, Any] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> int:
    """Write every tile of a layer down to a zoom.

    Parameters
    ----------
    source : TileSource
        Of the layer.
    path : str or Path
        The file; it appears whole or not at all.
    finest_zoom : int
        The last zoom drawn.
    about : Mapping, optional
        Further metadata: ``description``, ``attribution``, ``version``.
    on_progress : callable, optional
        Called with the share done.

    Returns
    -------
    int
        How many tiles it holds.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    advance = on_progress or (lambda share: None)
    source.pyramid.build()
    wanted = sorted(_tiles(source.bounds, finest_zoom), key=lambda zxy: zxy_to_tileid(*zxy))
    written = 0
    try:
        with tempfile.TemporaryDirectory(prefix=".geo-service-", dir=target.parent) as folder:
            made = Path(folder) / target.name
            with made.open("wb") as file:
                writer = Writer(file)
                for done, (z, x, y) in enumerate(wanted):
                    data = source.tile(z, x, y)
                    if data:
                        # No time inside: the same layer gives the same bytes.
                        writer.write_tile(zxy_to_tileid(z, x, y), gzip.compress(data, 6, mtime=0))
                        written += 1
                    advance((done + 1) / len(wanted))
                writer.finalize(_header(source, finest_zoom), _metadata(source, about or {}))
                file.flush()
                os.fsync(file.fileno())  # a power cut leaves the old file or the new one
            made.replace(target)
    except OSError as error:
        raise InputError(
            "output_unwritable", file=target.name, reason=error, known=".pmtiles"
        ) from error
    return written


def _tiles(box: mvt.Box, finest_zoom: int) -> Iterator[tuple[int, int, int]]:
    for z in range(finest_zoom + 1):
        first = mvt.tile_box(z, *mvt.tile_at(z, box[0], box[1]))
        margin = mvt.clip_box(first)[2] - first[2]  # a tile beside the layer may show its rim
        (x0, y1) = mvt.tile_at(z, box[0] - margin, box[1] - margin)
        (x1, y0) = mvt.tile_at(z, box[2] + margin, box[3] + margin)
        for x in range(x0, x1 + 1):
            for y in range(y0, y1 + 1):
                yield z, x, y


def _header(source: TileSource, finest_zoom: int) -> dict[str, Any]:
    west, south, east, north = styles.lonlat_bounds(source)
    return {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_zoom": 0,
        "max_zoom": finest_zoom,
        "min_lon_e7": int(west * _E7),
        "min_lat_e7": int(south * _E7),
        "max_lon_e7": int(east * _E7),
        "max_lat_e7": int(north * _E7),
        "center_zoom": min(finest_zoom, 10),
        "center_lon_e7": int((west + east) / 2 * _E7),
        "center_lat_e7": int((south + north) / 2 * _E7),
    }


def _metadata(source: TileSource, about: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": source.name, **about, "vector_layers": styles.vector_layers(source)}
