"""A roster of staff against the grids: who is on which grid, and which grid has nobody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geo_service import codes, masking
from geo_service.notes import Note
from geo_service.profiles import Profile
from geo_service.registers.reading import Register

_SEVERAL = re.compile(r"[、,，;；/\s]+")
_ROLE_COLUMNS = (
    "role",
    "角色",
    "岗位",
    "人员类别",
    "人员类型",
    "职务",
    "网格员类型",
    "类别",
    "kind",
)
_PERSON_COLUMNS = ("person", "姓名", "人员姓名", "网格员姓名", "网格员", "head")
_HEAD = re.compile(r"(网格长|格长|组长|负责人|head)", re.IGNORECASE)
_NO_HEAD = re.compile(r"副")
_FULL_TIME = re.compile(r"(?<!非)专职|full.?time", re.IGNORECASE)


@dataclass(frozen=True)
class Staffing:
    """A roster against the grids.

    Parameters
    ----------
    persons, grids : int
        Rows of the roster that name a person, and distinct grid codes.
    per_grid : pandas.Series
        Grid code -> persons.
    without_person : tuple of str
        Grids nobody is named for (格中无人).
    unknown_grid : pandas.DataFrame
        Roster rows whose code is no grid's; like every table here masked, unless asked otherwise.
    without_grid : pandas.DataFrame
        Roster rows without a code (人不在格).
    vacant : tuple
        Roster rows that name a grid and no person.
    roles : Mapping
        Role -> persons, most first; empty where the roster has no such column.
    without_head, without_full_time : tuple of str
        Grids that have persons, but fewer heads or full-time members than the profile asks.
    overloaded : pandas.DataFrame
        Persons named for more grids than the profile allows: person, phone, grids, codes, rows.
    profile : str
        ``default@1``.
    """

    persons: int
    grids: int
    per_grid: pd.Series[int]
    without_person: tuple[str, ...]
    unknown_grid: pd.DataFrame
    without_grid: pd.DataFrame
    vacant: tuple[Any, ...]
    roles: Mapping[str, int]
    without_head: tuple[str, ...]
    without_full_time: tuple[str, ...]
    overloaded: pd.DataFrame
    profile: str

    @property
    def persons_without_grid(self) -> int:
        """Persons whose code is empty or no grid's."""
        return len(self.unknown_grid) + len(self.without_grid)

    @property
    def one_to_one(self) -> bool:
        """Whether every grid has exactly one person and every person a grid (2,038 to 2,038)."""
        return bool((self.per_grid == 1).all()) and not self.persons_without_grid

    @property
    def complete(self) -> bool:
        """Whether every grid has a person and the roles asked for, and every person a grid."""
        return not (
            self.without_person
            or self.persons_without_grid
            or self.without_head
            or self.without_full_time
        )

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader is to know, in the order of weight."""
        several = int((self.per_grid > 1).sum())
        told = [
            Note(
                "staff",
                f"网格员 {self.persons:,} 名，网格 {self.grids:,} 个；"
                + ("一格一员。" if self.one_to_one else f"一格多员 {several:,} 个。"),
                f"{self.persons:,} persons on {self.grids:,} grids; "
                + (
                    "one each."
                    if self.one_to_one
                    else f"{several:,} grids have more than one person."
                ),
            )
        ]
        for code, count, zh, en, shown in (
            ("grids_without_person", len(self.without_person), "个网格无人",
             "grids without a person", self.without_person),
            ("persons_unknown_grid", len(self.unknown_grid), "名人员的网格编码不在图上（行号）",
             "persons on a grid that is not on the map (rows)", self.unknown_grid.index),
            ("persons_without_grid", len(self.without_grid), "名人员没有网格（行号）",
             "persons without a grid (rows)", self.without_grid.index),
            ("rows_vacant", len(self.vacant), "行没有姓名，未计入人数（行号）",
             "rows without a person's name, not counted (rows)", self.vacant),
            ("grids_without_head", len(self.without_head), "个网格没有网格长",
             "grids without a head", self.without_head),
            ("grids_without_full_time", len(self.without_full_time), "个网格没有专职网格员",
             "grids without a full-time member", self.without_full_time),
            ("persons_on_many_grids", len(self.overloaded), "人兼管的网格过多（行号）",
             "persons on too many grids (rows)", self.overloaded["rows"]),
        ):  # fmt: skip
            if count:
                some = ", ".join(map(str, list(shown)[:5])) + (" …" if count > 5 else "")
                told.append(Note(code, f"{count:,} {zh}：{some}。", f"{count:,} {en}: {some}."))
        return tuple(told)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; rows of the file instead of persons."""
        return {
            "persons": self.persons,
            "grids": self.grids,
            "without_person": list(self.without_person),
            "unknown_grid_rows": self.unknown_grid.index.tolist(),
            "without_grid_rows": self.without_grid.index.tolist(),
            "vacant_rows": list(self.vacant),
            "roles": dict(self.roles),
            "without_head": list(self.without_head),
            "without_full_time": list(self.without_full_time),
            "overloaded": masking.records(self.overloaded),
            "one_to_one": self.one_to_one,
            "complete": self.complete,
            "profile": self.profile,
        }


def staff(
    roster: Register | pd.DataFrame,
    grids: pd.DataFrame,
    *,
    role_field: str | None = None,
    profile: Profile | None = None,
    unmasked: bool = False,
) -> Staffing:
    """Join a roster to the grids.

    A person may be named for several grids, their codes in one cell with ``、`` or the like between
    them; roles are open-ended.

    Parameters
    ----------
    roster : Register or DataFrame
        One row per person, with the column ``code``.
    grids : DataFrame
        With the column ``code``.
    role_field : str, optional
        The column of roles; found by its name otherwise. Without one, roles are not judged.
    profile : Profile, optional
        Says how many heads and full-time members a grid needs and how many grids a person may
        have; by default one head, no full-time member, three grids.
    unmasked : bool
        Give names, phones and ID numbers in full.
    """
    rules = profile or Profile()
    frame = roster.frame if isinstance(roster, Register) else roster
    person = next((c for c in _PERSON_COLUMNS if c in frame.columns), None)
    named = pd.Series(True, frame.index)
    if person is not None:
        named = pd.Series(codes.texts(frame[person]), frame.index) != ""
    vacant, frame = tuple(frame.index[~named]), frame[named]
    known = pd.Index(dict.fromkeys(code for code in codes.texts(grids["code"]) if code))
    cells = pd.Series(codes.texts(frame["code"]), index=frame.index, dtype="str")
    each = cells.str.split(_SEVERAL).explode()
    on_map = each[each.isin(known)]
    counts = on_map.value_counts().reindex(known, fill_value=0).sort_index()
    placed = frame.index.isin(on_map.index)
    empty = (cells == "").to_numpy()
    role = role_field or next((c for c in _ROLE_COLUMNS if c in frame.columns), None)
    roles = pd.Series([] if role is None else codes.texts(frame[role]), dtype="str")
    persons = _persons(frame)

    def shown(rows: pd.DataFrame) -> pd.DataFrame:
        return rows if unmasked else masking.masked(rows, persons=persons)

    return Staffing(
        persons=len(frame),
        grids=len(known),
        per_grid=counts,
        without_person=tuple(counts.index[counts == 0]),
        unknown_grid=shown(frame[~placed & ~empty]),
        without_grid=shown(frame[empty]),
        vacant=vacant,
        roles=dict(sorted(Counter(roles).items(), key=lambda pair: (-pair[1], pair[0]))),
        without_head=_lacking(
            frame, role, on_map, counts, wanted=_HEAD, but=_NO_HEAD, least=rules.least_heads
        ),
        without_full_time=_lacking(
            frame, role, on_map, counts, wanted=_FULL_TIME, least=rules.least_full_time
        ),
        overloaded=shown(_overloaded(frame, person, on_map, most=rules.most_grids_per_person)),
        profile=rules.label,
    )


def _lacking(
    frame: pd.DataFrame,
    role: str | None,
    on_map: pd.Series[str],
    counts: pd.Series[int],
    *,
    wanted: re.Pattern[str],
    but: re.Pattern[str] | None = None,
    least: int,
) -> tuple[str, ...]:
    """Grids with persons among whom fewer than `least` have a role."""
    if role is None or least < 1:
        return ()
    held = pd.Series(codes.texts(frame[role]), frame.index)
    has = held.map(lambda text: bool(wanted.search(text) and not (but and but.search(text))))
    found = on_map[has.reindex(on_map.index).to_numpy(bool)].value_counts()
    enough = found.reindex(counts.index, fill_value=0) >= least
    return tuple(counts.index[(counts > 0) & ~enough])


def _overloaded(
    frame: pd.DataFrame, person: str | None, on_map: pd.Series[str], *, most: int
) -> pd.DataFrame:
    """Persons on more than `most` grids; two people of one name are told apart by ID or phone."""
    columns = ["person", "phone", "grids", "codes", "rows"]
    sign = next((c for c in (*masking.ID_NUMBERS, "phone") if c in frame.columns), None)
    if person is None or sign is None:
        return pd.DataFrame(columns=columns)
    each = pd.DataFrame(
        {
            "person": pd.Series(codes.texts(frame[person]), frame.index).reindex(on_map.index),
            "sign": pd.Series(codes.texts(frame[sign]), frame.index).reindex(on_map.index),
            "code": on_map,
        }
    )
    each["row"] = each.index
    phones = frame["phone"] if "phone" in frame.columns else pd.Series("", frame.index)
    found = []
    for (name, _), rows in each[each["sign"] != ""].groupby(["person", "sign"]):
        grids = sorted(set(rows["code"]))
        if len(grids) > most:
            at = list(dict.fromkeys(rows["row"]))
            found.append((name, phones[at[0]], len(grids), grids, ", ".join(map(str, at))))
    found.sort(key=lambda row: (-row[2], row[4]))
    return pd.DataFrame(found, columns=columns)


def _persons(roster: pd.DataFrame) -> tuple[str, ...]:
    """In a roster without a column of its own for them, persons stand under ``name``."""
    return () if any(c in roster for c in _PERSON_COLUMNS) else ("name",)
