"""The sentences of every kind of fault, in Chinese and English: where, how much, what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geo_service.coverage._faults import Fault

_NAMED = 6  # grids named in a sentence; the fault's codes list them all

_ZH_SIDES = {"east": "东", "south": "南", "west": "西", "north": "北"}
_FORMS = {
    "identical": ("逐字节相同", "byte for byte"),
    "turned": ("顶点相同，起点或方向不同", "with another starting vertex or direction"),
    "redrawn": ("形状几乎相同，顶点不同", "drawn with other vertices"),
}

_MEANT = (
    "若本应空着（湖面、飞地），请用 --within 给出外部范围。",
    " Where the hole is meant (a lake, an enclave), give the outline with --within.",
)

_SENTENCES: dict[str, tuple[str, str]] = {
    "invalid_geometry": (
        "{codes} 的图形无效（{reason}），请重画。",
        "The geometry of {codes} is not valid ({reason}); redraw it.",
    ),
    "self_intersection": (
        "{codes} 的边界自相交或自相接触（{count} 处）{size}，请拆开。",
        "The border of {codes} crosses or touches itself in {in_places}{size}; untangle it.",
    ),
    "repeated_point": (
        "{codes} 的边界有重复点，可直接删去。",
        "The border of {codes} repeats a vertex; it can be dropped.",
    ),
    "spike": (
        "{codes} 的边界有尖刺（夹角小于 {degrees}°），请删去该顶点。",
        "The border of {codes} has a spike (sharper than {degrees} degrees); drop that vertex.",
    ),
    "multipart": (
        "{codes} 由 {count} 部分组成，请确认是否为飞地。",
        "{codes} has {count} parts; make sure that the exclave is meant.",
    ),
    "duplicate_geometry": (
        "{codes} 画了同一块地{size}，{zh_form}，请只保留一个。",
        "{codes} cover the same ground{size}, {form}; keep one.",
    ),
    "sliver": (
        "{codes} 是碎面{size}，请并入相邻网格。",
        "{codes} is a sliver{size}; merge it with a neighbour.",
    ),
    "overlap": (
        "{codes} 重叠{places}{size}，请划归其中一个。",
        "{codes} overlap{places}{size}; give the place to one of them.",
    ),
    "gap": (
        "{codes} {zh_between}有缝隙{places}{size}，请对齐边界。{meant}",
        "A gap{places}{size} lies {between} {codes}; bring the borders together.{meant}",
    ),
    "missing_grid": (
        "此处缺一个网格{size}：{sides}。{meant}{absent}",
        "A grid is missing here{size}: {sides}.{meant}{absent}",
    ),
    "rim_gap": (
        "{codes} 与外部范围之间有缺口{places}{size}，请补到界线。",
        "Open ground{places}{size} lies between {codes} and the outline; extend the grid to it.",
    ),
    "overrun": (
        "{codes} 超出外部范围{places}{size}，请裁到界线。",
        "{codes} reaches beyond the outline{places}{size}; cut it at the outline.",
    ),
    "outline_mismatch": (
        "沿这一段，网格外缘与外部范围不是同一条线：共 {several} 处，"
        "未覆盖 {rim_gap}，越界 {overrun}，平均宽 {width}，涉及 {codes}。请换用同一条界线。",
        "Along this stretch the grids and the outline follow two different lines: {several} "
        "places, {rim_gap} open and {overrun} beyond, {width} wide on average, at {codes}. "
        "Use one line for both.",
    ),
    "edge_mismatch": (
        "{codes} {with_outline}的公共边上有 {count} 个顶点只有一方有，边线仍重合，无需处理。",
        "On a border of {codes}{with_outline} one side lacks {vertices}; the lines coincide, "
        "nothing is to be done.",
    ),
    "detached": (
        "{codes} 与其余网格不相连{size}，请确认是否为飞地。",
        "Not connected with the rest: {codes}{size}; make sure that the exclave is meant.",
    ),
    "parent_mismatch": (
        "{codes} 越过上级 {parent} 的界线，有一部分在 {other} 内{size}。",
        "{codes} crosses the line of its parent {parent}: a part lies in {other}{size}.",
    ),
    "code_duplicate": (
        "编码 {code} 用了 {count} 次（第 {lines} 行），编码必须唯一。",
        "The code {code} stands in {count} rows ({lines}); codes must be unique.",
    ),
    "code_malformed": (
        "编码 {code} 不合规则 {pattern}{damage}。",
        "The code {code} has not the form {pattern}{damage}.",
    ),
    "code_parent_mismatch": (
        "{codes} 的编码属于 {parent}，但{zh_where}。",
        "The code of {codes} belongs to {parent}, but {where}.",
    ),
    "code_order": (
        "{parent} 内的网格没有按自西向东、自北向南编号。",
        "The grids of {parent} are not numbered west to east, north to south.",
    ),
    "attribute_missing": (
        "{codes} 的“{fields}”为空。",
        "“{fields}” is empty for {codes}.",
    ),
    "area_mismatch": (
        "{codes} 登记面积 {recorded}，图形面积 {drawn}，相差 {percent} %。",
        "{codes}: the recorded area is {recorded}, the drawn one {drawn}: {percent} % apart.",
    ),
    "size_out_of_range": (
        "{codes} 的{zh_field}为 {value}，不在 {low}–{high} 之间。",
        "{codes} holds {value} {field}, outside {low}-{high}.",
    ),
    "not_on_map": (
        "{missing}没有落图。",
        "{missing} not on the map.",
    ),
    "not_in_register": (
        "{codes} 在图上，但登记表里没有。",
        "{codes} is on the map but not in the register.",
    ),
}


@dataclass(frozen=True)
class Message:
    """One sentence in two languages."""

    zh: str
    en: str


def message(fault: Fault, names: Sequence[str]) -> Message:
    """Tell a fault.

    Parameters
    ----------
    fault : Fault
    names : sequence of str
        What each row of the layer is called.
    """
    zh, en = _SENTENCES[fault.kind]
    return Message(
        zh.format(**_places(fault, names, zh=True)), en.format(**_places(fault, names, zh=False))
    )


def _places(fault: Fault, names: Sequence[str], *, zh: bool) -> dict[str, Any]:
    """What fills a sentence: the fault's facts, put into words."""
    facts = fault.facts
    codes = [names[row] for row in fault.rows] + list(fault.others)
    told: dict[str, Any] = {
        **facts,
        "codes": listed(codes, zh=zh) or ("（全部）" if zh else "all grids"),
        "size": size(fault.area_m2, fault.width_m, zh=zh),
        "width": metres(fault.width_m),
        "places": "",
        "in_places": _counted(facts.get("count", 1), "place"),
        "vertices": _counted(facts.get("count", 1), "vertex", "vertices"),
    }
    alone = len(codes) == 1
    told["zh_between"], told["between"] = ("内", "inside") if alone else ("之间", "between")
    told["several"] = several = facts.get("places", 1)
    if several > 1:
        told["places"] = f" {several} 处" if zh else f" in {several} places"
    if fault.kind == "outline_mismatch":
        told |= {key: square_metres(facts[key]) for key in ("rim_gap", "overrun")}
    if fault.kind == "missing_grid":
        told |= _missing(facts, names, zh=zh)
    if "meant" in facts:
        told["meant"] = _MEANT[0 if zh else 1] if facts["meant"] else ""
    if "form" in facts:
        told["zh_form"], told["form"] = _FORMS[facts["form"]]
    if facts.get("outline") is not None:
        outline = "与外部范围" if zh else " with the outline"
        told["with_outline"] = outline if facts["outline"] else ""
    if "parents" in facts:
        told["parent"] = listed(facts["parents"], zh=zh)
    if "damage" in facts:
        told["damage"] = _damage(facts["damage"], zh=zh)
    if fault.kind == "not_on_map":
        told["missing"] = _missing_rows(fault, zh=zh)
    return told


def _missing(facts: Any, names: Sequence[str], *, zh: bool) -> dict[str, str]:
    parts = []
    for side, rows in facts["sides"].items():
        who = listed([names[row] for row in rows], zh=zh)
        parts.append(f"{_ZH_SIDES[side]}邻 {who}" if zh else f"{who} on the {side}")
    sides = ("；" if zh else "; ").join(parts) or ("周围没有网格" if zh else "no grid around it")
    absent = ""
    if facts.get("absent"):
        who = listed(facts["absent"], zh=zh)
        absent = f"登记表中未落图的有：{who}。" if zh else f" In the register but not drawn: {who}."
    return {"sides": sides, "absent": absent}


def _missing_rows(fault: Fault, *, zh: bool) -> str:
    if fault.others:
        who = listed(fault.others, zh=zh)
        return f"登记表中的 {who} " if zh else f"{who} of the register {_are(len(fault.others))}"
    count, expected = fault.facts["count"], fault.facts["expected"]
    if zh:
        return f"应有 {expected} 个网格，其中 {count} 个"
    return f"{count} of the {expected} expected grids {_are(count)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _damage(damaged: bool, *, zh: bool) -> str:
    if not damaged:
        return ""
    return (
        "：已被电子表格改成数字，请按文本重新导出"
        if zh
        else ": a spreadsheet turned it into a number; export it again as text"
    )


def listed(codes: Sequence[str], *, zh: bool) -> str:
    """Name grids in a sentence, the first few of many.

    Examples
    --------
    >>> listed(["a", "b"], zh=False), listed(list("abcdefgh"), zh=False)
    ('a and b', 'a, b, c, d, e, f and 2 more')
    """
    first = list(codes[:_NAMED])
    more = len(codes) - len(first)
    if zh:
        return "、".join(first) + (f" 等 {len(codes)} 个" if more else "")
    if more:
        return f"{', '.join(first)} and {more} more"
    return " and ".join([", ".join(first[:-1]), first[-1]]) if len(first) > 1 else "".join(first)


def size(area_m2: float, width_m: float, *, zh: bool) -> str:
    """Tell the size of a place, or nothing where it has none."""
    if not area_m2 > 0.0:
        return ""
    wide = ""
    if width_m > 0.0:
        wide = f"，平均宽 {metres(width_m)}" if zh else f", {metres(width_m)} wide on average"
    return f"（{square_metres(area_m2)}{wide}）" if zh else f" ({square_metres(area_m2)}{wide})"


def _counted(count: int, one: str, several: str | None = None) -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def square_metres(value: float) -> str:
    """Tell an area.

    Examples
    --------
    >>> square_metres(249409.3), square_metres(12.345), square_metres(0.00123)
    ('249,409 m²', '12.35 m²', '0.00123 m²')
    """
    return f"{_number(value)} m²"


def metres(value: float) -> str:
    """Tell a length; below a centimetre in millimetres.

    Examples
    --------
    >>> metres(0.81), metres(0.0031)
    ('0.81 m', '3.1 mm')
    """
    return f"{_number(value * 1000)} mm" if value < 0.01 else f"{_number(value)} m"


def _number(value: float) -> str:
    if not math.isfinite(value) or value == 0.0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 else f"{value:.3g}"
