"""Vertices of outlines from the network's plane to degrees."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakMethod

import numpy as np

from geo_service.catchments import _cells
from geo_service.catchments.outlines import FloatArray

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

STEP_M = 500.0
"""Between the nodes of the lattice, whose squares of three by three are a kilometre wide. What a
biquadratic leaves over there is some (0.5 km / 6371 km)^3 of the radius: less than 0.01 mm."""

_SQUARE_M = 2.0 * STEP_M
_BLOCK_STEPS = 16  # of a kept part of the lattice: 8 km
_BLOCKS_KEPT = 1024  # 4.6 KB each
_FEW_SQUARES = 64
_NODES = 9  # of a square: projecting more nodes than vertices would be no gain


def to_lonlat(network: WalkNetwork, places: FloatArray) -> FloatArray:
    """Give longitudes and latitudes (WGS84) of many vertices.

    A lattice is projected by `WalkNetwork.to_lonlat`, and the vertices are laid between its nodes:
    a fifth of the time, the same to a hundredth of a millimetre. The lattice is anchored at
    multiples of its step, so a vertex gets the same degrees whatever comes with it; what was
    projected of it is kept.

    Parameters
    ----------
    network : WalkNetwork
        The streets.
    places : ndarray of float64, shape (v, 2)
        Metres in the network's plane.
    """
    if not places.size:
        return places
    west, south, east, north = (math.floor(edge / _SQUARE_M) for edge in _cells.box(*places.T))
    squares = (east - west + 1) * (north - south + 1)
    if squares <= max(_FEW_SQUARES, len(places) // _NODES):
        return _within(network, places, (west, south), (east, north))
    square, of = np.unique(np.floor(places / _SQUARE_M), axis=0, return_inverse=True)
    found = np.empty_like(places)
    for number, (across, up) in enumerate(square.astype(int).tolist()):
        here = of.ravel() == number
        found[here] = _within(network, places[here], (across, up), (across, up))
    return found


def _within(
    network: WalkNetwork, places: FloatArray, low: tuple[int, int], high: tuple[int, int]
) -> FloatArray:
    """Lay vertices between the nodes of some columns and rows of squares."""
    (column, row), (last_column, last_row) = (2 * low[0], 2 * low[1]), (2 * high[0], 2 * high[1])
    blocks = _blocks(network)
    across = range(column // _BLOCK_STEPS, last_column // _BLOCK_STEPS + 1)
    up = range(row // _BLOCK_STEPS, last_row // _BLOCK_STEPS + 1)
    lattice = np.empty((_BLOCK_STEPS * len(up) + 1, _BLOCK_STEPS * len(across) + 1, 2))
    if len(up) == len(across) == 1:
        lattice = blocks(across[0], up[0])
    else:
        for j in range(len(up)):
            for i in range(len(across)):
                x, y = _BLOCK_STEPS * i, _BLOCK_STEPS * j
                lattice[y : y + _BLOCK_STEPS + 1, x : x + _BLOCK_STEPS + 1] = blocks(
                    across[i], up[j]
                )
    return np.asarray(
        _cells.interpolated(
            places, _BLOCK_STEPS * across[0], _BLOCK_STEPS * up[0], STEP_M, lattice
        ),
        float,
    )


_KEPT: WeakKeyDictionary[WalkNetwork, Callable[[int, int], FloatArray]] = WeakKeyDictionary()


def _blocks(network: WalkNetwork) -> Callable[[int, int], FloatArray]:
    """Give what projects a block of a network's lattice, by its column and row."""
    known = _KEPT.get(network)
    if known is None:
        project = WeakMethod(network.to_lonlat)  # the network itself would then never go

        @lru_cache(maxsize=_BLOCKS_KEPT)
        def block(across: int, up: int) -> FloatArray:
            steps = np.arange(_BLOCK_STEPS + 1)
            x, y = np.meshgrid(
                (across * _BLOCK_STEPS + steps) * STEP_M, (up * _BLOCK_STEPS + steps) * STEP_M
            )
            to_lonlat = project()
            assert to_lonlat is not None  # whoever asks holds the network
            return np.stack(to_lonlat(x, y), axis=-1)

        known = _KEPT.setdefault(network, block)
    return known
