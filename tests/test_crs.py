"""Coordinate systems: against pyproj, the published GCJ-02 pair, and round trips."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo_service import crs
from geo_service.errors import InputError

IN_CHINA = st.tuples(st.floats(73.6, 134.9), st.floats(18.0, 53.5))


@pytest.mark.parametrize("epsg", [4547, 4526, 4513, 32649, 32633])
def test_the_series_agrees_with_pyproj(epsg: int) -> None:
    rng = np.random.default_rng(epsg)
    centre = pyproj.CRS(epsg).coordinate_operation.params[1].value
    lon, lat = rng.uniform(centre - 3, centre + 3, 5000), rng.uniform(0, 60, 5000)
    x, y = crs.Plane.of(epsg).forward(lon, lat, datum="wgs84")
    to = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    expected = to.transform(lon, lat)
    assert max(np.abs(x - expected[0]).max(), np.abs(y - expected[1]).max()) < 1e-6
    back = crs.Plane.of(epsg).inverse(x, y)
    assert max(np.abs(back[0] - lon).max(), np.abs(back[1] - lat).max()) < 1e-9


def test_a_plane_that_is_no_transverse_mercator_goes_through_pyproj() -> None:
    x, y = crs.Plane.of(3857).forward(113.85, 34.03, datum="wgs84")
    to = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
    assert (float(x), float(y)) == to.transform(113.85, 34.03)


def test_the_published_gcj02_pair() -> None:
    lon, lat = crs.from_wgs84(116.404, 39.915, datum="gcj02")
    assert (float(lon), float(lat)) == (116.41024449916938, 39.91640428150164)


@given(IN_CHINA, st.sampled_from(["gcj02", "bd09"]))
def test_shifted_datums_come_back_to_a_tenth_of_a_millimetre(
    place: tuple[float, float], datum: str
) -> None:
    there = crs.from_wgs84(*place, datum=datum)
    back = crs.to_wgs84(*there, datum=datum)
    assert np.abs(np.array(back) - np.array(place)).max() < 1e-9
    assert np.hypot(*(np.array(there) - np.array(place))) > 1e-4


def test_outside_china_gcj02_is_wgs84() -> None:
    assert crs.from_wgs84(24.94, 60.17, datum="gcj02") == (24.94, 60.17)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("GCJ-02", "gcj02"), ("bd_09", "bd09"), ("CGCS2000", "cgcs2000"), ("EPSG:4490", "cgcs2000"),
     ("epsg:4547", "EPSG:4547"), (" wgs84 ", "wgs84")],
)  # fmt: skip
def test_datums_are_known_by_their_usual_spellings(text: str, expected: str) -> None:
    assert crs.parse_datum(text) == expected


@pytest.mark.parametrize("text", ["", "mars", "wgs 85", "4547"])
def test_an_unknown_datum_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        crs.parse_datum(text)
    assert caught.value.code == "datum_unknown"


def test_an_esri_prj_is_the_same_system_as_its_epsg_code() -> None:
    prj = pyproj.CRS(4547).to_wkt("WKT1_ESRI")
    assert pyproj.CRS(prj) != pyproj.CRS(4547)  # the trap: axis order
    assert crs.same(prj, 4547)
    assert crs.name(prj) == "EPSG:4547"
    assert not crs.same(4547, 4526)
    assert crs.same(4326, 4490)


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [(113.85, 34.03, 4547), (114.3, 34.1, 4547), (116.4, 39.9, 4548), (8.7, 49.4, 32632),
     (-51.2, -30.0, 32722)],
)  # fmt: skip
def test_the_plane_of_a_place(lon: float, lat: float, epsg: int) -> None:
    assert crs.plane_for(lon, lat) == epsg


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [(34.03, 113.85, "lonlat_swapped"), (486332.9, 3767775.4, "lonlat_out_of_range"),
     (float("nan"), 34.0, "lonlat_out_of_range")],
)  # fmt: skip
def test_what_is_no_longitude_is_refused(lon: float, lat: float, code: str) -> None:
    with pytest.raises(InputError) as caught:
        crs.check_lonlat(lon, lat)
    assert caught.value.code == code


def test_an_epsg_datum_is_projected_coordinates() -> None:
    lon, lat = crs.to_wgs84(486332.98, 3767775.46, datum="EPSG:4547")
    assert (float(lon), float(lat)) == pytest.approx((113.852, 34.037), abs=1e-3)
    x, y = crs.Plane.of(4547).forward(486332.98, 3767775.46, datum="EPSG:4547")
    assert (float(x), float(y)) == (486332.98, 3767775.46)
