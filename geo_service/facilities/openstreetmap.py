"""Facilities out of an OSM extract, by the tags of ``defaults/facility_osm_tags.csv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import osmium
import pandas as pd
from osmium.osm import NODE, WAY

from geo_service.errors import InputError
from geo_service.facilities import hours as opening
from geo_service.facilities.kinds import default_table

_COORDINATE_UNIT = 1e-7
_DOORS = ("entrance", "barrier")
_SHUT = {"no", "private"}
_WAY_IN = {"gate", "lift_gate", "swing_gate", "entrance"}
_AMENITIES = {
    "drinking_water": "water", "air_conditioning": "cooling", "toilets": "toilet",
    "internet_access": "wifi", "bench": "rest_seat", "device_charging_station": "charging",
}  # fmt: skip
_COLUMNS = ("id", "name", "kind", "lon", "lat", "hours", "capacity", "amenities", "entrances")


def read(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read the facilities of an extract.

    A facility drawn as an area stands at the middle of its corners' box; doors and gates among
    those corners are its entrances, so that walks end there.

    Parameters
    ----------
    file : Path
        ``.osm.pbf``.

    Returns
    -------
    tuple
        A row per facility and kind (``id`` is the OSM type and number, WGS84 degrees), and opening
        hours that could not be read, a line each; those facilities count as unknown hours.

    Raises
    ------
    InputError
        ``pbf_unreadable``.
    """
    kinds = _kinds_by_tag()
    rows: list[dict[str, Any]] = []
    left: list[str] = []
    try:
        doors = _doors(file)
        for entity in _tagged(file, kinds):
            tags = dict(entity.tags)
            for kind in dict.fromkeys(kinds[tag] for tag in tags.items() if tag in kinds):
                row = _row(entity, tags, kind, doors, left)
                if row is not None:
                    rows.append(row)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("pbf_unreadable", file=file.name, reason=error) from error
    return pd.DataFrame(rows, columns=list(_COLUMNS)), left


def points_tagged(file: Path, keys: dict[str, frozenset[str]]) -> pd.DataFrame:
    """Give every node and area that has one of these tags: ``id, name, lon, lat, weight`` (1).

    Parameters
    ----------
    file : Path
    keys : dict
        Key -> allowed values; an empty set allows any.

    Raises
    ------
    InputError
        ``pbf_unreadable``.
    """
    rows = []
    try:
        reader = osmium.FileProcessor(str(file), NODE | WAY).with_locations()
        for entity in reader.with_filter(osmium.filter.KeyFilter(*keys)):
            tags = dict(entity.tags)
            if any(key in tags and (not some or tags[key] in some) for key, some in keys.items()):
                spot = _middle(entity)
                if spot is not None:
                    rows.append((_identity(entity), tags.get("name", ""), *spot, 1.0))
    except (RuntimeError, ValueError) as error:
        raise InputError("pbf_unreadable", file=file.name, reason=error) from error
    return pd.DataFrame(rows, columns=["id", "name", "lon", "lat", "weight"])


def _kinds_by_tag() -> dict[tuple[str, str], str]:
    return {(r["key"], r["value"]): r["kind"] for r in default_table("facility_osm_tags.csv")}


def _tagged(file: Path, kinds: dict[tuple[str, str], str]) -> Iterator[Any]:
    reader: Any = osmium.FileProcessor(str(file), NODE | WAY).with_locations()
    yield from reader.with_filter(osmium.filter.TagFilter(*kinds))


def _doors(file: Path) -> dict[int, bool]:
    """Nodes that are a door or a gate -> whether it lets people in."""
    reader: Any = osmium.FileProcessor(str(file), NODE)
    found = {}
    for node in reader.with_filter(osmium.filter.KeyFilter(*_DOORS)):
        tags = dict(node.tags)
        if "entrance" in tags or tags.get("barrier") in _WAY_IN:
            foot = tags.get("foot", tags.get("access", "yes"))
            found[node.id] = tags.get("entrance") != "no" and foot not in _SHUT
    return found


def _row(
    entity: Any, tags: dict[str, str], kind: str, doors: dict[int, bool], left: list[str]
) -> dict[str, Any] | None:
    spot = _middle(entity)
    if spot is None:
        return None
    identity = _identity(entity)
    hours = tags.get("opening_hours", "").strip()
    try:
        if hours:
            opening.week(hours)
    except ValueError:
        left.append(f"{identity} opening_hours: {hours}")
        hours = ""
    capacity = tags.get("capacity", "")
    offers = [ours for key, ours in _AMENITIES.items() if tags.get(key, "no") not in _SHUT]
    return {
        "id": identity, "name": tags.get("name", ""), "kind": kind,
        "lon": spot[0], "lat": spot[1], "hours": hours,
        "capacity": capacity if capacity.isdecimal() and int(capacity) > 0 else "",
        "amenities": ";".join(offers), "entrances": _entrances(entity, doors),
    }  # fmt: skip


def _identity(entity: Any) -> str:
    return f"{'node' if entity.is_node() else 'way'}/{entity.id}"


def _middle(entity: Any) -> tuple[float, float] | None:
    if entity.is_node():
        return round(entity.location.lon, 7), round(entity.location.lat, 7)
    spots = [(n.location.x, n.location.y) for n in entity.nodes if n.location.valid()]
    if not spots:
        return None
    at = np.array(spots, dtype=np.int64)
    lon, lat = ((at.min(axis=0) + at.max(axis=0)) / 2.0 * _COORDINATE_UNIT).tolist()
    return round(lon, 7), round(lat, 7)


def _entrances(entity: Any, doors: dict[int, bool]) -> str:
    if entity.is_node():
        return ""
    spots = {n.ref: n.location for n in entity.nodes if n.ref in doors and n.location.valid()}
    return "; ".join(
        f"{spot.lon:.7f},{spot.lat:.7f}" + ("" if doors[ref] else " closed")
        for ref, spot in spots.items()
    )
