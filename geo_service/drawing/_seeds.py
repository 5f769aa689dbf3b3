"""Seeds: places that are each to be the core of a grid of its own.

The partition knows one thing a grid must hold: a weight within a range. A seed's atom is given the
weight of the whole area more, and the range is moved up by as much, so a grid with two seeds holds
too much and one with none too little. Where the households make more grids than there are seeds,
further ones are spread over the homes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service.drawing._refusals import impossible
from geo_service.drawing.sheet import Sheet

_ROUNDS = 10
_FAR_M = 1e5
_SNAP_M = 0.5

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]


def require_inside(seeds: FloatArray, area: Any) -> None:
    """Refuse seeds outside an area, and two at one place."""
    outside = ~shapely.intersects_xy(area, seeds)
    if outside.any():
        number = int(outside.argmax())
        x, y = seeds[number]
        raise impossible(
            f"第 {number + 1} 个种子点 ({x:.1f}, {y:.1f}) 不在要划分的范围内",
            f"seed {number + 1} at ({x:.1f}, {y:.1f}) lies outside what is to be drawn",
        )
    if len(np.unique(seeds, axis=0)) < len(seeds):
        raise impossible("有两个种子点在同一处", "two seeds are at one place")


def part(atoms: Shapes, seeds: FloatArray) -> Shapes:
    """Cut atoms that hold several seeds straight between them."""
    held = _holder(atoms, seeds)
    if len(np.unique(held)) == len(held):
        return atoms
    sheet = Sheet(atoms, snap=_SNAP_M)
    waiting = [(int(face), np.flatnonzero(held == face)) for face in np.unique(held)]
    while waiting:
        face, here = waiting.pop()
        if len(here) < 2:
            continue
        a, b = seeds[here[:2]]
        across = np.array([a[1] - b[1], b[0] - a[0]]) / np.hypot(*(b - a)) * _FAR_M
        middle = (a + b) / 2
        faces = sheet.split(face, shapely.LineString([middle - across, middle + across]))
        within = _holder(np.array([sheet.geometry(each) for each in faces], object), seeds[here])
        waiting += [(each, here[within == k]) for k, each in enumerate(faces)]
    return np.array([sheet.geometry(face) for face in sheet.faces], object)


def weigh(
    atoms: Shapes, weight: IntArray, seeds: FloatArray, target: tuple[int, int]
) -> tuple[IntArray, tuple[int, int]]:
    """Give weights and a range that make every grid hold one seed.

    Raises
    ------
    InputError
        ``drawing_impossible`` for more seeds than the households make grids.
    """
    low, high = target
    total = int(weight.sum())
    if len(seeds) > total // low:
        raise impossible(
            f"有 {len(seeds)} 个种子点，但 {total} 户最多只够 {total // low} 个 {low} 户以上的网格",
            f"there are {len(seeds)} seeds, but {total} households make {total // low} grids of "
            f"{low} or more at most",
        )
    held = _holder(atoms, seeds)
    wanted = max(len(seeds), round(2 * total / (low + high)))
    cores = np.append(held, _further(atoms, weight, held, wanted - len(seeds)))
    seeded = weight.copy()
    seeded[cores] += total
    return seeded, (low + total, high + total)


def _further(atoms: Shapes, weight: IntArray, held: IntArray, count: int) -> IntArray:
    """Spread further cores over the homes: the farthest first, then Lloyd's rounds."""
    middle = shapely.get_coordinates(shapely.point_on_surface(atoms))
    cores = middle[held]
    for _ in range(count):
        away = _apart(middle, cores).min(axis=1) * weight
        cores = np.vstack([cores, middle[int(away.argmax())]])
    for _ in range(_ROUNDS if count else 0):
        near = _apart(middle, cores).argmin(axis=1)
        for core in range(len(held), len(cores)):
            own = near == core
            if weight[own].sum() > 0:
                cores[core] = np.average(middle[own], axis=0, weights=weight[own])
    taken = list(held)
    for core in cores[len(held) :]:
        away = _apart(middle, core[None])[:, 0]
        away[taken] = np.inf
        taken.append(int(away.argmin()))
    return np.array(taken[len(held) :], np.int64)


def _apart(xy: FloatArray, others: FloatArray) -> FloatArray:
    squared: FloatArray = ((xy[:, None] - others[None]) ** 2).sum(axis=2)
    return squared


def _holder(shapes: Shapes, seeds: FloatArray) -> IntArray:
    tree = shapely.STRtree(shapes)
    return np.asarray(tree.nearest(np.asarray(shapely.points(seeds))), np.int64)
