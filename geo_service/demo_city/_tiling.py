"""The tiling: Voronoi cells whose borders are bent once and shared exactly.

Every border between two cells is one arc, drawn once and used by both sides, so the tiling is
exact: grids, communities, townships, counties and the city itself are rings of the same arcs, with
the same vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Voronoi

from geo_service.demo_city._territory import OUTSIDE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PIECES = 16  # segments of a long border: about 100 vertices a grid
_SHORTEST_PIECE_M = 2.0
_SHORTEST_BORDER_M = 2.0
_BEND = 0.10  # how far a border strays from its chord, as a share of its length
_KITE_SHARE = 0.8  # of the kite between border and generators; 1 mm rounding needs the rest
_ROUND_DECIMALS = 3


@dataclass(frozen=True)
class Tiling:
    """Cells as arcs between nodes; where three cells meet, three arcs meet.

    Parameters
    ----------
    seeds : ndarray, shape (cells, 2)
        A point inside each cell, metres in the working plane.
    nodes : ndarray, shape (nodes, 2)
    start, end : ndarray of int
        The nodes of each arc.
    left, right : ndarray of int
        The cells on both sides of each arc; `OUTSIDE` beyond the rim.
    offsets, points : ndarray
        Arc ``k`` runs through ``points[offsets[k]:offsets[k + 1]]``, its nodes included.
    """

    seeds: FloatArray
    nodes: FloatArray
    start: IntArray
    end: IntArray
    left: IntArray
    right: IntArray
    offsets: IntArray
    points: FloatArray

    def neighbours(self) -> tuple[IntArray, IntArray]:
        """Give the pairs of cells that share a border."""
        inner = (self.left != OUTSIDE) & (self.right != OUTSIDE)
        return self.left[inner], self.right[inner]

    def polygons(self, region: IntArray | None = None) -> npt.NDArray[np.object_]:
        """Give the polygon of every region from the arcs that part it from others.

        No union is computed: arcs inside a region drop out, and what is left is chained.

        Parameters
        ----------
        region : ndarray of int, shape (cells,), optional
            The region of each cell, counted from 0; by default each cell is its own.

        Returns
        -------
        ndarray of shapely.Polygon, one per region
        """
        of_cell = np.arange(len(self.seeds)) if region is None else region
        # The last entry answers index -1: beyond the rim is no region.
        side = np.append(of_cell, OUTSIDE)
        left, right = side[self.left], side[self.right]
        border = np.flatnonzero(left != right)
        ahead, back = border[left[border] != OUTSIDE], border[right[border] != OUTSIDE]
        arc = np.concatenate([ahead, back])
        forward = np.concatenate([np.ones(len(ahead), bool), np.zeros(len(back), bool)])
        owner = np.concatenate([left[ahead], right[back]])
        order, ring_sizes = _chain(
            owner,
            np.where(forward, self.start[arc], self.end[arc]),
            np.where(forward, self.end[arc], self.start[arc]),
        )
        rings = self._rings(arc[order], forward[order], ring_sizes)
        ring_owner = owner[order[np.cumsum(ring_sizes) - ring_sizes]]
        return _polygons(rings, ring_owner, int(of_cell.max()) + 1)

    def _rings(
        self, arc: IntArray, forward: npt.NDArray[np.bool_], ring_sizes: IntArray
    ) -> npt.NDArray[np.object_]:
        """Lay the arcs of each ring end to end."""
        steps = np.diff(self.offsets)[arc] - 1
        at = np.cumsum(steps) - steps
        within = np.arange(steps.sum()) - np.repeat(at, steps)
        first = np.where(forward, self.offsets[arc], self.offsets[arc + 1] - 1)
        rows = np.repeat(first, steps) + within * np.repeat(np.where(forward, 1, -1), steps)
        ring = np.repeat(np.repeat(np.arange(len(ring_sizes)), ring_sizes), steps)
        rings: npt.NDArray[np.object_] = shapely.linearrings(self.points[rows], indices=ring)
        return rings


def relax(seeds: FloatArray, *, fixed: int, rounds: int) -> FloatArray:
    """Move seeds to the centroids of their cells, some rounds of it (Lloyd).

    Parameters
    ----------
    seeds : ndarray, shape (n, 2)
    fixed : int
        The last so many seeds stay where they are: they guard the rim.
    rounds : int
    """
    moving = len(seeds) - fixed
    for _ in range(rounds):
        nodes, ends, pair = _voronoi(seeds)
        a, b = nodes[ends[:, 0]], nodes[ends[:, 1]]
        area, moment = np.zeros(len(seeds)), np.zeros((len(seeds), 2))
        for side in (0, 1):
            seed = seeds[pair[:, side]]
            triangle = np.abs(_cross(a - seed, b - seed))
            np.add.at(area, pair[:, side], triangle)
            np.add.at(moment, pair[:, side], (a + b + seed) / 3.0 * triangle[:, None])
        seeds = seeds.copy()
        seeds[:moving] = moment[:moving] / area[:moving, None]
    return seeds


def components(seeds: FloatArray, label: IntArray) -> IntArray:
    """Number the connected pieces that cells of one label form."""
    _, _, pair = _voronoi(seeds)
    same = pair[label[pair[:, 0]] == label[pair[:, 1]]]
    links = coo_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(seeds),) * 2)
    return connected_components(links, directed=False)[1].astype(np.int64)


def without_short_borders(seeds: FloatArray, *, fixed: int, rng: np.random.Generator) -> FloatArray:
    """Shake seeds until no border is shorter than 2 m.

    A border that vanishes when coordinates are rounded would join four cells in one node.
    """
    moving = len(seeds) - fixed
    for _ in range(50):
        nodes, ends, pair = _voronoi(seeds)
        length = np.hypot(*(nodes[ends[:, 0]] - nodes[ends[:, 1]]).T)
        real = (pair < moving).any(axis=1)
        short = pair[real & (length < _SHORTEST_BORDER_M)]
        if not len(short):
            return seeds
        restless = np.unique(short[short < moving])
        reach = np.hypot(*(seeds[short[:, 0]] - seeds[short[:, 1]]).T).max()
        seeds = seeds.copy()
        seeds[restless] += rng.uniform(-0.02, 0.02, (len(restless), 2)) * reach
    raise RuntimeError("short borders remain after 50 rounds")


def tiling(seeds: FloatArray, *, fixed: int, rng: np.random.Generator) -> Tiling:
    """Draw the tiling of seeds; the last `fixed` ones stand for the world outside."""
    cells = len(seeds) - fixed
    nodes, ends, pair = _voronoi(seeds)
    real = (pair < cells).any(axis=1)
    ends, pair = ends[real], pair[real]
    a, b = nodes[ends[:, 0]], nodes[ends[:, 1]]
    swap = _cross(b - a, seeds[pair[:, 0]] - a) < 0
    left, right = np.where(swap, pair[:, 1], pair[:, 0]), np.where(swap, pair[:, 0], pair[:, 1])
    kept, compact = np.unique(ends, return_inverse=True)
    compact = compact.reshape(ends.shape)
    rounded = np.round(nodes[kept], _ROUND_DECIMALS)
    offsets, points = _bent(
        rounded[compact[:, 0]], rounded[compact[:, 1]], seeds[left], seeds[right], rng
    )
    return Tiling(
        seeds=seeds[:cells],
        nodes=rounded,
        start=compact[:, 0],
        end=compact[:, 1],
        left=np.where(left < cells, left, OUTSIDE),
        right=np.where(right < cells, right, OUTSIDE),
        offsets=offsets,
        points=points,
    )


def _voronoi(seeds: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Nodes, and for each bounded border its two nodes and its two seeds, in a fixed order."""
    diagram = Voronoi(seeds)
    ends = np.asarray(diagram.ridge_vertices, np.int64)
    pair = np.sort(diagram.ridge_points.astype(np.int64), axis=1)
    bounded = (ends >= 0).all(axis=1)
    ends, pair = ends[bounded], pair[bounded]
    order = np.lexsort((pair[:, 1], pair[:, 0]))
    return diagram.vertices, ends[order], pair[order]


def _bent(
    a: FloatArray, b: FloatArray, left: FloatArray, right: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Bend the borders a-b, each within the kite it spans with the seeds on its two sides.

    The triangles between a cell's seed and its borders part the cell, so kites of different borders
    meet in their corners only, and borders bent inside their kites cannot cross. A bent border is a
    function over its chord: it cannot cross itself.
    """
    chord = b - a
    length = np.hypot(*chord.T)
    along = chord / length[:, None]
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    step = np.arange(_PIECES + 1) / _PIECES
    jitter = rng.uniform(-0.3, 0.3, (len(a), _PIECES + 1)) / _PIECES
    jitter[:, [0, -1]] = 0.0
    x = (step + jitter) * length[:, None]
    stray = _fractal(len(a), rng) * (_BEND * length[:, None])
    stray = np.minimum(stray, _KITE_SHARE * _roof(x, length, left - a, along, normal))
    stray = np.maximum(stray, -_KITE_SHARE * _roof(x, length, right - a, along, -normal))
    xy = a[:, None] + x[..., None] * along[:, None] + stray[..., None] * normal[:, None]
    xy[:, 0], xy[:, -1] = a, b
    xy = np.round(xy, _ROUND_DECIMALS)
    # Short borders keep every 2nd, 4th, 8th vertex, or none between their nodes.
    wanted = np.clip(length / _SHORTEST_PIECE_M, 1.0, _PIECES)
    stride = _PIECES >> np.floor(np.log2(wanted)).astype(np.int64)
    kept = np.arange(_PIECES + 1) % stride[:, None] == 0
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return offsets, xy[kept]


def _roof(
    x: FloatArray, length: FloatArray, seed: FloatArray, along: FloatArray, up: FloatArray
) -> FloatArray:
    """Height of the triangle (a, b, seed) above the chord at `x`."""
    foot = (seed * along).sum(axis=1)
    height = (seed * up).sum(axis=1)
    with np.errstate(divide="ignore"):
        rise = np.where(foot > 0, height / np.maximum(foot, 1e-9), np.inf)
        fall = np.where(foot < length, height / np.maximum(length - foot, 1e-9), np.inf)
    near = np.minimum(rise, 1e6)[:, None] * x
    far = np.minimum(fall, 1e6)[:, None] * (length[:, None] - x)
    roof: FloatArray = np.minimum(near, far)
    return roof


def _fractal(count: int, rng: np.random.Generator) -> FloatArray:
    """Random lines from 0 to 0 by midpoint displacement, shape (count, pieces + 1)."""
    line = np.zeros((count, _PIECES + 1))
    step, size = _PIECES, 1.0
    while step > 1:
        half = step // 2
        ends = line[:, ::step]
        middle = (ends[:, :-1] + ends[:, 1:]) / 2.0
        line[:, half::step] = middle + size * rng.uniform(-1.0, 1.0, middle.shape)
        step, size = half, size * 0.5
    return line


def _chain(owner: IntArray, start: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """Order directed border pieces into rings.

    At a node of three arcs a region's border passes once, so (owner, node) names the next piece.

    Returns
    -------
    order, ring_sizes : ndarray of int
        Pieces ring after ring, rings in the order of their owners; how many each ring has.
    """
    base = int(max(start.max(), end.max())) + 1
    by_start = np.argsort(owner * base + start, kind="stable")
    keys = (owner * base + start)[by_start]
    following = by_start[np.searchsorted(keys, owner * base + end)].tolist()
    seen = [False] * len(following)
    order: list[int] = []
    sizes: list[int] = []
    for first in by_start.tolist():
        if seen[first]:
            continue
        piece, before = first, len(order)
        while not seen[piece]:
            seen[piece] = True
            order.append(piece)
            piece = following[piece]
        sizes.append(len(order) - before)
    return np.array(order, np.int64), np.array(sizes, np.int64)


def _polygons(
    rings: npt.NDArray[np.object_], owner: IntArray, count: int
) -> npt.NDArray[np.object_]:
    """Make polygons of rings; a clockwise ring is a hole of its owner's region."""
    shell = shapely.is_ccw(rings)
    if not (np.bincount(owner[shell], minlength=count) == 1).all():
        raise RuntimeError("a region of the demo city is in several pieces")
    polygons = np.asarray(shapely.polygons(rings[shell]), dtype=object)
    for region in np.unique(owner[~shell]):
        holes = rings[~shell & (owner == region)]
        polygons[region] = shapely.polygons(polygons[region].exterior, list(holes))
    return polygons


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    product: FloatArray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product
