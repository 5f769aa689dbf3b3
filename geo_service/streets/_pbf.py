"""OSM PBF files read block by block, without a protobuf library.

The file is a row of blobs (wiki.openstreetmap.org/wiki/PBF_Format): a length, a BlobHeader, a Blob
that holds a block. Blocks are read from the last to the first: relations name the outlines of
plazas, ways name their nodes, and so each kind of thing is known to be wanted before it is met, in
one pass that keeps nothing else. A file in another order is read three times.
"""

from __future__ import annotations

import lzma
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.streets import _pbf_kernels as kernels
from geo_service.streets import _pbf_nodes, _pbf_ways
from geo_service.streets._elements import Area, Elements, Names, Progress, TagSets, last_of_each
from geo_service.streets._pbf_kernels import DENSE, NODE, RELATION, WAY

LONGEST_HEADER = 64 * 1024
LARGEST_BLOB = 32 * 1024 * 1024
"""Limits of the format; a length beyond them is damage, and nothing is reserved for it."""

_FEATURES = {"OsmSchema-V0.6", "DenseNodes", "HistoricalInformation"}
_PLAIN, _ZLIB, _LZMA = 1, 3, 4
_REFUSED = {5: "bzip2", 6: "lz4", 7: "zstd"}


class DamagedError(ValueError):
    """What is wrong with a PBF file, and where."""


@dataclass(frozen=True)
class Rules:
    """Which tags matter.

    Parameters
    ----------
    keys : frozenset of str
        Keys that are kept.
    way_kinds, node_kinds : frozenset of str
        Keys that make a way a candidate for a street, and a node one for a barrier.
    """

    keys: frozenset[str]
    way_kinds: frozenset[str]
    node_kinds: frozenset[str]


def read(path: Path, rules: Rules, *, on_progress: Progress | None = None) -> Elements:
    """Read what may be a street.

    Raises
    ------
    DamagedError
        For a file that is no PBF file, is cut or damaged, or packed in a way Python can't unpack.
    """
    data = _mapped(path)
    blobs = list(_blobs(data))
    if not blobs or blobs[0].kind != "OSMHeader":
        raise DamagedError("it doesn't begin with an OSMHeader")
    history = _history(data, blobs[0])
    blocks = [blob for blob in blobs if blob.kind == "OSMData"]
    tell = on_progress or (lambda _: None)
    try:
        reading = _Reading(rules, history, {RELATION, WAY, NODE})
        _read_backwards(data, blocks, reading, tell)
    except _OtherOrderError:
        reading = _Reading(rules, history, {RELATION})
        for turn, wanted in enumerate(({RELATION}, {WAY}, {NODE})):
            reading.wanted = wanted

            def told(share: float, turn: int = turn) -> None:
                tell((turn + share) / 3)

            _read_backwards(data, blocks, reading, told)
    return reading.elements()


@dataclass(frozen=True)
class _Blob:
    kind: str
    number: int  # in the file, from 0
    start: int
    end: int


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    if path.stat().st_size == 0:
        raise DamagedError("the file is empty")
    return np.fromfile(path, np.uint8)


def _blobs(data: Any) -> Iterator[_Blob]:
    """Walk over the blobs, reading only their headers."""
    at, number = 0, 0
    while at < data.size:
        begin = at + 4
        length = int.from_bytes(data[at:begin].tobytes(), "big")
        if begin + length > data.size or not 0 < length <= LONGEST_HEADER:
            raise DamagedError(f"no blob begins at byte {at:,}; the file is cut or no PBF file")
        head = _message(data[begin : begin + length].tobytes(), f"the header at byte {at:,}")
        kind, size = head.get(1, b""), head.get(3)
        if (
            not isinstance(kind, bytes)
            or not isinstance(size, int)
            or not 0 <= size <= LARGEST_BLOB
        ):
            raise DamagedError(f"the header at byte {at:,} is damaged")
        at = begin + length + size
        if at > data.size:
            raise DamagedError(f"the file ends inside blob {number}, at byte {data.size:,}")
        yield _Blob(kind.decode("ascii", "replace"), number, begin + length, at)
        number += 1


def _message(data: bytes, what: str) -> dict[int, Any]:
    """Give the last value of each field: a number, or bytes."""
    status, rows = kernels.fields(_padded(data), 0, len(data))
    if status != kernels.WHOLE:
        raise DamagedError(f"{what} is damaged")
    return {
        number: data[begin:end] if wire == 2 else value
        for number, wire, value, begin, end in rows.tolist()
    }


def _padded(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data + bytes(kernels.PADDING), np.uint8)


def _unpacked(data: Any, blob: _Blob) -> bytes:
    """Give a blob's block."""
    packed = data[blob.start : blob.end].tobytes()
    what = f"blob {blob.number} at byte {blob.start:,}"
    parts = _message(packed, what)
    size = parts.get(2, 0)
    for number, name in _REFUSED.items():
        if number in parts:
            raise DamagedError(
                f"{what} is packed with {name}; pack it with zlib: "
                f"osmium cat IN -o OUT.osm.pbf -f pbf,pbf_compression=zlib"
            )
    if not isinstance(size, int) or not 0 <= size <= LARGEST_BLOB:
        raise DamagedError(f"{what} is larger than the format allows")
    plain = parts.get(_PLAIN)
    if isinstance(plain, bytes):
        return plain
    try:
        if isinstance(parts.get(_ZLIB), bytes):
            inflater: Any = zlib.decompressobj()
            block = inflater.decompress(parts[_ZLIB], size or LARGEST_BLOB)
        elif isinstance(parts.get(_LZMA), bytes):
            inflater = lzma.LZMADecompressor()
            block = inflater.decompress(parts[_LZMA], size or LARGEST_BLOB)
        else:
            raise DamagedError(f"{what} holds no block")
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise DamagedError(f"{what} can't be unpacked: {error}") from error
    if size and len(block) != size:
        raise DamagedError(f"{what} unpacks to {len(block):,} bytes instead of {size:,}")
    return block


def _history(data: Any, blob: _Blob) -> bool:
    """Read the header: whether the file keeps old versions.

    Raises
    ------
    DamagedError
        Where the file requires what this reader doesn't know.
    """
    block = _unpacked(data, blob)
    status, rows = kernels.fields(_padded(block), 0, len(block))
    if status != kernels.WHOLE:
        raise DamagedError("its OSMHeader is damaged")
    required = {
        block[begin:end].decode("utf-8", "replace")
        for number, wire, _, begin, end in rows.tolist()
        if (number, wire) == (4, 2)
    }
    if unknown := sorted(required - _FEATURES):
        raise DamagedError(f"it requires {', '.join(unknown)}, which is not known here")
    return "HistoricalInformation" in required


class _OtherOrderError(Exception):
    """The file's kinds of things don't stand in the usual order."""


def _read_backwards(data: Any, blocks: list[_Blob], reading: _Reading, tell: Progress) -> None:
    for done, blob in enumerate(reversed(blocks), start=1):
        reading.block(_unpacked(data, blob), blob)
        tell(done / len(blocks))


class _Reading:
    """Columns that grow from block to block."""

    def __init__(self, rules: Rules, history: bool, wanted: set[int]) -> None:
        self.wanted = wanted
        self._rules = rules
        self._history = history
        keys = sorted({key.encode() for key in rules.keys} | {b"name"})
        ordered, packed, starts, buckets = kernels.key_table(keys)
        self._key_table: tuple[Any, ...] = (packed, starts, buckets)
        self._keys = [key.decode() for key in ordered]
        self._way_kinds = np.array([key in rules.way_kinds for key in self._keys])
        self._node_kinds = np.array([key in rules.node_kinds for key in self._keys])
        self._name_key = self._keys.index("name")
        self._sets, self._names = TagSets(), Names()
        self._relations: dict[int, Area | None] = {}
        self._outlines = np.empty(0, np.int64)
        self._way_parts: list[tuple[Any, ...]] = []
        self._nodes: tuple[Any, Any, Any, Any] | None = None
        self._node_tags: dict[int, tuple[int, dict[str, str]]] = {}
        self._counts = dict.fromkeys(("nodes", "nodes_twice", "ids_negative"), 0)
        self._ways: tuple[Any, ...] | None = None

    def block(self, block: bytes, blob: _Blob) -> None:
        """Take a block in."""
        where = f"block {blob.number} at byte {blob.start:,}"
        b = _padded(block)
        status, rows = kernels.fields(b, 0, len(block))
        if status != kernels.WHOLE:
            raise DamagedError(f"{where} is damaged")
        scale, groups = np.array([100, 0, 0], np.int64), []
        texts: tuple[int, int] | None = None
        for number, wire, value, begin, end in rows.tolist():
            if (number, wire) == (1, 2):
                texts = (begin, end)
            elif (number, wire) == (2, 2):
                groups.append((begin, end))
            elif wire == 0 and number in (17, 19, 20):
                scale[{17: 0, 19: 2, 20: 1}[number]] = value
        if texts is None:
            raise DamagedError(f"{where} has no strings")
        status, text_at, key = kernels.strings(b, *texts, *self._key_table)
        if status != kernels.WHOLE:
            raise DamagedError(f"{where} has damaged strings")
        this = _Block(block, b, text_at, key, scale, blob.number, where)
        for begin, end in reversed(groups):
            self._group(this, begin, end)

    def _group(self, block: _Block, begin: int, end: int) -> None:
        if end == begin:
            return
        kind = int(block.b[begin]) >> 3  # one kind fills a group; its first field tells which
        family = NODE if kind == DENSE else kind
        if family not in self.wanted:
            return
        if family == RELATION:
            self._take_relations(block, begin, end)
        elif family == WAY:
            self._take_ways(block, begin, end)
        else:
            self._take_nodes(block, begin, end, kind)

    def _take_relations(self, block: _Block, begin: int, end: int) -> None:
        if len(self.wanted) > 1 and (self._way_parts or self._nodes):
            raise _OtherOrderError
        kinds = (block.key >= 0) & self._way_kinds[block.key]
        status, spans = kernels.areas(block.b, begin, end, kinds, self._history)
        block.judge(status)
        named = set(np.flatnonzero(kinds).tolist())
        for begin, end in reversed(spans.tolist()):
            area = _area(block, begin, end, named, self._keys)
            # Read backwards: of a relation that stands twice the last version comes first.
            self._relations.setdefault(area.osm_id, area if area.outlines else None)

    def _take_ways(self, block: _Block, begin: int, end: int) -> None:
        if len(self.wanted) > 1 and self._nodes:
            raise _OtherOrderError
        if not self._way_parts:
            self._outlines = np.unique(
                np.array([w for a in self._relations.values() if a for w in a.outlines], np.int64)
            )
        status, ids, kind, name, visible, sizes, refs, set_start, sets = _pbf_ways.ways(
            block.b, begin, end, block.key, self._way_kinds, self._name_key, self._outlines,
            self._history,
        )  # fmt: skip
        block.judge(status)
        pairs = sets.tolist()
        starts = set_start.tolist()
        number = np.array(
            [
                self._sets.number({self._keys[k]: block.text(v) for k, v in pairs[a:b]})
                for a, b in pairwise(starts)
            ],
            np.int32,
        )
        called, back = np.unique(name, return_inverse=True)
        rows = [self._names.number(block.text(v)) if v >= 0 else 0 for v in called.tolist()]
        self._way_parts.append(
            (ids, number[kind], np.array(rows, np.int32)[back], visible, sizes, refs)
        )

    def _gather_ways(self) -> tuple[Any, ...]:
        """Put the parts in the order of the file, and leave out what doesn't count."""
        parts = [np.concatenate(column) for column in zip(*reversed(self._way_parts), strict=True)]
        ids, tags, name, visible, sizes, refs = parts
        rows, twice = last_of_each(ids, visible)
        if self._history:  # the last version may be no street any more
            street = [not self._rules.way_kinds.isdisjoint(found) for found in self._sets.sets]
            rows = rows[np.array(street, bool)[tags[rows]] | np.isin(ids[rows], self._outlines)]
        self._counts["ways_twice"] = 0 if self._history else twice
        self._counts["ids_negative"] += int((ids < 0).sum())
        start = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        if rows.size < ids.size:
            keep = np.zeros(ids.size, bool)
            keep[rows] = True
            refs = refs[np.repeat(keep, sizes)]
            ids, tags, name, sizes = ids[rows], tags[rows], name[rows], sizes[rows]
            start = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        return ids, start, refs, tags, name

    def _begin_nodes(self) -> tuple[Any, Any, Any, Any]:
        if self._way_parts:
            self._ways = self._gather_ways()
            wanted = np.sort(self._ways[2])
            wanted = wanted[np.append(True, wanted[1:] != wanted[:-1])] if wanted.size else wanted
        else:
            wanted = np.empty(0, np.int64)
        x = np.full(wanted.size, _pbf_nodes.NO_POSITION, np.int32)
        return wanted, x, x.copy(), np.full(wanted.size, -1, np.int32)

    def _take_nodes(self, block: _Block, begin: int, end: int, kind: int) -> None:
        kept: Any = self._nodes or self._begin_nodes()
        self._nodes = kept
        decode: Any
        if kind == DENSE:
            status, rows = kernels.fields(block.b, begin, end)
            block.judge(status)
            spans = [
                (a, b) for number, wire, _, a, b in rows.tolist() if (number, wire) == (DENSE, 2)
            ]
            decode = _pbf_nodes.dense
        else:
            spans, decode = [(begin, end)], _pbf_nodes.plain
        for span in spans:
            status, *nodes = decode(block.b, *span, block.key)
            block.judge(status)
            keeping = (self._node_kinds, block.scale, block.number, *kept)
            twice, negative, tagged = _pbf_nodes.keep(*nodes, *keeping)
            self._counts["nodes"] += nodes[0].size
            self._counts["nodes_twice"] += 0 if self._history else twice
            self._counts["ids_negative"] += negative
            pairs = nodes[-1].tolist()
            for at, a, b in tagged.tolist():
                known = self._node_tags.get(at)
                if known is None or known[0] <= block.number:
                    tags = {
                        self._keys[k]: block.text(v)
                        for _, k, v in pairs[a:b]
                        if k != self._name_key
                    }
                    self._node_tags[at] = (block.number, tags)

    def elements(self) -> Elements:
        """Give what was read."""
        node_ids, x, y, _ = self._nodes or self._begin_nodes()
        none = np.empty(0, np.int64)
        ids, start, refs, tags, name = self._ways or (
            none, np.zeros(1, np.int64), none, none.astype(np.int32), none.astype(np.int32),
        )  # fmt: skip
        kinds = {key for key, kind in zip(self._keys, self._node_kinds, strict=True) if kind}
        return Elements(
            node_ids=node_ids, x=x, y=y,
            node_tags={
                row: found for row, (_, found) in sorted(self._node_tags.items())
                if not kinds.isdisjoint(found)
            },
            way_ids=ids, way_start=start, refs=refs, way_tags=tags, tag_sets=self._sets.sets,
            way_name=name, names=self._names.listed(),
            areas=[a for _, a in sorted(self._relations.items()) if a],
            counts=self._counts | {"history": int(self._history)},
        )  # fmt: skip


@dataclass(frozen=True)
class _Block:
    """A decoded block: its bytes, its strings and its scale."""

    data: bytes
    b: npt.NDArray[np.uint8]
    text_at: npt.NDArray[np.int64]
    key: npt.NDArray[np.int16]
    scale: npt.NDArray[np.int64]
    number: int
    where: str
    texts: dict[int, str] = field(default_factory=dict)

    def text(self, row: int) -> str:
        known = self.texts.get(row)
        if known is None:
            begin, end = self.text_at[row].tolist()
            known = self.texts[row] = self.data[begin:end].decode("utf-8", "replace")
        return known

    def judge(self, status: int) -> None:
        if status != kernels.WHOLE:
            raise DamagedError(f"{self.where} is damaged")


def _area(block: _Block, begin: int, end: int, kinds: set[int], names: list[str]) -> Area:
    """Read a relation; it has outlines only if it is an area that may be walked, and exists."""
    status, rows = kernels.fields(block.b, begin, end)
    block.judge(status)
    fields = rows.tolist()
    osm_id = next((value for number, wire, value, *_ in fields if (number, wire) == (1, 0)), 0)
    parts = {number: (start, stop) for number, wire, _, start, stop in fields if wire == 2}
    keys, values, members, types = (
        _numbers(block, *parts.get(field, (0, 0))) for field in (2, 3, 9, 10)
    )
    inside = all(value < len(block.key) for value in (*keys, *values))
    if len(keys) != len(values) or len(members) != len(types) or not inside:
        block.judge(kernels.DAMAGED)
    tags = {
        names[block.key[k]]: block.text(v)
        for k, v in zip(keys, values, strict=True)
        if block.key[k] >= 0 and names[block.key[k]] != "name"
    }
    status, info = kernels.fields(block.b, *parts.get(4, (0, 0)))
    block.judge(status)
    shown = all(value for number, _, value, *_ in info.tolist() if number == 6)
    multipolygon = ("type", "multipolygon") in {
        (block.text(k), block.text(v)) for k, v in zip(keys, values, strict=True)
    }
    if kinds.isdisjoint(keys) or not shown or not multipolygon:
        return Area(osm_id, tags, ())
    refs = np.cumsum([(delta >> 1) ^ -(delta & 1) for delta in members]).tolist()
    a_way = 1
    return Area(
        osm_id, tags, tuple(r for r, kind in zip(refs, types, strict=True) if kind == a_way)
    )


def _numbers(block: _Block, at: int, end: int) -> array[int]:
    """Unpack a row of numbers."""
    found = array("Q")
    value, shift = 0, 0
    for byte in block.data[at:end]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value & 0xFFFFFFFFFFFFFFFF)
            value, shift = 0, 0
        elif shift > 63:
            block.judge(kernels.DAMAGED)
    return found
