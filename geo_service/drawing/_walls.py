"""Buildings as what borders keep clear of: which are cut, and ways that wind between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

WALL_M = 0.05
"""A border within a wall so thick runs along the building, not through it."""

_TOUCH_M = 0.3  # nobody walks between buildings closer than this
_SAMPLE_M = 2.0
_TRIED = 8  # divisions a direction
_STRAIGHTER_M = (10.0, 5.0, 2.0, 1.0, 0.5)
_UNEVEN = 2.0

Shapes = npt.NDArray[np.object_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def crossed(walls: Shapes, borders: Sequence[Any] | Shapes) -> npt.NDArray[np.intp]:
    """Give the buildings that a border runs through, in order."""
    lines = np.asarray(borders, object)
    building, line = shapely.STRtree(lines).query(walls, predicate="intersects")
    rooms = shapely.buffer(walls[building], -WALL_M)
    return np.unique(building[shapely.length(shapely.intersection(rooms, lines[line])) > 0.0])


def cuts_between(
    shape: Any, xy: FloatArray, count: IntArray, walls: Shapes, goal: float
) -> Iterator[Shapes]:
    """Give cuts of a block that wind between its buildings and homes, the best first.

    The block is divided into the land nearest to each building, or to each home outside them
    (Voronoi), and swept over in two directions: what the sweep has met lies on one side. Buildings
    that touch lie on one side together.

    Parameters
    ----------
    shape : shapely Polygon
        The block.
    xy, count : ndarray
        Its homes.
    walls : ndarray of shapely polygons
        Its buildings.
    goal : float
        The share of the households wanted on one side.
    """
    sites, of = _sites(shape, xy, walls)
    if len(sites) < 3 or of.max(initial=0) < 1:
        return
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.MultiPoint(sites), extend_to=shape, ordered=True)
    )
    held = of[shapely.STRtree(np.asarray(shapely.points(sites))).nearest(shapely.points(xy))]
    share = np.bincount(held, count, minlength=of.max() + 1) / count.sum()
    middle = np.column_stack([np.bincount(of, xs) for xs in sites.T]) / np.bincount(of)[:, None]
    corner = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    a, b = corner[1] - corner[0], corner[2] - corner[1]
    for ways in ((a, b), (a + b, a - b)):  # across, and slantwise if no such cut will do
        found: list[tuple[float, int, Shapes]] = []
        for way in ways:
            order = np.argsort(middle @ way, kind="stable")
            uneven = np.abs(np.cumsum(share[order])[:-1] - goal)
            for k in np.argsort(uneven, kind="stable")[:_TRIED].tolist():
                side = np.zeros(len(order), bool)
                side[order[: k + 1]] = True
                chords = _between(shape, cells[side[of]])
                if len(chords):
                    length = shapely.length(chords).sum() / np.sqrt(shape.area)
                    found.append((length + _UNEVEN * uneven[k], len(found), chords))
        for _, _, chords in sorted(found, key=lambda each: each[:2]):
            yield _straighter(shape, chords, walls)


def _sites(shape: Any, xy: FloatArray, walls: Shapes) -> tuple[FloatArray, IntArray]:
    """Give points along walls, and homes outside them, with the number of what each stands for."""
    a, b = shapely.STRtree(walls).query(walls, predicate="dwithin", distance=_TOUCH_M)
    links = coo_array((np.ones(len(a)), (a, b)), shape=(len(walls), len(walls)))
    cluster = connected_components(links, directed=False)[1]
    clipped = shapely.intersection(walls, shape)
    outline, wall = shapely.get_parts(shapely.boundary(clipped), return_index=True)
    points, at = shapely.get_coordinates(shapely.segmentize(outline, _SAMPLE_M), return_index=True)
    own = cluster[wall[at]]
    free = np.ones(len(xy), bool)
    free[shapely.STRtree(walls).query(shapely.points(xy), predicate="intersects")[0]] = False
    alone = np.unique(xy[free], axis=0)
    sites = np.vstack([points, alone])
    of = np.concatenate([own, cluster.max(initial=-1) + 1 + np.arange(len(alone))])
    sites, first = np.unique(sites, axis=0, return_index=True)
    return sites, np.unique(of[first], return_inverse=True)[1]


def _between(shape: Any, cells: Shapes) -> Shapes:
    """Give the border of some cells through a shape, from border to border; none if it's broken."""
    border = shapely.boundary(shapely.coverage_union_all(cells))
    inside = shapely.intersection(border, shape)
    chords = shapely.get_parts(shapely.line_merge(inside))
    whole = (shapely.get_dimensions(chords) == 1) & ~shapely.is_closed(chords)
    return chords if whole.all() else chords[:0]


def _straighter(shape: Any, chords: Shapes, walls: Shapes) -> Shapes:
    """Take turns out of chords as far as they stay in the shape and clear of buildings."""
    for tolerance in _STRAIGHTER_M:
        simple = shapely.simplify(chords, tolerance)
        within = shapely.covers(shapely.buffer(shape, 1e-6), simple).all()
        if within and not len(crossed(walls, simple)):
            return np.asarray(simple, object)
    return chords
