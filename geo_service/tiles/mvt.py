"""Mapbox Vector Tiles 2.1, encoded by whole arrays.

One pass over the coordinates of all features of a tile: quantise, drop repeated points, mend what
whole numbers made touch itself, turn rings the way the format wants them, take differences, and
write every integer as a varint at once. Only the last step, a header per feature, is a loop.

Source: Mapbox Vector Tile Specification 2.1, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import crs

EXTENT = 4096
"""Units along a tile's side."""

BUFFER = 64
"""Units beyond the side that geometry is kept for, so that lines on the seam are drawn whole."""

_WORLD_M = 40075016.685578488  # circumference of the Web Mercator sphere
_POINT, _LINE, _POLYGON = 1, 2, 3
_PART_TYPE = {_POLYGON: 3, _LINE: 1, _POINT: 0}  # in shapely's numbering
_FEWEST_POINTS = {_POINT: 1, _LINE: 2, _POLYGON: 3}
_MOVE_TO_ONE, _LINE_TO, _CLOSE = 9, 2, 15

_MENDINGS = 4  # of one feature: rounding what was mended may fold it again

_ONE_BYTE = [bytes((value,)) for value in range(0x80)]

IntArray = npt.NDArray[np.int64]
Box = tuple[float, float, float, float]
Quantised = Callable[[npt.NDArray[np.float64]], IntArray]


@dataclass(frozen=True)
class TileLayer:
    """A named layer of a tile.

    Parameters
    ----------
    name : str
        As a map style refers to it.
    geometries : ndarray of shapely geometry
        Polygons, lines or points in Web Mercator metres, already cut to `clip_box`.
    attributes : Mapping of str to ndarray
        Columns beside the geometries: text or numbers; missing values are left out.
    """

    name: str
    geometries: npt.NDArray[np.object_]
    attributes: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


def tile_box(z: int, x: int, y: int) -> Box:
    """Give the Web Mercator square of a tile, metres: min x, min y, max x, max y.

    Examples
    --------
    >>> [round(v) for v in tile_box(1, 1, 0)]
    [0, 0, 20037508, 20037508]
    """
    side = _WORLD_M / 2**z
    west, north = x * side - _WORLD_M / 2, _WORLD_M / 2 - y * side
    return west, north - side, west + side, north


def tile_at(z: int, x_m: float, y_m: float) -> tuple[int, int]:
    """Give the column and row of the tile that holds a point in Web Mercator metres.

    Examples
    --------
    >>> tile_at(1, 5.0, 5.0)
    (1, 0)
    """
    side, last = _WORLD_M / 2**z, 2**z - 1
    column, row = int((x_m + _WORLD_M / 2) // side), int((_WORLD_M / 2 - y_m) // side)
    return min(max(column, 0), last), min(max(row, 0), last)


def clip_box(box: Box) -> Box:
    """Give a tile's square widened by the buffer."""
    margin = (box[2] - box[0]) * BUFFER / EXTENT
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def pixel_m(z: int) -> float:
    """Give the width of one screen pixel of a 512-pixel tile, Web Mercator metres."""
    return _WORLD_M / 2**z / 512


def to_mercator(geometries: npt.NDArray[np.object_], source: Any) -> npt.NDArray[np.object_]:
    """Bring geometries of a coordinate system to Web Mercator."""
    transformer = crs._transformer(crs.parse_crs(source).to_wkt(), "EPSG:3857")

    def project(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    return np.asarray(shapely.transform(geometries, project))


def encode(layers: list[TileLayer], box: Box) -> bytes:
    """Encode a tile.

    Parameters
    ----------
    layers : list of TileLayer
        Those without anything to draw are left out.
    box : tuple of float
        The tile's own square (`tile_box`).

    Returns
    -------
    bytes
        Empty where nothing is left to draw.
    """
    return b"".join(_message(3, body) for layer in layers if (body := _layer(layer, box)))


def _layer(layer: TileLayer, box: Box) -> bytes:
    parts, row = _parts(layer.geometries)
    kinds = shapely.get_type_id(parts)
    drawn = [
        _draw(parts[kinds == type_id], row[kinds == type_id], box, kind=kind)
        for kind, type_id in _PART_TYPE.items()
    ]
    rows = np.concatenate([part.rows for part in drawn])
    if rows.size == 0:
        return b""
    keys, values, tags = _attributes(layer.attributes, rows)
    shapes = [(part.kind, shape) for part in drawn for shape in part.shapes]
    written = [_message(1, layer.name.encode())]
    for tag, (kind, shape) in zip(tags, shapes, strict=True):
        # field 2: tags, field 3: type, field 4: geometry
        body = b"\x12" + _size(tag) + tag + bytes((0x18, kind)) + b"\x22" + _size(shape) + shape
        written += (b"\x12", _size(body), body)
    written += [_message(3, key) for key in keys]
    written += [_message(4, value) for value in values]
    written.append(b"\x28" + _varint(EXTENT) + b"\x78\x02")  # extent, version 2
    return b"".join(written)


@dataclass(frozen=True)
class _Drawn:
    """Encoded command streams of one kind, and the row of the layer each belongs to."""

    kind: int
    rows: IntArray
    shapes: list[bytes]


@dataclass(frozen=True)
class _Paths:
    """Rings or lines as one run of integer points: path k is `size[k]` of them from `start[k]`."""

    xy: IntArray
    start: IntArray
    size: IntArray
    row: IntArray
    is_hole: npt.NDArray[np.bool_]

    def only(self, keep: npt.NDArray[np.bool_]) -> _Paths:
        """The paths for which `keep` holds."""
        size = self.size[keep]
        xy = self.xy[np.repeat(keep, self.size)]
        return _Paths(xy, _starts(size), size, self.row[keep], self.is_hole[keep])


def _parts(
    geometries: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.intp]]:
    """The single geometries inside, and the row each came from."""
    parts, row = shapely.get_parts(geometries, return_index=True)
    if (shapely.get_type_id(parts) <= _PART_TYPE[_POLYGON]).all():
        return parts, row
    # Cutting a polygon can leave a collection of polygons and lines: take it apart once more.
    parts, inner = shapely.get_parts(parts, return_index=True)
    return parts, row[inner]


def _draw(
    parts: npt.NDArray[np.object_], row: npt.NDArray[np.intp], box: Box, *, kind: int
) -> _Drawn:
    if parts.size == 0:
        return _Drawn(kind, np.empty(0, np.int64), [])
    paths = _simple_paths(_paths(parts, row, _whole_units(box), kind=kind), kind=kind)
    if kind == _POLYGON and paths.size.size:
        paths = _mended(paths)
    if paths.size.size == 0:
        return _Drawn(kind, np.empty(0, np.int64), [])
    stream, first_of_path = _commands(paths, kind=kind)
    rows, first_path = np.unique(paths.row, return_index=True)
    data, offset = _varints(stream)
    at = offset[np.append(first_of_path[first_path], stream.size)].tolist()
    return _Drawn(kind, rows, [data[a:b] for a, b in pairwise(at)])


def _whole_units(box: Box) -> Quantised:
    scale = EXTENT / (box[2] - box[0])

    def quantised(xy: npt.NDArray[np.float64]) -> IntArray:
        points = np.empty(xy.shape, np.int64)
        points[:, 0] = np.rint((xy[:, 0] - box[0]) * scale)
        points[:, 1] = np.rint((box[3] - xy[:, 1]) * scale)
        return points

    return quantised


def _paths(
    parts: npt.NDArray[np.object_], row: npt.NDArray[np.intp], quantised: Quantised, *, kind: int
) -> _Paths:
    """The points, lines or rings in whole units; rings left open."""
    is_hole = np.zeros(len(parts), bool)
    if kind == _POLYGON:
        parts, owner = shapely.get_rings(parts, return_index=True)
        row = row[owner]
        is_hole = np.append(False, owner[1:] == owner[:-1])[: len(owner)]
    xy, path = shapely.get_coordinates(parts, return_index=True)
    points = quantised(xy)
    keep = np.ones(len(points), bool)
    same_path = path[1:] == path[:-1]
    keep[1:] = ~(same_path & (points[1:] == points[:-1]).all(axis=1))
    if kind == _POLYGON:
        keep &= ~_closing(points, path, keep)
    size = np.bincount(path[keep], minlength=len(parts)).astype(np.int64)
    return _Paths(points[keep], _starts(size), size, row.astype(np.int64), is_hole)


def _closing(
    points: IntArray, path: npt.NDArray[np.intp], keep: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Mark the last kept point of each ring where it repeats the first."""
    closing = np.zeros(len(points), bool)
    kept = np.flatnonzero(keep)
    if kept.size == 0:
        return closing
    owner = path[kept]
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    first = np.append(0, last[:-1] + 1)
    equal = (points[kept[last]] == points[kept[first]]).all(axis=1) & (last > first)
    closing[kept[last[equal]]] = True
    return closing


def _simple_paths(paths: _Paths, *, kind: int) -> _Paths:
    """Drop what shrank away; turn exteriors one way and holes the other."""
    paths = paths.only(paths.size >= _FEWEST_POINTS[kind])
    if kind != _POLYGON or paths.size.size == 0:
        return paths
    area2 = _doubled_areas(paths)
    keep = area2 != 0
    # A hole goes with its exterior: each path belongs to the last exterior before it.
    shell = np.maximum.accumulate(np.where(paths.is_hole, -1, np.arange(len(area2))))
    keep &= (shell >= 0) & keep[np.maximum(shell, 0)]
    paths, area2 = paths.only(keep), area2[keep]
    wrong = (area2 > 0) == paths.is_hole  # y grows downwards: an exterior's area is positive
    return _reversed(paths, wrong)


def _mended(paths: _Paths) -> _Paths:
    """Mend the features that whole numbers made touch or fold onto themselves.

    Where a neck or a bay is narrower than a unit, or a corner lies on the rim of the cut, a ring
    runs twice through a point or along a side. It is taken apart there. Whole numbers stay, and
    the area that is covered: borders are shared as before.
    """
    shapes, rows = _shapes(paths)
    bad = np.flatnonzero(~shapely.is_valid(shapes))
    if not bad.size:
        return paths
    mended = shapes[bad]
    for _ in range(_MENDINGS):
        broken = ~shapely.is_valid(mended)
        if not broken.any():
            break
        whole = shapely.make_valid(mended[broken], method="structure", keep_collapsed=False)
        mended[broken] = shapely.transform(whole, np.rint)
    parts, inner = _parts(mended)
    again = _paths(parts, rows[bad][inner], lambda xy: np.rint(xy).astype(np.int64), kind=_POLYGON)
    again = _simple_paths(again, kind=_POLYGON)
    return _together(paths.only(~np.isin(paths.row, rows[bad])), again)


def _shapes(paths: _Paths) -> tuple[npt.NDArray[np.object_], IntArray]:
    """Each feature as a multipolygon in tile units, and its row."""
    size = paths.size + 1  # rings closed
    begin = _starts(size)
    index = np.arange(int(size.sum())) - np.repeat(begin - paths.start, size)
    index[begin + paths.size] = paths.start
    shell = np.flatnonzero(~paths.is_hole)
    rows, first = np.unique(paths.row[shell], return_index=True)
    offsets = (
        np.append(begin, size.sum()),
        np.append(shell, paths.size.size),
        np.append(first, shell.size),
    )
    xy = paths.xy[index].astype(np.float64)
    made = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, xy, offsets)
    return np.asarray(made), rows


def _together(one: _Paths, other: _Paths) -> _Paths:
    """The paths of both, by row."""
    row = np.append(one.row, other.row)
    order = np.argsort(row, kind="stable")
    start = np.append(one.start, other.start + len(one.xy))[order]
    size = np.append(one.size, other.size)[order]
    index = np.arange(int(size.sum())) + np.repeat(start - _starts(size), size)
    xy = np.concatenate([one.xy, other.xy])[index]
    is_hole = np.append(one.is_hole, other.is_hole)[order]
    return _Paths(xy, _starts(size), size, row[order], is_hole)


def _doubled_areas(paths: _Paths) -> IntArray:
    following = np.arange(len(paths.xy)) + 1
    following[paths.start + paths.size - 1] = paths.start
    x, y = paths.xy[:, 0], paths.xy[:, 1]
    cross = x * y[following] - x[following] * y
    return np.asarray(np.add.reduceat(cross, paths.start))


def _reversed(paths: _Paths, which: npt.NDArray[np.bool_]) -> _Paths:
    index = np.arange(len(paths.xy))
    flip = np.repeat(which, paths.size)
    mirror = np.repeat(2 * paths.start + paths.size - 1, paths.size)
    index = np.where(flip, mirror - index, index)
    return _Paths(paths.xy[index], paths.start, paths.size, paths.row, paths.is_hole)


def _commands(paths: _Paths, *, kind: int) -> tuple[IntArray, IntArray]:
    """The command integers of all paths, and where each path's begin."""
    extra = {_POINT: 1, _LINE: 2, _POLYGON: 3}[kind]  # how many commands beside the points
    length = 2 * paths.size + extra
    begin = _starts(length)
    stream = np.empty(int(length.sum()), np.int64)
    stream[begin] = _MOVE_TO_ONE
    if kind != _POINT:
        stream[begin + 3] = ((paths.size - 1) << 3) | _LINE_TO
    if kind == _POLYGON:
        stream[begin + length - 1] = _CLOSE
    step = np.diff(paths.xy, axis=0, prepend=np.zeros((1, 2), np.int64))
    new_row = np.append(True, paths.row[1:] != paths.row[:-1])
    feature_start = paths.start[new_row]
    step[feature_start] = paths.xy[feature_start]  # the cursor starts at the origin
    place = np.arange(len(paths.xy)) - np.repeat(paths.start, paths.size)
    at = np.repeat(begin, paths.size) + 1 + 2 * place + (place > 0)
    stream[at] = _zigzag(step[:, 0])
    stream[at + 1] = _zigzag(step[:, 1])
    return stream, begin


def _attributes(
    columns: Mapping[str, npt.NDArray[Any]], rows: IntArray
) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Keys, distinct values, and the tags (key, value pairs) of each feature."""
    values: dict[bytes, int] = {}
    tags: list[list[int]] = [[] for _ in rows]
    for key, column in enumerate(columns.values()):
        for tag, item in zip(tags, column[rows].tolist(), strict=True):
            encoded = _value(item)
            if encoded:
                tag += (key, values.setdefault(encoded, len(values)))
    lengths = np.array([len(tag) for tag in tags], np.int64)
    data, offset = _varints(np.array([v for tag in tags for v in tag], np.int64))
    at = offset[np.append(_starts(lengths), lengths.sum())].tolist()
    packed = [data[a:b] for a, b in pairwise(at)]
    return [name.encode() for name in columns], list(values), packed


def _value(item: object) -> bytes:
    """A Value message; empty for a missing value."""
    if item is None or item != item or item == "":
        return b""
    if isinstance(item, bool):
        return b"\x38" + bytes((item,))
    if isinstance(item, int):
        return b"\x30" + _varint(2 * item if item >= 0 else -2 * item - 1)
    if isinstance(item, float):
        return b"\x19" + np.float64(item).tobytes()
    return _message(1, str(item).encode())


def _zigzag(values: IntArray) -> IntArray:
    return (values << 1) ^ (values >> 63)


def _varints(values: IntArray) -> tuple[bytes, IntArray]:
    """Encode non-negative integers below 2**35; give the bytes, and offsets with the end."""
    width = np.ones(values.size, np.int64)
    for bits in (7, 14, 21, 28):
        width += values >= (1 << bits)
    offset = np.append(0, np.cumsum(width))
    data = np.empty(int(offset[-1]), np.uint8)
    for k in range(int(width.max(initial=0))):
        has = np.flatnonzero(width > k)
        more = np.where(width[has] > k + 1, 0x80, 0)
        data[offset[has] + k] = ((values[has] >> (7 * k)) & 0x7F) | more
    return data.tobytes(), offset


def _starts(lengths: IntArray) -> IntArray:
    return np.append(0, np.cumsum(lengths)[:-1]).astype(np.int64)[: lengths.size]


def _varint(value: int) -> bytes:
    if value < len(_ONE_BYTE):
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _size(data: bytes) -> bytes:
    return _varint(len(data))


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data
