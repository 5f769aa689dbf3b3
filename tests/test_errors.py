"""Every refusal can be told in both languages; every code raised is in the catalogue."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

import geo_service
from geo_service import errors

SOURCES = sorted(Path(geo_service.__file__).parent.rglob("*.py"))
ERRORS = {"InputError", "MissingError", "ConflictError", "NoRouteError"}
RAISED = re.compile(r"(?:Input|Missing|Conflict|NoRoute)Error\(\s*\"(\w+)\"")


def test_codes_raised_are_in_the_catalogue() -> None:
    raised = {code for source in SOURCES for code in RAISED.findall(source.read_text("utf-8"))}
    assert raised, "the pattern no longer finds any raise"
    assert raised <= set(errors.CATALOGUE)


def test_no_code_of_the_catalogue_is_dead() -> None:
    text = "\n".join(s.read_text("utf-8") for s in SOURCES if s != Path(errors.__file__))
    assert [code for code in errors.CATALOGUE if f'"{code}"' not in text] == []


@pytest.mark.parametrize("code", list(errors.CATALOGUE))
def test_both_sentences_name_the_same_details(code: str) -> None:
    refusal = errors.CATALOGUE[code]
    zh, en = (set(re.findall(r"{(\w+)}", text)) for text in (refusal.zh, refusal.en))
    assert zh == en
    assert 400 <= refusal.status < 600
    assert re.search(r"[\u4e00-\u9fff]", refusal.zh)
    assert not re.search(r"[\u4e00-\u9fff]", refusal.en)


def test_errors_refine_builtins_and_survive_a_process_border() -> None:
    error = errors.InputError("layer_empty", file="a.gpkg")
    assert isinstance(error, ValueError)
    assert isinstance(errors.NoRouteError("not_found", what="x"), LookupError)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.code, back.details) == (errors.InputError, error.code, error.details)


def test_the_language_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_SERVICE_LANG", "zh_CN.UTF-8")
    assert "没有任何要素" in str(errors.InputError("layer_empty", file="a.gpkg"))
    monkeypatch.setenv("GEO_SERVICE_LANG", "en")
    assert "no features" in str(errors.InputError("layer_empty", file="a.gpkg"))


def test_reasons_are_told_in_both_languages() -> None:
    one_language = []
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                given = [(word.arg, word.value) for word in node.keywords]
            elif isinstance(node, ast.Assign):
                given = [(getattr(target, "id", ""), node.value) for target in node.targets]
            else:
                continue
            one_language += [
                f"{source.name}:{node.lineno}"
                for name, value in given
                if name == "reason" and _is_words(value)
            ]
    assert one_language == []


def _is_words(value: ast.expr) -> bool:
    if isinstance(value, ast.JoinedStr):
        return True
    return isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value


def test_what_the_system_says_is_told_in_both_languages(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "nowhere" / "x").write_text("")
    error = errors.InputError("output_unwritable", file="x", reason=raised.value, known=".csv")
    assert "文件或文件夹不存在" in error.message("zh")
    assert "No such file or directory" in error.message("en")
    assert "No such" not in error.message("zh")
    damaged = errors.because(ValueError("database disk image is malformed"))
    assert damaged.zh == "数据库文件已损坏"
