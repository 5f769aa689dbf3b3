"""Make the opinion of a check from what a command was given, and show it on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geo_service.cli import _terminal as terminal
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.coverage import CoverageReport
    from geo_service.notes import Note
    from geo_service.profiles import Profile
    from geo_service.registers import Register
    from geo_service.reports import OldReport, Opinion
    from geo_service.store import Store

UNMASK_WORD = "personal-data"
_PREVIOUS = "previous"
_FAULTS_SHOWN = 40
_SHOWN_OF_ONE_KIND = 2
_GROUPS_SHOWN = 15


@dataclass(frozen=True)
class Beside:
    """The lists a layer is compared with.

    Parameters
    ----------
    register, roster, events : Path or None
    events_datum : str or None
        Of the events' longitudes and latitudes.
    unmasked : bool
        Tell names, phones and ID numbers in full.
    """

    register: Path | None = None
    roster: Path | None = None
    events: Path | None = None
    events_datum: str | None = None
    unmasked: bool = False


def unmask(word: str | None) -> bool:
    """Whether personal data may be shown; only who writes the word gets it.

    Raises
    ------
    InputError
        ``parameter_invalid``.
    """
    if word is None:
        return False
    if word != UNMASK_WORD:
        reason = Phrase(
            f"要看完整姓名和电话，请写 --unmasked {UNMASK_WORD}",
            f"write --unmasked {UNMASK_WORD} to see names and phones in full",
        )
        raise InputError("parameter_invalid", name="--unmasked", value=word, reason=reason)
    return True


def of_file(
    grids: gpd.GeoDataFrame,
    area: gpd.GeoDataFrame | None,
    *,
    profile: str,
    expect: int | None,
    source: str,
    read: Sequence[Note],
    code_field: str | None,
    files: Mapping[str, Path | None],
    beside: Beside,
    since: str | None,
    on_progress: terminal.OnProgress,
) -> Opinion:
    """Check a layer that was read from a file, with the lists beside it."""
    from geo_service import coverage, profiles, registers

    rules = profiles.load(profile)
    old = _old_report(since)
    register = registers.read(beside.register) if beside.register else None
    report = coverage.check(
        grids, within=area, profile=rules, expect=expect, code_field=code_field,
        register=None if register is None else list(register.frame["code"]),
        on_progress=on_progress,
    )  # fmt: skip
    given = {**files, "since": Path(since) if since else None}
    return _with_lists(report, source, rules, read, grids, area, register, beside, given, old)


def of_store(
    path: str | None,
    layer: str | None,
    draft: int | None,
    at: str | None,
    *,
    profile: str,
    beside: Beside,
    since: str | None,
    author: str,
    on_progress: terminal.OnProgress,
) -> Opinion:
    """Check what the store holds; a draft may be compared with another draft of its layer."""
    from geo_service import profiles, registers
    from geo_service.store import open_store

    rules = profiles.load(profile)
    register = registers.read(beside.register) if beside.register else None
    with open_store(terminal.store_path(path)) as opened:
        old = _old_draft(opened, draft, since, profile) if draft is not None and since else None
        if old is None:
            old = _old_report(since)
        if draft is not None:
            source, grids = f"draft {draft}", opened.draft_frame(draft)
            report = opened.check_draft(
                draft, profile=profile, author=author, on_progress=on_progress
            )
        else:
            assert layer is not None
            source = f"{layer} r{opened.revision(layer, at=at).number}"
            grids = opened.frame(layer, at=at)
            report = opened.check(layer, at=at, profile=profile)
    given: dict[str, Path | None] = {}
    return _with_lists(report, source, rules, (), grids, None, register, beside, given, old)


def _old_report(since: str | None) -> OldReport | None:
    if since is None:
        return None
    from geo_service.reports import read_old_report

    return read_old_report(since)


def _old_draft(store: Store, draft: int, since: str, profile: str) -> OldReport | None:
    """Check the draft to compare with anew; ``None`` where `since` names a report's file."""
    from geo_service.reports import OldReport

    if since != _PREVIOUS and not since.isdigit():
        return None
    layer = store.draft(draft).layer
    open_ones = [d.id for d in store.drafts(state="open") if d.layer == layer]
    earlier = [number for number in open_ones if number < draft]
    wanted = int(since) if since.isdigit() else max(earlier, default=None)
    if wanted not in open_ones or wanted == draft:
        known = ", ".join(str(number) for number in open_ones if number != draft) or "—"
        reason = Phrase(
            f"可与 {layer} 的未发布草稿比较：{known}；或给上次报告的文件",
            f"an open draft of {layer} to compare with: {known}; or an earlier report's file",
        )
        raise InputError("parameter_invalid", name="--since", value=since, reason=reason)
    return OldReport.of(store.check_draft(wanted, profile=profile), source=f"draft {wanted}")


def _with_lists(
    report: CoverageReport,
    source: str,
    rules: Profile,
    read: Sequence[Note],
    grids: gpd.GeoDataFrame,
    area: gpd.GeoDataFrame | None,
    register: Register | None,
    beside: Beside,
    files: Mapping[str, Path | None],
    old: OldReport | None,
) -> Opinion:
    from geo_service import registers, reports

    named = {**files, "register": beside.register, "roster": beside.roster, "events": beside.events}
    notes = list(read)
    reconciled = staffing = invariants = None
    coded = "code" in grids.columns
    if register is not None and coded:
        notes += register.notes
        reconciled = registers.reconcile(
            register, grids, coverage_percent=report.coverage_percent, unmasked=beside.unmasked
        )
        report = replace(
            report,
            on_map_percent=registers.truncated_percent(
                reconciled.mapped, reconciled.registered, decimals=4
            ),
        )
    if (beside.roster is not None or beside.events is not None) and not coded:
        columns = ", ".join(c for c in grids.columns if c != grids.geometry.name)
        raise InputError("field_missing", file=source, field="code", found=columns)
    if beside.roster is not None:
        roster = registers.read(beside.roster)
        notes += roster.notes
        staffing = registers.staff(roster, grids, profile=rules, unmasked=beside.unmasked)
    if beside.roster is not None or beside.events is not None:
        events = None
        if beside.events is not None:
            needs = ("lon", "lat") if beside.events_datum else ("code",)
            events = registers.read(beside.events, needs=needs)
        invariants = registers.check_invariants(
            grids, parents=area, staffing=staffing, events=events, datum=beside.events_datum
        )
    return reports.Opinion(
        report=report,
        source=source,
        profile=rules,
        inputs=tuple(
            reports.Input.of(role, path) for role, path in named.items() if path is not None
        ),
        read=tuple(notes),
        grids=grids,
        outline=area,
        reconciliation=reconciled,
        staffing=staffing,
        invariants=invariants,
        since=None if old is None else reports.recheck(report, old),
    )


def show(opinion: Opinion, output: Path | None) -> None:
    """Tell it to people: what was read, the verdict with both rates, the faults, the lists."""
    from geo_service.reports import KINDS_ZH, SEVERITIES_ZH

    say, console, report = terminal.say, terminal.out(), opinion.report
    for note in opinion.read:
        console.print(f"· {say(note.zh, note.en)}", style="dim", markup=False)
    console.print(_headline(opinion), style="bold", markup=False)
    if opinion.since is not None:
        since = opinion.since.note
        console.print(say(since.zh, since.en), style="bold", markup=False)
    for line in opinion.notes[len(opinion.read) :]:
        console.print(f"· {say(line.zh, line.en)}", markup=False)
    if opinion.invariants is not None:
        rows: list[tuple[Any, ...]] = [
            (say(zh, en), "—" if found is None else len(found))
            for zh, en, found in opinion.invariants.counters()
        ]
        columns = (say("四项要求", "invariant"), say("不符", "broken by"))
        console.print(terminal.table("", columns, rows))
    if report.counts:
        _show_counts(report)
    if len(report.groups) > 1 and int(report.groups["places"].sum()) > _FAULTS_SHOWN:
        _show_groups(report)
    faults = report.faults
    shown = faults.groupby("kind", sort=False).head(_SHOWN_OF_ONE_KIND).head(_FAULTS_SHOWN)
    rows = [
        (
            say(SEVERITIES_ZH[fault.severity], fault.severity),
            say(KINDS_ZH.get(fault.kind, fault.kind), fault.kind),
            say(fault.message_zh, fault.message_en),
        )
        for fault in shown.itertuples()
    ]
    if rows:
        columns3 = (say("级别", "severity"), say("问题", "fault"), say("说明", "what and where"))
        console.print(terminal.table("", columns3, rows))
    if more := len(faults) - len(shown):
        console.print(say(f"……另有 {more} 条，用 -o 写出全部。", f"… {more} more; -o writes all."))
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


def _show_counts(report: CoverageReport) -> None:
    """What there is of each kind: how many faults, and how many places at how large a width."""
    from geo_service.coverage import metres, square_metres
    from geo_service.reports import KINDS_ZH

    say, kinds = terminal.say, report.groups.groupby("kind", sort=False)
    places, area_m2, width_m = kinds["places"].sum(), kinds["area_m2"].sum(), kinds["width_m"].max()
    rows = [
        (
            say(KINDS_ZH.get(kind, kind), kind),
            count,
            f"{places[kind]:,}",
            square_metres(area_m2[kind]) if area_m2[kind] else "",
            metres(width_m[kind]) if width_m[kind] else "",
        )
        for kind, count in report.counts.items()
    ]
    columns = (
        say("问题", "fault"),
        say("数量", "count"),
        say("处", "places"),
        say("合计面积", "area in all"),
        say("最宽", "widest"),
    )
    terminal.out().print(terminal.table("", columns, rows))


def _show_groups(report: CoverageReport) -> None:
    """The worst groups, a line each."""
    from geo_service.reports import SEVERITIES_ZH

    say, groups = terminal.say, report.groups
    shown = groups[["severity", "message_zh", "message_en"]].head(_GROUPS_SHOWN).to_numpy()
    rows = [(say(SEVERITIES_ZH[severity], severity), say(zh, en)) for severity, zh, en in shown]
    columns = (say("级别", "severity"), say("分组（最严重的在前）", "group, the worst first"))
    terminal.out().print(terminal.table("", columns, rows))
    if (more := len(groups) - len(rows)) > 0:
        terminal.out().print(say(f"……另有 {more} 组。", f"… {more} more groups."))


def _headline(opinion: Opinion) -> str:
    report, source = opinion.report, opinion.source
    clean = report.verdict == "clean"
    warnings = int((report.faults["severity"] == "warning").sum())
    zh_warned, warned = "", ""
    if clean and warnings:
        zh_warned = f"（{warnings} 条警告）"
        warned = f" ({warnings} warning{'s' if warnings > 1 else ''})"
    zh = f"{source}：{'通过' if clean else '有问题'}{zh_warned}，{report.features} 个图形"
    en = f"{source}: {'clean' if clean else 'faults found'}{warned}, {report.features} features"
    if report.expected:
        zh, en = f"{zh}（应有 {report.expected}）", f"{en} (expected {report.expected})"
    if report.coverage_percent is not None:
        zh, en = (
            f"{zh}，覆盖率 {report.coverage_percent} %",
            f"{en}, coverage {report.coverage_percent} %",
        )
    if opinion.on_map is not None:
        zh, en = f"{zh}，落图率 {opinion.on_map} %", f"{en}, on the map {opinion.on_map} %"
    return terminal.say(zh, en)
