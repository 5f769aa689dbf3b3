"""Grids drawn anew on real streets: ours and the peers' from the same atoms, then our targets.

    python scripts/bench/drawing_anew.py [--seeds 5] [--first 0]

Needs $GEO_SERVICE_REAL_DATA. Households are synthetic: Poisson places along the streets of an
extract; buildings are the extract's own. The costs of `drawing` were tuned on seeds 5, 6 and 7.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import drawing_peers
import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import shapely

from geo_service import drawing, topology
from geo_service.drawing import _atoms, _given, _grouping, _objective, _partition, anew

EXTRACTS = (
    ("beijing_tsinghua", 32650, 40_000),
    ("helsinki_center", 3067, 20_000),
    ("shenzhen_longgang", 32650, 80_000),
)
TARGET = (300, 500)
HOUSEHOLDS_A_PLACE = 12
COARSE = 300
"""Households of an atom in the row that tells what cutting on demand is worth."""
REACHED = 0.98
"""Share of grids in range with which a peer counts as reaching it: KaHIP has .80-.85."""

OURS = "ours"
Row = dict[str, float]


class Town:
    """An extract: its streets and buildings, and a plausible outline."""

    def __init__(self, path: Path, plane: int) -> None:
        self.lines = drawing.street_lines(path, None, crs=plane)
        self.area = outline(self.lines)
        self.buildings = footprints(path, plane)

    def given(self, people: gpd.GeoDataFrame) -> _given.Given:
        return _given.Given(
            _given.lines_in(self.lines.crs, self.lines, None),
            _given.homes_in(self.area, people)[0],
            _given.footprints(self.lines.crs, self.buildings),
        )

    def draw(self, people: gpd.GeoDataFrame, seed: int, **other: Any) -> drawing.Drawn:
        return drawing.draw(
            self.area, streets=self.lines, households=people, buildings=self.buildings,
            target=TARGET, seed=seed, **other,
        )  # fmt: skip


def outline(lines: gpd.GeoDataFrame) -> Any:
    """A plausible outline: round the streets, 30 m in."""
    hull = shapely.concave_hull(lines[lines.kind != "water"].union_all(), 0.4).buffer(-30)
    return shapely.simplify(max(shapely.get_parts(hull), key=shapely.area), 5)


def footprints(path: Path, plane: int) -> gpd.GeoDataFrame:
    rings = []
    entities = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY).with_locations()
    for way in entities.with_filter(osmium.filter.KeyFilter("building")):
        if not isinstance(way, osmium.osm.Way) or not way.is_closed() or len(way.nodes) < 4:
            continue
        if all(node.location.valid() for node in way.nodes):
            rings.append(shapely.Polygon([(node.lon, node.lat) for node in way.nodes]))
    shapes = gpd.GeoSeries(rings, crs=4326).to_crs(plane)
    return gpd.GeoDataFrame(geometry=shapes[shapes.is_valid].values, crs=plane)


def synthetic_households(lines: gpd.GeoDataFrame, total: int, seed: int) -> gpd.GeoDataFrame:
    random = np.random.default_rng(seed)
    walk = lines[lines.kind.isin(["street", "minor", "major"])]
    length = walk.length.to_numpy()
    count = total // HOUSEHOLDS_A_PLACE
    on = walk.geometry.to_numpy()[random.choice(len(walk), count, p=length / length.sum())]
    spots = shapely.line_interpolate_point(on, random.random(count), normalized=True)
    xy = shapely.get_coordinates(spots) + random.normal(0, 25, (count, 2))
    return gpd.GeoDataFrame(
        {"households": random.poisson(HOUSEHOLDS_A_PLACE, count)},
        geometry=gpd.points_from_xy(*xy.T),
        crs=lines.crs,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = options.parse_args()
    bench(range(chosen.first, chosen.first + chosen.seeds))


def bench(seeds: Sequence[int]) -> None:
    named = os.environ.get("GEO_SERVICE_REAL_DATA")
    if not named:
        print("draw: $GEO_SERVICE_REAL_DATA names no folder, left out")
        return
    peers = list(drawing_peers.installed())
    reached: dict[str, list[bool]] = defaultdict(list)
    for name, plane, total in EXTRACTS:
        town = Town(Path(named) / "osm" / f"{name}.osm.pbf", plane)
        rows: dict[str, list[Row]] = defaultdict(list)
        for seed in seeds:
            people = synthetic_households(town.lines, total, seed)
            for who, row in head_to_head(town, people, seed, peers):
                rows[who].append(row)
            found = targets(town, people, seed, {who: each[-1] for who, each in rows.items()})
            for target, holds in found.items():
                reached[target].append(holds)
        print_rows(name, rows, len(seeds))
    for target, holds in reached.items():
        print(f"{target}: {sum(holds)} of {len(holds)}")


def head_to_head(
    town: Town,
    people: gpd.GeoDataFrame,
    seed: int,
    peers: Sequence[tuple[str, drawing_peers.Peer]],
) -> Iterator[tuple[str, Row]]:
    """Give the figures of our grids, of ours from coarse atoms, and of each peer's."""
    given = town.given(people)
    most = anew.atom_size(TARGET)
    atoms, label = anew.drawn_from(town.area, given, TARGET, seed, most=most)  # compiles
    weight = given.homes.weigh(atoms)
    table, borders = _grouping.graph_of(atoms, weight, given.lines, TARGET)
    rules = _objective.Rules(*map(float, TARGET))
    start = time.process_time()
    again = _partition.partition(table, borders, rules, seed=seed)
    seconds = time.process_time() - start
    assert (again == label).all()
    start = time.process_time()
    town.draw(people, seed)
    whole = time.process_time() - start
    yield OURS, figures(town, atoms, label, weight) | {"cpu_s": seconds, "draw_s": whole}

    coarse, label = anew.drawn_from(town.area, given, TARGET, seed, most=COARSE)
    row = figures(town, coarse, label, given.homes.weigh(coarse))
    yield f"ours, atoms of {COARSE}", row | {"cpu_s": np.nan, "draw_s": np.nan}

    graph = drawing_peers.Graph(
        weight,
        np.column_stack([table["x"], table["y"]]),
        np.append(table["begin"], len(borders)),
        borders["other"].astype(np.int64),
        borders["length"],
        borders["cost"] / borders["length"],
    )
    count = round(weight.sum() / np.mean(TARGET))
    for who, peer in peers:
        start = time.process_time()
        found = drawing_peers.partitioned(peer, graph, count, seed)
        seconds = time.process_time() - start
        if isinstance(found, str):
            print(f"{who}, seed {seed}: {found}")
            continue
        yield who, figures(town, atoms, found, weight) | {"cpu_s": seconds, "draw_s": np.nan}


def figures(town: Town, atoms: np.ndarray, label: np.ndarray, weight: np.ndarray) -> Row:
    shapes = _atoms.dissolve(atoms, label)
    grids = gpd.GeoDataFrame(
        {"households": np.bincount(label, weight)}, geometry=shapes, crs=town.lines.crs
    )
    found = drawing.measure(grids, streets=town.lines, target=TARGET)
    assert found.in_range is not None
    assert found.main_ways_inside is not None
    assert found.border_on_street is not None
    assert found.border_on_line is not None
    return {
        "grids": found.grids,
        "in_range": found.in_range / found.grids,
        "connected": float((shapely.get_num_geometries(shapes) == 1).mean()),
        "compact": found.compactness_median,
        "p10": found.compactness_p10,
        "main_in": found.main_ways_inside,
        "on_street": found.border_on_street,
        "on_any": found.border_on_line,
        "cut": len(cut_buildings(town, shapes)),
    }


def cut_buildings(town: Town, shapes: np.ndarray) -> np.ndarray:
    """Give the buildings that borders cut and no street, river or railway does."""
    graph = topology.build(shapes)
    inner = np.flatnonzero((graph.left >= 0) & (graph.right >= 0))
    borders = [shapely.LineString(graph.arc(int(k))) for k in inner]
    walls = shapely.buffer(town.buildings.geometry.to_numpy(), -0.05)
    through = shapely.STRtree(walls).query(borders, predicate="intersects")[1]
    by_street = shapely.STRtree(walls).query(town.lines.geometry, predicate="intersects")[1]
    return np.setdiff1d(through, by_street)


def targets(
    town: Town, people: gpd.GeoDataFrame, seed: int, rows: Mapping[str, Row]
) -> dict[str, bool]:
    """Tell which of our targets hold for one drawing."""
    ours, coarse = rows[OURS], rows[f"ours, atoms of {COARSE}"]
    peers = [row for who, row in rows.items() if not who.startswith(OURS)]
    within = [row for row in peers if row["in_range"] >= REACHED]
    drawn = town.draw(people, seed)
    mixed = town.draw(people.sample(frac=1, random_state=seed), seed)
    grids = np.asarray(drawn.grids.geometry.values, object)
    range_ = ours["in_range"] == 1.0 and ours["connected"] == 1.0
    round_ = ours["compact"] >= 0.60 and ours["p10"] >= 0.30
    found = {
        "D1 all in range and connected": range_,
        f"D2 99 % in range from atoms of {COARSE}": coarse["in_range"] >= 0.99,
        "D3 compactness median .60": ours["compact"] >= 0.60,
        "D3 compactness p10 .30": ours["p10"] >= 0.30,
        "D4 main ways inside .20": ours["main_in"] <= 0.20,
        "D4 together with D1 and D3": ours["main_in"] <= 0.20 and range_ and round_,
        "D5 no building cut that streets don't cut": ours["cut"] == 0,
        "D6 outer ring as given, but for the nodes told": same_ring(town.area, drawn),
        "D6 drift under 1e-6 m2": abs(shapely.area(grids).sum() - town.area.area) < 1e-6,
        "D6 same seed, households in any order: same bytes": (
            shapely.to_wkb(grids) == shapely.to_wkb(mixed.grids.geometry.values)
        ).all(),
    }
    for among, some in (("the best peer's", peers), ("the best in range's", within)):
        if some:
            best = max(row["on_street"] for row in some)
            found[f"D5 on streets: {among} and .05"] = ours["on_street"] >= best + 0.05
    return found


def same_ring(area: Any, drawn: drawing.Drawn) -> bool:
    """Tell whether the outline is the area's, vertex by vertex, but for the nodes put into it."""
    ring = shapely.get_coordinates(shapely.coverage_union_all(drawn.grids.geometry.values))
    told = {tuple(xy) for xy in drawn.rim_nodes.tolist()}
    kept = np.array([xy for xy in ring.tolist() if tuple(xy) not in told])
    if (kept[0] != kept[-1]).any():  # the ring began at a node
        kept = np.vstack([kept, kept[:1]])
    found, given = shapely.normalize([shapely.Polygon(kept), area])
    return shapely.to_wkb(found) == shapely.to_wkb(given)


def print_rows(name: str, rows: Mapping[str, list[Row]], seeds: int) -> None:
    """Print means over the seeds, and a peer's processor time as a multiple of ours."""
    table = pd.DataFrame({who: pd.DataFrame(each).mean() for who, each in rows.items()}).T
    table["cpu_ratio"] = table["cpu_s"] / table.loc[OURS, "cpu_s"]
    digits = {"grids": 1, "cut": 1, "cpu_s": 2, "draw_s": 2, "cpu_ratio": 2}
    table["seeds"] = [len(each) for each in rows.values()]
    print(f"\n{name}, means of {seeds} seeds (cpu_s: the partition alone; draw_s: all of draw)")
    shown = {
        column: table[column].map(f"{{:.{digits.get(column, 3)}f}}".format)
        for column in table if column != "seeds"
    }  # fmt: skip
    print(pd.DataFrame(shown).assign(seeds=table["seeds"]).to_string())


if __name__ == "__main__":
    main()
