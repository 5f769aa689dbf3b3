"""Which streets one may walk, by OpenStreetMap's tags and the table ``defaults/walk_rules.csv``.

A way or a barrier belongs to a class of access (`ACCESS_CLASSES`); a profile of
``defaults/walk_profiles.toml`` says which classes open to it. Keeping the class instead of a plain
yes or no lets one imported network serve every profile.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

from geo_service.errors import InputError, MissingError, Phrase

AccessClass: TypeAlias = Literal["open", "customers", "delivery", "residents"]
ACCESS_CLASSES: tuple[AccessClass, ...] = ("open", "customers", "delivery", "residents")
"""Classes of access; class i is bit ``1 << i`` of a mask; a mask of 0 is closed to all."""

CLOSED = 0
OPEN = 1
MOST_M_S = 5.0
"""The fastest walk a profile of one's own may say: a runner's."""

_ANY = "*"  # ends a value of the table that stands for all that begin so

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
    closed_gates, open_gates : tuple of int
        OSM nodes that are shut, and open, to this profile whatever their tags say: what a city
        knows of its compounds.
    """

    name: str
    zh: str
    en: str
    speed_m_s: float
    may_use: tuple[AccessClass, ...]
    closed_gates: tuple[int, ...] = ()
    open_gates: tuple[int, ...] = ()

    @property
    def names_gates(self) -> bool:
        """Whether it opens or shuts gates by name, so that it can't share another's graph."""
        return bool(self.closed_gates or self.open_gates)

    @property
    def mask(self) -> int:
        """The classes of access as one mask."""
        return sum(1 << ACCESS_CLASSES.index(name) for name in self.may_use)


def profile(name: str) -> WalkProfile:
    """Give the walk profile of a name, or the one of a TOML file of one's own.

    Parameters
    ----------
    name : str
        A shipped profile; or a file ``*.toml`` with one table like those of
        ``defaults/walk_profiles.toml`` (``FILE.toml#table`` where it has more).

    Raises
    ------
    MissingError
        ``profile_unknown``, ``file_missing``.
    InputError
        ``file_unreadable``, ``value_invalid``.

    Examples
    --------
    >>> profile("senior").speed_m_s
    1.0
    """
    file, _, table = name.partition("#")
    if file.lower().endswith(".toml"):
        return _own_profile(Path(file), table)
    return profiles()[shipped(name)]


def shipped(name: str) -> str:
    """Give the name of a shipped profile back: who asks from afar names no file of this machine.

    Raises
    ------
    MissingError
        ``profile_unknown``.
    """
    known = profiles()
    if name not in known:
        raise MissingError("profile_unknown", profile=name, known=", ".join(known))
    return name


@lru_cache(maxsize=1)
def profiles() -> dict[str, WalkProfile]:
    """Give the shipped walk profiles by name."""
    tables = tomllib.loads(_shipped("walk_profiles.toml"))
    return {name: read_profile(name, t, file="walk_profiles.toml") for name, t in tables.items()}


def read_profile(name: str, table: Mapping[str, Any], *, file: str) -> WalkProfile:
    """Make a profile of a table of a TOML file.

    Raises
    ------
    InputError
        ``value_invalid`` names the field.
    """

    def refuse(field: str, reason: Phrase) -> NoReturn:
        raise InputError(
            "value_invalid", file=file, row=name, field=field, value=table.get(field, ""),
            reason=reason,
        )  # fmt: skip

    fields = ("zh", "en", "speed_m_s", "may_use", "closed_gates", "open_gates")
    if unknown := sorted(set(table) - set(fields)):
        refuse(unknown[0], _one_of(fields))
    speed, may_use = table.get("speed_m_s"), table.get("may_use")
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= MOST_M_S:
        reason = Phrase(
            f"步行速度应大于 0、不超过 {MOST_M_S:g} m/s",
            f"a walk has more than 0 and at most {MOST_M_S:g} m/s",
        )
        refuse("speed_m_s", reason)
    if (
        not isinstance(may_use, list | tuple)
        or not may_use
        or not set(may_use) <= set(ACCESS_CLASSES)
    ):
        listed = ", ".join(ACCESS_CLASSES)
        refuse("may_use", Phrase(f"应为列表，可用 {listed}", f"a list of {listed}"))
    for field in ("closed_gates", "open_gates"):
        if not all(type(gate) is int for gate in table.get(field, [])):
            refuse(field, Phrase("应为 OSM 结点编号的列表", "a list of OSM node ids"))
    return WalkProfile(
        name, str(table.get("zh", name)), str(table.get("en", name)), float(speed),
        tuple(c for c in ACCESS_CLASSES if c in may_use),
        tuple(sorted(table.get("closed_gates", []))), tuple(sorted(table.get("open_gates", []))),
    )  # fmt: skip


def _own_profile(file: Path, table: str) -> WalkProfile:
    if not file.is_file():
        raise MissingError("file_missing", file=str(file))
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("file_unreadable", file=file.name, reason=error) from error
    tables = {name: found for name, found in tables.items() if isinstance(found, dict)}
    if (table and table not in tables) or (not table and len(tables) != 1):
        asked = f"{file.name}#{table}" if table else file.name
        known = ", ".join(f"{file.name}#{name}" for name in tables)
        raise MissingError("profile_unknown", profile=asked, known=known)
    name = table or next(iter(tables))
    return read_profile(name, tables[name], file=file.name)


def way_passage(tags: Tags) -> Passage:
    """Tell who may walk a way, and in which direction.

    The first rule that speaks wins: what the way is; then ``foot``; then ``access``; last the
    direction.

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


def is_barrier(tags: Tags) -> bool:
    """Tell whether a node stands in the way of somebody: what `barrier_mask` is asked about."""
    return _first("node", "kind", tags) is not None


def is_area(tags: Tags) -> bool:
    """Tell whether a closed way is an area: its edge is walked, and straight across."""
    return _first("way", "area", tags) is not None


def kind_of(tags: Tags) -> str:
    """Tell what a way is, in one word: the value that made it a candidate."""
    for key in way_kinds():
        if _meets("way", "kind", key, tags) is not None:
            return tags[key]
    return ""


def is_candidate(tags: Tags) -> bool:
    """Tell whether a way is anything that can be a street, open or closed."""
    return _first("way", "kind", tags) is not None


def way_kinds() -> tuple[str, ...]:
    """Give the keys that make a way a candidate: what `way_passage` calls its kind."""
    return tuple(_groups()[("way", "kind")])


def way_kind_values() -> dict[str, tuple[str, ...]]:
    """Give the tags that make a way a street for somebody: key -> values, without those never."""
    kinds = {key: _groups()[("way", "kind")][key] for key in way_kinds()}
    return {
        key: tuple(value for value, verdict in verdicts.items() if verdict != "never")
        for key, verdicts in kinds.items()
    }


def node_kinds() -> tuple[str, ...]:
    """Give the keys that make a node a barrier."""
    return tuple(_groups()[("node", "kind")])


@lru_cache(maxsize=1)
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
    for key in _groups().get((element, group), {}):
        verdict = _meets(element, group, key, tags)
        if verdict is not None:
            return verdict
    return None


def _meets(element: str, group: str, key: str, tags: Tags) -> str | None:
    value = tags.get(key)
    if value is None:
        return None
    verdicts = _groups()[(element, group)][key]
    if value in verdicts:
        return verdicts[value]
    begun = (
        v for known, v in verdicts.items() if known[-1] == _ANY and value.startswith(known[:-1])
    )
    return next(begun, None)


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
                value=row["verdict"], reason=_one_of(sorted(verdicts)),
            )  # fmt: skip
        for value in row["value"].split("|"):
            table.setdefault((row["element"], row["group"], row["key"], value), row["verdict"])
    return table


def _shipped(name: str) -> str:
    return (resources.files("geo_service") / "defaults" / name).read_text(encoding="utf-8")


def _one_of(known: Iterable[str]) -> Phrase:
    return Phrase(f"可用 {', '.join(known)}", f"known: {', '.join(known)}")
