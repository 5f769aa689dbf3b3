"""Life circles: what is missing, what is planned, and the walk on real streets."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import osmium
import pandas as pd
import pytest

from geo_service import facilities, life_circles
from geo_service.errors import InputError

spec = importlib.util.spec_from_file_location(
    "straight_lines", Path(__file__).parent / "straight_lines.py"
)
assert spec is not None
assert spec.loader is not None
straight_lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(straight_lines)
StraightLines, lonlat = straight_lines.StraightLines, straight_lines.lonlat

KINDS = ["canteen", "park", "market", "bus_stop", "health_centre", "library", "child_care",
         "rest_station"]  # fmt: skip


def table(rows):
    """A table of places from (id, metres east, metres north, further columns)."""
    lon, lat = lonlat([row[1] for row in rows], [row[2] for row in rows])
    return pd.DataFrame(
        [
            {"id": row[0], "lon": e, "lat": n, **row[3]}
            for row, e, n in zip(rows, lon, lat, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def hundred():
    """100 circles 4 km apart, 8 kinds each; 37 cells emptied, 21 of them with a plan."""
    random = np.random.default_rng(5)
    where = {f"{k:03d}": (4000.0 * (k % 10) + 500, 4000.0 * (k // 10) + 500) for k in range(100)}
    centres = table([
        (code, x, y, {"name": f"社区{code}", "population": 1000 + int(code), "population_60": 200})
        for code, (x, y) in where.items()
    ])  # fmt: skip
    cells = [(code, kind) for code in where for kind in KINDS]
    emptied = [cells[k] for k in random.choice(len(cells), 37, replace=False)]
    built = [
        (
            f"{code}-{kind}",
            where[code][0] + 100,
            where[code][1],
            {"kind": kind, "status": "existing"},
        )
        for code, kind in cells
        if (code, kind) not in emptied
    ]
    planned = [
        (f"plan-{code}-{kind}", where[code][0], where[code][1] + 200,
         {"kind": kind, "status": "planned"})
        for code, kind in emptied[:21]
    ]  # fmt: skip
    return centres, table(built + planned), set(emptied), set(emptied[:21])


def judged(hundred, **options):
    centres, listed, _, _ = hundred
    standard = pd.DataFrame({"kind": KINDS})
    return life_circles.circles(StraightLines(), centres, listed, standard=standard, **options)


def test_800_cells_37_missing_21_unbuilt(hundred):
    _, _, emptied, with_plan = hundred
    told = judged(hundred)
    assert len(told.matrix) == 800
    assert len(told.missing) == 37
    assert set(zip(told.missing["circle_code"], told.missing["kind"], strict=True)) == emptied
    flags = dict(
        zip(
            zip(told.missing["circle_code"], told.missing["kind"], strict=True),
            told.missing["flag"],
            strict=True,
        )
    )
    for cell in emptied:
        assert flags[cell] == ("缺项·已规划" if cell in with_plan else "缺项")
    assert len(told.unbuilt) == 21
    assert set(told.unbuilt["id"]) == {f"plan-{code}-{kind}" for code, kind in with_plan}
    assert (told.unbuilt["fills_gap"] == 1).all()
    assert (told.unbuilt["metres"] == 200.0).all()


def test_the_matrix_tells_the_walk(hundred):
    told = judged(hundred).matrix
    within = told[told["status"] == "within"]
    assert (within["metres"] == 100.0).all()
    assert within["minutes"].round(1).eq(1.2).all()  # 100 m at 4.8 km/h: 1.25 minutes
    assert within["nearest_id"].eq(within["circle_code"] + "-" + within["kind"]).all()
    assert told.loc[told["status"] != "within", "metres"].isna().all()  # 4 km is beyond the search


def test_the_action_plan_has_a_row_per_gap_to_fill_in(hundred):
    _, _, _, with_plan = hundred
    plan = judged(hundred).action_plan
    assert len(plan) == 37
    has_plan = [cell in with_plan for cell in zip(plan["circle_code"], plan["kind"], strict=True)]
    assert (plan["status"] == "已规划").tolist() == has_plan
    assert (plan["proposed_site_id"] != "").tolist() == has_plan
    assert plan["responsible_unit"].eq("").all()
    canteens = plan["kind"] == "canteen"
    assert plan.loc[canteens, "people_served"].eq(200).all()
    others = plan[~canteens]
    assert (others["people_served"] == 1000 + others["circle_code"].astype(int)).all()


def test_a_candidate_within_the_threshold_is_proposed(hundred):
    centres, _, emptied, with_plan = hundred
    code, kind = sorted(emptied - with_plan)[0]
    at = centres.set_index("id").loc[code]
    premises = pd.DataFrame(
        {"id": ["hall"], "name": ["礼堂"], "lon": [at["lon"]], "lat": [at["lat"]]}
    )
    plan = judged(hundred, candidates=premises).action_plan.set_index(["circle_code", "kind"])
    assert plan.loc[(code, kind), "proposed_site"] == "礼堂"
    assert plan.loc[(code, kind), "status"] == "待建"


def test_sheets_are_in_chinese_and_the_dict_is_json(hundred):
    told = judged(hundred)
    sheets = told.sheets()
    assert {"生活圈矩阵", "缺项清单", "未落地设施清单", "项目行动计划表"} <= set(sheets)
    for sheet in sheets.values():
        assert not [c for c in sheet.columns if str(c).isascii()]
    assert sheets["生活圈矩阵"].shape == (100, 10)
    assert (sheets["生活圈矩阵"] == "缺项·已规划").sum().sum() == 21
    plain = json.loads(json.dumps(told.to_dict(), allow_nan=False))
    assert (plain["circles"], plain["categories"], plain["cells"]) == (100, 8, 800)
    assert plain["matrix"][0]["circle_code"] == "000"


def test_row_order_changes_nothing(hundred):
    centres, listed, _, _ = hundred
    standard = pd.DataFrame({"kind": KINDS})
    one = judged(hundred)
    shuffled = listed.sample(frac=1.0, random_state=3)
    other = life_circles.circles(StraightLines(), centres, shuffled, standard=standard)
    pd.testing.assert_frame_equal(one.matrix, other.matrix)
    pd.testing.assert_frame_equal(
        one.unbuilt.sort_values("id", ignore_index=True),
        other.unbuilt.sort_values("id", ignore_index=True),
    )


def test_closed_and_too_far_do_not_count():
    centres = table([("a", 0, 0, {})])
    listed = table([
        ("shut", 10, 0, {"kind": "park", "status": "closed"}),
        ("far", 1100, 0, {"kind": "park", "status": "existing"}),
        ("plan", 1250, 0, {"kind": "park", "status": "planned"}),
    ])  # fmt: skip
    standard = pd.DataFrame({"kind": ["park"], "threshold_m": [1000]})
    told = life_circles.circles(StraightLines(), centres, listed, standard=standard)
    cell = told.matrix.iloc[0]
    assert (cell["status"], cell["nearest_id"], cell["metres"]) == ("missing", "far", 1100.0)
    assert told.unbuilt.empty  # 15 minutes at 4.8 km/h are 1,200 m
    assert len(told.action_plan) == 1


def test_a_planned_facility_in_two_circles_is_one_row():
    centres = table([("a", 0, 0, {}), ("b", 600, 0, {})])
    listed = table([("plan", 200, 0, {"kind": "market", "status": "planned"})])
    told = life_circles.circles(
        StraightLines(), centres, listed, standard=pd.DataFrame({"kind": ["market"]})
    )
    assert told.unbuilt[["circle_code", "circles", "fills_gap"]].to_numpy().tolist() == [
        ["a", "a;b", 2]
    ]


class TestStandard:
    def test_a_table_of_ones_own(self, tmp_path: Path):
        own = pd.DataFrame(
            {"code": ["canteen", "药店"], "tier_min": [10, 8], "threshold_m": [700, ""]}
        )
        own.to_csv(tmp_path / "own.csv", index=False)
        read = life_circles.read_standard(tmp_path / "own.csv")
        assert read["kind"].tolist() == ["canteen", "pharmacy"]
        assert read["threshold_m"].iloc[0] == 700.0
        assert np.isnan(read["threshold_m"].iloc[1])

    def test_minutes_alone_mean_those_minutes_on_foot(self):
        standard = pd.DataFrame({"kind": ["canteen"], "minutes": [10]})
        centres = table([("a", 0, 0, {})])
        listed = table([("x", 700, 0, {"kind": "canteen"})])
        for speed, status in ((4.8, "within"), (3.6, "missing")):
            told = life_circles.circles(
                StraightLines(speed_kmh=speed), centres, listed, standard=standard
            )
            assert told.matrix["status"].tolist() == [status]
            assert told.matrix["threshold_m"].iloc[0] == pytest.approx(speed * 1000 / 6)

    def test_all_kinds_without_a_table(self):
        assert life_circles.read_standard()["kind"].tolist() == list(facilities.kinds())

    def test_refusals(self):
        with pytest.raises(InputError) as refused:
            life_circles.read_standard(pd.DataFrame({"kind": ["castle"]}))
        assert refused.value.code == "kind_unknown"
        with pytest.raises(InputError) as refused:
            life_circles.read_standard(pd.DataFrame({"kind": ["park"], "minutes": [-5]}))
        assert refused.value.code == "value_invalid"
        with pytest.raises(InputError) as refused:
            life_circles.read_standard(pd.DataFrame({"minutes": [5]}))
        with pytest.raises(InputError, match="holds no features"):
            life_circles.read_standard(pd.DataFrame({"kind": []}))
        assert refused.value.code == "field_missing"


@pytest.fixture(scope="module")
def lattice(tmp_path_factory):
    """Streets every 100 m, 12 x 12 crossings."""
    from geo_service.streets import WalkNetwork

    steps, side = 12, 100.0
    number = {(i, j): 1 + i * steps + j for i in range(steps) for j in range(steps)}
    path = tmp_path_factory.mktemp("lattice") / "lattice.osm.pbf"
    with osmium.SimpleWriter(str(path)) as writer:
        for (i, j), node in number.items():
            lon, lat = lonlat(i * side, j * side)
            writer.add_node(osmium.osm.mutable.Node(id=node, location=(float(lon), float(lat))))
        for k in range(steps):
            for way, line in (
                (1000 + k, [number[k, j] for j in range(steps)]),
                (2000 + k, [number[i, k] for i in range(steps)]),
            ):
                writer.add_way(
                    osmium.osm.mutable.Way(id=way, nodes=line, tags={"highway": "residential"})
                )
    return WalkNetwork.from_pbf(path, plane="EPSG:4547")


def test_walks_on_a_lattice_of_streets(lattice):
    """On a 100 m lattice the walk is the sum of both differences, not the straight line."""
    streets = lattice
    centres = table([("a", 200, 200, {"name": "甲"})])
    listed = table([
        ("near", 500, 500, {"kind": "park"}), ("straight", 200, 900, {"kind": "market"}),
        ("plan", 800, 600, {"kind": "library", "status": "planned"}),
    ])  # fmt: skip
    told = life_circles.circles(
        streets, centres, listed, standard=pd.DataFrame({"kind": ["park", "market", "library"]})
    )
    cells = told.matrix.set_index("kind")
    # 1.0000 is the scale of the plane at its central meridian; lengths are to the centimetre.
    assert cells.loc["park", "metres"] == pytest.approx(600.0, abs=0.2)
    assert cells.loc["park", "status"] == "within"
    assert cells.loc["market", "metres"] == pytest.approx(700.0, abs=0.2)
    assert cells.loc["market", "status"] == "missing"  # its threshold is 500 m
    assert cells.loc["library", "status"] == "missing_planned"  # 1,000 m on foot
    assert told.unbuilt["metres"].tolist() == [pytest.approx(1000.0, abs=0.3)]


class TestLevels:
    """Each level and each group of walkers for itself."""

    def test_a_facility_of_the_15_minute_level_is_none_of_the_5_minute_one(self):
        centres = table([("a", 0, 0, {})])
        listed = table([("far", 900, 0, {"kind": "culture_centre"})])
        standard = pd.DataFrame({"kind": ["culture_station", "culture_centre"]})
        told = life_circles.circles(StraightLines(), centres, listed, standard=standard)
        cells = told.matrix.set_index("kind")
        assert cells["status"].to_dict() == {
            "culture_station": "missing",
            "culture_centre": "within",
        }
        assert cells.loc["culture_centre", ["within_5", "within_10", "within_15"]].tolist() == [
            False, False, True,
        ]  # fmt: skip
        score = told.scores().iloc[0]
        assert (score["score"], score["score_5"], score["score_15"]) == (50.0, 0.0, 100.0)

    def test_each_group_walks_at_its_own_speed(self, lattice):
        centres = table([("a", 200, 200, {})])
        kinds = ["canteen", "rest_station", "park"]
        listed = table([(kind, 1000, 350, {"kind": kind}) for kind in kinds])
        standard = pd.DataFrame({"kind": kinds})
        cells = life_circles.circles(lattice, centres, listed, standard=standard).matrix
        cells = cells.set_index("kind")
        assert cells["metres"].tolist() == pytest.approx([950.0] * 3, abs=0.3)
        assert cells["threshold_m"].tolist() == pytest.approx([900.0, 1260.0, 1080.0])
        assert cells["status"].tolist() == ["missing", "within", "within"]
        assert cells["minutes"].tolist() == [15.8, 11.3, 13.2]

    def test_people_walk_from_the_gates_and_not_through_a_closed_one(self, lattice):
        listed = table([("eat", 900, 200, {"kind": "canteen"})])
        west, east = lonlat(200, 200), lonlat(800, 200)
        walks = []
        for shut in ("", " closed"):
            gates = f"{west[0]},{west[1]}; {east[0]},{east[1]}{shut}"
            centres = table([("a", 500, 250, {"entrances": gates})])
            told = life_circles.circles(
                lattice, centres, listed, standard=pd.DataFrame({"kind": ["canteen"]})
            )
            walks.append(told.matrix["metres"][0])
        assert walks == pytest.approx([100.0, 700.0], abs=0.2)


def test_every_cell_again_by_networkx(lattice):
    """The whole answer, recomputed with another search on the exported graph."""
    import networkx as nx

    random = np.random.default_rng(11)
    spots = random.integers(0, 12, (60, 2)) * 100.0  # at crossings: no legs, no half streets
    kinds = ["canteen", "market", "pharmacy", "bus_stop"]
    centres = table([(f"c{k:02d}", x, y, {"population": k}) for k, (x, y) in enumerate(spots[:20])])
    listed = table([(f"f{k:02d}", x, y, {"kind": kinds[k % 4]}) for k, (x, y) in
                    enumerate(spots[20:40])])  # fmt: skip
    limits = {"canteen": 850.0, "market": 550.0, "pharmacy": 576.0, "bus_stop": 450.0}
    standard = pd.DataFrame({"kind": kinds, "threshold_m": [limits[kind] for kind in kinds]})
    told = life_circles.circles(lattice, centres, listed, standard=standard).matrix
    graph = nx.Graph()
    for i in range(12):
        for j in range(12):
            for other in ((i + 1, j), (i, j + 1)):
                if max(other) < 12:
                    graph.add_edge((i, j), other, metres=100.0)
    speeds = {"canteen": 1.0, "market": 1.2, "pharmacy": 1.2, "bus_stop": 1.2}
    wrong = []
    for cell in told.itertuples():
        start = tuple((spots[int(cell.circle_code[1:])] / 100).astype(int))
        walks = nx.single_source_dijkstra_path_length(graph, start, weight="metres")
        near = min(
            walks[tuple((spots[20 + k] / 100).astype(int))]
            for k in range(20)
            if kinds[k % 4] == cell.kind
        )
        # Lengths are rounded to centimetres: a walk of just the limit could fall on either side.
        levels = [near < m * 60 * speeds[cell.kind] + 0.3 for m in (5, 10, 15)]
        if (
            abs(cell.metres - near) > 0.3
            or (cell.status == "within") != (near <= limits[cell.kind])
            or (near % 300 and levels != [cell.within_5, cell.within_10, cell.within_15])
        ):
            wrong.append(cell)
    assert len(told) == 80
    assert not wrong


def test_before_and_after_a_plan_and_whom_its_site_serves(hundred):
    centres, listed, emptied, with_plan = hundred
    before = judged(hundred)
    code, kind = sorted(emptied - with_plan)[0]
    at = centres.set_index("id").loc[code]
    built = pd.DataFrame([{"id": "new", "kind": kind, "lon": at["lon"], "lat": at["lat"],
                           "status": "existing"}])  # fmt: skip
    standard = pd.DataFrame({"kind": KINDS})
    after = life_circles.circles(
        StraightLines(), centres, pd.concat([listed, built]), standard=standard
    )
    changed = life_circles.changes(before, after)
    assert changed["circle_code"].tolist() == [code]
    assert changed["gained"].tolist() == [facilities.kinds()[kind].zh]
    assert changed["score_after"][0] == pytest.approx(changed["score_before"][0] + 12.5, abs=0.011)
    assert len(after.missing) == len(before.missing) - 1
    premises = pd.DataFrame({"id": ["hall"], "lon": [at["lon"]], "lat": [at["lat"]]})
    plan = judged(hundred, candidates=premises).action_plan.set_index(["circle_code", "kind"])
    people = 200 if kind == "canteen" else 1000 + int(code)
    assert plan.loc[(code, kind), "people_newly_served"] == people
    frame = judged(hundred, candidates=premises).to_frame()
    assert (len(frame), frame.crs.to_epsg()) == (37, 4326)


def test_a_site_serves_all_circles_that_lack_it_and_reach_it():
    where = {"a": (0, 10), "b": (300, 20), "c": (600, 40), "d": (2000, 80), "e": (100, 5)}
    centres = table([(code, x, 0, {"population": n}) for code, (x, n) in where.items()])
    listed = table([("old", 700, 0, {"kind": "market"})])
    premises = table([("hall", 200, 0, {})])
    plan = life_circles.circles(
        StraightLines(), centres, listed, candidates=premises,
        standard=pd.DataFrame({"kind": ["market"]}),
    ).action_plan  # fmt: skip
    # b (400 m) and c (100 m) have their market; d is beyond 500 m of the hall.
    served = plan.set_index("circle_code")["people_newly_served"].to_dict()
    assert served == {"a": 15.0, "d": 0.0, "e": 15.0}
