"""The walkable street segments of one extract, before any profile has looked at them.

Segments are straight pieces between two neighbouring OSM nodes. They are kept in canonical order
(by OSM node id), so the network does not depend on the order of ways in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
MaskArray = npt.NDArray[np.uint8]
TextArray = npt.NDArray[np.str_]

WGS84_AXIS_M = 6378137.0
WGS84_E2 = 0.0066943799901413165


@dataclass(frozen=True, eq=False)
class Segments:
    """What an extract says of streets, for every profile.

    Parameters
    ----------
    osm_ids : ndarray of int64, shape (n,)
        OSM node ids, ascending; a node's row is its number here.
    lon, lat : ndarray of float64, shape (n,)
        WGS84 degrees.
    tail, head : ndarray of int32, shape (s,)
        Nodes of each segment, ``tail < head``.
    forward, backward : ndarray of uint8, shape (s,)
        Masks of the access classes that may walk from tail to head, and back.
    barriers : ndarray of int32, shape (b,)
        Nodes that carry a barrier not open to everybody, ascending.
    barrier_masks : ndarray of uint8, shape (b,)
        Masks of the access classes that may pass them.
    names : ndarray of str, shape (k,)
        Names of streets, in order; the first is "", of a street without one.
    name : ndarray of int32, shape (s,)
        The row of `names` of each segment.
    """

    osm_ids: LongArray
    lon: FloatArray
    lat: FloatArray
    tail: IntArray
    head: IntArray
    forward: MaskArray
    backward: MaskArray
    barriers: IntArray
    barrier_masks: MaskArray
    names: TextArray
    name: IntArray


def join(
    refs: LongArray,
    lon: FloatArray,
    lat: FloatArray,
    way: LongArray,
    forward: MaskArray,
    backward: MaskArray,
    *,
    barrier_ids: LongArray,
    barrier_masks: MaskArray,
    name: IntArray | None = None,
    names: Sequence[str] = ("",),
) -> Segments:
    """Cut ways into segments and join those that several ways share.

    Parameters
    ----------
    refs, lon, lat : ndarray, shape (r,)
        The nodes of all ways in a row: OSM id and position. A position of NaN is a node that the
        extract lacks: the way is broken there.
    way : ndarray of int64, shape (r,)
        Which way each node stands in.
    forward, backward : ndarray of uint8, shape (r,)
        The masks of that way.
    barrier_ids, barrier_masks : ndarray
        OSM ids of the barriers and their masks.
    name : ndarray of int32, shape (r,), optional
        The row of `names` of that way's name. Of several ways that share a segment the first name
        in alphabetical order counts, and any before none.
    names : sequence of str
        Names of ways, each once, in any order; "" among them.
    """
    known = np.isfinite(lon) & np.isfinite(lat)
    osm_ids, first, node = np.unique(refs[known], return_index=True, return_inverse=True)
    number = np.full(refs.size, -1, np.int64)
    number[known] = node

    start, end = number[:-1], number[1:]
    real = (way[:-1] == way[1:]) & (start >= 0) & (end >= 0) & (start != end)
    start, end = start[real], end[real]
    along, against = forward[:-1][real], backward[:-1][real]
    turned = start > end
    tail, head = np.where(turned, end, start), np.where(turned, start, end)
    up, down = np.where(turned, against, along), np.where(turned, along, against)

    key, same = np.unique(tail * osm_ids.size + head, return_inverse=True)
    ups, downs = np.zeros(key.size, np.uint8), np.zeros(key.size, np.uint8)
    np.bitwise_or.at(ups, same, up)
    np.bitwise_or.at(downs, same, down)

    known_names, rank = np.unique(np.array(names, np.str_), return_inverse=True)
    called = np.zeros(real.sum(), np.int64) if name is None else rank[name[:-1][real]]
    named = called > 0  # the empty name comes first in order
    street = np.full(key.size, known_names.size, np.int32)
    np.minimum.at(street, same[named], called[named])
    street[street == known_names.size] = 0

    order = np.argsort(barrier_ids, kind="stable")
    row = np.searchsorted(osm_ids, barrier_ids[order])
    on_street = row < osm_ids.size
    on_street[on_street] = osm_ids[row[on_street]] == barrier_ids[order][on_street]
    return Segments(
        osm_ids=osm_ids,
        lon=lon[known][first],
        lat=lat[known][first],
        tail=(key // max(osm_ids.size, 1)).astype(np.int32),
        head=(key % max(osm_ids.size, 1)).astype(np.int32),
        forward=ups,
        backward=downs,
        barriers=row[on_street].astype(np.int32),
        barrier_masks=barrier_masks[order][on_street],
        names=known_names,
        name=street,
    )


def ground_length_m(
    lon_a: FloatArray, lat_a: FloatArray, lon_b: FloatArray, lat_b: FloatArray
) -> FloatArray:
    """Give the length on the ground of short segments, in metres.

    Mid-latitude formula on the WGS84 ellipsoid: the difference of longitudes times the radius of
    the parallel, and of latitudes times the radius of the meridian, both at the middle latitude.
    Agrees with the geodesic to 1e-6 for segments below 5 km and latitudes below 70 degrees, where
    a plane of a 3-degree zone is off by up to 2e-4 and a sphere by up to 5e-3.

    Examples
    --------
    >>> a, b = np.array([113.85]), np.array([34.03])
    >>> ground_length_m(a, b, a + 0.001, b).round(2)
    array([92.35])
    """
    sine = np.sin(np.radians((lat_a + lat_b) / 2.0))
    curve = 1.0 - WGS84_E2 * sine**2
    east = np.radians(lon_b - lon_a) * np.sqrt(1.0 - sine**2) * WGS84_AXIS_M / np.sqrt(curve)
    north = np.radians(lat_b - lat_a) * WGS84_AXIS_M * (1.0 - WGS84_E2) / curve**1.5
    return np.hypot(east, north)


def arrays(segments: Segments) -> dict[str, npt.NDArray[Any]]:
    """Give the arrays by name, for the file."""
    return {name: getattr(segments, name) for name in Segments.__dataclass_fields__}
