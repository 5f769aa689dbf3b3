"""What became of an earlier report's faults: solved, left, or new.

A fault is the same where its kind, its grids and its place agree. People renumber grids and move
lines between two checks, so no single one of the three decides: a fault is paired with the old one
that agrees best, each old fault once, the surest pairs first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import KDTree

from geo_service import masking
from geo_service.notes import Note
from geo_service.reports import words
from geo_service.reports.old_reports import OldReport

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

FloatArray = npt.NDArray[np.float64]

NEAR_M = 20.0
"""How far apart two places of one fault may lie: the mark wanders as its outline is mended."""

SAME_PLACE_M = 2.0
"""How near two places must lie to be one fault though no grid's code agrees (renumbered)."""

_EARTH_M_PER_DEGREE = 111_195.0  # mean radius 6,371,009 m
_MOST_NEIGHBOURS = 32
_UNPLACED_KINDS = {
    "code_duplicate", "code_malformed", "code_parent_mismatch", "code_order", "attribute_missing",
    "area_mismatch", "size_out_of_range", "not_on_map", "not_in_register",
}  # fmt: skip
"""Kinds that hold for a grid as a whole: where it is marked does not matter."""


@dataclass(frozen=True)
class Recheck:
    """An earlier report against this one.

    Parameters
    ----------
    source : str
        The earlier report's name.
    status : tuple of str
        Of every fault of this report, in its order: ``left`` or ``new``.
    solved_faults : pandas.DataFrame
        The earlier faults that are gone, columns as in `OldReport.faults`.
    solved, left, new : int
        How many errors and warnings; notes, about which nothing is to be done, are not counted.
    """

    source: str
    status: tuple[str, ...]
    solved_faults: pd.DataFrame
    solved: int
    left: int
    new: int

    @property
    def note(self) -> Note:
        """The sentence a planner waits for."""
        return Note(
            "recheck",
            f"与“{self.source}”相比：{self.solved} 处已解决，{self.left} 处仍在，"
            f"{self.new} 处新增。",
            f"Since “{self.source}”: {self.solved} solved, {self.left} left, {self.new} new.",
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "source": self.source,
            "solved": self.solved,
            "left": self.left,
            "new": self.new,
            "solved_faults": masking.records(self.solved_faults),
        }


def recheck(report: CoverageReport, old: OldReport) -> Recheck:
    """Tell which faults of an earlier report are solved, which are left, and which are new.

    Parameters
    ----------
    report : CoverageReport
        The check of today.
    old : OldReport
        An earlier one, of the same ground; its coordinate system may be another.

    Notes
    -----
    Pairs are taken in this order, nearer ones first: the same kind, grids and place; the same kind
    and place, some grids the same; the same kind and place, whatever the codes; then the same again
    for another kind of the family (`geo_service.reports.words.FAMILIES`: a missing grid half drawn
    is a gap). The same place is within `NEAR_M`, or within the length of a long fault where grids
    agree, and within `SAME_PLACE_M`, or the fault's own width, where they don't. Faults of a grid
    as a whole pair by their grids wherever they lie.
    """
    today = OldReport.of(report).faults
    scale = _scale_m(pd.concat([today[["lon", "lat"]], old.faults[["lon", "lat"]]]))
    new, before = _facts(today, scale), _facts(old.faults, scale)
    pairs = [*_by_place(new, before), *_by_grids(new, before)]
    taken_new: set[int] = set()
    taken_old: set[int] = set()
    for _, _, here, there in sorted(pairs):
        if here not in taken_new and there not in taken_old:
            taken_new.add(here)
            taken_old.add(there)
    status = tuple("left" if row in taken_new else "new" for row in range(len(new.kinds)))
    gone = [row for row in range(len(before.kinds)) if row not in taken_old]
    solved = old.faults.iloc[gone].reset_index(drop=True)
    counted = [
        name for name, severity in zip(status, today["severity"], strict=True) if severity != "note"
    ]
    return Recheck(
        old.source,
        status,
        solved,
        solved=int((solved["severity"] != "note").sum()),
        left=counted.count("left"),
        new=counted.count("new"),
    )


@dataclass(frozen=True)
class _Facts:
    """Faults as arrays: what they are, whom they concern, where they lie in metres."""

    kinds: list[str]
    codes: list[frozenset[str]]
    xy_m: FloatArray
    width_m: FloatArray
    length_m: FloatArray


def _scale_m(places: pd.DataFrame) -> FloatArray:
    """Metres per unit east and north: of degrees, or of a file's own metres."""
    placed = places.dropna().to_numpy(float)
    if not len(placed) or (np.abs(placed) > (180.0, 90.0)).any():
        return np.ones(2)
    squeeze = np.cos(np.radians(np.median(placed[:, 1])))
    return np.array([squeeze, 1.0]) * _EARTH_M_PER_DEGREE


def _facts(faults: pd.DataFrame, scale_m: FloatArray) -> _Facts:
    area, width = faults["area_m2"].to_numpy(float), faults["width_m"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.where(width > 0.0, area / width, 0.0)  # half the perimeter: width is 2A/P
    return _Facts(
        faults["kind"].tolist(),
        [frozenset(codes) for codes in faults["codes"]],
        faults[["lon", "lat"]].to_numpy(float) * scale_m,
        np.nan_to_num(width),
        np.nan_to_num(length),
    )


def _by_place(new: _Facts, old: _Facts) -> list[tuple[int, float, int, int]]:
    here, there = (np.flatnonzero(np.isfinite(f.xy_m).all(axis=1)) for f in (new, old))
    if not len(here) or not len(there):
        return []
    tree = KDTree(old.xy_m[there])
    reach = np.maximum(NEAR_M, new.length_m[here])
    count = min(_MOST_NEIGHBOURS, len(there))
    within = float(reach.max())
    answer = tree.query(new.xy_m[here], k=count, distance_upper_bound=within)
    distance, at = (np.asarray(part).reshape(len(here), count) for part in answer)
    found = []
    for row, place in zip(*np.nonzero(np.isfinite(distance)), strict=True):
        one, two = int(here[row]), int(there[at[row, place]])
        rank = _rank(new, old, one, two, float(distance[row, place]))
        if rank is not None:
            found.append((rank, float(distance[row, place]), one, two))
    return found


def _rank(new: _Facts, old: _Facts, one: int, two: int, apart_m: float) -> int | None:
    """How surely two faults are one, 0 surest; ``None``: they are not."""
    kinds = new.kinds[one], old.kinds[two]
    if kinds[0] != kinds[1] and words.family(kinds[0]) is not words.family(kinds[1]):
        return None
    if kinds[0] != kinds[1] and _UNPLACED_KINDS & set(kinds):
        return None
    shared = new.codes[one] & old.codes[two]
    if shared:
        near_m = max(NEAR_M, new.length_m[one], old.length_m[two])
        level = 0 if new.codes[one] == old.codes[two] else 1
    else:
        near_m = max(SAME_PLACE_M, min(new.width_m[one], old.width_m[two]))
        level = 2
    if apart_m > near_m:
        return None
    return level + (0 if kinds[0] == kinds[1] else 3)


def _by_grids(new: _Facts, old: _Facts) -> list[tuple[int, float, int, int]]:
    """Pair faults of grids as a whole, and faults without a place, by kind and grids."""
    index: dict[tuple[str, str], list[int]] = {}
    for row, (kind, codes) in enumerate(zip(old.kinds, old.codes, strict=True)):
        for code in codes or {""}:
            index.setdefault((kind, code), []).append(row)
    found = []
    for row, (kind, codes) in enumerate(zip(new.kinds, new.codes, strict=True)):
        if kind not in _UNPLACED_KINDS and np.isfinite(new.xy_m[row]).all():
            continue
        near = {other for code in codes or {""} for other in index.get((kind, code), ())}
        for other in sorted(near):
            same = codes == old.codes[other]
            agreed = len(codes & old.codes[other]) / max(len(codes | old.codes[other]), 1)
            found.append((0 if same else 1, 1.0 - agreed, row, other))
    return found
