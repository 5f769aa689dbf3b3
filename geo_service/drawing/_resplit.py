"""Grids joined and cut anew: the move that lets a plan leave a dead end.

Two or three neighbouring grids are joined and their atoms put in the order in which a line that
sweeps over them in a random direction would meet them. Every beginning of the order is connected,
every ending is known to be or not, and the outlines and borders of both are summed up on the way:
the cut taken is the best of all in that order. The number of grids may change.

The idea of joining and cutting anew is that of recombination (DeFord, Duchin and Solomon, 2021),
which cuts a random spanning tree at one of its edges.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from geo_service.drawing._dice import Dice, below, chance
from geo_service.drawing._objective import Rules, strain

Table = Any
"""A structured array; numba reads its fields as attributes, which the type checker can't."""

GRID = np.dtype(
    [("weight", "f8"), ("area", "f8"), ("perimeter", "f8"), ("atoms", "i8"), ("grid", "i8")]
)
_MEMBER = np.dtype(
    [
        ("atom", "i8"), ("begin", "i8"), ("end", "i8"),  # its rows in the table of links
        ("rim", "f8"),  # length of its border to all that is not on the desk
        ("part", "i8"),
        ("order", "i8"), ("wait", "i8"),  # lists of members, one place each
        ("along", "f8"), ("key", "f8"), ("root", "i8"), ("done", "b1"), ("whole", "b1"),
    ],
    align=True,
)  # fmt: skip
_LINK = np.dtype(
    [("member", "i8"), ("length", "f8"), ("cost", "f8"), ("apart", "f8"), ("parted", "b1")],
    align=True,
)

_MOST_MEMBERS = 1000
_MOST_LINKS = 8 * _MOST_MEMBERS
_MOST_PARTS = 4
_OF_THREE = 0.25  # how often three grids are joined
_SWEEP = 2.0  # how straight the sweep is, against halts at wanted borders and noise
_NOISE = 0.5


class Desk(NamedTuple):
    """Where joined grids are laid out, made once for all moves."""

    members: Table
    links: Table
    parts: Table


def new_desk() -> Desk:
    """Give an empty desk."""
    return Desk(
        np.zeros(_MOST_MEMBERS, _MEMBER),
        np.zeros(_MOST_LINKS, _LINK),
        np.zeros(_MOST_PARTS, GRID),
    )


@numba.njit(cache=True, nogil=True)
def recombine(
    u: int,
    atoms: Table,
    borders: Table,
    grids: Table,
    desk: Desk,
    rules: Rules,
    heat: float,
    dice: Dice,
) -> None:
    """Join an atom's grid with one or two next to it and cut them anew, if Metropolis agrees."""
    members, parts = desk.members, desk.parts
    joined, size = _join(u, 3 if chance(dice) < _OF_THREE else 2, atoms, borders, desk, dice)
    before = total = 0.0
    for i in range(joined):
        grid = grids[parts[i].grid]
        total += grid.weight
        before += strain(grid.weight, grid.area, grid.perimeter, rules)
    count = _how_many(total, rules, dice)
    if size < count or count > _MOST_PARTS or (count == 1 and joined == 1):
        return
    if not _lay_out(size, atoms, borders, desk):
        return
    change = _cut_up(size, count, atoms, desk, rules, dice) - before - _cost_now(size, desk)
    if change > 0.0 and chance(dice) >= math.exp(-change / heat):
        return
    if not _find_free(joined, count, grids, parts, dice):
        return
    for i in range(joined):
        grids[parts[i].grid].atoms = 0
    for i in range(count):
        grid = grids[parts[i].grid]
        grid.weight = parts[i].weight
        grid.area = parts[i].area
        grid.perimeter = parts[i].perimeter
        grid.atoms = parts[i].atoms
    for i in range(size):
        atoms[members[i].atom].grid = parts[members[i].part].grid


@numba.njit(cache=True, nogil=True)
def _join(
    u: int, wanted: int, atoms: Table, borders: Table, desk: Desk, dice: Dice
) -> tuple[int, int]:
    """Put an atom's grid and some next to it on the desk; tell how many, of how many atoms."""
    members, parts = desk.members, desk.parts
    parts[0].grid = atoms[u].grid
    size = _gather(u, 0, atoms, borders, members)
    joined = 1
    for _ in range(40):
        if joined == wanted or size == 0:
            break
        x = members[below(size, dice)].atom
        if atoms[x].begin == atoms[x].end:
            continue
        v = borders[atoms[x].begin + below(atoms[x].end - atoms[x].begin, dice)].other
        if atoms[v].slot < size and members[atoms[v].slot].atom == v:
            continue
        parts[joined].grid = atoms[v].grid
        joined += 1
        size = _gather(v, size, atoms, borders, members)
    return joined, size


@numba.njit(cache=True, nogil=True)
def _gather(start: int, size: int, atoms: Table, borders: Table, members: Table) -> int:
    """Add the atoms of a grid to the members on the desk; 0 where there is no room.

    An atom is on the desk if the place its slot names holds it: a sparse set, never to be cleared.
    """
    if size >= len(members):
        return 0
    members[size].atom = start
    atoms[start].slot = size
    head, tail = size, size + 1
    while head < tail:
        x = members[head].atom
        head += 1
        for q in range(atoms[x].begin, atoms[x].end):
            v = borders[q].other
            at = atoms[v].slot
            if atoms[v].grid != atoms[start].grid or (at < tail and members[at].atom == v):
                continue
            if tail >= len(members):
                return 0
            members[tail].atom = v
            atoms[v].slot = tail
            tail += 1
    return tail


@numba.njit(cache=True, nogil=True)
def _how_many(total: float, rules: Rules, dice: Dice) -> int:
    """Give a number of grids for some households: the middle of what is possible, or near it."""
    middle = max(round(2.0 * total / (rules.low + rules.high)), 1)
    fewest = max(math.ceil(total / rules.high), 1)
    most = int(total / max(rules.low, 1.0))
    if most < fewest:
        return middle
    if chance(dice) < 0.3:
        return fewest + below(most + 1 - fewest, dice)
    return min(max(middle, fewest), most)


@numba.njit(cache=True, nogil=True)
def _lay_out(size: int, atoms: Table, borders: Table, desk: Desk) -> bool:
    """List the borders among the members; tell whether there was room."""
    members, links = desk.members, desk.links
    at = 0
    for i in range(size):
        member = members[i]
        atom = atoms[member.atom]
        member.begin = at
        member.rim = atom.rim
        if at + atom.end - atom.begin > len(links):
            return False
        for q in range(atom.begin, atom.end):
            border = borders[q]
            other = atoms[border.other]
            if other.slot < size and members[other.slot].atom == border.other:
                link = links[at]
                link.member = other.slot
                link.length = border.length
                link.cost = border.cost
                link.apart = border.apart
                link.parted = atom.grid != other.grid
                at += 1
            else:
                member.rim += border.length
        member.end = at
    return True


@numba.njit(cache=True, nogil=True)
def _cost_now(size: int, desk: Desk) -> float:
    cost = 0.0
    for q in range(desk.members[size - 1].end):
        if desk.links[q].parted:
            cost += desk.links[q].cost
    return cost / 2.0  # each border stands twice


@numba.njit(cache=True, nogil=True)
def _cut_up(size: int, count: int, atoms: Table, desk: Desk, rules: Rules, dice: Dice) -> float:
    """Cut the members into connected parts, one off the rest at a time; give the objective."""
    rest = desk.parts[0]
    rest.weight = rest.area = rest.perimeter = 0.0
    rest.atoms = size
    for i in range(size):
        member = desk.members[i]
        member.part = 0
        rest.weight += atoms[member.atom].weight
        rest.area += atoms[member.atom].area
        rest.perimeter += member.rim
    value = 0.0
    for number in range(1, count):
        _sweep(size, atoms, desk, dice)
        value += _cut_off(number, count - number, atoms, desk, rules)
        if value == np.inf:
            return value
        part = desk.parts[number]
        value += strain(part.weight, part.area, part.perimeter, rules)
    return value + strain(rest.weight, rest.area, rest.perimeter, rules)


@numba.njit(cache=True, nogil=True)
def _sweep(size: int, atoms: Table, desk: Desk, dice: Dice) -> None:
    """Put the members of part 0 in the order of a line that sweeps over them, each to one before.

    The line is held up at wanted borders (Prim's tree, whose keys are places along its way).
    """
    members, links = desk.members, desk.links
    angle = 2.0 * math.pi * chance(dice)
    stride = _SWEEP / math.sqrt(desk.parts[0].area)
    east, north = stride * math.cos(angle), stride * math.sin(angle)
    first, least = -1, np.inf
    for i in range(size):
        member = members[i]
        member.done = member.part != 0
        member.key = np.inf
        if not member.done:
            member.along = east * atoms[member.atom].x + north * atoms[member.atom].y
            if member.along < least:
                first, least = i, member.along
    members[0].wait = first
    waiting, placed = 1, 0
    while waiting:
        at = 0
        for k in range(1, waiting):
            if members[members[k].wait].key < members[members[at].wait].key:
                at = k
        i = members[at].wait
        waiting -= 1
        members[at].wait = members[waiting].wait
        members[i].done = True
        members[placed].order = i
        placed += 1
        for q in range(members[i].begin, members[i].end):
            link = links[q]
            other = members[link.member]
            if other.done:
                continue
            if other.key == np.inf:
                members[waiting].wait = link.member
                waiting += 1
            other.key = min(other.key, other.along + link.apart + _NOISE * chance(dice))


@numba.njit(cache=True, nogil=True)
def _cut_off(number: int, more: int, atoms: Table, desk: Desk, rules: Rules) -> float:
    """Give the best beginning of the order to a new part; tell what the border costs.

    The rest is judged as if it already were the `more` grids it is to become.
    """
    members, links = desk.members, desk.links
    rest, part = desk.parts[0], desk.parts[number]
    _tell_whole(rest.atoms, desk)
    weight = area = perimeter = cost = 0.0
    left_over = rest.perimeter
    lowest, cut, price, outline = np.inf, 0, np.inf, 0.0
    for k in range(rest.atoms - more):
        member = members[members[k].order]
        atom = atoms[member.atom]
        out, to_part, to_rest = member.rim, 0.0, 0.0
        for q in range(member.begin, member.end):
            link = links[q]
            beside = members[link.member].part
            if beside == number:
                to_part += link.length
                cost -= link.cost
            elif beside == 0:
                to_rest += link.length
                cost += link.cost
            else:
                out += link.length
        member.part = number
        weight += atom.weight
        area += atom.area
        perimeter += out + to_rest - to_part
        left_over += to_rest - out - to_part
        if not members[k + 1].whole:
            continue
        value = cost + strain(weight, area, perimeter, rules)
        value += strain((rest.weight - weight) / more, rest.area - area, left_over, rules)
        if value < lowest:
            lowest, cut, price, outline = value, k + 1, cost, left_over
            part.weight = weight
            part.area = area
            part.perimeter = perimeter
    for k in range(cut, rest.atoms):
        members[members[k].order].part = 0
    part.atoms = cut
    rest.atoms -= cut
    rest.weight -= part.weight
    rest.area -= part.area
    rest.perimeter = outline
    return price


@numba.njit(cache=True, nogil=True)
def _tell_whole(placed: int, desk: Desk) -> None:
    """Tell of every ending of the order whether it is connected: sets joined from the last on."""
    members, links = desk.members, desk.links
    for k in range(placed):
        i = members[k].order
        members[i].root = i
        members[i].done = False
    pieces = 0
    for k in range(placed - 1, -1, -1):
        i = members[k].order
        members[i].done = True
        pieces += 1
        for q in range(members[i].begin, members[i].end):
            j = links[q].member
            if members[j].part == 0 and members[j].done:
                a, b = _root(i, members), _root(j, members)
                if a != b:
                    members[a].root = b
                    pieces -= 1
        members[k].whole = pieces == 1


@numba.njit(cache=True, nogil=True)
def _root(i: int, members: Table) -> int:
    while members[i].root != i:
        members[i].root = members[members[i].root].root
        i = members[i].root
    return i


@numba.njit(cache=True, nogil=True)
def _find_free(joined: int, count: int, grids: Table, parts: Table, dice: Dice) -> bool:
    """Find numbers no grid has, for the parts beyond the grids that were joined."""
    g = below(len(grids), dice)
    for i in range(joined, count):
        for _ in range(len(grids)):
            g = (g + 1) % len(grids)
            if grids[g].atoms == 0:
                break
        if grids[g].atoms > 0:
            return False
        parts[i].grid = g
    return True
