"""The process ``redraw``: published grids brought back into the range, few of them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from geo_service import codes
from geo_service.api import draw_anew
from geo_service.api.state import State
from geo_service.errors import MissingError, Phrase
from geo_service.jobs import Context

if TYPE_CHECKING:
    import geopandas as gpd


class Question(BaseModel):
    """Grids of the store, to be brought back into the range of households in a draft."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"within": "411002001001", "target": [300, 500]}]}
    )

    within: str = Field(description="Code of a community or of what holds it · 社区或上级区划编码")
    target: tuple[int, int] = Field(
        default=(300, 500), description="Fewest and most households a grid · 每格户数"
    )
    fixed: list[str] = Field(
        default=[], max_length=draw_anew.MOST_WISHES,
        description="Codes of grids that stay as they are · 原样保留的网格编码",
    )  # fmt: skip


def answer(state: State, question: Question, context: Context) -> dict[str, Any]:
    """Redraw, keep the draft, and tell what changed; where nothing must, there is no draft.

    Raises
    ------
    MissingError
        ``code_unknown``, ``table_missing``.
    InputError
        What `geo_service.drawing.redraw` refuses.
    """
    from geo_service import drawing

    context.tell(0.05, "正在读取街道和户数", "Reading streets and households")
    grids = _grids_of(state, question.within)
    streets = draw_anew.streets_of(state, grids)
    homes = draw_anew.households_of(state, grids)
    context.tell(0.3, "正在调整网格", "Redrawing the grids")
    redrawn = drawing.redraw(
        grids, streets=streets, households=homes, target=question.target, fixed=question.fixed,
        retired=sorted(state.store.retired_codes("grids")),
    )  # fmt: skip
    context.tell(0.9, "正在保存为草稿", "Keeping it as a draft")
    draft = None
    if redrawn.operations:
        draft = state.store.create_draft(
            "grids", redrawn.grids, source=f"redraw {question.within}", author=context.owner,
            notes=redrawn.notes, replace_within=question.within,
        )  # fmt: skip
    return {"draft": draft, **redrawn.to_dict()}


def _grids_of(state: State, within: str) -> gpd.GeoDataFrame:
    frame = state.store.frame("grids")
    own = frame[[codes.is_within(code, within) for code in frame["code"]]]
    if not len(own):
        raise MissingError("code_unknown", code=within, what=Phrase("网格", "grids"))
    return own.reset_index(drop=True)
