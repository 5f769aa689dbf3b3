"""The whole city's tiles, first seen on a service that has just started: drawn, and as saved.

    python scripts/bench/tiles.py STORE [--zoom 9]

STORE is a city, as `geo-service demo --no-serve` leaves one. The service is started twice in a
process of its own: without saved tiles (those there are go), and again once they lie beside the
store. Each time every tile of the city at a zoom is asked for, of all levels the map opens with,
by six clients as a browser has them, as soon as the service answers at all. Prints seconds of the
clock, the processor's seconds of the service, and their ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np

from geo_service import crs
from geo_service.api.state import SHOWN_FIRST
from geo_service.store import open_store
from geo_service.tiles import mvt

CLIENTS = 6
PATIENCE_SECONDS = 600.0


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("store", type=Path)
    options.add_argument("--zoom", type=int, default=9)
    given = options.parse_args()
    with open_store(given.store) as store:
        paths = _paths(store.frame("grids").to_crs(4326).total_bounds, given.zoom)
        saved = store.tiles_path
    shutil.rmtree(saved, ignore_errors=True)
    with _serving(given.store) as (process, base):
        drawn = _first_view(process, base, paths, "drawn")
        _wait_for(lambda: all(list(saved.glob(f"{name}-*.pmtiles")) for name in SHOWN_FIRST))
    with _serving(given.store) as (process, base):
        kept = _first_view(process, base, paths, "saved")
    size = sum(one.stat().st_size for one in saved.glob("*.pmtiles"))
    print(f"drawn / saved: {drawn[0] / kept[0]:.1f} times the clock, "
          f"{drawn[1] / kept[1]:.1f} times the processor; {size / 1e6:.1f} MB saved")  # fmt: skip


def _paths(box: np.ndarray, zoom: int) -> list[str]:
    """Of all tiles that a box of degrees touches."""
    x, y = crs.Plane.of("EPSG:3857").forward(box[[0, 2]], box[[1, 3]], datum="wgs84")
    (x0, y1), (x1, y0) = mvt.tile_at(zoom, x[0], y[0]), mvt.tile_at(zoom, x[1], y[1])
    return [
        f"/collections/{layer}/tiles/{zoom}/{column}/{row}"
        for layer in SHOWN_FIRST
        for column in range(x0, x1 + 1)
        for row in range(y0, y1 + 1)
    ]


def _first_view(
    process: subprocess.Popen[bytes], base: str, paths: list[str], name: str
) -> tuple[float, float]:
    """Seconds of the clock and of the service's processor until every tile is there."""
    with httpx.Client(base_url=base, timeout=PATIENCE_SECONDS) as http:
        _wait_for(lambda: _answers(http))
        began, used = time.perf_counter(), _processor_seconds(process.pid)
        with ThreadPoolExecutor(CLIENTS) as browser:
            answers = list(browser.map(http.get, paths))
        clock, processor = time.perf_counter() - began, _processor_seconds(process.pid) - used
    assert {one.status_code for one in answers} <= {200, 204}
    size = sum(len(one.content) for one in answers)
    print(f"{name}: {len(paths)} tiles, {size / 1e6:.1f} MB in {clock:.2f} s, "
          f"{processor:.2f} s of the processor (loading goes on beside)")  # fmt: skip
    return clock, processor


def _answers(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return http.get("/healthz").status_code == 200
    return False


def _wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _serving(store: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "geo_service.cli", "serve", "--store", str(store),
               "--port", str(port)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


if __name__ == "__main__":
    main()
