"""Layers' field aliases, and rule profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from geo_service import layers, profiles
from geo_service.errors import InputError, MissingError


def test_columns_match_by_chinese_pinyin_and_cut_names() -> None:
    columns = ["OBJECTID", "WGBM", "网格名", "户数", "联系电", "SHAPE_Area"]
    assert layers.match_fields(columns) == {
        "code": "WGBM", "name": "网格名", "phone": "联系电", "households": "户数",
        "area": "SHAPE_Area",
    }  # fmt: skip


def test_an_exact_name_wins_over_one_that_is_only_a_beginning() -> None:
    assert layers.match_fields(["网格", "网格编码"])["code"] == "网格编码"


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(MissingError, match="micro_grids"):
        layers.layer("gird")


def test_the_shipped_default_is_the_default() -> None:
    shipped, built_in = profiles.load("default"), profiles.Profile()
    assert shipped.label == "default@1"
    for name in ("min_area_m2", "snap_m", "gap_width_m", "code_pattern", "max_gap_m"):
        assert getattr(shipped, name) == getattr(built_in, name)


def test_a_citys_own_profile_says_only_what_it_changes(tmp_path: Path) -> None:
    own = tmp_path / "xuchang.toml"
    own.write_text('name = "xuchang"\nversion = "3"\n[severities]\nmultipart = "note"\n')
    profile = profiles.load(own)
    assert profile.label == "xuchang@3"
    assert (profile.severity("multipart"), profile.severity("overlap")) == ("note", "error")
    assert profiles.load("urban").households == (300, 500)


def test_bad_profiles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="default, urban"):
        profiles.load("rural")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(InputError, match=r"broken\.toml"):
        profiles.load(broken)
    broken.write_text("max_gap = 3")
    with pytest.raises(InputError, match="max_gap_m"):
        profiles.load(broken)


@pytest.mark.parametrize(
    ("column", "field"),
    [("网格编码", "code"), ("WGBM", "code"), ("grid_code", "code"), ("gridCode", "code"),
     ("wanggebianma", "code"), ("网格编", "code"), ("网格名", "name"), ("WGMC", "name"),
     ("Grid Name", "name"), ("所属社区", "community"), ("SSSQ", "community"),
     ("所属街道", "township"), ("所属街", "township"), ("网格员联系", None),
     ("户数（户）", "households"), ("HUSHU", "households"), ("常住人口数(人)", "population"),
     ("常住人口数", "population"), ("面积(平方米)", "area"), ("Shape_Area", "area"),
     ("SHAPE_Area", "area"), ("启用日期", "start_date"), ("网格长", "head"), ("网格员", None),
     ("网格", None), ("OBJECTID", None), ("上级网格编", "parent_code")],
)  # fmt: skip
def test_aliases(column: str, field: str | None) -> None:
    assert layers.match_fields([column]) == ({field: column} if field else {})


def test_every_alias_that_a_dbf_cuts_is_found_again_or_tells_nothing() -> None:
    for field in layers.FIELDS:
        for alias in field.aliases:
            assert layers.match_fields([alias]) == {field.name: alias}
            for cut in layers.cut_names(alias):
                assert set(layers.match_fields([cut])) <= {field.name} | {
                    f.name for f in layers.FIELDS if cut in f.aliases
                }
