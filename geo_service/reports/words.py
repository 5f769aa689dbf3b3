"""The planners' words, and the colours, of what a check finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KINDS_ZH: Mapping[str, str] = {
    "invalid_geometry": "图形无效",
    "self_intersection": "自相交",
    "repeated_point": "重复点",
    "spike": "尖锐角",
    "multipart": "多部件",
    "duplicate_geometry": "重复图形",
    "sliver": "碎面",
    "overlap": "压盖",
    "gap": "缝隙",
    "missing_grid": "空洞（缺网格）",
    "rim_gap": "边缘未覆盖",
    "overrun": "越界",
    "outline_mismatch": "与外界线不一致",
    "reprojected": "坐标转换裂缝",
    "edge_mismatch": "共边结点不一致",
    "parent_mismatch": "与上级界不一致",
    "detached": "孤立图形",
    "code_duplicate": "编码重复",
    "code_malformed": "编码不合规",
    "code_parent_mismatch": "上级不符",
    "code_order": "编码顺序不符",
    "attribute_missing": "属性缺失",
    "area_mismatch": "面积不符",
    "size_out_of_range": "规模超限",
    "not_on_map": "未落图",
    "not_in_register": "无登记",
}
"""What planners call each fault kind."""

SEVERITIES_ZH: Mapping[str, str] = {"error": "错误", "warning": "警告", "note": "提示"}

STATUSES_ZH: Mapping[str, str] = {"solved": "已解决", "left": "仍在", "new": "新增"}
"""What a re-check says of a fault."""

VERDICTS: Mapping[str, tuple[str, str]] = {
    "clean": ("通过", "clean"),
    "faults": ("有问题", "faults found"),
}


@dataclass(frozen=True)
class Family:
    """Fault kinds that are one thing to a planner, drawn in one colour.

    Parameters
    ----------
    zh, en : str
        Its name.
    colour : str
        ``#rrggbb``.
    kinds : tuple of str
        A fault that is mended halfway may come back as another kind of its family.
    """

    zh: str
    en: str
    colour: str
    kinds: tuple[str, ...]


FAMILIES = (
    Family("未覆盖", "open ground", "#c2402c",
           ("gap", "missing_grid", "rim_gap", "outline_mismatch", "reprojected")),
    Family("重叠", "double ground", "#6b4aa0", ("overlap", "duplicate_geometry", "sliver")),
    Family("越界", "beyond the line", "#b26a12", ("overrun", "parent_mismatch",
                                          "code_parent_mismatch")),
    Family("图形", "shape", "#17758a",
           ("invalid_geometry", "self_intersection", "repeated_point", "spike", "multipart",
            "detached", "edge_mismatch")),
    Family("编码与登记", "codes and register", "#4b5a68",
           ("code_duplicate", "code_malformed", "code_order", "attribute_missing", "area_mismatch",
            "size_out_of_range", "not_on_map", "not_in_register")),
)  # fmt: skip
SOLVED_COLOUR = "#2f8552"

_FAMILY_OF = {kind: family for family in FAMILIES for kind in family.kinds}


def family(kind: str) -> Family:
    """The family of a fault kind; an unknown kind is among the codes."""
    return _FAMILY_OF.get(kind, FAMILIES[-1])


def kind_zh(kind: str) -> str:
    """What planners call a fault kind."""
    return KINDS_ZH.get(kind, kind)


def kind_en(kind: str) -> str:
    """A fault kind in English words.

    Examples
    --------
    >>> kind_en("missing_grid")
    'missing grid'
    """
    return kind.replace("_", " ")
