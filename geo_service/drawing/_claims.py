"""Villagers' groups (村民小组): no border cuts them, and their land is drawn along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geo_service import topology
from geo_service.drawing import _atoms
from geo_service.drawing._refusals import impossible, overlap
from geo_service.errors import InputError

_SAME_M2 = 1.0

IntArray = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Claims:
    """Which group holds what land, and whether each is to be one grid.

    Parameters
    ----------
    name : tuple of str
        The groups.
    shape : ndarray of shapely polygons
        Their land; ``None`` for a group known by its homes.
    xy, group : ndarray
        Places of homes, and the group each belongs to.
    one_grid_each : bool
        Whether a group is a grid whatever it holds.
    """

    name: tuple[str, ...]
    shape: Shapes
    xy: npt.NDArray[np.float64]
    group: IntArray
    one_grid_each: bool

    def borders(self) -> Shapes:
        """Give the borders of the groups' land."""
        return np.asarray(shapely.boundary(self.shape[~shapely.is_missing(self.shape)]), object)

    def within(self, area: Any) -> Claims | None:
        """Give what meets one of many areas."""
        land = np.array([s is not None and s.intersects(area) for s in self.shape], bool)
        here = shapely.intersects_xy(area, self.xy)
        if not land.any() and not here.any():
            return None
        own = land.copy()
        own[self.group[here]] = True
        number = np.cumsum(own) - 1
        return Claims(
            tuple(n for n, taken in zip(self.name, own, strict=True) if taken),
            self.shape[own],
            self.xy[here],
            number[self.group[here]],
            self.one_grid_each,
        )


def read(
    plane: Any,
    groups: gpd.GeoDataFrame | str | None,
    households: gpd.GeoDataFrame,
    *,
    one_grid_each: bool,
) -> Claims | None:
    """Read the groups; ``None``: there are none.

    Raises
    ------
    InputError
        ``field_missing``, ``not_polygons``, or ``drawing_impossible`` where they overlap.
    """
    if groups is None or not len(groups):
        return None
    if isinstance(groups, gpd.GeoDataFrame):
        names, land = polygons_of(groups, plane, "groups")
        nobody = np.empty(0, np.int64)
        return Claims(tuple(names), land, np.empty((0, 2)), nobody, one_grid_each)
    if groups not in households:
        found = ", ".join(map(str, households.columns))
        raise InputError("field_missing", file="households", field=groups, found=found)
    points = shapely.point_on_surface(households.geometry.to_crs(plane).values)
    known = households[groups].notna().to_numpy() & ~shapely.is_missing(points)
    told = households[groups][known].astype(str).to_numpy()
    words, group = np.unique(told, return_inverse=True)
    xy = shapely.get_coordinates(points[known])
    order = np.lexsort((group, xy[:, 1], xy[:, 0]))
    land = np.full(len(words), None, object)
    return Claims(tuple(words.tolist()), land, xy[order], group[order], one_grid_each)


def gather(atoms: Shapes, claims: Claims) -> tuple[Shapes, IntArray]:
    """Make one atom of those each claim holds; give the atoms, and the claim of each (or -1)."""
    of = _mostly_in(atoms, claims.shape)
    if len(claims.xy):
        of = _by_homes(atoms, claims, of)
    a, b, _ = topology.build(atoms).neighbours()
    piece = _pieces(of, a, b)
    first = np.unique(piece, return_index=True)[1]
    return _atoms.dissolve(atoms, piece), of[first]


def _mostly_in(atoms: Shapes, land: Shapes) -> IntArray:
    """Tell the land that holds more than half of each atom."""
    of = np.full(len(atoms), -1, np.int64)
    known = np.flatnonzero(~shapely.is_missing(land))
    if not len(known):
        return of
    atom, at = shapely.STRtree(land[known]).query(atoms, predicate="intersects")
    shared = shapely.area(shapely.intersection(atoms[atom], land[known][at]))
    most = shared > 0.5 * shapely.area(atoms)[atom]
    of[atom[most]] = known[at[most]]
    return of


def _by_homes(atoms: Shapes, claims: Claims, of: IntArray) -> IntArray:
    """Give unclaimed atoms to the group of most homes there, and the rest to whom they touch."""
    held = _atoms.Homes(claims.xy, np.ones(len(claims.xy), np.int64)).within(atoms)
    votes = np.zeros((len(atoms), len(claims.name)), np.int64)
    np.add.at(votes, (held, claims.group), 1)
    of = np.where((of < 0) & votes.any(axis=1), votes.argmax(axis=1), of)
    a, b, shared = topology.build(atoms).neighbours()
    of = _main_pieces(of, votes, a, b)
    a, b, shared = np.append(a, b), np.append(b, a), np.append(shared, shared)
    while True:
        grows = (of[a] < 0) & (of[b] >= 0)
        if not grows.any():
            return of
        best = np.lexsort((of[b[grows]], -shared[grows], a[grows]))
        atom, at = np.unique(a[grows][best], return_index=True)
        of = of.copy()
        of[atom] = of[b[grows][best][at]]


def _main_pieces(of: IntArray, votes: IntArray, a: IntArray, b: IntArray) -> IntArray:
    """Free the pieces of a group that lie apart from where most of its homes are."""
    piece = _pieces(of, a, b)
    first = np.unique(piece, return_index=True)[1]
    count = len(first)
    own = np.bincount(piece, votes[np.arange(len(of)), np.maximum(of, 0)], minlength=count)
    order = np.lexsort((first, -own, of[first]))
    main = np.zeros(count, bool)
    main[order[np.unique(of[first][order], return_index=True)[1]]] = True
    return np.where(main[piece], of, -1)


def _pieces(of: IntArray, a: IntArray, b: IntArray) -> IntArray:
    """Number the pieces that atoms of one group make up together; an unclaimed one is alone."""
    same = (of[a] == of[b]) & (of[a] >= 0)
    links = coo_array((np.ones(int(same.sum())), (a[same], b[same])), shape=(len(of),) * 2)
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def polygons_of(layer: gpd.GeoDataFrame, plane: Any, what: str) -> tuple[list[str], Shapes]:
    """Give the names and shapes of a layer in the order of their places, refusing overlaps."""
    shapes = np.asarray(layer.geometry.to_crs(plane).values, object)
    for row, shape in enumerate(shapes, start=1):
        if not isinstance(shape, shapely.Polygon | shapely.MultiPolygon) or not shape.is_valid:
            found = "-" if shape is None else shape.geom_type
            raise InputError("not_polygons", file=what, row=row, found=found)
    column = next((c for c in ("name", "code") if c in layer), None)
    names = [str(number) for number in range(1, len(layer) + 1)]
    if column is not None:
        names = layer[column].astype(str).tolist()
    spot = shapely.get_coordinates(shapely.point_on_surface(shapes))
    order = np.lexsort((spot[:, 1], spot[:, 0]))
    shapes, names = shapes[order], [names[at] for at in order]
    _require_apart(names, shapes)
    return names, shapes


def _require_apart(names: list[str], land: Shapes) -> None:
    found = overlap(land, _SAME_M2)
    if found is not None:
        a, b = sorted((names[found[0]], names[found[1]]))
        raise impossible(
            f"“{a}”与“{b}”重叠 {found[2]:.4g} 平方米",
            f"“{a}” and “{b}” overlap by {found[2]:.4g} m2",
        )
