"""The walkable street segments of one extract, before any profile has looked at them.

Segments are straight pieces between two neighbouring OSM nodes. They are kept in canonical order
(by OSM node id), so the network does not depend on the order of ways in the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
MaskArray = npt.NDArray[np.uint8]
TextArray = npt.NDArray[np.str_]

WGS84_AXIS_M = 6378137.0
WGS84_E2 = 0.0066943799901413165


@dataclass(frozen=True, eq=False)
class Segments:
    """What an extract says of streets, for every profile.

    Parameters
    ----------
    osm_ids : ndarray of int64, shape (n,)
        OSM node ids, ascending; a node's row is its number here.
    lon, lat : ndarray of float64, shape (n,)
        WGS84 degrees.
    tail, head : ndarray of int32, shape (s,)
        Nodes of each segment, ``tail < head``.
    forward, backward : ndarray of uint8, shape (s,)
        Masks of the access classes that may walk from tail to head, and back.
    barriers : ndarray of int32, shape (b,)
        Nodes that carry a barrier not open to everybody, ascending.
    barrier_masks : ndarray of uint8, shape (b,)
        Masks of the access classes that may pass them.
    names : ndarray of str, shape (k,)
        Names of streets, in order; the first is "", of a street without one.
    name : ndarray of int32, shape (s,)
        The row of `names` of each segment.
    way_ids : ndarray of int64, shape (s,)
        The OSM way of each segment; of several the smallest id.
    kinds : ndarray of str, shape (m,)
        What ways are (``footway``, ``platform``), in order; the first is "".
    kind : ndarray of int16, shape (s,)
        The row of `kinds` of that way.
    barrier_kinds : ndarray of str, shape (b,)
        The tags that shut each barrier, as ``barrier=gate access=private``.
    stretch : ndarray of float64, shape (s,) or (0,)
        By how much each segment is longer than its line on the ground, where a street graph of
        somebody else's said so; empty where nobody did.
    """

    osm_ids: LongArray
    lon: FloatArray
    lat: FloatArray
    tail: IntArray
    head: IntArray
    forward: MaskArray
    backward: MaskArray
    barriers: IntArray
    barrier_masks: MaskArray
    names: TextArray
    name: IntArray
    way_ids: LongArray
    kinds: TextArray
    kind: npt.NDArray[np.int16]
    barrier_kinds: TextArray
    stretch: FloatArray


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways as an extract has them: runs of nodes, each with who may walk it.

    Parameters
    ----------
    ids : ndarray of int64, shape (w,)
        OSM ids.
    start : ndarray of int64, shape (w + 1,)
        Where each way's nodes begin in `rows`.
    rows : ndarray of int64, shape (r,)
        Rows of the nodes; -1 is a node that the extract lacks: the way is broken there.
    forward, backward : ndarray of uint8, shape (w,)
        Masks of the access classes that may walk it as drawn, and against.
    name, kind : ndarray of int64, shape (w,)
        Rows of `names` and `kinds`.
    names, kinds : sequence of str
        Texts, each once, in any order; "" among them.
    """

    ids: LongArray
    start: LongArray
    rows: LongArray
    forward: MaskArray
    backward: MaskArray
    name: LongArray
    kind: LongArray
    names: Sequence[str] = ("",)
    kinds: Sequence[str] = ("",)


@dataclass(frozen=True, eq=False)
class Barriers:
    """Nodes that stop somebody: rows (-1: not in the extract), masks, and what they are."""

    rows: LongArray
    masks: MaskArray
    kinds: Sequence[str]


def cut(
    osm_ids: LongArray, lon: FloatArray, lat: FloatArray, ways: Ways, barriers: Barriers
) -> Segments:
    """Cut ways into segments, join those that several ways share, drop nodes of none.

    Of several ways that share a segment the smallest id counts, and the first name in alphabetical
    order before none; each way's walkers may walk it.

    Parameters
    ----------
    osm_ids, lon, lat : ndarray, shape (n,)
        Nodes, by ascending id.
    """
    walked = (ways.forward | ways.backward) > 0
    names, name = _sorted_texts(ways.names, ways.name, walked)
    kinds, kind = _sorted_texts(ways.kinds, ways.kind, walked)
    tail, head, up, down, street, sort, way, used = _cut(
        ways.start, ways.rows.astype(np.int64), ways.forward, ways.backward, ways.ids,
        name.astype(np.int32), kind.astype(np.int16), osm_ids.size,
    )  # fmt: skip
    number = np.cumsum(used) - 1
    on_street = barriers.rows >= 0
    on_street[on_street] = used[barriers.rows[on_street]]
    row = number[barriers.rows[on_street]]
    order = np.argsort(row, kind="stable")
    texts = np.array([*barriers.kinds, ""], np.str_)[:-1]
    return Segments(
        osm_ids=osm_ids[used], lon=lon[used], lat=lat[used],
        tail=number[tail].astype(np.int32), head=number[head].astype(np.int32),
        forward=up, backward=down,
        barriers=row[order].astype(np.int32), barrier_masks=barriers.masks[on_street][order],
        names=names, name=street, way_ids=way, kinds=kinds, kind=sort,
        barrier_kinds=texts[on_street][order], stretch=np.empty(0),
    )  # fmt: skip


def _sorted_texts(
    texts: Sequence[str], row: LongArray, walked: npt.NDArray[np.bool_]
) -> tuple[TextArray, LongArray]:
    """Put texts in order, drop those of no walked way; "" stays first."""
    none = texts.index("")
    row = np.where(walked, row, none)
    used = np.unique(np.append(row, none))
    order = sorted(used.tolist(), key=lambda at: texts[at])
    number = np.zeros(len(texts), np.int64)
    number[order] = np.arange(len(order))
    return np.array([texts[at] for at in order], np.str_), number[row]


@numba.njit(cache=True, nogil=True)
def _cut(
    start: LongArray, rows: LongArray, forward: MaskArray, backward: MaskArray, ids: LongArray,
    name: IntArray, kind: Any, count: int,
) -> Any:  # fmt: skip
    """Bucket the pieces of ways by their lower node, sort each bucket, and join equal ones."""
    first = np.zeros(count + 1, np.int64)
    used = np.zeros(count, np.bool_)
    for way in range(ids.size):
        if forward[way] | backward[way] == 0:
            continue
        for at in range(start[way] + 1, start[way + 1]):
            a, b = rows[at - 1], rows[at]
            if a >= 0 and b >= 0 and a != b:
                first[min(a, b) + 1] += 1
                used[a] = used[b] = True
    for node in range(count):
        first[node + 1] += first[node]
    total = first[count]
    head, of_way = np.empty(total, np.int32), np.empty(total, np.int32)
    turned = np.empty(total, np.bool_)
    free = first.copy()
    for way in range(ids.size):
        if forward[way] | backward[way] == 0:
            continue
        for at in range(start[way] + 1, start[way + 1]):
            a, b = rows[at - 1], rows[at]
            if a < 0 or b < 0 or a == b:
                continue
            low, high = min(a, b), max(a, b)
            slot = free[low]
            free[low] += 1
            while slot > first[low] and head[slot - 1] > high:
                head[slot], of_way[slot] = head[slot - 1], of_way[slot - 1]
                turned[slot] = turned[slot - 1]
                slot -= 1
            head[slot], of_way[slot], turned[slot] = high, way, a > b
    tail, heads = np.empty(total, np.int32), np.empty(total, np.int32)
    up, down = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    street, sort = np.zeros(total, np.int32), np.zeros(total, np.int16)
    way_of = np.empty(total, np.int64)
    last = -1
    for node in range(count):
        for slot in range(first[node], first[node + 1]):
            way = of_way[slot]
            if slot == first[node] or head[slot - 1] != head[slot]:
                last += 1
                tail[last], heads[last], way_of[last] = node, head[slot], ids[way]
                sort[last] = kind[way]
            elif ids[way] < way_of[last]:
                way_of[last], sort[last] = ids[way], kind[way]
            up[last] |= backward[way] if turned[slot] else forward[way]
            down[last] |= forward[way] if turned[slot] else backward[way]
            if name[way] > 0 and (street[last] == 0 or name[way] < street[last]):
                street[last] = name[way]
    last += 1
    return (
        tail[:last], heads[:last], up[:last], down[:last], street[:last], sort[:last],
        way_of[:last], used,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def rows_of(ids: LongArray, known: LongArray) -> LongArray:
    """Give the row of each id among known ones (ascending, each once), or -1; by a hash table."""
    size = 16
    while size < 2 * known.size:
        size *= 2
    table = np.full(size, -1, np.int32)
    spread = np.int64(-7046029254386353131)  # 2**64 over the golden ratio: Fibonacci hashing
    for row in range(known.size):
        slot = ((known[row] * spread) >> 20) & (size - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        table[slot] = row
    found = np.empty(ids.size, np.int64)
    for at in range(ids.size):
        slot = ((ids[at] * spread) >> 20) & (size - 1)
        while table[slot] >= 0 and known[table[slot]] != ids[at]:
            slot = (slot + 1) & (size - 1)
        found[at] = table[slot]
    return found


def join(
    refs: LongArray,
    lon: FloatArray,
    lat: FloatArray,
    way: LongArray,
    forward: MaskArray,
    backward: MaskArray,
    *,
    barrier_ids: LongArray,
    barrier_masks: MaskArray,
    name: IntArray | None = None,
    names: Sequence[str] = ("",),
) -> Segments:
    """Make segments of ways whose every node brings its own position; see `cut`.

    Parameters
    ----------
    refs, lon, lat : ndarray, shape (r,)
        The nodes of all ways in a row: OSM id and position. A position of NaN is a node that the
        extract lacks.
    way : ndarray of int64, shape (r,)
        Which way each node stands in, ascending.
    forward, backward : ndarray of uint8, shape (r,)
        The masks of that way.
    barrier_ids, barrier_masks : ndarray
        OSM ids of the barriers and their masks.
    name : ndarray of int32, shape (r,), optional
        The row of `names` of that way's name.
    names : sequence of str
        Names of ways, each once, in any order; "" among them.
    """
    known = np.isfinite(lon) & np.isfinite(lat)
    osm_ids, first = np.unique(refs[known], return_index=True)
    ids, begin = np.unique(way, return_index=True)
    rows = np.where(known, rows_of(refs, osm_ids), -1)
    called = np.full(ids.size, list(names).index("")) if name is None else name[begin]
    ways = Ways(
        ids, np.append(begin, refs.size), rows, forward[begin], backward[begin],
        called.astype(np.int64), np.zeros(ids.size, np.int64), list(names),
    )  # fmt: skip
    barriers = Barriers(rows_of(barrier_ids, osm_ids), barrier_masks, [""] * barrier_ids.size)
    return cut(osm_ids, lon[known][first], lat[known][first], ways, barriers)


def ground_length_m(
    lon_a: FloatArray, lat_a: FloatArray, lon_b: FloatArray, lat_b: FloatArray
) -> FloatArray:
    """Give the length on the ground of short segments, in metres.

    Mid-latitude formula on the WGS84 ellipsoid: the difference of longitudes times the radius of
    the parallel, and of latitudes times the radius of the meridian, both at the middle latitude.
    Agrees with the geodesic to 1e-6 for segments below 5 km and latitudes below 70 degrees, where
    a plane of a 3-degree zone is off by up to 2e-4 and a sphere by up to 5e-3.

    Examples
    --------
    >>> a, b = np.array([113.85]), np.array([34.03])
    >>> ground_length_m(a, b, a + 0.001, b).round(2)
    array([92.35])
    """
    return np.asarray(
        _ground_length_m(*(np.asarray(v, np.float64) for v in (lon_a, lat_a, lon_b, lat_b)))
    )


@numba.njit(cache=True, nogil=True)
def _ground_length_m(
    lon_a: FloatArray, lat_a: FloatArray, lon_b: FloatArray, lat_b: FloatArray
) -> FloatArray:
    length_m = np.empty(lon_a.size)
    to_radians = math.pi / 180.0
    for i in range(lon_a.size):
        sine = math.sin((lat_a[i] + lat_b[i]) / 2.0 * to_radians)
        curve = 1.0 - WGS84_E2 * sine * sine
        root = math.sqrt(curve)
        east = (lon_b[i] - lon_a[i]) * to_radians * math.sqrt(1.0 - sine * sine)
        north = (lat_b[i] - lat_a[i]) * to_radians * (1.0 - WGS84_E2) / (curve * root)
        length_m[i] = WGS84_AXIS_M * math.hypot(east / root, north)
    return length_m


def names() -> tuple[str, ...]:
    """Give the names of the columns of `Segments`."""
    return tuple(Segments.__dataclass_fields__)


def arrays(segments: Segments) -> dict[str, npt.NDArray[Any]]:
    """Give the arrays by name, for the file."""
    return {name: getattr(segments, name) for name in names()}


def completed(columns: Mapping[str, npt.NDArray[Any]]) -> Segments:
    """Make segments of what an earlier version kept: names, ways and kinds may be unknown."""
    count, barriers = columns["tail"].size, columns["barriers"].size
    unknown = {
        "names": np.array([""]), "name": np.zeros(count, np.int32),
        "way_ids": np.zeros(count, np.int64),
        "kinds": np.array([""]), "kind": np.zeros(count, np.int16),
        "barrier_kinds": np.full(barriers, "", np.str_), "stretch": np.empty(0),
    }  # fmt: skip
    return Segments(**{**unknown, **columns})
