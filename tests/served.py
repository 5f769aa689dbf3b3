"""A small city in a real store, served by a real server on a free port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import shapely
import uvicorn

from geo_service import crs
from geo_service.api import connections, create_app
from geo_service.store import Store, create_store
from geo_service.streets import WalkNetwork

STREETS_M = 120.0
PLANE = crs.Plane.of("EPSG:4547")


def make_city(path: Path, grids: gpd.GeoDataFrame, *, published: tuple[str, ...]) -> None:
    """Publish grids with the levels above them, streets through them, and the tables of a city."""
    grids = grids.assign(
        households=np.arange(len(grids)) % 7 * 40 + 100,
        population=np.arange(len(grids)) % 5 * 100 + 200,
        head="王建国",
        phone="13812345678",
        remark="夜间请拨 13912345678",
    )
    frames = {name: above(grids, digits) for name, digits in
              (("city", 4), ("counties", 6), ("townships", 9), ("communities", 12))}  # fmt: skip
    frames["city"]["code"] = "411000"
    frames["grids"] = grids
    with create_store(path, title="许昌市", synthetic=True) as store:
        for name in published:
            publish(store, name, frames[name])
        walks = lattice(path.with_suffix(".osm.pbf"), grids.total_bounds)
        store.keep_streets(walks)
        put_tables(store, grids, walks)


def above(grids: gpd.GeoDataFrame, digits: int) -> gpd.GeoDataFrame:
    """The areas one level up, exactly tiled by the grids."""
    parts = grids.groupby(grids["code"].str[:digits]).geometry
    unions = {code: shapely.coverage_union_all(part.to_numpy()) for code, part in parts}
    names = {4: "许昌市", 6: "魏都区", 9: "西大街道"}
    return gpd.GeoDataFrame(
        {"code": list(unions), "name": [names.get(digits, f"第{c[-3:]}社区") for c in unions]},
        geometry=list(unions.values()),
        crs=grids.crs,
    )


def publish(store: Store, layer: str, frame: gpd.GeoDataFrame) -> int:
    """Publish a frame and give its revision."""
    draft = store.create_draft(layer, frame, source=f"{layer}.gpkg")
    return store.publish(draft.id, accept=("code_order",)).number


def lattice(path: Path, bounds: np.ndarray) -> WalkNetwork:
    """Straight streets every 120 m over a box of the plane, through an OSM file."""
    x0, y0, x1, y1 = bounds
    xs, ys = np.arange(x0, x1, STREETS_M), np.arange(y0, y1, STREETS_M)
    columns, rows = len(xs), len(ys)
    grid_x, grid_y = (part.ravel() for part in np.meshgrid(xs, ys))
    lon, lat = PLANE.inverse(grid_x, grid_y)
    lines = [[r * columns + c for c in range(columns)] for r in range(rows)]
    lines += [[r * columns + c for r in range(rows)] for c in range(columns)]
    with osmium.SimpleWriter(str(path)) as writer:
        for k, place in enumerate(zip(lon, lat, strict=True)):
            writer.add_node(osmium.osm.mutable.Node(id=k + 1, location=place))
        for k, line in enumerate(lines):
            nodes = [node + 1 for node in line]
            tags = {"highway": "residential"}
            writer.add_way(osmium.osm.mutable.Way(id=k + 1, nodes=nodes, tags=tags))
    return WalkNetwork.from_pbf(path, plane="EPSG:4547")


def put_tables(store: Store, grids: gpd.GeoDataFrame, walks: WalkNetwork) -> None:
    """Facilities, candidates, demand and addresses, all on the streets."""
    nodes = np.random.default_rng(5).choice(walks.node_count, 44, replace=False)
    places = pd.DataFrame(walks.node_lonlat[nodes], columns=["lon", "lat"])
    standing, free = places[:4].reset_index(drop=True), places[4:].reset_index(drop=True)
    store.put_table(
        "facilities",
        standing.assign(id=[f"f{k}" for k in range(4)], name="爱心驿站", kind="rest_station",
                        status="existing", phone="0374-2331234"),
    )  # fmt: skip
    store.put_table("candidates", free.assign(id=[f"c{k}" for k in range(40)], name="党群服务中心"))
    inside = grids.geometry.representative_point()
    lon, lat = PLANE.inverse(inside.x, inside.y)
    people = {"id": grids["code"], "lon": lon, "lat": lat, "riders": 3, "population_60": 40}
    store.put_table("demand", pd.DataFrame(people))
    homes = pd.DataFrame({"lon": lon, "lat": lat, "households": 40})
    store.put_table("buildings", homes)
    numbers = [f"许昌市魏都区西大街道文峰路{2 * k + 1}号" for k in range(len(grids))]
    store.put_table("addresses", pd.DataFrame({"address": numbers, "lon": lon, "lat": lat}))


@contextmanager
def serving(store: Path | str) -> Iterator[str]:
    """Serve a store from a thread; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(store), http=connections.Connection, log_level="warning", ws="none",
            access_log=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
