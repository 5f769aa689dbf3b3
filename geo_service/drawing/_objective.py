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
    round_enough : float
        The compactness beyond which a grid gains nothing.
    unround, within : float
        What a grid that is not round enough loses besides, half of it so little below.
    thin, thinness : float
        The compactness below which a grid is too thin, and what every step further weighs.
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
    roundness: float = 0.8
    round_enough: float = 0.625
    unround: float = 0.15
    within: float = 0.05
    thin: float = 0.35
    thinness: float = 0.65
    hot: float = 0.5
    cold: float = 0.01
    moves_per_atom: int = 2000
    recombine: float = 0.01


@numba.njit(cache=True, nogil=True)
def strain(weight: float, area: float, perimeter: float, rules: Rules) -> float:
    """Give what a grid adds to the objective.

    Its compactness is Polsby and Popper's, ``4 pi A / P^2``. A little less than a rectangle of 5:2
    (0.64) is round enough: were rounder grids worth more, a few discs would pay for ragged ones
    beside them, and borders would leave streets for nothing. A grid far from round loses little
    more than one half-way there: some take the shape of their streets, and the others are round.
    The thin are held up from below.
    """
    compactness = 4.0 * math.pi * area / (perimeter * perimeter)
    short = max(rules.round_enough - compactness, 0.0)
    steps = short / rules.within
    total = rules.roundness * short + rules.unround * steps * steps / (1.0 + steps * steps)
    if compactness < rules.thin:
        total += rules.thinness * (1.0 / math.sqrt(compactness) - 1.0 / math.sqrt(rules.thin))
    off = max(rules.low - weight, weight - rules.high)
    if off > 0.0:
        total += rules.penalty * (0.5 + 2.0 * off / (rules.high - rules.low + 1.0))
    return total
