"""`geo_service.addresses`: thirty styles of questions on a made-up table, and the rules by hand."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from geo_service.addresses import AddressBook
from geo_service.addresses.openstreetmap import read_addresses
from geo_service.addresses.reading import canonical, is_damaged, question
from geo_service.addresses.sounds import sounds_alike, syllables
from geo_service.errors import InputError


@pytest.fixture(scope="module")
def styles():
    spec = importlib.util.spec_from_file_location(
        "address_styles", Path(__file__).parent / "address_styles.py"
    )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def judged(styles):
    frame = styles.table(6000, seed=11)
    book = AddressBook(frame)
    asked = styles.questions(frame, 40, seed=12)
    return [(one, book.find(one.text)) for one in asked]


ROWS = [
    ("魏都区", "西大街道", "文峰社区", "建设路", "12号", "", "", 113.8200, 34.02),
    ("魏都区", "西大街道", "文峰社区", "建设路", "12号", "锦绣家园", "3号楼2单元",
     113.8203, 34.0203),
    ("魏都区", "西大街道", "文峰社区", "建设路", "16号", "", "", 113.8206, 34.02),
    ("魏都区", "西大街道", "文峰社区", "五一路", "7号", "", "", 113.8250, 34.02),
    ("魏都区", "西大街道", "文峰社区", "西大街", "21号", "", "", 113.8253, 34.02),
    ("禹州市", "钧台街道", "怀帮社区", "建设路", "12号", "", "", 113.4700, 34.15),
    ("禹州市", "钧台街道", "怀帮社区", "滨河大道", "5号", "", "", 113.4800, 34.15),
    ("禹州市", "小吕镇", "大卢沟村", "", "20号", "", "", 113.2108, 34.0941),
]  # fmt: skip
COLUMNS = [
    "county",
    "township",
    "community",
    "road",
    "number",
    "compound",
    "building",
    "lon",
    "lat",
]


@pytest.fixture(scope="module")
def table():
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    texts = ["河南省许昌市" + "".join(row[:7]) for row in ROWS]
    return frame.assign(address=texts, code=[f"41100200100100{k}" for k in range(len(ROWS))])


@pytest.fixture(scope="module", params=["columns", "text"])
def book(table, request):
    return AddressBook(table if request.param == "columns" else table[["address", "lon", "lat"]])


# styles -------------------------------------------------------------------------------------


def test_at_least_95_percent_are_right_and_hardly_any_confidently_wrong(styles, judged):
    verdicts = Counter(styles.judge(asked, answer) for asked, answer in judged)
    total = sum(verdicts.values())
    assert len({asked.style for asked, _ in judged}) >= 22
    assert verdicts["right"] / total >= 0.97
    assert verdicts["wrong"] / total <= 0.002


def test_each_style_is_mostly_right_and_namesakes_are_never_guessed(styles, judged):
    right: Counter[str] = Counter()
    for asked, answer in judged:
        verdict = styles.judge(asked, answer)
        right[asked.style] += verdict == "right"
        assert (asked.style, verdict) != ("namesake", "wrong")
    assert {style: count for style, count in right.items() if count < 0.85 * 40} == {}


def test_every_answer_says_what_it_matched_on_and_its_radius_holds_the_truth(judged):
    for asked, answer in judged:
        if answer.status != "found" or asked.status != "found":
            continue
        assert answer.matched_on
        assert 0 < answer.confidence <= 1
        east, north = (answer.lon - asked.lon) * 92_300, (answer.lat - asked.lat) * 110_900
        assert (east**2 + north**2) ** 0.5 <= answer.radius_m, asked


def test_an_answer_does_not_depend_on_the_order_of_the_rows(styles):
    frame = styles.table(2500, seed=5)
    asked = styles.questions(frame, 6, seed=6)
    one, other = AddressBook(frame), AddressBook(frame.sample(frac=1, random_state=3))
    for question_ in asked:
        first, second = one.find(question_.text), other.find(question_.text)
        assert (first.status, first.matched_on) == (second.status, second.matched_on)
        if first.status == "found":
            assert first.lon == pytest.approx(second.lon, abs=5e-4)


# rules by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("魏都区建设路12号", 0),
        ("魏都建设路１２號", 0),
        ("河南省许昌市禹州市钧台街道建设路十二号", 5),
        ("12号 建设路，西大街道", 0),
        ("锦绣家园3栋二单元", 1),
        ("锦绣家园3号", 1),
        ("濱河大道5號", 6),
        ("滨河大道 5", 6),
        ("13800001234 张三，五一路7号，没水了", 3),
        ("投诉五一路7号院3单元502夜间噪音", 3),
        ("西大街道西大街21号", 4),
        ("禹州市宾河大道5号", 6),
        ("禹州市小吕镇大卢沟村20号", 7),
        ("大卢沟村二十号", 7),
    ],
)
def test_found(book, text, row):
    answer = book.find(text)
    assert answer.status == "found"
    assert answer.lon == pytest.approx(ROWS[row][-2], abs=4e-4)
    assert answer.lat == pytest.approx(ROWS[row][-1], abs=4e-4)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("建设路12号", "ambiguous"),
        ("西大街道", "ambiguous"),
        ("建设路", "ambiguous"),
        ("和平路3号", "not_found"),
        ("魏都区建设东路12号", "not_found"),
        ("新建设路12号", "not_found"),
        ("魏都区建设路三巷12号", "not_found"),
        ("郑州市建设路12号", "not_found"),
        ("禹州市五一路7号", "not_found"),
        ("魏都区建设路999号", "not_found"),
        ("你好", "not_found"),
        ("大卢沟村21号", "not_found"),
        ("小卢沟村20号", "not_found"),
        ("?毕宄强h", "unreadable"),
        ("璁告槍甯傚缓璁捐矾", "unreadable"),
        ("魏都区建设路\ufffd号", "unreadable"),
        ("  ", "unreadable"),
    ],
)
def test_nothing_is_guessed(book, text, status):
    assert book.find(text).status == status


def test_ambiguous_names_its_candidates(table):
    answer = AddressBook(table).find("建设路12号")
    assert [c.code for c in answer.candidates] == ["411002001001000", "411002001001005"]
    assert answer.to_dict()["status"] == "ambiguous"
    assert "lon" not in answer.to_dict()


def test_a_number_between_known_ones_lies_between_them_less_surely(book):
    answer = book.find("魏都区建设路14号")
    assert answer.lon == pytest.approx(113.8203, abs=1e-4)
    assert answer.matched_on[-1] == "number~"
    assert answer.confidence <= 0.97
    assert answer.radius_m > book.find("魏都区建设路16号").radius_m


def test_words_of_nearness_widen_the_radius(book):
    at, near = book.find("五一路7号"), book.find("五一路7号附近")
    assert near.radius_m == at.radius_m + 150
    assert near.confidence < at.confidence


def test_a_crossing_lies_where_two_roads_come_near(book):
    answer = book.find("魏都区五一路与西大街交叉口")
    assert answer.status == "found"
    assert answer.lon == pytest.approx(113.825, abs=1e-3)


def test_the_tables_own_text_is_certain(table):
    answer = AddressBook(table).find(table["address"][0])
    assert (answer.confidence, answer.matched_on) == (1.0, ("address",))


def test_latin_addresses(table):
    latin = pd.DataFrame(
        {
            "address": ["Hauptstraße 12, Vaduz", "Hauptstraße 14, Vaduz", "Im Rossfeld 3, Schaan"],
            "lon": [9.52, 9.521, 9.51],
            "lat": [47.14, 47.14, 47.17],
        }
    )
    book = AddressBook(latin)
    assert book.find("HAUPTSTRASSE 12").lon == 9.52
    assert book.find("Hauptstrase 14").lon == 9.521
    assert book.find("Im Rossfeld 3").matched == "Im Rossfeld 3, Schaan"
    assert book.find("Bahnhofstrasse 3").status == "not_found"


def test_an_empty_table_finds_nothing(table):
    assert AddressBook(table.iloc[:0]).find("建设路12号").status == "not_found"


def test_refusals_name_the_column_and_row(table):
    with pytest.raises(InputError) as refused:
        AddressBook(table.drop(columns="lat"))
    assert (refused.value.code, refused.value.details["field"]) == ("field_missing", "lat")
    with pytest.raises(InputError) as refused:
        AddressBook(table.assign(lon=[*table["lon"][:-1], float("nan")]))
    assert (refused.value.code, refused.value.details["row"]) == ("value_invalid", len(table))


# spelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("建設路１２號之３", "建设路12-3号"),
        ("五一路二十一号院3#楼", "五一路21号3号楼"),
        ("建设路 12 号", "建设路12号"),
        ("文峰社区居委会", "文峰社区"),
        ("西大街道办事处", "西大街道"),
        ("锦绣家园Ａ座", "锦绣家园a号楼"),
        ("一百零二号", "102号"),
        ("第三单元", "第3单元"),
        ("五一路", "五一路"),
    ],
)
def test_one_spelling(written, spelled):
    assert canonical(written) == spelled
    assert canonical(spelled) == spelled


def test_a_real_question_mark_is_no_damage():
    assert not is_damaged("建设路12号在哪里？")
    assert question("建设路12号在哪里？").text.startswith("建设路12号")


def test_sounds_come_from_the_order_of_the_charset():
    known = {
        "啊": "a",
        "建": "jian",
        "设": "she",
        "许": "xu",
        "昌": "chang",
        "座": "zuo",
        "路": "lu",
    }
    assert {c: syllables()[c] for c in known} == known
    assert sounds_alike("兴", "新")
    assert not sounds_alike("设", "国")


# roads that only look alike --------------------------------------------------------------------


@pytest.fixture(scope="module")
def sparse():
    roads = ["中山北路二段16巷", "南京西路", "天津街", "人民路", "人民东路"]
    return AddressBook(
        pd.DataFrame(
            [
                (f"中山区{road}{number}号", "中山区", road, f"{number}号", 113.8 + 0.01 * k, 34.02)
                for k, road in enumerate(roads)
                for number in (1, 3)
            ],
            columns=["address", "county", "road", "number", "lon", "lat"],
        )
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("中山区中山北路段二16巷3号", "中山区中山北路二段16巷3号"),
        ("中山路二段16巷3号", "中山区中山北路二段16巷3号"),
        ("森京西路1号", "中山区南京西路1号"),
        ("天森津街3号", "中山区天津街3号"),
    ],
)
def test_a_misspelt_road_is_found_where_only_one_is_like_it(sparse, text, meant):
    found = sparse.find(text)
    assert (found.status, found.matched) == ("found", meant)
    assert "road~" in found.matched_on
    assert found.confidence <= 0.98


@pytest.mark.parametrize(
    "text", ["南京路1号", "南京东路1号", "人民中路1号", "森京西路7号", "新天津街3号"]
)
def test_a_road_that_differs_tellingly_stays_unknown(sparse, text):
    assert sparse.find(text).status == "not_found"


@pytest.mark.real
@pytest.mark.parametrize(("extract", "least"), [("liechtenstein", 0.97), ("heidelberg", 0.97)])
def test_real_addresses_with_one_typing_error(real_data, styles, extract, least):
    table = read_addresses(real_data / "osm" / f"{extract}.osm.pbf")
    book = AddressBook(table)
    asked = styles.mistyped(table, 300, seed=3)
    verdicts = Counter(styles.judge(one, book.find(one.text)) for one in asked)
    assert verdicts["right"] >= least * len(asked)
    assert verdicts["wrong"] <= 0.01 * len(asked)


@pytest.mark.real
def test_an_extract_gives_its_addresses(real_data):
    table = read_addresses(real_data / "osm" / "taipei_osm2streets.osm.pbf")
    assert (table["road"] != "").sum() == 710
    assert "臺北市中山區中山北路一段152号" in set(table["address"])
    assert not table["number"].str.contains("[号號]").any()
