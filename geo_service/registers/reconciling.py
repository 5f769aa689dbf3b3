"""A register of grids against the map, code by code."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from geo_service import codes, layers, masking
from geo_service.notes import Note
from geo_service.registers.reading import Register

_COMPARED = ("name", "kind", "parent_code", "head", "phone", "households", "population")
_FIELDS_ZH = {f.name: f.zh for f in layers.FIELDS}
_NO_DIFFERENCES = pd.DataFrame(columns=["code", "row", "field", "field_zh", "register", "layer"])
_NAMED = 5


@dataclass(frozen=True)
class Reconciliation:
    """A register against the map.

    Parameters
    ----------
    registered : int
        Distinct codes of the register, and its rows without a code.
    polygons : int
        Features on the map.
    mapped : int
        Registered codes that are on the map.
    on_map_percent : str
        `mapped` of `registered`, truncated to two decimals, never rounded up.
    coverage_percent : str or None
        The share of the ground covered, as the coverage check gave it; the two rates answer
        different questions and stand side by side.
    unmapped : tuple of str
        Registered and not on the map (未落图).
    unregistered : tuple of str
        On the map and not registered (无登记).
    register_duplicates : Mapping
        Code -> rows of the register's file, where more than one.
    map_duplicates : Mapping
        Code -> how often on the map, where more than once.
    rows_without_code : tuple
        Rows of the register's file without a code.
    polygons_without_code : int
        Features without one.
    differences : pandas.DataFrame
        Where register and layer tell a grid differently: code, row, field, field_zh, register,
        layer. Persons and phones are masked.
    """

    registered: int
    polygons: int
    mapped: int
    on_map_percent: str
    coverage_percent: str | None
    unmapped: tuple[str, ...]
    unregistered: tuple[str, ...]
    register_duplicates: Mapping[str, tuple[Any, ...]]
    map_duplicates: Mapping[str, int]
    rows_without_code: tuple[Any, ...]
    polygons_without_code: int
    differences: pd.DataFrame = field(default_factory=_NO_DIFFERENCES.copy)

    @property
    def complete(self) -> bool:
        """Whether register and map name the same codes, each once."""
        return not (
            self.unmapped
            or self.unregistered
            or self.register_duplicates
            or self.map_duplicates
            or self.rows_without_code
            or self.polygons_without_code
        )

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader is to know beside the faults of single grids."""
        rates = f"（{self.mapped:,} / {self.registered:,}）"
        told = [
            Note(
                "on_map",
                f"落图率 {self.on_map_percent} %{rates}；登记 {self.registered:,} 个，"
                f"图上 {self.polygons:,} 个。",
                f"On the map: {self.on_map_percent} % ({self.mapped:,} of {self.registered:,} "
                f"registered); {self.polygons:,} on the map.",
            )
        ]
        if self.register_duplicates:
            zh, en = _repeats(self.register_duplicates)
            told.append(
                Note(
                    "register_duplicates",
                    f"登记表有 {len(self.register_duplicates)} 个编码重复：{zh}。",
                    f"{len(self.register_duplicates)} codes stand more than once in the register: "
                    f"{en}.",
                )
            )
        if self.rows_without_code:
            rows = _some(self.rows_without_code)
            count = len(self.rows_without_code)
            told.append(
                Note(
                    "register_without_code",
                    f"登记表有 {count} 行没有编码，按未落图计：第 {rows} 行。",
                    f"{count} rows of the register have no code and count as not on the map: "
                    f"rows {rows}.",
                )
            )
        if len(self.differences):
            told.append(_differing(self.differences))
        return tuple(told)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "registered": self.registered,
            "polygons": self.polygons,
            "mapped": self.mapped,
            "on_map_percent": self.on_map_percent,
            "coverage_percent": self.coverage_percent,
            "unmapped": list(self.unmapped),
            "unregistered": list(self.unregistered),
            "register_duplicates": {c: list(rows) for c, rows in self.register_duplicates.items()},
            "map_duplicates": dict(self.map_duplicates),
            "rows_without_code": list(self.rows_without_code),
            "polygons_without_code": self.polygons_without_code,
            "differences": masking.records(self.differences.drop(columns="field_zh")),
        }


def reconcile(
    register: Register | pd.DataFrame | Iterable[str],
    grids: pd.DataFrame,
    *,
    coverage_percent: str | None = None,
    unmasked: bool = False,
) -> Reconciliation:
    """Compare a register with the map, code by code.

    Parameters
    ----------
    register : Register, DataFrame or iterable of str
        With the column ``code``, or the codes themselves.
    grids : DataFrame
        The map, with the column ``code``.
    coverage_percent : str, optional
        Of the coverage check, to stand beside the on-map rate.
    unmasked : bool
        Tell persons and phones in full where register and layer differ in them.

    Examples
    --------
    >>> import pandas as pd
    >>> found = reconcile(["001", "002", "003"], pd.DataFrame({"code": ["001", "003", "009"]}))
    >>> found.on_map_percent, found.unmapped, found.unregistered
    ('66.66', ('002',), ('009',))
    """
    entries = _entries(register)
    named = pd.Series(codes.texts(entries["code"]), index=entries.index, dtype="object")
    rows: dict[str, list[Any]] = {}
    for row, code in named.items():
        rows.setdefault(code, []).append(row)
    without_code = tuple(rows.pop("", []))
    drawn = Counter(codes.texts(grids["code"]))
    polygons_without_code = drawn.pop("", 0)
    mapped = len(rows.keys() & drawn.keys())
    registered = len(rows) + len(without_code)
    return Reconciliation(
        registered=registered,
        polygons=len(grids),
        mapped=mapped,
        on_map_percent=truncated_percent(mapped, registered),
        coverage_percent=coverage_percent,
        unmapped=tuple(sorted(rows.keys() - drawn.keys())),
        unregistered=tuple(sorted(drawn.keys() - rows.keys())),
        register_duplicates={c: tuple(r) for c, r in sorted(rows.items()) if len(r) > 1},
        map_duplicates={code: count for code, count in sorted(drawn.items()) if count > 1},
        rows_without_code=without_code,
        polygons_without_code=polygons_without_code,
        differences=_differences(entries.assign(code=named), grids, unmasked=unmasked),
    )


def truncated_percent(part: int, whole: int, *, decimals: int = 2) -> str:
    """Give a share in percent, cut off and never rounded up: 99.999 is 99.99.

    Examples
    --------
    >>> truncated_percent(18_935, 18_936), truncated_percent(5, 5), truncated_percent(0, 0)
    ('99.99', '100.00', '0.00')
    >>> truncated_percent(18_935, 18_936, decimals=4)
    '99.9947'
    """
    unit = 10**decimals
    parts = part * 100 * unit // whole if whole else 0
    return f"{parts // unit}.{parts % unit:0{decimals}d}"


def _entries(register: Register | pd.DataFrame | Iterable[str]) -> pd.DataFrame:
    if isinstance(register, Register):
        return register.frame.drop(index=list(register.continued))
    if isinstance(register, pd.DataFrame):
        return register
    return pd.DataFrame({"code": list(register)}, dtype="object")


def _differences(entries: pd.DataFrame, grids: pd.DataFrame, *, unmasked: bool) -> pd.DataFrame:
    """List where both tell an attribute and tell it differently; codes that repeat are left."""
    fields = [f for f in _COMPARED if f in entries.columns and f in grids.columns]
    if not fields:
        return _NO_DIFFERENCES.copy()
    ours = entries[entries["code"] != ""].drop_duplicates("code", keep=False)
    theirs = pd.DataFrame(grids)[["code", *fields]].assign(code=codes.texts(grids["code"]))
    theirs = theirs[theirs["code"] != ""].drop_duplicates("code", keep=False)
    both = ours.assign(row=ours.index)[["code", "row", *fields]].merge(
        theirs, on="code", suffixes=("_register", "_layer")
    )
    found = []
    for name in fields:
        one, two = both[f"{name}_register"], both[f"{name}_layer"]
        said, drawn = _comparable(one), _comparable(two)
        off = (said != "") & (drawn != "") & (said != drawn)
        if name == "parent_code":  # a register may name the parent instead
            off &= said.str.isdigit() & drawn.str.isdigit()
        part = both.loc[off, ["code", "row"]].assign(
            field=name, field_zh=_FIELDS_ZH[name], register=said[off], layer=drawn[off]
        )
        if not unmasked and name in {"head", "phone"}:
            hide = masking.mask_name if name == "head" else masking.mask_phone
            part = part.assign(register=part["register"].map(hide), layer=part["layer"].map(hide))
        found.append(part)
    every = pd.concat(found).sort_values(["code", "field"], kind="stable")
    return every.reset_index(drop=True)


def _comparable(column: pd.Series[Any]) -> pd.Series[Any]:
    """Texts that are equal where people would call the values equal: 312.0, "312" and "３１２"."""
    texts = pd.Series(codes.texts(column), index=column.index, dtype="object")
    plain = texts.map(lambda t: "".join(unicodedata.normalize("NFKC", t).split()))
    return plain.str.replace(r"(?<=\d)\.0+$", "", regex=True)


def _differing(differences: pd.DataFrame) -> Note:
    counts = differences.groupby(["field", "field_zh"], sort=False).size()
    pairs = [(*names, int(count)) for names, count in counts.items()]  # type: ignore[misc]
    zh = "、".join(f"{name_zh} {count} 处" for _, name_zh, count in pairs)
    en = ", ".join(f"{name} in {count}" for name, _, count in pairs)
    first = differences.iloc[0]
    example = f"{first['code']}：{first['field_zh']} {first['register']} / {first['layer']}"
    example_en = f"{first['code']}: {first['field']} {first['register']} / {first['layer']}"
    return Note(
        "attributes_differ",
        f"登记表与图层的属性不一致：{zh}（如 {example}）。",
        f"Register and layer differ: {en} (such as {example_en}).",
    )


def _repeats(rows: Mapping[str, tuple[Any, ...]]) -> tuple[str, str]:
    some = list(rows.items())[:_NAMED]
    more = "…" if len(rows) > _NAMED else ""
    zh = "、".join(f"{code}（第 {_some(at)} 行）" for code, at in some) + more
    en = ", ".join(f"{code} (rows {_some(at)})" for code, at in some) + more
    return zh, en


def _some(rows: tuple[Any, ...]) -> str:
    return ", ".join(map(str, rows[:_NAMED])) + (" …" if len(rows) > _NAMED else "")
