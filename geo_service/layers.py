"""What a layer is: its level, its contract, its fields and the names planners give them."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

from geo_service.errors import MissingError

Contract = Literal["tiles", "nests_in", "no_overlap", "partial"]
"""``tiles`` its parent without gap or overlap; ``nests_in`` it; ``no_overlap``; ``partial`` (anything)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A kind of boundary or place the store keeps.

    Parameters
    ----------
    name : str
        The name in the store and the API (``grids``).
    level : str
        A member of `geo_service.codes.LEVELS`, or ``place`` for points.
    contract : str
        What its features must do: see `Contract`.
    parent : str or None
        The layer whose features contain these.
    zh : str
        What planners call it.
    """

    name: str
    level: str
    contract: Contract
    parent: str | None
    zh: str


LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("city", "city", "no_overlap", None, "市界"),
        Layer("counties", "county", "tiles", "city", "区县"),
        Layer("townships", "township", "tiles", "counties", "乡镇（街道）"),
        Layer("communities", "community", "tiles", "townships", "社区（村）"),
        Layer("grids", "grid", "tiles", "communities", "网格"),
        Layer("micro_grids", "micro_grid", "nests_in", "grids", "微网格"),
        Layer("security_grids", "grid", "no_overlap", "city", "治安维稳防控网"),
        Layer("compounds", "place", "partial", None, "居民小区管理网"),
        Layer("property_networks", "place", "partial", None, "红色物业服务网"),
    )
}
"""The layers every store knows; a further one is one entry here."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a layer, and the names it arrives under."""

    name: str
    zh: str
    aliases: tuple[str, ...]


def _fields() -> tuple[Field, ...]:
    text = (resources.files("geo_service") / "defaults" / "fields.toml").read_text("utf-8")
    return tuple(
        Field(name, entry["zh"], tuple(entry["aliases"]))
        for name, entry in tomllib.loads(text).items()
    )


FIELDS = _fields()
"""Fields of grids and of the lists beside them, with their aliases (``defaults/fields.toml``)."""

_CUT_BYTES = 10  # of a column name in a DBF
_WORDS = {"网格员"}  # a cut form that is a column of its own
_BRACKETS = re.compile(r"[(（\[【].*?[)）\]】]")
_IGNORED = re.compile(r"[\s_\-·.]+")


def layer(name: str) -> Layer:
    """Give the layer of a name.

    Raises
    ------
    MissingError
        ``layer_unknown``.
    """
    if name not in LAYERS:
        raise MissingError("layer_unknown", layer=name, known=", ".join(LAYERS))
    return LAYERS[name]


def match_fields(columns: Iterable[str]) -> dict[str, str]:
    """Match a file's columns with our fields.

    Case, spaces, underscores and units in brackets are left aside. A name that a DBF cut at 10
    bytes, of GBK or of UTF-8, matches the alias it was cut from; a whole alias wins over a cut one.

    Parameters
    ----------
    columns : iterable of str
        The file's column names.

    Returns
    -------
    dict
        Our field name -> the file's column; fields without a column are absent.

    Examples
    --------
    >>> match_fields(["FID", "网格编", "WGMC", "面积(亩)", "geometry"])
    {'code': '网格编', 'name': 'WGMC', 'area': '面积(亩)'}
    """
    present: dict[str, str] = {}
    for column in map(str, columns):
        present.setdefault(plain_name(column), column)
    found: dict[str, str] = {}
    for names in (_whole_names(), _cut_names()):
        for field in FIELDS:
            if field.name in found:
                continue
            there = [present[name] for name in names[field.name] if name in present]
            free = [c for c in there if c not in found.values()]
            if free:
                found[field.name] = free[0]
    return {field.name: found[field.name] for field in FIELDS if field.name in found}


def plain_name(column: str) -> str:
    """A column's name as it is compared: no case, spaces, underscores or units.

    Examples
    --------
    >>> plain_name(" Grid_Code "), plain_name("面积（平方米）")
    ('gridcode', '面积')
    """
    plain = unicodedata.normalize("NFKC", column).casefold()
    return _IGNORED.sub("", _BRACKETS.sub("", plain)) or plain


def cut_names(alias: str) -> tuple[str, ...]:
    """What a DBF makes of a column name that is longer than 10 bytes.

    Examples
    --------
    >>> cut_names("网格编码"), cut_names("网格员联系电话"), cut_names("households")
    (('网格编',), ('网格员联系', '网格员'), ())
    """
    cut = []
    for encoding in ("gb18030", "utf-8"):
        raw = alias.encode(encoding)
        if len(raw) > _CUT_BYTES:
            cut.append(raw[:_CUT_BYTES].decode(encoding, "ignore"))
    return tuple(dict.fromkeys(cut))


@lru_cache(maxsize=1)
def _whole_names() -> dict[str, tuple[str, ...]]:
    return {f.name: tuple(dict.fromkeys(map(plain_name, (f.name, *f.aliases)))) for f in FIELDS}


@lru_cache(maxsize=1)
def _cut_names() -> dict[str, tuple[str, ...]]:
    """Cut forms by field; one that several fields share tells nothing and is left out."""
    names = {
        f.name: {plain_name(cut) for alias in f.aliases for cut in cut_names(alias)} for f in FIELDS
    }
    count = Counter(name for cut in names.values() for name in cut)
    return {
        field.name: tuple(
            name
            for alias in field.aliases
            for cut in cut_names(alias)
            if count[name := plain_name(cut)] == 1 and name not in _WORDS
        )
        for field in FIELDS
    }
