"""``serve``, ``doctor``, ``backup``, ``restore``: running the service."""

from __future__ import annotations

import platform
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import GeoServiceError, Language
from geo_service.settings import Settings

_PACKAGES = ("shapely", "geopandas", "pyproj", "pyogrio", "numba", "osmium", "highspy", "maplibre")


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("serve")(serve)
    app.command("doctor")(doctor)
    app.command("backup")(backup)
    app.command("restore")(restore)


def serve(
    host: Annotated[
        str, typer.Option(envvar="GEO_SERVICE_HOST", help="地址 · Address")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="GEO_SERVICE_PORT", help="端口 · Port")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, envvar="GEO_SERVICE_WORKERS", help="进程数 · Processes")
    ] = 1,
    store: terminal.StorePath = None,
) -> None:
    """开启服务和地图 · Serve the API and the map; settings: docs/settings.md."""
    from geo_service import api

    api.serve(terminal.store_path(store), host=host, port=port, workers=workers)


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="预编译 · Compile the kernels now, not at first use")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="修复 · Set missing guards of the store again")
    ] = False,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """体检 · Tell what is missing or out of order."""
    findings = [
        _python(),
        *(_package(name) for name in _PACKAGES),
        *_store(store, mend=mend),
        *_settings(),
    ]
    if warm:
        findings.append(_warm())
    fine = all(finding["ok"] for finding in findings)
    if as_json:
        terminal.print_json({"ok": fine, "findings": findings})
    else:
        rows = [
            ("✓" if f["ok"] else "✗", f["what"], terminal.say(f["zh"], f["en"])) for f in findings
        ]
        terminal.out().print(terminal.table(terminal.say("体检", "doctor"), ("", "", ""), rows))
    return 0 if fine else terminal.FOUND_FAULTS


def backup(
    to: Annotated[Path, typer.Argument(help="备份到文件夹 · Folder to copy into")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """备份 · Copy the store and its streets into a GeoPackage, even while in use."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        to.mkdir(parents=True, exist_ok=True)
        opened.backup(to)
    written = sorted(p.name for p in to.iterdir())
    if as_json:
        terminal.print_json({"backup": str(to), "files": written})
    else:
        said = terminal.say(f"已备份到 {to}：", f"Backed up to {to}: ")
        terminal.out().print(said + ", ".join(written), markup=False)


def restore(
    source: Annotated[
        str, typer.Argument(help="备份中的数据库 · The store in a backup; also postgresql://…")
    ],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """恢复或迁移 · Bring a backup back, into a file or PostGIS; no store is overwritten."""
    from geo_service.store import open_store

    where = terminal.store_path(store)
    with open_store(source) as opened:  # refuses what is not a whole store
        opened.verify()
        opened.copy_to(where)
    with open_store(where) as restored:
        name, layers = restored.name, restored.current_revisions()
    if as_json:
        terminal.print_json({"restored": name, "revisions": layers})
    else:
        terminal.out().print(terminal.say(f"已恢复到 {name}", f"Restored to {name}"), markup=False)


def _finding(what: str, ok: bool, zh: str, en: str) -> dict[str, Any]:
    return {"what": what, "ok": ok, "zh": zh, "en": en}


def _python() -> dict[str, Any]:
    running = platform.python_version()
    return _finding("Python", True, running, running)


def _package(name: str) -> dict[str, Any]:
    try:
        found = version(name)
    except PackageNotFoundError:
        return _finding(
            name, False, "没有安装，请重新运行 scripts/demo", "missing: run scripts/demo again"
        )
    return _finding(name, True, found, found)


def _store(given: str | None, *, mend: bool) -> list[dict[str, Any]]:
    from geo_service.store import health

    found = health.examine(terminal.store_path(given), mend=mend)
    return [_finding(f"store: {f.what}", f.ok, f.zh, f.en) for f in found]


def _settings() -> list[dict[str, Any]]:
    from geo_service import settings

    findings = [
        _finding(
            "settings", False, f"{name} 没有人读；是 {near} 吗？", f"nothing reads {name}: {near}?"
        )
        for name, near in settings.unknown().items()
    ]
    try:
        found = settings.read()
    except GeoServiceError as error:
        return [*findings, _finding("settings", False, error.message("zh"), error.message("en"))]
    where = f"{found.host}:{found.port}, {found.workers} × "
    zh, en = where + _doors_told(found, "zh"), where + _doors_told(found, "en")
    return [*findings, _finding("settings", True, zh, en)]


def _doors_told(found: Settings, language: Language) -> str:
    """Tell in a few words who is let in by what is set."""
    zh = ["跨域：" + (", ".join(found.origins) or "关闭"), f"每分钟 {found.rate_per_minute} 次"]
    en = ["CORS " + (", ".join(found.origins) or "closed"), f"{found.rate_per_minute} a minute"]
    for on, said_zh, said_en in (
        (found.tls_certificate, "TLS", "TLS"),
        (found.oidc_issuer, f"OIDC {found.oidc_issuer}", f"OIDC {found.oidc_issuer}"),
        (found.anonymous, f"无密钥者：{found.anonymous}", f"without a key: {found.anonymous}"),
    ):
        zh += [said_zh] if on else []
        en += [said_en] if on else []
    return "；".join(zh) if language == "zh" else "; ".join(en)


def _warm() -> dict[str, Any]:
    """Run every compiled loop once on a tiny city, so that no request waits for the compiler."""
    from geo_service import coverage, demo_city, mending
    from geo_service.cli import demo
    from geo_service.demo_city import dirty

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        demo.run(demo.Steps(quiet=True), Path(folder), grids=demo_city.FEWEST_GRIDS)
        _walk_every_way(Path(folder) / "streets.osm.pbf")
    _choose_every_way()
    city = demo_city.make(grids=demo_city.FEWEST_GRIDS)
    coverage.certificate(city.grids.geometry, city.outline.geometry)
    spoilt, _ = dirty.inject(city.grids, city.outline)
    mending.repair(spoilt, within=city.outline)
    said = f"{time.perf_counter() - began:.1f} s"
    return _finding("kernels", True, f"已编译，用时 {said}", f"compiled in {said}")


def _walk_every_way(extract: Path) -> None:
    """Run the walks that the demo leaves out."""
    from geo_service import catchments, walking
    from geo_service.streets import WalkNetwork

    network = WalkNetwork.from_pbf(extract)
    lon, lat = network.node_lonlat[0].tolist()
    for reach in ("nearest", "any"):
        catchments.geojson(network, [lon], [lat], reach=reach)
    walking.nearest(network, np.zeros(1, np.int64))
    walking.totals(network, np.ones(network.node_count), 500.0, origins=np.zeros(1, np.int64))
    here = network.node_lonlat[:1]
    network.time_matrix(here, here, minutes=5.0)


def _choose_every_way() -> None:
    """Run the siting searches, whose promise of seconds would else be spent on compiling."""
    from geo_service import siting

    random = np.random.default_rng(1)
    cover = random.random((60, 240)) < 0.05
    weights = random.integers(1, 20, 240).astype(float)
    prices = siting.Rules(costs=np.arange(60) % 5 + 1.0, budget=20.0)
    for _ in range(3):  # a search that compiled until its time was up left its last loops out
        siting.maximal_cover(cover, weights, 12, seconds=1.0)
        siting.maximal_cover(cover, weights, None, rules=prices, seconds=1.0)
        siting.set_cover(cover[:, cover.any(axis=0)], seconds=1.0)
        siting.capacitated_cover(cover, weights, 150.0, 12, seconds=1.0)
        siting.p_median(random.random((60, 240)), weights, 6, seconds=1.0)
        siting.p_center(random.random((60, 240)), 6, seconds=1.0)
