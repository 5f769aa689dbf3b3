"""Revisions of layers in one store: drafts, proof, publication, history.

A store is kept by one of two homes: one GeoPackage file that QGIS opens as it is, or a PostGIS
database.
"""

from __future__ import annotations

from geo_service.store.opening import create_store, open_store, store_exists
from geo_service.store.records import Check, CodeRecord, Diff, Draft, Info, Revision
from geo_service.store.store import Store

__all__ = [
    "Check",
    "CodeRecord",
    "Diff",
    "Draft",
    "Info",
    "Revision",
    "Store",
    "create_store",
    "open_store",
    "store_exists",
]
