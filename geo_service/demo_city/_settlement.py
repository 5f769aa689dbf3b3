"""Where the demo city's grids lie: how many a county has, and the seeds they grow from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from geo_service.demo_city import _tiling
from geo_service.demo_city._territory import (
    COUNTIES,
    OUTSIDE,
    PIXEL_M,
    FloatArray,
    IntArray,
    Territory,
    seats,
)

_RELAX_ROUNDS = 4
_GUARD_SPACINGS = 4.0  # width of the belt of seeds beyond the rim, in mean spacings
_SEAT_RADIUS_M = 2_600.0  # how fast density falls away from a county seat
_TOWN_RADIUS_M = 1_100.0
_SEAT_DENSITY, _TOWN_DENSITY = 16.0, 3.0  # over a countryside of 1


@dataclass(frozen=True)
class Settlement:
    """Seeds of the grids, and what they were drawn from.

    Parameters
    ----------
    seeds : ndarray, shape (grids + guards, 2)
        Generators in the working plane; the guards, which stand for the world outside, come last.
    guards : int
    county : ndarray of int, shape (grids,)
        Index into `COUNTIES`.
    towns : list of ndarray, shape (townships of the county, 2)
        Town centres of each county, the seat first.
    """

    seeds: FloatArray
    guards: int
    county: IntArray
    towns: list[FloatArray]


def shares(total: int, weights: FloatArray, *, least: IntArray | int = 0) -> IntArray:
    """Split a whole number by weights: largest remainders, nobody below `least`.

    Examples
    --------
    >>> population = [554_465, 783_475, 547_411, 674_832, 1_109_782, 710_033]
    >>> shares(18_936, np.array(population, float)).tolist()
    [2397, 3387, 2367, 2917, 4798, 3070]
    """
    floor = np.broadcast_to(np.asarray(least, np.int64), weights.shape)
    split = np.maximum(_largest_remainder(total, weights), floor)
    # Who was raised to the least takes from those who have most to spare.
    while split.sum() > total:
        split[np.argmax(split - floor)] -= 1
    return split


def settle(
    ground: Territory, *, grids: int, towns: IntArray, rng: np.random.Generator
) -> Settlement:
    """Scatter seeds: denser near the seats and the towns, exactly so many in each county.

    Parameters
    ----------
    ground : Territory
    grids : int
        In the whole city.
    towns : ndarray of int, shape (6,)
        Townships of each county: each gets a centre, and the county at least so many grids.
    rng : numpy.random.Generator
    """
    population = np.array([county.population for county in COUNTIES], float)
    counts = shares(grids, population, least=towns)
    centres = [_town_centres(ground, k, int(n), rng) for k, n in enumerate(towns)]
    density = _density(ground, centres, counts)
    inside = [_scatter(ground, density * (ground.county == k), n, rng)
              for k, n in enumerate(counts)]  # fmt: skip
    belt = _belt(ground, grids)
    guards = _scatter(ground, belt * density, round((belt * density).sum()), rng)
    seeds = np.concatenate([*inside, guards])
    county = np.repeat(np.arange(len(COUNTIES)), counts)
    seeds = _tiling.relax(seeds, fixed=len(guards), rounds=_RELAX_ROUNDS)
    seeds = _without_strays(seeds, county, fixed=len(guards), rng=rng)
    seeds = _tiling.without_short_borders(seeds, fixed=len(guards), rng=rng)
    return Settlement(seeds, len(guards), county, centres)


def _largest_remainder(total: int, weights: FloatArray) -> IntArray:
    exact = total * weights / weights.sum()
    split = np.floor(exact).astype(np.int64)
    order = np.argsort(split - exact, kind="stable")
    split[order[: total - split.sum()]] += 1
    return split


def _town_centres(
    ground: Territory, county: int, count: int, rng: np.random.Generator
) -> FloatArray:
    """Spread town centres: of random places, always the one farthest from the seat and the others.

    Farness is measured in units that shrink towards the seat, so that towns crowd around it.
    """
    rows, columns = np.nonzero(ground.county == county)
    place = np.column_stack([ground.x[columns], ground.y[rows]])
    seat = seats()[county]
    first = place[np.hypot(*(place - seat).T).argmin()]
    unit = 3_000.0 + np.hypot(*(place - first).T)
    pool = rng.choice(len(place), size=min(len(place), 40 * count), replace=False, p=unit**-0.7 /
                      (unit**-0.7).sum())  # fmt: skip
    chosen = [first]
    apart = np.hypot(*(place[pool] - first).T)
    for _ in range(count - 1):
        best = pool[int((apart / unit[pool] ** 0.6).argmax())]
        chosen.append(place[best])
        apart = np.minimum(apart, np.hypot(*(place[pool] - place[best]).T))
    return np.array(chosen)


def _density(ground: Territory, towns: list[FloatArray], counts: IntArray) -> FloatArray:
    """Expected seeds per pixel; outside the city as in the nearest pixel inside."""
    x, y = np.meshgrid(ground.x, ground.y)
    density = np.zeros(ground.county.shape)
    for county, (centres, count) in enumerate(zip(towns, counts, strict=True)):
        here = ground.county == county
        urban = np.ones(here.sum())
        for rank, centre in enumerate(centres):
            peak = _SEAT_DENSITY if rank == 0 else _TOWN_DENSITY
            radius = _SEAT_RADIUS_M if rank == 0 else _TOWN_RADIUS_M
            urban += peak * np.exp(-np.hypot(x[here] - centre[0], y[here] - centre[1]) / radius)
        density[here] = urban * count / urban.sum()
    nearest = ndimage.distance_transform_edt(
        ground.county == OUTSIDE, return_distances=False, return_indices=True
    )
    row, column = np.asarray(nearest)
    extended: FloatArray = density[row, column]
    return extended


def _belt(ground: Territory, grids: int) -> FloatArray:
    """1 in the pixels beyond the rim that need guards, else 0."""
    spacing_m = np.sqrt((ground.county != OUTSIDE).sum() * PIXEL_M**2 / grids)
    away = ndimage.distance_transform_edt(ground.county == OUTSIDE) * PIXEL_M
    belt: FloatArray = ((away > 0) & (away < _GUARD_SPACINGS * spacing_m)).astype(float)
    return belt


def _scatter(
    ground: Territory, density: FloatArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Draw points by density, evenly: one step of the running sum gives one point.

    The sum runs along a Hilbert curve, so neighbours on it are neighbours on the ground.
    """
    rows, columns = np.nonzero(density)
    along = np.argsort(_hilbert(columns, rows), kind="stable")
    rows, columns = rows[along], columns[along]
    running = np.cumsum(density[rows, columns])
    at = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * running[-1]
    pixel = np.minimum(np.searchsorted(running, at), len(rows) - 1)
    shift = rng.uniform(-0.5, 0.5, (count, 2)) * PIXEL_M
    return np.column_stack([ground.x[columns[pixel]], ground.y[rows[pixel]]]) + shift


def _hilbert(x: IntArray, y: IntArray, *, order: int = 10) -> IntArray:
    """Give the position of each cell on a Hilbert curve over 2**order x 2**order cells."""
    x, y = x.copy(), y.copy()
    distance = np.zeros(len(x), np.int64)
    side = 1 << (order - 1)
    while side:
        right, up = (x & side) > 0, (y & side) > 0
        distance += side * side * ((3 * right) ^ up)
        flip = ~up & right
        x[flip], y[flip] = (side - 1) - (x[flip] & (side - 1)), (side - 1) - (y[flip] & (side - 1))
        turn = ~up
        x[turn], y[turn] = y[turn].copy(), x[turn].copy()
        side >>= 1
    return distance


def _without_strays(
    seeds: FloatArray, county: IntArray, *, fixed: int, rng: np.random.Generator
) -> FloatArray:
    """Move seeds that are cut off from the rest of their county next to a seed that is not."""
    label = np.concatenate([county, np.full(fixed, len(COUNTIES))])
    for _ in range(50):
        piece = _tiling.components(seeds, label)[: len(county)]
        main = np.array([np.bincount(piece[county == k]).argmax() for k in range(len(COUNTIES))])
        stray = np.flatnonzero(piece != main[county])
        if not len(stray):
            return seeds
        seeds = seeds.copy()
        for cell in stray:
            home = np.flatnonzero(piece == main[county[cell]])
            apart = np.hypot(*(seeds[home] - seeds[cell]).T)
            inner = home[np.argsort(apart)[min(6, len(home) - 1)]]
            shift = rng.uniform(-0.2, 0.2, 2) * apart.min()
            seeds[cell] = seeds[inner] + shift
    raise RuntimeError("a county of the demo city stays in pieces after 50 rounds")
