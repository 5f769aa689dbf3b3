"""The part of a store that is drawn with: operations on a draft, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from geo_service import layers
from geo_service.store import audit, drafts, pen
from geo_service.store.admission import Admission
from geo_service.store.records import Draft, DraftEdit


class Drawer(Admission):
    """Drafts that are drawn on; `geo_service.store.Store` adds the rest of the writing."""

    @cached_property
    def _pens(self) -> pen.Pens:
        return pen.Pens()

    def open_draft(self, layer: str, *, within: str | None = None, author: str = "") -> Draft:
        """Make a draft of what is published, to be drawn on with `draw_on`.

        Parameters
        ----------
        layer : str
            A published layer.
        within : str, optional
            The code of the county, township or community that is to be drawn; planners who draw on
            different ones do not disturb each other.
        author : str
            Who draws.

        Raises
        ------
        MissingError
            ``layer_unknown``; ``code_unknown`` where nothing is published there.
        """
        layers.layer(layer)
        with self._home.writing() as connection:
            shelf = self._shelf(connection, layer)
            number = pen.open_draft(shelf, self.plane, within=within, author=author)
            made = drafts.get(self._schema, connection, number)
            self._note(connection, "draft", layer, after=audit.draft(made))
            return made

    def draw_on(self, id: int, operation: Mapping[str, Any], *, author: str = "") -> DraftEdit:
        """Do an operation on a draft's grids, or refuse it and change nothing.

        Where the store has a table ``buildings`` with ``households``, counts are divided by it.

        Parameters
        ----------
        id : int
            The draft.
        operation : Mapping
            As `geo_service.drawing.operations` describes, in the working plane.
        author : str
            Who draws; kept in the draft's history.

        Raises
        ------
        InputError
            ``parameter_missing``, ``parameter_invalid``, ``drawing_impossible``.
        MissingError
            ``draft_unknown``, ``code_unknown``.
        ConflictError
            ``draft_closed``.
        """
        with self._home.writing() as connection:
            draft = self._open_draft(connection, id)
            shelf = self._shelf(connection, draft.layer)
            made = pen.do(shelf, draft, self._pens, operation, plane=self.plane, author=author)
            self._note(connection, "draw", f"draft {id}", after=audit.operation(made))
            return made

    def undo(self, id: int) -> DraftEdit:
        """Take the last operation on a draft back, to the byte.

        Raises
        ------
        ConflictError
            ``nothing_to_undo``, ``draft_closed``.
        """
        with self._home.writing() as connection:
            draft = self._open_draft(connection, id)
            made = pen.undo(self._shelf(connection, draft.layer), draft, self._pens)
            self._note(connection, "undo", f"draft {id}", before=audit.operation(made))
            return made

    def redo(self, id: int) -> DraftEdit:
        """Do the operation again that was taken back last.

        Raises
        ------
        ConflictError
            ``nothing_to_redo``, ``draft_closed``.
        """
        with self._home.writing() as connection:
            draft = self._open_draft(connection, id)
            made = pen.redo(self._shelf(connection, draft.layer), draft, self._pens)
            self._note(connection, "redo", f"draft {id}", after=audit.operation(made))
            return made
