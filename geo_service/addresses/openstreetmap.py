"""The addresses of an OpenStreetMap extract: what stands in ``addr:*``, and places by their names.

Chinese extracts hold few (0-62 in the ones measured); where a city gives its own table, that one is
the address book, and this one fills in shops and sights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import osmium
import pandas as pd

from geo_service.errors import InputError

_PARTS = {
    "addr:district": "county",
    "addr:suburb": "township",
    "addr:city": "community",
    "addr:street": "road",
    "addr:housenumber": "number",
}
_NAMED = ("amenity", "shop", "office", "tourism", "leisure", "building", "healthcare")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_COLUMNS = ("address", *_PARTS.values(), "compound", "lon", "lat")


def read_addresses(path: str | Path) -> pd.DataFrame:
    """Read the addresses and named places of an OSM extract.

    Parameters
    ----------
    path : str or Path
        ``.osm.pbf``, ``.osm.gz`` or ``.osm``.

    Returns
    -------
    DataFrame
        ``address`` (composed in the order of the language), ``county``, ``township``,
        ``community``, ``road``, ``number``, ``compound`` (the name of a place), ``lon``, ``lat``
        (WGS84; of an outline the middle of its corners). In the order of the file.

    Raises
    ------
    InputError
        ``pbf_unreadable``; ``addresses_none`` where the extract holds none.
    """
    file = Path(path)
    wanted = osmium.filter.KeyFilter("addr:housenumber", "name")
    kinds = osmium.osm.NODE | osmium.osm.WAY
    try:
        objects: Iterable[Any] = osmium.FileProcessor(str(file), kinds).with_locations()
        rows = [row for row in map(_row, objects.with_filter(wanted)) if row]  # type: ignore[attr-defined]
    except (RuntimeError, ValueError) as error:
        raise InputError("pbf_unreadable", file=file.name, reason=error) from error
    if not rows:
        raise InputError("addresses_none", file=file.name)
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _row(entity: Any) -> dict[str, Any] | None:
    tags = dict(entity.tags)
    said = {part: tags.get(key, "") for key, part in _PARTS.items()}
    said["number"] = said["number"].removesuffix("号").removesuffix("號")
    named = tags.get("name", "") if any(key in tags for key in _NAMED) else ""
    if not (said["road"] and said["number"]) and not named:
        return None
    place = _place(entity)
    if place is None:
        return None
    return {"address": _composed(said, named), **said, "compound": named,
            "lon": place[0], "lat": place[1]}  # fmt: skip


def _place(entity: Any) -> tuple[float, float] | None:
    """Where it lies; nothing for an outline whose corners are not in the extract."""
    if entity.is_node():
        return entity.location.lon, entity.location.lat
    corners = sorted({(n.lon, n.lat) for n in entity.nodes if n.location.valid()})
    if not corners:
        return None
    lon, lat = map(sum, zip(*corners, strict=True))
    return lon / len(corners), lat / len(corners)


def _composed(said: dict[str, str], named: str) -> str:
    """The address as it is written: from large to small in Chinese, street first elsewhere."""
    areas = [said["community"], said["county"], said["township"]]
    if _CHINESE.search(said["road"] + named):
        number = said["number"] and f"{said['number']}号"
        return "".join([*areas, said["road"], number, named])
    door = f"{said['road']} {said['number']}".strip()
    return ", ".join(filter(None, [named, door, *areas]))
