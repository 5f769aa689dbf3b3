"""A statement says what a layer was, in the same bytes every time, and is checked by anyone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import orjson
import pytest
import shapely

from geo_service import statements
from geo_service.errors import InputError, MissingError
from geo_service.store import Store, create_store

KEY = b"sixteen bytes at least"


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    return tiling(60, seed=3)[0]


@pytest.fixture
def store(tmp_path: Path, grids: gpd.GeoDataFrame) -> Iterator[Store]:
    """The city and two revisions of its grids; the second one replaced one community."""
    outline = shapely.coverage_union_all(grids.geometry.to_numpy())
    city = gpd.GeoDataFrame({"code": ["411000"]}, geometry=[outline], crs=grids.crs)
    area = grids["code"][0][:12]
    part = grids[grids["code"].str.startswith(area)].assign(households=300)
    with create_store(tmp_path / "city.gpkg", title="许昌</script>", synthetic=True) as made:
        made.publish(made.create_draft("city", city).id)
        first = made.create_draft("grids", grids, source="grids.zip", sha256="ab" * 32, author="甲")
        made.publish(first.id, author="乙", message="首版")
        second = made.create_draft(
            "grids", part, source="part.shp", sha256="cd" * 32, replace_within=area
        )
        made.publish(second.id, author="丙")
        yield made


def test_a_statement_names_what_the_claim_stands_on(store: Store, grids: gpd.GeoDataFrame) -> None:
    made = statements.make(store, "grids", register=list(grids["code"]))
    assert made["revision"]["number"] == 2
    assert made["revision"]["published_by"] == "丙"
    assert made["content_recomputed_sha256"] == made["revision"]["content_sha256"]
    changed = made["revision"]["changes"]["changed"]
    assert made["inputs"] == [
        {"revision": 1, "features": 60 - changed, "source": "grids.zip", "sha256": "ab" * 32},
        {"revision": 2, "features": changed, "source": "part.shp", "sha256": "cd" * 32},
    ]
    assert (made["check"]["verdict"], made["check"]["coverage_percent"]) == ("clean", "100.0000")
    assert (made["check"]["on_map_percent"], made["check"]["register_codes"]) == ("100.0000", 60)
    assert made["check"]["within"]["city"] == 1
    assert made["rules"]["min_area_m2"] == 1e-6
    assert made["software"]["geo-service"]
    shapes = dict(zip(grids["code"], grids.geometry, strict=True))
    assert len(made["sample"]["grids"]) == 60
    assert len(made["sample"]["points"]) == statements.SAMPLED_POINTS
    spots = gpd.GeoSeries.from_xy(
        [p["lon"] for p in made["sample"]["points"]],
        [p["lat"] for p in made["sample"]["points"]],
        crs=4326,
    ).to_crs(grids.crs)
    for point, spot in zip(made["sample"]["points"], spots, strict=True):
        assert shapes[point["code"]].distance(spot) < 0.02  # seven decimals of a degree


def test_the_same_bytes_again_and_of_any_day(store: Store, tmp_path: Path) -> None:
    one = statements.make(store, "grids", at=1)
    store.publish(store.create_draft("grids", store.frame("grids").assign(head="李")).id)
    assert statements.to_bytes(statements.make(store, "grids", at=1)) == statements.to_bytes(one)
    body = {name: part for name, part in one.items() if name != "signature"}
    signed = hashlib.sha256(statements.canonical(body)).hexdigest()
    assert one["signature"]["sha256"] == signed
    assert str(tmp_path) not in statements.to_bytes(one).decode()
    assert statements.verify(store, one) == []


@pytest.mark.parametrize("ending", [".json", ".html"])
def test_there_and_back(store: Store, tmp_path: Path, ending: str) -> None:
    made = statements.make(store, "grids", key=KEY)
    path = statements.write(made, tmp_path / f"s{ending}")
    again = statements.write(made, tmp_path / f"t{ending}")
    assert path.read_bytes() == again.read_bytes()
    assert statements.read(path) == made
    assert statements.verify(store, statements.read(path), key=KEY) == []


def test_what_differs_is_named(store: Store, tmp_path: Path) -> None:
    made = statements.make(store, "grids", key=KEY)
    wrong_key = [d.where for d in statements.verify(store, made, key=b"another key, also long")]
    assert wrong_key == ["signature.hmac_sha256 (altered)"]
    assert "signature.hmac_sha256 (altered)" in {d.where for d in statements.verify(store, made)}
    better = orjson.loads(statements.to_bytes(made))
    better["revision"]["features"] = 61
    told = statements.verify(store, better, key=KEY)
    assert {d.where for d in told} == {
        "revision.features", "signature.sha256 (altered)", "signature.hmac_sha256 (altered)",
    }  # fmt: skip
    resigned = statements.sign(better)  # whoever lies may sign again, but the store disagrees
    assert [(d.where, d.stated, d.found) for d in statements.verify(store, resigned)] == [
        ("revision.features", 61, 60)
    ]


def test_history_that_was_rewritten_is_noticed(store: Store, tmp_path: Path) -> None:
    import sqlite3

    made = statements.make(store, "grids")
    with sqlite3.connect(tmp_path / "city.gpkg") as file:
        file.execute("UPDATE gs_revisions SET author = '丁' WHERE layer = 'grids' AND number = 1")
    file.close()
    assert [d.where for d in statements.verify(store, made)] == ["revision.log_sha256"]


def test_what_cannot_be_used_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="16"):
        statements.make(store, "grids", key=b"short")
    with pytest.raises(InputError, match="json"):
        statements.write(statements.make(store, "grids"), tmp_path / "s.docx")
    with pytest.raises(MissingError):
        statements.read(tmp_path / "none.json")
    for text in ("not json", "[]", '{"statement": 99}'):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(InputError) as refused:
            statements.read(tmp_path / "s.json")
        assert refused.value.code == "statement_unreadable"
    with pytest.raises(InputError) as refused:
        statements.verify(store, {"statement": 1})
    assert refused.value.code == "statement_unreadable"
