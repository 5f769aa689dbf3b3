"""Tables of points or addresses -> the same tables with the grid of every row, in their order.

No row is dropped: one that can't be answered says why in its ``reason``. A large CSV is answered
piece by piece, and where the work was cut off it goes on from the last whole piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from geo_service import _sheets, crs, encodings, layers
from geo_service.errors import InputError, MissingError
from geo_service.locate.gazetteer import Gazetteer

if TYPE_CHECKING:
    from geo_service.addresses import Address

PIECE_ROWS = 50_000
ANSWERS = ("grid_code", "grid_name", "border_distance_m", "runner_up", "runner_up_distance_m")
REASONS = {
    "inside": "在网格内",
    "outside": "不在任何网格内",
    "no_position": "没有经纬度",
    "not_a_number": "经纬度不是数字",
    "swapped": "经度和纬度写反了",
    "out_of_range": "经纬度超出范围",
    "address_missing": "没有地址",
    "address_ambiguous": "地址不止一处",
    "address_not_found": "地址表里没有",
    "address_unreadable": "地址读不出来（乱码）",
}
"""What became of a row -> Chinese."""

Progress = Callable[[float], None]


def answer_rows(
    rows: pd.DataFrame,
    gazetteer: Gazetteer,
    *,
    datum: str | None,
    find_address: Callable[[str], Address] | None = None,
) -> pd.DataFrame:
    """Answer a table.

    Parameters
    ----------
    rows : DataFrame
        ``lon`` and ``lat`` (degrees in `datum`; numbers or text) or ``address``, by any of their
        names (`geo_service.layers.FIELDS`), and whatever else.
    gazetteer : Gazetteer
        Which answers.
    datum : str or None
        Of ``lon`` and ``lat``.
    find_address : callable, optional
        Finds the place of an address (`geo_service.addresses.AddressBook.find`).

    Returns
    -------
    DataFrame
        The rows as they came, with ``grid_code`` (empty where there is none), ``grid_name``,
        ``border_distance_m``, ``runner_up``, ``runner_up_distance_m``, and ``reason`` (a key of
        `REASONS`); for addresses ``matched``, ``confidence`` and ``radius_m`` too.

    Raises
    ------
    InputError
        ``field_missing`` without any of these columns; ``datum_missing``, ``datum_unknown``.
    """
    columns = layers.match_fields(rows.columns)
    if {"lon", "lat"} <= columns.keys():
        if datum is None:
            raise InputError("datum_missing", known=", ".join((*crs.DATUMS, "EPSG:…")))
        lon, lat, reason = _positions(rows[columns["lon"]], rows[columns["lat"]], datum)
        return rows.assign(**_answers(gazetteer, lon, lat, reason, datum))
    if "address" in columns and find_address is not None:
        found = [_found(find_address, text) for text in rows[columns["address"]]]
        lon, lat = (np.array([f[k] for f in found], float) for k in ("lon", "lat"))
        reason = np.array([f["reason"] for f in found], dtype=object)
        answers = _answers(gazetteer, lon, lat, reason, "wgs84")
        told = {k: [f[k] for f in found] for k in ("matched", "confidence", "radius_m")}
        return rows.assign(**told, **answers)
    found_columns = ", ".join(map(str, rows.columns))
    raise InputError("field_missing", file="rows", field="lon, lat", found=found_columns)


def _positions(
    lons: pd.Series[Any], lats: pd.Series[Any], datum: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """Coordinates as numbers, NaN where unusable, and why."""
    lon, lat = (
        pd.to_numeric(v, errors="coerce").to_numpy(float, copy=True, na_value=np.nan)
        for v in (lons, lats)
    )
    unsaid = [v.isna() | (v.astype("string").str.strip() == "").fillna(True) for v in (lons, lats)]
    reason = np.full(lon.size, "", dtype=object)
    reason[~(np.isfinite(lon) & np.isfinite(lat))] = "not_a_number"
    reason[(unsaid[0] | unsaid[1]).to_numpy(bool)] = "no_position"
    if not crs.parse_datum(datum).startswith("EPSG:"):
        with np.errstate(invalid="ignore"):
            wrong = (reason == "") & ~((np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0))
            mendable = wrong & (np.abs(lat) <= 180.0) & (np.abs(lon) <= 90.0)
        reason[wrong] = "out_of_range"
        reason[mendable] = "swapped"
    lon[reason != ""] = lat[reason != ""] = np.nan
    return lon, lat, reason


def _answers(
    gazetteer: Gazetteer,
    lon: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64],
    reason: npt.NDArray[np.object_],
    datum: str,
) -> dict[str, npt.NDArray[Any]]:
    asked = np.flatnonzero(reason == "")
    located = gazetteer.table(lon[asked], lat[asked], datum=datum)
    answers: dict[str, npt.NDArray[Any]] = {}
    for name, values in located.items():
        nothing = np.nan if values.dtype.kind == "f" else ""
        kind = values.dtype if values.dtype.kind == "f" else object
        column = np.full(reason.size, nothing, dtype=kind)
        column[asked] = values
        answers[name] = column
    reason = reason.copy()
    reason[asked] = np.where(located["grid_code"] != "", "inside", "outside")
    return {**answers, "reason": reason}


def _found(find_address: Callable[[str], Address], text: Any) -> dict[str, Any]:
    nothing = {"lon": np.nan, "lat": np.nan, "matched": "", "confidence": 0.0, "radius_m": np.nan}
    if not isinstance(text, str) or not text.strip():
        return {**nothing, "reason": "address_missing"}
    found = find_address(text)
    if found.status != "found":
        return {**nothing, "reason": f"address_{found.status}"}
    return {
        "lon": found.lon,
        "lat": found.lat,
        "reason": "",
        "matched": found.matched,
        "confidence": round(found.confidence, 2),
        "radius_m": round(found.radius_m, 1),
    }


def read_rows(path: Path) -> pd.DataFrame:
    """Read a CSV or XLSX of points or addresses whole, every column as text.

    Raises
    ------
    MissingError, InputError
        ``file_missing``, ``file_unreadable``.
    """
    if not path.exists():
        raise MissingError("file_missing", file=str(path))
    if path.suffix.lower() != ".xlsx":
        pieces = list(_pieces(path, skip=0))
        return pd.concat(pieces) if pieces else pd.DataFrame()
    return _sheets.first_sheet(path, dtype=str, keep_default_na=False)


# large files ------------------------------------------------------------------------------------


def answer_csv(
    source: Path,
    target: Path,
    gazetteer: Gazetteer,
    *,
    datum: str | None,
    find_address: Callable[[str], Address] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, int]:
    """Answer a CSV file into another, piece by piece; work that was cut off goes on.

    What is done lies in ``TARGET.part`` until all is; a second run over the same bytes with the
    same revision and datum goes on from there.

    Parameters
    ----------
    source, target : Path
        The table (any encoding), and where the answered one goes (UTF-8 with a mark, for Excel).
    gazetteer, datum, find_address
        As for `answer_rows`.
    on_progress : callable, optional
        Gets the share done.

    Returns
    -------
    dict
        ``rows``, ``resumed_rows``, and the rows of each reason.

    Raises
    ------
    MissingError, InputError
        ``file_missing``; ``file_unreadable``, ``output_unwritable`` and those of `answer_rows`.
    """
    if not source.exists():
        raise MissingError("file_missing", file=str(source))
    stamp = _stamp(source, gazetteer, datum)
    part, state = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.state")
    done = _done(part, state, stamp)
    counts = dict(done["counts"])
    rows, resumed = int(done["rows"]), int(done["rows"])
    total = max(1, _lines(source) - 1)
    try:
        with part.open("r+b" if rows else "wb") as out:
            out.seek(int(done["bytes"]))
            out.truncate()
            for piece in _pieces(source, skip=rows):
                answered = answer_rows(piece, gazetteer, datum=datum, find_address=find_address)
                text = answered.to_csv(index=False, header=rows == 0, lineterminator="\n")
                out.write(text.encode("utf-8-sig" if rows == 0 else "utf-8"))
                out.flush()
                rows += len(piece)
                for reason, count in answered["reason"].value_counts().items():
                    counts[str(reason)] = counts.get(str(reason), 0) + int(count)
                done = {"stamp": stamp, "rows": rows, "bytes": out.tell(), "counts": counts}
                state.write_bytes(orjson.dumps(done))
                if on_progress:
                    on_progress(min(1.0, rows / total))
        part.replace(target)
        state.unlink(missing_ok=True)
    except OSError as error:
        reason = error
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=".csv .xlsx"
        ) from error
    return {"rows": rows, "resumed_rows": resumed, **counts}


def _stamp(source: Path, gazetteer: Gazetteer, datum: str | None) -> str:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{digest} {gazetteer.revision} {gazetteer.valid_from} {datum}"


def _done(part: Path, state: Path, stamp: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"rows": 0, "bytes": 0, "counts": {}}
    try:
        said = orjson.loads(state.read_bytes())
        whole = part.stat().st_size >= said["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return nothing
    return said if whole and said.get("stamp") == stamp else nothing


def _lines(source: Path) -> int:
    with source.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _pieces(source: Path, *, skip: int) -> Iterator[pd.DataFrame]:
    with source.open("rb") as file:
        head = file.read(1 << 20)
    encoding = encodings.detect_encoding(head[: head.rfind(b"\n") + 1] or head, file=source.name)
    try:
        reader = pd.read_csv(
            source, dtype=str, encoding=encoding, chunksize=PIECE_ROWS, keep_default_na=False
        )
        with reader:
            for piece in reader:
                if piece.index[0] < skip:  # whole pieces only were written
                    continue
                yield piece
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=source.name, reason=error) from error
