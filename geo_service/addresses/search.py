"""Looking a taken-apart question up in the table, from the narrowest part to the widest."""

from __future__ import annotations

import numpy as np

from geo_service.addresses.answers import (
    DOOR_M,
    SAME_SPOT_M,
    Address,
    a_street,
    ambiguous,
    calibrated,
    settle,
    spread,
)
from geo_service.addresses.likeness import doors_meant
from geo_service.addresses.names import ABOVE, AREAS, Named
from geo_service.addresses.parts import Parts
from geo_service.addresses.reading import Question
from geo_service.addresses.table import NONE, FloatArray, IntArray, Table

_WHOLE_COMPOUND_M = 400.0  # a larger compound is not one place
_WHOLE_ROAD_M = 120.0
_BESIDE_M = 150.0
_FARTHEST_NEIGHBOUR = 40  # house numbers; beyond this nothing is interpolated
_LONGEST_GAP_M = 400.0
_CROSSING_M = 120.0
_LEVELS = (
    (ABOVE, "省"),
    (ABOVE, "市"),
    ("county", "区"),
    ("county", "县"),
    ("township", "街道"),
    ("township", "镇"),
    ("township", "乡"),
)


class Search:
    """One question against the table, step by step."""

    def __init__(self, table: Table, asked: Question, parts: Parts) -> None:
        self._table, self._asked, self._parts = table, asked, parts
        self._roads = parts.of("road")
        self._compounds = _longest(parts.of("compound"))
        self._areas = {kind: parts.of(kind) for kind in AREAS}
        self._on = tuple(kind for kind in AREAS if any(not n.short for n in self._areas[kind]))
        self._slips = {n.slip for n in (*self._roads, *self._compounds) if n.slip}

    def run(self) -> Address:
        """Try what was named from the narrowest to the widest, then what only looks alike."""
        answer = self._as_named()
        if answer.status == "found" or self._is_elsewhere() or self._is_exact():
            return answer
        areas = [n for n in self._parts.named if n.kind in (ABOVE, *AREAS) and not n.short]
        doors = doors_meant(self._asked.text, areas, self._table, self._within_areas)
        if not doors.size:
            return answer
        return settle(
            self._table, doors, self._asked, (*self._on, "road~", "number"), 0.6,
            room_m=SAME_SPOT_M,
        )  # fmt: skip

    def _is_exact(self) -> bool:
        """Whether a road or compound is named as it is known: then nothing else is meant."""
        return not self._parts.altered and any(not n.slip for n in (*self._roads, *self._compounds))

    def _as_named(self) -> Address:
        if self._parts.altered or self._is_elsewhere():
            return Address("not_found")
        if self._compounds:
            return self._by_compound()
        if len({n.start for n in self._roads}) > 1:
            return self._by_crossing()
        if self._roads:
            return self._by_road()
        if self._areas["community"] and self._parts.number and not self._parts.strange_places:
            return self._by_village()
        # an area alone is many places; an unknown place in a known area is none
        return Address("ambiguous" if self._on and not self._parts.strange_places else "not_found")

    def _is_elsewhere(self) -> bool:
        """Whether an area is named that the table lacks, at a level whose areas it does know."""
        known = self._table.names.knows
        return any(
            known(kind) and area.endswith(tail)
            for area in self._parts.strange_areas
            for kind, tail in _LEVELS
        )

    def _within_areas(self, rows: IntArray) -> IntArray:
        """Keep the rows in the areas named; a short name narrows only where something is left."""
        for kind, named in self._areas.items():
            if not named or not rows.size:
                continue
            kept = rows[np.isin(self._table.ids[kind][rows], [n.name for n in named])]
            if kept.size or not all(n.short for n in named):
                rows = kept
        return rows

    # compounds ------------------------------------------------------------------------------

    def _by_compound(self) -> Address:
        table, parts = self._table, self._parts
        everywhere = np.concatenate([table.by["compound"][n.name] for n in self._compounds])
        rows = self._within_areas(everywhere)
        if not rows.size:
            return self._contradicted(everywhere)
        on = (*self._on, _told("compound", self._slips))
        if self._roads:
            along = rows[np.isin(table.ids["road"][rows], [n.name for n in self._roads])]
            if not along.size:
                return ambiguous(table, rows)
            rows, on = along, (*self._on, "road", _told("compound", self._slips))
        building = parts.building
        if parts.number and parts.number in table.number_of:
            numbered = rows[table.ids["number"][rows] == table.number_of[parts.number]]
            if numbered.size:
                rows, on = numbered, (*on, "number")
            elif not self._roads and not building:
                building = parts.number  # 锦绣家园3号 for 3号楼
            elif self._roads:
                return ambiguous(table, rows)
        elif parts.number and not self._roads and not building:
            building = parts.number
        if not building:
            return self._whole_compound(rows, on)
        held = table.building_of.get(building, NONE - 1)
        inside = rows[table.ids["building"][rows] == held]
        if not inside.size:
            return self._no_such_building(rows)
        if self._namesake_may_have(rows, inside):
            return ambiguous(table, inside)
        if parts.unit:
            unit = inside[table.ids["unit"][inside] == table.unit_of.get(parts.unit, NONE - 1)]
            if unit.size:
                inside, on = unit, (*on, "building", "unit")
                return self._found(inside, on, 0.95)
        return self._found(inside, (*on, "building"), 0.95)

    def _whole_compound(self, rows: IntArray, on: tuple[str, ...]) -> Address:
        table = self._table
        if np.unique(table.stretch["compound"][rows]).size > 1:
            return ambiguous(table, rows)
        gates = rows[table.ids["building"][rows] == NONE]
        if gates.size and spread(table, gates) <= SAME_SPOT_M:
            reach = spread(table, rows) / 2
            return self._found(gates, on, 0.85, radius_m=max(DOOR_M, reach))
        return self._found(rows, on, 0.75, room_m=_WHOLE_COMPOUND_M)

    def _no_such_building(self, rows: IntArray) -> Address:
        return ambiguous(self._table, rows)

    def _namesake_may_have(self, rows: IntArray, inside: IntArray) -> bool:
        """Whether another compound of the name may hold the building too, for all we know."""
        stretches = self._table.stretch["compound"]
        return np.unique(stretches[rows]).size > np.unique(stretches[inside]).size

    # roads ----------------------------------------------------------------------------------

    def _by_road(self) -> Address:
        table, parts = self._table, self._parts
        everywhere = np.concatenate([table.by["road"][n.name] for n in self._roads])
        rows = self._within_areas(everywhere)
        if not rows.size:
            return self._contradicted(everywhere)
        if self._slips and not self._is_backed(rows):
            return self._contradicted(rows)  # as likely another name that the table lacks
        on = (*self._on, _told("road", self._slips))
        if not parts.number:
            if np.unique(table.stretch["road"][rows]).size > 1:
                return ambiguous(table, rows)
            if spread(table, rows) > _WHOLE_ROAD_M:
                return a_street(table, rows)
            return self._found(rows, on, 0.6, room_m=_WHOLE_ROAD_M)
        number = table.number_of.get(parts.number, NONE - 1)
        here = rows[table.ids["number"][rows] == number]
        if not here.size:
            return self._between_numbers(rows, on)
        if self._slips:  # of several roads it may mean, one that has the number
            rows = rows[np.isin(table.ids["road"][rows], table.ids["road"][here])]
        others = self._stretches_without(rows, here)
        if any(self._may_have_number(stretch, rows) for stretch in others):
            elsewhere = rows[np.isin(table.stretch["road"][rows], others)]
            return ambiguous(table, elsewhere, first=here)
        return self._at_number(here, (*on, "number"), 0.9 if not others.size else 0.8)

    def _at_number(self, here: IntArray, on: tuple[str, ...], evidence: float) -> Address:
        table, parts = self._table, self._parts
        if parts.building:
            held = table.building_of.get(parts.building, NONE - 1)
            inside = here[table.ids["building"][here] == held]
            if inside.size:
                return self._found(inside, (*on, "building"), evidence + 0.05)
            evidence -= 0.2
        plain = here[(table.ids["building"][here] == NONE)]
        spread_m = spread(table, here)
        if parts.building and spread_m > SAME_SPOT_M:
            return ambiguous(table, here)
        if parts.strange_places:
            evidence -= 0.2
        if plain.size:
            return self._found(plain, on, evidence)
        return self._found(here, on, evidence - 0.1, room_m=_BESIDE_M)

    def _stretches_without(self, rows: IntArray, here: IntArray) -> IntArray:
        stretch = self._table.stretch["road"]
        return np.setdiff1d(stretch[rows], stretch[here])

    def _may_have_number(self, stretch: int, rows: IntArray) -> bool:
        """Whether a namesake's known numbers leave room for the one asked."""
        table = self._table
        known = table.house[rows[table.stretch["road"][rows] == stretch]]
        known = known[known > 0]
        asked = _leading(self._parts.number)
        return bool(known.size) and asked <= 1.2 * known.max() + 4

    def _between_numbers(self, rows: IntArray, on: tuple[str, ...]) -> Address:
        """Interpolate between the nearest known numbers, the same side of the street first."""
        table, asked = self._table, _leading(self._parts.number)
        may = [s for s in np.unique(table.stretch["road"][rows]) if self._may_have_number(s, rows)]
        if len(may) > 1:
            return ambiguous(table, rows)
        rows = rows[np.isin(table.stretch["road"][rows], may)]
        if "-" in self._parts.number or not self._parts.number.isdigit():
            main = rows[table.house[rows] == asked]
            if main.size:
                return self._found(main, (*on, "number~"), 0.7, radius_m=2 * DOOR_M)
        for side in (rows[table.house[rows] % 2 == asked % 2], rows):
            ends = _neighbours(table, side, asked)
            if ends is not None:
                return self._interpolated(*ends, on)
        return Address("not_found", candidates=ambiguous(table, rows).candidates)

    def _interpolated(self, low: int, high: int, on: tuple[str, ...]) -> Address:
        table, asked = self._table, _leading(self._parts.number)
        gap_m = float(np.hypot(table.x[low] - table.x[high], table.y[low] - table.y[high]))
        if gap_m > _LONGEST_GAP_M:
            return ambiguous(table, np.array([low, high]))
        share = (asked - table.house[low]) / max(table.house[high] - table.house[low], 1)
        return Address(
            "found",
            _mixed(table.lon, low, high, share),
            _mixed(table.lat, low, high, share),
            "",
            (*on, "number~"),
            calibrated(0.5),
            max(2 * DOOR_M, gap_m / 2 + DOOR_M) + self._asked.nearness_m,
        )

    def _by_village(self) -> Address:
        """A house of a village or community that numbers its houses itself, without a road."""
        table, named = self._table, self._areas["community"]
        rows = np.concatenate([table.by["community"][n.name] for n in named])
        rows = self._within_areas(rows)
        number = table.number_of.get(self._parts.number, NONE - 1)
        own = (table.ids["road"][rows] == NONE) & (table.ids["compound"][rows] == NONE)
        here = rows[own & (table.ids["number"][rows] == number)]
        if not here.size:
            return self._contradicted(rows)
        on = self._on if "community" in self._on else (*self._on, "community")
        return self._found(here, (*on, "number"), 0.9 if "community" in self._on else 0.7)

    # crossings ------------------------------------------------------------------------------

    def _by_crossing(self) -> Address:
        """Two roads: the number's owner if one has it, else where the two come nearest."""
        table, parts = self._table, self._parts
        if parts.number_owner >= 0:
            start = parts.named[parts.number_owner].start
            self._roads = [n for n in self._roads if n.start == start]
            return self._by_road()
        if parts.number or len({n.start for n in self._roads}) != 2:
            return Address("ambiguous")
        first, second = (
            self._within_areas(
                np.concatenate([table.by["road"][n.name] for n in self._roads if n.start == start])
            )
            for start in sorted({n.start for n in self._roads})
        )
        if not (first.size and second.size):
            return Address("not_found")
        gaps = np.hypot(
            table.x[first][:, None] - table.x[second], table.y[first][:, None] - table.y[second]
        )
        near = np.argwhere(gaps <= max(float(gaps.min()), 1.0) + SAME_SPOT_M)
        if gaps.min() > _CROSSING_M:
            return Address("not_found")
        rows = np.unique(np.concatenate([first[near[:, 0]], second[near[:, 1]]]))
        on = (*self._on, "road", "road")
        return self._found(rows, on, 0.6, room_m=3 * _CROSSING_M, radius_m=_CROSSING_M)

    # what all share -------------------------------------------------------------------------

    def _is_backed(self, rows: IntArray) -> bool:
        """Whether a slip is mended with reason: typed alike, exchanged, or an area agrees."""
        if self._slips <= {"sound", "order"}:
            return True
        named = next(n for n in self._roads if n.slip)
        kept = len(self._table.names.of("road", named.name)) - 1
        enough = kept >= (3 if named.slip == "length" else 4)
        near = "township" in self._on or "community" in self._on
        return enough or (near and self._has_number(rows))

    def _has_number(self, rows: IntArray) -> bool:
        number = self._table.number_of.get(self._parts.number, NONE - 1)
        return bool((self._table.ids["number"][rows] == number).any())

    def _contradicted(self, rows: IntArray) -> Address:
        """The place is known, but not in the area named: say where it is, answer nothing."""
        return Address("not_found", candidates=ambiguous(self._table, rows).candidates)

    def _found(
        self,
        rows: IntArray,
        on: tuple[str, ...],
        evidence: float,
        *,
        room_m: float = SAME_SPOT_M,
        radius_m: float = DOOR_M,
    ) -> Address:
        if self._slips:
            evidence -= 0.2
        return settle(
            self._table, rows, self._asked, on, evidence, room_m=room_m, radius_m=radius_m
        )


def _longest(named: list[Named]) -> list[Named]:
    """The compounds of the longest text; further ones are landmarks beside it."""
    if not named:
        return []
    length = max(n.end - n.start for n in named)
    first = next(n.start for n in named if n.end - n.start == length)
    return [n for n in named if n.start == first and n.end - n.start == length]


def _told(segment: str, slips: set[str]) -> str:
    return f"{segment}~" if slips else segment


def _leading(number: str) -> int:
    digits = number.split("-")[0].rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits.isdigit() else NONE


def _neighbours(table: Table, rows: IntArray, number: int) -> tuple[int, int] | None:
    """The rows of the nearest lower and higher house number, if both are near enough."""
    house = table.house[rows]
    low, high = rows[(house > 0) & (house < number)], rows[house > number]
    if not (low.size and high.size):
        return None
    below, above = low[np.argmax(table.house[low])], high[np.argmin(table.house[high])]
    if table.house[above] - table.house[below] > _FARTHEST_NEIGHBOUR:
        return None
    return int(below), int(above)


def _mixed(values: FloatArray, low: int, high: int, share: float) -> float:
    return float(values[low] + share * (values[high] - values[low]))
