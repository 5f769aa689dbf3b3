"""Parts of a layer that places are gathered by: districts, by their codes or by a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from geo_service.coverage._arrays import IntArray
from geo_service.coverage._layer import Layer

_PREFIXES = (12, 9, 6)  # digits of a community's, township's and county's code
_TOGETHER = 0.4
"""How much likelier than by chance a grid's nearest is in its own part, 0 to 1.

Looked at: parts that lie together reach 0.57 (communities of six grids) to 0.99 (districts);
numbers and names that return all over a city (households, “grid 1”) -0.1 to 0.36.
"""


@dataclass(frozen=True)
class Unit:
    """What places are gathered by: each grid, or the part of the layer it belongs to.

    Parameters
    ----------
    field : str
        Column the parts stand in; empty for grids, for codes and for the layer as a whole.
    part : ndarray of int
        Number of the part each row belongs to.
    names : sequence of str
        What the parts are called, by number.
    """

    field: str
    part: IntArray
    names: Sequence[str]

    def of(self, row: int) -> str:
        """Name the part of a row."""
        return self.names[self.part[row]]


@dataclass(frozen=True)
class Parting:
    """What may part a layer: a column's values as they read, or the first digits of its codes.

    Parameters
    ----------
    field : str
        The column; empty for codes.
    values : Series or list of str
        By row.
    digits : int
        Of codes: how many of their digits name the part.
    """

    field: str
    values: pd.Series[Any] | list[str]
    digits: int = 0

    def of(self, rows: IntArray) -> list[str]:
        """Name the part of some rows."""
        if isinstance(self.values, list):
            return [self.values[row][: self.digits] for row in rows.tolist()]
        return list(map(str, self.values.iloc[rows]))

    def unit(self) -> Unit | None:
        """Part all rows; ``None`` where not all codes have digits beyond those of the part."""
        if not isinstance(self.values, list):
            return self._of_column(self.values)
        number, codes = pd.factorize(np.array(self.values, object))
        part, names = pd.factorize(np.array([code[: self.digits] for code in codes], object))
        whole = all(len(code) > self.digits for code in codes if code)
        if not whole or not all(name.isdigit() for name in names if name):
            return None
        return Unit("", part[number], names.tolist())

    def _of_column(self, column: pd.Series[Any]) -> Unit:
        """Values may be lists, so they are told apart by their text."""
        simple = pd.api.types.is_integer_dtype(column) or isinstance(column.dtype, pd.StringDtype)
        if not simple or column.hasnans:
            column = pd.Series(np.array(list(map(str, column.to_numpy(dtype=object))), object))
        part, names = pd.factorize(column)
        return Unit(self.field, part, list(map(str, names)))


def partings_of(layer: Layer) -> list[Parting]:
    """Give all that may part a layer."""
    found = [Parting("", layer.codes, digits) for digits in _PREFIXES] if layer.coded else []
    for column in layer.frame.columns:
        if column in {layer.frame.geometry.name, layer.fields.get("code")}:
            continue
        values = layer.frame[column]
        if pd.api.types.is_float_dtype(values) or pd.api.types.is_bool_dtype(values):
            continue
        found.append(Parting(str(column), values))
    return found


def units_of(partings: Sequence[Parting], layer: Layer) -> list[Unit]:
    """Give the parts that lie together on the map, the smallest first.

    Of partings alike the one with the shortest names is told.
    """
    count = layer.rings.features
    told = [parting.unit() for parting in partings]
    units = [u for u in told if u is not None and 1 < len(u.names) <= max(2, count // 3)]
    if not units:
        return []
    nearest = _nearest(layer)
    by_size: dict[int, Unit] = {}
    for unit in sorted(units, key=lambda unit: -sum(map(len, unit.names))):
        if _lies_together(unit, nearest):
            by_size[len(unit.names)] = unit
    return [by_size[size] for size in sorted(by_size, reverse=True)]


def _nearest(layer: Layer) -> IntArray:
    """The grid nearest to each, by the middles of their boxes."""
    middle = (layer.boxes[:, :2] + layer.boxes[:, 2:]) / 2
    _, found = cKDTree(middle).query(middle, k=2)
    near = np.asarray(found, np.int64)
    itself = near[:, 0] == np.arange(len(near))
    return np.where(itself, near[:, 1], near[:, 0])


def _lies_together(unit: Unit, nearest: IntArray) -> bool:
    """Whether grids and their nearest are in one part, chance allowed for (Cohen's kappa)."""
    share = np.bincount(unit.part) / len(unit.part)
    chance = float((share**2).sum())
    same = float((unit.part == unit.part[nearest]).mean())
    return same - chance >= _TOGETHER * (1.0 - chance)
