"""How the lists of life circles are headed for planners."""

from __future__ import annotations

HEADERS_ZH: dict[str, str] = {
    "circle_code": "生活圈编码",
    "circle_name": "生活圈名称",
    "kind": "类别代码",
    "kind_zh": "设施类别",
    "kind_en": "设施类别（英文）",
    "target": "服务对象",
    "walker": "步行人群",
    "counts": "判定依据",
    "tier_minutes": "圈层（分钟）",
    "threshold_m": "步行距离上限（米）",
    "status": "状态",
    "nearest_id": "最近现有设施编号",
    "nearest_name": "最近现有设施",
    "metres": "步行距离（米）",
    "minutes": "步行时间（分钟）",
    "planned_id": "规划设施编号",
    "planned_name": "规划设施",
    "planned_metres": "到规划设施步行距离（米）",
    "flag": "标记",
    "id": "设施编号",
    "name": "设施名称",
    "lon": "经度",
    "lat": "纬度",
    "circles": "所在生活圈",
    "fills_gap": "可补缺项的生活圈数",
    "proposed_site_id": "建议点位编号",
    "proposed_site": "建议点位",
    "people_served": "本圈服务人数",
    "people_newly_served": "点位新增服务人数",
    "responsible_unit": "责任单位",
    "deadline": "期限",
    "score": "得分",
    "missing": "缺项数",
    "missing_planned": "其中已规划",
    "population": "人口",
    "population_60": "60岁以上",
    "source": "来源",
    "verified": "是否核对原文",
    "score_before": "方案前得分",
    "score_after": "方案后得分",
    "gained": "补上的类别",
    "basis": "依据",
}
"""Chinese headers of every column, for export."""

STATUS_ZH = {"within": "达标", "missing": "缺项", "missing_planned": "缺项·已规划"}
"""Status of a cell of the matrix, and how planners say it."""

WALKERS_ZH = {"adult": "成人", "senior": "老年人", "courier": "骑手", "resident": "居民"}
COUNTS_ZH = {"metres": "距离", "minutes": "时间"}

SCORE = {
    "zh": "得分 = 100 × 达标类别数 ÷ 应有类别数（截断到两位小数）；"
    "各圈层只算本圈层的类别，互不替代；规划而未建成的不得分。",
    "en": "Score = 100 x categories within their threshold / categories judged, cut off after two "
    "decimals; each level counts its own categories alone, none stands in for another; what is "
    "planned and not built scores nothing.",
}


def header(column: str) -> str:
    """The Chinese header of a column, those of levels made from their minutes."""
    for prefix, zh in (("within_", " 分钟内可达"), ("score_", " 分钟圈得分")):
        level = column.removeprefix(prefix)
        if level != column and level.replace(".", "").isdigit():
            return f"{level}{zh}"
    return HEADERS_ZH.get(column, column)
