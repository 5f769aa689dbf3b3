"""What was done to a grid, and why a fault was left, in Chinese and English."""

from __future__ import annotations

from geo_service.coverage import _messages

_WHAT = {
    "gap": ("缝隙", "a gap"),
    "rim_gap": ("边缘缺口", "open ground at the outline"),
    "overlap": ("重叠部分", "an overlap"),
    "overrun": ("越界部分", "what lay beyond the outline"),
}

_REASONS = {
    "missing_grid": (
        "缺少整个网格，须补画",
        "a whole grid is missing: it has to be drawn",
    ),
    "duplicate_geometry": (
        "两个编码画了同一块地，须由人决定保留哪一个",
        "two codes on one place: people have to decide which to keep",
    ),
    "outline_mismatch": (
        "网格与外部范围是两条不同的线，须先确定用哪一条",
        "the grids and the outline follow two lines: people have to decide for one",
    ),
    "parent_mismatch": (
        "网格越过上级界线，须由人决定归属",
        "the grid crosses its parent's line: people have to decide where it belongs",
    ),
    "multipart": ("须确认是否为飞地", "people have to say whether the exclave is meant"),
    "detached": ("须确认是否为飞地", "people have to say whether the exclave is meant"),
    "sliver": ("并入哪个网格须由人决定", "people have to say which grid it belongs to"),
    "spike": ("可能是真实边界，不自动改动", "it may be real, so it is left as drawn"),
}
_WIDE = (
    "平均宽 {width}，超过上限 {limit}",
    "{width} wide on average, above the limit of {limit}",
)
_CODES = ("与图形无关，须改登记内容", "not a matter of lines: the records have to be put right")
_CLOSE = ("边线过近，无法自动分清", "the lines are too close to be told apart")


def moved(
    code: str, kind: str, *, gained: bool, keeper: str | None, area_m2: float, width_m: float
) -> tuple[str, str]:
    """Tell that a grid gained or lost a place."""
    zh, en = _WHAT[kind]
    zh_size = _messages.size(area_m2, width_m, zh=True)
    size = _messages.size(area_m2, width_m, zh=False)
    if gained:
        return f"{code} 补上{zh}{zh_size}", f"{code} gains {en}{size}"
    if keeper is not None:
        return f"{code} 让出{zh}{zh_size}，归 {keeper}", f"{code} leaves {en}{size} to {keeper}"
    return f"{code} 裁去{zh}{zh_size}", f"{code} loses {en}{size}"


def dropped(code: str) -> tuple[str, str]:
    """Tell that a row which stood there twice is gone."""
    return f"删去重复的一行 {code}（图形和编码都相同）", f"dropped a row of {code} that stood twice"


def joined(code: str, count: int) -> tuple[str, str]:
    """Tell that a border got the vertices of the mended neighbour's."""
    vertices = "1 vertex" if count == 1 else f"{count} vertices"
    return (
        f"{code} 的边线上补 {count} 个与邻格共用的顶点，形状不变",
        f"{code}: {vertices} shared with a mended neighbour put on its border, which stays",
    )


def uncrossed(code: str) -> tuple[str, str]:
    """Tell that a crossed ring was taken apart."""
    return f"{code} 拆开自相交的边界", f"{code}: crossed border taken apart"


def reason(kind: str, width_m: float, limit_m: float) -> tuple[str, str]:
    """Tell why a fault was left."""
    if kind in _REASONS:
        return _REASONS[kind]
    if kind.startswith(("code_", "attribute_", "area_", "size_", "not_")):
        return _CODES
    if width_m > limit_m:
        told = {"width": _messages.metres(width_m), "limit": _messages.metres(limit_m)}
        return _WIDE[0].format(**told), _WIDE[1].format(**told)
    return _CLOSE
