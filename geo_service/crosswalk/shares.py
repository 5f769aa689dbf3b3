"""Which share of every grid of one layer lies in which grid of another."""

from __future__ import annotations

import math
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as grid_codes
from geo_service import crs as crs_
from geo_service.drawing.counts import share_whole
from geo_service.errors import InputError

Shapes = npt.NDArray[np.object_]

WEIGHT_FIELDS = ("weight", "households", "population")
"""Columns of weighting points, the first one present counts; else every point counts one."""

_DUST = 1e-9  # share of the smaller grid: below it a common area is rounding on a shared border
WHOLE = 0.98  # a grid this far inside one other is not cut by it


def crosswalk(
    a: gpd.GeoDataFrame,
    b: gpd.GeoDataFrame,
    *,
    weights: gpd.GeoDataFrame | list[str] | None = None,
) -> pd.DataFrame:
    """Tell which share of every grid of one layer lies in which grid of another.

    Parameters
    ----------
    a, b : geopandas.GeoDataFrame
        Layers with a column ``code``; ``b`` is brought into the plane of ``a``.
    weights : geopandas.GeoDataFrame or list of str, optional
        Points (column ``weight``, ``households`` or ``population``): shares are also given by what
        lies in each piece. Or names of count columns of ``a``, to be divided over the pieces as
        whole numbers that add up.

    Returns
    -------
    pandas.DataFrame
        One row per pair with common land, sorted by code: ``code_a``, ``code_b`` (empty where one
        layer has nothing), ``area_m2``, ``share_a``, ``share_b``. With points also ``weight``,
        ``weight_share_a``, ``weight_share_b``; with columns these. The shares of every grid of
        either layer add up to 1, the part the other layer lacks included.

    Raises
    ------
    InputError
        ``field_missing`` or ``crs_missing``.

    Notes
    -----
    Areas are exact intersections. Common land below 1e-9 of the smaller grid is rounding along a
    shared border and left out. Where a layer overlaps itself, land counts once for each of its
    grids there, and the shares are those of the sum.

    Examples
    --------
    >>> from shapely import box
    >>> old = gpd.GeoDataFrame({"code": ["A"]}, geometry=[box(0, 0, 4, 1)], crs=4547)
    >>> new = gpd.GeoDataFrame({"code": ["X"]}, geometry=[box(0, 0, 3, 1)], crs=4547)
    >>> crosswalk(old, new)[["code_a", "code_b", "share_a"]].values.tolist()
    [['A', '', 0.25], ['A', 'X', 0.75]]
    """
    b = aligned(a, b)
    shapes_a = np.asarray(a.geometry.values, object)
    shapes_b = np.asarray(b.geometry.values, object)
    i, j, pieces = _common(shapes_a, shapes_b)
    area = shapely.area(pieces)
    rest_a = _rest(shapely.area(shapes_a), i, area)
    rest_b = _rest(shapely.area(shapes_b), j, area)
    row_a = np.concatenate([i, np.flatnonzero(rest_a), np.full(np.count_nonzero(rest_b), -1)])
    row_b = np.concatenate([j, np.full(np.count_nonzero(rest_a), -1), np.flatnonzero(rest_b)])
    area = np.concatenate([area, rest_a[rest_a > 0], rest_b[rest_b > 0]])
    table = pd.DataFrame(
        {
            "code_a": _code_of(a, row_a),
            "code_b": _code_of(b, row_b),
            "area_m2": area * _square_metres(a, b, row_a, row_b),
            "share_a": _shares(area, row_a, len(a)),
            "share_b": _shares(area, row_b, len(b)),
        }
    )
    if isinstance(weights, gpd.GeoDataFrame):
        weight = _weigh(weights.to_crs(a.crs), shapes_a, shapes_b, row_a, row_b)
        table["weight"] = weight
        table["weight_share_a"] = _shares(weight, row_a, len(a))
        table["weight_share_b"] = _shares(weight, row_b, len(b))
    elif weights is not None:
        for column in weights:
            table[column] = _divide(a, column, row_a, area)
    return table.sort_values(["code_a", "code_b"], kind="stable").reset_index(drop=True)


def conflicts(table: pd.DataFrame, *, above: float = 1 - WHOLE) -> pd.DataFrame:
    """List the grids of the first layer that the second one cuts.

    Parameters
    ----------
    table : pandas.DataFrame
        As `crosswalk` gives it.
    above : float, default 0.02
        A part counts from this share of its grid on; less is drawing tolerance.

    Returns
    -------
    pandas.DataFrame
        ``code_a``, ``parts`` (how many), ``codes_b`` and ``shares`` (lists, the largest first; an
        empty code is the part outside), ordered by how evenly the grid is cut.
    """
    large = table[(table["code_a"] != "") & (table["share_a"] >= above)]
    large = large.sort_values(["code_a", "share_a"], ascending=[True, False], kind="stable")
    cut = large.groupby("code_a", sort=True).agg(
        parts=("code_b", "size"), codes_b=("code_b", list), shares=("share_a", list)
    )
    cut = cut[cut["parts"] > 1].reset_index()
    largest = cut["shares"].map(max) if len(cut) else pd.Series(dtype=float)
    return cut.iloc[np.argsort(largest.to_numpy(), kind="stable")].reset_index(drop=True)


def aligned(a: gpd.GeoDataFrame, b: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Check both layers; give the second in the plane of the first."""
    for layer in (a, b):
        if "code" not in layer:
            found = ", ".join(map(str, layer.columns))
            raise InputError("field_missing", file="layer", field="code", found=found)
    if (a.crs is None) != (b.crs is None):
        raise InputError("crs_missing", file="layer", proposal=a.crs or b.crs)
    return b if a.crs == b.crs else b.to_crs(a.crs)


def _common(a: Shapes, b: Shapes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Shapes]:
    """Give the pairs of rows with common land, and that land."""
    pairs = shapely.STRtree(b).query(a, predicate="intersects")
    i, j = pairs[:, np.lexsort(pairs[::-1])]
    pieces = shapely.intersection(a[i], b[j])
    smaller = np.minimum(shapely.area(a[i]), shapely.area(b[j]))
    real = shapely.area(pieces) > _DUST * smaller
    return i[real], j[real], pieces[real]


def _rest(
    whole: npt.NDArray[np.float64], row: npt.NDArray[np.intp], area: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give what the other layer lacks of every grid; 0 where that is rounding or less."""
    rest = whole - np.bincount(row, area, minlength=len(whole))
    rest[rest <= _DUST * whole] = 0.0
    return rest


def _square_metres(
    a: gpd.GeoDataFrame,
    b: gpd.GeoDataFrame,
    row_a: npt.NDArray[np.intp],
    row_b: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """Give the square metres of a unit of area in every pair, at its grid of either layer."""
    unit_a = np.append(unit_m2(a.crs, np.asarray(a.geometry.values, object)), 1.0)
    unit_b = np.append(unit_m2(b.crs, np.asarray(b.geometry.values, object)), 1.0)
    return np.where(row_a >= 0, unit_a[row_a], unit_b[row_b])


def unit_m2(crs: Any, shapes: Shapes) -> npt.NDArray[np.float64]:
    """Give the square metres of a unit of area at every shape, of the plane or of a square degree.

    On the ellipsoid that is M N cos(latitude) per square radian (M and N the radii of curvature),
    good to 1e-6 for anything of a grid's size.
    """
    if crs is None or not crs.is_geographic:
        return np.full(len(shapes), 1.0 if crs is None else crs_.unit_m(crs) ** 2)
    latitude = np.radians(shapely.get_y(shapely.centroid(shapes)))
    axis, flattening = crs.ellipsoid.semi_major_metre, 1 / crs.ellipsoid.inverse_flattening
    e2 = flattening * (2 - flattening)
    squeeze = 1 - e2 * np.sin(latitude) ** 2
    return np.cos(latitude) * (1 - e2) * (axis / squeeze * math.pi / 180) ** 2


def _shares(
    amount: npt.NDArray[np.float64], row: npt.NDArray[np.intp], count: int
) -> npt.NDArray[np.float64]:
    """Give each row's share of its grid's total; NaN without a grid, or of nothing."""
    inside = row >= 0
    total = np.bincount(row[inside], amount[inside], minlength=count)
    share = np.full(len(amount), np.nan)
    with np.errstate(invalid="ignore"):
        share[inside] = amount[inside] / total[row[inside]]
    return share


def _code_of(layer: gpd.GeoDataFrame, row: npt.NDArray[np.intp]) -> list[str]:
    codes = [*grid_codes.texts(layer["code"]), ""]
    return [codes[r] for r in row]


def _weigh(
    points: gpd.GeoDataFrame,
    a: Shapes,
    b: Shapes,
    row_a: npt.NDArray[np.intp],
    row_b: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """Sum up the points in every pair; a point on a border counts in the first grid it touches."""
    column = next((c for c in WEIGHT_FIELDS if c in points), None)
    weight = np.ones(len(points)) if column is None else points[column].to_numpy(float)
    at_a, at_b = _first_at(a, points), _first_at(b, points)
    width = len(b) + 1
    keys = (row_a + 1) * width + row_b + 1
    order = np.argsort(keys)
    key = (at_a + 1) * width + at_b + 1
    place = np.minimum(np.searchsorted(keys[order], key), len(keys) - 1)
    known = keys[order][place] == key
    total = np.zeros(len(keys))
    np.add.at(total, order[place[known]], weight[known])
    return total


def _first_at(shapes: Shapes, points: gpd.GeoDataFrame) -> npt.NDArray[np.intp]:
    found = np.full(len(points), len(shapes), np.intp)
    point, shape = shapely.STRtree(shapes).query(points.geometry.values, predicate="intersects")
    np.minimum.at(found, point, shape)
    found[found == len(shapes)] = -1
    return found


def _divide(
    a: gpd.GeoDataFrame,
    column: str,
    row: npt.NDArray[np.intp],
    area: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Divide a count column of the first layer over its pieces by area, in whole numbers."""
    if column not in a:
        found = ", ".join(map(str, a.columns))
        raise InputError("field_missing", file="a", field=column, found=found)
    divided = np.zeros(len(row), np.int64)
    counts = a[column].fillna(0).to_numpy()
    for grid in np.unique(row[row >= 0]):
        mine = np.flatnonzero(row == grid)
        divided[mine] = share_whole(int(counts[grid]), area[mine])
    return divided
