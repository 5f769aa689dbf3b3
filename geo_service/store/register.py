"""The code register: every code a layer ever had. Retired ones resolve, and are not used again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from geo_service.store import log
from geo_service.store.records import CodeRecord
from geo_service.store.revisions import Lived, Shelf, current, past
from geo_service.store.rows import Rows, to_frame

_LEAST_SHARE = 1e-3  # of a retired feature's ground, below which a neighbour is no successor


def advance(shelf: Shelf, codes: Sequence[str]) -> None:
    """Bring the code register to the next revision: new codes in, missing ones retired."""
    register, number = shelf.schema.codes, shelf.number + 1
    here = register.c.layer == shelf.layer
    query = sa.select(register.c.code, register.c.retired).where(here)
    known: dict[str, int | None] = {
        row.code: row.retired for row in shelf.connection.execute(query)
    }
    present = set(codes) - {""}
    new = [(shelf.layer, code, number) for code in sorted(present - known.keys())]
    shelf.home.insert(shelf.connection, register, ["layer", "code", "since"], new)
    _set_retired(shelf, {c for c, r in known.items() if r is None} - present, number)
    _set_retired(shelf, {c for c, r in known.items() if r is not None} & present, None)


def retired(shelf: Shelf) -> set[str]:
    """Codes of the layer that were used once and are not any more."""
    register = shelf.schema.codes
    query = sa.select(register.c.code).where(
        register.c.layer == shelf.layer, register.c.retired.is_not(None)
    )
    return set(shelf.connection.execute(query).scalars())


def find(shelf: Shelf, code: str, plane: str) -> CodeRecord | None:
    """Tell what a code of the layer stands for, or stood for last; ``None``: never used."""
    register = shelf.schema.codes
    query = sa.select(register.c.since, register.c.retired).where(
        register.c.layer == shelf.layer, register.c.code == code
    )
    entry = shelf.connection.execute(query).first()
    if entry is None:
        return None
    since, retired_in = entry
    if retired_in is None:
        lived, columns = current(shelf, code=code), shelf.columns
    else:
        history = shelf.schema.history
        lived = past(shelf, history.c.code == code, history.c.valid_to == retired_in)
        columns = log.columns_at(shelf.schema, shelf.connection, shelf.layer, retired_in - 1)
    feature = lived.rows.take([0])
    return CodeRecord(
        code=code,
        layer=shelf.layer,
        status="current" if retired_in is None else "retired",
        valid_from=since,
        valid_to=retired_in,
        feature=to_frame(feature, columns, plane),
        successors=() if retired_in is None else _successors(shelf, feature),
    )


def _successors(shelf: Shelf, feature: Rows) -> tuple[tuple[str, float], ...]:
    """Current codes on the ground of a retired feature, with their share of it."""
    old = shapely.make_valid(feature.geometries[0])
    if not old.area:
        return ()
    lived: Lived = current(shelf, bbox=old.bounds)
    if not len(lived.rows):
        return ()
    there = shapely.make_valid(lived.rows.geometries)
    share: npt.NDArray[np.float64] = shapely.area(shapely.intersection(there, old)) / old.area
    pairs = zip(lived.rows.codes, share.tolist(), strict=True)
    found = [(code, part) for code, part in pairs if part >= _LEAST_SHARE]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _set_retired(shelf: Shelf, codes: set[str], number: int | None) -> None:
    if not codes:
        return
    register = shelf.schema.codes
    statement = (
        register.update()
        .where(register.c.layer == shelf.layer, register.c.code == sa.bindparam("which"))
        .values(retired=number)
    )
    shelf.connection.execute(statement, [{"which": code} for code in sorted(codes)])
