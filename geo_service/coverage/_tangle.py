"""A layer tangled all over, refused before its crossings are counted one by one.

What is piled on one spot has been joined before (`_piles`).
"""

from __future__ import annotations

import numba
import numpy as np

from geo_service.coverage._arrays import FloatArray, IntArray
from geo_service.coverage._layer import Layer
from geo_service.coverage._residual import Residual
from geo_service.errors import InputError

_PILE = 64  # partners that neighbours side by side never have
_MOST_WORK = 5_000_000  # 215 shapes over one another: half a minute; ten times as many, for ever


def refuse(layer: Layer, left: Residual) -> None:
    """Refuse a layer in which so many shapes lie over one another that no list of faults serves.

    k shapes in one place cross in about k^2 places, each covered by k of them. The work is told
    beforehand from the boxes of the rows that own a residual: the sum, over pairs of boxes that
    overlap, of the fewer partners that either has, where those are many. One large box over many
    small ones adds nothing, nor do copies to the byte, whose borders cross nowhere.

    Raises
    ------
    InputError
        ``layer_tangled``, naming the most covered row.
    """
    rows = np.unique(left.row[left.row >= 0])
    box, first = np.unique(layer.boxes[rows], axis=0, return_index=True)  # by rising least x
    partners = np.zeros(len(box), np.int64)
    if _work(box, partners, _MOST_WORK) <= _MOST_WORK:
        return
    worst = int(rows[first[np.argmax(partners)]])
    x, y = layer.boxes[worst].reshape(2, 2).mean(axis=0).tolist()
    decimals = 5 if layer.ground.lonlat else 1
    raise InputError(
        "layer_tangled",
        file=str(layer.frame.attrs.get("file", "grids")),
        code=layer.label(worst),
        count=f"{int(partners.max()):,}",
        x=f"{x:.{decimals}f}",
        y=f"{y:.{decimals}f}",
    )


@numba.njit(nogil=True, cache=True)
def _work(box: FloatArray, partners: IntArray, most: int) -> int:
    """Count each box's partners, then sum over pairs the fewer of both; stop where it is `most`.

    Boxes stand by rising least x.
    """
    for i in range(len(box)):
        for j in range(i + 1, len(box)):
            if box[j, 0] > box[i, 2]:
                break
            if box[i, 1] < box[j, 3] and box[j, 1] < box[i, 3]:
                partners[i] += 1
                partners[j] += 1
    work = 0
    for i in range(len(box)):
        for j in range(i + 1, len(box)):
            if box[j, 0] > box[i, 2]:
                break
            if box[i, 1] < box[j, 3] and box[j, 1] < box[i, 3]:
                fewer = min(partners[i], partners[j])
                work += fewer if fewer > _PILE else 0
        if work > most:
            return work
    return work
