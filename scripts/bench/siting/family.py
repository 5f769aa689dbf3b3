"""A seeded family of cities for siting: clustered grids, streets with detours, walks along them.

Grids lie in six built-up cores, eighty townships and villages of a square of 70 km; streets are
a Delaunay triangulation over grids and twice as many corners, thinned by three edges in ten; walks
are shortest paths along them. Candidates are street corners, so they stand where people live.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numba
import numpy as np
from scipy import sparse
from scipy.spatial import Delaunay

GRIDS = 18_936
SIDE_M = 70_000.0
# Centre (m), spread (m), share of the grids.
CORES = (
    (35_000, 36_000, 3000, 0.300), (15_000, 50_000, 1900, 0.065), (52_000, 55_000, 1900, 0.065),
    (55_000, 20_000, 1700, 0.060), (20_000, 15_000, 1700, 0.055), (42_000, 62_000, 1500, 0.045),
)  # fmt: skip
TOWNS, TOWN_SHARE, VILLAGES = 80, 0.13, 1900
CORNERS_PER_GRID, CORNER_SPREAD_M = 2, 130.0
LONGEST_STREET_M, DROPPED = 1500.0, 0.30


@dataclass(frozen=True, eq=False)
class Town:
    """Walks (candidates x grids, metres, all within the radius) and people of each grid."""

    walks: sparse.csr_array
    people: np.ndarray

    @property
    def coverage(self) -> sparse.csr_array:
        """Ones where there is a walk."""
        ones = np.ones(self.walks.nnz)
        return sparse.csr_array((ones, self.walks.indices, self.walks.indptr), self.walks.shape)


def make(
    candidates: int, *, grids: int = GRIDS, radius_m: float = 1000.0, seed: int = 20261121
) -> Town:
    """Make one town of the family; a smaller one is as dense."""
    random = np.random.default_rng(seed)
    where, people = _grids(grids, random)
    spots = where[random.integers(0, grids, CORNERS_PER_GRID * grids)]
    corners = spots + random.normal(0.0, CORNER_SPREAD_M, spots.shape)
    nodes = np.concatenate([where, corners])
    starts, heads, metres = _streets(nodes, random)
    sources = grids + random.permutation(len(corners))[:candidates]
    found = _walks(starts, heads, metres, sources, grids, radius_m)
    walks = sparse.csr_array(found[::-1], shape=(len(sources), grids))
    walks.sort_indices()
    return Town(walks, people)


def _grids(number: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    scale = np.sqrt(number / GRIDS)
    parts = []
    for x, y, spread, share in CORES:
        around = random.normal(0.0, spread * scale, (int(number * share), 2)) * [1.0, 0.8]
        parts.append(around + np.array([x, y]) * scale)
    towns = max(1, round(TOWNS * scale**2))
    centres = random.uniform(2000 * scale, (SIDE_M - 2000) * scale, (towns, 2))
    spreads = random.uniform(250.0, 700.0, towns)
    at = random.integers(0, towns, int(number * TOWN_SHARE))
    parts.append(centres[at] + random.normal(0.0, 1.0, (len(at), 2)) * spreads[at, None])
    rest = number - sum(map(len, parts))
    villages = max(1, round(VILLAGES * scale**2))
    centres = random.uniform(500 * scale, (SIDE_M - 500) * scale, (villages, 2))
    at = random.integers(0, villages, rest)
    parts.append(centres[at] + random.normal(0.0, 160.0, (rest, 2)))
    where = random.permutation(np.concatenate(parts))
    people = np.maximum(5, np.rint(random.lognormal(np.log(190.0), 0.6, number)))
    return where, people.astype(np.int64)


def _streets(
    nodes: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    corners = Delaunay(nodes).simplices
    pairs = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]))
    pairs = np.unique(pairs, axis=0)
    straight = np.hypot(*(nodes[pairs[:, 0]] - nodes[pairs[:, 1]]).T)
    kept = (straight < LONGEST_STREET_M) & (random.random(len(pairs)) > DROPPED)
    length = straight[kept] * random.uniform(1.0, 1.15, int(kept.sum()))
    one, other = pairs[kept].T
    graph = sparse.csr_array(
        (np.tile(length, 2), (np.concatenate([one, other]), np.concatenate([other, one]))),
        shape=(len(nodes), len(nodes)),
    )
    return graph.indptr, graph.indices, graph.data


@numba.njit(cache=True)
def _walks(starts, heads, metres, sources, grids, limit):  # type: ignore[no-untyped-def]  # numba infers
    """Shortest paths from each source up to a limit: rows' starts, grids reached, metres."""
    distance = np.full(len(starts) - 1, np.inf)
    ends = np.zeros(len(sources) + 1, dtype=np.int64)
    reached, walked = [np.int64(0) for _ in range(0)], [0.0 for _ in range(0)]
    for at in range(len(sources)):
        seen = [np.int64(sources[at])]
        distance[sources[at]] = 0.0
        heap = [(0.0, np.int64(sources[at]))]
        while heap:
            here, node = heapq.heappop(heap)
            if here > distance[node]:
                continue
            if node < grids:
                reached.append(node)
                walked.append(here)
            for arc in range(starts[node], starts[node + 1]):
                there = here + metres[arc]
                other = np.int64(heads[arc])
                if there <= limit and there < distance[other]:
                    if distance[other] == np.inf:
                        seen.append(other)
                    distance[other] = there
                    heapq.heappush(heap, (there, other))
        for node in seen:
            distance[node] = np.inf
        ends[at + 1] = len(reached)
    return ends, np.array(reached), np.array(walked)
