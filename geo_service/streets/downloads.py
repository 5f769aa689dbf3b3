"""Streets from OpenStreetMap's servers, by osmnx: Nominatim finds a place, Overpass gives its data.

osmnx asks, waits its turn and keeps every answer in its cache, so what was asked once is answered
without a network. The answers are read as an extract is (`extracts.streets_of`), not as osmnx's
street graph: that one drops the gates and the plazas. The same data give the same network, whether
they come by file or from a server.
"""

from __future__ import annotations

import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geo_service.errors import ConflictError, InputError, MissingError, Phrase
from geo_service.streets import extracts, tag_rules
from geo_service.streets._elements import NO_POSITION, Area, Elements, Names, TagSets
from geo_service.streets.segments import Segments

OVERPASS = "https://overpass-api.de/api"
NOMINATIM = "https://nominatim.openstreetmap.org/"
OVERPASS_VARIABLE = "GEO_SERVICE_OVERPASS"
NOMINATIM_VARIABLE = "GEO_SERVICE_NOMINATIM"

_SECONDS = 180
_PATIENCE_S = 180.0
"""So long a busy server is waited for; osmnx would ask again every minute, without end."""
_BUSY = (429, 504)
_UNITS = 10_000_000  # positions are whole 1e-7 degrees


def outline(place: str, *, nominatim: str | None = None, cache: Path | None = None) -> Any:
    """Give the outline of a place by its name, WGS84.

    Parameters
    ----------
    place : str
        As one would ask a map: ``许昌市魏都区``.
    nominatim : str, optional
        Address of the server; else ``$GEO_SERVICE_NOMINATIM``, else OpenStreetMap's own.
    cache : Path, optional
        Folder of osmnx's cache; by default one under ``~/.cache``.

    Raises
    ------
    MissingError
        ``place_unknown``.
    ConflictError
        ``streets_download_failed``.
    """
    server = nominatim or os.environ.get(NOMINATIM_VARIABLE) or NOMINATIM
    with _osmnx(server, cache, nominatim_url=server) as osmnx:
        try:
            return osmnx.geocode_to_gdf(place).geometry.iloc[0]
        except (osmnx._errors.InsufficientResponseError, TypeError):
            raise MissingError("place_unknown", place=place) from None


def read(
    area: Any, *, overpass: str | None = None, cache: Path | None = None,
    on_progress: extracts.Progress | None = None,
) -> tuple[Segments, dict[str, Any]]:  # fmt: skip
    """Read the walkable segments of an area from an Overpass server.

    Parameters
    ----------
    area : shapely.Polygon or MultiPolygon
        WGS84. Ways that cross its edge come whole; a hole in it is filled.
    overpass : str, optional
        Address of the server; else ``$GEO_SERVICE_OVERPASS``, else the public one.
    cache : Path, optional
        Folder of osmnx's cache; by default one under ``~/.cache``.
    on_progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    tuple
        As `extracts.read` gives.

    Raises
    ------
    ConflictError
        ``streets_download_failed``.
    InputError
        ``streets_empty``, ``parameter_invalid`` for an area that is none.
    """
    if shapely.is_empty(area) or shapely.get_dimensions(area) != 2:
        raise InputError(
            "parameter_invalid",
            name="area",
            value="",
            reason=Phrase("没有面积", "it has no surface"),
        )
    server = overpass or os.environ.get(OVERPASS_VARIABLE) or OVERPASS
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with _osmnx(server, cache, overpass_url=server) as osmnx:
        # osmnx's public functions give graphs without the tags of gates and without plazas, so
        # these are its own steps: cut the area as servers want it, ask, keep the answer.
        parts = osmnx._overpass._make_overpass_polygon_coord_strs(area)
        for done, part in enumerate(parts, start=1):
            answer = osmnx._overpass._overpass_request(OrderedDict(data=query(part)))
            found |= {(e["type"], e["id"]): e for e in answer.get("elements", ())}
            if on_progress:
                on_progress(done / len(parts))
    streets, report = extracts.streets_of(elements(found.values()))
    if streets.tail.size == 0:
        raise InputError("streets_empty", file=server)
    return streets, {"file": server, "format": "overpass", **report}


def query(polygon: str) -> str:
    """Give the question for Overpass: what may be a street by the tag rules, with all its nodes."""
    wanted = []
    for key, values in tag_rules.way_kind_values().items():
        tag = f'["{key}"~"^({"|".join(values)})$"]'
        wanted.append(f'way{tag}(poly:"{polygon}");')
        wanted.append(f'rel["type"="multipolygon"]{tag}(poly:"{polygon}");')
    return f"[out:json][timeout:{_SECONDS}];({''.join(wanted)});(._;>;);out;"


def elements(found: Iterable[Mapping[str, Any]]) -> Elements:
    """Make columns of the elements of Overpass's JSON."""
    rules = extracts.rules()
    by_kind: dict[str, list[Mapping[str, Any]]] = {"node": [], "way": [], "relation": []}
    for element in found:
        by_kind.get(element["type"], []).append(element)
    areas = []
    for relation in sorted(by_kind["relation"], key=lambda e: int(e["id"])):
        tags = relation.get("tags", {})
        outlines = tuple(m["ref"] for m in relation.get("members", ()) if m["type"] == "way")
        if tags.get("type") == "multipolygon" and outlines:
            areas.append(Area(relation["id"], _telling(tags, rules.keys), outlines))
    edges = {way for area in areas for way in area.outlines}
    sets, names = TagSets(), Names()
    ways = [
        way for way in sorted(by_kind["way"], key=lambda e: int(e["id"]))
        if way["id"] in edges or not rules.way_kinds.isdisjoint(way.get("tags", {}))
    ]  # fmt: skip
    refs = np.array([node for way in ways for node in way.get("nodes", ())], np.int64)
    node_ids = np.unique(refs)
    nodes = {node["id"]: node for node in by_kind["node"]}
    x, y = np.full((2, node_ids.size), NO_POSITION, np.int32)
    node_tags = {}
    for row, number in enumerate(node_ids.tolist()):
        node = nodes.get(number)
        if node is None:
            continue
        x[row], y[row] = round(node["lon"] * _UNITS), round(node["lat"] * _UNITS)
        tags = _telling(node.get("tags", {}), rules.keys)
        if not rules.node_kinds.isdisjoint(tags):
            node_tags[row] = tags
    return Elements(
        node_ids=node_ids, x=x, y=y, node_tags=node_tags,
        way_ids=np.array([way["id"] for way in ways], np.int64),
        way_start=np.cumsum([0, *(len(way.get("nodes", ())) for way in ways)], dtype=np.int64),
        refs=refs,
        way_tags=np.array(
            [sets.number(_telling(way.get("tags", {}), rules.keys)) for way in ways], np.int32
        ),
        tag_sets=sets.sets,
        way_name=np.array(
            [names.number(way.get("tags", {}).get("name", "")) for way in ways], np.int32
        ),
        names=names.listed(), areas=areas, counts={"nodes": len(nodes)},
    )  # fmt: skip


def _telling(tags: Mapping[str, str], keys: frozenset[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key in keys}


@contextmanager
def _osmnx(server: str, cache: Path | None, **settings: Any) -> Iterator[Any]:
    """Lend osmnx with our settings, and put everything back; its failures become one refusal."""
    import osmnx
    import requests

    folder = cache or _cache_folder()
    ours = settings | {
        "use_cache": True,
        "cache_folder": str(folder),
        # Only the public server tells when one's turn is; to ask another costs a minute's pause.
        "overpass_rate_limit": "overpass-api.de" in server,
    }
    kwargs = dict(osmnx.settings.requests_kwargs)
    ours["requests_kwargs"] = kwargs | {"hooks": {"response": _patience(server)}}
    before = {name: getattr(osmnx.settings, name) for name in ours}
    resolver = socket.getaddrinfo  # osmnx puts its own in its place
    try:
        for name, value in ours.items():
            setattr(osmnx.settings, name, value)
        yield osmnx
    except (
        requests.exceptions.RequestException, osmnx._errors.ResponseStatusCodeError,
        osmnx._errors.InsufficientResponseError, OSError, KeyError,
    ) as error:  # fmt: skip
        raise ConflictError(
            "streets_download_failed", server=server, reason=type(error).__name__
        ) from error
    finally:
        socket.getaddrinfo = resolver
        for name, value in before.items():
            setattr(osmnx.settings, name, value)


def _patience(server: str) -> Callable[..., None]:
    """Give what hears every answer of a server, and stops waiting for one that stays busy."""
    since = time.monotonic()

    def hear(response: Any, *_args: Any, **_kwargs: Any) -> None:
        nonlocal since
        waits = response.status_code in _BUSY or response.url.endswith("/status")
        if not waits:
            since = time.monotonic()
        elif (waited_s := time.monotonic() - since) >= _PATIENCE_S:
            reason = Phrase(
                f"服务器忙（HTTP {response.status_code}），已等 {waited_s:.0f} 秒",
                f"it is busy, HTTP {response.status_code}, after {waited_s:.0f} s of waiting",
            )
            response.close()
            raise ConflictError("streets_download_failed", server=server, reason=reason)

    return hear


def _cache_folder() -> Path:
    named = os.environ.get("GEO_SERVICE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(named) if named else home / "geo-service") / "osmnx"
