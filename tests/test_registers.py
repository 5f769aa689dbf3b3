"""Registers keep every digit of a code, and say what is missing on either side."""

import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from geo_service import crs, masking, profiles, registers
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
    assert refused.value.details["row"] == "3"


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
    with pytest.raises(InputError, match=r"old\.xls"):
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
    assert found.register_duplicates == {"1": (5, 6)}
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


def test_merged_cells_stand_in_each_of_their_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.append(["花名册"])
    page.append(["街道", "网格编码", "网格员", None, "户数"])
    page.append([None, None, "姓名", "联系电话", None])
    page.append(["北大街道", "411002001001001", "王建国", "13812340000", 300])
    page.append([None, None, "李梅", "13900001111", None])
    page.append([None, "411002001001002", "赵云", "13700002222", 200])
    for area in ("A1:E1", "A2:A3", "B2:B3", "C2:D2", "E2:E3", "A4:A6", "B4:B5", "E4:E5"):
        page.merge_cells(area)
    book.save(tmp_path / "r.xlsx")
    found = registers.read(tmp_path / "r.xlsx")
    assert found.frame["code"].tolist() == ["411002001001001"] * 2 + ["411002001001002"]
    assert found.frame["姓名"].tolist() == ["王建国", "李梅", "赵云"]
    assert found.frame["township"].tolist() == ["北大街道"] * 3
    assert found.frame["households"].sum() == 500  # a merged number is told once
    assert found.continued == {5}
    grids = pd.DataFrame({"code": ["411002001001001", "411002001001002"]})
    assert registers.reconcile(found, grids).complete
    assert registers.staff(found, grids).per_grid.tolist() == [2, 1]


def test_a_sheet_per_township_and_headers_repeated_on_every_page(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "说明"
    for name, rows in (("北大", [1, 2]), ("西大", [3])):
        page = book.create_sheet(name)
        for row in rows:
            page.append(HEADER)
            page.append([row, f"41100200100100{row}", "网格"])
        page.append(["合 计", None, None, None, None, 9])
    hidden = book.create_sheet("旧")
    hidden.append(HEADER)
    hidden.append([9, "411002009009009"])
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "r.xlsx")
    found = registers.read(tmp_path / "r.xlsx")
    assert found.frame["code"].tolist() == [f"41100200100100{n}" for n in (1, 2, 3)]
    assert found.frame.index.tolist() == ["北大!2", "北大!4", "西大!2"]
    assert {"sheet", "sheets_hidden", "summary_rows"} <= {note.code for note in found.notes}


def test_every_row_with_a_ruined_code_is_named(tmp_path: Path) -> None:
    rows = [HEADER, [1, 4.11e17], [2, "411002001001002"], [3, "4.11002E+17"]]
    with pytest.raises(InputError) as refused:
        registers.read(sheet(tmp_path / "r.xlsx", rows))
    assert refused.value.details["row"] == "2, 4"
    assert "2, 4" in refused.value.message("zh")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("form", ["xls", "ods"])
def test_old_and_open_workbooks_are_read(tmp_path: Path, form: str) -> None:
    path = sheet(tmp_path / "r.xlsx", [["台账"], HEADER, [1, "011002001001001", "第一网格"]])
    command = ["soffice", f"-env:UserInstallation={(tmp_path / 'p').as_uri()}", "--headless",
               "--convert-to", form, "--outdir", tmp_path, path]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    found = registers.read(tmp_path / f"r.{form}").frame
    assert found["code"].tolist() == ["011002001001001"]


def test_a_workbook_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geo_service._sheets._MOST_BYTES", 5 << 20)
    path = sheet(tmp_path / "r.xlsx", [HEADER, [1, "411002001001001"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb.bin", bytes(6 << 20))
    with pytest.raises(InputError) as refused:
        registers.read(path)
    assert refused.value.code == "file_unreadable"


def test_attributes_that_differ_are_noted() -> None:
    register = pd.DataFrame(
        {"code": ["1", "2", "3"], "name": ["第一网格", "第２ 网格", "甲"],
         "households": [300, 200.0, 7],
         "phone": ["13812340000", "13900001111", ""], "parent_code": ["北大社区", "", ""]}
    )  # fmt: skip
    grids = pd.DataFrame(
        {"code": ["1", "2", "3"], "name": ["第一网格", "第2网格", "乙"],
         "households": [301, 200, 7],
         "phone": ["13812349999", "13900001111", "1"], "parent_code": ["411002001001"] * 3}
    )  # fmt: skip
    found = registers.reconcile(register, grids)
    told = found.differences[["code", "field", "register", "layer"]].to_numpy().tolist()
    assert told == [
        ["1", "households", "300", "301"],
        ["1", "phone", "138****0000", "138****9999"],
        ["3", "name", "甲", "乙"],
    ]
    assert found.complete  # a note, not a fault
    assert "attributes_differ" in {note.code for note in found.notes}
    shown = registers.reconcile(register, grids, unmasked=True).differences
    assert "13812340000" in shown["register"].tolist()


def test_one_of_18936_missing_is_never_100() -> None:
    codes = codes_of(18_936)
    found = registers.reconcile(codes, pd.DataFrame({"code": codes[1:]}))
    assert (found.on_map_percent, found.unmapped) == ("99.99", (codes[0],))


def test_roles_vacancies_and_persons_on_many_grids() -> None:
    grids = pd.DataFrame({"code": ["1", "2", "3", "4", "5", "6"]})
    roster = pd.DataFrame(
        {
            "code": ["1", "1", "2", "3、4、5、6", "", "9", "2"],
            "姓名": ["王建国", "李梅", "赵云", "钱多", "孙某", "周某", ""],
            "phone": ["13812340000", "13812340001", "13812340002", "13812340003"] + [""] * 3,
            "岗位": [
                "网格长",
                "专职网格员",
                "副网格长",
                "兼职网格员",
                "网格员",
                "网格员",
                "网格长",
            ],
        }
    )
    rules = replace(profiles.load(), least_full_time=1)
    found = registers.staff(roster, grids, profile=rules)
    assert (found.persons, found.vacant) == (6, (6,))
    assert found.without_person == ()
    assert found.without_head == ("2", "3", "4", "5", "6")
    assert found.without_full_time == ("2", "3", "4", "5", "6")
    assert found.without_grid.index.tolist() == [4]
    assert found.unknown_grid.index.tolist() == [5]
    assert found.overloaded[["person", "phone", "grids"]].to_numpy().tolist() == [
        ["钱*", "138****0003", 4]
    ]
    assert not found.complete
    assert found.to_dict()["profile"] == "default@1"
    full = registers.staff(roster, grids, unmasked=True)
    assert full.overloaded["person"].tolist() == ["钱多"]
    assert full.without_full_time == ()


@pytest.mark.parametrize("broken", range(4))
def test_the_four_invariants_count_what_was_injected(small_city: Any, broken: int) -> None:
    grids, parents = small_city.grids, small_city.communities
    codes = grids["code"].tolist()
    roster = pd.DataFrame({"code": codes, "姓名": "王建国"})
    inside = grids.geometry.representative_point()
    lon, lat = crs.Plane.of(grids.crs).inverse(inside.x, inside.y, datum="gcj02")
    events = pd.DataFrame({"lon": lon, "lat": lat})
    if broken == 0:
        parents = parents[parents["code"] != codes[0][:12]]
    if broken == 1:
        roster = roster[~roster["code"].isin(codes[:3])]
    if broken == 2:
        roster.loc[len(roster)] = ["411099999999999", "李梅"]
    if broken == 3:
        events.loc[len(events)] = [120.0, 30.0]
        events.loc[len(events)] = [np.nan, np.nan]
    found = registers.check_invariants(
        grids, parents=parents, staffing=registers.staff(roster, grids), events=events,
        datum="gcj02",
    )  # fmt: skip
    orphans = sum(code[:12] == codes[0][:12] for code in codes)
    expected = [0, 0, 0, 0]
    expected[broken] = (orphans, 3, 1, 2)[broken]
    assert [len(which or ()) for _, _, which in found.counters()] == expected
    assert not found.complete


def test_what_was_not_given_is_not_judged(small_city: Any) -> None:
    events = pd.DataFrame({"code": [small_city.grids["code"][0], "x"]})
    found = registers.check_invariants(small_city.grids, events=events)
    assert found.grids_without_parent is None
    assert found.to_dict()["events_without_grid"] == {"count": 1, "which": [1]}
    with pytest.raises(InputError) as refused:
        registers.check_invariants(small_city.grids, events=pd.DataFrame({"lon": [1], "lat": [1]}))
    assert refused.value.code == "datum_missing"


@pytest.mark.parametrize(
    ("column", "given", "shown"),
    [
        ("身份证号", "411002199003074517", "411002********4517"),
        ("备注", "证件411002199003074517，电13812340000", "证件411002********4517，电138****0000"),
        ("备注", "微网格411002001001001001", "微网格411002001001001001"),
        ("code", "411002199003074517", "411002199003074517"),
    ],
)
def test_id_numbers_are_masked_and_codes_are_not(column: str, given: str, shown: str) -> None:
    assert masking.masked(pd.DataFrame({column: [given]}))[column].tolist() == [shown]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("13812340000", "138****0000"),
        ("138-1234-0000 / 13900001111", "138****0000 / 139****1111"),
        ("0374 2331234", "0374 ***1234"),
        ("8613812340000", "86138****0000"),
        ("无", "无"),
    ],
)
def test_phones_are_masked(given: str, shown: str) -> None:
    assert masking.mask_phone(given) == shown
