"""``demo``: the main job end to end on a synthetic city, with what each step found and took."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import ConflictError

if TYPE_CHECKING:
    from geo_service.demo_city import DemoCity

FEWEST_GRIDS, DEFAULT_GRIDS, DEFAULT_SEED = 120, 18_936, 2026
STORE_NAME = "city.gpkg"
LABEL = "SYNTHETIC 演示数据（虚构）"

_MARKER = "SYNTHETIC.txt"
_LAYERS = ("city", "counties", "townships", "communities", "grids", "micro_grids")
_FILES = {"city": "outline"}
_TABLES = ("addresses", "facilities", "candidates", "demand", "buildings")
_POINTS_COMPARED = 100_000
_STATIONS, _CANTEENS = 20, 10
_CIRCLES = 100


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("demo")(demo)


@dataclass
class Steps:
    """What the demo did: step, finding, seconds."""

    quiet: bool
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, zh: str, en: str) -> Iterator[Callable[[str, str], None]]:
        """Time a step, and print what it says it found as soon as it is through."""
        found: list[str] = []
        began = time.perf_counter()
        with terminal.progress(zh, en, quiet=self.quiet):
            yield lambda zh_, en_: found.append(terminal.say(zh_, en_))
        seconds = time.perf_counter() - began
        self.rows.append((terminal.say(zh, en), "; ".join(found), seconds))
        if not self.quiet:
            terminal.err().print(f"[green]✓[/] {terminal.say(zh, en)}: {'; '.join(found)}"
                                 f"  [dim]{seconds:.1f} s[/]")  # fmt: skip


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="演示文件夹 · Folder to make")
    ] = Path("demo-city"),
    grids: Annotated[
        int, typer.Option(min=FEWEST_GRIDS, help="网格数 · How many grids")
    ] = DEFAULT_GRIDS,
    seed: Annotated[int, typer.Option(help="随机种子 · Seed")] = DEFAULT_SEED,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="最后打开地图 · Serve the map at the end")
    ] = True,
    port: Annotated[int, typer.Option(help="端口 · Port of the map")] = 8000,
    as_json: terminal.AsJson = False,
) -> int:
    """演示 · Make the demo city, publish, check, look up, walk, site, then serve its map."""
    _clear(folder)
    steps = Steps(quiet=as_json)
    if not as_json:
        terminal.out().print(f"{LABEL} → {folder}", style="bold yellow", markup=False)
    began = time.perf_counter()
    store = str(folder / STORE_NAME)
    city, files = _make(steps, folder, grids, seed)
    _publish(steps, store, files)
    faults = _check(steps, files)
    _locate(steps, store, city)
    _walk(steps, store, files, city)
    _site(steps, store)
    _draw(steps, city, files)
    seconds = time.perf_counter() - began
    rows = [(*row[:2], f"{row[2]:.1f}") for row in steps.rows]
    rows.append((terminal.say("合计", "total"), "", f"{seconds:.1f}"))
    if as_json:
        keys = ("step", "found", "seconds")
        timed = [dict(zip(keys, row, strict=True)) for row in steps.rows]
        terminal.print_json(
            {"synthetic": True, "store": store, "steps": timed, "seconds": seconds, **faults}
        )
    else:
        columns = (terminal.say("步骤", "step"), terminal.say("结果", "found"), "s")
        terminal.out().print(terminal.table(LABEL, columns, rows))
    if faults["clean_faults"] or faults["missed"]:
        return terminal.FOUND_FAULTS
    if serve and not as_json:
        from geo_service import api

        api.serve(store, host="127.0.0.1", port=port)
    return 0


def _clear(folder: Path) -> None:
    """Make room: an earlier demo goes, anything else stays untouched."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).is_file():
            raise ConflictError("folder_not_ours", folder=folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = f"{LABEL}\nThis folder is remade by `geo-service demo`. 本文件夹由 geo-service demo 重建。\n"
    (folder / _MARKER).write_text(text, encoding="utf-8")


def _make(steps: Steps, folder: Path, grids: int, seed: int) -> tuple[DemoCity, dict[str, Path]]:
    from geo_service import demo_city

    with steps.step("生成城市", "make the city") as found:
        city = demo_city.make(grids=grids, seed=seed)
        vertices = int(city.grids.geometry.count_coordinates().sum())
        found(
            f"{len(city.townships)} 乡镇，{len(city.communities)} 社区，{len(city.grids)} 网格，"
            f"{vertices:,} 个顶点",
            f"{len(city.townships)} townships, {len(city.communities)} communities, "
            f"{len(city.grids)} grids of {vertices:,} vertices",
        )
    with steps.step("写出文件", "write its files") as found:
        files = demo_city.write(city, folder)
        size = sum(path.stat().st_size for path in files.values()) / 1e6
        found(f"{len(files)} 个文件，{size:.0f} MB", f"{len(files)} files, {size:.0f} MB")
    return city, files


def _publish(steps: Steps, store: str, files: dict[str, Path]) -> None:
    from geo_service import boundary_files
    from geo_service.cli.walking import read_points
    from geo_service.store import create_store

    with (
        steps.step("导入、检查、发布", "import, check, publish") as found,
        create_store(store, title="Xuchang demo 许昌演示", synthetic=True) as opened,
    ):
        for layer in _LAYERS:
            read = boundary_files.read(files[_FILES.get(layer, layer)])
            draft = opened.create_draft(
                layer, read.layer_frame(), source=read.source, sha256=read.sha256, author="demo"
            )
            opened.check_draft(draft.id)
            revision = opened.publish(draft.id, author="demo", message=LABEL)
            found(f"{layer} r{revision.number}", f"{layer} r{revision.number}")
        for table in _TABLES:
            opened.put_table(table, read_points(files[table]))


def _check(steps: Steps, files: dict[str, Path]) -> dict[str, int]:
    import json

    from geo_service import boundary_files, coverage
    from geo_service.demo_city import dirty

    outline = boundary_files.read(files["outline"]).frame
    clean = boundary_files.read(files["grids"]).layer_frame()
    with steps.step("检查完好图层", "check the clean city") as found:
        report = coverage.check(clean, within=outline, expect=len(clean))
        clean_faults = int((report.faults["severity"] != "note").sum())
        found(
            f"覆盖率 {report.coverage_percent} %，{clean_faults} 个问题",
            f"coverage {report.coverage_percent} %, {clean_faults} faults",
        )
    spoiled = boundary_files.read(files["dirty"]).layer_frame()
    truth = json.loads(files["truth"].read_text("utf-8"))
    with steps.step("检查带错图层", "check the dirty copy") as found:
        report = coverage.check(spoiled, within=outline)
        score = dirty.score(truth, report)
        found(
            f"{score.located} / {score.injected} 处已知错误找到，误报 {score.false_alarms}",
            f"{score.located} of {score.injected} known faults located, "
            f"{score.false_alarms} false alarms",
        )
    return {"clean_faults": clean_faults, "missed": score.injected - score.located}


def _locate(steps: Steps, store: str, city: DemoCity) -> None:
    import numpy as np

    from geo_service import crs
    from geo_service.locate import Locator
    from geo_service.store import open_store

    with open_store(store) as opened:
        frame, table = opened.frame("grids"), opened.table("addresses")
    with steps.step("建索引", "index the grids"):
        locator = Locator(frame)
    lon, lat = _mixed_points(frame)
    lon, lat = crs.from_wgs84(lon, lat, datum="gcj02")
    with steps.step("查归属", "find points' grids") as found:
        began = time.perf_counter()
        held = locator.locate(lon, lat, datum="gcj02")
        rate = len(lon) / (time.perf_counter() - began)
        inside = int((held.codes != "").sum())
        found(
            f"{len(lon):,} 个 GCJ-02 点（每秒 {rate:,.0f} 个），{inside:,} 个在网格内",
            f"{len(lon):,} GCJ-02 points ({rate:,.0f} a second), {inside:,} inside",
        )
    with steps.step("查地址", "find addresses") as found:
        from geo_service.addresses import AddressBook

        book = AddressBook(table)
        asked = table["address"].iloc[:: max(1, len(table) // 500)]
        right = sum(book.find(text).status == "found" for text in asked)
        found(f"{right} / {len(asked)} 条找到", f"{right} of {len(asked)} found")
        example = asked.iloc[len(asked) // 2]
        place = book.find(example)
        if place.status == "found":
            code = locator.locate(np.array([place.lon]), np.array([place.lat])).codes[0]
            found(f"{example} → {code}", f"{example} → {code}")


def _mixed_points(frame: Any) -> Any:
    """Points all over the city's box, every tenth of them a corner of some grid."""
    import numpy as np
    import shapely

    from geo_service import crs

    rng = np.random.default_rng(0)
    x0, y0, x1, y1 = frame.total_bounds
    xy = rng.uniform((x0, y0), (x1, y1), (_POINTS_COMPARED, 2))
    corners = shapely.get_coordinates(frame.geometry.to_numpy())
    xy[::10] = corners[rng.integers(0, len(corners), len(xy[::10]))]
    return crs.Plane.of(frame.crs).inverse(xy[:, 0], xy[:, 1])


def _walk(steps: Steps, store: str, files: dict[str, Path], city: DemoCity) -> None:
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    with steps.step("导入街道", "import the streets") as found:
        network = WalkNetwork.from_pbf(files["streets"])
        with open_store(store) as opened:
            network.save(opened.streets_path)
        facts = network.facts()
        km = float(facts["length_m"]) / 1000
        found(
            f"{facts['nodes']:,} 个路口，{km:,.0f} 公里", f"{facts['nodes']:,} nodes, {km:,.0f} km"
        )
    stations = city.facilities[city.facilities["kind"] == "rest_station"].head(20)
    with steps.step("步行圈", "15-minute walks") as found:
        areas = network.catchment(
            stations["lon"].to_numpy(), stations["lat"].to_numpy(), minutes=[5, 10, 15]
        )
        mean = areas[areas["minutes"] == 15]["area_m2"].mean() / 1e6
        found(
            f"{len(stations)} 个驿站，15 分钟平均 {mean:.2f} 平方公里",
            f"{len(stations)} stations, {mean:.2f} km² in 15 minutes on average",
        )


def _site(steps: Steps, store: str) -> None:
    from geo_service import siting
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    with open_store(store) as opened:
        demand, candidates = opened.table("demand"), opened.table("candidates")
        facilities = opened.table("facilities")
        network = WalkNetwork.load(opened.streets_path)
    plans = (
        ("驿站选址", "site rest stations", "rest_station", "riders", "courier", _STATIONS),
        ("食堂选址", "site canteens", "canteen", "population_60", "senior", _CANTEENS),
    )
    for zh, en, kind, weight, walker, count in plans:
        existing = facilities[(facilities["kind"] == kind) & (facilities["status"] == "existing")]
        with steps.step(zh, en) as found:
            proposal = siting.propose_sites(
                network, demand, candidates, count=min(count, len(candidates)), minutes=15,
                existing=existing, weight_field=weight, profile=walker, kind=kind, seconds=5,
            )  # fmt: skip
            with open_store(store) as opened:
                opened.put_table(f"proposal_{kind}", proposal.to_frame().drop(columns="geometry"))
            told = proposal.to_dict()
            share = [
                100 * told[name] / told["total"] for name in ("covered_before", "covered_after")
            ]
            found(
                f"{len(told['sites'])} 处，覆盖 {share[0]:.1f} % → {share[1]:.1f} %，"
                f"与上界差 {told['gap_percent']:.2f} %",
                f"{len(told['sites'])} sites, {share[0]:.1f} % → {share[1]:.1f} % covered, "
                f"{told['gap_percent']:.2f} % from the bound",
            )
