"""Tables of places as they come: demand, candidates, facilities, centres of circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service import crs, layers
from geo_service.errors import InputError

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
            "value_invalid", file=name, row=at + 1, field="lon/lat", value="", reason="no position"
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


def require_distinct(points: Places, *, name: str) -> None:
    """Refuse a table in which two rows have one id, since sites are named by it."""
    twice = pd.Series(points.ids, dtype=str).duplicated()
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise InputError(
            "value_invalid", file=name, row=at + 1, field="id", value=points.ids[at],
            reason="stands twice",
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
        reason = "no candidate has this id"
        raise InputError("parameter_invalid", name=name, value=unknown[0], reason=reason)
    return np.array([place[i] for i in ids], dtype=np.int64), nothing


def weights(points: Places, field: str | None, *, name: str) -> FloatArray:
    """Read a weight column; 1 each without one.

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
    wrong = ~(np.isfinite(values) & (values >= 0.0))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "value_invalid", file=name, row=at + 1, field=field, value=points.frame[field].iloc[at],
            reason="must be a number, 0 or more",
        )  # fmt: skip
    return values
