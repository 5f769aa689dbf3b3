"""What goes with the land when grids are merged, cut or handed over: whole numbers, and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_service.codes import chinese_number, grid_name
from geo_service.notes import Note

_COUNTED: Mapping[str, tuple[str, str]] = {
    "households": ("户数", "households"),
    "population": ("人口", "population"),
    "population_60": ("60 岁以上人口", "people over 60"),
    "riders": ("骑手", "riders"),
}

COUNT_FIELDS = tuple(_COUNTED)
"""Whole numbers that add up: summed by a merge, divided by a split."""

_USUAL_NAME = re.compile(r"第(\d+|[零一二三四五六七八九十百千]+)网格\Z")


def share_whole(total: int, weights: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Divide a whole number by weights into whole numbers that add up to it (largest remainder).

    Examples
    --------
    >>> share_whole(10, [1, 1, 1]).tolist()
    [4, 3, 3]
    """
    weight = np.asarray(weights, float)
    exact = total * weight / weight.sum()
    shares = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(shares - exact, kind="stable")
    shares[by_remainder[: total - int(shares.sum())]] += 1
    return shares


def divided(row: Mapping[str, Any], weights: npt.ArrayLike) -> list[dict[str, Any]]:
    """Give a copy of a grid's columns for each part, its counts divided by weights."""
    parts = [dict(row) for _ in np.asarray(weights)]
    for name in counts_of(row):
        for part, share in zip(parts, share_whole(int(row[name]), weights).tolist(), strict=True):
            part[name] = share
    return parts


def by_area_note(row: Mapping[str, Any]) -> tuple[Note, ...]:
    """Say that a grid's counts were divided by area, if it has any."""
    zh, en = _named(counts_of(row))
    if not zh:
        return ()
    zh += "按面积比例分摊，请按实际核对。"
    en += " were divided by area; check them against the register."
    return (Note("divided_by_area", zh, en),)


def by_homes_note(row: Mapping[str, Any], lived: int) -> tuple[Note, ...]:
    """Say that a grid's counts were divided by where its households live."""
    names = counts_of(row)
    if not names:
        return ()
    zh, en = _named(names)
    zh += f"按 {lived} 户的实际位置分到各块"
    en += f" were divided by where {lived} households live"
    told = row["households"] if "households" in names else lived
    if told != lived:
        zh += f"；网格登记为 {told} 户，请核对"
        en += f"; the grid is said to hold {told}, check that"
    return (Note("divided_by_homes", f"{zh}。", f"{en}."),)


def summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the first grid's columns with the counts of all."""
    total = dict(rows[0])
    for name in COUNT_FIELDS:
        known = [row[name] for row in rows if name in counts_of(row)]
        if known:
            total[name] = sum(map(int, known))
    return total


def counts_of(row: Mapping[str, Any]) -> list[str]:
    """Name the counts a grid has."""
    return [n for n in COUNT_FIELDS if isinstance(row.get(n), int | float) and row[n] == row[n]]


def _named(counts: Sequence[str]) -> tuple[str, str]:
    words = [_COUNTED[name] for name in counts]
    return "、".join(zh for zh, _ in words), ", ".join(en for _, en in words).capitalize()


def part_names(name: str, codes: Sequence[str]) -> list[str]:
    """Number the parts by their codes where the grid was; else tell them apart by a suffix.

    Examples
    --------
    >>> part_names("第三网格", ["411002001001007", "411002001001008"])
    ['第七网格', '第八网格']
    >>> part_names("和平里", ["A", "B"])
    ['和平里之一', '和平里之二']
    """
    usual = _USUAL_NAME.match(name)
    numbers = [int(code[-3:]) if code[-3:].isdigit() else 0 for code in codes]
    if usual is None or not all(numbers):
        return [f"{name}之{chinese_number(i)}" for i in range(1, len(codes) + 1)]
    if usual[1].isdigit():
        return [f"第{number}网格" for number in numbers]
    return [grid_name(number) for number in numbers]
