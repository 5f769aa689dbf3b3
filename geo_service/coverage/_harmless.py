"""Vertices that one of two neighbours lacks although their borders are one line."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._faces import Faces
from geo_service.coverage._faults import Fault
from geo_service.coverage._places import Lines, Places


def faults(lines: Lines, faces: Faces, places: list[Places]) -> list[Fault]:
    """Tell, for each group of neighbours, the vertices only some of them have.

    Such a vertex lies on another's segment to within the rounding of the coordinates, and is no
    corner of a fault. Places are in the layer's own coordinates.
    """
    segments = len(lines.segments)
    ends = np.concatenate([lines.segments[:, :2], lines.segments[:, 2:]])
    xy, number = _arrays.numbered(ends)
    corners = shapely.get_coordinates(np.concatenate([p.polygons[p.real] for p in places]))
    asked = np.flatnonzero(~_arrays.among(xy, corners))
    k, segment = lines.near(xy[asked])
    node = asked[k]
    passes = (number[segment] != node) & (number[segment + segments] != node)
    node, segment = node[passes], segment[passes]
    sides: dict[int, set[int]] = defaultdict(set)
    touching = np.flatnonzero(np.isin(number, node))
    for nodes, of in ((node, segment), (number[touching], touching % segments)):
        which, row = lines.owners(of)
        for n, r in zip(nodes[which].tolist(), row.tolist(), strict=True):
            sides[n].add(r)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for n, rows in sorted(sides.items()):
        if len(rows) > 1:
            groups[tuple(sorted(rows))].append(n)
    return [_fault(rows, xy[at] + faces.origin) for rows, at in groups.items()]


def _fault(rows: tuple[int, ...], xy: np.ndarray) -> Fault:
    facts = {"count": len(xy), "outline": rows[0] < 0}
    grids = tuple(row for row in rows if row >= 0)
    return Fault("edge_mismatch", grids, _arrays.multipoint(xy), facts=facts)
