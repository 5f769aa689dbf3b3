"""Tables of places as they come: demand, candidates, facilities, centres of circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from geo_service import _sheets, crs, encodings, layers
from geo_service.errors import InputError, MissingError, Phrase

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ID_COLUMNS = ("id", "code")


@dataclass(frozen=True, eq=False)
class Places:
    """Places with a text id, a name and a WGS84 position.

    Parameters
    ----------
    ids, names : list of str
    lon, lat : ndarray
        Degrees, WGS84.
    frame : DataFrame
        The table they came in.
    """

    ids: list[str]
    names: list[str]
    lon: FloatArray
    lat: FloatArray
    frame: pd.DataFrame

    def __len__(self) -> int:
        """How many."""
        return len(self.ids)

    @property
    def lonlat(self) -> FloatArray:
        """Positions, shape (n, 2)."""
        return np.column_stack([self.lon, self.lat])

    def also(self, other: Places) -> Places:
        """These places and then the others."""
        return Places(
            self.ids + other.ids,
            self.names + other.names,
            np.concatenate([self.lon, other.lon]),
            np.concatenate([self.lat, other.lat]),
            pd.concat([self.frame, other.frame], ignore_index=True),
        )


def read(table: pd.DataFrame | None, *, name: str) -> Places:
    """Read a table of places.

    Parameters
    ----------
    table : DataFrame, GeoDataFrame or None
        With columns ``lon`` and ``lat`` (WGS84) or a geometry; areas count at a point inside them.
        Its ``id`` or ``code`` names a row, else the row's number.
    name : str
        What refusals call it.

    Raises
    ------
    InputError
        ``field_missing``, ``value_invalid``, ``lonlat_out_of_range``, ``crs_missing``.
    """
    if table is None or len(table) == 0:
        empty = np.empty(0)
        return Places([], [], empty, empty, pd.DataFrame())
    frame = table.reset_index(drop=True)
    found = layers.match_fields(map(str, frame.columns))
    lon, lat = positions(frame, name=name)
    missing = ~(np.isfinite(lon) & np.isfinite(lat))
    if missing.any():
        at = int(np.flatnonzero(missing)[0])
        raise InputError(
            "value_invalid",
            file=name,
            row=at + 1,
            field="lon/lat",
            value="",
            reason=Phrase("没有坐标", "no position"),
        )
    crs.check_lonlat(lon, lat)
    id_column = next((c for c in _ID_COLUMNS if c in frame), found.get("code"))
    ids = [str(row + 1) for row in range(len(frame))]
    if id_column is not None:
        ids = frame[id_column].astype(str).tolist()
    names = ids
    if "name" in found:
        column = frame[found["name"]].astype(object)
        names = column.where(column.notna(), "").astype(str).tolist()
    return Places(ids, names, lon, lat, pd.DataFrame(frame))


def positions(frame: pd.DataFrame, *, name: str) -> tuple[FloatArray, FloatArray]:
    """Read the positions of a table's rows as WGS84 degrees, NaN where a number is missing.

    Raises
    ------
    InputError
        ``field_missing``, ``crs_missing``.
    """
    found = layers.match_fields(map(str, frame.columns))
    found |= {field: field for field in ("lon", "lat") if field in frame}  # before an x or y
    if isinstance(frame, gpd.GeoDataFrame) and frame.active_geometry_name is not None:
        if frame.crs is None:
            raise InputError("crs_missing", file=name, proposal="EPSG:4326")
        inside = frame.geometry.representative_point()
        lon, lat = crs.to_wgs84(inside.x, inside.y, datum=crs.name(frame.crs))
        return lon, lat
    for column in ("lon", "lat"):
        if column not in found:
            raise InputError(
                "field_missing", file=name, field=column, found=", ".join(map(str, frame.columns))
            )
    lon = pd.to_numeric(frame[found["lon"]], errors="coerce").to_numpy(float)
    lat = pd.to_numeric(frame[found["lat"]], errors="coerce").to_numpy(float)
    return lon, lat


def read_file(path: str | Path) -> pd.DataFrame:
    """Read a CSV (in any usual encoding), spreadsheet, GeoJSON or GeoPackage as it stands.

    Cells stay texts, so that codes keep their digits.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError("file_missing", file=str(path))
    ending = file.suffix.lower()
    try:
        if ending == ".xlsx":
            return _sheets.first_sheet(file, dtype=str)
        if ending in (".geojson", ".json", ".gpkg"):
            return gpd.read_file(file)
        encoding = encodings.detect_encoding(file.read_bytes(), file=file.name)
        return pd.read_csv(file, dtype=str, encoding=encoding)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=file.name, reason=error) from error


@dataclass(frozen=True, eq=False)
class Walks:
    """All walks between two sets of places within a limit, from gate to gate.

    Parameters
    ----------
    metres : scipy.sparse.csr_array, shape (origins, destinations)
        The shortest walk over all pairs of open gates; no entry beyond the limit.
    off_street_origins, off_street_destinations : ndarray of int64
        Places without a street near any gate, or with every gate closed.
    limit_m, speed_kmh : float
        What "within" means.
    """

    metres: sparse.csr_array
    off_street_origins: IntArray
    off_street_destinations: IntArray
    limit_m: float
    speed_kmh: float


def walks(streets: WalkNetwork, origins: Places, destinations: Places, **asked: Any) -> Walks:
    """Walk from places to places; a place that lists its gates is left and entered by those.

    Parameters
    ----------
    streets : WalkNetwork
    origins, destinations : Places
        A column ``entrances`` gives the gates of a place (see `gates`); without any, people walk
        from and to its position.
    **asked
        ``minutes`` and optionally ``speed_kmh`` and ``profile``, of `walking.time_matrix`.

    Returns
    -------
    Walks
    """
    start, owner = _doors(origins)
    end, owned = _doors(destinations)
    travel = streets.time_matrix(start, end, **asked)
    table = sparse.csr_array(travel.metres)
    if len(start) != len(origins) or len(end) != len(destinations):
        table = _shortest(table, owner, owned, (len(origins), len(destinations)))
    table.sort_indices()
    lost = []
    for places, doors, off in (
        (origins, owner, travel.unsnapped_origins),
        (destinations, owned, travel.unsnapped_destinations),
    ):
        good = np.zeros(len(places), dtype=bool)
        good[np.delete(doors, np.asarray(off, dtype=np.int64))] = True
        lost.append(np.flatnonzero(~good))
    return Walks(table, lost[0], lost[1], float(travel.limit_m), float(travel.speed_kmh))


def gates(text: object, *, name: str, row: int) -> list[tuple[float, float]]:
    """Read the open gates of a place.

    Parameters
    ----------
    text : object
        ``lon,lat`` of each gate, joined by ``;``; a gate that is shut has ``closed`` or 关闭 after
        it.
    name, row : str, int
        What refusals call the table and the row (from 0).

    Raises
    ------
    InputError
        ``value_invalid``, ``lonlat_out_of_range``.

    Examples
    --------
    >>> gates("113.80,34.01; 113.81,34.02 closed", name="compounds", row=0)
    [(113.8, 34.01)]
    """
    return [spot for spot, is_open in _listed_gates(text, name=name, row=row) if is_open]


def shifted_gates(text: object, datum: str) -> str:
    """The same gates in WGS84."""
    told = []
    for (lon, lat), is_open in _listed_gates(text, name="entrances", row=0):
        there = crs.to_wgs84(lon, lat, datum=datum)
        told.append(f"{float(there[0])!r},{float(there[1])!r}" + ("" if is_open else " closed"))
    return "; ".join(told)


def require_distinct(points: Places, *, name: str) -> None:
    """Refuse a table in which two rows have one id, since sites are named by it."""
    twice = pd.Series(points.ids, dtype=str).duplicated()
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise InputError(
            "value_invalid", file=name, row=at + 1, field="id", value=points.ids[at],
            reason=Phrase("出现了两次", "stands twice"),
        )  # fmt: skip


def choose(
    chosen: pd.DataFrame | Sequence[Any] | None, among: Places, *, name: str
) -> tuple[IntArray, Places]:
    """Find the places that a list of ids, or a table, names.

    Returns
    -------
    tuple
        Positions in `among`, and the rows of a table that are not among them.

    Raises
    ------
    InputError
        ``parameter_invalid`` for an id in a plain list that names nothing.
    """
    nothing = read(None, name=name)
    if chosen is None:
        return np.empty(0, dtype=np.int64), nothing
    place = {identity: at for at, identity in enumerate(among.ids)}
    if isinstance(chosen, pd.DataFrame):
        rows = read(chosen, name=name)
        known = [identity in place for identity in rows.ids]
        rest = read(rows.frame[[not k for k in known]], name=name)
        ids = [identity for identity, k in zip(rows.ids, known, strict=True) if k]
        return np.array([place[i] for i in ids], dtype=np.int64), rest
    ids = [str(identity) for identity in chosen]
    unknown = [identity for identity in ids if identity not in place]
    if unknown:
        reason = Phrase("没有这个编号的候选点", "no candidate has this id")
        raise InputError("parameter_invalid", name=name, value=unknown[0], reason=reason)
    return np.array([place[i] for i in ids], dtype=np.int64), nothing


def weights(points: Places, field: str | None, *, name: str) -> FloatArray:
    """Read a weight column; 1 each without one, NaN where a cell is empty: no data, told apart.

    Raises
    ------
    InputError
        ``field_missing`` or ``value_invalid``.
    """
    if field is None:
        return np.ones(len(points))
    if field not in points.frame:
        known = ", ".join(map(str, points.frame.columns))
        raise InputError("field_missing", file=name, field=field, found=known)
    values = pd.to_numeric(points.frame[field], errors="coerce").to_numpy(float)
    empty = points.frame[field].isna() | (points.frame[field].astype(str).str.strip() == "")
    wrong = ~(np.isfinite(values) & (values >= 0.0)) & ~empty.to_numpy(bool)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file=name, row=at + 1, field=field, value=points.frame[field].iloc[at],
            reason=Phrase("应为 0 或更大的数", "must be a number, 0 or more"),
        )  # fmt: skip
    return values


_SHUT = ("closed", "关闭", "关")


def _listed_gates(text: object, *, name: str, row: int) -> list[tuple[tuple[float, float], bool]]:
    found = []
    listed = "" if text is None or text != text else str(text)  # NaN is not itself
    for part in listed.replace("；", ";").replace("，", ",").split(";"):
        spot = part.strip()
        if not spot:
            continue
        word = next((word for word in _SHUT if spot.lower().endswith(word)), "")
        numbers = spot[: len(spot) - len(word)].split(",")
        try:
            lon, lat = (float(number) for number in numbers)
        except ValueError as error:
            raise InputError(
                "value_invalid", file=name, row=row + 1, field="entrances", value=spot,
                reason=Phrase(
                    "请写成 经度,纬度; 经度,纬度 closed", "write lon,lat; lon,lat closed"
                ),
            ) from error  # fmt: skip
        crs.check_lonlat(np.array([lon]), np.array([lat]))
        found.append(((lon, lat), not word))
    return found


def _doors(points: Places) -> tuple[FloatArray, IntArray]:
    """Where people leave and enter, and whose each door is; all gates shut: none."""
    own = np.arange(len(points))
    if "entrances" not in points.frame:
        return points.lonlat, own
    spots, owner = [], []
    for row, text in enumerate(points.frame["entrances"]):
        listed = _listed_gates(text, name="entrances", row=row)
        mine = [spot for spot, is_open in listed if is_open]
        if not listed:
            mine = [(float(points.lon[row]), float(points.lat[row]))]
        spots += mine
        owner += [row] * len(mine)
    return np.array(spots, dtype=float).reshape(-1, 2), np.array(owner, dtype=np.int64)


def _shortest(
    table: sparse.csr_array, owner: IntArray, owned: IntArray, shape: tuple[int, int]
) -> sparse.csr_array:
    """Of all pairs of doors of two places keep the shortest walk."""
    flat = table.tocoo()
    row, column = owner[flat.row], owned[flat.col]
    order = np.lexsort((flat.data, column, row))
    row, column, metres = row[order], column[order], flat.data[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    return sparse.csr_array((metres[first], (row[first], column[first])), shape=shape)
