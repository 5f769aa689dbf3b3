"""What a reader of any format brings out of an extract: what may be a street, as columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geo_service.streets.segments import IntArray, LongArray

Tags = dict[str, str]
Progress = Callable[[float], None]

NO_POSITION = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Elements:
    """Ways that may be streets, their nodes, and areas drawn by several ways.

    Parameters
    ----------
    node_ids : ndarray of int64, shape (n,)
        OSM ids of the nodes of `refs`, each once, ascending.
    x, y : ndarray of int32, shape (n,)
        Positions in 1e-7 degrees; `NO_POSITION` where the extract lacks the node.
    node_tags : dict
        Row of a node -> its telling tags, for barriers and the like.
    way_ids : ndarray of int64, shape (w,)
        OSM ids, in the order of the file.
    way_start : ndarray of int64, shape (w + 1,)
        Where each way's nodes begin in `refs`.
    refs : ndarray of int64, shape (r,)
        OSM ids of the nodes of all ways in a row.
    way_tags : ndarray of int32, shape (w,)
        The row of `tag_sets` of each way.
    tag_sets : list of dict
        Sets of telling tags, each once.
    way_name : ndarray of int32, shape (w,)
        The row of `names`.
    names : list of str
        Names of ways, each once; the first is "".
    areas : list of Area
        Multipolygon relations that may be plazas or platforms.
    counts : dict
        What the reader counted: nodes, ways and others of the file, ids that stand twice or are
        negative.
    """

    node_ids: LongArray
    x: IntArray
    y: IntArray
    node_tags: dict[int, Tags]
    way_ids: LongArray
    way_start: LongArray
    refs: LongArray
    way_tags: IntArray
    tag_sets: list[Tags]
    way_name: IntArray
    names: list[str]
    areas: list[Area]
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Area:
    """A multipolygon relation: its id, tags, and the ways that are its outlines."""

    osm_id: int
    tags: Tags
    outlines: tuple[int, ...]


class TagSets:
    """Sets of telling tags, each kept once."""

    def __init__(self) -> None:
        self.sets: list[Tags] = []
        self._number: dict[frozenset[tuple[str, str]], int] = {}

    def number(self, tags: Tags) -> int:
        """Give the row of a set of tags."""
        key = frozenset(tags.items())
        known = self._number.get(key)
        if known is None:
            known = self._number[key] = len(self.sets)
            self.sets.append(tags)
        return known


class Names:
    """Names of streets, each kept once; row 0 is no name."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {"": 0}

    def number(self, name: str) -> int:
        """Give the row of a name."""
        return self.rows.setdefault(name, len(self.rows))

    def listed(self) -> list[str]:
        """Give the names by row."""
        return list(self.rows)


def last_of_each(ids: LongArray, visible: npt.NDArray[np.bool_]) -> tuple[LongArray, int]:
    """Give the rows of ways that count: of an id that stands twice the last one, if it is visible.

    Returns
    -------
    tuple
        Rows in the order of the file, and how many were left out for standing twice.
    """
    order = np.argsort(ids, kind="stable")
    last = np.ones(ids.size, bool)
    last[:-1] = ids[order][1:] != ids[order][:-1]
    twice = int(ids.size - last.sum())
    rows = np.sort(order[last]) if twice else np.arange(ids.size)
    return rows[visible[rows]], twice
