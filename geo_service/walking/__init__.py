"""Walking on the network: what can be reached, the shortest walk, and all walks between two sets.

Every distance is the exact shortest one in whole centimetres (`contraction.Graph`), the same on any
machine and with any number of workers.
"""

from geo_service.walking.instructions import Step
from geo_service.walking.matrices import TravelMatrix, matrix, time_matrix
from geo_service.walking.nearest import Nearest, nearest, totals
from geo_service.walking.reaching import Reach, entrances, reach, search
from geo_service.walking.routes import Route, piece, route

__all__ = [
    "Nearest",
    "Reach",
    "Route",
    "Step",
    "TravelMatrix",
    "entrances",
    "matrix",
    "nearest",
    "piece",
    "reach",
    "route",
    "search",
    "time_matrix",
    "totals",
]
