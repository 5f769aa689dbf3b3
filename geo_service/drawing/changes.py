"""What an edit did to the grids it changed: the same for a frame, a session and a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geo_service.drawing.operations import Operation
from geo_service.notes import Note

MERGED, NODE_INSERTED, NODE_MOVED = "merged", "node_inserted", "node_moved"
BORDER_MOVED, LAND_GIVEN, LAND_TAKEN = "border_moved", "land_given", "land_taken"

Row = Mapping[str, Any]
"""The columns of a grid but for its code and shape."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One grid at one moment: its shape, and its columns but for the code."""

    geometry: Any
    row: Row


@dataclass(frozen=True)
class Change:
    """What an operation did.

    Parameters
    ----------
    operation : Mapping
        As it was done: codes that were given on the way are filled in.
    changed : Mapping
        Code -> what happened to it: ``merged``, ``node_inserted`` (a vertex on a border, no land),
        ``node_moved``, ``border_moved``, ``land_given``, ``land_taken``.
    retired, created : tuple of str
        Codes that ended and began.
    notes : tuple of Note
        What was done, in words.
    before, after : Mapping
        Code -> `Grid`, of every grid that is named above.
    """

    operation: Operation
    changed: Mapping[str, str] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    before: Mapping[str, Grid] = field(default_factory=dict)
    after: Mapping[str, Grid] = field(default_factory=dict)

    def reversed(self) -> Change:
        """Give the change that takes this one back."""
        return Change(
            self.operation, self.changed, self.created, self.retired, self.notes,
            self.after, self.before,
        )  # fmt: skip
