"""What a store asks of the place that keeps it; `GeoPackage` and `PostGIS` are the two there are.

A home knows connections, transactions, geometry encodings and spatial tables. It knows nothing of
drafts, revisions or checks: those are written once, on top of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from geo_service.store.rows import Column, Rows
from geo_service.store.schema import Schema

Extent = tuple[float, float, float, float]
"""Min x, min y, max x, max y in the working plane."""


class Home(Protocol):
    """The place that keeps one store."""

    schema: Schema
    """The store's tables, in the types of this home."""

    @property
    def name(self) -> str:
        """What people call this store; never with a password in it."""

    # transactions

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """One snapshot: what is read inside belongs together, whatever is published meanwhile."""

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Give the one writer's transaction: all of it happens, or nothing."""

    def settle(self) -> None:
        """Tidy up after a publication, as far as readers allow."""

    def close(self) -> None:
        """Let the store go."""

    def adopt(self, connection: sa.Connection, table: sa.Table) -> None:
        """Make one of the store's own tables in a store that is older than it, guarded."""

    # geometry

    def encode(self, rows: Rows) -> list[bytes]:
        """Turn the WKB of rows into what a geometry column of this home takes."""

    def decode(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Give the very WKB back from what a geometry column gave."""

    def within_bbox(self, table: sa.Table, bbox: Extent) -> sa.ColumnElement[bool]:
        """Give the condition for features whose indexed box meets a box: at least all of them."""

    def within_past(
        self, connection: sa.Connection, bbox: Extent, *conditions: sa.ColumnElement[bool]
    ) -> sa.ColumnElement[bool]:
        """Give the same for rows of the history that meet conditions."""

    # tables of current revisions

    def declared_kind(self, connection: sa.Connection, layer: str) -> str:
        """Give the geometry type a layer's table is declared with, such as ``POLYGON``."""

    def edited_at(self, connection: sa.Connection, layer: str) -> str | None:
        """Tell when a GIS program last edited a layer's table; ``None``: it is as published."""

    def published(self, connection: sa.Connection, table: sa.Table) -> sa.FromClause:
        """Give where the published rows of a layer stand: `table` itself where it is as published.

        Columns have the names of the table's.
        """

    def added_columns(self, connection: sa.Connection, table: sa.Table) -> list[Column]:
        """Name the columns that a GIS program added to a layer's table."""

    def restore(self, connection: sa.Connection, table: sa.Table) -> None:
        """Put the published rows of a layer back in the place of what was made of them."""

    def editing(
        self, connection: sa.Connection, layer: str, extent: Extent
    ) -> AbstractContextManager[None]:
        """Let the writer at a guarded layer; `extent` is the one it has afterwards."""

    def replacing(
        self,
        connection: sa.Connection,
        layer: str,
        columns: Sequence[Column],
        *,
        kind: str,
        identifier: str,
        extent: Extent,
    ) -> AbstractContextManager[sa.Table]:
        """Give an empty table to fill; it takes the place of the layer's table, if there is one.

        Parameters
        ----------
        connection : sqlalchemy.Connection
            The writer's.
        layer : str
            Whose.
        columns : sequence of Column
            Its attribute columns from now on.
        kind : str
            Its geometry type from now on: ``POLYGON``, ``GEOMETRY`` ...
        identifier : str
            What GIS programs show as its title.
        extent : tuple of float
            The one it has once it is filled.
        """

    def insert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        columns: Sequence[str],
        values: Sequence[tuple[Any, ...]],
    ) -> None:
        """Insert many rows fast."""

    def index(
        self,
        connection: sa.Connection,
        table: sa.Table,
        fids: Sequence[int],
        bounds: npt.NDArray[np.float64],
    ) -> None:
        """Enter inserted features into the spatial index; `bounds` as `Rows.bounds`."""

    def remove_rows(self, connection: sa.Connection, table: sa.Table, fids: Sequence[int]) -> None:
        """Delete features and their index entries."""

    def replacing_table(
        self, connection: sa.Connection, name: str, columns: Sequence[Column]
    ) -> AbstractContextManager[sa.Table]:
        """Give an empty attribute table to fill, in place of the one of its name."""

    def go_on_counting(self, connection: sa.Connection) -> None:
        """Number new rows after those that were put in with their numbers."""

    # the walk network, and care

    @property
    def streets_path(self) -> Path:
        """Where the current walk network can be read on this machine; there may be none yet."""

    def streets_stamp(self) -> str | None:
        """Tell which state of the walk network is current; ``None`` where there is none."""

    @property
    def jobs_path(self) -> Path:
        """Where this machine keeps the records of jobs over the store; there may be none yet."""

    @property
    def tiles_path(self) -> Path:
        """Where this machine keeps drawn tiles of the store; there may be none yet."""

    def keep_streets(self, save: Callable[[Path], object]) -> None:
        """Keep the walk network that `save` writes to a path, whole or not at all."""

    @property
    def file_name(self) -> str:
        """What a copy of the store in a GeoPackage is called."""

    def unguarded(self, layers: Sequence[str]) -> list[str]:
        """Name published tables whose guards against edits are missing."""

    def guard(self, tables: Sequence[str]) -> None:
        """Set the guards of published tables again."""

    def faults(self, layers: Sequence[str]) -> list[str]:
        """Look for damage of the home itself; empty for a sound one."""


Fill = Callable[[Home, sa.Connection], None]
"""What puts rows into a new store, inside the writer's transaction that makes it."""
