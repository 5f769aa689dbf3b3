"""The command line end to end: a store made of the demo city's files, and every command on it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely

from geo_service import boundary_files, cli, coverage, crs, demo_city, topology
from geo_service.demo_city import DemoCity
from geo_service.store import open_store

LAYERS = ("city", "counties", "townships", "communities", "grids", "micro_grids")
TABLES = ("addresses", "facilities", "candidates", "demand")


@dataclass(frozen=True)
class Said:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]
Place = Path | str
"""A GeoPackage, or a URL."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_(*arguments: object, store: Place | None = None) -> Said:
        capsys.readouterr()
        code = _leave(*arguments, store=store)
        return Said(code, *capsys.readouterr())

    return run_


def _leave(*arguments: object, store: Place | None = None) -> int:
    texts = [str(argument) for argument in arguments]
    with pytest.raises(SystemExit) as left:
        cli.main([*texts, "--store", str(store)] if store else texts)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture(scope="module")
def files(small_city: DemoCity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = demo_city.write(small_city, tmp_path_factory.mktemp("files"))
    return {**found, "city": found["outline"]}


@pytest.fixture(scope="module")
def stored(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every layer published, every table and the streets in it. Read only."""
    store = tmp_path_factory.mktemp("store") / "city.gpkg"
    assert _leave("init", "--title", "test", store=store) == 0
    for draft, layer in enumerate(LAYERS, start=1):
        assert _leave("import", files[layer], "--layer", layer, store=store) == 0
        assert _leave("publish", draft, "--message", "first", store=store) == 0
    for table in TABLES:
        assert _leave(table, "import", files[table], store=store) == 0
    assert _leave("streets", "import", files["streets"], store=store) == 0
    return store


@pytest.fixture
def own(stored: Path, place: Place) -> Place:
    """A copy of the store that a test may change, in each of the homes."""
    with open_store(stored) as store:
        store.copy_to(place)
    return place


# --- drafts and revisions ------------------------------------------------------------------------


def test_init_makes_an_empty_store_once(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "new.gpkg"
    made = run("init", "--plane", "EPSG:4547", "--json", store=store)
    assert (made.code, made.json["plane"]) == (0, "EPSG:4547")
    assert run("drafts", "--json", store=store).json == []
    again = run("init", "--json", store=store)
    assert (again.code, again.json["error"]["code"]) == (2, "store_exists")


def test_a_draft_is_checked_published_and_rolled_back(
    run: Run, own: Place, small_city: DemoCity, tmp_path: Path
) -> None:
    grid, line = _grid_and_line(small_city)
    drawn = run("split", "--code", grid, "--line", line, "--json", store=own).json
    assert drawn["retired"] == [grid]
    assert len(drawn["created"]) == 2
    draft = drawn["draft"]
    assert run("drafts", "--json", store=own).json[-1]["id"] == draft
    checked = run("check", "--draft", draft, "--json", store=own)
    assert (checked.code, checked.json["verdict"]) == (0, "clean")
    assert checked.json["coverage_percent"] == "100.0000"
    published = run(
        "publish", draft, "--message", "two of one", "--author", "a", "--json", store=own
    )
    assert published.json["number"] == 2

    history = run("history", "grids", "--json", store=own).json
    assert [revision["number"] for revision in history] in ([1, 2], [2, 1])
    difference = run("diff", "grids", 1, 2, "--json", store=own).json
    assert difference["removed"] == [grid]
    assert difference["added"] == drawn["created"]

    back = run("rollback", "grids", 1, "--json", store=own).json
    assert (back["number"], back["features"]) == (3, 300)
    assert run("diff", "grids", 1, 3, "--json", store=own).json["added"] == []
    counts = []
    for revision in (1, 2, 3):
        path = tmp_path / f"r{revision}.gpkg"
        told = run("export", "grids", "-o", path, "--at", revision, "--json", store=own).json
        assert told["features"] == len(boundary_files.read(path).frame)
        counts.append(told["features"])
    assert counts == [300, 301, 300]


def test_a_dirty_draft_is_not_published(run: Run, own: Place, files: dict[str, Path]) -> None:
    draft = run("import", files["dirty"], "--layer", "grids", "--json", store=own).json["id"]
    assert run("check", "--draft", draft, "--json", store=own).code == 1
    refused = run("publish", draft, "--json", store=own)
    assert (refused.code, refused.json["error"]["code"]) == (1, "draft_has_faults")
    assert len(run("history", "grids", "--json", store=own).json) == 1
    assert run("discard", draft, "--json", store=own).json == {"discarded": draft}
    states = {row["id"]: row["state"] for row in run("drafts", "--json", store=own).json}
    assert states.get(draft, "discarded") == "discarded"


def test_a_county_is_replaced_in_the_planners_own_form(
    run: Run, own: Place, files: dict[str, Path]
) -> None:
    draft = run("import", files["upload"], "--layer", "grids", "--replace-within", "411002",
                "--json", store=own).json  # fmt: skip
    assert draft["replace_within"] == "411002"
    assert run("check", "--draft", draft["id"], "--json", store=own).json["verdict"] == "clean"


def test_export_is_the_layer_itself(
    run: Run, stored: Path, small_city: DemoCity, tmp_path: Path
) -> None:
    path = tmp_path / "grids.gpkg"
    assert run("export", "grids", "-o", path, store=stored).code == 0
    written = boundary_files.read(path).frame.set_index("code").geometry
    drawn = small_city.grids.set_index("code").geometry
    assert (written[drawn.index].to_wkb() == drawn.to_wkb()).all()


# --- where is it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("datum", ["wgs84", "cgcs2000", "gcj02", "bd09", "EPSG:4547"])
def test_every_datum_gives_the_same_grid(
    run: Run, stored: Path, small_city: DemoCity, datum: str
) -> None:
    for place in small_city.demand.iloc[[0, 150, 299]].itertuples():
        if datum == "EPSG:4547":
            x, y = crs.Plane.of(4547).forward(place.lon, place.lat, datum="wgs84")
        else:
            x, y = crs.from_wgs84(np.array([place.lon]), np.array([place.lat]), datum=datum)
        x, y = float(np.ravel(x)[0]), float(np.ravel(y)[0])
        found = run("locate", "--lon", x, "--lat", y, "--datum", datum, "--json", store=stored)
        assert found.code == 0
        assert found.json["grid"]["code"] == place.code
        chain = {step["level"]: step["code"] for step in found.json["chain"]}
        assert chain["city"] == "411000"
        assert chain["community"] == place.code[:12]
        assert found.json["revision"] == 1
        assert found.json["border_distance_m"] > 0


def test_outside_the_city_the_nearest_grid_is_told(run: Run, stored: Path) -> None:
    found = run("locate", "--lon", 116.4, "--lat", 39.9, "--datum", "wgs84", "--json", store=stored)
    assert (found.code, found.json["found"], found.json["reason"]) == (1, False, "outside")
    assert found.json["nearest"]["distance_m"] > 500_000


def test_addresses_are_found_or_refused(run: Run, stored: Path, small_city: DemoCity) -> None:
    for row in small_city.addresses.iloc[::100].itertuples():
        found = run("locate", "--address", row.address, "--json", store=stored)
        assert found.json["grid"]["code"] == row.code
    unknown = run("locate", "--address", "河南省许昌市无此路9999号", "--json", store=stored)
    assert (unknown.code, unknown.json["found"]) == (1, False)
    assert unknown.json["reason"].startswith("address_")
    told = run("locate", "--address", "?毕宄强h", store=stored)
    assert (told.code, "address_" in told.out, "unreadable" in told.out) == (1, False, True)


def test_a_table_is_located_row_by_row(
    run: Run, stored: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "located.csv"
    told = run("locate", "--csv", files["demand"], "--datum", "wgs84", "-o", out, "--json",
               store=stored).json  # fmt: skip
    assert (told["rows"], told["found"]) == (300, 300)
    located = pd.read_csv(out, dtype=str)
    assert (located["grid_code"] == located["code"]).all()


# --- on foot -------------------------------------------------------------------------------------


def test_catchments_nest(run: Run, stored: Path, small_city: DemoCity, tmp_path: Path) -> None:
    place = _by_a_street(small_city)
    out = tmp_path / "areas.geojson"
    told = run("catchment", "--lon", place.lon, "--lat", place.lat, "--minutes", "5,10,15",
               "-o", out, "--json", store=stored).json  # fmt: skip
    areas = {
        feature["properties"]["minutes"]: shapely.geometry.shape(feature["geometry"])
        for feature in told["features"]
    }
    assert sorted(areas) == [5, 10, 15]
    assert all(area.is_valid and area.area > 0 for area in areas.values())
    assert areas[15].covers(areas[10])
    assert areas[10].covers(areas[5])
    assert len(gpd.read_file(out)) == 3


def test_a_route_is_no_shorter_than_a_line(run: Run, stored: Path, small_city: DemoCity) -> None:
    place = _by_a_street(small_city)
    goal = small_city.buildings[small_city.buildings["code"] == place.code].iloc[1]
    told = run("route", "--from", f"{place.lon},{place.lat}", "--to", f"{goal.lon},{goal.lat}",
               "--json", store=stored).json  # fmt: skip
    x, y = crs.Plane.of(4547).forward(
        np.array([place.lon, goal.lon]), np.array([place.lat, goal.lat]), datum="wgs84"
    )
    assert told["length_m"] >= np.hypot(*np.diff([x, y])).item() * 0.999
    assert told["minutes"] > 0
    assert told["geometry"]["type"] == "LineString"


@pytest.mark.parametrize(("kind", "count"), [("rest_station", 3), ("canteen", 2)])
def test_sites_are_proposed_with_a_bound(
    run: Run, stored: Path, tmp_path: Path, kind: str, count: int
) -> None:
    out = tmp_path / "sites.geojson"
    told = run("site", "--kind", kind, "--count", count, "--seconds", 2, "-o", out, "--json",
               store=stored).json  # fmt: skip
    assert 1 <= len(told["sites"]) <= count
    assert told["objective"] <= told["bound"]
    assert told["covered_after"] > told["covered_before"]
    assert {"id", "lon", "lat", "newly_covered", "only_here", "nearest_existing_m"} <= set(
        told["sites"][0]
    )
    assert len(gpd.read_file(out)) == len(told["sites"])


def test_several_kinds_share_premises(run: Run, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "sites.xlsx"
    told = run("site", "--kind", "驿站,canteen", "--count", "3,2", "--seconds", 4, "-o", out,
               "--json", store=stored).json  # fmt: skip
    assert list(told["kinds"]) == ["rest_station", "canteen"]
    for kind, most in (("rest_station", 3), ("canteen", 2)):
        ids = {site["id"] for site in told["kinds"][kind]["sites"]}
        assert 1 <= len(ids) <= most
        assert ids == {one["id"] for one in told["premises"] if kind in one["kinds"]}
    assert told["objective"] <= told["bound"]
    assert {"合用场所", "canteen·建议点位"} <= set(openpyxl.load_workbook(out).sheetnames)
    said = run("site", "--kind", "rest_station,canteen", "--count", 2, "--seconds", 2,
               store=stored).out  # fmt: skip
    assert "处场所" in said or "premises" in said


def test_life_circles_become_a_spreadsheet(run: Run, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "circles.xlsx"
    told = run("life-circles", "--limit", 5, "-o", out, "--json", store=stored).json
    assert told["circles"] == 5
    book = openpyxl.load_workbook(out)
    assert {"缺项清单", "未落地设施清单", "项目行动计划表"} <= set(book.sheetnames)
    header, *rows = book["缺项清单"].iter_rows(values_only=True)
    codes = [row[header.index("生活圈编码")] for row in rows]
    assert codes
    assert all(isinstance(code, str) and len(code) == 12 for code in codes)
    assert len(rows) == len(told["missing"])


# --- grids drawn ---------------------------------------------------------------------------------


def test_split_and_merge_of_a_file_stay_a_tiling(
    run: Run, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    grid, line = _grid_and_line(small_city)
    outline = small_city.outline.geometry.union_all()
    halves = tmp_path / "split.gpkg"
    told = run("split", files["grids"], "--code", grid, "--line", line, "-o", halves, "--json").json
    assert told["notes"][1]["code"] == "divided_by_area"
    layer = boundary_files.read(halves).layer_frame()
    assert len(layer) == 301
    assert coverage.certificate(layer.geometry.to_numpy(), outline).clean
    whole = tmp_path / "merged.gpkg"
    run("merge", halves, "--codes", ",".join(told["created"]), "-o", whole, "--json")
    merged = boundary_files.read(whole).layer_frame()
    assert len(merged) == 300
    assert coverage.certificate(merged.geometry.to_numpy(), outline).clean


def test_a_split_counts_households_where_they_live(
    run: Run, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    grid, line = _grid_and_line(small_city)
    people = tmp_path / "people.csv"
    small_city.buildings[["lon", "lat", "households"]].to_csv(people, index=False)
    out = tmp_path / "split.gpkg"
    words = ("split", files["grids"], "--code", grid, "--line", line, "-o", out)
    told = run(*words, "--households", people, "--json").json
    assert told["notes"][1]["code"] == "divided_by_homes"
    assert "请核对" not in told["notes"][1]["zh"]  # the houses hold what the grid holds
    said = run(*words, "--households", people)
    assert told["notes"][1]["en"] in " ".join(said.out.split())
    refused = run("split", "--code", grid, "--line", line, "--households", people, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "parameter_invalid")


def test_a_draft_is_edited_undone_and_redone(
    run: Run, own: Place, small_city: DemoCity, tmp_path: Path
) -> None:
    grid, line = _grid_and_line(small_city)
    cut = run("split", "--code", grid, "--line", line, "--author", "李", "--json", store=own).json
    draft = cut["draft"]
    joined = run(
        "merge", "--codes", ",".join(cut["created"]), "--draft", draft, "--json", store=own
    )
    assert joined.json["draft"] == draft
    back = run("undo", draft, "--json", store=own).json
    assert sorted(back["created"]) == [cut["created"][1]]
    run("undo", draft, "--json", store=own)
    assert run("undo", draft, "--json", store=own).json["error"]["code"] == "nothing_to_undo"
    assert run("redo", draft, "--json", store=own).json["created"] == cut["created"]

    shape = small_city.grids.set_index("code").geometry[grid]
    spot = shape.representative_point()
    market = spot.buffer(5, quad_segs=2)
    run("undo", draft, "--json", store=own)
    out = tmp_path / "market.gpkg"
    made = run("cut-out", "--code", grid, "--premises", market.wkt, "--name", "市场",
               "--draft", draft, "-o", out, "--json", store=own).json  # fmt: skip
    (new,) = made["created"]
    layer = boundary_files.read(out).layer_frame().set_index("code")
    assert layer.geometry[new].area == pytest.approx(market.area)
    away = {"op": "move_node", "at": [spot.x, spot.y], "to": [spot.x + 1, spot.y]}
    refused = run("edit", "--operation", json.dumps(away), "--json", store=own)
    assert (refused.code, refused.json["error"]["code"]) == (2, "drawing_impossible")
    states = [each["state"] for each in run("drafts", "--json", store=own).json]
    assert states[-2:] == ["open", "discarded"]  # what was made for the refused edit alone


def test_a_border_is_moved_and_made_straight(
    run: Run, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    grids = small_city.grids
    graph = topology.build(grids.geometry.to_numpy())
    of = grids["parent_code"].to_numpy()
    inner = [
        k
        for k in range(graph.arcs)
        if min(graph.left[k], graph.right[k]) >= 0
        and of[graph.left[k]] == of[graph.right[k]]
        and len(graph.arc(k)) > 4
    ]
    arc = graph.arc(inner[0])
    moved = tmp_path / "moved.gpkg"
    at, to = arc[2], (arc[1] + arc[3]) / 2
    told = run("move", files["grids"], "--at", f"{at[0]},{at[1]}", "--to", f"{to[0]},{to[1]}",
               "-o", moved, "--json").json  # fmt: skip
    sides = set(grids["code"].iloc[[graph.left[inner[0]], graph.right[inner[0]]]])
    assert told["changed"] == dict.fromkeys(sides, "node_moved")
    ends = [f"{x},{y}" for x, y in (arc[0], arc[-1])]
    straight = tmp_path / "straight.gpkg"
    told = run("straighten", moved, "--from", ends[0], "--to", ends[1], "-o", straight, "--json")
    assert told.json["changed"] == dict.fromkeys(sides, "border_moved")
    layer = boundary_files.read(straight).layer_frame()
    outline = small_city.outline.geometry.union_all()
    assert coverage.certificate(layer.geometry.to_numpy(), outline).clean


def test_a_community_is_drawn_anew(
    run: Run, stored: Path, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    largest = small_city.grids.groupby("parent_code")["households"].sum().idxmax()
    out = tmp_path / "drawn.gpkg"
    told = run(
        *("draw", "--within", largest, "--streets", files["streets"]),
        *("--households", files["buildings"], "--target", "60-200", "-o", out, "--json"),
        store=stored,
    )
    assert told.code in {0, 1}
    drawn = boundary_files.read(out).layer_frame()
    assert told.json["grids"] == len(drawn) >= 2
    assert drawn["code"].str.startswith(largest).all()
    area = small_city.communities.set_index("code").geometry[largest]
    assert drawn.geometry.area.sum() == pytest.approx(area.area, rel=1e-9)
    held = small_city.grids[small_city.grids["parent_code"] == largest]["households"].sum()
    assert drawn["households"].astype(int).sum() == held


def test_a_township_is_drawn_anew_by_its_communities_and_two_drawings_compared(
    run: Run, stored: Path, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    township = small_city.grids["code"].iloc[0][:9]
    out = tmp_path / "drawn.gpkg"
    told = run(
        *("draw", "--within", township, "--streets", files["streets"]),
        *("--households", files["buildings"], "--target", "60-200"),
        *("--against", 7, "-o", out, "--json"),
        store=stored,
    )
    drawn = boundary_files.read(out).layer_frame()
    wanted = small_city.communities.code[small_city.communities.code.str.startswith(township)]
    assert set(drawn["code"].str[:12]) == set(wanted)
    assert told.json["quality"]["grids"] == told.json["grids"] == len(drawn)
    assert told.json["against"]["seed"] == 7
    assert 0 < told.json["against"]["quality"]["compactness_median"] <= 1
    shown = run(
        *("draw", "--within", township, "--streets", files["streets"]),
        *("--households", files["buildings"], "--target", "60-200", "--against", 7),
        store=stored,
    )
    assert "seed 7" in shown.out or "种子 7" in shown.out


def test_a_drawing_keeps_what_is_to_stay_and_sets_apart_what_stands_alone(
    run: Run, stored: Path, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    grids = small_city.grids
    largest = grids.groupby("parent_code")["households"].sum().idxmax()
    own = grids[grids["parent_code"] == largest]
    kept, host, seeded = own.iloc[0], own.iloc[-1], own.iloc[1]
    middle = host.geometry.representative_point()
    market = gpd.GeoDataFrame(
        {"name": ["大市场"]}, geometry=[middle.buffer(20, cap_style="square")], crs=grids.crs
    )
    market.to_file(tmp_path / "market.gpkg")
    seeds = gpd.GeoDataFrame(
        {"name": ["种子"]}, geometry=[seeded.geometry.representative_point()], crs=grids.crs
    )
    seeds.to_file(tmp_path / "seeds.gpkg")
    out = tmp_path / "drawn.gpkg"
    asked = (
        *("draw", "--within", largest, "--streets", files["streets"], "--target", "60-200"),
        *("--households", files["buildings"], "--dedicated", tmp_path / "market.gpkg"),
    )
    keeping = (*asked, "--fixed", kept["code"], "-o", out)
    told = run(*keeping, "--seeds", tmp_path / "seeds.gpkg", "--json", store=stored)
    assert {"fixed_kept", "stand_alone"} <= {note["code"] for note in told.json["notes"]}
    drawn = boundary_files.read(out).layer_frame().set_index("code")
    assert drawn.geometry[kept["code"]].wkb == kept.geometry.wkb
    assert drawn[drawn["kind"] == "专属网格"]["name"].tolist() == ["大市场"]
    assert coverage.certificate(
        drawn.geometry.to_numpy(), shapely.coverage_union_all(drawn.geometry.to_numpy())
    ).clean
    assert "kept as they are" in (said := run(*keeping, store=stored).out) or "原样保留" in said
    refused = run(*asked, "--fixed", "411002999999001", "--json", store=stored)
    assert (refused.code, refused.json["error"]["code"]) == (2, "code_unknown")
    grouped = run(*asked, "--groups", "team", "--json", store=stored)
    assert (grouped.code, grouped.json["error"]["code"]) == (2, "field_missing")


def test_grids_are_brought_back_into_the_range_and_the_rest_stays(
    run: Run, stored: Path, files: dict[str, Path], small_city: DemoCity, tmp_path: Path
) -> None:
    grids = small_city.grids.set_index("code")
    low, high = (int(each) for each in np.quantile(grids["households"], [0.1, 0.9]))
    most = str(grids["households"].idxmax())
    township = most[:9]
    out = tmp_path / "redrawn.gpkg"
    asked = (
        *("redraw", "--within", township, "--streets", files["streets"], "-o", out),
        *("--households", files["buildings"], "--target", f"{low}-{high}"),
    )
    told = run(*asked, "--fixed", most, "--json", store=stored)
    assert told.code == int(bool(told.json["misses"]))
    redrawn = boundary_files.read(out).layer_frame().set_index("code")
    off = set(redrawn.index[~redrawn["households"].astype(int).between(low, high)])
    assert off == {most, *(miss["code"] for miss in told.json["misses"])}
    assert told.json["operations"]
    untouched = set(grids.index) & set(redrawn.index) - set(told.json["touched"])
    assert most in untouched
    old, new = (frame.geometry[sorted(untouched)].to_numpy() for frame in (grids, redrawn))
    assert shapely.area(shapely.symmetric_difference(old, new)).max() < 1e-6  # a node at most
    area = shapely.coverage_union_all(redrawn.geometry.to_numpy())
    assert coverage.certificate(redrawn.geometry.to_numpy(), area).clean
    shown = run(*asked, store=stored).out
    assert "→" in shown
    assert "no other grid was touched" in shown or "其余网格未动" in shown
    elsewhere = run("redraw", "--within", "411099", *asked[3:], "--json", store=stored)
    assert (elsewhere.code, elsewhere.json["error"]["code"]) == (2, "code_unknown")


def test_a_crosswalk_shares_out_every_grid(
    run: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "crosswalk.xlsx"
    told = run("crosswalk", files["grids"], files["townships"], "-o", out, "--json").json
    shares = pd.DataFrame(told["rows"])
    assert shares.groupby("code_a")["share_a"].sum().to_numpy() == pytest.approx(1.0, abs=1e-9)
    assert (shares["code_a"].str[:9] == shares["code_b"]).all()
    assert openpyxl.load_workbook(out).sheetnames == [
        "crosswalk", "shares", "conflicts", "base", "moved", "systems",
    ]  # fmt: skip


def test_a_crosswalk_of_several_systems(
    run: Run, files: dict[str, Path], stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "base.gpkg"
    named = (f"red={files['grids']}", "townships", f"again={files['grids']}")
    told = run("crosswalk", *named, "-o", out, "--json", store=stored).json
    assert [s["system"] for s in told["systems"]] == ["red", "townships", "again"]
    assert told["cells"] == told["systems"][0]["grids"]
    assert told["union_out_m2"] == pytest.approx(told["union_in_m2"], rel=1e-12)
    assert set(pyogrio.list_layers(out)[:, 0]) == {
        "base",
        "shares",
        "conflicts",
        "moved",
        "systems",
    }
    assert len(pyogrio.read_dataframe(out, layer="base")) == told["cells"]
    shown = run("crosswalk", *named, store=stored)
    assert shown.code == 0
    assert str(told["cells"]) in shown.out
    alone = run("crosswalk", files["grids"], "--json")
    assert (alone.code, alone.json["error"]["code"]) == (2, "parameter_invalid")
    astray = run("crosswalk", *named[:2], "-o", "x.docx", "--json", store=stored)
    assert (astray.code, astray.json["error"]["code"]) == (2, "output_unwritable")


def test_a_statement_is_made_and_verified(run: Run, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "grids.html"
    told = run("statement", "--layer", "grids", "-o", out, "--json", store=stored)
    assert (told.code, told.json["check"]["verdict"]) == (0, "clean")
    equal = run("statement", "--verify", out, "--json", store=stored)
    assert (equal.code, equal.json) == (0, {"equal": True, "differences": []})
    text = out.read_text("utf-8")
    out.write_text(text.replace(f'"published_by": "{told.json["revision"]["published_by"]}"',
                                '"published_by": "somebody"'), "utf-8")  # fmt: skip
    altered = run("statement", "--verify", out, "--json", store=stored)
    assert altered.code == 1
    assert "revision.published_by" in {d["where"] for d in altered.json["differences"]}
    assert run("statement", "--json", store=stored).json["error"]["code"] == "parameter_invalid"


# --- running it ----------------------------------------------------------------------------------


def test_a_backup_brings_everything_back(run: Run, stored: Path, tmp_path: Path) -> None:
    folder, again = tmp_path / "backup", tmp_path / "again.gpkg"
    assert run("backup", folder, "--json", store=stored).code == 0
    told = run("restore", folder / stored.name, "--json", store=again).json
    assert told["revisions"] == dict.fromkeys(LAYERS, 1)
    place = ("--lon", 113.85, "--lat", 34.03, "--datum", "wgs84", "--json")
    assert run("locate", *place, store=again).json == run("locate", *place, store=stored).json
    over = run("restore", folder / stored.name, "--json", store=again)
    assert (over.code, over.json["error"]["code"]) == (2, "store_exists")
    astray = run("restore", folder / stored.name, "--json", store=tmp_path / "no" / "a.gpkg")
    assert (astray.code, astray.json["error"]["code"]) == (2, "output_unwritable")


def timeless(said: Said) -> Any:
    """An answer but for how long it took."""
    told = said.json
    return {**told, "seconds": None} if isinstance(told, dict) else told


@pytest.mark.postgis
def test_a_database_answers_as_the_file_does(
    run: Run, stored: Path, new_place: Callable[[str], Place], tmp_path: Path
) -> None:
    url = new_place("postgis")
    told = run("restore", stored, "--json", store=url)
    assert told.json["revisions"] == dict.fromkeys(LAYERS, 1)
    assert "s3cret" in str(url)
    assert "s3cret" not in told.out + told.err
    at = ("--lon", 113.85, "--lat", 34.03)
    with open_store(stored) as file_store:
        address = file_store.table("addresses")["address"][7]
    for asked in (
        ("locate", *at, "--datum", "wgs84", "--accuracy-m", 30, "--at", 1),
        ("locate", "--address", address),
        ("catchment", *at, "--minutes", "5,15"),
        ("history", "grids"),
        ("drafts",),
        ("check", "--layer", "grids"),
        ("site", "--kind", "rest_station", "--count", 2),
    ):
        file, database = run(*asked, "--json", store=stored), run(*asked, "--json", store=url)
        assert database.code == file.code == 0, asked
        assert timeless(database) == timeless(file)
    written = []
    for store in (stored, url):
        out = tmp_path / "grids.geojson"  # its name stands in it
        assert run("export", "grids", "-o", out, store=store).code == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]
    folder = tmp_path / "backup"
    backed = run("backup", folder, "--json", store=url)
    assert backed.code == 0
    (name,) = [name for name in backed.json["files"] if name.endswith(".gpkg")]
    assert run("history", "grids", "--json", store=folder / name).out == (
        run("history", "grids", "--json", store=stored).out
    )
    doctor = run("doctor", "--json", store=url)
    assert "s3cret" not in doctor.out
    wrong = [f["what"] for f in doctor.json["findings"] if not f["ok"]]
    assert wrong in ([], ["store: server"])  # the tests' server trades safety for speed


@pytest.mark.postgis
def test_a_first_import_makes_the_store_in_a_database(
    run: Run, files: dict[str, Path], new_place: Callable[[str], Place]
) -> None:
    url = new_place("postgis")
    assert run("import", files["city"], "--layer", "city", store=url).code == 0
    assert run("publish", 1, store=url).code == 0
    missing = run("history", "grids", "--json", store=f"{url}x")
    assert (missing.code, missing.json["error"]["code"]) == (2, "store_missing")
    assert "s3cret" not in missing.out + missing.err


def test_an_import_of_another_level_is_refused(
    run: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    store = tmp_path / "levels.gpkg"
    asked = ("import", files["city"], "--layer", "city", "--json", "--level")
    refused = run(*asked, "grid", store=store)
    assert (refused.code, refused.json["error"]["code"]) == (2, "parameter_invalid")
    assert "层级是 city" in refused.json["error"]["message"]["zh"]
    assert not store.exists()
    assert run(*asked, "city", store=store).code == 0


def test_doctor_finds_the_store_sound(run: Run, stored: Path, tmp_path: Path) -> None:
    well = run("doctor", "--json", store=stored)
    assert (well.code, well.json["ok"]) == (0, True)
    assert run("doctor", "--json", store=tmp_path / "absent.gpkg").code == 1


def test_version_and_help(run: Run) -> None:
    from geo_service import __version__

    assert run("--version").out.strip() == f"geo-service {__version__}"
    assert "locate" in run("--help").out
    assert "Usage" in run().err


# --- bad input -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that can't be used."""
    folder = tmp_path_factory.mktemp("bad")
    grids = boundary_files.read(files["grids"]).frame
    few = grids.head(3)
    pyogrio.write_dataframe(grids.head(0), folder / "empty.gpkg", geometry_type="Polygon")
    raw = gpd.GeoDataFrame({"code": few["code"]}, geometry=few.geometry.to_numpy())
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.write_dataframe(raw, folder / "no_crs.gpkg")
    few.set_geometry(few.representative_point()).to_file(folder / "points.gpkg")
    holed = few.geometry.to_numpy().copy()
    holed[1] = shapely.transform(holed[1], _with_nan)
    few.set_geometry(gpd.GeoSeries(holed, few.index, crs=few.crs)).to_file(folder / "nan.gpkg")
    lonlat = boundary_files.to_wgs84(few)
    turned = shapely.transform(lonlat.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    swapped = lonlat.set_geometry(gpd.GeoSeries(turned, few.index, crs=lonlat.crs))
    swapped.to_file(folder / "swapped.gpkg")
    with zipfile.ZipFile(folder / "no_shapefile.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    (folder / "cut.gpkg").write_bytes(files["grids"].read_bytes()[:40_000])
    (folder / "not.osm.pbf").write_bytes(b"this is no extract " * 50)
    return folder


def _with_nan(xy: Any) -> Any:
    return np.where(np.arange(len(xy))[:, None] == 3, np.nan, xy)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("absent.gpkg", "file_missing"),
        ("empty.gpkg", "layer_empty"),
        ("no_crs.gpkg", "crs_missing"),
        ("points.gpkg", "not_polygons"),
        ("nan.gpkg", "coordinate_not_finite"),
        ("swapped.gpkg", "lonlat_swapped"),
        ("no_shapefile.zip", "zip_without_boundaries"),
        ("cut.gpkg", "file_unreadable"),
    ],
)
def test_files_that_cannot_be_used(
    run: Run, stored: Path, bad: Path, tmp_path: Path, name: str, code: str
) -> None:
    before = stored.read_bytes()
    assert_refused(run("import", bad / name, "--layer", "grids", "--json", store=stored), code)
    out = tmp_path / "report.xlsx"
    assert_refused(run("check", bad / name, "-o", out, "--json"), code)
    assert not out.exists()
    assert stored.read_bytes() == before
    assert not (tmp_path / "new.gpkg").exists()
    assert_refused(
        run("import", bad / name, "--layer", "grids", "--json", store=tmp_path / "new.gpkg"), code
    )
    assert not (tmp_path / "new.gpkg").exists()


def test_a_lost_system_is_proposed(run: Run, bad: Path) -> None:
    assert "EPSG:4547" in run("check", bad / "no_crs.gpkg", "--json").err
    assert run("check", bad / "no_crs.gpkg", "--crs", "EPSG:4547", "--json").code in {0, 1}


POINT = ("--lon", 113.85, "--lat", 34.03)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("locate", *POINT), "datum_missing"),
        (("locate", *POINT, "--datum", "mars"), "datum_unknown"),
        (("locate", "--lon", 34.03, "--lat", 113.85, "--datum", "wgs84"), "lonlat_swapped"),
        (("locate", "--lon", "nan", "--lat", 34, "--datum", "wgs84"), "lonlat_out_of_range"),
        (("locate", "--lon", "east", "--lat", 34), "command_invalid"),
        (("locate", "--longitude", 113), "command_invalid"),
        (("locate",), "parameter_invalid"),
        (("catchment", "--lon", 116.4, "--lat", 39.9), "street_too_far"),
        (("catchment", *POINT, "--minutes", "five"), "parameter_invalid"),
        (("route", "--from", "113.85", "--to", "113.9,34.0"), "parameter_invalid"),
        (("site", "--count", 1000), "too_few_candidates"),
        (("site", "--count", 0), "parameter_invalid"),
        (("site", "--count", "few"), "parameter_invalid"),
        (("site", "--count", "2,3"), "parameter_invalid"),
        (("site", "--kind", "rest_station,canteen"), "parameter_invalid"),
        (
            ("site", "--kind", "rest_station,canteen", "--count", 2, "--cover", 50),
            "parameter_invalid",
        ),
        (("site",), "parameter_invalid"),
        (("site", "--kind", "castle", "--count", 1), "kind_unknown"),
        (("publish", 999), "draft_unknown"),
        (("export", "grids", "-o", "grids.doc"), "output_unwritable"),
        (("history", "castles"), "layer_unknown"),
        (("check",), "parameter_invalid"),
    ],
)
def test_commands_that_cannot_be_done(
    run: Run, stored: Path, arguments: tuple[object, ...], code: str
) -> None:
    before = stored.read_bytes()
    assert_refused(run(*arguments, "--json", store=stored), code)
    assert stored.read_bytes() == before


def test_an_extract_that_is_none_leaves_the_streets(run: Run, own: Place, bad: Path) -> None:
    with open_store(own) as store:
        kept = store.streets_path.read_bytes()
    for name, code in (("not.osm.pbf", "pbf_unreadable"), ("absent.osm.pbf", "file_missing")):
        assert_refused(run("streets", "import", bad / name, "--json", store=own), code)
    with open_store(own) as store:
        assert store.streets_path.read_bytes() == kept


def assert_refused(said: Said, code: str) -> None:
    """Exit code 2, one sentence on stderr, and one JSON document that names the refusal."""
    assert said.code == 2
    assert said.json["error"]["code"] == code
    assert set(said.json["error"]["message"]) == {"zh", "en"}
    assert len(said.err.strip().splitlines()) == 1
    assert "Traceback" not in said.err


# --- what the tests ask about --------------------------------------------------------------------


def _grid_and_line(city: DemoCity) -> tuple[str, str]:
    """A grid away from the rim, and a line right across it."""
    rim = city.outline.geometry.union_all().boundary
    inner = city.grids[city.grids.distance(rim) > 100.0].iloc[0]
    x0, _, x1, _ = inner.geometry.bounds
    y = inner.geometry.representative_point().y
    return inner["code"], f"LINESTRING ({x0 - 10} {y}, {x1 + 10} {y})"


def _by_a_street(city: DemoCity) -> Any:
    """The demand point with the most people: in a grid that has streets around it."""
    return city.demand.loc[city.demand["population"].idxmax()]


# --- lists and an earlier report beside a check --------------------------------------------------


@pytest.fixture
def lists(small_city: DemoCity, tmp_path: Path) -> dict[str, Path]:
    """A register with a grid too many, a roster with a person astray, events with one outside."""
    codes = small_city.grids["code"].tolist()
    spare = f"{codes[0][:12]}987"
    staff = {"网格编码": [*codes, spare], "姓名": "王建国", "电话": "13812340000", "岗位": "网格长"}
    frames = {
        "register": pd.DataFrame({"网格编码": [*codes, spare]}),
        "roster": pd.DataFrame(staff),
        "events": pd.DataFrame({"经度": [120.0], "纬度": [30.0]}),
    }
    paths = {name: tmp_path / f"{name}.csv" for name in frames}
    for name, frame in frames.items():
        frame.to_csv(paths[name], index=False, encoding="gb18030")
    return paths


def test_a_check_with_register_roster_and_events(
    run: Run, files: dict[str, Path], lists: dict[str, Path], small_city: DemoCity
) -> None:
    count = len(small_city.grids)
    told = run(
        "check", files["grids"], "--within", files["communities"], "--register", lists["register"],
        "--roster", lists["roster"], "--events", lists["events"], "--events-datum", "gcj02",
        "--json",
    )  # fmt: skip
    assert told.code == 1
    assert (told.json["register"]["mapped"], told.json["register"]["registered"]) == (
        count, count + 1,
    )  # fmt: skip
    assert told.json["on_map_percent"][:-2] == told.json["register"]["on_map_percent"]
    assert told.json["staff"]["unknown_grid_rows"] == [count + 2]
    found = {name: part["count"] for name, part in told.json["invariants"].items()}
    assert list(found.values()) == [0, 0, 1, 1]
    assert [given["role"] for given in told.json["inputs"]] == [
        "layer", "outline", "register", "roster", "events",
    ]  # fmt: skip


def test_phones_are_masked_unless_the_word_is_said(
    run: Run, files: dict[str, Path], lists: dict[str, Path], tmp_path: Path
) -> None:
    given = ("check", files["grids"], "--roster", lists["roster"], "-o", tmp_path / "r.xlsx")

    def told(*more: str) -> str:
        said = run(*given, *more)
        book = openpyxl.load_workbook(tmp_path / "r.xlsx")
        cells = (cell.value for sheet in book for row in sheet.iter_rows() for cell in row)
        return said.out + said.err + " ".join(map(str, cells))

    masked = told()
    assert "13812340000" not in masked
    assert "138****0000" in masked
    assert_refused(run(*given, "--unmasked", "yes", "--json"), "parameter_invalid")
    assert "13812340000" in told("--unmasked", "personal-data")


@pytest.mark.parametrize("form", ["json", "xlsx", "gpkg"])
def test_a_second_check_says_what_was_solved(
    run: Run, files: dict[str, Path], tmp_path: Path, form: str
) -> None:
    grids = gpd.read_file(files["grids"])
    spoiled = grids.copy()
    spoiled.loc[[3, 40], "geometry"] = spoiled.geometry.loc[[3, 40]].buffer(0.5)
    spoiled.to_file(tmp_path / "old.gpkg")
    spoiled.loc[3, "geometry"] = grids.geometry.loc[3]
    spoiled.loc[90, "geometry"] = spoiled.geometry.loc[90].buffer(-0.5)
    spoiled.to_file(tmp_path / "new.gpkg")
    old = tmp_path / f"report.{form}"
    assert run("check", tmp_path / "old.gpkg", "-o", old).code == 1
    again = run("check", tmp_path / "new.gpkg", "--since", old, "--json").json
    since = again["since"]
    assert since["solved"] > 0
    assert since["left"] > 0
    assert since["new"] > 0
    status = [f["status"] for f in again["faults"] if f["severity"] != "note"]
    assert (status.count("left"), status.count("new")) == (since["left"], since["new"])
    said = run("check", tmp_path / "new.gpkg", "--since", old).out
    assert f"{since['solved']} solved, {since['left']} left, {since['new']} new" in said


def test_a_draft_is_compared_with_the_one_before(
    run: Run, own: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    grids = gpd.read_file(files["grids"])
    spoiled = grids.copy()
    spoiled.loc[3, "geometry"] = spoiled.geometry.loc[3].buffer(0.5)
    spoiled.to_file(tmp_path / "spoiled.gpkg")
    for path in (tmp_path / "spoiled.gpkg", files["grids"]):
        assert run("import", path, "--layer", "grids", store=own).code == 0
    drafts = [draft["id"] for draft in run("drafts", "--json", store=own).json][-2:]
    told = run("check", "--draft", drafts[1], "--since", "previous", "--json", store=own).json
    assert (told["verdict"], told["since"]["source"]) == ("clean", f"draft {drafts[0]}")
    assert told["since"]["solved"] > 0
    assert (told["since"]["left"], told["since"]["new"]) == (0, 0)
    refused = run("check", "--draft", drafts[0], "--since", "previous", "--json", store=own)
    assert_refused(refused, "parameter_invalid")
