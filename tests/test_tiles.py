"""The vector tile encoder, read back by GDAL's own MVT driver."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo_service.tiles import mvt
from geo_service.tiles.pyramid import COARSEST_ZOOM, FINEST_ZOOM, Pyramid

BOX = mvt.tile_box(14, 13366, 6541)
UNIT_M = (BOX[2] - BOX[0]) / mvt.EXTENT


def decode(data: bytes, folder: Path, layer: str = "grids") -> gpd.GeoDataFrame:
    """Give a tile as GDAL reads it, in tile units with y upwards."""
    path = folder / "tile.pbf"
    path.write_bytes(data)
    return pyogrio.read_dataframe(f"MVT:{path}", layer=layer, CLIP="NO")


def in_tile(geometry: object) -> shapely.Geometry:
    """Bring Web Mercator to GDAL's tile units."""
    return shapely.transform(geometry, lambda xy: (xy - (BOX[0], BOX[1])) / UNIT_M)


def test_polygon_with_hole_multipolygon_and_line_survive(tmp_path: Path) -> None:
    x, y = BOX[0] + 500, BOX[1] + 500
    holed = shapely.box(x, y, x + 400, y + 400) - shapely.box(x + 100, y + 100, x + 200, y + 300)
    two = shapely.union(
        shapely.box(x + 500, y, x + 600, y + 90), shapely.box(x + 700, y, x + 800, y + 90)
    )
    line = shapely.LineString([(x, y), (x + 300, y + 40), (x + 200, y + 700)])
    shapes = np.array([holed, two, line], dtype=object)
    attributes = {
        "code": np.array(["411002001001001", "网格二", None], dtype=object),
        "households": np.array([300, -2, 7]),
        "share": np.array([0.25, np.nan, 2.0]),
    }
    data = mvt.encode([mvt.TileLayer("grids", shapes, attributes)], BOX)
    read = decode(data, tmp_path)
    assert len(read) == 3
    for geometry, shape in zip(read.geometry, shapes, strict=True):
        assert geometry.is_valid
        assert geometry.hausdorff_distance(in_tile(shape)) <= 0.75  # half a unit each way
    assert read.geometry.iloc[0].interiors or len(read.geometry.iloc[0].geoms[0].interiors) == 1
    assert read["code"].tolist()[:2] == ["411002001001001", "网格二"]
    assert read["households"].tolist() == [300, -2, 7]
    assert read["share"].tolist()[0] == 0.25
    assert np.isnan(read["share"].iloc[1])


def test_points_and_a_second_layer(tmp_path: Path) -> None:
    points = shapely.points([[BOX[0] + 10, BOX[3] - 10], [BOX[2] - 5, BOX[1] + 5]])
    layer = mvt.TileLayer("grids_names", points, {"name": np.array(["甲", "乙"], dtype=object)})
    square = np.array([shapely.box(*BOX)], dtype=object)
    data = mvt.encode([mvt.TileLayer("grids", square), layer], BOX)
    names = decode(data, tmp_path, "grids_names")
    assert names["name"].tolist() == ["甲", "乙"]
    assert np.allclose(
        shapely.get_coordinates(names.geometry), shapely.get_coordinates(in_tile(points)), atol=0.51
    )
    assert len(decode(data, tmp_path, "grids")) == 1


def test_nothing_to_draw_is_no_bytes() -> None:
    speck = shapely.box(BOX[0], BOX[1], BOX[0] + UNIT_M / 9, BOX[1] + UNIT_M / 9)
    assert mvt.encode([mvt.TileLayer("grids", np.array([speck], dtype=object))], BOX) == b""
    assert mvt.encode([mvt.TileLayer("grids", np.array([], dtype=object))], BOX) == b""


@given(st.lists(st.integers(0, 2**34), max_size=40))
def test_varints_are_those_of_the_plain_algorithm(values: list[int]) -> None:
    data, offset = mvt._varints(np.array(values, np.int64))
    assert data == b"".join(mvt._varint(value) for value in values)
    assert offset[-1] == len(data)


@pytest.mark.parametrize("seed", range(8))
def test_a_tiling_in_a_tile_has_neither_gap_nor_overlap(
    seed: int, tmp_path: Path, tiling: Callable[..., Any]
) -> None:
    grids, _ = tiling(20, seed)
    shapes = mvt.to_mercator(grids.geometry.to_numpy(), grids.crs)
    z, (x0, y0, *_) = 12, shapely.total_bounds(shapes)
    x, y = mvt.tile_at(z, x0, y0)
    box = mvt.tile_box(z, x, y)
    with ThreadPoolExecutor(1) as executor:
        _, cut = Pyramid(shapes, tiles=True, executor=executor).cut(mvt.clip_box(box), z)
    read = decode(mvt.encode([mvt.TileLayer("grids", cut)], box), tmp_path)
    # On whole numbers, areas are exact: what the features sum to is what they cover together.
    assert read.geometry.area.sum() == pytest.approx(read.geometry.buffer(0).union_all().area)


FOLDED = {  # rings in tile units, as cutting and rounding left them, and what is left of them
    "corner on the rim of the cut": ([(2507, -64), (2514, -52), (2544, -64), (2547, -64)], 222.0),
    "neck closed to a point": (
        [(0, 0), (4, 4), (8, 0), (8, 8), (4, 4), (0, 8)], 32.0),
    "bay closed to a hole": (
        [(0, 0), (9, 0), (9, 9), (4, 9), (6, 5), (3, 5), (4, 9), (0, 9)], 75.0),
    "spike folded along a side": ([(0, 0), (9, 0), (9, 9), (9, -5), (12, 0), (9, 9), (0, 9)], None),
    "nothing but a fold": ([(0, 0), (9, 0), (4, 0)], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_what_rounding_folds_is_mended_on_whole_numbers(name: str, tmp_path: Path) -> None:
    ring, area = FOLDED[name]
    whole = shapely.Polygon([(0, 100), (50, 100), (50, 150), (0, 150)])
    drawn = np.array([whole, shapely.Polygon(ring), whole], dtype=object)
    placed = shapely.transform(drawn, lambda xy: np.array(BOX[:2]) + xy * UNIT_M)
    codes = {"code": np.array(["1", "2", "3"], dtype=object)}
    read = decode(mvt.encode([mvt.TileLayer("grids", placed, codes)], BOX), tmp_path)
    assert read.geometry.is_valid.all()
    assert read["code"].tolist() == (["1", "3"] if area == 0.0 else ["1", "2", "3"])
    assert read.geometry.iloc[0].normalize().equals(shapely.MultiPolygon([whole]).normalize())
    xy = shapely.get_coordinates(read.geometry.to_numpy())
    assert (xy == np.rint(xy)).all()
    if area:
        assert read.geometry.iloc[1].area == area


def test_pyramid_keeps_neighbours_together_at_every_zoom(tiling: Callable[..., Any]) -> None:
    grids, _ = tiling(200, points=30)
    shapes = mvt.to_mercator(grids.geometry.to_numpy(), grids.crs)
    with ThreadPoolExecutor(1) as executor:
        pyramid = Pyramid(shapes, tiles=True, executor=executor)
        assert pyramid.level(9) == FINEST_ZOOM  # drawn from the finest until the coarser is there
        pyramid.build()
    vertices = [shapely.get_num_coordinates(pyramid._levels[z]).sum() for z in range(4, 14)]
    assert vertices == sorted(vertices)
    assert vertices[0] < vertices[-1] / 5
    for z in range(COARSEST_ZOOM, FINEST_ZOOM):
        assert pyramid.level(z) == z
        assert shapely.coverage_is_valid(pyramid._levels[z])
