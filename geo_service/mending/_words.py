"""What was done to a grid, and why a fault was left, in Chinese and English."""

from __future__ import annotations

from geo_service.coverage import _messages

_WHAT = {
    "gap": ("缝隙", "a gap"),
    "rim_gap": ("边缘缺口", "open ground at the outline"),
    "overlap": ("重叠部分", "an overlap"),
    "overrun": ("越界部分", "what lay beyond the outline"),
    "spike": ("尖刺", "a spike"),
    "sliver": ("碎面", "a sliver"),
    "multipart": ("碎块", "a crumb"),
}

ALONE = {
    "self_intersection": ("拆开自相交的边界", "has its crossed border taken apart"),
    "repeated_point": ("删去重复点", "loses its repeated points"),
}
"""Kind -> what was done to a grid by itself."""

_REASONS = {
    "missing_grid": (
        "缺少整个网格，须补画",
        "a whole grid is missing: it has to be drawn",
    ),
    "duplicate_geometry": (
        "两个编码画了同一块地，都不可改动",
        "two codes on one place, and neither may be dropped",
    ),
    "parent_mismatch": (
        "网格越过上级界线，须由人决定归属",
        "the grid crosses its parent's line: people have to decide where it belongs",
    ),
    "multipart": ("须确认是否为飞地", "people have to say whether the exclave is meant"),
    "detached": ("须确认是否为飞地", "people have to say whether the exclave is meant"),
}
_FAR = (
    "修补须移动边线 {needed} 以上，超过上限 {limit}：放宽 --max-gap-m，或由人重画",
    "mending it would move a border by {needed} or more, above the limit of {limit}: allow more by "
    "--max-gap-m, or draw it anew",
)
_NOBODY = (
    "没有可以改动的网格，须由人决定",
    "no grid beside it may be changed: people have to decide",
)
_CODES = ("与图形无关，须改登记内容", "not a matter of lines: the records have to be put right")
_DRAWN = (
    "与邻格的边线一致，可能是真实边界，不自动改动",
    "the grids beside it are drawn likewise; it may be real, so it is left as drawn",
)
_CLOSE = ("边线过近，无法自动分清", "the lines are too close to be told apart")


def moved(
    kind: str,
    *,
    gained: bool,
    other: str | None,
    area_m2: float,
    width_m: float,
    drawn_m: float,
) -> tuple[str, str]:
    """Tell that a grid gained or lost a place, or that its row went with it."""
    zh, en = _WHAT[kind]
    zh_size = _messages.size(area_m2, width_m, zh=True)
    size = _messages.size(area_m2, width_m, zh=False)
    if drawn_m:
        zh_size += f"，长 {_messages.metres(drawn_m)}"
        size += f", {_messages.metres(drawn_m)} long"
    if gained:
        return f"补上{zh}{zh_size}", f"gains {en}{size}"
    if other is not None:
        return f"让出{zh}{zh_size}，归 {other}", f"leaves {en}{size} to {other}"
    return f"裁去{zh}{zh_size}", f"loses {en}{size}"


def dropped(stays: str, *, same_code: bool) -> tuple[str, str]:
    """Tell that a row that was drawn twice is gone."""
    if same_code:
        return "重复的一行已删去（图形和编码都相同）", "stood twice; one of the two rows is dropped"
    return (
        f"与 {stays} 画的是同一块地，此行已删去",
        f"covers the ground of {stays}; its row is dropped",
    )


def joined(count: int) -> tuple[str, str]:
    """Tell that a border got the vertices of the mended neighbour's."""
    vertices = "1 vertex" if count == 1 else f"{count} vertices"
    return (
        f"的边线上补 {count} 个与邻格共用的顶点，形状不变",
        f"gets {vertices} shared with a mended neighbour; its border stays",
    )


def reason(kind: str, needed_m: float, limit_m: float) -> tuple[str, str]:
    """Tell why a fault was left; `needed_m` is how far a border would have had to move."""
    if kind in _REASONS:
        return _REASONS[kind]
    if kind.startswith(("code_", "attribute_", "area_", "size_", "not_")):
        return _CODES
    if not needed_m < float("inf"):
        return _NOBODY
    if needed_m > limit_m:
        told = {"needed": _messages.metres(needed_m), "limit": _messages.metres(limit_m)}
        return _FAR[0].format(**told), _FAR[1].format(**told)
    return _DRAWN if kind in {"spike", "sliver"} else _CLOSE
