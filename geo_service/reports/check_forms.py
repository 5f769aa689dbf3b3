"""The report of a check in every form it may leave in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from geo_service import boundary_files
from geo_service.reports import fault_layers, page, tables, workbook

if TYPE_CHECKING:
    from geo_service.reports.opinions import Opinion

_JSON = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def write_check(opinion: Opinion, path: str | Path) -> Path:
    """Write the report of a check; the same opinion gives the same bytes.

    Parameters
    ----------
    opinion : Opinion
        The report and what stands beside it.
    path : str or Path
        Ending .xlsx or .html for people, .json for machines, .gpkg for QGIS; .geojson, .fgb,
        .parquet or .shp: the faults as a plain layer.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    form = _FORMS.get(target.suffix.lower())
    if form is None:
        return boundary_files.write(opinion.report.faults, target, layer="faults")
    return form(opinion, target)


def _write_xlsx(opinion: Opinion, target: Path) -> Path:
    return tables.put(target, workbook.check_workbook(opinion), known=tuple(_FORMS))


def _write_html(opinion: Opinion, target: Path) -> Path:
    return tables.put(target, page.check_page(opinion).encode(), known=tuple(_FORMS))


def _write_json(opinion: Opinion, target: Path) -> Path:
    content = orjson.dumps(opinion.to_dict(), option=_JSON) + b"\n"
    return tables.put(target, content, known=tuple(_FORMS))


_FORMS: Mapping[str, Callable[[Opinion, Path], Path]] = {
    ".xlsx": _write_xlsx,
    ".html": _write_html,
    ".json": _write_json,
    ".gpkg": fault_layers.write_fault_layers,
}
"""Ending -> form; a further form is one entry here."""
