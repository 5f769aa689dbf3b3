"""Features as the store keeps them: a code, exact WKB, and canonical attributes.

Attributes are one JSON object per row with sorted keys, nulls left out and whole floats written as
integers, so the same feature has the same bytes whatever column order or dtype its file had. That
makes "unchanged" a comparison of bytes, and gives a layer a content hash that anyone can recompute:
see `content_hash`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import shapely

from geo_service import codes
from geo_service.errors import InputError, Phrase

RESERVED = frozenset({"fid", "geom", "valid_from", "valid_to"})
"""Names the store's own columns have; a file's column of that name is left out, and said."""

LONGEST_CODE = 200
"""Characters; far beyond any division or grid code, and what an index takes everywhere."""

_SHOWN = 40
_NUL = b"\\u0000"  # as JSON writes it
_MOST_EXACT = 2**53  # beyond it a float no longer tells neighbouring integers apart
_LARGEST_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Column:
    """An attribute column of a layer or table.

    Parameters
    ----------
    name : str
        As the file or the field list names it.
    type : str
        ``text``, ``integer``, ``real``, ``boolean``, ``json``, or a ``datetime64[..]`` dtype.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Rows:
    """Features of one layer, row by row.

    Parameters
    ----------
    codes : list of str
        "" where a feature has none.
    wkb : list of bytes
        Little-endian WKB, coordinates as they were given.
    attributes : list of bytes
        Canonical JSON objects.
    """

    codes: list[str]
    wkb: list[bytes]
    attributes: list[bytes]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, where: Iterable[int]) -> Rows:
        """The rows at positions."""
        at = list(where)
        return Rows(
            [self.codes[i] for i in at], [self.wkb[i] for i in at], [self.attributes[i] for i in at]
        )

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            self.codes + other.codes, self.wkb + other.wkb, self.attributes + other.attributes
        )

    def digests(self) -> list[bytes]:
        """SHA-256 of each row: code, NUL, attributes, NUL, WKB."""
        return [
            hashlib.sha256(b"\0".join((code.encode(), attributes, wkb))).digest()
            for code, attributes, wkb in zip(self.codes, self.attributes, self.wkb, strict=True)
        ]

    @cached_property
    def geometries(self) -> npt.NDArray[np.object_]:
        """The geometries; an array of shapely objects."""
        return np.asarray(shapely.from_wkb(np.array(self.wkb, dtype=object)), dtype=object)

    @cached_property
    def bounds(self) -> npt.NDArray[np.float64]:
        """Min x, min y, max x, max y of each row; shape (n, 4)."""
        return shapely.bounds(self.geometries).reshape(-1, 4)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Min x, min y, max x, max y of all rows."""
        x0, y0 = self.bounds[:, :2].min(axis=0)
        x1, y1 = self.bounds[:, 2:].max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def geometry_kind(self) -> str:
        """``POLYGON``, ``MULTIPOLYGON`` ..., or ``GEOMETRY`` where there are several."""
        kinds = np.unique(shapely.get_type_id(self.geometries))
        return self.geometries[0].geom_type.upper() if len(kinds) == 1 else "GEOMETRY"


def content_hash(digests: Iterable[bytes]) -> str:
    """SHA-256 over the sorted row digests: the same for any order of the features."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def from_frame(frame: gpd.GeoDataFrame, *, source: str) -> tuple[Rows, tuple[Column, ...]]:
    """Take a frame apart into rows and its attribute columns (``code`` and geometry apart).

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Any attribute columns; ``code`` is cleaned text.
    source : str
        The file's name, for refusals.

    Raises
    ------
    InputError
        ``code_is_a_float``, ``geometry_missing``, ``coordinate_not_finite``, ``layer_empty``.
    """
    if len(frame) == 0:
        raise InputError("layer_empty", file=source)
    geometries = np.asarray(frame.geometry.array, dtype=object)
    _check_geometries(geometries, source)
    names = [
        str(c) for c in frame.columns if c != frame.geometry.name and c not in RESERVED | {"code"}
    ]
    columns, attributes = attributes_of(frame[names], source=source)
    texts = _codes(frame["code"], source) if "code" in frame else [""] * len(frame)
    wkb = shapely.to_wkb(geometries, byte_order=1, flavor="iso")
    return Rows(texts, list(wkb), attributes), columns


def to_frame(rows: Rows, columns: Sequence[Column], crs: str) -> gpd.GeoDataFrame:
    """Put rows together again: ``code``, the attribute columns, the geometry."""
    table = table_of(rows.attributes, columns)
    table.insert(0, "code", pd.Series(rows.codes, index=table.index, dtype="str"))
    return gpd.GeoDataFrame(table, geometry=rows.geometries, crs=crs)


def attributes_of(table: pd.DataFrame, *, source: str) -> tuple[tuple[Column, ...], list[bytes]]:
    """Give a table's column types and its rows as canonical JSON objects.

    Raises
    ------
    InputError
        ``value_invalid`` for a text or a name that no database keeps.
    """
    columns, values = [], []
    for name in table.columns:
        kind, plain = _plain(table[name])
        columns.append(Column(str(name), kind))
        values.append(plain)
    keys = [column.name for column in columns]
    for key in keys:
        _refuse_unkeepable(key, key, source=source, row=0)
    by_row = zip(*values, strict=True) if values else iter([()] * len(table))
    named = (dict(zip(keys, row, strict=True)) for row in by_row)
    return tuple(columns), [_kept(row, source, number) for number, row in enumerate(named, 1)]


def _kept(row: dict[str, Any], source: str, number: int) -> bytes:
    try:
        text = canonical(row)
    except orjson.JSONEncodeError:
        text = _NUL
    if _NUL in text:  # or a backslash and these letters
        for key, value in row.items():
            _refuse_unkeepable(value, key, source=source, row=number)
    return text


def _refuse_unkeepable(value: Any, field: str, *, source: str, row: int) -> None:
    reason = _unkeepable(value)
    if reason:
        raise InputError(
            "value_invalid", file=source, row=row, field=shown(field), value=shown(str(value)),
            reason=reason,
        )  # fmt: skip


def canonical(row: dict[str, Any]) -> bytes:
    """One row's attributes as JSON: sorted keys, no nulls."""
    kept = {key: value for key, value in row.items() if value is not None}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def table_of(attributes: Sequence[bytes], columns: Sequence[Column]) -> pd.DataFrame:
    """Give rows of canonical JSON back as a table with the columns' types."""
    rows = [orjson.loads(row) for row in attributes]
    return columns_to_table(
        {column.name: [row.get(column.name) for row in rows] for column in columns},
        columns,
        len(rows),
    )


def columns_to_table(
    values: dict[str, list[Any]], columns: Sequence[Column], count: int
) -> pd.DataFrame:
    """Build a table from plain values by column."""
    series = {c.name: _typed(values[c.name], c.type) for c in columns}
    return pd.DataFrame(series, index=pd.RangeIndex(count))


def to_cell(value: Any, kind: str) -> Any:
    """Turn a value from canonical JSON into what a database column of the kind holds."""
    if value is None or kind in {"text", "integer"}:
        return value
    if kind == "real":
        return float(value)
    if kind == "boolean":
        return bool(value)
    return orjson.dumps(value).decode() if kind == "json" else value


def from_cell(value: Any, kind: str) -> Any:
    """Turn a database column's value back into canonical JSON's."""
    if value is None or kind in {"text", "integer"}:
        return value
    if kind == "real":
        return _whole(float(value))
    if kind == "boolean":
        return bool(value)
    return orjson.loads(value) if kind == "json" else value


def _check_geometries(geometries: npt.NDArray[np.object_], source: str) -> None:
    missing = shapely.is_missing(geometries) | shapely.is_empty(geometries)
    if missing.any():
        raise InputError("geometry_missing", file=source, row=int(missing.argmax()) + 1)
    flat, owner = shapely.get_coordinates(geometries, return_index=True)
    wrong = ~np.isfinite(flat).all(axis=1)
    if wrong.any():
        row = int(owner[int(wrong.argmax())]) + 1
        raise InputError("coordinate_not_finite", file=source, row=row)


def _codes(column: pd.Series[Any], source: str) -> list[str]:
    if isinstance(column.dtype, pd.StringDtype):
        return _keepable_codes(codes.texts(column.tolist()), source)
    values = column.tolist()
    for row, value in enumerate(values, start=1):
        if codes.damaged(value):
            raise InputError("code_is_a_float", file=source, row=row, value=value)
    return _keepable_codes(codes.texts(values), source)


def _keepable_codes(texts: list[str], source: str) -> list[str]:
    for row, text in enumerate(texts, start=1):
        reason = _unkeepable(text)
        if len(text) > LONGEST_CODE:
            reason = Phrase(f"超过 {LONGEST_CODE} 个字符", f"longer than {LONGEST_CODE} characters")
        if reason:
            raise InputError(
                "value_invalid",
                file=source,
                row=row,
                field="code",
                value=shown(text),
                reason=reason,
            )
    return texts


def shown(text: str) -> str:
    """A text as a refusal may show it: short, and without what can't be shown."""
    plain = text.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"


def _unkeepable(value: Any) -> Phrase | None:
    """Why no database keeps a text; nothing where every one does."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return next(filter(None, map(_unkeepable, value)), None)
    if not isinstance(value, str):
        return None
    if "\0" in value:
        return Phrase("含有空字符（NUL）", "it holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        return Phrase(
            "含有半个字符（孤立的代理码）", "it holds half of a character (a lone surrogate)"
        )
    return None


def _plain(column: pd.Series[Any]) -> tuple[str, list[Any]]:
    """Tell a column's type and give its values as JSON holds them."""
    null = column.isna().to_numpy()
    values = [None if n else v for v, n in zip(column.tolist(), null, strict=True)]
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        return "text", values
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean", values
    if pd.api.types.is_integer_dtype(dtype):
        return _integers(values)
    if pd.api.types.is_float_dtype(dtype):
        return "real", [_whole(float(v)) if v is not None else None for v in values]
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return str(dtype), [v.isoformat() if v is not None else None for v in values]
    return _plain_objects(values)


def _plain_objects(values: list[Any]) -> tuple[str, list[Any]]:
    kinds = {type(v) for v in values if v is not None}
    if kinds and kinds <= {bool, np.bool_}:
        return "boolean", [bool(v) if v is not None else None for v in values]
    if kinds and all(issubclass(k, int | np.integer) and k is not bool for k in kinds):
        return _integers([int(v) if v is not None else None for v in values])
    if kinds and all(issubclass(k, int | float | np.number) and k is not bool for k in kinds):
        return "real", [_whole(float(v)) if v is not None else None for v in values]
    if kinds and all(issubclass(k, dict | list | tuple | np.ndarray) for k in kinds):
        plain = [orjson.loads(orjson.dumps(v, option=_NUMPY)) for v in values]
        return "json", plain
    return "text", [_text(v) if v is not None else None for v in values]


_NUMPY = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def _integers(values: list[Any]) -> tuple[str, list[Any]]:
    if all(v is None or -_LARGEST_INTEGER <= v < _LARGEST_INTEGER for v in values):
        return "integer", values
    return "text", [str(v) if v is not None else None for v in values]


def _text(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _whole(value: float) -> int | float | None:
    """Write 12.0 as 12: a reader turns integers into floats as soon as one cell is empty."""
    if not np.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _MOST_EXACT else value


def _typed(values: list[Any], kind: str) -> pd.Series[Any]:
    if kind == "text":
        return pd.Series(values, dtype="str")
    if kind == "real":
        return pd.Series(values, dtype="float64")
    if kind in {"integer", "boolean"}:
        exact, nullable = ("int64", "Int64") if kind == "integer" else ("bool", "boolean")
        return pd.Series(values, dtype=nullable if None in values else exact)
    if kind.startswith("datetime64"):
        moments: pd.Series[Any] = pd.to_datetime(
            pd.Series(values, dtype="object"), format="ISO8601"
        )
        return moments.astype(pd.api.types.pandas_dtype(kind))
    return pd.Series(values, dtype="object")
