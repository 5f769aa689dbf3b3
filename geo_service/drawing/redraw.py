"""Redraw after growth: only the grids that must change do, and as few households as possible.

A grid that holds too many hands a block along its streets to a neighbour with room; one that holds
too few takes one, or joins a neighbour; where nobody near has room, one grid becomes two. Each
step is an operation of `geo_service.drawing.operations`, so it can be looked at, done on a draft
and taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import codes as grid_codes
from geo_service import topology
from geo_service.drawing import _atoms, _given, kinds
from geo_service.drawing._told import Miss
from geo_service.drawing.changes import Change
from geo_service.drawing.edits import applied
from geo_service.drawing.session import Session
from geo_service.drawing.terrain import Terrain
from geo_service.errors import InputError
from geo_service.notes import Note

_ATOM_SHARE = 0.12
"""Of the upper bound: how many households an atom may hold, so that a block is no larger than it
must be."""

_LEAST_TOUCH_M = 5.0
_MOST_STEPS = 4
_PERIMETER_COST = 0.02  # households that a metre of new border is worth
_OFF_STREET = 2.0  # how much dearer a metre of it is where no street runs

Shapes = npt.NDArray[np.object_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Redrawn:
    """Grids after growth, and how little of them changed.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        The whole layer, ``households`` counted anew; grids not named in `touched` keep their bytes.
    operations : tuple of Mapping
        What was done, in order.
    touched : tuple of str
        The codes of today that changed or ended. A node on a border (no land) is not counted.
    households_moved : int
        Households that are in another grid than before.
    misses : tuple of Miss
        Grids that are still outside the range, each with the reason.
    notes : tuple of Note
        What was done, in words.
    """

    grids: gpd.GeoDataFrame
    operations: tuple[dict[str, Any], ...]
    touched: tuple[str, ...]
    households_moved: int
    misses: tuple[Miss, ...]
    notes: tuple[Note, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give what was done as plain data, without the grids."""
        return {
            "touched": list(self.touched),
            "households_moved": self.households_moved,
            "operations": list(self.operations),
            "misses": [asdict(miss) for miss in self.misses],
            "notes": [asdict(note) for note in self.notes],
        }

    def __repr__(self) -> str:
        return (
            f"<Redrawn {len(self.grids)} grids: {len(self.touched)} touched, "
            f"{self.households_moved} households moved, {len(self.misses)} out of range>"
        )


def redraw(
    grids: gpd.GeoDataFrame,
    *,
    streets: gpd.GeoDataFrame | Terrain,
    households: gpd.GeoDataFrame,
    target: tuple[int, int] = (300, 500),
    lines: gpd.GeoDataFrame | None = None,
    buildings: gpd.GeoDataFrame | None = None,
    fixed: Sequence[str] = (),
    retired: Sequence[str] = (),
) -> Redrawn:
    """Bring the grids of an area back into the range of households, changing as little as can be.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        An exact tiling in a metric plane, with a column ``code``; community lines stay, and so do
        grids whose ``kind`` is 专属网格 (premises), whatever they hold.
    streets : geopandas.GeoDataFrame or Terrain
        As `geo_service.drawing.draw` takes them; or prepared once, with `lines` and `buildings`,
        by whoever redraws again and again.
    lines, buildings : geopandas.GeoDataFrame, optional
        As `geo_service.drawing.draw` takes them.
    households : geopandas.GeoDataFrame
        Where people live today: points with a column ``households``.
    target : tuple of int, default (300, 500)
        Fewest and most households of a grid.
    fixed : sequence of str
        Codes of further grids that stay as they are.
    retired : sequence of str
        Codes of the past, never to be given again.

    Returns
    -------
    Redrawn

    Raises
    ------
    InputError
        ``parameter_invalid``, ``drawing_impossible``.
    """
    low, high = _given.require_range(target)
    area = shapely.coverage_union_all(np.asarray(grids.geometry.values, object))
    homes, lost = _given.homes_in(area, households.to_crs(grids.crs))
    if not isinstance(streets, Terrain):
        streets = Terrain(grids.crs, streets, lines=lines, buildings=buildings)
    ground = _Growth(
        grids,
        homes,
        streets,
        (low, high),
        fixed={*fixed, *grids["code"][kinds.dedicated(grids)]},
        retired=retired,
    )
    for code in ground.off():
        ground.mend(code)
    return ground.result(lost)


@dataclass(frozen=True)
class _Step:
    """One way to bring a grid into the range: what is done, and what it costs in households.

    `weights` tells what each grid holds afterwards, where it is known before.
    """

    cost: float
    operation: dict[str, Any]
    moved: int
    weights: dict[str, int] = field(default_factory=dict)


class _Growth:
    """The grids near by under the pen, with the households each holds today."""

    def __init__(
        self,
        grids: gpd.GeoDataFrame,
        homes: _atoms.Homes,
        terrain: Terrain,
        target: tuple[int, int],
        *,
        fixed: set[str],
        retired: Sequence[str],
    ) -> None:
        self.grids, self.homes, self.fixed = grids, homes, fixed
        self.low, self.high = target
        shapes = np.asarray(grids.geometry.values, object)
        self.codes = grids["code"].astype(str).tolist()
        self.terrain = terrain
        row = homes.within(shapes)
        counted = np.bincount(row, homes.count, len(shapes))
        held = np.rint(counted).astype(int).tolist()
        self.weight: dict[str, int] = dict(zip(self.codes, held, strict=True))
        self.session = self._session(shapes, row, retired)
        self.blocks: dict[str, tuple[Any, _Blocks]] = {}
        self.changes: list[Change] = []
        self.moved = 0

    def _session(self, shapes: Shapes, row_of_home: IntArray, retired: Sequence[str]) -> Session:
        """Open the grids within two neighbours of those that must change."""
        by_place = shapely.STRtree(shapes)
        off = [row for row, code in enumerate(self.codes) if self._is_off(code)]
        near = np.array(off, int)
        for _ in range(3):  # the third ring is the rim, which stays
            near = np.unique(by_place.query(shapes[near], predicate="intersects")[1])
        columns = [c for c in self.grids.columns if c not in ("code", self.grids.geometry.name)]
        rows = self.grids.iloc[near][columns].to_dict("records")
        for row, at in zip(rows, near.tolist(), strict=True):
            if "households" in row:
                row["households"] = self.weight[self.codes[at]]
        own = [self.codes[at] for at in near.tolist()]
        here = np.isin(row_of_home, near)
        people = gpd.GeoDataFrame(
            {"households": self.homes.count[here]},
            geometry=gpd.points_from_xy(*self.homes.xy[here].T),
        )
        taken = [*self.codes, *retired]
        return Session(own, shapes[near], rows, taken=taken, homes=people)

    def off(self) -> list[str]:
        """Give the codes outside the range, the furthest off first."""
        found = [code for code in self.codes if self._is_off(code)]
        return sorted(found, key=lambda code: (-self._away(code), code))

    def _away(self, code: str) -> int:
        return max(self.low - self.weight[code], self.weight[code] - self.high)

    def _is_off(self, code: str) -> bool:
        return code not in self.fixed and self._away(code) > 0

    def mend(self, code: str) -> None:
        """Bring a grid into the range by the cheapest steps there are, or leave all as it is."""
        begun = len(self.changes), self.moved, dict(self.weight)
        for _ in range(_MOST_STEPS):
            if code not in self.weight or not self._is_off(code):
                return
            if not any(map(self._done_best, self._rounds(code))):
                break
        if code in self.weight and self._is_off(code):
            while len(self.changes) > begun[0]:
                self.changes.pop()
                self.session.undo()
            _, self.moved, self.weight = begun

    def _done_best(self, steps: Iterable[_Step]) -> bool:
        return any(map(self._done, sorted(steps, key=lambda step: step.cost)))

    def _done(self, step: _Step) -> bool:
        try:
            change = self.session.apply(step.operation)
        except InputError:  # a border too near another one: the next step is tried
            return False
        self.changes.append(change)
        self.moved += step.moved
        for gone in change.retired:
            del self.weight[gone]
        self.weight |= step.weights or self._counted(change.created)
        return True

    def _counted(self, codes: Sequence[str]) -> dict[str, int]:
        shapes = np.array([self.session.grid(code).geometry for code in codes], object)
        here = np.unique(self.homes.by_place.query(shapes, predicate="intersects")[1])
        return dict(zip(codes, self.homes.some(here).weigh(shapes).tolist(), strict=True))

    def _rounds(self, code: str) -> Iterator[Iterable[_Step]]:
        """Give the steps that may be tried, round by round: a later round is asked for last.

        What a grid has too many of comes out of one cutting of it. What it lacks can come from any
        neighbour, and each must be cut to know: the one with the longest border is asked first.
        """
        weight, low, high = self.weight[code], self.low, self.high
        partners = self._partners(code)
        if weight > high:
            yield (
                step
                for other in partners
                for step in self._handed(
                    code, other, weight - high, min(weight - low, high - self.weight[other])
                )
            )
            yield self._parted(code)
            yield (
                step
                for other in partners
                for step in self._handed(
                    code, other, 1, min(weight - high, high - self.weight[other]), full=True
                )
            )
            return
        for other in partners:
            yield [*self._joined(code, other), *self._taken(code, other)]
        for other in partners:
            spare = self.weight[other] - low
            yield self._handed(other, code, 1, min(low - weight, spare), full=True)

    def _joined(self, code: str, other: str) -> Iterator[_Step]:
        weight, theirs = self.weight[code], self.weight[other]
        if weight + theirs <= self.high:
            operation = {"op": "merge", "codes": [other, code]}
            yield _Step(float(weight), operation, weight, {other: weight + theirs})

    def _taken(self, code: str, other: str) -> Iterator[_Step]:
        lacks, room = self.low - self.weight[code], self.high - self.weight[code]
        yield from self._handed(other, code, lacks, min(self.weight[other] - self.low, room))

    def _partners(self, code: str) -> list[str]:
        """Give the neighbours of the same community, longest border first."""
        parent = grid_codes.parent(code)
        shared = self.session.neighbours(code)
        found = [c for c in shared if grid_codes.parent(c) == parent and c not in self.fixed]
        return sorted(found, key=lambda c: (-shared[c], c))

    def _handed(
        self, giving: str, taking: str, least: int, most: int, *, full: bool = False
    ) -> Iterator[_Step]:
        """Hand a block of `least` to `most` households over: few, or `full` as many as can be."""
        if least > most:
            return
        blocks = self._blocks_of(giving)
        beside = self._beside(blocks.atoms, taking)
        block = blocks.best(beside, (least, most), goal=most if full else least)
        if block is None:
            return
        held = {
            giving: self.weight[giving] - block.held, taking: self.weight[taking] + block.held
        }  # fmt: skip
        operation = {"op": "reassign", "code": giving, "to": taking, "block": block.ring}
        # As many as can be come first among the full ones, as few as can be among the others.
        cost = -float(block.held) if full else block.held + _PERIMETER_COST * block.around_m
        yield _Step(cost, operation, block.held, held)

    def _parted(self, code: str) -> Iterator[_Step]:
        """Make two of a grid, along its streets, each within the range."""
        total = self.weight[code]
        least, most = max(self.low, total - self.high), min(self.high, total - self.low)
        if least > most:
            return
        blocks = self._blocks_of(code)
        anywhere = np.ones(len(blocks.atoms), np.bool_)
        block = blocks.best(anywhere, (least, most), goal=total // 2)
        if block is None:
            return
        # All of the ring but the cut runs on borders.
        operation = {"op": "split", "code": code, "line": [*block.ring, block.ring[0]]}
        yield _Step(float(total), operation, min(block.held, total - block.held))

    def _blocks_of(self, code: str) -> _Blocks:
        """Cut a grid into atoms, once for as long as it stays the same."""
        shape = self.session.grid(code).geometry
        if code not in self.blocks or self.blocks[code][0] is not shape:
            self.blocks[code] = shape, self._cut(shape)
        return self.blocks[code][1]

    def _cut(self, shape: Any) -> _Blocks:
        local = self.homes.some(np.sort(self.homes.by_place.query(shape, predicate="intersects")))
        ways, minor = self.terrain.ways_in(shape)
        atoms = _atoms.cut(
            shape,
            lines=ways,
            minor=minor,
            homes=local,
            most=max(int(self.high * _ATOM_SHARE), 1),
            buildings=self.terrain.buildings_in(shape),
        )
        return _Blocks(atoms, local.weigh(atoms), self.terrain)

    def _beside(self, atoms: Shapes, code: str) -> npt.NDArray[np.bool_]:
        near = shapely.buffer(self.session.grid(code).geometry, 0.01, quad_segs=1)
        shared = shapely.intersection(shapely.boundary(atoms), near)
        return np.asarray(shapely.length(shared) > _LEAST_TOUCH_M)

    def result(self, lost: int) -> Redrawn:
        """Give the layer with all changes in it."""
        frame = self.grids
        touched: dict[str, None] = {}
        for change in self.changes:
            frame = applied(frame, change).grids
            land = [c for c, how in change.changed.items() if how != "node_inserted"]
            touched |= dict.fromkeys([*land, *change.retired])
        held = [self.weight[code] for code in frame["code"].astype(str)]
        frame = frame.assign(households=held)
        misses = tuple(self._miss(code) for code in self.weight if self._is_off(code))
        own = tuple(code for code in touched if code in set(self.codes))
        operations = tuple(dict(change.operation) for change in self.changes)
        return Redrawn(frame, operations, own, self.moved, misses, self._notes(own, misses, lost))

    def _miss(self, code: str) -> Miss:
        held = self.weight[code]
        zh = f"{held} 户：相邻网格没有余量，沿街也切不出合适的地块"
        en = f"{held} households: no neighbour has room, and no block along its streets fits"
        return Miss(code, held, zh, en)

    def _notes(self, touched: Sequence[str], misses: Sequence[Miss], lost: int) -> tuple[Note, ...]:
        total = max(int(self.homes.count.sum()), 1)
        share = 100 * self.moved / total
        zh = f"改动 {len(touched)} 个网格，{self.moved} 户换格（{share:.2f} %），其余网格未动。"
        en = (
            f"{len(touched)} grids changed and {self.moved} households ({share:.2f} %) changed "
            "grids; no other grid was touched."
        )
        notes = [Note("redrawn", zh, en)]
        if misses:
            zh = f"{len(misses)} 个网格仍不在范围内。"
            notes.append(Note("still_off", zh, f"{len(misses)} grids are still outside the range."))
        if lost:
            zh, en = f"{lost} 户在范围之外，未计入。", f"{lost} households lie outside the area."
            notes.append(Note("households_outside", zh, en))
        return tuple(notes)


@dataclass(frozen=True)
class _Block:
    """A connected piece of a grid, without holes."""

    ring: list[list[float]]
    held: int
    around_m: float


class _Blocks:
    """The atoms of a grid, and the blocks that can be made of them."""

    def __init__(self, atoms: Shapes, weight: IntArray, terrain: Terrain) -> None:
        self.atoms, self.weight = atoms, weight
        self.beside: list[dict[int, float]] = [{} for _ in atoms]
        if len(atoms) < 2:
            return
        graph = topology.build(atoms)
        paid = graph.arc_lengths() * np.where(terrain.carries(graph), 1.0, _OFF_STREET)
        for i, j, cost in zip(
            graph.left.tolist(), graph.right.tolist(), paid.tolist(), strict=True
        ):
            if i >= 0 and j >= 0:
                self.beside[i][j] = self.beside[j][i] = self.beside[i].get(j, 0.0) + cost

    def best(
        self, start: npt.NDArray[np.bool_], bounds: tuple[int, int], *, goal: int
    ) -> _Block | None:
        """Grow connected blocks from each start: the one that holds about `goal`, of short border.

        What it leaves stays connected.
        """
        least, most = bounds
        best: tuple[float, list[int]] | None = None
        for first in np.flatnonzero(start).tolist():
            block = _grown(first, self.weight, self.beside, start, goal, most)
            held = int(self.weight[block].sum())
            rest = set(range(len(self.atoms))) - set(block)
            if not least <= held <= most or not _connected(rest, self.beside):
                continue
            border = sum(m for i in block for j, m in self.beside[i].items() if j in rest)
            cost = abs(held - goal) + _PERIMETER_COST * border
            if best is None or cost < best[0]:
                best = cost, block
        if best is None:
            return None
        shape: Any = shapely.coverage_union_all(self.atoms[sorted(best[1])])
        if shape.geom_type != "Polygon" or shape.interiors:
            return None
        ring = shapely.get_coordinates(shape.exterior)[:-1].tolist()
        return _Block(ring, int(self.weight[best[1]].sum()), shape.length)


def _grown(
    first: int,
    weight: IntArray,
    beside: list[dict[int, float]],
    start: npt.NDArray[np.bool_],
    goal: float,
    most: int,
) -> list[int]:
    """Add the atom that shares most border with the block, until it holds enough."""
    block, held = [first], int(weight[first])
    shared = dict(beside[first])
    while held < goal and shared:
        fits = [j for j in shared if held + weight[j] <= most]
        if not fits:
            break
        # Atoms at the neighbour's border first: so the block reaches along it, not away from it.
        nearest = max(fits, key=lambda j: (shared[j] + 50.0 * bool(start[j]), -j))
        block.append(nearest)
        held += int(weight[nearest])
        del shared[nearest]
        for j, metres in beside[nearest].items():
            if j not in block:
                shared[j] = shared.get(j, 0.0) + metres
    return block


def _connected(rest: set[int], beside: list[dict[int, float]]) -> bool:
    if not rest:
        return False
    front = [min(rest)]
    seen = set(front)
    while front:
        new = [j for j in beside[front.pop()] if j in rest and j not in seen]
        seen |= set(new)
        front += new
    return seen == rest
