"""Catchment areas beside Valhalla's and the osmnx recipe's: F1 against the truth, and time."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import shapely
import truth

from geo_service import catchments
from geo_service.streets import WalkNetwork

PLACES_SCORED = 10_000
MINUTES = 15.0
NODE_BUFFER_M, EDGE_BUFFER_M = 50.0, 25.0  # of osmnx's example of isochrones
Areas = dict[str, list[Any]]


def compare(path: Path, network: WalkNetwork, count: int, seed: int, valhalla: str | None) -> None:
    """Print F1 and the time of one area for each way of making it."""
    rng = np.random.default_rng(seed)
    main_piece = np.flatnonzero(network.graph.component == 0)
    spots = network.node_lonlat[rng.choice(main_piece, count, replace=False)]
    spots = spots + rng.normal(0, 2e-4, spots.shape)  # some 20 m beside the street
    made, spent = ours(network, spots)
    limit_m = network.limit_cm(MINUTES) / 100
    made["osmnx recipe"], spent["osmnx recipe"] = osmnx_recipe(network, spots, limit_m)
    if valhalla is not None:
        made["Valhalla"], spent["Valhalla"] = with_valhalla(path, spots, network, valhalla)
    scores = score(path, network, spots, made, limit_m, rng)
    base = spent["nearest, GeoJSON bytes"]
    print(f"  {'15-minute area':26}{'ms':>8}{'x':>7}  F1 nearest mean/worst   F1 any mean/worst")
    for name in spent:
        line = f"  {name:26}{spent[name] * 1e3:8.2f}{spent[name] / base:7.1f}"
        for reach in ("nearest", "any"):
            found = scores.get((name, reach))
            line += f"     {np.mean(found):.4f} / {min(found):.4f}" if found else ""
        print(line)


def ours(network: WalkNetwork, spots: Any) -> tuple[Areas, dict[str, float]]:
    """Our areas in their forms, and the median time of each once the cells around are known."""
    forms: dict[str, Callable[[float, float], Any]] = {
        "nearest, GeoJSON bytes": lambda x, y: catchments.geojson(network, x, y),
        "nearest": lambda x, y: network.catchment(x, y),
        "nearest, 5 m cells": lambda x, y: network.catchment(x, y, cell_m=5),
        "nearest, smooth": lambda x, y: network.catchment(x, y, smooth=True),
        "any": lambda x, y: network.catchment(x, y, reach="any"),
    }
    made: Areas = {}
    spent = {}
    for name, make in forms.items():
        found = [make(*spot) for spot in spots.tolist()]
        if name != "nearest, GeoJSON bytes":
            made[name] = [each.geometry.iloc[0] for each in found]
            assert all(shapely.is_valid(made[name]))
        seconds = []
        for spot in spots.tolist():
            start = time.process_time()
            make(*spot)
            seconds.append(time.process_time() - start)
        spent[name] = statistics.median(seconds)
    return made, spent


def osmnx_recipe(network: WalkNetwork, spots: Any, limit_m: float) -> tuple[list[Any], float]:
    """The polygon of osmnx's example: buffered nodes and edges of the ego graph, holes filled."""
    graph, exported = network.graph, network.to_networkx()
    nodes = np.column_stack((graph.node_x, graph.node_y))
    seconds, made = [], []
    for lon, lat in spots.tolist():
        start = time.process_time()
        x, y = network.to_plane(lon, lat)
        centre = int(np.hypot(nodes[:, 0] - x, nodes[:, 1] - y).argmin())
        part = nx.ego_graph(exported, centre, radius=limit_m * 100, distance="cm")
        lines = [
            shapely.LineString(
                np.column_stack((graph.shape_x[shape], graph.shape_y[shape]))
            ).buffer(EDGE_BUFFER_M)
            for _, _, edge in part.edges(data="edge")
            for shape in [slice(graph.shape_start[edge], graph.shape_start[edge + 1])]
        ]
        points = [shapely.Point(nodes[n]).buffer(NODE_BUFFER_M) for n in part.nodes]
        area: Any = shapely.union_all(lines + points)
        filled = shapely.union_all([shapely.Polygon(p.exterior) for p in shapely.get_parts(area)])
        seconds.append(time.process_time() - start)
        made.append(shapely.transform(filled, lambda xy: np.column_stack(network.to_lonlat(*xy.T))))
    return made, statistics.median(seconds)


def with_valhalla(
    path: Path, spots: Any, network: WalkNetwork, python: str
) -> tuple[list[Any], float]:
    """Valhalla's isochrone, in a Python of its own that holds its wheel."""
    speed_kmh = network.speed_m_s() * 3.6
    with tempfile.TemporaryDirectory() as folder:
        peer = Path(__file__).with_name("valhalla_peer.py")
        asked = json.dumps({"spots": spots.tolist(), "speed_kmh": speed_kmh, "minutes": MINUTES})
        run = subprocess.run(
            [python, str(peer), str(path), folder], input=asked, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    found = json.loads(run.stdout.splitlines()[-1])
    made = [
        shapely.union_all(
            [shapely.make_valid(shapely.geometry.shape(f["geometry"])) for f in each["features"]]
        )
        for each in found["areas"]
    ]
    return made, found["seconds"]


def score(
    path: Path, network: WalkNetwork, spots: Any, made: Areas, limit_m: float, rng: Any
) -> dict[tuple[str, str], list[float]]:
    """F1 of every area over random places around its origin."""
    streets = truth.Streets(path, network.profile)
    scores: dict[tuple[str, str], list[float]] = {}
    for number, (lon, lat) in enumerate(spots.tolist()):
        walks = truth.Walks(streets, lon, lat, limit_m)
        x, y = rng.uniform(-limit_m, limit_m, (2, PLACES_SCORED))
        places = walks.plane(x, y, inverse=True)
        for reach in ("nearest", "any"):
            true = walks.to(*places, reach=reach)
            for name, areas in made.items():
                if name.startswith(("nearest", "any")) and not name.startswith(reach):
                    continue
                inside = shapely.contains_xy(areas[number], *places)
                scores.setdefault((name, reach), []).append(truth.f1(inside, true))
    return scores
