"""A draft whose layer was published again meanwhile: brought onto the latest revision, or refused.

Per code there are three states: the one the draft started from, the draft's, and the published one.
What only one side changed is taken from that side; what both changed in the same way is no quarrel;
what both changed differently is one, and is told with who published it and when.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from geo_service import codes
from geo_service.store import log, revisions
from geo_service.store.records import Clash
from geo_service.store.revisions import Lived, Shelf
from geo_service.store.rows import Rows


@dataclass(frozen=True)
class Rebased:
    """A draft's rows on the latest revision.

    Parameters
    ----------
    rows : Rows
        The draft's own, with what was published meanwhile; of clashing codes, the draft's.
    taken : tuple of str
        Codes that are as published since the draft was made.
    clashes : tuple of Clash
        Codes that both sides changed, differently.
    """

    rows: Rows
    taken: tuple[str, ...]
    clashes: tuple[Clash, ...]


def rebase(shelf: Shelf, mine: Rows, *, base: int, area: str | None) -> Rebased:
    """Bring a draft's rows from revision `base` onto the latest one of its layer.

    Parameters
    ----------
    shelf : Shelf
        The layer.
    mine : Rows
        The draft's rows; all within `area`, if there is one.
    base : int
        The revision the draft was made on; 0: there was none.
    area : str or None
        The code of the area it replaces.
    """
    if base == shelf.number:
        return Rebased(mine, (), ())
    now = revisions.current(shelf)
    theirs = _within(now.rows, area)
    before = _within(revisions.at(shelf, base).rows, area) if base else Rows([], [], [])
    old, own, new = map(_states, (before, mine, theirs))
    moved = {code for code in old.keys() | new.keys() if old.get(code) != new.get(code)}
    touched = {code for code in moved if own.get(code) != old.get(code)}
    clashing = sorted(code for code in touched if own.get(code) != new.get(code))
    taken = moved - touched
    kept = [i for i, code in enumerate(mine.codes) if code not in taken]
    brought = [i for i, code in enumerate(theirs.codes) if code in taken]
    clashes = _clashes(shelf, now, clashing, base) if clashing else ()
    return Rebased(mine.take(kept) + theirs.take(brought), tuple(sorted(taken)), clashes)


def _within(rows: Rows, area: str | None) -> Rows:
    if area is None:
        return rows
    return rows.take(i for i, code in enumerate(rows.codes) if codes.is_within(code, area))


def _states(rows: Rows) -> Mapping[str, list[bytes]]:
    """Give what stands under each code: usually one feature, of repeated codes several."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for code, digest in sorted(zip(rows.codes, rows.digests(), strict=True)):
        found[code].append(digest)
    return dict(found)


def _clashes(shelf: Shelf, now: Lived, clashing: Iterable[str], base: int) -> tuple[Clash, ...]:
    """Say in which revision, by whom and when each code was last changed."""
    known = {r.number: r for r in log.revisions(shelf.schema, shelf.connection, shelf.layer)}
    history = shelf.schema.history
    gone = revisions.past(shelf, history.c.valid_to > base)
    latest: dict[str, int] = {}
    for lived, moments in ((gone, gone.valid_to), (now, now.valid_from)):
        for code, number in zip(lived.rows.codes, moments, strict=True):
            latest[code] = max(latest.get(code, 0), number)
    return tuple(
        Clash(code, latest[code], known[latest[code]].author, known[latest[code]].published_at)
        for code in clashing
    )
