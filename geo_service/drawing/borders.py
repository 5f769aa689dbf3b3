"""Live shared borders: the vertices, arcs and rings of a layer, every change undoable.

One pool holds the vertices; an arc is a run of them with a face on its left and on its right; a
ring is a run of signed arcs; a node knows the arcs that end there. Whatever changes one of these
tables goes through `Borders._put`, which notes what was there before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import coverage, topology
from geo_service.coverage import Certificate
from geo_service.drawing import _rings
from geo_service.drawing._nearby import Box, Nearby
from geo_service.drawing._rings import Ring
from geo_service.errors import InputError, Phrase
from geo_service.topology import OUTSIDE

NODE_SNAP_M = 0.01
"""A cut that meets a border this close to a vertex uses that vertex: 1 cm is below any survey."""

ABSENT = object()
_ROUNDING = 2.3e-16

Point = tuple[float, float]
Entry = tuple[str, Any, Any]
"""Which table of the borders, the key in it, and the value that is not there now."""


class Borders:
    """Polygons that share their borders, and the history of their edits.

    Faces are numbered by the rows of the input.

    Parameters
    ----------
    geometries : sequence of shapely Polygon or MultiPolygon
        An exact, vertex-matched tiling (or a piece of one).
    snap : float, default 0.01
        How near a vertex a cut is taken to meet it, in the unit of the coordinates.

    Raises
    ------
    InputError
        ``drawing_impossible`` where polygons overlap.
    """

    def __init__(
        self, geometries: Sequence[Any] | npt.NDArray[np.object_], *, snap: float = NODE_SNAP_M
    ):
        graph = topology.build(geometries)
        if len(graph.doubled):
            face = int(graph.doubled[0, 1])
            reason = Phrase(
                f"第 {face + 1} 个面与其他面重叠", f"polygon {face + 1} overlaps another one"
            )
            raise InputError("drawing_impossible", reason=reason)
        self.snap = snap
        self._xy = graph.xy.copy()
        self._used = len(graph.xy)
        cuts = graph.arc_offsets[1:-1]
        self._arcs: dict[int, npt.NDArray[np.int64]] = dict(
            enumerate(np.split(graph.arc_vertices, cuts))
        )
        self._left: dict[int, int] = dict(enumerate(graph.left.tolist()))
        self._right: dict[int, int] = dict(enumerate(graph.right.tolist()))
        self._rings: dict[int, tuple[Ring, ...]] = _rings_by_face(graph)
        self._ends: dict[int, tuple[int, ...]] = _arcs_by_end(graph)
        shapes = np.asarray(geometries, dtype=object)
        self._shapes: dict[int, Any] = dict(enumerate(shapes))
        rim = sum(map(self._rim_chain, graph.open_arcs.tolist()), Certificate(0, 0))
        self._sums = {"covered": coverage.certificate(shapes, None), "rim": rim}
        self._at_open = self._residue(self._sums["covered"])
        self._next_face = graph.faces
        self._next_arc = graph.arcs
        self._nearby = Nearby(self._shapes)
        self._done: list[list[Entry]] = []
        self._undone: list[list[Entry]] = []
        self._step: list[Entry] | None = None

    @property
    def faces(self) -> list[int]:
        """The numbers of the faces there are now, in order."""
        return sorted(self._rings)

    @property
    def certificate(self) -> Certificate:
        """The certificate that the polygons tile what lies within the rim.

        Each edit brings it up to date from the polygons it changed, as they are given out: a sum
        that vouches for this room, not one made from its own tables.
        """
        rim = self._sums["rim"]
        return self._sums["covered"] - Certificate(rim.first, rim.second, 0)

    def geometry(self, face: int) -> Any:
        """Give the polygon of a face; untouched ones are the very objects that came in."""
        if self._shapes[face] is None:
            self._build([face])
        return self._shapes[face]

    def neighbours(self, face: int) -> dict[int, float]:
        """Give the faces that share a border with one, and the length they share."""
        found: dict[int, float] = defaultdict(float)
        for arc in self._arcs_of(face):
            other = self._right[arc] if self._left[arc] == face else self._left[arc]
            if other not in (OUTSIDE, face):
                steps = np.diff(self._xy[self._arcs[arc]], axis=0)
                found[other] += float(np.hypot(steps[:, 0], steps[:, 1]).sum())
        return dict(found)

    def changed(self) -> set[int]:
        """Give the faces the last edit made, changed or removed."""
        return {key for box, key, _ in self._done[-1] if box == "_shapes"} if self._done else set()

    def shapes_before(self) -> dict[int, Any]:
        """Give what the last edit changed or removed, as it was before."""
        found: dict[int, Any] = {}
        for box, key, old in self._done[-1] if self._done else []:
            if box == "_shapes":
                found.setdefault(key, old)
        return {face: shape for face, shape in found.items() if shape is not ABSENT}

    def nearest_vertex(self, at: Point, within: float) -> int | None:
        """Give the vertex nearest to a place, if there is one within a distance."""
        arcs = self._arcs_near(_box_around(at, within))
        if not arcs:
            return None
        vertices = np.concatenate([self._arcs[arc] for arc in arcs])
        away = self._xy[vertices] - at
        distance = np.hypot(away[:, 0], away[:, 1])
        best = int(distance.argmin())
        return int(vertices[best]) if distance[best] <= within else None

    def nearest_edge(self, at: Point, within: float) -> tuple[int, int] | None:
        """Give the two vertices of the border segment nearest to a place within reach."""
        arcs = self._arcs_near(_box_around(at, within))
        if not arcs:
            return None
        runs = [self._arcs[arc] for arc in arcs]
        which, k, distance = _rings.nearest(self._xy, runs, np.array(at))
        if distance >= within:
            return None
        return int(runs[which][k]), int(runs[which][k + 1])

    def place(self, vertex: int) -> Point:
        """Give the coordinates of a vertex."""
        return float(self._xy[vertex, 0]), float(self._xy[vertex, 1])

    def vertices(self, face: int) -> list[int]:
        """Give the vertices of a face's borders, each once, in order of their numbers."""
        arcs = [self._arcs[arc] for arc in sorted(self._arcs_of(face))]
        found: list[int] = np.unique(np.concatenate(arcs)).tolist()
        return found

    def around(self, vertex: int) -> set[int]:
        """Give the faces that meet at a vertex; `OUTSIDE` among them on the rim."""
        arcs = self._arcs_through(vertex)
        return {side for arc in arcs for side in (self._left[arc], self._right[arc])}

    # ---- history

    @contextmanager
    def edit(self) -> Iterator[None]:
        """Make one edit of all that is done inside: undone together, and refused together."""
        if self._step is not None:
            yield
            return
        self._step = []
        try:
            yield
        except BaseException:
            self._exchange(self._step)
            self._step = None
            raise
        self._done.append(self._step)
        self._undone.clear()
        self._step = None

    def undo(self) -> bool:
        """Take the last edit back; tell whether there was one."""
        if not self._done:
            return False
        self._undone.append(self._exchange(self._done.pop()))
        return True

    def redo(self) -> bool:
        """Do again the edit that was taken back last; tell whether there was one."""
        if not self._undone:
            return False
        self._done.append(self._exchange(self._undone.pop()))
        return True

    # ---- the parts of an edit

    @contextmanager
    def _sound_edit(self) -> Iterator[None]:
        """Make an edit, and refuse it where its faces are no tiling of what they were."""
        with self.edit():
            assert self._step is not None
            since = len(self._step)
            yield
            self._require_sound(since)

    def _require_sound(self, since: int) -> None:
        assert self._step is not None
        before: dict[int, Any] = {}
        for box, key, old in self._step[since:]:
            if box == "_shapes":
                before.setdefault(key, old)
        faces = [face for face in before if face in self._rings]
        self._build([face for face in faces if self._shapes[face] is None])
        old_shapes = np.array([s for s in before.values() if s is not ABSENT], object)
        new_shapes = np.array([self._shapes[face] for face in faces], object)
        areas = shapely.area(new_shapes)
        drift = abs(float(areas.sum() - shapely.area(old_shapes).sum()))
        # A node on a straight border is off it by rounding, as far as the border is long.
        around = float(shapely.length(old_shapes).sum()) * float(np.abs(old_shapes[0].bounds).max())
        rounding = _ROUNDING * around
        # Of a face laid flat (all its corners on one line) rounding decides which way it winds:
        # GEOS calls it valid where it winds backward too, and drift can't show so little land.
        valid = bool(shapely.is_valid(new_shapes).all())
        if valid and areas.min() <= rounding:
            reason = Phrase("会有网格被压成一条线", "a grid would be left without land")
            raise InputError("drawing_impossible", reason=reason)
        covered = self._sums["covered"].replaced(old_shapes, new_shapes)
        sound = valid and drift <= rounding
        # The polygons themselves vouch for it too: whatever slipped these tables is refused here.
        if not sound or self._residue(covered) != self._at_open:
            reason = Phrase("边界会相互交叉或接触", "borders would cross or touch each other")
            raise InputError("drawing_impossible", reason=reason)
        self._put("_sums", "covered", covered)

    def _build(self, faces: list[int]) -> None:
        rings = [self._rings[face] for face in faces]
        for face, shape in zip(faces, _rings.polygons(self._xy, self._arcs, rings), strict=True):
            self._shapes[face] = shape
            self._nearby.changed(face)

    def _residue(self, covered: Certificate) -> tuple[int, int]:
        rest = covered - self._sums["rim"]
        return rest.first, rest.second

    def _put(self, box: str, key: Any, value: Any) -> None:
        assert self._step is not None
        self._step.append((box, key, self._set(box, key, value)))

    def _set(self, box: str, key: Any, value: Any) -> Any:
        """Set or drop an entry of a table; give what was there."""
        if box == "_xy":  # by name, for the pool grows into another array
            old = self._xy[key].copy()
            self._xy[key] = value
            return old
        table = getattr(self, box)
        old = table.get(key, ABSENT)
        if value is ABSENT:
            del table[key]
        else:
            table[key] = value
        if box == "_shapes":
            self._nearby.changed(key)
        return old

    def _exchange(self, step: list[Entry]) -> list[Entry]:
        """Put all back that a step replaced; give the step that puts it forth again."""
        return [(box, key, self._set(box, key, old)) for box, key, old in reversed(step)]

    def _arcs_of(self, face: int) -> set[int]:
        return {k if k >= 0 else ~k for ring in self._rings[face] for k in ring}

    def _arcs_near(self, box: Box) -> list[int]:
        faces = self._nearby.meeting(box)
        return sorted(set().union(*map(self._arcs_of, faces)))

    def _remove_arc(self, arc: int) -> None:
        for end in {int(self._arcs[arc][0]), int(self._arcs[arc][-1])}:
            self._put("_ends", end, tuple(k for k in self._ends[end] if k != arc))
        for box in ("_arcs", "_left", "_right"):
            self._put(box, arc, ABSENT)

    def _add_arc(self, vertices: npt.NDArray[np.int64], left: int, right: int) -> int:
        arc = self._next_arc
        self._next_arc += 1
        self._put("_arcs", arc, vertices)
        self._put("_left", arc, left)
        self._put("_right", arc, right)
        for end in {int(vertices[0]), int(vertices[-1])}:
            self._put("_ends", end, (*self._ends.get(end, ()), arc))
        return arc

    def _add_vertices(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        needed = self._used + len(xy)
        if needed > len(self._xy):
            grown = np.empty((max(needed, len(self._xy) * 5 // 4 + 64), 2))
            grown[: self._used] = self._xy[: self._used]
            self._xy = grown
        self._xy[self._used : needed] = xy
        numbers = np.arange(self._used, needed)
        self._used = needed
        return numbers

    def _claim(self, face: int, rings: list[Ring], *, replacing: int | None = None) -> None:
        """Give rings to a face, and the face to the sides of their arcs."""
        self._put("_rings", face, tuple(rings))
        self._put("_shapes", face, None)
        if face == replacing:
            return
        for ring in rings:
            for k in ring:
                self._put("_left" if k >= 0 else "_right", _rings.arc_of(k), face)

    def _nearest_on_border(
        self, face: int, point: npt.NDArray[np.float64]
    ) -> tuple[int, int, float]:
        """Give the arc of a face nearest to a point, the segment in it, and the distance."""
        arcs = sorted(self._arcs_of(face))
        runs = [self._arcs[arc] for arc in arcs]
        which, segment, distance = _rings.nearest(self._xy, runs, point)
        return arcs[which], segment, distance

    def _node_on_border(self, face: int, point: npt.NDArray[np.float64]) -> int:
        """Give the node where a face's border passes a point; make it where there is none."""
        arc, at, _ = self._nearest_on_border(face, point)
        vertices = self._arcs[arc]
        for index in (at, at + 1):
            if np.hypot(*(self._xy[vertices[index]] - point)) <= self.snap:
                return self._make_node(arc, index)
        on_rim = OUTSIDE in (self._left[arc], self._right[arc])
        before = self._rim_chain(arc) if on_rim else None
        (new,) = self._add_vertices(point[None])
        self._put("_arcs", arc, np.concatenate([vertices[: at + 1], [new], vertices[at + 1 :]]))
        for side in {self._left[arc], self._right[arc]} - {OUTSIDE}:
            self._put("_shapes", side, None)
        if before is not None:
            self._put("_sums", "rim", self._sums["rim"] - before + self._rim_chain(arc))
        return self._make_node(arc, at + 1)

    def _rim_chain(self, arc: int) -> Certificate:
        """Sum the segments of an arc of the rim, the face on their left."""
        xy = self._xy[self._arcs[arc]]
        return coverage.chain(xy if self._right[arc] == OUTSIDE else xy[::-1])

    def _make_node(self, arc: int, index: int) -> int:
        """Break an arc in two at a vertex, in the rings of both its faces."""
        vertices = self._arcs[arc]
        node = int(vertices[index])
        if index in (0, len(vertices) - 1):
            return node
        left, right = self._left[arc], self._right[arc]
        end = int(vertices[-1])
        self._put("_arcs", arc, vertices[: index + 1])
        if end != int(vertices[0]):
            self._put("_ends", end, tuple(k for k in self._ends[end] if k != arc))
        self._put("_ends", node, (*self._ends.get(node, ()), arc))
        tail = self._add_arc(vertices[index:], left, right)
        for face in {left, right} - {OUTSIDE}:
            self._put("_rings", face, tuple(_follow(r, arc, tail) for r in self._rings[face]))
        return node

    def _arcs_through(self, vertex: int) -> list[int]:
        ending = self._ends.get(vertex, ())
        if ending:
            return list(ending)
        x, y = self.place(vertex)
        return [arc for arc in self._arcs_near((x, y, x, y)) if (self._arcs[arc] == vertex).any()]

    def _leaving(self, node: int) -> list[int]:
        """Give the signed arcs that leave a node."""
        out = []
        for arc in self._ends.get(node, ()):
            vertices = self._arcs[arc]
            out += [arc] if vertices[0] == node else []
            out += [~arc] if vertices[-1] == node else []
        return out

    def _length(self, k: int) -> float:
        steps = np.diff(self._xy[self._arcs[_rings.arc_of(k)]], axis=0)
        return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def _box_around(at: Point, within: float) -> Box:
    x, y = at
    return x - within, y - within, x + within, y + within


def _follow(ring: Ring, arc: int, tail: int) -> Ring:
    """Put the tail of a broken arc into a ring, after the arc or before its reverse."""
    if arc not in ring and ~arc not in ring:
        return ring
    out: list[int] = []
    for k in ring:
        out += [arc, tail] if k == arc else [~tail, ~arc] if k == ~arc else [k]
    return tuple(out)


def _rings_by_face(graph: topology.Topology) -> dict[int, tuple[Ring, ...]]:
    """Give each face's rings as signed arcs, turned so that the face lies on the left."""
    rings: dict[int, tuple[Ring, ...]] = dict.fromkeys(range(graph.faces), ())
    references = graph.ring_arcs.tolist()
    offsets = graph.ring_offsets.tolist()
    left, right = graph.left.tolist(), graph.right.tolist()
    for number, face in enumerate(graph.ring_face.tolist()):
        ring = references[offsets[number] : offsets[number + 1]]
        k = ring[0]
        if (left[k] if k >= 0 else right[~k]) != face:
            ring = [~k for k in reversed(ring)]
        rings[face] = (*rings[face], tuple(ring))
    return rings


def _arcs_by_end(graph: topology.Topology) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = defaultdict(tuple)
    first = graph.arc_vertices[graph.arc_offsets[:-1]].tolist()
    last = graph.arc_vertices[graph.arc_offsets[1:] - 1].tolist()
    for arc, (a, b) in enumerate(zip(first, last, strict=True)):
        found[a] += (arc,)
        if b != a:
            found[b] += (arc,)
    return dict(found)
