"""``serve``, ``doctor``, ``backup``, ``restore``: running the service."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import ConflictError, GeoServiceError, MissingError

_PACKAGES = ("shapely", "geopandas", "pyproj", "pyogrio", "numba", "osmium", "highspy", "maplibre")
_LEAST_DISK_GB = 1.0


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("serve")(serve)
    app.command("doctor")(doctor)
    app.command("backup")(backup)
    app.command("restore")(restore)


def serve(
    host: Annotated[str, typer.Option(help="地址 · Address")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="端口 · Port")] = 8000,
    store: terminal.StorePath = None,
) -> None:
    """开启服务和地图 · Serve the API and the map."""
    from geo_service import api

    api.serve(terminal.store_path(store), host=host, port=port)


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="预编译 · Compile the kernels now, not at first use")
    ] = False,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """体检 · Tell what is missing or out of order."""
    findings = [_python(), *(_package(name) for name in _PACKAGES), _disk(), _store(store)]
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
    """备份 · Copy the store and its streets, consistent even while in use."""
    from geo_service.store import open_store

    to.mkdir(parents=True, exist_ok=True)
    path = Path(terminal.store_path(store))
    with open_store(str(path)) as opened:
        opened.backup(to / path.name)
        if opened.streets_path.exists():
            shutil.copy2(opened.streets_path, to / opened.streets_path.name)
    written = sorted(p.name for p in to.iterdir())
    if as_json:
        terminal.print_json({"backup": str(to), "files": written})
    else:
        said = terminal.say(f"已备份到 {to}：", f"Backed up to {to}: ")
        terminal.out().print(said + ", ".join(written), markup=False)


def restore(
    source: Annotated[Path, typer.Argument(help="备份中的数据库文件 · The store in a backup")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """恢复 · Bring a backup back; an existing store is never overwritten."""
    from geo_service.store import open_store

    if not source.is_file():
        raise MissingError("file_missing", file=str(source))
    path = Path(terminal.store_path(store))
    if path.exists():
        raise ConflictError("store_exists", store=path)
    with open_store(str(source)) as opened:  # refuses what is not a whole store
        opened.verify()
        opened.backup(path)
        streets = opened.streets_path
    with open_store(str(path)) as restored:
        if streets.exists():
            shutil.copy2(streets, restored.streets_path)
        layers = restored.current_revisions()
    if as_json:
        terminal.print_json({"restored": str(path), "revisions": layers})
    else:
        terminal.out().print(terminal.say(f"已恢复到 {path}", f"Restored to {path}"), markup=False)


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


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return _finding("disk", free >= _LEAST_DISK_GB, f"剩余 {free:.1f} GB", f"{free:.1f} GB free")


def _store(given: str | None) -> dict[str, Any]:
    from geo_service.store import open_store

    path = terminal.store_path(given)
    try:
        with open_store(path) as opened:
            opened.verify()
            layers = ", ".join(f"{name} r{n}" for name, n in opened.current_revisions().items())
    except GeoServiceError as error:
        return _finding(path, False, error.message("zh"), error.message("en"))
    return _finding(path, True, layers or "空库", layers or "empty")


def _warm() -> dict[str, Any]:
    """Run every compiled loop once on a tiny city, so that no request waits for the compiler."""
    import geopandas as gpd
    import shapely

    from geo_service import demo_city, mending
    from geo_service.cli import demo

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
        demo.run(demo.Steps(quiet=True), Path(folder), grids=demo_city.FEWEST_GRIDS)
    apart = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 90, 90), shapely.box(91, 0, 200, 90)])
    mending.repair(apart, within=shapely.box(0, 0, 200, 90))
    said = f"{time.perf_counter() - began:.1f} s"
    return _finding("kernels", True, f"已编译，用时 {said}", f"compiled in {said}")
