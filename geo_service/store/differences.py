"""What is different between two revisions of a layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import orjson
import shapely

from geo_service.store.records import Diff, Revision
from geo_service.store.revisions import Lived, Shelf, match_equal, versions_between
from geo_service.store.rows import Column, to_frame


def diff(
    shelf: Shelf,
    before: int,
    after: int,
    *,
    columns: tuple[Sequence[Column], Sequence[Column]],
    log: Mapping[int, Revision],
    plane: str,
) -> Diff:
    """Compare two revisions; only rows that changed hands between them are read.

    Parameters
    ----------
    shelf : Shelf
        The layer.
    before, after : int
        Revision numbers, in either order.
    columns : tuple of sequences of Column
        The columns of each of the two.
    log : Mapping
        Number -> revision, for who and when.
    plane : str
        The working plane.
    """
    if before <= after:
        gone, born = versions_between(shelf, before, after)
    else:
        born, gone = versions_between(shelf, after, before)
    removed, added, pairs = pair(gone, born)
    return Diff(
        layer=shelf.layer,
        before=before,
        after=after,
        added=_ordered(to_frame(born.rows.take(added), columns[1], plane)),
        removed=_ordered(to_frame(gone.rows.take(removed), columns[0], plane)),
        changed=_ordered(_changed(gone, born, pairs, log, plane)),
    )


def pair(gone: Lived, born: Lived) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Match versions by code: positions only gone, only born, and pairs that are different."""
    by_code: dict[str, list[int]] = defaultdict(list)
    _, leaves, comes = match_equal(gone.rows.digests(), born.rows.digests())
    for i in leaves:
        by_code[gone.rows.codes[i]].append(i)
    only_born, pairs = [], []
    for j in comes:
        waiting = by_code[born.rows.codes[j]] if born.rows.codes[j] else []
        if waiting:
            pairs.append((waiting.pop(0), j))
        else:
            only_born.append(j)
    only_gone = sorted(i for waiting in by_code.values() for i in waiting)
    return only_gone, only_born, pairs


def _changed(
    gone: Lived,
    born: Lived,
    pairs: Sequence[tuple[int, int]],
    log: Mapping[int, Revision],
    plane: str,
) -> gpd.GeoDataFrame:
    old = _geometries(gone, [i for i, _ in pairs])
    new = _geometries(born, [j for _, j in pairs])
    touched = [log[max(born.valid_from[j], gone.valid_from[i])] for i, j in pairs]
    return gpd.GeoDataFrame(
        {
            "code": [born.rows.codes[j] for _, j in pairs],
            "moved_area_m2": _moved_area_m2(old, new),
            "attributes": [
                _attribute_changes(gone.rows.attributes[i], born.rows.attributes[j])
                for i, j in pairs
            ],
            "revision": [revision.number for revision in touched],
            "who": [revision.author for revision in touched],
            "when": [revision.published_at for revision in touched],
            "geometry_before": gpd.GeoSeries(old, crs=plane),
        },
        geometry=new,
        crs=plane,
    )


def _moved_area_m2(
    old: npt.NDArray[np.object_], new: npt.NDArray[np.object_]
) -> npt.NDArray[np.float64]:
    """Area that belongs to one of the two only; exactly 0 where the coordinates are the same."""
    moved = np.zeros(len(old))
    differ = ~shapely.equals_exact(old, new) if len(old) else np.zeros(0, bool)
    if differ.any():
        one, other = shapely.make_valid(old[differ]), shapely.make_valid(new[differ])
        moved[differ] = shapely.area(shapely.symmetric_difference(one, other))
    return moved


def _attribute_changes(old: bytes, new: bytes) -> dict[str, list[Any]]:
    before, after = orjson.loads(old), orjson.loads(new)
    names = sorted(before.keys() | after.keys())
    return {
        name: [before.get(name), after.get(name)]
        for name in names
        if before.get(name) != after.get(name)
    }


def _geometries(lived: Lived, where: Sequence[int]) -> npt.NDArray[np.object_]:
    return lived.rows.take(where).geometries


def _ordered(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.sort_values("code", kind="stable", ignore_index=True)
