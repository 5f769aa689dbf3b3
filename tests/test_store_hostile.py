"""Bad input is stored to the last character or refused clearly, in either home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from geo_service.errors import ConflictError, InputError
from geo_service.store import Store, create_store

NAMES = [
    "'; DROP TABLE gs_revisions; --",
    'Robert"); DELETE FROM grids; --',
    "%s %(x)s {0} :name ? $1",
    "䶮㑇𬭼𠮷龘",
    "👮‍♀️🏘️网格",
    "‮右到左‬ é e\u0301",
    "\t\r\n\x01\x1f\x7f",
    "\\'\"`[]",
    " 前后空格 ",
    "x" * 1_000_000,
    "",
]
CODES = [
    "'; DROP TABLE compounds; --",
    'a"b',
    "a%sb",
    "小区①",
    "𬭼-1",
    "AbC",
    "aBc",
    "ABC",
    "code\\n",
    "0" * 200,
    "☃",
]
COLUMNS = [
    "select",
    "table",
    'quoted " name',
    "it's",
    "a;b--",
    "order by",
    "网格长",
    "GROUP",
    "x%sy",
]


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    with create_store(place) as made:
        yield made


def frame(codes: list[str], **columns: Any) -> gpd.GeoDataFrame:
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(len(codes))]
    return gpd.GeoDataFrame({"code": codes, **columns}, geometry=shapes, crs=4547)


def publish(store: Store, given: gpd.GeoDataFrame) -> Any:
    draft = store.create_draft("compounds", given, author=NAMES[0], source=NAMES[1])
    return store.publish(draft.id, message=NAMES[0], accept=["code_duplicate"], reason="测试")


def test_awkward_texts_come_back_to_the_last_character(store: Store) -> None:
    given = frame(CODES, name=NAMES, **dict.fromkeys(COLUMNS, NAMES))
    made = publish(store, given)
    assert (made.message, made.author, made.source) == (NAMES[0], NAMES[0], NAMES[1])
    edited = given.assign(name=NAMES[::-1])
    publish(store, edited)
    for at, expected in ((1, given), (2, edited)):
        found = store.frame("compounds", at=at).set_index("code")
        assert set(found.index) == set(CODES)
        for column in ("name", *COLUMNS):
            said = found[column].reindex(CODES).tolist()
            assert said == expected[column].tolist(), column
    for code in CODES:
        assert store.find_code(code, layer="compounds").code == code
    assert len(store.diff("compounds", 1, 2).changed) == sum(
        a != b for a, b in zip(NAMES, NAMES[::-1], strict=True)
    )
    store.verify()


def test_codes_that_differ_in_case_are_different(store: Store) -> None:
    publish(store, frame(["abc", "ABC", "Abc"]))
    publish(store, frame(["abc", "Abc"]))
    assert store.find_code("ABC").status == "retired"
    assert store.find_code("abc").status == "current"
    with pytest.raises(ConflictError) as refused:
        publish(store, frame(["abc", "ABC"]))
    assert refused.value.code == "code_reused"


def test_full_width_digits_are_the_same_code_or_another_one_never_both(store: Store) -> None:
    """Whatever a full-width code becomes, the store finds it under what it says it is."""
    draft = store.create_draft("compounds", frame(["４１１００２", "411002"]))
    codes = store.draft_frame(draft.id)["code"].tolist()
    report = store.check_draft(draft.id)
    if codes[0] == codes[1]:
        assert report.counts["code_duplicate"]
    else:
        store.publish(draft.id)
        assert [store.find_code(code).code for code in codes] == codes


@pytest.mark.parametrize("text", ["a\0b", "\0"])
def test_a_nul_is_refused_clearly(store: Store, text: str) -> None:
    """PostgreSQL has no text with a NUL, and a GeoPackage is to say the same."""
    with pytest.raises(InputError) as refused:
        publish(store, frame(["a"], name=[text]))
    assert refused.value.code == "value_invalid"
    assert store.history("compounds") == []
    store.verify()


def test_a_code_beyond_all_use_is_refused(store: Store) -> None:
    with pytest.raises(InputError) as refused:
        publish(store, frame(["0" * 201]))
    assert refused.value.code == "value_invalid"


def test_dates_out_of_order_are_kept_as_they_are(store: Store) -> None:
    given = frame(["a", "b"], begin=["2026-12-31", "0001-01-01"], end=["1999-02-30", "待定"])
    publish(store, given)
    found = store.frame("compounds")
    assert found["begin"].tolist() == given["begin"].tolist()
    assert found["end"].tolist() == given["end"].tolist()
