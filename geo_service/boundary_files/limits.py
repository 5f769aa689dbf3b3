"""How much of a boundary file is taken: what stands above these is refused, with the figure told.

Real layers are far below: a city of 18,936 grids has 1.9 million vertices, 30 MB of borders and
20 MB of attributes; a DBF of blank texts packs 200 to 1.
"""

from __future__ import annotations

MOST_MEMBERS = 10_000
"""Files in one zip."""

MOST_UNPACKED_MB = 1024
"""Megabytes a zip may unpack to, by its directory and by the bytes that really come out."""

MOST_RATIO = 400
"""How often a zip may grow while unpacking, once it is larger than `FREE_OF_RATIO_MB`."""

FREE_OF_RATIO_MB = 64

MOST_COLUMNS = 500
"""Columns of one layer."""

MOST_ATTRIBUTES_MB = 64
"""Megabytes of text in all columns of a layer, as UTF-8."""

MOST_FEATURES = 1_000_000
"""Features of one layer."""

MB = 1024 * 1024
