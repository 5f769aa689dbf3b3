"""What kind of grid one is (网格类型)."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import numpy.typing as npt

DEDICATED = "专属网格"
"""A grid cut out for one premises (market, school, tower): it holds whatever it holds."""

ORDINARY = "基础网格"
"""A grid that is nothing else."""


def dedicated(grids: gpd.GeoDataFrame) -> npt.NDArray[np.bool_]:
    """Tell which grids of a layer are dedicated, by its column ``kind``."""
    if "kind" not in grids:
        return np.zeros(len(grids), bool)
    return (grids["kind"] == DEDICATED).to_numpy(bool)
