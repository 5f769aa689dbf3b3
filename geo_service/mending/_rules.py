"""Who gets ground that nobody has, and who keeps ground that several have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from geo_service import codes as codes_
from geo_service.coverage._layer import Layer, Outline
from geo_service.errors import InputError, Phrase
from geo_service.mending._distance import PRECISION_M
from geo_service.mending._spots import Spot
from geo_service.profiles import Profile

GAP_RULES = ("longest_border", "same_community")
"""`longest_border`: to the grid that has most of the gap's border. `same_community`: to the one
that has most among the grids of the community that does."""

OVERLAP_RULES = ("smaller_code", "drawn_back")
"""`smaller_code`: the grid of the smaller code keeps it. `drawn_back`: the grid that goes on beyond
most of its border keeps it, so what was pushed over a neighbour is drawn back."""

_ROUNDING = 9  # digits to which lengths are told apart


@dataclass(frozen=True)
class Rules:
    """What may be mended, and how.

    Parameters
    ----------
    profile : Profile
    limit_m : float
        No border moves further; nothing wider changes hands.
    gap_to, overlap_to : str
        One of `GAP_RULES`, of `OVERLAP_RULES`.
    published : frozenset of str
        Codes of grids that are never changed.
    """

    profile: Profile
    limit_m: float
    gap_to: str
    overlap_to: str
    published: frozenset[str]

    @classmethod
    def of(
        cls,
        profile: Profile,
        *,
        max_gap_m: float | None,
        snap_m: float | None,
        gap_to: str | None,
        overlap_to: str | None,
        published: Iterable[str],
    ) -> Rules:
        """The profile's rules but for those given.

        Raises
        ------
        InputError
            ``parameter_invalid`` for a width below 0 or no number, and an unknown rule.
        """
        widths = {
            "max_gap_m": profile.max_gap_m if max_gap_m is None else max_gap_m,
            "snap_m": profile.snap_m if snap_m is None else snap_m,
        }
        for name, width in widths.items():
            if not 0.0 <= width < float("inf"):
                raise InputError(
                    "parameter_invalid",
                    name=name,
                    value=width,
                    reason=Phrase("应为米数，0 或更大", "give metres, 0 or more"),
                )
        chosen = {
            "gap_to": gap_to or profile.gap_to,
            "overlap_to": overlap_to or profile.overlap_to,
        }
        for (name, rule), known in zip(chosen.items(), (GAP_RULES, OVERLAP_RULES), strict=True):
            if rule not in known:
                raise InputError(
                    "parameter_invalid",
                    name=name,
                    value=rule,
                    reason=Phrase(f"可用 {', '.join(known)}", f"known: {', '.join(known)}"),
                )
        limit_m = max(widths.values())
        return cls(profile, limit_m, **chosen, published=frozenset(published))

    def fixed(self, layer: Layer, row: int) -> bool:
        """Whether a row must not change."""
        return bool(self.published) and layer.codes[row] in self.published

    def allows(self, moved_m: float) -> bool:
        """Whether a border may move so far."""
        return moved_m <= self.limit_m + PRECISION_M

    def elder(self, rows: tuple[int, ...], layer: Layer) -> list[int]:
        """Rows in the order in which they stay where one has to go."""
        return sorted(rows, key=lambda row: (not self.fixed(layer, row), name_of(layer, row)))

    def takers(self, spot: Spot, layer: Layer, outline: Outline | None, at: Any) -> list[int]:
        """The grids along a spot that may get it, first choice first.

        `at` is a place inside the spot, in the layer's coordinates: where the outline is a layer of
        parents, the grids of the parent there come first if `gap_to` is ``same_community``.
        """
        length = {r: m for r, m in spot.lengths.items() if r >= 0 and not self.fixed(layer, r)}
        if not length:
            return []
        most = max(length.values())
        share = {row: round(metres / most, _ROUNDING) for row, metres in length.items()}
        if self.gap_to == "longest_border":
            return sorted(share, key=lambda row: (-share[row], name_of(layer, row)))
        parent = "" if outline is None else _parent_at(outline, at)
        community = {row: _community(layer, row) for row in share}
        total: dict[str, float] = defaultdict(float)
        for row, part in share.items():
            total[community[row]] += part
        return sorted(
            share,
            key=lambda row: (
                bool(parent) and not codes_.is_within(layer.codes[row], parent),
                -round(total[community[row]], _ROUNDING),
                community[row],
                -share[row],
                name_of(layer, row),
            ),
        )

    def keepers(self, spot: Spot, rows: tuple[int, ...], layer: Layer) -> list[int]:
        """The grids that cover a spot, the one that should keep it first.

        Where published ones are among them, only those.
        """
        fixed = [row for row in rows if self.fixed(layer, row)]
        if fixed:
            return sorted(fixed, key=lambda row: name_of(layer, row))
        if self.overlap_to == "smaller_code":
            return sorted(rows, key=lambda row: name_of(layer, row))
        length = spot.lengths
        most = max(length.values(), default=1.0)
        own = {row: round(length.get(row, 0.0) / most, _ROUNDING) for row in rows}
        return sorted(rows, key=lambda row: (own[row], name_of(layer, row)))


def name_of(layer: Layer, row: int) -> tuple[str, tuple[float, ...]]:
    """What decides among equals, whatever the order of features."""
    return layer.codes[row], layer.geometries[row].bounds


def _community(layer: Layer, row: int) -> str:
    column = layer.column("parent_code")
    if column is not None:
        return codes_.texts([column.iloc[row]])[0]
    return codes_.parent(layer.codes[row]) or ""


def _parent_at(outline: Outline, at: Any) -> str:
    holding = outline.tree.query(at, predicate="within")
    return min((outline.codes[area] for area in holding.tolist()), default="")
