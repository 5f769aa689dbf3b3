"""A proposal as the sheets of a spreadsheet planners take into the meeting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from geo_service.siting.proposals import Proposal

_SITE_HEADERS = {
    "order": "建设顺序", "id": "候选点编号", "name": "名称", "lon": "经度（WGS84）",
    "lat": "纬度（WGS84）", "newly_covered": "新覆盖", "only_here": "仅此处覆盖",
    "lost_percent": "去掉损失（%）", "nearest_existing_m": "到现有设施步行（米）",
    "nearest_existing_minutes": "步行（分钟）", "load": "服务人数", "capacity": "容量",
}  # fmt: skip
_DETAIL_HEADERS = {
    "order": "建设顺序", "id": "候选点编号", "name": "名称", "alone": "单独建时新覆盖",
    "within_reach": "可达范围内合计", "overlap": "与别处重叠", "longest_walk_m": "最远步行（米）",
    "mean_walk_m": "平均步行（米）", "nearest_existing_id": "最近现有设施",
    "load_percent": "负荷率（%）", "cost": "费用",
}  # fmt: skip
_PEOPLE_ZH = {
    "population": "居民", "population_60": "60岁以上", "riders": "骑手", "orders": "订单",
    "households": "户数",
}  # fmt: skip
_AREA_ZH = {"community": "社区", "township": "乡镇（街道）", "square_km": "平方公里格"}


def of(proposal: Proposal) -> dict[str, pd.DataFrame]:
    """Give the sheets under their Chinese names and headers, the sites first."""
    return {
        "建议点位": _sites(proposal),
        "方案概要": _summary(proposal),
        "点位明细": _details(proposal),
        "前后对比": _people(proposal),
        _AREA_ZH[proposal.equity["by"]]: _areas(proposal),
        "数量与覆盖": pd.DataFrame({
            "点位数": range(1, len(proposal.curve) + 1), "已知最好覆盖": proposal.curve,
        }),
        "未覆盖聚集区": _uncovered(proposal),
        "无法覆盖": _places(proposal.uncoverable),
        "没有数据": _unknown(proposal),
    }  # fmt: skip


def _sites(proposal: Proposal) -> pd.DataFrame:
    rows = [
        {zh: site[field] for field, zh in _SITE_HEADERS.items() if field in site}
        | {"理由": site["reason"]["zh"]}
        for site in proposal.sites
    ]
    return pd.DataFrame(rows)


def _details(proposal: Proposal) -> pd.DataFrame:
    rows = []
    for site in proposal.sites:
        equal = site["equal_alternative"] or {}
        row = {zh: site[field] for field, zh in _DETAIL_HEADERS.items() if field in site}
        row["等效备选"] = equal.get("id", "")
        row["到备选步行（米）"] = equal.get("metres")
        row["替换备选（变化）"] = "、".join(
            f"{other['id']}（{other['change']:+,.10g}）" for other in site["alternatives"]
        )
        rows.append(row)
    return pd.DataFrame(rows)


def _summary(proposal: Proposal) -> pd.DataFrame:
    cut = _percent
    equity, sensitivity = proposal.equity, proposal.sensitivity
    rows: list[tuple[str, Any]] = [
        ("设施类别", proposal.kind),
        ("计数列", proposal.weight_field or "每处计 1"),
        ("步行分钟", proposal.minutes),
        ("步速（km/h）", round(proposal.speed_kmh, 4)),
        ("点位数", len(proposal.sites)),
        ("方案前覆盖", proposal.covered_before),
        ("方案后覆盖", proposal.covered_after),
        ("合计", proposal.total),
        ("方案前覆盖率", cut(proposal.covered_before, proposal.total)),
        ("方案后覆盖率", cut(proposal.covered_after, proposal.total)),
        ("目标值", proposal.objective),
        (
            "上界（任何方案都不能更好）" if proposal.aim != "fewest_sites" else "下界",
            proposal.bound,
        ),
        ("与界的差距（%）", math.ceil(1e4 * proposal.gap_percent) / 1e4),
        ("基尼系数（前）", round(equity["gini_before"], 4)),
        ("基尼系数（后）", round(equity["gini_after"], 4)),
        ("最差十分之一人口的覆盖率（前）", cut(equity["worst_tenth_share_before"], 1.0)),
        ("最差十分之一人口的覆盖率（后）", cut(equity["worst_tenth_share_after"], 1.0)),
    ]
    rows += [
        (f"步速 {row['speed_m_s']:g} m/s 时覆盖", row["covered_after"])
        for row in sensitivity["speed"]
    ]
    for name, zh in (("one_more", "多一处时覆盖"), ("one_fewer", "少一处时覆盖")):
        if sensitivity[name] is not None:
            rows.append((zh, sensitivity[name]["covered_after"]))
    if proposal.capacity is not None:
        rows += [("每处容量", proposal.capacity["per_site"]),
                 ("至少需要点位", proposal.capacity["least_sites"]),
                 ("有位置服务", proposal.capacity["served"]),
                 ("没有位置", proposal.capacity["unserved"])]  # fmt: skip
    rows += [("说明", note["zh"]) for note in proposal.notes]
    return pd.DataFrame(rows, columns=["项目", "值"])


def _people(proposal: Proposal) -> pd.DataFrame:
    rows = [
        {
            "人群": _PEOPLE_ZH.get(field, field), "合计": told["total"],
            "方案前": told["covered_before"], "方案后": told["covered_after"],
            "增加": told["covered_after"] - told["covered_before"],
            "方案前覆盖率": _percent(told["covered_before"], told["total"]),
            "方案后覆盖率": _percent(told["covered_after"], told["total"]),
            "无数据处数": told["places_without_data"],
        }
        for field, told in proposal.people.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _areas(proposal: Proposal) -> pd.DataFrame:
    """Every area, the worst served first."""
    live = proposal.areas[proposal.areas["total"] > 0]
    live = live.sort_values(["share_after", "total", "area"], ascending=[True, False, True])
    told = live[["area", "total", "covered_before", "covered_after"]].assign(
        before=[
            _percent(*pair) for pair in zip(live["covered_before"], live["total"], strict=True)
        ],
        after=[_percent(*pair) for pair in zip(live["covered_after"], live["total"], strict=True)],
    )
    return told.rename(
        columns={"area": "编码", "total": "合计", "covered_before": "方案前",
                 "before": "方案前覆盖率", "covered_after": "方案后", "after": "方案后覆盖率"}
    )  # fmt: skip


def _uncovered(proposal: Proposal) -> pd.DataFrame:
    rows = [
        {
            "经度": one["lon"], "纬度": one["lat"], "最近需求": one["nearest_id"],
            "处数": one["places"], "未覆盖": one["weight"], "原因": one["why"]["zh"],
            "最好的候选点": one["best_candidate_id"] or "", "可新增": one["best_candidate_gain"],
        }
        for one in proposal.uncovered
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _unknown(proposal: Proposal) -> pd.DataFrame:
    headers = {"id": "编号", "lon": "经度", "lat": "纬度", "within_reach": "已可达"}
    return pd.DataFrame(proposal.without_data, columns=list(headers)).rename(columns=headers)


def _places(rows: list[dict[str, Any]]) -> pd.DataFrame:
    told = [
        {"编号": r["id"], "经度": r["lon"], "纬度": r["lat"], "数量": r["weight"],
         "原因": r["reason"]["zh"]}
        for r in rows
    ]  # fmt: skip
    return pd.DataFrame(told, columns=["编号", "经度", "纬度", "数量", "原因"])


def _percent(part: float, whole: float) -> str:
    """A share as text, cut off after two decimals."""
    return f"{math.floor(1e4 * part / whole + 1e-9) / 100:.2f} %" if whole > 0 else "—"
