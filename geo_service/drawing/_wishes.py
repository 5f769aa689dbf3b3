"""What is asked of a drawing beside the range: what stays, what stands apart, what is not cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service.drawing import _claims, _premises
from geo_service.errors import InputError, Phrase


@dataclass(frozen=True)
class Wishes:
    """What is asked of a drawing beside the range, in its plane."""

    fixed: gpd.GeoDataFrame | None = None
    seeds: npt.NDArray[np.float64] | None = None
    premises: _premises.Premises | None = None
    claims: _claims.Claims | None = None
    taken: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls,
        plane: Any,
        households: gpd.GeoDataFrame,
        *,
        fixed: gpd.GeoDataFrame | None,
        seeds: gpd.GeoDataFrame | None,
        dedicated: gpd.GeoDataFrame | None,
        groups: gpd.GeoDataFrame | str | None,
        one_grid_each: bool,
        taken: Iterable[str],
    ) -> Wishes:
        """Read the wishes as `draw` takes them."""
        if fixed is not None and len(fixed) and fixed.crs != plane:
            reason = Phrase(
                "固定网格须与划分用同一坐标系，才能原样保留",
                "fixed grids are kept to the byte only in the plane of the drawing",
            )
            raise InputError("parameter_invalid", name="fixed", value=fixed.crs, reason=reason)
        points = None
        if seeds is not None and len(seeds):
            points = shapely.get_coordinates(
                shapely.point_on_surface(seeds.geometry.to_crs(plane).values)
            )
        claims = _claims.read(plane, groups, households, one_grid_each=one_grid_each)
        kept = fixed if fixed is not None and len(fixed) else None
        codes = frozenset([] if kept is None else kept["code"].astype(str))
        apart = _premises.read(plane, dedicated)
        return cls(kept, points, apart, claims, codes | frozenset(taken))


NOTHING_ASKED = Wishes()
