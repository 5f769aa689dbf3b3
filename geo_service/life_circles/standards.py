"""Tables of standards: which categories a circle needs, how far off at most, for whom."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geo_service import facilities, places
from geo_service.errors import InputError, Phrase
from geo_service.facilities import Kinds

_KIND_COLUMNS = ("kind", "code", "类别", "设施类别", "类别代码")
_MINUTES_COLUMNS = ("tier_minutes", "tier_min", "minutes", "分钟", "圈层（分钟）")
_METRES_COLUMNS = ("threshold_m", "metres", "米", "步行距离上限（米）")
_NAMES = {"name_zh": "zh", "name_en": "en"}


def read_standard(standard: pd.DataFrame | str | Path | None = None) -> pd.DataFrame:
    """Read a table of categories and thresholds.

    A row of a known kind narrows or replaces the default's figures; a row with ``code``, ``zh`` and
    ``tier_minutes`` of its own is a further kind.

    Returns
    -------
    DataFrame
        ``kind, kind_zh, kind_en, tier_minutes, threshold_m, counts, walker, target, source,
        verified``; ``threshold_m`` is NaN where only the minutes are set.

    Raises
    ------
    InputError
        ``kind_unknown``, ``field_missing``, ``value_invalid``, ``parameter_invalid``.

    Examples
    --------
    >>> read_standard(pd.DataFrame({"kind": ["market", "药店"]}))["threshold_m"].tolist()
    [500.0, nan]
    """
    given = _given(standard)
    known = kinds_of(given)
    kinds = [known[facilities.require_kind(text, known)] for text in given["kind"]]
    table = pd.DataFrame({
        "kind": [kind.code for kind in kinds],
        "kind_zh": [kind.zh for kind in kinds],
        "kind_en": [kind.en for kind in kinds],
        "tier_minutes": [kind.tier_minutes for kind in kinds],
        "threshold_m": [math.nan if k.threshold_m is None else k.threshold_m for k in kinds],
        "counts": [kind.counts for kind in kinds],
        "walker": [kind.walker for kind in kinds],
        "target": [kind.target for kind in kinds],
        "source": [kind.source for kind in kinds],
        "verified": [kind.verified for kind in kinds],
    })  # fmt: skip
    minutes = _own(given, _MINUTES_COLUMNS, table["tier_minutes"])
    metres = _own(given, _METRES_COLUMNS, table["threshold_m"])
    own_minutes = minutes.ne(table["tier_minutes"])
    own_metres = metres.ne(table["threshold_m"]) & metres.notna()
    if "tier_minutes" not in given:  # metres alone decide, also where they are the default's
        own_metres = metres.notna() & bool(set(_METRES_COLUMNS) & set(given))
    # A row that sets its own minutes and no metres means those minutes on foot, and vice versa.
    table["threshold_m"] = metres.mask(own_minutes & ~own_metres)
    if "counts" not in given:
        table.loc[own_minutes & ~own_metres, "counts"] = "minutes"
        table.loc[own_metres, "counts"] = "metres"
    table.loc[table["threshold_m"].isna(), "counts"] = "minutes"
    table["tier_minutes"] = minutes
    return table.drop_duplicates("kind").reset_index(drop=True)


def kinds_of(standard: pd.DataFrame | str | Path | None) -> Kinds:
    """Give the kinds that exist under a standard: the default ones and those it adds.

    Raises
    ------
    InputError
        As `read_standard`.
    """
    given = _given(standard)
    if "zh" not in given:
        return facilities.kinds()
    fields = [c for c in given if c in facilities.Kind.__dataclass_fields__ and c != "code"]
    rows = given[fields].assign(code=given["kind"]).astype(object)
    plain = rows.where(rows.notna(), None).to_dict("records")
    return facilities.kinds_with({str(k): v for k, v in row.items()} for row in plain)


def _given(standard: pd.DataFrame | str | Path | None) -> pd.DataFrame:
    if standard is None:
        return pd.DataFrame({"kind": list(facilities.kinds())})
    frame = standard if isinstance(standard, pd.DataFrame) else places.read_file(standard)
    if frame.empty:
        raise InputError("layer_empty", file="standard")
    frame = frame.reset_index(drop=True).rename(columns=_NAMES)
    column = next((c for c in _KIND_COLUMNS if c in frame), None)
    if column is None:
        found = ", ".join(map(str, frame.columns))
        raise InputError("field_missing", file="standard", field="kind", found=found)
    if "kind" not in frame:
        frame = frame.rename(columns={column: "kind"})
    minutes = next((c for c in _MINUTES_COLUMNS if c in frame), None)
    if minutes is not None and "tier_minutes" not in frame:
        frame = frame.rename(columns={minutes: "tier_minutes"})
    return frame


def _own(given: pd.DataFrame, names: tuple[str, ...], default: pd.Series[Any]) -> pd.Series[Any]:
    """A numeric column of the given table, filled up with the default's."""
    column = next((name for name in names if name in given), None)
    if column is None:
        return default
    text = given[column].astype(object)
    text = text.where(text.astype(str).str.strip() != "", None)
    values = pd.to_numeric(text, errors="coerce")
    wrong = (values <= 0) | np.isinf(values) | (values.isna() & text.notna())
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file="standard", row=at + 1, field=column,
            value=given[column].iloc[at],
            reason=Phrase("应为大于 0 的数", "must be a number above 0"),
        )  # fmt: skip
    return values.fillna(default)
