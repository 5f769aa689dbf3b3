"""Facilities of a city: what kinds there are, what a list of them says, when they are open.

Kinds and the amenities of a rest station are tables in ``defaults/``, each figure with its source
and whether that source was checked; a further kind is one more row.
"""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service import _sheets, encodings, places
from geo_service.errors import InputError, MissingError

STATUSES = ("existing", "planned", "proposed", "closed")
"""Open today; in a plan but not built; suggested by siting; no longer there."""

_STATUS_ALIASES = {
    "existing": "existing 现有 已建 已建成 建成 在用 运营 运营中 开放 正常 open",
    "planned": "planned 规划 规划中 已规划 在建 未落地 待建 未建",
    "proposed": "proposed 建议 拟建 拟选址",
    "closed": "closed 关闭 已关闭 停用 停业 撤销",
}
_COLUMN_ALIASES = {
    "id": "id code 编号 编码 设施编号 设施编码",
    "name": "name 名称 设施名称 站点名称",
    "kind": "kind type category 类型 类别 设施类型 设施类别",
    "status": "status 状态 建设状态",
    "lon": "lon longitude lng 经度",
    "lat": "lat latitude 纬度",
    "amenities": "amenities 设备 配置 设施配置 服务配置 服务项目",
    "hours": "hours opening_hours 开放时间 营业时间 服务时间",
    "capacity": "capacity 容量 服务人数 床位 餐位 日服务能力",
    "address": "address 地址 详细地址",
}
_SEPARATORS = re.compile(r"[,;/|、，；\s]+")
_ALL_DAY = re.compile(r"^(24\s*(h|hours?|小时)?(开放|营业)?|24/7|全天(24小时)?(开放|营业)?)$", re.I)
_SPAN = re.compile(r"^(\d{1,2})[:：](\d{2})\s*[-–—~～至到]\s*(次日)?(\d{1,2})[:：](\d{2})$")
_DAY_MINUTES = 24 * 60


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
        The longest walk to it; ``None``: what can be walked in `tier_minutes`.
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


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, Kind]:
    """Give all kinds by their code, in the table's order.

    Examples
    --------
    >>> kinds()["canteen"].tier_minutes
    15.0
    """
    found = [
        Kind(
            code=row["code"],
            zh=row["zh"],
            en=row["en"],
            tier_minutes=float(row["tier_minutes"]),
            threshold_m=float(row["threshold_m"]) if row["threshold_m"] else None,
            target=row["target"],
            basis=row["basis"],
            source=row["source"],
            verified=row["verified"],
            aliases=tuple(row["aliases"].split()),
        )
        for row in _default_table("facility_kinds.csv")
    ]
    return MappingProxyType({kind.code: kind for kind in found})


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
        for row in _default_table("station_amenities.csv")
    ]
    return MappingProxyType({amenity.code: amenity for amenity in found})


def require_kind(text: object) -> str:
    """Give the code of a kind named by its code, Chinese or English name, or an alias.

    Raises
    ------
    InputError
        ``kind_unknown``, with the known ones.

    Examples
    --------
    >>> require_kind("骑手驿站"), require_kind("Canteen")
    ('rest_station', 'canteen')
    """
    code = _kind_names().get(_plain(text))
    if code is None:
        known = ", ".join(f"{kind.code} {kind.zh}" for kind in kinds().values())
        raise InputError("kind_unknown", kind=text, known=known)
    return code


def read(path: str | Path) -> pd.DataFrame:
    """Read a list of facilities from CSV (in any usual encoding) or Excel; see `parse`.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, and what `parse` refuses.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    try:
        if file.suffix.lower() == ".xlsx":
            table = _sheets.first_sheet(file, dtype=str)
        else:
            encoding = encodings.detect_encoding(file.read_bytes(), file=file.name)
            table = pd.read_csv(file, dtype=str, encoding=encoding)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=file.name, reason=error) from error
    return parse(table, name=file.name)


def parse(frame: pd.DataFrame, *, name: str = "facilities") -> pd.DataFrame:
    """Check a list of facilities and bring it into one form.

    Parameters
    ----------
    frame : DataFrame or GeoDataFrame
        Columns under their English or Chinese names; ``kind`` and a position are needed.
    name : str
        What refusals call the list.

    Returns
    -------
    DataFrame
        ``id, name, kind, status, lon, lat, amenities, hours, capacity`` and all further columns:
        id as text, kind as code, status one of `STATUSES` (``existing`` where none is given), WGS84
        degrees, amenities as codes joined by ``;``, hours as given, capacity a whole number or
        missing. The rows keep their order.

    Raises
    ------
    InputError
        ``field_missing``, ``kind_unknown``, ``value_invalid``, ``lonlat_out_of_range``.
    """
    given = frame.reset_index(drop=True)
    table = given.rename(columns=_our_columns(given))
    found = places.read(table, name=name)
    if "kind" not in table:
        raise InputError(
            "field_missing", file=name, field="kind", found=", ".join(map(str, given.columns))
        )
    rows = range(len(table))
    status, offers, hours, room = (
        _cells(table, field) for field in ("status", "amenities", "hours", "capacity")
    )
    ours = pd.DataFrame({
        "id": pd.Series(found.ids, dtype=object),
        "name": pd.Series(found.names, dtype=object),
        "kind": [require_kind(value) for value in table["kind"]],
        "status": [_status(status[row], row, name) for row in rows],
        "lon": found.lon,
        "lat": found.lat,
        "amenities": [";".join(_amenity_codes(offers[row])) for row in rows],
        "hours": [_checked_hours(str(hours[row]), row, name) for row in rows],
        "capacity": pd.array([_capacity(room[row], row, name) for row in rows], dtype="Int64"),
    })  # fmt: skip
    geometry = {getattr(given, "_geometry_column_name", None)} if len(given) else set()
    further = [c for c in table.columns if c not in ours.columns and c not in geometry]
    return pd.concat([ours, pd.DataFrame(table[further])], axis=1)


def five_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Check rest stations against 冷可取暖、热可纳凉、渴能喝水、累能歇脚、行可充电.

    Parameters
    ----------
    frame : DataFrame
        As `parse` gives it; rows of other kinds are left out.

    Returns
    -------
    DataFrame
        A row per station: ``id, name``, a column of bool per point, ``missing`` (the points that
        lack, joined by 、) and ``conforms``.
    """
    points = {a.five_points: code for code, a in amenities().items() if a.five_points}
    order = ("冷可取暖", "热可纳凉", "渴能喝水", "累能歇脚", "行可充电")
    stations = frame[(frame["kind"] == "rest_station").to_numpy(bool)]
    offered = [set(str(text).split(";")) for text in stations["amenities"]]
    checked = pd.DataFrame({"id": stations["id"].tolist(), "name": stations["name"].tolist()})
    for point in order:
        checked[point] = [points[point] in codes for codes in offered]
    lacking = [
        [point for point, fulfilled in zip(order, row, strict=True) if not fulfilled]
        for row in checked[list(order)].to_numpy(bool).tolist()
    ]
    checked["missing"] = ["、".join(points) for points in lacking]
    checked["conforms"] = [not points for points in lacking]
    return checked


def opening_minutes(hours: str) -> list[tuple[int, int]]:
    """Read opening hours as spans of minutes of the day.

    Parameters
    ----------
    hours : str
        ``24h``, ``全天``, ``08:00-22:00``, ``22:00-06:00`` (past midnight), several joined by
        ``,`` ``;`` or ``、``.

    Returns
    -------
    list of (int, int)
        Begin (inclusive) and end (exclusive); a span past midnight comes as two.

    Raises
    ------
    ValueError
        For a text that isn't opening hours.

    Examples
    --------
    >>> opening_minutes("08:00-12:00、22:00-06:00")
    [(0, 360), (480, 720), (1320, 1440)]
    """
    text = hours.strip()
    if _ALL_DAY.match(text):
        return [(0, _DAY_MINUTES)]
    spans: list[tuple[int, int]] = []
    for part in re.split(r"[,;、，；]+", text):
        match = _SPAN.match(part.strip())
        if match is None:
            raise ValueError(f"not opening hours: {part!r}")
        begin = _minute(match[1], match[2])
        end = _minute(match[4], match[5])
        if begin < end:
            spans.append((begin, end))
        else:
            spans += [(begin, _DAY_MINUTES), (0, end)]
    return sorted(span for span in spans if span[0] < span[1])


def open_at(
    frame: pd.DataFrame,
    time: datetime.time | str,
    *,
    unknown: Literal["open", "closed"] = "closed",
) -> pd.DataFrame:
    """Give the facilities that are open at a time of the day.

    Parameters
    ----------
    frame : DataFrame
        With a column ``hours``.
    time : datetime.time or str
        ``"02:00"`` or the like.
    unknown : {"closed", "open"}
        How a facility without stated hours counts.

    Raises
    ------
    InputError
        ``parameter_invalid`` for a text that is no time.

    Examples
    --------
    >>> stations = pd.DataFrame({"id": ["a", "b", "c"], "hours": ["24h", "08:00-20:00", ""]})
    >>> open_at(stations, "02:00")["id"].tolist()
    ['a']
    """
    asked = _time(time)
    minute = asked.hour * 60 + asked.minute
    open_now = [
        any(begin <= minute < end for begin, end in opening_minutes(text))
        if text.strip()
        else unknown == "open"
        for text in map(str, _cells(frame, "hours"))
    ]
    return frame[np.asarray(open_now, dtype=bool)]


def offering(frame: pd.DataFrame, *codes: str) -> pd.DataFrame:
    """Give the facilities that have all of these amenities.

    Raises
    ------
    InputError
        ``parameter_invalid`` for an unknown amenity.
    """
    wanted = set(codes)
    unknown = sorted(wanted - set(amenities()))
    if unknown:
        reason = f"known: {', '.join(amenities())}"
        raise InputError("parameter_invalid", name="amenity", value=unknown[0], reason=reason)
    has = [wanted <= set(str(text).split(";")) for text in frame["amenities"]]
    return frame[np.asarray(has, dtype=bool)]


def is_status(frame: pd.DataFrame, status: str) -> npt.NDArray[np.bool_]:
    """Tell which facilities have a status."""
    return (frame["status"] == status).to_numpy(bool)


def _default_table(file: str) -> list[dict[str, str]]:
    source = resources.files("geo_service") / "defaults" / file
    return list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))


def _plain(text: object) -> str:
    return re.sub(r"[\s_-]+", " ", str(text)).strip().lower()


@lru_cache(maxsize=1)
def _kind_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for kind in kinds().values():
        for text in (kind.code, kind.zh, kind.en, *kind.zh.split("/"), *kind.aliases):
            names.setdefault(_plain(text), kind.code)
    return names


@lru_cache(maxsize=1)
def _amenity_names() -> dict[str, tuple[str, ...]]:
    """What a word in a list of amenities stands for; 空调 both heats and cools."""
    names: dict[str, tuple[str, ...]] = {}
    for amenity in amenities().values():
        words = {amenity.code, amenity.zh, amenity.en, *amenity.zh.split("/"), *amenity.aliases}
        for text in sorted(words):
            names[_plain(text)] = (*names.get(_plain(text), ()), amenity.code)
    return names


def _our_columns(frame: pd.DataFrame) -> dict[str, str]:
    """The frame's columns that hold our fields, by their first alias that is there."""
    present = {_plain(column): column for column in frame.columns}
    ours: dict[str, str] = {}
    for field, aliases in _COLUMN_ALIASES.items():
        hits = (present.get(_plain(alias)) for alias in aliases.split())
        column = next((hit for hit in hits if hit is not None), None)
        if column is not None:
            ours[str(column)] = field
    return ours


def _cells(table: pd.DataFrame, field: str) -> list[object]:
    """A column's values, empty text where there is none."""
    if field not in table:
        return [""] * len(table)
    column = table[field].astype(object)
    return column.where(column.notna(), "").tolist()


def _status(value: object, row: int, name: str) -> str:
    text = _plain(value)
    if not text:
        return "existing"
    for status, aliases in _STATUS_ALIASES.items():
        if text in aliases.split():
            return status
    raise InputError(
        "value_invalid", file=name, row=row + 1, field="status", value=value,
        reason=f"one of {', '.join(STATUSES)}",
    )  # fmt: skip


def _amenity_codes(value: object) -> list[str]:
    """Codes in the table's order; words that name no amenity stay out of the five points."""
    names = _amenity_names()
    whole = names.get(_plain(value))
    words = [value] if whole else _SEPARATORS.split(str(value))
    found = {code for word in words for code in names.get(_plain(word), ())}
    return [code for code in amenities() if code in found]


def _checked_hours(value: str, row: int, name: str) -> str:
    text = value.strip()
    if not text:
        return ""
    try:
        opening_minutes(text)
    except ValueError as error:
        reason = "write 24h or 08:00-22:00"
        raise InputError(
            "value_invalid", file=name, row=row + 1, field="hours", value=value, reason=reason
        ) from error
    return text


def _capacity(value: object, row: int, name: str) -> int | None:
    if value == "" or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not (number >= 0 and number == int(number)):
        reason = "must be a whole number, 0 or more"
        raise InputError(
            "value_invalid", file=name, row=row + 1, field="capacity", value=value, reason=reason
        )
    return int(number)


def _minute(hour: str, minute: str) -> int:
    of_day = int(hour) * 60 + int(minute)
    if int(minute) > 59 or of_day > _DAY_MINUTES:
        raise ValueError(f"no time of day: {hour}:{minute}")
    return of_day


def _time(time: datetime.time | str) -> datetime.time:
    if isinstance(time, datetime.time):
        return time
    try:
        return datetime.time.fromisoformat(time.strip())
    except ValueError as error:
        reason = "write it as 02:00"
        raise InputError("parameter_invalid", name="time", value=time, reason=reason) from error
