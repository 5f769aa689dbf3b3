"""OGC API over the published layers: landing page, collections, features, processes, jobs."""

from __future__ import annotations

from geo_service.api.ogc import collections, items, jobs, landing, processes

ROOMS = (landing, collections, items, processes, jobs)
"""Those with a ``router``."""
