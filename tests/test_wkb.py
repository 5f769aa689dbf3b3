"""Rings straight from well-known binary: what shapely reads, or left to shapely."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_service import boundary_files, coverage, wkb
from geo_service.coverage import _rings
from geo_service.errors import InputError

Ring = list[tuple[float, float]]

COORDINATE = st.floats(-1e7, 1e7, allow_subnormal=True) | st.sampled_from([0.0, -0.0])


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    """A closed ring, simple or not."""
    places = draw(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=8))
    return [*places, places[0]]


POLYGON = st.lists(rings(), min_size=1, max_size=3).map(lambda r: shapely.Polygon(r[0], r[1:]))
SHAPE = POLYGON | st.lists(POLYGON, min_size=1, max_size=3).map(shapely.MultiPolygon)
FORM = st.fixed_dictionaries(
    {
        "byte_order": st.sampled_from([0, 1]),
        "flavor": st.sampled_from(["iso", "extended"]),
        "deep": st.sampled_from(["", "z", "m", "zm"]),
        "srid": st.sampled_from([None, 4547]),
    }
)


def written(shape: Any, *, byte_order: int, flavor: str, deep: str, srid: int | None) -> bytes:
    """A shape in one of the forms of well-known binary; heights and measures are 7."""
    order = "<>"[1 - byte_order]

    def header(geometry: Any, count: int) -> bytes:
        kind = int(shapely.get_type_id(geometry))
        if flavor == "iso":
            code = kind + {"": 0, "z": 1000, "m": 2000, "zm": 3000}[deep]
            return struct.pack(f"{order}BII", byte_order, code, count)
        code = kind | 0x80000000 * ("z" in deep) | 0x40000000 * ("m" in deep)
        if srid is None or geometry is not shape:  # only the whole carries it
            return struct.pack(f"{order}BII", byte_order, code, count)
        return struct.pack(f"{order}BIII", byte_order, code | 0x20000000, srid, count)

    def ring(line: Any) -> bytes:
        flat = [v for place in line.coords for v in (*place, *([7.0] * len(deep)))]
        return struct.pack(f"{order}I{len(flat)}d", len(line.coords), *flat)

    def polygon(part: Any) -> bytes:
        lines = [part.exterior, *part.interiors]
        return header(part, len(lines)) + b"".join(map(ring, lines))

    if shape.geom_type == "Polygon":
        return polygon(shape)
    parts = list(shape.geoms)
    return header(shape, len(parts)) + b"".join(map(polygon, parts))


def same(drawn: wkb.Drawn | None, shapes: Sequence[Any]) -> None:
    """The rings, boxes and heights are those shapely gives, bit by bit."""
    array = np.array(shapes, dtype=object)
    expected = _rings.rings_of(array)
    assert drawn is not None
    found = drawn.rings
    assert found.features == expected.features
    assert found.xy.tobytes() == expected.xy.tobytes()
    for name in ("start", "row", "hole"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(drawn.boxes, shapely.bounds(array))
    assert drawn.has_z == shapely.has_z(array).any()


@settings(deadline=None)  # the first compiles
@given(st.lists(st.tuples(SHAPE, FORM), min_size=1, max_size=4))
def test_rings_are_those_shapely_reads(rows: list[tuple[Any, dict[str, Any]]]) -> None:
    texts = [written(shape, **form) for shape, form in rows]
    same(wkb.Column.of(texts).drawn, shapely.from_wkb(texts))


@settings(deadline=None)  # the first compiles
@given(SHAPE, FORM, st.data())
def test_a_cut_or_spoilt_row_is_never_read_otherwise(
    shape: Any, form: dict[str, Any], data: st.DataObject
) -> None:
    whole = written(shape, **form)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert wkb.Column.of([whole, cut]).drawn is None
    spoilt = bytearray(whole)
    spoilt[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    drawn = wkb.Column.of([bytes(spoilt)]).drawn
    if drawn is not None:
        same(drawn, [shapely.from_wkb(bytes(spoilt))])


def one_ring(*places: tuple[float, float]) -> bytes:
    """A polygon of one ring, whatever it is."""
    flat = [float(v) for place in places for v in place]
    return struct.pack(f"<BIII{len(flat)}d", 1, 3, 1, len(places), *flat)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(shapely.to_wkb(shapely.from_wkt(wkt)), id=wkt)
        for wkt in (
            "POINT (1 2)",
            "POINT EMPTY",
            "LINESTRING (0 0, 1 1, 1 0, 0 0)",
            "POLYGON EMPTY",
            "MULTIPOLYGON EMPTY",
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), EMPTY)",
            "GEOMETRYCOLLECTION (POLYGON ((0 0, 1 0, 1 1, 0 0)))",
            "MULTIPOINT (0 0, 1 1)",
        )
    ]
    + [
        pytest.param(one_ring((0, 0), (1, 0), (1, 1), (0, 1)), id="open ring"),
        pytest.param(one_ring((0, 0), (1, 0), (0, 0)), id="ring of three"),
        pytest.param(one_ring((0, 0), (1, 0), (1, np.nan), (0, 0)), id="no number"),
        pytest.param(one_ring((0, 0), (1, 0), (-np.inf, 1), (0, 0)), id="infinite"),
        pytest.param(
            one_ring((np.nan, 0), (1, 0), (1, 1), (np.nan, 0)), id="no number at the ends"
        ),
        pytest.param(b"", id="nothing"),
        pytest.param(shapely.box(0, 0, 1, 1).wkb + b"\0", id="bytes left over"),
        pytest.param(struct.pack("<BII", 1, 3, 2**32 - 1), id="more rings than bytes"),
        pytest.param(struct.pack("<BIII", 1, 3, 1, 2**32 - 1), id="more vertices than bytes"),
        pytest.param(struct.pack("<BII", 1, 6, 2**32 - 1), id="more parts than bytes"),
    ],
)
def test_anything_but_plain_polygons_is_left_to_shapely(text: bytes) -> None:
    assert wkb.Column.of([shapely.box(0, 0, 1, 1).wkb, text]).drawn is None


def squares(count: int) -> list[Any]:
    return [shapely.box(k, 0, k + 1, 1) for k in range(count)]


def test_geometries_are_made_when_asked_for_and_once() -> None:
    column = wkb.Column.of([shape.wkb for shape in squares(5)])
    assert column[3] is column[3]
    assert column[np.array([4, 3, 3])][1] is column[3]
    assert [shape.bounds for shape in np.asarray(column)] == [s.bounds for s in squares(5)]
    assert np.asarray(column)[3] is column[3]
    with pytest.raises(IndexError):
        column[5]


def test_other_geometries_stand_in_place_of_the_binary() -> None:
    column = wkb.Column.of([shape.wkb for shape in squares(3)])
    other = shapely.box(7, 7, 8, 8)
    changed = column.replaced(np.array([1]), [other])
    for it in (changed, pickle.loads(pickle.dumps(changed))):
        assert shapely.equals(np.asarray(it), [squares(3)[0], other, squares(3)[2]]).all()
        assert it.drawn is None
    assert column[1].equals(squares(3)[1])


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_arrow_columns_in_pieces_and_from_the_middle(kind: pa.DataType) -> None:
    texts = [shape.wkb for shape in squares(6)]
    whole = pa.chunked_array([pa.array(texts[:2], kind), pa.array(texts[2:], kind)])
    for first, arrow in ((0, whole), (1, whole.slice(1)), (2, pa.array(texts, kind).slice(2))):
        column = wkb.Column.of_arrow(arrow)
        assert column is not None
        for it in (column, pickle.loads(pickle.dumps(column))):
            same(it.drawn, squares(6)[first:])
            assert shapely.equals(np.asarray(it), squares(6)[first:]).all()
    assert wkb.Column.of_arrow(pa.array([None, *texts], kind)) is None
    assert wkb.Column.of_arrow(pa.array(["text"])) is None


def by_geopandas(path: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)


def test_a_file_reads_as_geopandas_reads_it(
    tmp_path: Path, dirty_file: Callable[..., Path]
) -> None:
    for ending in (".parquet", ".gpkg"):
        path = dirty_file(ending)
        read = boundary_files.read(path)
        assert isinstance(read.layer, wkb.Table)
        expected = by_geopandas(path)
        assert_geodataframe_equal(read.frame, expected)
        assert read.frame.crs == expected.crs
        assert read.layer_frame().geometry.name == "geometry"
        sent = pickle.loads(pickle.dumps(read))
        assert_geodataframe_equal(sent.frame, expected)


def test_a_table_is_told_what_its_frame_is_told(dirty_file: Callable[..., Path]) -> None:
    for ending in (".parquet", ".gpkg"):
        read = boundary_files.read(dirty_file(ending))
        told = coverage.check(read.layer)
        assert told.verdict == "faults"
        assert told.to_dict() == coverage.check(read.frame).to_dict()
        assert told.to_dict() == coverage.check(by_geopandas(dirty_file(ending))).to_dict()


@pytest.fixture(scope="module")
def dirty_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The dirty grids of `boundaries`, in a column of another name, by the file's ending."""
    folder = tmp_path_factory.mktemp("dirty")
    source = Path(__file__).parents[1] / "boundaries" / "grids_dirty.gpkg"

    def file(ending: str) -> Path:
        path = folder / f"grids{ending}"
        if not path.exists():
            frame = gpd.read_file(source)
            frame.loc[0, "geometry"] = shapely.MultiPolygon([frame.geometry[0]])
            if ending == ".parquet":
                frame.rename_geometry("shape").to_parquet(path)
            else:
                frame.to_file(path)
        return path

    return file


@pytest.mark.parametrize("odd", ["two columns", "null", "index", "line", "empty"])
def test_parquet_of_another_form_is_read_as_before(tmp_path: Path, odd: str) -> None:
    frame = gpd.GeoDataFrame({"code": list("abc")}, geometry=squares(3), crs=4326)
    if odd == "two columns":
        frame["other"] = gpd.GeoSeries(shapely.centroid(frame.geometry.array), crs=4326)
    if odd == "null":
        frame.loc[1, "geometry"] = None
    if odd == "index":
        frame = frame.set_index("code")
    if odd in {"line", "empty"}:
        frame.loc[2, "geometry"] = shapely.LineString([(0, 0), (1, 1)][: 2 * (odd == "line")])
    path = tmp_path / "g.parquet"
    frame.to_parquet(path)
    if odd in {"null", "line", "empty"}:
        with pytest.raises(InputError) as refused:
            boundary_files.read(path)
        assert refused.value.code == ("not_polygons" if odd == "line" else "geometry_missing")
        return
    assert_geodataframe_equal(boundary_files.read(path).frame, gpd.read_parquet(path))
