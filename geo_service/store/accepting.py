"""Publishing in spite of faults: each accepted by name, by somebody, for a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from geo_service.errors import ConflictError, InputError
from geo_service.store.records import Acceptance, Check

MOST_NAMED = 500
"""Errors that a check keeps by name; where there are more, one accepts kinds."""


def fault_names(report: Any, errors: Iterable[str]) -> tuple[str, ...]:
    """Name the errors of a report, ``kind:code+code``, in its order; the first `MOST_NAMED`."""
    kinds = set(errors)
    faults = report.faults
    named = (
        f"{kind}:{'+'.join(codes)}"
        for kind, codes in zip(faults["kind"], faults["codes"], strict=True)
        if kind in kinds
    )
    return tuple(name for name, _ in zip(named, range(MOST_NAMED), strict=False))


def accepted(
    check: Check, accept: Iterable[str], *, draft: int, by: str, reason: str
) -> list[Acceptance]:
    """Give what is accepted of a check's errors, if that is all of them.

    Parameters
    ----------
    check : Check
        The verdict.
    accept : iterable of str
        Kinds (``gap``), or single faults by name (``gap:411002001001003+411002001001004``).
    draft : int
        For the refusal.
    by, reason : str
        Who accepts, and why.

    Raises
    ------
    ConflictError
        ``draft_has_faults`` where errors are left.
    InputError
        ``acceptance_unnamed`` without a name or a reason.
    """
    named = set(accept)
    single = Counter(name for name in check.error_faults if name in named)
    left = Counter(check.errors)
    taken = []
    for name, count in sorted(single.items()):
        kind, _, where = name.partition(":")
        if kind not in named:
            left[kind] -= count
            taken.append(Acceptance(kind, tuple(where.split("+")), count, by, reason))
    whole = sorted(named & check.errors.keys())
    taken += [Acceptance(kind, (), left.pop(kind), by, reason) for kind in whole]
    left = +left
    if left:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(left.items()))
        raise ConflictError("draft_has_faults", draft=draft, errors=left.total(), kinds=kinds)
    if taken and not (by.strip() and reason.strip()):
        raise InputError("acceptance_unnamed", kinds=sorted({a.kind for a in taken}))
    return taken
