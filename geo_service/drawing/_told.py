"""What is told of grids drawn anew: their names and kinds, which miss the range and why, notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo_service import topology
from geo_service.drawing import _atoms, _walls
from geo_service.drawing._refusals import impossible
from geo_service.drawing._wishes import Wishes
from geo_service.drawing.kinds import DEDICATED, ORDINARY, dedicated
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_NAMED = 5  # buildings told by their places

Shapes = npt.NDArray[np.object_]

STREETS = frozenset({"major", "street", "minor"})
_OTHER_LINES = {
    "water": Phrase("水系", "rivers"),
    "rail": Phrase("铁路", "railways"),
    "line": Phrase("给定的线", "the lines given"),
}


@dataclass(frozen=True, slots=True)
class Miss:
    """A grid that is not of the wanted size, and why."""

    code: str
    households: int
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.code}: {self.zh} · {self.en}"


@dataclass(frozen=True)
class Names:
    """What new grids are called that are premises or a group, and which hold whatever they hold."""

    group: tuple[str, ...]
    premises: tuple[str, ...]
    exempt: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, group_of: npt.NDArray[np.int64], wishes: Wishes, order: npt.NDArray[np.intp]
    ) -> Names:
        """Name the grids drawn, the premises behind them, in an order."""
        claims = wishes.claims
        apart = wishes.premises.name if wishes.premises is not None else ()
        named = claims.name if claims is not None else ()
        group = [named[at] if at >= 0 else "" for at in group_of.tolist()] + [""] * len(apart)
        premises = [""] * len(group_of) + list(apart)
        each = claims is not None and claims.one_grid_each
        exempt = [bool(p) or (each and bool(g)) for g, p in zip(group, premises, strict=True)]
        return cls(
            tuple(group[at] for at in order),
            tuple(premises[at] for at in order),
            np.array(exempt, bool)[order],
        )

    def given_to(self, grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """Name and type the grids that hold whatever they hold."""
        told = [p or g for p, g in zip(self.premises, self.group, strict=True)]
        kind = [DEDICATED if p else ORDINARY for p in self.premises]
        return grids.assign(
            name=np.where(self.exempt, np.array(told, object), grids["name"]), kind=kind
        )


def misses(
    grids: gpd.GeoDataFrame,
    homes: _atoms.Homes,
    target: tuple[int, int],
    names: Names,
) -> Iterator[Miss]:
    """Name the grids outside the range, and why; those that hold whatever they hold are exempt."""
    low, high = target
    if not len(grids):
        return
    shapes = np.asarray(grids.geometry.values, object)
    within = homes.within(shapes)
    alone = np.bincount(np.concatenate(topology.build(shapes).neighbours()[:2]),
                        minlength=len(shapes)) == 0  # fmt: skip
    total = int(grids["households"][~names.exempt].sum())
    for row, (code, count) in enumerate(zip(grids["code"], grids["households"], strict=True)):
        if names.exempt[row] or low <= count <= high:
            continue
        most = int(homes.count[within == row].max(initial=0))
        if total < low:
            zh, en = f"全区只有 {total} 户", f"the whole area has only {total} households"
        elif (name := names.group[row]) and count > high:
            zh, en = f"“{name}”一组就有 {count} 户", f"the group “{name}” has {count} households"
        elif most > high:
            zh, en = f"一处就有 {most} 户", f"one place alone has {most} households"
        elif alone[row] and count < low:
            zh, en = (
                f"与其他部分不相连，只有 {count} 户",
                f"a part of its own with {count} households",
            )
        elif (fewest := -(-total // high)) * low > total:
            zh, en = (
                f"全区 {total} 户：{fewest - 1} 个网格太多，{fewest} 个又太少",
                f"{total} households in all: too many for {fewest - 1} grids, too few for {fewest}",
            )
        elif count < low:
            zh, en = (
                f"{count} 户，与任一邻格合并都会失衡",
                f"{count} households; joining a neighbour would be too many",
            )
        else:
            zh, en = (
                f"{count} 户，未能切到范围内",
                f"{count} households; no cut brought it into the range",
            )
        yield Miss(code, int(count), zh, en)


def wish_notes(
    lines: gpd.GeoDataFrame,
    area: Any,
    moved: npt.NDArray[np.float64],
    names: Names,
    wishes: Wishes,
) -> tuple[Note, ...]:
    notes = []
    kinds = set(lines["kind"][shapely.intersects(lines.geometry.values, area)])
    if not kinds & STREETS:
        notes.append(no_streets_note(kinds))
    if names.exempt.any():
        count = int(names.exempt.sum())
        zh = f"其中 {count} 个为专属网格或整组成格，不按户数划分。"
        en = f"{count} of them are dedicated or a group each, whatever they hold."
        notes.append(Note("stand_alone", zh, en))
    if wishes.fixed is not None:
        count = len(wishes.fixed)
        zh, en = f"{count} 个固定网格原样保留。", f"{count} fixed grids were kept as they are."
        if len(moved):
            zh += f"有 {len(moved)} 处新界线改接到其界点上，最多移动 {moved.max():.1f} 米。"
            en += (
                f" {len(moved)} borders were led to their corners, by {moved.max():.1f} m at most."
            )
        notes.append(Note("fixed_kept", zh, en))
    return tuple(notes)


def through_notes(shapes: Shapes, walls: Shapes, lines: Shapes) -> tuple[Note, ...]:
    """Name the buildings that a border runs through where no line does."""
    if not len(walls):
        return ()
    through = np.setdiff1d(_walls.crossed(walls, _borders(shapes)), _walls.crossed(walls, lines))
    if not len(through):
        return ()
    spots = shapely.get_coordinates(shapely.centroid(walls[through[:_NAMED]]))
    where = "; ".join(f"({x:.0f}, {y:.0f})" for x, y in spots)
    count, more = len(through), len(through) > _NAMED
    zh = f"{count} 栋建筑被界线穿过，不穿过户数就不能达标：{where}{' 等' if more else ''}。"
    en = (
        f"Borders run through {count} buildings, without which the range can't be had: "
        f"{where}{' and others' if more else ''}."
    )
    return (Note("buildings_cut", zh, en),)


def _borders(shapes: Shapes) -> Shapes:
    graph = topology.build(shapes)
    inner = np.flatnonzero((graph.left >= 0) & (graph.right >= 0)).tolist()
    return np.array([shapely.LineString(graph.arc(arc)) for arc in inner], object)


def no_streets_note(kinds: set[str]) -> Note:
    """Tell that there are no streets, and what was drawn along instead."""
    named = [_OTHER_LINES[kind] for kind in sorted(kinds & set(_OTHER_LINES))]
    named.append(Phrase("住户之间的直线", "straight lines between homes"))
    return Note(
        "no_streets",
        f"范围内没有街道，界线沿{'、'.join(each.zh for each in named)}划分。",
        f"There are no streets in the area: borders follow {', '.join(e.en for e in named)}.",
    )


def notes(
    grids: gpd.GeoDataFrame,
    misses: tuple[Miss, ...],
    nodes: npt.NDArray[np.float64],
    lost: int,
    target: tuple[int, int],
) -> tuple[Note, ...]:
    (low, high), count = target, len(grids)
    apart = dedicated(grids)
    right = int(grids["households"][~apart].between(low, high).sum())
    zh_apart = f"其中 {apart.sum()} 个专属网格，" if apart.any() else ""
    en_apart = f"{apart.sum()} of them dedicated, " if apart.any() else ""
    notes = [
        Note(
            "drawn",
            f"划出 {count} 个网格，{zh_apart}{right} 个在 {low}–{high} 户之间。",
            f"{count} grids were drawn, {en_apart}{right} of them with {low}-{high} households.",
        )
    ]
    if len(nodes):
        notes.append(
            Note(
                "rim_nodes",
                f"外边界上增加了 {len(nodes)} 个交点，原有顶点未动。",
                f"{len(nodes)} nodes were added on the outline; its own vertices are unchanged.",
            )
        )
    if lost:
        notes.append(outside_note(lost))
    return tuple(notes)


def outside_note(lost: int) -> Note:
    """Tell of households that lie in no area."""
    return Note(
        "households_outside",
        f"{lost} 户在范围之外，未计入。",
        f"{lost} households lie outside the area and were not counted.",
    )


def all_outside(total: int) -> InputError:
    """Refuse households that all lie elsewhere."""
    return impossible(
        f"{total} 户全部在范围之外，请检查户数点的坐标系",
        f"all {total} households lie outside the area; check the points' coordinate system",
    )
