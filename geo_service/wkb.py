"""Polygons as a file holds them, in well-known binary: their rings, without a geometry made.

A check looks at every vertex of a layer and at hardly any of its geometries. So a column of
well-known binary (OGC 06-103r4, 8.2, and the EWKB of PostGIS) is copied into `Rings` in one pass,
and a geometry is made when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas as gpd
import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.rings import Rings

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
GeometryArray = npt.NDArray[np.object_]

_POLYGON, _MULTIPOLYGON = 3, 6
_HAS_Z, _HAS_M, _HAS_SRID = 0x80000000, 0x40000000, 0x20000000  # flags of EWKB
_MIN_RING = 4 + 4 * 16  # bytes: a count and the four vertices of a triangle


@dataclass(frozen=True)
class Drawn:
    """What one pass over a column of plain polygons finds.

    Parameters
    ----------
    rings : Rings
    boxes : ndarray of float, shape (rows, 4)
        Least x and y, greatest x and y of each row's shells.
    has_z : bool
        Whether any row has heights.
    """

    rings: Rings
    boxes: FloatArray
    has_z: bool


class Column:
    """A column of geometries in well-known binary, each made when it is first asked for.

    Reads as an array of geometries does: by row, by rows, and as a whole by `numpy.asarray`.

    Parameters
    ----------
    data : ndarray of uint8
        The binary of all rows, one after another.
    offsets : ndarray of int64, shape (rows + 1,)
        Row r is ``data[offsets[r]:offsets[r + 1]]``.
    changed : dict of geometry, optional
        By row: what stands in place of the binary.

    Examples
    --------
    >>> column = Column.of([shapely.box(0, 0, 1, 1).wkb, shapely.box(1, 0, 2, 1).wkb])
    >>> len(column), column[1].bounds, column.drawn.rings.count
    (2, (1.0, 0.0, 2.0, 1.0), 2)
    """

    def __init__(
        self, data: ByteArray, offsets: IntArray, changed: Mapping[int, Any] | None = None
    ) -> None:
        self.data, self.offsets, self.changed = data, offsets, dict(changed or {})
        self._made: GeometryArray = np.full(len(offsets) - 1, None, object)
        for row, geometry in self.changed.items():
            self._made[row] = geometry

    @classmethod
    def of(cls, texts: list[bytes]) -> Column:
        """Take a column from separate bytes."""
        data = np.frombuffer(b"".join(texts), np.uint8)
        return cls(data, np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64))

    @classmethod
    def of_arrow(cls, column: Any) -> Column | None:
        """Take an Arrow column (or chunked column) of binary, uncopied; ``None`` where rows lack.

        Parameters
        ----------
        column : pyarrow.Array or pyarrow.ChunkedArray
            ``binary``, ``large_binary`` or an extension type stored so.
        """
        import pyarrow as pa

        array = column
        if isinstance(column, pa.ChunkedArray):  # which would copy a single chunk too
            array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        array = array.storage if isinstance(array, pa.ExtensionArray) else array
        kind = {pa.binary(): np.int32, pa.large_binary(): np.int64}.get(array.type)
        if kind is None or array.null_count:
            return None
        _, marks, content = array.buffers()
        here = slice(array.offset, array.offset + len(array) + 1)
        offsets = np.frombuffer(marks, kind)[here].astype(np.int64)
        return cls(np.frombuffer(content or b"", np.uint8), offsets)

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, rows: Any) -> Any:
        asked = np.arange(len(self))[rows]
        unmade = np.atleast_1d(asked)
        unmade = np.unique(unmade[[made is None for made in self._made[unmade]]])
        if unmade.size:
            spans = zip(
                self.offsets[unmade].tolist(), self.offsets[unmade + 1].tolist(), strict=True
            )
            self._made[unmade] = shapely.from_wkb([self.data[a:b].tobytes() for a, b in spans])
        return self._made[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> GeometryArray:
        made: GeometryArray = self[:]
        return made.copy() if copy else made

    def __reduce__(self) -> tuple[Any, ...]:
        first, last = self.offsets[0], self.offsets[-1]
        return Column, (self.data[first:last], self.offsets - first, self.changed)

    def replaced(self, rows: IntArray, geometries: Sequence[Any]) -> Column:
        """The column with other geometries in some rows."""
        new = zip(rows.tolist(), geometries, strict=True)
        return Column(self.data, self.offsets, {**self.changed, **dict(new)})

    @cached_property
    def drawn(self) -> Drawn | None:
        """The rings of all rows; ``None`` unless each is a polygon of finite, closed rings.

        What is anything else is left to `shapely.from_wkb` to read, or to refuse.
        """
        if self.changed:
            return None
        size, rows = int(self.offsets[-1] - self.offsets[0]), len(self)
        rings = size // _MIN_RING + 1
        flat = np.empty(size // 8 + 2)
        start, row = np.empty(rings + 1, np.int64), np.empty(rings, np.int64)
        hole, boxes = np.empty(rings, np.bool_), np.empty((rows, 4))
        xy = flat[: len(flat) // 2 * 2].reshape(-1, 2)
        found, has_z = _read(
            self.data, self.offsets, flat.view(np.uint8), xy, start, row, hole, boxes
        )
        if found < 0:
            return None
        vertices = start[found]
        return Drawn(
            Rings(xy[:vertices], start[: found + 1], row[:found], hole[:found], rows), boxes, has_z
        )


@dataclass(frozen=True)
class Table:
    """A layer as its file holds it: its columns, and its geometries in well-known binary.

    Parameters
    ----------
    columns : geopandas.GeoDataFrame
        All columns; that of the geometry holds no geometry yet.
    geometries : Column
        By row.
    """

    columns: gpd.GeoDataFrame
    geometries: Column

    @property
    def bounds(self) -> FloatArray:
        """Least x and y, greatest x and y of all plain polygons (`Column.drawn`)."""
        drawn = self.geometries.drawn
        if drawn is None:
            return shapely.total_bounds(np.asarray(self.geometries))
        return np.append(drawn.boxes[:, :2].min(axis=0), drawn.boxes[:, 2:].max(axis=0))

    def frame(self) -> gpd.GeoDataFrame:
        """The layer with its geometries made."""
        made = gpd.GeoSeries(np.asarray(self.geometries), self.columns.index, crs=self.columns.crs)
        name = self.columns.geometry.name
        return self.columns.assign(**{name: made})


def table(columns: pd.DataFrame, geometries: Column, name: str, place: int, crs: Any) -> Table:
    """Give a table from its columns without that of the geometry, its name, place and system."""
    hollow = gpd.GeoSeries([None] * len(columns), index=columns.index, crs=crs)
    columns = columns.copy(deep=False)
    columns.insert(place, name, hollow)
    return Table(gpd.GeoDataFrame(columns, geometry=name), geometries)


@numba.njit(nogil=True, cache=True)
def _word(data: ByteArray, at: int, little: bool) -> Any:
    """The unsigned 32-bit number at a byte."""
    a, b, c, d = np.int64(data[at]), data[at + 1], data[at + 2], np.int64(data[at + 3])
    b, c = np.int64(b), np.int64(c)
    if little:
        return a | (b << 8) | (c << 16) | (d << 24)
    return d | (c << 8) | (b << 16) | (a << 24)


@numba.njit(nogil=True, cache=True)
def _header(data: ByteArray, at: int, end: int) -> Any:
    """Byte order, kind (-1: none we know), numbers a vertex, heights, count and what follows it."""
    if at + 9 > end or data[at] > 1:
        return False, -1, 2, False, 0, at
    little = data[at] == 1
    word = _word(data, at + 1, little)
    at += 5
    if word & _HAS_SRID:
        at += 4
        if at + 4 > end:
            return little, -1, 2, False, 0, at
    kind = word & 0x1FFFFFFF
    iso = kind // 1000  # 1: heights, 2: measures, 3: both
    z = (word & _HAS_Z) != 0 or iso == 1 or iso == 3
    m = (word & _HAS_M) != 0 or iso == 2 or iso == 3
    kind = kind % 1000 if iso <= 3 else -1
    return little, kind, 2 + z + m, z, _word(data, at, little), at + 4


@numba.njit(nogil=True, cache=True)
def _copy(
    data: ByteArray, at: int, little: bool, numbers: int, count: int, out: ByteArray, first: int
) -> None:
    """Copy x and y of a ring's vertices to byte `first` of the output."""
    if little and numbers == 2:
        there, here = out[first : first + 16 * count], data[at : at + 16 * count]
        for k in range(len(there)):
            there[k] = here[k]
        return
    for k in range(count):
        for number in range(2):
            source, target = at + 8 * (numbers * k + number), first + 16 * k + 8 * number
            for byte in range(8):
                out[target + byte] = data[source + (byte if little else 7 - byte)]


@numba.njit(nogil=True, cache=True)
def _bounded(ring: FloatArray, box: FloatArray, shell: bool) -> bool:
    """Whether a ring is finite and closed; widens the box by a shell."""
    odd = ring[0, 0] != ring[-1, 0] or ring[0, 1] != ring[-1, 1]
    x0, y0, x1, y1 = box[0], box[1], box[2], box[3]
    for k in range(len(ring)):
        x, y = ring[k, 0], ring[k, 1]
        odd |= (x - x) + (y - y) != 0.0  # infinite, or no number
        x0, y0 = x if x < x0 else x0, y if y < y0 else y0
        x1, y1 = x if x > x1 else x1, y if y > y1 else y1
    if shell:
        box[0], box[1], box[2], box[3] = x0, y0, x1, y1
    return not odd


@numba.njit(nogil=True, cache=True)
def _read(
    data: ByteArray,
    offsets: IntArray,
    out: ByteArray,
    xy: FloatArray,
    start: IntArray,
    row: IntArray,
    hole: BoolArray,
    boxes: FloatArray,
) -> Any:
    """Copy all rings to `xy`, of which `out` is the bytes; their number, or -1, and any heights."""
    rings, first, deep = 0, 0, False
    start[0] = 0
    for r in range(len(offsets) - 1):
        at, end = offsets[r], offsets[r + 1]
        box = boxes[r]
        box[0], box[1], box[2], box[3] = np.inf, np.inf, -np.inf, -np.inf
        little, kind, numbers, z, parts, at = _header(data, at, end)
        several = kind == _MULTIPOLYGON
        count = parts
        if not several:
            parts = 1
        if (kind != _POLYGON and not several) or parts == 0:
            return -1, deep
        for _ in range(parts):
            if several:
                little, kind, numbers, z, count, at = _header(data, at, end)
            if kind != _POLYGON or count == 0:
                return -1, deep
            deep = deep or z
            for k in range(count):
                if at + 4 > end:
                    return -1, deep
                size = _word(data, at, little)
                at += 4
                if size < 4 or at + 8 * numbers * size > end:
                    return -1, deep
                _copy(data, at, little, numbers, size, out, 16 * first)
                at += 8 * numbers * size
                if not _bounded(xy[first : first + size], box, k == 0):
                    return -1, deep
                first += size
                row[rings], hole[rings] = r, k > 0
                rings += 1
                start[rings] = first
        if at != end:
            return -1, deep
    return rings, deep
