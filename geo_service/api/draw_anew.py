"""The process ``draw``: an area of the store drawn anew into a draft, on what the store holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field

from geo_service import codes, crs, layers
from geo_service.api.state import State
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.jobs import Context
from geo_service.store.pen import HOMES

if TYPE_CHECKING:
    from geo_service.drawing import Drawn

MOST_WISHES = 1000


class Land(BaseModel):
    """A named piece of land: GeoJSON coordinates of a polygon."""

    name: str = Field(description="What it is called · 名称")
    coordinates: list[list[tuple[float, float]]] = Field(
        min_length=1, max_length=100, description="Rings as in a GeoJSON Polygon · 多边形各环"
    )


class Question(BaseModel):
    """An area of the store, to be drawn anew along its streets into a draft."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"within": "411002001001", "target": [300, 500]}]},
    )

    within: str = Field(
        description="Code of a community, or of what holds communities · 社区或其上级的区划编码"
    )
    target: tuple[int, int] = Field(
        default=(300, 500), description="Fewest and most households a grid · 每格户数"
    )
    seed: int = Field(default=0, description="Seed of the search · 随机种子")
    fixed: list[str] = Field(
        default=[], max_length=MOST_WISHES,
        description="Codes of published grids that stay as they are · 原样保留的网格编码",
    )  # fmt: skip
    seeds: list[tuple[float, float]] = Field(
        default=[], max_length=MOST_WISHES,
        description="Places, each to have a grid of its own · 种子点，各在一格",
    )  # fmt: skip
    dedicated: list[Land] = Field(
        default=[], max_length=MOST_WISHES,
        description="Premises, each a grid of its own · 专属网格（市场、学校、楼宇）",
    )  # fmt: skip
    groups: list[Land] = Field(
        default=[], max_length=MOST_WISHES, description="Villagers' groups, never cut · 村民小组"
    )
    groups_column: str | None = Field(
        default=None, description="Instead: the buildings' column that names the group · 小组列"
    )
    one_grid_each: bool = Field(default=False, description="A grid a group · 一组一格")
    datum: str | None = Field(
        default=None,
        description="Of the coordinates given: wgs84, cgcs2000, gcj02, bd09 · 所给坐标的坐标系",
        examples=["wgs84"],
    )


def answer(state: State, question: Question, context: Context) -> dict[str, Any]:
    """Draw, keep the draft, and tell what was made.

    Raises
    ------
    MissingError
        ``code_unknown``, ``table_missing``.
    InputError
        What `geo_service.drawing.draw` refuses; ``parameter_missing`` for coordinates without
        their datum.
    """
    from geo_service.drawing import kinds

    context.tell(0.05, "正在读取街道和户数", "Reading streets and households")
    areas = areas_of(state, question.within)
    asked = {
        "streets": streets_of(state, areas), "households": households_of(state, areas),
        "target": question.target, "seed": question.seed,
        "taken": state.store.retired_codes("grids"), **_wishes(state, question, areas.crs),
    }  # fmt: skip
    drawn = _drawn(areas, asked, context)
    context.tell(0.9, "正在保存为草稿", "Keeping it as a draft")
    made = state.store.create_draft(
        "grids", drawn.grids, source=f"draw {question.within}", author=context.owner,
        replace_within=question.within,
    )  # fmt: skip
    low, high = question.target
    ordinary = drawn.grids[~kinds.dedicated(drawn.grids)]
    return {
        "draft": made,
        "grids": len(drawn.grids),
        "in_range": int(ordinary["households"].between(low, high).sum()),
        "misses": [asdict(miss) for miss in drawn.misses],
        "notes": [asdict(note) for note in drawn.notes],
    }


def areas_of(state: State, within: str) -> gpd.GeoDataFrame:
    """Give the area of a code, or its communities where these are published."""
    level = codes.level_of(within)
    published = state.revisions()
    layer = next((x.name for x in layers.LAYERS.values() if x.level == level), "")
    frame = state.store.frame(layer) if layer in published else None
    if frame is None or within not in set(frame["code"]):
        raise MissingError("code_unknown", code=within, what=Phrase("区域", "area"))
    own = frame[frame["code"] == within]
    if level in {"city", "county", "township"} and "communities" in published:
        below = state.store.frame("communities")
        below = below[[codes.is_within(code, within) for code in below["code"]]]
        own = below if len(below) else own
    return own[["code", own.geometry.name]].reset_index(drop=True)


def streets_of(state: State, areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give the streets of the walk network that meet areas, in their plane."""
    streets = state.network().street_lines().to_crs(areas.crs)
    return streets[streets.intersects(areas.geometry.union_all())]


def households_of(state: State, areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give the houses of the store that stand in areas, with their households, in their plane.

    Raises
    ------
    MissingError
        ``table_missing``.
    """
    tables = state.store.tables()
    if HOMES not in tables:
        raise MissingError("table_missing", table=HOMES, known=", ".join(tables) or "-")
    houses = crs.placed(state.store.table(HOMES), areas.crs, datum="wgs84")
    inside = houses.sindex.query(areas.geometry.union_all(), predicate="intersects", sort=True)
    return houses.iloc[inside]


def _drawn(areas: gpd.GeoDataFrame, asked: dict[str, Any], context: Context) -> Drawn:
    from geo_service import drawing

    context.tell(0.2, "正在划分网格", "Drawing the grids")
    if len(areas) == 1:
        area, code = areas.geometry.iloc[0], areas["code"].iloc[0]
        return drawing.draw(area, parent_code=code, crs=areas.crs, **asked)

    def advance(done: int, total: int) -> None:
        zh, en = f"已划分 {done}/{total} 个社区", f"{done} of {total} communities drawn"
        context.tell(0.2 + 0.7 * done / total, zh, en)

    return drawing.draw_all(areas, on_progress=advance, **asked)


def _wishes(state: State, question: Question, plane: Any) -> dict[str, Any]:
    """Give what is asked beside the range as `geo_service.drawing.draw` takes it."""
    asked: dict[str, Any] = {"one_grid_each": question.one_grid_each}
    if question.fixed:
        asked["fixed"] = state.store.features("grids", question.fixed)
    if question.seeds:
        asked["seeds"] = _placed(question, plane, [shapely.Point(xy) for xy in question.seeds])
    if question.dedicated:
        asked["dedicated"] = _land(question, plane, question.dedicated)
    if question.groups:
        asked["groups"] = _land(question, plane, question.groups)
    elif question.groups_column:
        asked["groups"] = question.groups_column
    return asked


def _land(question: Question, plane: Any, land: Sequence[Land]) -> gpd.GeoDataFrame:
    try:
        shapes = [shapely.Polygon(ring, holes) for ring, *holes in (e.coordinates for e in land)]
    except ValueError as error:
        value = ", ".join(each.name for each in land)[:100]
        raise InputError(
            "parameter_invalid", name="coordinates", value=value, reason=error
        ) from error
    return _placed(question, plane, shapes).assign(name=[each.name for each in land])


def _placed(question: Question, plane: Any, shapes: Sequence[Any]) -> gpd.GeoDataFrame:
    """Bring shapes of the question's datum into the plane."""
    if question.datum is None:
        raise InputError("parameter_missing", name="datum")
    datum = crs.parse_datum(question.datum)
    forward = crs.Plane.of(plane).forward
    moved = shapely.transform(
        np.array(shapes, object), lambda xy: np.column_stack(forward(*xy.T, datum=datum))
    )
    return gpd.GeoDataFrame(pd.DataFrame(index=range(len(moved))), geometry=moved, crs=plane)
