"""The walk to any place from the definition alone: no contraction, no cells, no compiled loop.

Every OSM node of a walkable way is a node of the graph (every segment end at a closed barrier one
of its own); lengths are geodesic; scipy searches; the place's and the origin's legs and the parts
of segments are added by hand. Only the import is shared with the product.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from scipy import sparse

from geo_service.streets import extracts, tag_rules

LEG_M = 100.0
LEAST_PIECE_M = 1000.0
FloatArray = npt.NDArray[np.float64]


class Streets:
    """All walkable segments of an extract, for one profile.

    Parameters
    ----------
    path : Path
        An extract.
    profile : str
        Who walks.
    """

    def __init__(self, path: Path, profile: str = "adult") -> None:
        mask = tag_rules.profile(profile).mask
        found, _ = extracts.read(path)
        ahead, back = (found.forward & mask) != 0, (found.backward & mask) != 0
        walked = ahead | back
        self.ahead, self.back = ahead[walked], back[walked]
        ends = np.column_stack((found.tail, found.head))[walked].astype(np.int64)
        closed = found.barriers[(found.barrier_masks & mask) == 0]
        cut = np.isin(ends, closed)
        places = np.column_stack((found.lon, found.lat))
        self.lonlat = np.concatenate((places, places[ends[cut]]))
        ends[cut] = len(places) + np.arange(cut.sum())
        self.tail, self.head = ends.T
        a, b = self.lonlat[self.tail], self.lonlat[self.head]
        _, _, self.length_m = pyproj.Geod(ellps="WGS84").inv(*a.T, *b.T)
        self.length_m = np.maximum(self.length_m, 1e-3)
        size = len(self.lonlat)
        tail = np.concatenate((self.tail[self.ahead], self.head[self.back]))
        head = np.concatenate((self.head[self.ahead], self.tail[self.back]))
        cost = np.concatenate((self.length_m[self.ahead], self.length_m[self.back]))
        order = np.lexsort((cost, head, tail))
        first = np.append(True, np.diff(tail[order] * size + head[order]) != 0)
        best = order[first]
        self.links = sparse.csr_array((cost[best], (tail[best], head[best])), (size, size))
        count, piece = sparse.csgraph.connected_components(self.links, directed=False)
        total = np.bincount(piece[self.tail], weights=self.length_m, minlength=count)
        self.served = total[piece[self.tail]] >= min(LEAST_PIECE_M, total.max() / 10)


class Walks:
    """The walks from one place.

    Parameters
    ----------
    streets : Streets
    lon, lat : float
        The place, WGS84.
    limit_m : float
        The longest walk.
    """

    def __init__(self, streets: Streets, lon: float, lat: float, limit_m: float) -> None:
        self.streets, self.limit_m = streets, limit_m
        plane = pyproj.Proj(proj="aeqd", lon_0=lon, lat_0=lat, ellps="WGS84")
        self.plane = plane
        xy = np.column_stack(plane(*streets.lonlat.T))
        near = np.flatnonzero(
            streets.served & (np.abs(xy[streets.tail]).min(axis=1) < 2 * limit_m + 1000)
        )
        self.segment = near
        self.lines = shapely.linestrings(
            np.stack((xy[streets.tail[near]], xy[streets.head[near]]), axis=1)
        )
        self.tree = shapely.STRtree(self.lines)
        here = shapely.Point(0, 0)
        nearest = int(self.tree.query_nearest(here, all_matches=False)[0])
        self.home = int(near[nearest])
        self.leg_m = float(shapely.distance(here, self.lines[nearest]))
        share = float(shapely.line_locate_point(self.lines[nearest], here, normalized=True))
        self.home_share = share
        length = float(streets.length_m[self.home])
        # A node more, which is where the leg meets the street.
        to, cost = [], []
        if streets.back[self.home]:
            to.append(int(streets.tail[self.home]))
            cost.append(max(share * length, 1e-9))
        if streets.ahead[self.home]:
            to.append(int(streets.head[self.home]))
            cost.append(max((1 - share) * length, 1e-9))
        size = len(streets.lonlat)
        grown = sparse.csr_array(
            (
                np.concatenate((streets.links.data, cost)),
                np.concatenate((streets.links.indices, to)),
                np.concatenate((streets.links.indptr, [streets.links.nnz + len(to)])),
            ),
            (size + 1, size + 1),
        )
        found = sparse.csgraph.dijkstra(grown, indices=size, limit=limit_m + 500)
        self.node_m = found[:size] + self.leg_m

    def to(self, lon: FloatArray, lat: FloatArray, *, reach: str) -> npt.NDArray[np.bool_]:
        """Tell which places are within the limit by the nearest street, or by any within 100 m."""
        streets = self.streets
        points = shapely.points(*self.plane(lon, lat))
        if reach == "nearest":
            asked, line = self.tree.query_nearest(points, all_matches=False)
        else:
            asked, line = self.tree.query(points, predicate="dwithin", distance=LEG_M)
        off_m = shapely.distance(points[asked], self.lines[line])
        share = shapely.line_locate_point(self.lines[line], points[asked], normalized=True)
        row = self.segment[line]
        length = streets.length_m[row]
        by_tail = np.where(
            streets.ahead[row] | (share == 0),
            self.node_m[streets.tail[row]] + share * length,
            np.inf,
        )
        by_head = np.where(
            streets.back[row] | (share == 1),
            self.node_m[streets.head[row]] + (1 - share) * length,
            np.inf,
        )
        walk = np.minimum(by_tail, by_head)
        along = share - self.home_share
        direct = (row == self.home) & np.where(along >= 0, streets.ahead[row], streets.back[row])
        walk = np.where(direct, np.minimum(walk, self.leg_m + np.abs(along) * length), walk)
        within = (walk + off_m <= self.limit_m) & (off_m <= LEG_M)
        answer = np.zeros(len(points), bool)
        np.logical_or.at(answer, asked, within)
        return answer


def f1(inside: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> float:
    """Give the F1 of a yes-or-no answer."""
    return float(2 * np.sum(inside & true) / max(np.sum(inside) + np.sum(true), 1))
