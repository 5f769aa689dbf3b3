"""A layer open for editing by code: operations in, changed grids out, all of it undoable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy.typing as npt

from geo_service import codes as grid_codes
from geo_service.coverage import Certificate
from geo_service.drawing import _doing, operations
from geo_service.drawing._ground import Ground
from geo_service.drawing.changes import NODE_INSERTED, Change, Grid, Row


class Session:
    """Grids under the pen, by their codes.

    An operation is done whole or refused in a sentence, and then nothing is changed. It changes
    the grids it names and no other: those keep their geometry object, hence their bytes. Borders
    on the rim of the layer, and those between two communities, can't be moved.

    Parameters
    ----------
    codes : sequence of str
        One each, no two alike.
    geometries : sequence of shapely Polygon or MultiPolygon
        An exact tiling, in a metric plane unless ``metre`` says otherwise.
    rows : sequence of Mapping, optional
        Columns of each grid: ``name``, ``households``, ``parent_code`` …
    taken : iterable of str
        Codes of the past, or of grids that are not here: never given anew.
    metre : float, default 1.0
        How long a metre is in the unit of the coordinates.
    homes : geopandas.GeoDataFrame, optional
        Where people live: points with a column ``households``, in the plane of the grids. What is
        cut or handed over takes the counts of the homes in it; by area where none are known, and
        a note says which.

    Raises
    ------
    InputError
        ``drawing_impossible`` where codes repeat or grids overlap.

    Examples
    --------
    >>> from shapely import box
    >>> session = Session(["A", "B"], [box(0, 0, 3, 1), box(3, 0, 4, 1)])
    >>> change = session.apply(
    ...     {"op": "split", "code": "A", "line": [[2, -1], [2, 2]], "codes": ["C", "D"]})
    >>> change.created, session.codes, session.certificate.clean
    (('C', 'D'), ['B', 'C', 'D'], True)
    >>> session.undo().created, session.codes
    (('A',), ['A', 'B'])
    """

    def __init__(
        self,
        codes: Sequence[str],
        geometries: Sequence[Any] | npt.NDArray[Any],
        rows: Sequence[Row] | None = None,
        *,
        taken: Iterable[str] = (),
        metre: float = 1.0,
        homes: gpd.GeoDataFrame | None = None,
    ) -> None:
        self._ground = Ground(codes, geometries, rows, taken=taken, metre=metre, homes=homes)
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    @property
    def codes(self) -> list[str]:
        """The codes there are now, in order."""
        return sorted(self._ground.face)

    def __contains__(self, code: object) -> bool:
        return code in self._ground.face

    @property
    def certificate(self) -> Certificate:
        """The certificate that the grids tile what lies within their rim, as of the last edit."""
        return self._ground.sheet.certificate

    @property
    def history(self) -> tuple[Change, ...]:
        """What was done and not taken back, oldest first."""
        return tuple(step.change for step in self._done)

    def grid(self, code: str) -> Grid:
        """Give one grid as it is now."""
        return Grid(self._ground.sheet.geometry(self._ground.face_of(code)), self._ground.row[code])

    def grids(self) -> Iterator[tuple[str, Grid]]:
        """Give all grids as they are now, in the order of their codes."""
        return ((code, self.grid(code)) for code in self.codes)

    def neighbours(self, code: str) -> dict[str, float]:
        """Give the grids that share a border with one, and the length they share."""
        found = self._ground.sheet.neighbours(self._ground.face_of(code))
        return {self._ground.code[face]: length for face, length in found.items()}

    def apply(self, operation: Any) -> Change:
        """Do one operation.

        Parameters
        ----------
        operation : Mapping
            As `geo_service.drawing.operations` describes.

        Returns
        -------
        Change

        Raises
        ------
        InputError
            ``parameter_missing``, ``parameter_invalid``, ``drawing_impossible``.
        MissingError
            ``code_unknown``.
        """
        asked = operations.read(operation)
        with self._ground.sheet.edit():
            outcome = _doing.do(self._ground, asked)
        step = self._step(outcome)
        self._done.append(step)
        self._undone.clear()
        self._carry(step.faces_after, step.faces_before, step.change.after)
        return step.change

    def undo(self) -> Change | None:
        """Take the last operation back; ``None`` where there is none."""
        if not self._done:
            return None
        step = self._done.pop()
        self._ground.sheet.undo()
        self._carry(step.faces_before, step.faces_after, step.change.before)
        for code in step.change.created:
            self._ground.known[grid_codes.parent(code)].discard(code)
        self._undone.append(step)
        return step.change.reversed()

    def redo(self) -> Change | None:
        """Do the operation again that was taken back last; ``None`` where there is none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._ground.sheet.redo()
        self._carry(step.faces_after, step.faces_before, step.change.after)
        self._done.append(step)
        return step.change

    def _step(self, outcome: _doing.Outcome) -> _Step:
        """Make a step of what was done, with every grid it changed before and after."""
        ground = self._ground
        born = tuple(code for code in outcome.faces if code not in ground.face)
        hows = {code: outcome.hows.get(code, outcome.how) for code in outcome.faces}
        changed = {code: how for code, how in hows.items() if code not in born}
        own = {*outcome.faces.values(), *(ground.face[code] for code in outcome.gone)}
        for face in sorted(ground.sheet.changed() - own):
            if face in ground.code:  # a part that came and went within the operation has no code
                changed[ground.code[face]] = NODE_INSERTED
        before_codes = [*outcome.gone, *changed]
        after_faces = {code: ground.face[code] for code in changed} | outcome.faces
        rows = {code: ground.row[code] for code in changed} | dict(outcome.rows)
        shapes = ground.sheet.shapes_before()
        before = {c: Grid(shapes[ground.face[c]], ground.row[c]) for c in before_codes}
        after = {c: Grid(ground.sheet.geometry(f), rows[c]) for c, f in after_faces.items()}
        change = Change(
            outcome.operation, changed, outcome.gone, born, outcome.notes, before, after
        )
        return _Step(change, {c: ground.face[c] for c in before_codes}, after_faces)

    def _carry(
        self, come: Mapping[str, int], go: Mapping[str, int], grids: Mapping[str, Grid]
    ) -> None:
        """Bring codes, faces and columns to one side of a step."""
        ground = self._ground
        for code, face in go.items():
            del ground.face[code], ground.row[code]
            ground.code.pop(face, None)
        for code, face in come.items():
            ground.face[code], ground.code[face] = face, code
            ground.row[code] = grids[code].row
            ground.known[grid_codes.parent(code)].add(code)


@dataclass(frozen=True)
class _Step:
    change: Change
    faces_before: Mapping[str, int]
    faces_after: Mapping[str, int]
