"""Many places that are one matter, told as one fault; and what is too small or too many to tell.

What is gathered is decided on all places and only then is tolerance applied to each of them. So a
larger tolerance takes places away and never brings a fault about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from geo_service.coverage import _arrays
from geo_service.coverage._arrays import FloatArray
from geo_service.coverage._faults import Fault, Slip
from geo_service.profiles import Profile

_STRETCH = 10  # places in a row along the outline that are one outline drawn apart
_MANY_GAPS = 1000  # gaps beyond which those along one border are told as one
_RIM = ("rim_gap", "overrun")


@dataclass(frozen=True)
class Bundle:
    """Places to be told as one fault of a kind.

    Parameters
    ----------
    kind : str
    members : list of Fault
        At least one.
    facts : Mapping
        What the kind's sentence is told beyond what the members say.
    """

    kind: str
    members: list[Fault]
    facts: Mapping[str, Any] = field(default_factory=dict)


def bundled(places: Sequence[Fault], *, bounded: bool, profile: Profile) -> list[Bundle]:
    """Gather places: along an outline drawn apart, and along the border of the same grids."""
    left = list(places)
    bundles: list[Bundle] = []
    if bounded:
        stretches, left = _stretches(left, profile.outline_slack_m)
        bundles += [Bundle("outline_mismatch", members) for members in stretches]
    return bundles + _ribbons(left, profile.snap_m)


def _stretches(places: list[Fault], slack_m: float) -> tuple[list[list[Fault]], list[Fault]]:
    """Rim gaps and overruns that follow one another along an outline drawn apart, and the rest.

    Where that is most of the rim, shorter runs are no different, but for places by themselves.
    What is narrower than the slack is rounding, wherever it lies.
    """
    rim = [place for place in places if place.kind in _RIM]
    rest = [place for place in places if place.kind not in _RIM]
    runs = _runs(rim)
    stretches = [run for run in runs if len(run) >= _STRETCH]
    short = [run for run in runs if len(run) < _STRETCH]
    apart = [place for run in stretches for place in run]
    if 2 * len(apart) > len(rim):
        widest_m = max(place.width_m for place in apart)
        like = [
            run for run in short if len(run) > 1 and max(place.width_m for place in run) <= widest_m
        ]
        stretches += like
        short = [run for run in short if run not in like]
    single = [place for run in short for place in run]
    hair = [place for place in single if place.width_m < slack_m]
    if hair:
        stretches.append(hair)
    return stretches, rest + [place for place in single if place.width_m >= slack_m]


def _runs(rim: list[Fault]) -> list[list[Fault]]:
    """Places along the rim that share a vertex with the next."""
    if not rim:
        return []
    xy, of = shapely.get_coordinates([place.geometry for place in rim], return_index=True)
    _, node = _arrays.numbered(xy)
    everyone = np.ones(len(rim) + int(node.max()) + 1, np.bool_)
    group = _arrays.components(len(everyone), of, node + len(rim), everyone)[: len(rim)]
    runs: dict[int, list[Fault]] = defaultdict(list)
    for which, place in zip(group.tolist(), rim, strict=True):
        runs[which].append(place)
    return list(runs.values())


def _ribbons(places: list[Fault], narrow_m: float) -> list[Bundle]:
    """Narrow places of one kind along the border of the same grids: a line drawn twice.

    Overlaps of the same grids are one finding always; gaps stay apart until there are too many to
    read.
    """
    kinds = {"overlap"}
    for kind in ("gap", *_RIM):
        if sum(place.kind == kind for place in places) > _MANY_GAPS:
            kinds.add(kind)
    ribbons: dict[tuple[str, tuple[int, ...]], list[Fault]] = defaultdict(list)
    bundles = []
    for place in places:
        if place.width_m <= narrow_m and place.kind in kinds:
            ribbons[place.kind, place.rows].append(place)
        else:
            bundles.append(Bundle(place.kind, [place]))
    return bundles + [Bundle(kind, members) for (kind, _), members in ribbons.items()]


def told(
    bundles: Sequence[Bundle], origin: FloatArray, profile: Profile
) -> tuple[list[Fault], list[Slip]]:
    """Give each bundle as one fault, and what of it lies below the profile's tolerance."""
    faults, slips = [], []
    for bundle in bundles:
        kept = []
        for place in bundle.members:
            if small(place.kind, place.area_m2, place.width_m, profile):
                at = shapely.get_coordinates(shapely.point_on_surface(place.geometry))[0] + origin
                slips.append(
                    slip(place.kind, place.rows, place.area_m2, place.width_m, at, profile)
                )
            else:
                kept.append(place)
        if kept:
            faults.append(_gathered(kept, bundle, profile))
    return faults, slips


def _gathered(places: list[Fault], bundle: Bundle, profile: Profile) -> Fault:
    """One fault of several places: areas add up, the width is the mean over all of them."""
    if len(places) == 1 and places[0].kind == bundle.kind:
        return places[0]
    area_m2 = sum(place.area_m2 for place in places)
    perimeter_m = sum(2.0 * place.area_m2 / place.width_m for place in places)
    shape = _arrays.multipolygon(np.array([place.geometry for place in places], dtype=object))
    rows = tuple(sorted({row for place in places for row in place.rows}))
    by_kind = {
        kind: sum(place.area_m2 for place in places if place.kind == kind)
        for kind in ("gap", "overlap", *_RIM)
    }
    widest_m = max(place.width_m for place in places)
    slack = bundle.kind == "outline_mismatch" and widest_m < profile.outline_slack_m
    return Fault(
        bundle.kind, rows, shape, area_m2, 2.0 * area_m2 / perimeter_m,
        facts={**places[0].facts, **by_kind, **bundle.facts},
        mild=slack or all(place.mild for place in places),
        places=len(places), widest_m=widest_m,
    )  # fmt: skip


def small(kind: str, area_m2: float, width_m: float, profile: Profile) -> bool:
    """Whether a place lies below the profile's tolerance."""
    tolerance = profile.tolerance(kind)
    return area_m2 < tolerance.area_m2 or width_m < tolerance.width_m


def slip(
    kind: str, rows: tuple[int, ...], area_m2: float, width_m: float, at: FloatArray,
    profile: Profile,
) -> Slip:  # fmt: skip
    """Give a place that is told as a sum."""
    tolerated = small(kind, area_m2, width_m, profile)
    return Slip(kind, rows, area_m2, width_m, (float(at[0]), float(at[1])), tolerated)
