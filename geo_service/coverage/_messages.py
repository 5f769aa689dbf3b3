"""The sentences of every kind of fault, in Chinese and English: where, how much, what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geo_service.coverage._faults import Fault
from geo_service.notes import Note
from geo_service.profiles import Sentence

_NAMED = 6  # grids named in a sentence; the fault's codes list them all

_ZH_SIDES = {"east": "东", "south": "南", "west": "西", "north": "北"}
_FORMS = {
    "identical": ("逐字节相同", "byte for byte"),
    "turned": ("顶点相同，起点或方向不同", "with another starting vertex or direction"),
    "redrawn": ("形状几乎相同，顶点不同", "drawn with other vertices"),
}

_ROW = re.compile(r"^row (\d+)$")
_CURES = {
    "full_width": (
        "含有全角字符，请改成半角数字",
        "it holds full-width characters: write plain digits",
    ),
    "number": (
        "已被电子表格改成数字，请按文本重新导出",
        "a spreadsheet turned it into a number: export it again as text",
    ),
    "": ("请改正", "correct it"),
}  # fmt: skip
_REASONS_ZH = {
    "Too few points in geometry component": "顶点太少，围不成面",
    "Hole lies outside shell": "内环在外环之外",
    "Holes are nested": "内环套内环",
    "Nested shells": "外环套外环",
    "Interior is disconnected": "内部被隔断",
    "Duplicate Rings": "环重复",
    "Ring Self-intersection": "环自相接触",
}

_MEANT = (
    "若本应空着（湖面、飞地），请用 --within 给出外界线；否则请补画。",
    " If it is meant to stay open (a lake, an enclave), give the outline with --within; if not, "
    "draw it.",
)
_IN_HOLE = (
    "外界线自身在此处有空洞，请先核对外界线。",
    " The outline itself has a hole here: put the outline right first.",
)

_SENTENCES: dict[str, tuple[str, str]] = {
    "invalid_geometry": (
        "{codes} 的图形无效（{zh_reason}）{near}{beside}，请重画。",
        "The geometry of {codes} is not valid ({reason}){near}{beside}; redraw it.",
    ),
    "self_intersection": (
        "{codes} 的边界自相交或自相接触（{count} 处）{size}{near}{beside}，请拆开。",
        "The border of {codes} crosses or touches itself in {in_places}{size}{near}{beside}; "
        "untangle it.",
    ),
    "repeated_point": (
        "{codes} 的边界有重复点{near}，可直接删去。",
        "The border of {codes} repeats a vertex{near}; it can be dropped.",
    ),
    "spike": (
        "{codes} 的边界有尖刺（夹角小于 {degrees:g}°）{near}，若非实地如此，请删去该顶点。",
        "The border of {codes} has a spike (sharper than {degrees:g} degrees){near}; drop that "
        "vertex unless the ground is like that.",
    ),
    "multipart": (
        "{codes} 由 {count} 部分组成{size}{near}，请确认是否为飞地，不是则请拆开。",
        "{codes} {has} {count} parts{size}{near}; make sure that the exclave is meant, else take "
        "them apart.",
    ),
    "duplicate_geometry": (
        "{codes} 画了同一块地{size}{near}，{zh_form}，请只保留一个。",
        "{codes} cover the same ground{size}{near}, {form}; keep one.",
    ),
    "sliver": (
        "{codes} 是碎面{size}{near}，请并入相邻网格。",
        "{codes} is a sliver{size}{near}; merge it with a neighbour.",
    ),
    "overlap": (
        "{codes} 重叠{places}{size}{near}，{zh_cure}。",
        "{codes} overlap{places}{size}{near}; {cure}.",
    ),
    "gap": (
        "{codes} {zh_between}有{zh_hole}{places}{size}{near}。{meant}",
        "{A_hole}{places}{size} lies {between} {codes}{near}{join}.{meant}",
    ),
    "missing_grid": (
        "此处没有网格{size}{near}：{sides}。{meant}{absent}",
        "A grid is missing here{size}{near}: {sides}.{meant}{absent}",
    ),
    "rim_gap": (
        "{codes} 与外界线之间有缺口{places}{size}{near}，请补到界线。",
        "Open ground{places}{size} lies between {codes} and the outline{near}; extend the grid to "
        "it.",
    ),
    "overrun": (
        "{codes} 超出外界线{places}{size}{near}，请裁到界线。{in_hole}",
        "{codes} {reach} beyond the outline{places}{size}{near}; cut at the outline.{in_hole}",
    ),
    "outline_mismatch": (
        "{zh_stretch}网格外缘与外界线不是同一条线：共 {several} 处，未覆盖 {rim_gap}，"
        "越界 {overrun}，最宽 {widest}{near}，涉及 {codes}。{zh_line}",
        "{stretch} the grids and the outline follow two different lines: {in_several}, {rim_gap} "
        "open and {overrun} beyond, {widest} wide at most{near}, at {codes}. {line}",
    ),
    "reprojected": (
        "{several} 处细缝和细条压盖（共 {area}，最宽 {widest}）只是坐标转换造成的：在 {system} "
        "下它们都不存在，直线边界转换后不再是直线。涉及 {codes}{near}。"
        "请直接检查或导入 {system} 的原文件，或用 repair 修补。",
        "{in_several} of gap and overlap ({area} in all, {widest} wide at most) {are} there only "
        "because the layer was converted: in {system} none of them exists, for a straight border "
        "is straight in one plane only. They lie at {codes}{near}. Check or import the original "
        "file in {system}, or mend this one with repair.",
    ),
    "edge_mismatch": (
        "{codes} {with_outline}的公共边上有 {count} 个顶点只有一方有{near}，边线仍重合，无需处理。",
        "On a border of {codes}{with_outline} one side lacks {vertices}{near}; the lines coincide, "
        "nothing is to be done.",
    ),
    "detached": (
        "{codes} 与其余网格不相连{size}{near}，请确认是否为飞地。",
        "Not connected with the rest: {codes}{size}{near}; make sure that the exclave is meant.",
    ),
    "parent_mismatch": (
        "{codes} 越过上级 {parent} 的界线，有一部分在 {other} 内{size}{near}，请改到界线上。",
        "{codes} crosses the line of its parent {parent}: a part lies in {other}{size}{near}; "
        "bring its border to that line.",
    ),
    "code_duplicate": (
        "编码 {code} 用了 {count} 次（第 {lines} 行）{near}，编码必须唯一，请改正其余各行。",
        "The code {code} stands in {count} rows ({lines}){near}; codes must be unique: keep one "
        "and correct the others.",
    ),
    "code_malformed": (
        "编码 {code} 不合规则 {pattern}{near}，{zh_cure}。",
        "The code {code} has not the form {pattern}{near}; {cure}.",
    ),
    "code_parent_mismatch": (
        "{codes} 的编码属于 {parent}，但{zh_where}{near}，请核对编码与上级。",
        "The code of {codes} belongs to {parent}, but {where}{near}; correct the one or the other.",
    ),
    "code_order": (
        "{parent} 内的网格没有按自西向东、自北向南编号{near}，若要求顺序，请重新编号。",
        "The grids of {parent} are not numbered west to east, north to south{near}; renumber them "
        "where the order is asked for.",
    ),
    "attribute_missing": (
        "{codes} 的“{fields}”为空{near}，请补填。",
        "“{fields}” is empty for {codes}{near}; fill it in.",
    ),
    "area_mismatch": (
        "{codes} 登记面积 {recorded}，图形面积 {drawn}，相差 {percent} %{near}，请核对哪个为准。",
        "{codes}: the recorded area is {recorded}, the drawn one {drawn}, {percent} % apart{near}; "
        "find out which is right.",
    ),
    "size_out_of_range": (
        "{codes} 的{zh_field}为 {value}，不在 {low}–{high} 之间{near}，请核对，或拆分、合并。",
        "{codes} holds {value} {field}, outside {low}-{high}{near}; check the figure, or split or "
        "merge.",
    ),
    "not_on_map": (
        "{missing}没有落图，请补画或从登记表中注销。",
        "{missing} not on the map; draw them or strike them off the register.",
    ),
    "not_in_register": (
        "{codes} 在图上，但登记表里没有{near}，请登记或从图上删去。",
        "{codes} {are_codes} on the map but not in the register{near}; register or remove.",
    ),
}

_WORDS: dict[str, tuple[str, str, str]] = {
    "invalid_geometry": ("图形无效", "invalid geometry", "invalid geometries"),
    "self_intersection": ("自相交", "self-intersection", "self-intersections"),
    "repeated_point": ("重复点", "repeated vertex", "repeated vertices"),
    "spike": ("尖锐角", "spike", "spikes"),
    "multipart": ("多部件", "grid of several parts", "grids of several parts"),
    "duplicate_geometry": ("重复图形", "grid drawn twice", "grids drawn twice"),
    "sliver": ("碎面", "sliver", "slivers"),
    "overlap": ("压盖", "overlap", "overlaps"),
    "gap": ("缝隙", "gap", "gaps"),
    "missing_grid": ("空洞（缺网格）", "missing grid", "missing grids"),
    "rim_gap": ("边缘未覆盖", "open place at the outline", "open places at the outline"),
    "overrun": ("越界", "place beyond the outline", "places beyond the outline"),
    "outline_mismatch": (
        "与外界线不一致", "place along two outlines", "places along two outlines",
    ),
    "reprojected": ("坐标转换裂缝", "sliver by conversion", "slivers by conversion"),
    "edge_mismatch": ("共边结点不一致", "one-sided vertex", "one-sided vertices"),
    "detached": ("孤立图形", "detached part", "detached parts"),
    "parent_mismatch": ("与上级界不一致", "place beyond the parent", "places beyond the parent"),
    "code_duplicate": ("编码重复", "code used twice", "codes used twice"),
    "code_malformed": ("编码不合规", "malformed code", "malformed codes"),
    "code_parent_mismatch": ("上级不符", "code of another parent", "codes of another parent"),
    "code_order": ("编码顺序不符", "numbering out of order", "numberings out of order"),
    "attribute_missing": ("属性缺失", "empty field", "empty fields"),
    "area_mismatch": ("面积不符", "area at odds", "areas at odds"),
    "size_out_of_range": ("规模超限", "size out of range", "sizes out of range"),
    "not_on_map": ("未落图", "code not on the map", "codes not on the map"),
    "not_in_register": ("无登记", "grid not in the register", "grids not in the register"),
}  # fmt: skip
"""What planners call each kind, and the words for one and for several of it."""

_HIDDEN = {
    "tolerated": (
        "{number:,} 处{zh_kind}低于规则容差，未列出：{sum}。",
        "{kinds} below the profile's tolerance {are} not listed: {sum}.",
    ),
    "unlisted": (
        "另有 {number:,} 处{zh_kind}未逐条列出（只列最大的）：{sum}；汇总见分组。",
        "{kinds} more {are} not listed one by one, only the largest are: {sum}; the groups tell of "
        "all.",
    ),
}


@dataclass(frozen=True)
class Message:
    """One sentence in two languages."""

    zh: str
    en: str


def message(
    fault: Fault, names: Sequence[str], at: str = "", own: Sentence | None = None
) -> Message:
    """Tell a fault.

    Parameters
    ----------
    fault : Fault
    names : sequence of str
        What each row of the layer is called.
    at : str
        Where it is, in figures; empty where it has no place.
    own : Sentence, optional
        A profile's own words. A place they name that the fault has not is left as written.
    """
    zh, en = _SENTENCES[fault.kind]
    in_zh, in_en = (_places(fault, names, at, zh=zh_) for zh_ in (True, False))
    return Message(
        _filled(own.zh, in_zh) if own and own.zh else zh.format(**in_zh),
        _filled(own.en, in_en) if own and own.en else en.format(**in_en),
    )


def _filled(words: str, places: Mapping[str, Any]) -> str:
    """Fill a city's own sentence, whatever it says: no format language, only names in braces."""
    return re.sub(r"\{(\w+)\}", lambda place: str(places.get(place[1], place[0])), words)


def group(
    kind: str, between: Sequence[str], places: int, area_m2: float, widest_m: float
) -> Message:
    """Tell a group of places of one kind, between neighbours or inside one.

    Examples
    --------
    >>> group("overlap", ["A", "B"], 3, 12.0, 0.8).en
    'A and B: 3 overlaps, 12 m² in all, 0.8 m wide at most'
    """
    zh_kind, _, _ = _WORDS[kind]
    parts = [part for part in between if part]
    zh_who, who = listed(parts, zh=True), listed(parts, zh=False)
    return Message(
        f"{zh_who or '全图层'}：{zh_kind} {places} 处"
        f"{_sum(area_m2, widest_m, zh=True, places=places)}",
        f"{who or 'the whole layer'}: {_kinds(kind, places)}"
        f"{_sum(area_m2, widest_m, zh=False, places=places)}",
    )


def hidden(code: str, kind: str, sums: Mapping[str, float]) -> Note:
    """Tell the sums of what is not listed of a kind."""
    zh, en = _HIDDEN[code]
    number = int(sums["count"])
    told = {
        "number": number,
        "zh_kind": _WORDS[kind][0],
        "kinds": _kinds(kind, number),
        "are": _are(number),
    }
    zh_sum, en_sum = (
        _sum(sums["area_m2"], sums["width_m"], zh=in_zh)[1:].strip() for in_zh in (True, False)
    )
    nothing = ("不占面积", "without area")
    return Note(
        code,
        zh.format(**told, sum=zh_sum or nothing[0]),
        en.format(**told, sum=en_sum or nothing[1]),
    )


def _kinds(kind: str, count: int) -> str:
    _, one, several = _WORDS[kind]
    return f"{count:,} {one if count == 1 else several}"


def _sum(area_m2: float, widest_m: float, *, zh: bool, places: int = 2) -> str:
    if places == 1:
        return size(area_m2, widest_m, zh=zh)
    told = ""
    if area_m2 > 0.0:
        told = f"，共 {square_metres(area_m2)}" if zh else f", {square_metres(area_m2)} in all"
    if widest_m > 0.0:
        told += f"，最宽 {metres(widest_m)}" if zh else f", {metres(widest_m)} wide at most"
    return told


def _places(fault: Fault, names: Sequence[str], at: str, *, zh: bool) -> dict[str, Any]:
    """What fills a sentence: the fault's facts, put into words."""
    facts = fault.facts
    codes = [names[row] for row in fault.rows] + list(fault.others)
    alone, several = len(codes) == 1, fault.places
    told: dict[str, Any] = {
        **facts,
        "codes": listed(codes, zh=zh) or ("（全部）" if zh else "all grids"),
        "size": size(fault.area_m2, fault.width_m, zh=zh),
        "area": square_metres(fault.area_m2),
        "widest": metres(fault.at_most_m),
        "near": (f"（位于 {at}）" if zh else f" near {at}") if at else "",
        "several": f"{several:,}",
        "places": (f" {several:,} 处" if zh else f" in {several:,} places") if several > 1 else "",
        "in_several": _counted(several, "place"),
        "are": _are(several),
        "are_codes": _are(len(codes)),
        "has": "has" if alone else "have",
        "reach": "reaches" if alone else "reach",
        "in_places": _counted(facts.get("count", 1), "place"),
        "vertices": _counted(facts.get("count", 1), "vertex", "vertices"),
    }
    return told | _by_kind(fault, names, alone, zh=zh)


def _by_kind(fault: Fault, names: Sequence[str], alone: bool, *, zh: bool) -> dict[str, Any]:
    facts, kind = fault.facts, fault.kind
    meant = _MEANT[0 if zh else 1] if facts.get("meant") else ""
    if kind == "gap":
        return _hole(alone, meant, zh=zh)
    if kind == "missing_grid":
        return {**_missing(facts, names, zh=zh), "meant": meant}
    if kind == "overlap":
        return _shared(len(fault.rows) if facts.get("pile") else 0)
    if kind == "outline_mismatch":
        return _two_lines(fault)
    if kind == "overrun":
        return {"in_hole": _IN_HOLE[0 if zh else 1] if facts.get("in_hole") else ""}
    if kind == "duplicate_geometry":
        return dict(zip(("zh_form", "form"), _FORMS[facts["form"]], strict=True))
    if kind == "edge_mismatch":
        with_outline = "与外界线" if zh else " with the outline"
        return {"with_outline": with_outline if facts["outline"] else ""}
    if kind == "code_order":
        return {"parent": listed(facts["parents"], zh=zh)}
    if kind == "code_malformed":
        return dict(zip(("zh_cure", "cure"), _CURES[facts["damage"]], strict=True))
    if kind in {"invalid_geometry", "self_intersection"}:
        reason = facts.get("reason", "")
        return {"zh_reason": _REASONS_ZH.get(reason, reason), "beside": _beside(facts, zh=zh)}
    if kind == "not_on_map":
        return {"missing": _missing_rows(fault, zh=zh)}
    return {}


def _hole(alone: bool, meant: str, *, zh: bool) -> dict[str, str]:
    """A hole between grids or inside one; a wide one is no gap of borders drawn apart."""
    return {
        "zh_between": "内" if alone else "之间",
        "between": "inside" if alone else "between",
        "zh_hole": "空洞" if meant else "缝隙",
        "A_hole": "A hole" if meant else "A gap",
        "join": "" if meant else "; fill it" if alone else "; bring the borders together",
        "meant": meant or (("请补上。" if alone else "请对齐边界。") if zh else ""),
    }


def _beside(facts: Mapping[str, Any], *, zh: bool) -> str:
    """The ground that a self-crossing border leaves open or doubled beside its grid."""
    if "beside_m2" not in facts:
        return ""
    area = square_metres(facts["beside_m2"])
    return (
        f"，旁边因此空出或压盖 {area}" if zh else f", which leaves {area} open or doubled beside it"
    )


def _shared(piled: int) -> dict[str, str]:
    """What to do with ground that several grids cover: `piled` of them, or (0) a few."""
    if not piled:
        return {"zh_cure": "请划归其中一个", "cure": "give the place to one of them"}
    return {
        "zh_cure": f"共 {piled:,} 个网格堆在一处，请保留正确的，删除其余",
        "cure": f"{piled:,} grids lie on one spot: keep the right ones and delete the others",
    }


def _two_lines(fault: Fault) -> dict[str, str]:
    """Two lines that run apart: one to be chosen, or mere rounding."""
    told = {key: square_metres(fault.facts[key]) for key in ("rim_gap", "overrun")}
    stretch = ("沿这一段，", "Along this stretch")
    line = ("请换用同一条界线。", "Use one line for both.")
    if fault.mild:
        line = (
            "相差在容许范围内，可视为同一条线（如坐标纠偏或取舍小数所致）；若要吻合，请用 repair。",
            "So little is one line written down twice (a shift undone, decimals cut); where it is "
            "to fit exactly, use repair.",
        )
    return {**told, "zh_stretch": stretch[0], "stretch": stretch[1], "zh_line": line[0],
            "line": line[1]}  # fmt: skip


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
        return f"登记表中的 {who}" if zh else f"{who} of the register {_are(len(fault.others))}"
    count, expected = fault.facts["count"], fault.facts["expected"]
    if zh:
        return f"应有 {expected} 个网格，其中 {count} 个"
    return f"{count} of the {expected} expected grids {_are(count)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def places(at: Sequence[Sequence[float] | None], crs: Any | None) -> list[str]:
    """Tell places in figures: longitude and latitude, or a file's own where it has no system."""
    digits = 3 if crs is None and any(p is not None and abs(p[0]) > 360.0 for p in at) else 5
    return ["" if p is None else f"{p[0]:.{digits}f}, {p[1]:.{digits}f}" for p in at]


def listed(codes: Sequence[str], *, zh: bool) -> str:
    """Name grids in a sentence, the first few of many.

    Examples
    --------
    >>> listed(["a", "b"], zh=False), listed(list("abcdefgh"), zh=False)
    ('a and b', 'a, b, c, d, e, f and 2 more')
    >>> listed(["row 3", "row 12"], zh=True)
    '第 3 行、第 12 行'
    """
    first = list(codes[:_NAMED])
    if zh:  # a grid without a code goes by its row
        first = [_ROW.sub(r"第 \1 行", code) for code in first]
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
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def square_metres(value: float) -> str:
    """Tell an area.

    Examples
    --------
    >>> square_metres(249409.3), square_metres(12.345), square_metres(0.00123)
    ('249,409 m²', '12.35 m²', '0.00123 m²')
    """
    return f"{_number(value)} m²"


def metres(value: float) -> str:
    """Tell a length; below ten centimetres in millimetres.

    Examples
    --------
    >>> metres(0.81), metres(0.0031)
    ('0.81 m', '3.1 mm')
    """
    return f"{_number(value * 1000)} mm" if value < 0.1 else f"{_number(value)} m"


def _number(value: float) -> str:
    if not math.isfinite(value) or value == 0.0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 else f"{value:.3g}"
