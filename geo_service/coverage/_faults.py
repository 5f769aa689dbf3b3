"""A fault before it is told, and a remark on the check itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from geo_service.coverage._arrays import Geometry
from geo_service.notes import Note

KINDS = (
    "invalid_geometry",
    "self_intersection",
    "repeated_point",
    "spike",
    "multipart",
    "duplicate_geometry",
    "sliver",
    "overlap",
    "gap",
    "missing_grid",
    "rim_gap",
    "overrun",
    "outline_mismatch",
    "reprojected",
    "edge_mismatch",
    "detached",
    "parent_mismatch",
    "code_duplicate",
    "code_malformed",
    "code_parent_mismatch",
    "code_order",
    "attribute_missing",
    "area_mismatch",
    "size_out_of_range",
    "not_on_map",
    "not_in_register",
)
"""Every kind of fault, in the order a report tells them."""


@dataclass(frozen=True)
class Fault:
    """One fault of one place, by rows of the layer.

    Parameters
    ----------
    kind : str
        A member of `KINDS`.
    rows : tuple of int
        The rows it concerns, from 0.
    geometry : Geometry or None
        In the layer's own coordinates; ``None`` where it has no place.
    area_m2, width_m : float
        Of the place; NaN where it has none. The width is 2 x area / perimeter.
    others : tuple of str
        Codes it concerns that no row of the layer has.
    facts : Mapping
        What fills the kind's sentence.
    mild : bool
        Where the kind is an error, this one is a warning: a hole that may be meant, two lines that
        are one to within the profile's slack.
    places : int
        How many places were gathered into it.
    widest_m : float
        The width of the widest of them; NaN where that is `width_m`.
    """

    kind: str
    rows: tuple[int, ...]
    geometry: Geometry | None = None
    area_m2: float = float("nan")
    width_m: float = float("nan")
    others: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    mild: bool = False
    places: int = 1
    widest_m: float = float("nan")

    @property
    def at_most_m(self) -> float:
        """The width of its widest place."""
        return self.width_m if math.isnan(self.widest_m) else self.widest_m


@dataclass(frozen=True, slots=True)
class Slip:
    """A place that is not told one by one: too small, or one of too many.

    Parameters
    ----------
    kind, rows, area_m2, width_m, places
        As of a `Fault`; the width is that of the widest of the places.
    at : tuple of float
        A place at it, in the layer's own coordinates; NaN where it has none.
    tolerated : bool
        Whether it lies below the profile's tolerance. The others are only too many.
    """

    kind: str
    rows: tuple[int, ...]
    area_m2: float
    width_m: float
    at: tuple[float, float]
    tolerated: bool
    places: int = 1


_REMARKS = {
    "codes_absent": (
        "图层没有编码列：编码检查从略，网格以行号（row N）表示。",
        "The layer has no code column: codes are not checked and grids are named by row.",
    ),
    "codes_foreign": (
        "没有一个编码符合规则 {pattern}（例如 {example}）：编码格式、上级和顺序检查从略。",
        "No code at all has the form {pattern} (for example {example}): form, parent and order of "
        "codes are not checked.",
    ),
    "z_dropped": (
        "图形带有高程（Z），检查时不考虑。",
        "The geometries carry heights (Z), which the check leaves aside.",
    ),
    "crs_absent": (
        "文件没有坐标系：按数值当作{zh_unit}检查，at 为文件自身坐标。",
        "The file has no coordinate system: its numbers are taken as {unit}, and positions are the "
        "file's own coordinates.",
    ),
    "degrees_measured": (
        "图形按文件自身的经纬度检查；面积和宽度按当地椭球换算为平方米和米。",
        "Geometry is judged in the file's own degrees; areas and widths are converted to metres by "
        "the ellipsoid at each place.",
    ),
    "outline_absent": (
        "没有给出外界线：无法检查边缘缺口和越界；内部较大的未覆盖处只列为警告，"
        "因为可能本应空着（湖面、飞地）。请用 --within 给出范围。",
        "No outline was given: the rim can't be judged, and larger holes inside are warnings only, "
        "for they may be meant (a lake, an enclave). Give the outline with --within.",
    ),
    "outline_invalid": (
        "外界线有 {count} 个图形无效（自相交等），已先修正再比较。",
        "{count} geometries of the outline were invalid and were made valid before comparing.",
    ),
    "outline_faulty": (
        "外界线自身有问题，请先核对：{zh_found}{zh_more}",
        "The outline itself has faults, to be put right first: {found}{more}",
    ),
    "outline_holes": (
        "外界线留出了 {count} 处封闭的空地（共 {area}），按本应空着处理。",
        "The outline leaves out {places} ({area} in all), which count as meant.",
    ),
    "drawn_apart": (
        "{places} 处压盖和缝隙都在 {parts} 个部分{zh_by}之间，{zh_inside}在一个部分之内："
        "各部分是分开画的（例如 {example}）。"
        "请让相邻两方商定一条共同的界线，两边都采用；分组按相邻两方列出。",
        "{places} overlaps and gaps lie between {parts} parts of the layer{by}, {inside} inside "
        "one: the parts were drawn separately (for example {example}). Let each two neighbours "
        "agree on one line and use it on both sides; the groups list them by pair.",
    ),
    "rounded_apart": (
        "几乎处处的公共边都错开一丝：{count} 处缝隙和压盖，最宽 {width}，共 {area}。"
        "这是逐个网格取舍小数造成的，不是画错："
        "请从原库按更多小数位重新导出，或用 repair --snap-m {snap} 并拢。",
        "Borders everywhere are a hair apart: {count} gaps and overlaps, {width} wide at most, "
        "{area} in all. Coordinates were rounded grid by grid; nothing was drawn wrong: export "
        "again with more decimals, or bring the lines together with repair --snap-m {snap}.",
    ),
    "piled": (
        "有 {count} 个网格堆在 {spots} 处，互相交错太多，不逐对列出：每处列为一条压盖；"
        "其余网格按这些网格共同覆盖的范围检查。",
        "{count} grids lie over one another on {places}, crossing too often to be told pair by "
        "pair: each is listed as one overlap, and the other grids are judged beside what the pile "
        "covers as a whole.",
    ),
    "area_unit": (
        "“{column}”列的面积按{zh_unit}理解：图形面积（平方米）约为登记数值的 {ratio} 倍。",
        "Column “{column}” is taken as {unit}: drawn square metres are {ratio} times its figures.",
    ),
    "more_than_expected": (
        "应有 {expected} 个，文件中有 {features} 个，多出 {more} 个。",
        "{expected} are expected and the file holds {features}: {more} too many.",
    ),
    "parents_by_place": (
        "网格没有可用的上级编码：按所在位置判断上级。",
        "No usable parent codes: each grid's parent is told by where it lies.",
    ),
}


def remark(code: str, **facts: object) -> Note:
    """The remark of a code on the check itself, its places filled."""
    zh, en = _REMARKS[code]
    return Note(code, zh.format(**facts), en.format(**facts))
