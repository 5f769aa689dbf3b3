"""``repair``: mend a boundary file within stated limits, and list every change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.check import (
    CodeField,
    Crs,
    Datum,
    Encoding,
    LayerInFile,
    SwapAxes,
    Within,
    read_layer,
)
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    from geo_service.mending import Mended

_CHANGES_SHOWN = 40


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("repair")(repair)


def repair(
    file: Annotated[Path, typer.Argument(help="边界文件 · A boundary file")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="写到文件 · Write here; with --dry-run the preview"),
    ] = None,
    within: Within = None,
    code_field: CodeField = None,
    max_gap_m: Annotated[
        float | None,
        typer.Option(help="边线最多移动（米）· Farthest a border may move, widest gap closed, m"),
    ] = None,
    snap_m: Annotated[
        float | None, typer.Option(help="同上，取两者中较大的 · The same; the larger counts")
    ] = None,
    gap_to: Annotated[
        str | None, typer.Option(help="缝隙归谁 · longest_border or same_community")
    ] = None,
    overlap_to: Annotated[
        str | None, typer.Option(help="重叠归谁 · smaller_code or drawn_back")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="只列出改动 · List the changes; -o takes a preview .gpkg"),
    ] = False,
    crs: Crs = None,
    datum: Datum = None,
    swap_axes: SwapAxes = False,
    encoding: Encoding = None,
    file_layer: LayerInFile = None,
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    as_json: terminal.AsJson = False,
) -> int:
    """修复 · Mend gaps and overlaps; only grids at a fault change, each change is listed."""
    from geo_service import boundary_files, mending

    _require_output(output, dry_run=dry_run)
    grids, area, _, read = read_layer(
        file, within, crs=crs, datum=datum, swap_axes=swap_axes, encoding=encoding,
        layer=file_layer, code_field=code_field,
    )  # fmt: skip
    with terminal.progress("修复", "mending", quiet=as_json):
        mended = mending.repair(
            grids, within=area, profile=profile, max_gap_m=max_gap_m, snap_m=snap_m,
            gap_to=gap_to, overlap_to=overlap_to,
        )  # fmt: skip
    if output is not None:
        # The file's own column names come back; the preview is a layer of ours.
        named = mended.grids.rename(columns=dict(read.fields))
        made = mending.preview(grids, mended) if dry_run else named
        boundary_files.write(made, output)
    if as_json:
        told = {"source": read.source, "dry_run": dry_run, "written": str(output or "")}
        terminal.print_json({**mended.to_dict(), **told})
    else:
        _show(mended, read.source, output)
    return terminal.FOUND_FAULTS if len(mended.left) else 0


def _require_output(output: Path | None, *, dry_run: bool) -> None:
    if output is None and not dry_run:
        reason = Phrase(
            "请用 -o 说明写到哪个文件，或加 --dry-run 只看不改",
            "say where to write (-o FILE), or --dry-run",
        )
        raise InputError("parameter_invalid", name="--output", value="", reason=reason)
    if dry_run and output is not None and output.suffix.lower() != ".gpkg":
        reason = Phrase("--dry-run 的预览要写成 .gpkg", "the preview of --dry-run is a .gpkg")
        raise InputError("parameter_invalid", name="--output", value=output.name, reason=reason)


def _show(mended: Mended, source: str, output: Path | None) -> None:
    say, console = terminal.say, terminal.out()
    changed, left = len(mended.changes), len(mended.left)
    console.print(
        say(
            f"{source}：{changed} 处改动，{left} 处留待人工",
            f"{source}: {changed} changes, {left} left",
        ),
        style="bold",
        markup=False,
    )
    changes = mended.changes
    rows = [
        (
            say(c.action_zh, c.action_en),
            f"{c.gained_m2:,.3f}" if c.gained_m2 else "",
            f"{c.lost_m2:,.3f}" if c.lost_m2 else "",
            f"{c.moved_m:.3f}",
        )
        for c in changes.head(_CHANGES_SHOWN).itertuples()
    ]
    columns = (
        say("改动", "change"),
        say("增加 m²", "m² gained"),
        say("减少 m²", "m² lost"),
        say("最大位移 m", "moved, m"),
    )
    if rows:
        console.print(terminal.table("", columns, rows))
    if more := changed - len(rows):
        console.print(
            say(f"……另有 {more} 处，--json 列出全部。", f"… {more} more; --json tells all.")
        )
    for fault in mended.left.itertuples():
        told = say(
            f"{fault.message_zh}未改：{fault.reason_zh}。",
            f"{fault.message_en} Left: {fault.reason_en}.",
        )
        console.print(f"· {told}", markup=False)
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)
