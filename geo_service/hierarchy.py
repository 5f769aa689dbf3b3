"""Whether levels nest and each tiles the one above (纵向到底、横向到边), in one call.

Horizontal (横向) is broken by gaps, overlaps and overruns of one level within the level above;
vertical (纵向) by a code that names another parent than the ground does, by a feature without a
parent or a parent without children, and by figures that do not add up. Geometry is judged by
`geo_service.coverage` level by level; here the levels are tied together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd

from geo_service import codes, layers, profiles
from geo_service.errors import InputError, Phrase
from geo_service.layers import LAYERS, Layer
from geo_service.notes import Note

Direction = Literal["horizontal", "vertical", ""]

HORIZONTAL = frozenset(
    {"overlap", "gap", "missing_grid", "rim_gap", "overrun", "outline_mismatch",
     "duplicate_geometry", "reprojected", "sliver"}
)  # fmt: skip
VERTICAL = frozenset(
    {"parent_mismatch", "code_parent_mismatch", "orphan", "childless", "rollup_mismatch"}
)
"""Kinds of fault that break one or the other; the form of codes and columns breaks neither."""

COUNTED = ("households", "population", "population_60", "grids")
"""Columns whose figures add up exactly from level to level; ``grids`` counts the grids inside."""

AREA_RELATIVE = 1e-9
"""How far the areas of children and parent may differ by rounding alone."""

CHAIN = ("city", "counties", "townships", "communities", "grids", "micro_grids")
"""The layers that nest, from the top."""

_MANY = 200


@dataclass(frozen=True)
class HierarchyReport:
    """What a check of all levels found.

    Parameters
    ----------
    verdict : {"clean", "faults"}
        ``faults`` where any fault is an error.
    levels : pandas.DataFrame
        One row a level, from the top: layer, features, coverage_percent, area_m2, and the sums of
        `COUNTED` columns where the level has them (missing elsewhere).
    faults : geopandas.GeoDataFrame
        Of all levels: layer, direction (``horizontal``, ``vertical`` or empty), and the columns of
        `geo_service.coverage.CoverageReport.faults`.
    rollups : pandas.DataFrame
        Every figure that does not add up: layer and code of the parent, field, its own value, the
        sum of its children, the difference.
    numbering : pandas.DataFrame
        Numbers left out below a parent: layer, parent, missing. Retired codes leave such gaps, so
        they are no faults.
    counts : dict
        ``{"horizontal": …, "vertical": …}``: errors of either kind.
    profile, profile_digest : str
    notes : tuple of Note
    """

    verdict: Literal["clean", "faults"]
    levels: pd.DataFrame
    faults: gpd.GeoDataFrame
    rollups: pd.DataFrame
    numbering: pd.DataFrame
    counts: dict[str, int]
    profile: str
    profile_digest: str
    notes: tuple[Note, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without geometries."""
        plain = self.faults.drop(columns=["geometry"])
        return {
            "verdict": self.verdict,
            "profile": self.profile,
            "profile_digest": self.profile_digest,
            "counts": self.counts,
            "levels": _records(self.levels),
            "faults": _records(plain),
            "rollups": _records(self.rollups),
            "numbering": _records(self.numbering),
            "notes": [{"code": n.code, "zh": n.zh, "en": n.en} for n in self.notes],
        }


def check(
    levels: Mapping[str, gpd.GeoDataFrame],
    *,
    profile: str | profiles.Profile = "default",
    on_progress: Callable[[float], None] | None = None,
) -> HierarchyReport:
    """Check that levels nest, tile and add up.

    Parameters
    ----------
    levels : Mapping
        Layer name (``city``, ``counties``, ``townships``, ``communities``, ``grids``,
        ``micro_grids``; also the names of levels: ``county``) -> its features with ``code``, in one
        coordinate system. Levels may be left out; each is judged within the next one above.
    profile : str or Profile
        The rules, as they apply to each level.
    on_progress : callable, optional
        Called with the share done.

    Returns
    -------
    HierarchyReport

    Raises
    ------
    InputError
        ``parameter_invalid`` for fewer than two levels, ``field_missing`` without codes, and as
        `geo_service.coverage.check`.
    MissingError
        ``layer_unknown``, ``profile_unknown``.
    """
    frames = _in_order(levels)
    rules = profiles.load(profile) if isinstance(profile, str) else profile
    tell = on_progress or (lambda share: None)
    found: list[pd.DataFrame] = []
    percents: dict[str, str | None] = {}
    notes: list[Note] = []
    names = list(frames)
    parents = {child: _parent_codes(frames, child, above) for above, child in _pairs(names)}
    for number, (above, child) in enumerate(_pairs(names)):
        report = _judged(LAYERS[child], frames[child], frames[above], rules)
        percents[child] = report.coverage_percent
        notes += [n for n in report.notes if n.code not in {m.code for m in notes}]
        found.append(report.faults.assign(layer=child))
        found += _loose(frames, above, child, parents[child], rules)
        tell((number + 1) / len(names))
    rollups = _rollups(frames, parents)
    found += [_differences_told(rollups, rules)]
    faults = _one_table(found, frames[names[0]].crs)
    wrong = faults[faults["severity"] == "error"]
    tell(1.0)
    return HierarchyReport(
        verdict="faults" if len(wrong) else "clean",
        levels=_totals(frames, parents, percents),
        faults=faults,
        rollups=rollups,
        numbering=_numbering(frames, parents),
        counts={way: int((wrong["direction"] == way).sum()) for way in ("horizontal", "vertical")},
        profile=rules.label,
        profile_digest=rules.digest,
        notes=tuple(notes),
    )


def _in_order(levels: Mapping[str, gpd.GeoDataFrame]) -> dict[str, gpd.GeoDataFrame]:
    of_level = {LAYERS[name].level: name for name in CHAIN}
    given = {of_level.get(name, layers.layer(of_level.get(name, name)).name): frame
             for name, frame in levels.items()}  # fmt: skip
    outside = [name for name in given if name not in CHAIN]
    if len(given) < 2 or outside:
        reason = Phrase(
            f"请给出其中两个以上：{', '.join(CHAIN)}", f"two or more of {', '.join(CHAIN)}"
        )
        value = ", ".join(outside or given)
        raise InputError("parameter_invalid", name="levels", value=value, reason=reason)
    return {name: _coded(given[name], name) for name in CHAIN if name in given}


def _coded(frame: gpd.GeoDataFrame, name: str) -> gpd.GeoDataFrame:
    """The frame under our field names, its codes as clean text."""
    ours = {column: field for field, column in layers.match_fields(frame.columns).items()}
    taken = set(frame.columns) - set(ours)
    ours = {column: field for column, field in ours.items() if field not in taken}
    named = frame.rename(columns=ours)
    if "code" not in named.columns:
        found = ", ".join(map(str, frame.columns))
        raise InputError("field_missing", file=name, field="网格编码 / code", found=found)
    return named.assign(code=codes.texts(named["code"]))


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    return list(pairwise(names))


def _judged(
    layer: Layer, frame: gpd.GeoDataFrame, above: gpd.GeoDataFrame, rules: profiles.Profile
) -> Any:
    from geo_service import coverage
    from geo_service.store import checking

    within = checking.parents_named(frame, above) if layer.contract == "nests_in" else above
    return coverage.check(frame, within=within, profile=checking.rules_for(layer, rules))


def _parent_codes(frames: Mapping[str, gpd.GeoDataFrame], child: str, above: str) -> list[str]:
    """The parent that each feature names, by its parent column or its code; empty: none there."""
    known = set(frames[above]["code"])
    frame = frames[child]
    column = frame["parent_code"] if "parent_code" in frame.columns else [""] * len(frame)
    named = []
    for code, parent in zip(frame["code"], codes.texts(column), strict=True):
        chain = [parent, *(c for _, c in reversed(codes.ancestors(code)))]
        if parent:
            chain += [c for _, c in reversed(codes.ancestors(parent))]
        named.append(next((c for c in chain if c in known), ""))
    if not any(named) and len(known) == 1:
        return [next(iter(known))] * len(frame)  # a city outline under any code
    return _zones_placed(frame, frames[above], named)


def _zones_placed(frame: gpd.GeoDataFrame, above: gpd.GeoDataFrame, named: list[str]) -> list[str]:
    """Codes of a functional zone begin with no legal county's: where they lie names the parent."""
    rows = [
        k for k, code in enumerate(frame["code"]) if not named[k] and codes.in_functional_zone(code)
    ]
    points = frame.geometry.iloc[rows].representative_point()
    at, parent = above.sindex.query(points, predicate="within")
    found = list(named)
    for row, code in zip(at, above["code"].to_numpy()[parent], strict=True):
        found[rows[row]] = code
    return found


def _loose(
    frames: Mapping[str, gpd.GeoDataFrame],
    above: str,
    child: str,
    parents: list[str],
    rules: profiles.Profile,
) -> list[pd.DataFrame]:
    """Features without a parent, and parents without a child where the contract asks for them."""
    own, upper = frames[child], frames[above]
    zh, zh_above = LAYERS[child].zh, LAYERS[above].zh
    orphans = own[np.array(parents, dtype=object) == ""]
    told = [
        _rows(orphans, "orphan", child, rules,
              f"{{code}} 没有上级：“{zh_above}”里没有它所属的编码。",
              f"{{code}} has no parent: no code of {above} is above it.")
    ]  # fmt: skip
    if LAYERS[child].contract == "tiles":
        empty = upper[~upper["code"].isin(set(parents))]
        told.append(
            _rows(empty, "childless", above, rules, f"{{code}} 内没有{zh}。",
                  f"{{code}} has no {child} inside it.")
        )  # fmt: skip
    return told


def _rows(
    frame: gpd.GeoDataFrame, kind: str, layer: str, rules: profiles.Profile, zh: str, en: str
) -> pd.DataFrame:
    points = frame.geometry.representative_point()
    named = [code or f"row {row + 1}" for row, code in enumerate(frame["code"])]
    return pd.DataFrame(
        {
            "kind": kind,
            "severity": rules.severity(kind),
            "layer": layer,
            "codes": [[code] for code in named],
            "x": points.x.to_numpy(),
            "y": points.y.to_numpy(),
            "message_zh": [zh.format(code=code) for code in named],
            "message_en": [en.format(code=code) for code in named],
            "geometry": points.to_numpy(),
        }
    )


def _rollups(
    frames: Mapping[str, gpd.GeoDataFrame], parents: Mapping[str, list[str]]
) -> pd.DataFrame:
    """Every figure of a parent that is not the sum of its children's."""
    names = list(frames)
    found = []
    for above, child in _pairs(names):
        if LAYERS[child].contract != "tiles":
            continue  # what covers a part of its parent adds up to a part
        upper = _figures(frames, parents, above).set_index(frames[above]["code"].to_numpy())
        lower = _figures(frames, parents, child)
        upper = upper[~upper.index.duplicated()]
        sums = lower.groupby(np.array(parents[child], dtype=object)).sum(min_count=1)
        for field in upper.columns.intersection(lower.columns):
            own, summed = upper[field], sums[field].reindex(upper.index)
            both = own.notna() & summed.notna()
            slack = AREA_RELATIVE * own.abs() if field == "area_m2" else 0.0
            off = both & ((own - summed).abs() > slack)
            found += [
                (above, code, field, own[code], summed[code], summed[code] - own[code])
                for code in upper.index[off]
            ]
    columns = ["layer", "code", "field", "own", "children", "difference"]
    return pd.DataFrame(found, columns=columns)


def _figures(
    frames: Mapping[str, gpd.GeoDataFrame], parents: Mapping[str, list[str]], name: str
) -> pd.DataFrame:
    """A level's figures: its counted columns and its drawn area; a grid is one grid."""
    frame = frames[name]
    figures = {c: pd.to_numeric(frame[c], errors="coerce") for c in COUNTED if c in frame.columns}
    if name == "grids":
        figures["grids"] = pd.Series(1, index=frame.index)
    figures["area_m2"] = _area_m2(frame)
    return pd.DataFrame(figures).astype(float)


def _area_m2(frame: gpd.GeoDataFrame) -> pd.Series[float]:
    if frame.crs is not None and frame.crs.is_geographic:
        geod = frame.crs.get_geod()
        areas = [abs(geod.geometry_area_perimeter(shape)[0]) for shape in frame.geometry]
        return pd.Series(areas, index=frame.index)
    return frame.geometry.area


def _differences_told(rollups: pd.DataFrame, rules: profiles.Profile) -> pd.DataFrame:
    """The figures that do not add up as faults; beyond many, one for each level and field."""
    zh_of = {f.name: f.zh for f in layers.FIELDS} | {"grids": "网格数", "area_m2": "面积"}
    told = []
    for (layer, field), rows in rollups.groupby(["layer", "field"], sort=False):
        groups = [rows] if len(rows) > _MANY else [rows.iloc[[k]] for k in range(len(rows))]
        for group in groups:
            first, more = group.iloc[0], len(group) - 1
            zh_field = zh_of.get(str(field), field)
            figures = (_figure(first["own"]), _figure(first["children"]))
            also_zh = f"；另有 {more} 个上级同样不符" if more else ""
            also = f"; and {more} more do not add up" if more else ""
            told.append(
                {
                    "kind": "rollup_mismatch",
                    "severity": rules.severity("rollup_mismatch"),
                    "layer": layer,
                    "codes": list(group["code"]),
                    "message_zh": f"{first['code']} 的{zh_field}为 {figures[0]}，"
                    f"下级之和为 {figures[1]}{also_zh}。",
                    "message_en": f"{first['code']} has {field} {figures[0]}, its children "
                    f"{figures[1]} in all{also}.",
                }
            )
    return pd.DataFrame(told)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"


def _numbering(
    frames: Mapping[str, gpd.GeoDataFrame], parents: Mapping[str, list[str]]
) -> pd.DataFrame:
    """Numbers that are left out between the first and the last child of a parent."""
    found = []
    for child in parents:
        if child not in {"grids", "micro_grids"}:
            continue  # higher codes are numbered by kind, with gaps that mean something
        table = pd.Series(frames[child]["code"])
        table = table[[codes.level_of(code) == LAYERS[child].level for code in table]]
        for parent, mine in table.groupby(table.map(codes.parent)):
            width = codes.sequence_digits(mine.iloc[0])
            used = {int(code[-width:]) for code in mine}
            missing = sorted(set(range(1, max(used, default=0))) - used)
            if missing:
                found.append((child, parent, missing))
    return pd.DataFrame(found, columns=["layer", "parent", "missing"])


def _totals(
    frames: Mapping[str, gpd.GeoDataFrame],
    parents: Mapping[str, list[str]],
    percents: Mapping[str, str | None],
) -> pd.DataFrame:
    """Each level's sums; its grids are those that its chain of parents reaches."""
    reached = _grids_reached(frames, parents)
    rows = []
    for name, frame in frames.items():
        figures = _figures(frames, {}, name).sum(min_count=1).to_dict()
        figures |= {"grids": reached[name]} if name in reached else {}
        percent = percents.get(name)
        rows.append({"layer": name, "features": len(frame), "coverage_percent": percent, **figures})
    return pd.DataFrame(rows)


def _grids_reached(
    frames: Mapping[str, gpd.GeoDataFrame], parents: Mapping[str, list[str]]
) -> dict[str, int]:
    """How many grids each level holds, counted up from parent to parent: all, or some are lost."""
    if "grids" not in frames:
        return {}
    names = list(frames)
    inside = pd.Series(1, index=frames["grids"]["code"].to_numpy())
    reached = {"grids": len(inside)}
    for above, child in reversed(_pairs(names[: names.index("grids") + 1])):
        own = frames[child]["code"].to_numpy()
        count = inside.to_numpy() if child == "grids" else inside.reindex(own).fillna(0).to_numpy()
        up = pd.Series(count).groupby(np.array(parents[child], dtype=object)).sum()
        inside = up.drop("", errors="ignore")
        reached[above] = int(inside.sum())
    return reached


def _one_table(found: list[pd.DataFrame], crs: Any) -> gpd.GeoDataFrame:
    columns = ["layer", "direction", "kind", "severity", "codes", "area_m2", "width_m", "x", "y",
               "message_zh", "message_en", "geometry"]  # fmt: skip
    filled = [frame for frame in found if len(frame)]
    whole = pd.concat([pd.DataFrame(f) for f in filled], ignore_index=True) if filled else None
    if whole is None:
        return gpd.GeoDataFrame({c: [] for c in columns}, geometry="geometry", crs=crs)
    whole["direction"] = [_direction(kind) for kind in whole["kind"]]
    whole = whole.reindex(columns=columns)
    rank = whole["severity"].map({"error": 0, "warning": 1, "note": 2})
    order = rank.sort_values(kind="stable").index
    return gpd.GeoDataFrame(whole.loc[order].reset_index(drop=True), geometry="geometry", crs=crs)


def _direction(kind: str) -> Direction:
    if kind in HORIZONTAL:
        return "horizontal"
    return "vertical" if kind in VERTICAL else ""


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [{str(k): v for k, v in row.items()} for row in plain.to_dict("records")]
