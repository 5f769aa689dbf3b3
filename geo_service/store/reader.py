"""The reading half of a store: what was published, what waits, what there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import geopandas as gpd
import pandas as pd
import shapely
import sqlalchemy as sa

from geo_service import georeference, layers, profiles
from geo_service.errors import MissingError, Phrase
from geo_service.store import (
    checking,
    differences,
    drafts,
    edits,
    log,
    pen,
    register,
    revisions,
    rows,
    seams,
    senders,
    tables,
    times,
)
from geo_service.store.home import Home
from geo_service.store.rebasing import Rebased
from geo_service.store.records import (
    Check,
    CodeRecord,
    Diff,
    Draft,
    DraftEdit,
    Edit,
    Info,
    Revision,
)

Box = tuple[float, float, float, float]


class Reader:
    """An open store, to read from; `geo_service.store.Store` adds the writing.

    Safe to share between threads: every call takes its own connection and reads one snapshot,
    whatever is published meanwhile.

    Parameters
    ----------
    home : Home
        Where it is kept.
    settings : dict
        As read from there.
    """

    def __init__(self, home: Home, settings: dict[str, str]) -> None:
        self._home = home
        self._settings = settings
        self._schema = home.schema

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self._home.name}>"

    def close(self) -> None:
        """Let the store go; what was published stands in the file itself."""
        self._home.close()

    @property
    def name(self) -> str:
        """What people call this store: its file, or its address without the password."""
        return self._home.name

    @property
    def plane(self) -> str:
        """The working plane, as ``EPSG:4547``."""
        return self._settings["plane"]

    @property
    def synthetic(self) -> bool:
        """Whether the data is made up."""
        return self._settings["synthetic"] == "1"

    @property
    def streets_path(self) -> Path:
        """Where the walk network can be read on this machine; there may be none yet."""
        return self._home.streets_path

    @property
    def jobs_path(self) -> Path:
        """Where this machine keeps the records of jobs over this store."""
        return self._home.jobs_path

    @property
    def tiles_path(self) -> Path:
        """Where this machine keeps drawn tiles of this store."""
        return self._home.tiles_path

    def streets_stamp(self) -> str | None:
        """Tell which state of the walk network is current; ``None`` where there is none."""
        return self._home.streets_stamp()

    def info(self) -> Info:
        """Give the store at a glance."""
        with self._home.reading() as connection:
            return Info(
                store=self._home.name,
                title=self._settings["title"],
                plane=self.plane,
                synthetic=self.synthetic,
                created_at=self._settings["created_at"],
                layers=log.glance(self._schema, connection, self._published(connection)),
                tables=tables.sizes(self._schema, connection),
                open_drafts=sum(d.state == "open" for d in drafts.listed(self._schema, connection)),
                streets=self.streets_stamp() is not None,
            )

    def layers(self) -> list[str]:
        """Give the names of the published layers, from the city down."""
        with self._home.reading() as connection:
            return self._published(connection)

    def current_revisions(self) -> dict[str, int]:
        """Give each published layer's latest revision; cheap enough to ask before every answer."""
        with self._home.reading() as connection:
            return log.numbers(self._schema, connection)

    def lonlat_box(self) -> georeference.Box | None:
        """Give the box of the highest published layer in WGS84 degrees; ``None`` where none is."""
        names = self.layers()
        if not names:
            return None
        x0, y0, x1, y1 = map(float, self.frame(names[0]).total_bounds)
        return georeference.lonlat_box((x0, y0, x1, y1), self.plane)

    def fields_of(self, sender: str) -> dict[str, str]:
        """Give the columns a sender is known to use: our field -> the file's column."""
        return self.senders().get(sender, {})

    def senders(self) -> dict[str, dict[str, str]]:
        """Give what is remembered of every sender's columns."""
        with self._home.reading() as connection:
            return senders.listed(self._schema, connection)

    def drafts(self, *, state: str | None = None) -> list[Draft]:
        """Give the drafts, oldest first; of one state (``open``) if one is named."""
        with self._home.reading() as connection:
            found = drafts.listed(self._schema, connection)
        return [draft for draft in found if state is None or draft.state == state]

    def edits(self) -> list[Edit]:
        """Tell which layers were edited in a GIS program, and what of them.

        What was published stands unharmed; `Store.take_edits` makes a draft of the edits,
        `Store.discard_edits` lets them go.
        """
        with self._home.reading() as connection:
            shelves = [self._shelf(connection, name) for name in self._published(connection)]
            found = [edits.found(shelf) for shelf in shelves]
        return [edit for edit in found if edit is not None]

    def draft(self, id: int) -> Draft:
        """Give one draft.

        Raises
        ------
        MissingError
            ``draft_unknown``.
        """
        with self._home.reading() as connection:
            return drafts.get(self._schema, connection, id)

    def draft_frame(self, id: int) -> gpd.GeoDataFrame:
        """Give the whole layer as it would be after publishing a draft.

        Rows stand in the order of the uploaded file; of a draft that replaces one area, the
        published rows around it come first. What was published since the draft was made stands as
        published, unless the draft changed it too: see `rebase`.

        Raises
        ------
        ConflictError
            ``draft_closed``: the rows of a closed draft are not kept.
        """
        with self._home.reading() as connection:
            draft = self._open_draft(connection, id)
            whole, columns, _ = drafts.whole_layer(self._shelf(connection, draft.layer), draft)
        return rows.to_frame(whole, columns, self.plane)

    def drawn_on(self, id: int) -> list[DraftEdit]:
        """Give what was done to a draft by `Store.draw_on`, oldest first.

        Raises
        ------
        MissingError
            ``draft_unknown``.
        """
        with self._home.reading() as connection:
            draft = drafts.get(self._schema, connection, id)
            return pen.history(self._shelf(connection, draft.layer), id)

    def draft_grids(self, id: int, codes: Sequence[str] | None = None) -> gpd.GeoDataFrame:
        """Give a draft's own features, or some of them by code, in the working plane.

        Raises
        ------
        MissingError
            ``draft_unknown``.
        ConflictError
            ``draft_closed``: the rows of a closed draft are not kept.
        """
        with self._home.reading() as connection:
            draft = self._open_draft(connection, id)
            found, columns = drafts.some(self._shelf(connection, draft.layer), draft, codes)
        return rows.to_frame(found, columns, self.plane)

    def rebase(self, id: int) -> Rebased:
        """Tell how an open draft comes onto the latest revision: what it takes, what clashes."""
        with self._home.reading() as connection:
            draft = self._open_draft(connection, id)
            return drafts.rebased(self._shelf(connection, draft.layer), draft)

    def seam(self, id: int, report: Any) -> pd.DataFrame:
        """List the faults of a draft's check that lie between it and its published neighbours.

        Parameters
        ----------
        id : int
            An open draft that replaces one area; of any other the list is empty.
        report : geo_service.coverage.CoverageReport
            As `geo_service.store.Store.check_draft` gives it.

        Returns
        -------
        pandas.DataFrame
            `seams.COLUMNS`: each fault once, with the codes and the owners of both sides.
        """
        with self._home.reading() as connection:
            draft = self._open_draft(connection, id)
            if draft.replace_within is None:
                return pd.DataFrame(columns=list(seams.COLUMNS))
            shelf = self._shelf(connection, draft.layer)
            return seams.faults_across(shelf, report, draft.replace_within)

    def history(self, layer: str) -> list[Revision]:
        """Give a layer's revisions, oldest first; empty where nothing is published."""
        layers.layer(layer)
        with self._home.reading() as connection:
            return self._revisions(connection, layer)

    def revision(self, layer: str, at: times.Moment | None = None) -> Revision:
        """Give the revision that was valid at a moment.

        Parameters
        ----------
        layer : str
            Whose.
        at : int, str, date, datetime or None
            A revision's number; a date (the state at the end of that day in the store's time zone)
            or a time; ``None``: the latest.

        Raises
        ------
        MissingError
            ``layer_unknown`` where nothing is published, ``revision_unknown``.
        """
        with self._home.reading() as connection:
            return self._at(connection, layer, at)

    def frame(
        self, layer: str, *, at: times.Moment | None = None, bbox: Box | None = None
    ) -> gpd.GeoDataFrame:
        """Give a layer's features in the working plane, ordered by code.

        Parameters
        ----------
        layer : str
            Which.
        at : int, str, date, datetime or None
            As in `revision`.
        bbox : tuple of float, optional
            Min x, min y, max x, max y in the working plane: only features whose box meets it.

        Returns
        -------
        geopandas.GeoDataFrame
            ``code``, the layer's columns, geometry. ``attrs`` names layer and revision.
        """
        with self._home.reading() as connection:
            revision = self._at(connection, layer, at)
            shelf = self._shelf(connection, layer)
            lived = revisions.at(shelf, revision.number, bbox=bbox)
            columns = self._columns(connection, revision)
        frame = _by_code(rows.to_frame(lived.rows, columns, self.plane))
        if bbox is not None:
            frame = _meeting(frame, bbox)
        frame.attrs.update(layer=layer, revision=revision.number)
        return frame

    def features(self, layer: str, codes: Sequence[str]) -> gpd.GeoDataFrame:
        """Give the current features of a layer that have these codes, ordered by code.

        Raises
        ------
        MissingError
            ``code_unknown`` where the layer lacks one.
        """
        frame = self.frame(layer)
        known = set(frame["code"])
        unknown = next((code for code in codes if code not in known), None)
        if unknown is not None:
            what = Phrase(layers.LAYERS[layer].zh, layers.LAYERS[layer].level)
            raise MissingError("code_unknown", code=unknown, what=what)
        return frame[frame["code"].isin(codes)].reset_index(drop=True)

    def diff(self, layer: str, a: times.Moment, b: times.Moment | None = None) -> Diff:
        """Compare two revisions of a layer.

        Parameters
        ----------
        layer : str
            Which.
        a, b : int, str, date, datetime
            The revision before and the one after (default: the latest).
        """
        with self._home.reading() as connection:
            before, after = self._at(connection, layer, a), self._at(connection, layer, b)
            return differences.diff(
                self._shelf(connection, layer),
                before.number,
                after.number,
                columns=(self._columns(connection, before), self._columns(connection, after)),
                log={r.number: r for r in self._revisions(connection, layer)},
                plane=self.plane,
            )

    def check(
        self,
        layer: str,
        *,
        at: times.Moment | None = None,
        profile: str | profiles.Profile = "default",
        within: gpd.GeoDataFrame | shapely.Geometry | None = None,
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """Check a published revision again, within the parent layer as it was then.

        Parameters and result are those of `revision` and `check_draft`; nothing is kept.

        Returns
        -------
        geo_service.coverage.CoverageReport
        """
        return self.checked(layer, at=at, profile=profile, within=within, on_progress=on_progress)[
            0
        ]

    def checked(
        self,
        layer: str,
        *,
        at: times.Moment | None = None,
        profile: str | profiles.Profile = "default",
        within: gpd.GeoDataFrame | shapely.Geometry | None = None,
        register: Sequence[str] | None = None,
        on_progress: Callable[..., None] | None = None,
    ) -> tuple[Any, Check]:
        """Check a revision as `check` does; give also what a store keeps of a verdict.

        `register` holds the codes that should be on the map.
        """
        revision = self.revision(layer, at)
        moment = None if at is None else times.moment_of(revision, at)
        return checking.check(
            self.frame(layer, at=revision.number),
            layers.layer(layer),
            profile=profile,
            own_revision=revision.number,
            within=within,
            current=partial(self._current, at=moment),
            register=register,
            on_progress=on_progress,
        )

    def content_sha256(self, layer: str, *, at: times.Moment | None = None) -> str:
        """Hash the rows of a revision again, as `rows.content_hash` does."""
        with self._home.reading() as connection:
            revision = self._at(connection, layer, at)
            lived = revisions.at(self._shelf(connection, layer), revision.number)
        return rows.content_hash(lived.rows.digests())

    def origins(self, layer: str, *, at: times.Moment | None = None) -> dict[int, int]:
        """Count the features of a revision by the revision that brought them in."""
        with self._home.reading() as connection:
            revision = self._at(connection, layer, at)
            lived = revisions.at(self._shelf(connection, layer), revision.number)
        return dict(sorted(Counter(lived.valid_from).items()))

    def find_code(self, code: str, *, layer: str | None = None) -> CodeRecord:
        """Tell what a code stands for, or stood for.

        Raises
        ------
        MissingError
            ``code_unknown``.
        """
        with self._home.reading() as connection:
            for name in self._published(connection) if layer is None else [layer]:
                found = register.find(self._shelf(connection, name), code, self.plane)
                if found is not None:
                    return found
        what = layers.LAYERS[layer].zh if layer in layers.LAYERS else "feature"
        raise MissingError("code_unknown", code=code, what=what)

    def retired_codes(self, layer: str) -> set[str]:
        """Give the codes a layer used once and does not any more; they are never given again."""
        with self._home.reading() as connection:
            return register.retired(self._shelf(connection, layer))

    def table(self, name: str) -> pd.DataFrame:
        """Give a table back.

        Raises
        ------
        MissingError
            ``addresses_missing`` or ``table_missing``.
        """
        with self._home.reading() as connection:
            return tables.get(self._schema, connection, name)

    def tables(self) -> dict[str, int]:
        """Give the names of the tables and their numbers of rows."""
        with self._home.reading() as connection:
            return tables.sizes(self._schema, connection)

    def _shelf(self, connection: sa.Connection, layer: str) -> revisions.Shelf:
        return revisions.open_shelf(self._home, self._schema, connection, layer)

    def _published(self, connection: sa.Connection) -> list[str]:
        found = log.numbers(self._schema, connection)
        return [name for name in layers.LAYERS if name in found]

    def _revisions(self, connection: sa.Connection, layer: str) -> list[Revision]:
        return log.revisions(self._schema, connection, layer)

    def _columns(self, connection: sa.Connection, revision: Revision) -> tuple[rows.Column, ...]:
        return log.columns_at(self._schema, connection, revision.layer, revision.number)

    def _at(self, connection: sa.Connection, layer: str, at: times.Moment | None) -> Revision:
        layers.layer(layer)
        found = self._revisions(connection, layer)
        if not found:
            known = ", ".join(self._published(connection))
            raise MissingError("layer_unknown", layer=layer, known=known)
        return times.pick(found, at, self._settings["timezone"])

    def _open_draft(self, connection: sa.Connection, id: int) -> Draft:
        return drafts.require_open(drafts.get(self._schema, connection, id))

    def _current(
        self, layer: str, *, at: times.Moment | None = None
    ) -> tuple[gpd.GeoDataFrame, int] | None:
        try:
            frame = self.frame(layer, at=at)
        except MissingError:  # nothing published, or not yet at that moment
            return None
        return frame, frame.attrs["revision"]


def _by_code(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.sort_values("code", kind="stable", ignore_index=True)


def _meeting(frame: gpd.GeoDataFrame, bbox: Sequence[float]) -> gpd.GeoDataFrame:
    x0, y0, x1, y1 = bbox
    box = frame.geometry.bounds
    meets = (box.minx <= x1) & (box.maxx >= x0) & (box.miny <= y1) & (box.maxy >= y0)
    return frame[meets].reset_index(drop=True)
