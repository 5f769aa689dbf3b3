"""Tag and barrier situations, each walked through on a network made of it: `walk_situations.csv`.

A firm row has one right answer, by OpenStreetMap's documentation; the others are decisions where
routers or countries differ, kept here so that they don't change unnoticed.
"""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import pytest

from geo_service.errors import InputError, NoRouteError
from geo_service.streets import WalkNetwork, tag_rules

TABLE = Path(__file__).with_name("walk_situations.csv")
WALKERS = ("adult", "senior", "courier", "resident")
STREET = {"highway": "residential"}


def situations() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def tags(text: str) -> dict[str, str]:
    """Tags as the table writes them; an underscore around @ stands for a space."""
    return dict(pair.replace("_@_", " @ ").split("=", 1) for pair in text.split())


def expected(row: dict[str, str], walker: str) -> tuple[bool, bool]:
    said = row["adult" if walker == "senior" else walker]
    return said in ("both", "forward", "pass"), said in ("both", "backward", "pass")


def test_at_least_54_situations_are_firm() -> None:
    rows = situations()
    assert len(rows) >= 64
    assert sum(row["firm"] == "yes" for row in rows) >= 54
    assert len({(row["element"], row["tags"]) for row in rows}) == len(rows)
    assert all(row["why"] for row in rows)


@pytest.mark.parametrize("row", situations(), ids=lambda row: row["situation"])
def test_situation(row: dict[str, str], street_plans: ModuleType, tmp_path: Path) -> None:
    """Walk from a to e and back: b-c-d is the way asked about, c the point."""
    asked = tags(row["tags"])
    middle, way = (asked, STREET) if row["element"] == "node" else ({}, asked)
    spots = {"a": (0, 0), "b": (400, 0), "c": (800, 0, middle), "d": (1200, 0), "e": (1600, 0)}
    path = street_plans.write(
        tmp_path / "row.osm.pbf", spots, [("a b", STREET), ("b c d", way), ("d e", STREET)]
    )
    network = WalkNetwork.from_pbf(path)
    ends = street_plans.lonlat(0, 0), street_plans.lonlat(1600, 0)
    for walker in WALKERS:
        who = network.with_profile(walker)
        assert (walks(who, *ends), walks(who, *reversed(ends))) == expected(row, walker), walker


def walks(network: WalkNetwork, a: tuple[float, float], b: tuple[float, float]) -> bool:
    try:
        return bool(network.route(a, b).length_m == pytest.approx(1600, abs=0.5))
    except NoRouteError:
        return False


def test_rules_name_their_source_and_are_used() -> None:
    shipped = Path(tag_rules.__file__).parents[1] / "defaults" / "walk_rules.csv"
    with shipped.open(encoding="utf-8", newline="") as stream:
        rules = list(csv.DictReader(stream))
    assert all(rule["why"] and rule["source"].startswith("wiki:") for rule in rules)


OWN = """
[bearer]
zh = "送水工"
en = "water bearer"
speed_m_s = 0.9
may_use = ["open", "delivery"]
closed_gates = [3]
"""


def test_a_profile_of_ones_own(street_plans: ModuleType, tmp_path: Path) -> None:
    spots = {"a": (0, 0), "b": (400, 0), "c": (800, 0, {"barrier": "gate"}), "d": (1200, 0)}
    path = street_plans.write(tmp_path / "row.osm.pbf", spots, [("a b c d", STREET)])
    own = tmp_path / "own.toml"
    own.write_text(OWN, encoding="utf-8")
    ends = street_plans.lonlat(0, 0), street_plans.lonlat(1200, 0)
    network = WalkNetwork.from_pbf(path, profile=str(own))
    assert (network.walker.zh, network.speed_m_s()) == ("送水工", 0.9)
    with pytest.raises(NoRouteError):
        network.route(*ends)
    assert network.with_profile("courier").route(*ends).length_m == pytest.approx(1200, abs=0.5)
    own.write_text(OWN.replace("closed_gates", "open_gates"), encoding="utf-8")
    street_plans.write(path, {**spots, "c": (800, 0, {"barrier": "wall"})}, [("a b c d", STREET)])
    opened = WalkNetwork.from_pbf(path, profile=f"{own}#bearer")
    assert opened.route(*ends).length_m == pytest.approx(1200, abs=0.5)
    network.save(tmp_path / "streets")
    own.unlink()
    back = WalkNetwork.load(tmp_path / "streets")  # the file holds the profile itself
    assert (back.walker, back.profile) == (network.walker, network.profile)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[x]\nspeed_m_s = 0\nmay_use = ["open"]', "speed_m_s"),
        ('[x]\nspeed_m_s = "fast"\nmay_use = ["open"]', "speed_m_s"),
        ('[x]\nspeed_m_s = 1.0\nmay_use = ["windows"]', "may_use"),
        ("[x]\nspeed_m_s = 1.0", "may_use"),
        ('[x]\nspeed_m_s = 1.0\nmay_use = ["open"]\nclosed_gates = ["a"]', "closed_gates"),
        ('[x]\nspeed = 1.0\nmay_use = ["open"]', "speed"),
    ],
)
def test_a_profile_that_is_none(tmp_path: Path, text: str, field: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        tag_rules.profile(str(own))
    assert refused.value.code == "value_invalid"
    assert refused.value.details["field"] == field


def test_plazas_are_walked_along_the_edge_and_straight_across(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    """A U-shaped plaza with a fountain: straight where one can, around what stands in the way."""
    spots = {
        "in": (-900, 0), "w": (0, 0), "sw": (0, -300), "se": (400, -300), "e": (400, 0),
        "out": (1300, 0), "ne": (400, 300), "nw": (0, 300), "notch": (200, -200),
        "f1": (190, -10), "f2": (210, -10), "f3": (210, 10), "f4": (190, 10),
    }  # fmt: skip
    ring = "w sw notch se e ne nw w"
    streets = [("in w", STREET), ("e out", STREET)]
    plaza = {"highway": "pedestrian", "area": "yes"}
    ends = street_plans.lonlat(-900, 0), street_plans.lonlat(1300, 0)
    path = street_plans.write(tmp_path / "1.osm.pbf", spots, [*streets, (ring, plaza)])
    assert WalkNetwork.from_pbf(path).route(*ends).length_m == pytest.approx(2200, abs=0.5)

    with_fountain = [*streets, (ring, {}), ("f1 f2 f3 f4 f1", {})]
    path = street_plans.write(
        tmp_path / "2.osm.pbf", spots, with_fountain, areas=[([3, 4], {"highway": "pedestrian"})]
    )
    around = 2 * (190**2 + 10**2) ** 0.5 + 20 + 1800
    assert WalkNetwork.from_pbf(path).route(*ends).length_m == pytest.approx(around, abs=0.5)

    private = {**plaza, "access": "private"}
    path = street_plans.write(tmp_path / "3.osm.pbf", spots, [*streets, (ring, private)])
    with pytest.raises(NoRouteError):
        WalkNetwork.from_pbf(path).route(*ends)
    assert WalkNetwork.from_pbf(path, profile="resident").route(*ends).length_m == pytest.approx(
        2200, abs=0.5
    )
