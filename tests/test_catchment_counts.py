"""What lies within walks of every grid, against single routes; runs that are cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import CancelledError
from pathlib import Path
from types import ModuleType

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geo_service import catchment_counts, facilities
from geo_service.catchment_counts import counting
from geo_service.cli import build
from geo_service.errors import InputError, NoRouteError
from geo_service.streets import WalkNetwork


@pytest.fixture(scope="module")
def extract(street_plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = street_plans.lattice(tmp_path_factory.mktemp("town") / "town.osm.pbf", 6)
    return path


@pytest.fixture(scope="module")
def town(extract: Path) -> WalkNetwork:
    """A lattice of 12 by 12 blocks of 100 m."""
    return WalkNetwork.from_pbf(extract)


@pytest.fixture(scope="module")
def grids(street_plans: ModuleType) -> gpd.GeoDataFrame:
    """Five by five grids of 300 m in five communities; the last column lies far from any street."""
    rng = np.random.default_rng(4)
    rows = []
    for i in range(5):
        for j in range(5):
            west, south = -740 + 310 * i + 900 * (i == 4), -740 + 310 * j
            x, y = street_plans.CENTRE_X + west, street_plans.CENTRE_Y + south
            people = int(rng.integers(50, 900))
            rows.append({
                "code": f"41100200100{i + 1}{j + 1:03}", "name": f"第{j + 1}网格",
                "parent_code": f"41100200100{i + 1}", "population": people,
                "population_60": people // 5, "households": people // 3,
                "geometry": shapely.box(x, y, x + 300, y + 300),
            })  # fmt: skip
    return gpd.GeoDataFrame(rows, crs=4547)


@pytest.fixture(scope="module")
def places(street_plans: ModuleType) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    spots = [street_plans.lonlat(*xy) for xy in rng.uniform(-700, 600, (30, 2))]
    spots.append(street_plans.lonlat(0, 9000))
    return facilities.parse(
        pd.DataFrame({
            "id": [f"f{n}" for n in range(31)],
            "kind": ["canteen", "pharmacy", "market"] * 10 + ["canteen"],
            "status": ["existing"] * 25 + ["planned"] * 5 + ["existing"],
            "lon": [lon for lon, _ in spots], "lat": [lat for _, lat in spots],
        })
    )  # fmt: skip


def metres(network: WalkNetwork, start: tuple[float, float], end: tuple[float, float]) -> float:
    try:
        return network.route(start, end).length_m
    except (NoRouteError, InputError):
        return np.inf


def test_counts_equal_single_routes(
    town: WalkNetwork, grids: gpd.GeoDataFrame, places: pd.DataFrame
) -> None:
    found = catchment_counts.within(town, grids, minutes=[5, 8, 12], served_by=places)
    inside = grids.representative_point().to_crs(4326)
    homes = list(zip(inside.x, inside.y, strict=True))
    open_ones = places[places.status == "existing"]
    walks = np.array([[metres(town, a, b) for b in homes] for a in homes])
    to_places = np.array([
        [metres(town, a, b) for b in zip(open_ones.lon, open_ones.lat, strict=True)] for a in homes
    ])  # fmt: skip
    for ring, limit in enumerate([360.0, 576.0, 864.0]):
        rows = found.by_grid[ring::3]
        assert rows.minutes.unique().tolist() == [[5, 8, 12][ring]]
        within = walks <= limit
        for name in catchment_counts.COUNTED:
            assert rows[name].tolist() == (within @ grids[name].to_numpy()).tolist()
        for kind in ("canteen", "pharmacy", "market"):
            near = to_places[:, (open_ones.kind == kind).to_numpy()] <= limit
            assert rows[kind].tolist() == near.sum(axis=1).tolist()
            # By community: each place once, however many of its grids reach it.
            by_community = near.reshape(5, 5, -1).any(axis=1).sum(axis=1)
            communities = found.by_community[ring::3]
            assert communities[kind].tolist() == by_community.tolist()
            served = near.any(axis=1).reshape(5, 5)
            assert communities[f"grids_with_{kind}"].tolist() == served.sum(axis=1).tolist()
            people = (served * grids.population.to_numpy().reshape(5, 5)).sum(axis=1)
            assert communities[f"people_with_{kind}"].tolist() == people.tolist()
        union = within.reshape(5, 5, 25).any(axis=1) @ grids.population.to_numpy()
        assert found.by_community[ring::3].population.tolist() == union.tolist()
    assert found.by_community.grids.tolist() == [5] * 15
    assert found.notes["grids_without_street"] == grids.code[20:].tolist()
    assert found.notes["demand_without_street"] == 5
    assert found.notes["facilities_without_street"] == 1
    assert found.by_grid.snap_distance_m.isna().sum() == 15


def test_doors_at_all_street_nodes_or_entrances(
    town: WalkNetwork, grids: gpd.GeoDataFrame, street_plans: ModuleType
) -> None:
    streets = catchment_counts.within(town, grids, minutes=[4], doors="streets")
    nodes = gpd.GeoSeries(gpd.points_from_xy(*town.node_lonlat.T), crs=4326).to_crs(4547)
    held = [int(nodes.intersects(grid).sum()) for grid in grids.geometry]
    assert streets.by_grid.doors.tolist() == [max(count, 1) for count in held]
    assert max(held) == 9
    # People stand evenly at the doors of their grid, so all of a grid's own are within.
    own = grids.population.to_numpy()[:20]
    assert (streets.by_grid.population.to_numpy()[:20] >= own - 0.11).all()
    lon, lat = street_plans.lonlat(-600, -600)
    entrances = pd.DataFrame({"code": [grids.code[0]] * 2, "lon": [lon, lon + 1e-4], "lat": lat})
    found = catchment_counts.within(town, grids, minutes=[4], doors=entrances)
    assert found.by_grid.doors.tolist() == [2] + [1] * 24
    entrances.loc[1, "code"] = "411002001009001"
    with pytest.raises(InputError, match="no grid has this code"):
        catchment_counts.within(town, grids, doors=entrances)


def test_people_of_a_table(town: WalkNetwork, grids: gpd.GeoDataFrame) -> None:
    inside = grids.representative_point().to_crs(4326)
    people = pd.DataFrame({"lon": inside.x, "lat": inside.y, "population": 10})
    own = catchment_counts.within(town, grids.assign(population=10), minutes=[6, 9])
    theirs = catchment_counts.within(town, grids, minutes=[6, 9], demand=people)
    assert theirs.by_grid.population.tolist() == own.by_grid.population.tolist()
    assert "households" not in theirs.by_grid


def test_workers_and_order_change_nothing(
    town: WalkNetwork, grids: gpd.GeoDataFrame, places: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    one = catchment_counts.within(town, grids, served_by=places, doors="streets", workers=1)
    monkeypatch.setattr(counting, "_GRIDS_A_PART", 3)
    shares: list[float] = []
    other = catchment_counts.within(
        town, grids, served_by=places, doors="streets", workers=4, on_progress=shares.append
    )
    pd.testing.assert_frame_equal(one.by_grid, other.by_grid)
    pd.testing.assert_frame_equal(one.by_community, other.by_community)
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (9 + 2, 1.0)


def test_a_cancelled_run_goes_on(
    town: WalkNetwork, grids: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_GRIDS_A_PART", 5)
    done: list[float] = []
    with pytest.raises(CancelledError):
        catchment_counts.within(
            town, grids, keep=tmp_path, on_progress=done.append, cancelled=lambda: len(done) >= 2
        )
    found = catchment_counts.within(town, grids, keep=tmp_path)
    assert found.notes["resumed_parts"] == 2
    pd.testing.assert_frame_equal(found.by_grid, catchment_counts.within(town, grids).by_grid)
    other = catchment_counts.within(town, grids, keep=tmp_path, minutes=[7])
    assert other.notes["resumed_parts"] == 0
    part = next(tmp_path.rglob("part_00001.npy"))
    part.write_bytes(part.read_bytes()[:40])  # as a full disk might leave it
    again = catchment_counts.within(town, grids, keep=tmp_path)
    pd.testing.assert_frame_equal(again.by_grid, found.by_grid)


def test_a_killed_run_goes_on(
    town: WalkNetwork, grids: gpd.GeoDataFrame, extract: Path, tmp_path: Path
) -> None:
    grids.to_file(tmp_path / "grids.gpkg")
    script = textwrap.dedent(f"""
        import time
        import geopandas as gpd
        from geo_service import catchment_counts
        from geo_service.catchment_counts import counting
        from geo_service.streets import WalkNetwork

        def told(share):
            print(share, flush=True)
            time.sleep(0.2)

        counting._GRIDS_A_PART = 2
        catchment_counts.within(
            WalkNetwork.from_pbf({str(extract)!r}), gpd.read_file({str(tmp_path / "grids.gpkg")!r}),
            keep={str(tmp_path / "kept")!r}, on_progress=told,
        )
    """)
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for _ in range(3):
        run.stdout.readline()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    before = len(list((tmp_path / "kept").rglob("part_*.npy")))
    assert before >= 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_GRIDS_A_PART", 2)
        found = catchment_counts.within(town, grids, keep=tmp_path / "kept")
    assert before <= found.notes["resumed_parts"] < 16
    pd.testing.assert_frame_equal(found.by_grid, catchment_counts.within(town, grids).by_grid)


def test_bad_input(town: WalkNetwork, grids: gpd.GeoDataFrame) -> None:
    with pytest.raises(InputError, match="doors"):
        catchment_counts.within(town, grids, doors="windows")
    with pytest.raises(InputError, match="minutes"):
        catchment_counts.within(town, grids, minutes=[])
    with pytest.raises(InputError, match="minutes"):
        catchment_counts.within(town, grids, minutes=[0])
    with pytest.raises(InputError, match="code"):
        catchment_counts.within(town, grids.drop(columns="code"))
    with pytest.raises(InputError) as refused:
        catchment_counts.within(town, grids.set_crs(None, allow_override=True))
    assert refused.value.code == "crs_missing"


def test_the_command(
    extract: Path, grids: gpd.GeoDataFrame, places: pd.DataFrame, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    grids.to_file(tmp_path / "grids.gpkg")
    places.to_csv(tmp_path / "facilities.csv", index=False)
    out = tmp_path / "counts.csv"
    asked = [
        "catchment-counts", "--grids", str(tmp_path / "grids.gpkg"), "--streets", str(extract),
        "--facilities", str(tmp_path / "facilities.csv"), "--minutes", "5,15", "-o", str(out),
        "--store", str(tmp_path / "none.gpkg"),
    ]  # fmt: skip
    assert build().run(asked) == 0
    assert "25" in capsys.readouterr().out
    written = pd.read_csv(out, dtype={"code": str, "parent_code": str})
    assert len(written) == 50
    assert written.code[0] == grids.code[0]
    communities = pd.read_csv(tmp_path / "counts_communities.csv")
    assert len(communities) == 10
    assert "grids_with_canteen" in communities
