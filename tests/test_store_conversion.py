"""What comes in another system is converted once, and a tiling stays a tiling."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo_service import coverage
from geo_service.errors import InputError
from geo_service.store import conversion, create_store

PLANE = "EPSG:4547"


@pytest.fixture(scope="module")
def lonlat(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    grids, _ = tiling(50, seed=2, crs=4490)
    return grids


def reference(frame: gpd.GeoDataFrame) -> np.ndarray:
    transformer = pyproj.Transformer.from_crs(frame.crs, PLANE, always_xy=True)
    return np.column_stack(transformer.transform(*shapely.get_coordinates(frame.geometry).T))


def test_coordinates_in_the_plane_are_not_touched(tiling: Callable[..., Any]) -> None:
    grids, _ = tiling(20)
    found, notes = conversion.into_plane(grids, PLANE, source="")
    assert notes == ()
    assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(grids.geometry)).all()


@pytest.mark.parametrize("system", ["EPSG:4326", "EPSG:4490", "EPSG:4526", "EPSG:4546"])
def test_agrees_with_pyproj(lonlat: gpd.GeoDataFrame, system: str) -> None:
    given = lonlat.to_crs(system)
    found, notes = conversion.into_plane(given, PLANE, source="")
    assert found.crs.to_epsg() == 4547
    assert [note.code for note in notes] == ["converted"]
    assert system in notes[0].en
    error = np.abs(shapely.get_coordinates(found.geometry) - reference(given))
    assert error.max() < 1e-6


def test_shared_nodes_stay_shared_and_the_tiling_stays_clean(lonlat: gpd.GeoDataFrame) -> None:
    found, _ = conversion.into_plane(lonlat, PLANE, source="")
    before = np.unique(shapely.get_coordinates(lonlat.geometry), axis=0)
    after = np.unique(shapely.get_coordinates(found.geometry), axis=0)
    assert len(before) == len(after)
    assert coverage.check(found).verdict == "clean"


def t_junctions() -> gpd.GeoDataFrame:
    """A long straight edge along a parallel; two grids meet in the middle of its other side."""
    west, south, middle, north = 113.80, 34.00, 113.8137, 34.01
    east, top = 113.83, 34.02
    below = shapely.box(west, south, east, north)
    left, right = shapely.box(west, north, middle, top), shapely.box(middle, north, east, top)
    return gpd.GeoDataFrame({"code": ["1", "2", "3"]}, geometry=[below, left, right], crs=4490)


def test_a_t_junction_does_not_open() -> None:
    frame = t_junctions()
    plain = gpd.GeoDataFrame(geometry=frame.geometry.to_crs(PLANE))
    assert plain.union_all().symmetric_difference(plain.union_all().convex_hull).area > 1.0
    found, notes = conversion.into_plane(frame, PLANE, source="")
    assert "1 nodes were put into straight edges" in notes[0].en
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    union = shapely.coverage_union_all(found.geometry.to_numpy())
    assert shapely.area(found.geometry.to_numpy()).sum() == pytest.approx(union.area, abs=1e-6)
    assert len(union.interiors) == 0


def test_holes_and_parts_keep_their_nodes_in_order() -> None:
    outer = shapely.box(113.80, 34.00, 113.84, 34.04)
    hole = shapely.box(113.81, 34.01, 113.83, 34.03)
    ring = outer.difference(hole)
    inside = [
        shapely.box(113.81, 34.01, 113.8177, 34.03),
        shapely.box(113.8177, 34.01, 113.83, 34.03),
    ]
    apart = shapely.MultiPolygon([shapely.box(113.9, 34, 113.91, 34.01), ring])
    frame = gpd.GeoDataFrame({"code": list("abc")}, geometry=[apart, *inside], crs=4326)
    found, _ = conversion.into_plane(frame, PLANE, source="")
    assert found.geometry.is_valid.all()
    assert [len(p.interiors) for p in found.geometry[0].geoms] == [0, 1]
    assert shapely.get_num_coordinates(found.geometry[0]) == 5 + 5 + 5 + 2
    assert shapely.coverage_is_valid(found.geometry.to_numpy())


@given(
    shares=st.lists(st.floats(0.02, 0.98), min_size=1, max_size=6, unique_by=lambda v: round(v, 3)),
    turn=st.floats(0, 3.0),
)
def test_any_number_of_nodes_on_one_slanted_edge(shares: list[float], turn: float) -> None:
    a, b = np.array([113.8, 34.0]), np.array([113.83, 34.011])
    across = np.array([-(b - a)[1], (b - a)[0]])
    nodes = [a, *(a + s * (b - a) for s in sorted(shares)), b]
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def polygon(*corners: np.ndarray) -> shapely.Polygon:
        return shapely.Polygon((np.array(corners) - a) @ spin + a)

    shapes = [polygon(a, b, b - across, a - across)]
    shapes += [polygon(p, p + across, q + across, q) for p, q in pairwise(nodes)]
    frame = gpd.GeoDataFrame(geometry=shapes, crs=4326)
    found, _ = conversion.into_plane(frame, PLANE, source="")
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    assert shapely.get_num_coordinates(found.geometry[0]) == 5 + len(shares)


def test_a_draft_tells_what_the_conversion_did(tmp_path: Path, lonlat: gpd.GeoDataFrame) -> None:
    with create_store(tmp_path / "c.gpkg") as store:
        draft = store.create_draft("grids", lonlat)
        assert draft.crs == "EPSG:4490"
        assert [note["code"] for note in draft.notes] == ["converted"]
        assert store.draft_frame(draft.id).crs.to_epsg() == 4547
        revision = store.publish(draft.id)
    assert revision.check.errors == {}


def test_a_missing_system_is_asked_for(tiling: Callable[..., Any]) -> None:
    grids, _ = tiling(4)
    with pytest.raises(InputError, match="EPSG:4547") as refused:
        conversion.into_plane(grids.set_crs(None, allow_override=True), PLANE, source="a.shp")
    assert refused.value.code == "crs_missing"


@pytest.mark.real
def test_real_villages_keep_their_faults_and_get_no_new_ones(real_data: Path) -> None:
    """Tainan's 752 villages are dirty as they come (TWD97); converting adds no gap or overlap."""
    from geo_service import boundary_files

    villages = boundary_files.read(real_data / "uploads/10tnvillage.zip", crs="EPSG:3826").frame
    found, _ = conversion.into_plane(villages, "EPSG:32651", source="")
    before, after = coverage.check(villages), coverage.check(found)
    for kind in ("gap", "overlap", "missing_grid"):
        assert abs(after.counts.get(kind, 0) - before.counts.get(kind, 0)) <= 2
