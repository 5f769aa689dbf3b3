"""The sheet under the pen: merge, split, move and reroute on shared borders.

A border is stored once, so whatever is done to it is done to both sides: no edit can open a gap or
an overlap. Merging drops arcs and computes nothing; splitting adds arcs and puts its end nodes into
the neighbours' rings too; moving a node moves it for every grid that meets there. Grids that an
edit does not touch keep their geometry object, hence their bytes.

Why an edit is sound where its own polygons are: all borders are walked once in either direction, so
the winding numbers of the polygons still add up to 1 everywhere within the rim; where each changed
polygon is valid, holds more land than rounding could feign, and their areas add up to what they
were, none of them winds backward, and so each place lies in exactly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.drawing import _chords, _rings
from geo_service.drawing._rings import Ring
from geo_service.drawing.borders import ABSENT, Borders, Point
from geo_service.errors import InputError, Phrase
from geo_service.topology import OUTSIDE


class Sheet(Borders):
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
    >>> sheet.geometry(1).area, sheet.faces, sheet.certificate.clean
    (2.0, [0, 1], True)
    >>> sheet.undo(), sheet.undo(), sheet.geometry(0).equals(box(0, 0, 3, 1))
    (True, True, True)
    >>> sheet.redo(), sheet.faces
    (True, [0, 1, 2])
    """

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
            reason = Phrase("这些网格没有共同边界，互不相邻", "the grids share no common border")
            raise InputError("drawing_impossible", reason=reason)
        references = [k for face in wanted for ring in self._rings[face] for k in ring]
        dropped = {
            arc
            for arc in map(_rings.arc_of, references)
            if self._left[arc] in inside and self._right[arc] in inside
        }
        with self._sound_edit():
            keep = wanted[0]
            kept = [k for k in references if _rings.arc_of(k) not in dropped]
            walks = _rings.walks(self._xy, self._arcs, kept)
            rings = _rings.simple_rings(self._arcs, walks)
            for arc in sorted(dropped):
                self._remove_arc(arc)
            for face in wanted[1:]:
                self._put("_rings", face, ABSENT)
                self._put("_shapes", face, ABSENT)
            self._claim(keep, rings)
        return keep

    def split(self, face: int, line: Any) -> list[int]:
        """Cut a face along a line; the largest part keeps the number (and any part left uncut).

        Nodes where the line meets the border go into the neighbours' rings as well.

        Parameters
        ----------
        face : int
            What to cut.
        line : shapely LineString, LinearRing or MultiLineString
            A line that crosses the face from border to border, or closes a ring inside; what hangs
            inside is left out.

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
        with self._sound_edit():
            drawn = [self._draw_chord(face, xy) for xy in _chords.chords(whole, line)]
            chords = [arc for arc in drawn if arc is not None]
            rings = [k for ring in self._rings[face] for k in ring]
            walks = _rings.walks(self._xy, self._arcs, [*rings, *chords, *(~k for k in chords)])
            bridges = {k for walk in walks for k in walk if k in chords and ~k in walk}
            if bridges:
                for arc in sorted(bridges):
                    self._remove_arc(arc)
                chords = [k for k in chords if k not in bridges]
                both = [*rings, *chords, *(~k for k in chords)]
                walks = _rings.walks(self._xy, self._arcs, both)
            pieces = _rings.pieces(self._xy, self._arcs, walks)
            cut = [p for p in pieces if any(_rings.arc_of(k) in chords for ring in p for k in ring)]
            if len(cut) < 2:
                reason = Phrase("这条线没有把网格切开", "the line does not cut the grid apart")
                raise InputError("drawing_impossible", reason=reason)
            cut.sort(key=lambda piece: -sum(map(self._signed_area, piece)))
            cut[0] += [ring for p in pieces if not any(p is q for q in cut) for ring in p]
            numbers = [face, *range(self._next_face, self._next_face + len(cut) - 1)]
            self._next_face += len(cut) - 1
            for number, piece in zip(numbers, cut, strict=True):
                self._claim(number, piece, replacing=face)
        return numbers

    def move(self, places: Mapping[int, Point]) -> set[int]:
        """Move vertices for every face they belong to.

        Parameters
        ----------
        places : Mapping
            Vertex -> where it goes.

        Returns
        -------
        set of int
            The faces that changed.

        Raises
        ------
        InputError
            ``drawing_impossible`` on the rim of the layer, or where a border would cross another.
        """
        arcs = {arc for vertex in places for arc in self._arcs_through(vertex)}
        around = {side for arc in arcs for side in (self._left[arc], self._right[arc])}
        if OUTSIDE in around:
            reason = Phrase("该点在外边界上，不能移动", "the point lies on the outline")
            raise InputError("drawing_impossible", reason=reason)
        with self._sound_edit():
            for vertex, to in places.items():
                self._put("_xy", vertex, np.asarray(to, float))
            for face in sorted(around):
                self._put("_shapes", face, None)
            for arc in arcs:
                steps = np.diff(self._xy[self._arcs[arc]], axis=0)
                if not steps.any(axis=1).all():
                    reason = Phrase("两个界点会重合", "two border points would fall together")
                    raise InputError("drawing_impossible", reason=reason)
        return around

    def reroute(
        self, start: int, stop: int, path: Any, *, between: Iterable[int] | None = None
    ) -> set[int]:
        """Lead the border between two of its vertices another way; both ends stay.

        Parameters
        ----------
        start, stop : int
            Vertices on one border between two faces.
        path : array_like, shape (n, 2)
            Where the border turns on its new way; none: a straight line.
        between : iterable of int, optional
            The two faces, where several borders join the same vertices. Default: the shortest.

        Returns
        -------
        set of int
            The two faces.

        Raises
        ------
        InputError
            ``drawing_impossible`` where no border joins the points or it lies on the rim, where
            another border meets it between them, or where the new way would cross another border.
        """
        with self._sound_edit():
            for vertex in (start, stop):
                for arc in self._arcs_through(vertex):
                    index = int(np.flatnonzero(self._arcs[arc] == vertex)[0])
                    self._make_node(arc, index)
            stretch = self._stretch(start, stop, None if between is None else set(between))
            head = stretch[0]
            arc = _rings.arc_of(head)
            sides = (self._left[arc], self._right[arc])
            left, right = sides if head >= 0 else sides[::-1]
            if OUTSIDE in sides:
                reason = Phrase("这段是外边界，不能改", "the border is the outline")
                raise InputError("drawing_impossible", reason=reason)
            inner = self._add_vertices(np.asarray(path, float).reshape(-1, 2))
            new = self._add_arc(np.array([start, *inner, stop]), left, right)
            for face in {left, right}:
                old = self._rings[face]
                self._put("_rings", face, tuple(_detour(ring, stretch, new) for ring in old))
                self._put("_shapes", face, None)
            for k in stretch:
                self._remove_arc(_rings.arc_of(k))
        return {left, right}

    def _connected(self, start: int, inside: set[int]) -> bool:
        reached, front = {start}, [start]
        while front:
            for arc in self._arcs_of(front.pop()):
                new = ({self._left[arc], self._right[arc]} & inside) - reached
                reached |= new
                front.extend(new)
        return reached == inside

    def _draw_chord(self, face: int, xy: npt.NDArray[np.float64]) -> int | None:
        """Add a chord of a face as an arc, its ends as nodes of the border they lie on."""
        if (xy[0] == xy[-1]).all() and self._off_border(face, xy[0]):
            ring = self._add_vertices(xy[:-1])
            return self._add_arc(np.array([*ring, ring[0]]), face, face)
        ends = [self._node_on_border(face, point) for point in (xy[0], xy[-1])]
        inner = self._add_vertices(xy[1:-1])
        if ends[0] == ends[1] and len(inner) < 2:
            return None
        return self._add_arc(np.array([ends[0], *inner, ends[1]]), face, face)

    def _off_border(self, face: int, point: npt.NDArray[np.float64]) -> bool:
        return self._nearest_on_border(face, point)[2] > self.snap

    def _stretch(self, start: int, stop: int, between: set[int] | None) -> list[int]:
        """Give the signed arcs of the border from one node to another, the same faces beside it."""
        found: list[tuple[float, list[int]]] = []
        for head in self._leaving(start):
            arc = _rings.arc_of(head)
            sides = {self._left[arc], self._right[arc]}
            if between is not None and sides != between:
                continue
            stretch = [head]
            while (end := _rings.last(self._arcs, stretch[-1])) not in (start, stop):
                onward = [k for k in self._leaving(end) if k != ~stretch[-1]]
                if len(onward) != 1:
                    break
                stretch += onward
            if end == stop != start:
                found.append((sum(map(self._length, stretch)), stretch))
        if not found:
            reason = Phrase(
                "两点之间不是同一段边界，请在同一段边界上选两点",
                "no single border joins the two points; choose two points of one border with no"
                " other border between them",
            )
            raise InputError("drawing_impossible", reason=reason)
        return min(found)[1]

    def _signed_area(self, ring: Ring) -> float:
        return _rings.signed_area(self._xy, self._arcs, ring)


def _detour(ring: Ring, stretch: list[int], new: int) -> Ring:
    """Put one arc into a ring in the place of a stretch of arcs, or of the stretch reversed."""
    follows = {stretch[0]: new, ~stretch[0]: ~new}
    gone = {*stretch[1:], *(~k for k in stretch[1:])}
    return tuple(follows.get(k, k) for k in ring if k not in gone)
