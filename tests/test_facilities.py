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
