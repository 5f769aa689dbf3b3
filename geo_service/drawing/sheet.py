"""The sheet under the pen: a layer's shared borders, editable, every edit undoable.

A border is stored once, so whatever is done to it is done to both sides: no edit can open a gap or
an overlap. Merging drops arcs and computes nothing; splitting adds arcs and puts its end nodes into
the neighbours' rings too; moving a node moves it for every grid that meets there. Grids that an
edit does not touch keep their geometry object, hence their bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing import _rings
from geo_service.drawing._rings import Ring
from geo_service.errors import InputError
from geo_service.topology import OUTSIDE

NODE_SNAP_M = 0.01
"""A cut that meets a border this close to a vertex uses that vertex: 1 cm is below any survey."""

_ABSENT = object()
_AREA_DRIFT_M2 = 1e-6


class Sheet:
    """Polygons that share their borders, open for editing.

    Faces are numbered by the rows of the input; a face made by a split gets the next number.

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

    Examples
    --------
    >>> from shapely import LineString, box
    >>> sheet = Sheet([box(0, 0, 3, 1), box(3, 0, 4, 1)])
    >>> sheet.split(0, LineString([(2, -1), (2, 2)]))
    [0, 2]
    >>> sheet.merge([1, 2])
    1
    >>> sheet.geometry(1).area, sheet.faces
    (2.0, [0, 1])
    >>> sheet.undo(), sheet.undo(), sheet.geometry(0).equals(box(0, 0, 3, 1))
    (True, True, True)
    """

    def __init__(
        self, geometries: Sequence[Any] | npt.NDArray[np.object_], *, snap: float = NODE_SNAP_M
    ):
        graph = topology.build(geometries)
        if len(graph.doubled):
            face = int(graph.doubled[0, 1])
            reason = f"polygon {face + 1} overlaps another one / 第 {face + 1} 个面与其他面重叠"
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
        self._shapes: dict[int, Any] = dict(enumerate(np.asarray(geometries, dtype=object)))
        self._next_face = graph.faces
        self._next_arc = graph.arcs
        self._journal: list[tuple[Any, Any, Any]] = []
        self._marks: list[int] = []

    @property
    def faces(self) -> list[int]:
        """The numbers of the faces there are now, in order."""
        return sorted(self._rings)

    def geometry(self, face: int) -> Any:
        """Give the polygon of a face; untouched ones are the very objects that came in."""
        shape = self._shapes[face]
        if shape is None:
            shape = self._shapes[face] = _rings.polygon(self._xy, self._arcs, self._rings[face])
        return shape

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
        start = self._marks[-1] if self._marks else 0
        return {key for box, key, _ in self._journal[start:] if box is self._shapes}

    # ---- the edits

    def merge(self, faces: Iterable[int]) -> int:
        """Make one face of several adjacent ones; the first keeps its number.

        Raises
        ------
        InputError
            ``drawing_impossible`` where they do not hang together by a common border.
        """
        wanted = list(dict.fromkeys(faces))
        inside = set(wanted)
        if len(wanted) < 2 or not self._connected(wanted[0], inside):
            reason = "the grids share no common border / 这些网格没有共同边界，互不相邻"
            raise InputError("drawing_impossible", reason=reason)
        area = sum(self.geometry(face).area for face in wanted)
        references = [k for face in wanted for ring in self._rings[face] for k in ring]
        dropped = {
            arc
            for arc in map(_rings.arc_of, references)
            if self._left[arc] in inside and self._right[arc] in inside
        }
        self._mark()
        keep = wanted[0]
        rings = _rings.simple_rings(
            self._xy, self._arcs, [k for k in references if _rings.arc_of(k) not in dropped]
        )
        for arc in sorted(dropped):
            self._remove_arc(arc)
        for face in wanted[1:]:
            self._put(self._rings, face, _ABSENT)
            self._put(self._shapes, face, _ABSENT)
        self._claim(keep, rings)
        self._require_sound([keep], area)
        return keep

    def split(self, face: int, line: Any) -> list[int]:
        """Cut a face along a line; the largest part keeps the number (and any part left uncut).

        Nodes where the line meets the border go into the neighbours' rings as well.

        Parameters
        ----------
        face : int
            What to cut.
        line : shapely LineString or MultiLineString
            A line that crosses the face from border to border; what hangs inside is left out.

        Returns
        -------
        list of int
            The face itself and the new ones, by decreasing area.

        Raises
        ------
        InputError
            ``drawing_impossible`` where the line does not cut the face apart.
        """
        whole = self.geometry(face)
        self._mark()
        drawn = [self._draw_chord(face, xy) for xy in _chords(whole, line)]
        chords = [arc for arc in drawn if arc is not None]
        rings = [k for ring in self._rings[face] for k in ring]
        walks = _rings.walks(self._xy, self._arcs, [*rings, *chords, *(~k for k in chords)])
        bridges = {k for walk in walks for k in walk if ~k in walk and k in chords}
        for arc in sorted(bridges):
            self._remove_arc(arc)
        chords = [k for k in chords if k not in bridges]
        pieces = _rings.pieces(self._xy, self._arcs, [*rings, *chords, *(~k for k in chords)])
        cut = [p for p in pieces if any(_rings.arc_of(k) in chords for ring in p for k in ring)]
        if len(cut) < 2:
            self.undo()
            reason = "the line does not cut the grid apart / 这条线没有把网格切开"
            raise InputError("drawing_impossible", reason=reason)
        cut.sort(key=lambda piece: -sum(map(self._signed_area, piece)))
        cut[0] += [ring for p in pieces if not any(p is q for q in cut) for ring in p]
        numbers = [face, *range(self._next_face, self._next_face + len(cut) - 1)]
        self._next_face += len(cut) - 1
        for number, piece in zip(numbers, cut, strict=True):
            self._claim(number, piece, replacing=face)
        self._require_sound(numbers, whole.area)
        return numbers

    def move(self, vertex: int, to: tuple[float, float]) -> set[int]:
        """Move a vertex for every face it belongs to.

        Parameters
        ----------
        vertex : int
            As `nearest_vertex` gives it.
        to : tuple of float
            Where it goes.

        Returns
        -------
        set of int
            The faces that changed.

        Raises
        ------
        InputError
            ``drawing_impossible`` on the rim of the layer, or where a border would cross another.
        """
        arcs = self._arcs_through(vertex)
        around = {side for arc in arcs for side in (self._left[arc], self._right[arc])}
        if OUTSIDE in around:
            reason = "the point lies on the outline / 该点在外边界上，不能移动"
            raise InputError("drawing_impossible", reason=reason)
        area = sum(self.geometry(face).area for face in around)
        self._mark()
        self._put(self._xy, vertex, np.asarray(to, float))
        for face in sorted(around):
            self._put(self._shapes, face, None)
        self._require_sound(sorted(around), area)
        return around

    def nearest_vertex(self, x: float, y: float) -> tuple[int, float]:
        """Give the vertex in use nearest to a place, and its distance."""
        used = np.unique(np.concatenate(list(self._arcs.values())))
        distance = np.hypot(self._xy[used, 0] - x, self._xy[used, 1] - y)
        best = int(distance.argmin())
        return int(used[best]), float(distance[best])

    def undo(self) -> bool:
        """Take the last edit back; tell whether there was one."""
        if not self._marks:
            return False
        start = self._marks.pop()
        while len(self._journal) > start:
            box, key, old = self._journal.pop()
            if old is _ABSENT:
                del box[key]
            else:
                box[key] = old
        return True

    # ---- the parts of an edit

    def _mark(self) -> None:
        self._marks.append(len(self._journal))

    def _put(self, box: Any, key: Any, value: Any) -> None:
        old = box[key].copy() if isinstance(box, np.ndarray) else box.get(key, _ABSENT)
        self._journal.append((box, key, old))
        if value is _ABSENT:
            del box[key]
        else:
            box[key] = value

    def _arcs_of(self, face: int) -> set[int]:
        return {_rings.arc_of(k) for ring in self._rings[face] for k in ring}

    def _connected(self, start: int, inside: set[int]) -> bool:
        reached, front = {start}, [start]
        while front:
            for arc in self._arcs_of(front.pop()):
                new = ({self._left[arc], self._right[arc]} & inside) - reached
                reached |= new
                front.extend(new)
        return reached == inside

    def _remove_arc(self, arc: int) -> None:
        for end in {int(self._arcs[arc][0]), int(self._arcs[arc][-1])}:
            self._put(self._ends, end, tuple(k for k in self._ends[end] if k != arc))
        for box in (self._arcs, self._left, self._right):
            self._put(box, arc, _ABSENT)

    def _add_arc(self, vertices: npt.NDArray[np.int64], left: int, right: int) -> int:
        arc = self._next_arc
        self._next_arc += 1
        self._put(self._arcs, arc, vertices)
        self._put(self._left, arc, left)
        self._put(self._right, arc, right)
        for end in {int(vertices[0]), int(vertices[-1])}:
            self._put(self._ends, end, (*self._ends.get(end, ()), arc))
        return arc

    def _add_vertices(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        needed = self._used + len(xy)
        if needed > len(self._xy):
            grown = np.empty((max(needed, len(self._xy) * 5 // 4 + 64), 2))
            grown[: self._used] = self._xy[: self._used]
            # The journal may hold moves in the old pool; they must be undone in the new one.
            self._journal = [
                (grown if box is self._xy else box, key, old) for box, key, old in self._journal
            ]
            self._xy = grown
        self._xy[self._used : needed] = xy
        numbers = np.arange(self._used, needed)
        self._used = needed
        return numbers

    def _claim(self, face: int, rings: list[Ring], *, replacing: int | None = None) -> None:
        """Give rings to a face, and the face to the sides of their arcs."""
        self._put(self._rings, face, tuple(rings))
        self._put(self._shapes, face, None)
        if face == replacing:
            return
        for ring in rings:
            for k in ring:
                self._put(self._left if k >= 0 else self._right, _rings.arc_of(k), face)

    def _draw_chord(self, face: int, xy: npt.NDArray[np.float64]) -> int | None:
        """Add a chord of a face as an arc, its ends as nodes of the border they lie on."""
        ends = [self._node_on_border(face, point) for point in (xy[0], xy[-1])]
        inner = self._add_vertices(xy[1:-1])
        if ends[0] == ends[1] and len(inner) < 2:
            return None
        return self._add_arc(np.array([ends[0], *inner, ends[1]]), face, face)

    def _node_on_border(self, face: int, point: npt.NDArray[np.float64]) -> int:
        """Give the node where a face's border passes a point; make it where there is none."""
        arcs = sorted(self._arcs_of(face))
        runs = [self._arcs[arc] for arc in arcs]
        offsets = np.cumsum([0, *map(len, runs)])
        points = self._xy[np.concatenate(runs)]
        start, step = points[:-1], points[1:] - points[:-1]
        along = ((point - start) * step).sum(1) / np.maximum((step * step).sum(1), 1e-300)
        away = start + np.clip(along, 0.0, 1.0)[:, None] * step - point
        distance = np.hypot(away[:, 0], away[:, 1])
        distance[offsets[1:-1] - 1] = np.inf  # from one arc's end to the next one's beginning
        nearest = int(distance.argmin())
        which = int(np.searchsorted(offsets, nearest, side="right")) - 1
        arc, at = arcs[which], nearest - int(offsets[which])
        vertices = self._arcs[arc]
        for index in (at, at + 1):
            if np.hypot(*(self._xy[vertices[index]] - point)) <= self.snap:
                return self._make_node(arc, index)
        (new,) = self._add_vertices(point[None])
        self._put(self._arcs, arc, np.insert(vertices, at + 1, new))
        return self._make_node(arc, at + 1)

    def _make_node(self, arc: int, index: int) -> int:
        """Break an arc in two at a vertex, in the rings of both its faces."""
        vertices = self._arcs[arc]
        node = int(vertices[index])
        if index in (0, len(vertices) - 1):
            return node
        left, right = self._left[arc], self._right[arc]
        end = int(vertices[-1])
        self._put(self._arcs, arc, vertices[: index + 1])
        if end != int(vertices[0]):
            self._put(self._ends, end, tuple(k for k in self._ends[end] if k != arc))
        self._put(self._ends, node, (*self._ends.get(node, ()), arc))
        tail = self._add_arc(vertices[index:], left, right)
        for face in {left, right} - {OUTSIDE}:
            self._put(self._rings, face, tuple(_follow(r, arc, tail) for r in self._rings[face]))
            self._put(self._shapes, face, None)
        return node

    def _arcs_through(self, vertex: int) -> list[int]:
        ending = self._ends.get(vertex, ())
        return list(ending) or [k for k, v in self._arcs.items() if (v == vertex).any()]

    def _signed_area(self, ring: Ring) -> float:
        return _rings.signed_area(self._xy, self._arcs, ring)

    def _require_sound(self, faces: Sequence[int], area: float) -> None:
        """Undo and refuse where the faces of an edit are no tiling of what they were."""
        drift = abs(sum(self.geometry(face).area for face in faces) - area)
        touched = [self.geometry(face) for face in sorted(self.changed()) if face in self._rings]
        if (
            drift <= max(_AREA_DRIFT_M2, 1e-12 * area)
            and shapely.is_valid(touched).all()
            and shapely.coverage_is_valid(touched)
        ):
            return
        self.undo()
        reason = "borders would cross each other / 边界会相互交叉"
        raise InputError("drawing_impossible", reason=reason)


def _follow(ring: Ring, arc: int, tail: int) -> Ring:
    """Put the tail of a broken arc into a ring, after the arc or before its reverse."""
    if arc not in ring and ~arc not in ring:
        return ring
    out: list[int] = []
    for k in ring:
        out += [arc, tail] if k == arc else [~tail, ~arc] if k == ~arc else [k]
    return tuple(out)


def _chords(polygon: Any, line: Any) -> list[npt.NDArray[np.float64]]:
    """Give the stretches of a line that run through a polygon from border to border."""
    border = polygon.boundary
    touch = max(1e-9, 1e-12 * float(np.abs(polygon.bounds).max()))
    stretches = []
    for part in shapely.get_parts(shapely.line_merge(shapely.intersection(line, polygon))):
        if shapely.get_dimensions(part) != 1:
            continue
        xy = shapely.get_coordinates(part)
        on_border = np.flatnonzero(shapely.distance(shapely.points(xy), border) <= touch)
        for i, j in pairwise(on_border):
            middle = shapely.LineString(xy[i : j + 1]).interpolate(0.5, normalized=True)
            if shapely.distance(middle, border) > touch:
                stretches.append(xy[i : j + 1])
    return stretches


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
