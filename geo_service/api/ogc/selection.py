"""Which features a request asks for: box, fields and CQL2 filter, over one revision of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import crs
from geo_service.api.ogc import cql2, systems
from geo_service.api.ogc.systems import System
from geo_service.api.state import GEOMETRY, View
from geo_service.errors import InputError, Phrase

Rows = npt.NDArray[np.intp]
_BOX_WANTED = Phrase(
    "应为四个数：x 最小、y 最小、x 最大、y 最大，轴序按 bbox-crs，小的在前",
    "min x, min y, max x, max y in the axis order of bbox-crs, each min below its max",
)


@dataclass(frozen=True)
class Question:
    """What is asked of a collection, as it was written.

    Parameters
    ----------
    bbox : str or None
        Four numbers, or six with heights.
    bbox_crs, filter_crs : str or None
        The systems they are written in; CRS84 where not said.
    fields : Mapping of str to str
        Field -> the value it must have.
    filter : str or None
        CQL2.
    filter_lang : str
        ``cql2-text`` or ``cql2-json``.
    """

    bbox: str | None = None
    bbox_crs: str | None = None
    fields: Mapping[str, str] | None = None
    filter: str | None = None
    filter_crs: str | None = None
    filter_lang: cql2.Language = "cql2-text"


def fields(view: View) -> list[str]:
    """Give the names of a layer's attributes."""
    return [name for name in view.frame.columns if name != GEOMETRY]


def plane_epsg(view: View) -> int | None:
    """Give the EPSG number of the store's plane."""
    return crs.epsg(view.frame.crs)


def rows(view: View, question: Question) -> Rows:
    """Give the rows that meet everything asked, rising.

    Raises
    ------
    InputError
        ``parameter_invalid``, ``parameter_unknown``, ``filter_invalid``.
    """
    found: Rows = np.arange(len(view.frame))
    if question.bbox is not None:
        found = _in_box(view, question.bbox, _system(view, question.bbox_crs, "bbox-crs"))
    for name, wanted in (question.fields or {}).items():
        found = found[_equal(view.frame[name].iloc[found], wanted)]
    if question.filter is not None:
        system = _system(view, question.filter_crs, "filter-crs")
        table = cql2.Table(
            view.frame[fields(view)].iloc[found],
            view.in_system(system.epsg)[0][found],
            system.written,
        )
        found = found[cql2.rows(question.filter, table, language=question.filter_lang)]
    return found


def known_fields(given: Mapping[str, str], view: View) -> dict[str, str]:
    """Refuse fields a layer does not have.

    Raises
    ------
    InputError
        ``parameter_unknown``.
    """
    known = fields(view)
    for name in given:
        if name not in known:
            raise InputError("parameter_unknown", name=name, known=", ".join(known))
    return dict(given)


def _system(view: View, named: str | None, parameter: str) -> System:
    if named is None:
        return systems.LONLAT
    return systems.find(named, plane_epsg(view), name=parameter)


def _in_box(view: View, text: str, system: System) -> Rows:
    first0, second0, first1, second1 = _numbers(text)
    x0, y0, x1, y1 = (
        (second0, first0, second1, first1) if system.north_first
        else (first0, second0, first1, second1)
    )  # fmt: skip
    if y0 > y1 or x0 > x1:
        raise _wrong_box(text)
    tree = view.in_system(system.epsg)[1]
    return np.sort(tree.query(shapely.box(x0, y0, x1, y1), predicate="intersects"))


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise _wrong_box(text) from None
    if len(numbers) == 6:  # with heights, which flat features do not have
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise _wrong_box(text)
    return numbers


def _wrong_box(text: str) -> InputError:
    return InputError("parameter_invalid", name="bbox", value=text, reason=_BOX_WANTED)


def _equal(column: pd.Series, wanted: str) -> npt.NDArray[np.bool_]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return (column == (wanted.lower() in {"true", "1"})).fillna(False).to_numpy(bool)
    if pd.api.types.is_numeric_dtype(column.dtype):
        number = pd.to_numeric(wanted, errors="coerce")
        return (column == number).fillna(False).to_numpy(bool)
    return (column.astype(object) == wanted).to_numpy(bool)
