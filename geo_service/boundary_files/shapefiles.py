"""Shapefiles, whose text we decode ourselves.

GDAL takes a GBK file without .cpg for Latin-1, and can't open one whose UTF-8 column name was cut
at ten bytes inside a character.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio

from geo_service import encodings
from geo_service.errors import InputError
from geo_service.notes import Note

PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
"""The files that make one shapefile."""


def read(path: Path, source: str, encoding: str | None, notes: list[Note]) -> gpd.GeoDataFrame:
    """Read a shapefile as bytes and decode its names and texts."""
    dbf = path.with_suffix(".dbf")
    if not path.with_suffix(".shx").exists():
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
    frame = pyogrio.read_dataframe(path, encoding="latin1")
    if not dbf.exists():
        return frame
    texts = [
        c for c in frame.columns if c != "geometry" and not pd.api.types.is_numeric_dtype(frame[c])
    ]
    taken, why = _encoding_of(path, frame, texts, encoding, source)
    cut: list[str] = []
    names: dict[str, str] = {}
    for column in frame.columns:
        names[column] = _decoded(str(column), taken, cut)
    for column in texts:
        frame[column] = _decoded_column(frame[column], taken)
    notes.append(
        Note("encoding", f"文字编码按 {taken} 读取（{why}）。", f"Text read as {taken} ({why}).")
    )
    if cut:
        told = "、".join(cut)
        notes.append(
            Note(
                "field_names_cut",
                f"字段名在 10 字节处被截断：{told}。",
                f"Field names were cut at 10 bytes: {', '.join(cut)}.",
            )
        )
    return frame.rename(columns=names)


def _encoding_of(
    path: Path, frame: gpd.GeoDataFrame, texts: list[str], given: str | None, source: str
) -> tuple[str, str]:
    if given:
        try:
            "".encode(given)
        except LookupError as error:
            raise InputError("encoding_unreadable", file=source, tried=given) from error
        return given, "as told"
    values = (v for c in texts for v in frame[c].dropna().unique()[:500])
    sample = "\n".join([*map(str, frame.columns), *map(str, values)]).encode("latin1", "replace")
    cpg = path.with_suffix(".cpg")
    if cpg.exists():
        said = cpg.read_text("latin1").strip()
        named = _codec(said)
        if named and _decodes(sample, named):
            return named, f".cpg: {said}"
    detected = encodings.detect(sample, file=source)
    return detected.name, detected.why


def _codec(said: str) -> str | None:
    plain = said.lower().replace("ansi", "").strip()
    named = {
        "936": "gb18030",
        "gbk": "gb18030",
        "gb2312": "gb18030",
        "950": "big5",
        "65001": "utf-8",
    }
    candidate = named.get(plain.removeprefix("cp").strip(), plain)
    try:
        "".encode(candidate)
    except LookupError:
        return None
    return candidate


def _decodes(sample: bytes, codec: str) -> bool:
    # A value or name cut inside a character is still of that encoding.
    text = sample.decode(codec, "replace")
    return text.count("\ufffd") <= max(2, len(text) // 200)


def _decoded(text: str, codec: str, cut: list[str]) -> str:
    raw = text.encode("latin1", "replace")
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        whole = raw.decode(codec, "ignore")
        cut.append(whole)
        return whole


def _decoded_column(column: pd.Series[Any], codec: str) -> pd.Series[Any]:
    def decode(value: object) -> object:
        if not isinstance(value, str) or value.isascii():
            return value
        return value.encode("latin1", "replace").decode(codec, "replace").rstrip("\ufffd")

    return column.map(decode)
