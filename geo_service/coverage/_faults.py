"""A fault before it is told, and a remark on the check itself."""

from __future__ import annotations

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
    """

    kind: str
    rows: tuple[int, ...]
    geometry: Geometry | None = None
    area_m2: float = float("nan")
    width_m: float = float("nan")
    others: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


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
        "没有给出外部范围：无法检查边缘缺口和越界；内部未覆盖处按空洞列出，"
        "若本应如此（湖面、飞地），请用 --within 给出范围。",
        "No outline was given, so the rim can't be judged; uncovered places inside are listed as "
        "holes. Where such a hole is meant (a lake, an enclave), give the outline with --within.",
    ),
    "outline_invalid": (
        "外部范围有 {count} 个图形无效（自相交等），已先修正再比较。",
        "{count} geometries of the outline were invalid and were made valid before comparing.",
    ),
    "outline_faulty": (
        "外部范围自身有问题：{zh_found}。请核对参照数据。",
        "The outline itself has faults: {found}. Check the reference.",
    ),
    "more_than_expected": (
        "应有 {expected} 个，文件中有 {features} 个，多出 {more} 个。",
        "{expected} are expected and the file holds {features}: {more} too many.",
    ),
    "hidden": (
        "另有 {count} 处 {kind} 过小或过窄，未逐条列出，合计 {area}。",
        "{count} more places of kind {kind} are too small or too narrow to list; {area} in all.",
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
