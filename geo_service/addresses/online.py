"""Online geocoders behind the city's own table, only where an operator switched one on by key.

``GEO_SERVICE_GEOCODER=amap:KEY`` (or ``tianditu:KEY``, ``baidu:KEY``, ``nominatim:HOST``); the
extra ``geocoders`` brings geopy. Only what the table does not hold is asked there, since the text
then leaves the machine. Answers are WGS84 whatever the service's datum, and say whose they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from geo_service import crs
from geo_service.addresses.answers import Address
from geo_service.errors import ConflictError, InputError

if TYPE_CHECKING:
    from geo_service.addresses.book import AddressBook

SETTING = "GEO_SERVICE_GEOCODER"
TIMEOUT_S = 3.0
CONFIDENCE = 0.5
"""Nobody has measured these services on our questions."""

# How far off an answer of a level may be, metres (our estimate: the services state none); a level
# that is not here is an area, and no answer to where an address is.
_RADIUS_M = {
    "门牌号": 50.0, "门址": 50.0, "单元号": 50.0, "兴趣点": 100.0, "地名地址": 100.0,
    "道路交叉路口": 150.0, "公交地铁站点": 150.0, "住宅区": 300.0, "热点商圈": 500.0,
    "道路": 1000.0, "村庄": 1000.0,
}  # fmt: skip
_BAIDU_PRECISE = 1
_BAIDU_RADIUS_M = 200.0
_WIDEST_M = 1000.0
_METRES_PER_DEGREE = 111_320.0

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Service:
    """One online geocoder: its datum, and what its answers are worth.

    Parameters
    ----------
    datum : str
        Of its coordinates.
    make : callable
        Key -> an object of geopy's interface (``geocode(text)``).
    radius_m : callable
        Raw answer -> metres; ``None`` where it names an area, not an address.
    """

    datum: str
    make: Callable[[str], Any]
    radius_m: Callable[[Raw], float | None]


class OnlineGeocoder:
    """An online geocoder as an address book.

    Parameters
    ----------
    name : str
        A key of `SERVICES`.
    key : str
        What the service's operator gave out; for ``nominatim`` its host.

    Raises
    ------
    InputError
        ``geocoder_unknown``, ``geocoder_missing``.
    """

    def __init__(self, name: str, key: str) -> None:
        if name not in SERVICES or not key:
            raise InputError("geocoder_unknown", name=name, known=", ".join(SERVICES))
        self.name = name
        self._service = SERVICES[name]
        try:
            self._geopy = self._service.make(key)
        except ImportError:
            raise InputError("geocoder_missing", name=name) from None

    def find(self, text: str) -> Address:
        """Ask the service where an address is.

        Raises
        ------
        ConflictError
            ``geocoder_failed``; the key is in none of its words.
        """
        from geopy.exc import GeopyError

        try:
            place = self._geopy.geocode(text)
        except (GeopyError, KeyError, TypeError, ValueError) as error:
            raise ConflictError(
                "geocoder_failed", name=self.name, reason=type(error).__name__
            ) from None  # the cause's words may hold the address asked, and the key
        if place is None:
            return Address("not_found", source=self.name)
        radius_m = self._service.radius_m(place.raw)
        if radius_m is None or radius_m > _WIDEST_M:
            return Address("not_found", source=self.name)
        lon, lat = crs.to_wgs84(place.longitude, place.latitude, datum=self._service.datum)
        return Address(
            "found", float(lon), float(lat), str(place.address or ""), ("online",), CONFIDENCE,
            radius_m, source=self.name,
        )  # fmt: skip


class WithOnline:
    """The city's own table first; an online geocoder for what the table does not hold.

    Parameters
    ----------
    book : AddressBook
        The table.
    geocoder : OnlineGeocoder
        Asked where the table says ``not_found``.
    """

    def __init__(self, book: AddressBook, geocoder: OnlineGeocoder) -> None:
        self._book, self._geocoder = book, geocoder
        self.suggest = book.suggest

    def find(self, text: str) -> Address:
        """Find the place of an address; `Address.source` says who did."""
        own = self._book.find(text)
        if own.status != "not_found":
            return own
        there = self._geocoder.find(text)
        return there if there.status == "found" else replace(own, source=there.source)


def with_online(book: AddressBook) -> AddressBook | WithOnline:
    """Put the geocoder that the environment switches on behind a table; none by default.

    Raises
    ------
    InputError
        ``geocoder_unknown``, ``geocoder_missing``.
    """
    setting = os.environ.get(SETTING, "")
    if not setting:
        return book
    name, _, key = setting.partition(":")
    return WithOnline(book, OnlineGeocoder(name, key))


# the services -----------------------------------------------------------------------------------


def _amap(key: str) -> Any:
    def parse(answer: Raw) -> tuple[str, float, float, Raw] | None:
        if str(answer["status"]) != "1":
            raise ValueError("refused")
        if not answer["geocodes"]:
            return None
        first = answer["geocodes"][0]
        lon, lat = map(float, first["location"].split(","))
        return str(first["formatted_address"]), lon, lat, first

    def url(text: str) -> str:
        return "https://restapi.amap.com/v3/geocode/geo?" + urlencode({"address": text, "key": key})

    return _geocoder(url, parse)


def _tianditu(key: str) -> Any:
    def parse(answer: Raw) -> tuple[str, float, float, Raw] | None:
        if str(answer["status"]) != "0":
            return None
        place = answer["location"]
        return str(place["keyWord"]), float(place["lon"]), float(place["lat"]), place

    def url(text: str) -> str:
        asked = json.dumps({"keyWord": text}, ensure_ascii=False)
        return "https://api.tianditu.gov.cn/geocoder?" + urlencode({"ds": asked, "tk": key})

    return _geocoder(url, parse)


def _geocoder(
    url: Callable[[str], str], parse: Callable[[Raw], tuple[str, float, float, Raw] | None]
) -> Any:
    """A service geopy has not, through geopy's own connections, limits and errors."""
    from geopy.geocoders.base import Geocoder
    from geopy.location import Location

    def located(answer: Raw) -> Any:
        found = parse(answer)
        if found is None:
            return None
        address, lon, lat, raw = found
        return Location(address, (lat, lon), raw)

    class Own(Geocoder):
        def geocode(self, text: str) -> Any:
            return self._call_geocoder(url(text), located)

    return Own(timeout=TIMEOUT_S)


def _baidu(key: str) -> Any:
    from geopy.exc import GeocoderServiceError
    from geopy.geocoders import BaiduV3

    class Baidu(BaiduV3):
        def geocode(self, text: str) -> Any:
            try:
                return super().geocode(text)
            except GeocoderServiceError as error:
                # status 1 is both "no such place" and a fault of theirs; geopy has one class for it
                if type(error) is GeocoderServiceError and error.__cause__ is None:
                    return None
                raise

    return Baidu(key, timeout=TIMEOUT_S)


def _nominatim(host: str) -> Any:
    from geopy.geocoders import Nominatim

    scheme, _, domain = host.rpartition("://")
    return Nominatim(
        domain=domain, scheme=scheme or "https", user_agent="geo-service", timeout=TIMEOUT_S
    )


def _by_level(raw: Raw) -> float | None:
    return _RADIUS_M.get(str(raw.get("level", "")))


def _by_precision(raw: Raw) -> float | None:
    return _BAIDU_RADIUS_M if raw.get("precise") == _BAIDU_PRECISE else None


def _by_box(raw: Raw) -> float | None:
    """Half the diagonal of what Nominatim found, at most: a house is small, a town is not."""
    south, north, west, east = map(float, raw["boundingbox"])
    half = ((north - south) ** 2 + (east - west) ** 2) ** 0.5 / 2
    return max(50.0, half * _METRES_PER_DEGREE)


SERVICES: Mapping[str, Service] = {
    "amap": Service("gcj02", _amap, _by_level),
    "tianditu": Service("cgcs2000", _tianditu, _by_level),
    "baidu": Service("bd09", _baidu, _by_precision),
    "nominatim": Service("wgs84", _nominatim, _by_box),
}
"""The online geocoders known, by the name that switches them on."""
