"""The coordinate systems planners' files are in, one test a trap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pyproj
import pytest
import shapely
from shapely.geometry import box

from geo_service import boundary_files, crs, georeference
from geo_service.errors import InputError
from geo_service.store import create_store

XUCHANG = (113.06, 33.69, 114.32, 34.41)
PLAIN = (486332.9, 3767775.4, 486400.0, 3767800.0)


def frame(system: Any = 4547, bounds: tuple[float, ...] = PLAIN) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"code": ["411002001001001"]}, geometry=[box(*bounds)], crs=system)


def turned(bounds: tuple[float, ...]) -> tuple[float, ...]:
    return bounds[1], bounds[0], bounds[3], bounds[2]


def shapefile(folder: Path, prj: str | None, bounds: tuple[float, ...]) -> Path:
    """A shapefile with this text as its .prj."""
    path = folder / "g.shp"
    frame(4547, bounds).to_file(path, encoding="GB18030")
    path.with_suffix(".prj").unlink()
    if prj is not None:
        path.with_suffix(".prj").write_text(prj)
    return path


def esri(name: str, easting: float, *, datum: str = "D_China_2000") -> str:
    """A .prj as ArcGIS writes it: names, no authority."""
    geographic = {"D_China_2000": ("GCS_China_Geodetic_Coordinate_System_2000",
                                   'SPHEROID["CGCS2000",6378137.0,298.257222101]'),
                  "D_Xian_1980": ("GCS_Xian_1980", 'SPHEROID["Xian_1980",6378140.0,298.257]'),
                  "D_Beijing_1954": ("GCS_Beijing_1954",
                                     'SPHEROID["Krasovsky_1940",6378245.0,298.3]')}  # fmt: skip
    system, spheroid = geographic[datum]
    return (
        f'PROJCS["{name}",GEOGCS["{system}",DATUM["{datum}",{spheroid}],'
        'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Gauss_Kruger"],'
        f'PARAMETER["False_Easting",{easting}],PARAMETER["False_Northing",0.0],'
        'PARAMETER["Central_Meridian",114.0],PARAMETER["Scale_Factor",1.0],'
        'PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
    )


def prefixed(bounds: tuple[float, ...], zone: int = 38) -> tuple[float, ...]:
    x0, y0, x1, y1 = bounds
    return x0 + zone * 1e6, y0, x1 + zone * 1e6, y1


@pytest.mark.parametrize(
    ("name", "easting", "bounds", "epsg"),
    [("CGCS2000_3_Degree_GK_Zone_38", 38_500_000.0, prefixed(PLAIN), 4526),
     ("CGCS2000_3_Degree_GK_CM_114E", 500_000.0, PLAIN, 4547)],
)  # fmt: skip
def test_a_prj_by_arcgis_is_its_zone(
    tmp_path: Path, name: str, easting: float, bounds: tuple[float, ...], epsg: int
) -> None:
    read = boundary_files.read(shapefile(tmp_path, esri(name, easting), bounds))
    assert crs.epsg(read.frame.crs) == epsg
    lon, lat = crs.Plane.of(read.frame.crs).inverse(bounds[0], bounds[1])
    assert (float(lon), float(lat)) == pytest.approx((113.852, 34.037), abs=1e-3)


def test_authority_order_and_wkt2_change_nothing() -> None:
    for text in (pyproj.CRS(4547).to_wkt("WKT2_2019"), pyproj.CRS(4547).to_wkt("WKT1_ESRI")):
        assert crs.same(text, 4547)
        georeference.require_digits(PLAIN, text, source="g.shp")  # easting first, whatever it says


@pytest.mark.parametrize(
    ("system", "bounds", "candidate"),
    [(4547, prefixed(PLAIN), "EPSG:4526"),  # the prefix is in the numbers, not in the .prj
     (4526, PLAIN, "EPSG:4547"),
     (4547, XUCHANG, "EPSG:4490"),
     (4490, PLAIN, "EPSG:4547"),
     (4547, tuple(1000.0 * v for v in PLAIN), "EPSG:4547")],  # millimetres
)  # fmt: skip
def test_numbers_that_contradict_the_prj_are_refused(
    system: int, bounds: Any, candidate: str
) -> None:
    with pytest.raises(InputError) as caught:
        georeference.require_digits(bounds, system, source="g.shp", near=XUCHANG)
    assert caught.value.code == "crs_digits_disagree"
    assert candidate in caught.value.details["candidates"]  # type: ignore[operator]
    assert "--crs" in caught.value.message("en")


@pytest.mark.parametrize(
    ("bounds", "near", "expected"),
    [
        (prefixed(PLAIN), None, ["EPSG:4526"]),
        ((39386332.9, 3767775.4, 39386400.0, 3767800.0), None, ["EPSG:4527"]),
        ((19762000.0, 3767775.4, 19763000.0, 3767800.0), None, ["EPSG:4497"]),  # 6 degrees wide
        (PLAIN, None, ["EPSG:4547", "EPSG:4546", "EPSG:4548"]),
        (PLAIN, XUCHANG, ["EPSG:4547"]),
        (PLAIN, (116.6, 34.0, 117.4, 34.6), ["EPSG:4548", "EPSG:32650"]),  # the same in Huaibei
        ((760000.0, 3767000.0, 763000.0, 3769000.0), XUCHANG, ["EPSG:4546", "EPSG:32649"]),
        (XUCHANG, None, ["EPSG:4490", "EPSG:4326"]),
        ((-105.1, 39.6, -104.6, 39.9), None, ["EPSG:4326"]),
        ((12673000.0, 4033000.0, 12680000.0, 4040000.0), None, ["EPSG:3857"]),
        ((1e12, 1e12, 2e12, 2e12), None, []),
        ((float("nan"),) * 4, None, []),
    ],
)
def test_the_digits_and_the_place_propose_a_system(
    bounds: Any, near: Any, expected: list[str]
) -> None:
    found = georeference.candidates(bounds, near=near)
    assert [c.crs for c in found] == expected
    assert all(c.zh and c.en and not c.swapped for c in found)


def test_each_candidate_comes_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        boundary_files.read(shapefile(tmp_path, None, PLAIN), near=XUCHANG)
    assert caught.value.code == "crs_missing"
    assert "EPSG:4547 (then it lies within the given area)" in caught.value.message("en")
    assert "EPSG:4547（落在给定范围内）" in caught.value.message("zh")
    assert "--crs" in caught.value.message("zh")


@pytest.mark.parametrize(
    ("system", "bounds", "code"),
    [(4490, turned(XUCHANG), "lonlat_swapped"), (4547, turned(PLAIN), "axes_swapped"),
     (4526, turned(prefixed(PLAIN)), "axes_swapped")],
)  # fmt: skip
def test_exchanged_axes_are_told_and_turned_when_told(
    tmp_path: Path, system: int, bounds: tuple[float, ...], code: str
) -> None:
    path = tmp_path / "g.gpkg"
    frame(system, bounds).to_file(path)
    with pytest.raises(InputError) as caught:
        boundary_files.read(path)
    assert caught.value.code == code
    assert "--swap-axes" in caught.value.message("en")
    read = boundary_files.read(path, swap_axes=True)
    assert read.frame.total_bounds == pytest.approx(turned(bounds))
    assert any(note.code == "axes_exchanged" for note in read.notes)


def test_exchanged_axes_without_a_prj_are_proposed(tmp_path: Path) -> None:
    (found,) = georeference.candidates(turned(PLAIN), near=XUCHANG)  # type: ignore[arg-type]
    assert (found.crs, found.swapped) == ("EPSG:4547", True)


@pytest.mark.parametrize(
    ("datum", "prefix", "named"),
    [
        ("D_Xian_1980", "Xian_1980", "Xi'an 1980"),
        ("D_Beijing_1954", "Beijing_1954", "Beijing 1954"),
    ],
)
def test_old_datums_are_told_apart_and_never_converted_silently(
    tmp_path: Path, datum: str, prefix: str, named: str
) -> None:
    prj = esri(f"{prefix}_3_Degree_GK_CM_114E", 500_000.0, datum=datum)
    read = boundary_files.read(shapefile(tmp_path, prj, PLAIN))
    (note,) = (n for n in read.notes if n.code == "old_datum")
    assert named in note.en
    assert "over a hundred" in note.en
    with (
        create_store(tmp_path / "city.gpkg", plane="EPSG:4547") as store,
        pytest.raises(InputError) as caught,
    ):
        store.create_draft("grids", read.layer_frame(), source="g.shp")
    assert caught.value.code == "old_datum"
    assert named in caught.value.message("en")
    assert "--crs" in caught.value.message("zh")


def test_web_mercator_and_feet_are_remarked(tmp_path: Path) -> None:
    frame(3857, (12673000.0, 4033000.0, 12680000.0, 4040000.0)).to_file(tmp_path / "m.gpkg")
    assert "web_mercator" in {n.code for n in boundary_files.read(tmp_path / "m.gpkg").notes}
    frame(2263, (980_000.0, 190_000.0, 981_000.0, 191_000.0)).to_file(tmp_path / "f.gpkg")
    (note,) = (n for n in boundary_files.read(tmp_path / "f.gpkg").notes if n.code != "crs")
    assert note.code == "unit_not_metre"
    assert "0.3048" in note.en


def test_real_systems_of_other_countries_pass() -> None:
    for system, bounds in (
        (3826, (150_000.0, 2_540_000.0, 220_000.0, 2_600_000.0)),  # Taiwan, TWD97
        (27700, (500_000.0, 150_000.0, 560_000.0, 200_000.0)),  # London
        (32632, (470_000.0, 5_470_000.0, 480_000.0, 5_480_000.0)),  # Heidelberg
    ):
        georeference.require_digits(bounds, system, source="g.gpkg")


def test_a_place_is_named_by_the_nearest_capital() -> None:
    assert georeference.whereabouts(113.85, 34.03)[1] == "82 km south of Zhengzhou (Henan)"
    assert shapely.Point(georeference._capitals()[1][0]).within(box(*georeference.CHINA))
