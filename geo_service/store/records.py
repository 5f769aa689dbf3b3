"""What the store tells about drafts, revisions and differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import geopandas as gpd
import pandas as pd

from geo_service.notes import Note

State = Literal["open", "published", "discarded"]

Told = Mapping[str, str]
"""A note as plain data: ``code``, ``zh``, ``en``."""


def told(note: Note | Told) -> Told:
    """Give a note as plain data."""
    if isinstance(note, Mapping):
        return dict(note)
    return {"code": note.code, "zh": note.zh, "en": note.en}


@dataclass(frozen=True, slots=True)
class Check:
    """The verdict a draft or a revision carries.

    Parameters
    ----------
    verdict : str
        ``clean`` or ``faults``.
    counts, errors : Mapping
        Fault kind -> how many; `errors` only of kinds the profile calls an error.
    coverage_percent : str or None
        Truncated text.
    profile : str
        ``name@version``.
    against : Mapping
        Layer -> revision it was checked with: its own published neighbours and its parent.
    notes : tuple of Told
        What was special about this check.
    checked_at, checked_by : str
        When (UTC, ISO 8601), and who.
    error_faults : tuple of str
        The errors by name, ``kind:code+code``, as far as they are kept: see `accepting`.
    """

    verdict: str
    counts: Mapping[str, int]
    errors: Mapping[str, int]
    coverage_percent: str | None
    profile: str
    against: Mapping[str, int]
    notes: tuple[Told, ...]
    checked_at: str
    checked_by: str = ""
    error_faults: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Edit:
    """What a GIS program made of a published layer's table; the published rows stand as they were.

    Parameters
    ----------
    layer : str
        Whose.
    at : str
        When it was last edited (UTC, ISO 8601).
    added, removed, changed : tuple of str
        Codes of the features that are new, gone, or different.
    """

    layer: str
    at: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def features(self) -> int:
        """How many features that are."""
        return len(self.added) + len(self.removed) + len(self.changed)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Faults that a revision was published in spite of.

    Parameters
    ----------
    kind : str
        The kind of fault.
    codes : tuple of str
        Of the one fault that is accepted; empty: every fault of the kind.
    count : int
        How many errors that was.
    by, reason : str
        Who accepted them, and why.
    """

    kind: str
    codes: tuple[str, ...]
    count: int
    by: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Clash:
    """A code that a draft and a later publication both changed.

    Parameters
    ----------
    code : str
        Which.
    revision : int
        The revision that changed it last.
    who, when : str
        Who published that, and when (UTC, ISO 8601).
    """

    code: str
    revision: int
    who: str
    when: str

    def __str__(self) -> str:
        who = f", {self.who}" if self.who else ""
        return f"{self.code or '—'} (r{self.revision}{who}, {self.when[:16]})"


@dataclass(frozen=True, slots=True)
class Draft:
    """An upload on its way to a revision.

    Parameters
    ----------
    id : int
        Its number in the store.
    layer : str
        Where it belongs.
    state : str
        ``open``, ``published`` or ``discarded``.
    base_revision : int
        The layer's revision when the draft was made; 0 where there was none.
    replace_within : str or None
        The code of the area it replaces; ``None``: the whole layer.
    source, sha256 : str
        The uploaded file.
    crs : str
        The system it came in.
    notes : tuple of Told
        The reader's, and what the store did at the door.
    author, created_at : str
        Who, and when (UTC, ISO 8601).
    features : int
        How many it holds.
    check : Check or None
        The last check.
    revision : int or None
        What it became.
    """

    id: int
    layer: str
    state: State
    base_revision: int
    replace_within: str | None
    source: str
    sha256: str
    crs: str
    notes: tuple[Told, ...]
    author: str
    created_at: str
    features: int
    check: Check | None
    revision: int | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DraftEdit:
    """One operation that was done on a draft.

    Parameters
    ----------
    number : int
        From 1 on, per draft.
    operation : Mapping
        As it was done: see `geo_service.drawing.operations`.
    changed : Mapping
        Code -> what happened to it.
    retired, created : tuple of str
        Codes that ended and began.
    notes : tuple of Told
        What was done, in words.
    author, made_at : str
        Who, and when (UTC, ISO 8601).
    undone : bool
        Whether it was taken back since; then it can be redone.
    """

    number: int
    operation: Mapping[str, Any]
    changed: Mapping[str, str]
    retired: tuple[str, ...]
    created: tuple[str, ...]
    notes: tuple[Told, ...]
    author: str
    made_at: str
    undone: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Revision:
    """A published state of a layer.

    Parameters
    ----------
    layer : str
        Whose.
    number : int
        From 1 on, per layer.
    published_at : str
        UTC, ISO 8601.
    author, drawn_by : str
        Who published it, and who drew it; who checked it stands in `check`.
    message : str
        Why.
    features : int
        How many.
    sha256 : str
        Of the content, in any order: `rows.content_hash`.
    changes : Mapping
        ``added``, ``removed`` and ``changed`` features since the revision before.
    check : Check or None
        The verdict it was published with.
    accepted : tuple of Acceptance
        Faults it was published in spite of.
    draft : int or None
        The draft it came from; ``None`` for a rollback.
    source, source_sha256 : str
        The uploaded file.
    """

    layer: str
    number: int
    published_at: str
    author: str
    message: str
    features: int
    sha256: str
    changes: Mapping[str, int]
    check: Check | None
    accepted: tuple[Acceptance, ...]
    draft: int | None
    source: str
    source_sha256: str
    drawn_by: str = ""

    @property
    def profile(self) -> str | None:
        """The rule profile of the verdict."""
        return self.check.profile if self.check else None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Diff:
    """What is different between two revisions of a layer.

    Parameters
    ----------
    layer : str
        Whose.
    before, after : int
        The revisions.
    added, removed : geopandas.GeoDataFrame
        Features whose code is only after, or only before.
    changed : geopandas.GeoDataFrame
        ``code``, ``moved_area_m2`` (area in one of the two geometries only, measured in the working
        plane), ``attributes`` (column -> [before, after]), ``revision``, ``who`` and ``when`` of
        the latest change, ``geometry_before``, and the geometry after.
    """

    layer: str
    before: int
    after: int
    added: gpd.GeoDataFrame
    removed: gpd.GeoDataFrame
    changed: gpd.GeoDataFrame

    def successors(self) -> pd.DataFrame:
        """Give old and new codes by area share, of what was added, removed or moved.

        Returns
        -------
        pandas.DataFrame
            As `geo_service.crosswalk.crosswalk` gives it: ``code_a`` before, ``code_b`` after
            (empty where that ground was, or is, in no feature that changed), shares, ``area_m2``.
        """
        from geo_service import crosswalk

        moved = self.changed[self.changed["moved_area_m2"] > 0]
        before = moved.set_geometry("geometry_before")[["code", "geometry_before"]]
        before = before.rename_geometry("geometry").set_crs(moved.crs, allow_override=True)
        old = pd.concat([self.removed[["code", "geometry"]], before], ignore_index=True)
        new = pd.concat([self.added, moved], ignore_index=True)[["code", "geometry"]]
        frames = (gpd.GeoDataFrame(f, geometry="geometry", crs=moved.crs) for f in (old, new))
        return crosswalk.crosswalk(*frames)

    @property
    def empty(self) -> bool:
        """Whether nothing is different."""
        return not (len(self.added) or len(self.removed) or len(self.changed))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without geometries."""
        plain = self.changed.drop(columns=["geometry", "geometry_before"])
        changed = plain.to_dict("records")
        return {
            "layer": self.layer,
            "before": self.before,
            "after": self.after,
            "added": self.added["code"].tolist(),
            "removed": self.removed["code"].tolist(),
            "changed": changed,
        }


@dataclass(frozen=True)
class CodeRecord:
    """What became of a code, in use or retired.

    Parameters
    ----------
    code, layer : str
        Which, and where.
    status : str
        ``current`` or ``retired``.
    valid_from : int
        The revision that brought the code in.
    valid_to : int or None
        The revision it was retired in.
    feature : geopandas.GeoDataFrame
        One row: its current, or its last state.
    successors : tuple of (str, float)
        For a retired code: the current codes on its ground, with their share of its area, largest
        first.
    """

    code: str
    layer: str
    status: Literal["current", "retired"]
    valid_from: int
    valid_to: int | None
    feature: gpd.GeoDataFrame
    successors: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Info:
    """A store at a glance."""

    store: str
    title: str
    plane: str
    synthetic: bool
    created_at: str
    layers: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, int]
    open_drafts: int
    streets: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)
