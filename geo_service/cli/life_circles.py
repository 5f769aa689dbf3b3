"""``life-circles``: what each circle has and lacks, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _tables
from geo_service.cli import _terminal as terminal
from geo_service.cli.facilities import Standard
from geo_service.cli.walking import Speed, Streets, WalkProfile, network_of, read_points

if TYPE_CHECKING:
    import pandas as pd

    from geo_service.life_circles import LifeCircles


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("life-circles")(life_circles)


def life_circles(
    by: Annotated[
        str, typer.Option(help="圈心 · communities, grids, or a file of centres (CSV, XLSX)")
    ] = "communities",
    centres: Annotated[
        Path | None, typer.Option(hidden=True, help="圈心 · The same as --by FILE")
    ] = None,
    standard: Standard = None,
    facilities: Annotated[Path | None, typer.Option(help="设施表 · Facilities (CSV)")] = None,
    candidates: Annotated[Path | None, typer.Option(help="候选点 · Candidates (CSV)")] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="拟建设施，比较前后 · Facilities to be built: before and after"),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="只算此刻开放的 · Only those open at 02:00, “Sa 02:00”")
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="只算编码以此开头的 · Only circles whose code begins so")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="只算前 N 个 · Only the first N circles")
    ] = None,
    profile: WalkProfile = None,
    speed_kmh: Speed = None,
    streets: Streets = "store",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """生活圈 · Circles x categories: 缺项清单, 未落地设施清单, 项目行动计划表 (.xlsx, .gpkg)."""
    from geo_service import facilities as listing
    from geo_service import life_circles as circles

    network = network_of(streets, store, quiet=as_json)
    known = circles.kinds_of(standard)
    places = listing.read(facilities, known=known) if facilities else None
    places = _tables.kept("facilities", store) if places is None else places
    if at is not None:
        places = listing.open_at(places, at)
    premises = (
        read_points(candidates) if candidates else _tables.kept("candidates", store, needed=False)
    )
    origins = _centres(str(centres) if centres else by, store, within)
    origins = origins if limit is None else origins.head(limit)
    asked: dict[str, Any] = {
        "standard": standard, "candidates": premises, "profile": profile, "speed_kmh": speed_kmh,
    }  # fmt: skip
    with terminal.progress("生活圈", "life circles", quiet=as_json) as advance:
        result = circles.circles(network, origins, places, on_progress=advance, **asked)
    after = None
    if plan is not None:
        built = listing.read(plan, known=known).assign(status="existing")
        after = circles.circles(network, origins, _with(places, built), **asked)
    if output is not None:
        write(result, after, output)
    if as_json:
        told = result.to_dict()
        if after is not None:
            told["after"] = {
                "mean_score": after.mean_score(),
                "missing": len(after.missing),
                "changes": circles.records(circles.changes(result, after)),
            }
        terminal.print_json(told)
        return
    _show(result, after, output)


def write(result: LifeCircles, after: LifeCircles | None, output: Path) -> None:
    """Write the lists as sheets, or the action plan as a layer."""
    from geo_service import life_circles as circles
    from geo_service import reports
    from geo_service.reports.tables import ENDINGS

    if output.suffix.lower() not in ENDINGS:
        reports.write_result(result.to_frame(), output)
        return
    sheets = result.sheets()
    if after is not None:
        changed = circles.changes(result, after)
        sheets["方案前后"] = changed.rename(columns=circles.HEADERS_ZH)
    reports.write_tables(sheets, output)


def community_centres(store: str | None) -> pd.DataFrame:
    """A point inside each community, which is where its circle is walked from."""
    return _tables.layer_places("communities", store)


def _centres(by: str, store: str | None, within: str | None) -> pd.DataFrame:
    found = _tables.layer_places(by, store) if by in _tables.LAYERS else read_points(Path(by))
    if within is None:
        return found
    column = "code" if "code" in found else "id"
    return found[found[column].astype(str).str.startswith(within)]


def _with(places: pd.DataFrame, built: pd.DataFrame) -> pd.DataFrame:
    """What stands after the plan; a planned facility that the plan builds stands once."""
    import pandas as pd

    kept = places[~places["id"].astype(str).isin(built["id"].astype(str))]
    return pd.concat([kept, built], ignore_index=True)


def _show(result: LifeCircles, after: LifeCircles | None, output: Path | None) -> None:
    console, say = terminal.out(), terminal.say
    missing, planned = len(result.missing), int((result.missing["flag"] != "缺项").sum())
    zh = (
        f"{len(result.centres)} 个生活圈 × {len(result.standard)} 类：缺项 {missing}"
        f"（其中已规划 {planned}），未落地设施 {len(result.unbuilt)}"
    )
    en = (
        f"{len(result.centres)} circles x {len(result.standard)} categories: {missing} missing "
        f"({planned} of them planned), {len(result.unbuilt)} facilities unbuilt"
    )
    console.print(say(zh, en), style="bold")
    within = result.matrix.assign(there=result.matrix["status"] == "within")
    share = within.groupby("kind", sort=False)["there"].mean()
    rows = [
        (row[say("kind_zh", "kind_en")], f"{row['tier_minutes']:g}", _limit(result, row["kind"]),
         f"{int(1e4 * share[row['kind']]) / 100:.2f} %")
        for row in result.standard.to_dict("records")
    ]  # fmt: skip
    columns = (say("类别", "category"), say("分钟", "minutes"), say("上限（米）", "limit, m"),
               say("达标的圈", "circles within"))  # fmt: skip
    console.print(terminal.table(say("达标率", "who has what"), columns, rows))
    score = result.mean_score()
    if score is not None:
        console.print(say(f"平均得分 {score:.2f}", f"mean score {score:.2f}"))
    if after is not None:
        told = f"{score} → {after.mean_score()}, {missing} → {len(after.missing)}"
        console.print(
            say(f"方案前后：得分与缺项 {told}", f"with the plan, score and missing: {told}")
        )
    _tables.tell_notes(result.notes)
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


def _limit(result: LifeCircles, kind: str) -> str:
    return f"{result.matrix.loc[result.matrix['kind'] == kind, 'threshold_m'].iloc[0]:,.0f}"
