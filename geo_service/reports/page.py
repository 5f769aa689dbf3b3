"""The one-page 检查意见书: verdict, both rates, a map with numbered faults, and what to do.

Plain HTML with its styles inside: no network, no scripts, nothing dated. Chinese first; two buttons
above the sheet show English, or both.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from geo_service.reports import map_picture, words
from geo_service.reports.map_picture import Spot

if TYPE_CHECKING:
    from geo_service.reports.opinions import Opinion

_PAGE_MM = 272.0  # of an A4 sheet between its margins, less a little for other fonts
_FIXED_MM = 64.0  # title, figures, legend, signatures, footer and the gaps between them
_INPUT_MM = 3.4  # a line of the footer
_STRIP_MM = 11.0  # a sentence or the four invariants below the figures
_LINE_MM, _ROW_MM = 4.35, 1.5  # of the list: a line of text, and what a row adds to its lines
_NOTE_MM = 4.2
_LINE_WIDTH = 84  # of a sentence, in half-width characters, at the page's type size
_MOST_NOTES = 6
_SENTENCE = 250  # characters; a fault of thousands of grids names them all in the spreadsheet


@dataclass(frozen=True)
class Row:
    """A fault of the list.

    Parameters
    ----------
    number : int
        In the whole list, from 1.
    kind_zh, kind_en, severity, severity_zh, colour, zh, en : str
    status, status_zh : str
        Of a re-check; empty otherwise.
    """

    number: int
    kind_zh: str
    kind_en: str
    severity: str
    severity_zh: str
    colour: str
    zh: str
    en: str
    status: str
    status_zh: str


@dataclass(frozen=True)
class Group:
    """The faults of one kind: those the page has room for, and how many more there are."""

    zh: str
    en: str
    colour: str
    count: int
    rows: tuple[Row, ...]

    @property
    def more(self) -> int:
        """Those only the spreadsheet lists."""
        return self.count - len(self.rows)


def check_page(opinion: Opinion) -> str:
    """Give the page as HTML."""
    from geo_service import __version__

    shown = _choose(opinion, _map_mm(opinion))
    template = resources.files("geo_service") / "defaults" / "check_report.html"
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(template.read_text("utf-8")).render(
        opinion=opinion,
        report=opinion.report,
        verdict=words.VERDICTS[opinion.report.verdict],
        severities=[
            (words.SEVERITIES_ZH[name], name, n) for name, n in opinion.severities().items()
        ],
        groups=_groups(opinion, shown),
        families=_families(opinion),
        hidden=[
            (words.kind_zh(kind), words.kind_en(kind), int(sums["count"]))
            for kind, sums in opinion.report.hidden.items()
        ],
        picture=_picture(opinion, shown),
        notes=opinion.notes[:_MOST_NOTES],
        more_notes=max(len(opinion.notes) - _MOST_NOTES, 0),
        rules=[rule for rule in opinion.rules() if rule[1] in _RULES_SHOWN],
        version=__version__,
    )


_RULES_SHOWN = {"min_area_m2", "min_width_m", "gap_width_m", "sliver_area_m2", "code_pattern"}


def _choose(opinion: Opinion, map_mm: float) -> list[int]:
    """Rows of the faults the page has room for: the largest of each kind, then the next in turn.

    Every kind is told by one fault at least, even where that takes a second page.
    """
    faults = opinion.report.faults
    size = faults["area_m2"].fillna(0.0).to_numpy(float)
    queues = [
        sorted(np.flatnonzero(faults["kind"] == kind).tolist(), key=lambda row: (-size[row], row))
        for kind in dict.fromkeys(faults["kind"])
    ]
    left_mm = _PAGE_MM - _FIXED_MM - map_mm - _INPUT_MM * len(opinion.inputs)
    left_mm -= _STRIP_MM * sum(part is not None for part in (opinion.since, opinion.invariants))
    left_mm -= sum(_NOTE_MM * _lines_of(n.zh, 120) for n in opinion.notes[:_MOST_NOTES])
    left_mm -= _LINE_MM * sum(len(queue) > 1 for queue in queues)  # "and more"
    chosen: list[int] = []
    first = True
    while any(queues):
        for queue in filter(None, queues):
            row = queue.pop(0)
            left_mm -= _ROW_MM + _LINE_MM * _lines_of(faults["message_zh"].iloc[row], _LINE_WIDTH)
            if left_mm < 0.0 and not first:
                return sorted(chosen)
            chosen.append(row)
        first = False
    return sorted(chosen)


def _lines_of(text: str, wide: int) -> int:
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text[:_SENTENCE])
    return -(-width // wide)


def _groups(opinion: Opinion, shown: list[int]) -> list[Group]:
    faults = opinion.report.faults
    groups = []
    for kind in dict.fromkeys(faults["kind"]):
        rows = [row for row in shown if faults["kind"].iloc[row] == kind]
        groups.append(
            Group(
                words.kind_zh(kind),
                words.kind_en(kind),
                words.family(kind).colour,
                int((faults["kind"] == kind).sum()),
                tuple(_row(opinion, row) for row in rows),
            )
        )
    return groups


def _row(opinion: Opinion, row: int) -> Row:
    fault = opinion.report.faults.iloc[row]
    status = opinion.since.status[row] if opinion.since is not None else ""
    return Row(
        number=row + 1,
        kind_zh=words.kind_zh(fault["kind"]),
        kind_en=words.kind_en(fault["kind"]),
        severity=fault["severity"],
        severity_zh=words.SEVERITIES_ZH[fault["severity"]],
        colour=words.family(fault["kind"]).colour,
        zh=_cut(fault["message_zh"]),
        en=_cut(fault["message_en"]),
        status=status,
        status_zh=words.STATUSES_ZH.get(status, ""),
    )


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= _SENTENCE else f"{sentence[: _SENTENCE - 2]} …"


def _families(opinion: Opinion) -> list[tuple[str, str, str]]:
    """The legend: the families that are on the map."""
    present = {words.family(kind).zh for kind in opinion.report.counts}
    legend = [(f.zh, f.en, f.colour) for f in words.FAMILIES if f.zh in present]
    if opinion.since is not None and len(opinion.since.solved_faults):
        legend.append((words.STATUSES_ZH["solved"], "solved", words.SOLVED_COLOUR))
    return legend


def _map_mm(opinion: Opinion) -> float:
    if opinion.grids is None or not len(opinion.grids):
        return 0.0
    return map_picture.height(opinion.grids, opinion.outline) / 10.0 + 4.0


def _picture(opinion: Opinion, shown: list[int]) -> Markup:
    if opinion.grids is None or not len(opinion.grids):
        return Markup("")
    faults = opinion.report.faults
    listed = set(shown)
    spots: list[Spot] = [
        Spot(x, y, words.family(kind).colour, row + 1 if row in listed else None, ground)
        for row, (x, y, kind, ground) in enumerate(
            zip(faults["x"], faults["y"], faults["kind"], faults.geometry, strict=True)
        )
        if np.isfinite(x)
    ]
    spots += _solved(opinion)
    # The markup is ours: numbers, and texts that were escaped where they were made.
    return Markup(map_picture.draw(opinion.grids, opinion.outline, spots))


def _solved(opinion: Opinion) -> list[Spot]:
    if opinion.since is None:
        return []
    gone: Any = opinion.since.solved_faults.dropna(subset=["lon", "lat"])
    x, y = gone["lon"].to_numpy(float), gone["lat"].to_numpy(float)
    assert opinion.grids is not None
    if opinion.grids.crs is not None:
        from geo_service import crs

        x, y = crs.Plane.of(opinion.grids.crs).forward(x, y, datum="wgs84")
    return [Spot(*place, words.SOLVED_COLOUR) for place in zip(x.tolist(), y.tolist(), strict=True)]
