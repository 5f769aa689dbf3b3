"""Boundary files as planners send them: each is understood, or refused with a sentence."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, box

from geo_service import boundary_files, crs
from geo_service.errors import GeoServiceError, InputError, MissingError

CODES = ["411002001001001", "411002001001002"]


@pytest.fixture
def grids() -> gpd.GeoDataFrame:
    """Two neighbouring grids in the plane of Xuchang."""
    shapes = [box(486000, 3767000, 486500, 3767500), box(486500, 3767000, 487000, 3767500)]
    columns = {"网格编码": CODES, "网格名称": ["第一网格", "第二网格"], "户数": [310, 402]}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4547)


def refused(code: str, path: Path, **options: object) -> GeoServiceError:
    with pytest.raises(GeoServiceError) as caught:
        boundary_files.read(path, **options)  # type: ignore[arg-type]  # options vary by case
    assert caught.value.code == code
    assert all(caught.value.message(lang) for lang in ("zh", "en"))
    assert "?" not in caught.value.message("en").replace("“?", "")
    return caught.value


@pytest.mark.parametrize("ending", list(boundary_files.WRITERS))
def test_every_written_format_reads_back_the_same(
    grids: gpd.GeoDataFrame, tmp_path: Path, ending: str
) -> None:
    path = boundary_files.write(grids, tmp_path / f"网格{ending}")
    told = {".dxf": {"crs": 4547}}.get(ending, {})  # a drawing has no coordinate system
    read = boundary_files.read(path, **told)
    frame = read.layer_frame().sort_values("code", ignore_index=True)  # FlatGeobuf orders by place
    assert list(frame["code"]) == CODES
    assert list(frame["name"]) == ["第一网格", "第二网格"]
    back = frame.geometry.to_crs(4547) if crs.is_lonlat(frame.crs) else frame.geometry
    apart = [a.hausdorff_distance(b) for a, b in zip(back, grids.geometry, strict=True)]
    close = {".tab": 2e-6}.get(ending, 1e-12)  # a TAB keeps whole numbers within bounds
    assert max(apart) < (1e-6 if crs.is_lonlat(frame.crs) else close)
    assert crs.same(frame.crs, 4547) or ending in {".geojson", ".json", ".kml", ".kmz"}
    assert not list(tmp_path.glob(".geo-service-*"))


def test_geojson_neighbours_still_share_their_vertices(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    frame = boundary_files.read(boundary_files.write(grids, tmp_path / "g.geojson")).frame
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert crs.same(frame.crs, 4326)


@pytest.mark.parametrize("encoding", ["GB18030", "UTF-8"])
def test_a_shapefile_without_cpg_is_decoded_by_its_content(
    grids: gpd.GeoDataFrame, tmp_path: Path, encoding: str
) -> None:
    named = grids.rename(columns={"网格编码": "编码", "网格名称": "名称"})
    named.to_file(tmp_path / "g.shp", encoding=encoding)
    (tmp_path / "g.cpg").unlink()
    read = boundary_files.read(tmp_path / "g.shp")
    assert list(read.layer_frame()["name"]) == ["第一网格", "第二网格"]
    assert any(note.code == "encoding" for note in read.notes)


@pytest.mark.filterwarnings("ignore:Could not decode error message")
@pytest.mark.filterwarnings("ignore:Normalized/laundered field name")
def test_a_column_name_cut_inside_a_character_is_read(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    grids.to_file(tmp_path / "g.shp", encoding="UTF-8")  # 网格编码 is cut after 10 of its 12 bytes
    read = boundary_files.read(tmp_path / "g.shp")
    assert read.fields["code"] == "网格编"
    assert any(note.code == "field_names_cut" for note in read.notes)


def test_a_zip_with_gbk_member_names(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    boundary_files.write(grids, tmp_path / "g.shp")
    with zipfile.ZipFile(tmp_path / "u.zip", "w") as archive:
        for part in ("shp", "shx", "dbf", "prj"):
            archive.write(tmp_path / f"g.{part}", f"upload/grids.{part}")
    read = boundary_files.read(tmp_path / "u.zip")
    assert len(read.frame) == 2
    assert read.source == "u.zip/grids.shp"


def test_numeric_codes_become_text_and_ruined_ones_are_refused(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    grids.assign(网格编码=[411002001001001, 411002001001002]).to_file(tmp_path / "n.gpkg")
    read = boundary_files.read(tmp_path / "n.gpkg")
    assert list(read.layer_frame()["code"]) == CODES
    assert any(note.code == "code_was_number" for note in read.notes)
    grids.assign(网格编码=[4.11002001001001e17, 4.11002001001002e17]).to_file(tmp_path / "f.gpkg")
    error = refused("code_is_a_float", tmp_path / "f.gpkg")
    assert error.details["row"] == 1


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_missing_crs_is_refused_with_a_proposal_from_the_digits(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    prefixed = grids.set_geometry(grids.translate(38_000_000), crs=None)
    prefixed = gpd.GeoDataFrame(prefixed, crs=None).set_crs(None, allow_override=True)
    prefixed.to_file(tmp_path / "g.shp", encoding="GB18030")
    error = refused("crs_missing", tmp_path / "g.shp")
    assert error.details["candidates"] == ["EPSG:4526"]
    told = boundary_files.read(tmp_path / "g.shp", crs="EPSG:4526")
    assert crs.epsg(told.frame.crs) == 4526
    refused("crs_digits_disagree", tmp_path / "g.shp", crs="EPSG:4490")
    refused("crs_unknown", tmp_path / "g.shp", crs="EPSG:99999999")


def test_a_gcj02_file_is_shifted_back_only_when_told(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    straight = boundary_files.to_wgs84(grids)

    def shift(xy: np.ndarray) -> np.ndarray:
        return np.column_stack(crs.from_wgs84(xy[:, 0], xy[:, 1], datum="gcj02"))

    shifted = straight.set_geometry(
        shapely.transform(straight.geometry.to_numpy(), shift), crs=4326
    )
    shifted.to_file(tmp_path / "amap.gpkg")
    as_is = boundary_files.read(tmp_path / "amap.gpkg").frame
    undone = boundary_files.read(tmp_path / "amap.gpkg", datum="gcj02").frame
    assert as_is.geometry[0].equals_exact(shifted.geometry[0], 0)
    assert undone.geometry[0].hausdorff_distance(straight.geometry[0]) < 1e-10
    refused("datum_unknown", tmp_path / "amap.gpkg", datum="mars")
    boundary_files.write(shifted.to_crs(4547), tmp_path / "plane.gpkg")  # projected unawares
    undone = boundary_files.read(tmp_path / "plane.gpkg", datum="gcj02").frame
    assert undone.geometry[0].hausdorff_distance(grids.geometry[0]) < 1e-4


def test_swapped_axes_are_told(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    flipped = boundary_files.to_wgs84(grids)
    flipped = flipped.set_geometry(
        shapely.transform(flipped.geometry.to_numpy(), lambda xy: xy[:, ::-1]), crs=4326
    )
    flipped.to_file(tmp_path / "flipped.gpkg")
    refused("lonlat_swapped", tmp_path / "flipped.gpkg")


def test_what_is_no_polygon_is_named_by_row(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    mixed = grids.set_geometry([grids.geometry[0], Point(486100, 3767100)], crs=4547)
    mixed.to_file(tmp_path / "mixed.geojson", driver="GeoJSON")
    error = refused("not_polygons", tmp_path / "mixed.geojson", crs="EPSG:4547")
    assert (error.details["row"], error.details["found"]) == (2, "Point")
    lines = grids.set_geometry([LineString([(0, 0), (1, 1)])] * 2, crs=4547)
    lines.to_file(tmp_path / "lines.gpkg")
    refused("not_polygons", tmp_path / "lines.gpkg")


@pytest.mark.filterwarnings("ignore:invalid value encountered in linearrings")
def test_broken_and_missing_coordinates_are_named_by_row(
    grids: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    ring = np.array(grids.geometry[1].exterior.coords)
    ring[2, 0] = np.nan
    broken = grids.copy()
    broken.geometry = [grids.geometry[0], shapely.polygons(ring)]
    broken.to_parquet(tmp_path / "nan.parquet")
    assert refused("coordinate_not_finite", tmp_path / "nan.parquet").details["row"] == 2
    absent = grids.set_geometry([grids.geometry[0], None], crs=4547)
    absent.to_file(tmp_path / "absent.gpkg")
    assert refused("geometry_missing", tmp_path / "absent.gpkg").details["row"] == 2


def test_files_that_are_none(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"nothing\.gpkg"):
        boundary_files.read(tmp_path / "nothing.gpkg")
    whole = boundary_files.write(grids, tmp_path / "g.gpkg").read_bytes()
    (tmp_path / "cut.gpkg").write_bytes(whole[: len(whole) // 3])
    refused("file_unreadable", tmp_path / "cut.gpkg")
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 this is no zip")
    refused("file_unreadable", tmp_path / "no.zip")
    with zipfile.ZipFile(tmp_path / "readme.zip", "w") as archive:
        archive.writestr("readme.txt", "no boundaries here")
    assert "readme.txt" in str(refused("zip_without_boundaries", tmp_path / "readme.zip"))
    grids.iloc[:0].to_file(tmp_path / "empty.gpkg")
    refused("layer_empty", tmp_path / "empty.gpkg")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.gpkg")) as database:
        database.execute("CREATE TABLE grids (code TEXT)")
    refused("file_unreadable", tmp_path / "other.gpkg")


def test_several_layers_must_be_chosen_from(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    for name in ("grids", "townships"):
        grids.to_file(tmp_path / "two.gpkg", layer=name)
    assert "townships" in str(refused("layer_choice", tmp_path / "two.gpkg"))
    assert len(boundary_files.read(tmp_path / "two.gpkg", layer="grids").frame) == 2


def test_an_output_that_fails_leaves_nothing(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.docx"):
        boundary_files.write(grids, tmp_path / "out.docx")
    with pytest.raises(InputError, match="no such folder"):
        boundary_files.write(grids, tmp_path / "absent" / "out.gpkg")
    assert list(tmp_path.iterdir()) == []


def test_a_code_column_can_be_named(grids: gpd.GeoDataFrame, tmp_path: Path) -> None:
    odd = grids.rename(columns={"网格编码": "XYZ"})
    odd.to_file(tmp_path / "odd.gpkg")
    assert (
        list(
            boundary_files.read(tmp_path / "odd.gpkg", fields={"code": "XYZ"}).layer_frame()["code"]
        )
        == CODES
    )
    refused("field_missing", tmp_path / "odd.gpkg", fields={"code": "ZYX"})
    with pytest.raises(InputError, match="XYZ"):
        boundary_files.read(tmp_path / "odd.gpkg").layer_frame()


@pytest.mark.real
def test_the_real_uploads_are_read(real_data: Path) -> None:
    tainan = boundary_files.read(real_data / "uploads" / "10tnvillage.zip")
    assert len(tainan.frame) == 752
    assert {"內角里", "白河區", "臺南市"} <= set(tainan.frame.iloc[0])  # Big5, no .cpg
    cells = real_data / "coverages" / "shenzhen_cells" / "grid.shp"
    with pytest.raises(InputError, match="EPSG:4490"):
        boundary_files.read(cells)
    assert len(boundary_files.read(cells, crs="EPSG:4326").frame) == 9005


def test_a_folder_with_a_shapefile_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "禹州市"
    folder.mkdir()
    grids = gpd.GeoDataFrame({"WGBM": ["411081001001001"]}, geometry=[box(0, 0, 9, 9)], crs=4547)
    grids = grids.translate(480_000, 3_760_000).to_frame("geometry").assign(WGBM=grids["WGBM"])
    with pytest.raises(InputError) as refused:
        boundary_files.read(folder)
    assert refused.value.code == "format_unknown"
    grids.to_file(folder / "grids.shp")
    assert boundary_files.read(folder).layer_frame()["code"].tolist() == ["411081001001001"]
    grids.to_file(folder / "old.shp")
    with pytest.raises(InputError) as refused:
        boundary_files.read(folder)
    assert refused.value.code == "layer_choice"
    assert len(boundary_files.read(folder, layer="old").frame) == 1
