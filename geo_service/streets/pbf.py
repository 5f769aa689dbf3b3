"""OSM extract (``.osm.pbf``) to street segments, by pyosmium and the tag rules."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import osmium
from osmium.osm import NODE, RELATION, WAY

from geo_service.errors import InputError, MissingError
from geo_service.streets import segments, tag_rules
from geo_service.streets.segments import Segments

Progress = Callable[[float], None]

_COORDINATE_UNIT = 1e-7  # osmium keeps degrees as whole 1e-7ths
_NO_COORDINATE = 2**31 - 1
_READ_SHARE = 0.9  # of the work of an import, which the progress tells


def read(
    path: str | Path, *, on_progress: Progress | None = None
) -> tuple[Segments, dict[str, Any]]:
    """Read the walkable segments of an extract.

    Parameters
    ----------
    path : str or Path
        An OSM PBF file.
    on_progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    tuple
        The segments, and what was found: file name, SHA-256, counts.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``pbf_unreadable``, ``streets_empty``.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    collected = _Collected()
    try:
        outlines = _area_outlines(file)
        for entity in _candidates(file, outlines):
            if entity.is_node():
                collected.add_barrier(entity)
            elif entity.is_way():
                collected.add_way(entity, outlines.get(entity.id, {}))
            if on_progress and collected.seen % 10_000 == 0:
                on_progress(_READ_SHARE * (1.0 - 1.0 / (1.0 + collected.seen / 50_000)))
    except (RuntimeError, ValueError) as error:
        raise InputError("pbf_unreadable", file=file.name, reason=error) from error
    found = collected.segments()
    if found.tail.size == 0:
        raise InputError("streets_empty", file=file.name)
    source = {"file": file.name, "sha256": _sha256(file), **collected.counts()}
    return found, source


def _area_outlines(file: Path) -> dict[int, dict[str, str]]:
    """Ways that only a multipolygon relation calls a plaza or a platform: way id -> its tags."""
    outlines: dict[int, dict[str, str]] = {}
    kinds = osmium.filter.TagFilter(*tag_rules.way_kinds())
    relations: Iterable[Any] = osmium.FileProcessor(str(file), RELATION).with_filter(kinds)
    for relation in relations:
        tags = dict(relation.tags)
        if tags.get("type") != "multipolygon":
            continue
        for member in relation.members:
            if member.type == "w":
                outlines.setdefault(member.ref, tags)
    return outlines


def _candidates(file: Path, outlines: dict[int, dict[str, str]]) -> Iterable[Any]:
    """Barrier nodes, and ways that may be streets; their nodes carry positions.

    Filtering happens in osmium; a filter set for ways leaves the other kinds alone.
    """
    kinds = frozenset(tag_rules.way_kinds())
    barriers, streets = osmium.filter.KeyFilter("barrier"), osmium.filter.TagFilter(*kinds)
    barriers.enable_for(NODE)
    streets.enable_for(WAY)
    reader = osmium.FileProcessor(str(file), NODE | WAY).with_locations()
    yield from reader.with_filter(barriers).with_filter(streets)
    if not outlines:
        return
    ways_only, named = osmium.filter.EntityFilter(WAY), osmium.filter.IdFilter(outlines)
    named.enable_for(WAY)
    again = osmium.FileProcessor(str(file), NODE | WAY).with_locations()
    for way in again.with_filter(ways_only).with_filter(named):
        if kinds.isdisjoint(dict(way.tags).items()):  # the first pass gave the others
            yield way


class _Collected:
    """Growing columns of the nodes of all walkable ways, and of barriers."""

    def __init__(self) -> None:
        self.seen = 0
        self._refs, self._way = array("q"), array("q")
        self._x, self._y = array("q"), array("q")
        self._forward, self._backward = array("B"), array("B")
        self._name, self._names = array("l"), {"": 0}
        self._barrier_ids, self._barrier_masks = array("q"), array("B")
        self._read, self._kinds = tag_rules.relevant_keys(), frozenset(tag_rules.way_kinds())
        self._known: dict[frozenset[tuple[str, str]], tag_rules.Passage] = {}
        self._tally: Counter[str] = Counter()

    def add_barrier(self, node: Any) -> None:
        self.seen += 1
        mask = tag_rules.barrier_mask(dict(node.tags))
        if mask & tag_rules.OPEN:
            return
        self._barrier_ids.append(node.id)
        self._barrier_masks.append(mask)

    def add_way(self, way: Any, area_tags: dict[str, str]) -> None:
        self.seen += 1
        tags = dict(way.tags)
        passage = self._passage(area_tags if self._kinds.isdisjoint(tags.items()) else tags)
        if not (passage.forward or passage.backward):
            self._tally["ways_closed"] += 1
            return
        self._tally["ways_walkable"] += 1
        count = 0
        for node in way.nodes:
            location = node.location
            self._refs.append(node.ref)
            self._x.append(location.x)
            self._y.append(location.y)
            count += 1
        self._way.extend([self.seen] * count)
        self._forward.extend([passage.forward] * count)
        self._backward.extend([passage.backward] * count)
        name = self._names.setdefault(tags.get("name", ""), len(self._names))
        self._name.extend([name] * count)

    def _passage(self, tags: dict[str, str]) -> tag_rules.Passage:
        # A city has a few hundred distinct sets of tags that matter on 25,000 ways.
        telling = frozenset((key, tags[key]) for key in self._read.intersection(tags))
        passage = self._known.get(telling)
        if passage is None:
            passage = self._known[telling] = tag_rules.way_passage(tags)
        return passage

    def segments(self) -> Segments:
        x, y = np.array(self._x, np.int64), np.array(self._y, np.int64)
        missing = (x == _NO_COORDINATE) | (y == _NO_COORDINATE)
        self._tally["nodes_missing"] = int(missing.sum())
        return segments.join(
            np.array(self._refs, np.int64),
            np.where(missing, np.nan, x * _COORDINATE_UNIT),
            np.where(missing, np.nan, y * _COORDINATE_UNIT),
            np.array(self._way, np.int64),
            np.array(self._forward, np.uint8),
            np.array(self._backward, np.uint8),
            barrier_ids=np.array(self._barrier_ids, np.int64),
            barrier_masks=np.array(self._barrier_masks, np.uint8),
            name=np.array(self._name, np.int32),
            names=list(self._names),
        )

    def counts(self) -> dict[str, int]:
        names = ("ways_walkable", "ways_closed", "nodes_missing")
        return {name: self._tally[name] for name in names} | {"barriers": len(self._barrier_ids)}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
