"""`geo_service.locate.batch`: no row is dropped, and work that was cut off goes on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from geo_service.addresses import AddressBook
from geo_service.errors import InputError
from geo_service.locate import Gazetteer, Locator, batch


@pytest.fixture(scope="module")
def grids(tiling):
    return tiling(40, seed=2)[0]


@pytest.fixture(scope="module")
def gazetteer(grids):
    return Gazetteer(
        locator=Locator(grids),
        attributes=grids.drop(columns="geometry").to_dict("records"),
        names={}, parents={}, micro=None, revision=3, valid_from="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.fixture
def places(grids):
    """Points in and around the grids, in the columns of a hotline's table."""
    west, south, east, north = grids.to_crs(4326).total_bounds
    random = np.random.default_rng(5)
    lon = random.uniform(west - 0.2 * (east - west), east, 300)
    lat = random.uniform(south, north, 300)
    numbers = [f"{k:012d}" for k in range(300)]
    return pd.DataFrame({"工单号": numbers, "经度": lon, "纬度": lat}).astype(str)


def test_every_row_is_answered_or_says_why(gazetteer, places):
    spoilt = ["", "abc", "34.0", "999", "nan", "inf"]
    places.loc[:5, "经度"] = spoilt
    places.loc[2, "纬度"] = "113.8"
    answered = batch.answer_rows(places, gazetteer, datum="wgs84")
    assert answered["工单号"].tolist() == places["工单号"].tolist()
    assert answered["reason"].head(6).tolist() == [
        "no_position", "not_a_number", "swapped", "out_of_range", "not_a_number", "not_a_number",
    ]  # fmt: skip
    assert set(answered["reason"]) <= set(batch.REASONS)
    assert {"inside", "outside"} <= set(answered["reason"])
    lon, lat = (places[k][6:].astype(float).to_numpy() for k in ("经度", "纬度"))
    alone = gazetteer.locator.locate(lon, lat, datum="wgs84")
    assert answered["grid_code"][6:].tolist() == alone.codes.tolist()
    assert ((answered["grid_code"] != "") == (answered["reason"] == "inside")).all()


def test_addresses_say_what_became_of_them(gazetteer, grids):
    inside = grids.to_crs(4326).representative_point().iloc[7]
    lon, lat = inside.x, inside.y
    book = AddressBook(
        pd.DataFrame({"address": ["许昌市魏都区建设路10号"], "lon": [lon], "lat": [lat]})
    )
    rows = pd.DataFrame({"地址": ["建设路10号", "和平路1号", "", "?毕宄强h"]})
    answered = batch.answer_rows(rows, gazetteer, datum=None, find_address=book.find)
    where = gazetteer.locator.locate(lon, lat, datum="wgs84").codes[0]
    assert where
    assert answered["grid_code"].tolist() == [where, "", "", ""]
    assert answered["reason"].tolist()[1:] == [
        "address_not_found", "address_missing", "address_unreadable",
    ]  # fmt: skip
    assert answered["matched"][0] == "许昌市魏都区建设路10号"


def test_work_that_was_cut_off_goes_on(gazetteer, places, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "PIECE_ROWS", 40)
    source = tmp_path / "工单.csv"
    places.to_csv(source, index=False, encoding="gb18030")
    whole = batch.answer_csv(source, tmp_path / "whole.csv", gazetteer, datum="gcj02")

    def pull_the_plug(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    target = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        batch.answer_csv(source, target, gazetteer, datum="gcj02", on_progress=pull_the_plug)
    assert not target.exists()
    with (tmp_path / "out.csv.part").open("ab") as part:
        part.write(b"half a li")  # the piece that was being written
    told = batch.answer_csv(source, target, gazetteer, datum="gcj02")
    assert (told["rows"], told["resumed_rows"]) == (300, 160)
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert {k: v for k, v in told.items() if k != "resumed_rows"} == {
        k: v for k, v in whole.items() if k != "resumed_rows"
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "whole.csv", "工单.csv"]


def test_another_datum_starts_afresh(gazetteer, places, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "PIECE_ROWS", 40)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    places.to_csv(source, index=False)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.answer_csv(source, target, gazetteer, datum="gcj02", on_progress=stop)
    told = batch.answer_csv(source, target, gazetteer, datum="wgs84")
    assert told["resumed_rows"] == 0


def test_refusals(gazetteer, tmp_path):
    with pytest.raises(InputError) as refused:
        batch.answer_rows(pd.DataFrame({"lon": [1], "lat": [2]}), gazetteer, datum=None)
    assert refused.value.code == "datum_missing"
    with pytest.raises(InputError) as refused:
        batch.answer_rows(pd.DataFrame({"a": [1]}), gazetteer, datum="wgs84")
    assert refused.value.code == "field_missing"
    (tmp_path / "a.xlsx").write_bytes(b"PK not a workbook")
    with pytest.raises(InputError) as refused:
        batch.read_rows(tmp_path / "a.xlsx")
    assert refused.value.code == "file_unreadable"
