"""Facilities that a list holds twice."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy import spatial

from geo_service import crs

NEAR_M = 30.0
"""Two of one kind nearer than a building is long."""

_SAME_M = 0.01

SAME_NAME_M = 300.0
"""Two of one kind and one name, told by two departments from two ends of a block."""

_IN_PAIRS = frozenset({"bus_stop"})  # one on either side of the street is as it should be
_FILLERS = re.compile(r"[\s()（）\-·.、,，]+")


def find(table: pd.DataFrame, *, near_m: float = NEAR_M) -> pd.DataFrame:
    """Find pairs of rows that are probably one facility.

    Parameters
    ----------
    table : DataFrame
        As `geo_service.facilities.parse` gives it; closed facilities are left aside.
    near_m : float
        Two of one kind within this distance (straight) are a pair.

    Returns
    -------
    DataFrame
        ``kind, id, name, other_id, other_name, metres, why``: ``why`` is ``same_place``, ``near``
        or ``same_name``. Nothing is removed: which of two is right is for the planner to say.
    """
    columns = ["kind", "id", "name", "other_id", "other_name", "metres", "why"]
    stands = table[table["status"].to_numpy() != "closed"]
    if len(stands) < 2:
        return pd.DataFrame(columns=columns)
    lon, lat = stands["lon"].to_numpy(float), stands["lat"].to_numpy(float)
    plane = crs.Plane.of(crs.plane_for(float(np.median(lon)), float(np.median(lat))))
    xy = np.column_stack(plane.forward(lon, lat, datum="wgs84"))
    ids, names = stands["id"].astype(str).to_numpy(object), stands["name"].to_numpy(object)
    told = []
    for kind in dict.fromkeys(stands["kind"]):
        rows = np.flatnonzero((stands["kind"] == kind).to_numpy(bool))
        tree = spatial.cKDTree(xy[rows])
        for one, two in tree.query_pairs(max(near_m, SAME_NAME_M)):
            a, b = sorted((int(rows[one]), int(rows[two])))
            metres = float(np.hypot(*(xy[a] - xy[b])))
            same = _bare(names[a]) == _bare(names[b]) != ""
            if (metres > near_m and not same) or (kind in _IN_PAIRS and metres >= _SAME_M):
                continue
            why = "same_place" if metres < _SAME_M else "same_name" if same else "near"
            told.append((kind, ids[a], names[a], ids[b], names[b], round(metres, 1), why))
    told.sort(key=lambda row: (row[0], row[5], row[1], row[3]))
    return pd.DataFrame(told, columns=columns)


def _bare(name: object) -> str:
    return _FILLERS.sub("", str(name)).casefold()
