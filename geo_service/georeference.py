"""Which coordinate system a file is in: by what it says, by its digits, by where it then lies.

Nothing is chosen here. A file that says nothing is refused with candidates and the reason for each;
what a file says is doubted aloud where its digits, its zone or its datum speak against it.

Sources: the easting of a Chinese Gauss-Krueger system is 500 km false easting, with the zone number
in front in the prefixed form (GB/T 17278, and the EPSG names "zone 38" and "CM 114E"); 3-degree
zones 25 to 45, 6-degree zones 13 to 23.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from geo_service import crs
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

Box = tuple[float, float, float, float]
"""min x, min y, max x, max y."""

CHINA: Box = (73.0, 3.0, 136.0, 54.0)
_FIRST_3, _LAST_3, _EPSG_3_PREFIXED, _EPSG_3 = 25, 45, 4513, 4534
_FIRST_6, _LAST_6, _EPSG_6_PREFIXED = 13, 23, 4491
_MERCATOR = "EPSG:3857"
_SHOWN = 4
_NEAR_KM = 60.0  # a candidate may lie this far outside the box it is expected in

_OLD_DATUMS = {
    4610: ("西安80", "Xi'an 1980", "几十米到一百多米", "tens of metres to over a hundred"),
    4214: ("北京54", "Beijing 1954", "几十米到一百多米", "tens of metres to over a hundred"),
    4555: ("新北京54", "New Beijing", "几十米到一百多米", "tens of metres to over a hundred"),
}
"""Geographic system -> names. Between these and CGCS2000 only a province's own parameters lead."""


_COMPASS = (
    ("北", "north"), ("东北", "north-east"), ("东", "east"), ("东南", "south-east"),
    ("南", "south"), ("西南", "south-west"), ("西", "west"), ("西北", "north-west"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A coordinate system that a layer may be in, and why.

    Parameters
    ----------
    crs : str
        ``EPSG:4547``.
    zh, en : str
        The reason.
    swapped : bool
        Whether x and y must be exchanged first.
    """

    crs: str
    zh: str
    en: str
    swapped: bool = False


def candidates(bounds: Box, *, near: Box | None = None) -> tuple[Candidate, ...]:
    """Propose coordinate systems for a layer that names none, likeliest first.

    Parameters
    ----------
    bounds : tuple of float
        min x, min y, max x, max y as they stand in the file.
    near : tuple of float, optional
        Longitudes and latitudes (WGS84) of the city or outline the layer belongs to. It alone can
        tell the zone of an easting without prefix.

    Examples
    --------
    >>> [c.crs for c in candidates((38480000.0, 3760000.0, 38490000.0, 3770000.0))]
    ['EPSG:4526']
    >>> xuchang = (113.06, 33.69, 114.32, 34.41)
    >>> plain = (480000.0, 3760000.0, 490000.0, 3770000.0)
    >>> [c.crs for c in candidates(plain, near=xuchang)]
    ['EPSG:4547']
    >>> candidates((3760000.0, 480000.0, 3770000.0, 490000.0), near=xuchang)[0].swapped
    True
    """
    if not all(map(math.isfinite, bounds)):
        return ()
    found = _straight(bounds, near)
    if found:
        return found
    turned = _straight(_exchanged(bounds), near)
    return tuple(
        Candidate(c.crs, f"x、y 对调后{c.zh}", f"with x and y exchanged {c.en}", swapped=True)
        for c in turned
    )


def told(found: tuple[Candidate, ...]) -> dict[str, object]:
    """Candidates as details of a refusal: their names, and with their reasons in two languages."""
    shown = found[:_SHOWN]
    zh, en = "数值不像任何常用坐标系", "the digits fit no usual system"
    return {
        "candidates": list(dict.fromkeys(c.crs for c in shown)),
        "proposal": Phrase(
            "；".join(f"{c.crs}（{c.zh}）" for c in shown) or zh,
            "; ".join(f"{c.crs} ({c.en})" for c in shown) or en,
        ),
    }


def require_digits(bounds: Box, system: Any, *, source: str, near: Box | None = None) -> None:
    """Refuse coordinates that can't be in the system they are said to be in.

    Raises
    ------
    InputError
        ``axes_swapped`` where exchanging x and y would mend it, ``lonlat_swapped`` and
        ``lonlat_out_of_range`` for degrees, ``crs_digits_disagree`` otherwise: metres called
        degrees, a zone number where there should be none, millimetres.
    """
    if crs.is_lonlat(system):
        _require_degrees(bounds, system, source, near)
    elif not _plausible(bounds, system):
        if _plausible(_exchanged(bounds), system):
            raise InputError("axes_swapped", file=source, crs=crs.name(system), x=bounds[0],
                             y=bounds[1])  # fmt: skip
        name = crs.name(system)
        raise InputError(
            "crs_digits_disagree", file=source, crs=name, **told(candidates(bounds, near=near))
        )


def remarks(system: Any) -> tuple[Note, ...]:
    """Tell what is to be known of a file's own system: an old datum, a unit, Web Mercator."""
    notes = []
    old = old_datum(system)
    if old:
        zh, en, zh_metres, metres = _OLD_DATUMS[old]
        notes.append(
            Note(
                "old_datum",
                f"坐标系是{zh}：同样的数值当作 CGCS2000 会差{zh_metres}，"
                "不会自动转换；请用当地测绘部门的参数转换。",
                f"The file is in {en}: the same numbers taken for CGCS2000 are {metres} off. "
                "Nothing is converted on its own; convert it with your surveying office's "
                "parameters.",
            )
        )
    unit = _unit(system)
    if unit is not None:
        name, metres_each = unit
        notes.append(
            Note(
                "unit_not_metre",
                f"坐标单位是 {name}（= {metres_each:.6g} 米），不是米，请确认。",
                f"The coordinates are in {name} (= {metres_each:.6g} m), not metres; make sure.",
            )
        )
    if crs.name(system) == _MERCATOR:
        notes.append(
            Note(
                "web_mercator",
                "坐标系是 Web 墨卡托：面积按图面计算会偏大（许昌约 46 %），不可用于量算。",
                "The file is in Web Mercator: areas measured in it are too large (46 % at "
                "Xuchang); don't measure in it.",
            )
        )
    return tuple(notes)


def old_datum(system: Any) -> int | None:
    """Give the EPSG number of a superseded Chinese datum's geographic system, or ``None``.

    Examples
    --------
    >>> old_datum(2383), old_datum(2435), old_datum(4547)
    (4610, 4214, None)
    """
    geodetic = crs.parse_crs(system).geodetic_crs
    if geodetic is None:
        return None
    number = geodetic.to_epsg(min_confidence=20)
    if number in _OLD_DATUMS:
        return int(number)
    # ESRI writes D_Xian_1980 without a number.
    plain = str(geodetic.datum.name if geodetic.datum else "").lower().replace("_", " ")
    for key, word in ((4610, "xian 1980"), (4214, "beijing 1954")):
        if word in plain:
            return key
    return None


def require_same_datum(system: Any, plane: Any, *, source: str) -> None:
    """Refuse to convert silently between an old Chinese datum and a modern one.

    PROJ would do it without moving anything (Xi'an 1980) or with parameters of another region
    (Beijing 1954), and leave the layer tens of metres off.

    Raises
    ------
    InputError
        ``old_datum``.
    """
    old = old_datum(system)
    if old is None or old == old_datum(plane):
        return
    zh, en, zh_metres, metres = _OLD_DATUMS[old]
    raise InputError(
        "old_datum",
        file=source,
        datum=Phrase(zh, en),
        crs=crs.name(plane),
        metres=Phrase(zh_metres, metres),
    )


def whereabouts(lon: float, lat: float) -> tuple[str, str]:
    """Name a place by its nearest provincial capital, in Chinese and English.

    Examples
    --------
    >>> whereabouts(116.9, 36.2)
    ('济南（山东）以南 51 km', '51 km south of Jinan (Shandong)')
    """
    names, places = _capitals()
    east = (lon - places[:, 0]) * 111.32 * math.cos(math.radians(lat))
    north = (lat - places[:, 1]) * 111.0
    at = int(np.argmin(np.hypot(east, north)))
    km = float(np.hypot(east[at], north[at]))
    zh_way, way = compass(math.degrees(math.atan2(east[at], north[at])) % 360.0)
    zh_city, city, zh_province, province = names[at]
    return (
        f"{zh_city}（{zh_province}）以{zh_way} {km:.0f} km",
        f"{km:.0f} km {way} of {city} ({province})",
    )


def compass(bearing: float) -> tuple[str, str]:
    """Name a direction (degrees from north, clockwise) in Chinese and English.

    Examples
    --------
    >>> compass(0.0), compass(130.0)
    (('北', 'north'), ('东南', 'south-east'))
    """
    return _COMPASS[round(bearing / 45.0) % 8]


@lru_cache(maxsize=1)
def _capitals() -> tuple[list[tuple[str, str, str, str]], Any]:
    text = (resources.files("geo_service") / "defaults" / "provincial_capitals.csv").read_text(
        "utf-8"
    )
    rows = list(csv.DictReader(text.splitlines()))
    names = [(r["zh"], r["en"], r["province_zh"], r["province_en"]) for r in rows]
    return names, np.array([(float(r["lon"]), float(r["lat"])) for r in rows])


def lonlat_box(bounds: Box, system: Any) -> Box | None:
    """Give a box of a system in longitudes and latitudes; ``None`` where it lies outside of it."""
    x0, y0, x1, y1 = bounds
    lon, lat = crs.Plane.of(system).inverse([x0, x0, x1, x1], [y0, y1, y0, y1])
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _exchanged(bounds: Box) -> Box:
    x0, y0, x1, y1 = bounds
    return y0, x0, y1, x1


def _in_degrees(bounds: Box) -> bool:
    x0, y0, x1, y1 = bounds
    return -180 <= x0 <= x1 <= 180 and -90 <= y0 <= y1 <= 90


def _inside(bounds: Box, box: Box) -> bool:
    return box[0] <= bounds[0] <= bounds[2] <= box[2] and box[1] <= bounds[1] <= bounds[3] <= box[3]


def _straight(bounds: Box, near: Box | None) -> tuple[Candidate, ...]:
    x0, y0, x1, y1 = bounds
    if _in_degrees(bounds):
        return _degrees(bounds)
    northing = 3e5 < y0 <= y1 < 6e6
    zone = int(x0 // 1e6)
    if northing and zone == int(x1 // 1e6) and _FIRST_6 <= zone <= _LAST_3:
        return _prefixed(zone)
    if northing and 1e5 < x0 <= x1 < 9e5:
        return _plain(bounds, near)
    if 8.1e6 < x0 <= x1 < 15.1e6 and 3e5 < y0 <= y1 < 7.2e6:
        zh, en = "数值在 Web 墨卡托的中国范围内", "the digits are Web Mercator's in China"
        return (Candidate(_MERCATOR, zh, en),)
    if x0 > 1e8 and y0 > 1e8:
        return tuple(
            Candidate(c.crs, f"毫米：除以 1000 后{c.zh}", f"millimetres: divided by 1000 {c.en}")
            for c in _straight((x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000), near)
        )
    return ()


def _degrees(bounds: Box) -> tuple[Candidate, ...]:
    world = Candidate("EPSG:4326", "经纬度", "longitudes and latitudes")
    if _inside(bounds, CHINA):
        return (
            Candidate("EPSG:4490", "经纬度，位于中国", "longitudes and latitudes in China"),
            world,
        )
    if _inside(_exchanged(bounds), CHINA):
        return ()  # in latitude, longitude order; else the world's
    return (world,)


def _prefixed(zone: int) -> tuple[Candidate, ...]:
    zh, en = f"东坐标以带号 {zone} 开头", f"the eastings begin with the zone number {zone}"
    if zone >= _FIRST_3:
        return (Candidate(f"EPSG:{_EPSG_3_PREFIXED + zone - _FIRST_3}", zh, en),)
    if zone <= _LAST_6:
        six_zh, six = f"{zh}，6 度带", f"{en} of a 6-degree zone"
        return (Candidate(f"EPSG:{_EPSG_6_PREFIXED + zone - _FIRST_6}", six_zh, six),)
    return ()


def _plain(bounds: Box, near: Box | None) -> tuple[Candidate, ...]:
    """Zones of an easting without prefix, the nearest to the expected place first."""
    if near is None:
        zh = "6 位东坐标不含带号，须说明所在城市才能确定"
        en = "6-digit eastings don't tell their zone; only the place does"
        return tuple(Candidate(f"EPSG:{number}", zh, en) for number in (4547, 4546, 4548))
    ranked = []
    three = range(_EPSG_3, _EPSG_3 + _LAST_3 - _FIRST_3 + 1)
    # The meridian of every 6-degree zone is also a 3-degree zone's, so those need no turn.
    for rank, number in enumerate((*three, *range(32643, 32654))):
        box = lonlat_box(bounds, number)
        if box is None:
            continue
        away_km = _outside_km(box, near)
        if away_km <= _NEAR_KM:
            ranked.append((number > 32000, round(away_km, 1), rank, number, away_km))
    return tuple(_at(number, away_km) for *_, number, away_km in sorted(ranked))


def _at(number: int, away_km: float) -> Candidate:
    if number > 32000:
        return Candidate(f"EPSG:{number}", "UTM，少见", "UTM, rarely used here")
    if away_km == 0.0:
        return Candidate(f"EPSG:{number}", "落在给定范围内", "then it lies within the given area")
    return Candidate(
        f"EPSG:{number}",
        f"距给定范围 {away_km:.0f} km",
        f"then it lies {away_km:.0f} km from the given area",
    )


def _outside_km(box: Box, near: Box) -> float:
    """How far the middle of a box lies outside another, both in degrees."""
    lon, lat = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    east = max(near[0] - lon, lon - near[2], 0.0) * 111.32 * math.cos(math.radians(lat))
    north = max(near[1] - lat, lat - near[3], 0.0) * 111.0
    return math.hypot(east, north)


def _require_degrees(bounds: Box, system: Any, source: str, near: Box | None) -> None:
    if not _in_degrees(bounds):
        # Latitude first at more than 90 degrees east is out of range as it stands.
        if _in_degrees(_exchanged(bounds)):
            raise InputError("lonlat_swapped", x=bounds[0], y=bounds[1])
        found = candidates(bounds, near=near)
        if found:
            name = crs.name(system)
            raise InputError("crs_digits_disagree", file=source, crs=name, **told(found))
        crs.check_lonlat([bounds[0], bounds[2]], [bounds[1], bounds[3]])
    if crs.swapped(bounds):
        raise InputError("lonlat_swapped", x=bounds[0], y=bounds[1])


def _plausible(bounds: Box, system: Any) -> bool:
    """Whether coordinates lie where their plane is used: within 1,000 km of its meridian."""
    if max(map(abs, bounds)) <= 180.0:
        return False  # degrees, whichever comes first
    # Only the Chinese planes are judged: others have their own customs of origin and zone.
    middle = _chinese_easting(system)
    if middle is None:
        return True
    x0, y0, x1, y1 = bounds
    return middle - 1e6 <= x0 <= x1 <= middle + 1e6 and 0.0 <= y0 <= y1 <= 6.5e6


def _chinese_easting(system: Any) -> float | None:
    """The easting of the central meridian of a Chinese Gauss-Krueger system in metres."""
    parsed = crs.parse_crs(system)
    operation = parsed.coordinate_operation
    if operation is None or operation.method_name != "Transverse Mercator" or _unit(system):
        return None
    values = {p.name: float(p.value) for p in operation.params}
    meridian = values.get("Longitude of natural origin", 0.0)
    chinese = CHINA[0] <= meridian <= CHINA[2] and values.get("Latitude of natural origin") == 0.0
    return values["False easting"] if chinese else None


def _unit(system: Any) -> tuple[str, float] | None:
    """The unit of a plane that is not in metres."""
    parsed = crs.parse_crs(system)
    if parsed.is_geographic or not parsed.axis_info:
        return None
    axis = parsed.axis_info[0]
    factor = axis.unit_conversion_factor
    return None if factor == 1.0 else (axis.unit_name, factor)
