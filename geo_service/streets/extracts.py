"""OSM extract of any format to street segments, by the tag rules.

``.osm.pbf`` is read by `_pbf`; ``.osm``, ``.osm.gz``, ``.osm.bz2`` and ``.o5m`` by pyosmium. Both
give the same columns, and what is a street is decided here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.errors import InputError, MissingError
from geo_service.streets import _osmium, _pbf, plazas, segments, tag_rules
from geo_service.streets._elements import NO_POSITION, Area, Elements, Progress, Tags
from geo_service.streets.segments import Barriers, LongArray, MaskArray, Segments, Ways

__all__ = ["Progress", "read"]

DEGREES = 1e-7
MOST_LISTED = 200
"""How many places of a finding are listed; all are counted."""

_READ_SHARE = 0.9  # of the work of an import, which the progress tells
_MAGIC = {
    b"\x1f\x8b": "osm.gz",
    b"BZh": "osm.bz2",
    b"<": "osm",
    b"\xef\xbb\xbf<": "osm",
    b"\xff": "o5m",
}


def read(
    path: str | Path, *, on_progress: Progress | None = None
) -> tuple[Segments, dict[str, Any]]:
    """Read the walkable segments of an extract.

    Parameters
    ----------
    path : str or Path
        A file in one of OpenStreetMap's formats, told by its first bytes: PBF, XML (also ``.gz``
        and ``.bz2``), o5m; with or without history.
    on_progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    tuple
        The segments, and what was found: file name, SHA-256, counts, and the first
        `MOST_LISTED` places where ways are cut off (``ways_clipped_at``: OSM way, missing node,
        lon and lat of the last node before it).

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
    tell = on_progress or (lambda _: None)
    elements, kind = _read(file, lambda share: tell(_READ_SHARE * share))
    found, report = streets_of(elements)
    if found.tail.size == 0:
        raise InputError("streets_empty", file=file.name)
    return found, {"file": file.name, "sha256": _sha256(file), "format": kind, **report}


def _read(file: Path, tell: Progress) -> tuple[Elements, str]:
    with file.open("rb") as stream:
        head = stream.read(8)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "osm.pbf")
    try:
        if kind == "osm.pbf":
            return _pbf.read(file, rules(), on_progress=tell), kind
        return _osmium.read(file, kind, rules()), kind
    except (RuntimeError, ValueError) as error:
        raise InputError("pbf_unreadable", file=file.name, reason=error) from error


def rules() -> _pbf.Rules:
    """Give the tags a reader keeps."""
    return _pbf.Rules(
        tag_rules.relevant_keys(), frozenset(tag_rules.way_kinds()),
        frozenset(tag_rules.node_kinds()),
    )  # fmt: skip


def streets_of(elements: Elements) -> tuple[Segments, dict[str, Any]]:
    """Decide what may be walked, by whom and in which direction."""
    passages = [tag_rules.way_passage(tags) for tags in elements.tag_sets]
    forward, backward = np.zeros((2, elements.way_ids.size), np.uint8)
    forward[:] = np.array([p.forward for p in passages], np.uint8)[elements.way_tags]
    backward[:] = np.array([p.backward for p in passages], np.uint8)[elements.way_tags]
    of_areas = _edges_of_areas(elements, forward, backward)
    rows = segments.rows_of(elements.refs, elements.node_ids)
    lacking = elements.x == NO_POSITION
    report = _report(elements, forward | backward, rows, lacking)
    rows[lacking[rows]] = -1

    kinds = [tag_rules.kind_of(tags) for tags in elements.tag_sets]
    texts = sorted({"", *kinds})
    kind = np.array([texts.index(k) for k in kinds], np.int64)[elements.way_tags]
    ways = Ways(
        elements.way_ids, elements.way_start, rows, forward, backward,
        elements.way_name.astype(np.int64), kind, elements.names, texts,
    )  # fmt: skip
    ways, chords = _crossed(elements, ways, of_areas)
    barriers = _barriers(elements, lacking)
    lon, lat = elements.x * np.float64(DEGREES), elements.y * np.float64(DEGREES)
    found = segments.cut(elements.node_ids, lon, lat, ways, barriers)
    a, b = found.tail, found.head
    on_one_spot = (found.lon[a] == found.lon[b]) & (found.lat[a] == found.lat[b])
    report |= {
        "barriers": int(found.barriers.size),
        "plaza_chords": chords,
        "segments_without_length": int(on_one_spot.sum()),
    }
    return found, report


def _edges_of_areas(
    elements: Elements, forward: MaskArray, backward: MaskArray
) -> list[tuple[Area, list[int]]]:
    """Let the edges of multipolygon areas be walked, as the area is; give them with their ways."""
    if not elements.areas:
        return []
    row = {way: at for at, way in enumerate(elements.way_ids.tolist())}
    found = []
    for area in elements.areas:
        passage = tag_rules.way_passage(area.tags)
        members = [row[way] for way in area.outlines if way in row]
        if not (passage.forward or passage.backward):
            continue
        for at in members:
            tags = elements.tag_sets[elements.way_tags[at]]
            if not tag_rules.is_candidate(tags):
                forward[at] |= passage.forward
                backward[at] |= passage.backward
        found.append((area, members if len(members) == len(area.outlines) else []))
    return found


def _crossed(
    elements: Elements, ways: Ways, of_areas: list[tuple[Area, list[int]]]
) -> tuple[Ways, int]:
    """Add the straight ways across plazas and platforms."""
    first, last = ways.start[:-1], ways.start[1:] - 1
    open_ = (ways.forward | ways.backward) > 0
    area_set = np.array([tag_rules.is_area(tags) for tags in elements.tag_sets], bool)
    closed_ring = (last - first >= 3) & (
        elements.refs[np.minimum(first, last)] == elements.refs[np.maximum(first, last)]
        if elements.refs.size
        else False
    )
    alone = np.flatnonzero(open_ & area_set[elements.way_tags] & closed_ring)
    areas = [[at] for at in alone.tolist()] + [members for _, members in of_areas if members]
    masks = [int(ways.forward[at]) for at in alone.tolist()]
    masks += [tag_rules.way_passage(a.tags).forward for a, members in of_areas if members]
    if not areas:
        return ways, 0

    uses = plazas.uses(ways.start, ways.rows, open_, elements.node_ids.size)
    parts: list[LongArray] = []
    owners: list[int] = []
    chord_masks: list[int] = []
    for members, mask in zip(areas, masks, strict=True):
        rings = [ways.rows[ways.start[at] : ways.start[at + 1]] for at in members]
        if any(ring.size < 2 or (ring < 0).any() for ring in rings):
            continue  # a clipped area: nobody knows where its edge runs
        pairs = plazas.chords(rings, elements.x, elements.y, uses)
        parts.append(pairs)
        owners += [members[0]] * len(pairs)
        chord_masks += [mask] * len(pairs)
    pairs = np.concatenate(parts) if parts else np.empty((0, 2), np.int64)
    owner, across = np.array(owners, np.int64), np.array(chord_masks, np.uint8)
    steps = ways.start[-1] + 2 * np.arange(1, len(pairs) + 1)
    return Ways(
        np.append(ways.ids, ways.ids[owner]), np.append(ways.start, steps),
        np.append(ways.rows, pairs.ravel()),
        np.append(ways.forward, across), np.append(ways.backward, across),
        np.append(ways.name, ways.name[owner]), np.append(ways.kind, ways.kind[owner]),
        ways.names, ways.kinds,
    ), len(pairs)  # fmt: skip


def _barriers(elements: Elements, lacking: npt.NDArray[np.bool_]) -> Barriers:
    """Keep the nodes that stop somebody."""
    rows, masks, kinds = [], [], []
    judged: dict[tuple[tuple[str, str], ...], int] = {}  # a city has a dozen kinds of bollard
    for row, tags in elements.node_tags.items():
        key = tuple(tags.items())
        mask = judged.get(key)
        if mask is None:
            mask = judged[key] = tag_rules.barrier_mask(tags)
        if mask & tag_rules.OPEN or lacking[row]:
            continue
        rows.append(row)
        masks.append(mask)
        kinds.append(_said(tags))
    return Barriers(np.array(rows, np.int64), np.array(masks, np.uint8), kinds)


def _said(tags: Tags) -> str:
    """Give the tags of a barrier that matter, as one reads them in OpenStreetMap."""
    telling = tag_rules.relevant_keys()
    return " ".join(f"{key}={value}" for key, value in sorted(tags.items()) if key in telling)


def _report(
    elements: Elements, mask: MaskArray, rows: LongArray, lacking: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Count what was read, and list where ways are cut off."""
    ids, start = elements.way_ids, elements.way_start
    way_of = np.repeat(np.arange(ids.size), np.diff(start))
    missing = np.flatnonzero(lacking[rows] & (mask[way_of] > 0))
    candidate = np.array([tag_rules.is_candidate(t) for t in elements.tag_sets], bool)
    streets = candidate[elements.way_tags] | (mask > 0)
    clipped = []
    for at in missing[:MOST_LISTED].tolist():
        way = way_of[at]
        known = np.flatnonzero(~lacking[rows[start[way] : start[way + 1]]]) + start[way]
        if known.size == 0:
            clipped.append([int(ids[way]), int(elements.refs[at]), None, None])
            continue
        near = rows[known[np.abs(known - at).argmin()]]
        clipped.append(
            [
                int(ids[way]), int(elements.refs[at]),
                round(elements.x[near] * DEGREES, 7), round(elements.y[near] * DEGREES, 7),
            ]
        )  # fmt: skip
    return elements.counts | {
        "ways_walkable": int((mask > 0).sum()),
        "ways_closed": int((streets & (mask == 0)).sum()),
        "ways_restricted": int(((mask > 0) & (mask & tag_rules.OPEN == 0)).sum()),
        "ways_clipped": int(np.unique(way_of[missing]).size),
        "nodes_missing": int(missing.size),
        "ways_without_length": _without_length(elements, mask, rows, lacking),
        "ways_clipped_at": clipped,
    }


def _without_length(
    elements: Elements, mask: MaskArray, rows: LongArray, lacking: npt.NDArray[np.bool_]
) -> int:
    """Count walkable ways all of whose nodes are one, or lie on one spot."""
    if not rows.size:
        return 0
    x, y = (
        np.where(lacking[rows], values[rows[0]], values[rows])
        for values in (elements.x, elements.y)
    )
    whole = np.diff(elements.way_start) > 0
    begin = elements.way_start[:-1][whole]
    spans = [
        np.maximum.reduceat(values, begin) - np.minimum.reduceat(values, begin)
        for values in (x.astype(np.int64), y.astype(np.int64))
    ]
    return int(((spans[0] == 0) & (spans[1] == 0) & (mask[whole] > 0)).sum())


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
