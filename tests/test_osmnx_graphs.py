"""Networks from and to osmnx: what osmnx makes of them, and what comes back."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx
import numpy as np
import osmnx as ox
import pytest
import shapely

from geo_service.errors import InputError
from geo_service.streets import WalkNetwork

STREET = {"highway": "residential", "name": "许继大道"}


@pytest.fixture
def town(street_plans: ModuleType, tmp_path: Path) -> WalkNetwork:
    """Crossing streets with a bend, a loop, a one-way, a private gate and a parallel way."""
    spots = {
        "a": (0, 0), "b": (400, 0), "c": (800, 0), "d": (1200, 0), "n": (400, 300),
        "m": (600, 350), "o": (800, 300), "l": (1400, 100), "k": (1400, -100),
        "g": (800, -300, {"barrier": "gate", "access": "private"}), "s": (800, -600),
        "p": (600, -80),
    }  # fmt: skip
    streets = [
        ("a b c d", STREET), ("b n m o c", {"highway": "footway"}), ("d l k d", STREET),
        ("c g s", {"highway": "service"}), ("b p c", {"highway": "path", "oneway:foot": "yes"}),
    ]  # fmt: skip
    return WalkNetwork.from_pbf(street_plans.write(tmp_path / "t.osm.pbf", spots, streets))


def edges(graph: nx.MultiDiGraph) -> list[Any]:
    return sorted(
        (u, v, round(d["length"], 2), str(d.get("name")), str(d.get("highway")),
         shapely.get_coordinates(d["geometry"]).round(6).tolist())
        for u, v, d in graph.edges(data=True)
    )  # fmt: skip


def test_there_and_back(town: WalkNetwork) -> None:
    graph = town.to_osmnx()
    again = WalkNetwork.from_osmnx(graph).to_osmnx()
    assert sorted(graph.nodes) == sorted(again.nodes)
    forth, back = edges(graph), edges(again)
    assert forth == back
    assert "许继大道" in {e[3] for e in forth}
    assert sum(not d["oneway"] for *_, d in graph.edges(data=True)) % 2 == 0
    assert [d["length"] for *_, d in graph.edges(data=True) if d["oneway"]] == [
        pytest.approx(2 * np.hypot(200, 80), abs=0.5)
    ]
    gates = [d["osmid_gate"] for _, d in graph.nodes(data=True) if "osmid_gate" in d]
    assert gates == [10, 10]  # both sides of the gate, each a dead end of its own


def test_osmnx_routes_as_we_do(town: WalkNetwork, street_plans: ModuleType) -> None:
    graph = town.to_osmnx()
    path = ox.routing.shortest_path(graph, 1, 4, weight="length")
    assert path == [1, 2, 3, 4]
    assert nx.shortest_path_length(graph, 1, 4, weight="length") == pytest.approx(1200, abs=0.5)
    bent = WalkNetwork.from_osmnx(graph)
    for start, end in (((0, 0), (1200, 0)), ((1200, 0), (0, 0)), ((400, 300), (800, -200))):
        ends = street_plans.lonlat(*start), street_plans.lonlat(*end)
        assert bent.route(*ends).length_m == pytest.approx(town.route(*ends).length_m, abs=0.02)


def test_saved_projected_and_simplified_by_osmnx(town: WalkNetwork, tmp_path: Path) -> None:
    graph = town.to_osmnx()
    ox.save_graphml(graph, tmp_path / "town.graphml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of geopandas inside osmnx
        ox.io.save_graph_geopackage(graph, tmp_path / "town.gpkg")
        for other in (ox.load_graphml(tmp_path / "town.graphml"), ox.project_graph(graph)):
            back = WalkNetwork.from_osmnx(other)
            assert back.length_m == pytest.approx(town.length_m, abs=0.05)
            assert back.edge_count == town.edge_count


def test_lengths_a_graph_states_are_kept() -> None:
    graph = nx.MultiDiGraph(crs="epsg:4326")
    graph.add_node("here", x=113.85, y=34.03)
    graph.add_node(7, x=113.86, y=34.03)
    graph.add_edge("here", 7, length=1234.5, osmid=[5, 4])
    graph.add_edge(7, "here", length=1234.5, osmid=4)
    network = WalkNetwork.from_osmnx(graph)
    assert (network.length_m, network.edge_count) == (1234.5, 1)
    [*_, (_, _, about)] = network.to_osmnx().edges(data=True)
    assert (about["length"], about["osmid"]) == (1234.5, 4)


def test_graphs_that_are_none() -> None:
    graph = nx.MultiDiGraph(crs="epsg:4326")
    with pytest.raises(InputError, match="no walkable street"):
        WalkNetwork.from_osmnx(graph)
    graph.add_node(1, x=113.85)
    with pytest.raises(InputError, match="no position"):
        WalkNetwork.from_osmnx(graph)
    graph.add_node(1, x=113.85, y=34.03)
    with pytest.raises(InputError, match="no walkable street"):
        WalkNetwork.from_osmnx(graph)


@pytest.mark.real
@pytest.mark.parametrize("name", ["guixi_jiangxi", "beijing_tsinghua", "shenzhen_longgang"])
def test_real_networks_there_and_back(real_data: Path, name: str) -> None:
    network = WalkNetwork.from_pbf(real_data / "osm" / f"{name}.osm.pbf")
    graph = network.to_osmnx()
    again = WalkNetwork.from_osmnx(graph).to_osmnx()
    assert [e[:4] for e in edges(graph)] == [e[:4] for e in edges(again)]
    rng = np.random.default_rng(1)
    exported = network.to_networkx()
    ids = list(graph)
    for start in rng.choice(network.node_count, 5, replace=False).tolist():
        theirs = nx.single_source_dijkstra_path_length(graph, ids[start], weight="length")
        ours = nx.single_source_dijkstra_path_length(exported, start, weight="cm")
        assert {ids[node]: cm / 100 for node, cm in ours.items()} == pytest.approx(theirs)
