"""Balanced connected partition of a graph of atoms: a spanning tree cut up, then annealed.

Every grid is a connected set of atoms at every moment. Two moves change a plan: an atom on a
border goes over to the grid next door (if what it leaves stays connected), or two or three
neighbouring grids are joined and cut again along a random spanning tree, which may also change
their number (recombination: DeFord, Duchin and Solomon, 2021). Moves are taken by Metropolis' rule
on

    sum over grids of [ P / (2 sqrt(pi A)) + range penalty ] + sum over borders of their cost

with P the perimeter and A the area of a grid, so a disc counts 1; a border on a main street costs
less than nothing.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

IntArray = npt.NDArray[np.int64]
Dice = npt.NDArray[np.uint64]


ATOM = np.dtype(
    [
        ("weight", "f8"), ("area", "f8"),
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
_GRID = np.dtype(
    [("weight", "f8"), ("area", "f8"), ("perimeter", "f8"), ("atoms", "i8"), ("grid", "i8")]
)
_MEMBER = np.dtype(
    [
        ("atom", "i8"), ("part", "i8"), ("best", "i8"),
        ("parent", "i8"), ("order", "i8"), ("key", "f8"), ("load", "f8"), ("done", "b1"),
    ]
)  # fmt: skip

Table = Any
"""A structured array; numba reads its fields as attributes, which the type checker can't."""


class Rules(NamedTuple):
    """What a grid is to hold, and how hard it is tried."""

    low: float
    high: float
    penalty: float = 6.0
    hot: float = 0.5
    cold: float = 0.01
    moves_per_atom: int = 3000
    recombine: float = 0.03


_GOOD_SHAPE = 1.2  # a grid like a 2:1 rectangle adds nothing, so their number is free
_MOST_MEMBERS = 1000
_MOST_PARTS = 4
_TRIES = 4


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
        grids = np.zeros(2 * int(atoms["grid"].max()) + 16, _GRID)
        desk = np.zeros(_MOST_MEMBERS, _MEMBER)
        parts = np.zeros(2 * _MOST_PARTS, _GRID)  # of the try at hand, and of the best one
        _anneal(atoms, borders, grids, desk, parts, rules, _dice(seed))
    return np.unique(atoms["grid"], return_inverse=True)[1].astype(np.int64)


def _first_plan(atoms: Table, borders: Table, high: float, seed: int) -> IntArray:
    """Cut a random spanning tree from its leaves up, wherever a branch no longer fits its stem."""
    count = len(atoms)
    chance = 1.0 + borders["apart"] + np.random.default_rng(seed).random(len(borders))
    indptr = np.append(atoms["begin"], len(borders))
    tree = minimum_spanning_tree(csr_array((chance, borders["other"], indptr), (count, count)))
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


def _dice(seed: int) -> Dice:
    """Give the state of a generator that is the same on every machine and thread."""
    return np.random.default_rng(seed).integers(1, 2**63, 1, dtype=np.uint64)


@numba.njit(cache=True, nogil=True)
def _chance(dice: Dice) -> float:
    """Give a number in [0, 1): Marsaglia's xorshift64 (2003)."""
    state = dice[0]
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    dice[0] = state
    return float(state >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True, nogil=True)
def _below(count: int, dice: Dice) -> int:
    return int(_chance(dice) * count)


@numba.njit(cache=True, nogil=True)
def _anneal(
    atoms: Table,
    borders: Table,
    grids: Table,
    desk: Table,
    parts: Table,
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
        u = _below(n, dice)
        begin, end = atoms[u].begin, atoms[u].end
        if begin == end:
            continue
        if _chance(dice) < rules.recombine:
            _recombine(u, atoms, borders, grids, desk, parts, rules, heat, dice)
            continue
        to = atoms[borders[begin + _below(end - begin, dice)].other].grid
        if to != atoms[u].grid and grids[atoms[u].grid].atoms > 1:
            rounds += 2
            _hand_over(u, to, atoms, borders, grids, rules, heat, rounds, dice)


@numba.njit(cache=True, nogil=True)
def _strain(weight: float, area: float, perimeter: float, rules: Rules) -> float:
    strain = perimeter / (2.0 * math.sqrt(math.pi * area)) - _GOOD_SHAPE
    off = max(rules.low - weight, weight - rules.high)
    if off > 0.0:
        strain += rules.penalty * (0.5 + 2.0 * off / (rules.high - rules.low + 1.0))
    return strain


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
        _strain(old.weight - w, old.area - a, shorter, rules)
        + _strain(new.weight + w, new.area + a, longer, rules)
        - _strain(old.weight, old.area, old.perimeter, rules)
        - _strain(new.weight, new.area, new.perimeter, rules)
    )
    if change > 0.0 and _chance(dice) >= math.exp(-change / heat):
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


@numba.njit(cache=True, nogil=True)
def _gather(start: int, size: int, atoms: Table, borders: Table, desk: Table) -> int:
    """Add the atoms of a grid to the members on the desk; 0 where there is no room.

    An atom is on the desk if the place its slot names holds it: a sparse set, never to be cleared.
    """
    if size >= len(desk):
        return 0
    desk[size].atom = start
    atoms[start].slot = size
    head, tail = size, size + 1
    while head < tail:
        x = desk[head].atom
        head += 1
        for q in range(atoms[x].begin, atoms[x].end):
            v = borders[q].other
            at = atoms[v].slot
            if atoms[v].grid != atoms[start].grid or (at < tail and desk[at].atom == v):
                continue
            if tail >= len(desk):
                return 0
            desk[tail].atom = v
            atoms[v].slot = tail
            tail += 1
    return tail


@numba.njit(cache=True, nogil=True)
def _recombine(
    u: int,
    atoms: Table,
    borders: Table,
    grids: Table,
    desk: Table,
    parts: Table,
    rules: Rules,
    heat: float,
    dice: Dice,
) -> None:
    """Join a grid with one or two next to it and cut them anew, if Metropolis agrees."""
    wanted = 3 if _chance(dice) < 0.25 else 2
    joined, size = _join(u, wanted, atoms, borders, desk, parts, dice)
    before = total = 0.0
    for i in range(joined):
        grid = grids[parts[i].grid]
        total += grid.weight
        before += _strain(grid.weight, grid.area, grid.perimeter, rules)
    count = _how_many(total, rules, dice)
    if size < count or count > _MOST_PARTS or (count == 1 and joined == 1):
        return
    lowest = np.inf
    for _ in range(_TRIES if count > 1 else 1):
        if not _cut_tree(size, count, total, atoms, borders, desk, dice):
            continue
        change = _measure(size, atoms, borders, desk, parts) - before
        for i in range(count):
            change += _strain(parts[i].weight, parts[i].area, parts[i].perimeter, rules)
        if change < lowest:
            lowest = change
            for i in range(count):
                _copy(parts[i], parts[_MOST_PARTS + i])
            for i in range(size):
                desk[i].best = desk[i].part
    if lowest > 0.0 and _chance(dice) >= math.exp(-lowest / heat):
        return
    if not _find_free(joined, count, grids, parts, dice):
        return
    for i in range(joined):
        grids[parts[i].grid].atoms = 0
    for i in range(count):
        _copy(parts[_MOST_PARTS + i], grids[parts[i].grid])
    for i in range(size):
        atoms[desk[i].atom].grid = parts[desk[i].best].grid


@numba.njit(cache=True, nogil=True)
def _join(
    u: int, wanted: int, atoms: Table, borders: Table, desk: Table, parts: Table, dice: Dice
) -> tuple[int, int]:
    """Put an atom's grid and some next to it on the desk; tell how many, of how many atoms."""
    parts[0].grid = atoms[u].grid
    joined = 0
    size = _gather(u, joined, atoms, borders, desk)
    joined += 1
    for _ in range(40):
        if joined == wanted or size == 0:
            break
        x = desk[_below(size, dice)].atom
        if atoms[x].begin == atoms[x].end:
            continue
        v = borders[atoms[x].begin + _below(atoms[x].end - atoms[x].begin, dice)].other
        if atoms[v].slot < size and desk[atoms[v].slot].atom == v:
            continue
        parts[joined].grid = atoms[v].grid
        joined += 1
        size = _gather(v, size, atoms, borders, desk)
    return joined, size


@numba.njit(cache=True, nogil=True)
def _copy(source: Table, target: Table) -> None:
    target.weight = source.weight
    target.area = source.area
    target.perimeter = source.perimeter
    target.atoms = source.atoms


@numba.njit(cache=True, nogil=True)
def _find_free(joined: int, count: int, grids: Table, parts: Table, dice: Dice) -> bool:
    """Find numbers no grid has, for the parts beyond the grids that were joined."""
    g = _below(len(grids), dice)
    for i in range(joined, count):
        for _ in range(len(grids)):
            g = (g + 1) % len(grids)
            if grids[g].atoms == 0:
                break
        if grids[g].atoms > 0:
            return False
        parts[i].grid = g
    return True


@numba.njit(cache=True, nogil=True)
def _how_many(total: float, rules: Rules, dice: Dice) -> int:
    """Give a number of grids for some households: the middle of what is possible, or near it."""
    middle = max(round(2.0 * total / (rules.low + rules.high)), 1)
    fewest = max(math.ceil(total / rules.high), 1)
    most = int(total / max(rules.low, 1.0))
    if most < fewest:
        return middle
    if _chance(dice) < 0.3:
        return fewest + _below(most + 1 - fewest, dice)
    return min(max(middle, fewest), most)


@numba.njit(cache=True, nogil=True)
def _cut_tree(
    size: int, parts: int, total: float, atoms: Table, borders: Table, desk: Table, dice: Dice
) -> bool:
    """Cut the members into connected parts of like weight, each off a random spanning tree."""
    for i in range(size):
        desk[i].part = 0
    left = total
    for number in range(1, parts):
        goal = left / (parts - number + 1)
        placed = _span(size, atoms, borders, desk, dice)
        if placed < 2:
            return False
        best, cut, inside = np.inf, -1, True
        for i in range(placed - 1, 0, -1):
            member = desk[i].order
            branch = desk[member].load
            off = abs(branch - goal) * (1.0 + 0.5 * _chance(dice))
            if off < best:
                best, cut, inside = off, member, True
            off = abs(left - branch - goal) * (1.0 + 0.5 * _chance(dice))
            if off < best:
                best, cut, inside = off, member, False
            desk[desk[member].parent].load += branch
        for i in range(placed):
            member = desk[i].order
            desk[member].done = member == cut or (i > 0 and desk[desk[member].parent].done)
        left = 0.0
        for i in range(placed):
            member = desk[i].order
            if desk[member].done == inside:
                desk[member].part = number
            else:
                left += atoms[desk[member].atom].weight
    return True


@numba.njit(cache=True, nogil=True)
def _span(size: int, atoms: Table, borders: Table, desk: Table, dice: Dice) -> int:
    """Grow a random tree over the members of part 0 (Prim), wanted borders last; give its size."""
    root, seen = -1, 0
    for i in range(size):
        member = desk[i]
        member.key = np.inf
        member.done = member.part != 0
        member.load = atoms[member.atom].weight
        if not member.done:
            seen += 1
            if _chance(dice) * seen < 1.0:
                root = i
    if root < 0:
        return 0
    desk[root].key = -np.inf
    for step in range(seen):
        nearest, lowest = -1, np.inf
        for i in range(size):
            if desk[i].key < lowest and not desk[i].done:
                nearest, lowest = i, desk[i].key
        if nearest < 0:
            return 0
        desk[nearest].done = True
        desk[step].order = nearest
        x = desk[nearest].atom
        for q in range(atoms[x].begin, atoms[x].end):
            border = borders[q]
            j = atoms[border.other].slot
            if j < size and desk[j].atom == border.other and not desk[j].done:
                key = border.apart + _chance(dice)
                if key < desk[j].key:
                    desk[j].key = key
                    desk[j].parent = nearest
    return seen


@numba.njit(cache=True, nogil=True)
def _measure(size: int, atoms: Table, borders: Table, desk: Table, parts: Table) -> float:
    """Sum up weight, area, perimeter and number of atoms per part; give the change in cost."""
    for i in range(_MOST_PARTS):
        parts[i].weight = parts[i].area = parts[i].perimeter = 0.0
        parts[i].atoms = 0
    change = 0.0
    for i in range(size):
        atom = atoms[desk[i].atom]
        part = parts[desk[i].part]
        part.weight += atom.weight
        part.area += atom.area
        part.perimeter += atom.rim
        part.atoms += 1
        for q in range(atom.begin, atom.end):
            border = borders[q]
            other = atoms[border.other]
            j = other.slot
            on_desk = j < size and desk[j].atom == border.other
            parted = not on_desk or desk[j].part != desk[i].part
            if parted:
                part.perimeter += border.length
            if on_desk and j > i:
                change += border.cost * (int(parted) - int(atom.grid != other.grid))
    return change
