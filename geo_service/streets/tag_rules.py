"""Which streets one may walk, by OpenStreetMap's tags and the table ``defaults/walk_rules.csv``.

A way or a barrier belongs to a class of access (`ACCESS_CLASSES`); a profile of
``defaults/walk_profiles.toml`` says which classes open to it. Keeping the class instead of a plain
yes or no lets one imported network serve every profile.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal, NamedTuple, TypeAlias

from geo_service.errors import InputError, MissingError

AccessClass: TypeAlias = Literal["open", "customers", "delivery", "residents"]
ACCESS_CLASSES: tuple[AccessClass, ...] = ("open", "customers", "delivery", "residents")
"""Classes of access; class i is bit ``1 << i`` of a mask; a mask of 0 is closed to all."""

CLOSED = 0
OPEN = 1

Tags: TypeAlias = Mapping[str, str]


class Passage(NamedTuple):
    """Who may walk a way in the direction it was drawn, and against it (masks of classes)."""

    forward: int
    backward: int


@dataclass(frozen=True)
class WalkProfile:
    """Somebody who walks.

    Parameters
    ----------
    name : str
        A table of ``walk_profiles.toml``.
    zh, en : str
        What people read.
    speed_m_s : float
        Metres a second, on streets and between door and street alike.
    may_use : tuple of str
        Members of `ACCESS_CLASSES`.
    """

    name: str
    zh: str
    en: str
    speed_m_s: float
    may_use: tuple[AccessClass, ...]

    @property
    def mask(self) -> int:
        """The classes of access as one mask."""
        return sum(1 << ACCESS_CLASSES.index(name) for name in self.may_use)


def profile(name: str) -> WalkProfile:
    """Give the walk profile of a name.

    Raises
    ------
    MissingError
        ``profile_unknown``.

    Examples
    --------
    >>> profile("senior").speed_m_s
    1.0
    """
    known = profiles()
    if name not in known:
        raise MissingError("profile_unknown", profile=name, known=", ".join(known))
    return known[name]


@lru_cache(maxsize=1)
def profiles() -> dict[str, WalkProfile]:
    """Give the shipped walk profiles by name."""
    tables = tomllib.loads(_shipped("walk_profiles.toml"))
    return {
        name: WalkProfile(name, t["zh"], t["en"], float(t["speed_m_s"]), tuple(t["may_use"]))
        for name, t in tables.items()
    }


def way_passage(tags: Tags) -> Passage:
    """Tell who may walk a way, and in which direction.

    The first rule that speaks wins: what the way is; then ``foot``; then ``access``; last the
    direction. Of an area (a plaza, a platform) the edge is walked, since that is what its way is.

    Parameters
    ----------
    tags : mapping of str to str
        The way's tags.

    Returns
    -------
    Passage

    Examples
    --------
    >>> way_passage({"highway": "footway", "oneway:foot": "yes"})
    Passage(forward=1, backward=0)
    >>> way_passage({"highway": "trunk"}) == way_passage({"highway": "footway", "foot": "no"})
    True
    """
    kind = _first("way", "kind", tags)
    if kind in (None, "never") or _first("way", "closed", tags):
        return Passage(CLOSED, CLOSED)
    said = _first("any", "foot", tags)
    kind = (_first("way", "special", tags) if kind == "walk" else None) or kind
    if kind == "sidewalk" and _first("way", "sidewalk", tags) is None and said is None:
        return Passage(CLOSED, CLOSED)
    if kind == "foot" and said is None:
        return Passage(CLOSED, CLOSED)
    said = said or _first("way", "access", tags) or _first("any", "access", tags) or "open"
    return _directed(_mask(said), tags)


def barrier_mask(tags: Tags) -> int:
    """Tell who may pass a node that carries a barrier, as a mask of classes.

    Gates, bollards, stiles and unknown barriers are open unless ``foot``, ``locked`` or ``access``
    says otherwise; walls and fences are closed unless ``foot`` or ``access`` says otherwise.

    Examples
    --------
    >>> barrier_mask({"barrier": "gate"}), barrier_mask({"barrier": "gate", "locked": "yes"})
    (1, 0)
    """
    said = (
        _first("any", "foot", tags)
        or _first("node", "locked", tags)
        or _first("any", "access", tags)
        or _first("node", "barrier", tags)
        or "open"
    )
    return _mask(said)


def way_kinds() -> tuple[tuple[str, str], ...]:
    """Give the tags that make a way a candidate: what `way_passage` calls its kind."""
    return tuple((key, value) for _, group, key, value in _table() if group == "kind")


def relevant_keys() -> frozenset[str]:
    """Give every key that any rule reads; tags apart from these change nothing."""
    return frozenset(key for _, _, key, _ in _table())


def _directed(mask: int, tags: Tags) -> Passage:
    direction = _first("way", "direction", tags)
    if direction is None and _first("way", "foot_only", tags):
        shared = _first("way", "shared_with_wheels", tags)
        direction = None if shared else _first("way", "foot_only_direction", tags)
    return Passage(
        CLOSED if direction == "backward" else mask, CLOSED if direction == "forward" else mask
    )


def _mask(said: str) -> int:
    return CLOSED if said == "never" else 1 << ACCESS_CLASSES.index(said)


def _first(element: str, group: str, tags: Tags) -> str | None:
    """Give the verdict of the first rule of a group, in the table's order, that the tags meet."""
    for key, verdicts in _groups().get((element, group), {}).items():
        value = tags.get(key)
        if value is not None and (verdict := verdicts.get(value)) is not None:
            return verdict
    return None


@lru_cache(maxsize=1)
def _groups() -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    groups: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for (element, group, key, value), verdict in _table().items():
        groups.setdefault((element, group), {}).setdefault(key, {})[value] = verdict
    return groups


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str, str, str], str]:
    """Read the rules: (element, group, key, value) -> verdict."""
    verdicts = {
        *ACCESS_CLASSES, "never", "walk", "foot", "sidewalk", "forward", "backward", "both", "yes",
    }  # fmt: skip
    table: dict[tuple[str, str, str, str], str] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(_shipped("walk_rules.csv"))), start=2):
        if row["verdict"] not in verdicts:
            raise InputError(
                "value_invalid", file="walk_rules.csv", row=number, field="verdict",
                value=row["verdict"], reason=f"known: {', '.join(sorted(verdicts))}",
            )  # fmt: skip
        for value in row["value"].split("|"):
            table.setdefault((row["element"], row["group"], row["key"], value), row["verdict"])
    return table


def _shipped(name: str) -> str:
    return (resources.files("geo_service") / "defaults" / name).read_text(encoding="utf-8")
