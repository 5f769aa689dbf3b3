"""What can't be is refused in a sentence of two languages, the draft unchanged to the byte.

For every operation: over a session, over HTTP and on the terminal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pytest
import shapely

from geo_service import cli, drawing
from geo_service.drawing import operations
from geo_service.errors import InputError
from geo_service.store import open_store


@pytest.fixture(scope="module")
def asked(service_grids: gpd.GeoDataFrame) -> dict[str, dict[str, Any]]:
    return refusals(service_grids)


@pytest.fixture(scope="module")
def draft(service_client: httpx.Client) -> int:
    opened = service_client.post("/drafts/open", json={"author": "李"}).json()
    return int(opened["id"])


def test_every_operation_has_one(asked: dict[str, dict[str, Any]]) -> None:
    assert {operation["op"] for operation in asked.values()} == set(operations.FORMS)


def test_a_session_refuses(
    service_grids: gpd.GeoDataFrame, asked: dict[str, dict[str, Any]]
) -> None:
    shapes = np.asarray(service_grids.geometry.values, object)
    session = drawing.Session(list(service_grids.code), shapes)
    for what, operation in asked.items():
        with pytest.raises(InputError) as caught:
            session.apply(operation)
        assert caught.value.code == "drawing_impossible", what
        assert_two_languages(caught.value.message("zh"), caught.value.message("en"))
        now = [grid.geometry.wkb for _, grid in session.grids()]
        assert now == [shapes[at].wkb for at in np.argsort(service_grids.code)], what
        assert session.certificate.clean


def test_http_refuses(
    service_client: httpx.Client,
    service_store: Path,
    draft: int,
    asked: dict[str, dict[str, Any]],
) -> None:
    before = rows(service_store, draft)
    for what, operation in asked.items():
        answer = service_client.post(f"/drafts/{draft}/edits", json=operation)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "drawing_impossible"), what
        assert_two_languages(problem["detail_zh"], problem["detail_en"])
    assert service_client.get(f"/drafts/{draft}/edits").json()["edits"] == []
    assert rows(service_store, draft) == before


def test_the_terminal_refuses(
    service_store: Path,
    draft: int,
    asked: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = rows(service_store, draft)
    for what, operation in asked.items():
        words = ["edit", "--operation", json.dumps(operation), "--draft", str(draft), "--json"]
        with pytest.raises(SystemExit) as left:
            cli.main([*words, "--store", str(service_store)])
        error = json.loads(capsys.readouterr().out)["error"]
        assert (left.value.code, error["code"]) == (2, "drawing_impossible"), what
        assert_two_languages(error["message"]["zh"], error["message"]["en"])
    assert rows(service_store, draft) == before


def assert_two_languages(zh: str, en: str) -> None:
    assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
    assert en.isascii()
    assert zh != en


def rows(path: Path, draft: int) -> list[tuple[str, bytes]]:
    with open_store(path) as store:
        frame = store.draft_frame(draft)
    return list(zip(frame["code"], shapely.to_wkb(frame.geometry.values), strict=True))


def refusals(grids: gpd.GeoDataFrame) -> dict[str, dict[str, Any]]:
    """Give operations by what is wrong with them; they are in the coordinates of the grids."""
    shapes = grids.set_index(grids["code"].astype(str)).geometry
    codes = list(shapes.index)
    far = next(c for c in codes[1:] if shapes[c].disjoint(shapes[codes[0]]))
    one, other = _pair(shapes, same=False)
    here, beside = _pair(shapes, same=True)
    spot = np.array(shapes[here].representative_point().coords[0])
    seam = _border(shapes, one, other)
    inner = _border(shapes, here, beside)
    away = spot + 5e4
    square = [(spot + d).tolist() for d in ((-2, -2), (2, -2), (2, 2), (-2, 2))]
    bow = [square[i] for i in (0, 2, 1, 3)]
    asked: dict[str, dict[str, Any]] = {
        "split: the line does not cross": {"code": here, "line": [spot, spot + 1]},
        "split: the line lies elsewhere": {"code": here, "line": [away, away + 9]},
        "merge: they do not touch": {"codes": [codes[0], far]},
        "merge: two communities": {"codes": [one, other]},
        "move_node: the ring would fold": {"at": inner[1], "to": away},
        "move_node: on a community line": {"at": seam[1], "to": seam[1] + 1},
        "move_node: nothing there": {"at": spot, "to": spot + 1, "within_m": 0.01},
        "move_edge: the ring would fold": {"at": (inner[1] + inner[2]) / 2, "to": away},
        "straighten: a community line": {"from": seam[1], "to": seam[3]},
        "follow: the street runs elsewhere":
            {"from": inner[1], "to": inner[3], "line": [away, away + 9]},
        "reassign: beyond the grid": {"code": here, "to": beside, "block": [*square[:2], away]},
        "reassign: two communities": {"code": one, "to": other, "block": square},
        "cut_out: the outline crosses itself": {"code": here, "premises": bow},
        "snap: nothing near": {"code": here, "line": [away, away + 9]},
    }  # fmt: skip
    return {
        what: {"op": what.split(":")[0]} | {name: _plain(value) for name, value in fields.items()}
        for what, fields in asked.items()
    }


def _pair(shapes: gpd.GeoSeries, *, same: bool) -> tuple[str, str]:
    """Give two neighbours, of one community or of two."""
    for code in shapes.index:
        for other in shapes.index[shapes.intersects(shapes[code])]:
            wanted = other != code and (other[:12] == code[:12]) == same
            if wanted and len(_border(shapes, code, other)) > 4:
                return code, other
    raise AssertionError("no such neighbours")


def _border(shapes: gpd.GeoSeries, code: str, other: str) -> np.ndarray:
    shared = shapely.line_merge(shapely.intersection(shapes[code], shapes[other]))
    return shapely.get_coordinates(max(shapely.get_parts(shared), key=shapely.length))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    return value if isinstance(value, str) else float(value)
