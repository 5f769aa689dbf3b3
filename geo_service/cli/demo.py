"""``demo``: the main job end to end on a synthetic city, with what each step found and took."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from geo_service.cli import _terminal as terminal
from geo_service.errors import ConflictError

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.demo_city import DemoCity

Found = Callable[[str, str], None]

STORE_NAME = "city.gpkg"

# Layer -> the file it comes from, parents first.
_LAYERS = {
    "city": "outline",
    "counties": "counties",
    "townships": "townships",
    "communities": "communities",
    "grids": "grids",
    "micro_grids": "micro_grids",
}
_TABLES = ("addresses", "facilities", "candidates", "demand", "buildings")
_POINTS, _ADDRESSES, _STATIONS_WALKED, _CIRCLES = 100_000, 500, 20, 100
# What is sited: zh, en, kind, whom it serves, who walks, how many.
_PLANS = (
    ("驿站选址", "site rest stations", "rest_station", "riders", "courier", 20),
    ("食堂选址", "site canteens", "canteen", "population_60", "senior", 10),
)
_SITING_SECONDS = 5.0


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("demo")(demo)


@dataclass
class Steps:
    """What the demo did: step, finding, seconds."""

    quiet: bool
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, zh: str, en: str) -> Iterator[tuple[Found, terminal.OnProgress]]:
        """Time a step, and print what it says it found as soon as it is through."""
        found: list[str] = []
        began = time.perf_counter()
        with terminal.progress(zh, en, quiet=self.quiet) as advance:
            yield lambda zh_, en_: found.append(terminal.say(zh_, en_)), advance
        seconds = time.perf_counter() - began
        self.rows.append((terminal.say(zh, en), "; ".join(found), seconds))
        if not self.quiet:
            said = f"{terminal.say(zh, en)}: {'; '.join(found)}"
            line = Text.assemble(("✓ ", "green"), said, (f"  {seconds:.1f} s", "dim"))
            terminal.err().print(line, soft_wrap=True)

    def table(self) -> Any:
        """All steps with their seconds, for people."""
        from geo_service.demo_city import LABEL

        rows = [(step, found, f"{seconds:.1f}") for step, found, seconds in self.rows]
        rows.append((terminal.say("合计", "total"), "", f"{sum(r[2] for r in self.rows):.1f}"))
        columns = (terminal.say("步骤", "step"), terminal.say("结果", "found"), "s")
        return terminal.table(LABEL, columns, rows)


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="演示文件夹 · Folder to make")
    ] = Path("demo-city"),
    grids: Annotated[
        int | None, typer.Option(help="网格数 · How many grids [default: 18936]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="随机种子 · Seed [default: 2026]")] = None,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="最后打开地图 · Serve the map at the end")
    ] = True,
    port: Annotated[int, typer.Option(help="端口 · Port of the map")] = 8000,
    as_json: terminal.AsJson = False,
) -> int:
    """演示 · Make the demo city, publish, check, look up, walk, site, then serve its map."""
    from geo_service import demo_city

    _clear(folder)
    steps = Steps(quiet=as_json)
    store = folder / STORE_NAME
    if not as_json:
        console = terminal.out()
        console.print(f"{demo_city.LABEL} → {folder}", style="bold yellow", markup=False)
    serve = serve and not as_json
    verdict = run(steps, folder, grids=grids, seed=seed, draw=serve)
    if as_json:
        keys = ("step", "found", "seconds")
        told = [dict(zip(keys, row, strict=True)) for row in steps.rows]
        terminal.print_json({"synthetic": True, "store": str(store), **verdict, "steps": told})
    else:
        terminal.out().print(steps.table())
    if verdict["clean_faults"] or verdict["missed"] or verdict["false_alarms"]:
        return terminal.FOUND_FAULTS
    if serve:
        from geo_service import api

        api.serve(store, host="127.0.0.1", port=port)
    return 0


def run(
    steps: Steps,
    folder: Path,
    *,
    grids: int | None = None,
    seed: int | None = None,
    draw: bool = False,
) -> dict[str, int]:
    """Make a city in an empty folder and do the main job on it; draw its map beside, if told to.

    Returns
    -------
    dict of int
        ``grids``; ``clean_faults`` of the clean city; ``missed`` and ``false_alarms`` of its dirty
        copy. All but the first are 0 where the product is right.
    """
    store = folder / STORE_NAME
    city, files = _make(steps, folder, grids, seed)
    _publish(steps, store, files)
    drawing = _beside(_draw_tiles, store) if draw else None
    verdict = {"grids": len(city.grids), **_check(steps, files)}
    _locate(steps, store)
    _walk(steps, store, files, city)
    _site(steps, store)
    _life_circles(steps, store, folder)
    if drawing is not None:
        with steps.step("画地图瓦片", "draw the map's tiles") as (found, _):
            drawing.join()
            found("首屏即开", "seen at once")
    return verdict


def _beside(work: Callable[[Path], None], store: Path) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(store,), daemon=True)
    process.start()
    return process


def _draw_tiles(store: Path) -> None:
    from geo_service.api.state import State
    from geo_service.store import open_store

    state = State(open_store(store))
    state.draw_ahead()
    state.close()


def _clear(folder: Path) -> None:
    """Make room: an earlier demo goes, anything else stays untouched."""
    from geo_service.demo_city import MARKER

    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise ConflictError("folder_not_ours", folder=folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _make(
    steps: Steps, folder: Path, grids: int | None, seed: int | None
) -> tuple[DemoCity, dict[str, Path]]:
    from geo_service import demo_city

    with steps.step("生成城市", "make the city") as (found, advance):
        city = demo_city.make(
            grids=demo_city.FULL_CITY_GRIDS if grids is None else grids,
            seed=demo_city.DEFAULT_SEED if seed is None else seed,
            on_progress=advance,
        )
        vertices = int(city.grids.geometry.count_coordinates().sum())
        townships, communities = len(city.townships), len(city.communities)
        found(
            f"{townships} 乡镇，{communities} 社区，{len(city.grids)} 网格，{vertices:,} 顶点",
            f"{townships} townships, {communities} communities, {len(city.grids)} grids of "
            f"{vertices:,} vertices",
        )
    with steps.step("写出文件", "write its files") as (found, advance):
        files = demo_city.write(city, folder, on_progress=advance)
        size = sum(path.stat().st_size for path in files.values()) / 1e6
        found(f"{len(files)} 个文件，{size:.0f} MB", f"{len(files)} files, {size:.0f} MB")
    return city, files


def _publish(steps: Steps, store: Path, files: dict[str, Path]) -> None:
    from geo_service import boundary_files, demo_city
    from geo_service.cli.walking import read_points
    from geo_service.store import create_store

    with (
        steps.step("导入、检查、发布", "import, check, publish") as (found, advance),
        create_store(store, title="许昌（虚构）Xuchang", synthetic=True) as opened,
    ):
        for done, (layer, file) in enumerate(_LAYERS.items()):
            advance(done / len(_LAYERS), layer)
            read = boundary_files.read(files[file])
            draft = opened.create_draft(
                layer,
                read.layer_frame(),
                source=read.source,
                sha256=read.sha256,
                notes=read.notes,
                author="demo",
            )
            opened.check_draft(draft.id)
            revision = opened.publish(draft.id, author="demo", message=demo_city.LABEL)
            found(f"{layer} r{revision.number}", f"{layer} r{revision.number}")
        for table in _TABLES:
            opened.put_table(table, read_points(files[table]))


def _check(steps: Steps, files: dict[str, Path]) -> dict[str, int]:
    """Check the clean city and its dirty copy: faults of one, misses and alarms of the other."""
    from geo_service import boundary_files, coverage
    from geo_service.demo_city import dirty

    outline = boundary_files.read(files["outline"]).frame
    clean = boundary_files.read(files["grids"]).layer_frame()
    with steps.step("检查完好图层", "check the clean city") as (found, advance):
        report = coverage.check(clean, within=outline, expect=len(clean), on_progress=advance)
        clean_faults = int((report.faults["severity"] != "note").sum())
        percent = report.coverage_percent
        found(
            f"覆盖率 {percent} %，{clean_faults} 个问题",
            f"coverage {percent} %, {clean_faults} faults",
        )
    spoiled = boundary_files.read(files["dirty"]).layer_frame()
    truth = json.loads(files["truth"].read_text("utf-8"))
    with steps.step("检查带错图层", "check the dirty copy") as (found, advance):
        report = coverage.check(spoiled, within=outline, on_progress=advance)
        score = dirty.score(truth, report)
        located, injected, alarms = score.located, score.injected, score.false_alarms
        found(
            f"{injected} 处已知错误找到 {located} 处，误报 {alarms}",
            f"{located} of {injected} known faults located, {alarms} false alarms",
        )
    return {"clean_faults": clean_faults, "missed": injected - located, "false_alarms": alarms}


def _locate(steps: Steps, store: Path) -> None:
    from geo_service import crs
    from geo_service.addresses import AddressBook
    from geo_service.locate import Locator
    from geo_service.store import open_store

    with open_store(store) as opened:
        frame, table = opened.frame("grids"), opened.table("addresses")
    lon, lat = crs.from_wgs84(*_mixed_points(frame), datum="gcj02")
    with steps.step("建索引", "index the grids") as (found, _):
        locator = Locator(frame)
        locator.locate(lon[:10], lat[:10], datum="gcj02", distances=False)  # may compile
        found(f"{locator.nbytes / 1e6:.0f} MB", f"{locator.nbytes / 1e6:.0f} MB")
    with steps.step("查归属", "find points' grids") as (found, _):
        began = time.perf_counter()
        held = locator.locate(lon, lat, datum="gcj02", distances=False)
        rate = len(lon) / (time.perf_counter() - began)
        inside = int(held.found.sum())
        found(
            f"{len(lon):,} 个 GCJ-02 点（每秒 {rate:,.0f} 个），{inside:,} 个在网格内",
            f"{len(lon):,} GCJ-02 points ({rate:,.0f} a second), {inside:,} inside",
        )
    with steps.step("查地址", "find addresses") as (found, _):
        book = AddressBook(table)
        asked = table["address"].iloc[:: max(1, len(table) // _ADDRESSES)].tolist()
        answers = [book.find(text) for text in asked]
        known = [(t, a) for t, a in zip(asked, answers, strict=True) if a.status == "found"]
        found(f"{len(asked)} 条找到 {len(known)} 条", f"{len(known)} of {len(asked)} found")
        if known:
            text, place = known[len(known) // 2]
            code = locator.locate(place.lon, place.lat, datum="wgs84").codes[0]
            found(f"{text} → {code}", f"{text} → {code}")


def _mixed_points(frame: gpd.GeoDataFrame) -> Any:
    """Points all over the city's box, every tenth of them a corner of some grid."""
    import numpy as np
    import shapely

    from geo_service import crs

    rng = np.random.default_rng(0)
    x0, y0, x1, y1 = frame.total_bounds
    xy = rng.uniform((x0, y0), (x1, y1), (_POINTS, 2))
    corners = shapely.get_coordinates(frame.geometry.to_numpy())
    xy[::10] = corners[rng.integers(0, len(corners), len(xy[::10]))]
    return crs.Plane.of(frame.crs).inverse(xy[:, 0], xy[:, 1])


def _walk(steps: Steps, store: Path, files: dict[str, Path], city: DemoCity) -> None:
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    with steps.step("导入街道", "import the streets") as (found, advance):
        network = WalkNetwork.from_pbf(files["streets"], on_progress=advance)
        with open_store(store) as opened:
            opened.keep_streets(network)
        nodes, km = network.node_count, network.length_m / 1000
        found(f"{nodes:,} 个路口，{km:,.0f} 公里", f"{nodes:,} nodes, {km:,.0f} km")
    stations = city.facilities[city.facilities["kind"] == "rest_station"].head(_STATIONS_WALKED)
    with steps.step("15 分钟步行圈", "15-minute walks") as (found, _):
        lon, lat = stations["lon"].to_numpy(), stations["lat"].to_numpy()
        areas = network.catchment(lon, lat, minutes=[5, 10, 15])
        mean_km2 = areas["area_m2"][areas["minutes"] == 15].mean() / 1e6
        found(
            f"{len(stations)} 个驿站，平均 {mean_km2:.2f} 平方公里",
            f"{len(stations)} stations, {mean_km2:.2f} km² on average",
        )


def _site(steps: Steps, store: Path) -> None:
    from geo_service import proposals, siting
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    with open_store(store) as opened:
        demand, candidates = opened.table("demand"), opened.table("candidates")
        facilities = opened.table("facilities")
        network = WalkNetwork.load(opened.streets_path)
    for zh, en, kind, weight, walker, count in _PLANS:
        open_now = (facilities["kind"] == kind) & (facilities["status"] == "existing")
        with steps.step(zh, en) as (found, advance):
            proposal = siting.propose_sites(
                network,
                demand,
                candidates,
                count=min(count, len(candidates)),
                minutes=15,
                existing=facilities[open_now],
                weight_field=weight,
                profile=walker,
                kind=kind,
                seconds=_SITING_SECONDS,
                on_progress=advance,
            )
            with open_store(store) as opened:
                proposals.keep(opened, proposal.to_dict())
            told = proposal.to_dict()
            before, after = (
                100 * told[name] / told["total"] for name in ("covered_before", "covered_after")
            )
            sites, gap = len(told["sites"]), f"{told['gap_percent']:.2f} %"
            found(
                f"{sites} 处，覆盖 {before:.1f} % → {after:.1f} %，与上界差 {gap}",
                f"{sites} sites, {before:.1f} % → {after:.1f} % covered, {gap} from the bound",
            )


def _life_circles(steps: Steps, store: Path, folder: Path) -> None:
    from geo_service import life_circles, reports
    from geo_service.cli.life_circles import community_centres
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    with open_store(store) as opened:
        facilities, candidates = opened.table("facilities"), opened.table("candidates")
        network = WalkNetwork.load(opened.streets_path)
    with steps.step("生活圈", "life circles") as (found, advance):
        centres = community_centres(str(store)).head(_CIRCLES)
        result = life_circles.circles(
            network,
            centres,
            facilities,
            standard=facilities[["kind"]].drop_duplicates(),  # the kinds the demo city has
            candidates=candidates,
            on_progress=advance,
        )
        written = reports.write_tables(result.sheets(), folder / "life_circles.xlsx")
        missing, unbuilt = len(result.missing), len(result.unbuilt)
        found(
            f"{len(centres)} 个圈，缺项 {missing}，未落地 {unbuilt}，{written.name}",
            f"{len(centres)} circles, {missing} missing, {unbuilt} unbuilt, {written.name}",
        )
