"""Balanced connected partition of a graph of atoms: a spanning tree cut up, then annealed.

Every grid is a connected set of atoms at every moment. Two moves change a plan: an atom on a
border goes over to the grid next door (if what it leaves stays connected), or a few neighbouring
grids are joined and cut anew, which may also change their number. Moves are taken by Metropolis'
rule on the sum of what each grid adds to the objective and of what each border costs; a border on
a main street costs less than nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from geo_service.drawing._dice import Dice, below, chance, new_dice
from geo_service.drawing._objective import Rules, strain
from geo_service.drawing._resplit import GRID, Desk, new_desk, recombine

IntArray = npt.NDArray[np.int64]

Table = Any
"""A structured array; numba reads its fields as attributes, which the type checker can't."""

ATOM = np.dtype(
    [
        ("weight", "f8"), ("area", "f8"),
        ("x", "f8"), ("y", "f8"),  # its middle
        ("rim", "f8"),  # length of its border to nothing
        ("begin", "i8"), ("end", "i8"),  # its rows in the table of borders
        ("grid", "i8"), ("mark", "i8"), ("slot", "i8"), ("queue", "i8"),  # workspace
    ]
)  # fmt: skip
BORDER = np.dtype(
    [
        ("other", "i8"), ("length", "f8"),
        ("cost", "f8"),  # of drawing along it, in units of the objective
        ("apart", "f8"),  # the higher, the later a spanning tree crosses it
    ]
)  # fmt: skip


def partition(atoms: Table, borders: Table, rules: Rules, *, seed: int) -> IntArray:
    """Group atoms to grids.

    Parameters
    ----------
    atoms : structured ndarray of `ATOM`
        The graph; it may have several components. Workspace fields are filled here.
    borders : structured ndarray of `BORDER`
        Each border twice, once from either side, in the order of the atoms.
    rules : Rules
        The range and the search.
    seed : int
        The same seed gives the same grids.

    Returns
    -------
    ndarray of int
        The grid of every atom, from 0 without a break.
    """
    atoms = atoms.copy()
    atoms["mark"] = atoms["slot"] = 0
    atoms["grid"] = _first_plan(atoms, borders, rules.high, seed)
    if len(atoms) > 1:
        grids = np.zeros(2 * int(atoms["grid"].max()) + 16, GRID)
        _anneal(atoms, borders, grids, new_desk(), rules, new_dice(seed))
    return np.unique(atoms["grid"], return_inverse=True)[1].astype(np.int64)


def _first_plan(atoms: Table, borders: Table, high: float, seed: int) -> IntArray:
    """Cut a random spanning tree from its leaves up, wherever a branch no longer fits its stem."""
    count = len(atoms)
    key = 1.0 + borders["apart"] + np.random.default_rng(seed).random(len(borders))
    indptr = np.append(atoms["begin"], len(borders))
    tree = minimum_spanning_tree(csr_array((key, borders["other"], indptr), (count, count)))
    label = np.full(count, -1, np.int64)
    grids = 0
    for root in range(count):
        if label[root] >= 0:
            continue
        order, parent = breadth_first_order(tree, root, directed=False)
        load = atoms["weight"].copy()
        stands_alone = set()
        for atom in order[:0:-1]:
            if load[parent[atom]] + load[atom] <= high:
                load[parent[atom]] += load[atom]
            else:
                stands_alone.add(int(atom))
        for atom in order:
            if atom == root or int(atom) in stands_alone:
                label[atom] = grids
                grids += 1
            else:
                label[atom] = label[parent[atom]]
    return label


@numba.njit(cache=True, nogil=True)
def _anneal(
    atoms: Table,
    borders: Table,
    grids: Table,
    desk: Desk,
    rules: Rules,
    dice: Dice,
) -> None:
    n = len(atoms)
    for u in range(n):
        grid = grids[atoms[u].grid]
        grid.weight += atoms[u].weight
        grid.area += atoms[u].area
        grid.perimeter += atoms[u].rim
        grid.atoms += 1
        for q in range(atoms[u].begin, atoms[u].end):
            if atoms[borders[q].other].grid != atoms[u].grid:
                grid.perimeter += borders[q].length
    moves = rules.moves_per_atom * n
    cooling = math.log(rules.cold / rules.hot) / moves
    rounds = 1
    for move in range(moves):
        heat = rules.hot * math.exp(cooling * move)
        u = below(n, dice)
        begin, end = atoms[u].begin, atoms[u].end
        if begin == end:
            continue
        if chance(dice) < rules.recombine:
            recombine(u, atoms, borders, grids, desk, rules, heat, dice)
            continue
        to = atoms[borders[begin + below(end - begin, dice)].other].grid
        if to != atoms[u].grid and grids[atoms[u].grid].atoms > 1:
            rounds += 2
            _hand_over(u, to, atoms, borders, grids, rules, heat, rounds, dice)


@numba.njit(cache=True, nogil=True)
def _hand_over(
    u: int,
    to: int,
    atoms: Table,
    borders: Table,
    grids: Table,
    rules: Rules,
    heat: float,
    rounds: int,
    dice: Dice,
) -> None:
    """Give an atom to the grid next door, if Metropolis agrees and its own stays connected."""
    own = atoms[u].grid
    to_own = to_new = change = 0.0
    elsewhere = atoms[u].rim
    friends = 0
    friend = u
    for q in range(atoms[u].begin, atoms[u].end):
        border = borders[q]
        grid = atoms[border.other].grid
        if grid == own:
            to_own += border.length
            change += border.cost
            friends += 1
            friend = border.other
        elif grid == to:
            to_new += border.length
            change -= border.cost
        else:
            elsewhere += border.length
    if friends == 0:
        return
    w, a = atoms[u].weight, atoms[u].area
    old, new = grids[own], grids[to]
    shorter = old.perimeter + to_own - to_new - elsewhere
    longer = new.perimeter + to_own - to_new + elsewhere
    change += (
        strain(old.weight - w, old.area - a, shorter, rules)
        + strain(new.weight + w, new.area + a, longer, rules)
        - strain(old.weight, old.area, old.perimeter, rules)
        - strain(new.weight, new.area, new.perimeter, rules)
    )
    if change > 0.0 and chance(dice) >= math.exp(-change / heat):
        return
    if friends > 1 and not _connected_without(u, friend, friends, atoms, borders, rounds):
        return
    atoms[u].grid = to
    old.weight -= w
    old.area -= a
    old.perimeter = shorter
    old.atoms -= 1
    new.weight += w
    new.area += a
    new.perimeter = longer
    new.atoms += 1


@numba.njit(cache=True, nogil=True)
def _connected_without(
    u: int, friend: int, friends: int, atoms: Table, borders: Table, rounds: int
) -> bool:
    """Tell whether all neighbours of an atom in its own grid reach each other without it."""
    own = atoms[u].grid
    near, seen = rounds, rounds + 1
    for q in range(atoms[u].begin, atoms[u].end):
        atoms[borders[q].other].mark = near
    atoms[u].mark = seen
    atoms[friend].mark = seen
    atoms[0].queue = friend
    head, tail, found = 0, 1, 1
    while head < tail and found < friends:
        x = atoms[head].queue
        head += 1
        for q in range(atoms[x].begin, atoms[x].end):
            v = borders[q].other
            if atoms[v].grid == own and atoms[v].mark != seen:
                found += atoms[v].mark == near
                atoms[v].mark = seen
                atoms[tail].queue = v
                tail += 1
    return found == friends
