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


def test_row_order_and_batches_change_nothing(hundred, monkeypatch):
    centres, listed, _, _ = hundred
    standard = pd.DataFrame({"kind": KINDS})
    one = judged(hundred)
    monkeypatch.setattr(life_circles, "_CENTRES_A_TIME", 7)
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
    told = life_circles.circles(
        StraightLines(), centres, listed, standard=pd.DataFrame({"kind": ["park"]})
    )
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
        assert refused.value.code == "field_missing"


def test_walks_on_a_lattice_of_streets(tmp_path: Path):
    """On a 100 m lattice the walk is the sum of both differences, not the straight line."""
    from geo_service.streets import WalkNetwork

    steps, side = 12, 100.0
    number = {(i, j): 1 + i * steps + j for i in range(steps) for j in range(steps)}
    path = tmp_path / "lattice.osm.pbf"
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
    streets = WalkNetwork.from_pbf(path, plane="EPSG:4547")
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
