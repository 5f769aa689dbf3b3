"""Any boundary file a planner has -> a layer, with notes on what was found and assumed.

Nothing is guessed silently: the encoding taken, the coordinate system used, a datum undone and a
code column turned to text each leave a note. Nothing is repaired here.
"""

from geo_service.boundary_files.reading import BoundaryFile, Shapes, read, read_area
from geo_service.boundary_files.writing import WRITERS, name_note, to_wgs84, write

__all__ = [
    "WRITERS",
    "BoundaryFile",
    "Shapes",
    "name_note",
    "read",
    "read_area",
    "to_wgs84",
    "write",
]
