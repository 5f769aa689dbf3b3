"""What is known of life circles once they are judged: matrix, lists, scores, changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo_service.life_circles.words import COUNTS_ZH, SCORE, STATUS_ZH, WALKERS_ZH, header

_LEVELS = (5.0, 10.0, 15.0)  # a category of 8 minutes belongs to the circle of 10
_MOST_ROWS = 60_000  # of a sheet that a spreadsheet still scrolls through


@dataclass(frozen=True, eq=False)
class LifeCircles:
    """What each circle has and lacks.

    Parameters
    ----------
    matrix : DataFrame
        A row per circle and category: ``circle_code, circle_name, kind, kind_zh, kind_en,
        tier_minutes, counts, walker, target, threshold_m, status, nearest_id, nearest_name, metres,
        minutes, within_5, within_10, within_15, planned_id, planned_name, planned_metres``.
        ``metres`` is the walk to the nearest existing facility, NaN where none is found within half
        an hour; ``minutes`` and ``within_*`` are at the walker's speed; ``threshold_m`` is the
        walk that is allowed; ``status`` is a key of `STATUS_ZH`.
    missing : DataFrame
        缺项清单: the cells without an existing facility within the threshold, with ``flag`` 缺项 or
        缺项·已规划.
    unbuilt : DataFrame
        未落地设施清单: planned facilities inside some circle, a row each, with the ``circles`` they
        are in and how many of those it would give what they lack (``fills_gap``).
    action_plan : DataFrame
        项目行动计划表: a row per missing cell with the planned facility or the nearest candidate
        within the threshold, the people of the circle, those of all circles that the site gives
        what they lack, and columns to fill in: responsible unit, deadline, status.
    standard : DataFrame
        What was judged by, with sources.
    centres : DataFrame
        ``circle_code, circle_name, lon, lat`` (WGS84) and people, where known.
    notes : list of dict
        What was found and assumed, zh and en.
    """

    matrix: pd.DataFrame
    missing: pd.DataFrame
    unbuilt: pd.DataFrame
    action_plan: pd.DataFrame
    standard: pd.DataFrame
    centres: pd.DataFrame
    notes: list[dict[str, str]]

    def __repr__(self) -> str:
        return (
            f"<LifeCircles {len(self.centres)} circles, {len(self.standard)} categories: "
            f"{len(self.missing)} missing, {len(self.unbuilt)} unbuilt>"
        )

    def table(self) -> pd.DataFrame:
        """The matrix as a sheet: a row per circle, a column per category, Chinese status inside."""
        order = list(dict.fromkeys(self.matrix["kind_zh"]))
        status = self.matrix["status"].map(STATUS_ZH).to_numpy(object)
        wide = pd.DataFrame(status.reshape(-1, len(order)), columns=order)
        return pd.concat([self.centres[["circle_code", "circle_name"]], wide], axis=1)

    def scores(self) -> pd.DataFrame:
        """A row per circle: ``score``, ``score_5, score_10, score_15``, counts of what is missing.

        The formula stands in `words.SCORE`. A level that no judged category belongs to is NaN.
        """
        kinds = len(self.standard)
        within = (self.matrix["status"] == "within").to_numpy().reshape(-1, kinds)
        planned = (self.matrix["status"] == "missing_planned").to_numpy().reshape(-1, kinds)
        level = np.searchsorted(_LEVELS, self.standard["tier_minutes"].to_numpy(float))
        told = self.centres.drop(columns=["lon", "lat"]).assign(score=_percent(within))
        for at, minutes in enumerate(_LEVELS):
            mine = np.minimum(level, len(_LEVELS) - 1) == at
            told[f"score_{minutes:g}"] = _percent(within[:, mine])
        return told.assign(missing=(~within).sum(axis=1), missing_planned=planned.sum(axis=1))

    def mean_score(self) -> float | None:
        """The circles' mean score, by their people where these are known."""
        scores = self.scores()
        people = scores.get("population", pd.Series(1.0, index=scores.index)).fillna(0.0)
        if not people.sum() > 0:
            return None
        return float(np.floor(100 * np.average(scores["score"], weights=people)) / 100)

    def to_frame(self) -> gpd.GeoDataFrame:
        """The action plan as points, EPSG:4326: at the proposed site, else at the circle."""
        plan = self.action_plan
        points = shapely.points(plan["lon"].to_numpy(float), plan["lat"].to_numpy(float))
        return gpd.GeoDataFrame(plan, geometry=points, crs="EPSG:4326")

    def sheets(self) -> dict[str, pd.DataFrame]:
        """All tables under their Chinese names and headers, for a spreadsheet."""
        plan = self.action_plan.drop(columns=["kind"])
        told = {
            "项目行动计划表": plan,
            "生活圈矩阵": self.table(),
            "缺项清单": self.missing.drop(columns=["status", "kind_en", "kind"]),
            "未落地设施清单": self.unbuilt.drop(columns=["kind"]),
            "生活圈评分": self.scores(),
        }
        if len(self.missing) > _MOST_ROWS:  # every grid of a city: by category, the rest as a layer
            told["项目行动计划表"] = told["项目行动计划表"].iloc[:_MOST_ROWS]
            told["缺项清单"] = told["缺项清单"].iloc[:_MOST_ROWS]
        if len(self.matrix) <= _MOST_ROWS:
            walks = self.matrix.drop(columns=["kind_en"])
            told["步行明细"] = walks.assign(status=walks["status"].map(STATUS_ZH))
        told["标准"] = self.standard.drop(columns=["kind_en"])
        sheets = {name: _in_chinese(frame) for name, frame in told.items()}
        rows = [("评分公式", SCORE["zh"], SCORE["en"])]
        rows += [("说明", note["zh"], note["en"]) for note in [*self._cut(), *self.notes]]
        return sheets | {"说明": pd.DataFrame(rows, columns=["项目", "中文", "英文"])}

    def _cut(self) -> list[dict[str, str]]:
        """What a spreadsheet of a whole city leaves out, said there."""
        if len(self.missing) <= _MOST_ROWS:
            return []
        kept = f"{_MOST_ROWS:,} / {len(self.missing):,}"
        return [{
            "zh": f"缺项清单和项目行动计划表只列出前 {kept} 行，步行明细未列；"
            "全部内容请导出为 .gpkg 或按区县（--within）导出。",
            "en": f"The lists hold the first {kept} rows and the walks are left out; for all of it "
            "write a .gpkg, or county by county (--within).",
        }]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts, ``None`` where nothing is known."""
        return {
            "circles": len(self.centres),
            "categories": len(self.standard),
            "cells": len(self.matrix),
            "mean_score": self.mean_score(),
            "score_formula": SCORE,
            "centres": records(self.centres[["circle_code", "lon", "lat"]]),
            "scores": records(self.scores()),
            "matrix": records(self.matrix),
            "missing": records(self.missing),
            "unbuilt": records(self.unbuilt),
            "action_plan": records(self.action_plan),
            "standard": records(self.standard),
            "notes": self.notes,
        }


def changes(before: LifeCircles, after: LifeCircles) -> pd.DataFrame:
    """Tell what a plan changes: a row per circle whose score or lists differ.

    Parameters
    ----------
    before, after : LifeCircles
        Of the same circles and the same standard.

    Returns
    -------
    DataFrame
        ``circle_code, circle_name, score_before, score_after, gained`` (categories that are within
        reach now, joined by 、) and people, where known.
    """
    old, new = before.scores(), after.scores()
    kinds = before.standard["kind_zh"].to_numpy(object)
    gained = (before.matrix["status"] != "within") & (after.matrix["status"] == "within")
    told = old[["circle_code", "circle_name"]].assign(
        score_before=old["score"],
        score_after=new["score"],
        gained=["、".join(kinds[row]) for row in gained.to_numpy(bool).reshape(-1, len(kinds))],
        **{c: old[c] for c in ("population", "population_60") if c in old},
    )
    return told[told["gained"] != ""].reset_index(drop=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dicts, ``None`` for NaN."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def _percent(within: Any) -> Any:
    if not within.shape[1]:
        return np.full(len(within), np.nan)
    return np.floor(1e4 * within.sum(axis=1) / within.shape[1] + 1e-9) / 100.0


def _in_chinese(frame: pd.DataFrame) -> pd.DataFrame:
    told = frame.copy()
    for column, words in (("walker", WALKERS_ZH), ("counts", COUNTS_ZH)):
        if column in told:
            told[column] = told[column].map(lambda value, words=words: words.get(value, value))
    for column in told.select_dtypes("bool").columns:
        told[column] = np.where(told[column], "是", "否")
    return told.rename(columns={str(c): header(str(c)) for c in told.columns})
