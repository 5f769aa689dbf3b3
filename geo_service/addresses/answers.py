"""What the address book answers, and when several rows are one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from geo_service.addresses.reading import Question
from geo_service.addresses.table import IntArray, Table

Status = Literal["found", "ambiguous", "not_found", "unreadable"]

DOOR_M = 20.0  # an address point stands for its door to about this
SAME_SPOT_M = 50.0  # rows this near are one place for whoever asks
_MOST_CANDIDATES = 5


_RIGHT = ((1.0, 1.0), (0.9, 0.995), (0.75, 0.99), (0.7, 0.98), (0.5, 0.97), (0.4, 0.7))


def calibrated(evidence: float) -> float:
    """Turn the evidence for an answer into the share of such answers that are right.

    Parameters
    ----------
    evidence : float
        1: the table's own text; 0.9: every segment exact; less for each that is missing, mended or
        interpolated.

    Returns
    -------
    float
        Measured on questions of 30 styles over made-up tables and on real addresses with one typing
        error (``scripts/bench/addresses.py`` prints the table on a fresh seed), and rounded down;
        0.5 where too few were seen.
    """
    return next((right for least, right in _RIGHT if evidence >= least - 1e-9), 0.5)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the table that an ambiguous text may mean."""

    address: str
    lon: float
    lat: float
    code: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where an address is, how well that is known, and by what.

    Parameters
    ----------
    status : str
        ``found``; ``ambiguous`` (several places answer to it, see `candidates`); ``not_found``;
        ``unreadable`` (the text is damaged).
    lon, lat : float
        Degrees, in the table's datum; NaN unless found.
    matched : str
        The table's address that answered; empty where the point was interpolated.
    matched_on : tuple of str
        The segments it was found by: ``address`` (the whole text), ``county``, ``township``,
        ``community``, ``road``, ``number``, ``compound``, ``building``, ``unit``; with ``~`` where
        the segment was only near (a slip, a number between known ones).
    confidence : float
        Share of such answers that were right, 0 to 1, by the evidence they stand on
        (`calibrated`). 1: the table's own text.
    radius_m : float
        The place lies within this distance, metres.
    candidates : tuple of Candidate
        At most five, in the table's order.
    along : tuple of (float, float)
        Longitudes and latitudes of all doors of a street, where nothing but one street is named.
    source : str
        The online geocoder that was asked; empty where the city's own table answered alone.
    """

    status: Status
    lon: float = float("nan")
    lat: float = float("nan")
    matched: str = ""
    matched_on: tuple[str, ...] = ()
    confidence: float = 0.0
    radius_m: float = float("nan")
    candidates: tuple[Candidate, ...] = ()
    along: tuple[tuple[float, float], ...] = ()
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, without the fields that say nothing."""
        told: dict[str, Any] = {"status": self.status}
        if self.source:
            told["source"] = self.source
        if self.status == "found":
            told |= {
                "lon": round(self.lon, 7),
                "lat": round(self.lat, 7),
                "matched": self.matched,
                "matched_on": list(self.matched_on),
                "confidence": round(self.confidence, 3),
                "radius_m": round(self.radius_m, 1),
            }
        told["candidates"] = [
            {"address": c.address, "lon": c.lon, "lat": c.lat, "code": c.code}
            for c in self.candidates
        ]
        return told


def settle(
    table: Table,
    rows: IntArray,
    asked: Question,
    on: tuple[str, ...],
    evidence: float,
    *,
    room_m: float,
    radius_m: float = DOOR_M,
) -> Address:
    """Answer with the place of some rows if they are one place, else with all as candidates."""
    spread_m = spread(table, rows)
    if spread_m > room_m:
        return ambiguous(table, rows)
    x, y = table.x[rows], table.y[rows]
    middle = rows[np.argmin(np.hypot(x - x.mean(), y - y.mean()))]
    if asked.nearness_m:
        evidence -= 0.15
    return Address(
        "found",
        float(table.lon[middle]),
        float(table.lat[middle]),
        str(table.addresses[middle]),
        on,
        calibrated(evidence),
        radius_m + spread_m + asked.nearness_m,
    )


def ambiguous(table: Table, rows: IntArray, *, first: IntArray | None = None) -> Address:
    """Give rows as candidates, the likelier `first`, apart from each other where there are many."""
    kept: list[int] = []
    likely = np.empty(0, np.int64) if first is None else np.sort(first)
    for row in [*likely, *np.sort(rows)]:
        gaps = np.hypot(table.x[kept] - table.x[row], table.y[kept] - table.y[row])
        if not (gaps < SAME_SPOT_M).any():
            kept.append(int(row))
        if len(kept) == _MOST_CANDIDATES:
            break
    return Address("ambiguous", candidates=tuple(_candidate(table, row) for row in kept))


def a_street(table: Table, rows: IntArray) -> Address:
    """Answer with a whole street: many places, and which ones."""
    along = tuple(zip(table.lon[rows].tolist(), table.lat[rows].tolist(), strict=True))
    return replace(ambiguous(table, rows), along=along)


def _candidate(table: Table, row: int) -> Candidate:
    code = "" if table.codes is None else str(table.codes[row])
    return Candidate(str(table.addresses[row]), float(table.lon[row]), float(table.lat[row]), code)


def spread(table: Table, rows: IntArray) -> float:
    """Diagonal of the box around some rows, metres."""
    x, y = table.x[rows], table.y[rows]
    return float(np.hypot(np.ptp(x), np.ptp(y)))
