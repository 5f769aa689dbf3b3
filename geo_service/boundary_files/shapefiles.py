"""Shapefiles, whose text we decode ourselves.

GDAL takes a GBK file without .cpg for Latin-1, and can't open one whose UTF-8 column name was cut
at ten bytes inside a character. Read as bytes, both are texts like any other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pyogrio

from geo_service import encodings
from geo_service.boundary_files import decoding, gdal_layers
from geo_service.boundary_files.archives import PARTS, part_missing
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_LENGTH_AT = 24  # in the header of a .shp, in words of two bytes
_LANGUAGE_BYTE = 29  # in the header of a DBF
_LANGUAGES = {  # dBase's and FoxPro's language driver ids
    0x03: "cp1252",
    0x4D: "gb18030",
    0x4F: "big5",
    0x78: "big5",
    0x7A: "gb18030",
}
_CODE_PAGES = {
    "936": "gb18030",
    "54936": "gb18030",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "euccn": "gb18030",
    "950": "big5",
    "65001": "utf-8",
    "utf8": "utf-8",
    "1252": "cp1252",
    "88591": "latin1",
    "iso88591": "latin1",
}
_AS_TOLD = Phrase("按您的说明", "as told")


def read(path: Path, source: str, encoding: str | None, notes: list[Note]) -> gpd.GeoDataFrame:
    """Read a shapefile as bytes and decode its names and texts.

    Parameters
    ----------
    path : Path
        Any of its parts; the others are looked for beside it, in small or capital letters.
    source : str
        Its name for people.
    encoding : str, optional
        As told by its sender; else from .cpg, language byte or content, whichever fits the text.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        ``part_missing``, ``encoding_unreadable``, ``columns_too_many``,
        ``features_too_many``.
    """
    parts = _parts(path)
    for ending in (".shp", ".dbf"):
        if ending not in parts:
            raise part_missing(source, ".shp", ending)
    frame = _read_bytes(parts, source, notes)
    _require_whole(parts[".shp"], frame, source)
    found = _encoding_of(parts, decoding.sample(frame), encoding, source, notes)
    return decoding.decoded(frame, found, notes)


def _require_whole(shp: Path, frame: gpd.GeoDataFrame, source: str) -> None:
    """Refuse a .shp that is shorter than it says, where that cost a shape.

    Some old writers leave a wrong length in the header; what they lose nothing by is no fault.
    """
    if not isinstance(frame, gpd.GeoDataFrame) or not frame.geometry.isna().any():
        return
    with shp.open("rb") as content:
        said = int.from_bytes(content.read(_LENGTH_AT + 4)[_LENGTH_AT:], "big") * 2
    size = shp.stat().st_size
    if size < said:
        reason = Phrase(
            f".shp 应有 {said:,} 字节，只有 {size:,} 字节",
            f"its .shp should have {said:,} bytes and has {size:,}",
        )
        raise InputError("file_unreadable", file=source, reason=reason)


def _parts(path: Path) -> Mapping[str, Path]:
    """The files that make this shapefile, by ending in small letters."""
    stem = path.stem.casefold()
    return {
        other.suffix.lower(): other
        for other in sorted(path.parent.iterdir())
        if other.stem.casefold() == stem and other.suffix.lower() in PARTS[".shp"]
    }


def _read_bytes(parts: Mapping[str, Path], source: str, notes: list[Note]) -> gpd.GeoDataFrame:
    if ".shx" in parts and len({part.stem for part in parts.values()}) == 1:
        try:
            return _opened(parts[".shp"], source)
        except pyogrio.errors.DataSourceError:  # of no index or a broken one
            return _opened_without_index(parts, source, notes)
    return _opened_without_index(parts, source, notes)


def _opened(path: Path, source: str) -> gpd.GeoDataFrame:
    return gdal_layers.read(path, source, layer=None, encoding="latin1")


def _opened_without_index(
    parts: Mapping[str, Path], source: str, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Read with an index made anew, which is never written beside the sender's files."""
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        for ending in {".shp", ".dbf", ".prj"} & parts.keys():
            shutil.copyfile(parts[ending], Path(folder) / f"boundaries{ending}")
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": True})
        try:
            frame = _opened(Path(folder) / "boundaries.shp", source)
        finally:
            pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": None})
    notes.append(
        Note(
            "shx_rebuilt",
            "缺少可用的 .shx 索引，已按 .shp 重建。",
            "There is no usable .shx index; it was rebuilt from the .shp.",
        )
    )
    return frame


def _encoding_of(
    parts: Mapping[str, Path], sample: bytes, given: str | None, source: str, notes: list[Note]
) -> encodings.Encoding:
    if given:
        return _as_given(sample, given, source, notes)
    for said, named in _claims(parts):
        fitting = next((n for n in encodings.family(named) if encodings.fits(sample, n)), None)
        if fitting:
            return encodings.Encoding(fitting, Phrase(said, said))
        notes.append(
            Note(
                "encoding_claim_wrong",
                f"文件标明的编码（{said}）与内容不符，未采用。",
                f"The encoding that the file claims ({said}) does not fit its text; not taken.",
            )
        )
    return encodings.detect(sample, file=source)


def _as_given(sample: bytes, given: str, source: str, notes: list[Note]) -> encodings.Encoding:
    named = _codec(given)
    if named is None or not encodings.decodes(sample, named):
        raise InputError("encoding_unreadable", file=source, tried=given)
    if not encodings.fits(sample, named):
        other = encodings.detect(sample, file=source).name
        notes.append(
            Note(
                "encoding_doubtful",
                f"按您的说明用 {given} 读取，但内容更像 {other}。请核对。",
                f"Read as {given} as told, but the text looks more like {other}. Check it.",
            )
        )
    return encodings.Encoding(named, _AS_TOLD)


def _claims(parts: Mapping[str, Path]) -> list[tuple[str, str]]:
    """What the file says of its encoding, in .cpg and language byte, and the codec of each."""
    claims = []
    if ".cpg" in parts:
        with parts[".cpg"].open("rb") as content:
            said = content.read(64).decode("latin1").strip()
        if named := _codec(said):
            claims.append((f".cpg: {said}", named))
    with parts[".dbf"].open("rb") as content:
        head = content.read(_LANGUAGE_BYTE + 1)
    language = head[_LANGUAGE_BYTE] if len(head) > _LANGUAGE_BYTE else 0
    if language in _LANGUAGES:
        claims.append((f".dbf: 0x{language:02X}", _LANGUAGES[language]))
    return claims


def _codec(said: str) -> str | None:
    plain = said.lower().replace("ansi", "").replace("oem", "").strip(" \0")
    key = "".join(c for c in plain.removeprefix("cp") if c.isalnum())
    candidate = _CODE_PAGES.get(key, plain)
    try:
        "".encode(candidate)
    except (LookupError, ValueError):
        return None
    return candidate
