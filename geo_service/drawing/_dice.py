"""Random numbers for the search: the same on every machine and thread."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Dice = npt.NDArray[np.uint64]


def new_dice(seed: int) -> Dice:
    """Give the state of a generator."""
    return np.random.default_rng(seed).integers(1, 2**63, 1, dtype=np.uint64)


@numba.njit(cache=True, nogil=True)
def chance(state: Dice) -> float:
    """Give a number in [0, 1): Marsaglia's xorshift64 (2003)."""
    bits = state[0]
    bits ^= bits << np.uint64(13)
    bits ^= bits >> np.uint64(7)
    bits ^= bits << np.uint64(17)
    state[0] = bits
    return float(bits >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True, nogil=True)
def below(count: int, state: Dice) -> int:
    """Give a whole number from 0 to ``count - 1``."""
    return int(chance(state) * count)
