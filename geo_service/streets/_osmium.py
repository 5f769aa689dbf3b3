"""Any OSM format by pyosmium: the reader for XML and o5m, and the reference for `_pbf`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import osmium
from osmium.osm import NODE, RELATION, WAY

from geo_service.streets._elements import (
    NO_POSITION,
    Area,
    Elements,
    Names,
    Tags,
    TagSets,
    last_of_each,
)
from geo_service.streets._pbf import Rules


def read(path: Path, kind: str, rules: Rules) -> Elements:
    """Read what may be a street.

    Parameters
    ----------
    kind : str
        The format in osmium's words: ``osm``, ``osm.gz``, ``osm.bz2``, ``o5m``, ``osm.pbf``.

    Raises
    ------
    RuntimeError
        What osmium says of a file it can't read.
    """
    areas = _areas(path, kind, rules)
    reading = _Reading(rules, {way for area in areas for way in area.outlines})
    for entity in osmium.FileProcessor(osmium.io.File(str(path), kind), WAY):
        reading.take_way(entity)
    columns = reading.ways()
    node_ids = np.unique(columns["refs"])
    x = np.full(node_ids.size, NO_POSITION, np.int32)
    y = x.copy()
    row_of = {node: row for row, node in enumerate(node_ids.tolist())}
    node_tags: dict[int, Tags] = {}
    counts = {"nodes": 0, "nodes_twice": 0, "ids_negative": int((columns["way_ids"] < 0).sum())}
    seen = set()
    nodes: Iterable[Any] = osmium.FileProcessor(osmium.io.File(str(path), kind), NODE)
    for node in nodes:
        counts["nodes"] += 1
        counts["ids_negative"] += node.id < 0
        row = row_of.get(node.id)
        if row is None:
            continue
        counts["nodes_twice"] += row in seen
        seen.add(row)
        place = node.location
        shown = bool(node.visible) and place.valid()
        x[row], y[row] = (place.x, place.y) if shown else (NO_POSITION, NO_POSITION)
        tags = _telling(node.tags, rules)
        node_tags.pop(row, None)
        if not rules.node_kinds.isdisjoint(tags):
            node_tags[row] = tags
    history = _has_history(path, kind)
    twice = {"ways_twice": reading.twice, "nodes_twice": counts["nodes_twice"]}
    return Elements(
        node_ids=node_ids, x=x, y=y, node_tags=dict(sorted(node_tags.items())),
        **columns, areas=areas,
        counts=counts | {k: 0 if history else v for k, v in twice.items()}
        | {"history": int(history)},
    )  # fmt: skip


def _has_history(path: Path, kind: str) -> bool:
    reader = osmium.io.Reader(osmium.io.File(str(path), kind))
    try:
        return bool(reader.header().has_multiple_object_versions)
    finally:
        reader.close()


def _telling(tags: Any, rules: Rules) -> Tags:
    return {tag.k: tag.v for tag in tags if tag.k in rules.keys}


def _areas(path: Path, kind: str, rules: Rules) -> list[Area]:
    found: dict[int, Area | None] = {}
    relations: Iterable[Any] = osmium.FileProcessor(osmium.io.File(str(path), kind), RELATION)
    for relation in relations:
        tags = _telling(relation.tags, rules)
        found[relation.id] = None
        area = relation.visible and relation.tags.get("type") == "multipolygon"
        if area and not rules.way_kinds.isdisjoint(tags):
            outlines = tuple(member.ref for member in relation.members if member.type == "w")
            found[relation.id] = Area(relation.id, tags, outlines)
    return [area for _, area in sorted(found.items()) if area and area.outlines]


class _Reading:
    """Growing columns of ways."""

    def __init__(self, rules: Rules, outlines: set[int]) -> None:
        self._rules, self._outlines = rules, outlines
        self._sets, self._names = TagSets(), Names()
        self._ids, self._sizes, self._refs = array("q"), array("q"), array("q")
        self._tags, self._name, self._visible = array("l"), array("l"), array("B")
        self.twice = 0

    def take_way(self, way: Any) -> None:
        """Take a way in, whatever it is: a later version may say what it was."""
        tags = _telling(way.tags, self._rules)
        self._ids.append(way.id)
        self._visible.append(way.visible)
        self._tags.append(self._sets.number(tags))
        self._name.append(self._names.number(way.tags.get("name", "")))
        candidate = way.id in self._outlines or not self._rules.way_kinds.isdisjoint(tags)
        before = len(self._refs)
        if candidate:
            self._refs.extend([node.ref for node in way.nodes])
        self._sizes.append(len(self._refs) - before)

    def ways(self) -> dict[str, Any]:
        """Give the columns of the ways that count and may be streets."""
        ids, sizes = np.array(self._ids, np.int64), np.array(self._sizes, np.int64)
        rows, self.twice = last_of_each(ids, np.array(self._visible, bool))
        tags = np.array(self._tags, np.int32)
        candidate = np.array(
            [not self._rules.way_kinds.isdisjoint(found) for found in self._sets.sets], bool
        )
        listed = np.isin(ids, np.array(sorted(self._outlines), np.int64))
        keep = np.zeros(ids.size, bool)
        keep[rows] = (candidate[tags] | listed)[rows] if ids.size else False
        return {
            "way_ids": ids[keep],
            "way_start": np.concatenate(([0], np.cumsum(sizes[keep], dtype=np.int64))),
            "refs": np.array(self._refs, np.int64)[np.repeat(keep, sizes)],
            "way_tags": tags[keep], "tag_sets": self._sets.sets,
            "way_name": np.array(self._name, np.int32)[keep], "names": self._names.listed(),
        }  # fmt: skip
