"""Catchments as areas with what each is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import orjson

from geo_service import crs
from geo_service.catchments import degrees, field, notes, outlines
from geo_service.catchments.field import LEG_LIMIT_M, Field, Reachable
from geo_service.catchments.outlines import Rings
from geo_service.errors import InputError, Phrase
from geo_service.streets.contraction import CM_PER_M
from geo_service.streets.extracts import Progress
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]

CELL_M = 10.0
SMOOTH_CELLS = 1.0
"""Tolerance of smoothing in cells: the steps go, F1 stays within .002 (scripts/bench/walking)."""
_WIDEST_CELLS = 1200  # a wider window doubles its cells: 15 minutes need 250, an hour 900
_KMH_PER_M_S = 3.6


_DRAWN_TOGETHER = 256  # origins whose areas are made in one call

_TYPES: dict[str, Any] = {
    "origin": np.int64, "closed_gates": np.int64, "note_zh": object, "note_en": object
}  # fmt: skip


@dataclass(frozen=True)
class _Question:
    """What is asked of every origin."""

    network: WalkNetwork
    minutes: list[float]
    limits_cm: list[int]
    reach: Reachable
    width_m: float
    smooth: bool
    speed_kmh: float


@dataclass(frozen=True)
class _Answer:
    """What one origin gets; the rings in WGS84 degrees."""

    rings: list[Rings]
    area_m2: list[float]
    reached_m: list[float]
    note: notes.Note
    gates: int


def catchment(
    network: WalkNetwork,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    *,
    minutes: float | Iterable[float] = (15,),
    datum: str = "wgs84",
    speed_kmh: float | None = None,
    profile: str | None = None,
    reach: Reachable = "nearest",
    cell_m: float | None = None,
    smooth: bool = False,
    snap_limit_m: float = SNAP_LIMIT_M,
    on_progress: Progress | None = None,
) -> gpd.GeoDataFrame:
    """Give the areas within some minutes of walking from one place or many.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    lon, lat : float or array_like
        Degrees in `datum`.
    minutes : float or iterable of float
        One area each; those of one origin are nested.
    datum : str
        Datum of `lon` and `lat`.
    speed_kmh : float, optional
        Instead of the profile's speed.
    profile : str, optional
        Who walks, instead of the network's profile.
    reach : {"nearest", "any"}
        Which street serves a place, see the module.
    cell_m : float, optional
        Width of a cell; by default 10 m, and more for hours of walking.
    smooth : bool
        Take the steps of the cells out of the outlines; still nested and valid.
    snap_limit_m : float
        The farthest street an origin may have.
    on_progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    GeoDataFrame
        WGS84, a row for each origin and minutes: ``origin`` (row of the place), ``minutes``,
        ``lon``, ``lat`` (WGS84), ``speed_kmh``, ``limit_m``, ``snap_distance_m`` (the straight leg
        from the place to the street, walked first), ``reached_m`` (length of street), ``area_m2``
        (in the network's plane), ``piece_km`` (length of the connected streets it walks on),
        ``refused_m``, ``refused_km`` (distance and length of a nearer piece that leads nowhere and
        was not taken, NaN where none), ``closed_gates`` (closed barriers within reach),
        ``note_zh``, ``note_en`` (why a reach is small or a piece was passed over, else ""),
        ``geometry`` (MultiPolygon). Of many places, one without a street near has empty areas, a
        note, and its true snap distance.

    Raises
    ------
    InputError
        ``street_too_far`` for a single place; ``parameter_invalid``; ``lonlat_swapped`` and others
        of `WalkNetwork.to_plane`.
    """
    asked = _question(network, minutes, speed_kmh, profile, reach, cell_m, smooth)
    snapped = _snapped(asked.network, lon, lat, datum, snap_limit_m)
    answers, areas = [], []
    places = snapped.edge.size
    for begin in range(0, places, _DRAWN_TOGETHER):  # so that no vertex is kept twice for long
        some = _answers(asked, snapped, snap_limit_m, range(begin, places)[:_DRAWN_TOGETHER])
        block = list(some)
        areas.append(outlines.polygons([rings for answer in block for rings in answer.rings]))
        answers += [replace(answer, rings=[]) for answer in block]
        if on_progress:
            on_progress((begin + len(block)) / places)
    columns = {
        name: np.array(values, _TYPES.get(name, np.float64))
        for name, values in _columns(asked, snapped, answers, lon, lat, datum).items()
    }
    geometry = np.concatenate(areas) if areas else np.empty(0, object)
    return gpd.GeoDataFrame(columns, geometry=geometry, crs=crs.WGS84_EPSG)


def features(
    network: WalkNetwork,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    *,
    minutes: float | Iterable[float] = (15,),
    datum: str = "wgs84",
    speed_kmh: float | None = None,
    profile: str | None = None,
    reach: Reachable = "nearest",
    cell_m: float | None = None,
    smooth: bool = False,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> list[dict[str, Any]]:
    """Give the same as GeoJSON features for orjson, without making geometries on the way.

    Parameters, properties and refusals are those of `catchment`; coordinates are written already.
    """
    asked = _question(network, minutes, speed_kmh, profile, reach, cell_m, smooth)
    snapped = _snapped(asked.network, lon, lat, datum, snap_limit_m)
    answers = list(_answers(asked, snapped, snap_limit_m, range(snapped.edge.size)))
    columns = _columns(asked, snapped, answers, lon, lat, datum)
    return [
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": orjson.Fragment(written)},
            "properties": dict(zip(columns, values, strict=True)),
        }
        for written, *values in zip(
            (area.coordinates() for answer in answers for area in answer.rings),
            *columns.values(), strict=True,
        )
    ]  # fmt: skip


def geojson(network: WalkNetwork, lon: npt.ArrayLike, lat: npt.ArrayLike, **options: Any) -> bytes:
    """Give `features` as a GeoJSON FeatureCollection."""
    body = {"type": "FeatureCollection", "features": features(network, lon, lat, **options)}
    return orjson.dumps(body)


def _question(
    network: WalkNetwork,
    minutes: float | Iterable[float],
    speed_kmh: float | None,
    profile: str | None,
    reach: Reachable,
    cell_m: float | None,
    smooth: bool,
) -> _Question:
    if profile is not None:
        network = network.with_profile(profile)
    if reach not in ("nearest", "any"):
        raise InputError(
            "parameter_invalid",
            name="reach",
            value=reach,
            reason=Phrase("可用 nearest、any", "nearest, any"),
        )
    each = _minutes(minutes)
    limits_cm = [network.limit_cm(m, speed_kmh=speed_kmh) for m in each]
    width_m = _cell_width_m(cell_m, max(limits_cm) / CM_PER_M)
    return _Question(
        network, each, limits_cm, reach, width_m, smooth,
        network.speed_m_s(speed_kmh) * _KMH_PER_M_S,
    )  # fmt: skip


def _snapped(
    network: WalkNetwork, lon: npt.ArrayLike, lat: npt.ArrayLike, datum: str, limit_m: float
) -> Snapped:
    if np.ndim(lon) == 0 and np.ndim(lat) == 0:
        return network.snap(float(lon), float(lat), datum=datum, limit_m=limit_m)  # type: ignore[arg-type] # scalars by the test above
    return network.snap_all(lon, lat, datum=datum, limit_m=limit_m)


def _answers(
    asked: _Question, snapped: Snapped, snap_limit_m: float, origins: range
) -> Iterator[_Answer]:
    network, table = asked.network, field.table(asked.network, asked.width_m)
    count = len(asked.minutes)
    for origin in origins:
        place = snapped.one(origin)
        if not place.found[0]:
            nothing = Rings(np.empty((0, 2)), np.zeros(1, np.int64), np.empty(0, np.int32), 0.0)
            note = notes.too_far(place, snap_limit_m)
            yield _Answer([nothing] * count, [0.0] * count, [0.0] * count, note, 0)
            continue
        walks = Field(table, place, asked.limits_cm, asked.reach, table.room)
        reached_m = [walks.reached_m(limit) for limit in asked.limits_cm]
        gates = walks.closed_gates(max(asked.limits_cm))
        note = notes.of(network, place, max(asked.limits_cm), max(reached_m), gates)
        rings = _rings(asked, walks)
        yield _Answer(rings, [each.area_m2 for each in rings], reached_m, note, gates)


def _rings(asked: _Question, walks: Field) -> list[Rings]:
    """Give the areas of one origin, in WGS84 degrees."""
    found = [Rings.traced(*walks.rings(limit)) for limit in asked.limits_cm]
    if asked.smooth:
        order = np.argsort(asked.limits_cm, kind="stable")
        plain = outlines.smoothed(
            [found[number].polygon() for number in order], SMOOTH_CELLS * asked.width_m
        )
        for number, area in zip(order, plain, strict=True):
            found[number] = Rings.of(area)
    return [each.moved(degrees.to_lonlat(asked.network, each.places)) for each in found]


def _columns(
    asked: _Question,
    snapped: Snapped,
    answers: list[_Answer],
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    datum: str,
) -> dict[str, list[Any]]:
    """Give what is told of each area."""
    count = len(asked.minutes)
    wgs_lon, wgs_lat = np.broadcast_arrays(*crs.to_wgs84(lon, lat, datum=datum))
    piece_km, refused_km = notes.pieces_km(asked.network, snapped)

    def of_origin(values: Iterable[Any]) -> list[Any]:
        return [value for value in values for _ in range(count)]

    return {
        "origin": of_origin(range(len(answers))),
        "minutes": asked.minutes * len(answers),
        "lon": of_origin(wgs_lon.ravel().tolist()),
        "lat": of_origin(wgs_lat.ravel().tolist()),
        "speed_kmh": of_origin([asked.speed_kmh] * len(answers)),
        "limit_m": [limit / CM_PER_M for limit in asked.limits_cm] * len(answers),
        "snap_distance_m": of_origin(snapped.snap_distance_m.tolist()),
        "reached_m": [metres for answer in answers for metres in answer.reached_m],
        "area_m2": [area for answer in answers for area in answer.area_m2],
        "piece_km": of_origin(piece_km.tolist()),
        "refused_m": of_origin(snapped.refused_distance_m.tolist()),
        "refused_km": of_origin(refused_km.tolist()),
        "closed_gates": of_origin(answer.gates for answer in answers),
        "note_zh": of_origin(answer.note.zh for answer in answers),
        "note_en": of_origin(answer.note.en for answer in answers),
    }


def _minutes(minutes: float | Iterable[float]) -> list[float]:
    each = [float(m) for m in np.atleast_1d(np.asarray(minutes, float)).ravel()]
    if not each:
        raise InputError(
            "parameter_invalid", name="minutes", value="[]", reason=Phrase("没有给出", "none given")
        )
    return each


def _cell_width_m(cell_m: float | None, limit_m: float) -> float:
    if cell_m is not None:
        if not 1.0 <= cell_m <= LEG_LIMIT_M:
            reason = Phrase(f"应为 1 到 {LEG_LIMIT_M:g} 米", f"1 to {LEG_LIMIT_M:g} metres")
            raise InputError("parameter_invalid", name="cell_m", value=cell_m, reason=reason)
        return float(cell_m)
    width_m = CELL_M
    while 2.0 * limit_m / width_m > _WIDEST_CELLS:
        width_m *= 2.0
    return width_m
