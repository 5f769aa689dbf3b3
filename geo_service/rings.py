"""A layer of polygons as flat arrays: every vertex once, in rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Rings:
    """The rings of a layer.

    Parameters
    ----------
    xy : ndarray of float, shape (vertices, 2)
        Every ring's vertices one after another, the first repeated as the last.
    start : ndarray of int, shape (rings + 1,)
        Ring r is ``xy[start[r]:start[r + 1]]``.
    row : ndarray of int, shape (rings,)
        The feature a ring belongs to.
    hole : ndarray of bool, shape (rings,)
        Whether the ring bounds a hole.
    features : int
        Number of features.
    """

    xy: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    hole: npt.NDArray[np.bool_]
    features: int

    @property
    def count(self) -> int:
        """Number of rings."""
        return len(self.row)
