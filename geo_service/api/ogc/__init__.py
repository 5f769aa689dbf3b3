"""OGC API over the published layers: collections, features, tiles, processes and jobs."""

from __future__ import annotations

from geo_service.api.ogc import collections, items, jobs, landing, processes, tiles

ROOMS = (landing, collections, items, tiles, processes, jobs)
"""Those with a ``router``."""
