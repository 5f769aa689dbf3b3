"""The second chance of a text that names no known road: the one road it can only mean.

Where a table is sparse around a misspelt name, the name still says which road is meant; where many
roads are one character apart (建设路, 建业路, 建安路…), it does not, and a road the table lacks is
as likely. So a likeness counts by its length and by being alone, and the house number asked must
be known on that road.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from geo_service.addresses.names import TELLING, Named, Names
from geo_service.addresses.table import NONE, IntArray, Table

_NUMBER_LAST = re.compile(r"(?P<road>[^\0]+?) ?(?P<number>\d+(?:-\d+)?(?: ?[a-z])?)号*[ \0]*$")
_SHORT = 4  # below it nothing else may be within two characters: 建谷路 may be many a road
_LONG = 6  # 中山北路二段16巷: so much that agrees outweighs even a telling character
_NEAR = ("township", "community")
_VERY_LONG = 10  # letters: two of them may be wrong


def doors_meant(
    text: str, areas: list[Named], table: Table, within: Callable[[IntArray], IntArray]
) -> IntArray:
    """Find the rows of a number on the one road that a text can only mean.

    Parameters
    ----------
    text : str
        In canonical spelling.
    areas : list of Named
        Areas found in it.
    table : Table
        The address table.
    within : callable
        Keeps those of some rows that lie in the areas.

    Returns
    -------
    ndarray
        Rows; none where no road is alike, or several are.
    """
    nothing = np.empty(0, np.int64)
    masked = list(text)
    for area in areas:
        masked[area.start : area.end] = "\0" * (area.end - area.start)
    said = _NUMBER_LAST.search("".join(masked))
    if said is None:
        return nothing
    number = table.number_of.get(said["number"].replace(" ", ""))
    if number is None:
        return nothing
    held = within(table.by["number"][number])
    held = held[table.ids["road"][held] != NONE]
    roads = table.ids["road"]
    near = any(area.kind in _NEAR for area in areas)
    rivals = set(roads[within(np.arange(len(table)))].tolist()) if near else None
    numbered = set(roads[held].tolist())
    road = _only(said["road"].strip(), table.names, numbered, rivals)
    return nothing if road is None else held[table.ids["road"][held] == road]


def _only(piece: str, names: Names, numbered: set[int], rivals: set[int] | None) -> int | None:
    """The only road like a piece of text; if it is long, the only one that has the number.

    Where a township or community is named, only its roads are `rivals`.
    """
    alike = process.extract(
        piece, names.all("road"), scorer=OSA.distance, score_cutoff=2, limit=None
    )
    if rivals is not None:
        alike = [found for found in alike if found[2] in rivals]
    least = min((distance for _, distance, _ in alike), default=0)
    if least > (2 if len(piece) >= _VERY_LONG else 1):
        return None
    nearest = [(name, road) for name, distance, road in alike if distance == least > 0]
    able = [(name, road) for name, road in nearest if road in numbered]
    if len(able) != 1:
        return None
    name, road = able[0]
    if len(name) >= _LONG:
        return road
    alone = len(nearest if len(name) >= _SHORT else alike) == 1
    return road if alone and not _is_another(piece, name) else None


def _is_another(piece: str, name: str) -> bool:
    """Whether a name differs by a character that tells roads apart: 南京路, 南京东路, 南京西路."""
    more, less = (set(a) - set(b) for a, b in ((piece, name), (name, piece)))
    if len(piece) != len(name):
        return any((more | less).intersection(kind) for kind in TELLING)
    return any(more.intersection(kind) and less.intersection(kind) for kind in TELLING)
