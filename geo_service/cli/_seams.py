"""Faults between a draft and its published neighbours, told with both owners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geo_service.cli import _terminal as terminal

if TYPE_CHECKING:
    import pandas as pd

    from geo_service.coverage import CoverageReport

_SHOWN = 20


def of_draft(store: str | None, draft: int, report: CoverageReport) -> pd.DataFrame:
    """List what `report` found on the seam of a draft that replaces one area."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        return opened.seam(draft, report)


def show(seam: pd.DataFrame) -> None:
    """Print the faults of a seam, each once; nothing where there is none."""
    if not len(seam):
        return
    say = terminal.say
    rows = [
        (
            ", ".join(fault["draft_codes"]),
            ", ".join(fault["published_codes"]),
            f"r{fault['revision']} {fault['who']} {fault['when'][:10]}",
            say(fault["message_zh"], fault["message_en"]),
        )
        for fault in seam.head(_SHOWN).to_dict("records")
    ]
    columns = (
        say("草稿", "draft"),
        say("已发布", "published"),
        say("发布人", "published by"),
        say("说明", "what and where"),
    )
    title = say(f"接边问题 {len(seam)} 处", f"{len(seam)} faults on the seam")
    terminal.out().print(terminal.table(title, columns, rows))
