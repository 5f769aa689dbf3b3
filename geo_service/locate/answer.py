"""One lookup in the words of the contract: the grid, the areas above it, how sure, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geo_service import codes
from geo_service.locate.locator import Located

Names = Mapping[str, Mapping[str, str]]
"""Level (`geo_service.codes.LEVELS`) -> code -> name."""


def describe(
    located: Located,
    names: Names,
    *,
    at: int = 0,
    grid: Mapping[str, Any] | None = None,
    parents: Mapping[str, str] | None = None,
    chain: list[dict[str, str]] | None = None,
    alternatives: Sequence[tuple[str, float]] = (),
    revision: int | None = None,
    valid_from: str | None = None,
) -> dict[str, Any]:
    """Put one located point into the answer of ``locate --json`` and of ``/locate``.

    Parameters
    ----------
    located : Located
        What `Locator.locate` gave, with distances.
    names : mapping
        Names of areas by level and code; an area without a name is told by its code alone.
    at : int
        Which of the located points.
    grid : mapping, optional
        Further attributes of the grid to tell (households, kind); ``code`` and ``name`` lead.
    parents : mapping, optional
        Code -> code one level up, from the ``parent_code`` columns. Where a code is absent its
        digits tell (`geo_service.codes.parent`).
    chain : list of dict, optional
        What `chain_of` gave for the grid, where the caller keeps it.
    alternatives : sequence of (str, float)
        What `Locator.alternatives` gave for the point; the answering grid is left out.
    revision, valid_from
        The revision of the layer and the time it holds from.

    Returns
    -------
    dict
        ``found``, ``grid``, ``chain`` (city first, the grid last), ``border_distance_m``,
        ``alternatives``, ``revision``, ``valid_from``, ``why``; outside ``found`` is false, with
        ``reason`` and ``nearest``.
    """
    code = str(located.codes[at])
    stamp = {"revision": revision, "valid_from": valid_from}
    if not code:
        nearest = _nearest(located, at)
        others = _pairs(alternatives, without="")
        return {
            "found": False,
            "reason": "outside",
            "nearest": nearest,
            "alternatives": others,
            **stamp,
            "why": _why_outside(nearest),
        }
    chain = chain or chain_of(code, names, parents=parents)
    border_m = float(located.border_distance_m[at])
    return {
        "found": True,
        "grid": {"code": code, "name": chain[-1]["name"], **_others(grid)},
        "chain": chain,
        "border_distance_m": round(border_m, 3),
        "alternatives": _pairs(alternatives, without=code),
        **stamp,
        "why": _why_inside(located, at),
    }


def chain_of(
    code: str, names: Names, *, parents: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Give the areas from the city down to a code, each with level, code and name.

    Examples
    --------
    >>> [step["code"] for step in chain_of("411002001001", {})]
    ['411000', '411002', '411002001', '411002001001']
    >>> chain_of("411002001", {}, parents={"411002001": "411071"})[1]["code"]
    '411071'
    """
    chain: list[dict[str, str]] = []
    above: str | None = code
    seen: set[str] = set()
    while above and above not in seen:
        seen.add(above)  # a wrong parent column may run in a circle
        level = _level(above, names)
        chain.append({"level": level, "code": above, "name": names.get(level, {}).get(above, "")})
        above = (parents or {}).get(above) or codes.parent(above)
    return chain[::-1]


def _level(code: str, names: Names) -> str:
    """The level whose layer knows the code; else what its digits say."""
    known = next((level for level in reversed(codes.LEVELS) if code in names.get(level, {})), None)
    return known or codes.level_of(code) or "grid"


def _others(grid: Mapping[str, Any] | None) -> dict[str, Any]:
    told = {"code", "name", "geometry"}
    return {key: value for key, value in (grid or {}).items() if key not in told}


def _pairs(pairs: Sequence[tuple[str, float]], *, without: str) -> list[dict[str, Any]]:
    return [{"code": c, "distance_m": round(d, 3)} for c, d in pairs if c != without]


def _nearest(located: Located, at: int) -> dict[str, Any] | None:
    code = str(located.runner_up[at])
    if not code:
        return None
    return {"code": code, "distance_m": round(float(located.runner_up_distance_m[at]), 3)}


def _why_inside(located: Located, at: int) -> dict[str, str]:
    border_m, other = float(located.border_distance_m[at]), str(located.runner_up[at])
    if border_m == 0.0 and other and float(located.runner_up_distance_m[at]) == 0.0:
        return {
            "zh": f"正好在与 {other} 的边界上，归编码最小的网格",
            "en": f"on the border with {other}; the smallest code answers",
        }
    if border_m == 0.0:
        return {"zh": "正好在网格边界上", "en": "on the border of the grid"}
    if other and float(located.runner_up_distance_m[at]) == 0.0:
        return {
            "zh": f"网格重叠处：也在 {other} 内，归编码最小的网格",
            "en": f"grids overlap here: also in {other}; the smallest code answers",
        }
    return {
        "zh": f"在网格内，距边界 {_metres(border_m)} 米",
        "en": f"inside; {_metres(border_m)} m from the border",
    }


def _why_outside(nearest: dict[str, Any] | None) -> dict[str, str]:
    if nearest is None:
        return {"zh": "不在任何网格内", "en": "in no grid"}
    code, gap = nearest["code"], _metres(nearest["distance_m"])
    return {
        "zh": f"不在任何网格内，最近的网格 {code} 在 {gap} 米外",
        "en": f"in no grid; the nearest, {code}, is {gap} m away",
    }


def _metres(value: float) -> str:
    """Metres as people say them: whole from 10 m on, with decimals below."""
    return f"{value:.0f}" if value >= 10.0 else f"{value:.2f}"
