"""Encodings are told from bytes alone: the cases that arrive in planners' files."""

import csv
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo_service.encodings import detect, detect_encoding
from geo_service.errors import InputError

REGISTER = "网格编码,网格名称,网格长\n411002001001001,第一网格,王建国\n"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (REGISTER, "utf-8", "utf-8"),
        (REGISTER, "utf-8-sig", "utf-8-sig"),
        (REGISTER, "utf-16", "utf-16"),
        (REGISTER, "gbk", "gb18030"),
        (REGISTER, "gb18030", "gb18030"),
        ("第一网格,𬭼桥村", "gb18030", "gb18030"),
        ("許昌市魏都區西大街道,第一網格", "big5", "big5"),
        ("鹽水區,坔頭港里,竪山里", "big5hkscs", "big5hkscs"),
        ("許昌市魏都區西大街道", "gb18030", "gb18030"),
        ("一,一", "gbk", "gb18030"),
        ("code,name\n1,Жуковский\n2,Königsbrück", "utf-8", "utf-8"),
        ("code,name\n1,Düsseldorf\n2,Köln", "cp1252", "cp1252"),
        ("code,name\n1,plain", "ascii", "utf-8"),
    ],
)
def test_tells_the_encoding(text: str, encoding: str, found: str) -> None:
    assert detect_encoding(text.encode(encoding)) == found


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_a_character_cut_at_the_end_does_no_harm(encoding: str) -> None:
    data = ("市區大街路" * 20).encode(encoding)
    assert detect_encoding(data[:-1]) == encoding


def test_a_few_broken_characters_are_tolerated() -> None:
    data = "西大街道第一网格".encode("gb18030") * 40
    assert detect(data[:33] + b"\xff" + data[34:]).name == "gb18030"


def test_refuses_what_no_encoding_reads() -> None:
    with pytest.raises(InputError) as refused:
        detect_encoding(bytes(range(128, 256)) * 3 + b"\0", file="x.csv")
    assert refused.value.code == "encoding_unreadable"
    assert "x.csv" in str(refused.value)


COMMON = "一二三东西南北中大小街道路村镇乡社区网格编码名称户数人口张王李赵建国明华"


@given(st.text(alphabet=COMMON, min_size=4, max_size=40))
def test_everyday_chinese_in_gbk_is_never_taken_for_big5(text: str) -> None:
    assert detect_encoding(text.encode("gbk")) == "gb18030"


@pytest.mark.real
def test_real_names_of_townships_one_by_one(real_data) -> None:
    with (real_data / "xuchang_townships.csv").open(encoding="utf-8-sig", newline="") as lines:
        names = [row["name"] for row in csv.DictReader(lines)]
    assert len(names) == 105
    assert {detect_encoding(name.encode("gb18030")) for name in names} == {"gb18030"}


@pytest.mark.real
def test_real_dbf_files(real_data) -> None:
    def records(data: bytes) -> bytes:
        return data[int.from_bytes(data[8:10], "little") :]

    with zipfile.ZipFile(real_data / "uploads/10tnvillage.zip") as archive:
        tainan = archive.read("10_tn-village.dbf")
    assert detect_encoding(records(tainan)) == "big5hkscs"
    folder = real_data / "uploads/mapshaper/data/dbf"
    found = {p.stem: detect_encoding(records(p.read_bytes())) for p in folder.glob("*.dbf")}
    assert found == {"big5": "big5", "gbk": "gb18030", "gb2312": "gb18030", "utf8": "utf-8"}
