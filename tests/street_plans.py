"""Small street plans, drawn in metres around a place in Xuchang, written as OSM extracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import osmium
from osmium.osm.mutable import Node, Relation, Way

from geo_service import crs

CENTRE_X, CENTRE_Y = 486_000.0, 3_767_000.0  # EPSG:4547
PLANE = crs.Plane.of(4547)

Spot = tuple[float, float] | tuple[float, float, Mapping[str, str]]
Street = tuple[str, Mapping[str, str]]


def lonlat(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude of a place of the plan."""
    lon, lat = PLANE.inverse(CENTRE_X + x, CENTRE_Y + y)
    return float(lon), float(lat)


def write(
    path: Path,
    spots: Mapping[str, Spot],
    streets: Iterable[Street],
    *,
    areas: Iterable[tuple[Sequence[int], Mapping[str, str]]] = (),
    missing: Iterable[str] = (),
) -> Path:
    """Write a plan.

    Parameters
    ----------
    spots
        Name -> x, y in metres, and tags of a barrier.
    streets
        Names of spots one after the other ("a b c"), and tags.
    areas
        Multipolygon relations: numbers of the streets that are their outlines, and tags.
    missing
        Spots that the extract lacks.
    """
    number = {name: at + 1 for at, name in enumerate(spots)}
    gone = set(missing)
    with osmium.SimpleWriter(str(path), overwrite=True) as writer:
        for name, spot in spots.items():
            tags = dict(spot[2]) if len(spot) == 3 else {}
            if name not in gone:
                writer.add_node(Node(id=number[name], location=lonlat(*spot[:2]), tags=tags))
        for at, (line, tags) in enumerate(streets, start=1):
            writer.add_way(Way(id=at, nodes=[number[n] for n in line.split()], tags=dict(tags)))
        for at, (outlines, tags) in enumerate(areas, start=1):
            members = [("w", way, "outer") for way in outlines]
            writer.add_relation(
                Relation(id=at, members=members, tags={"type": "multipolygon", **tags})
            )
    return path


def lattice(path: Path, size: int, step_m: float = 100.0) -> Path:
    """Write a lattice of ``2 size + 1`` streets each way; spot "i,j" lies at i, j steps."""
    span = range(-size, size + 1)
    spots = {f"{i},{j}": (i * step_m, j * step_m) for i in span for j in span}
    tags = {"highway": "residential"}
    rows = [(" ".join(f"{i},{j}" for i in span), tags) for j in span]
    columns = [(" ".join(f"{i},{j}" for j in span), tags) for i in span]
    return write(path, spots, rows + columns)
