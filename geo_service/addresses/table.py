"""The address table as numbers: names, house numbers, buildings by row, and rows by any of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo_service import crs
from geo_service.addresses import reading
from geo_service.addresses.names import ABOVE, AREAS, PLACES, Names
from geo_service.errors import InputError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

NONE = -1
_METRES_PER_DEGREE = 111_320.0
_LINK_M = 400.0  # stretches of one road lie nearer than this; namesakes in two towns do not

# An address without columns: division by division, each optional.
_CHINESE = re.compile(
    r"(?:[\u4e00-\u9fff]{2,3}(?:省|自治区))?(?:[\u4e00-\u9fff]{2,4}?市)?"
    r"(?P<county>[\u4e00-\u9fff]{1,4}?(?:区(?!域)|县|市))?"
    r"(?P<township>[\u4e00-\u9fff]{1,5}?(?:街道|镇|乡))?"
    r"(?P<community>[\u4e00-\u9fff]{1,8}?(?:社区|村))?"
    r"(?P<road>[\u4e00-\u9fff\d]{1,8}?(?:路|大道|大街|街|巷|胡同|弄|道)"
    r"(?:[\d一二三四五六七八九十东西南北中]+段)?(?:\d+巷)?(?:\d+弄)?)?"
    r"(?P<number>\d+(?:-\d+)?[a-z]?(?=号(?!楼)))?(?:号(?!楼))?"
    r"(?P<compound>[^\d\sa-z]{2,12})?(?P<building>(?:\d+|[a-z]\d*)号楼)?(?P<unit>\d+单元)?.*"
)
_LATIN = re.compile(
    r"(?P<road>[^\d,]{3,}?)\s+(?P<number>\d+(?:-\d+)?\s?[a-z]?)(?=\s|$)(?:\s+(?P<community>.+))?"
)
_HEAD = re.compile(r"([\u4e00-\u9fff]+?(?:省|自治区))?([\u4e00-\u9fff]+?市)?$")
_UNIT = re.compile(r"\d+单元")
_PARTS = ("county", "township", "community", "road", "number", "compound", "building", "unit")


class Rows:
    """Row numbers by a whole-number key."""

    def __init__(self, keys: IntArray) -> None:
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def __getitem__(self, key: int) -> IntArray:
        first, last = np.searchsorted(self._keys, [key, key + 1])
        rows: IntArray = self._order[first:last]
        return rows


class Table:
    """An address table, indexed.

    Parameters
    ----------
    frame : DataFrame
        ``address``, ``lon``, ``lat``, and what there is of county, township, community, road,
        number, compound, building, unit, code.

    Raises
    ------
    InputError
        ``field_missing`` or ``value_invalid``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        _check(frame)
        self.addresses = frame["address"].astype("string").fillna("").to_numpy(dtype=object)
        self.lon = frame["lon"].to_numpy(float)
        self.lat = frame["lat"].to_numpy(float)
        self.codes = frame["code"].to_numpy(dtype=object) if "code" in frame else None
        self._by_text = Rows(_hashes(self.addresses))
        self.x, self.y = _flat(self.lon, self.lat)

        columns = _columns(frame, self.addresses)
        self.ids: dict[str, IntArray] = {}
        known: dict[str, list[str]] = {}
        for kind in (*AREAS, *PLACES):
            self.ids[kind], known[kind] = columns[kind]
        self.ids["number"], self.numbers = columns["number"]
        self.ids["building"], buildings = columns["building"]
        self.ids["unit"], units = columns["unit"]
        self.house = np.array([_leading(n) for n in [*self.numbers, ""]], np.int64)[
            self.ids["number"]
        ]
        known[ABOVE] = _above(self.addresses, known["county"])
        self.names = Names(known)
        self.number_of = {text: k for k, text in enumerate(self.numbers)}
        self.building_of = {text: k for k, text in enumerate(buildings)}
        self.unit_of = {text: k for k, text in enumerate(units)}
        self.by = {kind: Rows(self.ids[kind]) for kind in (*PLACES, "community", "number")}
        self.stretch = {
            kind: _stretches(self.ids[kind], self.ids["township"], self.x, self.y)
            for kind in PLACES
        }

    def __len__(self) -> int:
        return self.lon.size

    def written(self, text: str) -> IntArray:
        """Rows whose whole address is this text, but for widths and spaces."""
        wanted = reading.unspaced(text)
        rows = self._by_text[_key(wanted)]
        same = [reading.unspaced(str(self.addresses[row])) == wanted for row in rows]
        return rows[np.array(same, bool)]

    def numbers_on(self, road: str, begun: str) -> list[str]:
        """House numbers on the roads of a name that begin with some text, in order."""
        owners = [k for k, name in enumerate(self.names.all("road")) if name == road]
        rows = np.concatenate([self.by["road"][k] for k in owners] or [np.empty(0, np.int64)])
        held = {self.numbers[k] for k in self.ids["number"][rows] if k >= 0}
        return sorted((n for n in held if n.startswith(begun)), key=lambda n: (_leading(n), n))

    def names_with(self, text: str) -> list[str]:
        """Names that begin with a text, most rows first; then those that hold it elsewhere."""
        found = [
            (not name.startswith(text), -int(self.by[kind][number].size), name)
            for kind in self.by
            if kind != "number"
            for number, name in enumerate(self.names.all(kind))
            if text in name
        ]
        return list(dict.fromkeys(name for *_, name in sorted(found)))


def _check(frame: pd.DataFrame) -> None:
    for field in ("address", "lon", "lat"):
        if field not in frame.columns:
            found = ", ".join(map(str, frame.columns))
            raise InputError("field_missing", file="addresses", field=field, found=found)
    for field, most in (("lon", 180.0), ("lat", 90.0)):
        values = pd.to_numeric(frame[field], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~(np.abs(values) <= most))
        if wrong.size:
            row = int(wrong[0])
            value, reason = frame[field].iloc[row], f"-{most:g} … {most:g}"
            raise InputError(
                "value_invalid", file="addresses", row=row + 1, field=field, value=value,
                reason=reason,
            )  # fmt: skip
    crs.check_lonlat(frame["lon"].to_numpy(float), frame["lat"].to_numpy(float))


def _each(spelling: Callable[[str], str], texts: npt.NDArray[np.object_]) -> list[str]:
    """Spell many texts in one pass over all of them joined by line ends: ten times as fast."""
    if texts.size == 0:
        return []
    joined = "\n".join(str(t).replace("\n", " ").replace("\r", " ") for t in texts)
    return [line.strip(" ") for line in spelling(joined).split("\n")]


def _hashes(texts: npt.NDArray[np.object_]) -> IntArray:
    return np.array([_key(text) for text in _each(reading.unspaced, texts)], np.int64)


def _key(text: str) -> int:
    return min(hash(text), 2**63 - 2)  # one below the top, so that key + 1 never overflows


def _columns(
    frame: pd.DataFrame, addresses: npt.NDArray[np.object_]
) -> dict[str, tuple[IntArray, list[str]]]:
    """The parts of every row, numbered; from the text where no column has them."""
    given = {part: _values(frame[part]) for part in _PARTS if part in frame.columns}
    if "road" not in given and "compound" not in given:
        rows = [_parsed(text) for text in _each(reading.canonical, addresses)]
        parsed = pd.DataFrame(rows, columns=list(_PARTS))
        given = {**{part: _values(parsed[part]) for part in _PARTS}, **given}
    elif "building" in given and "unit" not in given:
        values, texts = given["building"]
        given["unit"] = values, [(_UNIT.search(t) or [""])[0] for t in texts]
        given["building"] = values, [_UNIT.sub("", t) for t in texts]
    for part, tail in (("number", "号"), ("building", "号楼"), ("unit", "单元")):
        if part in given:
            values, texts = given[part]
            given[part] = values, [t.removesuffix(tail).replace(" ", "") for t in texts]
    nothing = np.full(len(frame), NONE), [""]
    return {part: _numbered(*given.get(part, nothing)) for part in _PARTS}


def _values(column: pd.Series[Any]) -> tuple[IntArray, list[str]]:
    """A column as numbers of its values, and the values in canonical spelling."""
    values, texts = pd.factorize(column.astype("string"))
    return np.asarray(values, np.int64), _each(reading.canonical, np.asarray(texts, object))


def _parsed(text: str) -> tuple[str, ...]:
    form = _CHINESE if re.search("[\u4e00-\u9fff]", text) else _LATIN
    found = form.match(text)
    said = found.groupdict() if found else {}
    return tuple(said.get(part) or "" for part in _PARTS)


def _numbered(values: IntArray, texts: list[str]) -> tuple[IntArray, list[str]]:
    """Renumber values in text order; the empty text, like a missing one, is -1."""
    known = sorted({text for text in texts if text})
    place = {text: k for k, text in enumerate(known)}
    renumbered = np.array([*(place.get(text, NONE) for text in texts), NONE], np.int64)
    return renumbered[values], known


def _leading(number: str) -> int:
    found = re.match(r"\d{1,9}", number)
    return int(found[0]) if found else NONE


def _above(addresses: npt.NDArray[np.object_], counties: list[str]) -> list[str]:
    """Province and city, as the table's own addresses begin before the county."""
    found: set[str] = set()
    for address in addresses[:: max(1, addresses.size // 500)]:
        text = reading.canonical(str(address))
        for county in counties:
            at = text.find(county)
            head = _HEAD.match(text[:at]) if at > 0 else None
            found.update(part for part in (head.groups() if head else ()) if part)
    return sorted(found)


def _flat(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Metres east and north of the table's middle; true to 1e-3 over a city."""
    if lon.size == 0:
        return lon, lat
    middle_lon, middle_lat = float(np.median(lon)), float(np.median(lat))
    across = _METRES_PER_DEGREE * np.cos(np.radians(middle_lat))
    return (lon - middle_lon) * across, (lat - middle_lat) * _METRES_PER_DEGREE


def _stretches(names: IntArray, townships: IntArray, x: FloatArray, y: FloatArray) -> IntArray:
    """Tell namesakes apart: number the connected stretches of every name.

    Rows of a name hang together within a township (place-name rules allow no namesakes there), and
    across townships by steps below `_LINK_M`: rows are put in cells of that size, and cells that
    touch and hold the name are one stretch.
    """
    stretch = np.full(names.size, NONE)
    held = np.flatnonzero(names >= 0)
    if not held.size:
        return stretch
    column, row = (np.floor(v[held] / _LINK_M).astype(np.int64) for v in (x, y))
    cells, of_row = np.unique(
        np.column_stack([names[held], column, row]), axis=0, return_inverse=True
    )
    of_row = of_row.ravel()
    cells -= cells.min(axis=0)
    wide, high = cells[:, 1].max() + 3, cells[:, 2].max() + 3
    keys = (cells[:, 0] * wide + cells[:, 1] + 1) * high + cells[:, 2] + 1
    links: list[tuple[IntArray, IntArray]] = []
    for step in (1, high - 1, high, high + 1):  # up; and right with down, level, up
        at = np.minimum(np.searchsorted(keys, keys + step), keys.size - 1)
        touching = np.flatnonzero(keys[at] == keys + step)
        links.append((touching, at[touching]))
    known = np.flatnonzero(townships[held] >= 0)
    in_township = names[held] * (townships.max() + 1) + townships[held]
    _, first, member = np.unique(in_township[known], return_index=True, return_inverse=True)
    links.append((of_row[known][first[member.ravel()]], of_row[known]))
    one, other = (np.concatenate([link[k] for link in links]) for k in (0, 1))
    graph = coo_array((np.ones(one.size), (one, other)), shape=(keys.size, keys.size))
    _, labels = connected_components(graph, directed=False)
    stretch[held] = labels[of_row]
    return stretch
