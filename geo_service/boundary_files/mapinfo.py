"""MapInfo TAB and MIF: texts in the code page they name, zones under their EPSG number."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pyogrio

from geo_service import crs, encodings
from geo_service.boundary_files import decoding, gdal_layers
from geo_service.boundary_files.archives import part_missing
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_NEEDED = {".tab": (".dat", ".map", ".id"), ".mif": (".mid",)}
_ZONE_WIDTH = 3.0
_FALSE_EASTING_M = 500_000.0


def read(path: Path, source: str, *, encoding: str | None, notes: list[Note]) -> gpd.GeoDataFrame:
    """Read a TAB or MIF with its companions.

    Parameters
    ----------
    path : Path
        The .tab or .mif.
    source : str
        Its name for people.
    encoding : str, optional
        As told by its sender; else its own charset, or told by its content.
    notes : list of Note
        Gets what was found.

    Raises
    ------
    InputError
        ``part_missing``, ``encoding_unreadable``.
    """
    beside = {other.name.casefold() for other in path.parent.iterdir()}
    for ending in _NEEDED[path.suffix.lower()]:
        if f"{path.stem}{ending}".casefold() not in beside:
            raise part_missing(source, path.suffix.lower(), ending)
    if encoding is not None:
        frame = gdal_layers.read(path, source, layer=None, encoding="latin1")
        if not encodings.decodes(decoding.sample(frame), encoding):
            raise InputError("encoding_unreadable", file=source, tried=encoding)
        found = encodings.Encoding(encoding, Phrase("按您的说明", "as told"))
        frame = decoding.decoded(frame, found, notes)
    else:
        frame = _by_charset(path, source, notes)
    return _with_zone(frame, notes)


def _by_charset(path: Path, source: str, notes: list[Note]) -> gpd.GeoDataFrame:
    try:
        frame = gdal_layers.read(path, source, layer=None)
    except UnicodeDecodeError:  # a "Neutral" charset: texts come as the bytes they are
        frame = gdal_layers.read(path, source, layer=None, encoding="latin1")
        found = encodings.detect(decoding.sample(frame), file=source)
        return decoding.decoded(frame, found, notes)
    charset = pyogrio.read_info(path)["encoding"]
    why = Phrase("文件标明的字符集", "the charset that the file names")
    notes.append(decoding.encoding_note(encodings.Encoding(str(charset), why)))
    return frame


def _with_zone(frame: gpd.GeoDataFrame, notes: list[Note]) -> gpd.GeoDataFrame:
    """Name a Gauss-Krueger zone: MapInfo knows no CGCS2000 and says WGS84, the same here."""
    operation = frame.crs.coordinate_operation if frame.crs is not None else None
    if operation is None or crs.epsg(frame.crs) or operation.method_name != "Transverse Mercator":
        return frame
    values = {p.name: float(p.value) for p in operation.params}
    middle, east = values["Longitude of natural origin"], values["False easting"]
    zone = round(middle / _ZONE_WIDTH)
    prefixed = east == zone * 1_000_000.0 + _FALSE_EASTING_M
    is_zone = middle == zone * _ZONE_WIDTH and values["Scale factor at natural origin"] == 1.0
    if not is_zone or not (prefixed or east == _FALSE_EASTING_M):
        return frame
    try:
        chosen = crs.parse_crs(crs.gauss_kruger(middle, prefixed=prefixed))
    except InputError:
        return frame
    if frame.crs.geodetic_crs is None or not crs.same(frame.crs.geodetic_crs, crs.WGS84_EPSG):
        return frame
    told = crs.name(chosen)
    notes.append(
        Note(
            "mapinfo_zone",
            f"MapInfo 没有 CGCS2000；中央经线 {middle:g}° 的高斯投影按 {told} 读取。",
            f"MapInfo knows no CGCS2000; its Gauss projection at {middle:g}° is taken as {told}.",
        )
    )
    return frame.set_crs(chosen, allow_override=True)


def write(frame: gpd.GeoDataFrame, path: Path) -> None:
    """Write TAB or MIF in GBK.

    A TAB keeps coordinates as whole numbers within bounds; close bounds keep them to better than a
    thousandth of a millimetre for a city.
    """
    west, south, east, north = map(float, frame.total_bounds)
    room = max(east - west, north - south, 1e-6)
    box = f"{west - room!r},{south - room!r},{east + room!r},{north + room!r}"
    options = {"BOUNDS": box} if path.suffix.lower() == ".tab" else {}
    pyogrio.write_dataframe(
        frame, path, layer=path.stem, driver="MapInfo File", ENCODING="CP936", **options
    )
