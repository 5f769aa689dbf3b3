"""A list of facilities as it arrives, brought into one form; who is open, who offers what."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service import crs, places
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.facilities import hours as opening
from geo_service.facilities import openstreetmap
from geo_service.facilities.kinds import Kinds, amenities, plain, require_kind

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
    "entrances": "entrances gates 出入口 大门 入口",
}
_SEPARATORS = re.compile(r"[,;/|、，；\s]+")


def read(path: str | Path, *, datum: str = "wgs84", known: Kinds | None = None) -> pd.DataFrame:
    """Read a list of facilities from CSV, Excel, GeoJSON, GeoPackage or an OSM extract.

    Parameters
    ----------
    path : str or Path
        CSV (in any usual encoding), ``.xlsx``, ``.geojson``, ``.gpkg`` or ``.osm.pbf``.
    datum : str
        Datum of the file's longitudes and latitudes, which GeoJSON and CSV can't say themselves.
    known : mapping, optional
        A city's own kinds.

    Returns
    -------
    DataFrame
        As `parse` gives it. ``attrs["unread"]`` lists what of an OSM extract could not be read.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``datum_unknown``, and what `parse` refuses.
    """
    file = Path(path)
    if file.name.lower().endswith(".pbf"):
        if not file.is_file():
            raise MissingError("file_missing", file=str(path))
        found, left = openstreetmap.read(file)
        table = parse(found, name=file.name, known=known)
    else:
        left = []
        table = parse(
            _in_wgs84(places.read_file(file), datum, file.name), name=file.name, known=known
        )
    table.attrs["unread"] = left
    return table


def parse(
    frame: pd.DataFrame, *, name: str = "facilities", known: Kinds | None = None
) -> pd.DataFrame:
    """Check a list of facilities and bring it into one form.

    Parameters
    ----------
    frame : DataFrame or GeoDataFrame
        Columns under their English or Chinese names; ``kind`` and a position are needed.
    name : str
        What refusals call the list.
    known : mapping, optional
        A city's own kinds; else `geo_service.facilities.kinds`.

    Returns
    -------
    DataFrame
        ``id, name, kind, status, lon, lat, amenities, hours, capacity, entrances`` and all further
        columns: id as text, kind as code, status one of `STATUSES` (``existing`` where none is
        given), WGS84 degrees, amenities as codes joined by ``;``, hours as given, capacity a whole
        number or missing, entrances as `geo_service.places.gates` reads them. The rows keep their
        order.

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
    status, offers, hours, room, doors = (
        _cells(table, field) for field in ("status", "amenities", "hours", "capacity", "entrances")
    )
    for row in rows:
        places.gates(doors[row], name=name, row=row)
    ours = pd.DataFrame({
        "id": pd.Series(found.ids, dtype=object),
        "name": pd.Series(found.names, dtype=object),
        "kind": [require_kind(value, known) for value in table["kind"]],
        "status": [_status(status[row], row, name) for row in rows],
        "lon": found.lon,
        "lat": found.lat,
        "amenities": [";".join(_amenity_codes(offers[row])) for row in rows],
        "hours": [_checked_hours(str(hours[row]), row, name) for row in rows],
        "capacity": pd.array([_capacity(room[row], row, name) for row in rows], dtype="Int64"),
        "entrances": [str(door) for door in doors],
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
        ``"02:00"``: who is open then on every day of the week; or ``"Sa 02:00"``.
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
    day, minute = opening.moment(time)
    known = {text: opening.is_open(text, day, minute) for text in _texts(frame) if text}
    open_now = [known.get(text, unknown == "open") for text in _texts(frame)]
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
        reason = Phrase(f"可用 {', '.join(amenities())}", f"known: {', '.join(amenities())}")
        raise InputError("parameter_invalid", name="amenity", value=unknown[0], reason=reason)
    has = [wanted <= set(str(text).split(";")) for text in frame["amenities"]]
    return frame[np.asarray(has, dtype=bool)]


def is_status(frame: pd.DataFrame, status: str) -> npt.NDArray[np.bool_]:
    """Tell which facilities have a status."""
    return (frame["status"] == status).to_numpy(bool)


def _in_wgs84(table: pd.DataFrame, datum: str, name: str) -> pd.DataFrame:
    """Undo a shift of the file's degrees; a layer in metres says its system itself."""
    if isinstance(table, gpd.GeoDataFrame) and table.crs is not None and table.crs.is_projected:
        return table
    table = table.rename(columns=_our_columns(table))
    lon, lat = places.positions(table, name=name)
    lon, lat = crs.to_wgs84(lon, lat, datum=datum)
    plain_table = pd.DataFrame(table).drop(columns="geometry", errors="ignore")
    shifted = plain_table.assign(lon=lon, lat=lat)
    if "entrances" in shifted:
        shifted["entrances"] = [places.shifted_gates(t, datum) for t in shifted["entrances"]]
    return shifted


def _texts(frame: pd.DataFrame) -> list[str]:
    return [str(text).strip() for text in _cells(frame, "hours")]


@lru_cache(maxsize=1)
def _amenity_names() -> dict[str, tuple[str, ...]]:
    """What a word in a list of amenities stands for; 空调 both heats and cools."""
    names: dict[str, tuple[str, ...]] = {}
    for amenity in amenities().values():
        words = {amenity.code, amenity.zh, amenity.en, *amenity.zh.split("/"), *amenity.aliases}
        for text in sorted(words):
            names[plain(text)] = (*names.get(plain(text), ()), amenity.code)
    return names


def _our_columns(frame: pd.DataFrame) -> dict[str, str]:
    """The frame's columns that hold our fields, by their first alias that is there."""
    present = {plain(column): column for column in frame.columns}
    ours: dict[str, str] = {}
    for field, aliases in _COLUMN_ALIASES.items():
        hits = (present.get(plain(alias)) for alias in aliases.split())
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
    text = plain(value)
    if not text:
        return "existing"
    for status, aliases in _STATUS_ALIASES.items():
        if text in aliases.split():
            return status
    raise InputError(
        "value_invalid", file=name, row=row + 1, field="status", value=value,
        reason=Phrase(f"可用 {', '.join(STATUSES)}", f"one of {', '.join(STATUSES)}"),
    )  # fmt: skip


def _amenity_codes(value: object) -> list[str]:
    """Codes in the table's order; words that name no amenity stay out of the five points."""
    names = _amenity_names()
    whole = names.get(plain(value))
    words = [value] if whole else _SEPARATORS.split(str(value))
    found = {code for word in words for code in names.get(plain(word), ())}
    return [code for code in amenities() if code in found]


def _checked_hours(value: str, row: int, name: str) -> str:
    text = value.strip()
    if not text:
        return ""
    try:
        opening.week(text)
    except ValueError as error:
        reason = Phrase(
            "请写成 24h、08:00-22:00 或 Mo-Fr 08:00-18:00; Sa 09:00-12:00",
            "write 24h, 08:00-22:00 or Mo-Fr 08:00-18:00; Sa 09:00-12:00",
        )
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
    if not (0 < number < 1e9 and number == int(number)):
        reason = Phrase(
            "应为大于 0 的整数；不知道就留空",
            "must be a whole number above 0; leave it empty where it is unknown",
        )
        raise InputError(
            "value_invalid", file=name, row=row + 1, field="capacity", value=value, reason=reason
        )
    return int(number)
