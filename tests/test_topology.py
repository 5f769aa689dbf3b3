"""The planar graph of a tiling, against shapely and by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from geo_service import topology
from geo_service.errors import InputError


def same_bytes(a: Any, b: Any) -> bool:
    return bool((shapely.to_wkb(np.asarray(a)) == shapely.to_wkb(np.asarray(b))).all())


def lattice(columns: int, rows: int) -> np.ndarray:
    return np.array([box(x, y, x + 1, y + 1) for y in range(rows) for x in range(columns)], object)


def test_two_boxes_share_one_arc() -> None:
    graph = topology.build([box(0, 0, 1, 1), box(1, 0, 2, 1)])
    shared = np.flatnonzero((graph.left >= 0) & (graph.right >= 0))
    assert graph.arcs == 3
    assert len(shared) == 1
    assert {tuple(p) for p in graph.arc(int(shared[0])).tolist()} == {(1.0, 0.0), (1.0, 1.0)}
    assert sorted(map(tuple, graph.xy[graph.nodes].tolist())) == [(1.0, 0.0), (1.0, 1.0)]
    assert graph.faces == 2


def test_left_and_right_do_not_depend_on_ring_direction() -> None:
    ccw = box(0, 0, 1, 1)
    for left in (ccw, ccw.reverse()):
        for right in (box(1, 0, 2, 1), box(1, 0, 2, 1).reverse()):
            graph = topology.build([left, right])
            arc = int(np.flatnonzero((graph.left >= 0) & (graph.right >= 0))[0])
            going_up = graph.arc(arc)[0, 1] < graph.arc(arc)[-1, 1]
            assert (graph.left[arc], graph.right[arc]) == ((0, 1) if going_up else (1, 0))


def test_a_lattice_obeys_eulers_formula() -> None:
    graph = topology.build(lattice(6, 5))
    ends = {
        *graph.arc_vertices[graph.arc_offsets[:-1]],
        *graph.arc_vertices[graph.arc_offsets[1:] - 1],
    }
    assert len(ends) - graph.arcs + (graph.faces + 1) == 2
    a, b, length = graph.neighbours()
    assert len(a) == 5 * 5 + 4 * 6
    assert (a < b).all()
    assert length.tolist() == [1.0] * len(a)


def test_an_enclave_without_nodes_is_one_closed_arc() -> None:
    hole = box(2, 2, 4, 4)
    ring = shapely.Polygon(box(0, 0, 9, 9).exterior, [hole.exterior])
    turned = shapely.Polygon([*hole.exterior.coords[2:], *hole.exterior.coords[1:3]])
    graph = topology.build([ring, turned])
    assert graph.arcs == 2
    assert graph.neighbours()[2].tolist() == [8.0]
    assert same_bytes(graph.to_geometries(), [ring, turned])


def test_holes_multiparts_and_ring_starts_come_back_byte_for_byte() -> None:
    multi = shapely.MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)])
    middle = shapely.Polygon([(2, 1), (1, 1), (1, 0), (2, 0)])
    around = shapely.Polygon(
        box(-5, -5, 9, 9).exterior,
        [[(0, 0), (0, 1), (1, 1), (2, 1), (3, 1), (3, 0), (2, 0), (1, 0)]],
    )
    layer = [multi, middle, around, shapely.MultiPolygon([box(20, 0, 21, 1)])]
    graph = topology.build(layer)
    assert same_bytes(graph.to_geometries(), layer)
    assert len(graph.doubled) == 0


def test_an_overlap_is_told_and_a_gap_stays_open() -> None:
    twice = topology.build([box(0, 0, 1, 1), box(0, 0, 1, 1)])
    assert twice.doubled.tolist() == [[0, 1]]
    rim = len(topology.build(lattice(3, 3)).open_arcs)
    holed = np.delete(lattice(3, 3), 4)
    assert len(topology.build(holed).open_arcs) == rim + 4


def test_a_border_drawn_differently_is_not_shared() -> None:
    left = box(0, 0, 1, 1)
    right = shapely.Polygon([(1, 0), (2, 0), (2, 1), (1, 1), (1, 0.5)])
    graph = topology.build([left, right])
    assert len(graph.neighbours()[0]) == 0
    assert len(graph.open_arcs) == graph.arcs == 4


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ([box(0, 0, 1, 1), shapely.Point(0, 0)], "not_polygons"),
        ([None], "geometry_missing"),
        ([shapely.Polygon()], "geometry_missing"),
    ],
)
def test_what_is_no_polygon_is_refused(layer: list[Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        topology.build(layer)
    assert caught.value.code == code


def test_an_empty_layer_is_an_empty_graph() -> None:
    graph = topology.build([])
    assert (graph.faces, graph.arcs, len(graph.to_geometries())) == (0, 0, 0)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(4, 40),
    turn=st.integers(0, 10_000),
)
def test_any_tiling_comes_back(
    tiling: Callable[..., Any], seed: int, count: int, turn: int
) -> None:
    grids, outline = tiling(count, seed)
    random = np.random.default_rng(turn)
    layer = np.array([_turned(p, random) for p in grids.geometry], object)
    layer = layer[random.permutation(len(layer))]
    graph = topology.build(layer)
    assert same_bytes(graph.to_geometries(), layer)
    assert len(graph.doubled) == 0
    lengths = graph.arc_lengths()
    assert lengths[graph.open_arcs].sum() == pytest.approx(outline.length)
    a, b, length = graph.neighbours()
    expected = shapely.length(shapely.intersection(layer[a], layer[b]))
    assert length == pytest.approx(expected)
    touching = shapely.relate_pattern(layer[:, None], layer[None, :], "****1****")
    assert len(a) == np.count_nonzero(np.triu(touching, 1))


def _turned(polygon: Any, random: np.random.Generator) -> Any:
    """Another ring start and, by chance, another direction."""
    xy = shapely.get_coordinates(polygon)[:-1]
    xy = np.roll(xy, random.integers(len(xy)), axis=0)
    return shapely.Polygon(xy if random.random() < 0.5 else xy[::-1])


@pytest.mark.real
def test_london_comes_back_byte_for_byte(real_data: Path) -> None:
    frame = gpd.read_file(real_data / "coverages" / "london_oa.gpkg", rows=6000)
    layer = shapely.force_2d(np.asarray(frame.geometry.values, object))
    assert same_bytes(topology.build(layer).to_geometries(), layer)
