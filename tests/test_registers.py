"""Registers keep every digit of a code, and say what is missing on either side."""

from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from geo_service import masking, registers
from geo_service.errors import InputError, MissingError

HEADER = ["序号", "网格编码", "网格名称", "网格长", "联系电话", "户数"]


def sheet(path: Path, rows: list[list[object]], formats: dict[str, str] | None = None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, form in (formats or {}).items():
        book.active[cell].number_format = form
    book.save(path)
    return path


def text_file(path: Path, text: str, encoding: str) -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def codes_of(count: int) -> list[str]:
    return [f"4110020{n // 999:05d}{n % 999 + 1:03d}" for n in range(count)]


def test_a_register_with_titles_blank_rows_and_a_sum(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "register.xlsx",
        [
            ["许昌市网格登记表"],
            [None, "填报单位：魏都区"],
            HEADER,
            [1, "411002001001001", "第一网格", "王建国", 13812340000, 312],
            [None] * 6,
            [2, "411002001001002", "第二网格", "李梅", "13900001111", 288],
            ["合计", None, None, None, None, 600],
        ],
    )
    found = registers.read(path)
    assert found.frame["code"].tolist() == ["411002001001001", "411002001001002"]
    assert found.frame["phone"].tolist() == ["13812340000", "13900001111"]
    assert found.frame["households"].tolist() == [312, 288]
    assert found.frame.index.tolist() == [4, 6]
    assert {"header", "summary_rows", "blank_rows"} <= {note.code for note in found.notes}


@pytest.mark.parametrize(
    "value",
    [4.110020010010012e17, 411002001001001001, 0.5, "4.11002E+14", "411002001001001.0"],
)
def test_refuses_a_code_that_lost_its_digits(tmp_path: Path, value: object) -> None:
    path = sheet(tmp_path / "r.xlsx", [HEADER, [1, "411002001001001"], [2, value]])
    with pytest.raises(InputError) as refused:
        registers.read(path)
    assert refused.value.code == "code_is_a_float"
    assert refused.value.details["row"] == 3


def test_short_numbers_become_text_and_shown_zeros_come_back(tmp_path: Path) -> None:
    rows = [HEADER, [1, 411002001001001], [2, 41100], [3, 411002001001003.0], [4, "041100"]]
    path = sheet(tmp_path / "r.xlsx", rows, {"B3": "000000"})
    found = registers.read(path).frame["code"].tolist()
    assert found == ["411002001001001", "041100", "411002001001003", "041100"]


def test_full_width_digits_and_apostrophes_are_cleaned(tmp_path: Path) -> None:
    path = sheet(tmp_path / "r.xlsx", [HEADER, [1, "'411002001001001"], [2, "４１１００２ "]])
    assert registers.read(path).frame["code"].tolist() == ["411002001001001", "411002"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_csv_in_any_encoding_and_with_any_delimiter(
    tmp_path: Path, encoding: str, mark: str
) -> None:
    text = "网格编码,网格名称,网格长\n011002001001001,第一网格,王䶮\n,第二网格,\n".replace(
        ",", mark
    )
    found = registers.read(text_file(tmp_path / "r.csv", text, encoding)).frame
    assert found["code"].tolist() == ["011002001001001", ""]
    assert found["head"].tolist() == ["王䶮", ""]


def test_a_big5_register(tmp_path: Path) -> None:
    text = "網格編碼,name,區\n67000030022,內角里,白河區\n67000030023,西大里,新營區\n"
    path = text_file(tmp_path / "r.csv", text, "big5")
    found = registers.read(path, fields={"code": "網格編碼"})
    assert found.frame["name"].tolist() == ["內角里", "西大里"]
    assert found.frame["code"].tolist() == ["67000030022", "67000030023"]


def test_refusals_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="nowhere"):
        registers.read(tmp_path / "nowhere.xlsx")
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK\x03\x04" + b"\0" * 50)
    with pytest.raises(InputError) as refused:
        registers.read(broken)
    assert refused.value.code == "file_unreadable"
    old = tmp_path / "old.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(InputError, match=r"\.xlsx"):
        registers.read(old)
    no_code = text_file(tmp_path / "n.csv", "a,b\n1,2\n", "utf-8")
    with pytest.raises(InputError) as refused:
        registers.read(no_code)
    assert refused.value.code == "field_missing"
    assert "a, b" in str(refused.value)


def test_the_sheet_with_the_codes_is_taken(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["说明"])
    book.create_sheet("网格").append(HEADER)
    book["网格"].append([1, "411002001001001"])
    book.save(tmp_path / "r.xlsx")
    found = registers.read(tmp_path / "r.xlsx")
    assert found.frame["code"].tolist() == ["411002001001001"]
    assert "sheet" in {note.code for note in found.notes}
    with pytest.raises(InputError, match="网格"):
        registers.read(tmp_path / "r.xlsx", sheet="Sheet1")


def test_on_map_rate_is_truncated_and_both_sides_are_listed() -> None:
    registered = codes_of(18_936)
    missing = {registered[k] for k in (0, 77, 5_000, 12_345, 18_935)}
    drawn = [code for code in registered if code not in missing] + ["999999999999999"]
    found = registers.reconcile(
        pd.DataFrame({"code": registered}),
        pd.DataFrame({"code": drawn}),
        coverage_percent="99.9735",
    )
    assert (found.mapped, found.registered) == (18_931, 18_936)
    assert found.on_map_percent == "99.97"
    assert found.coverage_percent == "99.9735"
    assert set(found.unmapped) == missing
    assert found.unregistered == ("999999999999999",)
    assert not found.complete


def test_one_missing_of_very_many_is_never_100() -> None:
    assert registers.truncated_percent(999_999, 1_000_000) == "99.99"
    assert registers.truncated_percent(1_000_000, 1_000_000) == "100.00"


def test_duplicates_and_rows_without_a_code() -> None:
    register = pd.DataFrame({"code": ["1", "1", "2", None]}, index=[5, 6, 7, 8])
    found = registers.reconcile(register, pd.DataFrame({"code": ["1", "2", "2", ""]}))
    assert found.register_duplicates == {"1": 2}
    assert found.map_duplicates == {"2": 2}
    assert found.rows_without_code == (8,)
    assert found.polygons_without_code == 1
    assert found.on_map_percent == "66.66"
    assert found.to_dict()["unmapped"] == []


def test_a_complete_register() -> None:
    codes = codes_of(1_000)
    found = registers.reconcile(codes, pd.DataFrame({"code": codes[::-1]}))
    assert found.complete
    assert found.on_map_percent == "100.00"


def test_staff_of_sixty_thousand() -> None:
    codes = codes_of(18_936)
    grids = pd.DataFrame({"code": codes})
    roster = pd.DataFrame(
        {
            "code": [codes[k % 18_930] for k in range(60_000)],
            "姓名": "王建国",
            "phone": "13812340000",
            "岗位": ["专职网格员" if k % 3 else "兼职网格员" for k in range(60_000)],
        }
    )
    roster.loc[41, "code"] = "000000000000000"
    found = registers.staff(roster, grids)
    assert found.without_person == tuple(grids["code"][18_930:])
    assert found.unknown_grid.index.tolist() == [41]
    assert found.unknown_grid["phone"].tolist() == ["138****0000"]
    assert found.unknown_grid["姓名"].tolist() == ["王**"]
    assert found.roles == {"专职网格员": 40_000, "兼职网格员": 20_000}
    assert int(found.per_grid.sum()) == 59_999
    assert found.persons == 60_000


def test_one_person_for_two_grids_and_five_roles_on_one() -> None:
    grids = pd.DataFrame({"code": ["1", "2"]})
    roles = ["网格长", "网格员", "党员", "志愿者", "民警"]
    roster = pd.DataFrame({"code": ["1、2", "1", "1", "1", "1"], "role": roles})
    found = registers.staff(roster, grids)
    assert found.per_grid.to_dict() == {"1": 5, "2": 1}
    assert set(found.roles) == set(roles)


def test_micro_grids_one_to_one() -> None:
    grids = pd.DataFrame({"code": codes_of(2_038)})
    roster = pd.DataFrame({"code": codes_of(2_038)})
    assert registers.staff(roster, grids).one_to_one
    found = registers.staff(roster.drop(index=1_000), grids)
    assert not found.one_to_one
    assert found.without_person == (grids["code"][1_000],)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("13812340000", "138****0000"),
        ("138-1234-0000 / 13900001111", "138****0000 / 139****1111"),
        ("0374 2331234", "0374 ***1234"),
        ("8613812340000", "*********0000"),
        ("无", "无"),
    ],
)
def test_phones_are_masked(given: str, shown: str) -> None:
    assert masking.mask_phone(given) == shown
