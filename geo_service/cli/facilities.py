"""``facilities``, ``life-circles``, ``site``: what is there, what is missing, where to put it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import Speed, Streets, WalkProfile, network_of, read_points
from geo_service.errors import InputError, MissingError

if TYPE_CHECKING:
    import pandas as pd

    from geo_service.siting import Proposal

# What a kind of station serves, and who walks to it (DOMAIN 2.4: seniors 1.0 m/s, riders 1.4).
_SERVES = {"rest_station": ("riders", "courier"), "canteen": ("population_60", "senior")}


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    facilities = app.group("facilities", "设施 · Facilities, existing and planned")
    facilities("import")(import_facilities)
    for name in ("candidates", "demand"):
        app.group(name, _TABLES[name])("import")(_importer(name))
    app.command("life-circles")(life_circles)
    app.command("site")(site)


_TABLES = {
    "candidates": "候选点 · Premises a facility could go into",
    "demand": "需求点 · People or riders to be served, as points with weights",
}

PointTable = Annotated[Path, typer.Argument(help="CSV 或 XLSX，含 lon、lat · with lon and lat")]
PointsDatum = Annotated[str, typer.Option(help="坐标基准 · Datum of lon and lat")]


def import_facilities(
    file: PointTable,
    datum: PointsDatum = "wgs84",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入设施 · Bring in the list of facilities."""
    from geo_service import facilities

    table = facilities.parse(_in_wgs84(file, datum))
    _keep("facilities", table, store, as_json)


def _importer(name: str) -> terminal.Command:
    def import_table(
        file: PointTable,
        datum: PointsDatum = "wgs84",
        store: terminal.StorePath = None,
        as_json: terminal.AsJson = False,
    ) -> None:
        _keep(name, _in_wgs84(file, datum), store, as_json)

    import_table.__doc__ = f"导入 · Bring in: {_TABLES[name]}."
    return import_table


def life_circles(
    centres: Annotated[
        Path | None, typer.Option(help="圈心 · Centres (CSV); else the communities of the store")
    ] = None,
    standard: Annotated[
        Path | None, typer.Option(help="标准表 · Table of categories and thresholds")
    ] = None,
    facilities: Annotated[Path | None, typer.Option(help="设施表 · Facilities (CSV)")] = None,
    limit: Annotated[
        int | None, typer.Option(help="只算前 N 个 · Only the first N circles")
    ] = None,
    streets: Streets = "store",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """生活圈 · Circles x categories: 缺项清单, 未落地设施清单, 项目行动计划表."""
    from geo_service import life_circles as circles
    from geo_service import reports

    network = network_of(streets, store, quiet=as_json)
    places = _table(facilities, "facilities", store)
    origins = read_points(centres) if centres else community_centres(store)
    with terminal.progress("生活圈", "life circles", quiet=as_json) as advance:
        result = circles.circles(
            network, origins.head(limit) if limit else origins, places, standard=standard,
            on_progress=advance,
        )  # fmt: skip
    if output is not None:
        reports.write_tables(result.sheets(), output)
    if as_json:
        terminal.print_json(result.to_dict())
        return
    zh = f"{len(origins)} 个生活圈：缺项 {len(result.missing)}，未落地 {len(result.unbuilt)}"
    en = f"{len(origins)} circles: {len(result.missing)} missing, {len(result.unbuilt)} unbuilt"
    terminal.out().print(terminal.say(zh, en), style="bold")
    if output is not None:
        said = terminal.say(f"已写入 {output}", f"Written to {output}")
        terminal.out().print(said, markup=False)


def site(
    kind: Annotated[str, typer.Option(help="rest_station 驿站 / canteen 食堂 …")] = "rest_station",
    count: Annotated[int | None, typer.Option(help="选几处 · How many sites")] = None,
    cover: Annotated[
        float | None, typer.Option(help="覆盖率 % · Fewest sites for this share")
    ] = None,
    candidates: Annotated[Path | None, typer.Option(help="候选点 · Candidates (CSV)")] = None,
    existing: Annotated[Path | None, typer.Option(help="现有设施 · Existing ones (CSV)")] = None,
    demand: Annotated[Path | None, typer.Option(help="需求点 · Demand (CSV)")] = None,
    weight: Annotated[str | None, typer.Option(help="权重列 · Demand column to count")] = None,
    minutes: Annotated[float, typer.Option(help="步行分钟 · Minutes on foot")] = 15.0,
    capacity: Annotated[float | None, typer.Option(help="每处容量 · Capacity of a site")] = None,
    must: Annotated[Path | None, typer.Option(help="必选 · Sites that must be chosen")] = None,
    never: Annotated[Path | None, typer.Option(help="不选 · Sites that may not be")] = None,
    seconds: Annotated[float, typer.Option(help="求解时限 · Seconds for the solver")] = 10.0,
    seed: Annotated[int, typer.Option(help="随机种子 · Seed of the search")] = 0,
    profile: WalkProfile = None,
    speed_kmh: Speed = None,
    streets: Streets = "store",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """选址 · Propose sites with a proven bound and reasons."""
    from geo_service import facilities, proposals, reports, siting
    from geo_service.store import open_store, store_exists

    facilities.require_kind(kind)
    weighed, walker = _SERVES.get(kind, ("population", "adult"))
    if (count is None) == (cover is None):
        reason = "give one of --count and --cover"
        raise InputError("parameter_invalid", name="--count/--cover", value="", reason=reason)
    if count is not None and count < 1:
        reason = "at least 1"
        raise InputError("parameter_invalid", name="--count", value=count, reason=reason)
    wanted = _table(demand, "demand", store)
    premises = _table(candidates, "candidates", store, needed=candidates is not None)
    network = network_of(streets, store, profile=profile or walker, quiet=as_json)
    with terminal.progress("选址", "siting", quiet=as_json) as advance:
        proposal = siting.propose_sites(
            network,
            wanted,
            premises,
            count=count,
            cover_percent=cover,
            minutes=minutes,
            existing=_existing(existing, kind, store),
            capacity=capacity,
            must=read_points(must) if must else None,
            never=read_points(never) if never else None,
            speed_kmh=speed_kmh,
            profile=profile or walker,
            weight_field=weight or _weight_of(wanted, weighed),
            kind=kind,
            seconds=seconds,
            seed=seed,
            on_progress=advance,
        )
    if output is not None:
        reports.write_result(proposal.to_frame(), output)
    if store_exists(terminal.store_path(store)):
        with open_store(terminal.store_path(store)) as opened:
            proposals.keep(opened, proposal.to_dict())
    if as_json:
        terminal.print_json(proposal.to_dict())
    else:
        show_proposal(proposal, output)


def show_proposal(proposal: Proposal, output: Path | None = None) -> None:
    """Print a proposal as planners read it."""
    console, say = terminal.out(), terminal.say
    told = proposal.to_dict()
    before, after, total, objective, bound = (
        f"{told[name]:,.0f}"
        for name in ("covered_before", "covered_after", "total", "objective", "bound")
    )
    gap = f"{told['gap_percent']:.2f} %"
    console.print(
        say(
            f"覆盖 {before} → {after}（共 {total}）；目标 {objective}，上界 {bound}，差距 {gap}",
            f"covered {before} → {after} of {total}; objective {objective}, "
            f"bound {bound}, gap {gap}",
        ),
        style="bold",
    )
    rows = [
        (
            place + 1,
            chosen["id"],
            chosen.get("name", ""),
            f"{chosen['lon']:.5f},{chosen['lat']:.5f}",
            f"{chosen['newly_covered']:,.0f}",
            f"{chosen['only_here']:,.0f}",
            "" if chosen["nearest_existing_m"] is None else f"{chosen['nearest_existing_m']:,.0f}",
        )
        for place, chosen in enumerate(told["sites"])
    ]
    columns = ("#", "id", say("名称", "name"), "lon,lat", say("新覆盖", "newly covered"),
               say("仅此处", "only here"), say("距现有（米）", "to existing, m"))  # fmt: skip
    console.print(terminal.table(say("建议点位", "proposed sites"), columns, rows))
    if told["uncoverable"]:
        n = len(told["uncoverable"])
        console.print(
            say(f"{n} 处需求无法覆盖（见 --json）", f"{n} places can't be covered (--json)")
        )
    for note in told.get("notes", []):
        text = note[say("zh", "en")] if isinstance(note, dict) else note
        console.print(f"· {text}", markup=False)
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


def _in_wgs84(file: Path, datum: str) -> pd.DataFrame:
    from geo_service import crs

    table = read_points(file)
    table["lon"], table["lat"] = crs.to_wgs84(table["lon"], table["lat"], datum=datum)
    return table


def _keep(name: str, table: pd.DataFrame, store: str | None, as_json: bool) -> None:
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        opened.put_table(name, table)
    if as_json:
        terminal.print_json({name: len(table)})
    else:
        said = terminal.say(f"已导入 {len(table)} 行（{name}）", f"{len(table)} {name} imported")
        terminal.out().print(said)


def _table(file: Path | None, name: str, store: str | None, *, needed: bool = True) -> Any:
    """The table of a file, else the store's; ``None`` where neither has one and none is needed."""
    from geo_service.store import open_store, store_exists

    if file is not None:
        return read_points(file)
    path = terminal.store_path(store)
    if not needed and not store_exists(path):
        return None
    with open_store(path) as opened:
        known = opened.tables()
        if name in known:
            return opened.table(name)
    if needed:
        raise MissingError("table_missing", table=name, known=", ".join(known))
    return None


def _existing(file: Path | None, kind: str, store: str | None) -> Any:
    found = _table(file, "facilities", store, needed=False)
    if found is None or "kind" not in found or file is not None:
        return found
    status = found.get("status", "existing")
    return found[(found["kind"] == kind) & (status == "existing")]


def _weight_of(demand: pd.DataFrame, wished: str) -> str | None:
    for column in (wished, "weight", "population"):
        if column in demand:
            return column
    return None


def community_centres(store: str | None) -> pd.DataFrame:
    """A point inside each community, which is where its circle is walked from."""
    import pandas as pd

    from geo_service import crs
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        communities = opened.frame("communities")
    inside = communities.geometry.representative_point()
    lon, lat = crs.Plane.of(communities.crs).inverse(inside.x, inside.y)
    centres = pd.DataFrame(communities.drop(columns=communities.geometry.name))
    return centres.assign(lon=lon, lat=lat)
