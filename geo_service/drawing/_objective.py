"""What a plan of grids is judged by: households in their range, and compact outlines."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba


class Rules(NamedTuple):
    """What a grid is to hold, how much that weighs, and how hard it is tried.

    Parameters
    ----------
    low, high : float
        Fewest and most households.
    penalty : float
        Of a grid outside them, besides what grows with how far it is outside.
    roundness : float
        The weight of compactness against that of borders on streets.
    thin, thinness : float
        Below this compactness a grid is too thin, and what every step further weighs.
    hot, cold : float
        The temperature at the beginning and at the end.
    moves_per_atom : int
        How long it is tried.
    recombine : float
        The share of moves that cut grids anew instead of handing an atom over.
    """

    low: float
    high: float
    penalty: float = 6.0
    roundness: float = 1.15
    thin: float = 0.32
    thinness: float = 1.0
    hot: float = 0.5
    cold: float = 0.01
    moves_per_atom: int = 2000
    recombine: float = 0.01


_EVEN_COMPACTNESS = 0.7
"""A grid like a 2:1 rectangle adds nothing to the objective, so their number is free."""


@numba.njit(cache=True, nogil=True)
def strain(weight: float, area: float, perimeter: float, rules: Rules) -> float:
    """Give what a grid adds to the objective.

    Its compactness is Polsby and Popper's, ``4 pi A / P^2``. A sum of it is what a median follows:
    the round grids gain as much as the thin ones lose. So the thin ones are held up from below.
    """
    compactness = 4.0 * math.pi * area / (perimeter * perimeter)
    total = rules.roundness * (_EVEN_COMPACTNESS - compactness)
    if compactness < rules.thin:
        total += rules.thinness * (1.0 / math.sqrt(compactness) - 1.0 / math.sqrt(rules.thin))
    off = max(rules.low - weight, weight - rules.high)
    if off > 0.0:
        total += rules.penalty * (0.5 + 2.0 * off / (rules.high - rules.low + 1.0))
    return total
