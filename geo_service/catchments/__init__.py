"""Catchments: what lies within some minutes of walking, as areas.

The city is laid out in small cells. A place belongs to a catchment if the walk to it is within the
limit: the straight leg from the origin to the street, the exact shortest way along streets, and the
straight leg from the street to the place, which is at most `LEG_LIMIT_M`. Two definitions differ in
the street: ``nearest`` takes the place's nearest one (its front door), ``any`` the best of all
within the longest leg. Outlines are traced on one field of walks (marching squares), so shorter
catchments lie inside longer ones by construction, and every area is valid.
"""

from geo_service.catchments.areas import CELL_M, catchment, features, geojson
from geo_service.catchments.edges import reached_edges
from geo_service.catchments.field import LEG_LIMIT_M, Reachable

__all__ = [
    "CELL_M",
    "LEG_LIMIT_M",
    "Reachable",
    "catchment",
    "features",
    "geojson",
    "reached_edges",
]
