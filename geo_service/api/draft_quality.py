"""How good a draft's grids are, beside what is published where they lie."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes, crs
from geo_service.api.state import State
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.store.pen import HOMES
from geo_service.store.records import Draft


def told(state: State, draft: Draft, target: tuple[int, int]) -> dict[str, Any]:
    """Measure a draft's grids, each and all together, and what they change.

    Parameters
    ----------
    state : State
        Of the store.
    draft : Draft
        An open draft of a layer that tiles.
    target : tuple of int
        Fewest and most households wanted of a grid.

    Raises
    ------
    InputError
        ``parameter_invalid`` where the fewest are more than the most.
    MissingError
        ``not_found`` where the draft has no shape to measure.
    """
    from geo_service import drawing
    from geo_service.drawing.quality import WORDS

    if target[0] > target[1]:
        reason = Phrase("最少户数大于最多户数", "the fewest are more than the most")
        raise InputError("parameter_invalid", name="low", value=target[0], reason=reason)
    grids = state.store.draft_grids(draft.id)
    grids = grids[~(shapely.is_missing(grids.geometry) | shapely.is_empty(grids.geometry))]
    if grids.empty:
        raise MissingError("not_found", what=Phrase("草稿里的网格", "grids of the draft"))
    grids = _counted(grids)
    before, streets = _published(state, draft), _streets(state, grids)
    homes = _homes(state, grids)
    found = drawing.measure(grids, streets=streets, target=target, before=before, homes=homes)
    return {
        "target": list(target),
        "quality": found.to_dict(),
        "before": None if before is None else _before(state, draft, before, streets, target),
        "words": {name: {"zh": zh, "en": en} for name, (zh, en) in WORDS.items()},
        "grids": _each(grids, target),
    }


def _before(
    state: State,
    draft: Draft,
    grids: gpd.GeoDataFrame,
    streets: gpd.GeoDataFrame | None,
    target: tuple[int, int],
) -> dict[str, Any]:
    """Measure what is published where a draft lies; kept while the same draft is drawn on."""
    from geo_service import drawing

    revision = state.revisions()[draft.layer]
    version = (draft.layer, revision, draft.replace_within, target, state.streets_stamp())
    found = state.report(
        "quality of what is published",
        version,
        lambda: drawing.measure(grids, streets=streets, target=target),
    )
    return {"revision": revision, "quality": found.to_dict()}


def _each(grids: gpd.GeoDataFrame, target: tuple[int, int]) -> list[dict[str, Any]]:
    """Tell each grid's size, roundness and whether it holds as many households as wanted."""
    shapes = np.asarray(grids.geometry.values, object)
    area, rim = shapely.area(shapes), shapely.length(shapes)
    compact = 4 * np.pi * area / rim**2
    held = grids["households"].astype(int).tolist() if "households" in grids else [None] * len(area)
    rows = zip(grids["code"], held, area.tolist(), compact.tolist(), _sizes(grids, target),
               strict=True)  # fmt: skip
    names = ("code", "households", "area_m2", "compactness", "size")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _sizes(grids: gpd.GeoDataFrame, target: tuple[int, int]) -> list[str | None]:
    """Tell whether each grid holds ``few``, ``many`` or the ``right`` number of households.

    A dedicated grid (market, school, tower) is right whatever it holds.
    """
    from geo_service.drawing import kinds

    if "households" not in grids:
        return [None] * len(grids)
    held = grids["households"].to_numpy(float)
    size = np.select([held < target[0], held > target[1]], ["few", "many"], "right").astype(object)
    size[kinds.dedicated(grids)] = "right"
    found: list[str | None] = size.tolist()
    return found


def _published(state: State, draft: Draft) -> gpd.GeoDataFrame | None:
    """Give what is published where a draft lies; nothing where there is nothing yet."""
    if draft.layer not in state.revisions():
        return None
    frame = state.view(draft.layer).frame
    if draft.replace_within is not None:
        frame = frame[[codes.is_within(code, draft.replace_within) for code in frame["code"]]]
    return _counted(frame) if len(frame) else None


def _counted(grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Take households that nobody told for none."""
    if "households" not in grids:
        return grids
    return grids.assign(households=pd.to_numeric(grids["households"], "coerce").fillna(0))


def _streets(state: State, grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame | None:
    """Give the streets about the grids, where the store has any."""
    stamp = state.streets_stamp()
    if stamp is None:
        return None
    lines = state.report(
        "street lines", stamp, lambda: state.network().street_lines().to_crs(grids.crs)
    )
    return lines.iloc[_within(lines, grids)]


def _homes(state: State, grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame | None:
    """Give the homes in the grids' extent, where the store has a table of them."""
    if HOMES not in state.store.tables():
        return None
    table = state.store.table(HOMES)
    if not {"lon", "lat", "households"} <= set(table):
        return None
    homes = crs.placed(table, grids.crs, datum="wgs84")
    return homes.iloc[_within(homes, grids)]


def _within(features: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> npt.NDArray[np.intp]:
    """Give the rows of features that touch the extent of the grids."""
    return np.sort(features.sindex.query(shapely.box(*grids.total_bounds)))
