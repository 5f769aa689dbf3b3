"""Tables of places: from a file, from the store, from a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geo_service.cli import _terminal as terminal
from geo_service.errors import MissingError

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

LAYERS = ("micro_grids", "grids", "communities", "townships", "counties")


def kept(name: str, store: str | None, *, needed: bool = True) -> Any:
    """A table of the store; ``None`` where there is none and none is needed.

    Raises
    ------
    MissingError
        ``table_missing``.
    """
    from geo_service.store import open_store, store_exists

    path = terminal.store_path(store)
    if not needed and not store_exists(path):
        return None
    with open_store(path) as opened:
        known = opened.tables()
        if name in known:
            return opened.table(name)
    if needed:
        raise MissingError("table_missing", table=name, known=", ".join(known))
    return None


def keep(name: str, table: pd.DataFrame, store: str | None) -> None:
    """Put a table into the store."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        opened.put_table(name, table)


def areas(store: str | None) -> dict[str, gpd.GeoDataFrame]:
    """The published layers of divisions and grids."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        return {name: opened.frame(name) for name in LAYERS if name in opened.current_revisions()}


def layer_places(name: str, store: str | None) -> pd.DataFrame:
    """A row per area of a published layer, with a position inside it (WGS84)."""
    from geo_service import demand
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        return demand.of_layer(opened.frame(name))


def tell_notes(notes: list[dict[str, str]]) -> None:
    """Print notes in the reader's language."""
    for note in notes:
        terminal.out().print(f"· {note[terminal.say('zh', 'en')]}", markup=False)
