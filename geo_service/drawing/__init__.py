"""Draw grids: merge, split, move corners, or draw a whole area anew along its streets.

Every edit is an operation on shared borders (`Sheet`), so a tiling stays exactly a tiling.
"""

from geo_service.drawing._lines import street_lines
from geo_service.drawing._told import Miss
from geo_service.drawing.anew import Drawn, draw
from geo_service.drawing.changes import Change
from geo_service.drawing.edits import Edited, edit, merge, move_node, split
from geo_service.drawing.quality import Quality, measure
from geo_service.drawing.redraw import Redrawn, redraw
from geo_service.drawing.session import Session
from geo_service.drawing.sheet import Sheet
from geo_service.drawing.terrain import Terrain
from geo_service.drawing.whole import draw_all
from geo_service.notes import Note

__all__ = [
    "Change",
    "Drawn",
    "Edited",
    "Miss",
    "Note",
    "Quality",
    "Redrawn",
    "Session",
    "Sheet",
    "Terrain",
    "draw",
    "draw_all",
    "edit",
    "measure",
    "merge",
    "move_node",
    "redraw",
    "split",
    "street_lines",
]
