"""Whatever is handed to repair: refused as by check, mended, or left with the reason."""

from __future__ import annotations

import json
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geo_service import coverage, mending
from geo_service.errors import InputError

X, Y = 480_000.0, 3_760_000.0


def square(x: float = 0.0, y: float = 0.0, side: float = 100.0) -> shapely.Polygon:
    return shapely.box(X + x, Y + y, X + x + side, Y + y + side)


def grids(*shapes: Any, crs: Any = 4547) -> gpd.GeoDataFrame:
    codes = [f"411002001001{k:03d}" for k in range(1, len(shapes) + 1)]
    return gpd.GeoDataFrame({"code": codes}, geometry=list(shapes), crs=crs)


def broken(value: float) -> shapely.Polygon:
    xy = shapely.get_coordinates(square())
    xy[2, 0] = value
    return shapely.set_coordinates(square(), xy)


def circle(vertices: int) -> shapely.Polygon:
    angle = np.linspace(0.0, 2 * np.pi, vertices, endpoint=False)
    return shapely.Polygon(np.column_stack([X + 1e4 * np.cos(angle), Y + 1e4 * np.sin(angle)]))


FLAT = shapely.Polygon([(X, Y), (X + 100, Y), (X + 50, Y), (X, Y)])
BOW = shapely.Polygon([(X, Y), (X + 100, Y + 100), (X + 100, Y), (X, Y + 100)])


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (grids(), "layer_empty"),
        (grids(square(), None), "geometry_missing"),
        (grids(square(), shapely.Polygon()), "geometry_missing"),
        (grids(square(), broken(np.nan)), "coordinate_not_finite"),
        (grids(square(), broken(np.inf)), "coordinate_not_finite"),
        (grids(square(), shapely.Point(X, Y)), "not_polygons"),
        (grids(square(), shapely.LineString([(X, Y), (X + 1, Y)])), "not_polygons"),
        (grids(square(), shapely.GeometryCollection([square(100)])), "not_polygons"),
    ],
)
def test_what_check_refuses_repair_refuses(layer: gpd.GeoDataFrame, code: str) -> None:
    for work in (coverage.check, mending.repair):
        with pytest.raises(InputError) as refused:
            work(layer)
        assert refused.value.code == code


@pytest.mark.parametrize("outline", [shapely.Polygon(), shapely.Point(X, Y), broken(np.nan)])
def test_an_outline_that_is_none_is_refused(outline: Any) -> None:
    with pytest.raises(InputError):
        mending.repair(grids(square()), within=outline)


@pytest.mark.parametrize(
    ("layer", "within", "changed", "left"),
    [
        (grids(square()), square(), {}, set()),
        (grids(square(), square(100)), None, {}, set()),
        (
            grids(square(), square(100.5), crs=None),
            square(0, 0, 100).union(shapely.box(X + 100, Y, X + 200.5, Y + 100)),
            {"gap": 1},
            set(),
        ),
        (grids(square(), FLAT), square(), {}, {"self_intersection", "sliver"}),
        (grids(FLAT, FLAT), None, {}, {"self_intersection", "sliver"}),
        (grids(BOW), None, {"self_intersection": 1}, {"multipart"}),
        (grids(square()), BOW, {}, {"overrun"}),
        (grids(*[square()] * 300), square(), {"duplicate_geometry": 299}, set()),
    ],
)
def test_the_rest_is_mended_or_left_with_the_reason(
    layer: gpd.GeoDataFrame, within: Any, changed: dict[str, int], left: set[str]
) -> None:
    mended = mending.repair(layer, within=within)
    assert {**mended.changes["kind"].value_counts()} == changed
    assert set(mended.left["kind"]) == left
    assert mended.left["reason_zh"].all()
    json.dumps(mended.to_dict())
    untouched = ~mended.grids["code"].isin(mended.changes["code"])
    before = shapely.to_wkb(layer.geometry.to_numpy()[mended.rows])
    assert (before == shapely.to_wkb(mended.grids.geometry.to_numpy()))[untouched].all()


def test_heights_go_with_what_is_redrawn_only() -> None:
    layer = grids(shapely.force_3d(square(), 5.0), shapely.force_3d(square(100.5), 7.0),
                  shapely.force_3d(square(200.5), 7.0))  # fmt: skip
    mended = mending.repair(layer, within=shapely.box(X, Y, X + 300.5, Y + 100))
    assert list(mended.changes["code"]) == ["411002001001001"]
    assert list(mended.grids.geometry.has_z) == [False, True, True]
    assert mended.report.coverage_percent == "100.0000"


def test_noise_below_the_rounding_of_large_coordinates_is_left_alone() -> None:
    random = np.random.default_rng(0)
    cells = [
        shapely.box(x, y, x + 100.0, y + 100.0)
        for x in np.arange(1e7, 1e7 + 500, 100)
        for y in np.arange(1e7, 1e7 + 500, 100)
    ]
    off = [-1.9e-9, 0.0, 1.9e-9]
    noisy = [
        shapely.Polygon(shapely.get_coordinates(cell)[:-1] + random.choice(off, (4, 2)))
        for cell in cells
    ]
    layer = grids(*noisy)
    mended = mending.repair(layer, within=shapely.box(1e7, 1e7, 1e7 + 500, 1e7 + 500))
    assert len(mended.changes) == len(mended.left) == 0
    assert (mended.grids.geometry.to_wkb() == layer.geometry.to_wkb()).all()


def test_a_polygon_of_many_vertices() -> None:
    disc = circle(200_000)
    dented = disc.difference(shapely.box(X + 9_999, Y - 1, X + 10_001, Y + 1))
    mended = mending.repair(grids(dented), within=disc)
    assert list(mended.changes["kind"]) == ["rim_gap"]
    assert mended.report.verdict == "clean"
    assert mended.grids.geometry.item().symmetric_difference(disc).area < 1e-6


def test_two_circles_of_thousands_of_vertices_in_a_third() -> None:
    """Every edge of one crosses one of the other: thousands of crumbs astride the outline."""
    mended = mending.repair(grids(circle(20_000), circle(19_999)), within=circle(20_000))
    assert list(mended.changes["kind"]) == ["duplicate_geometry"]
    assert mended.report.verdict == "clean"


def test_strips_that_cross_everywhere() -> None:
    """One way they are cut to crumbs by the other, and crumbs of slivers go part by part."""
    size = 400.0
    across = [shapely.box(x, Y, x + 5.0, Y + size) for x in np.arange(X, X + size, 10)]
    along = [shapely.box(X, y, X + size, y + 5.0) for y in np.arange(Y, Y + size, 10)]
    outline = shapely.box(X, Y, X + size, Y + size)
    mended = mending.repair(grids(*across, *along), within=outline, max_gap_m=10.0)
    assert not {"overlap", "gap", "rim_gap"} & set(mended.left["kind"])
    assert mended.report.coverage_percent == "100.0000"
    assert mended.changes["moved_m"].max() <= 10.0
    assert set(mended.left["kind"]) <= {"sliver", "multipart"}
