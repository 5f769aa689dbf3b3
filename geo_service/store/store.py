"""A store: layers in dated revisions, drafts on their way there, tables beside them.

Everything comes in as a draft, is checked, and is published as a revision in one transaction.
Nothing above this room knows whether a file or a server keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import geopandas as gpd
import pandas as pd
import shapely
import sqlalchemy as sa

from geo_service import codes, layers, profiles
from geo_service.errors import ConflictError, InputError, MissingError, Phrase
from geo_service.notes import Note
from geo_service.store import (
    audit,
    checking,
    drafts,
    edits,
    log,
    publishing,
    revisions,
    tables,
    times,
)
from geo_service.store.drawing_on import Drawer
from geo_service.store.records import Draft, Revision, Told

_TRIES = 4
"""How often a draft is checked again because others published beside it meanwhile."""


class Savable(Protocol):
    """What writes itself to one file."""

    def save(self, path: str | Path) -> None:
        """Write the file."""


class Store(Drawer):
    """An open store; use it in a ``with`` block or call `close`.

    Made by `open_store` and `create_store`. Every writing call is one transaction: all of it
    happens, or nothing. One writer at a time; readers are never held up.
    """

    def create_draft(
        self,
        layer: str,
        frame: gpd.GeoDataFrame,
        *,
        source: str = "",
        sha256: str = "",
        notes: Iterable[Note | Told] = (),
        author: str = "",
        replace_within: str | None = None,
    ) -> Draft:
        """Take a frame in as a draft of a layer.

        Parameters
        ----------
        layer : str
            A name in `geo_service.layers.LAYERS`.
        frame : geopandas.GeoDataFrame
            In any coordinate system; it is brought into the working plane here, once. ``code`` is
            text; other columns are kept as they are.
        source, sha256 : str
            The file it came from.
        notes : iterable of Note
            The reader's; also as plain data (``code``, ``zh``, ``en``).
        author : str
            Who brings it.
        replace_within : str, optional
            The code of the county, township or community whose part of the layer this is.

        Raises
        ------
        MissingError
            ``layer_unknown``.
        InputError
            ``crs_missing``, ``geometry_missing``, ``code_is_a_float`` and others; ``place_wrong``,
            ``place_elsewhere`` or ``zone_wrong`` where it lies outside the layer above.
        """
        layers.layer(layer)
        if replace_within is not None and codes.level_of(replace_within) is None:
            raise InputError(
                "parameter_invalid",
                name="replace_within",
                value=replace_within,
                reason=Phrase("不是区划代码（如 411081）", "not a division code, such as 411081"),
            )
        placed = checking.placed(
            frame, layers.layer(layer), replace_within, source=source, current=self._current
        )
        arrived = drafts.arrive(frame, self.plane, source=source, replace_within=replace_within)
        with self._home.writing() as connection:
            shelf = self._shelf(connection, layer)
            number = drafts.put(
                shelf,
                arrived,
                source=source,
                sha256=sha256,
                notes=(*placed, *notes, *arrived.notes),
                author=author,
                replace_within=replace_within,
            )
            made = drafts.get(self._schema, connection, number)
            self._note(connection, "draft", made.layer, after=audit.draft(made))
            return made

    def check_draft(
        self,
        id: int,
        *,
        profile: str | profiles.Profile = "default",
        within: gpd.GeoDataFrame | shapely.Geometry | None = None,
        author: str = "",
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """Check the layer as it would be after publishing a draft, and keep the verdict.

        Parameters
        ----------
        id : int
            The draft.
        profile : str or Profile
            The rules; what the layer's contract does not ask counts as a note.
        within : GeoDataFrame or shapely geometry, optional
            The outline; by default the current revision of the parent layer, or of the nearest
            published layer above it.
        author : str
            Who checks; kept with the verdict.
        on_progress : callable, optional
            Passed to the check.

        Returns
        -------
        geo_service.coverage.CoverageReport
        """
        draft = self.draft(id)
        own = self.current_revisions().get(draft.layer, 0)
        report, check = checking.check(
            self.draft_frame(id),
            layers.layer(draft.layer),
            profile=profile,
            own_revision=own,
            within=within,
            current=self._current,
            by=author,
            on_progress=on_progress,
        )
        with self._home.writing() as connection:
            before = self._open_draft(connection, id).check
            drafts.keep_check(self._schema, connection, id, check)
            if before is None or audit.verdict(before) != audit.verdict(check):
                told = {"before": before and audit.verdict(before), "after": audit.verdict(check)}
                self._note(connection, "check", f"draft {id}", **told)
        return report

    def discard(self, id: int) -> Draft:
        """Close a draft without publishing it; its rows are let go, its record stays.

        Raises
        ------
        ConflictError
            ``draft_closed``.
        """
        with self._home.writing() as connection:
            before = self._open_draft(connection, id)
            drafts.close(self._schema, connection, id, "discarded", None)
            discarded = drafts.get(self._schema, connection, id)
            self._note(
                connection,
                "discard",
                f"draft {id}",
                before=audit.draft(before),
                after=audit.draft(discarded),
            )
            return discarded

    def publish(
        self,
        id: int,
        *,
        message: str = "",
        author: str = "",
        accept: Iterable[str] = (),
        reason: str = "",
    ) -> Revision:
        """Make a draft the next revision of its layer, in one transaction.

        A draft that was not checked, or whose neighbours or parent have moved on since, is checked
        first. One whose layer was published meanwhile is brought onto that revision where the two
        did not change the same codes.

        Parameters
        ----------
        id : int
            The draft.
        message, author : str
            Kept with the revision; the author defaults to the draft's.
        accept : iterable of str
            Errors that are known and accepted: kinds (``gap``) or single faults by name
            (``gap:411002001001003+411002001001004``).
        reason : str
            Why they are accepted; kept with the revision, with the author.

        Raises
        ------
        ConflictError
            ``draft_closed``, ``draft_has_faults``, ``draft_stale``, ``code_reused``,
            ``draft_check_outdated``.
        InputError
            ``acceptance_unnamed``: accepting takes an author and a reason.
        """
        for tries_left in reversed(range(_TRIES)):
            self._check_where_outdated(self.draft(id), author)
            try:
                revision = self._publish(
                    id, message=message, author=author, accept=accept, reason=reason
                )
            except ConflictError as error:
                # Others published beside it while it was checked: their work is looked at too.
                if error.code != "draft_check_outdated" or not tries_left:
                    raise
            else:
                break
        self._home.settle()
        return revision

    def _publish(self, id: int, *, author: str, **asked: Any) -> Revision:
        with self._home.writing() as connection:
            draft = self._open_draft(connection, id)
            shelf = self._shelf(connection, draft.layer)
            before = self._latest(connection, draft.layer)
            edits.take(shelf, self.plane, author=author)  # nothing that was edited gets lost
            revision = publishing.publish(shelf, draft, author=author or draft.author, **asked)
            self._note(
                connection, "publish", draft.layer, before=before, after=audit.revision(revision)
            )
            return revision

    def take_edits(self, layer: str, *, author: str = "") -> Draft:
        """Make a draft of what a GIS program edited in a layer's table; the table is as published.

        Raises
        ------
        MissingError
            ``edits_missing``: nothing was edited.
        """
        with self._home.writing() as connection:
            shelf = self._shelf(connection, layers.layer(layer).name)
            number = edits.take(shelf, self.plane, author=author)
            made = None if number is None else drafts.get(self._schema, connection, number)
            if made is not None:
                self._note(connection, "take edits", layer, after=audit.draft(made))
        if made is None:
            raise MissingError("edits_missing", layer=layer)
        return made

    def discard_edits(self, layer: str) -> None:
        """Let go of what a GIS program edited in a layer's table.

        Raises
        ------
        MissingError
            ``edits_missing``: nothing was edited.
        """
        with self._home.writing() as connection:
            shelf = self._shelf(connection, layers.layer(layer).name)
            found = edits.found(shelf)
            if found is None:
                raise MissingError("edits_missing", layer=layer)
            edits.put_back(shelf)
            self._note(connection, "discard edits", layer, before=found.to_dict())

    def rollback(
        self, layer: str, revision: times.Moment, *, message: str = "", author: str = ""
    ) -> Revision:
        """Publish an earlier revision's state again, as a new revision.

        Codes that were retired since come back: they are the same features.

        Raises
        ------
        MissingError
            ``revision_unknown``.
        InputError
            ``parameter_invalid`` for the current revision.
        """
        with self._home.writing() as connection:
            target = self._at(connection, layer, revision)
            shelf = self._shelf(connection, layer)
            before = self._latest(connection, layer)
            edits.take(shelf, self.plane, author=author)
            made = publishing.rollback(shelf, target, message=message, author=author)
            self._note(connection, "rollback", layer, before=before, after=audit.revision(made))
        self._home.settle()
        return made

    def put_table(self, name: str, frame: pd.DataFrame) -> None:
        """Keep a plain table (``addresses``, ``facilities``, ``candidates``, ``demand``), whole.

        Parameters
        ----------
        name : str
            Lower-case Latin letters, digits and ``_``.
        frame : pandas.DataFrame
            Any columns; points are told by ``lon`` and ``lat``, WGS84 degrees. Of a GeoDataFrame
            of points they are taken from the geometry.

        Raises
        ------
        InputError
            ``parameter_invalid``, ``crs_missing``.
        """
        self.change_table(name, lambda _: frame)

    def change_table(
        self, name: str, change: Callable[[pd.DataFrame | None], pd.DataFrame]
    ) -> None:
        """Put what `change` makes of a plain table in its place; no other writer comes between.

        Parameters
        ----------
        name : str
            As in `put_table`.
        change : callable
            Takes the table as it stands (``None``: there is none yet), gives what it shall be.
        """
        with self._home.writing() as connection:
            before = tables.state(self._schema, connection, name)
            standing = tables.get(self._schema, connection, name) if before else None
            tables.put(self._home, self._schema, connection, name, change(standing))
            after = tables.state(self._schema, connection, name)
            self._note(connection, "table", name, before=before, after=after)

    def keep_streets(self, network: Savable) -> None:
        """Keep a walk network (`geo_service.WalkNetwork`) in place of the one there is."""
        before = self.streets_stamp()
        self._home.keep_streets(network.save)
        with self._home.writing() as connection:
            told = {"before": {"stamp": before}, "after": {"stamp": self.streets_stamp()}}
            self._note(connection, "streets", "streets", **told)

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Copy the store into a GeoPackage, its streets beside it, while others read and write.

        Parameters
        ----------
        path : str or path-like
            The file to make; in a folder that exists, the copy gets the store's own name.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ConflictError
            ``store_exists``.
        InputError
            ``output_unwritable``.
        """
        target = Path(path)
        if target.is_dir():
            target /= self._home.file_name
        self.copy_to(target)
        return target

    def copy_to(self, where: str | os.PathLike[str]) -> None:
        """Copy the store, with its streets, into another home while others read and write.

        Every revision, draft and code keeps its number and hash.

        Parameters
        ----------
        where : str or path-like
            The GeoPackage to make, or the ``postgresql://`` URL of a place without a store.

        Raises
        ------
        ConflictError
            ``store_exists``.
        InputError
            ``output_unwritable`` and what `geo_service.store.create_store` raises.
        """
        from geo_service.store import copying

        copying.copy(self._home, where)

    def verify(self) -> None:
        """Look for damage: of the file, its indexes, and of published content.

        Every layer's current rows are hashed again and compared with the revision log.

        Raises
        ------
        InputError
            ``store_damaged``, naming everything that is wrong.
        """
        with self._home.reading() as connection:
            published = log.numbers(self._schema, connection)
            shelves = [self._shelf(connection, name) for name in published]
            wrong = [f"{s.layer}: {told}" for s in shelves if (told := revisions.damage(s))]
            chain = audit.broken(self._schema, connection)
        wrong = self._home.faults(list(published)) + wrong + ([chain] if chain else [])
        if wrong:
            raise InputError("store_damaged", store=self._home.name, found="; ".join(wrong))

    def _latest(self, connection: sa.Connection, layer: str) -> dict[str, Any] | None:
        found = log.revisions(self._schema, connection, layer)
        return audit.revision(found[-1]) if found else None

    def _check_where_outdated(self, draft: Draft, author: str) -> None:
        drafts.require_open(draft)
        if draft.check is None:
            self.check_draft(draft.id, author=author or draft.author)
        elif publishing.outdated(draft.check, self.current_revisions()):
            name = draft.check.profile.split("@")[0]
            if name not in profiles.known():
                raise ConflictError("draft_check_outdated", draft=draft.id)
            self.check_draft(draft.id, profile=name, author=author or draft.author)
