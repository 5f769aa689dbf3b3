"""What a layer's contract asks of a draft, in the words of the coverage check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import geopandas as gpd
import shapely

from geo_service import codes, placement, profiles
from geo_service.layers import LAYERS, Layer
from geo_service.notes import Note
from geo_service.store import accepting, times
from geo_service.store.records import Check, told

_OPEN_GROUND = ("gap", "missing_grid", "rim_gap", "outline_mismatch")
_OVERLAPPING = ("overlap", "overrun", "duplicate_geometry")
_NOT_ASKED: Mapping[str, tuple[str, ...]] = {
    "tiles": (),
    "nests_in": _OPEN_GROUND,
    "no_overlap": _OPEN_GROUND,
    "partial": (*_OPEN_GROUND, *_OVERLAPPING),
}
"""Contract -> the fault kinds it allows; they are told as notes."""

Current = Callable[[str], tuple[gpd.GeoDataFrame, int] | None]
"""Layer name -> its current frame and revision, or ``None`` where nothing is published."""

_PLACE_PATTERN = r"^.*$"


def check(
    frame: gpd.GeoDataFrame,
    layer: Layer,
    *,
    profile: str | profiles.Profile,
    own_revision: int,
    within: gpd.GeoDataFrame | shapely.Geometry | None,
    current: Current,
    register: Sequence[str] | None = None,
    by: str = "",
    on_progress: Callable[..., None] | None = None,
) -> tuple[Any, Check]:
    """Check a layer by its contract.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        The whole layer.
    layer : Layer
        What it is.
    profile : str or Profile
        The rules.
    own_revision : int
        The layer's published revision; 0: none.
    within : GeoDataFrame or shapely geometry, optional
        The outline, instead of the layer above.
    current : callable
        As in `outline_for`.
    register : sequence of str, optional
        The codes that should be on the map.
    by : str
        Who checks.
    on_progress : callable, optional
        Passed to the check.

    Returns
    -------
    geo_service.coverage.CoverageReport
    Check
        What the store keeps of it.
    """
    from geo_service import coverage  # it loads compiled kernels: only who checks waits for them

    rules = rules_for(layer, profile)
    notes: tuple[Note, ...] = ()
    against = {layer.name: own_revision}
    if within is None:
        within, looked_up, notes = outline_for(layer, current)
        against.update(looked_up)
        if layer.contract == "nests_in" and within is not None:
            within = parents_named(frame, within)
    report = coverage.check(
        frame, within=within, profile=rules, register=register, on_progress=on_progress
    )
    errors = errors_of(report)
    return report, Check(
        verdict=report.verdict,
        counts=dict(report.counts),
        errors=errors,
        coverage_percent=report.coverage_percent,
        profile=rules.label,
        against=against,
        notes=tuple(map(told, notes)),
        checked_at=times.now(),
        checked_by=by,
        error_faults=accepting.fault_names(report, errors),
    )


def placed(
    frame: gpd.GeoDataFrame,
    layer: Layer,
    replace_within: str | None,
    *,
    source: str,
    current: Current,
) -> tuple[Note, ...]:
    """Tell whether an upload lies where the published layers say it should.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        As uploaded, in its own system.
    layer : Layer
        What it is.
    replace_within : str or None
        The area it is for: only parents inside it are looked at.
    source : str
        The file's name, for refusals.
    current : callable
        As in `outline_for`.

    Raises
    ------
    InputError
        As `geo_service.placement.require_place`.
    """
    if layer.contract == "partial":
        return ()
    reference, _, _ = outline_for(layer, current)
    if reference is None:
        own = current(layer.name)
        reference = own[0] if own else None
    if reference is None:
        return ()
    if replace_within is not None and "code" in reference.columns:
        inside = [codes.is_within(code, replace_within) for code in reference["code"]]
        reference = reference[inside] if any(inside) else reference
    return placement.require_place(frame, reference, source=source)


def parents_named(frame: gpd.GeoDataFrame, parents: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Leave only the parents that some feature names as its own: the rest is open by contract.

    One subdistrict's micro-grids would else leave 18,800 grids to be told as uncovered.
    """
    if "code" not in parents.columns or "code" not in frame.columns:
        return parents
    above = {codes.parent(code) for code in frame["code"]}
    if "parent_code" in frame.columns:
        above |= set(codes.texts(frame["parent_code"]))
    named = parents[parents["code"].isin(above)]
    return named if len(named) else parents


def rules_for(layer: Layer, profile: str | profiles.Profile) -> profiles.Profile:
    r"""Give a profile as it applies to a layer.

    What the layer's contract does not ask becomes a note; codes have the length of the layer's
    level; size bounds and required fields, written for grids, bind grids only.

    Parameters
    ----------
    layer : Layer
        Whose rules.
    profile : str or Profile
        By name, file or value.

    Examples
    --------
    >>> from geo_service.layers import LAYERS
    >>> rules_for(LAYERS["counties"], "default").code_pattern
    '^\\d{6}$'
    """
    rules = profiles.load(profile) if isinstance(profile, str) else profile
    allowed: dict[str, profiles.Severity] = dict.fromkeys(_NOT_ASKED[layer.contract], "note")
    rules = replace(rules, severities={**rules.severities, **allowed})
    if layer.level == "grid":
        return rules
    return replace(
        rules,
        code_pattern=rules.code_patterns.get(layer.level, _pattern(layer.level)),
        households=None,
        population=None,
        required_fields=(),
    )


def outline_for(
    layer: Layer, current: Current
) -> tuple[gpd.GeoDataFrame | None, dict[str, int], tuple[Note, ...]]:
    """Find what a layer is checked within: its parent, or the nearest published layer above.

    Parameters
    ----------
    layer : Layer
        The layer to check.
    current : callable
        Layer name -> its current frame and revision, or ``None`` where nothing is published.

    Returns
    -------
    geopandas.GeoDataFrame or None
        The outline.
    dict
        Layer looked for -> its revision; 0 where it is absent.
    tuple of Note
        Said where the parent itself is missing.
    """
    if layer.parent is None or layer.contract == "partial":
        return None, {}, ()
    looked_up: dict[str, int] = {}
    above: str | None = layer.parent
    while above is not None:
        found = current(above)
        if found is not None:
            frame, revision = found
            return frame, {**looked_up, above: revision}, _skipped(layer, above)
        looked_up[above] = 0
        above = LAYERS[above].parent
    parent = LAYERS[layer.parent]
    return (
        None,
        looked_up,
        (
            Note(
                "outline_absent",
                f"数据库里没有“{parent.zh}”及其上级图层，未检查外缘覆盖。",
                f"The store holds no {parent.name} nor a layer above: the rim was not checked.",
            ),
        ),
    )


def _skipped(layer: Layer, above: str) -> tuple[Note, ...]:
    if above == layer.parent or layer.parent is None:
        return ()
    parent = LAYERS[layer.parent]
    return (
        Note(
            "outline_above",
            f"数据库里没有“{parent.zh}”，改用“{LAYERS[above].zh}”作为外缘。",
            f"The store holds no {parent.name}: the outline of {above} was used.",
        ),
    )


def _pattern(level: str) -> str:
    if level == "city":
        return r"^\d{4}(00)?$"
    length = codes.LENGTHS.get(level)
    return rf"^\d{{{length}}}$" if length else _PLACE_PATTERN


def errors_of(report: Any) -> dict[str, int]:
    """Count the faults of a report that are errors, by kind."""
    kinds = report.faults["kind"][report.faults["severity"] == "error"]
    return {str(kind): int(count) for kind, count in kinds.value_counts(sort=False).items()}
