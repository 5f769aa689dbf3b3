"""Any boundary file a planner has -> a layer, with notes on what was found and assumed.

Nothing is guessed silently: the encoding taken, the coordinate system used, a datum undone and a
code column turned to text each leave a note. Nothing is repaired here.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from geo_service import codes, crs, encodings, layers
from geo_service.errors import InputError, MissingError

Shapes = Literal["polygon", "point", "line", "any"]

ZIPPED = (".shp", ".gpkg", ".geojson", ".json", ".kml", ".fgb", ".parquet", ".tab", ".mif", ".gml")
"""Endings of the boundary files looked for inside a zip, the first found kind wins."""

_SHAPES: Mapping[str, frozenset[int]] = {
    "polygon": frozenset({3, 6}),
    "point": frozenset({0, 4}),
    "line": frozenset({1, 2, 5}),
}
_SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_MOST_EXACT_INTEGER = 2**53
_DBF_NAME_BYTES = 10


@dataclass(frozen=True, slots=True)
class Note:
    """Something found or assumed while reading, in the reader's two languages."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True)
class BoundaryFile:
    """A boundary file as read.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        The features under the file's own column names, codes as text, in the file's coordinates.
    fields : Mapping
        Our field name -> the file's column (`layers.match_fields`).
    notes : tuple of Note
        What was found and assumed.
    source : str
        The file's name, with the member's name where it came out of a zip.
    sha256 : str
        Of the file as it was given.
    """

    frame: gpd.GeoDataFrame
    fields: Mapping[str, str]
    notes: tuple[Note, ...]
    source: str
    sha256: str

    def layer_frame(self) -> gpd.GeoDataFrame:
        """The features under our field names (``code``, ``name`` ...); other columns stay as named.

        Raises
        ------
        InputError
            ``field_missing`` where no column is the code.
        """
        if "code" not in self.fields:
            found = ", ".join(c for c in self.frame.columns if c != self.frame.geometry.name)
            raise InputError(
                "field_missing", file=self.source, field="网格编码 / code", found=found
            )
        ours = {theirs: name for name, theirs in self.fields.items()}
        frame = self.frame.rename(columns=ours)
        return frame.rename_geometry("geometry") if frame.geometry.name != "geometry" else frame


def read(
    path: str | Path,
    *,
    layer: str | None = None,
    crs: str | int | None = None,
    datum: str | None = None,
    encoding: str | None = None,
    fields: Mapping[str, str] | None = None,
    shapes: Shapes = "polygon",
) -> BoundaryFile:
    """Read a boundary file.

    Parameters
    ----------
    path : str or Path
        Anything pyogrio reads, a zipped shapefile, or GeoParquet.
    layer : str, optional
        Which layer, where the file holds several.
    crs : str or int, optional
        The coordinate system, where the file has none or a wrong one.
    datum : str, optional
        ``gcj02`` or ``bd09``: the shift the coordinates carry, which is undone. Needs longitudes
        and latitudes.
    encoding : str, optional
        The text encoding of a shapefile, where it can't be told.
    fields : Mapping, optional
        Our field name -> the file's column, where the names are unusual.
    shapes : {"polygon", "point", "line", "any"}
        What the features must be.

    Returns
    -------
    BoundaryFile

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``zip_without_boundaries``, ``layer_choice``, ``layer_empty``,
        ``crs_missing``, ``crs_unknown``, ``datum_unknown``, ``datum_not_projected``,
        ``lonlat_swapped``, ``geometry_missing``, ``coordinate_not_finite``, ``not_polygons``,
        ``encoding_unreadable``, ``field_missing``, ``code_is_a_float``.
    """
    given = Path(path)
    if not given.exists():
        raise MissingError("file_missing", file=str(path))
    notes: list[Note] = []
    with _unpacked(given) as (inner, source):
        frame = _features(inner, source, layer=layer, encoding=encoding, notes=notes)
    _require_features(frame, source)
    _require_shapes(frame, source, shapes)
    frame = _with_crs(frame, source, crs, notes)
    frame = _without_shift(frame, datum, notes)
    matched = _matched(frame, source, fields)
    frame = _codes_as_text(frame, matched, source, notes)
    return BoundaryFile(frame, matched, tuple(notes), source, _sha256(given))


def read_area(path: str | Path, *, like: gpd.GeoDataFrame | None = None) -> gpd.GeoDataFrame:
    """Read the area that a layer is to fill: an outline of one feature or many.

    Parameters
    ----------
    path : str or Path
        A polygon file.
    like : geopandas.GeoDataFrame, optional
        The layer it will be compared with; both must be in one coordinate system. An area without
        one takes this layer's.

    Raises
    ------
    InputError
        As `read`, and ``crs_differs``.
    """
    try:
        area = read(path)
    except InputError as error:
        if error.code != "crs_missing" or like is None or like.crs is None:
            raise
        area = read(path, crs=like.crs.to_wkt())
    if like is not None and like.crs is not None and not crs.same(area.frame.crs, like.crs):
        raise InputError(
            "crs_differs",
            file=area.source,
            crs=crs.name(area.frame.crs),
            other="the layer 图层",
            other_crs=crs.name(like.crs),
        )
    return area.layer_frame() if "code" in area.fields else area.frame


# --- opening -------------------------------------------------------------------------------------


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Path, str]]:
    """Give the file itself, or the boundary file inside a zip, unpacked for the time of reading."""
    if path.suffix.lower() != ".zip":
        yield path, path.name
        return
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                member = _member(archive, path.name)
                inner = _extract(archive, member, Path(folder))
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise InputError("file_unreadable", file=path.name, reason=error) from error
        yield inner, f"{path.name}/{PurePosixPath(_told_name(member)).name}"


def _member(archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
    for ending in ZIPPED:
        found = [m for m in members if m.filename.lower().endswith(ending)]
        if len(found) > 1:
            names = ", ".join(sorted(_told_name(m) for m in found))
            raise InputError("layer_choice", file=file, layers=names)
        if found:
            return found[0]
    names = ", ".join(sorted(_told_name(m) for m in members)) or "—"
    raise InputError("zip_without_boundaries", file=file, found=names)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    """Unpack a member and, for a shapefile, its companions under one plain name."""
    stem, _, ending = member.filename.rpartition(".")
    wanted = _SHAPEFILE_PARTS if ending.lower() == "shp" else (f".{ending.lower()}",)
    for info in archive.infolist():
        other_stem, _, other = info.filename.rpartition(".")
        if other_stem == stem and f".{other.lower()}" in wanted:
            target = folder / f"boundaries.{other.lower()}"
            with archive.open(info) as content:
                target.write_bytes(content.read())
    return folder / f"boundaries.{ending.lower()}"


def _told_name(member: zipfile.ZipInfo) -> str:
    """The name of a zip member; Windows writes GBK where the UTF-8 flag is off."""
    if member.flag_bits & 0x800:
        return member.filename
    raw = member.filename.encode("cp437", errors="replace")
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError:
        return member.filename


def _features(
    path: Path, source: str, *, layer: str | None, encoding: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    kind = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            # GDAL's chatter about rings and truncation comes back as faults with a position.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            if kind == ".parquet":
                return gpd.read_parquet(path)
            if kind in _SHAPEFILE_PARTS:  # people pick any of the five
                return _shapefile(path.with_suffix(".shp"), source, encoding, notes)
            chosen = layer or _only_layer(path, source)
            return pyogrio.read_dataframe(path, layer=chosen)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # GDAL, Arrow and SQLite each raise their own
        reason = str(error).replace(str(path), path.name).splitlines()[0][:200]
        raise InputError("file_unreadable", file=source, reason=reason) from error


def _only_layer(path: Path, source: str) -> str:
    found = pyogrio.list_layers(path)
    drawn = [str(name) for name, shape in found if shape is not None]
    names = drawn or [str(name) for name, _ in found]
    if len(names) == 1:
        return names[0]
    if not names:
        raise InputError("layer_empty", file=source)
    raise InputError("layer_choice", file=source, layers=", ".join(names))


def _shapefile(
    path: Path, source: str, encoding: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    """Read a shapefile as bytes and decode its text ourselves.

    GDAL takes a GBK file without .cpg for Latin-1 and can't open one whose UTF-8 column name was
    cut at ten bytes inside a character.
    """
    dbf = path.with_suffix(".dbf")
    if not path.with_suffix(".shx").exists():
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
    frame = pyogrio.read_dataframe(path, encoding="latin1")
    if not dbf.exists():
        return frame
    texts = [c for c in frame.columns if c != "geometry" and not _is_number(frame[c])]
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


# --- requirements --------------------------------------------------------------------------------


def _require_features(frame: Any, source: str) -> None:
    if not isinstance(frame, gpd.GeoDataFrame):
        if len(frame) == 0:
            raise InputError("layer_empty", file=source)
        raise InputError("geometry_missing", file=source, row=1)
    if len(frame) == 0:
        raise InputError("layer_empty", file=source)


def _require_shapes(frame: gpd.GeoDataFrame, source: str, shapes: Shapes) -> None:
    geometries = frame.geometry.to_numpy()
    absent = shapely.is_missing(geometries) | shapely.is_empty(geometries)
    if absent.any():
        raise InputError("geometry_missing", file=source, row=_first(absent))
    if shapes != "any":
        allowed = _SHAPES[shapes]
        wrong = ~np.isin(shapely.get_type_id(geometries), list(allowed))
        if wrong.any():
            found = geometries[_first(wrong) - 1].geom_type
            raise InputError("not_polygons", file=source, row=_first(wrong), found=found)
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    broken = ~np.isfinite(coordinates).all(axis=1)
    if broken.any():
        row = int(owner[np.flatnonzero(broken)[0]]) + 1
        raise InputError("coordinate_not_finite", file=source, row=row)


def _first(flags: Any) -> int:
    """Row number, counted from one as people do."""
    return int(np.flatnonzero(flags)[0]) + 1


def _with_crs(
    frame: gpd.GeoDataFrame, source: str, given: str | int | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    bounds = tuple(float(v) for v in frame.total_bounds)
    box = (bounds[0], bounds[1], bounds[2], bounds[3])
    if given is not None:
        chosen = crs.parse_crs(given)
        if frame.crs is not None and not crs.same(frame.crs, chosen):
            notes.append(
                Note(
                    "crs_overridden",
                    f"文件自带坐标系 {crs.name(frame.crs)}，按您的说明改用 {crs.name(chosen)}。",
                    f"The file says {crs.name(frame.crs)}; {crs.name(chosen)} is used as told.",
                )
            )
        _require_digits(box, chosen, source)
        frame = frame.set_crs(chosen, allow_override=True)
    if frame.crs is None:
        if crs.swapped(box):
            raise InputError("lonlat_swapped", x=box[0], y=box[1])
        proposal = ", ".join(crs.propose(box)) or "?"
        raise InputError("crs_missing", file=source, proposal=proposal)
    if crs.is_lonlat(frame.crs):
        if crs.swapped(box):
            raise InputError("lonlat_swapped", x=box[0], y=box[1])
        crs.check_lonlat([box[0], box[2]], [box[1], box[3]])
    name = crs.name(frame.crs)
    notes.append(Note("crs", f"坐标系：{name}。", f"Coordinate system: {name}."))
    return frame


def _require_digits(box: tuple[float, float, float, float], chosen: Any, source: str) -> None:
    """Refuse metres called degrees and degrees called metres."""
    in_degrees = -180 <= box[0] <= box[2] <= 180 and -90 <= box[1] <= box[3] <= 90
    if in_degrees != crs.is_lonlat(chosen):
        proposal = ", ".join(crs.propose(box)) or "?"
        name = crs.name(chosen)
        raise InputError("crs_digits_disagree", file=source, crs=name, proposal=proposal)


def _without_shift(
    frame: gpd.GeoDataFrame, datum: str | None, notes: list[Note]
) -> gpd.GeoDataFrame:
    if datum is None:
        return frame
    kind = crs.parse_datum(datum)
    if kind.startswith("EPSG:"):
        raise InputError("datum_unknown", datum=datum, known=", ".join(crs.DATUMS))
    if not crs.is_lonlat(frame.crs):
        if kind in {"wgs84", "cgcs2000"}:
            return frame
        raise InputError("datum_not_projected", datum=kind, crs=crs.name(frame.crs))
    if kind in {"wgs84", "cgcs2000"}:
        return frame

    def undo(xy: Any) -> Any:
        return np.column_stack(crs.to_wgs84(xy[:, 0], xy[:, 1], datum=kind))

    # Equal vertices stay equal, so shared borders stay shared.
    moved = frame.set_geometry(shapely.transform(frame.geometry.to_numpy(), undo), crs=frame.crs)
    notes.append(
        Note("datum", f"已按 {kind} 还原到 WGS84。", f"The {kind} shift was undone (to WGS84).")
    )
    return moved


# --- fields and codes ----------------------------------------------------------------------------


def _matched(
    frame: gpd.GeoDataFrame, source: str, given: Mapping[str, str] | None
) -> dict[str, str]:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    for theirs in (given or {}).values():
        if theirs not in columns:
            raise InputError("field_missing", file=source, field=theirs, found=", ".join(columns))
    taken = set((given or {}).values())
    return {**layers.match_fields(c for c in columns if c not in taken), **(given or {})}


def _codes_as_text(
    frame: gpd.GeoDataFrame, fields: Mapping[str, str], source: str, notes: list[Note]
) -> gpd.GeoDataFrame:
    for ours in ("code", "parent_code", "phone"):
        column = fields.get(ours)
        if column is None or not _is_number(frame[column]):
            continue
        frame = frame.assign(**{column: _text_codes(frame[column], source)})
        notes.append(
            Note(
                "code_was_number",
                f"“{column}”列存的是数字，已按文本处理；开头的 0 可能已经丢失。",
                f"Column “{column}” holds numbers; taken as text. Leading zeros may be lost.",
            )
        )
    return frame


def _text_codes(column: pd.Series[Any], source: str) -> list[str]:
    values = column.to_numpy()
    if values.dtype.kind == "f":
        lost = np.abs(values) > _MOST_EXACT_INTEGER
        lost |= np.isfinite(values) & (values != np.floor(values))
        if lost.any():
            row = _first(lost)
            raise InputError("code_is_a_float", file=source, row=row, value=values[row - 1])
        return ["" if not np.isfinite(v) else str(int(v)) for v in values]
    return codes.texts(column)


def _is_number(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _sha256(path: Path) -> str:
    if path.is_dir():
        return ""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# --- writing -------------------------------------------------------------------------------------


def write(frame: gpd.GeoDataFrame, path: str | Path, *, layer: str | None = None) -> Path:
    """Write a layer in the format its ending names.

    GeoJSON goes out in WGS84 as RFC 7946 demands, every other format in the frame's own system. A
    shapefile is written in GB18030 with names cut to ten bytes at a character's end, and a name map
    beside it. The file appears whole or not at all.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        What to write; lists become texts.
    path : str or Path
        Ending .gpkg, .geojson, .json, .fgb, .parquet, .shp or .zip (a zipped shapefile).
    layer : str, optional
        Name of the layer inside a GeoPackage; the file's stem unless given.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        reason = f"unknown ending {target.suffix or '—'}"
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=" ".join(WRITERS)
        )
    if not target.parent.is_dir():
        raise InputError(
            "output_unwritable",
            file=str(target),
            reason="no such folder 文件夹不存在",
            known=" ".join(WRITERS),
        )
    flat = _flat(frame)
    with tempfile.TemporaryDirectory(prefix=".geo-service-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        try:
            writer(flat, made, layer or target.stem)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                "output_unwritable", file=target.name, reason=error, known=" ".join(WRITERS)
            ) from error
        for part in sorted(Path(folder).iterdir()):
            part.replace(target.parent / part.name)
    return target


def to_wgs84(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give a layer in WGS84 longitude and latitude; equal vertices stay equal."""
    if frame.crs is None or crs.same(frame.crs, crs.WGS84_EPSG):
        return frame
    plane = crs.Plane.of(frame.crs)

    def unproject(xy: Any) -> Any:
        return np.column_stack(plane.inverse(xy[:, 0], xy[:, 1]))

    geometries = shapely.transform(frame.geometry.to_numpy(), unproject)
    return frame.set_geometry(gpd.GeoSeries(geometries, frame.index, crs=crs.WGS84_EPSG))


def _flat(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    lists = [
        column
        for column in frame.columns
        if column != frame.geometry.name
        and frame[column].dtype == object
        and frame[column].map(lambda v: isinstance(v, list | tuple)).any()
    ]
    return frame.assign(**{column: frame[column].map(_joined) for column in lists})


def _joined(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _write_gpkg(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(frame, path, layer=layer, driver="GPKG")


def _write_geojson(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(to_wgs84(frame), path, driver="GeoJSON", RFC7946="NO")


def _write_fgb(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    pyogrio.write_dataframe(frame, path, driver="FlatGeobuf")


def _write_parquet(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    frame.to_parquet(path)


def _write_shapefile(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    names = _short_names(c for c in frame.columns if c != frame.geometry.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GDAL repeats the name map as chatter
        pyogrio.write_dataframe(frame.rename(columns=names), path, encoding="GB18030")
    full = pd.DataFrame({"field": list(names.values()), "name": list(names.keys())})
    full.to_csv(path.with_name(f"{path.stem}_fields.csv"), index=False, encoding="utf-8-sig")


def _write_zip(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        _write_shapefile(frame, Path(folder) / f"{path.stem}.shp", layer)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)


def _short_names(columns: Iterable[str]) -> dict[str, str]:
    """Names of at most ten GB18030 bytes, cut between characters and kept apart by a number."""
    short: dict[str, str] = {}
    for column in columns:
        name = _cut(str(column), _DBF_NAME_BYTES)
        number = 1
        while name in short.values():
            name = f"{_cut(str(column), _DBF_NAME_BYTES - len(str(number)))}{number}"
            number += 1
        short[str(column)] = name
    return short


def _cut(text: str, size: int) -> str:
    return text.encode("gb18030")[:size].decode("gb18030", "ignore")


WRITERS: Mapping[str, Callable[[gpd.GeoDataFrame, Path, str], None]] = {
    ".gpkg": _write_gpkg,
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".fgb": _write_fgb,
    ".parquet": _write_parquet,
    ".shp": _write_shapefile,
    ".zip": _write_zip,
}
"""Ending -> writer; a further format is one entry here."""
