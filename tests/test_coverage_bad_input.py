"""Whatever is handed in: a clear fault or a clear error, never a traceback, never a hang."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geo_service import cli, coverage
from geo_service.errors import GeoServiceError, InputError

CRS = 4547
X, Y = 480_000.0, 3_760_000.0


def square(x: float = 0.0, y: float = 0.0, side: float = 100.0) -> shapely.Polygon:
    return shapely.box(X + x, Y + y, X + x + side, Y + y + side)


def grids(*shapes: Any, crs: Any = CRS, **columns: Any) -> gpd.GeoDataFrame:
    codes = [f"411002001001{k:03d}" for k in range(1, len(shapes) + 1)]
    return gpd.GeoDataFrame({"code": codes, **columns}, geometry=list(shapes), crs=crs)


def with_vertex(value: float) -> shapely.Polygon:
    xy = shapely.get_coordinates(square())
    xy[2, 0] = value
    return shapely.set_coordinates(square(), xy)


def circle(vertices: int) -> shapely.Polygon:
    angle = np.linspace(0.0, 2 * np.pi, vertices, endpoint=False)
    return shapely.Polygon(np.column_stack([X + 1e4 * np.cos(angle), Y + 1e4 * np.sin(angle)]))


def refused(layer: Any, **options: Any) -> str:
    with pytest.raises(GeoServiceError) as error:
        coverage.check(layer, **options)
    assert error.value.message("zh") != error.value.message("en")
    return error.value.code


class TestRefused:
    def test_no_polygon_at_all(self):
        assert refused(grids()) == "layer_empty"

    def test_no_geometry(self):
        assert refused(grids(square(), None)) == "geometry_missing"

    def test_empty_geometry(self):
        assert refused(grids(square(), shapely.Polygon())) == "geometry_missing"
        assert refused(grids(square(), shapely.MultiPolygon())) == "geometry_missing"

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_coordinates_that_are_none(self, value):
        assert refused(grids(square(), with_vertex(value))) == "coordinate_not_finite"

    def test_points_and_lines_among_polygons(self):
        for stranger in (
            shapely.Point(X, Y),
            shapely.LineString([(X, Y), (X + 1, Y)]),
            shapely.GeometryCollection([square(), shapely.Point(X, Y)]),
        ):
            assert refused(grids(square(), stranger)) == "not_polygons"

    def test_an_outline_that_is_none(self):
        for outline in (shapely.Polygon(), shapely.Point(X, Y), with_vertex(np.nan)):
            assert refused(grids(square()), within=outline) in {
                "geometry_missing", "not_polygons", "coordinate_not_finite",
            }  # fmt: skip


class TestJudged:
    def test_rings_collapsed_to_lines(self):
        flat = shapely.Polygon([(X, Y), (X + 100, Y), (X + 50, Y), (X, Y)])
        point = shapely.Polygon([(X, Y)] * 4)
        report = coverage.check(grids(square(), flat, point), within=square())
        assert report.verdict == "faults"
        told = report.faults[report.faults["kind"].isin(["invalid_geometry", "self_intersection"])]
        assert {code for codes in told["codes"] for code in codes} == {
            "411002001001002", "411002001001003",
        }  # fmt: skip
        json.dumps(report.to_dict())

    def test_only_collapsed_rings(self):
        report = coverage.check(grids(shapely.Polygon([(X, Y)] * 4)))
        assert report.verdict == "faults"
        json.dumps(report.to_dict())

    def test_heights(self):
        lifted = grids(shapely.force_3d(square(), 5.0), square(100))
        report = coverage.check(lifted)
        assert report.verdict == "clean"
        assert "z_dropped" in [note.code for note in report.notes]

    def test_a_million_vertices(self):
        report = coverage.check(grids(circle(1_000_000)))
        assert report.verdict == "clean"
        assert report.coverage_percent == "100.0000"

    def test_many_vertices_drawn_twice_and_apart(self):
        """Two drawings of one circle: each lies on the other side at every vertex."""
        report = coverage.check(grids(circle(20_000)), within=circle(19_999))
        assert set(report.counts) <= {"outline_mismatch", "edge_mismatch"}
        assert report.verdict == "clean"  # micrometres

    def test_one_polygon(self):
        assert coverage.check(grids(square()), within=square()).verdict == "clean"

    def test_one_polygon_that_crosses_itself(self):
        bow = shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)])
        report = coverage.check(grids(bow))
        assert "self_intersection" in report.counts

    def test_the_same_polygon_only(self):
        report = coverage.check(grids(*[square()] * 50), within=square())
        assert report.counts == {"duplicate_geometry": 1}
        assert len(report.faults["codes"].iloc[0]) == 50

    def test_many_of_the_same(self):
        report = coverage.check(grids(*[square()] * 3000))
        assert report.counts["duplicate_geometry"] == 1

    def test_noise_below_the_rounding_of_large_coordinates(self):
        """1e-9 m at 1e7 m is nothing a double can tell from nothing."""
        random = np.random.default_rng(0)
        cells = [
            shapely.box(1e7 + x, 1e7 + y, 1e7 + x + 100, 1e7 + y + 100)
            for x in range(0, 1000, 100)
            for y in range(0, 1000, 100)
        ]
        noisy = [
            shapely.Polygon((xy := shapely.get_coordinates(cell)[:-1])
                            + random.choice([-1.9e-9, 0.0, 1.9e-9], xy.shape))
            for cell in cells
        ]  # fmt: skip
        report = coverage.check(grids(*noisy), within=shapely.box(1e7, 1e7, 1e7 + 1000, 1e7 + 1000))
        assert report.verdict == "clean"
        assert report.coverage_percent == "100.0000"

    def test_codes_twice_and_none(self):
        layer = grids(*(square(100 * k) for k in range(5)))
        layer["code"] = ["411002001001001", "411002001001001", None, "", float("nan")]
        report = coverage.check(layer)
        assert report.counts["code_duplicate"] == 1
        empty = report.faults[report.faults["kind"] == "attribute_missing"]
        assert sorted(empty["codes"].explode()) == ["row 3", "row 4", "row 5"]
        json.dumps(report.to_dict())

    def test_no_coordinate_system(self):
        report = coverage.check(grids(square(), square(100), crs=None))
        assert report.verdict == "clean"
        assert report.crs is None
        assert "crs_absent" in [note.code for note in report.notes]

    def test_an_outline_that_crosses_itself(self):
        bow = shapely.Polygon([(X, Y), (X + 100, Y + 100), (X + 100, Y), (X, Y + 100)])
        report = coverage.check(grids(square()), within=bow)
        assert "outline_invalid" in [note.code for note in report.notes]
        assert "self_intersection" in set(report.reference["kind"])

    def test_ten_thousand_shifted_copies(self):
        shift = np.random.default_rng(3).uniform(0.0, 5.0, (10_000, 2))
        pile = [shapely.box(X + x, Y + y, X + x + 100, Y + y + 100) for x, y in shift]
        report = coverage.check(grids(*pile))
        assert report.counts["overlap"] == 1
        assert len(report.faults.query("kind == 'overlap'")["codes"].item()) == 10_000

    def test_hundreds_of_strips_across_hundreds(self):
        strips = [shapely.box(X, Y + 10 * k, X + 3000, Y + 10 * k + 4) for k in range(300)]
        strips += [shapely.box(X + 10 * k, Y, X + 10 * k + 4, Y + 3000) for k in range(300)]
        with pytest.raises(InputError) as refused:
            coverage.check(grids(*strips))
        assert refused.value.code == "layer_tangled"
        assert refused.value.details["count"] == "300"

    def test_forty_shifted_copies_are_told(self):
        shift = np.random.default_rng(3).uniform(0.0, 5.0, (40, 2))
        pile = [shapely.box(X + x, Y + y, X + x + 100, Y + y + 100) for x, y in shift]
        assert coverage.check(grids(*pile)).counts["overlap"]

    def test_one_shape_over_all_the_others_is_no_pile(self):
        many = [square(100 * k, 100 * n) for k in range(60) for n in range(60)]
        cover = shapely.box(X, Y, X + 6000, Y + 6000)
        assert coverage.check(grids(cover, *many)).counts["overlap"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}, None),
        ({"type": "Polygon", "coordinates": []}, None),
        ({"type": "Point", "coordinates": [113.8, 34.0]}, "not_polygons"),
        (None, None),
    ],
)
def test_the_command_line_answers_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: Any, code: str | None
) -> None:
    path = tmp_path / "layer.geojson"
    feature = {"type": "Feature", "properties": {"code": "411002001001001"}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), "utf-8")
    with pytest.raises(SystemExit) as left:
        cli.main(["check", str(path), "--json"])
    written = capsys.readouterr()
    told = json.loads(written.out)
    assert left.value.code in {1, 2}
    assert "Traceback" not in written.err
    if left.value.code == 2:
        assert told["error"]["code"] == (code or told["error"]["code"])
        assert told["error"]["zh" if "zh" in told["error"] else "message"]
    else:
        assert told["counts"]
