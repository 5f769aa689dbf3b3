"""``site``: where to put the next ones, with proof and reasons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from geo_service.cli import _tables
from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import Speed, Streets, WalkProfile, network_of, read_points
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    from geo_service.siting import JointProposal, Proposal
    from geo_service.siting._models import Model


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("site")(site)


def site(
    kind: Annotated[
        str,
        typer.Option(help="rest_station 驿站 / canteen 食堂 …；几类合用场所：rest_station,canteen"),
    ] = "rest_station",
    count: Annotated[
        str | None, typer.Option(help="选几处；几类：5,3 · How many sites (of each kind: 5,3)")
    ] = None,
    cover: Annotated[
        float | None, typer.Option(help="覆盖率 % · Fewest sites for this share")
    ] = None,
    candidates: Annotated[Path | None, typer.Option(help="候选点 · Candidates (CSV)")] = None,
    existing: Annotated[Path | None, typer.Option(help="现有设施 · Existing ones (CSV)")] = None,
    demand: Annotated[
        str | None, typer.Option(help="需求 · Demand: a file, or grids, communities of the store")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="权重列 · Demand column to count")] = None,
    minutes: Annotated[float, typer.Option(help="步行分钟 · Minutes on foot")] = 15.0,
    capacity: Annotated[float | None, typer.Option(help="每处容量 · Capacity of a site")] = None,
    must: Annotated[Path | None, typer.Option(help="必选 · Sites that must be chosen")] = None,
    never: Annotated[Path | None, typer.Option(help="不选 · Sites that may not be")] = None,
    model: Annotated[
        str, typer.Option(help="目标 · cover, backup (two in reach), equity, median, center")
    ] = "cover",
    budget: Annotated[
        float | None, typer.Option(help="预算（候选点 fixed_cost 列）· What may be spent")
    ] = None,
    at_most_one: Annotated[
        str | None, typer.Option(help="每个至多一处 · At most one per community, township, COLUMN")
    ] = None,
    at_least_one: Annotated[
        str | None, typer.Option(help="每个至少一处 · At least one per community, township, COLUMN")
    ] = None,
    movable: Annotated[
        bool, typer.Option(help="现有设施可撤、可迁 · Existing ones may be closed and moved")
    ] = False,
    at: Annotated[
        str | None, typer.Option(help="时刻：此刻开放的设施和需求 · Open, and demand, at 02:00")
    ] = None,
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
    from geo_service import demand as demands
    from geo_service import facilities, siting

    named = [facilities.require_kind(part) for part in re.split("[,，、]", kind)]
    counts = _counts(count, len(named))
    if len(named) > 1:
        ruled = {"--cover": cover, "--capacity": capacity, "--must": must, "--movable": movable,
                 "--at-most-one": at_most_one, "--at-least-one": at_least_one,
                 "--model": model if model != "cover" else None}  # fmt: skip
        _refuse_beside_several(ruled)
    kind, number = named[0], counts[0]
    walker = facilities.kinds()[kind].walker
    given = (number is not None) + (cover is not None)
    if given == 2 or (given == 0 and budget is None):
        reason = Phrase(
            "请在 --count 与 --cover 中给出一个，或给 --budget",
            "give one of --count and --cover, or a --budget",
        )
        raise InputError("parameter_invalid", name="--count/--cover", value="", reason=reason)
    wanted, notes = _demand(demand, store)
    premises = (
        read_points(candidates) if candidates else _tables.kept("candidates", store, needed=False)
    )
    network = network_of(streets, store, profile=profile or walker, quiet=as_json)
    if len(named) > 1:
        wishes = [
            siting.Wish(
                one, cast("int", most), demands.column_for(wanted, one, wished=weight, at=at),
                _existing(existing, one, store, at, several=True),
                profile or facilities.kinds()[one].walker,
            )
            for one, most in zip(named, counts, strict=True)
        ]  # fmt: skip
        with terminal.progress("选址", "siting", quiet=as_json) as advance:
            together = siting.propose_together(
                network, wanted, premises, wishes, minutes=minutes, budget=budget,
                never=read_points(never) if never else None, speed_kmh=speed_kmh,
                seconds=seconds, seed=seed, on_progress=advance,
            )  # fmt: skip
        together = replace(together, notes=[*notes, *together.notes])
        _deliver(together, list(together.kinds.values()), output, store)
        if as_json:
            terminal.print_json(together.to_dict())
        else:
            show_together(together, output)
        return
    with terminal.progress("选址", "siting", quiet=as_json) as advance:
        proposal = siting.propose_sites(
            network,
            wanted,
            premises,
            count=number,
            cover_percent=cover,
            minutes=minutes,
            existing=_existing(existing, kind, store, at),
            capacity=capacity,
            must=read_points(must) if must else None,
            never=read_points(never) if never else None,
            speed_kmh=speed_kmh,
            profile=profile or walker,
            weight_field=demands.column_for(wanted, kind, wished=weight, at=at),
            kind=kind,
            model=cast("Model", model),
            conditions=siting.Conditions(budget, at_most_one, at_least_one, movable),
            seconds=seconds,
            seed=seed,
            on_progress=advance,
        )
    proposal = replace(proposal, notes=[*notes, *proposal.notes])
    _deliver(proposal, [proposal], output, store)
    if as_json:
        terminal.print_json(proposal.to_dict())
    else:
        show_proposal(proposal, output)


def _counts(given: str | None, kinds: int) -> list[int | None]:
    """So many sites of each kind: one number for all, or one each."""
    if given is None:
        if kinds > 1:
            reason = Phrase("几类设施须给出数量，如 5,3", "several kinds need counts, as 5,3")
            raise InputError("parameter_invalid", name="--count", value="", reason=reason)
        return [None]
    parts = re.split("[,，、]", given)
    if not all(part.strip().isdecimal() and int(part) >= 1 for part in parts):
        reason = Phrase("应为不小于 1 的整数", "whole numbers, at least 1")
        raise InputError("parameter_invalid", name="--count", value=given, reason=reason)
    if len(parts) not in {1, kinds}:
        reason = Phrase(f"有 {kinds} 类设施", f"there are {kinds} kinds")
        raise InputError("parameter_invalid", name="--count", value=given, reason=reason)
    numbers: list[int | None] = [int(part) for part in parts]
    return numbers * kinds if len(numbers) == 1 else numbers


def _refuse_beside_several(options: dict[str, Any]) -> None:
    """Several kinds at once take a count each and a budget, nothing else yet."""
    for option, value in options.items():
        if value:
            reason = Phrase("不能与几类设施同用", "not together with several kinds")
            raise InputError("parameter_invalid", name=option, value=value, reason=reason)


def _deliver(
    told: Proposal | JointProposal, kept: Sequence[Proposal], output: Path | None, store: str | None
) -> None:
    """Write what was proposed to the file asked for, and keep it in the store, if there is one."""
    from geo_service import proposals, reports
    from geo_service.store import open_store, store_exists

    if output is not None and output.suffix.lower() == ".xlsx":
        reports.write_tables(told.sheets(), output)
    elif output is not None:
        reports.write_result(told.to_frame(), output)
    if store_exists(terminal.store_path(store)):
        with open_store(terminal.store_path(store)) as opened:
            for one in kept:
                proposals.keep(opened, one.to_dict())


def show_together(told: JointProposal, output: Path | None = None) -> None:
    """Print a proposal of several kinds: the premises, then each kind."""
    from geo_service import facilities

    console, say = terminal.out(), terminal.say
    names = {kind: say(facilities.kinds()[kind].zh, kind) for kind in told.kinds}
    line = say(
        f"{len(told.premises)} 处场所，其中 {told.shared} 处合用；"
        f"平均覆盖 {told.objective:.2f} %，上界 {told.bound:.2f} %",
        f"{len(told.premises)} premises, {told.shared} of them shared; "
        f"mean covered {told.objective:.2f} %, bound {told.bound:.2f} %",
    )
    if told.cost is not None:
        line += say(
            f"；费用 {told.cost:,.10g}（预算 {told.budget:,.10g}，"
            f"不合用要 {told.cost_apart:,.10g}）",
            f"; cost {told.cost:,.10g} (budget {told.budget:,.10g}, not shared "
            f"{told.cost_apart:,.10g})",
        )
    console.print(line, style="bold")
    rows = [
        (one["id"], one["name"], f"{one['lon']:.5f},{one['lat']:.5f}",
         "、".join(names[kind] for kind in one["kinds"]))
        for one in told.premises
    ]  # fmt: skip
    columns = ("id", say("名称", "name"), "lon,lat", say("设施", "kinds"))
    console.print(terminal.table(say("场所", "premises"), columns, rows))
    for note in told.notes:
        console.print(f"· {note[say('zh', 'en')]}", markup=False)
    for kind, one in told.kinds.items():
        console.print(f"\n{names[kind]}", style="bold")
        show_proposal(one)
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


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


def _demand(given: str | None, store: str | None) -> Any:
    """The demand of a file (by position or by code), of a layer, or of the store."""
    from geo_service import demand, places
    from geo_service.store import store_exists

    if given is None:
        return _tables.kept("demand", store), []
    if given in _tables.LAYERS:
        return _tables.layer_places(given, store), []
    areas = _tables.areas(store) if store_exists(terminal.store_path(store)) else {}
    return demand.read(places.read_file(given), areas, name=Path(given).name)


def _existing(
    file: Path | None, kind: str, store: str | None, at: str | None, *, several: bool = False
) -> Any:
    """The facilities of this kind that stand today, and are open then."""
    from geo_service import facilities

    if file is not None:
        found = read_points(file)
        if several:  # one file for all kinds: it has to say which is which
            if "kind" not in found:
                columns = ", ".join(map(str, found.columns))
                raise InputError("field_missing", file=file.name, field="kind", found=columns)
            ours = [facilities.require_kind(one) == kind for one in found["kind"]]
            found = found[ours].reset_index(drop=True)
    else:
        found = _tables.kept("facilities", store, needed=False)
        if found is not None and "kind" in found:
            status = found.get("status", "existing")
            found = found[(found["kind"] == kind) & (status == "existing")]
    if at is None or found is None:
        return found
    return facilities.open_at(found, at)
