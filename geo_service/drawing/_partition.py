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
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class Atoms(NamedTuple):
    """The graph: atoms in compressed rows, each border twice.

    Parameters
    ----------
    indptr, neighbour : ndarray of int
        Compressed rows.
    length, cost : ndarray of float, a value per border
        Its length, and what drawing along it costs in units of the objective.
    apart : ndarray of float, a value per border
        How much it is wanted as a border; a spanning tree crosses it the later.
    weight, area, rim : ndarray of float, a value per atom
        Households, area, and the length of its border to nothing.
    """

    indptr: IntArray
    neighbour: IntArray
    length: FloatArray
    cost: FloatArray
    apart: FloatArray
    weight: FloatArray
    area: FloatArray
    rim: FloatArray


class Rules(NamedTuple):
    """What a grid is to hold, and how hard it is tried."""

    low: float
    high: float
    penalty: float = 6.0
    hot: float = 0.5
    cold: float = 0.01
    moves_per_atom: int = 3000
    recombine: float = 0.03


class _Grids(NamedTuple):
    """Running sums per grid; a grid without atoms is free."""

    weight: FloatArray
    area: FloatArray
    perimeter: FloatArray
    atoms: IntArray


class _Desk(NamedTuple):
    """Workspace: marks and slots per atom, and room for the atoms of a few grids."""

    mark: IntArray  # the last entry counts the rounds
    slot: IntArray
    queue: IntArray
    members: IntArray
    part: IntArray
    best: IntArray
    parent: IntArray
    order: IntArray
    key: FloatArray
    load: FloatArray
    done: npt.NDArray[np.bool_]


_MOST_MEMBERS = 1000
_MOST_PARTS = 4
_TRIES = 4


def partition(atoms: Atoms, rules: Rules, *, seed: int) -> IntArray:
    """Group atoms to grids.

    Parameters
    ----------
    atoms : Atoms
        The graph; it may have several components.
    rules : Rules
        The range and the search.
    seed : int
        The same seed gives the same grids.

    Returns
    -------
    ndarray of int
        The grid of every atom, from 0 without a break.
    """
    label = _first_plan(atoms, rules.high, seed)
    count = len(atoms.weight)
    if count > 1:
        _anneal(label, int(label.max()) + 1, atoms, rules, seed)
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _first_plan(atoms: Atoms, high: float, seed: int) -> IntArray:
    """Cut a random spanning tree from its leaves up, wherever a branch no longer fits its stem."""
    count = len(atoms.weight)
    chance = np.random.default_rng(seed).random(len(atoms.neighbour))
    graph = csr_array((1.0 + atoms.apart + chance, atoms.neighbour, atoms.indptr), (count, count))
    tree = minimum_spanning_tree(graph)
    label = np.full(count, -1, np.int64)
    grids = 0
    for root in range(count):
        if label[root] >= 0:
            continue
        order, parent = breadth_first_order(tree, root, directed=False)
        load = atoms.weight.copy()
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
def _anneal(label: IntArray, count: int, atoms: Atoms, rules: Rules, seed: int) -> None:
    np.random.seed(seed)
    n = len(label)
    room = 2 * count + 16
    grids = _Grids(np.zeros(room), np.zeros(room), np.zeros(room), np.zeros(room, np.int64))
    for u in range(n):
        g = label[u]
        grids.weight[g] += atoms.weight[u]
        grids.area[g] += atoms.area[u]
        grids.perimeter[g] += atoms.rim[u]
        grids.atoms[g] += 1
        for q in range(atoms.indptr[u], atoms.indptr[u + 1]):
            if label[atoms.neighbour[q]] != g:
                grids.perimeter[g] += atoms.length[q]
    m = _MOST_MEMBERS
    desk = _Desk(
        np.zeros(n + 1, np.int64), np.zeros(n, np.int64), np.empty(n, np.int64),
        np.zeros(m, np.int64), np.zeros(m, np.int64), np.zeros(m, np.int64),
        np.zeros(m, np.int64), np.zeros(m, np.int64), np.zeros(m), np.zeros(m),
        np.zeros(m, np.bool_),
    )  # fmt: skip
    moves = rules.moves_per_atom * n
    cooling = math.log(rules.cold / rules.hot) / moves
    for move in range(moves):
        heat = rules.hot * math.exp(cooling * move)
        u = np.random.randint(n)
        begin, end = atoms.indptr[u], atoms.indptr[u + 1]
        if begin == end:
            continue
        if np.random.random() < rules.recombine:
            _recombine(u, label, grids, atoms, rules, desk, heat)
            continue
        g = label[atoms.neighbour[np.random.randint(begin, end)]]
        if g != label[u] and grids.atoms[label[u]] > 1:
            _hand_over(u, g, label, grids, atoms, rules, desk, heat)


@numba.njit(cache=True, nogil=True)
def _strain(weight: float, area: float, perimeter: float, rules: Rules) -> float:
    strain = perimeter / (2.0 * math.sqrt(math.pi * area))
    off = max(rules.low - weight, weight - rules.high)
    if off > 0.0:
        strain += rules.penalty * (0.5 + 2.0 * off / (rules.high - rules.low + 1.0))
    return strain


@numba.njit(cache=True, nogil=True)
def _hand_over(
    u: int,
    to: int,
    label: IntArray,
    grids: _Grids,
    atoms: Atoms,
    rules: Rules,
    desk: _Desk,
    heat: float,
) -> None:
    """Give an atom to the grid next door, if Metropolis agrees and its own stays connected."""
    own = label[u]
    to_own = to_new = elsewhere = change = 0.0
    friends = 0
    friend = -1
    for q in range(atoms.indptr[u], atoms.indptr[u + 1]):
        v = atoms.neighbour[q]
        if label[v] == own:
            to_own += atoms.length[q]
            change += atoms.cost[q]
            friends += 1
            friend = v
        elif label[v] == to:
            to_new += atoms.length[q]
            change -= atoms.cost[q]
        else:
            elsewhere += atoms.length[q]
    if friends == 0:
        return
    elsewhere += atoms.rim[u]
    w, a = atoms.weight[u], atoms.area[u]
    shorter = grids.perimeter[own] + to_own - to_new - elsewhere
    longer = grids.perimeter[to] + to_own - to_new + elsewhere
    change += (
        _strain(grids.weight[own] - w, grids.area[own] - a, shorter, rules)
        + _strain(grids.weight[to] + w, grids.area[to] + a, longer, rules)
        - _strain(grids.weight[own], grids.area[own], grids.perimeter[own], rules)
        - _strain(grids.weight[to], grids.area[to], grids.perimeter[to], rules)
    )
    if change > 0.0 and np.random.random() >= math.exp(-change / heat):
        return
    if friends > 1 and not _connected_without(u, friend, friends, label, atoms, desk):
        return
    label[u] = to
    grids.weight[own] -= w
    grids.area[own] -= a
    grids.perimeter[own] = shorter
    grids.atoms[own] -= 1
    grids.weight[to] += w
    grids.area[to] += a
    grids.perimeter[to] = longer
    grids.atoms[to] += 1


@numba.njit(cache=True, nogil=True)
def _connected_without(
    u: int, friend: int, friends: int, label: IntArray, atoms: Atoms, desk: _Desk
) -> bool:
    """Tell whether all neighbours of an atom in its own grid reach each other without it."""
    own = label[u]
    desk.mark[-1] += 2
    near, seen = desk.mark[-1], desk.mark[-1] + 1
    for q in range(atoms.indptr[u], atoms.indptr[u + 1]):
        desk.mark[atoms.neighbour[q]] = near
    desk.mark[u] = desk.mark[friend] = seen
    desk.queue[0] = friend
    head, tail, found = 0, 1, 1
    while head < tail and found < friends:
        x = desk.queue[head]
        head += 1
        for q in range(atoms.indptr[x], atoms.indptr[x + 1]):
            v = atoms.neighbour[q]
            if label[v] == own and desk.mark[v] != seen:
                found += desk.mark[v] == near
                desk.mark[v] = seen
                desk.queue[tail] = v
                tail += 1
    desk.mark[-1] += 1
    return found == friends


@numba.njit(cache=True, nogil=True)
def _place(v: int, size: int, desk: _Desk) -> int:
    """Give the place of an atom among the members, or -1 (a sparse set: never to be cleared)."""
    at = desk.slot[v]
    return at if at < size and desk.members[at] == v else -1


@numba.njit(cache=True, nogil=True)
def _gather(start: int, size: int, label: IntArray, atoms: Atoms, desk: _Desk) -> int:
    """Add the atoms of a grid to the members on the desk; 0 where there is no room."""
    if size >= _MOST_MEMBERS:
        return 0
    desk.members[size] = start
    desk.slot[start] = size
    head, tail = size, size + 1
    while head < tail:
        x = desk.members[head]
        head += 1
        for q in range(atoms.indptr[x], atoms.indptr[x + 1]):
            v = atoms.neighbour[q]
            if label[v] == label[start] and _place(v, tail, desk) < 0:
                if tail >= _MOST_MEMBERS:
                    return 0
                desk.members[tail] = v
                desk.slot[v] = tail
                tail += 1
    return tail


@numba.njit(cache=True, nogil=True)
def _recombine(
    u: int,
    label: IntArray,
    grids: _Grids,
    atoms: Atoms,
    rules: Rules,
    desk: _Desk,
    heat: float,
) -> None:
    """Join a grid with one or two next to it and cut them anew, if Metropolis agrees."""
    new = np.full(_MOST_PARTS, -1, np.int64)  # the grids joined, then those they become
    new[0] = label[u]
    joined = 1
    size = _gather(u, 0, label, atoms, desk)
    wanted = 3 if np.random.random() < 0.25 else 2
    for _ in range(40):
        if joined == wanted or size == 0:
            break
        x = desk.members[np.random.randint(size)]
        if atoms.indptr[x] == atoms.indptr[x + 1]:
            continue
        v = atoms.neighbour[np.random.randint(atoms.indptr[x], atoms.indptr[x + 1])]
        if _place(v, size, desk) >= 0:
            continue
        new[joined] = label[v]
        joined += 1
        size = _gather(v, size, label, atoms, desk)
    before = total = 0.0
    for i in range(joined):
        g = new[i]
        total += grids.weight[g]
        before += _strain(grids.weight[g], grids.area[g], grids.perimeter[g], rules)
    parts = _how_many(total, rules)
    if size < parts or parts > _MOST_PARTS or (parts == 1 and joined == 1):
        return
    lowest = np.inf
    best = np.zeros((_MOST_PARTS, 4))
    for _ in range(_TRIES if parts > 1 else 1):
        if not _cut_tree(size, parts, total, atoms, desk):
            continue
        now = np.zeros((_MOST_PARTS, 4))
        change = _measure(size, now, label, atoms, desk) - before
        for part in range(parts):
            change += _strain(now[part, 0], now[part, 1], now[part, 2], rules)
        if change < lowest:
            lowest = change
            best = now
            desk.best[:size] = desk.part[:size]
    if lowest > 0.0 and np.random.random() >= math.exp(-lowest / heat):
        return
    g = np.random.randint(len(grids.atoms))
    for i in range(joined, parts):
        for _ in range(len(grids.atoms)):
            g = (g + 1) % len(grids.atoms)
            if grids.atoms[g] == 0:
                break
        if grids.atoms[g] > 0:
            return
        new[i] = g
    for i in range(max(joined, parts)):
        keep = i < parts
        grids.weight[new[i]] = best[i, 0] if keep else 0.0
        grids.area[new[i]] = best[i, 1] if keep else 0.0
        grids.perimeter[new[i]] = best[i, 2] if keep else 0.0
        grids.atoms[new[i]] = int(best[i, 3]) if keep else 0
    for i in range(size):
        label[desk.members[i]] = new[desk.best[i]]


@numba.njit(cache=True, nogil=True)
def _how_many(total: float, rules: Rules) -> int:
    """Give a number of grids for some households: the middle of what is possible, or near it."""
    middle = max(int(round(2.0 * total / (rules.low + rules.high))), 1)
    fewest = max(int(math.ceil(total / rules.high)), 1)
    most = int(total / max(rules.low, 1.0))
    if most < fewest:
        return middle
    if np.random.random() < 0.3:
        return np.random.randint(fewest, most + 1)
    return min(max(middle, fewest), most)


@numba.njit(cache=True, nogil=True)
def _cut_tree(size: int, parts: int, total: float, atoms: Atoms, desk: _Desk) -> bool:
    """Cut the members into connected parts of like weight, each off a random spanning tree."""
    desk.part[:size] = 0
    left = total
    for number in range(1, parts):
        goal = left / (parts - number + 1)
        placed = _span(size, atoms, desk)
        if placed < 2:
            return False
        best, cut, inside = np.inf, -1, True
        for i in range(placed - 1, 0, -1):
            member = desk.order[i]
            branch = desk.load[member]
            for is_branch in (True, False):
                off = abs((branch if is_branch else left - branch) - goal)
                off *= 1.0 + 0.5 * np.random.random()
                if off < best:
                    best, cut, inside = off, member, is_branch
            desk.load[desk.parent[member]] += branch
        for i in range(placed):
            member = desk.order[i]
            desk.done[member] = member == cut or (i > 0 and desk.done[desk.parent[member]])
        left = 0.0
        for i in range(placed):
            member = desk.order[i]
            if desk.done[member] == inside:
                desk.part[member] = number
            else:
                left += atoms.weight[desk.members[member]]
    return True


@numba.njit(cache=True, nogil=True)
def _span(size: int, atoms: Atoms, desk: _Desk) -> int:
    """Grow a random tree over the members of part 0 (Prim), wanted borders last; give its size."""
    root, seen = -1, 0
    for i in range(size):
        desk.key[i] = np.inf
        desk.done[i] = False
        desk.load[i] = atoms.weight[desk.members[i]]
        if desk.part[i] == 0:
            seen += 1
            if np.random.random() * seen < 1.0:
                root = i
    if root < 0:
        return 0
    desk.key[root] = -np.inf
    for step in range(seen):
        nearest = -1
        for i in range(size):
            if desk.part[i] == 0 and not desk.done[i]:
                if nearest < 0 or desk.key[i] < desk.key[nearest]:
                    nearest = i
        if desk.key[nearest] == np.inf:
            return 0
        desk.done[nearest] = True
        desk.order[step] = nearest
        x = desk.members[nearest]
        for q in range(atoms.indptr[x], atoms.indptr[x + 1]):
            j = _place(atoms.neighbour[q], size, desk)
            if j >= 0 and desk.part[j] == 0 and not desk.done[j]:
                key = atoms.apart[q] + np.random.random()
                if key < desk.key[j]:
                    desk.key[j] = key
                    desk.parent[j] = nearest
    return seen


@numba.njit(cache=True, nogil=True)
def _measure(
    size: int, now: FloatArray, label: IntArray, atoms: Atoms, desk: _Desk
) -> float:
    """Sum up weight, area, perimeter and number of atoms per part; give the change in cost."""
    change = 0.0
    for i in range(size):
        u, part = desk.members[i], desk.part[i]
        now[part, 0] += atoms.weight[u]
        now[part, 1] += atoms.area[u]
        now[part, 2] += atoms.rim[u]
        now[part, 3] += 1
        for q in range(atoms.indptr[u], atoms.indptr[u + 1]):
            v = atoms.neighbour[q]
            j = _place(v, size, desk)
            if j < 0 or desk.part[j] != part:
                now[part, 2] += atoms.length[q]
            if j > i:
                change += atoms.cost[q] * ((desk.part[j] != part) - (label[u] != label[v]))
    return change
