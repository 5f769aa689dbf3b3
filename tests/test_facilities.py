"""Kinds, amenities, hours and what a list of facilities is brought to."""

from __future__ import annotations

import datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo_service import facilities
from geo_service.errors import InputError, MissingError

ROW = {"kind": "canteen", "lon": 113.8, "lat": 34.0}


def parsed(**columns):
    return facilities.parse(pd.DataFrame([{**ROW, **columns}])).iloc[0]


class TestKinds:
    def test_the_kinds_of_the_domain_are_there_with_their_sources(self):
        kinds = facilities.kinds()
        wanted = "rest_station canteen park market bus_stop health_centre library child_care"
        assert set(wanted.split()) <= set(kinds)
        for kind in kinds.values():
            assert kind.zh
            assert kind.en
            assert kind.source
            assert kind.verified
            assert kind.tier_minutes > 0
            assert kind.threshold_m is None or kind.threshold_m > 0
        assert kinds["canteen"].threshold_m == 1000.0
        assert kinds["pharmacy"].threshold_m is None

    def test_every_name_of_a_kind_leads_to_it_alone(self):
        for code, kind in facilities.kinds().items():
            for name in (code, kind.zh, kind.en, kind.en.upper(), *kind.aliases):
                assert facilities.require_kind(name) == code

    def test_an_unknown_kind_is_refused_with_the_known_ones(self):
        with pytest.raises(InputError) as refused:
            facilities.require_kind("heliport")
        assert refused.value.code == "kind_unknown"
        assert "canteen 社区食堂" in refused.value.message("zh")


class TestParse:
    def test_chinese_columns_and_words(self):
        table = facilities.parse(
            pd.DataFrame({
                "设施编号": ["0041", "0042"], "名称": ["甲驿站", "乙食堂"],
                "设施类型": ["骑手驿站", "幸福食堂"], "建设状态": ["已建", "规划"],
                "经度": ["113.80", "113.81"], "纬度": ["34.00", "34.01"],
                "设备": ["饮水机、空调，沙发 充电", None], "开放时间": ["24小时", "08:00—20:00"],
                "容量": ["27", ""], "备注": ["x", "y"],
            })
        )  # fmt: skip
        assert table["id"].tolist() == ["0041", "0042"]
        assert table["kind"].tolist() == ["rest_station", "canteen"]
        assert table["status"].tolist() == ["existing", "planned"]
        assert table["amenities"].tolist() == ["rest_seat;water;heating;cooling;charging", ""]
        assert table["capacity"].tolist() == [27, pd.NA]
        assert table["lon"].dtype == float
        assert table["备注"].tolist() == ["x", "y"]

    def test_parsing_again_changes_nothing(self):
        once = facilities.parse(pd.DataFrame([ROW | {"hours": "24h", "capacity": 3}]))
        pd.testing.assert_frame_equal(facilities.parse(once), once)

    def test_geometries_become_degrees(self):
        points = gpd.GeoDataFrame(
            {"kind": ["park"]}, geometry=[shapely.Point(113.8, 34.0)], crs="EPSG:4490"
        )
        table = facilities.parse(points)
        assert (table["lon"][0], table["lat"][0]) == (113.8, 34.0)
        assert "geometry" not in table

    def test_defaults(self):
        row = parsed()
        assert (row["id"], row["status"], row["amenities"], row["hours"]) == (
            "1",
            "existing",
            "",
            "",
        )

    @pytest.mark.parametrize(
        ("column", "value"),
        [("status", "maybe"), ("hours", "always"), ("hours", "25:00-26:00"), ("capacity", "2.5"),
         ("capacity", -1), ("lon", None)],
    )  # fmt: skip
    def test_what_cannot_be_read_is_refused_by_row_and_column(self, column, value):
        with pytest.raises(InputError) as refused:
            facilities.parse(pd.DataFrame([ROW, {**ROW, column: value}]))
        assert refused.value.code == "value_invalid"
        assert refused.value.details["row"] == 2

    def test_columns_without_any_value(self):
        empty = ["name", "status", "hours", "capacity", "amenities"]
        rows = pd.DataFrame({"kind": ["park"] * 2, "lon": 113.8, "lat": 34.0})
        table = facilities.parse(rows.assign(**dict.fromkeys(empty, float("nan"))))
        assert table["status"].tolist() == ["existing"] * 2
        assert table["capacity"].isna().all()
        assert facilities.open_at(table, "12:00").empty

    def test_columns_that_are_missing(self):
        for column in ("kind", "lon"):
            with pytest.raises(InputError) as refused:
                facilities.parse(pd.DataFrame([ROW]).drop(columns=column))
            assert refused.value.code == "field_missing"

    def test_files(self, tmp_path: Path):
        table = pd.DataFrame([{"编码": "007", "类别": "公园", "经度": 113.8, "纬度": 34.0}])
        table.to_csv(tmp_path / "gbk.csv", index=False, encoding="gbk")
        table.to_excel(tmp_path / "list.xlsx", index=False)
        for name in ("gbk.csv", "list.xlsx"):
            read = facilities.read(tmp_path / name)
            assert (read["id"][0], read["kind"][0], read["lon"][0]) == ("007", "park", 113.8)
        with pytest.raises(MissingError):
            facilities.read(tmp_path / "none.csv")
        (tmp_path / "broken.xlsx").write_bytes(b"not a spreadsheet")
        with pytest.raises(InputError) as refused:
            facilities.read(tmp_path / "broken.xlsx")
        assert refused.value.code == "file_unreadable"


class TestFivePoints:
    def test_a_station_lacking_one_of_the_five_does_not_conform(self):
        offers = ["取暖;纳凉;饮水;歇脚;充电", "空调;饮水;充电", ""]
        table = facilities.parse(
            pd.DataFrame([{**ROW, "kind": "rest_station", "amenities": text} for text in offers]
                         + [{**ROW, "amenities": ""}])
        )  # fmt: skip
        told = facilities.five_points(table)
        assert told["conforms"].tolist() == [True, False, False]
        assert told["missing"].tolist() == [
            "", "累能歇脚", "冷可取暖、热可纳凉、渴能喝水、累能歇脚、行可充电",
        ]  # fmt: skip
        assert told["热可纳凉"].tolist() == [True, True, False]

    def test_offering_filters_and_refuses_unknown_amenities(self):
        table = facilities.parse(
            pd.DataFrame([{**ROW, "id": str(k), "amenities": text} for k, text in
                          enumerate(["充电;饮水", "饮水", ""])])
        )  # fmt: skip
        assert facilities.offering(table, "charging")["id"].tolist() == ["0"]
        assert facilities.offering(table, "water")["id"].tolist() == ["0", "1"]
        with pytest.raises(InputError):
            facilities.offering(table, "sauna")


class TestHours:
    @pytest.mark.parametrize(
        ("text", "spans"),
        [
            ("24h", [(0, 1440)]), ("24小时开放", [(0, 1440)]), ("全天", [(0, 1440)]),
            ("24/7", [(0, 1440)]), ("00:00-24:00", [(0, 1440)]), ("8:30～17:00", [(510, 1020)]),
            ("22:00-06:00", [(0, 360), (1320, 1440)]),
            ("22:00至次日06:00", [(0, 360), (1320, 1440)]),
            ("11:00-13:00,17:00-19:00", [(660, 780), (1020, 1140)]),
            ("18:00-00:00", [(1080, 1440)]),
        ],
    )  # fmt: skip
    def test_spans(self, text, spans):
        assert facilities.opening_minutes(text) == spans

    @given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
    def test_open_exactly_inside_the_span(self, begin, end, now):
        text = f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}"
        inside = begin <= now < end if begin < end else now >= begin or now < end
        table = pd.DataFrame({"hours": [text]})
        asked = datetime.time(now // 60, now % 60)
        assert (len(facilities.open_at(table, asked)) == 1) == inside

    def test_open_at_night_is_the_subset_that_never_closes(self):
        table = facilities.parse(
            pd.DataFrame([{**ROW, "id": str(k), "hours": text} for k, text in
                          enumerate(["24h", "06:00-22:00", "", "全天"])])
        )  # fmt: skip
        assert facilities.open_at(table, "02:00")["id"].tolist() == ["0", "3"]
        assert facilities.open_at(table, "02:00", unknown="open")["id"].tolist() == ["0", "2", "3"]
        with pytest.raises(InputError):
            facilities.open_at(table, "late")


class TestWeek:
    @pytest.mark.parametrize(
        ("text", "open_hours"),
        [("Mo-Fr 08:00-18:00; Sa 09:00-12:00; Su off", [10, 10, 10, 10, 10, 3, 0]),
         ("周一至周五 08:00-12:00，14:00-18:00", [8, 8, 8, 8, 8, 0, 0]),
         ("Mo-Th 09:00-20:00, Fr 09:00-18:00, Sa,Su 10:00-16:00", [11, 11, 11, 11, 9, 6, 6]),
         ("每天 06:30-22:30", [16] * 7), ("24/7; PH off", [24] * 7),
         ("Fr 22:00-02:00", [0, 0, 0, 0, 2, 2, 0]), ("Sa-Mo 00:00-24:00", [24, 0, 0, 0, 0, 24, 24]),
         ("Su 22:00-04:00", [4, 0, 0, 0, 0, 0, 2]), ("08:00-20:00; Su off", [12] * 6 + [0])],
    )  # fmt: skip
    def test_a_week(self, text, open_hours):
        from geo_service.facilities import hours

        assert (hours.week(text).sum(axis=1) / 60).tolist() == open_hours

    def test_a_day_of_the_week_is_asked_for(self):
        table = facilities.parse(
            pd.DataFrame([{**ROW, "id": str(k), "hours": text} for k, text in
                          enumerate(["24/7", "Fr 22:00-04:00", "Mo-Fr 00:00-24:00"])])
        )  # fmt: skip
        assert facilities.open_at(table, "02:00")["id"].tolist() == ["0"]
        assert facilities.open_at(table, "Sa 02:00")["id"].tolist() == ["0", "1"]
        assert facilities.open_at(table, "周一 02:00")["id"].tolist() == ["0", "2"]

    @pytest.mark.parametrize("text", ["sunrise-sunset", "Jan-Mar 08:00-10:00", "Mo-Fr", "week 1-9"])
    def test_what_is_not_read_is_refused(self, text):
        with pytest.raises(InputError) as refused:
            facilities.parse(pd.DataFrame([{**ROW, "hours": text}]))
        assert refused.value.code == "value_invalid"


class TestCityKinds:
    def test_a_further_row_is_a_kind_and_a_known_one_is_changed(self):
        rows = [{"code": "toilet", "zh": "公厕", "tier_minutes": 5, "threshold_m": 400},
                {"code": "canteen", "tier_minutes": "10"}]  # fmt: skip
        known = facilities.kinds_with(rows)
        assert (known["toilet"].threshold_m, known["toilet"].counts) == (400.0, "metres")
        assert (known["canteen"].tier_minutes, known["canteen"].walker) == (10.0, "senior")
        assert facilities.parse(pd.DataFrame([{**ROW, "kind": "公厕"}]), known=known)["kind"][
            0
        ] == ("toilet")

    def test_the_nearest_kind_is_named(self):
        with pytest.raises(InputError) as refused:
            facilities.require_kind("canteeen")
        assert refused.value.details["nearest"].startswith("canteen ")

    @pytest.mark.parametrize("row", [{"code": "castle"}, {"code": "park", "tier_minutes": "-1"},
                                     {"code": "park", "counts": "miles"}])  # fmt: skip
    def test_refusals(self, row):
        with pytest.raises(InputError):
            facilities.kinds_with([row])


class TestDuplicates:
    def test_same_place_near_and_same_name(self):
        def at(identity, x, **more):
            return {**ROW, "id": identity, "lon": 113.8 + x / 92_300.0, **more}

        table = facilities.parse(pd.DataFrame([
            at("a", 0, name="幸福食堂"), at("b", 0, name="x"), at("c", 20, name="y"),
            at("d", 200, name="幸福 食堂"), at("e", 1000, name="幸福食堂"),
            at("f", 0, kind="park"), at("g", 10, status="closed"),
        ]))  # fmt: skip
        told = facilities.duplicates(table)
        pairs = {(r.id, r.other_id): r.why for r in told.itertuples()}
        assert pairs == {("a", "b"): "same_place", ("a", "c"): "near", ("b", "c"): "near",
                         ("a", "d"): "same_name"}  # fmt: skip
        shuffled = facilities.duplicates(table.sample(frac=1.0, random_state=1))
        assert {frozenset((r.id, r.other_id)) for r in shuffled.itertuples()} == set(
            map(frozenset, pairs)
        )

    def test_both_sides_of_a_street_are_two_stops(self):
        stops = pd.DataFrame([{**ROW, "kind": "bus_stop", "id": str(k), "lon": 113.8 + k * 1e-4}
                              for k in range(2)])  # fmt: skip
        assert facilities.duplicates(facilities.parse(stops)).empty


class TestOtherFiles:
    def test_geojson_says_its_datum_aloud(self, tmp_path: Path):
        file = tmp_path / "list.geojson"
        gpd.GeoDataFrame(
            {"kind": ["park"], "entrances": ["113.8,34.0"]},
            geometry=[shapely.Point(113.8, 34.0)], crs=4326,
        ).to_file(file)  # fmt: skip
        plain, shifted = facilities.read(file), facilities.read(file, datum="gcj02")
        assert (plain["lon"][0], plain["lat"][0]) == (113.8, 34.0)
        assert 0.005 < 113.8 - shifted["lon"][0] < 0.007  # about 560 m east
        gate = [float(n) for n in shifted["entrances"][0].split(",")]
        assert gate == pytest.approx(shifted[["lon", "lat"]].iloc[0].tolist(), abs=1e-9)

    def test_an_osm_extract(self, tmp_path: Path):
        from osmium import SimpleWriter
        from osmium.osm.mutable import Node, Way

        file = tmp_path / "some.osm.pbf"
        corners = {1: (113.80, 34.0), 2: (113.802, 34.0), 3: (113.802, 34.001), 4: (113.80, 34.001)}
        tags = {2: {"barrier": "gate"}, 3: {"entrance": "main", "access": "private"}}
        with SimpleWriter(str(file)) as writer:
            for number, spot in corners.items():
                writer.add_node(Node(id=number, location=spot, tags=tags.get(number, {})))
            shop = {"amenity": "pharmacy", "name": "甲", "opening_hours": "Mo-Fr 08:00-20:00"}
            writer.add_node(Node(id=5, location=(113.81, 34.01), tags=shop))
            odd = {"shop": "supermarket", "opening_hours": "sunrise-sunset", "toilets": "yes"}
            writer.add_node(Node(id=6, location=(113.82, 34.02), tags=odd))
            writer.add_way(Way(id=9, nodes=[1, 2, 3, 4, 1], tags={"amenity": "school"}))
        table = facilities.read(file).set_index("id")
        assert table["kind"].to_dict() == {
            "node/5": "pharmacy", "node/6": "supermarket", "way/9": "primary_school",
        }  # fmt: skip
        assert table.loc["way/9", "entrances"] == (
            "113.8020000,34.0000000; 113.8020000,34.0010000 closed"
        )
        assert table.loc["way/9", ["lon", "lat"]].tolist() == [113.801, 34.0005]
        assert (table.loc["node/6", "hours"], table.loc["node/6", "amenities"]) == ("", "toilet")
        assert facilities.read(file).attrs["unread"] == ["node/6 opening_hours: sunrise-sunset"]
