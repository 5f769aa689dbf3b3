"""Where a layer lies: honest borders are left alone, shifts and moves told with their metres."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import osmium
import pytest
import shapely

from geo_service import boundary_files, cli, crs, placement
from geo_service.demo_city import DemoCity
from geo_service.errors import InputError
from geo_service.store import create_store

Frame = gpd.GeoDataFrame


def transformed(frame: Frame, change: Callable[[np.ndarray], np.ndarray]) -> Frame:
    moved = shapely.transform(frame.geometry.to_numpy(), change)
    return frame.set_geometry(gpd.GeoSeries(moved, index=frame.index, crs=frame.crs))


def shifted(frame: Frame, datum: str) -> Frame:
    """The frame as one draws it on a web map and projects it unawares."""
    plane = crs.Plane.of(frame.crs)

    def shift(xy: np.ndarray) -> np.ndarray:
        lon, lat = crs.from_wgs84(*plane.inverse(*xy.T), datum=datum)
        return np.column_stack(plane.forward(lon, lat, datum="wgs84"))

    return transformed(frame, shift)


def moved(frame: Frame, east_m: float, north_m: float) -> Frame:
    return transformed(frame, lambda xy: xy + np.array([east_m, north_m]))


@pytest.fixture(scope="module")
def county(small_city: DemoCity) -> tuple[Frame, Frame]:
    """The grids of one county, and its outline."""
    grids = small_city.grids
    inside = grids["code"].str.startswith("411081")
    return grids[inside], small_city.counties[small_city.counties["code"] == "411081"]


@pytest.mark.parametrize(("datum", "about_m"), [("gcj02", 595.0), ("bd09", 1285.0)])
def test_a_web_map_shift_is_told_with_its_metres(
    county: tuple[Frame, Frame], datum: str, about_m: float
) -> None:
    grids, outline = county
    found = placement.compare(shifted(grids, datum), outline)
    assert (found.verdict, found.shift) == ("datum", datum)
    assert found.move_m == pytest.approx(about_m, rel=0.03)
    assert found.before_m > 150.0
    assert found.after_m < 0.1
    note = found.note()
    assert note is not None
    assert f"--datum {datum}" in note.en
    assert f"--datum {datum}" in note.zh


def test_a_shift_is_told_in_degrees_too_and_beside_parents(small_city: DemoCity) -> None:
    grids = shifted(small_city.grids, "gcj02").to_crs(4490)
    for reference in (small_city.outline, small_city.counties, small_city.townships):
        assert placement.compare(grids, reference).shift == "gcj02"


def test_part_of_a_rim_is_enough(small_city: DemoCity) -> None:
    """A township's grids share only some of their rim with the county's line."""
    county = small_city.counties[small_city.counties["code"] == "411081"]
    line = county.geometry.iloc[0].boundary
    townships = small_city.townships[small_city.townships["code"].str.startswith("411081")]
    shared = townships.geometry.apply(lambda g: g.boundary.intersection(line).length / g.length)
    code = townships["code"].iloc[int(np.argmax(shared.to_numpy()))]
    assert 0.15 < shared.max() < 0.9
    grids = small_city.grids[small_city.grids["code"].str.startswith(code)]
    assert placement.compare(shifted(grids, "gcj02"), county).shift == "gcj02"
    assert placement.compare(grids, county).verdict == "fits"


def test_the_outline_itself_may_carry_the_shift(county: tuple[Frame, Frame]) -> None:
    grids, outline = county
    found = placement.compare(grids, shifted(outline, "gcj02"))  # as DataV serves it
    assert found.shift == "reference_gcj02"
    note = found.note()
    assert note is not None
    assert note.code == "reference_datum_suspected"


@pytest.mark.parametrize("ribbon_m", [0.0, 5.0, 50.0])
def test_honest_borders_are_left_alone(county: tuple[Frame, Frame], ribbon_m: float) -> None:
    """Grids whose line leaves the outline by up to 50 m are careless, not shifted."""
    grids, outline = county
    rng = np.random.default_rng(5)
    phases = rng.uniform(0, 2 * np.pi, 4)

    def wander(xy: np.ndarray) -> np.ndarray:
        x, y = xy.T / 700.0
        east = np.sin(x + phases[0]) + np.sin(1.7 * y + phases[1])
        north = np.cos(1.3 * x + phases[2]) + np.sin(y + phases[3])
        return xy + ribbon_m / 2 * np.column_stack([east, north])

    found = placement.compare(transformed(grids, wander), outline)
    assert found.verdict == "fits"
    assert found.note() is None


def test_an_outline_drawn_coarsely_is_no_shift(county: tuple[Frame, Frame]) -> None:
    grids, outline = county
    coarse = outline.set_geometry(outline.simplify(300.0))
    assert placement.compare(grids, coarse).note() is None


def test_neighbours_and_strangers_are_elsewhere_not_shifted(small_city: DemoCity) -> None:
    counties = small_city.counties
    grids = small_city.grids
    for code in ("411024", "411025", "411082"):
        mine = grids[grids["code"].str.startswith(code)]
        found = placement.compare(mine, counties[counties["code"] == "411081"])
        assert found.verdict == "elsewhere"
        assert found.move_m > 5_000.0


def test_an_inner_township_says_nothing(small_city: DemoCity) -> None:
    """Nothing of its rim runs along the city's line: nothing can be told or claimed."""
    grids = small_city.grids[small_city.grids["code"].str.startswith("411002")]
    for frame in (grids, shifted(grids, "gcj02")):
        found = placement.compare(frame, small_city.outline)
        assert found.verdict == "untold"
        assert found.note() is None


@pytest.mark.parametrize("whole", [True, False])
def test_the_right_shape_in_the_wrong_place_is_refused(
    small_city: DemoCity, county: tuple[Frame, Frame], whole: bool
) -> None:
    grids, outline = county
    reference = outline if whole else small_city.counties
    with pytest.raises(InputError) as caught:
        placement.require_place(moved(grids, 9_000.0, 6_300.0), reference, source="yuzhou.shp")
    assert caught.value.code == "place_wrong"
    assert caught.value.details["distance"] == "11.0 km"
    assert "north-east" in caught.value.message("en")
    assert "东北" in caught.value.message("zh")


def test_an_old_datums_hundred_metres_are_told(county: tuple[Frame, Frame]) -> None:
    grids, outline = county
    (note,) = placement.require_place(moved(grids, -78.0, 60.0), outline, source="g.shp")
    assert note.code == "place_suspected"
    assert "98 m to the north-west" in note.en
    assert "Xi'an 1980" in note.en


def test_the_wrong_zone_is_told_with_the_place_it_lands_in(county: tuple[Frame, Frame]) -> None:
    grids, outline = county
    wrong = grids.set_crs(4548, allow_override=True)
    with pytest.raises(InputError) as caught:
        placement.require_place(wrong, outline, source="g.shp")
    assert caught.value.code == "zone_wrong"
    assert caught.value.details["proposal"] == "EPSG:4547"
    assert "261 km east of Zhengzhou (Henan)" in caught.value.message("en")
    assert "276.3 km to the east of where it should" in caught.value.message("en")


def test_the_answer_does_not_depend_on_the_order_of_features(county: tuple[Frame, Frame]) -> None:
    grids, outline = county
    off = shifted(grids, "bd09")
    answers = {placement.compare(off.sample(frac=1.0, random_state=s), outline) for s in range(3)}
    assert len(answers) == 1


def test_a_jittered_layer_still_has_one_rim(tiling: Any) -> None:
    """Where every border is drawn twice, 3 mm apart, only the outer line is the rim."""
    grids, outline = tiling(60)
    rng = np.random.default_rng(3)

    def trembling(grid: shapely.Polygon) -> shapely.Polygon:
        xy = shapely.get_coordinates(grid)[:-1]
        return shapely.Polygon(xy + rng.uniform(-0.003, 0.003, xy.shape))

    jittered = np.array([trembling(grid) for grid in grids.geometry], dtype=object)
    rim = placement.rim_points(jittered, degrees=False)
    off = shapely.distance(shapely.points(rim), outline.exterior)
    assert len(rim) > 100
    assert np.quantile(off, 0.95) < 0.01


def test_an_import_is_told_and_a_misplaced_one_refused(
    small_city: DemoCity, county: tuple[Frame, Frame], tmp_path: Path
) -> None:
    grids, _ = county
    with create_store(tmp_path / "city.gpkg", plane="EPSG:4547") as store:
        store.publish(store.create_draft("city", small_city.outline).id)
        store.publish(store.create_draft("counties", small_city.counties).id)
        honest = store.create_draft("grids", grids, replace_within="411081")
        assert not [n for n in honest.notes if "suspected" in n["code"]]
        amap = store.create_draft(
            "grids", shifted(grids, "gcj02").to_crs(4490), replace_within="411081"
        )
        assert amap.notes[0]["code"] == "datum_suspected"
        for wrong, code in (
            (moved(grids, 9_000.0, 6_300.0), "place_wrong"),
            (moved(grids, 400_000.0, 0.0).iloc[:9], "place_elsewhere"),
        ):
            with pytest.raises(InputError) as caught:
                store.create_draft("grids", wrong, replace_within="411081")
            assert caught.value.code == code
        assert len(store.drafts(state="open")) == 2


def test_a_check_tells_the_shift_first(
    county: tuple[Frame, Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grids, outline = county
    file, within = tmp_path / "amap.gpkg", tmp_path / "county.gpkg"
    shifted(grids, "gcj02").to_file(file)
    outline.to_file(within)
    with pytest.raises(SystemExit) as left:
        cli.main(["check", str(file), "--within", str(within), "--json"])
    assert left.value.code == 1
    assert json.loads(capsys.readouterr().out)["read"][0]["code"] == "datum_suspected"
    with pytest.raises(SystemExit):
        cli.main(["check", str(file), "--within", str(within), "--json", "--datum", "gcj02"])
    told = json.loads(capsys.readouterr().out)
    assert "datum_suspected" not in {n["code"] for n in told["read"]}
    assert float(told["coverage_percent"]) > 99.999


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:Could not decode error message")
def test_real_layers_are_not_called_shifted(real_data: Path) -> None:
    """Denver's precincts beside its blocks: two real layers of one city, drawn apart."""
    precincts = boundary_files.read(real_data / "coverages/DenverCo_precincts2020_orig.zip").frame
    blocks = boundary_files.read(real_data / "coverages/DenverCo_blocks.zip").frame
    assert placement.compare(blocks, precincts).note() is None
    off = placement.compare(moved(blocks.to_crs(32613), 80.0, -60.0), precincts)
    assert (off.verdict, off.move_m) == ("moved", pytest.approx(100.0, abs=2.0))


@pytest.mark.real
@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_real_streets_tell_a_shift_where_no_outline_is_at_hand(real_data: Path, datum: str) -> None:
    """Blocks between the streets of Guixi, as they are and as drawn on a web map."""
    ways = osmium.FileProcessor(real_data / "osm/guixi_jiangxi.osm.pbf").with_locations()
    lines = [
        shapely.LineString([(n.lon, n.lat) for n in way.nodes])
        for way in ways
        if way.is_way() and "highway" in way.tags and len(way.nodes) > 1
    ]
    streets = Frame(geometry=lines, crs=4326)
    blocks = shapely.get_parts(shapely.polygonize([shapely.union_all(lines)]))
    grids = Frame(geometry=blocks, crs=4326)
    assert placement.compare(grids, streets).verdict == "fits"
    found = placement.compare(shifted(grids, datum), streets)
    assert found.shift == datum
    assert found.before_m > 100.0 > 1.0 > found.after_m
