"""Layers' field aliases, and rule profiles."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from geo_service import cli, coverage, layers, profiles
from geo_service.coverage import _messages
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
    with pytest.raises(MissingError, match="cjt349, default, micro, urban"):
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


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_profile_extends_another_beside_it_or_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "henan.toml", 'name = "henan"\nextends = "urban"\nmax_gap_m = 3\n')
    own = profiles.load(
        write(tmp_path, "x.toml", 'name = "x"\nextends = "henan.toml"\nsnap_m = 1.0')
    )
    assert (own.households, own.max_gap_m, own.snap_m) == ((300, 500), 3.0, 1.0)
    round_ = write(tmp_path, "a.toml", 'extends = "b.toml"')
    write(tmp_path, "b.toml", 'extends = "a.toml"')
    with pytest.raises(InputError, match=r"extends"):
        profiles.load(round_)


def test_the_digest_is_of_the_rules_not_of_the_file(tmp_path: Path) -> None:
    one = profiles.load(write(tmp_path, "a.toml", 'name = "x"\nsnap_m = 0.1  # as it is'))
    two = profiles.load(write(tmp_path, "b.toml", 'snap_m = 0.10\nname = "x"'))
    three = profiles.load(write(tmp_path, "c.toml", 'name = "x"\nsnap_m = 0.2'))
    assert len(one.digest) == 12
    assert one.digest == two.digest != three.digest


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [("max_gap = 3", "profile_key_unknown", "max_gap_m"),
     ("[severities]\ngaps = 'error'", "profile_key_unknown", "severities.gap"),
     ("[tolerances.overlaps]\narea_m2 = 1", "profile_key_unknown", "tolerances.overlap"),
     ("[messages.gap]\ncn = 'x'", "profile_key_unknown", "messages.gap"),
     ("[sizes.x]\nhousehold = [1, 2]", "profile_key_unknown", "sizes.x.households"),
     ("[code_patterns]\nmicrogrid = 'x'", "profile_key_unknown", "code_patterns.micro_grid"),
     ("[severities]\ngap = 'fatal'", "parameter_invalid", "severities.gap"),
     ("code_pattern = '('", "parameter_invalid", "code_pattern"),
     ("snap_m = 'wide'", "parameter_invalid", "snap_m"),
     ("snap_m = -1", "parameter_invalid", "snap_m"),
     ("households = [500, 300]", "parameter_invalid", "households"),
     ("city_box = [1, 2]", "parameter_invalid", "city_box"),
     ("digest = 'abc'", "profile_key_unknown", "digest")],
)  # fmt: skip
def test_what_a_profile_can_t_say_is_refused_with_the_nearest_key(
    tmp_path: Path, text: str, code: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        profiles.load(write(tmp_path, "p.toml", text))
    assert caught.value.code == code
    assert says in caught.value.message("en")


def test_nothing_remembered_is_quoted_as_a_clause() -> None:
    """GB/T 34300 and GB/T 30428 were not seen: their figures stand nowhere as theirs."""
    folder = Path(profiles.__file__).parent / "defaults"
    for file in folder.glob("*.toml"):
        text = file.read_text("utf-8")
        assert "34300" not in text
        assert "30428" not in text


def test_a_type_of_grid_has_bounds_and_a_city_words_of_its_own(tmp_path: Path) -> None:
    text = """
households = [300, 500]
[sizes."专属网格"]
households = []
[messages.size_out_of_range]
zh = "{codes} 户数 {value}，{nothing}"
"""
    rules = profiles.load(write(tmp_path, "p.toml", text))
    boxes = [shapely.box(x, 0, x + 100, 100) for x in (0, 100, 200)]
    columns = {"code": [f"41100200100100{n}" for n in (1, 2, 3)], "households": [400, 9, 9]}
    grids = gpd.GeoDataFrame(columns, geometry=boxes, crs=4547)
    grids["kind"] = ["基础网格", "专属网格", "基础网格"]
    report = coverage.check(grids, within=shapely.box(0, 0, 300, 100), profile=rules)
    (fault,) = report.faults[report.faults["kind"] == "size_out_of_range"].itertuples()
    assert fault.codes == ["411002001001003"]
    assert fault.message_zh == "411002001001003 户数 9，{nothing}"
    assert "outside 300-500" in fault.message_en
    assert report.profile_digest == rules.digest
    assert report.to_dict()["profile_digest"] == rules.digest


def test_the_city_box_proposes_a_lost_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huaibei = write(tmp_path, "h.toml", "city_box = [116.6, 34.0, 117.4, 34.6]")
    shape = shapely.box(486000, 3767000, 486500, 3767500)
    lost = gpd.GeoDataFrame({"code": ["1"]}, geometry=[shape]).set_crs(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lost.to_file(tmp_path / "g.shp")
    with pytest.raises(SystemExit):
        cli.main(["check", str(tmp_path / "g.shp"), "--profile", str(huaibei)])
    assert "EPSG:4548" in "".join(capsys.readouterr())


def test_the_command_shows_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["profile", "urban", "--json"])
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["households"], told["severities"]["gap"]) == ([300, 500], "error")
    assert told["digest"] == profiles.load("urban").digest


def test_the_page_of_checking_tells_every_kind_and_rule(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "checking.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()
            if line.startswith("| `")]  # fmt: skip
    told = {row[0].strip("`"): (row[1], row[2]) for row in rows if len(row) == 5}
    default = profiles.load("default")
    assert told == {
        kind: (zh, default.severity(kind)) for kind, (zh, *_) in _messages._WORDS.items()
    }
    rules = {name.strip("` ") for row in rows if len(row) == 2 for name in row[0].split(",")}
    assert rules == set(profiles.to_dict(default)) - {"name", "version", "digest"}
    sample = tmp_path / "weidu.toml"
    sample.write_text(page.partition("```toml\n")[2].partition("```")[0], "utf-8")
    assert profiles.load(sample).label == "weidu@2"
