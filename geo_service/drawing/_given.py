"""What an area is drawn from, taken into one plane or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service.drawing import _atoms, _told
from geo_service.drawing._grouping import BORDER_COST
from geo_service.drawing._lines import kinds_of
from geo_service.errors import InputError, Phrase

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Given:
    """What an area is drawn from, checked and in its plane.

    Parameters
    ----------
    lines : geopandas.GeoDataFrame
        Single LineStrings with their ``kind``, as `lines_in` gives them.
    homes : Homes
        They may lie outside the area.
    walls : ndarray of shapely polygons
        Footprints of buildings.
    """

    lines: gpd.GeoDataFrame
    homes: _atoms.Homes
    walls: Shapes


def require_range(target: tuple[int, int]) -> tuple[int, int]:
    """Give the fewest and most households, refusing what is no range."""
    low, high = target
    if not 0 < low <= high:
        reason = Phrase(
            "请给出最少和最多户数", "give fewest and most households, such as 300 and 500"
        )
        raise InputError("parameter_invalid", name="target", value=f"{low}-{high}", reason=reason)
    return int(low), int(high)


def require_plane(crs: Any) -> Any:
    """Give a coordinate system, refusing one that is not in metres."""
    plane = gpd.GeoSeries([], crs=crs).crs
    if plane is None or plane.is_geographic:
        reason = Phrase("需要投影坐标系", "a metric plane is needed, such as EPSG:4547")
        raise InputError("parameter_invalid", name="crs", value=plane, reason=reason)
    return plane


def require_area(area: Any) -> None:
    """Refuse what is no polygon, or none that is valid."""
    if not isinstance(area, shapely.Polygon | shapely.MultiPolygon) or area.is_empty:
        found = "empty" if shapely.is_empty(area) else area.geom_type
        raise InputError("not_polygons", file="area", row=1, found=found)
    if not area.is_valid:
        reason = Phrase(
            f"外边界无效：{shapely.is_valid_reason(area)}",
            f"the outline is not valid: {shapely.is_valid_reason(area)}",
        )
        raise InputError("drawing_impossible", reason=reason)


def require_homes(area: Any, homes: _atoms.Homes) -> None:
    """Refuse households that all lie outside an area."""
    if homes.count.sum() and not shapely.intersects_xy(area, homes.xy).any():
        raise _told.all_outside(int(homes.count.sum()))


def lines_in(
    crs: Any, streets: gpd.GeoDataFrame, lines: gpd.GeoDataFrame | None
) -> gpd.GeoDataFrame:
    """Give all lines with their kind, single, in the plane."""
    given = [gpd.GeoDataFrame({"kind": kinds_of(streets)}, geometry=streets.geometry.values)]
    given[0] = given[0].set_crs(streets.crs).to_crs(crs)
    if lines is not None:
        further = lines.geometry.to_crs(crs)
        kind = ["line"] * len(further)
        given.append(gpd.GeoDataFrame({"kind": kind}, geometry=further.values, crs=crs))
    together = pd.concat(given, ignore_index=True).explode(ignore_index=True)
    kept = together.geometry.notna() & (together.geom_type == "LineString")
    unknown = sorted(set(together["kind"]) - set(BORDER_COST))
    if unknown:
        reason = Phrase(f"可用 {', '.join(BORDER_COST)}", f"known: {', '.join(BORDER_COST)}")
        raise InputError("parameter_invalid", name="kind", value=unknown[0], reason=reason)
    return together[kept].reset_index(drop=True)


def homes_in(area: Any, places: gpd.GeoDataFrame) -> tuple[_atoms.Homes, int]:
    """Give the homes in the area, ordered by place, and how many households lie outside."""
    return inside(area, homes_of(places))


def homes_of(places: gpd.GeoDataFrame) -> _atoms.Homes:
    """Give the homes that places stand for, ordered by place."""
    column = next((c for c in ("households", "population") if c in places), None)
    count = np.ones(len(places)) if column is None else places[column].fillna(0).to_numpy(float)
    if (count < 0).any():
        row = int(np.argmax(count < 0)) + 1
        raise InputError(
            "value_invalid", file="households", row=row, field=column, value=count[row - 1],
            reason=Phrase("户数不能为负", "a count can't be negative"),
        )  # fmt: skip
    points = places.geometry.values
    if len(places) and not (shapely.get_type_id(points) == shapely.GeometryType.POINT).all():
        points = shapely.point_on_surface(points)
    xy = np.column_stack((shapely.get_x(points), shapely.get_y(points)))  # nan: no place known
    whole = np.rint(count).astype(np.int64)
    order = np.lexsort((whole, xy[:, 1], xy[:, 0]))
    return _atoms.Homes(xy[order], whole[order])


def inside(area: Any, homes: _atoms.Homes) -> tuple[_atoms.Homes, int]:
    """Give the homes in an area, and how many households lie outside."""
    shapely.prepare(area)
    here = shapely.intersects_xy(area, homes.xy)
    return homes.some(here), int(homes.count[~here].sum())


def footprints(crs: Any, buildings: gpd.GeoDataFrame | None) -> Shapes:
    """Give the buildings' shapes in the plane."""
    if buildings is None:
        return np.empty(0, object)
    return np.asarray(buildings.geometry.to_crs(crs).values, object)
