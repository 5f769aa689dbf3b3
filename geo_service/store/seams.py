"""Faults between the part a draft replaces and its neighbours: each once, with both owners."""

from __future__ import annotations

from typing import Any

import pandas as pd

from geo_service import codes
from geo_service.store import log, revisions
from geo_service.store.revisions import Shelf

COLUMNS = (
    "kind", "severity", "area_m2", "width_m", "draft_codes", "published_codes", "revision", "who",
    "when", "message_zh", "message_en",
)  # fmt: skip


def faults_across(shelf: Shelf, report: Any, area: str) -> pd.DataFrame:
    """List the faults of a check that lie on the seam of an area.

    Parameters
    ----------
    shelf : Shelf
        The layer, as published.
    report : geo_service.coverage.CoverageReport
        Of the whole layer with the draft in it.
    area : str
        The code of the area that the draft replaces.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: what is wrong, the codes of either side, and for the published side the latest
        revision among its grids, with who published it and when.
    """
    now = revisions.current(shelf)
    since = dict(zip(now.rows.codes, now.valid_from, strict=True))
    known = {r.number: r for r in log.revisions(shelf.schema, shelf.connection, shelf.layer)}
    found = []
    for fault in report.faults.drop(columns="geometry").to_dict("records"):
        ours = [code for code in fault["codes"] if codes.is_within(code, area)]
        theirs = [code for code in fault["codes"] if code in since and code not in ours]
        if not ours or not theirs or fault["severity"] == "note":
            continue
        latest = known[max(since[code] for code in theirs)]
        found.append(
            {
                **fault,
                "draft_codes": ours,
                "published_codes": theirs,
                "revision": latest.number,
                "who": latest.author,
                "when": latest.published_at,
            }
        )
    return pd.DataFrame(found, columns=list(COLUMNS))
