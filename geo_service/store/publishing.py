"""Making a revision, inside the one writer's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from geo_service.errors import ConflictError, InputError, Phrase
from geo_service.store import accepting, drafts, log, register, revisions, times
from geo_service.store.records import Check, Draft, Revision
from geo_service.store.revisions import Shelf
from geo_service.store.rows import Column, Rows


def publish(
    shelf: Shelf,
    draft: Draft,
    *,
    message: str,
    author: str,
    accept: Iterable[str],
    reason: str,
) -> Revision:
    """Make an open, checked draft the next revision of its layer.

    Raises
    ------
    ConflictError
        ``draft_check_outdated``, ``draft_stale``, ``draft_has_faults``, ``code_reused``.
    InputError
        ``acceptance_unnamed``.
    """
    whole, columns, clashes = drafts.whole_layer(shelf, draft)
    drafts.refuse_stale(shelf, draft, clashes)
    check = _fresh_check(shelf, draft)
    accepted = accepting.accepted(check, accept, draft=draft.id, by=author, reason=reason)
    drafts.refuse_reused_codes(shelf, whole)
    revision = _write(
        shelf,
        whole,
        columns,
        message=message,
        author=author,
        verdict=check.to_dict(),
        accepted=[acceptance.to_dict() for acceptance in accepted],
        drawn_by=draft.author,
        draft=draft.id,
        source=draft.source,
        source_sha256=draft.sha256,
    )
    drafts.close(shelf.schema, shelf.connection, draft.id, "published", revision.number)
    return revision


def rollback(shelf: Shelf, target: Revision, *, message: str, author: str) -> Revision:
    """Make an earlier revision's state the next revision, with the verdict it had.

    Raises
    ------
    InputError
        ``parameter_invalid`` for the current revision.
    """
    if target.number == shelf.number:
        reason = Phrase("这就是当前修订", "it is the current revision")
        raise InputError("parameter_invalid", name="revision", value=target.number, reason=reason)
    columns = log.columns_at(shelf.schema, shelf.connection, shelf.layer, target.number)
    return _write(
        shelf,
        revisions.at(shelf, target.number).rows,
        columns,
        message=message or f"恢复到修订 {target.number} / back to revision {target.number}",
        author=author,
        verdict=target.check.to_dict() if target.check else None,
        accepted=[acceptance.to_dict() for acceptance in target.accepted],
        drawn_by=target.drawn_by,
        draft=None,
        source=target.source,
        source_sha256=target.source_sha256,
    )


def outdated(check: Check, numbers: Mapping[str, int]) -> bool:
    """Whether a layer that a check looked at has been published since."""
    return any(numbers.get(layer, 0) != number for layer, number in check.against.items())


def _fresh_check(shelf: Shelf, draft: Draft) -> Check:
    """Give the check, unless somebody published beside it since it was looked at."""
    numbers = log.numbers(shelf.schema, shelf.connection)
    if draft.check is None or outdated(draft.check, numbers):
        raise ConflictError("draft_check_outdated", draft=draft.id)
    return draft.check


def _write(shelf: Shelf, whole: Rows, columns: tuple[Column, ...], **record: Any) -> Revision:
    changes, sha256 = revisions.write(shelf, whole, columns)
    register.advance(shelf, whole.codes)
    shelf.connection.execute(
        shelf.schema.revisions.insert().values(
            layer=shelf.layer,
            number=shelf.number + 1,
            published_at=times.now(),
            features=len(whole),
            sha256=sha256,
            changes=changes,
            columns=log.columns_to(columns),
            **record,
        )
    )
    return log.revisions(shelf.schema, shelf.connection, shelf.layer)[-1]
