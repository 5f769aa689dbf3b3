"""Life circles: what can be walked from each, what is missing, what is planned, what to do.

`circles` judges them by a table of standards, `read_standard` reads such a table, `changes` tells
what a plan brings.
"""

from geo_service.life_circles.answers import LifeCircles, changes, records
from geo_service.life_circles.judging import CIRCLE_MINUTES, THRESHOLDS_MINUTES, circles
from geo_service.life_circles.standards import kinds_of, read_standard
from geo_service.life_circles.words import HEADERS_ZH, SCORE, STATUS_ZH

__all__ = [
    "CIRCLE_MINUTES",
    "HEADERS_ZH",
    "SCORE",
    "STATUS_ZH",
    "THRESHOLDS_MINUTES",
    "LifeCircles",
    "changes",
    "circles",
    "kinds_of",
    "read_standard",
    "records",
]
