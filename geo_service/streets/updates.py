"""What a newer extract changes for places: which snaps hold, which move, which are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service.streets import segments

if TYPE_CHECKING:
    from geo_service.streets.network import WalkNetwork

HOLDS_M = 1.0
"""A spot on the street that moves by less still holds."""


def compare_snaps(
    old: WalkNetwork, new: WalkNetwork, lon: npt.ArrayLike, lat: npt.ArrayLike, **options: Any
) -> pd.DataFrame:
    """Compare where places meet the streets of two networks.

    Parameters
    ----------
    old, new : WalkNetwork
        Of the same profile.
    lon, lat : array_like, shape (k,)
        Places, WGS84 unless ``datum`` says otherwise.
    **options
        ``datum``, ``limit_m`` of `WalkNetwork.snap_all`.

    Returns
    -------
    DataFrame
        A row for each place: ``state`` (``unchanged``, ``moved``, ``lost``, ``gained``, ``none``);
        ``moved_m`` from the old spot to the new one; ``old_distance_m``, ``new_distance_m`` from
        the place to its street.
    """
    before, after = (network.snap_all(lon, lat, **options) for network in (old, new))
    spots = [old.to_lonlat(before.x, before.y), new.to_lonlat(after.x, after.y)]
    moved_m = segments.ground_length_m(*spots[0], *spots[1])
    both = before.found & after.found
    state = np.select(
        [both & (moved_m <= HOLDS_M), both, before.found, after.found],
        ["unchanged", "moved", "lost", "gained"], default="none",
    )  # fmt: skip
    return pd.DataFrame(
        {
            "state": state,
            "moved_m": np.where(both, moved_m, np.nan),
            "old_distance_m": np.where(before.found, before.snap_distance_m, np.nan),
            "new_distance_m": np.where(after.found, after.snap_distance_m, np.nan),
        }
    )
