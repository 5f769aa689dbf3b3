"""Zips as they arrive: one boundary file is found inside and unpacked, under limits.

A zip's names, sizes and links are claims of whoever made it. Nothing is unpacked under its own
name or to a place that it names, every byte is counted as it comes out, and a zip that climbs out
of its folder, links elsewhere or grows without measure is refused whole.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from geo_service import encodings
from geo_service.boundary_files import limits
from geo_service.errors import InputError, Phrase

PARTS = {
    ".shp": (".shp", ".shx", ".dbf", ".prj", ".cpg"),
    ".tab": (".tab", ".dat", ".map", ".id", ".ind"),
    ".mif": (".mif", ".mid"),
}
"""The files that make one boundary file, by the ending of the one that is opened."""

_DRAWN = (
    ".shp", ".gpkg", ".geojson", ".json", ".topojson", ".kml", ".kmz", ".fgb", ".parquet", ".tab",
    ".mif", ".dxf",
)  # fmt: skip
_TABLES = (".xlsx", ".csv")  # taken only where nothing is drawn: they may be the register
_POINTS_MARKS = tuple("地块坐标".encode(codec) for codec in ("gb18030", "utf-8"))
_HEAD_BYTES = 65536
_UTF8_NAME = 0x800  # general purpose bit 11
_LOCKED = 0x1
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Member:
    """A file inside a zip, and its name as it was meant."""

    info: zipfile.ZipInfo
    name: str

    @property
    def stem(self) -> str:
        """Folder and name without the ending."""
        return self.name[: -len(self.ending)] if self.ending else self.name

    @property
    def ending(self) -> str:
        """With the dot, in small letters."""
        return PurePosixPath(self.name).suffix.lower()

    def is_called(self, layer: str) -> bool:
        """Whether this is the layer of a name: with or without folder and ending."""
        path = PurePosixPath(self.name)
        return layer.casefold() in {
            text.casefold() for text in (self.name, self.stem, path.name, path.stem)
        }


@dataclass(frozen=True)
class Unpacked:
    """What came out of a zip.

    Parameters
    ----------
    path : Path
        The boundary file, under a plain name.
    name : str
        Its name in the zip.
    chosen : bool
        Whether the layer asked for was this file, not one inside it.
    others : tuple of str
        Further files of the zip that were not read.
    """

    path: Path
    name: str
    chosen: bool
    others: tuple[str, ...]


def unpack(
    path: Path, folder: Path, source: str, *, layer: str | None, inner: bool = False
) -> Unpacked:
    """Unpack the one boundary file of a zip, or the one that is named.

    Parameters
    ----------
    path, folder : Path
        The zip, and an empty folder to unpack into.
    source : str
        The zip's name for people.
    layer : str, optional
        Which boundary file, where there are several.
    inner : bool
        Whether this zip was itself inside one; it may hold none then.

    Raises
    ------
    InputError
        ``zip_without_boundaries``, ``layer_choice``, ``zip_too_large``, ``zip_unsafe``,
        ``zip_locked``, ``zip_nested``, ``part_missing``, ``file_unreadable``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, folder, source, layer, inner=inner)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=source, reason=error) from error


def is_workbook(path: Path) -> bool:
    """Whether a zip is an XLSX workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def check_sizes(path: Path, source: str) -> None:
    """Refuse a zip (a workbook, say) whose directory claims more than is taken.

    Raises
    ------
    InputError
        ``zip_too_large``, ``file_unreadable``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _members(archive, source)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=source, reason=error) from error


def part_missing(source: str, ending: str, part: str) -> InputError:
    """The refusal of a file of several parts that came without one of them."""
    return InputError("part_missing", file=source, part=part, parts=", ".join(PARTS[ending]))


def _unpack(
    archive: zipfile.ZipFile, folder: Path, source: str, layer: str | None, *, inner: bool
) -> Unpacked:
    members = _members(archive, source)
    candidates = _candidates(archive, members)
    if not candidates:
        zips = [m for m in members if m.ending == ".zip"]
        if not zips:
            names = ", ".join(sorted(m.name for m in members)) or "—"
            raise InputError("zip_without_boundaries", file=source, found=names)
        if inner or len(zips) > 1:
            told = ", ".join(sorted(m.name for m in zips))
            raise InputError("zip_nested", file=source, found=told)
        return _from_inner_zip(archive, zips[0], folder, source, layer)
    named = [m for m in candidates if layer is not None and m.is_called(layer)]
    choice = named or candidates
    if len(choice) > 1:
        names = ", ".join(sorted(m.name for m in choice))
        raise InputError("layer_choice", file=source, layers=names)
    opened = choice[0]
    parts = [m for m in members if _is_part(m, opened)]
    if opened.ending == ".shp" and not any(m.ending == ".dbf" for m in parts):
        raise part_missing(f"{source}/{opened.name}", ".shp", ".dbf")
    for part in parts:
        _extract(archive, part, folder / f"boundaries{part.ending}", source)
    others = tuple(m.name for m in candidates if m is not opened)
    return Unpacked(
        folder / f"boundaries{opened.ending}", PurePosixPath(opened.name).name, bool(named), others
    )


def _members(archive: zipfile.ZipFile, source: str) -> list[Member]:
    """The files of a zip, after a look at what its directory claims."""
    infos = archive.infolist()
    if len(infos) > limits.MOST_MEMBERS:
        reason = Phrase(
            f"{len(infos)} 个文件（上限 {limits.MOST_MEMBERS}）",
            f"{len(infos)} files (limit {limits.MOST_MEMBERS})",
        )
        raise InputError("zip_too_large", file=source, reason=reason)
    _require_size(sum(info.file_size for info in infos), source)
    members = [Member(info, _told_name(info)) for info in infos if not info.is_dir()]
    for member in members:
        _require_safe(member, source)
        _require_ratio(member.info.file_size, member.info.compress_size, source)
    return [m for m in members if not _is_litter(m.name)]


def _require_size(size: int, source: str) -> None:
    if size <= limits.MOST_UNPACKED_MB * limits.MB:
        return
    told = f"{size / limits.MB:,.0f} MB"
    limit = f"{limits.MOST_UNPACKED_MB:,} MB"
    reason = Phrase(f"{told}（上限 {limit}）", f"{told} (limit {limit})")
    raise InputError("zip_too_large", file=source, reason=reason)


def _require_ratio(size: int, packed: int, source: str) -> None:
    ratio = size / max(packed, 1)
    if size <= limits.FREE_OF_RATIO_MB * limits.MB or ratio <= limits.MOST_RATIO:
        return
    reason = Phrase(
        f"膨胀 {ratio:,.0f} 倍（上限 {limits.MOST_RATIO} 倍）",
        f"{ratio:,.0f} times its size (limit {limits.MOST_RATIO})",
    )
    raise InputError("zip_too_large", file=source, reason=reason)


def _require_safe(member: Member, source: str) -> None:
    name = member.name.replace("\\", "/")
    if name.startswith("/") or ":" in name[:3] or ".." in name.split("/"):
        reason = Phrase("指向压缩包以外的位置", "points outside the zip")
        raise InputError("zip_unsafe", file=source, member=member.name, reason=reason)
    if stat.S_ISLNK(member.info.external_attr >> 16):
        reason = Phrase("是指向别处的链接", "is a link to elsewhere")
        raise InputError("zip_unsafe", file=source, member=member.name, reason=reason)


def _is_litter(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _candidates(archive: zipfile.ZipFile, members: list[Member]) -> list[Member]:
    """The boundary files of a zip; tables and texts where nothing is drawn, but no readme."""
    drawn = [m for m in members if m.ending in _DRAWN]
    if drawn:
        return drawn
    return [
        m
        for m in members
        if m.ending in _TABLES or (m.ending == ".txt" and _lists_points(archive, m))
    ]


def _lists_points(archive: zipfile.ZipFile, member: Member) -> bool:
    if member.info.flag_bits & _LOCKED:
        return False
    with archive.open(member.info) as content:
        head = content.read(_HEAD_BYTES)
    return any(mark in head for mark in _POINTS_MARKS)


def _is_part(member: Member, opened: Member) -> bool:
    endings = PARTS.get(opened.ending, (opened.ending,))
    return member.ending in endings and member.stem.casefold() == opened.stem.casefold()


def _from_inner_zip(
    archive: zipfile.ZipFile, member: Member, folder: Path, source: str, layer: str | None
) -> Unpacked:
    inner = folder / "inner.zip"
    _extract(archive, member, inner, source)
    found = unpack(inner, folder, f"{source}/{member.name}", layer=layer, inner=True)
    inner.unlink()
    return Unpacked(found.path, f"{member.name}/{found.name}", found.chosen, found.others)


def _extract(archive: zipfile.ZipFile, member: Member, target: Path, source: str) -> None:
    """Unpack one file, counting what comes out."""
    if member.info.flag_bits & _LOCKED:
        raise InputError("zip_locked", file=source, member=member.name)
    size = 0
    try:
        with archive.open(member.info) as content, target.open("wb") as out:
            while chunk := content.read(_CHUNK):
                size += len(chunk)
                _require_size(size, source)
                _require_ratio(size, member.info.compress_size, source)
                out.write(chunk)
    except (NotImplementedError, RuntimeError) as error:  # Deflate64 and the like
        raise InputError("zip_locked", file=source, member=member.name) from error


def _told_name(info: zipfile.ZipInfo) -> str:
    """The name of a member as it was meant: without bit 11 it is in its writer's own encoding."""
    if info.flag_bits & _UTF8_NAME or info.filename.isascii():
        return info.filename
    try:
        raw = info.orig_filename.encode("cp437")
        return raw.decode(encodings.detect_encoding(raw), "replace")
    except (UnicodeEncodeError, InputError):
        return info.filename
