"""A city's store in both homes: publishing, what fifty revisions cost, and reading an old one.

    python scripts/bench/store.py [--grids 18936] [--revisions 50] [--share 0.01] [--url URL]

Each revision changes one grid in a hundred. Times are CPU seconds of this program and of the
database's process together, and seconds by the clock. Without `--url`, a private PostGIS server is
started from the system's packages, with the settings that servers have (fsync on).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from tests_beside import beside_the_tests

from geo_service.store import Store, create_store

ROUNDS = 3
BOX_M = 1_000.0


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--grids", type=int, default=18_936)
    options.add_argument("--revisions", type=int, default=50)
    options.add_argument("--share", type=float, default=0.01)
    options.add_argument("--url", help="postgresql://… instead of a private server")
    given = options.parse_args()

    frame, _ = beside_the_tests("tilings").tiling(given.grids, seed=1, points=16)
    grids = frame.assign(households=np.arange(len(frame)))
    content_mb = sum(map(len, grids.geometry.to_wkb())) / 1e6
    print(f"{len(grids):,} grids, {content_mb:.0f} MB of geometry")
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder, _database(given.url) as url:
        for name, place in (("GeoPackage", Path(folder) / "city.gpkg"), ("PostGIS", url)):
            if place is None:
                print("PostGIS     not measured: no server is installed, and --url names none")
                continue
            with create_store(place) as store:
                _measure(name, store, grids, given.revisions, given.share)


def _measure(
    name: str, store: Store, grids: gpd.GeoDataFrame, revisions: int, share: float
) -> None:
    clock = _Clock(store)
    draft = clock(f"{name:11s} draft in", lambda: store.create_draft("grids", grids))
    clock(f"{name:11s} check", lambda: store.check_draft(draft.id))
    clock(f"{name:11s} publish, all new", lambda: store.publish(draft.id))
    first_mb = _size_mb(store)
    rng, changed = np.random.default_rng(1), grids.copy()
    spent: list[float] = []
    for number in range(revisions):
        rows = rng.choice(len(grids), max(1, round(share * len(grids))), replace=False)
        changed.loc[rows, "households"] = 1_000_000 + number
        draft = store.create_draft("grids", changed)
        store.check_draft(draft.id)
        began = clock.now()
        store.publish(draft.id)
        spent.append(clock.now()[0] - began[0])
    last_mb = _size_mb(store)
    print(f"{name:11s} publish, {share:.0%} changed   median {np.median(spent):.2f} s CPU")
    grown, least = last_mb - first_mb, share * revisions
    print(
        f"{name:11s} size {first_mb:.0f} MB, after {revisions} revisions {last_mb:.0f} MB: "
        f"{grown:.0f} MB more, {grown / first_mb:.2f} of it for {least:.2f} of it changed"
    )
    x, y = grids.total_bounds[:2] + np.ptp(grids.total_bounds.reshape(2, 2), axis=0) / 2
    box = (x, y, x + BOX_M, y + BOX_M)
    for what, read in (
        ("whole layer", lambda at: store.frame("grids", at=at)),
        ("1 km box", lambda at: store.frame("grids", at=at, bbox=box)),
    ):
        middle = max(2, revisions // 2)
        times = {at: [] for at in (None, 1, middle)}
        for _ in range(ROUNDS):
            for at, found in times.items():
                began = clock.now()
                read(at)
                found.append(clock.now()[0] - began[0])
        now, *then = (float(np.median(found)) for found in times.values())
        print(
            f"{name:11s} read {what}: now {now:.3f} s CPU, as of revision 1 {then[0] / now:.2f}x, "
            f"as of revision {middle} {then[1] / now:.2f}x"
        )


class _Clock:
    """CPU seconds of this process and of the database's, and seconds by the clock."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __call__(self, what: str, work: Callable[[], Any]) -> Any:
        began = self.now()
        made = work()
        cpu, wall = (after - before for after, before in zip(self.now(), began, strict=True))
        print(f"{what:40s} {cpu:7.2f} s CPU {wall:7.2f} s")
        return made

    def now(self) -> tuple[float, float]:
        return time.process_time() + self._server_s(), time.perf_counter()

    def _server_s(self) -> float:
        """What the database's process has used; one connection is all that one thread takes."""
        if "://" not in self.store.name:
            return 0.0
        with self.store._home.reading() as connection:
            number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _size_mb(store: Store) -> float:
    if "://" not in store.name:
        return Path(store.name).stat().st_size / 1e6
    query = """SELECT sum(pg_total_relation_size(oid)) FROM pg_class
        WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'"""
    with store._home.reading() as connection:
        return float(connection.exec_driver_sql(query).scalar_one()) / 1e6


@contextmanager
def _database(url: str | None) -> Iterator[str | None]:
    name = f"bench_{uuid.uuid4().hex}"
    if url is not None:
        yield f"{url}{'&' if '?' in url else '?'}schema={name}"
        return
    server = beside_the_tests("postgis_server")
    programs = server.programs()
    if isinstance(programs, str):
        yield None
        return
    usual = {"listen_addresses": "", "logging_collector": "off"}
    with server.server(programs, settings=usual) as private:
        yield f"{private}&schema={name}"


if __name__ == "__main__":
    main()
