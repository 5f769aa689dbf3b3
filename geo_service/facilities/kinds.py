"""Kinds of facilities and amenities of a rest station, as tables a city may replace.

Each figure stands with its source and whether that source was checked; a further kind is one more
row of ``defaults/facility_kinds.csv``.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from geo_service.errors import InputError, Phrase

Counts = Literal["metres", "minutes"]

_NEAREST_NAMES = 3
_LIKE = 0.5  # share of characters that a name close enough to be meant has in common


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of facility.

    Parameters
    ----------
    code, zh, en : str
        Its names.
    tier_minutes : float
        The life circle (5, 8, 10 or 15 minutes on foot) it belongs to.
    threshold_m : float or None
        The service radius, walked on streets; ``None``: what can be walked in `tier_minutes`.
    counts : {"metres", "minutes"}
        Which of the two decides: ``metres`` where the standard sets a radius, ``minutes`` where it
        sets a time and the metres are only a conversion.
    walker : str
        Who walks to it, a profile of ``walk_profiles.toml``; its speed turns minutes into metres.
    target, basis, source, verified : str
        Whom it serves, on what grounds, and how well these are known.
    aliases : tuple of str
        Further names it arrives under.
    """

    code: str
    zh: str
    en: str
    tier_minutes: float
    threshold_m: float | None
    counts: Counts
    walker: str
    target: str
    basis: str
    source: str
    verified: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Amenity:
    """Something a rest station offers; `five_points` names the point of the five it fulfils."""

    code: str
    zh: str
    en: str
    five_points: str
    source: str
    aliases: tuple[str, ...]


Kinds = Mapping[str, Kind]


@lru_cache(maxsize=1)
def kinds() -> Kinds:
    """Give all kinds of the default table by their code, in the table's order.

    Examples
    --------
    >>> kinds()["canteen"].tier_minutes, kinds()["canteen"].walker
    (15.0, 'senior')
    """
    rows = default_table("facility_kinds.csv")
    return MappingProxyType({row["code"]: _kind(row) for row in rows})


@lru_cache(maxsize=1)
def amenities() -> Mapping[str, Amenity]:
    """Give all amenities of a rest station by their code."""
    found = [
        Amenity(
            code=row["code"],
            zh=row["zh"],
            en=row["en"],
            five_points=row["five_points"],
            source=row["source"],
            aliases=tuple(row["aliases"].split()),
        )
        for row in default_table("station_amenities.csv")
    ]
    return MappingProxyType({amenity.code: amenity for amenity in found})


def require_kind(text: object, known: Kinds | None = None) -> str:
    """Give the code of a kind named by its code, Chinese or English name, or an alias.

    Parameters
    ----------
    text : object
    known : mapping, optional
        A city's own kinds; else the default table.

    Raises
    ------
    InputError
        ``kind_unknown``, with the nearest of the known ones and then all of them.

    Examples
    --------
    >>> require_kind("骑手驿站"), require_kind("Canteen")
    ('rest_station', 'canteen')
    """
    among = kinds() if known is None else known
    names = _default_names() if known is None else _names(among)
    code = names.get(plain(text))
    if code is not None:
        return code
    like = difflib.get_close_matches(plain(text), names, n=_NEAREST_NAMES, cutoff=_LIKE)
    nearest = dict.fromkeys(names[name] for name in like)
    raise InputError(
        "kind_unknown",
        kind=text,
        nearest=_told(among[code] for code in nearest) or "—",
        known=_told(among.values()),
    )


def kinds_with(rows: Iterable[Mapping[str, Any]]) -> Kinds:
    """Add a city's own rows to the default kinds; a row of a known kind replaces what it fills in.

    Parameters
    ----------
    rows : iterable of mappings
        As in ``facility_kinds.csv``; a new kind needs ``code``, ``zh`` and ``tier_minutes``.

    Raises
    ------
    InputError
        ``kind_unknown`` for a row that names no known kind and is not whole enough to be a new
        one; ``parameter_invalid`` for a value that isn't allowed.
    """
    found = dict(kinds())
    for row in rows:
        given = {k: str(v).strip() for k, v in row.items() if v is not None and str(v).strip()}
        code = _default_names().get(plain(given.get("code", "")))
        if code is None and {"code", "zh", "tier_minutes"} <= set(given):
            code = given["code"]
        if code is None:
            code = require_kind(given.get("code", ""))
        base = _row(found[code]) if code in found else {"en": code, "source": "city's own table"}
        found[code] = _kind(_BLANK | base | given | {"code": code})
    return MappingProxyType(found)


def default_table(file: str) -> list[dict[str, str]]:
    """Read a CSV of ``defaults/``."""
    source = resources.files("geo_service") / "defaults" / file
    return list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))


def plain(text: object) -> str:
    """A name as it is compared: no case, one space for any of blank, underscore, hyphen."""
    return re.sub(r"[\s_-]+", " ", str(text)).strip().lower()


_BLANK = dict.fromkeys(Kind.__dataclass_fields__, "") | {"counts": "", "walker": "adult"}


def _kind(row: Mapping[str, str]) -> Kind:
    threshold = _above_zero(row, "threshold_m") if row["threshold_m"] else None
    counts = row["counts"] or ("minutes" if threshold is None else "metres")
    if counts not in ("metres", "minutes"):
        reason = Phrase("可用 metres（米）或 minutes（分钟）", "metres or minutes")
        raise InputError("parameter_invalid", name="counts", value=counts, reason=reason)
    return Kind(
        code=row["code"],
        zh=row["zh"],
        en=row["en"],
        tier_minutes=_above_zero(row, "tier_minutes"),
        threshold_m=threshold,
        counts="metres" if counts == "metres" and threshold is not None else "minutes",
        walker=row["walker"],
        target=row["target"],
        basis=row["basis"],
        source=row["source"],
        verified=row["verified"],
        aliases=tuple(row["aliases"].split()),
    )


def _row(kind: Kind) -> dict[str, str]:
    told = {name: getattr(kind, name) for name in Kind.__dataclass_fields__}
    told["aliases"] = " ".join(kind.aliases)
    return {name: "" if value is None else str(value) for name, value in told.items()}


def _above_zero(row: Mapping[str, str], field: str) -> float:
    try:
        number = float(row[field])
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        reason = Phrase("应为大于 0 的数", "must be a number above 0")
        raise InputError("parameter_invalid", name=field, value=row[field], reason=reason)
    return number


def _names(among: Kinds) -> dict[str, str]:
    names: dict[str, str] = {}
    for kind in among.values():
        for text in (kind.code, kind.zh, kind.en, *kind.zh.split("/"), *kind.aliases):
            names.setdefault(plain(text), kind.code)
    return names


@lru_cache(maxsize=1)
def _default_names() -> dict[str, str]:
    return _names(kinds())


def _told(some: Iterable[Kind]) -> str:
    return ", ".join(f"{kind.code} {kind.zh}" for kind in some)
