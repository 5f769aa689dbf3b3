"""A question of siting with all that a choice depends on: places, weights, walks between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from geo_service import crs, places
from geo_service.errors import InputError, Phrase
from geo_service.places import Places
from geo_service.siting._cover import reached
from geo_service.siting.plans import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from geo_service.streets import WalkNetwork

Text = dict[str, str]
"""A sentence in ``zh`` and ``en``."""

_WEIGHTS_BY_KIND = {"rest_station": "riders", "canteen": "population_60"}
_WEIGHTS = ("weight", "population", "households")
_STREET_NODES = 4000  # candidates taken from the streets where none are given


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a choice of sites depends on."""

    demand: Places
    weights: FloatArray
    premises: Places
    standing: Places
    must: IntArray
    never: IntArray
    metres: sparse.csr_array  # premises x demand
    standing_metres: sparse.csr_array  # standing x demand
    no_street: BoolArray  # per demand
    no_data: BoolArray  # per demand: its weight is unknown, and weighs nothing in the choice
    speed_kmh: float
    limit_m: float
    closed: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # of standing

    @property
    def before(self) -> BoolArray:
        """Demand within reach of what exists."""
        return reached(self.standing_metres, np.arange(len(self.standing)))

    @property
    def open_standing(self) -> IntArray:
        """What exists and is not closed by the plan."""
        return np.setdiff1d(np.arange(len(self.standing)), self.closed)

    @property
    def stays(self) -> BoolArray:
        """Demand within reach of what exists and is not closed."""
        return reached(self.standing_metres, self.open_standing)


def gather(
    streets: WalkNetwork,
    demand: pd.DataFrame,
    candidates: pd.DataFrame | None,
    existing: pd.DataFrame | None,
    must: pd.DataFrame | Sequence[Any] | None,
    never: pd.DataFrame | Sequence[Any] | None,
    walk: dict[str, Any],
    kind: str | None,
    weight_field: str | None,
    notes: list[Text],
) -> tuple[str, Case]:
    """Read the tables and walk the streets between them."""
    wanted = places.read(demand, name="demand")
    if not len(wanted):
        raise InputError("layer_empty", file="demand")
    field = weight_field or _weight_field(wanted, kind)
    if not field:
        notes.append({
            "zh": "需求表没有权重列，每处按 1 计。",
            "en": "The demand has no weight column; each place counts 1.",
        })  # fmt: skip
    standing = places.read(existing, name="existing")
    premises = _premises(streets, candidates, wanted, notes)
    demanded, further = places.choose(must, premises, name="must")
    if len(further):
        start = len(premises)
        premises = premises.also(further)
        demanded = np.concatenate([demanded, np.arange(start, len(premises))])
        notes.append({
            "zh": f"必选点中有 {len(further)} 处不在候选表里，已作为候选点加入。",
            "en": f"{len(further)} of the demanded sites were no candidates and were added.",
        })  # fmt: skip
    forbidden, unknown = places.choose(never, premises, name="never")
    if len(unknown):
        reason = Phrase("没有这个编号的候选点", "no candidate has this id")
        raise InputError("parameter_invalid", name="never", value=unknown.ids[0], reason=reason)
    places.require_distinct(premises, name="candidates")
    asked = {key: value for key, value in walk.items() if value is not None}
    travel = places.walks(streets, wanted, premises.also(standing), **asked)
    metres = sparse.csr_array(travel.metres.T)
    metres.sort_indices()
    no_street = np.zeros(len(wanted), dtype=bool)
    no_street[travel.off_street_origins] = True
    weights = places.weights(wanted, field or None, name="demand")
    no_data = np.isnan(weights)
    notes += _doubts(wanted, no_data, no_street)
    off = travel.off_street_destinations
    notes += _doubtful_premises(premises, off[off < len(premises)])
    case = Case(
        demand=wanted,
        weights=np.where(no_data, 0.0, weights),
        premises=premises,
        standing=standing,
        must=demanded,
        never=forbidden,
        metres=metres[np.arange(len(premises))],
        standing_metres=metres[np.arange(len(premises), len(premises) + len(standing))],
        no_street=no_street,
        no_data=no_data,
        speed_kmh=float(travel.speed_kmh),
        limit_m=float(travel.limit_m),
    )
    return field, case


def _doubts(demand: Places, no_data: BoolArray, no_street: BoolArray) -> list[Text]:
    """What of the demand is unknown, off the streets, or only a stand-in."""
    notes = []
    if no_data.any():
        ids = "、".join(demand.ids[row] for row in np.flatnonzero(no_data)[:5].tolist())
        notes.append({
            "zh": f"{int(no_data.sum())} 处没有数据（{ids}），不等于没有需求，未参与计算，"
            "单独列出。",
            "en": f"{int(no_data.sum())} places have no data ({ids}), which is not no demand: "
            "they weigh nothing here and are listed apart.",
        })  # fmt: skip
    if no_street.any():
        notes.append({
            "zh": f"{int(no_street.sum())} 处需求附近没有可步行的街道，无法覆盖，已列出。",
            "en": f"{int(no_street.sum())} places of demand have no walkable street near; listed.",
        })  # fmt: skip
    if "proxy" in demand.frame:
        stand_in = str(demand.frame["proxy"].iloc[0])
        notes.append({
            "zh": f"需求是由 OpenStreetMap 推算的代用指标（{stand_in}），不是需求数据。",
            "en": f"The demand is a stand-in made of OpenStreetMap ({stand_in}), not demand data.",
        })  # fmt: skip
    return notes


def _doubtful_premises(premises: Places, off_street: IntArray) -> list[Text]:
    """Candidates nobody can walk to, as in a lake, and those at one and the same place."""
    notes = []
    if len(off_street):
        ids = "、".join(premises.ids[row] for row in off_street[:5].tolist())
        notes.append({
            "zh": f"{len(off_street)} 处候选点附近没有可步行的街道（{ids}），"
            "选了也覆盖不到任何人。",
            "en": f"{len(off_street)} candidates have no walkable street near ({ids}) and "
            "reach nobody.",
        })  # fmt: skip
    spots = pd.DataFrame(premises.lonlat.round(7))
    twice = np.flatnonzero(spots.duplicated().to_numpy(bool))
    if len(twice):
        ids = "、".join(premises.ids[row] for row in twice[:5].tolist())
        notes.append({
            "zh": f"{len(twice)} 处候选点与别的候选点位置完全相同（{ids}），请核对。",
            "en": f"{len(twice)} candidates stand at the very place of another one ({ids}).",
        })  # fmt: skip
    return notes


def _weight_field(demand: Places, kind: str | None) -> str:
    wished = (_WEIGHTS_BY_KIND.get(kind or "", ""), *_WEIGHTS)
    return next((name for name in wished if name in demand.frame), "")


def _premises(
    streets: WalkNetwork, candidates: pd.DataFrame | None, demand: Places, notes: list[Text]
) -> Places:
    if candidates is not None:
        premises = places.read(candidates, name="candidates")
        if not len(premises):
            raise InputError("layer_empty", file="candidates")
        return premises
    corners = street_corners(streets, demand)
    notes.append({
        "zh": f"没有候选点表：以 {len(corners)} 个街道路口代替。"
        "路口不是房屋，请换成可用的场所后再算。",
        "en": f"No candidates were given: {len(corners)} street corners stand in. A corner is no "
        "building; list real premises and run again.",
    })  # fmt: skip
    return corners


def street_corners(streets: WalkNetwork, demand: Places) -> Places:
    """Take street nodes as candidates, spread evenly over the area of the demand.

    One node (the first) of each cell of a square grid; the cells grow until there are few enough.
    """
    plane = crs.Plane.of(streets.plane)
    x, y = np.asarray(streets.graph.node_x), np.asarray(streets.graph.node_y)
    to_x, to_y = plane.forward(demand.lon, demand.lat, datum="wgs84")
    inside = (x >= to_x.min()) & (x <= to_x.max()) & (y >= to_y.min()) & (y <= to_y.max())
    nodes = np.flatnonzero(inside) if inside.any() else np.arange(len(x))
    cell_m = 50.0
    kept = nodes
    while len(kept) > _STREET_NODES:
        cells = np.column_stack([x[nodes], y[nodes]]) // cell_m
        _, first = np.unique(cells, axis=0, return_index=True)
        kept = nodes[np.sort(first)]
        cell_m *= 1.25
    lon, lat = plane.inverse(x[kept], y[kept])
    ids = [f"node-{node}" for node in kept.tolist()]
    return Places(ids, ids, lon, lat, pd.DataFrame({"id": ids, "lon": lon, "lat": lat}))


def weigh(case: Case, chosen: BoolArray) -> float:
    return math.fsum(case.weights[chosen].tolist())
