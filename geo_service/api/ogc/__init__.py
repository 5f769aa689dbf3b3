"""OGC API over the published layers: landing page, collections, features."""

from __future__ import annotations

from geo_service.api.ogc import collections, items, landing

ROOMS = (landing, collections, items)
"""Those with a ``router``."""
