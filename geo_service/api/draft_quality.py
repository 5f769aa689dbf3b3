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
from geo_service.store.records import Draft

HOMES = "buildings"


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
    if "households" in grids:
        grids = grids.assign(households=pd.to_numeric(grids["households"], "coerce").fillna(0))
    before, streets = _published(state, draft), _streets(state, grids)
    found = drawing.measure(
        grids, streets=streets, target=target, before=before, homes=_homes(state, grids)
    )
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
    if "households" in grids:
        held: list[int | None] = [int(n) for n in grids["households"]]
    else:
        held = [None] * len(grids)
    rows = zip(grids["code"], held, area.tolist(), compact.tolist(), strict=True)
    return [
        {
            "code": code, "households": count, "area_m2": area_m2, "compactness": roundness,
            "size": None if count is None else _size(count, target),
        }
        for code, count, area_m2, roundness in rows
    ]  # fmt: skip


def _size(count: int, target: tuple[int, int]) -> str:
    return "few" if count < target[0] else "many" if count > target[1] else "right"


def _published(state: State, draft: Draft) -> gpd.GeoDataFrame | None:
    """Give what is published where a draft lies; nothing where there is nothing yet."""
    if draft.layer not in state.revisions():
        return None
    frame = state.view(draft.layer).frame
    if draft.replace_within is not None:
        frame = frame[[codes.is_within(code, draft.replace_within) for code in frame["code"]]]
    return frame if len(frame) else None


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
