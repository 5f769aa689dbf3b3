"""The smallest pieces of several layers laid over each other, and what each of them belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

Shapes = npt.NDArray[np.object_]
Integers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Atoms:
    """Pieces between the borders of all layers, noded together: no two overlap.

    Parameters
    ----------
    shapes : ndarray of polygons
        Every piece that some layer covers.
    spots : ndarray of points
        A point inside each.
    covering : sequence of (atom, row) index arrays
        Per layer: which of its rows covers which atom; sorted by atom, then row.
    labels : ndarray of int, shape (atoms, layers)
        Equal where the same rows of that layer cover two atoms; -1 where none does.
    """

    shapes: Shapes
    spots: Shapes
    covering: Sequence[tuple[Integers, Integers]]
    labels: Integers

    @property
    def areas(self) -> npt.NDArray[np.float64]:
        """In square units of the plane."""
        return shapely.area(self.shapes)


def cut(layers: Sequence[Shapes]) -> Atoms:
    """Node all borders together and polygonise; leave out what no layer covers."""
    borders = np.concatenate([shapely.boundary(shapes) for shapes in layers])
    pieces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(borders))))
    spots = shapely.point_on_surface(pieces)
    covering = [_covering(shapes, spots) for shapes in layers]
    covered = np.zeros(len(pieces), bool)
    for atom, _ in covering:
        covered[atom] = True
    place = np.cumsum(covered) - 1
    kept = [(place[atom], row) for atom, row in covering]
    labels = np.column_stack([_labels(*pair, int(covered.sum())) for pair in kept])
    return Atoms(pieces[covered], spots[covered], kept, labels)


def slivers(atoms: Atoms, width: float) -> npt.NDArray[np.bool_]:
    """Tell which atoms no circle of a diameter fits into.

    A shape of area A and perimeter P holds a circle of radius A / P, so only those below that
    need the erosion that decides.
    """
    narrow = 2 * atoms.areas < width * shapely.length(atoms.shapes)
    eroded = shapely.buffer(atoms.shapes[narrow], -width / 2, join_style="mitre")
    narrow[narrow] = shapely.is_empty(eroded)
    return narrow


def snapped(atoms: Atoms, sliver: npt.NDArray[np.bool_]) -> Integers:
    """Give every atom the atom whose cell it joins; its own number where it stays.

    A sliver joins a neighbour that agrees with it in the first layer (the strongest), so that the
    borders of that layer stay where they are; among those, one that agrees in the next layers, then
    the one with the longest common border. Only what has no such neighbour joins another.
    """
    sliver = _spare_only_ones(atoms, sliver)
    beside = _neighbours(atoms.shapes, sliver)
    target = np.where(sliver, -1, np.arange(len(sliver)))
    waiting = np.flatnonzero(sliver).tolist()
    while waiting:
        found = {
            atom: best
            for atom in waiting
            if (best := _best(atoms.labels, target, beside[atom], atom, strict=True)) >= 0
        }
        if not found:
            free = ((_best(atoms.labels, target, beside[a], a, strict=False), a) for a in waiting)
            found = {atom: best for best, atom in free if best >= 0}
        if not found:  # slivers among themselves, like a lane on its own: they stay
            target[waiting] = waiting
            break
        for atom, best in found.items():
            target[atom] = best
        waiting = [atom for atom in waiting if target[atom] < 0]
    return target


def merged(atoms: Atoms, target: Integers) -> tuple[Shapes, Integers]:
    """Put every atom into its target's cell: the cells' shapes, and the atom each stands on."""
    kept = np.flatnonzero(target == np.arange(len(target)))
    shapes = atoms.shapes.copy()
    members = defaultdict(list)
    for atom in np.flatnonzero(target != np.arange(len(target))).tolist():
        members[int(target[atom])].append(atom)
    for atom, joined in members.items():
        parts = atoms.shapes[[atom, *joined]]
        shapes[atom] = shapely.normalize(shapely.coverage_union_all(parts))
    return shapely.orient_polygons(shapes[kept]), kept


def sums(where: Integers, amounts: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Sum amounts by place; an array of `count`."""
    return np.bincount(where, amounts, count).astype(np.float64, copy=False)


def _covering(shapes: Shapes, spots: Shapes) -> tuple[Integers, Integers]:
    spot, row = shapely.STRtree(shapes).query(spots, predicate="within")
    order = np.lexsort((row, spot))
    return spot[order], row[order]


def _labels(atom: Integers, row: Integers, count: int) -> Integers:
    """Number the sets of rows: a set of one has the row's number, larger ones numbers above."""
    labels = np.full(count, -1, np.intp)
    labels[atom] = row
    several = np.flatnonzero(np.bincount(atom, minlength=count) > 1)
    numbers: dict[tuple[int, ...], int] = {}
    above = int(row.max(initial=-1)) + 1
    for which in several.tolist():
        low, high = np.searchsorted(atom, [which, which + 1])
        rows = tuple(row[low:high].tolist())
        labels[which] = numbers.setdefault(rows, above + len(numbers))
    return labels


def _spare_only_ones(atoms: Atoms, sliver: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep the largest atom of every grid that is nothing but slivers: no source may vanish."""
    sliver, areas = sliver.copy(), atoms.areas
    for atom, row in atoms.covering:
        if not len(row):
            continue
        has_more = np.zeros(int(row.max()) + 1, bool)
        has_more[row[~sliver[atom]]] = True
        order = np.lexsort((atom, -areas[atom], row))
        first = order[np.r_[True, np.diff(row[order]) > 0]]
        sliver[atom[first[~has_more[row[first]]]]] = False
    return sliver


def _neighbours(
    shapes: Shapes, wanted: npt.NDArray[np.bool_]
) -> dict[int, list[tuple[int, float]]]:
    """Give the atoms beside each wanted one, with the length of their common border."""
    rings, ring_of = shapely.get_rings(shapes, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    start, end, owner = xy[:-1][same], xy[1:][same], ring_of[ring[:-1][same]]
    turned = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    low = np.where(turned[:, None], end, start)
    high = np.where(turned[:, None], start, end)
    key = np.column_stack([low, high])
    order = np.lexsort((owner, *key.T))
    paired = (key[order[1:]] == key[order[:-1]]).all(axis=1)
    one, other = owner[order[:-1][paired]], owner[order[1:][paired]]
    length = np.hypot(*(high - low)[order[:-1][paired]].T)
    total: dict[tuple[int, int], float] = defaultdict(float)
    for a, b, metres in zip(one.tolist(), other.tolist(), length.tolist(), strict=True):
        total[a, b] += metres
    beside: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (a, b), metres in sorted(total.items()):
        if wanted[a]:
            beside[a].append((b, metres))
        if wanted[b]:
            beside[b].append((a, metres))
    return beside


def _best(
    labels: Integers,
    target: Integers,
    beside: Sequence[tuple[int, float]],
    atom: int,
    *,
    strict: bool,
) -> int:
    """Give the cell an atom joins best, -1 where none beside it is settled (or agrees)."""
    length: dict[int, float] = defaultdict(float)
    for neighbour, metres in beside:
        if target[neighbour] >= 0:
            length[int(target[neighbour])] += metres
    agreeing = {cell: (labels[cell] == labels[atom]).tolist() for cell in length}
    if strict:
        length = {cell: m for cell, m in length.items() if agreeing[cell][0]}
    if not length:
        return -1
    return max(length, key=lambda cell: (agreeing[cell], length[cell], -cell))
